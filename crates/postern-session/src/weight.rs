//! What a session keeps of its client's statements, in bytes.
//!
//! Plans and searched values are shared between prepared statements, portals, executions that are
//! under way and what is put back when one fails. Whatever holds one holds its [`Weight`] too, and
//! the weight is taken off the session's [`Scale`] when the last of them is gone; so nobody has to
//! remember to count.

use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use postern_model::Secret;

use crate::{Failure, judge::Planned};

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

    /// Weighs what a plan's look-ups search for before it is copied from the parameters.
    pub(crate) fn searched(
        &self,
        plan: &Planned,
        parameters: &[Option<&[u8]>],
    ) -> Result<Arc<Searched>, Failure> {
        let Some(plan) = plan.guarded() else {
            return Ok(Arc::new(Searched { values: Vec::new(), _weight: self.weigh(0)? }));
        };
        let weight = self.weigh(plan.searched_bytes(parameters))?;
        Ok(Arc::new(Searched { values: plan.searched(parameters), _weight: weight }))
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
    _weight: Weight,
}

impl Deref for Searched {
    type Target = [Secret<Arc<[u8]>>];

    fn deref(&self) -> &Self::Target {
        &self.values
    }
}
