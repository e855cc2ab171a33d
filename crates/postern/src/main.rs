//! The `postern` binary: configuration, command line, composition root.
//!
//! Start with [`cli`] for what can be asked, [`config`] for what can be set, and `serve` for how
//! the parts are put together.

use std::process::ExitCode;

use clap::Parser as _;

mod cases;
mod cli;
mod clock;
mod commands;
mod config;
mod control;
mod decoys;
mod demo;
mod device;
mod events;
mod files;
mod http;
mod https;
mod init;
mod peer;
mod rules;
mod serve;
mod ui;
mod witnessing;

/// A transaction makes and drops some fifty small things on several threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The exit code for a command line that makes no sense.
const USAGE: u8 = 64;

/// The ledger's name in checkpoints.
const LEDGER_ORIGIN: &str = "postern/ledger";

/// How this binary makes and opens ledgers.
fn ledger_options() -> postern_ledger::Options {
    postern_ledger::Options::new(LEDGER_ORIGIN, std::sync::Arc::new(clock::SystemClock))
}

fn main() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
            // Nothing can be said where the terminal is gone.
            let _ = error.print();
            return code;
        }
    };
    match commands::run(cli) {
        Ok(outcome) => outcome.into(),
        Err(error) => ui::failure(&error),
    }
}
