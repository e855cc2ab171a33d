//! How an application says whom its next statements are for: by a setting that the server does not
//! have, `SET postern.actor = 'TOKEN'`, or `set_config` where the token is to be a parameter.

use pg_query::{Node, NodeEnum, protobuf as pb};

use crate::{
    Effect, LookupValue, Naming, Plain, Refusal, ast,
    quote::identifier,
    refusal::{Judged, refusal},
    statement::NOTHING_DONE,
};

/// The setting.
pub(crate) const SETTING: &str = "postern.actor";

/// What is sent where nothing but a tag is answered.
pub(crate) fn plain(naming: Naming) -> Plain {
    Plain {
        end_user: Some(Box::new(naming)),
        ..Plain::new(NOTHING_DONE.to_owned(), Effect::Setting, 0)
    }
}

/// `SET` or `RESET` of the setting; `None` if it is of another.
pub(crate) fn set(set: &pb::VariableSetStmt) -> Option<Judged<Naming>> {
    use pb::VariableSetKind as Kind;
    if !set.name.eq_ignore_ascii_case(SETTING) {
        return None;
    }
    let naming = |token, tag| Ok(Naming { token, local: set.is_local, tag: Some(tag) });
    Some(match (set.kind(), set.args.as_slice()) {
        (Kind::VarReset, _) => naming(None, "RESET"),
        (Kind::VarSetDefault, _) => naming(None, "SET"),
        (Kind::VarSetValue, [value]) => match value.node.as_ref().map(text) {
            Some(Some(token)) => naming(given(token), "SET"),
            _ => Err(no_token()),
        },
        _ => Err(no_token()),
    })
}

/// `SELECT set_config('postern.actor', TOKEN, IS_LOCAL)` and nothing else; `None` if it is another
/// statement.
pub(crate) fn call(node: &NodeEnum) -> Option<Judged<Plain>> {
    let NodeEnum::SelectStmt(select) = node else { return None };
    let [target] = select.target_list.as_slice() else { return None };
    let Some(NodeEnum::ResTarget(target)) = &target.node else { return None };
    let Some(NodeEnum::FuncCall(call)) = target.val.as_ref().and_then(|value| value.node.as_ref())
    else {
        return None;
    };
    let named = ast::names(&call.funcname).is_some_and(|names| {
        matches!(names.as_slice(), ["set_config"] | ["pg_catalog", "set_config"])
    });
    let [name, value, local] = call.args.as_slice() else { return None };
    let name = name.node.as_ref().and_then(text)?;
    if !named || !name.eq_ignore_ascii_case(SETTING) {
        return None;
    }
    if !is_bare(select, call) {
        return Some(Err(alone()));
    }
    let Some(NodeEnum::AConst(pb::AConst {
        val: Some(pb::a_const::Val::Boolval(pb::Boolean { boolval: local })),
        ..
    })) = &local.node
    else {
        return Some(Err(no_token()));
    };
    let (token, parameters, shown) = match uncast(value) {
        Some(NodeEnum::ParamRef(parameter)) if parameter.number == 1 => {
            (Some(LookupValue::Parameter(1)), 1, "$1")
        }
        Some(NodeEnum::AConst(constant)) if constant.isnull => (None, 0, "''"),
        Some(value) => match text(value) {
            Some(token) => (given(token), 0, "''"),
            None => return Some(Err(no_token())),
        },
        None => return Some(Err(no_token())),
    };
    let name = if target.name.is_empty() { "set_config" } else { &target.name };
    let sql = format!("SELECT {shown}::pg_catalog.text AS {}", identifier(name));
    let naming = Naming { token, local: *local, tag: None };
    Some(Ok(Plain {
        end_user: Some(Box::new(naming)),
        ..Plain::new(sql, Effect::Setting, parameters)
    }))
}

/// As the server takes an empty text for such a setting: there is no value.
fn given(token: &str) -> Option<LookupValue> {
    (!token.is_empty()).then(|| LookupValue::Constant(token.to_owned()))
}

fn text(node: &NodeEnum) -> Option<&str> {
    match node {
        NodeEnum::AConst(pb::AConst {
            val: Some(pb::a_const::Val::Sval(pb::String { sval })),
            ..
        }) => Some(sval),
        _ => None,
    }
}

/// Without a cast to a text, which drivers write around what they are given.
fn uncast(node: &Node) -> Option<&NodeEnum> {
    ast::cast_to_text(node).unwrap_or(node).node.as_ref()
}

/// Whether nothing else is in the statement.
fn is_bare(select: &pb::SelectStmt, call: &pb::FuncCall) -> bool {
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
