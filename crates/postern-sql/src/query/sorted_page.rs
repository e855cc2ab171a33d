//! Pages of one's own records that are sorted by what is clear of them: `WHERE … ORDER BY name
//! LIMIT 20`.
//!
//! A page tells of the records that are not on it that they come before or after. So its first row
//! carries the keys of all that are the actor's own among those that were compared, and each is
//! recorded; those of others all have the mask, which tells nothing.

use std::collections::BTreeSet;

use pg_query::{Node, NodeEnum, protobuf as pb};

use super::{
    Analysis,
    carry::{Carried, all_values},
    leaf::keys,
    scalar::parts,
    scope::Scope,
    select::Place,
    target::Outputs,
};
use crate::{Mode, ast, taint::Taint};

/// `RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW`, as the parser writes it where no frame is
/// named (`FRAMEOPTION_DEFAULTS`, parsenodes.h).
const NO_FRAME: i32 = 0x422;

impl Analysis<'_> {
    /// Whether a select is a page whose first row can carry the keys of all that was compared.
    pub(super) fn is_sorted_page(
        &self,
        select: &pb::SelectStmt,
        outputs: &Outputs,
        (scope, place): (&Scope<'_>, Place),
    ) -> bool {
        self.resolver.rules.mode == Mode::Restricted
            && place == Place::Top
            && !scope.grouped
            && (select.limit_count.is_some() || select.limit_offset.is_some())
            && select.limit_option() != pb::LimitOption::WithTies
            && select.limit_offset.as_deref().is_none_or(is_given)
            && select.distinct_clause.is_empty()
            // With windows nothing can be locked.
            && select.locking_clause.is_empty()
            // All of a table would be read for a page of it.
            && select.where_clause.is_some()
            && !self.makes_rows(select)
            && scope.items.iter().all(|item| item.covers.is_empty() && item.rows.open.is_none())
            && order_of(select, outputs).is_some()
    }

    /// What carries, in the first row of a page, the keys of the actor's own records that it was
    /// sorted by, which are in `sorted`. What nothing can carry is masked.
    pub(super) fn keys_of_page(
        &mut self,
        select: &pb::SelectStmt,
        outputs: &Outputs,
        (sorted, carried): (&Taint, &[Carried]),
    ) -> Vec<(Node, usize)> {
        let order = order_of(select, outputs);
        let mut lists = Vec::new();
        let leaves: BTreeSet<usize> = sorted.protected.iter().map(|(leaf, _)| *leaf).collect();
        for leaf in leaves {
            let of_leaf = sorted.protected.iter().filter(|(owner, _)| *owner == leaf).copied();
            let of_leaf: BTreeSet<(usize, i16)> = of_leaf.collect();
            let build = self.leaves.get(leaf).cloned();
            let listed = build.as_ref().filter(|build| build.key_type.is_listed());
            let keys: Vec<&Carried> = carried.iter().filter(|(.., own)| *own == leaf).collect();
            let (Some(build), Some(order), false) = (listed, &order, keys.is_empty()) else {
                self.spoil(&Taint { protected: of_leaf, ..Taint::default() });
                continue;
            };
            let own = |attribute: i16| {
                let column = build.column(attribute);
                column.is_some_and(|column| self.is_own(leaf, build, column))
            };
            let Some(set) = build.key_set.filter(|_| of_leaf.iter().any(|(_, at)| own(*at))) else {
                continue;
            };
            for (alias, column, _) in keys {
                let subject = keys::subject(alias, column, build.key_type);
                let own = self.is_in_set(subject, set, build.key_type);
                let list = own_keys((alias, column), own);
                lists.push((ast::case(is_first(select, order), list, ast::null()), leaf));
            }
        }
        lists
    }
}

/// What the rows are sorted by, without the names and numbers of result columns.
fn order_of(select: &pb::SelectStmt, outputs: &Outputs) -> Option<Vec<Node>> {
    let expression = |node: &Node| {
        let Some(NodeEnum::SortBy(by)) = &node.node else { return None };
        let key = by.node.as_deref()?;
        let key = match outputs.named(key) {
            Some(output) => {
                let (alias, name) = output.reference.as_ref()?;
                ast::column(&[alias, name])
            }
            None => Some(key).filter(|key| is_steady(key))?.clone(),
        };
        let by = pb::SortBy { node: Some(Box::new(key)), ..by.as_ref().clone() };
        Some(ast::node(NodeEnum::SortBy(Box::new(by))))
    };
    select.sort_clause.iter().map(expression).collect()
}

/// Whether an expression has the same value wherever it stands beside a row. A constant by itself
/// is a column's number.
fn is_steady(node: &Node) -> bool {
    let steady = |part: &mut Node| {
        matches!(part.node, Some(NodeEnum::AConst(_) | NodeEnum::ParamRef(_))) || is_steady(part)
    };
    match &node.node {
        Some(NodeEnum::ColumnRef(_)) => true,
        Some(
            NodeEnum::TypeCast(_)
            | NodeEnum::CollateClause(_)
            | NodeEnum::CoalesceExpr(_)
            | NodeEnum::CaseExpr(_)
            | NodeEnum::CaseWhen(_)
            | NodeEnum::AExpr(_)
            | NodeEnum::BoolExpr(_)
            | NodeEnum::NullTest(_)
            | NodeEnum::BooleanTest(_)
            | NodeEnum::List(_),
        ) => parts(&mut node.clone()).into_iter().all(steady),
        _ => false,
    }
}

/// Whether OFFSET is a constant or a parameter.
fn is_given(node: &Node) -> bool {
    match &node.node {
        Some(NodeEnum::AConst(_) | NodeEnum::ParamRef(_)) => true,
        Some(NodeEnum::TypeCast(cast)) => cast.arg.as_deref().is_some_and(is_given),
        _ => false,
    }
}

/// Whether a row may be the page's first: of those that nothing tells apart each may be.
fn is_first(select: &pb::SelectStmt, order: &[Node]) -> Node {
    let passed = match select.limit_offset.as_deref() {
        None => ast::integer(0),
        Some(offset) => {
            let number = ast::type_name("pg_catalog", "int8", &[], false);
            let offset = ast::cast(offset.clone(), number);
            ast::node(NodeEnum::CoalesceExpr(Box::new(pb::CoalesceExpr {
                args: vec![offset, ast::integer(0)],
                ..pb::CoalesceExpr::default()
            })))
        }
    };
    let rank = over(ast::call("rank", Vec::new()), order.to_vec());
    // The first has a rank of one more than the rows that are passed over, or less.
    compare(rank, "<=", compare(passed, "+", ast::integer(1)))
}

fn compare(left: Node, operator: &str, right: Node) -> Node {
    let mut node = ast::equal(pb::AExprKind::AexprOp, left, right);
    if let Some(NodeEnum::AExpr(expression)) = node.node.as_mut() {
        expression.name = vec![ast::string("pg_catalog"), ast::string(operator)];
    }
    node
}

/// The keys that are `own` in all rows that are sorted, as a list with commas.
fn own_keys((alias, column): (&str, &str), own: Node) -> Node {
    let mut call = all_values(alias, column);
    if let Some(NodeEnum::FuncCall(call)) = call.node.as_mut() {
        call.agg_filter = Some(Box::new(own));
    }
    over(call, Vec::new())
}

fn over(mut call: Node, order_clause: Vec<Node>) -> Node {
    if let Some(NodeEnum::FuncCall(call)) = call.node.as_mut() {
        let window = pb::WindowDef { order_clause, frame_options: NO_FRAME, ..Default::default() };
        call.over = Some(Box::new(window));
    }
    call
}
