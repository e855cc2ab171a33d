//! What explains an access: a ticket, a call or an approval that concerns the customer and the
//! account, as far as it was known by then.
//!
//! Where the source of an access says which reason held and of what grade, it is believed: the
//! gateway has checked it. Otherwise the reason is derived here, as one of [`Class`]. What is
//! called unexplained here is neutral: no system knows why.

use std::{collections::VecDeque, time::Duration};

use postern_model::{
    Access, Approval, ApprovalEvent, Call, Direction, Grade, Text, Ticket, TicketEvent, Timestamp,
};

use self::tickets::{TicketState, Tickets};
use crate::names::{Map, NONE};

#[cfg(test)]
mod tests;
mod tickets;

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How much later than an access its reason may be asked for.
const LOOKED_AT_AGAIN: Duration = Duration::from_secs(48 * 60 * 60);
/// How long an approval holds that nobody ends.
const GRANTED: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Approvals that are remembered for an account.
const GRANTS: usize = 256;
/// Customers and accounts that are told apart for an origin; beyond that it is a mail provider.
const ORIGIN: usize = 24;

/// How an access to one subject is explained, from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// A reason that the customer caused.
    Strong,
    /// Somebody else approved it.
    Approved,
    /// A ticket or call that the account could have made alone.
    Weak,
    /// A ticket of a colleague that is open, or a call that names no customer.
    Colleague,
    /// The claimed ticket is the account's and names no customer yet.
    Dangling,
    /// The account's own ticket, closed long ago.
    Past,
    /// A colleague's ticket, closed long ago.
    Archive,
    /// The claimed ticket is another customer's, and nothing else explains it.
    Misclaimed,
    /// Nothing.
    Bare,
}

/// How an access is explained, and by what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reason {
    pub(crate) class: Class,
    /// The account that approved it.
    pub(crate) by: u32,
    /// Whether the ticket's origin writes for many customers and to this account.
    pub(crate) clustered: bool,
    /// Whether the account's ticket, of which no customer's message is known, was closed at once,
    /// without an answer to anybody.
    pub(crate) fleeting: bool,
}

impl Reason {
    const fn of(class: Class) -> Self {
        Self { class, by: NONE, clustered: false, fleeting: false }
    }
}

/// A call of an account.
#[derive(Debug)]
struct Spoken {
    subject: u32,
    from: Timestamp,
    ends: Timestamp,
    strong: bool,
}

/// What an account was granted.
#[derive(Debug)]
struct Grant {
    request: u32,
    subject: u32,
    by: u32,
    from: Timestamp,
    until: Timestamp,
}

#[derive(Debug, Default)]
struct Desk {
    /// Recent calls.
    calls: VecDeque<Spoken>,
    grants: VecDeque<Grant>,
    /// Whom this account granted something, and when for the last time.
    granted: Vec<(u32, Timestamp)>,
}

#[derive(Debug, Default)]
struct Origin {
    subjects: Vec<u32>,
    assignees: Vec<u32>,
    many: bool,
}

/// All that gives reasons. What has ended long ago is forgotten, once a day.
#[derive(Debug)]
pub(crate) struct Reasons {
    outlives: Duration,
    tickets: Tickets,
    /// What each account has said and may do, by its number.
    desks: Vec<Desk>,
    requests: Map<Text, u32>,
    origins: Map<u32, Origin>,
    connected: bool,
    /// Whether tickets tell who opened them, or why.
    origins_told: bool,
}

impl Reasons {
    pub(crate) fn new(outlives: Duration) -> Self {
        Self {
            outlives,
            tickets: Tickets::default(),
            desks: Vec::new(),
            requests: Map::default(),
            origins: Map::default(),
            connected: false,
            origins_told: false,
        }
    }

    /// Has tickets be fetched, by the tags of their names and by customers.
    pub(crate) fn expect(&self, tags: &[u32], subjects: &[u32]) {
        self.tickets.expect(tags, subjects);
    }

    /// Whether any source has told of reasons; if none has, their absence means nothing.
    pub(crate) fn connected(&self) -> bool {
        self.connected
    }

    pub(crate) fn access(&mut self, access: &Access) {
        self.connected |= access.grade.is_some();
    }

    fn desk(&self, actor: u32) -> Option<&Desk> {
        self.desks.get(actor as usize)
    }

    fn desk_mut(&mut self, actor: u32) -> Option<&mut Desk> {
        let place = actor as usize;
        if self.desks.len() <= place && actor != NONE {
            self.desks.resize_with(place + 1, Desk::default);
        }
        self.desks.get_mut(place)
    }

    pub(crate) fn ticket(
        &mut self,
        (ticket, tag): (&Ticket, u32),
        (subject, assignee): (Option<u32>, Option<u32>),
        (opener, origin): (Option<u32>, Option<u32>),
    ) {
        self.connected = true;
        self.tickets.forget(ticket.ts, self.outlives);
        self.origins_told |= ticket.opened_by.is_some() || ticket.inbound_ref.is_some();
        let number = self.tickets.number((&ticket.ticket, tag), ticket.ts);
        let Some(state) = self.tickets.state_mut(number) else { return };
        state.touched = state.touched.max(ticket.ts);
        let opened = ticket.event == TicketEvent::Opened;
        state.by_customer |= ticket.inbound_ref.is_some()
            || (opened && ticket.opened_by.as_deref() == Some("customer"));
        state.opener = opener.filter(|_| opened).unwrap_or(state.opener);
        state.origin = origin.unwrap_or(state.origin);
        match ticket.event {
            TicketEvent::Closed => state.close(Some(ticket.ts)),
            TicketEvent::Opened => {
                state.opened = ticket.ts;
                state.close(state.closed().filter(|closed| *closed > ticket.ts));
            }
            TicketEvent::Reopened => state.close(None),
            TicketEvent::Reply => state.answered = true,
            TicketEvent::Assigned
            | TicketEvent::Escalated
            | TicketEvent::Note
            | TicketEvent::Linked => {}
        }
        if let Some(assignee) = assignee {
            self.tickets.assign(number, assignee, ticket.ts);
        }
        if let Some(subject) = subject {
            self.tickets.link(number, subject);
        }
        self.count_origin(number);
    }

    /// Counts whose customers an origin writes for, and whom it reaches.
    fn count_origin(&mut self, number: u32) {
        let Some(state) = self.tickets.state_mut(number) else { return };
        let complete = state.assignee != NONE && state.subject != NONE && state.origin != NONE;
        if !complete || state.counted {
            return;
        }
        state.counted = true;
        let origin = self.origins.entry(state.origin).or_default();
        if origin.subjects.contains(&state.subject) {
            return;
        }
        origin.many |= origin.subjects.len() >= ORIGIN && {
            let first = origin.assignees.first().copied().unwrap_or(NONE);
            origin.assignees.iter().filter(|assignee| **assignee == first).count() * 2 < ORIGIN
        };
        if origin.subjects.len() >= ORIGIN {
            origin.subjects.remove(0);
            origin.assignees.remove(0);
        }
        origin.subjects.push(state.subject);
        origin.assignees.push(state.assignee);
    }

    /// A call explains what is read from its start until a while after its end.
    pub(crate) fn call(&mut self, call: &Call, actor: u32, subject: Option<u32>) {
        self.connected = true;
        self.tickets.forget(call.ts, self.outlives);
        let seconds = Duration::try_from_secs_f64(call.seconds).unwrap_or(Duration::ZERO);
        let strong = call.direction == Direction::In || call.booking.is_some();
        let ends = call.ts.after(seconds);
        let (outlives, ts) = (self.outlives, call.ts);
        let Some(Desk { calls, .. }) = self.desk_mut(actor) else { return };
        let forgotten = |call: &Spoken| call.ends.after(outlives).after(LOOKED_AT_AGAIN) < ts;
        while calls.front().is_some_and(forgotten) {
            calls.pop_front();
        }
        calls.push_back(Spoken { subject: subject.unwrap_or(NONE), from: ts, ends, strong });
    }

    /// An approval counts if somebody else than the asker granted it; its scope is a list of
    /// customers. A scope that names none is taken to be of all of them, for a day.
    pub(crate) fn approval(
        &mut self,
        approval: &Approval,
        (actor, by): (u32, Option<u32>),
        scope: &[u32],
    ) {
        self.connected = true;
        let next = u32::try_from(self.requests.len()).unwrap_or(NONE);
        let request = *self.requests.entry(approval.request.clone()).or_insert(next);
        let Some(Desk { grants, .. }) = self.desk_mut(actor) else { return };
        let another = by.filter(|by| *by != actor);
        if approval.event == ApprovalEvent::Granted
            && let Some(by) = another
        {
            let from = approval.ts;
            if scope.is_empty() {
                let until = from.after(DAY);
                grants.push_back(Grant { request, subject: NONE, by, from, until });
            }
            for subject in scope {
                let until = from.after(GRANTED);
                grants.push_back(Grant { request, subject: *subject, by, from, until });
            }
            while grants.len() > GRANTS {
                grants.pop_front();
            }
            let Some(Desk { granted, .. }) = self.desk_mut(by) else { return };
            match granted.iter_mut().find(|(to, _)| *to == actor) {
                Some((_, last)) => *last = approval.ts,
                None => granted.push((actor, approval.ts)),
            }
        } else if matches!(approval.event, ApprovalEvent::Expired | ApprovalEvent::Refused) {
            grants.retain(|grant| grant.request != request);
        }
    }

    /// Whether the first account has granted the second one something of late.
    pub(crate) fn has_granted(&self, by: u32, to: u32, now: Timestamp) -> bool {
        self.desk(by).is_some_and(|desk| {
            desk.granted.iter().any(|(other, at)| *other == to && now.since(*at) < DAY * 60)
        })
    }

    /// Whether the account is on a call.
    pub(crate) fn on_call(&self, actor: u32, now: Timestamp) -> bool {
        let desk = self.desk(actor);
        desk.and_then(|desk| desk.calls.back()).is_some_and(|call| now < call.ends)
    }

    /// How well the access to this subject is explained, by what is known now.
    pub(crate) fn explain(&self, access: &Access, actor: u32, subject: u32) -> Reason {
        match access.grade {
            Some(Grade::Strong) => {
                let derived = self.derive((actor, subject), access.ts, access.ticket.as_deref());
                Reason { class: Class::Strong, ..derived }
            }
            Some(Grade::Weak) => {
                let derived = self.derive((actor, subject), access.ts, access.ticket.as_deref());
                let approved = derived.class == Class::Approved;
                let class = if approved { Class::Approved } else { Class::Weak };
                Reason { class, ..derived }
            }
            None => self.derive((actor, subject), access.ts, access.ticket.as_deref()),
        }
    }

    /// How an access at that time is explained by what is known now.
    pub(crate) fn derive(
        &self,
        (actor, subject): (u32, u32),
        at: Timestamp,
        claimed: Option<&str>,
    ) -> Reason {
        let mut best = Reason::of(Class::Bare);
        self.tickets.of(subject, at, |number, state| {
            let reason = self.by_ticket((number, state), actor, at);
            // The oldest of equals counts; it comes last.
            if reason.class <= best.class {
                best = reason;
            }
        });
        if best.class > Class::Past {
            for owner in self.tickets.old(subject, at) {
                let class = if owner == actor { Class::Past } else { Class::Archive };
                best = if class < best.class { Reason::of(class) } else { best };
            }
        }
        if best.class > Class::Strong
            && let Some(desk) = self.desk(actor)
        {
            let reason = self.by_desk(desk, subject, at);
            if reason.class < best.class {
                best = reason;
            }
        }
        if best.class >= Class::Dangling
            && let Some(claimed) = claimed.and_then(|name| self.tickets.known(name))
            && let Some(state) = self.tickets.state(claimed)
        {
            best.class = match state.subject {
                NONE if state.assignee == actor || state.assignee == NONE => Class::Dangling,
                other if other != subject && best.class >= Class::Archive => Class::Misclaimed,
                _ => best.class,
            };
        }
        best
    }

    fn by_ticket(&self, (number, state): (u32, &TicketState), actor: u32, at: Timestamp) -> Reason {
        let lasts = |end: Timestamp| at <= end.after(self.outlives);
        let mine = state.assignee == actor
            || self
                .tickets
                .former(number, state)
                .is_some_and(|(former, until)| former == actor && lasts(until))
            || (state.opener == actor && state.assignee == NONE);
        let open = state.closed().is_none_or(lasts) && state.opened <= at.after(HOUR);
        let class = match (mine, open) {
            (true, true) if self.genuine(state) => Class::Strong,
            (true, true) => Class::Weak,
            (false, true) => Class::Colleague,
            (true, false) => Class::Past,
            (false, false) => Class::Archive,
        };
        let fleeting = !state.answered
            && !state.by_customer
            && class <= Class::Weak
            && state.closed().is_some_and(|closed| closed.since(state.opened) < HOUR * 2);
        let clustered = class == Class::Strong && self.clustered(state.origin, actor);
        Reason { class, by: NONE, clustered, fleeting }
    }

    /// Whether the customer caused it: they wrote, or called the account that noted it down.
    fn genuine(&self, state: &TicketState) -> bool {
        state.by_customer
            || !self.origins_told
            || self.desk(state.opener).is_some_and(|desk| {
                desk.calls.iter().any(|Spoken { subject, ends, strong, .. }| {
                    let near =
                        state.opened <= ends.after(HOUR / 2) && ends.since(state.opened) <= HOUR;
                    *strong && near && (*subject == state.subject || *subject == NONE)
                })
            })
    }

    fn clustered(&self, origin: u32, actor: u32) -> bool {
        self.origins.get(&origin).is_some_and(|origin| {
            let mine = origin.assignees.iter().filter(|assignee| **assignee == actor).count();
            !origin.many && mine >= 3 && mine * 10 >= origin.assignees.len() * 7
        })
    }

    fn by_desk(&self, desk: &Desk, subject: u32, at: Timestamp) -> Reason {
        let lasts = |end: Timestamp| at <= end.after(self.outlives);
        let mut best = Reason::of(Class::Bare);
        // What came after the look is no reason for it.
        let began = |from: Timestamp| from <= at.after(HOUR / 4);
        for Spoken { subject: with, ends, strong, .. } in
            desk.calls.iter().rev().filter(|call| began(call.from))
        {
            let class = match (*with == subject, *with == NONE, strong) {
                (true, _, true) if lasts(*ends) => Class::Strong,
                (true, _, false) if lasts(*ends) => Class::Weak,
                (_, true, true) if at <= ends.after(HOUR / 2) => Class::Colleague,
                _ => continue,
            };
            if class < best.class {
                best = Reason::of(class);
            }
        }
        let granted = desk
            .grants
            .iter()
            .rev()
            .filter(|grant| began(grant.from) && at <= grant.until)
            .find(|grant| grant.subject == subject || grant.subject == NONE);
        match granted {
            Some(Grant { by, .. }) if best.class > Class::Approved => {
                Reason { by: *by, ..Reason::of(Class::Approved) }
            }
            _ => best,
        }
    }
}
