//! A connection for one statement, whose result leaves once if it is the one that was approved.
//!
//! The actor names the request at the log-in (`-c postern.approved=7`) and sends the statement's
//! text, and nothing else. What the text alone says is looked at before it runs: that it is one
//! statement, and tells of no other protected columns than the request names. As long as nobody has
//! approved it, it is *tried*: its rows are counted and hashed here and go no further, so they are
//! not recorded as disclosed either. The ledger has what it gave, and whoever approves sees that.
//! The actor is told nothing of it: how much came, an error, or how long it took would answer a
//! question each time. So the client has its answer, and no connection any more, before it runs.
//! Nor do its settings reach the server (`login::start`): the text can compare with them, and what
//! was approved would be another question.
//! Then it is run again, as an accounted statement, each record recorded. What would go to the
//! client is kept here until all of it is there and is, byte for byte, what was approved; the entry
//! that it leaves is durable before it does.

use std::{collections::BTreeSet, mem, sync::Arc};

use bytes::BytesMut;
use postern_ledger::Note;
use postern_model::{Actor, Grade, Reason, StatementFingerprint, Subject};
use postern_people::{APPROVAL, Act, Digesting, QueryResult, SavedQuery};
use postern_session::{
    ClientFacing as _, Enforcement, Failure, Hold, Input, Judged, Kind, ShownLeaf, Unrecorded,
};
use postern_sql::Refusal;
use postern_wire::{Backend, Frame, FrameReader, Frontend};
use tokio::io::{AsyncWriteExt as _, empty, join, sink};

use super::{Connection, ConnectionError, LAST_WORD_MAX};
use crate::{
    ApprovalError, Role,
    approvals::{act, permits},
    regime::Regime,
    registry::Command,
    shared::Shared,
    side::Side,
};

/// All that leaves at once is in memory until it does.
const BYTES_MAX: usize = 64 * 1024 * 1024;

/// What a connection is for that was begun to run what is approved, or is to be.
pub(crate) struct Export {
    number: u64,
    query: Arc<SavedQuery>,
    /// What was approved; it is tried where that is nothing yet.
    approved: Option<QueryResult>,
    stage: Stage,
    digesting: Digesting,
    rows: u64,
    customers: BTreeSet<Subject>,
    /// What the client gets if it is what was approved.
    output: BytesMut,
    /// What it gets if it is not; nothing of a row is in it.
    errors: BytesMut,
    /// Statements that have ended well.
    completed: u32,
    /// A rule has refused it: that says nothing of any record.
    refused: bool,
    /// Why what came is not what was asked for.
    trouble: Option<String>,
    /// The rows of a trial that go no further.
    tried: Option<BytesMut>,
    /// The client has its answer and is gone.
    alone: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Waits,
    Runs,
    Over,
}

impl Export {
    /// What an actor runs under that number.
    pub(crate) fn of(
        (shared, regime): (&Shared, &Regime),
        number: u64,
        (actor, role): (&Actor, &str),
    ) -> Result<Self, ApprovalError> {
        let now = shared.clock.now();
        let runs = shared.approvals().runs(number, actor, now);
        let (query, approved) = runs.map_err(ApprovalError::NotDone)?;
        permits(regime, (actor, role), &query)?;
        Ok(Self {
            number,
            query,
            approved,
            stage: Stage::Waits,
            digesting: Digesting::default(),
            rows: 0,
            customers: BTreeSet::new(),
            output: BytesMut::new(),
            errors: BytesMut::new(),
            completed: 0,
            refused: false,
            trouble: None,
            tried: None,
            alone: false,
        })
    }

    /// As what statements are run, of an account of that role. What is approved is clear and
    /// accounted, and bounded by the approval, not by a budget.
    pub(super) fn role(export: Option<&Self>, role: Role) -> Role {
        if export.is_none() {
            return role;
        }
        Role {
            kind: Kind::Accounted,
            enforcement: Enforcement::Enforce,
            pooling: role.pooling,
            budgets: Vec::new().into(),
            more: Arc::default(),
            speaks_for: false,
        }
    }

    /// Takes what the session says to the client; whether all is said.
    fn say(&mut self, mut bytes: BytesMut) -> Result<bool, ConnectionError> {
        let mut is_over = false;
        let frames = FrameReader::new(usize::MAX);
        while let Some(frame) = frames.next(&mut bytes).map_err(ConnectionError::ServerFrame)? {
            match frame.tag() {
                b'E' => self.errors.extend_from_slice(frame.raw()),
                b'Z' => is_over = true,
                b'C' => self.completed += 1,
                b'd' | b'D' => self.digesting.add(frame.body()),
                _ => {}
            }
            self.keep(frame.raw());
        }
        Ok(is_over)
    }

    /// Takes rows that were recorded.
    fn reveal(&mut self, mut bytes: BytesMut) -> Result<(), ConnectionError> {
        self.keep(&bytes);
        self.digest(&mut bytes)
    }

    fn digest(&mut self, bytes: &mut BytesMut) -> Result<(), ConnectionError> {
        let frames = FrameReader::new(usize::MAX);
        while let Some(frame) = frames.next(bytes).map_err(ConnectionError::ServerFrame)? {
            self.digesting.add(frame.body());
        }
        Ok(())
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.output.len() + bytes.len() > BYTES_MAX {
            self.trouble.get_or_insert(format!("it gives more than {BYTES_MAX} bytes"));
            return;
        }
        self.output.extend_from_slice(bytes);
    }

    /// Counts the rows of a hold; whether they are what the request says.
    fn counts(&mut self, hold: &Hold) -> bool {
        let rows = hold.rows.iter().filter(|row| !row.asks);
        self.rows += rows.count() as u64;
        let touches = hold.rows.iter().flat_map(|row| &row.touches);
        self.customers.extend(touches.map(|touch| touch.subject.clone()));
        if self.rows > self.query.rows_max() {
            let why = format!("it gives more than {} rows", self.query.rows_max());
            self.trouble.get_or_insert(why);
        }
        // The text was looked at before; it may have come to mean something else since.
        let mut shown = hold.shown.leaves.iter().flat_map(columns);
        if let Some(other) = shown.find(|name| !self.is_named(name)) {
            self.trouble.get_or_insert(other_field(&other));
        }
        self.trouble.is_none()
    }

    /// Whether the request names a protected column.
    fn is_named(&self, column: &str) -> bool {
        self.query.fields().iter().any(|field| **field == *column)
    }

    /// Why a text that may run is not what can be approved.
    fn unfit(&self, judged: &Judged) -> Option<String> {
        let Judged::Statements(planned) = judged else { return None };
        let [plan] = planned.as_slice() else { return Some(NOT_ONE.to_owned()) };
        let other = plan.tells().into_iter().find(|column| !self.is_named(column))?;
        Some(other_field(&other))
    }

    /// What it gave; in words, why it is not to be approved.
    fn result(&mut self) -> Result<QueryResult, String> {
        if let Some(trouble) = self.trouble.clone() {
            return Err(trouble);
        }
        if let Some(code) = self.error_code() {
            return Err(format!("it failed with {code}"));
        }
        if self.completed != 1 {
            return Err(NOT_ONE.to_owned());
        }
        let digesting = mem::take(&mut self.digesting);
        Ok(digesting.ended(self.rows, self.customers.len() as u64))
    }

    fn error_code(&self) -> Option<String> {
        let mut errors = self.errors.clone();
        let frame = FrameReader::new(usize::MAX).next(&mut errors).ok()??;
        let Ok(Backend::ErrorResponse(fields)) = Backend::parse(&frame) else { return None };
        Some(fields.sqlstate().map_or_else(String::new, |code| code.as_str().to_owned()))
    }
}

const NOT_ONE: &str = "it has to be one statement";

fn other_field(column: &str) -> String {
    format!("it shows `{column}`, or hangs on it, and the request does not name it")
}

fn columns(leaf: &ShownLeaf) -> impl Iterator<Item = String> {
    let shown = leaf.clear.iter().chain(&leaf.shown);
    shown.map(|column| format!("{}.{column}", leaf.relation))
}

impl Connection<'_> {
    /// Whether a message goes on, where this connection is for one statement; if not, the client
    /// has its answer. One that is only tried has it, too, before the statement runs.
    pub(super) async fn approves(&mut self, frame: &Frame) -> bool {
        let Some(export) = &self.export else { return true };
        let (number, is_tried) = (export.number, export.approved.is_none());
        let sql = match Frontend::parse(frame) {
            Ok(Frontend::Terminate) => return true,
            Ok(Frontend::Query(sql)) => Some(sql),
            Ok(_) | Err(_) => None,
        };
        let waits = export.stage == Stage::Waits;
        let Some(sql) = sql.filter(|sql| waits && export.query.is(sql)) else {
            self.note_export("another statement");
            let hint = "send its text as it was asked for, once, as one simple query (`psql -f`)";
            let said = format!(
                "this connection is for the statement of number {number}, and nothing else"
            );
            self.last_word(&refused(said, hint)).await;
            return false;
        };
        let judged = self.foresee(sql);
        let Some(export) = &mut self.export else { return true };
        if let Some(why) = export.unfit(&judged) {
            export.trouble = Some(why.clone());
            Box::pin(self.settle(Some(why))).await;
            return false;
        }
        export.stage = Stage::Runs;
        // What a rule refuses is not run, and the session says so.
        if is_tried && matches!(&*judged, Judged::Statements(_)) {
            Box::pin(self.let_go(number)).await;
        }
        true
    }

    /// Tells the client that its statement is tried, and ends the connection to it.
    async fn let_go(&mut self, number: u64) {
        let said =
            format!("number {number} is tried, nothing leaves: its result is to be approved");
        let hint =
            "what it gives is told to those who may approve; run it again when one of them has";
        refused(said, hint).encode(&mut self.client.output);
        self.is_ready();
        self.flush_client().await;
        let nobody = Side::new(Box::new(join(empty(), sink())), BytesMut::new());
        let mut client = mem::replace(&mut self.client, nobody);
        // Whether it takes its leave makes no difference.
        let _ = tokio::time::timeout(LAST_WORD_MAX, client.stream.shutdown()).await;
        if let Some(export) = &mut self.export {
            export.alone = true;
        }
    }

    /// Whether the client is gone and what it has asked for runs all the same.
    pub(super) fn is_alone(&self) -> bool {
        self.export.as_ref().is_some_and(|export| export.alone)
    }

    /// Passes on what the session says to the client, or keeps it.
    pub(super) async fn say(&mut self, bytes: BytesMut) -> Result<(), ConnectionError> {
        match &mut self.export {
            Some(export) if export.stage == Stage::Runs => {
                if export.say(bytes)? {
                    Box::pin(self.settle(None)).await;
                }
            }
            Some(_) | None => super::append(&mut self.client.output, bytes),
        }
        Ok(())
    }

    /// Passes on rows that may leave, or keeps them.
    pub(super) fn reveal(&mut self, bytes: BytesMut) -> Result<(), ConnectionError> {
        match &mut self.export {
            Some(export) => export.reveal(bytes)?,
            None => super::append(&mut self.client.output, bytes),
        }
        Ok(())
    }

    /// Counts the rows of a hold that are approved or are to be; the hold, if it is recorded.
    pub(super) fn exported(&mut self, mut hold: Hold) -> Option<Hold> {
        let Some(export) = &mut self.export else { return Some(hold) };
        let fits = export.counts(&hold);
        if fits && export.approved.is_some() {
            let reason = Reason { name: APPROVAL.into(), grade: Grade::Strong };
            let touches = hold.rows.iter_mut().flat_map(|row| &mut row.touches);
            touches.for_each(|touch| touch.reason = Some(reason.clone()));
            hold.claimed = Some(format!("{APPROVAL} {}", export.number).into());
            return Some(hold);
        }
        // Nothing of it leaves.
        export.tried = Some(hold.bytes);
        let (hold, rows) = (hold.id, hold.rows.len());
        // Its receiver is this connection's own.
        let _ = self.sender.send(Command::Tried { hold, rows, fits });
        None
    }

    /// What the session hears of rows that are only tried.
    pub(super) fn tried(hold: u64, rows: usize, fits: bool) -> Input {
        if fits {
            return Input::Recorded { hold, allowed: rows, stopped: None };
        }
        Input::NotRecorded { hold, why: Unrecorded::Failed }
    }

    /// Whether rows that the session lets go are only tried; they are hashed, and dropped.
    pub(super) fn drops_tried(&mut self) -> Result<bool, ConnectionError> {
        let Some(export) = &mut self.export else { return Ok(false) };
        let Some(mut bytes) = export.tried.take() else { return Ok(false) };
        export.digest(&mut bytes)?;
        Ok(true)
    }

    pub(super) fn export_refused(&mut self) {
        if let Some(export) = &mut self.export {
            export.refused = true;
        }
    }

    /// What was begun and came to no end is recorded as that.
    pub(super) async fn settle_unended(&mut self) {
        let Some(export) = &mut self.export else { return };
        if export.stage == Stage::Runs {
            export.trouble.get_or_insert_with(|| "it came to no end".to_owned());
            // Nobody is told: the connection is over.
            export.alone = true;
            self.settle(None).await;
        }
    }

    /// All has come, or nothing will, as the text is `unfit`: it is recorded what it is, and leaves
    /// if that is what was approved.
    async fn settle(&mut self, unfit: Option<String>) {
        let Some(export) = &mut self.export else { return };
        export.stage = Stage::Over;
        let (number, result) = (export.number, export.result());
        let output = mem::take(&mut export.output);
        let errors = mem::take(&mut export.errors);
        let (is_refused, is_alone) = (export.refused, export.alone);
        let approved = export.approved.clone();
        let what = match &result {
            Ok(result) => result.to_string(),
            Err(why) => why.clone(),
        };
        let deed = match &approved {
            None => Act::Tried,
            Some(approved) if result.as_ref() == Ok(approved) => Act::Released,
            Some(_) => Act::Withheld,
        };
        let done = self.recorded_as(deed, number, what).await;
        if is_alone {
            if let Err(error) = &done {
                tracing::error!(number, error = error.in_full(), "a trial could not be recorded");
            }
            self.ending = true;
            return;
        }
        let said = match (done, unfit) {
            (Err(error), _) => refused(error.in_full(), "ask the administrator"),
            (Ok(()), Some(why)) => {
                refused(why, "ask for it as it is to be run, with all columns that it tells of")
            }
            (Ok(()), None) if deed == Act::Released => {
                super::append(&mut self.client.output, output);
                return;
            }
            // What a rule refuses says nothing of any record.
            (Ok(()), None) if is_refused => {
                super::append(&mut self.client.output, errors);
                return self.is_ready();
            }
            (Ok(()), None) => refused(
                format!("what number {number} gives now is not what was approved; nothing left"),
                "ask again, and have what it gives now approved",
            ),
        };
        said.encode(&mut self.client.output);
        self.is_ready();
    }

    fn is_ready(&mut self) {
        let idle = postern_wire::TransactionStatus::Idle;
        postern_wire::encode::ready_for_query(&mut self.client.output, idle);
    }

    /// Waits until it is an entry; the core's other connections do not.
    async fn recorded_as(&self, deed: Act, number: u64, what: String) -> Result<(), ApprovalError> {
        let (shared, actor) = (self.shared.clone(), self.account().clone());
        let acting = tokio::task::spawn_blocking(move || {
            act(&shared, |approvals, _, now| {
                approvals.ran(deed, number, (&actor, what.into()), now)
            })
        });
        match acting.await {
            Ok(done) => done.map(|_| ()),
            Err(_) => Err(ApprovalError::Unrecorded(postern_ledger::RecordError::Closed)),
        }
    }

    fn note_export(&self, statement: &str) {
        let note = || Note::Refused {
            actor: self.account().clone(),
            connection: self.number,
            fingerprint: StatementFingerprint::default(),
            statement: statement.into(),
            rule: APPROVAL.into(),
        };
        self.shared.refused(self.account(), self.number, note);
    }
}

fn refused(message: String, hint: &str) -> Failure {
    Failure::Said(Box::new(Refusal {
        sqlstate: "42501",
        rule: "approval",
        message,
        hint: hint.to_owned(),
        position: None,
    }))
}
