//! Statements that neither read nor write rows: transactions, settings, session state.

use pg_query::{Node, NodeEnum, protobuf as pb};

use crate::{
    Catalogue, Context, Effect, Local, OwnChange, Plain, ast, end_user,
    functions::{readable_setting, readable_settings},
    path,
    print::written,
    quote::{identifier, literal},
    refusal::{Judged, not_understood, refuse},
    setting::{BOUNDS, Setting, isolation, own_copy, refused, set_both, setting},
    ticket,
};

/// What is done with a statement of this kind.
pub(crate) enum Utility {
    /// The server is told, and does this; with what names mean then.
    Forward(Effect, Option<OwnChange>),
    Local(Local),
    /// The server is sent something else.
    Instead(Box<Plain>),
}

/// Sets the locations of a statement of this kind to zero; `false` if it is of another kind.
pub(crate) fn clear_locations(node: &mut NodeEnum) -> bool {
    // Every location is cleared while judging; the judgement itself was made before.
    let anything = Context::new(&[], "\0");
    judge(node, anything, None).is_some()
}

/// `None` if the statement is of another kind.
pub(crate) fn judge(
    node: &mut NodeEnum,
    context: Context<'_>,
    catalogue: Option<&Catalogue>,
) -> Option<Judged<Utility>> {
    let judged = match node {
        NodeEnum::TransactionStmt(n) => transaction(n, context),
        NodeEnum::VariableSetStmt(n) => set(n, context, catalogue),
        NodeEnum::VariableShowStmt(n) => show(n, catalogue),
        // The settings that the reading of statements depends on are given at start-up, so that
        // they are what a reset comes back to.
        NodeEnum::DiscardStmt(n) if n.target() == pb::DiscardMode::DiscardAll => {
            Ok(Utility::Forward(Effect::Discard, None))
        }
        NodeEnum::DiscardStmt(_) => Ok(Utility::Forward(Effect::Setting, None)),
        // Pools say these, together with others.
        NodeEnum::ClosePortalStmt(n) if n.portalname.is_empty() => {
            Ok(Utility::Forward(Effect::CloseAll, None))
        }
        NodeEnum::UnlistenStmt(_) => Ok(Utility::Forward(Effect::Setting, None)),
        NodeEnum::DeallocateStmt(n) if n.isall => {
            n.location = 0;
            Ok(Utility::Forward(Effect::Deallocate, None))
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
    let change = |change| Ok(Utility::Forward(Effect::Transaction, Some(change)));
    match transaction.kind() {
        Kind::TransStmtBegin | Kind::TransStmtStart => {
            Ok(Utility::Forward(Effect::Transaction, None))
        }
        Kind::TransStmtCommit => change(OwnChange::Commit),
        Kind::TransStmtRollback => change(OwnChange::Back),
        Kind::TransStmtSavepoint => change(OwnChange::Savepoint(name)),
        Kind::TransStmtRelease => change(OwnChange::Release(name)),
        Kind::TransStmtRollbackTo => change(OwnChange::BackTo(name)),
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

fn set(
    set: &mut pb::VariableSetStmt,
    context: Context<'_>,
    catalogue: Option<&Catalogue>,
) -> Judged<Utility> {
    use pb::VariableSetKind as Kind;
    if let Some(said) = end_user::set(set).or_else(|| ticket::set(set)) {
        return said.map(|plain| Utility::Instead(Box::new(plain)));
    }
    let kind = set.kind();
    let pb::VariableSetStmt { kind: _, name, args, jumble_args: _, is_local, location } = set;
    *location = 0;
    let lower = name.to_ascii_lowercase();
    match kind {
        // As with DISCARD.
        Kind::VarResetAll => {
            return Ok(Utility::Forward(Effect::Setting, path::reset(context)));
        }
        Kind::VarSetMulti if matches!(name.as_str(), "TRANSACTION" | "SESSION CHARACTERISTICS") => {
            clear_options(args)?;
            return Ok(Utility::Forward(Effect::Transaction, None));
        }
        Kind::VarSetMulti | Kind::VarSetCurrent | Kind::Undefined => return refused(name),
        Kind::VarSetValue | Kind::VarSetDefault | Kind::VarReset => {}
    }
    let mut values = Vec::new();
    for argument in args.iter_mut() {
        values.push(setting_value(argument, context)?);
    }
    if lower == path::SETTING {
        return path::set(set, (kind == Kind::VarSetValue).then_some(values), context);
    }
    if catalogue.is_some_and(|catalogue| catalogue.is_custom_setting(name)) {
        let given = match (kind, values.as_slice()) {
            (Kind::VarSetValue, [value]) => Some(value.as_str()),
            (Kind::VarSetValue, _) => return not_understood("a setting of several values"),
            _ => None,
        };
        let tag = if kind == Kind::VarReset { "RESET" } else { "SET" };
        return sets_both(name, (given, *is_local), tag);
    }
    let value = values.join(",").to_ascii_lowercase();
    let value = (kind == Kind::VarSetValue).then_some(value.as_str());
    let tag = if kind == Kind::VarReset { "RESET" } else { "SET" };
    match setting(name, value)? {
        Setting::Fixed if BOUNDS.contains(&&*lower) => {
            // The bound that the session has begun with.
            set.kind = Kind::VarSetDefault as i32;
            set.args.clear();
            Ok(Utility::Forward(Effect::Setting, None))
        }
        Setting::Fixed => Ok(Utility::Local(Local::Tag(tag))),
        Setting::Free => Ok(Utility::Forward(Effect::Setting, None)),
    }
}

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

fn show(show: &pb::VariableShowStmt, catalogue: Option<&Catalogue>) -> Judged<Utility> {
    if show.name.eq_ignore_ascii_case("all") {
        return Ok(Utility::Instead(Box::new(all_settings())));
    }
    if readable_setting(&show.name) {
        return Ok(Utility::Forward(Effect::Setting, None));
    }
    if catalogue.is_some_and(|catalogue| catalogue.is_custom_setting(&show.name)) {
        let (copy, name) = (literal(&own_copy(&show.name)), identifier(&show.name));
        let sql = format!("SELECT pg_catalog.current_setting({copy}) AS {name}");
        let shown = Plain { tag: Some("SHOW"), ..Plain::new(sql, Effect::Setting, 0) };
        return Ok(Utility::Instead(Box::new(shown)));
    }
    refuse(
        "setting",
        format!("setting `{}` can't be read by this role", show.name),
        "read a setting that describes the session, by its name",
    )
}

/// SET of one of the database's own settings, or RESET.
fn sets_both(
    name: &str,
    (value, local): (Option<&str>, bool),
    tag: &'static str,
) -> Judged<Utility> {
    let local = || if local { ast::truth() } else { ast::falsehood() };
    let lower = name.to_ascii_lowercase();
    let calls = match value {
        Some(value) => vec![set_both(&lower, ast::constant(value), local())],
        None => [lower.clone(), own_copy(&lower)]
            .into_iter()
            .map(|name| ast::call("set_config", vec![ast::constant(&name), ast::null(), local()]))
            .collect(),
    };
    let targets = calls.into_iter().map(|call| ast::target("", call)).collect();
    let mut node = ast::select(targets, Vec::new(), None).node;
    let Some(node) = node.as_mut() else { return refused(name) };
    let sql = written(node)?;
    let plain = Plain { tag: Some(tag), silent: true, ..Plain::new(sql, Effect::Setting, 0) };
    Ok(Utility::Instead(Box::new(plain)))
}

/// `SHOW ALL`: all that may be shown.
fn all_settings() -> Plain {
    let listed: Vec<&str> = readable_settings().collect();
    let listed = literal(&format!("{{{}}}", listed.join(",")));
    let sql = format!(
        "SELECT s.name, pg_catalog.current_setting(s.name) AS setting, s.short_desc AS description \
         FROM pg_catalog.pg_settings s WHERE pg_catalog.lower(s.name) OPERATOR(pg_catalog.=) ANY \
         ({listed}::pg_catalog.text[]) ORDER BY pg_catalog.lower(s.name)"
    );
    Plain { tag: Some("SHOW"), ..Plain::new(sql, Effect::Setting, 0) }
}
