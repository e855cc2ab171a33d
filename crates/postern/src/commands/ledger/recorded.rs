//! What a person does with the ledger becomes an entry of it: by the running gateway, or, where
//! none runs, by this process. What can't be recorded is not done.

use std::{io::ErrorKind, path::Path, sync::Arc};

use anyhow::{Context as _, bail};
use postern_ledger::{Ledger, Note, OpenError, Options, origin};
use postern_model::Actor;

use super::ask::copy_is_not_recorded;
use crate::{
    clock::SystemClock,
    config::{self, CONTROL_SOCKET, Settings},
    control::{Asked, Client, ControlError, Reply, Request, os_user},
    serve::note,
    ui,
};

/// Records it and says as which entry; `None` where there is only a copy without a key, or one that
/// takes no writing. A folder that was `given` need not be the running gateway's.
pub(in crate::commands) fn record(
    config: &Path,
    ledger: &Path,
    given: bool,
    asked: Asked,
) -> anyhow::Result<Option<u64>> {
    record_as(config, ledger, given, (&Request::Record(asked.clone()), asked.into()))
}

/// The same of somebody who takes this out of the ledger.
pub(in crate::commands) fn taken(
    config: &Path,
    ledger: &Path,
    given: bool,
    what: &str,
) -> anyhow::Result<Option<u64>> {
    let note = Note::Read { by: Actor::new(os_user()), what: what.into() };
    record_as(config, ledger, given, (&Request::Look { what: what.to_owned() }, note))
}

/// The same of somebody who looks at this.
pub(in crate::commands) fn look(
    config: &Path,
    settings: &Settings,
    what: &str,
) -> anyhow::Result<u64> {
    let note = Note::Read { by: Actor::new(os_user()), what: what.into() };
    put(config, settings, &Request::Look { what: what.to_owned() }, note)
}

fn record_as(
    config: &Path,
    ledger: &Path,
    given: bool,
    (request, note_of_it): (&Request, Note),
) -> anyhow::Result<Option<u64>> {
    if given && copy_is_not_recorded(ledger)? {
        return Ok(None);
    }
    if !given {
        let socket = config::load(config)?.settings.data.control_socket();
        match Client::connect(&socket) {
            Ok(mut client) => return told(client.ask(request)?).map(Some),
            Err(ControlError::NotRunning { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let options = Options::new(origin(ledger)?, Arc::new(SystemClock));
    let opened = match Ledger::open(ledger, options, Arc::new(|_| {})) {
        // It is a running gateway's after all, which listens beside it.
        Err(OpenError::Locked { .. }) if given => {
            let folder = ledger.canonicalize()?;
            let socket = folder.parent().unwrap_or(&folder).join(CONTROL_SOCKET);
            let mut client = Client::connect(&socket)
                .context("another process has the ledger, and no gateway answers beside it")?;
            return told(client.ask(request)?).map(Some);
        }
        Err(error) if given && takes_no_writing(&error) => {
            ui::warning("this copy takes no writing, so the question can't be recorded in it");
            return Ok(None);
        }
        opened => opened,
    };
    let ledger = opened.context(
        "what a person does with the ledger is recorded in it, and that is not possible",
    )?;
    let sequence = note(&ledger, note_of_it)?;
    ledger.close().context("the ledger's last entries have no checkpoint")?;
    Ok(Some(sequence))
}

/// Whether a ledger is on a medium that is read-only, or belongs to somebody else.
fn takes_no_writing(error: &OpenError) -> bool {
    let OpenError::Io(error) = error else { return false };
    matches!(error.kind(), ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied)
}

/// Has the running gateway do what is asked, or, where none runs, records the note itself; says as
/// which entry.
pub(in crate::commands) fn put(
    config: &Path,
    settings: &Settings,
    request: &Request,
    note_of_it: Note,
) -> anyhow::Result<u64> {
    match Client::connect(&settings.data.control_socket()) {
        Ok(mut client) => return told(client.ask(request)?),
        Err(ControlError::NotRunning { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let folder = settings.data.ledger();
    let options = Options::new(origin(&folder)?, Arc::new(SystemClock));
    let ledger = Ledger::open(&folder, options, Arc::new(|_| {})).with_context(|| {
        format!(
            "what a person does is recorded, and that is not possible; see `{}`",
            config.display()
        )
    })?;
    let sequence = note(&ledger, note_of_it)?;
    ledger.close().context("the ledger's last entries have no checkpoint")?;
    Ok(sequence)
}

fn told(reply: Reply) -> anyhow::Result<u64> {
    if let Reply::Recorded { entry } = reply {
        return Ok(entry);
    }
    if let Reply::Refused { why } = reply {
        bail!("the gateway did not record it: {why}");
    }
    bail!("the gateway answered something else than was asked")
}
