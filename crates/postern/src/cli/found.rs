//! What can be asked about findings: rules that raise them.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum RulesCommand {
    /// Gives the rules the examples beside them (*.test.toml), and says which they judge wrongly.
    Test(RulesTestArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RulesTestArgs {
    /// The folder, instead of the one that the configuration names.
    pub(crate) dir: Option<PathBuf>,
    /// Prints JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
