//! INSERT into a protected table: plain values only, and no reason that policy doesn't allow.

use std::collections::BTreeMap;

use pg_query::{Node, NodeEnum, protobuf as pb};

use super::{
    Change, once, protected_write,
    reach::decides_grade,
    value::{Stored, given_value, stored_value},
};
use crate::{
    InsertRule, KeySet, Makes, MaskCheck, Mode, Reach, ReasonRule, Refusal, Strong, TableRule, ast,
    catalogue::{Column, Relation},
    check::{Given, Rule, condition::Condition},
    mask::type_of,
    query::{Analysis, from::Star, parse_condition, scope::Scope},
    refusal::{Judged, not_understood, refusal, refuse},
    taint::Rows,
};

/// What a row must be for a reason not to be better than policy allows.
enum Limit {
    /// Anything.
    None,
    /// It would make a strong reason where this holds, and what the client is told then.
    Weak { condition: Box<Node>, refusal: Refusal },
    /// Whatever names somebody makes a strong reason: it names nobody, and is about somebody for
    /// whom the actor has a reason already. Who takes it from its queue does so by the queue's
    /// order, in which it stands where the server puts it.
    Own(KeySet),
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
        let (item, leaf) = self.protected_target(range, relation, rule, Change::Insert)?;
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
        let limits = self.limits_of_reasons(relation, rule)?;
        let own = limits.iter().find_map(|limit| match limit {
            Limit::Own(set) => Some(*set),
            Limit::None | Limit::Weak { .. } => None,
        });
        for list in lists {
            let Some(NodeEnum::List(list)) = list.node.as_mut() else {
                return not_understood("this kind of VALUES");
            };
            if list.items.len() > columns.len() {
                return not_understood("more values than columns");
            }
            let row: BTreeMap<&str, &Node> =
                columns.iter().map(|column| column.name.as_str()).zip(&list.items).collect();
            self.makes_no_reason(&row, relation, rule, &limits)?;
            for (value, column) in list.items.iter_mut().zip(&columns) {
                if matches!(stored_value(value), Stored::Computed) {
                    return protected_write(relation);
                }
                self.stores(value, column, rule)?;
                self.expression(value, &Scope::new(None))?;
                if let Some(set) = own.filter(|_| column.name == rule.subject) {
                    self.about_own(value, column, (leaf, set))?;
                }
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
    fn limits_of_reasons(&self, relation: &Relation, rule: &TableRule) -> Judged<Vec<Limit>> {
        if self.resolver.rules.mode == Mode::Accounted {
            return Ok(Vec::new());
        }
        let limit = |reason: &ReasonRule| match (reason.insert, &reason.strong) {
            (Makes::Nothing, _) => protected_write(relation),
            (Makes::Strong, _) | (Makes::Weak, Strong::Never) => Ok(Limit::None),
            (Makes::Weak, Strong::Always) => match keys_of_updates(rule) {
                Some(set) if reason.subject == rule.subject => Ok(Limit::Own(set)),
                _ => protected_write(relation),
            },
            (Makes::Weak, Strong::When(text)) => {
                self.charge_text(text)?;
                match parse_condition(text) {
                    Some(condition) => {
                        let refusal = weak_only(relation, reason);
                        Ok(Limit::Weak { condition: Box::new(condition), refusal })
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
        limits: &[Limit],
    ) -> Judged<()> {
        for (reason, limit) in rule.reasons.iter().zip(limits) {
            let actor = given(row, relation, &reason.actor, self);
            if let Limit::Own(_) = limit {
                let placed = |name: &String| row.contains_key(name.as_str());
                let orders = reason.take.iter().flat_map(|take| &take.order);
                let about = row.contains_key(rule.subject.as_str());
                if actor != Given::Null || orders.into_iter().any(placed) || !about {
                    return waits_in_line(relation, reason);
                }
            }
            if actor != Given::Null {
                let refusal = refusal(
                    "entitlement",
                    format!("a new row of `{}` can be given to yourself only", relation.name),
                    "write your own account's name, as text, or leave the column out",
                );
                self.checks.push(Rule::Actor(actor), refusal);
            }
            if let Limit::Weak { condition, refusal } = limit {
                let value = |name: &str| given(row, relation, name, self);
                let rule = Rule::Not(Condition::read(condition, &value));
                self.checks.push(rule, refusal.clone());
            }
        }
        Ok(())
    }

    /// The subject of a new row is one of the actor's own: else the server is asked for a setting
    /// that nobody has, and fails, as with what is to stay the same ([`super::same`]).
    fn about_own(
        &mut self,
        value: &mut Node,
        column: &Column,
        (leaf, set): (usize, KeySet),
    ) -> Judged<()> {
        let Some(build) = self.leaves.get(leaf).cloned() else {
            return not_understood("a table without its subject column");
        };
        let kind = || type_of(self.resolver.catalogue, column);
        let name = format!("{}own{}", self.resolver.context.prefix, column.number);
        let given = ast::cast(value.clone(), kind()?);
        let missing = ast::cast(ast::call("current_setting", vec![ast::constant(&name)]), kind()?);
        let own = self.is_among_keys(given.clone(), &build, set);
        *value = ast::case(own, given, missing);
        self.target.relies.insert(set);
        let refusal = refusal(
            "entitlement",
            "a new row can be about your own customers only",
            "write the key of a customer for whom you have a reason",
        );
        self.mask_checks.push(MaskCheck { name: name.into(), refusal });
        Ok(())
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

/// The keys of those whose rows may be changed.
pub(super) fn keys_of_updates(rule: &TableRule) -> Option<KeySet> {
    rule.update.iter().find_map(|update| match update.reach {
        Reach::Keyed(set) | Reach::Own(set) => Some(set),
        Reach::Refuse | Reach::All => None,
    })
}

fn waits_in_line<T>(relation: &Relation, reason: &ReasonRule) -> Judged<T> {
    let order = reason.take.as_ref().map(|take| take.order.join(", ")).unwrap_or_default();
    refuse(
        "entitlement",
        format!("a new row of `{}` waits until somebody takes it", relation.name),
        format!("name your customer, and leave out: {} {order}", reason.actor),
    )
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
