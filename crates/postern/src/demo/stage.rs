//! What the demo says, and the promises that it puts to the test.

use std::time::Instant;

use anyhow::Context as _;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::ui;

/// Where the demo plays.
#[derive(Debug)]
pub(super) struct Stage {
    /// For machines only the end is printed.
    json: bool,
    started: Instant,
    checks: Vec<Check>,
}

/// A promise, what was tried against it, and what came of it.
#[derive(Debug, Serialize)]
struct Check {
    promise: &'static str,
    tried: String,
    kept: bool,
    result: String,
}

/// What `demo --json` prints; version 1.
#[derive(Debug, Serialize)]
struct Report<'a> {
    version: u32,
    kept: bool,
    seconds: f64,
    checks: &'a [Check],
}

impl Stage {
    pub(super) fn new(json: bool) -> Self {
        Self { json, started: Instant::now(), checks: Vec::new() }
    }

    /// A new act begins.
    pub(super) fn act(&self, title: &str) -> anyhow::Result<()> {
        self.say(&format!("\n== {title}"))
    }

    /// Something happened.
    pub(super) fn step(&self, text: &str) -> anyhow::Result<()> {
        self.say(&format!("   {text}"))
    }

    fn say(&self, text: &str) -> anyhow::Result<()> {
        if self.json { Ok(()) } else { ui::result(text).context("nobody to tell") }
    }

    /// A promise was put to the test.
    pub(super) fn check(
        &mut self,
        promise: &'static str,
        tried: impl Into<String>,
        kept: bool,
        result: impl Into<String>,
    ) -> anyhow::Result<()> {
        let check = Check { promise, tried: tried.into(), kept, result: result.into() };
        let mark = if kept { "ok " } else { "NOT" };
        self.say(&format!("   {mark} {}: {}", check.tried, check.result))?;
        self.checks.push(check);
        Ok(())
    }

    /// Prints the table of promises; whether all of them were kept.
    pub(super) fn end(&self) -> anyhow::Result<bool> {
        let kept = !self.checks.is_empty() && self.checks.iter().all(|check| check.kept);
        if self.json {
            let seconds = self.started.elapsed().as_secs_f64();
            ui::json(&Report { version: 1, kept, seconds, checks: &self.checks })?;
            return Ok(kept);
        }
        let mut table = Table::new();
        table.load_style(presets::UTF8_HORIZONTAL_ONLY);
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(110);
        table.set_header(["promise", "tried", "result"]);
        for check in &self.checks {
            let broken = if check.kept { "" } else { "NOT KEPT: " };
            table.add_row([
                check.promise.to_owned(),
                check.tried.clone(),
                format!("{broken}{}", check.result),
            ]);
        }
        ui::result(format!("\n{table}"))?;
        let seconds = self.started.elapsed().as_secs();
        let failed = self.checks.iter().filter(|check| !check.kept).count();
        let verdict = match failed {
            0 => format!("all {} held", self.checks.len()),
            failed => format!("{failed} of {} did NOT hold", self.checks.len()),
        };
        ui::result(format!("{verdict}; {seconds} s"))?;
        Ok(kept)
    }
}
