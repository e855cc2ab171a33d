//! The end of a connection: what is told and left, and who may have the server's side of it.

use std::sync::atomic::Ordering;

use postern_ledger::Note;
use postern_session::Effect;
use postern_wire::encode;
use tokio::io::AsyncWriteExt;

use super::{Connection, ConnectionError, LAST_WORD_MAX};
use crate::{
    registry::Registered,
    spare::{self, Owner, Spares},
    upstream::Connected,
};

/// Ends a session, and keeps its connection to the server where another may have it.
pub(super) async fn leave(
    mut connection: Box<Connection<'_>>,
    registered: Registered<'_>,
    (spares, owner): (&Spares, Option<Owner>),
    result: &Result<(), ConnectionError>,
) {
    if let Err(error) = result {
        connection.failed(error).await;
    }
    Box::pin(connection.settle_unended()).await;
    let (shared, number, actor) =
        (connection.shared, connection.number, connection.account().clone());
    let named = connection.who.actor.clone();
    let cancel = connection.server.as_ref().map(|server| server.cancel.clone());
    let server = connection.end(result.is_ok()).await;
    // Nobody can have it cancelled any more.
    drop(registered);
    shared.tells_refused(&named, number);
    shared.tells_refused(&actor, number);
    shared.note(Note::LoggedOut { actor, connection: number });
    let is_told = cancel.is_some_and(|cancel| cancel.told.load(Ordering::Relaxed));
    match (server, owner) {
        (Some(server), Some(owner)) if !is_told => spares.keep(owner, server).await,
        (Some(server), _) => spare::end(server).await,
        (None, _) => {}
    }
}

impl Connection<'_> {
    /// Leaves nothing running on the server; gives its connection back if nothing is left of the
    /// session, which has ended `well`.
    async fn end(mut self: Box<Self>, well: bool) -> Option<Connected> {
        let reusable = well && self.leaves_nothing();
        let over = self.session.is_over();
        // What it had when its actor was put out is ended by whoever did that.
        let server = self.server.as_ref();
        let is_told = server.is_some_and(|server| server.cancel.told.load(Ordering::Relaxed));
        let is_ended = self.cut && is_told;
        if !over && !is_ended && !self.session.is_idle() {
            self.cancel_upstream();
        }
        let mut last = Vec::new();
        self.session.abandon(&mut last);
        for effect in last {
            if let Effect::Tell(hold) = effect {
                self.tell(hold);
            }
        }
        let _ = tokio::time::timeout(LAST_WORD_MAX, self.client.stream.shutdown()).await;
        self.reach.set(None);
        let mut server = self.server?;
        let mut output = std::mem::take(&mut server.side.output);
        // Its place among others is free when it has ended.
        let (mut connected, _place) = server.apart();
        if reusable {
            return Some(connected);
        }
        // What a client sends before it says goodbye is done, though nobody waits for it.
        if !over {
            output.clear();
            encode::terminate(&mut output);
        }
        let last = async {
            connected.stream.write_all_buf(&mut output).await?;
            connected.stream.shutdown().await
        };
        let _ = tokio::time::timeout(LAST_WORD_MAX, last).await;
        None
    }

    /// Whether another session may have its connection to the server.
    fn leaves_nothing(&self) -> bool {
        let quiet = self.server.as_ref().is_some_and(|server| server.side.is_empty());
        let shared = self.shared;
        quiet
            && self.session.is_answered()
            && self.leaves.is_none()
            && self.turns.is_none()
            && !shared.suspended().contains_key(self.account())
    }
}
