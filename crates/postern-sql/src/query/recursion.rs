//! Recursive common tables over protected tables.
//!
//! A row of the recursive arm carries the keys of the row that the recursion began with, and those
//! of the arm's own tables. The records on the way are carried by nothing, so that nothing but the
//! link itself may be told of them: the common table may give its own recursive arm one column that
//! links rows (`child.parent = w.id`), and no other condition may hang on a column of the arm's
//! tables. They count as folded, too.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
};

use pg_query::{Node, NodeEnum, protobuf as pb};

use super::{Analysis, CommonState, from::rename, scope::Scope, set_operation::pad};
use crate::{
    KeyType, ast,
    refusal::{Judged, refuse},
    taint::{Column, Key, Rows, Source, Taint},
};

/// What was used in the recursive arm that is being analysed, or outside of any.
#[derive(Debug, Default)]
pub(super) struct Arm {
    /// Columns of recursive common tables that decide something.
    pub(super) uses: BTreeSet<(usize, usize)>,
    /// Those that are compared with another column.
    links: BTreeSet<(usize, usize)>,
    /// Leaves whose columns decide which rows there are, but for such comparisons.
    pub(super) filtered: BTreeSet<usize>,
}

/// What a column of a recursive common table was compared with.
#[derive(Debug)]
pub(super) struct LinkPin {
    /// The leaf's column, if it is one.
    other: Option<Source>,
    /// Leaves that are narrowed down by it if it is no link of records.
    identifiers: BTreeSet<usize>,
}

/// A recursive common table whose recursive arm was analysed.
#[derive(Debug)]
pub(super) struct Recursion {
    id: usize,
    /// Leaves from this one on are the recursive arm's.
    leaves: usize,
    references: usize,
    arm: Arm,
}

impl Analysis<'_> {
    /// The first arm of the common table is known: the second, which is judged here, may refer to
    /// it.
    pub(super) fn recursive_arm(
        &mut self,
        common: usize,
        first: &Rows,
        judge: impl FnOnce(&mut Self) -> Judged<Rows>,
    ) -> Judged<(Rows, Recursion)> {
        self.recursions += 1;
        let id = self.recursions;
        let mut rows = Rows {
            searchable: BTreeSet::new(),
            certain: BTreeSet::new(),
            single: BTreeSet::new(),
            joined: BTreeSet::new(),
            ..first.clone()
        };
        for (index, column) in rows.columns.iter_mut().enumerate() {
            column.taint.recursive.insert((id, index));
            (column.source, column.copied, column.origin) = (None, false, None);
            column.link = Some((id, index));
        }
        if let Some(open) = rows.open.as_mut() {
            open.recursive.insert((id, usize::MAX));
        }
        if let Some(common) = self.commons.get_mut(common) {
            rows.names.extend(common.names.iter().cloned());
            if rows.open.is_none() {
                rename(&mut rows, &common.renamed, false)?;
            }
            common.state = CommonState::Itself(Box::new(rows));
        }
        let (leaves, references) = (self.leaves.len(), self.references);
        let (second, arm) = self.lent(|own| &mut own.arm, Arm::default(), judge);
        Ok((second?, Recursion { id, leaves, references, arm }))
    }

    /// Both arms are known: checks what the second takes from the first, and aligns their keys.
    /// `None` if nothing protected takes part.
    pub(super) fn end_recursion(
        &mut self,
        recursion: Recursion,
        (left, right): (&mut pb::SelectStmt, &mut pb::SelectStmt),
        (one, two): (&Rows, &mut Rows),
        all: bool,
    ) -> Judged<Option<Vec<Key>>> {
        let own = |of: &(usize, usize)| of.0 == recursion.id;
        let Arm { uses, links, filtered } = recursion.arm;
        self.arm.uses.extend(uses.iter().filter(|of| !own(of)));
        self.arm.links.extend(links.iter().filter(|of| !own(of)));
        let filters = filtered.iter().any(|leaf| *leaf >= recursion.leaves);
        self.arm.filtered.extend(filtered);
        self.pin_links(recursion.id, (one, two));
        let leafy = passed_on(recursion.id, one, two);
        let flows = two.columns.iter_mut().map(|column| &mut column.taint);
        flows.chain(two.open.as_mut()).for_each(|taint| taint.recursive.retain(|of| !own(of)));
        let referenced = self.references > recursion.references;
        let guarded = |rows: &Rows| {
            let open = rows.open.as_ref().is_some_and(|open| !open.leaves.is_empty());
            let leafy = rows.columns.iter().any(|column| !column.taint.leaves.is_empty());
            open || leafy || !rows.keys.is_empty() || !rows.bare.is_empty()
        };
        let leaves = self.leaves.len() > recursion.leaves;
        if !referenced || !guarded(one) && !guarded(two) && !leaves {
            return Ok(None);
        }
        let two = &*two;
        let plain = all && right.larg.is_none() && one.open.is_none() && two.open.is_none();
        let folds = !right.distinct_clause.is_empty()
            || !right.group_clause.is_empty()
            || right.having_clause.is_some();
        let linked = links.iter().filter(|of| own(of)).count();
        if !plain || folds || filters || linked > 1 || !one.bare.is_empty() || !two.bare.is_empty()
        {
            return unaccounted();
        }
        let leafy = leafy?;
        for (_, index) in uses.iter().chain(&links).filter(|of| own(of)) {
            if leafy.contains(index) && uses.contains(&(recursion.id, *index)) {
                return unaccounted();
            }
            for column in [one, two].iter().filter_map(|rows| rows.columns.get(*index)) {
                self.spoil(&column.taint);
            }
        }
        self.folded.extend(recursion.leaves..self.leaves.len());
        self.align_recursion((left, right), (one, two)).map(Some)
    }

    /// A link says of records no more than that they are linked where both arms fill its column
    /// with keys of the kind that it is compared with. What else is compared narrows down.
    fn pin_links(&mut self, id: usize, (one, two): (&Rows, &Rows)) {
        let (own, others) =
            mem::take(&mut self.link_pins).into_iter().partition(|((of, _), _)| *of == id);
        self.link_pins = others;
        let own: BTreeMap<(usize, usize), Vec<LinkPin>> = own;
        for ((_, index), pins) in own {
            let source = |rows: &Rows| rows.columns.get(index).and_then(|column| column.source);
            let arms = source(one).zip(source(two));
            for LinkPin { other, identifiers } in pins {
                let links = arms.zip(other).is_some_and(|((one, two), other)| {
                    self.same_record(one, other) && self.same_record(two, other)
                });
                if !links {
                    self.pinned.extend(identifiers);
                }
            }
        }
    }

    /// The keys that the first arm carries stay in their places; the second arm's own come behind.
    fn align_recursion(
        &mut self,
        (left, right): (&mut pb::SelectStmt, &mut pb::SelectStmt),
        (one, two): (&Rows, &Rows),
    ) -> Judged<Vec<Key>> {
        let place = right.target_list.len().saturating_sub(two.keys.len());
        let mut hidden: Vec<Option<Node>> =
            right.target_list.split_off(place).into_iter().map(Some).collect();
        let mut keys = one.keys.clone();
        for key in &one.keys {
            let mut found =
                two.keys.iter().zip(&mut hidden).filter(|(two, _)| two.leaf == key.leaf);
            let (Some((_, node)), None) = (found.next(), found.next()) else {
                return unaccounted();
            };
            right.target_list.extend(node.take());
        }
        let (mut names, mut types) = (Vec::new(), Vec::<KeyType>::new());
        for (key, node) in two.keys.iter().zip(hidden) {
            let Some(node) = node else { continue };
            right.target_list.push(node);
            let name = self.name('k');
            keys.push(Key { leaf: key.leaf, column: name.clone(), many: false });
            names.push(name);
            types.extend(self.leaves.get(key.leaf).map(|leaf| leaf.key_type));
        }
        pad(left, 0, &[], &types, &names)?;
        Ok(keys)
    }

    /// A condition of WHERE or ON: each conjunct decides which rows there are. Gives the sides that
    /// it only joins by: what an outer join adds by it is absent where they are.
    pub(super) fn condition(
        &mut self,
        node: &mut Node,
        scope: &Scope<'_>,
    ) -> Judged<BTreeSet<usize>> {
        if let Some(NodeEnum::BoolExpr(and)) = node.node.as_mut()
            && and.boolop() == pb::BoolExprType::AndExpr
        {
            let mut joined = BTreeSet::new();
            for node in &mut and.args {
                joined.extend(self.condition(node, scope)?);
            }
            return Ok(joined);
        }
        let link = link(node, scope);
        let same = self.compares_same_record(node, scope);
        let mut taint = self.expression(node, scope)?;
        // What is joined to a record that is absent is absent too, and says no more than that.
        let joined = if same { mem::take(&mut taint.sides) } else { BTreeSet::new() };
        if let Some((of, other)) = link
            && taint.recursive.iter().eq([&of])
        {
            let identifiers = mem::take(&mut taint.identifiers);
            self.link_pins.entry(of).or_default().push(LinkPin { other, identifiers });
            self.arm.links.append(&mut taint.recursive);
            taint.leaves.clear();
        }
        self.predicate(&taint);
        Ok(joined)
    }
}

/// `one = two`, both columns: one nothing but a copy of the recursive table's, which is given, the
/// other a copy of a leaf's, which is given, too, or none of a leaf.
fn link(node: &Node, scope: &Scope<'_>) -> Option<((usize, usize), Option<Source>)> {
    let Some(NodeEnum::AExpr(comparison)) = &node.node else { return None };
    let equality =
        comparison.kind() == pb::AExprKind::AexprOp && ast::is_equality(&comparison.name);
    let (one, left) = scope.column(comparison.lexpr.as_deref()?)?;
    let (two, right) = scope.column(comparison.rexpr.as_deref()?)?;
    let fits = |column: &Column| column.source.is_some() || column.taint.leaves.is_empty();
    let found = match (left.link, right.link) {
        (Some(link), None) if fits(right) => (link, right.source),
        (None, Some(link)) if fits(left) => (link, left.source),
        _ => return None,
    };
    (equality && one.alias != two.alias).then_some(found)
}

/// The columns that hold a record's values, none of which the second arm may pass on.
fn passed_on(id: usize, one: &Rows, two: &Rows) -> Judged<BTreeSet<usize>> {
    let holds = |taint: &Taint| !taint.leaves.is_empty();
    let columns = one.columns.iter().zip(&two.columns).enumerate();
    let leafy: BTreeSet<usize> = columns
        .filter(|(_, (one, two))| holds(&one.taint) || holds(&two.taint))
        .map(|(index, _)| index)
        .collect();
    let taken = two.columns.iter().flat_map(|column| &column.taint.recursive);
    if taken.filter(|(of, _)| *of == id).any(|(_, index)| leafy.contains(index)) {
        return unaccounted();
    }
    Ok(leafy)
}

fn unaccounted<T>() -> Judged<T> {
    refuse(
        "unaccounted",
        "a recursive query that passes a protected table's values on can't be accounted",
        "use UNION ALL; take from the recursive table one column that links rows (child.parent = \
         w.id) and a depth, all else from the table itself; put other conditions behind WITH",
    )
}
