//! Rows of a list to customers, and what each row says of the version that was taken.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    Leak, LeakRow, Listed,
    field::{Field, Likeness},
    tracer::Tracer,
};

/// One field of a resolved row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RowField {
    pub(crate) bit: u8,
    /// How many versions the field had.
    pub(crate) versions: f64,
    /// When the leaked version was the one that is shown, in microseconds, end excluded; `None`
    /// if that can't be told.
    pub(crate) valid: Option<Vec<(i64, i64)>>,
}

/// A row that belongs to a customer; there is one for each.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) subject: u32,
    /// Fields whose value is known here, or unknown altogether; one that never had the leaked
    /// value speaks for no source and is left out.
    pub(crate) fields: Vec<RowField>,
    /// Taken before this moment, in microseconds.
    pub(crate) before: i64,
}

impl Row {
    /// The fields that somebody who saw the record at that moment, these fields in clear, could
    /// have put into the list as they stand there.
    pub(crate) fn explained(&self, time: i64, shown: u8) -> u8 {
        let valid = |field: &&RowField| {
            let at = field.valid.as_ref();
            at.is_none_or(|spans| spans.iter().any(|(from, to)| (*from..*to).contains(&time)))
        };
        self.fields.iter().filter(valid).fold(0, |set, field| set | field.bit) & shown
    }
}

/// A list as it can be used.
#[derive(Debug, Default)]
pub(crate) struct Resolved {
    /// Rows as given.
    pub(crate) list: usize,
    /// By customer, ascending.
    pub(crate) rows: Vec<Row>,
    /// Different rows that belong to no customer. Rows that could belong to one whose values are
    /// not known here say nothing and are not counted.
    pub(crate) strangers: usize,
    /// Rows as given that belong to nobody, or to one of several.
    pub(crate) unresolved: usize,
}

/// Resolves a list. The order of its rows has no effect: rows of the same customer are joined,
/// ordered by what they say.
pub(crate) fn resolve(tracer: &Tracer, leak: &Leak) -> Resolved {
    let mut by_subject: BTreeMap<u32, Vec<&LeakRow>> = BTreeMap::new();
    let (mut strangers, mut unresolved) = (BTreeSet::new(), 0);
    let covered = covered(tracer);
    for row in &leak.rows {
        match subject_of(tracer, row) {
            Meant::One(subject) => by_subject.entry(subject).or_default().push(row),
            Meant::Nobody if is_stranger(row, &covered) => {
                unresolved += 1;
                strangers.insert(key(row));
            }
            Meant::Nobody | Meant::Several => unresolved += 1,
        }
    }
    let mut rows = Vec::new();
    for (subject, mut of_subject) in by_subject {
        of_subject.sort_by_key(|row| (std::cmp::Reverse(row.fields.len()), key(row)));
        let before = of_subject.iter().filter_map(|row| row.before).min();
        let fields = of_subject.first().map(|row| fields(tracer, subject, row));
        rows.push(Row {
            subject,
            fields: fields.unwrap_or_default(),
            before: before.map_or(i64::MAX, |before| before.0),
        });
    }
    // Numbers depend on the order of events; names do not.
    rows.sort_by_cached_key(|row| tracer.subject_name(row.subject));
    Resolved { list: leak.rows.len(), rows, strangers: strangers.len(), unresolved }
}

/// A resolved list by names.
pub(crate) fn listed(tracer: &Tracer, list: &Resolved) -> Listed {
    let customers = list.rows.iter().filter_map(|row| {
        let has = |bit: u8| row.fields.iter().any(|field| field.bit == bit);
        let fields = Field::ALL.into_iter().filter(|(field, _)| has(field.bit()));
        Some((tracer.subject_name(row.subject)?, fields.map(|(_, name)| name).collect()))
    });
    Listed { customers: customers.collect(), unresolved: list.unresolved }
}

/// The fields of which the values of nearly all customers are known.
fn covered(tracer: &Tracer) -> BTreeSet<Field> {
    let mut known = tracer.valued();
    let customers = tracer.customers();
    known.retain(|_, count| *count * 10 >= customers * 9);
    known.into_keys().collect()
}

/// Whether a row that was not resolved can belong to nobody who was ever read: it names a
/// customer whom no feed knows, or a value that would have been found.
fn is_stranger(row: &LeakRow, covered: &BTreeSet<Field>) -> bool {
    let would_be_found = |name: &str| Field::of(name).is_some_and(|field| covered.contains(&field));
    let mut values = row.fields.iter().filter(|(_, value)| !value.expose().is_empty());
    row.subject.is_some() || values.any(|(name, _)| would_be_found(name))
}

/// What a row says, as something to order by.
fn key(row: &LeakRow) -> Vec<String> {
    let mut key: Vec<String> =
        row.fields.iter().map(|(name, value)| format!("{name}={}", value.expose())).collect();
    key.sort();
    key.extend(row.subject.iter().map(|subject| format!("subject={subject}")));
    key
}

/// Who is meant by a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meant {
    One(u32),
    /// Several fit as well as each other.
    Several,
    Nobody,
}

/// What a value is worth in telling who is meant.
const BY_KEY: u32 = 32;
const BY_VALUE: u32 = 8;
const BY_NEAR_VALUE: u32 = 4;
const BY_NAME: u32 = 3;
const BY_NEAR_NAME: u32 = 2;
/// Customers with similar values that are looked through at most.
const NEAR_MAX: usize = 4_000;

/// The customer whom most of the row's fields point to. A name alone is enough only if one
/// customer has it; two customers that fit as well as each other are none. Mistyped values are
/// looked for only where no value is found as it stands.
fn subject_of(tracer: &Tracer, row: &LeakRow) -> Meant {
    let mut votes: BTreeMap<u32, u32> = BTreeMap::new();
    if let Some(subject) = row.subject.as_ref().and_then(|name| tracer.subject_number(name)) {
        *votes.entry(subject).or_default() += BY_KEY;
    }
    let values: Vec<(Field, String)> = row
        .fields
        .iter()
        .filter_map(|(name, value)| {
            let field = Field::of(name)?;
            Some((field, field.normalise(value.expose())))
        })
        .filter(|(_, value)| !value.is_empty())
        .collect();
    for (field, value) in values.iter().filter(|(field, _)| *field != Field::Name) {
        for subject in tracer.with_value(*field, field.key(value)) {
            if *field == Field::Ticket || is_one_of(tracer, subject, *field, value) {
                *votes.entry(subject).or_default() += BY_VALUE;
            }
        }
    }
    if votes.is_empty() {
        for (field, value) in &values {
            for subject in similar(tracer, *field, value) {
                *votes.entry(subject).or_default() += BY_NEAR_VALUE;
            }
        }
    }
    let name = values.iter().find(|(field, _)| *field == Field::Name);
    if let Some((_, name)) = name {
        if votes.is_empty() {
            let same = tracer.with_value(Field::Name, name);
            votes.extend(same.into_iter().map(|subject| (subject, 0)));
        }
        for (subject, votes) in &mut votes {
            *votes += by_name(tracer, *subject, name);
        }
    }
    let best = votes.values().max().copied().unwrap_or(0);
    let mut winners = votes.iter().filter(|(_, votes)| **votes == best);
    match (winners.next(), winners.next()) {
        (None, _) => Meant::Nobody,
        (Some((winner, _)), None) => Meant::One(*winner),
        (Some(_), Some(_)) => Meant::Several,
    }
}

fn by_name(tracer: &Tracer, subject: u32, name: &str) -> u32 {
    let versions = tracer.versions_of(subject, Field::Name);
    match versions.iter().map(|(_, version)| Field::Name.likeness(version, name)).max() {
        Some(Likeness::Same) => BY_NAME,
        Some(Likeness::Near) => BY_NEAR_NAME,
        Some(Likeness::Different) | None => 0,
    }
}

fn is_one_of(tracer: &Tracer, subject: u32, field: Field, value: &str) -> bool {
    tracer
        .versions_of(subject, field)
        .iter()
        .any(|(_, version)| field.likeness(version, value) == Likeness::Same)
}

/// The customers who have a value that may be this one, mistyped.
fn similar(tracer: &Tracer, field: Field, value: &str) -> BTreeSet<u32> {
    let Some((start, end)) = field.near_keys(value) else { return BTreeSet::new() };
    let mut found = BTreeSet::new();
    for (at_start, key) in [(true, start), (false, end)] {
        let near = tracer.with_near(field, at_start, &key);
        if near.len() > NEAR_MAX {
            continue;
        }
        found.extend(near.iter().copied().filter(|subject| {
            let versions = tracer.versions_of(*subject, field);
            versions.iter().any(|(_, version)| field.likeness(version, value) == Likeness::Near)
        }));
    }
    found
}

fn fields(tracer: &Tracer, subject: u32, row: &LeakRow) -> Vec<RowField> {
    let mut fields = Vec::new();
    for (name, value) in &row.fields {
        let Some(field) = Field::of(name) else { continue };
        let unknown = RowField { bit: field.bit(), versions: 1.0, valid: None };
        let value = field.normalise(value.expose());
        let versions = tracer.versions_of(subject, field);
        if versions.is_empty() || value.is_empty() {
            fields.push(unknown);
            continue;
        }
        // A slip of the pen is forgiven only if the value is no other version as it stands.
        let alike = versions.iter().map(|(_, version)| field.likeness(version, &value)).max();
        let alike = alike.unwrap_or(Likeness::Different).max(Likeness::Near);
        let mut spans = Vec::new();
        for (index, (from, version)) in versions.iter().enumerate() {
            // The first version may be older than its record.
            let from = if index == 0 { i64::MIN } else { from.0 };
            let until = versions.get(index + 1).map_or(i64::MAX, |(next, _)| next.0);
            if field.likeness(version, &value) >= alike {
                spans.push((from, until));
            }
        }
        if !spans.is_empty() {
            let versions = versions.len() as f64;
            fields.push(RowField { bit: field.bit(), versions, valid: Some(spans) });
        }
    }
    fields.sort_by_key(|field| field.bit);
    fields.dedup_by_key(|field| field.bit);
    fields
}
