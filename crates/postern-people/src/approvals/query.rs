//! A statement whose result leaves once, if somebody else has approved that very result.

use std::{fmt, fmt::Write as _, sync::Arc};

use postern_model::Subject;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

/// Before the hash by which the ledger names a statement in place of a customer.
const PREFIX: &str = "query:";

/// The longest text of a statement, in bytes: somebody has to read it.
const SQL_BYTES_MAX: usize = 16 * 1024;

/// The most protected columns that it may show.
const FIELDS_MAX: usize = 100;

/// The most rows that may leave at once.
const ROWS_MAX: u64 = 100_000;

/// A statement, what it may show, and how much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedQuery {
    sql: Arc<str>,
    /// Protected columns, as `schema.table.column`, sorted.
    fields: Vec<Arc<str>>,
    rows_max: u64,
}

/// Why something is no statement that can be approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum QueryError {
    #[error("the statement is empty, or longer than {SQL_BYTES_MAX} bytes")]
    Length,
    #[error("only SELECT, WITH and COPY (SELECT …) TO STDOUT can be approved")]
    Kind,
    #[error("name 1 to {FIELDS_MAX} columns that it may show, as `schema.table.column`")]
    Fields,
    #[error("the rows that may leave are at least 1 and at most {ROWS_MAX}")]
    Rows,
    #[error("it is not what was kept")]
    Kept,
}

impl SavedQuery {
    /// A statement that may show these columns in so many rows.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn new(
        sql: &str,
        fields: impl IntoIterator<Item = String>,
        rows_max: u64,
    ) -> Result<Self, QueryError> {
        let sql = bare(sql);
        if sql.is_empty() || sql.len() > SQL_BYTES_MAX {
            return Err(QueryError::Length);
        }
        let word = sql.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
        if !["select", "with", "copy"].iter().any(|known| word.eq_ignore_ascii_case(known)) {
            return Err(QueryError::Kind);
        }
        let mut fields: Vec<Arc<str>> = fields.into_iter().map(Arc::from).collect();
        fields.sort();
        fields.dedup();
        if fields.is_empty() || fields.len() > FIELDS_MAX {
            return Err(QueryError::Fields);
        }
        if rows_max == 0 || rows_max > ROWS_MAX {
            return Err(QueryError::Rows);
        }
        Ok(Self { sql: sql.into(), fields, rows_max })
    }

    pub fn sql(&self) -> &str {
        &self.sql
    }

    pub fn fields(&self) -> &[Arc<str>] {
        &self.fields
    }

    pub fn rows_max(&self) -> u64 {
        self.rows_max
    }

    /// Whether a client sends just this statement.
    pub fn is(&self, sql: &str) -> bool {
        bare(sql) == &*self.sql
    }

    /// What is kept of it, and hashed.
    pub fn text(&self) -> String {
        let Self { sql, fields, rows_max } = self;
        let fields: Vec<&str> = fields.iter().map(|field| &**field).collect();
        json!({ "version": 1, "sql": &**sql, "fields": fields, "rows": rows_max }).to_string()
    }

    /// What was kept under that name.
    ///
    /// # Errors
    /// [`QueryError::Kept`] if it is not what the name stands for.
    pub fn kept(text: &str, name: &Subject) -> Result<Self, QueryError> {
        let value: Value = serde_json::from_str(text).map_err(|_| QueryError::Kept)?;
        let sql = value.get("sql").and_then(Value::as_str).ok_or(QueryError::Kept)?;
        let fields = value.get("fields").and_then(Value::as_array).ok_or(QueryError::Kept)?;
        let fields = fields.iter().filter_map(Value::as_str).map(str::to_owned);
        let rows = value.get("rows").and_then(Value::as_u64).ok_or(QueryError::Kept)?;
        let query = Self::new(sql, fields, rows)?;
        if query.name() == *name { Ok(query) } else { Err(QueryError::Kept) }
    }

    /// By what the ledger names it: its hash.
    pub fn name(&self) -> Subject {
        Subject::new(format!("{PREFIX}{}", hex(&Sha256::digest(self.text()))))
    }

    /// The hash in such a name; `None` if it names a customer.
    pub fn hash_of(name: &Subject) -> Option<&str> {
        name.as_str().strip_prefix(PREFIX).filter(|hash| {
            hash.len() == 64 && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        })
    }
}

/// The statement without what stands around it.
fn bare(sql: &str) -> &str {
    sql.trim_matches(|c: char| c.is_ascii_whitespace() || c == ';')
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // A String takes everything.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What a statement gives: how much, of whom, and which bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryResult {
    pub rows: u64,
    pub customers: u64,
    pub bytes: u64,
    /// SHA-256 of the bytes, in hex.
    pub digest: String,
}

impl QueryResult {
    /// Reads what [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let mut number = |unit: &[&str]| {
            let number = words.next()?.parse().ok()?;
            unit.iter().all(|word| words.next() == Some(word)).then_some(number)
        };
        let rows = number(&["rows", "of"])?;
        let customers = number(&["customers,"])?;
        let bytes = number(&["bytes,", "sha256"])?;
        let digest = words.next().filter(|digest| digest.len() == 64)?.to_owned();
        words.next().is_none().then_some(Self { rows, customers, bytes, digest })
    }
}

impl fmt::Display for QueryResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows, customers, bytes, digest } = self;
        write!(f, "{rows} rows of {customers} customers, {bytes} bytes, sha256 {digest}")
    }
}

/// Hashes a result while it comes.
#[derive(Debug, Clone, Default)]
pub struct Digesting {
    hash: Sha256,
    bytes: u64,
}

impl Digesting {
    pub fn add(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
    }

    /// The result of so many rows, of so many customers.
    pub fn ended(self, rows: u64, customers: u64) -> QueryResult {
        let digest = hex(&self.hash.finalize());
        QueryResult { rows, customers, bytes: self.bytes, digest }
    }
}
