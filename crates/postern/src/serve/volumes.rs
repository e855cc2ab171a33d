//! Moving segments that are never written again to another volume, where the configuration names
//! one.

use std::{io, path::Path, sync::mpsc, thread, time::Duration};

use postern_ledger::{MoveError, Moved, move_segments};

use crate::config::Settings;

/// How often it is looked at.
const EVERY: Duration = Duration::from_secs(60);
/// How many of the newest stay, besides the one that is written to.
const KEEP: u64 = 1;

/// The thread that moves; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Moving {
    _stop: mpsc::Sender<()>,
}

impl Moving {
    /// Moves now, and from then on once a minute; `None` if all stay where they are.
    pub(super) fn start(settings: &Settings) -> io::Result<Option<Self>> {
        let Some(to) = settings.older_segments.clone() else { return Ok(None) };
        let ledger = settings.data.ledger();
        let (stop, stopped) = mpsc::channel();
        thread::Builder::new().name("postern-volumes".to_owned()).spawn(move || {
            let mut said = None;
            loop {
                look(&ledger, &to, &mut said);
                if !matches!(stopped.recv_timeout(EVERY), Err(mpsc::RecvTimeoutError::Timeout)) {
                    return;
                }
            }
        })?;
        Ok(Some(Self { _stop: stop }))
    }
}

/// Moves what is to be moved. What is wrong is said once, until it is another thing or well again.
fn look(ledger: &Path, to: &Path, said: &mut Option<String>) {
    let wrong = match move_segments(ledger, to, KEEP) {
        Ok(Moved { segments: 0, .. }) | Err(MoveError::Busy { .. }) => None,
        Ok(Moved { segments, .. }) => {
            tracing::info!("{segments} segments of the ledger moved to `{}`", to.display());
            None
        }
        Err(error) => Some(super::control::chain(&error)),
    };
    if let Some(why) = wrong.as_ref().filter(|why| said.as_ref() != Some(*why)) {
        tracing::error!("segments stay in the ledger's folder, and it is tried again: {why}");
    }
    *said = wrong;
}
