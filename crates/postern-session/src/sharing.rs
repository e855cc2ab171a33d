//! What sessions have in common that take turns with server connections.
//!
//! A session that shares has a server connection only while it needs one: from a message of its
//! client to the server's ReadyForQuery outside of a transaction. What it has prepared by the
//! protocol is prepared again where the connection lacks it. One text is one statement on a
//! connection, whoever prepares it, and a number stands for one text for ever, so that it can't
//! come to mean what was not judged. What else a session leaves behind is in [`Traces`]; whoever
//! drives it sees to it that nobody else meets it.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::BytesMut;
use postern_sql::{Act, Effect as Does};
use postern_wire::{Frame, Parse, Target, TransactionStatus, encode};

use crate::{
    ClientFacing, Effect, Failure, Profile, Session, View,
    client::Sent,
    copy::CopyIn,
    expect::{Expect, OwnDoes},
    judge::Planned,
    moment::{MomentStatement, Part},
    portal::{NOTHING, Portal, Prepared, Run, UpstreamName},
    session::to_server,
};

/// Texts whose numbers are remembered; past this all are forgotten and numbered anew.
const TEXTS_MAX: usize = 10_000;
const TEXTS_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Statements of the gateway's own that an error has left on a connection before it is given up.
const LEFT_MAX: usize = 64;

/// Numbers the statements of all sessions that share. No number is given twice.
#[derive(Debug, Default)]
pub struct Names {
    last: AtomicU64,
    texts: Mutex<Texts>,
}

#[derive(Debug, Default)]
struct Texts {
    numbers: HashMap<Text, u64>,
    bytes: usize,
}

/// What makes two statements the same on the server. After a change of the catalogue a text is
/// another statement: whoever prepares it then is to get what it means then. So it is under other
/// settings: the server reads constants by them (`coerce_type`, src/backend/parser/parse_coerce.c).
#[derive(Debug, PartialEq, Eq, Hash)]
struct Text {
    sql: Box<str>,
    types: Box<[u32]>,
    generation: u64,
    settings: Arc<str>,
}

impl Names {
    pub(crate) fn next(&self) -> u64 {
        self.last.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn of(&self, sql: &str, types: &[u32], (generation, settings): (u64, &Arc<str>)) -> u64 {
        // Every change is whole but for the sum of bytes, which only bounds.
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        let (settings, types) = (settings.clone(), types.into());
        let text = Text { sql: sql.into(), types, generation, settings };
        if let Some(number) = texts.numbers.get(&text) {
            return *number;
        }
        if texts.numbers.len() >= TEXTS_MAX || texts.bytes + sql.len() > TEXTS_BYTES_MAX {
            *texts = Texts::default();
        }
        let number = self.next();
        texts.bytes += sql.len();
        texts.numbers.insert(text, number);
        number
    }
}

/// What a server connection remembers from one session to the next.
#[derive(Debug, Default)]
pub struct Remembered {
    pub(crate) statements: Statements,
    pub(crate) moment: MomentStatement,
    left: usize,
}

impl Remembered {
    /// Of a new connection, which is to keep so many prepared statements.
    pub fn new(statements_max: usize) -> Self {
        let statements = Statements { max: statements_max.max(1), ..Statements::default() };
        Self { statements, ..Self::default() }
    }

    /// Whether so much was left on the connection that it is to be given up.
    pub fn is_littered(&self) -> bool {
        self.left >= LEFT_MAX
    }
}

/// The numbers of the statements that a connection has, with when they were last used.
#[derive(Debug, Default)]
pub(crate) struct Statements {
    used: HashMap<u64, u64>,
    uses: u64,
    max: usize,
}

impl Statements {
    /// Whether it is there; then it counts as used now.
    fn uses(&mut self, number: u64) -> bool {
        self.uses += 1;
        let uses = self.uses;
        self.used.get_mut(&number).is_some_and(|used| {
            *used = uses;
            true
        })
    }

    /// It will be there; the one that has to go for it.
    fn add(&mut self, number: u64) -> Option<u64> {
        let oldest = self.used.iter().min_by_key(|(_, used)| **used).map(|(number, _)| *number);
        let oldest = oldest.filter(|_| self.used.len() >= self.max);
        if let Some(oldest) = oldest {
            self.used.remove(&oldest);
        }
        self.uses += 1;
        self.used.insert(number, self.uses);
        oldest
    }

    /// All are gone; what is to be put back if they are not.
    pub(crate) fn clear(&mut self) -> Known {
        Known(std::mem::take(&mut self.used))
    }

    pub(crate) fn put_back(&mut self, known: Known) {
        self.used = known.0;
    }

    fn forget(&mut self, number: u64) {
        self.used.remove(&number);
    }

    /// It was to go and has not; it is the next that does.
    fn keep(&mut self, number: u64) {
        self.used.insert(number, 0);
    }
}

/// What was known of a connection's statements.
#[derive(Debug, Default)]
pub(crate) struct Known(HashMap<u64, u64>);

/// What a session may have left on the connection beside prepared statements.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traces {
    /// Something that the gateway does not look into has run: a trigger, a function that is vouched
    /// for. Before another session has the connection it is cleaned.
    pub hidden: bool,
    /// The session's own settings, or something else that it wants to find again: ask the server.
    pub kept: bool,
}

impl Session {
    /// A session whose server connection is given to it when it needs one.
    pub fn sharing(profile: Arc<Profile>, names: Arc<Names>) -> Self {
        Self { names, shares: true, ..Self::new(profile) }
    }

    /// It has a server connection from now on, with what that remembers; `settings` are those that
    /// others may not have on theirs, in any form that tells them apart.
    pub fn attach(&mut self, remembered: Remembered, settings: Arc<str>) {
        (self.attached, self.settings) = (true, settings);
        self.server = remembered.statements;
        self.left = remembered.left;
        self.moments.attach(remembered.moment);
    }

    /// It has none any more.
    pub fn detach(&mut self) -> Remembered {
        (self.attached, self.unnamed) = (false, false);
        let (statements, moment) = (std::mem::take(&mut self.server), self.moments.detach());
        Remembered { statements, moment, left: std::mem::take(&mut self.left) }
    }

    /// Whether the server has answered all and holds no transaction for it: whoever shares can do
    /// without a connection until the client's next message.
    pub fn is_free(&self) -> bool {
        !self.sent
            && self.expected.is_empty()
            && self.steps.is_empty()
            && self.charging.is_none()
            && self.pending.is_none()
            && self.copy_in == CopyIn::No
            && self.status == TransactionStatus::Idle
            && !self.skipping
            && !self.cancelling
            && !self.closed
    }

    /// Whether the server has answered all and waits for the client's next message, with a
    /// transaction open that no ReadyForQuery has told of: it measures no time then.
    pub fn is_unfinished(&self) -> bool {
        self.sent
            && self.profile.kind != crate::Kind::PassThrough
            && self.expected.is_empty()
            && self.steps.is_empty()
            && self.charging.is_none()
            && self.outbox.is_empty()
            && !self.closed
    }

    /// Whether the server has not been told to answer all that it was sent: it may have a
    /// transaction open then, and says nothing of it.
    pub fn owes_flush(&self) -> bool {
        self.sent
            && !self.flushed
            && self.profile.kind != crate::Kind::PassThrough
            && self.copy_in == CopyIn::No
            && self.expected.back().is_some_and(|last| !last.is_ready())
            && !self.closed
    }

    /// Has the server answer what it was sent, though the client has not asked for it yet.
    pub fn flush_unasked(&mut self, effects: &mut Vec<Effect>) {
        self.flush_server(effects);
    }

    /// Whether a message of the client that begins with this byte is handled with a connection to
    /// the server only.
    pub fn needs_server(&self, tag: u8) -> bool {
        self.is_apart()
            && !self.skipping
            && matches!(tag, b'Q' | b'P' | b'B' | b'D' | b'E' | b'C' | b'F')
    }

    /// Answers a message for which there is no connection.
    pub fn without_server(&mut self, frame: &Frame, failure: &Failure, effects: &mut Vec<Effect>) {
        let mut bytes = BytesMut::new();
        failure.encode(&mut bytes);
        self.outbox.bytes(&bytes, effects);
        if matches!(frame.tag(), b'Q' | b'F') {
            self.ready_by_itself(effects);
        } else {
            self.skipping = true;
        }
    }

    /// Says that the server is ready, which has been asked nothing.
    pub(crate) fn ready_by_itself(&mut self, effects: &mut Vec<Effect>) {
        let mut bytes = BytesMut::new();
        encode::ready_for_query(&mut bytes, self.status);
        self.outbox.ready(&bytes, effects);
    }

    /// Whether what is for the server has nobody who would take it.
    pub(crate) fn is_apart(&self) -> bool {
        self.shares && !self.attached
    }

    /// What it has left behind since they were last seen to.
    pub fn traces(&self) -> Traces {
        self.traces
    }

    /// They are seen to.
    pub fn traces_seen(&mut self) {
        self.traces = Traces::default();
    }

    /// Whether it has what is this connection's only: prepared statements in SQL, or settings of
    /// the database's own, which the server doesn't list.
    pub fn keeps_connection(&mut self) -> bool {
        // Looked for only where there may be some: a session can have many others.
        self.prepares &= self.statements.values().any(|prepared| prepared.by_sql);
        self.prepares || self.customs
    }

    /// A name for the server for what is prepared by the protocol, and whether it is there already.
    pub(crate) fn statement_name(
        &mut self,
        name: &str,
        (sql, types): (&str, &[u32]),
        generation: u64,
    ) -> (UpstreamName, bool) {
        if !self.shares || name.is_empty() {
            return (self.upstream_name(name), false);
        }
        let number = self.names.of(sql, types, (generation, &self.settings));
        (UpstreamName(Some(number)), self.server.uses(number))
    }

    /// Whether the server has this statement.
    fn has(&mut self, prepared: (UpstreamName, bool)) -> bool {
        match prepared {
            _ if !self.shares => true,
            (_, true) => true,
            (UpstreamName(None), false) => self.unnamed,
            (UpstreamName(Some(number)), false) => self.server.uses(number),
        }
    }

    /// Has the server prepare a statement under this name.
    pub(crate) fn send_parse(
        &mut self,
        upstream: UpstreamName,
        (sql, types): (&str, &[u32]),
        effects: &mut Vec<Effect>,
    ) -> Sent {
        let mut bytes = BytesMut::new();
        self.make_room(upstream, &mut bytes)?;
        let (name, types) = (&*upstream.statement(), types.to_vec());
        encode::parse(&mut bytes, &Parse { name, sql, types })?;
        to_server(&bytes, effects);
        Ok(())
    }

    /// A statement is about to be prepared: what has to go for it is closed.
    fn make_room(&mut self, upstream: UpstreamName, out: &mut BytesMut) -> Sent {
        let Some(number) = upstream.0.filter(|_| self.shares) else {
            self.unnamed |= upstream.0.is_none();
            return Ok(());
        };
        if let Some(oldest) = self.server.add(number) {
            let does = OwnDoes::Closes(oldest);
            let oldest = UpstreamName(Some(oldest)).statement();
            encode::close(out, Target::Statement(&oldest))?;
            self.expected.push_back(Expect::Own { guarded: false, open: None, does });
        }
        Ok(())
    }

    /// Has the server prepare a statement that this connection lacks.
    pub(crate) fn prepare_again(
        &mut self,
        name: &str,
        view: &mut View<'_>,
        effects: &mut Vec<Effect>,
    ) -> Result<bool, encode::EncodeError> {
        let Some(prepared) = self.statements.get(name) else { return Ok(true) };
        let (upstream, by_sql) = (prepared.upstream, prepared.by_sql);
        if self.has((upstream, by_sql)) {
            return Ok(true);
        }
        let Some(prepared) = self.statements.get(name) else { return Ok(true) };
        let Prepared { sql, plan, types, .. } = prepared.clone();
        let parse = Parse { name, sql: &sql, types };
        let (sql, resolved) = match self.parsed(&plan, &parse, view) {
            Ok(parsed) => parsed,
            Err(failure) => {
                self.refuse_in_order(&failure, effects)?;
                return Ok(false);
            }
        };
        // A number stands for a text under the settings under which it is read, and these may be
        // others by now.
        let (upstream, known) = match (&resolved, upstream) {
            (None, UpstreamName(Some(_))) if self.shares => {
                self.statement_name(name, (&sql, &parse.types), view.generation)
            }
            _ => (upstream, false),
        };
        if let Some(prepared) = self.statements.get_mut(name) {
            prepared.upstream = upstream;
        }
        if known {
            return Ok(true);
        }
        self.send_parse(upstream, (&sql, &parse.types), effects)?;
        let guarded = plan.is_guarded();
        let does = OwnDoes::Parses(upstream);
        self.expected.push_back(Expect::Own { guarded, open: None, does });
        if resolved.is_some()
            && let Some(prepared) = self.statements.get_mut(name)
        {
            prepared.resolved = resolved;
        }
        Ok(true)
    }

    /// The same for EXECUTE in a Query message, which the server would drop behind an error.
    pub(crate) fn prepare_synced(
        &mut self,
        name: &str,
        view: &mut View<'_>,
        effects: &mut Vec<Effect>,
    ) -> Sent {
        let expected = self.expected.len();
        if self.status == TransactionStatus::Failed || !self.prepare_again(name, view, effects)? {
            return Ok(());
        }
        if self.expected.len() > expected {
            let mut bytes = BytesMut::new();
            encode::sync(&mut bytes);
            to_server(&bytes, effects);
            self.expected.push_back(Expect::Moment(Part::Ready));
        }
        Ok(())
    }

    /// What of the gateway's own was to be prepared was not, or may be left behind.
    pub(crate) fn own_failed(&mut self, does: OwnDoes) {
        match does {
            OwnDoes::Parses(UpstreamName(None)) => self.unnamed = false,
            OwnDoes::Parses(UpstreamName(Some(number))) => self.server.forget(number),
            OwnDoes::Closes(number) => self.server.keep(number),
            OwnDoes::Else => self.left += 1,
        }
    }

    /// What this execution may leave on the connection.
    pub(crate) fn trace(&mut self, portal: &Portal) {
        if portal.names() || portal.states_ticket() {
            return;
        }
        self.traces.hidden |= portal.plan.unaccounted().is_some();
        let copies = matches!(&*portal.plan, Planned::Plain(plain) if plain.effect == Does::CopyIn);
        self.traces.hidden |= copies || portal.plan.writes();
        // What a query can do by a function, one on protected tables can't.
        let (sql, effect) = match &*portal.plan {
            Planned::Plain(plain) => (&plain.sql, plain.effect),
            Planned::Guarded(plan) if plan.guarded.leaves.is_empty() => (&plan.sql, Does::Query),
            Planned::Guarded(_) | Planned::Local(_) | Planned::Named(_) | Planned::Copy(_) => {
                return;
            }
        };
        if self.shares {
            let defines = effect == Does::Define;
            let sets = sql.contains("set_config");
            if sets || matches!(effect, Does::Setting | Does::Discard) {
                // Which they are then is seen to when the connection is given back.
                self.settings = format!("#{}", self.names.next()).into();
            }
            self.traces.kept |= defines || sets;
            // Whoever comes next has none of it, whatever is known here.
            self.customs |= keeps_custom(sql);
            self.traces.hidden |= self.customs;
            // The session's last number is told by currval() and lastval().
            self.traces.hidden |= sql.contains("nextval");
            // What a generator gives foretells what it gives next.
            self.traces.hidden |= ["random", "setseed"].iter().any(|name| sql.contains(name));
            // A view can do so as well.
            self.traces.hidden |= matches!(&*portal.plan, Planned::Plain(plain) if plain.draws);
        }
    }

    /// The same, once it is done: by the server's word what it was.
    pub(crate) fn trace_done(&mut self, run: &Run, tag: &str) {
        let ends_with_transaction = match &*run.portal.plan {
            Planned::Plain(plain) => {
                plain.end_user.is_some() || plain.states.is_some() || is_local(&plain.sql)
            }
            Planned::Guarded(_) | Planned::Copy(_) => false,
            // These are kept here, by name or not at all.
            Planned::Named(_) | Planned::Local(_) => true,
        };
        let tag = tag.trim_end_matches(|c: char| c.is_ascii_digit() || c == ' ');
        self.customs &= tag != "DISCARD ALL";
        self.traces.kept |= !ends_with_transaction && !LEAVE_NOTHING.contains(&tag);
    }
}

/// Tags of what leaves nothing behind that the session would miss. Whatever is not among them is
/// asked about.
const LEAVE_NOTHING: [&str; 24] = [
    "BEGIN",
    "CLOSE CURSOR",
    "CLOSE CURSOR ALL",
    "COMMIT",
    "COPY",
    "DEALLOCATE",
    "DEALLOCATE ALL",
    "DECLARE CURSOR",
    "DELETE",
    "EXPLAIN",
    "FETCH",
    "INSERT",
    "MERGE",
    "MOVE",
    "NOTIFY",
    "PREPARE",
    "RELEASE",
    "ROLLBACK",
    "SAVEPOINT",
    "SELECT",
    "SHOW",
    "START TRANSACTION",
    "UPDATE",
    "VALUES",
];

/// Whether a setting ends with its transaction, by the statement's first words.
fn is_local(sql: &str) -> bool {
    let mut words = sql.split_ascii_whitespace().map(str::to_ascii_uppercase);
    words.next().is_some_and(|word| word == "SET")
        && words.next().is_some_and(|word| matches!(&*word, "LOCAL" | "TRANSACTION"))
}

/// Whether a statement may give a setting of several parts a value for longer than a transaction.
fn keeps_custom(sql: &str) -> bool {
    let set = sql.strip_prefix("SET ").filter(|_| !is_local(sql));
    let set = set.is_some_and(|set| {
        set.split_ascii_whitespace().next().is_some_and(|name| name.contains('.'))
    });
    let mut calls = sql.split("set_config('").skip(1);
    let called = calls.any(|call| call.split('\'').next().is_some_and(|name| name.contains('.')));
    set || called && sql.contains("false)")
}

/// The prepared statement that this executes, by its name.
pub(crate) fn executes(plan: &Planned) -> Option<&str> {
    match plan {
        Planned::Named(named) if matches!(named.named.act, Act::Execute(_)) => {
            Some(&named.named.name)
        }
        Planned::Named(_)
        | Planned::Plain(_)
        | Planned::Guarded(_)
        | Planned::Copy(_)
        | Planned::Local(_) => None,
    }
}

/// What is sent for the Parse of a statement that is there already: its answer comes in the same
/// place, and is dropped where the server would drop that of Parse.
pub(crate) fn close_nothing(effects: &mut Vec<Effect>) -> Sent {
    let mut bytes = BytesMut::new();
    encode::close(&mut bytes, Target::Statement(&NOTHING.statement()))?;
    to_server(&bytes, effects);
    Ok(())
}
