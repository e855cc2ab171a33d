//! The server is asked for the moment behind what it runs, and nobody sees it.

use super::{holds::error, *};

const PLAIN: &str = "SELECT name FROM products";

/// A session that has prepared the question, its actor's first statement over.
fn table() -> Table {
    let mut table = Table::with_proofs(true);
    let mut profile = (*table.session.profile).clone();
    profile.moments = true;
    table.session = Session::new(Arc::new(profile));
    table.query(PLAIN);
    prepared(&mut table);
    table.described(&["name"]).rows(&[&["pen"]]).completed("SELECT 1");
    table.ready(TransactionStatus::Idle).proven(1, 1).told();
    assert!(table.session.is_idle());
    table
}

/// The server's answer to the question's Parse and Sync.
fn prepared(table: &mut Table) {
    table.server(encode::parse_complete).ready(TransactionStatus::Idle);
}

fn executed(out: &mut BytesMut, sql: &str) {
    encode::parse(out, &Parse { name: "", sql, types: Vec::new() }).unwrap();
    super::proofs::bind(out);
    encode::execute(out, &Execute { portal: "", max_rows: 0 }).unwrap();
}

/// The server tells the moment by the extended protocol.
fn moment(table: &mut Table, text: Option<&str>) {
    table.server(|out| {
        encode::bind_complete(out);
        encode::data_row(out, [text.map(str::as_bytes)]).unwrap();
        encode::command_complete(out, "SELECT 1").unwrap();
        encode::close_complete(out);
    });
}

#[test]
fn the_question_is_prepared_before_the_first_statement_and_seen_by_nobody() {
    let mut table = Table::with_proofs(true);
    let mut profile = (*table.session.profile).clone();
    profile.moments = true;
    table.session = Session::new(Arc::new(profile));
    table.query(PLAIN);
    let told = table.told();
    assert!(told[0].starts_with("server < parse \"postern_s_1\" SELECT CASE"), "{told:?}");
    assert_eq!(
        told[1..],
        ["server < sync", "server < query SELECT products.name FROM public.products"]
    );
    prepared(&mut table);
    assert_eq!(table.told(), Vec::<String>::new());
    table.described(&["name"]).rows(&[&["pen"]]);
    assert!(!table.session.awaits_moment(), "behind what was sent before it was there");
    assert_eq!(table.told(), ["client < columns name", "prove 1"]);
}

#[test]
fn what_was_told_before_the_question_was_answered_is_not_told_again() {
    let mut table = Table::with_proofs(true);
    let mut profile = (*table.session.profile).clone();
    (profile.moments, profile.enforcement) = (true, Enforcement::Observe);
    table.session = Session::new(Arc::new(profile));
    let catalogue = Catalogue::from_json(include_str!("catalogue.json")).unwrap();
    let (rules, path) =
        (Arc::new(crate::observing_rules(&tables())), Arc::from(["public".to_owned()]));
    let judge = Judge::new(Some(Arc::new(catalogue)), rules.clone(), path, "pk_".into());
    table.judge = judge.observing(rules, true);
    // Behind it all is told.
    table.query("LISTEN news").recorded(1, 0);
    table.completed("LISTEN").ready(TransactionStatus::Idle).told();
    table.query(PLAIN);
    let told = table.told();
    assert_eq!(told.last().unwrap(), "hold 2 []", "{told:?}");
    // The receipt is there before the server has prepared the question.
    table.recorded(2, 0);
    let told = table.told();
    assert!(!told.iter().any(|line| line.contains("query")), "{told:?}");
    assert!(!table.session.takes_client(), "nothing may overtake it");
    prepared(&mut table);
    let sent = "server < query SELECT products.name FROM public.products;\nEXECUTE postern_s_1";
    assert_eq!(table.told(), [sent]);
}

#[test]
fn one_question_behind_a_pipeline_answers_for_all_of_it() {
    let mut table = table();
    table.client(|out| {
        executed(out, PLAIN);
        executed(out, PLAIN);
        encode::sync(out);
    });
    let told = table.told();
    assert_eq!(
        told[told.len() - 4..],
        [
            "server < bind \"postern_moment\" \"postern_s_1\" 0 parameters, last ",
            "server < execute \"postern_moment\"",
            r#"server < close Portal("postern_moment")"#,
            "server < sync",
        ]
    );
    assert_eq!(told.iter().filter(|line| line.contains("moment")).count(), 3, "{told:?}");
    for _ in 0..2 {
        table.server(|out| {
            encode::parse_complete(out);
            encode::bind_complete(out);
        });
        table.rows(&[&["pen"]]).completed("SELECT 1");
    }
    assert!(table.session.awaits_moment());
    table.told();
    moment(&mut table, Some("7:7:"));
    table.ready(TransactionStatus::Idle);
    assert_eq!(table.told(), ["moment 3: 7:7:"]);
    assert!(!table.session.awaits_moment());
    table.proven(3, 1);
    let told = table.told();
    assert_eq!(told.iter().filter(|line| *line == "client < row pen").count(), 2, "{told:?}");
    assert_eq!(told.last().map(String::as_str), Some("client < ready I"));
    assert!(table.session.is_idle());
}

#[test]
fn a_query_is_asked_behind_in_the_same_message() {
    let mut table = table();
    table.query(PLAIN);
    let sent = "server < query SELECT products.name FROM public.products;\nEXECUTE postern_s_1";
    assert_eq!(table.told(), [sent]);
    table.described(&["name"]).rows(&[&["pen"]]).completed("SELECT 1");
    assert!(table.session.awaits_moment());
    table.described(&["moment"]).rows(&[&["7:7:"]]).completed("SELECT 1");
    table.ready(TransactionStatus::Idle);
    assert_eq!(table.told(), ["client < columns name", "prove 2", "moment 2: 7:7:"]);
    table.proven(2, 1);
    assert_eq!(table.told(), ["client < row pen", "client < SELECT 1", "client < ready I"]);
}

#[test]
fn a_moment_that_says_nothing_is_told_as_such() {
    let mut table = table();
    table.client(|out| {
        executed(out, PLAIN);
        encode::sync(out);
    });
    table.server(|out| {
        encode::parse_complete(out);
        encode::bind_complete(out);
    });
    table.rows(&[&["pen"]]).completed("SELECT 1").told();
    moment(&mut table, None);
    assert_eq!(table.told(), ["moment 2: none"]);
}

#[test]
fn a_statement_that_fails_takes_the_question_with_it() {
    for simple in [false, true] {
        let mut table = table();
        if simple {
            table.query(PLAIN);
        } else {
            table.client(|out| {
                executed(out, PLAIN);
                encode::sync(out);
            });
            table.server(|out| {
                encode::parse_complete(out);
                encode::bind_complete(out);
            });
        }
        table.server(|out| error(out, "22012", "division by zero"));
        table.ready(TransactionStatus::Idle).told();
        assert!(!table.session.awaits_moment());
        table.proven(2, 1);
        let told = table.told();
        assert_eq!(told.last().map(String::as_str), Some("client < ready I"), "{simple}");
        assert!(table.session.is_idle(), "{simple}");
    }
}

/// A server that does not take the question is proven by whoever else can; nobody hears of it.
#[test]
fn a_question_that_is_not_taken_is_not_asked() {
    let mut table = Table::with_proofs(true);
    let mut profile = (*table.session.profile).clone();
    profile.moments = true;
    table.session = Session::new(Arc::new(profile));
    table.query(PLAIN).told();
    table.server(|out| error(out, "42883", "function pg_current_snapshot() does not exist"));
    table.ready(TransactionStatus::Idle);
    assert_eq!(table.told(), Vec::<String>::new());
    table.described(&["name"]).rows(&[&["pen"]]).completed("SELECT 1");
    table.ready(TransactionStatus::Idle).proven(1, 1).told();
    table.query(PLAIN);
    assert_eq!(table.told(), ["server < query SELECT products.name FROM public.products"]);
}

#[test]
fn what_drops_all_statements_is_not_asked_behind() {
    let mut table = table();
    table.query("SELECT name FROM products; DEALLOCATE ALL");
    let told = table.told();
    assert!(!told.iter().any(|line| line.contains("postern_s_1")), "{told:?}");
    table.described(&["name"]).rows(&[&["pen"]]).completed("SELECT 1");
    table.completed("DEALLOCATE ALL").ready(TransactionStatus::Idle).proven(2, 1).told();
    table.query(PLAIN);
    let told = table.told();
    // It may be there still, if it was not dropped after all.
    assert!(told[0].starts_with("server < close Statement"), "{told:?}");
    assert!(told[1].starts_with("server < parse \"postern_s_2\" SELECT CASE"), "{told:?}");
    table.server(encode::close_complete);
    prepared(&mut table);
    table.described(&["name"]).rows(&[&["pen"]]).completed("SELECT 1");
    table.ready(TransactionStatus::Idle).proven(3, 1).told();
    assert!(table.session.is_idle());
}

#[test]
fn no_question_stands_behind_a_write() {
    let mut table = table();
    table.client(|out| {
        executed(out, "UPDATE products SET name = 'x'");
        executed(out, PLAIN);
        encode::sync(out);
    });
    let told = table.told();
    assert!(!told.iter().any(|line| line.contains("moment")), "{told:?}");
}

#[test]
fn a_statement_that_is_another_in_a_transaction_stays_alone() {
    let mut table = table();
    table.query("DECLARE c CURSOR FOR SELECT name FROM products");
    let told = table.told();
    assert!(!told.iter().any(|line| line.contains("EXECUTE")), "{told:?}");
}

/// The Sync behind the question would commit what was answered by Flush and is not synced.
#[test]
fn the_question_is_not_prepared_within_an_open_pipeline() {
    let mut table = Table::with_proofs(true);
    let mut profile = (*table.session.profile).clone();
    profile.moments = true;
    table.session = Session::new(Arc::new(profile));
    table.client(|out| {
        executed(out, "SET statement_timeout = '5s'");
        encode::flush(out);
    });
    table.server(|out| {
        encode::parse_complete(out);
        encode::bind_complete(out);
        encode::command_complete(out, "SET").unwrap();
    });
    table.told();
    table.client(|out| executed(out, PLAIN));
    let told = table.told();
    assert!(!told.iter().any(|line| line.contains("sync")), "{told:?}");
    assert!(!told.iter().any(|line| line.contains("SELECT CASE")), "{told:?}");
    table.server(|out| {
        encode::parse_complete(out);
        encode::bind_complete(out);
    });
    table.rows(&[&["pen"]]).completed("SELECT 1");
    table.client(encode::sync).ready(TransactionStatus::Idle).proven(1, 1).told();
    table.query(PLAIN);
    let told = table.told();
    assert!(told[0].starts_with("server < parse \"postern_s_1\" SELECT CASE"), "{told:?}");
}
