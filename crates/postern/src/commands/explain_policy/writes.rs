//! What an account may write in a protected table, and why no more.

use postern_gateway::Role;
use postern_session::{Kind, ReasonSet, TableSettings};
use postern_sql::{Aim, InsertRule, KeySet, Makes, Reach, ReasonRule, TableRule, Values};

use super::report::Write;

/// What the rules of a table say about a way of writing it.
pub(super) struct Writes<'a> {
    pub(super) rule: &'a TableRule,
    /// What the configuration says, of which policy permits a part.
    pub(super) configured: Option<&'a TableSettings>,
    pub(super) key_sets: &'a [ReasonSet],
    pub(super) role: &'a Role,
}

impl Writes<'_> {
    pub(super) fn report(&self, aim: Aim) -> Write {
        let (how, rules) = match aim {
            Aim::Insert => ("insert", self.insert()),
            Aim::Update => ("update", self.update()),
            Aim::Delete => ("delete", vec![self.delete()]),
            Aim::Merge => ("merge", vec!["MERGE writes no protected table".to_owned()]),
        };
        Write { table: format!("{}.{}", self.rule.schema, self.rule.table), how, rules }
    }

    fn insert(&self) -> Vec<String> {
        let columns = match &self.rule.insert {
            InsertRule::Refuse => {
                let listed = self.configured.is_some_and(|t| t.insert != InsertRule::Refuse);
                return vec![format!("no rows may be added: {}", why_not(listed, "insert"))];
            }
            InsertRule::Allow => "any column".to_owned(),
            InsertRule::Columns(columns) => columns.join(", "),
        };
        let mut rules = vec![format!("rows may be added by VALUES, with values for {columns}")];
        if self.role.kind == Kind::Restricted {
            rules.extend(self.rule.reasons.iter().map(|reason| {
                let best = match reason.insert {
                    Makes::Nothing => "none",
                    Makes::Weak => "a weak one at most",
                    Makes::Strong => "a strong one too",
                };
                format!("the reason that a new row makes, for yourself only: {best}")
            }));
        }
        rules
    }

    fn update(&self) -> Vec<String> {
        let mut rules: Vec<String> = self
            .rule
            .update
            .iter()
            .map(|update| {
                format!("column {} may be changed {}", update.column, self.reach(update.reach))
            })
            .collect();
        let settings = self.configured.into_iter();
        let listed = settings.flat_map(|t| t.update.iter().chain(&t.update_own));
        let allowed = |name: &String| self.rule.update.iter().any(|rule| rule.column == *name);
        rules.extend(
            listed.filter(|name| !allowed(name)).map(|name| {
                format!("column {name} may not be changed: {}", why_not(true, "update"))
            }),
        );
        rules.push(
            match self.role.kind {
                Kind::Accounted => "no other column may be changed: policy does not permit it",
                Kind::Restricted | Kind::PassThrough => {
                    "no other column may be changed: none is listed under `update` or `update_own`"
                }
            }
            .to_owned(),
        );
        rules.extend(self.rule.reasons.iter().filter_map(taking));
        rules
    }

    fn delete(&self) -> String {
        match self.rule.delete {
            Reach::Refuse => {
                let listed = self.configured.is_some_and(|table| table.delete);
                format!("no rows may be deleted: {}", why_not(listed, "delete"))
            }
            reach @ (Reach::Keyed(_) | Reach::Own(_) | Reach::All) => {
                format!("rows may be deleted {}", self.reach(reach))
            }
        }
    }

    fn reach(&self, reach: Reach) -> String {
        match reach {
            Reach::Refuse => "in no row".to_owned(),
            Reach::Own(set) => format!(
                "in rows that are yours by every reason that reads it, of customers for whom one \
                 of these holds: {}",
                self.reasons(set)
            ),
            Reach::All => "in all rows".to_owned(),
            Reach::Keyed(set) => {
                format!("in rows of customers for whom one of these holds: {}", self.reasons(set))
            }
        }
    }

    fn reasons(&self, set: KeySet) -> String {
        let set = self.key_sets.get(usize::from(set.0));
        let reasons = set.into_iter().flat_map(|set| &set.0);
        let reasons = reasons.map(|reason| format!("{} ({})", reason.name, reason.grade.as_str()));
        reasons.collect::<Vec<_>>().join(", ")
    }
}

/// How a row that waits is taken.
fn taking(reason: &ReasonRule) -> Option<String> {
    let take = reason.take.as_ref()?;
    let values = |columns: &[Values]| {
        let each = columns.iter().map(|c| format!("{} is {}", c.column, c.values.join(" or ")));
        each.collect::<Vec<_>>().join(", ")
    };
    let (pool, sets) = (values(&take.pool), values(&take.sets));
    let order = take.order.join(", ");
    let along = if sets.is_empty() { String::new() } else { format!("; along with it: {sets}") };
    Some(format!(
        "the next row of a queue may be taken, by setting {} to yourself: where {pool}, in the \
         order of {order}{along}",
        reason.actor
    ))
}

fn why_not(listed: bool, key: &str) -> String {
    if listed {
        "policy does not permit it to this account".to_owned()
    } else {
        format!("the configuration does not allow it, see `{key}`")
    }
}
