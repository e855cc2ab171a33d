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
    Body, Draft, DraftLeaf, DraftRow, Entry, Ledger, Note, Options, Reader, Touch,
};
use postern_model::{Actor, Clock, Grade, Reason, StatementFingerprint, Subject, Timestamp};

use crate::{
    bench::Bench,
    cli::GOOD,
    raw::Raw,
    served::Served,
    support::{MIA, Support},
};

/// A second passes with every look.
#[derive(Debug)]
struct Seconds(AtomicI64);

impl Clock for Seconds {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.fetch_add(1_000_000, Ordering::Relaxed))
    }
}

pub(crate) fn disclosure() -> Draft {
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
        values: Vec::new(),
        claimed: None,
        observed: None,
        refused: None,
        done: false,
        limits: Arc::from([]),
    }
}

/// A ledger with a few entries, closed in good order.
pub(crate) fn bench() -> Bench {
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
    // Each look was an entry, before it was answered.
    let last = bench.run("ledger show --last 1 --ledger postern-data/ledger").yes();
    assert!(last.trim_end().ends_with("asked the ledger what agent13 saw"), "{last}");
    let asked: Vec<_> = entries(&bench).into_iter().skip(4).collect();
    let about = |actor: Option<&str>, subject: Option<&str>| {
        let (actor, subject) = (actor.map(Actor::new), subject.map(Subject::new));
        (actor, subject, None, None)
    };
    let expected = [(None, None), (None, Some("1201")), (Some("agent13"), None), (None, None)];
    assert_eq!(asked, expected.map(|(actor, subject)| Some(about(actor, subject))));
}

/// Adds an entry to a ledger that nobody has open.
pub(crate) fn grow(folder: &Path, why: &str) {
    let options = Options::new("localhost/postern", Arc::new(Seconds(AtomicI64::new(0)))).small();
    let ledger = Ledger::open(folder, options, Arc::new(|_| {})).unwrap();
    let (sent, done) = sync_channel(1);
    let (actor, by, why) = (Actor::new("agent14"), Actor::new("root"), why.into());
    let told = Box::new(move |result: Result<u64, _>| sent.send(result.is_ok()).unwrap());
    ledger.note(Note::Suspended { actor, by, why }, told);
    assert!(done.recv().unwrap());
    ledger.close().unwrap();
}

type AskedAbout = (Option<Actor>, Option<Subject>, Option<Timestamp>, Option<Timestamp>);

/// What was asked in each entry that is a question.
fn entries(bench: &Bench) -> Vec<Option<AskedAbout>> {
    let entries = Reader::open(&bench.path("postern-data/ledger")).unwrap();
    let asked = |entry: Entry| match entry.body {
        Body::Noted(Note::Asked { actor, subject, since, until, .. }) => {
            Some((actor, subject, since, until))
        }
        _ => None,
    };
    entries.map(|entry| asked(entry.unwrap())).collect()
}

#[test]
fn who_saw_a_customer_is_told_and_that_it_was_asked_is_recorded() {
    let bench = bench();
    let who = "ledger who-saw 1201";
    insta::assert_snapshot!(bench.run(who).yes(), @"       2  1970-01-01T00:00:02.000000Z  agent01       public.customers: customer 1201, clear email, masked name, for assigned_ticket (strong)");
    insta::assert_snapshot!(bench.run(&format!("{who} --json")).yes(), @r#"{"version":1,"sequence":2,"time":"1970-01-01T00:00:02.000000Z","actor":"agent01","relation":"public.customers","clear":["email"],"masked":["name"],"reason":"assigned_ticket","grade":"strong","ticket":null,"subjects":["1201"],"statement":"SELECT email FROM customers WHERE id = $1"}"#);
    let by_index = bench.run("ledger seen-by agent01").yes();
    assert_eq!(by_index, bench.run("ledger seen-by agent01 --scan").yes());
    assert!(by_index.contains("customer 1201"), "{by_index}");
    let late = bench.run("ledger seen-by agent01 --since 1970-01-01T00:00:03Z");
    insta::assert_snapshot!(late.ended(0), @"hint: there is no such entry");
    insta::assert_snapshot!(bench.run("ledger who-saw 7").ended(0), @"hint: there is no such entry");
    let last = entries(&bench).pop().unwrap();
    assert_eq!(last, Some((None, Some(Subject::new("7")), None, None)));
    assert_eq!(entries(&bench).len(), 4 + 6);
    bench.run("ledger verify").yes();
}

#[test]
fn a_question_that_cannot_be_recorded_is_not_answered() {
    let bench = bench();
    let folder = bench.path("postern-data/ledger");
    let options = Options::new("localhost/postern", Arc::new(Seconds(AtomicI64::new(0)))).small();
    let writer = Ledger::open(&folder, options, Arc::new(|_| {})).unwrap();
    for command in ["who-saw 1201", "seen-by agent01 --scan", "show"] {
        let run = bench.run(&format!("ledger {command}"));
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{command}");
        assert!(run.stderr.contains("is recorded in it, and that is not possible"), "{run:?}");
    }
    writer.close().unwrap();
    // An auditor's copy can't record anything, and has no index.
    fs::remove_file(folder.join("key")).unwrap();
    let run = bench.run("ledger who-saw 1201 --ledger postern-data/ledger");
    assert!(run.stderr.contains("warning: this copy has no key"), "{run:?}");
    assert!(run.yes().contains("agent01"));
    assert!(!folder.join("index").exists());
}

#[test]
fn a_changed_entry_is_never_told() {
    let bench = bench();
    bench.run("ledger who-saw 1201").yes();
    let path = bench.path("postern-data/ledger/dictionary.log");
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(7).position(|window| window == b"agent01").unwrap();
    bytes[at + 6] = b'2';
    fs::write(&path, bytes).unwrap();
    let copy = bench.path("copy");
    fs::create_dir_all(copy.join("segments")).unwrap();
    for file in ["key.pub", "checkpoint", "dictionary.log", "segments/0000000000.seg"] {
        fs::copy(bench.path("postern-data/ledger").join(file), copy.join(file)).unwrap();
    }
    let said = bench.run("ledger who-saw 1201 --ledger copy").ended(1);
    assert!(said.contains("error: the ledger does not hold"), "{said}");
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
fn of_a_closed_ledger_nothing_unfinished_is_taken() {
    let bench = bench();
    let said = bench.run("ledger verify --closed --json").yes();
    assert!(said.contains("\"torn\":false"), "{said}");
    for name in ["segments/0000000000.seg", "dictionary.log"] {
        let path = bench.path("postern-data/ledger").join(name);
        let whole = fs::read(&path).unwrap();
        let mut changed = whole.clone();
        *changed.last_mut().unwrap() ^= 1;
        fs::write(&path, changed).unwrap();
        let said = bench.run("ledger verify --json").yes();
        assert!(said.contains("\"torn\":true"), "{said}");
        let said = bench.run("ledger verify --closed").ended(1);
        assert!(said.contains("the ledger does not hold") && said.contains(name), "{said}");
        fs::write(&path, whole).unwrap();
    }
}

#[test]
fn a_ledger_that_is_not_there_is_said_not_to_be() {
    let bench = Bench::new().file("postern.toml", GOOD);
    insta::assert_snapshot!(bench.run("ledger verify").ended(1), @"error: the ledger does not hold: DIR/postern-data/ledger/key.pub, byte 0: file is missing");
    insta::assert_snapshot!(bench.run("ledger show").ended(2), @"error: DIR/postern-data/ledger/key.pub, byte 0: file is missing");
}

#[test]
fn an_entry_can_be_proved_to_somebody_who_has_the_key_alone() {
    let bench = bench();
    bench.run("ledger prove 2 --out entry.tlog-proof").yes();
    let recorded = bench.run("ledger show --last 1").yes();
    assert!(recorded.contains("proof of entry 2"), "{recorded}");
    fs::copy(bench.path("postern-data/ledger/key.pub"), bench.path("trusted.pub")).unwrap();
    fs::remove_dir_all(bench.path("postern-data")).unwrap();
    let check = "ledger check-proof entry.tlog-proof --key trusted.pub";
    insta::assert_snapshot!(bench.run(check).yes(), @"entry 2 of `localhost/postern`, disclosed at 1970-01-01T00:00:02.000000Z, is one of the first 4, which its key signed");
    insta::assert_snapshot!(bench.run(&format!("{check} --json")).yes(), @r#"{"version":1,"holds":true,"ledger":"localhost/postern","entry":2,"time":"1970-01-01T00:00:02.000000Z","kind":"disclosed","signed":4,"why":null}"#);

    let proof = bench.read("entry.tlog-proof");
    fs::write(bench.path("entry.tlog-proof"), proof.replace("index 2", "index 1")).unwrap();
    insta::assert_snapshot!(bench.run(check).ended(1), @"error: the proof does not hold: the entry is not in the tree that was signed");
    let json = bench.run(&format!("{check} --json")).stdout;
    assert!(json.starts_with("{\"version\":1,\"holds\":false"), "{json}");
}

#[test]
fn all_entries_of_an_account_can_be_proved_to_somebody_who_has_the_key_alone() {
    let bench = bench();
    let since = "--since 1970-01-01T00:00:01Z --until 1970-01-01T00:00:03Z";
    bench.run(&format!("ledger prove --range agent01 {since} --subjects --out all.proof")).yes();
    fs::copy(bench.path("postern-data/ledger/key.pub"), bench.path("trusted.pub")).unwrap();
    assert!(entries(&bench).pop().unwrap().is_some(), "the question is recorded");
    fs::remove_dir_all(bench.path("postern-data")).unwrap();
    let check = "ledger check-proof all.proof --key trusted.pub";
    let said = bench.run(check).yes();
    let lines: Vec<&str> = said.lines().map(str::trim_start).collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    1  1970-01-01T00:00:01.000000Z  agent01       logged in from 127.0.0.1
    2  1970-01-01T00:00:02.000000Z  agent01       public.customers: customer 1201, clear email for assigned_ticket (strong)
    these 2 are all entries of agent01 in `localhost/postern` from 1970-01-01T00:00:01.000000Z to 1970-01-01T00:00:03.000000Z, among 2 of all accounts
    ");
    let json = bench.run(&format!("{check} --json")).yes();
    assert!(
        json.starts_with("{\"version\":1,\"holds\":true,\"ledger\":\"localhost/postern\""),
        "{json}"
    );

    // Who leaves out a line that speaks against the account has no proof.
    let proof = bench.read("all.proof");
    let opened = proof.lines().rfind(|line| line.starts_with("open ")).unwrap();
    fs::write(bench.path("all.proof"), proof.replace(&format!("{opened}\n"), "")).unwrap();
    insta::assert_snapshot!(bench.run(check).ended(1), @"error: the proof does not hold: entry 2 should be opened, or should not be");
}

#[test]
fn an_entry_that_is_not_there_cannot_be_proved() {
    let said = bench().run("ledger prove 4").ended(1);
    insta::assert_snapshot!(said, @"error: the checkpoint covers 4 entries, from 0 on; there is no entry 4 in it");
}

#[test]
fn the_key_that_one_trusts_has_to_be_the_ledgers() {
    let bench = bench();
    fs::copy(bench.path("postern-data/ledger/key.pub"), bench.path("trusted.pub")).unwrap();
    bench.run("ledger verify --key trusted.pub").yes();
    let other = Bench::new().path("ledger");
    let options = Options::new("localhost/postern", Arc::new(Seconds(AtomicI64::new(0)))).small();
    Ledger::create(&other, &options).unwrap();
    fs::copy(other.join("key.pub"), bench.path("trusted.pub")).unwrap();
    let said = bench.run("ledger verify --key trusted.pub").ended(1);
    insta::assert_snapshot!(said, @"error: the ledger does not hold: DIR/postern-data/ledger/key.pub, byte 0: not this ledger's key");
}

#[test]
fn a_ledger_is_published_as_tiles() {
    let bench = bench();
    let publish = || bench.run("ledger publish tiles").yes();
    insta::assert_snapshot!(publish(), @"`tiles` has 5 entries; 3 files were written");
    let checkpoint = fs::read(bench.path("postern-data/ledger/checkpoint")).unwrap();
    assert_eq!(fs::read(bench.path("tiles/checkpoint")).unwrap(), checkpoint);
    let recorded = bench.run("ledger show --last 2").yes();
    assert!(recorded.contains("read what is published of all entries"), "{recorded}");
    assert_eq!(fs::read(bench.path("tiles/tile/0/000.p/5")).unwrap().len(), 5 * 32);
    fs::write(bench.path("tiles/checkpoint"), "another").unwrap();
    let said = bench.run("ledger publish tiles").ended(1);
    insta::assert_snapshot!(said, @"error: `tiles/checkpoint` was published before with another content");
}

#[test]
fn a_customer_who_is_erased_is_gone_and_everything_still_holds() {
    let bench = bench();
    fs::copy(bench.path("postern-data/ledger/checkpoint"), bench.path("before")).unwrap();
    bench.run("ledger who-saw 1201").yes();
    let said = bench.run("erase 1201 --why customer-1201-wrote").ended(1);
    assert!(said.contains("names the customer"), "{said}");
    insta::assert_snapshot!(bench.run("erase 1201 --why by-letter").yes(), @"1201 is erased from the ledger, by entry 5");
    insta::assert_snapshot!(bench.run("erase 1201 --why by-letter").ended(1), @"error: the ledger has no customer `1201`");
    for file in
        ["postern-data/ledger/dictionary.log", "postern-data/ledger/segments/0000000000.seg"]
    {
        let bytes = fs::read(bench.path(file)).unwrap();
        assert!(!bytes.windows(4).any(|part| part == b"1201"), "{file}");
    }
    assert_eq!(bench.run("ledger who-saw 1201").yes(), "");
    let said = bench.run("ledger seen-by agent01").yes();
    assert!(said.contains("customer erased 0, clear email"), "{said}");
    let said = bench.run("ledger verify --against before").yes();
    assert!(said.contains("covers the first 4 and agrees"), "{said}");
    // A proof that was made before still is one, and so is one that is made now.
    bench.run("ledger prove 2 --out entry.tlog-proof").yes();
    bench.run("ledger check-proof entry.tlog-proof --key postern-data/ledger/key.pub").yes();
}

#[test]
fn a_running_gateway_records_the_question_and_the_answer_is_up_to_date() {
    let support = Support::new();
    let served = Served::start(&support.bench);
    served.wait_until_open(MIA);
    let mut mia = Raw::connect(served.address, MIA).unwrap();
    for customer in [3, 5] {
        let sql = format!("SELECT email FROM customers WHERE id = {customer}");
        assert_eq!(mia.query(&sql).unwrap().rows.len(), 1);
        let said = support.bench.run(&format!("ledger who-saw {customer}")).yes();
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains("mia") && said.contains("clear email"), "{said}");
    }
    let said = support.bench.run("ledger seen-by mia").yes();
    assert!(said.contains("customer 3") && said.contains("customer 5"), "{said}");
    // It erases, too, and goes on recording.
    support.bench.run("erase 3 --why by-letter").yes();
    support.bench.run("erase 3 --why by-letter").ended(1);
    assert_eq!(mia.query("SELECT email FROM customers WHERE id = 3").unwrap().rows.len(), 1);
    let said = support.bench.run("ledger who-saw 3").yes();
    assert_eq!(said.lines().count(), 1, "the one since then: {said}");
    // Also where its folder is named.
    let named = support.bench.run("ledger who-saw 5 --ledger postern-data/ledger").yes();
    assert!(named.contains("mia"), "{named}");
    let ledger = support.bench.path("postern-data/ledger");
    let entries: Vec<Entry> = Reader::open(&ledger).unwrap().map(Result::unwrap).collect();
    let is_question = |entry: &&Entry| matches!(entry.body, Body::Noted(Note::Asked { .. }));
    assert_eq!(entries.iter().filter(is_question).count(), 5);
    support.bench.run("ledger verify").yes();
}
