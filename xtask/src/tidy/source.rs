//! One Rust file, and which of it is test code.

use std::collections::BTreeSet;

use anyhow::Context as _;
use syn::{Attribute, Item, Meta};

/// A parsed Rust file.
pub(crate) struct Source {
    /// Relative to the root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) syntax: syn::File,
    /// Whether all of it is test code.
    pub(crate) test: bool,
}

impl Source {
    pub(crate) fn parse(path: &str, text: String) -> anyhow::Result<Self> {
        let syntax = syn::parse_file(&text).with_context(|| format!("cannot parse `{path}`"))?;
        Ok(Self { path: path.to_owned(), text, syntax, test: is_test_path(path) })
    }

    /// `postern-wire` of `crates/postern-wire/src/frame.rs`.
    pub(crate) fn package(&self) -> Option<&str> {
        self.path.strip_prefix(super::CRATES)?.split('/').next()
    }

    /// Whether this is the root of a crate: a library, a program or a test binary.
    pub(crate) fn is_root(&self) -> bool {
        self.path.ends_with("/lib.rs")
            || self.path.ends_with("/main.rs")
            || self.path.contains("/src/bin/")
    }

    /// The folder that the modules declared here live in.
    pub(crate) fn modules(&self) -> String {
        let folder = self.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        if self.is_root() || self.path.ends_with("/mod.rs") {
            format!("{folder}/")
        } else {
            format!("{}/", self.path.trim_end_matches(".rs"))
        }
    }
}

/// Marks the files, and the folders under them, that a `#[cfg(test)] mod name;` brings in.
pub(crate) fn mark_tests(sources: &mut [Source]) {
    let mut test_modules = BTreeSet::new();
    for source in &*sources {
        for item in &source.syntax.items {
            if let Item::Mod(module) = item
                && module.content.is_none()
                && is_test(&module.attrs)
            {
                test_modules.insert(format!("{}{}", source.modules(), module.ident));
            }
        }
    }
    for source in sources {
        let marked = test_modules.iter().any(|module| {
            source
                .path
                .strip_prefix(module.as_str())
                .is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        });
        source.test |= marked;
    }
}

/// Whether a file of this name is test code, whoever brings it in.
pub(crate) fn is_test_path(path: &str) -> bool {
    path.split('/').any(|part| matches!(part, "tests" | "benches" | "tests.rs"))
}

/// Whether these attributes make an item test code: `#[cfg(test)]`, `#[test]`, `#[tokio::test]`.
pub(crate) fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let last = attribute.path().segments.last();
        match &attribute.meta {
            Meta::List(list) if attribute.path().is_ident("cfg") => {
                let words = list.tokens.to_string();
                let mut words = words.split(|c: char| !c.is_alphanumeric() && c != '_');
                words.clone().all(|word| word != "not") && words.any(|word| word == "test")
            }
            Meta::Path(_) | Meta::List(_) | Meta::NameValue(_) => {
                last.is_some_and(|last| last.ident == "test")
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{Source, mark_tests};

    #[test]
    fn test_modules_are_found_where_rust_looks_for_them() {
        let parse = |path: &str, text: &str| Source::parse(path, text.to_owned()).unwrap();
        let mut sources = [
            parse("crates/a/src/lib.rs", "#[cfg(test)]\nmod fakes;\nmod real;"),
            parse("crates/a/src/fakes.rs", ""),
            parse("crates/a/src/fakes/clock.rs", ""),
            parse(
                "crates/a/src/real.rs",
                "#[cfg(not(test))] mod x; #[cfg(all(test, unix))] mod y;",
            ),
            parse("crates/a/src/real/x.rs", ""),
            parse("crates/a/src/real/y.rs", ""),
            parse("crates/a/src/real/tests.rs", ""),
            parse("crates/a/tests/it/main.rs", ""),
        ];
        mark_tests(&mut sources);
        let tests: Vec<&str> = sources
            .iter()
            .filter(|s| s.test)
            .map(|s| s.path.trim_start_matches("crates/a/"))
            .collect();
        assert_eq!(
            tests,
            [
                "src/fakes.rs",
                "src/fakes/clock.rs",
                "src/real/y.rs",
                "src/real/tests.rs",
                "tests/it/main.rs"
            ]
        );
    }
}
