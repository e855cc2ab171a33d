//! INSERT, UPDATE, DELETE and MERGE, each in a transaction that is rolled back.

use super::{Generator, Relation, fields, statement::rolled_back};
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
        let returning = self.returning(&table.columns[0].name);
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
        let (from, condition) = self.written_rows();
        let returning = self.returning(&format!("{alias}.{}", table.columns[0].name));
        self.scopes.pop();
        format!(
            "UPDATE {} AS {alias} SET {} = {value}{from} WHERE {condition}{returning}",
            table.name, column.name
        )
    }

    fn delete(&mut self, table: &Table) -> String {
        let alias = self.target(table);
        let (from, condition) = self.written_rows();
        let from = from.replacen(" FROM ", " USING ", 1);
        let returning = self.returning(&format!("{alias}.{}", table.columns[0].name));
        self.scopes.pop();
        format!("DELETE FROM {} AS {alias}{from} WHERE {condition}{returning}", table.name)
    }

    fn written_rows(&mut self) -> (String, String) {
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

    fn returning(&mut self, column: &str) -> String {
        match self.dice.below(4) {
            0 => format!(" RETURNING {column}"),
            1 if !self.polite => " RETURNING *".to_owned(),
            _ => String::new(),
        }
    }
}
