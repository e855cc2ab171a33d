//! Sessions that take turns with server connections: how they come to one, and what they find.
//!
//! All here have one connection between them, so that whatever could cross does.

use std::time::Duration;

use bytes::BytesMut;
use postern_wire::{Bind, Execute, Parse, Target, encode};
use tokio_postgres::Client;

use super::{
    code,
    raw::{Raw, run},
    rows,
    world::World,
};
use crate::{Pooling, Settings};

/// One server connection for all.
pub(super) fn one_for_all(settings: &mut Settings) {
    settings.workers = 1;
    settings.limits.server_max = 1;
    settings.limits.queue_time = Duration::from_millis(300);
    settings.upstream.functions.extend(["public.asks".to_owned(), "public.does".to_owned()]);
    for role in settings.roles.values_mut() {
        role.pooling = Pooling::Transaction;
    }
}

pub(super) fn world() -> World {
    World::start_as(&[], one_for_all)
}

pub(super) async fn pid(client: &Client) -> String {
    rows(&client.simple_query("SELECT pg_backend_pid()").await.unwrap())[0][0].clone()
}

fn pools(world: &World) -> crate::PoolInfo {
    world.handle().pools()[0]
}

/// Behind a Flush without a Sync the server measures no time, and PREPARE keeps a connection.
#[tokio::test]
async fn who_keeps_a_connection_and_says_nothing_does_not_keep_it_for_good() {
    let world = World::start_as(&[], |settings| {
        one_for_all(settings);
        settings.limits.idle_in_transaction_timeout = Duration::from_secs(1);
        settings.limits.queue_time = Duration::from_secs(20);
    });
    let ben = world.client("ben").await;
    for flushes in [true, false] {
        let mut ana = world.raw("ana").await;
        let mut out = BytesMut::new();
        run(&mut out, "SELECT 1", None);
        if flushes {
            encode::flush(&mut out);
        }
        ana.send(&out).await;
        assert_eq!(ana.first_row().await.rows, [["1"]]);
        pid(&ben).await;
        assert_eq!(ana.answer().await.error.as_deref(), Some("57P05"), "{flushes}");
    }
    // A message that has begun and does not come to its end says nothing.
    for part in [&b"B\0\0\0"[..], b"S\0", b"Q\0\0\0\x10SELECT"] {
        let mut ana = world.raw("ana").await;
        let mut out = BytesMut::new();
        run(&mut out, "SELECT 1", None);
        out.extend_from_slice(part);
        ana.send(&out).await;
        pid(&ben).await;
        assert_eq!(ana.first_row().await.rows, [["1"]]);
        assert_eq!(ana.answer().await.error.as_deref(), Some("57P05"), "{part:?}");
    }
    // Who sends no more will not ask for an answer.
    let mut ana = world.raw("ana").await;
    let mut out = BytesMut::new();
    run(&mut out, "SELECT 1", None);
    ana.send(&out).await;
    ana.sends_no_more().await;
    pid(&ben).await;
    assert_eq!(ana.all().await.last_chunk(), Some(b"SELECT 1\0"), "it is answered and ended");
    // One that has prepared in SQL keeps it as long as nobody waits for it.
    ben.simple_query("PREPARE one AS SELECT 1").await.unwrap();
    assert_eq!(rows(&ben.simple_query("EXECUTE one").await.unwrap()), [["1"]]);
    let other = world.client("ben").await;
    pid(&other).await;
    assert!(ben.simple_query("EXECUTE one").await.is_err());
}

#[tokio::test]
async fn many_sessions_have_one_connection_between_them() {
    let world = world();
    let mut clients = Vec::new();
    for actor in ["ana", "ben", "dba", "ana", "ben"] {
        clients.push(world.client(actor).await);
    }
    let first = pid(&clients[0]).await;
    for client in &clients {
        assert_eq!(pid(client).await, first);
    }
    let sql = "SELECT id, email FROM customers WHERE id IN (1, 2) ORDER BY id";
    let seen = |client: usize| clients[client].simple_query(sql);
    let (one, two) = ("one@example.org", "two@example.org");
    assert_eq!(rows(&seen(0).await.unwrap()), [["1", one], ["2", "***"]]);
    assert_eq!(rows(&seen(1).await.unwrap()), [["1", "***"], ["2", "***"]]);
    assert_eq!(rows(&seen(2).await.unwrap()), [["1", one], ["2", two]]);
    assert_eq!((pools(&world).servers, pools(&world).started), (1, 1));
}

/// Each is prepared anew where the connection lacks it, and only there.
#[tokio::test]
async fn prepared_statements_outlast_the_connection_on_which_they_were_prepared() {
    let world = world();
    let (ana, ben) = (world.client("ana").await, world.client("ben").await);
    let guarded = "SELECT email FROM customers WHERE id = $1";
    let (of_ana, of_ben) =
        (ana.prepare(guarded).await.unwrap(), ben.prepare(guarded).await.unwrap());
    // More than a connection keeps: those before have to go.
    let mut more = Vec::new();
    for number in 0..20 {
        let sql = format!("SELECT $1::int8 + {number}");
        more.push((number, ana.prepare(&sql).await.unwrap()));
    }
    for _ in 0..2 {
        for (number, statement) in &more {
            let row = ana.query_one(statement, &[&1_i64]).await.unwrap();
            assert_eq!(row.get::<_, i64>(0), 1 + number);
        }
        let row = ana.query_one(&of_ana, &[&1_i64]).await.unwrap();
        assert_eq!(row.get::<_, &str>(0), "one@example.org");
        let row = ben.query_one(&of_ben, &[&1_i64]).await.unwrap();
        assert_eq!(row.get::<_, &str>(0), "***");
    }
    let kept = "SELECT count(*) FROM pg_prepared_statements WHERE NOT from_sql";
    let kept: usize = asks(&mut world.raw("dba").await, kept).await.parse().unwrap();
    // With the question for the moment.
    assert!(kept <= 9, "{kept}");
    // Whoever closes one closes it for nobody else.
    drop((of_ana, more));
    ana.simple_query("SELECT 1").await.unwrap();
    let row = ben.query_one(&of_ben, &[&2_i64]).await.unwrap();
    assert_eq!(row.get::<_, &str>(0), "***");
}

/// A question to the shared connection that no client may ask: by functions that run any text.
pub(super) async fn asks(raw: &mut Raw, sql: &str) -> String {
    let answer = raw.query(&format!("SELECT asks('{}')", sql.replace('\'', "''"))).await;
    assert_eq!(answer.error, None, "{}", answer.said);
    answer.rows[0][0].clone()
}

pub(super) async fn extended(raw: &mut Raw, parts: &[&str], parameters: Vec<Option<&[u8]>>) {
    let mut out = BytesMut::new();
    for part in parts {
        match part.split_once(' ').unwrap_or((part, "")) {
            ("parse", text) => {
                let (name, sql) = text.split_once(':').unwrap();
                encode::parse(&mut out, &Parse { name, sql, types: Vec::new() }).unwrap();
            }
            ("bind", statement) => {
                let bind = Bind {
                    portal: "",
                    statement,
                    formats: Vec::new(),
                    parameters: parameters.clone(),
                    result_formats: Vec::new(),
                };
                encode::bind(&mut out, &bind).unwrap();
            }
            ("describe", name) => encode::describe(&mut out, Target::Statement(name)).unwrap(),
            ("close", name) => encode::close(&mut out, Target::Statement(name)).unwrap(),
            ("execute", _) => {
                encode::execute(&mut out, &Execute { portal: "", max_rows: 0 }).unwrap();
            }
            ("sync", _) => encode::sync(&mut out),
            ("flush", _) => encode::flush(&mut out),
            _ => panic!("no such part: {part}"),
        }
    }
    raw.send(&out).await;
}

#[tokio::test]
async fn the_unnamed_statement_is_a_sessions_own() {
    let world = world();
    let (mut ana, mut ben) = (world.raw("ana").await, world.raw("ben").await);
    for (raw, sql) in [(&mut ana, "parse :SELECT 'of ana'"), (&mut ben, "parse :SELECT 'of ben'")] {
        extended(raw, &[sql, "describe ", "sync"], Vec::new()).await;
        assert_eq!(raw.answer().await.error, None);
    }
    for (raw, text) in [(&mut ana, "of ana"), (&mut ben, "of ben")] {
        extended(raw, &["bind ", "execute", "sync"], Vec::new()).await;
        assert_eq!(raw.answer().await.rows, [[text]]);
    }
}

/// By the protocol prepared, used and forgotten in SQL, as psycopg does.
#[tokio::test]
async fn a_statement_of_the_protocol_can_be_used_in_sql() {
    let world = world();
    let (mut ana, mut ben) = (world.raw("ana").await, world.raw("ben").await);
    for raw in [&mut ana, &mut ben] {
        extended(raw, &["parse s:SELECT 7", "sync"], Vec::new()).await;
        assert_eq!(raw.answer().await.error, None);
    }
    let answer = ana.query("DEALLOCATE s").await;
    assert_eq!((answer.error, answer.tags), (None, vec!["DEALLOCATE".to_owned()]));
    assert_eq!(ana.query("EXECUTE s").await.error.as_deref(), Some("26000"));
    assert_eq!(ben.query("EXECUTE s").await.rows, [["7"]], "it is another session's");
    // All that the connection has goes; the other session's comes back.
    assert_eq!(ana.query("DEALLOCATE ALL").await.tags, ["DEALLOCATE ALL"]);
    assert_eq!(ben.query("EXECUTE s").await.rows, [["7"]]);
    ana.query("DISCARD ALL").await;
    extended(&mut ben, &["bind s", "execute", "sync"], Vec::new()).await;
    assert_eq!(ben.answer().await.rows, [["7"]]);
    // One that the server refuses is nobody's, and can be tried again.
    extended(&mut ana, &["parse t:SELECT * FROM tickets WHERE nothing", "sync"], Vec::new()).await;
    assert!(ana.answer().await.error.is_some());
    extended(&mut ana, &["parse t:SELECT 8", "bind t", "execute", "sync"], Vec::new()).await;
    assert_eq!(ana.answer().await.rows, [["8"]]);
}

#[tokio::test]
async fn an_error_in_a_pipeline_leaves_the_statements_as_they_are() {
    let world = world();
    let (mut ana, mut ben) = (world.raw("ana").await, world.raw("ben").await);
    let parts = ["parse a:SELECT 1 / 0", "bind a", "execute", "parse b:SELECT 2", "sync"];
    extended(&mut ana, &parts, Vec::new()).await;
    assert_eq!(ana.answer().await.error.as_deref(), Some("22012"));
    for raw in [&mut ana, &mut ben] {
        extended(raw, &["parse b:SELECT 2", "bind b", "execute", "sync"], Vec::new()).await;
        let answer = raw.answer().await;
        assert_eq!((answer.error, answer.rows), (None, vec![vec!["2".to_owned()]]));
    }
    // It was prepared before the error.
    extended(&mut ana, &["parse a:SELECT 3", "sync"], Vec::new()).await;
    assert_eq!(ana.answer().await.error.as_deref(), Some("42P05"));
}

/// What a flush brings is inside of a transaction: nobody else is let in between.
#[tokio::test]
async fn a_pipeline_that_is_not_synced_keeps_the_connection() {
    let world = world();
    let (mut ana, mut ben) = (world.raw("ana").await, world.raw("ben").await);
    extended(&mut ana, &["parse :SELECT 1", "bind ", "execute", "flush"], Vec::new()).await;
    assert_eq!(ana.first_row().await.rows, [["1"]]);
    assert_eq!(ben.query("SELECT 2").await.error.as_deref(), Some("53300"));
    extended(&mut ana, &["sync"], Vec::new()).await;
    assert_eq!(ana.answer().await.status, b'I');
    assert_eq!(ben.query("SELECT 2").await.rows, [["2"]]);
}

#[tokio::test]
async fn who_waits_too_long_is_told_and_can_go_on() {
    let world = world();
    let (mut ana, mut ben) = (world.raw("ana").await, world.raw("ben").await);
    ana.query("BEGIN").await;
    let answer = ben.query("SELECT 1").await;
    assert_eq!((answer.error.as_deref(), answer.status), (Some("53300"), b'I'));
    assert!(answer.said.contains("server_max"), "{}", answer.said);
    // In the extended protocol what follows is dropped up to Sync, as after any error.
    let parts = ["parse :SELECT 1", "bind ", "execute", "sync"];
    extended(&mut ben, &parts, Vec::new()).await;
    let answer = ben.answer().await;
    assert_eq!((answer.error.as_deref(), answer.status), (Some("53300"), b'I'));
    assert_eq!(answer.rows.len(), 0);
    ben.send_query("SELECT 2").await;
    assert_eq!(ana.query("COMMIT").await.status, b'I');
    assert_eq!(ben.answer().await.rows, [["2"]], "it was in line");
    assert_eq!((pools(&world).waiting, pools(&world).waited), (0, 1));
}

#[tokio::test]
async fn a_transaction_is_on_one_connection() {
    let world = world();
    let (mut ana, mut ben) = (world.raw("ana").await, world.raw("ben").await);
    ana.query("BEGIN").await;
    assert_eq!(ana.query("SELECT 1 / 0").await.status, b'E');
    ben.send_query("SELECT 3").await;
    assert_eq!(ana.query("SELECT 1").await.error.as_deref(), Some("25P02"));
    assert_eq!(ana.query("ROLLBACK").await.status, b'I');
    assert_eq!(ben.answer().await.rows, [["3"]]);
}

/// What a client asks for at its start, and what it sets, it finds again on any connection.
#[tokio::test]
async fn settings_go_with_their_session() {
    let world = world();
    let config = world.config("ana", "pw-ana").options("-c TimeZone=Asia/Tokyo").to_owned();
    let (tokyo, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let other = world.client("ana").await;
    let zone = async |client: &Client| {
        rows(&client.simple_query("SHOW TimeZone").await.unwrap())[0][0].clone()
    };
    let default = zone(&other).await;
    assert_eq!(zone(&tokyo).await, "Asia/Tokyo");
    other.simple_query("SET TimeZone = 'Europe/Paris'").await.unwrap();
    other.simple_query("SET statement_timeout = '7s'").await.unwrap();
    assert_eq!(zone(&tokyo).await, "Asia/Tokyo");
    assert_eq!(zone(&other).await, "Europe/Paris");
    tokyo.simple_query("SET TimeZone = 'UTC'").await.unwrap();
    let timeout = rows(&tokyo.simple_query("SHOW statement_timeout").await.unwrap());
    assert_eq!(timeout, [["1min"]]);
    let timeout = rows(&other.simple_query("SHOW statement_timeout").await.unwrap());
    assert_eq!(timeout, [["7s"]]);
    // Back to what it began with.
    tokyo.simple_query("RESET TimeZone").await.unwrap();
    other.simple_query("DISCARD ALL").await.unwrap();
    assert_eq!(zone(&tokyo).await, "Asia/Tokyo");
    assert_eq!(zone(&other).await, default);
    // One that is rolled back was never set.
    other.batch_execute("BEGIN; SET TimeZone = 'Asia/Tokyo'; ROLLBACK").await.unwrap();
    assert_eq!(zone(&tokyo).await, "Asia/Tokyo");
    assert_eq!(zone(&other).await, default);
    let wrong = world.config("ana", "pw-ana").options("-c TimeZone=Nowhere").to_owned();
    let error = wrong.connect(tokio_postgres::NoTls).await.err().unwrap();
    assert_eq!(code(&error), "22023");
}

/// As PostgreSQL does it: what was sent is done and answered.
#[tokio::test]
async fn a_client_that_sends_no_more_gets_its_answers() {
    for world in [world(), World::start(&[])] {
        let mut ana = world.raw("ana").await;
        ana.send_query("SELECT pg_sleep(0.3), 1").await;
        ana.send_query("SELECT email FROM customers WHERE id = 1").await;
        ana.sends_no_more().await;
        assert_eq!(ana.answer().await.rows, [["", "1"]]);
        assert_eq!(ana.answer().await.rows, [["one@example.org"]]);
        assert!(ana.is_closed().await);
    }
}

#[tokio::test]
async fn a_client_that_sends_no_more_ends_a_copy_and_a_transaction() {
    let world = world();
    world.postgres.psql_in("support", "CREATE TABLE nothing (id int)").unwrap();
    world.wait_for_relation("dba", "nothing").await;
    for leaves in ["COPY nothing FROM STDIN", "BEGIN; INSERT INTO nothing VALUES (1)"] {
        let mut ana = world.raw("ana").await;
        ana.query(leaves).await;
        ana.sends_no_more().await;
        assert!(ana.is_closed().await, "{leaves}");
    }
    let mut ben = world.raw("ben").await;
    assert_eq!(ben.query("SELECT count(*) FROM nothing").await.rows, [["0"]]);
}

/// It does not wait for its turn any more, nor is it cancelled for what others do with it.
#[tokio::test]
async fn a_drained_gateway_lets_the_running_statement_end() {
    let world = world();
    let (mut ana, mut ben) = (world.raw("ana").await, world.raw("ben").await);
    let mut dba = world.raw("dba").await;
    ana.query("BEGIN").await;
    ben.send_query("SELECT 1").await;
    world.wait_until("ben waits", |world| pools(world).waiting == 1).await;
    world.handle().stop();
    assert_eq!(ben.answer().await.error.as_deref(), Some("57P01"));
    assert_eq!(dba.answer().await.error.as_deref(), Some("57P01"));
    assert_eq!(ana.query("SELECT 1").await.rows, [["1"]]);
    assert_eq!(ana.query("COMMIT").await.status, b'I');
    assert!(ana.answer().await.error.is_some());
}

#[tokio::test]
async fn a_lost_server_is_noticed_by_whoever_needs_it() {
    let mut world = world();
    let ana = world.client("ana").await;
    pid(&ana).await;
    world.postgres.shut_down().unwrap();
    world.postgres.start_again().unwrap();
    world.wait_for_login("ana").await;
    world.wait_for_relation("dba", "tickets").await;
    // The idle connection is gone, and its session is none the worse for it.
    assert_eq!(rows(&ana.simple_query("SELECT 1").await.unwrap()), [["1"]]);
}

#[tokio::test]
async fn one_that_is_old_is_not_given_out_again() {
    let world = World::start_as(&[], |settings| {
        one_for_all(settings);
        settings.limits.server_lifetime = Duration::ZERO;
    });
    let ana = world.client("ana").await;
    let first = pid(&ana).await;
    assert_ne!(pid(&ana).await, first);
}
