//! Writes to protected tables, from a client to the rows and the ledger.

use std::collections::BTreeSet;

use bytes::BytesMut;
use postern_ledger::{Body, Counter, Limit};
use postern_wire::{Bind, Execute, Parse, encode};

use super::{code, raw::run, rows, world::World};

/// What a column holds, asked of the server itself.
fn stored(world: &World, sql: &str) -> String {
    world.postgres.psql_in("support", sql).unwrap().trim().to_owned()
}

fn recorded(world: &World) -> BTreeSet<String> {
    world.disclosures().iter().flat_map(|d| &d.subjects).map(ToString::to_string).collect()
}

async fn refused(client: &tokio_postgres::Client, sql: &str) {
    let error = client.simple_query(sql).await.unwrap_err();
    assert_eq!(code(&error), "42501", "{sql}: {error}");
}

#[tokio::test]
async fn rows_of_own_customers_are_changed_and_recorded_and_others_are_not() {
    let world = World::start(&[]);
    let ana = world.client("ana").await;
    // Without RETURNING, in both protocols: the rows are the gateway's, the count is the client's.
    let sql = "UPDATE customers SET name = $1 WHERE id IN (1, 2)";
    assert_eq!(ana.execute(sql, &[&"Ann"]).await.unwrap(), 1);
    // Whoever was asked about is recorded, changed or not.
    assert_eq!(recorded(&world), BTreeSet::from(["1".to_owned(), "2".to_owned()]));
    let simple = "UPDATE customers SET name = 'Bob' WHERE id IN (2, 3)";
    assert!(rows(&ana.simple_query(simple).await.unwrap()).is_empty());
    let names = "SELECT string_agg(name, ' ' ORDER BY id) FROM customers WHERE id < 4";
    assert_eq!(stored(&world, names), "Ann Name 2 Bob");
    assert_eq!(recorded(&world), BTreeSet::from(["1", "2", "3"].map(String::from)));
    let returning = "UPDATE customers SET name = $1 WHERE id = 1 RETURNING id, email";
    let row = ana.query_one(returning, &[&"Ann B."]).await.unwrap();
    // The row is hers, and that she has seen the address is recorded.
    assert_eq!((row.len(), row.get::<_, i64>(0), row.get::<_, &str>(1)), (2, 1, "one@example.org"));
    let shown = world.disclosures().pop().unwrap();
    assert!(shown.clear.iter().any(|column| &**column == "email"), "{shown:?}");
    refused(&ana, "UPDATE customers SET name = '***' WHERE id = 1").await;
    let error = ana.execute(sql, &[&"***"]).await.unwrap_err();
    assert_eq!(code(&error), "42501");
    for sql in [
        "UPDATE customers SET name = email",
        "UPDATE customers SET id = 2 WHERE id = 1",
        "DELETE FROM customers WHERE id = 1",
        "UPDATE tickets SET customer_id = 13",
        "UPDATE tickets SET assignee = 'ana' WHERE id = 2",
    ] {
        refused(&ana, sql).await;
    }
}

#[tokio::test]
async fn the_state_of_an_own_ticket_changes_and_nobody_gains_by_it() {
    let world = World::start(&[]);
    let ana = world.client("ana").await;
    let sql = "UPDATE tickets SET status = $1 WHERE id = $2 RETURNING id, status";
    let row = ana.query_one(sql, &[&"closed", &1_i64]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, &str>(1)), (1, "closed"));
    // It is not hers any more: she can't open it again.
    assert!(ana.query(sql, &[&"open", &1_i64]).await.unwrap().is_empty());
    let ben = world.client("ben").await;
    assert!(ben.query(sql, &[&"closed", &2_i64]).await.unwrap().is_empty());
    let states = "SELECT string_agg(status, ' ' ORDER BY id) FROM tickets";
    assert_eq!(stored(&world, states), "closed open");
}

/// What was bound has the keys of then, and can be executed for as long as its transaction lasts.
#[tokio::test]
async fn what_is_bound_is_not_written_by_a_reason_that_has_ended() {
    let world = World::start(&[]);
    let mut ana = world.raw("ana").await;
    ana.query("BEGIN").await;
    let mut out = BytesMut::new();
    let sql = "UPDATE customers SET name = 'Late' WHERE id IN (1, 3)";
    encode::parse(&mut out, &Parse { name: "", sql, types: Vec::new() }).unwrap();
    let bind = Bind {
        portal: "late",
        statement: "",
        formats: Vec::new(),
        parameters: Vec::new(),
        result_formats: Vec::new(),
    };
    encode::bind(&mut out, &bind).unwrap();
    encode::sync(&mut out);
    ana.send(&out).await;
    assert_eq!(ana.answer().await.error, None);
    let closes = "UPDATE tickets SET status = 'closed' WHERE customer_id = 3";
    world.postgres.psql_in("support", closes).unwrap();
    let patience = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
    while ana.query("SELECT name FROM customers WHERE id = 3").await.rows != [["***"]] {
        assert!(tokio::time::Instant::now() < patience, "the reason does not end");
    }
    let mut out = BytesMut::new();
    encode::execute(&mut out, &Execute { portal: "late", max_rows: 0 }).unwrap();
    encode::sync(&mut out);
    ana.send(&out).await;
    let answer = ana.answer().await;
    assert_eq!((answer.error.as_deref(), answer.tags.is_empty()), (Some("40001"), true));
    assert_eq!(ana.query("COMMIT").await.tags, ["ROLLBACK"]);
    let names = "SELECT string_agg(name, ', ' ORDER BY id) FROM customers WHERE id IN (1, 3)";
    assert_eq!(stored(&world, names), "Name 1, Name 3");
}

/// As an ORM's `save()` does it.
#[tokio::test]
async fn a_record_is_written_back_whole_and_what_is_fixed_stays() {
    let world = World::start(&[]);
    let ana = world.client("ana").await;
    let save = "UPDATE tickets SET customer_id = $1, assignee = $2, opened_by = $3, status = $4 \
                WHERE id = $5";
    let saved = ana.execute(save, &[&1_i64, &"ana", &"customer", &"open", &1_i64]).await;
    assert_eq!(saved.unwrap(), 1);
    assert_eq!(recorded(&world), BTreeSet::from(["1".to_owned()]));
    let simple = |customer: u32, assignee: &str, opened_by: &str, id: u32| {
        format!(
            "UPDATE tickets SET customer_id = {customer}, assignee = '{assignee}', \
             opened_by = {opened_by}, status = 'open' WHERE id = {id}"
        )
    };
    ana.simple_query(&simple(1, "ana", "'customer'", 1)).await.unwrap();
    let held = "SELECT string_agg(concat_ws(' ', customer_id, assignee, opened_by), ', ' \
                ORDER BY id) FROM tickets";
    let before = stored(&world, held);
    for other in [
        simple(2, "ana", "'customer'", 1),
        simple(1, "ben", "'customer'", 1),
        simple(1, "ana", "'ana'", 1),
        simple(1, "ana", "NULL", 1),
    ] {
        refused(&ana, &other).await;
    }
    let error = ana.execute(save, &[&3_i64, &"ana", &"customer", &"open", &1_i64]).await;
    assert_eq!(code(&error.unwrap_err()), "42501");
    // Nobody else's ticket becomes one's own, nor does it tell what it holds.
    let ben = world.client("ben").await;
    for (customer, assignee) in [(1, "ana"), (1, "ben"), (2, "ben")] {
        let sql = simple(customer, assignee, "'customer'", 1).replace("'open'", "'closed'");
        ben.simple_query(&sql).await.unwrap();
    }
    assert_eq!(stored(&world, held), before);
    assert_eq!(stored(&world, "SELECT status FROM tickets WHERE id = 1"), "open");
}

#[tokio::test]
async fn a_take_gets_the_next_of_the_queue_and_makes_a_graded_reason() {
    let world = World::start(&[]);
    let queue = "INSERT INTO tickets (customer_id, opened_by, status) VALUES \
                 (7, 'customer', 'new'), (8, 'ben', 'new'), (9, 'customer', 'new')";
    world.postgres.psql_in("support", queue).unwrap();
    let ben = world.client("ben").await;
    let take = "UPDATE tickets SET assignee = 'ben', status = 'open' WHERE id = \
                (SELECT min(id) FROM tickets WHERE assignee IS NULL) AND assignee IS NULL";
    ben.simple_query(take).await.unwrap();
    let by_id = "SELECT name FROM customers WHERE id = 7";
    assert_eq!(rows(&ben.simple_query(by_id).await.unwrap()), [["Name 7"]]);
    let takes = "UPDATE tickets SET assignee = $1, status = $2 WHERE id = (SELECT id FROM tickets \
                 WHERE assignee IS NULL ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)";
    assert_eq!(ben.execute(takes, &[&"ben", &"open"]).await.unwrap(), 1);
    let by_id = "SELECT name FROM customers WHERE id = 8";
    assert_eq!(rows(&ben.simple_query(by_id).await.unwrap()), [["Name 8"]]);
    let grades: Vec<String> = world
        .disclosures()
        .into_iter()
        .filter_map(|d| Some(d.reason?.grade.as_str().to_owned()))
        .collect();
    assert_eq!(grades, ["strong", "weak"]);
    let error = ben.execute(takes, &[&"ana", &"open"]).await.unwrap_err();
    assert_eq!(code(&error), "42501");
    let certain = "UPDATE tickets SET assignee = 'ben' WHERE id = 5 AND assignee IS NULL";
    refused(&ben, certain).await;
    assert_eq!(stored(&world, "SELECT count(*) FROM tickets WHERE assignee IS NULL"), "1");
}

#[tokio::test]
async fn no_row_is_inserted_that_forges_a_reason() {
    let world = World::start(&[]);
    let ben = world.client("ben").await;
    for values in ["(7, 'ben', 'customer')", "(7, 'ana', 'ben')", "(7, NULL, 'customer')"] {
        let insert = "INSERT INTO tickets (customer_id, assignee, opened_by) VALUES";
        refused(&ben, &format!("{insert} {values}")).await;
    }
    let typed = "INSERT INTO tickets (customer_id, assignee, opened_by) VALUES (7, 'ben', $1)";
    let bpchar = tokio_postgres::types::Type::BPCHAR;
    let error = ben.prepare_typed(typed, &[bpchar]).await.unwrap_err();
    assert_eq!(code(&error), "42501", "{error}");
    assert_eq!(stored(&world, "SELECT count(*) FROM tickets"), "2");
}

#[tokio::test]
async fn storing_a_unique_value_is_charged_before_it_runs() {
    let hour = std::time::Duration::from_secs(3_600);
    let limit = Limit { counter: Counter::Lookups, window: hour, max: 2 };
    let world = World::start(&[limit]);
    let mut ana = world.raw("ana").await;
    let guess = |email: &str| format!("UPDATE customers SET email = '{email}' WHERE id = 1");
    assert_eq!(ana.query(&guess("two@example.org")).await.error.as_deref(), Some("23505"));
    assert_eq!(ana.query(&guess("new@example.org")).await.error, None);
    assert_eq!(ana.query(&guess("other@example.org")).await.error.as_deref(), Some("53400"));
    assert_eq!(stored(&world, "SELECT email FROM customers WHERE id = 1"), "new@example.org");
    let searched = world.entries().into_iter().map(|entry| match entry.body {
        Body::Disclosed(disclosed) => disclosed.lookups.len(),
        Body::Noted(_) => 0,
    });
    assert_eq!(searched.sum::<usize>(), 3, "the one that was refused is an entry too");
    let client = world.client("ana").await;
    let error = client
        .execute("UPDATE customers SET email = $1 WHERE id = 1", &[&"x@example.org"])
        .await
        .unwrap_err();
    assert_eq!(code(&error), "53400");
    client.simple_query("SELECT 1").await.unwrap();
}

#[tokio::test]
async fn whom_a_write_has_touched_is_told_whatever_is_left() {
    let hour = std::time::Duration::from_secs(3_600);
    let limit = Limit { counter: Counter::ClearSubjects, window: hour, max: 2 };
    let world = World::start(&[limit]);
    let dba = world.client("dba").await;
    // It is done when it is known whose rows it meets, and shows none: all are told.
    let all = "UPDATE customers SET name = 'X' WHERE id > 1 AND id < 27";
    assert_eq!(dba.execute(all, &[]).await.unwrap(), 25);
    assert_eq!(recorded(&world).len(), 25);
    // The next one finds the budget spent, and is not sent.
    let error = dba.execute("UPDATE customers SET name = 'Y' WHERE id = 1", &[]).await.unwrap_err();
    assert_eq!(code(&error), "53400");
    assert_eq!(stored(&world, "SELECT count(*) FROM customers WHERE name = 'Y'"), "0");
    assert_eq!(recorded(&world).len(), 25);
}

#[tokio::test]
async fn what_a_write_shows_ends_where_the_budget_does_and_what_it_did_is_told() {
    let hour = std::time::Duration::from_secs(3_600);
    let limit = Limit { counter: Counter::ClearSubjects, window: hour, max: 2 };
    let world = World::start(&[limit]);
    let mut dba = world.raw("dba").await;
    // Three holds: the budget ends in the first.
    let all = "UPDATE customers SET name = 'X' WHERE id > 1 AND id < 27 RETURNING id, email";
    let answer = dba.query(all).await;
    assert_eq!(answer.error.as_deref(), Some("53400"));
    assert_eq!(answer.rows.len(), 2);
    let changed = stored(&world, "SELECT count(*) FROM customers WHERE name = 'X'");
    let told = || recorded(&world).len();
    let patience = std::time::Duration::from_secs(10);
    // What was cancelled in time was not done; whom the server had met by then is told all the same.
    assert!(changed == "0" || changed == "25", "{changed}");
    postern_testkit::wait_until(patience, "all to be told", || {
        told() == 25 || changed == "0" && told() > 2
    })
    .unwrap();
}

#[tokio::test]
async fn a_query_behind_a_message_that_fails_is_skipped_like_all_up_to_the_sync() {
    let world = World::start(&[]);
    let sql =
        "CREATE TABLE products (id int, name text); INSERT INTO products VALUES (1, ''), (2, '')";
    world.postgres.psql_in("support", sql).unwrap();
    world.wait_for_relation("ana", "products").await;
    let mut ana = world.raw("ana").await;
    for write in [
        "UPDATE products SET name = 'changed'",
        "BEGIN; UPDATE products SET name = 'changed'; COMMIT",
        "SELECT 'read'",
    ] {
        let mut out = BytesMut::new();
        run(&mut out, "SELECT 1 / 0", None);
        encode::query(&mut out, write).unwrap();
        run(&mut out, "SELECT 'after'", None);
        encode::sync(&mut out);
        ana.send(&out).await;
        let answer = ana.answer().await;
        assert_eq!(answer.error.as_deref(), Some("22012"), "{write}");
        assert!(answer.rows.is_empty() && answer.tags.is_empty(), "{write}: {answer:?}");
        // There is no other ReadyForQuery.
        assert_eq!(ana.query("SELECT 'next'").await.rows, [["next"]], "{write}");
    }
    // What does not fail is not skipped.
    let mut out = BytesMut::new();
    run(&mut out, "SELECT 'before'", None);
    encode::query(&mut out, "UPDATE products SET name = 'changed' WHERE id = 1").unwrap();
    ana.send(&out).await;
    let answer = ana.answer().await;
    assert_eq!((answer.error, answer.rows), (None, vec![vec!["before".to_owned()]]));
    assert_eq!(answer.tags, ["SELECT 1", "UPDATE 1"]);
    assert_eq!(stored(&world, "SELECT count(*) FROM products WHERE name = 'changed'"), "1");
}
