//! A world while it is made.

use std::collections::BTreeMap;

use postern_model::{AccessKind, Subject, Text, TicketEvent, Timestamp};

use crate::centre::{
    Chance, Plan, Trouble,
    log::{HOUR, Log, Look, MINUTE, Seat, at},
    staff::{Customer, LANGUAGES, Member, QUEUES},
};

/// What a member has worked on.
#[derive(Debug, Clone)]
pub(crate) struct Done {
    pub(crate) ticket: Text,
    pub(crate) customer: usize,
    pub(crate) day: i64,
}

#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) plan: Plan,
    pub(crate) chance: Chance,
    pub(crate) log: Log,
    pub(crate) staff: Vec<Member>,
    pub(crate) customers: Vec<Customer>,
    /// The members who take records.
    pub(crate) taken: Vec<usize>,
    /// What each member has worked on, the newest last.
    pub(crate) done: Vec<Vec<Done>>,
    /// Customers by queue and language.
    groups: BTreeMap<(usize, usize), Vec<usize>>,
    /// How much there is to do in each queue today.
    pub(crate) load: Vec<f64>,
}

impl Stage {
    pub(crate) fn new(
        plan: Plan,
        chance: Chance,
        log: Log,
        (staff, customers): (Vec<Member>, Vec<Customer>),
    ) -> Self {
        let mut groups: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        // Decoys never write.
        for (index, customer) in customers.iter().enumerate().filter(|(i, _)| i % 1_000 != 999) {
            groups.entry((customer.queue, customer.language)).or_default().push(index);
        }
        let done = vec![Vec::new(); staff.len()];
        let load = vec![1.0; QUEUES.len()];
        Self { plan, chance, log, staff, customers, taken: Vec::new(), done, groups, load }
    }

    pub(crate) fn subject(&self, customer: usize) -> &Subject {
        &self.customers[customer].subject
    }

    pub(crate) fn anybody(&mut self) -> usize {
        self.chance.below(self.customers.len())
    }

    /// Anybody who could have written.
    pub(crate) fn somebody(&mut self) -> usize {
        let one = self.anybody();
        if one % 1_000 == 999 { one - 1 } else { one }
    }

    /// A customer whom the member would be given: of their queues and languages, mostly.
    pub(crate) fn customer_for(&mut self, member: usize) -> usize {
        let elsewhere = if self.plan.trouble.has(Trouble::Peaks) { 0.1 } else { 0.04 };
        if self.chance.yes(elsewhere) {
            return self.somebody();
        }
        let member = &self.staff[member];
        let key = (*self.chance.one_of(&member.queues), *self.chance.one_of(&member.languages));
        let group = &self.groups[&key];
        // Some customers write again and again.
        let skewed = self.chance.share() * self.chance.share();
        group[(skewed * group.len() as f64) as usize]
    }

    /// Where the member sits today.
    pub(crate) fn seat(&mut self, index: usize, day: i64) -> Seat {
        let member = self.staff[index].clone();
        let session = self.log.name("s");
        let replaced = self.plan.trouble.has(Trouble::Migration) && day >= 35;
        let own = if replaced { format!("{}n", member.device).into() } else { member.device };
        let device = match self.chance.share() {
            _ if member.hot_desk => format!("h{}", self.chance.below(12)).into(),
            luck if luck < 0.01 => format!("loan{}", self.chance.below(6)).into(),
            _ => own,
        };
        let home = self.chance.yes(0.2);
        let addr = if home { format!("home-{}", member.actor).into() } else { member.addr };
        Seat { actor: member.actor, session, device, addr, app: "crm" }
    }

    /// A moment in the member's shift.
    pub(crate) fn moment(&mut self, index: usize, day: i64) -> i64 {
        let (shift, hours) = (self.staff[index].shift, self.staff[index].hours);
        let late = self.chance.yes(0.03);
        let hour = shift + self.chance.between(0.1, if late { hours + 1.5 } else { hours - 0.1 });
        at(day, hour)
    }

    /// A customer's message becomes a ticket that is worked on, looked into, answered and closed.
    pub(crate) fn handle(&mut self, index: usize, time: i64, seat: &Seat, customer: usize) {
        let member = self.staff[index].clone();
        let subject = self.subject(customer).clone();
        let ticket = self.log.name("t");
        let late = self.chance.yes(member.late_links);
        self.open(&member, (time, customer), &ticket, late);
        let claims = self.chance.yes(0.85);
        let claim = claims.then(|| ticket.clone());
        if self.chance.yes(0.3) {
            let mut found = vec![subject.clone()];
            for _ in 0..self.chance.below(5) {
                let other = self.customer_for(index);
                found.push(self.subject(other).clone());
            }
            let mut look = Look::search(found, claim.clone());
            look.clear = if self.chance.yes(0.1) { 1 } else { 0 };
            self.log.access(time + MINUTE / 2, seat, look);
        }
        for step in 0..1 + self.chance.count(0.8) {
            let mut look = Look::lookup(&subject, claim.clone());
            look.clear = if self.chance.yes(0.2) { 2 } else { 4 };
            let when = time + (1 + 4 * step as i64) * MINUTE;
            self.log.access(when, seat, look);
        }
        if self.chance.yes(0.02) {
            let other = self.customer_for(index);
            let look = Look::lookup(&self.subject(other).clone(), claim);
            self.log.access(time + 6 * MINUTE, seat, look);
        }
        self.end(&member, time, &ticket, (&subject, late));
        let day = time.div_euclid(crate::centre::log::DAY) - at(0, 0.0) / crate::centre::log::DAY;
        self.done[index].push(Done { ticket, customer, day });
    }

    fn open(&mut self, member: &Member, (time, customer): (i64, usize), ticket: &Text, late: bool) {
        let Customer { subject, queue, language } = self.customers[customer].clone();
        let luck = self.chance.share();
        let (channel, opened) = match luck {
            _ if luck < 0.45 => ("email", time - (self.chance.wait(5.0) * HOUR as f64) as i64),
            _ if luck < 0.70 => ("phone", time - MINUTE),
            _ if luck < 0.88 => ("chat", time - 2 * MINUTE),
            _ => ("web", time - (self.chance.wait(8.0) * HOUR as f64) as i64),
        };
        let own_hand = self.chance.yes(member.self_opened);
        let named = !self.chance.yes(0.15);
        let call = (channel == "phone" && !own_hand)
            .then(|| self.log.call(opened, &member.actor, named.then_some(&subject)));
        let inbound = match call {
            Some(call) => Some(call).filter(|_| !self.chance.yes(0.1)),
            None if own_hand || self.chance.yes(0.02) => None,
            None => Some(self.log.name("m")),
        };
        let provider = (self.chance.share().powi(3) * 400.0) as usize;
        let event = self.log.ticket(opened, ticket, TicketEvent::Opened);
        event.subject = (!late).then(|| subject.clone());
        event.channel = Some(if own_hand { "internal" } else { channel }.into());
        let by_member = own_hand || channel == "phone";
        event.opened_by = Some(if by_member { member.actor.as_str() } else { "customer" }.into());
        event.inbound_ref = inbound;
        event.origin = (!by_member).then(|| format!("o{provider}").into());
        event.queue = Some(QUEUES[queue].into());
        event.language = Some(LANGUAGES[language].into());
        if self.chance.yes(0.06) {
            let other = self.chance.below(self.staff.len());
            let actor = self.staff[other].actor.clone();
            let event = self.log.ticket(opened.max(time - HOUR), ticket, TicketEvent::Assigned);
            event.assignee = Some(actor);
        }
        let event = self.log.ticket(opened.max(time - 2 * MINUTE), ticket, TicketEvent::Assigned);
        event.assignee = Some(member.actor.clone());
    }

    fn end(&mut self, member: &Member, time: i64, ticket: &Text, about: (&Subject, bool)) {
        if about.1 && !self.chance.yes(0.08) {
            let lag = (self.chance.wait(7.0) * HOUR as f64) as i64;
            let event = self.log.ticket(time + 5 * MINUTE + lag, ticket, TicketEvent::Linked);
            event.subject = Some(about.0.clone());
        }
        if self.chance.yes(0.8) {
            self.log.ticket(time + 8 * MINUTE, ticket, TicketEvent::Reply);
        }
        if self.chance.yes(0.05) {
            let leads: Vec<usize> =
                (0..self.staff.len()).filter(|i| self.staff[*i].role == "lead").collect();
            let lead = self.staff[leads[member.team % leads.len()]].actor.clone();
            let event = self.log.ticket(time + 9 * MINUTE, ticket, TicketEvent::Escalated);
            event.assignee = Some(lead);
        }
        if !self.chance.yes(0.03) {
            let lag = (self.chance.wait(10.0) * HOUR as f64) as i64;
            self.log.ticket(time + 10 * MINUTE + lag, ticket, TicketEvent::Closed);
        }
    }

    /// One access for one customer.
    pub(crate) fn look(
        &mut self,
        time: i64,
        seat: &Seat,
        customer: usize,
        ticket: Option<Text>,
    ) -> (Timestamp, String, Subject) {
        let subject = self.subject(customer).clone();
        let id = self.log.access(time, seat, Look::lookup(&subject, ticket));
        (Timestamp(time), id, subject)
    }

    /// A report over many customers.
    pub(crate) fn report(&mut self, time: i64, seat: &Seat, (many, clear): (usize, usize)) {
        let subjects: Vec<Subject> = (0..many)
            .map(|_| {
                let customer = self.anybody();
                self.subject(customer).clone()
            })
            .collect();
        let mut look = Look::search(subjects, None);
        (look.kind, look.statement, look.clear) = (AccessKind::Report, "st-report", clear);
        self.log.access(time, seat, look);
    }
}
