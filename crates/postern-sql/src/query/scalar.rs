//! Sub-selects that stand for one value in a result column.
//!
//! `SELECT t.id, (SELECT c.name FROM customers c WHERE c.id = t.customer_id) FROM tickets t` is
//! `SELECT t.id, s.name FROM tickets t LEFT JOIN LATERAL (…) s ON true`, as long as the sub-select
//! gives one row at most. In FROM its rows carry their keys, so that the value is accounted for and
//! may be clear; where an expression stands nothing can be carried. So it is written as the join.

use pg_query::{Node, NodeEnum, protobuf as pb};

use super::{
    Analysis, CommonState, alone::more_than_none, call::has_aggregate, expression::is_constant,
    grouping::gives_its_rows, names::figure, optional::conjuncts, select::Place, window::is_star,
};
use crate::{
    ast,
    catalogue::{Column, Relation},
    functions::Kind,
    resolve::Resolved,
};

/// How many sub-selects of a statement are joined for their values.
const VALUES_MAX: usize = 50;

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
            && select.locking_clause.is_empty();
        // `*` of nothing is the server's error.
        let starless = !select.from_clause.is_empty() || !select.target_list.iter().any(is_star);
        if !carries || !plain || !starless || self.views.verbatim || self.is_grouped(select) {
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
        if select.from_clause.is_empty() && !joined.is_empty() {
            // Without FROM there is one row.
            let alias = self.name('v');
            let row = ast::select(vec![ast::target("", ast::truth())], Vec::new(), None);
            select.from_clause.push(derived_row(row, &alias, false));
            aliases.push(alias);
        }
        aliases.extend(join_with(select, joined, pb::JoinType::JoinLeft));
        aliases
    }

    /// Joins the sub-selects with whose value a select's condition compares something, as
    /// `t.customer_id = (SELECT …)` at the top of WHERE. It holds of no NULL, so that a row for
    /// which the sub-select gives none is left out either way.
    pub(super) fn join_compared(&mut self, select: &mut pb::SelectStmt) -> Vec<String> {
        if select.from_clause.is_empty() || self.views.verbatim {
            return Vec::new();
        }
        let mut joined = Vec::new();
        let locks = !select.locking_clause.is_empty();
        let condition = select.where_clause.as_deref_mut();
        for node in condition.map(conjuncts_mut).unwrap_or_default() {
            self.ask_whether(node);
            if let Some((alias, query)) = self.take_member(node, locks) {
                joined.push((alias, query));
                continue;
            }
            for side in strict_comparison(node) {
                if let Some((alias, query)) = self.take_value(side) {
                    **side = ast::column(&[&alias, &value_of(&alias)]);
                    joined.push((alias, query));
                }
            }
        }
        join_with(select, joined, pb::JoinType::JoinInner)
    }

    /// Writes `(SELECT x FROM t WHERE x = outer.x LIMIT 1) IS NOT NULL`, as Sequelize asks for a
    /// related record, as EXISTS: what is equal to something is not NULL.
    fn ask_whether(&self, node: &mut Node) {
        let Some(NodeEnum::NullTest(test)) = node.node.as_ref() else { return };
        let link = test.arg.as_deref().and_then(|arg| arg.node.as_ref());
        let Some(NodeEnum::SubLink(link)) = link else { return };
        let query = link.subselect.as_deref().and_then(|query| query.node.as_ref());
        let Some(NodeEnum::SelectStmt(query)) = query else { return };
        let [Node { node: Some(NodeEnum::ResTarget(target)) }] = query.target_list.as_slice()
        else {
            return;
        };
        let (limit_count, limit_option) = (None, pb::LimitOption::Default as i32);
        let rows = pb::SelectStmt { limit_count, limit_option, ..(**query).clone() };
        let asks = test.nulltesttype() == pb::NullTestType::IsNotNull
            && link.sub_link_type() == pb::SubLinkType::ExprSublink
            && is_first_row(query)
            && gives_its_rows(&rows)
            && query.with_clause.is_none()
            && query.window_clause.is_empty();
        let Some((alias, relation)) = self.only_protected(query).filter(|_| asks) else { return };
        let name = target.val.as_deref().and_then(|value| own_column(value, alias));
        if name.is_none()
            || !is_found_by(query, (alias, relation), &|column| Some(&*column.name) == name)
        {
            return;
        }
        *node = ast::node(NodeEnum::SubLink(Box::new(pb::SubLink {
            sub_link_type: pb::SubLinkType::ExistsSublink as i32,
            subselect: Some(Box::new(ast::node(NodeEnum::SelectStmt(Box::new(rows))))),
            ..pb::SubLink::default()
        })));
    }

    /// Writes `x IN (SELECT …)` as an equality, where the sub-select gives the subjects of a few
    /// records: each once, as IN takes it.
    fn take_member(
        &mut self,
        node: &mut Node,
        locks: bool,
    ) -> Option<(String, Box<pb::SelectStmt>)> {
        let Some(NodeEnum::SubLink(link)) = node.node.as_mut() else { return None };
        let is_in =
            link.sub_link_type == pb::SubLinkType::AnySublink as i32 && link.oper_name.is_empty();
        let tested = link.testexpr.as_deref().filter(|tested| {
            is_in && !matches!(tested.node, Some(NodeEnum::RowExpr(_) | NodeEnum::List(_)))
        });
        let tested = tested?.clone();
        let query = link.subselect.as_mut().and_then(|query| query.node.as_mut());
        let Some(NodeEnum::SelectStmt(query)) = query else { return None };
        if self.names_subjects(query) {
            if !self.has_room() {
                return None;
            }
            query.distinct_clause = vec![Node { node: None }];
        } else {
            let paged = matches!(tested.node, Some(NodeEnum::ColumnRef(_)))
                && !locks
                && query.from_clause.iter().any(|item| self.reads_protected(item))
                && self.picks_each_once(query);
            let few = self.is_one_value(query) || self.groups_subjects(query) || paged;
            if !(few && self.has_room()) {
                return None;
            }
        }
        let (alias, query) = (self.name('v'), std::mem::take(query));
        let value = ast::column(&[&alias, &value_of(&alias)]);
        *node = ast::equal(pb::AExprKind::AexprOp, tested, value);
        Some((alias, query))
    }

    /// Whether one more may be joined: each makes the tree deeper by two, and what goes down it was
    /// given a stack by the depth of the text. The others stay where they are.
    fn has_room(&mut self) -> bool {
        self.values_joined += 1;
        self.values_joined <= VALUES_MAX
    }

    /// Whether a sub-select gives the subjects of records that it finds by a unique column.
    fn names_subjects(&self, query: &pb::SelectStmt) -> bool {
        let [Node { node: Some(NodeEnum::ResTarget(target)) }] = query.target_list.as_slice()
        else {
            return false;
        };
        let plain =
            gives_its_rows(query) && query.with_clause.is_none() && query.sort_clause.is_empty();
        let subject = |own: &Node, relation: &Relation, alias: &str| {
            let rule = self.resolver.rule_of(relation.oid);
            rule.is_some_and(|rule| own_column(own, alias).is_some_and(|name| name == rule.subject))
        };
        let Some((alias, relation)) = self.only_protected(query).filter(|_| plain) else {
            return false;
        };
        target.val.as_deref().is_some_and(|value| subject(value, relation, alias))
            && is_found_by(query, (alias, relation), &|column| column.primary || column.unique)
    }

    /// Whether a sub-select gives the subjects of a protected table, each once, as those of whom
    /// there are more than three open tickets.
    fn groups_subjects(&self, query: &pb::SelectStmt) -> bool {
        let [Node { node: Some(NodeEnum::ResTarget(target)) }] = query.target_list.as_slice()
        else {
            return false;
        };
        let ungrouped =
            pb::SelectStmt { group_clause: Vec::new(), having_clause: None, ..query.clone() };
        let plain = gives_its_rows(&ungrouped)
            && query.with_clause.is_none()
            && query.sort_clause.is_empty()
            && query.window_clause.is_empty();
        let Some((alias, relation)) = self.only_protected(query).filter(|_| plain) else {
            return false;
        };
        let subject = |node: &Node| {
            let rule = self.resolver.rule_of(relation.oid);
            rule.is_some_and(|rule| {
                own_column(node, alias).is_some_and(|name| name == rule.subject)
            })
        };
        let first = |node: &Node| {
            matches!(
                &node.node,
                Some(NodeEnum::AConst(pb::AConst {
                    val: Some(pb::a_const::Val::Ival(pb::Integer { ival: 1 })),
                    ..
                }))
            )
        };
        let [group] = query.group_clause.as_slice() else { return false };
        target.val.as_deref().is_some_and(subject) && (subject(group) || first(group))
    }

    /// Takes the sub-select out of an expression that is nothing else, with a name for it.
    fn take_value(&mut self, node: &mut Node) -> Option<(String, Box<pb::SelectStmt>)> {
        let Some(NodeEnum::SubLink(link)) = node.node.as_mut() else { return None };
        let kind = link.sub_link_type();
        let query = link.subselect.as_mut().and_then(|query| query.node.as_mut());
        let Some(NodeEnum::SelectStmt(query)) = query else { return None };
        match kind {
            pb::SubLinkType::ExprSublink => self.fold_one_group(query),
            pb::SubLinkType::ArraySublink => **query = self.collected(query)?,
            _ => return None,
        }
        let takes = self.is_one_value(query) && self.has_room();
        takes.then(|| (self.name('v'), std::mem::take(query)))
    }

    /// Puts references in the places of the sub-selects of an expression.
    fn take_values(&mut self, node: &mut Node, joined: &mut Joined) {
        if let Some((alias, query)) = self.take_value(node) {
            let column = ast::column(&[&alias, &value_of(&alias)]);
            joined.push((alias, query));
            // A result column says of a sub-select's value that it is no table's.
            *node = ast::node(NodeEnum::CoalesceExpr(Box::new(pb::CoalesceExpr {
                args: vec![column],
                ..pb::CoalesceExpr::default()
            })));
            return;
        }
        for part in parts(node) {
            self.take_values(part, joined);
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
        query.group_clause.is_empty() && query.having_clause.is_none() && self.is_one_row(query)
    }

    /// Whether a select gives one row at most: of one, of a record that is found by a column that
    /// is unique by itself, or of a sub-select that does.
    fn is_one_row(&self, query: &pb::SelectStmt) -> bool {
        if is_first(query) || self.is_by_unique_column(query) {
            return true;
        }
        let [Node { node: Some(NodeEnum::RangeSubselect(range)) }] = query.from_clause.as_slice()
        else {
            return false;
        };
        let inner = range.subquery.as_ref().and_then(|query| query.node.as_ref());
        let Some(NodeEnum::SelectStmt(inner)) = inner else { return false };
        let kind = |call: &pb::FuncCall| self.kind_of_call(call);
        let folds = |node: &Node| has_aggregate(node, &kind);
        let plain = inner.op() == pb::SetOperation::SetopNone
            && inner.values_lists.is_empty()
            && inner.with_clause.is_none()
            && inner.group_clause.is_empty()
            && inner.having_clause.is_none()
            && !inner.target_list.iter().any(folds);
        plain && self.is_one_row(inner)
    }

    /// Leaves out GROUP BY where the condition leaves one group at most: then there is a row where
    /// there is anything to fold.
    fn fold_one_group(&self, query: &mut pb::SelectStmt) {
        let [Node { node: Some(NodeEnum::ResTarget(target)) }] = query.target_list.as_slice()
        else {
            return;
        };
        let Some(NodeEnum::FuncCall(call)) = target.val.as_deref().and_then(|v| v.node.as_ref())
        else {
            return;
        };
        let plain = query.having_clause.is_none()
            && query.distinct_clause.is_empty()
            && query.window_clause.is_empty()
            && query.sort_clause.is_empty()
            && query.limit_count.is_none()
            && query.limit_offset.is_none()
            && !query.group_distinct
            && call.over.is_none()
            && matches!(self.kind_of_call(call), Some(Kind::Aggregate | Kind::Collecting));
        let [group] = query.group_clause.as_slice() else { return };
        let Some((alias, relation)) = self.only_protected(query).filter(|_| plain) else { return };
        let rule = self.resolver.rule_of(relation.oid);
        let subject = own_column(group, alias).zip(rule).is_some_and(|(name, rule)| {
            name == rule.subject
                && is_found_by(query, (alias, relation), &|column| column.name == name)
        });
        if subject {
            query.group_clause.clear();
            query.having_clause = Some(Box::new(more_than_none()));
        }
    }

    pub(super) fn reads_protected(&self, item: &Node) -> bool {
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

    /// Whether a sub-select reads one protected table, of which its condition names a column that
    /// is unique by itself, by a column of a select around it or by a constant.
    pub(super) fn is_by_unique_column(&self, query: &pb::SelectStmt) -> bool {
        self.only_protected(query).is_some_and(|(alias, relation)| {
            self.is_whole(relation) && is_found_by(query, (alias, relation), &|c| c.alone)
        })
    }

    /// The protected table that is all that a sub-select reads, with its alias.
    pub(super) fn only_protected<'q>(
        &self,
        query: &'q pb::SelectStmt,
    ) -> Option<(&'q str, &Relation)> {
        let [Node { node: Some(NodeEnum::RangeVar(range)) }] = query.from_clause.as_slice() else {
            return None;
        };
        let common = range.schemaname.is_empty()
            && self.commons.iter().any(|common| common.name == range.relname);
        let renamed = range.alias.as_ref().is_some_and(|alias| !alias.colnames.is_empty());
        let Ok(Resolved::Protected(relation, _)) = self.resolver.relation(range) else {
            return None;
        };
        let alias = range.alias.as_ref().map_or(&range.relname, |alias| &alias.aliasname);
        (!common && !renamed).then_some((alias, relation))
    }
}

/// The parts of an expression that are worked out with it, at its place.
pub(super) fn parts(node: &mut Node) -> Vec<&mut Node> {
    let (some, more): (Vec<&mut Box<Node>>, Vec<&mut Node>) = match node.node.as_mut() {
        Some(NodeEnum::TypeCast(n)) => (n.arg.iter_mut().collect(), Vec::new()),
        Some(NodeEnum::CollateClause(n)) => (n.arg.iter_mut().collect(), Vec::new()),
        Some(NodeEnum::NamedArgExpr(n)) => (n.arg.iter_mut().collect(), Vec::new()),
        Some(NodeEnum::AExpr(n)) => (n.lexpr.iter_mut().chain(&mut n.rexpr).collect(), Vec::new()),
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
        _ => return Vec::new(),
    };
    some.into_iter().map(Box::as_mut).chain(more).collect()
}

/// Whether the condition of a sub-select on one table names such a column of it by a column of a
/// select around it, or by a constant.
pub(super) fn is_found_by(
    query: &pb::SelectStmt,
    (alias, relation): (&str, &Relation),
    by: &dyn Fn(&Column) -> bool,
) -> bool {
    let found = |node: &&Node| {
        let Some(NodeEnum::AExpr(comparison)) = &node.node else { return false };
        let equal =
            comparison.kind() == pb::AExprKind::AexprOp && ast::is_equality(&comparison.name);
        let sides = comparison.lexpr.as_deref().zip(comparison.rexpr.as_deref());
        let Some((one, two)) = sides.filter(|_| equal) else { return false };
        let key = |own: &Node, other: &Node| {
            let name = own_column(own, alias);
            let mut columns = relation.columns.iter();
            columns.any(|column| Some(&*column.name) == name && by(column))
                && is_outer(other, alias, relation)
        };
        key(one, two) || key(two, one)
    };
    conjuncts(query.where_clause.as_deref()).iter().any(found)
}

/// Joins a select's last relation with these; their aliases.
fn join_with(select: &mut pb::SelectStmt, joined: Joined, kind: pb::JoinType) -> Vec<String> {
    let mut aliases = Vec::new();
    for (alias, query) in joined {
        let Some(last) = select.from_clause.pop() else { continue };
        let item = derived_row(ast::node(NodeEnum::SelectStmt(query)), &alias, true);
        select.from_clause.push(ast::node(NodeEnum::JoinExpr(Box::new(pb::JoinExpr {
            jointype: kind as i32,
            larg: Some(Box::new(last)),
            rarg: Some(Box::new(item)),
            quals: Some(Box::new(ast::truth())),
            ..pb::JoinExpr::default()
        }))));
        aliases.push(alias);
    }
    aliases
}

/// A sub-select in FROM, of one column.
pub(super) fn derived_row(query: Node, alias: &str, lateral: bool) -> Node {
    ast::node(NodeEnum::RangeSubselect(Box::new(pb::RangeSubselect {
        lateral,
        subquery: Some(Box::new(query)),
        alias: Some(pb::Alias {
            aliasname: alias.to_owned(),
            colnames: vec![ast::string(&value_of(alias))],
        }),
    })))
}

/// What a condition is that holds only if all of these do.
fn conjuncts_mut(condition: &mut Node) -> Vec<&mut Node> {
    let is_and = matches!(&condition.node,
        Some(NodeEnum::BoolExpr(and)) if and.boolop() == pb::BoolExprType::AndExpr);
    if !is_and {
        return vec![condition];
    }
    match condition.node.as_mut() {
        Some(NodeEnum::BoolExpr(and)) => and.args.iter_mut().flat_map(conjuncts_mut).collect(),
        _ => Vec::new(),
    }
}

/// The sides of a comparison that holds of no NULL.
fn strict_comparison(node: &mut Node) -> impl Iterator<Item = &mut Box<Node>> {
    let comparison = match node.node.as_mut() {
        Some(NodeEnum::AExpr(comparison)) => {
            let strict = matches!(
                ast::names(&comparison.name).as_deref(),
                Some(["=" | "<>" | "<" | "<=" | ">" | ">="])
            );
            Some(comparison).filter(|c| strict && c.kind() == pb::AExprKind::AexprOp)
        }
        _ => None,
    };
    comparison.into_iter().flat_map(|c| c.lexpr.iter_mut().chain(&mut c.rexpr))
}

/// The column of what is joined for a value.
pub(super) fn value_of(alias: &str) -> String {
    format!("{alias}_")
}

/// `LIMIT 1`, or less.
pub(super) fn is_first(query: &pb::SelectStmt) -> bool {
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

/// `LIMIT 1`.
fn is_first_row(query: &pb::SelectStmt) -> bool {
    query.limit_count.as_deref() == Some(&ast::integer(1)) && is_first(query)
}

/// The name of the column that an expression is, by itself, of the relation of this alias.
pub(super) fn own_column<'n>(node: &'n Node, alias: &str) -> Option<&'n str> {
    let Some(NodeEnum::ColumnRef(reference)) = &node.node else { return None };
    match ast::names(&reference.fields).as_deref() {
        Some([name]) => Some(*name),
        Some([owner, name] | [_, owner, name]) if *owner == alias => Some(*name),
        _ => None,
    }
}

/// Whether an expression is a constant, or a column of another relation than the one of this alias.
fn is_outer(node: &Node, alias: &str, relation: &Relation) -> bool {
    let Some(NodeEnum::ColumnRef(reference)) = &node.node else { return is_constant(Some(node)) };
    match ast::names(&reference.fields).as_deref() {
        Some([name]) => relation.columns.iter().all(|column| column.name != *name),
        Some([owner, _] | [_, owner, _]) => *owner != alias,
        _ => false,
    }
}
