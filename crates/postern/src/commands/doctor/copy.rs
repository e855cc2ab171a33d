//! Whether the ledger's second copy is there, if the configuration has one.

use super::{Finding, Level};
use crate::{
    config::Settings,
    control::{Client, ControlError, Reply, Request},
};

/// Asks the running gateway.
pub(super) fn look(settings: &Settings) -> anyhow::Result<Option<Finding>> {
    if settings.peer.is_none() {
        return Ok(None);
    }
    let unknown = |what: &str, mend: &str| {
        Some(Finding::new(Level::Unknown, "copy", what.to_owned(), vec![mend.to_owned()]))
    };
    let reply = match Client::connect(&settings.data.control_socket()) {
        Ok(mut client) => client.ask(&Request::Status {})?,
        Err(ControlError::NotRunning { .. }) => {
            let what = "whether the ledger's second copy is in step: no gateway runs";
            return Ok(unknown(what, "postern serve"));
        }
        Err(error) => return Err(error.into()),
    };
    let Reply::Status(status) = reply else {
        return Ok(unknown("whether the ledger's second copy is in step", "postern status"));
    };
    let Some(copy) = status.ledger.copy else {
        let what = "whether the ledger's second copy is in step: the gateway runs without one";
        return Ok(unknown(what, "start the gateway again, with this configuration"));
    };
    if copy.is_in_step() {
        return Ok(None);
    }
    let what = format!("the ledger has no second copy in step: {copy}");
    let mend = vec!["postern follow --dir DIR --log key.pub --listen ADDRESS".to_owned()];
    Ok(Some(Finding::new(Level::Leaks, "copy", what, mend)))
}
