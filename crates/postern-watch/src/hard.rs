//! The rules that need no statistics.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use postern_model::{
    Access, AccessDecision, AccessKind, Actor, Event, Finding, Severity, Subject, Text, Timestamp,
};

use crate::{
    WatchConfig,
    detector::Detector,
    naming::Named,
    world::{Shown, World, shown},
};

#[cfg(test)]
mod tests;

/// The score of what needs no statistics, on the scale of the others' evidence.
const CERTAIN: f64 = 1e9;
/// Planted customers may take one part in so many of the alert budget.
const PART: f64 = 8.0;
/// Account-days, in those that an alert is allowed for, that one was read in before all that is
/// known.
const BEFORE: f64 = 24.0;
/// A list of more than this many customers is no opening of any of them.
const OPENED: usize = 3;
/// Hours after which a last day is over, whatever the feed calls its end.
const LAST_DAY: Duration = Duration::from_secs(18 * 60 * 60);

/// What the rules' findings have in common.
fn finding(access: &Access, kind: &'static str, severity: Severity, why: String) -> Finding {
    let subjects: BTreeSet<&Subject> = match shown(access) {
        Shown::Nothing => BTreeSet::new(),
        Shown::Masked | Shown::Clear => access.subjects.iter().collect(),
    };
    Finding {
        time: access.ts,
        actors: vec![access.actor.clone()],
        kind: kind.into(),
        severity,
        alert: true,
        score: CERTAIN,
        subjects_at_risk: subjects.len(),
        evidence: vec![access.id.to_string()],
        why,
    }
}

/// A planted customer was opened: in clear, or looked up. That a masked list passes over one
/// means nothing. Raised once per account and decoy; no alert if a ticket, call or approval tells
/// of the decoy, or if it is the role's task to open whom nobody asked for.
///
/// Where planted customers are opened by mistake so often that it would take a good part of the
/// alert budget, a single one is no alert, and two are.
#[derive(Debug)]
pub(crate) struct DecoyRead {
    told: BTreeSet<(Actor, Subject)>,
    /// Account-days for each alert that the setting allows.
    bar: f64,
    /// On which day each account was last seen, by its number, and how often it read one.
    seen: Vec<(i64, u32)>,
    days: f64,
    reads: f64,
}

impl DecoyRead {
    pub(crate) fn new(bar: f64) -> Self {
        let (told, seen) = (BTreeSet::new(), Vec::new());
        Self { told, bar, seen, days: 0.0, reads: 0.0 }
    }

    /// Counts the account's day.
    fn day(&mut self, actor: usize, day: i64) {
        if self.seen.len() <= actor {
            self.seen.resize(actor + 1, (i64::MIN, 0));
        }
        if let Some((last, _)) = self.seen.get_mut(actor).filter(|(last, _)| *last < day) {
            *last = day;
            self.days += 1.0;
        }
    }

    /// How rare it is that somebody reads one, or one more.
    fn score(&mut self, actor: usize) -> f64 {
        let rare = (BEFORE * self.bar + self.days) / (1.0 + self.reads);
        self.reads += 1.0;
        let Some((_, reads)) = self.seen.get_mut(actor) else { return rare };
        *reads += 1;
        if *reads > 1 { CERTAIN } else { rare.min(CERTAIN) }
    }
}

impl Detector for DecoyRead {
    fn observe(
        &mut self,
        (event, named): (&Event, &Named),
        world: &World,
        findings: &mut Vec<Finding>,
    ) {
        let Event::Access(access) = event else { return };
        let opened = match shown(access) {
            Shown::Nothing => false,
            Shown::Masked => access.kind == Some(AccessKind::Lookup),
            // A list that passes over one means little; opening it alone means much.
            Shown::Clear => access.subjects.len() <= OPENED,
        };
        let actor = world.acting as usize;
        self.day(actor, access.ts.day());
        let decoys = named.all(access).filter(|(number, _)| opened && world.is_decoy(*number));
        for (number, decoy) in decoys {
            if self.told.insert((access.actor.clone(), decoy.clone())) {
                let suspicious = world.is_suspicious(access, number);
                let score = if suspicious { self.score(actor) } else { 0.0 };
                let alert = score >= PART * self.bar;
                let why = format!(
                    "`{}` opened `{decoy}`, a planted customer whom nobody has a reason to open",
                    access.actor
                );
                let finding = finding(access, "decoy_read", Severity::Critical, why);
                let severity = if alert { finding.severity } else { Severity::Low };
                findings.push(Finding { alert, severity, score, ..finding });
            }
        }
    }
}

/// An account is used after its owner has left. Raised once per session; an alert once until the
/// account has been quiet for the repeat time, and not on the last day itself.
#[derive(Debug)]
pub(crate) struct LeaverSession {
    told: BTreeSet<(Actor, Text)>,
    repeat: Repeat,
}

impl LeaverSession {
    pub(crate) fn new(config: &WatchConfig) -> Self {
        Self { told: BTreeSet::new(), repeat: Repeat::new(config.repeat_after) }
    }
}

impl Detector for LeaverSession {
    fn observe(
        &mut self,
        (event, _): (&Event, &Named),
        world: &World,
        findings: &mut Vec<Finding>,
    ) {
        let Event::Access(access) = event else { return };
        let Some(left) = world.left().filter(|left| access.ts > *left) else { return };
        if self.told.insert((access.actor.clone(), access.session.clone())) {
            let why = format!("`{}` is in use although its owner left at {left}", access.actor);
            let finding = finding(access, "leaver_session", Severity::Critical, why);
            let over = access.ts.since(left) > LAST_DAY;
            let alert = over && self.repeat.is_first(access);
            let (severity, score) =
                if over { (Severity::Critical, finding.score) } else { (Severity::Low, 0.0) };
            findings.push(Finding { alert, severity, score, ..finding });
        }
    }
}

/// Several statements were refused in a short time. Raised once until the account has been quiet
/// for the repeat time.
#[derive(Debug)]
pub(crate) struct RefusedAttempts {
    max: usize,
    within: Duration,
    repeat: Repeat,
    refused: BTreeMap<Actor, VecDeque<(Timestamp, String)>>,
}

impl RefusedAttempts {
    pub(crate) fn new(config: &WatchConfig) -> Self {
        Self {
            max: config.refused_max.max(1),
            within: config.refused_within,
            repeat: Repeat::new(config.repeat_after),
            refused: BTreeMap::new(),
        }
    }
}

impl Detector for RefusedAttempts {
    fn observe(
        &mut self,
        (event, _): (&Event, &Named),
        _world: &World,
        findings: &mut Vec<Finding>,
    ) {
        let Event::Access(access) = event else { return };
        if access.decision != AccessDecision::Deny {
            return;
        }
        let refused = self.refused.entry(access.actor.clone()).or_default();
        refused.push_back((access.ts, access.id.to_string()));
        while refused.front().is_some_and(|(at, _)| access.ts.since(*at) > self.within) {
            refused.pop_front();
        }
        if refused.len() < self.max {
            return;
        }
        let evidence: Vec<String> = refused.drain(..).map(|(_, id)| id).collect();
        let why = format!(
            "`{}` was refused {} statements within {} minutes",
            access.actor,
            evidence.len(),
            self.within.as_secs().div_ceil(60)
        );
        let finding = finding(access, "refused_attempts", Severity::Medium, why);
        let alert = self.repeat.is_first(access);
        findings.push(Finding { evidence, alert, ..finding });
    }
}

/// A budget was spent and cut a result off. An alert once until the repeat time has passed.
#[derive(Debug)]
pub(crate) struct BudgetStop {
    repeat: Repeat,
}

impl BudgetStop {
    pub(crate) fn new(config: &WatchConfig) -> Self {
        Self { repeat: Repeat::new(config.repeat_after) }
    }
}

impl Detector for BudgetStop {
    fn observe(
        &mut self,
        (event, _): (&Event, &Named),
        _world: &World,
        findings: &mut Vec<Finding>,
    ) {
        let Event::Access(access) = event else { return };
        if access.decision != AccessDecision::Stop {
            return;
        }
        let why = format!("`{}` spent a budget, and the result was cut off there", access.actor);
        let finding = finding(access, "budget_stop", Severity::High, why);
        let alert = self.repeat.is_first(access);
        findings.push(Finding { alert, ..finding });
    }
}

/// Other accounts of which the same is known; if there are more, it is the way of working.
const CROWD: usize = 3;
/// How long that is remembered.
const REMEMBERED: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Tells whether a finding is the first of its kind on an account in a while, and not of a kind
/// that many accounts have.
#[derive(Debug)]
struct Repeat {
    after: Duration,
    last: BTreeMap<Actor, Timestamp>,
}

impl Repeat {
    fn new(after: Duration) -> Self {
        Self { after, last: BTreeMap::new() }
    }

    fn is_first(&mut self, access: &Access) -> bool {
        let first =
            self.last.get(&access.actor).is_none_or(|last| access.ts > last.after(self.after));
        let recent = |last: &Timestamp| access.ts <= last.after(REMEMBERED);
        let others =
            self.last.iter().filter(|(actor, last)| **actor != access.actor && recent(last));
        let crowd = others.count() > CROWD;
        if first {
            self.last.insert(access.actor.clone(), access.ts);
        }
        first && !crowd
    }
}
