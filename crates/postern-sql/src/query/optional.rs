//! The sides of outer joins that may be left out.
//!
//! A row that comes without a record says of the record what `NOT EXISTS` says of it, and no key in
//! the row says so. Wherever that decides anything, in the same select or around it, the rows that
//! come name none of the records that were there. So a side that may be left out must not be
//! narrowed down to single records, by nothing, nowhere. Three sides may be: one whose absence a
//! condition in WHERE rules out; one that is joined by nothing but a foreign key, which is absent
//! only where the key is NULL; and one that is joined by nothing but an equality of columns, for as
//! long as nothing tests it. Each column remembers the sides that it hangs on; what decides by it
//! tests them. Nor may such a side be filtered before it is joined by its key to what is no key
//! of a record: to a list of guesses each absence would tell what the filter says of that one.

use std::{collections::BTreeSet, ops::Range, slice};

use pg_query::{Node, NodeEnum, protobuf as pb};

use super::{
    Analysis,
    from::Star,
    scope::{Item, Scope},
};
use crate::{
    ast,
    catalogue::ForeignKey,
    refusal::{Judged, refuse},
    taint::Column,
};

impl Analysis<'_> {
    /// An outer join, whose items begin with `first`, may leave out those of `range`, all or none.
    /// They hang on the sides, too, that its condition only joins by.
    pub(super) fn may_be_absent(
        &mut self,
        scope: &mut Scope<'_>,
        (first, range): (usize, Range<usize>),
        (condition, joined): (Option<&Node>, &BTreeSet<usize>),
        (filtered, star): (&BTreeSet<usize>, &mut Star),
    ) {
        let [first, start] = [first, range.start].map(|place| place.min(range.end));
        let own = start - first..range.end - first;
        let own_too = own.clone();
        let referred = condition
            .and_then(|condition| scope.within(first, |join| self.referred(condition, join, own)));
        let linked = condition
            .and_then(|condition| scope.within(first, |join| link(condition, join, own_too)));
        let Some(items) = scope.items.get_mut(range) else { return };
        let leaves: BTreeSet<usize> = items.iter().flat_map(|item| item.rows.leaves()).collect();
        if leaves.is_empty() && joined.is_empty() {
            return;
        }
        let linked = linked.is_some_and(|guesses| !guesses || leaves.is_disjoint(filtered));
        let mut sides = referred.unwrap_or_else(|| {
            if leaves.is_empty() {
                return BTreeSet::new();
            }
            self.sides.push(leaves);
            let side = BTreeSet::from([self.sides.len() - 1]);
            let side_of = |item: &mut Item| item.sides.extend(side.iter().map(|n| (*n, linked)));
            items.iter_mut().for_each(side_of);
            side
        });
        sides.extend(joined);
        for item in items.iter_mut() {
            let columns = item.rows.columns.iter_mut().map(|column| &mut column.taint);
            for taint in columns.chain(item.rows.open.as_mut()) {
                taint.sides.extend(&sides);
            }
        }
        for column in &mut star.columns {
            // What a join merged may be a column of this side.
            let alias = column.alias.as_ref();
            if alias.is_none_or(|alias| items.iter().any(|item| item.alias == *alias)) {
                column.column.taint.sides.extend(&sides);
            }
        }
        if let Some(open) = star.open.as_mut() {
            open.sides.extend(&sides);
        }
    }

    /// Where a table is joined by nothing but a foreign key to it, it is absent only if what refers
    /// to it is NULL, or is absent itself: the sides of that.
    fn referred(
        &self,
        condition: &Node,
        scope: &Scope<'_>,
        own: Range<usize>,
    ) -> Option<BTreeSet<usize>> {
        let [item] = scope.items.get(own)? else { return None };
        let Some(NodeEnum::AExpr(comparison)) = &condition.node else { return None };
        if comparison.kind() != pb::AExprKind::AexprOp
            || ast::names(&comparison.name)?.last() != Some(&"=")
        {
            return None;
        }
        let (_, left) = scope.column(comparison.lexpr.as_deref()?)?;
        let (_, right) = scope.column(comparison.rexpr.as_deref()?)?;
        let of = |column: &Column| column.source.map(|source| source.leaf) == item.leaf;
        let (from, to) = match (of(left), of(right)) {
            (false, true) => (left, right),
            (true, false) => (right, left),
            _ => return None,
        };
        let place = |column: &Column| {
            let source = column.source?;
            let relation = self.leaves.get(source.leaf)?.relation;
            // What inherits from it need not refer to anything.
            self.is_whole(relation).then_some((relation.oid, source.attribute))
        };
        let ((from_table, from_column), (to_table, to_column)) = place(from).zip(place(to))?;
        let refers = |key: &ForeignKey| {
            key.validated
                && (key.from, key.columns.as_slice()) == (from_table, &[from_column])
                && (key.to, key.targets.as_slice()) == (to_table, &[to_column])
        };
        let found = self.resolver.catalogue.foreign_keys().iter().any(refers);
        found.then(|| from.taint.sides.clone())
    }

    pub(super) fn close_sides(&self) -> Judged<()> {
        let mut tested = self.tested.iter().filter_map(|side| self.sides.get(*side));
        if tested.any(|leaves| !leaves.is_disjoint(&self.pinned)) {
            return refuse(
                "folded_lookup",
                "rows that hang on the absence of single records of a protected table can't be \
                 accounted",
                "use JOIN, or leave what the outer join adds out of WHERE, ORDER BY, GROUP BY and \
                 DISTINCT",
            );
        }
        Ok(())
    }
}

/// A condition at the top of WHERE that holds of no NULL drops the rows without the sides of this
/// level that its column is of: these are then no more absent than in an inner join. Gives the
/// other sides of this level.
pub(super) fn must_be_there(
    condition: Option<&Node>,
    scope: &mut Scope<'_>,
    star: &mut Star,
) -> BTreeSet<usize> {
    let mut there = BTreeSet::new();
    for conjunct in conjuncts(condition) {
        there.extend(not_null(conjunct, scope));
    }
    let sides = scope.items.iter().flat_map(|item| &item.sides);
    let told = sides.filter(|(side, linked)| !**linked && !there.contains(side));
    let optional: BTreeSet<usize> = told.map(|(side, _)| *side).collect();
    if there.is_empty() {
        return optional;
    }
    let rows = scope.items.iter_mut().map(|item| &mut item.rows);
    let taints = rows.flat_map(|rows| {
        rows.columns.iter_mut().map(|column| &mut column.taint).chain(rows.open.as_mut())
    });
    let shown = star.columns.iter_mut().map(|column| &mut column.column.taint);
    for taint in taints.chain(shown).chain(star.open.as_mut()) {
        taint.sides.retain(|side| !there.contains(side));
    }
    optional
}

/// The sides of the relations of whose columns a condition holds only if they are not NULL. What
/// is computed of a column can be not NULL where the column is.
fn not_null(node: &Node, scope: &Scope<'_>) -> BTreeSet<usize> {
    use pb::AExprKind::{AexprBetween, AexprIn, AexprOp};
    let columns: Vec<&Node> = match &node.node {
        Some(NodeEnum::AExpr(n)) => {
            let operator = ast::names(&n.name).unwrap_or_default();
            let compares = matches!(operator.last(), Some(&("=" | "<>" | "<" | ">" | "<=" | ">=")));
            let sides = n.lexpr.as_deref().into_iter();
            match n.kind() {
                AexprOp if compares => sides.chain(n.rexpr.as_deref()).collect(),
                AexprIn | AexprBetween => sides.collect(),
                _ => Vec::new(),
            }
        }
        Some(NodeEnum::NullTest(n)) if n.nulltesttype() == pb::NullTestType::IsNotNull => {
            n.arg.as_deref().into_iter().collect()
        }
        _ => Vec::new(),
    };
    let sides = columns.into_iter().filter_map(|column| scope.column(column));
    let plain = sides.filter(|(_, column)| column.source.is_some());
    plain.flat_map(|(item, _)| item.sides.keys().copied()).collect()
}

/// Whether a join's condition is nothing but `own = other`, of plain columns; if so, whether `own`
/// tells records apart and `other` is no record's, but may be guessed.
fn link(condition: &Node, scope: &Scope<'_>, own: Range<usize>) -> Option<bool> {
    let Some(NodeEnum::AExpr(comparison)) = &condition.node else { return None };
    let names = ast::names(&comparison.name).unwrap_or_default();
    if comparison.kind() != pb::AExprKind::AexprOp || names.last() != Some(&"=") {
        return None;
    }
    let items = scope.items.get(own)?;
    let is_own = |item: &Item| items.iter().any(|one| std::ptr::eq(one, item));
    let (one, left) = scope.column(comparison.lexpr.as_deref()?)?;
    let (two, right) = scope.column(comparison.rexpr.as_deref()?)?;
    let (own, other) = match (is_own(one), is_own(two)) {
        (true, false) => (left, right),
        (false, true) => (right, left),
        _ => return None,
    };
    Some(!own.taint.identifiers.is_empty() && other.source.is_none())
}

/// The conditions that must all hold.
pub(super) fn conjuncts(condition: Option<&Node>) -> Vec<&Node> {
    let mut found = Vec::new();
    let mut queue: Vec<&[Node]> = condition.map(slice::from_ref).into_iter().collect();
    while let Some(nodes) = queue.pop() {
        for node in nodes {
            match &node.node {
                Some(NodeEnum::BoolExpr(and)) if and.boolop() == pb::BoolExprType::AndExpr => {
                    queue.push(&and.args);
                }
                _ => found.push(node),
            }
        }
    }
    found
}
