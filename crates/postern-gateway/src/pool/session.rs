//! What a session finds on a connection that it is given, and what it leaves there.

use std::{
    hash::{Hash, Hasher},
    rc::Rc,
    time::Duration,
};

use bytes::BytesMut;
use postern_sql::quote::literal;
use postern_wire::{Backend, FrameReader, SqlState, TransactionStatus, encode};
use thiserror::Error;
use tokio::io::AsyncWriteExt;

use super::{Server, TakeError};
use crate::upstream::ConnectError;

/// How long the server may take for what the gateway asks between two sessions.
const ASK_MAX: Duration = Duration::from_secs(2);

/// Undoes what functions and triggers may have left, beside prepared statements, whose names nobody
/// can say: all that DISCARD ALL undoes.
const CLEAN: &str = "RESET statement_timeout; SET SESSION AUTHORIZATION DEFAULT; CLOSE ALL; \
    UNLISTEN *; \
    SELECT pg_catalog.pg_advisory_unlock_all(); DISCARD SEQUENCES; DISCARD TEMP; ";

/// How many statements these are, with the one that begins random numbers anew.
const CLEAN_STATEMENTS: usize = 8;

/// The settings that the session has made, and what else it has that no other connection can be
/// given: that is told by a row without a value.
///
/// The session's own time for a statement is not that for this question: it is put aside until the
/// end of the message, and told first, with the one that is the gateway's.
const LEFT: &str = "SELECT pg_catalog.current_setting('statement_timeout'), \
        pg_catalog.set_config('statement_timeout', '0', true); \
    SELECT name, setting FROM pg_catalog.pg_settings \
    WHERE source OPERATOR(pg_catalog.=) 'session' \
        AND name OPERATOR(pg_catalog.<>) 'statement_timeout' \
    UNION ALL SELECT 'statement_timeout', reset_val FROM pg_catalog.pg_settings \
        WHERE name OPERATOR(pg_catalog.=) 'statement_timeout' \
    UNION ALL SELECT 'a temporary object', NULL WHERE EXISTS (SELECT FROM pg_catalog.pg_class \
        WHERE relnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()) \
    OR EXISTS (SELECT FROM pg_catalog.pg_type \
        WHERE typnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()) \
    OR EXISTS (SELECT FROM pg_catalog.pg_proc \
        WHERE pronamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()) \
    UNION ALL SELECT 'a cursor', NULL FROM pg_catalog.pg_cursors WHERE is_holdable \
    UNION ALL SELECT 'LISTEN', NULL FROM pg_catalog.pg_listening_channels() \
    UNION ALL SELECT 'an advisory lock', NULL FROM pg_catalog.pg_locks \
        WHERE locktype OPERATOR(pg_catalog.=) 'advisory' \
        AND pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()";

const TIMEOUT: &str = "statement_timeout";

/// Settings by name and value, shared and compared as a whole.
#[derive(Debug, Clone, Default)]
pub(crate) struct Set(Option<Rc<Vec<(String, String)>>>);

impl Set {
    /// Of two values for one setting the last is it.
    pub(crate) fn new(settings: Vec<(String, String)>) -> Self {
        let mut set: Vec<(String, String)> = Vec::with_capacity(settings.len());
        for (name, value) in settings {
            set.retain(|(known, _)| !known.eq_ignore_ascii_case(&name));
            set.push((name.to_ascii_lowercase(), value));
        }
        Self((!set.is_empty()).then(|| Rc::new(set)))
    }

    pub(crate) fn pairs(&self) -> &[(String, String)] {
        self.0.as_ref().map_or(&[], |set| set)
    }

    /// As a text that no other set has; the empty one for none.
    pub(crate) fn written(&self) -> std::sync::Arc<str> {
        let each = self.pairs().iter().map(|(name, value)| format!("{name}={value}\0"));
        each.collect::<String>().into()
    }

    /// With these in the place of its own.
    fn over(&self, settings: &Self) -> Self {
        Self::new(self.pairs().iter().chain(settings.pairs()).cloned().collect())
    }
}

impl PartialEq for Set {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(one), Some(two)) => Rc::ptr_eq(one, two) || one == two,
            (None, Some(_)) | (Some(_), None) => false,
        }
    }
}

impl Eq for Set {}

impl Hash for Set {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.pairs().hash(state);
    }
}

/// What a session has left on its connection.
#[derive(Debug)]
pub(crate) struct Left {
    /// The settings that it is to find on the next one.
    pub(crate) wanted: Set,
    /// What no other connection can be given.
    pub(crate) pins: Option<String>,
}

/// Why a session can't have a connection.
#[derive(Debug, Error)]
pub(crate) enum FitError {
    #[error(transparent)]
    Take(#[from] TakeError),
    #[error("the connection to the database server was lost")]
    Lost,
    #[error("the database server refused a setting with {sqlstate}: {message}")]
    Refused { sqlstate: SqlState, message: String },
}

impl From<ConnectError> for FitError {
    fn from(error: ConnectError) -> Self {
        Self::Take(error.into())
    }
}

impl Server {
    /// Whether a session with these settings can have it as it is.
    pub(super) fn fits(&self, session: u64, set: &Set) -> bool {
        self.set == *set && (self.last == session || !self.hidden)
    }

    /// Whether a session has had it before.
    pub(super) fn has_served(&self) -> bool {
        self.last != 0
    }

    /// Makes it fit: nothing of the session before is on it, and these settings are.
    pub(crate) async fn fit(
        &mut self,
        session: u64,
        set: &Set,
        message_bytes_max: usize,
    ) -> Result<(), FitError> {
        if !self.fits(session, set) {
            let cleans = self.hidden && self.last != session;
            let mut sql = String::new();
            if cleans {
                let seed: f64 = rand::random_range(-1.0..1.0);
                sql.push_str(CLEAN);
                sql.push_str(&format!("SELECT pg_catalog.setseed({seed:?}); "));
            }
            let mut statements = if cleans { CLEAN_STATEMENTS } else { 0 };
            // The session's own stay, also those that the server doesn't list.
            let keeps = |own: &(String, String)| set.pairs().contains(own);
            if self.last != session || !self.set.pairs().iter().all(keeps) {
                sql.push_str("RESET ALL; ");
                statements += 1;
            }
            statements += set.pairs().len();
            for (name, value) in set.pairs() {
                let (name, value) = (literal(name), literal(value));
                sql.push_str(&format!("SELECT pg_catalog.set_config({name}, {value}, false); "));
            }
            if statements > 0 {
                self.ask((&sql, statements), message_bytes_max).await?;
            }
            self.hidden &= !cleans;
            self.set = set.clone();
        }
        self.last = session;
        Ok(())
    }

    /// What the session has left on it that began with these settings.
    pub(crate) async fn left(
        &mut self,
        base: &Set,
        message_bytes_max: usize,
    ) -> Result<Left, FitError> {
        let mut settings = Vec::new();
        let mut pins = None;
        let mut rows = self.ask((LEFT, 2), message_bytes_max).await?.into_iter();
        let timeout = rows.next().and_then(|row| row.into_iter().next()).flatten();
        for row in rows {
            let mut cells = row.into_iter();
            match (cells.next().flatten(), cells.next().flatten()) {
                (Some(name), Some(own)) if name == TIMEOUT => {
                    let session = timeout.as_deref().and_then(postern_sql::millis);
                    if session != postern_sql::millis(&own) {
                        settings.extend(session.map(|ms| (name, ms.to_string())));
                    }
                }
                (Some(name), Some(value)) => settings.push((name, value)),
                (what, _) => pins = pins.or(what),
            }
        }
        self.set = Set::new(settings);
        Ok(Left { wanted: base.over(&self.set), pins })
    }

    /// Keeps what the server says of its settings.
    pub(crate) fn heard(&mut self, name: &str, value: &str) {
        match self.parameters.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => value.clone_into(known),
            None => self.parameters.push((name.to_owned(), value.to_owned())),
        }
    }

    async fn ask(
        &mut self,
        sql: (&str, usize),
        message_bytes_max: usize,
    ) -> Result<Vec<Vec<Option<String>>>, FitError> {
        match tokio::time::timeout(ASK_MAX, self.answer(sql, message_bytes_max)).await {
            Ok(answer) => answer,
            Err(_) => Err(FitError::Lost),
        }
    }

    async fn answer(
        &mut self,
        (sql, statements): (&str, usize),
        message_bytes_max: usize,
    ) -> Result<Vec<Vec<Option<String>>>, FitError> {
        let lost = |_| FitError::Lost;
        let mut out = BytesMut::new();
        encode::query(&mut out, sql).map_err(|_| FitError::Lost)?;
        self.side.stream.write_all(&out).await.map_err(lost)?;
        let frames = FrameReader::new(message_bytes_max);
        let mut rows = Vec::new();
        let mut refused = None;
        let mut done = 0;
        loop {
            let Some(frame) = frames.next(&mut self.side.input).map_err(|_| FitError::Lost)? else {
                if self.side.read().await.map_err(lost)? == 0 {
                    return Err(FitError::Lost);
                }
                continue;
            };
            let message = Backend::parse(&frame).map_err(|_| FitError::Lost)?;
            if let Backend::DataRow(row) = message {
                let cells = row
                    .cells()
                    .map(|cell| cell.map(|cell| String::from_utf8(cell.to_vec())).transpose());
                rows.push(cells.collect::<Result<_, _>>().map_err(|_| FitError::Lost)?);
            } else if let Backend::ParameterStatus { name, value } = message {
                self.heard(name, value);
            } else if let Backend::ErrorResponse(fields) = message {
                let sqlstate = fields.sqlstate().unwrap_or(SqlState::INTERNAL_ERROR);
                let message = fields.message().unwrap_or("no message").to_owned();
                refused = Some(FitError::Refused { sqlstate, message });
            } else if let Backend::ReadyForQuery(status) = message {
                // One that was said before is no answer to this.
                let is_all = status == TransactionStatus::Idle
                    && self.side.input.is_empty()
                    && done == statements;
                return match refused {
                    Some(refused) => Err(refused),
                    None if is_all => Ok(rows),
                    None => Err(FitError::Lost),
                };
            } else if let Backend::CommandComplete(_) = message {
                done += 1;
            } else if !matches!(
                message,
                Backend::RowDescription(_)
                    | Backend::NoticeResponse(_)
                    | Backend::NotificationResponse { .. }
            ) {
                return Err(FitError::Lost);
            }
        }
    }
}
