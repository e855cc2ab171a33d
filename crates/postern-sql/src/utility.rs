//! Statements that neither read nor write rows: transactions, settings, session state.

use pg_query::{Node, NodeEnum, protobuf as pb};

use crate::{
    Context, Effect, Local, Naming, OwnChange, Refusal, end_user,
    functions::readable_setting,
    refusal::{Judged, not_understood, refuse},
};

/// What is done with a statement of this kind.
pub(crate) enum Utility {
    Forward(Effect),
    /// It begins, ends or subdivides a transaction, with what that does to what was defined in it.
    Transaction(Option<OwnChange>),
    Local(Local),
    /// It says whom an application's next statements are for.
    EndUser(Naming),
}

/// Sets the locations of a statement of this kind to zero; `false` if it is of another kind.
pub(crate) fn clear_locations(node: &mut NodeEnum) -> bool {
    // Every location is cleared while judging; the judgement itself was made before.
    let anything = Context::new(&[], "\0");
    judge(node, anything).is_some()
}

/// `None` if the statement is of another kind.
pub(crate) fn judge(node: &mut NodeEnum, context: Context<'_>) -> Option<Judged<Utility>> {
    let judged = match node {
        NodeEnum::TransactionStmt(n) => transaction(n, context),
        NodeEnum::VariableSetStmt(n) => set(n, context),
        NodeEnum::VariableShowStmt(n) => show(n),
        // The settings that the reading of statements depends on are given at start-up, so that
        // they are what a reset comes back to.
        NodeEnum::DiscardStmt(n) if n.target() == pb::DiscardMode::DiscardAll => {
            Ok(Utility::Forward(Effect::Discard))
        }
        NodeEnum::DiscardStmt(_) => Ok(Utility::Forward(Effect::Setting)),
        // Pools say these, together with others.
        NodeEnum::ClosePortalStmt(n) if n.portalname.is_empty() => {
            Ok(Utility::Forward(Effect::CloseAll))
        }
        NodeEnum::UnlistenStmt(n) if n.conditionname.is_empty() => {
            Ok(Utility::Forward(Effect::Setting))
        }
        NodeEnum::DeallocateStmt(n) if n.isall => {
            n.location = 0;
            Ok(Utility::Forward(Effect::Deallocate))
        }
        _ => return None,
    };
    Some(judged)
}

fn transaction(transaction: &mut pb::TransactionStmt, context: Context<'_>) -> Judged<Utility> {
    use pb::TransactionStmtKind as Kind;
    let pb::TransactionStmt { kind: _, options, savepoint_name, gid, chain: _, location } =
        transaction;
    *location = 0;
    if !gid.is_empty() {
        return not_understood("a two-phase commit");
    }
    if savepoint_name.contains(context.prefix) {
        return refuse("reserved_name", "the savepoint's name is reserved", "use another name");
    }
    clear_options(options)?;
    let name = savepoint_name.clone();
    match transaction.kind() {
        Kind::TransStmtBegin | Kind::TransStmtStart | Kind::TransStmtCommit => {
            Ok(Utility::Transaction(None))
        }
        Kind::TransStmtRollback => Ok(Utility::Transaction(Some(OwnChange::Back))),
        Kind::TransStmtSavepoint => Ok(Utility::Transaction(Some(OwnChange::Savepoint(name)))),
        Kind::TransStmtRelease => Ok(Utility::Transaction(Some(OwnChange::Release(name)))),
        Kind::TransStmtRollbackTo => Ok(Utility::Transaction(Some(OwnChange::BackTo(name)))),
        Kind::TransStmtPrepare
        | Kind::TransStmtCommitPrepared
        | Kind::TransStmtRollbackPrepared
        | Kind::Undefined => not_understood("a two-phase commit"),
    }
}

/// Isolation level, read-only, deferrable: nothing else can be written there.
fn clear_options(options: &mut [Node]) -> Judged<()> {
    for node in options {
        let Some(NodeEnum::DefElem(option)) = node.node.as_mut() else {
            return not_understood("this transaction option");
        };
        let pb::DefElem { defnamespace, defname, arg, defaction: _, location, arg_location } =
            option.as_mut();
        (*location, *arg_location) = (0, 0);
        let known = matches!(
            defname.as_str(),
            "transaction_isolation" | "transaction_read_only" | "transaction_deferrable"
        );
        let Some(NodeEnum::AConst(value)) = arg.as_mut().and_then(|arg| arg.node.as_mut()) else {
            return not_understood("this transaction option");
        };
        value.location = 0;
        if !known || !defnamespace.is_empty() {
            return not_understood("this transaction option");
        }
        if let Some(pb::a_const::Val::Sval(level)) = &value.val {
            isolation(&level.sval)?;
        }
    }
    Ok(())
}

/// In serializable transactions the server keeps what each has read, and fails one of them if they
/// can't stand in any order: by that one learns whether a statement of another met a row.
fn isolation(level: &str) -> Judged<()> {
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

fn set(set: &mut pb::VariableSetStmt, context: Context<'_>) -> Judged<Utility> {
    use pb::VariableSetKind as Kind;
    if let Some(naming) = end_user::set(set) {
        return naming.map(Utility::EndUser);
    }
    let kind = set.kind();
    let pb::VariableSetStmt { kind: _, name, args, jumble_args: _, is_local: _, location } = set;
    *location = 0;
    let lower = name.to_ascii_lowercase();
    match kind {
        // As with DISCARD.
        Kind::VarResetAll => return Ok(Utility::Forward(Effect::Setting)),
        Kind::VarSetMulti if matches!(name.as_str(), "TRANSACTION" | "SESSION CHARACTERISTICS") => {
            clear_options(args)?;
            return Ok(Utility::Forward(Effect::Transaction));
        }
        Kind::VarSetMulti | Kind::VarSetCurrent | Kind::Undefined => return refused(name),
        Kind::VarSetValue | Kind::VarSetDefault | Kind::VarReset => {}
    }
    let mut values = Vec::new();
    for argument in args.iter_mut() {
        values.push(setting_value(argument, context)?);
    }
    let value = values.join(",").to_ascii_lowercase();
    let value = (kind == Kind::VarSetValue).then_some(value.as_str());
    let tag = if kind == Kind::VarReset { "RESET" } else { "SET" };
    match setting(name, value, context.search_path)? {
        Setting::Fixed if BOUNDS.contains(&&*lower) => {
            // The bound that the session has begun with.
            set.kind = Kind::VarSetDefault as i32;
            set.args.clear();
            Ok(Utility::Forward(Effect::Setting))
        }
        Setting::Fixed => Ok(Utility::Local(Local::Tag(tag))),
        Setting::Free => Ok(Utility::Forward(Effect::Setting)),
    }
}

/// What a role that is judged may do with a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// The server may be told.
    Free,
    /// The gateway's own value, which it is asked to have; the server need not hear of it.
    Fixed,
}

/// Whether a role that is judged may give a setting this value, by SET or when it logs in; `None`
/// is the value that it started with. `search_path` is the gateway's own.
///
/// # Errors
///
/// A refusal where it may not.
pub fn setting(
    name: &str,
    value: Option<&str>,
    search_path: &[String],
) -> Result<Setting, Refusal> {
    let value = value.map(str::to_ascii_lowercase);
    let value = value.as_deref();
    let fixed = |harmless: bool| if harmless { Ok(Setting::Fixed) } else { refused(name) };
    match name.to_ascii_lowercase().as_str() {
        // A client may say what it is.
        "search_path" => fixed(value.is_none_or(|value| is_path(value, search_path))),
        // What a pool says to have none of another's.
        "session_authorization" => fixed(value.is_none()),
        "role" => fixed(value.is_none_or(|value| value == "none")),
        "client_encoding" => fixed(value.is_none_or(is_utf8)),
        "standard_conforming_strings" => {
            fixed(value.is_none_or(|v| matches!(v, "on" | "true" | "1" | "yes")))
        }
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

/// Whether a path is the gateway's: nobody has a schema of the account's name, and the server's own
/// is in every path.
fn is_path(value: &str, search_path: &[String]) -> bool {
    let schemas = value.split(',').map(|schema| schema.trim().trim_matches('"'));
    let mut schemas: Vec<&str> = schemas.filter(|schema| *schema != "$user").collect();
    if schemas.last() == Some(&"pg_catalog") && search_path.last().is_none_or(|s| s != "pg_catalog")
    {
        schemas.pop();
    }
    let own = search_path.iter().map(|schema| schema.to_ascii_lowercase());
    own.eq(schemas.iter().map(|schema| (*schema).to_owned()))
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
const BOUNDS: [&str; 2] = ["statement_timeout", "idle_in_transaction_session_timeout"];

/// The longest time-out that a client may set.
const TIMEOUT_MS_MAX: u64 = 3_600_000;

/// Settings of the session that change how values look or how long things take, nothing else.
const SETTABLE: [&str; 16] = [
    "application_name",
    "bytea_output",
    "client_min_messages",
    "datestyle",
    "default_transaction_read_only",
    "extra_float_digits",
    "idle_session_timeout",
    "intervalstyle",
    "jit",
    "lc_monetary",
    "lc_numeric",
    "lc_time",
    "lock_timeout",
    "timezone",
    "transaction_read_only",
    "xmloption",
];

fn setting_value(node: &mut Node, context: Context<'_>) -> Judged<String> {
    let mut node = node.node.as_mut();
    if let Some(NodeEnum::TypeCast(cast)) = node {
        // SET TIME ZONE INTERVAL '…' HOUR TO MINUTE
        cast.location = 0;
        if let Some(name) = cast.type_name.as_mut() {
            name.location = 0;
            for modifier in &mut name.typmods {
                if let Some(NodeEnum::AConst(modifier)) = modifier.node.as_mut() {
                    modifier.location = 0;
                }
            }
        }
        node = cast.arg.as_mut().and_then(|arg| arg.node.as_mut());
    }
    let Some(NodeEnum::AConst(constant)) = node else {
        return not_understood("this kind of setting");
    };
    constant.location = 0;
    let text = match &constant.val {
        Some(pb::a_const::Val::Sval(pb::String { sval })) => sval.clone(),
        Some(pb::a_const::Val::Ival(pb::Integer { ival })) => ival.to_string(),
        Some(pb::a_const::Val::Fval(pb::Float { fval })) => fval.clone(),
        Some(pb::a_const::Val::Boolval(pb::Boolean { boolval })) => boolval.to_string(),
        Some(pb::a_const::Val::Bsval(_)) | None => String::new(),
    };
    if text.contains(context.prefix) {
        return refuse("reserved_name", "the value is reserved", "use another value");
    }
    Ok(text)
}

fn show(show: &pb::VariableShowStmt) -> Judged<Utility> {
    if readable_setting(&show.name) {
        return Ok(Utility::Forward(Effect::Setting));
    }
    refuse(
        "setting",
        format!("setting `{}` can't be read by this role", show.name),
        "read a setting that describes the session, by its name",
    )
}

fn refused<T>(name: &str) -> Judged<T> {
    refuse(
        "setting",
        format!("setting `{name}` can't be changed by this role"),
        "the gateway fixes settings on which the reading of statements depends",
    )
}
