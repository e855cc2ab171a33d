//! Who has a place: connections that have shown a token, and strangers.
//!
//! Whoever reaches the port can connect, as often as they like, and nobody may keep the directory
//! out by that. So a stranger has little time to show a token, and where there are too many of
//! them one goes, any of them: most likely one of those who have many. Those who have shown one
//! have places of their own.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use rand::RngExt as _;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::AbortHandle,
};

/// How many connections without a token there may be, and of one address.
const STRANGERS_MAX: usize = 64;
const STRANGERS_OF_ONE_MAX: usize = 8;
/// How many of those that have shown one.
const KNOWN_MAX: usize = 64;

/// The door.
#[derive(Debug)]
pub(super) struct Door {
    known: Arc<Semaphore>,
    guests: Vec<Guest>,
}

#[derive(Debug)]
struct Guest {
    from: IpAddr,
    is_known: Arc<AtomicBool>,
    task: AbortHandle,
}

/// What a connection has of the door.
#[derive(Debug)]
pub(super) struct Pass {
    is_known: Arc<AtomicBool>,
    known: Arc<Semaphore>,
    place: Option<OwnedSemaphorePermit>,
}

impl Door {
    pub(super) fn new() -> Self {
        Self { known: Arc::new(Semaphore::new(KNOWN_MAX)), guests: Vec::new() }
    }

    /// For a connection that comes.
    pub(super) fn pass(&self) -> Pass {
        let is_known = Arc::new(AtomicBool::new(false));
        Pass { is_known, known: self.known.clone(), place: None }
    }

    /// Lets it in; another one may have to go.
    pub(super) fn admit(&mut self, from: IpAddr, is_known: Arc<AtomicBool>, task: AbortHandle) {
        self.guests.retain(|guest| !guest.task.is_finished());
        let strange = |guest: &&Guest| !guest.is_known.load(Ordering::Relaxed);
        let strangers: Vec<&Guest> = self.guests.iter().filter(strange).collect();
        let same = strangers.iter().filter(|guest| guest.from == from);
        let of_one: Vec<&Guest> = same.copied().collect();
        let goes = if of_one.len() >= STRANGERS_OF_ONE_MAX {
            any(&of_one)
        } else if strangers.len() >= STRANGERS_MAX {
            any(&strangers)
        } else {
            None
        };
        if let Some(guest) = goes {
            guest.task.abort();
        }
        self.guests.push(Guest { from, is_known, task });
    }
}

fn any<'g>(guests: &[&'g Guest]) -> Option<&'g Guest> {
    let index = rand::rng().random_range(0..guests.len().max(1));
    guests.get(index).copied()
}

impl Pass {
    /// By which the door knows whether a token was shown.
    pub(super) fn mark(&self) -> Arc<AtomicBool> {
        self.is_known.clone()
    }

    /// A token was shown: it waits for one of the places.
    pub(super) async fn shows_token(&mut self) {
        self.is_known.store(true, Ordering::Relaxed);
        if self.place.is_none() {
            // It is never closed.
            self.place = self.known.clone().acquire_owned().await.ok();
        }
    }
}
