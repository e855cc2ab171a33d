//! The name that PostgreSQL gives to a result column that has none.

use pg_query::{Node, NodeEnum, protobuf as pb};

/// The name of a target without an alias; `?column?` where there is nothing to name it after.
pub(crate) fn figure(node: &Node) -> String {
    strength(node).map_or_else(|| "?column?".to_owned(), |(name, _)| name)
}

fn text(node: &Node) -> Option<String> {
    match &node.node {
        Some(NodeEnum::String(pb::String { sval })) => Some(sval.clone()),
        _ => None,
    }
}

fn strong(name: &str) -> Option<(String, u8)> {
    Some((name.to_owned(), 2))
}

/// A name and how sure it is: 2 as a column's or function's own, 1 as a type's.
fn strength(node: &Node) -> Option<(String, u8)> {
    match node.node.as_ref()? {
        NodeEnum::ColumnRef(n) => Some((n.fields.iter().rev().find_map(text)?, 2)),
        NodeEnum::AIndirection(n) => match n.indirection.iter().rev().find_map(text) {
            Some(name) => Some((name, 2)),
            None => strength(n.arg.as_deref()?),
        },
        NodeEnum::FuncCall(n) => Some((n.funcname.last().and_then(text)?, 2)),
        NodeEnum::AExpr(n) if n.kind() == pb::AExprKind::AexprNullif => strong("nullif"),
        NodeEnum::TypeCast(n) => match n.arg.as_deref().and_then(strength) {
            Some((name, 2)) => Some((name, 2)),
            weak => {
                let name = n.type_name.as_ref()?.names.last().and_then(text);
                name.map(|name| (name, 1)).or(weak)
            }
        },
        NodeEnum::CollateClause(n) => strength(n.arg.as_deref()?),
        NodeEnum::GroupingFunc(_) => strong("grouping"),
        NodeEnum::SubLink(n) => match n.sub_link_type() {
            pb::SubLinkType::ExistsSublink => strong("exists"),
            pb::SubLinkType::ArraySublink => strong("array"),
            pb::SubLinkType::ExprSublink => first_target(n.subselect.as_deref()?),
            _ => None,
        },
        NodeEnum::CaseExpr(n) => match n.defresult.as_deref().and_then(strength) {
            Some((name, 2)) => Some((name, 2)),
            _ => Some(("case".to_owned(), 1)),
        },
        NodeEnum::AArrayExpr(_) => strong("array"),
        NodeEnum::RowExpr(_) => strong("row"),
        NodeEnum::CoalesceExpr(_) => strong("coalesce"),
        NodeEnum::MinMaxExpr(n) if n.op() == pb::MinMaxOp::IsGreatest => strong("greatest"),
        NodeEnum::MinMaxExpr(_) => strong("least"),
        NodeEnum::SqlvalueFunction(n) => strong(value_function(n.op())),
        _ => None,
    }
}

fn first_target(node: &Node) -> Option<(String, u8)> {
    let Some(NodeEnum::SelectStmt(select)) = &node.node else { return None };
    let mut select = select.as_ref();
    while let Some(left) = select.larg.as_deref() {
        select = left;
    }
    if !select.values_lists.is_empty() {
        return strong("column1");
    }
    match select.target_list.first()?.node.as_ref()? {
        NodeEnum::ResTarget(target) if !target.name.is_empty() => strong(&target.name),
        NodeEnum::ResTarget(target) => strength(target.val.as_deref()?),
        _ => None,
    }
}

fn value_function(op: pb::SqlValueFunctionOp) -> &'static str {
    use pb::SqlValueFunctionOp as Op;
    match op {
        Op::SvfopCurrentDate => "current_date",
        Op::SvfopCurrentTime | Op::SvfopCurrentTimeN => "current_time",
        Op::SvfopCurrentTimestamp | Op::SvfopCurrentTimestampN => "current_timestamp",
        Op::SvfopLocaltime | Op::SvfopLocaltimeN => "localtime",
        Op::SvfopLocaltimestamp | Op::SvfopLocaltimestampN => "localtimestamp",
        Op::SvfopCurrentRole => "current_role",
        Op::SvfopCurrentUser => "current_user",
        Op::SvfopUser => "user",
        Op::SvfopSessionUser => "session_user",
        Op::SvfopCurrentCatalog => "current_catalog",
        Op::SvfopCurrentSchema => "current_schema",
        Op::SqlvalueFunctionOpUndefined => "?column?",
    }
}
