//! What a session has made, changed or dropped and nobody else sees yet.
//!
//! The snapshot of the catalogues shows what is committed, and no temporary tables. A session that
//! makes a table in a transaction, or a temporary one, names it in its next statement. Only what is
//! not protected can be made by a statement that is judged, so its name and its columns' names are
//! all that has to be known. What is said here of a name holds only as long as the snapshot has
//! under that name what it had: else the snapshot has the word. Where the server knows nothing of a
//! table that stands here (its savepoint was rolled back), it says so.

use std::collections::BTreeMap;

use crate::catalogue::{Column, Relation};

/// The schema by which each session calls its own temporary objects.
pub(crate) const TEMPORARY: &str = "pg_temp";

/// As many names are remembered.
const OWN_MAX: usize = 2_000;

/// The tables and views of a session's own, by schema and name.
#[derive(Debug, Clone, Default)]
pub struct OwnTables(BTreeMap<(String, String), Own>);

#[derive(Debug, Clone)]
enum Own {
    /// It is there, in the place of what the snapshot has under the name, if that is this.
    Made { relation: Box<Relation>, over: Option<u32> },
    /// What the snapshot has under the name is gone, if it is this.
    Dropped(u32),
}

/// What a definition changes for the session's next statements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnChange {
    pub(crate) schema: String,
    pub(crate) name: String,
    pub(crate) becomes: Becomes,
}

/// What a name stands for from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Becomes {
    /// A table with these columns, in the place of the snapshot's.
    Made { columns: Vec<String>, over: Option<u32> },
    /// Nothing, in the place of the snapshot's if it has one.
    Dropped(Option<u32>),
}

/// What a session's own word on a name is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Found<'a> {
    Made(&'a Relation),
    Dropped,
}

impl OwnTables {
    /// Whether the session has nothing of its own.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes note of a change; `false` if there are too many.
    pub fn apply(&mut self, change: &OwnChange) -> bool {
        let key = (change.schema.clone(), change.name.clone());
        match &change.becomes {
            Becomes::Made { columns, over } => {
                if self.0.len() >= OWN_MAX && !self.0.contains_key(&key) {
                    return false;
                }
                let relation = Box::new(Relation::own(&change.schema, &change.name, columns));
                self.0.insert(key, Own::Made { relation, over: *over });
            }
            Becomes::Dropped(Some(oid)) => {
                self.0.insert(key, Own::Dropped(*oid));
            }
            Becomes::Dropped(None) => {
                self.0.remove(&key);
            }
        }
        true
    }

    /// What is not temporary is in the snapshot from now on, or gone.
    pub fn end_transaction(&mut self) {
        self.0.retain(|(schema, _), _| schema == TEMPORARY);
    }

    /// What stands for a name under which the snapshot has this relation, or none.
    pub(crate) fn find(
        &self,
        schema: &str,
        name: &str,
        known: Option<&Relation>,
    ) -> Option<Found<'_>> {
        if self.0.is_empty() {
            return None;
        }
        let known = known.map(|relation| relation.oid);
        match self.0.get(&(schema.to_owned(), name.to_owned()))? {
            Own::Made { relation, over } if *over == known => Some(Found::Made(relation)),
            Own::Dropped(oid) if Some(*oid) == known => Some(Found::Dropped),
            Own::Made { .. } | Own::Dropped(_) => None,
        }
    }
}

impl Relation {
    /// A table of which nothing but its columns' names is known.
    fn own(schema: &str, name: &str, columns: &[String]) -> Self {
        let columns = (1..).zip(columns).map(|(number, name)| Column::own(number, name));
        Self::plain_table(schema, name, columns.collect())
    }
}
