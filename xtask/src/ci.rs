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
    ("supply chain", &["deny", "--workspace", "check", "bans", "licenses", "sources"]),
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
    if !cargo(root, &["deny", "fetch", "db"])? {
        writeln!(stderr(), "warning: advisories not checked, their database can't be fetched")?;
    } else if !cargo(root, &["deny", "--workspace", "check", "--disable-fetch", "advisories"])? {
        failed.push("advisories");
    }
    if !failed.is_empty() {
        writeln!(stderr(), "error: failed: {}", failed.join(", "))?;
    }
    Ok(failed.is_empty())
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
