//! Where a world's events are written down while it is made.

use postern_model::{
    Access, AccessDecision, AccessKind, Actor, Approval, ApprovalEvent, Call, Direction, Event,
    Subject, Text, Ticket, TicketEvent, Timestamp,
};

pub(crate) const MINUTE: i64 = 60_000_000;
pub(crate) const HOUR: i64 = 60 * MINUTE;
pub(crate) const DAY: i64 = 24 * HOUR;
/// Monday, 2026-01-05, as a number of days since 1970.
const FIRST_DAY: i64 = 20_458;

/// The fields that this world protects.
pub(crate) const FIELDS: [&str; 5] = ["name", "email", "phone", "address", "case_number"];

/// The moment of an hour of a day of the world.
pub(crate) fn at(day: i64, hour: f64) -> i64 {
    (FIRST_DAY + day) * DAY + (hour * HOUR as f64) as i64
}

/// An event and when it reached the watch.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    pub seen: Timestamp,
    pub event: Event,
}

#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) events: Vec<Seen>,
    made: usize,
}

/// Where an access comes from.
#[derive(Debug, Clone)]
pub(crate) struct Seat {
    pub(crate) actor: Actor,
    pub(crate) session: Text,
    pub(crate) device: Text,
    pub(crate) addr: Text,
    pub(crate) app: &'static str,
}

/// What an access shows.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    pub(crate) kind: AccessKind,
    pub(crate) subjects: Vec<Subject>,
    pub(crate) ticket: Option<Text>,
    /// How many of the fields are clear; the others are masked.
    pub(crate) clear: usize,
    pub(crate) statement: &'static str,
    pub(crate) decision: AccessDecision,
}

impl Look {
    pub(crate) fn lookup(subject: &Subject, ticket: Option<Text>) -> Self {
        Self {
            kind: AccessKind::Lookup,
            subjects: vec![subject.clone()],
            ticket,
            clear: 4,
            statement: "st-lookup",
            decision: AccessDecision::Allow,
        }
    }

    /// A search: names of several, masked.
    pub(crate) fn search(subjects: Vec<Subject>, ticket: Option<Text>) -> Self {
        Self {
            kind: AccessKind::Search,
            subjects,
            ticket,
            clear: 0,
            statement: "st-search",
            decision: AccessDecision::Mask,
        }
    }
}

impl Log {
    pub(crate) fn name(&mut self, letter: &str) -> Text {
        self.made += 1;
        format!("{letter}{}", self.made).into()
    }

    pub(crate) fn put(&mut self, event: Event) {
        let seen = event.ts();
        self.events.push(Seen { seen, event });
    }

    /// Writes an access down and gives its id.
    pub(crate) fn access(&mut self, ts: i64, seat: &Seat, look: Look) -> String {
        let id = self.name("e").to_string();
        let fields = |range: &[&str]| range.iter().map(|field| Text::from(*field)).collect();
        let rows = look.subjects.len() as u64;
        let search = (look.kind == AccessKind::Search).then(|| Text::from(format!("h{ts}")));
        let (clear, masked) = FIELDS.split_at(look.clear.min(FIELDS.len()));
        self.put(Event::Access(Box::new(Access {
            ts: Timestamp(ts),
            id: id.clone().into(),
            actor: seat.actor.clone(),
            session: seat.session.clone(),
            client_addr: Some(seat.addr.clone()),
            device: Some(seat.device.clone()),
            app: Some(seat.app.into()),
            statement: look.statement.into(),
            kind: Some(look.kind),
            ticket: look.ticket,
            reason: None,
            grade: None,
            subjects: look.subjects,
            clear: fields(clear),
            masked: fields(masked),
            rows,
            decision: look.decision,
            search,
        })));
        id
    }

    pub(crate) fn ticket(&mut self, ts: i64, ticket: &Text, event: TicketEvent) -> &mut Ticket {
        self.put(Event::Ticket(Box::new(Ticket {
            ts: Timestamp(ts),
            seen: Timestamp(ts),
            ticket: ticket.clone(),
            event,
            subject: None,
            channel: None,
            opened_by: None,
            inbound_ref: None,
            origin: None,
            assignee: None,
            queue: None,
            language: None,
        })));
        match self.events.last_mut() {
            Some(Seen { event: Event::Ticket(ticket), .. }) => ticket,
            _ => unreachable!("a ticket has just been written"),
        }
    }

    pub(crate) fn call(&mut self, ts: i64, actor: &Actor, subject: Option<&Subject>) -> Text {
        let call = self.name("k");
        self.put(Event::Call(Call {
            ts: Timestamp(ts),
            call: call.clone(),
            actor: actor.clone(),
            subject: subject.cloned(),
            direction: Direction::In,
            seconds: 60.0 + ((ts / 1_000) % 500) as f64,
            booking: None,
        }));
        call
    }

    /// One asks, another grants a while later.
    pub(crate) fn approval(&mut self, ts: i64, actor: &Actor, by: &Actor, scope: &[Subject]) {
        let request = self.name("r");
        let scope: Vec<&str> = scope.iter().map(Subject::as_str).collect();
        for (ts, event) in [(ts - 9 * MINUTE, ApprovalEvent::Asked), (ts, ApprovalEvent::Granted)] {
            self.put(Event::Approval(Approval {
                ts: Timestamp(ts),
                request: request.clone(),
                event,
                actor: actor.clone(),
                by: (event == ApprovalEvent::Granted).then(|| by.clone()),
                scope: Some(scope.join(" ")),
            }));
        }
    }
}
