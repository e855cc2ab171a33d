//! What is wrong in a configuration file: where, and what to do about it. The text that is quoted
//! is the file's own, so no secret may stand in the file itself.

use std::{
    fmt, io,
    ops::Range,
    path::{Path, PathBuf},
};

use miette::{Diagnostic, LabeledSpan, NamedSource, Severity, SourceCode};
use thiserror::Error;

/// Why a configuration can't be used.
#[derive(Debug, Error)]
pub(crate) enum ConfigError {
    #[error("can't read the configuration `{}`", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("`{}` can't be used: {}", path.display(), count(problems.len()))]
    Wrong { path: PathBuf, problems: Vec<Problem> },
}

impl ConfigError {
    /// What is wrong in the file, place by place.
    pub(crate) fn problems(&self) -> &[Problem] {
        match self {
            Self::Unreadable { .. } => &[],
            Self::Wrong { problems, .. } => problems,
        }
    }

    pub(super) fn syntax(source: &Source, error: &toml::de::Error) -> Self {
        let message = in_words(&error.message().trim().replace('\n', ", "));
        let help = help_for(&message);
        let span = error.span().map_or(0..0, |span| source.visible(span));
        let problem = source.problem(span, message, help);
        Self::Wrong { path: source.path.clone(), problems: vec![problem] }
    }
}

fn count(problems: usize) -> String {
    if problems == 1 { "1 problem".to_owned() } else { format!("{problems} problems") }
}

/// The TOML reader's message without the names of Rust's types.
fn in_words(message: &str) -> String {
    let words = [
        ("u16", "a whole number up to 65535"),
        ("u32", "a whole number up to 4294967295"),
        ("u64", "a whole number, not negative"),
        ("f64", "a number"),
        ("a string", "a text in quotes"),
        ("a boolean", "`true` or `false`"),
    ];
    let found = words.iter().find_map(|(rust, words)| {
        let start = message.strip_suffix(rust)?.strip_suffix("expected ")?;
        Some(format!("{start}expected {words}"))
    });
    found.unwrap_or_else(|| message.to_owned())
}

/// What to do about what the TOML reader found.
fn help_for(message: &str) -> String {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    match quoted.split_first() {
        Some((unknown, known)) if message.starts_with("unknown") => match nearest(unknown, known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "remove it; docs/config.md lists what can be said here".to_owned(),
        },
        Some((missing, _)) if message.starts_with("missing field") => {
            format!("add `{missing} = …` here; docs/config.md says what it means")
        }
        _ if message.starts_with("invalid type") => {
            "write the value in the form that is expected; docs/config.md has examples".to_owned()
        }
        _ => "docs/config.md has an example of each section".to_owned(),
    }
}

fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|candidate| (distance(word, candidate), *candidate))
        .filter(|(edits, candidate)| *edits <= candidate.len().max(word.len()) / 3)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance, row by row.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.chars().count()).collect();
    for (i, l) in left.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, r) in right.chars().enumerate() {
            let substituted = diagonal + usize::from(l != r);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

/// A configuration file's text, for pointing into it.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) text: String,
}

impl Source {
    pub(super) fn new(path: &Path, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// Where something is missing there is nothing to point at but what stands before.
    fn visible(&self, span: Range<usize>) -> Range<usize> {
        let before = self.text.get(..span.start).unwrap_or_default();
        match before.char_indices().next_back() {
            Some((last, _)) if span.is_empty() => last..span.start,
            _ => span,
        }
    }

    pub(super) fn problem(&self, span: Range<usize>, message: String, help: String) -> Problem {
        Problem {
            source: NamedSource::new(self.path.display().to_string(), self.text.clone()),
            span,
            message,
            help,
            severity: Severity::Error,
        }
    }
}

/// One thing that is wrong, where, and what to do about it.
#[derive(Debug)]
pub(crate) struct Problem {
    source: NamedSource<String>,
    span: Range<usize>,
    message: String,
    help: String,
    severity: Severity,
}

impl Problem {
    pub(super) fn into_warning(self) -> Self {
        Self { severity: Severity::Warning, ..self }
    }

    /// The line that it is on, counted from 1; the first where it concerns the whole file.
    pub(crate) fn line(&self) -> usize {
        let before = self.source.inner().get(..self.span.start).unwrap_or_default();
        before.matches('\n').count() + 1
    }

    /// What to do about it.
    pub(crate) fn what_to_do(&self) -> &str {
        &self.help
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

impl Diagnostic for Problem {
    fn severity(&self) -> Option<Severity> {
        Some(self.severity)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(&self.help))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        (!self.span.is_empty()).then_some(&self.source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        if self.span.is_empty() {
            return None;
        }
        let label = LabeledSpan::new_with_span(Some("here".to_owned()), self.span.clone());
        Some(Box::new(std::iter::once(label)))
    }
}
