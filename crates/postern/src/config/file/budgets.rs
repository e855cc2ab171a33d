//! `[[budgets]]` and the budgets of roles, as they are written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Budgets of some accounts beside those of their roles, as `[[budgets]]`: all that apply to an
/// account hold, and of those that count the same over the same time the smallest.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccountBudgetsFile {
    /// The accounts that each have these budgets.
    #[serde(default)]
    pub(crate) people: Vec<String>,
    /// Whether each contractor has them: everybody whose `employer` in `people.toml`, or in the
    /// directory, is another than `own`. Sessions of who becomes a contractor, or is not any more,
    /// are cut if other budgets apply then.
    #[serde(default)]
    pub(crate) contractors: bool,
    /// How much each may read.
    pub(crate) budgets: Vec<BudgetFile>,
}

/// One budget.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BudgetFile {
    /// What is counted: distinct customers shown in clear (`clear_subjects`), those of them for a
    /// weak reason (`weak_subjects`), distinct customers shown masked (`masked_subjects`), look-ups
    /// (`lookups`), look-ups that found nobody (`lookup_misses`), and statements that one of these
    /// budgets stopped while they ran (`stops`): when they are spent nothing is run on protected
    /// tables. Without a budget of `stops`, a role with others has one of 50 in the shortest of
    /// their windows.
    pub(crate) count: Count,
    /// The time over which it is counted, ending now; 31 days at most.
    pub(crate) window: String,
    /// The most that is let through.
    pub(crate) max: u64,
}

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Count {
    ClearSubjects,
    WeakSubjects,
    MaskedSubjects,
    Lookups,
    LookupMisses,
    Stops,
}

impl Count {
    /// The name in the configuration.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::ClearSubjects => "clear_subjects",
            Self::WeakSubjects => "weak_subjects",
            Self::MaskedSubjects => "masked_subjects",
            Self::Lookups => "lookups",
            Self::LookupMisses => "lookup_misses",
            Self::Stops => "stops",
        }
    }
}
