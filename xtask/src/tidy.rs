//! What no other tool looks at: the rules of STYLE.md that a machine can check.

mod exceptions;
mod layers;
mod manifests;
mod purity;
mod shape;
mod source;
mod text;

use std::{
    fmt, fs,
    io::{Write as _, stderr},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};

use self::{exceptions::Exceptions, source::Source};

/// A tracked file above this many bytes must be listed as an exception.
const BLOB_BYTES_MAX: u64 = 300 * 1024;

/// Folder and prefix of the workspace's crates.
const CRATES: &str = "crates/";

/// Something that a rule does not allow.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Problem {
    path: String,
    line: Option<usize>,
    message: String,
    warning: bool,
}

impl Problem {
    fn new(path: &str, line: impl Into<Option<usize>>, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line: line.into(), message: message.into(), warning: false }
    }

    fn warning(path: &str, message: impl Into<String>) -> Self {
        Self { warning: true, ..Self::new(path, None, message) }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.warning { "warning" } else { "error" };
        write!(f, "{kind}: {}", self.path)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// Checks the files of the checkout at `root`, prints what is wrong, and says whether nothing is.
pub(crate) fn run(root: &Path) -> anyhow::Result<bool> {
    let paths = files(root)?;
    let exceptions = fs::read_to_string(root.join(exceptions::PATH))
        .with_context(|| format!("cannot read `{}`", exceptions::PATH))?;
    let mut exceptions = Exceptions::parse(&exceptions)?;
    let mut problems = Vec::new();
    for path in &paths {
        let size = fs::metadata(root.join(path)).map(|m| m.len());
        let size = size.with_context(|| format!("cannot read `{path}`"))?;
        exceptions.check(
            &mut problems,
            &exceptions::Measure {
                kind: exceptions::Kind::Bytes,
                path,
                function: None,
                line: None,
                value: usize::try_from(size)?,
                max: usize::try_from(BLOB_BYTES_MAX)?,
            },
        );
        problems.extend(text::check_name(path));
        if text::is_checked(path) {
            let bytes =
                fs::read(root.join(path)).with_context(|| format!("cannot read `{path}`"))?;
            problems.extend(text::check(path, &String::from_utf8_lossy(&bytes)));
        }
    }
    let sources = sources(root, &paths)?;
    for source in &sources {
        shape::check(source, &paths, &mut exceptions, &mut problems);
        problems.extend(purity::check(source));
    }
    problems.extend(manifests::check(root)?);
    problems.extend(layers::check(&layers::workspace(root)?));
    problems.extend(exceptions.unused());
    report(&mut problems)
}

fn report(problems: &mut [Problem]) -> anyhow::Result<bool> {
    problems.sort();
    for problem in &*problems {
        writeln!(stderr(), "{problem}")?;
    }
    let errors = problems.iter().filter(|problem| !problem.warning).count();
    let warnings = problems.len() - errors;
    writeln!(stderr(), "tidy: {errors} errors, {warnings} warnings")?;
    Ok(errors == 0)
}

/// Paths, relative to `root`, of all files that are not ignored by git.
fn files(root: &Path) -> anyhow::Result<Vec<String>> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("cannot run `git`, which knows the files of the project")?;
    if !output.status.success() {
        bail!("`git ls-files` failed: {}", String::from_utf8_lossy(&output.stderr).trim_end());
    }
    let mut paths: Vec<String> = String::from_utf8(output.stdout)
        .context("a file's name is not UTF-8")?
        .split_terminator('\0')
        // A deleted file is listed until the deletion is staged.
        .filter(|path| root.join(path).is_file())
        .map(str::to_owned)
        .collect();
    paths.sort();
    paths.dedup();
    Ok(paths)
}

fn sources(root: &Path, paths: &[String]) -> anyhow::Result<Vec<Source>> {
    let mut sources = Vec::new();
    for path in paths.iter().filter(|path| path.ends_with(".rs")) {
        let text = fs::read_to_string(root.join(PathBuf::from(path)))
            .with_context(|| format!("cannot read `{path}`"))?;
        sources.push(Source::parse(path, text)?);
    }
    source::mark_tests(&mut sources);
    Ok(sources)
}
