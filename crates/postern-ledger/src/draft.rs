//! What the ledger is asked to record before rows leave, and what it answers.
//!
//! A [`Draft`] says whose data one hold of rows has, and the [`Limit`]s that bound the actor; the
//! answer is a [`Receipt`] or a [`RecordError`]. A draft's fields are open, since what is wrong
//! with one is refused when it is recorded; a receipt's are closed, since it is a proof: there is
//! no public way to make one.

use std::{fmt, sync::Arc, time::Duration};

use postern_model::{Actor, Reason, StatementFingerprint, Subject, ValueDigest};

use crate::Observed;

/// What a gateway is about to disclose: the rows of one hold.
#[derive(Debug, Clone)]
pub struct Draft {
    pub actor: Actor,
    /// The connection that holds the rows.
    pub connection: u64,
    /// Which of its holds; the receipt says the same.
    pub hold: u64,
    /// The statement's shape.
    pub fingerprint: StatementFingerprint,
    /// The statement without its literals.
    pub statement: Arc<str>,
    /// The protected tables that the statement reads, each in one place of it.
    pub leaves: Vec<DraftLeaf>,
    /// The rows in the order in which they would leave.
    pub rows: Vec<DraftRow>,
    /// Searches by a protected value that the statement made.
    pub lookups: Vec<DraftLookup>,
    /// What stands in clear columns of the rows, where hashes of it are to be kept.
    pub values: Vec<DraftValue>,
    /// The ticket that the actor named.
    pub claimed: Option<Arc<str>>,
    /// What would have been done, where policy is not enforced for the actor.
    pub observed: Option<Box<Observed>>,
    /// What bounds this actor.
    pub limits: Arc<[Limit]>,
    /// The statement was not run, because of this limit: nothing of it is charged.
    pub refused: Option<Limit>,
    /// The rows say whom a write has touched: all are named and charged, also those that a limit
    /// keeps from leaving.
    pub done: bool,
}

/// What a statement would do, as far as it is known before it is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Plan {
    /// How many searches it makes.
    pub searches: usize,
    /// It changes records, whose are not known before.
    pub writes: bool,
}

/// A protected table in one place of a statement.
#[derive(Debug, Clone)]
pub struct DraftLeaf {
    /// As `schema.table`.
    pub relation: Arc<str>,
    /// Columns that are clear where a row has a reason, and masked where it has none.
    pub clear: Vec<Arc<str>>,
    /// Columns that are clear whether or not there is a reason.
    pub shown: Vec<Arc<str>>,
    /// Columns that are masked in any case.
    pub masked: Vec<Arc<str>>,
}

/// Whose data one row holds.
#[derive(Debug, Clone, Default)]
pub struct DraftRow {
    pub touches: Vec<Touch>,
}

/// One customer in one row.
#[derive(Debug, Clone)]
pub struct Touch {
    /// Index into the draft's leaves.
    pub leaf: u16,
    pub subject: Subject,
    /// Why the leaf's clear columns are clear here; `None`: they are masked.
    pub reason: Option<Reason>,
}

/// A search by a protected value.
#[derive(Debug, Clone)]
pub struct DraftLookup {
    pub relation: Arc<str>,
    pub column: Arc<str>,
    /// Whether it found anything.
    pub hit: bool,
    /// Keyed hash of the value.
    pub search: [u8; 8],
}

/// What stands in a clear column of a row.
#[derive(Debug, Clone)]
pub struct DraftValue {
    /// Index into the draft's rows.
    pub row: usize,
    /// Index into the row's touches: whose it is.
    pub touch: usize,
    /// Index into the leaf's `clear` and, behind them, `shown`.
    pub column: usize,
    pub digest: ValueDigest,
}

/// What a limit counts, for each actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Counter {
    /// Distinct customers seen in clear.
    ClearSubjects,
    /// Distinct customers seen in clear for a weak reason.
    WeakSubjects,
    /// Distinct customers seen masked.
    MaskedSubjects,
    /// Searches by a protected value.
    Lookups,
    /// Those that found nothing.
    LookupMisses,
    /// Statements that ran until another limit stopped them. That they were stopped tells that
    /// there was a row, or an error, so they can't go on without end.
    Stops,
}

impl Counter {
    /// The counter's name in configuration and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClearSubjects => "clear_subjects",
            Self::WeakSubjects => "weak_subjects",
            Self::MaskedSubjects => "masked_subjects",
            Self::Lookups => "lookups",
            Self::LookupMisses => "lookup_misses",
            Self::Stops => "stops",
        }
    }
}

/// At most `max` of `counter` in any `window` of time that ends now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limit {
    pub counter: Counter,
    /// Kept to the microsecond. Something counted exactly this long ago counts no more.
    pub window: Duration,
    pub max: u64,
}

impl Limit {
    /// The window as the configuration writes it, in the largest unit that holds it exactly.
    pub fn window_text(&self) -> String {
        let micros = self.window.as_micros();
        let units = [("d", 86_400_000_000), ("h", 3_600_000_000), ("m", 60_000_000)];
        match units.into_iter().find(|(_, size)| micros > 0 && micros.is_multiple_of(*size)) {
            Some((unit, size)) => format!("{}{unit}", micros / size),
            None => format!("{:?}", self.window),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} in {}", self.max, self.counter.as_str(), self.window_text())
    }
}

/// The proof that a hold of rows is in the ledger, on stable storage. Only the ledger makes one,
/// and it can't be copied.
#[derive(Debug, PartialEq, Eq)]
pub struct Receipt {
    pub(crate) connection: u64,
    pub(crate) hold: u64,
    pub(crate) rows: u64,
    pub(crate) allowed: u64,
    pub(crate) stopped: Option<Limit>,
    pub(crate) nearing: Vec<Nearing>,
    pub(crate) sequence: u64,
}

/// A limit of which four fifths are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nearing {
    pub limit: Limit,
    pub used: u64,
}

impl Receipt {
    /// The connection whose rows these are.
    pub fn connection(&self) -> u64 {
        self.connection
    }

    /// Which of its holds.
    pub fn hold(&self) -> u64 {
        self.hold
    }

    /// How many rows were held.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// How many of them, from the first, may leave.
    pub fn allowed(&self) -> u64 {
        self.allowed
    }

    /// The limit that keeps the others back.
    pub fn stopped(&self) -> Option<Limit> {
        self.stopped
    }

    /// The limits that are nearly spent, each of which is told of once in its window.
    pub fn nearing(&self) -> &[Nearing] {
        &self.nearing
    }

    /// The entry's place in the ledger.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }
}

/// Why something was not recorded. Whatever it is: the rows must not leave.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RecordError {
    /// There is no room, or less would stay free than must. It is tried again with the next
    /// request.
    #[error("no space for the ledger")]
    Full {
        /// What the system said.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// Writing or syncing failed at some time; nothing is recorded until the ledger is opened
    /// again.
    #[error("the ledger is out of use since writing to it failed")]
    Poisoned {
        /// What the system said then.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// The second copy is away or not in step, and nothing is released without it. What was being
    /// recorded may be in the ledger all the same.
    #[error("the ledger's second copy is away")]
    NoCopy,
    /// So much is released only when witnesses have seen its entry, and they did not in time. What
    /// was being recorded is in the ledger.
    #[error("no witness has seen it in time")]
    Unwitnessed,
    /// Others have seen more of this ledger than there is, or another history of it.
    #[error("the ledger was put back or forked: {why}")]
    PutBack {
        /// Who has seen what.
        why: Arc<str>,
    },
    /// The ledger was closed.
    #[error("the ledger is closed")]
    Closed,
    /// Too many requests wait already.
    #[error("too many requests wait for the ledger")]
    Busy,
    /// The draft is larger than one entry can be.
    #[error("too much for one entry")]
    TooLarge,
    /// A limit looks back further than budgets remember.
    #[error("limit `{limit}` is longer than the ledger's horizon")]
    Horizon {
        /// The limit.
        limit: Limit,
    },
    /// A row names a leaf that the draft does not have.
    #[error("a row belongs to a leaf that the draft does not have")]
    Leaf,
}
