//! Definitions of constraints, indexes, views and the like, as the catalogue's functions print
//! them.
//!
//! An administrator may have written a customer's data into one, as a literal. So a literal is
//! blanked unless it looks like none: lower-case letters, blanks and punctuation, and `@` only
//! between `%`.

use std::mem;

use pg_query::{Node, NodeEnum, protobuf as pb};

use crate::ast;

/// The first alternative captures a literal that stays, the second any other.
const LITERALS: &str = r"('(?:[-a-z_ %.,:()\[\]{}*?]|%@%|'')*')|'(?:[^']|'')*'";

/// Whether the call prints a definition.
pub(super) fn prints_definition(call: &pb::FuncCall) -> bool {
    let name = match ast::names(&call.funcname).as_deref() {
        Some(["pg_catalog", name]) => (*name).to_owned(),
        _ => return false,
    };
    matches!(
        name.as_str(),
        "pg_get_constraintdef"
            | "pg_get_expr"
            | "pg_get_function_arguments"
            | "pg_get_indexdef"
            | "pg_get_partkeydef"
            | "pg_get_ruledef"
            | "pg_get_statisticsobjdef"
            | "pg_get_triggerdef"
            | "pg_get_viewdef"
    )
}

/// Puts `regexp_replace(…)` around the call, which blanks its literals.
pub(super) fn blank_literals(node: &mut Node) {
    let call = mem::take(node);
    let text = ast::cast(call, ast::type_name("pg_catalog", "text", &[], false));
    let arguments = vec![text, ast::constant(LITERALS), ast::constant("\\1"), ast::constant("g")];
    *node = ast::node(NodeEnum::FuncCall(Box::new(pb::FuncCall {
        funcname: vec![ast::string("pg_catalog"), ast::string("regexp_replace")],
        args: arguments,
        funcformat: pb::CoercionForm::CoerceExplicitCall as i32,
        ..pb::FuncCall::default()
    })));
}
