//! The gateway between real clients and a real server, each test with its own.

use std::{collections::BTreeSet, time::Duration};

use postern_ledger::{Body, Counter, Limit, Note};
use postern_model::Actor;
use tokio_postgres::{SimpleQueryMessage, error::SqlState};

use self::world::World;

mod accounted;
mod approved;
mod asked;
mod certificates;
mod copies;
mod definitions;
mod encrypted;
mod end_users;
mod faults;
mod fresh;
mod held;
mod kept;
mod limited;
mod malformed;
mod malice;
mod meddling;
mod observed;
mod paths;
mod pitfalls;
mod played;
mod raw;
mod reloads;
mod shared;
mod shown;
mod sign_in;
mod spares;
mod stalling;
mod suspended;
mod throttled;
mod tickets;
mod told;
mod turns;
mod values;
mod views;
mod whoami;
mod world;
mod writes;

#[expect(clippy::wildcard_enum_match_arm, reason = "the enum is open; only rows are wanted")]
fn rows(messages: &[SimpleQueryMessage]) -> Vec<Vec<String>> {
    let cells = |row: &tokio_postgres::SimpleQueryRow| {
        (0..row.len()).map(|i| row.get(i).unwrap_or("NULL").to_owned()).collect()
    };
    messages
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(cells(row)),
            _ => None,
        })
        .collect()
}

fn code(error: &tokio_postgres::Error) -> &str {
    error.code().map_or("none", SqlState::code)
}

#[tokio::test]
async fn own_customers_are_clear_and_others_masked_in_both_protocols() {
    let world = World::start(&[]);
    let ana = world.client("ana").await;
    let sql = "SELECT id, email FROM customers WHERE id IN (1, 2) ORDER BY id";
    let simple = rows(&ana.simple_query(sql).await.unwrap());
    assert_eq!(simple, [["1", "one@example.org"], ["2", "***"]]);
    let extended = ana.query(sql, &[]).await.unwrap();
    let emails: Vec<(i64, &str)> = extended.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(emails, [(1, "one@example.org"), (2, "***")]);
    assert_eq!(extended[0].columns().len(), 2, "no hidden column shows");
    let parameter = "SELECT email FROM customers WHERE id = $1";
    let statement = ana.prepare(parameter).await.unwrap();
    assert_eq!(statement.params().len(), 1, "no hidden parameter shows");
    let row = ana.query_one(&statement, &[&1_i64]).await.unwrap();
    assert_eq!(row.get::<_, &str>(0), "one@example.org");
}

#[tokio::test]
async fn every_record_that_left_is_in_the_ledger_with_its_reason() {
    let world = World::start(&[]);
    let ana = world.client("ana").await;
    let left = rows(&ana.simple_query("SELECT id, name FROM customers").await.unwrap());
    let left: BTreeSet<String> = left.into_iter().map(|row| row[0].clone()).collect();
    let recorded = world.disclosures();
    let all: BTreeSet<String> =
        recorded.iter().flat_map(|d| &d.subjects).map(ToString::to_string).collect();
    assert_eq!(left, all);
    let clear: BTreeSet<String> = recorded
        .iter()
        .filter(|d| !d.clear.is_empty())
        .inspect(|d| assert_eq!(&*d.reason.as_ref().unwrap().name, "ticket"))
        .flat_map(|d| &d.subjects)
        .map(ToString::to_string)
        .collect();
    assert_eq!(clear, BTreeSet::from(["1".to_owned(), "3".to_owned()]));
}

#[tokio::test]
async fn a_spent_budget_cuts_at_the_exact_record() {
    let limit =
        Limit { counter: Counter::MaskedSubjects, window: Duration::from_secs(3_600), max: 25 };
    let world = World::start(&[limit]);
    let mut raw = world.raw("ben").await;
    let sql = "SELECT id, name FROM customers ORDER BY id";
    let answer = raw.query(sql).await;
    assert_eq!(answer.rows.len(), 25);
    assert_eq!(answer.error.as_deref(), Some("53400"));
    let recorded: BTreeSet<String> =
        world.disclosures().iter().flat_map(|d| &d.subjects).map(ToString::to_string).collect();
    let left: BTreeSet<String> = answer.rows.iter().map(|row| row[0].clone()).collect();
    assert_eq!(left, recorded);
    // Another session finds it spent, for new records but not for those already counted.
    let mut again = world.raw("ben").await;
    assert_eq!(again.query("SELECT id FROM customers WHERE id = 90").await.rows.len(), 0);
    assert_eq!(again.query("SELECT id FROM customers WHERE id = 20").await.rows.len(), 1);
}

#[tokio::test]
async fn a_budget_that_is_nearly_spent_is_told_of_once() {
    let hour = Duration::from_secs(3_600);
    let limit = |counter, max| Limit { counter, window: hour, max };
    let limits = [limit(Counter::MaskedSubjects, 25), limit(Counter::ClearSubjects, 100)];
    let world = World::start(&limits);
    let mut raw = world.raw("ben").await;
    assert_eq!(raw.query("SELECT id FROM customers WHERE id < 20").await.noticed, [""; 0]);
    let near = raw.query("SELECT id FROM customers WHERE id < 22").await;
    assert_eq!(near.rows.len(), 21, "nothing is kept back yet");
    let [notice] = &near.noticed[..] else { panic!("{:?}", near.noticed) };
    assert!(notice.contains("21 of 25 masked_subjects in 1h are used"), "{notice}");
    let mut other = world.raw("ben").await;
    for sql in ["SELECT id FROM customers WHERE id < 23", "SELECT id FROM customers"] {
        assert_eq!(other.query(sql).await.noticed, [""; 0], "it is told once");
    }
}

#[tokio::test]
async fn a_reason_that_ended_shows_nothing_within_its_age() {
    let world = World::start(&[]);
    let ana = world.client("ana").await;
    let email = "SELECT email FROM customers WHERE id = 1";
    assert_eq!(rows(&ana.simple_query(email).await.unwrap()), [["one@example.org"]]);
    world.postgres.psql_in("support", "UPDATE tickets SET status = 'closed'").unwrap();
    let closed = tokio::time::Instant::now();
    loop {
        let seen = match ana.simple_query(email).await {
            Ok(seen) => rows(&seen),
            Err(error) => {
                assert_eq!(code(&error), "40001", "{error}");
                continue;
            }
        };
        if seen == [["***"]] {
            break;
        }
        assert!(closed.elapsed() < Duration::from_secs(2), "still clear: {seen:?}");
    }
}

/// All of them ask for a reading at once.
#[tokio::test]
async fn sessions_of_one_actor_that_begin_together_see_what_is_theirs() {
    let world = World::start(&[]);
    for round in 0..5 {
        let mut begin = tokio::task::JoinSet::new();
        for _ in 0..12 {
            let config = world.config("ana", "pw-ana");
            begin.spawn(async move {
                let (client, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
                tokio::spawn(connection);
                let sql = "SELECT email FROM customers WHERE id = 1";
                rows(&client.simple_query(sql).await.unwrap())
            });
        }
        for seen in begin.join_all().await {
            assert_eq!(seen, [["one@example.org"]], "round {round}");
        }
    }
}

#[tokio::test]
async fn a_suspended_actor_is_cut_in_mid_query_and_kept_out() {
    let world = World::start(&[]);
    let mut ana = world.raw("ana").await;
    ana.send_query("SELECT count(*) FROM generate_series(1, 100000000000)").await;
    let by = Actor::new("lead");
    let cut = world.handle().suspend(&Actor::new("ana"), &by, "test").unwrap();
    assert_eq!(cut, 1);
    assert_eq!(ana.answer().await.error.as_deref(), Some("57P01"));
    assert!(ana.is_closed().await);
    assert_eq!(world.login_error("ana", "pw-ana").await, "28P01");
    assert_eq!(world.running_statements(), 0, "the running query was cancelled");
    world.handle().resume(&Actor::new("ana"), &Actor::new("other"), "test").unwrap();
    world.client("ana").await;
}

#[tokio::test]
async fn an_unknown_name_looks_like_a_wrong_password() {
    let world = World::start(&[]);
    let unknown = world.login_answer("nobody", "x").await;
    let wrong = world.login_answer("ana", "x").await;
    assert!(wrong.contains("for user \\\"ana\\\""), "{wrong}");
    assert_eq!(unknown.replace("nobody", "ana"), wrong, "but for the client's own word");
    let refused = |notes: Vec<Note>| {
        notes.iter().filter(|note| matches!(note, Note::LoginRefused { .. })).count()
    };
    world.wait_until("both are recorded", |world| refused(world.notes()) == 2).await;
}

#[tokio::test]
async fn a_refusal_leaves_the_transaction_as_an_error_would() {
    let world = World::start(&[]);
    let mut ana = world.raw("ana").await;
    assert_eq!(ana.query("BEGIN").await.status, b'T');
    let refused = ana.query("LOCK customers").await;
    assert_eq!((refused.error.as_deref(), refused.status), (Some("42501"), b'E'));
    assert_eq!(ana.query("SELECT 1").await.error.as_deref(), Some("25P02"));
    assert_eq!(ana.query("ROLLBACK").await.status, b'I');
    assert_eq!(ana.query("SELECT 1").await.rows, [["1"]]);
    let is_refusal =
        |note: &Note| matches!(note, Note::Refused { actor, .. } if actor.as_str() == "ana");
    world.wait_until("it is recorded", |world| world.notes().iter().any(is_refusal)).await;
}

#[tokio::test]
async fn nothing_leaves_when_it_cannot_be_recorded() {
    let world = World::start(&[]);
    let mut ana = world.raw("ana").await;
    world.ledger.close().unwrap();
    let answer = ana.query("SELECT id, email FROM customers").await;
    assert_eq!(answer.rows.len(), 0);
    assert_eq!(answer.error.as_deref(), Some("58030"));
    assert_eq!(ana.query("SELECT 1").await.rows, [["1"]], "unprotected work goes on");
}

#[tokio::test]
async fn garbage_and_huge_lengths_end_the_connection_and_nothing_else() {
    let world = World::start(&[]);
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0x7f, 0xff, 0xff, 0xff, 0, 3, 0, 0],
        &[0xff, 0xff, 0xff, 0xff],
        &[0, 0, 0, 8, 4, 210, 22, 47, 0, 0, 0, 8],
    ] {
        assert!(world.sends_and_is_closed(bytes).await, "{bytes:?}");
    }
    let mut ana = world.raw("ana").await;
    ana.send(&[b'Q', 0x7f, 0xff, 0xff, 0xff]).await;
    assert_eq!(ana.answer().await.error.as_deref(), Some("08P01"));
    assert!(ana.is_closed().await);
    world.client("ana").await;
}

#[tokio::test]
async fn a_client_that_vanishes_leaves_nothing_running() {
    let world = World::start(&[]);
    let mut ana = world.raw("ana").await;
    ana.send_query("SELECT count(*) FROM generate_series(1, 100000000000)").await;
    world.wait_for_statements(1).await;
    drop(ana);
    world.wait_for_statements(0).await;
    world.client("ana").await;
}

#[tokio::test]
async fn a_client_finds_its_own_process() {
    let world = World::start(&[]);
    let mut raw = world.raw("ana").await;
    let pid = raw.query("SELECT pg_backend_pid()").await.rows;
    assert_eq!(pid, [[raw.process_id.to_string()]]);
}

#[tokio::test]
async fn a_cancel_request_reaches_the_query_and_nobody_elses() {
    let world = World::start(&[]);
    let ana = world.client("ana").await;
    let token = ana.cancel_token();
    let endless = "SELECT count(*) FROM generate_series(1, 100000000000)";
    let running = tokio::spawn(async move { ana.simple_query(endless).await });
    world.wait_for_statements(1).await;
    token.cancel_query(tokio_postgres::NoTls).await.unwrap();
    assert_eq!(code(&running.await.unwrap().unwrap_err()), "57014");
}

#[tokio::test]
async fn an_error_about_protected_data_quotes_nothing() {
    let world = World::start(&[]);
    let ana = world.client("ana").await;
    let error =
        ana.simple_query("SELECT email::int FROM customers WHERE id = 1").await.unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!(error.code().code(), "22000");
    assert!(!error.to_string().contains("one@"), "{error}");
    assert_eq!(error.detail(), None);
}

#[tokio::test]
async fn a_lost_server_is_told_and_a_returned_one_is_used() {
    let mut world = World::start(&[]);
    let mut ana = world.raw("ana").await;
    world.postgres.shut_down().unwrap();
    let answer = ana.query("SELECT 1").await;
    assert!(matches!(answer.error.as_deref(), Some("57P01" | "08006")), "{answer:?}");
    world.postgres.start_again().unwrap();
    world.wait_for_login("ana").await;
}

#[tokio::test]
async fn a_ticket_that_an_actor_opens_is_a_weak_reason_at_once() {
    let world = World::start(&[]);
    let ben = world.client("ben").await;
    let insert = "INSERT INTO tickets (customer_id, assignee, opened_by, status) \
                  VALUES (7, 'ben', 'ben', 'open')";
    ben.simple_query(insert).await.unwrap();
    let seen = rows(&ben.simple_query("SELECT name FROM customers WHERE id = 7").await.unwrap());
    assert_eq!(seen, [["Name 7"]]);
    let weak = world.disclosures().into_iter().find_map(|d| d.reason).unwrap();
    assert_eq!(weak.grade, postern_model::Grade::Weak);
}

#[tokio::test]
async fn a_lookup_is_recorded_whether_it_finds_somebody_or_not() {
    let world = World::start(&[]);
    let ana = world.client("ana").await;
    for email in ["two@example.org", "nobody@example.org"] {
        let sql = "SELECT id, email FROM customers WHERE email = $1";
        ana.query(sql, &[&email]).await.unwrap();
    }
    let hits: Vec<bool> = world
        .entries()
        .into_iter()
        .filter_map(|entry| match entry.body {
            Body::Disclosed(disclosed) => Some(disclosed.lookups),
            Body::Noted(_) => None,
        })
        .flatten()
        .map(|lookup| lookup.hit)
        .collect();
    assert_eq!(hits, [true, false]);
}

#[tokio::test]
async fn a_spent_budget_keeps_lookups_from_the_server() {
    let hour = Duration::from_secs(3_600);
    let limit = Limit { counter: Counter::LookupMisses, window: hour, max: 2 };
    let world = World::start(&[limit]);
    let mut ana = world.raw("ana").await;
    let divides = |email: &str| format!("SELECT 1/(id-id) FROM customers WHERE email = '{email}'");
    let finds = "SELECT id FROM customers WHERE email = 'two@example.org'";
    for _ in 0..3 {
        assert_eq!(ana.query(finds).await.error, None, "a hit takes no room");
    }
    let failed = ana.query(&divides("two@example.org")).await;
    assert_eq!(failed.error.as_deref(), Some("22012"), "one miss");
    assert_eq!(ana.query(&divides("nobody@example.org")).await.error, None, "another");
    let mut answers = Vec::new();
    for email in ["two@example.org", "nobody@example.org"] {
        ana.query("BEGIN").await;
        let answer = ana.query(&divides(email)).await;
        let after = ana.query("SELECT 1").await;
        answers.push((answer.error, answer.status, answer.said, after.error, after.status));
        ana.query("ROLLBACK").await;
        let copied = ana.query(&format!("COPY ({}) TO STDOUT", divides(email))).await;
        assert_eq!(copied.error.as_deref(), Some("53400"));
        let prepared = format!("PREPARE p AS {}; EXECUTE p; DEALLOCATE p", divides(email));
        assert_eq!(ana.query(&prepared).await.error.as_deref(), Some("53400"));
        let open = format!("BEGIN; DECLARE c CURSOR FOR {}; FETCH c", divides(email));
        assert_eq!(ana.query(&open).await.error.as_deref(), Some("53400"));
        ana.query("ROLLBACK").await;
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0].0.as_deref(), Some("53400"));
    let client = world.client("ana").await;
    let sql = "SELECT id FROM customers WHERE email = $1";
    let error = client.query(sql, &[&"two@example.org"]).await.unwrap_err();
    assert_eq!(code(&error), "53400");
    let plain = client.query("SELECT id FROM customers WHERE id = 1", &[]).await.unwrap();
    assert_eq!(plain.len(), 1, "other statements go on");
}

#[tokio::test]
async fn what_a_spent_budget_stops_is_counted_and_then_not_run() {
    let hour = Duration::from_secs(3_600);
    let limit = |counter, max| Limit { counter, window: hour, max };
    let world = World::start(&[limit(Counter::MaskedSubjects, 5), limit(Counter::Stops, 2)]);
    let (mut ben, mut other) = (world.raw("ben").await, world.raw("ben").await);
    let mut stopped = Vec::new();
    for sql in ["SELECT id FROM customers ORDER BY id", "SELECT id FROM customers WHERE id = 90"] {
        stopped.push(ben.query(sql).await.error);
    }
    assert_eq!(stopped, [Some("53400".to_owned()), Some("53400".to_owned())]);
    // From now on there is one answer, whether there is a record or not, and in each session.
    for sql in ["SELECT id FROM customers WHERE id = 91", "SELECT id FROM customers WHERE id = -1"]
    {
        let answers = [ben.query(sql).await, other.query(sql).await];
        for answer in answers {
            assert_eq!(answer.error.as_deref(), Some("53400"), "{sql}");
            assert!(answer.said.contains("stops"), "{:?}", answer.said);
        }
    }
    assert_eq!(ben.query("SELECT 1").await.error, None);
}

#[tokio::test]
async fn functions_are_called_that_the_administrator_vouches_for() {
    let world = World::start(&[]);
    let mut ana = world.raw("ana").await;
    assert_eq!(ana.query("SELECT initials('abc')").await.rows, [["a"]]);
    let named = "SELECT initials(name) FROM customers WHERE id = 1";
    assert_eq!(ana.query(named).await.rows, [["N"]]);
    assert_eq!(ana.query("SELECT loud('abc')").await.error.as_deref(), Some("42501"));
}
