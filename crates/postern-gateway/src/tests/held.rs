//! What the server holds of a record that it reads, and in which order it has the records.

use super::{rows, world::World};

/// What was sent to the server last, for a client's statement that nobody else sends.
async fn sent(world: &World, sql: &str, words: &str) -> String {
    let mut ana = world.raw("ana").await;
    let answer = ana.query(sql).await;
    assert_eq!(answer.error, None, "{sql}: {}", answer.said);
    let known = format!(
        "SELECT query FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND query LIKE '%{words}%'"
    );
    let found = rows(&world.dba().await.simple_query(&known).await.unwrap());
    assert_eq!(found.len(), 1, "{sql}");
    found[0][0].clone()
}

/// What each step of the server's plan gives to the next, without what a condition on keys shows.
async fn given(world: &World, sql: &str, settings: &str) -> Vec<String> {
    let dba = world.dba().await;
    dba.batch_execute(settings).await.unwrap();
    let plan = dba.simple_query(&format!("EXPLAIN (VERBOSE, COSTS OFF) {sql}")).await.unwrap();
    let lines = rows(&plan).into_iter().flatten();
    let outputs = lines.filter(|line| line.trim_start().starts_with("Output:"));
    outputs.map(|line| without_cases(&line)).collect()
}

fn without_cases(line: &str) -> String {
    match line.split_once("CASE WHEN ") {
        Some((before, case)) => match case.split_once(" END") {
            Some((_, after)) => format!("{before}case{}", without_cases(after)),
            None => line.to_owned(),
        },
        None => line.to_owned(),
    }
}

#[tokio::test]
async fn what_is_masked_is_so_before_rows_are_joined_or_sorted() {
    let world = World::start(&[]);
    world.dba().await.batch_execute("ANALYZE customers, tickets").await.unwrap();
    for (number, sql) in [
        "SELECT c.name, c.email FROM generate_series(1, 50) n(n) JOIN customers c ON c.id = n.n",
        "SELECT name, email FROM customers WHERE id > 3 ORDER BY id % 7, id LIMIT 5",
        "SELECT c.name, t.status FROM customers c LEFT JOIN tickets t ON t.customer_id = c.id",
        "SELECT s.name FROM (SELECT * FROM customers) s, tickets t WHERE t.customer_id = s.id",
        "WITH c AS MATERIALIZED (SELECT id, name FROM customers) SELECT id, name FROM c",
        "SELECT id, name FROM customers UNION ALL SELECT id, email FROM customers ORDER BY 1",
        "SELECT id, name, row_number() OVER (PARTITION BY id) FROM customers",
    ]
    .into_iter()
    .enumerate()
    {
        let column = format!("held_{number}");
        let marked = sql.replacen("SELECT ", &format!("SELECT {number} AS {column}, "), 1);
        let marked = if sql.contains("UNION") {
            marked.replacen("ALL SELECT ", &format!("ALL SELECT {number}, "), 1)
        } else {
            marked
        };
        let text = sent(&world, &marked, &column).await;
        for settings in [
            "SET enable_nestloop = off; SET enable_mergejoin = off",
            "SET enable_nestloop = off; SET enable_hashjoin = off",
            "SET enable_mergejoin = off; SET enable_hashjoin = off; SET enable_seqscan = off",
        ] {
            let given = given(&world, &text, settings).await;
            assert!(given.iter().any(|line| line.contains("case")), "{sql}: {given:?}");
            let holds = |line: &&String| line.contains("b.name") || line.contains("b.email");
            assert_eq!(given.iter().find(holds), None, "{sql} {settings}: {text}");
        }
    }
}

/// Names stand for countries, and mails for names, in an index of both.
#[tokio::test]
async fn rows_come_in_the_order_of_their_keys_where_an_index_could_tell() {
    let world = World::start(&[]);
    let dba = world.dba().await;
    let index = "CREATE INDEX ON customers ((id % 2), name); \
                 UPDATE customers SET name = 'A' WHERE id = 41";
    dba.batch_execute(index).await.unwrap();
    let mut ana = world.raw("ana").await;
    for sql in ["SET enable_seqscan = off", "SET enable_bitmapscan = off", "SET enable_sort = off"]
    {
        assert_eq!(ana.query(sql).await.error, None);
    }
    for sql in [
        "SELECT id FROM customers WHERE id % 2 = 1",
        "SELECT id % 2 AS id, id AS n FROM customers WHERE id % 2 = 1 ORDER BY id",
        "SELECT n FROM (SELECT id AS n FROM customers WHERE id % 2 = 1) c LIMIT 50",
    ] {
        let answer = ana.query(sql).await;
        assert_eq!(answer.error, None, "{sql}: {}", answer.said);
        let ids: Vec<u32> =
            answer.rows.iter().map(|row| row.last().unwrap().parse().unwrap()).collect();
        assert_eq!(ids.len(), 50, "{sql}");
        assert!(ids.is_sorted(), "{sql}: {ids:?}");
    }
}

#[tokio::test]
async fn a_partition_of_a_protected_column_is_not_named() {
    let world = World::start(&[]);
    let dba = world.dba().await;
    let parts = "CREATE TABLE parted (LIKE customers) PARTITION BY LIST (left(name, 6)); \
                 CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN ('Name 1'); \
                 CREATE TABLE parted_rest PARTITION OF parted DEFAULT; \
                 INSERT INTO parted SELECT * FROM customers; DROP TABLE customers CASCADE; \
                 ALTER TABLE parted RENAME TO customers";
    dba.batch_execute(parts).await.unwrap();
    for actor in ["ana", "dba"] {
        let mut raw = world.raw(actor).await;
        let answer = raw.query("SELECT id FROM parted_1 WHERE id IN (5, 15)").await;
        assert_eq!(answer.error.as_deref(), Some("42501"), "{actor} {:?}", answer.rows);
        assert!(answer.said.contains("name the table that it is a partition of"), "{answer:?}");
        let answer = raw.query("SELECT id FROM customers WHERE id IN (5, 15) LIMIT 2").await;
        assert_eq!(answer.rows, [["5"], ["15"]], "{}", answer.said);
    }
}
