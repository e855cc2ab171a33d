//! Taking the next row of a queue: the one way in which an actor gives themselves a reason.
//!
//! A statement is a take if it sets the actor's column of a reason that can be taken. Which row it
//! gets is the gateway's choice, by the configured order: the statement's own WHERE clause is
//! replaced, after it was seen to ask for no more than that. The picked row is locked and waited
//! for, not skipped: whoever holds locks on the rows before it could else choose theirs.

use pg_query::{Node, NodeEnum, protobuf as pb};

use super::{Change, protected_write, reach::text_of, value::given_value};
use crate::{
    Mode, ReasonRule, TableRule, TakeRule, Values, ast,
    catalogue::{Column, Relation},
    check::Rule,
    query::{
        Analysis,
        from::Star,
        lookup::{conjunction, conjuncts},
        scope::Scope,
    },
    refusal::{Judged, not_understood, refusal, refuse},
    taint::Rows,
};

impl<'a> Analysis<'a> {
    /// The reason that a statement which sets these columns takes.
    pub(super) fn taken(&self, rule: &'a TableRule, columns: &[&Column]) -> Option<&'a ReasonRule> {
        if self.resolver.rules.mode == Mode::Accounted {
            return None;
        }
        let sets = |name: &String| columns.iter().any(|column| column.name == *name);
        rule.reasons.iter().find(|reason| reason.take.is_some() && sets(&reason.actor))
    }

    pub(super) fn take(
        &mut self,
        update: &mut pb::UpdateStmt,
        relation: &'a Relation,
        (rule, reason): (&'a TableRule, &'a ReasonRule),
        columns: &[&Column],
    ) -> Judged<Rows> {
        let Some(take) = &reason.take else { return protected_write(relation) };
        picks_in_place(update, |equal, select| {
            let rexpr = Some(Box::new(row_of(select)));
            ast::node(NodeEnum::AExpr(Box::new(pb::AExpr { rexpr, ..equal })))
        });
        let whole = relation.schema == rule.schema && relation.name == rule.table;
        let plain = update.with_clause.is_none() && update.from_clause.is_empty();
        let Some(range) = update.relation.as_mut().filter(|range| range.inh && whole && plain)
        else {
            return by_order();
        };
        let Some(key) = relation.columns.iter().find(|column| column.primary) else {
            return refuse(
                "take",
                format!("rows of `{}` can't be taken: it has no primary key", relation.name),
                "ask the administrator",
            );
        };
        let (item, _) = self.protected_target(range, relation, rule, Change::Update)?;
        self.target.opens = true;
        for (node, column) in update.target_list.iter_mut().zip(columns) {
            self.taken_value(node, column, reason, take)?;
        }
        let queue = Queue { relation, reason, take, key, alias: &item.alias };
        let asked = update.where_clause.take().map(|n| conjuncts(*n)).unwrap_or_default();
        if !queue.is_asked_by(&asked) {
            return by_order();
        }
        update.where_clause = conjunction(vec![queue.next(), queue.waits(&item.alias)]);
        let star = Star::of(&item);
        let mut scope = Scope::new(None);
        scope.items.push(item);
        self.returning_keys(&mut update.returning_clause, &star, &scope)
    }

    /// What is set: the actor itself, and along with it what the configuration lists.
    fn taken_value(
        &mut self,
        node: &mut Node,
        column: &Column,
        reason: &ReasonRule,
        take: &TakeRule,
    ) -> Judged<()> {
        let Some(NodeEnum::ResTarget(target)) = node.node.as_mut() else {
            return not_understood("this kind of assignment");
        };
        let Some(value) = target.val.as_deref_mut() else {
            return not_understood("an assignment of nothing");
        };
        let given = given_value(value);
        if column.name == reason.actor {
            let refusal = refusal(
                "take",
                "what waits in the queue can be taken for yourself only",
                "write your own account's name, as a text or a parameter",
            );
            self.checks.push(Rule::Actor(given), refusal);
        } else if let Some(set) = take.sets.iter().find(|set| set.column == column.name) {
            let refusal = refusal(
                "take",
                format!("column `{}` can't be set to that while taking", column.name),
                format!("write one of: {}", set.values.join(", ")),
            );
            self.checks.push(Rule::OneOf(given, set.values.clone()), refusal);
        } else {
            return refuse(
                "take",
                format!("column `{}` can't be set while taking", column.name),
                "take first, then change the row in a second statement",
            );
        }
        self.expression(value, &Scope::new(None)).map(|_| ())
    }
}

/// Whether a statement that sets the actor's column is meant to take a row that waits, be it in a
/// way that is not allowed: it looks for one. One that names its row by values only is a record
/// that is written back: it changes the actor's own only, and leaves whose it is as it was.
pub(super) fn is_take(update: &pb::UpdateStmt) -> bool {
    let conditions = update.where_clause.as_deref().cloned().map(conjuncts).unwrap_or_default();
    let plain = |node: &Node| match &node.node {
        Some(NodeEnum::AExpr(compared)) => {
            let sides = [compared.lexpr.as_deref(), compared.rexpr.as_deref()];
            sides.into_iter().flatten().all(is_plain)
        }
        _ => false,
    };
    let beside = update.with_clause.is_some() || !update.from_clause.is_empty();
    beside || conditions.is_empty() || !conditions.iter().all(plain)
}

/// A column or a value.
fn is_plain(node: &Node) -> bool {
    match &node.node {
        Some(NodeEnum::ColumnRef(_) | NodeEnum::AConst(_) | NodeEnum::ParamRef(_)) => true,
        Some(NodeEnum::TypeCast(cast)) => cast.arg.as_deref().is_some_and(is_plain),
        Some(NodeEnum::List(list)) => list.items.iter().all(is_plain),
        _ => false,
    }
}

/// Puts the sub-select of `WITH next AS (SELECT …) UPDATE … FROM next WHERE key = next.key`, or of
/// the same with it in FROM, into the condition: as `place` writes it, given the equality, whose
/// left side is the key, and the select. Whether it is named there once.
pub(super) fn picks_in_place(
    update: &mut pb::UpdateStmt,
    place: impl Fn(pb::AExpr, pb::SelectStmt) -> Node,
) -> bool {
    let Some((alias, column, select)) = picked(update) else { return false };
    let is_picked = |node: &Node| {
        let Some(NodeEnum::ColumnRef(reference)) = &node.node else { return false };
        ast::names(&reference.fields).as_deref() == Some(&[alias.as_str(), column.as_str()])
    };
    let mut conditions = update.where_clause.take().map(|node| conjuncts(*node));
    let mut placed = 0;
    for node in conditions.iter_mut().flatten() {
        let Some(NodeEnum::AExpr(equal)) = node.node.as_mut() else { continue };
        if equal.kind() != pb::AExprKind::AexprOp || !ast::is_equality(&equal.name) {
            continue;
        }
        if equal.lexpr.as_deref().is_some_and(is_picked) {
            std::mem::swap(&mut equal.lexpr, &mut equal.rexpr);
        }
        if equal.rexpr.as_deref().is_some_and(is_picked) {
            *node = place(std::mem::take(equal), select.clone());
            placed += 1;
        }
    }
    update.where_clause = conditions.and_then(conjunction);
    // Else what it is named for stands elsewhere, too, and it is no take.
    if placed == 1 {
        update.with_clause = None;
        update.from_clause.clear();
    }
    placed == 1
}

/// The one item of FROM that is a sub-select of one column: its name, the column, the sub-select.
pub(super) fn picked(update: &pb::UpdateStmt) -> Option<(String, String, pb::SelectStmt)> {
    let [from] = update.from_clause.as_slice() else { return None };
    let (alias, query) = match (&from.node, &update.with_clause) {
        (Some(NodeEnum::RangeSubselect(from)), None) if !from.lateral => {
            let alias = from.alias.as_ref().filter(|alias| alias.colnames.is_empty())?;
            (&alias.aliasname, from.subquery.as_deref()?)
        }
        (Some(NodeEnum::RangeVar(range)), Some(with)) if !with.recursive => {
            let [Node { node: Some(NodeEnum::CommonTableExpr(common)) }] = with.ctes.as_slice()
            else {
                return None;
            };
            let plain = common.aliascolnames.is_empty()
                && range.schemaname.is_empty()
                && range.relname == common.ctename;
            let alias = range.alias.as_ref();
            let alias = match alias.filter(|_| plain) {
                Some(alias) if !alias.colnames.is_empty() => return None,
                Some(alias) => &alias.aliasname,
                None if plain => &common.ctename,
                None => return None,
            };
            (alias, common.ctequery.as_deref()?)
        }
        _ => return None,
    };
    let Some(NodeEnum::SelectStmt(select)) = &query.node else { return None };
    let [Node { node: Some(NodeEnum::ResTarget(target)) }] = select.target_list.as_slice() else {
        return None;
    };
    let column = match target.name.as_str() {
        "" => column_name(target.val.as_deref()?)?,
        name => name,
    };
    Some((alias.clone(), column.to_owned(), (**select).clone()))
}

fn by_order<T>() -> Judged<T> {
    refuse(
        "take",
        "what is taken from the queue is the next in its order, never one of your choice",
        "write WHERE key = (SELECT key FROM the table WHERE nobody has it ORDER BY the queue's \
         order LIMIT 1)",
    )
}

/// The rows that wait.
struct Queue<'q> {
    relation: &'q Relation,
    reason: &'q ReasonRule,
    take: &'q TakeRule,
    key: &'q Column,
    alias: &'q str,
}

impl Queue<'_> {
    /// The key of a row is that of the next one.
    fn next(&self) -> Node {
        let range = pb::RangeVar {
            schemaname: self.relation.schema.clone(),
            relname: self.relation.name.clone(),
            inh: true,
            relpersistence: "p".to_owned(),
            alias: Some(pb::Alias { aliasname: ROW.to_owned(), colnames: Vec::new() }),
            ..pb::RangeVar::default()
        };
        let mut conditions = vec![self.waits(ROW)];
        for Values { column, values } in &self.take.pool {
            let array = ast::cast(
                ast::constant(&array_text(values)),
                ast::type_name("pg_catalog", "text", &[], true),
            );
            let value = text_of(ast::column(&[ROW, column]));
            conditions.push(ast::equal(pb::AExprKind::AexprOpAny, value, array));
        }
        let order = self.take.order.iter().filter(|name| **name != self.key.name);
        let order = order.chain([&self.key.name]).map(|name| ascending(ast::column(&[ROW, name])));
        let select = pb::SelectStmt {
            target_list: vec![ast::target("", ast::column(&[ROW, &self.key.name]))],
            from_clause: vec![ast::node(NodeEnum::RangeVar(range))],
            where_clause: conjunction(conditions),
            sort_clause: order.collect(),
            limit_count: Some(Box::new(ast::integer(1))),
            limit_option: pb::LimitOption::Count as i32,
            locking_clause: vec![ast::node(NodeEnum::LockingClause(pb::LockingClause {
                locked_rels: Vec::new(),
                strength: pb::LockClauseStrength::LcsForupdate as i32,
                wait_policy: pb::LockWaitPolicy::LockWaitBlock as i32,
            }))],
            ..ast::empty_select()
        };
        let key = ast::column(&[self.alias, &self.key.name]);
        ast::equal(pb::AExprKind::AexprOp, key, row_of(select))
    }

    /// Nobody has the row.
    fn waits(&self, alias: &str) -> Node {
        ast::null_test(ast::column(&[alias, &self.reason.actor]), pb::NullTestType::IsNull)
    }

    /// Whether the conditions of a WHERE clause ask for the next row, and for nothing else.
    fn is_asked_by(&self, conditions: &[Node]) -> bool {
        let picks = |node: &&Node| self.is_pick(node);
        conditions.iter().filter(picks).count() == 1
            && conditions.iter().all(|node| self.is_pick(node) || self.is_waiting(node))
    }

    /// `key = (SELECT …)` or `key IN (SELECT …)`.
    fn is_pick(&self, node: &Node) -> bool {
        let (key, select) = match &node.node {
            Some(NodeEnum::AExpr(equal)) if equal.kind() == pb::AExprKind::AexprOp => {
                if !ast::is_equality(&equal.name) {
                    return false;
                }
                let select = match equal.rexpr.as_deref().and_then(|node| node.node.as_ref()) {
                    Some(NodeEnum::SubLink(link))
                        if link.sub_link_type() == pb::SubLinkType::ExprSublink =>
                    {
                        link.subselect.as_deref()
                    }
                    _ => None,
                };
                (equal.lexpr.as_deref(), select)
            }
            Some(NodeEnum::SubLink(link))
                if link.sub_link_type() == pb::SubLinkType::AnySublink
                    && link.oper_name.is_empty() =>
            {
                (link.testexpr.as_deref(), link.subselect.as_deref())
            }
            _ => return false,
        };
        let Some(NodeEnum::SelectStmt(select)) = select.and_then(|node| node.node.as_ref()) else {
            return false;
        };
        key.and_then(column_name) == Some(&self.key.name) && self.is_next(select)
    }

    /// `SELECT min(key) FROM t WHERE …`, or `SELECT key FROM t WHERE … ORDER BY … LIMIT 1`.
    fn is_next(&self, select: &pb::SelectStmt) -> bool {
        let known = pb::SelectStmt {
            target_list: select.target_list.clone(),
            from_clause: select.from_clause.clone(),
            where_clause: select.where_clause.clone(),
            sort_clause: select.sort_clause.clone(),
            limit_count: select.limit_count.clone(),
            limit_option: select.limit_option,
            locking_clause: select.locking_clause.clone(),
            ..ast::empty_select()
        };
        let from_itself = match select.from_clause.as_slice() {
            [Node { node: Some(NodeEnum::RangeVar(range)) }] => {
                range.relname == self.relation.name
                    && (range.schemaname.is_empty() || range.schemaname == self.relation.schema)
                    && range.inh
            }
            _ => false,
        };
        let [Node { node: Some(NodeEnum::ResTarget(target)) }] = select.target_list.as_slice()
        else {
            return false;
        };
        let Some(value) = target.val.as_deref() else { return false };
        let first = select.sort_clause.is_empty()
            && select.limit_count.is_none()
            && is_least(value, &self.key.name);
        let one = select.limit_count.as_deref().is_some_and(is_one);
        let ordered = column_name(value) == Some(&self.key.name) && one && self.is_order(select);
        let filter = select.where_clause.as_deref().cloned().map(conjuncts).unwrap_or_default();
        known == *select
            && from_itself
            && (first || ordered)
            && filter.iter().any(|node| is_null(node, &self.reason.actor))
            && filter.iter().all(|node| self.is_waiting(node))
    }

    /// The queue's own order or its beginning, or the key's.
    fn is_order(&self, select: &pb::SelectStmt) -> bool {
        let mut names = Vec::new();
        for node in &select.sort_clause {
            let Some(NodeEnum::SortBy(by)) = &node.node else { return false };
            let up =
                matches!(by.sortby_dir(), pb::SortByDir::SortbyDefault | pb::SortByDir::SortbyAsc);
            match by.node.as_deref().and_then(column_name) {
                Some(name) if up => names.push(name),
                _ => return false,
            }
        }
        let order = || {
            let queue = self.take.order.iter().chain([&self.key.name]);
            queue.map(String::as_str)
        };
        !names.is_empty()
            && (order().take(names.len()).eq(names.iter().copied())
                || names == [self.key.name.as_str()])
    }

    /// Something that every row that waits meets.
    fn is_waiting(&self, node: &Node) -> bool {
        if is_null(node, &self.reason.actor) {
            return true;
        }
        let Some(NodeEnum::AExpr(equal)) = &node.node else { return false };
        if !ast::is_equality(&equal.name) {
            return false;
        }
        let pool = equal
            .lexpr
            .as_deref()
            .and_then(column_name)
            .and_then(|name| self.take.pool.iter().find(|pool| pool.column == name));
        let Some(pool) = pool else { return false };
        let texts: Option<Vec<&str>> = match (equal.kind(), equal.rexpr.as_deref()) {
            (pb::AExprKind::AexprOp, Some(value)) => text(value).map(|text| vec![text]),
            (pb::AExprKind::AexprIn, Some(Node { node: Some(NodeEnum::List(list)) })) => {
                list.items.iter().map(text).collect()
            }
            _ => None,
        };
        texts.is_some_and(|texts| pool.values.iter().all(|value| texts.contains(&value.as_str())))
    }
}

/// The value that a sub-select gives.
fn row_of(select: pb::SelectStmt) -> Node {
    ast::node(NodeEnum::SubLink(Box::new(pb::SubLink {
        sub_link_type: pb::SubLinkType::ExprSublink as i32,
        subselect: Some(Box::new(ast::node(NodeEnum::SelectStmt(Box::new(select))))),
        ..pb::SubLink::default()
    })))
}

/// The alias of a row in the queue. Nothing of the client's stands where it could be named.
const ROW: &str = "q";

fn is_null(node: &Node, column: &str) -> bool {
    let Some(NodeEnum::NullTest(test)) = &node.node else { return false };
    test.nulltesttype() == pb::NullTestType::IsNull
        && test.arg.as_deref().and_then(column_name) == Some(column)
}

/// The column that a reference means where there is one table.
fn column_name(node: &Node) -> Option<&str> {
    let Some(NodeEnum::ColumnRef(reference)) = &node.node else { return None };
    ast::names(&reference.fields)?.last().copied()
}

fn is_least(node: &Node, column: &str) -> bool {
    let Some(NodeEnum::FuncCall(call)) = &node.node else { return false };
    let plain = call.agg_order.is_empty() && call.agg_filter.is_none() && call.over.is_none();
    let named =
        matches!(ast::names(&call.funcname).as_deref(), Some(["min"] | ["pg_catalog", "min"]));
    let [argument] = call.args.as_slice() else { return false };
    plain && named && column_name(argument) == Some(column)
}

fn is_one(node: &Node) -> bool {
    *node == ast::integer(1)
}

fn text(node: &Node) -> Option<&str> {
    match &node.node {
        Some(NodeEnum::AConst(pb::AConst {
            val: Some(pb::a_const::Val::Sval(pb::String { sval })),
            ..
        })) => Some(sval),
        _ => None,
    }
}

fn ascending(column: Node) -> Node {
    ast::node(NodeEnum::SortBy(Box::new(pb::SortBy {
        node: Some(Box::new(column)),
        sortby_dir: pb::SortByDir::SortbyDefault as i32,
        sortby_nulls: pb::SortByNulls::SortbyNullsDefault as i32,
        use_op: Vec::new(),
        location: 0,
    })))
}

fn array_text(values: &[String]) -> String {
    let quoted = values.iter().map(|value| {
        let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
        format!("\"{escaped}\"")
    });
    format!("{{{}}}", quoted.collect::<Vec<_>>().join(","))
}
