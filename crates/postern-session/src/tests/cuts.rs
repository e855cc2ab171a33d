//! A statement ends early: a budget, a reason that ended, a ledger that can't record.

use super::*;

const LIST: &str = "SELECT id, name FROM customers";

#[test]
fn a_spent_budget_lets_the_allowed_rows_out_and_ends_the_statement() {
    let mut table = Table::new();
    table.query(LIST).rows(&[&["2", "***", "2"], &["4", "***", "4"], &["5", "***", "5"]]).told();
    table.rows(&[&["6", "***", "6"]]).completed("SELECT 4").ready(TransactionStatus::Idle);
    table.stopped(1, 2);
    assert_eq!(
        table.told(),
        [
            "release 1: 2",
            "client < error 53400 the budget of 2 masked_subjects in 1h is spent",
            "client < ready I",
        ]
    );
    assert!(table.session.is_idle());
}

#[test]
fn a_cut_in_mid_result_cancels_and_drops_the_rest() {
    let mut table = Table::new();
    table.query(LIST).rows(&[&["2", "***", "2"], &["4", "***", "4"], &["5", "***", "5"]]).told();
    table.stopped(1, 0);
    assert_eq!(
        table.told(),
        [
            "release 1: 0",
            "client < error 53400 the budget of 2 masked_subjects in 1h is spent",
            "cancel",
        ]
    );
    assert!(!table.session.wants_client(), "nothing may run before the cancel request has come");
    table.rows(&[&["6", "***", "6"]]);
    table.server(|out| super::holds::error(out, "57014", "canceling"));
    table.ready(TransactionStatus::Idle).input(Input::Cancelled);
    assert_eq!(table.told(), ["client < ready I"]);
    assert!(table.session.wants_client());
}

#[test]
fn a_reason_that_ends_while_the_row_waits_has_ended() {
    let mut table = Table::new();
    table.query(LIST).rows(&[&["2", "***", "2"], &["3", "Three", "3"]]).completed("SELECT 2");
    table.ready(TransactionStatus::Idle).told();
    table.entitled = Arc::new(entitled(&["1"]));
    table.recorded(1, 2);
    assert_eq!(
        table.told(),
        [
            "release 1: 1",
            "client < error 40001 a reason that this statement relied on has ended",
            "client < ready I",
        ]
    );
}

#[test]
fn a_reading_that_is_too_old_entitles_to_nothing() {
    let mut table = Table::new();
    table.now = Timestamp(1_000_001);
    table.query(LIST);
    let told = table.told();
    assert!(told[0].contains("'{}'"), "{told:?}");
}

#[test]
fn what_cannot_be_recorded_does_not_leave() {
    let check = |why, said: &str| {
        let mut table = Table::new();
        table.query(LIST).rows(&[&["1", "One", "1"]]).completed("SELECT 1");
        table.ready(TransactionStatus::InTransaction).told();
        table.input(Input::NotRecorded { hold: 1, why });
        let told = table.told();
        assert!(told[0].starts_with(&format!("client < error {said}")), "{told:?}");
        assert_eq!(told[1..], ["client < ready T"]);
    };
    check(Unrecorded::Failed, "58030 the disclosure could not be recorded");
    check(Unrecorded::Full, "53100 the ledger is full");
    check(Unrecorded::Unwitnessed, "58030 so many records wait for the ledger's witness");
    check(Unrecorded::NoCopy, "58030 the ledger's second copy is away");
}

#[test]
fn a_cut_spares_the_next_statement_of_the_pipeline() {
    let mut table = Table::new();
    table.query(LIST).query("SELECT name FROM products").told();
    table.rows(&[&["2", "***", "2"]]).completed("SELECT 1").ready(TransactionStatus::Idle);
    table.rows(&[&["pen"]]).completed("SELECT 1").ready(TransactionStatus::Idle);
    assert_eq!(table.told(), ["hold 1 [2:masked]"]);
    table.stopped(1, 0);
    let told = table.told();
    assert_eq!(
        told[2..],
        ["client < ready I", "client < row pen", "client < SELECT 1", "client < ready I"]
    );
}

#[test]
fn a_cut_spares_the_rows_of_the_next_statement_that_have_come() {
    let mut table = Table::new();
    table.query(LIST).query(LIST).told();
    table.rows(&[&["2", "***", "2"]]).completed("SELECT 1").ready(TransactionStatus::Idle);
    table.rows(&[&["4", "***", "4"]]).told();
    table.stopped(1, 0).completed("SELECT 1").ready(TransactionStatus::Idle);
    assert!(table.told().contains(&"hold 2 [4:masked]".to_owned()));
}
