//! What a session keeps of its client's statements, in bytes.
//!
//! Plans and searched values are shared between prepared statements, portals, executions that are
//! under way and what is put back when one fails. Whatever holds one holds its [`Weight`] too, and
//! the weight is taken off the session's [`Scale`] when the last of them is gone; so nobody has to
//! remember to count.

use std::{
    ops::Deref,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use postern_model::{Secret, Subject};

use crate::{Failure, asked::Given, judge::Planned};

/// What keeping a subject takes beside its text.
const SUBJECT_BYTES: usize = 48;

/// How many bytes a session keeps, and may keep.
#[derive(Debug)]
pub(crate) struct Scale {
    bytes: Arc<AtomicUsize>,
    bytes_max: usize,
}

impl Scale {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes: Arc::default(), bytes_max }
    }

    /// Takes so many bytes more upon it, if they are not too many.
    fn weigh(&self, bytes: usize) -> Result<Weight, Failure> {
        let total = self.bytes.load(Ordering::Relaxed).saturating_add(bytes);
        if total > self.bytes_max {
            return Err(Failure::NamesTooLarge);
        }
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(Weight { bytes, scale: self.bytes.clone() })
    }

    /// Weighs a plan, and so many bytes that are kept with it.
    pub(crate) fn plan(&self, plan: Arc<Planned>, with: usize) -> Result<KeptPlan, Failure> {
        let weight = Arc::new(self.weigh(plan.bytes().saturating_add(with))?);
        Ok(KeptPlan { plan, _weight: weight })
    }

    /// Weighs what a plan's look-ups search for before it is copied from the parameters, and whom
    /// it asks about.
    pub(crate) fn searched(
        &self,
        plan: &Planned,
        given: Given<'_>,
    ) -> Result<Arc<Searched>, Failure> {
        let Some(plan) = plan.guarded() else {
            let (values, asked, decides) = (Vec::new(), Vec::new(), None.into());
            let (passed, more) = Default::default();
            let _weight = self.weigh(0)?;
            return Ok(Arc::new(Searched { values, asked, decides, passed, more, _weight }));
        };
        let asked = plan.asks(given)?;
        let bytes = asked.iter().map(|(_, subject)| SUBJECT_BYTES + subject.as_str().len());
        let bytes = plan.searched_bytes(given.values).saturating_add(bytes.sum());
        let bytes = bytes.saturating_add(plan.decides_bytes(given.values));
        let weight = self.weigh(bytes)?;
        let (values, passed) = (plan.searched(given.values), plan.passes(given)?);
        let (passed, more) = (passed.into(), passed.into());
        let decides = plan.decides(given.values).into();
        Ok(Arc::new(Searched { values, asked, decides, passed, more, _weight: weight }))
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether so much is kept that what is under way should end before more is begun: beyond it
    /// the largest message is just about taken.
    pub(crate) fn is_heavy(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) > self.bytes_max / 2
    }
}

/// Bytes that are on a scale as long as this is there.
#[derive(Debug)]
struct Weight {
    bytes: usize,
    scale: Arc<AtomicUsize>,
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.scale.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A plan that is kept; clones share it and its weight.
#[derive(Debug, Clone)]
pub(crate) struct KeptPlan {
    plan: Arc<Planned>,
    _weight: Arc<Weight>,
}

impl Deref for KeptPlan {
    type Target = Planned;

    fn deref(&self) -> &Planned {
        &self.plan
    }
}

/// What the look-ups of a plan search for, in their order.
#[derive(Debug)]
pub(crate) struct Searched {
    values: Vec<Secret<Arc<[u8]>>>,
    /// Whom the statement asks about, in order.
    pub(crate) asked: Vec<(u16, Subject)>,
    /// What the deciders are told with, until they are.
    decides: Mutex<Option<Secret<Arc<[u8]>>>>,
    /// How many of its rows are still to be passed over. Executions of one portal come one after
    /// the other.
    passed: AtomicU64,
    /// How many more rows than it says the next limited execution has to ask for.
    more: AtomicU64,
    _weight: Weight,
}

impl Searched {
    /// What the deciders are told with; nothing once they have been.
    pub(crate) fn decides(&self) -> Option<Secret<Arc<[u8]>>> {
        self.decides.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// What the deciders are still to be told with.
    pub(crate) fn to_decide(&self) -> Option<Secret<Arc<[u8]>>> {
        self.decides.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the deciders are still to be told.
    pub(crate) fn is_to_decide(&self) -> bool {
        self.to_decide().is_some()
    }

    /// How many more rows a limited execution has to ask for; the first one asks for all.
    pub(crate) fn more(&self) -> u64 {
        self.more.swap(0, Ordering::Relaxed)
    }

    /// Whether the next row is passed over.
    pub(crate) fn pass(&self) -> bool {
        let left = self.passed.load(Ordering::Relaxed);
        self.passed.store(left.saturating_sub(1), Ordering::Relaxed);
        left > 0
    }
}

impl Deref for Searched {
    type Target = [Secret<Arc<[u8]>>];

    fn deref(&self) -> &Self::Target {
        &self.values
    }
}
