//! The tracer's inputs: the leaked list, and the values that fields had over time.

use std::{
    io,
    path::{Path, PathBuf},
};

use csv::{ByteRecord, ReaderBuilder, Trim};
use postern_model::{Secret, Subject, Text};
use postern_trace::{Leak, LeakRow, ValueVersion};
use serde::Deserialize;
use thiserror::Error;

use crate::{
    Bad, Problems, line,
    source::{Line, Lines},
};

#[cfg(test)]
mod tests;

/// The columns of a leak list that say whose record it is.
const COLUMNS: [&str; 5] = ["subject", "name", "email", "phone", "ticket"];

/// Why a list can't be read.
#[derive(Debug, Error)]
pub enum LeakError {
    #[error("cannot read `{path}`")]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot read `{path}` as CSV")]
    Csv { path: PathBuf, source: csv::Error },
    #[error("`{path}` is larger than a list of records can be")]
    TooLarge { path: PathBuf },
    #[error("`{path}` has no header that names any of subject, name, email, phone or ticket")]
    Header { path: PathBuf },
}

/// Bytes of a leak list at most.
const LIST_MAX: u64 = 1 << 30;

/// Reads a leak list: CSV, separated by commas, semicolons, tabs or bars, whichever its header
/// uses; in UTF-8, UTF-16 with a byte order mark, or else taken for Latin-1. Columns that the
/// format does not name are not read.
///
/// # Errors
/// If the file can't be read, is too large or has no usable header.
pub fn read_leak(path: &Path) -> Result<Leak, LeakError> {
    let read = |source| LeakError::Read { path: path.to_owned(), source };
    if std::fs::metadata(path).map_err(read)?.len() > LIST_MAX {
        return Err(LeakError::TooLarge { path: path.to_owned() });
    }
    let text = decoded(std::fs::read(path).map_err(read)?);
    let at = |source| LeakError::Csv { path: path.to_owned(), source };
    let mut reader = ReaderBuilder::new()
        .delimiter(delimiter(text.as_bytes()))
        .flexible(true)
        .trim(Trim::All)
        .from_reader(text.as_bytes());
    let columns = columns(reader.byte_headers().map_err(at)?);
    if columns.is_empty() {
        return Err(LeakError::Header { path: path.to_owned() });
    }
    let mut rows = Vec::new();
    for record in reader.byte_records() {
        let row = row(&record.map_err(at)?, &columns);
        if row.subject.is_some() || !row.fields.is_empty() {
            rows.push(row);
        }
    }
    Ok(Leak { rows })
}

/// The text in whatever encoding it is; every sequence of bytes is valid Latin-1.
fn decoded(bytes: Vec<u8>) -> String {
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units = bytes.chunks_exact(2).filter_map(|pair| Some(unit(pair.try_into().ok()?)));
        char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
    };
    match bytes.as_slice() {
        [0xff, 0xfe, rest @ ..] => return utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => return utf16(rest, u16::from_be_bytes),
        _ => {}
    }
    String::from_utf8(bytes)
        .unwrap_or_else(|error| error.as_bytes().iter().map(|byte| char::from(*byte)).collect())
}

fn delimiter(bytes: &[u8]) -> u8 {
    let header = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let count = |wanted: u8| header.iter().filter(|&&byte| byte == wanted).count();
    [b';', b'\t', b'|']
        .into_iter()
        .fold(b',', |best, d| if count(d) > count(best) { d } else { best })
}

/// Position and name of each known column, the first of several that mean the same.
fn columns(header: &ByteRecord) -> Vec<(usize, Text)> {
    let mut columns: Vec<(usize, Text)> = Vec::new();
    for (index, cell) in header.iter().enumerate() {
        let Some(name) = column(&String::from_utf8_lossy(cell)) else { continue };
        if columns.iter().all(|(_, known)| &**known != name) {
            columns.push((index, Text::from(name)));
        }
    }
    columns
}

/// What a heading means. People write headings in many ways.
fn column(heading: &str) -> Option<&'static str> {
    let heading: String = heading.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect();
    let has = |words: &[&str]| words.iter().any(|word| heading.contains(word));
    COLUMNS.into_iter().find(|known| *known == heading).or_else(|| match () {
        () if has(&["mail"]) => Some("email"),
        () if has(&["phone", "mobile", "telephone"]) => Some("phone"),
        () if has(&["ticket", "casenumber", "caseno"]) => Some("ticket"),
        () if has(&["fullname", "customername", "contactname"]) => Some("name"),
        () if has(&["customerid", "subjectid", "customernumber"]) => Some("subject"),
        () => None,
    })
}

fn row(record: &ByteRecord, columns: &[(usize, Text)]) -> LeakRow {
    let mut row = LeakRow::default();
    for (index, name) in columns {
        let Some(cell) = record.get(*index).filter(|cell| !cell.is_empty()) else { continue };
        let value = String::from_utf8_lossy(cell).into_owned();
        if &**name == "subject" {
            row.subject = Some(Subject::new(value));
        } else {
            row.fields.push((name.clone(), Secret::new(value)));
        }
    }
    row
}

#[derive(Deserialize)]
struct ValueLine {
    ts: String,
    subject: String,
    field: String,
    value: String,
}

/// Reads `values.jsonl` (or `.jsonl.gz`, `.jsonl.zst`): the values that protected fields had, each
/// from its `ts` on. Bad lines are skipped and told.
///
/// # Errors
/// If the file can't be read.
pub fn read_values(path: &Path) -> Result<(Vec<ValueVersion>, Problems), LeakError> {
    let at = |source| LeakError::Read { path: path.to_owned(), source };
    let mut lines = Lines::open(path, Default::default()).map_err(at)?;
    let (mut values, mut problems) = (Vec::new(), Problems::default());
    while let Some((number, text)) = lines.next().map_err(at)? {
        problems.lines += 1;
        let parsed = match text {
            Line::Text(text) => value(text),
            Line::TooLong => Err(format!("longer than {} bytes", Lines::MAX)),
            Line::NotUtf8 => Err("not UTF-8".to_owned()),
        };
        match parsed {
            Ok(value) => values.push(value),
            Err(why) => problems.bad(Bad { file: path.to_owned(), line: number, why }),
        }
    }
    Ok((values, problems))
}

fn value(text: &str) -> Result<ValueVersion, String> {
    let parsed: ValueLine = serde_json::from_str(text).map_err(|error| error.to_string())?;
    Ok(ValueVersion {
        ts: line::time(&parsed.ts).map_err(|error| error.to_string())?,
        subject: Subject::new(parsed.subject),
        field: Text::from(parsed.field.to_lowercase()),
        value: Secret::new(parsed.value),
    })
}
