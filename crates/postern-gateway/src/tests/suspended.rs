//! Suspended means out, whatever the sessions are doing.

use std::sync::Arc;

use postern_ledger::Note;
use postern_model::Actor;
use postern_people::{Date, People};

use super::{raw::Raw, world::World};
use crate::ResumeError;

const ENDLESS: &str = "SELECT count(*) FROM generate_series(1, 100000000000)";

fn suspend(world: &World, actor: &str) -> usize {
    world.handle().suspend(&Actor::new(actor), &Actor::new("lead"), "test").unwrap()
}

/// Server processes of anything but the gateway's own connections.
fn processes(world: &World) -> String {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'support' \
               AND application_name <> 'postern' AND pid <> pg_backend_pid()";
    world.postgres.psql_in("support", sql).unwrap().trim().to_owned()
}

#[tokio::test]
async fn every_session_ends_at_both_sides_whatever_it_does() {
    let world = World::start_as(&[], |settings| settings.limits.spare_max = 0);
    world
        .postgres
        .psql_in("support", "CREATE TABLE plain (n int); INSERT INTO plain VALUES (1)")
        .unwrap();
    world.wait_for_relation("dba", "plain").await;
    let mut sessions = Vec::new();
    // Idle, in a transaction that holds a lock, in one that has failed, asleep, at work, waiting
    // for a lock, in mid-result, in a cursor, in the middle of a copy.
    for setup in [&["SELECT 1"][..], &["BEGIN", "UPDATE plain SET n = 2"], &["BEGIN", "SELECT 1/0"]]
    {
        let mut raw = world.raw("ana").await;
        for sql in setup {
            raw.query(sql).await;
        }
        sessions.push(raw);
    }
    for sql in ["SELECT pg_sleep(1000)", ENDLESS, "UPDATE plain SET n = 3"] {
        let mut raw = world.raw("ana").await;
        raw.send_query(sql).await;
        sessions.push(raw);
    }
    let mut raw = world.raw("ana").await;
    raw.send_query("SELECT n, repeat('x', 1000) FROM generate_series(1, 10000000) n").await;
    raw.first_row().await;
    sessions.push(raw);
    let mut raw = world.raw("ana").await;
    raw.query("BEGIN; DECLARE c CURSOR FOR SELECT id, name FROM customers; FETCH 3 FROM c").await;
    sessions.push(raw);
    world.wait_until("the lock", |world| world.waiting_statements() == 1).await;
    let mut ben = world.raw("ben").await;

    assert_eq!(suspend(&world, "ana"), sessions.len());
    for session in &mut sessions {
        session.all().await;
    }
    let only_ben = |world: &World| world.handle().sessions().len() == 1;
    world.wait_until("the gateway's side", only_ben).await;
    world.wait_until("the server's side", |world| processes(world) == "1").await;
    assert_eq!(ben.query("UPDATE plain SET n = 4").await.error, None, "nothing is locked");
    assert_eq!(ben.query("SELECT n FROM plain").await.rows, [["4"]], "what was open is undone");
}

/// A statement that the server has not begun yet is not run either.
#[tokio::test]
async fn what_was_sent_before_is_not_run_after() {
    let world = World::start(&[]);
    world.postgres.psql_in("support", "CREATE SEQUENCE s").unwrap();
    let mut sessions = Vec::new();
    for _ in 0..8 {
        let mut raw = world.raw("ana").await;
        raw.send_query("SELECT pg_sleep(1000); SELECT pg_sleep(1000)").await;
        sessions.push(raw);
    }
    suspend(&world, "ana");
    world.wait_until("the end", |world| processes(world) == "0").await;
    for mut session in sessions {
        session.all().await;
    }
}

/// The gateway's connections at the server are gone: there are cancel requests in their place.
#[tokio::test]
async fn statements_are_cancelled_without_the_gateways_own_connection() {
    let world = World::start(&[]);
    let mut ana = world.raw("ana").await;
    ana.send_query(ENDLESS).await;
    world.wait_for_statements(1).await;
    // No connection can be made anew, and cancel requests need none.
    world.postgres.psql("ALTER DATABASE support ALLOW_CONNECTIONS false").unwrap();
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
               WHERE application_name = 'postern'";
    world.postgres.psql(cut).unwrap();
    world.wait_until("the gateway's notice", |world| !world.handle().is_ready()).await;
    assert_eq!(suspend(&world, "ana"), 1);
    ana.all().await;
    let running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%generate_series%' \
                   AND pid <> pg_backend_pid() AND state = 'active'";
    let none = |world: &World| world.postgres.psql(running).unwrap().trim() == "0";
    world.wait_until("the cancel request", none).await;
}

#[tokio::test]
async fn it_takes_another_person_to_let_somebody_in_again() {
    let world = World::start(&[]);
    let (ana, lead) = (Actor::new("ana"), Actor::new("lead"));
    let handle = world.handle();
    let resume = |by: &str| handle.resume(&ana, &Actor::new(by), "test");
    assert!(matches!(resume("lead"), Err(ResumeError::NotSuspended { .. })));
    suspend(&world, "ana");
    assert!(matches!(resume("lead"), Err(ResumeError::SamePerson { by, .. }) if by == lead));
    assert!(matches!(resume("ana"), Err(ResumeError::Themselves)));
    assert!(handle.suspended().contains_key(&ana));
    resume("other").unwrap();
    world.raw("ana").await;
    let resumed = |note: &Note| matches!(note, Note::Resumed { .. });
    assert_eq!(world.notes().iter().filter(|note| resumed(note)).count(), 1);
}

/// Whether somebody is suspended, has ended, has no right, is unknown or has mistaken the password
/// is told to nobody: not by a message more or less, and not by the proof that the password is
/// right.
#[tokio::test]
async fn all_who_may_not_come_in_are_told_the_same() {
    let world = World::start(&[]);
    let address = world.handle().address();
    let wrong = Raw::refusal(address, "ben", "pw-wrong").await;
    assert_eq!(wrong.len(), 3, "{wrong:?}");
    assert_eq!(Raw::refusal(address, "nobody", "pw-nobody").await, wrong);
    suspend(&world, "ana");
    assert_eq!(Raw::refusal(address, "ana", "pw-ana").await, wrong);
    assert_eq!(Raw::refusal(address, "ana", "pw-wrong").await, wrong);
    world.change_people(|account| account.ends = Some(Date::constant(2019, 7, 31)));
    assert_eq!(Raw::refusal(address, "ben", "pw-ben").await, wrong);
    world.change_people(|account| {
        (account.ends, account.role) = (None, "no such role".into());
    });
    assert_eq!(Raw::refusal(address, "ben", "pw-ben").await, wrong);
    world.handle().replace_people(Arc::new(People::default()));
    assert_eq!(Raw::refusal(address, "ben", "pw-ben").await.len(), wrong.len());
}
