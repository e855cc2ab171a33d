//! The server's own word on the moment at which a statement ran, asked for behind it.
//!
//! The gateway knows at which moment it has seen which catalogue. So a statement whose server tells
//! the same moment behind it needs no other proof: one that is asked for by the session itself, in
//! the same round trip, begins after the server's analysis of all that was sent before. What the
//! moment can't tell (after a write, in a transaction that keeps its snapshot, on a standby) is
//! proven as before. Why this leaves no gap: docs/design/catalogue.md.

use bytes::BytesMut;
use postern_sql::Effect as Effects;
use postern_wire::{Bind, DataRow, Execute, Parse, Target, TransactionStatus, encode};

use crate::{
    Effect, Session,
    client::Sent,
    copy::CopyIn,
    expect::Expect,
    judge::Planned,
    portal::{Run, UpstreamName},
    server::{Handled, Unexpected},
    session::to_server,
};

/// NULL where it is no proof: a transaction that keeps its snapshot has the one of its beginning,
/// and one that has written may have changed the catalogue without having committed it.
pub const MOMENT_SQL: &str = "SELECT CASE WHEN NOT pg_catalog.pg_is_in_recovery() \
    AND pg_catalog.pg_current_xact_id_if_assigned() IS NULL \
    AND pg_catalog.current_setting('transaction_isolation') \
    OPERATOR(pg_catalog.=) 'read committed' \
    THEN pg_catalog.pg_current_snapshot()::pg_catalog.text END";

/// How far a connection to the server is with the statement that asks for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Statement {
    /// The server does not know it.
    #[default]
    Unknown,
    /// It was sent.
    Sent(UpstreamName),
    Ready(UpstreamName),
    /// The server does not take it.
    Refused,
}

/// What a connection to the server knows of the statement.
#[derive(Debug, Default)]
pub(crate) struct MomentStatement {
    statement: Statement,
    stale: Option<UpstreamName>,
}

/// A session's questions for the moment.
#[derive(Debug)]
pub(crate) struct Moments {
    statement: Statement,
    /// One that may be gone: it is closed before the next is prepared.
    stale: Option<UpstreamName>,
    /// Something was sent that is to be proven, and the question was not.
    due: bool,
    /// Nothing was sent since the server's last ReadyForQuery, or only what is being handled.
    at_rest: bool,
    /// The message that is being handled is the first one since then.
    first: bool,
    /// The question's messages by that name of the statement: they are always the same.
    question: Option<(UpstreamName, Box<[u8]>)>,
}

impl Moments {
    pub(crate) fn new() -> Self {
        let statement = Statement::Unknown;
        Self { statement, stale: None, due: false, at_rest: true, first: false, question: None }
    }

    /// The messages that ask, by the statement of that name.
    fn question(&mut self, name: UpstreamName) -> Result<&[u8], encode::EncodeError> {
        let known = self.question.take().filter(|(known, _)| *known == name);
        let question = known.map_or_else(|| question(name).map(|bytes| (name, bytes)), Ok)?;
        Ok(&self.question.insert(question).1)
    }

    /// A message of the client is handled.
    pub(crate) fn begins(&mut self) {
        self.first = std::mem::replace(&mut self.at_rest, false);
    }

    /// The server is ready and is asked nothing more.
    pub(crate) fn rests(&mut self) {
        self.at_rest = true;
    }

    /// Whether the server is, and nothing was sent since.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.at_rest
    }

    /// The session has this connection now.
    pub(crate) fn attach(&mut self, known: MomentStatement) {
        (self.statement, self.stale) = (known.statement, known.stale);
    }

    /// It has none.
    pub(crate) fn detach(&mut self) -> MomentStatement {
        let statement = std::mem::take(&mut self.statement);
        MomentStatement { statement, stale: self.stale.take() }
    }

    /// All that the session has prepared on the server goes, unless that fails.
    pub(crate) fn forget(&mut self) {
        if let Statement::Sent(name) | Statement::Ready(name) = self.statement {
            self.statement = Statement::Unknown;
            self.stale = Some(name);
        }
    }
}

/// A message of the question that the server is to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The statement's Parse, and the Sync behind it.
    Parse,
    Ready,
    Bind,
    /// Also an EXECUTE at the end of a Query message.
    Execute,
    Close,
}

const PORTAL: &str = "postern_moment";

fn question(statement: UpstreamName) -> Result<Box<[u8]>, encode::EncodeError> {
    let mut bytes = BytesMut::new();
    let bind = Bind {
        portal: PORTAL,
        statement: &statement.statement(),
        formats: Vec::new(),
        parameters: Vec::new(),
        result_formats: Vec::new(),
    };
    encode::bind(&mut bytes, &bind)?;
    encode::execute(&mut bytes, &Execute { portal: PORTAL, max_rows: 0 })?;
    encode::close(&mut bytes, Target::Portal(PORTAL))?;
    Ok(bytes.as_ref().into())
}

impl Session {
    /// Has the server prepare the question where nothing is under way: the Sync behind it would
    /// commit what the client has sent and not synced.
    pub(crate) fn prepare_moment(&mut self, effects: &mut Vec<Effect>) -> Sent {
        let quiet = self.moments.first
            && self.expected.is_empty()
            && self.steps.is_empty()
            && self.copy_in == CopyIn::No;
        if !self.profile.moments
            || self.moments.statement != Statement::Unknown
            || !quiet
            || self.status == TransactionStatus::Failed
        {
            return Ok(());
        }
        let name = UpstreamName(Some(self.names.next()));
        let mut bytes = BytesMut::new();
        if let Some(stale) = self.moments.stale.take() {
            encode::close(&mut bytes, Target::Statement(&stale.statement()))?;
            self.expected.push_back(Expect::Moment(Part::Close));
        }
        let sql = MOMENT_SQL;
        encode::parse(&mut bytes, &Parse { name: &name.statement(), sql, types: Vec::new() })?;
        encode::sync(&mut bytes);
        to_server(&bytes, effects);
        self.moments.statement = Statement::Sent(name);
        self.expected.push_back(Expect::Moment(Part::Parse));
        self.expected.push_back(Expect::Moment(Part::Ready));
        Ok(())
    }

    /// Something is sent that must be proven.
    pub(crate) fn needs_moment(&mut self) {
        self.moments.due = true;
    }

    /// Asks behind all that was sent, before the message that makes the server answer it.
    pub(crate) fn ask_moment(&mut self, effects: &mut Vec<Effect>) {
        let due = std::mem::take(&mut self.moments.due);
        let Statement::Ready(name) = self.moments.statement else { return };
        // A write has a transaction number, or its proof would be another.
        if !due || self.skipping || !self.writes.is_empty() || self.copy_in != CopyIn::No {
            return;
        }
        // Without it the keeper is asked.
        if let Ok(bytes) = self.moments.question(name) {
            to_server(bytes, effects);
            let parts = [Part::Bind, Part::Execute, Part::Close];
            self.expected.extend(parts.map(Expect::Moment));
        }
    }

    /// The statement that asks for it at the end of a Query message, if it can be asked there.
    pub(crate) fn moment_behind(&self, sent: &[(String, Run)]) -> Option<String> {
        let Statement::Ready(name) = self.moments.statement else { return None };
        let needed = sent.iter().any(|(_, run)| self.unproven(&run.portal).is_some());
        // Several statements in one message are a transaction: what is another alone stays alone.
        let reads = |run: &Run| match &*run.portal.plan {
            Planned::Plain(plain) => plain.effect == Effects::Query && run.portal.about.is_none(),
            Planned::Guarded(_) => run.portal.about.is_none(),
            Planned::Local(_) | Planned::Named(_) | Planned::Copy(_) => false,
        };
        let fits = sent.len() > 1 || sent.iter().all(|(_, run)| reads(run));
        (needed && fits).then(|| format!("EXECUTE {}", name.statement()))
    }

    /// Whether the server will tell it soon: no other proof has to be asked for meanwhile.
    pub fn awaits_moment(&self) -> bool {
        // Before a Close and a Sync at most.
        const LAST: usize = 3;
        let is_asked = |expect: &Expect| matches!(expect, Expect::Moment(Part::Execute));
        self.expected.iter().rev().take(LAST).any(is_asked)
    }

    /// The part of the question that the server is answering.
    fn moment_part(&mut self) -> Option<Part> {
        // A Query message's statements before it have all answered.
        if matches!(self.expected.front(), Some(Expect::Simple(runs)) if runs.is_empty())
            && matches!(self.expected.get(1), Some(Expect::Moment(_)))
        {
            self.expected.pop_front();
        }
        match self.expected.front() {
            Some(Expect::Moment(part)) => Some(*part),
            Some(_) | None => None,
        }
    }

    /// Takes an answer that is the question's: whether it was.
    pub(crate) fn answers_moment(&mut self, part: Part) -> bool {
        let is = self.moment_part() == Some(part);
        if is {
            self.expected.pop_front();
        }
        if let (true, Part::Parse, Statement::Sent(name)) = (is, part, self.moments.statement) {
            self.moments.statement = Statement::Ready(name);
        }
        is
    }

    /// Whether the answers that come are those of the question itself.
    pub(crate) fn tells_moment(&mut self) -> bool {
        self.moment_part() == Some(Part::Execute)
    }

    /// The moment: a row of one value.
    pub(crate) fn moment(&mut self, row: &DataRow<'_>, effects: &mut Vec<Effect>) -> Handled {
        let mut cells = row.cells();
        let (Some(cell), None) = (cells.next(), cells.next()) else { return Err(Unexpected) };
        let text = cell.map(std::str::from_utf8).transpose().map_err(|_| Unexpected)?;
        let moment = text.map(Into::into);
        effects.push(Effect::Moment { proof: self.outbox.gates(), moment });
        Ok(())
    }

    /// The question has failed. Without the statement the client is told nothing; a question that
    /// was there has failed as the client's own next message would have.
    pub(crate) fn failed_moment(&mut self) -> bool {
        match self.moment_part() {
            Some(Part::Parse) => {
                self.moments.statement = Statement::Refused;
                self.expected.pop_front();
                true
            }
            Some(Part::Bind | Part::Execute) => {
                // It may be gone.
                self.moments.forget();
                false
            }
            Some(Part::Ready | Part::Close) | None => false,
        }
    }
}
