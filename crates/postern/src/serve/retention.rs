//! Seeing to it that customers are not named for longer than the configuration has it.

use std::{
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use postern_ledger::{Ledger, RecordError, RetainError, Retained};
use postern_model::Actor;

/// How often it is looked at.
const EVERY: Duration = Duration::from_secs(60);

/// The thread that looks; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Retaining {
    _stop: mpsc::Sender<()>,
}

impl Retaining {
    /// Looks now, and from then on once a minute.
    pub(super) fn start(ledger: Arc<Ledger>) -> std::io::Result<Self> {
        look(&ledger);
        let (stop, stopped) = mpsc::channel();
        thread::Builder::new().name("postern-retention".to_owned()).spawn(move || {
            while matches!(stopped.recv_timeout(EVERY), Err(mpsc::RecvTimeoutError::Timeout)) {
                look(&ledger);
            }
        })?;
        Ok(Self { _stop: stop })
    }
}

fn look(ledger: &Ledger) {
    match retain(ledger, &crate::control::os_user()) {
        Ok(Retained { forgot: true, past_retention: Some(until), .. }) => {
            tracing::info!("customers who were seen before {until} are past retention: forgotten");
        }
        Ok(_) | Err(RetainError::Record(RecordError::Closed)) => {}
        Err(error) => {
            let why = super::control::chain(&error);
            tracing::error!("retention is not seen to, and is tried again: {why}");
        }
    }
}

/// Sees to retention once, and says what came of it.
pub(crate) fn retain(ledger: &Ledger, by: &str) -> Result<Retained, RetainError> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let done = Box::new(move |result| {
        let _ = sender.send(result);
    });
    ledger.retain(Actor::new(by), done);
    receiver.recv().unwrap_or(Err(RetainError::Record(RecordError::Closed)))
}
