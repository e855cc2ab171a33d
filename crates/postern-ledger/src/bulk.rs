//! Bulk results wait for the witness: of what no witness has seen yet, only so much leaves to one
//! account. More is recorded and signed at once, and released when enough witnesses have cosigned a
//! checkpoint that covers its entry.
//!
//! Whoever has the ledger's machine could take a list and rewrite the history behind the last
//! cosigned checkpoint; with this there is no list of more than so many records behind it. Where
//! to start: [`Bulk::admits`].

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use postern_model::Actor;

use crate::{Body, Entry, Receipt, RecordError, told::RecordDone};

/// What waits for witnesses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BulkOptions {
    /// So many records may leave to one account before witnesses have seen their entries.
    pub records_max: u64,
    /// How long a result waits; then it is refused.
    pub patience: Duration,
    /// How many results may wait, each with the rows that its connection holds; more are refused.
    pub waiting_max: usize,
}

/// What one account was shown that no witness has seen.
#[derive(Debug, Default)]
struct Unseen {
    /// Sequence and number of records. INVARIANT: their sum is `records`.
    entries: VecDeque<(u64, u64)>,
    records: u64,
}

/// A result that is durable here and waits.
struct Waiting {
    until: Instant,
    receipt: Receipt,
    done: RecordDone,
}

#[derive(Default)]
struct State {
    /// How many entries enough witnesses have seen.
    seen: u64,
    unseen: HashMap<Actor, Unseen>,
    /// By the sequence of the entry.
    waiting: BTreeMap<u64, Waiting>,
    /// Something began to wait since that was asked last.
    rung: bool,
    closing: bool,
}

/// Shared by the writer, the thread that ends what has waited too long, and who asks witnesses.
pub(crate) struct Bulk {
    options: BulkOptions,
    state: Mutex<State>,
    changed: Condvar,
}

/// What an account was shown before this start that no witness has seen: the last entry, and how
/// many records.
pub(crate) type UnseenBefore = HashMap<Actor, (u64, u64)>;

/// How many records an entry shows.
pub(crate) fn records(entry: &Entry) -> u64 {
    match &entry.body {
        Body::Disclosed(disclosed) => {
            disclosed.groups.iter().map(|group| group.subjects.len() as u64).sum()
        }
        Body::Noted(_) => 0,
    }
}

/// Whether it is not known how many records it shows.
fn is_unknown(entry: &Entry) -> bool {
    match &entry.body {
        Body::Disclosed(disclosed) => disclosed.observed.as_ref().is_some_and(|one| one.unknown),
        Body::Noted(_) => false,
    }
}

impl Bulk {
    pub(crate) fn start(options: BulkOptions, before: UnseenBefore) -> std::io::Result<Arc<Self>> {
        let unseen = before.into_iter().map(|(actor, (sequence, records))| {
            (actor, Unseen { entries: VecDeque::from([(sequence, records)]), records })
        });
        let state = Mutex::new(State { unseen: unseen.collect(), ..State::default() });
        let bulk = Arc::new(Self { options, state, changed: Condvar::new() });
        let ending = bulk.clone();
        thread::Builder::new().name("ledger-bulk".into()).spawn(move || ending.end_late())?;
        Ok(bulk)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether what an entry shows may leave before a witness has seen it; it counts then. Where it
    /// is not known what that is, it is more than may.
    pub(crate) fn admits(&self, entry: &Entry) -> bool {
        if is_unknown(entry) {
            return false;
        }
        let (Body::Disclosed(disclosed), count) = (&entry.body, records(entry)) else {
            return true;
        };
        if count == 0 {
            return true;
        }
        let mut state = self.state();
        let unseen = state.unseen.entry(disclosed.actor.clone()).or_default();
        let admits = unseen.records.saturating_add(count) <= self.options.records_max;
        if admits {
            unseen.entries.push_back((entry.sequence, count));
            unseen.records += count;
        }
        admits
    }

    /// What is to be told instead of `done`, so that a receipt for the entry waits.
    pub(crate) fn holding(self: &Arc<Self>, sequence: u64, done: RecordDone) -> RecordDone {
        let bulk = self.clone();
        Box::new(move |result| match result {
            Ok(receipt) => bulk.hold(sequence, receipt, done),
            Err(error) => done(Err(error)),
        })
    }

    fn hold(&self, sequence: u64, receipt: Receipt, done: RecordDone) {
        let mut state = self.state();
        if state.seen > sequence {
            drop(state);
            return done(Ok(receipt));
        }
        if state.closing || state.waiting.len() >= self.options.waiting_max {
            drop(state);
            return done(Err(RecordError::Unwitnessed));
        }
        let until = Instant::now() + self.options.patience;
        state.waiting.insert(sequence, Waiting { until, receipt, done });
        state.rung = true;
        drop(state);
        self.changed.notify_all();
    }

    /// Enough witnesses have seen so many entries: what waited for that is released.
    pub(crate) fn seen(&self, entries: u64) {
        let mut state = self.state();
        // Never taken back: what was released is out.
        if entries <= state.seen {
            return;
        }
        state.seen = entries;
        state.unseen.retain(|_, unseen| {
            while let Some((_, count)) = unseen.entries.pop_front_if(|(one, _)| *one < entries) {
                unseen.records -= count;
            }
            unseen.records > 0
        });
        let later = state.waiting.split_off(&entries);
        let released = std::mem::replace(&mut state.waiting, later);
        drop(state);
        released.into_values().for_each(|waiting| (waiting.done)(Ok(waiting.receipt)));
    }

    /// How many results wait.
    pub(crate) fn waiting(&self) -> usize {
        self.state().waiting.len()
    }

    /// Waits until a result begins to wait, at most that long, and says whether any waits.
    pub(crate) fn wait(&self, timeout: Duration) -> bool {
        let quiet = |state: &mut State| !state.rung && !state.closing;
        let waited = self.changed.wait_timeout_while(self.state(), timeout, quiet);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.rung = false;
        !state.waiting.is_empty()
    }

    /// Nothing more is released.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.closing = true;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        self.changed.notify_all();
        refuse(waiting);
    }

    /// Ends what has waited for too long, until the ledger is closed.
    fn end_late(&self) {
        let mut state = self.state();
        while !state.closing {
            let now = Instant::now();
            let late = state.waiting.extract_if(.., |_, waiting| waiting.until <= now).collect();
            let next = state.waiting.values().map(|waiting| waiting.until).min();
            drop(state);
            refuse(late);
            state = self.state();
            if state.closing {
                return;
            }
            // What begins to wait now is ended later than what is known.
            let pause = next.map_or(self.options.patience, |next| next.duration_since(now));
            let waited = self.changed.wait_timeout(state, pause);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn refuse(waiting: BTreeMap<u64, Waiting>) {
    waiting.into_values().for_each(|waiting| (waiting.done)(Err(RecordError::Unwitnessed)));
}

#[cfg(test)]
mod tests;
