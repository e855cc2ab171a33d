//! Who was asked about, and who was passed over, against a real server.

use std::collections::BTreeSet;

use tokio_postgres::SimpleQueryMessage;

use super::{code, rows, world::World};

fn recorded(world: &World) -> BTreeSet<String> {
    world.disclosures().iter().flat_map(|d| &d.subjects).map(ToString::to_string).collect()
}

fn set(subjects: &[&str]) -> BTreeSet<String> {
    subjects.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_count_of_somebody_is_recorded_before_it_leaves() {
    let world = World::start(&[]);
    let ana = world.client("ana").await;
    // The driver sends binary values of no declared type.
    let sql = "SELECT count(*) FROM customers WHERE id = $1 AND name IS NOT NULL";
    assert_eq!(ana.query_one(sql, &[&17_i64]).await.unwrap().get::<_, i64>(0), 1);
    assert_eq!(recorded(&world), set(&["17"]));
    let sql = "SELECT count(*) FROM customers WHERE id = ANY ($1)";
    assert_eq!(ana.query_one(sql, &[&vec![18_i64, 19]]).await.unwrap().get::<_, i64>(0), 2);
    assert_eq!(recorded(&world), set(&["17", "18", "19"]));
    let simple = "SELECT EXISTS (SELECT 1 FROM customers WHERE id = 20 AND name IS NULL)";
    assert_eq!(rows(&ana.simple_query(simple).await.unwrap()), [["f"]]);
    assert_eq!(recorded(&world), set(&["17", "18", "19", "20"]));
}

#[tokio::test]
async fn no_row_is_an_entry_where_the_statement_says_of_whom() {
    let world = World::start(&[]);
    let ana = world.client("ana").await;
    for sql in [
        "SELECT id FROM customers WHERE id = 17 AND name IS NULL",
        "UPDATE customers SET name = 'x' WHERE id = 18",
        "SELECT 1 / (id - 19) FROM customers WHERE id = 19",
    ] {
        let _ = ana.simple_query(sql).await;
    }
    assert_eq!(recorded(&world), set(&["17", "18", "19"]));
}

#[tokio::test]
async fn what_is_passed_over_is_recorded_and_not_sent() {
    let world = World::start(&[]);
    let ana = world.client("ana").await;
    let sql = "SELECT id FROM customers WHERE id > 20 ORDER BY id LIMIT $1 OFFSET $2";
    let page = ana.query(sql, &[&2_i64, &3_i64]).await.unwrap();
    let ids: Vec<i64> = page.iter().map(|row| row.get(0)).collect();
    assert_eq!(ids, [24, 25]);
    assert_eq!(recorded(&world), set(&["21", "22", "23", "24", "25"]));
    let simple = "SELECT id FROM customers WHERE id > 30 ORDER BY id LIMIT 1 OFFSET 2";
    let answer = ana.simple_query(simple).await.unwrap();
    assert_eq!(rows(&answer), [["33"]]);
    let counted =
        |message: &SimpleQueryMessage| matches!(message, SimpleQueryMessage::CommandComplete(1));
    assert!(answer.iter().any(counted), "the tag counts what came");
    ana.simple_query("PREPARE p (bigint) AS SELECT id FROM customers WHERE id > 40 OFFSET $1")
        .await
        .unwrap();
    let first = rows(&ana.simple_query("EXECUTE p(1)").await.unwrap());
    assert_eq!(first.first().map(|row| row[0].as_str()), Some("42"));
    let error = ana.simple_query("EXECUTE p(1 + 1)").await.unwrap_err();
    assert_eq!(code(&error), "42501");
    // A portal whose rows come portion by portion: the first of none is passed over twice.
    let mut ana = world.client("ana").await;
    let transaction = ana.transaction().await.unwrap();
    let sql = "SELECT id FROM customers WHERE id > 50 ORDER BY id LIMIT 4 OFFSET 1";
    let portal = transaction.bind(sql, &[]).await.unwrap();
    let mut ids: Vec<i64> = Vec::new();
    loop {
        let portion = transaction.query_portal(&portal, 3).await.unwrap();
        ids.extend(portion.iter().map(|row| row.get::<_, i64>(0)));
        if portion.len() < 3 {
            break;
        }
    }
    assert_eq!(ids, [52, 53, 54, 55]);
}

/// A page of one's own says of the others that they come before or after it.
#[tokio::test]
async fn who_is_compared_with_a_page_is_recorded() {
    let world = World::start(&[]);
    let ana = world.client("ana").await;
    let mut before = 0;
    for (page, shown) in [
        ("ORDER BY name DESC LIMIT 1", "Name 3"),
        ("ORDER BY 1 DESC LIMIT 1 OFFSET 1", "Name 1"),
        // What others are called has nothing to do with it.
        ("ORDER BY name LIMIT 1", "***"),
    ] {
        let sql = format!("SELECT name FROM customers WHERE id < 9 {page}");
        assert_eq!(rows(&ana.simple_query(&sql).await.unwrap()), [[shown]], "{page}");
        let told = world.disclosures();
        let clear = told.iter().skip(before).filter(|told| told.reason.is_some());
        let clear: BTreeSet<String> =
            clear.flat_map(|told| &told.subjects).map(ToString::to_string).collect();
        assert_eq!(clear, set(&["1", "3"]), "{page}");
        before = told.len();
    }
    let sql = "SELECT name FROM customers WHERE id < 9 ORDER BY name DESC LIMIT 1 OFFSET $1";
    for (offset, shown) in [(None, "Name 3"), (Some(1_i64), "Name 1")] {
        let page = ana.query(sql, &[&offset]).await.unwrap();
        assert_eq!(page[0].get::<_, String>(0), shown);
    }
}
