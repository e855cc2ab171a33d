//! The ledger's entries as events of the replay format: what detectors and the tracer read live.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry as Slot},
    sync::Arc,
};

use postern_ledger::{Body, Complained, DecoyHit, Disclosed, Entry, Group, Note};
use postern_model::{
    Access, AccessDecision, AccessKind, Actor, Complaint, Event, NOT_ENFORCED, Reason, Subject,
    Text, Timestamp,
};

/// The events that an entry stands for. An entry with several reasons is one access for each, with
/// the reason's number behind the entry's.
pub(crate) fn of_entry(entry: &Entry) -> Vec<Event> {
    match &entry.body {
        Body::Disclosed(disclosed) => of_disclosed(entry, disclosed),
        Body::Noted(Note::Refused { actor, connection, fingerprint, .. }) => {
            let id = entry.sequence.to_string();
            vec![Event::Access(Box::new(Access {
                statement: fingerprint.to_string().into(),
                decision: AccessDecision::Deny,
                ..access(id, entry.time, actor, *connection)
            }))]
        }
        Body::Noted(Note::Complained(told)) if &*told.kind != WITHDRAWN => {
            vec![Event::Complaint(complaint(told, entry.time))]
        }
        Body::Noted(_) => Vec::new(),
    }
}

/// The kind of a complaint that takes back what was written down of the customer before.
pub(crate) const WITHDRAWN: &str = "withdrawn";

/// A complaint that was heard of, or whose contact was, at that moment.
fn complaint(told: &Complained, ts: Timestamp) -> Complaint {
    let Complained { subject, kind, fields, .. } = told;
    Complaint { ts, subject: subject.clone(), kind: kind.clone().into(), fields: texts(fields) }
}

/// What customers have told, as the tracer weighs it: one complaint of each customer, at the
/// moment of the first contact, before which their data was taken. Two calls to one customer do
/// not tell more of where the data came from.
#[derive(Debug, Default)]
pub(crate) struct Complaints(BTreeMap<Subject, Complaint>);

impl Complaints {
    pub(crate) fn take(&mut self, entry: &Entry) {
        let told = match &entry.body {
            Body::Noted(Note::Complained(told)) => told,
            Body::Noted(Note::DecoyHit(hit)) => return self.hit(hit, entry.time),
            Body::Noted(_) | Body::Disclosed(_) => return,
        };
        if &*told.kind == WITHDRAWN {
            self.0.remove(&told.subject);
            return;
        }
        let told = complaint(told, told.at.min(entry.time));
        match self.0.entry(told.subject.clone()) {
            Slot::Vacant(slot) => drop(slot.insert(told)),
            Slot::Occupied(mut slot) => {
                let before = slot.get_mut();
                before.ts = before.ts.min(told.ts);
                for field in told.fields {
                    if !before.fields.contains(&field) {
                        before.fields.push(field);
                    }
                }
            }
        }
    }

    /// A planted customer who was contacted, which needs no customer to tell of it.
    fn hit(&mut self, hit: &DecoyHit, ts: Timestamp) {
        let fields = match &*hit.how {
            "mail" => vec!["email".into()],
            "call" => vec!["phone".into()],
            _ => Vec::new(),
        };
        let (subject, kind) = (hit.subject.clone(), "decoy_hit".into());
        let complaint = Complaint { ts, subject: subject.clone(), kind, fields };
        self.0.entry(subject).or_insert(complaint);
    }

    /// In the order in which the customers were contacted.
    pub(crate) fn in_order(self) -> Vec<Complaint> {
        let mut all: Vec<Complaint> = self.0.into_values().collect();
        all.sort_by(|one, other| {
            one.ts.cmp(&other.ts).then_with(|| one.subject.cmp(&other.subject))
        });
        all
    }
}

fn of_disclosed(entry: &Entry, disclosed: &Disclosed) -> Vec<Event> {
    let stopped = disclosed.stopped.is_some();
    // What is not enforced is no reason: nothing explains the access.
    let explains = |reason: &Reason| &*reason.name != NOT_ENFORCED;
    // Records shown under the same reason through several tables are one access to them.
    let mut reasons: Vec<&Option<Reason>> = Vec::new();
    for group in &disclosed.groups {
        if !reasons.contains(&&group.reason) {
            reasons.push(&group.reason);
        }
    }
    let mut events = Vec::new();
    for (number, reason) in reasons.iter().enumerate() {
        let groups = || disclosed.groups.iter().filter(|group| group.reason == **reason);
        let subjects: BTreeSet<&Subject> = groups().flat_map(|group| &group.subjects).collect();
        let clear = fields(groups(), |group| &group.clear);
        let decision = match (stopped, clear.is_empty()) {
            (true, _) => AccessDecision::Stop,
            (false, true) => AccessDecision::Mask,
            (false, false) => AccessDecision::Allow,
        };
        let id = match number {
            0 => entry.sequence.to_string(),
            _ => format!("{}.{number}", entry.sequence),
        };
        events.push(Event::Access(Box::new(Access {
            kind: Some(kind(disclosed, subjects.len())),
            ticket: disclosed.claimed.clone().map(Into::into),
            reason: reason
                .as_ref()
                .filter(|r| explains(r))
                .map(|reason| reason.name.clone())
                .map(Into::into),
            grade: reason.as_ref().filter(|r| explains(r)).map(|reason| reason.grade),
            subjects: subjects.into_iter().cloned().collect(),
            clear,
            masked: fields(groups(), |group| &group.masked),
            rows: disclosed.allowed,
            decision,
            ..of_statement(id, entry, disclosed)
        })));
    }
    if events.is_empty() && (stopped || !disclosed.lookups.is_empty()) {
        let decision = if stopped { AccessDecision::Stop } else { AccessDecision::Mask };
        let kind = Some(kind(disclosed, 0));
        let id = entry.sequence.to_string();
        events.push(Event::Access(Box::new(Access {
            kind,
            decision,
            ..of_statement(id, entry, disclosed)
        })));
    }
    events
}

fn of_statement(id: String, entry: &Entry, disclosed: &Disclosed) -> Access {
    Access {
        statement: disclosed.fingerprint.to_string().into(),
        search: disclosed.lookups.first().map(|lookup| hex(lookup.search)),
        ..access(id, entry.time, &disclosed.actor, disclosed.connection)
    }
}

fn access(id: String, ts: Timestamp, actor: &Actor, connection: u64) -> Access {
    Access {
        ts,
        id: id.into(),
        actor: actor.clone(),
        session: connection.to_string().into(),
        client_addr: None,
        device: None,
        app: None,
        statement: "".into(),
        kind: None,
        ticket: None,
        reason: None,
        grade: None,
        subjects: Vec::new(),
        clear: Vec::new(),
        masked: Vec::new(),
        rows: 0,
        decision: AccessDecision::Allow,
        search: None,
    }
}

/// One customer is a lookup, by value or by key; several are what a search or a list brought.
fn kind(disclosed: &Disclosed, subjects: usize) -> AccessKind {
    match (disclosed.lookups.is_empty(), subjects) {
        (true, 0) | (_, 1) => AccessKind::Lookup,
        (false, _) => AccessKind::Search,
        (true, _) => AccessKind::List,
    }
}

fn fields<'a>(
    groups: impl Iterator<Item = &'a Group>,
    of: impl Fn(&'a Group) -> &'a Vec<Arc<str>>,
) -> Vec<Text> {
    let names: BTreeSet<&Arc<str>> = groups.flat_map(of).collect();
    texts(names)
}

fn texts<'a>(texts: impl IntoIterator<Item = &'a Arc<str>>) -> Vec<Text> {
    texts.into_iter().map(Text::new).collect()
}

fn hex(bytes: [u8; 8]) -> Text {
    format!("{:016x}", u64::from_be_bytes(bytes)).into()
}
