//! Target lists: `*` is expanded where hidden columns stand behind it.

use std::collections::BTreeSet;

use pg_query::{Node, NodeEnum, protobuf as pb};

use super::{
    Analysis,
    definition::covered,
    from::{Star, StarColumn},
    names::figure,
    scope::Scope,
    select::Place,
};
use crate::{
    Refusal, ast,
    refusal::{Judged, not_understood, refuse},
    taint::{Column, Rows, Taint},
};

/// The result columns of one select.
#[derive(Debug, Default)]
pub(super) struct Outputs {
    pub(super) columns: Vec<Output>,
    /// There are columns that are not known.
    pub(super) open: Option<Taint>,
    /// Names that some of those have for certain.
    pub(super) names: BTreeSet<String>,
}

#[derive(Debug)]
pub(super) struct Output {
    pub(super) column: Column,
    /// The alias and name of the column that it is nothing but a reference to.
    pub(super) reference: Option<(String, String)>,
    /// The names by which it was written, where it is a reference to anything.
    written: Option<Vec<String>>,
}

/// The names of a reference to a column.
fn references(node: &Node) -> Option<Vec<String>> {
    let Some(NodeEnum::ColumnRef(reference)) = &node.node else { return None };
    let names = ast::names(&reference.fields)?;
    Some(names.into_iter().map(str::to_owned).collect())
}

impl Outputs {
    pub(super) fn from_columns(columns: &[Column]) -> Self {
        let output =
            |column: &Column| Output { column: column.clone(), reference: None, written: None };
        Self { columns: columns.iter().map(output).collect(), ..Self::default() }
    }

    pub(super) fn into_rows(self) -> Rows {
        let columns = self.columns.into_iter().map(|output| output.column);
        let (open, names) = (self.open, self.names);
        Rows { columns: columns.collect(), open, names, ..Rows::default() }
    }

    /// The result column that a bare name or a number means.
    pub(super) fn named(&self, node: &Node) -> Option<&Output> {
        match &node.node {
            Some(NodeEnum::ColumnRef(reference)) => {
                let names = ast::names(&reference.fields)?;
                let [name] = names.as_slice() else { return None };
                self.columns.iter().find(|output| output.column.name == *name)
            }
            Some(NodeEnum::AConst(pb::AConst {
                val: Some(pb::a_const::Val::Ival(pb::Integer { ival })),
                ..
            })) if self.open.is_none() => {
                self.columns.get(usize::try_from(*ival).ok()?.checked_sub(1)?)
            }
            _ => None,
        }
    }

    /// Whether what a node of ORDER BY means is a result column: each row shows it.
    pub(super) fn shows(&self, node: &Node) -> bool {
        let written = references(node);
        let is_same = |output: &Output| written.is_some() && output.written == written;
        self.named(node).is_some() || self.columns.iter().any(is_same)
    }

    /// The protected columns among these that are no result columns themselves.
    pub(super) fn left_out_of(&self, compared: &Taint) -> Taint {
        let shows = |place: &(usize, i16)| {
            let mut sources = self.columns.iter().filter_map(|output| output.column.source);
            sources.any(|source| (source.leaf, source.attribute) == *place)
        };
        let left_out = compared.protected.iter().filter(|place| !shows(place));
        Taint { protected: left_out.copied().collect(), ..Taint::default() }
    }

    /// What flows into those that are, or may be, computed of keys.
    pub(super) fn computed(&self) -> Taint {
        let mut taint = self.open.clone().unwrap_or_default();
        for output in self.columns.iter().filter(|output| !output.column.copied) {
            taint.add(&output.column.taint);
        }
        taint
    }

    /// What flows into the column of a number. Behind those that the client may see stand hidden
    /// ones, which have none for it.
    pub(super) fn numbered(&self, node: &Node, clause: &str) -> Judged<Taint> {
        let number = match &node.node {
            Some(NodeEnum::AConst(constant)) => match &constant.val {
                Some(pb::a_const::Val::Ival(number)) => usize::try_from(number.ival).ok(),
                _ => None,
            },
            _ => None,
        };
        match self.named(node) {
            Some(output) => Ok(output.column.taint.clone()),
            None if number.is_some() && self.open.is_none() => Err(Refusal {
                sqlstate: "42P10",
                rule: "position",
                // As PostgreSQL says it (`findTargetlistEntrySQL92`, parse_clause.c).
                message: format!(
                    "{clause} position {} is not in select list",
                    number.unwrap_or_default()
                ),
                hint: String::new(),
                position: None,
            }),
            None => Ok(self.whole()),
        }
    }

    /// Everything that flows into any of them.
    pub(super) fn whole(&self) -> Taint {
        let mut taint = self.open.clone().unwrap_or_default();
        for output in &self.columns {
            taint.add(&output.column.taint);
        }
        taint
    }

    fn star(&mut self, star: Star) {
        for StarColumn { alias, column } in star.columns {
            let reference = alias.map(|alias| (alias, column.name.clone()));
            self.columns.push(Output { column, reference, written: None });
        }
        if let Some(open) = star.open {
            self.open.get_or_insert_default().add(&open);
        }
        self.names.extend(star.names);
    }
}

impl Analysis<'_> {
    pub(super) fn targets(
        &mut self,
        targets: &mut Vec<Node>,
        star: &Star,
        scope: &Scope<'_>,
        place: Place,
    ) -> Judged<Outputs> {
        let mut outputs = Outputs::default();
        let mut kept = Vec::with_capacity(targets.len());
        for mut node in targets.drain(..) {
            self.charge_outputs(&outputs)?;
            let Some(NodeEnum::ResTarget(target)) = node.node.as_mut() else {
                return not_understood("this kind of result column");
            };
            if !target.indirection.is_empty() {
                return not_understood("this kind of result column");
            }
            let Some(value) = target.val.as_deref_mut() else {
                return not_understood("an empty result column");
            };
            if let Some((prefix, star)) = starred(value, star, scope)? {
                let expand = scope.items.iter().any(|item| {
                    (item.hides || !item.covers.is_empty())
                        && prefix.as_ref().is_none_or(|prefix| item.alias == *prefix)
                });
                if expand {
                    kept.extend(match &star.open {
                        Some(_) if prefix.is_none() => item_by_item(&star, scope)?,
                        _ => expanded(&star, scope)?,
                    });
                } else {
                    if let Some(prefix) = prefix {
                        *value = star_of(&prefix);
                    }
                    kept.push(node);
                }
                outputs.star(star);
                continue;
            }
            if let Some(taint) = self.composite_star(value, scope)? {
                outputs.open.get_or_insert_default().add(&taint);
                kept.push(node);
                continue;
            }
            let output = self.output(target, scope, place)?;
            outputs.columns.push(output);
            kept.push(node);
        }
        self.charge_outputs(&outputs)?;
        *targets = kept;
        Ok(outputs)
    }

    fn output(
        &mut self,
        target: &mut pb::ResTarget,
        scope: &Scope<'_>,
        place: Place,
    ) -> Judged<Output> {
        let Some(value) = target.val.as_deref_mut() else {
            return not_understood("an empty result column");
        };
        let name = if target.name.is_empty() { figure(value) } else { target.name.clone() };
        let found = scope.column(value);
        let reference = found.map(|(item, column)| (item.alias.clone(), column.name.clone()));
        let written = references(value);
        // What is of a row of the select around goes with no row of this one: a leaf can be in
        // both, where a common table is named twice.
        let source = found.and_then(|(_, column)| column.source);
        let link = found.and_then(|(_, column)| column.link);
        let kind = found.and_then(|(_, column)| column.kind);
        let whose = found.map(|(_, column)| column.whose.clone()).unwrap_or_default();
        let origin = scope.copied(value).and_then(|column| column.origin);
        let copied = scope.is_copy(value);
        let mut taint = self.expression(value, scope)?;
        (taint.local, taint.outer, taint.sublink) = (false, false, false);
        // What is written in its place may have another name.
        let renamed = figure(value) != name;
        if (!matches!(place, Place::Top | Place::Arm) || renamed) && target.name.is_empty() {
            target.name.clone_from(&name);
        }
        let copied = copied || taint.identifiers.is_empty();
        Ok(Output {
            column: Column { name, taint, source, copied, origin, link, kind, whose },
            reference,
            written,
        })
    }

    /// `(expression).*`
    fn composite_star(&mut self, value: &mut Node, scope: &Scope<'_>) -> Judged<Option<Taint>> {
        let Some(NodeEnum::AIndirection(indirection)) = value.node.as_mut() else {
            return Ok(None);
        };
        let Some(last) = indirection.indirection.last() else { return Ok(None) };
        if !matches!(last.node, Some(NodeEnum::AStar(_))) {
            return Ok(None);
        }
        if indirection.indirection.len() > 1 {
            return not_understood("`.*` after a field or subscript");
        }
        let mut taint = self.all(indirection.arg.as_deref_mut(), scope)?;
        (taint.local, taint.outer, taint.sublink) = (false, false, false);
        Ok(Some(taint))
    }
}

/// `*` or `alias.*`: the alias and the columns.
pub(super) fn starred(
    value: &Node,
    all: &Star,
    scope: &Scope<'_>,
) -> Judged<Option<(Option<String>, Star)>> {
    let Some(NodeEnum::ColumnRef(reference)) = &value.node else { return Ok(None) };
    let Some((last, prefix)) = reference.fields.split_last() else { return Ok(None) };
    if !matches!(last.node, Some(NodeEnum::AStar(_))) {
        return Ok(None);
    }
    let prefix = ast::names(prefix).unwrap_or_default();
    let item = match prefix.as_slice() {
        [] => return Ok(Some((None, all.clone()))),
        [alias] => scope.items.iter().find(|item| item.alias == *alias),
        [schema, alias] => scope
            .items
            .iter()
            .find(|item| item.alias == *alias && item.schema.as_deref() == Some(*schema)),
        _ => None,
    };
    match item {
        None => not_understood("`*` of a table outside the FROM clause"),
        Some(item) => Ok(Some((Some(item.alias.clone()), Star::of(item)))),
    }
}

fn star_of(alias: &str) -> Node {
    let fields = vec![ast::string(alias), ast::node(NodeEnum::AStar(pb::AStar {}))];
    ast::node(NodeEnum::ColumnRef(pb::ColumnRef { fields, location: 0 }))
}

/// `*` over catalogue relations beside what has columns that are not known: these stay a star, that
/// of their own alias.
fn item_by_item(star: &Star, scope: &Scope<'_>) -> Judged<Vec<Node>> {
    if star.merges {
        return name_columns();
    }
    let mut targets = Vec::new();
    for item in &scope.items {
        match item.rows.open {
            Some(_) if item.hides || !item.covers.is_empty() => return name_columns(),
            None if item.hides => return name_columns(),
            Some(_) => targets.push(ast::target("", star_of(&item.alias))),
            None => targets.extend(expanded(&Star::of(item), scope)?),
        }
    }
    Ok(targets)
}

pub(super) fn expanded(star: &Star, scope: &Scope<'_>) -> Judged<Vec<Node>> {
    if star.open.is_some() {
        return name_columns();
    }
    let columns = star.columns.iter().map(|StarColumn { alias, column }| {
        let mut value = match alias {
            Some(alias) => ast::column(&[alias, &column.name]),
            None => ast::column(&[&column.name]),
        };
        let item = scope.items.iter().find(|item| Some(&item.alias) == alias.as_ref());
        if let Some(cover) = item.and_then(|item| item.cover(&column.name)) {
            covered(&mut value, cover);
        }
        ast::target(&column.name, value)
    });
    Ok(columns.collect())
}

fn name_columns<T>() -> Judged<T> {
    refuse("star", "`*` can't be used here by this role", "name the columns that you need")
}
