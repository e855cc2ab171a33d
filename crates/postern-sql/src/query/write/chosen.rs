//! Rows to change that a sub-select chooses: `WHERE key IN (SELECT key … LIMIT 5)`.
//!
//! Which rows a LIMIT leaves, and which of them are found locked, would tell of all rows before
//! them, and no entry names those. So the sub-select finds only rows that may be changed, as with
//! row-level security: the table's own condition on what is written stands in its leaf too. Of
//! those it tells what a condition of the statement's own tells of them. It reads nothing else, and
//! nothing of the row around it.

use pg_query::{Node, NodeEnum, protobuf as pb};

use super::{
    reach::Needs,
    take::{picked, picks_in_place},
};
use crate::{
    Mode, ast,
    query::{
        Analysis,
        grouping::gives_its_rows,
        lookup::{conjunction, conjuncts},
        scalar::is_first,
        scope::Scope,
        select::Place,
        window::is_star,
    },
    refusal::{Judged, refuse},
};

impl Analysis<'_> {
    /// Writes `UPDATE t … FROM c WHERE t.key = c.key`, of a common table or a sub-select that gives
    /// keys of the target's table, as `WHERE t.key IN (SELECT key …)`: a row is changed once,
    /// however often it is given.
    pub(super) fn chooses_in_place(&self, update: &mut pb::UpdateStmt, target: u32) {
        let Some((_, _, select)) = picked(update) else { return };
        let of_target = self.only_protected(&select).map(|(_, relation)| relation.oid);
        let returned = update.returning_clause.iter().flat_map(|returning| &returning.exprs);
        // A star would give what is chosen, too.
        let starred = returned.filter(|node| is_star(node)).count() > 0;
        if of_target != Some(target) || starred {
            return;
        }
        let mut chosen = update.clone();
        let placed = picks_in_place(&mut chosen, |equal, select| {
            among(equal.lexpr.map(|key| *key).unwrap_or_default(), select)
        });
        if placed {
            *update = chosen;
        }
    }

    /// Takes those conditions out of a WHERE clause that choose rows of the target, and judges
    /// them.
    pub(super) fn choices(
        &mut self,
        condition: &mut Option<Box<Node>>,
        scope: &Scope<'_>,
        (leaf, needs): (usize, &Needs),
    ) -> Judged<Vec<Node>> {
        if self.resolver.rules.mode != Mode::Restricted {
            return Ok(Vec::new());
        }
        let all = condition.take().map(|node| conjuncts(*node)).unwrap_or_default();
        let (mut chosen, mut rest) = (Vec::new(), Vec::new());
        for mut node in all {
            if self.is_choice(&mut node, scope, leaf) {
                self.choose(&mut node, scope, needs)?;
                chosen.push(node);
            } else {
                rest.push(node);
            }
        }
        *condition = conjunction(rest);
        Ok(chosen)
    }

    /// Whether a condition is `key IN (SELECT key FROM the target's table …)` of some of the rows;
    /// `key = (SELECT …)` of one row at most is written so.
    fn is_choice(&self, node: &mut Node, scope: &Scope<'_>, leaf: usize) -> bool {
        let found = match node.node.as_ref() {
            Some(NodeEnum::SubLink(link))
                if link.sub_link_type() == pb::SubLinkType::AnySublink
                    && link.oper_name.is_empty() =>
            {
                link.testexpr.as_deref().zip(select_of(link))
            }
            Some(NodeEnum::AExpr(equal))
                if equal.kind() == pb::AExprKind::AexprOp && ast::is_equality(&equal.name) =>
            {
                let sides = [(&equal.lexpr, &equal.rexpr), (&equal.rexpr, &equal.lexpr)];
                sides.into_iter().find_map(|(tested, row)| {
                    let Some(NodeEnum::SubLink(link)) = &row.as_deref()?.node else { return None };
                    let value = link.sub_link_type() == pb::SubLinkType::ExprSublink;
                    let select = select_of(link).filter(|select| value && self.is_one(select))?;
                    Some((tested.as_deref()?, select))
                })
            }
            _ => None,
        };
        let Some((tested, select)) = found else { return false };
        let is_in = matches!(&node.node, Some(NodeEnum::SubLink(_)));
        let plain = select.op() == pb::SetOperation::SetopNone
            && select.values_lists.is_empty()
            && select.with_clause.is_none()
            && select.distinct_clause.is_empty()
            && select.group_clause.is_empty()
            && select.having_clause.is_none()
            && select.window_clause.is_empty();
        let target = self.leaves.get(leaf).map(|build| build.relation.oid);
        let of_target = self.only_protected(select).map(|(_, relation)| relation.oid) == target;
        let key = scope.source(tested).is_some_and(|source| source.leaf == leaf);
        // One that gives all its rows is judged as in any statement.
        if !(plain && of_target && key) || is_in && gives_its_rows(select) {
            return false;
        }
        *node = among(tested.clone(), select.clone());
        true
    }

    /// Whether a select of one table gives one row at most.
    fn is_one(&self, select: &pb::SelectStmt) -> bool {
        is_first(select) || gives_its_rows(select) && self.is_by_unique_column(select)
    }

    fn choose(&mut self, node: &mut Node, scope: &Scope<'_>, needs: &Needs) -> Judged<()> {
        let refused = || {
            refuse(
                "write",
                "rows of a protected table can't be chosen this way",
                "write WHERE key IN (SELECT key FROM the table WHERE … ORDER BY … LIMIT n), which \
                 finds your own",
            )
        };
        self.equality_by_name()?;
        let Some(NodeEnum::SubLink(link)) = node.node.as_mut() else { return refused() };
        let tested = link.testexpr.as_deref_mut();
        let source = tested.as_ref().and_then(|node| scope.source(node));
        self.all(tested, scope)?;
        let select = link.subselect.as_mut().and_then(|node| node.node.as_mut());
        let Some(NodeEnum::SelectStmt(select)) = select else { return refused() };
        let leaf = self.leaves.len();
        let judge = |own: &mut Self| own.select(select, None, Place::Bare);
        let rows = self.lent(|own| &mut own.target.chooses, Some(needs.clone()), judge).0?;
        let own = rows.columns.first().and_then(|column| column.source);
        let single = rows.columns.len() == 1 && rows.open.is_none();
        let same = source.zip(own).is_some_and(|(one, two)| self.same_record(one, two));
        let alone = self.leaves.len() == leaf + 1 && self.target.chosen.contains(&leaf);
        if !(single && same && alone) {
            return refused();
        }
        self.spoil(&rows.whole());
        self.target.filters += 1;
        Ok(())
    }
}

/// `key IN (SELECT …)`.
fn among(key: Node, select: pb::SelectStmt) -> Node {
    ast::node(NodeEnum::SubLink(Box::new(pb::SubLink {
        sub_link_type: pb::SubLinkType::AnySublink as i32,
        testexpr: Some(Box::new(key)),
        subselect: Some(Box::new(ast::node(NodeEnum::SelectStmt(Box::new(select))))),
        ..pb::SubLink::default()
    })))
}

fn select_of(link: &pb::SubLink) -> Option<&pb::SelectStmt> {
    match &link.subselect.as_deref()?.node {
        Some(NodeEnum::SelectStmt(select)) => Some(select),
        _ => None,
    }
}
