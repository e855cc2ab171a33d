//! Drives one session: reads, writes, records.

use std::{
    cell::RefCell,
    collections::VecDeque,
    future::poll_fn,
    io,
    net::IpAddr,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::BytesMut;
use postern_ledger::{Awaited, Note, Receipt};
use postern_model::{Actor, Timestamp};
use postern_session::{
    ClientFacing as _, Effect, EndUser, Enforcement, Failure, Input, Judge, Judged, Kind, Profile,
    ReasonSet, Session, View,
};
use postern_wire::{Frame, FrameError, FrameReader, encode};
use thiserror::Error;
use tokio::{
    io::AsyncWriteExt,
    sync::{mpsc, watch},
};

use crate::{
    Role, SessionInfo, Settings,
    busy::OwnBusy,
    figures::Counters,
    freshness::{LOOK, Present},
    hold::{HoldBuffer, WrongReceipt},
    judges::{Judges, Ruled},
    listen::Seat,
    login::{self, LoggedIn},
    mail::Letterbox,
    pool::Server,
    regime::Regime,
    registry::{Command, Leave, Reach},
    shared::Shared,
    side::{Side, append},
    upstream::{self, BoxedStream},
};

mod events;
mod export;
mod half;
mod leaving;
mod proving;
mod recording;
mod silent;
mod turns;
mod who;

pub(crate) use self::export::Export;
use self::{events::Event, proving::Proving, silent::Silence, turns::Turns, who::Who};

/// Bytes for one side that may wait before the other side is read no further.
const WAITING_BYTES_MAX: usize = 1024 * 1024;
/// A client's message that is longer can take a tenth of a second to judge, and more.
const LONG_BYTES: usize = 16 * 1024;
/// What several messages lead to is passed on together, up to so much.
const GATHERED_BYTES_MAX: usize = 64 * 1024;
/// So little waits for what comes soon: one packet instead of two.
const HELD_BACK_BYTES_MAX: usize = 2 * 1024;
/// How long the last word to a client may take.
const LAST_WORD_MAX: Duration = Duration::from_millis(500);

/// Why a connection ended other than by the client's own wish.
#[derive(Debug, Error)]
pub(crate) enum ConnectionError {
    #[error("the connection to the client failed")]
    Client(#[source] io::Error),
    #[error("the connection to the database server failed")]
    Server(#[source] io::Error),
    #[error("the client broke the protocol")]
    ClientFrame(#[source] postern_wire::FrameError),
    #[error("the database server broke the protocol")]
    ServerFrame(#[source] postern_wire::FrameError),
    #[error("a receipt did not fit its hold")]
    Receipt(#[from] WrongReceipt),
    #[error("a session has something for the server and no connection to it")]
    Apart,
    #[error("a message can't be made")]
    Encode(#[from] encode::EncodeError),
}

/// What a connection is made of when its log-in is over.
struct Connection<'a> {
    shared: &'a Arc<Shared>,
    regime: &'a Arc<Regime>,
    number: u64,
    /// Whom the client's statements are for at the moment.
    who: Who,
    /// Whom they are for when they are not for them any more: the account that has logged in, and
    /// the end user of the session where another is named for a transaction.
    aside: Vec<Who>,
    /// It is for the transaction only.
    local: bool,
    session: Session,
    client: Side,
    /// Its connection to the server, while it has one.
    server: Option<Box<Server>>,
    /// How it comes to one, if it has none of its own.
    turns: Option<Turns>,
    frames: FrameReader,
    /// The rows that are being recorded.
    held: Option<HoldBuffer>,
    /// The same with their receipt, until the session has said how many may leave.
    receipt: Option<(HoldBuffer, Receipt)>,
    commands: mpsc::UnboundedReceiver<Command>,
    sender: mpsc::UnboundedSender<Command>,
    letterbox: Letterbox,
    /// Its core's.
    counters: Arc<Counters>,
    /// Whether it has something under way.
    busy: OwnBusy,
    /// What of the server a cancel request for this session reaches.
    reach: Reach,
    /// As many searches are asked for.
    asking: usize,
    /// Tells the ledger's writer that something will be recorded soon.
    awaited: Option<Awaited>,
    /// What is still to be done; waits while reasons are being read.
    effects: VecDeque<Effect>,
    /// What the latest inputs led to, before it is done.
    latest: Vec<Effect>,
    /// The session has had inputs since it was looked at what they led to.
    moved: bool,
    /// Reasons are being read: nothing else is handled until then.
    reading: bool,
    proving: Proving,
    /// The connection ends when it is idle: why.
    leaves: Option<Leave>,
    silence: Silence,
    /// It is for one statement whose result is approved, or is to be.
    export: Option<Box<Export>>,
    /// The client sends no more.
    is_half: bool,
    /// Nothing more is handled.
    ending: bool,
    /// The actor is out: who says so has what runs at the server ended.
    cut: bool,
}

/// Judges this connection's statements; renewed when the catalogue changes.
struct Judging {
    judges: Rc<RefCell<Judges>>,
    rules: Ruled,
    catalogue: watch::Receiver<Option<Present>>,
    judge: Rc<RefCell<Judge>>,
    /// Of the catalogue that the judge knows; 0 while there is none.
    generation: u64,
}

impl Judging {
    /// By the rules for an actor and the present catalogue; with the reasons that the rules' key
    /// sets stand for.
    fn new(
        regime: &Regime,
        judges: &Rc<RefCell<Judges>>,
        (actor, role_name, kind): (&Actor, &Arc<str>, Kind),
        enforced: (Enforcement, bool),
    ) -> (Self, Arc<[ReasonSet]>) {
        let (rules, key_sets) = judges.borrow_mut().rules(regime, actor, role_name, kind);
        let rules = judges.borrow_mut().ruled(regime, rules, enforced);
        let mut catalogue = regime.catalogue.clone();
        let present = catalogue.borrow_and_update().clone();
        let judge = judges.borrow_mut().judge(present.as_ref(), &rules);
        let generation = present.map_or(0, |present| present.generation);
        (Self { judges: judges.clone(), rules, catalogue, judge, generation }, key_sets)
    }

    fn renew(&mut self) {
        if self.catalogue.has_changed().unwrap_or(false) {
            let present = self.catalogue.borrow_and_update().clone();
            self.judge = self.judges.borrow_mut().judge(present.as_ref(), &self.rules);
            self.generation = present.map_or(0, |present| present.generation);
        }
    }
}

/// Serves a client from the greeting to the end of its connection.
pub(crate) async fn serve(
    seat: &Seat,
    logged_in: LoggedIn,
    client: IpAddr,
) -> Result<(), ConnectionError> {
    let LoggedIn { core, actor, role_name, role, behind, export, mut greeting, .. } = logged_in;
    let (shared, regime) = (&seat.shared, &core.regime);
    let (sender, commands) = mpsc::unbounded_channel();
    let (number, secret) = (shared.registry.connection(), login::cancel_secret());
    let info = SessionInfo {
        connection: number,
        actor: actor.clone(),
        role: role_name.clone(),
        client,
        since: shared.clock.now(),
        end_user: None,
    };
    let reach = Reach::default();
    let (server, turns, owner) = turns::begin(behind, &core.pool, &reach);
    let key = (turns::process_id(server.as_deref(), number), secret);
    let registered = shared.registry.register(info, regime, (key, reach.clone()), sender.clone());
    let Some(registered) = registered else { return outdated(logged_in.client).await };
    // Whoever was put out between the check at log-in and the registration is not let in.
    if shared.suspended().contains_key(&actor) || !shared.may_work(&actor, &role_name) {
        return Ok(());
    }
    login::ready(&mut greeting, key.0, secret)?;
    begins(seat, &actor, number, client);
    let known = (actor, role_name, Export::role(export.as_deref(), role));
    let who = Who::account((shared, regime), &core.judges, known).await;
    let mut connection = Box::new(Connection {
        session: turns::session((&turns, &owner), who.profile.clone(), regime),
        shared,
        regime,
        number,
        who,
        aside: Vec::new(),
        local: false,
        client: Side::new(logged_in.client, logged_in.client_buffer),
        server,
        turns,
        frames: FrameReader::new(regime.settings.limits.message_bytes_max),
        held: None,
        receipt: None,
        commands,
        letterbox: seat.mail.open(number, sender.clone()),
        counters: seat.counters.clone(),
        busy: seat.busy.of_one(),
        sender,
        reach,
        asking: 0,
        awaited: None,
        effects: VecDeque::new(),
        latest: Vec::new(),
        moved: true,
        reading: false,
        proving: Proving::new(&regime.settings),
        leaves: None,
        silence: Silence::default(),
        export,
        is_half: false,
        ending: false,
        cut: false,
    });
    connection.client.output = greeting;
    let result = connection.run().await;
    // As long as the session lasts it takes no place.
    Box::pin(leaving::leave(connection, registered, (&core.spares, owner), &result)).await;
    result
}

/// Says that a session begins.
fn begins(seat: &Seat, actor: &Actor, connection: u64, client: IpAddr) {
    seat.counters.log_ins.add(1);
    let (actor, client) = (actor.clone(), client.to_string().into());
    seat.shared.note(Note::LoggedIn { actor, connection, client });
}

/// What was in force at the log-in is so no more. The client is told as one that has come in, and
/// that was idle.
async fn outdated(mut client: BoxedStream) -> Result<(), ConnectionError> {
    let mut out = BytesMut::new();
    Failure::Outdated.encode(&mut out);
    let last = async {
        client.write_all(&out).await?;
        client.shutdown().await
    };
    // It is over either way.
    let _ = tokio::time::timeout(LAST_WORD_MAX, last).await;
    Ok(())
}

fn profile(
    settings: &Settings,
    (actor, role, known): (Actor, Arc<str>, &Role),
    (key_sets, end_user): (Arc<[ReasonSet]>, EndUser),
) -> Arc<Profile> {
    let limits = settings.limits.hold;
    let proves = !settings.tables.is_empty();
    let (kind, enforcement) = (known.kind, known.enforcement);
    Arc::new(Profile {
        actor,
        role,
        kind,
        enforcement,
        key_sets,
        proves,
        moments: proves,
        limits,
        end_user,
    })
}

impl Connection<'_> {
    async fn run(&mut self) -> Result<(), ConnectionError> {
        loop {
            self.handle_buffered().await?;
            if self.ending || self.is_half && self.is_through() {
                return Ok(());
            }
            if self.server.is_none() {
                self.client.rest();
            }
            self.client.shrink();
            let wants = self.wants();
            let (looks_at, is_half) = (self.looks_at(), self.is_half);
            let event = tokio::select! {
                biased;
                event = poll_fn(|context| self.poll_event(&wants, context)) => event,
                () = silent::look(looks_at) => Event::Silent,
                () = half::look(is_half) => Event::Half,
            };
            self.happened(event).await?;
        }
    }

    /// Whether what waits for the client goes with what comes behind it soon.
    fn holds_back(&self) -> bool {
        self.session.tells_more_soon() && self.client.output.len() < HELD_BACK_BYTES_MAX
    }

    /// Handles what is there.
    async fn handle_buffered(&mut self) -> Result<(), ConnectionError> {
        let handled = self.handle_messages().await;
        // What came before a message that can't be read goes out.
        if self.moved || !self.effects.is_empty() {
            self.go_on().await?;
        }
        handled?;
        if self.ending {
            return Ok(());
        }
        // The server has said no more: what is wanted does not wait for it.
        self.prove_wanted();
        self.give_back().await;
        // The client has its answers first.
        if let Some(why) = self.leaves
            && self.is_to_leave()
            && self.client.is_told()
        {
            self.last_word(&why.into()).await;
        }
        Ok(())
    }

    /// Handles whole messages as long as the session wants them.
    async fn handle_messages(&mut self) -> Result<(), ConnectionError> {
        // Read where something has come, and again after what takes long.
        let mut now = None;
        while !self.reading {
            let mut input = self.proving.proven();
            if input.is_none()
                && self.session.wants_server()
                && self.client.output.len() < WAITING_BYTES_MAX
            {
                input = self.said()?.map(Input::Server);
            }
            if input.is_none()
                && !self.is_to_leave()
                && self.session.takes_client()
                && !self.is_server_behind()
                && self.has_turn()
                && !self.looks_first()
            {
                match self.frames.next(&mut self.client.input) {
                    Ok(Some(frame)) => {
                        // Hardly any connection is for that, and none is to be larger for it.
                        if self.export.is_some() && !Box::pin(self.approves(&frame)).await {
                            return Ok(());
                        }
                        input = Some(Input::Client(frame));
                    }
                    Ok(None) => {}
                    Err(error) => {
                        self.go_on().await?;
                        self.last_word(&Failure::Protocol("malformed message")).await;
                        return Err(ConnectionError::ClientFrame(error));
                    }
                }
            }
            let Some(input) = input else { break };
            let is_client = |is: fn(&Frame) -> bool| matches!(&input, Input::Client(f) if is(f));
            if is_client(|_| true) {
                self.silence.is_broken();
            }
            let long = is_client(|frame| frame.raw().len() > LONG_BYTES);
            let judged = is_client(|frame| matches!(frame.tag(), b'Q' | b'P' | b'B'));
            let runs = is_client(|frame| matches!(frame.tag(), b'Q' | b'E'));
            self.counters.statements.add(usize::from(runs));
            let moment = *now.get_or_insert_with(|| self.shared.clock.now());
            self.reads_again(moment).await;
            self.take(input, moment);
            if long || !self.gathers() {
                self.go_on().await?;
            }
            if long {
                // It may have been analysed for long; the core's other connections come first.
                tokio::task::yield_now().await;
            }
            if judged {
                now = None;
            }
            if self.ending {
                return Ok(());
            }
            self.give_way().await;
        }
        Ok(())
    }

    /// Whether what was handled leads to nothing but bytes, so that what comes next can be handled
    /// before they are passed on.
    fn gathers(&self) -> bool {
        let mut all = 0;
        for effect in &self.latest {
            let (Effect::ToServer(bytes) | Effect::ToClient(bytes)) = effect else { return false };
            all += bytes.len();
        }
        all < GATHERED_BYTES_MAX && self.effects.is_empty() && !self.is_waited_for()
    }

    /// Whether the connection is to end and nothing is under way that would be lost by it.
    fn is_to_leave(&self) -> bool {
        self.leaves.is_some() && !self.reading && self.session.is_idle() && self.session.is_free()
    }

    async fn handle(&mut self, input: Input) -> Result<(), ConnectionError> {
        let now = self.shared.clock.now();
        self.reads_again(now).await;
        self.take(input, now);
        self.go_on().await
    }

    /// Has the reasons of an actor read who has rested, before anything is decided by them.
    async fn reads_again(&mut self, now: Timestamp) {
        if self.who.reasons.rests(now) && self.who.role.kind != Kind::PassThrough {
            // Where the server can't be read it is waited for a moment, and nobody is entitled.
            Box::pin(self.who.reasons.refresh()).await;
            self.who.reasons.is_used(self.shared.clock.now());
        }
    }

    /// Lets the session have an input; what it leads to is still to be done.
    fn take(&mut self, input: Input, now: Timestamp) {
        self.looking(now, |session, view, latest| session.handle(input, view, latest));
        self.moved = true;
    }

    /// What the session would judge a text to be.
    fn foresee(&mut self, sql: &str) -> Arc<Judged> {
        let now = self.shared.clock.now();
        self.looking(now, |session, view, _| session.foresee(sql, view))
    }

    /// Has the session do something with what it looks at, at that moment.
    fn looking<T>(
        &mut self,
        now: Timestamp,
        does: impl FnOnce(&mut Session, &mut View<'_>, &mut Vec<Effect>) -> T,
    ) -> T {
        self.who.judging.renew();
        let entitled = self.who.reasons.entitled();
        let judge = self.who.judging.judge.clone();
        let mut judge = judge.borrow_mut();
        let generation = self.who.judging.generation;
        let asks = self.who.wary.asks(now);
        let mut view = View { judge: &mut judge, generation, entitled: &entitled, now, asks };
        does(&mut self.session, &mut view, &mut self.latest)
    }

    /// Does what is to be done, up to a reading of the reasons.
    async fn go_on(&mut self) -> Result<(), ConnectionError> {
        self.moved = false;
        match (self.session.will_record(), &self.awaited) {
            (true, None) => self.awaited = Some(self.shared.ledger.coming().awaited()),
            (false, Some(_)) => self.awaited = None,
            (true, Some(_)) | (false, None) => {}
        }
        if self.effects.is_empty() {
            let mut latest = std::mem::take(&mut self.latest);
            for effect in latest.drain(..) {
                if self.reading {
                    self.effects.push_back(effect);
                } else {
                    self.apply(effect).await?;
                }
            }
            self.latest = latest;
        } else {
            self.effects.extend(self.latest.drain(..));
        }
        while !self.reading
            && let Some(effect) = self.effects.pop_front()
        {
            self.apply(effect).await?;
        }
        let rests = self.effects.is_empty() && self.session.is_at_rest();
        if rests {
            self.who.under_way.end();
        }
        self.busy.set(!rests);
        Ok(())
    }

    async fn apply(&mut self, effect: Effect) -> Result<(), ConnectionError> {
        match effect {
            Effect::ToServer(bytes) => {
                let server = self.server.as_mut().ok_or(ConnectionError::Apart)?;
                append(&mut server.side.output, bytes);
            }
            Effect::ToClient(bytes) => self.say(bytes).await?,
            Effect::Hold(hold) => {
                if let Some(hold) = self.exported(hold) {
                    self.record(hold);
                }
            }
            Effect::Tell(hold) => self.tell(hold),
            Effect::Ask { question, searches, writes } => self.ask(question, searches, writes),
            Effect::Prove { proof } => self.prove(proof),
            Effect::Moment { proof, moment } => self.moment(proof, moment.as_deref()),
            Effect::Release { hold, rows } => {
                if self.drops_tried()? {
                    return Ok(());
                }
                let waits = self.receipt.take();
                let (buffer, receipt) = waits.ok_or(WrongReceipt::Named { named: hold })?;
                self.reveal(buffer.release(receipt, (hold, rows))?)?;
            }
            Effect::Refused(refused) => {
                self.counters.refused.add(1);
                self.export_refused();
                let note = || Note::Refused {
                    actor: self.who.actor.clone(),
                    connection: self.number,
                    fingerprint: refused.fingerprint,
                    statement: refused.statement,
                    rule: refused.refusal.rule.into(),
                };
                self.shared.refused(&self.who.actor, self.number, note);
            }
            Effect::Wrote(shown) => {
                let Some(leaf) = shown.leaves.first() else { return Ok(()) };
                self.shared.note(Note::Opened {
                    actor: self.who.actor.clone(),
                    connection: self.number,
                    relation: leaf.relation.clone(),
                    subject: None,
                    fingerprint: shown.fingerprint,
                    statement: shown.statement.clone(),
                });
            }
            Effect::ReadReasons => {
                self.reading = true;
                let (refresh, sender) = (self.who.reasons.refresh(), self.sender.clone());
                tokio::task::spawn_local(async move {
                    refresh.await;
                    let _ = sender.send(Command::ReasonsRead);
                });
            }
            Effect::Name(naming) => self.name_end_user(naming),
            Effect::Defined => self.proving.must_look(),
            Effect::CancelUpstream => self.cancel_upstream(),
            Effect::Close => {
                self.flush_client().await;
                self.ending = true;
            }
        }
        Ok(())
    }

    async fn command(&mut self, command: Command) -> Result<(), ConnectionError> {
        match command {
            Command::Recorded { hold, result } => self.recorded(hold, *result).await,
            Command::Tried { hold, rows, fits } => self.handle(Self::tried(hold, rows, fits)).await,
            Command::Asked { question, result } => self.asked(question, *result).await,
            Command::Proven { proof: LOOK, .. } => {
                self.proving.looked();
                Ok(())
            }
            Command::Proven { proof, generation } => {
                self.handle(Input::Proven { proof, generation }).await
            }
            Command::Cancelled => self.handle(Input::Cancelled).await,
            Command::Named { failure } => {
                let named = self.named(failure.map(|failure| *failure));
                self.handle(named).await
            }
            Command::ReasonsRead => {
                self.reading = false;
                self.go_on().await
            }
            Command::Suspend => {
                self.cut = true;
                self.stop(&Failure::Suspended).await;
                Ok(())
            }
            Command::Leave(why) => {
                self.leaves = self.leaves.or(Some(why));
                Ok(())
            }
            Command::Late => {
                self.stop(&Failure::Outdated).await;
                Ok(())
            }
        }
    }

    async fn failed(&mut self, error: &ConnectionError) {
        if let ConnectionError::ServerFrame(FrameError::TooLong { .. }) = error {
            self.session.found_too_long();
        }
        if let ConnectionError::Server(_) | ConnectionError::ServerFrame(_) = error {
            self.last_word(&Failure::UpstreamLost).await;
        }
    }

    /// Out at once: what has not been written yet is not written any more.
    async fn stop(&mut self, why: &Failure) {
        self.held = None;
        self.receipt = None;
        self.effects.clear();
        if self.client.output.is_empty() || self.holds_back() {
            self.last_word(why).await;
        }
        self.ending = true;
    }

    /// Ends the connection; the client is told why as far as it listens.
    async fn last_word(&mut self, failure: &Failure) {
        let mut effects = Vec::new();
        self.session.close(failure, &mut effects);
        for effect in effects {
            if let Effect::ToClient(bytes) = effect {
                append(&mut self.client.output, bytes);
            }
        }
        self.flush_client().await;
        self.ending = true;
    }

    /// Writes what waits for the client, as far as it takes it within a moment.
    async fn flush_client(&mut self) {
        // The connection ends either way.
        let _ = tokio::time::timeout(LAST_WORD_MAX, self.client.send_all()).await;
    }

    fn cancel_upstream(&self) {
        let sender = self.sender.clone();
        let Some(server) = &self.server else {
            // There is nothing that could be cancelled.
            let _ = sender.send(Command::Cancelled);
            return;
        };
        let (regime, cancel) = (self.regime.clone(), server.cancel.clone());
        cancel.told.store(true, Ordering::Relaxed);
        tokio::task::spawn_local(async move {
            if let Err(error) = upstream::cancel(&regime.settings.upstream, &cancel.key).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a statement could not be cancelled"
                );
            }
            let _ = sender.send(Command::Cancelled);
        });
    }
}
