//! Sub-selects that stand for one value in a result column.
//!
//! `SELECT t.id, (SELECT c.name FROM customers c WHERE c.id = t.customer_id) FROM tickets t` is
//! `SELECT t.id, s.name FROM tickets t LEFT JOIN LATERAL (…) s ON true`, as long as the sub-select
//! gives one row at most. In FROM its rows carry their keys, so that the value is accounted for and
//! may be clear; where an expression stands nothing can be carried. So it is written as the join.

use pg_query::{Node, NodeEnum, protobuf as pb};

use super::{
    Analysis, CommonState, call::has_aggregate, expression::is_constant, names::figure,
    optional::conjuncts, select::Place, window::is_star,
};
use crate::{ast, catalogue::Relation, functions::Kind, resolve::Resolved};

/// What a select is joined to in the place of its sub-selects.
type Joined = Vec<(String, Box<pb::SelectStmt>)>;

impl Analysis<'_> {
    /// Joins the sub-selects of a select's result columns that read protected tables; the aliases
    /// that they have in FROM. All that is not surely the same stays where it is.
    pub(super) fn join_values(&mut self, select: &mut pb::SelectStmt, place: Place) -> Vec<String> {
        let carries = matches!(place, Place::Top | Place::Arm | Place::Nested);
        let plain = select.group_clause.is_empty()
            && select.having_clause.is_none()
            && select.distinct_clause.is_empty()
            && select.locking_clause.is_empty()
            && !select.from_clause.is_empty();
        if !carries || !plain || self.views.verbatim || self.is_grouped(select) {
            return Vec::new();
        }
        let mut joined = Vec::new();
        for node in &mut select.target_list {
            let Some(NodeEnum::ResTarget(target)) = node.node.as_mut() else { continue };
            let Some(value) = target.val.as_deref_mut() else { continue };
            let (name, before) = (figure(value), joined.len());
            self.take_values(value, &mut joined);
            if joined.len() > before && target.name.is_empty() {
                target.name = name;
            }
        }
        let mut aliases = Vec::new();
        for (alias, query) in joined {
            let Some(last) = select.from_clause.pop() else { continue };
            let item = ast::node(NodeEnum::RangeSubselect(Box::new(pb::RangeSubselect {
                lateral: true,
                subquery: Some(Box::new(ast::node(NodeEnum::SelectStmt(query)))),
                alias: Some(pb::Alias {
                    aliasname: alias.clone(),
                    colnames: vec![ast::string(&value_of(&alias))],
                }),
            })));
            select.from_clause.push(ast::node(NodeEnum::JoinExpr(Box::new(pb::JoinExpr {
                jointype: pb::JoinType::JoinLeft as i32,
                larg: Some(Box::new(last)),
                rarg: Some(Box::new(item)),
                quals: Some(Box::new(ast::truth())),
                ..pb::JoinExpr::default()
            }))));
            aliases.push(alias);
        }
        aliases
    }

    /// Puts references in the places of the sub-selects of an expression.
    fn take_values(&mut self, node: &mut Node, joined: &mut Joined) {
        if let Some(NodeEnum::SubLink(link)) = node.node.as_mut() {
            let query = link.subselect.as_mut().and_then(|query| query.node.as_mut());
            let is_value = link.sub_link_type == pb::SubLinkType::ExprSublink as i32;
            let Some(NodeEnum::SelectStmt(query)) = query.filter(|_| is_value) else { return };
            if !self.is_one_value(query) {
                return;
            }
            let alias = self.name('v');
            let column = ast::column(&[&alias, &value_of(&alias)]);
            joined.push((alias, std::mem::take(query)));
            // A result column says of a sub-select's value that it is no table's.
            *node = ast::node(NodeEnum::CoalesceExpr(Box::new(pb::CoalesceExpr {
                args: vec![column],
                ..pb::CoalesceExpr::default()
            })));
            return;
        }
        let (some, more): (Vec<&mut Box<Node>>, Vec<&mut Node>) = match node.node.as_mut() {
            Some(NodeEnum::TypeCast(n)) => (n.arg.iter_mut().collect(), Vec::new()),
            Some(NodeEnum::CollateClause(n)) => (n.arg.iter_mut().collect(), Vec::new()),
            Some(NodeEnum::NamedArgExpr(n)) => (n.arg.iter_mut().collect(), Vec::new()),
            Some(NodeEnum::AExpr(n)) => {
                (n.lexpr.iter_mut().chain(&mut n.rexpr).collect(), Vec::new())
            }
            Some(NodeEnum::AIndirection(n)) => (n.arg.iter_mut().collect(), Vec::new()),
            Some(NodeEnum::CaseExpr(n)) => {
                (n.arg.iter_mut().chain(&mut n.defresult).collect(), n.args.iter_mut().collect())
            }
            Some(NodeEnum::CaseWhen(n)) => {
                (n.expr.iter_mut().chain(&mut n.result).collect(), Vec::new())
            }
            Some(NodeEnum::FuncCall(n)) if n.over.is_none() => {
                (Vec::new(), n.args.iter_mut().collect())
            }
            Some(NodeEnum::BoolExpr(n)) => (Vec::new(), n.args.iter_mut().collect()),
            Some(NodeEnum::NullTest(n)) => (n.arg.iter_mut().collect(), Vec::new()),
            Some(NodeEnum::BooleanTest(n)) => (n.arg.iter_mut().collect(), Vec::new()),
            Some(NodeEnum::CoalesceExpr(n)) => (Vec::new(), n.args.iter_mut().collect()),
            Some(NodeEnum::MinMaxExpr(n)) => (Vec::new(), n.args.iter_mut().collect()),
            Some(NodeEnum::RowExpr(n)) => (Vec::new(), n.args.iter_mut().collect()),
            Some(NodeEnum::AArrayExpr(n)) => (Vec::new(), n.elements.iter_mut().collect()),
            Some(NodeEnum::List(n)) => (Vec::new(), n.items.iter_mut().collect()),
            _ => return,
        };
        for child in some.into_iter().map(Box::as_mut).chain(more) {
            self.take_values(child, joined);
        }
    }

    /// Whether a sub-select gives one row at most, with one column, of a protected table, and what
    /// it gives of that needs a key to be carried.
    fn is_one_value(&self, query: &pb::SelectStmt) -> bool {
        let [one] = query.target_list.as_slice() else { return false };
        let Some(NodeEnum::ResTarget(target)) = &one.node else { return false };
        let plain = query.op() == pb::SetOperation::SetopNone
            && query.values_lists.is_empty()
            && query.with_clause.is_none()
            && query.locking_clause.is_empty();
        let Some(value) = target.val.as_deref().filter(|_| plain && !is_star(one)) else {
            return false;
        };
        if !query.from_clause.iter().any(|item| self.reads_protected(item)) {
            return false;
        }
        let kind = |call: &pb::FuncCall| self.kind_of_call(call);
        if has_aggregate(value, &kind) {
            let collecting = |call: &pb::FuncCall| kind(call).filter(|k| *k == Kind::Collecting);
            return has_aggregate(value, &collecting) && query.group_clause.is_empty();
        }
        query.group_clause.is_empty()
            && query.having_clause.is_none()
            && (is_first(query) || self.is_by_primary_key(query))
    }

    fn reads_protected(&self, item: &Node) -> bool {
        match &item.node {
            Some(NodeEnum::RangeVar(range)) => {
                let mut commons = self.commons.iter().rev();
                let common = commons.find(|common| common.name == range.relname);
                match common.filter(|_| range.schemaname.is_empty()) {
                    Some(common) => match &common.state {
                        CommonState::Known(rows) => rows.leaves().next().is_some(),
                        _ => false,
                    },
                    None => matches!(
                        self.resolver.relation(range),
                        Ok(Resolved::Protected(..) | Resolved::View(_))
                    ),
                }
            }
            Some(NodeEnum::JoinExpr(join)) => {
                let mut sides = join.larg.iter().chain(&join.rarg);
                sides.any(|side| self.reads_protected(side))
            }
            Some(NodeEnum::RangeSubselect(range)) => {
                match range.subquery.as_ref().and_then(|query| query.node.as_ref()) {
                    Some(NodeEnum::SelectStmt(query)) => {
                        query.from_clause.iter().any(|item| self.reads_protected(item))
                    }
                    _ => false,
                }
            }
            _ => false,
        }
    }

    /// Whether a sub-select reads one protected table, of which its condition names the primary key
    /// by a column of a select around it, or by a constant.
    fn is_by_primary_key(&self, query: &pb::SelectStmt) -> bool {
        let [Node { node: Some(NodeEnum::RangeVar(range)) }] = query.from_clause.as_slice() else {
            return false;
        };
        let common = range.schemaname.is_empty()
            && self.commons.iter().any(|common| common.name == range.relname);
        let renamed = range.alias.as_ref().is_some_and(|alias| !alias.colnames.is_empty());
        let Ok(Resolved::Protected(relation, _)) = self.resolver.relation(range) else {
            return false;
        };
        let alias = range.alias.as_ref().map_or(&range.relname, |alias| &alias.aliasname);
        let by_key = |node: &&Node| {
            let Some(NodeEnum::AExpr(comparison)) = &node.node else { return false };
            let equal =
                comparison.kind() == pb::AExprKind::AexprOp && ast::is_equality(&comparison.name);
            let sides = comparison.lexpr.as_deref().zip(comparison.rexpr.as_deref());
            let Some((one, two)) = sides.filter(|_| equal) else { return false };
            let key = |own: &Node, other: &Node| {
                is_primary(own, alias, relation) && is_outer(other, alias, relation)
            };
            key(one, two) || key(two, one)
        };
        !common
            && !renamed
            && self.is_whole(relation)
            && conjuncts(query.where_clause.as_deref()).iter().any(by_key)
    }
}

/// The column of what is joined for a value.
fn value_of(alias: &str) -> String {
    format!("{alias}_")
}

/// `LIMIT 1`, or less.
fn is_first(query: &pb::SelectStmt) -> bool {
    let rows = query.limit_count.as_deref().and_then(|limit| match &limit.node {
        Some(NodeEnum::AConst(pb::AConst {
            val: Some(pb::a_const::Val::Ival(pb::Integer { ival })),
            isnull: false,
            ..
        })) => Some(*ival),
        _ => None,
    });
    let counts = query.limit_option() == pb::LimitOption::Count;
    counts && rows.is_some_and(|rows| (0..=1).contains(&rows))
}

/// Whether an expression is the primary key, by itself, of the relation of this alias.
fn is_primary(node: &Node, alias: &str, relation: &Relation) -> bool {
    let Some(NodeEnum::ColumnRef(reference)) = &node.node else { return false };
    let name = match ast::names(&reference.fields).as_deref() {
        Some([name]) => (*name).to_owned(),
        Some([owner, name]) if *owner == alias => (*name).to_owned(),
        _ => return false,
    };
    relation.columns.iter().any(|column| column.name == name && column.primary)
}

/// Whether an expression is a constant, or a column of another relation than the one of this alias.
fn is_outer(node: &Node, alias: &str, relation: &Relation) -> bool {
    let Some(NodeEnum::ColumnRef(reference)) = &node.node else { return is_constant(Some(node)) };
    match ast::names(&reference.fields).as_deref() {
        Some([name]) => relation.columns.iter().all(|column| column.name != *name),
        Some([owner, _]) => *owner != alias,
        _ => false,
    }
}
