//! Whom each active actor may see, read from the guarded database with the gateway's own SQL on a
//! connection of its own, so that nothing a client does can take part in it.
//!
//! A reading counts for at most [`READING_LASTS`]. When the database can't be read the last reading
//! runs out and everything is masked.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use postern_model::{Actor, Clock, Grade, Reason, Subject, Timestamp};
use postern_people::Approvals;
use postern_session::{Entitled, ReasonGrade, ReasonSettings};
use postern_sql::quote::identifier;
use tokio::sync::{mpsc, oneshot, watch};

use crate::catalogue::KeepError;

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
    entitled: watch::Sender<Arc<Entitled>>,
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
    entitled: watch::Receiver<Arc<Entitled>>,
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
                entitled: watch::Sender::new(Arc::new(Entitled::none())),
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

    fn store(&self, actor: &Actor, entitled: Entitled) {
        if let Some(slot) = self.lock().get(actor) {
            slot.entitled.send_replace(Arc::new(entitled));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Actor, Slot>> {
        // Counts and whole readings: a panic elsewhere leaves nothing half done.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads reasons over one connection.
pub(crate) struct Reader<'a> {
    client: &'a tokio_postgres::Client,
    queries: Vec<(Arc<str>, tokio_postgres::Statement)>,
    clock: &'a dyn Clock,
}

impl<'a> Reader<'a> {
    /// Prepares one query for each declared reason.
    ///
    /// # Errors
    /// What the server says of a query, e.g. that a column does not exist; with the reason's name.
    pub(crate) async fn prepare(
        client: &'a tokio_postgres::Client,
        settings: &[ReasonSettings],
        clock: &'a dyn Clock,
    ) -> Result<Self, KeepError> {
        let mut queries = Vec::new();
        // A reason of no table is an approval's.
        for settings in settings.iter().filter(|settings| !settings.table.is_empty()) {
            let reason = settings.name.clone();
            let statement = client.prepare(&query(settings)).await;
            let statement =
                statement.map_err(|source| KeepError::Reason { reason: reason.clone(), source })?;
            queries.push((reason, statement));
        }
        Ok(Self { client, queries, clock })
    }

    /// Reads for nobody: fails where a reading would, as far as that does not hang on what is read.
    pub(crate) async fn try_all(&self) -> Result<(), KeepError> {
        for (reason, statement) in &self.queries {
            let tried = self.client.query(statement, &[&Vec::<&str>::new()]).await;
            tried.map_err(|error| unreadable(reason, &error))?;
        }
        Ok(())
    }

    /// Reads all actors who have asked for something of late.
    pub(crate) async fn read_all(&self, reasons: &Reasons) -> Result<(), KeepError> {
        self.read(reasons, &reasons.actors(self.clock.now())).await
    }

    /// Reads the actors that somebody waits for, then tells them.
    pub(crate) async fn read_asked(
        &self,
        reasons: &Reasons,
        asked: Vec<Request>,
    ) -> Result<(), KeepError> {
        // Each once, however many of its sessions ask: a reading is given to one.
        let actors: BTreeSet<Actor> = asked.iter().map(|request| request.actor.clone()).collect();
        self.read(reasons, &Vec::from_iter(actors.iter().cloned())).await?;
        reasons.are_used(&actors, self.clock.now());
        for request in asked {
            // Whoever does not wait any more needs no answer.
            let _ = request.done.send(());
        }
        Ok(())
    }

    async fn read(&self, reasons: &Reasons, actors: &[Actor]) -> Result<(), KeepError> {
        if actors.is_empty() {
            return Ok(());
        }
        // The reading is as old as its beginning.
        let until = self.clock.now().after(READING_LASTS);
        let names: Vec<&str> = actors.iter().map(Actor::as_str).collect();
        let mut read: HashMap<&str, Vec<(Subject, Reason)>> = HashMap::new();
        let mut tickets: HashMap<&str, Vec<Stateable>> = HashMap::new();
        let mut rows = Vec::new();
        for (name, statement) in &self.queries {
            let answer = self.client.query(statement, &[&names]).await;
            rows.push((name, answer.map_err(|error| unreadable(name, &error))?));
        }
        for (name, rows) in &rows {
            for row in rows {
                let held = entitlement(row).map_err(|error| unreadable(name, &error))?;
                let (actor, subject, grade, ticket) = held;
                let (subject, reason) =
                    (Subject::new(subject), Reason { name: (*name).clone(), grade });
                if let Some(ticket) = ticket {
                    let by = (ticket.into(), subject.clone(), reason.clone());
                    tickets.entry(actor).or_default().push(by);
                }
                read.entry(actor).or_default().push((subject, reason));
            }
        }
        for actor in actors {
            let mut theirs = read.remove(actor.as_str()).unwrap_or_default();
            if let Some(approvals) = &reasons.approvals {
                let approvals = approvals.lock().unwrap_or_else(PoisonError::into_inner);
                theirs.extend(approvals.held(actor, self.clock.now()));
            }
            let tickets = tickets.remove(actor.as_str()).unwrap_or_default();
            reasons.store(actor, Entitled::new(theirs, until).with_tickets(tickets));
        }
        Ok(())
    }
}

/// A ticket, and whom it entitles to.
type Stateable = (Arc<str>, Subject, Reason);

/// Actor, subject, grade and ticket.
type Entitlement<'r> = (&'r str, &'r str, Grade, Option<&'r str>);

fn entitlement(row: &tokio_postgres::Row) -> Result<Entitlement<'_>, tokio_postgres::Error> {
    let grade = if row.try_get(2)? { Grade::Strong } else { Grade::Weak };
    Ok((row.try_get(0)?, row.try_get(1)?, grade, row.try_get(3)?))
}

fn unreadable(reason: &Arc<str>, error: &tokio_postgres::Error) -> KeepError {
    let what = match error.code() {
        Some(code) => format!("SQLSTATE {}", code.code()),
        None if error.is_closed() => "the connection is closed".to_owned(),
        None => "the answer can't be read".to_owned(),
    };
    KeepError::Reading { reason: reason.clone(), what }
}

/// The SQL of a reason: actor, subject, whether it is strong, and the ticket if it has one, for the
/// actors in `$1`.
fn query(reason: &ReasonSettings) -> String {
    let strong = match &reason.grade {
        ReasonGrade::Always(Grade::Strong) => "true".to_owned(),
        ReasonGrade::Always(Grade::Weak) => "false".to_owned(),
        ReasonGrade::StrongWhen(condition) => format!("coalesce(({condition}), false)"),
    };
    let ticket = reason.ticket.as_deref().map_or_else(|| "NULL".to_owned(), identifier);
    format!(
        "SELECT {actor}::pg_catalog.text, {subject}::pg_catalog.text, {strong}, \
         {ticket}::pg_catalog.text \
         FROM {schema}.{table} \
         WHERE {actor}::pg_catalog.text OPERATOR(pg_catalog.=) ANY ($1::pg_catalog.text[]) \
         AND {subject} IS NOT NULL AND ({condition})",
        actor = identifier(&reason.actor),
        subject = identifier(&reason.subject),
        schema = identifier(&reason.schema),
        table = identifier(&reason.table),
        condition = reason.condition,
    )
}

#[cfg(test)]
mod tests;
