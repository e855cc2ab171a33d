//! What was counted since the start of those for whom policy is not enforced. The ledger has it
//! entry by entry; this is for whoever asks how it goes.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use postern_session::{Enforcement, Hold};

/// A role for which policy is not enforced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotEnforced {
    pub role: Arc<str>,
    pub enforcement: Enforcement,
    pub counts: ObservedCounts,
}

/// What enforcement would have done since the start, and what is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ObservedCounts {
    /// Values that would have been masked.
    pub masked: u64,
    /// Statements that would have been refused.
    pub refused: u64,
    /// Statements of which it is not known whose data left by them.
    pub unknown: u64,
}

/// By role. A mutex held for one count or one look.
#[derive(Debug, Default)]
pub(crate) struct Observations(Mutex<BTreeMap<Arc<str>, ObservedCounts>>);

impl Observations {
    /// What is recorded of an actor of that role.
    pub(crate) fn count(&self, role: &Arc<str>, hold: &Hold) {
        let Some(observed) = &hold.observed else { return };
        // Each count is whole.
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = all.entry(role.clone()).or_default();
        counts.masked += observed.masked;
        counts.refused += u64::from(observed.rule.is_some());
        counts.unknown += u64::from(observed.unknown);
    }

    pub(crate) fn of(&self, role: &str) -> ObservedCounts {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(role).copied().unwrap_or_default()
    }
}
