//! INSERT into a protected table: plain values only, and no reason that policy doesn't allow.

use std::collections::BTreeMap;

use pg_query::{Node, NodeEnum, protobuf as pb};

use super::{
    Change, once, protected_write,
    reach::decides_grade,
    value::{Stored, given_value, stored_value},
};
use crate::{
    InsertRule, Makes, Mode, ReasonRule, Refusal, Strong, TableRule,
    catalogue::{Column, Relation},
    check::{Given, Rule, condition::Condition},
    query::{Analysis, from::Star, parse_condition, scope::Scope},
    refusal::{Judged, not_understood, refusal, refuse},
    taint::Rows,
};

/// When a row would make a strong reason, and what the client is told then.
struct WeakLimit {
    condition: Node,
    refusal: Refusal,
}

impl<'a> Analysis<'a> {
    /// `INSERT INTO t (columns) VALUES (…)` into a protected table.
    pub(super) fn insert_protected(
        &mut self,
        insert: &mut pb::InsertStmt,
        relation: &'a Relation,
        rule: &'a TableRule,
    ) -> Judged<Rows> {
        let overridden = insert.r#override() != pb::OverridingKind::OverridingNotSet;
        let Some(range) = insert.relation.as_mut() else { return not_understood("no table") };
        let plain = insert.with_clause.is_none()
            && insert.on_conflict_clause.is_none()
            && !overridden
            && range.alias.is_none()
            && !insert.cols.is_empty();
        if rule.insert == InsertRule::Refuse || !plain {
            return protected_write(relation);
        }
        let (item, _) = self.protected_target(range, relation, rule, Change::Insert)?;
        self.target.opens = true;
        let columns = insert_columns(&insert.cols, relation)?;
        for column in &columns {
            self.may_insert(relation, rule, column)?;
        }
        let lists = match insert.select_stmt.as_mut().and_then(|node| node.node.as_mut()) {
            Some(NodeEnum::SelectStmt(select)) => plain_values(select),
            _ => None,
        };
        let Some(lists) = lists else { return protected_write(relation) };
        let limits = self.weak_limits(relation, rule)?;
        for list in lists {
            let Some(NodeEnum::List(list)) = list.node.as_mut() else {
                return not_understood("this kind of VALUES");
            };
            if list.items.len() > columns.len() {
                return not_understood("more values than columns");
            }
            let row: BTreeMap<&str, &Node> =
                columns.iter().map(|column| column.name.as_str()).zip(&list.items).collect();
            self.makes_no_reason(&row, relation, rule, &limits);
            for (value, column) in list.items.iter_mut().zip(&columns) {
                if matches!(stored_value(value), Stored::Computed) {
                    return protected_write(relation);
                }
                self.stores(value, column, rule)?;
                self.expression(value, &Scope::new(None))?;
            }
            let set = list.items.iter().zip(columns.iter().copied());
            self.stores_beside(set, relation, rule);
        }
        let star = Star::of(&item);
        let mut scope = Scope::new(None);
        scope.items.push(item);
        self.returning_keys(&mut insert.returning_clause, &star, &scope)
    }

    fn may_insert(&self, relation: &Relation, rule: &TableRule, column: &Column) -> Judged<()> {
        if let InsertRule::Columns(listed) = &rule.insert
            && !listed.contains(&column.name)
        {
            return refuse(
                "protected_write",
                format!("column `{}` can't be given a value by this role", column.name),
                "leave the column out, or ask the administrator to list it",
            );
        }
        match self.resolver.rules.mode {
            Mode::Accounted => Ok(()),
            Mode::Restricted => self.refers_to_nothing_protected(relation, column),
        }
    }

    /// The limit of each reason of which a row may make no strong one. Conditions are parsed here,
    /// once, however many rows there are.
    fn weak_limits(&self, relation: &Relation, rule: &TableRule) -> Judged<Vec<Option<WeakLimit>>> {
        if self.resolver.rules.mode == Mode::Accounted {
            return Ok(Vec::new());
        }
        let limit = |reason: &ReasonRule| match (reason.insert, &reason.strong) {
            (Makes::Nothing, _) => protected_write(relation),
            (Makes::Strong, _) | (Makes::Weak, Strong::Never) => Ok(None),
            (Makes::Weak, Strong::Always) => protected_write(relation),
            (Makes::Weak, Strong::When(text)) => {
                self.charge_text(text)?;
                match parse_condition(text) {
                    Some(condition) => {
                        let refusal = weak_only(relation, reason);
                        Ok(Some(WeakLimit { condition, refusal }))
                    }
                    None => protected_write(relation),
                }
            }
        };
        rule.reasons.iter().map(limit).collect()
    }

    /// What a row makes of reasons: nobody else gets one, and the actor none that is better than
    /// policy allows, now or when the row is taken.
    fn makes_no_reason(
        &mut self,
        row: &BTreeMap<&str, &Node>,
        relation: &Relation,
        rule: &TableRule,
        limits: &[Option<WeakLimit>],
    ) {
        for (reason, limit) in rule.reasons.iter().zip(limits) {
            let actor = given(row, relation, &reason.actor, self);
            if actor != Given::Null {
                let refusal = refusal(
                    "entitlement",
                    format!("a new row of `{}` can be given to yourself only", relation.name),
                    "write your own account's name, as text, or leave the column out",
                );
                self.checks.push(Rule::Actor(actor), refusal);
            }
            if let Some(WeakLimit { condition, refusal }) = limit {
                let value = |name: &str| given(row, relation, name, self);
                let rule = Rule::Not(Condition::read(condition, &value));
                self.checks.push(rule, refusal.clone());
            }
        }
    }

    /// Whether a column's values are compared byte by byte.
    fn is_plain_text(&self, column: &Column) -> bool {
        let kind = self.resolver.catalogue.type_by_oid(column.type_oid);
        column.compares_bytes()
            && kind.is_some_and(|kind| {
                kind.schema == "pg_catalog" && matches!(kind.name.as_str(), "text" | "varchar")
            })
    }
}

/// What a new row has in a column.
fn given(
    row: &BTreeMap<&str, &Node>,
    relation: &Relation,
    name: &str,
    analysis: &Analysis<'_>,
) -> Given {
    let Some(column) = relation.columns.iter().find(|column| column.name == name) else {
        return Given::Unknown;
    };
    let value = match row.get(name) {
        None if column.default => return Given::Unknown,
        None => return Given::Null,
        Some(value) => value,
    };
    if matches!(value.node, Some(NodeEnum::SetToDefault(_))) {
        return if column.default { Given::Unknown } else { Given::Null };
    }
    match given_value(value) {
        Given::Null => Given::Null,
        Given::Actor if analysis.is_plain_text(column) => Given::Actor,
        other if analysis.is_plain_text(column) => match column.length() {
            Some(length) => Given::Cut(Box::new(other), length),
            None => other,
        },
        _ => Given::Unknown,
    }
}

fn weak_only(relation: &Relation, reason: &ReasonRule) -> Refusal {
    let read = |column: &&Column| decides_grade(reason, relation, &column.name);
    let names: Vec<&str> =
        relation.columns.iter().filter(read).map(|column| column.name.as_str()).collect();
    refusal(
        "entitlement",
        format!("a new row of `{}` must not look as if the customer had made it", relation.name),
        format!("say plainly, as texts, who did, in: {}", names.join(", ")),
    )
}

fn plain_values(select: &mut pb::SelectStmt) -> Option<&mut Vec<Node>> {
    let bare = select.with_clause.is_none()
        && select.sort_clause.is_empty()
        && select.limit_count.is_none()
        && select.limit_offset.is_none()
        && select.locking_clause.is_empty()
        && !select.values_lists.is_empty();
    bare.then_some(&mut select.values_lists)
}

fn insert_columns<'r>(cols: &[Node], relation: &'r Relation) -> Judged<Vec<&'r Column>> {
    let mut columns = Vec::new();
    for node in cols {
        let Some(NodeEnum::ResTarget(target)) = &node.node else {
            return not_understood("this kind of column list");
        };
        let found = relation.columns.iter().find(|column| column.name == target.name);
        match found {
            Some(column) if target.indirection.is_empty() => once(&mut columns, column)?,
            _ => return not_understood("this column list"),
        }
    }
    Ok(columns)
}
