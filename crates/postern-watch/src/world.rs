//! What is known of the world so far, from the events seen so far and from nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use postern_model::{
    Access, AccessDecision, Actor, Event, Person, PersonEvent, Subject, Timestamp,
};

use crate::reasons::{Explanation, Reasons};

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

/// The account of a person, as HR and the accesses tell of it.
#[derive(Debug, Default)]
struct Account {
    role: Option<Arc<str>>,
    left: Option<Timestamp>,
}

/// The state that detectors share.
#[derive(Debug)]
pub(crate) struct World {
    accounts: BTreeMap<Actor, Account>,
    decoys: BTreeSet<Subject>,
    reasons: Reasons,
}

impl World {
    pub(crate) fn new(reason_outlives: Duration) -> Self {
        let reasons = Reasons::new(reason_outlives);
        Self { accounts: BTreeMap::new(), decoys: BTreeSet::new(), reasons }
    }

    pub(crate) fn observe(&mut self, event: &Event) {
        match event {
            Event::Person(person) => self.person(person),
            Event::Subject(change) => {
                if change.tags.iter().any(|tag| &**tag == "canary") {
                    self.decoys.insert(change.subject.clone());
                }
            }
            Event::Ticket(ticket) => self.reasons.ticket(ticket),
            Event::Call(call) => self.reasons.call(call),
            Event::Approval(approval) => self.reasons.approval(approval),
            Event::Access(access) => self.reasons.access(access),
            Event::Complaint(_) => {}
        }
    }

    fn person(&mut self, person: &Person) {
        let account = self.accounts.entry(person.actor.clone()).or_default();
        if let Some(role) = &person.role {
            account.role = Some(Arc::clone(role));
        }
        match person.event {
            PersonEvent::Left => account.left = Some(person.ts),
            PersonEvent::Hired | PersonEvent::Returned => account.left = None,
            PersonEvent::Role | PersonEvent::Notice | PersonEvent::Absent => {}
        }
    }

    /// The role of an account; accounts that no feed tells of are agents.
    pub(crate) fn role(&self, actor: &Actor) -> Arc<str> {
        let role = self.accounts.get(actor).and_then(|account| account.role.clone());
        role.unwrap_or_else(|| Arc::from("agent"))
    }

    /// When the account's owner left, if they did.
    pub(crate) fn left(&self, actor: &Actor) -> Option<Timestamp> {
        self.accounts.get(actor)?.left
    }

    /// Whether the customer is a planted one.
    pub(crate) fn is_decoy(&self, subject: &Subject) -> bool {
        self.decoys.contains(subject)
    }

    /// Whether any source has ever told of reasons; if none has, their absence means nothing.
    pub(crate) fn knows_reasons(&self) -> bool {
        self.reasons.connected()
    }

    /// What entitles the account to the subject at the time of the access.
    pub(crate) fn explain(&self, access: &Access, subject: &Subject) -> Explanation {
        self.reasons.explain(access, subject)
    }
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
