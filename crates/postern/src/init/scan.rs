//! What a database holds, as far as its catalogue and a sample say.

use std::collections::BTreeMap;

use postern_sql::quote::identifier;
use thiserror::Error;
use tokio_postgres::{Client, Row};

/// How many rows of a table are looked at.
pub(super) const SAMPLE_ROWS: usize = 1_000;

/// How much of a value is looked at, in characters.
const SAMPLE_CHARACTERS: usize = 200;

const COLUMNS: &str = "\
SELECT n.nspname::text, c.relname::text, a.attname::text, t.typcategory::text,
       c.reltuples::float8,
       EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisvalid
               AND i.indkey[0] = a.attnum),
       EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisvalid
               AND i.indisunique AND i.indpred IS NULL AND i.indnkeyatts = 1
               AND i.indkey[0] = a.attnum),
       EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisprimary
               AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum)
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
  AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
ORDER BY 1, 2, a.attnum";

const REFERENCES: &str = "\
SELECT n.nspname::text, c.relname::text, a.attname::text,
       tn.nspname::text, tc.relname::text, ta.attname::text
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class tc ON tc.oid = k.confrelid
JOIN pg_catalog.pg_namespace tn ON tn.oid = tc.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.conkey[1]
JOIN pg_catalog.pg_attribute ta ON ta.attrelid = tc.oid AND ta.attnum = k.confkey[1]
WHERE k.contype = 'f' AND pg_catalog.cardinality(k.conkey) = 1";

/// A table of the database.
#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    pub(super) schema: String,
    pub(super) name: String,
    /// The planner's estimate; negative if it was never made.
    pub(super) rows: f64,
    pub(super) columns: Vec<Column>,
    pub(super) references: Vec<Reference>,
    /// Why no sample could be read.
    pub(super) unread: Option<String>,
}

impl Table {
    pub(super) fn full_name(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }

    /// The primary key, if it is one column.
    pub(super) fn key(&self) -> Option<&Column> {
        self.columns.iter().find(|column| column.primary)
    }
}

#[derive(Debug, Clone, Default)]
pub(super) struct Column {
    pub(super) name: String,
    /// Whether it holds text.
    pub(super) text: bool,
    /// Whether values were looked at: text and enumerations.
    pub(super) sampled: bool,
    pub(super) indexed: bool,
    pub(super) unique: bool,
    /// Whether it is the whole primary key.
    pub(super) primary: bool,
    /// Values that are neither NULL nor empty.
    pub(super) sample: Vec<String>,
}

/// A foreign key of one column.
#[derive(Debug, Clone)]
pub(super) struct Reference {
    pub(super) column: String,
    /// `schema.table`
    pub(super) table: String,
    pub(super) target: String,
}

/// The catalogue couldn't be read.
#[derive(Debug, Error)]
#[error("can't read the database's catalogue")]
pub(super) struct ScanError(#[from] tokio_postgres::Error);

/// Reads the catalogue and a sample of every table, in a transaction that can't write.
pub(super) async fn scan(client: &Client) -> Result<Vec<Table>, ScanError> {
    client
        .batch_execute(
            "SET default_transaction_read_only = on; SET statement_timeout = '10s'; \
             SET search_path = pg_catalog",
        )
        .await?;
    let mut tables: BTreeMap<(String, String), Table> = BTreeMap::new();
    for row in client.query(COLUMNS, &[]).await? {
        let (schema, name): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let table = tables.entry((schema.clone(), name.clone())).or_default();
        (table.schema, table.name, table.rows) = (schema, name, row.try_get(4)?);
        table.columns.push(column(&row)?);
    }
    for row in client.query(REFERENCES, &[]).await? {
        let from = (row.try_get(0)?, row.try_get(1)?);
        let (schema, table): (String, String) = (row.try_get(3)?, row.try_get(4)?);
        if let Some(referring) = tables.get_mut(&from) {
            referring.references.push(Reference {
                column: row.try_get(2)?,
                table: format!("{schema}.{table}"),
                target: row.try_get(5)?,
            });
        }
    }
    let mut tables: Vec<Table> = tables.into_values().collect();
    for table in &mut tables {
        if let Err(error) = sample(client, table).await {
            table.unread = Some(
                error.as_db_error().map_or_else(|| error.to_string(), |db| db.message().to_owned()),
            );
        }
    }
    Ok(tables)
}

fn column(row: &Row) -> Result<Column, tokio_postgres::Error> {
    let category: String = row.try_get(3)?;
    Ok(Column {
        name: row.try_get(2)?,
        text: category == "S",
        sampled: category == "S" || category == "E",
        indexed: row.try_get(5)?,
        unique: row.try_get(6)?,
        primary: row.try_get(7)?,
        sample: Vec::new(),
    })
}

async fn sample(client: &Client, table: &mut Table) -> Result<(), tokio_postgres::Error> {
    let looked_at: Vec<usize> =
        (0..table.columns.len()).filter(|index| table.columns[*index].sampled).collect();
    if looked_at.is_empty() {
        return Ok(());
    }
    let columns: Vec<String> = looked_at
        .iter()
        .map(|index| {
            let name = identifier(&table.columns[*index].name);
            format!("pg_catalog.left({name}::pg_catalog.text, {SAMPLE_CHARACTERS})")
        })
        .collect();
    let query = format!(
        "SELECT {} FROM {}.{} LIMIT {SAMPLE_ROWS}",
        columns.join(", "),
        identifier(&table.schema),
        identifier(&table.name)
    );
    for row in client.query(query.as_str(), &[]).await? {
        for (position, index) in looked_at.iter().enumerate() {
            let value: Option<String> = row.try_get(position)?;
            let value = value.filter(|value| !value.trim().is_empty());
            table.columns[*index].sample.extend(value);
        }
    }
    Ok(())
}
