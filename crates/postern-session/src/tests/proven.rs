//! What SQL keeps by name and COPY: nothing leaves and nothing is written before it is proven.

use super::{Table, TransactionStatus, encode, holds::error};
use crate::tests::{Bind, Execute, Parse};
use postern_wire::CopyFormats;

const CHANGED: &str =
    "client < error 40001 definitions in the database have changed while this statement ran";

/// A restricted actor; the catalogue is of generation 1.
fn table() -> Table {
    Table::with_proofs(true)
}

fn begin(table: &mut Table) {
    table.query("BEGIN").completed("BEGIN").ready(TransactionStatus::InTransaction).told();
}

fn prepare(table: &mut Table, sql: &str) {
    table.query(sql).completed("PREPARE").ready(TransactionStatus::Idle);
    let told = table.told();
    assert_eq!(told[1..], ["client < PREPARE", "client < ready I"], "it shows nothing");
}

fn declare(table: &mut Table, generation: u64) {
    begin(table);
    table.query("DECLARE c CURSOR FOR SELECT id, name FROM customers");
    table.completed("DECLARE CURSOR").ready(TransactionStatus::InTransaction);
    assert_eq!(table.told()[1..], ["prove 1"]);
    table.proven(1, generation);
}

/// The server's answer to a statement of the gateway's own.
fn own(table: &mut Table, tag: &str) {
    table.server(|out| {
        encode::parse_complete(out);
        encode::bind_complete(out);
        encode::no_data(out);
    });
    table.completed(tag);
}

fn takes_rows(table: &mut Table) {
    let formats = CopyFormats { overall: 0, columns: vec![0; 2] };
    table.server(|out| encode::copy_in_response(out, &formats).unwrap());
}

/// Neither row nor tag, whatever is recorded.
fn withheld(table: &mut Table, held: bool) {
    if held {
        table.recorded(1, 1);
    }
    let told = table.told();
    let says = |line: &&String| *line != "release 1: 0" && !line.starts_with("prove");
    let told: Vec<_> = told.iter().filter(says).collect();
    let [changed, ready] = told[..] else { panic!("{told:?}") };
    assert_eq!(changed, CHANGED);
    assert!(ready.starts_with("client < ready"), "{told:?}");
}

#[test]
fn what_execute_gives_is_withheld_when_its_proof_fails() {
    let plain = "PREPARE p AS SELECT name FROM products";
    for (sql, row) in
        [(plain, &["pen"][..]), ("PREPARE p AS SELECT name FROM customers", &["One", "1"])]
    {
        let mut table = table();
        prepare(&mut table, sql);
        table.query("EXECUTE p").rows(&[row]).completed("SELECT 1").ready(TransactionStatus::Idle);
        let told = table.told();
        assert!(told.contains(&"prove 1".to_owned()), "{told:?}");
        assert!(!told.iter().any(|line| line.starts_with("client")), "{told:?}");
        table.proven(1, 2);
        withheld(&mut table, sql != plain);
    }
}

#[test]
fn what_is_prepared_is_proven_by_the_catalogue_of_its_execution() {
    let mut table = table();
    prepare(&mut table, "PREPARE p AS SELECT name FROM products");
    table.generation = 2;
    table.query("EXECUTE p").rows(&[&["pen"]]).told();
    table.proven(1, 2);
    assert_eq!(table.told(), ["client < row pen"]);
}

#[test]
fn a_cursor_whose_declaration_was_not_proven_never_shows_a_row() {
    let mut table = table();
    declare(&mut table, 2);
    assert_eq!(table.told(), [CHANGED, "client < ready T"]);
    // The present catalogue is not the one by which the cursor was judged.
    table.generation = 2;
    table.query("FETCH 1 FROM c").rows(&[&["1", "One", "1"]]).completed("FETCH 1");
    table.ready(TransactionStatus::InTransaction).told();
    table.proven(2, 2);
    withheld(&mut table, true);
}

#[test]
fn a_cursor_that_is_proven_goes_on_after_a_change() {
    let mut table = table();
    declare(&mut table, 1);
    assert_eq!(table.told(), ["client < DECLARE CURSOR", "client < ready T"]);
    table.generation = 2;
    table.query("FETCH 1 FROM c").rows(&[&["1", "One", "1"]]).completed("FETCH 1");
    assert_eq!(table.told()[1..], ["hold 1 [1:clear]"]);
    table.recorded(1, 1);
    assert_eq!(table.told(), ["release 1: 1", "client < FETCH 1"]);
}

#[test]
fn rows_fetched_in_the_text_of_the_declaration_wait_for_its_proof() {
    let mut table = table();
    begin(&mut table);
    table.query("DECLARE c CURSOR FOR SELECT name FROM products; FETCH 1 FROM c");
    table.completed("DECLARE CURSOR").rows(&[&["pen"]]).completed("FETCH 1");
    table.ready(TransactionStatus::InTransaction);
    assert_eq!(table.told()[1..], ["prove 1"]);
    table.proven(1, 2);
    withheld(&mut table, false);
}

#[test]
fn copied_rows_are_withheld_when_the_proof_fails() {
    for (sql, line) in [
        ("COPY products TO STDOUT", "1\tpen\n"),
        ("COPY (SELECT id, name FROM products) TO STDOUT", "1\tpen\n"),
        ("COPY (SELECT name FROM customers) TO STDOUT", "One\t1\n"),
    ] {
        let mut table = table();
        table.query(sql);
        let formats = CopyFormats { overall: 0, columns: vec![0; 2] };
        table.server(|out| {
            encode::copy_out_response(out, &formats).unwrap();
            encode::copy_data(out, line.as_bytes()).unwrap();
            encode::copy_done(out);
        });
        table.completed("COPY 1").ready(TransactionStatus::Idle);
        let told = table.told();
        assert_eq!(told[1], "prove 1", "{told:?}");
        assert!(!told.iter().any(|line| line.starts_with("client")), "{told:?}");
        table.proven(1, 2);
        withheld(&mut table, sql.contains("customers"));
    }
}

#[test]
fn a_copy_from_the_client_takes_no_row_before_it_is_proven() {
    let mut table = table();
    table.query("COPY products FROM STDIN");
    takes_rows(&mut table);
    assert_eq!(table.told()[1..], ["prove 1"]);
    assert!(!table.session.takes_client(), "a client that sends unasked waits");
    table.proven(1, 1);
    assert_eq!(table.told(), ["client < CopyInResponse"]);
    assert!(table.session.takes_client());
    table.client(|out| encode::copy_data(out, b"1\tpen\n").unwrap()).client(encode::copy_done);
    table.completed("COPY 1").ready(TransactionStatus::Idle);
    let told = table.told();
    assert_eq!(told, ["server < d", "server < c", "client < COPY 1", "client < ready I"]);
}

#[test]
fn a_copy_from_the_client_whose_proof_fails_is_made_to_fail() {
    let mut table = table();
    table.query("COPY products FROM STDIN");
    takes_rows(&mut table);
    table.told();
    table.proven(1, 2);
    assert_eq!(table.told(), [CHANGED, "server < f", "cancel"]);
    table.input(crate::Input::Cancelled);
    table.server(|out| error(out, "57014", "COPY from stdin failed"));
    table.ready(TransactionStatus::Idle);
    assert_eq!(table.told(), ["client < ready I"]);
    assert!(table.session.is_idle());
}

#[test]
fn a_copy_by_the_extended_protocol_whose_proof_fails_is_made_to_fail() {
    let mut table = table();
    let (formats, parameters, result_formats) = (Vec::new(), Vec::new(), Vec::new());
    table.client(|out| {
        let parse = Parse { name: "", sql: "COPY products FROM STDIN", types: Vec::new() };
        encode::parse(out, &parse).unwrap();
        let bind = Bind { portal: "", statement: "", formats, parameters, result_formats };
        encode::bind(out, &bind).unwrap();
        encode::execute(out, &Execute { portal: "", max_rows: 0 }).unwrap();
    });
    table.server(|out| {
        encode::parse_complete(out);
        encode::bind_complete(out);
    });
    takes_rows(&mut table);
    table.told();
    table.proven(1, 2);
    let told = table.told();
    assert_eq!(told[..2], [CHANGED, "server < f"], "{told:?}");
    table.input(crate::Input::Cancelled);
    table.server(|out| error(out, "57014", "COPY from stdin failed"));
    table.client(encode::sync).ready(TransactionStatus::Idle);
    assert_eq!(table.told(), ["server < sync", "client < ready I"]);
    assert!(table.session.is_idle());
}

#[test]
fn a_copy_that_begins_after_its_text_was_cut_is_made_to_fail() {
    let mut table = table();
    table.query("SELECT name FROM products; COPY products FROM STDIN");
    table.rows(&[&["pen"]]).completed("SELECT 1").told();
    table.proven(1, 2);
    assert_eq!(table.told(), [CHANGED, "cancel"]);
    takes_rows(&mut table);
    assert_eq!(table.told(), ["server < f"]);
}

#[test]
fn a_copy_among_writes_takes_its_rows_and_what_follows_waits() {
    let mut table = table();
    table.query("DELETE FROM products; COPY products FROM STDIN; SELECT name FROM products");
    let told = table.told();
    assert!(told.iter().any(|line| line.contains("COPY")), "{told:?}");
    assert!(!told.iter().any(|line| line.contains("SELECT")), "{told:?}");
    own(&mut table, "DELETE 1");
    table.server(|out| {
        encode::parse_complete(out);
        encode::bind_complete(out);
        encode::no_data(out);
    });
    takes_rows(&mut table);
    table.proven(1, 1).proven(2, 1);
    let told = table.told();
    assert_eq!(told.last().map(String::as_str), Some("client < CopyInResponse"), "{told:?}");
    table.client(encode::copy_done);
    let told = table.told();
    assert_eq!(told[0], "server < c");
    assert!(told[1].starts_with("server < parse \"\" SELECT"), "{told:?}");
    assert_eq!(told.last().map(String::as_str), Some("server < sync"), "{told:?}");
}

#[test]
fn a_write_by_execute_or_explain_is_committed_only_after_its_proof() {
    let mut table = table();
    prepare(&mut table, "PREPARE p AS DELETE FROM products");
    for sql in ["EXECUTE p", "EXPLAIN ANALYZE DELETE FROM products"] {
        table.query(sql);
        let told = table.told();
        assert!(told[0].starts_with("server < parse"), "{told:?}");
        assert_eq!(told.last().map(String::as_str), Some("server < flush"), "{told:?}");
        own(&mut table, "DELETE 1");
        let told = table.told();
        let proof = told[0].strip_prefix("prove ").unwrap().parse().unwrap();
        table.proven(proof, 1);
        assert_eq!(table.told(), ["client < DELETE 1", "server < sync"]);
        table.ready(TransactionStatus::Idle).told();
    }
}

#[test]
fn what_was_not_run_has_changed_no_name() {
    let mut table = table();
    prepare(&mut table, "PREPARE p AS SELECT name FROM products");
    table.query("DEALLOCATE p; DELETE FROM products; COMMIT; PREPARE p AS SELECT id FROM products");
    table.told();
    table.server(|out| {
        encode::parse_complete(out);
        encode::bind_complete(out);
        encode::no_data(out);
        error(out, "57014", "no");
    });
    table.ready(TransactionStatus::Idle).told();
    table.query("EXECUTE p");
    assert_eq!(table.told(), ["server < query EXECUTE postern_s_1"]);
}

#[test]
fn what_is_sent_behind_a_cut_statement_is_not_committed() {
    let mut table = table();
    table.client(|out| {
        for sql in ["SELECT name FROM customers", "DELETE FROM products"] {
            encode::parse(out, &Parse { name: "", sql, types: Vec::new() }).unwrap();
            let (formats, parameters, result_formats) = (Vec::new(), Vec::new(), Vec::new());
            let bind = Bind { portal: "", statement: "", formats, parameters, result_formats };
            encode::bind(out, &bind).unwrap();
            encode::execute(out, &Execute { portal: "", max_rows: 0 }).unwrap();
        }
        encode::sync(out);
    });
    for tag in ["SELECT 1", "DELETE 1"] {
        table.server(|out| {
            encode::parse_complete(out);
            encode::bind_complete(out);
        });
        if tag == "SELECT 1" {
            table.rows(&[&["One", "1"]]);
        }
        table.completed(tag);
    }
    table.told();
    table.input(crate::Input::NotRecorded { hold: 1, why: crate::Unrecorded::Failed });
    let told = table.told();
    assert!(told[0].starts_with("client < error 58030"), "{told:?}");
    let refused = "server < parse \"postern_refused\" postern refused this statement";
    assert_eq!(told[1..], [refused, "server < sync"]);
    table.server(|out| error(out, "42601", "syntax error")).ready(TransactionStatus::Idle);
    assert_eq!(table.told(), ["client < ready I"]);
    assert!(table.session.is_idle());
}
