//! What explains an access: a ticket, a call or an approval that concerns the customer and the
//! account, as far as it was known by then.
//!
//! Where the source of an access says which reason held and of what grade, it is believed: the
//! gateway has checked it. Otherwise the reason is derived here. A reason that the customer caused
//! is strong; one that the account or a colleague could have made alone is weak.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use postern_model::{
    Access, Actor, Approval, ApprovalEvent, Call, Direction, Grade, Subject, Ticket, TicketEvent,
    Timestamp,
};

#[cfg(test)]
mod tests;

/// How well an access to one subject is explained; the order is from worst to best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Explanation {
    Missing,
    Weak,
    Strong,
}

#[derive(Debug, Default)]
struct TicketState {
    subject: Option<Subject>,
    by_customer: bool,
    assignee: Option<Actor>,
    /// Who had it before, and until when.
    former: Option<(Actor, Timestamp)>,
    closed: Option<Timestamp>,
}

#[derive(Debug)]
struct CallState {
    actor: Actor,
    ends: Timestamp,
    strong: bool,
}

#[derive(Debug)]
struct Grant {
    actor: Actor,
    scope: BTreeSet<Subject>,
}

/// How long a closed ticket is remembered, in case that it is reopened.
const REOPENED_WITHIN: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// All that gives reasons. What has ended long ago is forgotten, once a day.
#[derive(Debug)]
pub(crate) struct Reasons {
    outlives: Duration,
    tickets: BTreeMap<Arc<str>, TicketState>,
    tickets_of: BTreeMap<Subject, BTreeSet<Arc<str>>>,
    calls_of: BTreeMap<Subject, Vec<CallState>>,
    grants: BTreeMap<Arc<str>, Grant>,
    connected: bool,
    day: i64,
}

impl Reasons {
    pub(crate) fn new(outlives: Duration) -> Self {
        Self {
            outlives,
            tickets: BTreeMap::new(),
            tickets_of: BTreeMap::new(),
            calls_of: BTreeMap::new(),
            grants: BTreeMap::new(),
            connected: false,
            day: i64::MIN,
        }
    }

    /// Whether any source has told of reasons.
    pub(crate) fn connected(&self) -> bool {
        self.connected
    }

    pub(crate) fn ticket(&mut self, ticket: &Ticket) {
        self.connected = true;
        let state = self.tickets.entry(Arc::clone(&ticket.ticket)).or_default();
        let opened = ticket.event == TicketEvent::Opened;
        state.by_customer |= ticket.inbound_ref.is_some()
            || (opened && ticket.opened_by.as_deref() == Some("customer"));
        if let Some(assignee) = &ticket.assignee
            && state.assignee.as_ref() != Some(assignee)
        {
            let former = state.assignee.replace(assignee.clone());
            state.former = former.map(|actor| (actor, ticket.ts));
        }
        match ticket.event {
            TicketEvent::Closed => state.closed = Some(ticket.ts),
            TicketEvent::Opened | TicketEvent::Reopened => state.closed = None,
            TicketEvent::Assigned
            | TicketEvent::Escalated
            | TicketEvent::Note
            | TicketEvent::Reply
            | TicketEvent::Linked => {}
        }
        if let Some(subject) = &ticket.subject {
            if let Some(old) = state.subject.replace(subject.clone())
                && old != *subject
                && let Some(tickets) = self.tickets_of.get_mut(&old)
            {
                tickets.remove(&ticket.ticket);
            }
            let tickets = self.tickets_of.entry(subject.clone()).or_default();
            tickets.insert(Arc::clone(&ticket.ticket));
        }
        self.forget(ticket.ts);
    }

    /// A call explains what is read from its start until a while after its end.
    pub(crate) fn call(&mut self, call: &Call) {
        self.connected = true;
        let Some(subject) = &call.subject else { return };
        let seconds = Duration::try_from_secs_f64(call.seconds).unwrap_or(Duration::ZERO);
        let calls = self.calls_of.entry(subject.clone()).or_default();
        calls.push(CallState {
            actor: call.actor.clone(),
            ends: call.ts.after(seconds),
            strong: call.direction == Direction::In || call.booking.is_some(),
        });
        self.forget(call.ts);
    }

    /// An approval counts if somebody else than the asker granted it; its scope is a list of
    /// customers, separated by commas or spaces.
    pub(crate) fn approval(&mut self, approval: &Approval) {
        self.connected = true;
        let by_another = approval.by.as_ref().is_some_and(|by| *by != approval.actor);
        if approval.event == ApprovalEvent::Granted && by_another {
            let scope = approval.scope.as_deref().unwrap_or_default();
            let scope = scope.split([',', ' ']).filter(|name| !name.is_empty()).map(Subject::new);
            let grant = Grant { actor: approval.actor.clone(), scope: scope.collect() };
            self.grants.insert(Arc::clone(&approval.request), grant);
        } else if matches!(approval.event, ApprovalEvent::Expired | ApprovalEvent::Refused) {
            self.grants.remove(&approval.request);
        }
    }

    pub(crate) fn access(&mut self, access: &Access) {
        self.connected |= access.grade.is_some();
    }

    /// How well the access to this subject is explained.
    pub(crate) fn explain(&self, access: &Access, subject: &Subject) -> Explanation {
        match access.grade {
            Some(Grade::Strong) => Explanation::Strong,
            Some(Grade::Weak) => Explanation::Weak,
            None => self.derive(&access.actor, subject, access.ts),
        }
    }

    fn derive(&self, actor: &Actor, subject: &Subject, now: Timestamp) -> Explanation {
        let grade = |strong| if strong { Explanation::Strong } else { Explanation::Weak };
        let lasts = |end: Timestamp| now <= end.after(self.outlives);
        let tickets = self.tickets_of.get(subject).into_iter().flatten();
        let by_ticket = tickets.filter_map(|id| self.tickets.get(id)).filter(|ticket| {
            let former = ticket.former.as_ref();
            let held = ticket.assignee.as_ref() == Some(actor)
                || former.is_some_and(|(former, until)| former == actor && lasts(*until));
            held && ticket.closed.is_none_or(lasts)
        });
        let calls = self.calls_of.get(subject).into_iter().flatten();
        let by_call = calls.filter(|call| call.actor == *actor && lasts(call.ends));
        let by_grant = self
            .grants
            .values()
            .any(|grant| grant.actor == *actor && grant.scope.contains(subject));
        by_ticket
            .map(|ticket| grade(ticket.by_customer))
            .chain(by_call.map(|call| grade(call.strong)))
            .chain(by_grant.then_some(Explanation::Strong))
            .max()
            .unwrap_or(Explanation::Missing)
    }

    /// Once a day, forgets what can explain nothing any more.
    fn forget(&mut self, now: Timestamp) {
        if now.day() <= self.day {
            return;
        }
        self.day = now.day();
        let lasts = |end: Timestamp| now <= end.after(self.outlives);
        let kept = |ticket: &TicketState| {
            ticket.closed.is_none_or(|closed| now <= closed.after(REOPENED_WITHIN))
        };
        self.calls_of.retain(|_, calls| {
            calls.retain(|call| lasts(call.ends));
            !calls.is_empty()
        });
        self.tickets.retain(|_, ticket| kept(ticket));
        let tickets = &self.tickets;
        self.tickets_of.retain(|_, ids| {
            ids.retain(|id| tickets.contains_key(id));
            !ids.is_empty()
        });
    }
}
