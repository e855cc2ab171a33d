//! How the ledger's second copy is doing, as `postern status` says it.

use std::fmt;

use postern_ledger::{Copied, Copying};
use serde::{Deserialize, Serialize};

/// The state of a second copy; times are RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CopyStatus {
    /// `in_step`, `catching_up` or `away`.
    pub(crate) state: String,
    /// Since when it is so.
    pub(crate) since: String,
    /// How many entries it is known to have; absent until the follower has said so.
    pub(crate) entries: Option<u64>,
    /// How many entries are only here.
    pub(crate) behind: u64,
    /// What ended the last connection.
    pub(crate) trouble: Option<String>,
}

pub(crate) const IN_STEP: &str = "in_step";

impl From<Copied> for CopyStatus {
    fn from(copied: Copied) -> Self {
        let state = match copied.copying {
            Copying::InStep => IN_STEP,
            Copying::CatchingUp => "catching_up",
            Copying::Away => "away",
        };
        Self {
            state: state.to_owned(),
            since: copied.since.to_string(),
            entries: copied.entries,
            behind: copied.behind,
            trouble: copied.trouble,
        }
    }
}

impl CopyStatus {
    /// Whether what is disclosed goes to it at once.
    pub(crate) fn is_in_step(&self) -> bool {
        self.state == IN_STEP
    }
}

impl fmt::Display for CopyStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { since, behind, .. } = self;
        write!(f, "{} since {since}", self.state.replace('_', " "))?;
        match self.entries {
            Some(entries) => write!(f, ", {entries} entries, {behind} behind")?,
            None => write!(f, ", {behind} behind")?,
        }
        self.trouble.iter().try_for_each(|trouble| write!(f, "\n            {trouble}"))
    }
}
