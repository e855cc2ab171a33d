//! Small ledgers, byte for byte. The folders in `vectors` are the format for whoever writes another
//! implementation; a change of a byte is a new format version. `entries.jsonl` says what they mean.
//! `POSTERN_BLESS=1` writes them anew.

use std::{
    collections::BTreeMap,
    io::Write as _,
    process::{Command, Stdio},
};

use postern_model::Secret;
use serde_json::Value;

use super::*;
use crate::{
    CaseAct, Complained, DecoyHit, DraftValue, Observed, Planted, Told, ValueQuestion,
    disk::sim::SimDisk,
    recover::{create_on, open_on},
    saw_value,
};

mod json;
mod proofs;

/// One of each kind of entry, each form of set, each counter, and the ends of what numbers can be.
fn all() -> Vec<Vec<Work>> {
    let (ana, eve) = (Actor::new("ana"), Actor::new("eve"));
    let fingerprint = StatementFingerprint(u64::MAX);
    let statement: Arc<str> = "SELECT * FROM \u{fc}bersicht WHERE name = $1".into();
    let found = Found {
        time: Timestamp(-1),
        actors: vec![ana.clone(), eve.clone()],
        kind: "breadth".into(),
        severity: postern_model::Severity::Critical,
        alert: true,
        score: 0.1,
        subjects_at_risk: u64::MAX,
        evidence: vec!["first".into(), "second".into()],
        why: "far more customers than others of the team".into(),
    };
    let notes = vec![
        Note::LoggedIn { actor: ana.clone(), connection: u64::MAX, client: "::1".into() },
        Note::LoginRefused { actor: eve.clone(), client: "::1".into(), why: "password".into() },
        Note::LoggedOut { actor: ana.clone(), connection: 0 },
        Note::Refused {
            actor: ana.clone(),
            connection: 128,
            fingerprint,
            statement: statement.clone(),
            rule: "whole_row".into(),
        },
        Note::Suspended { actor: ana.clone(), by: eve.clone(), why: "seen with a list".into() },
        Note::Resumed { actor: ana.clone(), by: eve.clone(), why: String::new().into() },
        Note::Found(found),
        Note::Configured { hash: [0xab; 32], by: eve.clone() },
        Note::Started { version: "1".into() },
        Note::Stopped,
        Note::Read { by: eve, what: "verify".into() },
    ];
    let opened = |subject: Option<&str>| Note::Opened {
        actor: ana.clone(),
        connection: 1,
        relation: "public.ticket".into(),
        subject: subject.map(Subject::new),
        fingerprint,
        statement: statement.clone(),
    };
    let mut batches = vec![notes, vec![opened(None), opened(Some("17"))]]
        .into_iter()
        .map(|notes| notes.into_iter().map(Work::Note).collect())
        .collect::<Vec<Vec<Work>>>();
    let counters = [
        Counter::ClearSubjects,
        Counter::WeakSubjects,
        Counter::MaskedSubjects,
        Counter::Lookups,
        Counter::LookupMisses,
        Counter::Stops,
    ];
    let window = Duration::from_secs(86_400);
    for counter in counters {
        batches.push(vec![Work::Draft(stopped_by(Limit { counter, window, max: 0 }))]);
    }
    batches.push(vec![Work::Draft(searched())]);
    batches.extend(sets().map(|draft| vec![Work::Draft(draft)]));
    batches
}

/// A draft of each grade, with a ticket and a search that hit.
fn searched() -> Draft {
    let weak = reason("own_ticket", Grade::Weak);
    let mut draft = draft("ben", &[("1007", weak), ("1003", strong()), ("17", None)], &[]);
    draft.claimed = Some("T-42".into());
    draft.lookups.push(DraftLookup {
        relation: "public.customer".into(),
        column: "email".into(),
        hit: true,
        search: *b"8 bytes.",
    });
    draft
}

/// A draft that a limit of nothing stops.
fn stopped_by(limit: Limit) -> Draft {
    let grade = if limit.counter == Counter::WeakSubjects { Grade::Weak } else { Grade::Strong };
    let reason =
        (limit.counter != Counter::MaskedSubjects).then(|| Reason { name: "ticket".into(), grade });
    let searches = matches!(limit.counter, Counter::Lookups | Counter::LookupMisses);
    let mut draft = draft("ana", &[("1", reason)], &[limit]);
    if searches {
        draft.lookups.push(DraftLookup {
            relation: "public.customer".into(),
            column: "email".into(),
            hit: false,
            search: [0xcd; 8],
        });
    }
    if limit.counter == Counter::Stops {
        draft.rows = Vec::new();
    }
    draft
}

/// Sets whose smallest forms are gaps, a bitmap of runs, and something else.
fn sets() -> impl Iterator<Item = Draft> {
    let all: Vec<String> = (0..600).map(|number| format!("{number}")).collect();
    let of = move |wanted: fn(u64) -> bool| {
        let numbers = (0..).zip(&all).filter(|&(number, _)| wanted(number));
        let rows: Vec<_> = numbers.map(|(_, subject)| (subject.as_str(), strong())).collect();
        draft("ben", &rows, &[])
    };
    // Scattered by multiplication.
    let some: [fn(u64) -> bool; 4] =
        [|_| true, |number| number % 100 < 3, |number| number > 90, |number| number * 7 % 10 < 4];
    some.into_iter().map(of)
}

/// The kinds of entry that came later.
fn asked() -> Vec<Vec<Work>> {
    let (ana, eve) = (Actor::new("ana"), Actor::new("eve"));
    let asked = |actor, subject: Option<&str>, since, until| Note::Asked {
        by: eve.clone(),
        actor,
        subject: subject.map(Subject::new),
        since,
        until,
    };
    let notes = [
        asked(None, Some("17"), None, None),
        asked(Some(ana), None, Some(Timestamp(-1)), Some(Timestamp(1_564_617_600_000_000))),
        asked(None, None, None, Some(Timestamp(0))),
        Note::Erased { by: eve, subject: Subject::new("17"), why: "by letter".into() },
    ];
    vec![notes.into_iter().map(Work::Note).collect()]
}

/// Kinds that came later still.
fn people() -> Vec<Vec<Work>> {
    let (ana, eve) = (Actor::new("ana"), Actor::new("eve"));
    let person = |was: &str, now: &str| {
        let (was, now) = (was.into(), now.into());
        Work::Note(Note::Person { actor: ana.clone(), by: eve.clone(), was, now })
    };
    let approval = |act: &str, by: &Actor, why: &str| {
        let (number, until) = (u64::MAX, Timestamp(i64::MAX));
        let (act, why, subject) = (act.into(), why.into(), Subject::new("17"));
        let (actor, by) = (ana.clone(), by.clone());
        Work::Note(Note::Approval { actor, by, act, number, subject, until, why })
    };
    vec![
        vec![person("", "role agent"), person("role agent", "role lead")],
        vec![person("role", ""), approval("asked", &ana, "a call"), approval("approved", &eve, "")],
    ]
}

/// What came before the first epoch and the first itself, which are past retention, and three more.
fn with_epochs() -> BTreeMap<String, Vec<u8>> {
    let clock = Arc::new(HandClock::default());
    let day = Duration::from_secs(86_400);
    let retention = Some(Retention { epoch: 30 * day, keep: 40 * day });
    let plain =
        Options { segment_bytes: 2048, dictionary_step_bytes: 512, ..options(clock.clone()) };
    let disk = SimDisk::new(0);
    create_on(&disk, &plain, &[7; 32]).unwrap();
    let mut salt = 0u8;
    for month in 0..5 {
        let mut start = salt;
        salt = salt.wrapping_add(60);
        let salts = Box::new(move || {
            start = start.wrapping_add(1);
            [start; 16]
        });
        clock.set(1_564_617_600_000_000 + month * 30 * 86_400_000_000);
        let options = Options { retention: retention.filter(|_| month > 0), ..plain.clone() };
        let mut sequencer = open_on(Arc::new(disk.clone()), options, salts).unwrap();
        sequencer.retain(&Actor::new("root"), &mut Vec::new()).unwrap();
        let client = "192.0.2.1".into();
        let note = Note::LoggedIn { actor: Actor::new("ben"), connection: 1, client };
        commit(&mut sequencer, &[Work::Note(note), Work::Draft(searched())]).unwrap();
        commit(&mut sequencer, &people().remove(1)).unwrap();
        sequencer.sign().unwrap();
    }
    disk.contents()
}

/// And those about findings, complaints and planted customers.
fn investigated() -> Vec<Vec<Work>> {
    let (eve, subject) = (Actor::new("eve"), Subject::new("17"));
    let case = |act: &str, kinds: &[&str], roles: &[&str]| {
        let names = |of: &[&str]| of.iter().map(|name| (*name).into()).collect();
        let (kinds, roles) = (names(kinds), names(roles));
        let (by, act, why) = (eve.clone(), act.into(), "a clean-up".into());
        Note::Case(CaseAct { by, number: u64::MAX, act, kinds, roles, why })
    };
    let told = Complained {
        by: eve.clone(),
        subject: subject.clone(),
        at: Timestamp(-1),
        kind: "scam_call".into(),
        fields: vec!["name".into(), "ticket".into()],
        caller: "said to be from support".into(),
    };
    let hit = DecoyHit { by: eve.clone(), subject, how: "mail".into(), why: String::new().into() };
    let notes = [
        case("reviewed", &[], &[]),
        case("benign", &["no_trace", "volume"], &["agent"]),
        Note::Complained(told),
        Note::Planted(Planted { by: eve.clone(), digest: [0xee; 32], count: 128 }),
        Note::DecoyHit(hit),
    ];
    vec![notes.into_iter().map(Work::Note).collect()]
}

/// Disclosures while policy is not enforced.
fn observed() -> Vec<Vec<Work>> {
    let not_enforced = reason(postern_model::NOT_ENFORCED, Grade::Weak);
    let mut seen = draft("ana", &[("1007", strong()), ("17", not_enforced)], &[]);
    let would = Observed { rule: None, masked: u64::MAX, unknown: false };
    seen.observed = Some(Box::new(would));
    let mut unknown = draft("ana", &[], &[]);
    let rule = Some("explain".into());
    unknown.observed = Some(Box::new(Observed { rule, masked: 0, unknown: true }));
    vec![vec![Work::Draft(seen), Work::Draft(unknown)]]
}

/// Values that were shown, in an epoch and before the first, of an erased customer too.
fn with_values() -> BTreeMap<String, Vec<u8>> {
    let clock = Arc::new(HandClock::default());
    let disk = SimDisk::new(0);
    let plain = Options {
        segment_bytes: 2048,
        dictionary_step_bytes: 512,
        value_hashes: true,
        ..options(clock.clone())
    };
    create_on(&disk, &plain, &[7; 32]).unwrap();
    let day = Duration::from_secs(86_400);
    let retention = Some(Retention { epoch: 30 * day, keep: 40 * day });
    let value = |row, column: usize, text: &[u8]| {
        let digest = postern_model::value_digest("public.customer", VALUE_COLUMNS[column], text);
        DraftValue { row, touch: 0, column, digest }
    };
    for month in 0..2u8 {
        let mut start = month * 100;
        let salts = Box::new(move || {
            start += 1;
            [start; 16]
        });
        clock.set(1_564_617_600_000_000 + i64::from(month) * 30 * 86_400_000_000);
        let options = Options { retention: retention.filter(|_| month > 0), ..plain.clone() };
        let mut sequencer = open_on(Arc::new(disk.clone()), options, salts).unwrap();
        sequencer.retain(&Actor::new("root"), &mut Vec::new()).unwrap();
        let rows = [("17", strong()), ("1003", strong()), ("17", strong()), ("9", None)];
        let mut shown = draft("ana", &rows, &[]);
        // The last is masked.
        shown.values = vec![
            value(0, 0, "J\u{fc}rgen".as_bytes()),
            value(0, 1, b"j@example.org"),
            value(1, 1, b"\0\xff"),
            value(2, 0, b""),
            value(3, 0, b"masked"),
        ];
        let would = Observed { rule: None, masked: 1, unknown: false };
        let observed = Draft { observed: Some(Box::new(would)), ..shown.clone() };
        commit(&mut sequencer, &[Work::Draft(shown), Work::Draft(observed)]).unwrap();
        if month == 0 {
            let (subject, by) = (Subject::new("1003"), Actor::new("root"));
            sequencer.erase(&subject, (&by, &"by letter".into()), &mut Vec::new()).unwrap();
        }
        sequencer.sign().unwrap();
    }
    disk.contents()
}

const VALUE_COLUMNS: [&str; 2] = ["name", "email"];

/// What `values.jsonl` asks both implementations: of whom, which value, and in which columns of
/// which entries it stood.
fn check_values(name: &str) {
    let folder = vectors(name);
    for line in read_lines(&std::fs::read_to_string(folder.join("values.jsonl")).unwrap()) {
        let value: Vec<u8> = serde_json::from_value(line["value"].clone()).unwrap();
        let subject = line["subject"].as_str().unwrap();
        let question = ValueQuestion {
            subject: Subject::new(subject),
            actor: None,
            since: None,
            until: None,
            forms: vec![Secret::new(value.clone())],
        };
        let (told, _) = saw_value(&folder, &question, true, &mut |_, _| {}).unwrap();
        let found = told.iter().filter(|told| !told.same.is_empty());
        let columns = |told: &Told| told.same.iter().map(|column| column.to_string()).collect();
        let found: Vec<(u64, Vec<String>)> =
            found.map(|told| (told.sequence, columns(told))).collect();
        let wanted = line["found"].clone();
        assert_eq!(serde_json::to_value(&found).unwrap(), wanted, "{line}");
        let Some(python) = python::interpreter() else { continue };
        let mut command = Command::new(python);
        command.arg(python::script("")).arg(&folder).args(["--saw", subject]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut running = command.spawn().unwrap();
        running.stdin.take().unwrap().write_all(&value).unwrap();
        let output = running.wait_with_output().unwrap();
        assert_eq!(output.status.success(), wanted != serde_json::json!([]), "{line}");
        let said = read_lines(&String::from_utf8(output.stdout).unwrap());
        let said = said.iter().map(|told| (told["sequence"].clone(), told["same"].clone()));
        let said: Vec<(Value, Value)> = said.collect();
        assert_eq!(serde_json::to_value(&said).unwrap(), wanted, "{line}");
    }
}

fn made_now(work: Vec<Vec<Work>>) -> BTreeMap<String, Vec<u8>> {
    let clock = Arc::new(HandClock::default());
    let options = Options { segment_bytes: 2048, ..options(clock.clone()) };
    let options = Options { dictionary_step_bytes: 512, ..options };
    let disk = SimDisk::new(0);
    create_on(&disk, &options, &[7; 32]).unwrap();
    let mut salt = 0u8;
    let salts = Box::new(move || {
        salt = salt.wrapping_add(1);
        [salt; 16]
    });
    let mut sequencer = open_on(Arc::new(disk.clone()), options, salts).unwrap();
    for (number, batch) in (0..).zip(work) {
        clock.set(1_564_617_600_000_000 + number);
        commit(&mut sequencer, &batch).unwrap();
    }
    sequencer.sign().unwrap();
    disk.contents()
}

fn vectors(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(name)
}

/// Writes the ledger anew if that was asked for; else it has to be the one that is made now.
fn check_bytes(name: &str, made: &BTreeMap<String, Vec<u8>>) {
    let folder = vectors(name);
    if bless() {
        std::fs::create_dir_all(folder.join("segments")).unwrap();
        for (name, bytes) in made {
            std::fs::write(folder.join(name), bytes).unwrap();
        }
    }
    for (name, bytes) in made {
        assert!(std::fs::read(folder.join(name)).unwrap() == *bytes, "{name} is another");
    }
}

fn bless() -> bool {
    std::env::var_os("POSTERN_BLESS").is_some()
}

/// What the entries say is what the file beside them says, for both verifiers.
fn check_meaning(name: &str) {
    let folder = vectors(name);
    let lines = check_ledger(&folder).iter().map(json::line).collect::<Vec<Value>>();
    let file = folder.join("entries.jsonl");
    if bless() {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        std::fs::write(&file, text).unwrap();
    }
    assert_eq!(read_lines(&std::fs::read_to_string(&file).unwrap()), lines);
    let Some(python) = python::interpreter() else { return };
    let mut command = Command::new(python);
    command.arg(python::script("")).arg(&folder).arg("--entries");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(read_lines(&String::from_utf8(output.stdout).unwrap()), lines);
}

fn read_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Kept to be read, not made any more: before sets had the form of Elias-Fano, with all kinds of
/// entry of then, and with those that came later.
#[test]
fn ledgers_of_the_first_version_can_still_be_read() {
    ["1", "1-all", "1-asked"].into_iter().for_each(check_meaning);
}

#[test]
fn the_format_is_the_one_of_the_vectors() {
    let work = || all().into_iter().chain(asked()).collect();
    check_bytes("2-all", &made_now(work()));
    check_meaning("2-all");
    check_bytes("2-person", &made_now(people()));
    check_meaning("2-person");
    let lost = Note::Lost {
        by: Actor::new("eve"),
        entries: 5,
        seen: u64::MAX,
        root: [0xab; 32],
        why: "the disk broke".into(),
    };
    check_bytes("2-lost", &made_now(vec![vec![Work::Note(lost)]]));
    check_meaning("2-lost");
    check_bytes("2-epochs", &with_epochs());
    check_meaning("2-epochs");
    check_bytes("2-investigated", &made_now(investigated()));
    check_meaning("2-investigated");
    check_bytes("2-observed", &made_now(observed()));
    check_meaning("2-observed");
    check_bytes("2-values", &with_values());
    check_meaning("2-values");
    check_values("2-values");
}

/// A ledger of the first version goes on in the second, in a segment of its own.
#[test]
fn a_ledger_of_the_first_version_is_continued() {
    let mut files = BTreeMap::new();
    for name in ["key", "key.pub", "checkpoint", "dictionary.log"] {
        files.insert(name.to_owned(), std::fs::read(vectors("1-all").join(name)).unwrap());
    }
    for file in std::fs::read_dir(vectors("1-all").join("segments")).unwrap() {
        let path = file.unwrap().path();
        let name = format!("segments/{}", path.file_name().unwrap().to_str().unwrap());
        files.insert(name, std::fs::read(path).unwrap());
    }
    let (before, disk) = (files.len(), SimDisk::holding(&files));
    for _ in 0..2 {
        let options = options(Arc::new(HandClock::default()));
        let salts = Box::new(|| [9; 16]);
        let mut sequencer = open_on(Arc::new(disk.clone()), options, salts).unwrap();
        commit(&mut sequencer, &[Work::Draft(searched())]).unwrap();
        sequencer.sign().unwrap();
    }
    assert_eq!(disk.contents().len(), before + 1);
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("segments")).unwrap();
    for (name, bytes) in disk.contents() {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    let entries = check_ledger(folder.path());
    let actors: Vec<_> = entries.iter().rev().take(2).flat_map(Entry::disclosures).collect();
    assert!(actors.len() >= 4 && actors.iter().all(|one| one.actor.as_str() == "ben"));
    let Some(python) = python::interpreter() else { return };
    let mut command = Command::new(python);
    assert!(command.arg(python::script("")).arg(folder.path()).status().unwrap().success());
}
