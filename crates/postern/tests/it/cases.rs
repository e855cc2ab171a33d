//! Cases, from a ledger in which findings stand and from a running gateway.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
        mpsc::sync_channel,
    },
};

use postern_ledger::{
    Body, CaseAct, Draft, DraftLeaf, DraftRow, Found, Ledger, Note, Options, Reader, Touch,
};
use postern_model::{
    Actor, Clock, Grade, Reason, Severity, StatementFingerprint, Subject, Timestamp,
};
use postern_testkit::wait_until;

use crate::{
    bench::Bench,
    cli::GOOD,
    raw::Raw,
    served::{PATIENCE, Served},
    support::Support,
};

/// A minute passes with every look.
#[derive(Debug)]
struct Minutes(AtomicI64);

impl Clock for Minutes {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.fetch_add(60_000_000, Ordering::Relaxed))
    }
}

fn options() -> Options {
    Options::new("localhost/postern", Arc::new(Minutes(AtomicI64::new(0)))).small()
}

fn shown(actor: &str, customer: usize, grade: Grade) -> Draft {
    let reason = Reason { name: "assigned_ticket".into(), grade };
    let subject = Subject::new(customer.to_string());
    Draft {
        actor: Actor::new(actor),
        connection: 7,
        hold: 1,
        fingerprint: StatementFingerprint(1),
        statement: "SELECT name FROM customers WHERE id = $1".into(),
        leaves: vec![DraftLeaf {
            relation: "public.customers".into(),
            clear: vec!["name".into()],
            shown: Vec::new(),
            masked: Vec::new(),
        }],
        rows: vec![DraftRow { touches: vec![Touch { leaf: 0, subject, reason: Some(reason) }] }],
        lookups: Vec::new(),
        values: Vec::new(),
        claimed: None,
        refused: None,
        observed: None,
        done: false,
        limits: Arc::from([]),
    }
}

fn found(actor: &str, severity: Severity, score: f64, evidence: &[&str]) -> Note {
    Note::Found(Found {
        time: Timestamp(3_600_000_000),
        actors: vec![Actor::new(actor)],
        kind: if score > 1e6 { "decoy_read" } else { "self_opened" }.into(),
        severity,
        alert: severity > Severity::Low,
        score,
        subjects_at_risk: 4,
        evidence: evidence.iter().map(|id| (*id).into()).collect(),
        why: format!("`{actor}` was shown 4 customers").into(),
    })
}

fn put(ledger: &Ledger, note: Note) -> u64 {
    let (sent, done) = sync_channel(1);
    ledger.note(note, Box::new(move |result| sent.send(result.unwrap()).unwrap()));
    done.recv().unwrap()
}

/// A ledger with the work of six, of whom ana's found twice and ben's found below the bar.
fn bench() -> Bench {
    let bench = Bench::new().file("postern.toml", GOOD);
    let folder = bench.path("postern-data/ledger");
    fs::create_dir_all(bench.path("postern-data")).unwrap();
    Ledger::create(&folder, &options()).unwrap();
    let ledger = Ledger::open(&folder, options(), Arc::new(|_| {})).unwrap();
    for name in ["ana", "ben", "cleo", "dan", "eli", "fay"] {
        let now =
            format!("role {:?}, employer \"own\"", if name == "fay" { "lead" } else { "agent" });
        let (actor, by) = (Actor::new(name), Actor::new("eve"));
        put(&ledger, Note::Person { actor, by, was: "".into(), now: now.into() });
    }
    let record = |draft| {
        let (sent, done) = sync_channel(1);
        ledger.record(draft, Box::new(move |result| sent.send(result.is_ok()).unwrap()));
        assert!(done.recv().unwrap());
    };
    for (place, name) in ["ben", "cleo", "dan", "eli", "fay"].into_iter().enumerate() {
        (0..=place).for_each(|customer| record(shown(name, customer, Grade::Strong)));
        // The first of the case's evidence: from here on the others are compared with.
        if place == 0 {
            (100..104).for_each(|customer| record(shown("ana", customer, Grade::Weak)));
        }
    }
    put(&ledger, found("ben", Severity::Low, 9.0, &["6"]));
    put(&ledger, found("ana", Severity::High, 9_999.0, &["7", "8", "9", "10"]));
    put(&ledger, found("ana", Severity::Critical, 1e9, &["10"]));
    ledger.close().unwrap();
    bench
}

/// Somebody else's act, as it would be recorded if another person ran the command.
fn other(folder: &Path, number: u64, act: &str) {
    let ledger = Ledger::open(folder, options(), Arc::new(|_| {})).unwrap();
    let (by, act, why) = (Actor::new("fred"), act.into(), "seen".into());
    put(&ledger, Note::Case(CaseAct { by, number, act, kinds: vec![], roles: vec![], why }));
    ledger.close().unwrap();
}

const CASE: u64 = 26;

#[test]
fn cases_are_listed_without_names_and_the_look_is_recorded() {
    let bench = bench();
    let said = bench.run("cases list --json").yes();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains(&format!(r#""case":{CASE},"status":"open","severity":"critical""#)));
    assert!(said.contains(r#""findings":2,"causes":["decoy_read","self_opened"]"#), "{said}");
    assert!(!said.contains("ana"), "{said}");
    let all = bench.run("cases list --all").yes();
    assert_eq!(all.lines().count(), 3, "{all}");
    let ledger = bench.run("ledger show --last 3").yes();
    assert_eq!(ledger.matches("read cases").count(), 2, "{ledger}");
}

#[test]
fn a_case_has_causes_peers_evidence_and_what_to_do_and_no_names() {
    let bench = bench();
    let said = bench.run(&format!("cases show {CASE}")).yes();
    assert!(!said.contains("ana"), "{said}");
    let expected = [
        "stands       unexplained; nobody has judged it suspicious",
        "decoy_read: 69 % of it; 1 findings, critical, score 1000000000, 4 customers",
        "self_opened: 31 % of it; 1 findings, high, score 9999, 4 customers",
        "  unexplained  `account-",
        "  innocent if  work on behalf of customers at the desk",
        "  next         call back some of the customers",
        // dan, cleo and eli; fay is no agent, and ben had done his work before.
        "peers        3 accounts of the role agent, over 1 days",
        "in clear     4 customers, where the middle peer has 3 and nine of ten at most 4",
        "unexplained  4 customers, where the middle peer has 0 and nine of ten at most 0",
        "evidence     4 accesses",
        "1 customers, clear name, for assigned_ticket (weak)",
    ];
    for expected in expected {
        assert!(said.contains(expected), "{expected} is not in:\n{said}");
    }
    assert!(bench.run("ledger show --last 1").yes().contains(&format!("read case {CASE}")));
    assert!(bench.run("cases show 1").ended(1).contains("there is no case 1"));
}

#[test]
fn accounts_are_named_when_a_second_person_agrees() {
    let bench = bench();
    let ledger = bench.path("postern-data/ledger");
    let reveal = format!("cases reveal {CASE} --why complaints");
    assert!(bench.run(&format!("cases reveal {CASE}")).ended(1).contains("say why"));
    let asked = bench.run(&reveal).yes();
    assert!(asked.contains("keeps its pseudonyms until somebody else agrees"), "{asked}");
    assert!(bench.run(&reveal).ended(1).contains("somebody else has to agree"));
    assert!(!bench.run(&format!("cases show {CASE}")).yes().contains("ana"));
    other(&ledger, CASE, "revealed");
    let named = bench.run(&format!("cases show {CASE}")).yes();
    assert!(named.contains("accounts     ana\n") && named.contains("`ana` was shown"), "{named}");
    bench.run(&format!("cases close {CASE} --as misuse --why dismissed")).yes();
    assert!(
        !bench.run("cases list --all").yes().contains("ana"),
        "that was for this investigation"
    );
}

#[test]
fn who_is_asked_second_need_not_be_asked_first() {
    let bench = bench();
    other(&bench.path("postern-data/ledger"), CASE, "reveal_asked");
    let said = bench.run(&format!("cases reveal {CASE} --why complaints")).yes();
    assert!(said.contains("has names now"), "{said}");
    assert!(bench.run("cases list").yes().contains("ana"));
}

#[test]
fn a_case_is_closed_with_a_reason_that_says_what_it_was_about() {
    let bench = bench();
    let close = format!("cases close {CASE} --as benign");
    assert!(bench.run(&close).ended(1).contains("say why"));
    let said = bench.run(&format!("{close} --why sampling")).yes();
    assert!(said.contains("is closed as benign; its causes count less"), "{said}");
    let entries: Vec<_> = Reader::open(&bench.path("postern-data/ledger")).unwrap().collect();
    let Body::Noted(Note::Case(act)) = entries.last().unwrap().as_ref().unwrap().body.clone()
    else {
        panic!("no act of a case")
    };
    assert_eq!((act.number, &*act.act, &*act.why), (CASE, "benign", "sampling"));
    assert_eq!(act.kinds, ["decoy_read".into(), "self_opened".into()]);
    assert_eq!(act.roles, ["agent".into()]);
    assert_eq!(bench.run("cases list").yes().lines().count(), 1);
    assert!(bench.run(&format!("{close} --why again")).ended(1).contains("is closed"));
    bench.run(&format!("cases reopen {CASE} --why doubts")).yes();
    bench.run(&format!("cases review {CASE} --suspicious --why doubts")).yes();
    let shown = bench.run(&format!("cases show {CASE}")).yes();
    for expected in ["under review", "judged suspicious by", "benign by", "reopened by"] {
        assert!(shown.contains(expected), "{expected} is not in:\n{shown}");
    }
    bench.run("ledger verify").yes();
}

#[test]
fn a_running_gateway_makes_cases_and_knows_who_acts_on_them() {
    let support = Support::new();
    let bench = &support.bench;
    support.configure(&(support.configuration("") + "\n[watch]\ndecoys = [\"5\"]\n"));
    let served = Served::start(bench);
    served.wait_until_open("ana");
    let mut ana = Raw::connect(served.address, "ana").unwrap();
    ana.query("SELECT name FROM customers WHERE id = 5");
    let mut listed = String::new();
    let found = || {
        listed = bench.run("cases list --json").yes();
        listed.contains("decoy_read")
    };
    wait_until(PATIENCE, "a decoy read is a case", found).unwrap();
    let number = listed.split(r#""case":"#).nth(1).unwrap().split(',').next().unwrap();
    assert!(!listed.contains("\"ana\""), "{listed}");
    bench.run(&format!("cases reveal {number} --why complaints")).yes();
    let again = bench.run(&format!("cases reveal {number} --why complaints")).ended(1);
    assert!(again.contains("somebody else has to agree"), "{again}");
    bench.run(&format!("cases close {number} --as benign --why slip")).yes();
    let shown = bench.run("ledger show --last 2").yes();
    assert!(shown.contains(&format!("case {number} benign: slip")), "{shown}");
    drop(served);
    let again = Served::start(bench);
    again.wait_until_open("ana");
    bench.run(&format!("cases reopen {number} --why doubts")).yes();
}
