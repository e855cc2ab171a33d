//! `search_path` of a session, between a real client and a real server.

use super::{code, raw::Raw, rows, world::World};
use crate::Pooling;

/// What another table of a protected table's columns would give away, if a name meant that here
/// and this there.
const SHOP: &str = "CREATE SCHEMA shop; CREATE TABLE shop.products (id int, name text); \
    INSERT INTO shop.products VALUES (1, 'of the shop'); \
    CREATE TABLE public.products (id int, name text); \
    INSERT INTO public.products VALUES (1, 'of all'); \
    CREATE SCHEMA shadow; CREATE TABLE shadow.notes (note text); \
    CREATE FUNCTION public.noted() RETURNS text LANGUAGE plpgsql AS $$ \
        DECLARE found text; BEGIN SELECT note INTO found FROM notes; RETURN found; END $$; \
    GRANT USAGE ON SCHEMA shop, shadow TO PUBLIC; \
    GRANT SELECT ON ALL TABLES IN SCHEMA shop, shadow, public TO PUBLIC";

fn world(pooling: Pooling) -> World {
    World::start_as(&[], |settings| {
        settings.roles.values_mut().for_each(|role| role.pooling = pooling);
    })
}

async fn shop(pooling: Pooling) -> World {
    let world = world(pooling);
    world.dba().await.batch_execute(SHOP).await.unwrap();
    world
}

async fn one(raw: &mut Raw, sql: &str) -> String {
    let answer = raw.query(sql).await;
    match answer.error {
        Some(code) => code,
        None => answer.rows.into_iter().flatten().collect::<Vec<_>>().join("|"),
    }
}

const NAME: &str = "SELECT name FROM products";

#[tokio::test]
async fn names_mean_what_the_path_says_until_the_server_says_otherwise() {
    for pooling in [Pooling::Session, Pooling::Transaction] {
        let world = shop(pooling).await;
        let mut ana = world.raw("ana").await;
        let mut ben = world.raw("ben").await;
        for (sql, name) in [
            ("SET search_path TO shop, public", "of the shop"),
            ("SET search_path TO public", "of all"),
            ("SET search_path TO shop", "of the shop"),
            ("BEGIN; SET LOCAL search_path TO public; COMMIT", "of the shop"),
            ("BEGIN; SET search_path TO public; ROLLBACK", "of the shop"),
            ("SET search_path TO public; SELECT 1/0", "of the shop"),
            ("RESET search_path", "of all"),
            ("SELECT set_config('search_path', 'shop', false)", "of the shop"),
            ("SELECT set_config('search_path', '', false)", "42P01"),
            ("RESET ALL", "of all"),
            ("SET search_path TO shop", "of the shop"),
            ("DISCARD ALL", "of all"),
        ] {
            ana.query(sql).await;
            assert_eq!(one(&mut ana, NAME).await, name, "{pooling:?} {sql}");
            assert_eq!(one(&mut ben, NAME).await, "of all", "{pooling:?} {sql}");
            // The server has the same in mind.
            let there = one(&mut ana, "SELECT to_regclass('products')::oid::regclass").await;
            let told = match name {
                "of the shop" => ["products", "shop.products"].contains(&&*there),
                "of all" => there == "products",
                _ => there.is_empty() || there == "NULL",
            };
            assert!(told, "{pooling:?} {sql}: {there}");
        }
    }
}

#[tokio::test]
async fn savepoints_take_the_path_with_them() {
    let world = shop(Pooling::Session).await;
    let mut ana = world.raw("ana").await;
    for (sql, name) in [
        ("BEGIN", "of all"),
        ("SAVEPOINT a; SET search_path TO shop", "of the shop"),
        ("SAVEPOINT b; SET LOCAL search_path TO public", "of all"),
        ("ROLLBACK TO b", "of the shop"),
        ("RELEASE a", "of the shop"),
        ("COMMIT", "of the shop"),
        ("BEGIN; RESET search_path; SELECT 1/0", "25P02"),
        ("ROLLBACK", "of the shop"),
    ] {
        ana.query(sql).await;
        assert_eq!(one(&mut ana, NAME).await, name, "{sql}");
        let here = one(
            &mut ana,
            "SELECT count(*) FROM pg_tables WHERE schemaname = \
            ANY(current_schemas(false)) AND schemaname = 'shop'",
        )
        .await;
        assert_eq!(
            here,
            if name == "25P02" {
                "25P02"
            } else if name == "of all" {
                "0"
            } else {
                "1"
            },
            "{sql}"
        );
    }
}

/// The server would look for its names anew, and fail where the columns are of other types.
#[tokio::test]
async fn a_prepared_statement_is_for_the_path_that_it_was_prepared_under() {
    for pooling in [Pooling::Session, Pooling::Transaction] {
        let world = shop(pooling).await;
        let ana = world.client("ana").await;
        let statement = ana.prepare(NAME).await.unwrap();
        for (path, expected) in [
            ("shop, public", Err("0A000")),
            ("public", Ok("of all")),
            ("shop", Err("0A000")),
            ("DEFAULT", Ok("of all")),
        ] {
            ana.batch_execute(&format!("SET search_path TO {path}")).await.unwrap();
            let row = ana.query_one(&statement, &[]).await;
            let seen = row.as_ref().map(|row| row.get::<_, &str>(0)).map_err(code);
            assert_eq!(seen, expected, "{pooling:?} {path}");
        }
        ana.batch_execute("SET search_path TO shop").await.unwrap();
        let again = ana.query_one(NAME, &[]).await.unwrap();
        assert_eq!(again.get::<_, &str>(0), "of the shop");
    }
}

#[tokio::test]
async fn a_session_can_begin_with_a_path() {
    for pooling in [Pooling::Session, Pooling::Transaction] {
        let world = shop(pooling).await;
        let mut config = world.config("ana", "pw-ana");
        config.options("-c search_path=shop,public");
        let (ana, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        let mut seen = Vec::new();
        for sql in ["SELECT 1", "SET search_path TO public", "RESET search_path", "DISCARD ALL"] {
            ana.simple_query(sql).await.unwrap();
            seen.extend(rows(&ana.simple_query(NAME).await.unwrap()).remove(0));
        }
        assert_eq!(seen, ["of the shop", "of all", "of the shop", "of the shop"], "{pooling:?}");
        // It is still who may see whom.
        let sql = "SELECT name FROM customers WHERE id IN (1, 2) ORDER BY id";
        assert_eq!(rows(&ana.simple_query(sql).await.unwrap()), [["Name 1"], ["***"]]);
    }
}

#[tokio::test]
async fn what_the_administrator_vouches_for_runs_under_his_path_only() {
    let world = World::start_as(&[], |settings| {
        settings.upstream.functions.push("public.noted".to_owned());
    });
    world.dba().await.batch_execute(SHOP).await.unwrap();
    let mut ana = world.raw("ana").await;
    assert_eq!(one(&mut ana, "SELECT noted()").await, "42P01", "there is no such table");
    ana.query("SET search_path TO shadow, public").await;
    let answer = ana.query("SELECT noted()").await;
    assert_eq!(answer.error.as_deref(), Some("42501"));
    assert!(answer.said.contains("SET search_path TO DEFAULT"), "{}", answer.said);
}

/// Whatever becomes of the transactions in which the path is changed.
#[tokio::test]
async fn nothing_vouched_for_runs_while_the_path_can_be_another() {
    let world = World::start_as(&[], |settings| {
        settings.roles.values_mut().for_each(|role| role.pooling = Pooling::Session);
        settings.upstream.functions.push("public.looks_in".to_owned());
    });
    world
        .dba()
        .await
        .batch_execute(
            "CREATE FUNCTION public.looks_in() RETURNS text LANGUAGE sql AS \
             $$ SELECT current_setting('search_path') $$; CREATE SCHEMA shop",
        )
        .await
        .unwrap();
    const CALL: &str = "SELECT public.looks_in()";
    let home = one(&mut world.raw("dba").await, CALL).await;
    assert!(home.contains("public"), "{home}");
    for texts in [
        &[
            "SET search_path TO shop, public",
            "BEGIN; SET LOCAL search_path TO public",
            "COMMIT AND CHAIN",
        ][..],
        &[
            "BEGIN",
            "SET search_path TO shop, public",
            "COMMIT AND CHAIN",
            "SET search_path TO public",
            "ROLLBACK",
        ],
        &[
            "SET search_path TO shop, public",
            "BEGIN",
            "SET search_path TO public",
            "SELECT 1/0",
            "COMMIT AND CHAIN",
        ],
        &[
            "BEGIN",
            "DECLARE c CURSOR FOR SELECT public.looks_in()",
            "SET search_path TO shop, public",
        ],
    ] {
        let mut dba = world.raw("dba").await;
        for text in texts {
            dba.query(text).await;
        }
        let call = if texts[1].starts_with("DECLARE") { "FETCH c" } else { CALL };
        let told = one(&mut dba, call).await;
        assert!(told == "42501" || told == "0A000" || told == home, "{texts:?}: {told}");
    }
    let mut dba = world.raw("dba").await;
    dba.query("SET search_path TO shop, public").await;
    let at_once = "BEGIN; SET LOCAL search_path TO public; COMMIT; SELECT public.looks_in()";
    assert_eq!(one(&mut dba, at_once).await, "42501");
    // At rest again.
    assert_eq!(one(&mut dba, "RESET search_path").await, "");
    assert_eq!(one(&mut dba, CALL).await, home);
}

/// What of the database's own settings the session has written it reads, and nothing else of them.
#[tokio::test]
async fn of_the_databases_own_settings_a_session_reads_what_it_has_written() {
    for pooling in [Pooling::Session, Pooling::Transaction] {
        let world = world(pooling);
        let dba = world.dba().await;
        let secret = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET app.key = ''secret''', \
                      current_database()); END $$";
        dba.batch_execute(secret).await.unwrap();
        let mut ana = world.raw("ana").await;
        let mut ben = world.raw("ben").await;
        let key = "SELECT current_setting('app.key', true)";
        for (sql, expected) in [
            ("SELECT 1", "NULL"),
            ("SET app.key = 'hers'", "hers"),
            ("BEGIN; SET app.key TO 17; ROLLBACK", "hers"),
            ("BEGIN; SET LOCAL app.key TO 'x'; COMMIT", "hers"),
            ("SELECT set_config('App.Key', 'mine', false), set_config('app.b', 'c', true)", "mine"),
            ("RESET app.key", ""),
            ("SELECT set_config('app.key', '', false)", ""),
            ("SET app.key = 'hers'", "hers"),
            ("SET app.key TO DEFAULT", ""),
            ("SET app.key = 'hers'; SELECT 1 / 0", ""),
            ("SET app.key = 'hers'; RESET ALL", ""),
            ("SET app.key = 'hers'", "hers"),
            ("DISCARD ALL", ""),
        ] {
            let set = ana.query(sql).await;
            assert!(
                !set.said.contains("secret") && set.rows.concat().concat() != "secret",
                "{sql}"
            );
            assert_eq!(one(&mut ana, key).await, expected, "{pooling:?} {sql}");
        }
        assert_eq!(ana.query("SHOW app.key").await.rows, [[""]]);
        let theirs = one(&mut ben, key).await;
        assert!(["", "NULL"].contains(&&*theirs), "{theirs}");
        assert_eq!(one(&mut ben, "SELECT current_setting('app.none')").await, "42704");
    }
}

/// Drivers prepare whatever they send.
#[tokio::test]
async fn the_databases_own_settings_are_set_and_shown_by_both_protocols() {
    let world = world(Pooling::Session);
    let ana = world.client("ana").await;
    let shown = async || {
        let simple = rows(&ana.simple_query("SHOW app.who").await.unwrap()).concat().concat();
        let prepared = ana.query_one("SHOW app.who", &[]).await.unwrap();
        assert_eq!(prepared.columns()[0].name(), "app.who");
        assert_eq!(prepared.get::<_, &str>(0), simple);
        simple
    };
    for (sql, expected) in [
        ("SET app.who = 'x'", "x"),
        ("SET SESSION app.who TO 'y'", "y"),
        ("RESET app.who", ""),
        ("SET LOCAL app.who = 'z'", ""),
    ] {
        let prepared = ana.prepare(sql).await.unwrap();
        assert!(prepared.columns().is_empty() && prepared.params().is_empty(), "{sql}");
        assert!(ana.query(&prepared, &[]).await.unwrap().is_empty(), "{sql}");
        assert_eq!(shown().await, expected, "{sql}");
        assert!(rows(&ana.simple_query(sql).await.unwrap()).is_empty(), "{sql}");
        assert_eq!(shown().await, expected, "{sql}");
    }
    // As PostgREST begins each request.
    let sql = "SELECT set_config('search_path', $1, true), set_config('role', $2, true), \
               set_config('request.jwt.claims', $3, true)";
    ana.batch_execute("BEGIN").await.unwrap();
    let row = ana.query_one(sql, &[&"public", &"ana", &"{}"]).await.unwrap();
    assert_eq!(row.get::<_, &str>(2), "{}");
    let claims = "SELECT current_setting('request.jwt.claims', true)";
    assert_eq!(ana.query_one(claims, &[]).await.unwrap().get::<_, &str>(0), "{}");
    let refused = ana.query_one(sql, &[&"public", &"postgres", &"{}"]).await.unwrap_err();
    assert_eq!(code(&refused), "42501");
    ana.batch_execute("ROLLBACK").await.unwrap();
    // An administrator's default does not come by NULL.
    let null = ana.query_one("SELECT set_config('app.who', $1, false)", &[&None::<&str>]).await;
    assert_eq!(null.unwrap().get::<_, &str>(0), "");
    let failed = ana.simple_query("SHOW app.none").await.unwrap_err();
    assert_eq!(
        failed.as_db_error().unwrap().message(),
        "unrecognized configuration parameter \"app.none\""
    );
}
