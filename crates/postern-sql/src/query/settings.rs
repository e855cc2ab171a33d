//! What is read of the server's settings, and of other things of the server's own, as rows.

use pg_query::{Node, NodeEnum, protobuf as pb};

use super::definition::covered;
use crate::{
    ast,
    functions::readable_settings,
    relations::{CatalogueColumn, RowsShown},
};

/// What `pg_show_all_settings()` in FROM stands for: the view of its rows.
pub(super) fn settings_view(alias: Option<pb::Alias>) -> pb::RangeVar {
    let named = || pb::Alias { aliasname: "pg_show_all_settings".to_owned(), colnames: Vec::new() };
    pb::RangeVar {
        schemaname: "pg_catalog".to_owned(),
        relname: "pg_settings".to_owned(),
        inh: true,
        relpersistence: "p".to_owned(),
        alias: Some(alias.unwrap_or_else(named)),
        ..pb::RangeVar::default()
    }
}

/// `pg_show_all_settings()`, and nothing with it.
pub(super) fn is_settings(range: &pb::RangeFunction) -> bool {
    let [Node { node: Some(NodeEnum::List(pair)) }] = range.functions.as_slice() else {
        return false;
    };
    let Some(NodeEnum::FuncCall(call)) = pair.items.first().and_then(|node| node.node.as_ref())
    else {
        return false;
    };
    let named = matches!(
        ast::names(&call.funcname).as_deref(),
        Some(["pg_show_all_settings"] | ["pg_catalog", "pg_show_all_settings"])
    );
    let plain = !range.lateral && !range.ordinality && !range.is_rowsfrom;
    let defined = pair.items.iter().skip(1).any(|definition| definition.node.is_some());
    named && plain && !defined && range.coldeflist.is_empty() && call.args.is_empty()
}

/// The names of the settings that may be read, as an array.
pub(super) fn listed_settings() -> Node {
    let listed: Vec<&str> = readable_settings().collect();
    ast::cast(
        ast::constant(&format!("{{{}}}", listed.join(","))),
        ast::type_name("pg_catalog", "text", &[], true),
    )
}

/// The rows of `pg_settings` that are about settings which may be read.
pub(super) fn readable_settings_of(range: pb::RangeVar, columns: &[String]) -> Node {
    let name = range.relname.clone();
    let alias = range.alias.clone();
    let alias = alias.unwrap_or_else(|| pb::Alias { aliasname: name, colnames: Vec::new() });
    let inner = pb::Alias { colnames: Vec::new(), ..alias.clone() };
    let of = |column: &str| ast::column(&[&alias.aliasname, column]);
    let targets = columns.iter().map(|column| ast::target(column, of(column))).collect();
    let read = ast::call("lower", vec![of("name")]);
    let condition = ast::equal(pb::AExprKind::AexprOpAny, read, listed_settings());
    let from = ast::node(NodeEnum::RangeVar(pb::RangeVar { alias: Some(inner), ..range }));
    ast::node(NodeEnum::RangeSubselect(Box::new(pb::RangeSubselect {
        lateral: false,
        subquery: Some(Box::new(ast::select(targets, vec![from], Some(condition)))),
        alias: Some(alias),
    })))
}

/// The session's own row of a catalogue relation, or none of what looks like its rows; what stands
/// for a column stands in it.
pub(super) fn few_rows(
    range: pb::RangeVar,
    schema: &str,
    columns: &[CatalogueColumn],
    rows: RowsShown,
) -> Node {
    let name = range.relname.clone();
    let alias = range.alias.clone();
    let alias = alias.unwrap_or_else(|| pb::Alias { aliasname: name, colnames: Vec::new() });
    let inner = pb::Alias { colnames: Vec::new(), ..alias.clone() };
    let of = |column: &str| ast::column(&[&alias.aliasname, column]);
    let targets = columns.iter().map(|column| {
        let mut value = of(column.name);
        if let Some(cover) = column.cover {
            covered(&mut value, cover);
        }
        ast::target(column.name, value)
    });
    let (from, condition) = match rows {
        RowsShown::Own | RowsShown::All => {
            let named = pb::RangeVar {
                schemaname: schema.to_owned(),
                catalogname: String::new(),
                alias: Some(inner),
                ..range
            };
            let own = ast::call("pg_backend_pid", Vec::new());
            let own = ast::equal(pb::AExprKind::AexprOp, of("pid"), own);
            (vec![ast::node(NodeEnum::RangeVar(named))], own)
        }
        RowsShown::None => (Vec::new(), ast::falsehood()),
    };
    ast::node(NodeEnum::RangeSubselect(Box::new(pb::RangeSubselect {
        lateral: false,
        subquery: Some(Box::new(ast::select(targets.collect(), from, Some(condition)))),
        alias: Some(alias),
    })))
}
