//! How well findings tell attackers from those who merely work.
//!
//! An attack is *found* at the first alert on one of its accounts after its first record was
//! taken, at the latest a day after the last one; *in time* is within a day, or before half of
//! what is taken in the end is gone. Every other alert is false, also one on an account that
//! turns attacker later. Alerts on the same account within a week are one.

use std::{borrow::Cow, collections::BTreeMap};

use postern_model::{Actor, Finding, Timestamp};

use crate::centre::{Attack, Chance, Kind, World};

const DAY: i64 = 86_400_000_000;
const WEEK: i64 = 7 * DAY;

/// What became of one attack.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub kind: Kind,
    pub found: bool,
    pub in_time: bool,
    /// Records taken before the first alert, all of them if there was none.
    pub lost: usize,
    pub days: Option<f64>,
    pub by: Cow<'static, str>,
}

/// What one world's findings are worth.
#[derive(Debug, Clone)]
pub struct Score {
    pub outcomes: Vec<Outcome>,
    /// The false alerts, by the kind of finding and the role of the account.
    pub wrong: BTreeMap<(Cow<'static, str>, &'static str), usize>,
    pub agent_days: f64,
}

impl Score {
    /// Scores what interrupts: the findings that this keeps.
    pub fn of(world: &World, findings: &[Finding], keep: impl Fn(&Finding) -> bool) -> Self {
        let kept: Vec<&Finding> = findings.iter().filter(|finding| keep(finding)).collect();
        let outcomes = world.attacks.iter().map(|attack| outcome(attack, &kept)).collect();
        let mut wrong: BTreeMap<_, usize> = BTreeMap::new();
        let mut last: BTreeMap<&Actor, Timestamp> = BTreeMap::new();
        for finding in &kept {
            if finding.actors.iter().any(|actor| guilty(world, actor, finding.time)) {
                continue;
            }
            let Some(actor) = finding.actors.first() else { continue };
            if last.get(actor).is_some_and(|last| finding.time.0 - last.0 < WEEK) {
                continue;
            }
            last.insert(actor, finding.time);
            let role = world.roles.get(actor).copied().unwrap_or("nobody");
            *wrong.entry((finding.kind.clone(), role)).or_default() += 1;
        }
        let agent_days = world.people as f64 * world.plan.days as f64;
        Self { outcomes, wrong, agent_days }
    }

    /// False alerts.
    pub fn wrongs(&self) -> usize {
        self.wrong.values().sum()
    }
}

fn guilty(world: &World, actor: &Actor, time: Timestamp) -> bool {
    world.attacks.iter().any(|attack| attack.actors.contains(actor) && time >= attack.start)
}

fn outcome(attack: &Attack, findings: &[&Finding]) -> Outcome {
    let last = attack.taken.iter().map(|(ts, _, _)| ts.0).max().unwrap_or(attack.start.0);
    let first = findings.iter().filter(|finding| {
        finding.actors.iter().any(|actor| attack.actors.contains(actor))
            && finding.time >= attack.start
            && finding.time.0 <= last + DAY
    });
    let first = first.min_by_key(|finding| finding.time);
    let all = attack.taken.len();
    let Some(first) = first else {
        let (kind, by) = (attack.kind, Cow::Borrowed(""));
        return Outcome { kind, found: false, in_time: false, lost: all, days: None, by };
    };
    let lost = attack.taken.iter().filter(|(ts, _, _)| *ts <= first.time).count();
    let waited = first.time.0 - attack.start.0;
    Outcome {
        kind: attack.kind,
        found: true,
        in_time: waited <= DAY || 2 * lost <= all,
        lost,
        days: Some(waited as f64 / DAY as f64),
        by: first.kind.clone(),
    }
}

/// False alerts per 100 people and day over several worlds.
pub fn rate(scores: &[Score]) -> f64 {
    let wrongs: usize = scores.iter().map(Score::wrongs).sum();
    let days: f64 = scores.iter().map(|score| score.agent_days).sum();
    100.0 * wrongs as f64 / days.max(1.0)
}

/// The lowest score from which on these worlds' findings stay within the budget.
pub fn threshold(runs: &[(World, Vec<Finding>)], budget: f64) -> f64 {
    let mut scores: Vec<f64> =
        runs.iter().flat_map(|(_, findings)| findings.iter().map(|f| f.score)).collect();
    scores.sort_by(f64::total_cmp);
    scores.dedup();
    let within = |bar: f64| {
        let scored: Vec<Score> =
            runs.iter().map(|(world, f)| Score::of(world, f, |f| f.score >= bar)).collect();
        rate(&scored) <= budget
    };
    let place = scores.partition_point(|bar| !within(*bar));
    scores.get(place).copied().unwrap_or(f64::INFINITY)
}

/// A share with its 90 % interval over resampled worlds.
pub fn share(scores: &[Score], of: impl Fn(&Outcome) -> Option<bool>) -> (f64, f64, f64) {
    let counts: Vec<(usize, usize)> = scores
        .iter()
        .map(|score| {
            let told: Vec<bool> = score.outcomes.iter().filter_map(&of).collect();
            (told.iter().filter(|yes| **yes).count(), told.len())
        })
        .collect();
    let ratio = |picked: &mut dyn Iterator<Item = (usize, usize)>| {
        let sum = picked.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        if sum.1 == 0 { f64::NAN } else { sum.0 as f64 / sum.1 as f64 }
    };
    let mut chance = Chance::new(17);
    let mut drawn: Vec<f64> = (0..400)
        .map(|_| ratio(&mut (0..counts.len()).map(|_| counts[chance.below(counts.len())])))
        .filter(|share| !share.is_nan())
        .collect();
    drawn.sort_by(f64::total_cmp);
    let at = |part: f64| drawn.get((part * drawn.len() as f64) as usize).copied();
    let (low, high) = (at(0.05).unwrap_or(f64::NAN), at(0.95).unwrap_or(f64::NAN));
    (ratio(&mut counts.iter().copied()), low, high)
}

/// The value below which this part of them lies.
pub fn quantile(mut values: Vec<usize>, part: f64) -> usize {
    values.sort_unstable();
    let place = (part * values.len() as f64) as usize;
    values.get(place.min(values.len().saturating_sub(1))).copied().unwrap_or(0)
}
