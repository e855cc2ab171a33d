//! A server whose connection to the keeper hangs.

use std::{
    io::{Read, Write},
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use super::{code, world::World};
use crate::UpstreamHost;

/// What only the query of a reason holds.
const REASON: &[u8] = br#"FROM "public"."tickets""#;

/// Stands between gateway and server. When it is told to, it takes the next query of a reason and
/// says nothing any more on that connection.
struct Stalling {
    folder: tempfile::TempDir,
    next: Arc<AtomicBool>,
    stalled: Arc<AtomicBool>,
    /// The gateway has closed the connection on which nothing is said.
    left: Arc<AtomicBool>,
}

impl Stalling {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder, next: Arc::default(), stalled: Arc::default(), left: Arc::default() }
    }

    /// Takes the place of a server's socket.
    fn stand_before(&self, host: &mut UpstreamHost) {
        let UpstreamHost::Unix { folder, port } = host else { panic!("{host:?}") };
        let name = format!(".s.PGSQL.{port}");
        let server = std::mem::replace(folder, self.folder.path().to_owned()).join(&name);
        let listener = UnixListener::bind(self.folder.path().join(&name)).unwrap();
        let flags = [self.next.clone(), self.stalled.clone(), self.left.clone()];
        thread::spawn(move || {
            for client in listener.incoming() {
                forward(client.unwrap(), &server, flags.clone());
            }
        });
    }
}

fn forward(client: UnixStream, server: &PathBuf, flags: [Arc<AtomicBool>; 3]) {
    let server = UnixStream::connect(server).unwrap();
    let (mut from, mut to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    thread::spawn(move || {
        // The end of either side is the end of both.
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
    thread::spawn(move || {
        let [next, stalled, left] = flags;
        let (mut from, mut to, mut chunk) = (client, server, [0; 64 * 1024]);
        while let Ok(count @ 1..) = from.read(&mut chunk) {
            let bytes = &chunk[..count];
            let is_reason = bytes.windows(REASON.len()).any(|window| window == REASON);
            if is_reason && next.swap(false, Ordering::SeqCst) {
                stalled.store(true, Ordering::SeqCst);
                while let Ok(1..) = from.read(&mut chunk) {}
                left.store(true, Ordering::SeqCst);
                break;
            }
            if to.write_all(bytes).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
}

#[tokio::test]
async fn a_server_that_stalls_on_a_reason_is_given_up_and_nobody_waits_for_it() {
    let stalling = Stalling::new();
    let world = World::start_as(&[], |settings| {
        stalling.stand_before(&mut settings.upstream.host);
    });
    let ana = world.client("ana").await;
    ana.simple_query("SELECT name FROM customers").await.unwrap();
    stalling.next.store(true, Ordering::SeqCst);
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
               WHERE application_name = 'postern' AND backend_type = 'client backend'";
    world.postgres.psql_in("support", end).unwrap();
    let stalled = stalling.stalled.clone();
    world.wait_until("the stall", |_| stalled.load(Ordering::SeqCst)).await;
    let answer = ana.simple_query("SELECT name FROM customers");
    let answer = tokio::time::timeout(Duration::from_secs(2), answer).await;
    assert_eq!(code(&answer.expect("an answer").unwrap_err()), "57P03");
    world.wait_until("a new try", |world| world.handle().is_ready()).await;
    let left = stalling.left.clone();
    world.wait_until("nothing is left of the old one", |_| left.load(Ordering::SeqCst)).await;
    ana.simple_query("SELECT name FROM customers").await.unwrap();
}
