//! Which columns of a select carry its leaves' keys.

use std::collections::BTreeSet;

use super::{
    links::Links,
    scope::{Item, Scope},
    select::{Clauses, Place},
    target::Outputs,
};
use crate::taint::{Column, Key};

/// What carries a key: alias, column and leaf.
type Carried = (String, String, usize);

/// What carries the keys of a select's leaves, and the leaves whose keys nothing does.
/// What is grouped by a column of a leaf is of the record whose key is carried only where the leaf
/// is in one place (`alone`), and of one subject only where texts are compared by their bytes
/// (`exact`).
pub(super) fn carry(
    scope: &Scope<'_>,
    outputs: &Outputs,
    (clauses, place): (&Clauses, Place),
    (alone, exact): (&dyn Fn(usize) -> bool, &dyn Fn(usize) -> bool),
) -> (Vec<Carried>, BTreeSet<usize>) {
    let carries = !matches!(place, Place::Bare | Place::Counted);
    let mut carried = Vec::new();
    let mut left: BTreeSet<usize> =
        scope.items.iter().flat_map(|item| item.rows.bare.iter().copied()).collect();
    for (item, key) in scope.keys() {
        let carries = carries && (!clauses.grouped && !clauses.distinct || exact(key.leaf));
        match carrier(item, key, (outputs, clauses), alone).filter(|_| carries) {
            Some(column) => carried.push((item.alias.clone(), column, key.leaf)),
            None => {
                left.insert(key.leaf);
            }
        }
    }
    if carries && clauses.grouped && !clauses.distinct {
        carry_by_links(scope, (&clauses.links, alone), &mut carried, &mut left);
    }
    (carried, left)
}

/// What is folded into groups by a subject's key is carried by that key too, where all of it is
/// about that subject.
fn carry_by_links(
    scope: &Scope<'_>,
    (links, alone): (&Links, &dyn Fn(usize) -> bool),
    carried: &mut Vec<Carried>,
    left: &mut BTreeSet<usize>,
) {
    // Groups whose key is NULL name nobody.
    let named = |alias: &str| scope.items.iter().any(|item| item.alias == alias && !item.nullable);
    for (alias, column, leaf) in carried.clone().into_iter().filter(|(alias, ..)| named(alias)) {
        if left.is_empty() {
            return;
        }
        for other in links.joined_to(leaf) {
            let is_bare = scope.items.iter().any(|item| item.rows.bare.contains(&other));
            if left.contains(&other) && alone(other) && !is_bare {
                left.remove(&other);
                carried.push((alias.clone(), column.clone(), other));
            }
        }
    }
}

/// The column of the item that carries its key through the select, if one can.
fn carrier(
    item: &Item,
    key: &Key,
    (outputs, clauses): (&Outputs, &Clauses),
    alone: &dyn Fn(usize) -> bool,
) -> Option<String> {
    if !clauses.grouped && !clauses.distinct {
        return Some(key.column.clone());
    }
    // Another column that is a copy of the key, if it can't be that of another row of the leaf.
    let is_key = |alias: &String, name: &String| {
        let copies = |column: &&Column| {
            column.name == *name
                && (column.name == key.column
                    || alone(key.leaf)
                        && column.source.is_some_and(|s| s.leaf == key.leaf && s.subject))
        };
        item.alias == *alias && item.rows.columns.iter().any(|column| copies(&column))
    };
    let grouped = clauses.group_columns.iter().find(|(alias, name)| is_key(alias, name));
    let shown = || {
        let mut references = outputs.columns.iter().filter_map(|output| output.reference.as_ref());
        references.find(|(alias, name)| is_key(alias, name)).map(|(_, name)| name.clone())
    };
    match (clauses.grouped, clauses.distinct) {
        (true, false) => grouped.map(|(_, name)| name.clone()),
        (false, true) => shown(),
        // DISTINCT over groups: the key must be in both.
        (true, true) => grouped.and_then(|_| shown()),
        (false, false) => None,
    }
}
