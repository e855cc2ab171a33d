//! Rows that wait for the ledger, and what they show of whom.

use std::sync::Arc;

use bytes::BytesMut;
use postern_model::{Reason, Secret, StatementFingerprint, Subject, ValueDigest};
use postern_sql::Leaf;

use crate::{Stopped, judge::PlannedGuarded};

/// What a statement shows, whoever's records they are: one entry per reference to a protected
/// relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The statement's shape.
    pub fingerprint: StatementFingerprint,
    /// Its text without literals.
    pub statement: Arc<str>,
    /// The references, in the order that [`Touch::leaf`] counts.
    pub leaves: Vec<ShownLeaf>,
}

/// One reference to a protected relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownLeaf {
    /// `schema.table`.
    pub relation: Arc<str>,
    /// Protected columns that are in clear where a reason holds.
    pub clear: Vec<Arc<str>>,
    /// Protected columns that policy shows in clear for every record.
    pub shown: Vec<Arc<str>>,
    /// Protected columns that are masked whatever holds.
    pub masked: Vec<Arc<str>>,
}

/// One customer in one row, by one reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touch {
    /// Index into [`Shown::leaves`].
    pub leaf: u16,
    /// Whose data it is.
    pub subject: Subject,
    /// Why the clear columns are clear; `None` where they are masked too.
    pub reason: Option<Reason>,
}

/// One row that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldRow {
    /// Bytes of its DataRow message, hidden columns already cut off.
    pub bytes: usize,
    /// Whom it is about; empty for a row that no record took part in.
    pub touches: Vec<Touch>,
    /// It is no row, but says who was asked about.
    pub asks: bool,
}

/// A lookup that was made, and whether it found something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookupTouch {
    /// `schema.table`.
    pub relation: Arc<str>,
    /// The column that was compared.
    pub column: Arc<str>,
    /// Whether a record was found.
    pub hit: bool,
    /// What was searched for, as the client wrote it.
    pub value: Secret<Arc<[u8]>>,
}

/// What a row shows in a clear column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownValue {
    /// Index into [`Hold::rows`].
    pub row: usize,
    /// Index into [`HeldRow::touches`]: whose it is.
    pub touch: usize,
    /// Index into the leaf's `clear` and, behind them, `shown`.
    pub column: usize,
    /// Of the value, as it is sent.
    pub digest: ValueDigest,
}

/// A chunk of rows that may leave only after it has been recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Counts the holds of a session.
    pub id: u64,
    /// What the statement shows.
    pub shown: Arc<Shown>,
    /// The rows, in the order in which they leave.
    pub rows: Vec<HeldRow>,
    /// The lookups that this chunk answers.
    pub lookups: Vec<LookupTouch>,
    /// What stands in clear columns, where that is told.
    pub values: Vec<ShownValue>,
    /// The rows' messages, one after the other.
    pub bytes: BytesMut,
    /// The statement was refused unsent: there was no room in this budget.
    pub stopped: Option<Stopped>,
    /// The rows say what a write has done: all are recorded, also those that may not leave.
    pub done: bool,
    /// What enforcement would have done; `None` where it is in force.
    pub observed: Option<Box<Observed>>,
    /// The ticket that the actor has stated, which is a reason of theirs.
    pub claimed: Option<Arc<str>>,
}

/// What enforcement would have done with what is recorded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// The rule that would have refused the statement.
    pub rule: Option<&'static str>,
    /// How many of the values in the rows would have been masked.
    pub masked: u64,
    /// The statement is sent as the client wrote it: what it shows is not known.
    pub unknown: bool,
}

/// A clear value that waits: it may leave only if the reason still holds then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Relied {
    /// Index into [`Hold::rows`].
    pub(crate) row: usize,
    /// Whose value it is.
    pub(crate) subject: Subject,
    /// Index of the reasons that count, among the profile's key sets.
    pub(crate) set: usize,
}

/// A hold with what its clear values rely on.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) hold: Hold,
    pub(crate) relied: Vec<Relied>,
    /// How many records its rows are about.
    pub(crate) touches: usize,
}

impl Held {
    pub(crate) fn new(id: u64, shown: Arc<Shown>) -> Self {
        let (rows, lookups) = (Vec::new(), Vec::new());
        let (values, bytes) = (Vec::new(), BytesMut::new());
        let (done, stopped, observed, claimed) = (false, None, None, None);
        let hold =
            Hold { id, shown, rows, lookups, values, bytes, stopped, done, observed, claimed };
        Self { hold, relied: Vec::new(), touches: 0 }
    }

    /// The same of a plan: where it is not enforced it is said what would have been done.
    pub(crate) fn of(id: u64, plan: &PlannedGuarded) -> Self {
        let mut held = Self::new(id, plan.shown.clone());
        held.hold.observed = plan.would.as_ref().map(|_| Box::default());
        held
    }

    /// The statement has failed: the rows that came before do not leave. How many there are would
    /// tell the place of the row that it failed at, whose record no entry names. What a write has
    /// done is told all the same. Whether nothing is left to be told.
    pub(crate) fn withhold(&mut self) -> bool {
        if self.hold.done {
            return false;
        }
        self.hold.rows.retain(|row| row.asks);
        self.hold.values.clear();
        self.hold.observed.iter_mut().for_each(|observed| observed.masked = 0);
        self.hold.bytes.clear();
        self.relied.clear();
        self.hold.rows.is_empty() && self.hold.lookups.is_empty()
    }

    /// What was searched for, who was asked about and what was done, where none of the rows leaves:
    /// whoever was found is not named, so it counts as a miss.
    pub(crate) fn searched(&mut self) -> Option<Hold> {
        let done = self.hold.done;
        let mut rows = std::mem::take(&mut self.hold.rows);
        rows.retain(|row| row.asks || done);
        rows.iter_mut().for_each(|row| row.bytes = 0);
        let mut lookups = std::mem::take(&mut self.hold.lookups);
        lookups.iter_mut().for_each(|lookup| lookup.hit = false);
        let (id, shown) = (self.hold.id, self.hold.shown.clone());
        let (bytes, stopped) = (BytesMut::new(), None);
        // None of the values leaves.
        let mut observed = self.hold.observed.clone();
        observed.iter_mut().for_each(|observed| observed.masked = 0);
        let claimed = self.hold.claimed.clone();
        let values = Vec::new();
        let told =
            Hold { id, shown, rows, lookups, values, bytes, stopped, done, observed, claimed };
        (!told.lookups.is_empty() || !told.rows.is_empty()).then_some(told)
    }
}

impl ShownLeaf {
    pub(crate) fn of(leaf: &Leaf) -> Self {
        let (clear, shown) = (leaf.clear.clone(), leaf.shown.clone());
        Self { relation: leaf.relation.clone(), clear, shown, masked: leaf.masked.clone() }
    }

    /// What is shown of those who are only asked about: no column.
    pub(crate) fn asked(leaf: &Leaf) -> Self {
        let relation = leaf.relation.clone();
        Self { relation, clear: Vec::new(), shown: Vec::new(), masked: Vec::new() }
    }
}
