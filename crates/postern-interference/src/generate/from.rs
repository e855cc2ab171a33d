//! FROM clauses.

use super::{Field, Generator, Relation, fields};
use crate::{
    grammar::Use,
    schema::{Kind, Table},
};

/// What the first columns of a table are called anew: also as others are called.
const RENAMED: [[&str; 3]; 3] =
    [["x0", "x1", "x2"], ["no", "customer", "mark"], ["name", "id", "no"]];

impl Generator<'_> {
    /// Relations and the text that names them; they become the innermost scope.
    pub(super) fn read_tables(&mut self, depth: usize, guarded: bool) -> String {
        self.scopes.push(Vec::new());
        let mut text = self.table_item(depth, guarded);
        let joined = [0, 1, 1, 2][self.dice.below(4)];
        for _ in 0..joined.min(depth) {
            self.joined(&mut text, depth, guarded);
        }
        text
    }

    fn joined(&mut self, text: &mut String, depth: usize, guarded: bool) {
        let before: Vec<String> = self
            .scopes
            .last()
            .into_iter()
            .flatten()
            .flat_map(|relation| relation.fields.iter().map(|field| field.name.clone()))
            .collect();
        let item = self.table_item(depth.saturating_sub(1), guarded);
        let kind = *self.dice.pick(&["JOIN", "LEFT JOIN", "JOIN", "RIGHT JOIN", "FULL JOIN"]);
        let last = self.scopes.last().and_then(|scope| scope.last()).cloned();
        let shared: Vec<String> = last
            .iter()
            .flat_map(|relation| &relation.fields)
            .filter(|field| before.iter().filter(|name| **name == field.name).count() == 1)
            .map(|field| field.name.clone())
            .collect();
        match self.dice.below(20) {
            0 => text.push_str(&format!(", {item}")),
            1 => text.push_str(&format!(" CROSS JOIN {item}")),
            2 if !item.starts_with("LATERAL") => {
                text.push_str(&format!(" NATURAL {kind} {item}"));
            }
            3..=5 if !shared.is_empty() => {
                let column = self.dice.pick(&shared).clone();
                text.push_str(&format!(" {kind} {item} USING ({column})"));
            }
            _ => {
                let kind = if item.starts_with("LATERAL") { "LEFT JOIN" } else { kind };
                let condition = self.join_condition(depth);
                text.push_str(&format!(" {kind} {item} ON {condition}"));
            }
        }
    }

    /// Mostly whose records they are; FULL JOIN can do no other.
    fn join_condition(&mut self, depth: usize) -> String {
        let scope = self.scopes.last().cloned().unwrap_or_default();
        let Some((last, before)) = scope.split_last() else { return "true".to_owned() };
        let named = |relation: &Relation, wanted: fn(&Field) -> bool| {
            let found = relation.fields.iter().filter(|field| wanted(field));
            found
                .map(|field| (format!("{}.{}", relation.alias, field.name), field.kind))
                .collect::<Vec<_>>()
        };
        let key: fn(&Field) -> bool =
            |field| field.subject || matches!(field.name.as_str(), "customer" | "id");
        if self.dice.below(10) < 7 {
            let theirs: Vec<_> = before.iter().flat_map(|relation| named(relation, key)).collect();
            for (mine, kind) in named(last, key) {
                if let Some((other, _)) = theirs.iter().find(|(_, found)| *found == kind) {
                    return format!("{other} = {mine}");
                }
            }
        }
        let theirs: Vec<_> = before.iter().flat_map(|r| named(r, |field| !field.cast)).collect();
        let mine = named(last, |field| !field.cast);
        let pairs: Vec<(String, String)> = theirs
            .iter()
            .flat_map(|(name, kind)| {
                mine.iter()
                    .filter(move |(_, other)| kind == other && *kind != Kind::Json)
                    .map(move |(other, _)| (name.clone(), other.clone()))
            })
            .collect();
        if !pairs.is_empty() && self.dice.below(10) < 8 {
            let (one, two) = self.dice.pick(&pairs).clone();
            return format!("{one} = {two}");
        }
        self.predicate(depth.min(1))
    }

    fn table_item(&mut self, depth: usize, guarded: bool) -> String {
        let common = !self.commons.is_empty() && self.dice.chance(25);
        let choice = if depth == 0 { self.dice.below(60) } else { self.dice.below(100) };
        let (relation, text) = match choice {
            _ if common => {
                let common = self.dice.pick(&self.commons.clone()).clone();
                let alias = self.alias();
                let text = format!("{} AS {alias}", common.alias);
                (Relation { alias, ..common }, text)
            }
            0..=77 => self.named_table(guarded),
            78..=85 => self.set_item(depth),
            86..=89 => self.values_item(),
            _ => self.derived(depth, guarded),
        };
        if let Some(scope) = self.scopes.last_mut() {
            scope.push(relation);
        }
        text
    }

    fn named_table(&mut self, guarded: bool) -> (Relation, String) {
        let world = self.world;
        let tables: Vec<&Table> =
            world.tables.iter().filter(|table| guarded || !Self::is_guarded(table)).collect();
        let mut weighted = Vec::new();
        for table in tables {
            let weight = match (table.protected, table.written) {
                (true, _) => 6,
                (false, true) => 2,
                (false, false) => 1,
            };
            weighted.extend(std::iter::repeat_n(table, weight));
        }
        let table = *self.dice.pick(&weighted);
        let only = if self.dice.chance(2) { "ONLY " } else { "" };
        let schema = if self.dice.chance(10) { "public." } else { "" };
        let bare = self.dice.chance(12) && !self.is_named(&table.name);
        let alias = if bare { format!("{schema}{}", table.name) } else { self.alias() };
        let mut found = fields(table);
        let mut columns = String::new();
        if !bare && self.dice.chance(8) {
            let names = *self.dice.pick(&RENAMED);
            let renamed = found.iter_mut().zip(names).map(|(field, name)| {
                field.name = name.to_owned();
                name
            });
            columns = format!("({})", renamed.collect::<Vec<_>>().join(", "));
        }
        let relation = Relation { alias: alias.clone(), fields: found };
        let sample = match self.dice.below(100) {
            98 => " TABLESAMPLE SYSTEM (50) REPEATABLE (3)",
            99 => " TABLESAMPLE BERNOULLI (50) REPEATABLE (1)",
            _ => "",
        };
        let named = if bare { String::new() } else { format!(" AS {alias}") };
        (relation, format!("{only}{schema}{}{named}{columns}{sample}", table.name))
    }

    /// A function that returns rows.
    fn set_item(&mut self, depth: usize) -> (Relation, String) {
        let kind = *self.dice.pick(&[Kind::Int, Kind::Text]);
        let call = self.template(Use::Set, kind, depth.min(1));
        let alias = self.alias();
        let call = if call.contains(").") || call.starts_with('(') {
            "generate_series(1, 3)".to_owned()
        } else {
            call
        };
        let kind = if call.starts_with("generate_series") { Kind::Int } else { kind };
        let mut all = vec![one_field("v", kind)];
        let mut text = format!("{call} AS {alias}(v)");
        if self.dice.chance(20) {
            all.push(Field { cast: true, ..one_field("o", Kind::Int) });
            text = format!("{call} WITH ORDINALITY AS {alias}(v, o)");
        }
        (Relation { alias, fields: all }, text)
    }

    fn values_item(&mut self) -> (Relation, String) {
        let kinds = [Kind::Int, *self.dice.pick(&Kind::ALL)];
        let rows: Vec<String> = (0..1 + self.dice.below(3))
            .map(|_| {
                let cells: Vec<String> = kinds
                    .iter()
                    .map(|kind| format!("{}::{}", self.constant(*kind), kind.sql()))
                    .collect();
                format!("({})", cells.join(", "))
            })
            .collect();
        let alias = self.alias();
        let all = vec![one_field("p", kinds[0]), one_field("q", kinds[1])];
        let text = format!("(VALUES {}) AS {alias}(p, q)", rows.join(", "));
        (Relation { alias, fields: all }, text)
    }

    fn derived(&mut self, depth: usize, guarded: bool) -> (Relation, String) {
        let lateral = self.scopes.last().is_some_and(|s| !s.is_empty()) && self.dice.chance(40);
        let hidden = if lateral { None } else { self.scopes.pop() };
        let (query, all) = self.select(None, depth.saturating_sub(1), guarded);
        if let Some(hidden) = hidden {
            self.scopes.push(hidden);
        }
        let alias = self.alias();
        let prefix = if lateral { "LATERAL " } else { "" };
        let text = format!("{prefix}({query}) AS {alias}");
        (Relation { alias, fields: all }, text)
    }
}

pub(super) fn one_field(name: &str, kind: Kind) -> Field {
    Field {
        name: name.to_owned(),
        kind,
        cast: false,
        harmless: true,
        subject: false,
        lookup: false,
        marked: false,
        key: false,
    }
}
