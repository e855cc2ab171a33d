//! What a trace rests on: who was shown what in clear, and what is known of the customers.
//!
//! A [`Tracer`] takes events in any order and keeps of each what a source could have leaked: the
//! customers, the fields that were clear, and when. Masked and refused accesses are no source. It
//! judges nothing: [`Tracer::trace`] sorts, builds the index and hands over to `judge`. Names
//! become numbers in the order of their coming and no hash table is iterated, so that equal events
//! in equal order give equal traces.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::{BuildHasherDefault, DefaultHasher, Hash},
};

use postern_model::{
    Access, AccessDecision, AccessKind, Actor, Complaint, Event, Grade, Subject, Text, Timestamp,
};

use crate::{
    Leak, Listed, Step, Trace, ValueVersion,
    field::Field,
    index::Index,
    judge,
    reasons::{self, Facts},
    resolve::{self, Resolved},
    source::{Seen, SourceSet},
    stored::Stored,
};

#[cfg(test)]
mod tests;

/// Customers shown together from which on they are a list, which nobody works through.
const LISTED: usize = 10;

/// Complaints after which it is told how the case stands.
const STEPS: usize = 100;

/// What can be set.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceConfig {
    /// How many customers there are, if more than the feeds tell of.
    pub customers: Option<usize>,
    /// Roles whose accounts are used by many people or by programs, so that no one stands behind.
    pub shared_roles: BTreeSet<Text>,
    /// Accounts that are shared, whatever their role.
    pub shared_accounts: BTreeSet<Actor>,
    /// The share of fields that were changed on the way from the source into the list.
    pub field_error: f64,
    /// The probability that such a changed field is by chance what another source would show.
    pub field_chance: f64,
    /// How many innocent leaks are simulated; 999 at least, or nobody is ever named.
    pub innocent_leaks: usize,
    /// The seed of these simulations.
    pub seed: u64,
    /// Only accesses from this moment on.
    pub since: Option<Timestamp>,
    /// Only accesses before this moment.
    pub until: Option<Timestamp>,
}

impl Default for TraceConfig {
    fn default() -> Self {
        Self {
            customers: None,
            shared_roles: BTreeSet::from([Text::from("service")]),
            shared_accounts: BTreeSet::new(),
            field_error: 0.05,
            field_chance: 1e-3,
            innocent_leaks: 2_000,
            seed: 1,
            since: None,
            until: None,
        }
    }
}

/// Traces a list in one call: accesses alone, no values, no strata.
pub fn trace<'a>(
    leak: &Leak,
    accesses: impl IntoIterator<Item = &'a Access>,
    config: TraceConfig,
) -> Trace {
    let mut tracer = Tracer::new(config);
    accesses.into_iter().for_each(|access| tracer.access(access));
    tracer.trace(leak)
}

/// Numbers names in the order of their coming. The hasher has no random part, and the table is
/// never iterated.
#[derive(Debug)]
pub(crate) struct Names<K> {
    numbers: HashMap<K, u32, BuildHasherDefault<DefaultHasher>>,
    pub(crate) names: Vec<K>,
}

impl<K> Default for Names<K> {
    fn default() -> Self {
        Self { numbers: HashMap::default(), names: Vec::new() }
    }
}

impl<K: Clone + Eq + Hash> Names<K> {
    pub(crate) fn number(&mut self, name: &K) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.numbers.insert(name.clone(), number);
        self.names.push(name.clone());
        number
    }

    pub(crate) fn find(&self, name: &K) -> Option<u32> {
        self.numbers.get(name).copied()
    }

    pub(crate) fn name(&self, number: u32) -> Option<&K> {
        self.names.get(usize::try_from(number).ok()?)
    }
}

/// A value that a field had from a moment on, normalised.
pub(crate) type Version = (Timestamp, String);

/// Queue and language of a customer.
pub(crate) type Segment = (Option<Text>, Option<Text>);

/// Everything that a trace rests on.
#[derive(Debug)]
pub struct Tracer {
    pub(crate) config: TraceConfig,
    pub(crate) subjects: Names<Subject>,
    pub(crate) segments: BTreeMap<u32, Segment>,
    pub(crate) accounts: Names<Actor>,
    /// What each account was shown in clear, by its number.
    pub(crate) seen: Vec<SourceSet>,
    roles: BTreeMap<Actor, Text>,
    /// The ids of the accesses, by number.
    pub(crate) accesses: Vec<Text>,
    /// Reports that more than one account ran.
    reports: BTreeMap<Text, (BTreeSet<u32>, SourceSet)>,
    /// The customers who had tickets in a queue, from when on.
    queues: BTreeMap<Text, SourceSet>,
    pub(crate) versions: BTreeMap<(u32, Field), Vec<Version>>,
    pub(crate) by_value: BTreeMap<(Field, String), BTreeSet<u32>>,
    /// Customers with the same tag; there is no time to them.
    tags: BTreeMap<Text, SourceSet>,
    /// By ticket: what it says of who may read whom.
    pub(crate) tickets: BTreeMap<Text, Facts>,
    /// By access, the ticket that was claimed as the reason.
    pub(crate) claims: Vec<Option<Text>>,
    /// Customers by start (or else end) of a value, to find mistyped ones.
    pub(crate) near: BTreeMap<(Field, bool, String), Vec<u32>>,
    complaints: Vec<Complaint>,
    /// Whether any access says how well it was reasoned.
    pub(crate) graded: bool,
    /// Where most of that lies, if it was prepared; then little of it is here.
    pub(crate) stored: Option<Stored>,
    /// Made by the first trace after the last event.
    index: Option<Index>,
}

impl Tracer {
    /// A tracer that knows nothing yet.
    pub fn new(config: TraceConfig) -> Self {
        Self {
            config,
            subjects: Names::default(),
            segments: BTreeMap::new(),
            accounts: Names::default(),
            seen: Vec::new(),
            roles: BTreeMap::new(),
            accesses: Vec::new(),
            reports: BTreeMap::new(),
            queues: BTreeMap::new(),
            versions: BTreeMap::new(),
            by_value: BTreeMap::new(),
            tags: BTreeMap::new(),
            tickets: BTreeMap::new(),
            claims: Vec::new(),
            near: BTreeMap::new(),
            complaints: Vec::new(),
            graded: false,
            stored: None,
            index: None,
        }
    }

    /// Takes an event, in any order.
    pub fn observe(&mut self, event: &Event) {
        self.index = None;
        match event {
            Event::Access(access) => self.access(access),
            Event::Person(person) => {
                if let Some(role) = &person.role {
                    self.roles.insert(person.actor.clone(), role.clone());
                }
            }
            Event::Subject(change) => {
                let subject = self.subjects.number(&change.subject);
                let segment = self.segments.entry(subject).or_default();
                segment.0 = change.queue.clone().or_else(|| segment.0.clone());
                segment.1 = change.language.clone().or_else(|| segment.1.clone());
                for tag in change.tags.iter().filter(|tag| !tag.contains(':')) {
                    let seen = Seen { subject, access: u32::MAX, time: i64::MIN, ..ANYTHING };
                    self.tags.entry(tag.clone()).or_default().push(seen);
                }
            }
            Event::Ticket(ticket) => {
                self.facts(ticket);
                let Some(subject) = &ticket.subject else { return };
                let subject = self.subjects.number(subject);
                let value = Field::Ticket.normalise(&ticket.ticket);
                self.by_value.entry((Field::Ticket, value)).or_default().insert(subject);
                if let Some(queue) = &ticket.queue {
                    let pool = self.queues.entry(queue.clone()).or_default();
                    pool.push(Seen { subject, time: ticket.ts.0, ..ANYTHING });
                }
            }
            Event::Complaint(complaint) => self.complaints.push(complaint.clone()),
            Event::Call(_) | Event::Approval(_) => {}
        }
    }

    /// Takes a value that a field had.
    pub fn value(&mut self, value: &ValueVersion) {
        self.index = None;
        let subject = self.subjects.number(&value.subject);
        let Some(field) = Field::of(&value.field) else { return };
        let text = field.normalise(value.value.expose());
        self.by_value.entry((field, field.key(&text).to_owned())).or_default().insert(subject);
        if let Some((start, end)) = field.near_keys(&text) {
            self.near.entry((field, true, start)).or_default().push(subject);
            self.near.entry((field, false, end)).or_default().push(subject);
        }
        // A customer has several tickets at a time; they are no versions of each other.
        if field != Field::Ticket {
            self.versions.entry((subject, field)).or_default().push((value.ts, text));
        }
    }

    fn facts(&mut self, ticket: &postern_model::Ticket) {
        let handler = ticket.assignee.as_ref().map(|actor| self.accounts.number(actor));
        let subject = ticket.subject.as_ref().map(|subject| self.subjects.number(subject));
        self.seen.resize_with(self.accounts.names.len(), SourceSet::default);
        self.tickets.entry(ticket.ticket.clone()).or_default().learn(ticket, subject, handler);
    }

    /// The complaints among the events, as a leak.
    pub fn complaints(&self) -> Leak {
        Leak::from_complaints(&self.complaints)
    }

    /// How the case stands after each of the complaints, on top of a list that is there already.
    pub fn after_each(&mut self, list: &Leak, complaints: &Leak) -> Vec<Step> {
        let mut rows = complaints.rows.clone();
        rows.sort_by_key(|row| row.before);
        let many = rows.len().min(STEPS);
        let step = |many: usize| {
            let so_far = Leak { rows: rows.iter().take(many).cloned().collect() };
            let trace = self.trace(&list.clone().and(so_far));
            let first = trace.suspects.into_iter().next();
            let first = first.map(|suspect| (suspect.actor, suspect.probability));
            Step { complaints: many, verdict: trace.verdict, first }
        };
        (1..=many).map(step).collect()
    }

    /// Weighs where the list came from.
    pub fn trace(&mut self, leak: &Leak) -> Trace {
        let index = self.indexed();
        let list = self.looked_up(&index, leak);
        let trace = judge::judge(self, &index, &list);
        self.keep(index);
        trace
    }

    /// The customers whom a list names. Nothing is weighed.
    pub fn listed(&mut self, leak: &Leak) -> Listed {
        let index = self.indexed();
        let list = self.looked_up(&index, leak);
        self.keep(index);
        resolve::listed(self, &list)
    }

    /// The customers who are not in the list and were shown to whom it may have come from, at the
    /// time and in the way that fits it, each with how probable it is that one of these gave it;
    /// the most probable first, at most 100,000. Sources below one in a hundred are passed over.
    /// It names no account, so that customers can be warned before anybody can be named.
    pub fn next_called(&mut self, leak: &Leak) -> Vec<(Subject, f64)> {
        let index = self.indexed();
        let list = self.looked_up(&index, leak);
        let next = judge::next_called(self, &index, &list);
        self.keep(index);
        next
    }

    /// What does not depend on the list; to be given back to [`Self::keep`].
    pub(crate) fn indexed(&mut self) -> Index {
        self.index.take().unwrap_or_else(|| {
            self.order();
            Index::of(self)
        })
    }

    /// Says of every reading whether anything explains it, and orders everything.
    pub(crate) fn order(&mut self) {
        reasons::explain(self);
        self.seen.iter_mut().for_each(SourceSet::sort);
        self.reports.values_mut().for_each(|(_, set)| set.sort());
        self.queues.values_mut().for_each(SourceSet::sort);
        self.tags.values_mut().for_each(SourceSet::sort);
        self.versions.values_mut().for_each(|versions| versions.sort());
    }

    /// The customers of a list, and what lies elsewhere of them.
    fn looked_up(&mut self, index: &Index, leak: &Leak) -> Resolved {
        let list = resolve::resolve(self, leak);
        if let Some(by_subject) = index.readers.by_subject() {
            self.look_at(by_subject, &list);
        }
        list
    }

    /// The last moment of which the index knows.
    pub(crate) fn until(&self) -> Option<Timestamp> {
        let index = self.index.as_ref().filter(|_| self.has_accesses())?;
        let (from, length, _) = index.background.windows.parts();
        Some(Timestamp(from.saturating_add(length) - 1))
    }

    pub(crate) fn keep(&mut self, index: Index) {
        self.index = Some(index);
    }

    /// The sources that several people share, by name.
    pub(crate) fn pools(&self) -> Vec<(Text, &SourceSet)> {
        if let Some(stored) = &self.stored {
            return stored.pools(&self.seen);
        }
        let accounts = self.accounts.names.iter().zip(&self.seen);
        let shared = accounts
            .filter(|(actor, _)| self.is_shared(actor))
            .map(|(actor, set)| (Text::from(actor.as_str()), set));
        let queues = self.queues.iter().map(|(queue, set)| (format!("queue {queue}").into(), set));
        let reports = self
            .reports
            .iter()
            .filter(|(_, (accounts, _))| accounts.len() > 1)
            .map(|(name, (_, set))| (format!("report {name}").into(), set));
        let tags = self.tags.iter().map(|(tag, set)| (format!("tag {tag}").into(), set));
        shared.chain(queues).chain(reports).chain(tags).collect()
    }

    /// Whether the account is used by many, so that it is a pool and no suspect.
    pub(crate) fn is_shared(&self, actor: &Actor) -> bool {
        let by_role = self.roles.get(actor).is_some_and(|r| self.config.shared_roles.contains(r));
        by_role || self.config.shared_accounts.contains(actor)
    }

    /// Only what was shown in clear can have been taken; a source that names no fields is taken
    /// to have shown them all.
    fn access(&mut self, access: &Access) {
        let (since, until) = (self.config.since, self.config.until);
        if since.is_some_and(|s| access.ts < s) || until.is_some_and(|u| access.ts >= u) {
            return;
        }
        let Some(shown) = shown(access) else { return };
        let account = self.accounts.number(&access.actor);
        let number = u32::try_from(self.accesses.len()).unwrap_or(u32::MAX);
        self.accesses.push(access.id.clone());
        self.claims.push(access.ticket.clone());
        let index = usize::try_from(account).unwrap_or(usize::MAX);
        if self.seen.len() <= index {
            self.seen.resize_with(index + 1, SourceSet::default);
        }
        let is_report = matches!(access.kind, Some(AccessKind::Report | AccessKind::Export));
        let mut report = is_report.then(|| {
            let report = self.reports.entry(access.statement.clone()).or_default();
            report.0.insert(account);
            &mut report.1
        });
        self.graded |= access.grade.is_some();
        let weak = access.grade != Some(Grade::Strong);
        let listed = access.subjects.len() >= LISTED;
        for subject in &access.subjects {
            let subject = self.subjects.number(subject);
            let time = access.ts.0;
            let seen = Seen { subject, access: number, time, shown, weak, listed };
            if let Some(set) = self.seen.get_mut(index) {
                set.push(seen);
            }
            if let Some(report) = &mut report {
                report.push(seen);
            }
        }
    }
}

/// A reading of which only the customer is known.
const ANYTHING: Seen = Seen {
    subject: 0,
    time: 0,
    access: u32::MAX,
    shown: Field::ALL_BITS,
    weak: false,
    listed: false,
};

/// The fields that an access showed in clear; `None` if it showed nothing in clear.
fn shown(access: &Access) -> Option<u8> {
    let bits = |columns: &[Text]| {
        columns.iter().filter_map(|column| Field::of(column)).fold(0, |set, f| set | f.bit())
    };
    if access.decision == AccessDecision::Deny {
        return None;
    }
    if access.clear.is_empty() {
        let unknown = access.masked.is_empty() && access.decision != AccessDecision::Mask;
        return unknown.then_some(Field::ALL_BITS);
    }
    match bits(&access.clear) {
        // Fields whose names say nothing: all but those that were certainly masked.
        0 => Some(Field::ALL_BITS & !bits(&access.masked)),
        known => Some(known),
    }
}
