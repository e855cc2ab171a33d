//! The curated list of built-in functions.

use std::collections::BTreeMap;

use crate::refusal::{Judged, refuse};

/// What kind of function a name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Scalar,
    /// Returns a set of one unnamed column.
    Set,
    /// Returns a set of columns that are not known here.
    Record,
    Aggregate,
    /// An aggregate whose result holds all of its input.
    Collecting,
    Window,
    /// A window function that is also a hypothetical-set aggregate.
    WindowOrAggregate,
}

/// Built-in functions by name.
#[derive(Debug, Clone)]
pub(crate) struct Functions {
    kinds: BTreeMap<&'static str, Kind>,
}

impl Functions {
    pub(crate) fn load() -> Self {
        let lines = include_str!("functions.txt").lines().filter(|line| !line.starts_with('#'));
        let kinds = lines.filter_map(|line| {
            let (name, kind) = line.split_once(' ')?;
            let kind = match kind {
                "f" => Kind::Scalar,
                "s" => Kind::Set,
                "r" => Kind::Record,
                "a" => Kind::Aggregate,
                "c" => Kind::Collecting,
                "w" => Kind::Window,
                "wa" => Kind::WindowOrAggregate,
                _ => return None,
            };
            Some((name, kind))
        });
        Self { kinds: kinds.collect() }
    }

    pub(crate) fn kind(&self, name: &str) -> Option<Kind> {
        self.kinds.get(name).copied()
    }
}

/// Settings that may be read by name.
pub(crate) fn readable_setting(name: &str) -> bool {
    SETTINGS.contains(&name.to_ascii_lowercase().as_str())
}

const SETTINGS: [&str; 31] = [
    "application_name",
    "bytea_output",
    "client_encoding",
    "client_min_messages",
    "datestyle",
    "default_transaction_isolation",
    "default_transaction_read_only",
    "extra_float_digits",
    "idle_in_transaction_session_timeout",
    "integer_datetimes",
    "intervalstyle",
    "is_superuser",
    "jit",
    "lc_collate",
    "lc_ctype",
    "lc_monetary",
    "lc_numeric",
    "lock_timeout",
    "max_identifier_length",
    "max_index_keys",
    "search_path",
    "server_encoding",
    "server_version",
    "server_version_num",
    "session_authorization",
    "standard_conforming_strings",
    "statement_timeout",
    "timezone",
    "transaction_isolation",
    "transaction_read_only",
    "in_hot_standby",
];

/// Refuses a function.
pub(crate) fn unlisted<T>(name: &str) -> Judged<T> {
    refuse(
        "function",
        format!("function `{name}` is not allowed for this role"),
        "use a built-in function without side effects, or ask the administrator to list it",
    )
}

#[cfg(test)]
mod tests;
