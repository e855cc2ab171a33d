//! Roles for which policy is not enforced: nothing is kept back, and everything is recorded.

use std::time::Duration;

use bytes::BytesMut;
use postern_ledger::{Body, Counter, Disclosed, Limit, Observed};
use postern_model::{FAILED, NOT_ENFORCED};
use postern_session::Enforcement;
use postern_wire::{Bind, Execute, Parse, encode};

use super::{
    copies, end_users,
    raw::{self, Raw},
    rows,
    world::World,
};
use crate::Settings;

fn observe(settings: &mut Settings) {
    enforcement(settings, Enforcement::Observe);
}

fn enforcement(settings: &mut Settings, enforcement: Enforcement) {
    let agent = settings.roles.get_mut("agent").unwrap();
    agent.enforcement = enforcement;
    if !enforcement.is_enforced() {
        agent.budgets = Vec::new().into();
    }
}

fn disclosed(world: &World) -> Vec<Disclosed> {
    let entries = world.entries().into_iter().filter_map(|entry| match entry.body {
        Body::Disclosed(disclosed) => Some(disclosed),
        Body::Noted(_) => None,
    });
    entries.collect()
}

/// Of all entries, one after the other.
fn observed(world: &World) -> Vec<Observed> {
    disclosed(world).into_iter().map(|one| one.observed.expect("policy is not enforced")).collect()
}

async fn told(raw: &mut Raw, sql: &str) -> Vec<Vec<String>> {
    let answer = raw.query(sql).await;
    assert_eq!(answer.error, None, "{sql}: {}", answer.said);
    answer.rows
}

#[tokio::test]
async fn observing_masks_nothing_and_says_what_it_would_have() {
    let world = World::start_as(&[], observe);
    let ana = world.client("ana").await;
    let sql = "SELECT id, name, email FROM customers WHERE id IN (1, 2) ORDER BY id";
    let seen = rows(&ana.simple_query(sql).await.unwrap());
    assert_eq!(seen[1], ["2", "Name 2", "two@example.org"]);
    let extended = ana.query(sql, &[]).await.unwrap();
    assert_eq!(extended[1].get::<_, &str>(2), "two@example.org");
    let all = disclosed(&world);
    assert_eq!(all.len(), 2);
    for one in all {
        let would = Observed { rule: None, masked: 2, unknown: false };
        assert_eq!(one.observed, Some(would));
        let reasons = one.groups.iter().map(|group| {
            let reason = group.reason.as_ref().unwrap();
            (&*reason.name, group.subjects[0].as_str(), group.clear.len())
        });
        let reasons: Vec<_> = reasons.collect();
        assert!(reasons.contains(&("ticket", "1", 2)), "{reasons:?}");
        assert!(reasons.contains(&(NOT_ENFORCED, "2", 2)), "{reasons:?}");
    }
    let [counted] = &world.handle().not_enforced()[..] else { panic!("one role is not enforced") };
    assert_eq!((&*counted.role, counted.counts.masked, counted.counts.refused), ("agent", 4, 0));
}

#[tokio::test]
async fn what_would_be_refused_runs_and_is_an_entry() {
    let world = World::start_as(&[], observe);
    let mut ana = world.raw("ana").await;
    // By the mask nobody would be found.
    let sql = "SELECT id FROM customers WHERE email LIKE 'two%'";
    assert_eq!(told(&mut ana, sql).await, [["2"]]);
    told(&mut ana, "UPDATE customers SET name = 'New' WHERE id = 9").await;
    told(&mut ana, "CREATE TABLE notes (id int)").await;
    // Nothing protected left by it, so that its answer does not wait for the entry.
    let rules = |world: &World| -> Vec<String> {
        let rule = |one: Disclosed| one.observed?.rule.map(|rule| rule.to_string());
        disclosed(world).into_iter().filter_map(rule).collect()
    };
    world.wait_until("the entry of the definition", |world| !rules(world).is_empty()).await;
    assert_eq!(rules(&world), ["not_understood"], "a restricted role defines no table");
    let all = disclosed(&world);
    assert!(observed(&world).iter().all(|one| !one.unknown));
    assert!(all.iter().any(|one| one.groups.iter().any(|g| g.subjects[0].as_str() == "9")));
}

#[tokio::test]
async fn what_cant_be_accounted_is_sent_as_it_is_after_its_entry() {
    let world = World::start_as(&[], observe);
    let mut ana = world.raw("ana").await;
    let cases = [
        "EXPLAIN (COSTS OFF) SELECT email FROM customers WHERE id = 2",
        "LOCK TABLE customers",
        "DO $$ BEGIN PERFORM 1; END $$",
        "SELECT asks('SELECT email FROM customers WHERE id = 2')",
        "SELECT 1; SELECT asks('SELECT email FROM customers WHERE id = 2'); SELECT 2 AS b",
        "LISTEN news",
        "nonsense",
    ];
    for (index, sql) in cases.into_iter().enumerate() {
        let direct = direct(&world, sql).await;
        let mut before = 0;
        let answer = ana.query(sql).await;
        assert_eq!((answer.rows, answer.error), direct, "{sql}");
        for one in disclosed(&world) {
            before += usize::from(one.observed.as_ref().is_some_and(|one| one.unknown));
            assert!(one.groups.is_empty() && !one.statement.is_empty());
        }
        assert_eq!(before, index + 1, "{sql}");
    }
    assert_eq!(world.handle().not_enforced()[0].counts.unknown, cases.len() as u64);
}

/// What the server says without a gateway.
async fn direct(world: &World, sql: &str) -> (Vec<Vec<String>>, Option<String>) {
    match world.dba().await.simple_query(sql).await {
        Ok(messages) => (rows(&messages), None),
        Err(error) => (Vec::new(), Some(super::code(&error).to_owned())),
    }
}

/// It would be run by the gateway's own account.
#[tokio::test]
async fn what_is_about_roles_is_refused_to_everybody() {
    let world = World::start_as(&[], observe);
    let mut ana = world.raw("ana").await;
    for sql in [
        "ALTER ROLE CURRENT_USER PASSWORD 'mine'",
        "SELECT 1; ALTER ROLE CURRENT_USER SET local_preload_libraries = 'x'",
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity",
        "GRANT SELECT ON customers TO PUBLIC",
    ] {
        assert_eq!(ana.query(sql).await.error.as_deref(), Some("42501"), "{sql}");
        let client = world.client("ana").await;
        assert_eq!(super::code(&client.prepare(sql).await.unwrap_err()), "42501", "{sql}");
    }
    assert_eq!(told(&mut ana, "SELECT 1").await, [["1"]]);
}

#[tokio::test]
async fn what_cant_be_accounted_can_be_prepared_and_copied() {
    let world = World::start_as(&[], observe);
    let ana = world.client("ana").await;
    let sql = "SELECT asks('SELECT email FROM customers WHERE id = ' || $1::text)";
    let statement = ana.prepare(sql).await.unwrap();
    for (id, email) in [("1", "one@example.org"), ("2", "two@example.org")] {
        let row = ana.query_one(&statement, &[&id]).await.unwrap();
        assert_eq!(row.get::<_, &str>(0), email);
    }
    // Somebody's own function is called already where the text is read, for all that is known.
    assert_eq!(observed(&world).iter().filter(|one| one.unknown).count(), 3);
    // Names that are the server's own, for the session knows nothing of them.
    for sql in [
        "BEGIN",
        "DECLARE c CURSOR WITH HOLD FOR SELECT email FROM customers WHERE id = 2",
        "COMMIT",
        "FETCH c",
        "CLOSE c",
        "PREPARE p AS DELETE FROM customers WHERE id = 50 RETURNING asks('SELECT 7')",
        "EXECUTE p",
        "DEALLOCATE p",
    ] {
        ana.simple_query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
    // Rows into a protected table, by both protocols.
    let mut raw = world.raw("ana").await;
    raw.query("COPY customers (id, name) FROM STDIN").await;
    let answer = copies::sent(&mut raw, b"201\tNew\n").await;
    assert_eq!(answer.tags, ["COPY 1"], "{answer:?}");
    // Behind it a Sync was sent.
    assert_eq!(raw.answer().await.status, b'I');
    copies::extended(&mut raw, "COPY customers (id, name) FROM STDIN").await;
    assert_eq!(copies::sent(&mut raw, b"202\tNew\n").await.tags, ["COPY 1"]);
    assert_eq!(told(&mut raw, "SELECT 6").await, [["6"]]);
    assert_eq!(rows(&ana.simple_query("SELECT 5").await.unwrap()), [["5"]]);
    let there = world.dba().await;
    let count = "SELECT count(*) FROM customers WHERE id IN (50, 201, 202)";
    assert_eq!(there.query_one(count, &[]).await.unwrap().get::<_, i64>(0), 2);
}

#[tokio::test]
async fn definitions_that_nobody_looked_into_are_known_afterwards() {
    let world = World::start_as(&[], observe);
    let mut ana = world.raw("ana").await;
    told(&mut ana, "DO $$ BEGIN CREATE TABLE made (id int); INSERT INTO made VALUES (4); END $$")
        .await;
    told(&mut ana, "DISCARD ALL").await;
    let before = unknown(&world).len();
    assert_eq!(told(&mut ana, "SELECT id FROM made").await, [["4"]]);
    assert_eq!(unknown(&world).len(), before);
}

/// The statements of which it is not known what they showed.
fn unknown(world: &World) -> Vec<String> {
    let all = disclosed(world).into_iter();
    let unknown = all.filter(|one| one.observed.as_ref().is_some_and(|one| one.unknown));
    unknown.map(|one| one.statement.to_string()).collect()
}

#[tokio::test]
async fn what_follows_a_text_that_was_let_through_is_not_known_either() {
    let world = World::start_as(&[], observe);
    let mut ana = world.raw("ana").await;
    told(&mut ana, "CREATE VIEW vx AS SELECT 1 AS x, ''::text AS email").await;
    let peek = "SELECT email FROM vx WHERE x = 2";
    told(&mut ana, "BEGIN").await;
    assert_eq!(unknown(&world), [""; 0]);
    told(&mut ana, "DECLARE held CURSOR FOR SELECT 7").await;
    // A definition over what is protected can't be accounted.
    let replace = "CREATE OR REPLACE VIEW vx AS SELECT id::int AS x, email FROM customers";
    told(&mut ana, replace).await;
    for count in 2..5 {
        assert_eq!(told(&mut ana, peek).await, [["two@example.org"]]);
        let all = unknown(&world);
        assert_eq!(all.len(), count, "{all:?}");
        assert_eq!(all[count - 1], "SELECT email FROM vx WHERE x = ?");
    }
    // What the session knows by name goes on, with an entry each.
    told(&mut ana, "SAVEPOINT s").await;
    assert_eq!(told(&mut ana, "FETCH held").await, [["7"]]);
    told(&mut ana, "ROLLBACK TO s").await;
    assert_eq!(unknown(&world)[4..], ["SAVEPOINT s", "FETCH held", "ROLLBACK TO s"]);
    told(&mut ana, "ROLLBACK").await;
    let ended = unknown(&world).len();
    // The view may have been another one, of the session's own, and still be there.
    told(&mut ana, peek).await;
    told(&mut ana, "DISCARD ALL").await;
    assert_eq!(unknown(&world).len(), ended + 2);
    told(&mut ana, peek).await;
    told(&mut ana, "SELECT 3").await;
    assert_eq!(unknown(&world).len(), ended + 2);
}

#[tokio::test]
async fn what_is_bound_and_executed_behind_such_a_text_is_told_each_time() {
    let world = World::start_as(&[], observe);
    let mut ana = world.raw("ana").await;
    told(&mut ana, "CREATE VIEW vx AS SELECT 1 AS x, ''::text AS email").await;
    let replace = "CREATE OR REPLACE VIEW vx AS SELECT id::int AS x, email FROM customers";
    let texts = [replace, "SELECT email FROM vx WHERE x = 2", "SELECT email FROM vx WHERE x = 1"];
    told(&mut ana, "BEGIN").await;
    // Without a Sync between.
    let mut out = BytesMut::new();
    texts.into_iter().for_each(|sql| raw::run(&mut out, sql, None));
    encode::sync(&mut out);
    ana.send(&out).await;
    let answer = ana.answer().await;
    assert_eq!(answer.error, None, "{}", answer.said);
    assert_eq!(answer.rows, [["two@example.org"], ["one@example.org"]]);
    let select = "SELECT email FROM vx WHERE x = ?";
    assert_eq!(unknown(&world)[1..], [select, select]);
    // A portal that is executed again, and what is only described.
    let mut out = BytesMut::new();
    raw::run(&mut out, "SELECT email FROM vx WHERE x = 3", None);
    encode::execute(&mut out, &Execute { portal: "", max_rows: 0 }).unwrap();
    encode::parse(&mut out, &Parse { name: "", sql: "SELECT 1", types: Vec::new() }).unwrap();
    encode::sync(&mut out);
    ana.send(&out).await;
    ana.answer().await;
    assert_eq!(unknown(&world).len(), 6);
}

/// The server works out constants of a type with checks when it reads the text.
#[tokio::test]
async fn what_is_prepared_is_told_before_the_server_reads_it() {
    let world = World::start_as(&[], observe);
    let mut ana = world.raw("ana").await;
    let tells = "CREATE FUNCTION tells(t text) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN
        RAISE EXCEPTION USING ERRCODE = 'syntax_error',
            MESSAGE = (SELECT string_agg(email, ',') FROM customers); END $$";
    told(&mut ana, tells).await;
    told(&mut ana, "CREATE DOMAIN told AS text CHECK (tells(VALUE))").await;
    let mut ben = world.raw("ben").await;
    let before = unknown(&world).len();
    for sends in 1..3 {
        let mut out = BytesMut::new();
        let sql = "SELECT '{a}'::told[]";
        encode::parse(&mut out, &Parse { name: "", sql, types: Vec::new() }).unwrap();
        encode::sync(&mut out);
        ben.send(&out).await;
        let answer = ben.answer().await;
        assert!(answer.said.contains("two@example.org"), "{}", answer.said);
        assert_eq!(unknown(&world).len(), before + sends);
    }
    // It may have left anything.
    told(&mut ben, "SELECT 1").await;
    assert_eq!(unknown(&world).len(), before + 3);
}

#[tokio::test]
async fn what_is_put_in_the_place_of_a_prepared_statement_vouches_for_nobody() {
    let world = World::start_as(&[], observe);
    let mut ana = world.raw("ana").await;
    let mut out = BytesMut::new();
    let sql = "SELECT id, email FROM customers WHERE id = 1";
    encode::parse(&mut out, &Parse { name: "s", sql, types: Vec::new() }).unwrap();
    encode::sync(&mut out);
    ana.send(&out).await;
    ana.answer().await;
    // The keys are hidden behind the columns.
    let forge = "DO $$ DECLARE s record; BEGIN
        FOR s IN SELECT name FROM pg_prepared_statements WHERE statement LIKE '%customers%' LOOP
            EXECUTE format('DEALLOCATE %I', s.name);
            EXECUTE format('PREPARE %I AS SELECT id, email, 1::bigint AS k FROM customers'
                || ' WHERE id = 2', s.name);
        END LOOP; END $$";
    told(&mut ana, forge).await;
    let before = disclosed(&world).len();
    let mut out = BytesMut::new();
    let bind = Bind {
        portal: "",
        statement: "s",
        formats: Vec::new(),
        parameters: Vec::new(),
        result_formats: Vec::new(),
    };
    encode::bind(&mut out, &bind).unwrap();
    encode::execute(&mut out, &Execute { portal: "", max_rows: 0 }).unwrap();
    encode::sync(&mut out);
    ana.send(&out).await;
    let answer = ana.answer().await;
    assert_eq!(answer.rows, [["2", "two@example.org"]], "{}", answer.said);
    let all = disclosed(&world).split_off(before);
    assert!(all.iter().any(|one| !one.groups.is_empty()));
    assert!(all.iter().all(|one| one.observed.as_ref().unwrap().unknown));
}

#[tokio::test]
async fn what_such_a_text_left_in_the_session_makes_nothing_look_plain() {
    let world = World::start_as(&[], observe);
    for left in [
        "CREATE TEMP TABLE mine AS SELECT string_agg(email, ',') AS email FROM customers",
        "SELECT set_config('standard_conforming_strings', 'off', false)",
        // A function's name is one, whatever stands behind it.
        "SELECT set_config/**/('backslash_quote', 'on', false), pg_sleep(0)",
        "DO $$ BEGIN EXECUTE 'PREPARE postern_s_9 AS SELECT 1'; END $$",
        "SET standard_conforming_strings = off",
        "LISTEN news",
    ] {
        let mut ana = world.raw("ana").await;
        let before = unknown(&world).len();
        told(&mut ana, left).await;
        told(&mut ana, "SELECT 1").await;
        assert_eq!(unknown(&world).len(), before + 2, "{left}");
        assert_eq!(unknown(&world).last().unwrap(), "SELECT ?", "{left}");
        told(&mut ana, "DISCARD ALL").await;
        told(&mut ana, "SELECT 1").await;
        assert_eq!(unknown(&world).len(), before + 3, "{left}");
    }
}

#[tokio::test]
async fn what_can_leave_nothing_in_the_session_is_over_with_its_transaction() {
    let world = World::start_as(&[], observe);
    let mut ana = world.raw("ana").await;
    for text in [
        "EXPLAIN (COSTS OFF) SELECT email FROM customers WHERE id = 2",
        "SELECT pg_advisory_lock_shared(1)",
        "nonsense",
        "SELECT nothing_such FROM customers",
    ] {
        let before = unknown(&world).len();
        ana.query(text).await;
        assert_eq!(unknown(&world).len(), before + 1, "{text}");
        let acts = text.contains("advisory");
        ana.query("SELECT 1").await;
        assert_eq!(unknown(&world).len(), before + 1 + usize::from(acts), "{text}");
        ana.query("DISCARD ALL").await;
    }
}

#[tokio::test]
async fn errors_and_notices_come_through_whole() {
    let world = World::start_as(&[], observe);
    let mut ana = world.raw("ana").await;
    let answer = ana.query("SELECT email::int FROM customers WHERE id = 2").await;
    assert_eq!(answer.error.as_deref(), Some("22P02"));
    assert!(answer.said.contains("two@example.org"), "{}", answer.said);
    // Before it left, it was told that what left by it is not known.
    assert_eq!(unknown(&world), ["SELECT email::int FROM customers WHERE id = ?"]);
    let failed = disclosed(&world).into_iter().flat_map(|one| one.lookups);
    assert!(failed.into_iter().any(|lookup| lookup.column.starts_with(FAILED)));
}

#[tokio::test]
async fn warning_tells_the_client_what_it_will_not_see() {
    let world = World::start_as(&[], |settings| enforcement(settings, Enforcement::Warn));
    let mut ana = world.raw("ana").await;
    let answer = ana.query("SELECT name, email FROM customers WHERE id > 90").await;
    assert_eq!(answer.rows.len(), 10);
    let [notice] = &answer.noticed[..] else { panic!("{:?}", answer.noticed) };
    assert!(notice.contains("will mask 20 of these values"), "{notice}");
    let answer = ana.query("SELECT name FROM customers WHERE id = 1").await;
    assert_eq!(answer.noticed, [""; 0], "there is a reason");
    let answer = ana.query("EXPLAIN SELECT name FROM customers").await;
    let [notice] = &answer.noticed[..] else { panic!("{:?}", answer.noticed) };
    assert!(notice.contains("will refuse this"), "{notice}");
}

#[tokio::test]
async fn what_was_seen_without_enforcement_counts_as_masked_when_it_is_enforced() {
    let hour = Duration::from_secs(3_600);
    let limit = |counter, max| Limit { counter, window: hour, max };
    let limits = [limit(Counter::ClearSubjects, 3), limit(Counter::MaskedSubjects, 60)];
    let mut world = World::start_as(&limits, observe);
    let mut ana = world.raw("ana").await;
    let sql = "SELECT id, name FROM customers WHERE id <= 50";
    assert_eq!(told(&mut ana, sql).await.len(), 50, "no budget stops anything");
    let enforced = |settings: &mut Settings| {
        enforcement(settings, Enforcement::Enforce);
        settings.roles.get_mut("agent").unwrap().budgets = limits.into();
    };
    world.change(enforced).unwrap();
    let mut ana = world.raw("ana").await;
    let names = told(&mut ana, "SELECT name FROM customers WHERE id IN (1, 2) ORDER BY id").await;
    assert_eq!(names, [["Name 1"], ["***"]]);
    // Two in clear and 48 masked are counted; twelve more masked ones have room.
    let answer = ana.query("SELECT id FROM customers WHERE id > 50 ORDER BY id").await;
    assert_eq!((answer.rows.len(), answer.error.as_deref()), (12, Some("53400")));
    assert!(world.handle().not_enforced().is_empty());
}

#[tokio::test]
async fn an_application_for_such_an_end_user_is_accounted_or_refused() {
    let world = World::start_as(&[], |settings| {
        end_users::tokens(settings);
        observe(settings);
    });
    let mut web = world.raw("web").await;
    told(&mut web, &end_users::set("ana")).await;
    let sql = "SELECT email FROM customers WHERE id = 2";
    assert_eq!(told(&mut web, sql).await, [["two@example.org"]]);
    assert!(observed(&world).iter().any(|one| one.masked == 1));
    let answer = web.query("DO $$ BEGIN PERFORM 1; END $$").await;
    assert_eq!(answer.error.as_deref(), Some("42501"));
    let sql = "SET LOCAL postern.actor = 'x'; LOCK TABLE customers";
    assert_eq!(web.query(sql).await.error.as_deref(), Some("42501"));
}
