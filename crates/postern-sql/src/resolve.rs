//! Names to objects, and which relations are protected: the closure over inheritance, views and
//! what their definitions call.

use std::collections::BTreeSet;

use pg_query::protobuf as pb;

use crate::{
    Catalogue, Context, KeyType, Mode, Refusal, Rules, TableRule,
    catalogue::{Column, Policy, Relation, Type},
    extensions,
    functions::{Arity, BuiltIn},
    own::{Found, TEMPORARY},
    query::{Shown, shown},
    refusal::{Judged, refuse},
    relations::{CatalogueColumn, CatalogueRelation, RowsShown},
};

/// The schema of what Postern has an administrator make in the guarded database.
pub const OWN_SCHEMA: &str = "postern";
/// The tables in it, which no judged role names: what they say decides what the gateway reads.
pub const OWN_TABLES: [&str; 2] = ["reason_changes", "reason_marks"];
/// How the names of the functions begin in it that triggers run.
pub const OWN_TRIGGERS: &str = "tell_";

/// What a relation's name stands for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Resolved<'a> {
    /// A protected table, or a partition or child of one.
    Protected(&'a Relation, &'a TableRule),
    /// A relation that holds nothing protected.
    Plain(&'a Relation),
    /// A view that reads a protected table: its definition stands for it.
    View(&'a Relation),
    /// A catalogue relation that may be read, and its columns.
    Catalogue { schema: &'a str, columns: &'a [CatalogueColumn], rows: RowsShown },
}

/// Resolves relations for one statement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Resolver<'a> {
    pub(crate) catalogue: &'a Catalogue,
    pub(crate) rules: &'a Rules,
    pub(crate) context: Context<'a>,
}

impl<'a> Resolver<'a> {
    pub(crate) fn relation(&self, range: &pb::RangeVar) -> Judged<Resolved<'a>> {
        if !range.catalogname.is_empty() && range.catalogname != self.catalogue.database() {
            return refuse("database", "another database can't be named", "leave the name out");
        }
        let schemas: Vec<&str> = if range.schemaname.is_empty() {
            self.search_path()
        } else {
            vec![range.schemaname.as_str()]
        };
        if range.schemaname.is_empty() || range.schemaname == TEMPORARY {
            // Before all others, as the server looks for tables.
            if let Some(Found::Made(own)) = self.own(TEMPORARY, &range.relname, None) {
                return Ok(Resolved::Plain(own));
            }
        }
        for schema in schemas {
            let known = |r: &&CatalogueRelation| r.schema == schema && r.name == range.relname;
            if let Some(found) = self.catalogue.system().iter().find(known) {
                return match &found.columns {
                    Some(columns) => {
                        let (schema, rows) = (found.schema, found.rows);
                        Ok(Resolved::Catalogue { schema, columns, rows })
                    }
                    None => refused_catalogue(range),
                };
            }
            let relation = self.catalogue.relation_named(schema, &range.relname);
            match (self.own(schema, &range.relname, relation), relation) {
                (Some(Found::Dropped), _) | (None, None) => {}
                (Some(Found::Made(own)), None) => return Ok(Resolved::Plain(own)),
                (Some(Found::Made(own)), Some(known)) => {
                    // It may have become another's child since.
                    return match self.judge(known)? {
                        Resolved::Plain(_) => Ok(Resolved::Plain(own)),
                        other => Ok(other),
                    };
                }
                (None, Some(known)) => return self.judge(known),
            }
        }
        self.unknown(range)
    }

    /// The session's own word on a name under which the snapshot has this.
    pub(crate) fn own(
        &self,
        schema: &str,
        name: &str,
        known: Option<&Relation>,
    ) -> Option<Found<'a>> {
        self.context.own.and_then(|own| own.find(schema, name, known))
    }

    /// The schemas of an unqualified name, in order.
    pub(crate) fn search_path(&self) -> Vec<&'a str> {
        let path = self.context.search_path.iter().map(String::as_str);
        let explicit = self.context.search_path.iter().any(|schema| schema == "pg_catalog");
        (!explicit).then_some("pg_catalog").into_iter().chain(path).collect()
    }

    fn unknown<T>(&self, range: &pb::RangeVar) -> Judged<T> {
        let catalogue = matches!(range.schemaname.as_str(), "pg_catalog" | "information_schema")
            || range.relname.starts_with("pg_");
        if catalogue {
            return refused_catalogue(range);
        }
        let schema = &range.schemaname;
        let dot = if schema.is_empty() { "" } else { "." };
        let unknown = Refusal {
            sqlstate: "42P01",
            rule: "unknown_relation",
            message: format!("relation \"{schema}{dot}{}\" does not exist", range.relname),
            hint: String::new(),
            position: None,
        };
        Err(self.context.at(unknown, range.location))
    }

    pub(crate) fn judge(&self, relation: &'a Relation) -> Judged<Resolved<'a>> {
        self.shows_rows_by_no_guess(relation)?;
        if let Some(rule) = self.rule_of(relation.oid) {
            if self.is_told_by_its_name(relation, rule) {
                return refuse(
                    "partition",
                    format!(
                        "`{}.{}` can't be named by this role: which records are in it hangs on a \
                         protected column",
                        relation.schema, relation.name
                    ),
                    "name the table that it is a partition of",
                );
            }
            return match relation.kind {
                'r' | 'p' | 'm' | 'f' => Ok(Resolved::Protected(relation, rule)),
                _ => self.derived(relation, "is protected and holds no records"),
            };
        }
        if relation.schema == OWN_SCHEMA && OWN_TABLES.contains(&relation.name.as_str()) {
            return self.derived(relation, "is Postern's own");
        }
        let listed = self.is_listed(relation);
        let descends = self.closure(relation.oid, |oid| self.catalogue.children(oid));
        if descends.iter().any(|oid| self.rule_of(*oid).is_some()) {
            return self.derived(relation, "has a protected table among its children");
        }
        match relation.kind {
            'r' | 'p' | 'm' if !self.is_unprotected(relation) => {
                self.derived(relation, "is not listed as unprotected")
            }
            'r' | 'p' if relation.persistence == 't' => self.derived(relation, "is temporary"),
            'r' | 'p' if relation.extension && !listed => {
                self.derived(relation, "belongs to an extension")
            }
            'r' | 'p' if self.is_namesake(relation) && !listed => {
                self.derived(relation, "has the name of a protected table")
            }
            'r' | 'p' => Ok(Resolved::Plain(relation)),
            'v' | 'm' => self.view(relation, listed),
            'f' if listed => Ok(Resolved::Plain(relation)),
            'f' => self.derived(relation, "is a foreign table"),
            // Its state tells how many rows there were, which accounted roles may count.
            'S' if self.rules.mode == Mode::Accounted => Ok(Resolved::Plain(relation)),
            _ => self.derived(relation, "is no table or view"),
        }
    }

    /// Whether a table holds the records of certain values of a protected column.
    fn is_told_by_its_name(&self, relation: &Relation, rule: &TableRule) -> bool {
        let above = self.closure(relation.oid, |oid| self.catalogue.parents(oid));
        let mut above = above.iter().filter(|oid| **oid != relation.oid);
        above.any(|oid| {
            let columns = self.catalogue.relation(*oid).into_iter().flat_map(|r| &r.columns);
            columns.filter(|column| column.splits).any(|column| self.tells(rule, column))
        })
    }

    /// Whether what a column decides tells of it what the role is not shown, or not without an
    /// entry.
    fn tells(&self, rule: &TableRule, column: &Column) -> bool {
        match shown(rule, column) {
            Shown::Free => false,
            Shown::Always => self.rules.mode == Mode::Accounted,
            Shown::Keyed(..) | Shown::Masked(_) => true,
        }
    }

    /// Policies of row-level security see clear values, where no mask stands for them. One that
    /// compares them with what a session can choose, as a setting, answers by which rows there are.
    /// What a function of the database's own compares nobody knows who has not listed it.
    fn shows_rows_by_no_guess(&self, relation: &Relation) -> Judged<()> {
        let known = |function: &str| {
            function.split_once('.').is_some_and(|(schema, name)| {
                self.vouches_for(schema, name) || self.is_pure(schema, name)
            })
        };
        let own = |function: &&String| !function.starts_with("pg_catalog.") && !known(function);
        let asks = |policy: &&Policy| policy.asks || policy.calls.iter().any(|f| !known(f));
        let mut seen = BTreeSet::from([relation.oid]);
        let mut queue = vec![relation];
        while let Some(table) = queue.pop() {
            let mut calls = table.policies.iter().flat_map(|policy| &policy.calls);
            if let Some(function) = calls.find(own) {
                return decided_by(relation, &format!("function `{function}`"));
            }
            for read in table.policies.iter().filter(asks).flat_map(|policy| &policy.reads) {
                let read = self.read_by_policy(relation, read)?;
                // What that one's policies decide decides here, too.
                queue.extend(read.filter(|read| seen.insert(read.oid)));
            }
        }
        Ok(())
    }

    /// The table of a column, `oid.name`, which a policy compares with what a session can choose:
    /// it must not be protected, nor stand for what is.
    fn read_by_policy(&self, relation: &Relation, read: &str) -> Judged<Option<&'a Relation>> {
        let Some((oid, name)) = read.split_once('.') else { return Ok(None) };
        let table = oid.parse().ok().and_then(|oid| self.catalogue.relation(oid));
        let Some(table) = table else { return Ok(None) };
        let reached = self.closure(table.oid, |oid| self.catalogue.reads(oid));
        let behind = reached.iter().any(|oid| *oid != table.oid && self.rule_of(*oid).is_some());
        let column = table.columns.iter().find(|column| column.name == name);
        let own = self.rule_of(table.oid).zip(column);
        if behind || own.is_some_and(|(rule, column)| self.tells(rule, column)) {
            let column = format!("column `{name}` of `{}.{}`", table.schema, table.name);
            return decided_by(relation, &column).map(|()| None);
        }
        Ok(Some(table))
    }

    /// A view is plain if nothing it can reach is protected or unknown. If something is protected,
    /// its definition is judged as if the client had written it, with all else that it reads.
    fn view(&self, view: &'a Relation, listed: bool) -> Judged<Resolved<'a>> {
        let reach = self.closure(view.oid, |oid| self.catalogue.reads(oid));
        for oid in reach.iter().copied() {
            let Some(relation) = self.catalogue.relation(oid) else {
                if listed {
                    continue;
                }
                return self.derived(view, "reads a system catalogue");
            };
            let family = self.closure(oid, |oid| self.catalogue.children(oid));
            if family.iter().chain([&oid]).any(|oid| self.rule_of(*oid).is_some()) {
                return match view.kind {
                    'v' if view.definition.is_some() => Ok(Resolved::View(view)),
                    'v' => self.derived(view, "is being changed, try again"),
                    _ => self.derived(view, "holds copies of a protected table's records"),
                };
            }
            let unsafe_kind = !matches!(relation.kind, 'r' | 'p' | 'v' | 'm');
            if (unsafe_kind || relation.extension) && !listed {
                return self.derived(view, "reads something that is no plain table");
            }
        }
        for oid in reach.iter().copied().chain([view.oid]) {
            let vouched = |schema: &str, name: &str| self.vouches_for(schema, name);
            if self.catalogue.calls(oid).any(|f| !vouched(&f.schema, &f.name)) && !listed {
                return self.derived(view, "calls a user-defined function");
            }
        }
        if view.extension && !listed {
            return self.derived(view, "belongs to an extension");
        }
        Ok(Resolved::Plain(view))
    }

    pub(crate) fn derived<T>(&self, relation: &Relation, why: &str) -> Judged<T> {
        refuse(
            "relation",
            format!(
                "relation `{}.{}` can't be used by this role: it {why}",
                relation.schema, relation.name
            ),
            "use the protected table itself, or ask the administrator to list the relation",
        )
    }

    /// The rule of a protected table, its partitions and its children.
    pub(crate) fn rule_of(&self, oid: u32) -> Option<&'a TableRule> {
        let ancestors = self.closure(oid, |oid| self.catalogue.parents(oid));
        [oid].into_iter().chain(ancestors).find_map(|oid| {
            let relation = self.catalogue.relation(oid)?;
            let (schema, table) = match &relation.protected_by {
                Some((schema, table)) => (schema, table),
                None => (&relation.schema, &relation.name),
            };
            let same = |rule: &&TableRule| rule.schema == *schema && rule.table == *table;
            self.rules.tables.iter().find(same)
        })
    }

    /// The type of a name, as the search path has it.
    pub(crate) fn named_type(&self, names: &[&str]) -> Option<&'a Type> {
        match names {
            [name] => {
                let mut path = self.search_path().into_iter();
                path.find_map(|schema| self.catalogue.type_named(schema, name))
            }
            [schema, name] => self.catalogue.type_named(schema, name),
            _ => None,
        }
    }

    /// The type of a protected table's subject column.
    pub(crate) fn key_type(&self, relation: &Relation, rule: &TableRule) -> Judged<KeyType> {
        match self.catalogue.key_type_of(relation, &rule.subject) {
            Some(key_type) => Ok(key_type),
            None => refuse(
                "subject",
                format!("the subject column of `{}` can't be used as a key", relation.name),
                "ask the administrator to correct the table's subject column",
            ),
        }
    }

    pub(crate) fn is_protected(&self, oid: u32) -> bool {
        self.rule_of(oid).is_some()
    }

    /// Whether a relation is protected, or a view over what is, or above it.
    pub(crate) fn reaches_protected(&self, relation: &Relation) -> bool {
        let mut reach = self.closure(relation.oid, |oid| self.catalogue.reads(oid));
        reach.insert(relation.oid);
        let family = |oid: u32| self.closure(oid, |oid| self.catalogue.children(oid));
        reach.iter().any(|oid| {
            self.is_protected(*oid) || family(*oid).iter().any(|o| self.is_protected(*o))
        })
    }

    /// Whether the configuration says that a table, or one above it, holds nothing protected.
    fn is_unprotected(&self, relation: &Relation) -> bool {
        let Some(list) = &self.rules.unprotected else { return true };
        let named = |relation: &Relation| {
            let (schema, table) = (&relation.schema, &relation.name);
            list.iter().any(|entry| match entry.split_once('.') {
                Some((one, "*")) => one == schema,
                Some((one, other)) => one == schema && other == table,
                None => false,
            })
        };
        let mut above = self.closure(relation.oid, |oid| self.catalogue.parents(oid));
        above.insert(relation.oid);
        above.iter().filter_map(|oid| self.catalogue.relation(*oid)).any(named)
            || self.is_listed(relation)
    }

    fn is_namesake(&self, relation: &Relation) -> bool {
        self.rules.tables.iter().any(|rule| rule.table == relation.name)
    }

    /// Whether the administrator vouches for a relation.
    pub(crate) fn is_listed(&self, relation: &Relation) -> bool {
        let name = format!("{}.{}", relation.schema, relation.name);
        self.rules.relations.contains(&name)
    }

    /// Whether the administrator vouches for a user-defined function: for what it does where names
    /// without a schema are looked up in it as they are in the administrator's session.
    pub(crate) fn vouches_for(&self, schema: &str, name: &str) -> bool {
        !self.context.is_astray && self.rules.functions.contains(&format!("{schema}.{name}"))
    }

    /// Whether a trigger's function, `schema.name`, is one that nobody vouches for. Those of
    /// Postern's own schema, where only an administrator makes any, write down what changes.
    pub(crate) fn sets_off_unknown(&self, function: &str) -> bool {
        let Some((schema, name)) = function.split_once('.') else { return true };
        let own = schema == OWN_SCHEMA && name.starts_with(OWN_TRIGGERS);
        !own && !self.vouches_for(schema, name)
    }

    /// Whether the administrator vouches for anything that the database's own code may run.
    pub(crate) fn vouches(&self) -> bool {
        !self.rules.functions.is_empty() || !self.rules.relations.is_empty()
    }

    /// Whether all functions of that name belong to an extension whose functions of that name
    /// compute on their arguments.
    pub(crate) fn is_pure(&self, schema: &str, name: &str) -> bool {
        let mut found = self.catalogue.functions_named(schema, name).peekable();
        found.peek().is_some()
            && found.all(|function| {
                let extension = function.extension.as_deref();
                extension.is_some_and(|extension| extensions::is_pure(extension, name))
            })
    }

    /// Whether the checks of a domain that a type is made of call a function that a statement may
    /// not call: they run on whatever is cast to it.
    pub(crate) fn runs_unlisted(&self, kind: &Type) -> bool {
        kind.runs.iter().any(|function| self.is_unlisted(function))
    }

    /// The column of a table whose type has such checks: a literal beside it can take its type
    /// without being cast.
    pub(crate) fn column_that_runs<'r>(&self, relation: &'r Relation) -> Option<&'r Column> {
        let runs = |column: &&Column| column.runs.iter().any(|name| self.is_unlisted(name));
        relation.columns.iter().find(runs)
    }

    fn is_unlisted(&self, function: &str) -> bool {
        let Some((schema, name)) = function.split_once('.') else { return true };
        let found = self.catalogue.built_in().find(name, Arity::Unknown);
        let built_in = schema == "pg_catalog" && matches!(found, Some(BuiltIn::Allowed(..)));
        !built_in && !self.vouches_for(schema, name) && !self.is_pure(schema, name)
    }

    /// A table with its partitions and children: a write to it may write those.
    pub(crate) fn family(&self, oid: u32) -> Vec<&'a Relation> {
        let children = self.closure(oid, |oid| self.catalogue.children(oid));
        let all = [oid].into_iter().chain(children);
        all.filter_map(|oid| self.catalogue.relation(oid)).collect()
    }

    /// Whether the condition of a reason may read what is written to a table: it names the table,
    /// one above or below it, or a view over one of those.
    pub(crate) fn is_read_by_a_reason(&self, relation: &Relation) -> bool {
        let named = |oid: u32| {
            let relation = self.catalogue.relation(oid);
            relation.is_some_and(|relation| self.rules.reason_names.contains(&relation.name))
        };
        let mut rows = self.closure(relation.oid, |oid| self.catalogue.parents(oid));
        rows.extend(self.family(relation.oid).iter().map(|relation| relation.oid));
        let reads = |oid: u32| self.closure(oid, |oid| self.catalogue.reads(oid));
        rows.iter().any(|oid| named(*oid))
            || self
                .catalogue
                .relation_oids()
                .filter(|oid| named(*oid))
                .any(|view| !reads(view).is_disjoint(&rows))
    }

    fn closure(&self, oid: u32, next: impl Fn(u32) -> &'a [u32]) -> BTreeSet<u32> {
        let mut seen = BTreeSet::new();
        let mut queue: Vec<u32> = next(oid).to_vec();
        while let Some(oid) = queue.pop() {
            if seen.insert(oid) {
                queue.extend(next(oid));
            }
        }
        seen
    }
}

fn refused_catalogue<T>(range: &pb::RangeVar) -> Judged<T> {
    refuse(
        "catalogue",
        format!("catalogue relation `{}` can't be read by this role", range.relname),
        "use the catalogue relations that describe tables, columns, types and constraints",
    )
}

/// Says what decides which rows of a table there are.
fn decided_by(relation: &Relation, what: &str) -> Judged<()> {
    refuse(
        "row_security",
        format!(
            "`{}.{}` can't be used by this role: which of its rows there are is decided by {what} \
             and by what a session can choose",
            relation.schema, relation.name
        ),
        "ask the administrator to list the column as clear, or the functions that the table's \
         policies call",
    )
}
