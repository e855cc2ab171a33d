//! Who is connected: for cancel requests, suspension and drain.

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
use tokio::sync::mpsc::UnboundedSender;

/// What a connection is told from outside. Each connection has room for some of them all the time,
/// so that they are kept small.
#[derive(Debug)]
pub(crate) enum Command {
    /// The ledger's answer to a hold.
    Recorded { hold: u64, result: Box<Result<Receipt, RecordError>> },
    /// The keeper's answer to a request for proof: which catalogue is the present one.
    Proven { proof: u64, generation: Option<u64> },
    /// The ledger's answer to a question whether there is room for searches.
    Asked { question: u64, result: Box<Result<Answer, RecordError>> },
    /// A cancel request of the session's own has been delivered.
    Cancelled,
    /// The reasons have been read anew.
    ReasonsRead,
    /// The actor is suspended: end now.
    Suspend,
    /// The gateway stops: end when idle.
    Drain,
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
}

#[derive(Debug)]
struct Session {
    info: SessionInfo,
    key: ClientKey,
    reach: Reach,
    /// It was told to end: once, since the server's numbers come again.
    cut: bool,
    commands: UnboundedSender<Command>,
}

/// All sessions of the process. The lock is never held across I/O.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    next: AtomicU64,
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
    /// The next connection's number, from 1.
    pub(crate) fn connection(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn register(
        &self,
        info: SessionInfo,
        key: ClientKey,
        reach: Reach,
        commands: UnboundedSender<Command>,
    ) -> Registered<'_> {
        let connection = info.connection;
        let mut sessions = self.lock();
        if self.is_draining() {
            // A log-in that was under way when the others were told. Its receiver is the caller's.
            let _ = commands.send(Command::Drain);
        }
        let session = Session { info, key, reach, cut: false, commands };
        sessions.by_key.insert(key, connection);
        sessions.by_number.insert(connection, session);
        Registered { registry: self, connection }
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

    /// The server's side of the session that a client's cancel request names.
    pub(crate) fn cancel_key(&self, process_id: i32, secret: &[u8]) -> Option<Arc<Cancel>> {
        let key = (process_id, secret.try_into().ok()?);
        let sessions = self.lock();
        let connection = sessions.by_key.get(&key)?;
        let session = sessions.by_number.get(connection)?;
        // With the lock held: a session that is not in the registry any more is not cancelled.
        session.reach.cancel()
    }

    /// Tells all sessions of an actor that have not been told; how many they were, and the
    /// connections to the server that they have at the moment, which are used no more.
    pub(crate) fn suspend(&self, actor: &Actor) -> (usize, Vec<CancelKey>) {
        let mut sessions = self.lock();
        let all = sessions.by_number.values_mut();
        let theirs = all.filter(|session| session.info.actor == *actor && !session.cut);
        let told = theirs.filter(|session| session.commands.send(Command::Suspend).is_ok());
        let reached: Vec<Option<Arc<Cancel>>> = told
            .map(|session| {
                session.cut = true;
                session.reach.cancel()
            })
            .collect();
        let keys = reached.iter().flatten().map(|cancel| cancel.key.clone());
        (reached.len(), keys.collect())
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
            let _ = session.commands.send(Command::Drain);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Sessions> {
        // An entry of one map without its like in the other does no harm: `by_key` only points.
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    fn session(registry: &Registry, process_id: i32, secret: [u8; 4]) -> Registered<'_> {
        let info = SessionInfo {
            connection: registry.connection(),
            actor: Actor::new("ana"),
            role: "agent".into(),
            client: IpAddr::from([127, 0, 0, 1]),
            since: Timestamp(0),
        };
        let upstream = CancelKey { process_id, secret: vec![9; 4] };
        let reach = Reach::default();
        reach.set(Some(Cancel::new(upstream)));
        registry.register(info, (process_id, secret), reach, mpsc::unbounded_channel().0)
    }

    fn process(registry: &Registry, process_id: i32, secret: &[u8]) -> Option<i32> {
        registry.cancel_key(process_id, secret).map(|cancel| cancel.key.process_id)
    }

    #[test]
    fn a_cancel_request_needs_process_and_secret_of_one_session() {
        let registry = Registry::default();
        let one = session(&registry, 7, [1; 4]);
        let _two = session(&registry, 8, [2; 4]);
        assert_eq!(process(&registry, 7, &[1; 4]), Some(7));
        assert_eq!(process(&registry, 8, &[2; 4]), Some(8));
        for (process_id, secret) in
            [(7, vec![2; 4]), (8, vec![1; 4]), (7, vec![1; 3]), (1, vec![1; 4])]
        {
            assert_eq!(process(&registry, process_id, &secret), None);
        }
        drop(one);
        assert_eq!(process(&registry, 7, &[1; 4]), None);
    }

    /// The server's numbers come again.
    #[test]
    fn a_session_that_ends_takes_no_newer_ones_key_with_it() {
        let registry = Registry::default();
        let old = session(&registry, 7, [1; 4]);
        let new = session(&registry, 7, [1; 4]);
        let other = session(&registry, 7, [2; 4]);
        drop(old);
        assert_eq!(process(&registry, 7, &[1; 4]), Some(7));
        drop(new);
        assert_eq!(process(&registry, 7, &[1; 4]), None);
        assert_eq!(process(&registry, 7, &[2; 4]), Some(7));
        drop(other);
        assert_eq!(registry.sessions(), []);
    }
}
