//! The end of a connection: what is told and left, and who may have the server's side of it.

use std::sync::atomic::Ordering;

use postern_ledger::Note;
use postern_session::Effect;
use postern_wire::encode;
use tokio::io::AsyncWriteExt;

use super::{Connection, ConnectionError, LAST_WORD_MAX, Side};
use crate::{
    registry::Registered,
    spare::{self, Owner, Spares},
    upstream::Connected,
};

/// Ends a session, and keeps its connection to the server where another may have it.
pub(super) async fn leave(
    mut connection: Connection<'_>,
    registered: Registered<'_>,
    (spares, owner): (&Spares, Owner),
    result: &Result<(), ConnectionError>,
) {
    if let Err(error) = result {
        connection.failed(error).await;
    }
    let (shared, number, actor) = (connection.shared, connection.number, connection.actor.clone());
    let cancelled = connection.cancelled.clone();
    let server = connection.end(result.is_ok()).await;
    // Nobody can have it cancelled any more.
    drop(registered);
    shared.note(Note::LoggedOut { actor, connection: number });
    match server {
        Some(server) if !cancelled.load(Ordering::Relaxed) => spares.keep(owner, server).await,
        Some(server) => spare::end(server).await,
        None => {}
    }
}

impl Connection<'_> {
    /// Leaves nothing running on the server; gives its connection back if nothing is left of the
    /// session, which has ended `well`.
    async fn end(mut self, well: bool) -> Option<Connected> {
        let reusable = well && self.leaves_nothing();
        let over = self.session.is_over();
        if !over && !self.session.is_idle() {
            self.cancel_upstream();
        }
        let mut last = Vec::new();
        self.session.abandon(&mut last);
        for effect in last {
            if let Effect::Tell(hold) = effect {
                self.tell(hold);
            }
        }
        let _ = tokio::time::timeout(LAST_WORD_MAX, self.client.writer.shutdown()).await;
        let Side { reader, writer, input, mut output } = self.server;
        let mut stream = reader.unsplit(writer);
        if reusable {
            let (buffer, cancel, parameters) = (input, self.cancel, self.parameters);
            return Some(Connected { stream, buffer, cancel, parameters });
        }
        // What a client sends before it says goodbye is done, though nobody waits for it.
        if !over {
            output.clear();
            encode::terminate(&mut output);
        }
        let last = async {
            stream.write_all_buf(&mut output).await?;
            stream.shutdown().await
        };
        let _ = tokio::time::timeout(LAST_WORD_MAX, last).await;
        None
    }

    /// Whether another session may have its connection to the server.
    fn leaves_nothing(&self) -> bool {
        let quiet = self.server.input.is_empty() && self.server.output.is_empty();
        let shared = self.shared;
        quiet
            && self.session.is_answered()
            && !self.draining
            && !shared.suspended().contains_key(&self.actor)
    }
}
