//! Values that a statement stores, as far as its text says them.

use pg_query::{Node, NodeEnum, protobuf as pb};

use crate::{LookupValue, ast, check::Given, query::expression::is_session_user};

/// What is stored, for counting it as a search.
pub(super) enum Stored {
    Value(LookupValue),
    /// A default, NULL, or the time.
    Nothing,
    Computed,
}

pub(super) fn stored_value(node: &Node) -> Stored {
    match &node.node {
        Some(NodeEnum::AConst(constant)) => match &constant.val {
            None => Stored::Nothing,
            Some(pb::a_const::Val::Sval(pb::String { sval })) => {
                Stored::Value(LookupValue::Constant(sval.clone()))
            }
            Some(pb::a_const::Val::Ival(pb::Integer { ival })) => {
                Stored::Value(LookupValue::Constant(ival.to_string()))
            }
            Some(pb::a_const::Val::Fval(pb::Float { fval })) => {
                Stored::Value(LookupValue::Constant(fval.clone()))
            }
            Some(pb::a_const::Val::Boolval(pb::Boolean { boolval })) => {
                Stored::Value(LookupValue::Constant(boolval.to_string()))
            }
            Some(pb::a_const::Val::Bsval(_)) => Stored::Nothing,
        },
        Some(NodeEnum::ParamRef(parameter)) => {
            let number = usize::try_from(parameter.number).unwrap_or_default();
            Stored::Value(LookupValue::Parameter(number))
        }
        Some(NodeEnum::TypeCast(cast)) => {
            cast.arg.as_deref().map_or(Stored::Computed, stored_value)
        }
        Some(NodeEnum::SqlvalueFunction(value)) if is_session_user(value.op()) => {
            Stored::Value(LookupValue::Constant("current_user".to_owned()))
        }
        Some(NodeEnum::SetToDefault(_) | NodeEnum::SqlvalueFunction(_)) => Stored::Nothing,
        Some(NodeEnum::FuncCall(call)) if call.args.is_empty() => {
            match ast::names(&call.funcname).as_deref() {
                Some(["now"] | ["pg_catalog", "now"]) => Stored::Nothing,
                _ => Stored::Computed,
            }
        }
        _ => Stored::Computed,
    }
}

/// What is stored, for looking at it before it is: only what is surely this text.
pub(super) fn given_value(node: &Node) -> Given {
    match &node.node {
        Some(NodeEnum::AConst(constant)) => match &constant.val {
            None => Given::Null,
            Some(pb::a_const::Val::Sval(pb::String { sval })) => Given::Text(sval.clone()),
            Some(_) => Given::Unknown,
        },
        Some(NodeEnum::ParamRef(parameter)) => {
            usize::try_from(parameter.number).map_or(Given::Unknown, Given::Parameter)
        }
        Some(NodeEnum::SqlvalueFunction(value)) if is_session_user(value.op()) => Given::Actor,
        Some(NodeEnum::TypeCast(_)) => {
            match ast::cast_to_text(node).map(given_value) {
                // What a parameter is cast from is not said.
                Some(given @ (Given::Null | Given::Text(_) | Given::Actor)) => given,
                Some(Given::Parameter(_) | Given::Cut(..) | Given::Unknown) | None => {
                    Given::Unknown
                }
            }
        }
        _ => Given::Unknown,
    }
}

/// A value as a mask would be stored back: as text or as what a client would send for it.
pub(super) fn written_value(node: &Node) -> Given {
    match stored_value(node) {
        Stored::Value(LookupValue::Constant(text)) => Given::Text(text),
        Stored::Value(LookupValue::Parameter(number)) => Given::Parameter(number),
        Stored::Nothing | Stored::Computed => Given::Unknown,
    }
}
