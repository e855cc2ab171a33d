//! What `explain-policy` found, in words and for machines.

use std::fmt::Write as _;

use serde::Serialize;

/// What `explain-policy --json` prints; version 1.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    version: u32,
    actor: String,
    role: String,
    /// Whether the whole text would run.
    pub(super) allowed: bool,
    /// Why the account can't log in at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    no_entry: Option<String>,
    pub(super) statements: Vec<Statement>,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Statement {
    /// `refused`, `plain`, `guarded`, `answered` (by the gateway itself), `kept` (about something
    /// that was prepared or declared), or `forwarded` (for an account whose statements are not
    /// judged).
    pub(super) verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refusal: Option<Refusal>,
    /// What may be written in the table that it writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) write: Option<Write>,
    pub(super) tables: Vec<Table>,
    pub(super) lookups: Vec<Lookup>,
    pub(super) budgets: Vec<Budget>,
    /// What would be sent to the database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sql: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Write {
    pub(super) table: String,
    /// `insert`, `update`, `delete` or `merge`.
    pub(super) how: &'static str,
    /// What the account may do in this way, in words.
    pub(super) rules: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Refusal {
    pub(super) sqlstate: String,
    pub(super) rule: String,
    pub(super) message: String,
    pub(super) hint: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Table {
    pub(super) table: String,
    /// Whether each row says whose record it holds, and is recorded.
    pub(super) recorded: bool,
    /// The protected columns in the result.
    pub(super) columns: Vec<Column>,
}

#[derive(Debug, Serialize)]
pub(super) struct Column {
    pub(super) column: String,
    /// `clear` or `masked`.
    pub(super) shown: &'static str,
    pub(super) reasons: Vec<Reason>,
    pub(super) why: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Reason {
    pub(super) name: String,
    pub(super) grade: &'static str,
}

#[derive(Debug, Serialize)]
pub(super) struct Lookup {
    pub(super) table: String,
    pub(super) column: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Budget {
    pub(super) count: &'static str,
    pub(super) max: u64,
    pub(super) window_seconds: u64,
}

impl Report {
    pub(super) fn new(actor: &str, role: &str) -> Self {
        Self {
            version: 1,
            actor: actor.to_owned(),
            role: role.to_owned(),
            allowed: true,
            no_entry: None,
            statements: Vec::new(),
        }
    }

    pub(super) fn no_entry(&mut self, why: &str) {
        self.allowed = false;
        self.no_entry = Some(why.to_owned());
    }

    /// The report for a person.
    pub(super) fn text(&self, rewritten: bool) -> String {
        let mut page = format!("as {}, role {}\n", self.actor, self.role);
        if let Some(why) = &self.no_entry {
            let _ = writeln!(page, "\ncan't log in: {why}");
        }
        for (index, statement) in self.statements.iter().enumerate() {
            let _ = write!(page, "\nstatement {}: ", index + 1);
            statement.print(&mut page, rewritten);
        }
        if self.statements.len() > 1 && !self.allowed {
            page.push_str("\nNone of them runs: one that is refused refuses the whole text.\n");
        }
        page
    }
}

impl Statement {
    pub(super) fn new(verdict: &'static str) -> Self {
        Self { verdict, ..Self::default() }
    }

    fn print(&self, page: &mut String, rewritten: bool) {
        let meaning = match self.verdict {
            "plain" => "allowed; nothing protected takes part",
            "guarded" => "allowed; rewritten so that protected columns are masked where it reads",
            "answered" => "answered by the gateway, never sent",
            "kept" => "about what was prepared or declared, which is judged by its own statement",
            "forwarded" => "forwarded as it is; this role's statements are not judged",
            _ => "refused",
        };
        let _ = writeln!(page, "{meaning}");
        if let Some(refusal) = &self.refusal {
            let _ = writeln!(page, "  rule    {} ({})", refusal.rule, refusal.sqlstate);
            let _ = writeln!(page, "  why     {}", refusal.message);
            if !refusal.hint.is_empty() {
                let _ = writeln!(page, "  instead {}", refusal.hint);
            }
        }
        if let Some(write) = &self.write {
            let _ = writeln!(page, "  to {} {}, for this account:", write.how, write.table);
            for rule in &write.rules {
                let _ = writeln!(page, "    {rule}");
            }
        }
        for table in &self.tables {
            table.print(page);
        }
        for lookup in &self.lookups {
            let _ = writeln!(
                page,
                "  looks up one value of {}.{}; recorded as a hit or a miss",
                lookup.table, lookup.column
            );
        }
        for budget in &self.budgets {
            let Budget { count, max, window_seconds } = budget;
            let _ = writeln!(page, "  counts in budget {count}: {max} in {window_seconds} s");
        }
        if let (Some(sql), true) = (&self.sql, rewritten) {
            let _ = writeln!(page, "  sends   {sql}");
        }
    }
}

impl Table {
    fn print(&self, page: &mut String) {
        let recorded = if self.recorded {
            "each row is recorded with its customer"
        } else {
            "no row of it is told apart, so none is recorded"
        };
        let _ = writeln!(page, "  {}: {recorded}", self.table);
        for column in &self.columns {
            let _ = write!(page, "    {} {}: {}", column.column, column.shown, column.why);
            let reasons: Vec<String> =
                column.reasons.iter().map(|r| format!("{} ({})", r.name, r.grade)).collect();
            if !reasons.is_empty() {
                let _ = write!(page, ": {}", reasons.join(", "));
            }
            page.push('\n');
        }
    }
}
