//! What each core counts of its clients, for whoever administers the gateway.
//!
//! A core counts for itself, so that nothing is shared while statements run; whoever asks reads the
//! counters from another thread, each by itself.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// A counter that one thread raises.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// By the core's own thread only: two that add at once lose one of both.
    pub(crate) fn add(&self, more: usize) {
        let before = self.0.load(Ordering::Relaxed);
        self.0.store(before.wrapping_add(more as u64), Ordering::Relaxed);
    }

    fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One core's counters.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) log_ins: Counter,
    /// Query and Execute messages.
    pub(crate) statements: Counter,
    pub(crate) received_bytes: Counter,
    pub(crate) sent_bytes: Counter,
    /// What was recorded before it left, and how many rows that were.
    pub(crate) recorded: Counter,
    pub(crate) recorded_rows: Counter,
    pub(crate) refused: Counter,
}

/// What a core has counted since the gateway started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CoreStats {
    pub core: usize,
    /// Sessions that have begun.
    pub log_ins: u64,
    /// Statements that clients have sent: messages of the simple protocol, each with all that is in
    /// it, and executions of the extended one.
    pub statements: u64,
    /// Bytes of the clients' messages, and of what they were sent, without TLS.
    pub received_bytes: u64,
    pub sent_bytes: u64,
    /// Entries that were written before rows left, and how many rows they are about.
    pub recorded: u64,
    pub recorded_rows: u64,
    /// Statements that were refused.
    pub refused: u64,
}

/// The counters of all cores, by core.
#[derive(Debug)]
pub(crate) struct Figures(Vec<Arc<Counters>>);

impl Figures {
    pub(crate) fn new(cores: usize) -> Self {
        Self((0..cores).map(|_| Arc::default()).collect())
    }

    pub(crate) fn of(&self, core: usize) -> Arc<Counters> {
        self.0.get(core).cloned().unwrap_or_default()
    }

    pub(crate) fn all(&self) -> Vec<CoreStats> {
        let stats = self.0.iter().enumerate().map(|(core, counters)| CoreStats {
            core,
            log_ins: counters.log_ins.value(),
            statements: counters.statements.value(),
            received_bytes: counters.received_bytes.value(),
            sent_bytes: counters.sent_bytes.value(),
            recorded: counters.recorded.value(),
            recorded_rows: counters.recorded_rows.value(),
            refused: counters.refused.value(),
        });
        stats.collect()
    }
}
