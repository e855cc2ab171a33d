use std::{collections::BTreeMap, fmt, path::PathBuf};

use crate::Source;

/// One line that could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bad {
    pub file: PathBuf,
    /// Counted from 1.
    pub line: u64,
    pub why: String,
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.why)
    }
}

/// What was wrong with a feed, as far as it has been read.
#[derive(Debug, Clone, Default)]
pub struct Problems {
    /// Lines read, the bad ones included, the empty ones not.
    pub lines: u64,
    /// Lines that were skipped because they are malformed.
    pub bad: u64,
    /// The first of them, at most [`Problems::SHOWN`].
    pub shown: Vec<Bad>,
    /// How often each unknown value of `event` came; at most [`Problems::SHOWN`] different ones
    /// are told apart, the rest is under `…`.
    pub unknown_events: BTreeMap<(Source, String), u64>,
    /// Lines that were older than the line before them. They are delivered as if seen when the
    /// line before them happened.
    pub out_of_order: u64,
}

impl Problems {
    /// How many bad lines are kept with file and line.
    pub const SHOWN: usize = 100;

    /// Whether more than 1 % of the lines were bad, so that the run has to end with exit code 2.
    pub fn too_many(&self) -> bool {
        self.bad.saturating_mul(100) > self.lines
    }

    pub(crate) fn bad(&mut self, bad: Bad) {
        self.bad += 1;
        if self.shown.len() < Self::SHOWN {
            self.shown.push(bad);
        }
    }

    pub(crate) fn unknown_event(&mut self, source: Source, event: String) {
        let room = self.unknown_events.len() < Self::SHOWN;
        let key = (source, event);
        let key = if room || self.unknown_events.contains_key(&key) {
            key
        } else {
            (source, "…".to_owned())
        };
        *self.unknown_events.entry(key).or_default() += 1;
    }
}
