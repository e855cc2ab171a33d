//! Another configuration, while the gateway runs: all of it or nothing.
//!
//! It is put in force when the database could be read by it and the ledger has the change, for all
//! cores at once. Sessions that would be others under it end when they are idle, or when their time
//! to become so is over.

use std::{
    sync::{
        Arc,
        mpsc::{RecvTimeoutError, sync_channel},
    },
    time::Duration,
};

use postern_ledger::{Note, RecordError};
use postern_policy::Policy;
use thiserror::Error;

use crate::{Handle, Settings, catalogue::KeepError, regime::Regime};

/// How long the database may take to be read for the first time.
const FIRST_READ_MAX: Duration = Duration::from_secs(10);

/// Why the configuration is the one that it was.
#[derive(Debug, Error)]
pub enum ReconfigureError {
    #[error("`{0}` can't change while the gateway runs")]
    Fixed(&'static str),
    #[error("the database can't be read by it")]
    Unread(#[source] FirstReadError),
    #[error("the database could not be read by it within {FIRST_READ_MAX:?}")]
    Late,
    #[error("it could not be recorded")]
    Unrecorded(#[source] RecordError),
    #[error("the gateway stops")]
    Stopping,
}

/// What went wrong when the database was read for the first time.
#[derive(Debug, Error)]
#[error(transparent)]
pub struct FirstReadError(KeepError);

/// What another configuration has led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reconfigured {
    /// Sessions that were told to end when they are idle.
    pub ending: usize,
    /// How long they have for that.
    pub drain: Duration,
}

impl Handle {
    /// Puts other settings and another policy in force, and records it as `note` before. Log-ins
    /// from now on are judged by them. A policy that is the same object counts as the same one, and
    /// so does the server's TLS: where nothing that is judged by differs, sessions go on.
    ///
    /// Waits until the database could be read, for some seconds at most. Changes come one after the
    /// other.
    ///
    /// # Errors
    /// [`ReconfigureError`]; then what was in force still is.
    pub fn reconfigure(
        &self,
        settings: Settings,
        policy: Arc<Policy>,
        note: Note,
    ) -> Result<Reconfigured, ReconfigureError> {
        let shared = &self.shared;
        let _one_at_a_time = shared.changing();
        let before = shared.regime();
        if settings.listen != before.settings.listen {
            return Err(ReconfigureError::Fixed("listen"));
        }
        if settings.workers != before.settings.workers {
            return Err(ReconfigureError::Fixed("workers"));
        }
        if shared.registry.is_draining() {
            return Err(ReconfigureError::Stopping);
        }
        let regime = match before.continued(&settings, &policy) {
            Some(regime) => regime,
            None => self.begin(&before, settings, policy)?,
        };
        let (number, drain) = (regime.number, regime.settings.limits.drain);
        // A crash from here on leaves an entry of what was never in force, and nobody was judged
        // by: at the next start there is another.
        self.note(note).map_err(ReconfigureError::Unrecorded)?;
        let ending = shared.registry.put_in_force(regime).ok_or(ReconfigureError::Stopping)?;
        if ending > 0 {
            let shared = shared.clone();
            self.shared.run_beside_keepers(Box::new(move || {
                Box::pin(async move {
                    tokio::time::sleep(drain).await;
                    let late = shared.registry.end_outdated(number);
                    if late > 0 {
                        tracing::warn!(late, "sessions were ended that were busy for too long");
                    }
                })
            }));
        }
        Ok(Reconfigured { ending, drain })
    }

    /// A regime whose keeper has read the database.
    fn begin(
        &self,
        before: &Regime,
        settings: Settings,
        policy: Arc<Policy>,
    ) -> Result<Regime, ReconfigureError> {
        let (first_read, read) = sync_channel(1);
        let common = self.shared.common();
        let (regime, upkeep) = before.next(settings, policy, &common, first_read);
        if !self.shared.run(upkeep) {
            return Err(ReconfigureError::Stopping);
        }
        // What is given up here ends its keeper: nobody is left who reads what that finds.
        match read.recv_timeout(FIRST_READ_MAX) {
            Ok(Ok(())) => Ok(regime),
            Ok(Err(error)) => Err(ReconfigureError::Unread(FirstReadError(error))),
            Err(RecvTimeoutError::Timeout) => Err(ReconfigureError::Late),
            Err(RecvTimeoutError::Disconnected) => Err(ReconfigureError::Stopping),
        }
    }
}
