//! Writes to protected tables: what they touch, what they may store, what they search for.

use super::*;

const RENAME: &str = "UPDATE customers SET name = $1 WHERE id = 1";

#[test]
fn a_write_without_returning_shows_a_tag_after_its_receipt() {
    let mut table = Table::new();
    extended(&mut table, RENAME, &["Ann"]);
    table.told();
    table.server(|out| {
        encode::parse_complete(out);
        encode::parameter_description(out, &[25, 25]).unwrap();
        encode::row_description(out, &[text_column("key")]).unwrap();
        encode::bind_complete(out);
    });
    table.rows(&[&["1"]]).completed("UPDATE 1").ready(TransactionStatus::Idle);
    let told = table.told();
    assert!(told.contains(&"client < NoData".to_owned()), "{told:?}");
    assert!(told.contains(&"hold 1 [1:clear]".to_owned()), "{told:?}");
    assert!(!told.iter().any(|line| line.contains("UPDATE")), "{told:?}");
    table.recorded(1, 1);
    assert_eq!(table.told(), ["release 1: 1", "client < UPDATE 1", "client < ready I"]);
}

#[test]
fn a_mask_is_not_stored_by_either_protocol() {
    let mut table = Table::new();
    table.query("UPDATE customers SET name = '***' WHERE id = 1");
    assert!(table.told().contains(&"refused by masked_write".to_owned()));
    extended(&mut table, RENAME, &["***"]);
    assert!(table.told().contains(&"refused by masked_write".to_owned()));
}

#[test]
fn a_search_by_storing_waits_for_its_receipt() {
    let mut table = Table::new();
    let sql = "UPDATE customers SET email = 'a@b.c' WHERE id = 1";
    table.query(sql);
    assert_eq!(table.told(), ["hold 1 [] miss"]);
    assert!(!table.session.wants_client(), "nothing may overtake it");
    table.recorded(1, 0);
    let told = table.told();
    assert!(told[1].starts_with("server < query UPDATE public.customers"), "{told:?}");
    table.described(&["key"]).rows(&[&["1"]]).completed("UPDATE 1").ready(TransactionStatus::Idle);
    assert_eq!(table.told(), ["hold 2 [1:clear]", "read reasons"]);
    table.recorded(2, 1).told();
    table.query(sql).told();
    table.stopped(3, 0);
    let told = table.told();
    assert!(told[1].starts_with("client < error 53400"), "{told:?}");
    assert!(!told.iter().any(|line| line.starts_with("server")), "{told:?}");
    assert!(table.session.wants_client());
}

#[test]
fn a_search_by_storing_that_is_not_recorded_is_not_sent() {
    let mut table = Table::new();
    extended(&mut table, "UPDATE customers SET email = $1 WHERE id = 1", &["a@b.c"]);
    table.told();
    table.input(Input::NotRecorded { hold: 1, why: Unrecorded::Failed });
    let told = table.told();
    assert!(!told.iter().any(|line| line.contains("execute")), "{told:?}");
    assert!(told.iter().any(|line| line.contains("postern refused")), "{told:?}");
}

/// Binds and executes [`RENAME`] for one row at a time.
fn bound(table: &mut Table) {
    extended_for(table, "UPDATE customers SET name = $1 WHERE id IN (1, 3) RETURNING id", 1);
    table.told();
    table.server(|out| {
        encode::parse_complete(out);
        encode::bind_complete(out);
    });
}

fn extended_for(table: &mut Table, sql: &str, max_rows: i32) {
    table.client(|out| {
        encode::parse(out, &Parse { name: "", sql, types: Vec::new() }).unwrap();
        let bind = Bind {
            portal: "p",
            statement: "",
            formats: Vec::new(),
            parameters: vec![Some(b"Ann")],
            result_formats: Vec::new(),
        };
        encode::bind(out, &bind).unwrap();
        encode::execute(out, &Execute { portal: "p", max_rows }).unwrap();
        encode::sync(out);
    });
}

fn is_sync(told: &[String]) -> bool {
    told.iter().any(|line| line == "server < sync")
}

/// Its keys were sent when it was bound, and what was bound may be executed long after.
#[test]
fn a_write_by_a_reason_that_has_ended_fails_before_it_is_committed() {
    let mut table = Table::with_proofs(true);
    bound(&mut table);
    table.entitled = Arc::new(entitled(&["1"]));
    table.rows(&[&["1", "1"]]).proven(1, 1);
    assert!(!is_sync(&table.told()), "more rows may come");
    table.rows(&[&["3", "3"]]);
    let told = table.told();
    assert!(told.iter().any(|line| line.starts_with("client < error 40001 a reason")), "{told:?}");
    assert!(told.iter().any(|line| line.contains("postern refused")), "{told:?}");
    assert!(told.contains(&"tell 1 3".to_owned()) && !is_sync(&told), "{told:?}");
    table.input(Input::Cancelled);
    assert!(is_sync(&table.told()), "it ends a transaction that has failed");
}

/// What the client asked for before it may still wait for the ledger.
#[test]
fn a_write_by_a_reason_that_has_ended_fails_behind_what_is_still_to_leave() {
    let mut table = Table::with_proofs(true);
    table.query("SELECT id, name FROM customers WHERE id = 1").rows(&[&["1", "One", "1"]]);
    table.completed("SELECT 1").ready(TransactionStatus::Idle).proven(1, 1);
    assert!(table.told().contains(&"hold 1 [1:clear]".to_owned()));
    bound(&mut table);
    table.entitled = Arc::new(entitled(&["1"]));
    table.rows(&[&["3", "3"]]);
    let told = table.told();
    assert!(told.iter().any(|line| line.contains("postern refused")), "{told:?}");
    assert!(told.contains(&"tell 3".to_owned()) && !is_sync(&told), "{told:?}");
    assert!(!told.iter().any(|line| line.starts_with("client")), "{told:?}");
    table.recorded(1, 1);
    let told = table.told();
    assert_eq!(told[..3], ["release 1: 1", "client < SELECT 1", "client < ready I"]);
    assert!(told[3].starts_with("client < error 40001 a reason"), "{told:?}");
    table.input(Input::Cancelled);
    assert!(is_sync(&table.told()), "it ends a transaction that has failed");
}

#[test]
fn a_write_is_committed_when_all_of_its_rows_are_seen() {
    let mut table = Table::with_proofs(true);
    bound(&mut table);
    table.rows(&[&["1", "1"]]).proven(1, 1).rows(&[&["3", "3"]]);
    assert!(!is_sync(&table.told()));
    table.completed("UPDATE 2");
    assert!(is_sync(&table.told()));
}

/// The server runs such a statement to its end, and keeps the other rows.
#[test]
fn a_write_is_not_suspended_with_rows_that_nobody_is_told_of() {
    let mut table = Table::new();
    let sql = "UPDATE customers SET name = $1 WHERE id IN (1, 3) RETURNING id";
    extended_for(&mut table, sql, 1);
    let max_rows = |effect: &Effect| {
        let Effect::ToServer(bytes) = effect else { return None };
        cut_frames(bytes).iter().find_map(|frame| {
            let Ok(Frontend::Execute(execute)) = Frontend::parse(frame) else { return None };
            Some(execute.max_rows)
        })
    };
    assert_eq!(table.effects.iter().find_map(max_rows), Some(0));
}
