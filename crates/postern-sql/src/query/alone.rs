//! Statements that show one value, written so that it can be told whose it is.
//!
//! `SELECT EXISTS (SELECT 1 FROM customers WHERE email = $1)` is `SELECT count(*) > 0 FROM
//! customers WHERE email = $1`, which can say whom it has found, and `SELECT ARRAY(SELECT …)` is
//! an `array_agg`. So they are written as these, and the greatest key of a table as the first
//! record in that order.

use pg_query::{Node, NodeEnum, protobuf as pb};

use super::{Analysis, scalar, select::Place, window::is_star};
use crate::{
    Mode, ast,
    catalogue::{Column, Relation},
    functions::Kind,
    query::{
        leaf::{Shown, shown},
        names::figure,
    },
};

impl Analysis<'_> {
    /// Writes a select without FROM, in whose result columns one such sub-select is, as one of the
    /// sub-select's rows. All that is not surely the same stays as it is.
    pub(super) fn unfold_alone(&mut self, select: &mut pb::SelectStmt, place: Place) {
        let bare = pb::SelectStmt { target_list: Vec::new(), with_clause: None, ..select.clone() };
        if place != Place::Top || bare != ast::empty_select() || self.views.verbatim {
            return;
        }
        let mut found: Option<Box<pb::SelectStmt>> = None;
        let mut rows = select.clone();
        for node in &mut rows.target_list {
            let Some(NodeEnum::ResTarget(target)) = node.node.as_mut() else { return };
            let Some(value) = target.val.as_deref_mut() else { return };
            let name = figure(value);
            if !self.unfold(value, &mut found) {
                return;
            }
            if target.name.is_empty() {
                target.name = name;
            }
        }
        let Some(query) = found else { return };
        rows.from_clause = query.from_clause;
        rows.where_clause = query.where_clause;
        *select = rows;
    }

    /// Writes `SELECT 1 FROM (SELECT 1) d WHERE EXISTS (SELECT 1 FROM tickets WHERE id = $1) LIMIT
    /// 1`, as TypeORM asks, as the first of those rows, which says whose it is.
    pub(super) fn unfold_exists(&mut self, select: &mut pb::SelectStmt, place: Place) {
        let bare = pb::SelectStmt {
            target_list: Vec::new(),
            from_clause: Vec::new(),
            where_clause: None,
            limit_count: None,
            limit_option: pb::LimitOption::Default as i32,
            ..select.clone()
        };
        let constant = |node: &Node| match &node.node {
            Some(NodeEnum::ResTarget(target)) => {
                matches!(target.val.as_deref(), Some(Node { node: Some(NodeEnum::AConst(_)) }))
            }
            _ => false,
        };
        let plain = bare == ast::empty_select()
            && select.target_list.iter().all(constant)
            && select.limit_count.as_deref().is_none_or(|limit| *limit == ast::integer(1));
        let [from] = select.from_clause.as_slice() else { return };
        if place != Place::Top || self.views.verbatim || !plain || !is_one_row(from) {
            return;
        }
        let condition = select.where_clause.as_deref().and_then(|node| node.node.as_ref());
        let Some(NodeEnum::SubLink(link)) = condition else { return };
        let query = link.subselect.as_deref().and_then(|query| query.node.as_ref());
        let Some(NodeEnum::SelectStmt(query)) = query else { return };
        if link.sub_link_type() != pb::SubLinkType::ExistsSublink || !self.finds_somebody(query) {
            return;
        }
        *select = pb::SelectStmt {
            target_list: std::mem::take(&mut select.target_list),
            from_clause: query.from_clause.clone(),
            where_clause: query.where_clause.clone(),
            limit_count: Some(Box::new(ast::integer(1))),
            limit_option: pb::LimitOption::Count as i32,
            ..ast::empty_select()
        };
    }

    /// Puts what says it of folded rows in the place of the sub-select of an expression; `false` if
    /// there is another, or anything else that hangs on rows.
    fn unfold(&mut self, node: &mut Node, found: &mut Option<Box<pb::SelectStmt>>) -> bool {
        if let Some(NodeEnum::SubLink(link)) = node.node.as_mut() {
            let kind = link.sub_link_type();
            let query = link.subselect.as_mut().and_then(|query| query.node.as_mut());
            let Some(NodeEnum::SelectStmt(query)) = query else { return false };
            let value = match kind {
                pb::SubLinkType::ExistsSublink if self.finds_somebody(query) => more_than_none(),
                pb::SubLinkType::ArraySublink => {
                    let Some(mut collected) = self.collected(query) else { return false };
                    let target = collected.target_list.pop().and_then(|target| target.node);
                    let Some(NodeEnum::ResTarget(target)) = target else { return false };
                    let Some(value) = target.val else { return false };
                    **query = collected;
                    *value
                }
                _ => return false,
            };
            let query = std::mem::take(query);
            *node = value;
            return found.replace(query).is_none();
        }
        let kept = matches!(
            node.node,
            Some(
                NodeEnum::AConst(_)
                    | NodeEnum::TypeCast(_)
                    | NodeEnum::BoolExpr(_)
                    | NodeEnum::CaseExpr(_)
                    | NodeEnum::CaseWhen(_)
                    | NodeEnum::CoalesceExpr(_)
                    | NodeEnum::ParamRef(_)
            )
        );
        kept && scalar::parts(node).into_iter().all(|part| self.unfold(part, found))
    }

    /// Writes `SELECT max(id) FROM tickets` as `SELECT (SELECT id FROM tickets ORDER BY id DESC
    /// LIMIT 1)`: the one record whose key that is can be told then, and not all that there are.
    /// So is what is folded beside it.
    pub(super) fn split_extremes(&mut self, select: &mut pb::SelectStmt, place: Place) {
        let bare = pb::SelectStmt {
            target_list: Vec::new(),
            from_clause: Vec::new(),
            with_clause: None,
            ..select.clone()
        };
        if place != Place::Top || bare != ast::empty_select() || self.views.verbatim {
            return;
        }
        let Some((alias, relation)) = self.only_protected(select) else { return };
        let (alias, relation) = (alias.to_owned(), relation.clone());
        let from = std::mem::take(&mut select.from_clause);
        let mut targets = select.target_list.clone();
        let mut tells = false;
        let split = targets.iter_mut().all(|node| {
            let Some(NodeEnum::ResTarget(target)) = node.node.as_mut() else { return false };
            let Some(value) = target.val.as_deref_mut() else { return false };
            let name = figure(value);
            let split = self.split(value, (&from, &alias, &relation), &mut tells);
            if target.name.is_empty() {
                target.name = name;
            }
            split
        });
        if split && tells {
            select.target_list = targets;
        } else {
            select.from_clause = from;
        }
    }

    /// Leaves DISTINCT out where the rows are groups that show all that they are grouped by, as
    /// Doctrine's pages are: no two of those are the same.
    pub(super) fn leave_groups_as_they_are(&self, select: &mut pb::SelectStmt) {
        let shown = |group: &Node| match &group.node {
            Some(NodeEnum::ColumnRef(_)) => select.target_list.iter().any(|target| {
                let Some(NodeEnum::ResTarget(target)) = &target.node else { return false };
                target.val.as_deref() == Some(group)
            }),
            _ => false,
        };
        let different = matches!(select.distinct_clause.as_slice(), [Node { node: None }])
            && !select.group_clause.is_empty()
            && select.group_clause.iter().all(shown)
            && !self.makes_rows(select);
        if different {
            select.distinct_clause.clear();
        }
    }

    /// Sorts groups by what they are grouped by where they would be by its `min` or `max`, which is
    /// the same value, as MikroORM writes it.
    pub(super) fn sort_groups_by_themselves(&self, select: &mut pb::SelectStmt) {
        let groups = &select.group_clause;
        for node in &mut select.sort_clause {
            let Some(NodeEnum::SortBy(by)) = node.node.as_mut() else { continue };
            let Some(key) = by.node.as_deref_mut() else { continue };
            let Some(NodeEnum::FuncCall(call)) = key.node.as_ref() else { continue };
            let extreme = matches!(
                ast::names(&call.funcname).as_deref(),
                Some(["min" | "max"] | ["pg_catalog", "min" | "max"])
            );
            let plain = extreme
                && call.over.is_none()
                && call.agg_filter.is_none()
                && call.agg_order.is_empty()
                && !call.func_variadic
                && self.kind_of_call(call) == Some(Kind::Aggregate);
            let [argument] = call.args.as_slice() else { continue };
            // A bare name would be a result column's first.
            let column = matches!(&argument.node, Some(NodeEnum::ColumnRef(reference))
                if reference.fields.len() > 1);
            if plain && column && groups.contains(argument) {
                *key = argument.clone();
            }
        }
    }

    /// Puts sub-selects in the places of an expression's aggregates; `false` if it names a column
    /// otherwise. `tells` says that one of them is of what tells records apart.
    fn split(
        &self,
        node: &mut Node,
        (from, alias, relation): (&[Node], &str, &Relation),
        tells: &mut bool,
    ) -> bool {
        if let Some(NodeEnum::FuncCall(call)) = &node.node
            && matches!(self.kind_of_call(call), Some(Kind::Aggregate))
        {
            let rows = match self.extreme(call, (alias, relation)) {
                Some((column, descending)) => {
                    *tells = true;
                    first_by(column, from.to_vec(), descending)
                }
                None => ast::select(vec![ast::target("", node.clone())], from.to_vec(), None),
            };
            *node = ast::node(NodeEnum::SubLink(Box::new(pb::SubLink {
                sub_link_type: pb::SubLinkType::ExprSublink as i32,
                subselect: Some(Box::new(rows)),
                ..pb::SubLink::default()
            })));
            return true;
        }
        let kept = matches!(
            node.node,
            Some(
                NodeEnum::AConst(_)
                    | NodeEnum::TypeCast(_)
                    | NodeEnum::AExpr(_)
                    | NodeEnum::CoalesceExpr(_)
            )
        );
        let parts = scalar::parts(node);
        kept && parts.into_iter().all(|part| self.split(part, (from, alias, relation), tells))
    }

    /// The column that tells a table's records apart of which an aggregate gives the least or the
    /// greatest value, and whether it is the greatest.
    fn extreme<'c>(
        &self,
        call: &'c pb::FuncCall,
        (alias, relation): (&str, &Relation),
    ) -> Option<(&'c Node, bool)> {
        let greatest = match ast::names(&call.funcname).as_deref() {
            Some(["max"] | ["pg_catalog", "max"]) => true,
            Some(["min"] | ["pg_catalog", "min"]) => false,
            _ => return None,
        };
        let [column] = call.args.as_slice() else { return None };
        let name = scalar::own_column(column, alias)?;
        let known = relation.columns.iter().find(|column| column.name == name)?;
        let rule = self.resolver.rule_of(relation.oid)?;
        let tells = known.primary || known.unique || known.name == rule.subject;
        let free = matches!(shown(rule, known), Shown::Free | Shown::Always);
        let plain = call.over.is_none() && call.agg_filter.is_none() && call.agg_order.is_empty();
        (plain && tells && free).then_some((column, greatest))
    }

    /// Whether a sub-select asks for somebody by a value of a protected column, or for a record by
    /// what tells it apart.
    fn finds_somebody(&self, query: &pb::SelectStmt) -> bool {
        let limit = query.limit_count.as_deref().is_none_or(|limit| {
            let kind = limit.node.as_ref();
            let number = match kind {
                Some(NodeEnum::AConst(pb::AConst {
                    val: Some(pb::a_const::Val::Ival(pb::Integer { ival })),
                    isnull: false,
                    ..
                })) => *ival,
                _ => 0,
            };
            number > 0
        });
        let rows = pb::SelectStmt { limit_count: None, ..query.clone() };
        let Some((alias, relation)) = self.only_protected(query) else { return false };
        let shows = |node: &Node| {
            let Some(NodeEnum::ResTarget(target)) = &node.node else { return false };
            let value = target.val.as_deref();
            is_star(node) && target.indirection.is_empty()
                || value.is_some_and(|value| match &value.node {
                    Some(NodeEnum::AConst(_)) => true,
                    Some(NodeEnum::ColumnRef(_)) => {
                        let name = scalar::own_column(value, alias);
                        relation.columns.iter().any(|column| Some(&*column.name) == name)
                    }
                    _ => false,
                })
        };
        limit
            && super::grouping::gives_its_rows(&rows)
            && query.with_clause.is_none()
            && query.window_clause.is_empty()
            && query.target_list.iter().all(shows)
            && self.is_asked_of(query, (alias, relation))
    }

    /// Whether a condition on a table's rows asks for a value of a protected column, which is a
    /// search, or, where nothing is masked, a look-up by it; or for one record, which has to come
    /// with its key.
    fn is_asked_of(&self, query: &pb::SelectStmt, (alias, relation): (&str, &Relation)) -> bool {
        let Some(rule) = self.resolver.rule_of(relation.oid) else { return false };
        let accounted = self.resolver.rules.mode == Mode::Accounted;
        let asked = |column: &Column| match shown(rule, column) {
            Shown::Free => column.primary || column.unique,
            Shown::Keyed(_, rule) | Shown::Masked(Some(rule)) => accounted || rule.lookup,
            Shown::Always | Shown::Masked(None) => accounted,
        };
        scalar::is_found_by(query, (alias, relation), &asked)
    }

    /// A sub-select of one row with the array that `ARRAY(query)` is.
    pub(super) fn collected(&mut self, query: &pb::SelectStmt) -> Option<pb::SelectStmt> {
        let [one] = query.target_list.as_slice() else { return None };
        let Some(NodeEnum::ResTarget(target)) = &one.node else { return None };
        let value = target.val.as_deref().filter(|_| !is_star(one))?;
        let plain = query.op() == pb::SetOperation::SetopNone
            && query.values_lists.is_empty()
            && query.with_clause.is_none()
            && query.locking_clause.is_empty()
            && query.group_clause.is_empty()
            && query.having_clause.is_none()
            && query.window_clause.is_empty()
            && !self.is_grouped(query);
        if !plain || !query.from_clause.iter().any(|item| self.reads_protected(item)) {
            return None;
        }
        let rows = super::grouping::gives_its_rows(query) && query.sort_clause.is_empty();
        let (value, from, condition) = if rows {
            (value.clone(), query.from_clause.clone(), query.where_clause.clone())
        } else {
            let alias = self.name('v');
            let query = ast::node(NodeEnum::SelectStmt(Box::new(query.clone())));
            let row = scalar::derived_row(query, &alias, false);
            (ast::column(&[&alias, &scalar::value_of(&alias)]), vec![row], None)
        };
        let all = ast::call("array_agg", vec![value]);
        let all = ast::node(NodeEnum::CoalesceExpr(Box::new(pb::CoalesceExpr {
            args: vec![all, ast::constant("{}")],
            ..pb::CoalesceExpr::default()
        })));
        Some(pb::SelectStmt {
            target_list: vec![ast::target("", all)],
            from_clause: from,
            where_clause: condition,
            ..ast::empty_select()
        })
    }
}

/// The first row of a table in the order of a column, and of it that column.
fn first_by(column: &Node, from: Vec<Node>, descending: bool) -> Node {
    let direction =
        if descending { pb::SortByDir::SortbyDesc } else { pb::SortByDir::SortbyDefault };
    let nulls = if descending {
        pb::SortByNulls::SortbyNullsLast
    } else {
        pb::SortByNulls::SortbyNullsDefault
    };
    let by = pb::SortBy {
        node: Some(Box::new(column.clone())),
        sortby_dir: direction as i32,
        sortby_nulls: nulls as i32,
        ..pb::SortBy::default()
    };
    ast::node(NodeEnum::SelectStmt(Box::new(pb::SelectStmt {
        target_list: vec![ast::target("", column.clone())],
        from_clause: from,
        sort_clause: vec![ast::node(NodeEnum::SortBy(Box::new(by)))],
        limit_count: Some(Box::new(ast::integer(1))),
        limit_option: pb::LimitOption::Count as i32,
        ..ast::empty_select()
    })))
}

/// `(SELECT 1 AS one)`: a row of constants.
fn is_one_row(from: &Node) -> bool {
    let Some(NodeEnum::RangeSubselect(range)) = &from.node else { return false };
    let query = range.subquery.as_deref().and_then(|query| query.node.as_ref());
    let Some(NodeEnum::SelectStmt(query)) = query else { return false };
    let constant = |node: &Node| match &node.node {
        Some(NodeEnum::ResTarget(target)) => {
            matches!(target.val.as_deref(), Some(Node { node: Some(NodeEnum::AConst(_)) }))
        }
        _ => false,
    };
    let bare = pb::SelectStmt { target_list: Vec::new(), ..(**query).clone() };
    bare == ast::empty_select() && query.target_list.iter().all(constant)
}

/// `count(*) > 0`.
pub(super) fn more_than_none() -> Node {
    let count = pb::FuncCall {
        funcname: vec![ast::string("pg_catalog"), ast::string("count")],
        agg_star: true,
        funcformat: pb::CoercionForm::CoerceExplicitCall as i32,
        ..pb::FuncCall::default()
    };
    ast::node(NodeEnum::AExpr(Box::new(pb::AExpr {
        kind: pb::AExprKind::AexprOp as i32,
        name: vec![ast::string(">")],
        lexpr: Some(Box::new(ast::node(NodeEnum::FuncCall(Box::new(count))))),
        rexpr: Some(Box::new(ast::integer(0))),
        ..pb::AExpr::default()
    })))
}
