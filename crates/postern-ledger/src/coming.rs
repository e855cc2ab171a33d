//! How many disclosures are about to be recorded, so that one sync can serve them together.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// Counts those who will record something as soon as the server has answered them.
#[derive(Debug, Clone, Default)]
pub struct Coming(Arc<AtomicUsize>);

/// One of them. It is no more when this goes.
#[derive(Debug)]
pub struct Awaited(Arc<AtomicUsize>);

impl Coming {
    /// One more.
    pub fn awaited(&self) -> Awaited {
        self.0.fetch_add(1, Ordering::Relaxed);
        Awaited(self.0.clone())
    }

    pub(crate) fn is_any(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Waits a moment before a sync for what is coming, as PostgreSQL's `commit_delay` does: many that
/// are recorded one by one cost a sync and a wake-up each.
#[derive(Debug)]
pub(crate) struct Gathering {
    coming: Coming,
    delay: Duration,
    /// How many syncs are made at once before the next wait, because the last ones brought nothing:
    /// what is coming takes long.
    skips: u32,
    skipped: u32,
}

/// The most syncs between two tries.
const SKIPS_MAX: u32 = 256;

impl Gathering {
    pub(crate) fn new(coming: Coming, delay: Duration) -> Self {
        Self { coming, delay, skips: 0, skipped: 0 }
    }

    /// Whether it has waited.
    pub(crate) fn wait(&mut self) -> bool {
        if self.delay.is_zero() || !self.coming.is_any() {
            return false;
        }
        if self.skipped < self.skips {
            self.skipped += 1;
            return false;
        }
        // Asleep, not waiting on the queue: whoever puts something there need not wake anybody.
        thread::sleep(self.delay);
        true
    }

    /// How much came while it waited.
    pub(crate) fn learn(&mut self, came: usize) {
        self.skipped = 0;
        self.skips = if came > 0 { 0 } else { (2 * self.skips + 1).min(SKIPS_MAX) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_waited_for_who_is_not_coming() {
        let coming = Coming::default();
        let mut gathering = Gathering::new(coming.clone(), Duration::from_micros(1));
        assert!(!gathering.wait());
        let awaited = coming.awaited();
        assert!(gathering.wait());
        drop(awaited);
        assert!(!gathering.wait());
        let mut at_once = Gathering::new(coming.clone(), Duration::ZERO);
        let _awaited = coming.awaited();
        assert!(!at_once.wait());
    }

    #[test]
    fn waiting_in_vain_is_given_up_for_longer_and_longer() {
        let coming = Coming::default();
        let _awaited = coming.awaited();
        let mut gathering = Gathering::new(coming, Duration::from_micros(1));
        let mut until_next = |came| {
            gathering.learn(came);
            (0_u32..).find(|_| gathering.wait()).unwrap()
        };
        assert_eq!([0, 0, 0, 1, 0].map(&mut until_next), [1, 3, 7, 0, 1]);
    }
}
