//! The ledger's entries as the events that detectors and the tracer read, the same that feeds are
//! made of.

use std::{collections::BTreeMap, sync::Arc};

use postern_ledger::{Body, Disclosed, Entry, Group, Note};
use postern_model::{
    Access, AccessDecision, AccessKind, Actor, Event, FieldClass, Person, PersonEvent,
    SubjectChange, Ticket, TicketEvent, Timestamp,
};
use postern_people::People;

use crate::config::Settings;

/// Makes events of entries.
#[derive(Debug)]
pub(crate) struct Events {
    /// What a column holds: leak lists and other feeds know classes, not columns.
    classes: BTreeMap<(String, String), FieldClass>,
}

impl Events {
    pub(crate) fn new(settings: &Settings) -> Self {
        let columns = |table: &crate::config::Table| {
            let name = table.full_name();
            let class = |column: &crate::config::Column| {
                ((name.clone(), column.name.clone()), column.class)
            };
            table.columns.iter().map(class).collect::<Vec<_>>()
        };
        Self { classes: settings.tables.iter().flat_map(columns).collect() }
    }

    /// What an entry tells: nothing, one event, or one for each reason that a statement rested on.
    pub(crate) fn of(&self, entry: &Entry) -> Vec<Event> {
        match &entry.body {
            Body::Disclosed(disclosed) => self.accesses(entry, disclosed),
            Body::Noted(Note::Refused { actor, connection, fingerprint, .. }) => {
                let statement = fingerprint.to_string().into();
                let access = access(entry, actor, *connection, statement);
                vec![Event::Access(Access { decision: AccessDecision::Deny, ..access })]
            }
            Body::Noted(Note::Opened { actor, subject, .. }) => vec![Event::Ticket(Ticket {
                ts: entry.time,
                seen: entry.time,
                ticket: format!("entry-{}", entry.sequence).into(),
                event: TicketEvent::Opened,
                subject: subject.clone(),
                channel: Some("internal".into()),
                opened_by: Some(actor.as_str().into()),
                inbound_ref: None,
                origin: None,
                assignee: Some(actor.clone()),
                queue: None,
                language: None,
            })],
            Body::Noted(
                Note::LoggedIn { .. }
                | Note::LoginRefused { .. }
                | Note::LoggedOut { .. }
                | Note::Suspended { .. }
                | Note::Resumed { .. }
                | Note::Found(_)
                | Note::Configured { .. }
                | Note::Started { .. }
                | Note::Stopped
                | Note::Read { .. },
            ) => Vec::new(),
        }
    }

    fn accesses(&self, entry: &Entry, disclosed: &Disclosed) -> Vec<Event> {
        let statement: Arc<str> = disclosed.fingerprint.to_string().into();
        let base = Access {
            kind: (!disclosed.lookups.is_empty()).then_some(AccessKind::Lookup),
            ticket: disclosed.claimed.clone(),
            search: disclosed.lookups.first().map(|lookup| hex(&lookup.search).into()),
            rows: disclosed.allowed,
            ..access(entry, &disclosed.actor, disclosed.connection, statement)
        };
        let stopped = disclosed.stopped.is_some();
        if disclosed.groups.is_empty() {
            let decision = if stopped { AccessDecision::Stop } else { AccessDecision::Mask };
            return vec![Event::Access(Access { decision, ..base })];
        }
        let several = disclosed.groups.len() > 1;
        let one = |(number, group): (usize, &Group)| {
            let decision = match (stopped, group.clear.is_empty()) {
                (true, _) => AccessDecision::Stop,
                (false, true) => AccessDecision::Mask,
                (false, false) => AccessDecision::Allow,
            };
            let id = if several { format!("{}.{number}", base.id) } else { base.id.clone() };
            Event::Access(Access {
                id,
                reason: group.reason.as_ref().map(|reason| Arc::clone(&reason.name)),
                grade: group.grade(),
                subjects: group.subjects.clone(),
                clear: self.fields(&group.relation, &group.clear),
                masked: self.fields(&group.relation, &group.masked),
                decision,
                ..base.clone()
            })
        };
        disclosed.groups.iter().enumerate().map(one).collect()
    }

    /// The classes of columns; the columns themselves where nobody said a class.
    fn fields(&self, relation: &str, columns: &[Arc<str>]) -> Vec<Arc<str>> {
        let field = |column: &Arc<str>| {
            let class = self.classes.get(&(relation.to_owned(), column.to_string()));
            class.map_or_else(|| Arc::clone(column), |class| class.as_str().into())
        };
        columns.iter().map(field).collect()
    }
}

fn access(entry: &Entry, actor: &Actor, connection: u64, statement: Arc<str>) -> Access {
    Access {
        ts: entry.time,
        id: entry.sequence.to_string(),
        actor: actor.clone(),
        session: connection.to_string().into(),
        client_addr: None,
        device: None,
        app: None,
        statement,
        kind: None,
        ticket: None,
        reason: None,
        grade: None,
        subjects: Vec::new(),
        clear: Vec::new(),
        masked: Vec::new(),
        rows: 0,
        decision: AccessDecision::Mask,
        search: None,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What is known besides the ledger: who works here, and which customers are planted.
pub(crate) fn known(settings: &Settings, people: &People, at: Timestamp) -> Vec<Event> {
    let person = |(actor, account): (&Actor, &postern_people::Account)| {
        Event::Person(Person {
            ts: at,
            seen: at,
            actor: actor.clone(),
            event: PersonEvent::Role,
            role: Some(Arc::clone(&account.role)),
            team: None,
            manager: None,
            employer: Some(Arc::clone(&account.employer)),
            queues: Vec::new(),
            languages: Vec::new(),
            shift: None,
        })
    };
    let decoy = |subject: &postern_model::Subject| {
        Event::Subject(SubjectChange {
            ts: at,
            subject: subject.clone(),
            queue: None,
            language: None,
            tags: vec!["canary".into()],
        })
    };
    people.iter().map(person).chain(settings.watch.decoys.iter().map(decoy)).collect()
}

#[cfg(test)]
mod tests;
