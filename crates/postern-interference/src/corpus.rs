//! Scripts that once told the two sides apart, over a world that does not change.
//!
//! A file of the corpus is a comment that tells what was found, a line `-- expect:` with what
//! becomes of the steps (one word for all, or one for each: allowed, refused, failed) and a script
//! in the form of [`Script::text`]. What the generator found over a random world is written down
//! over this one, so that a file keeps its meaning when the generator changes.

use std::fmt::Write as _;

use anyhow::{Context as _, bail};
use postern_model::FieldClass;

use crate::{
    arena::Arena,
    client::Outcome,
    compare::{Verdict, judge, readable},
    make,
    schema::{CANARY, Column, Guard, Kind, Table, World},
    script::Script,
};

/// Plays a file of the corpus: what is wrong, if something is: the two sides differ, or they do not
/// end as the file expects.
pub fn replay(arena: &Arena, text: &str) -> anyhow::Result<Option<String>> {
    let script = Script::parse(text)?;
    let expected = expected(text, script.steps.len())?;
    let mut stage = arena.stage(&world())?;
    match judge(&mut stage, &script)? {
        Verdict::Leak(why) | Verdict::Unsteady(why) => return Ok(Some(why)),
        Verdict::Same { .. } => {}
    }
    let [one, _] = stage.play(&script)?;
    let came = one.outcomes();
    Ok((came != expected).then(|| format!("{expected:?} was expected, {came:?} came")))
}

/// What becomes of each step, by the file's word.
fn expected(text: &str, steps: usize) -> anyhow::Result<Vec<Outcome>> {
    let line = text.lines().find_map(|line| line.strip_prefix("-- expect:"));
    let words = line.context("it does not say what it expects")?.split_whitespace();
    let outcomes = words.map(|word| match word {
        "allowed" => Ok(Outcome::Allowed),
        "refused" => Ok(Outcome::Refused),
        "failed" => Ok(Outcome::Failed),
        _ => bail!("`{word}` can't be expected"),
    });
    let outcomes = outcomes.collect::<anyhow::Result<Vec<_>>>()?;
    match *outcomes {
        [all] => Ok(vec![all; steps]),
        _ if outcomes.len() == steps => Ok(outcomes),
        _ => bail!("{} steps are expected, there are {steps}", outcomes.len()),
    }
}

/// What comes on both sides for a file of the corpus, message by message.
pub fn show(arena: &Arena, text: &str) -> anyhow::Result<String> {
    let script = Script::parse(text)?;
    let mut stage = arena.stage(&world())?;
    let sides = stage.play(&script)?;
    let mut shown = String::new();
    for (name, side) in ["first", "second"].into_iter().zip(&sides) {
        let _ = writeln!(shown, "{name}:");
        for frame in &side.frames {
            let _ = writeln!(shown, "  {}", readable(frame));
        }
    }
    Ok(shown)
}

const SETUP: &str = "\
CREATE TABLE people (id int8 PRIMARY KEY, name text, email text UNIQUE, score int4, born date,
    note text, region text) WITH (toast_tuple_target = 8160);
CREATE INDEX ON people (name);
CREATE TABLE tickets (no int4 PRIMARY KEY, customer int8 REFERENCES people (id), assignee text,
    opened_by text, status text);
CREATE TABLE products (no int4 PRIMARY KEY, name text, price numeric(12,2));
CREATE VIEW v_people AS SELECT id, name, score FROM people;
INSERT INTO products VALUES (1, 'ada', 1.5), (2, '***', 0), (3, NULL, 7);";

/// Customers 1 and 2 are the actor's, 3 to 8 are not.
pub(crate) fn world() -> World {
    let own = "(1, 'ada', 'ada@x.org', 1, '2001-01-01', 'own', 'n'),\n\
               (2, 'bo', 'bo@x.org', 0, NULL, 'own', 's')";
    let tickets = "INSERT INTO tickets VALUES (1, 1, 'ana', 'customer', 'open'),\n\
                   (2, 2, 'ana', 'ana', 'open'), (3, 3, 'ana', 'customer', 'closed'),\n\
                   (4, 4, 'ben', 'customer', 'open');";
    let rows = |others: [String; 6]| {
        format!("INSERT INTO people VALUES {own},\n{};\n{tickets}", others.join(",\n"))
    };
    let one = [
        format!("(3, '{CANARY}a', '{CANARY}1', 0, '1970-01-01', '', 'n')"),
        format!("(4, '12', '{CANARY}2', 1, 'infinity', '{}', 's')", "x".repeat(5_000)),
        "(5, NULL, NULL, -1, NULL, NULL, 'n')".to_owned(),
        format!("(6, '', '{CANARY}4', 2147483647, '2030-02-02', '{}', 's')", "z".repeat(6_000)),
        format!("(7, 'ada', '{CANARY}5', 7, '2030-02-02', '{{}}', 'n')"),
        format!("(8, '***', '{CANARY}6', 7, '2030-02-02', '%', 's')"),
    ];
    let two = [
        format!("(3, '12', '{CANARY}8', 5, '2030-01-01', '{}', 'n')", "y".repeat(3_900)),
        format!("(4, 'abc', '{CANARY}9', 0, NULL, '', 's')"),
        format!("(5, 'ada', '{CANARY}10', NULL, '1970-01-01', '{{\"a\":1}}', 'n')"),
        format!("(6, NULL, '{CANARY}11', -2147483648, '0044-03-15 BC', '(', 's')"),
        "(7, '***', NULL, 0, '1970-01-01', NULL, 'n')".to_owned(),
        format!("(8, '{CANARY}b', '{CANARY}13', 1, NULL, '0', 's')"),
    ];
    World {
        setup: SETUP.to_owned(),
        rows: [rows(one), rows(two)],
        tables: vec![people(), tickets_table()],
        policy: make::everything_shown(),
        condition: "status = 'open'".to_owned(),
        // Few rows, and each query asks for an order that tells them apart, or for none.
        level: true,
        constants: Vec::new(),
        accounts: None,
    }
}

fn table(name: &str, columns: Vec<Column>) -> Table {
    Table {
        name: name.to_owned(),
        columns,
        protected: true,
        insert: false,
        written: true,
        key: Vec::new(),
    }
}

fn people() -> Table {
    let guarded = |name: &str, kind, class, lookup| {
        make::column(name, kind, "text", Guard::Protected { class, lookup })
    };
    let columns = vec![
        make::column("id", Kind::Int, "int8", Guard::Subject),
        guarded("name", Kind::Text, FieldClass::Name, false),
        guarded("email", Kind::Text, FieldClass::Email, true),
        guarded("score", Kind::Int, FieldClass::Identifier, false),
        guarded("born", Kind::Date, FieldClass::FreeText, false),
        guarded("note", Kind::Text, FieldClass::FreeText, false),
        make::column("region", Kind::Text, "text", Guard::Free),
    ];
    table("people", columns)
}

fn tickets_table() -> Table {
    let free = |name: &str, kind| make::column(name, kind, "text", Guard::Free);
    let columns = vec![
        free("no", Kind::Int),
        make::column("customer", Kind::Int, "int8", Guard::Subject),
        free("assignee", Kind::Text),
        free("opened_by", Kind::Text),
        free("status", Kind::Text),
    ];
    table("tickets", columns)
}
