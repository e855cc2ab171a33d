//! Definitions: tables, indexes, sequences and the like that hold nothing protected.
//!
//! Accounted roles may make, change and drop things, and only what is not protected and reads
//! nothing that is; restricted ones temporary tables by themselves, which nobody else meets. What a
//! table is made of is an expression or a query like any other, and judged as one. The statement is
//! printed, read again and judged once more: what the server gets is the text whose tree was judged
//! last.

use pg_query::{Node, NodeEnum, protobuf as pb};

use crate::{
    Effect, Mode, OwnChange, Plain, Verdict, ast,
    catalogue::Relation,
    own::{Becomes, Found, Like, Named, TEMPORARY},
    print::{internal, printed, read_again},
    query::Analysis,
    refusal::{Judged, not_understood, refuse, unknown_kind},
    resolve::{Resolved, Resolver},
};

mod change;
mod table;

/// What a table or view is made of at most, as PostgreSQL has it (`MaxHeapAttributeNumber`,
/// src/include/access/htup_details.h).
const COLUMNS_MAX: usize = 1_600;

/// What becomes of what has the name of what is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum There {
    /// It stays, and nothing is made.
    Stays,
    /// It goes.
    Goes,
    /// The statement fails.
    Fails,
}

impl There {
    fn of_table(if_not_exists: bool) -> Self {
        if if_not_exists { Self::Stays } else { Self::Fails }
    }
}

/// What is judged of one definition.
struct Definition<'a> {
    resolver: Resolver<'a>,
    analysis: Analysis<'a>,
    changes: Vec<OwnChange>,
}

/// `None` if the statement is no definition, or of a role that may make none.
pub(crate) fn judge(node: &NodeEnum, resolver: Resolver<'_>) -> Option<Judged<Verdict>> {
    let into = made_of_rows(node);
    let node = into.as_ref().unwrap_or(node);
    let known = matches!(
        node,
        NodeEnum::CreateStmt(_)
            | NodeEnum::CreateTableAsStmt(_)
            | NodeEnum::CreateSeqStmt(_)
            | NodeEnum::CreateSchemaStmt(_)
            | NodeEnum::CreateEnumStmt(_)
            | NodeEnum::IndexStmt(_)
            | NodeEnum::ViewStmt(_)
            | NodeEnum::DropStmt(_)
            | NodeEnum::AlterTableStmt(_)
            | NodeEnum::AlterSeqStmt(_)
            | NodeEnum::RenameStmt(_)
            | NodeEnum::TruncateStmt(_)
            | NodeEnum::CommentStmt(_)
            | NodeEnum::VacuumStmt(_)
    );
    if resolver.rules.mode == Mode::Accounted {
        return known.then(|| judged(node.clone(), resolver));
    }
    // The kind of what is dropped or emptied is told by what it is.
    let temporary = match node {
        NodeEnum::CreateStmt(n) => is_temporary(n.relation.as_ref()),
        NodeEnum::CreateTableAsStmt(n) => {
            is_temporary(n.into.as_ref().and_then(|into| into.rel.as_ref()))
        }
        NodeEnum::IndexStmt(_) | NodeEnum::TruncateStmt(_) | NodeEnum::VacuumStmt(_) => true,
        NodeEnum::DropStmt(n) => n.remove_type() == pb::ObjectType::ObjectTable,
        _ => false,
    };
    temporary.then(|| judged(node.clone(), resolver))
}

/// `SELECT … INTO t` as `CREATE TABLE t AS SELECT …`, which it stands for, to the tag.
fn made_of_rows(node: &NodeEnum) -> Option<NodeEnum> {
    let NodeEnum::SelectStmt(select) = node else { return None };
    let mut query = select.clone();
    let into = query.into_clause.take()?;
    Some(NodeEnum::CreateTableAsStmt(Box::new(pb::CreateTableAsStmt {
        query: Some(Box::new(ast::node(NodeEnum::SelectStmt(query)))),
        into: Some(into),
        objtype: pb::ObjectType::ObjectTable as i32,
        ..pb::CreateTableAsStmt::default()
    })))
}

/// Whether a name is said to be of something of the session's own.
fn is_temporary(range: Option<&pb::RangeVar>) -> bool {
    range.is_some_and(|range| range.relpersistence == "t" || range.schemaname == TEMPORARY)
}

fn judged(mut node: NodeEnum, resolver: Resolver<'_>) -> Judged<Verdict> {
    let changes = defined(&mut node, resolver)?;
    let sql = printed(&mut node)?;
    if sql.contains(resolver.context.prefix) {
        return refuse("reserved_name", "the name is reserved", "use another name");
    }
    let mut again = read_again(&sql)?;
    if defined(&mut again, resolver)? != changes || printed(&mut again)? != sql {
        return internal("the written statement is not the same statement");
    }
    Ok(Verdict::Plain(Plain { changes, ..Plain::new(sql, Effect::Define, 0) }))
}

fn defined(node: &mut NodeEnum, resolver: Resolver<'_>) -> Judged<Vec<OwnChange>> {
    let analysis = Analysis::scout(resolver);
    let mut own = Definition { resolver, analysis, changes: Vec::new() };
    match node {
        NodeEnum::CreateStmt(n) => own.create_table(n)?,
        NodeEnum::CreateTableAsStmt(n) => own.create_table_as(n)?,
        NodeEnum::ViewStmt(n) => own.create_view(n)?,
        NodeEnum::IndexStmt(n) => own.create_index(n)?,
        NodeEnum::CreateSeqStmt(n) => {
            let range = n.sequence.as_mut();
            own.new_name(range)?;
            own.sequence_options(&mut n.options)?;
        }
        NodeEnum::AlterSeqStmt(n) => {
            own.sequence(n.sequence.as_mut())?;
            own.sequence_options(&mut n.options)?;
        }
        NodeEnum::CreateSchemaStmt(n) => {
            if n.authrole.is_some() || !n.schema_elts.is_empty() {
                return not_understood("a schema with an owner or with tables");
            }
            own.may_be_called(&n.schemaname, "")?;
        }
        NodeEnum::CreateEnumStmt(n) => own.new_type(&mut n.type_name)?,
        NodeEnum::DropStmt(n) => own.drop(n)?,
        NodeEnum::AlterTableStmt(n) => own.alter_table(n)?,
        NodeEnum::RenameStmt(n) => own.rename(n)?,
        NodeEnum::TruncateStmt(n) => own.truncate(n)?,
        NodeEnum::CommentStmt(n) => own.comment(n)?,
        NodeEnum::VacuumStmt(n) => own.analyze(n)?,
        _ => return Err(unknown_kind(node)),
    }
    if own.analysis.parameters > 0 {
        return not_understood("a parameter in a definition");
    }
    Ok(own.changes)
}

impl<'a> Definition<'a> {
    /// A relation that is there and holds nothing protected, by its name, which is qualified.
    fn plain(&self, range: Option<&mut pb::RangeVar>) -> Judged<&'a Relation> {
        let Some(range) = range else { return not_understood("a definition of nothing") };
        match self.resolver.relation(range)? {
            Resolved::Plain(relation) => {
                range.schemaname.clone_from(&relation.schema);
                range.catalogname.clear();
                Ok(relation)
            }
            Resolved::Protected(relation, _) | Resolved::View(relation) => protected(relation),
            Resolved::Catalogue { .. } => {
                refuse("definition", "system catalogues can't be changed", "leave it out")
            }
        }
    }

    /// The same, of one that is to be changed or built upon: a restricted role has its own
    /// temporary ones for that.
    fn changed(&self, range: Option<&mut pb::RangeVar>) -> Judged<&'a Relation> {
        let relation = self.plain(range)?;
        self.may_be_changed(relation)?;
        Ok(relation)
    }

    fn may_be_changed(&self, relation: &Relation) -> Judged<()> {
        if self.is_restricted() && relation.schema != TEMPORARY {
            return not_its_own(&relation.schema, &relation.name);
        }
        Ok(())
    }

    fn is_restricted(&self) -> bool {
        self.resolver.rules.mode == Mode::Restricted
    }

    /// A sequence that is there; numbers of any may be taken, and so they may be set.
    fn sequence(&self, range: Option<&mut pb::RangeVar>) -> Judged<()> {
        let Some(range) = range else { return not_understood("a definition of nothing") };
        let Some(relation) = self.stored(range) else { return Ok(()) };
        if relation.kind != 'S' {
            return refuse(
                "definition",
                format!("`{}` is no sequence", relation.name),
                "name the sequence",
            );
        }
        range.schemaname.clone_from(&relation.schema);
        Ok(())
    }

    /// What the snapshot has under a name, whatever it is.
    fn stored(&self, range: &pb::RangeVar) -> Option<&'a Relation> {
        let schemas = if range.schemaname.is_empty() {
            self.resolver.search_path()
        } else {
            vec![range.schemaname.as_str()]
        };
        let catalogue = self.resolver.catalogue;
        schemas.into_iter().find_map(|schema| catalogue.relation_named(schema, &range.relname))
    }

    /// Qualifies the name of what is made: its schema and name.
    fn new_name(&self, range: Option<&mut pb::RangeVar>) -> Judged<(String, String)> {
        let Some(range) = range else { return not_understood("a definition of nothing") };
        if !range.catalogname.is_empty() {
            return refuse("database", "another database can't be named", "leave the name out");
        }
        let temporary = range.relpersistence == "t" || range.schemaname == TEMPORARY;
        if range.schemaname.is_empty() && !temporary {
            let Some(first) = self.resolver.context.search_path.first() else {
                return not_understood("a name without a schema");
            };
            range.schemaname.clone_from(first);
        }
        let schema = if temporary { TEMPORARY.to_owned() } else { range.schemaname.clone() };
        self.may_be_called(&schema, &range.relname)?;
        Ok((schema, range.relname.clone()))
    }

    /// What is made must not look like what is protected, nor be the server's.
    fn may_be_called(&self, schema: &str, name: &str) -> Judged<()> {
        let system = schema != TEMPORARY && schema.starts_with("pg_")
            || schema == "information_schema"
            || name.starts_with("pg_");
        let rules = self.resolver.rules;
        // What decides who may see whom is found by its name.
        let read = self.is_restricted() && rules.reason_names.iter().any(|read| read == name);
        if system || read || rules.tables.iter().any(|rule| rule.table == name) {
            return refuse(
                "definition",
                format!("nothing can be made under the name `{schema}.{name}`"),
                "use a name that is neither a protected table's nor the server's",
            );
        }
        // Policies of row-level security and the like run what nobody lists.
        let looked_for = self.is_restricted() || self.resolver.vouches();
        if looked_for && self.resolver.catalogue.is_named_elsewhere(schema, name) {
            return refuse(
                "definition",
                format!("nothing can be made under the name `{schema}.{name}`"),
                "use a name that no table or type of another schema has: functions of the \
                 database's own may look for that one by this name",
            );
        }
        Ok(())
    }

    fn new_type(&self, names: &mut Vec<Node>) -> Judged<()> {
        let (schema, name) = match ast::names(names).as_deref() {
            Some([name]) => {
                let Some(first) = self.resolver.context.search_path.first() else {
                    return not_understood("a name without a schema");
                };
                (first.clone(), (*name).to_owned())
            }
            Some([schema, name]) => ((*schema).to_owned(), (*name).to_owned()),
            _ => return not_understood("this name of a type"),
        };
        self.may_be_called(&schema, &name)?;
        *names = vec![ast::string(&schema), ast::string(&name)];
        Ok(())
    }

    /// Numbers, and what owns the sequence.
    fn sequence_options(&self, options: &mut [Node]) -> Judged<()> {
        for node in options {
            let Some(NodeEnum::DefElem(option)) = node.node.as_mut() else {
                return not_understood("this option of a sequence");
            };
            match option.defname.as_str() {
                "increment" | "minvalue" | "maxvalue" | "start" | "restart" | "cache" | "cycle" => {
                }
                "as" => {
                    let simple = matches!(
                        option.arg.as_ref().and_then(|arg| arg.node.as_ref()),
                        Some(NodeEnum::TypeName(_))
                    );
                    if !simple {
                        return not_understood("this type of a sequence");
                    }
                }
                _ => return not_understood("this option of a sequence"),
            }
        }
        Ok(())
    }

    /// An expression over columns of the table, which reads nothing else that is protected.
    fn expression(&mut self, node: &mut Node, table: &str, columns: &[String]) -> Judged<()> {
        self.analysis.defines(node, table, columns)
    }

    fn made(
        &mut self,
        (schema, name): (String, String),
        (columns, like): (Vec<String>, Like),
        there: There,
    ) {
        let known = self.resolver.catalogue.relation_named(&schema, &name);
        let over = known.map(|relation| relation.oid);
        let makes = match self.resolver.own(&schema, &name, known) {
            Some(Found::Dropped) => true,
            // One of its own can have gone with a transaction.
            Some(Found::Made(_)) => there != There::Stays,
            None => over.is_none() || there == There::Goes,
        };
        if makes {
            self.becomes(schema, name, Becomes::Made { columns, over, like });
        }
    }

    fn becomes(&mut self, schema: String, name: String, becomes: Becomes) {
        self.changes.push(OwnChange::Named(Named { schema, name, becomes }));
    }

    /// A relation has these columns from now on.
    fn has(&mut self, relation: &Relation, name: &str, columns: Vec<String>) {
        let known = self.resolver.catalogue.relation_named(&relation.schema, name);
        let over = known.map(|relation| relation.oid);
        let like = (relation.oid != 0).then_some((relation.oid, relation.kind));
        let becomes = Becomes::Made { columns, over, like };
        self.becomes(relation.schema.clone(), name.to_owned(), becomes);
    }

    fn gone(&mut self, relation: &Relation) {
        let known = self.resolver.catalogue.relation_named(&relation.schema, &relation.name);
        let was = known.map(|relation| relation.oid);
        self.becomes(relation.schema.clone(), relation.name.clone(), Becomes::Dropped(was));
    }
}

fn not_its_own<T>(schema: &str, name: &str) -> Judged<T> {
    refuse(
        "definition",
        format!("`{schema}.{name}` can't be changed or built upon by this role"),
        "make a temporary table, which is your session's own",
    )
}

fn protected<T>(relation: &Relation) -> Judged<T> {
    refuse(
        "definition",
        format!(
            "`{}.{}` is protected, or shows what is, and can't be changed or built upon through \
             the gateway",
            relation.schema, relation.name
        ),
        "changes of protected tables go past the gateway, by the database's owner",
    )
}
