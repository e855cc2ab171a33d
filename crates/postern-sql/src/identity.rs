//! Protected tables and columns under other names.
//!
//! The configuration names tables and columns, and names can be changed: two tables swap theirs, a
//! column is renamed to what anybody may see, a partition is detached. Data does not become public
//! by that. So what was once seen to be protected stays so, by its OID and number, as long as the
//! gateway runs; whoever means it otherwise configures it.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Catalogue, catalogue::Relation};

/// What the configuration says of a protected table, for every role.
#[derive(Debug, Clone, Copy)]
pub struct ProtectedTable<'a> {
    /// The table's schema.
    pub schema: &'a str,
    /// The table's name.
    pub table: &'a str,
    /// The column that says whose record a row is.
    pub subject: &'a str,
    /// The columns that anybody may see.
    pub clear: &'a [String],
}

/// What was seen to be protected since the gateway started.
#[derive(Debug, Clone, Default)]
pub struct Identities {
    /// The schema and name that a relation was protected by, by its OID.
    relations: BTreeMap<u32, (String, String)>,
    /// Protected columns, by OID and number.
    columns: BTreeSet<(u32, i16)>,
}

impl Identities {
    /// Another configuration is in force. What both say of a table is remembered as it was; what
    /// the new one says for the first time counts for what has that name in this catalogue.
    pub fn reconfigured(
        &mut self,
        catalogue: &Catalogue,
        before: &[ProtectedTable<'_>],
        after: &[ProtectedTable<'_>],
    ) {
        self.relations.retain(|oid, (schema, table)| {
            let is_new = |now: &Relation| {
                named(after, &now.schema, &now.name).is_some()
                    && named(before, &now.schema, &now.name).is_none()
            };
            named(after, schema, table).is_some() && !catalogue.relation(*oid).is_some_and(is_new)
        });
        self.columns.retain(|(oid, number)| {
            let Some((schema, table)) = self.relations.get(oid) else { return false };
            let tables = (named(before, schema, table), named(after, schema, table));
            let (Some(was), Some(is)) = tables else { return false };
            let mut columns = catalogue.relation(*oid).into_iter().flat_map(|r| &r.columns);
            let is_new = |name: &str| is.is_free(name) && !was.is_free(name);
            !columns.any(|column| column.number == *number && is_new(&column.name))
        });
    }
}

fn named<'a>(
    tables: &'a [ProtectedTable<'a>],
    schema: &str,
    table: &str,
) -> Option<&'a ProtectedTable<'a>> {
    tables.iter().find(|known| known.schema == schema && known.table == table)
}

impl ProtectedTable<'_> {
    fn is_free(&self, column: &str) -> bool {
        self.subject == column || self.clear.iter().any(|clear| clear == column)
    }
}

impl Catalogue {
    /// The catalogue, in which what was protected before still is; adds what is protected now.
    #[must_use]
    pub fn remembering(mut self, seen: &mut Identities, tables: &[ProtectedTable<'_>]) -> Self {
        let found: Vec<(u32, (String, String))> = self
            .relation_oids()
            .filter_map(|oid| Some((oid, self.protected_by(oid, seen, tables)?)))
            .collect();
        for (oid, name) in found {
            let name = seen.relations.entry(oid).or_insert(name).clone();
            let Some(table) = named(tables, &name.0, &name.1) else { continue };
            let Some(relation) = self.relation_mut(oid) else { continue };
            for column in &mut relation.columns {
                let free = table.is_free(&column.name);
                if !free {
                    seen.columns.insert((oid, column.number));
                }
                column.kept = free && seen.columns.contains(&(oid, column.number));
            }
            relation.protected_by = Some(name);
        }
        self
    }

    fn protected_by(
        &self,
        oid: u32,
        seen: &Identities,
        tables: &[ProtectedTable<'_>],
    ) -> Option<(String, String)> {
        let mut above = vec![oid];
        let mut next = 0;
        while let Some(oid) = above.get(next).copied() {
            next += 1;
            if let Some(name) = seen.relations.get(&oid) {
                return Some(name.clone());
            }
            let relation = self.relation(oid);
            let named = |table: &&ProtectedTable<'_>| {
                relation.is_some_and(|r| r.schema == table.schema && r.name == table.table)
            };
            if let Some(table) = tables.iter().find(named) {
                return Some((table.schema.to_owned(), table.table.to_owned()));
            }
            let parents = self.parents(oid).iter().filter(|oid| !above.contains(oid));
            above.extend(parents.copied().collect::<Vec<_>>());
        }
        None
    }
}

#[cfg(test)]
mod tests;
