//! INTERSECT and EXCEPT, and UNION in FROM, of rows of the same table.
//!
//! `SELECT id, number FROM tickets WHERE a EXCEPT SELECT id, number FROM tickets WHERE b` is
//! `SELECT id, number FROM tickets WHERE a AND b IS NOT TRUE`, where the primary key is among the
//! columns: no two rows are equal, and a row that is in both arms is the same record. As programs
//! put two queries of theirs together, this is what they mean; and nothing has to be compared.
//! UNION is `WHERE a OR b`. At the top of the statement it stays, as each arm says of whom it asks.

use pg_query::{Node, NodeEnum, protobuf as pb};

use super::{
    Analysis,
    grouping::gives_its_rows,
    lookup::{conjunction, conjuncts},
    scalar,
    select::Place,
    window::is_star,
};
use crate::{ast, catalogue::Relation};

impl Analysis<'_> {
    /// Writes such a set operation as one select; any other stays as it is.
    pub(super) fn join_same_rows(&self, select: &mut pb::SelectStmt, place: Place) {
        let operation = select.op();
        match operation {
            pb::SetOperation::SetopIntersect | pb::SetOperation::SetopExcept => {}
            pb::SetOperation::SetopUnion if place == Place::Nested => {}
            _ => return,
        }
        let Some((left, right)) = select.larg.as_deref_mut().zip(select.rarg.as_deref_mut()) else {
            return;
        };
        self.join_same_rows(left, place);
        self.join_same_rows(right, place);
        let Some(condition) = self.same_rows(left, right).filter(|_| !select.all) else { return };
        let mut joined = std::mem::take(left);
        let mut conditions = joined.where_clause.take().map(|node| conjuncts(*node));
        let condition = match operation {
            pb::SetOperation::SetopIntersect => Some(condition),
            // Without a condition the first arm has all rows already.
            pb::SetOperation::SetopUnion => conditions
                .take()
                .and_then(conjunction)
                .map(|first| ast::any(vec![*first, condition])),
            _ => Some(ast::node(NodeEnum::BooleanTest(Box::new(pb::BooleanTest {
                arg: Some(Box::new(condition)),
                booltesttype: pb::BoolTestType::IsNotTrue as i32,
                ..pb::BooleanTest::default()
            })))),
        };
        joined.where_clause =
            conjunction(conditions.into_iter().flatten().chain(condition).collect());
        joined.with_clause = select.with_clause.take();
        joined.sort_clause = std::mem::take(&mut select.sort_clause);
        joined.limit_count = select.limit_count.take();
        joined.limit_offset = select.limit_offset.take();
        joined.limit_option = select.limit_option;
        joined.locking_clause = std::mem::take(&mut select.locking_clause);
        *select = joined;
    }

    /// The condition of the second arm, on the rows of the first one.
    fn same_rows(&self, left: &pb::SelectStmt, right: &pb::SelectStmt) -> Option<Node> {
        let plain = |arm: &pb::SelectStmt| {
            gives_its_rows(arm)
                && arm.with_clause.is_none()
                && arm.window_clause.is_empty()
                && arm.sort_clause.is_empty()
        };
        if !plain(left) || !plain(right) {
            return None;
        }
        let (one, relation) = self.only_protected(left)?;
        let (two, other) = self.only_protected(right)?;
        let only = |arm: &pb::SelectStmt| match arm.from_clause.as_slice() {
            [Node { node: Some(NodeEnum::RangeVar(range)) }] => !range.inh,
            _ => true,
        };
        if relation.oid != other.oid || only(left) || only(right) || !self.is_whole(relation) {
            return None;
        }
        let shown = names(left, (one, relation))?;
        let mut columns = relation.columns.iter();
        let keyed = columns.any(|c| c.primary && c.alone && shown.contains(&c.name.as_str()));
        let mut condition = right.where_clause.as_deref()?.clone();
        let same = keyed && names(right, (two, relation))? == shown;
        (same && renamed(&mut condition, (two, one), relation)).then_some(condition)
    }
}

/// The columns that a select on one table shows, where it shows nothing else.
fn names<'s>(
    select: &'s pb::SelectStmt,
    (alias, relation): (&str, &'s Relation),
) -> Option<Vec<&'s str>> {
    if let [one] = select.target_list.as_slice()
        && is_star(one)
    {
        return Some(relation.columns.iter().map(|column| column.name.as_str()).collect());
    }
    let name = |target: &'s Node| match &target.node {
        Some(NodeEnum::ResTarget(target)) if target.name.is_empty() => {
            scalar::own_column(target.val.as_deref()?, alias)
        }
        _ => None,
    };
    select.target_list.iter().map(name).collect()
}

/// Gives the columns of an expression on one table the table's other alias; `false` if it may name
/// something else.
fn renamed(node: &mut Node, (from, to): (&str, &str), relation: &Relation) -> bool {
    let is_own = |name: &str| relation.columns.iter().any(|column| column.name == name);
    match node.node.as_mut() {
        Some(NodeEnum::ColumnRef(reference)) => {
            let names = ast::names(&reference.fields);
            match names.as_deref() {
                Some([name]) if is_own(name) => {
                    reference.fields = vec![ast::string(to), ast::string(name)];
                    true
                }
                Some([alias, name]) if *alias == from && is_own(name) => {
                    reference.fields = vec![ast::string(to), ast::string(name)];
                    true
                }
                _ => false,
            }
        }
        Some(NodeEnum::AConst(_) | NodeEnum::ParamRef(_) | NodeEnum::SqlvalueFunction(_)) => true,
        Some(
            NodeEnum::TypeCast(_)
            | NodeEnum::AExpr(_)
            | NodeEnum::BoolExpr(_)
            | NodeEnum::NullTest(_)
            | NodeEnum::BooleanTest(_)
            | NodeEnum::CoalesceExpr(_)
            | NodeEnum::AArrayExpr(_)
            | NodeEnum::List(_),
        ) => scalar::parts(node).into_iter().all(|part| renamed(part, (from, to), relation)),
        Some(NodeEnum::FuncCall(call)) => {
            let plain = call.over.is_none()
                && call.agg_filter.is_none()
                && call.agg_order.is_empty()
                && !call.agg_star
                && !call.agg_distinct;
            plain && scalar::parts(node).into_iter().all(|part| renamed(part, (from, to), relation))
        }
        _ => false,
    }
}
