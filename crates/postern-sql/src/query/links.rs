//! Which rows of a select are about the same subject, by its join conditions.
//!
//! `customers c LEFT JOIN tickets t ON t.customer_id = c.id`: whatever a row holds of a ticket is
//! about the customer whom it names.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use pg_query::{Node, NodeEnum, protobuf as pb};

use super::{
    Analysis, carry::Carried, optional::conjuncts, pick::certain, scope::Scope, select::Clauses,
};
use crate::{KeyType, ast, catalogue::Column};

/// The pairs of leaves of a select.
#[derive(Debug, Default)]
pub(super) struct Links(BTreeSet<Link>);

/// As many pairs are followed. With more, none is: then more is refused, and nothing takes long.
const LINKS_MAX: usize = 256;

/// Where both have a record in a row it is the same subject's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Link(End, End);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct End {
    leaf: usize,
    /// It is absent, with all of its side, where the condition does not hold; if neither is, the
    /// condition holds of each row.
    absent: bool,
}

/// A condition, and what of the scope's relations it has to do with.
struct Condition<'n> {
    node: &'n Node,
    /// Those that it can name: all, or the two sides of its join.
    items: Range<usize>,
    /// Where it is of an outer join, those that are absent if it fails.
    absent: Option<Range<usize>>,
}

impl Links {
    /// The leaves whose records are of the same subject as those of one, in all rows in which they
    /// have any. That one has a record in each row.
    pub(super) fn joined_to(&self, leaf: usize) -> BTreeSet<usize> {
        // Of each leaf, whether it has a record in each row.
        let mut found = BTreeMap::from([(leaf, true)]);
        let mut queue = vec![(leaf, true)];
        while let Some((leaf, there)) = queue.pop() {
            for Link(one, two) in &self.0 {
                for (from, to) in [(one, two), (two, one)] {
                    if from.leaf != leaf {
                        continue;
                    }
                    let there = match (from.absent, to.absent) {
                        (false, false) => true,
                        // The condition holds wherever the other one is there.
                        (false, true) => false,
                        (true, true) => there,
                        (true, false) if there => true,
                        (true, false) => continue,
                    };
                    let known = found.get(&to.leaf).copied();
                    if known.is_none_or(|known| there && !known) {
                        found.insert(to.leaf, there);
                        queue.push((to.leaf, there));
                    }
                }
            }
        }
        found.into_keys().collect()
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
        let whole = |node| Condition { node, items: 0..scope.items.len(), absent: None };
        let mut conditions: Vec<Condition<'_>> =
            conjuncts(condition).into_iter().map(whole).collect();
        let mut next = 0;
        for item in from {
            next = join_conditions(item, next, None, &mut conditions);
        }
        let found: BTreeSet<Link> =
            conditions.iter().filter_map(|condition| self.link(condition, scope)).collect();
        // INVARIANT: each FROM item that is no join, or has an alias, is one relation of the scope,
        // in order; a condition is resolved by that. Were it not so, nothing would be linked.
        let fits = next == scope.items.len() && found.len() <= LINKS_MAX;
        Links(if fits { found } else { BTreeSet::new() })
    }

    fn link(&self, condition: &Condition<'_>, scope: &Scope<'_>) -> Option<Link> {
        let (one, two) = equality(condition.node)?;
        // What a name means in the condition of a join, no other relation beside the join has a
        // say in.
        let (one, left) = scope.column_among(&condition.items, one)?;
        let (two, right) = scope.column_among(&condition.items, two)?;
        let is_absent =
            |item: usize| condition.absent.as_ref().is_some_and(|absent| absent.contains(&item));
        let absent = (is_absent(one), is_absent(two));
        if condition.absent.is_some() && absent == (false, false) {
            // It may fail, and both are there.
            return None;
        }
        let (left, right) = (left.source?, right.source?);
        let subjects = left.subject && right.subject;
        let once = self.is_alone(scope, left.leaf) && self.is_alone(scope, right.leaf);
        let one = End { leaf: left.leaf, absent: absent.0 };
        let two = End { leaf: right.leaf, absent: absent.1 };
        let exact = self.is_exact(one.leaf) && self.is_exact(two.leaf);
        (subjects && once && exact).then_some(Link(one, two))
    }
}

impl Analysis<'_> {
    /// The pairs of leaves of a select's rows that are about the same subject, of which the first
    /// has a record wherever the second has one.
    pub(super) fn joined(
        &self,
        scope: &Scope<'_>,
        clauses: &Clauses,
        carried: &[Carried],
    ) -> BTreeSet<(usize, usize)> {
        let carries = |leaf: usize| {
            self.is_alone(scope, leaf) && carried.iter().any(|(_, _, other)| *other == leaf)
        };
        let below = scope.items.iter().flat_map(|item| item.rows.joined.iter().copied());
        let mut joined: BTreeSet<(usize, usize)> =
            below.filter(|(one, two)| carries(*one) && carries(*two)).collect();
        for leaf in certain(scope, carried).into_iter().filter(|leaf| carries(*leaf)) {
            let others = clauses.links.joined_to(leaf).into_iter();
            joined.extend(
                others.filter(|other| *other != leaf && carries(*other)).map(|o| (leaf, o)),
            );
        }
        joined
    }
}

/// The two sides of an equality.
pub(super) fn equality(node: &Node) -> Option<(&Node, &Node)> {
    let Some(NodeEnum::AExpr(comparison)) = &node.node else { return None };
    let equal = comparison.kind() == pb::AExprKind::AexprOp && ast::is_equality(&comparison.name);
    comparison.lexpr.as_deref().zip(comparison.rexpr.as_deref()).filter(|_| equal)
}

impl Analysis<'_> {
    /// Whether a leaf's rows come into the select at one place only, so that a column of the leaf's
    /// is one of the record whose key is carried.
    pub(super) fn is_alone(&self, scope: &Scope<'_>, leaf: usize) -> bool {
        let once = scope.keys().filter(|(_, key)| key.leaf == leaf).count() == 1;
        once && !self.known.shared.contains(&leaf)
    }

    /// Whether the subject's column of a leaf is compared by its bytes: a collation can take
    /// different texts for equal.
    pub(super) fn is_exact(&self, leaf: usize) -> bool {
        let Some(leaf) = self.leaves.get(leaf) else { return false };
        leaf.key_type != KeyType::Text || leaf.subject().is_some_and(Column::compares_bytes)
    }
}

/// The conditions of a FROM item that hold of each row that has what they compare. It may be on the
/// side of an outer join, whose relations are absent together. Its relations are those of the scope
/// from `first` on; gives the one after them.
fn join_conditions<'n>(
    item: &'n Node,
    first: usize,
    side: Option<&Range<usize>>,
    conditions: &mut Vec<Condition<'n>>,
) -> usize {
    let Some(NodeEnum::JoinExpr(join)) = &item.node else { return first + 1 };
    if join.alias.is_some() {
        // It is one relation, and what it joins can't be named.
        return first + 1;
    }
    let [Some(left), Some(other)] = [join.larg.as_deref(), join.rarg.as_deref()] else {
        return first;
    };
    let middle = first + relations(left);
    let end = middle + relations(other);
    let right = middle..end;
    let (absent, left_side, right_side) = match join.jointype() {
        pb::JoinType::JoinInner => (side, side, side),
        pb::JoinType::JoinLeft => (Some(&right), side, Some(&right)),
        _ => return end,
    };
    let own = conjuncts(join.quals.as_deref()).into_iter();
    let of = |node| Condition { node, items: first..end, absent: absent.cloned() };
    conditions.extend(own.map(of));
    join_conditions(left, first, left_side, conditions);
    join_conditions(other, middle, right_side, conditions)
}

/// How many relations of the scope a FROM item is.
fn relations(item: &Node) -> usize {
    match &item.node {
        Some(NodeEnum::JoinExpr(join)) if join.alias.is_none() => {
            [&join.larg, &join.rarg].into_iter().flatten().map(|side| relations(side)).sum()
        }
        _ => 1,
    }
}
