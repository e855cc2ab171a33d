//! Who is connected: for cancel requests, suspension, drain and another configuration.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use postern_ledger::{Answer, Receipt, RecordError};
use postern_model::{Actor, Timestamp};
use postern_session::Failure;
use tokio::sync::{mpsc::UnboundedSender, watch};

use crate::{breaker::Ended, regime::Regime};

/// What a connection is told from outside. Each connection has room for some of them all the time,
/// so that they are kept small.
#[derive(Debug)]
pub(crate) enum Command {
    /// The ledger's answer to a hold.
    Recorded { hold: u64, result: Box<Result<Receipt, RecordError>> },
    /// A hold was looked at that is not recorded, since nothing of it leaves; whether it is what
    /// was asked for.
    Tried { hold: u64, rows: usize, fits: bool },
    /// The keeper's answer to a request for proof: which catalogue is the present one.
    Proven { proof: u64, generation: Option<u64> },
    /// The ledger's answer to a question whether there is room for searches.
    Asked { question: u64, result: Box<Result<Answer, RecordError>> },
    /// A cancel request of the session's own has been delivered.
    Cancelled,
    /// The reasons have been read anew.
    ReasonsRead,
    /// It is found out whom the next statements are for, and why not for the one who was named.
    Named { failure: Option<Box<Failure>> },
    /// The actor is suspended: end now.
    Suspend,
    /// End when idle.
    Leave(Leave),
    /// The time to become idle is over: end now.
    Late,
}

/// Why a session is to end as soon as it is idle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leave {
    /// The gateway stops.
    Stopping,
    /// It was judged by what is not in force any more.
    Outdated,
}

impl From<Leave> for Failure {
    fn from(why: Leave) -> Self {
        match why {
            Leave::Stopping => Self::ShuttingDown,
            Leave::Outdated => Self::Outdated,
        }
    }
}

/// The server's side of a connection, as a cancel request names it.
#[derive(Debug, Clone)]
pub(crate) struct CancelKey {
    pub(crate) process_id: i32,
    pub(crate) secret: Vec<u8>,
}

/// A connection to the server, as far as it can be cancelled.
#[derive(Debug)]
pub(crate) struct Cancel {
    pub(crate) key: CancelKey,
    /// The server was told to cancel what it does on it, or will be.
    pub(crate) told: AtomicBool,
}

impl Cancel {
    pub(crate) fn new(key: CancelKey) -> Arc<Self> {
        Arc::new(Self { key, told: AtomicBool::new(false) })
    }
}

/// The connection that a session has to the server at the moment. It is locked to look at it and to
/// mark it as told, so that one that a session has given back unmarked is never cancelled for it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reach(Arc<Mutex<Option<Arc<Cancel>>>>);

impl Reach {
    pub(crate) fn set(&self, cancel: Option<Arc<Cancel>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = cancel;
    }

    fn process_id(&self) -> Option<i32> {
        let reached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reached.as_ref().map(|cancel| cancel.key.process_id)
    }

    fn cancel(&self) -> Option<Arc<Cancel>> {
        let reached = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        reached.inspect(|cancel| cancel.told.store(true, Ordering::Relaxed))
    }
}

/// A session, as the administrator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionInfo {
    /// Counts connections since the gateway started.
    pub connection: u64,
    pub actor: Actor,
    /// The role that it had at log-in.
    pub role: Arc<str>,
    /// Where it comes from.
    pub client: IpAddr,
    pub since: Timestamp,
    /// Whom an application speaks for at the moment, and the role by which they are judged.
    pub end_user: Option<(Actor, Arc<str>)>,
}

impl SessionInfo {
    /// Whether what it does is an actor's.
    fn is_of(&self, actor: &Actor) -> bool {
        self.actor == *actor || self.end_user.as_ref().is_some_and(|(named, _)| named == actor)
    }
}

#[derive(Debug)]
struct Session {
    info: SessionInfo,
    key: ClientKey,
    reach: Reach,
    /// What it is judged by.
    regime: Arc<Regime>,
    /// It was told to end: once, since the server's numbers come again.
    cut: bool,
    /// The number of the regime for which it was told to end when it is idle.
    outdated: Option<u64>,
    commands: UnboundedSender<Command>,
}

/// All sessions of the process. The lock is never held across I/O.
#[derive(Debug)]
pub(crate) struct Registry {
    next: AtomicU64,
    /// Replaced with the lock of the sessions held, so that each session either begins under the
    /// new one or is told.
    in_force: watch::Sender<Arc<Regime>>,
    /// Set once, with the lock held, so that each session is told by `drain` or by `register`.
    draining: AtomicBool,
    sessions: Mutex<Sessions>,
}

#[derive(Debug, Default)]
struct Sessions {
    by_number: HashMap<u64, Session>,
    /// By what a client must name to cancel: a process and the gateway's own secret.
    by_key: HashMap<ClientKey, u64>,
}

/// What a client's cancel request names. The process is the server's own, where a session has one
/// of its own, so that a client finds itself in `pg_stat_activity`; the secret is not.
pub(crate) type ClientKey = (i32, [u8; 4]);

/// Takes the session out of the registry when its connection ends, however it ends.
#[derive(Debug)]
pub(crate) struct Registered<'a> {
    registry: &'a Registry,
    connection: u64,
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        let mut sessions = self.registry.lock();
        if let Some(ended) = sessions.by_number.remove(&self.connection)
            && sessions.by_key.get(&ended.key) == Some(&self.connection)
        {
            sessions.by_key.remove(&ended.key);
        }
    }
}

impl Registry {
    pub(crate) fn new(regime: Regime) -> Self {
        Self {
            next: AtomicU64::default(),
            in_force: watch::Sender::new(Arc::new(regime)),
            draining: AtomicBool::default(),
            sessions: Mutex::default(),
        }
    }

    /// What sessions that begin now are judged by.
    pub(crate) fn in_force(&self) -> Arc<Regime> {
        self.in_force.borrow().clone()
    }

    /// Tells when there is another.
    pub(crate) fn follow(&self) -> watch::Receiver<Arc<Regime>> {
        self.in_force.subscribe()
    }

    /// Puts a regime in force. Sessions that would not be the same under it are told to end when
    /// they are idle; how many. `None`, and nothing changes, if the gateway stops.
    pub(crate) fn put_in_force(&self, regime: Regime) -> Option<usize> {
        let mut sessions = self.lock();
        if self.is_draining() {
            return None;
        }
        let regime = Arc::new(regime);
        self.in_force.send_replace(regime.clone());
        let all = sessions.by_number.values_mut().filter(|session| session.outdated.is_none());
        let theirs = all.filter(|session| !regime.covers(&session.regime, &session.info.role));
        let told = theirs.map(|session| {
            session.outdated = Some(regime.number);
            // A connection that is gone already needs no telling.
            let _ = session.commands.send(Command::Leave(Leave::Outdated));
        });
        Some(told.count())
    }

    /// Ends those that were told for this regime or one before and have not been idle since; how
    /// many.
    pub(crate) fn end_outdated(&self, number: u64) -> usize {
        let sessions = self.lock();
        let all = sessions.by_number.values();
        let late = all.filter(|session| session.outdated.is_some_and(|told| told <= number));
        late.filter(|session| session.commands.send(Command::Late).is_ok()).count()
    }

    /// The next connection's number, from 1.
    pub(crate) fn connection(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Takes a session in, unless what it is judged by is not in force any more.
    pub(crate) fn register(
        &self,
        info: SessionInfo,
        regime: &Arc<Regime>,
        (key, reach): (ClientKey, Reach),
        commands: UnboundedSender<Command>,
    ) -> Option<Registered<'_>> {
        let connection = info.connection;
        let mut sessions = self.lock();
        if !self.in_force.borrow().covers(regime, &info.role) {
            return None;
        }
        if self.is_draining() {
            // A log-in that was under way when the others were told. Its receiver is the caller's.
            let _ = commands.send(Command::Leave(Leave::Stopping));
        }
        let (regime, cut, outdated) = (regime.clone(), false, None);
        let session = Session { info, key, reach, regime, cut, outdated, commands };
        sessions.by_key.insert(key, connection);
        sessions.by_number.insert(connection, session);
        Some(Registered { registry: self, connection })
    }

    pub(crate) fn sessions(&self) -> Vec<SessionInfo> {
        let mut all: Vec<SessionInfo> =
            self.lock().by_number.values().map(|session| session.info.clone()).collect();
        all.sort_by_key(|info| info.connection);
        all
    }

    /// The same, with the process of the server that each has now.
    pub(crate) fn reaches(&self) -> Vec<(SessionInfo, Option<i32>)> {
        let sessions = self.lock();
        let all = sessions.by_number.values();
        let all = all.map(|session| (session.info.clone(), session.reach.process_id()));
        let mut all: Vec<_> = all.collect();
        all.sort_by_key(|(info, _)| info.connection);
        all
    }

    /// The server's side of the session that a client's cancel request names, and by what it is
    /// judged.
    pub(crate) fn cancel_key(
        &self,
        process_id: i32,
        secret: &[u8],
    ) -> Option<(Arc<Cancel>, Arc<Regime>)> {
        let key = (process_id, secret.try_into().ok()?);
        let sessions = self.lock();
        let connection = sessions.by_key.get(&key)?;
        let session = sessions.by_number.get(connection)?;
        // With the lock held: a session that is not in the registry any more is not cancelled.
        Some((session.reach.cancel()?, session.regime.clone()))
    }

    /// Tells all sessions of an actor that have not been told; how many they were, and the
    /// connections to the server that they have at the moment, which are used no more, by regime.
    pub(crate) fn suspend(&self, actor: &Actor) -> (usize, Vec<(Arc<Regime>, Ended)>) {
        let mut sessions = self.lock();
        let all = sessions.by_number.values_mut();
        let theirs = all.filter(|session| session.info.is_of(actor) && !session.cut);
        let told = theirs.filter(|session| session.commands.send(Command::Suspend).is_ok());
        let (mut count, mut ended) = (0, Vec::<(Arc<Regime>, Ended)>::new());
        for session in told {
            session.cut = true;
            count += 1;
            let Some(cancel) = session.reach.cancel() else { continue };
            let key = cancel.key.clone();
            match ended.iter_mut().find(|(regime, _)| regime.judges_as(&session.regime)) {
                Some((_, keys)) => keys.push(key),
                None => ended.push((session.regime.clone(), vec![key])),
            }
        }
        (count, ended)
    }

    /// Whom the statements of a session are for from now on, if it is an application's.
    pub(crate) fn speaks_for(&self, connection: u64, end_user: Option<(Actor, Arc<str>)>) {
        if let Some(session) = self.lock().by_number.get_mut(&connection) {
            session.info.end_user = end_user;
        }
    }

    /// Whether the gateway stops.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    pub(crate) fn drain(&self) {
        let sessions = self.lock();
        self.draining.store(true, Ordering::Relaxed);
        for session in sessions.by_number.values() {
            // A connection that is gone already needs no telling.
            let _ = session.commands.send(Command::Leave(Leave::Stopping));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Sessions> {
        // An entry of one map without its like in the other does no harm: `by_key` only points.
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
