//! Orders to the running gateway, and how it is doing.

use std::path::Path;

use super::person::people;
use crate::{
    cli::{GatewayShowArgs, JsonArgs, ResumeArgs, SuspendArgs},
    config::{self, ConfigError},
    control::{Client, Reply, Request},
    ui::{self, Outcome},
};

pub(crate) fn suspend(config: &Path, args: SuspendArgs) -> anyhow::Result<Outcome> {
    let actor = args.actor.clone();
    // A slip of the pen would leave the one who was meant inside.
    let people = config::load(config).ok().and_then(|loaded| people(&loaded.settings).ok());
    if people.is_some_and(|people| people.account(&actor).is_none()) {
        ui::warning(format!("there is no account `{actor}`; `postern person list` shows them"));
    }
    let request = Request::Suspend { actor: args.actor, why: args.why };
    let reply = ask(config, &request)?;
    let Reply::Suspended { sessions_cut } = reply else { return no(reply) };
    ui::result(format!("{actor} is suspended; sessions cut: {sessions_cut}"))?;
    Ok(Outcome::Yes)
}

pub(crate) fn resume(config: &Path, args: ResumeArgs) -> anyhow::Result<Outcome> {
    let actor = args.actor.clone();
    let reply = ask(config, &Request::Resume { actor: args.actor })?;
    let Reply::Resumed {} = reply else { return no(reply) };
    ui::result(format!("{actor} may log in again"))?;
    Ok(Outcome::Yes)
}

pub(crate) fn reload(config: &Path, args: &JsonArgs) -> anyhow::Result<Outcome> {
    let data = match config::data_of(config) {
        Ok(data) => data,
        Err(error @ ConfigError::Wrong { .. }) => {
            // Where the gateway is can't be told.
            ui::failure(&error.into());
            ui::hint("the gateway was not asked; it goes on with the configuration that it has");
            return Ok(Outcome::No);
        }
        Err(error @ ConfigError::Unreadable { .. }) => return Err(error.into()),
    };
    let reply = Client::connect(&data.control_socket())?.ask(&Request::Reload {})?;
    let Reply::Reloaded(taken) = reply else { return no(reply) };
    for warning in &taken.warnings {
        ui::warning(warning);
    }
    for name in &taken.unprotected {
        ui::warning(format!("`{name}` is not protected any more"));
    }
    if args.json {
        ui::json(&taken)?;
    } else {
        ui::result(&taken)?;
    }
    Ok(Outcome::Yes)
}

pub(crate) fn status(config: &Path, args: &JsonArgs) -> anyhow::Result<Outcome> {
    let reply = ask(config, &Request::Status {})?;
    let Reply::Status(status) = reply else { return no(reply) };
    if args.json {
        ui::json(&status)?;
    } else {
        ui::result(&status)?;
    }
    Ok(Outcome::Yes)
}

pub(crate) fn show(config: &Path, args: &GatewayShowArgs) -> anyhow::Result<Outcome> {
    let reply = ask(config, &Request::Show { what: args.what })?;
    let Reply::Table(table) = reply else { return no(reply) };
    if args.json {
        ui::json(&table)?;
    } else {
        ui::result(&table)?;
    }
    Ok(Outcome::Yes)
}

pub(super) fn ask(config: &Path, request: &Request) -> anyhow::Result<Reply> {
    let data = config::data_of(config)?;
    Ok(Client::connect(&data.control_socket())?.ask(request)?)
}

/// What is made of an answer that is not the one that was hoped for.
pub(super) fn no(reply: Reply) -> anyhow::Result<Outcome> {
    if let Reply::Refused { why } = reply {
        ui::failure(&anyhow::anyhow!("the gateway refused: {why}"));
        return Ok(Outcome::No);
    }
    anyhow::bail!("the gateway answered something else than was asked")
}
