//! A gateway takes the place of another while clients come and go.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use postern_ledger::{Body, Note, Reader};
use postern_testkit::{Options, wait_until};

use crate::{
    raw::Raw,
    served::{PATIENCE, Served},
    support::{AGENTS, Support},
};

const NAME: &str = "SELECT name FROM customers WHERE id = 4";

fn with_drain(drain: &str) -> Support {
    let support = Support::with(Options::default(), "");
    let limits = format!("[gateway.limits]\ndrain = \"{drain}\"");
    support.configure(&support.configuration("").replace("[gateway.limits]", &limits));
    support
}

/// How many connections have asked.
#[derive(Debug, Default)]
struct Load {
    over: AtomicBool,
    asked: AtomicUsize,
}

impl Load {
    /// Connects, asks and goes, again and again; whatever goes wrong ends the test.
    fn run(&self, address: SocketAddr, actor: &str) {
        while !self.over.load(Ordering::Relaxed) {
            let mut raw = Raw::connect(address, actor).expect("a client was turned away");
            let answer = raw.query(NAME).expect("a session was ended");
            assert_eq!(answer.rows.len(), 1, "{answer:?}");
            drop(raw);
            self.asked.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[test]
fn no_client_that_comes_and_goes_sees_that_others_take_over() {
    const TIMES: usize = 4;
    let support = with_drain("20s");
    let mut served = Served::start(&support.bench);
    served.wait_until_open("ana");
    let address = served.address;
    let load = Load::default();
    thread::scope(|scope| {
        let clients: Vec<_> = AGENTS.map(|actor| scope.spawn(|| load.run(address, actor))).into();
        let asked = || load.asked.load(Ordering::Relaxed);
        for _ in 0..TIMES {
            let before = asked();
            wait_until(PATIENCE, "the load", || asked() > before + 20).unwrap();
            // A session that is in the middle of something goes on.
            let mut raw = Raw::connect(address, "ana").unwrap();
            raw.query("BEGIN").unwrap();
            let taking = scope.spawn(|| Served::take_over(&support.bench));
            served.wait_for("handed over");
            assert_eq!(raw.query(NAME).unwrap().rows.len(), 1);
            raw.query("COMMIT").unwrap();
            drop(raw);
            let new = taking.join().unwrap();
            assert_eq!(new.address, address);
            assert_eq!(served.ended(), Some(0));
            served = new;
        }
        let before = asked();
        wait_until(PATIENCE, "the load at the last one", || asked() > before + 20).unwrap();
        load.over.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().unwrap();
        }
    });
    drop(served);
    support.bench.run("ledger verify").yes();
    let entries = Reader::open(&support.ledger()).unwrap().map(Result::unwrap);
    let said = entries.filter_map(|entry| match entry.body {
        Body::Noted(Note::Started { .. }) => Some("started"),
        Body::Noted(Note::Stopped) => Some("stopped"),
        _ => None,
    });
    let mut expected = ["started", "stopped"].repeat(TIMES);
    expected.push("started");
    assert_eq!(said.collect::<Vec<_>>(), expected);
}

#[test]
fn a_session_that_outlives_the_drain_is_told_and_the_next_one_waits_for_no_longer() {
    let support = with_drain("1s");
    let mut old = Served::start(&support.bench);
    old.wait_until_open("ana");
    let mut idle = Raw::connect(old.address, "ana").unwrap();
    let began = Instant::now();
    let new = Served::take_over(&support.bench);
    let last = idle.end().unwrap();
    assert_eq!(last.sqlstate, "57P01", "{last:?}");
    assert_eq!(old.ended(), Some(0));
    assert!(began.elapsed() >= Duration::from_secs(1), "it could stay for as long as the drain");
    new.wait_until_open("ana");
    let mut raw = Raw::connect(new.address, "ana").unwrap();
    assert_eq!(raw.query(NAME).unwrap().rows.len(), 1);
}

#[test]
fn what_cannot_take_over_leaves_the_other_at_work() {
    let support = with_drain("1s");
    let old = Served::start(&support.bench);
    old.wait_until_open("ana");
    let text = support.configuration("");
    for (wrong, why) in [
        (text.replace("127.0.0.1:0", "127.0.0.1:1"), "listens on another address"),
        (text.replace("kind = \"restricted\"", "kind = \"odd\""), "unknown variant `odd`"),
    ] {
        support.configure(&wrong);
        let refused = support.bench.run("serve --take-over");
        assert_eq!(refused.code, Some(2), "{refused:?}");
        assert!(refused.stderr.contains(why), "{why}: {refused:?}");
    }
    let mut raw = Raw::connect(old.address, "ana").unwrap();
    assert_eq!(raw.query(NAME).unwrap().rows.len(), 1);
    drop(old);
    support.configure(&text);
    let refused = support.bench.run("serve --take-over");
    assert!(refused.stderr.contains("no gateway answers"), "{refused:?}");
}
