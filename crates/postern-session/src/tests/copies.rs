//! COPY in both directions.

use super::{Table, TransactionStatus, encode, holds::error};
use crate::tests::{Bind, Execute, Parse};
use postern_wire::CopyFormats;

fn copies(table: &mut Table, columns: usize) {
    let formats = CopyFormats { overall: 0, columns: vec![0; columns] };
    table.server(|out| encode::copy_out_response(out, &formats).unwrap());
}

fn data(table: &mut Table, lines: &[&str]) {
    table.server(|out| {
        for line in lines {
            encode::copy_data(out, line.as_bytes()).unwrap();
        }
    });
}

#[test]
fn copied_rows_are_cut_held_and_recorded() {
    let mut table = Table::new();
    table.query("COPY (SELECT id, email FROM customers) TO STDOUT");
    let told = table.told();
    assert!(
        told[0].starts_with("server < query COPY (SELECT customers.id, customers.email"),
        "{told:?}"
    );
    assert!(told[0].ends_with(") TO STDOUT"), "{told:?}");
    copies(&mut table, 3);
    assert_eq!(table.told(), ["client < CopyOutResponse"]);
    data(&mut table, &["1\tone\t1\n", "2\t***\t2\n"]);
    table.server(encode::copy_done).completed("COPY 2").ready(TransactionStatus::Idle);
    let hold = table.effects.iter().find_map(|effect| {
        if let crate::Effect::Hold(hold) = effect { Some(hold.bytes.clone()) } else { None }
    });
    let mut expected = bytes::BytesMut::new();
    encode::copy_data(&mut expected, b"1\tone\n").unwrap();
    encode::copy_data(&mut expected, b"2\t***\n").unwrap();
    assert_eq!(hold, Some(expected));
    assert_eq!(table.told(), ["hold 1 [1:clear 2:masked]"]);
    table.recorded(1, 2);
    assert_eq!(
        table.told(),
        ["release 1: 2", "client < CopyDone", "client < COPY 2", "client < ready I"]
    );
}

#[test]
fn a_key_that_looks_like_the_clients_null_is_a_key() {
    let mut table = Table::new();
    table.query("COPY (SELECT email FROM customers) TO STDOUT (NULL '2')").told();
    copies(&mut table, 2);
    data(&mut table, &["***\t2\n"]);
    table.server(encode::copy_done);
    assert!(table.told().contains(&"hold 1 [2:masked]".to_owned()));
}

#[test]
fn a_copied_lookup_that_finds_nothing_is_told_before_the_copy_ends() {
    let mut table = Table::new();
    table.query("COPY (SELECT id FROM customers WHERE email = 'x') TO STDOUT").told();
    copies(&mut table, 2);
    table.server(encode::copy_done).completed("COPY 0");
    assert_eq!(table.told()[1..], ["hold 1 [] miss"]);
    table.recorded(1, 0);
    assert_eq!(table.told()[1..], ["client < CopyDone", "client < COPY 0"]);
}

#[test]
fn a_copy_that_is_not_as_asked_for_ends_the_session() {
    for (columns, line) in
        [(3, "1\n"), (2, "1\n"), (2, "a\tb\t1\n"), (2, "a\t1"), (2, "a\t1\nb\t2\n")]
    {
        let mut table = Table::new();
        table.query("COPY (SELECT email FROM customers) TO STDOUT").told();
        copies(&mut table, columns);
        data(&mut table, &[line]);
        let told = table.told();
        assert_eq!(told.last().map(String::as_str), Some("close"), "{line:?} {told:?}");
    }
    // Data without a copy, or a copy where rows were asked for.
    let mut table = Table::new();
    table.query("SELECT email FROM customers").told();
    copies(&mut table, 2);
    assert_eq!(table.told().last().map(String::as_str), Some("close"));
    let mut table = Table::new();
    table.query("COPY (SELECT email FROM customers) TO STDOUT").told();
    data(&mut table, &["one\t1\n"]);
    assert_eq!(table.told().last().map(String::as_str), Some("close"));
}

#[test]
fn data_for_a_table_goes_on_while_the_server_takes_it() {
    let mut table = Table::new();
    table.query("COPY products FROM STDIN").told();
    assert!(!table.session.takes_client());
    let formats = CopyFormats { overall: 0, columns: vec![0; 2] };
    table.server(|out| encode::copy_in_response(out, &formats).unwrap());
    assert!(table.session.takes_client());
    table.told();
    table.client(|out| encode::copy_data(out, b"1\tpen\n").unwrap()).client(encode::copy_done);
    assert_eq!(table.told(), ["server < d", "server < c"]);
    assert!(!table.session.takes_client());
    table.completed("COPY 1").ready(TransactionStatus::Idle);
    assert_eq!(table.told(), ["client < COPY 1", "client < ready I"]);
}

#[test]
fn a_copy_by_the_extended_protocol_ends_with_the_sync_after_its_data() {
    let mut table = Table::new();
    let (formats, parameters, result_formats) = (Vec::new(), Vec::new(), Vec::new());
    table.client(|out| {
        let parse = Parse { name: "", sql: "COPY products FROM STDIN", types: Vec::new() };
        encode::parse(out, &parse).unwrap();
        let bind = Bind { portal: "", statement: "", formats, parameters, result_formats };
        encode::bind(out, &bind).unwrap();
        encode::execute(out, &Execute { portal: "", max_rows: 0 }).unwrap();
    });
    // The client's Sync waits until it is known whether the server reads it as part of the copy.
    assert!(!table.session.takes_client());
    table.server(|out| {
        encode::parse_complete(out);
        encode::bind_complete(out);
        encode::copy_in_response(out, &CopyFormats { overall: 0, columns: vec![0] }).unwrap();
    });
    table.told();
    table.client(encode::sync);
    assert!(table.told().is_empty());
    table.client(|out| encode::copy_data(out, b"1\n").unwrap());
    // It fails while the client is still sending.
    table.server(|out| error(out, "22P02", "no")).told();
    table.client(|out| encode::copy_data(out, b"2\n").unwrap()).client(encode::copy_done);
    assert!(table.told().is_empty());
    table.client(encode::sync).ready(TransactionStatus::Idle);
    assert_eq!(table.told(), ["server < sync", "client < ready I"]);
}

#[test]
fn anything_else_during_a_copy_makes_it_fail() {
    let mut table = Table::new();
    table.query("COPY products FROM STDIN");
    table.server(|out| {
        encode::copy_in_response(out, &CopyFormats { overall: 0, columns: vec![0] }).unwrap();
    });
    table.told();
    table.query("SELECT email FROM customers");
    assert_eq!(table.told(), ["server < f"]);
}
