//! What a company's systems tell of the same work: feeds that are missing, keys that nobody fills,
//! events in another order. A style changes what is told and never what happened.

use std::collections::BTreeMap;

use postern_model::{
    Access, AccessDecision, AccessKind, Actor, Complaint, Event, Grade, Person, PersonEvent,
    Subject, Text, Ticket, TicketEvent, Timestamp,
};

use crate::centre::{
    Attack, Chance, Style,
    log::{DAY, HOUR, MINUTE, Seen},
};

/// Tells the events in this style; the attacks are told of in the same names.
pub(crate) fn apply(
    style: Style,
    chance: &mut Chance,
    events: &mut Vec<Seen>,
    attacks: &mut [Attack],
) {
    retell(style, chance, events);
    if style == Style::Complaints {
        complain(chance, events, attacks);
    }
    if matches!(style, Style::Opaque | Style::Numeric | Style::Uuids) {
        let names = rename(style, events);
        for (_, _, subject) in attacks.iter_mut().flat_map(|attack| &mut attack.taken) {
            *subject = names.get(subject).unwrap_or(subject).clone();
        }
    }
    for seen in events.iter_mut() {
        match &mut seen.event {
            Event::Access(access) => tell_access(style, access),
            Event::Ticket(ticket) => {
                tell_ticket(style, ticket);
                if style == Style::Late {
                    let lag = (chance.wait(1.5) * HOUR as f64) as i64;
                    seen.seen = seen.seen.max(Timestamp(ticket.ts.0 + lag));
                    ticket.seen = seen.seen;
                }
            }
            Event::Person(person) => {
                tell_person(style, person);
                if style == Style::Late && person.event != PersonEvent::Hired {
                    let lag = chance.between(0.0, 3.0) * DAY as f64;
                    seen.seen = Timestamp(person.ts.0 + lag as i64);
                    person.seen = seen.seen;
                }
            }
            Event::Subject(change) if style == Style::OneTeam => change.queue = None,
            Event::Subject(_) | Event::Call(_) | Event::Approval(_) | Event::Complaint(_) => {}
        }
    }
}

/// What sources tell of, and when.
fn retell(style: Style, chance: &mut Chance, events: &mut Vec<Seen>) {
    if style == Style::NoCalls {
        events.retain(|seen| !matches!(seen.event, Event::Call(_)));
    }
    if matches!(style, Style::Bare | Style::NoPeople) {
        events.retain(|seen| {
            matches!(seen.event, Event::Ticket(_) | Event::Access(_) | Event::Complaint(_))
        });
    }
    if style == Style::LinkedLater {
        link_later(chance, events);
    }
    if style == Style::Graded {
        grade(events);
    }
    if style == Style::Headless {
        headless(events);
    }
    if style == Style::Masked {
        mask_first(chance, events);
    }
    if style == Style::Terse {
        terse(events);
    }
}

fn tell_person(style: Style, person: &mut Person) {
    if style == Style::OneTeam {
        (person.team, person.queues) = (None, Vec::new());
    }
    if style == Style::Movers && person.event == PersonEvent::Hired {
        person.event = PersonEvent::Role;
    }
    if style == Style::Roles {
        let names = [("agent", "csr"), ("lead", "supervisor"), ("qa", "coach")];
        for (usual, theirs) in names {
            if person.role.as_deref() == Some(usual) {
                person.role = Some(theirs.into());
            }
        }
    }
}

fn tell_access(style: Style, access: &mut Access) {
    if style == Style::Bare {
        (access.device, access.client_addr, access.app) = (None, None, None);
        (access.kind, access.ticket, access.search) = (None, None, None);
        // Masked lists are not told of by such a feed.
        if access.clear.is_empty() && access.subjects.len() > 1 {
            access.subjects.clear();
            access.rows = 0;
        }
        access.clear.clear();
        access.masked.clear();
        if access.decision == AccessDecision::Mask {
            access.decision = AccessDecision::Allow;
        }
    }
    if style == Style::Terse {
        let listed = access.subjects.len() > 1 && access.clear.is_empty();
        let partly = !access.masked.is_empty() && access.decision == AccessDecision::Allow;
        if partly && !listed && access.subjects.len() == 1 {
            access.decision = AccessDecision::Mask;
        }
        if !listed {
            access.masked.clear();
        }
        access.kind = None;
        access.clear.clear();
    }
    if style == Style::Roaming {
        access.device = None;
        access.client_addr = Some(format!("ip-{}", access.session).into());
    }
}

fn tell_ticket(style: Style, ticket: &mut Ticket) {
    if matches!(style, Style::ThinTickets | Style::Bare) {
        (ticket.inbound_ref, ticket.origin, ticket.opened_by) = (None, None, None);
        (ticket.channel, ticket.language) = (None, None);
    }
    if style == Style::Pool {
        ticket.assignee = None;
    }
    if style == Style::OneTeam {
        ticket.queue = None;
    }
}

fn link_later(chance: &mut Chance, events: &mut Vec<Seen>) {
    let mut links = Vec::new();
    for seen in events.iter_mut() {
        let Event::Ticket(ticket) = &mut seen.event else { continue };
        if ticket.event == TicketEvent::Opened
            && let Some(subject) = ticket.subject.take()
        {
            let ts = Timestamp(ticket.ts.0 + chance.between(0.0, 240.0) as i64 * MINUTE);
            let link = Ticket {
                ts,
                seen: ts,
                event: TicketEvent::Linked,
                subject: Some(subject),
                opened_by: None,
                inbound_ref: None,
                origin: None,
                ..*ticket.clone()
            };
            links.push(Seen { seen: ts, event: Event::Ticket(Box::new(link)) });
        }
    }
    events.append(&mut links);
}

/// The opening's keys are told with the assignment.
fn headless(events: &mut Vec<Seen>) {
    let mut opened: BTreeMap<Text, Ticket> = BTreeMap::new();
    events.sort_by_key(|seen| seen.event.ts());
    events.retain_mut(|seen| {
        let Event::Ticket(ticket) = &mut seen.event else { return true };
        if ticket.event == TicketEvent::Opened {
            opened.insert(ticket.ticket.clone(), *ticket.clone());
            return false;
        }
        if let Some(first) = opened.remove(&ticket.ticket) {
            ticket.subject = ticket.subject.take().or(first.subject);
            (ticket.opened_by, ticket.inbound_ref) = (first.opened_by, first.inbound_ref);
            (ticket.channel, ticket.origin) = (first.channel, first.origin);
        }
        true
    });
}

/// Leaves of a ticket its opening and its end, and tells at both whose it is.
fn terse(events: &mut Vec<Seen>) {
    events.sort_by_key(|seen| seen.event.ts());
    let mut told: BTreeMap<Text, (Option<Subject>, Option<Actor>)> = BTreeMap::new();
    for seen in events.iter() {
        let Event::Ticket(ticket) = &seen.event else { continue };
        let state = told.entry(ticket.ticket.clone()).or_default();
        state.0 = state.0.take().or(ticket.subject.clone());
        if ticket.event == TicketEvent::Assigned {
            state.1.clone_from(&ticket.assignee);
        }
    }
    events.retain_mut(|seen| {
        let Event::Ticket(ticket) = &mut seen.event else { return true };
        let closed = ticket.event == TicketEvent::Closed;
        if let Some((subject, assignee)) = told.get(&ticket.ticket) {
            ticket.assignee.clone_from(assignee);
            if closed {
                ticket.subject.clone_from(subject);
            }
        }
        closed || ticket.event == TicketEvent::Opened
    });
}

/// Days of a complaint after the theft, at least and at most, and in how many cases of a hundred
/// there is one; and complaints a day that have other causes.
const CALLED: (f64, f64) = (2.0, 20.0);
const CALLS: f64 = 0.15;
const OTHER_CALLS: f64 = 0.5;

/// Customers tell of swindlers who knew too much.
fn complain(chance: &mut Chance, events: &mut Vec<Seen>, attacks: &[Attack]) {
    let told = |ts: Timestamp, subject: &Subject| Seen {
        seen: ts,
        event: Event::Complaint(Complaint {
            ts,
            subject: subject.clone(),
            kind: "scam_call".into(),
            fields: vec!["phone".into()],
        }),
    };
    let subjects: Vec<Subject> = events
        .iter()
        .filter_map(|seen| {
            let Event::Subject(change) = &seen.event else { return None };
            Some(change.subject.clone())
        })
        .collect();
    let last = events.iter().map(|seen| seen.seen).max().unwrap_or(Timestamp(0));
    let first = events.iter().map(|seen| seen.seen).min().unwrap_or(last);
    for (ts, _, subject) in attacks.iter().flat_map(|attack| &attack.taken) {
        let when = Timestamp(ts.0 + (chance.between(CALLED.0, CALLED.1) * DAY as f64) as i64);
        if chance.yes(CALLS) && when < last {
            events.push(told(when, subject));
        }
    }
    for day in 0..(last.0 - first.0) / DAY {
        for _ in 0..chance.count(OTHER_CALLS) {
            let when = first.0 + day * DAY + (chance.share() * DAY as f64) as i64;
            events.push(told(Timestamp(when), chance.one_of(&subjects)));
        }
    }
}

/// Writes down what a gateway would have checked: the claimed ticket and who opened it.
fn grade(events: &mut [Seen]) {
    events.sort_by_key(|seen| seen.event.ts());
    let mut tickets: BTreeMap<Text, (Option<Subject>, bool, Option<Actor>)> = BTreeMap::new();
    let mut current: BTreeMap<(Actor, Subject), Text> = BTreeMap::new();
    for seen in events {
        match &mut seen.event {
            Event::Ticket(ticket) => {
                let state = tickets.entry(ticket.ticket.clone()).or_default();
                state.0 = ticket.subject.clone().or(state.0.take());
                state.1 |=
                    ticket.inbound_ref.is_some() || ticket.opened_by.as_deref() == Some("customer");
                state.2 = ticket.assignee.clone().or(state.2.take());
                if let (Some(subject), Some(actor)) = (&state.0, &state.2) {
                    let key = (actor.clone(), subject.clone());
                    if ticket.event == TicketEvent::Closed {
                        current.remove(&key);
                    } else {
                        current.insert(key, ticket.ticket.clone());
                    }
                }
            }
            Event::Access(access) if access.subjects.len() == 1 => {
                let key = (access.actor.clone(), access.subjects[0].clone());
                let reason = current.get(&key);
                let strong = reason.and_then(|ticket| tickets.get(ticket)).map(|state| state.1);
                access.grade =
                    strong.map(|strong| if strong { Grade::Strong } else { Grade::Weak });
                access.reason = reason.map(|_| "ticket".into());
            }
            Event::Person(_)
            | Event::Subject(_)
            | Event::Call(_)
            | Event::Approval(_)
            | Event::Access(_)
            | Event::Complaint(_) => {}
        }
    }
}

/// Every look in clear has a masked one before it.
fn mask_first(chance: &mut Chance, events: &mut Vec<Seen>) {
    let mut before = Vec::new();
    for seen in events.iter() {
        let Event::Access(access) = &seen.event else { continue };
        if access.kind != Some(AccessKind::Lookup) || access.clear.is_empty() {
            continue;
        }
        let ts = Timestamp(access.ts.0 - chance.between(5.0, 90.0) as i64 * 1_000_000);
        let all = access.clear.iter().chain(&access.masked).cloned().collect();
        let masked = Access {
            ts,
            id: format!("{}m", access.id).into(),
            clear: Vec::new(),
            masked: all,
            decision: AccessDecision::Mask,
            ..*access.clone()
        };
        before.push(Seen { seen: ts, event: Event::Access(Box::new(masked)) });
    }
    events.append(&mut before);
}

/// Gives customers other identifiers: without an order, or digits in the order of opening.
fn rename(style: Style, events: &mut [Seen]) -> BTreeMap<Subject, Subject> {
    let mut names: BTreeMap<Subject, Subject> = BTreeMap::new();
    let named = |names: &mut BTreeMap<Subject, Subject>, subject: &mut Subject| {
        let next = names.len() as u64;
        let name = names.entry(subject.clone()).or_insert_with(|| {
            let mixed = Chance::new(next * 31 + 7).below(usize::MAX);
            let digits = format!("{}", 40_017 + next);
            let opaque = if style == Style::Uuids { uuid(mixed) } else { format!("{mixed:016x}") };
            Subject::new(if style == Style::Numeric { digits } else { opaque })
        });
        *subject = name.clone();
    };
    for seen in events {
        match &mut seen.event {
            Event::Subject(change) => named(&mut names, &mut change.subject),
            Event::Ticket(ticket) => {
                ticket.subject.iter_mut().for_each(|subject| named(&mut names, subject));
            }
            Event::Call(call) => {
                call.subject.iter_mut().for_each(|subject| named(&mut names, subject));
            }
            Event::Access(access) => {
                access.subjects.iter_mut().for_each(|subject| named(&mut names, subject));
            }
            Event::Approval(approval) => {
                let scope = approval.scope.as_deref().unwrap_or_default();
                let scope: Vec<String> = scope
                    .split(' ')
                    .map(|one| {
                        let mut subject = Subject::new(one);
                        named(&mut names, &mut subject);
                        subject.as_str().to_owned()
                    })
                    .collect();
                approval.scope = Some(scope.join(" "));
            }
            Event::Complaint(complaint) => named(&mut names, &mut complaint.subject),
            Event::Person(_) => {}
        }
    }
    names
}

fn uuid(mixed: usize) -> String {
    let text = format!("{mixed:016x}{:016x}", mixed.rotate_left(29) ^ 0x5bd1_e995_a3c5_9ac3);
    let parts = [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]];
    parts.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::centre::{Kind, Plan, Trouble, World};

    #[test]
    fn whatever_the_style_what_was_taken_is_told_of_in_the_same_names() {
        for style in Style::ALL {
            let mut plan = Plan::usual(5, Trouble::Calm);
            (plan.agents, plan.customers, plan.days, plan.style) = (8, 600, 20, style);
            plan.attacks = vec![Kind::Drip8, Kind::Enumeration];
            let world = World::make(&plan);
            assert_eq!(world.attacks.len(), 2, "{}", style.as_str());
            let told: BTreeMap<&str, &Access> = world
                .events
                .iter()
                .filter_map(|seen| {
                    let Event::Access(access) = &seen.event else { return None };
                    Some((access.id.as_str(), &**access))
                })
                .collect();
            for (at, id, subject) in world.attacks.iter().flat_map(|attack| &attack.taken) {
                let access = told[id.as_str()];
                assert_eq!(access.ts, *at, "{}", style.as_str());
                assert!(access.subjects.contains(subject), "{}", style.as_str());
            }
            assert!(world.events.is_sorted_by_key(|seen| seen.seen), "{}", style.as_str());
        }
    }
}
