//! Nothing leaves, and nothing is committed, before it is proven that the catalogue by which it was
//! judged is the one under which it ran.

use super::{holds::error, *};

const LIST: &str = "SELECT id, name FROM customers";
const PLAIN: &str = "SELECT name FROM products";
const CHANGED: &str =
    "client < error 40001 definitions in the database have changed while this statement ran";

/// A restricted actor; the catalogue is of generation 1.
fn table() -> Table {
    Table::with_proofs(true)
}

#[test]
fn a_plain_statement_waits_for_one_proof_and_then_streams() {
    let mut table = table();
    table.query(PLAIN).told();
    table.described(&["name"]).rows(&[&["pen"], &["ink"]]);
    assert_eq!(table.told(), ["client < columns name", "prove 1"]);
    table.proven(1, 1);
    assert_eq!(table.told(), ["client < row pen", "client < row ink"]);
    table.rows(&[&["cap"]]).completed("SELECT 3").ready(TransactionStatus::Idle);
    assert_eq!(table.told(), ["client < row cap", "client < SELECT 3", "client < ready I"]);
}

#[test]
fn a_failed_proof_withholds_rows_and_tag() {
    for (sql, row) in [(PLAIN, &["pen"][..]), (LIST, &["1", "One", "1"])] {
        let mut table = table();
        table.query(sql).rows(&[row]).completed("SELECT 1").ready(TransactionStatus::Idle);
        table.told();
        table.proven(1, 2);
        if sql == LIST {
            assert_eq!(table.told(), Vec::<String>::new(), "its receipt is still to come");
            table.recorded(1, 1);
        }
        let told = table.told();
        let told: Vec<_> = told.iter().filter(|line| *line != "release 1: 0").collect();
        assert_eq!(told, [CHANGED, "client < ready I"], "{sql}");
        assert!(table.session.is_idle());
    }
}

#[test]
fn recording_and_proof_run_side_by_side_and_both_are_waited_for() {
    for proof_first in [true, false] {
        let mut table = table();
        table.query(LIST).rows(&[&["1", "One", "1"]]).completed("SELECT 1");
        table.ready(TransactionStatus::Idle);
        let told = table.told();
        assert_eq!(told[1..], ["prove 1", "hold 1 [1:clear]"]);
        let first = |table: &mut Table| {
            if proof_first { table.proven(1, 1).told() } else { table.recorded(1, 1).told() }
        };
        assert_eq!(first(&mut table), Vec::<String>::new());
        if proof_first {
            table.recorded(1, 1)
        } else {
            table.proven(1, 1)
        };
        assert_eq!(table.told(), ["release 1: 1", "client < SELECT 1", "client < ready I"]);
    }
}

#[test]
fn an_unknown_catalogue_releases_nothing() {
    let mut table = table();
    table.query(PLAIN).rows(&[&["pen"]]).completed("SELECT 1").ready(TransactionStatus::Idle);
    table.told();
    table.input(Input::Proven { proof: 1, generation: None });
    let told = table.told();
    assert!(told[0].starts_with("client < error 57P03"), "{told:?}");
    assert_eq!(told[1..], ["client < ready I"]);
}

#[test]
fn errors_and_notices_wait_as_well() {
    let mut table = table();
    table.query(PLAIN).told();
    // It may come from the analysis: a proof that began now would be too early.
    table.server(|out| {
        let sqlstate = postern_wire::SqlState::parse("01000").unwrap();
        let severity = encode::Severity::Notice;
        let message = "first";
        let report = encode::Report {
            severity,
            sqlstate,
            message,
            detail: None,
            hint: None,
            position: None,
        };
        encode::notice_response(out, &report);
    });
    assert_eq!(table.told(), Vec::<String>::new());
    table.server(|out| error(out, "22P02", "invalid input syntax: \"secret\""));
    table.ready(TransactionStatus::Idle);
    assert_eq!(table.told(), ["prove 1"]);
    table.proven(1, 2);
    assert_eq!(table.told(), [CHANGED, "client < ready I"]);
}

#[test]
fn one_proof_answers_for_all_gates_before_its_request() {
    let mut table = table();
    table.client(|out| {
        for _ in 0..3 {
            let parse = Parse { name: "", sql: PLAIN, types: Vec::new() };
            encode::parse(out, &parse).unwrap();
            bind(out);
            encode::execute(out, &Execute { portal: "", max_rows: 0 }).unwrap();
        }
        encode::sync(out);
    });
    table.told();
    for _ in 0..3 {
        table.server(|out| {
            encode::parse_complete(out);
            encode::bind_complete(out);
        });
        table.rows(&[&["pen"]]).completed("SELECT 1");
    }
    table.ready(TransactionStatus::Idle);
    let told = table.told();
    assert_eq!(told.iter().filter(|line| line.starts_with("prove")).count(), 1, "{told:?}");
    table.proven(1, 1);
    let told = table.told();
    assert_eq!(told.iter().filter(|line| *line == "client < row pen").count(), 1, "{told:?}");
    assert!(told.contains(&"prove 3".to_owned()), "{told:?}");
    table.proven(3, 1);
    let told = table.told();
    assert_eq!(told.iter().filter(|line| *line == "client < row pen").count(), 2, "{told:?}");
    assert_eq!(told.last().map(String::as_str), Some("client < ready I"));
}

/// Binds the unnamed statement to the unnamed portal.
pub(super) fn bind(out: &mut BytesMut) {
    let bind = Bind {
        portal: "",
        statement: "",
        formats: Vec::new(),
        parameters: Vec::new(),
        result_formats: Vec::new(),
    };
    encode::bind(out, &bind).unwrap();
}

#[test]
fn a_portal_that_is_proven_once_goes_on_after_a_change() {
    let mut table = table();
    table.client(|out| {
        encode::parse(out, &Parse { name: "", sql: PLAIN, types: Vec::new() }).unwrap();
        bind(out);
        encode::execute(out, &Execute { portal: "", max_rows: 1 }).unwrap();
        encode::flush(out);
    });
    table.server(|out| {
        encode::parse_complete(out);
        encode::bind_complete(out);
    });
    table.rows(&[&["pen"]]).server(encode::portal_suspended).proven(1, 1).told();
    table.generation = 2;
    table.client(|out| encode::execute(out, &Execute { portal: "", max_rows: 1 }).unwrap());
    table.rows(&[&["ink"]]);
    assert_eq!(table.told(), ["server < execute \"\"", "client < row ink"]);
}

#[test]
fn a_write_is_committed_only_after_its_proof() {
    let mut table = table();
    extended(&mut table, "UPDATE products SET name = $1", &["x"]);
    let told = table.told();
    assert_eq!(told.last().map(String::as_str), Some("server < flush"), "{told:?}");
    assert!(!table.session.takes_client());
    assert!(table.session.wants_client(), "a client that is gone is noticed");
    updated(&mut table);
    assert_eq!(table.told().last().map(String::as_str), Some("prove 1"));
    table.proven(1, 1);
    assert_eq!(table.told(), ["client < UPDATE 1", "server < sync"]);
    table.ready(TransactionStatus::Idle);
    assert_eq!(table.told(), ["client < ready I"]);
}

/// The server's answer to `extended` with an UPDATE.
fn updated(table: &mut Table) {
    table.server(|out| {
        encode::parse_complete(out);
        encode::parameter_description(out, &[25]).unwrap();
        encode::no_data(out);
        encode::bind_complete(out);
    });
    table.completed("UPDATE 1");
}

#[test]
fn a_write_whose_proof_fails_is_rolled_back() {
    let mut table = table();
    extended(&mut table, "UPDATE products SET name = $1", &["x"]);
    updated(&mut table);
    table.told();
    table.proven(1, 2);
    let refused = "server < parse \"postern_refused\" postern refused this statement";
    assert_eq!(table.told(), [CHANGED, refused, "server < sync"]);
    table.server(|out| error(out, "42601", "syntax error")).ready(TransactionStatus::Idle);
    assert_eq!(table.told(), ["client < ready I"]);
    assert!(table.session.is_idle());
}

#[test]
fn a_simple_write_is_run_so_that_it_can_be_rolled_back() {
    let mut table = table();
    table.query("UPDATE products SET name = 'x' RETURNING name");
    let told = table.told();
    assert!(told[0].starts_with("server < parse \"\" UPDATE"), "{told:?}");
    assert_eq!(
        told[2..],
        ["server < describe Portal(\"\")", "server < execute \"\"", "server < flush"]
    );
    table.server(|out| {
        encode::parse_complete(out);
        encode::bind_complete(out);
    });
    table.described(&["name"]).rows(&[&["x"]]).completed("UPDATE 1");
    assert_eq!(table.told(), ["client < columns name", "prove 1"]);
    table.proven(1, 1);
    assert_eq!(table.told(), ["client < row x", "client < UPDATE 1", "server < sync"]);
    table.ready(TransactionStatus::Idle);
    assert_eq!(table.told(), ["client < ready I"]);
}

#[test]
fn a_commit_in_the_same_text_waits_for_the_proof() {
    let mut table = table();
    table.query("BEGIN; DELETE FROM products; COMMIT");
    let told = table.told();
    assert!(!told.iter().any(|line| line.contains("COMMIT")), "{told:?}");
    for (step, tag) in ["BEGIN", "DELETE 1"].iter().enumerate() {
        table.server(|out| {
            encode::parse_complete(out);
            encode::bind_complete(out);
            encode::no_data(out);
        });
        table.completed(tag);
        let told = table.told();
        assert_eq!(told, if step == 0 { ["client < BEGIN"] } else { ["prove 1"] });
    }
    table.proven(1, 2);
    let told = table.told();
    assert_eq!(told[0], CHANGED);
    assert!(!told.iter().any(|line| line.contains("COMMIT")), "{told:?}");
    assert_eq!(told.last().map(String::as_str), Some("server < sync"), "{told:?}");
}

#[test]
fn what_waits_is_proven_by_the_catalogue_that_it_was_judged_by() {
    let mut table = table();
    table.query("BEGIN; DELETE FROM products; COMMIT; DELETE FROM products").told();
    let answer = |table: &mut Table, tag: &str| {
        table.server(|out| {
            encode::parse_complete(out);
            encode::bind_complete(out);
            encode::no_data(out);
        });
        table.completed(tag);
    };
    answer(&mut table, "BEGIN");
    answer(&mut table, "DELETE 1");
    // The rest is sent under another generation than the one by which it was judged.
    table.generation = 2;
    table.proven(1, 1);
    answer(&mut table, "COMMIT");
    answer(&mut table, "DELETE 1");
    table.told();
    table.proven(2, 2);
    assert_eq!(table.told()[0], CHANGED);
}

#[test]
fn a_query_behind_an_unproven_write_waits() {
    let mut table = table();
    table.client(|out| {
        encode::parse(out, &Parse { name: "", sql: "DELETE FROM products", types: Vec::new() })
            .unwrap();
        bind(out);
        encode::execute(out, &Execute { portal: "", max_rows: 0 }).unwrap();
    });
    table.query(PLAIN);
    let told = table.told();
    assert!(!told.iter().any(|line| line.contains("SELECT")), "{told:?}");
    table.server(|out| {
        encode::parse_complete(out);
        encode::bind_complete(out);
    });
    table.completed("DELETE 1").proven(1, 1);
    assert!(table.told().last().unwrap().contains("SELECT"));
}

#[test]
fn what_does_not_depend_on_the_catalogue_needs_no_proof() {
    let mut table = table();
    table.query("BEGIN").completed("BEGIN").ready(TransactionStatus::InTransaction);
    assert_eq!(table.told()[1..], ["client < BEGIN", "client < ready T"]);
}
