//! What a directory is let in by, as it is typed.

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum ScimCommand {
    /// Makes a token for the directory and prints it; only its hash is kept.
    Token(ScimTokenArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ScimTokenArgs {
    /// Takes no other token from now on.
    #[arg(long)]
    pub(crate) replace: bool,
}
