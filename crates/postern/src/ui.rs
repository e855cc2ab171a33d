//! How Postern speaks: results to stdout, everything else to stderr as `error:`, `warning:` or
//! `hint:`, and an exit code that says which of four things happened.

use std::{
    fmt::{Display, Write as _},
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use miette::{GraphicalReportHandler, GraphicalTheme};
use serde::Serialize;

use crate::config::{ConfigError, Problem};

/// How a command that could do its work ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// What was asked for is so, or is done.
    Yes,
    /// It was looked into, and the answer is no: a proof failed, a check found something.
    No,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Yes => Self::SUCCESS,
            Outcome::No => Self::from(1),
        }
    }
}

/// Prints a result.
pub(crate) fn result(text: impl Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// Prints a result for a machine, as one line.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    Ok(result(serde_json::to_string(value)?)?)
}

/// Says something that the caller may want to act on.
pub(crate) fn warning(text: impl Display) {
    say("warning", text);
}

/// Says what to do next.
pub(crate) fn hint(text: impl Display) {
    say("hint", text);
}

/// How far something is, shown to a person who waits longer than a second.
#[derive(Debug)]
pub(crate) struct Progress {
    what: &'static str,
    started: Instant,
    bar: Option<ProgressBar>,
}

impl Progress {
    pub(crate) fn new(what: &'static str) -> Self {
        Self { what, started: Instant::now(), bar: None }
    }

    /// So many are done, of so many.
    pub(crate) fn at(&mut self, done: u64, all: u64) {
        if self.bar.is_none() && self.started.elapsed() >= Duration::from_secs(1) {
            let form = format!("{{bar:40}} {{pos}} of {{len}} {}, {{eta}} left", self.what);
            let style = ProgressStyle::with_template(&form);
            let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
            self.bar = Some(ProgressBar::new(all).with_style(style));
        }
        if let Some(bar) = &self.bar {
            bar.set_length(all);
            bar.set_position(done);
        }
    }

    /// Takes the bar away.
    pub(crate) fn end(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Says what kept a command from doing its work, cause by cause.
pub(crate) fn failure(error: &anyhow::Error) -> ExitCode {
    if let Some(problems) = error.downcast_ref::<ConfigError>().map(ConfigError::problems) {
        problems.iter().for_each(problem);
    }
    let mut text = String::new();
    for (depth, cause) in error.chain().enumerate() {
        let separator = if depth == 0 { "" } else { ": " };
        let _ = write!(text, "{separator}{cause}");
    }
    say("error", text);
    ExitCode::from(2)
}

/// Whether what goes to stderr is to be without colours.
pub(crate) fn is_plain() -> bool {
    !io::stderr().is_terminal() || std::env::var_os("NO_COLOR").is_some()
}

/// Shows one thing that is wrong in a configuration, with the place.
pub(crate) fn problem(problem: &Problem) {
    let mut theme =
        if is_plain() { GraphicalTheme::unicode_nocolor() } else { GraphicalTheme::unicode() };
    theme.characters.error = "error:".to_owned();
    theme.characters.warning = "warning:".to_owned();
    let handler = GraphicalReportHandler::new_themed(theme).with_links(false).with_width(100);
    let mut text = String::new();
    if handler.render_report(&mut text, problem).is_ok() {
        to_stderr(&in_our_words(&text));
    }
}

/// The report without its indentation, and with `hint:` for `help:`.
fn in_our_words(report: &str) -> String {
    let mut text = String::with_capacity(report.len());
    for line in report.lines().map(|line| line.strip_prefix("  ").unwrap_or(line)) {
        let help = line.split_once("help: ").filter(|(before, _)| before.len() < 8);
        match help.filter(|(before, _)| !before.contains(' ')) {
            Some((before, help)) => text.extend([before, "hint: ", help]),
            None => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

fn say(what: &str, text: impl Display) {
    to_stderr(&format!("{what}: {text}\n"));
}

/// Nothing can be done, or said, where stderr is gone.
fn to_stderr(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}
