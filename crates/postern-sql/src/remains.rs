//! Whether a text that is run as its client wrote it may leave something of the session's own that
//! outlives its transaction: a setting, a temporary object, a prepared statement.
//!
//! Such a text may be anything, so the answer is found by its words and not by its tree: a word too
//! many that is taken for a function's or a view's name only makes a text more that may.

use std::collections::BTreeSet;

use pg_query::{
    NodeEnum,
    protobuf::{ScanToken, Token},
};

use crate::{
    Catalogue,
    functions::{Arity, BuiltIn},
    nesting,
};

/// Objects with smaller numbers came with PostgreSQL (`FirstNormalObjectId`, access/transam.h).
const FIRST_OWN_OID: u32 = 16_384;

/// The longest name.
const NAME_BYTES_MAX: usize = 63;

/// Whether somebody's own code may read the values of a type: a domain's checks, say.
pub fn is_own_type(oid: u32) -> bool {
    oid >= FIRST_OWN_OID
}

/// Whether something may be left behind by the statements of `sql` under this catalogue, executed
/// with parameters of PostgreSQL's own types.
///
/// Nothing is by those that read (`SELECT`, `EXPLAIN` of one, `COPY … TO`, cursors), lock, or begin
/// and end transactions, as long as nothing in them is called but what came with PostgreSQL and is
/// allowed to judged roles where nothing protected takes part. A text that can't be parsed may be
/// one that a newer server can.
pub fn may_remain(sql: &str, catalogue: &Catalogue) -> bool {
    // A text without any token makes `scan_tokens` read a null pointer.
    let is_blank = sql.bytes().all(|byte| byte.is_ascii_whitespace() || byte == 0x0b);
    if catalogue.has_user_casts() || is_blank || nesting::length(sql).is_err() {
        return true;
    }
    let Ok(tokens) = pg_query::scan_tokens(sql) else { return true };
    let shallow = nesting::depth(&tokens).is_ok_and(|depth| depth <= nesting::DEPTH_SHALLOW);
    if !shallow || says_more(sql, &tokens, catalogue) {
        return true;
    }
    let Ok(parsed) = pg_query::parse(sql, 0) else { return true };
    let statements = parsed.protobuf.stmts.into_iter();
    let mut nodes = statements.map(|raw| raw.stmt.and_then(|node| node.node));
    nodes.any(|node| !node.is_some_and(|node| leaves_nothing(&node)))
}

/// By its kind alone.
fn leaves_nothing(node: &NodeEnum) -> bool {
    match node {
        NodeEnum::SelectStmt(_)
        | NodeEnum::LockStmt(_)
        | NodeEnum::TransactionStmt(_)
        | NodeEnum::VariableShowStmt(_)
        | NodeEnum::DeclareCursorStmt(_)
        | NodeEnum::FetchStmt(_)
        | NodeEnum::ClosePortalStmt(_) => true,
        NodeEnum::CopyStmt(copy) => !copy.is_from && !copy.is_program,
        NodeEnum::ExplainStmt(explain) => {
            let query = explain.query.as_ref().and_then(|node| node.node.as_ref());
            matches!(query, Some(NodeEnum::SelectStmt(_)))
        }
        _ => false,
    }
}

/// Whether a word or an operator can stand for more than that.
fn says_more(sql: &str, tokens: &[ScanToken], catalogue: &Catalogue) -> bool {
    let own: BTreeSet<String> = catalogue.own_code().map(str::to_lowercase).collect();
    let says = |operator: &str| catalogue.operators_named(operator).next().is_some();
    tokens.iter().any(|token| {
        let (from, to) = (usize::try_from(token.start), usize::try_from(token.end));
        let Some(word) = from.ok().zip(to.ok()).and_then(|(from, to)| sql.get(from..to)) else {
            return true;
        };
        match token.token() {
            Token::SqlComment
            | Token::CComment
            | Token::Sconst
            | Token::Bconst
            | Token::Xconst
            | Token::Iconst
            | Token::Fconst
            | Token::Param => false,
            // Words that are operators (src/backend/parser/gram.y).
            Token::Like => says("~~") || says("!~~"),
            Token::Ilike => says("~~*") || says("!~~*"),
            Token::Similar => says("~") || says("!~"),
            Token::InP
            | Token::Between
            | Token::Nullif
            | Token::Case
            | Token::Distinct
            | Token::Natural
            | Token::Using => ["=", "<>", "<=", ">=", "<", ">"].into_iter().any(says),
            // What writes runs triggers, and a table is made.
            Token::Into
            | Token::Insert
            | Token::Update
            | Token::DeleteP
            | Token::Merge
            | Token::Uident
            | Token::Usconst => true,
            // The server reads the beginning of a longer name (`NAMEDATALEN`).
            _ if word.len() > NAME_BYTES_MAX => true,
            _ if word.starts_with(|c: char| c.is_alphabetic() || matches!(c, '_' | '"')) => {
                let name = match word.strip_prefix('"').and_then(|word| word.strip_suffix('"')) {
                    Some(inner) => inner.replace("\"\"", "\"").to_lowercase(),
                    None => word.to_lowercase(),
                };
                own.contains(name.as_str())
                    || catalogue.may_name_view(word)
                    // The gateway's own names on the server.
                    || name.starts_with("postern_")
                    // Called or not: what stands between a name and its arguments is not looked at.
                    || acts(&name, catalogue)
            }
            _ => says(word),
        }
    })
}

/// Whether a function that came with PostgreSQL is not allowed to judged roles.
fn acts(name: &str, catalogue: &Catalogue) -> bool {
    let found = catalogue.built_in().find(name, Arity::Unknown);
    matches!(found, Some(BuiltIn::Refused(_)))
}

#[cfg(test)]
mod tests;
