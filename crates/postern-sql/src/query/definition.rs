//! Definitions of constraints, indexes, views and the like, as the catalogue's functions print
//! them.
//!
//! An administrator may have written a customer's data into one, as a literal. So a literal is
//! blanked unless it looks like none: lower-case letters, blanks and punctuation, and `@` only
//! between `%`; so is a number of six digits or more.

use std::mem;

use pg_query::{Node, NodeEnum, protobuf as pb};

use crate::{ast, relations::Cover};

/// The first alternative captures a literal that stays, the second any other.
const LITERALS: &str = r"('(?:[-a-z_ %.,:()\[\]{}*?]|%@%|'')*')|'(?:[^']|'')*'|\m\d{6,}\M";

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

/// Puts what stands for a catalogue column in the place of a reference to it.
pub(super) fn covered(node: &mut Node, cover: Cover) {
    match cover {
        Cover::Literals(type_name) => {
            blank_literals(node);
            if type_name != "text" {
                let text = mem::take(node);
                *node = ast::cast(text, ast::type_name("pg_catalog", type_name, &[], false));
            }
        }
        Cover::Null(name) => {
            *node = ast::cast(ast::null(), ast::type_name("pg_catalog", name, &[], false));
        }
    }
}

/// Puts `CASE WHEN false THEN … END` around the call: NULL of its type, and never called.
pub(super) fn never(node: &mut Node) {
    let call = mem::take(node);
    let when = ast::node(NodeEnum::CaseWhen(Box::new(pb::CaseWhen {
        xpr: None,
        expr: Some(Box::new(ast::falsehood())),
        result: Some(Box::new(call)),
        location: 0,
    })));
    *node = ast::node(NodeEnum::CaseExpr(Box::new(pb::CaseExpr {
        args: vec![when],
        ..pb::CaseExpr::default()
    })));
}
