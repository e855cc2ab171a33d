//! What a monitoring system fetches from a running gateway.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
};

use crate::{
    raw::Raw,
    served::{PATIENCE, Served},
    support::{AGENTS, MIA, Support},
};

/// What has a gateway serve them.
pub(crate) const SECTION: &str = "[metrics]\nlisten = \"127.0.0.1:0\"\n";

/// Where they are fetched.
#[derive(Debug)]
pub(crate) struct Metrics {
    address: SocketAddr,
}

impl Metrics {
    pub(crate) fn of(served: &Served) -> Self {
        Self { address: served.said("metrics=").parse().unwrap() }
    }

    /// Status, head and body of what answers a text.
    fn ask(&self, request: &str) -> (u16, String, String) {
        let mut socket = TcpStream::connect(self.address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), head.to_owned(), body.to_owned())
    }

    fn page(&self) -> String {
        let get = "GET /metrics HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n";
        let (status, head, body) = self.ask(get);
        assert_eq!(status, 200, "{head}");
        let kind = "Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8";
        assert!(head.contains(kind), "{head}");
        body
    }

    /// The figures by name, those of several cores together.
    pub(crate) fn fetch(&self) -> BTreeMap<String, f64> {
        let page = self.page();
        let lines = page.strip_suffix("# EOF\n").expect("it ends as the standard says").lines();
        let mut figures = BTreeMap::new();
        let mut kinds = BTreeMap::new();
        for line in lines {
            if let Some(rest) = line.strip_prefix("# ") {
                let words: Vec<&str> = rest.splitn(3, ' ').collect();
                if words[0] == "TYPE" {
                    let is_new = kinds.insert(words[1].to_owned(), words[2].to_owned()).is_none();
                    assert!(is_new, "{line} is there twice");
                }
                continue;
            }
            let (name, value) = line.rsplit_once(' ').unwrap();
            let name = name.split('{').next().unwrap();
            let of = ["_total", "_info"].into_iter().find_map(|end| name.strip_suffix(end));
            assert!(kinds.contains_key(of.unwrap_or(name)), "{line} has no type");
            *figures.entry(name.to_owned()).or_insert(0.0) += value.parse::<f64>().unwrap();
        }
        figures
    }
}

#[test]
fn figures_can_be_fetched_and_name_nobody() {
    let support = Support::new();
    support.configure(&(support.configuration("") + SECTION));
    let served = Served::start(&support.bench);
    served.wait_until_open(MIA);
    let metrics = Metrics::of(&served);
    let before = metrics.fetch();
    let mut mia = Raw::connect(served.address, MIA).unwrap();
    mia.query("SELECT name, email FROM customers WHERE id IN (3, 5)").unwrap();
    mia.query("SELECT lower(email) FROM customers WHERE id = 7");
    let after = metrics.fetch();
    let grown = |name: &str| after[name] - before[name];
    assert!(grown("postern_statements_total") >= 2.0);
    assert!(grown("postern_recorded_total") >= 1.0);
    assert!(grown("postern_recorded_rows_total") >= 2.0);
    assert!(grown("postern_received_bytes_total") > 50.0);
    assert!(grown("postern_ledger_entries") >= 2.0);
    // Nobody looks after the ledger, and nothing waits.
    let value = |name: &str| after[name];
    assert_eq!(value("postern_ledger_witnessed_entries"), 0.0);
    assert_eq!(value("postern_ledger_unwitnessed_entries"), value("postern_ledger_entries"));
    assert_eq!(value("postern_ledger_queue"), 0.0);
    assert_eq!(value("postern_withheld"), 0.0);
    assert_eq!(value("postern_build_info"), 1.0);
    assert!(value("postern_ledger_size_bytes") > 1000.0);
    let synced = value("postern_ledger_synced_timestamp_seconds");
    assert!(synced >= value("postern_start_timestamp_seconds"), "{after:?}");
    assert!(!after.keys().any(|name| name.contains("copy")), "{after:?}");
    // The same as by `status`.
    let status = support.bench.run("status --json").yes();
    let entries = format!("\"entries\":{},", metrics.fetch()["postern_ledger_entries"]);
    assert!(status.contains(&entries), "{status}");

    let page = metrics.page();
    for name in AGENTS.iter().chain(&[MIA, "customers", "email", "root", "support"]) {
        let word = |text: &str| text.split(|c: char| !c.is_alphanumeric()).any(|w| w == *name);
        assert!(!page.lines().filter(|line| !line.starts_with('#')).any(word), "{name}: {page}");
    }
    let labels = page.lines().filter_map(|line| line.split_once('{')?.1.split('=').next());
    assert!(labels.into_iter().all(|label| ["core", "version"].contains(&label)), "{page}");
}

#[test]
fn nothing_else_is_there_and_who_holds_on_keeps_nobody_out_for_long() {
    let support = Support::new();
    support.configure(&(support.configuration("") + SECTION));
    let mut served = Served::start(&support.bench);
    let metrics = Metrics::of(&served);
    for (request, status) in [
        ("GET / HTTP/1.0\r\n\r\n", 404),
        ("GET /metrics/ana HTTP/1.0\r\n\r\n", 404),
        ("POST /metrics HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc", 405),
        ("GET /metrics?name=a HTTP/1.0\r\n\r\n", 200),
        ("hello\r\n\r\n", 400),
    ] {
        assert_eq!(metrics.ask(request).0, status, "{request}");
    }
    // A few are let in at once, the others not; they are again when those have gone.
    let held: Vec<_> = (0..40).map(|_| TcpStream::connect(metrics.address).unwrap()).collect();
    drop(held);
    let is_there = || std::panic::catch_unwind(|| metrics.fetch()).is_ok();
    postern_testkit::wait_until(PATIENCE, "figures are there again", is_there).unwrap();
    // Whoever reaches it is shown them, so nobody on another machine may.
    support.configure(&(support.configuration("") + "[metrics]\nlisten = \"0.0.0.0:0\"\n"));
    let said = support.bench.run("check-config").ended(1);
    assert!(said.contains("can be reached from other machines"), "{said}");
    // Somebody who is connected does not keep it from ending.
    let _held = TcpStream::connect(metrics.address).unwrap();
    served.terminate();
    assert_eq!(served.ended(), Some(0));
    assert!(TcpStream::connect(metrics.address).is_err());
}
