//! What every manifest and every pure crate's root must say, because cargo can't inherit it.

use std::{fs, path::Path};

use anyhow::Context as _;

use super::{Problem, layers};

/// The workspace's lints.
const LINTS: &str = "[lints]\nworkspace = true\n";

/// Lints of pure crates; inherited ones can't be extended in the manifest.
const PURE_LINTS: [&str; 3] =
    ["clippy::indexing_slicing", "clippy::panic", "clippy::cast_possible_truncation"];

pub(crate) fn check(root: &Path) -> anyhow::Result<Vec<Problem>> {
    let mut problems = Vec::new();
    let crates = root.join(super::CRATES);
    let folders = fs::read_dir(&crates).with_context(|| format!("cannot list `{}`", super::CRATES));
    for folder in folders? {
        let name = folder?.file_name().to_string_lossy().into_owned();
        let manifest = format!("{}{name}/Cargo.toml", super::CRATES);
        let Ok(text) = fs::read_to_string(root.join(&manifest)) else {
            // A folder that git doesn't know may stay behind when a branch is left.
            continue;
        };
        problems.extend(check_manifest(&manifest, &text));
        if layers::is_pure(&name) {
            let library = format!("{}{name}/src/lib.rs", super::CRATES);
            let text = fs::read_to_string(root.join(&library))
                .with_context(|| format!("cannot read `{library}`"))?;
            problems.extend(check_pure(&library, &text));
        }
    }
    Ok(problems)
}

fn check_manifest(path: &str, text: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    if !text.contains(LINTS) {
        problems.push(Problem::new(path, None, "no `[lints] workspace = true`"));
    }
    for key in ["version", "license", "publish"] {
        if !text.contains(&format!("{key}.workspace = true\n")) {
            problems.push(Problem::new(path, None, format!("no `{key}.workspace = true`")));
        }
    }
    problems
}

fn check_pure(path: &str, text: &str) -> Option<Problem> {
    let denied = text.split("#![deny(").skip(1).filter_map(|rest| rest.split(")]").next());
    let denied: Vec<&str> = denied.flat_map(|list| list.split(',').map(str::trim)).collect();
    let missing = PURE_LINTS.into_iter().find(|lint| !denied.contains(lint))?;
    Some(Problem::new(path, 1, format!("a pure crate says `#![deny({missing})]`")))
}

#[cfg(test)]
mod tests {
    use super::{check_manifest, check_pure};

    #[test]
    fn a_manifest_inherits_lints_version_and_licence() {
        let full = "version.workspace = true\nlicense.workspace = true\n\
                    publish.workspace = true\n\n[lints]\nworkspace = true\n";
        assert_eq!(check_manifest("a", full), []);
        for line in full.lines().filter(|line| !line.is_empty()) {
            assert_eq!(check_manifest("a", &full.replacen(line, "", 1)).len(), 1, "{line}");
        }
    }

    #[test]
    fn a_pure_crate_denies_what_may_panic() {
        let full = "//! A.\n#![deny(\n    clippy::indexing_slicing,\n    clippy::panic,\n    \
                    clippy::cast_possible_truncation\n)]\n";
        assert_eq!(check_pure("a", full), None);
        assert!(check_pure("a", &full.replace("clippy::panic,", "")).is_some());
        assert!(check_pure("a", &full.replace("deny", "warn")).is_some());
    }
}
