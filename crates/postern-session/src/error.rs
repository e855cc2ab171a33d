//! What may be said to a client when something is refused or fails.

use std::borrow::Cow;

use bytes::BytesMut;
use postern_sql::Refusal;
use postern_wire::{
    SqlState,
    encode::{self, Report, Severity},
};
use thiserror::Error;

/// A failure that may be told to a client: a message, a SQLSTATE and perhaps a hint, none of which
/// says anything of the inside. Never implemented for an error that wraps arbitrary causes.
pub trait ClientFacing {
    /// The condition's code.
    fn sqlstate(&self) -> SqlState;
    /// One sentence: what failed.
    fn message(&self) -> Cow<'_, str>;
    /// What to do about it.
    fn hint(&self) -> Option<Cow<'_, str>> {
        None
    }
    /// Where in the client's text it is, in characters counted from 1.
    fn position(&self) -> Option<usize> {
        None
    }
    /// Whether the connection ends with it.
    fn severity(&self) -> Severity {
        Severity::Error
    }
    /// For metrics and the log.
    fn kind(&self) -> ErrorKind;

    /// Appends the ErrorResponse message.
    fn encode(&self, out: &mut BytesMut) {
        encode::error_response(
            out,
            &Report {
                severity: self.severity(),
                sqlstate: self.sqlstate(),
                message: &self.message(),
                detail: None,
                hint: self.hint().as_deref(),
                position: self.position(),
            },
        );
    }
}

/// A coarse kind of error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Policy said no.
    Refused,
    /// A budget is spent.
    Budget,
    /// The client broke the protocol or asked for something that does not exist.
    Client,
    /// The server or the connection to it failed.
    Upstream,
    /// Postern itself can't do its work, e.g. the ledger's disk is full.
    Internal,
}

/// What a session itself tells its client.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Failure {
    #[error("the budget of {max} {counter} in {window} is spent")]
    BudgetSpent { counter: &'static str, max: u64, window: String },
    #[error("a reason that this statement relied on has ended")]
    ReasonEnded,
    #[error("the disclosure could not be recorded, so nothing was released")]
    NotRecorded,
    #[error("the ledger is full, so nothing was released")]
    LedgerFull,
    #[error("the ledger's second copy is away, so nothing was released")]
    NoCopy,
    #[error("so many records wait for the ledger's witness, which has not seen them in time")]
    Unwitnessed,
    #[error("{} does not exist", prepared(.0))]
    NoStatement(String),
    #[error("portal \"{0}\" does not exist")]
    NoPortal(String),
    #[error("cursor \"{0}\" does not exist")]
    NoCursor(String),
    #[error("prepared statement \"{0}\" already exists")]
    StatementExists(String),
    #[error("cursor \"{0}\" already exists")]
    CursorExists(String),
    #[error("wrong number of parameters for prepared statement \"{0}\"")]
    ArgumentCount(String),
    #[error(
        "bind message supplies {given} parameters, but prepared statement \"{statement}\" requires \
         {needed}"
    )]
    ParameterCount { given: usize, statement: String, needed: usize },
    #[error("whom a statement searches for or asks about must be a constant in EXECUTE")]
    LookupArgument,
    #[error("{}", .0.refusal.message)]
    Unreadable(Box<crate::judge::Refused>),
    #[error("{}", .0.message)]
    Said(Box<Refusal>),
    #[error("the token names no end user: {why}")]
    Token { why: String },
    #[error("rows of single records can't be passed over: a cursor on them goes from row to row")]
    CursorJump,
    #[error("only a query that was prepared can be executed by EXECUTE")]
    NotExecutable,
    #[error("cannot insert multiple commands into a prepared statement")]
    ManyStatements,
    #[error("cached plan must not change result type")]
    PlanChanged,
    #[error("the search path was changed since the cursor or portal was opened")]
    PathChanged,
    #[error("definitions in the database have changed while this statement ran")]
    CatalogueChanged,
    #[error("the database's definitions can't be checked at the moment, so nothing was released")]
    CatalogueUnknown,
    #[error("{0}")]
    Protocol(&'static str),
    #[error("too many prepared statements or portals are open in this session")]
    TooManyNames,
    #[error("one row is folded of more records than can be recorded with it")]
    FoldsTooMany,
    #[error("prepared statements and portals of this session are too large together")]
    NamesTooLarge,
    #[error("this account is not available")]
    Suspended,
    #[error("the database server sent something that was not expected")]
    Upstream,
    #[error("the connection to the database server was lost")]
    UpstreamLost,
    #[error(
        "no connection to the database server was free within {waited:?}: all {max} are in use"
    )]
    NoConnection { waited: std::time::Duration, max: usize },
    #[error("Postern is shutting down")]
    ShuttingDown,
    #[error("the configuration has changed since this session began")]
    Outdated,
    #[error("this session has kept a connection to the database server and said nothing for {0:?}")]
    Silent(std::time::Duration),
}

/// As PostgreSQL names it.
fn prepared(name: &str) -> String {
    if name.is_empty() {
        "unnamed prepared statement".to_owned()
    } else {
        format!("prepared statement \"{name}\"")
    }
}

impl Failure {
    /// What the ledger learns of it, if it is a refusal.
    pub(crate) fn refused(self) -> Option<crate::judge::Refused> {
        if let Self::Unreadable(refused) = self {
            return Some(*refused);
        }
        let Self::Said(refusal) = self else { return None };
        let fingerprint = postern_model::StatementFingerprint::default();
        Some(crate::judge::Refused { refusal: *refusal, fingerprint, statement: "".into() })
    }

    /// Whether nothing could be recorded, so that there is nothing to release either.
    pub(crate) fn is_unrecorded(&self) -> bool {
        matches!(self, Self::NotRecorded | Self::LedgerFull | Self::NoCopy | Self::Unwitnessed)
    }
}

impl ClientFacing for Failure {
    fn sqlstate(&self) -> SqlState {
        match self {
            Self::BudgetSpent { .. } => SqlState::CONFIGURATION_LIMIT_EXCEEDED,
            Self::ReasonEnded => SqlState::SERIALIZATION_FAILURE,
            Self::NotRecorded => SqlState::IO_ERROR,
            Self::NoCopy | Self::Unwitnessed => SqlState::IO_ERROR,
            Self::LedgerFull => SqlState::DISK_FULL,
            Self::NoStatement(_) => SqlState::INVALID_STATEMENT_NAME,
            Self::NoPortal(_) | Self::NoCursor(_) => SqlState::INVALID_CURSOR_NAME,
            Self::StatementExists(_) => SqlState::DUPLICATE_STATEMENT,
            Self::CatalogueChanged => SqlState::SERIALIZATION_FAILURE,
            Self::CatalogueUnknown => SqlState::CANNOT_CONNECT_NOW,
            Self::CursorExists(_) => SqlState::DUPLICATE_CURSOR,
            Self::ManyStatements | Self::ArgumentCount(_) => SqlState::SYNTAX_ERROR,
            Self::Unreadable(refused) => refused.refusal.sqlstate(),
            Self::Said(refusal) => refusal.sqlstate(),
            Self::Token { .. } => SqlState::INVALID_AUTHORIZATION,
            Self::LookupArgument | Self::CursorJump => SqlState::INSUFFICIENT_PRIVILEGE,
            Self::PlanChanged | Self::PathChanged | Self::NotExecutable => {
                SqlState::FEATURE_NOT_SUPPORTED
            }
            Self::Protocol(_) | Self::ParameterCount { .. } => SqlState::PROTOCOL_VIOLATION,
            Self::TooManyNames | Self::NamesTooLarge | Self::FoldsTooMany => {
                SqlState::PROGRAM_LIMIT_EXCEEDED
            }
            Self::Suspended | Self::ShuttingDown | Self::Outdated => SqlState::ADMIN_SHUTDOWN,
            Self::Silent(_) => SqlState::IDLE_SESSION_TIMEOUT,
            Self::Upstream | Self::UpstreamLost => SqlState::CONNECTION_FAILURE,
            Self::NoConnection { .. } => SqlState::TOO_MANY_CONNECTIONS,
        }
    }

    fn message(&self) -> Cow<'_, str> {
        self.to_string().into()
    }

    fn hint(&self) -> Option<Cow<'_, str>> {
        let hint = match self {
            Self::BudgetSpent { .. } => {
                "wait until the window has passed, or ask the administrator"
            }
            Self::ReasonEnded => "run the statement again",
            Self::NotRecorded => "tell the administrator: the ledger needs attention",
            Self::LedgerFull => {
                "the administrator must make room on the ledger's disk; it then goes on by itself"
            }
            Self::NoCopy => {
                "the administrator must bring the ledger's follower back; it then goes on by itself"
            }
            Self::Unwitnessed => {
                "ask for fewer records, or try again when the administrator has brought the \
                 ledger's witness back"
            }
            Self::PlanChanged => "prepare the statement again",
            Self::PathChanged => "open it again, or SET search_path back to what it was",
            Self::CatalogueChanged => "run it again; in a transaction, the whole transaction",
            Self::CatalogueUnknown => "try again soon",
            Self::CursorJump => "use FETCH NEXT, FETCH FORWARD or FETCH ALL",
            Self::LookupArgument => "write the value itself, without a function or an operator",
            Self::Unreadable(refused) => return refused.refusal.hint(),
            Self::Said(refusal) => return refusal.hint(),
            Self::Token { .. } => "protected tables are not shown until another token is given",
            Self::NoConnection { .. } => {
                "try again; end transactions soon, and say DISCARD ALL after what keeps a \
                 connection, or have the administrator raise `server_max`"
            }
            Self::Outdated => "connect again",
            Self::Silent(_) => {
                "send Sync behind what is sent, and say DISCARD ALL after what keeps a connection"
            }
            Self::NamesTooLarge => "close those that are not needed any more",
            Self::NoStatement(_)
            | Self::NoPortal(_)
            | Self::NoCursor(_)
            | Self::StatementExists(_)
            | Self::CursorExists(_)
            | Self::ArgumentCount(_)
            | Self::ParameterCount { .. }
            | Self::NotExecutable
            | Self::ManyStatements
            | Self::Protocol(_)
            | Self::TooManyNames
            | Self::FoldsTooMany
            | Self::Suspended
            | Self::Upstream
            | Self::UpstreamLost
            | Self::ShuttingDown => return None,
        };
        Some(hint.into())
    }

    fn severity(&self) -> Severity {
        match self {
            Self::Suspended
            | Self::Upstream
            | Self::UpstreamLost
            | Self::ShuttingDown
            | Self::Outdated
            | Self::Silent(_) => Severity::Fatal,
            Self::BudgetSpent { .. }
            | Self::ReasonEnded
            | Self::NotRecorded
            | Self::LedgerFull
            | Self::NoCopy
            | Self::Unwitnessed
            | Self::NoStatement(_)
            | Self::NoPortal(_)
            | Self::NoCursor(_)
            | Self::StatementExists(_)
            | Self::CursorExists(_)
            | Self::ArgumentCount(_)
            | Self::ParameterCount { .. }
            | Self::LookupArgument
            | Self::Unreadable(_)
            | Self::Said(_)
            | Self::Token { .. }
            | Self::CursorJump
            | Self::NotExecutable
            | Self::ManyStatements
            | Self::PlanChanged
            | Self::PathChanged
            | Self::CatalogueChanged
            | Self::CatalogueUnknown
            | Self::Protocol(_)
            | Self::TooManyNames
            | Self::FoldsTooMany
            | Self::NamesTooLarge
            | Self::NoConnection { .. } => Severity::Error,
        }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::BudgetSpent { .. } => ErrorKind::Budget,
            Self::ReasonEnded
            | Self::Suspended
            | Self::CursorJump
            | Self::Unreadable(_)
            | Self::Said(_)
            | Self::Token { .. } => ErrorKind::Refused,
            Self::NotRecorded
            | Self::LedgerFull
            | Self::NoCopy
            | Self::Unwitnessed
            | Self::ShuttingDown
            | Self::Outdated
            | Self::Silent(_) => ErrorKind::Internal,
            Self::NoStatement(_)
            | Self::NoPortal(_)
            | Self::NoCursor(_)
            | Self::StatementExists(_)
            | Self::CursorExists(_)
            | Self::ArgumentCount(_)
            | Self::ParameterCount { .. }
            | Self::LookupArgument
            | Self::NotExecutable
            | Self::ManyStatements
            | Self::PlanChanged
            | Self::PathChanged
            | Self::CatalogueChanged
            | Self::Protocol(_)
            | Self::TooManyNames
            | Self::FoldsTooMany
            | Self::NamesTooLarge => ErrorKind::Client,
            Self::CatalogueUnknown
            | Self::Upstream
            | Self::UpstreamLost
            | Self::NoConnection { .. } => ErrorKind::Upstream,
        }
    }
}

impl ClientFacing for Refusal {
    fn sqlstate(&self) -> SqlState {
        SqlState::parse(self.sqlstate).unwrap_or(SqlState::INSUFFICIENT_PRIVILEGE)
    }

    fn message(&self) -> Cow<'_, str> {
        (&*self.message).into()
    }

    fn hint(&self) -> Option<Cow<'_, str>> {
        (!self.hint.is_empty()).then(|| (&*self.hint).into())
    }

    fn position(&self) -> Option<usize> {
        self.position
    }

    fn kind(&self) -> ErrorKind {
        ErrorKind::Refused
    }
}
