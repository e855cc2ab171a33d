//! UNION, INTERSECT and EXCEPT of rows that show a key.
//!
//! `SELECT id, number FROM tickets … UNION SELECT id, number FROM tickets …`: whose each row is,
//! one of its columns decides, which is a customer's key, or the primary key of the same table, in
//! all arms. So each arm carries that customer's key behind its columns: there are as many
//! different rows as before, and each is recorded of all that any arm reads of that customer. What
//! INTERSECT and EXCEPT ask of their second arm is what `IN` and `NOT IN` ask of a sub-select.

use pg_query::{Node, NodeEnum, protobuf as pb};

use super::{Analysis, grouping::gives_its_rows, select::Place};
use crate::{
    KeyType, ast,
    refusal::{Judged, not_understood},
    taint::{Key, Rows},
};

/// The column that decides whose a row is, and which of the keys of each arm it decides.
pub(super) struct Decided {
    column: usize,
    keys: (usize, usize),
}

impl Analysis<'_> {
    /// Whether the arms of a set operation that leaves equal rows out may carry keys: each gives
    /// the rows of its FROM clause one by one, and nothing is around them.
    pub(super) fn may_be_keyed(&self, select: &pb::SelectStmt, place: Place) -> bool {
        let union = select.op() == pb::SetOperation::SetopUnion;
        let fits = |arm: Option<&pb::SelectStmt>| {
            arm.is_some_and(|arm| {
                let alone = gives_its_rows(arm) && arm.target_list.len() == 1;
                self.is_keyed_arm(arm) && (union || alone)
            })
        };
        matches!(place, Place::Top | Place::Arm)
            && !select.all
            && fits(select.larg.as_deref())
            && fits(select.rarg.as_deref())
    }

    fn is_keyed_arm(&self, arm: &pb::SelectStmt) -> bool {
        if arm.op() == pb::SetOperation::SetopNone {
            return gives_its_rows(arm) && !arm.from_clause.is_empty() && !self.is_grouped(arm);
        }
        let fits = |arm: Option<&pb::SelectStmt>| arm.is_some_and(|arm| self.is_keyed_arm(arm));
        let plain = arm.sort_clause.is_empty()
            && arm.limit_count.is_none()
            && arm.limit_offset.is_none()
            && arm.with_clause.is_none();
        let union = arm.op() == pb::SetOperation::SetopUnion && !arm.all;
        plain && union && fits(arm.larg.as_deref()) && fits(arm.rarg.as_deref())
    }

    /// Which column decides whose a row of either arm is, if one does.
    pub(super) fn decides_whose(&self, one: &Rows, two: &Rows) -> Option<Decided> {
        let columns = one.columns.iter().zip(&two.columns).enumerate();
        let known = one.columns.len() == two.columns.len();
        let mut columns = columns.filter(|_| known && one.open.is_none() && two.open.is_none());
        columns.find_map(|(column, (left, right))| {
            let kind = self.key_kind(left)?;
            if self.key_kind(right) != Some(kind) {
                return None;
            }
            let (first, kind) = self.decided(one, column)?;
            let (second, other) = self.decided(two, column)?;
            (kind == other).then_some(Decided { column, keys: (first, second) })
        })
    }

    /// The key, and its type, that a column of an arm decides, where all keys of a row are of the
    /// same subject.
    fn decided(&self, rows: &Rows, column: usize) -> Option<(usize, KeyType)> {
        let known = |leaf: usize| !self.known.shared.contains(&leaf) && self.is_exact(leaf);
        if !rows.bare.is_empty() || !rows.keys.iter().all(|key| known(key.leaf) && !key.many) {
            return None;
        }
        let place = if let Some(decided) = rows.decided_by {
            // An arm that is one of these itself: all of its keys are the same.
            (decided == column).then_some(0)?
        } else {
            let whose = rows.columns.get(column)?.source?.leaf;
            let of_it = |leaf: usize| leaf == whose || rows.joined.contains(&(whose, leaf));
            if !rows.certain.contains(&whose) || !rows.keys.iter().all(|key| of_it(key.leaf)) {
                return None;
            }
            rows.keys.iter().position(|key| key.leaf == whose)?
        };
        let leaf = self.leaves.get(rows.keys.get(place)?.leaf)?;
        Some((place, leaf.key_type))
    }

    /// Puts the keys that are carried in the place of those of the arms: the same one for each leaf
    /// whose records the rows may be of. Without a column that decides it none is left.
    pub(super) fn key_arms(
        &mut self,
        (left, right): (&mut pb::SelectStmt, &mut pb::SelectStmt),
        (one, two): (&Rows, &Rows),
        decided: Option<&Decided>,
        leaves: &[usize],
    ) -> Judged<Vec<Key>> {
        let keys: Vec<Key> = match decided {
            None => Vec::new(),
            Some(_) => leaves
                .iter()
                .map(|leaf| Key { leaf: *leaf, column: self.name('k'), many: false })
                .collect(),
        };
        let place = |of: fn(&Decided) -> usize| decided.map(of);
        put_keys(left, one.keys.len(), place(|decided| decided.keys.0), &keys)?;
        put_keys(right, two.keys.len(), place(|decided| decided.keys.1), &keys)?;
        Ok(keys)
    }
}

impl Decided {
    /// The column's place.
    pub(super) fn column(&self) -> usize {
        self.column
    }
}

/// Takes the last `own` columns of each arm away, and puts copies of the one at `place` there.
fn put_keys(
    select: &mut pb::SelectStmt,
    own: usize,
    place: Option<usize>,
    keys: &[Key],
) -> Judged<()> {
    if let (Some(left), Some(right)) = (select.larg.as_deref_mut(), select.rarg.as_deref_mut()) {
        put_keys(left, own, place, keys)?;
        return put_keys(right, own, place, keys);
    }
    let Some(visible) = select.target_list.len().checked_sub(own) else {
        return not_understood("the columns of an arm");
    };
    let hidden = select.target_list.split_off(visible);
    let Some(place) = place else { return Ok(()) };
    let value = hidden.into_iter().nth(place).and_then(|node| match node.node {
        Some(NodeEnum::ResTarget(target)) => target.val,
        _ => None,
    });
    let Some(value) = value else { return not_understood("the keys of an arm") };
    let column = |key: &Key| -> Node { ast::target(&key.column, (*value).clone()) };
    select.target_list.extend(keys.iter().map(column));
    Ok(())
}
