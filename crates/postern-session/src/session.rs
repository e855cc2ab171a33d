//! The state of one connection, and the one function that moves it.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use bytes::BytesMut;
use postern_model::Timestamp;
use postern_wire::{Backend, Frame, Parse, TransactionStatus, encode};

use crate::{
    ClientFacing, Effect, Entitled, Failure, Hold, Input, Kind, Profile, View,
    asked::Given,
    astray::Astray,
    charge::Charging,
    copy::CopyIn,
    end_user::{Pending, Scope},
    expect::Expect,
    hold::{Held, Relied},
    input::for_server,
    judge::PlannedGuarded,
    moment::Moments,
    outbox::Outbox,
    own::Own,
    passing::Passing,
    portal::{Portal, Prepared, UpstreamName},
    proof::Judgement,
    sharing::{Names, Statements, Traces},
    steps::Step,
    ticket::Stated,
    weight::{KeptPlan, Scale},
};

/// Messages that may be on their way to the server before the client has to wait.
const EXPECTED_MAX: usize = 16_384;

/// One connection, from the end of the log-in on.
#[derive(Debug)]
pub struct Session {
    pub(crate) profile: Arc<Profile>,
    pub(crate) statements: ByName<Prepared>,
    pub(crate) portals: ByName<Portal>,
    /// What both take, and what is under way.
    pub(crate) scale: Scale,
    pub(crate) expected: VecDeque<Expect>,
    pub(crate) outbox: Outbox,
    /// Rows of the running statement that are not yet a hold.
    pub(crate) filling: Option<Held>,
    pub(crate) holds: u64,
    /// Numbers the names that are given to the server.
    pub(crate) names: Arc<Names>,
    /// A message was refused or has failed: what follows is dropped up to the next Sync.
    pub(crate) skipping: bool,
    /// A statement was cut; nothing may reach the server before the cancel request has.
    pub(crate) cancelling: bool,
    /// What of the client waits until the statements before it are proven.
    pub(crate) steps: VecDeque<Step>,
    /// Statements that write, sent and not known to be proven.
    pub(crate) writes: Vec<Arc<Judgement>>,
    /// The server has been told to answer them.
    pub(crate) flushed: bool,
    /// What it has defined and nobody else sees yet.
    pub(crate) own: Own,
    /// What was bound, and so planned, and was not run since.
    pub(crate) planned: Vec<Portal>,
    /// What the server is asked for behind statements that are to be proven.
    pub(crate) moments: Moments,
    /// Notices that came before the gate of their statement.
    pub(crate) early: BytesMut,
    /// The transaction status of the last ReadyForQuery.
    pub(crate) status: TransactionStatus,
    /// A write that reasons may depend on ran in this transaction.
    pub(crate) wrote: bool,
    /// What was sent as the client wrote it, and what it may have done.
    pub(crate) astray: Astray,
    /// A message that waits until what it searches for by storing it is charged.
    pub(crate) charging: Option<Charging>,
    /// As the view says.
    pub(crate) asks: bool,
    /// What is stated for the statements that are being handled.
    pub(crate) stated: Option<Stated>,
    /// Counts the questions whether there is room for searches.
    pub(crate) questions: u64,
    /// What was searched for by what was cut.
    pub(crate) untold: Vec<Hold>,
    /// Whom the actor may see at the moment of the input that is being handled.
    pub(crate) present: (Arc<Entitled>, Timestamp),
    /// What stands for it at rest: whom an actor may see is read anew all the time, and old
    /// readings are large.
    pub(crate) nobody: Arc<Entitled>,
    pub(crate) copy_in: CopyIn,
    /// In a session that is passed through: the client has said goodbye, or has been told by the
    /// server that it is over.
    pub(crate) over: bool,
    pub(crate) closed: bool,
    /// It has a connection to the server only while it needs one.
    pub(crate) shares: bool,
    /// It has one now. The next fields are of sessions that share.
    pub(crate) attached: bool,
    /// The statements of others and its own that the connection has.
    pub(crate) server: Statements,
    /// How much errors have left on it.
    pub(crate) left: usize,
    /// It has the client's unnamed statement.
    pub(crate) unnamed: bool,
    /// What tells its settings from those of others.
    pub(crate) settings: Arc<str>,
    /// Some statements may have been prepared in SQL.
    pub(crate) prepares: bool,
    /// Something of the transaction was undone, or all of it.
    pub(crate) undone: bool,
    /// A setting of several parts may have been given a value, which the server doesn't list.
    pub(crate) customs: bool,
    pub(crate) traces: Traces,
    /// Something was sent to the server since it was last ready with nothing left to do.
    pub(crate) sent: bool,
    pub(crate) passing: Passing,
    /// Whom the next statements are for is being found out.
    pub(crate) pending: Option<Pending>,
    pub(crate) scope: Scope,
}

impl Session {
    /// A session whose client has just been told that it is ready.
    pub fn new(profile: Arc<Profile>) -> Self {
        let nobody = Arc::new(Entitled::none());
        Self {
            scale: Scale::new(profile.limits.names_bytes_max),
            profile,
            statements: ByName::default(),
            portals: ByName::default(),
            expected: VecDeque::new(),
            outbox: Outbox::default(),
            filling: None,
            holds: 0,
            names: Arc::default(),
            skipping: false,
            cancelling: false,
            steps: VecDeque::new(),
            writes: Vec::new(),
            flushed: false,
            own: Own::default(),
            planned: Vec::new(),
            moments: Moments::new(),
            early: BytesMut::new(),
            status: TransactionStatus::Idle,
            wrote: false,
            astray: Astray::default(),
            charging: None,
            asks: false,
            stated: None,
            questions: 0,
            untold: Vec::new(),
            present: (nobody.clone(), Timestamp(0)),
            nobody,
            copy_in: CopyIn::No,
            over: false,
            closed: false,
            shares: false,
            attached: false,
            server: Statements::default(),
            left: 0,
            unnamed: false,
            settings: Arc::default(),
            prepares: false,
            undone: false,
            customs: false,
            traces: Traces::default(),
            sent: false,
            passing: Passing::default(),
            pending: None,
            scope: Scope::default(),
        }
    }

    /// It looks for names without a schema in these from its beginning on, and whenever it comes
    /// back to that.
    pub fn begin_in(&mut self, search_path: Arc<[String]>) {
        self.own.begin(search_path);
    }

    /// Whether messages of the client may be read now.
    pub fn wants_client(&self) -> bool {
        !self.cancelling
            && !self.closed
            && self.charging.is_none()
            && self.pending.is_none()
            && self.expected.len() < EXPECTED_MAX
            && !self.is_heavy()
    }

    /// Whether what is under way should be answered before more is taken: it takes too many bytes.
    /// While the server takes data it answers nothing.
    fn is_heavy(&self) -> bool {
        self.copy_in == CopyIn::No && !self.expected.is_empty() && self.scale.is_heavy()
    }

    /// A statement with the entitlements and parameters of this moment.
    pub(crate) fn portal(
        &self,
        upstream: UpstreamName,
        plan: KeptPlan,
        given: Given<'_>,
        view: &View<'_>,
    ) -> Result<Portal, Failure> {
        if let Some(guarded) = plan.guarded() {
            self.speaks(guarded, view.now)?;
            self.is_stated_rightly(guarded)?;
        }
        let searched = self.scale.searched(&plan, given)?;
        let claimed = self.claimed();
        let path = self.own.path();
        Ok(Portal { claimed, ..Portal::new(upstream, plan, searched, (path, view)) })
    }

    /// The best reason for somebody now. No clear value hangs on it.
    pub(crate) fn own(&self, subject: &postern_model::Subject) -> Option<postern_model::Reason> {
        let (entitled, now) = &self.present;
        entitled.best(subject.as_str(), *now).cloned()
    }

    /// Whether a message of the client may be handled now. Up to a Sync or Query message whatever
    /// follows an error is skipped by the server; what comes after it waits for the answer, so
    /// that it is known which statements and portals there are. So does what comes after a message
    /// that waits itself.
    pub fn takes_client(&self) -> bool {
        self.wants_client()
            && match self.copy_in {
                CopyIn::No => {
                    self.steps.is_empty() && !self.expected.back().is_some_and(Expect::is_ready)
                }
                CopyIn::Awaited | CopyIn::Unproven => false,
                CopyIn::Open => true,
            }
    }

    /// Whether a message of the server may be handled now; what waits is bounded.
    pub fn wants_server(&self) -> bool {
        !self.closed && self.outbox.queued_bytes() <= self.profile.limits.bytes_max
    }

    /// Whether more for the client will come without anything being read: it waits for a receipt or
    /// a proof.
    pub fn tells_more_soon(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// What waits here for a proof, for the ledger or for more rows, in bytes.
    pub fn waiting_bytes(&self) -> usize {
        let filling = self.filling.as_ref().map_or(0, |held| held.hold.bytes.len());
        self.outbox.queued_bytes() + self.early.len() + filling
    }

    /// Whether nothing is under way, so that the session can be ended without loss.
    pub fn is_idle(&self) -> bool {
        self.passing.is_answered()
            && self.expected.is_empty()
            && self.outbox.is_empty()
            && self.steps.is_empty()
            && self.pending.is_none()
            && self.status == TransactionStatus::Idle
    }

    /// Whether the server has answered all that the client has sent with a ReadyForQuery: what was
    /// sent since may have begun a transaction that no status tells of.
    pub fn is_answered(&self) -> bool {
        let is_looked_at = self.profile.kind != Kind::PassThrough;
        is_looked_at && self.is_idle() && self.moments.is_at_rest() && !self.skipping
    }

    /// Whether all that was searched for is told and recorded.
    pub fn is_at_rest(&self) -> bool {
        self.steps.is_empty() && self.is_at_rest_before_steps()
    }

    /// The same of what came before the client's messages that wait here.
    pub(crate) fn is_at_rest_before_steps(&self) -> bool {
        self.expected.is_empty()
            && self.outbox.is_empty()
            && self.filling.is_none()
            // What was planned behind a Flush is told at the next Sync.
            && self.planned.is_empty()
            && self.charging.is_none()
    }

    /// Whether a statement is under way whose rows will be held, and none is out for recording.
    pub fn will_record(&self) -> bool {
        // A Parse, Bind, Describe and Execute; a long pipeline is not looked through each time.
        const LOOKED: usize = 4;
        let holds = |expect: &Expect| {
            expect.runs().any(|run| run.portal.plan.guarded().is_some_and(PlannedGuarded::is_held))
        };
        self.outbox.waiting().is_none() && self.expected.iter().take(LOOKED).any(holds)
    }

    /// Moves the session by one input.
    pub fn handle(&mut self, input: Input, view: &mut View<'_>, effects: &mut Vec<Effect>) {
        if self.closed {
            return;
        }
        self.asks = view.asks;
        if !Arc::ptr_eq(&self.present.0, view.entitled) {
            self.present.0 = view.entitled.clone();
        }
        self.present.1 = view.now;
        let before = for_server(effects);
        match input {
            Input::Client(frame) if self.profile.kind == Kind::PassThrough => {
                self.over |= frame.tag() == b'X';
                self.passing.client(frame.tag());
                to_server(frame.raw(), effects);
            }
            Input::Server(frame) if self.profile.kind == Kind::PassThrough => {
                self.over |= is_last(&frame);
                if let Some(status) = self.passing.server(&frame) {
                    self.status = status;
                    self.sent &= !self.passing.is_answered();
                }
                self.outbox.bytes(frame.raw(), effects);
            }
            Input::Client(frame) => {
                self.flushed = false;
                self.judged_by_its_own(view, |own, view| own.client(&frame, view, effects));
            }
            Input::Server(frame) => self.server(&frame, effects),
            Input::Recorded { hold, allowed, stopped } => {
                let charged = stopped.as_ref().map_or(Ok(()), |stopped| Err(stopped.failure()));
                let charged = self
                    .judged_by_its_own(view, |own, view| own.charged(hold, charged, view, effects));
                if !charged {
                    self.outbox.recorded(hold, allowed, stopped);
                }
            }
            Input::Proven { proof, generation } => self.outbox.proven(proof, generation, effects),
            Input::NotRecorded { hold, why } => {
                let failure = why.failure();
                if self.outbox.waiting().is_none_or(|waiting| waiting.hold != hold) {
                    // It is not known any more what is recorded.
                    return self.close(&failure, effects);
                }
                if !self.charged(hold, Err(failure.clone()), view, effects) {
                    self.cut(&failure, effects);
                }
            }
            Input::Asked { question, answer } => {
                self.judged_by_its_own(view, |own, view| {
                    own.asked(question, answer, view, effects)
                });
            }
            Input::Named { profile, failure } => self.named((profile, failure), view, effects),
            Input::Cancelled => self.cancelling = false,
        }
        self.let_out(view, effects);
        self.open_copy();
        self.step(view, effects);
        self.ask_end_user(effects);
        if self.is_heavy() {
            self.flush_server(effects);
        }
        self.sent |= for_server(effects) != before;
        self.tell_untold(effects);
        if self.is_at_rest() {
            self.present.0 = self.nobody.clone();
        }
    }

    fn tell_untold(&mut self, effects: &mut Vec<Effect>) {
        // It is asked for each message, and hardly ever is there anything.
        if !self.untold.is_empty() {
            effects.extend(self.untold.drain(..).map(Effect::Tell));
        }
    }

    /// Handles what may judge a statement, by a judge who knows what the session has defined.
    pub(crate) fn judged_by_its_own<T>(
        &mut self,
        view: &mut View<'_>,
        handle: impl FnOnce(&mut Self, &mut View<'_>) -> T,
    ) -> T {
        let Some(mut judge) = self.own.take_judge(view.judge) else { return handle(self, view) };
        let &mut View { generation, entitled, now, asks, .. } = view;
        let mut own = View { judge: &mut judge, generation, entitled, now, asks };
        let handled = handle(self, &mut own);
        self.own.keep_judge(view.judge, judge);
        handled
    }

    /// Has the client told this, a whole NoticeResponse, before it is told that it can go on.
    pub fn give_notice(&mut self, notice: &[u8]) {
        self.outbox.tell(notice);
    }

    /// Ends the session with a last word to the client.
    pub fn close(&mut self, failure: &Failure, effects: &mut Vec<Effect>) {
        if self.closed {
            return;
        }
        self.closed = true;
        // A client that knows that it is over takes another error for one of its statements.
        if !self.over {
            let mut bytes = BytesMut::new();
            failure.encode(&mut bytes);
            effects.push(Effect::ToClient(bytes));
        }
        effects.push(Effect::Close);
    }

    /// Whether a session that is passed through is over, as both sides know, so that nothing is to
    /// be ended.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// The hold that is out is recorded, and no gate is before it. The reasons are asked once more:
    /// one that ended while the rows waited has ended.
    pub(crate) fn leave(&mut self, view: &View<'_>, effects: &mut Vec<Effect>) {
        let Some(waiting) = self.outbox.waiting() else { return };
        let Some((allowed, stopped)) = waiting.recorded.clone() else { return };
        let (hold, rows) = (waiting.hold, waiting.rows);
        let mut leaving = allowed.min(rows);
        let ended = waiting.relied.iter().find(|relied| !self.still_holds(relied, view));
        let ended = ended.map(|relied| relied.row).filter(|row| *row < leaving);
        if let Some(row) = ended {
            leaving = row;
        }
        let expired = self.has_expired(view.now);
        if expired.is_some() {
            leaving = 0;
        }
        effects.push(Effect::Release { hold, rows: leaving });
        if let Some(failure) = expired {
            self.cut(&failure, effects);
        } else if ended.is_some() {
            self.cut(&Failure::ReasonEnded, effects);
        } else if let Some(stopped) = stopped {
            self.cut(&stopped.failure(), effects);
        } else if leaving < rows {
            self.cut(&Failure::NotRecorded, effects);
        } else {
            self.outbox.released();
        }
    }

    fn still_holds(&self, relied: &Relied, view: &View<'_>) -> bool {
        let set = self.profile.key_sets.get(relied.set);
        set.is_some_and(|set| {
            view.entitled.reason(relied.subject.as_str(), set, view.now).is_some()
        })
    }

    /// Ends the running statement: the client gets an error after what has already left. Where the
    /// server still waits for the client's Sync, its transaction is made to fail: nothing that is
    /// sent behind the statement may be committed, nor what is not proven.
    pub(crate) fn cut(&mut self, failure: &Failure, effects: &mut Vec<Effect>) {
        let mut error = BytesMut::new();
        failure.encode(&mut error);
        if !self.outbox.is_behind_another() {
            // Else what fills up is of a statement behind this one.
            self.drop_filling();
        }
        self.untold.extend(self.outbox.searched());
        self.uncharged(effects);
        self.unnamed(effects);
        if self.outbox.cut(&error, effects) {
            self.end_running(effects);
        }
    }

    /// The same of the statement that the server is running, whatever of others before it is still
    /// to leave: the client gets the error behind that.
    pub(crate) fn cut_running(&mut self, failure: &Failure, effects: &mut Vec<Effect>) {
        if !self.outbox.is_behind_another() {
            return self.cut(failure, effects);
        }
        let mut error = BytesMut::new();
        failure.encode(&mut error);
        self.drop_filling();
        self.uncharged(effects);
        self.unnamed(effects);
        self.untold.extend(self.outbox.cut_last(&error));
        self.end_running(effects);
    }

    /// Of rows that fill up and don't leave, what was searched for and done is told.
    fn drop_filling(&mut self) {
        let filling = self.filling.take();
        self.untold.extend(filling.and_then(|mut held| held.searched()));
    }

    /// Has the server fail what it runs, of which the client has its error.
    fn end_running(&mut self, effects: &mut Vec<Effect>) {
        let runs = |expect: &Expect| matches!(expect, Expect::Execute(_) | Expect::Simple(_));
        let is_running = self.expected.iter().any(runs);
        let mut failed = self.fail_copy(effects);
        if !self.skipping && !self.expected.iter().any(Expect::is_ready) {
            // The client has its error already; this one is dropped with the rest up to Sync.
            failed = failed.and_then(|()| self.raise(BytesMut::new(), effects));
        }
        if failed.is_err() {
            return self.close(&Failure::Upstream, effects);
        }
        if is_running {
            self.cancelling = true;
            effects.push(Effect::CancelUpstream);
        }
    }

    /// Rows that fill up become a hold; nothing happens where there are none.
    pub(crate) fn flush(&mut self, effects: &mut Vec<Effect>) {
        let unsure = self.is_unsure();
        if let Some(observed) = self.filling.as_mut().and_then(|held| held.hold.observed.as_mut()) {
            // By its name the server may have run something else than what was judged.
            observed.unknown |= unsure;
        }
        match self.filling.take() {
            Some(mut held) if held.hold.done && self.outbox.is_discarding() => {
                self.untold.extend(held.searched());
            }
            Some(held) => self.outbox.rows(held, effects),
            None => {}
        }
    }

    /// Says no in the place where the answer would have come, and drops what depends on it.
    pub(crate) fn refuse_in_order(
        &mut self,
        failure: &dyn ClientFacing,
        effects: &mut Vec<Effect>,
    ) -> Result<(), encode::EncodeError> {
        let mut error = BytesMut::new();
        failure.encode(&mut error);
        self.raise(error, effects)
    }

    /// Has the server raise an error, for which the client gets this one.
    pub(crate) fn raise(
        &mut self,
        error: BytesMut,
        effects: &mut Vec<Effect>,
    ) -> Result<(), encode::EncodeError> {
        let mut bytes = BytesMut::new();
        let parse = Parse { name: REFUSED_NAME, sql: REFUSED_SQL, types: Vec::new() };
        encode::parse(&mut bytes, &parse)?;
        to_server(&bytes, effects);
        self.expected.push_back(Expect::Refusal { error, query: false });
        self.skipping = true;
        Ok(())
    }
}

/// The server is made to raise a syntax error where a statement is refused, so that the
/// transaction is in the state that the client expects after an error.
pub(crate) const REFUSED_SQL: &str = "postern refused this statement";
const REFUSED_NAME: &str = "postern_refused";

/// Whether this is an error with which the server ends the connection.
fn is_last(frame: &Frame) -> bool {
    frame.tag() == b'E'
        && matches!(Backend::parse(frame), Ok(Backend::ErrorResponse(fields))
            if matches!(fields.severity(), Some("FATAL" | "PANIC")))
}

/// What a session's client has named. It can only make its own look-ups slow, so that a fast hash
/// serves.
pub(crate) type ByName<T> = HashMap<String, T, foldhash::quality::RandomState>;

/// These bytes, with room for some that follow.
pub(crate) fn with_room(bytes: &[u8]) -> BytesMut {
    const ROOM_BYTES: usize = 256;
    let mut roomy = BytesMut::with_capacity(bytes.len() + ROOM_BYTES);
    roomy.extend_from_slice(bytes);
    roomy
}

/// What is written goes to the server, without a buffer of its own; where it can't be written
/// nothing does.
pub(crate) fn write_to_server<E>(
    effects: &mut Vec<Effect>,
    write: impl FnOnce(&mut BytesMut) -> Result<(), E>,
) -> Result<(), E> {
    if let Some(Effect::ToServer(last)) = effects.last_mut() {
        let before = last.len();
        return write(last).inspect_err(|_| last.truncate(before));
    }
    let mut bytes = with_room(&[]);
    write(&mut bytes)?;
    effects.push(Effect::ToServer(bytes));
    Ok(())
}

pub(crate) fn to_server(bytes: &[u8], effects: &mut Vec<Effect>) {
    if let Some(Effect::ToServer(last)) = effects.last_mut() {
        last.extend_from_slice(bytes);
    } else {
        effects.push(Effect::ToServer(with_room(bytes)));
    }
}
