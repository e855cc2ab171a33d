//! What people read because it is their work, and a little because they are curious.

use postern_model::{
    Access, AccessDecision, AccessKind, Actor, Event, Grade, Subject, Text, Ticket, TicketEvent,
    Timestamp,
};

use super::{DAY, FIELDS, MINUTE, Read, START, Style, World};

/// How a record came before somebody's eyes.
#[derive(Debug, Clone, Copy)]
pub struct How<'a> {
    pub kind: AccessKind,
    pub statement: &'a str,
    pub ticket: Option<&'a str>,
    /// `None` where no reason held.
    pub grade: Option<Grade>,
    pub shown: u8,
}

pub(crate) const LOOKUP: How<'static> = How {
    kind: AccessKind::Lookup,
    statement: "lookup",
    ticket: None,
    grade: Some(Grade::Strong),
    shown: 0b1111,
};

impl World {
    /// Records that somebody was shown these customers.
    pub fn read(&mut self, member: usize, time: i64, customers: &[usize], how: How<'_>) {
        let shown = if self.setting.fields { how.shown } else { 0 };
        let columns = |set: u8| -> Vec<Text> {
            let named = FIELDS.iter().enumerate().filter(|(bit, _)| set & (1 << bit) != 0);
            named.map(|(_, name)| Text::from(*name)).collect()
        };
        self.accesses.push(Access {
            ts: Timestamp(time),
            id: format!("a{}", self.accesses.len()).into(),
            actor: Actor::new(self.staff[member].name.as_str()),
            session: "s".into(),
            client_addr: None,
            device: None,
            app: None,
            statement: how.statement.into(),
            kind: Some(how.kind),
            ticket: how.ticket.map(Text::from),
            reason: how.grade.map(|_| "assigned_ticket".into()),
            grade: if self.setting.graded { how.grade } else { None },
            subjects: customers.iter().map(|c| Subject::new(World::subject(*c))).collect(),
            clear: columns(shown),
            masked: if shown == 0 { Vec::new() } else { columns(0b1111 & !shown) },
            rows: customers.len() as u64,
            decision: AccessDecision::Allow,
            search: None,
        });
    }

    fn work_on(&mut self, member: usize, time: i64, customer: usize, how: How<'_>) {
        if self.setting.style == Style::Pages {
            let page = self.page(customer);
            self.read(member, time, &page, How { kind: AccessKind::Search, ..how });
        } else {
            self.read(member, time, &[customer], how);
        }
        self.work[member].push(Read { customer, time, shown: how.shown });
    }
}

pub(super) fn happen(world: &mut World) {
    let agents = world.agents();
    let wheel = world.wheel();
    let tickets = (world.setting.agents as f64 * world.setting.tickets) as usize;
    for day in 0..world.setting.days {
        // Weekends are quiet.
        let tickets = if day % 7 >= 5 { tickets / 5 } else { tickets };
        for _ in 0..tickets {
            let customer = wheel.turn(&mut world.chance);
            let minute = 480 + i64::try_from(world.chance.below(560)).unwrap_or(0);
            ticket(world, &agents, customer, START + day * DAY + minute * MINUTE);
        }
        lists(world, &agents, day);
    }
    if world.setting.style == Style::Wide {
        world.export_widely();
    }
    world.events.sort_by_key(Event::ts);
    world.accesses.sort_by_key(|access| access.ts);
    for (number, access) in world.accesses.iter_mut().enumerate() {
        access.id = format!("a{number}").into();
    }
}

/// A customer writes; somebody of the queue answers, once or more often, and others look in.
fn ticket(world: &mut World, agents: &[usize], customer: usize, time: i64) {
    let number = format!("T{:06}", world.events.len());
    let home = world.customers[customer].queue;
    let queues = world.setting.queues;
    let queue = if world.chance.odds(0.8) { home } else { world.chance.below(queues) };
    let language = world.customers[customer].language;
    let fits = |world: &World, member: &usize| {
        let member = &world.staff[*member];
        member.queues.contains(&queue) && member.languages.contains(&language)
    };
    let able: Vec<usize> = agents.iter().copied().filter(|m| fits(world, m)).collect();
    let able = if able.is_empty() { agents } else { able.as_slice() };
    let Some(&agent) = world.chance.one(able) else { return };
    opened(world, (customer, queue), agent, (&number, time));
    world.customers[customer].tickets.push((number.clone(), time, queue));
    let how = How { ticket: Some(&number), ..LOOKUP };
    let mut at = time + 3 * MINUTE;
    for _ in 0..world.chance.between(1, 3) {
        world.work_on(agent, at, customer, how);
        at += i64::try_from(world.chance.below(2_000)).unwrap_or(1) * MINUTE;
    }
    let last = world.end() - MINUTE;
    if world.chance.odds(0.12) {
        let lead = agents.len() + world.chance.below(4);
        world.work_on(lead, (at + 40 * MINUTE).min(last), customer, how);
    }
    if world.chance.odds(0.05) {
        let qa = agents.len() + 4 + world.chance.below(2);
        let how = How { ticket: None, grade: Some(Grade::Weak), ..how };
        world.work_on(qa, (at + 90 * MINUTE).min(last), customer, how);
    }
    if world.chance.odds(world.setting.curious) {
        let other = agents[world.chance.below(agents.len())];
        let how = How { ticket: None, grade: Some(Grade::Weak), ..LOOKUP };
        let friend = if world.chance.odds(0.5) {
            customer
        } else {
            world.chance.below(world.customers.len())
        };
        world.work_on(other, (at + 20 * MINUTE).min(last), friend, how);
    }
}

fn opened(
    world: &mut World,
    (customer, queue): (usize, usize),
    agent: usize,
    (number, time): (&str, i64),
) {
    let assignee = Actor::new(world.staff[agent].name.as_str());
    for (event, assignee) in [(TicketEvent::Opened, None), (TicketEvent::Assigned, Some(assignee))]
    {
        world.events.push(Event::Ticket(Box::new(Ticket {
            ts: Timestamp(time),
            seen: Timestamp(time),
            ticket: number.into(),
            event,
            subject: Some(Subject::new(World::subject(customer))),
            channel: Some("email".into()),
            opened_by: Some("customer".into()),
            inbound_ref: Some(format!("m{number}").into()),
            origin: None,
            assignee,
            queue: Some(format!("q{queue}").into()),
            language: None,
        })));
    }
}

/// Lists of open tickets at the start of a shift, reports of the week, a program every night.
fn lists(world: &mut World, agents: &[usize], day: i64) {
    let morning = START + day * DAY + 475 * MINUTE;
    let list = How { kind: AccessKind::List, statement: "open", shown: 0b1001, ..LOOKUP };
    for &agent in agents {
        if !world.chance.odds(0.3) {
            continue;
        }
        let queue = world.staff[agent].queues[0];
        let seen: Vec<usize> = (0..10)
            .map(|_| world.chance.below(world.customers.len()))
            .filter(|customer| world.customers[*customer].queue == queue)
            .collect();
        if !seen.is_empty() {
            world.read(agent, morning, &seen, list);
        }
    }
    let first = agents.len() + 6;
    if day % 7 == 4 {
        let queue = world.chance.below(world.setting.queues);
        let all: Vec<usize> = (0..world.customers.len())
            .filter(|customer| world.customers[*customer].queue == queue)
            .collect();
        let seen = world.chance.some(&all, 300);
        let statement = format!("weekly q{queue}");
        let kind = AccessKind::Report;
        let how = How { kind, statement: &statement, shown: 0b0011, ..LOOKUP };
        for analyst in [first, first + 1] {
            world.read(analyst, morning + 300 * MINUTE, &seen, how);
        }
    }
    if day % 3 == 0 {
        let all: Vec<usize> = (0..world.customers.len()).collect();
        let seen = world.chance.some(&all, 400);
        let how = How { kind: AccessKind::Export, statement: "sync", ..LOOKUP };
        world.read(first + 2, START + day * DAY + 120 * MINUTE, &seen, how);
    }
}
