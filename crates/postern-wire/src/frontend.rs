//! Messages from the client.

use std::fmt;

use crate::{
    cursor::{Cursor, MessageError},
    frame::Frame,
};

#[cfg(test)]
mod tests;

/// A message from the client, borrowed from its frame.
#[derive(Clone, PartialEq, Eq)]
pub enum Frontend<'a> {
    /// Simple query: SQL text, any number of statements.
    Query(&'a str),
    Parse(Parse<'a>),
    Bind(Bind<'a>),
    Describe(Target<'a>),
    Execute(Execute<'a>),
    Close(Target<'a>),
    Sync,
    Flush,
    Terminate,
    /// Password, SASLInitialResponse or SASLResponse: only the state of the log-in tells which.
    /// See [`password_text`] and [`SaslInitial::parse`]; a SASLResponse is the bytes themselves.
    Password(&'a [u8]),
    CopyData(&'a [u8]),
    CopyDone,
    /// The client's reason for failing.
    CopyFail(&'a str),
    /// A function call by OID; nothing in it is looked at, for it is always refused.
    FunctionCall,
}

/// Prepare a statement.
#[derive(Clone, PartialEq, Eq)]
pub struct Parse<'a> {
    /// The statement's name; empty for the unnamed one.
    pub name: &'a str,
    pub sql: &'a str,
    /// Types of the first parameters by OID; 0, or the list ending early, leaves it to the server.
    pub types: Vec<u32>,
}

/// Make a portal of a prepared statement.
#[derive(Clone, PartialEq, Eq)]
pub struct Bind<'a> {
    /// The portal's name; empty for the unnamed one.
    pub portal: &'a str,
    pub statement: &'a str,
    /// Format codes of the parameters: none (all text), one for all, or one each.
    pub formats: Vec<i16>,
    /// The values; `None` is NULL.
    pub parameters: Vec<Option<&'a [u8]>>,
    /// Format codes of the result's columns: none (all text), one for all, or one each.
    pub result_formats: Vec<i16>,
}

/// Run a portal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Execute<'a> {
    pub portal: &'a str,
    /// After how many rows to suspend; 0 is never. A negative number is the same to the server.
    pub max_rows: i32,
}

/// Of the statement only its size is shown: literals are customers' data.
impl fmt::Debug for Parse<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parse")
            .field("name", &self.name)
            .field("sql_bytes", &self.sql.len())
            .field("types", &self.types)
            .finish()
    }
}

/// Of the values only their sizes are shown.
impl fmt::Debug for Bind<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes: Vec<_> = self.parameters.iter().map(|value| value.map(<[u8]>::len)).collect();
        f.debug_struct("Bind")
            .field("portal", &self.portal)
            .field("statement", &self.statement)
            .field("formats", &self.formats)
            .field("parameter_bytes", &sizes)
            .field("result_formats", &self.result_formats)
            .finish()
    }
}

/// What Describe and Close are about, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    Statement(&'a str),
    Portal(&'a str),
}

impl<'a> Frontend<'a> {
    /// Reads a client's message.
    ///
    /// # Errors
    /// [`MessageError`] for an unknown type and for a body that is not exactly what its type says.
    pub fn parse(frame: &'a Frame) -> Result<Self, MessageError> {
        let mut cursor = Cursor::new(frame.body());
        let message = match frame.tag() {
            b'Q' => Self::Query(cursor.string("query")?),
            b'P' => Self::Parse(parse(&mut cursor)?),
            b'B' => Self::Bind(bind(&mut cursor)?),
            b'D' => Self::Describe(target(&mut cursor)?),
            b'E' => Self::Execute(Execute {
                portal: cursor.string("portal name")?,
                max_rows: cursor.i32("row limit")?,
            }),
            b'C' => Self::Close(target(&mut cursor)?),
            b'S' => Self::Sync,
            b'H' => Self::Flush,
            b'X' => Self::Terminate,
            b'p' => Self::Password(cursor.rest()),
            b'd' => Self::CopyData(cursor.rest()),
            b'c' => Self::CopyDone,
            b'f' => Self::CopyFail(cursor.string("reason of failure")?),
            b'F' => {
                cursor.rest();
                Self::FunctionCall
            }
            tag => return Err(MessageError::UnknownType { tag }),
        };
        cursor.finish()?;
        Ok(message)
    }
}

/// Passwords, SQL and values are not shown.
impl fmt::Debug for Frontend<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Query(sql) => write!(f, "Query({} bytes)", sql.len()),
            Self::Parse(parse) => parse.fmt(f),
            Self::Bind(bind) => bind.fmt(f),
            Self::Describe(target) => f.debug_tuple("Describe").field(target).finish(),
            Self::Execute(execute) => execute.fmt(f),
            Self::Close(target) => f.debug_tuple("Close").field(target).finish(),
            Self::Sync => f.write_str("Sync"),
            Self::Flush => f.write_str("Flush"),
            Self::Terminate => f.write_str("Terminate"),
            Self::Password(_) => f.write_str("Password(…)"),
            Self::CopyData(data) => write!(f, "CopyData({} bytes)", data.len()),
            Self::CopyDone => f.write_str("CopyDone"),
            Self::CopyFail(_) => f.write_str("CopyFail(…)"),
            Self::FunctionCall => f.write_str("FunctionCall"),
        }
    }
}

fn parse<'a>(cursor: &mut Cursor<'a>) -> Result<Parse<'a>, MessageError> {
    Ok(Parse {
        name: cursor.string("statement name")?,
        sql: cursor.string("query")?,
        types: cursor.types()?,
    })
}

fn bind<'a>(cursor: &mut Cursor<'a>) -> Result<Bind<'a>, MessageError> {
    let portal = cursor.string("portal name")?;
    let statement = cursor.string("statement name")?;
    let formats = cursor.formats()?;
    let count = cursor.count(4, "parameters")?;
    if formats.len() > 1 && formats.len() != count {
        let formats = formats.len();
        return Err(MessageError::ParameterFormats { formats, parameters: count });
    }
    let parameters =
        (0..count).map(|_| cursor.value("parameter")).collect::<Result<Vec<_>, _>>()?;
    let result_formats = cursor.formats()?;
    Ok(Bind { portal, statement, formats, parameters, result_formats })
}

fn target<'a>(cursor: &mut Cursor<'a>) -> Result<Target<'a>, MessageError> {
    match cursor.u8("kind of target")? {
        b'S' => cursor.string("statement name").map(Target::Statement),
        b'P' => cursor.string("portal name").map(Target::Portal),
        other => Err(MessageError::Invalid { field: "kind of target", value: other.into() }),
    }
}

/// The text of a PasswordMessage, from the bytes of [`Frontend::Password`].
///
/// # Errors
/// [`MessageError`] if it is not one zero-terminated string.
pub fn password_text(body: &[u8]) -> Result<&str, MessageError> {
    let mut cursor = Cursor::new(body);
    let text = cursor.string("password")?;
    cursor.finish()?;
    Ok(text)
}

/// The client's first message of a SASL exchange.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SaslInitial<'a> {
    pub mechanism: &'a str,
    /// The mechanism's own bytes; `None` if the client sends none yet.
    pub data: Option<&'a [u8]>,
}

/// Of the data only its size is shown.
impl fmt::Debug for SaslInitial<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SaslInitial")
            .field("mechanism", &self.mechanism)
            .field("data_bytes", &self.data.map(<[u8]>::len))
            .finish()
    }
}

impl<'a> SaslInitial<'a> {
    /// Reads it from the bytes of [`Frontend::Password`].
    ///
    /// # Errors
    /// [`MessageError`] if the bytes are not exactly that.
    pub fn parse(body: &'a [u8]) -> Result<Self, MessageError> {
        let mut cursor = Cursor::new(body);
        let mechanism = cursor.string("sasl mechanism")?;
        let data = cursor.value("sasl data")?;
        cursor.finish()?;
        Ok(Self { mechanism, data })
    }
}
