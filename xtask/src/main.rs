//! The project's own checks: `cargo xtask tidy` for what no other tool looks at, `cargo xtask ci`
//! for everything that must hold before a change is merged (tests apart).
//!
//! Start with [`tidy::run`]; each rule is a module of its own beside a test with small inputs.

mod ci;
mod tidy;

use std::{
    env,
    io::{Write as _, stderr},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{Parser, Subcommand};

/// The project's own checks.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum Command {
    /// Checks layering, sizes, module documents and the like.
    Tidy,
    /// Runs formatter, lints, tidy and the supply chain's rules.
    Ci,
}

/// Exits with 0 when all is well, 1 when a check found something, 2 when it could not be run.
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = root().and_then(|root| match arguments.command {
        Command::Tidy => tidy::run(&root),
        Command::Ci => ci::run(&root),
    });
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(stderr(), "error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// The root of the workspace that cargo runs this program from. Asked at run time, because
/// checkouts may share a target folder.
fn root() -> anyhow::Result<PathBuf> {
    let xtask = env::var_os("CARGO_MANIFEST_DIR").context("start this with `cargo xtask`")?;
    let xtask = PathBuf::from(xtask);
    let root = xtask.parent().context("xtask has no folder above it")?;
    Ok(root.to_owned())
}
