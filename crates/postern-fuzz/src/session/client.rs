//! What the scripted client says.

use bytes::BytesMut;
use postern_wire::{Bind, EncodeError, Execute, Frame, Parse, Target, encode};

use super::Script;
use crate::wire::frames;

/// Their rows are recorded, whatever comes.
const GUARDED: [&str; 8] = [
    "SELECT id, name FROM customers",
    "SELECT name FROM customers WHERE id = 1",
    "SELECT id, email FROM customers WHERE email = 'a@b.c'",
    "SELECT c.id, t.id FROM customers c JOIN tickets t ON t.customer_id = c.id",
    "COPY (SELECT id, name FROM customers) TO STDOUT",
    "COPY (SELECT id, email FROM customers) TO STDOUT (FORMAT csv)",
    "COPY (SELECT id, name FROM customers) TO STDOUT (FORMAT binary)",
    "UPDATE customers SET name = 'x' WHERE id = 1",
];

/// The rest of what people send.
const OTHERS: [&str; 26] = [
    "SELECT name FROM products",
    "",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT s",
    "ROLLBACK TO s",
    "SELECT name FROM products; SELECT id, name FROM customers",
    "UPDATE products SET name = 'x'",
    "UPDATE products SET name = 'x'; SELECT id FROM customers",
    "INSERT INTO tickets (id, customer_id, assignee) VALUES (1, 7, 'ana')",
    "PREPARE p AS SELECT id, name FROM customers",
    "EXECUTE p",
    "DEALLOCATE p",
    "DEALLOCATE ALL",
    "BEGIN; DECLARE c CURSOR FOR SELECT id, name FROM customers",
    "FETCH 2 FROM c",
    "MOVE c",
    "CLOSE c",
    "COPY products FROM STDIN",
    "UPDATE products SET name = 'x'; COPY products FROM STDIN",
    "SET client_encoding = utf8",
    "LOCK customers",
    "SELECT 1/(id - id) FROM customers WHERE email = 'a@b.c'",
    "this is no statement",
    "SELECT count(*) FROM customers",
];

const NAMES: [&str; 3] = ["", "s", "t"];

pub(super) struct Client {
    guarded_only: bool,
}

impl Client {
    pub(super) fn new(guarded_only: bool) -> Self {
        Self { guarded_only }
    }

    pub(super) fn says(&self, script: &mut Script<'_>) -> Vec<Frame> {
        let mut out = BytesMut::new();
        // What is not written is not said.
        let _ = self.write(script, &mut out);
        frames(&out)
    }

    fn sql(&self, script: &mut Script<'_>) -> &'static str {
        let all = if self.guarded_only { GUARDED.len() } else { GUARDED.len() + OTHERS.len() };
        let number = script.number(all);
        GUARDED.iter().chain(&OTHERS).nth(number).copied().unwrap_or_default()
    }

    fn write(&self, script: &mut Script<'_>, out: &mut BytesMut) -> Result<(), EncodeError> {
        match script.byte() % 12 {
            0..=2 => encode::query(out, self.sql(script))?,
            3 => {
                let sql = self.sql(script);
                extended(out, sql, 0)?;
                encode::sync(out);
            }
            4 => {
                // Without a Sync: more follows.
                let (sql, rows) = (self.sql(script), script.number(3));
                extended(out, sql, i32::try_from(rows).unwrap_or(0))?;
            }
            5 => {
                let (name, sql) = (name(script), self.sql(script));
                encode::parse(out, &Parse { name, sql, types: Vec::new() })?;
            }
            6 => bind(out, name(script), name(script), script.number(2))?,
            7 => {
                let name = name(script);
                let target = if script.number(2) == 0 {
                    Target::Portal(name)
                } else {
                    Target::Statement(name)
                };
                if script.number(3) == 0 {
                    encode::close(out, target)?;
                } else {
                    encode::describe(out, target)?;
                }
            }
            8 => {
                let max_rows = i32::try_from(script.number(3)).unwrap_or(0);
                encode::execute(out, &Execute { portal: name(script), max_rows })?;
            }
            9 => encode::sync(out),
            10 => encode::flush(out),
            _ => match script.byte() % 8 {
                0 => encode::copy_data(out, b"1\tpen\n")?,
                1 => encode::copy_done(out),
                2 => encode::copy_fail(out, "no more")?,
                3 => encode::terminate(out),
                4 => encode::password(out, "guess")?,
                _ => encode::sync(out),
            },
        }
        Ok(())
    }
}

fn name(script: &mut Script<'_>) -> &'static str {
    NAMES.get(script.number(NAMES.len())).copied().unwrap_or_default()
}

fn bind(
    out: &mut BytesMut,
    portal: &str,
    statement: &str,
    parameters: usize,
) -> Result<(), EncodeError> {
    let bind = Bind {
        portal,
        statement,
        formats: Vec::new(),
        parameters: vec![Some(&b"1"[..]); parameters],
        result_formats: Vec::new(),
    };
    encode::bind(out, &bind)
}

fn extended(out: &mut BytesMut, sql: &str, max_rows: i32) -> Result<(), EncodeError> {
    encode::parse(out, &Parse { name: "", sql, types: Vec::new() })?;
    bind(out, "", "", 0)?;
    encode::describe(out, Target::Portal(""))?;
    encode::execute(out, &Execute { portal: "", max_rows })
}
