//! What is changed and dropped.

use pg_query::{NodeEnum, protobuf as pb};

use super::{COLUMNS_MAX, Definition, not_its_own, protected, table::storage_options};
use crate::{
    ast,
    catalogue::Relation,
    own::TEMPORARY,
    refusal::{Judged, not_understood, refuse, too_many},
    resolve::Resolved,
};

impl Definition<'_> {
    pub(super) fn alter_table(&mut self, alter: &mut pb::AlterTableStmt) -> Judged<()> {
        if alter.objtype() != pb::ObjectType::ObjectTable {
            return not_understood("this kind of ALTER");
        }
        let relation = self.plain(alter.relation.as_mut())?;
        self.is_its_own(relation)?;
        let name = (relation.schema.clone(), relation.name.clone());
        let before: Vec<String> = relation.columns.iter().map(|c| c.name.clone()).collect();
        let mut columns = before.clone();
        for node in &mut alter.cmds {
            let Some(NodeEnum::AlterTableCmd(command)) = node.node.as_mut() else {
                return not_understood("this kind of ALTER");
            };
            self.analysis.charge_definition(columns.len())?;
            self.alter(command, &name, &mut columns)?;
        }
        if columns.len() > COLUMNS_MAX {
            return too_many("54011", "columns of a table", COLUMNS_MAX);
        }
        if columns != before {
            self.has(relation, &name.1, columns);
        }
        Ok(())
    }

    fn alter(
        &mut self,
        command: &mut pb::AlterTableCmd,
        name: &(String, String),
        columns: &mut Vec<String>,
    ) -> Judged<()> {
        use pb::AlterTableType as Kind;
        let kind = command.subtype();
        let def = command.def.as_deref_mut().and_then(|def| def.node.as_mut());
        match (kind, def) {
            (Kind::AtAddColumn, Some(NodeEnum::ColumnDef(column))) => {
                let added = column.colname.clone();
                if !columns.contains(&added) {
                    columns.push(added);
                }
                self.column(column, name, columns)
            }
            (Kind::AtAlterColumnType, Some(NodeEnum::ColumnDef(column))) => {
                self.column(column, name, columns)
            }
            (Kind::AtDropColumn, None) => {
                columns.retain(|column| *column != command.name);
                Ok(())
            }
            (Kind::AtColumnDefault, Some(_)) => match command.def.as_deref_mut() {
                Some(default) => self.expression(default, &name.1, columns),
                None => Ok(()),
            },
            (Kind::AtAddConstraint, Some(NodeEnum::Constraint(constraint))) => {
                self.constraint(constraint, name, columns)
            }
            (
                Kind::AtColumnDefault
                | Kind::AtDropNotNull
                | Kind::AtSetNotNull
                | Kind::AtDropExpression
                | Kind::AtValidateConstraint
                | Kind::AtDropConstraint
                | Kind::AtDropIdentity
                | Kind::AtSetLogged
                | Kind::AtSetUnLogged,
                None,
            ) => Ok(()),
            (Kind::AtSetRelOptions | Kind::AtResetRelOptions, Some(NodeEnum::List(options))) => {
                storage_options(&options.items)
            }
            _ => not_understood("this kind of ALTER TABLE"),
        }
    }

    pub(super) fn drop(&mut self, drop: &mut pb::DropStmt) -> Judged<()> {
        use pb::ObjectType as Kind;
        let kind = drop.remove_type();
        let cascades = drop.behavior() == CASCADE;
        for node in &mut drop.objects {
            let names = match (&node.node, kind) {
                (Some(NodeEnum::List(list)), _) => ast::names(&list.items),
                (Some(NodeEnum::String(name)), Kind::ObjectSchema) => Some(vec![&*name.sval]),
                (Some(NodeEnum::TypeName(name)), Kind::ObjectType) => ast::names(&name.names),
                _ => None,
            };
            let Some(names) = names else { return not_understood("this kind of name") };
            let (schema, name) = match names.as_slice() {
                [name] => (String::new(), (*name).to_owned()),
                [schema, name] => ((*schema).to_owned(), (*name).to_owned()),
                _ => return not_understood("this kind of name"),
            };
            match kind {
                Kind::ObjectTable | Kind::ObjectView => {
                    let mut range = pb::RangeVar {
                        schemaname: schema,
                        relname: name,
                        inh: true,
                        ..pb::RangeVar::default()
                    };
                    self.drop_relation(&mut range, drop.missing_ok)?;
                    if let Some(NodeEnum::List(list)) = node.node.as_mut() {
                        list.items =
                            vec![ast::string(&range.schemaname), ast::string(&range.relname)];
                    }
                }
                Kind::ObjectSequence => {
                    let mut range = pb::RangeVar {
                        schemaname: schema,
                        relname: name,
                        ..pb::RangeVar::default()
                    };
                    self.sequence(Some(&mut range))?;
                }
                // What an index or a type is for changes with it, and the catalogue with that.
                Kind::ObjectIndex | Kind::ObjectType | Kind::ObjectSchema if !cascades => {}
                _ => return not_understood("this kind of DROP"),
            }
        }
        Ok(())
    }

    fn drop_relation(&mut self, range: &mut pb::RangeVar, missing_ok: bool) -> Judged<()> {
        match self.resolver.relation(range) {
            Ok(Resolved::Plain(relation)) => {
                self.may_be_changed(relation)?;
                self.is_its_own(relation)?;
                range.schemaname.clone_from(&relation.schema);
                self.gone(relation);
                Ok(())
            }
            Ok(Resolved::Protected(relation, _) | Resolved::View(relation)) => protected(relation),
            Ok(Resolved::Catalogue { .. }) => not_understood("a system catalogue"),
            Err(refusal) if refusal.sqlstate == "42P01" && missing_ok => {
                let mut made = range.clone();
                if self.is_restricted() && range.schemaname.is_empty() {
                    // It can have been one of its own only.
                    made.schemaname = TEMPORARY.to_owned();
                }
                let (schema, name) = self.new_name(Some(&mut made))?;
                if self.is_restricted() && schema != TEMPORARY {
                    return not_its_own(&schema, &name);
                }
                range.schemaname = schema;
                Ok(())
            }
            Err(refusal) => Err(refusal),
        }
    }

    /// No protected value refers to it: errors of the server's would tell which ones do.
    fn is_its_own(&self, relation: &Relation) -> Judged<()> {
        if self.analysis.is_referred_to(relation, &|_| true) { protected(relation) } else { Ok(()) }
    }

    pub(super) fn rename(&mut self, rename: &mut pb::RenameStmt) -> Judged<()> {
        use pb::ObjectType as Kind;
        let relation = self.plain(rename.relation.as_mut())?;
        self.is_its_own(relation)?;
        let columns: Vec<String> = relation.columns.iter().map(|c| c.name.clone()).collect();
        match rename.rename_type() {
            Kind::ObjectTable | Kind::ObjectView => {
                self.may_be_called(&relation.schema, &rename.newname)?;
                self.gone(relation);
                self.has(relation, &rename.newname, columns);
                Ok(())
            }
            Kind::ObjectColumn if rename.relation_type() == Kind::ObjectTable => {
                let renamed = columns.into_iter().map(|column| {
                    if column == rename.subname { rename.newname.clone() } else { column }
                });
                self.has(relation, &relation.name.clone(), renamed.collect());
                Ok(())
            }
            Kind::ObjectTabconstraint => Ok(()),
            _ => not_understood("this kind of RENAME"),
        }
    }

    pub(super) fn truncate(&mut self, truncate: &mut pb::TruncateStmt) -> Judged<()> {
        if truncate.behavior() == CASCADE {
            return refuse(
                "definition",
                "TRUNCATE … CASCADE may empty protected tables",
                "name each table",
            );
        }
        for node in &mut truncate.relations {
            let Some(NodeEnum::RangeVar(range)) = node.node.as_mut() else {
                return not_understood("this kind of TRUNCATE");
            };
            self.changed(Some(range))?;
        }
        Ok(())
    }

    /// `ANALYZE t`, of temporary tables: their statistics are of what the session has put there.
    pub(super) fn analyze(&mut self, analyze: &mut pb::VacuumStmt) -> Judged<()> {
        if analyze.is_vacuumcmd || !analyze.options.is_empty() || analyze.rels.is_empty() {
            return not_understood("VACUUM, or ANALYZE of all tables");
        }
        for node in &mut analyze.rels {
            let Some(NodeEnum::VacuumRelation(of)) = node.node.as_mut() else {
                return not_understood("this kind of ANALYZE");
            };
            let relation = self.plain(of.relation.as_mut())?;
            if relation.schema != TEMPORARY {
                return refuse(
                    "definition",
                    format!("`{}.{}` can't be analysed", relation.schema, relation.name),
                    "leave it to the database's owner",
                );
            }
        }
        Ok(())
    }

    /// Words about a table or its columns.
    pub(super) fn comment(&mut self, comment: &mut pb::CommentStmt) -> Judged<()> {
        use pb::ObjectType as Kind;
        let column = match comment.objtype() {
            Kind::ObjectTable | Kind::ObjectView => false,
            Kind::ObjectColumn => true,
            _ => return not_understood("this kind of COMMENT"),
        };
        let object = comment.object.as_deref_mut().and_then(|object| object.node.as_mut());
        let Some(NodeEnum::List(list)) = object else { return not_understood("this kind of name") };
        let names = ast::names(&list.items).unwrap_or_default();
        let (table, rest) = match (names.as_slice(), column) {
            ([table @ .., last], true) => (table, Some((*last).to_owned())),
            (table, _) => (table, None),
        };
        let (schema, name) = match table {
            [name] => ("", *name),
            [schema, name] => (*schema, *name),
            _ => return not_understood("this kind of name"),
        };
        let mut range = pb::RangeVar {
            schemaname: schema.to_owned(),
            relname: name.to_owned(),
            inh: true,
            ..pb::RangeVar::default()
        };
        self.plain(Some(&mut range))?;
        let names = [range.schemaname, range.relname].into_iter().chain(rest);
        list.items = names.map(|name| ast::string(&name)).collect();
        Ok(())
    }
}

const CASCADE: pb::DropBehavior = pb::DropBehavior::DropCascade;
