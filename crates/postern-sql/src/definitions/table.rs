//! What is made: tables, views and indexes.

use std::collections::HashSet;

use pg_query::{Node, NodeEnum, protobuf as pb};

use super::{COLUMNS_MAX, Definition, There, protected};
use crate::{
    ast,
    catalogue::Relation,
    refusal::{Judged, not_understood, refuse, too_many},
    resolve::Resolved,
};

/// Names that stand for a number with a sequence of its own (`transformColumnDefinition`,
/// src/backend/parser/parse_utilcmd.c).
const SERIAL: [&str; 6] = ["serial", "serial4", "bigserial", "serial8", "smallserial", "serial2"];

impl Definition<'_> {
    pub(super) fn create_table(&mut self, create: &mut pb::CreateStmt) -> Judged<()> {
        if create.of_typename.is_some()
            || !create.tablespacename.is_empty()
            || !create.access_method.is_empty()
            || !create.nnconstraints.is_empty()
        {
            return not_understood("this kind of table");
        }
        if self.is_restricted() && (!create.inh_relations.is_empty() || create.partspec.is_some()) {
            return refuse(
                "definition",
                "this role's tables are no parts of others and have none",
                "make a table by itself; LIKE gives it another's columns",
            );
        }
        let name = self.new_name(create.relation.as_mut())?;
        let mut columns = Names::default();
        let mut like = None;
        for node in &mut create.inh_relations {
            let Some(NodeEnum::RangeVar(parent)) = node.node.as_mut() else {
                return not_understood("this kind of table");
            };
            let parent = self.plain(Some(parent))?;
            self.takes_columns(&mut columns, parent)?;
            // A partition has its parent's triggers and foreign keys.
            let is_part = create.partbound.is_some() && parent.oid != 0;
            like = like.or(is_part.then_some((parent.oid, 'r')));
        }
        for node in &mut create.table_elts {
            match node.node.as_mut() {
                Some(NodeEnum::ColumnDef(column)) => columns.add(&column.colname)?,
                Some(NodeEnum::TableLikeClause(like)) => {
                    let like = self.plain(like.relation.as_mut())?;
                    self.takes_columns(&mut columns, like)?;
                }
                Some(NodeEnum::Constraint(_)) => {}
                _ => return not_understood("this part of a table"),
            }
        }
        let columns = columns.names;
        for node in create.table_elts.iter_mut().chain(&mut create.constraints) {
            match node.node.as_mut() {
                Some(NodeEnum::ColumnDef(column)) => self.column(column, &name, &columns)?,
                Some(NodeEnum::Constraint(c)) => self.constraint(c, &name, &columns)?,
                _ => {}
            }
        }
        self.partitions(create, &name, &columns)?;
        storage_options(&create.options)?;
        self.made(name, (columns, like), There::of_table(create.if_not_exists));
        Ok(())
    }

    fn takes_columns(&self, columns: &mut Names, of: &Relation) -> Judged<()> {
        self.analysis.charge_definition(of.columns.len())?;
        of.columns.iter().try_for_each(|column| columns.add(&column.name))
    }

    fn partitions(
        &mut self,
        create: &mut pb::CreateStmt,
        (_, table): &(String, String),
        columns: &[String],
    ) -> Judged<()> {
        if let Some(by) = create.partspec.as_mut() {
            for node in &mut by.part_params {
                match node.node.as_mut() {
                    Some(NodeEnum::PartitionElem(element))
                        if element.expr.is_none()
                            && element.collation.is_empty()
                            && element.opclass.is_empty() => {}
                    _ => return not_understood("this way to divide a table"),
                }
            }
        }
        let Some(bound) = create.partbound.as_mut() else { return Ok(()) };
        let lists = [&mut bound.listdatums, &mut bound.lowerdatums, &mut bound.upperdatums];
        for node in lists.into_iter().flatten() {
            let edge = matches!(&node.node, Some(NodeEnum::ColumnRef(n))
                if matches!(ast::names(&n.fields).as_deref(), Some(["minvalue" | "maxvalue"])));
            if !edge {
                self.expression(node, table, columns)?;
            }
        }
        Ok(())
    }

    pub(super) fn column(
        &mut self,
        column: &mut pb::ColumnDef,
        name: &(String, String),
        columns: &[String],
    ) -> Judged<()> {
        if !column.fdwoptions.is_empty()
            || !column.storage_name.is_empty()
            || column.identity_sequence.is_some()
        {
            return not_understood("this kind of column");
        }
        if let Some(type_name) = column.type_name.as_mut() {
            let serial = matches!(ast::names(&type_name.names).as_deref(),
                Some([name]) if SERIAL.contains(name));
            if !serial {
                self.analysis.names_type(type_name)?;
            }
        }
        if let Some(default) = column.raw_default.as_deref_mut() {
            self.expression(default, &name.1, columns)?;
        }
        for node in &mut column.constraints {
            let Some(NodeEnum::Constraint(constraint)) = node.node.as_mut() else {
                return not_understood("this part of a column");
            };
            self.constraint(constraint, name, columns)?;
        }
        Ok(())
    }

    pub(super) fn constraint(
        &mut self,
        constraint: &mut pb::Constraint,
        name: &(String, String),
        columns: &[String],
    ) -> Judged<()> {
        use pb::ConstrType as Kind;
        if !constraint.indexspace.is_empty() || !constraint.access_method.is_empty() {
            return not_understood("this kind of constraint");
        }
        match constraint.contype() {
            Kind::ConstrNull
            | Kind::ConstrNotnull
            | Kind::ConstrPrimary
            | Kind::ConstrUnique
            | Kind::ConstrAttrDeferrable
            | Kind::ConstrAttrNotDeferrable
            | Kind::ConstrAttrDeferred
            | Kind::ConstrAttrImmediate => storage_options(&constraint.options),
            Kind::ConstrIdentity => self.sequence_options(&mut constraint.options),
            Kind::ConstrDefault | Kind::ConstrGenerated | Kind::ConstrCheck => {
                match constraint.raw_expr.as_deref_mut() {
                    Some(expression) => self.expression(expression, &name.1, columns),
                    None => not_understood("a constraint without a condition"),
                }
            }
            Kind::ConstrForeign => self.refers(constraint, name),
            _ => not_understood("this kind of constraint"),
        }
    }

    /// Whether a key is there tells of the table that it is looked up in.
    fn refers(&self, constraint: &mut pb::Constraint, name: &(String, String)) -> Judged<()> {
        let Some(range) = constraint.pktable.as_mut() else {
            return not_understood("a foreign key to nothing");
        };
        let own =
            range.relname == name.1 && (range.schemaname.is_empty() || range.schemaname == name.0);
        if own {
            if name.0 != crate::own::TEMPORARY {
                range.schemaname.clone_from(&name.0);
            }
            return Ok(());
        }
        self.plain(Some(range)).map(|_| ())
    }

    pub(super) fn create_table_as(&mut self, create: &mut pb::CreateTableAsStmt) -> Judged<()> {
        let table = create.objtype() == pb::ObjectType::ObjectTable;
        let Some(into) = create.into.as_deref_mut().filter(|_| table && !create.is_select_into)
        else {
            return not_understood("a materialized view, or SELECT INTO");
        };
        if !into.table_space_name.is_empty() || !into.access_method.is_empty() {
            return not_understood("this kind of table");
        }
        storage_options(&into.options)?;
        let name = self.new_name(into.rel.as_mut())?;
        let given = ast::names(&into.col_names).unwrap_or_default();
        let given: Vec<String> = given.into_iter().map(str::to_owned).collect();
        let columns = self.query(create.query.as_deref_mut(), given, false)?;
        self.made(name, (columns, None), There::of_table(create.if_not_exists));
        Ok(())
    }

    /// The columns of a query that reads nothing protected; some are named otherwise.
    fn query(
        &mut self,
        query: Option<&mut Node>,
        given: Vec<String>,
        is_view: bool,
    ) -> Judged<Vec<String>> {
        let Some(Some(NodeEnum::SelectStmt(select))) = query.map(|query| query.node.as_mut())
        else {
            return not_understood("a table of what is no SELECT");
        };
        let columns = match is_view {
            true => self.analysis.defines_view_by(select)?,
            false => self.analysis.defines_by(select)?,
        };
        let Some(mut columns) = columns else {
            return not_understood("a table whose columns are not all known");
        };
        for (column, name) in columns.iter_mut().zip(given) {
            *column = name;
        }
        Ok(columns)
    }

    pub(super) fn create_view(&mut self, create: &mut pb::ViewStmt) -> Judged<()> {
        let name = self.new_name(create.view.as_mut())?;
        if let Some(range) = create.view.as_mut()
            && create.replace
        {
            // What it replaces is no protected view.
            match self.resolver.relation(range) {
                Ok(Resolved::Protected(relation, _) | Resolved::View(relation)) => {
                    return protected(relation);
                }
                Ok(Resolved::Plain(_) | Resolved::Catalogue { .. }) => {}
                Err(refusal) if refusal.sqlstate == "42P01" => {}
                Err(refusal) => return Err(refusal),
            }
        }
        storage_options(&create.options)?;
        let given = ast::names(&create.aliases).unwrap_or_default();
        let given: Vec<String> = given.into_iter().map(str::to_owned).collect();
        let columns = self.query(create.query.as_deref_mut(), given, true)?;
        let there = if create.replace { There::Goes } else { There::Fails };
        self.made(name, (columns, None), there);
        Ok(())
    }

    pub(super) fn create_index(&mut self, create: &mut pb::IndexStmt) -> Judged<()> {
        if !create.table_space.is_empty() || !create.exclude_op_names.is_empty() {
            return not_understood("this kind of index");
        }
        let relation = self.changed(create.relation.as_mut())?;
        let columns: Vec<String> = relation.columns.iter().map(|c| c.name.clone()).collect();
        let table = relation.name.clone();
        let elements = create.index_params.iter_mut().chain(&mut create.index_including_params);
        for node in elements {
            let Some(NodeEnum::IndexElem(element)) = node.node.as_mut() else {
                return not_understood("this part of an index");
            };
            if !element.opclassopts.is_empty() {
                return not_understood("this part of an index");
            }
            if let Some(expression) = element.expr.as_deref_mut() {
                self.expression(expression, &table, &columns)?;
            }
        }
        if let Some(condition) = create.where_clause.as_deref_mut() {
            self.expression(condition, &table, &columns)?;
        }
        storage_options(&create.options)
    }
}

/// The names of a table's columns, each once.
#[derive(Default)]
struct Names {
    names: Vec<String>,
    known: HashSet<String>,
}

impl Names {
    fn add(&mut self, name: &str) -> Judged<()> {
        if self.known.insert(name.to_owned()) {
            self.names.push(name.to_owned());
        }
        if self.names.len() > COLUMNS_MAX {
            return too_many("54011", "columns of a table", COLUMNS_MAX);
        }
        Ok(())
    }
}

/// Numbers and words: nothing runs.
pub(super) fn storage_options(options: &[Node]) -> Judged<()> {
    for node in options {
        let Some(NodeEnum::DefElem(option)) = &node.node else {
            return not_understood("this option");
        };
        let argument = option.arg.as_ref().and_then(|argument| argument.node.as_ref());
        let simple = matches!(
            argument,
            None | Some(
                NodeEnum::Integer(_)
                    | NodeEnum::Float(_)
                    | NodeEnum::Boolean(_)
                    | NodeEnum::String(_)
                    | NodeEnum::TypeName(_)
            )
        );
        if !simple || !option.defnamespace.is_empty() && option.defnamespace != "toast" {
            return not_understood("this option");
        }
    }
    Ok(())
}
