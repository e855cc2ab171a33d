//! A whole world: its events in the order in which they were seen, and what is true of it.

use std::{collections::BTreeMap, path::Path};

use postern_feed::{EventWriter, WriteError};
use postern_model::{Actor, Event, Timestamp};

use crate::centre::{
    Attack, Chance, Plan, Trouble,
    attack::Attacker,
    log::{DAY, HOUR, Log, Seen, at},
    staff,
    stage::Stage,
    style, work,
};

/// What a plan makes.
#[derive(Debug, Clone)]
pub struct World {
    pub plan: Plan,
    /// In the order in which they were seen.
    pub events: Vec<Seen>,
    pub attacks: Vec<Attack>,
    /// The accounts of people, services apart.
    pub people: usize,
    pub roles: BTreeMap<Actor, &'static str>,
}

impl World {
    /// Makes the world of the plan.
    pub fn make(plan: &Plan) -> Self {
        let mut making = Making::begin(plan);
        (0..plan.days).for_each(|day| making.day(day));
        let Making { mut stage, attackers } = making;
        let people = stage.staff.iter().filter(|member| member.role != "service").count();
        let roles = stage.staff.iter().map(|m| (m.actor.clone(), m.role)).collect();
        let mut events = stage.log.events;
        trouble(plan, &mut stage.chance, &mut events);
        let mut attacks: Vec<Attack> = attackers.into_iter().map(|one| one.attack).collect();
        style::apply(plan.style, &mut stage.chance, &mut events, &mut attacks);
        events.sort_by_key(|seen| (seen.seen, seen.event.ts(), rank(&seen.event)));
        attacks.retain(|attack| !attack.taken.is_empty());
        Self { plan: plan.clone(), events, attacks, people, roles }
    }

    /// Writes the world as a folder of feeds, and its truth beside them.
    ///
    /// # Errors
    /// If a file can't be written.
    pub fn write(&self, folder: &Path) -> Result<(), WriteError> {
        let mut order: Vec<&Seen> = self.events.iter().collect();
        order.sort_by_key(|seen| (seen.event.ts(), rank(&seen.event)));
        let mut writer = EventWriter::new(folder);
        for seen in order {
            writer.write_late(&seen.event, seen.seen)?;
        }
        writer.finish()
    }

    /// What is true, one attack a line.
    pub fn truth(&self) -> String {
        let mut lines = String::new();
        for attack in &self.attacks {
            let taken: Vec<_> = attack
                .taken
                .iter()
                .map(|(ts, id, subject)| {
                    serde_json::json!({"ts": ts.to_string(), "id": id, "subject": subject.as_str()})
                })
                .collect();
            let actors: Vec<&str> = attack.actors.iter().map(Actor::as_str).collect();
            let line = serde_json::json!({
                "kind": attack.kind.as_str(), "actors": actors,
                "start": attack.start.to_string(), "taken": taken,
            });
            lines.push_str(&line.to_string());
            lines.push('\n');
        }
        lines
    }
}

/// A world while its days are made, one after the other.
#[derive(Debug)]
pub(crate) struct Making {
    pub(crate) stage: Stage,
    attackers: Vec<Attacker>,
}

impl Making {
    /// What is there before the first day: people, customers, and who is going to steal.
    pub(crate) fn begin(plan: &Plan) -> Self {
        let mut chance = Chance::new(plan.seed);
        let mut log = Log::default();
        let staff = staff::hire(plan, &mut chance);
        let customers = staff::customers(plan, &mut chance, &mut log);
        let mut stage = Stage::new(plan.clone(), chance, log, (staff, customers));
        let mut taken = Vec::new();
        let attackers: Vec<Attacker> = plan
            .attacks
            .iter()
            .map(|kind| Attacker::recruit(&mut stage, *kind, &mut taken))
            .collect();
        let mut honest = stage.staff.clone();
        stage.taken.clone_from(&taken);
        for member in taken {
            (honest[member].holiday, honest[member].left) = ((1, 0), i64::MAX);
        }
        staff::papers(plan, &honest, &mut stage.chance, &mut stage.log);
        attackers.iter().for_each(|attacker| attacker.papers(&mut stage));
        Self { stage, attackers }
    }

    /// Makes the next day's events.
    pub(crate) fn day(&mut self, day: i64) {
        let Self { stage, attackers } = self;
        work::dawn(stage, day);
        for index in 0..stage.staff.len() {
            work::day(stage, index, day);
        }
        attackers.iter_mut().for_each(|attacker| attacker.day(stage, day));
    }
}

/// The order of events of the same moment, as the feeds' reader has it.
pub(crate) fn rank(event: &Event) -> u8 {
    match event {
        Event::Person(_) => 0,
        Event::Subject(_) => 1,
        Event::Ticket(_) => 2,
        Event::Call(_) => 3,
        Event::Approval(_) => 4,
        Event::Access(_) => 5,
        Event::Complaint(_) => 6,
    }
}

/// What connectors do to events on their way.
fn trouble(plan: &Plan, chance: &mut Chance, events: &mut Vec<Seen>) {
    if !plan.trouble.has(Trouble::Outages) {
        return;
    }
    // Tickets come hours or days late; a day of calls and some hours of tickets never come.
    let late = [(15, 30.0), (33, 8.0), (52, 60.0)];
    let lost_calls = at(24, 0.0)..at(25, 0.0);
    let lost_tickets = at(60, 9.0)..at(60, 14.0);
    events.retain(|seen| match &seen.event {
        Event::Call(call) => !lost_calls.contains(&call.ts.0),
        Event::Ticket(ticket) => !lost_tickets.contains(&ticket.ts.0),
        Event::Person(_)
        | Event::Subject(_)
        | Event::Approval(_)
        | Event::Access(_)
        | Event::Complaint(_) => true,
    });
    for seen in events.iter_mut() {
        let Event::Ticket(ticket) = &mut seen.event else { continue };
        for (day, hours) in late {
            let from = at(day, 10.0);
            let to = from + (hours * HOUR as f64) as i64;
            if (from..to).contains(&ticket.ts.0) {
                seen.seen = Timestamp(to + chance.below(HOUR as usize) as i64);
            }
        }
        if chance.yes(0.01) {
            let lag = (chance.wait(0.3) * DAY as f64) as i64;
            seen.seen = seen.seen.max(Timestamp(ticket.ts.0 + lag));
        }
        ticket.seen = seen.seen;
    }
}
