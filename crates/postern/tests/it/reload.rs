//! The configuration changes while a gateway runs: all of it is taken or nothing, and somebody is
//! told why.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::Arc,
    thread,
};

use postern_ledger::{Body, Note, Reader};
use postern_testkit::{Options, wait_until};
use rustix::process::Signal;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};

use crate::{
    raw::Raw,
    served::{PATIENCE, Served},
    support::Support,
};

const NAME: &str = "SELECT name FROM customers WHERE id = 4";

/// By whom each configuration was put in force.
fn configured(support: &Support) -> Vec<String> {
    let entries = Reader::open(&support.ledger()).unwrap().map(Result::unwrap);
    let by = entries.filter_map(|entry| match entry.body {
        Body::Noted(Note::Configured { by, .. }) => Some(by.to_string()),
        _ => None,
    });
    by.collect()
}

fn sees(served: &Served, actor: &str) -> String {
    let mut raw = Raw::connect(served.address, actor).unwrap();
    raw.query(NAME).unwrap().rows[0][0].clone()
}

/// The lines of a status that tell of the configuration.
fn status(support: &Support) -> String {
    let status = support.bench.run("status").yes();
    status.lines().find(|line| line.starts_with("configured")).unwrap().to_owned()
}

#[test]
fn what_a_reload_takes_is_said_recorded_and_in_force() {
    let support = Support::new();
    let served = Served::start(&support.bench);
    served.wait_until_open("ana");
    let before = status(&support);
    assert_eq!((sees(&served, "ana"), sees(&served, "ben")), ("Name 4".into(), "***".into()));

    // Nothing has changed: an entry all the same, and no session ends.
    let mut ana = Raw::connect(served.address, "ana").unwrap();
    assert!(support.bench.run("reload").yes().contains("changed     nothing"));
    assert!(ana.query("SELECT 1").is_some());

    // The policy lies beside the configuration, and counts.
    let connect = "permit (principal, action == Action::\"connect\", resource);";
    fs::write(support.bench.path("policy.cedar"), connect).unwrap();
    let text = support.configuration("").replace("mask = \"***\"", "mask = \"?\"");
    support.configure(&text);
    let taken = support.bench.run("reload").yes();
    assert!(taken.contains("changed     tables, policy"), "{taken}");
    assert!(taken.contains("ending      1 sessions"), "{taken}");
    let last = ana.end().unwrap();
    assert_eq!(last.sqlstate, "57P01");
    assert!(last.message.contains("configuration has changed"), "{last:?}");
    assert_eq!(sees(&served, "ana"), "?");
    assert_ne!(status(&support), before);
    served.wait_for("the configuration was reloaded");

    // Every change is the work of somebody, and those of the start and by hand are there too.
    served.signal(Signal::HUP);
    wait_until(PATIENCE, "the entry", || configured(&support).len() == 4).unwrap();
    let by = configured(&support);
    assert_eq!((&by[1], &*by[3]), (&by[2], "unknown"), "{by:?}");
    assert_ne!(by[1], "unknown");
    let hash = status(&support).split_once(", ").unwrap().1.to_owned();
    let shown = support.bench.run("ledger show").yes();
    assert!(shown.contains(&format!("configuration {hash} in force")), "{hash}: {shown}");
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_changes_nothing() {
    let support = Support::new();
    let served = Served::start(&support.bench);
    served.wait_until_open("ana");
    let before = status(&support);
    let mut ana = Raw::connect(served.address, "ana").unwrap();
    let good = support.configuration("");
    let policy = support.bench.read("policy.cedar");
    let cases = [
        (
            good.replace("workers = 2", "workers = 2\nwokers = 3"),
            &*policy,
            "unknown field `wokers`",
        ),
        (good.clone(), "permit (nobody", "the policy `policy.cedar` can't be used"),
        (good.replace("workers = 2", "workers = 3"), &policy, "`gateway.workers` can't change"),
        (
            good.replace("127.0.0.1:0", "127.0.0.1:1") + "\n[watch]\nlearning_days = 3\n",
            &policy,
            "`gateway.listen`, `watch.learning_days` can't change",
        ),
        (
            good.replace("status = 'open'", "stat = 'open'"),
            &policy,
            "column \"stat\" does not exist",
        ),
    ];
    for (text, policy, why) in cases {
        support.configure(&text);
        fs::write(support.bench.path("policy.cedar"), policy).unwrap();
        let refused = support.bench.run("reload").ended(1);
        assert!(refused.contains(why), "{why}: {refused}");
        served.signal(Signal::HUP);
        served.wait_for("it stays as it was");
        assert_eq!(status(&support), before, "{why}");
    }
    // What is no TOML at all is not the gateway's to say.
    support.configure(&good.replace("[upstream]", "[upstream"));
    let refused = support.bench.run("reload").ended(1);
    assert!(refused.contains("goes on with the configuration that it has"), "{refused}");
    // Orders need no good configuration.
    support.configure(&good.replace("kind = \"restricted\"\nbudgets", "kind = \"odd\"\nbudgets"));
    served.signal(Signal::HUP);
    let said = served.wait_for("unknown variant `odd`");
    assert!(said.contains("stays as it was") && said.contains("line "), "{said}");
    support.bench.run("suspend mia --why test").yes();
    assert!(ana.query(NAME).is_some_and(|answer| answer.rows[0][0] == "Name 4"));
    assert_eq!(configured(&support).len(), 1);
    support.configure(&good);
    support.bench.run("reload").yes();
    assert!(ana.query("SELECT 1").is_some(), "nothing differs from what was in force");
}

#[test]
fn a_table_that_is_protected_no_more_is_told_of() {
    let support = Support::new();
    let served = Served::start(&support.bench);
    served.wait_until_open("ana");
    let text = support.configuration("");
    support.configure(&text.replace("name = \"public.customers\"", "name = \"public.custmers\""));
    let run = support.bench.run("reload");
    assert_eq!(run.code, Some(0));
    assert!(run.stderr.contains("`public.customers` is not protected any more"), "{run:?}");
}

#[test]
fn of_two_at_once_the_newest_is_in_force() {
    let support = Support::new();
    let served = Served::start(&support.bench);
    served.wait_until_open("ana");
    let text = support.configuration("");
    for round in 0..5 {
        support.configure(&text.replace("mask = \"***\"", &format!("mask = \"{round}a\"")));
        thread::scope(|scope| {
            let first = scope.spawn(|| support.bench.run("reload").yes());
            served.signal(Signal::HUP);
            support.configure(&text.replace("mask = \"***\"", &format!("mask = \"{round}b\"")));
            let second = scope.spawn(|| support.bench.run("reload").yes());
            first.join().unwrap();
            second.join().unwrap();
        });
        assert_eq!(sees(&served, "ben"), format!("{round}b"));
    }
}

#[test]
fn a_reload_without_the_database_is_refused_and_one_with_it_again_is_not() {
    let mut support = Support::new();
    let served = Served::start(&support.bench);
    served.wait_until_open("ana");
    support.postgres.shut_down().unwrap();
    support.configure(&support.configuration("").replace("mask = \"***\"", "mask = \"?\""));
    let refused = support.bench.run("reload").ended(1);
    assert!(refused.contains("the database can't be read by it"), "{refused}");
    support.postgres.start_again().unwrap();
    served.wait_until_open("ben");
    assert_eq!(sees(&served, "ben"), "***");
    wait_until(PATIENCE, "it is taken", || support.bench.run("reload").code == Some(0)).unwrap();
    assert_eq!(sees(&served, "ben"), "?");
}

#[test]
fn a_signal_during_the_start_or_the_stop_harms_nothing() {
    let support = Support::with(Options::default(), "");
    let text =
        support.configuration("").replace("[gateway.limits]", "[gateway.limits]\ndrain = \"2s\"");
    support.configure(&text);
    let mut served = Served::start_and(&support.bench, |process| {
        let catches_it = || {
            let status = fs::read_to_string(format!("/proc/{}/status", process.as_raw_pid()));
            let status = status.unwrap();
            let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
            u64::from_str_radix(caught.trim(), 16).unwrap() & 1 == 1
        };
        wait_until(PATIENCE, "it catches the signal", catches_it).unwrap();
        rustix::process::kill_process(process, Signal::HUP).unwrap();
    });
    wait_until(PATIENCE, "the reload", || configured(&support).len() == 2).unwrap();
    served.wait_until_open("ana");
    let mut ana = Raw::connect(served.address, "ana").unwrap();
    ana.query("BEGIN").unwrap();
    served.terminate();
    served.wait_for("stopping");
    support.configure(&text.replace("mask = \"***\"", "mask = \"?\""));
    for _ in 0..5 {
        served.signal(Signal::HUP);
    }
    assert_eq!(served.ended(), Some(0));
    assert!(configured(&support).len() <= 3);
    assert!(support.bench.run("ledger verify").code == Some(0));
}

/// The certificate that the gateway shows.
fn shown(served: &Served, roots: &[CertificateDer<'static>]) -> CertificateDer<'static> {
    let mut store = rustls::RootCertStore::empty();
    for root in roots {
        store.add(root.clone()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(store)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let mut tls = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = TcpStream::connect(served.address).unwrap();
    stream.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).unwrap();
    let mut answer = [0];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"S");
    tls.complete_io(&mut stream).unwrap();
    tls.peer_certificates().unwrap()[0].clone().into_owned()
}

#[test]
fn a_certificate_that_is_renewed_is_shown_and_no_session_ends() {
    let first = (include_str!("tls/first.pem"), include_str!("tls/first.key.pem"));
    let second = (include_str!("tls/second.pem"), include_str!("tls/second.key.pem"));
    let support = Support::new();
    let put = |certificate: &str, key: &str| {
        fs::write(support.bench.path("c.pem"), certificate).unwrap();
        fs::write(support.bench.path("k.pem"), key).unwrap();
    };
    put(first.0, first.1);
    let tls = "workers = 2\ntls_certificate = \"c.pem\"\ntls_key = \"k.pem\"";
    support.configure(&support.configuration("").replace("workers = 2", tls));
    let served = Served::start(&support.bench);
    served.wait_until_open("ana");
    let parse = |text: &str| CertificateDer::from_pem_slice(text.as_bytes()).unwrap();
    let roots = [parse(first.0), parse(second.0)];
    assert_eq!(shown(&served, &roots), roots[0]);
    let mut ana = Raw::connect(served.address, "ana").unwrap();
    // A key that does not fit is refused, and the old pair is shown still.
    put(second.0, first.1);
    let refused = support.bench.run("reload").ended(1);
    assert!(refused.contains("and its key can't be used"), "{refused}");
    assert_eq!(shown(&served, &roots), roots[0]);
    put(second.0, second.1);
    support.bench.run("reload").yes();
    assert_eq!(shown(&served, &roots), roots[1]);
    assert!(ana.query("SELECT 1").is_some());
}
