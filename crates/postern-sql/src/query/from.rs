//! FROM clauses: relations become items of the scope, protected ones become leaves.

use std::collections::{BTreeMap, BTreeSet};

use pg_query::{Node, NodeEnum, protobuf as pb};

use super::{
    Analysis, CommonState,
    leaf::with_sample,
    scope::{Item, Scope},
    select::Place,
    settings::{few_rows, is_settings, readable_settings_of, settings_view},
};
use crate::{
    Mode, ast,
    catalogue::Relation,
    functions::Kind,
    refusal::{Judged, not_understood, refuse, too_many},
    relations::{CatalogueColumn, RowsShown},
    resolve::Resolved,
    taint::{Column, Rows, Taint},
};

/// Far beyond what the server can plan in useful time.
const ITEMS_MAX: usize = 200;

/// What `*` stands for.
#[derive(Debug, Clone, Default)]
pub(super) struct Star {
    pub(super) columns: Vec<StarColumn>,
    /// There are columns that are not known.
    pub(super) open: Option<Taint>,
    /// Names that some of those have for certain.
    pub(super) names: BTreeSet<String>,
    /// A join has merged columns, which stand before all others.
    pub(super) merges: bool,
}

#[derive(Debug, Clone)]
pub(super) struct StarColumn {
    /// The item's alias; `None` for a column that USING merged.
    pub(super) alias: Option<String>,
    pub(super) column: Column,
}

impl Star {
    /// What `*` stands for over relations side by side.
    pub(super) fn of_all(items: &[Item]) -> Self {
        let mut star = Self::default();
        items.iter().for_each(|item| star.join(Self::of(item)));
        star
    }

    pub(super) fn of(item: &Item) -> Self {
        let columns = item
            .rows
            .columns
            .iter()
            .map(|column| StarColumn { alias: Some(item.alias.clone()), column: column.clone() });
        // A function's one column may be named by the alias, or be a row of others.
        let names = item.rows.names.iter().filter(|name| **name != item.alias).cloned();
        Self {
            columns: columns.collect(),
            open: item.rows.open.clone(),
            names: names.collect(),
            merges: false,
        }
    }

    /// The first column of each name.
    pub(super) fn by_name(&self) -> BTreeMap<&str, &Column> {
        let mut columns = BTreeMap::new();
        for StarColumn { column, .. } in &self.columns {
            columns.entry(column.name.as_str()).or_insert(column);
        }
        columns
    }

    pub(super) fn join(&mut self, other: Self) {
        self.columns.extend(other.columns);
        if let Some(open) = other.open {
            self.open.get_or_insert_default().add(&open);
        }
        self.names.extend(other.names);
        self.merges |= other.merges;
    }
}

impl Analysis<'_> {
    /// Fills the scope with the relations of a FROM clause.
    pub(super) fn read_from_clause(
        &mut self,
        from: &mut [Node],
        scope: &mut Scope<'_>,
        place: Place,
    ) -> Judged<Star> {
        let mut star = Star::default();
        for node in from {
            star.join(self.read_from_item(node, scope, place, false)?);
        }
        for (index, item) in scope.items.iter().enumerate() {
            let same = |other: &Item| other.alias == item.alias;
            if scope.items.iter().skip(index + 1).any(same) {
                return refuse(
                    "alias",
                    format!("table name \"{}\" is used more than once", item.alias),
                    "give each table of the FROM clause its own alias",
                );
            }
        }
        Ok(star)
    }

    pub(super) fn read_from_item(
        &mut self,
        node: &mut Node,
        scope: &mut Scope<'_>,
        place: Place,
        nullable: bool,
    ) -> Judged<Star> {
        if scope.items.len() >= ITEMS_MAX {
            return too_many("54001", "tables of a FROM clause", ITEMS_MAX);
        }
        let lateral = matches!(&node.node, Some(NodeEnum::RangeSubselect(range)) if range.lateral);
        let mut item = match node.node.take() {
            Some(NodeEnum::RangeVar(range)) => self.table(node, range, None, place)?,
            Some(NodeEnum::RangeTableSample(sample)) => self.sample(node, sample, scope, place)?,
            Some(NodeEnum::RangeSubselect(mut range)) => {
                let item = self.subselect(&mut range, scope, place)?;
                node.node = Some(NodeEnum::RangeSubselect(range));
                item
            }
            Some(NodeEnum::RangeFunction(range)) if is_settings(&range) => {
                self.table(node, settings_view(range.alias), None, place)?
            }
            Some(NodeEnum::RangeFunction(mut range)) => {
                let item = self.function_item(&mut range, scope)?;
                node.node = Some(NodeEnum::RangeFunction(range));
                item
            }
            Some(NodeEnum::JoinExpr(mut join)) => {
                let star = self.join(&mut join, scope, place, nullable)?;
                node.node = Some(NodeEnum::JoinExpr(join));
                return Ok(star);
            }
            _ => return not_understood("this kind of FROM item"),
        };
        item.nullable = nullable;
        if lateral {
            // Whom it is about can hang on the rows of this level.
            item.rows.about.clear();
        } else {
            // Of this level it names nothing: all of that is around it.
            scope.flows_in(&item.rows.around);
        }
        self.decisions.add(&item.rows.decided);
        self.charge_rows(&item.rows)?;
        let star = Star::of(&item);
        scope.items.push(item);
        Ok(star)
    }

    fn table(
        &mut self,
        node: &mut Node,
        range: pb::RangeVar,
        sample: Option<Box<pb::RangeTableSample>>,
        place: Place,
    ) -> Judged<Item> {
        if range.schemaname.is_empty()
            && range.catalogname.is_empty()
            && let Some(item) = self.common(&range)?
        {
            if sample.is_some() {
                return not_understood("TABLESAMPLE of a common table");
            }
            node.node = Some(NodeEnum::RangeVar(range));
            return Ok(item);
        }
        let unaliased = range.alias.is_none();
        let names = alias_columns(range.alias.as_ref())?;
        let alias = range.alias.as_ref().map_or(&range.relname, |alias| &alias.aliasname).clone();
        let mut item = derived(alias, Rows::default());
        let schema = match self.running_no_checks(self.resolver.relation(&range)?)? {
            Resolved::Protected(relation, rule) => {
                let (leaf, rows, index) = self.leaf(range, sample, relation, rule)?;
                *node = leaf;
                (item.rows, item.leaf) = (rows, Some(index));
                rename(&mut item.rows, &names, true)?;
                relation.schema.clone()
            }
            Resolved::View(view) => {
                if sample.is_some() {
                    return not_understood("TABLESAMPLE of a view");
                }
                let (expanded, rows) = self.view(&range, view, &names, place)?;
                *node = expanded;
                (item.hides, item.rows) = (!rows.keys.is_empty(), rows);
                view.schema.clone()
            }
            Resolved::Plain(relation) => {
                self.opens(relation);
                if matches!(relation.kind, 'v' | 'm') {
                    self.plain_view(relation)?;
                }
                *node = self.unprotected(&mut item, range, sample, relation)?;
                rename(&mut item.rows, &names, false)?;
                relation.schema.clone()
            }
            Resolved::Catalogue { schema, columns, rows: RowsShown::All } => {
                let range = (range, sample);
                *node = self.catalogue(&mut item, range, (schema, columns), &names)?;
                rename(&mut item.rows, &names, false)?;
                schema.to_owned()
            }
            Resolved::Catalogue { schema, columns, rows } => {
                if sample.is_some() {
                    return not_understood("TABLESAMPLE of a view");
                }
                self.can_rewrite("a system catalogue")?;
                self.facts.catalogue = true;
                let known: Vec<String> = columns.iter().map(|c| c.name.to_owned()).collect();
                item.rows.columns = plain_columns(known.iter());
                *node = few_rows(range, schema, columns, rows);
                rename(&mut item.rows, &names, false)?;
                schema.to_owned()
            }
        };
        item.schema = unaliased.then_some(schema);
        Ok(item)
    }

    /// A relation of the system catalogue, as it is named with its schema.
    fn catalogue(
        &mut self,
        item: &mut Item,
        (mut range, sample): (pb::RangeVar, Option<Box<pb::RangeTableSample>>),
        (schema, columns): (&str, &[CatalogueColumn]),
        names: &[String],
    ) -> Judged<Node> {
        self.can_rewrite("a system catalogue")?;
        self.facts.catalogue = true;
        schema.clone_into(&mut range.schemaname);
        range.catalogname.clear();
        let known: Vec<String> = columns.iter().map(|c| c.name.to_owned()).collect();
        item.rows.columns = plain_columns(known.iter());
        item.covers = columns.iter().filter(|c| c.cover.is_some()).copied().collect();
        if !names.is_empty() && !item.covers.is_empty() {
            return not_understood("an alias that renames a catalogue relation's columns");
        }
        if schema == "pg_catalog" && range.relname == "pg_settings" {
            if sample.is_some() {
                return not_understood("TABLESAMPLE of a view");
            }
            return Ok(readable_settings_of(range, &known));
        }
        // Its views have none: then the server says so.
        (item.system, item.has_system) = (true, true);
        Ok(with_sample(range, sample))
    }

    /// A literal can take a column's type from what stands beside it, and then the checks of the
    /// domains in it run.
    fn running_no_checks<'r>(&self, read: Resolved<'r>) -> Judged<Resolved<'r>> {
        let (Resolved::Protected(relation, _) | Resolved::Plain(relation)) = read else {
            return Ok(read);
        };
        let Some(column) = self.resolver.column_that_runs(relation) else { return Ok(read) };
        refuse(
            "type",
            format!(
                "`{}.{}` can't be read by this role: checks of the type of its column `{}` call a \
                 function that is not listed",
                relation.schema, relation.name, column.name
            ),
            "ask the administrator to list the function",
        )
    }

    fn unprotected(
        &self,
        item: &mut Item,
        mut range: pb::RangeVar,
        sample: Option<Box<pb::RangeTableSample>>,
        relation: &Relation,
    ) -> Judged<Node> {
        range.schemaname.clone_from(&relation.schema);
        range.catalogname.clear();
        item.rows.columns = plain_columns(relation.columns.iter().map(|c| &c.name));
        // A row that something protected refers to is locked for that, and says so.
        let is_table = matches!(relation.kind, 'r' | 'p');
        let own = self.resolver.context.own.is_some();
        item.system = is_table && !own && !self.is_referred_to(relation, &|_| true);
        if own && self.beside {
            let names = relation.columns.iter().map(|column| column.name.as_str());
            self.charge_written(
                names,
                range.alias.as_ref().map_or(&range.relname, |a| &a.aliasname),
            )?;
            Ok(by_its_columns(range, sample, relation))
        } else {
            item.has_system = matches!(relation.kind, 'r' | 'p' | 'm' | 'f');
            Ok(with_sample(range, sample))
        }
    }

    fn common(&mut self, range: &pb::RangeVar) -> Judged<Option<Item>> {
        let mut commons = self.commons.iter_mut().rev();
        let Some(common) = commons.find(|common| common.name == range.relname) else {
            return Ok(None);
        };
        if !range.inh {
            return not_understood("ONLY with a common table");
        }
        let mut rows = match &common.state {
            // Another reference to it must not be narrowed down too.
            CommonState::Known(rows) => {
                if std::mem::replace(&mut common.named, true) {
                    self.facts.shared.extend(rows.leaves());
                }
                Rows { searchable: BTreeSet::new(), ..rows.as_ref().clone() }
            }
            CommonState::Later => {
                return not_understood("a reference to a common table that comes later");
            }
            CommonState::Begun => {
                return not_understood("a recursive reference outside the second arm of a UNION");
            }
            CommonState::Itself(rows) => {
                self.references += 1;
                rows.as_ref().clone()
            }
        };
        // Its second arm may yet bring hidden columns.
        let hides = matches!(common.state, CommonState::Itself(_)) && rows.open.is_none();
        rename(&mut rows, &alias_columns(range.alias.as_ref())?, false)?;
        let alias = range.alias.as_ref().map_or(&range.relname, |alias| &alias.aliasname).clone();
        let item = derived(alias, rows);
        Ok(Some(Item { hides: hides || item.hides, ..item }))
    }

    fn sample(
        &mut self,
        node: &mut Node,
        mut sample: Box<pb::RangeTableSample>,
        scope: &Scope<'_>,
        place: Place,
    ) -> Judged<Item> {
        // No other table of the FROM clause can be named in it.
        let outside = Scope::new(scope.parent);
        let Some(NodeEnum::RangeVar(range)) = sample.relation.take().and_then(|node| node.node)
        else {
            return not_understood("this kind of TABLESAMPLE");
        };
        match ast::names(&sample.method).as_deref() {
            Some(["system" | "bernoulli"] | ["pg_catalog", "system" | "bernoulli"]) => {}
            _ => return not_understood("this TABLESAMPLE method"),
        }
        let mut taint = Taint::default();
        for argument in sample.args.iter_mut().chain(sample.repeatable.as_deref_mut()) {
            taint.add(&self.expression(argument, &outside)?);
        }
        if taint != Taint::default() {
            return not_understood("a TABLESAMPLE that isn't constant");
        }
        let item = self.table(node, range, Some(sample), place)?;
        if item.leaf.is_some() && self.resolver.rules.mode == Mode::Restricted {
            // How many rows stand on a page, and where, depends on how long their values are.
            return refuse(
                "sample",
                "TABLESAMPLE of a protected table is not allowed for this role: a sample depends \
                 on how long protected values are",
                "leave TABLESAMPLE out, and use ORDER BY with LIMIT",
            );
        }
        self.pinned.extend(item.leaf);
        Ok(item)
    }

    fn subselect(
        &mut self,
        range: &mut pb::RangeSubselect,
        scope: &Scope<'_>,
        place: Place,
    ) -> Judged<Item> {
        let Some(NodeEnum::SelectStmt(select)) =
            range.subquery.as_mut().and_then(|node| node.node.as_mut())
        else {
            return not_understood("this kind of sub-select");
        };
        let outer = if range.lateral { Some(scope) } else { scope.parent };
        let mut rows = self.select(select, outer, place.nested())?;
        let alias = match &range.alias {
            Some(alias) => alias.clone(),
            None => pb::Alias { aliasname: self.name('t'), colnames: Vec::new() },
        };
        rename(&mut rows, &alias_columns(Some(&alias))?, false)?;
        let name = alias.aliasname.clone();
        range.alias = Some(alias);
        Ok(derived(name, rows))
    }

    fn function_item(&mut self, range: &mut pb::RangeFunction, scope: &Scope<'_>) -> Judged<Item> {
        unnest_side_by_side(range);
        let mut taint = Taint::default();
        let mut one_column = range.functions.len() == 1 && !range.ordinality;
        let mut name = None;
        let mut defined = BTreeSet::new();
        for function in &mut range.functions {
            let Some(NodeEnum::List(pair)) = function.node.as_mut() else {
                return not_understood("this kind of function in FROM");
            };
            let mut parts = pair.items.iter_mut();
            let Some(call) = parts.next() else {
                return not_understood("this kind of function in FROM");
            };
            name.get_or_insert(super::names::figure(call));
            taint.add(&self.expression(call, scope)?);
            one_column &= match &call.node {
                Some(NodeEnum::FuncCall(call)) => {
                    matches!(self.kind_of_call(call), Some(Kind::Scalar | Kind::Set))
                        && !self.may_give_row(call)
                }
                Some(NodeEnum::SqlvalueFunction(_)) => true,
                _ => return not_understood("this expression in FROM"),
            };
            for definition in parts {
                self.column_definitions(definition, &mut defined)?;
            }
        }
        for definition in &mut range.coldeflist {
            self.column_definitions(definition, &mut defined)?;
            one_column = false;
        }
        self.makes_rows_of(&taint);
        let names = alias_columns(range.alias.as_ref())?;
        let alias = range.alias.as_ref().map(|alias| alias.aliasname.clone());
        let alias = alias.or(name).unwrap_or_default();
        let mut flows = taint.clone();
        (flows.local, flows.outer, flows.sublink) = (false, false, false);
        let column = names.first().unwrap_or(&alias).clone();
        let rows = if one_column {
            Rows { columns: vec![Column::computed(&column, flows)], ..Rows::default() }
        } else {
            defined.extend(names.into_iter().chain([column]));
            Rows { open: Some(flows), names: defined, ..Rows::default() }
        };
        Ok(Item { function: true, ..derived(alias, rows) })
    }

    fn column_definitions(&mut self, node: &mut Node, names: &mut BTreeSet<String>) -> Judged<()> {
        match node.node.as_mut() {
            None => Ok(()),
            Some(NodeEnum::List(list)) => {
                list.items.iter_mut().try_for_each(|node| self.column_definitions(node, names))
            }
            Some(NodeEnum::ColumnDef(definition)) => {
                names.insert(definition.colname.clone());
                match definition.type_name.as_mut() {
                    Some(name) => self.type_name(name).map(|_| ()),
                    None => not_understood("a column without a type"),
                }
            }
            Some(_) => not_understood("this kind of column definition"),
        }
    }
}

/// What a session has defined itself is judged by what it has said. So that the server knows no
/// other columns of the table than those, whatever it holds, it is given these by their names.
fn by_its_columns(
    range: pb::RangeVar,
    sample: Option<Box<pb::RangeTableSample>>,
    relation: &Relation,
) -> Node {
    let alias = range
        .alias
        .clone()
        .unwrap_or_else(|| pb::Alias { aliasname: range.relname.clone(), colnames: Vec::new() });
    let inner = pb::Alias { colnames: Vec::new(), ..alias.clone() };
    let columns = relation
        .columns
        .iter()
        .map(|column| ast::target(&column.name, ast::column(&[&alias.aliasname, &column.name])));
    let select = pb::SelectStmt {
        target_list: columns.collect(),
        from_clause: vec![with_sample(pb::RangeVar { alias: Some(inner), ..range }, sample)],
        limit_option: pb::LimitOption::Default as i32,
        op: pb::SetOperation::SetopNone as i32,
        ..pb::SelectStmt::default()
    };
    ast::node(NodeEnum::RangeSubselect(Box::new(pb::RangeSubselect {
        lateral: false,
        subquery: Some(Box::new(ast::node(NodeEnum::SelectStmt(Box::new(select))))),
        alias: Some(alias),
    })))
}

/// Writes `unnest(a, b)` as `ROWS FROM (unnest(a), unnest(b))`, which it means, and as no function
/// with its schema does (`transformRangeFunction`, src/backend/parser/parse_clause.c).
fn unnest_side_by_side(range: &mut pb::RangeFunction) {
    let mut functions = Vec::new();
    for function in range.functions.drain(..) {
        match arrays_to_unnest(&function) {
            Some(arrays) => functions.extend(arrays.into_iter().map(|array| {
                let call = ast::node(NodeEnum::FuncCall(Box::new(pb::FuncCall {
                    funcname: vec![ast::string("unnest")],
                    args: vec![array],
                    funcformat: pb::CoercionForm::CoerceExplicitCall as i32,
                    ..pb::FuncCall::default()
                })));
                ast::node(NodeEnum::List(pb::List { items: vec![call, Node { node: None }] }))
            })),
            None => functions.push(function),
        }
    }
    range.is_rowsfrom |= functions.len() > 1;
    range.functions = functions;
}

/// The arguments of a call of `unnest` with several and nothing else.
fn arrays_to_unnest(function: &Node) -> Option<Vec<Node>> {
    let Some(NodeEnum::List(pair)) = &function.node else { return None };
    let Some(NodeEnum::FuncCall(call)) = pair.items.first()?.node.as_ref() else { return None };
    let defined = pair.items.iter().skip(1).any(|definition| definition.node.is_some());
    let plain = call.agg_order.is_empty()
        && call.agg_filter.is_none()
        && call.over.is_none()
        && !(call.agg_star || call.agg_distinct || call.func_variadic || defined);
    let several = ast::names(&call.funcname).as_deref() == Some(&["unnest"]) && call.args.len() > 1;
    (plain && several).then(|| call.args.clone())
}

pub(super) fn derived(alias: String, rows: Rows) -> Item {
    Item {
        alias,
        schema: None,
        leaf: None,
        hides: !rows.keys.is_empty(),
        rows,
        system: false,
        has_system: false,
        covers: Vec::new(),
        nullable: false,
        function: false,
        sides: BTreeMap::new(),
    }
}

pub(super) fn plain_columns<'n>(names: impl Iterator<Item = &'n String>) -> Vec<Column> {
    names.map(|name| Column::computed(name, Taint::default())).collect()
}

pub(super) fn alias_columns(alias: Option<&pb::Alias>) -> Judged<Vec<String>> {
    let Some(alias) = alias else { return Ok(Vec::new()) };
    match ast::names(&alias.colnames) {
        Some(names) => Ok(names.into_iter().map(str::to_owned).collect()),
        None => not_understood("this kind of alias"),
    }
}

/// Gives the first columns the names of an alias's column list.
pub(super) fn rename(rows: &mut Rows, names: &[String], leaf: bool) -> Judged<()> {
    if names.is_empty() {
        return Ok(());
    }
    if rows.open.is_some() && !rows.keys.is_empty() {
        return refuse(
            "alias",
            "an alias can't rename columns that are not known beside a protected table",
            "name the columns in the sub-select, instead of `*`",
        );
    }
    if rows.open.is_none() && names.len() > rows.columns.len() {
        return refuse(
            "alias",
            "the alias has more columns than the table",
            "name as many columns as there are",
        );
    }
    if rows.open.is_some() {
        // Which column gets which name is not known.
        let mut open = rows.open.clone().unwrap_or_default();
        for column in rows.columns.drain(..) {
            open.add(&column.taint);
            rows.names.insert(column.name);
        }
        rows.names.extend(names.iter().cloned());
        rows.open = Some(open);
        return Ok(());
    }
    if leaf {
        for key in &mut rows.keys {
            let place = rows.columns.iter().position(|column| column.name == key.column);
            if let Some(name) = place.and_then(|place| names.get(place)) {
                key.column.clone_from(name);
            }
        }
    }
    for (column, name) in rows.columns.iter_mut().zip(names) {
        column.name.clone_from(name);
    }
    Ok(())
}
