//! Taking a customer's name out of the ledger: by the running gateway, or, where none runs, by this
//! process.

use std::{
    path::Path,
    sync::{Arc, mpsc},
};

use anyhow::{Context as _, bail};
use postern_ledger::{EraseError, Ledger, Options, origin};
use postern_model::{Actor, Subject};

use crate::{
    cli::EraseArgs,
    clock::SystemClock,
    config,
    control::{Client, ControlError, Reply, Request, os_user},
    ui::{self, Outcome},
};

pub(in crate::commands) fn erase(config: &Path, args: EraseArgs) -> anyhow::Result<Outcome> {
    let EraseArgs { subject, why } = args;
    if why.contains(&subject) {
        ui::failure(&anyhow::anyhow!("`--why` names the customer, and stays in the ledger"));
        return Ok(Outcome::No);
    }
    let data = config::load(config)?.settings.data;
    let erased = match Client::connect(&data.control_socket()) {
        Ok(mut client) => told(client.ask(&Request::Erase { subject: subject.clone(), why })?),
        Err(ControlError::NotRunning { .. }) => alone(&data.ledger(), &subject, &why),
        Err(error) => return Err(error.into()),
    };
    match erased {
        Ok(entry) => {
            ui::result(format!("{subject} is erased from the ledger, by entry {entry}"))?;
            ui::hint("copies of the ledger, and what was proved or printed, still have the name");
            Ok(Outcome::Yes)
        }
        Err(error) => {
            ui::failure(&error);
            Ok(Outcome::No)
        }
    }
}

fn told(reply: Reply) -> anyhow::Result<u64> {
    if let Reply::Recorded { entry } = reply {
        return Ok(entry);
    }
    if let Reply::Refused { why } = reply {
        bail!("{why}");
    }
    bail!("the gateway answered something else than was asked")
}

fn alone(folder: &Path, subject: &str, why: &str) -> anyhow::Result<u64> {
    let options = Options::new(origin(folder)?, Arc::new(SystemClock));
    let ledger = Ledger::open(folder, options, Arc::new(|_| {}))
        .with_context(|| format!("can't open the ledger in `{}`", folder.display()))?;
    let entry = run(&ledger, subject, &os_user(), why)?;
    ledger.close().context("the ledger's last entries have no checkpoint")?;
    Ok(entry)
}

/// Erases, and says by which entry.
pub(crate) fn run(ledger: &Ledger, subject: &str, by: &str, why: &str) -> Result<u64, EraseError> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let done = Box::new(move |result| {
        let _ = sender.send(result);
    });
    ledger.erase(Subject::new(subject), Actor::new(by), why.into(), done);
    let closed = || Err(EraseError::Record(postern_ledger::RecordError::Closed));
    receiver.recv().unwrap_or_else(|_| closed())
}
