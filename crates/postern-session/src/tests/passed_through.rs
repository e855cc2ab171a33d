//! A session that is not looked into.

use postern_wire::{ReportFields, encode};

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
