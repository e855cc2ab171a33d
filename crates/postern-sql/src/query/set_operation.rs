//! UNION, INTERSECT and EXCEPT.

use std::collections::BTreeSet;

use pg_query::{Node, NodeEnum, protobuf as pb};

use super::{Analysis, scope::Scope, select::Place, target::Outputs};
use crate::{
    KeyType, ast,
    refusal::{Judged, not_understood},
    taint::{Column, Key, KeyKind, Rows, Taint},
};

impl Analysis<'_> {
    pub(super) fn set_operation(
        &mut self,
        select: &mut pb::SelectStmt,
        outer: Option<&Scope<'_>>,
        place: Place,
        recursive: Option<usize>,
    ) -> Judged<Rows> {
        self.facts.held = true;
        let judge = |own: &mut Self| own.judged_arms(select, outer, place, recursive);
        let (judged, decisions) = self.lent(|own| &mut own.decisions, Taint::default(), judge);
        let (mut rows, around) = judged?;
        let all = select.op() == pb::SetOperation::SetopUnion && select.all;
        if !all && recursive.is_none() && rows.open.is_none() {
            let shown = Outputs::from_columns(&rows.columns);
            self.sort_different(&mut select.sort_clause, &shown);
        }
        self.flows_from_around(&mut rows, around, &decisions);
        Ok(rows)
    }

    /// What the arms give, and what flows in from the selects around.
    fn judged_arms(
        &mut self,
        select: &mut pb::SelectStmt,
        outer: Option<&Scope<'_>>,
        place: Place,
        recursive: Option<usize>,
    ) -> Judged<(Rows, Taint)> {
        let union = select.op() == pb::SetOperation::SetopUnion;
        let all = union && select.all;
        let keyed = recursive.is_none() && self.may_be_keyed(select, place);
        let arm_place = match place {
            _ if keyed => Place::Arm,
            _ if !all => Place::Bare,
            Place::Top => Place::Arm,
            place => place,
        };
        let (Some(left), Some(right)) = (select.larg.as_deref_mut(), select.rarg.as_deref_mut())
        else {
            return not_understood("half a set operation");
        };
        let one = self.select(left, outer, arm_place)?;
        let (two, keys) = match recursive {
            Some(common) => {
                let judge = |own: &mut Self| own.select(right, outer, arm_place);
                let (mut two, recursion) = self.recursive_arm(common, &one, judge)?;
                let keys = self.end_recursion(recursion, (left, right), (&one, &mut two), all)?;
                (two, keys)
            }
            None => (self.select(right, outer, arm_place)?, None),
        };
        let mut rows = self.combined(&one, &two);
        rows.padded = padded(&one, &two);
        let outputs = Outputs::from_columns(&rows.columns);
        let mut whole = outputs.whole();
        whole.add(&rows.open.clone().unwrap_or_default());
        if all && arm_place != Place::Bare {
            rows.keys = match keys {
                Some(keys) => keys,
                None => self.align_keys(left, right, &one, &two)?,
            };
            rows.bare = one.bare.union(&two.bare).copied().collect();
            if recursive.is_none() {
                rows.certain = one.certain.intersection(&two.certain).copied().collect();
            }
        } else if all {
            rows.bare = one.bare.union(&two.bare).copied().collect();
        } else {
            let arms = (&one, &two);
            if keyed && self.keyed_rows(&mut rows, (left, right), arms, union)? {
                self.arm.filtered.extend(&whole.leaves);
            } else {
                self.fold(arms.0.leaves().chain(arms.1.leaves()).collect(), &whole)?;
            }
            self.spoil(&whole);
            self.decisions.add(&whole);
            self.tested.extend(&whole.sides);
        }
        let sorted = if rows.open.is_some() {
            self.spoil(&whole);
            Outputs { columns: outputs.columns, open: rows.open.clone(), ..Outputs::default() }
        } else {
            outputs
        };
        let mut around = self.ordered_arms(select, (&mut rows, &sorted), outer, place)?;
        for arm in [&one, &two] {
            around.add(&arm.around);
            self.decisions.add(&arm.decided);
        }
        Ok((rows, around))
    }

    /// Whether rows of which equal ones are left out carry keys. Of INTERSECT and EXCEPT they are
    /// the first arm's; the second arm's rows decide, and are not seen.
    fn keyed_rows(
        &mut self,
        rows: &mut Rows,
        (left, right): (&mut pb::SelectStmt, &mut pb::SelectStmt),
        (one, two): (&Rows, &Rows),
        union: bool,
    ) -> Judged<bool> {
        let decided = self.decides_whose(one, two);
        let (first, second): (Vec<usize>, Vec<usize>) =
            (one.leaves().collect(), two.leaves().collect());
        let carried = if union { [&*first, &second].concat() } else { first.clone() };
        rows.keys = self.key_arms((left, right), (one, two), decided.as_ref(), &carried)?;
        let Some(decided) = decided else { return Ok(false) };
        rows.decided_by = Some(decided.column());
        if !union {
            for leaf in &second {
                self.linked.extend(first.iter().map(|own| (*own, *leaf)));
            }
            self.folded.extend(second);
        }
        Ok(true)
    }

    /// ORDER BY, LIMIT and OFFSET over the arms; gives what they name of the selects around.
    fn ordered_arms(
        &mut self,
        select: &mut pb::SelectStmt,
        (rows, outputs): (&mut Rows, &Outputs),
        outer: Option<&Scope<'_>>,
        place: Place,
    ) -> Judged<Taint> {
        let scope = Scope::new(outer);
        let mut sorts = self.order(&mut select.sort_clause, outputs, &scope, None)?;
        if !matches!(place, Place::Top | Place::Counted) {
            self.pinned.extend(&sorts);
        }
        // Which rows of another arm are left tells of those that went before them.
        sorts.extend(&rows.padded);
        let mut around = self.limits(select, outer)?;
        around.add(&scope.around());
        let leaves: BTreeSet<usize> = rows.leaves().collect();
        let few = self.pick(select, place, &leaves, (&rows.single, &sorts))?;
        rows.leave_few(&few);
        Ok(around)
    }

    /// Each arm carries its own keys, and NULLs where the other's are.
    fn align_keys(
        &mut self,
        left: &mut pb::SelectStmt,
        right: &mut pb::SelectStmt,
        one: &Rows,
        two: &Rows,
    ) -> Judged<Vec<Key>> {
        let types = |rows: &Rows| -> Vec<KeyType> {
            let kinds = rows.keys.iter().filter_map(|key| self.leaves.get(key.leaf));
            kinds.map(|leaf| leaf.key_type).collect()
        };
        let (before, after) = (types(one), types(two));
        let mut keys = one.keys.clone();
        let mut names = Vec::new();
        for key in &two.keys {
            let name = self.name('k');
            names.push(name.clone());
            keys.push(Key { leaf: key.leaf, column: name, many: false });
        }
        pad(left, 0, &[], &after, &names)?;
        pad(right, two.keys.len(), &before, &[], &[])?;
        Ok(keys)
    }
}

/// Leaves whose keys are missing in the rows of an arm.
fn padded(one: &Rows, two: &Rows) -> BTreeSet<usize> {
    let leaves = |rows: &Rows| rows.leaves().collect::<BTreeSet<usize>>();
    let mut padded = &leaves(one) ^ &leaves(two);
    padded.extend(one.padded.union(&two.padded));
    padded
}

/// Adds NULL columns to every arm: `before` the last `own` columns, and `after` them.
pub(super) fn pad(
    select: &mut pb::SelectStmt,
    own: usize,
    before: &[KeyType],
    after: &[KeyType],
    names: &[String],
) -> Judged<()> {
    if before.is_empty() && after.is_empty() {
        return Ok(());
    }
    if let (Some(left), Some(right)) = (select.larg.as_deref_mut(), select.rarg.as_deref_mut()) {
        pad(left, own, before, after, names)?;
        return pad(right, own, before, after, names);
    }
    if !select.values_lists.is_empty() {
        if !names.is_empty() {
            return not_understood("VALUES before a protected table in a UNION");
        }
        for list in &mut select.values_lists {
            if let Some(NodeEnum::List(list)) = list.node.as_mut() {
                list.items.extend(before.iter().chain(after).map(|kind| null(*kind)));
            }
        }
        return Ok(());
    }
    let place = select.target_list.len().saturating_sub(own);
    let nulls = before.iter().map(|kind| ast::target("", null(*kind)));
    select.target_list.splice(place..place, nulls.collect::<Vec<_>>());
    for (index, kind) in after.iter().enumerate() {
        let name = names.get(index).map_or("", String::as_str);
        select.target_list.push(ast::target(name, null(*kind)));
    }
    Ok(())
}

fn null(kind: KeyType) -> Node {
    ast::cast(ast::null(), ast::type_name("pg_catalog", kind.name(), &[], false))
}

impl Analysis<'_> {
    /// The visible columns of both arms together.
    fn combined(&self, one: &Rows, two: &Rows) -> Rows {
        let mut rows = Rows::default();
        let open = one.open.is_some() || two.open.is_some();
        if open || one.columns.len() != two.columns.len() {
            let mut taint = Taint::default();
            for side in [one, two] {
                taint.add(&side.open.clone().unwrap_or_default());
                for column in &side.columns {
                    taint.add(&column.taint);
                }
            }
            rows.open = Some(taint);
            rows.names.clone_from(&one.names);
            rows.names.extend(one.columns.iter().map(|column| column.name.clone()));
            return rows;
        }
        for (left, right) in one.columns.iter().zip(&two.columns) {
            let mut taint = left.taint.clone();
            taint.add(&right.taint);
            // Beside keys what is none, or is one of another kind, can be one that was chosen.
            let kind = self.key_kind(left).filter(|kind| self.key_kind(right) == Some(*kind));
            let free = taint.identifiers.is_empty();
            let copied = left.copied && right.copied && (free || kind.is_some());
            let whose = match kind {
                Some(KeyKind::Subject) => &self.whose(left, one) | &self.whose(right, two),
                Some(KeyKind::Record(..)) | None => BTreeSet::new(),
            };
            rows.columns.push(Column {
                copied,
                kind,
                whose,
                ..Column::computed(&left.name, taint)
            });
        }
        rows
    }

    /// What a column is a key of.
    pub(super) fn key_kind(&self, column: &Column) -> Option<KeyKind> {
        let Some(source) = column.source else { return column.kind };
        let relation = self.leaves.get(source.leaf)?.relation;
        match source.subject {
            true => Some(KeyKind::Subject),
            false => {
                self.is_primary(source).then_some(KeyKind::Record(relation.oid, source.attribute))
            }
        }
    }

    /// The leaves whose subject a column of an arm is. Nothing is known of one that is in several
    /// places or may be absent, nor by texts that a collation may take for equal.
    fn whose(&self, column: &Column, arm: &Rows) -> BTreeSet<usize> {
        let Some(source) = column.source else { return column.whose.clone() };
        let exact = self.leaves.get(source.leaf).is_some_and(|l| l.key_type != KeyType::Text);
        let there = arm.certain.contains(&source.leaf);
        let known = exact && there && !self.known.shared.contains(&source.leaf);
        if known { BTreeSet::from([source.leaf]) } else { BTreeSet::new() }
    }
}
