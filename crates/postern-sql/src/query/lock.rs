//! `SELECT … FOR UPDATE` of a protected table.
//!
//! Who may change a record may hold it first, as programs do that read, decide and write: one table
//! by itself, of which the records are named by their key. Whoever locks one can make others wait,
//! and waits for them; what is left out because somebody else has locked it (SKIP LOCKED), or fails
//! for it (NOWAIT), would tell of what others do. A restricted role locks what it may change, and
//! finds nothing else: else it could keep others from their work.

use std::collections::BTreeSet;

use pg_query::{Node, NodeEnum, protobuf as pb};

use super::{Analysis, LeafBuild, scalar::is_found_by, select::Place};
use crate::{
    KeySet, Mode, Reach, TableRule,
    refusal::{Judged, refuse},
};

impl Analysis<'_> {
    /// Notes what a select locks; what may not be locked is refused when all is known.
    pub(super) fn locks(&mut self, select: &pb::SelectStmt, place: Place) {
        if select.locking_clause.is_empty() {
            return;
        }
        let waits = |node: &Node| match &node.node {
            Some(NodeEnum::LockingClause(lock)) => {
                lock.wait_policy() == pb::LockWaitPolicy::LockWaitBlock
            }
            _ => false,
        };
        let named = place == Place::Top
            && select.with_clause.is_none()
            && select.locking_clause.iter().all(waits)
            && self.only_protected(select).is_some_and(|(alias, relation)| {
                self.resolver.rule_of(relation.oid).is_some_and(|rule| {
                    self.may_change(rule)
                        && is_found_by(select, (alias, relation), &|column| {
                            column.primary || column.unique || column.name == rule.subject
                        })
                })
            });
        if named && !self.acts.locks_rows {
            // The table is all that the leaf reads: the lock is on what the sub-select names.
            self.facts.locked.insert(self.leaves.len());
            self.acts.locks_named = true;
        } else {
            self.acts.locks_named = false;
        }
        self.acts.locks_rows = true;
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
    pub(super) fn lockable(&self, build: &LeafBuild<'_>) -> Option<BTreeSet<KeySet>> {
        let restricted = self.resolver.rules.mode == Mode::Restricted;
        (self.acts.locks_named && restricted).then(|| reachable(build.rule))
    }

    /// What is locked of protected tables is what [`Analysis::locks`] has found to be named.
    pub(super) fn close_locks(&self) -> Judged<()> {
        let named =
            self.acts.locks_named && self.leaves.len() == 1 && self.facts.lookups.is_empty();
        if self.acts.locks_rows && !self.leaves.is_empty() && !named {
            return refuse(
                "row_lock",
                "these rows of a protected table can't be locked by this role",
                "name the records of one table by their key, without SKIP LOCKED or NOWAIT, where \
                 the role may change them; or leave FOR UPDATE or FOR SHARE out",
            );
        }
        Ok(())
    }
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
