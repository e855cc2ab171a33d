//! A role that sees everything in clear: nothing that it learns goes unrecorded.

use postern_ledger::Body;

use super::{code, rows, world::World};

/// The look-ups in the ledger, as column and outcome.
fn looked_up(world: &World) -> Vec<String> {
    let bodies = world.entries().into_iter().filter_map(|entry| match entry.body {
        Body::Disclosed(disclosed) => Some(disclosed.lookups),
        Body::Noted(_) => None,
    });
    let told = bodies
        .flatten()
        .map(|lookup| format!("{} {}", lookup.column, if lookup.hit { "hit" } else { "miss" }));
    told.collect()
}

#[tokio::test]
async fn what_a_protected_column_decides_is_recorded_rows_or_not() {
    let world = World::start(&[]);
    let dba = world.client("dba").await;
    let clear = "SELECT email FROM customers WHERE id = 1";
    assert_eq!(rows(&dba.simple_query(clear).await.unwrap()), [["one@example.org"]]);
    assert_eq!(looked_up(&world), [""; 0]);
    let none = "SELECT id FROM customers WHERE email LIKE 'nobody%'";
    assert!(rows(&dba.simple_query(none).await.unwrap()).is_empty());
    assert_eq!(looked_up(&world), ["email miss"]);
    let found = "SELECT id FROM customers WHERE email LIKE $1";
    assert_eq!(dba.query(found, &[&"one@%"]).await.unwrap().len(), 1);
    assert_eq!(looked_up(&world), ["email miss", "email hit"]);
    let absent = "SELECT g, c.id FROM generate_series(1, 2) g \
                  LEFT JOIN (SELECT id FROM customers WHERE email NOT LIKE 'one@%') c ON c.id = g ORDER BY g";
    // Each guess that it leaves out would be told, by one look-up and nobody's name.
    assert_eq!(code(&dba.simple_query(absent).await.unwrap_err()), "42501");
    assert_eq!(looked_up(&world).len(), 2);
}

#[tokio::test]
async fn what_is_folded_by_a_protected_column_is_refused() {
    let world = World::start(&[]);
    let dba = world.client("dba").await;
    for sql in [
        "SELECT count(*) FROM customers WHERE email LIKE 'one@%' OFFSET 0",
        "SELECT string_agg(email, ',') FROM customers",
        "SELECT 1 WHERE EXISTS (SELECT FROM customers WHERE substr(email, 1, 1) = 'o')",
        "SELECT max(id) + 1 FROM (SELECT max(id) AS id FROM customers WHERE name = 'One') x",
    ] {
        let refused = dba.simple_query(sql).await.unwrap_err();
        assert_eq!(code(&refused), "42501", "{sql}");
    }
    assert_eq!(rows(&dba.simple_query("SELECT count(*) FROM customers").await.unwrap()).len(), 1);
}

/// All whom it folds are named.
#[tokio::test]
async fn what_a_statement_folds_of_many_is_recorded_of_each() {
    let world = World::start(&[]);
    let dba = world.client("dba").await;
    let sql = "SELECT string_agg(email, ',' ORDER BY id) FROM customers WHERE id <= 2";
    let told = rows(&dba.simple_query(sql).await.unwrap());
    assert_eq!(told, [["one@example.org,two@example.org"]]);
    let disclosed = world.entries().into_iter().filter_map(|entry| match entry.body {
        Body::Disclosed(disclosed) => Some(disclosed.groups),
        Body::Noted(_) => None,
    });
    let subjects: usize = disclosed.flatten().map(|group| group.subjects.len()).sum();
    assert_eq!(subjects, 2);
}

/// How many there are names them, and that there are none is a look-up before it leaves.
#[tokio::test]
async fn what_is_counted_by_a_protected_column_is_recorded_of_each() {
    let world = World::start(&[]);
    let mut dba = world.client("dba").await;
    let count = "SELECT count(*) FROM customers WHERE email LIKE $1";
    for (like, found, told) in [("nobody%", 0, "email miss"), ("one@%", 1, "email hit")] {
        let row = dba.query_one(count, &[&like]).await.unwrap();
        assert_eq!(row.get::<_, i64>(0), found);
        assert_eq!(looked_up(&world).last().map(String::as_str), Some(told));
    }
    let transaction = dba.transaction().await.unwrap();
    let portal = transaction.bind(count, &[&"nobody%"]).await.unwrap();
    assert_eq!(transaction.query_portal(&portal, 1).await.unwrap().len(), 1);
    assert_eq!(looked_up(&world), ["email miss", "email hit", "email miss"]);
    transaction.rollback().await.unwrap();
    let groups = "SELECT split_part(email, '@', 1), count(*) FROM customers GROUP BY 1 LIMIT 1";
    assert_eq!(rows(&dba.simple_query(groups).await.unwrap()).len(), 1);
    assert_eq!(subjects(&world).len(), 2);
    assert_eq!(looked_up(&world).len(), 4);
}

/// Whom the ledger names, entry by entry.
fn subjects(world: &World) -> Vec<usize> {
    let disclosed = world.entries().into_iter().filter_map(|entry| match entry.body {
        Body::Disclosed(disclosed) => Some(disclosed.groups),
        Body::Noted(_) => None,
    });
    let named = disclosed.map(|groups| groups.iter().map(|group| group.subjects.len()).sum());
    named.filter(|count| *count > 0).collect()
}

/// A restricted role asks whether somebody is there by a look-up, and is told of as one.
#[tokio::test]
async fn who_is_asked_for_by_exists_is_a_lookup() {
    let world = World::start(&[]);
    let agent = world.client("ana").await;
    let asks = "SELECT EXISTS (SELECT 1 FROM customers WHERE email = $1)";
    for (email, there) in [("nobody@example.org", false), ("one@example.org", true)] {
        assert_eq!(agent.query_one(asks, &[&email]).await.unwrap().get::<_, bool>(0), there);
    }
    assert_eq!(looked_up(&world), ["email miss", "email hit"]);
    assert_eq!(subjects(&world), [1]);
}

/// What comes portion by portion is one look-up.
#[tokio::test]
async fn a_portal_is_told_once() {
    let world = World::start(&[]);
    let mut dba = world.client("dba").await;
    let transaction = dba.transaction().await.unwrap();
    let portal = transaction.bind("SELECT id FROM customers ORDER BY email", &[]).await.unwrap();
    for _ in 0..3 {
        assert_eq!(transaction.query_portal(&portal, 2).await.unwrap().len(), 2);
    }
    assert_eq!(looked_up(&world), ["email hit"]);
}
