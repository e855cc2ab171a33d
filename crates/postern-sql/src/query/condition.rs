//! Reasons' conditions, which are the administrator's SQL, as trees.

use pg_query::{Node, NodeEnum, protobuf as pb};

use super::{
    Analysis,
    from::{derived, plain_columns},
    scope::Scope,
};
use crate::{
    ast,
    catalogue::Relation,
    refusal::{Judged, refuse},
    shape::Shape,
    taint::Rows,
};

/// The tree of a condition; `None` if the text is not exactly one expression.
pub(crate) fn parse_condition(condition: &str) -> Option<Node> {
    // As it is, so that it can't close the parentheses that it stands in; and between parentheses,
    // so that nothing of it can become another clause.
    pg_query::parse(&format!("SELECT 1 WHERE {condition}\n"), 0).ok()?;
    let parsed = pg_query::parse(&format!("SELECT ({condition}\n)"), 0).ok()?;
    let mut statements = parsed.protobuf.stmts.into_iter();
    let (Some(raw), None) = (statements.next(), statements.next()) else { return None };
    let Some(NodeEnum::SelectStmt(select)) = raw.stmt?.node else { return None };
    let plain = pb::SelectStmt { target_list: Vec::new(), ..(*select).clone() };
    let bare = ast::empty_select();
    let mut targets = select.target_list.into_iter();
    let (Some(target), None) = (targets.next(), targets.next()) else { return None };
    let Some(NodeEnum::ResTarget(target)) = target.node else { return None };
    let value = target.val.filter(|_| plain == bare && target.name.is_empty())?;
    // `(a, b)` is a row.
    (!matches!(value.node, Some(NodeEnum::RowExpr(_)))).then_some(*value)
}

impl Analysis<'_> {
    /// A reason's condition on the rows that the statement calls `alias`: every name in it is
    /// resolved in its own table, every function and operator judged.
    pub(super) fn reason_condition(
        &mut self,
        text: &str,
        alias: &str,
        relation: &Relation,
    ) -> Judged<Node> {
        let Some(mut condition) = parse_condition(text) else { return unfit() };
        Shape::new("").node(&mut condition)?;
        let rows = Rows {
            columns: plain_columns(relation.columns.iter().map(|column| &column.name)),
            ..Rows::default()
        };
        let mut scope = Scope::new(None);
        scope.items.push(derived(relation.name.clone(), rows));
        let judge = |own: &mut Self| own.expression(&mut condition, &scope);
        let taint = self.lent(|own| &mut own.conditions_on, Some(alias.to_owned()), judge).0?;
        if taint.sublink { unfit() } else { Ok(condition) }
    }

    /// Names in a condition mean its relation, whatever else the statement names.
    pub(super) fn qualify_condition(&self, reference: &mut pb::ColumnRef) -> Judged<()> {
        let Some(alias) = &self.conditions_on else { return Ok(()) };
        match reference.fields.as_slice() {
            [name] => reference.fields = vec![ast::string(alias), name.clone()],
            [_, name] => reference.fields = vec![ast::string(alias), name.clone()],
            _ => return unfit(),
        }
        Ok(())
    }
}

/// A reason's condition is asked as of the present moment, not as of when the client's transaction
/// or message began: a reason that has ended since is none.
pub(super) fn at_present(node: &mut Node) {
    use pb::SqlValueFunctionOp as Op;
    let clock = || ast::call("clock_timestamp", Vec::new());
    let as_type = |name| ast::cast(clock(), ast::type_name("pg_catalog", name, &[], false));
    let present = match &node.node {
        Some(NodeEnum::FuncCall(call)) if call.args.is_empty() => {
            let names = ast::names(&call.funcname).unwrap_or_default();
            let begun = ["now", "transaction_timestamp", "statement_timestamp"];
            let name = match names.as_slice() {
                [name] | ["pg_catalog", name] => *name,
                _ => return,
            };
            if begun.contains(&name) { clock() } else { return }
        }
        Some(NodeEnum::SqlvalueFunction(value)) => match value.op() {
            Op::SvfopCurrentDate => as_type("date"),
            Op::SvfopCurrentTime | Op::SvfopCurrentTimeN => as_type("timetz"),
            Op::SvfopCurrentTimestamp | Op::SvfopCurrentTimestampN => clock(),
            Op::SvfopLocaltime | Op::SvfopLocaltimeN => as_type("time"),
            Op::SvfopLocaltimestamp | Op::SvfopLocaltimestampN => as_type("timestamp"),
            _ => return,
        },
        _ => return,
    };
    *node = present;
}

fn unfit<T>() -> Judged<T> {
    refuse(
        "write",
        "the condition of a reason is too complex for this change",
        "ask the administrator: the columns of such a reason can't be changed by this role",
    )
}
