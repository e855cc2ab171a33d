//! A name may never mean another statement or portal on the server than the one that was judged.

use super::{Table, TransactionStatus, encode};
use crate::tests::{Bind, Execute, Parse, Target};

const PLAIN: &str = "SELECT $1::int8[]";
const GUARDED: &str = "SELECT email FROM customers";

pub(super) fn parse(table: &mut Table, name: &str, sql: &str) {
    let types = Vec::new();
    table.client(|out| encode::parse(out, &Parse { name, sql, types }).unwrap());
}

pub(super) fn bind(table: &mut Table, portal: &str, statement: &str) {
    bind_with(table, portal, statement, Vec::new());
}

pub(super) fn bind_with(
    table: &mut Table,
    portal: &str,
    statement: &str,
    parameters: Vec<Option<&[u8]>>,
) {
    let (formats, result_formats) = (Vec::new(), Vec::new());
    let bind = Bind { portal, statement, formats, parameters, result_formats };
    table.client(|out| encode::bind(out, &bind).unwrap());
}

pub(super) fn execute(table: &mut Table, portal: &str) {
    table.client(|out| encode::execute(out, &Execute { portal, max_rows: 0 }).unwrap());
}

pub(super) fn fails(table: &mut Table, sqlstate: &'static str) {
    let fields = postern_wire::ReportFields(vec![
        (b'S', "ERROR"),
        (b'V', "ERROR"),
        (b'C', sqlstate),
        (b'M', "no"),
    ]);
    table.server(|out| encode::report_fields(out, b'E', &fields).unwrap());
}

#[test]
fn names_that_the_server_takes_for_one_stay_apart() {
    let mut table = Table::new();
    let long = "n".repeat(60);
    parse(&mut table, &format!("{long}1"), PLAIN);
    table.client(|out| encode::close(out, Target::Statement(&format!("{long}2"))).unwrap());
    parse(&mut table, &format!("{long}2"), GUARDED);
    bind_with(&mut table, "", &format!("{long}1"), vec![Some(b"1")]);
    let told = table.told();
    assert!(told[0].starts_with(r#"server < parse "postern_s_1" SELECT $1"#), "{told:?}");
    assert!(
        told[2].starts_with(r#"server < parse "postern_s_2" SELECT customers.email"#),
        "{told:?}"
    );
    assert!(told[3].starts_with(r#"server < bind "" "postern_s_1" 1 parameters"#), "{told:?}");
}

#[test]
fn what_comes_after_a_sync_waits_for_its_answer() {
    let mut table = Table::new();
    parse(&mut table, "", GUARDED);
    assert!(table.session.takes_client());
    table.client(encode::sync);
    assert!(!table.session.takes_client(), "the parse may have been skipped");
    assert!(table.session.wants_client(), "that the client is gone must be noticed");
    table.server(encode::parse_complete).ready(TransactionStatus::Idle);
    assert!(table.session.takes_client());
    table.query("SELECT name FROM products");
    assert!(!table.session.takes_client());
}

#[test]
fn a_skipped_statement_is_forgotten_and_a_skipped_close_taken_back() {
    let mut table = Table::new();
    parse(&mut table, "", GUARDED);
    parse(&mut table, "s", GUARDED);
    table.client(encode::sync);
    table.server(encode::parse_complete).server(encode::parse_complete);
    table.ready(TransactionStatus::Idle).told();
    bind(&mut table, "", "s");
    parse(&mut table, "", PLAIN);
    table.client(|out| encode::close(out, Target::Statement("s")).unwrap());
    parse(&mut table, "s", PLAIN);
    table.client(encode::sync);
    fails(&mut table, "22012");
    table.ready(TransactionStatus::Idle).told();
    bind(&mut table, "", "s");
    bind(&mut table, "", "");
    let told = table.told();
    assert!(told[0].starts_with(r#"server < bind "" "postern_s_1" 1 parameters"#), "{told:?}");
    assert!(told[1].contains("postern_refused"), "{told:?}");
}

#[test]
fn a_portal_that_was_not_made_anew_is_not_executed() {
    let mut table = Table::new();
    table.query("BEGIN").completed("BEGIN").ready(TransactionStatus::InTransaction);
    parse(&mut table, "a", GUARDED);
    parse(&mut table, "b", "SELECT name FROM products");
    bind(&mut table, "p", "a");
    table.client(encode::sync);
    table.server(encode::parse_complete).server(encode::parse_complete);
    table.server(encode::bind_complete).ready(TransactionStatus::InTransaction).told();
    bind(&mut table, "p", "b");
    table.client(encode::sync);
    fails(&mut table, "42P03");
    table.ready(TransactionStatus::Failed).told();
    execute(&mut table, "p");
    assert!(table.told()[0].contains("postern_refused"));
}

#[test]
fn a_query_that_the_server_skips_is_not_waited_for() {
    let mut table = Table::new();
    parse(&mut table, "", "SELECT name FROM products");
    table.query("SELECT name FROM products");
    fails(&mut table, "42601");
    assert!(table.session.takes_client());
    table.told();
    table.query("SELECT name FROM products");
    assert_eq!(table.told(), Vec::<String>::new(), "dropped up to the Sync, as by the server");
    table.client(encode::sync).ready(TransactionStatus::Idle);
    assert_eq!(table.told(), ["server < sync", "client < ready I"]);
    table.query("SELECT email FROM customers WHERE id > 1");
    fails(&mut table, "22P02");
    table.told();
    table.recorded(1, 0);
    let told = table.told();
    assert!(told[1].ends_with("statement on protected data: invalid text representation"));
}

#[test]
fn no_value_of_the_clients_takes_the_place_of_a_hidden_one() {
    let mut table = Table::new();
    parse(&mut table, "", GUARDED);
    table.server(encode::parse_complete).told();
    bind_with(&mut table, "", "", vec![Some(b"{13577}")]);
    let told = table.told();
    assert!(!told.iter().any(|line| line.starts_with("server < bind")), "{told:?}");
    fails(&mut table, "42601");
    let told = table.told();
    assert!(told[0].starts_with("client < error 08P01"), "{told:?}");
}
