//! Fields of rows. PostgreSQL reads `x.f` and `(x).f`, where `x` has no field `f`, as the call
//! `f(x)` of any function at all, or as a cast to a type `f`. So a field must be known to be one.

use std::{collections::BTreeSet, slice};

use pg_query::{Node, NodeEnum, protobuf as pb};

use super::{
    Analysis,
    names::figure,
    scope::{Item, Scope},
};
use crate::{ast, functions::unlisted, refusal::Judged, taint::Taint};

impl Analysis<'_> {
    /// Checks `alias.name` for an item whose columns are not all known.
    pub(super) fn known_field(&self, item: &Item, name: &str) -> Judged<()> {
        let listed = item.rows.columns.iter().any(|column| column.name == name)
            || item.rows.names.contains(name);
        if listed || item.rows.open.is_none() || self.is_field(name) {
            return Ok(());
        }
        unlisted(name)
    }

    /// Whether an expression is the whole row of an item that has columns, whatever they are.
    pub(super) fn is_row_of(&self, node: &Node, scope: &Scope<'_>) -> bool {
        row_of(node, scope).is_some()
    }

    /// What stands for the whole row of an item behind whose columns there are hidden ones.
    ///
    /// # Errors
    /// Where it would be too long to be written.
    pub(super) fn visible_row(
        &mut self,
        node: &Node,
        scope: &Scope<'_>,
    ) -> Judged<Option<(Node, Taint)>> {
        let Some(NodeEnum::ColumnRef(_)) = &node.node else { return Ok(None) };
        let Some(item) = row_of(node, scope) else { return Ok(None) };
        let here = scope.items.iter().any(|other| other.alias == item.alias);
        let names: BTreeSet<&str> =
            item.rows.columns.iter().map(|column| column.name.as_str()).collect();
        let plain = !names.is_empty() && names.len() == item.rows.columns.len();
        // The target of a write is no leaf: its columns are clear but where they are masked.
        let in_place = item.leaf.is_some() && item.leaf == self.target.leaf;
        let odd = !item.covers.is_empty() || in_place;
        if !item.hides || odd || !here || !plain {
            return Ok(None);
        }
        self.charge_written(names.iter().copied(), &item.alias)?;
        let columns = item
            .rows
            .columns
            .iter()
            .map(|column| ast::target(&column.name, ast::column(&[&item.alias, &column.name])));
        let name = self.name('r');
        let from = ast::node(NodeEnum::RangeSubselect(Box::new(pb::RangeSubselect {
            lateral: false,
            subquery: Some(Box::new(ast::select(columns.collect(), Vec::new(), None))),
            alias: Some(pb::Alias { aliasname: name.clone(), colnames: Vec::new() }),
        })));
        let target = ast::target("", ast::column(&[&name]));
        let row = ast::node(NodeEnum::SubLink(Box::new(pb::SubLink {
            sub_link_type: pb::SubLinkType::ExprSublink as i32,
            subselect: Some(Box::new(ast::select(vec![target], vec![from], None))),
            ..pb::SubLink::default()
        })));
        // Where an outer join left no row, there is no row of NULLs either. The server asks by this
        // whether there is a row, and not what is in it.
        let row = if item.nullable {
            let there = ast::node(NodeEnum::AExpr(Box::new(pb::AExpr {
                kind: pb::AExprKind::AexprDistinct as i32,
                name: vec![ast::string("=")],
                lexpr: Some(Box::new(node.clone())),
                rexpr: Some(Box::new(ast::null())),
                ..pb::AExpr::default()
            })));
            ast::case(there, row, ast::null())
        } else {
            row
        };
        Ok(Some((row, Taint { local: true, ..item.whole() })))
    }

    /// Checks `(…).name`; `row` is what it is taken from if that is the whole row of an item.
    pub(super) fn selected_field(
        &self,
        row: Option<&Node>,
        name: &str,
        scope: &Scope<'_>,
    ) -> Judged<()> {
        let item = row.and_then(|row| row_of(row, scope));
        let column =
            item.is_some_and(|item| item.rows.columns.iter().any(|column| column.name == name));
        if column || FIELDS.contains(&name) && self.is_field(name) {
            return Ok(());
        }
        unlisted(name)
    }

    /// Whether a name is that of a field or a column of the system's own, and of nothing that
    /// could be called or cast to with an effect.
    fn is_field(&self, name: &str) -> bool {
        let catalogue = self.resolver.catalogue;
        let mut columns = catalogue.system().iter().flat_map(|r| r.columns.iter().flatten());
        let known = FIELDS.contains(&name) || columns.any(|column| column.name == name);
        let mut path = self.resolver.search_path().into_iter();
        known && !path.any(|schema| catalogue.functions_named(schema, name).next().is_some())
    }
}

/// The item whose whole row a name means. A function's may be a plain value instead.
fn row_of<'s>(node: &Node, scope: &'s Scope<'_>) -> Option<&'s Item> {
    let Some(NodeEnum::ColumnRef(reference)) = &node.node else { return None };
    let names = ast::names(&reference.fields)?;
    let [name] = names.as_slice() else { return None };
    let mut level = Some(scope);
    while let Some(scope) = level {
        let column = |item: &Item| {
            item.rows.open.is_some() || item.rows.columns.iter().any(|column| column.name == *name)
        };
        if scope.items.iter().any(column) {
            return None;
        }
        level = scope.parent;
    }
    let mut level = Some(scope);
    while let Some(scope) = level {
        if let Some(item) = scope.items.iter().find(|item| item.alias == *name) {
            return (!item.function).then_some(item);
        }
        level = scope.parent;
    }
    None
}

/// The item whose whole row an argument is, written `c` or `c.*`, if its columns are known.
pub(super) fn whole_row_of<'s>(node: &Node, scope: &'s Scope<'_>) -> Option<&'s Item> {
    let Some(NodeEnum::ColumnRef(reference)) = &node.node else { return None };
    let item = match reference.fields.as_slice() {
        [alias, Node { node: Some(NodeEnum::AStar(_)) }] => {
            let names = ast::names(slice::from_ref(alias))?;
            scope.items.iter().find(|item| names.as_slice() == [item.alias.as_str()])
        }
        _ => row_of(node, scope),
    }?;
    (item.rows.open.is_none() && !item.function).then_some(item)
}

/// The names of a common table's columns, as far as its text says them.
pub(super) fn written_names(table: &pb::CommonTableExpr) -> Vec<String> {
    let renamed = ast::names(&table.aliascolnames).unwrap_or_default();
    let mut names: Vec<String> = renamed.into_iter().map(str::to_owned).collect();
    let query = table.ctequery.as_deref().and_then(|node| node.node.as_ref());
    let Some(NodeEnum::SelectStmt(select)) = query else { return names };
    let mut select = select.as_ref();
    while let Some(left) = select.larg.as_deref() {
        select = left;
    }
    for node in select.target_list.iter().skip(names.len()) {
        let Some(NodeEnum::ResTarget(target)) = &node.node else { continue };
        match target.val.as_deref() {
            Some(value) if target.name.is_empty() => names.push(figure(value)),
            _ => names.push(target.name.clone()),
        }
    }
    names
}

/// Fields of the rows that built-in functions return, their OUT parameters among them. None is a
/// function's or a type's name.
const FIELDS: [&str; 49] = [
    "alias",
    "baredesc",
    "barelabel",
    "cache_size",
    "catcode",
    "catdesc",
    "comment",
    "cycle_option",
    "data_type",
    "default_version",
    "description",
    "dictionaries",
    "dictionary",
    "f1",
    "f2",
    "f3",
    "grantee",
    "grantor",
    "identity",
    "increment",
    "is_dst",
    "is_grantable",
    "isleaf",
    "key",
    "level",
    "lexeme",
    "lexemes",
    "maximum_value",
    "minimum_value",
    "n",
    "object_args",
    "object_names",
    "option_name",
    "option_value",
    "ordinality",
    "parentrelid",
    "positions",
    "privilege_type",
    "relid",
    "schema",
    "start_value",
    "token",
    "tokid",
    "type",
    "utc_offset",
    "value",
    "weights",
    "word",
    "x",
];

#[cfg(test)]
mod tests {
    use super::FIELDS;
    use crate::functions::{Arity, Functions};

    #[test]
    fn no_field_is_the_name_of_a_function() {
        for major in 13..=18 {
            let functions = Functions::of_version(major);
            let called = |name: &&str| functions.find(name, Arity::Unknown).is_some();
            assert_eq!(FIELDS.into_iter().find(called), None, "PostgreSQL {major}");
        }
    }
}
