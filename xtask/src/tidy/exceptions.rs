//! The list of what is larger than it should be. It may only shrink.
//!
//! A line is `KIND PLACE VALUE REASON`, where KIND is one of those in [`Kind`], PLACE a path, with
//! `::name` of the function where there is one, and VALUE what it measures now. What grows beyond
//! its VALUE fails, and so does an entry that is higher than it need be or not needed at all.

use anyhow::{Context as _, bail};

use super::Problem;

/// Where the list is, from the root.
pub(crate) const PATH: &str = "xtask/tidy-exceptions.txt";

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Bytes of a file of any sort.
    Bytes,
    /// Lines of a Rust file.
    FileLines,
    /// Lines of a function, its signature included.
    FunctionLines,
    /// Parameters of a function, `self` apart.
    Parameters,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Bytes, Self::FileLines, Self::FunctionLines, Self::Parameters];

    fn name(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::FileLines => "file-lines",
            Self::FunctionLines => "function-lines",
            Self::Parameters => "parameters",
        }
    }
}

/// One measured thing.
#[derive(Debug)]
pub(crate) struct Measure<'a> {
    pub(crate) kind: Kind,
    pub(crate) path: &'a str,
    pub(crate) function: Option<&'a str>,
    pub(crate) line: Option<usize>,
    pub(crate) value: usize,
    /// What is allowed without an exception.
    pub(crate) max: usize,
}

impl Measure<'_> {
    fn place(&self) -> String {
        match self.function {
            Some(function) => format!("{}::{function}", self.path),
            None => self.path.to_owned(),
        }
    }
}

#[derive(Debug)]
struct Exception {
    line: usize,
    kind: Kind,
    place: String,
    value: usize,
    used: bool,
}

/// The whole list.
#[derive(Debug)]
pub(crate) struct Exceptions(Vec<Exception>);

impl Exceptions {
    /// Empty lines and those that begin with `#` don't count.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        let mut exceptions = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let exception = parse_line(index + 1, line)
                .with_context(|| format!("{PATH}:{}: `{line}` is not understood", index + 1))?;
            exceptions.push(exception);
        }
        Ok(Self(exceptions))
    }

    /// Reports `measure` if it is above its maximum and not excepted in exactly this size.
    pub(crate) fn check(&mut self, problems: &mut Vec<Problem>, measure: &Measure<'_>) {
        let Measure { kind, path, line, value, max, .. } = *measure;
        if value <= max {
            return;
        }
        let (name, place) = (kind.name(), measure.place());
        let found = self.0.iter_mut().find(|e| e.kind == kind && e.place == place);
        let message = match found {
            None => format!("{place} has {name} {value}, allowed are {max}"),
            Some(exception) => {
                exception.used = true;
                let listed = exception.value;
                if value == listed {
                    return;
                }
                if value < listed {
                    let message = format!("{name} of {place} is {value} now: lower the entry");
                    problems.push(Problem::new(PATH, exception.line, message));
                    return;
                }
                format!("{place} has grown: {name} {value}, excepted are {listed}")
            }
        };
        problems.push(Problem::new(path, line, message));
    }

    /// Entries that nothing needed.
    pub(crate) fn unused(&self) -> impl Iterator<Item = Problem> {
        self.0.iter().filter(|exception| !exception.used).map(|exception| {
            let message = format!(
                "{} of {} is within bounds or gone: remove the entry",
                exception.kind.name(),
                exception.place
            );
            Problem::new(PATH, exception.line, message)
        })
    }
}

fn parse_line(line: usize, text: &str) -> anyhow::Result<Exception> {
    let mut words = text.split_whitespace();
    let mut word = |what: &str| words.next().with_context(|| format!("no {what}"));
    let (kind, place, value) = (word("kind")?, word("place")?, word("value")?);
    let Some(kind) = Kind::ALL.into_iter().find(|candidate| candidate.name() == kind) else {
        bail!("`{kind}` is not a kind");
    };
    let value = value.parse().with_context(|| format!("`{value}` is not a number"))?;
    word("reason")?;
    Ok(Exception { line, kind, place: place.to_owned(), value, used: false })
}

#[cfg(test)]
mod tests {
    use super::{Exceptions, Kind, Measure};

    fn check(list: &str, value: usize, expected: &[&str]) {
        let mut exceptions = Exceptions::parse(list).unwrap();
        let mut problems = Vec::new();
        exceptions.check(
            &mut problems,
            &Measure {
                kind: Kind::FunctionLines,
                path: "a.rs",
                function: Some("f"),
                line: Some(7),
                value,
                max: 70,
            },
        );
        problems.extend(exceptions.unused());
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(problems, expected, "{list:?} {value}");
    }

    #[test]
    fn the_list_only_shrinks() {
        let list = "# comment\n\nfunction-lines a.rs::f 90 a sequencer\n";
        check("", 70, &[]);
        check("", 71, &["error: a.rs:7: a.rs::f has function-lines 71, allowed are 70"]);
        check(list, 90, &[]);
        check(list, 91, &["error: a.rs:7: a.rs::f has grown: function-lines 91, excepted are 90"]);
        check(
            list,
            80,
            &["error: xtask/tidy-exceptions.txt:3: function-lines of a.rs::f is 80 now: \
                           lower the entry"],
        );
        check(
            list,
            70,
            &["error: xtask/tidy-exceptions.txt:3: function-lines of a.rs::f is within \
                           bounds or gone: remove the entry"],
        );
    }

    #[test]
    fn a_line_needs_a_kind_a_number_and_a_reason() {
        for line in ["length a.rs 3 why", "bytes a.rs many why", "bytes a.rs 3", "bytes"] {
            assert!(Exceptions::parse(line).is_err(), "{line}");
        }
    }
}
