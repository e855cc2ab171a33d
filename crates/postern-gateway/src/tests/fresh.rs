//! The catalogue changes, around the gateway, between the judging of a statement and its run. The
//! change waits in an open transaction that locks what the statement needs, so that the statement
//! is judged before it and analysed after it, however long either takes.

use bytes::BytesMut;
use postern_wire::encode;
use tokio_postgres::Client;

use super::{code, rows, world::World};
use crate::{freshness::ProofRequest, registry::Command};

/// Something unprotected with the columns of `customers`.
const NOTES: &str = "
    CREATE TABLE notes (id bigint PRIMARY KEY, name text NOT NULL, email text UNIQUE);
    INSERT INTO notes SELECT n, 'Note', 'note' || n FROM generate_series(1, 100) n;
    CREATE VIEW public_notes AS SELECT id, email FROM notes;
    GRANT ALL ON notes, public_notes TO PUBLIC;";
const SWAP: &str = "
    ALTER TABLE notes RENAME TO aside;
    ALTER TABLE customers RENAME TO notes;
    ALTER TABLE aside RENAME TO customers;";

async fn world() -> World {
    let world = World::start(&[]);
    world.postgres.psql_in("support", NOTES).unwrap();
    // The first statement after a change may be told to run again.
    let ana = world.client("ana").await;
    while let Err(error) = ana.simple_query("SELECT id, email FROM public_notes").await {
        assert!(matches!(code(&error), "40001" | "42501" | "42P01"), "{error}");
    }
    world
}

/// A client whose session has the server tell the moment behind each statement: from its second
/// statement on.
async fn telling(world: &World) -> Client {
    let ana = world.client("ana").await;
    ana.simple_query("SELECT 1").await.unwrap();
    ana
}

/// A statement of `client` meets `ddl`, which is committed while the statement waits for its lock.
async fn race<T: Send + 'static>(
    world: &World,
    ddl: &str,
    statement: impl Future<Output = T> + Send + 'static,
) -> T {
    let mut dba = world.dba().await;
    let change = dba.transaction().await.unwrap();
    change.batch_execute(ddl).await.unwrap();
    let running = tokio::spawn(statement);
    world.wait_until("the statement waits", |world| world.waiting_statements() == 1).await;
    change.commit().await.unwrap();
    running.await.unwrap()
}

async fn simple(client: Client, sql: &'static str) -> (Client, Result<Vec<Vec<String>>, String>) {
    let answer = client.simple_query(sql).await;
    let answer = answer.map(|messages| rows(&messages)).map_err(|e| code(&e).to_owned());
    (client, answer)
}

#[tokio::test]
async fn tables_swapped_by_name_show_nothing() {
    let world = world().await;
    let sql = "SELECT id, email FROM notes WHERE id = 2";
    let ana = telling(&world).await;
    let (ana, answer) = race(&world, SWAP, simple(ana, sql)).await;
    assert_eq!(answer, Err("40001".to_owned()));
    // The next try is judged by the catalogue as it is now: what is called customers is protected.
    let (ana, answer) = simple(ana, "SELECT id, email FROM customers WHERE id = 2").await;
    assert_eq!(answer.unwrap(), [["2", "***"]]);
    drop(ana);
}

#[tokio::test]
async fn columns_that_swap_names_show_nothing() {
    let world = world().await;
    let ddl = "ALTER TABLE customers RENAME id TO aside;
               ALTER TABLE customers RENAME email TO id;
               ALTER TABLE customers RENAME aside TO email";
    let ana = telling(&world).await;
    let (_, answer) = race(&world, ddl, simple(ana, "SELECT id FROM customers LIMIT 5")).await;
    assert_eq!(answer, Err("40001".to_owned()));
}

#[tokio::test]
async fn a_view_that_is_replaced_shows_nothing() {
    let world = world().await;
    let ddl = "CREATE OR REPLACE VIEW public_notes AS SELECT id, email FROM customers";
    let ana = telling(&world).await;
    let sql = "SELECT id, email FROM public_notes WHERE id = 2";
    let (_, answer) = race(&world, ddl, simple(ana, sql)).await;
    assert_eq!(answer, Err("40001".to_owned()));
}

#[tokio::test]
async fn a_statement_prepared_before_a_change_shows_nothing_after_it() {
    let world = world().await;
    let ana = telling(&world).await;
    let statement = ana.prepare("SELECT id, email FROM notes WHERE id = 2").await.unwrap();
    assert_eq!(ana.query(&statement, &[]).await.unwrap().len(), 1);
    world.postgres.psql_in("support", SWAP).unwrap();
    let error = ana.query(&statement, &[]).await.unwrap_err();
    assert!(matches!(code(&error), "40001" | "0A000"), "{error}");
}

/// The moment of a transaction that keeps its snapshot is that of its beginning, under which the
/// catalogue was what it is no more.
#[tokio::test]
async fn a_transaction_with_an_old_snapshot_shows_nothing_after_a_change() {
    let world = world().await;
    let ana = telling(&world).await;
    let sql = "SELECT id, email FROM notes WHERE id = 2";
    ana.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ").await.unwrap();
    // Takes the snapshot, and no lock on what is swapped.
    assert_eq!(rows(&ana.simple_query("SELECT 1").await.unwrap()), [["1"]]);
    let (_, answer) = race(&world, SWAP, simple(ana, sql)).await;
    assert_eq!(answer, Err("40001".to_owned()));
}

/// What drops all prepared statements drops the gateway's own with them.
#[tokio::test]
async fn what_drops_all_statements_leaves_a_session_that_goes_on() {
    let world = world().await;
    let ana = telling(&world).await;
    for drops in ["DEALLOCATE ALL", "DISCARD ALL", "SELECT 1; DEALLOCATE ALL; SELECT 2"] {
        for _ in 0..2 {
            ana.simple_query(drops).await.unwrap();
            let answer = ana.simple_query("SELECT id, email FROM notes WHERE id = 2").await;
            assert_eq!(rows(&answer.unwrap()), [["2", "note2"]], "{drops}");
            let row = ana.query_one("SELECT name FROM notes WHERE id = 2", &[]).await.unwrap();
            assert_eq!(row.get::<_, String>(0), "Note", "{drops}");
        }
    }
}

#[tokio::test]
async fn what_was_protected_is_so_under_any_name() {
    let world = world().await;
    let ana = world.client("ana").await;
    world.postgres.psql_in("support", SWAP).unwrap();
    for table in ["notes", "customers"] {
        let sql = format!("SELECT id, email FROM {table} WHERE id = 2");
        let answer = ana.simple_query(&sql).await.unwrap();
        assert_eq!(rows(&answer), [["2", "***"]], "{table}");
    }
    let columns = "ALTER TABLE notes RENAME name TO aside; ALTER TABLE notes RENAME id TO name;
                   ALTER TABLE notes RENAME email TO id";
    world.postgres.psql_in("support", columns).unwrap();
    let error = ana.simple_query("SELECT * FROM notes LIMIT 3").await.unwrap_err();
    assert_eq!(code(&error), "42501");
}

#[tokio::test]
async fn an_open_portal_goes_on_while_others_change_the_catalogue() {
    let world = world().await;
    let mut ana = world.client("ana").await;
    let transaction = ana.transaction().await.unwrap();
    let portal = transaction.bind("SELECT id FROM notes", &[]).await.unwrap();
    assert_eq!(transaction.query_portal(&portal, 10).await.unwrap().len(), 10);
    world.postgres.psql_in("support", "CREATE TABLE other (id int)").unwrap();
    assert_eq!(transaction.query_portal(&portal, 10).await.unwrap().len(), 10);
}

#[tokio::test]
async fn a_write_to_a_table_that_was_swapped_in_is_not_committed() {
    for extended in [false, true] {
        let world = world().await;
        let ana = world.client("ana").await;
        let sql = "UPDATE notes SET name = 'written' WHERE id = 2";
        let wrote = async move {
            let answer = if extended {
                ana.execute(sql, &[]).await.map(drop)
            } else {
                ana.simple_query(sql).await.map(drop)
            };
            answer.map_err(|error| code(&error).to_owned())
        };
        let answer = race(&world, SWAP, wrote).await.unwrap_err();
        // It was judged before the change or, by the extended protocol, prepared before it.
        assert!(matches!(&*answer, "40001" | "0A000"), "{extended}: {answer}");
        let written = "SELECT count(*) FROM (SELECT name FROM notes UNION ALL SELECT name \
                       FROM customers) t WHERE name = 'written'";
        assert_eq!(world.postgres.psql_in("support", written).unwrap().trim(), "0", "{extended}");
    }
}

#[tokio::test]
async fn a_write_in_a_transaction_block_makes_it_fail() {
    let world = world().await;
    let mut ana = world.raw("ana").await;
    assert_eq!(ana.query("BEGIN").await.status, b'T');
    let answer = race(&world, SWAP, async move {
        let answer = ana.query("UPDATE notes SET name = 'written' WHERE id = 2").await;
        (ana.query("COMMIT").await.status, answer)
    });
    let (after, answer) = answer.await;
    assert_eq!((answer.error.as_deref(), answer.status, after), (Some("40001"), b'E', b'I'));
    let written = "SELECT count(*) FROM notes WHERE name = 'written'";
    assert_eq!(world.postgres.psql_in("support", written).unwrap().trim(), "0");
}

#[tokio::test]
async fn writes_in_one_text_look_as_without_the_gateway() {
    let world = world().await;
    let ana = world.client("ana").await;
    let dba = world.dba().await;
    for sql in [
        "UPDATE notes SET name = 'a' WHERE id = 1 RETURNING id, name",
        "BEGIN; UPDATE notes SET name = 'b' WHERE id = 1; COMMIT; SELECT name FROM notes LIMIT 1",
        "DELETE FROM notes WHERE id = 99; SELECT count(*) FROM notes WHERE id = 99",
        "UPDATE notes SET name = NULL WHERE id = 3; SELECT 1",
    ] {
        let through = ana.simple_query(sql).await.map(|m| format!("{:?}", rows(&m)));
        let direct = dba.simple_query(sql).await.map(|m| format!("{:?}", rows(&m)));
        let through = through.map_err(|error| code(&error).to_owned());
        assert_eq!(through, direct.map_err(|error| code(&error).to_owned()), "{sql}");
    }
}

/// What is kept by name or copied: what is sent before, what meets the swap, and what is asked for
/// afterwards.
const KEPT: [[&str; 3]; 5] = [
    ["PREPARE p AS SELECT id, email FROM notes WHERE id = 2", "EXECUTE p", "SELECT 1 WHERE false"],
    ["BEGIN", "DECLARE c CURSOR FOR SELECT id, email FROM notes", "FETCH ALL FROM c"],
    ["BEGIN", "COPY notes (id, email) TO STDOUT", "ROLLBACK"],
    ["BEGIN", "COPY (SELECT id, email FROM notes WHERE id = 2) TO STDOUT", "ROLLBACK"],
    ["PREPARE p AS UPDATE notes SET name = 'written' WHERE id = 2", "EXECUTE p", "ROLLBACK"],
];
const WRITTEN: &str = "SELECT count(*) FROM (SELECT name FROM notes UNION ALL SELECT name
    FROM customers) t WHERE name = 'written'";

#[tokio::test]
async fn what_is_kept_by_name_or_copied_shows_nothing_after_a_swap() {
    for [before, sql, after] in KEPT {
        let world = world().await;
        let mut ana = world.raw("ana").await;
        assert_eq!(ana.query(before).await.error, None, "{before}");
        let answers = race(&world, SWAP, async move {
            let answer = ana.query(sql).await;
            (answer, ana.query(after).await)
        });
        let (answer, after) = answers.await;
        assert_eq!(answer.error.as_deref(), Some("40001"), "{sql}");
        assert!(answer.rows.is_empty() && answer.copied.is_empty(), "{sql}: {answer:?}");
        assert!(after.rows.is_empty(), "{sql}: {after:?}");
        assert_eq!(world.postgres.psql_in("support", WRITTEN).unwrap().trim(), "0", "{sql}");
    }
}

#[tokio::test]
async fn rows_of_the_client_are_not_copied_into_a_table_that_was_swapped_in() {
    for sql in ["COPY notes FROM STDIN", "DELETE FROM notes WHERE id < 0; COPY notes FROM STDIN"] {
        let world = world().await;
        let mut ana = world.raw("ana").await;
        let answers = race(&world, SWAP, async move {
            let mut out = BytesMut::new();
            encode::query(&mut out, sql).unwrap();
            // It does not wait to be asked for them.
            encode::copy_data(&mut out, b"1000\twritten\tx\n").unwrap();
            encode::copy_done(&mut out);
            ana.send(&out).await;
            (ana.answer().await, ana.query("SELECT 1").await)
        });
        let (answer, next) = answers.await;
        assert_eq!((answer.error.as_deref(), answer.status), (Some("40001"), b'I'), "{sql}");
        assert_eq!(next.rows, [["1"]], "{sql}");
        assert_eq!(world.postgres.psql_in("support", WRITTEN).unwrap().trim(), "0", "{sql}");
    }
}

#[tokio::test]
async fn rows_of_the_client_are_copied_among_writes() {
    let world = world().await;
    let mut ana = world.raw("ana").await;
    let copy = "COPY notes FROM STDIN";
    let sql = format!("DELETE FROM notes WHERE id = 1; {copy}; DELETE FROM notes WHERE id = 2");
    assert_eq!(ana.query(&sql).await.tags, ["DELETE 1"]);
    let mut out = BytesMut::new();
    encode::copy_data(&mut out, b"1000\twritten\tx\n").unwrap();
    encode::copy_done(&mut out);
    ana.send(&out).await;
    let answer = ana.answer().await;
    assert_eq!((answer.tags.join(", ").as_str(), answer.status), ("COPY 1, DELETE 1", b'I'));
    assert_eq!(world.postgres.psql_in("support", WRITTEN).unwrap().trim(), "1");
}

#[tokio::test]
async fn what_changes_no_meaning_changes_no_version() {
    let world = world().await;
    let dba = world.dba().await;
    let version = || async {
        let row = dba.query_one(postern_sql::VERSION_SQL, &[]).await.unwrap();
        (row.get::<_, String>(0), row.get::<_, String>(1))
    };
    let other = world.dba().await;
    let mut before = version().await;
    for (sql, changes) in [
        ("SELECT count(*) FROM notes", false),
        ("CREATE TEMP TABLE t (id serial PRIMARY KEY, a text UNIQUE, CHECK (id > 0))", false),
        ("CREATE TEMP VIEW v AS SELECT * FROM t", false),
        ("UPDATE notes SET name = 'x'", false),
        ("TRUNCATE notes", false),
        ("VACUUM FULL notes", false),
        ("REINDEX TABLE notes", false),
        ("ANALYZE", false),
        ("ALTER TABLE notes RENAME TO aside; ALTER TABLE aside RENAME TO notes", true),
        ("ALTER TABLE notes RENAME name TO n; ALTER TABLE notes RENAME n TO name", true),
        ("CREATE OR REPLACE VIEW public_notes AS SELECT id, name AS email FROM notes", true),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", true),
        ("CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 2'", true),
        ("CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq)", true),
        ("CREATE TYPE mood AS ENUM ('sad')", true),
        ("ALTER TYPE mood ADD VALUE 'happy'", true),
        ("CREATE DOMAIN age AS int", true),
        ("ALTER DOMAIN age ADD CHECK (value > 0)", true),
        ("CREATE CAST (mood AS int) WITH INOUT", true),
        ("CREATE TABLE child () INHERITS (notes)", true),
        ("ALTER TABLE child NO INHERIT notes", true),
        ("CREATE RULE r AS ON INSERT TO child DO INSTEAD NOTHING", true),
        ("ALTER TABLE notes ENABLE ROW LEVEL SECURITY", true),
        ("CREATE POLICY p ON notes USING (true)", true),
        ("ALTER VIEW public_notes SET (security_barrier)", true),
        ("ALTER TABLE notes ALTER name SET DEFAULT 'x'", true),
        ("CREATE SCHEMA s", true),
        ("ALTER TABLE notes SET SCHEMA s", true),
        ("DROP SCHEMA s CASCADE", true),
    ] {
        for statement in sql.split("; ") {
            other.batch_execute(statement).await.unwrap();
        }
        let after = version().await;
        assert_eq!(before.1 != after.1, changes, "{sql}");
        assert!(!changes || before.0 != after.0, "the cheap look must see it too: {sql}");
        before = after;
    }
}

#[tokio::test]
async fn a_request_that_is_dropped_has_proven_nothing() {
    let (sender, mut commands) = tokio::sync::mpsc::unbounded_channel();
    drop(ProofRequest::new(7, sender.clone()));
    let answer = commands.recv().await;
    assert!(matches!(answer, Some(Command::Proven { proof: 7, generation: None })), "{answer:?}");
    ProofRequest::new(8, sender).answer(3);
    let answer = commands.recv().await;
    assert!(matches!(answer, Some(Command::Proven { proof: 8, generation: Some(3) })));
    assert!(commands.try_recv().is_err(), "one answer for each");
}
