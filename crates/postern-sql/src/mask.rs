//! Masks: constants of a column's own type, never NULL, that no input makes fail.

use pg_query::{Node, protobuf as pb};
use postern_model::FieldClass;

use crate::{
    Catalogue, ColumnRule, ast,
    catalogue::{Column, Type},
    refusal::{Judged, refuse},
};

/// What shows where a text is masked.
const TEXT: &str = "***";

/// The mask of a column, as a constant of its type.
pub(crate) fn mask(
    catalogue: &Catalogue,
    column: &Column,
    rule: Option<&ColumnRule>,
) -> Judged<Node> {
    match mask_text(catalogue, column, rule) {
        Some(text) => Ok(ast::cast(ast::constant(&text), type_of(catalogue, column)?)),
        None => no_mask(&column.name),
    }
}

/// The text of a column's mask: the one that the administrator chose, else one by type and class.
pub(crate) fn mask_text(
    catalogue: &Catalogue,
    column: &Column,
    rule: Option<&ColumnRule>,
) -> Option<String> {
    let kind = catalogue.type_by_oid(column.type_oid)?;
    match rule.and_then(|rule| rule.mask.clone()) {
        Some(text) => Some(text),
        None => text_for(catalogue, kind, rule.map(|rule| rule.class), 0),
    }
}

/// The column's type, written so that the cast gives its OID and, where it can be said in SQL, its
/// modifier.
pub(crate) fn type_of(catalogue: &Catalogue, column: &Column) -> Judged<pb::TypeName> {
    let Some(kind) = catalogue.type_by_oid(column.type_oid) else {
        return no_mask(&column.name);
    };
    let element = catalogue.type_by_oid(kind.element).filter(|_| is_array(kind));
    let named = element.unwrap_or(kind);
    let modifiers = modifiers(named, column.modifier);
    Ok(ast::type_name(&named.schema, &named.name, &modifiers, element.is_some()))
}

fn is_array(kind: &Type) -> bool {
    kind.category == 'A' && kind.element != 0
}

fn modifiers(kind: &Type, modifier: i32) -> Vec<i32> {
    if modifier < 0 || kind.schema != "pg_catalog" {
        return Vec::new();
    }
    match kind.name.as_str() {
        "varchar" | "bpchar" => vec![modifier.saturating_sub(4)],
        "numeric" => {
            let packed = modifier.saturating_sub(4);
            // The scale is an 11-bit signed number; before PostgreSQL 15 it was never negative.
            let scale = ((packed & 0x7ff) ^ 1024) - 1024;
            vec![(packed >> 16) & 0xffff, scale]
        }
        "bit" | "varbit" | "time" | "timetz" | "timestamp" | "timestamptz" => vec![modifier],
        _ => Vec::new(),
    }
}

fn text_for(
    catalogue: &Catalogue,
    kind: &Type,
    class: Option<FieldClass>,
    depth: usize,
) -> Option<String> {
    if depth > 32 {
        return None;
    }
    match kind.kind {
        'e' => kind.label.clone(),
        // A domain's mask must satisfy its constraints, which only the administrator can say.
        'd' if kind.checked => None,
        'd' => text_for(catalogue, catalogue.type_by_oid(kind.base)?, class, depth + 1),
        'r' => Some("empty".to_owned()),
        'm' => Some("{}".to_owned()),
        'b' if is_array(kind) => Some("{}".to_owned()),
        'b' if kind.schema == "pg_catalog" => built_in(&kind.name, class).map(str::to_owned),
        'b' if kind.extension => match kind.name.as_str() {
            "citext" => built_in("text", class).map(str::to_owned),
            "hstore" => Some(String::new()),
            _ => None,
        },
        _ => None,
    }
}

fn built_in(name: &str, class: Option<FieldClass>) -> Option<&'static str> {
    Some(match name {
        "text" | "varchar" | "bpchar" if class == Some(FieldClass::Email) => "***@***",
        "text" | "varchar" | "bpchar" | "name" => TEXT,
        "char" => "*",
        "int2" | "int4" | "int8" | "oid" | "float4" | "float8" | "numeric" | "money" => "0",
        "bool" => "false",
        "date" | "timestamp" | "timestamptz" => "1970-01-01",
        "time" | "timetz" => "00:00",
        "interval" => "0",
        "uuid" => "00000000-0000-0000-0000-000000000000",
        "json" | "jsonb" => "{}",
        "bytea" => "\\x",
        "inet" => "0.0.0.0",
        "cidr" => "0.0.0.0/0",
        "macaddr" => "00:00:00:00:00:00",
        "macaddr8" => "00:00:00:00:00:00:00:00",
        "bit" | "varbit" => "0",
        "tsvector" | "tsquery" => "",
        "xml" => "<masked/>",
        "point" => "(0,0)",
        "box" => "(0,0),(0,0)",
        "circle" => "<(0,0),0>",
        "lseg" => "[(0,0),(0,0)]",
        "path" | "polygon" => "((0,0))",
        "line" => "{1,0,0}",
        _ => return None,
    })
}

fn no_mask<T>(column: &str) -> Judged<T> {
    refuse(
        "no_mask",
        format!("column `{column}` can't be masked: no mask fits its type"),
        "ask the administrator to state a mask for the column",
    )
}
