//! How a client states the ticket that its next statements go by: by a setting that the server does
//! not have, `SET postern.ticket = 'T-123'`, or `set_config` where the ticket is to be a parameter.

use pg_query::{NodeEnum, protobuf as pb};

use crate::{
    Effect, LookupValue, Plain, Refusal, Stating, ast,
    quote::{identifier, literal},
    refusal::{Judged, refusal},
    setting::SetConfig,
    statement::NOTHING_DONE,
};

/// The setting.
pub(crate) const SETTING: &str = "postern.ticket";

/// `SET` or `RESET` of the setting; `None` if it is of another.
pub(crate) fn set(set: &pb::VariableSetStmt) -> Option<Judged<Plain>> {
    use pb::VariableSetKind as Kind;
    if !set.name.eq_ignore_ascii_case(SETTING) {
        return None;
    }
    let stating = |ticket, tag| {
        let stating = Stating { ticket, local: set.is_local };
        Ok(Plain { tag: Some(tag), ..plain(stating, NOTHING_DONE.to_owned(), 0) })
    };
    Some(match (set.kind(), set.args.as_slice()) {
        (Kind::VarReset, _) => stating(None, "RESET"),
        (Kind::VarSetDefault, _) => stating(None, "SET"),
        (Kind::VarSetValue, [value]) => match value.node.as_ref().and_then(given) {
            Some(ticket) => stating(constant(&ticket), "SET"),
            None => Err(no_ticket()),
        },
        _ => Err(no_ticket()),
    })
}

/// `SELECT set_config('postern.ticket', TICKET, IS_LOCAL)` and nothing else; `None` if it is
/// another statement.
pub(crate) fn call(node: &NodeEnum) -> Option<Judged<Plain>> {
    let found = SetConfig::of(node).filter(|found| found.name == SETTING)?;
    let (true, Some(local)) = (found.is_alone, found.is_local()) else {
        return Some(Err(no_ticket()));
    };
    let (ticket, parameters, shown) = match found.value() {
        Some(NodeEnum::ParamRef(parameter)) if parameter.number == 1 => {
            (Some(LookupValue::Parameter(1)), 1, "$1".to_owned())
        }
        Some(NodeEnum::AConst(constant)) if constant.isnull => (None, 0, literal("")),
        Some(value) => match ast::text(value) {
            Some(ticket) => (constant(ticket), 0, literal(ticket)),
            None => return Some(Err(no_ticket())),
        },
        None => return Some(Err(no_ticket())),
    };
    let sql = format!("SELECT {shown}::pg_catalog.text AS {}", identifier(found.column));
    Some(Ok(plain(Stating { ticket, local }, sql, parameters)))
}

/// Whether it is `SHOW postern.ticket`.
pub(crate) fn is_shown(node: &NodeEnum) -> bool {
    matches!(node, NodeEnum::VariableShowStmt(show) if show.name.eq_ignore_ascii_case(SETTING))
}

fn plain(stating: Stating, sql: String, parameters: usize) -> Plain {
    Plain { states: Some(Box::new(stating)), ..Plain::new(sql, Effect::Setting, parameters) }
}

fn constant(ticket: &str) -> Option<LookupValue> {
    (!ticket.is_empty()).then(|| LookupValue::Constant(ticket.to_owned()))
}

/// A text, or a number as it stands there.
fn given(value: &NodeEnum) -> Option<String> {
    let NodeEnum::AConst(constant) = value else { return None };
    match constant.val.as_ref()? {
        pb::a_const::Val::Sval(pb::String { sval }) => Some(sval.clone()),
        pb::a_const::Val::Ival(pb::Integer { ival }) => Some(ival.to_string()),
        pb::a_const::Val::Fval(pb::Float { fval }) => Some(fval.clone()),
        pb::a_const::Val::Boolval(_) | pb::a_const::Val::Bsval(_) => None,
    }
}

fn no_ticket() -> Refusal {
    refusal(
        "ticket",
        "a ticket is stated by one text, in a statement of its own",
        "SET postern.ticket = 'T-123', or SELECT set_config('postern.ticket', $1, false)",
    )
}
