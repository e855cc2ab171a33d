//! Whom a statement asks about is recorded, rows or not, and so is what an OFFSET passes over.

use super::{holds::error, *};

/// Bind with one parameter in a format.
fn one(value: &[u8], format: i16) -> Bind<'_> {
    Bind {
        portal: "",
        statement: "",
        formats: vec![format],
        parameters: vec![Some(value)],
        result_formats: Vec::new(),
    }
}

/// Parse, Bind with one parameter in a format and of a declared type, Execute.
fn bound(table: &mut Table, sql: &str, (value, format): (&[u8], i16), declared: u32) {
    table.client(|out| {
        encode::parse(out, &Parse { name: "", sql, types: vec![declared] }).unwrap();
        encode::bind(out, &one(value, format)).unwrap();
        encode::execute(out, &Execute { portal: "", max_rows: 0 }).unwrap();
        encode::sync(out);
    });
    table.told();
}

fn bound_is_complete(table: &mut Table) {
    table.server(|out| {
        encode::parse_complete(out);
        encode::bind_complete(out);
    });
    table.told();
}

#[test]
fn who_does_not_come_is_told_at_the_end() {
    let mut table = Table::new();
    table.query("SELECT email FROM customers WHERE id IN (1, 2, 4)").told();
    table.rows(&[&["one", "1"]]).completed("SELECT 1").ready(TransactionStatus::Idle);
    assert_eq!(table.told(), ["hold 1 [1:clear 2:masked+4:masked]"]);
    table.recorded(1, 2);
    assert_eq!(table.told(), ["release 1: 2", "client < SELECT 1", "client < ready I"]);
    // Whoever comes is in the row already.
    table.query("SELECT email FROM customers WHERE id = 1").told();
    table.rows(&[&["one", "1"]]).completed("SELECT 1").ready(TransactionStatus::Idle);
    assert_eq!(table.told(), ["hold 2 [1:clear]"]);
}

/// Ana has a reason for 1 and 3.
#[test]
fn of_the_actors_keys_those_are_sent_that_are_asked_about() {
    let mut table = Table::new();
    let sent = |table: &mut Table, id: &str| {
        extended(table, "SELECT email FROM customers WHERE id = $1", &[id]);
        let told = table.told().into_iter().find(|told| told.contains("bind"));
        table.session = Session::new(table.session.profile.clone());
        told.unwrap().split_once("last ").unwrap().1.to_owned()
    };
    assert_eq!(sent(&mut table, "1"), "{\"1\"}");
    assert_eq!(sent(&mut table, "2"), "{}");
    let query = |table: &mut Table, condition: &str| {
        table.session = Session::new(table.session.profile.clone());
        table.query(&format!("SELECT email FROM customers WHERE {condition}"));
        table.told().concat()
    };
    assert!(query(&mut table, "id IN (2, 3)").contains("'{\"3\"}'"));
    assert!(query(&mut table, "id <> 3").contains("'{\"1\",\"3\"}'"));
}

#[test]
fn who_is_counted_is_told_before_the_count() {
    let mut table = Table::new();
    table.query("SELECT count(*) FROM tickets WHERE customer_id = 2").told();
    table.server(|out| encode::data_row(out, [Some(&b"7"[..])]).unwrap());
    table.completed("SELECT 1").ready(TransactionStatus::Idle);
    assert_eq!(table.told(), ["hold 1 [2:masked ]"]);
    // Without room for the customer the count does not leave.
    table.stopped(1, 0);
    let told = table.told();
    assert_eq!(told[0], "release 1: 0");
    assert!(told[1].starts_with("client < error 53400"), "{told:?}");
}

#[test]
fn a_parameter_says_of_whom() {
    let sql = "SELECT count(*) FROM customers WHERE id = $1";
    let texts = [(&b" 2"[..], 0), (&2_i64.to_be_bytes()[..], 1), (&2_i32.to_be_bytes()[..], 1)];
    for (value, format) in texts {
        let mut table = Table::new();
        bound(&mut table, sql, (value, format), 0);
        bound_is_complete(&mut table);
        table.server(|out| encode::data_row(out, [Some(&b"1"[..])]).unwrap());
        table.completed("SELECT 1").ready(TransactionStatus::Idle);
        assert_eq!(table.told(), ["hold 1 [2:masked ]"], "{value:?}");
    }
    let mut table = Table::new();
    let sql = "SELECT count(*) FROM customers WHERE id = ANY ($1)";
    bound(&mut table, sql, (b"{2,4}", 0), 1016);
    bound_is_complete(&mut table);
    table.completed("SELECT 0").ready(TransactionStatus::Idle);
    assert_eq!(table.told(), ["hold 1 [2:masked+4:masked]"]);
}

/// What the gateway would read as another number than the server does is not sent.
#[test]
fn a_key_that_can_not_be_read_is_refused() {
    const FLOAT8: u32 = 701;
    let sql = "SELECT count(*) FROM customers WHERE id = $1";
    let two = 2_f64.to_be_bytes();
    let cases =
        [(&b"2.0"[..], 0, 0), (&b"0x2"[..], 0, 0), (&[0; 3][..], 1, 0), (&two[..], 1, FLOAT8)];
    for (value, format, declared) in cases {
        let mut table = Table::new();
        table.client(|out| {
            encode::parse(out, &Parse { name: "", sql, types: vec![declared] }).unwrap();
        });
        table.told();
        table.client(|out| {
            encode::bind(out, &one(value, format)).unwrap();
        });
        let told = table.told();
        assert!(told.contains(&"refused by asked_key".to_owned()), "{value:?}: {told:?}");
        assert!(!told.iter().any(|what| what.contains("server < bind")), "{told:?}");
    }
}

#[test]
fn who_was_asked_about_is_told_however_it_ends() {
    let sql = "SELECT 1 / (length(email) - 9) FROM customers WHERE id = 2";
    let mut table = Table::new();
    table.query(sql).told();
    table.server(|out| error(out, "22012", "division by zero")).ready(TransactionStatus::Idle);
    assert_eq!(table.told(), ["hold 1 [2:masked] miss"]);
    // The client hangs up before anything comes.
    let mut table = Table::new();
    table.query(sql).told();
    table.session.abandon(&mut table.effects);
    assert_eq!(table.told(), ["tell miss 2"]);
}

/// A reason that has ended since the cursor was opened is none.
#[test]
fn a_reason_is_one_of_the_moment() {
    let mut table = Table::new();
    table.query("SELECT id FROM customers WHERE id IN (1, 3)").told();
    table.entitled = Arc::new(entitled(&["3"]));
    table.rows(&[&["1", "1"]]).completed("SELECT 1").ready(TransactionStatus::Idle);
    assert_eq!(table.told(), ["hold 1 [1:masked 3:clear]"]);
}

#[test]
fn what_an_offset_passes_over_is_recorded_and_does_not_leave() {
    let mut table = Table::new();
    table.query("SELECT email FROM customers WHERE id > 0 ORDER BY id LIMIT 1 OFFSET 2").told();
    table.rows(&[&["one", "1"], &["two", "2"]]);
    table.rows(&[&["three", "3"]]).completed("SELECT 3").ready(TransactionStatus::Idle);
    assert_eq!(table.told(), ["hold 1 [1:masked 2:masked 3:clear]"]);
    let Some(waiting) = table.session.outbox.waiting() else { panic!("nothing waits") };
    assert_eq!(waiting.hold, 1);
    table.recorded(1, 3);
    assert_eq!(table.told(), ["release 1: 3", "client < SELECT 1", "client < ready I"]);
}

/// Rows that are passed over don't count towards the rows that the client asks for at a time.
#[test]
fn an_offset_goes_on_through_the_portions_of_a_portal() {
    let mut table = Table::new();
    let sql = "SELECT email FROM customers WHERE id > 0 ORDER BY id OFFSET $1";
    table.client(|out| {
        encode::parse(out, &Parse { name: "", sql, types: Vec::new() }).unwrap();
        encode::bind(out, &one(b"1", 0)).unwrap();
        encode::execute(out, &Execute { portal: "", max_rows: 1 }).unwrap();
        encode::flush(out);
    });
    let sent = &table.effects;
    let mut rows = Vec::new();
    for effect in sent {
        if let Effect::ToServer(bytes) = effect {
            for frame in cut_frames(bytes) {
                if let Frontend::Execute(execute) = Frontend::parse(&frame).unwrap() {
                    rows.push(execute.max_rows);
                }
            }
        }
    }
    assert_eq!(rows, [2]);
    table.told();
    bound_is_complete(&mut table);
    table.rows(&[&["one", "1"], &["two", "2"]]);
    table.server(encode::portal_suspended);
    assert_eq!(table.told(), ["hold 1 [1:masked 2:masked]"]);
    table.recorded(1, 2).told();
    table.client(|out| {
        encode::execute(out, &Execute { portal: "", max_rows: 1 }).unwrap();
        encode::sync(out);
    });
    table.told();
    table.rows(&[&["three", "3"]]).completed("SELECT 1").ready(TransactionStatus::Idle);
    assert_eq!(table.told(), ["hold 2 [3:clear]"]);
}
