//! Which names an event tells of, as numbers: what can be found out about an event before those
//! before it are judged.
//!
//! A large feed names millions of customers, and to find a name's number is to wait for memory. So
//! that is a part of its own, [`Namer`], which may run on the core that reads the events, ahead of
//! the [`Judge`](crate::Judge). It is given every event in the order in which events were seen, and
//! what it gives hangs on nothing else. The judge doesn't use its numbers as they are: it numbers
//! accounts and customers anew, in the order in which it meets them ([`Numbers`]), so that nothing
//! hangs on how far ahead names were read.

use std::collections::VecDeque;

use postern_model::{Access, AccessKind, Approval, Event, Subject, Text};

use crate::names::{Index, NONE, Names, tag};

/// A statement's records share their cause, so that no more than this many count as trials.
const TRIALS_PER_STATEMENT: usize = 5;
/// Ids that are remembered to find what comes twice.
const IDS: usize = 65_536;

/// The numbers of an event's names; [`NONE`] where it has none.
#[derive(Debug, Clone)]
pub struct Named {
    /// Who acts, asks, calls, is told of or assigned to.
    pub(crate) actor: u32,
    /// Who opened a ticket, or answered what was asked.
    pub(crate) other: u32,
    /// The customer, if it is one.
    pub(crate) subject: u32,
    /// Of a list those who count as trials. Of an approval pairs: a customer of the whole name, and
    /// of what stands behind its prefix.
    pub(crate) subjects: Vec<u32>,
    /// The device of an access, the origin of a ticket.
    pub(crate) from: u32,
    /// The tag of a ticket's name.
    pub(crate) tag: u32,
    /// Whether an access of that id was among the last ones.
    pub(crate) again: bool,
}

/// Nothing is named.
const NOBODY: Named = Named {
    actor: NONE,
    other: NONE,
    subject: NONE,
    subjects: Vec::new(),
    from: NONE,
    tag: 0,
    again: false,
};

impl Named {
    /// The customers of an access who count as trials.
    pub(crate) fn shown(&self, access: &Access) -> impl Iterator<Item = u32> {
        let few = if access.subjects.len() == 1 { Some(self.subject) } else { None };
        let list = if self.subjects.len() == access.subjects.len() { step(access) } else { 1 };
        few.into_iter().chain(self.subjects.iter().copied().step_by(list))
    }

    /// All customers of an access that is no list of which only a part is numbered.
    pub(crate) fn all<'a>(
        &'a self,
        access: &'a Access,
    ) -> impl Iterator<Item = (u32, &'a Subject)> + use<'a> {
        let few = if access.subjects.len() == 1 { Some(self.subject) } else { None };
        few.into_iter().chain(self.subjects.iter().copied()).zip(&access.subjects)
    }
}

/// How many customers of an access there are for each that counts as a trial.
fn step(access: &Access) -> usize {
    access.subjects.len().div_ceil(TRIALS_PER_STATEMENT).max(1)
}

/// Names and their numbers, in the order in which they were first read.
#[derive(Debug, Default)]
pub struct Namer {
    actors: Names,
    subjects: Names,
    devices: Names,
    origins: Names,
    ids: Recent,
}

impl Namer {
    /// The account's number.
    pub(crate) fn actor(&mut self, actor: &str) -> u32 {
        self.actors.number(actor)
    }

    #[cfg(test)]
    pub(crate) fn subject(&mut self, subject: &str) -> u32 {
        self.subjects.number(subject)
    }

    /// Takes the next events in the order in which they were seen, as [`Namer::name`] does each,
    /// but waits for memory less.
    pub fn name_all<'a>(
        &mut self,
        events: impl Iterator<Item = &'a Event> + Clone,
        named: &mut Vec<Named>,
    ) {
        self.subjects.expect(events.clone().filter_map(subject).map(Subject::as_str));
        named.extend(events.map(|event| self.name(event)));
    }

    /// Takes the next event in the order in which events were seen; gives the numbers of its names.
    pub fn name(&mut self, event: &Event) -> Named {
        match event {
            Event::Person(person) => {
                Named { actor: self.actors.number(person.actor.as_str()), ..NOBODY }
            }
            Event::Subject(change) => {
                Named { subject: self.subjects.number(change.subject.as_str()), ..NOBODY }
            }
            Event::Ticket(ticket) => {
                let (subject, assignee) = (ticket.subject.as_ref(), ticket.assignee.as_ref());
                let opener = ticket.opened_by.as_deref().filter(|by| *by != "customer");
                let origin = ticket.origin.as_deref();
                Named {
                    actor: assignee.map_or(NONE, |actor| self.actors.number(actor.as_str())),
                    other: opener.map_or(NONE, |actor| self.actors.number(actor)),
                    subject: subject.map_or(NONE, |one| self.subjects.number(one.as_str())),
                    from: origin.map_or(NONE, |origin| self.origins.number(origin)),
                    tag: tag(&ticket.ticket),
                    ..NOBODY
                }
            }
            Event::Call(call) => {
                let subject = call.subject.as_ref();
                Named {
                    actor: self.actors.number(call.actor.as_str()),
                    subject: subject.map_or(NONE, |one| self.subjects.number(one.as_str())),
                    ..NOBODY
                }
            }
            Event::Approval(approval) => Named {
                actor: self.actors.number(approval.actor.as_str()),
                other: approval.by.as_ref().map_or(NONE, |by| self.actors.number(by.as_str())),
                subjects: self.scope(approval),
                ..NOBODY
            },
            Event::Access(access) => self.access(access),
            Event::Complaint(complaint) => {
                Named { subject: self.subjects.number(complaint.subject.as_str()), ..NOBODY }
            }
        }
    }

    fn access(&mut self, access: &Access) -> Named {
        let device = access.device.as_deref().or(access.client_addr.as_deref());
        let mut named = Named {
            actor: self.actors.number(access.actor.as_str()),
            from: device.map_or(NONE, |device| self.devices.number(device)),
            again: !self.ids.is_new(&access.id),
            ..NOBODY
        };
        if let [one] = access.subjects.as_slice() {
            named.subject = self.subjects.number(one.as_str());
            return named;
        }
        // Whoever looks up has asked for each of them, and they may be planted ones.
        let step = if access.kind == Some(AccessKind::Lookup) { 1 } else { step(access) };
        let listed = access.subjects.iter().step_by(step);
        named.subjects = listed.map(|one| self.subjects.number(one.as_str())).collect();
        named
    }

    /// The customers that an approval names: a list, each with a prefix or without.
    fn scope(&self, approval: &Approval) -> Vec<u32> {
        let scope = approval.scope.as_deref().unwrap_or_default();
        let names = scope.split([',', ' ', ';']).filter(|name| !name.is_empty());
        let known = |name: &str| self.subjects.known(name).unwrap_or(NONE);
        let both = names.flat_map(|name| [name, name.rsplit([':', '=']).next().unwrap_or(name)]);
        both.map(known).collect()
    }
}

/// The customer of the event, if it is one.
fn subject(event: &Event) -> Option<&Subject> {
    match event {
        Event::Subject(change) => Some(&change.subject),
        Event::Ticket(ticket) => ticket.subject.as_ref(),
        Event::Call(call) => call.subject.as_ref(),
        Event::Access(access) => match access.subjects.as_slice() {
            [one] => Some(one),
            _ => None,
        },
        Event::Complaint(complaint) => Some(&complaint.subject),
        Event::Person(_) | Event::Approval(_) => None,
    }
}

/// The numbers of things in the order in which the judge meets them, by their [`Namer`]'s ones.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    of: Vec<u32>,
    count: u32,
}

impl Numbers {
    /// The number; a new one if it was not met before.
    pub(crate) fn number(&mut self, named: u32) -> u32 {
        if let Some(number) = self.known(named) {
            return number;
        }
        let place = named as usize;
        if self.of.len() <= place && named != NONE {
            self.of.resize(place + 1, NONE);
        }
        let Some(number) = self.of.get_mut(place) else { return NONE };
        *number = self.count;
        self.count += 1;
        *number
    }

    pub(crate) fn known(&self, named: u32) -> Option<u32> {
        self.of.get(named as usize).copied().filter(|number| *number != NONE)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }
}

/// The last ids, by numbers that go round.
#[derive(Debug, Default)]
struct Recent {
    index: Index,
    order: VecDeque<(u32, Text)>,
    /// The number of the oldest one.
    first: u32,
}

impl Recent {
    const ROUND: u32 = 1 << 31;

    /// Takes an id, and says whether it is none of the last ones.
    fn is_new(&mut self, id: &Text) -> bool {
        let Self { index, order, first } = self;
        let tag = tag(id);
        let place = |number: u32| (number + Self::ROUND - *first) % Self::ROUND;
        let is = |number| order.get(place(number) as usize).is_some_and(|(_, other)| other == id);
        if index.find(tag, is).is_some() {
            return false;
        }
        let many = u32::try_from(order.len()).unwrap_or(0);
        index.add(tag, (*first + many) % Self::ROUND);
        order.push_back((tag, id.clone()));
        if order.len() > IDS
            && let Some((tag, _)) = order.pop_front()
        {
            index.remove(tag, *first);
            *first = (*first + 1) % Self::ROUND;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use postern_model::{AccessDecision, Actor, Timestamp};

    use super::*;

    fn access(kind: Option<AccessKind>, many: usize) -> Access {
        Access {
            ts: Timestamp(0),
            id: format!("{kind:?} {many}").into(),
            actor: Actor::new("a"),
            session: "s".into(),
            client_addr: Some("10.0.0.1".into()),
            device: None,
            app: None,
            statement: "f".into(),
            kind,
            ticket: None,
            reason: None,
            grade: None,
            subjects: (0..many).map(|number| Subject::new(format!("c{number}"))).collect(),
            clear: Vec::new(),
            masked: Vec::new(),
            rows: 1,
            decision: AccessDecision::Allow,
            search: None,
        }
    }

    #[test]
    fn of_a_list_a_few_are_shown_and_of_what_was_looked_up_all_are_known() {
        let mut namer = Namer::default();
        let mut numbers = |kind, many| {
            let access = access(kind, many);
            let named = namer.name(&Event::Access(Box::new(access.clone())));
            assert_eq!((named.actor, named.from, named.again), (0, 0, false));
            (named.shown(&access).collect::<Vec<_>>(), named.all(&access).count())
        };
        assert_eq!(numbers(None, 0), (vec![], 0));
        assert_eq!(numbers(None, 1), (vec![0], 1));
        assert_eq!(numbers(None, 5), (vec![0, 1, 2, 3, 4], 5));
        let lookup = Some(AccessKind::Lookup);
        assert_eq!(numbers(lookup, 1), (vec![0], 1));
        assert_eq!(numbers(lookup, 12), (vec![0, 3, 6, 9], 12));
        assert_eq!(numbers(Some(AccessKind::List), 12).0, [0, 3, 6, 9]);
    }

    #[test]
    fn what_comes_again_is_known_by_its_id() {
        let mut namer = Namer::default();
        let event = Event::Access(Box::new(access(None, 1)));
        assert!(!namer.name(&event).again);
        assert!(namer.name(&event).again);
    }

    #[test]
    fn things_are_numbered_as_they_are_met_whatever_numbers_their_names_have() {
        let mut numbers = Numbers::default();
        assert_eq!([7, 2, 7, 9].map(|named| numbers.number(named)), [0, 1, 0, 2]);
        assert_eq!((numbers.known(2), numbers.known(3), numbers.known(900)), (Some(1), None, None));
        assert_eq!((numbers.known(NONE), numbers.number(NONE), numbers.count()), (None, NONE, 3));
    }
}
