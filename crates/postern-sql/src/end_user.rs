//! How an application says whom its next statements are for: by a setting that the server does not
//! have, `SET postern.actor = 'TOKEN'`, or `set_config` where the token is to be a parameter.

use pg_query::{NodeEnum, protobuf as pb};

use crate::{
    Effect, LookupValue, Naming, Plain, Refusal, ast,
    quote::identifier,
    refusal::{Judged, refusal},
    setting::SetConfig,
    statement::NOTHING_DONE,
};

/// The setting.
pub(crate) const SETTING: &str = "postern.actor";

/// `SET` or `RESET` of the setting; `None` if it is of another.
pub(crate) fn set(set: &pb::VariableSetStmt) -> Option<Judged<Plain>> {
    use pb::VariableSetKind as Kind;
    if !set.name.eq_ignore_ascii_case(SETTING) {
        return None;
    }
    let naming = |token, tag| {
        let naming = Naming { token, local: set.is_local };
        Ok(Plain {
            end_user: Some(Box::new(naming)),
            tag: Some(tag),
            // Nothing but a tag is answered.
            ..Plain::new(NOTHING_DONE.to_owned(), Effect::Setting, 0)
        })
    };
    Some(match (set.kind(), set.args.as_slice()) {
        (Kind::VarReset, _) => naming(None, "RESET"),
        (Kind::VarSetDefault, _) => naming(None, "SET"),
        (Kind::VarSetValue, [value]) => match value.node.as_ref().map(ast::text) {
            Some(Some(token)) => naming(given(token), "SET"),
            _ => Err(no_token()),
        },
        _ => Err(no_token()),
    })
}

/// `SELECT set_config('postern.actor', TOKEN, IS_LOCAL)` and nothing else; `None` if it is another
/// statement.
pub(crate) fn call(node: &NodeEnum) -> Option<Judged<Plain>> {
    let found = SetConfig::of(node).filter(|found| found.name == SETTING)?;
    if !found.is_alone {
        return Some(Err(alone()));
    }
    let Some(local) = found.is_local() else { return Some(Err(no_token())) };
    let (token, parameters, shown) = match found.value() {
        Some(NodeEnum::ParamRef(parameter)) if parameter.number == 1 => {
            (Some(LookupValue::Parameter(1)), 1, "$1")
        }
        Some(NodeEnum::AConst(constant)) if constant.isnull => (None, 0, "''"),
        Some(value) => match ast::text(value) {
            Some(token) => (given(token), 0, "''"),
            None => return Some(Err(no_token())),
        },
        None => return Some(Err(no_token())),
    };
    let sql = format!("SELECT {shown}::pg_catalog.text AS {}", identifier(found.column));
    let naming = Naming { token, local };
    Some(Ok(Plain {
        end_user: Some(Box::new(naming)),
        ..Plain::new(sql, Effect::Setting, parameters)
    }))
}

/// As the server takes an empty text for such a setting: there is no value.
fn given(token: &str) -> Option<LookupValue> {
    (!token.is_empty()).then(|| LookupValue::Constant(token.to_owned()))
}

fn no_token() -> Refusal {
    refusal(
        "end_user",
        "the end user is named by one token, a text",
        "SET LOCAL postern.actor = 'TOKEN', or SELECT set_config('postern.actor', $1, true)",
    )
}

fn alone() -> Refusal {
    refusal(
        "end_user",
        "what names the end user is a statement of its own",
        "SELECT set_config('postern.actor', $1, true)",
    )
}
