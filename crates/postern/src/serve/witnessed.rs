//! The gateway's own rounds of asking witnesses.

use std::{
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
};

use postern_ledger::{Cosigned, Ledger};

use crate::{
    config::{Settings, Witnessing},
    witnessing::Witnesses,
};

/// How long the start waits for what witnesses have seen.
const FIRST_ROUND: Duration = Duration::from_secs(5);
/// How soon witnesses are asked again while a result waits for them.
const AGAIN_WHILE_WAITED_FOR: Duration = Duration::from_millis(500);

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
        ledger: Arc<Ledger>,
        settings: &Settings,
        progress: Progress,
    ) -> anyhow::Result<Option<Self>> {
        let Witnessing { witnesses, enough, every, .. } = &settings.witness;
        if witnesses.is_empty() {
            return Ok(None);
        }
        let witnesses = Witnesses::open(&settings.data.ledger(), witnesses, *enough)?;
        progress.set(State { done: Some(witnesses.done()), troubles: Vec::new() });
        ledger.witnessed(witnesses.done().entries);
        let (stop, stopped) = mpsc::channel();
        let every = *every;
        let (first, told) = mpsc::sync_channel(1);
        thread::Builder::new().name("postern-witness".to_owned()).spawn(move || {
            let mut witnesses = witnesses;
            let troubles = witnesses.first_round();
            tracing::debug!(?troubles, "asked the witnesses what they have seen");
            let _ = first.send(witnesses.contradiction().map(str::to_owned));
            ask(witnesses, (every, &stopped), &ledger, &progress);
        })?;
        // Those who do not answer by then are heard later: then nothing is disclosed any more.
        if let Ok(Some(why)) = told.recv_timeout(FIRST_ROUND) {
            anyhow::bail!(
                "{why}. Put a newer copy in its place; if there is none, `postern ledger restore \
                 --with-loss` records what is lost (docs/restoring.md)"
            );
        }
        Ok(Some(Self { _stop: stop }))
    }
}

fn ask(
    mut witnesses: Witnesses,
    (every, stopped): (Duration, &mpsc::Receiver<()>),
    ledger: &Ledger,
    progress: &Progress,
) {
    let mut before: Vec<String> = Vec::new();
    loop {
        // What waits is released as soon as enough have cosigned, whoever else is slow.
        let seen = |done: Cosigned| ledger.witnessed(done.entries);
        let troubles = witnesses.round(&seen).unwrap_or_else(|error| vec![format!("{error:#}")]);
        if let Some(why) = witnesses.contradiction() {
            ledger.forbid(why);
        }
        // Once for each change: a witness may be away for days.
        for trouble in troubles.iter().filter(|trouble| !before.contains(trouble)) {
            tracing::error!("the ledger is not witnessed: {trouble}");
        }
        progress.set(State { done: Some(witnesses.done()), troubles: troubles.clone() });
        before = troubles;
        if !pause(every, stopped, ledger) {
            return;
        }
    }
}

/// Waits until it is time for another round: sooner if a result waits for witnesses. False if
/// the gateway ends.
fn pause(every: Duration, stopped: &mpsc::Receiver<()>, ledger: &Ledger) -> bool {
    let timeout = match ledger.waiting_for_witness() {
        None => {
            let stopped = stopped.recv_timeout(every);
            return matches!(stopped, Err(mpsc::RecvTimeoutError::Timeout));
        }
        Some(0) => every,
        Some(_) => every.min(AGAIN_WHILE_WAITED_FOR),
    };
    // It ends at once when the ledger is closed, too.
    ledger.wait_for_bulk(timeout);
    matches!(stopped.recv_timeout(Duration::from_millis(1)), Err(mpsc::RecvTimeoutError::Timeout))
}
