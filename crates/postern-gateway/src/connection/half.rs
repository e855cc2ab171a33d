//! A client that sends no more: it may have closed one direction of the connection only, as
//! PostgreSQL lets it, and wait for its answers; or it may be gone.
//!
//! Both look alike until something is written. So while a statement of such a client runs it is
//! told now and then what it knows already; if it is gone, writing fails, and what runs is
//! cancelled.

use std::{future::pending, time::Duration};

use postern_session::Kind;
use postern_wire::encode;

use super::{Connection, turns::is_whole};

/// How often it is looked whether the client is there: one that is gone does not notice more than
/// the first time, and its statement ends after the second.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// When it is time to look.
pub(super) async fn look(is_half: bool) {
    if is_half {
        tokio::time::sleep(LOOK_EVERY).await;
    } else {
        pending::<()>().await;
    }
}

impl Connection<'_> {
    /// The client has ended its direction.
    pub(super) fn sends_no_more(&mut self) {
        self.is_half = true;
        self.tell_nothing_new();
    }

    /// A setting that no judged session can have otherwise. Such a message may come at any time.
    pub(super) fn tell_nothing_new(&mut self) {
        if !self.is_through() {
            // It can't fail: it is short.
            let _ = encode::parameter_status(&mut self.client.output, "client_encoding", "UTF8");
        }
    }

    /// Whether nothing comes any more for a client that sends no more: all that it has sent is
    /// answered, or waits for what it does not send.
    pub(super) fn is_through(&self) -> bool {
        let input = &self.client.input;
        let waits = is_whole(input, self.regime.settings.limits.message_bytes_max);
        let is_over = self.session.is_at_rest() && !waits && !self.is_waiting() && !self.reading;
        let is_over = is_over && self.effects.is_empty() && self.client.is_told();
        // What a session that is passed through is doing is not looked at.
        is_over || self.session.awaits_rows() || self.who.role.kind == Kind::PassThrough
    }
}
