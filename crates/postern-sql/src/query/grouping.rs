//! What happens to keys where rows are folded.

use std::collections::BTreeSet;

use pg_query::{Node, NodeEnum, protobuf as pb};

use super::{
    Analysis,
    carry::{Carried, Folded},
    scalar::parts,
    scope::Scope,
    select::{Clauses, Place, Reference},
    target::Outputs,
};
use crate::{
    Mode, ast,
    functions::Kind,
    refusal::{Judged, refuse},
    taint::{Column, Taint},
};

/// A use of an aggregate, until it is known which leaves the select folds.
#[derive(Debug, Clone)]
pub(crate) struct Aggregate {
    pub(super) arguments: Taint,
    pub(super) collects: bool,
}

/// What a select is grouped by.
pub(super) struct Groups {
    /// What flows into each expression.
    pub(super) taints: Vec<Taint>,
    /// Those that are columns; none with grouping sets.
    pub(super) columns: Vec<Reference>,
    /// Leaves of which something is computed in them that tells records apart.
    pub(super) computed: BTreeSet<usize>,
}

impl Clauses {
    /// What is compared to find groups and different rows.
    pub(super) fn compared(&self, outputs: &Outputs) -> Taint {
        let mut compared = if self.distinct { outputs.whole() } else { Taint::default() };
        self.groups.iter().for_each(|group| compared.add(group));
        compared
    }
}

impl Analysis<'_> {
    /// Rows of `leaves` are folded, and `taint` comes out: it may not tell records apart.
    pub(super) fn fold(&mut self, leaves: BTreeSet<usize>, taint: &Taint) -> Judged<()> {
        if leaves.iter().any(|leaf| taint.needs_key(*leaf)) {
            return unaccounted();
        }
        self.folded.extend(leaves);
        Ok(())
    }

    /// The same for the aggregates that a select used.
    pub(super) fn fold_aggregates(
        &mut self,
        leaves: &BTreeSet<usize>,
        aggregates: &[Aggregate],
    ) -> Judged<()> {
        for aggregate in aggregates {
            self.fold(leaves.clone(), &aggregate.arguments)?;
            // One value for each row, in their order: what is joined to a record tells of it, too.
            let collected = aggregate.arguments.names_columns() && !leaves.is_empty();
            if aggregate.collects && collected {
                return unaccounted();
            }
        }
        Ok(())
    }

    /// What aggregates read of leaves whose rows are not all folded to what carries their keys is
    /// accounted for by no row.
    pub(super) fn spoil_folded(
        &mut self,
        aggregates: &[Aggregate],
        (carried, folded): (&[Carried], &Folded),
        left: &BTreeSet<usize>,
    ) {
        let kept = carried.iter().map(|(_, _, leaf)| *leaf).chain(folded.leaves());
        let kept: BTreeSet<usize> = kept.filter(|leaf| !left.contains(leaf)).collect();
        for aggregate in aggregates {
            let mut spoiled = aggregate.arguments.clone();
            spoiled.protected.retain(|(leaf, _)| !kept.contains(leaf));
            self.spoil(&spoiled);
        }
    }

    /// Rows of `left` are folded to groups or to different rows, of which `whole` comes out.
    pub(super) fn fold_rows(
        &mut self,
        left: &BTreeSet<usize>,
        whole: &Taint,
        (place, aggregates): (Place, &[Aggregate]),
        outputs: &Outputs,
    ) -> Judged<()> {
        self.tested.extend(&whole.sides);
        if place == Place::Counted {
            // How many there are, as `count(DISTINCT …)` says it.
            self.spoil(whole);
            self.predicate(&outputs.computed());
            self.folded.extend(left);
        } else {
            self.fold(left.clone(), whole)?;
        }
        self.fold_aggregates(left, aggregates)
    }

    /// Whether ORDER BY says the order of all rows, by the keys of all records in them: in which
    /// order the server has found them tells nothing then.
    pub(super) fn is_in_order(
        &self,
        select: &pb::SelectStmt,
        outputs: &Outputs,
        scope: &Scope<'_>,
    ) -> bool {
        let sources = select.sort_clause.iter().filter_map(|node| match &node.node {
            Some(NodeEnum::SortBy(by)) => {
                let key = by.node.as_deref()?;
                outputs.named(key).map_or_else(|| scope.source(key), |output| output.column.source)
            }
            _ => None,
        });
        let keys = sources.filter(|source| self.is_primary(*source)).map(|source| source.leaf);
        let keys: BTreeSet<usize> = keys.collect();
        let mut leaves = scope.items.iter().flat_map(|item| item.rows.leaves());
        leaves.all(|leaf| keys.contains(&leaf))
    }

    /// The expressions of GROUP BY, and those of its columns that are plain references.
    pub(super) fn groups(
        &mut self,
        groups: &mut [Node],
        outputs: &Outputs,
        scope: &Scope<'_>,
    ) -> Judged<Groups> {
        let (mut taints, mut columns) = (Vec::new(), Vec::new());
        let mut computed = BTreeSet::new();
        let mut sets = false;
        let mut queue: Vec<&mut Node> = groups.iter_mut().collect();
        while let Some(node) = queue.pop() {
            if matches!(node.node, Some(NodeEnum::GroupingSet(_))) {
                sets = true;
                if let Some(NodeEnum::GroupingSet(set)) = node.node.as_mut() {
                    queue.extend(&mut set.content);
                }
                continue;
            }
            if let Some((item, column)) = scope.column(node) {
                columns.push((item.alias.clone(), column.name.clone()));
            } else if scope.names_column(node) == Some(false)
                && let Some(output) = outputs.named(node)
                && let Some(reference) = &output.reference
            {
                columns.push(reference.clone());
            }
            let named = outputs.named(node).filter(|_| scope.names_column(node) != Some(true));
            let plain = named.map_or_else(|| scope.is_copy(node), |output| output.column.copied);
            let copy =
                named.map_or_else(|| scope.source(node).is_some(), |o| o.column.source.is_some());
            let taint = self.sort_key(node, outputs, (scope, "GROUP BY"))?;
            if !copy {
                self.spoil(&taint);
                self.computes_places(&taint);
            }
            if !plain {
                self.singled.extend(taint.singling());
                computed.extend(taint.few.union(&taint.identifiers));
            }
            taints.push(taint);
        }
        if sets {
            columns.clear();
        }
        Ok(Groups { taints, columns, computed })
    }

    /// How many groups or different rows there are, and the order in which they are found, tell of
    /// the protected columns that are compared to find them: these are masked, or, where nothing
    /// is, looked up.
    pub(super) fn groups_tell(&mut self, compared: &Taint) {
        self.spoil(compared);
        if self.resolver.rules.mode == Mode::Accounted {
            self.pinned.extend(compared.protected.iter().map(|(leaf, _)| *leaf));
        }
    }

    /// `GROUP BY primary_key` lets other columns of the table be used; a leaf has no primary key,
    /// so the ones that are used are grouped by too, which makes no other groups.
    pub(super) fn group_dependents(
        &self,
        select: &mut pb::SelectStmt,
        outputs: &Outputs,
        scope: &Scope<'_>,
        group_columns: &mut Vec<Reference>,
    ) {
        let columns: &[Reference] = group_columns;
        let keyed = |alias: &str| {
            let item = scope.items.iter().find(|item| item.alias == alias);
            let leaf = item.and_then(|item| self.leaves.get(item.leaf?));
            let Some((item, leaf)) = item.zip(leaf) else { return false };
            let is_key = |(group, name): &Reference| {
                let named = item.rows.columns.iter().find(|column| column.name == *name);
                let source = named.and_then(|column| column.source);
                let column = source.and_then(|source| leaf.column(source.attribute));
                group == alias && column.is_some_and(|column| column.primary)
            };
            columns.iter().any(is_key)
        };
        let mut used = BTreeSet::new();
        let sorted = select.sort_clause.iter().filter_map(|node| match &node.node {
            Some(NodeEnum::SortBy(by)) => by.node.as_deref(),
            _ => None,
        });
        let shown = select.target_list.iter().filter_map(|node| match &node.node {
            Some(NodeEnum::ResTarget(target)) => target.val.as_deref(),
            _ => None,
        });
        for node in sorted.chain(shown).chain(select.having_clause.as_deref()) {
            self.used_of_groups(&mut node.clone(), scope, &mut used);
        }
        used.extend(outputs.columns.iter().filter_map(|output| output.reference.clone()));
        // Whose record it is, too.
        let subjects = scope.keys().filter(|(item, key)| item.leaf == Some(key.leaf));
        used.extend(subjects.map(|(item, key)| (item.alias.clone(), key.column.clone())));
        used.retain(|reference| keyed(&reference.0) && !columns.contains(reference));
        for (alias, name) in used {
            select.group_clause.push(ast::column(&[&alias, &name]));
            group_columns.push((alias, name));
        }
    }

    /// Writes `SELECT DISTINCT name …` as `SELECT name … GROUP BY 1`, which is the same: groups can
    /// carry the keys of all that they fold. Only where it is needed: where a key is among what is
    /// shown, it carries itself.
    pub(super) fn group_different(
        &self,
        select: &mut pb::SelectStmt,
        scope: &Scope<'_>,
        place: Place,
    ) {
        let distinct = matches!(select.distinct_clause.as_slice(), [Node { node: None }]);
        let plain = place == Place::Top
            && select.window_clause.is_empty()
            && !self.is_grouped(select)
            && !self.makes_rows(select);
        if !distinct || !plain {
            return;
        }
        let mut used = BTreeSet::new();
        for target in &select.target_list {
            let Some(NodeEnum::ResTarget(target)) = &target.node else { return };
            let Some(value) = target.val.as_deref() else { return };
            let mut own = BTreeSet::new();
            self.used_of_groups(&mut value.clone(), scope, &mut own);
            let is_reference = matches!(value.node, Some(NodeEnum::ColumnRef(_)));
            // Of a star nothing is found.
            if is_reference && own.is_empty() || has_window(&mut value.clone()) {
                return;
            }
            used.extend(own);
        }
        let column = |(alias, name): &Reference| {
            let item = scope.items.iter().find(|item| item.alias == *alias)?;
            item.rows.columns.iter().find(|column| column.name == *name)
        };
        let columns: Vec<&Column> = used.iter().filter_map(column).collect();
        let is_key = |column: &&Column| {
            column.source.is_some_and(|source| source.subject || self.is_primary(source))
        };
        let needs_key =
            |column: &&Column| scope.keys().any(|(_, key)| column.taint.needs_key(key.leaf));
        if columns.iter().any(needs_key) && !columns.iter().any(is_key) {
            let places = (1..).take(select.target_list.len()).map(ast::integer);
            select.group_clause = places.collect();
            select.distinct_clause.clear();
        }
    }

    /// The columns that an expression uses of its groups, outside of aggregates.
    fn used_of_groups(&self, node: &mut Node, scope: &Scope<'_>, used: &mut BTreeSet<Reference>) {
        if let Some((item, column)) = scope.column(node) {
            used.insert((item.alias.clone(), column.name.clone()));
        }
        let aggregates = match &node.node {
            Some(NodeEnum::FuncCall(call)) => matches!(
                self.kind_of_call(call),
                Some(Kind::Aggregate | Kind::Collecting | Kind::WindowOrAggregate)
            ),
            _ => false,
        };
        if !aggregates {
            parts(node).into_iter().for_each(|part| self.used_of_groups(part, scope, used));
        }
    }
}

/// Whether a window function is worked out in an expression.
fn has_window(node: &mut Node) -> bool {
    matches!(&node.node, Some(NodeEnum::FuncCall(call)) if call.over.is_some())
        || parts(node).into_iter().any(has_window)
}

pub(crate) fn unaccounted<T>() -> Judged<T> {
    refuse(
        "unaccounted",
        "an aggregate, DISTINCT, set operation or sub-select over keys or protected columns can't \
         be accounted",
        "select the records themselves, add the key to GROUP BY or DISTINCT, or aggregate other \
         columns",
    )
}

/// `SELECT count(…) FROM (SELECT …)` and nothing else, as page counters say it.
pub(super) fn only_counts(select: &pb::SelectStmt) -> bool {
    let bare = select.where_clause.is_none()
        && select.group_clause.is_empty()
        && select.having_clause.is_none()
        && select.distinct_clause.is_empty()
        && select.window_clause.is_empty()
        && select.sort_clause.is_empty();
    let [Node { node: Some(NodeEnum::RangeSubselect(from)) }] = select.from_clause.as_slice()
    else {
        return false;
    };
    let [Node { node: Some(NodeEnum::ResTarget(target)) }] = select.target_list.as_slice() else {
        return false;
    };
    let Some(NodeEnum::FuncCall(call)) = target.val.as_deref().and_then(|val| val.node.as_ref())
    else {
        return false;
    };
    let counts =
        matches!(ast::names(&call.funcname).as_deref(), Some(["count"] | ["pg_catalog", "count"]));
    let plain = call.agg_filter.is_none() && call.over.is_none() && !call.agg_distinct;
    // What is counted may be a constant that the sub-select gives, see `Rows::picked`.
    let argument = |node: &Node| matches!(node.node, Some(NodeEnum::ColumnRef(_)));
    bare && counts && plain && call.args.iter().all(argument) && !from.lateral
}

/// Leaves DISTINCT out where it makes no difference how often a row is there.
pub(super) fn leave_out_distinct(select: &mut pb::SelectStmt) {
    let limited = select.limit_count.is_some() || select.limit_offset.is_some();
    if !limited && matches!(select.distinct_clause.as_slice(), [Node { node: None }]) {
        select.distinct_clause.clear();
    }
}

/// The columns of what is only counted, by `count(*)`, are never looked at.
pub(super) fn leave_out_counted(select: &mut pb::SelectStmt) {
    let target = select.target_list.first().and_then(|target| target.node.as_ref());
    let Some(NodeEnum::ResTarget(target)) = target else { return };
    let all = matches!(target.val.as_deref(),
        Some(Node { node: Some(NodeEnum::FuncCall(call)) }) if call.args.is_empty());
    let Some(Node { node: Some(NodeEnum::RangeSubselect(from)) }) = select.from_clause.first_mut()
    else {
        return;
    };
    let named = from.alias.as_ref().is_some_and(|alias| !alias.colnames.is_empty());
    let query = from.subquery.as_deref_mut().and_then(|query| query.node.as_mut());
    if let Some(NodeEnum::SelectStmt(query)) = query.filter(|_| all && !named) {
        leave_out_columns(query);
    }
}

/// Whether a select gives each row of its FROM clause that meets its condition, once.
pub(super) fn gives_its_rows(select: &pb::SelectStmt) -> bool {
    select.op() == pb::SetOperation::SetopNone
        && select.values_lists.is_empty()
        && select.distinct_clause.is_empty()
        && select.group_clause.is_empty()
        && select.having_clause.is_none()
        && select.limit_count.is_none()
        && select.limit_offset.is_none()
        && select.locking_clause.is_empty()
}

/// Leaves out the columns of a select of which nothing becomes but whether, or how many, rows there
/// are, and their order.
pub(super) fn leave_out_columns(select: &mut pb::SelectStmt) {
    let plain = gives_its_rows(select) && !select.from_clause.is_empty();
    let simple = |node: &Node| {
        let Some(NodeEnum::ResTarget(target)) = &node.node else { return false };
        let value = target.val.as_deref().and_then(|value| value.node.as_ref());
        target.indirection.is_empty()
            && matches!(value, Some(NodeEnum::ColumnRef(_) | NodeEnum::AConst(_)))
    };
    let sorted = |node: &Node| match &node.node {
        Some(NodeEnum::SortBy(by)) => {
            let by = by.node.as_deref().and_then(|by| by.node.as_ref());
            matches!(by, Some(NodeEnum::ColumnRef(_) | NodeEnum::AConst(_)))
        }
        _ => false,
    };
    let column = |node: &Node| {
        matches!(&node.node, Some(NodeEnum::ResTarget(target))
        if matches!(target.val.as_deref(), Some(Node { node: Some(NodeEnum::ColumnRef(_)) })))
    };
    let columns = select.target_list.iter().all(simple) && select.target_list.iter().any(column);
    if plain && columns && select.sort_clause.iter().all(sorted) {
        select.target_list.clear();
        select.sort_clause.clear();
    }
}
