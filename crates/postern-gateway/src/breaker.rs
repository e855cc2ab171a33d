//! Ends on the server what suspended actors have there, all of it with one statement.
//!
//! A cancel request is a connection and a process of the server for each statement, and one that
//! arrives before the statement does is lost. So this keeps a connection of its own, on a thread of
//! its own, on which it says which of the gateway's server processes are to end: a process that is
//! told so ends, whatever it was doing or was about to do. Only where that fails are there cancel
//! requests.

use std::time::Duration;

use tokio::{sync::mpsc, time::timeout};

use crate::{
    Upstream,
    catalogue::{self, KeepError},
    registry::CancelKey,
    upstream,
};

/// A number that came again, since a process had ended unnoticed, is at worst another connection of
/// this gateway's own: the server ends no other role's processes on its behalf.
const END: &str = "SELECT pg_catalog.pg_terminate_backend(pid) \
                   FROM pg_catalog.unnest($1::pg_catalog.int4[]) AS ended (pid)";

/// How long the server may take to be told.
const TOLD_MAX: Duration = Duration::from_secs(1);
/// How long to wait before a lost connection is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// How many cancel requests are under way at once where there have to be any.
const CANCELS_MAX: usize = 16;

/// What is to end, by its keys at the server.
pub(crate) type Ended = Vec<CancelKey>;

/// Runs until nobody can ask for anything any more.
pub(crate) async fn run(upstream: Upstream, mut asked: mpsc::UnboundedReceiver<Ended>) {
    loop {
        match serve(&upstream, &mut asked).await {
            Ok(()) => return,
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "what suspended accounts run is ended by cancel requests until this is mended"
            ),
        }
        let again = tokio::time::sleep(RETRY_AFTER);
        tokio::pin!(again);
        loop {
            tokio::select! {
                () = &mut again => break,
                keys = asked.recv() => match keys {
                    Some(keys) => cancel_all(&upstream, &keys).await,
                    None => return,
                },
            }
        }
    }
}

/// Serves as long as there is a connection.
async fn serve(
    upstream: &Upstream,
    asked: &mut mpsc::UnboundedReceiver<Ended>,
) -> Result<(), KeepError> {
    let mut kept = timeout(TOLD_MAX, catalogue::connect(upstream)).await??;
    let statement = timeout(TOLD_MAX, kept.prepare(END)).await??;
    loop {
        let mut keys = tokio::select! {
            keys = asked.recv() => match keys {
                Some(keys) => keys,
                None => return Ok(()),
            },
            () = kept.ended() => return Err(KeepError::Closed),
        };
        while let Ok(more) = asked.try_recv() {
            keys.extend(more);
        }
        let processes: Vec<i32> = keys.iter().map(|key| key.process_id).collect();
        let told = match timeout(TOLD_MAX, kept.execute(&statement, &[&processes])).await {
            Ok(told) => told.map(|_| ()).map_err(KeepError::Database),
            Err(late) => Err(late.into()),
        };
        if let Err(error) = told {
            cancel_all(upstream, &keys).await;
            return Err(error);
        }
    }
}

/// Asks the server to cancel what each of these runs.
async fn cancel_all(upstream: &Upstream, keys: &[CancelKey]) {
    for some in keys.chunks(CANCELS_MAX) {
        let mut under_way = tokio::task::JoinSet::new();
        for key in some {
            let (upstream, key) = (upstream.clone(), key.clone());
            under_way.spawn_local(async move { upstream::cancel(&upstream, &key).await });
        }
        while let Some(done) = under_way.join_next().await {
            if let Ok(Err(error)) = done {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a statement of a suspended account could not be cancelled"
                );
            }
        }
    }
}
