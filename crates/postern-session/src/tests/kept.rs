//! Prepared statements and cursors in SQL.

use super::{Table, TransactionStatus, encode, extended, holds::error};
use crate::tests::{Bind, Execute, Target};

const LOOKUP: &str = "PREPARE p (text) AS SELECT id FROM customers WHERE email = $1";

fn begin(table: &mut Table) {
    table.query("BEGIN").completed("BEGIN").ready(TransactionStatus::InTransaction).told();
}

fn prepared(table: &mut Table, sql: &str) {
    table.query(sql).completed("PREPARE").ready(TransactionStatus::Idle).told();
}

fn declared(table: &mut Table, sql: &str) {
    table.query(sql).completed("DECLARE CURSOR").ready(TransactionStatus::InTransaction).told();
}

fn bound(table: &mut Table, statement: &str, parameters: &[&str]) {
    table.client(|out| {
        let parameters = parameters.iter().map(|p| Some(p.as_bytes())).collect();
        let (formats, result_formats) = (Vec::new(), Vec::new());
        let bind = Bind { portal: "", statement, formats, parameters, result_formats };
        encode::bind(out, &bind).unwrap();
        encode::execute(out, &Execute { portal: "", max_rows: 0 }).unwrap();
        encode::sync(out);
    });
}

#[test]
fn what_sql_prepares_is_the_gateways_own_and_runs_with_the_keys_of_the_moment() {
    let mut table = Table::new();
    table.query("PREPARE p (bigint) AS SELECT email FROM customers WHERE id = $1");
    let told = table.told();
    assert!(
        told[0].starts_with("server < query PREPARE postern_s_1 (bigint) AS SELECT"),
        "{told:?}"
    );
    assert!(told[0].contains("ANY($2"), "{told:?}");
    table.completed("PREPARE").ready(TransactionStatus::Idle).told();
    table.query("EXECUTE p(1)");
    assert_eq!(table.told(), [r#"server < query EXECUTE postern_s_1(1, '{"1","3"}')"#]);
    table.described(&["email", "pk_k1"]).rows(&[&["one@example.org", "1"]]);
    table.completed("SELECT 1").ready(TransactionStatus::Idle);
    assert_eq!(table.told(), ["client < columns email", "hold 1 [1:clear]"]);
    table.recorded(1, 1);
    assert_eq!(table.told()[0], "release 1: 1");
}

#[test]
fn statements_of_sql_and_of_the_protocol_share_their_names() {
    let mut table = Table::new();
    prepared(&mut table, "PREPARE p (bigint) AS SELECT email FROM customers WHERE id = $1");
    bound(&mut table, "p", &["7"]);
    let told = table.told();
    assert_eq!(told[0], r#"server < bind "" "postern_s_1" 2 parameters, last {}"#);
    table.server(encode::bind_complete).rows(&[&["***", "7"]]);
    table.completed("SELECT 1").ready(TransactionStatus::Idle);
    assert_eq!(table.told(), ["client < BindComplete", "hold 1 [7:masked]"]);

    let mut table = Table::new();
    extended(&mut table, "SELECT email FROM customers WHERE id = $1", &["1"]);
    table.told();
    table.server(|out| {
        encode::parse_complete(out);
        encode::parameter_description(out, &[20, 1016]).unwrap();
    });
    table.described(&["email", "pk_k1"]).server(encode::bind_complete);
    table.completed("SELECT 0").ready(TransactionStatus::Idle).told();
    table.query("EXECUTE s(7)");
    assert_eq!(table.told(), [r#"server < query EXECUTE postern_s_1(7, '{"1","3"}')"#]);
    table.completed("SELECT 0").ready(TransactionStatus::Idle).told();
    table.query("DEALLOCATE s");
    assert_eq!(table.told(), ["server < query DEALLOCATE postern_s_1"]);
}

#[test]
fn what_was_never_prepared_fails_on_the_server_under_the_clients_name() {
    let mut table = Table::new();
    table.query("EXECUTE nothing");
    assert_eq!(table.told(), ["server < query EXECUTE postern_s_0"]);
    table.server(|out| error(out, "26000", "prepared statement \"postern_s_0\" does not exist"));
    table.ready(TransactionStatus::Idle);
    assert_eq!(
        table.told(),
        [r#"client < error 26000 prepared statement "nothing" does not exist"#, "client < ready I"]
    );
}

#[test]
fn a_name_is_taken_once_and_free_again_after_a_failure() {
    let mut table = Table::new();
    prepared(&mut table, "PREPARE p AS SELECT name FROM products");
    table.query("PREPARE p AS SELECT email FROM customers");
    assert_eq!(table.told()[0], r#"client < error 42P05 prepared statement "p" already exists"#);
    table.query("DEALLOCATE p; PREPARE p AS SELECT id FROM products; SELECT 1").told();
    table.completed("DEALLOCATE");
    table.server(|out| error(out, "42703", "no")).ready(TransactionStatus::Idle).told();
    table.query("EXECUTE p");
    assert_eq!(table.told(), ["server < query EXECUTE postern_s_0"]);
}

#[test]
fn what_was_deallocated_in_vain_is_still_there() {
    let mut table = Table::new();
    prepared(&mut table, "PREPARE p AS SELECT name FROM products");
    table.query("SELECT 1; DEALLOCATE ALL").told();
    table.server(|out| error(out, "57014", "no")).ready(TransactionStatus::Idle).told();
    table.query("EXECUTE p");
    assert_eq!(table.told(), ["server < query EXECUTE postern_s_1"]);
    table.completed("SELECT 0").ready(TransactionStatus::Idle).told();
    table.query("DEALLOCATE ALL").completed("DEALLOCATE ALL").ready(TransactionStatus::Idle).told();
    table.query("EXECUTE p");
    assert_eq!(table.told(), ["server < query EXECUTE postern_s_0"]);
}

#[test]
fn a_lookup_by_execute_is_told_and_its_value_is_a_constant() {
    let mut table = Table::new();
    prepared(&mut table, LOOKUP);
    table.query("EXECUTE p('a@b.c')").told();
    table.completed("SELECT 0").ready(TransactionStatus::Idle);
    assert_eq!(table.told(), ["hold 1 [] miss"]);
    let mut table = Table::new();
    prepared(&mut table, LOOKUP);
    table.query("EXECUTE p(lower('A@B.C'))");
    assert!(table.told()[0].starts_with("client < error 42501"), "{:?}", table.told());
    table.query("EXECUTE p('a', 'b')");
    assert!(table.told()[0].starts_with("client < error 42601 wrong number"));
}

#[test]
fn fetched_rows_are_held_as_selected_ones_under_the_keys_of_declare() {
    let mut table = Table::new();
    begin(&mut table);
    table.query("DECLARE c CURSOR FOR SELECT email FROM customers");
    let told = table.told();
    assert!(
        told[0].starts_with("server < query DECLARE postern_p_1 CURSOR FOR SELECT"),
        "{told:?}"
    );
    assert!(told[0].contains(r#"'{"1","3"}'"#), "{told:?}");
    table.completed("DECLARE CURSOR").ready(TransactionStatus::InTransaction).told();
    table.query("FETCH 2 FROM c");
    assert_eq!(table.told(), ["server < query FETCH FORWARD 2 FROM postern_p_1"]);
    table.described(&["email", "pk_k1"]).rows(&[&["one", "1"], &["***", "2"]]);
    table.completed("FETCH 2").ready(TransactionStatus::InTransaction);
    assert_eq!(table.told(), ["client < columns email", "hold 1 [1:clear 2:masked]"]);
}

#[test]
fn a_reason_that_ended_since_declare_cuts_the_fetch() {
    let mut table = Table::new();
    begin(&mut table);
    declared(&mut table, "DECLARE c CURSOR FOR SELECT email FROM customers");
    table.entitled = super::entitled(&["3"]).into();
    table.query("FETCH 2 FROM c").told();
    table.rows(&[&["three", "3"], &["one", "1"]]).completed("FETCH 2");
    table.ready(TransactionStatus::InTransaction).told();
    table.recorded(1, 2);
    let told = table.told();
    assert_eq!(told[0], "release 1: 1");
    assert!(told[1].starts_with("client < error 40001"), "{told:?}");
}

#[test]
fn a_move_over_protected_rows_is_recorded_and_shows_none() {
    let mut table = Table::new();
    begin(&mut table);
    declared(&mut table, "DECLARE c CURSOR FOR SELECT email FROM customers");
    table.query("MOVE ALL FROM c");
    assert_eq!(table.told(), ["server < query FETCH FORWARD ALL FROM postern_p_1"]);
    table.described(&["email", "pk_k1"]).rows(&[&["one", "1"], &["***", "2"]]);
    table.completed("FETCH 2").ready(TransactionStatus::InTransaction);
    assert_eq!(table.told(), ["hold 1 [1:masked 2:masked]"]);
    table.recorded(1, 2);
    assert_eq!(table.told(), ["release 1: 2", "client < MOVE 2", "client < ready T"]);
}

#[test]
fn cursors_end_with_their_transaction_and_their_names_mean_nothing_then() {
    let mut table = Table::new();
    begin(&mut table);
    declared(&mut table, "DECLARE c CURSOR FOR SELECT email FROM customers");
    table.query("DECLARE c CURSOR FOR SELECT name FROM products");
    assert_eq!(table.told().last().unwrap(), "server < query postern refused this statement");
    table.server(|out| error(out, "42601", "no")).ready(TransactionStatus::Failed);
    assert!(table.told()[0].starts_with("client < error 42P03"));
    table.query("ROLLBACK").completed("ROLLBACK").ready(TransactionStatus::Idle).told();
    begin(&mut table);
    table.query("FETCH c");
    assert_eq!(table.told(), ["server < query FETCH FORWARD 1 FROM postern_p_0"]);
}

#[test]
fn a_cursor_that_a_savepoint_took_with_it_can_be_declared_anew_as_another_one() {
    let mut table = Table::new();
    begin(&mut table);
    declared(&mut table, "DECLARE c CURSOR FOR SELECT email FROM customers");
    table.query("ROLLBACK TO s").completed("ROLLBACK").ready(TransactionStatus::InTransaction);
    table.told();
    table.query("DECLARE c CURSOR FOR SELECT name FROM products");
    assert_eq!(
        table.told(),
        ["server < query DECLARE postern_p_2 CURSOR FOR SELECT products.name FROM public.products"]
    );
}

#[test]
fn a_declared_cursor_is_a_portal_of_the_protocol_too() {
    let mut table = Table::new();
    begin(&mut table);
    declared(&mut table, "DECLARE c CURSOR FOR SELECT email FROM customers");
    table.client(|out| {
        encode::describe(out, Target::Portal("c")).unwrap();
        encode::execute(out, &Execute { portal: "c", max_rows: 1 }).unwrap();
        encode::sync(out);
    });
    table.told();
    table.described(&["email", "pk_k1"]).rows(&[&["one", "1"]]).server(encode::portal_suspended);
    assert_eq!(table.told(), ["client < columns email", "hold 1 [1:clear]"]);
}

#[test]
fn by_the_extended_protocol_a_statement_of_sql_is_made_anew_for_each_bind() {
    let mut table = Table::new();
    begin(&mut table);
    declared(&mut table, "DECLARE c CURSOR FOR SELECT email FROM customers");
    extended(&mut table, "FETCH 1 FROM c", &[]);
    let told = table.told();
    assert_eq!(told[0], r#"server < parse "postern_s_2" FETCH FORWARD 1 FROM postern_p_1"#);
    assert_eq!(told[2], r#"server < parse "postern_s_3" FETCH FORWARD 1 FROM postern_p_1"#);
    assert!(told[3].starts_with(r#"server < bind "" "postern_s_3" 0 parameters"#), "{told:?}");
    table.server(|out| {
        encode::parse_complete(out);
        encode::parameter_description(out, &[]).unwrap();
    });
    table.described(&["email", "pk_k1"]).server(|out| {
        encode::parse_complete(out);
        encode::bind_complete(out);
        encode::close_complete(out);
    });
    table.rows(&[&["one", "1"]]).completed("FETCH 1").ready(TransactionStatus::InTransaction);
    assert_eq!(
        table.told(),
        [
            "client < ParseComplete",
            "client < parameters 0",
            "client < columns email",
            "client < BindComplete",
            "hold 1 [1:clear]"
        ]
    );
}

#[test]
fn a_cursor_on_single_records_passes_none_over() {
    let over = |sql: &str| {
        let mut table = Table::new();
        begin(&mut table);
        declared(&mut table, &format!("DECLARE c CURSOR FOR SELECT email FROM customers{sql}"));
        table
    };
    for jump in ["FETCH ABSOLUTE 2 FROM c", "MOVE LAST FROM c", "FETCH RELATIVE 3 FROM c"] {
        let mut table = over(" WHERE id IN (1, 2 + 0)");
        table.query(jump);
        assert_eq!(table.told(), ["server < query postern refused this statement"], "{jump}");
        table.server(|out| error(out, "42601", "syntax error at or near \"postern\""));
        table.ready(TransactionStatus::Failed);
        let told = table.told();
        assert!(told[0].starts_with("client < error 42501 rows of single records"), "{told:?}");
    }
    let mut table = over(" WHERE id IN (1, 2)");
    table.query("FETCH 2 FROM c");
    assert_eq!(table.told(), ["server < query FETCH FORWARD 2 FROM postern_p_1"]);
    let mut table = over("");
    table.query("FETCH ABSOLUTE 2 FROM c");
    assert_eq!(table.told(), ["server < query FETCH ABSOLUTE 2 FROM postern_p_1"]);
}

/// It was to outlive its transaction: what it holds is not protected.
#[test]
fn a_cursor_with_hold_is_there_after_a_commit_and_not_after_a_rollback() {
    let hold = "DECLARE c CURSOR WITH HOLD FOR SELECT name FROM products";
    for (ends, tag, stays) in [("COMMIT", "COMMIT", true), ("ROLLBACK", "ROLLBACK", false)] {
        let mut table = Table::new();
        begin(&mut table);
        declared(&mut table, hold);
        table.query(ends).completed(tag).ready(TransactionStatus::Idle).told();
        table.query("FETCH 2 FROM c");
        let told = table.told().concat();
        assert_eq!(told.contains("FETCH FORWARD 2 FROM postern_p_1"), stays, "{told}");
    }
    let mut table = Table::new();
    begin(&mut table);
    declared(&mut table, hold);
    table.query("COMMIT").completed("COMMIT").ready(TransactionStatus::Idle).told();
    table.query("CLOSE c");
    assert!(table.told().concat().contains("CLOSE postern_p_1"));
    table.completed("CLOSE CURSOR").ready(TransactionStatus::Idle).told();
    table.query("FETCH 2 FROM c");
    assert!(!table.told().concat().contains("postern_p_1"));
}

#[test]
fn a_cursor_with_hold_keeps_its_connection_and_goes_with_an_error() {
    let mut table = Table::new();
    begin(&mut table);
    declared(&mut table, "DECLARE c CURSOR WITH HOLD FOR SELECT name FROM products");
    assert!(table.session.traces().kept);
    table.query("SELECT 1").server(|out| error(out, "22012", "division by zero"));
    table.ready(TransactionStatus::Failed).told();
    table.query("COMMIT").completed("ROLLBACK").ready(TransactionStatus::Idle).told();
    table.query("FETCH 2 FROM c");
    assert!(!table.told().concat().contains("postern_p_1"));
}
