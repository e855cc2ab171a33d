//! Which settings a role that is judged may change.

use pg_query::{Node, NodeEnum, protobuf as pb};

use crate::{
    Refusal, ast,
    refusal::{Judged, refuse},
};

/// What a role that is judged may do with a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// The server may be told.
    Free,
    /// The gateway's own value, which it is asked to have; the server need not hear of it.
    Fixed,
}

/// Whether a role that is judged may give a setting this value, by SET or when it logs in; `None`
/// is the value that it started with. `search_path` is a [path's](crate::search_path).
///
/// # Errors
///
/// A refusal where it may not.
pub fn setting(name: &str, value: Option<&str>) -> Result<Setting, Refusal> {
    let value = value.map(str::to_ascii_lowercase);
    let value = value.as_deref();
    let fixed = |harmless: bool| if harmless { Ok(Setting::Fixed) } else { refused(name) };
    let only = |fitting: &[&str]| fixed(value.is_none_or(|value| fitting.contains(&value)));
    match name.to_ascii_lowercase().as_str() {
        // A client may say what it is.
        // What a pool says to have none of another's.
        "session_authorization" => fixed(value.is_none()),
        "role" => fixed(value.is_none_or(|value| value == "none")),
        "client_encoding" => fixed(value.is_none_or(is_utf8)),
        "standard_conforming_strings" | "array_nulls" => only(&ON),
        "transform_null_equals" | "quote_all_identifiers" => only(&OFF),
        "plan_cache_mode" => only(&["auto"]),
        // With more of it a plan tells what stands in a table's checks.
        "constraint_exclusion" => only(&["partition"]),
        "session_replication_role" => only(&["origin"]),
        // What older servers and psql's scripts had, switched off.
        "default_with_oids" | "exit_on_error" => only(&OFF),
        // With another one a search by such an index leaves rows out.
        "gin_fuzzy_search_limit" => only(&["0"]),
        "default_tablespace" => only(&[""]),
        "default_table_access_method" => only(&["heap"]),
        // Nothing that the gateway writes is warned of.
        "escape_string_warning" => Ok(Setting::Fixed),
        // In strings of the form that is allowed no backslash quotes anything.
        "backslash_quote" => only(&["safe_encoding"]),
        memory if MEMORY.contains(&memory) => match value.map(kilobytes) {
            None | Some(Some(0..=MEMORY_KB_MAX)) => Ok(Setting::Free),
            Some(_) => refuse(
                "setting",
                format!("setting `{name}` can't be changed to this by this role"),
                "a whole number of kB, MB or GB, of 1 GB at most",
            ),
        },
        plans if plans.starts_with("enable_") || PLANNING.contains(&plans) => Ok(Setting::Free),
        // Debug messages speak of what the server does with the rewritten statement.
        "client_min_messages"
            if value.is_some_and(|v| !matches!(v, "notice" | "warning" | "error")) =>
        {
            refused(name)
        }
        "default_transaction_isolation" => {
            value.map_or(Ok(()), isolation)?;
            Ok(Setting::Free)
        }
        // Bounds may be set, not taken away.
        bound if BOUNDS.contains(&bound) => match value.map(millis) {
            None | Some(Some(1..=TIMEOUT_MS_MAX)) => Ok(Setting::Free),
            // None at all, or a long one, which programs ask for as a matter of course.
            Some(Some(_)) => Ok(Setting::Fixed),
            Some(None) => refuse(
                "setting",
                format!("setting `{name}` can't be changed to this by this role"),
                "a time-out is a whole number with ms, s, min, h or d",
            ),
        },
        known if SETTABLE.contains(&known) => Ok(Setting::Free),
        _ => refused(name),
    }
}

/// Whether an encoding's name is one of UTF-8's, of which only letters and digits count
/// (`clean_encoding_name`, src/common/encnames.c): asyncpg writes it with quotes.
fn is_utf8(encoding: &str) -> bool {
    let plain: String = encoding.chars().filter(char::is_ascii_alphanumeric).collect();
    matches!(plain.as_str(), "utf8" | "unicode")
}

/// A time-out as PostgreSQL reads it, in milliseconds, which is what it counts without a unit.
pub fn millis(value: &str) -> Option<u64> {
    let end = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let (number, unit) = value.split_at_checked(end)?;
    let unit = match unit.trim() {
        "" | "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

/// Time-outs that are the gateway's own, unless a client sets shorter ones.
pub(crate) const BOUNDS: [&str; 2] = ["statement_timeout", "idle_in_transaction_session_timeout"];

/// The longest time-out that a client may set.
const TIMEOUT_MS_MAX: u64 = 3_600_000;

const ON: [&str; 4] = ["on", "true", "1", "yes"];
const OFF: [&str; 4] = ["off", "false", "0", "no"];

/// Settings for how much memory a part of a statement may take.
const MEMORY: [&str; 3] = ["maintenance_work_mem", "temp_buffers", "work_mem"];

/// The most that a client may set of them.
const MEMORY_KB_MAX: u64 = 1 << 20;

/// The settings that may be given other values by their names, beside those that switch one kind of
/// plan off.
pub(crate) fn free_settings() -> impl Iterator<Item = &'static str> {
    MEMORY.into_iter().chain(PLANNING).chain(SETTABLE)
}

/// An amount of memory as PostgreSQL reads it, in kB, which is what it counts without a unit; of
/// `temp_buffers` it counts blocks, of 8 kB.
fn kilobytes(value: &str) -> Option<u64> {
    let end = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let (number, unit) = value.split_at_checked(end)?;
    let unit = match unit.trim() {
        "" | "kb" => 1,
        "mb" => 1 << 10,
        "gb" => 1 << 20,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

/// Settings that change which plan is taken, beside those that switch one kind of it off. What is
/// protected must be so under every plan: statistics choose among them, too.
const PLANNING: [&str; 26] = [
    "cpu_index_tuple_cost",
    "cpu_operator_cost",
    "cpu_tuple_cost",
    "cursor_tuple_fraction",
    "effective_cache_size",
    "effective_io_concurrency",
    "from_collapse_limit",
    "geqo",
    "geqo_effort",
    "geqo_generations",
    "geqo_pool_size",
    "geqo_seed",
    "geqo_selection_bias",
    "geqo_threshold",
    "jit_above_cost",
    "jit_inline_above_cost",
    "jit_optimize_above_cost",
    "join_collapse_limit",
    "max_parallel_workers_per_gather",
    "min_parallel_index_scan_size",
    "min_parallel_table_scan_size",
    "parallel_leader_participation",
    "parallel_setup_cost",
    "parallel_tuple_cost",
    "random_page_cost",
    "seq_page_cost",
];

/// Settings of the session that change how values look, how long things take or what the session
/// keeps itself from, nothing else.
const SETTABLE: [&str; 30] = [
    "application_name",
    "bytea_output",
    "check_function_bodies",
    "client_connection_check_interval",
    "client_min_messages",
    "datestyle",
    "default_text_search_config",
    "default_transaction_deferrable",
    "default_transaction_read_only",
    "extra_float_digits",
    "idle_session_timeout",
    "intervalstyle",
    "jit",
    "lc_monetary",
    "lc_numeric",
    "lc_time",
    "lock_timeout",
    "password_encryption",
    "restrict_nonsystem_relation_kind",
    "row_security",
    "synchronize_seqscans",
    "synchronous_commit",
    "tcp_keepalives_count",
    "tcp_keepalives_idle",
    "tcp_keepalives_interval",
    "tcp_user_timeout",
    "timezone",
    "transaction_read_only",
    "transaction_timeout",
    "xmloption",
];

/// In serializable transactions the server keeps what each has read, and fails one of them if they
/// can't stand in any order: by that one learns whether a statement of another met a row.
pub(crate) fn isolation(level: &str) -> Judged<()> {
    if !level.trim().eq_ignore_ascii_case("serializable") {
        return Ok(());
    }
    refuse(
        "isolation",
        "a serializable transaction is not possible for this role: which of them fail tells what \
         others have read",
        "use REPEATABLE READ, with FOR UPDATE where rows must not change",
    )
}

pub(crate) fn refused<T>(name: &str) -> Judged<T> {
    refuse(
        "setting",
        format!("setting `{name}` can't be changed by this role"),
        "the gateway fixes settings on which the reading of statements depends",
    )
}

/// The setting in which the server keeps once more what the session has given one of the
/// database's own settings: this is the one that the session reads. What the administrator has
/// written there (a key, say, by ALTER DATABASE), or a function, is not in it.
pub(crate) fn own_copy(name: &str) -> String {
    format!("postern.own.{}", name.to_ascii_lowercase())
}

/// Gives one of the database's own settings a value, and its copy, in one expression.
pub(crate) fn set_both(name: &str, value: Node, local: Node) -> Node {
    let set =
        |name: &str, value, local| ast::call("set_config", vec![ast::constant(name), value, local]);
    set(&own_copy(name), set(name, value, local.clone()), local)
}

/// A statement with one value, a call of `set_config`.
pub(crate) struct SetConfig<'a> {
    /// In small letters.
    pub(crate) name: String,
    value: &'a Node,
    local: &'a Node,
    /// What the column is called.
    pub(crate) column: &'a str,
    /// Nothing else is in the statement.
    pub(crate) is_alone: bool,
}

impl<'a> SetConfig<'a> {
    pub(crate) fn of(node: &'a NodeEnum) -> Option<Self> {
        let NodeEnum::SelectStmt(select) = node else { return None };
        let [target] = select.target_list.as_slice() else { return None };
        let Some(NodeEnum::ResTarget(target)) = &target.node else { return None };
        let value = target.val.as_ref().and_then(|value| value.node.as_ref());
        let Some(NodeEnum::FuncCall(call)) = value else { return None };
        let named = ast::names(&call.funcname).is_some_and(|names| {
            matches!(names.as_slice(), ["set_config"] | ["pg_catalog", "set_config"])
        });
        let [name, value, local] = call.args.as_slice() else { return None };
        let name = name.node.as_ref().and_then(ast::text).filter(|_| named)?;
        let column = if target.name.is_empty() { "set_config" } else { &target.name };
        let is_alone = is_alone(select, call);
        Some(Self { name: name.to_ascii_lowercase(), value, local, column, is_alone })
    }

    /// The value without a cast to a text, which drivers write around what they are given.
    pub(crate) fn value(&self) -> Option<&'a NodeEnum> {
        ast::cast_to_text(self.value).unwrap_or(self.value).node.as_ref()
    }

    /// The value, if it stands there.
    pub(crate) fn text(&self) -> Option<&'a str> {
        self.value().and_then(ast::text)
    }

    /// Whether it is for the transaction, if that stands there.
    pub(crate) fn is_local(&self) -> Option<bool> {
        match &self.local.node {
            Some(NodeEnum::AConst(pb::AConst {
                val: Some(pb::a_const::Val::Boolval(pb::Boolean { boolval })),
                ..
            })) => Some(*boolval),
            _ => None,
        }
    }
}

/// Writes the name into `SELECT set_config(name, 'x', false) FROM pg_settings WHERE name = 'y'`,
/// which is about that setting if the server has it: so pg_dump and pgAdmin ask for it.
pub(crate) fn named_by_its_row(node: &mut NodeEnum) {
    let NodeEnum::SelectStmt(select) = node else { return };
    let from = match select.from_clause.as_slice() {
        [Node { node: Some(NodeEnum::RangeVar(range)) }] => range,
        _ => return,
    };
    let condition = match select.where_clause.as_ref().and_then(|node| node.node.as_ref()) {
        Some(NodeEnum::AExpr(is)) if is.kind() == pb::AExprKind::AexprOp => is,
        _ => return,
    };
    let is_name = |node: Option<&NodeEnum>| {
        let Some(NodeEnum::ColumnRef(reference)) = node else { return false };
        ast::names(&reference.fields).as_deref() == Some(&["name"])
    };
    let (left, right) = (condition.lexpr.as_ref(), condition.rexpr.as_ref());
    let Some(name) = right.and_then(|node| node.node.as_ref()).and_then(ast::text) else { return };
    let name = name.to_owned();
    let pinned = from.relname == "pg_settings"
        && ast::names(&condition.name).as_deref() == Some(&["="])
        && is_name(left.and_then(|node| node.node.as_ref()));
    let [Node { node: Some(NodeEnum::ResTarget(target)) }] = select.target_list.as_mut_slice()
    else {
        return;
    };
    let value = target.val.as_mut().and_then(|value| value.node.as_mut());
    let Some(NodeEnum::FuncCall(call)) = value else { return };
    let sets = matches!(
        ast::names(&call.funcname).as_deref(),
        Some(["set_config"] | ["pg_catalog", "set_config"])
    );
    if let Some(first) = call.args.first_mut()
        && pinned
        && sets
        && is_name(first.node.as_ref())
    {
        *first = ast::constant(&name);
    }
}

/// Whether nothing else is in the statement.
fn is_alone(select: &pb::SelectStmt, call: &pb::FuncCall) -> bool {
    let rest = pb::SelectStmt { target_list: Vec::new(), ..select.clone() };
    let bare = pb::SelectStmt {
        limit_option: select.limit_option,
        op: pb::SetOperation::SetopNone.into(),
        ..pb::SelectStmt::default()
    };
    let call = pb::FuncCall {
        funcname: Vec::new(),
        args: Vec::new(),
        location: 0,
        funcformat: 0,
        ..call.clone()
    };
    rest == bare && call == pb::FuncCall::default()
}
