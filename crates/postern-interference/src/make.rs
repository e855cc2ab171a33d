//! Random worlds: tables, policies, and rows that differ where the actor has no reason to see them.

use std::fmt::Write as _;

use postern_model::FieldClass;

mod accounts;

use self::accounts::{accounts, is_of_accounts, plain};
use crate::{
    dice::Dice,
    schema::{ACTOR, Column, Guard, Kind, Table, World},
    values::{self, Values},
};

/// Types by family: as declared, and whether an expression of the family needs a cast.
const TYPES: [(Kind, &str, bool); 22] = [
    (Kind::Text, "text", false),
    (Kind::Text, "varchar(60)", false),
    (Kind::Int, "int4", false),
    (Kind::Text, "char(24)", false),
    (Kind::Text, "label", false),
    (Kind::Int, "int8", true),
    (Kind::Int, "int2", false),
    (Kind::Numeric, "numeric(12,2)", false),
    (Kind::Numeric, "numeric", false),
    (Kind::Float, "float8", false),
    (Kind::Float, "float4", false),
    (Kind::Bool, "bool", false),
    (Kind::Date, "date", false),
    (Kind::Stamp, "timestamptz", false),
    (Kind::Stamp, "timestamp", true),
    (Kind::Uuid, "uuid", false),
    (Kind::Bytes, "bytea", false),
    (Kind::Json, "jsonb", false),
    (Kind::Json, "json", true),
    (Kind::Texts, "text[]", false),
    (Kind::Ints, "int4[]", false),
    (Kind::Text, "mood", true),
];

const NAMES: [&str; 14] = [
    "name", "email", "phone", "note", "score", "born", "flag", "ref", "doc", "tags", "total",
    "seen", "blob", "code",
];

const PREAMBLE: &str = "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');\n\
     CREATE DOMAIN label AS text;\n";

/// The tail of a table whose subjects are in `people`.
const TO_PEOPLE: &str = "\0, FOREIGN KEY (customer) REFERENCES people (id)";

/// No value is stored beside its row: it would get a number there, and one side's later tables
/// would have other numbers than the other's.
const IN_PLACE: &str = " WITH (toast_tuple_target = 8160)";

/// What a subject's key can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Int,
    Text,
    Uuid,
}

impl Key {
    fn sql_type(self) -> &'static str {
        match self {
            Self::Int => "int8",
            Self::Text => "text",
            Self::Uuid => "uuid",
        }
    }

    fn kind(self) -> Kind {
        match self {
            Self::Int => Kind::Int,
            Self::Text => Kind::Text,
            Self::Uuid => Kind::Uuid,
        }
    }

    fn literal(self, number: usize) -> String {
        match self {
            Self::Int => number.to_string(),
            Self::Text => format!("'K{number}'"),
            Self::Uuid => format!("'{}'", values::uuid(number)),
        }
    }
}

/// Whose a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The actor has a strong reason.
    Strong,
    /// The actor has a weak one.
    Weak,
    /// Somebody else has a reason, or the actor had one, or nobody.
    Foreign,
}

/// What policy shows.
struct Shows {
    classes: Vec<FieldClass>,
    strong_only: bool,
}

/// A world that hangs on the seed alone.
pub fn world(seed: u64) -> World {
    Maker::new(seed).make()
}

struct Maker {
    dice: Dice,
    key: Key,
    owners: Vec<Owner>,
    shows: Shows,
    world: World,
    values: Values,
    /// Statements after the rows: they are the same for both.
    indexes: String,
}

impl Maker {
    fn new(seed: u64) -> Self {
        let mut dice = Dice::of_pair(seed, u64::MAX);
        let key = *dice.pick(&[Key::Int, Key::Int, Key::Text, Key::Uuid]);
        let owner = |dice: &mut Dice| match dice.below(10) {
            0 | 1 => Owner::Strong,
            2 => Owner::Weak,
            _ => Owner::Foreign,
        };
        let people = 12 + dice.below(30);
        let owners: Vec<Owner> = (0..people).map(|_| owner(&mut dice)).collect();
        let shows = shows(&mut dice);
        let world = World {
            setup: PREAMBLE.to_owned(),
            rows: [String::new(), String::new()],
            tables: Vec::new(),
            policy: policy(&shows),
            condition: "status = 'open'".to_owned(),
            level: seed.is_multiple_of(2) || is_of_accounts(seed),
            constants: Vec::new(),
            accounts: accounts(&mut dice, seed, key, &owners),
        };
        // Long texts put rows on other pages of the two tables.
        let values = Values::new(*dice.pick(&[30, 30, 350, 900]));
        Self { dice, key, owners, shows, world, values, indexes: String::new() }
    }

    fn make(mut self) -> World {
        self.people();
        self.tickets();
        if self.dice.chance(80) {
            self.dependent("orders");
        }
        if self.dice.chance(30) {
            self.dependent("calls");
        }
        for name in ["products", "tags"] {
            if name == "products" || self.dice.chance(50) {
                self.unprotected(name);
            }
        }
        self.views();
        self.world.setup.push_str(&self.indexes);
        for number in 0..self.owners.len() + 3 {
            let literal = self.key.literal(number);
            self.world.constants.push((self.key.kind(), literal));
        }
        self.world
    }

    /// The customers themselves: a row for each.
    fn people(&mut self) {
        let mut columns = vec![self.key_column("id", Guard::Subject)];
        columns[0].unique = true;
        columns.extend(self.columns(3, 7));
        self.mark(&mut columns);
        // What is unique in a partitioned table is its key.
        let partitioned = self.dice.chance(20) && self.world.accounts.is_none();
        let tail = if partitioned { " PARTITION BY HASH (id)" } else { "" };
        let unique = !partitioned;
        self.table("people", columns, "id", (true, unique), tail);
        if partitioned {
            for part in 0..2 {
                let _ = writeln!(
                    self.world.setup,
                    "CREATE TABLE people_{part} PARTITION OF people FOR VALUES WITH \
                     (MODULUS 2, REMAINDER {part}){IN_PLACE};"
                );
            }
            let parts = ["people_0", "people_1"];
            self.relatives("people", &parts);
        }
        let rows: Vec<usize> = (0..self.owners.len()).collect();
        self.fill("people", "people", &rows);
    }

    /// What makes reasons.
    fn tickets(&mut self) {
        let free = |name: &str, kind, sql_type: &str| column(name, kind, sql_type, Guard::Free);
        let mut columns = vec![
            free("no", Kind::Int, "int4"),
            self.key_column("customer", Guard::Subject),
            free("assignee", Kind::Text, "text"),
            free("opened_by", Kind::Text, "text"),
            free("status", Kind::Text, "text"),
        ];
        if self.dice.chance(50) {
            let class = FieldClass::FreeText;
            let guard = Guard::Protected { class, lookup: false };
            columns.push(column("note", Kind::Text, "text", guard));
        }
        self.mark(&mut columns);
        let unique = self.world.accounts.is_some();
        self.table("tickets", columns, "no", (true, unique), TO_PEOPLE);
        let insert = self.dice.chance(50);
        if let Some(table) = self.world.tables.last_mut() {
            table.insert = insert;
        }
        let mut rows = [String::new(), String::new()];
        for person in 0..self.owners.len() {
            self.tickets_of(person, &mut rows);
        }
        for (side, text) in rows.into_iter().enumerate() {
            self.world.rows[side].push_str(&text);
        }
    }

    fn tickets_of(&mut self, person: usize, rows: &mut [String; 2]) {
        let owner = self.owners[person];
        let (assignee, opened, status) = match owner {
            Owner::Strong => (ACTOR, "customer", "open"),
            Owner::Weak => (ACTOR, ACTOR, "open"),
            Owner::Foreign => match self.dice.below(4) {
                0 => return,
                1 => (ACTOR, "customer", "closed"),
                2 => ("ben", "customer", "open"),
                _ => ("ana2", "ben", "open"),
            },
        };
        let key = self.key.literal(person);
        let no = person * 10;
        let table = self.world.tables.last();
        let others = table.map(|table| table.columns[5..].to_vec()).unwrap_or_default();
        let others: Vec<[String; 2]> =
            others.iter().map(|column| self.pair(column, owner, (person, person))).collect();
        for (side, text) in rows.iter_mut().enumerate() {
            let more: String = others.iter().map(|pair| format!(", {}", pair[side])).collect();
            let _ = writeln!(
                text,
                "INSERT INTO tickets VALUES \
                 ({no}, {key}, '{assignee}', '{opened}', '{status}'{more});"
            );
        }
    }

    /// A table of things that customers have.
    fn dependent(&mut self, name: &str) {
        let mut columns = vec![
            column("no", Kind::Int, "int4", Guard::Free),
            self.key_column("customer", Guard::Subject),
        ];
        columns.extend(self.columns(2, 5));
        self.mark(&mut columns);
        let reference = self.dice.chance(60);
        let tail = if reference { TO_PEOPLE } else { "" };
        self.table(name, columns, "no", (true, true), tail);
        let count = 15 + self.dice.below(30);
        let people = self.owners.len();
        let rows: Vec<usize> = (0..count).map(|_| self.dice.below(people)).collect();
        self.fill(name, name, &rows);
        if self.dice.chance(30) {
            let child = format!("{name}_old");
            let _ =
                writeln!(self.world.setup, "CREATE TABLE {child} () INHERITS ({name}){IN_PLACE};");
            self.relatives(name, &[&child]);
            let rows: Vec<usize> = (0..8).map(|_| self.dice.below(people)).collect();
            self.fill(name, &child, &rows);
        }
    }

    fn unprotected(&mut self, name: &str) {
        let mut columns = vec![column("no", Kind::Int, "int4", Guard::Free)];
        if self.dice.chance(50) {
            columns.push(self.key_column("customer", Guard::Free));
        }
        let mut free = self.columns(2, 6);
        free.iter_mut().for_each(|column| column.guard = Guard::Free);
        columns.extend(free);
        self.table(name, columns, "no", (false, true), "");
        let people = self.owners.len();
        let rows: Vec<usize> = (0..12).map(|_| self.dice.below(people)).collect();
        self.fill(name, name, &rows);
    }

    fn views(&mut self) {
        let bases: Vec<Table> = self.world.tables.clone();
        for base in bases.iter().filter(|table| table.written) {
            if !self.dice.chance(40) {
                continue;
            }
            let name = format!("v_{}", base.name);
            let keep: Vec<&Column> = base.columns.iter().filter(|_| self.dice.chance(75)).collect();
            if keep.is_empty() {
                continue;
            }
            let list: Vec<&str> = keep.iter().map(|column| column.name.as_str()).collect();
            let _ = writeln!(
                self.world.setup,
                "CREATE VIEW {name} AS SELECT {} FROM {};",
                list.join(", "),
                base.name
            );
            let columns = keep.into_iter().cloned().collect();
            self.world.tables.push(Table {
                name,
                columns,
                protected: false,
                insert: false,
                written: false,
                key: Vec::new(),
            });
        }
    }

    fn key_column(&self, name: &str, guard: Guard) -> Column {
        let mut column = column(name, self.key.kind(), self.key.sql_type(), guard);
        column.cast = self.key == Key::Int;
        column
    }

    /// Columns of random types and treatments.
    fn columns(&mut self, least: usize, spread: usize) -> Vec<Column> {
        let mut names: Vec<&str> = NAMES.to_vec();
        let mut columns: Vec<Column> = Vec::new();
        for _ in 0..least + self.dice.below(spread) {
            if names.is_empty() {
                break;
            }
            let name = names.remove(self.dice.below(names.len()));
            let (kind, sql_type, cast) = *self.dice.pick(&TYPES);
            let mut found = column(name, kind, sql_type, Guard::Free);
            found.cast = cast;
            found.guard = self.guard(kind);
            let plain = matches!(kind, Kind::Text | Kind::Int | Kind::Uuid) && sql_type != "mood";
            found.unique = plain && sql_type != "int2" && self.dice.chance(15);
            columns.push(found);
        }
        let base = columns.iter().find(|c| c.kind == Kind::Text && c.sql_type == "text");
        if let Some(base) = base.map(|column| column.name.clone())
            && self.dice.chance(30)
        {
            let mut made = column("made", Kind::Text, "text", Guard::Unlisted);
            made.generated = Some(format!("lower({base})"));
            columns.push(made);
        }
        columns
    }

    fn guard(&mut self, kind: Kind) -> Guard {
        match self.dice.below(10) {
            0..=2 => Guard::Free,
            3 => Guard::Unlisted,
            _ => {
                let class = *self.dice.pick(&FieldClass::ALL);
                let searchable = matches!(kind, Kind::Text | Kind::Int | Kind::Uuid);
                Guard::Protected { class, lookup: searchable && self.dice.chance(40) }
            }
        }
    }

    /// Creates a table. A tail that begins with NUL goes inside the parentheses.
    fn table(
        &mut self,
        name: &str,
        mut columns: Vec<Column>,
        key: &str,
        (protected, unique): (bool, bool),
        tail: &str,
    ) {
        if !unique {
            let keyed = |column: &Column| column.name == "id" || column.name == "no";
            columns.iter_mut().filter(|c| !keyed(c)).for_each(|c| c.unique = false);
        }
        let mut lines = Vec::new();
        for column in &columns {
            let mut line = format!("{} {}", column.name, column.sql_type);
            if let Some(expression) = &column.generated {
                let _ = write!(line, " GENERATED ALWAYS AS ({expression}) STORED");
            }
            if column.name == key {
                line.push_str(" PRIMARY KEY");
            } else if column.unique {
                line.push_str(" UNIQUE");
            }
            lines.push(line);
        }
        let (inside, outside) = match tail.strip_prefix('\0') {
            Some(inside) => (inside, IN_PLACE),
            None if tail.is_empty() => ("", IN_PLACE),
            None => ("", tail),
        };
        let _ = writeln!(
            self.world.setup,
            "CREATE TABLE {name} ({}{inside}){outside};",
            lines.join(", ")
        );
        for column in &columns {
            let sorted = matches!(column.kind, Kind::Text | Kind::Int | Kind::Date);
            if sorted && column.name != key && self.dice.chance(25) {
                let _ = writeln!(self.indexes, "CREATE INDEX ON {name} ({});", column.name);
            }
        }
        self.world.tables.push(Table {
            name: name.to_owned(),
            columns,
            protected,
            insert: false,
            written: true,
            key: vec![key.to_owned()],
        });
    }

    /// Partitions and children can be named too.
    fn relatives(&mut self, of: &str, names: &[&str]) {
        let Some(base) = self.world.tables.iter().find(|table| table.name == of).cloned() else {
            return;
        };
        for name in names {
            let table = Table { name: (*name).to_owned(), protected: false, ..base.clone() };
            self.world.tables.push(table);
        }
    }

    /// Rows of `table`, written into `target`: one for each person given.
    fn fill(&mut self, table: &str, target: &str, people: &[usize]) {
        let Some(table) = self.world.tables.iter().find(|found| found.name == table).cloned()
        else {
            return;
        };
        let stored: Vec<&Column> =
            table.columns.iter().filter(|column| column.generated.is_none()).collect();
        let names: Vec<&str> = stored.iter().map(|column| column.name.as_str()).collect();
        let head = format!("INSERT INTO {target} ({}) VALUES", names.join(", "));
        let first = if target == table.name { 0 } else { 1_000 };
        for (index, person) in people.iter().enumerate() {
            let owner = if table.protected { self.owners[*person] } else { Owner::Strong };
            let mut cells = [Vec::new(), Vec::new()];
            for column in &stored {
                let pair = match column.name.as_str() {
                    "id" | "customer" => [self.key.literal(*person), self.key.literal(*person)],
                    "no" => [(first + index).to_string(), (first + index).to_string()],
                    _ => self.pair(column, owner, (*person, first + index)),
                };
                for (side, text) in pair.into_iter().enumerate() {
                    cells[side].push(text);
                }
            }
            for (side, cells) in cells.iter().enumerate() {
                let _ = writeln!(self.world.rows[side], "{head} ({});", cells.join(", "));
            }
        }
    }

    /// A cell's value in both databases.
    fn pair(
        &mut self,
        column: &Column,
        owner: Owner,
        (person, row): (usize, usize),
    ) -> [String; 2] {
        let (secret, lookup) = match column.guard {
            Guard::Free | Guard::Subject => (false, false),
            Guard::Unlisted => (true, false),
            Guard::Protected { class, lookup } => {
                let graded = owner == Owner::Strong || !self.shows.strong_only;
                let shown = owner != Owner::Foreign && graded;
                (!(shown && self.shows.classes.contains(&class)), lookup)
            }
        };
        if let Some(accounts) = &mut self.world.accounts {
            let subject = plain(&self.key.literal(person));
            let changed = accounts.changed.contains(&subject);
            if column.marked {
                let mark = self.values.mark();
                // A mark's last letter, so that no order of rows changes with it: among rows that
                // it does not tell apart, one comes first that hangs on all that are sorted.
                let last = if changed { ["x", "y"] } else { ["x", "x"] };
                accounts.marks.insert(mark.clone(), subject);
                return last.map(|last| format!("'{mark}{last}'"));
            }
            if secret {
                let [one, _] = self.values.twins(&mut self.dice, column, true);
                return [one.clone(), one];
            }
        }
        if !secret {
            let value = self.values.open(&mut self.dice, column, row);
            self.world.constants.push((column.kind, value.clone()));
            return [value.clone(), value];
        }
        // A search may be answered where both databases give the same answer.
        if lookup && self.dice.chance(35) {
            let value = self.values.open(&mut self.dice, column, row);
            self.world.constants.push((column.kind, value.clone()));
            return [value.clone(), value];
        }
        let careful = lookup || column.unique;
        if self.world.level {
            return self.values.twins(&mut self.dice, column, careful);
        }
        let mut one = || self.values.hidden(&mut self.dice, column, careful);
        [one(), one()]
    }
}

/// A column without anything special.
pub(crate) fn column(name: &str, kind: Kind, sql_type: &str, guard: Guard) -> Column {
    Column {
        name: name.to_owned(),
        kind,
        sql_type: sql_type.to_owned(),
        cast: false,
        guard,
        unique: false,
        marked: false,
        generated: None,
    }
}

/// A policy that shows everything but secrets for any reason.
pub(crate) fn everything_shown() -> String {
    let classes = FieldClass::ALL.into_iter().filter(|class| *class != FieldClass::Secret);
    policy(&Shows { classes: classes.collect(), strong_only: false })
}

fn shows(dice: &mut Dice) -> Shows {
    let all = FieldClass::ALL.into_iter().filter(|class| *class != FieldClass::Secret);
    let classes: Vec<FieldClass> = match dice.below(3) {
        0 | 1 => all.collect(),
        _ => all.filter(|_| dice.chance(60)).collect(),
    };
    Shows { classes, strong_only: dice.chance(40) }
}

fn policy(shows: &Shows) -> String {
    let list: Vec<String> =
        shows.classes.iter().map(|class| format!("FieldClass::\"{}\"", class.as_str())).collect();
    let see = if list.is_empty() {
        String::new()
    } else {
        let graded =
            if shows.strong_only { " && context.reason.grade == Grade::\"strong\"" } else { "" };
        format!(
            "permit (principal in Role::\"agent\", action == Action::\"see_clear\", resource)\n\
             when {{ context has reason && resource has class && [{}].contains(resource.class)\
             {graded} }};\n",
            list.join(", ")
        )
    };
    format!(
        "{see}permit (principal in Role::\"agent\", action == Action::\"look_up\", resource);\n\
         permit (principal in Role::\"agent\", action == Action::\"open_ticket\", resource)\n\
         unless {{ context has reason && context.reason.grade == Grade::\"strong\" }};\n\
         permit (principal in Role::\"agent\",\n\
         action in [Action::\"update\", Action::\"delete\"], resource)\n\
         when {{ context has reason }};\n\
         permit (principal in Role::\"agent\", action == Action::\"connect\", resource);\n\
         forbid (principal, action in [Action::\"see_clear\", Action::\"look_up\"], resource)\n\
         when {{ resource has class && resource.class == FieldClass::\"secret\" }};\n"
    )
}
