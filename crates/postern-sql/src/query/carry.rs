//! Which columns of a select carry its leaves' keys.

use std::collections::BTreeSet;

use pg_query::{Node, NodeEnum, protobuf as pb};

use super::{
    Analysis,
    call::has_aggregate,
    grouping::Aggregate,
    links::Links,
    scope::{Item, Scope},
    select::{Clauses, Place},
    target::Outputs,
    window::{Moved, WindowUse},
};
use crate::{
    Mode, ast,
    functions::Kind,
    taint::{Column, Key, Source, Taint},
};

/// What carries a key: alias, column and leaf.
pub(super) type Carried = (String, String, usize);

/// What carries the keys of a select's leaves, and the leaves whose keys nothing does.
/// What is grouped by a column of a leaf is of the record whose key is carried only where the leaf
/// is in one place (`alone`), and of one subject only where texts are compared by their bytes
/// (`exact`).
pub(super) fn carry(
    scope: &Scope<'_>,
    outputs: &Outputs,
    (clauses, place): (&Clauses, Place),
    (alone, exact): (&dyn Fn(usize) -> bool, &dyn Fn(usize) -> bool),
    primary: &dyn Fn(Source) -> bool,
) -> (Vec<Carried>, BTreeSet<usize>) {
    let carries = !matches!(place, Place::Bare | Place::Counted);
    let mut carried = Vec::new();
    let mut left: BTreeSet<usize> =
        scope.items.iter().flat_map(|item| item.rows.bare.iter().copied()).collect();
    for (item, key) in scope.keys() {
        let carries = carries && (!clauses.grouped && !clauses.distinct || exact(key.leaf));
        match carrier(item, key, (outputs, clauses), (alone, primary)).filter(|_| carries) {
            Some(column) => carried.push((item.alias.clone(), column, key.leaf)),
            None => {
                left.insert(key.leaf);
            }
        }
    }
    if carries && clauses.grouped && !clauses.distinct {
        carry_by_links(scope, (&clauses.links, alone), &mut carried, &mut left);
    }
    if carries && clauses.distinct && !clauses.grouped {
        carry_joined(scope, alone, &mut carried, &mut left);
    }
    (carried, left)
}

/// What different rows leave out of a relation's other leaves is carried by the key of one whose
/// record is in all of them, where a sub-select has said that they are about the same subject.
fn carry_joined(
    scope: &Scope<'_>,
    alone: &dyn Fn(usize) -> bool,
    carried: &mut Vec<Carried>,
    left: &mut BTreeSet<usize>,
) {
    for (alias, column, leaf) in carried.clone() {
        let Some(item) = scope.items.iter().find(|item| item.alias == alias) else { continue };
        let joined = item.rows.joined.iter().filter(|(first, _)| *first == leaf);
        for (_, other) in joined {
            let is_bare = scope.items.iter().any(|item| item.rows.bare.contains(other));
            if alone(*other) && !is_bare && left.remove(other) {
                carried.push((alias.clone(), column.clone(), *other));
            }
        }
    }
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
    (alone, primary): (&dyn Fn(usize) -> bool, &dyn Fn(Source) -> bool),
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
    // Rows that differ in the primary key are the records: whose each is makes no more of them. A
    // sub-select that gives a copy of it has carried the same record's key.
    let first = |alias: &String, name: &String| {
        let mut columns = item.rows.columns.iter().filter(|column| column.name == *name);
        let source = columns.next().and_then(|column| column.source);
        let is_there = item.leaf == Some(key.leaf) || item.rows.certain.contains(&key.leaf);
        let is_first = item.alias == *alias
            && is_there
            && !key.many
            && source.is_some_and(|source| source.leaf == key.leaf && primary(source));
        (is_first && alone(key.leaf)).then(|| key.column.clone())
    };
    let grouped = clauses.group_columns.iter().find(|(alias, name)| is_key(alias, name));
    let shown = || {
        let mut references = outputs.columns.iter().filter_map(|output| output.reference.as_ref());
        references.find_map(|(alias, name)| {
            if is_key(alias, name) { Some(name.clone()) } else { first(alias, name) }
        })
    };
    match (clauses.grouped, clauses.distinct) {
        (true, false) => grouped.map(|(_, name)| name.clone()),
        (false, true) => shown(),
        // DISTINCT over groups: the key must be in both.
        (true, true) => grouped.and_then(|_| shown()),
        (false, false) => None,
    }
}

/// What carries the keys of leaves whose rows are folded.
#[derive(Debug, Default)]
pub(super) struct Folded {
    /// All of their rows are one subject's: any of these keys.
    pub(super) one: Vec<Carried>,
    /// All of their keys.
    pub(super) all: Vec<Carried>,
}

impl Folded {
    pub(super) fn leaves(&self) -> impl Iterator<Item = usize> {
        self.one.iter().chain(&self.all).map(|(_, _, leaf)| *leaf)
    }
}

impl Analysis<'_> {
    /// What carries the keys of leaves that are folded without theirs. `whole` is what comes out,
    /// beside the aggregates. Where nothing comes out that needs a key, none is carried.
    pub(super) fn carry_folded(
        &self,
        select: &pb::SelectStmt,
        scope: &Scope<'_>,
        (clauses, place, windows): (&Clauses, Place, &[WindowUse]),
        (whole, aggregates): (&Taint, &[Aggregate]),
        left: &mut BTreeSet<usize>,
    ) -> Folded {
        let mut folded = Folded::default();
        if !clauses.grouped || clauses.distinct || matches!(place, Place::Bare | Place::Counted) {
            return folded;
        }
        let collects = aggregates.iter().any(|aggregate| aggregate.collects);
        let needed = |leaf: usize| {
            let mut flows = aggregates.iter().map(|used| &used.arguments).chain([whole]);
            collects || flows.any(|flow| flow.needs_key(leaf))
        };
        let is_bare = |leaf: usize| scope.items.iter().any(|item| item.rows.bare.contains(&leaf));
        // A window function shows something of other groups' rows.
        let by_themselves = select.group_clause.is_empty() || windows.is_empty();
        let at_the_end = place == Place::Top
            && by_themselves
            && self.shows_all_groups(select, scope)
            && !self.makes_rows(select);
        let needed = |leaf: usize| needed(leaf) || at_the_end && self.is_singled_out(leaf);
        let carried: BTreeSet<usize> =
            left.iter().copied().filter(|leaf| needed(*leaf) && !is_bare(*leaf)).collect();
        for (item, key) in scope.keys().filter(|(_, key)| carried.contains(&key.leaf)) {
            let about_one =
                clauses.about.contains(&key.leaf) || self.groups_hold_one(item, key, clauses);
            let one = about_one && self.is_alone(scope, key.leaf);
            let listed = self.leaves.get(key.leaf).is_some_and(|leaf| leaf.key_type.is_listed());
            let kept = match (one, at_the_end && listed) {
                (true, _) => &mut folded.one,
                (false, true) => &mut folded.all,
                (false, false) => continue,
            };
            kept.push((item.alias.clone(), key.column.clone(), key.leaf));
            left.remove(&key.leaf);
        }
        folded
    }

    /// Whether each group is of one record: it is grouped by a copy of that record's primary key,
    /// which a sub-select gives with the key of whose it is.
    fn groups_hold_one(&self, item: &Item, key: &Key, clauses: &Clauses) -> bool {
        let is_first = |(alias, name): &(String, String)| {
            let mut columns = item.rows.columns.iter().filter(|column| column.name == *name);
            let source = columns.next().and_then(|column| column.source);
            *alias == item.alias
                && source.is_some_and(|source| source.leaf == key.leaf && self.is_primary(source))
        };
        item.rows.certain.contains(&key.leaf)
            && !item.nullable
            && !key.many
            && clauses.group_columns.iter().any(is_first)
    }

    /// Whether a search or a condition has found single records of the leaf: they are told by their
    /// keys, or not folded at all.
    fn is_singled_out(&self, leaf: usize) -> bool {
        self.facts.lookups.contains_key(&leaf)
            || self.pinned.contains(&leaf)
            || self.narrowed.contains(&leaf)
    }

    /// Whether a select shows all groups that it folds its rows to, and does not read all of a
    /// table. Where nothing is masked, groups that it leaves out tell of what is looked up only,
    /// and it may read all if it says by what it groups.
    fn shows_all_groups(&self, select: &pb::SelectStmt, scope: &Scope<'_>) -> bool {
        let sets = |node: &Node| matches!(node.node, Some(NodeEnum::GroupingSet(_)));
        let grouped = !select.group_clause.is_empty();
        let accounted = grouped && self.resolver.rules.mode == Mode::Accounted;
        let all = select.having_clause.is_none() && select.limit_count.is_none();
        let searched = || scope.keys().any(|(_, key)| self.facts.lookups.contains_key(&key.leaf));
        (accounted || all && (searched() || self.is_narrow(select)))
            && select.limit_offset.is_none()
            && select.distinct_clause.is_empty()
            && !select.group_clause.iter().any(sets)
    }

    /// Whether a select says which rows it wants, or how many.
    fn is_narrow(&self, select: &pb::SelectStmt) -> bool {
        if let (Some(left), Some(right)) = (&select.larg, &select.rarg) {
            return self.is_narrow(left) && self.is_narrow(right);
        }
        select.where_clause.is_some()
            || select.limit_count.is_some()
            || select.from_clause.iter().any(|item| self.is_narrow_item(item))
    }

    fn is_narrow_item(&self, item: &Node) -> bool {
        match &item.node {
            Some(NodeEnum::RangeSubselect(range)) => match range.subquery.as_deref() {
                Some(Node { node: Some(NodeEnum::SelectStmt(select)) }) => self.is_narrow(select),
                _ => false,
            },
            // Programs write there what they want a page of.
            Some(NodeEnum::RangeVar(range)) => {
                let mut commons = self.commons.iter();
                range.schemaname.is_empty() && commons.any(|c| c.name == range.relname)
            }
            // What is joined to a page, and may be left out, belongs to the records of the page.
            Some(NodeEnum::JoinExpr(join)) if join.jointype() == pb::JoinType::JoinLeft => {
                join.larg.as_deref().is_some_and(|page| self.is_narrow_item(page))
            }
            _ => false,
        }
    }

    /// Whether a select's result columns make more than one row of one.
    pub(super) fn makes_rows(&self, select: &pb::SelectStmt) -> bool {
        // What looks for aggregates looks for these.
        let sets = |call: &pb::FuncCall| {
            let kind = self.kind_of_call(call);
            kind.filter(|kind| matches!(kind, Kind::Set | Kind::Record)).map(|_| Kind::Aggregate)
        };
        let mut lists = select.target_list.iter().chain(&select.sort_clause);
        lists.any(|node| has_aggregate(node, &sets))
    }

    /// Gives the select the columns that carry keys: of each the alias, the column and the leaf.
    pub(super) fn append_keys(
        &mut self,
        select: &mut pb::SelectStmt,
        (carried, folded): (Vec<Carried>, Folded),
        (moved, paged): (Vec<Moved>, Vec<Moved>),
    ) -> Vec<Key> {
        let mut values = Vec::new();
        let column = |alias: &str, name: &str| ast::column(&[alias, name]);
        values.extend(
            carried.into_iter().map(|(alias, name, leaf)| (column(&alias, &name), leaf, false)),
        );
        values.extend(moved.into_iter().map(|(value, leaf)| (value, leaf, false)));
        let one = folded.one.into_iter();
        values.extend(one.map(|(alias, name, leaf)| (any_value(&alias, &name), leaf, false)));
        let all = folded.all.into_iter();
        values.extend(all.map(|(alias, name, leaf)| (all_values(&alias, &name), leaf, true)));
        values.extend(paged.into_iter().map(|(value, leaf)| (value, leaf, true)));
        let mut keys = Vec::new();
        for (value, leaf, many) in values {
            let name = self.name('k');
            select.target_list.push(ast::target(&name, value));
            keys.push(Key { leaf, column: name, many });
        }
        keys
    }
}

/// All values of a column, as a list with commas. Not each once: for that servers from 16 on sort
/// the rows, and other aggregates would read them in that order (`enable_presorted_aggregate`).
pub(super) fn all_values(alias: &str, column: &str) -> Node {
    let text = ast::type_name("pg_catalog", "text", &[], false);
    let values = ast::cast(ast::column(&[alias, column]), text);
    ast::call("string_agg", vec![values, ast::constant(",")])
}

/// One of the values of a column that are not NULL.
fn any_value(alias: &str, column: &str) -> Node {
    let argument = ast::column(&[alias, column]);
    let mut call = ast::call("array_agg", vec![argument.clone()]);
    if let Some(NodeEnum::FuncCall(call)) = call.node.as_mut() {
        call.agg_filter = Some(Box::new(ast::null_test(argument, pb::NullTestType::IsNotNull)));
    }
    let first = pb::AIndices { uidx: Some(Box::new(ast::integer(1))), ..pb::AIndices::default() };
    ast::node(NodeEnum::AIndirection(Box::new(pb::AIndirection {
        arg: Some(Box::new(call)),
        indirection: vec![ast::node(NodeEnum::AIndices(Box::new(first)))],
    })))
}
