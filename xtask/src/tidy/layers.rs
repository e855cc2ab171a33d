//! Which crate may know which: the map of STYLE.md §1, checked over `cargo metadata`.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::Context as _;
use cargo_metadata::{DependencyKind, MetadataCommand};

use super::Problem;

/// Crates with no effect on the world and none from it.
const PURE: [&str; 11] = [
    "postern-model",
    "postern-merkle",
    "postern-wire",
    "postern-sql",
    "postern-policy",
    "postern-people",
    "postern-session",
    "postern-watch",
    "postern-cases",
    "postern-trace",
    "postern-call",
];

/// What a pure crate must not link: runtimes, files, sockets, clocks and random numbers.
const WORLD: [&str; 15] = [
    "async-std",
    "chrono",
    "getrandom",
    "libc",
    "mio",
    "nix",
    "rand",
    "reqwest",
    "rustix",
    "smol",
    "socket2",
    "tempfile",
    "time",
    "tokio",
    "tracing-subscriber",
];

/// Families of crates that count as the first part of their name.
const WORLD_PREFIXES: [&str; 3] = ["tokio-", "hyper", "async-"];

/// Dependencies that belong to some crates only. Tests may use them anywhere.
const RESERVED: [(&str, &[&str]); 9] = [
    // The composition root plays clients in the demo.
    (
        "postern-wire",
        &["postern-session", "postern-gateway", "postern", "postern-interference", "postern-fuzz"],
    ),
    // SCRAM is part of PostgreSQL's protocol and of what is stored about people.
    (
        "postgres-protocol",
        &["postern-wire", "postern-gateway", "postern-people", "postern-interference"],
    ),
    ("pg_query", &["postern-sql"]),
    ("cedar-policy", &["postern-policy"]),
    ("askama", &["postern-console"]),
    ("axum", &["postern-console"]),
    ("hyper", &["postern-scim", "postern-console"]),
    ("clap", &["postern", "postern-interference", "postern-sim", "xtask"]),
    ("anyhow", &["postern", "postern-interference", "postern-sim", "xtask"]),
];

/// Crates that only tests may use, apart from those listed.
const DEV_ONLY: [(&str, &[&str]); 3] = [
    // The demo brings its own server; the other is a tool.
    ("postern-testkit", &["postern", "postern-interference"]),
    ("postern-sim", &[]),
    ("postern-fuzz", &[]),
];

/// Nothing depends on these, the composition root apart.
const TOPS: [&str; 2] = ["postern-console", "postern"];

/// These don't reach each other, not even through a third crate.
const STRANGERS: [(&str, &str); 3] = [
    ("postern-gateway", "postern-console"),
    ("postern-console", "postern-gateway"),
    ("postern-session", "postern-ledger"),
];

/// Crates without any other Postern crate under them: auditors need nothing but these.
const BOTTOMS: [&str; 2] = ["postern-merkle", "postern-model"];

/// Names that say nothing.
const EMPTY_NAMES: [&str; 5] = ["common", "core", "helpers", "util", "utils"];

/// A crate of the workspace and what it uses directly.
#[derive(Debug, Default)]
pub(crate) struct Package {
    name: String,
    /// Path from the root.
    manifest: String,
    uses: BTreeSet<String>,
    uses_in_tests: BTreeSet<String>,
}

pub(crate) fn is_pure(package: &str) -> bool {
    PURE.contains(&package)
}

/// The workspace as cargo sees it.
pub(crate) fn workspace(root: &Path) -> anyhow::Result<Vec<Package>> {
    let metadata = MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .no_deps()
        .exec()
        .context("cannot read the workspace with `cargo metadata`")?;
    let packages = metadata.workspace_packages().into_iter().map(|package| {
        let manifest = package.manifest_path.as_std_path();
        let manifest = manifest.strip_prefix(root).unwrap_or(manifest).display().to_string();
        let name = package.name.to_string();
        let mut found = Package { name, manifest, ..Package::default() };
        for dependency in &package.dependencies {
            let in_tests = dependency.kind == DependencyKind::Development;
            let uses = if in_tests { &mut found.uses_in_tests } else { &mut found.uses };
            uses.insert(dependency.name.clone());
        }
        found
    });
    Ok(packages.collect())
}

pub(crate) fn check(workspace: &[Package]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for package in workspace {
        let mut report = |message: String| {
            problems.push(Problem::new(&package.manifest, None, message));
        };
        check_name(package, &mut report);
        check_direct(package, &mut report);
        let below = reachable(workspace, &package.name);
        for (from, to) in STRANGERS {
            if package.name == from && below.contains(to) {
                report(format!("`{from}` must not know `{to}`, not even through others"));
            }
        }
        let (gateway, console) = ("postern-gateway", "postern-console");
        if package.name != "postern" && below.contains(gateway) && below.contains(console) {
            report(format!("`{gateway}` and `{console}` meet only in `postern`"));
        }
    }
    problems
}

fn check_name(package: &Package, report: &mut impl FnMut(String)) {
    let name = package.name.as_str();
    let folder = package.manifest.rsplit('/').nth(1).unwrap_or_default();
    if folder != name {
        report(format!("the folder of `{name}` has its name"));
    }
    if EMPTY_NAMES.contains(&name.trim_start_matches("postern-")) {
        report(format!("`{name}` says nothing: name the crate by what it is for"));
    }
}

fn check_direct(package: &Package, report: &mut impl FnMut(String)) {
    let name = package.name.as_str();
    for used in &package.uses {
        if is_pure(name) && is_world(used) {
            report(format!("`{name}` is pure: no `{used}`; take time and randomness as arguments"));
        }
        if is_pure(name) && is_ours(used) && !is_pure(used) {
            report(format!("`{name}` is pure and `{used}` is not"));
        }
        for (reserved, users) in RESERVED.into_iter().chain(DEV_ONLY) {
            if used == reserved && !users.contains(&name) {
                report(format!("`{used}` is not for `{name}`: see RESERVED and DEV_ONLY in tidy"));
            }
        }
    }
    for used in package.uses.iter().chain(&package.uses_in_tests) {
        if TOPS.contains(&used.as_str()) && name != "postern" {
            report(format!("nothing depends on `{used}` but `postern`"));
        }
    }
    for used in &package.uses {
        if BOTTOMS.contains(&name) && is_ours(used) {
            report(format!("`{name}` depends on no other Postern crate, `{used}` is one"));
        }
    }
}

fn is_ours(package: &str) -> bool {
    package == "postern" || package.starts_with("postern-")
}

fn is_world(package: &str) -> bool {
    WORLD.contains(&package) || WORLD_PREFIXES.iter().any(|prefix| package.starts_with(prefix))
}

/// All workspace crates under `name`, tests apart.
fn reachable<'a>(workspace: &'a [Package], name: &str) -> BTreeSet<&'a str> {
    let by_name: BTreeMap<&str, &Package> =
        workspace.iter().map(|package| (package.name.as_str(), package)).collect();
    let mut found = BTreeSet::new();
    let mut open: Vec<&Package> = by_name.get(name).copied().into_iter().collect();
    while let Some(package) = open.pop() {
        for used in &package.uses {
            if let Some(used) = by_name.get(used.as_str())
                && found.insert(used.name.as_str())
            {
                open.push(used);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests;
