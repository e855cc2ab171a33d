//! Rows and their descriptions.

use std::{fmt, iter::FusedIterator};

use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    cursor::{Cursor, MessageError},
    rewrite::RewriteError,
};

/// One column of a RowDescription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column<'a> {
    pub name: &'a str,
    /// The table that the column is of, by OID; 0 if it is not a table's column.
    pub table_oid: u32,
    /// The column's number in that table; 0 if it is not a table's column.
    pub attribute: i16,
    pub type_oid: u32,
    /// Bytes of a value; negative for types of no fixed size.
    pub type_size: i16,
    /// The type's modifier, e.g. the length of a `varchar`; -1 for none.
    pub type_modifier: i32,
    /// 0 is text (or not known yet, when a statement is described), 1 is binary.
    pub format: i16,
}

/// Bytes of a column's description with an empty name.
const COLUMN_BYTES_MIN: usize = 19;

pub(super) fn columns<'a>(cursor: &mut Cursor<'a>) -> Result<Vec<Column<'a>>, MessageError> {
    let count = cursor.count(COLUMN_BYTES_MIN, "columns")?;
    (0..count)
        .map(|_| {
            Ok(Column {
                name: cursor.string("column name")?,
                table_oid: cursor.u32("table oid")?,
                attribute: cursor.i16("attribute number")?,
                type_oid: cursor.u32("type oid")?,
                type_size: cursor.i16("type size")?,
                type_modifier: cursor.i32("type modifier")?,
                format: cursor.format()?,
            })
        })
        .collect()
}

/// One row. Its cells are cut when they are asked for.
// INVARIANT: `cells` holds exactly `count` well-formed values; `read` has walked over them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct DataRow<'a> {
    count: usize,
    cells: &'a [u8],
}

impl<'a> DataRow<'a> {
    pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<Self, MessageError> {
        let count = cursor.count(4, "cells")?;
        let cells = cursor.rest();
        let mut walk = Cursor::new(cells);
        for _ in 0..count {
            walk.value("cell")?;
        }
        walk.finish()?;
        Ok(Self { count, cells })
    }

    /// The cells in order; `None` is NULL.
    pub fn cells(&self) -> Cells<'a> {
        Cells { left: self.count, cursor: Cursor::new(self.cells) }
    }

    /// Cuts the last `hidden` cells off: the complete DataRow message of the others, and the cut
    /// ones.
    ///
    /// # Errors
    /// [`RewriteError::Columns`] if the row has fewer cells than that.
    #[expect(clippy::type_complexity, reason = "a pair that is taken apart at once")]
    pub fn split_trailing(
        &self,
        hidden: usize,
    ) -> Result<(Bytes, Vec<Option<&'a [u8]>>), RewriteError> {
        let mut visible = BytesMut::new();
        let cells = self.split_trailing_into(hidden, &mut visible)?;
        Ok((visible.freeze(), cells.collect()))
    }

    /// As [`DataRow::split_trailing`], but appends the message to `out` and allocates nothing
    /// else. If it fails, `out` is left as it was.
    ///
    /// # Errors
    /// [`RewriteError::Columns`] if the row has fewer cells than `hidden`.
    pub fn split_trailing_into(
        &self,
        hidden: usize,
        out: &mut BytesMut,
    ) -> Result<Cells<'a>, RewriteError> {
        let columns = self.count;
        let no_columns = RewriteError::Columns { columns, hidden };
        let visible = columns.checked_sub(hidden).ok_or(no_columns.clone())?;
        let mut cells = self.cells();
        for _ in 0..visible {
            cells.next();
        }
        let kept = self
            .cells
            .len()
            .checked_sub(cells.cursor.remaining())
            .and_then(|bytes| self.cells.get(..bytes))
            .ok_or(no_columns.clone())?;
        // The frame that the row is of was no shorter, so that both numbers always fit.
        let (Ok(length), Ok(count)) = (u32::try_from(kept.len() + 6), u16::try_from(visible))
        else {
            return Err(no_columns);
        };
        out.reserve(kept.len() + 7);
        out.put_u8(b'D');
        out.put_u32(length);
        out.put_u16(count);
        out.put_slice(kept);
        Ok(cells)
    }
}

/// Values are customers' data: only their number and sizes are shown.
impl fmt::Debug for DataRow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.cells().map(|cell| cell.map(<[u8]>::len))).finish()
    }
}

/// The cells of a row, in order.
#[derive(Debug, Clone)]
pub struct Cells<'a> {
    left: usize,
    cursor: Cursor<'a>,
}

impl<'a> Iterator for Cells<'a> {
    type Item = Option<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        self.cursor.value("cell").ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Cells<'_> {}
impl FusedIterator for Cells<'_> {}
