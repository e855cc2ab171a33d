use std::{borrow::Cow, fmt};

use crate::{Actor, Timestamp};

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    Info,
    Low,
    Medium,
    High,
    Critical,
}

impl Severity {
    /// The severity's name in feeds and interfaces.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a detector raises.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// When it was raised, on the clock of the events.
    pub time: Timestamp,
    /// The accounts concerned; usually one.
    pub actors: Vec<Actor>,
    /// The detector's name, e.g. `unexplained_share`, or `rule:` and the name of a rule of the
    /// user's own.
    pub kind: Cow<'static, str>,
    /// How much it matters.
    pub severity: Severity,
    /// Whether it is meant to interrupt a person.
    pub alert: bool,
    /// The detector's score: an e-value for a statistical detector, 1 for a hard rule.
    pub score: f64,
    /// Distinct customers disclosed by what the finding rests on.
    pub subjects_at_risk: usize,
    /// The ids of the access events that it rests on.
    pub evidence: Vec<String>,
    /// One sentence that a support lead understands.
    pub why: String,
}
