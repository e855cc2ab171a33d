//! Plain methods to compare the detectors with: what is done where nothing better is at hand. They
//! see the same events in the same order and use nothing that comes later.

use std::collections::{BTreeMap, BTreeSet};

use postern_model::{Access, Actor, Event, Finding, Severity, Subject, Timestamp};

use crate::centre::{Seen, log::DAY};

/// Days of its own until an account is judged by them.
const KNOWN: usize = 10;
/// Days that count as the past.
const PAST: usize = 30;
/// How long an assignment explains looks at its customer.
const EXPLAINS: i64 = 3 * DAY;
/// How many times the usual rate the sums test for.
const RISE: f64 = 2.0;
/// The room above the usual share that the share's rise takes; what is believed to be usual before
/// anything is known, and for how many customers; and customers of a day.
const RAISED: f64 = 0.1;
const BELIEVED: (f64, f64) = (1.0, 40.0);
const PACE: f64 = 20.0;

/// A method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plain {
    /// So many customers a day, the same for all.
    Cap,
    /// Customers a day, in standard deviations of the account's own past.
    Volume,
    /// The same of customers who were never assigned to the account of late.
    Unexplained,
    /// Poisson CUSUM over the latter.
    Cusum,
    /// A Shiryaev-Roberts sum over their share of all, against the account's own past.
    Share,
}

impl Plain {
    /// Every method.
    pub const ALL: [Self; 5] =
        [Self::Cap, Self::Volume, Self::Unexplained, Self::Cusum, Self::Share];

    /// Its name in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cap => "static cap",
            Self::Volume => "volume z",
            Self::Unexplained => "unexplained z",
            Self::Cusum => "unexplained CUSUM",
            Self::Share => "unexplained e-SR",
        }
    }
}

#[derive(Debug, Default)]
struct Desk {
    day: i64,
    seen: BTreeSet<Subject>,
    unexplained: f64,
    past: Vec<(f64, f64)>,
    sum: f64,
    risen_share: f64,
    told: [f64; Plain::ALL.len()],
}

impl Desk {
    fn begin(&mut self, day: i64) {
        if day <= self.day {
            return;
        }
        if !self.seen.is_empty() {
            self.sum = self.risen();
            self.past.push((self.seen.len() as f64, self.unexplained));
            if self.past.len() > PAST {
                self.past.remove(0);
            }
        }
        self.seen.clear();
        (self.day, self.unexplained, self.told) = (day, 0.0, Default::default());
    }

    fn usual(&self, of: fn(&(f64, f64)) -> f64) -> (f64, f64) {
        let days = self.past.len().max(1) as f64;
        let mean = self.past.iter().map(of).sum::<f64>() / days;
        let squares = self.past.iter().map(|day| (of(day) - mean).powi(2)).sum::<f64>();
        (mean, (squares / days).sqrt().max(1.0))
    }

    fn risen(&self) -> f64 {
        let usual = self.usual(|day| day.1).0.max(0.2);
        (self.sum + self.unexplained * RISE.ln() - usual * (RISE - 1.0)).max(0.0)
    }

    /// Takes another customer into the sum over their share.
    fn try_share(&mut self, unexplained: bool) {
        let past = self.past.iter().fold(BELIEVED, |all, day| (all.0 + day.1, all.1 + day.0));
        let usual = (past.0 / past.1).min(0.9);
        let raised = usual + (1.0 - usual) * RAISED;
        let ratio = if unexplained { raised / usual } else { (1.0 - raised) / (1.0 - usual) };
        self.risen_share = (self.risen_share + 1.0 / PACE) * ratio;
    }

    fn score(&self, plain: Plain) -> f64 {
        let z = |now: f64, (mean, spread): (f64, f64)| (now - mean) / spread;
        match plain {
            Plain::Cap => self.seen.len() as f64,
            _ if self.past.len() < KNOWN => 0.0,
            Plain::Volume => z(self.seen.len() as f64, self.usual(|day| day.0)),
            Plain::Unexplained => z(self.unexplained, self.usual(|day| day.1)),
            Plain::Cusum => self.risen(),
            Plain::Share => self.risen_share,
        }
    }
}

/// What each method finds in these events, with its own kind of score.
pub fn findings(events: &[Seen]) -> Vec<(Plain, Vec<Finding>)> {
    let mut found: Vec<(Plain, Vec<Finding>)> =
        Plain::ALL.into_iter().map(|plain| (plain, Vec::new())).collect();
    let mut desks: BTreeMap<Actor, Desk> = BTreeMap::new();
    let mut subjects: BTreeMap<String, Subject> = BTreeMap::new();
    let mut assigned: BTreeMap<(Actor, Subject), Timestamp> = BTreeMap::new();
    for seen in events {
        match &seen.event {
            Event::Ticket(ticket) => {
                if let Some(subject) = &ticket.subject {
                    subjects.insert(ticket.ticket.to_string(), subject.clone());
                }
                let subject = subjects.get(&*ticket.ticket);
                if let (Some(actor), Some(subject)) = (&ticket.assignee, subject) {
                    assigned.insert((actor.clone(), subject.clone()), ticket.ts);
                }
            }
            Event::Access(access) => {
                let desk = desks.entry(access.actor.clone()).or_default();
                desk.begin(seen.seen.day());
                look(desk, access, &assigned);
                for (place, (plain, findings)) in found.iter_mut().enumerate() {
                    let score = desk.score(*plain);
                    if score > 1.2 * desk.told[place].max(1.0) {
                        desk.told[place] = score;
                        findings.push(finding(seen.seen, access, (plain.as_str(), score)));
                    }
                }
            }
            Event::Person(_)
            | Event::Subject(_)
            | Event::Call(_)
            | Event::Approval(_)
            | Event::Complaint(_) => {}
        }
    }
    found
}

fn look(desk: &mut Desk, access: &Access, assigned: &BTreeMap<(Actor, Subject), Timestamp>) {
    for subject in access.subjects.iter().filter(|_| !access.clear.is_empty()) {
        if !desk.seen.insert(subject.clone()) {
            continue;
        }
        let reason = assigned.get(&(access.actor.clone(), subject.clone()));
        let unexplained = reason.is_none_or(|at| access.ts.0 - at.0 > EXPLAINS);
        desk.unexplained += f64::from(u8::from(unexplained));
        desk.try_share(unexplained);
    }
}

fn finding(time: Timestamp, access: &Access, (kind, score): (&'static str, f64)) -> Finding {
    Finding {
        time,
        actors: vec![access.actor.clone()],
        kind: kind.into(),
        severity: Severity::Low,
        alert: false,
        score,
        subjects_at_risk: access.subjects.len(),
        evidence: vec![access.id.clone().to_string()],
        why: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::centre::{Kind, Plan, Trouble, World};

    #[test]
    fn plain_methods_see_an_enumeration_and_are_quiet_on_most_days() {
        let mut plan = Plan::usual(5, Trouble::Calm);
        (plan.agents, plan.customers, plan.days) = (8, 600, 40);
        plan.attacks = vec![Kind::Enumeration];
        let world = World::make(&plan);
        let thief = &world.attacks[0].actors[0];
        for (plain, findings) in findings(&world.events) {
            let most = |thieves: bool| {
                let some = findings.iter().filter(|f| (f.actors[0] == *thief) == thieves);
                let agents = some.filter(|f| world.roles[&f.actors[0]] == "agent");
                agents.map(|f| f.score).fold(0.0, f64::max)
            };
            assert!(most(true) > most(false), "{}", plain.as_str());
        }
    }
}
