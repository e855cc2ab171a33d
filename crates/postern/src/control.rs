//! How a running gateway is told what to do: a Unix socket in the data folder, one JSON object a
//! line, a request and its reply.
//!
//! Whoever can write to the socket can suspend, resume and erase; it has the folder's owner only.
//! An attacker who can is that owner, who can as well stop the gateway; what they can't do is hide
//! it: every order becomes an entry of the ledger. Who gives it is not believed: [`peer`] asks the
//! system.

use std::{
    fmt,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use postern_ledger::Note;
use postern_model::{Actor, Subject, Timestamp};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::cli::Shown;

mod copy;
mod person;

pub(crate) use self::{
    copy::CopyStatus,
    person::{os_user, peer},
};

/// The longest line that either side reads.
pub(crate) const LINE_BYTES_MAX: u64 = 1 << 20;
/// The longest that it is to answer: a row for each of its clients.
const REPLY_BYTES_MAX: u64 = 1 << 26;

/// How long the gateway may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long it may take for what has to be read from the database, after others that want it too.
const LONG_PATIENCE: Duration = Duration::from_secs(60);

/// An order, or a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Request {
    /// Cut the actor's sessions and let them in no more.
    Suspend { actor: String, why: String },
    /// Let the actor in again.
    Resume { actor: String },
    /// Read the configuration again.
    Reload {},
    /// Stop taking connections, and hand over the socket for them to a gateway that is configured
    /// to listen there.
    HandOver { listen: String },
    /// How are you?
    Status {},
    /// What of this is there?
    Show { what: Shown },
    /// Take the customer's name out of the ledger.
    Erase { subject: String, why: String },
    /// Forget what is past retention.
    Retain {},
    /// Who asks is about to change the list of people, or has just `changed` it: look at it now.
    People { changed: bool },
    /// Let the actor in to the customer for so many seconds, once somebody else approves.
    Ask { actor: String, subject: String, seconds: u64, why: String },
    /// Let the result of the statement leave to the actor, once, if somebody else approves it.
    AskQuery(AskedQuery),
    /// Let the actor in to the customer at once.
    BreakGlass { actor: String, subject: String, why: String },
    /// Approve, review or revoke what has that number.
    Decide {
        act: String,
        number: u64,
        why: String,
        /// The beginning of the hash of the result that was seen.
        #[serde(default)]
        seen: Option<String>,
    },
    /// What was asked for, approved and taken?
    Approvals {},
    /// Put into the ledger what a person asks it.
    Record(Asked),
    /// Put into the ledger that a person looks at this.
    Look { what: String },
    /// Put into the ledger what a customer tells. The time is in microseconds since 1970.
    Complaint { subject: String, at: i64, kind: String, fields: Vec<String>, caller: String },
    /// Put into the ledger the hash, in hex, of a plan of decoys.
    Planted { digest: String, count: u64 },
    /// Put into the ledger that a decoy was contacted.
    DecoyHit { subject: String, how: String, why: String },
    /// Put into the ledger the finding that this is.
    DecoyFound { why: String, evidence: Vec<String> },
    /// Do this with a case.
    Case { act: String, number: u64, why: String },
}

/// A statement, what it may show, and up to so many seconds from now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AskedQuery {
    pub(crate) actor: String,
    pub(crate) sql: String,
    pub(crate) fields: Vec<String>,
    pub(crate) rows: u64,
    pub(crate) seconds: u64,
    pub(crate) why: String,
}

/// What a person asks the ledger. Times are in microseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    /// A running gateway knows better, and does not look at it.
    pub(crate) by: String,
    pub(crate) actor: Option<String>,
    pub(crate) subject: Option<String>,
    pub(crate) since: Option<i64>,
    pub(crate) until: Option<i64>,
}

impl Asked {
    /// By who runs this process, about an account or a customer, without bounds in time.
    pub(crate) fn about(actor: Option<&str>, subject: Option<&str>) -> Self {
        let owned = |text: Option<&str>| text.map(ToOwned::to_owned);
        let (actor, subject) = (owned(actor), owned(subject));
        Self { by: os_user(), actor, subject, since: None, until: None }
    }
}

impl From<Asked> for Note {
    fn from(asked: Asked) -> Self {
        let Asked { by, actor, subject, since, until } = asked;
        Self::Asked {
            by: Actor::new(by),
            actor: actor.map(Actor::new),
            subject: subject.map(Subject::new),
            since: since.map(Timestamp),
            until: until.map(Timestamp),
        }
    }
}

/// What the gateway answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Reply {
    /// It is in the ledger, and the sessions are gone.
    Suspended {
        sessions_cut: usize,
    },
    /// It is in the ledger.
    Resumed {},
    /// The socket comes with this; the gateway ends with its last session.
    HandedOver {},
    /// The list of people in force is the one on the disk.
    Read {},
    Reloaded(Taken),
    Status(Box<Status>),
    Table(Table),
    /// It is in the ledger, as this entry.
    Recorded {
        entry: u64,
    },
    /// Whether anything was forgotten just now, and up to when all is.
    Retained {
        forgot: bool,
        until: Option<String>,
    },
    /// It is in the ledger; about this number, up to this moment.
    Done {
        number: u64,
        until: String,
    },
    Approvals {
        all: Vec<Approval>,
    },
    /// It was understood and is not done.
    Refused {
        why: String,
    },
}

/// What a reload has put in force. Times are RFC 3339.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Taken {
    /// Of the configuration and its policy, as the ledger has it.
    pub(crate) hash: String,
    pub(crate) since: String,
    /// The keys and sections that differ.
    pub(crate) changed: Vec<String>,
    /// Tables that were protected before and are not now.
    pub(crate) unprotected: Vec<String>,
    /// What is allowed but looks like a mistake.
    pub(crate) warnings: Vec<String>,
    /// Sessions that end when they are idle, and at the latest after that time.
    pub(crate) ending: usize,
    pub(crate) drain_seconds: f64,
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { since, changed, ending, drain_seconds, .. } = self;
        writeln!(f, "in force    since {since}, {}", short(&self.hash))?;
        let changed = match &**changed {
            [] => "nothing that is written there".to_owned(),
            places => places.join(", "),
        };
        write!(f, "changed     {changed}")?;
        if *ending > 0 {
            write!(f, "\nending      {ending} sessions, when idle, within {drain_seconds} s")?;
        }
        Ok(())
    }
}

/// Rows of what the gateway shows; for people and scripts alike. Times are RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Table {
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = || std::iter::once(&self.columns).chain(&self.rows);
        let width = |column: usize| {
            all().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
        };
        let widths: Vec<usize> =
            (0..self.columns.len()).map(|column| width(column).unwrap_or_default()).collect();
        for (number, row) in all().enumerate() {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            let line = cells.collect::<Vec<_>>().join("  ");
            write!(f, "{}{}", if number > 0 { "\n" } else { "" }, line.trim_end())?;
        }
        Ok(())
    }
}

/// How the gateway is doing. Version 1; times are RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Status {
    pub(crate) version: u32,
    pub(crate) listen: String,
    /// Since when it runs.
    pub(crate) since: String,
    /// Since when its configuration is in force, and the hash that the ledger has of it.
    #[serde(default)]
    pub(crate) configured_since: String,
    #[serde(default)]
    pub(crate) configuration: String,
    pub(crate) process_id: u32,
    pub(crate) connections: usize,
    pub(crate) suspended: Vec<Suspension>,
    pub(crate) ledger: LedgerStatus,
    /// Roles for which policy is not enforced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) not_enforced: Vec<NotEnforced>,
    /// Findings since it runs.
    pub(crate) findings: usize,
    /// Why protected data is withheld at the moment; absent when it isn't.
    pub(crate) withheld: Option<String>,
}

/// A role for which policy is not enforced, and what enforcement would have done since the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NotEnforced {
    pub(crate) role: String,
    /// `observe` or `warn`.
    pub(crate) enforcement: String,
    /// Values that would have been masked.
    pub(crate) masked: u64,
    /// Statements that would have been refused.
    pub(crate) refused: u64,
    /// Statements of which it is not known whose data left by them.
    pub(crate) unknown: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Suspension {
    pub(crate) actor: String,
    pub(crate) by: String,
    pub(crate) why: String,
    pub(crate) since: String,
}

/// One request, approval or access that was taken; times are RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Approval {
    pub(crate) number: u64,
    pub(crate) actor: String,
    pub(crate) subject: String,
    pub(crate) asked_by: String,
    pub(crate) asked_at: String,
    pub(crate) until: String,
    pub(crate) why: String,
    /// Who approved or reviewed it.
    pub(crate) second: Option<String>,
    /// `asked`, `approved`, `taken`, `revoked`, `released`, `over`.
    pub(crate) state: String,
    /// It was taken, nobody else has looked at it, and the time for that is over.
    pub(crate) overdue: bool,
    /// It was taken, and nobody else has looked at it.
    pub(crate) needs_review: bool,
    /// The statement that it is about, in place of a customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) query: Option<Query>,
}

/// A statement whose result is to leave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Query {
    pub(crate) sql: String,
    /// Protected columns that it may show, as `schema.table.column`.
    pub(crate) fields: Vec<String>,
    pub(crate) rows_max: u64,
    /// What came of it when it was tried last, in words.
    pub(crate) tried: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LedgerStatus {
    pub(crate) entries: u64,
    /// Up to which entry enough witnesses have confirmed the history; absent without a witness.
    pub(crate) witnessed: Option<u64>,
    /// Since when there are entries that they have not confirmed.
    #[serde(default)]
    pub(crate) unwitnessed_since: Option<String>,
    /// What kept witnesses from it the last time.
    #[serde(default)]
    pub(crate) witness_troubles: Vec<String>,
    /// How many results wait for witnesses.
    #[serde(default)]
    pub(crate) waiting: usize,
    /// How the second copy is doing; absent if nothing waits for one.
    #[serde(default)]
    pub(crate) copy: Option<CopyStatus>,
    /// What there is to warn of the space on its disk.
    #[serde(default)]
    pub(crate) space: Option<String>,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { listen, since, process_id, connections, findings, .. } = self;
        writeln!(f, "running     since {since}, process {process_id}, on {listen}")?;
        let hash = short(&self.configuration);
        writeln!(f, "configured  since {}, {hash}", self.configured_since)?;
        if let Some(why) = &self.withheld {
            writeln!(f, "withheld    protected data, because {why}")?;
        }
        for NotEnforced { role, enforcement, masked, refused, unknown } in &self.not_enforced {
            writeln!(
                f,
                "NOT ENFORCED for the role {role} ({enforcement}): {masked} values would have been \
                 masked, {refused} statements refused; of {unknown} it is not known what left"
            )?;
        }
        writeln!(f, "connected   {connections}")?;
        writeln!(f, "findings    {findings}")?;
        let mut witness = match self.ledger.witnessed {
            Some(entry) => format!("witnessed up to {entry}"),
            None => "unwitnessed".to_owned(),
        };
        if let Some(since) = &self.ledger.unwitnessed_since {
            witness += &format!(", unwitnessed since {since}");
        }
        write!(f, "ledger      {} entries, {witness}", self.ledger.entries)?;
        for trouble in &self.ledger.witness_troubles {
            write!(f, "\nwitness     {trouble}")?;
        }
        if self.ledger.waiting > 0 {
            write!(f, "\nwaiting     {} results for the witnesses", self.ledger.waiting)?;
        }
        if let Some(space) = &self.ledger.space {
            write!(f, "\nspace       {space}")?;
        }
        if let Some(copy) = &self.ledger.copy {
            write!(f, "\nsecond copy {copy}")?;
        }
        for Suspension { actor, by, why, since } in &self.suspended {
            write!(f, "\nsuspended   {actor}, since {since} by {by}: {why}")?;
        }
        Ok(())
    }
}

/// A hash as `postern ledger show` has it.
fn short(hash: &str) -> String {
    match hash.get(..16) {
        Some(first) if hash.len() > 16 => format!("{first}…"),
        Some(_) | None => hash.to_owned(),
    }
}

/// Why a running gateway couldn't be asked.
#[derive(Debug, Error)]
pub(crate) enum ControlError {
    #[error("no gateway answers on `{}`", path.display())]
    NotRunning { path: PathBuf, source: io::Error },
    #[error("the gateway broke off")]
    Broken(#[source] io::Error),
    #[error("the gateway speaks another version of the control protocol")]
    Strange(#[source] serde_json::Error),
}

/// The asking side.
#[derive(Debug)]
pub(crate) struct Client {
    stream: BufReader<UnixStream>,
}

impl Client {
    pub(crate) fn connect(socket: &Path) -> Result<Self, ControlError> {
        let not_running = |source| ControlError::NotRunning { path: socket.to_owned(), source };
        let stream = UnixStream::connect(socket).map_err(not_running)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(not_running)?;
        stream.set_write_timeout(Some(PATIENCE)).map_err(not_running)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    pub(crate) fn ask(&mut self, request: &Request) -> Result<Reply, ControlError> {
        if let Request::Reload {} = request {
            let patience = self.stream.get_ref().set_read_timeout(Some(LONG_PATIENCE));
            patience.map_err(ControlError::Broken)?;
        }
        let line = encode(request).map_err(ControlError::Strange)?;
        self.stream.get_mut().write_all(line.as_bytes()).map_err(ControlError::Broken)?;
        let mut reply = String::new();
        let read = (&mut self.stream).take(REPLY_BYTES_MAX).read_line(&mut reply);
        match read.map_err(ControlError::Broken)? {
            0 => Err(ControlError::Broken(io::ErrorKind::UnexpectedEof.into())),
            _ => serde_json::from_str(&reply).map_err(ControlError::Strange),
        }
    }
}

/// One line of the protocol, with its end.
pub(crate) fn encode(message: &impl Serialize) -> Result<String, serde_json::Error> {
    let mut line = serde_json::to_string(message)?;
    line.push('\n');
    Ok(line)
}

#[cfg(test)]
mod tests;
