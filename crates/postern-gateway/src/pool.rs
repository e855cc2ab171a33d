//! Server connections that sessions share: each has one from the beginning of a transaction to its
//! end.
//!
//! Each core has a pool of its own, with its share of `server_max`. All of its connections are
//! started alike; the settings of a session are made on the connection that it gets
//! ([`session::fit`]), so that it can be any. Whoever finds none waits in line. A connection that
//! was told to cancel is never given to another session: the request may come late.

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, VecDeque},
    rc::{Rc, Weak},
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use postern_session::{Kind, Names, Remembered};
use thiserror::Error;
use tokio::sync::oneshot;

use crate::{
    login,
    regime::Regime,
    registry::Cancel,
    shared::Shared,
    side::Side,
    spare,
    upstream::{self, ConnectError, Connected},
};

mod session;

pub(crate) use self::session::{FitError, Set};

/// How often those that are old or were not used are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// For so many different start-ups it is remembered what the server says of its settings.
const GREETINGS_MAX: usize = 1_000;

/// The session that looks at what a server says at the start, and does nothing else.
const NOBODY: u64 = u64::MAX;

/// What a server says of its settings, by name and value.
pub(crate) type Parameters = Vec<(String, String)>;

/// A connection to the server.
pub(crate) struct Server {
    pub(crate) side: Side,
    pub(crate) cancel: Arc<Cancel>,
    pub(crate) parameters: Parameters,
    /// What it remembers, while no session has it.
    pub(crate) remembered: Remembered,
    /// The settings that are made on it, beside those of its start.
    pub(crate) set: Set,
    /// Something has run that the gateway does not look into.
    pub(crate) hidden: bool,
    /// Which session had it last.
    pub(crate) last: u64,
    born: Instant,
    idle: Instant,
    /// Its place among those of a pool; none if a session has it for itself.
    place: Option<Place>,
}

impl Server {
    /// For one session, as long as that lasts.
    pub(crate) fn own(connected: Connected) -> Box<Self> {
        Self::new(connected, None, 1)
    }

    fn new(connected: Connected, place: Option<Place>, prepared_max: usize) -> Box<Self> {
        let Connected { stream, buffer, cancel, parameters } = connected;
        let now = Instant::now();
        Box::new(Self {
            side: Side::new(stream, buffer),
            cancel: Cancel::new(cancel),
            parameters,
            remembered: Remembered::new(prepared_max),
            set: Set::default(),
            hidden: false,
            last: 0,
            born: now,
            idle: now,
            place,
        })
    }

    /// Without the place, which is free when it is dropped.
    pub(crate) fn apart(self) -> (Connected, Option<Place>) {
        let Side { stream, input, .. } = self.side;
        let cancel = self.cancel.key.clone();
        (Connected { stream, buffer: input, cancel, parameters: self.parameters }, self.place)
    }

    /// Ends it in good order, while the caller goes on.
    pub(crate) fn end(self: Box<Self>) {
        tokio::task::spawn_local(async move {
            let (connected, place) = self.apart();
            spare::end(connected).await;
            drop(place);
        });
    }
}

/// The right to one of a pool's connections. It goes to whoever waits when it is dropped.
pub(crate) struct Place {
    pool: Weak<Pool>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(pool) = self.pool.upgrade() else { return };
        pool.count.set(pool.count.get() - 1);
        if let Some(place) = pool.place() {
            pool.hand_on(Given::Place(place));
        }
    }
}

/// What somebody who waits is given.
enum Given {
    Server(Box<Server>),
    Place(Place),
}

/// Why there is no connection.
#[derive(Debug, Error)]
pub(crate) enum TakeError {
    #[error("all connections to the database server are in use")]
    Busy,
    #[error(transparent)]
    Connect(#[from] ConnectError),
}

/// A pool's figures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PoolInfo {
    /// Whose it is.
    pub core: usize,
    /// It is of a configuration that is not in force any more, and ends with its last session.
    pub ends: bool,
    /// Connections to the server, of which so many are idle.
    pub servers: usize,
    pub idle: usize,
    pub servers_max: usize,
    /// Statements that wait for one.
    pub waiting: usize,
    /// How often a session was given one, how often it had to wait, and for how long altogether.
    pub taken: u64,
    pub waited: u64,
    pub waited_micros: u64,
    /// Connections that were started, and those that were cleaned for another session.
    pub started: u64,
    pub cleaned: u64,
}

/// A pool's place in the list of all.
pub(crate) struct Told(std::sync::Weak<Mutex<PoolInfo>>);

impl Told {
    pub(crate) fn is_there(&self) -> bool {
        self.0.strong_count() > 0
    }

    pub(crate) fn info(&self) -> Option<PoolInfo> {
        Some(*self.0.upgrade()?.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

type Idle = Vec<Box<Server>>;

/// The connections of one core.
pub(crate) struct Pool {
    regime: Arc<Regime>,
    pub(crate) names: Arc<Names>,
    me: Weak<Self>,
    max: usize,
    /// With those that are being started.
    count: Cell<usize>,
    /// The one that was used last is at the end, and is taken first.
    idle: RefCell<Idle>,
    waiting: RefCell<VecDeque<oneshot::Sender<Given>>>,
    greetings: RefCell<HashMap<Set, Rc<Parameters>>>,
    /// Another pool has come in its place: no connection waits here any more.
    ends: Cell<bool>,
    /// For whoever asks, on any thread; nobody holds its lock for longer than a copy takes.
    info: Arc<Mutex<PoolInfo>>,
}

impl Pool {
    pub(crate) fn new(shared: &Shared, regime: &Arc<Regime>, core: usize) -> Rc<Self> {
        let settings = &regime.settings;
        let (all, workers) = (settings.limits.server_max, settings.workers.max(1));
        // The rest of the division goes to the first ones; nobody is left without.
        let max = (all / workers + usize::from(core < all % workers)).max(1);
        let pool = Rc::new_cyclic(|me| Self {
            regime: regime.clone(),
            names: Arc::default(),
            me: me.clone(),
            max,
            count: Cell::new(0),
            idle: RefCell::default(),
            waiting: RefCell::default(),
            greetings: RefCell::default(),
            ends: Cell::new(false),
            info: Arc::default(),
        });
        pool.note(|info| (info.core, info.servers_max) = (core, max));
        shared.tell_pool(Told(Arc::downgrade(&pool.info)));
        tokio::task::spawn_local(sweep(pool.me.clone()));
        pool
    }

    /// Lets go of what no session has, now and from now on.
    pub(crate) fn retire(&self) {
        self.ends.set(true);
        for server in self.idle.take() {
            server.end();
        }
        self.note(|info| info.ends = true);
    }

    pub(crate) fn max(&self) -> usize {
        self.max
    }

    pub(crate) fn message_bytes_max(&self) -> usize {
        self.regime.settings.limits.message_bytes_max
    }

    /// Whether somebody waits in line.
    pub(crate) fn is_waited_for(&self) -> bool {
        !self.waiting.borrow().is_empty()
    }

    /// One that fits a session as it is, without waiting for anything.
    pub(crate) fn take_fitting(&self, session: u64, set: &Set) -> Option<Box<Server>> {
        if self.is_waited_for() {
            return None;
        }
        let mut idle = self.idle.borrow_mut();
        let at = idle.iter().rposition(|server| server.fits(session, set))?;
        let mut server = idle.remove(at);
        drop(idle);
        if !server.side.is_quiet() {
            self.lost(server);
            return None;
        }
        server.last = session;
        self.note(|info| info.taken += 1);
        Some(server)
    }

    /// One that is made to fit, as soon as there is one.
    pub(crate) async fn take(
        self: Rc<Self>,
        session: u64,
        set: Set,
    ) -> Result<Box<Server>, FitError> {
        loop {
            let mut server = self.any().await?;
            let (cleans, message_bytes_max) =
                (!server.fits(session, &set), self.message_bytes_max());
            match server.fit(session, &set, message_bytes_max).await {
                Ok(()) => {
                    self.note(|info| {
                        info.taken += 1;
                        info.cleaned += u64::from(cleans);
                    });
                    return Ok(server);
                }
                // It may have been idle for long; the next is asked, and in the end a new one.
                Err(FitError::Lost) if server.has_served() => self.lost(server),
                Err(error) => {
                    server.end();
                    return Err(error);
                }
            }
        }
    }

    async fn any(&self) -> Result<Box<Server>, TakeError> {
        let since = Instant::now();
        let is_free = !self.is_waited_for();
        let given = if is_free && let Some(server) = self.any_idle() {
            return Ok(server);
        } else if is_free && let Some(place) = self.place() {
            Given::Place(place)
        } else {
            let given = self.wait().await?;
            self.note(|info| {
                info.waited += 1;
                info.waited_micros += u64::try_from(since.elapsed().as_micros()).unwrap_or(0);
            });
            given
        };
        match given {
            Given::Server(server) => Ok(server),
            Given::Place(place) => Ok(self.start(place).await?),
        }
    }

    fn any_idle(&self) -> Option<Box<Server>> {
        loop {
            let mut server = self.idle.borrow_mut().pop()?;
            if server.side.is_quiet() {
                return Some(server);
            }
            self.lost(server);
        }
    }

    /// Waits in line.
    async fn wait(&self) -> Result<Given, TakeError> {
        let (sender, given) = oneshot::channel();
        self.waiting.borrow_mut().push_back(sender);
        self.note(|info| info.waiting += 1);
        let given = tokio::time::timeout(self.regime.settings.limits.queue_time, given).await;
        self.waiting.borrow_mut().retain(|sender| !sender.is_closed());
        self.note(|info| info.waiting = info.waiting.saturating_sub(1));
        match given {
            Ok(Ok(given)) => Ok(given),
            Ok(Err(_)) | Err(_) => Err(TakeError::Busy),
        }
    }

    fn place(&self) -> Option<Place> {
        if self.count.get() >= self.max {
            return None;
        }
        self.count.set(self.count.get() + 1);
        Some(Place { pool: self.me.clone() })
    }

    async fn start(&self, place: Place) -> Result<Box<Server>, ConnectError> {
        let wanted = login::pinned(&self.regime.settings, Kind::Restricted);
        let wanted: Vec<(&str, &str)> =
            wanted.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let limits = &self.regime.settings.limits;
        let connected =
            upstream::connect(&self.regime.settings.upstream, &wanted, limits.message_bytes_max);
        let connected = connected.await?;
        self.note(|info| info.started += 1);
        Ok(Server::new(connected, Some(place), limits.prepared_max))
    }

    /// Gives one to the first in line, or the first in line to those that wait for a place.
    fn hand_on(&self, given: Given) {
        let mut given = given;
        loop {
            let Some(first) = self.waiting.borrow_mut().pop_front() else { break };
            match first.send(given) {
                Ok(()) => return,
                // Nobody waits there any more.
                Err(back) => given = back,
            }
        }
        match given {
            Given::Server(server) if self.ends.get() => server.end(),
            Given::Server(mut server) => {
                server.idle = Instant::now();
                self.idle.borrow_mut().push(server);
                self.tell();
            }
            Given::Place(mut place) => {
                place.pool = Weak::new();
                self.count.set(self.count.get() - 1);
                self.tell();
            }
        }
    }

    /// Takes back a connection on which nothing is under way.
    pub(crate) fn give(&self, server: Box<Server>) {
        let is_told = server.cancel.told.load(Ordering::Relaxed);
        let is_old = server.born.elapsed() >= self.regime.settings.limits.server_lifetime;
        if is_told || is_old || server.remembered.is_littered() {
            return server.end();
        }
        self.hand_on(Given::Server(server));
    }

    /// The server has said something unasked, or has closed: its settings may be others now.
    fn lost(&self, server: Box<Server>) {
        self.greetings.borrow_mut().clear();
        server.end();
    }

    /// What the server says of its settings to a session that begins with these.
    pub(crate) async fn greeting(self: &Rc<Self>, set: &Set) -> Result<Rc<Parameters>, FitError> {
        if let Some(known) = self.greetings.borrow().get(set) {
            return Ok(known.clone());
        }
        let server = self.clone().take(NOBODY, set.clone()).await?;
        let parameters = Rc::new(server.parameters.clone());
        self.give(server);
        let mut greetings = self.greetings.borrow_mut();
        if greetings.len() >= GREETINGS_MAX {
            greetings.clear();
        }
        greetings.insert(set.clone(), parameters.clone());
        Ok(parameters)
    }

    fn older_than(&self, idle: Duration, lifetime: Duration) -> Idle {
        let is_old = |server: &mut Box<Server>| {
            server.idle.elapsed() >= idle || server.born.elapsed() >= lifetime
        };
        self.idle.borrow_mut().extract_if(.., is_old).collect()
    }

    fn note(&self, change: impl FnOnce(&mut PoolInfo)) {
        let mut info = self.info.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut info);
        info.servers = self.count.get();
        info.idle = self.idle.borrow().len();
    }

    fn tell(&self) {
        self.note(|_| ());
    }
}

async fn sweep(pool: Weak<Pool>) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        let Some(pool) = pool.upgrade() else { return };
        let limits = &pool.regime.settings.limits;
        for server in pool.older_than(limits.spare_time, limits.server_lifetime) {
            server.end();
        }
        pool.tell();
    }
}
