//! What a session knows of its actor before the first statement.

use std::sync::Arc;

use postern_model::{Actor, FieldClass, Grade, Reason};
use postern_policy::{Action, Policy, Request};
use postern_sql::{ColumnRule, InsertRule, KeySet, Mode, Rules, Show, TableRule};

use crate::ReasonSet;

/// How an actor's statements are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Masked except where a reason holds.
    Restricted,
    /// Clear, every record recorded and charged.
    Accounted,
    /// Bytes go through unchanged; only for roles that can't read a protected table.
    PassThrough,
}

/// How much is held for recording at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoldLimits {
    /// Rows of one chunk.
    pub rows_max: usize,
    /// Bytes of one chunk; a single row may be as large as a message may be.
    pub bytes_max: usize,
    /// Prepared statements and portals of one session.
    pub names_max: usize,
}

impl Default for HoldLimits {
    fn default() -> Self {
        Self { rows_max: 512, bytes_max: 256 * 1024, names_max: 10_000 }
    }
}

/// What a session knows of its actor.
#[derive(Debug, Clone)]
pub struct Profile {
    /// The account.
    pub actor: Actor,
    /// Its role's name.
    pub role: Arc<str>,
    /// How its statements are treated.
    pub kind: Kind,
    /// The reasons behind each key set of the rules, by the key set's number.
    pub key_sets: Arc<[ReasonSet]>,
    /// Whether something is protected, so that nothing leaves before it is proven that it was
    /// judged by the catalogue under which it ran.
    pub proves: bool,
    /// How much may be held.
    pub limits: HoldLimits,
}

impl Profile {
    /// Why everything is clear to an accounted role; `None` for the other kinds.
    pub(crate) fn accounted_reason(&self) -> Option<Reason> {
        let name = format!("role:{}", self.role);
        (self.kind == Kind::Accounted).then(|| Reason { name: name.into(), grade: Grade::Strong })
    }
}

/// A protected table, as the configuration declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSettings {
    /// The schema's name.
    pub schema: String,
    /// The table's name.
    pub table: String,
    /// The column that says whose record it is.
    pub subject: String,
    /// Columns that are not protected.
    pub clear: Vec<String>,
    /// Protected columns; those in neither list are masked for everybody.
    pub columns: Vec<ColumnSettings>,
    /// Whether policy may be asked to let an actor insert rows (open a ticket).
    pub insert: bool,
}

/// A protected column, as the configuration declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnSettings {
    /// The column's name.
    pub name: String,
    /// What it holds.
    pub class: FieldClass,
    /// Whether equality with one constant may use the clear value.
    pub lookup: bool,
    /// The mask's text instead of the class's own.
    pub mask: Option<String>,
}

/// Asks policy about every protected column and reason, and writes the answers down as the rules
/// by which this actor's statements are judged. The sets name, by key set, the reasons under which
/// its columns are clear.
pub fn plan_rules(
    tables: &[TableSettings],
    reasons: &[Arc<str>],
    policy: &Policy,
    (actor, role, kind): (&Actor, &str, Kind),
) -> (Rules, Vec<ReasonSet>) {
    let mut sets: Vec<ReasonSet> = Vec::new();
    let ask = Ask { policy, actor, role, reasons };
    let tables = tables
        .iter()
        .map(|table| TableRule {
            schema: table.schema.clone(),
            table: table.table.clone(),
            subject: table.subject.clone(),
            clear: table.clear.clone(),
            columns: table.columns.iter().map(|c| ask.column(table, c, kind, &mut sets)).collect(),
            insert: ask.insert(table),
        })
        .collect();
    let mode = match kind {
        Kind::Accounted => Mode::Accounted,
        Kind::Restricted | Kind::PassThrough => Mode::Restricted,
    };
    let (functions, relations) = (Vec::new(), Vec::new());
    (Rules { mode, tables, functions, relations, unprotected: None }, sets)
}

struct Ask<'a> {
    policy: &'a Policy,
    actor: &'a Actor,
    role: &'a str,
    reasons: &'a [Arc<str>],
}

impl Ask<'_> {
    fn column(
        &self,
        table: &TableSettings,
        column: &ColumnSettings,
        kind: Kind,
        sets: &mut Vec<ReasonSet>,
    ) -> ColumnRule {
        let name = format!("{}.{}", table.schema, table.table);
        let permitted = |action, reason: Option<&Reason>| {
            let request = Request {
                actor: self.actor,
                role: self.role,
                action,
                table: &name,
                column: Some(&column.name),
                class: Some(column.class),
                reason,
            };
            self.policy.decide(&request).permitted
        };
        let show = if kind == Kind::Accounted || permitted(Action::SeeClear, None) {
            Show::Clear
        } else {
            let set: Vec<Reason> = self
                .possible()
                .filter(|reason| permitted(Action::SeeClear, Some(reason)))
                .collect();
            if set.is_empty() { Show::Masked } else { intern(ReasonSet(set), sets) }
        };
        ColumnRule {
            name: column.name.clone(),
            class: column.class,
            show,
            lookup: column.lookup && permitted(Action::LookUp, None),
            mask: column.mask.clone(),
        }
    }

    fn insert(&self, table: &TableSettings) -> InsertRule {
        let name = format!("{}.{}", table.schema, table.table);
        let request = Request {
            actor: self.actor,
            role: self.role,
            action: Action::OpenTicket,
            table: &name,
            column: None,
            class: None,
            reason: None,
        };
        if table.insert && self.policy.decide(&request).permitted {
            InsertRule::Allow
        } else {
            InsertRule::Refuse
        }
    }

    /// Every declared reason in both grades.
    fn possible(&self) -> impl Iterator<Item = Reason> {
        self.reasons.iter().flat_map(|name| {
            [Grade::Strong, Grade::Weak].map(|grade| Reason { name: name.clone(), grade })
        })
    }
}

/// The number of an equal set, or a new one; past 256 different sets a column stays masked.
fn intern(set: ReasonSet, sets: &mut Vec<ReasonSet>) -> Show {
    let index = sets.iter().position(|known| *known == set).unwrap_or_else(|| {
        sets.push(set);
        sets.len() - 1
    });
    u8::try_from(index).map_or(Show::Masked, |number| Show::Keyed(KeySet(number)))
}
