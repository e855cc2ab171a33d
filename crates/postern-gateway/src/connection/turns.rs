//! How a session that shares comes to a server connection, and when it gives it back.

use std::{
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
};

use postern_session::{Effect, Failure, Kind, Profile, Session};
use postern_wire::{Backend, Frame};

use super::{Connection, ConnectionError, WAITING_BYTES_MAX};
use crate::{
    login::{self, Behind},
    pool::{FitError, Pool, Server, Set, TakeError},
    regime::Regime,
    registry::Reach,
    spare::Owner,
};

/// How often what a session has left is asked for once more.
const ASKED_AGAIN_MAX: usize = 10;

type Taking = Pin<Box<dyn Future<Output = Result<Box<Server>, FitError>>>>;

/// The turns of one session.
pub(super) struct Turns {
    pool: Rc<Pool>,
    /// The settings from its start-up.
    base: Set,
    /// Those that it is to find.
    wanted: Set,
    /// It waits for a connection.
    taking: Option<Taking>,
    /// It keeps the connection that it has: why.
    pins: Option<String>,
}

impl Turns {
    pub(super) fn new(pool: Rc<Pool>, base: Set) -> Self {
        Self { pool, wanted: base.clone(), base, taking: None, pins: None }
    }
}

/// What a session begins with: its own connection, of its owner, or its turns.
pub(super) fn begin(
    behind: Behind,
    pool: &Rc<Pool>,
    reach: &Reach,
) -> (Option<Box<Server>>, Option<Turns>, Option<Owner>) {
    match behind {
        Behind::Own(server, owner) => {
            let server = Server::own(server);
            reach.set(Some(server.cancel.clone()));
            (Some(server), None, Some(owner))
        }
        Behind::Turns(set) => (None, Some(Turns::new(pool.clone(), set)), None),
    }
}

/// What a client is told as the number of its process: the server's own, where that is always the
/// same.
pub(super) fn process_id(server: Option<&Server>, number: u64) -> i32 {
    match server {
        Some(server) => server.cancel.key.process_id,
        None => i32::try_from(number & 0x7fff_ffff).unwrap_or_default(),
    }
}

/// A session that looks for names where its client asked for at start-up.
pub(super) fn session(
    (turns, owner): (&Option<Turns>, &Option<Owner>),
    profile: Arc<Profile>,
    regime: &Regime,
) -> Session {
    let pinned_path = &regime.settings.upstream.search_path;
    let begun = match (turns, owner) {
        (Some(turns), _) => turns.base.pairs(),
        (None, Some(owner)) => &owner.settings,
        (None, None) => &[],
    };
    let path = login::own_path(begun, pinned_path).filter(|_| profile.kind != Kind::PassThrough);
    let mut session = match turns {
        Some(turns) => Session::sharing(profile, turns.pool.names.clone()),
        None => Session::new(profile),
    };
    if let Some(path) = path {
        session.begin_in(path.into());
    }
    session
}

/// The connection that a session has waited for.
pub(super) fn poll_taken(
    turns: &mut Option<Turns>,
    context: &mut Context<'_>,
) -> Poll<Result<Box<Server>, FitError>> {
    match turns.as_mut().and_then(|turns| turns.taking.as_mut()) {
        Some(taking) => taking.as_mut().poll(context),
        None => Poll::Pending,
    }
}

impl Connection<'_> {
    /// Whether the server takes more slowly than the client gives.
    pub(super) fn is_server_behind(&self) -> bool {
        let waiting = self.server.as_ref().map_or(0, |server| server.side.output.len());
        waiting >= WAITING_BYTES_MAX
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.turns.as_ref().is_some_and(|turns| turns.taking.is_some())
    }

    /// The server's next message.
    pub(super) fn said(&mut self) -> Result<Option<Frame>, ConnectionError> {
        let Some(server) = &mut self.server else { return Ok(None) };
        let frame = self.frames.next(&mut server.side.input);
        let frame = frame.map_err(ConnectionError::ServerFrame)?;
        if let Some(frame) = frame.as_ref().filter(|frame| frame.tag() == b'S')
            && let Ok(Backend::ParameterStatus { name, value }) = Backend::parse(frame)
        {
            server.heard(name, value);
        }
        Ok(frame)
    }

    /// Whether the client's next message can be handled: where it needs the server, there is a
    /// connection. One is asked for as soon as the message is whole.
    pub(super) fn has_turn(&mut self) -> bool {
        let Some(turns) = &mut self.turns else { return true };
        if turns.taking.is_some() {
            return false;
        }
        let input = &self.client.input;
        let needs = input.first().is_some_and(|tag| self.session.needs_server(*tag));
        if !needs || !is_whole(input, self.regime.settings.limits.message_bytes_max) {
            return true;
        }
        if let Some(server) = turns.pool.take_fitting(self.number, &turns.wanted) {
            self.attach(server);
            return true;
        }
        let taking = turns.pool.clone().take(self.number, turns.wanted.clone());
        turns.taking = Some(Box::pin(taking));
        false
    }

    /// The waiting is over.
    pub(super) async fn taken(
        &mut self,
        taken: Result<Box<Server>, FitError>,
    ) -> Result<(), ConnectionError> {
        let Some(turns) = &mut self.turns else { return Ok(()) };
        turns.taking = None;
        let failure = match taken {
            Ok(server) => {
                self.attach(server);
                return Ok(());
            }
            Err(FitError::Take(TakeError::Busy)) => Failure::NoConnection {
                waited: self.regime.settings.limits.queue_time,
                max: turns.pool.max(),
            },
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "no connection to the database server for a session"
                );
                self.last_word(&Failure::UpstreamLost).await;
                return Ok(());
            }
        };
        let frame = self.frames.next(&mut self.client.input);
        if let Some(frame) = frame.map_err(ConnectionError::ClientFrame)? {
            let mut effects = Vec::<Effect>::new();
            self.session.without_server(&frame, &failure, &mut effects);
            self.effects.extend(effects);
        }
        self.go_on().await
    }

    fn attach(&mut self, mut server: Box<Server>) {
        self.reach.set(Some(server.cancel.clone()));
        let settings = server.set.written();
        self.session.attach(std::mem::take(&mut server.remembered), settings);
        self.server = Some(server);
    }

    /// Whether others wait for a connection.
    pub(super) fn is_waited_for(&self) -> bool {
        self.turns.as_ref().is_some_and(|turns| turns.pool.is_waited_for())
    }

    /// Lets others have the connection between two transactions, if they wait for one.
    pub(super) async fn give_way(&mut self) {
        if self.is_waited_for() {
            self.give_back().await;
        }
    }

    /// Gives the connection back where the session can do without it.
    pub(super) async fn give_back(&mut self) {
        let (Some(turns), Some(server)) = (&mut self.turns, &mut self.server) else { return };
        if self.ending || !self.session.is_free() || !server.side.is_empty() {
            return;
        }
        let traces = self.session.traces();
        if traces.kept && !self.client.is_told() {
            // The client has its answer first.
            return;
        }
        self.session.traces_seen();
        server.hidden |= traces.hidden;
        if traces.kept {
            let message_bytes_max = turns.pool.message_bytes_max();
            let mut left = server.left(&turns.base, message_bytes_max).await;
            for _ in 0..ASKED_AGAIN_MAX {
                if !matches!(left, Err(FitError::Refused { .. })) {
                    break;
                }
                // A cancel request of the client's has come late, or its time for a statement was
                // over before the question had begun.
                left = server.left(&turns.base, message_bytes_max).await;
            }
            match left {
                Ok(left) => (turns.wanted, turns.pins) = (left.wanted, left.pins),
                Err(_) => return self.last_word(&Failure::UpstreamLost).await,
            }
            // A setting that was reset is that of the start-up again, on this connection too.
            if server.set != turns.wanted
                && turns.pins.is_some()
                && server.fit(self.number, &turns.wanted, message_bytes_max).await.is_err()
            {
                return self.last_word(&Failure::UpstreamLost).await;
            }
        }
        if turns.pins.is_some() || self.session.keeps_connection() {
            return;
        }
        let Some(mut server) = self.server.take() else { return };
        self.reach.set(None);
        server.remembered = self.session.detach();
        server.side.rest();
        self.client.rest();
        turns.pool.give(server);
    }
}

/// Whether all of the first message is there. One that is too long or malformed is for whoever
/// reads it to say.
pub(super) fn is_whole(input: &[u8], message_bytes_max: usize) -> bool {
    let Some(length) = input.get(1..5).and_then(|length| length.try_into().ok()) else {
        return false;
    };
    let length = usize::try_from(i32::from_be_bytes(length)).unwrap_or_default();
    length <= message_bytes_max && input.len() > length
}
