//! A session that is not looked into.

use bytes::BytesMut;
use postern_wire::{ReportFields, TransactionStatus, encode};

use super::Table;
use crate::{Failure, Kind};

fn lost(table: &mut Table) -> Vec<String> {
    table.session.close(&Failure::UpstreamLost, &mut table.effects);
    table.told()
}

fn error(table: &mut Table, severity: &str) {
    let fields = vec![(b'S', severity), (b'V', severity), (b'C', "57P01"), (b'M', "ended")];
    table.server(|out| encode::report_fields(out, b'E', &ReportFields(fields)).unwrap());
    table.told();
}

#[test]
fn a_server_that_is_lost_is_told_once() {
    let mut table = Table::of_kind(Kind::PassThrough, false);
    table.query("SELECT 1");
    assert!(!table.session.is_over());
    table.told();
    error(&mut table, "ERROR");
    let told = lost(&mut table);
    assert!(told[0].starts_with("client < error 08006"), "{told:?}");
    assert_eq!(told.last().map(String::as_str), Some("close"));
    assert_eq!(lost(&mut table), Vec::<String>::new());
}

#[test]
fn nothing_is_said_after_the_servers_last_word() {
    for severity in ["FATAL", "PANIC"] {
        let mut table = Table::of_kind(Kind::PassThrough, false);
        error(&mut table, severity);
        assert!(table.session.is_over());
        assert_eq!(lost(&mut table), ["close"]);
    }
}

#[test]
fn nothing_is_said_to_a_client_that_has_said_goodbye() {
    let mut table = Table::of_kind(Kind::PassThrough, false);
    table.client(encode::terminate);
    assert_eq!(table.told(), ["server < X"]);
    assert!(table.session.is_over());
    assert_eq!(lost(&mut table), ["close"]);
}

fn ready(table: &mut Table, status: TransactionStatus) {
    table.server(|out| encode::ready_for_query(out, status));
}

fn may_end(table: &Table) -> bool {
    table.session.is_idle() && table.session.is_free()
}

#[test]
fn it_can_end_where_the_server_has_answered_all_outside_of_a_transaction() {
    use TransactionStatus::{Failed, Idle, InTransaction};
    let mut table = Table::of_kind(Kind::PassThrough, false);
    assert!(may_end(&table));
    table.query("BEGIN");
    assert!(!may_end(&table));
    for status in [InTransaction, Failed] {
        ready(&mut table, status);
        assert!(!may_end(&table));
        table.query("ROLLBACK");
    }
    table.query("SELECT 1");
    ready(&mut table, Idle);
    assert!(!may_end(&table), "one answer is still to come");
    ready(&mut table, Idle);
    assert!(may_end(&table));
    // What has no Sync behind it may have begun a transaction.
    table.client(encode::flush);
    assert!(!may_end(&table));
    table.client(encode::sync);
    ready(&mut table, Idle);
    assert!(may_end(&table));
    assert!(!table.session.is_answered(), "nobody knows what it leaves behind");
    table.query("COPY t FROM STDIN");
    table.client(|out: &mut BytesMut| encode::copy_data(out, b"1\n").unwrap());
    table.client(encode::copy_done);
    assert!(!may_end(&table));
    ready(&mut table, Idle);
    assert!(may_end(&table));
}
