//! A client that keeps a connection to the server and says nothing.
//!
//! The server measures how long a transaction stands idle from its ReadyForQuery on; behind a Flush
//! without a Sync there is none, and the snapshot and the locks stay. And where clients share
//! connections, one that has prepared in SQL, or whose settings no other connection can have, keeps
//! its own between two transactions. The first is ended when it has been silent for as long as a
//! transaction may stand idle, the other if somebody waits for a connection then.

use std::{
    future::pending,
    time::{Duration, Instant},
};

use postern_session::Failure;

use super::{Connection, ConnectionError, turns::is_whole};

/// How often it is looked whether somebody waits for what is kept.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A client that has not asked for answers so long is not about to.
const FLUSHED_AFTER: Duration = Duration::from_secs(1);

/// What a client that says nothing keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    /// A transaction of which the server measures no time.
    Open,
    /// A connection that others could have.
    Shared,
    /// What the server was sent and not told to answer, which may have begun a transaction.
    Unanswered,
}

/// Since when the client has kept something and said nothing.
#[derive(Debug, Default)]
pub(super) struct Silence(Option<Instant>);

impl Silence {
    /// The client has said something: a whole message.
    pub(super) fn is_broken(&mut self) {
        self.0 = None;
    }
}

/// When it is time to look; never, if nothing is kept.
pub(super) async fn look(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => pending().await,
    }
}

impl Connection<'_> {
    fn keeps(&self) -> Option<Kept> {
        // A part of a message says nothing yet, and the rest may never come.
        let limit = self.regime.settings.limits.message_bytes_max;
        let said = is_whole(&self.client.input, limit);
        let idle = !said && !self.reading && self.leaves.is_none();
        if !idle || self.server.is_none() {
            return None;
        }
        if self.session.is_unfinished() {
            return Some(Kept::Open);
        }
        if self.session.owes_flush() {
            return Some(Kept::Unanswered);
        }
        (self.turns.is_some() && self.session.is_free()).then_some(Kept::Shared)
    }

    /// When it is time to look for how long the client has been silent.
    pub(super) fn looks_at(&mut self) -> Option<Instant> {
        let Some(kept) = self.keeps() else {
            self.silence.is_broken();
            return None;
        };
        let now = Instant::now();
        let since = *self.silence.0.get_or_insert(now);
        let over = since + self.regime.settings.limits.idle_in_transaction_timeout;
        Some(match kept {
            Kept::Open => over,
            Kept::Shared => over.max(now + LOOK_EVERY),
            Kept::Unanswered => since + FLUSHED_AFTER,
        })
    }

    /// Ends the session, if it has been silent for too long.
    pub(super) async fn is_silent(&mut self) -> Result<(), ConnectionError> {
        let limit = self.regime.settings.limits.idle_in_transaction_timeout;
        let is_over = self.silence.0.is_some_and(|since| since.elapsed() >= limit);
        let is_wanted = match self.keeps() {
            None => false,
            Some(Kept::Open) => true,
            Some(Kept::Shared) => self.is_waited_for(),
            Some(Kept::Unanswered) => {
                // When it has answered, it is seen for how long nothing comes.
                self.silence.is_broken();
                self.session.flush_unasked(&mut self.latest);
                return self.go_on().await;
            }
        };
        if is_over && is_wanted {
            self.last_word(&Failure::Silent(limit)).await;
        }
        Ok(())
    }
}
