//! COPY against a real server.

use std::time::Duration;

use bytes::BytesMut;
use postern_ledger::{Counter, Limit};
use postern_wire::{Bind, Execute, Parse, encode};

use super::{
    raw::{Answer, Raw},
    world::World,
};

fn text(copied: &[Vec<u8>]) -> String {
    String::from_utf8(copied.concat()).unwrap()
}

fn subjects(world: &World) -> Vec<String> {
    world.disclosures().iter().flat_map(|d| &d.subjects).map(ToString::to_string).collect()
}

#[tokio::test]
async fn copied_rows_are_masked_and_recorded_in_every_format() {
    let world = World::start(&[]);
    let mut ana = world.raw("ana").await;
    let query = "SELECT id, email FROM customers WHERE id IN (1, 2) ORDER BY id";
    let plain = ana.query(&format!("COPY ({query}) TO STDOUT")).await;
    assert_eq!(text(&plain.copied), "1\tone@example.org\n2\t***\n");
    assert_eq!(plain.tags, ["COPY 2"]);
    let mut both = subjects(&world);
    both.sort();
    assert_eq!(both, ["1", "2"]);
    let csv = format!("COPY ({query}) TO STDOUT (FORMAT csv, HEADER, FORCE_QUOTE (email))");
    let csv = ana.query(&csv).await;
    assert_eq!(text(&csv.copied), "id,email\n1,\"one@example.org\"\n2,\"***\"\n");
    let odd = format!("COPY ({query}) TO STDOUT CSV DELIMITER '@' QUOTE '*' ESCAPE '!' NULL '2'");
    let odd = ana.query(&odd).await;
    assert_eq!(text(&odd.copied), "1@*one@example.org*\n*2*@*!*!*!**\n");
    let binary = ana.query(&format!("COPY ({query}) TO STDOUT (FORMAT binary)")).await;
    let mut expected = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
    expected.extend(b"\0\x02\0\0\0\x08\0\0\0\0\0\0\0\x01\0\0\0\x0fone@example.org");
    expected.extend(b"\0\x02\0\0\0\x08\0\0\0\0\0\0\0\x02\0\0\0\x03***\xff\xff");
    assert_eq!(binary.copied.concat(), expected);
    assert_eq!(subjects(&world).len(), 8);
    let table = ana.query("COPY customers (email) TO STDOUT").await;
    assert_eq!(text(&table.copied).matches("***\n").count(), 98);
    assert_eq!(table.tags, ["COPY 100"]);
    assert_eq!(subjects(&world).len(), 108);
    let several = ana.query(&format!("SELECT 1; COPY ({query}) TO STDOUT; SELECT 2")).await;
    assert_eq!(several.tags, ["SELECT 1", "COPY 2", "SELECT 1"]);
}

#[tokio::test]
async fn values_with_line_breaks_and_quotes_come_whole() {
    let world = World::start(&[]);
    let odd = r"UPDATE customers SET name = E'a,\tb\\\n\042c\042', email = NULL WHERE id = 1";
    world.postgres.psql_in("support", odd).unwrap();
    let mut ana = world.raw("ana").await;
    let copy = |options| {
        format!("COPY (SELECT name, email FROM customers WHERE id = 1) TO STDOUT {options}")
    };
    for options in ["", "CSV", "CSV QUOTE '''' ESCAPE '\\'", "DELIMITER ','", "NULL ''"] {
        let through = ana.query(&copy(options)).await;
        let direct = world.postgres.psql_in("support", &copy(options)).unwrap();
        assert_eq!(text(&through.copied).trim_end(), direct.trim_end(), "{options}");
    }
}

#[tokio::test]
async fn a_budget_ends_a_copy_where_it_is_spent() {
    let limit =
        Limit { counter: Counter::MaskedSubjects, window: Duration::from_secs(3_600), max: 5 };
    let world = World::start(&[limit]);
    let mut ana = world.raw("ana").await;
    let cut =
        ana.query("COPY (SELECT id FROM customers WHERE id > 10 ORDER BY id) TO STDOUT").await;
    assert_eq!(cut.error.as_deref(), Some("53400"));
    assert_eq!(cut.copied.len(), 5);
    assert_eq!(ana.query("SELECT 1").await.rows, [["1"]]);
}

#[tokio::test]
async fn the_extended_protocol_copies_in_both_directions() {
    let world = World::start(&[]);
    world
        .postgres
        .psql_in("support", "CREATE TABLE notes (id int PRIMARY KEY, body text)")
        .unwrap();
    world.wait_for_relation("ana", "notes").await;
    let mut ana = world.raw("ana").await;
    let out = extended(&mut ana, "COPY (SELECT email FROM customers WHERE id = 2) TO STDOUT").await;
    assert_eq!((text(&out.copied), out.status), ("***\n".to_owned(), b'I'));
    let copy = "COPY notes (id, body) FROM STDIN";
    extended(&mut ana, copy).await;
    assert_eq!(sent(&mut ana, b"1\ta\n2\tb\n").await.tags, ["COPY 2"]);
    extended(&mut ana, copy).await;
    let twice = sent(&mut ana, b"1\tagain\n").await;
    assert_eq!((twice.error.as_deref(), twice.status), (Some("23505"), b'I'));
    extended(&mut ana, copy).await;
    assert_eq!(sent(&mut ana, b"x\n").await.error.as_deref(), Some("22P02"));
    let left = ana.query("SELECT body FROM notes ORDER BY id").await;
    assert_eq!(left.rows, [["a"], ["b"]]);
    let refused = extended(&mut ana, "COPY customers FROM STDIN").await;
    assert_eq!((refused.error.as_deref(), refused.status), (Some("42501"), b'I'));
}

/// Parse, Bind, Execute and Sync in one go, as libpq does it.
pub(super) async fn extended(client: &mut Raw, sql: &str) -> Answer {
    let mut out = BytesMut::new();
    encode::parse(&mut out, &Parse { name: "", sql, types: Vec::new() }).unwrap();
    let (formats, parameters, result_formats) = (Vec::new(), Vec::new(), Vec::new());
    let bind = Bind { portal: "", statement: "", formats, parameters, result_formats };
    encode::bind(&mut out, &bind).unwrap();
    encode::execute(&mut out, &Execute { portal: "", max_rows: 0 }).unwrap();
    encode::sync(&mut out);
    client.send(&out).await;
    client.answer().await
}

pub(super) async fn sent(client: &mut Raw, data: &[u8]) -> Answer {
    let mut out = BytesMut::new();
    encode::copy_data(&mut out, data).unwrap();
    encode::copy_done(&mut out);
    encode::sync(&mut out);
    client.send(&out).await;
    client.answer().await
}

#[tokio::test]
async fn a_copy_from_the_client_by_a_simple_query() {
    let world = World::start(&[]);
    world
        .postgres
        .psql_in("support", "CREATE TABLE notes (id int PRIMARY KEY, body text)")
        .unwrap();
    world.wait_for_relation("ana", "notes").await;
    let mut ana = world.raw("ana").await;
    ana.query("COPY notes FROM STDIN").await;
    let mut out = BytesMut::new();
    encode::copy_data(&mut out, b"1\ta\n").unwrap();
    encode::copy_done(&mut out);
    ana.send(&out).await;
    assert_eq!(ana.answer().await.tags, ["COPY 1"]);
    ana.query("COPY notes FROM STDIN").await;
    let mut out = BytesMut::new();
    encode::copy_fail(&mut out, "no more").unwrap();
    ana.send(&out).await;
    assert_eq!(ana.answer().await.error.as_deref(), Some("57014"));
    assert_eq!(ana.query("SELECT count(*) FROM notes").await.rows, [["1"]]);
}
