//! Who was affected, by what the ledger and the list tell.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use postern_feed::{read_leak, read_values};
use postern_ledger::{Body, Disclosed, Entry, Reader};
use postern_model::{Actor, Subject, Timestamp};
use postern_trace::{TraceConfig, Tracer};

use crate::{cli::BreachOpenArgs, commands::replay, config::Settings, events};

/// How certain it is that a person's data got out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Certainty {
    /// It turned up where it should not be.
    Seen,
    /// It was shown through an account concerned.
    Possible,
    /// Nothing tells that it was, or that it was not.
    Unknown,
}

impl Certainty {
    pub(super) const ALL: [Self; 3] = [Self::Seen, Self::Possible, Self::Unknown];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Seen => "seen",
            Self::Possible => "possible",
            Self::Unknown => "unknown",
        }
    }
}

/// When data of one kind of one person was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
    pub(super) times: u64,
}

/// A person.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Person {
    /// Whether the list names them.
    pub(super) listed: bool,
    /// The kinds of their data that are in the list.
    pub(super) seen: BTreeSet<String>,
    /// By kind of data; `None` where it is in the list and was not shown through these accounts.
    pub(super) data: BTreeMap<String, Option<Shown>>,
}

impl Person {
    pub(super) fn certainty(&self) -> Certainty {
        match (self.listed, self.data.is_empty()) {
            (true, _) => Certainty::Seen,
            (false, false) => Certainty::Possible,
            (false, true) => Certainty::Unknown,
        }
    }

    /// How certain it is that data of this kind got out.
    pub(super) fn certainty_of(&self, kind: &str) -> Certainty {
        if self.seen.contains(kind) { Certainty::Seen } else { Certainty::Possible }
    }

    /// The first and the last moment at which anything was shown.
    pub(super) fn span(&self) -> Option<(Timestamp, Timestamp)> {
        let shown = || self.data.values().flatten();
        Some((shown().map(|s| s.first).min()?, shown().map(|s| s.last).max()?))
    }
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Affected {
    pub(super) persons: BTreeMap<Subject, Person>,
    /// Rows in the list, and those that could not be told to be a customer's.
    pub(super) rows: usize,
    pub(super) unresolved: usize,
    /// Statements of these accounts that went to the server unread: whose data they showed, if
    /// any, is not known.
    pub(super) unread: u64,
    /// Entries that were looked at, and the time of the last.
    pub(super) entries: u64,
    pub(super) last: Option<Timestamp>,
}

/// Goes through the ledger.
pub(super) fn find(settings: &Settings, args: &BreachOpenArgs) -> anyhow::Result<Affected> {
    let accounts: BTreeSet<Actor> = args.account.iter().map(Actor::new).collect();
    let mut affected = Affected::default();
    let mut tracer = Tracer::new(TraceConfig::default());
    for entry in Reader::open(&settings.data.ledger())? {
        let entry = entry?;
        affected.entries += 1;
        affected.last = Some(entry.time);
        if args.leak.is_some() {
            events::of_entry(&entry).iter().for_each(|event| tracer.observe(event));
        }
        let is_then = args.since.is_none_or(|since| entry.time >= since)
            && args.until.is_none_or(|until| entry.time < until);
        if let (true, Body::Disclosed(disclosed)) = (is_then, &entry.body)
            && accounts.contains(&disclosed.actor)
        {
            affected.take(settings, &entry, disclosed);
        }
    }
    if let Some(path) = &args.values {
        let (values, problems) = read_values(path)?;
        values.iter().for_each(|value| tracer.value(value));
        replay::report(&problems)?;
    }
    if let Some(path) = &args.leak {
        affected.list(&mut tracer, path)?;
    }
    Ok(affected)
}

impl Affected {
    fn take(&mut self, settings: &Settings, entry: &Entry, disclosed: &Disclosed) {
        self.unread += u64::from(disclosed.observed.as_ref().is_some_and(|o| o.unknown));
        for group in &disclosed.groups {
            let kinds: BTreeSet<&str> =
                group.clear.iter().map(|column| kind(settings, &group.relation, column)).collect();
            for subject in group.subjects.iter().filter(|_| !kinds.is_empty()) {
                let person = self.persons.entry(subject.clone()).or_default();
                for kind in &kinds {
                    let now = Shown { first: entry.time, last: entry.time, times: 0 };
                    let slot = person.data.entry((*kind).to_owned()).or_default();
                    let shown = slot.get_or_insert(now);
                    shown.last = entry.time;
                    shown.times += 1;
                }
            }
        }
    }

    fn list(&mut self, tracer: &mut Tracer, path: &Path) -> anyhow::Result<()> {
        let leak = read_leak(path)?;
        let listed = tracer.listed(&leak);
        self.rows = leak.rows.len();
        self.unresolved = listed.unresolved;
        for (subject, fields) in listed.customers {
            let person = self.persons.entry(subject).or_default();
            person.listed = true;
            for field in fields {
                let kind = if field == "ticket" { "case_number" } else { field };
                person.seen.insert(kind.to_owned());
                person.data.entry(kind.to_owned()).or_default();
            }
        }
        Ok(())
    }

    /// Persons by how certain it is.
    pub(super) fn count(&self, certainty: Certainty) -> usize {
        self.persons.values().filter(|person| person.certainty() == certainty).count()
    }
}

/// What kind of data a column holds: its class, or `other`.
fn kind(settings: &Settings, relation: &str, column: &str) -> &'static str {
    let table = settings.tables.iter().find(|table| table.full_name() == relation);
    let columns = table.iter().flat_map(|table| &table.columns);
    let found = columns.into_iter().find(|known| known.name == column);
    found.map_or("other", |column| column.class.as_str())
}
