//! Whether a reason was behind a reading.
//!
//! Where accesses say how well they were reasoned, that is what holds. Elsewhere it is told from
//! the tickets: somebody reads a customer for their work if a ticket that the customer opened was
//! theirs by then, or if they claimed such a ticket of that customer. Nothing more is asked,
//! because *unexplained* is neutral: it is one more way of looking at what an account read, and
//! speaks against it only if it fits the list better than all that it read.

use std::collections::{BTreeMap, BTreeSet};

use postern_model::{Ticket, TicketEvent};

use crate::{source::Seen, tracer::Tracer};

/// What is known of a ticket.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    subject: Option<u32>,
    /// The first moment that is known of it, in microseconds.
    since: Option<i64>,
    /// Whether somebody other than the customer opened it, with no message of theirs.
    made_up: bool,
    handlers: BTreeSet<u32>,
}

impl Facts {
    pub(crate) fn learn(&mut self, ticket: &Ticket, subject: Option<u32>, handler: Option<u32>) {
        self.subject = subject.or(self.subject);
        self.since = Some(self.since.map_or(ticket.ts.0, |since| since.min(ticket.ts.0)));
        self.handlers.extend(handler);
        let by_staff = ticket.opened_by.as_ref().is_some_and(|by| &**by != "customer");
        if ticket.event == TicketEvent::Opened {
            self.made_up |= by_staff && ticket.inbound_ref.is_none();
        }
    }
}

/// Whether anything tells readings with a reason from others.
pub(crate) fn are_known(tracer: &Tracer) -> bool {
    tracer.graded || !tracer.tickets.is_empty() || tracer.stored.as_ref().is_some_and(|s| s.reasons)
}

/// Marks the readings that nothing explains.
pub(crate) fn explain(tracer: &mut Tracer) {
    if tracer.graded {
        return;
    }
    let known = are_known(tracer);
    let mut since: BTreeMap<(u32, u32), i64> = BTreeMap::new();
    for facts in tracer.tickets.values().filter(|facts| !facts.made_up) {
        let (Some(subject), Some(opened)) = (facts.subject, facts.since) else { continue };
        for handler in &facts.handlers {
            let first = since.entry((*handler, subject)).or_insert(opened);
            *first = opened.min(*first);
        }
    }
    let (tickets, claims) = (&tracer.tickets, &tracer.claims);
    for (account, set) in (0_u32..).zip(&mut tracer.seen) {
        set.explain(|seen: &Seen| {
            let own = since.get(&(account, seen.subject)).is_some_and(|from| *from <= seen.time);
            let claim = usize::try_from(seen.access).ok().and_then(|access| claims.get(access));
            let facts = claim.and_then(Option::as_ref).and_then(|ticket| tickets.get(ticket));
            let claimed = facts.is_some_and(|facts| {
                !facts.made_up
                    && facts.subject == Some(seen.subject)
                    && facts.since.is_some_and(|since| since <= seen.time)
            });
            known && !own && !claimed
        });
    }
}
