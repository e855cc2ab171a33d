//! All that traces need, prepared once and kept in a file, so that a trace reads what concerns its
//! list alone: the readings of the customers whom it names, sums of every account, and of the few
//! accounts that fit it all that they were shown.
//!
//! [`Tracer::prepare`] writes it; [`Prepared`] traces from it, with the same result as the tracer
//! that wrote it. It can be made anew from the ledger at any time, so a version of Postern reads
//! only its own. Somebody who can change it can have any account named: it is no evidence, and
//! must lie where only those can write who may trace. `docs/design/trace-index.md` describes it.

use std::{collections::BTreeMap, error::Error, fmt, io, sync::Arc};

use postern_model::{Subject, Text, Timestamp};

use crate::{
    Leak, Step, Trace, TraceConfig, Tracer,
    background::{Background, at},
    field::Field,
    source::{Sizes, SourceSet},
};

mod code;
mod head;
mod known;
mod store;
#[cfg(test)]
mod tests;
mod write;

pub use self::store::Bytes;
use self::store::{Keyed, Numbered, Store};
pub(crate) use self::{
    code::{push_short, shorts},
    store::{BySubject, Place},
};

/// The first bytes, and the last.
const MAGIC: &[u8; 16] = b"postern trace 1\n";
/// Behind the head: where it is, how long, its hash, and the last bytes.
const FOOTER: u64 = 40;

/// Where what a tracer knows lies.
#[derive(Debug)]
pub(crate) struct Stored {
    store: Arc<Store>,
    subjects: Numbered,
    numbers: Keyed,
    accesses: Numbered,
    claims: Numbered,
    values: Keyed,
    near: Keyed,
    versions: Keyed,
    valued: BTreeMap<Field, usize>,
    /// The pools, each with the number of its source; those behind the accounts are here.
    pools: Vec<(Text, u32)>,
    pool_sets: Vec<SourceSet>,
    /// See [`crate::reasons::are_known`].
    pub(crate) reasons: bool,
}

impl Stored {
    /// The sources that several people share; `accounts` has the others.
    pub(crate) fn pools<'s>(&'s self, accounts: &'s [SourceSet]) -> Vec<(Text, &'s SourceSet)> {
        let set = |number: u32| {
            let own = at(number).checked_sub(accounts.len());
            own.map_or_else(|| accounts.get(at(number)), |own| self.pool_sets.get(own))
        };
        self.pools.iter().filter_map(|(name, number)| Some((name.clone(), set(*number)?))).collect()
    }
}

/// The sizes of accounts' windows in a prepared index.
#[derive(Debug)]
pub(crate) struct StoredSizes {
    store: Arc<Store>,
    table: Numbered,
}

impl StoredSizes {
    pub(crate) fn of(&self, account: u32, background: &Background) -> [Sizes; 2] {
        let bytes = self.table.of(&self.store, account).unwrap_or_default();
        Sizes::decode(&bytes, background.windows, background.strata)
    }
}

/// Why a prepared index can't be used.
#[derive(Debug)]
pub enum PreparedError {
    /// It can't be read.
    Io(io::Error),
    /// It is no prepared index of this version, or is not whole.
    Damaged,
}

impl fmt::Display for PreparedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Io(_) => "can't read the prepared index",
            Self::Damaged => {
                "this is no prepared index of this version of Postern, or it is not whole: \
                 prepare it anew"
            }
        })
    }
}

impl Error for PreparedError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Damaged => None,
        }
    }
}

impl From<io::Error> for PreparedError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Traces from a prepared index.
#[derive(Debug)]
pub struct Prepared {
    tracer: Tracer,
}

impl Prepared {
    /// Opens an index. Of the settings those hold that do not choose what is known: how fields err
    /// and the simulations; the others are those that it was prepared with.
    ///
    /// # Errors
    ///
    /// If it can't be read, or is none.
    pub fn open(bytes: Box<dyn Bytes>, config: TraceConfig) -> Result<Self, PreparedError> {
        Ok(Self { tracer: head::open(Store::new(bytes)?, config)? })
    }

    /// The last moment of which anything is known.
    pub fn until(&self) -> Option<Timestamp> {
        self.tracer.until()
    }

    /// Weighs where the list came from. See [`Tracer::trace`].
    ///
    /// # Errors
    ///
    /// If the index can't be read; nothing is said then.
    pub fn trace(&mut self, leak: &Leak) -> Result<Trace, PreparedError> {
        let trace = self.tracer.trace(leak);
        self.checked(trace)
    }

    /// How the case stands after each of the complaints. See [`Tracer::after_each`].
    ///
    /// # Errors
    ///
    /// If the index can't be read.
    pub fn after_each(
        &mut self,
        list: &Leak,
        complaints: &Leak,
    ) -> Result<Vec<Step>, PreparedError> {
        let steps = self.tracer.after_each(list, complaints);
        self.checked(steps)
    }

    /// The customers who may be called next. See [`Tracer::next_called`].
    ///
    /// # Errors
    ///
    /// If the index can't be read.
    pub fn next_called(&mut self, leak: &Leak) -> Result<Vec<(Subject, f64)>, PreparedError> {
        let next = self.tracer.next_called(leak);
        self.checked(next)
    }

    fn checked<T>(&self, result: T) -> Result<T, PreparedError> {
        match self.tracer.stored.as_ref().and_then(|stored| stored.store.failed()) {
            Some(error) => Err(error.into()),
            None => Ok(result),
        }
    }
}
