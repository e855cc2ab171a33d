//! What a write of an unprotected table sets off in others: the actions of foreign keys, from table
//! to table.

use std::collections::BTreeSet;

use crate::{
    Mode,
    catalogue::Relation,
    query::Analysis,
    refusal::{Judged, refuse},
};

/// What an action does to a table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Done {
    /// Rows go.
    Delete,
    /// Columns are set, by number.
    Set(BTreeSet<i16>),
}

impl Analysis<'_> {
    /// Follows the actions of foreign keys from a table, and looks at each table that they reach as
    /// if the statement wrote it: a table in between protects nothing.
    pub(super) fn sets_off(&self, relation: &Relation, done: Done) -> Judged<()> {
        let mut seen = BTreeSet::new();
        let mut next = vec![(relation.oid, done)];
        while let Some((oid, done)) = next.pop() {
            if !seen.insert((oid, done.clone())) {
                continue;
            }
            for (from, done) in self.reached(oid, &done) {
                self.charge_definition(0)?;
                self.may_be_reached(relation, (oid, from), &done)?;
                next.push((from, done));
            }
        }
        Ok(())
    }

    /// The tables that the actions of foreign keys to this one change, and how.
    fn reached(&self, oid: u32, done: &Done) -> Vec<(u32, Done)> {
        let family: Vec<u32> = self.resolver.family(oid).iter().map(|one| one.oid).collect();
        let keys = self.resolver.catalogue.foreign_keys().iter();
        let keys = keys.filter(|key| family.contains(&key.to));
        let reached = keys.filter_map(|key| {
            let action = match done {
                Done::Delete => key.on_delete,
                Done::Set(columns) => {
                    key.targets.iter().any(|target| columns.contains(target)).then_some(())?;
                    key.on_update
                }
            };
            let done = match (action, done) {
                ('a' | 'r', _) => return None,
                ('c', Done::Delete) => Done::Delete,
                _ => Done::Set(self.with_computed(key.from, &key.columns)),
            };
            Some((key.from, done))
        });
        reached.collect()
    }

    /// Columns, and those that are generated from them.
    fn with_computed(&self, oid: u32, columns: &[i16]) -> BTreeSet<i16> {
        let Some(relation) = self.resolver.catalogue.relation(oid) else {
            return columns.iter().copied().collect();
        };
        let is_set = |name: &str| {
            relation.columns.iter().any(|c| c.name == name && columns.contains(&c.number))
        };
        set_columns(relation, &is_set)
    }

    fn may_be_reached(&self, written: &Relation, (by, oid): (u32, u32), done: &Done) -> Judged<()> {
        let resolver = &self.resolver;
        let no = |why: &str| {
            refuse(
                "write",
                format!(
                    "`{}.{}` can't be written by this role: {why}",
                    written.schema, written.name
                ),
                "ask the administrator to list the function, or write another table",
            )
        };
        let family = resolver.family(oid);
        let Some(relation) = resolver.catalogue.relation(oid) else {
            return no("what the write would cascade to is not known");
        };
        if family.iter().any(|one| resolver.is_protected(one.oid)) {
            return no("the write would cascade to a protected table");
        }
        if resolver.rules.mode == Mode::Restricted && resolver.is_read_by_a_reason(relation) {
            return no("the write would cascade to what a reason is read from");
        }
        let mut triggers = family.iter().flat_map(|r| resolver.catalogue.triggers(r.oid));
        if family.iter().any(|one| one.rules)
            || triggers.any(|name| resolver.sets_off_unknown(name))
        {
            return no(
                "the write would cascade to a table with rules, or with a trigger whose function \
                       is not listed",
            );
        }
        let is_set = |name: &str| match done {
            Done::Delete => true,
            Done::Set(columns) => {
                relation.columns.iter().any(|c| c.name == name && columns.contains(&c.number))
            }
        };
        if self.is_referred_to(relation, &is_set) {
            return no("the write would cascade to what protected values refer to");
        }
        // Whether a foreign key is satisfied says whether the protected table has the value. That
        // by which it is reached always is.
        let refers = resolver.catalogue.foreign_keys().iter().any(|key| {
            let set = matches!(done, Done::Set(set) if key.columns.iter().any(|c| set.contains(c)));
            let by_default = key.on_update == 'd' || key.on_delete == 'd';
            let always = key.to == by && !by_default;
            key.from == oid && set && !always && resolver.is_protected(key.to)
        });
        if refers {
            no("the write would cascade to what refers to a protected table")
        } else {
            Ok(())
        }
    }
}

/// The columns of which that is said, and those that are generated from them.
pub(super) fn set_columns(relation: &Relation, is_set: &dyn Fn(&str) -> bool) -> BTreeSet<i16> {
    let set = relation
        .columns
        .iter()
        .filter(|column| is_set(&column.name) || column.reads.iter().any(|read| is_set(read)));
    set.map(|column| column.number).collect()
}
