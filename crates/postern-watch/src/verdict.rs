//! From evidence to findings: which are alerts, and how many there may be.
//!
//! The evidence of all streams is averaged, with weights. `A = 100 / budget` is the bar: the
//! average is an e-process, and one alarm in `A` account-days is what the budget allows. Where
//! alerts come faster than that all the same, the bar rises until they don't: whatever the way of
//! working of a company does to the statistics, it can't flood those who have to look.

use std::{collections::BTreeSet, time::Duration};

use postern_model::{Actor, Finding, Severity, Timestamp};

use crate::{WatchConfig, account::Account, peers::Group, share::Track, signals::ALL, tail::Tail};

/// The streams beside the signals.
pub(crate) const VOLUME: usize = ALL.len();
pub(crate) const SIZE: usize = ALL.len() + 1;
pub(crate) const STREAMS: usize = ALL.len() + 2;
const VOLUME_WEIGHT: f64 = 0.002;
const SIZE_WEIGHT: f64 = 6.0;
/// Somebody who is leaving has this many times the part of the budget.
const NOTICE: f64 = 4.0;
/// The part of the budget that is aimed at where the bar is measured.
const AIM: f64 = 0.7;
/// Alerts this far above the bar would have come with a higher one, too, so that they count for
/// less where the bar is raised: where several steal, the others must not be safe.
const CLEAR: f64 = 30.0;
const CLEAR_COUNTS: f64 = 0.3;
/// The measured bar is at least this part of the promised one.
const LEAST_BAR: f64 = 1.0 / 100.0;
/// As many others of whom the same was found within this time are a crowd.
const CROWD: usize = 3;
const CROWD_WITHIN: Duration = Duration::from_secs(4 * 24 * 60 * 60);
/// Findings below this part of the bar are not told.
const TOLD: f64 = 1.0 / 500.0;
/// Findings on the same account are told again when the evidence has grown by this factor.
const AGAIN: f64 = 3.0;

/// Alerts that were allowed and that were raised.
#[derive(Debug)]
pub(crate) struct Budget {
    rate: f64,
    allowed: f64,
    used: f64,
}

impl Budget {
    /// Another day of an account.
    pub(crate) fn account_day(&mut self) {
        self.allowed += AIM * self.rate;
    }

    /// By how much the bar is raised.
    fn raised(&self) -> f64 {
        (self.used / self.allowed).max(1.0).powi(2)
    }
}

/// `A`: one alarm in `A` account-days is `100 / A` alarms per 100 accounts and day.
pub(crate) fn bar(config: &WatchConfig) -> f64 {
    100.0 / config.alerts_per_100_agents_per_day.clamp(1e-6, 100.0)
}

#[derive(Debug)]
pub(crate) struct Verdict {
    /// `A`: alarm when the evidence reaches it.
    bar: f64,
    /// From this evidence on a day is not learned from.
    pub(crate) frozen: f64,
    repeat_after: Duration,
    pub(crate) budget: Budget,
    volume: bool,
    size: bool,
    /// What the accounts' days come to.
    totals: Tail,
    /// What was found of whom in the last days.
    lately: Vec<(Timestamp, Actor, &'static str)>,
}

impl Verdict {
    pub(crate) fn new(config: &WatchConfig) -> Self {
        let bar = bar(config);
        Self {
            bar,
            frozen: bar.sqrt(),
            repeat_after: config.repeat_after,
            budget: Budget { rate: 1.0 / bar, allowed: 1.0, used: 0.0 },
            volume: !config.off.contains("volume"),
            size: !config.off.contains("list_size"),
            totals: Tail::default(),
            lately: Vec::new(),
        }
    }

    /// Whether the account was alerted on so lately that it is not learned from.
    pub(crate) fn suspected(&self, account: &Account, day: i64) -> bool {
        let after = self.repeat_after;
        account.alerted.is_some_and(|alerted| day <= alerted.after(after).day())
    }

    /// Whether the account's evidence is no measure of those who merely work.
    pub(crate) fn lately(&self, account: &Account, day: i64) -> bool {
        account.alerted.is_some_and(|alerted| day <= alerted.day() + 30)
    }

    /// What the account's evidence comes to, and what is to be told of it.
    pub(crate) fn judge(
        &mut self,
        (name, notice): (&Actor, bool),
        seen: Timestamp,
        account: &mut Account,
        (group, tails): (&Group, &[Tail]),
    ) -> Option<Finding> {
        let factor = if notice { NOTICE } else { 1.0 };
        let raw = self.streams(account).map(|(_, weight, evidence)| weight * evidence);
        if raw.sum::<f64>() * factor < self.bar * TOLD {
            return None;
        }
        let (mut total, mut top) = (0.0, (0, 0.0));
        for (place, weight, evidence) in self.streams(account) {
            let measured = measured(place, evidence, (group, tails)) * weight * factor;
            total += measured;
            if measured > top.1 {
                top = (place, measured);
            }
        }
        if total < self.bar * TOLD || total < account.told * AGAIN {
            return None;
        }
        account.told = total;
        let bar = self.measured_bar() * self.budget.raised();
        let reached = total >= bar;
        let pause = self.repeat_after * 4_u32.pow(account.alerts.saturating_sub(1).min(2));
        let again = account.alerted.is_some_and(|alerted| seen <= alerted.after(pause));
        let mut finding = finding(name, seen, account, (top.0, total));
        let crowd = reached && !again && self.crowd(name, finding.kind, seen);
        finding.alert = reached && !again && !crowd;
        if finding.alert {
            self.budget.used += if total < CLEAR * bar { 1.0 } else { CLEAR_COUNTS };
            account.alerted = Some(seen);
            account.alerts += 1;
        }
        if reached {
            finding.severity = Severity::High;
            account.tracks.iter_mut().for_each(Track::reset);
            account.volume.reset();
            account.marks.clear();
            (account.told, account.size_evidence) = (0.0, 0.0);
        }
        Some(finding)
    }

    /// Whether the same was found of several others in these days: what a whole team does is one
    /// question, which has been asked.
    fn crowd(&mut self, name: &Actor, kind: &'static str, seen: Timestamp) -> bool {
        self.lately.retain(|(at, ..)| seen <= at.after(CROWD_WITHIN));
        let others = self.lately.iter().filter(|(_, other, of)| other != name && *of == kind);
        let crowd = others.count() >= CROWD;
        self.lately.push((seen, name.clone(), kind));
        crowd
    }

    /// The evidence that is an alert: what the measured tail of all account-days allows, at most
    /// what theory promises.
    fn measured_bar(&self) -> f64 {
        let level = self.totals.level(AIM / self.bar).unwrap_or(self.bar);
        level.clamp(LEAST_BAR * self.bar, self.bar)
    }

    /// Learns how far an account's evidence went on a day.
    pub(crate) fn learn(
        &mut self,
        account: &mut Account,
        (group, tails): (&mut Group, &mut [Tail]),
    ) {
        let streams: Vec<(usize, f64, f64)> = self.streams(account).collect();
        let (mut peaks, mut now) = (0.0, 0.0);
        for (place, weight, evidence) in streams {
            let peak = account.tracks.get(place).map_or(evidence, Track::peak);
            peaks += weight * measured(place, peak, (group, tails));
            now += weight * measured(place, evidence, (group, tails));
            let Some(rise) = account.rises.get_mut(place) else { continue };
            let risen = rise.day(peak, if place == SIZE { 0.0 } else { evidence });
            if let (Some(own), Some(all)) = (group.tails.get_mut(place), tails.get_mut(place)) {
                own.learn(risen);
                all.learn(risen);
            }
        }
        if let Some(rise) = account.rises.get_mut(STREAMS) {
            self.totals.learn(rise.day(peaks, now));
        }
    }

    /// The streams that are on: place, weight, evidence. The weights add up to one.
    fn streams<'a>(
        &'a self,
        account: &'a Account,
    ) -> impl Iterator<Item = (usize, f64, f64)> + use<'a> {
        let all: f64 = ALL.iter().map(|signal| signal.weight).sum();
        let all = all + VOLUME_WEIGHT + SIZE_WEIGHT;
        let signals = account.tracks.iter().zip(ALL).enumerate();
        let signals = signals
            .map(move |(place, (track, signal))| (place, signal.weight / all, track.evidence()));
        let volume = (VOLUME, VOLUME_WEIGHT / all, account.volume.evidence());
        let size = (SIZE, SIZE_WEIGHT / all, account.size_evidence);
        let volume = std::iter::once(volume).filter(|_| self.volume);
        signals.chain(volume).chain(std::iter::once(size).filter(|_| self.size))
    }
}

/// What the evidence counts for among the peers, or among all while too little is known of these.
fn measured(place: usize, evidence: f64, (group, tails): (&Group, &[Tail])) -> f64 {
    let (own, all) = (group.tails.get(place), tails.get(place));
    let of = |tail: &Tail| tail.measured(evidence);
    match (own, all) {
        (Some(own), _) if own.is_known() => of(own),
        // Few peers tell little, but where they go beyond all others, they are believed.
        (Some(own), Some(all)) => of(own).min(of(all)),
        (own, all) => own.or(all).map_or(evidence, of),
    }
}

fn finding(
    name: &Actor,
    seen: Timestamp,
    account: &Account,
    (place, score): (usize, f64),
) -> Finding {
    let marks = account.marks.iter().filter(|mark| mark.signals & (1 << place) != 0);
    let mut evidence: Vec<String> = marks.clone().map(|mark| mark.id.clone()).collect();
    evidence.dedup();
    let subjects: BTreeSet<u32> = marks.map(|mark| mark.subject).collect();
    let many = subjects.len();
    let (kind, many, why) = match (ALL.get(place), account.tracks.get(place)) {
        (Some(signal), Some(track)) => {
            let usual = (track.usual() * 100.0).ceil();
            let (what, innocent) = (signal.why, signal.innocent);
            let why = format!(
                "`{name}` was shown {many} customers {what}, where at most {usual:.0} in 100 are \
                 usual for this account and its peers; innocent if there is {innocent}"
            );
            (signal.name, many, why)
        }
        _ if place == VOLUME => {
            let usual = account.volume.usual().unwrap_or(0.0);
            let why = format!(
                "`{name}` sees more customers a day whom no strong reason explains than the \
                 {usual:.1} that are usual for it; innocent if \
                 there is work that no connected system knows"
            );
            ("volume", account.known.len(), why)
        }
        _ => {
            let listed = account.listed;
            let why = format!(
                "`{name}` was shown lists of {listed} customers in a day, more than is usual for \
                 it or its peers; innocent if there is a task that needs them"
            );
            ("list_size", listed, why)
        }
    };
    Finding {
        time: seen,
        actors: vec![name.clone()],
        kind,
        severity: Severity::Low,
        alert: false,
        score,
        subjects_at_risk: many,
        evidence,
        why,
    }
}
