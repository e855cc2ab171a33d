//! Rules of the user's own, tried on the examples beside them.

use std::path::Path;

use anyhow::{Context as _, ensure};
use postern_rules::{Examples, Failure};
use serde::Serialize;

use crate::{
    cli::{RulesCommand, RulesTestArgs},
    config,
    rules::RuleFiles,
    ui::{self, Outcome},
};

pub(crate) fn run(config: &Path, command: &RulesCommand) -> anyhow::Result<Outcome> {
    match command {
        RulesCommand::Test(args) => test(config, args),
    }
}

/// `rules test --json`; version 1.
#[derive(Debug, Serialize)]
struct Tested<'a> {
    version: u32,
    rules: usize,
    passed: usize,
    failed: Vec<Failed<'a>>,
    /// Rules without an example that they have to match, and without one that they must not.
    unmatched: &'a [String],
    unbounded: &'a [String],
}

#[derive(Debug, Serialize)]
struct Failed<'a> {
    file: &'a str,
    example: &'a str,
    rule: &'a str,
    should_match: bool,
}

fn test(config: &Path, args: &RulesTestArgs) -> anyhow::Result<Outcome> {
    let folder = match &args.dir {
        Some(folder) => folder.clone(),
        None => config::watch_of(config)?.1.map(|rules| rules.folder).with_context(|| {
            format!("`{}` has no `rules` in `[watch]`; name a folder", config.display())
        })?,
    };
    let files = RuleFiles::read(&folder)?;
    ensure!(!files.rules.is_empty(), "there are no rules (*.yml) in `{}`", folder.display());
    let rules = postern_rules::Rules::parse(&files.rules, &Default::default())?;
    let rules = rules.ids().count();
    let checked = Examples::check(&files.rules, &files.examples)?;
    let Examples { passed, failures, unmatched, unbounded } = &checked;
    if args.json {
        let failed = failures.iter().map(failed).collect();
        ui::json(&Tested { version: 1, rules, passed: *passed, failed, unmatched, unbounded })?;
    } else {
        for failure in failures {
            let does = if failure.matches { "does not match" } else { "matches" };
            ui::result(format!(
                "FAILED {}: `{}` {does} \"{}\"",
                failure.file, failure.rule, failure.what
            ))?;
        }
        ui::result(format!(
            "{rules} rules, {} examples, {} failed",
            passed + failures.len(),
            failures.len()
        ))?;
    }
    for rule in unmatched {
        ui::warning(format!("no example shows what `{rule}` has to match"));
    }
    for rule in unbounded {
        ui::warning(format!("no example shows what `{rule}` must not match"));
    }
    Ok(if failures.is_empty() { Outcome::Yes } else { Outcome::No })
}

fn failed(failure: &Failure) -> Failed<'_> {
    let Failure { file, what, rule, matches } = failure;
    Failed { file, example: what, rule, should_match: *matches }
}
