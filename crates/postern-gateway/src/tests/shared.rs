//! Nothing of a session is met by the next on the same server connection: each test tries to leave
//! something behind, or to reach somebody else's. What no statement of a judged role may do is done
//! by functions that the administrator vouches for, and that run any text.

use bytes::BytesMut;
use postern_model::Actor;
use postern_wire::{Bind, Execute, Parse, encode};

use super::{
    code,
    raw::{Raw, run},
    rows,
    turns::{asks, pid, world},
    world::World,
};

async fn does(raw: &mut Raw, sql: &str) {
    let answer = raw.query(&format!("SELECT does('{}')", sql.replace('\'', "''"))).await;
    assert_eq!(answer.error, None, "{}", answer.said);
}

/// Two sessions of different accounts, by turns on one connection.
async fn two(world: &World) -> (Raw, Raw) {
    (world.raw("ana").await, world.raw("ben").await)
}

#[tokio::test]
async fn settings_do_not_cross_however_they_are_made() {
    let world = world();
    let (mut ana, mut ben) = two(&world).await;
    let before = ben.query("SHOW application_name").await.rows;
    assert_eq!(ana.query("SET application_name = 'evil'").await.error, None);
    assert_eq!(ben.query("SHOW application_name").await.rows, before);
    let before = ben.query("SHOW statement_timeout").await.rows;
    let set = "SELECT set_config('statement_timeout', '7s', false)";
    assert_eq!(ana.query(set).await.rows, [["7s"]]);
    assert_eq!(ben.query("SHOW statement_timeout").await.rows, before);
    assert_eq!(ana.query("SHOW statement_timeout").await.rows, [["7s"]]);
    for setting in ["search_path", "role", "session_replication_role", "my.own"] {
        let known = asks(&mut ben, &format!("SELECT current_setting('{setting}', true)")).await;
        let value = match setting {
            "role" => "pg_monitor",
            "session_replication_role" => "replica",
            _ => "pg_temp",
        };
        does(&mut ana, &format!("SET {setting} = {value}")).await;
        let now = asks(&mut ben, &format!("SELECT current_setting('{setting}', true)")).await;
        // One that is made for the first time is empty afterwards, not absent.
        let is_known = now == known || known == "NULL" && now.is_empty();
        assert!(is_known, "{setting}: {known} was {now}");
    }
    let answer = ana.query("SET search_path = public, pg_temp").await;
    assert_eq!(answer.error.as_deref(), Some("42501"));
}

/// The server doesn't list them, so that no other connection could be given them.
#[tokio::test]
async fn a_setting_of_the_databases_own_keeps_its_connection_until_all_is_discarded() {
    let world = world();
    let (mut ana, mut ben) = two(&world).await;
    let own = "SELECT current_setting('app.own', true)";
    for set in ["SET app.own = 'hers'", "SELECT set_config('app.own', 'hers', false)"] {
        assert_eq!(ana.query(set).await.error, None);
        assert_eq!(ben.query("SELECT 1").await.error.as_deref(), Some("53300"), "{set}");
        // Another setting that is made and undone leaves it alone.
        for other in ["SET application_name = 'x'", "RESET application_name"] {
            assert_eq!(ana.query(other).await.error, None);
            assert_eq!(asks(&mut ana, own).await, "hers");
        }
        // It is not discarded by what the server refuses or skips.
        assert_eq!(ana.query("SELECT 1; DISCARD ALL").await.error.as_deref(), Some("25001"));
        let mut out = BytesMut::new();
        run(&mut out, "SELECT 1 / 0", None);
        run(&mut out, "DISCARD ALL", None);
        encode::sync(&mut out);
        ana.send(&out).await;
        assert_eq!(ana.answer().await.error.as_deref(), Some("22012"));
        assert_eq!(ben.query("SELECT 1").await.error.as_deref(), Some("53300"), "{set}");
        assert_eq!(asks(&mut ana, own).await, "hers");
        assert_eq!(ana.query("DISCARD ALL").await.error, None);
        assert_eq!(asks(&mut ben, own).await, "", "{set}");
    }
    for local in ["SET LOCAL app.own = 'hers'", "SELECT set_config('app.own', 'hers', true)"] {
        assert_eq!(ana.query("BEGIN").await.error, None);
        assert_eq!(ana.query(local).await.error, None);
        assert_eq!(asks(&mut ana, own).await, "hers");
        assert_eq!(ana.query("COMMIT").await.error, None);
        assert_eq!(asks(&mut ben, own).await, "", "{local}");
    }
}

/// What the gateway asks between two transactions has its own time.
#[tokio::test]
async fn a_short_time_for_statements_ends_no_connection() {
    let world = world();
    let (mut ana, mut ben) = two(&world).await;
    let process = asks(&mut ben, "SELECT pg_backend_pid()").await;
    let shown = ben.query("SHOW statement_timeout").await.rows;
    assert_eq!(ana.query("SET statement_timeout = '1ms'").await.error, None);
    for number in 0..20 {
        // It may be too short for the statement itself.
        let answer = ana.query(&format!("SET application_name = 'a{number}'")).await;
        assert!(matches!(answer.error.as_deref(), None | Some("57014")), "{}", answer.said);
        assert_eq!(ben.query("SHOW statement_timeout").await.rows, shown);
    }
    while ana.query("RESET statement_timeout").await.error.as_deref() == Some("57014") {}
    assert_eq!(ana.query("SHOW statement_timeout").await.rows, shown);
    assert_eq!(asks(&mut ben, "SELECT pg_backend_pid()").await, process, "it is the same");
    // Its own it finds again.
    assert_eq!(ana.query("SET statement_timeout = '7s'").await.error, None);
    assert_eq!(ben.query("SHOW statement_timeout").await.rows, shown);
    assert_eq!(ana.query("SHOW statement_timeout").await.rows, [["7s"]]);
}

/// The server reads constants by the settings at that time.
#[tokio::test]
async fn a_prepared_text_is_read_by_ones_own_settings() {
    let world = world();
    let (mut ana, mut ben) = two(&world).await;
    assert_eq!(
        ana.query("SET datestyle = 'ISO, DMY'; SET timezone = 'Asia/Tokyo'").await.error,
        None
    );
    let sql = "SELECT '01/02/2020'::date, '2020-01-01 00:00+00'::timestamptz";
    let mut read = Vec::new();
    for raw in [&mut ana, &mut ben] {
        let mut out = BytesMut::new();
        encode::parse(&mut out, &Parse { name: "p", sql, types: Vec::new() }).unwrap();
        let (formats, parameters, result_formats) = (Vec::new(), Vec::new(), Vec::new());
        let bind = Bind { portal: "", statement: "p", formats, parameters, result_formats };
        encode::bind(&mut out, &bind).unwrap();
        encode::execute(&mut out, &Execute { portal: "", max_rows: 0 }).unwrap();
        encode::sync(&mut out);
        raw.send(&out).await;
        read.push(raw.answer().await.rows);
    }
    assert_eq!(read[0], [["2020-02-01", "2020-01-01 09:00:00+09"]]);
    assert_eq!(read[1], ben.query(sql).await.rows);
    assert!(read[1][0][0].starts_with("2020-01-02"), "{read:?}");
}

#[tokio::test]
async fn temporary_objects_do_not_cross() {
    let world = world();
    let (mut ana, mut ben) = two(&world).await;
    does(&mut ana, "CREATE TEMP TABLE customers AS SELECT 1 AS id, 'x' AS email").await;
    let count = "SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema()";
    assert_eq!(asks(&mut ben, count).await, "0");
    let seen = ben.query("SELECT id, email FROM customers WHERE id = 2").await;
    assert_eq!(seen.rows, [["2", "***"]]);
}

#[tokio::test]
async fn a_temporary_table_keeps_its_connection_until_it_is_gone() {
    let world = world();
    let (mut dba, mut ben) = (world.raw("dba").await, world.raw("ben").await);
    for makes in ["CREATE TEMP TABLE mine (a int)", "CREATE TEMP TABLE mine AS SELECT 7 AS a"] {
        assert_eq!(dba.query(makes).await.error, None, "{makes}");
        assert_eq!(ben.query("SELECT 1").await.error.as_deref(), Some("53300"), "{makes}");
        assert_eq!(dba.query("INSERT INTO mine VALUES (8)").await.error, None);
        assert_eq!(dba.query("SELECT a FROM mine WHERE a = 8").await.rows, [["8"]]);
        assert_eq!(dba.query("DROP TABLE mine").await.error, None);
        assert_eq!(ben.query("SELECT 1").await.rows, [["1"]], "{makes}");
        assert_eq!(ben.query("SELECT a FROM mine").await.error.as_deref(), Some("42P01"));
    }
    assert_eq!(dba.query("CREATE TABLE ours (a int)").await.error, None);
    assert_eq!(ben.query("SELECT a FROM ours").await.error, None, "this is everybody's");
}

#[tokio::test]
async fn what_is_prepared_in_sql_keeps_its_connection_until_it_is_gone() {
    let world = world();
    let (mut ana, mut ben) = two(&world).await;
    assert_eq!(ana.query("PREPARE p AS SELECT 'of ana'").await.error, None);
    assert_eq!(ben.query("EXECUTE p").await.error.as_deref(), Some("53300"));
    assert_eq!(ana.query("EXECUTE p").await.rows, [["of ana"]]);
    assert_eq!(ana.query("DEALLOCATE p").await.error, None);
    assert_eq!(ben.query("EXECUTE p").await.error.as_deref(), Some("26000"));
    // The names that the server knows are nobody's.
    for number in 0..20 {
        let answer = ben.query(&format!("EXECUTE postern_s_{number}")).await;
        assert_eq!(answer.error.as_deref(), Some("26000"));
    }
    does(&mut ana, "PREPARE p AS SELECT 1").await;
    assert_eq!(ben.query("EXECUTE p").await.error.as_deref(), Some("26000"));
}

#[tokio::test]
async fn cursors_do_not_cross() {
    let world = world();
    let (mut ana, mut ben) = two(&world).await;
    ana.query("BEGIN; DECLARE c CURSOR FOR SELECT id FROM tickets").await;
    assert_eq!(ana.query("FETCH c").await.rows.len(), 1);
    assert_eq!(ben.query("FETCH c").await.error.as_deref(), Some("53300"));
    ana.query("COMMIT").await;
    for cursor in ["c", "postern_p_1", "postern_p_2", "\"\""] {
        ben.query("BEGIN").await;
        let answer = ben.query(&format!("FETCH {cursor}")).await;
        assert!(answer.error.is_some(), "{cursor}");
        ben.query("ROLLBACK").await;
    }
    let hold = "DECLARE h CURSOR WITH HOLD FOR SELECT 1";
    does(&mut ana, hold).await;
    assert_eq!(asks(&mut ben, "SELECT count(*) FROM pg_cursors WHERE name = 'h'").await, "0");
    // One that the gateway knows of keeps its connection.
    assert_eq!(ana.query(hold).await.error, None);
    assert_eq!(ben.query("FETCH h").await.error.as_deref(), Some("53300"));
    assert_eq!(ana.query("FETCH h").await.rows, [["1"]]);
}

#[tokio::test]
async fn advisory_locks_do_not_cross() {
    let world = world();
    let (mut ana, mut ben) = two(&world).await;
    let lock = "SELECT pg_advisory_lock(7)";
    assert_eq!(ana.query(lock).await.error.as_deref(), Some("42501"));
    asks(&mut ana, lock).await;
    let locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'";
    assert_eq!(asks(&mut ben, locks).await, "0");
    // Nor where the statement fails: such a lock outlives its transaction.
    let fails = "SELECT asks('SELECT pg_advisory_lock(7)'), 1 / 0";
    assert!(ana.query(fails).await.error.is_some());
    assert_eq!(asks(&mut ben, locks).await, "0");
}

#[tokio::test]
async fn the_last_number_of_a_sequence_does_not_cross() {
    let world = world();
    let (mut ana, mut ben) = two(&world).await;
    for takes in [
        "SELECT nextval('tickets_id_seq')",
        "INSERT INTO tickets (customer_id, assignee, opened_by, status) \
         VALUES (7, 'ana', 'ana', 'open')",
    ] {
        assert_eq!(ana.query(takes).await.error, None);
        for asks in ["SELECT lastval()", "SELECT currval('tickets_id_seq')"] {
            assert_eq!(ben.query(asks).await.error.as_deref(), Some("55000"), "{asks}");
        }
    }
}

#[tokio::test]
async fn channels_do_not_cross() {
    let world = world();
    let (mut ana, mut ben) = two(&world).await;
    assert_eq!(ana.query("LISTEN c").await.error.as_deref(), Some("42501"));
    does(&mut ana, "LISTEN c").await;
    assert_eq!(asks(&mut ben, "SELECT count(*) FROM pg_listening_channels()").await, "0");
}

#[tokio::test]
async fn the_rest_of_a_result_reaches_nobody_else() {
    let world = world();
    let (mut ana, mut ben) = two(&world).await;
    ana.send_query("SELECT 'of ana' FROM generate_series(1, 3000000)").await;
    assert_eq!(ana.first_row().await.rows, [["of ana"]]);
    assert_eq!(ben.query("SELECT 1").await.error.as_deref(), Some("53300"));
    drop(ana);
    world.wait_for_statements(0).await;
    world
        .wait_until("the connection is free", |world| world.handle().pools()[0].servers == 0)
        .await;
    assert_eq!(ben.query("SELECT 'of ben'").await.rows, [["of ben"]]);
}

#[tokio::test]
async fn what_a_session_leaves_undone_reaches_nobody_else() {
    let world = world();
    let mut ben = world.raw("ben").await;
    for leaves in ["BEGIN", "BEGIN; SELECT 1 / 0", "COPY nothing FROM STDIN", "SELECT 1 / 0"] {
        world.postgres.psql_in("support", "CREATE TABLE IF NOT EXISTS nothing (id int)").unwrap();
        world.wait_for_relation("dba", "nothing").await;
        let mut ana = world.raw("ana").await;
        ana.query(leaves).await;
        drop(ana);
        world.wait_until("ana is gone", |world| world.handle().sessions().len() == 1).await;
        let answer = ben.query("SELECT 'of ben'").await;
        assert_eq!((answer.error, answer.status), (None, b'I'), "after {leaves}");
        assert_eq!(answer.rows, [["of ben"]]);
    }
    assert_eq!(ben.query("SELECT count(*) FROM nothing").await.rows, [["0"]]);
}

#[tokio::test]
async fn a_copy_that_is_under_way_keeps_its_connection() {
    let world = world();
    world.postgres.psql_in("support", "CREATE TABLE nothing (id int)").unwrap();
    world.wait_for_relation("dba", "nothing").await;
    let (mut ana, mut ben) = two(&world).await;
    ana.query("COPY nothing FROM STDIN").await;
    assert_eq!(ben.query("SELECT 1").await.error.as_deref(), Some("53300"));
    let mut out = BytesMut::new();
    encode::copy_data(&mut out, b"7\n").unwrap();
    encode::copy_done(&mut out);
    ana.send(&out).await;
    assert_eq!(ana.answer().await.tags, ["COPY 1"]);
    assert_eq!(ben.query("SELECT id FROM nothing").await.rows, [["7"]]);
}

/// The key is the session's: it reaches the connection while the session has it, and nobody who
/// has it then.
#[tokio::test]
async fn a_cancel_request_never_hits_another_sessions_statement() {
    let world = world();
    let (ana, ben) = (world.client("ana").await, world.client("ben").await);
    let first = pid(&ana).await;
    assert_eq!(pid(&ben).await, first);
    let (of_ana, of_ben) = (ana.cancel_token(), ben.cancel_token());
    let endless = "SELECT count(*) FROM generate_series(1, 100000000000)";
    let running = tokio::spawn(async move { ben.simple_query(endless).await });
    world.wait_for_statements(1).await;
    for _ in 0..20 {
        of_ana.cancel_query(tokio_postgres::NoTls).await.unwrap();
    }
    assert_eq!(world.running_statements(), 1, "it goes on");
    of_ben.cancel_query(tokio_postgres::NoTls).await.unwrap();
    assert_eq!(code(&running.await.unwrap().unwrap_err()), "57014");
    // The request may come late: the connection is nobody else's.
    let second = pid(&ana).await;
    assert_ne!(second, first);
    of_ana.cancel_query(tokio_postgres::NoTls).await.unwrap();
    // Nothing was under way, so that it is as good as before; unless the request comes late, to her
    // own next statement.
    match ana.simple_query("SELECT pg_backend_pid()").await {
        Ok(answer) => assert_eq!(rows(&answer), [[second]]),
        Err(error) => assert_eq!(code(&error), "57014"),
    }
}

#[tokio::test]
async fn a_suspension_cuts_the_actors_statement_and_nobody_elses() {
    let world = world();
    let (mut ana, mut ben) = two(&world).await;
    ben.send_query("SELECT count(*) FROM generate_series(1, 100000000000)").await;
    world.wait_for_statements(1).await;
    let by = Actor::new("lead");
    assert_eq!(world.handle().suspend(&Actor::new("ana"), &by, "test").unwrap(), 1);
    assert_eq!(ana.answer().await.error.as_deref(), Some("57P01"));
    assert_eq!(world.running_statements(), 1, "it goes on");
    assert_eq!(world.handle().suspend(&Actor::new("ben"), &by, "test").unwrap(), 1);
    assert_eq!(ben.answer().await.error.as_deref(), Some("57P01"));
    world.wait_for_statements(0).await;
    let dba = world.client("dba").await;
    assert_eq!(rows(&dba.simple_query("SELECT 1").await.unwrap()), [["1"]]);
}

/// Each session's budgets, masks and records are its own, whoever has had the connection.
#[tokio::test]
async fn every_record_is_told_under_the_name_of_who_saw_it() {
    let world = world();
    let (mut ana, mut ben) = two(&world).await;
    for round in 1..=5 {
        for (raw, seen) in [(&mut ana, "one@example.org"), (&mut ben, "***")] {
            let answer = raw.query("SELECT email FROM customers WHERE id = 1").await;
            assert_eq!(answer.rows, [[seen]], "round {round}");
        }
    }
    let disclosures = world.disclosures();
    for disclosure in &disclosures {
        assert_eq!(disclosure.clear.is_empty(), disclosure.actor.as_str() == "ben");
    }
    assert_eq!(disclosures.len(), 10);
}

/// A temporary table is its session's own, which keeps the connection for it.
#[tokio::test]
async fn who_has_a_temporary_table_keeps_its_connection() {
    let world = world();
    let (mut dba, mut ben) = (world.raw("dba").await, world.raw("ben").await);
    assert_eq!(dba.query("CREATE TEMP TABLE picked (id int)").await.error, None);
    assert_eq!(ben.query("SELECT 1").await.error.as_deref(), Some("53300"));
    assert_eq!(dba.query("INSERT INTO picked VALUES (7)").await.error, None);
    assert_eq!(dba.query("SELECT id FROM picked").await.rows, [["7"]]);
    assert_eq!(dba.query("DISCARD ALL").await.error, None);
    assert_eq!(ben.query("SELECT id FROM picked").await.error.as_deref(), Some("42P01"));
    assert_eq!(ben.query("SELECT 1").await.rows, [["1"]]);
    // One that is no longer than its transaction leaves nothing.
    let text = "BEGIN; CREATE TEMP TABLE t (id int) ON COMMIT DROP; COMMIT";
    assert_eq!(dba.query(text).await.error, None);
    assert_eq!(dba.query("SELECT id FROM t").await.error.as_deref(), Some("42P01"));
    // What is not temporary is there on any connection.
    assert_eq!(dba.query("CREATE TABLE notes (id int)").await.error, None);
    assert_eq!(ben.query("SELECT 2").await.rows, [["2"]]);
    assert_eq!(dba.query("SELECT count(*) FROM notes").await.rows, [["0"]]);
}

/// A connection that has lost a statement is given it again: under the number of the settings that
/// it is read by then.
#[tokio::test]
async fn what_is_prepared_again_under_other_settings_is_nobody_elses() {
    let world = world();
    let (mut ana, mut ben) = two(&world).await;
    let sql = "SELECT '01/02/2020'::date AS dx";
    let prepare = |out: &mut BytesMut, name: &str, sql: &str| {
        encode::parse(out, &Parse { name, sql, types: Vec::new() }).unwrap();
    };
    let run = |out: &mut BytesMut, name: &str| {
        let (formats, parameters, result_formats) = (Vec::new(), Vec::new(), Vec::new());
        let bind = Bind { portal: "", statement: name, formats, parameters, result_formats };
        encode::bind(out, &bind).unwrap();
        encode::execute(out, &Execute { portal: "", max_rows: 0 }).unwrap();
    };
    let mut out = BytesMut::new();
    prepare(&mut out, "a", sql);
    encode::sync(&mut out);
    ana.send(&out).await;
    assert_eq!(ana.answer().await.error, None);
    // As many as the connection keeps: ana's goes.
    let mut out = BytesMut::new();
    for number in 0..20 {
        prepare(&mut out, &format!("b{number}"), &format!("SELECT {number} AS n"));
    }
    encode::sync(&mut out);
    ben.send(&out).await;
    assert_eq!(ben.answer().await.error, None);
    assert_eq!(ana.query("SET datestyle = 'ISO, DMY'").await.error, None);
    let mut out = BytesMut::new();
    run(&mut out, "a");
    encode::sync(&mut out);
    ana.send(&out).await;
    assert_eq!(ana.answer().await.error, None);
    let mut out = BytesMut::new();
    prepare(&mut out, "mine", sql);
    run(&mut out, "mine");
    encode::sync(&mut out);
    ben.send(&out).await;
    assert_eq!(ben.answer().await.rows, [["2020-01-02"]]);
}
