//! Where nothing can be seen: sources that fall silent, jumps of the clock, events that come late
//! or twice, accounts that nobody has told of. A blind spot is a finding, and never an alert.

use postern_model::{Actor, Event, Finding, Severity, Text, Timestamp};

use crate::naming::Named;

const HOUR: i64 = 3_600_000_000;
const DAY: i64 = 24 * HOUR;
/// Sources whose silence is noticed.
const SOURCES: [&str; 4] = ["tickets", "calls", "approvals", "access"];
/// Events that were to be expected from a source until its silence is a finding.
const EXPECTED: f64 = 30.0;
/// Hours of a week.
const WEEK: usize = 168;
/// A jump of the clock.
const JUMP: i64 = 7 * DAY;
/// How late an event is late.
const LATE: i64 = DAY;
/// Late events of a day and source until that is a finding.
const MANY: u32 = 20;

#[derive(Debug)]
struct Source {
    /// Events in each hour of the week, averaged over weeks.
    usual: Vec<f64>,
    weeks: f64,
    /// Hour since 1970 that is counted now, and events in it.
    hour: i64,
    count: f64,
    /// Events that were to be expected since the last one.
    missed: f64,
    silent: bool,
    late: (i64, u32),
}

impl Default for Source {
    fn default() -> Self {
        Self {
            usual: vec![0.0; WEEK],
            weeks: 0.0,
            hour: i64::MIN,
            count: 0.0,
            missed: 0.0,
            silent: false,
            late: (i64::MIN, 0),
        }
    }
}

/// What is known of the sources themselves.
#[derive(Debug, Default)]
pub(crate) struct Blind {
    sources: [Source; SOURCES.len()],
    hour: i64,
    last: Option<Timestamp>,
    twice: i64,
    staffed: Option<Timestamp>,
    /// Of which accounts is told, or was, by their names' numbers.
    known: Vec<bool>,
}

fn finding(time: Timestamp, kind: &'static str, actors: Vec<Actor>, why: String) -> Finding {
    Finding {
        time,
        actors,
        kind: kind.into(),
        severity: Severity::Medium,
        alert: false,
        score: 0.0,
        subjects_at_risk: 0,
        evidence: Vec::new(),
        why,
    }
}

fn source(event: &Event) -> Option<usize> {
    match event {
        Event::Ticket(_) => Some(0),
        Event::Call(_) => Some(1),
        Event::Approval(_) => Some(2),
        Event::Access(_) => Some(3),
        Event::Person(_) | Event::Subject(_) | Event::Complaint(_) => None,
    }
}

impl Blind {
    /// Takes an event; says whether it has been seen before and is to be left out.
    pub(crate) fn observe(
        &mut self,
        seen: Timestamp,
        (event, named): (&Event, &Named),
        findings: &mut Vec<Finding>,
    ) -> bool {
        if source(event).is_none() && !matches!(event, Event::Person(_)) {
            return false;
        }
        self.clock(seen, findings);
        let hour = seen.0.div_euclid(HOUR);
        if hour > self.hour {
            self.hours(hour, seen, findings);
            self.hour = hour;
        }
        if let Some(place) = source(event)
            && let Some(source) = self.sources.get_mut(place)
        {
            source.count += 1.0;
            (source.missed, source.silent) = (0.0, false);
            let name = SOURCES.get(place).copied().unwrap_or_default();
            late(source, seen.0 - event.ts().0 > LATE, (seen, name), findings);
        }
        match event {
            Event::Person(_) => {
                self.staffed.get_or_insert(seen);
                self.is_new(named.actor);
                false
            }
            Event::Access(access) => {
                if self.is_new(named.actor) {
                    self.stranger(seen, &access.actor, findings);
                }
                if named.again {
                    self.duplicate(seen, &access.id, findings);
                }
                named.again
            }
            Event::Subject(_)
            | Event::Ticket(_)
            | Event::Call(_)
            | Event::Approval(_)
            | Event::Complaint(_) => false,
        }
    }

    fn clock(&mut self, seen: Timestamp, findings: &mut Vec<Finding>) {
        let last = self.last.replace(seen).unwrap_or(seen);
        if seen.0 - last.0 > JUMP {
            let days = (seen.0 - last.0) / DAY;
            let why = format!("nothing came from any source for {days} days, or the clock jumped");
            findings.push(finding(seen, "clock_jump", Vec::new(), why));
            // The silence of each source has been told with this.
            self.hour = seen.0.div_euclid(HOUR) - 1;
            self.sources.iter_mut().for_each(|source| source.missed = 0.0);
        }
    }

    /// Ends the hours that have passed.
    fn hours(&mut self, now: i64, seen: Timestamp, findings: &mut Vec<Finding>) {
        for (source, name) in self.sources.iter_mut().zip(SOURCES) {
            if source.hour == i64::MIN {
                if source.count > 0.0 {
                    source.hour = now;
                }
                source.count = 0.0;
                continue;
            }
            for hour in source.hour.max(now - WEEK as i64)..now {
                let place = usize::try_from(hour.rem_euclid(WEEK as i64)).unwrap_or(0);
                let Some(usual) = source.usual.get_mut(place) else { continue };
                if source.count == 0.0 && source.weeks >= 2.0 * WEEK as f64 {
                    source.missed += *usual;
                }
                let rate = 1.0 / (source.weeks / WEEK as f64 + 1.0).min(6.0);
                if source.missed < EXPECTED {
                    *usual += rate * (source.count - *usual);
                    source.weeks += 1.0;
                }
                source.count = 0.0;
            }
            source.hour = now;
            if source.missed >= EXPECTED && !source.silent {
                source.silent = true;
                let why = format!(
                    "`{name}` has told of nothing while {:.0} events were to be expected: what it \
                     would explain looks unexplained",
                    source.missed
                );
                findings.push(finding(seen, "silent_source", Vec::new(), why));
            }
        }
    }

    /// Whether nothing was told of the account, or by it, until now.
    fn is_new(&mut self, actor: u32) -> bool {
        let place = actor as usize;
        if self.known.len() <= place {
            self.known.resize(place + 1, false);
        }
        self.known.get_mut(place).is_some_and(|known| !std::mem::replace(known, true))
    }

    fn stranger(&self, seen: Timestamp, actor: &Actor, findings: &mut Vec<Finding>) {
        if self.staffed.is_some_and(|since| seen.since(since).as_secs() > 86_400) {
            let why = format!("`{actor}` is in use, and nobody has told whose account it is");
            findings.push(finding(seen, "unknown_account", vec![actor.clone()], why));
        }
    }

    fn duplicate(&mut self, seen: Timestamp, id: &Text, findings: &mut Vec<Finding>) {
        if seen.day() > self.twice {
            self.twice = seen.day();
            let why = format!("access `{id}` came twice; what comes twice is counted once");
            findings.push(finding(seen, "duplicate_events", Vec::new(), why));
        }
    }
}

fn late(
    source: &mut Source,
    late: bool,
    (seen, name): (Timestamp, &str),
    findings: &mut Vec<Finding>,
) {
    if !late {
        return;
    }
    if seen.day() > source.late.0 {
        source.late = (seen.day(), 0);
    }
    source.late.1 += 1;
    if source.late.1 == MANY {
        let why = format!("`{name}` delivers events of more than a day ago");
        findings.push(finding(seen, "late_events", Vec::new(), why));
    }
}
