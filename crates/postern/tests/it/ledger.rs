use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
        mpsc::sync_channel,
    },
};

use postern_ledger::{Draft, DraftLeaf, DraftRow, Ledger, Note, Options, Touch};
use postern_model::{Actor, Clock, Grade, Reason, StatementFingerprint, Subject, Timestamp};

use crate::{bench::Bench, cli::GOOD};

/// A second passes with every look.
#[derive(Debug)]
struct Seconds(AtomicI64);

impl Clock for Seconds {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.fetch_add(1_000_000, Ordering::Relaxed))
    }
}

fn disclosure() -> Draft {
    let touch = |subject, grade| Touch {
        leaf: 0,
        subject: Subject::new(subject),
        reason: Some(Reason { name: "assigned_ticket".into(), grade }),
    };
    Draft {
        actor: Actor::new("agent01"),
        connection: 7,
        hold: 1,
        fingerprint: StatementFingerprint(1),
        statement: "SELECT email FROM customers WHERE id = $1".into(),
        leaves: vec![DraftLeaf {
            relation: "public.customers".into(),
            clear: vec!["email".into()],
            shown: Vec::new(),
            masked: vec!["name".into()],
        }],
        rows: vec![DraftRow { touches: vec![touch("1201", Grade::Strong)] }],
        lookups: Vec::new(),
        claimed: None,
        refused: None,
        limits: Arc::from([]),
    }
}

/// A ledger with a few entries, closed in good order.
fn bench() -> Bench {
    let bench = Bench::new().file("postern.toml", GOOD);
    let folder = bench.path("postern-data/ledger");
    let options = Options::new("localhost/postern", Arc::new(Seconds(AtomicI64::new(0)))).small();
    fs::create_dir_all(bench.path("postern-data")).unwrap();
    Ledger::create(&folder, &options).unwrap();
    let ledger = Ledger::open(&folder, options, Arc::new(|_| {})).unwrap();
    let (sent, done) = sync_channel(1);
    let note = |note| {
        let sent = sent.clone();
        ledger.note(note, Box::new(move |result| sent.send(result.is_ok()).unwrap()));
        assert!(done.recv().unwrap());
    };
    note(Note::Started { version: "0.0.0".into() });
    let (actor, client) = (Actor::new("agent01"), "127.0.0.1".into());
    note(Note::LoggedIn { actor, connection: 7, client });
    let receipt = sent.clone();
    ledger.record(disclosure(), Box::new(move |result| receipt.send(result.is_ok()).unwrap()));
    assert!(done.recv().unwrap());
    let (actor, by, why) = (Actor::new("agent13"), Actor::new("root"), "leaver".into());
    note(Note::Suspended { actor, by, why });
    ledger.close().unwrap();
    bench
}

#[test]
fn a_ledger_is_shown_entry_by_entry() {
    let bench = bench();
    insta::assert_snapshot!(bench.run("ledger show").yes(), @r#"
    0  1970-01-01T00:00:00.000000Z  -             postern 0.0.0 started
    1  1970-01-01T00:00:01.000000Z  agent01       logged in from 127.0.0.1
    2  1970-01-01T00:00:02.000000Z  agent01       public.customers: customer 1201, clear email for assigned_ticket (strong)
    3  1970-01-01T00:00:03.000000Z  agent13       suspended by root: leaver
    "#);
    insta::assert_snapshot!(bench.run("ledger show --subject 1201 --json").yes(), @r#"
    {"version":1,"sequence":2,"time":"1970-01-01T00:00:02.000000Z","kind":"disclosed","actors":["agent01"],"what":"public.customers: customer 1201, clear email for assigned_ticket (strong)","statement":"SELECT email FROM customers WHERE id = $1","disclosed":[{"relation":"public.customers","clear":["email"],"masked":["name"],"reason":"assigned_ticket","grade":"strong","subjects":["1201"]}]}
    "#);
    insta::assert_snapshot!(bench.run("ledger show --actor agent13").yes(), @"       3  1970-01-01T00:00:03.000000Z  agent13       suspended by root: leaver");
    insta::assert_snapshot!(bench.run("ledger show --last 1 --ledger postern-data/ledger").yes(), @"       3  1970-01-01T00:00:03.000000Z  agent13       suspended by root: leaver");
}

#[test]
fn a_ledger_that_was_left_alone_holds() {
    let bench = bench();
    let said = bench.run("ledger verify").yes();
    assert!(said.starts_with("`DIR/postern-data/ledger` holds: 4 entries, the last of"), "{said}");
    let json = bench.run("ledger verify --json").yes();
    assert!(json.starts_with("{\"version\":1,\"holds\":true,\"entries\":4,\"signed\":4"), "{json}");
}

#[test]
fn a_ledger_in_which_a_byte_was_changed_does_not_hold() {
    let bench = bench();
    let mut changed = 0;
    for file in fs::read_dir(bench.path("postern-data/ledger")).unwrap() {
        let path = file.unwrap().path();
        if !path.is_file() {
            continue;
        }
        let mut bytes = fs::read(&path).unwrap();
        let Some(at) = bytes.windows(10).position(|window| window == b"SELECT ema") else {
            continue;
        };
        bytes[at] ^= 1;
        fs::write(&path, bytes).unwrap();
        changed += 1;
    }
    assert_eq!(changed, 1, "one file holds the statement");
    let said = bench.run("ledger verify").ended(1);
    assert!(said.starts_with("error: the ledger does not hold: "), "{said}");
    let json = bench.run("ledger verify --json").stdout;
    assert!(json.starts_with("{\"version\":1,\"holds\":false"), "{json}");
}

#[test]
fn a_ledger_that_is_not_there_is_said_not_to_be() {
    let bench = Bench::new().file("postern.toml", GOOD);
    insta::assert_snapshot!(bench.run("ledger verify").ended(1), @"error: the ledger does not hold: DIR/postern-data/ledger/key.pub, byte 0: file is missing");
    insta::assert_snapshot!(bench.run("ledger show").ended(2), @"error: DIR/postern-data/ledger/key.pub, byte 0: file is missing");
}
