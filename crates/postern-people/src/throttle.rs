//! Slows down whoever guesses passwords, in memory that does not grow.
//!
//! Failed log-ins are counted for each name and for each place that they come from. Once one of
//! the two is spent every log-in fails for a while, with the right password too, so that guessing
//! on is in vain and nobody learns that it is. Who has logged in from a place before is counted for
//! that pair alone: an account can't be locked out from elsewhere.
//!
//! Names and places stand in tables of fixed size at a place that a keyed hash chooses. Two that
//! share a place share a count; nobody without the key can look for such.

use hmac::{Hmac, KeyInit, Mac};
use postern_model::Timestamp;
use sha2::Sha256;

#[cfg(test)]
mod tests;

/// How many failures in a row are free, and after how many seconds another one is.
#[derive(Debug, Clone, Copy)]
struct Pace {
    burst: i64,
    each_s: i64,
}

const OF_A_NAME: Pace = Pace { burst: 10, each_s: 60 };
const OF_A_PLACE: Pace = Pace { burst: 30, each_s: 10 };
const OF_A_PAIR: Pace = Pace { burst: 10, each_s: 10 };

const MICROSECONDS: i64 = 1_000_000;

/// How many names, places and pairs are told from each other.
const NAMES: usize = 1 << 15;
const PLACES: usize = 1 << 13;
const PAIRS: usize = 1 << 13;

/// Who tries to log in, from where, as the throttle knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    name: usize,
    place: usize,
    pair: u64,
}

/// Whether an attempt counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It does.
    Free,
    /// There were too many: it fails, whatever the password.
    Throttled,
}

/// Counts failed log-ins.
pub struct Throttle {
    key: [u8; 32],
    /// Until when the failures so far weigh; further ahead the more there were.
    names: Box<[Timestamp]>,
    places: Box<[Timestamp]>,
    /// Pairs that have logged in: which one it is, and its own count.
    pairs: Box<[(u64, Timestamp)]>,
}

impl std::fmt::Debug for Throttle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Throttle").finish_non_exhaustive()
    }
}

impl Throttle {
    /// The key must be secret; with the same one the same names share a count.
    pub fn new(key: [u8; 32]) -> Self {
        let never = Timestamp(i64::MIN);
        Self {
            key,
            names: vec![never; NAMES].into(),
            places: vec![never; PLACES].into(),
            pairs: vec![(0, never); PAIRS].into(),
        }
    }

    /// What is known of a name and the place that it comes from, such as the bytes of an address.
    pub fn attempt(&self, name: &str, place: &[u8]) -> Attempt {
        Attempt {
            name: index(self.hash(&[b"name\0", name.as_bytes()]), NAMES),
            place: index(self.hash(&[b"place\0", place]), PLACES),
            pair: self.hash(&[b"pair\0", place, b"\0", name.as_bytes()]),
        }
    }

    /// Whether the attempt counts now.
    pub fn standing(&self, attempt: Attempt, now: Timestamp) -> Standing {
        let free = match self.pairs.get(index(attempt.pair, PAIRS)) {
            Some((pair, until)) if *pair == attempt.pair => OF_A_PAIR.is_free(*until, now),
            _ => {
                let until = |table: &[Timestamp], at: usize| table.get(at).copied();
                until(&self.names, attempt.name).is_some_and(|at| OF_A_NAME.is_free(at, now))
                    && until(&self.places, attempt.place)
                        .is_some_and(|at| OF_A_PLACE.is_free(at, now))
            }
        };
        if free { Standing::Free } else { Standing::Throttled }
    }

    /// The attempt failed. Gives how the next one would stand.
    pub fn failed(&mut self, attempt: Attempt, now: Timestamp) -> Standing {
        match self.pairs.get_mut(index(attempt.pair, PAIRS)) {
            Some((pair, until)) if *pair == attempt.pair => OF_A_PAIR.count(until, now),
            _ => {
                if let Some(until) = self.names.get_mut(attempt.name) {
                    OF_A_NAME.count(until, now);
                }
                if let Some(until) = self.places.get_mut(attempt.place) {
                    OF_A_PLACE.count(until, now);
                }
            }
        }
        self.standing(attempt, now)
    }

    /// The attempt was a log-in: the pair is known from now on. What failed before still counts, so
    /// that nobody guesses on behind the log-ins of the account's owner.
    pub fn succeeded(&mut self, attempt: Attempt) {
        if let Some(known) = self.pairs.get_mut(index(attempt.pair, PAIRS))
            && known.0 != attempt.pair
        {
            *known = (attempt.pair, Timestamp(i64::MIN));
        }
    }

    fn hash(&self, parts: &[&[u8]]) -> u64 {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("hmac takes any key");
        parts.iter().for_each(|part| mac.update(part));
        let hash: [u8; 32] = mac.finalize().into_bytes().into();
        hash.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}

impl Pace {
    fn is_free(self, until: Timestamp, now: Timestamp) -> bool {
        let room = (self.burst - 1) * self.each_s * MICROSECONDS;
        until.0.saturating_sub(now.0) <= room
    }

    fn count(self, until: &mut Timestamp, now: Timestamp) {
        until.0 = until.0.max(now.0).saturating_add(self.each_s * MICROSECONDS);
    }
}

fn index(hash: u64, size: usize) -> usize {
    usize::try_from(hash % size as u64).unwrap_or_default()
}
