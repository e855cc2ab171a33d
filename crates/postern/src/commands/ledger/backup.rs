//! Copying the ledger away, and putting a copy back.

use std::{
    fs,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use postern_ledger::{BackupError, KnownLoss, RestoreError, RestoreOptions, signed};
use postern_model::Actor;

use super::{folder, proof, recorded};
use crate::{
    cli::{BackupArgs, RestoreArgs},
    clock::SystemClock,
    control::{Asked, os_user},
    ui::{self, Outcome, Progress},
};

/// How long to wait for a checkpoint, which a gateway signs every second.
const PATIENCE: Duration = Duration::from_secs(5);
const AGAIN_AFTER: Duration = Duration::from_millis(50);

pub(super) fn backup(config: &Path, args: BackupArgs) -> anyhow::Result<Outcome> {
    let BackupArgs { to, ledger } = args;
    let given = ledger.is_some();
    let ledger = folder(config, ledger)?;
    // Whoever has a copy can read all of it. That it was taken is to be in it.
    if let Some(asked) = recorded::record(config, &ledger, given, Asked::about(None, None))? {
        let start = Instant::now();
        while signed(&ledger)? <= asked && start.elapsed() < PATIENCE {
            thread::sleep(AGAIN_AFTER);
        }
    }
    let mut bar = Progress::new("entries");
    let made = postern_ledger::backup(&ledger, &to, &mut |progress| {
        bar.at(progress.entries, progress.signed);
    });
    bar.end();
    match made {
        Ok(done) => {
            let to = to.display();
            ui::result(format!("`{to}` has {} entries, {} of them new", done.entries, done.added))?;
            ui::hint("the ledger's `key` is not in it: keep a copy of that once, somewhere else");
            Ok(Outcome::Yes)
        }
        Err(error @ (BackupError::Ahead { .. } | BackupError::Fork)) => {
            ui::failure(&error.into());
            Ok(Outcome::No)
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) fn restore(config: &Path, args: RestoreArgs) -> anyhow::Result<Outcome> {
    let RestoreArgs { from, ledger, signing_key, key, against, with_loss, why } = args;
    let to = folder(config, ledger)?;
    let seed = signing_key.map(|path| {
        let bytes = fs::read(&path).with_context(|| format!("can't read `{}`", path.display()))?;
        let Ok(seed) = <[u8; 32]>::try_from(bytes) else {
            bail!("`{}` holds no signing key", path.display())
        };
        Ok(seed.into())
    });
    let read = |path: &Path| {
        fs::read_to_string(path).with_context(|| format!("can't read `{}`", path.display()))
    };
    let options = RestoreOptions {
        key: key.as_deref().map(proof::key).transpose()?,
        seed: seed.transpose()?,
        against: against.as_deref().map(read).transpose()?,
        with_loss: with_loss.then(|| KnownLoss {
            by: Actor::new(os_user()),
            why: why.unwrap_or_default().into(),
            clock: Arc::new(SystemClock),
        }),
    };
    let mut bar = Progress::new("entries, which are read twice");
    let done = postern_ledger::restore(&from, &to, &options, &mut |progress| {
        bar.at(progress.entries, progress.signed.max(progress.entries));
    });
    bar.end();
    let restored = match done {
        Ok(restored) => restored,
        Err(RestoreError::Copy(error)) => return Err(error.into()),
        Err(error) => {
            let is_loss = matches!(error, RestoreError::Loss { .. });
            ui::failure(&error.into());
            if is_loss {
                ui::hint(
                    "look for a newer copy, such as a follower's, or say --with-loss --why WHY",
                );
            }
            return Ok(Outcome::No);
        }
    };
    ui::result(format!("`{}` has {} entries", to.display(), restored.entries))?;
    match (restored.lost, restored.last) {
        (Some(0), _) => ui::hint("nothing is lost that the checkpoint kept elsewhere covers"),
        (Some(lost), _) => {
            ui::warning(format!("the {lost} entries behind them are lost"));
            let entry = restored.entries;
            ui::hint(format!(
                "entry {entry} says so; `postern ledger prove {entry}` makes what each witness \
                 needs to go on (`postern witness --accept-loss`)"
            ));
        }
        (None, Some(last)) => ui::warning(format!("what was recorded after {last} is lost")),
        (None, None) => {}
    }
    if options.seed.is_none() {
        ui::warning("without --signing-key it can be read and nothing can be recorded in it");
    }
    Ok(Outcome::Yes)
}
