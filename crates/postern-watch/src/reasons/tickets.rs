//! The tickets that are remembered, by name and by customer.
//!
//! A large company has millions of them, and nearly all are closed. So a ticket that was closed
//! days ago is taken out of its customer's chain and put into a list, of which a look at the
//! customer reads no more than whose it was: that is all that an old ticket tells. What happens to
//! it, or a look that tells of days before, finds all of it again. Nothing hangs on when a ticket
//! is put away but time and memory.

use std::{cmp::Reverse, time::Duration};

use postern_model::{Text, Timestamp};

use super::LOOKED_AT_AGAIN;
use crate::{
    ahead::fetch,
    names::{Index, Map, NONE, tag},
};

/// How long a closed ticket is remembered, in case that it is reopened or looked into again.
const REMEMBERED: Duration = Duration::from_secs(21 * 24 * 60 * 60);
/// The end of what is open.
const OPEN: Timestamp = Timestamp(i64::MAX);
/// Tickets that are kept in one piece, so that growing moves none.
const PIECE: usize = 1 << 14;

#[derive(Debug, Clone)]
pub(super) struct TicketState {
    name: Text,
    pub(super) opened: Timestamp,
    closed: Timestamp,
    pub(super) touched: Timestamp,
    pub(super) subject: u32,
    /// The account that opened it.
    pub(super) opener: u32,
    pub(super) origin: u32,
    pub(super) assignee: u32,
    /// The customer's ticket before this one.
    next: u32,
    /// Its place in the order in which tickets were linked to customers.
    linked: u32,
    pub(super) by_customer: bool,
    pub(super) answered: bool,
    pub(super) counted: bool,
    /// Whether somebody had it before.
    handed: bool,
    /// Whether it is in the customer's list instead of the chain.
    old: bool,
    used: bool,
}

impl TicketState {
    fn new(name: Text, ts: Timestamp) -> Self {
        Self {
            name,
            opened: ts,
            closed: OPEN,
            touched: ts,
            subject: NONE,
            opener: NONE,
            origin: NONE,
            assignee: NONE,
            next: NONE,
            linked: 0,
            by_customer: false,
            answered: false,
            counted: false,
            handed: false,
            old: false,
            used: true,
        }
    }

    pub(super) fn closed(&self) -> Option<Timestamp> {
        Some(self.closed).filter(|closed| *closed != OPEN)
    }

    pub(super) fn close(&mut self, at: Option<Timestamp>) {
        self.closed = at.unwrap_or(OPEN);
    }
}

/// A ticket that was closed days ago.
#[derive(Debug, Clone, Copy)]
struct Old {
    /// Who had it last, or opened it.
    owner: u32,
    number: u32,
}

/// The tickets of a customer.
#[derive(Debug, Clone)]
struct Place {
    /// The one that was linked last; those before follow from it.
    latest: u32,
    /// Up to here more counts of the old ones than their owners.
    until: Timestamp,
    old: Vec<Old>,
}

const NOWHERE: Place = Place { latest: NONE, until: Timestamp(i64::MIN), old: Vec::new() };

/// All tickets. What has ended long ago is forgotten, once a day.
#[derive(Debug)]
pub(super) struct Tickets {
    index: Index,
    pieces: Vec<Vec<TicketState>>,
    free: Vec<u32>,
    /// There is a place for every customer, because most have tickets.
    places: Vec<Place>,
    /// Who had a ticket before, and until when.
    formers: Map<u32, (u32, Timestamp)>,
    links: u32,
    day: i64,
}

impl Default for Tickets {
    fn default() -> Self {
        Self {
            index: Index::default(),
            pieces: Vec::new(),
            free: Vec::new(),
            places: Vec::new(),
            formers: Map::default(),
            links: 0,
            day: i64::MIN,
        }
    }
}

impl Tickets {
    pub(super) fn state(&self, number: u32) -> Option<&TicketState> {
        self.pieces.get(number as usize / PIECE)?.get(number as usize % PIECE)
    }

    pub(super) fn state_mut(&mut self, number: u32) -> Option<&mut TicketState> {
        self.pieces.get_mut(number as usize / PIECE)?.get_mut(number as usize % PIECE)
    }

    /// Has tickets be fetched, by the tags of their names and by customers, and their neighbours.
    pub(super) fn expect(&self, tags: &[u32], subjects: &[u32]) {
        let named: Vec<u32> = tags.iter().map(|tag| self.index.guess(*tag)).collect();
        let latest = subjects.iter().map(|subject| self.latest(*subject));
        let numbers: Vec<u32> = named.into_iter().chain(latest).collect();
        let states = numbers.into_iter().filter_map(|number| self.state(number));
        let subjects: Vec<u32> = states.map(|state| state.subject).collect();
        fetch(subjects.into_iter(), |subject| Some(self.latest(subject)));
    }

    pub(super) fn known(&self, name: &str) -> Option<u32> {
        self.find(name, tag(name))
    }

    fn find(&self, name: &str, tag: u32) -> Option<u32> {
        let is = |number| self.state(number).is_some_and(|state| state.name == name);
        self.index.find(tag, is)
    }

    /// The number of a ticket of which is told, from its first event on; it is in the chain.
    pub(super) fn number(&mut self, (name, tag): (&Text, u32), ts: Timestamp) -> u32 {
        if let Some(number) = self.find(name, tag) {
            self.bring_back(number);
            return number;
        }
        let state = TicketState::new(name.clone(), ts);
        let number = match self.free.pop() {
            Some(number) => {
                if let Some(slot) = self.state_mut(number) {
                    *slot = state;
                }
                number
            }
            None => self.push(state),
        };
        self.index.add(tag, number);
        number
    }

    fn push(&mut self, state: TicketState) -> u32 {
        if self.pieces.last().is_none_or(|last| last.len() == PIECE) {
            self.pieces.push(Vec::with_capacity(PIECE));
        }
        let before = (self.pieces.len() - 1) * PIECE;
        let Some(last) = self.pieces.last_mut() else { return NONE };
        last.push(state);
        u32::try_from(before + last.len() - 1).unwrap_or(NONE)
    }

    /// Gives it to an account.
    pub(super) fn assign(&mut self, number: u32, assignee: u32, ts: Timestamp) {
        let Some(state) = self.state_mut(number) else { return };
        let former = std::mem::replace(&mut state.assignee, assignee);
        if former != assignee && former != NONE {
            state.handed = true;
            self.formers.insert(number, (former, ts));
        }
    }

    /// Who had it before, and until when.
    pub(super) fn former(&self, number: u32, state: &TicketState) -> Option<(u32, Timestamp)> {
        if state.handed { self.formers.get(&number).copied() } else { None }
    }

    /// Lays it to a customer.
    pub(super) fn link(&mut self, number: u32, subject: u32) {
        if self.state(number).is_none_or(|state| state.subject == subject) {
            return;
        }
        self.unlink(number);
        let place = subject as usize;
        if self.places.len() <= place {
            self.places.resize(place + 1, NOWHERE);
        }
        let Some(place) = self.places.get_mut(place) else { return };
        let before = std::mem::replace(&mut place.latest, number);
        self.links = self.links.saturating_add(1);
        let links = self.links;
        if let Some(state) = self.state_mut(number) {
            (state.subject, state.next, state.linked) = (subject, before, links);
        }
    }

    /// Takes a ticket out of those of its customer.
    fn unlink(&mut self, number: u32) {
        let Some(state) = self.state_mut(number) else { return };
        let after = std::mem::replace(&mut state.next, NONE);
        let (subject, old) = (state.subject, std::mem::take(&mut state.old));
        let Some(place) = self.places.get_mut(subject as usize) else { return };
        if old {
            place.old.retain(|old| old.number != number);
        } else if place.latest == number {
            place.latest = after;
        } else {
            let mut place = place.latest;
            while let Some(state) = self.state_mut(place) {
                if state.next == number {
                    state.next = after;
                    return;
                }
                place = state.next;
            }
        }
    }

    /// Puts an old ticket back into the chain, where it was.
    fn bring_back(&mut self, number: u32) {
        let Some(state) = self.state(number).filter(|state| state.old) else { return };
        let (subject, linked) = (state.subject, state.linked);
        self.unlink(number);
        let (mut after, mut before) = (self.latest(subject), NONE);
        while let Some(other) = self.state(after).filter(|other| other.linked > linked) {
            (before, after) = (after, other.next);
        }
        if let Some(state) = self.state_mut(number) {
            state.next = after;
        }
        match self.state_mut(before) {
            Some(before) => before.next = number,
            None => {
                if let Some(place) = self.places.get_mut(subject as usize) {
                    place.latest = number;
                }
            }
        }
    }

    /// Takes a closed ticket out of the chain and notes whose it was.
    fn put_away(&mut self, number: u32, outlives: Duration) {
        let Some(state) = self.state(number) else { return };
        let owner = if state.assignee == NONE { state.opener } else { state.assignee };
        let former = self.former(number, state).map_or(Timestamp(i64::MIN), |(_, until)| until);
        let until = state.closed.max(former).after(outlives);
        let subject = state.subject;
        self.unlink(number);
        let Some(place) = self.places.get_mut(subject as usize) else { return };
        place.until = place.until.max(until);
        place.old.push(Old { owner, number });
        if let Some(state) = self.state_mut(number) {
            state.old = true;
        }
    }

    /// How many are remembered, and how many of them are old.
    #[cfg(test)]
    pub(super) fn count(&self) -> (usize, usize) {
        let used = self.pieces.iter().flatten().filter(|state| state.used);
        (used.clone().count(), used.filter(|state| state.old).count())
    }

    fn latest(&self, subject: u32) -> u32 {
        self.places.get(subject as usize).map_or(NONE, |place| place.latest)
    }

    /// Gives the customer's tickets to `each`, from the one that was linked last on: those that
    /// tell more at that time than whose they are.
    pub(super) fn of(&self, subject: u32, at: Timestamp, mut each: impl FnMut(u32, &TicketState)) {
        let Some(place) = self.places.get(subject as usize) else { return };
        if at <= place.until {
            return self.of_all(place, each);
        }
        let mut number = place.latest;
        while let Some(state) = self.state(number) {
            each(number, state);
            number = state.next;
        }
    }

    fn of_all(&self, place: &Place, mut each: impl FnMut(u32, &TicketState)) {
        let mut all: Vec<u32> = place.old.iter().map(|old| old.number).collect();
        let mut number = place.latest;
        while let Some(state) = self.state(number) {
            all.push(number);
            number = state.next;
        }
        let linked = |number: &u32| self.state(*number).map(|state| Reverse(state.linked));
        all.sort_by_key(linked);
        for number in all {
            if let Some(state) = self.state(number) {
                each(number, state);
            }
        }
    }

    /// The owners of the customer's other tickets.
    pub(super) fn old(&self, subject: u32, at: Timestamp) -> impl Iterator<Item = u32> {
        let place = self.places.get(subject as usize).filter(|place| at > place.until);
        place.into_iter().flat_map(|place| place.old.iter().map(|old| old.owner))
    }

    /// Once a day, forgets what can explain nothing any more, and puts away what is old.
    pub(super) fn forget(&mut self, now: Timestamp, outlives: Duration) {
        if now.day() <= self.day {
            return;
        }
        self.day = now.day();
        let all = u32::try_from(self.pieces.len() * PIECE).unwrap_or(NONE);
        for number in 0..all {
            let Some(state) = self.state(number).filter(|state| state.used) else { continue };
            let closed = state.closed();
            let ended = closed.unwrap_or(state.touched.after(REMEMBERED));
            let done = closed.map(|closed| closed.after(outlives).after(LOOKED_AT_AGAIN));
            if now > ended.after(REMEMBERED) {
                self.remove(number);
            } else if !state.old && state.subject != NONE && done.is_some_and(|done| done < now) {
                self.put_away(number, outlives);
            }
        }
    }

    fn remove(&mut self, number: u32) {
        self.unlink(number);
        let Some(state) = self.state_mut(number) else { return };
        state.used = false;
        let name = std::mem::take(&mut state.name);
        self.index.remove(tag(&name), number);
        self.formers.remove(&number);
        self.free.push(number);
    }
}
