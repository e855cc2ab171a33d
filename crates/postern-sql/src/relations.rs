//! What may be read of the system catalogues: `relations.txt`, which has a decision for every
//! relation and every column of those that may be read.

use crate::functions::{holds, lines};

/// A relation of `pg_catalog` or `information_schema`.
#[derive(Debug, Clone)]
pub(crate) struct CatalogueRelation {
    pub(crate) schema: &'static str,
    pub(crate) name: &'static str,
    /// Its columns in order, if it may be read.
    pub(crate) columns: Option<Vec<CatalogueColumn>>,
    pub(crate) rows: RowsShown,
}

/// Which rows there are of a catalogue relation that may be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowsShown {
    All,
    /// That of the session's own process.
    Own,
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CatalogueColumn {
    pub(crate) name: &'static str,
    pub(crate) cover: Option<Cover>,
}

/// What stands for a column's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cover {
    /// NULL of that type.
    Null(&'static str),
    /// Its text, of that type, with the literals blanked.
    Literals(&'static str),
}

/// The relations of one major version of PostgreSQL.
pub(crate) fn of_version(major: i64) -> Vec<CatalogueRelation> {
    let mut relations: Vec<CatalogueRelation> = Vec::new();
    // Whether the lines that follow are columns of the last relation.
    let mut here = false;
    for line in lines(include_str!("relations.txt")) {
        let words = line.split_whitespace();
        if line.starts_with(' ') {
            let Some(last) = relations.last_mut().filter(|_| here) else { continue };
            // The domains of the information schema are sent as what they are made of.
            let standard = last.schema == "information_schema";
            let text_type = if standard { "varchar" } else { "text" };
            if let Some(columns) = last.columns.as_mut() {
                columns.extend(words.filter_map(|word| column(word, major, text_type)));
            }
            continue;
        }
        let found = relation(words, major);
        here = found.is_some();
        relations.extend(found);
    }
    relations
}

fn relation(
    mut words: impl Iterator<Item = &'static str>,
    major: i64,
) -> Option<CatalogueRelation> {
    let (schema, name) = words.next()?.split_once('.')?;
    let there = holds(words.next()?, major);
    let rows = match words.next()? {
        "read" => Some(RowsShown::All),
        "own" => Some(RowsShown::Own),
        "empty" => Some(RowsShown::None),
        _ => None,
    };
    let (columns, rows) = (rows.map(|_| Vec::new()), rows.unwrap_or(RowsShown::None));
    there.then_some(CatalogueRelation { schema, name, columns, rows })
}

/// A word such as `name`, `name@14-18`, `-name:type` or `~name`.
fn column(word: &'static str, major: i64, text_type: &'static str) -> Option<CatalogueColumn> {
    let (word, versions) = word.split_once('@').unwrap_or((word, "13-18"));
    let (name, cover) = match (word.strip_prefix('-'), word.strip_prefix('~')) {
        (Some(rest), _) => {
            let (name, type_name) = rest.split_once(':').unwrap_or((rest, "text"));
            (name, Some(Cover::Null(type_name)))
        }
        (None, Some(rest)) => (rest, Some(Cover::Literals(text_type))),
        // What has no decision yet.
        (None, None) => match word.strip_prefix('?') {
            Some(name) => (name, Some(Cover::Null("text"))),
            None => (word, None),
        },
    };
    holds(versions, major).then_some(CatalogueColumn { name, cover })
}

#[cfg(test)]
mod tests;
