//! The tracer's inputs: the leaked list, and the values that fields had over time.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use csv::{ByteRecord, ReaderBuilder, Trim};
use postern_model::{Secret, Subject};
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
    #[error("`{path}` has no header that names any of subject, name, email, phone or ticket")]
    Header { path: PathBuf },
}

/// Reads a leak list: CSV, separated by commas, semicolons or tabs, whichever its header uses.
/// Bytes that are not UTF-8 become replacement characters, so that such a value matches nothing;
/// columns that the format does not name are not read.
///
/// # Errors
/// If the file can't be read or has no usable header.
pub fn read_leak(path: &Path) -> Result<Leak, LeakError> {
    let bytes =
        std::fs::read(path).map_err(|source| LeakError::Read { path: path.to_owned(), source })?;
    let at = |source| LeakError::Csv { path: path.to_owned(), source };
    let mut reader = ReaderBuilder::new()
        .delimiter(delimiter(&bytes))
        .flexible(true)
        .trim(Trim::All)
        .from_reader(bytes.as_slice());
    let columns = columns(reader.byte_headers().map_err(at)?);
    if columns.is_empty() {
        return Err(LeakError::Header { path: path.to_owned() });
    }
    let mut rows = Vec::new();
    for record in reader.byte_records() {
        rows.push(row(&record.map_err(at)?, &columns));
    }
    Ok(Leak { rows })
}

fn delimiter(bytes: &[u8]) -> u8 {
    let header = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let count = |wanted: u8| header.iter().filter(|&&byte| byte == wanted).count();
    [b';', b'\t'].into_iter().fold(b',', |best, d| if count(d) > count(best) { d } else { best })
}

/// Position and name of each known column.
fn columns(header: &ByteRecord) -> Vec<(usize, Arc<str>)> {
    let named = |cell: &[u8]| {
        let cell = String::from_utf8_lossy(cell).to_lowercase();
        COLUMNS.into_iter().find(|&known| known == cell)
    };
    let cells = header.iter().enumerate();
    cells.filter_map(|(index, cell)| Some((index, Arc::from(named(cell)?)))).collect()
}

fn row(record: &ByteRecord, columns: &[(usize, Arc<str>)]) -> LeakRow {
    let mut row = LeakRow::default();
    for (index, name) in columns {
        let Some(cell) = record.get(*index).filter(|cell| !cell.is_empty()) else { continue };
        let value = String::from_utf8_lossy(cell).into_owned();
        if &**name == "subject" {
            row.subject = Some(Subject::new(value));
        } else {
            row.fields.push((Arc::clone(name), Secret::new(value)));
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
    let mut lines = Lines::open(path, std::sync::Arc::default()).map_err(at)?;
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
        field: Arc::from(parsed.field.to_lowercase()),
        value: Secret::new(parsed.value),
    })
}
