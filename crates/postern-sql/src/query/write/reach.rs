//! Which rows of a protected table a write may touch.
//!
//! What makes somebody entitled is never changed from outside: keys, actors and whatever else a
//! reason reads are immutable. A column that a reason's condition reads may be changed in rows
//! only that are the actor's own by every such reason at that moment; such a row entitles them
//! already and nobody else, and it still does at most that afterwards. One that decides which row
//! is next in a queue may be changed in rows only that somebody has. The conditions are the
//! gateway's and stand in the statement, so that the server asks them of the row's newest version.

use std::collections::{BTreeMap, BTreeSet};

use pg_query::{Node, NodeEnum, protobuf as pb};

use super::same::is_given;
use crate::{
    Hole, KeySet, Mode, Reach, ReasonRule, Refusal, Strong, TableRule, ast,
    catalogue::{Column, Relation},
    query::{
        Analysis,
        leaf::{LeafBuild, Shown, shown},
        lookup::{conjunction, conjuncts},
    },
    reads::{ConditionReads, condition_reads},
    refusal::{Judged, refuse},
};

/// What a row must meet to be written.
#[derive(Debug, Clone, Default)]
pub(in crate::query) struct Needs {
    /// Its subject is in each of these sets.
    sets: BTreeSet<KeySet>,
    /// It is the actor's own by these reasons, counted within the table's.
    own: BTreeSet<usize>,
    /// It has somebody by these reasons, counted likewise, whose queue the columns decide.
    taken: BTreeSet<usize>,
    /// Columns that can't be changed and may be given the value that they have, by number, with
    /// what the client is told where it is another.
    pub(super) fixed: BTreeMap<i16, Refusal>,
}

impl Needs {
    /// Whether all rows that meet it are ones of which the actor sees the column in clear.
    pub(super) fn holds_of_own(&self, rule: &TableRule, column: &Column) -> bool {
        matches!(shown(rule, column), Shown::Keyed(set, _) if self.sets.contains(&set))
    }
}

impl<'a> Analysis<'a> {
    /// What rows must meet for these columns to be set. One that can't be changed may be given the
    /// value that it has, beside others that can be: programs write all columns of a record back.
    pub(super) fn reach_of_update(
        &self,
        relation: &Relation,
        rule: &TableRule,
        targets: &[(&Node, &Column)],
    ) -> Judged<Needs> {
        let mut needs = Needs::default();
        let mut first = None;
        for (node, column) in targets {
            if gives_back(node) && self.reach_of_giving_back(relation, rule, column, &mut needs) {
                continue;
            }
            let Err(refusal) = self.reach_of_column(relation, rule, column, &mut needs) else {
                continue;
            };
            if !is_given(node) || !self.is_compared_as_text(column) {
                return Err(refusal);
            }
            first.get_or_insert_with(|| refusal.clone());
            needs.fixed.insert(column.number, refusal);
        }
        if needs.fixed.len() == targets.len() {
            return first.map_or(Ok(needs), Err);
        }
        for (_, column) in targets {
            let Some(refusal) = needs.fixed.get(&column.number) else { continue };
            let shown = match self.resolver.rules.mode {
                Mode::Restricted => {
                    super::protected::is_free(rule, column) || needs.holds_of_own(rule, column)
                }
                Mode::Accounted => true,
            };
            if !shown {
                return Err(refusal.clone());
            }
        }
        Ok(needs)
    }

    /// What rows must meet for nobody to have them any more; `false` where that is not possible so.
    ///
    /// The actor gives up a reason and gets none, nor does anybody else: the row waits in its queue
    /// again, in the place that it has by the queue's order.
    fn reach_of_giving_back(
        &self,
        relation: &Relation,
        rule: &TableRule,
        column: &Column,
        needs: &mut Needs,
    ) -> bool {
        let reasons = || rule.reasons.iter().enumerate();
        let of_column = |reason: &ReasonRule| shows_in(relation, &column.name, &reason.actor);
        // Each reason that reads it does so as the actor, of a row that was taken from a queue.
        let taken = reasons().filter(|(_, reason)| reason.actor == column.name);
        let taken: BTreeSet<usize> =
            taken.filter(|(_, reason)| reason.take.is_some()).map(|(index, _)| index).collect();
        let reads = |reason: &ReasonRule| {
            let conditions = [
                Some(&reason.condition),
                match &reason.strong {
                    Strong::When(condition) => Some(condition),
                    Strong::Never | Strong::Always => None,
                },
            ];
            let reads = |text: &String| {
                condition_reads(text).map_or(true, |reads| reads.may_read(relation, &column.name))
            };
            conditions.into_iter().flatten().any(reads)
        };
        let otherwise = |(index, reason): (usize, &ReasonRule)| {
            of_column(reason) && !taken.contains(&index)
                || shows_in(relation, &column.name, &reason.subject)
                || reads(reason)
                || decides_queue(reason, relation, &column.name)
        };
        let set = rule.update.iter().find_map(|update| match update.reach {
            Reach::Keyed(set) | Reach::Own(set) => Some(set),
            Reach::Refuse | Reach::All => None,
        });
        let Some(set) = set.filter(|_| self.resolver.rules.mode == Mode::Restricted) else {
            return false;
        };
        if taken.is_empty() || column.name == rule.subject || reasons().any(otherwise) {
            return false;
        }
        needs.sets.insert(set);
        needs.own.extend(taken);
        true
    }

    /// What rows must meet for a column to be changed.
    fn reach_of_column(
        &self,
        relation: &Relation,
        rule: &TableRule,
        column: &Column,
        needs: &mut Needs,
    ) -> Judged<()> {
        if shows_in(relation, &column.name, &rule.subject) {
            if self.resolver.rules.mode == Mode::Restricted {
                return immutable(relation, &column.name);
            }
            // What is recorded of the row is whose it is, and not whose it was.
            return refuse(
                "entitlement",
                format!(
                    "column `{}` of `{}.{}` says whose the row is and can't be changed",
                    column.name, relation.schema, relation.name
                ),
                "leave it out of SET, or change it as a role that is passed through",
            );
        }
        let found = rule.update.iter().find(|update| update.column == column.name);
        let reach = found.map_or(Reach::Refuse, |update| update.reach);
        if self.resolver.rules.mode == Mode::Accounted {
            return match reach {
                Reach::All => Ok(()),
                Reach::Refuse | Reach::Keyed(_) | Reach::Own(_) => {
                    not_changed(relation, &column.name)
                }
            };
        }
        self.refers_to_nothing_protected(relation, column)?;
        let read_by = read_by(relation, rule, &column.name)?;
        match reach {
            Reach::Keyed(set) if read_by.is_empty() => {
                needs.sets.insert(set);
            }
            Reach::Own(set) if !read_by.is_empty() => {
                needs.sets.insert(set);
                needs.own.extend(read_by);
            }
            Reach::Keyed(_) | Reach::Own(_) => return immutable(relation, &column.name),
            Reach::Refuse | Reach::All => return not_changed(relation, &column.name),
        }
        // Which row is next in a queue is nobody's choice.
        let reasons = rule.reasons.iter().enumerate();
        let queues = reasons.filter(|(_, reason)| decides_queue(reason, relation, &column.name));
        needs.taken.extend(queues.map(|(index, _)| index));
        Ok(())
    }

    /// What rows must meet to be deleted.
    pub(super) fn reach_of_delete(&self, relation: &Relation, rule: &TableRule) -> Judged<Needs> {
        match (rule.delete, self.resolver.rules.mode) {
            (Reach::All, Mode::Accounted) => Ok(Needs::default()),
            (Reach::Keyed(set), Mode::Restricted) => {
                // Who is gone from a queue makes another the next.
                let reasons = rule.reasons.iter().enumerate();
                let queues = reasons.filter(|(_, reason)| reason.take.is_some());
                let taken = queues.map(|(index, _)| index).collect();
                Ok(Needs { sets: BTreeSet::from([set]), taken, ..Needs::default() })
            }
            _ => super::protected_write(relation),
        }
    }

    /// Whether a foreign key is satisfied says whether the other table has the value: a search,
    /// if the value is protected there.
    pub(super) fn refers_to_nothing_protected(
        &self,
        relation: &Relation,
        column: &Column,
    ) -> Judged<()> {
        let resolver = &self.resolver;
        let mut keys = resolver.catalogue.foreign_keys().iter();
        let refers = keys.any(|key| {
            let own = key.from == relation.oid && key.columns.contains(&column.number);
            let Some(rule) = resolver.rule_of(key.to).filter(|_| own) else { return false };
            let Some(other) = resolver.catalogue.relation(key.to) else { return true };
            let free = |number: &i16| {
                let target = other.columns.iter().find(|column| column.number == *number);
                target.is_some_and(|target| super::protected::is_free(rule, target))
            };
            !key.targets.iter().all(free)
        });
        if refers {
            return refuse(
                "write",
                format!("column `{}` refers to protected values", column.name),
                "leave the column out",
            );
        }
        Ok(())
    }

    /// Adds to a WHERE clause what rows must meet.
    pub(super) fn narrow(
        &mut self,
        condition: &mut Option<Box<Node>>,
        alias: &str,
        (leaf, needs): (usize, &Needs),
    ) -> Judged<()> {
        let Some(build) = self.leaves.get(leaf).cloned() else { return Ok(()) };
        let mut all: Vec<Node> = condition.take().map(|n| conjuncts(*n)).unwrap_or_default();
        if let Some(lookup) = self.known.lookups.get(&leaf)
            && let Some(column) = build.column(lookup.attribute)
        {
            let compared = ast::column(&[alias, &column.name]);
            all.push(ast::equal(pb::AExprKind::AexprOp, compared, lookup.constant.clone()));
        }
        all.extend(self.needed(alias, &build, needs)?);
        *condition = conjunction(all);
        Ok(())
    }

    /// What the row of an alias must meet to be written.
    pub(in crate::query) fn needed(
        &mut self,
        alias: &str,
        build: &LeafBuild<'_>,
        needs: &Needs,
    ) -> Judged<Vec<Node>> {
        let mut all = Vec::new();
        for set in &needs.sets {
            all.push(self.among_keys(alias, build, *set));
        }
        self.target.relies.extend(&needs.sets);
        for index in needs.taken.difference(&needs.own) {
            let Some(reason) = build.rule.reasons.get(*index) else { continue };
            let actor = ast::column(&[alias, &reason.actor]);
            all.push(ast::null_test(actor, pb::NullTestType::IsNotNull));
        }
        for index in &needs.own {
            let Some(reason) = build.rule.reasons.get(*index) else { continue };
            let own = ast::type_name("pg_catalog", "text", &[], false);
            let actor = self.hole(Hole::Actor);
            all.push(ast::equal(
                pb::AExprKind::AexprOp,
                text_of(ast::column(&[alias, &reason.actor])),
                ast::cast(actor, own),
            ));
            all.push(self.reason_condition(&reason.condition, alias, build.relation)?);
        }
        Ok(all)
    }
}

/// Whether an assignment is of NULL.
pub(super) fn gives_back(node: &Node) -> bool {
    let Some(NodeEnum::ResTarget(target)) = &node.node else { return false };
    let value = target.val.as_deref().and_then(|value| value.node.as_ref());
    matches!(value, Some(NodeEnum::AConst(constant)) if constant.isnull)
}

/// A value as text, compared byte by byte.
pub(super) fn text_of(value: Node) -> Node {
    let text = ast::cast(value, ast::type_name("pg_catalog", "text", &[], false));
    ast::collate(text, ["pg_catalog", "C"])
}

/// The reasons whose condition reads a column; an error if the column can't be changed at all.
fn read_by(relation: &Relation, rule: &TableRule, column: &str) -> Judged<Vec<usize>> {
    if shows_in(relation, column, &rule.subject) {
        return immutable(relation, column);
    }
    let mut found = Vec::new();
    for (index, reason) in rule.reasons.iter().enumerate() {
        let grade = match &reason.strong {
            Strong::Never | Strong::Always => Some(ConditionReads::default()),
            Strong::When(condition) => condition_reads(condition).ok(),
        };
        let fixed = shows_in(relation, column, &reason.subject)
            || shows_in(relation, column, &reason.actor)
            || grade.is_none_or(|reads| reads.may_read(relation, column));
        if fixed {
            return immutable(relation, column);
        }
        match condition_reads(&reason.condition) {
            Ok(reads) if !reads.may_read(relation, column) => {}
            Ok(_) => found.push(index),
            Err(_) => return immutable(relation, column),
        }
    }
    Ok(found)
}

/// Whether a column decides if the reason is strong.
pub(super) fn decides_grade(reason: &ReasonRule, relation: &Relation, column: &str) -> bool {
    match &reason.strong {
        Strong::Never | Strong::Always => false,
        Strong::When(condition) => {
            condition_reads(condition).map_or(true, |reads| reads.may_read(relation, column))
        }
    }
}

/// Whether a column says which rows wait to be taken, or in which order.
fn decides_queue(reason: &ReasonRule, relation: &Relation, column: &str) -> bool {
    let Some(take) = &reason.take else { return false };
    let pool = take.pool.iter().map(|values| &values.column);
    take.order.iter().chain(pool).any(|name| shows_in(relation, column, name))
}

impl ConditionReads {
    /// A word is a column in which it shows, or the table, as a whole row.
    fn may_read(&self, relation: &Relation, column: &str) -> bool {
        let shows = |name: &String| shows_in(relation, column, name);
        self.names.contains(&relation.name) || self.names.iter().any(shows)
    }
}

/// Whether what a column holds shows in one of that name: it is that one, or that one is generated
/// from it.
pub(super) fn shows_in(relation: &Relation, column: &str, name: &str) -> bool {
    let named = relation.columns.iter().find(|other| other.name == name);
    column == name || named.is_some_and(|other| other.reads.iter().any(|read| read == column))
}

fn immutable<T>(relation: &Relation, column: &str) -> Judged<T> {
    refuse(
        "entitlement",
        format!(
            "column `{column}` of `{}.{}` decides who may see whom and can't be changed this way",
            relation.schema, relation.name
        ),
        "take the next one of the queue, or have the administrator's workflow do it",
    )
}

fn not_changed<T>(relation: &Relation, column: &str) -> Judged<T> {
    refuse(
        "protected_write",
        format!(
            "column `{column}` of `{}.{}` can't be changed by this role",
            relation.schema, relation.name
        ),
        "leave the column out, or ask the administrator to list it under `update`",
    )
}
