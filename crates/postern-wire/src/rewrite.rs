//! Changing messages so that the client doesn't see what the gateway adds to its statements:
//! trailing parameters with the actor's keys, and trailing columns with the keys of each row. For
//! rows see [`DataRow::split_trailing_into`](crate::DataRow::split_trailing_into).

use bytes::BytesMut;
use thiserror::Error;

use crate::{
    backend::Column,
    encode::{self, EncodeError},
    frontend::Bind,
};

#[cfg(test)]
mod tests;

/// Why a message can't be changed. Something does not fit what was judged, so nothing of it may
/// go on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RewriteError {
    #[error("of {columns} columns {hidden} can't be hidden")]
    Columns { columns: usize, hidden: usize },
    #[error("there are origins of {origins} columns for {columns} columns")]
    Origins { origins: usize, columns: usize },
    #[error("of {parameters} parameters {hidden} can't be hidden")]
    Parameters { parameters: usize, hidden: usize },
    #[error("bind message has {formats} parameter formats but {parameters} parameters")]
    ParameterFormats { formats: usize, parameters: usize },
    #[error("bind message has {formats} result formats but query has {columns} columns")]
    ResultFormats { formats: usize, columns: usize },
    #[error("changed message can't be encoded")]
    Encode(#[from] EncodeError),
}

/// Where a column comes from, as a RowDescription says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    pub table_oid: u32,
    pub attribute: i16,
    pub type_modifier: i32,
}

/// Appends a RowDescription without the last `hidden` columns, with the origins of the others
/// replaced where one is given.
///
/// # Errors
/// [`RewriteError::Columns`] if there are fewer columns, [`RewriteError::Origins`] unless there is
/// an origin or a `None` for each visible column.
pub fn row_description(
    out: &mut BytesMut,
    columns: &[Column<'_>],
    hidden: usize,
    origins: &[Option<Origin>],
) -> Result<(), RewriteError> {
    let visible = columns
        .len()
        .checked_sub(hidden)
        .and_then(|count| columns.get(..count))
        .ok_or(RewriteError::Columns { columns: columns.len(), hidden })?;
    if visible.len() != origins.len() {
        let (origins, columns) = (origins.len(), visible.len());
        return Err(RewriteError::Origins { origins, columns });
    }
    let restored: Vec<Column<'_>> = visible
        .iter()
        .zip(origins)
        .map(|(column, origin)| match origin {
            None => *column,
            Some(Origin { table_oid, attribute, type_modifier }) => Column {
                table_oid: *table_oid,
                attribute: *attribute,
                type_modifier: *type_modifier,
                ..*column
            },
        })
        .collect();
    Ok(encode::row_description(out, &restored)?)
}

/// Appends a ParameterDescription without the last `hidden` parameters.
///
/// # Errors
/// [`RewriteError::Parameters`] if there are fewer.
pub fn parameter_description(
    out: &mut BytesMut,
    types: &[u32],
    hidden: usize,
) -> Result<(), RewriteError> {
    let visible = types
        .len()
        .checked_sub(hidden)
        .and_then(|count| types.get(..count))
        .ok_or(RewriteError::Parameters { parameters: types.len(), hidden })?;
    Ok(encode::parameter_description(out, visible)?)
}

/// What the gateway adds to a Bind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HiddenBind<'a> {
    /// Values of the appended parameters, as text: one per set of keys.
    pub parameters: &'a [&'a str],
    /// How many columns of the result the client sees.
    pub visible_columns: usize,
    /// How many come after them; they are asked for as text.
    pub hidden_columns: usize,
}

/// Appends a Bind with the hidden parameters behind the client's, and the lists of format codes
/// made to fit: the client's values and columns keep their formats, what is hidden is text.
///
/// # Errors
/// [`RewriteError::ParameterFormats`] and [`RewriteError::ResultFormats`] if a list of the client's
/// doesn't fit its parameters or the visible columns,
/// [`RewriteError::Encode`] if the message would be larger than the protocol allows.
pub fn bind(
    out: &mut BytesMut,
    client: &Bind<'_>,
    hidden: &HiddenBind<'_>,
) -> Result<(), RewriteError> {
    let parameters = client.parameters.len();
    let formats = expand(&client.formats, parameters, hidden.parameters.len())
        .ok_or(RewriteError::ParameterFormats { formats: client.formats.len(), parameters })?;
    let columns = hidden.visible_columns;
    let result_formats = expand(&client.result_formats, columns, hidden.hidden_columns)
        .ok_or(RewriteError::ResultFormats { formats: client.result_formats.len(), columns })?;
    let added = hidden.parameters.iter().map(|text| Some(text.as_bytes()));
    let message = Bind {
        portal: client.portal,
        statement: client.statement,
        formats,
        parameters: client.parameters.iter().copied().chain(added).collect(),
        result_formats,
    };
    Ok(encode::bind(out, &message)?)
}

/// The format codes for `count` values of the client and `added` text ones behind them. A list is
/// empty (all text), a single code for all, or one code each; `None` if it is neither.
fn expand(codes: &[i16], count: usize, added: usize) -> Option<Vec<i16>> {
    let each = match codes {
        // As the client sent it, which is right with the added ones too.
        [] | [0] => return Some(codes.to_vec()),
        [code] if added == 0 => vec![*code],
        [code] => vec![*code; count],
        codes if codes.len() == count => codes.to_vec(),
        _ => return None,
    };
    Some(each.into_iter().chain(std::iter::repeat_n(0, added)).collect())
}
