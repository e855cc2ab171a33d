//! Which rows of a select are about the same subject, by its join conditions.
//!
//! `customers c LEFT JOIN tickets t ON t.customer_id = c.id`: whatever a row holds of a ticket is
//! about the customer whom it names.

use std::collections::{BTreeMap, BTreeSet};

use pg_query::{Node, NodeEnum, protobuf as pb};

use super::{Analysis, optional::conjuncts, scope::Scope};

/// The pairs of leaves of a select.
#[derive(Debug, Default)]
pub(super) struct Links(Vec<Link>);

/// Where both have a record in a row it is the same subject's.
#[derive(Debug, Clone, Copy)]
struct Link(End, End);

#[derive(Debug, Clone, Copy)]
struct End {
    leaf: usize,
    /// It is absent, with all of its side, where the condition does not hold; if neither is, the
    /// condition holds of each row.
    absent: bool,
}

/// A condition, and, where it is of an outer join, the relations that are absent if it fails.
struct Condition<'n> {
    node: &'n Node,
    absent: Option<BTreeSet<String>>,
}

impl Links {
    /// The leaves whose records are of the same subject as those of one, in all rows in which they
    /// have any. That one has a record in each row.
    pub(super) fn joined_to(&self, leaf: usize) -> BTreeSet<usize> {
        // Of each leaf, whether it has a record in each row.
        let mut found = BTreeMap::from([(leaf, true)]);
        loop {
            let mut next = found.clone();
            for Link(one, two) in &self.0 {
                for (from, to) in [(one, two), (two, one)] {
                    let Some(there) = found.get(&from.leaf) else { continue };
                    let there = match (from.absent, to.absent) {
                        (false, false) => true,
                        // The condition holds wherever the other one is there.
                        (false, true) => false,
                        (true, true) => *there,
                        (true, false) if *there => true,
                        (true, false) => continue,
                    };
                    let known = next.entry(to.leaf).or_insert(there);
                    *known |= there;
                }
            }
            if next == found {
                return found.into_keys().collect();
            }
            found = next;
        }
    }
}

impl Analysis<'_> {
    /// Those of a select, whose FROM clause is in the scope.
    pub(super) fn links(
        &self,
        condition: Option<&Node>,
        from: &[Node],
        scope: &Scope<'_>,
    ) -> Links {
        let mut conditions: Vec<Condition<'_>> =
            conjuncts(condition).into_iter().map(|node| Condition { node, absent: None }).collect();
        from.iter().for_each(|item| join_conditions(item, None, &mut conditions));
        Links(conditions.iter().filter_map(|condition| self.link(condition, scope)).collect())
    }

    fn link(&self, condition: &Condition<'_>, scope: &Scope<'_>) -> Option<Link> {
        let Some(NodeEnum::AExpr(comparison)) = &condition.node.node else { return None };
        if !self.compares_same_record(condition.node, scope) {
            return None;
        }
        let (one, left) = scope.column(comparison.lexpr.as_deref()?)?;
        let (two, right) = scope.column(comparison.rexpr.as_deref()?)?;
        let is_absent =
            |alias: &String| condition.absent.as_ref().is_some_and(|absent| absent.contains(alias));
        let absent = (is_absent(&one.alias), is_absent(&two.alias));
        if condition.absent.is_some() && absent == (false, false) {
            // It may fail, and both are there.
            return None;
        }
        let (left, right) = (left.source?, right.source?);
        let subjects = left.subject && right.subject;
        let once = carried_once(scope, left.leaf) && carried_once(scope, right.leaf);
        let one = End { leaf: left.leaf, absent: absent.0 };
        let two = End { leaf: right.leaf, absent: absent.1 };
        (subjects && once).then_some(Link(one, two))
    }
}

/// Whether a leaf's rows come into the select at one place only.
pub(super) fn carried_once(scope: &Scope<'_>, leaf: usize) -> bool {
    scope.keys().filter(|(_, key)| key.leaf == leaf).count() == 1
}

/// The conditions of a FROM item that hold of each row that has what they compare. It may be on the
/// side of an outer join, whose relations are absent together.
fn join_conditions<'n>(
    item: &'n Node,
    side: Option<&BTreeSet<String>>,
    conditions: &mut Vec<Condition<'n>>,
) {
    let Some(NodeEnum::JoinExpr(join)) = &item.node else { return };
    let mut right = BTreeSet::new();
    let (absent, right) = match join.jointype() {
        pb::JoinType::JoinInner => (side, side),
        pb::JoinType::JoinLeft => {
            if let Some(other) = join.rarg.as_deref() {
                aliases(other, &mut right);
            }
            (Some(&right), Some(&right))
        }
        _ => return,
    };
    let own = conjuncts(join.quals.as_deref()).into_iter();
    conditions.extend(own.map(|node| Condition { node, absent: absent.cloned() }));
    if let Some(left) = join.larg.as_deref() {
        join_conditions(left, side, conditions);
    }
    if let Some(other) = join.rarg.as_deref() {
        join_conditions(other, right, conditions);
    }
}

/// The names of the relations of a FROM item.
fn aliases(item: &Node, names: &mut BTreeSet<String>) {
    let alias = match &item.node {
        Some(NodeEnum::JoinExpr(join)) => {
            for side in [&join.larg, &join.rarg].into_iter().flatten() {
                aliases(side, names);
            }
            join.alias.as_ref()
        }
        Some(NodeEnum::RangeVar(range)) => {
            if range.alias.is_none() {
                names.insert(range.relname.clone());
            }
            range.alias.as_ref()
        }
        Some(NodeEnum::RangeSubselect(select)) => select.alias.as_ref(),
        Some(NodeEnum::RangeFunction(function)) => function.alias.as_ref(),
        Some(NodeEnum::RangeTableSample(sample)) => {
            if let Some(relation) = sample.relation.as_deref() {
                aliases(relation, names);
            }
            None
        }
        _ => None,
    };
    names.extend(alias.map(|alias| alias.aliasname.clone()));
}
