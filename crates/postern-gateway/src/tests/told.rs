//! A gateway to which the database tells what has changed of reasons.

use std::time::{Duration, Instant};

use super::{code, rows, world::World};
use crate::changes_sql;

/// A world whose keeper has found what tells, so that nobody is read again who rests.
async fn told() -> World {
    let world = World::start(&[]);
    let sql = changes_sql(&world.settings.reasons, world.postgres.superuser());
    world.postgres.psql_in("support", &sql).unwrap();
    // Another regime looks at once.
    let mut world = world;
    let mut settings = world.settings.clone();
    settings.limits.statement_timeout += Duration::from_secs(1);
    world.reconfigure_beside(settings, world.policy.clone()).await.unwrap();
    world
}

fn is_looked_at(world: &World) -> bool {
    // Only a connection that keeps readings runs it.
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%reason_changes c%' \
               AND pid <> pg_backend_pid()";
    world.postgres.psql_in("support", sql).unwrap().trim() != "0"
}

#[tokio::test]
async fn what_has_changed_counts_in_the_next_second_and_after_an_own_take_at_once() {
    let world = told().await;
    let ben = world.client("ben").await;
    world.wait_until("changes to be followed", is_looked_at).await;
    let seven = "SELECT name FROM customers WHERE id = 7";
    assert_eq!(rows(&ben.simple_query(seven).await.unwrap()), [["***"]]);
    let queue =
        "INSERT INTO tickets (customer_id, opened_by, status) VALUES (8, 'customer', 'new'),
        (7, 'customer', 'new')";
    world.postgres.psql_in("support", queue).unwrap();
    for (id, name) in [(8, "Name 8"), (7, "Name 7")] {
        let take = "UPDATE tickets SET assignee = 'ben', status = 'open' WHERE id = \
                    (SELECT min(id) FROM tickets WHERE assignee IS NULL) AND assignee IS NULL";
        ben.simple_query(take).await.unwrap();
        let taken = format!("SELECT name FROM customers WHERE id = {id}");
        assert_eq!(rows(&ben.simple_query(&taken).await.unwrap()), [[name]]);
    }
    world.postgres.psql_in("support", "UPDATE tickets SET status = 'closed'").unwrap();
    let closed = Instant::now();
    loop {
        let asked = closed.elapsed();
        match ben.simple_query(seven).await {
            Ok(seen) if rows(&seen) == [["***"]] => return,
            Ok(_) => {}
            // It ended while the statement ran.
            Err(error) => assert_eq!(code(&error), "40001"),
        }
        assert!(asked < Duration::from_secs(1), "{asked:?}");
    }
}

#[tokio::test]
async fn what_is_told_is_nobodys_to_read_or_write() {
    let mut world = told().await;
    world
        .change(|settings| settings.upstream.relations.push("postern.reason_changes".into()))
        .unwrap();
    for actor in ["ben", "dba"] {
        let client = world.client(actor).await;
        for sql in [
            "SELECT * FROM postern.reason_changes",
            "DELETE FROM postern.reason_changes",
            "INSERT INTO postern.reason_changes (xact, relation) VALUES ('1', 1)",
            "UPDATE postern.reason_marks SET one = true",
            "TRUNCATE postern.reason_changes",
            "COPY postern.reason_changes TO STDOUT",
            "WITH x AS (DELETE FROM postern.reason_changes RETURNING 1) SELECT * FROM x",
            "SELECT postern.forget_reason_changes()",
        ] {
            let error = client.simple_query(sql).await.unwrap_err();
            assert_eq!(code(&error), "42501", "{actor}: {sql}");
        }
    }
}
