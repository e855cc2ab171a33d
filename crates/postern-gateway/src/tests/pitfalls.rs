//! Where others that stand before PostgreSQL have failed, one test for each.
//!
//! Others of the kind are elsewhere: bytes before the TLS handshake in `encrypted`, lengths that
//! can't be in `malformed` and `malice`, a reset during a huge row in `faults`, COPY in `copies`,
//! the depth and size of what is parsed in `postern-sql`, start-up parameters in `login::start`.

use bytes::BytesMut;
use postern_wire::{Bind, Execute, Parse, encode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{code, encrypted, raw::Raw, rows, world::World};

const ENDLESS: &str = "SELECT count(*) FROM generate_series(1, 100000000000)";

/// SET, search_path, PREPARE, a cursor, an advisory lock and an error: what one client leaves
/// behind no other finds, also when it had no time to clean up.
#[tokio::test]
async fn no_state_of_a_session_crosses_to_the_next_client() {
    let world = World::start(&[]);
    let mut ana = world.raw("ana").await;
    for sql in [
        "SET DateStyle = 'German'",
        "SET application_name = 'left behind'",
        "SET statement_timeout = 59000",
        "PREPARE left_behind AS SELECT id, name FROM customers WHERE id = 1",
    ] {
        let answer = ana.query(sql).await;
        assert_eq!(answer.error, None, "{sql} {}", answer.said);
    }
    assert_eq!(ana.query("BEGIN").await.status, b'T');
    let cursor = "DECLARE left_open CURSOR FOR SELECT id, name FROM customers";
    assert_eq!(ana.query(cursor).await.error, None);
    assert_eq!(ana.query("FETCH 1 FROM left_open").await.rows.len(), 1);
    assert_eq!(ana.query("SELECT 1/0").await.status, b'E');
    // An answer that it never reads.
    ana.send_query("ROLLBACK; SELECT id, name FROM customers").await;
    drop(ana);
    for actor in ["ana", "ben"] {
        let mut next = world.raw(actor).await;
        let shown = "SELECT current_setting('DateStyle'), current_setting('application_name'), \
                     current_setting('statement_timeout')";
        let shown = next.query(shown).await;
        assert_eq!(shown.rows, [["ISO, MDY", "", "1min"]], "{}", shown.said);
        for (sql, expected) in [
            ("EXECUTE left_behind", "26000"),
            ("DEALLOCATE left_behind", "26000"),
            ("FETCH 1 FROM left_open", "34000"),
        ] {
            assert_eq!(next.query(sql).await.error.as_deref(), Some(expected), "{sql}");
        }
    }
}

/// What a session can lock, notify or make for others without a table is refused.
#[tokio::test]
async fn what_could_reach_other_sessions_is_refused() {
    let world = World::start(&[]);
    let mut ana = world.raw("ana").await;
    for sql in [
        "SELECT pg_advisory_lock(1)",
        "SELECT pg_try_advisory_lock(1)",
        "LISTEN channel",
        "NOTIFY channel, 'x'",
        "CREATE TEMP TABLE customers (id int, name text)",
        "SET search_path = public, pg_temp",
        "SELECT set_config('search_path', 'pg_temp_3', false)",
    ] {
        assert_eq!(ana.query(sql).await.error.as_deref(), Some("42501"), "{sql}");
    }
}

/// Otherwise gateway and server would read different statements in the same bytes.
#[tokio::test]
async fn strings_and_encodings_that_the_server_reads_otherwise_are_refused() {
    let world = World::start(&[]);
    let mut ana = world.raw("ana").await;
    for sql in [
        "SET standard_conforming_strings = off",
        "SET LOCAL standard_conforming_strings TO off",
        "SET client_encoding = 'SJIS'",
        "SET NAMES 'LATIN1'",
        "SELECT set_config('standard_conforming_strings', 'off', false)",
        "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE; \
         SET standard_conforming_strings = off",
        "RESET ALL; SET standard_conforming_strings = off",
    ] {
        assert_eq!(ana.query(sql).await.error.as_deref(), Some("42501"), "{sql}");
    }
    let set = "SELECT current_setting('standard_conforming_strings'), \
               current_setting('client_encoding')";
    assert_eq!(ana.query(set).await.rows, [["on", "UTF8"]]);
    // A backslash ends no string here and a quote does.
    let sql = r"SELECT '\', name FROM customers WHERE id = 2 --'";
    assert_eq!(ana.query(sql).await.rows, [["\\", "***"]]);
    let mut bytes = b"Q\0\0\0\0SELECT '\x95\x5c', name FROM customers\0".to_vec();
    let length = u32::try_from(bytes.len() - 1).unwrap();
    bytes[1..5].copy_from_slice(&length.to_be_bytes());
    ana.send(&bytes).await;
    assert_eq!(ana.answer().await.error.as_deref(), Some("22021"));
}

/// `DETAIL: Failing row contains (…)` and its like name columns that nobody asked for.
#[tokio::test]
async fn the_detail_of_a_failing_row_does_not_leave() {
    let world = World::start(&[]);
    let check = "ALTER TABLE customers ADD CHECK (name <> 'refused')";
    world.postgres.psql_in("support", check).unwrap();
    world.wait_for_relation("ana", "customers").await;
    let ana = world.client("ana").await;
    for (sql, expected) in [
        ("UPDATE customers SET name = 'refused' WHERE id = 3", "23514"),
        ("UPDATE customers SET name = NULL WHERE id = 3", "23502"),
        ("UPDATE customers SET email = 'two@example.org' WHERE id = 3", "23505"),
        (
            "INSERT INTO tickets (customer_id, assignee, opened_by, status) \
             VALUES (999, 'ana', 'ana', 'open')",
            "23503",
        ),
    ] {
        let error = loop {
            let error = ana.simple_query(sql).await.unwrap_err();
            // The definitions have just changed.
            if code(&error) != "40001" {
                break error;
            }
        };
        let error = error.as_db_error().unwrap();
        assert_eq!(error.code().code(), expected, "{sql} {error}");
        assert_eq!((error.detail(), error.hint(), error.where_()), (None, None, None), "{sql}");
        assert_eq!(
            (error.table(), error.column(), error.constraint()),
            (None, None, None),
            "{sql}"
        );
        let said = format!("{error:?}");
        assert!(!said.contains("mail3") && !said.contains("Name 3"), "{said}");
    }
}

/// Binary values come from a cast of the masked text, and the keys behind them are cut off.
#[tokio::test]
async fn binary_results_are_masked_and_cut_as_text_is() {
    let world = World::start(&[]);
    let ana = world.client("ana").await;
    let sql = "SELECT id, name, email FROM customers WHERE id IN (1, 2) ORDER BY id";
    let all = ana.query(sql, &[]).await.unwrap();
    let all: Vec<(i64, &str, &str)> =
        all.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    assert_eq!(all, [(1, "Name 1", "one@example.org"), (2, "***", "***")]);
    for formats in [vec![1], vec![1, 0, 1], vec![0, 1, 0]] {
        let mut raw = world.raw("ana").await;
        let answer = bound(&mut raw, sql, formats.clone()).await;
        assert_eq!(answer.len(), 2, "{formats:?}");
        assert!(answer.iter().all(|row| row.len() == 3), "{formats:?} {answer:?}");
        assert_eq!(answer[1][1..], ["***", "***"], "{formats:?}");
    }
}

async fn bound(raw: &mut Raw, sql: &str, result_formats: Vec<i16>) -> Vec<Vec<String>> {
    let mut out = BytesMut::new();
    encode::parse(&mut out, &Parse { name: "", sql, types: Vec::new() }).unwrap();
    let (portal, statement) = ("", "");
    let (formats, parameters) = (Vec::new(), Vec::new());
    let bind = Bind { portal, statement, formats, parameters, result_formats };
    encode::bind(&mut out, &bind).unwrap();
    encode::execute(&mut out, &Execute { portal: "", max_rows: 0 }).unwrap();
    encode::sync(&mut out);
    raw.send(&out).await;
    raw.answer().await.rows
}

/// What masks by the names of the last description has none then.
#[tokio::test]
async fn a_statement_that_is_executed_again_without_describe_is_masked_and_cut() {
    let world = World::start(&[]);
    let mut ana = world.raw("ana").await;
    let mut out = BytesMut::new();
    let sql = "SELECT id, name FROM customers WHERE id = 2";
    encode::parse(&mut out, &Parse { name: "s", sql, types: Vec::new() }).unwrap();
    encode::sync(&mut out);
    ana.send(&out).await;
    assert_eq!(ana.answer().await.error, None);
    for portal in ["", "p", ""] {
        let mut out = BytesMut::new();
        let (formats, parameters, result_formats) = (Vec::new(), Vec::new(), Vec::new());
        let bind = Bind { portal, statement: "s", formats, parameters, result_formats };
        encode::bind(&mut out, &bind).unwrap();
        encode::execute(&mut out, &Execute { portal, max_rows: 0 }).unwrap();
        encode::sync(&mut out);
        ana.send(&out).await;
        assert_eq!(ana.answer().await.rows, [["2", "***"]], "{portal:?}");
        // Another statement's description in between.
        assert_eq!(ana.query("SELECT 1, 2, 3").await.rows.len(), 1);
    }
}

/// A cancel request comes on a connection of its own, in the clear and before anybody has said who
/// they are, also where log-ins must be encrypted.
#[tokio::test]
async fn a_cancel_request_needs_the_key_and_nothing_else() {
    let world = World::start_with(&[], Some(encrypted::server()));
    let ana = world.client("ana").await;
    let token = ana.cancel_token();
    let mut ben = world.raw("ben").await;
    let ben_is = ben.process_id;
    ben.send_query(ENDLESS).await;
    let running = tokio::spawn(async move { ana.simple_query(ENDLESS).await });
    world.wait_for_statements(2).await;
    for secret in [[0; 4], [0xff; 4]] {
        let mut out = BytesMut::new();
        encode::cancel_request(&mut out, ben_is, &secret).unwrap();
        let mut stream = TcpStream::connect(world.handle().address()).await.unwrap();
        stream.write_all(&out).await.unwrap();
        let mut said = Vec::new();
        stream.read_to_end(&mut said).await.unwrap();
        assert_eq!(said, b"", "nobody learns whether the key was right");
    }
    assert_eq!(world.running_statements(), 2, "a guessed key cancels nothing");
    token.cancel_query(tokio_postgres::NoTls).await.unwrap();
    assert_eq!(code(&running.await.unwrap().unwrap_err()), "57014");
    assert_eq!(world.running_statements(), 1, "and its own key nobody else's");
    drop(ben);
    world.wait_for_statements(0).await;
}

/// With `N`, and the client may go on: to TLS, or in the clear.
#[tokio::test]
async fn gssapi_encryption_is_refused_and_the_log_in_goes_on() {
    let world = World::start_with(&[], Some(encrypted::server()));
    let mut stream = TcpStream::connect(world.handle().address()).await.unwrap();
    let mut out = BytesMut::new();
    encode::gssenc_request(&mut out);
    stream.write_all(&out).await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'N');
    let mut ana = Raw::log_in(Box::new(stream), "ana", "pw-ana", "support").await;
    assert_eq!(ana.query("SELECT 1").await.rows, [["1"]]);
}

/// The server's offer of SCRAM with channel binding is not passed on: the channel that it would
/// bind to ends here. A client that was made to believe in one is refused.
#[tokio::test]
async fn channel_binding_is_not_offered_and_not_pretended() {
    let world = World::start_with(&[], Some(encrypted::server()));
    let name = rustls_pki_types::ServerName::try_from("localhost").unwrap();
    for first in [
        &b"p=tls-server-end-point,,n=,r=abcdefgh"[..],
        b"p=tls-unique,,n=,r=abcdefgh",
        b"n,a=dba,n=,r=abcdefgh",
    ] {
        for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"] {
            let tcp = TcpStream::connect(world.handle().address()).await.unwrap();
            let mut tcp = tcp;
            let mut out = BytesMut::new();
            encode::ssl_request(&mut out);
            tcp.write_all(&out).await.unwrap();
            assert_eq!(tcp.read_u8().await.unwrap(), b'S');
            let connector = tokio_rustls::TlsConnector::from(encrypted::client());
            let mut stream = connector.connect(name.clone(), tcp).await.unwrap();
            let mut out = BytesMut::new();
            let who = [("user", "ana"), ("database", "support")];
            encode::startup(&mut out, 0, &who).unwrap();
            encode::sasl_initial_response(&mut out, mechanism, first).unwrap();
            stream.write_all(&out).await.unwrap();
            let mut said = Vec::new();
            // It ends without a goodbye of TLS, perhaps.
            let _ = stream.read_to_end(&mut said).await;
            let said = String::from_utf8_lossy(&said).into_owned();
            assert!(said.contains("SCRAM-SHA-256\0\0"), "the only offer: {said:?}");
            assert!(said.contains("08P01") && !said.contains("r=abcdefgh"), "{said:?}");
        }
    }
}

/// A cached plan must not outlive what it was made for: another's text is judged for them.
#[tokio::test]
async fn one_actors_analysis_is_not_anothers_answer() {
    let world = World::start(&[]);
    let sql = "SELECT id, email FROM customers WHERE id IN (1, 2) ORDER BY id";
    let (ana, ben, dba) =
        (world.client("ana").await, world.client("ben").await, world.client("dba").await);
    for _ in 0..3 {
        let seen = rows(&ana.simple_query(sql).await.unwrap());
        assert_eq!(seen, [["1", "one@example.org"], ["2", "***"]]);
        let seen = rows(&ben.simple_query(sql).await.unwrap());
        assert_eq!(seen, [["1", "***"], ["2", "***"]]);
        let seen = rows(&dba.simple_query(sql).await.unwrap());
        assert_eq!(seen, [["1", "one@example.org"], ["2", "two@example.org"]]);
    }
}
