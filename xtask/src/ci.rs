//! Everything that must hold before a change is merged, tests apart.

use std::{
    io::{Write as _, stderr},
    path::Path,
    process::Command,
};

use anyhow::Context as _;

use crate::tidy;

/// Commands that need nothing from the Internet; the advisories do, and come last.
const STEPS: [(&str, &[&str]); 3] = [
    ("format", &["fmt", "--all", "--check"]),
    ("lints", &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]),
    ("supply chain", &SUPPLY_CHAIN),
];

/// An exception that isn't needed any more is an error, as everywhere.
const SUPPLY_CHAIN: [&str; 10] = [
    "deny",
    "--workspace",
    "check",
    "-D",
    "unmatched-skip",
    "-D",
    "unnecessary-skip",
    "bans",
    "licenses",
    "sources",
];

/// Runs each check, all of them even if one fails, and says whether all passed.
pub(crate) fn run(root: &Path) -> anyhow::Result<bool> {
    let mut failed = Vec::new();
    announce("tidy")?;
    if !tidy::run(root)? {
        failed.push("tidy");
    }
    for (name, arguments) in STEPS {
        announce(name)?;
        if !cargo(root, arguments)? {
            failed.push(name);
        }
    }
    announce("advisories")?;
    if !fetch_advisories(root)? {
        writeln!(stderr(), "warning: advisories not checked, their database can't be fetched")?;
    } else if !cargo(root, &["deny", "--offline", "--workspace", "check", "advisories"])? {
        failed.push("advisories");
    }
    if !failed.is_empty() {
        writeln!(stderr(), "error: failed: {}", failed.join(", "))?;
    }
    Ok(failed.is_empty())
}

/// Brings the database of advisories up to date, which needs the Internet. Silent: where there is
/// none, that is not an error.
fn fetch_advisories(root: &Path) -> anyhow::Result<bool> {
    let output = Command::new("timeout")
        .args(["60", "cargo", "deny", "fetch", "db"])
        .current_dir(root)
        .output()
        .context("cannot run `timeout cargo deny fetch db`")?;
    Ok(output.status.success())
}

fn announce(step: &str) -> anyhow::Result<()> {
    writeln!(stderr(), "== {step}").context("cannot write to standard error")
}

/// Runs cargo at the root; what it says goes where our own output goes.
fn cargo(root: &Path, arguments: &[&str]) -> anyhow::Result<bool> {
    let status = Command::new("cargo")
        .args(arguments)
        .current_dir(root)
        .status()
        .with_context(|| format!("cannot run `cargo {}`", arguments.join(" ")))?;
    Ok(status.success())
}
