//! Accepting connections, on one single-threaded runtime per core, and stopping again.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    io,
    net::SocketAddr,
    rc::Rc,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    thread,
    time::Duration,
};

use bytes::BytesMut;
use postern_ledger::{Note, RecordError};
use postern_model::Actor;
use postern_people::{Account, People};
use postern_wire::{
    SqlState,
    encode::{self, Report, Severity},
};
use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
};

use crate::{
    CoreStats, NotEnforced, Parts, PoolInfo, SessionInfo, Settings, Suspension,
    busy::Busy,
    connection,
    figures::Counters,
    judges::Judges,
    login::{self, Came},
    mail::Mail,
    pool::Pool,
    regime::{Regime, host},
    shared::Shared,
    show,
    spare::Spares,
};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;
/// How long idle sessions that outlive a gateway that has handed over have to be told so.
const LAST_WORDS_MAX: Duration = Duration::from_secs(1);
/// How often a draining core looks whether all are gone.
const DRAIN_LOOK_EVERY: Duration = Duration::from_millis(10);

/// Why a gateway can't be built.
#[derive(Debug, Error)]
pub enum BuildError {
    #[error("can't listen on {address}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("can't start a thread")]
    Thread(#[source] io::Error),
}

/// Why somebody stays suspended.
#[derive(Debug, Error)]
pub enum ResumeError {
    #[error("`{actor}` is not suspended")]
    NotSuspended { actor: Actor },
    #[error("`{by}` has suspended `{actor}`; another person has to let them in again")]
    SamePerson { actor: Actor, by: Actor },
    #[error("nobody lets themselves in again")]
    Themselves,
    #[error("it could not be recorded")]
    Unrecorded(#[source] RecordError),
}

/// A gateway that listens. It serves until its [`Handle`] is told to stop.
#[derive(Debug)]
pub struct Gateway {
    handle: Handle,
    threads: Vec<thread::JoinHandle<()>>,
}

/// Speaks to a running gateway from any thread.
#[derive(Clone)]
pub struct Handle {
    pub(crate) shared: Arc<Shared>,
    address: SocketAddr,
    stop: Arc<watch::Sender<Stop>>,
    /// The socket on which the cores accept, for another gateway to go on with; gone once this one
    /// stops, so that nobody waits for it.
    listener: Arc<Mutex<Option<std::net::TcpListener>>>,
}

/// Whether a gateway goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    No,
    /// It ends its sessions when they are idle.
    Now,
    /// Another one accepts in its place: its sessions may go on for as long as the drain.
    HandedOver,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Gateway {
    /// Binds the address and starts to serve.
    ///
    /// # Errors
    /// [`BuildError::Listen`] if the address can't be bound.
    pub fn build(settings: Settings, parts: Parts) -> Result<Self, BuildError> {
        let at = |source| BuildError::Listen { address: settings.listen, source };
        let listener = listen(settings.listen).map_err(at)?;
        Self::build_on(listener, settings, parts)
    }

    /// Serves on a socket that listens, as the one that another gateway has handed over.
    ///
    /// # Errors
    /// [`BuildError::Listen`] if it is of no use.
    pub fn build_on(
        listener: std::net::TcpListener,
        settings: Settings,
        parts: Parts,
    ) -> Result<Self, BuildError> {
        let at = |source| BuildError::Listen { address: settings.listen, source };
        listener.set_nonblocking(true).map_err(at)?;
        let address = listener.local_addr().map_err(at)?;
        let mut listeners = Vec::new();
        for _ in 0..settings.workers.max(1) {
            listeners.push(listener.try_clone().map_err(at)?);
        }
        let listener = Arc::new(Mutex::new(Some(listener)));
        let (keepers, for_keepers) = mpsc::unbounded_channel();
        let (breakers, for_breakers) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared::new(settings, parts, (keepers, breakers)));
        let stop = Arc::new(watch::Sender::new(Stop::No));
        let mut threads = Vec::new();
        // Statements that end while the gateway drains need their proofs: the keepers go last.
        let (working, mut all_gone) = mpsc::channel::<()>(1);
        let (end, ends) = tokio::sync::oneshot::channel::<()>();
        threads.push(spawn("breaker", move || async move {
            tokio::select! {
                () = host(for_breakers) => {}
                _ = ends => {}
            }
        })?);
        threads.push(spawn("keeper", move || async move {
            tokio::select! {
                () = host(for_keepers) => {}
                _ = all_gone.recv() => {}
            }
            drop(end);
        })?);
        for (index, listener) in listeners.into_iter().enumerate() {
            shared.accepting.fetch_add(1, Ordering::Relaxed);
            let (shared, stopping, working) = (shared.clone(), stop.subscribe(), working.clone());
            threads.push(spawn(&format!("core-{index}"), move || async move {
                serve((shared, index), listener, stopping).await;
                drop(working);
            })?);
        }
        Ok(Self { handle: Handle { shared, address, stop, listener }, threads })
    }

    /// For whoever administers it.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Waits until the gateway has stopped.
    pub fn wait(self) {
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the gateway has panicked");
            }
        }
    }
}

impl Handle {
    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether the guarded server could be read, so that log-ins are possible.
    pub fn is_ready(&self) -> bool {
        self.shared.regime().catalogue.borrow().is_some()
    }

    /// Waits until the guarded server could be read, or the gateway has stopped.
    pub async fn ready(&self) {
        let mut catalogue = self.shared.regime().catalogue.clone();
        // An error says that the gateway has stopped: nobody reads any more.
        let _ = catalogue.wait_for(Option::is_some).await;
    }

    /// Cuts all sessions of an actor and refuses its log-ins from now on; how many sessions there
    /// were. Returns when the ledger has it.
    ///
    /// # Errors
    /// The ledger's, when it can't be recorded; the actor is out all the same.
    pub fn suspend(&self, actor: &Actor, by: &Actor, why: &str) -> Result<usize, RecordError> {
        let why: Arc<str> = why.into();
        let since = self.shared.clock.now();
        let suspension = Suspension { by: by.clone(), why: why.clone(), since };
        self.shared.suspended().insert(actor.clone(), suspension);
        let cut = self.shared.cut(actor);
        let (actor, by) = (actor.clone(), by.clone());
        self.note(Note::Suspended { actor, by, why })?;
        Ok(cut)
    }

    /// Lets an actor in again. Recorded first.
    ///
    /// # Errors
    /// [`ResumeError`]: it takes another person than who ordered the suspension and than the
    /// actor. Without a record the actor stays out.
    pub fn resume(&self, actor: &Actor, by: &Actor, why: &str) -> Result<(), ResumeError> {
        let not_suspended = || ResumeError::NotSuspended { actor: actor.clone() };
        let order = self.shared.suspended().get(actor).cloned().ok_or_else(not_suspended)?;
        if actor == by {
            return Err(ResumeError::Themselves);
        }
        if order.by == *by {
            return Err(ResumeError::SamePerson { actor: actor.clone(), by: by.clone() });
        }
        let note = Note::Resumed { actor: actor.clone(), by: by.clone(), why: why.into() };
        self.note(note).map_err(ResumeError::Unrecorded)?;
        let mut suspended = self.shared.suspended();
        // An order that came meanwhile stands: the ledger has it behind this.
        if suspended.get(actor) == Some(&order) {
            suspended.remove(actor);
        }
        Ok(())
    }

    /// The accounts whose log-ins are refused.
    pub fn suspended(&self) -> BTreeMap<Actor, Suspension> {
        self.shared.suspended().clone()
    }

    /// For which roles policy is not enforced, and what enforcement would have done so far.
    pub fn not_enforced(&self) -> Vec<NotEnforced> {
        self.shared.not_enforced()
    }

    /// How many connections to the server wait for another session of their accounts.
    pub fn spares(&self) -> usize {
        self.shared.spares.load(Ordering::Relaxed)
    }

    /// How the pools of the cores are doing.
    pub fn pools(&self) -> Vec<PoolInfo> {
        self.shared.pools()
    }

    /// What each core has counted since the gateway started.
    pub fn stats(&self) -> Vec<CoreStats> {
        self.shared.figures.all()
    }

    /// Who is connected.
    pub fn sessions(&self) -> Vec<SessionInfo> {
        self.shared.registry.sessions()
    }

    /// The same, with the process of the server that each has now; one that shares has none while
    /// it is idle.
    pub fn reaches(&self) -> Vec<(SessionInfo, Option<i32>)> {
        self.shared.registry.reaches()
    }

    /// The people as they are in force.
    pub fn people(&self) -> Arc<People> {
        self.shared.people()
    }

    /// Uses another list of people for the log-ins from now on, and cuts the sessions of those who
    /// are no longer in it, and of whom other budgets apply to, as contractors or not any more.
    pub fn replace_people(&self, people: Arc<People>) {
        let before = self.shared.people();
        self.shared.replace_people(people.clone());
        self.enforce_people();
        let regime = self.shared.regime();
        for session in self.sessions() {
            let own = (session.actor, session.role);
            for (actor, role) in std::iter::once(own).chain(session.end_user) {
                let Some(role) = regime.settings.roles.get(&role) else { continue };
                let is_contractor = |people: &People| {
                    people.account(actor.as_str()).is_none_or(Account::is_contractor)
                };
                let limits = |people: &People| role.limits(&actor, is_contractor(people));
                if limits(&before) != limits(&people) {
                    self.shared.cut(&actor);
                }
            }
        }
    }

    /// Cuts the sessions of whoever may not work any more: removed, past the last day, in another
    /// role than at log-in. Called from time to time, because days end by themselves.
    pub fn enforce_people(&self) {
        for session in self.sessions() {
            let own = (session.actor, session.role);
            for (actor, role) in std::iter::once(own).chain(session.end_user) {
                if !self.shared.may_work(&actor, &role) {
                    self.shared.cut(&actor);
                }
            }
        }
    }

    /// Stops accepting, lets running statements end within the configured time, then ends.
    pub fn stop(&self) {
        drop(self.listener().take());
        self.stop.send_replace(Stop::Now);
    }

    /// Stops accepting, and gives the socket on which it has listened to whoever goes on. Sessions
    /// may go on for as long as the configured time; those that are left then are ended. `None` if
    /// it stops already.
    pub fn hand_over(&self) -> Option<std::net::TcpListener> {
        let listener = self.listener().take()?;
        self.stop.send_replace(Stop::HandedOver);
        Some(listener)
    }

    /// Whether another gateway accepts in its place, and its sessions may still go on.
    pub fn has_handed_over(&self) -> bool {
        *self.stop.borrow() == Stop::HandedOver
    }

    /// After it has handed over: waits until all sessions have ended by themselves, or are ended.
    /// Returns at once if it has not.
    pub async fn left(&self) {
        let shared = &self.shared;
        while self.has_handed_over() && !shared.is_left() && !shared.registry.is_draining() {
            tokio::time::sleep(DRAIN_LOOK_EVERY).await;
        }
    }

    /// Where it was told to listen; port 0 is a free one.
    pub fn listens(&self) -> SocketAddr {
        self.shared.regime().settings.listen
    }

    fn listener(&self) -> MutexGuard<'_, Option<std::net::TcpListener>> {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the gateway has been told to stop.
    pub async fn stopping(&self) {
        let mut stop = self.stop.subscribe();
        // An error says that it is gone already.
        let _ = stop.wait_for(|stop| *stop != Stop::No).await;
    }

    pub(crate) fn note(&self, note: Note) -> Result<(), RecordError> {
        self.shared.note_durably(note)
    }
}

fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    // Not SO_REUSEPORT: another process of the same account could then take connections.
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Runs `work` on a thread and a single-threaded runtime of its own.
fn spawn<F: Future<Output = ()>>(
    name: &str,
    work: impl FnOnce() -> F + Send + 'static,
) -> Result<thread::JoinHandle<()>, BuildError> {
    let (tell, built) = std::sync::mpsc::sync_channel(1);
    let thread = thread::Builder::new()
        .name(format!("postern-{name}"))
        .spawn(move || {
            // It can't leave the thread that it was made on.
            let mut builder = tokio::runtime::Builder::new_current_thread();
            let runtime = builder.enable_all().build_local(tokio::runtime::LocalOptions::default());
            match runtime {
                Ok(runtime) => {
                    let _ = tell.send(Ok(()));
                    runtime.block_on(work());
                }
                Err(error) => {
                    let _ = tell.send(Err(error));
                }
            }
        })
        .map_err(BuildError::Thread)?;
    // A thread that says nothing has panicked, which whoever joins it hears.
    built.recv().unwrap_or(Ok(())).map_err(BuildError::Thread)?;
    Ok(thread)
}

/// One core: accepts until told to stop, then drains.
async fn serve(
    (shared, index): (Arc<Shared>, usize),
    listener: std::net::TcpListener,
    mut stopping: watch::Receiver<Stop>,
) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "can't accept connections");
            shared.accepting.fetch_sub(1, Ordering::Release);
            return;
        }
    };
    let mail = Rc::<Mail>::default();
    tokio::task::spawn_local(mail.clone().deliver());
    let mut regimes = shared.registry.follow();
    let seat = Rc::new(Seat::new(shared.clone(), index, mail));
    let mine = Rc::new(Cell::new(0));
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, address)) => {
                    let open = Open::new(&mine, &shared);
                    let connection = connection(seat.clone(), stream, address);
                    tokio::task::spawn_local(async move {
                        connection.await;
                        drop(open);
                    });
                }
                Err(error) => {
                    // Out of descriptors, most likely: others must end first.
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "a connection could not be accepted"
                    );
                    tokio::time::sleep(DRAIN_LOOK_EVERY).await;
                }
            },
            Ok(()) = regimes.changed() => drop(seat.core()),
            _ = stopping.wait_for(|stop| *stop != Stop::No) => break,
        }
    }
    drop(listener);
    shared.accepting.fetch_sub(1, Ordering::Release);
    let mut drain = shared.regime().settings.limits.drain;
    if *stopping.borrow() == Stop::HandedOver {
        let until = tokio::time::Instant::now() + drain;
        let all_left = async {
            while !shared.is_left() {
                tokio::time::sleep(DRAIN_LOOK_EVERY).await;
            }
        };
        tokio::select! {
            () = all_left => {}
            // An error says that nobody can tell any more.
            _ = stopping.wait_for(|stop| *stop == Stop::Now) => {}
            () = tokio::time::sleep_until(until) => {}
        }
        drain = until.duration_since(tokio::time::Instant::now()).max(LAST_WORDS_MAX);
    }
    shared.registry.drain();
    let all_gone = async {
        while mine.get() > 0 {
            tokio::time::sleep(DRAIN_LOOK_EVERY).await;
        }
    };
    if tokio::time::timeout(drain, all_gone).await.is_err() {
        tracing::warn!("connections were still busy when the time for stopping was over");
    }
}

/// One core's place, which outlasts what is in force.
pub(crate) struct Seat {
    pub(crate) shared: Arc<Shared>,
    index: usize,
    pub(crate) mail: Rc<Mail>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) busy: Busy,
    core: RefCell<Core>,
}

impl Seat {
    fn new(shared: Arc<Shared>, index: usize, mail: Rc<Mail>) -> Self {
        let core = RefCell::new(Core::new(&shared, shared.regime(), index));
        let counters = shared.figures.of(index);
        Self { shared, index, mail, counters, busy: Busy::default(), core }
    }

    /// For connections that log in now. Of what was in force before, nothing is left here but what
    /// its sessions have.
    pub(crate) fn core(&self) -> Core {
        let (shared, regime) = (&self.shared, self.shared.regime());
        let mut core = self.core.borrow_mut();
        if !Arc::ptr_eq(&core.regime, &regime) {
            if regime.judges_as(&core.regime) {
                core.regime = regime;
            } else {
                let before = std::mem::replace(&mut *core, Core::new(shared, regime, self.index));
                before.pool.retire();
                before.spares.retire();
            }
        }
        core.clone()
    }
}

/// What the connections of a core share that are judged alike.
#[derive(Clone)]
pub(crate) struct Core {
    pub(crate) regime: Arc<Regime>,
    pub(crate) judges: Rc<RefCell<Judges>>,
    pub(crate) spares: Rc<Spares>,
    pub(crate) pool: Rc<Pool>,
}

impl Core {
    fn new(shared: &Arc<Shared>, regime: Arc<Regime>, index: usize) -> Self {
        let path = regime.settings.upstream.search_path.clone();
        let judges = Rc::new(RefCell::new(Judges::new(prefix(), path.into())));
        let spares = Spares::new(shared, regime.settings.limits);
        let pool = Pool::new(shared, &regime, index);
        Self { regime, judges, spares, pool }
    }
}

/// Counts a core's open connections.
struct Open {
    mine: Rc<Cell<usize>>,
    shared: Arc<Shared>,
}

impl Open {
    fn new(mine: &Rc<Cell<usize>>, shared: &Arc<Shared>) -> Self {
        mine.set(mine.get() + 1);
        shared.open.fetch_add(1, Ordering::Relaxed);
        Self { mine: mine.clone(), shared: shared.clone() }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.mine.set(self.mine.get() - 1);
        self.shared.open.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn connection(seat: Rc<Seat>, stream: TcpStream, address: SocketAddr) {
    let shared = &seat.shared;
    let limits = shared.regime().settings.limits;
    if shared.registry.is_draining() {
        let message = "Postern is shutting down";
        return turn_away(stream, SqlState::CANNOT_CONNECT_NOW, message).await;
    }
    if shared.open.load(Ordering::Relaxed) > limits.connections_max {
        return turn_away(stream, SqlState::TOO_MANY_CONNECTIONS, "too many connections").await;
    }
    let logged_in = tokio::time::timeout(
        limits.login_timeout,
        // It takes far more place than the session, and is over soon.
        Box::pin(login::login(&seat, stream, address)),
    );
    let logged_in = match logged_in.await {
        Ok(Ok(Came::In(logged_in))) => logged_in,
        Ok(Ok(Came::ToAsk(administrator))) => {
            let shown = Box::pin(show::serve(&seat, *administrator, address.ip())).await;
            if let Err(error) = shown {
                tracing::info!(
                    %address,
                    error = &error as &dyn std::error::Error,
                    "an administrator's connection has failed"
                );
            }
            return;
        }
        Ok(Ok(Came::AndWent)) => return,
        Ok(Err(error)) => {
            tracing::info!(
                %address,
                error = &error as &dyn std::error::Error,
                "a connection was refused"
            );
            return;
        }
        Err(_) => return tracing::info!(%address, "a log-in took too long"),
    };
    let served = Box::pin(connection::serve(&seat, *logged_in, address.ip())).await;
    if let Err(error) = served {
        tracing::info!(
            %address,
            error = &error as &dyn std::error::Error,
            "a connection has failed"
        );
    }
}

async fn turn_away(mut stream: TcpStream, sqlstate: SqlState, message: &str) {
    let mut out = BytesMut::new();
    let severity = Severity::Fatal;
    let report = Report { severity, sqlstate, message, detail: None, hint: None, position: None };
    encode::error_response(&mut out, &report);
    // Whoever is turned away may be gone already.
    let _ = stream.write_all(&out).await;
    let _ = stream.shutdown().await;
}

/// What the names of this core's rewritings begin with.
fn prefix() -> Arc<str> {
    format!("postern_{:016x}_", rand::random::<u64>()).into()
}
