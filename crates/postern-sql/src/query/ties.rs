//! The order of rows that compare as equal.
//!
//! An index of clear and protected columns, as one of `(country, name)`, gives the rows of one
//! country in the order of their names, and the server takes them from it wherever it likes that
//! plan. Where such an order shows, in the result or by which rows a LIMIT leaves, it is that of
//! their keys instead; where it can't be made so, the statement is refused.

use std::collections::BTreeSet;

use pg_query::{Node, NodeEnum, protobuf as pb};

use super::{
    Analysis,
    leaf::{Shown, shown},
    scope::Scope,
    select::Place,
    window::{EXCLUDE, ROWS, START_UNBOUNDED_PRECEDING},
};
use crate::{
    Mode, ast,
    functions::Kind,
    refusal::{Judged, refuse},
    taint::Key,
};

impl Analysis<'_> {
    /// Whether the order in which the server finds a leaf's rows can tell of protected columns.
    fn tells_by_order(&self, leaf: usize) -> bool {
        let Some(build) = self.leaves.get(leaf) else { return false };
        let accounted = self.resolver.rules.mode == Mode::Accounted;
        build.relation.columns.iter().filter(|column| column.orders).any(|column| {
            match shown(build.rule, column) {
                Shown::Free => false,
                // What is shown to all of the role, or, to accounted ones, what is recorded.
                Shown::Always => accounted,
                Shown::Keyed(..) | Shown::Masked(_) => true,
            }
        })
    }

    fn has_telling_order(&self, scope: &Scope<'_>) -> bool {
        let mut leaves = scope.items.iter().flat_map(|item| item.rows.leaves());
        leaves.any(|leaf| self.tells_by_order(leaf))
    }

    /// What sorts the rows of a scope whose order tells: whose they are, and which.
    fn tie_breakers(&self, sorted: &[Node], scope: &Scope<'_>) -> Vec<Node> {
        let sources = sorted.iter().filter_map(|node| match &node.node {
            Some(NodeEnum::SortBy(by)) => scope.source(by.node.as_deref()?),
            _ => None,
        });
        let whole = sources.filter(|source| self.is_primary(*source)).map(|source| source.leaf);
        let whole: BTreeSet<usize> = whole.collect();
        let tells = |leaf: usize| self.tells_by_order(leaf) && !whole.contains(&leaf);
        let mut sorts = Vec::new();
        for (item, key) in scope.keys().filter(|(_, key)| tells(key.leaf)) {
            sorts.push(by(ast::column(&[&item.alias, &key.column])));
            let build = self.leaves.get(key.leaf).filter(|_| item.leaf == Some(key.leaf));
            let Some(build) = build else { continue };
            let primary = |attribute: i16| {
                build
                    .column(attribute)
                    .is_some_and(|column| column.primary && column.name != build.rule.subject)
            };
            let named = item
                .rows
                .columns
                .iter()
                .filter(|column| column.source.is_some_and(|source| primary(source.attribute)));
            sorts.extend(named.map(|column| by(ast::column(&[&item.alias, &column.name]))));
        }
        sorts
    }

    /// Has rows whose order shows come in that of their keys, behind what the client sorts by.
    pub(super) fn break_ties(
        &self,
        select: &mut pb::SelectStmt,
        scope: &Scope<'_>,
        (place, folds): (Place, bool),
    ) -> Judged<()> {
        let first = matches!(select.distinct_clause.first(), Some(Node { node: Some(_) }));
        let picks = first || select.limit_count.is_some() || select.limit_offset.is_some();
        let shows = matches!(place, Place::Top | Place::Arm)
            && self.resolver.rules.mode == Mode::Restricted;
        if folds || !(picks || shows) || !self.has_telling_order(scope) {
            return Ok(());
        }
        if select.limit_option() == pb::LimitOption::WithTies {
            return untold();
        }
        if first && select.sort_clause.is_empty() {
            select.sort_clause.extend(select.distinct_clause.iter().cloned().map(by));
        }
        let ties = self.tie_breakers(&select.sort_clause, scope);
        select.sort_clause.extend(ties);
        Ok(())
    }

    /// The same of the rows of a UNION ALL.
    pub(super) fn break_ties_of_arms(&self, select: &mut pb::SelectStmt, keys: &[Key]) {
        let sorted = !select.sort_clause.is_empty()
            || select.limit_count.is_some()
            || select.limit_offset.is_some();
        let keys = keys.iter().filter(|key| sorted && self.tells_by_order(key.leaf));
        select.sort_clause.extend(keys.map(|key| by(ast::column(&[&key.column]))));
    }

    /// The same of what an aggregate holds.
    pub(super) fn break_ties_of_held(&self, call: &mut pb::FuncCall, scope: &Scope<'_>) {
        if !call.agg_distinct && !call.agg_within_group && self.has_telling_order(scope) {
            let ties = self.tie_breakers(&call.agg_order, scope);
            call.agg_order.extend(ties);
        }
    }

    /// The same of what a window function looks at, if what it gives hangs on the order of those
    /// that compare as equal.
    pub(super) fn break_ties_of_window(
        &self,
        window: &mut pb::WindowDef,
        (function, kind): (&str, Kind),
        scope: &Scope<'_>,
    ) -> Judged<()> {
        if !self.has_telling_order(scope) {
            return Ok(());
        }
        let frame = |bits: i32| window.frame_options & bits != 0;
        let by_place = matches!(function, "row_number" | "ntile" | "lag" | "lead")
            || frame(ROWS) && !frame(EXCLUDE)
            || function == "first_value" && frame(START_UNBOUNDED_PRECEDING);
        let by_peers = matches!(function, "rank" | "dense_rank" | "percent_rank" | "cume_dist")
            || matches!(kind, Kind::Aggregate | Kind::WindowOrAggregate) && !frame(EXCLUDE);
        if by_peers && !by_place {
            return Ok(());
        }
        let own = window.name.is_empty() && window.refname.is_empty();
        if !by_place || !own {
            return untold();
        }
        let ties = self.tie_breakers(&window.order_clause, scope);
        window.order_clause.extend(ties);
        Ok(())
    }
}

fn by(node: Node) -> Node {
    ast::node(NodeEnum::SortBy(Box::new(pb::SortBy {
        node: Some(Box::new(node)),
        sortby_dir: pb::SortByDir::SortbyDefault as i32,
        sortby_nulls: pb::SortByNulls::SortbyNullsDefault as i32,
        ..pb::SortBy::default()
    })))
}

fn untold<T>() -> Judged<T> {
    refuse(
        "order",
        "the order of rows that compare as equal can't be told here: an index of the table tells \
         of protected columns by it",
        "sort by the record's key, too; leave WITH TIES out, and write a window where it is used",
    )
}
