//! From evidence to findings: which are alerts, and how many there may be.
//!
//! The evidence of all streams is averaged, with weights. How rare it is among those who merely
//! work that it goes so far, in account-days, is measured; that is the score. The bar follows from
//! `A = 100 / budget`, the account-days that one alert is allowed for. Where alerts come faster
//! than the budget all the same, the bar rises until they don't: whatever the way of working of a
//! company does to the statistics, it can't flood those who have to look. Where fewer come, it
//! sinks. Of alerts after which the account goes on as before only a part counts for both, because
//! where several steal, the others must not be safe.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use postern_model::{Actor, Finding, Severity, Timestamp};

use crate::{
    WatchConfig,
    account::Account,
    at_will::{self, AtWill},
    feedback::Priors,
    names::NONE,
    peers::{Group, Teams},
    share::Track,
    signals::ALL,
    tail::{Rise, Tail, Totals},
};

/// The streams beside the signals.
pub(crate) const VOLUME: usize = ALL.len();
pub(crate) const SIZE: usize = ALL.len() + 1;
pub(crate) const AT_WILL: usize = ALL.len() + 2;
pub(crate) const STREAMS: usize = ALL.len() + 4;
const AT_WILL_WEIGHTS: [f64; 2] = [10.0, 16.0];
const VOLUME_WEIGHT: f64 = 0.01;
const SIZE_WEIGHT: f64 = 6.0;
/// Somebody who is leaving has this many times the part of the budget.
const NOTICE: f64 = 4.0;
/// The part of the budget that is aimed at by what evidence is worth, counted on days on which
/// accounts are used. The rest, and the days on which they are not, are for planted customers who
/// are opened by mistake, and for troubles that have not been measured yet.
const AIM: f64 = 0.9;
/// The part of the budget above which alerts raise the bar while few are allowed, and how many few
/// are. The more are allowed, the less of it has to be kept for chance.
const MOST: f64 = 0.6;
const FEW: f64 = 10.0;
/// Alerts this far above the bar would have come with a higher one, too, so that they count for
/// less where the bar is raised: where several steal, the others must not be safe.
const CLEAR: f64 = 30.0;
const CLEAR_COUNTS: f64 = 0.3;
/// What goes on after an alert is no chance: when the evidence, which begins anew, is worth so many
/// account-days again within this time, the alert counts for less.
const CONFIRMED: f64 = 100.0;
const CONFIRMED_WITHIN: Duration = Duration::from_secs(14 * 24 * 60 * 60);
const CONFIRMED_COUNTS: f64 = 0.15;
/// Alerts that may have come by chance before the bar is raised, and those that may be missing by
/// chance before it is lowered; and by how much it is lowered at most.
const CHANCE: f64 = 2.0;
const MISSING: f64 = 8.0;
const LOWERED: f64 = 0.25;
/// Evidence of all streams below which an account's rise is over, and that of one stream.
const RESTING: f64 = 0.8;
const STREAM_RESTING: f64 = 3.0;
/// As many others of whom the same was found within these days are a crowd, beyond the third of all
/// that the budget allows in that time.
const CROWD: f64 = 3.0;
const CROWD_PART: f64 = 0.33;
const CROWD_DAYS: i64 = 4;
/// And so many of the same team, whatever was found of them.
const COLLEAGUES: usize = 2;
/// For how much each account of a crowd counts in what evidence is worth.
const CROWD_COUNTS: f64 = 0.25;
/// Findings that are rarer than this part of the bar are told, or than so many account-days.
const TOLD: f64 = 1.0 / 50.0;
const TOLD_LEAST: f64 = 10.0;
/// Findings on the same account are told again when they are rarer by this factor.
const AGAIN: f64 = 1.5;

/// Alerts that were allowed and that were raised.
#[derive(Debug)]
pub(crate) struct Budget {
    rate: f64,
    allowed: f64,
    used: f64,
    /// The accounts of the last days.
    lately: VecDeque<(i64, f64)>,
}

impl Budget {
    fn new(bar: f64) -> Self {
        Self { rate: 1.0 / bar, allowed: 0.0, used: 0.0, lately: VecDeque::new() }
    }

    /// Another day of an account.
    pub(crate) fn account_day(&mut self, day: i64) {
        self.allowed += self.rate;
        match self.lately.iter_mut().find(|(other, _)| *other == day) {
            Some((_, accounts)) => *accounts += 1.0,
            None => self.lately.push_back((day, 1.0)),
        }
        while self.lately.front().is_some_and(|(other, _)| *other <= day - CROWD_DAYS) {
            self.lately.pop_front();
        }
    }

    /// By how much the bar is raised, because more alerts came than are allowed, or lowered,
    /// because fewer did.
    fn raised(&self) -> f64 {
        let most = 1.0 - (1.0 - MOST) * (FEW / self.allowed.max(FEW)).sqrt();
        let over = (self.used + CHANCE) / (most * self.allowed + CHANCE);
        let under = (self.used + MISSING) / (self.allowed + MISSING);
        over.max(1.0).powi(2) * under.min(1.0).powf(1.5).max(LOWERED)
    }

    /// How many of whom the same was found are a crowd.
    fn crowd(&self) -> f64 {
        let accounts: f64 = self.lately.iter().map(|(_, accounts)| accounts).sum();
        CROWD + CROWD_PART * self.rate * accounts
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
    pub(crate) priors: Priors,
    volume: bool,
    size: bool,
    at_will: bool,
    /// What the accounts' days come to.
    totals: Totals,
    /// What was found of whom in the last days.
    lately: Vec<(Timestamp, Actor, String, u32)>,
}

impl Verdict {
    pub(crate) fn new(config: &WatchConfig) -> Self {
        let bar = bar(config);
        Self {
            bar,
            frozen: bar.sqrt(),
            repeat_after: config.repeat_after,
            budget: Budget::new(bar),
            priors: Priors::default(),
            volume: !config.off.contains("volume"),
            size: !config.off.contains("list_size"),
            at_will: !config.off.contains(at_will::NAME),
            totals: Totals::default(),
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
        teams: &Teams,
    ) -> Option<Finding> {
        let factor = if notice { NOTICE } else { 1.0 };
        let told = (self.bar * TOLD).max(TOLD_LEAST);
        let level = self.totals.level(told);
        let raw = self.streams(account).map(|(_, weight, evidence)| weight * evidence);
        if raw.sum::<f64>() * factor < level {
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
        let rarity = self.totals.rarity(total);
        self.confirm(account, seen, rarity);
        if rarity < told || rarity < account.told * AGAIN {
            return None;
        }
        account.told = rarity;
        let bar = self.bar / AIM * self.budget.raised();
        let reached = rarity >= bar;
        let pause = self.repeat_after * 4_u32.pow(account.alerts.saturating_sub(1).min(2));
        let again = account.alerted.is_some_and(|alerted| seen <= alerted.after(pause));
        let score = account.score(rarity, seen, CONFIRMED_WITHIN);
        let mut finding = finding(name, seen, account, (top.0, score));
        let crowd = reached
            && !again
            && (self.crowd((name, account.team), &finding.kind, seen)
                || is_shared(top.0, account, teams, seen.day()));
        finding.alert = reached && !again && !crowd;
        if crowd {
            account.crowded = Some(seen);
        }
        if finding.alert {
            let counts = if rarity < CLEAR * bar { 1.0 } else { CLEAR_COUNTS };
            self.budget.used += counts;
            self.totals.learn(total, 1.0);
            account.alerted = Some(seen);
            account.alerts += 1;
            account.carried = score;
            account.unconfirmed = Some((counts, total));
        }
        if reached {
            finding.severity = Severity::High;
            account.tracks.iter_mut().for_each(Track::reset);
            account.at_will.iter_mut().for_each(|at_will| at_will.test.reset());
            account.rises.iter_mut().for_each(|rise| *rise = Rise::default());
            account.volume.reset();
            account.marks.clear();
            (account.told, account.size_evidence) = (0.0, 0.0);
        }
        Some(finding)
    }

    /// What goes on after an alert is none of those who merely work.
    fn confirm(&mut self, account: &mut Account, seen: Timestamp, rarity: f64) {
        let Some((counts, total)) = account.unconfirmed else { return };
        let alerted = account.alerted.unwrap_or(seen);
        if rarity >= CONFIRMED && seen > alerted {
            if seen <= alerted.after(CONFIRMED_WITHIN) {
                self.budget.used -= counts * (1.0 - CONFIRMED_COUNTS);
                self.totals.learn(total, -1.0);
            }
            account.unconfirmed = None;
        }
    }

    /// Whether the same was found of several others in these days: what a whole team does is one
    /// question, which has been asked.
    fn crowd(&mut self, (name, team): (&Actor, u32), kind: &str, seen: Timestamp) -> bool {
        self.lately.retain(|(at, ..)| seen.day() - at.day() < CROWD_DAYS);
        let others = self.lately.iter().filter(|(_, other, ..)| other != name);
        let alike = others.clone().filter(|(_, _, of, _)| of == kind).count() as f64;
        let colleagues = others.filter(|(.., of)| *of == team && team != NONE).count();
        self.lately.push((seen, name.clone(), kind.to_owned(), team));
        alike >= self.budget.crowd() || colleagues >= COLLEAGUES
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
            let peak = match place.checked_sub(AT_WILL) {
                Some(stage) => {
                    account.at_will.get(stage).map_or(evidence, |at_will| at_will.test.peak())
                }
                None => account.tracks.get(place).map_or(evidence, Track::peak),
            };
            peaks += weight * measured(place, peak, (group, tails));
            now += weight * measured(place, evidence, (group, tails));
            let Some(rise) = account.rises.get_mut(place) else { continue };
            let risen = rise.day(peak, if place == SIZE { 0.0 } else { evidence }, STREAM_RESTING);
            if let (Some(own), Some(all)) = (group.tails.get_mut(place), tails.get_mut(place)) {
                own.learn(risen);
                all.learn(risen);
            }
        }
        if let Some(rise) = account.rises.get_mut(STREAMS) {
            // What a crowd shows has one cause.
            let crowded = account.crowded.is_some_and(|at| account.day <= at.day() + CROWD_DAYS);
            let counts = if crowded { CROWD_COUNTS } else { 1.0 };
            self.totals.learn(rise.day(peaks, now, RESTING), counts);
        }
    }

    /// The streams that are on: place, weight, evidence. The weights add up to one, or to less
    /// where people have found causes to be benign.
    fn streams<'a>(
        &'a self,
        account: &'a Account,
    ) -> impl Iterator<Item = (usize, f64, f64)> + use<'a> {
        let all: f64 = ALL.iter().map(|signal| signal.weight).sum();
        let all = all + VOLUME_WEIGHT + SIZE_WEIGHT + AT_WILL_WEIGHTS.iter().sum::<f64>();
        let at_will = account.at_will.iter().zip(AT_WILL_WEIGHTS).enumerate();
        let at_will = at_will
            .filter(|_| self.at_will)
            .map(move |(stage, (of, weight))| (AT_WILL + stage, weight / all, of.test.evidence()));
        let signals = account.tracks.iter().zip(ALL).enumerate();
        let signals = signals
            .map(move |(place, (track, signal))| (place, signal.weight / all, track.evidence()));
        let volume = (VOLUME, VOLUME_WEIGHT / all, account.volume.evidence());
        let size = (SIZE, SIZE_WEIGHT / all, account.size_evidence);
        let volume = std::iter::once(volume).filter(|_| self.volume);
        let size = std::iter::once(size).filter(|_| self.size);
        let priors = self.priors.of(account.told_role);
        let prior = move |place: usize| priors.and_then(|of| of.get(place)).map_or(1.0, |of| *of);
        let all = signals.chain(volume).chain(size).chain(at_will);
        all.map(move |(place, weight, evidence)| (place, weight * prior(place), evidence))
    }
}

/// Whether the account's team shows the same today: what has one cause is no one's theft.
fn is_shared(place: usize, account: &Account, teams: &Teams, day: i64) -> bool {
    let team = (account.team, day);
    match place.checked_sub(AT_WILL) {
        _ if account.team == NONE => false,
        Some(stage) => {
            account.at_will.get(stage).is_some_and(|of| of.is_shared(teams, team, stage))
        }
        None => {
            let track = account.tracks.get(place);
            track.is_some_and(|track| teams.has_risen(team, place, track.today()))
        }
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
    let told = marks.clone().filter(|mark| !mark.id.is_empty());
    let mut evidence: Vec<String> = told.map(|mark| mark.id.to_string()).collect();
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
        _ if place >= AT_WILL => {
            let usual = account.at_will.get(place - AT_WILL).map_or(0.0, AtWill::usual);
            let why = format!(
                "`{name}` was shown {many} customers as if they were picked at will, not by the \
                 work: without a reason, and of every field; {:.0} in 100 without a reason are \
                 usual for it; innocent if there is work that no connected system knows",
                (usual * 100.0).ceil()
            );
            (at_will::NAME, many, why)
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
        kind: kind.into(),
        severity: Severity::Low,
        alert: false,
        score,
        subjects_at_risk: many,
        evidence,
        why,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_above_the_budget_raise_the_bar_and_more_of_it_is_used_where_more_are_allowed() {
        let raised = |allowed: f64, part: f64| {
            let mut budget = Budget::new(1_000.0);
            (budget.allowed, budget.used) = (allowed, part * allowed);
            budget.raised()
        };
        for allowed in [5.0, 50.0, 500.0] {
            assert!(raised(allowed, 2.0) > 1.5, "{allowed}");
            assert!(raised(allowed, 0.3) < 1.0, "{allowed}");
        }
        assert!(raised(8.0, 0.75) > 1.0);
        assert!(raised(200.0, 0.75) < 1.0);
    }
}
