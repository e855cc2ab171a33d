//! Prepared statements and cursors in SQL, against a real server.

use bytes::BytesMut;
use postern_ledger::Body;
use postern_wire::{Bind, Execute, Parse, Target, encode};

use super::{code, rows, world::World};

#[tokio::test]
async fn prepared_in_sql_and_executed_either_way() {
    let world = World::start(&[]);
    let ana = world.client("ana").await;
    ana.simple_query("PREPARE p (bigint) AS SELECT id, email FROM customers WHERE id = $1")
        .await
        .unwrap();
    let own = rows(&ana.simple_query("EXECUTE p(1)").await.unwrap());
    assert_eq!(own, [["1", "one@example.org"]]);
    let other = rows(&ana.simple_query("EXECUTE p(2)").await.unwrap());
    assert_eq!(other, [["2", "***"]]);
    let extended = ana.query("EXECUTE p(2)", &[]).await.unwrap();
    assert_eq!((extended.len(), extended[0].len()), (1, 2));
    assert_eq!((extended[0].get::<_, i64>(0), extended[0].get::<_, &str>(1)), (2, "***"));
    let untyped = "PREPARE q AS SELECT email FROM customers WHERE id = $1 AND name = $2";
    ana.simple_query(untyped).await.unwrap();
    let other = rows(&ana.simple_query("EXECUTE q(2, '***')").await.unwrap());
    assert_eq!(other, [["***"]]);
    let told: usize = world.disclosures().iter().map(|d| d.subjects.len()).sum();
    assert_eq!(told, 4, "each execution is recorded");
    ana.simple_query("DEALLOCATE p").await.unwrap();
    assert_eq!(code(&ana.simple_query("EXECUTE p(1)").await.unwrap_err()), "26000");
    ana.simple_query("BEGIN; PREPARE r AS SELECT 1; ROLLBACK").await.unwrap();
    assert_eq!(rows(&ana.simple_query("EXECUTE r").await.unwrap()), [["1"]]);
    ana.simple_query("DISCARD ALL").await.unwrap();
    assert_eq!(code(&ana.simple_query("EXECUTE r").await.unwrap_err()), "26000");
}

#[tokio::test]
async fn a_statement_of_sql_bound_by_the_protocol_stays_masked() {
    let world = World::start(&[]);
    let mut ana = world.raw("ana").await;
    ana.query("PREPARE sp (bigint) AS SELECT email, name FROM customers WHERE id = $1").await;
    for result_formats in [Vec::new(), vec![1], vec![0, 1]] {
        let mut out = BytesMut::new();
        let (formats, parameters) = (Vec::new(), vec![Some(b"2".as_slice())]);
        let bind = Bind { portal: "", statement: "sp", formats, parameters, result_formats };
        encode::bind(&mut out, &bind).unwrap();
        encode::describe(&mut out, Target::Portal("")).unwrap();
        encode::execute(&mut out, &Execute { portal: "", max_rows: 0 }).unwrap();
        encode::sync(&mut out);
        ana.send(&out).await;
        assert_eq!(ana.answer().await.rows, [["***", "***"]]);
    }
    let mut out = BytesMut::new();
    let sql = "SELECT email FROM customers WHERE id = $1";
    encode::parse(&mut out, &Parse { name: "w", sql, types: vec![20] }).unwrap();
    encode::sync(&mut out);
    ana.send(&out).await;
    ana.answer().await;
    assert_eq!(ana.query("EXECUTE w(2)").await.rows, [["***"]]);
    assert_eq!(ana.query("EXECUTE w(1)").await.rows, [["one@example.org"]]);
}

/// What the protocol prepares and EXECUTE names would be done unseen, and with values that nobody
/// has looked at.
#[tokio::test]
async fn what_does_more_than_to_read_is_executed_by_the_protocol_only() {
    let world = World::start(&[]);
    let mut ana = world.raw("ana").await;
    for (index, (sql, arguments)) in [
        ("DEALLOCATE ALL", ""),
        ("SET datestyle = 'German'", ""),
        ("BEGIN", ""),
        ("UPDATE tickets SET status = $1 WHERE customer_id = 1 AND assignee = 'ana'", "('x')"),
        ("INSERT INTO tickets (customer_id, opened_by) VALUES (2, 'ana')", ""),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("n{index}");
        let mut out = BytesMut::new();
        encode::parse(&mut out, &Parse { name: &name, sql, types: Vec::new() }).unwrap();
        encode::sync(&mut out);
        ana.send(&out).await;
        assert_eq!(ana.answer().await.error, None, "{sql}");
        let executed = ana.query(&format!("EXECUTE {name}{arguments}")).await;
        assert_eq!(executed.error.as_deref(), Some("0A000"), "{sql}");
        assert_eq!(executed.status, b'I');
    }
    assert_eq!(ana.query("SELECT id FROM customers WHERE id = 1").await.rows, [["1"]]);
}

/// Each statement of a text has its answer, also where the gateway gives it by itself.
#[tokio::test]
async fn what_is_fixed_is_said_among_other_statements() {
    let world = World::start(&[]);
    let mut ana = world.raw("ana").await;
    let text = "SET DateStyle=ISO; SET client_min_messages=notice; SET client_encoding='utf-8'; \
                SELECT 1; RESET ROLE";
    let answer = ana.query(text).await;
    assert_eq!(answer.error, None, "{}", answer.said);
    assert_eq!(answer.tags, ["SET", "SET", "SET", "SELECT 1", "RESET"]);
    let reset = "SET SESSION AUTHORIZATION DEFAULT;RESET ALL;CLOSE ALL;UNLISTEN *;\
                 SELECT pg_advisory_unlock_all();DISCARD SEQUENCES;DISCARD TEMP";
    let answer = ana.query(reset).await;
    assert_eq!(answer.error, None, "{}", answer.said);
    assert_eq!(answer.tags.len(), 7);
    assert_eq!(
        ana.query("SET statement_timeout = '1ms'; SET statement_timeout = 0").await.error,
        None
    );
    let kept = ana.query("SHOW statement_timeout").await.rows;
    assert_ne!(kept, [["0"]]);
}

#[tokio::test]
async fn cursors_give_what_a_select_would_and_record_it() {
    let world = World::start(&[]);
    let mut ana = world.raw("ana").await;
    assert_eq!(ana.query("DECLARE c CURSOR FOR SELECT 1").await.error.as_deref(), Some("25P01"));
    ana.query("BEGIN").await;
    let declare = "DECLARE \"my cursor\" SCROLL CURSOR FOR \
                   SELECT id, email FROM customers ORDER BY id";
    assert_eq!(ana.query(declare).await.tags, ["DECLARE CURSOR"]);
    let fetched = ana.query("FETCH FORWARD 2 FROM \"my cursor\"").await;
    assert_eq!(fetched.rows, [["1", "one@example.org"], ["2", "***"]]);
    assert_eq!(fetched.tags, ["FETCH 2"]);
    assert_eq!(world.disclosures().iter().map(|d| d.subjects.len()).sum::<usize>(), 2);
    assert_eq!(ana.query("MOVE 3 FROM \"my cursor\"").await.tags, ["MOVE 3"]);
    assert_eq!(world.disclosures().iter().map(|d| d.subjects.len()).sum::<usize>(), 5);
    assert_eq!(ana.query("FETCH PRIOR FROM \"my cursor\"").await.rows, [["4", "***"]]);
    let mut out = BytesMut::new();
    encode::execute(&mut out, &Execute { portal: "my cursor", max_rows: 1 }).unwrap();
    encode::sync(&mut out);
    ana.send(&out).await;
    assert_eq!(ana.answer().await.rows, [["5", "***"]]);
    ana.query("SAVEPOINT s").await;
    ana.query("DECLARE inner_one CURSOR FOR SELECT email FROM customers").await;
    ana.query("ROLLBACK TO s").await;
    let gone = ana.query("FETCH inner_one").await;
    assert_eq!(gone.error.as_deref(), Some("34000"));
    assert!(
        gone.said.contains("\\\"inner_one\\\"") && !gone.said.contains("postern"),
        "{}",
        gone.said
    );
    assert_eq!(ana.query("ROLLBACK").await.status, b'I');
    assert_eq!(ana.query("FETCH \"my cursor\"").await.error.as_deref(), Some("34000"));
}

#[tokio::test]
async fn a_cursor_is_cut_when_its_reason_ends() {
    let world = World::start(&[]);
    let mut ana = world.raw("ana").await;
    ana.query("BEGIN").await;
    ana.query("DECLARE c SCROLL CURSOR FOR SELECT email FROM customers WHERE id < 3 ORDER BY id")
        .await;
    assert_eq!(ana.query("FETCH c").await.rows, [["one@example.org"]]);
    world.postgres.psql_in("support", "UPDATE tickets SET status = 'closed'").unwrap();
    let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
    let cut = loop {
        let answer = ana.query("FETCH FIRST FROM c").await;
        if answer.error.is_some() || std::time::Instant::now() > until {
            break answer;
        }
    };
    assert_eq!((cut.error.as_deref(), cut.rows.len()), (Some("40001"), 0));
}

#[tokio::test]
async fn the_extended_protocol_declares_and_fetches_too() {
    let world = World::start(&[]);
    let mut ana = world.client("ana").await;
    let transaction = ana.transaction().await.unwrap();
    let declare = "DECLARE c NO SCROLL CURSOR FOR SELECT id, email FROM customers \
                   WHERE id > $1 ORDER BY id";
    transaction.execute(declare, &[&1_i64]).await.unwrap();
    let fetched = transaction.query("FETCH FORWARD 2 FROM c", &[]).await.unwrap();
    let fetched: Vec<(i64, &str)> = fetched.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(fetched[0], (2, "***"));
    assert_eq!(fetched[1].0, 3);
    assert_eq!(transaction.execute("MOVE 2 FROM c", &[]).await.unwrap(), 2);
    transaction.execute("CLOSE c", &[]).await.unwrap();
    assert_eq!(code(&transaction.query("FETCH c", &[]).await.unwrap_err()), "34000");
}

#[tokio::test]
async fn plans_are_shown_of_what_is_not_protected_only() {
    let world = World::start(&[]);
    world.postgres.psql_in("support", "CREATE TABLE products (id int, name text)").unwrap();
    let ana = world.client("ana").await;
    let explain = "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT * FROM products";
    world.wait_for_relation("ana", "products").await;
    let plan = rows(&ana.simple_query(explain).await.unwrap());
    assert!(plan[0][0].starts_with("Seq Scan on products"), "{plan:?}");
    let refused = ana.simple_query("EXPLAIN SELECT 1 FROM customers WHERE id = 2").await;
    assert_eq!(code(&refused.unwrap_err()), "42501");
}

#[tokio::test]
async fn a_function_call_message_fails_the_transaction_as_an_error_would() {
    let world = World::start(&[]);
    let mut ana = world.raw("ana").await;
    assert_eq!(ana.query("BEGIN").await.status, b'T');
    ana.send(&[b'F', 0, 0, 0, 14, 0, 0, 4, 0xd2, 0, 0, 0, 0, 0, 0]).await;
    let refused = ana.answer().await;
    assert_eq!((refused.error.as_deref(), refused.status), (Some("42501"), b'E'));
    assert_eq!(ana.query("ROLLBACK").await.status, b'I');
    ana.send(&[b'F', 0, 0, 0, 14, 0, 0, 4, 0xd2, 0, 0, 0, 0, 0, 0]).await;
    assert_eq!(ana.answer().await.status, b'I');
}

#[tokio::test]
async fn a_statement_that_fails_over_protected_data_is_in_the_ledger() {
    let world = World::start(&[]);
    let mut ana = world.raw("ana").await;
    let probe = "SELECT 1 / (CASE WHEN email LIKE 'o%' THEN 0 ELSE 1 END) FROM customers \
                 WHERE id = 1";
    // Whichever of its many errors the server has raised, the client gets this one.
    assert_eq!(ana.query(probe).await.error.as_deref(), Some("22000"));
    let probes = world.entries().into_iter().filter_map(|entry| match entry.body {
        Body::Disclosed(disclosed) => Some(disclosed.lookups),
        Body::Noted(_) => None,
    });
    let probes: Vec<_> =
        probes.flatten().map(|probe| (probe.column.to_string(), probe.hit)).collect();
    assert_eq!(probes, [("failed 22000 (email)".to_owned(), false)]);
}
