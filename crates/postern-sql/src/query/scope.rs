//! Which names a select's expressions can use, and what flows in by them.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    iter,
    ops::Range,
    ptr,
};

use pg_query::{Node, NodeEnum, protobuf as pb};

use super::{Analysis, from::Star};
use crate::{
    Refusal, ast,
    refusal::{Judged, not_understood, refuse},
    relations::{CatalogueColumn, Cover},
    taint::{Column, Key, Rows, Source, Taint},
};

/// One relation of a FROM clause.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    /// The name that columns are qualified with.
    pub(super) alias: String,
    /// The schema, if a reference may name it too: a table without an alias.
    pub(super) schema: Option<String>,
    pub(super) rows: Rows,
    /// The leaf, if it is one.
    pub(super) leaf: Option<usize>,
    /// Behind the visible columns are hidden ones that `*` and whole-row references would show.
    pub(super) hides: bool,
    /// Its system columns may be used.
    pub(super) system: bool,
    /// The server finds system columns in it, or may.
    pub(super) has_system: bool,
    /// Columns of a catalogue relation for whose values something else stands.
    pub(super) covers: Vec<CatalogueColumn>,
    /// An outer join may leave it without a row.
    pub(super) nullable: bool,
    /// It is a function's: its whole row may be a plain value.
    pub(super) function: bool,
    /// The sides of outer joins of this level that it stands on and that may be left out, each with
    /// whether it is joined by nothing but an equality of columns.
    pub(super) sides: BTreeMap<usize, bool>,
}

/// The relations of a select, and the selects around it.
#[derive(Debug, Clone)]
pub(crate) struct Scope<'p> {
    pub(super) items: Vec<Item>,
    pub(super) parent: Option<&'p Scope<'p>>,
    /// Aggregates may be used.
    pub(super) grouped: bool,
    /// The rows that window functions see are records, or groups that tell records apart.
    pub(super) records: bool,
    /// What its expressions, and those of the selects in it, name of what is further out.
    around: RefCell<Taint>,
}

const SYSTEM_COLUMNS: [&str; 6] = ["ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"];

impl<'p> Scope<'p> {
    pub(super) fn new(parent: Option<&'p Scope<'p>>) -> Self {
        let around = RefCell::default();
        Self { items: Vec::new(), parent, grouped: false, records: true, around }
    }

    /// What flows in from the selects around, by what was judged so far.
    pub(super) fn around(&self) -> Taint {
        self.around.borrow().clone()
    }

    /// This level and those around it.
    fn levels(&self) -> impl Iterator<Item = &Scope<'p>> {
        iter::successors(Some(self), |scope| scope.parent)
    }

    /// What a relation of this level holds of what is around it flows into this level and, for all
    /// that is known, into those around it.
    pub(super) fn flows_in(&self, taint: &Taint) {
        self.levels().for_each(|level| level.around.borrow_mut().add(taint));
    }

    /// A name means something of a level further out: it flows into all levels on the way.
    fn passes(&self, found: &Scope<'_>, taint: &Taint) {
        let flow = Taint { local: false, outer: false, sublink: false, ..taint.clone() };
        let on_the_way = |level: &&Scope<'_>| !ptr::addr_eq(*level, found);
        self.levels().take_while(on_the_way).for_each(|level| level.around.borrow_mut().add(&flow));
    }

    /// What is joined for the values of sub-selects is nothing that `*` stands for.
    pub(super) fn hide(&mut self, aliases: &[String], star: &mut Star) {
        let items = self.items.iter_mut().filter(|item| aliases.contains(&item.alias));
        items.for_each(|item| item.hides = true);
        let own = |alias: &String| aliases.contains(alias);
        star.columns.retain(|column| !column.alias.as_ref().is_some_and(own));
    }

    /// What flows into each level, to be given to [`Self::replace_flows`].
    pub(super) fn flows(&self) -> Vec<Taint> {
        self.levels().map(Self::around).collect()
    }

    /// What has come since flows in as `taint` only.
    pub(super) fn replace_flows(&self, before: Vec<Taint>, taint: &Taint) {
        let flow = Taint { local: false, outer: false, sublink: false, ..taint.clone() };
        for (level, before) in self.levels().zip(before) {
            let mut around = level.around.borrow_mut();
            if *around != before {
                *around = before;
                around.add(&flow);
            }
        }
    }

    /// Judges what sees none of the items before `first`, as the condition of a join does: it can
    /// name the join's two sides, and then what is around the select.
    pub(super) fn within<T>(&mut self, first: usize, judge: impl FnOnce(&Self) -> T) -> T {
        let items = self.items.split_off(first.min(self.items.len()));
        let inner = Self { items, around: RefCell::default(), ..*self };
        let judged = judge(&inner);
        self.around.get_mut().add(&inner.around());
        self.items.extend(inner.items);
        judged
    }

    /// The item and column that an unqualified or qualified name of this level means, if it is
    /// exactly one and known.
    pub(super) fn column(&self, node: &Node) -> Option<(&Item, &Column)> {
        let (item, column) = self.column_among(&(0..self.items.len()), node)?;
        Some((self.items.get(item)?, column))
    }

    /// The same where no other items than these can be named.
    pub(super) fn column_among(
        &self,
        items: &Range<usize>,
        node: &Node,
    ) -> Option<(usize, &Column)> {
        let Some(NodeEnum::ColumnRef(reference)) = &node.node else { return None };
        let names = ast::names(&reference.fields)?;
        let (alias, name) = match names.as_slice() {
            [name] => (None, *name),
            [alias, name] => (Some((None, *alias)), *name),
            [schema, alias, name] => (Some((Some(*schema), *alias)), *name),
            _ => return None,
        };
        let among = self.items.get(items.clone())?;
        if alias.is_none() && among.iter().any(|item| item.rows.open.is_some()) {
            return None;
        }
        let named = |item: &Item| {
            alias.is_none_or(|(schema, alias)| {
                item.alias == alias
                    && schema.is_none_or(|schema| item.schema.as_deref() == Some(schema))
            })
        };
        let numbered = (items.start..).zip(among).filter(|(_, item)| named(item));
        let mut found = numbered
            .flat_map(|(number, item)| item.rows.columns.iter().map(move |c| (number, c)))
            .filter(|(_, column)| column.name == name);
        let first = found.next()?;
        found.next().is_none().then_some(first)
    }

    /// The leaf's column that an expression is nothing but a copy of.
    pub(super) fn source(&self, node: &Node) -> Option<Source> {
        self.copied(node).and_then(|column| column.source)
    }

    /// The column, of this level or further out, that an expression is nothing but a copy of.
    pub(super) fn copied(&self, node: &Node) -> Option<&Column> {
        match self.column(node) {
            Some((_, column)) => Some(column),
            None => {
                let Some(NodeEnum::ColumnRef(reference)) = &node.node else { return None };
                let names = ast::names(&reference.fields)?;
                let alias = names.len().checked_sub(2).and_then(|place| names.get(place).copied());
                let here = match alias {
                    Some(alias) => self.items.iter().any(|item| item.alias == alias),
                    None => {
                        let open = self.items.iter().any(|item| item.rows.open.is_some());
                        let name = names.last()?;
                        open || self.has_column(name) || self.has_system(name)
                    }
                };
                if here { None } else { self.parent?.copied(node) }
            }
        }
    }

    /// Whether a bare name is that of a column of this level, as GROUP BY asks before it looks at
    /// the result's columns; `None` if there are columns that are not known.
    pub(super) fn names_column(&self, node: &Node) -> Option<bool> {
        let Some(NodeEnum::ColumnRef(reference)) = &node.node else { return Some(false) };
        let names = ast::names(&reference.fields).unwrap_or_default();
        let [name] = names.as_slice() else { return Some(true) };
        let system = self.has_system(name);
        if self.has_column(name) || system {
            return Some(true);
        }
        self.items.iter().all(|item| item.rows.open.is_none()).then_some(false)
    }

    /// Whether an expression is nothing but columns of which none is computed of keys: one, or
    /// several that a join merged.
    pub(super) fn is_copy(&self, node: &Node) -> bool {
        let Some(NodeEnum::ColumnRef(reference)) = &node.node else { return false };
        let names = ast::names(&reference.fields).unwrap_or_default();
        let [name] = names.as_slice() else {
            return self.copied(node).is_some_and(|column| column.copied);
        };
        if self.items.iter().any(|item| item.rows.open.is_some()) || !self.has_column(name) {
            return false;
        }
        let columns = self.items.iter().flat_map(|item| &item.rows.columns);
        columns.filter(|column| column.name == *name).all(|column| column.copied)
    }

    /// The item that a bare name can be qualified with, so that it means the column that it means.
    ///
    /// There is none if more than one column may be meant, as where USING merges two; if the name
    /// is not a column's or may not be one; and if a level further in uses the alias otherwise. A
    /// function's row may be a plain value, or have columns that are not those that are known.
    pub(super) fn owner(&self, name: &str) -> Option<&Item> {
        if self.has_system(name) {
            // Only of one table by itself, which it is then qualified with.
            return self.items.first().filter(|_| self.items.len() == 1);
        }
        if self.items.iter().any(|item| item.rows.open.is_some()) {
            return None;
        }
        let named = |item: &&Item| item.rows.columns.iter().any(|column| column.name == name);
        let mut found = self.items.iter().filter(named);
        let Some(item) = found.next() else {
            let outer = self.parent?.owner(name)?;
            let shadowed = self.items.iter().any(|item| item.alias == outer.alias);
            return (!shadowed).then_some(outer);
        };
        let columns = item.rows.columns.iter().filter(|column| column.name == name).count();
        let aliases = self.items.iter().filter(|other| other.alias == item.alias).count();
        let alone = found.next().is_none() && columns == 1 && aliases == 1;
        (alone && !item.function).then_some(item)
    }

    /// Whether the server may find a system column of that name in a relation of this level.
    fn has_system(&self, name: &str) -> bool {
        SYSTEM_COLUMNS.contains(&name) && self.items.iter().any(|item| item.has_system)
    }

    fn has_column(&self, name: &str) -> bool {
        let mut columns = self.items.iter().flat_map(|item| &item.rows.columns);
        columns.any(|column| column.name == name)
    }

    /// Leaves whose keys some rows of a UNION ALL among the relations do not carry.
    pub(super) fn padded(&self) -> BTreeSet<usize> {
        self.items.iter().flat_map(|item| item.rows.padded.iter().copied()).collect()
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = (&Item, &Key)> {
        self.items.iter().flat_map(|item| item.rows.keys.iter().map(move |key| (item, key)))
    }
}

impl Item {
    /// What stands for a column's value.
    pub(super) fn cover(&self, column: &str) -> Option<Cover> {
        self.covers.iter().find(|covered| covered.name == column)?.cover
    }

    /// Everything in a row of it.
    pub(super) fn whole(&self) -> Taint {
        let mut taint = self.rows.open.clone().unwrap_or_default();
        for column in &self.rows.columns {
            taint.add(&column.taint);
        }
        taint
    }
}

impl Analysis<'_> {
    /// What flows in by a column reference; rewrites it to `alias.column` where it is known to mean
    /// just that, so that the server can't take the name for another column.
    pub(super) fn reference(
        &self,
        reference: &mut pb::ColumnRef,
        scope: &Scope<'_>,
    ) -> Judged<Taint> {
        let location = reference.location;
        let at = |refusal| self.resolver.context.at(refusal, location);
        let Some(names) = ast::names(&reference.fields) else {
            return not_understood("`*` in an expression");
        };
        let (alias, name) = match names.as_slice() {
            [name] => {
                let taint = self.unqualified(name, scope).map_err(at)?;
                self.charge_reference(scope, &taint)?;
                if let Some(item) = scope.owner(name) {
                    reference.fields = vec![ast::string(&item.alias), ast::string(name)];
                }
                return Ok(taint);
            }
            [alias, name] => (None, Some((*alias, *name))),
            [schema, alias, name] => (Some(*schema), Some((*alias, *name))),
            [database, schema, alias, name] if *database == self.resolver.catalogue.database() => {
                (Some(*schema), Some((*alias, *name)))
            }
            _ => (None, None),
        };
        let Some((item, column)) = name else {
            return not_understood("a reference of that many parts");
        };
        let (item, column) = (item.to_owned(), column.to_owned());
        let taint = self.qualified(alias, &item, &column, scope).map_err(at)?;
        self.charge_reference(scope, &taint)?;
        reference.fields = vec![ast::string(&item), ast::string(&column)];
        Ok(taint)
    }

    fn unqualified(&self, name: &str, first: &Scope<'_>) -> Judged<Taint> {
        let mut taint = Taint::default();
        let mut found = false;
        let mut level = Some(first);
        let mut local = true;
        while let Some(scope) = level {
            found |= of_one_table(name, scope)?;
            for item in &scope.items {
                for column in item.rows.columns.iter().filter(|column| column.name == name) {
                    taint.add(&column.taint);
                    found = true;
                }
            }
            if found {
                mark(&mut taint, local);
                first.passes(scope, &taint);
                return Ok(taint);
            }
            // It may be one of the columns that aren't known, or something further out.
            let open = scope.items.iter().filter_map(|item| item.rows.open.as_ref());
            let mut any = false;
            for more in open {
                taint.add(more);
                any = true;
            }
            if any {
                mark(&mut taint, local);
                first.passes(scope, &taint);
                // The name may also be a row's, with what is hidden in it.
                let row_of =
                    |item: &Item| item.alias == name && (item.hides || !item.covers.is_empty());
                if scope.items.iter().any(row_of) {
                    return not_understood(&format!("the whole row of `{name}`"));
                }
                return self.perhaps_further_out(name, (first, scope), taint);
            }
            level = scope.parent;
            local = false;
        }
        whole_row(name, first)
    }

    fn qualified(
        &self,
        schema: Option<&str>,
        alias: &str,
        name: &str,
        first: &Scope<'_>,
    ) -> Judged<Taint> {
        let mut level = Some(first);
        let mut local = true;
        while let Some(scope) = level {
            let named = |item: &&Item| {
                item.alias == alias
                    && schema.is_none_or(|schema| item.schema.as_deref() == Some(schema))
            };
            if let Some(item) = scope.items.iter().find(named) {
                self.known_field(item, name)?;
                let taint = item_column(item, name, local)?;
                first.passes(scope, &taint);
                return Ok(taint);
            }
            if scope.items.iter().any(|item| item.alias == alias) {
                // It is written without its schema, and would be taken for this one.
                return not_understood("a table's name with its schema beside a nearer alias");
            }
            level = scope.parent;
            local = false;
        }
        Err(Refusal {
            sqlstate: "42P01",
            rule: "unknown_relation",
            message: format!("missing FROM-clause entry for table \"{alias}\""),
            hint: String::new(),
            position: None,
        })
    }

    /// What stands for the value of the column that a reference means. It is looked for as
    /// PostgreSQL does; where columns aren't known on the way, what it means is not known either.
    pub(super) fn cover(&self, node: &Node, scope: &Scope<'_>) -> Judged<Option<Cover>> {
        let Some(NodeEnum::ColumnRef(reference)) = &node.node else { return Ok(None) };
        let names = ast::names(&reference.fields).unwrap_or_default();
        let (alias, name) = match names.as_slice() {
            [name] => (None, *name),
            [alias, name] => (Some(*alias), *name),
            _ => return Ok(None),
        };
        let mut level = Some(scope);
        let mut certain = true;
        while let Some(scope) = level {
            let meant = |item: &&Item| match alias {
                Some(alias) => item.alias == alias,
                None => item.rows.columns.iter().any(|column| column.name == name),
            };
            if let Some(item) = scope.items.iter().find(meant) {
                let cover = item.cover(name);
                if cover.is_some() && !certain {
                    return refuse(
                        "catalogue",
                        format!("it is not certain which column `{name}` is meant"),
                        "qualify the column with a table or alias of the FROM clause",
                    );
                }
                return Ok(cover);
            }
            certain &= alias.is_some() || scope.items.iter().all(|item| item.rows.open.is_none());
            level = scope.parent;
        }
        Ok(None)
    }

    fn perhaps_further_out(
        &self,
        name: &str,
        (first, scope): (&Scope<'_>, &Scope<'_>),
        mut taint: Taint,
    ) -> Judged<Taint> {
        if let Some(row) = known(whole_row(name, scope))? {
            taint.add(&row);
        }
        if let Some(parent) = scope.parent
            && let Some(mut outer) = known(self.unqualified(name, parent))?
        {
            (outer.local, outer.outer) = (false, true);
            first.passes(parent, &outer);
            taint.add(&outer);
        }
        Ok(taint)
    }
}

/// Whether a bare name is that of a system column of this level. Which relations the server finds
/// one in, and whether it looks further out where several are joined, hangs on how they are written
/// (`scanRTEForColumn`, src/backend/parser/parse_relation.c): it is taken of one table by itself.
fn of_one_table(name: &str, scope: &Scope<'_>) -> Judged<bool> {
    if !scope.has_system(name) {
        return Ok(false);
    }
    match scope.items.as_slice() {
        [item] if !item.system => unknown_column(None, name),
        [_] => Ok(true),
        _ => refuse(
            "system_column",
            format!("it is not certain whose system column `{name}` is"),
            "write the table's name or alias before it",
        ),
    }
}

fn mark(taint: &mut Taint, local: bool) {
    taint.local |= local;
    taint.outer |= !local;
}

/// What a name is, if it is anything; what must not be used is still refused.
fn known(judged: Judged<Taint>) -> Judged<Option<Taint>> {
    match judged {
        Ok(taint) => Ok(Some(taint)),
        Err(refusal) if refusal.rule == "unknown_column" => Ok(None),
        Err(refusal) => Err(refusal),
    }
}

/// A name that is no column: the row of the relation with that name.
fn whole_row(name: &str, first: &Scope<'_>) -> Judged<Taint> {
    let mut level = Some(first);
    let mut local = true;
    while let Some(scope) = level {
        if let Some(item) = scope.items.iter().find(|item| item.alias == name) {
            let taint = row(item, local)?;
            first.passes(scope, &taint);
            return Ok(taint);
        }
        level = scope.parent;
        local = false;
    }
    unknown_column(None, name)
}

pub(super) fn row(item: &Item, local: bool) -> Judged<Taint> {
    if item.hides || !item.covers.is_empty() {
        return not_understood(&format!("the whole row of `{}`", item.alias));
    }
    let mut taint = item.whole();
    mark(&mut taint, local);
    Ok(taint)
}

fn item_column(item: &Item, name: &str, local: bool) -> Judged<Taint> {
    let mut taint = Taint::default();
    let mut found = false;
    for column in item.rows.columns.iter().filter(|column| column.name == name) {
        taint.add(&column.taint);
        found = true;
    }
    if let (false, Some(open)) = (found, &item.rows.open) {
        taint.add(open);
        found = true;
    }
    let system = item.system && SYSTEM_COLUMNS.contains(&name);
    if !found && !system {
        return unknown_column(Some(&item.alias), name);
    }
    mark(&mut taint, local);
    Ok(taint)
}

/// As PostgreSQL says it (`errorMissingColumn`, src/backend/parser/parse_relation.c).
fn unknown_column<T>(alias: Option<&str>, name: &str) -> Judged<T> {
    let column = alias.map_or_else(|| format!("\"{name}\""), |alias| format!("{alias}.{name}"));
    let hint = if SYSTEM_COLUMNS.contains(&name) {
        "system columns are not allowed on protected tables and views"
    } else {
        ""
    };
    Err(Refusal {
        sqlstate: "42703",
        rule: "unknown_column",
        message: format!("column {column} does not exist"),
        hint: hint.to_owned(),
        position: None,
    })
}
