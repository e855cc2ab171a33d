//! Detectors: disclosures and feeds in, findings out.
//!
//! [`Watch`] is given every event in the order in which it was seen, and answers each with the
//! findings that it raises. It knows no clock and no chance: the same events give the same
//! findings, live and in a replay, and nothing is used before it was seen.
//!
//! There are three ways of looking. Hard rules ([`hard`]) need no statistics. [`conduct`] puts each
//! customer that an account is shown to many [`signals`], and tests whether the share of yes rises
//! above what is usual for the account and its peers; a new kind of misuse is a new signal. And
//! [`blind`] tells where nothing can be seen: a source that has fallen silent is a finding too.
//! What all of them need to know of the world is kept once, in [`world::World`]. A finding says
//! what is *unexplained*; whether it is *suspicious* is for people to judge.
//!
//! What each signal sees and what fools it is said in [`signals`]. The rules:
//!
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

pub use self::{
    advice::{innocent, next},
    feedback::Feedback,
    naming::{Named, Namer},
    stream::Streams,
};

use std::{collections::BTreeSet, time::Duration};

use postern_model::{Event, Finding, Timestamp};

use self::{
    ahead::Ahead,
    blind::Blind,
    conduct::Conduct,
    detector::Detector,
    hard::{BudgetStop, DecoyRead, LeaverSession, RefusedAttempts},
    world::World,
};

mod account;
mod advice;
mod ahead;
mod amount;
mod at_will;
mod blind;
mod conduct;
mod detector;
mod feedback;
mod hard;
mod names;
mod naming;
mod peers;
mod quiet;
mod reasons;
mod rollout;
mod share;
mod signals;
mod stream;
mod tail;
#[cfg(test)]
mod tests;
mod usual;
mod verdict;
mod waiting;
mod world;

/// The kinds of finding that are no signals.
const RULES: [&str; 7] = [
    "decoy_read",
    "leaver_session",
    "refused_attempts",
    "budget_stop",
    "volume",
    "list_size",
    at_will::NAME,
];

/// Every kind of finding that can be an alert, in the order in which they are documented.
pub fn kinds() -> impl Iterator<Item = &'static str> {
    signals::ALL.into_iter().map(|signal| signal.name).chain(RULES)
}

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
    /// Days from the first access on in which what is usual is learned and nothing statistical is
    /// raised.
    pub learning_days: u16,
    /// Kinds of finding that are not looked for.
    pub off: BTreeSet<String>,
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
            learning_days: 7,
            off: BTreeSet::new(),
        }
    }
}

/// All detectors over one stream of events.
#[derive(Debug)]
pub struct Watch {
    namer: Namer,
    judge: Judge,
}

impl Watch {
    /// A watch that has seen nothing yet.
    pub fn new(config: &WatchConfig) -> Self {
        Self { namer: Namer::default(), judge: Judge::new(config) }
    }

    /// Tells the role of an account, as the list of those who may log in has it. Feedback is laid
    /// to accounts by it; nothing else hangs on it. Without it, it is the role that the feed tells.
    pub fn role(&mut self, actor: &str, role: &str) {
        let world = &mut self.judge.world;
        let actor = world.actor(self.namer.actor(actor), actor);
        let role = world.words.number(role);
        world.roles.insert(actor, role);
    }

    /// Takes what people have found out about a case; `None` if it was opened again.
    pub fn feedback(&mut self, case: u64, feedback: Option<&Feedback>) {
        self.judge.conduct.feedback(case, feedback, &mut self.judge.world.words);
    }

    /// Takes the next event in the order in which events were seen, and tells what it raises.
    pub fn observe(&mut self, seen: Timestamp, event: &Event) -> Vec<Finding> {
        let named = self.namer.name(event);
        self.judge.observe(seen, event, &named)
    }

    /// The two halves of it, so that one core can name events while another one judges those
    /// before. Together they do what [`Watch::observe`] does.
    pub fn halves(self) -> (Namer, Judge) {
        (self.namer, self.judge)
    }
}

/// The half of a [`Watch`] that judges.
#[derive(Debug)]
pub struct Judge {
    world: World,
    rules: Vec<Box<dyn Detector>>,
    conduct: Conduct,
    blind: Blind,
    off: BTreeSet<String>,
}

impl Judge {
    fn new(config: &WatchConfig) -> Self {
        let rules: Vec<Box<dyn Detector>> = vec![
            Box::new(DecoyRead::new(verdict::bar(config))),
            Box::new(LeaverSession::new(config)),
            Box::new(RefusedAttempts::new(config)),
            Box::new(BudgetStop::new(config)),
        ];
        Self {
            world: World::new(config.reason_outlives),
            rules,
            conduct: Conduct::new(config),
            blind: Blind::default(),
            off: config.off.clone(),
        }
    }

    /// Is told which events come next, in the order in which they were seen. They have to be given
    /// to [`Judge::observe`] all the same; that waits for memory less then.
    pub fn expect<'a>(&self, events: impl Iterator<Item = (Timestamp, &'a Event, &'a Named)>) {
        let mut ahead = Ahead::default();
        for (seen, event, named) in events {
            ahead.until = seen;
            self.world.expect_event(event, named, &mut ahead);
        }
        self.conduct.expect(&self.world, &mut ahead);
        self.world.expect(&ahead);
    }

    /// Takes the next event, with what the other half has made of it.
    pub fn observe(&mut self, seen: Timestamp, event: &Event, named: &Named) -> Vec<Finding> {
        let mut findings = Vec::new();
        if self.blind.observe(seen, (event, named), &mut findings) {
            return findings;
        }
        self.world.quiet.observe(seen, event);
        self.world.observe(event, named);
        for rule in &mut self.rules {
            rule.observe((event, named), &self.world, &mut findings);
        }
        if let Event::Access(access) = event {
            self.conduct.access(seen, (access, named), &mut self.world, &mut findings);
        }
        if let Event::Complaint(_) = event {
            self.conduct.complaint(seen, named, &mut self.world, &mut findings);
        }
        findings.retain(|finding| !self.off.contains(&*finding.kind));
        for finding in &mut findings {
            finding.time = finding.time.max(seen);
        }
        findings
    }
}
