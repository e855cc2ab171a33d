//! What a session knows of its actor before the first statement.

use std::sync::Arc;

use postern_model::{Actor, FieldClass, Grade, Reason};
use postern_sql::{InsertRule, TakeRule};

use crate::{EndUser, ReasonSet};

mod rules;

pub use self::rules::{observing_rules, plan_rules};

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

/// Whether what policy says of a restricted actor is done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Enforcement {
    /// It is not: everything leaves, and is recorded with what would have been done.
    Observe,
    /// The same, and the client is told what would have been done.
    Warn,
    /// It is.
    #[default]
    Enforce,
}

impl Enforcement {
    /// Whether it is done.
    pub fn is_enforced(self) -> bool {
        self == Self::Enforce
    }

    /// The word in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Warn => "warn",
            Self::Enforce => "enforce",
        }
    }
}

/// How much is held for recording at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoldLimits {
    /// Rows of one chunk.
    pub rows_max: usize,
    /// Bytes of one chunk; a single row may be as large as a message may be.
    pub bytes_max: usize,
    /// Of a statement that comes to at most so many rows the ledger is told digests of what is
    /// shown in clear; 0: of none.
    pub value_rows_max: u64,
    /// Prepared statements and portals of one session.
    pub names_max: usize,
    /// Bytes of their texts, of what these were rewritten to, and of what look-ups search for.
    pub names_bytes_max: usize,
}

impl Default for HoldLimits {
    fn default() -> Self {
        Self {
            rows_max: 512,
            bytes_max: 256 * 1024,
            value_rows_max: 0,
            names_max: 10_000,
            names_bytes_max: 32 * 1024 * 1024,
        }
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
    /// Whether that is done. Where it is not, the judge is one that knows what would be.
    pub enforcement: Enforcement,
    /// The reasons behind each key set of the rules, by the key set's number.
    pub key_sets: Arc<[ReasonSet]>,
    /// Whether something is protected, so that nothing leaves before it is proven that it was
    /// judged by the catalogue under which it ran.
    pub proves: bool,
    /// Whether the server is asked for the moment behind each statement ([`crate::MOMENT_SQL`]).
    pub moments: bool,
    /// How much may be held.
    pub limits: HoldLimits,
    /// Whom its statements are for.
    pub end_user: EndUser,
}

impl Profile {
    /// Whether what can't be accounted is sent as the client wrote it.
    pub(crate) fn lets_through(&self) -> bool {
        !self.enforcement.is_enforced() && self.end_user == EndUser::Own
    }

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
    /// Whether policy may be asked to let an actor insert rows (open a ticket), and of what.
    pub insert: InsertRule,
    /// Columns that policy may be asked to let an actor change in their customers' rows.
    pub update: Vec<String>,
    /// Columns that reasons' conditions read and that policy may be asked to let an actor change
    /// in rows that are their own.
    pub update_own: Vec<String>,
    /// Whether policy may be asked to let an actor delete their customers' rows.
    pub delete: bool,
}

/// What entitles an actor to a subject: a row of a table of the guarded database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReasonSettings {
    /// The name that goes into entries.
    pub name: Arc<str>,
    /// The schema's name.
    pub schema: String,
    /// The table's name.
    pub table: String,
    /// The column that holds the subject.
    pub subject: String,
    /// The column that holds the actor.
    pub actor: String,
    /// The column that holds the name by which the actor states it.
    pub ticket: Option<String>,
    /// A condition in SQL that the row must meet, by the administrator.
    pub condition: String,
    /// How it is graded.
    pub grade: ReasonGrade,
    /// How an actor takes a row that nobody has.
    pub take: Option<TakeRule>,
}

/// How a reason is graded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReasonGrade {
    /// The same for every row.
    Always(Grade),
    /// Strong where this condition in SQL holds, otherwise weak.
    StrongWhen(String),
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
