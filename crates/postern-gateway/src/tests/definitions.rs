//! Tables that an accounted role makes, changes and drops, and who sees them when.

use super::{code, rows, world::World};

async fn cells(client: &tokio_postgres::Client, sql: &str) -> Result<Vec<Vec<String>>, String> {
    let answer = client.simple_query(sql).await;
    answer.map(|messages| rows(&messages)).map_err(|error| code(&error).to_owned())
}

#[tokio::test]
async fn what_is_defined_is_there_for_the_next_statement() {
    let world = World::start(&[]);
    let dba = world.client("dba").await;
    for sql in [
        "CREATE TABLE notes (id int PRIMARY KEY, body text)",
        "INSERT INTO notes VALUES (1, 'one')",
        "ALTER TABLE notes ADD COLUMN seen bool DEFAULT true",
        "CREATE INDEX ON notes (lower(body))",
        "ALTER TABLE notes RENAME TO remarks",
    ] {
        assert_eq!(cells(&dba, sql).await, Ok(Vec::new()), "{sql}");
    }
    let read = "SELECT body, seen FROM remarks WHERE id = 1";
    assert_eq!(cells(&dba, read).await, Ok(vec![vec!["one".to_owned(), "t".to_owned()]]));
    // It is committed: others see it.
    let other = world.client("dba").await;
    assert_eq!(cells(&other, read).await.map(|rows| rows.len()), Ok(1));
    assert_eq!(cells(&dba, "DROP TABLE remarks").await, Ok(Vec::new()));
    assert_eq!(cells(&dba, read).await, Err("42P01".to_owned()));
    // By the protocol with parameters, too.
    dba.execute("CREATE TABLE numbers (n int)", &[]).await.unwrap();
    assert_eq!(dba.execute("INSERT INTO numbers VALUES ($1), ($2)", &[&1, &2]).await.unwrap(), 2);
    assert_eq!(dba.query("SELECT n FROM numbers", &[]).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_table_of_an_open_transaction_is_the_sessions_own() {
    let world = World::start(&[]);
    let dba = world.client("dba").await;
    let other = world.client("dba").await;
    for sql in [
        "BEGIN",
        "CREATE TABLE notes (id int, body text)",
        "INSERT INTO notes VALUES (1, 'one'), (2, 'two')",
        "ALTER TABLE notes RENAME body TO words",
        "SAVEPOINT s",
    ] {
        assert_eq!(cells(&dba, sql).await, Ok(Vec::new()), "{sql}");
    }
    assert_eq!(cells(&dba, "SELECT words FROM notes").await.map(|rows| rows.len()), Ok(2));
    assert_eq!(cells(&dba, "SELECT body FROM notes").await, Err("42703".to_owned()));
    assert_eq!(cells(&dba, "ROLLBACK TO s").await, Ok(Vec::new()));
    assert_eq!(cells(&dba, "SELECT words FROM notes").await.map(|rows| rows.len()), Ok(2));
    assert_eq!(cells(&other, "SELECT words FROM notes").await, Err("42P01".to_owned()));
    assert_eq!(cells(&dba, "ROLLBACK").await, Ok(Vec::new()));
    assert_eq!(cells(&dba, "SELECT words FROM notes").await, Err("42P01".to_owned()));
    // Several statements of one text are one transaction.
    let text = "CREATE TABLE notes (a int); INSERT INTO notes VALUES (7); SELECT a FROM notes";
    assert_eq!(cells(&dba, text).await, Ok(vec![vec!["7".to_owned()]]));
    let fails = "CREATE TABLE more (a int); INSERT INTO more VALUES (1 / (SELECT 0))";
    assert_eq!(cells(&dba, fails).await, Err("22012".to_owned()));
    assert_eq!(cells(&dba, "SELECT a FROM more").await, Err("42P01".to_owned()));
    assert_eq!(cells(&other, "SELECT a FROM notes").await, Ok(vec![vec!["7".to_owned()]]));
}

#[tokio::test]
async fn temporary_tables_are_the_sessions_own() {
    let world = World::start(&[]);
    let dba = world.client("dba").await;
    for sql in [
        "CREATE TEMP TABLE picked (id int, note text)",
        "INSERT INTO picked SELECT g, 'n' FROM generate_series(1, 3) g",
        "UPDATE picked SET note = 'm' WHERE id = 2",
    ] {
        assert_eq!(cells(&dba, sql).await, Ok(Vec::new()), "{sql}");
    }
    let read = "SELECT p.note FROM picked p WHERE p.id = 2";
    assert_eq!(cells(&dba, read).await, Ok(vec![vec!["m".to_owned()]]));
    assert_eq!(dba.query("SELECT note FROM picked WHERE id = $1", &[&2]).await.unwrap().len(), 1);
    let other = world.client("dba").await;
    assert_eq!(cells(&other, read).await, Err("42P01".to_owned()));
    // Beside what is protected it is an unprotected table like any other.
    let joined = "SELECT c.id, p.note FROM customers c JOIN picked p ON p.id = c.id WHERE c.id = 2";
    assert_eq!(cells(&dba, joined).await, Ok(vec![vec!["2".to_owned(), "m".to_owned()]]));
    // It goes with the transaction that made it, and with the session's state.
    assert_eq!(cells(&dba, "BEGIN; CREATE TEMP TABLE t (a int); ROLLBACK").await, Ok(Vec::new()));
    assert_eq!(cells(&dba, "SELECT a FROM t").await, Err("42P01".to_owned()));
    assert_eq!(cells(&dba, "DISCARD ALL").await, Ok(Vec::new()));
    assert_eq!(cells(&dba, read).await, Err("42P01".to_owned()));
}

#[tokio::test]
async fn what_is_protected_is_not_copied_or_changed_by_definitions() {
    let world = World::start(&[]);
    let dba = world.client("dba").await;
    let ana = world.client("ana").await;
    for sql in [
        "CREATE TABLE copy AS SELECT * FROM customers",
        "CREATE TEMP TABLE customers (id int)",
        "CREATE TABLE IF NOT EXISTS customers (id int)",
        "BEGIN; CREATE TEMP TABLE t (id int); INSERT INTO t SELECT id FROM customers",
        "ALTER TABLE customers RENAME TO notes",
        "DROP TABLE customers",
        "CREATE TABLE child () INHERITS (customers)",
    ] {
        assert_eq!(cells(&dba, sql).await, Err("42501".to_owned()), "{sql}");
        dba.simple_query("ROLLBACK").await.unwrap();
    }
    assert_eq!(cells(&ana, "CREATE TABLE notes (a int)").await, Err("42501".to_owned()));
    assert_eq!(cells(&ana, "CREATE TEMP VIEW t AS SELECT 1").await, Err("42501".to_owned()));
}

/// Of a restricted role's temporary table the server knows less than the session believes.
#[tokio::test]
async fn a_restricted_roles_temporary_table_holds_and_shows_nothing_protected() {
    let world = World::start(&[]);
    let ana = world.client("ana").await;
    for sql in [
        "CREATE TEMP TABLE picked (id int, email text)",
        "INSERT INTO picked SELECT g, 'n' FROM generate_series(1, 3) g",
        "CREATE TEMP TABLE IF NOT EXISTS picked (id int, email text, name text)",
    ] {
        assert_eq!(cells(&ana, sql).await, Ok(Vec::new()), "{sql}");
    }
    let joined = "SELECT p.email FROM customers c JOIN picked p ON p.id = c.id WHERE c.id = 2";
    let before = world.disclosures().len();
    assert_eq!(cells(&ana, joined).await, Ok(vec![vec!["n".to_owned()]]));
    assert!(world.disclosures().len() > before);
    for sql in [
        "INSERT INTO picked SELECT id, email FROM customers",
        "UPDATE picked SET email = (SELECT email FROM customers LIMIT 1)",
        "DELETE FROM picked WHERE email IN (SELECT email FROM customers)",
        "CREATE TEMP TABLE copy AS SELECT * FROM customers",
        "CREATE TEMP TABLE customers (id int)",
    ] {
        assert_eq!(cells(&ana, sql).await, Err("42501".to_owned()), "{sql}");
    }
    assert_eq!(cells(&ana, "DROP TABLE picked").await, Ok(Vec::new()));
    assert_eq!(cells(&ana, joined).await, Err("42P01".to_owned()));
}

/// What the gateway believes of a table and the server knows otherwise gives nothing away.
#[tokio::test]
async fn what_was_undone_makes_no_column_of_another_table() {
    let world = World::start(&[]);
    let dba = world.client("dba").await;
    let star = "SELECT DISTINCT s.b FROM (SELECT x.*, k.email FROM x, customers k) s(a, b)";
    let bare = "SELECT DISTINCT v.e FROM customers k, LATERAL (SELECT email AS e FROM x) v";
    for undone in [
        "CREATE TEMP TABLE IF NOT EXISTS x (a int, b text, email text)",
        "BEGIN; SAVEPOINT s; ALTER TABLE x ADD COLUMN b text, ADD COLUMN email text; ROLLBACK TO s",
        "BEGIN; ALTER TABLE x ADD COLUMN b text, ADD COLUMN email text; ROLLBACK AND CHAIN",
        "BEGIN; ALTER TABLE x ADD COLUMN b text, ADD COLUMN email text; ROLLBACK",
    ] {
        dba.simple_query("CREATE TEMP TABLE x (a int)").await.unwrap();
        dba.simple_query("INSERT INTO x VALUES (1)").await.unwrap();
        for statement in undone.split("; ") {
            dba.simple_query(statement).await.unwrap();
        }
        let before = world.disclosures().len();
        for sql in [star, bare] {
            let seen = cells(&dba, sql).await;
            let named: usize =
                world.disclosures().iter().skip(before).map(|told| told.subjects.len()).sum();
            assert!(seen.is_err() || named > 0, "{undone}: {sql}: {seen:?}");
            // After an error the transaction, where there is one, is to be gone on with.
            let _ = dba.simple_query("ROLLBACK AND CHAIN").await;
        }
        dba.simple_query("ROLLBACK").await.unwrap();
        dba.simple_query("DISCARD ALL").await.unwrap();
    }
    // A definition that is committed after a part of its transaction was undone is remembered.
    for sql in [
        "CREATE TEMP TABLE x (a int, b int)",
        "BEGIN",
        "ALTER TABLE x DROP COLUMN b",
        "SAVEPOINT s",
        "ALTER TABLE x ADD COLUMN c int",
        "ROLLBACK TO s",
        "COMMIT",
    ] {
        dba.simple_query(sql).await.unwrap();
    }
    for (column, code) in [("a", None), ("b", Some("42703")), ("c", Some("42703"))] {
        let seen = cells(&dba, &format!("SELECT {column} FROM x")).await.err();
        assert_eq!(seen.as_deref(), code, "{column}");
    }
}
