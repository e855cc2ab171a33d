//! The tokens by which a directory says who works here.

use std::path::Path;

use anyhow::Context as _;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use postern_scim::TokenHash;

use crate::{
    cli::{ScimCommand, ScimTokenArgs},
    config, files,
    serve::scim_tokens,
    ui::{self, Outcome},
};

/// By which a search for secrets that were left lying about knows one.
const PREFIX: &str = "postern_scim_";

pub(crate) fn run(config: &Path, command: ScimCommand) -> anyhow::Result<Outcome> {
    let ScimCommand::Token(ScimTokenArgs { replace }) = command;
    let settings = config::load(config)?.settings;
    let file = settings.data.scim_tokens();
    let random: [u8; 32] = rand::random();
    let token = format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(random));
    let _alone = files::lock(&file).with_context(|| format!("can't lock `{}`", file.display()))?;
    let mut known = if replace { Vec::new() } else { scim_tokens(&file)? };
    known.push(TokenHash::of(&token));
    let lines: String = known.iter().map(|hash| hash.to_hex() + "\n").collect();
    files::replace_private(&file, &lines)
        .with_context(|| format!("can't write `{}`", file.display()))?;
    if settings.scim.is_none() {
        ui::warning("there is no `[scim]` in the configuration, so nothing takes it yet");
    }
    ui::result(&token)?;
    ui::hint("it is not kept here and can't be shown again; it counts from now on");
    Ok(Outcome::Yes)
}
