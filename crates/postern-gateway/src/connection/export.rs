//! A connection for one statement, whose result leaves once if it is the one that was approved.
//!
//! The actor names the request at the log-in (`-c postern.approved=7`) and sends the statement's
//! text, and nothing else. As long as nobody has approved it, it is *tried*: its rows are counted
//! and hashed here and go no further, so they are not recorded as disclosed either. The ledger has
//! what it gave, whoever approves sees that, and the actor is told nothing of it: how much came, or
//! an error, would answer questions. Then it is run again, as an accounted statement, each record
//! recorded. What would go to the client is kept here until all of it is there and is, byte for
//! byte, what was approved; the entry that it leaves is durable before it does.

use std::{collections::BTreeSet, sync::Arc};

use bytes::BytesMut;
use postern_ledger::Note;
use postern_model::{Actor, Grade, Reason, StatementFingerprint, Subject};
use postern_people::{APPROVAL, Act, Digesting, QueryResult, SavedQuery};
use postern_session::{
    ClientFacing as _, Enforcement, Failure, Hold, Input, Kind, ShownLeaf, Unrecorded,
};
use postern_sql::Refusal;
use postern_wire::{Backend, Frame, FrameReader, Frontend};

use super::{Connection, ConnectionError};
use crate::{
    ApprovalError, Role,
    approvals::{act, permits},
    regime::Regime,
    registry::Command,
    shared::Shared,
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
    /// Why what came is not what was asked for; of the records, if true.
    trouble: Option<(String, bool)>,
    /// The rows of a trial that go no further.
    tried: Option<BytesMut>,
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
            let why = format!("it gives more than {BYTES_MAX} bytes");
            self.trouble.get_or_insert((why, true));
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
            self.trouble.get_or_insert((why, true));
        }
        if let Some(other) = hold.shown.leaves.iter().find_map(|leaf| self.other_field(leaf)) {
            let why = format!("it shows `{other}`, which the request does not name");
            self.trouble.get_or_insert((why, false));
        }
        self.trouble.is_none()
    }

    /// A protected column that is shown and was not asked for.
    fn other_field(&self, leaf: &ShownLeaf) -> Option<String> {
        let shown = leaf.clear.iter().chain(&leaf.shown);
        let mut names = shown.map(|column| format!("{}.{column}", leaf.relation));
        names.find(|name| !self.query.fields().iter().any(|field| **field == **name))
    }

    /// What it gave; in words, why it is not to be approved.
    fn result(&mut self) -> Result<QueryResult, (String, bool)> {
        if let Some(trouble) = self.trouble.clone() {
            return Err(trouble);
        }
        if let Some(code) = self.error_code() {
            return Err((format!("it failed with {code}"), !self.refused));
        }
        if self.completed != 1 {
            return Err(("it has to be one statement".to_owned(), false));
        }
        let digesting = std::mem::take(&mut self.digesting);
        Ok(digesting.ended(self.rows, self.customers.len() as u64))
    }

    fn error_code(&self) -> Option<String> {
        let mut errors = self.errors.clone();
        let frame = FrameReader::new(usize::MAX).next(&mut errors).ok()??;
        let Ok(Backend::ErrorResponse(fields)) = Backend::parse(&frame) else { return None };
        Some(fields.sqlstate().map_or_else(String::new, |code| code.as_str().to_owned()))
    }
}

impl Connection<'_> {
    /// Why a message does not go on: this connection is for one statement.
    pub(super) fn not_approved(&mut self, frame: &Frame) -> Option<Failure> {
        let export = self.export.as_mut()?;
        let sql = match Frontend::parse(frame) {
            Ok(Frontend::Terminate) => return None,
            Ok(Frontend::Query(sql)) => Some(sql),
            Ok(_) | Err(_) => None,
        };
        let is_it = sql.is_some_and(|sql| export.query.is(sql));
        if is_it && export.stage == Stage::Waits {
            export.stage = Stage::Runs;
            return None;
        }
        let number = export.number;
        let hint = "send its text as it was asked for, once, as one simple query (`psql -f`)";
        let said =
            format!("this connection is for the statement of number {number}, and nothing else");
        self.note_export("another statement");
        Some(refused(said, hint))
    }

    /// Passes on what the session says to the client, or keeps it.
    pub(super) async fn say(&mut self, bytes: BytesMut) -> Result<(), ConnectionError> {
        match &mut self.export {
            Some(export) if export.stage == Stage::Runs => {
                if export.say(bytes)? {
                    Box::pin(self.settle()).await;
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

    /// All has come: it is recorded what it is, and leaves if that is what was approved.
    async fn settle(&mut self) {
        let Some(export) = &mut self.export else { return };
        export.stage = Stage::Over;
        let (number, result) = (export.number, export.result());
        let output = std::mem::take(&mut export.output);
        let errors = std::mem::take(&mut export.errors);
        let (is_refused, approved) = (export.refused, export.approved.clone());
        let what = match &result {
            Ok(result) => result.to_string(),
            Err((why, _)) => why.clone(),
        };
        let deed = match &approved {
            None => Act::Tried,
            Some(approved) if result.as_ref() == Ok(approved) => Act::Released,
            Some(_) => Act::Withheld,
        };
        let done = self.recorded_as(deed, number, what.clone()).await;
        let said = match (deed, done, result) {
            (_, Err(error), _) => refused(error.in_full(), "ask the administrator"),
            (Act::Released, Ok(()), _) => {
                super::append(&mut self.client.output, output);
                return;
            }
            // What a rule refuses says nothing of any record.
            (_, Ok(()), Err(_)) if is_refused => {
                super::append(&mut self.client.output, errors);
                return self.is_ready();
            }
            (_, Ok(()), Err((why, false))) => {
                refused(why, "ask for it as it is to be run, with all columns that it shows")
            }
            (Act::Withheld, Ok(()), _) => refused(
                format!("what number {number} gives now is not what was approved; nothing left"),
                "ask again, and have what it gives now approved",
            ),
            (_, Ok(()), _) => refused(
                format!("number {number} is tried, nothing left: its result is to be approved"),
                "what it gave is told to those who may approve; run it again when one of them has",
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
