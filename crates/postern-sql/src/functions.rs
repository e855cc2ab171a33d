//! What may be called of PostgreSQL's own functions: `functions.txt`, which has a decision for
//! every one of them.

use std::collections::BTreeMap;

use crate::{
    refusal::{Judged, refuse},
    setting::free_settings,
};

/// What kind of function a name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Scalar,
    /// Returns a set of one unnamed column.
    Set,
    /// Returns rows of columns that are not known here.
    Record,
    Aggregate,
    /// An aggregate whose result holds all of its input.
    Collecting,
    Window,
    /// A window function that is also a hypothetical-set aggregate.
    WindowOrAggregate,
}

/// How many arguments a call has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arity {
    Exactly(usize),
    /// `VARIADIC array`, or what is not worth telling apart.
    Unknown,
}

/// What is done with a function, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// It may be called.
    Free,
    /// It prints a definition, whose literals are blanked.
    Definition,
    /// It reads a setting; only of some.
    Setting,
    /// It waits; only where no protected table takes part.
    Sleep,
    /// It takes a number of a sequence, or tells the last one; the same.
    Counter,
    /// It is answered by NULL.
    Size,
    /// It is refused; the words say what it does.
    Refused(&'static str),
}

#[derive(Debug, Clone, Copy)]
struct Signature {
    kind: Kind,
    class: Class,
    least: usize,
    most: Option<usize>,
}

/// The functions of schema `pg_catalog` of one major version of PostgreSQL, by name.
#[derive(Debug, Clone)]
pub(crate) struct Functions {
    named: BTreeMap<&'static str, Vec<Signature>>,
}

/// What the calls of a name with so many arguments can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BuiltIn {
    Allowed(Kind, Class),
    Refused(&'static str),
}

impl Functions {
    pub(crate) fn of_version(major: i64) -> Self {
        let mut named: BTreeMap<&'static str, Vec<Signature>> = BTreeMap::new();
        for line in lines(include_str!("functions.txt")) {
            if let Some((name, signature)) = parse(line, major) {
                named.entry(name).or_default().push(signature);
            }
        }
        // What the grammar reads in EXTRACT is a function since PostgreSQL 14; before, the server
        // reads date_part in it.
        if major < 14
            && let Some(signatures) = named.get("date_part").cloned()
        {
            named.insert("extract", signatures);
        }
        Self { named }
    }

    /// What is done with a call; `None` if there is no function of that name. Which of several
    /// functions is called depends on types that are not looked at, so all must be allowed.
    pub(crate) fn find(&self, name: &str, arity: Arity) -> Option<BuiltIn> {
        let all = self.named.get(name)?;
        let fits = |signature: &&Signature| match arity {
            Arity::Exactly(count) => {
                count >= signature.least && signature.most.is_none_or(|most| count <= most)
            }
            Arity::Unknown => true,
        };
        let mut found: Vec<Signature> = all.iter().filter(fits).copied().collect();
        if found.is_empty() {
            // The server says that there is no such function.
            found.clone_from(all);
        }
        found.into_iter().map(decision).reduce(both)
    }
}

/// The lines of a list that are no comments.
pub(crate) fn lines(list: &'static str) -> impl Iterator<Item = &'static str> {
    list.lines().filter(|line| !line.starts_with('#') && !line.is_empty())
}

/// Whether a range such as `13-18` or `17` holds the version.
pub(crate) fn holds(versions: &str, major: i64) -> bool {
    let (first, last) = versions.split_once('-').unwrap_or((versions, versions));
    let bound = |text: &str| text.parse::<i64>().ok();
    bound(first).is_some_and(|first| first <= major)
        && bound(last).is_some_and(|last| major <= last)
}

/// A line; what is not understood is refused.
fn parse(line: &'static str, major: i64) -> Option<(&'static str, Signature)> {
    let mut words = line.split(' ');
    let (name, arguments) = words.next()?.strip_suffix(')')?.split_once('(')?;
    let (kind, versions, class) = (words.next()?, words.next()?, words.next()?);
    if !holds(versions, major) {
        return None;
    }
    let arguments: Vec<&str> = arguments.split(',').filter(|a| !a.is_empty()).collect();
    let variadic = arguments.last().is_some_and(|last| last.ends_with("..."));
    let optional = arguments.iter().filter(|a| a.ends_with('=')).count();
    let count = arguments.len();
    let kind_known = kind_of(kind);
    let class = if kind_known.is_some() { class_of(class) } else { Class::Refused("acts") };
    Some((
        name,
        Signature {
            kind: kind_known.unwrap_or(Kind::Record),
            class,
            least: count.saturating_sub(optional).saturating_sub(usize::from(variadic)),
            most: (!variadic).then_some(count),
        },
    ))
}

fn kind_of(word: &str) -> Option<Kind> {
    match word {
        "f" => Some(Kind::Scalar),
        "s" => Some(Kind::Set),
        "r" => Some(Kind::Record),
        "a" => Some(Kind::Aggregate),
        "c" => Some(Kind::Collecting),
        "w" => Some(Kind::Window),
        _ => None,
    }
}

fn class_of(word: &str) -> Class {
    match word {
        "pure" | "clock" | "random" | "session" | "catalogue" | "aggregate" | "window"
        | "nothing" => Class::Free,
        "definition" => Class::Definition,
        "setting" => Class::Setting,
        "size" => Class::Size,
        "sleep" => Class::Sleep,
        "counter" => Class::Counter,
        _ => Class::Refused(refused_because(word).unwrap_or("is not known to be safe")),
    }
}

/// What a refused function does, for the person who called it.
fn refused_because(class: &str) -> Option<&'static str> {
    Some(match class {
        "sql" => "it runs SQL or reads a table that it is given as text",
        "rows" => "it reads rows of a table by itself",
        "type_by_name" => "it converts to a type that a value names",
        "source" => "it prints source code",
        "query_text" => "it shows statements",
        "statistics" => "it is about statistics",
        "physical" => "it is about how rows are stored",
        "file" => "it reads the server's files",
        "sequence" => "it reads or sets a sequence",
        "lock" => "it takes or shows locks",
        "large_object" => "it is about large objects",
        "notify" => "it sends or shows notifications",
        "sessions" => "it is about other sessions",
        "configuration" => "it is about the configuration",
        "state" => "it changes the session",
        "transaction" => "it is about transaction numbers",
        "wal" => "it is about the write-ahead log",
        "replication" => "it replicates",
        "backup" => "it makes backups",
        "administration" => "it is for administrators",
        "text_form" => "a cast does the same",
        "internal" => "it is for the server's own use",
        "unneeded" => "it is not on the list of those that are allowed",
        _ => return None,
    })
}

fn decision(signature: Signature) -> BuiltIn {
    match signature.class {
        Class::Refused(why) => BuiltIn::Refused(why),
        class => BuiltIn::Allowed(signature.kind, class),
    }
}

/// The stricter of two, as far as one call may be either.
fn both(one: BuiltIn, two: BuiltIn) -> BuiltIn {
    let (BuiltIn::Allowed(one, class), BuiltIn::Allowed(two, other)) = (one, two) else {
        return if matches!(one, BuiltIn::Refused(_)) { one } else { two };
    };
    if class != other {
        return BuiltIn::Refused("it is one of several with the name");
    }
    use Kind::{Aggregate, Collecting, Record, Scalar, Set, Window, WindowOrAggregate};
    let kind = match (one, two) {
        (one, two) if one == two => one,
        (Aggregate | Window | WindowOrAggregate, Aggregate | Window | WindowOrAggregate) => {
            WindowOrAggregate
        }
        (Aggregate | Collecting, Aggregate | Collecting) => Collecting,
        (Scalar | Set | Record, Scalar | Set | Record) => Record,
        _ => return BuiltIn::Refused("it is one of several with the name"),
    };
    BuiltIn::Allowed(kind, class)
}

/// Whether a setting may be read by name.
pub(crate) fn readable_setting(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    readable_settings().any(|known| known == name)
}

/// The settings that may be read: those that may be set freely, and these.
pub(crate) fn readable_settings() -> impl Iterator<Item = &'static str> {
    SETTINGS.into_iter().chain(free_settings())
}

const SETTINGS: [&str; 111] = [
    "archive_mode",
    "array_nulls",
    "autovacuum",
    "autovacuum_max_workers",
    "autovacuum_naptime",
    "backslash_quote",
    "block_size",
    "checkpoint_completion_target",
    "checkpoint_timeout",
    "client_encoding",
    "cluster_name",
    "constraint_exclusion",
    "data_checksums",
    "deadlock_timeout",
    "debug_assertions",
    "default_statistics_target",
    "default_table_access_method",
    "default_tablespace",
    "default_toast_compression",
    "default_transaction_deferrable",
    "default_transaction_isolation",
    "enable_async_append",
    "enable_bitmapscan",
    "enable_gathermerge",
    "enable_group_by_reordering",
    "enable_hashagg",
    "enable_hashjoin",
    "enable_incremental_sort",
    "enable_indexonlyscan",
    "enable_indexscan",
    "enable_material",
    "enable_memoize",
    "enable_mergejoin",
    "enable_nestloop",
    "enable_parallel_append",
    "enable_parallel_hash",
    "enable_partition_pruning",
    "enable_partitionwise_aggregate",
    "enable_partitionwise_join",
    "enable_presorted_aggregate",
    "enable_seqscan",
    "enable_sort",
    "enable_tidscan",
    "escape_string_warning",
    "fsync",
    "full_page_writes",
    "gin_fuzzy_search_limit",
    "hot_standby",
    "huge_pages",
    "idle_in_transaction_session_timeout",
    "in_hot_standby",
    "integer_datetimes",
    "is_superuser",
    "jit",
    "lc_collate",
    "lc_ctype",
    "lc_messages",
    "lc_monetary",
    "lc_numeric",
    "lc_time",
    "log_destination",
    "log_duration",
    "log_min_duration_statement",
    "log_min_messages",
    "log_statement",
    "log_timezone",
    "logging_collector",
    "max_connections",
    "max_files_per_process",
    "max_function_args",
    "max_identifier_length",
    "max_index_keys",
    "max_locks_per_transaction",
    "max_logical_replication_workers",
    "max_parallel_workers",
    "max_prepared_transactions",
    "max_replication_slots",
    "max_stack_depth",
    "max_wal_senders",
    "max_wal_size",
    "max_worker_processes",
    "min_wal_size",
    "plan_cache_mode",
    "quote_all_identifiers",
    "row_security",
    "search_path",
    "segment_size",
    "server_encoding",
    "server_version",
    "server_version_num",
    "session_authorization",
    "session_replication_role",
    "shared_buffers",
    "ssl",
    "standard_conforming_strings",
    "statement_timeout",
    "timezone_abbreviations",
    "track_activities",
    "track_activity_query_size",
    "track_counts",
    "track_functions",
    "track_io_timing",
    "transaction_deferrable",
    "transaction_isolation",
    "transform_null_equals",
    "vacuum_cost_delay",
    "vacuum_cost_limit",
    "wal_block_size",
    "wal_buffers",
    "wal_level",
    "wal_segment_size",
];

/// Refuses a function that is no built-in, or not one that is known.
pub(crate) fn unlisted<T>(name: &str) -> Judged<T> {
    refuse(
        "function",
        format!("function `{name}` is not allowed for this role"),
        "use a built-in function without side effects, or ask the administrator to list it",
    )
}

/// Refuses a function of PostgreSQL's own.
pub(crate) fn refused<T>(name: &str, why: &str) -> Judged<T> {
    refuse(
        "function",
        format!("function `{name}` is not allowed for this role: {why}"),
        "use a function that computes on its arguments or describes the schema",
    )
}

#[cfg(test)]
mod tests;
