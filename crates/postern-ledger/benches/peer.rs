//! What a second copy adds to the time until a receipt: one disclosure after the other, with the
//! follower in this process, on the same disk, over a Unix socket and over TCP on loopback (without
//! TLS). `cargo bench -p postern-ledger --bench peer -- [STATEMENTS] [DIR]`.

#![expect(clippy::print_stdout, reason = "it prints what it measures")]
#![expect(clippy::unwrap_used, reason = "a bench that fails may stop")]

use std::{
    net::{TcpListener, TcpStream},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use postern_ledger::{
    Channel, Connect, Copying, Follower, Ledger, Options, PeerOptions, VerifyingKey, WhenLost,
};
use postern_model::{Clock, Timestamp};

#[path = "shared/made.rs"]
#[expect(dead_code, reason = "others have a whole ledger made")]
mod made;

#[derive(Debug)]
struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp(0)
    }
}

/// Follows whoever comes, until the process ends.
fn follow<C: Channel + 'static>(
    ledger: &Path,
    copy: &Path,
    accept: impl Fn() -> C + Send + 'static,
) {
    let key = std::fs::read_to_string(ledger.join("key.pub")).unwrap();
    let key = VerifyingKey::parse(key.trim_end()).unwrap();
    let follower = Follower::open(copy, key).unwrap();
    thread::spawn(move || {
        loop {
            // The end of a connection is the end of a measurement.
            let _ = follower.serve(&mut accept());
        }
    });
}

fn record(ledger: &Ledger, number: u64) {
    let (sender, receiver) = mpsc::channel();
    let draft = made::draft(number, made::subjects(number, 1), 0);
    ledger.record(draft, Box::new(move |done| sender.send(done.map(drop)).unwrap()));
    receiver.recv().unwrap().unwrap();
}

/// Microseconds until each receipt, in order of length.
fn measure(ledger: &Path, peer: Option<Connect>, statements: u64) -> Vec<u128> {
    let peer = peer.map(|connect| {
        let retry = Duration::from_secs(1);
        PeerOptions { connect, when_lost: WhenLost::Stop, retry }
    });
    let options = Options { peer, ..Options::new("bench.example/ledger", Arc::new(Still)) };
    let ledger = Ledger::open(ledger, options, Arc::new(|_| {})).unwrap();
    while ledger.copied().is_some_and(|copied| copied.copying != Copying::InStep) {
        thread::yield_now();
    }
    let mut times: Vec<u128> = (0..statements)
        .map(|number| {
            let start = Instant::now();
            record(&ledger, number);
            start.elapsed().as_micros()
        })
        .collect();
    ledger.close().unwrap();
    times.sort_unstable();
    times
}

fn print(name: &str, times: &[u128]) {
    let at = |part: usize| times.get(times.len() * part / 100).copied().unwrap_or_default();
    println!("{name:<32} p50 {:>6} us, p90 {:>6} us, p99 {:>6} us", at(50), at(90), at(99));
}

fn main() {
    let arguments = || std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let statements = arguments().find_map(|argument| argument.parse().ok()).unwrap_or(5_000);
    let folder = arguments().find(|argument| argument.parse::<u64>().is_err());
    let temporary = folder.map_or_else(tempfile::tempdir, tempfile::tempdir_in).unwrap();
    let make = |name: &str| {
        let ledger = temporary.path().join(name);
        let options = Options::new("bench.example/ledger", Arc::new(Still));
        Ledger::create(&ledger, &options).unwrap();
        (ledger, temporary.path().join(format!("copy of {name}")))
    };
    let (local, _) = make("local");
    let (unix, unix_copy) = make("unix");
    let socket = temporary.path().join("socket");
    let listener = UnixListener::bind(&socket).unwrap();
    follow(&unix, &unix_copy, move || listener.accept().unwrap().0);
    let over_unix: Connect = Arc::new(move || Ok(Box::new(UnixStream::connect(&socket)?)));
    let (tcp, tcp_copy) = make("tcp");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let without_delay = |stream: TcpStream| {
        stream.set_nodelay(true).unwrap();
        stream
    };
    follow(&tcp, &tcp_copy, move || without_delay(listener.accept().unwrap().0));
    let over_tcp: Connect =
        Arc::new(move || Ok(Box::new(without_delay(TcpStream::connect(address)?))));
    // In turns, so that a change of the machine's mood falls on all.
    for round in 1..=3 {
        println!("round {round}, {statements} statements one after the other");
        print("local", &measure(&local, None, statements));
        print("local+peer, Unix socket", &measure(&unix, Some(over_unix.clone()), statements));
        print("local+peer, TCP", &measure(&tcp, Some(over_tcp.clone()), statements));
    }
}
