use std::{fmt, sync::Arc};

use crate::{Actor, Subject, Timestamp};

/// How well a reason is grounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grade {
    /// The actor or a colleague could have made it without the customer.
    Weak,
    /// The customer caused it.
    Strong,
}

impl Grade {
    /// The grade's name in configuration, feeds and documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Weak => "weak",
            Self::Strong => "strong",
        }
    }
}

/// What entitles an actor to a subject now.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reason {
    /// The reason's name in the configuration, e.g. `assigned_ticket`.
    pub name: Arc<str>,
    /// How well it is grounded.
    pub grade: Grade,
}

/// Identifies a statement's shape: equal for statements that differ in literals only.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct StatementFingerprint(pub u64);

impl fmt::Display for StatementFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for StatementFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Stands, with the SQLSTATE behind it, where a look-up's column would, if a statement failed in a
/// way that can hang on protected data: that is recorded like a look-up that found nobody.
pub const FAILED: &str = "failed ";

/// The name of the reason of what was shown only because policy is not enforced for the actor's
/// role yet (`enforcement = "observe"` or `"warn"`): it would have been masked. It is no reason,
/// and whoever looks for one takes it for none.
pub const NOT_ENFORCED: &str = "not_enforced";

/// Who saw what, when and why: the fields of some subjects that one statement showed an actor, all
/// under the same reason. What the ledger's entries say, in the form that its readers use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disclosure {
    /// When it was recorded, which is before it left.
    pub time: Timestamp,
    /// To whom.
    pub actor: Actor,
    /// The relation, as `schema.table`.
    pub relation: Arc<str>,
    /// The columns shown in clear, by name.
    pub clear: Vec<Arc<str>>,
    /// The protected columns shown masked, by name.
    pub masked: Vec<Arc<str>>,
    /// Why the clear columns were clear; `None` where nothing was.
    pub reason: Option<Reason>,
    /// Whose data it was.
    pub subjects: Vec<Subject>,
    /// The statement's shape.
    pub fingerprint: StatementFingerprint,
}
