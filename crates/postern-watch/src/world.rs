//! What is known of the world so far, from the events seen so far and from nothing else.

use std::collections::BTreeSet;

use postern_model::{
    Access, AccessDecision, Actor, Event, Person, PersonEvent, SubjectChange, Text, Timestamp,
};

use crate::{
    ahead::{Ahead, fetch},
    names::{Map, NONE, Names},
    naming::{Named, Numbers},
    quiet::Quiet,
    reasons::{Class, Reasons},
};

/// Roles whose task it is to open customers who never wrote.
const OTHER_TASKS: [&str; 6] = ["qa", "fraud", "dsar", "analyst", "engineer", "service"];
/// Accounts on a device from which on it belongs to nobody.
const COMMON: usize = 3;
/// Accounts that are remembered for having opened a customer.
const OPENERS: usize = 4;

/// What an access showed of its subjects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Nothing left.
    Nothing,
    /// That the subjects exist, with their protected fields masked.
    Masked,
    /// At least one protected field.
    Clear,
}

/// The account of a person, as HR tells of it.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) role: u32,
    pub(crate) team: u32,
    pub(crate) queues: Vec<u32>,
    pub(crate) languages: Vec<u32>,
    pub(crate) hired: Option<Timestamp>,
    pub(crate) notice: bool,
    pub(crate) absent: bool,
    pub(crate) left: Option<Timestamp>,
    /// Whether HR has told of it at all.
    pub(crate) known: bool,
}

/// What is known of a customer.
#[derive(Debug, Clone)]
pub(crate) struct Customer {
    pub(crate) queue: u32,
    pub(crate) language: u32,
    pub(crate) vip: bool,
    /// Whether it is a planted one.
    decoy: bool,
    /// The two accounts that last looked without any reason, and on which day.
    pub(crate) strays: [(u32, i32); 2],
    /// The accounts that last opened it, and on which day.
    openers: [(u32, i32); OPENERS],
}

/// The state that detectors share.
#[derive(Debug)]
pub(crate) struct World {
    actors: Numbers,
    /// The names of accounts, by their numbers.
    names: Vec<Text>,
    pub(crate) subjects: Numbers,
    /// Roles, teams, queues and languages.
    pub(crate) words: Names,
    members: Vec<Member>,
    customers: Vec<Customer>,
    pub(crate) reasons: Reasons,
    agent: u32,
    /// The first accounts that were used on a device.
    devices: Vec<[u32; COMMON]>,
    /// Whether HR has told of anybody.
    pub(crate) staffed: bool,
    gone: BTreeSet<u32>,
    /// The account of the latest access.
    pub(crate) acting: u32,
    /// Which sources are away.
    pub(crate) quiet: Quiet,
    /// The roles that feedback is laid to, where they were told.
    pub(crate) roles: Map<u32, u32>,
}

impl World {
    pub(crate) fn new(reason_outlives: std::time::Duration) -> Self {
        let mut words = Names::default();
        let agent = words.number("agent");
        Self {
            actors: Numbers::default(),
            names: Vec::new(),
            subjects: Numbers::default(),
            words,
            members: Vec::new(),
            customers: Vec::new(),
            reasons: Reasons::new(reason_outlives),
            agent,
            devices: Vec::new(),
            staffed: false,
            gone: BTreeSet::new(),
            acting: NONE,
            quiet: Quiet::default(),
            roles: Map::default(),
        }
    }

    pub(crate) fn observe(&mut self, event: &Event, named: &Named) {
        match event {
            Event::Person(person) => {
                let actor = self.actor(named.actor, person.actor.as_str());
                self.person(actor, person);
            }
            Event::Subject(change) => {
                let subject = self.subject(named.subject);
                self.change(subject, change);
            }
            Event::Ticket(ticket) => {
                let subject = ticket.subject.as_ref().map(|_| self.subject(named.subject));
                let assignee = ticket.assignee.as_ref();
                let assignee = assignee.map(|actor| self.actor(named.actor, actor.as_str()));
                let opener = ticket.opened_by.as_deref().filter(|_| named.other != NONE);
                let opener = opener.map(|actor| self.actor(named.other, actor));
                let origin = Some(named.from).filter(|origin| *origin != NONE);
                self.reasons.ticket((ticket, named.tag), (subject, assignee), (opener, origin));
            }
            Event::Call(call) => {
                let subject = call.subject.as_ref().map(|_| self.subject(named.subject));
                let actor = self.actor(named.actor, call.actor.as_str());
                self.reasons.call(call, actor, subject);
            }
            Event::Approval(approval) => {
                let actor = self.actor(named.actor, approval.actor.as_str());
                let by = approval.by.as_ref().map(|by| self.actor(named.other, by.as_str()));
                let (scope, _) = named.subjects.as_chunks::<2>();
                let known = |name: u32| self.subjects.known(name);
                let scope = scope.iter().filter_map(|[name, bare]| known(*name).or(known(*bare)));
                let scope: Vec<u32> = scope.collect();
                self.reasons.approval(approval, (actor, by), &scope);
            }
            Event::Access(access) => {
                self.acting = self.actor(named.actor, access.actor.as_str());
                self.reasons.access(access);
            }
            Event::Complaint(_) => {
                self.subject(named.subject);
            }
        }
    }

    /// Notes what the event will need.
    pub(crate) fn expect_event(&self, event: &Event, named: &Named, ahead: &mut Ahead) {
        match event {
            Event::Ticket(_) => ahead.tags.push(named.tag),
            Event::Access(_) => ahead.actors.extend(self.actors.known(named.actor)),
            Event::Person(_)
            | Event::Subject(_)
            | Event::Call(_)
            | Event::Approval(_)
            | Event::Complaint(_) => {}
        }
        if named.subject != NONE {
            ahead.subjects.extend(self.subjects.known(named.subject));
        }
    }

    /// Has customers and tickets be fetched.
    pub(crate) fn expect(&self, ahead: &Ahead) {
        fetch(ahead.subjects.iter(), |subject| Some(self.customer(*subject)?.queue));
        self.reasons.expect(&ahead.tags, &ahead.subjects);
    }

    /// The account's number, by that of its name.
    pub(crate) fn actor(&mut self, named: u32, name: &str) -> u32 {
        let number = self.actors.number(named);
        if self.names.len() <= number as usize {
            self.names.push(name.into());
        }
        while self.members.len() <= number as usize {
            self.members.push(Member {
                role: self.agent,
                team: NONE,
                queues: Vec::new(),
                languages: Vec::new(),
                hired: None,
                notice: false,
                absent: false,
                left: None,
                known: false,
            });
        }
        number
    }

    /// The account's name.
    pub(crate) fn name(&self, actor: u32) -> Actor {
        Actor::new(self.names.get(actor as usize).cloned().unwrap_or_default())
    }

    /// Whether several other accounts use the device, so that it is strange to nobody.
    pub(crate) fn is_common(&mut self, device: u32, actor: u32) -> bool {
        if device == NONE {
            return false;
        }
        let place = device as usize;
        if self.devices.len() <= place {
            self.devices.resize(place + 1, [NONE; COMMON]);
        }
        let Some(used) = self.devices.get_mut(place) else { return false };
        let others = used.iter().filter(|other| **other != actor && **other != NONE).count();
        if !used.contains(&actor)
            && let Some(free) = used.iter_mut().find(|other| **other == NONE)
        {
            *free = actor;
        }
        others + 1 >= COMMON
    }

    /// The customer's number, by that of its name.
    pub(crate) fn subject(&mut self, named: u32) -> u32 {
        let number = self.subjects.number(named);
        while self.customers.len() <= number as usize {
            self.customers.push(Customer {
                queue: NONE,
                language: NONE,
                vip: false,
                decoy: false,
                strays: [(NONE, i32::MIN); 2],
                openers: [(NONE, i32::MIN); OPENERS],
            });
        }
        number
    }

    pub(crate) fn member(&self, actor: u32) -> Option<&Member> {
        self.members.get(actor as usize)
    }

    pub(crate) fn customer(&self, subject: u32) -> Option<&Customer> {
        self.customers.get(subject as usize)
    }

    /// Remembers that the account looked at the customer without any reason.
    pub(crate) fn stray(&mut self, subject: u32, actor: u32, day: i64) {
        let Some(customer) = self.customers.get_mut(subject as usize) else { return };
        let day = i32::try_from(day).unwrap_or(i32::MIN);
        let [first, second] = customer.strays;
        customer.strays =
            if first.0 == actor { [(actor, day), second] } else { [(actor, day), first] };
    }

    /// Remembers that the account opened the customer.
    pub(crate) fn opened(&mut self, subject: u32, actor: u32, day: i64) {
        let Some(customer) = self.customers.get_mut(subject as usize) else { return };
        let place = customer.openers.iter().position(|(other, _)| *other == actor);
        if let Some(openers) = customer.openers.get_mut(..=place.unwrap_or(OPENERS - 1)) {
            openers.rotate_right(1);
        }
        let [latest, ..] = &mut customer.openers;
        *latest = (actor, i32::try_from(day).unwrap_or(i32::MIN));
    }

    /// Whether the account is among those that last opened the customer, on that day or later.
    pub(crate) fn has_opened(&self, subject: u32, actor: u32, since: i64) -> bool {
        self.customer(subject).is_some_and(|customer| {
            let mut openers = customer.openers.iter();
            openers.any(|(other, day)| *other == actor && i64::from(*day) >= since)
        })
    }

    fn person(&mut self, number: u32, person: &Person) {
        self.staffed = true;
        let words = |list: &[Text], names: &mut Names| -> Vec<u32> {
            list.iter().map(|word| names.number(word)).collect()
        };
        let queues = words(&person.queues, &mut self.words);
        let languages = words(&person.languages, &mut self.words);
        let role = person.role.as_deref().map(|role| self.words.number(role));
        let team = person.team.as_deref().map(|team| self.words.number(team));
        let Some(member) = self.members.get_mut(number as usize) else { return };
        member.known = true;
        member.role = role.unwrap_or(member.role);
        member.team = team.unwrap_or(member.team);
        if !queues.is_empty() {
            member.queues = queues;
        }
        if !languages.is_empty() {
            member.languages = languages;
        }
        match person.event {
            PersonEvent::Left => {
                member.left = Some(person.ts);
                self.gone.insert(number);
            }
            PersonEvent::Hired => {
                (member.left, member.notice, member.absent) = (None, false, false);
                member.hired = Some(person.ts);
                self.gone.remove(&number);
            }
            PersonEvent::Returned => {
                (member.left, member.absent) = (None, false);
                self.gone.remove(&number);
            }
            PersonEvent::Notice => member.notice = true,
            PersonEvent::Absent => member.absent = true,
            PersonEvent::Role => {}
        }
    }

    fn change(&mut self, number: u32, change: &SubjectChange) {
        let queue = change.queue.as_deref().map(|word| self.words.number(word));
        let language = change.language.as_deref().map(|word| self.words.number(word));
        let Some(customer) = self.customers.get_mut(number as usize) else { return };
        customer.queue = queue.unwrap_or(customer.queue);
        customer.language = language.unwrap_or(customer.language);
        for tag in &change.tags {
            customer.vip |= &**tag == "vip" || tag.starts_with("employee:");
            customer.decoy |= &**tag == "canary";
        }
    }

    /// When the owner of the account of the latest access left, if they did.
    pub(crate) fn left(&self) -> Option<Timestamp> {
        self.member(self.acting)?.left
    }

    /// Whether nothing explains the latest access to the customer, by an account whose task that is
    /// not.
    pub(crate) fn is_suspicious(&self, access: &Access, named: u32) -> bool {
        let Some(subject) = self.subjects.known(named) else { return true };
        let role = self.member(self.acting).map_or(self.agent, |member| member.role);
        let served = !OTHER_TASKS.contains(&self.words.text(role));
        let class = match access.grade {
            Some(_) => Class::Bare,
            None => self.reasons.derive((self.acting, subject), access.ts, None).class,
        };
        served && class >= Class::Dangling
    }

    /// Whether the customer of that name is a planted one.
    pub(crate) fn is_decoy(&self, named: u32) -> bool {
        let customer = self.subjects.known(named).and_then(|number| self.customer(number));
        customer.is_some_and(|customer| customer.decoy)
    }
}

/// The number at the end of an identifier, if it has at least four digits. Those at the end of a
/// long hexadecimal one, as of a UUID, are no number.
pub(crate) fn digits(name: &str) -> Option<u64> {
    let start = name.rfind(|c: char| !c.is_ascii_digit()).map_or(0, |last| last + 1);
    let (head, tail) = name.split_at_checked(start)?;
    if name.len() >= 16 && head.ends_with(|c: char| c.is_ascii_hexdigit()) {
        return None;
    }
    if (4..=18).contains(&tail.len()) { tail.parse().ok() } else { None }
}

/// What the access showed. A source that names no fields is taken to have shown them in clear.
pub(crate) fn shown(access: &Access) -> Shown {
    match access.decision {
        AccessDecision::Deny => Shown::Nothing,
        _ if !access.clear.is_empty() => Shown::Clear,
        AccessDecision::Mask => Shown::Masked,
        AccessDecision::Allow | AccessDecision::Stop if access.masked.is_empty() => Shown::Clear,
        AccessDecision::Allow | AccessDecision::Stop => Shown::Masked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_have_a_number_where_they_are_counted() {
        assert_eq!(digits("c104217"), Some(104_217));
        assert_eq!(digits("customer-0017"), Some(17));
        assert_eq!(digits("4021"), Some(4_021));
        assert_eq!(digits("c17"), None);
        assert_eq!(digits("5f0c8a52-93f1-4d8e-a1bb-1f6ad2e84417"), None);
        assert_eq!(digits("9b1deb4d3b7d4321"), None);
    }

    #[test]
    fn a_device_that_several_use_is_strange_to_nobody() {
        let mut world = World::new(std::time::Duration::ZERO);
        assert!(!world.is_common(NONE, 1));
        assert!(!world.is_common(7, 1));
        assert!(!world.is_common(7, 2));
        assert!(!world.is_common(7, 1), "the owner and a thief are two");
        assert!(world.is_common(7, 3));
        assert!(world.is_common(7, 1));
        assert!(!world.is_common(8, 1));
    }
}
