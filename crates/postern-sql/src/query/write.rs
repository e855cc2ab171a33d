//! INSERT, UPDATE and DELETE.

use std::mem;

use pg_query::{Node, NodeEnum, protobuf as pb};

use super::{
    Analysis,
    from::{Star, derived, plain_columns},
    leaf::{Shown, shown},
    scope::{Item, Scope},
    select::Place,
};
use crate::{
    InsertRule, LookupValue, TableRule, ast,
    catalogue::Relation,
    refusal::{Judged, not_understood, refuse},
    resolve::Resolved,
    taint::Rows,
};

/// Which foreign-key action a write can set off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Insert,
    Update,
    Delete,
}

impl<'a> Analysis<'a> {
    pub(crate) fn insert(&mut self, insert: &mut pb::InsertStmt) -> Judged<Rows> {
        self.with(insert.with_clause.as_mut(), None)?;
        let changes: &[Change] = match insert.on_conflict_clause {
            None => &[Change::Insert],
            Some(_) => &[Change::Insert, Change::Update],
        };
        let target = self.target_table(insert.relation.as_mut(), changes)?;
        let mut scope = Scope::new(None);
        self.assignments(&mut insert.cols, &scope)?;
        match insert.select_stmt.as_mut().map(|node| node.node.as_mut()) {
            None => {}
            Some(Some(NodeEnum::SelectStmt(select))) => {
                self.select(select, None, Place::Bare)?;
            }
            Some(_) => return not_understood("this kind of INSERT"),
        }
        let mut excluded = target.clone();
        excluded.alias = "excluded".to_owned();
        excluded.schema = None;
        scope.items = vec![target.clone(), excluded];
        if let Some(conflict) = insert.on_conflict_clause.as_deref_mut() {
            if let Some(infer) = conflict.infer.as_deref_mut() {
                for node in &mut infer.index_elems {
                    let Some(NodeEnum::IndexElem(element)) = node.node.as_mut() else {
                        return not_understood("this kind of conflict target");
                    };
                    self.all(element.expr.as_deref_mut(), &scope)?;
                }
                self.all(infer.where_clause.as_deref_mut(), &scope)?;
            }
            self.assignments(&mut conflict.target_list, &scope)?;
            self.all(conflict.where_clause.as_deref_mut(), &scope)?;
        }
        scope.items.truncate(1);
        self.returning(insert.returning_clause.as_mut(), &scope)
    }

    pub(crate) fn update(&mut self, update: &mut pb::UpdateStmt) -> Judged<Rows> {
        self.with(update.with_clause.as_mut(), None)?;
        let target = self.target_table(update.relation.as_mut(), &[Change::Update])?;
        let mut scope = Scope::new(None);
        scope.items.push(target);
        self.read_from_clause(&mut update.from_clause, &mut scope, Place::Bare)?;
        self.assignments(&mut update.target_list, &scope)?;
        self.all(update.where_clause.as_deref_mut(), &scope)?;
        self.returning(update.returning_clause.as_mut(), &scope)
    }

    pub(crate) fn delete(&mut self, delete: &mut pb::DeleteStmt) -> Judged<Rows> {
        self.with(delete.with_clause.as_mut(), None)?;
        let target = self.target_table(delete.relation.as_mut(), &[Change::Delete])?;
        let mut scope = Scope::new(None);
        scope.items.push(target);
        self.read_from_clause(&mut delete.using_clause, &mut scope, Place::Bare)?;
        self.all(delete.where_clause.as_deref_mut(), &scope)?;
        self.returning(delete.returning_clause.as_mut(), &scope)
    }

    pub(super) fn assignments(&mut self, targets: &mut [Node], scope: &Scope<'_>) -> Judged<()> {
        for node in targets {
            let Some(NodeEnum::ResTarget(target)) = node.node.as_mut() else {
                return not_understood("this kind of assignment");
            };
            if !target.indirection.is_empty() {
                return not_understood("an assignment to a part of a column");
            }
            match target.val.as_deref_mut() {
                None => {}
                Some(Node { node: Some(NodeEnum::MultiAssignRef(assign)) }) => {
                    self.all(assign.source.as_deref_mut(), scope)?;
                }
                Some(value) => {
                    self.expression(value, scope)?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn returning(
        &mut self,
        returning: Option<&mut pb::ReturningClause>,
        scope: &Scope<'_>,
    ) -> Judged<Rows> {
        let Some(returning) = returning else { return Ok(Rows::default()) };
        let star = Star::of_all(&scope.items);
        let mut targets = mem::take(&mut returning.exprs);
        let outputs = self.targets(&mut targets, &star, scope, Place::Top)?;
        returning.exprs = targets;
        Ok(Rows {
            columns: outputs.columns.into_iter().map(|output| output.column).collect(),
            open: outputs.open,
            ..Rows::default()
        })
    }

    /// The target, if it is an unprotected table whose writes run nothing unknown.
    pub(super) fn target_table(
        &mut self,
        range: Option<&mut pb::RangeVar>,
        changes: &[Change],
    ) -> Judged<Item> {
        self.writes = true;
        let Some(range) = range else { return not_understood("a write without a table") };
        let shadowed = self.commons.iter().any(|common| common.name == range.relname);
        if shadowed && range.schemaname.is_empty() {
            return not_understood("a target with the name of a common table");
        }
        let relation = match self.resolver.relation(range)? {
            Resolved::Plain(relation) => relation,
            Resolved::Protected(relation, _) => return protected_write(relation),
            Resolved::View(relation) => return protected_write(relation),
            Resolved::Catalogue { .. } => return not_understood("a write to a system catalogue"),
        };
        changes.iter().try_for_each(|change| self.writable(relation, *change))?;
        let alias = range.alias.as_ref().map_or(&range.relname, |alias| &alias.aliasname).clone();
        let schema = range.alias.is_none().then(|| relation.schema.clone());
        range.schemaname.clone_from(&relation.schema);
        range.catalogname.clear();
        let rows = Rows {
            columns: plain_columns(relation.columns.iter().map(|column| &column.name)),
            ..Rows::default()
        };
        Ok(Item { schema, system: true, ..derived(alias, rows) })
    }

    fn writable(&self, relation: &Relation, change: Change) -> Judged<()> {
        let resolver = &self.resolver;
        let unsafe_write = |why: &str| {
            refuse(
                "write",
                format!(
                    "`{}.{}` can't be written by this role: {why}",
                    relation.schema, relation.name
                ),
                "ask the administrator to list the function, or write another table",
            )
        };
        if !matches!(relation.kind, 'r' | 'p') {
            return unsafe_write("it is no table");
        }
        if relation.rules {
            return unsafe_write("it has rules");
        }
        let unknown = |name: &&String| {
            !name.split_once('.').is_some_and(|(schema, name)| resolver.vouches_for(schema, name))
        };
        if resolver.catalogue.triggers(relation.oid).iter().any(|name| unknown(&name)) {
            return unsafe_write("it has a trigger whose function is not listed");
        }
        let cascades = resolver.catalogue.foreign_keys().iter().any(|key| {
            let action = match change {
                Change::Insert => 'a',
                Change::Update => key.on_update,
                Change::Delete => key.on_delete,
            };
            key.to == relation.oid
                && !matches!(action, 'a' | 'r')
                && resolver.is_protected(key.from)
        });
        if cascades {
            return unsafe_write("the write would cascade to a protected table");
        }
        // Whether a foreign key is satisfied says whether the protected table has the value.
        let refers = resolver
            .catalogue
            .foreign_keys()
            .iter()
            .any(|key| key.from == relation.oid && resolver.is_protected(key.to));
        if refers && change != Change::Delete && !resolver.is_protected(relation.oid) {
            return unsafe_write("it refers to a protected table");
        }
        Ok(())
    }
}

fn protected_write<T>(relation: &Relation) -> Judged<T> {
    refuse(
        "protected_write",
        format!(
            "`{}.{}` is protected and can't be written this way",
            relation.schema, relation.name
        ),
        "use the workflow that the administrator set up for this table",
    )
}

/// An INSERT into a protected table that policy allows.
#[derive(Debug)]
pub(crate) struct ProtectedInsert<'a> {
    pub(crate) relation: &'a Relation,
    pub(crate) rule: &'a TableRule,
    /// Values stored into unique protected columns: storing one searches for it.
    pub(crate) searches: Vec<(i16, LookupValue)>,
    pub(crate) rows: Rows,
}

/// `INSERT INTO t (columns) VALUES (…)` into a protected table; `None` if the target is another.
pub(crate) fn insert_protected<'a>(
    analysis: &mut Analysis<'a>,
    insert: &mut pb::InsertStmt,
) -> Judged<Option<ProtectedInsert<'a>>> {
    let overridden = insert.r#override() != pb::OverridingKind::OverridingNotSet;
    let Some(range) = insert.relation.as_mut() else { return Ok(None) };
    let Resolved::Protected(relation, rule) = analysis.resolver.relation(range)? else {
        return Ok(None);
    };
    let plain = insert.with_clause.is_none()
        && insert.on_conflict_clause.is_none()
        && !overridden
        && range.alias.is_none()
        && !insert.cols.is_empty();
    if rule.insert == InsertRule::Refuse || !plain {
        return protected_write(relation);
    }
    analysis.writable(relation, Change::Insert)?;
    range.schemaname.clone_from(&relation.schema);
    range.catalogname.clear();
    let columns = insert_columns(&insert.cols, relation)?;
    let Some(NodeEnum::SelectStmt(select)) =
        insert.select_stmt.as_mut().and_then(|node| node.node.as_mut())
    else {
        return protected_write(relation);
    };
    let bare = select.with_clause.is_none()
        && select.sort_clause.is_empty()
        && select.limit_count.is_none()
        && select.limit_offset.is_none()
        && select.locking_clause.is_empty();
    if select.values_lists.is_empty() || !bare {
        return protected_write(relation);
    }
    let mut searches = Vec::new();
    for list in &mut select.values_lists {
        let Some(NodeEnum::List(list)) = list.node.as_mut() else {
            return not_understood("this kind of VALUES");
        };
        for (index, value) in list.items.iter_mut().enumerate() {
            let searched = stored_value(value);
            analysis.expression(value, &Scope::new(None))?;
            let Some(column) = columns.get(index) else {
                return not_understood("more values than columns");
            };
            let protected = matches!(shown(rule, column), Shown::Keyed(..) | Shown::Masked(_));
            match searched {
                Stored::Value(found) if protected && column.unique => {
                    searches.push((column.number, found));
                }
                Stored::Value(_) | Stored::Nothing => {}
                Stored::Computed => return protected_write(relation),
            }
        }
    }
    if searches.len() > 1 {
        return refuse(
            "lookup",
            "only one row at a time can be inserted here",
            "send one statement for each row",
        );
    }
    let rows = returned(insert, relation, rule)?;
    Ok(Some(ProtectedInsert { relation, rule, searches, rows }))
}

fn insert_columns<'r>(
    cols: &[Node],
    relation: &'r Relation,
) -> Judged<Vec<&'r crate::catalogue::Column>> {
    let mut columns = Vec::new();
    for node in cols {
        let Some(NodeEnum::ResTarget(target)) = &node.node else {
            return not_understood("this kind of column list");
        };
        let found = relation.columns.iter().find(|column| column.name == target.name);
        match found {
            Some(column) if target.indirection.is_empty() => columns.push(column),
            _ => return not_understood("this column list"),
        }
    }
    Ok(columns)
}

enum Stored {
    Value(LookupValue),
    /// A default, NULL, or the time.
    Nothing,
    Computed,
}

fn stored_value(node: &Node) -> Stored {
    match &node.node {
        Some(NodeEnum::AConst(constant)) => match &constant.val {
            None => Stored::Nothing,
            Some(pb::a_const::Val::Sval(pb::String { sval })) => {
                Stored::Value(LookupValue::Constant(sval.clone()))
            }
            Some(pb::a_const::Val::Ival(pb::Integer { ival })) => {
                Stored::Value(LookupValue::Constant(ival.to_string()))
            }
            Some(pb::a_const::Val::Fval(pb::Float { fval })) => {
                Stored::Value(LookupValue::Constant(fval.clone()))
            }
            Some(pb::a_const::Val::Boolval(_) | pb::a_const::Val::Bsval(_)) => Stored::Nothing,
        },
        Some(NodeEnum::ParamRef(parameter)) => {
            let number = usize::try_from(parameter.number).unwrap_or_default();
            Stored::Value(LookupValue::Parameter(number))
        }
        Some(NodeEnum::TypeCast(cast)) => {
            cast.arg.as_deref().map_or(Stored::Computed, stored_value)
        }
        Some(NodeEnum::SetToDefault(_) | NodeEnum::SqlvalueFunction(_)) => Stored::Nothing,
        Some(NodeEnum::FuncCall(call)) if call.args.is_empty() => {
            match ast::names(&call.funcname).as_deref() {
                Some(["now"] | ["pg_catalog", "now"]) => Stored::Nothing,
                _ => Stored::Computed,
            }
        }
        _ => Stored::Computed,
    }
}

/// RETURNING of columns that are not protected, each by its plain name.
fn returned(insert: &pb::InsertStmt, relation: &Relation, rule: &TableRule) -> Judged<Rows> {
    let mut rows = Rows::default();
    let Some(returning) = &insert.returning_clause else { return Ok(rows) };
    for node in &returning.exprs {
        let name = match &node.node {
            Some(NodeEnum::ResTarget(target)) if target.indirection.is_empty() => {
                match target.val.as_deref().map(|value| &value.node) {
                    Some(Some(NodeEnum::ColumnRef(reference))) => ast::names(&reference.fields),
                    _ => None,
                }
            }
            _ => None,
        };
        let column = match name.as_deref() {
            Some([name]) => relation.columns.iter().find(|column| column.name == *name),
            Some([table, name]) if *table == relation.name => {
                relation.columns.iter().find(|column| column.name == *name)
            }
            _ => None,
        };
        match column {
            Some(column) if shown(rule, column) == Shown::Free => {
                rows.columns.extend(plain_columns([&column.name].into_iter()));
            }
            _ => {
                return refuse(
                    "returning",
                    "RETURNING of a protected column is not allowed for this role",
                    "return columns that are not protected, by name",
                );
            }
        }
    }
    Ok(rows)
}
