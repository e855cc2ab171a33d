//! Whom each active actor may see, read from the guarded database with the gateway's own SQL on a
//! connection of its own, so that nothing a client does can take part in it.
//!
//! A reading counts for at most [`READING_LASTS`]. When the database can't be read the last reading
//! runs out and everything is masked.
//!
//! Where the database tells what has changed ([`told`]), an actor is read once, and from then on
//! what has changed of theirs ([`watch`]). Of whom that can't be said, or of which reasons, is read
//! whole, and again and again while it is asked for ([`reader`]).

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use postern_model::{Actor, Timestamp};
use postern_people::Approvals;
use postern_session::{Entitled, Horizon};
use tokio::sync::{mpsc, oneshot, watch as channel};

pub(crate) use self::reader::Reader;
pub use self::told::{ChangesObject, changes_objects, changes_sql};

mod reader;
mod snapshot;
mod told;
mod watch;

/// How old a reading may be when something is decided by it.
const READING_LASTS: Duration = Duration::from_secs(1);
/// How often all actors are read who have asked for something of late.
pub(crate) const READ_EVERY: Duration = Duration::from_millis(250);
/// An actor who has asked for nothing for so long rests: before anything is decided for them they
/// are read again.
const RESTS_AFTER: Duration = Duration::from_millis(1_500);
/// How long an actor's reading is kept up to date from the last time on. It is longer, so that the
/// reading of an actor who does not rest is one that is kept.
const KEPT_FOR: Duration = Duration::from_secs(2);
/// How long an actor is known when no connection is the actor's: an application
/// comes back to the same end user with each request.
const LINGERS: Duration = Duration::from_secs(10);
/// After how long an actor is read whole again whose reading is kept by what has changed: should
/// anything be wrong that nobody has thought of, it is right again by then.
const WHOLE_EVERY: Duration = Duration::from_secs(300);
/// How many are so at most each time.
const WHOLE_MAX: usize = 64;
/// How long a connection waits for its actor's first or renewed reading.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// The readings of all active actors.
#[derive(Debug, Clone)]
pub(crate) struct Reasons {
    slots: Arc<Mutex<HashMap<Actor, Slot>>>,
    /// What people have approved, where they may; held for one look.
    approvals: Option<Arc<Mutex<Approvals>>>,
    requests: mpsc::UnboundedSender<Request>,
}

#[derive(Debug)]
struct Slot {
    connections: usize,
    /// Since when there are none.
    idle_since: Option<Instant>,
    entitled: channel::Sender<Arc<Entitled>>,
    /// When it was last read whole.
    whole: Timestamp,
    used: Arc<Used>,
}

/// When something was decided last by an actor's reading, or it was asked for: in microseconds
/// since 1970. Written by the actor's connections and by the keeper; nothing hangs on their order.
#[derive(Debug)]
struct Used(AtomicI64);

impl Used {
    fn never() -> Self {
        Self(AtomicI64::new(i64::MIN))
    }

    fn at(&self, now: Timestamp) {
        self.0.store(now.0, Ordering::Relaxed);
    }

    fn is_within(&self, time: Duration, now: Timestamp) -> bool {
        self.0.load(Ordering::Relaxed) >= now.before(time).0
    }
}

/// A wish to have an actor read now.
#[derive(Debug)]
pub(crate) struct Request {
    actor: Actor,
    done: oneshot::Sender<()>,
}

/// An actor's reading, kept up to date while this exists.
#[derive(Debug)]
pub(crate) struct Active {
    reasons: Reasons,
    actor: Actor,
    entitled: channel::Receiver<Arc<Entitled>>,
    used: Arc<Used>,
}

impl Active {
    pub(crate) fn entitled(&self) -> Arc<Entitled> {
        self.entitled.borrow().clone()
    }

    /// Whether the last reading counts at that moment.
    pub(crate) fn is_fresh(&self, now: Timestamp) -> bool {
        self.entitled.borrow().counts(now)
    }

    /// Whether the actor has to be read before anything is decided; else it is used at that moment.
    pub(crate) fn rests(&self, now: Timestamp) -> bool {
        if self.entitled.borrow().lasts(now) {
            return false;
        }
        if !self.used.is_within(RESTS_AFTER, now) {
            return true;
        }
        self.used.at(now);
        false
    }

    /// The reading is used from that moment on, whether or not it could be renewed.
    pub(crate) fn is_used(&self, now: Timestamp) {
        self.used.at(now);
    }

    /// Has the actor read anew and waits for it, for a moment at most: what the server says then is
    /// at least as new as the call.
    pub(crate) fn refresh(&self) -> impl Future<Output = ()> + use<> {
        let (done, read) = oneshot::channel();
        let request = Request { actor: self.actor.clone(), done };
        let asked = self.reasons.requests.send(request).is_ok();
        async move {
            if asked {
                // Without an answer the last reading runs out by itself.
                let _ = tokio::time::timeout(WAIT_MAX, read).await;
            }
        }
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        let mut slots = self.reasons.lock();
        if let Some(slot) = slots.get_mut(&self.actor) {
            slot.connections -= 1;
            slot.idle_since = (slot.connections == 0).then(Instant::now);
        }
    }
}

impl Reasons {
    pub(crate) fn new(
        approvals: Option<Arc<Mutex<Approvals>>>,
    ) -> (Self, mpsc::UnboundedReceiver<Request>) {
        let (requests, receiver) = mpsc::unbounded_channel();
        (Self { slots: Arc::default(), approvals, requests }, receiver)
    }

    /// Begins to keep an actor's reading; it is there when this returns, or nobody is entitled yet.
    pub(crate) async fn activate(&self, actor: &Actor) -> Active {
        let active = self.keep(actor);
        active.refresh().await;
        active
    }

    /// The same, without waiting for the first reading.
    pub(crate) fn keep(&self, actor: &Actor) -> Active {
        let (entitled, used) = {
            let mut slots = self.lock();
            let slot = slots.entry(actor.clone()).or_insert_with(|| Slot {
                connections: 0,
                idle_since: None,
                entitled: channel::Sender::new(Arc::new(Entitled::none())),
                whole: Timestamp(i64::MIN),
                used: Arc::new(Used::never()),
            });
            slot.connections += 1;
            slot.idle_since = None;
            (slot.entitled.subscribe(), slot.used.clone())
        };
        Active { reasons: self.clone(), actor: actor.clone(), entitled, used }
    }

    /// All whose reading is kept up to date.
    fn actors(&self, now: Timestamp) -> Vec<Actor> {
        let mut slots = self.lock();
        slots.retain(|_, slot| slot.idle_since.is_none_or(|since| since.elapsed() < LINGERS));
        let kept = slots.iter().filter(|(_, slot)| slot.used.is_within(KEPT_FOR, now));
        kept.map(|(actor, _)| actor.clone()).collect()
    }

    /// Somebody has asked for their readings.
    fn are_used(&self, actors: &BTreeSet<Actor>, now: Timestamp) {
        let slots = self.lock();
        actors.iter().filter_map(|actor| slots.get(actor)).for_each(|slot| slot.used.at(now));
    }

    /// What is kept of an actor up to that horizon.
    fn kept(&self, actor: &Actor, horizon: &Arc<Horizon>) -> Option<Arc<Entitled>> {
        let entitled = self.lock().get(actor)?.entitled.borrow().clone();
        let own = entitled.horizon().is_some_and(|own| Arc::ptr_eq(own, horizon));
        own.then_some(entitled)
    }

    /// Some of those whose kept reading has to be read whole again.
    fn overdue(&self, now: Timestamp) -> Vec<Actor> {
        let slots = self.lock();
        let overdue = slots.iter().filter(|(_, slot)| {
            now.since(slot.whole) >= WHOLE_EVERY && slot.entitled.borrow().horizon().is_some()
        });
        overdue.take(WHOLE_MAX).map(|(actor, _)| actor.clone()).collect()
    }

    fn store(&self, actor: &Actor, entitled: Entitled) {
        if let Some(slot) = self.lock().get(actor) {
            slot.entitled.send_replace(Arc::new(entitled));
        }
    }

    /// The same of what was read whole at that moment.
    fn store_whole(&self, actor: &Actor, entitled: Entitled, now: Timestamp) {
        if let Some(slot) = self.lock().get_mut(actor) {
            slot.whole = now;
            slot.entitled.send_replace(Arc::new(entitled));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Actor, Slot>> {
        // Counts and whole readings: a panic elsewhere leaves nothing half done.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
