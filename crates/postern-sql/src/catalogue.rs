//! A snapshot of the system catalogues: all that names in a statement are resolved against.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::OnceLock,
};

use pg_query::{NodeEnum, protobuf as pb};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    KeyType,
    functions::Functions,
    nesting,
    relations::{self, CatalogueRelation},
};

/// One statement that returns one text, for [`Catalogue::from_json`]. Runs on PostgreSQL 13 to 18
/// and needs no privilege beyond reading the system catalogues.
pub const SNAPSHOT_SQL: &str = include_str!("catalogue/snapshot.sql");

/// One statement that returns two texts of one moment: PostgreSQL's transaction snapshot, NULL on
/// a standby, and a version of the system catalogues. Runs on PostgreSQL 13 to 18.
///
/// Between two equal first texts no transaction has ended that had written anything, so that the
/// catalogues are the same; a standby's texts do not say which transactions are still running.
/// Two equal second texts say that none of the objects that can take part in the reading of a
/// statement has been made, changed or dropped, nor changed and changed back. Not in it: the
/// objects that came with PostgreSQL, temporary objects, and what is rewritten without a change
/// of meaning (`TRUNCATE`, `REINDEX`, `VACUUM FULL`, `ANALYZE`).
pub const VERSION_SQL: &str = include_str!("catalogue/version.sql");

/// The objects of one database, as they were when the snapshot was taken.
#[derive(Debug, Clone)]
pub struct Catalogue {
    version: [u8; 32],
    database: String,
    relations: BTreeMap<u32, Relation>,
    names: BTreeMap<(String, String), u32>,
    /// The names of views, in lower case.
    views: BTreeSet<String>,
    parents: BTreeMap<u32, Vec<u32>>,
    children: BTreeMap<u32, Vec<u32>>,
    reads: BTreeMap<u32, Vec<u32>>,
    calls: BTreeMap<u32, Vec<u32>>,
    triggers: BTreeMap<u32, Vec<String>>,
    foreign_keys: Vec<ForeignKey>,
    types: BTreeMap<u32, Type>,
    type_names: BTreeMap<(String, String), u32>,
    functions: BTreeMap<u32, Function>,
    /// By schema and name.
    function_names: BTreeMap<String, BTreeMap<String, Vec<u32>>>,
    /// By name.
    operators: BTreeMap<String, Vec<Operator>>,
    symbols: BTreeSet<String>,
    cast_types: BTreeSet<u32>,
    /// Tables and types of which the database's own code runs where they are named.
    acting: BTreeSet<String>,
    /// What stands before the dot in the names of extensions' settings.
    setting_prefixes: BTreeSet<String>,
    built_in: Functions,
    system: Vec<CatalogueRelation>,
}

/// Why a snapshot can't be used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// It is not what [`SNAPSHOT_SQL`] returns.
    #[error("the catalogue snapshot can't be read")]
    Json(#[source] serde_json::Error),
    /// The server is older than PostgreSQL 13 or newer than 18.
    #[error("server version {0} is not supported: 13 to 18 are")]
    Version(i64),
}

/// A table, view, sequence or the like.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Relation {
    pub(crate) oid: u32,
    pub(crate) schema: String,
    pub(crate) name: String,
    pub(crate) kind: char,
    pub(crate) persistence: char,
    pub(crate) extension: bool,
    pub(crate) rules: bool,
    /// The schema and name of the rule that protects it whatever it is called now.
    #[serde(skip)]
    pub(crate) protected_by: Option<(String, String)>,
    #[serde(default, deserialize_with = "nullable")]
    pub(crate) columns: Vec<Column>,
    /// Several columns in which no two rows may be alike, or in conflict.
    #[serde(default, deserialize_with = "nullable")]
    pub(crate) distinct: Vec<Distinct>,
    /// What decides which of its rows the gateway's role sees and writes.
    #[serde(default, deserialize_with = "nullable")]
    pub(crate) policies: Vec<Policy>,
    /// A view's query, with all names qualified that are not `pg_catalog`'s.
    #[serde(default)]
    pub(crate) definition: Option<String>,
    /// The same as a tree, read when it is needed first.
    #[serde(skip)]
    parsed: OnceLock<Option<Definition>>,
}

/// A unique index, or an exclusion, of more than one column.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Distinct {
    /// All columns that it looks at, in expressions and in its condition too.
    pub(crate) columns: Vec<String>,
    /// Those of which two rows that can't both be there have equal values.
    pub(crate) keys: Vec<String>,
}

/// A policy of row-level security.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Policy {
    /// The columns that it reads, each as `oid.name` of its table and itself.
    #[serde(default, deserialize_with = "nullable")]
    pub(crate) reads: Vec<String>,
    /// It has a sub-select.
    pub(crate) asks: bool,
    /// The functions that it calls which are not PostgreSQL's own, or read settings, as
    /// `schema.name`.
    #[serde(default, deserialize_with = "nullable")]
    pub(crate) calls: Vec<String>,
}

/// A view's query.
#[derive(Debug, Clone)]
pub(crate) struct Definition {
    pub(crate) query: Box<pb::SelectStmt>,
    /// How deep it is nested, as `nesting` estimates it.
    pub(crate) depth: usize,
}

impl Relation {
    /// A table that is in no snapshot.
    pub(crate) fn plain_table(schema: &str, name: &str, columns: Vec<Column>) -> Self {
        Self {
            // No object has it.
            oid: 0,
            schema: schema.to_owned(),
            name: name.to_owned(),
            kind: 'r',
            persistence: 'p',
            extension: false,
            rules: false,
            protected_by: None,
            columns,
            distinct: Vec::new(),
            policies: Vec::new(),
            definition: None,
            parsed: OnceLock::new(),
        }
    }

    /// What a view stands for; `None` if that can't be understood.
    pub(crate) fn definition(&self) -> Option<&Definition> {
        let text = self.definition.as_deref()?;
        self.parsed.get_or_init(|| Definition::parse(text)).as_ref()
    }
}

impl Column {
    /// One of which nothing but the name is known.
    pub(crate) fn own(number: i16, name: &str) -> Self {
        Self {
            number,
            name: name.to_owned(),
            type_oid: 0,
            modifier: -1,
            unique: false,
            alone: false,
            primary: false,
            runs: Vec::new(),
            reads: Vec::new(),
            generated: String::new(),
            collation: 0,
            collides: false,
            orders: false,
            splits: false,
            default: true,
            kept: false,
        }
    }

    /// How many characters a text of a type with a modifier, such as `varchar(5)`, may have: the
    /// modifier is four more.
    pub(crate) fn length(&self) -> Option<usize> {
        usize::try_from(self.modifier.checked_sub(4)?).ok()
    }

    /// Whether its texts are equal only where their bytes are: by the database's own collation, "C"
    /// or "POSIX". Of others it is not known.
    pub(crate) fn compares_bytes(&self) -> bool {
        matches!(self.collation, 100 | 950 | 951)
    }
}

impl Definition {
    fn parse(text: &str) -> Option<Self> {
        let tokens = pg_query::scan_tokens(text).ok()?;
        nesting::length(text).ok()?;
        let depth = nesting::depth(&tokens).ok()?;
        let mut statements = pg_query::parse(text, 0).ok()?.protobuf.stmts.into_iter();
        let (Some(statement), None) = (statements.next(), statements.next()) else {
            return None;
        };
        match statement.stmt?.node? {
            NodeEnum::SelectStmt(query) => Some(Self { query, depth }),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Column {
    pub(crate) number: i16,
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) type_oid: u32,
    pub(crate) modifier: i32,
    pub(crate) unique: bool,
    pub(crate) primary: bool,
    /// No two rows have the same value of it, whatever their other columns hold.
    pub(crate) alone: bool,
    /// The functions that checks of its type, or of what that is made of, call, as `schema.name`.
    #[serde(default, deserialize_with = "nullable")]
    pub(crate) runs: Vec<String>,
    /// The columns that a generated column is computed from.
    #[serde(default, deserialize_with = "nullable")]
    pub(crate) reads: Vec<String>,
    /// How the column is computed from others; empty if it is not.
    #[serde(default)]
    pub(crate) generated: String,
    pub(crate) collation: i64,
    /// Whether a value is already in the table can decide whether it may be stored: a unique
    /// index or an exclusion looks at the column, perhaps in an expression.
    pub(crate) collides: bool,
    /// It has a value where an INSERT gives none.
    pub(crate) default: bool,
    /// An index that is of other columns as well, or by which the table was clustered, has rows in
    /// the order of it.
    pub(crate) orders: bool,
    /// Which partition of the table a row is in hangs on it.
    #[serde(default)]
    pub(crate) splits: bool,
    /// It was protected under another name.
    #[serde(skip)]
    pub(crate) kept: bool,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Type {
    pub(crate) oid: u32,
    pub(crate) schema: String,
    pub(crate) name: String,
    pub(crate) kind: char,
    pub(crate) base: u32,
    pub(crate) element: u32,
    pub(crate) category: char,
    pub(crate) checked: bool,
    pub(crate) label: Option<String>,
    /// The functions that checks of domains that it is made of call, as `schema.name`.
    #[serde(default, deserialize_with = "nullable")]
    pub(crate) runs: Vec<String>,
    pub(crate) extension: bool,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Function {
    pub(crate) oid: u32,
    pub(crate) schema: String,
    pub(crate) name: String,
    pub(crate) kind: char,
    pub(crate) set: bool,
    /// It may give several columns: of a composite or polymorphic type, or with OUT parameters.
    #[serde(default)]
    pub(crate) row: bool,
    /// Whose member it is.
    #[serde(default)]
    pub(crate) extension: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Operator {
    pub(crate) schema: String,
    name: String,
    pub(crate) extension: bool,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ForeignKey {
    pub(crate) from: u32,
    pub(crate) to: u32,
    /// All rows have been looked at.
    pub(crate) validated: bool,
    pub(crate) on_update: char,
    pub(crate) on_delete: char,
    /// Numbers of the columns that refer.
    pub(crate) columns: Vec<i16>,
    /// Numbers of the columns that are referred to.
    pub(crate) targets: Vec<i16>,
}

#[derive(Debug, Deserialize)]
struct Trigger {
    relation: u32,
    function: String,
}

#[derive(Debug, Deserialize)]
struct Snapshot {
    server: i64,
    database: String,
    #[serde(deserialize_with = "nullable")]
    relations: Vec<Relation>,
    #[serde(deserialize_with = "nullable")]
    inherits: Vec<(u32, u32)>,
    #[serde(deserialize_with = "nullable")]
    reads: Vec<(u32, u32)>,
    #[serde(deserialize_with = "nullable")]
    calls: Vec<(u32, u32)>,
    #[serde(deserialize_with = "nullable")]
    triggers: Vec<Trigger>,
    #[serde(deserialize_with = "nullable")]
    foreign_keys: Vec<ForeignKey>,
    #[serde(deserialize_with = "nullable")]
    types: Vec<Type>,
    #[serde(deserialize_with = "nullable")]
    functions: Vec<Function>,
    #[serde(deserialize_with = "nullable")]
    operators: Vec<Operator>,
    /// The names of the operators that came with PostgreSQL.
    symbols: BTreeSet<String>,
    #[serde(deserialize_with = "nullable")]
    casts: Vec<(u32, u32)>,
    #[serde(deserialize_with = "nullable")]
    setting_prefixes: Vec<String>,
    #[serde(default, deserialize_with = "nullable")]
    acting: Vec<String>,
}

fn nullable<'de, D: serde::Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    Ok(Option::<Vec<T>>::deserialize(deserializer)?.unwrap_or_default())
}

fn grouped<K: Ord, V>(pairs: impl IntoIterator<Item = (K, V)>) -> BTreeMap<K, Vec<V>> {
    let mut map: BTreeMap<K, Vec<V>> = BTreeMap::new();
    for (key, value) in pairs {
        map.entry(key).or_default().push(value);
    }
    map
}

fn function_names(functions: &[Function]) -> BTreeMap<String, BTreeMap<String, Vec<u32>>> {
    let mut schemas: BTreeMap<String, BTreeMap<String, Vec<u32>>> = BTreeMap::new();
    for Function { schema, name, oid, .. } in functions {
        let names = schemas.entry(schema.clone()).or_default();
        names.entry(name.clone()).or_default().push(*oid);
    }
    schemas
}

/// Tells all relatives of the tables of some columns, by the columns' names, what holds of these:
/// `next` has the parents of a table, and their parents are told, or its children.
fn tell_relatives<T>(
    relations: &mut BTreeMap<u32, Relation>,
    next: &BTreeMap<u32, Vec<u32>>,
    holds: impl Fn(&Column) -> Option<T>,
    tell: impl Fn(&mut Column, &T),
) {
    let told = relations.values().flat_map(|relation| {
        let of = |column: &Column| Some((relation.oid, column.name.clone(), holds(column)?));
        relation.columns.iter().filter_map(of).collect::<Vec<_>>()
    });
    for (oid, name, what) in told.collect::<Vec<_>>() {
        let mut seen = BTreeSet::new();
        let mut queue = next.get(&oid).cloned().unwrap_or_default();
        while let Some(relative) = queue.pop() {
            if !seen.insert(relative) {
                continue;
            }
            queue.extend(next.get(&relative).into_iter().flatten());
            let columns = relations.get_mut(&relative).into_iter().flat_map(|r| &mut r.columns);
            columns.filter(|column| column.name == name).for_each(|column| tell(column, &what));
        }
    }
}

/// A column that a child generates is so for who reads the parent.
fn inherit_reads(relations: &mut BTreeMap<u32, Relation>, parents: &BTreeMap<u32, Vec<u32>>) {
    let reads = |column: &Column| (!column.reads.is_empty()).then(|| column.reads.clone());
    tell_relatives(relations, parents, reads, |column, reads| column.reads.extend(reads.clone()));
}

/// A value that must be unique in a child is so for who writes the parent, and a value is unique if
/// one that is generated from it must be.
fn inherit_collisions(relations: &mut BTreeMap<u32, Relation>, parents: &BTreeMap<u32, Vec<u32>>) {
    for relation in relations.values_mut() {
        let unique = relation.columns.iter().filter(|column| column.collides);
        let read: BTreeSet<String> = unique.flat_map(|column| column.reads.clone()).collect();
        for column in relation.columns.iter_mut().filter(|column| read.contains(&column.name)) {
            column.collides = true;
        }
    }
    let unique = |column: &Column| column.collides.then_some(());
    tell_relatives(relations, parents, unique, |column, ()| column.collides = true);
}

/// What tells the records of one table apart tells those of its relatives apart as well: a parent
/// gives its children's rows, and a child, which has no indexes of its parent's, mostly has values
/// of the same kind.
fn inherit_unique(
    relations: &mut BTreeMap<u32, Relation>,
    parents: &BTreeMap<u32, Vec<u32>>,
    children: &BTreeMap<u32, Vec<u32>>,
) {
    for next in [parents, children] {
        let unique = |column: &Column| column.unique.then_some(());
        tell_relatives(relations, next, unique, |column, ()| column.unique = true);
    }
}

impl Catalogue {
    /// Reads what [`SNAPSHOT_SQL`] returned.
    pub fn from_json(json: &str) -> Result<Self, CatalogueError> {
        let snapshot: Snapshot = serde_json::from_str(json).map_err(CatalogueError::Json)?;
        if !(130_000..190_000).contains(&snapshot.server) {
            return Err(CatalogueError::Version(snapshot.server));
        }
        let mut relations: BTreeMap<u32, Relation> =
            snapshot.relations.into_iter().map(|relation| (relation.oid, relation)).collect();
        let parents = grouped(snapshot.inherits.iter().copied());
        let children = grouped(snapshot.inherits.iter().map(|(child, parent)| (*parent, *child)));
        inherit_reads(&mut relations, &parents);
        inherit_unique(&mut relations, &parents, &children);
        inherit_collisions(&mut relations, &parents);
        // A partitioned table's rows come partition by partition.
        let columns = relations.values_mut().flat_map(|relation| &mut relation.columns);
        columns.for_each(|column| column.orders |= column.splits);
        let orders = |column: &Column| column.orders.then_some(());
        tell_relatives(&mut relations, &parents, orders, |column, ()| column.orders = true);
        let types: BTreeMap<u32, Type> =
            snapshot.types.into_iter().map(|kind| (kind.oid, kind)).collect();
        Ok(Self {
            version: *blake3::hash(json.as_bytes()).as_bytes(),
            database: snapshot.database,
            views: relations
                .values()
                .filter(|relation| relation.definition.is_some())
                .map(|relation| relation.name.to_lowercase())
                .collect(),
            names: relations
                .values()
                .map(|r| ((r.schema.clone(), r.name.clone()), r.oid))
                .collect(),
            relations,
            parents,
            children,
            reads: grouped(snapshot.reads),
            calls: grouped(snapshot.calls),
            triggers: grouped(snapshot.triggers.into_iter().map(|t| (t.relation, t.function))),
            foreign_keys: snapshot.foreign_keys,
            type_names: types
                .values()
                .map(|t| ((t.schema.clone(), t.name.clone()), t.oid))
                .collect(),
            types,
            function_names: function_names(&snapshot.functions),
            functions: snapshot.functions.into_iter().map(|f| (f.oid, f)).collect(),
            operators: grouped(snapshot.operators.into_iter().map(|o| (o.name.clone(), o))),
            symbols: snapshot.symbols,
            built_in: Functions::of_version(snapshot.server / 10_000),
            system: relations::of_version(snapshot.server / 10_000),
            setting_prefixes: snapshot.setting_prefixes.into_iter().collect(),
            acting: snapshot.acting.into_iter().collect(),
            cast_types: snapshot.casts.iter().flat_map(|(from, to)| [*from, *to]).collect(),
        })
    }

    /// Whether a setting is one that nobody but the database's own code can read: it has a name of
    /// several parts, the first of which is no extension's and not the gateway's
    /// (`valid_custom_variable_name`, src/backend/utils/misc/guc.c).
    pub(crate) fn is_custom_setting(&self, name: &str) -> bool {
        let first = |c: char| c.is_ascii_lowercase() || c == '_';
        let part = |part: &str| {
            part.starts_with(first)
                && part.chars().all(|c| first(c) || c.is_ascii_digit() || c == '$')
        };
        let lower = name.to_ascii_lowercase();
        let Some((prefix, _)) = lower.split_once('.') else { return false };
        lower.split('.').all(part)
            && prefix != "postern"
            && !prefix.starts_with("pg_")
            && !self.setting_prefixes.contains(prefix)
    }

    /// Identifies the snapshot: equal for equal catalogues.
    pub fn version(&self) -> [u8; 32] {
        self.version
    }

    /// The curated built-in functions.
    pub(crate) fn built_in(&self) -> &Functions {
        &self.built_in
    }

    /// The relations of the system catalogues.
    pub(crate) fn system(&self) -> &[CatalogueRelation] {
        &self.system
    }

    pub(crate) fn database(&self) -> &str {
        &self.database
    }

    pub(crate) fn relation(&self, oid: u32) -> Option<&Relation> {
        self.relations.get(&oid)
    }

    pub(crate) fn relations(&self) -> impl Iterator<Item = &Relation> {
        self.relations.values()
    }

    pub(crate) fn relation_oids(&self) -> impl Iterator<Item = u32> + '_ {
        self.relations.keys().copied()
    }

    pub(crate) fn relation_mut(&mut self, oid: u32) -> Option<&mut Relation> {
        self.relations.get_mut(&oid)
    }

    pub(crate) fn relation_named(&self, schema: &str, name: &str) -> Option<&Relation> {
        let oid = self.names.get(&(schema.to_owned(), name.to_owned()))?;
        self.relations.get(oid)
    }

    /// Whether a word of a text may be the name of a view, whose definition may be nested deeply.
    pub(crate) fn may_name_view(&self, word: &str) -> bool {
        // An identifier with Unicode escapes can be any name.
        let escaped = word.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("u&"));
        let name = word.trim_matches('"').replace("\"\"", "\"").to_lowercase();
        escaped || self.views.contains(&name)
    }

    pub(crate) fn parents(&self, oid: u32) -> &[u32] {
        self.parents.get(&oid).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn children(&self, oid: u32) -> &[u32] {
        self.children.get(&oid).map_or(&[], Vec::as_slice)
    }

    /// The relations that a view's or rule's definition names.
    pub(crate) fn reads(&self, oid: u32) -> &[u32] {
        self.reads.get(&oid).map_or(&[], Vec::as_slice)
    }

    /// The functions outside `pg_catalog` that a view's or rule's definition calls.
    pub(crate) fn calls(&self, oid: u32) -> impl Iterator<Item = &Function> {
        let oids = self.calls.get(&oid).map_or(&[][..], Vec::as_slice);
        oids.iter().filter_map(|oid| self.functions.get(oid))
    }

    /// The functions of a table's triggers, as `schema.name`.
    pub(crate) fn triggers(&self, oid: u32) -> &[String] {
        self.triggers.get(&oid).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn foreign_keys(&self) -> &[ForeignKey] {
        &self.foreign_keys
    }

    pub(crate) fn type_by_oid(&self, oid: u32) -> Option<&Type> {
        self.types.get(&oid)
    }

    pub(crate) fn type_named(&self, schema: &str, name: &str) -> Option<&Type> {
        let oid = self.type_names.get(&(schema.to_owned(), name.to_owned()))?;
        self.types.get(oid)
    }

    /// How the keys in a column are compared, if they can be; a relation is named by its schema and
    /// name.
    pub fn key_type(&self, (schema, name): (&str, &str), column: &str) -> Option<KeyType> {
        self.key_type_of(self.relation_named(schema, name)?, column)
    }

    pub(crate) fn key_type_of(&self, relation: &Relation, column: &str) -> Option<KeyType> {
        let column = relation.columns.iter().find(|known| known.name == column);
        let kind = self.type_by_oid(column.filter(|column| !column.kept)?.type_oid)?;
        match kind.name.as_str() {
            _ if kind.schema != "pg_catalog" => None,
            "int2" | "int4" | "int8" => Some(KeyType::Int),
            "text" | "varchar" => Some(KeyType::Text),
            "uuid" => Some(KeyType::Uuid),
            _ => None,
        }
    }

    /// Whether there are user-defined casts, but for those of extensions.
    pub(crate) fn has_user_casts(&self) -> bool {
        !self.cast_types.is_empty()
    }

    /// The names of functions that did not come with PostgreSQL, of types whose values somebody
    /// else's code makes or checks, and of tables that can't be read without such code.
    pub(crate) fn own_code(&self) -> impl Iterator<Item = &str> {
        let functions = self.functions.values().map(|function| function.name.as_str());
        let types = self
            .types
            .values()
            .filter(|kind| !matches!(kind.kind, 'c' | 'e') && kind.schema != "pg_catalog");
        let acting = self.acting.iter().map(String::as_str);
        functions.chain(types.map(|kind| kind.name.as_str())).chain(acting)
    }

    /// Whether a relation or type of that name is in another schema.
    pub(crate) fn is_named_elsewhere(&self, schema: &str, name: &str) -> bool {
        let elsewhere = |(other, own): &(String, String)| own == name && other != schema;
        self.names.keys().chain(self.type_names.keys()).any(elsewhere)
    }

    /// Whether a user-defined cast converts from or to the type.
    pub(crate) fn has_user_cast(&self, oid: u32) -> bool {
        self.cast_types.contains(&oid)
    }

    /// The functions of a name, all but those that came with PostgreSQL.
    pub(crate) fn functions_named(
        &self,
        schema: &str,
        name: &str,
    ) -> impl Iterator<Item = &Function> {
        let oids = self.function_names.get(schema).and_then(|names| names.get(name));
        oids.into_iter().flatten().filter_map(|oid| self.functions.get(oid))
    }

    /// Whether an operator of that name came with PostgreSQL.
    pub(crate) fn has_symbol(&self, name: &str) -> bool {
        self.symbols.contains(name)
    }

    /// The operators of a name, all but those that came with PostgreSQL.
    pub(crate) fn operators_named(&self, name: &str) -> impl Iterator<Item = &Operator> {
        self.operators.get(name).into_iter().flatten()
    }
}
