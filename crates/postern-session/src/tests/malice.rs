//! A server that breaks the protocol: the session ends or the client gets an error, and no held
//! row leaves by it.

use postern_wire::CopyFormats;

use super::{holds::error, *};

const GUARDED: &str = "SELECT id, name FROM customers";
const COPY: &str = "COPY (SELECT id, name FROM customers) TO STDOUT";
const PLAIN: &str = "SELECT name FROM products";

/// A session that asks for the moment too, its question prepared; nothing is told yet.
fn table() -> Table {
    again(Table::with_proofs(true))
}

/// The same at another one's table: what it takes to judge is made once.
fn again(mut table: Table) -> Table {
    let mut profile = (*table.session.profile).clone();
    profile.moments = true;
    table.session = Session::new(Arc::new(profile));
    table.effects.clear();
    table.query(PLAIN).server(encode::parse_complete).ready(TransactionStatus::Idle);
    table.described(&["name"]).rows(&[&["pen"]]).completed("SELECT 1");
    table.ready(TransactionStatus::Idle).proven(1, 1).told();
    assert!(table.session.is_idle());
    table
}

fn raw(table: &mut Table, tag: u8, body: &[u8]) {
    let mut raw = vec![tag];
    raw.extend_from_slice(&u32::try_from(body.len() + 4).unwrap().to_be_bytes());
    raw.extend_from_slice(body);
    table.input(Input::Server(Frame::from_raw(raw.into()).unwrap()));
}

fn is_closed(table: &mut Table) -> bool {
    let told = table.told();
    let ended = told.last().map(String::as_str) == Some("close");
    ended && told.iter().any(|line| line.starts_with("client < error 08006"))
}

/// Up to the first row of the statement.
fn bound(sql: &str) -> Table {
    bound_at(table(), sql)
}

fn bound_at(mut table: Table, sql: &str) -> Table {
    extended(&mut table, sql, &[]);
    table.server(|out| {
        encode::parse_complete(out);
        encode::parameter_description(out, &[1016]).unwrap();
    });
    table.described(&["id", "name", "key"]).server(encode::bind_complete).told();
    table
}

#[test]
fn a_row_with_more_or_fewer_columns_than_were_asked_for_ends_the_session() {
    for row in [&["1"][..], &["1", "One"], &["1", "One", "1", "1"], &[]] {
        let mut simple = table();
        simple.query(GUARDED).described(&["id", "name", "key"]).told();
        let mut extended = bound(GUARDED);
        for table in [&mut simple, &mut extended] {
            table.rows(&[&["1", "One", "1"], row]);
            assert!(is_closed(table), "{row:?}");
        }
    }
}

#[test]
fn rows_before_their_portal_is_bound_end_the_session() {
    for answered in 0..3 {
        let mut table = table();
        super::extended(&mut table, GUARDED, &[]);
        table.told();
        if answered > 0 {
            table.server(encode::parse_complete);
        }
        if answered > 1 {
            table.server(|out| encode::parameter_description(out, &[1016]).unwrap());
            table.described(&["id", "name", "key"]);
        }
        table.rows(&[&["1", "One", "1"]]);
        assert!(is_closed(&mut table), "{answered}");
    }
}

#[test]
fn copied_data_out_of_place_ends_the_session() {
    let data = |out: &mut BytesMut| encode::copy_data(out, b"1\tOne\t1\n").unwrap();
    let formats = |count| CopyFormats { overall: 0, columns: vec![0; count] };
    for sql in [GUARDED, PLAIN, COPY] {
        let mut table = table();
        table.query(sql).server(data);
        assert!(is_closed(&mut table), "{sql}");
        let mut done = self::table();
        done.query(sql).server(encode::copy_done);
        assert!(is_closed(&mut done), "{sql}");
    }
    for kind in [b'G', b'W'] {
        let mut table = table();
        table.query(COPY);
        raw(&mut table, kind, b"\0\0\0");
        assert!(is_closed(&mut table), "{}", char::from(kind));
    }
    for count in [0, 1, 2, 4] {
        let mut table = table();
        table.query(COPY).server(|out| encode::copy_out_response(out, &formats(count)).unwrap());
        assert!(is_closed(&mut table), "{count}");
    }
    let mut idle = table();
    idle.server(data);
    assert!(is_closed(&mut idle));
}

#[test]
fn a_second_ready_for_query_ends_the_session() {
    for sql in [GUARDED, PLAIN, COPY] {
        let mut early = table();
        early.query(sql).ready(TransactionStatus::Idle);
        assert!(is_closed(&mut early), "{sql}");
        let mut table = table();
        table.query(sql).server(|out| error(out, "57014", "no")).ready(TransactionStatus::Idle);
        assert!(!is_closed(&mut table), "{sql}");
        table.ready(TransactionStatus::Idle);
        assert!(is_closed(&mut table), "{sql}");
    }
}

#[test]
fn messages_of_the_log_in_end_a_session() {
    for (tag, body) in [
        (b'R', &[0, 0, 0, 0][..]),
        (b'R', &[0, 0, 0, 3]),
        (b'K', &[0, 0, 0, 1, 0, 0, 0, 1]),
        (b'v', &[0, 3, 0, 0, 0, 0, 0, 0]),
        (b'V', &[0xff, 0xff, 0xff, 0xff]),
    ] {
        for sql in [GUARDED, PLAIN] {
            let mut table = table();
            table.query(sql);
            raw(&mut table, tag, body);
            assert!(is_closed(&mut table), "{} {sql}", char::from(tag));
        }
    }
}

#[test]
fn strings_without_an_end_and_counts_without_items_end_a_session() {
    for (tag, body) in [
        (b'C', &b"SELECT 1"[..]),
        (b'E', b"SERROR\0C42"),
        (b'N', b"SNOTICE"),
        (b'S', b"name\0value"),
        (b'T', b"\0\x01id\0"),
        (b'T', b"\xff\xff"),
        (b'D', b"\0\x02\0\0\0\x01x"),
        (b'D', b"\0\x01\x7f\xff\xff\xffx"),
        (b'D', b"\0\x01\xff\xff\xff\xfe"),
        (b't', b"\0\x05"),
        (b'A', b"\0\0\0\x01chan"),
        (b'Z', b"II"),
        (b'C', b"SELECT 1\0more"),
        (b'C', b"SELECT \xff\0"),
    ] {
        let mut table = table();
        table.query(GUARDED);
        raw(&mut table, tag, body);
        assert!(is_closed(&mut table), "{} {body:?}", char::from(tag));
    }
}

#[test]
fn an_error_without_a_code_gets_one_and_what_is_none_goes_nowhere() {
    for (sql, body) in [
        (PLAIN, &b"\0"[..]),
        (PLAIN, b"MIvan Petrov\0\0"),
        (PLAIN, b"Cone@example.org\0M?\0\0"),
        (GUARDED, b"\0"),
        (GUARDED, b"MIvan Petrov\0\0"),
        (GUARDED, b"Cone@example.org\0MIvan Petrov\0\0"),
    ] {
        let mut table = table();
        table.query(sql);
        raw(&mut table, b'E', body);
        table.ready(TransactionStatus::Idle).proven(2, 1);
        let columns = table.effects.iter().filter_map(|effect| {
            if let Effect::Hold(hold) = effect { Some(hold.lookups.clone()) } else { None }
        });
        let columns: Vec<_> = columns.flatten().map(|told| told.column.to_string()).collect();
        let hold = columns.len() as u64;
        assert!(columns.iter().all(|column| column == "failed XX000"), "{columns:?}");
        table.recorded(hold, 0);
        let told = table.told();
        let error = told.iter().find(|line| line.starts_with("client < error")).unwrap();
        assert!(error.starts_with("client < error XX000"), "{told:?}");
        assert!(sql == PLAIN || !error.contains("Ivan"), "{told:?}");
        assert_eq!(told.last().map(String::as_str), Some("client < ready I"), "{sql}");
    }
}

/// What a server says without end takes no room that grows with it.
#[test]
fn floods_are_bounded_by_what_may_wait() {
    let notice = |out: &mut BytesMut| {
        let message = "x".repeat(1_000);
        let report = postern_wire::ReportFields(vec![(b'S', "NOTICE"), (b'M', &message)]);
        encode::report_fields(out, b'N', &report).unwrap();
    };
    let setting = |out: &mut BytesMut| {
        encode::parameter_status(out, "application_name", &"x".repeat(1_000)).unwrap();
    };
    let row = |out: &mut BytesMut| {
        encode::data_row(out, [Some(&b"1"[..]), Some(b"One"), Some(b"1")]).unwrap();
    };
    let most = 3 * HoldLimits::default().bytes_max;
    let floods: [&dyn Fn(&mut BytesMut); 3] = [&notice, &setting, &row];
    for flood in floods {
        let mut table = table();
        table.query(GUARDED).described(&["id", "name", "key"]).told();
        let mut count = 0;
        while table.session.wants_server() && count < 50_000 {
            table.server(flood);
            count += 1;
            assert!(table.session.waiting_bytes() < most, "{count}");
        }
    }
}

/// Rows of which nothing leaves are kept for the ledger, and so they take room.
#[test]
fn the_server_is_not_read_while_too_many_rows_of_a_write_wait() {
    let mut table = Table::new();
    table.query("UPDATE customers SET name = 'x' WHERE id = 1");
    let mut rows = 0;
    while table.session.wants_server() {
        table.rows(&[&["1"]]);
        rows += 1;
        assert!(rows < 50_000, "they are taken without end");
    }
    let held = |effects: &[Effect]| effects.iter().any(|e| matches!(e, Effect::Hold(_)));
    let mut hold = 1;
    while !table.session.wants_server() {
        assert!(held(&table.effects));
        table.effects.clear();
        table.recorded(hold, 3);
        hold += 1;
    }
}

#[test]
fn a_moment_of_the_wrong_shape_ends_the_session() {
    for cells in [&[][..], &[Some(&b"7:7:"[..]), None], &[Some(b"\xff")]] {
        let mut table = bound(GUARDED);
        table.rows(&[&["1", "One", "1"]]).completed("SELECT 1").told();
        table.server(encode::bind_complete);
        table.server(|out| encode::data_row(out, cells.iter().copied()).unwrap());
        assert!(is_closed(&mut table), "{cells:?}");
    }
}

#[test]
fn a_moment_that_is_told_twice_or_not_at_all_opens_nothing_else() {
    for times in [0, 2] {
        let mut table = bound(GUARDED);
        table.rows(&[&["1", "One", "1"]]).completed("SELECT 1");
        assert!(table.told().contains(&"prove 2".to_owned()));
        table.server(|out| {
            encode::bind_complete(out);
            for _ in 0..times {
                encode::data_row(out, [Some(&b"7:7:"[..])]).unwrap();
            }
            encode::command_complete(out, "SELECT 1").unwrap();
            encode::close_complete(out);
        });
        table.ready(TransactionStatus::Idle);
        assert_eq!(table.told(), vec!["moment 2: 7:7:"; times]);
        table.proven(2, 1).recorded(1, 1);
        let told = table.told();
        assert_eq!(told, ["release 1: 1", "client < SELECT 1", "client < ready I"]);
    }
}

/// It is another's cancel request that came late, for example.
#[test]
fn a_question_for_the_moment_that_fails_is_an_error_behind_the_clients_statement() {
    let mut extended = bound(GUARDED);
    extended.rows(&[&["1", "One", "1"]]).completed("SELECT 1").server(encode::bind_complete);
    let mut simple = table();
    simple.query(GUARDED).described(&["id", "name", "key"]).rows(&[&["1", "One", "1"]]);
    simple.completed("SELECT 1");
    for mut table in [extended, simple] {
        table.told();
        table.server(|out| error(out, "57014", "one@example.org"));
        table.ready(TransactionStatus::Idle).proven(2, 1).recorded(1, 1);
        let told = table.told();
        assert_eq!(told[..2], ["release 1: 1", "client < SELECT 1"], "{told:?}");
        assert!(told[2].starts_with("client < error 57014"), "{told:?}");
        assert!(!told[2].contains("one@"), "nobody has asked: {told:?}");
        assert_eq!(told[3..], ["client < ready I"]);
        assert!(table.session.is_idle());
        // The session goes on.
        table.query(PLAIN);
        assert!(table.told().iter().any(|line| line.starts_with("server < query")));
    }
}

/// The answers to the question come instead of those of the statement, and the other way round.
#[test]
fn answers_in_the_place_of_others_release_nothing() {
    let mut table = bound(GUARDED);
    // The statement's own answer is left out: what comes is taken for its row.
    table.server(|out| encode::data_row(out, [Some(&b"7:7:"[..])]).unwrap());
    assert!(is_closed(&mut table));
    let mut table = bound(GUARDED);
    table.completed("SELECT 0").told();
    table.server(encode::bind_complete).rows(&[&["1", "One", "1"]]);
    assert!(is_closed(&mut table), "a row of the statement in the place of the moment");
}

/// Each message a server knows, in each state: whatever follows, no row and no copied data leaves
/// other than by a receipt.
#[test]
fn no_message_in_no_state_shows_a_held_row() {
    let mut table = Table::with_proofs(true);
    for state in 0..STATES {
        for (tag, body) in every_message() {
            table = in_state(again(table), state);
            table.told();
            raw(&mut table, tag, &body);
            // Whatever was expected then, rows follow.
            table.rows(&[&["1", "One", "1"]]);
            raw(&mut table, b'd', b"1\tOne\t1\n");
            raw(&mut table, b'Z', b"I");
            let told = table.told();
            let shows =
                |line: &String| line.starts_with("client < row") || line == "client < CopyData";
            assert!(!told.iter().any(shows), "{state} {} {told:?}", char::from(tag));
            let released = told.iter().any(|line| line.starts_with("release"));
            assert!(!released, "{state} {} {told:?}", char::from(tag));
        }
    }
}

const STATES: usize = 8;

fn in_state(mut table: Table, state: usize) -> Table {
    match state {
        0 => {
            table.query(GUARDED);
        }
        1 => {
            table.query(GUARDED).described(&["id", "name", "key"]).rows(&[&["1", "One", "1"]]);
        }
        2 => return bound_at(table, GUARDED),
        3 => {
            table = bound_at(table, GUARDED);
            table.rows(&[&["1", "One", "1"]]).completed("SELECT 1");
        }
        4 => {
            table = bound_at(table, GUARDED);
            table.completed("SELECT 0").server(encode::bind_complete);
        }
        5 => {
            table.query(COPY);
        }
        6 => {
            let formats = CopyFormats { overall: 0, columns: vec![0; 3] };
            table.query(COPY).server(|out| encode::copy_out_response(out, &formats).unwrap());
        }
        _ => {
            super::extended(&mut table, GUARDED, &[]);
        }
    }
    table
}

fn every_message() -> Vec<(u8, Vec<u8>)> {
    let mut out = BytesMut::new();
    encode::parse_complete(&mut out);
    encode::bind_complete(&mut out);
    encode::close_complete(&mut out);
    encode::no_data(&mut out);
    encode::portal_suspended(&mut out);
    encode::empty_query_response(&mut out);
    encode::copy_done(&mut out);
    let formats = CopyFormats { overall: 0, columns: vec![0; 3] };
    encode::copy_out_response(&mut out, &formats).unwrap();
    encode::copy_in_response(&mut out, &formats).unwrap();
    encode::copy_both_response(&mut out, &formats).unwrap();
    encode::copy_data(&mut out, b"1\tOne\t1\n").unwrap();
    encode::command_complete(&mut out, "SELECT 1").unwrap();
    encode::command_complete(&mut out, "COMMIT").unwrap();
    encode::command_complete(&mut out, "FETCH").unwrap();
    for status in
        [TransactionStatus::Idle, TransactionStatus::InTransaction, TransactionStatus::Failed]
    {
        encode::ready_for_query(&mut out, status);
    }
    error(&mut out, "42601", "syntax error");
    error(&mut out, "57014", "canceling statement due to user request");
    let columns = ["id", "name", "key"].map(text_column);
    for count in 0..=columns.len() {
        encode::row_description(&mut out, &columns[..count]).unwrap();
        encode::data_row(&mut out, vec![Some(&b"1"[..]); count]).unwrap();
        encode::parameter_description(&mut out, &vec![25; count]).unwrap();
    }
    encode::parameter_status(&mut out, "TimeZone", "UTC").unwrap();
    encode::notification_response(&mut out, 1, "channel", "payload").unwrap();
    encode::function_call_response(&mut out, Some(b"x")).unwrap();
    cut_frames(&out).iter().map(|frame| (frame.tag(), frame.body().to_vec())).collect()
}
