//! The unexplained share: of the distinct customers whose data an account is shown in clear in a
//! day, how many no strong reason explains, against what is usual for the account and its peers.
//!
//! A trial is one customer on one day: looking at the same customer ten times proves nothing more.
//! What is usual is in [`usual`]. Unexplained accesses come in clumps for innocent causes (a
//! backlog, a late connector), so the trial's predictive is beta-binomial: it rises with what the
//! account did today and just before, as far as the peers' days vary too, and with what the peers
//! show today. Days are learned from with a delay, and not at all while the evidence is high.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use postern_model::{Access, Actor, Event, Finding, Severity, Subject, Timestamp};

use crate::{
    WatchConfig,
    detector::Detector,
    eprocess::EProcess,
    reasons::Explanation,
    world::{Shown, World, shown},
};

#[cfg(test)]
mod tests;
mod usual;

use self::usual::{Count, MOST, Peers, Usual};

/// A statement's records share their cause, so that no more than this many count as trials.
const TRIALS_PER_STATEMENT: usize = 5;
/// Evidence that is kept for a finding.
const KEPT: usize = 1_000;
/// Trials over which an account's latest clump is looked for.
const RECENT: f64 = 10.0;
/// Days that pass before a day is learned from, so that a slow theft is noticed before it is usual.
const LAG: usize = 5;
/// Trials of its own until which an account learns without that delay.
const YOUNG: f64 = 100.0;
/// Peers' trials of today that are needed before today's share counts by half.
const TODAY: f64 = 20.0;
#[derive(Debug)]
struct Account {
    role: Arc<str>,
    day: i64,
    /// The customers of today.
    known: BTreeSet<Subject>,
    today: Count,
    usual: Count,
    /// Days that are not learned from yet, oldest first.
    pending: VecDeque<Count>,
    /// Trials on a usual day.
    pace: f64,
    /// The most evidence there was today.
    peak: f64,
    recent: Count,
    /// What is usual, for today.
    expected: Usual,
    process: EProcess,
    evidence: VecDeque<(String, Subject)>,
    raised: Option<Timestamp>,
}

impl Account {
    fn new(role: Arc<str>) -> Self {
        Self {
            role,
            day: i64::MIN,
            known: BTreeSet::new(),
            today: Count::default(),
            usual: Count::default(),
            pending: VecDeque::new(),
            pace: 32.0,
            peak: 0.0,
            recent: Count::default(),
            expected: Usual::default(),
            process: EProcess::default(),
            evidence: VecDeque::new(),
            raised: None,
        }
    }
}

/// The detector.
#[derive(Debug)]
pub(crate) struct UnexplainedShare {
    /// `A`: alarm when the evidence reaches it.
    bar: f64,
    /// From this evidence on a day is not learned from.
    frozen: f64,
    repeat_after: std::time::Duration,
    accounts: BTreeMap<Actor, Account>,
    peers: BTreeMap<Arc<str>, Peers>,
}

impl UnexplainedShare {
    pub(crate) fn new(config: &WatchConfig) -> Self {
        // One alarm in A account-days is 100 / A alarms per 100 accounts and day.
        let bar = 100.0 / config.alerts_per_100_agents_per_day.clamp(1e-6, 100.0);
        Self {
            bar,
            frozen: bar.cbrt(),
            repeat_after: config.repeat_after,
            accounts: BTreeMap::new(),
            peers: BTreeMap::new(),
        }
    }

    fn access(&mut self, access: &Access, world: &World) -> Option<Finding> {
        if shown(access) != Shown::Clear || !world.knows_reasons() {
            return None;
        }
        let role = world.role(&access.actor);
        let account = self
            .accounts
            .entry(access.actor.clone())
            .or_insert_with(|| Account::new(Arc::clone(&role)));
        if access.ts.day() > account.day {
            let bars = (self.frozen, self.repeat_after);
            new_day(account, &mut self.peers, role, access.ts, bars);
        }
        let (mut ones, mut trials) = (0, 0);
        for subject in &access.subjects {
            if !account.known.insert(subject.clone()) {
                continue;
            }
            trials += 1;
            if world.explain(access, subject) < Explanation::Strong {
                ones += 1;
                account.evidence.push_back((access.id.clone(), subject.clone()));
            }
        }
        while account.evidence.len() > KEPT {
            account.evidence.pop_front();
        }
        let counted = trials.min(TRIALS_PER_STATEMENT);
        let counted_ones = if trials == 0 { 0 } else { (ones * counted).div_ceil(trials) };
        let peers = self.peers.entry(Arc::clone(&account.role)).or_default();
        for trial in 0..counted {
            step(account, peers, access.ts.day(), trial < counted_ones);
        }
        if account.process.at_rest() {
            account.evidence.clear();
        }
        (account.process.evidence() >= self.bar).then(|| raise(account, access, self.repeat_after))
    }
}

impl Detector for UnexplainedShare {
    fn observe(&mut self, event: &Event, world: &World, findings: &mut Vec<Finding>) {
        if let Event::Access(access) = event {
            findings.extend(self.access(access, world));
        }
    }
}

/// Ends the account's day: learns from it unless it is under suspicion, and states what is usual.
fn new_day(
    account: &mut Account,
    peers: &mut BTreeMap<Arc<str>, Peers>,
    role: Arc<str>,
    now: Timestamp,
    (frozen, lasts): (f64, std::time::Duration),
) {
    let raised = account.raised.is_some_and(|raised| now <= raised.after(lasts));
    let old = peers.entry(Arc::clone(&account.role)).or_default();
    old.leave(account.usual);
    if !raised {
        old.learn_day(account.today, account.expected.mean);
    }
    learn(account, raised || account.peak >= frozen);
    account.role = role;
    let own = peers.entry(Arc::clone(&account.role)).or_default();
    account.expected = own.usual_of(account.usual);
    own.join(account.usual);
    account.day = now.day();
    account.known.clear();
    account.today = Count::default();
    account.peak = account.process.evidence();
}

fn learn(account: &mut Account, suspected: bool) {
    if suspected {
        account.pending.clear();
        return;
    }
    if account.today.trials > 0.0 {
        account.pending.push_back(account.today);
        account.pace += 0.1 * (account.today.trials - account.pace);
    }
    while account.pending.len() > LAG || account.usual.trials < YOUNG {
        let Some(day) = account.pending.pop_front() else { break };
        account.usual.add(day);
        account.usual = account.usual.capped();
    }
}

fn step(account: &mut Account, peers: &mut Peers, day: i64, unexplained: bool) {
    let others = peers.today(day).without(account.today);
    let today = others.ones / (others.trials + TODAY);
    let expected = &account.expected;
    let usual = expected
        .share
        .max(today)
        .max(expected.after(account.today))
        .max(expected.after(account.recent))
        .min(MOST);
    account.process.step(unexplained, usual, weight(account.today.trials, account.pace));
    account.peak = account.peak.max(account.process.evidence());
    let trial = Count { ones: f64::from(u8::from(unexplained)), trials: 1.0 };
    account.recent = account.recent.faded(1.0 - 1.0 / RECENT);
    account.recent.add(trial);
    account.today.add(trial);
    peers.today(day).add(trial);
}

/// The weight of a day's trial as a beginning. Half a day's weight lies evenly on as many trials as
/// a usual day has, the other half on whatever comes after; the sum is at most one.
fn weight(earlier_today: f64, pace: f64) -> f64 {
    let pace = pace.max(1.0).ceil();
    let trial = earlier_today + 1.0;
    if trial <= pace { 0.5 / pace } else { 0.5 * pace / (trial * (trial - 1.0)) }
}

fn raise(account: &mut Account, access: &Access, repeat_after: std::time::Duration) -> Finding {
    let subjects: BTreeSet<&Subject> =
        account.evidence.iter().map(|(_, subject)| subject).collect();
    let mut evidence: Vec<String> = account.evidence.iter().map(|(id, _)| id.clone()).collect();
    evidence.dedup();
    let again = account.raised.is_some_and(|raised| access.ts <= raised.after(repeat_after));
    let finding = Finding {
        time: access.ts,
        actors: vec![access.actor.clone()],
        kind: "unexplained_share",
        severity: Severity::High,
        alert: !again,
        score: account.process.evidence(),
        subjects_at_risk: subjects.len(),
        why: format!(
            "`{}` was shown {} customers in clear without any reason that a customer caused, where \
             at most {:.0} in 100 are usual for this account and its peers",
            access.actor,
            subjects.len(),
            (account.expected.share * 100.0).ceil(),
        ),
        evidence,
    };
    if !again {
        account.raised = Some(access.ts);
    }
    account.process.reset();
    finding
}
