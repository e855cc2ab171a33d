//! Expressions.

use super::{Field, Generator, Relation};
use crate::{
    grammar::{Part, Use},
    schema::Kind,
};

const COMPARISONS: [&str; 6] = ["=", "<>", "<", ">", "<=", ">="];

/// What follows the ORDER BY of a window.
const FRAMES: [&str; 6] = [
    "",
    " DESC",
    " NULLS FIRST",
    " ROWS BETWEEN 1 PRECEDING AND CURRENT ROW",
    " GROUPS UNBOUNDED PRECEDING",
    " ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING EXCLUDE TIES",
];

const TEXTS: [&str; 20] = [
    "***",
    "",
    "a",
    "0",
    "1",
    "%",
    "a%",
    "_a%",
    "***@***",
    "ada1",
    "%@%",
    "%12%",
    "bo0",
    "abc",
    "x",
    ",",
    " ",
    "Cy",
    "2024-02-29",
    "12",
];

impl Generator<'_> {
    /// An expression of a family.
    pub(super) fn expression(&mut self, kind: Kind, depth: usize) -> String {
        let shallow = depth == 0 || self.dice.below(100) < 45;
        if shallow {
            return self.simple(kind);
        }
        let usage = if self.dice.chance(3) && self.grammar.has(Use::Trap, kind) {
            Use::Trap
        } else {
            Use::Plain
        };
        if !self.grammar.has(usage, kind) {
            return self.simple(kind);
        }
        format!("({})", self.template(usage, kind, depth))
    }

    /// A column of the family if there is one, or a constant.
    fn simple(&mut self, kind: Kind) -> String {
        if self.dice.below(100) < 80
            && let Some(column) = self.column_of(kind)
        {
            return column;
        }
        match self.any_field() {
            Some((alias, field)) if self.dice.below(100) < 70 => {
                computed(kind, &format!("{alias}.{}", field.name))
            }
            _ => self.constant(kind),
        }
    }

    pub(super) fn template(&mut self, usage: Use, kind: Kind, depth: usize) -> String {
        let grammar = self.grammar;
        let parts = grammar.pick(usage, kind, &mut self.dice);
        let below = depth.saturating_sub(1);
        parts.iter().map(|part| self.part(part, below)).collect()
    }

    fn part(&mut self, part: &Part, depth: usize) -> String {
        match part {
            Part::Text(text) => text.clone(),
            Part::Expression(kind) => self.expression(*kind, depth),
            Part::Constant(kind) => self.constant(*kind),
            Part::Any => {
                let kind = *self.dice.pick(&Kind::ALL);
                self.expression(kind, depth)
            }
            Part::Column => match self.any_field() {
                Some((alias, field)) => format!("{alias}.{}", field.name),
                None => self.constant(Kind::Int),
            },
            Part::Row => match self.any_field() {
                Some((alias, _)) if !self.polite => alias,
                _ => "ROW(1, 'a')".to_owned(),
            },
            Part::SubSelect(kind) => self.scalar(*kind, depth),
            Part::Exists => self.exists(depth),
            Part::Number => (1 + self.dice.below(9)).to_string(),
            Part::Comparison => (*self.dice.pick(&COMPARISONS)).to_owned(),
            Part::Window => self.window(depth),
        }
    }

    /// A literal or a parameter.
    pub(super) fn constant(&mut self, kind: Kind) -> String {
        if self.parameters.is_some() && self.dice.chance(40) {
            return self.parameter(kind);
        }
        let text = self.literal(kind);
        if kind == Kind::Text && self.dice.chance(80) || kind == Kind::Int {
            return text;
        }
        format!("{text}::{}", kind.sql())
    }

    fn parameter(&mut self, kind: Kind) -> String {
        let literal = self.literal(kind);
        let plain = literal.trim_matches('\'').to_owned();
        let value = (literal != "NULL").then_some(plain);
        let Some(parameters) = &mut self.parameters else { return literal };
        parameters.push(value);
        format!("${}::{}", parameters.len(), kind.sql())
    }

    fn literal(&mut self, kind: Kind) -> String {
        if self.dice.chance(40) {
            let same: Vec<&str> = self
                .world
                .constants
                .iter()
                .filter(|(found, _)| *found == kind)
                .map(|(_, text)| text.as_str())
                .collect();
            if !same.is_empty() {
                return (*self.dice.pick(&same)).to_owned();
            }
        }
        match kind {
            Kind::Text => format!("'{}'", self.dice.pick(&TEXTS)),
            Kind::Int => (*self.dice.pick(&["0", "1", "2", "7", "12", "50", "1000"])).to_owned(),
            Kind::Numeric => (*self.dice.pick(&["0", "1.5", "100", "33.3"])).to_owned(),
            Kind::Float => (*self.dice.pick(&["0.5", "0", "2", "10.25"])).to_owned(),
            Kind::Bool => (*self.dice.pick(&["true", "false", "NULL"])).to_owned(),
            Kind::Date => {
                format!("'{}'", self.dice.pick(&["1970-01-01", "2020-05-12", "2030-01-01"]))
            }
            Kind::Stamp => format!("'{}'", self.dice.pick(&["1970-01-01", "2023-04-02 10:00+00"])),
            Kind::Uuid => format!("'{}'", crate::values::uuid(self.dice.below(40))),
            Kind::Bytes => format!("'{}'", self.dice.pick(&["\\x", "\\x00ff", "\\x2a2a"])),
            Kind::Json => format!(
                "'{}'",
                self.dice.pick(&["{}", "{\"a\": 1}", "[1, \"ada\"]", "{\"b\": [1]}"])
            ),
            Kind::Texts => format!("'{}'", self.dice.pick(&["{}", "{a,ada1}", "{***,x}"])),
            Kind::Ints => format!("'{}'", self.dice.pick(&["{}", "{0,1}", "{7}"])),
        }
    }

    /// Each column that can be named, the inner ones first.
    fn reachable(&self) -> Vec<(&Relation, &Field)> {
        let careful = self.polite && self.bare;
        let marks = self.is_of_accounts();
        let mut found = Vec::new();
        for scope in self.scopes.iter().rev() {
            for relation in scope {
                let fields = relation.fields.iter();
                found.extend(
                    fields
                        .filter(|field| !careful || field.harmless || marks && field.marked)
                        .map(|field| (relation, field)),
                );
            }
            // Inner columns are used more often than outer ones.
            if !found.is_empty() && found.len() > 3 {
                break;
            }
        }
        found
    }

    pub(super) fn any_field(&mut self) -> Option<(String, Field)> {
        let found = self.reachable();
        let found: Vec<(String, Field)> =
            found.into_iter().map(|(r, f)| (r.alias.clone(), f.clone())).collect();
        if found.is_empty() { None } else { Some(self.dice.pick(&found).clone()) }
    }

    fn column_of(&mut self, kind: Kind) -> Option<String> {
        let found: Vec<String> = self
            .reachable()
            .into_iter()
            .filter(|(_, field)| field.kind == kind)
            .map(|(relation, field)| {
                let name = format!("{}.{}", relation.alias, field.name);
                if field.cast { format!("{name}::{}", kind.sql()) } else { name }
            })
            .collect();
        if found.is_empty() { None } else { Some(self.dice.pick(&found).clone()) }
    }

    /// A condition that joins two relations, or narrows one down.
    pub(super) fn predicate(&mut self, depth: usize) -> String {
        self.expression_deep(Kind::Bool, depth)
    }

    /// An expression that is no mere column or constant.
    pub(super) fn expression_deep(&mut self, kind: Kind, depth: usize) -> String {
        format!("({})", self.template(Use::Plain, kind, depth))
    }

    /// A search: a column with one constant.
    pub(super) fn lookup(&mut self) -> Option<String> {
        let fields: Vec<(String, Field)> = self
            .scopes
            .last()?
            .iter()
            .flat_map(|r| r.fields.iter().map(|field| (r.alias.clone(), field.clone())))
            .filter(|(_, field)| {
                let telling = self.is_of_accounts() && (field.key || field.marked);
                field.lookup || field.subject || telling
            })
            .collect();
        if fields.is_empty() {
            return None;
        }
        let (alias, field) = self.dice.pick(&fields).clone();
        let marks = self.world.accounts.iter().flat_map(|accounts| accounts.marks.keys());
        let constant = if field.marked {
            let marks: Vec<&String> = marks.collect();
            format!("'{}{}'", self.dice.pick(&marks), self.dice.pick(&["x", "y"]))
        } else if field.key && field.kind == Kind::Int {
            self.dice.below(30).to_string()
        } else {
            self.constant(field.kind)
        };
        let name = format!("{alias}.{}", field.name);
        Some(if self.dice.chance(20) {
            format!("{constant} = {name}")
        } else {
            format!("{name} = {constant}")
        })
    }

    fn window(&mut self, depth: usize) -> String {
        let mut text = String::new();
        if self.dice.chance(50) {
            let kind = *self.dice.pick(&[Kind::Text, Kind::Int, Kind::Bool]);
            text.push_str(&format!("PARTITION BY {} ", self.expression(kind, depth.min(1))));
        }
        if self.dice.chance(70) {
            let kind = *self.dice.pick(&[Kind::Text, Kind::Int, Kind::Date, Kind::Numeric]);
            text.push_str(&format!("ORDER BY {}", self.expression(kind, depth.min(1))));
            let frame = *self.dice.pick(&FRAMES);
            text.push_str(frame);
        }
        text
    }
}

/// An expression of a family over a column of any other.
fn computed(kind: Kind, column: &str) -> String {
    match kind {
        Kind::Text => format!("{column}::text"),
        Kind::Int => format!("length({column}::text)"),
        Kind::Numeric => format!("length({column}::text)::numeric"),
        Kind::Float => format!("length({column}::text)::float8"),
        Kind::Bool => format!("({column}::text < 'm')"),
        Kind::Date => format!("(date '2020-01-01' + length({column}::text))"),
        Kind::Stamp => format!("(date '2020-01-01' + length({column}::text))::timestamptz"),
        Kind::Uuid => format!("md5({column}::text)::uuid"),
        Kind::Bytes => format!("convert_to({column}::text, 'UTF8')"),
        Kind::Json => format!("to_jsonb({column})"),
        Kind::Texts => format!("ARRAY[{column}::text]"),
        Kind::Ints => format!("ARRAY[length({column}::text)]"),
    }
}
