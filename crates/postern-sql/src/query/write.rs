//! INSERT, UPDATE and DELETE.
//!
//! Here are those of unprotected tables, which must not read a protected one and must not set off
//! anything unknown. Those of protected tables are in `protected`, `insert` and `take`; what
//! reasons read is guarded in `reach`.

use std::{collections::BTreeSet, mem};

use pg_query::{Node, NodeEnum, protobuf as pb};

use super::{
    Analysis,
    from::{Star, derived, plain_columns},
    leaf::{Shown, shown},
    scope::{Item, Scope},
    select::Place,
};
use crate::{
    KeySet, LookupValue, Mode, Refusal, TableRule,
    catalogue::{Column, Relation},
    refusal::{Judged, not_understood, refuse},
    resolve::Resolved,
    taint::Rows,
};

mod chosen;
mod insert;
mod joined;
mod masked;
mod protected;
mod reach;
mod same;
mod sets_off;
mod shown;
mod take;
mod value;

use self::{
    reach::Needs,
    sets_off::{Done, set_columns},
};

/// A protected table that a statement writes; it is changed where it is named, never through a
/// leaf, which would lose updates.
#[derive(Debug, Clone, Default)]
pub(crate) struct Target {
    /// Its place among the leaves.
    pub(crate) leaf: Option<usize>,
    /// How many of the leaves stand in the condition on it.
    pub(crate) filters: usize,
    /// Values that are stored where they must be the only ones, by column number.
    pub(crate) stored: Vec<(i16, LookupValue)>,
    /// Rows are inserted or taken.
    pub(crate) opens: bool,
    /// The statement's rows are for the ledger only.
    pub(crate) silent: bool,
    /// Whose rows are touched by a reason only: of subjects in each of these sets.
    pub(crate) relies: BTreeSet<KeySet>,
    /// The protected column that is set now, where all rows that are touched are the actor's own:
    /// its new value may be computed of its old one.
    pub(super) kept: Option<i16>,
    /// Protected columns that are set from their old values, which decide what is done.
    pub(crate) computed: Vec<i16>,
    /// What comes back of the rows that were touched is being judged: those of which the actor
    /// sees a column, in that column.
    shows_own: bool,
    /// All that comes back of the rows that a common table changes is what the statement gives.
    tells: bool,
    /// Rows that are to be written are being chosen: what they must meet.
    pub(super) chooses: Option<Needs>,
    /// The leaves that those are chosen from, which have no others.
    pub(super) chosen: BTreeSet<usize>,
}

/// Which foreign-key action a write can set off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Insert,
    Update,
    Delete,
}

impl<'a> Analysis<'a> {
    pub(crate) fn insert(&mut self, insert: &mut pb::InsertStmt) -> Judged<Rows> {
        self.facts.held = true;
        if let Some((relation, rule)) = self.protected(insert.relation.as_ref())? {
            return self.insert_protected(insert, relation, rule);
        }
        self.with(insert.with_clause.as_mut(), None)?;
        let changes: &[Change] = match insert.on_conflict_clause {
            None => &[Change::Insert],
            Some(_) => &[Change::Insert, Change::Update],
        };
        if let Some(conflict) = &insert.on_conflict_clause {
            self.may_be_set(insert.relation.as_ref(), Some(&conflict.target_list))?;
        }
        let target = self.target_table(insert.relation.as_mut(), changes)?;
        let mut scope = Scope::new(None);
        self.assignments(&mut insert.cols, &scope)?;
        match insert.select_stmt.as_mut().map(|node| node.node.as_mut()) {
            None => {}
            Some(Some(NodeEnum::SelectStmt(select))) => {
                self.select(select, None, Place::Bare)?;
            }
            Some(_) => return not_understood("this kind of INSERT"),
        }
        let mut excluded = target.clone();
        excluded.alias = "excluded".to_owned();
        excluded.schema = None;
        scope.items = vec![target.clone(), excluded];
        if let Some(conflict) = insert.on_conflict_clause.as_deref_mut() {
            if let Some(infer) = conflict.infer.as_deref_mut() {
                for node in &mut infer.index_elems {
                    let Some(NodeEnum::IndexElem(element)) = node.node.as_mut() else {
                        return not_understood("this kind of conflict target");
                    };
                    self.all(element.expr.as_deref_mut(), &scope)?;
                }
                self.all(infer.where_clause.as_deref_mut(), &scope)?;
            }
            self.assignments(&mut conflict.target_list, &scope)?;
            self.all(conflict.where_clause.as_deref_mut(), &scope)?;
        }
        scope.items.truncate(1);
        self.returning(insert.returning_clause.as_mut(), &scope)
    }

    pub(crate) fn update(&mut self, update: &mut pb::UpdateStmt) -> Judged<Rows> {
        self.facts.held = true;
        if let Some((relation, rule)) = self.protected(update.relation.as_ref())? {
            return self.update_protected(update, relation, rule);
        }
        self.with(update.with_clause.as_mut(), None)?;
        self.may_be_set(update.relation.as_ref(), Some(&update.target_list))?;
        let target = self.target_table(update.relation.as_mut(), &[Change::Update])?;
        let mut scope = Scope::new(None);
        scope.items.push(target);
        self.read_from_clause(&mut update.from_clause, &mut scope, Place::Bare)?;
        self.assignments(&mut update.target_list, &scope)?;
        self.all(update.where_clause.as_deref_mut(), &scope)?;
        self.returning(update.returning_clause.as_mut(), &scope)
    }

    pub(crate) fn delete(&mut self, delete: &mut pb::DeleteStmt) -> Judged<Rows> {
        self.facts.held = true;
        if let Some((relation, rule)) = self.protected(delete.relation.as_ref())? {
            return self.delete_protected(delete, relation, rule);
        }
        self.with(delete.with_clause.as_mut(), None)?;
        let target = self.target_table(delete.relation.as_mut(), &[Change::Delete])?;
        let mut scope = Scope::new(None);
        scope.items.push(target);
        self.read_from_clause(&mut delete.using_clause, &mut scope, Place::Bare)?;
        self.all(delete.where_clause.as_deref_mut(), &scope)?;
        self.returning(delete.returning_clause.as_mut(), &scope)
    }

    /// The target, if it is a protected table.
    fn protected(
        &self,
        range: Option<&pb::RangeVar>,
    ) -> Judged<Option<(&'a Relation, &'a TableRule)>> {
        let Some(range) = range else { return not_understood("a write without a table") };
        match self.resolver.relation(range)? {
            Resolved::Protected(relation, rule) => Ok(Some((relation, rule))),
            Resolved::Plain(_) | Resolved::View(_) | Resolved::Catalogue { .. } => Ok(None),
        }
    }

    /// A write within a query is one of an unprotected table: a protected one is written by a
    /// statement of its own.
    pub(super) fn within(&self, range: Option<&pb::RangeVar>) -> Judged<()> {
        match self.protected(range)? {
            Some((relation, _)) => protected_write(relation),
            None => Ok(()),
        }
    }

    pub(super) fn assignments(&mut self, targets: &mut [Node], scope: &Scope<'_>) -> Judged<()> {
        for node in targets {
            let Some(NodeEnum::ResTarget(target)) = node.node.as_mut() else {
                return not_understood("this kind of assignment");
            };
            if !target.indirection.is_empty() {
                return not_understood("an assignment to a part of a column");
            }
            match target.val.as_deref_mut() {
                None => {}
                Some(Node { node: Some(NodeEnum::MultiAssignRef(assign)) }) => {
                    self.all(assign.source.as_deref_mut(), scope)?;
                }
                Some(value) => {
                    self.expression(value, scope)?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn returning(
        &mut self,
        returning: Option<&mut pb::ReturningClause>,
        scope: &Scope<'_>,
    ) -> Judged<Rows> {
        let Some(returning) = returning else { return Ok(Rows::default()) };
        let star = Star::of_all(&scope.items);
        let mut targets = mem::take(&mut returning.exprs);
        let outputs = self.targets(&mut targets, &star, scope, Place::Top)?;
        returning.exprs = targets;
        Ok(Rows {
            columns: outputs.columns.into_iter().map(|output| output.column).collect(),
            open: outputs.open,
            ..Rows::default()
        })
    }

    /// The target, if it is an unprotected table whose writes run nothing unknown.
    pub(super) fn target_table(
        &mut self,
        range: Option<&mut pb::RangeVar>,
        changes: &[Change],
    ) -> Judged<Item> {
        self.acts.writes = true;
        let Some(range) = range else { return not_understood("a write without a table") };
        let shadowed = self.commons.iter().any(|common| common.name == range.relname);
        if shadowed && range.schemaname.is_empty() {
            return not_understood("a target with the name of a common table");
        }
        let relation = match self.resolver.relation(range)? {
            Resolved::Plain(_) if self.resolver.context.own.is_some() && self.beside => {
                // What the session has said of its columns is not known for certain.
                return refuse(
                    "definition",
                    "a session that has defined something can't write to a table by what it reads \
                     of a protected one",
                    "write in a session, or a transaction, that has defined nothing",
                );
            }
            Resolved::Plain(relation) => relation,
            Resolved::Protected(relation, _) | Resolved::View(relation) => {
                return protected_write(relation);
            }
            Resolved::Catalogue { .. } => return not_understood("a write to a system catalogue"),
        };
        self.opens(relation);
        changes.iter().try_for_each(|change| self.writable(relation, *change))?;
        let alias = range.alias.as_ref().map_or(&range.relname, |alias| &alias.aliasname).clone();
        let schema = range.alias.is_none().then(|| relation.schema.clone());
        range.schemaname.clone_from(&relation.schema);
        range.catalogname.clear();
        let rows = Rows {
            columns: plain_columns(relation.columns.iter().map(|column| &column.name)),
            ..Rows::default()
        };
        let system = !self.is_referred_to(relation, &|_| true);
        Ok(Item { schema, system, has_system: true, ..derived(alias, rows) })
    }

    fn writable(&self, relation: &Relation, change: Change) -> Judged<()> {
        let resolver = &self.resolver;
        let unsafe_write = |why: &str| {
            refuse(
                "write",
                format!(
                    "`{}.{}` can't be written by this role: {why}",
                    relation.schema, relation.name
                ),
                "ask the administrator to list the function, or write another table",
            )
        };
        if !matches!(relation.kind, 'r' | 'p') {
            return unsafe_write("it is no table");
        }
        if resolver.rules.mode == Mode::Restricted && resolver.is_read_by_a_reason(relation) {
            return unsafe_write("a reason is read from it");
        }
        let family = resolver.family(relation.oid);
        if family.iter().any(|relation| relation.rules) {
            return unsafe_write("it has rules");
        }
        let mut triggers = family.iter().flat_map(|r| resolver.catalogue.triggers(r.oid));
        if triggers.any(|name| resolver.sets_off_unknown(name)) {
            return unsafe_write("it has a trigger whose function is not listed");
        }
        let cascades = resolver.catalogue.foreign_keys().iter().any(|key| {
            let action = match change {
                Change::Insert => 'a',
                Change::Update => key.on_update,
                Change::Delete => key.on_delete,
            };
            key.to == relation.oid
                && !matches!(action, 'a' | 'r')
                && resolver.is_protected(key.from)
        });
        if cascades {
            return unsafe_write("the write would cascade to a protected table");
        }
        // Whether a foreign key is satisfied says whether the protected table has the value.
        let refers = resolver
            .catalogue
            .foreign_keys()
            .iter()
            .any(|key| key.from == relation.oid && resolver.is_protected(key.to));
        if refers && change != Change::Delete && !resolver.is_protected(relation.oid) {
            return unsafe_write("it refers to a protected table");
        }
        if change == Change::Delete {
            if self.is_referred_to(relation, &|_| true) {
                return unsafe_write("protected values refer to it");
            }
            self.sets_off(relation, Done::Delete)?;
        }
        Ok(())
    }

    /// Columns of an unprotected table are set: whether that is possible where a protected value
    /// refers to one tells of the value.
    pub(super) fn may_be_set(
        &self,
        range: Option<&pb::RangeVar>,
        targets: Option<&[Node]>,
    ) -> Judged<()> {
        let Some(Resolved::Plain(relation)) =
            range.map(|r| self.resolver.relation(r)).transpose()?
        else {
            return Ok(());
        };
        // A session that has defined something can have renamed it.
        let targets = targets.filter(|_| self.resolver.context.own.is_none());
        let names: Option<Vec<&str>> = targets.map(|targets| {
            let names = targets.iter().filter_map(|node| match &node.node {
                Some(NodeEnum::ResTarget(target)) => Some(target.name.as_str()),
                _ => None,
            });
            names.collect()
        });
        self.may_set(relation, &|column| names.as_ref().is_none_or(|names| names.contains(&column)))
    }

    /// The same of columns of any table, of which it is `said` that they are set.
    pub(super) fn may_set(&self, relation: &Relation, said: &dyn Fn(&str) -> bool) -> Judged<()> {
        let set = set_columns(relation, said);
        let is_set = |name: &str| {
            said(name) || relation.columns.iter().any(|c| c.name == name && set.contains(&c.number))
        };
        self.sets_off(relation, Done::Set(set.clone()))?;
        if self.is_referred_to(relation, &is_set) {
            return refuse(
                "write",
                format!("protected values refer to a column of `{}` that is set", relation.name),
                "leave the column out",
            );
        }
        Ok(())
    }

    /// Whether a protected table's foreign key by protected columns refers to such columns.
    pub(crate) fn is_referred_to(
        &self,
        relation: &Relation,
        columns: &dyn Fn(&str) -> bool,
    ) -> bool {
        let resolver = &self.resolver;
        let family = resolver.family(relation.oid);
        let named = |number: &i16| {
            let known = family.iter().flat_map(|one| &one.columns);
            known.filter(|column| column.number == *number).any(|column| columns(&column.name))
        };
        resolver.catalogue.foreign_keys().iter().any(|key| {
            let Some(rule) = resolver.rule_of(key.from) else { return false };
            let Some(from) = resolver.catalogue.relation(key.from) else { return true };
            let free = |number: &i16| {
                let column = from.columns.iter().find(|column| column.number == *number);
                column.is_some_and(|column| match resolver.rules.mode {
                    Mode::Restricted => protected::is_free(rule, column),
                    Mode::Accounted => matches!(shown(rule, column), Shown::Free),
                })
            };
            family.iter().any(|one| one.oid == key.to)
                && key.targets.iter().any(named)
                && !key.columns.iter().all(free)
        })
    }
}

/// Adds a column that is written; PostgreSQL does not take one twice either.
fn once<'r>(columns: &mut Vec<&'r Column>, column: &'r Column) -> Judged<()> {
    if columns.iter().any(|other| other.number == column.number) {
        return Err(Refusal {
            sqlstate: "42701",
            rule: "duplicate_column",
            message: format!("column \"{}\" is written more than once", column.name),
            hint: "give each column one value".to_owned(),
            position: None,
        });
    }
    columns.push(column);
    Ok(())
}

fn protected_write<T>(relation: &Relation) -> Judged<T> {
    refuse(
        "protected_write",
        format!(
            "`{}.{}` is protected and can't be written this way",
            relation.schema, relation.name
        ),
        "change listed columns of your own customers' rows in a plain statement, take the next one \
         of the queue, or use the workflow that the administrator set up",
    )
}
