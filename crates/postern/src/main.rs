//! The `postern` binary: configuration, command line, composition root.
//!
//! Start with [`cli`] for what can be asked, [`config`] for what can be set, and `serve` for how
//! the parts are put together.

use std::process::ExitCode;

use clap::Parser as _;

mod cli;
mod clock;
mod commands;
mod config;
mod control;
mod demo;
#[cfg_attr(not(test), expect(dead_code, reason = "the tracer and the live detectors come next"))]
mod events;
mod files;
mod init;
mod ui;

/// The exit code for a command line that makes no sense.
const USAGE: u8 = 64;

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
