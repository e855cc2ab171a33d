//! Making what is past retention unreadable: by the running gateway, or, where none runs, by this
//! process.

use std::{path::Path, sync::Arc};

use anyhow::{Context as _, bail};
use postern_ledger::{Ledger, Options, origin};

use crate::{
    clock::SystemClock,
    config,
    control::{Client, ControlError, Reply, Request, os_user},
    ui::{self, Outcome},
};

pub(super) fn retain(config: &Path) -> anyhow::Result<Outcome> {
    let settings = config::load(config)?.settings;
    let Some(retention) = settings.retention else {
        ui::failure(&anyhow::anyhow!("the configuration sets no retention: names are kept"));
        ui::hint("set `retention` in `[ledger]`");
        return Ok(Outcome::No);
    };
    let done = match Client::connect(&settings.data.control_socket()) {
        Ok(mut client) => told(client.ask(&Request::Retain {})?),
        Err(ControlError::NotRunning { .. }) => {
            let folder = settings.data.ledger();
            let options = Options::new(origin(&folder)?, Arc::new(SystemClock));
            alone(&folder, Options { retention: Some(retention), ..options })
        }
        Err(error) => return Err(error.into()),
    };
    match done {
        Ok((forgot, Some(until))) => {
            let what = if forgot { "is gone now" } else { "was gone already" };
            ui::result(format!("who was seen before {until} {what}"))?;
            ui::hint("other copies of the ledger have the names until their keys are destroyed");
        }
        Ok((_, None)) => ui::result("nothing is past retention yet")?,
        Err(error) => {
            ui::failure(&error);
            return Ok(Outcome::No);
        }
    }
    Ok(Outcome::Yes)
}

/// Whether anything was forgotten just now, and up to when all is.
type Done = (bool, Option<String>);

fn told(reply: Reply) -> anyhow::Result<Done> {
    if let Reply::Retained { forgot, until } = reply {
        return Ok((forgot, until));
    }
    if let Reply::Refused { why } = reply {
        bail!("{why}");
    }
    bail!("the gateway answered something else than was asked")
}

fn alone(folder: &Path, options: Options) -> anyhow::Result<Done> {
    let ledger = Ledger::open(folder, options, Arc::new(|_| {}))
        .with_context(|| format!("can't open the ledger in `{}`", folder.display()))?;
    let done = crate::serve::retain(&ledger, &os_user())?;
    ledger.close().context("the ledger's last entries have no checkpoint")?;
    Ok((done.forgot, done.past_retention.map(|until| until.to_string())))
}
