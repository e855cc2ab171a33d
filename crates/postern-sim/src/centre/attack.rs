//! The attackers. Each does its honest work and takes records on top.

use postern_model::{
    AccessDecision, AccessKind, Actor, PersonEvent, Subject, Text, TicketEvent, Timestamp,
};

use crate::centre::{
    Kind,
    log::{DAY, HOUR, Look, MINUTE, Seat, at},
    staff::{QUEUES, person},
    stage::{Done, Stage},
};

/// What is true of an attack.
#[derive(Debug, Clone)]
pub struct Attack {
    pub kind: Kind,
    pub actors: Vec<Actor>,
    pub start: Timestamp,
    /// When each record was taken, by which access.
    pub taken: Vec<(Timestamp, String, Subject)>,
}

/// An attack while it goes on.
#[derive(Debug)]
pub(crate) struct Attacker {
    pub(crate) attack: Attack,
    members: Vec<usize>,
    first: i64,
    last: i64,
    cursor: usize,
    victims: Vec<usize>,
}

impl Attacker {
    /// Picks whom and when; HR is told what it would know.
    pub(crate) fn recruit(stage: &mut Stage, kind: Kind, taken: &mut Vec<usize>) -> Self {
        let wanted = if matches!(kind, Kind::Collusion | Kind::Ring) { 2 } else { 1 };
        let mut members = Vec::new();
        while members.len() < wanted {
            let one = stage.chance.below(stage.plan.agents);
            if !taken.contains(&one) && stage.staff[one].hired < 0 {
                taken.push(one);
                members.push(one);
            }
        }
        // Usually from the fifth or sixth week on.
        let days = stage.plan.days.min(120);
        let first = days * 7 / 20 + stage.chance.below((days * 7 / 40) as usize) as i64;
        for member in &members {
            stage.staff[*member].left = i64::MAX;
            stage.staff[*member].holiday = (1, 0);
        }
        let lasts = match kind {
            Kind::Bulk => 0,
            Kind::Export => 1,
            Kind::Enumeration | Kind::RandomEnumeration => 4,
            Kind::ExEmployee => 10,
            Kind::Hoarding => 14,
            Kind::Borrowed => 12,
            Kind::Frog => 45,
            Kind::Drip2
            | Kind::Drip8
            | Kind::Pretext
            | Kind::Neighbour
            | Kind::Collusion
            | Kind::Ring
            | Kind::Forged
            | Kind::Photographs => 30,
        };
        let last = (first + lasts).min(stage.plan.days - 1);
        let member = members[0];
        if kind == Kind::Hoarding {
            stage.staff[member].left = last + 5;
        }
        if kind == Kind::ExEmployee {
            stage.staff[member].left = first;
        }
        if kind == Kind::Borrowed {
            stage.staff[member].holiday = (first + 3, first + 8);
        }
        let actors = members.iter().map(|m| stage.staff[*m].actor.clone()).collect();
        let attack = Attack { kind, actors, start: Timestamp(i64::MAX), taken: Vec::new() };
        let cursor = stage.anybody();
        let victims = (0..40).map(|_| stage.anybody()).collect();
        Self { attack, members, first, last, cursor, victims }
    }

    /// What is taken today.
    pub(crate) fn day(&mut self, stage: &mut Stage, day: i64) {
        let index = self.members[0];
        if !(self.first..=self.last).contains(&day) {
            return;
        }
        let outside = matches!(self.attack.kind, Kind::ExEmployee | Kind::Borrowed);
        if !outside && !stage.staff[index].works(day) {
            return;
        }
        let seat = stage.seat(index, day);
        let force = stage.plan.strength;
        match self.attack.kind {
            Kind::Drip2 => self.drip(stage, day, &seat, 2.0),
            Kind::Drip8 => self.drip(stage, day, &seat, 8.0 * force),
            Kind::Frog => {
                let grown = (day - self.first) as f64 / 45.0;
                self.drip(stage, day, &seat, (0.5 + 9.0 * grown) * force);
            }
            Kind::Pretext => self.pretext(stage, day, &seat, 4.0 * force),
            Kind::Neighbour => self.neighbour(stage, day, &seat, 5.0 * force),
            Kind::Enumeration => self.enumerate(stage, day, &seat, (40.0 * force, false)),
            Kind::RandomEnumeration => self.enumerate(stage, day, &seat, (40.0 * force, true)),
            Kind::Hoarding => self.hoard(stage, day, &seat, 14.0 * force),
            Kind::ExEmployee | Kind::Borrowed => self.outside(stage, day, seat, 7.0 * force),
            Kind::Export => self.export(stage, day, &seat, (600.0 * force) as usize),
            Kind::Collusion => self.collude(stage, day, 2.0 * force),
            Kind::Ring => self.ring(stage, day, 2.5 * force),
            Kind::Forged => self.forge(stage, day, &seat, 4.0 * force),
            Kind::Bulk => self.export(stage, day, &seat, 2_000),
            Kind::Photographs => self.photograph(stage, day, 3.0),
        }
    }

    fn take(&mut self, taken: (Timestamp, String, Subject)) {
        self.attack.start = self.attack.start.min(taken.0);
        self.attack.taken.push(taken);
    }

    fn drip(&mut self, stage: &mut Stage, day: i64, seat: &Seat, rate: f64) {
        let index = self.members[0];
        for _ in 0..stage.chance.count(rate) {
            let time = stage.moment(index, day);
            let choosy = stage.chance.yes(0.4);
            let customer = if choosy { stage.customer_for(index) } else { stage.anybody() };
            // Some claim a ticket that is theirs, though it is another customer's.
            let claim = stage.chance.yes(0.3).then(|| stage.done[index].last().cloned()).flatten();
            let taken = stage.look(time, seat, customer, claim.map(|done: Done| done.ticket));
            self.take(taken);
        }
    }

    /// Opens a ticket for a customer who never wrote, looks, and closes it.
    fn pretext(&mut self, stage: &mut Stage, day: i64, seat: &Seat, rate: f64) {
        let index = self.members[0];
        for _ in 0..stage.chance.count(rate) {
            let (time, customer) = (stage.moment(index, day), stage.customer_for(index));
            let ticket = self.ticket(stage, time - 3 * MINUTE, customer, None);
            let taken = stage.look(time, seat, customer, Some(ticket.clone()));
            let lag = stage.chance.between(3.0, 60.0) as i64;
            stage.log.ticket(time + lag * MINUTE, &ticket, TicketEvent::Closed);
            self.take(taken);
        }
    }

    fn ticket(
        &mut self,
        stage: &mut Stage,
        time: i64,
        customer: usize,
        origin: Option<&str>,
    ) -> Text {
        let ticket = stage.log.name("t");
        let inbound = origin.map(|_| stage.log.name("m"));
        let actor = self.attack.actors[0].clone();
        let channel = if stage.chance.yes(0.5) { "phone" } else { "internal" };
        let queue = QUEUES[stage.customers[customer].queue];
        let subject = stage.subject(customer).clone();
        let event = stage.log.ticket(time, &ticket, TicketEvent::Opened);
        event.subject = Some(subject);
        event.channel = Some(if origin.is_some() { "email" } else { channel }.into());
        event.opened_by = Some(origin.map_or(actor.as_str(), |_| "customer").into());
        event.inbound_ref = inbound;
        event.origin = origin.map(Text::from);
        event.queue = Some(queue.into());
        let event = stage.log.ticket(time + MINUTE, &ticket, TicketEvent::Assigned);
        event.assignee = Some(actor);
        ticket
    }

    /// Opens the records beside those of real tickets.
    fn neighbour(&mut self, stage: &mut Stage, day: i64, seat: &Seat, rate: f64) {
        let index = self.members[0];
        for _ in 0..stage.chance.count(rate) {
            let time = stage.moment(index, day);
            let Some(real) = stage.done[index].last().cloned() else { continue };
            let beside = (real.customer + 1 + stage.chance.below(3)) % stage.customers.len();
            let claim = stage.chance.yes(0.8).then_some(real.ticket);
            let taken = stage.look(time, seat, beside, claim);
            self.take(taken);
        }
    }

    fn enumerate(&mut self, stage: &mut Stage, day: i64, seat: &Seat, (rate, mixed): (f64, bool)) {
        let index = self.members[0];
        let mut time = stage.moment(index, day).min(at(day, 15.0));
        for _ in 0..stage.chance.count(rate) {
            let step = if mixed { 1 + stage.chance.below(90) } else { 1 };
            self.cursor = (self.cursor + step) % stage.customers.len();
            let gap = if mixed { stage.chance.wait(100.0) } else { 40.0 };
            time += (gap * 1e6) as i64;
            let taken = stage.look(time, seat, self.cursor, None);
            self.take(taken);
        }
    }

    /// Before the last day: the customers of old, and lists.
    fn hoard(&mut self, stage: &mut Stage, day: i64, seat: &Seat, rate: f64) {
        let index = self.members[0];
        for _ in 0..stage.chance.count(rate) {
            let time = stage.moment(index, day);
            let count = stage.done[index].len();
            let old = count > 100 && stage.chance.yes(0.7);
            let (customer, claim) = if old {
                let done = stage.done[index][stage.chance.below(count - 50)].clone();
                (done.customer, stage.chance.yes(0.5).then_some(done.ticket))
            } else {
                (stage.customer_for(index), None)
            };
            let taken = stage.look(time, seat, customer, claim);
            self.take(taken);
        }
    }

    /// The account in other hands: after its owner left, or in the evening and on holiday.
    fn outside(&mut self, stage: &mut Stage, day: i64, seat: Seat, rate: f64) {
        let left = self.attack.kind == Kind::ExEmployee;
        if (left && day == self.first) || stage.chance.yes(0.4) {
            return;
        }
        let device = if stage.chance.yes(0.8) { "foreign-7".into() } else { seat.device };
        let seat = Seat { device, addr: "203.0.113.9".into(), ..seat };
        let mut time = at(day, stage.chance.between(19.0, 22.0));
        for _ in 0..1 + stage.chance.count(rate) {
            time += (stage.chance.wait(180.0) * 1e6) as i64;
            let customer = stage.anybody();
            let taken = stage.look(time, &seat, customer, None);
            self.take(taken);
        }
    }

    fn export(&mut self, stage: &mut Stage, day: i64, seat: &Seat, many: usize) {
        let time = stage.moment(self.members[0], day);
        let bulk = self.attack.kind == Kind::Bulk;
        let parts = if bulk { 20 } else { 1 };
        let (mut left, budget) = (many, 500);
        for part in 0..parts {
            let count = (many / parts).min(left);
            left -= count;
            let before = part * count;
            let stopped = bulk && before + count >= budget;
            let subjects: Vec<Subject> = (0..count)
                .map(|_| {
                    let customer = stage.anybody();
                    stage.subject(customer).clone()
                })
                .collect();
            let mut look = Look::search(subjects.clone(), None);
            look.kind = if bulk { AccessKind::List } else { AccessKind::Export };
            (look.clear, look.statement, look.decision) = (4, "st-own", AccessDecision::Allow);
            if stopped {
                look.decision = AccessDecision::Stop;
            }
            let when = time + part as i64 * MINUTE;
            let id = stage.log.access(when, seat, look);
            for subject in subjects {
                self.take((Timestamp(when), id.clone(), subject));
            }
            if stopped {
                break;
            }
        }
    }

    /// Two look at the same customers, each at other times.
    fn collude(&mut self, stage: &mut Stage, day: i64, rate: f64) {
        for (number, index) in self.members.clone().into_iter().enumerate() {
            if !stage.staff[index].works(day) {
                continue;
            }
            let seat = stage.seat(index, day);
            for _ in 0..stage.chance.count(rate) {
                let time = stage.moment(index, day);
                if number == 0 {
                    let fresh = stage.anybody();
                    let place = stage.chance.below(self.victims.len());
                    self.victims[place] = fresh;
                }
                let customer = *stage.chance.one_of(&self.victims);
                let taken = stage.look(time, &seat, customer, None);
                self.take(taken);
            }
        }
    }

    /// Two grant each other what they ask for.
    fn ring(&mut self, stage: &mut Stage, day: i64, rate: f64) {
        let members = self.members.clone();
        for (index, other) in [(members[0], members[1]), (members[1], members[0])] {
            if !stage.staff[index].works(day) {
                continue;
            }
            let seat = stage.seat(index, day);
            let by = stage.staff[other].actor.clone();
            for _ in 0..stage.chance.count(rate) {
                let (time, customer) = (stage.moment(index, day), stage.anybody());
                let subject = stage.subject(customer).clone();
                stage.log.approval(time - MINUTE, &seat.actor, &by, &[subject]);
                let taken = stage.look(time, &seat, customer, None);
                self.take(taken);
            }
        }
    }

    /// Writes in the customers' names from mailboxes of its own.
    fn forge(&mut self, stage: &mut Stage, day: i64, seat: &Seat, rate: f64) {
        let index = self.members[0];
        let base = 5_000 + index;
        for _ in 0..stage.chance.count(rate) {
            let (time, customer) = (stage.moment(index, day), stage.customer_for(index));
            let origin = format!("o{}", base + stage.chance.below(2));
            let ticket = self.ticket(stage, time - HOUR, customer, Some(&origin));
            let taken = stage.look(time, seat, customer, Some(ticket.clone()));
            stage.log.ticket(time + 2 * HOUR, &ticket, TicketEvent::Closed);
            self.take(taken);
        }
    }

    fn photograph(&mut self, stage: &mut Stage, day: i64, rate: f64) {
        let index = self.members[0];
        let today: Vec<Done> =
            stage.done[index].iter().filter(|done| done.day == day).cloned().collect();
        for done in today.iter().take(stage.chance.count(rate)) {
            let subject = stage.subject(done.customer).clone();
            self.take((Timestamp(at(day, 16.0)), String::new(), subject));
        }
    }

    /// What HR is told because of the attack.
    pub(crate) fn papers(&self, stage: &mut Stage) {
        let member = stage.staff[self.members[0]].clone();
        if self.attack.kind == Kind::Hoarding {
            stage.log.put(person(&member, at(self.first - 2, 9.0), PersonEvent::Notice));
        }
        if self.attack.kind == Kind::ExEmployee {
            stage.log.put(person(&member, at(self.first - 14, 9.0), PersonEvent::Notice));
            stage.log.put(person(&member, at(self.first, 0.0), PersonEvent::Left));
        }
        if self.attack.kind == Kind::Borrowed {
            let (from, to) = member.holiday;
            stage.log.put(person(&member, at(from, 0.0), PersonEvent::Absent));
            stage.log.put(person(&member, at(to + 1, 0.0), PersonEvent::Returned));
        }
        debug_assert!(self.first * DAY < self.last * DAY + DAY);
    }
}
