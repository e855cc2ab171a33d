//! INSERT, UPDATE, DELETE and MERGE, each in a transaction that is rolled back.

use super::{Field, Generator, Relation, fields, from::one_field, statement::rolled_back};
use crate::{
    schema::{Column, Kind, Table},
    script::Script,
};

impl Generator<'_> {
    pub(super) fn writing(&mut self) -> Script {
        let world = self.world;
        let unprotected = self.dice.below(10) < 6;
        let tables: Vec<&Table> = world
            .tables
            .iter()
            .filter(|table| table.written && unprotected != Self::is_guarded(table))
            .collect();
        let table = *self.dice.pick(&tables);
        let sql = match self.dice.below(10) {
            0..=3 => self.insert(table),
            4..=6 => self.update(table),
            7 | 8 => self.delete(table),
            _ => self.merge(table),
        };
        self.scopes.clear();
        let query = self.query();
        rolled_back(vec![sql, query])
    }

    /// The target as the innermost scope, under a name of its own.
    fn target(&mut self, table: &Table) -> String {
        let alias = self.alias();
        let relation = Relation { alias: alias.clone(), fields: fields(table) };
        self.scopes.push(vec![relation]);
        alias
    }

    fn insert(&mut self, table: &Table) -> String {
        let stored: Vec<&Column> =
            table.columns.iter().filter(|column| column.generated.is_none()).collect();
        let names: Vec<&str> = stored.iter().map(|column| column.name.as_str()).collect();
        let no = 5_000 + self.dice.below(1_000);
        let cells: Vec<String> =
            stored.iter().map(|column| self.stored(table, column, no)).collect();
        let rows = if self.dice.chance(25) {
            let kinds: Vec<Kind> = stored.iter().map(|column| column.kind).collect();
            let (query, _) = self.select(Some(&kinds), 1, !self.polite);
            query
        } else {
            format!("VALUES ({})", cells.join(", "))
        };
        let conflict = match self.dice.below(8) {
            0 => " ON CONFLICT DO NOTHING",
            1 if table.key == ["no"] => " ON CONFLICT (no) DO UPDATE SET no = excluded.no + 1",
            _ => "",
        };
        let returning = match self.dice.below(4) {
            0 => format!(" RETURNING {}", table.columns[0].name),
            1 if !self.polite => " RETURNING *".to_owned(),
            _ => String::new(),
        };
        format!("INSERT INTO {} ({}) {rows}{conflict}{returning}", table.name, names.join(", "))
    }

    /// A value for a new row. Those of unique and of key columns can be taken on neither side, or
    /// on both: that a value is taken is the answer to a search.
    fn stored(&mut self, table: &Table, column: &Column, no: usize) -> String {
        if table.key.contains(&column.name) && column.kind == Kind::Int {
            return no.to_string();
        }
        let text = self.constant(column.kind);
        if column.cast || column.kind == Kind::Text && self.dice.chance(10) {
            return format!("({text})::text::{}", column.sql_type);
        }
        text
    }

    fn update(&mut self, table: &Table) -> String {
        let alias = self.target(table);
        let column = self.dice.pick(&table.columns).clone();
        let value = self.expression(column.kind, 1);
        let value =
            if column.cast { format!("({value})::text::{}", column.sql_type) } else { value };
        let (from, condition) = self.written_rows(table, &alias);
        let (returning, given) = self.returning(table, &alias);
        self.scopes.pop();
        let sql = format!(
            "UPDATE {} AS {alias} SET {} = {value}{from} WHERE {condition}{returning}",
            table.name, column.name
        );
        self.shown(sql, given)
    }

    fn delete(&mut self, table: &Table) -> String {
        let alias = self.target(table);
        let (from, condition) = self.written_rows(table, &alias);
        let from = from.replacen(" FROM ", " USING ", 1);
        let (returning, given) = self.returning(table, &alias);
        self.scopes.pop();
        let sql =
            format!("DELETE FROM {} AS {alias}{from} WHERE {condition}{returning}", table.name);
        self.shown(sql, given)
    }

    /// The same, or a select of what comes back of it.
    fn shown(&mut self, sql: String, given: Vec<Field>) -> String {
        if given.is_empty() || !self.dice.chance(50) {
            return sql;
        }
        let scopes = std::mem::take(&mut self.scopes);
        let alias = self.alias();
        let select = self.all_of(Relation { alias: alias.clone(), fields: given });
        self.scopes = scopes;
        format!("WITH {alias} AS ({sql}) {select}")
    }

    /// `key IN (SELECT key …)`, of the target's table.
    fn chosen(&mut self, table: &Table, alias: &str) -> Option<String> {
        let [key] = table.key.as_slice() else { return None };
        let scopes = std::mem::take(&mut self.scopes);
        let own = self.target(table);
        let condition = self.predicate(1);
        let kind = self.common_kind();
        let order = if self.takes(true) && self.dice.chance(40) {
            self.expression(kind, 1)
        } else {
            format!("{own}.{key}")
        };
        self.scopes = scopes;
        let rows = 1 + self.dice.below(4);
        let lock = *self.dice.pick(&["", "", " FOR UPDATE", " FOR UPDATE SKIP LOCKED"]);
        Some(format!(
            "{alias}.{key} IN (SELECT {own}.{key} FROM {} AS {own} WHERE {condition} \
             ORDER BY {order} LIMIT {rows}{lock})",
            table.name
        ))
    }

    fn written_rows(&mut self, table: &Table, alias: &str) -> (String, String) {
        if self.dice.chance(25)
            && let Some(chosen) = self.chosen(table, alias)
        {
            return (String::new(), chosen);
        }
        if self.dice.chance(15) {
            let text = self.read_tables(0, !self.polite);
            let joined = self.scopes.pop().unwrap_or_default();
            if let Some(scope) = self.scopes.last_mut() {
                scope.extend(joined);
            }
            return (format!(" FROM {text}"), self.predicate(1));
        }
        let condition = match self.lookup() {
            Some(lookup) if self.dice.chance(40) => lookup,
            _ => self.predicate(2),
        };
        (String::new(), condition)
    }

    fn merge(&mut self, table: &Table) -> String {
        let alias = self.target(table);
        let kind = self.common_kind();
        let value = self.constant(kind);
        let condition = self.predicate(1);
        self.scopes.pop();
        let column = &table.columns[table.columns.len() - 1].name;
        format!(
            "MERGE INTO {} AS {alias} USING (SELECT {value} AS v) AS s ON {condition} \
             WHEN MATCHED THEN UPDATE SET {column} = {alias}.{column} \
             WHEN NOT MATCHED THEN DO NOTHING",
            table.name
        )
    }

    /// RETURNING, and what it gives.
    fn returning(&mut self, table: &Table, alias: &str) -> (String, Vec<Field>) {
        let mut given = match self.dice.below(6) {
            0 => vec![(format!("{alias}.{}", table.columns[0].name), fields(table).swap_remove(0))],
            1 if !self.polite => return (" RETURNING *".to_owned(), fields(table)),
            1..=3 => (0..1 + self.dice.below(3)).map(|_| self.given()).collect(),
            _ => return (String::new(), Vec::new()),
        };
        let mut texts = Vec::new();
        for (index, (text, field)) in given.iter_mut().enumerate() {
            field.name = format!("r{index}");
            texts.push(format!("{text} AS {}", field.name));
        }
        let fields = given.into_iter().map(|(_, field)| field).collect();
        (format!(" RETURNING {}", texts.join(", ")), fields)
    }

    /// A column of what is written, or something that is computed.
    fn given(&mut self) -> (String, Field) {
        if self.dice.chance(60)
            && let Some((alias, field)) = self.any_field()
        {
            return (format!("{alias}.{}", field.name), field);
        }
        let kind = self.common_kind();
        (format!("({})::{}", self.expression(kind, 1), kind.sql()), one_field("", kind))
    }
}
