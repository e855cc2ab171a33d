//! The second copy: gateway and follower as processes of their own, killed while people read. Every
//! customer whom anybody got to see must be in the ledger and in the copy, each by itself.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{Sender, channel},
    thread,
};

use postern_ledger::{Reader, VerifyOptions, verify};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::{
    bench::Bench,
    metrics::{self, Metrics},
    raw::Raw,
    served::{PATIENCE, Served},
    support::{AGENTS, CUSTOMERS, Support},
};

/// How often one of both is killed; `POSTERN_CRASH_ROUNDS` says otherwise.
const ROUNDS: u64 = 6;
const ROWS_MAX: u64 = 800;
const AWAY: &str = "the ledger's second copy is away, so nothing was released";

/// A running `postern follow`; killed when it is dropped.
struct Following {
    child: Child,
    address: String,
}

impl Following {
    fn start(bench: &Bench, arguments: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_postern"))
            .current_dir(bench.path(""))
            .args(["follow", "--dir", "copy", "--log", "postern-data/ledger/key.pub"])
            .args(arguments.split(' '))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.next().unwrap().unwrap();
        let address = line.strip_prefix("listening on ").unwrap().to_owned();
        let line = lines.next().unwrap().unwrap();
        assert!(line.starts_with("following postern/ledger, "), "{line}");
        Self { child, address }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const SOCKET: &str = "--listen unix:copy.sock";

fn configure(support: &Support, address: &str, more: &str) {
    let section = format!(
        "[ledger]\ndurable_on = \"local+peer\"\n[ledger.peer]\naddress = \"{address}\"\n{more}\n"
    );
    support.configure(&(support.configuration("") + &section));
}

fn wait_for_status(support: &Support, what: &str) -> String {
    let mut status = String::new();
    let says = || {
        let run = support.bench.run("status");
        status = run.stdout;
        status.contains(what)
    };
    postern_testkit::wait_until(PATIENCE, what, says).unwrap_or_else(|_| panic!("{status}"));
    status
}

type Counts = BTreeMap<(String, i64), usize>;

fn recorded(folder: &Path) -> Counts {
    let mut counts = Counts::new();
    for entry in Reader::open(folder).unwrap() {
        for disclosure in entry.unwrap().disclosures() {
            for subject in &disclosure.subjects {
                let customer = subject.as_str().parse().unwrap();
                *counts.entry((disclosure.actor.to_string(), customer)).or_default() += 1;
            }
        }
    }
    counts
}

#[track_caller]
fn check(folder: &Path, received: &Counts) {
    let recorded = recorded(folder);
    for (key, received) in received {
        let recorded = recorded.get(key).copied().unwrap_or_default();
        let folder = folder.display();
        assert!(*received <= recorded, "{key:?}: {received} times, in {folder} {recorded}");
    }
    verify(folder, &VerifyOptions::default(), &mut |_| {}).unwrap();
}

/// Reads until the gateway is gone.
fn read_on(address: SocketAddr, actor: &str, seed: u64, rows: &Sender<(String, i64)>) {
    let Ok(mut raw) = Raw::connect(address, actor) else { return };
    let mut rng = StdRng::seed_from_u64(seed);
    loop {
        let first = rng.random_range(1..=CUSTOMERS - 40);
        let last = first + rng.random_range(0..40);
        let sql = format!("SELECT id, email FROM customers WHERE id BETWEEN {first} AND {last}");
        let tell = |row: &[String]| {
            rows.send((actor.to_owned(), row[0].parse().unwrap())).unwrap();
        };
        let answer = raw.send_query(&sql).ok().and_then(|()| raw.answer(tell));
        let Some(answer) = answer else { return };
        let error = answer.error.as_ref().map_or("", |error| error.message.as_str());
        assert!(["", AWAY].contains(&error), "{actor}: {answer:?}");
    }
}

#[test]
fn whichever_is_killed_what_anybody_received_is_in_both() {
    let rounds = std::env::var("POSTERN_CRASH_ROUNDS").map_or(ROUNDS, |text| text.parse().unwrap());
    let mut rng = StdRng::seed_from_u64(7);
    let support = Support::new();
    configure(&support, "unix:copy.sock", "patience = \"2s\"");
    let (ledger, copy) = (support.ledger(), support.bench.path("copy"));
    let mut following = Following::start(&support.bench, SOCKET);
    let mut received = Counts::new();
    for round in 0..rounds {
        let mut served = Served::start(&support.bench);
        served.wait_until_open("ana");
        wait_for_status(&support, "second copy in step");
        let (sender, rows) = channel();
        let clients: Vec<_> = AGENTS
            .into_iter()
            .map(|actor| {
                let (address, sender, seed) = (served.address, sender.clone(), rng.random());
                thread::spawn(move || read_on(address, actor, seed, &sender))
            })
            .collect();
        drop(sender);
        let mut count = |row| *received.entry(row).or_default() += 1;
        for _ in 0..rng.random_range(1..=ROWS_MAX) {
            count(rows.recv().expect("all clients have ended"));
        }
        if round % 2 == 0 {
            following.kill();
            // It goes on without disclosing, and by itself once the follower is back.
            wait_for_status(&support, "withheld    protected data, because the ledger's second");
            rows.try_iter().for_each(&mut count);
            check(&copy, &received);
            following = Following::start(&support.bench, SOCKET);
            wait_for_status(&support, "second copy in step");
            let mut count = |row| *received.entry(row).or_default() += 1;
            for _ in 0..50 {
                count(rows.recv().expect("all clients have ended"));
            }
            served.kill();
            rows.iter().for_each(count);
        } else {
            served.kill();
            rows.iter().for_each(count);
        }
        clients.into_iter().for_each(|client| client.join().unwrap());
        check(&ledger, &received);
        check(&copy, &received);
    }
    let mut served = Served::start(&support.bench);
    wait_for_status(&support, "second copy in step");
    served.terminate();
    assert_eq!(served.ended(), Some(0));
    // Ended in good order, both are the same.
    let root = |folder: &str| {
        let said = support.bench.run(&format!("ledger verify --ledger {folder}")).yes();
        said.lines().last().unwrap().to_owned()
    };
    assert_eq!(root("postern-data/ledger"), root("copy"));
}

#[test]
fn without_a_follower_nothing_protected_is_shown_unless_it_is_said() {
    let support = Support::new();
    let protected = "SELECT email FROM customers WHERE id = 4";
    configure(&support, "unix:copy.sock", "");
    let mut served = Served::start(&support.bench);
    served.wait_until_open("ana");
    let mut ana = Raw::connect(served.address, "ana").unwrap();
    let answer = ana.query(protected).unwrap();
    let report = answer.error.unwrap();
    assert_eq!((report.sqlstate.as_str(), report.message.as_str()), ("58030", AWAY));
    assert_eq!(ana.query("SELECT title FROM products").unwrap().rows.len(), 2);
    let said = support.bench.run("doctor").ended(1);
    assert!(said.contains("leaks    the ledger has no second copy in step: away since"), "{said}");
    support.bench.run("suspend ana --why leaver").yes();
    served.terminate();
    assert_eq!(served.ended(), Some(0));
    let said = support.bench.run("doctor").ended(1);
    assert!(said.contains("unknown  whether the ledger's second copy is in step"), "{said}");

    let more = format!("when_lost = \"go_on\"\n{}", metrics::SECTION);
    configure(&support, "unix:copy.sock", &more);
    let served = Served::start(&support.bench);
    served.wait_until_open("ben");
    let mut ben = Raw::connect(served.address, "ben").unwrap();
    assert_eq!(ben.query(protected).unwrap().rows.len(), 1);
    let status = support.bench.run("status").yes();
    assert!(status.contains("second copy away since") && !status.contains("withheld"), "{status}");
    let figures = Metrics::of(&served);
    let now = figures.fetch();
    assert_eq!(now["postern_ledger_copy_in_step"], 0.0);
    assert!(now["postern_ledger_copy_behind_entries"] > 0.0, "{now:?}");
    let _following = Following::start(&support.bench, SOCKET);
    wait_for_status(&support, "second copy in step");
    let has_all = || {
        let now = figures.fetch();
        let behind = now["postern_ledger_copy_behind_entries"];
        (now["postern_ledger_copy_in_step"], behind) == (1.0, 0.0)
    };
    postern_testkit::wait_until(PATIENCE, "the figures say so", has_all).unwrap();
    let said = support.bench.run("doctor").stdout;
    assert!(!said.contains("second copy"), "{said}");
}

#[test]
fn over_a_network_both_sides_show_certificates_and_strangers_get_nothing() {
    let mut support = Support::new();
    for (name, text) in [
        ("ca.pem", include_str!("tls/ca.pem")),
        ("ledger.pem", include_str!("tls/ledger.pem")),
        ("ledger.key.pem", include_str!("tls/ledger.key.pem")),
        ("follower.pem", include_str!("tls/follower.pem")),
        ("follower.key.pem", include_str!("tls/follower.key.pem")),
        ("stranger.pem", include_str!("tls/stranger.pem")),
        ("stranger.key.pem", include_str!("tls/stranger.key.pem")),
    ] {
        support.bench = support.bench.file(name, text);
    }
    let follow = |who: &str| {
        Following::start(
            &support.bench,
            &format!(
                "--listen 127.0.0.1:0 --tls-certificate {who}.pem --tls-key {who}.key.pem --tls-ca \
                 ca.pem"
            ),
        )
    };
    let tls = |who: &str| {
        format!("tls_certificate = \"{who}.pem\"\ntls_key = \"{who}.key.pem\"\ntls_ca = \"ca.pem\"")
    };
    let of = |following: &Following| following.address.replace("127.0.0.1", "localhost");
    let plain = "follow --dir plain --log postern-data/ledger/key.pub --listen 127.0.0.1:0";
    let said = support.bench.run(plain).ended(2);
    assert!(said.contains("the ledger comes here encrypted"), "{said}");

    // Who does not know the follower's certificate does not speak to it, nor the follower to one
    // whose it does not know.
    for (there, here) in [("stranger", "ledger"), ("follower", "stranger")] {
        let following = follow(there);
        configure(&support, &of(&following), &tls(here));
        let mut served = Served::start(&support.bench);
        let status = wait_for_status(&support, "the follower can't be reached: ");
        let says = ["invalid peer certificate", "fatal alert: UnknownCA"];
        assert!(says.iter().any(|says| status.contains(says)), "{status}");
        served.terminate();
        assert_eq!(served.ended(), Some(0));
    }
    assert!(!fs::exists(support.bench.path("copy/segments/0000000000.seg")).unwrap());

    let following = follow("follower");
    configure(&support, &of(&following), &tls("ledger"));
    // Somebody who says nothing, or no TLS, keeps nobody out.
    let _silent = TcpStream::connect(&following.address).unwrap();
    let served = Served::start(&support.bench);
    served.wait_until_open("ana");
    wait_for_status(&support, "second copy in step");
    let mut ana = Raw::connect(served.address, "ana").unwrap();
    assert_eq!(ana.query("SELECT email FROM customers WHERE id = 4").unwrap().rows.len(), 1);
    check(&support.bench.path("copy"), &recorded(&support.ledger()));
}
