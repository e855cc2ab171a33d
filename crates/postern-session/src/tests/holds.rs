//! Rows of protected statements wait for the ledger.

use super::*;

const LIST: &str = "SELECT id, name FROM customers";

#[test]
fn rows_leave_after_their_receipt_and_in_order() {
    let mut table = Table::new();
    table.query(LIST).told();
    table.described(&["id", "name", "key"]).rows(&[&["1", "One", "1"], &["2", "***", "2"]]);
    table.completed("SELECT 2").ready(TransactionStatus::Idle);
    assert_eq!(table.told(), ["client < columns id, name", "hold 1 [1:clear 2:masked]"]);
    table.recorded(1, 2);
    assert_eq!(table.told(), ["release 1: 2", "client < SELECT 2", "client < ready I"]);
}

/// One row of what is folded of several customers is about each of them.
#[test]
fn a_row_of_many_is_recorded_of_all_of_them() {
    let mut table = Table::new();
    table.query("SELECT max(name) FROM customers WHERE id < 9").told();
    table.described(&["max", "keys"]).rows(&[&["One", "1,2,3"]]);
    table.completed("SELECT 1").ready(TransactionStatus::Idle);
    assert_eq!(table.told(), ["client < columns max", "hold 1 [1:clear+2:masked+3:clear]"]);
    table.recorded(1, 1);
    assert_eq!(table.told(), ["release 1: 1", "client < SELECT 1", "client < ready I"]);
    // More than can be recorded ends it, as somebody who was found.
    table.query("SELECT max(name) FROM customers WHERE id < 9").told();
    let many = (1..=20_001).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    table.described(&["max", "keys"]).rows(&[&["One", &many]]);
    let told = table.told();
    assert!(told.iter().any(|line| line.contains("error 54000")), "{told:?}");
    assert!(!told.iter().any(|line| line.contains("hold ")), "{told:?}");
    let mut table = Table::new();
    // One whose rows are many is one.
    table.query("SELECT max(name) FROM customers WHERE id < 9").told();
    let often = vec!["7"; 20_001].join(",");
    table.described(&["max", "keys"]).rows(&[&["One", &often]]);
    table.completed("SELECT 1").ready(TransactionStatus::Idle);
    assert_eq!(table.told(), ["client < columns max", "hold 1 [7:masked]"]);
    let mut table = Table::new();
    // What is no list of keys is nobody's.
    table.query("SELECT max(name) FROM customers WHERE id < 9").told();
    table.described(&["max", "keys"]).rows(&[&["One", "1,,3"]]);
    let told = table.told();
    assert!(told.iter().any(|line| line.starts_with("close")), "{told:?}");
}

#[test]
fn the_next_chunk_fills_while_one_is_out() {
    let mut table = Table::new();
    table.query(LIST).told();
    let rows: Vec<[String; 3]> =
        (10..17).map(|n| [n.to_string(), "***".to_owned(), n.to_string()]).collect();
    for row in &rows {
        table.rows(&[&[&row[0], &row[1], &row[2]]]);
    }
    assert_eq!(table.told(), ["hold 1 [10:masked 11:masked 12:masked]"]);
    table.recorded(1, 3);
    assert_eq!(table.told(), ["release 1: 3", "hold 2 [13:masked 14:masked 15:masked]"]);
    table.completed("SELECT 7").ready(TransactionStatus::Idle);
    table.recorded(2, 3);
    assert_eq!(table.told(), ["release 2: 3", "hold 3 [16:masked]"]);
    table.recorded(3, 1);
    assert_eq!(table.told(), ["release 3: 1", "client < SELECT 7", "client < ready I"]);
}

#[test]
fn the_server_is_not_read_while_too_much_waits() {
    let mut table = Table::new();
    table.query(LIST);
    let long = "x".repeat(HoldLimits::default().bytes_max);
    table.rows(&[&["1", &long, "1"], &["2", &long, "2"]]);
    assert!(!table.session.wants_server());
    table.recorded(1, 1);
    assert!(table.session.wants_server());
}

#[test]
fn a_receipt_for_another_hold_releases_nothing() {
    let mut table = Table::new();
    table.query(LIST).rows(&[&["1", "One", "1"]]).completed("SELECT 1").told();
    table.recorded(7, 1);
    assert_eq!(table.told(), Vec::<String>::new());
    table.recorded(1, 1);
    table.recorded(1, 1);
    assert_eq!(table.told(), ["release 1: 1", "client < SELECT 1"]);
}

#[test]
fn a_failure_of_another_hold_cuts_nothing_and_ends_the_session() {
    let mut table = Table::new();
    table.query(LIST).rows(&[&["1", "One", "1"]]).completed("SELECT 1").told();
    table.input(Input::NotRecorded { hold: 7, why: Unrecorded::Failed });
    let told = table.told();
    assert!(told[0].starts_with("client < error 58030"), "{told:?}");
    assert_eq!(told[1..], ["close"]);
    table.recorded(1, 1);
    assert_eq!(table.told(), Vec::<String>::new(), "nothing leaves any more");
}

#[test]
fn hidden_parameters_and_columns_do_not_show() {
    let mut table = Table::new();
    extended(&mut table, "SELECT name FROM customers WHERE id = $1", &["1"]);
    let told = table.told();
    assert!(told[0].starts_with("server < parse \"postern_s_1\" SELECT"), "{told:?}");
    assert_eq!(told[2], "server < bind \"\" \"postern_s_1\" 2 parameters, last {\"1\"}");
    table.server(|out| {
        encode::parse_complete(out);
        encode::parameter_description(out, &[20, 1016]).unwrap();
    });
    table.described(&["name", "key"]);
    table.server(encode::bind_complete).rows(&[&["One", "1"]]);
    table.completed("SELECT 1").ready(TransactionStatus::Idle);
    assert_eq!(
        table.told(),
        [
            "client < ParseComplete",
            "client < parameters 1",
            "client < columns name",
            "client < BindComplete",
            "hold 1 [1:clear]",
        ]
    );
}

#[test]
fn a_lookup_is_told_whether_it_hits_or_misses() {
    let sql = "SELECT id FROM customers WHERE email = 'a@b.c'";
    let mut table = Table::new();
    table.query(sql).rows(&[&["9", "9"]]).completed("SELECT 1").told();
    let mut other = Table::new();
    other.query(sql).told();
    other.completed("SELECT 0");
    assert_eq!(other.told(), ["hold 1 [] miss"]);
    other.recorded(1, 0);
    assert_eq!(other.told(), ["release 1: 0", "client < SELECT 0"]);
    table.query(sql);
}

#[test]
fn a_lookup_that_fails_is_told_as_a_miss() {
    let mut table = Table::new();
    table.query("SELECT id FROM customers WHERE email = 'a@b.c'").told();
    table.server(|out| error(out, "57014", "canceling statement due to statement timeout"));
    assert_eq!(table.told(), ["hold 1 [] miss"]);
}

/// It may have found somebody and failed on them: that it found nobody can't be said.
#[test]
fn of_a_lookup_that_fails_on_what_it_meets_it_is_not_said_that_it_found_nobody() {
    for (code, column) in [("22012", "failed 22012 (email)"), ("57P01", "email")] {
        let mut table = Table::new();
        table.query("SELECT 1 / (id - 5) FROM customers WHERE email = 'a@b.c'").told();
        table.server(|out| error(out, code, "division by zero"));
        let held = table.effects.iter().find_map(|effect| {
            if let Effect::Hold(hold) = effect { Some(&hold.lookups) } else { None }
        });
        let [lookup] = held.unwrap().as_slice() else { panic!("{held:?}") };
        assert_eq!((&*lookup.column, lookup.hit), (column, false));
        assert_eq!(&**lookup.value.expose(), b"a@b.c", "who searched for it is known");
    }
}

#[test]
fn a_lookup_whose_client_hangs_up_is_told_as_a_miss() {
    let mut table = Table::new();
    table.query("SELECT id FROM customers WHERE email = 'a@b.c'").told();
    table.session.abandon(&mut table.effects);
    assert_eq!(table.told(), ["tell miss"]);
}

#[test]
fn a_write_that_reasons_may_read_has_them_read_before_the_client_goes_on() {
    let mut table = Table::new();
    table.query("INSERT INTO tickets (id, customer_id, assignee) VALUES (1, 7, 'ana')").told();
    table.described(&["key"]).rows(&[&["7"]]);
    table.completed("INSERT 0 1").ready(TransactionStatus::Idle);
    assert_eq!(table.told(), ["hold 1 [7:masked]", "wrote public.tickets", "read reasons"]);
    table.recorded(1, 1);
    assert_eq!(table.told(), ["release 1: 1", "client < INSERT 0 1", "client < ready I"]);
}

pub(super) fn error(out: &mut BytesMut, sqlstate: &str, message: &str) {
    use postern_wire::{
        SqlState,
        encode::{Report, Severity},
    };
    let sqlstate = SqlState::parse(sqlstate).unwrap();
    let severity = Severity::Error;
    let report =
        Report { severity, sqlstate, message, detail: Some("secret"), hint: None, position: None };
    encode::error_response(out, &report);
}

#[test]
fn a_lookup_without_room_is_told_and_never_sent() {
    let stopped = Stopped { counter: "lookup_misses", max: 2, window: "1 hour".to_owned() };
    let mut table = Table::new();
    table.answers = false;
    table.query("SELECT 1/(id-id) FROM customers WHERE email = 'a@b.c'");
    assert_eq!(table.told(), ["ask 1"]);
    assert!(!table.session.wants_client(), "what comes after waits");
    table.input(Input::Asked { question: 1, answer: Ok(Some(stopped.clone())) });
    let told = table.told();
    assert_eq!(told[0], "tell miss");
    assert!(told.iter().any(|what| what.starts_with("client < error 53400")), "{told:?}");
    assert!(!told.iter().any(|what| what.starts_with("server")), "{told:?}");
    assert!(table.session.is_at_rest());

    extended(&mut table, "SELECT id FROM customers WHERE email = $1", &["a@b.c"]);
    let told = table.told();
    assert!(told.contains(&"ask 1".to_owned()), "{told:?}");
    assert!(!told.iter().any(|what| what.contains("execute")), "{told:?}");
    table.input(Input::Asked { question: 2, answer: Ok(Some(stopped)) });
    let told = table.told();
    assert_eq!(told[0], "tell miss");
    assert!(!told.iter().any(|what| what.contains("execute")), "{told:?}");
}

#[test]
fn a_lookup_is_asked_for_by_what_its_name_means_when_it_runs() {
    let stopped = Stopped { counter: "lookup_misses", max: 2, window: "1 hour".to_owned() };
    let lookup = "SELECT 1/(id-id) FROM customers WHERE email = 'a@b.c'";
    for (what, asked) in [
        (format!("PREPARE p AS SELECT 1; DEALLOCATE p; PREPARE p AS {lookup}; EXECUTE p"), 1),
        (format!("PREPARE p AS {lookup}; EXECUTE p; DEALLOCATE p; PREPARE p AS SELECT 1"), 1),
        (format!("PREPARE p AS {lookup}; EXECUTE p; EXECUTE p"), 2),
    ] {
        let mut table = Table::new();
        table.answers = false;
        table.query(&what);
        assert_eq!(table.told(), [format!("ask {asked}")], "{what}");
        table.input(Input::Asked { question: 1, answer: Ok(Some(stopped.clone())) });
        let told = table.told();
        assert!(told.iter().any(|what| what.starts_with("client < error 53400")), "{told:?}");
        assert!(!told.iter().any(|what| what.starts_with("server")), "{told:?}");
        // Nothing of the message was done, so the name is free.
        table.query("PREPARE p AS SELECT 1");
        let told = table.told();
        assert!(told[0].starts_with("server < query PREPARE postern_s_"), "{what}: {told:?}");
    }
}

#[test]
fn notices_of_a_statement_on_protected_data_stay_here() {
    let noticed = |table: &mut Table| {
        table.server(|out| {
            let sqlstate = postern_wire::SqlState::parse("00000").unwrap();
            let (severity, message) = (encode::Severity::Notice, "one for each row");
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
    };
    let mut table = Table::new();
    table.query("SELECT id FROM customers WHERE id > 0").told();
    noticed(&mut table);
    table.completed("SELECT 0").ready(TransactionStatus::Idle);
    assert_eq!(table.told(), ["client < SELECT 0", "client < ready I"]);

    extended(&mut table, "SELECT id FROM customers WHERE id > $1", &["1"]);
    table.server(|out| {
        encode::parse_complete(out);
        encode::parameter_description(out, &[20]).unwrap();
    });
    table.described(&["id", "key"]);
    table.told();
    noticed(&mut table);
    table.server(encode::bind_complete);
    noticed(&mut table);
    table.completed("SELECT 0").ready(TransactionStatus::Idle);
    assert_eq!(table.told(), ["client < BindComplete", "client < SELECT 0", "client < ready I"]);

    table.query("SELECT name FROM products").told();
    noticed(&mut table);
    assert_eq!(table.told(), ["client < NoticeResponse"]);
}

#[test]
fn who_was_stopped_is_asked_for_whatever_is_run_on_protected_tables() {
    let stopped = Stopped { counter: "stops", max: 20, window: "1d".to_owned() };
    let mut table = Table::new();
    table.answers = false;
    table.asks = true;
    table.query("SELECT name FROM products").completed("SELECT 0").ready(TransactionStatus::Idle);
    assert!(!table.told().iter().any(|what| what.starts_with("ask")), "it reads no customer");
    for (question, sql) in [
        (1, "SELECT id FROM customers WHERE id = 1"),
        (2, "COPY (SELECT id FROM customers) TO STDOUT"),
        (3, "SELECT 1; PREPARE p AS SELECT id FROM customers; EXECUTE p"),
        (4, "BEGIN; DECLARE c CURSOR FOR SELECT id FROM customers"),
        (5, "INSERT INTO tickets (id, customer_id, assignee) VALUES (1, 7, 'ana')"),
    ] {
        table.query(sql);
        assert_eq!(table.told(), ["ask 0"], "{sql}");
        table.input(Input::Asked { question, answer: Ok(Some(stopped.clone())) });
        let told = table.told();
        assert_eq!(told[0], "tell ", "{sql}");
        assert!(told[1].starts_with("client < error 53400"), "{told:?}");
        assert!(!told.iter().any(|what| what.starts_with("server")), "{told:?}");
    }
    table.query("SELECT id FROM customers WHERE id = 1").told();
    table.input(Input::Asked { question: 6, answer: Ok(None) });
    assert!(table.told()[0].starts_with("server < query SELECT"));
}

#[test]
fn what_is_refused_for_want_of_room_after_an_error_is_dropped_with_the_rest() {
    let stopped = Stopped { counter: "stops", max: 20, window: "1d".to_owned() };
    let mut table = Table::new();
    table.answers = false;
    table.asks = true;
    table.client(|out| {
        for (name, sql) in [("one", "SELECT 1/0"), ("two", "SELECT id FROM customers")] {
            encode::parse(out, &Parse { name, sql, types: Vec::new() }).unwrap();
            let bind = Bind {
                portal: name,
                statement: name,
                formats: Vec::new(),
                parameters: Vec::new(),
                result_formats: Vec::new(),
            };
            encode::bind(out, &bind).unwrap();
            encode::execute(out, &Execute { portal: name, max_rows: 0 }).unwrap();
        }
    });
    let told = table.told();
    assert_eq!(told.last().map(String::as_str), Some("ask 0"), "{told:?}");
    table.server(|out| {
        encode::parse_complete(out);
        encode::bind_complete(out);
        error(out, "22012", "division by zero");
    });
    table.told();
    table.input(Input::Asked { question: 1, answer: Ok(Some(stopped)) });
    assert_eq!(table.told(), ["tell "], "the client has an error already");
    table.client(encode::sync);
    assert_eq!(table.told(), ["server < sync"]);
    table.ready(TransactionStatus::Idle);
    assert_eq!(table.told(), ["client < ready I"]);
    table.query("SELECT name FROM products");
    assert_eq!(table.told(), ["server < query SELECT products.name FROM public.products"]);
}

/// A notice of the gateway's own comes behind the statement's last word.
#[test]
fn what_the_gateway_tells_comes_before_the_client_goes_on() {
    let mut table = Table::new();
    table.query(LIST).told();
    table.described(&["id", "name", "key"]).rows(&[&["1", "One", "1"]]);
    table.completed("SELECT 1").ready(TransactionStatus::Idle).told();
    let mut notice = BytesMut::new();
    let report = encode::Report {
        severity: encode::Severity::Notice,
        sqlstate: postern_wire::SqlState::CONFIGURATION_LIMIT_EXCEEDED,
        message: "nearly",
        detail: None,
        hint: None,
        position: None,
    };
    encode::notice_response(&mut notice, &report);
    table.session.give_notice(&notice);
    table.recorded(1, 1);
    let told = table.told();
    assert_eq!(told[..2], ["release 1: 1", "client < SELECT 1"]);
    assert!(told[2].contains("otice"), "{told:?}");
    assert_eq!(told[3], "client < ready I");
    table.query(LIST).told();
    table.completed("SELECT 0").ready(TransactionStatus::Idle);
    assert_eq!(table.told(), ["client < SELECT 0", "client < ready I"], "once");
}
