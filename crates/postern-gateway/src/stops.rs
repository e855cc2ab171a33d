//! Whose statements are asked for before they are sent, because one of theirs was stopped.
//!
//! That a spent budget stops a statement tells that it found a row, or failed by one. The ledger
//! counts such stops, and with too many of them nothing of the actor's is run on protected tables
//! for a while. Only who was stopped needs to be asked for: all others go without a question.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::Duration,
};

use postern_ledger::{Counter, Limit};
use postern_model::{Actor, Timestamp};

/// Of all actors that ran something since the start.
#[derive(Debug, Default)]
pub(crate) struct Stops(Mutex<HashMap<Actor, Arc<AtomicI64>>>);

/// Nobody has asked the ledger yet what it knows of the actor.
const NOT_KNOWN: i64 = i64::MAX;

impl Stops {
    /// What the sessions of an actor with these limits share.
    pub(crate) fn of(&self, actor: &Actor, limits: &[Limit]) -> Wary {
        let of_stops = limits.iter().filter(|limit| limit.counter == Counter::Stops);
        let window = of_stops.map(|limit| limit.window).max();
        // Each insertion is whole.
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let until = all.entry(actor.clone()).or_insert_with(|| Arc::new(AtomicI64::new(NOT_KNOWN)));
        Wary { until: until.clone(), window }
    }
}

/// Until when an actor's statements are asked for.
#[derive(Debug, Clone)]
pub(crate) struct Wary {
    /// A time in microseconds. It is read before a statement is sent, and written before anybody
    /// learns of the stop; between the two nothing else hangs on it.
    until: Arc<AtomicI64>,
    /// The longest that a stop counts; `None` if stops have no limit.
    window: Option<Duration>,
}

impl Wary {
    /// Whether a statement on protected tables has to be asked for now.
    pub(crate) fn asks(&self, now: Timestamp) -> bool {
        self.window.is_some() && now.0 <= self.until.load(Relaxed)
    }

    /// One of the actor's statements was stopped.
    pub(crate) fn stopped(&self, now: Timestamp) {
        if let Some(window) = self.window {
            self.until.store(now.after(window).0, Relaxed);
        }
    }

    /// The ledger's answer to the first question: whether one was stopped, lately or long ago.
    pub(crate) fn learn(&self, was_stopped: bool, now: Timestamp) {
        if self.until.load(Relaxed) != NOT_KNOWN {
            return;
        }
        let until = match self.window {
            Some(window) if was_stopped => now.after(window).0,
            Some(_) | None => i64::MIN,
        };
        // Unless somebody was stopped meanwhile.
        let _ = self.until.compare_exchange(NOT_KNOWN, until, Relaxed, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_stopped_is_asked_for_as_long_as_that_counts() {
        let window = Duration::from_secs(60);
        let limits = [Limit { counter: Counter::Stops, window, max: 3 }];
        let (stops, ana, now) = (Stops::default(), Actor::new("ana"), Timestamp(1_000_000));
        let (one, other) = (stops.of(&ana, &limits), stops.of(&ana, &limits));
        assert!(one.asks(now), "nothing is known yet");
        one.learn(false, now);
        assert!(!one.asks(now) && !other.asks(now));
        other.stopped(now);
        one.learn(false, now);
        assert!(one.asks(now.after(window)), "an old answer doesn't take it back");
        assert!(!one.asks(now.after(window).after(Duration::from_secs(1))));
        let bob = stops.of(&Actor::new("bob"), &limits);
        bob.learn(true, now);
        assert!(bob.asks(now) && !stops.of(&Actor::new("eve"), &[]).asks(now));
    }
}
