//! Connections that break, stall or are not read, on both sides.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::BytesMut;
use postern_model::Actor;
use postern_wire::encode;
use socket2::{Domain, Socket, Type};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::{
    malice::{assert_no_panic, watch_for_panics},
    meddling::{Alter, Meddler, Then},
    raw::Raw,
    world::World,
};
use crate::upstream::BoxedStream;

const ONE: &str = "SELECT id, name FROM customers WHERE id = 2";
const PLAIN: &str = "SELECT n, n::text, n FROM generate_series(1, 30) n";
const ENDLESS: &str = "SELECT count(*) FROM generate_series(1, 100000000000)";
/// What one side may make wait in the gateway and in the machine's own buffers, which may be four
/// MiB for each socket. What is sent is several times as much.
const WAITING_MAX: usize = 16 * 1024 * 1024;
const FLOOD: usize = 48 * 1024 * 1024;

fn between() -> (Meddler, World) {
    watch_for_panics();
    let meddler = Meddler::new();
    let world = World::start_as(&[], |settings| {
        meddler.stand_before(&mut settings.upstream.host);
        // What is altered is an answer to the client, not to the gateway's own DISCARD ALL.
        settings.limits.spare_max = 0;
        settings.workers = 1;
    });
    (meddler, world)
}

/// A client whose machine takes little for it.
async fn narrow(world: &World) -> Raw {
    Raw::log_in(Box::new(narrow_stream(world).await), "ana", "pw-ana", "support").await
}

async fn narrow_stream(world: &World) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    socket.connect(&world.handle().address().into()).unwrap();
    socket.set_nonblocking(true).unwrap();
    TcpStream::from_std(socket.into()).unwrap()
}

/// Waits until a number grows no more, though the gateway's only core has had its turn many times.
async fn settled(other: &mut Raw, count: impl Fn() -> usize) -> usize {
    let (mut last, mut same) = (0, 0);
    while same < 50 {
        assert!(other.query("SELECT 1").await.rows == [["1"]], "others are served");
        let now = count();
        same = if now == last && now > 0 { same + 1 } else { 0 };
        last = now;
    }
    last
}

fn rows(cells: &[&str]) -> (Vec<u8>, usize) {
    let mut row = BytesMut::new();
    encode::data_row(&mut row, cells.iter().map(|cell| Some(cell.as_bytes()))).unwrap();
    let count = FLOOD / row.len();
    (row.repeat(count), count)
}

#[tokio::test]
async fn a_client_that_does_not_read_a_huge_result_stops_the_server() {
    let (meddler, world) = between();
    let wide = "x".repeat(20_000);
    let mut other = world.raw("ben").await;
    for (sql, more) in [(PLAIN, 30), (ONE, 1)] {
        let mut ana = narrow(&world).await;
        assert_eq!(ana.query("SELECT 1").await.rows, [["1"]]);
        let (flood, count) = rows(&["2", &wide, "2"]);
        meddler.alter(Alter::before(b'D', &flood));
        ana.send_query(sql).await;
        world.wait_until("the flood", |_| meddler.has_altered()).await;
        let taken = settled(&mut other, || meddler.taken()).await;
        assert!(taken < WAITING_MAX, "{taken} bytes wait for a client that does not read");
        // A slow reader gets all of it.
        let answer = ana.answer().await;
        assert_eq!((answer.rows.len(), answer.status), (count + more, b'I'), "{sql}");
    }
    assert!(!world.disclosures().is_empty());
    assert_no_panic();
}

#[tokio::test]
async fn a_server_that_does_not_read_stops_the_client() {
    let (meddler, world) = between();
    let table = "CREATE TABLE notes (name text); GRANT ALL ON notes TO PUBLIC";
    world.postgres.psql_in("support", table).unwrap();
    world.wait_for_relation("ana", "notes").await;
    let mut other = world.raw("ben").await;
    let mut ana = world.raw("ana").await;
    ana.query("SELECT 1").await;
    assert_eq!(ana.query("COPY notes FROM STDIN").await.error, None);
    meddler.turn_deaf(b"deaf");
    let line = [&b"deaf"[..], &[b'x'; 20_000], b"\n"].concat();
    let mut message = BytesMut::new();
    encode::copy_data(&mut message, &line).unwrap();
    let count = FLOOD / message.len();
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = sent.clone();
    let sending = tokio::spawn(async move {
        for _ in 0..count {
            ana.send(&message).await;
            counted.fetch_add(message.len(), Ordering::SeqCst);
        }
        let mut end = BytesMut::new();
        encode::copy_done(&mut end);
        ana.send(&end).await;
        ana.answer().await
    });
    let taken = settled(&mut other, || sent.load(Ordering::SeqCst)).await;
    assert!(taken < WAITING_MAX, "{taken} bytes wait for a server that does not read");
    meddler.hear_again();
    let answer = sending.await.unwrap();
    assert_eq!(answer.tags, [format!("COPY {count}")]);
    assert_no_panic();
}

/// With a reset, not with a goodbye; what was under way is cancelled and the next client, of the
/// same actor, gets its own answer.
#[tokio::test]
async fn a_client_that_is_reset_leaves_nothing_running_and_nothing_behind() {
    watch_for_panics();
    let world = World::start(&[]);
    for sql in [ENDLESS, "SELECT repeat('x', 500000) FROM generate_series(1, 100000)"] {
        let stream = narrow_stream(&world).await;
        let reset = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        reset.unwrap();
        let boxed: BoxedStream = Box::new(stream);
        let mut ana = Raw::log_in(boxed, "ana", "pw-ana", "support").await;
        ana.send_query(sql).await;
        world.wait_for_statements(1).await;
        drop(ana);
        world.wait_until("its end", |world| world.handle().sessions().is_empty()).await;
        world.wait_for_statements(0).await;
        let mut next = world.raw("ana").await;
        assert_eq!(next.query(ONE).await.rows, [["2", "***"]]);
        drop(next);
        world.wait_until("the other's end", |world| world.handle().sessions().is_empty()).await;
    }
    assert_no_panic();
}

#[tokio::test]
async fn a_client_that_has_closed_its_half_and_goes_leaves_nothing_running() {
    watch_for_panics();
    let world = World::start(&[]);
    let mut ana = world.raw("ana").await;
    ana.send_query(ENDLESS).await;
    world.wait_for_statements(1).await;
    ana.sends_no_more().await;
    // It may wait for its answer.
    let mut ben = world.raw("ben").await;
    ben.query("SELECT pg_sleep(1.5)").await;
    assert_eq!(world.running_statements(), 1);
    drop((ana, ben));
    world.wait_for_statements(0).await;
    world.wait_until("it has ended", |world| world.handle().sessions().is_empty()).await;
    // Before the log-in, too.
    let mut stream = TcpStream::connect(world.handle().address()).await.unwrap();
    stream.write_all(b"\0\0\0\x40\0\x03\0\0user\0").await.unwrap();
    stream.shutdown().await.unwrap();
    world.raw("ana").await;
    assert_no_panic();
}

/// Neither the client's end nor a suspension waits for a server that says nothing more.
#[tokio::test]
async fn a_server_that_falls_silent_keeps_nobody() {
    let (meddler, world) = between();
    let mut other = world.raw("ben").await;
    for suspends in [false, true] {
        let mut ana = world.raw("ana").await;
        ana.query("SELECT 1").await;
        meddler.alter(Alter::next(b'D', b"D\0\0\x10\0\0\x02").then(Then::IsSilent));
        ana.send_query(ONE).await;
        world.wait_until("the silence", |_| meddler.has_altered()).await;
        assert_eq!(other.query(ONE).await.rows, [["2", "***"]], "others are served");
        if suspends {
            let cut = world.handle().suspend(&Actor::new("ana"), &Actor::new("lead"), "test");
            assert_eq!(cut.unwrap(), 1);
            let answer = ana.answer().await;
            assert_eq!((answer.rows.len(), answer.error.as_deref()), (0, Some("57P01")));
            assert!(ana.is_closed().await);
        } else {
            drop(ana);
        }
        let only_ben = |world: &World| world.handle().sessions().len() == 1;
        world.wait_until("its end", only_ben).await;
    }
    assert_no_panic();
}

/// In the middle of a row, of the rows, before the end, and before anything is said.
#[tokio::test]
async fn a_server_that_is_lost_in_mid_result_is_told_and_no_row_is_unrecorded() {
    let (meddler, world) = between();
    let all = "SELECT id, name FROM customers ORDER BY id";
    for (tag, skip) in [(b'T', 0), (b'D', 0), (b'D', 1), (b'D', 37), (b'C', 0), (b'Z', 0)] {
        let mut ana = world.raw("ana").await;
        ana.query("SELECT 1").await;
        meddler.alter(Alter::next(tag, b"").after(skip).then(Then::Closes));
        let answer = ana.query(all).await;
        assert_eq!((answer.error.as_deref(), answer.status), (Some("08006"), 0), "{tag} {skip}");
        assert!(ana.is_closed().await);
        let known: Vec<String> =
            world.disclosures().iter().flat_map(|d| &d.subjects).map(ToString::to_string).collect();
        for row in &answer.rows {
            assert!(known.contains(&row[0]), "{row:?} is not recorded");
        }
    }
    world.wait_until("all are gone", |world| world.handle().sessions().is_empty()).await;
    assert_no_panic();
}
