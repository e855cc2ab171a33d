//! The gateway's own rounds of asking witnesses.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
};

use postern_ledger::Cosigned;

use crate::{config::Witnessing, witnessing::Witnesses};

/// How far the witnesses have come, for who asks.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress(Arc<Mutex<State>>);

#[derive(Debug, Clone, Default)]
pub(super) struct State {
    /// `None` if there are no witnesses.
    pub(super) done: Option<Cosigned>,
    /// What kept witnesses from cosigning in the last round.
    pub(super) troubles: Vec<String>,
}

impl Progress {
    pub(super) fn state(&self) -> State {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, state: State) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

/// The thread that asks; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Asking {
    _stop: mpsc::Sender<()>,
}

impl Asking {
    /// Starts asking, if there is anybody to ask.
    pub(super) fn start(
        ledger: PathBuf,
        settings: &Witnessing,
        progress: Progress,
    ) -> anyhow::Result<Option<Self>> {
        if settings.witnesses.is_empty() {
            return Ok(None);
        }
        let witnesses = Witnesses::open(&ledger, &settings.witnesses, settings.enough)?;
        progress.set(State { done: Some(witnesses.done()), troubles: Vec::new() });
        let (stop, stopped) = mpsc::channel();
        let every = settings.every;
        thread::Builder::new()
            .name("postern-witness".to_owned())
            .spawn(move || ask(witnesses, every, &stopped, &progress))?;
        Ok(Some(Self { _stop: stop }))
    }
}

fn ask(
    mut witnesses: Witnesses,
    every: Duration,
    stopped: &mpsc::Receiver<()>,
    progress: &Progress,
) {
    let mut before: Vec<String> = Vec::new();
    loop {
        let troubles = witnesses.round().unwrap_or_else(|error| vec![format!("{error:#}")]);
        // Once for each change: a witness may be away for days.
        for trouble in troubles.iter().filter(|trouble| !before.contains(trouble)) {
            tracing::error!("the ledger is not witnessed: {trouble}");
        }
        progress.set(State { done: Some(witnesses.done()), troubles: troubles.clone() });
        before = troubles;
        if !matches!(stopped.recv_timeout(every), Err(mpsc::RecvTimeoutError::Timeout)) {
            return;
        }
    }
}
