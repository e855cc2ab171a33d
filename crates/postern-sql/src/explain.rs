//! EXPLAIN of statements that touch nothing protected.
//!
//! Over protected data it is refused: estimates come from statistics of the clear values, and what
//! is executed is counted node by node. The options are printed anew from a list.

use pg_query::{NodeEnum, protobuf as pb};

use crate::{
    Plain, Verdict,
    analyse::text_verdict,
    refusal::{Judged, not_understood, refuse},
    resolve::Resolver,
};

/// Options that show the statement's own plan and what running it took. `SETTINGS` is not one: it
/// shows what the gateway has set.
const OPTIONS: [&str; 10] = [
    "analyze",
    "verbose",
    "costs",
    "buffers",
    "timing",
    "summary",
    "wal",
    "generic_plan",
    "memory",
    "serialize",
];

pub(crate) fn judge(explain: &pb::ExplainStmt, resolver: Resolver<'_>) -> Judged<Verdict> {
    let pb::ExplainStmt { query, options } = explain;
    let Some(query) = query.as_ref().and_then(|query| query.node.clone()) else {
        return not_understood("EXPLAIN of nothing");
    };
    let writes = !matches!(query, NodeEnum::SelectStmt(_));
    let query = match query {
        NodeEnum::SelectStmt(_)
        | NodeEnum::InsertStmt(_)
        | NodeEnum::UpdateStmt(_)
        | NodeEnum::DeleteStmt(_) => text_verdict(query, resolver)?,
        _ => {
            return refuse(
                "explain",
                "EXPLAIN of this kind of statement is not allowed for this role",
                "explain a SELECT, INSERT, UPDATE or DELETE itself",
            );
        }
    };
    let Verdict::Plain(plain) = query else {
        return refuse(
            "explain",
            "EXPLAIN of a statement on protected tables is not allowed for this role: plans and \
             estimates are made of the values",
            "ask the administrator for the plan, or explain it on a test database",
        );
    };
    shows_only_itself(&plain, resolver)?;
    let mut words = Vec::with_capacity(options.len());
    for option in options {
        words.push(option_text(option)?);
    }
    if writes && words.iter().any(|word| word.starts_with("verbose")) {
        return refuse(
            "explain",
            "EXPLAIN VERBOSE of what writes is not allowed for this role: it shows the defaults of \
             columns",
            "leave VERBOSE out",
        );
    }
    let options = if words.is_empty() { String::new() } else { format!("({}) ", words.join(", ")) };
    let sql = format!("EXPLAIN {options}{}", plain.sql);
    // ANALYZE runs it.
    let new = Plain::new(sql, plain.effect, plain.client_parameters);
    Ok(Verdict::Plain(Plain { draws: plain.draws, ..new }))
}

/// A plan is in the words of what is run: of definitions, whose constants are shown to nobody, and
/// of names that the gateway has made.
fn shows_only_itself(plain: &Plain, resolver: Resolver<'_>) -> Judged<()> {
    if plain.sql.contains(resolver.context.prefix) {
        return refuse(
            "explain",
            "EXPLAIN needs names for what is read",
            "give each sub-select in FROM an alias",
        );
    }
    if plain.opens_definition {
        return refuse(
            "explain",
            "EXPLAIN of what reads a view or a virtual column, or calls a function of the \
             database's own, is not allowed for this role: the plan shows their definitions",
            "explain the statement on the tables themselves",
        );
    }
    Ok(())
}

fn option_text(node: &pg_query::Node) -> Judged<String> {
    let Some(NodeEnum::DefElem(option)) = &node.node else {
        return not_understood("this option of EXPLAIN");
    };
    let name = option.defname.as_str();
    let value = match option.arg.as_ref().map(|arg| arg.node.as_ref()) {
        None => "true",
        Some(Some(NodeEnum::String(pb::String { sval }))) => sval.as_str(),
        Some(Some(NodeEnum::Integer(pb::Integer { ival: 1 }))) => "true",
        Some(Some(NodeEnum::Integer(pb::Integer { ival: 0 }))) => "false",
        Some(_) => return not_understood("this option of EXPLAIN"),
    };
    let value = value.to_ascii_lowercase();
    let known = match name {
        "format" => matches!(value.as_str(), "text" | "xml" | "json" | "yaml"),
        "serialize" => matches!(value.as_str(), "none" | "text" | "binary"),
        _ => OPTIONS.contains(&name) && matches!(value.as_str(), "true" | "false" | "on" | "off"),
    };
    if known && option.defnamespace.is_empty() {
        Ok(format!("{name} {value}"))
    } else {
        not_understood("this option of EXPLAIN")
    }
}
