//! Another configuration while sessions work: all of it or nothing, for all at once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use postern_ledger::Note;
use postern_model::Actor;
use postern_policy::Policy;
use postern_session::{Enforcement, Kind};
use tokio::net::TcpStream;
use tokio_postgres::NoTls;

use super::{code, encrypted, raw::Raw, rows, turns, world::World};
use crate::{Pooling, ReconfigureError, Reconfigured, Role, Settings};

const EMAIL: &str = "SELECT email FROM customers WHERE id = 1";
const ENDLESS: &str = "SELECT count(*) FROM generate_series(1, 100000000000)";
/// Nobody sees anything in clear.
const STRICT: &str = r#"permit (principal, action == Action::"connect", resource);"#;

/// The e-mail column is for everybody.
fn loosen(settings: &mut Settings) {
    let customers = &mut settings.tables[0];
    customers.columns.retain(|column| column.name != "email");
    customers.clear.push("email".to_owned());
}

fn tighten(world: &mut World) -> Reconfigured {
    let strict = Arc::new(Policy::parse(STRICT).unwrap());
    world.reconfigure(world.settings.clone(), strict).unwrap()
}

fn outdated(answer: &super::raw::Answer) -> bool {
    answer.error.as_deref() == Some("57P01") && answer.said.contains("configuration has changed")
}

fn configured(world: &World) -> usize {
    let is_so = |note: &Note| matches!(note, Note::Configured { by, .. } if by.as_str() == "admin");
    world.notes().iter().filter(|note| is_so(note)).count()
}

/// Server processes of the gateway, but for those of sessions.
fn kept(world: &World) -> usize {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'postern'";
    world.postgres.psql_in("support", sql).unwrap().trim().parse().unwrap()
}

#[tokio::test]
async fn log_ins_are_judged_by_what_is_new_and_those_before_end_when_idle() {
    let mut world = World::start(&[]);
    let mut before = world.raw("ben").await;
    assert_eq!(before.query(EMAIL).await.rows, [["***"]]);
    // Whoever comes before and logs in after belongs to those after.
    let door = TcpStream::connect(world.handle().address()).await.unwrap();
    let told = world.change(loosen).unwrap();
    assert_eq!(told.ending, 1);
    assert_eq!(configured(&world), 1);
    assert!(outdated(&before.answer().await));
    assert!(before.is_closed().await);
    let mut after = world.raw("ben").await;
    assert_eq!(after.query(EMAIL).await.rows, [["one@example.org"]]);
    let mut door = Raw::log_in(Box::new(door), "ben", "pw-ben", "support").await;
    assert_eq!(door.query(EMAIL).await.rows, [["one@example.org"]]);
    tighten(&mut world);
    assert!(outdated(&door.answer().await) && outdated(&after.answer().await));
    assert_eq!(
        world.raw("ana").await.query(EMAIL).await.rows,
        [["one@example.org"]],
        "it is clear"
    );
    let name = "SELECT name FROM customers WHERE id = 1";
    assert_eq!(world.raw("ana").await.query(name).await.rows, [["***"]]);
}

#[tokio::test]
async fn a_transaction_has_its_time_and_is_cut_then() {
    let mut world = World::start(&[]);
    let mut short = world.raw("ana").await;
    let mut long = world.raw("ana").await;
    let mut busy = world.raw("ana").await;
    let mut open = world.raw("ana").await;
    for raw in [&mut short, &mut long] {
        assert_eq!(raw.query("BEGIN").await.status, b'T');
    }
    busy.send_query(ENDLESS).await;
    // Begun, and not ended by a Sync.
    turns::extended(&mut open, &["parse :SELECT 1", "bind ", "execute", "flush"], Vec::new()).await;
    world.wait_for_statements(1).await;
    let told = world.change(|settings| {
        loosen(settings);
        settings.limits.drain = Duration::from_millis(600);
    });
    assert_eq!(told.unwrap().ending, 4);
    let answered = Instant::now();
    assert_eq!(short.query(EMAIL).await.rows, [["one@example.org"]], "its own, as before");
    let masked = short.query("SELECT email FROM customers WHERE id = 2").await;
    assert_eq!(masked.rows, [["***"]], "as it began");
    assert_eq!(short.query("COMMIT").await.error, None);
    assert!(outdated(&short.answer().await), "idle");
    assert!(answered.elapsed() < Duration::from_millis(600));
    for raw in [&mut long, &mut busy, &mut open] {
        assert!(outdated(&raw.answer().await));
        assert!(answered.elapsed() >= Duration::from_millis(500), "it had its time");
        assert!(raw.is_closed().await);
    }
    world.wait_for_statements(0).await;
    world.wait_until("all are gone", |world| world.handle().sessions().is_empty()).await;
}

#[tokio::test]
async fn what_the_database_does_not_take_changes_nothing() {
    let mut world = World::start(&[]);
    let mut ana = world.raw("ana").await;
    let before = kept(&world);
    for (condition, says) in [("stat = 'open'", "stat"), ("1 / 0 = 1", "22012")] {
        let refused = world.change(|settings| {
            loosen(settings);
            settings.reasons[0].condition = condition.to_owned();
        });
        let Err(error @ ReconfigureError::Unread(_)) = refused else { panic!("{refused:?}") };
        let mut said = String::new();
        let mut cause: Option<&dyn std::error::Error> = Some(&error);
        while let Some(error) = cause {
            said += &format!("{error}: ");
            cause = error.source();
        }
        assert!(said.contains("`ticket`") && said.contains(says), "{said}");
    }
    for fixed in [
        world.change(|settings| settings.listen.set_port(1)),
        world.change(|settings| settings.workers += 1),
    ] {
        assert!(matches!(fixed, Err(ReconfigureError::Fixed("listen" | "workers"))), "{fixed:?}");
    }
    assert_eq!(configured(&world), 0);
    assert_eq!(ana.query(EMAIL).await.rows, [["one@example.org"]], "the session goes on");
    assert_eq!(world.raw("ben").await.query(EMAIL).await.rows, [["***"]]);
    world.wait_until("no keeper is left over", |world| kept(world) == before).await;
}

#[tokio::test]
async fn without_the_database_or_the_ledger_nothing_changes() {
    let mut world = World::start(&[]);
    world.postgres.shut_down().unwrap();
    let refused = world.change(loosen);
    assert!(matches!(refused, Err(ReconfigureError::Unread(_))), "{refused:?}");
    // What is for log-ins only needs none.
    let door = world.change(|settings| settings.limits.connections_max = 50);
    assert_eq!(door.unwrap().ending, 0);
    world.postgres.start_again().unwrap();
    world.wait_for_login("ben").await;
    let mut ben = world.raw("ben").await;
    assert_eq!(ben.query(EMAIL).await.rows, [["***"]]);
    world.ledger.close().unwrap();
    let refused = world.change(loosen);
    assert!(matches!(refused, Err(ReconfigureError::Unrecorded(_))), "{refused:?}");
    assert_eq!(ben.query("SELECT 1").await.rows, [["1"]]);
    world.handle().stop();
    world.wait_until("it stops", |world| world.handle().sessions().is_empty()).await;
    let refused = world.change(|settings| settings.limits.connections_max = 60);
    assert!(matches!(refused, Err(ReconfigureError::Stopping)), "{refused:?}");
}

/// Whoever is judged as before stays; a role that changes ends its sessions, in either direction.
#[tokio::test]
async fn sessions_stay_where_nothing_changes_that_they_hang_on() {
    let mut world = World::start(&[]);
    let (mut ana, mut dba) = (world.raw("ana").await, world.raw("dba").await);
    assert_eq!(ana.query(EMAIL).await.rows, [["one@example.org"]]);
    let told = world.change(|settings| {
        settings.tls = Some(encrypted::server());
        settings.limits.connections_max = 50;
        settings.roles.get_mut("administrator").unwrap().budgets = Vec::new().into();
    });
    assert_eq!(told.unwrap().ending, 0, "nothing differs for either");
    assert_eq!(world.handle().sessions().len(), 2);
    let accounted = Role {
        kind: Kind::Accounted,
        enforcement: Enforcement::Enforce,
        pooling: Pooling::Session,
        budgets: Vec::new().into(),
        more: Arc::default(),
        speaks_for: false,
    };
    let restricted = world.settings.roles["agent"].clone();
    for (role, other) in [(&accounted, "two@example.org"), (&restricted, "***")] {
        let role = role.clone();
        let told = world.change(|settings| {
            settings.roles.insert("agent".into(), role);
        });
        assert_eq!(told.unwrap().ending, 1);
        assert!(outdated(&ana.answer().await));
        ana = world.raw("ana").await;
        let seen = ana.query("SELECT email FROM customers WHERE id = 2").await;
        assert_eq!(seen.rows, [[other]]);
        assert_eq!(dba.query("SELECT 1").await.error, None, "the other role's session goes on");
    }
    world.change(|settings| drop(settings.roles.remove("agent"))).unwrap();
    assert!(outdated(&ana.answer().await));
    assert_eq!(world.login_error("ana", "pw-ana").await, "28P01");
}

#[tokio::test]
async fn orders_reach_the_sessions_of_both() {
    let mut world = World::start(&[]);
    let (mut old, old_client) = (world.raw("ana").await, world.client("ana").await);
    assert_eq!(old.query("BEGIN").await.status, b'T');
    old_client.simple_query("BEGIN").await.unwrap();
    let token = old_client.cancel_token();
    world
        .change(|settings| {
            loosen(settings);
            settings.limits.drain = Duration::from_secs(30);
        })
        .unwrap();
    let mut new = world.raw("ana").await;
    assert_eq!(world.handle().sessions().len(), 3);
    let running = tokio::spawn(async move { old_client.simple_query(ENDLESS).await });
    world.wait_for_statements(1).await;
    token.cancel_query(NoTls).await.unwrap();
    assert_eq!(code(&running.await.unwrap().unwrap_err()), "57014");
    new.send_query(ENDLESS).await;
    old.send_query(ENDLESS).await;
    world.wait_for_statements(2).await;
    let cut = world.handle().suspend(&Actor::new("ana"), &Actor::new("lead"), "test").unwrap();
    assert!(cut >= 2, "{cut}");
    for raw in [&mut old, &mut new] {
        let answer = raw.answer().await;
        assert_eq!(answer.error.as_deref(), Some("57P01"));
        assert!(answer.said.contains("not available"), "{}", answer.said);
    }
    world.wait_for_statements(0).await;
}

#[tokio::test]
async fn those_who_share_connections_come_to_others() {
    let mut world = World::start_as(&[], |settings| {
        turns::one_for_all(settings);
        settings.limits.queue_time = Duration::from_secs(10);
    });
    let (mut busy, mut idle) = (world.raw("ana").await, world.raw("ben").await);
    assert_eq!(idle.query(EMAIL).await.rows, [["***"]]);
    assert_eq!(busy.query("BEGIN").await.status, b'T');
    // One that waits in line has not begun.
    idle.send_query(EMAIL).await;
    world.wait_until("it waits", |world| world.handle().pools()[0].waiting == 1).await;
    world
        .change(|settings| {
            loosen(settings);
            settings.limits.drain = Duration::from_secs(30);
        })
        .unwrap();
    assert!(outdated(&idle.answer().await));
    let mut ben = world.raw("ben").await;
    assert_eq!(ben.query(EMAIL).await.rows, [["one@example.org"]]);
    let pools = world.handle().pools();
    assert_eq!(
        pools.iter().map(|pool| (pool.core, pool.ends)).collect::<Vec<_>>(),
        [(0, false), (0, true)]
    );
    assert_eq!(busy.query("COMMIT").await.error, None);
    assert!(outdated(&busy.answer().await));
    world.wait_until("the old pool is gone", |world| world.handle().pools().len() == 1).await;
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'support' \
                    AND application_name <> 'postern' AND pid <> pg_backend_pid()";
    let sessions =
        |world: &World| world.postgres.psql_in("support", sessions).unwrap().trim().to_owned();
    world.wait_until("its connection is gone", |world| sessions(world) == "1").await;
}

#[tokio::test]
async fn a_session_that_is_passed_through_ends_between_transactions() {
    let mut world = World::start_as(&[], |settings| {
        let kind = Kind::PassThrough;
        let role = Role {
            kind,
            enforcement: Enforcement::Enforce,
            pooling: Pooling::Session,
            budgets: Vec::new().into(),
            more: Arc::default(),
            speaks_for: false,
        };
        settings.roles.insert("administrator".into(), role);
    });
    let (mut idle, mut busy) = (world.raw("dba").await, world.raw("dba").await);
    assert_eq!(idle.query("SELECT 1").await.rows, [["1"]]);
    assert_eq!(busy.query("BEGIN").await.status, b'T');
    world
        .change(|settings| {
            loosen(settings);
            settings.limits.drain = Duration::from_secs(30);
        })
        .unwrap();
    assert!(outdated(&idle.answer().await));
    assert_eq!(busy.query("SELECT 1").await.rows, [["1"]]);
    assert_eq!(busy.query("COMMIT").await.error, None);
    assert!(outdated(&busy.answer().await));
}

#[tokio::test]
async fn a_client_that_reads_slowly_has_all_of_its_answer() {
    let mut world = World::start(&[]);
    let mut ana = world.raw("ana").await;
    // More than the system keeps for a client, less than keeps the server at work.
    ana.send_query("SELECT repeat('x', 1000) FROM generate_series(1, 4000)").await;
    ana.first_row().await;
    world
        .change(|settings| {
            loosen(settings);
            settings.limits.drain = Duration::from_secs(30);
        })
        .unwrap();
    world.wait_for_statements(0).await;
    let answer = ana.answer().await;
    assert_eq!((answer.rows.len(), answer.error), (3999, None));
    assert!(outdated(&ana.answer().await));
}

/// A reload for a certificate, say, must not make names count anew.
#[tokio::test]
async fn what_was_renamed_stays_protected_unless_the_new_configuration_names_it() {
    let mut world = World::start(&[]);
    let rename = "ALTER TABLE customers RENAME TO clients; CREATE TABLE customers (id bigint)";
    world.postgres.psql_in("support", rename).unwrap();
    world.wait_for_relation("dba", "clients").await;
    let seen = "SELECT email FROM clients WHERE id = 2";
    assert_eq!(world.raw("ben").await.query(seen).await.rows, [["***"]]);
    world.change(|settings| settings.limits.statement_timeout *= 2).unwrap();
    assert_eq!(world.raw("ben").await.query(seen).await.rows, [["***"]]);
    // Named, with its e-mail for everybody.
    world
        .change(|settings| {
            loosen(settings);
            settings.tables[0].table = "clients".to_owned();
        })
        .unwrap();
    assert_eq!(world.raw("ben").await.query(seen).await.rows, [["two@example.org"]]);
    let name = "SELECT name FROM clients WHERE id = 2";
    assert_eq!(world.raw("ben").await.query(name).await.rows, [["***"]]);
}

#[tokio::test]
async fn a_hundred_reloads_leave_nothing_behind() {
    let mut world = World::start(&[]);
    let count = |folder: &str| std::fs::read_dir(folder).unwrap().count();
    let mut first = None;
    for round in 0..100 {
        let mut ana = world.raw("ana").await;
        assert_eq!(ana.query("SELECT 1").await.rows, [["1"]]);
        world
            .change(|settings| settings.limits.statement_timeout += Duration::from_secs(1))
            .unwrap();
        assert!(outdated(&ana.answer().await));
        if round < 5 {
            continue;
        }
        world
            .wait_until("the one before is gone", |world| {
                kept(world) == 3 && world.handle().pools().len() == 2
            })
            .await;
        let now = (count("/proc/self/fd"), count("/proc/self/task"));
        let (files, threads) = *first.get_or_insert(now);
        assert!(now.0 <= files + 8 && now.1 <= threads, "{now:?} after {round}, {first:?}");
    }
    assert_eq!((world.handle().sessions().len(), configured(&world)), (0, 100));
}

/// One client's work until it is told to stop: whether each statement that failed did so by being
/// between two transactions, and what each saw that began after a moment.
async fn work(address: std::net::SocketAddr, stop: Arc<AtomicBool>, done: Arc<AtomicUsize>) {
    'connected: while !stop.load(Ordering::Relaxed) {
        let mut raw = Raw::connect(address, "ana", "pw-ana", "support").await;
        for round in 0.. {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let statements: &[&str] =
                if round % 3 == 0 { &["BEGIN", EMAIL, EMAIL, "COMMIT"] } else { &[EMAIL] };
            for (at, sql) in statements.iter().enumerate() {
                let answer = raw.query(sql).await;
                if outdated(&answer) && at == 0 {
                    continue 'connected;
                }
                assert_eq!(answer.error, None, "{sql}: {}", answer.said);
                done.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

#[tokio::test]
async fn under_load_statements_fail_between_transactions_only() {
    for pooling in [Pooling::Session, Pooling::Transaction] {
        let mut world = World::start_as(&[], |settings| {
            settings.limits.drain = Duration::from_secs(30);
            settings.roles.get_mut("agent").unwrap().pooling = pooling;
        });
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let address = world.handle().address();
        let clients: Vec<_> =
            (0..8).map(|_| tokio::spawn(work(address, stop.clone(), done.clone()))).collect();
        let mut ended = 0;
        for _ in 0..10 {
            let before = done.load(Ordering::Relaxed);
            let mut settings = world.settings.clone();
            settings.limits.queue_time += Duration::from_secs(1);
            let policy = world.policy.clone();
            ended += world.reconfigure_beside(settings, policy).await.unwrap().ending;
            world.wait_until("work goes on", |_| done.load(Ordering::Relaxed) > before + 100).await;
        }
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            client.await.unwrap();
        }
        assert!(ended > 10, "{ended} sessions were told");
    }
}

/// What clients of an agent see of her own customer.
#[derive(Default)]
struct Seen {
    clear: AtomicUsize,
    masked: AtomicUsize,
    /// Sessions that were ended.
    ended: AtomicUsize,
    /// From now on nothing is to be clear.
    over: AtomicBool,
    stop: AtomicBool,
}

/// Looks in a transaction that never ends by itself, so that only the end of the time ends it.
async fn look(address: std::net::SocketAddr, seen: Arc<Seen>) {
    'connected: while !seen.stop.load(Ordering::Relaxed) {
        let mut raw = Raw::connect(address, "ana", "pw-ana", "support").await;
        assert_eq!(raw.query("BEGIN").await.status, b'T');
        while !seen.stop.load(Ordering::Relaxed) {
            let is_over = seen.over.load(Ordering::SeqCst);
            let answer = raw.query(EMAIL).await;
            // One that is ended while an answer is on its way is told nothing more.
            if answer.error.is_some() || answer.status == 0 {
                assert!(answer.status == 0 || outdated(&answer), "{}", answer.said);
                seen.ended.fetch_add(1, Ordering::Relaxed);
                continue 'connected;
            }
            if answer.rows == [["***"]] {
                seen.masked.fetch_add(1, Ordering::Relaxed);
            } else {
                assert!(!is_over, "clear after the time was over: {answer:?}");
                seen.clear.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

#[tokio::test]
async fn what_is_tightened_holds_for_all_that_begins_after_the_drain() {
    let mut world = World::start(&[]);
    let (address, seen) = (world.handle().address(), Arc::new(Seen::default()));
    let clients: Vec<_> = (0..4).map(|_| tokio::spawn(look(address, seen.clone()))).collect();
    let clear = || seen.clear.load(Ordering::Relaxed);
    world.wait_until("something is clear", |_| clear() > 50).await;
    let strict = Arc::new(Policy::parse(STRICT).unwrap());
    let told = world.reconfigure_beside(world.settings.clone(), strict).await.unwrap();
    let answered = Instant::now();
    assert_eq!(told.ending, 4);
    // What the cut itself takes is the machine's.
    let ended = || seen.ended.load(Ordering::Relaxed);
    world
        .wait_until("the time is over", |_| answered.elapsed() >= told.drain && ended() >= 4)
        .await;
    seen.over.store(true, Ordering::SeqCst);
    let before = seen.masked.load(Ordering::Relaxed);
    let masked = || seen.masked.load(Ordering::Relaxed);
    world.wait_until("more is masked", |_| masked() > before + 50).await;
    seen.stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    assert_eq!(rows(&world.client("ana").await.simple_query(EMAIL).await.unwrap()), [["***"]]);
}
