//! What may not run, and what a client sees of the server's errors.

use super::{holds::error, *};

#[test]
fn an_idle_session_refuses_at_once() {
    let mut table = Table::new();
    table.query("LOCK customers");
    let told = table.told();
    assert!(told[0].starts_with("refused by "), "{told:?}");
    assert!(told[1].starts_with("client < error 42501"), "{told:?}");
    assert_eq!(told[2..], ["client < ready I"]);
}

#[test]
fn in_a_transaction_the_server_is_made_to_fail_too() {
    let mut table = Table::new();
    table.query("BEGIN").completed("BEGIN").ready(TransactionStatus::InTransaction).told();
    table.query("LOCK customers");
    let told = table.told();
    assert_eq!(told[1..], ["server < query postern refused this statement"]);
    table.server(|out| error(out, "42601", "syntax error at or near \"postern\""));
    table.ready(TransactionStatus::Failed);
    let told = table.told();
    assert!(told[0].starts_with("client < error 42501"), "{told:?}");
    assert_eq!(told[1..], ["client < ready E"]);
}

#[test]
fn a_refused_parse_drops_what_follows_up_to_sync() {
    let mut table = Table::new();
    extended(&mut table, "LOCK customers", &[]);
    let told = table.told();
    assert_eq!(
        told[..2],
        ["server < parse \"postern_refused\" postern refused this statement", told[1].as_str()]
    );
    assert_eq!(told.last().map(String::as_str), Some("server < sync"));
    assert!(!told.iter().any(|line| line.contains("bind")), "{told:?}");
    table.server(|out| error(out, "42601", "syntax error")).ready(TransactionStatus::Idle);
    let told = table.told();
    assert!(told[0].starts_with("client < error 42501"), "{told:?}");
    // The name is free: nothing was prepared under it.
    extended(&mut table, "SELECT name FROM products", &[]);
    assert!(table.told()[0].starts_with("server < parse \"postern_s_1\" SELECT"));
}

#[test]
fn a_statement_whose_preparation_failed_is_not_there() {
    let mut table = Table::new();
    table.client(|out| {
        let parse = Parse { name: "s", sql: "SELECT name FROM products", types: Vec::new() };
        encode::parse(out, &parse).unwrap();
        encode::sync(out);
    });
    table.server(|out| error(out, "53200", "out of memory")).ready(TransactionStatus::Idle);
    table.told();
    table.client(|out| encode::describe(out, Target::Statement("s")).unwrap());
    table.client(encode::sync);
    table.server(|out| error(out, "42601", "syntax error")).ready(TransactionStatus::Idle);
    let told = table.told();
    assert!(
        told.contains(&r#"client < error 26000 prepared statement "s" does not exist"#.to_owned()),
        "{told:?}"
    );
}

#[test]
fn an_error_about_protected_data_keeps_its_code_only() {
    let mut table = Table::new();
    table.query("SELECT email FROM customers WHERE id > 1").told();
    table.server(|out| error(out, "22P02", "invalid input syntax: \"one@example.org\""));
    assert_eq!(table.told(), ["hold 1 [] miss"], "whether it fails hangs on the data");
    table.recorded(1, 0);
    assert_eq!(
        table.told(),
        [
            "release 1: 0",
            "client < error 22P02 statement on protected data: invalid text representation"
        ]
    );
}

/// A choice of codes would tell a letter of a value with each failure.
#[test]
fn what_is_computed_of_protected_columns_fails_in_one_way() {
    let sql = "SELECT CASE WHEN email LIKE 'a%' THEN email::int ELSE 1 / ascii(email) END \
               FROM customers";
    for sqlstate in
        ["22P02", "22012", "21000", "54000", "XX000", "0A000", "23514", "2201B", "42601"]
    {
        let mut table = Table::new();
        table.query(sql).told();
        table.server(|out| error(out, sqlstate, "one@example.org"));
        assert_eq!(table.told(), ["hold 1 [] miss"]);
        table.recorded(1, 0);
        let told = "client < error 22000 statement on protected data: data exception";
        assert_eq!(table.told(), ["release 1: 0", told], "{sqlstate}");
    }
    let of_text = |out: &mut BytesMut| {
        let sqlstate = postern_wire::SqlState::parse("42883").unwrap();
        let (severity, message) = (encode::Severity::Error, "operator does not exist");
        let (detail, hint, position) = (None, None, Some(8));
        let report = encode::Report { severity, sqlstate, message, detail, hint, position };
        encode::error_response(out, &report);
    };
    let mut table = Table::new();
    table.query(sql).told();
    table.server(of_text);
    let told = table.recorded(1, 0).told();
    assert!(told.iter().any(|line| line.contains("error 42883")), "{told:?}");
    for sqlstate in ["40001", "55P03"] {
        let mut table = Table::new();
        table.query(sql).told();
        table.server(|out| error(out, sqlstate, "one@example.org"));
        let told = table.recorded(1, 0).told();
        assert!(told.iter().any(|line| line.contains(&format!("error {sqlstate}"))), "{told:?}");
    }
}

#[test]
fn a_timeout_on_protected_data_is_told_from_a_cancel() {
    let mut table = Table::new();
    table.query("SELECT email FROM customers").told();
    table.server(|out| error(out, "57014", "canceling statement due to user request"));
    assert_eq!(table.told(), ["client < error 57014 canceling statement due to user request"]);
    // It can be brought about at a row of one's choice, as any other failure.
    for (sent, told) in [
        ("canceling statement due to statement timeout", None),
        ("canceling statement due to one@example.org", Some("query canceled")),
    ] {
        let mut table = Table::new();
        table.query("SELECT email FROM customers").told();
        table.server(|out| error(out, "57014", sent));
        assert_eq!(table.told(), ["hold 1 [] miss"]);
        table.recorded(1, 0);
        let told = told.map(|what| format!("statement on protected data: {what}"));
        let told = format!("client < error 57014 {}", told.as_deref().unwrap_or(sent));
        assert_eq!(table.told(), ["release 1: 0", &told]);
    }
}

#[test]
fn several_statements_cannot_be_prepared_as_one() {
    let mut table = Table::new();
    extended(&mut table, "SELECT 1; SELECT 2", &[]);
    table.server(|out| error(out, "42601", "syntax error")).ready(TransactionStatus::Idle);
    let told = table.told();
    let expected = "client < error 42601 cannot insert multiple commands into a prepared statement";
    assert!(told.contains(&expected.to_owned()), "{told:?}");
}

#[test]
fn an_error_is_no_way_around_the_budget() {
    let mut table = Table::new();
    table.query("SELECT 1 / (length(email) - 9) FROM customers WHERE id = 1").told();
    table.server(|out| error(out, "22012", "division by zero")).ready(TransactionStatus::Idle);
    assert_eq!(table.told(), ["hold 1 [1:clear] miss"]);
    table.stopped(1, 0);
    let told = table.told();
    assert!(told[1].starts_with("client < error 53400"), "{told:?}");
    assert!(!told.iter().any(|line| line.contains("22012")), "{told:?}");
}

#[test]
fn a_setting_that_changes_while_protected_data_is_read_is_not_told() {
    let mut table = Table::new();
    table.query("SELECT email FROM customers").told();
    table.server(|out| encode::parameter_status(out, "TimeZone", "one@example.org").unwrap());
    assert!(table.told().is_empty());
    table.completed("SELECT 0").ready(TransactionStatus::Idle).told();
    table.query("SET timezone = 'UTC'").told();
    table.server(|out| encode::parameter_status(out, "TimeZone", "UTC").unwrap());
    assert_eq!(table.told(), ["client < ParameterStatus"]);
}

#[test]
fn text_in_another_encoding_is_an_error_and_no_end() {
    let mut table = Table::new();
    let latin = |out: &mut BytesMut, sql: &str| {
        let start = out.len();
        encode::query(out, sql).unwrap();
        let place = out[start..].iter().position(|byte| *byte == b'?').unwrap();
        out[start + place] = 0xe9;
    };
    table.client(|out| latin(out, "SELECT 'Andr?'"));
    let told = table.told();
    assert!(told[0].starts_with("client < error 22021"), "{told:?}");
    assert_eq!(told[1..], ["client < ready I"]);
    table.client(|out| {
        let parse = Parse { name: "", sql: "SELECT '?'", types: Vec::new() };
        let start = out.len();
        encode::parse(out, &parse).unwrap();
        let place = out[start..].iter().position(|byte| *byte == b'?').unwrap();
        out[start + place] = 0xff;
        encode::sync(out);
    });
    table.server(|out| error(out, "42601", "syntax error")).ready(TransactionStatus::Idle);
    let told = table.told();
    assert!(told.iter().any(|line| line.starts_with("client < error 22021")), "{told:?}");
    table.query("SELECT name FROM products");
    assert!(table.told()[0].starts_with("server < query SELECT"));
}

/// The server plans at Bind, and its estimates meet values that ANALYZE has kept.
#[test]
fn a_bind_that_fails_is_told_as_an_execution_that_fails() {
    let sql = "SELECT lower(email) FROM customers WHERE id > 1";
    for declared in [false, true] {
        let mut table = Table::new();
        if declared {
            table.query(&format!("DECLARE c CURSOR FOR {sql}")).told();
        } else {
            table.client(|out| {
                encode::parse(out, &Parse { name: "", sql, types: Vec::new() }).unwrap();
                super::proofs::bind(out);
                encode::sync(out);
            });
            table.server(encode::parse_complete).told();
        }
        table.server(|out| error(out, "22025", "one@example.org"));
        assert_eq!(table.told(), ["hold 1 [] miss"], "{declared}");
        let told = table.recorded(1, 0).told();
        let error = "client < error 22000 statement on protected data: data exception";
        assert_eq!(told[1], error, "{declared}");
    }
}

/// Whatever its name stands for by then.
#[test]
fn a_bind_that_fails_is_known_when_its_portal_is_another() {
    let mut table = Table::new();
    let bind = |out: &mut BytesMut, statement: &str| {
        let (formats, parameters, result_formats) = (Vec::new(), Vec::new(), Vec::new());
        let bind = Bind { portal: "", statement, formats, parameters, result_formats };
        encode::bind(out, &bind).unwrap();
    };
    table.client(|out| {
        for (name, sql) in [("a", "SELECT lower(email) FROM customers"), ("b", "SELECT 1")] {
            encode::parse(out, &Parse { name, sql, types: Vec::new() }).unwrap();
        }
        bind(out, "a");
        bind(out, "b");
        encode::sync(out);
    });
    table.server(|out| {
        encode::parse_complete(out);
        encode::parse_complete(out);
    });
    table.told();
    table.server(|out| error(out, "22025", "one@example.org"));
    assert_eq!(table.told(), ["hold 1 [] miss"]);
}

/// Once somebody was stopped, what is only planned is asked for as well.
#[test]
fn a_bind_of_somebody_who_was_stopped_is_asked_for() {
    let mut table = Table::new();
    (table.asks, table.answers) = (true, false);
    table.client(|out| {
        let sql = "SELECT lower(email) FROM customers WHERE id > 1";
        encode::parse(out, &Parse { name: "", sql, types: Vec::new() }).unwrap();
        super::proofs::bind(out);
    });
    let told = table.told();
    assert_eq!(told[1..], ["ask 0"], "{told:?}");
    table.input(Input::Asked { question: 1, answer: Ok(None) });
    let told = table.told();
    assert!(told[0].starts_with("server < bind"), "{told:?}");
}

/// How long it runs until somebody gives up hangs on what it works with.
#[test]
fn what_is_given_up_is_told_as_a_failure_where_it_works_with_protected_columns() {
    for (sql, told) in
        [("SELECT lower(email) FROM customers", true), ("SELECT email FROM customers", false)]
    {
        let mut table = Table::new();
        table.query(sql).told();
        table.server(|out| error(out, "57014", "canceling statement due to user request"));
        let expected = if told { vec!["hold 1 [] miss"] } else { Vec::new() };
        assert_eq!(
            table.told().iter().filter(|l| l.starts_with("hold")).collect::<Vec<_>>(),
            expected
        );

        let mut table = Table::new();
        table.query(sql).told();
        table.session.abandon(&mut table.effects);
        let expected = if told { vec!["tell miss"] } else { Vec::new() };
        assert_eq!(table.told(), expected, "{sql}");
    }
}

/// Nobody knows whose row it was that was too long for a message, but that there was one.
#[test]
fn a_row_that_is_too_long_is_a_hit() {
    let mut table = Table::new();
    table.query("SELECT repeat('x', 17000000) FROM customers WHERE email = 'a@example.org'").told();
    table.session.found_too_long();
    table.session.abandon(&mut table.effects);
    assert_eq!(table.told(), ["tell hit", "tell miss"]);
    let mut table = Table::new();
    table.query("SELECT lower(email), repeat('x', 17000000) FROM customers WHERE id > 2").told();
    table.session.found_too_long();
    table.session.abandon(&mut table.effects);
    assert_eq!(table.told(), ["tell miss"]);
}

/// How many rows came before would tell where the one stands that failed, and whose it is nobody
/// says.
#[test]
fn rows_that_came_before_a_failure_do_not_leave() {
    let mut table = Table::new();
    table.query("SELECT id, 1 / (id - 3) FROM customers").told();
    table.rows(&[&["1", "-1", "1"], &["2", "-1", "2"]]).told();
    table.server(|out| error(out, "22012", "division by zero")).ready(TransactionStatus::Idle);
    assert_eq!(table.told(), ["hold 1 [] miss"]);
    let told = table.recorded(1, 0).told();
    let failed = "client < error 22012 statement on protected data: division by zero";
    assert_eq!(told, ["release 1: 0", failed, "client < ready I"]);
    // Somebody who cancels has been told of the portions before.
    let mut table = Table::new();
    table.query("SELECT id FROM customers").told();
    table.rows(&[&["1", "1"], &["2", "2"], &["3", "3"], &["4", "4"]]);
    assert_eq!(table.told(), ["hold 1 [1:clear 2:masked 3:clear]"]);
    table.server(|out| error(out, "57014", "canceling statement due to user request"));
    let told = table.recorded(1, 3).told();
    assert_eq!(told[0], "release 1: 3");
    assert_eq!(told.len(), 2, "{told:?}");
}

/// How long the server plans what is never run tells of what it has kept of a column.
#[test]
fn what_is_bound_and_never_run_is_a_look_up_by_what_decides() {
    let sql = "SELECT id FROM customers WHERE email ~ '^(.+)(.+)$'";
    let bound = |executes: bool| {
        let mut table = Table::of_kind(Kind::Accounted, false);
        table.client(|out| {
            encode::parse(out, &Parse { name: "", sql, types: Vec::new() }).unwrap();
            let (formats, parameters, result_formats) = (Vec::new(), Vec::new(), Vec::new());
            let (portal, statement) = ("", "");
            let bind = Bind { portal, statement, formats, parameters, result_formats };
            encode::bind(out, &bind).unwrap();
            if executes {
                encode::execute(out, &Execute { portal: "", max_rows: 0 }).unwrap();
            }
            encode::sync(out);
        });
        table.server(encode::parse_complete).told();
        table
    };
    let mut table = bound(false);
    table.server(encode::bind_complete).ready(TransactionStatus::Idle);
    assert_eq!(table.told(), ["client < BindComplete", "hold 1 [] miss"]);
    let mut table = bound(false);
    table.session.abandon(&mut table.effects);
    assert_eq!(table.told(), ["tell miss"]);
    let mut table = bound(true);
    table.server(encode::bind_complete).completed("SELECT 0").ready(TransactionStatus::Idle);
    assert_eq!(table.told(), ["client < BindComplete", "hold 1 [] miss"], "once");
}

/// An execution that the server never comes to takes nothing back of that.
#[test]
fn what_is_bound_and_not_run_for_a_failure_before_it_is_told() {
    let mut table = Table::of_kind(Kind::Accounted, false);
    let sql = "SELECT id FROM customers WHERE email ~ '^(.+)(.+)$'";
    let bind = |portal: &'static str, statement: &'static str| Bind {
        portal,
        statement,
        formats: Vec::new(),
        parameters: Vec::new(),
        result_formats: Vec::new(),
    };
    table.client(|out| {
        encode::parse(out, &Parse { name: "", sql, types: Vec::new() }).unwrap();
        encode::bind(out, &bind("w", "")).unwrap();
        encode::parse(out, &Parse { name: "q", sql: "SELECT 1 / 0", types: Vec::new() }).unwrap();
        encode::bind(out, &bind("q", "q")).unwrap();
        encode::execute(out, &Execute { portal: "w", max_rows: 0 }).unwrap();
        encode::sync(out);
    });
    table.server(|out| {
        encode::parse_complete(out);
        encode::bind_complete(out);
        encode::parse_complete(out);
    });
    table.told();
    table.server(|out| error(out, "22012", "division by zero"));
    table.ready(TransactionStatus::Idle);
    let told = table.told();
    assert!(told.iter().any(|line| line == "hold 1 [] miss"), "{told:?}");
}

/// The server plans the query of a cursor when that is declared.
#[test]
fn what_is_declared_and_never_fetched_is_a_look_up_by_what_decides() {
    let declare = "DECLARE k CURSOR FOR SELECT id FROM customers WHERE email ~ '^(.+)(.+)$'";
    let mut table = Table::of_kind(Kind::Accounted, false);
    table.query("BEGIN").completed("BEGIN").ready(TransactionStatus::InTransaction).told();
    table.query(declare).told();
    table.completed("DECLARE CURSOR").ready(TransactionStatus::InTransaction);
    assert_eq!(table.told(), ["client < DECLARE CURSOR", "hold 1 [] miss"]);
    table.recorded(1, 0).told();
    table.query("FETCH ALL FROM k").told();
    table.completed("FETCH 0").ready(TransactionStatus::InTransaction);
    assert_eq!(table.told(), ["client < FETCH 0", "client < ready T"], "once");
}

/// Binds behind each other are asked for one by one, before the server plans any.
#[test]
fn what_is_bound_asks_for_room_for_what_decides_in_it() {
    let mut table = Table::of_kind(Kind::Accounted, false);
    table.answers = false;
    table.client(|out| {
        let sql = "SELECT id FROM customers WHERE email ~ '^(.+)(.+)$'";
        encode::parse(out, &Parse { name: "", sql, types: Vec::new() }).unwrap();
        let (formats, parameters, result_formats) = (Vec::new(), Vec::new(), Vec::new());
        let bind = Bind { portal: "", statement: "", formats, parameters, result_formats };
        encode::bind(out, &bind).unwrap();
        encode::flush(out);
    });
    let told = table.told();
    assert!(told.iter().any(|line| line.starts_with("ask ")), "{told:?}");
    assert!(!told.iter().any(|line| line.contains("bind")), "{told:?}");
    assert!(!table.session.wants_client());
    table.input(Input::Asked { question: 1, answer: Ok(None) });
    table.server(|out| {
        encode::parse_complete(out);
        encode::bind_complete(out);
    });
    // What is under way is until the Sync behind which it is told.
    assert!(!table.session.is_at_rest());
    table.client(encode::sync).ready(TransactionStatus::Idle).told();
    table.recorded(1, 0);
    assert!(table.session.is_at_rest());
}

/// What protected columns decide is a look-up for each, and none is sent without room for it.
#[test]
fn what_protected_columns_decide_is_asked_for_before_it_is_sent() {
    for (sql, asked) in [
        ("SELECT id FROM customers WHERE email LIKE 'a%'", "ask 1"),
        ("SELECT id FROM customers WHERE email LIKE 'a%' AND name LIKE 'b%'", "ask 2"),
        ("SELECT id FROM customers ORDER BY email", "ask 1"),
        ("DECLARE k CURSOR FOR SELECT id FROM customers WHERE email LIKE 'a%'", "ask 1"),
        ("COPY (SELECT id FROM customers WHERE email LIKE 'a%') TO STDOUT", "ask 1"),
    ] {
        let mut table = Table::of_kind(Kind::Accounted, false);
        table.answers = false;
        table.query(sql);
        assert_eq!(table.told(), [asked], "{sql}");
        let stopped = Stopped { counter: "lookup_misses", max: 2, window: "1h".to_owned() };
        table.input(Input::Asked { question: 1, answer: Ok(Some(stopped)) });
        let told = table.told();
        assert!(told[0].starts_with("tell miss"), "{sql}: {told:?}");
        assert!(told.iter().any(|line| line.contains("error 53400")), "{sql}: {told:?}");
        assert!(!told.iter().any(|line| line.contains("server <")), "{sql}: {told:?}");
    }
    let mut table = Table::of_kind(Kind::Accounted, false);
    table.answers = false;
    table.query("SELECT email FROM customers WHERE id = 1");
    assert!(table.told()[0].starts_with("server < "));
}

/// For whom nothing is masked, too.
#[test]
fn a_row_that_is_too_long_is_a_hit_by_what_decides() {
    let mut table = Table::of_kind(Kind::Accounted, false);
    table.query("SELECT repeat('x', 17000000) FROM customers WHERE email = 'a@example.org'").told();
    table.session.found_too_long();
    table.session.abandon(&mut table.effects);
    assert_eq!(table.told()[0], "tell hit");
}

/// What was answered and not synced may be in a transaction that no status tells of.
#[test]
fn what_is_not_synced_is_not_answered() {
    let mut table = Table::new();
    assert!(table.session.is_answered());
    table.client(|out| {
        encode::parse(out, &Parse { name: "", sql: "SELECT 1", types: Vec::new() }).unwrap();
        super::proofs::bind(out);
        encode::execute(out, &Execute { portal: "", max_rows: 0 }).unwrap();
        encode::flush(out);
    });
    table.server(|out| {
        encode::parse_complete(out);
        encode::bind_complete(out);
    });
    table.completed("SELECT 1");
    assert!(table.session.is_idle() && !table.session.is_answered());
    table.client(encode::sync).ready(TransactionStatus::Idle);
    assert!(table.session.is_answered());
}
