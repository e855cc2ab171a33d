//! `SELECT … FOR UPDATE` of a protected table.
//!
//! Who may change a record may hold it first, as programs do that read, decide and write. A
//! restricted role locks what it may change, and finds nothing else of a table whose rows it locks:
//! else it could keep others from their work. Which of those it locks, and whether it waits for
//! those that somebody else has locked, leaves them out or fails for them, tells of its own records
//! only. For other roles it is one table by itself, of which the records are named by their key,
//! without SKIP LOCKED and NOWAIT, which would tell of what others do with any record.

use std::collections::BTreeSet;

use pg_query::{Node, NodeEnum, protobuf as pb};

use super::{Analysis, LeafBuild, leaf::Shown, leaf::shown, scalar::is_found_by, select::Place};
use crate::{
    KeySet, Mode, Reach, TableRule,
    catalogue::Relation,
    refusal::{Judged, refuse},
    resolve::Resolved,
};

/// The protected tables that a select names in FROM, where it names nothing but tables.
struct Named<'a> {
    alias: String,
    relation: &'a Relation,
    rule: &'a TableRule,
}

impl<'a> Analysis<'a> {
    /// Notes what a select locks; what may not be locked is refused when all is known.
    pub(super) fn locks(&mut self, select: &pb::SelectStmt, place: Place) {
        if select.locking_clause.is_empty() {
            return;
        }
        if self.target.chooses.is_some() {
            // The table is all that is chosen from, and of that nothing is found but what may be
            // changed.
            let tables = self.tables(&select.from_clause);
            let locked = tables.and_then(|tables| self.lockable_ones(select, &tables));
            self.acts.locks_rows |= locked.is_none();
            self.facts.locked.extend(locked.map(|_| self.leaves.len()));
            return;
        }
        let alone = place == Place::Top && select.with_clause.is_none() && !self.acts.locks_rows;
        let tables = if alone { self.tables(&select.from_clause) } else { None };
        let locked = tables.as_ref().and_then(|tables| self.lockable_ones(select, tables));
        self.acts.locks_named = match (tables, locked) {
            (Some(tables), Some(locked)) => {
                let before = self.leaves.len();
                // The table is all that a leaf reads: the lock is on what the sub-select names.
                self.facts.locked.extend(locked.into_iter().map(|leaf| before + leaf));
                Some(before + tables.len())
            }
            _ => None,
        };
        self.acts.locks_rows = true;
    }

    /// Which of the protected tables are locked, by their places among them; `None` where
    /// anything is locked that may not be.
    fn lockable_ones(&self, select: &pb::SelectStmt, tables: &[Named<'a>]) -> Option<Vec<usize>> {
        let by_key = |table: &Named<'_>| {
            is_found_by(select, (&table.alias, table.relation), &|column| {
                column.primary || column.unique || column.name == table.rule.subject
            })
        };
        let mut locked = BTreeSet::new();
        for clause in &select.locking_clause {
            let Some(NodeEnum::LockingClause(lock)) = &clause.node else { return None };
            let waits = lock.wait_policy() == pb::LockWaitPolicy::LockWaitBlock;
            for place in of_clause(lock, tables)? {
                let table = tables.get(place)?;
                let only = select.from_clause.len() == 1 && self.only_protected(select).is_some();
                let named = only && waits && by_key(table);
                if !self.may_change(table.rule)
                    || !named && !self.only_own(table.relation, table.rule)
                {
                    return None;
                }
                locked.insert(place);
            }
        }
        Some(locked.into_iter().collect())
    }

    /// The protected tables among the items of FROM, in the order of their leaves; `None` where
    /// there is anything but tables.
    fn tables(&self, items: &[Node]) -> Option<Vec<Named<'a>>> {
        let mut tables = Vec::new();
        for item in items {
            match item.node.as_ref()? {
                NodeEnum::RangeVar(range) => {
                    let common = range.schemaname.is_empty()
                        && self.commons.iter().any(|common| common.name == range.relname);
                    let alias = range.alias.as_ref();
                    if common || alias.is_some_and(|alias| !alias.colnames.is_empty()) {
                        return None;
                    }
                    let alias = alias.map_or(&range.relname, |alias| &alias.aliasname).clone();
                    match self.resolver.relation(range).ok()? {
                        Resolved::Protected(relation, rule) => {
                            tables.push(Named { alias, relation, rule });
                        }
                        Resolved::Plain(_) => {}
                        Resolved::View(_) | Resolved::Catalogue { .. } => return None,
                    }
                }
                NodeEnum::JoinExpr(join) if join.alias.is_none() => {
                    for side in [&join.larg, &join.rarg] {
                        tables.extend(self.tables(std::slice::from_ref(side.as_deref()?))?);
                    }
                }
                _ => return None,
            }
        }
        Some(tables)
    }

    /// Whether nothing is found of a table that is locked but the actor's own records, and nothing
    /// of those tells by their order what is not shown of them.
    fn only_own(&self, relation: &Relation, rule: &TableRule) -> bool {
        let own = reachable(rule);
        let is_clear = |column| match shown(rule, column) {
            Shown::Free | Shown::Always => true,
            Shown::Keyed(set, _) => own.iter().all(|reached| *reached == set),
            Shown::Masked(_) => false,
        };
        self.resolver.rules.mode == Mode::Restricted
            && (!self.tells_by_order(relation, rule) || relation.columns.iter().all(is_clear))
    }

    /// Whether the role may change something of a table.
    fn may_change(&self, rule: &TableRule) -> bool {
        match self.resolver.rules.mode {
            Mode::Accounted => reaches(rule).any(|reach| reach == Reach::All),
            Mode::Restricted => !reachable(rule).is_empty(),
        }
    }

    /// Of whom records may be locked, if the leaf's rows are: of those whose records may be
    /// changed. Others are not found.
    pub(super) fn lockable(&self, leaf: usize, build: &LeafBuild<'_>) -> Option<BTreeSet<KeySet>> {
        let restricted = self.resolver.rules.mode == Mode::Restricted;
        (self.is_locked(leaf) && restricted).then(|| reachable(build.rule))
    }

    /// Whether the rows that are locked are the actor's own and need no order.
    pub(super) fn locks_own(&self, leaf: usize, build: &LeafBuild<'_>) -> bool {
        self.is_locked(leaf) && self.only_own(build.relation, build.rule)
    }

    pub(super) fn is_locked(&self, leaf: usize) -> bool {
        let named = self.acts.locks_named.is_some() || self.target.chosen.contains(&leaf);
        named && self.facts.locked.contains(&leaf)
    }

    /// What is locked of protected tables is what [`Analysis::locks`] has found to be named.
    pub(super) fn close_locks(&self) -> Judged<()> {
        let named =
            self.acts.locks_named == Some(self.leaves.len()) && self.facts.lookups.is_empty();
        if self.acts.locks_rows && !self.leaves.is_empty() && !named {
            return refuse(
                "row_lock",
                "these rows of a protected table can't be locked by this role",
                "lock records that the role may change, of tables that the outermost SELECT names \
                 itself; or leave FOR UPDATE or FOR SHARE out",
            );
        }
        Ok(())
    }
}

/// The places of the tables that a clause locks; `None` where it locks one that is not protected.
fn of_clause(lock: &pb::LockingClause, tables: &[Named<'_>]) -> Option<Vec<usize>> {
    if lock.locked_rels.is_empty() {
        return Some((0..tables.len()).collect());
    }
    let place = |node: &Node| {
        let Some(NodeEnum::RangeVar(range)) = &node.node else { return None };
        tables.iter().position(|table| table.alias == range.relname)
    };
    lock.locked_rels.iter().map(place).collect()
}

fn reaches(rule: &TableRule) -> impl Iterator<Item = Reach> {
    rule.update.iter().map(|update| update.reach).chain([rule.delete])
}

fn reachable(rule: &TableRule) -> BTreeSet<KeySet> {
    let sets = reaches(rule).filter_map(|reach| match reach {
        Reach::Keyed(set) | Reach::Own(set) => Some(set),
        Reach::All | Reach::Refuse => None,
    });
    sets.collect()
}
