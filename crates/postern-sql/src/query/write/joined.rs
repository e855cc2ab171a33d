//! `UPDATE t … FROM u WHERE t.key = u.key AND …`, where `u` is protected.
//!
//! A row is changed once, however many rows are joined to it. Where nothing but the condition names
//! what is joined, `WHERE EXISTS (SELECT FROM u WHERE …)` is the same, and says that what is read
//! there only decides which rows are meant. It is judged as such; here it is decided whether it is
//! the same, in doubt not, and what stands in FROM is refused then.

use std::{collections::BTreeSet, mem};

use pg_query::{Node, NodeEnum, protobuf as pb};

use crate::{
    ast,
    catalogue::Relation,
    query::{
        Analysis,
        lookup::{conjunction, conjuncts},
        scalar::parts,
        window::is_star,
    },
    resolve::Resolved,
};

/// Names of what stands in a FROM clause.
#[derive(Default)]
struct Joined<'a> {
    aliases: BTreeSet<String>,
    relations: Vec<&'a Relation>,
    /// There is a protected table among them.
    protected: bool,
}

/// Whose columns an expression names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    /// The target's only.
    Target,
    /// Others', or it can't be said.
    Others,
    /// Both have a column that is named without saying whose.
    Either,
}

impl<'a> Analysis<'a> {
    /// Writes what stands in FROM as a condition, where that is the same.
    pub(super) fn joins_in_place(&self, update: &mut pb::UpdateStmt, target: &Relation) {
        if update.with_clause.is_some() || update.from_clause.is_empty() {
            return;
        }
        let Some(range) = &update.relation else { return };
        let alias = range.alias.as_ref().map_or(&range.relname, |alias| &alias.aliasname);
        let mut joined = Joined::default();
        let known = update.from_clause.iter().all(|item| self.join_named(item, &mut joined));
        if !known || !joined.protected || joined.aliases.contains(alias) {
            return;
        }
        let named = |node: &Node| joined.named_in(node, (alias, target));
        let returned = update.returning_clause.iter().flat_map(|returning| &returning.exprs);
        let given = update.target_list.iter().chain(returned);
        let of_target = |node: &Node| match &node.node {
            Some(NodeEnum::ResTarget(value)) => {
                !is_star(node)
                    && value.val.as_deref().is_none_or(|value| named(value) == Names::Target)
            }
            _ => false,
        };
        if !given.into_iter().all(of_target) {
            return;
        }
        let all = update.where_clause.as_deref().cloned().map(conjuncts).unwrap_or_default();
        if all.iter().any(|node| named(node) == Names::Either) {
            return;
        }
        let (mut rest, inner): (Vec<Node>, Vec<Node>) =
            all.into_iter().partition(|node| named(node) == Names::Target);
        rest.push(exists(mem::take(&mut update.from_clause), inner));
        update.where_clause = conjunction(rest);
    }

    /// Notes the names in an item of FROM; whether it is tables and joins of tables only.
    fn join_named(&self, item: &Node, joined: &mut Joined<'a>) -> bool {
        match &item.node {
            Some(NodeEnum::RangeVar(range)) => {
                let plain = range.alias.as_ref().is_none_or(|alias| alias.colnames.is_empty());
                let common = range.schemaname.is_empty()
                    && self.commons.iter().any(|common| common.name == range.relname);
                let relation = match self.resolver.relation(range) {
                    Ok(Resolved::Protected(relation, _)) => {
                        joined.protected = true;
                        relation
                    }
                    Ok(Resolved::Plain(relation)) => relation,
                    Ok(Resolved::View(_) | Resolved::Catalogue { .. }) | Err(_) => return false,
                };
                joined.relations.push(relation);
                let alias = range.alias.as_ref().map_or(&range.relname, |alias| &alias.aliasname);
                joined.aliases.insert(alias.clone()) && plain && !common
            }
            Some(NodeEnum::JoinExpr(join)) => {
                let sides = [join.larg.as_deref(), join.rarg.as_deref()];
                join.alias.is_none()
                    && join.join_using_alias.is_none()
                    && sides.into_iter().all(|s| s.is_some_and(|s| self.join_named(s, joined)))
            }
            _ => false,
        }
    }
}

impl Joined<'_> {
    /// Whose columns an expression beside the target names.
    fn named_in(&self, node: &Node, target: (&str, &Relation)) -> Names {
        let has = |relation: &Relation, name: &str| relation.columns.iter().any(|c| c.name == name);
        match &node.node {
            Some(NodeEnum::ColumnRef(reference)) => {
                match ast::names(&reference.fields).as_deref() {
                    Some([name]) => {
                        let joined = self.relations.iter().any(|relation| has(relation, name));
                        match (has(target.1, name), joined) {
                            (true, false) => Names::Target,
                            (true, true) => Names::Either,
                            (false, _) => Names::Others,
                        }
                    }
                    Some([alias, _]) if *alias == target.0 => Names::Target,
                    _ => Names::Others,
                }
            }
            Some(
                NodeEnum::AConst(_)
                | NodeEnum::ParamRef(_)
                | NodeEnum::SqlvalueFunction(_)
                | NodeEnum::SetToDefault(_),
            ) => Names::Target,
            Some(NodeEnum::FuncCall(call))
                if call.over.is_some()
                    || call.agg_filter.is_some()
                    || !call.agg_order.is_empty() =>
            {
                Names::Others
            }
            _ => {
                let mut own = node.clone();
                let inner = parts(&mut own);
                // A kind of expression whose parts are not known.
                if inner.is_empty() && !is_empty(node) {
                    return Names::Others;
                }
                let found = inner.into_iter().map(|part| self.named_in(part, target));
                found.fold(Names::Target, |all, one| match (all, one) {
                    (Names::Either, _) | (_, Names::Either) => Names::Either,
                    (Names::Others, _) | (_, Names::Others) => Names::Others,
                    (Names::Target, Names::Target) => Names::Target,
                })
            }
        }
    }
}

/// Whether it is an expression of no parts, as `now()`.
fn is_empty(node: &Node) -> bool {
    match &node.node {
        Some(NodeEnum::FuncCall(call)) => call.args.is_empty(),
        Some(NodeEnum::List(list)) => list.items.is_empty(),
        _ => false,
    }
}

/// `EXISTS (SELECT 1 FROM … WHERE …)`.
fn exists(from: Vec<Node>, conditions: Vec<Node>) -> Node {
    let condition = conjunction(conditions).map(|all| *all);
    let select = ast::select(vec![ast::target("", ast::integer(1))], from, condition);
    ast::node(NodeEnum::SubLink(Box::new(pb::SubLink {
        sub_link_type: pb::SubLinkType::ExistsSublink as i32,
        subselect: Some(Box::new(select)),
        ..pb::SubLink::default()
    })))
}
