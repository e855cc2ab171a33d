//! Rows of COPY TO, cut into what the client sees and hidden values behind it.
//!
//! A row is cut only if it is exactly one row with exactly the expected number of values;
//! everything else is an error. Layouts: PostgreSQL documentation, COPY, "File Formats".

use thiserror::Error;

#[cfg(test)]
mod tests;

/// A piece of a copy that is not what was asked for; nothing of it may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a piece of a copy is not a row of {values} values")]
pub struct CopyRowError {
    /// How many values a row must have.
    pub values: usize,
}

/// A row of a copy, cut in two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyRow {
    /// How many bytes of it the client sees; the line's end or the count of values is not in it.
    pub visible: usize,
    /// The hidden values; `None` is NULL.
    pub hidden: Vec<Option<Vec<u8>>>,
}

/// How many values are visible, and how many hidden ones follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyWidth {
    pub visible: usize,
    pub hidden: usize,
}

impl CopyWidth {
    fn values(self) -> usize {
        self.visible + self.hidden
    }

    fn error(self) -> CopyRowError {
        CopyRowError { values: self.values() }
    }
}

/// Cuts a line of the text format. `null` must not be what an escaped value can look like.
///
/// # Errors
/// [`CopyRowError`] unless the line is one row of that many values.
pub fn text_row(
    line: &[u8],
    (delimiter, null): (u8, &[u8]),
    width: CopyWidth,
) -> Result<CopyRow, CopyRowError> {
    let line = line.strip_suffix(b"\n").ok_or(width.error())?;
    let mut ends = Vec::with_capacity(width.values());
    let mut escaped = false;
    for (place, byte) in line.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'\n' => return Err(width.error()),
            byte if *byte == delimiter => ends.push(place),
            _ => {}
        }
    }
    ends.push(line.len());
    if escaped {
        return Err(width.error());
    }
    cut(line, &ends, width, |raw| {
        if raw == null { Ok(None) } else { unescaped(raw).map(Some).ok_or(width.error()) }
    })
}

/// The value without its backslashes.
fn unescaped(raw: &[u8]) -> Option<Vec<u8>> {
    let mut value = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter();
    while let Some(byte) = bytes.next() {
        if *byte != b'\\' {
            value.push(*byte);
            continue;
        }
        value.push(match bytes.next()? {
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 0x0b,
            other => *other,
        });
    }
    Some(value)
}

/// What tells values apart in CSV.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Csv<'a> {
    pub delimiter: u8,
    pub quote: u8,
    pub escape: u8,
    pub null: &'a [u8],
}

/// Cuts a line of CSV, which may have line breaks within quotes.
///
/// # Errors
/// [`CopyRowError`] unless the line is one row of that many values.
pub fn csv_row(line: &[u8], csv: Csv<'_>, width: CopyWidth) -> Result<CopyRow, CopyRowError> {
    let line = line.strip_suffix(b"\n").ok_or(width.error())?;
    let mut ends = Vec::with_capacity(width.values());
    let mut quoted = false;
    let mut place = 0;
    while let Some(byte) = line.get(place) {
        let next = line.get(place + 1);
        if quoted {
            let escapes = next.is_some_and(|next| *next == csv.quote || *next == csv.escape);
            if *byte == csv.escape && escapes {
                place += 1;
            } else if *byte == csv.quote {
                quoted = false;
            }
        } else if *byte == csv.quote {
            quoted = true;
        } else if *byte == csv.delimiter {
            ends.push(place);
        } else if *byte == b'\n' {
            return Err(width.error());
        }
        place += 1;
    }
    ends.push(line.len());
    if quoted {
        return Err(width.error());
    }
    cut(line, &ends, width, |raw| {
        if raw == csv.null { Ok(None) } else { unquoted(raw, csv).map(Some).ok_or(width.error()) }
    })
}

/// The value without its quotes.
fn unquoted(raw: &[u8], csv: Csv<'_>) -> Option<Vec<u8>> {
    let Some(inner) = raw.strip_prefix(&[csv.quote]) else {
        return (!raw.contains(&csv.quote)).then(|| raw.to_vec());
    };
    let inner = inner.strip_suffix(&[csv.quote])?;
    let mut value = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter().peekable();
    while let Some(byte) = bytes.next() {
        let next = bytes.peek();
        let escapes = next.is_some_and(|next| **next == csv.quote || **next == csv.escape);
        value.push(if *byte == csv.escape && escapes { *bytes.next()? } else { *byte });
    }
    Some(value)
}

fn cut(
    line: &[u8],
    ends: &[usize],
    width: CopyWidth,
    value: impl Fn(&[u8]) -> Result<Option<Vec<u8>>, CopyRowError>,
) -> Result<CopyRow, CopyRowError> {
    if ends.len() != width.values() {
        return Err(width.error());
    }
    let last = width.visible.checked_sub(1).and_then(|last| ends.get(last));
    let visible = last.copied().unwrap_or(0);
    let mut start = if width.visible == 0 { 0 } else { visible + 1 };
    let mut hidden = Vec::with_capacity(width.hidden);
    for end in ends.iter().skip(width.visible) {
        hidden.push(value(line.get(start..*end).ok_or(width.error())?)?);
        start = end + 1;
    }
    Ok(CopyRow { visible, hidden })
}

/// What a piece of a binary copy is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BinaryPiece {
    /// A row; `visible` counts its bytes after the count of values.
    Row(CopyRow),
    /// The end of the data.
    End,
}

/// The header of the binary format: signature, flags, and a header extension that has no bytes.
pub const BINARY_HEADER: &[u8; 19] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// Cuts one piece of a binary copy, after its header.
///
/// # Errors
/// [`CopyRowError`] unless it is exactly one row of that many values, or the end.
pub fn binary_piece(piece: &[u8], width: CopyWidth) -> Result<BinaryPiece, CopyRowError> {
    let (count, values) = piece.split_first_chunk::<2>().ok_or(width.error())?;
    let count = i16::from_be_bytes(*count);
    if count == -1 && values.is_empty() {
        return Ok(BinaryPiece::End);
    }
    if usize::try_from(count) != Ok(width.values()) {
        return Err(width.error());
    }
    let mut rest = values;
    let mut visible = 0;
    let mut hidden = Vec::with_capacity(width.hidden);
    for index in 0..width.values() {
        let (length, after) = rest.split_first_chunk::<4>().ok_or(width.error())?;
        let length = i32::from_be_bytes(*length);
        let value = match length {
            -1 => None,
            length => {
                let length = usize::try_from(length).map_err(|_| width.error())?;
                Some(after.get(..length).ok_or(width.error())?)
            }
        };
        rest = after.get(value.map_or(0, <[u8]>::len)..).ok_or(width.error())?;
        if index < width.visible {
            visible = values.len() - rest.len();
        } else {
            hidden.push(value.map(<[u8]>::to_vec));
        }
    }
    if !rest.is_empty() {
        return Err(width.error());
    }
    Ok(BinaryPiece::Row(CopyRow { visible, hidden }))
}
