//! Who may see what: roles, tables, reasons.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use postern_model::Actor;
use postern_session::condition_reads;

use super::{
    super::{
        file::{
            AccountBudgetsFile, BudgetFile, EnforcementFile, GradeFile, PoolFile, ReasonFile,
            RoleFile, RoleKind, TableFile,
        },
        settings::{Budget, Column, Reason, Role, Strength, Table},
    },
    Checker, Place,
};

/// As long as the ledger's horizon.
pub(super) const WINDOW_MAX: Duration = Duration::from_secs(31 * 86_400);

impl Checker<'_> {
    /// All roles share the upstream account, so where a table is protected none may be let through.
    pub(super) fn roles(
        &mut self,
        roles: BTreeMap<String, RoleFile>,
        (pool, tables): (PoolFile, &[TableFile]),
    ) -> Vec<Role> {
        let section = Place::section("roles");
        if roles.is_empty() {
            self.warn(
                &section,
                "there are no roles, so nobody can log in",
                "add a section, e.g. `[roles.agent]` with `kind = \"restricted\"`",
            );
        }
        let mut checked = Vec::with_capacity(roles.len());
        for (name, role) in roles {
            let place = section.key(&name);
            self.identifier(&place, "role", &name);
            if role.kind == RoleKind::PassThrough && !tables.is_empty() {
                self.wrong(
                    &place.key("kind"),
                    format!("role `{name}` would see the protected tables in clear, unrecorded"),
                    "make it `accounted`: everything is clear and every record is recorded",
                );
            }
            if role.kind == RoleKind::PassThrough && role.pool == Some(PoolFile::Transaction) {
                self.wrong(
                    &place.key("pool"),
                    "what a pass-through role does is not looked at, so it can't share connections",
                    "leave `pool` out, or make the role `accounted`",
                );
            }
            let budgets = self.budgets(&place.key("budgets"), role.kind, &role.budgets);
            if role.kind == RoleKind::Restricted && budgets.is_empty() {
                self.warn(
                    &place,
                    format!("role `{name}` has no budgets: nothing limits how much it reads"),
                    "add `budgets = [{ count = \"clear_subjects\", window = \"1h\", max = 100 }]`",
                );
            }
            let pool = role.pool.unwrap_or(pool);
            self.enforcement(&place.key("enforcement"), &name, &role);
            let (name, kind, enforcement) = (name.into(), role.kind, role.enforcement);
            checked.push(Role { name, kind, enforcement, pool, budgets });
        }
        checked
    }

    fn enforcement(&mut self, place: &Place, name: &str, role: &RoleFile) {
        if role.enforcement == EnforcementFile::Enforce {
            return;
        }
        if role.kind != RoleKind::Restricted {
            self.wrong(
                place,
                format!("role `{name}` is not restricted, so there is nothing to enforce"),
                "leave `enforcement` out",
            );
            return;
        }
        self.warn(
            place,
            format!(
                "policy is NOT ENFORCED for role `{name}`: its people see every customer in clear"
            ),
            "when what it would do is what you want, write `enforcement = \"enforce\"`",
        );
        if role.pool == Some(PoolFile::Transaction) {
            self.wrong(
                &Place::section("roles").key(name).key("pool"),
                "people for whom policy is not enforced have connections of their own",
                "leave `pool` out until it is",
            );
        }
    }

    fn budgets(&mut self, place: &Place, kind: RoleKind, budgets: &[BudgetFile]) -> Vec<Budget> {
        if kind == RoleKind::Application && !budgets.is_empty() {
            self.wrong(
                place,
                "an application has budgets, but what it reads is charged to its end users",
                "give the budgets to the roles of the end users",
            );
        }
        if kind == RoleKind::PassThrough && !budgets.is_empty() {
            self.wrong(
                place,
                "a pass-through role has budgets, but nothing of it is counted",
                "leave the budgets out, or make the role `accounted`",
            );
        }
        self.counted(place, budgets)
    }

    /// Budgets of contractors, and of single accounts.
    pub(super) fn more_budgets(
        &mut self,
        sections: &[AccountBudgetsFile],
    ) -> (Vec<Budget>, BTreeMap<Actor, Vec<Budget>>) {
        let (mut contractors, mut people) = (Vec::new(), BTreeMap::<_, Vec<Budget>>::new());
        for (index, section) in sections.iter().enumerate() {
            let place = Place::section("budgets").index(index);
            if section.people.is_empty() && !section.contractors {
                self.wrong(
                    &place,
                    "these budgets are nobody's",
                    "name accounts in `people`, or write `contractors = true`",
                );
            }
            let budgets = self.counted(&place.key("budgets"), &section.budgets);
            if section.contractors {
                contractors.extend(budgets.iter().cloned());
            }
            for person in &section.people {
                let theirs = people.entry(Actor::new(person.as_str())).or_default();
                theirs.extend(budgets.iter().cloned());
            }
        }
        (contractors, people)
    }

    fn counted(&mut self, place: &Place, budgets: &[BudgetFile]) -> Vec<Budget> {
        let mut checked: Vec<Budget> = Vec::with_capacity(budgets.len());
        for (index, budget) in budgets.iter().enumerate() {
            let place = place.index(index);
            let window = self.duration(&place.key("window"), &budget.window);
            if window > WINDOW_MAX {
                self.wrong(
                    &place.key("window"),
                    "the ledger remembers 31 days for budgets",
                    "write at most `31d`",
                );
            }
            if checked.iter().any(|b| b.count == budget.count && b.window == window) {
                let count = budget.count.as_str();
                self.wrong(
                    &place,
                    format!("two budgets count `{count}` over the same window"),
                    "keep one of them",
                );
            }
            checked.push(Budget { count: budget.count, window, max: budget.max });
        }
        checked
    }

    pub(super) fn tables(&mut self, tables: &[TableFile]) -> Vec<Table> {
        let section = Place::section("tables");
        if tables.is_empty() {
            self.warn(
                &section,
                "no table is protected",
                "add `[[tables]]` with `name` and `subject`; `postern init` proposes some",
            );
        }
        let mut seen = BTreeSet::new();
        let mut checked = Vec::with_capacity(tables.len());
        for (index, table) in tables.iter().enumerate() {
            let place = section.index(index);
            let (schema, name) = self.qualified(&place.key("name"), &table.name);
            if !seen.insert(&table.name) {
                self.wrong(
                    &place.key("name"),
                    format!("table `{}` is listed twice", table.name),
                    "put everything about it under one `[[tables]]`",
                );
            }
            self.not_empty(&place.key("subject"), "subject", &table.subject);
            checked.push(Table {
                schema,
                table: name,
                subject: table.subject.clone(),
                clear: table.clear.clone(),
                columns: self.columns(&place, table),
                insert: table.insert,
                insert_columns: self.insert_columns(&place, table),
                update: table.update.clone(),
                update_own: table.update_own.clone(),
                delete: table.delete,
            });
        }
        checked
    }

    fn columns(&mut self, place: &Place, table: &TableFile) -> Vec<Column> {
        self.distinct(&place.key("clear"), "column", &table.clear);
        let mut columns = Vec::with_capacity(table.columns.len());
        for (name, column) in &table.columns {
            let here = place.key("columns").key(name);
            self.not_empty(&here, "column", name);
            if let Some(index) = table.clear.iter().position(|clear| clear == name) {
                self.wrong(
                    &place.key("clear").index(index),
                    format!("column `{name}` is both clear and protected"),
                    format!("remove it from `clear`, or remove `[tables.columns.{name}]`"),
                );
            }
            if column.lookup && *name == table.subject {
                self.wrong(
                    &here.key("lookup"),
                    format!("`{name}` is the customer's key, which needs no look-up"),
                    "remove `lookup`: rows can always be asked for by their key",
                );
            }
            columns.push(Column {
                name: name.clone(),
                class: column.class.into(),
                lookup: column.lookup,
                mask: column.mask.clone(),
            });
        }
        columns
    }

    pub(super) fn reasons(&mut self, reasons: &[ReasonFile], tables: &[TableFile]) -> Vec<Reason> {
        let section = Place::section("reasons");
        let mut seen = BTreeSet::new();
        let mut checked = Vec::with_capacity(reasons.len());
        for (index, reason) in reasons.iter().enumerate() {
            let place = section.index(index);
            self.identifier(&place.key("name"), "reason", &reason.name);
            if !seen.insert(&reason.name) {
                self.wrong(
                    &place.key("name"),
                    format!("two reasons are called `{}`", reason.name),
                    "give each its own name: the ledger tells them apart by it",
                );
            }
            let (schema, table) = self.qualified(&place.key("table"), &reason.table);
            if !tables.iter().any(|table| table.name == reason.table) {
                self.wrong(
                    &place.key("table"),
                    format!("reason `{}` reads `{}`, an unknown table", reason.name, reason.table),
                    format!(
                        "add `[[tables]]` with `name = \"{}\"`: what makes somebody entitled must \
                         be protected itself",
                        reason.table
                    ),
                );
            }
            self.not_empty(&place.key("subject"), "subject", &reason.subject);
            self.not_empty(&place.key("actor"), "actor", &reason.actor);
            checked.push(Reason {
                name: reason.name.as_str().into(),
                schema,
                table,
                subject: reason.subject.clone(),
                actor: reason.actor.clone(),
                ticket: reason.ticket.clone(),
                condition: self.condition(&place.key("where"), reason.condition.as_deref()),
                strength: self.strength(&place, reason),
                take: self.take(&place, reason, tables),
            });
        }
        checked
    }

    fn strength(&mut self, place: &Place, reason: &ReasonFile) -> Strength {
        let place = place.key("strong_when");
        match (reason.grade, self.condition(&place, reason.strong_when.as_deref())) {
            (Some(_), Some(_)) => {
                self.wrong(
                    &place,
                    format!("reason `{}` has both `grade` and `strong_when`", reason.name),
                    "keep one: `grade` for all rows, `strong_when` where it depends on the row",
                );
                Strength::Weak
            }
            (None, Some(condition)) => Strength::StrongWhen(condition),
            (Some(GradeFile::Strong), None) => Strength::Strong,
            (Some(GradeFile::Weak) | None, None) => Strength::Weak,
        }
    }

    /// Whether its names mean something is for the server to say; here it is only refused what
    /// can't be one condition.
    fn condition(&mut self, place: &Place, text: Option<&str>) -> Option<String> {
        let text = text?;
        if text.contains(';') || text.contains("--") || condition_reads(text).is_err() {
            self.wrong(
                place,
                "this is not one SQL condition",
                "write what would stand after WHERE, without `;` and comments",
            );
        }
        Some(text.to_owned())
    }

    fn qualified(&mut self, place: &Place, name: &str) -> (String, String) {
        match name.split_once('.') {
            Some((schema, table))
                if !schema.is_empty() && !table.is_empty() && !table.contains('.') =>
            {
                (schema.to_owned(), table.to_owned())
            }
            _ => {
                self.wrong(
                    place,
                    format!("`{name}` doesn't name a table and its schema"),
                    format!("write both, without quotes, e.g. `public.{}`", name.trim_matches('.')),
                );
                (String::new(), String::new())
            }
        }
    }

    fn identifier(&mut self, place: &Place, what: &str, name: &str) {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(plain) {
            self.wrong(
                place,
                format!("`{name}` can't be the name of a {what}"),
                "use lower-case letters, digits and `_`, and begin with a letter",
            );
        }
    }
}
