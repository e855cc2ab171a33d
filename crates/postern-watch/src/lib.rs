//! Detectors: disclosures and feeds in, findings out.
//!
//! [`Watch`] is given every event in the order in which it was seen, and answers each with the
//! findings that it raises. It knows no clock and no chance: the same events give the same
//! findings, live and in a replay, and nothing is used before it was seen.
//!
//! Each detector is a module of its own behind [`detector::Detector`]; what several of them need
//! to know of the world (who left, which customers are decoys, what gives a reason) is kept once,
//! in [`world::World`]. A finding says what is *unexplained*; whether it is *suspicious* is for
//! people to judge.
//!
//! What each detector sees, and what fools it:
//!
//! - `unexplained_share`: more accesses without a reason than this account and its peers have.
//!   Fooled by reasons forged in the customer's name, and by a start that was never honest.
//! - `decoy_read`: a planted customer opened. Fooled by a thief who knows the decoys.
//! - `leaver_session`: an account used after its owner left. Fooled by a feed that says so late.
//! - `refused_attempts`: several refusals in a short time. Fooled by patience.
//! - `budget_stop`: a budget spent. Fooled by staying under it.

#![deny(clippy::indexing_slicing, clippy::panic, clippy::cast_possible_truncation)]
#![cfg_attr(
    test,
    allow(
        clippy::indexing_slicing,
        clippy::panic,
        clippy::cast_possible_truncation,
        reason = "tests may panic"
    )
)]

use std::time::Duration;

use postern_model::{Event, Finding};

use self::{
    detector::Detector,
    hard::{BudgetStop, DecoyRead, LeaverSession, RefusedAttempts},
    unexplained::UnexplainedShare,
    world::World,
};

mod detector;
mod eprocess;
mod hard;
mod reasons;
mod unexplained;
mod world;

/// What can be set.
#[derive(Debug, Clone, PartialEq)]
pub struct WatchConfig {
    /// How many false alerts a team accepts, per 100 accounts and day, from the detectors that
    /// rest on statistics. It is read as at least a millionth and at most 100.
    pub alerts_per_100_agents_per_day: f64,
    /// How long a reason outlives its ticket or call, and a reassignment.
    pub reason_outlives: Duration,
    /// This many refused statements within [`WatchConfig::refused_within`] are a finding.
    pub refused_max: usize,
    pub refused_within: Duration,
    /// Findings of the same kind on the same account within this time are not alerts again.
    pub repeat_after: Duration,
}

impl Default for WatchConfig {
    fn default() -> Self {
        const DAY: u64 = 24 * 60 * 60;
        Self {
            alerts_per_100_agents_per_day: 0.1,
            reason_outlives: Duration::from_secs(DAY),
            refused_max: 5,
            refused_within: Duration::from_secs(600),
            repeat_after: Duration::from_secs(7 * DAY),
        }
    }
}

/// All detectors over one stream of events.
#[derive(Debug)]
pub struct Watch {
    world: World,
    detectors: Vec<Box<dyn Detector>>,
}

impl Watch {
    /// A watch that has seen nothing yet.
    pub fn new(config: WatchConfig) -> Self {
        let detectors: Vec<Box<dyn Detector>> = vec![
            Box::new(DecoyRead::default()),
            Box::new(LeaverSession::default()),
            Box::new(RefusedAttempts::new(&config)),
            Box::new(BudgetStop::new(&config)),
            Box::new(UnexplainedShare::new(&config)),
        ];
        Self { world: World::new(config.reason_outlives), detectors }
    }

    /// Takes the next event in the order in which events were seen, and tells what it raises.
    pub fn observe(&mut self, event: &Event) -> Vec<Finding> {
        self.world.observe(event);
        let mut findings = Vec::new();
        for detector in &mut self.detectors {
            detector.observe(event, &self.world, &mut findings);
        }
        findings
    }
}
