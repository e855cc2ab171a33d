use postern_model::Timestamp;

use super::*;
use crate::{
    Entry, OpenError, Options, Reader, Tail, VerifyOptions,
    disk::sim::{Fault, SimDisk},
    recover::{create_on, open_on},
    tests::{Bench, HandClock, commit, draft, options, python, strong},
    verify::verify_on,
};

fn small() -> Options {
    let clock = Arc::new(HandClock::default());
    Options { segment_bytes: 2048, dictionary_step_bytes: 256, ..options(clock) }
}

fn open(disk: &SimDisk) -> Result<Sequencer, OpenError> {
    open_on(Arc::new(disk.clone()), small(), Box::new(|| [9; 16]))
}

fn show(sequencer: &mut Sequencer, subjects: &[&str]) {
    let rows: Vec<_> = subjects.iter().map(|subject| (*subject, strong())).collect();
    commit(sequencer, &[Work::Draft(draft("ana", &rows, &[]))]).unwrap();
}

/// A ledger of three customers.
fn ledger() -> SimDisk {
    let disk = SimDisk::new(0);
    create_on(&disk, &small(), &[1; 32]).unwrap();
    let mut sequencer = open(&disk).unwrap();
    show(&mut sequencer, &["first customer", "the one who writes"]);
    show(&mut sequencer, &["the one who writes", "last"]);
    sequencer.sign().unwrap();
    disk
}

fn erase(sequencer: &mut Sequencer, subject: &str) -> Result<Recorded, EraseError> {
    let by = Actor::new("root");
    let mut recorded = Vec::new();
    sequencer.erase(&Subject::new(subject), (&by, &"by letter".into()), &mut recorded)?;
    assert_eq!(recorded.len(), 1);
    Ok(recorded.remove(0))
}

/// Whether any file has that text.
fn has(disk: &SimDisk, text: &str) -> bool {
    let has = |bytes: &Vec<u8>| bytes.windows(text.len()).any(|part| part == text.as_bytes());
    disk.contents().values().any(has)
}

fn subjects(disk: &SimDisk) -> Vec<String> {
    let reader = Reader::open_on(Arc::new(disk.clone())).unwrap();
    let entries: Vec<Entry> = reader.map(Result::unwrap).collect();
    let disclosures = entries.iter().flat_map(Entry::disclosures);
    let subjects = disclosures.flat_map(|disclosure| disclosure.subjects);
    subjects.map(|subject| subject.to_string()).collect()
}

fn check_holds(disk: &SimDisk) {
    let options = VerifyOptions { tail: Tail::MustBeClean, ..VerifyOptions::default() };
    verify_on(Arc::new(disk.clone()), &options, &mut |_| {}).unwrap();
}

#[test]
fn a_customer_who_is_erased_is_named_nowhere_and_everything_holds() {
    let disk = ledger();
    let before = verify_on(Arc::new(disk.clone()), &VerifyOptions::default(), &mut |_| {}).unwrap();
    let mut sequencer = open(&disk).unwrap();
    let recorded = erase(&mut sequencer, "the one who writes").unwrap();
    assert_eq!(recorded.entry.sequence, 2);
    assert!(!has(&disk, "the one who writes"));
    // It goes on; the same customer is a new one.
    show(&mut sequencer, &["last", "the one who writes"]);
    sequencer.sign().unwrap();
    let gone = erase(&mut sequencer, "nobody").unwrap_err();
    assert!(matches!(gone, EraseError::NotThere { .. }));
    drop(sequencer);
    check_holds(&disk);
    let expected = ["first customer", "erased 1", "erased 1", "last", "last", "the one who writes"];
    assert_eq!(subjects(&disk), expected);
    // The checkpoint of then is continued.
    let key = crate::identity::verifying_key(&disk).unwrap();
    let mut scan =
        crate::scan::Scan::open(Arc::new(disk.clone()), LedgerId::new(&key), Default::default())
            .unwrap();
    while scan.edge().size() < before.entries {
        scan.next().unwrap().unwrap();
    }
    assert_eq!(scan.edge().root(), before.root);
    let mut sequencer = open(&disk).unwrap();
    erase(&mut sequencer, "the one who writes").unwrap();
    erase(&mut sequencer, "first customer").unwrap();
    sequencer.sign().unwrap();
    drop(sequencer);
    assert!(!has(&disk, "customer\u{0}") && !has(&disk, "first customer"));
    check_holds(&disk);
    let files = disk.contents();
    assert!(python::answers(&files, [&files].into_iter()).is_none_or(|said| said == ["holds"]));
}

#[test]
fn whatever_ends_an_erasure_half_way_the_next_opening_ends_it_well() {
    let (mut erased, mut kept) = (0, 0);
    for fault in [Fault::Killed, Fault::Broken, Fault::Full] {
        for (operation, seed) in (0..24).flat_map(|at| (0..6).map(move |seed| (at, seed))) {
            let disk = ledger();
            let mut sequencer = open(&disk).unwrap();
            disk.fail_at(operation, fault);
            let done = erase(&mut sequencer, "the one who writes").is_ok();
            drop(sequencer);
            let disk = if seed < 2 { disk.restart() } else { disk.lose_power(seed) };
            let mut sequencer = open(&disk).unwrap();
            let entries = sequencer.edge.size();
            assert!(entries == 3 || (!done && entries == 2), "{done}: {entries}");
            // The entry and the erasure are there both, or neither.
            assert_eq!(has(&disk, "the one who writes"), entries == 2, "{fault:?} {operation}");
            assert!(!disk.contents().contains_key(UNFINISHED));
            if entries == 3 {
                erased += 1
            } else {
                kept += 1
            }
            show(&mut sequencer, &["the one who writes"]);
            sequencer.sign().unwrap();
            drop(sequencer);
            check_holds(&disk);
        }
    }
    assert!(erased > 100 && kept > 20, "{erased} {kept}");
}

#[test]
fn who_is_said_to_be_erased_and_is_named_all_the_same_is_found() {
    // What follows the entry fails, the first time that it can.
    let not_done = (0..).find_map(|operation| {
        let disk = ledger();
        let mut sequencer = open(&disk).unwrap();
        disk.fail_at(operation, Fault::Full);
        let Err(EraseError::Later { .. }) = erase(&mut sequencer, "the one who writes") else {
            return None;
        };
        sequencer.sign().unwrap();
        Some(disk)
    });
    let disk = not_done.unwrap();
    let text = b"the one who writes";
    let files = disk.contents();
    let at = files[DICTIONARY_NAME].windows(text.len()).position(|part| part == text);
    let row = (at.unwrap() - dictionary::ROW_BYTES) as u64;
    let left_over = || {
        let options = VerifyOptions { tail: Tail::MustBeClean, ..VerifyOptions::default() };
        verify_on(Arc::new(disk.clone()), &options, &mut |_| {}).unwrap().left_over
    };
    assert_eq!(left_over(), Some((disk.path(DICTIONARY_NAME), row)));
    let told = python::answers(&files, [&files].into_iter());
    let expected = format!("holds, and not gone is {DICTIONARY_NAME} {row}");
    assert!(told.is_none_or(|told| told == [expected]));
    drop(open(&disk).unwrap());
    check_holds(&disk);
    assert_eq!(left_over(), None);
}

#[test]
fn who_reads_rows_while_one_is_erased_reads_on() {
    let disk = ledger();
    let mut sequencer = open(&disk).unwrap();
    let mut rows = RowsFile::open(&disk, sequencer.segment.id, HEADER_BYTES as u64, 0).unwrap();
    assert_eq!(rows.next(&disk).unwrap().unwrap().text.as_deref(), Some("ana"));
    erase(&mut sequencer, "first customer").unwrap();
    show(&mut sequencer, &["a new one"]);
    let mut texts = Vec::new();
    while let Some(row) = rows.next(&disk).unwrap() {
        texts.extend(row.text.filter(|_| row.kind == Kind::Subject));
    }
    // What was read ahead is what it was.
    let expected = ["first customer", "the one who writes", "last", "a new one"];
    assert_eq!(texts, expected.map(Arc::<str>::from));
    assert!(!rows.has_more().unwrap());
}

#[test]
fn the_index_forgets_who_was_erased_and_goes_on() {
    let bench = Bench::new();
    for subject in ["17", "18", "17"] {
        bench.record(draft("ana", &[(subject, strong())], &[])).unwrap();
    }
    let ask = |about: &crate::About| {
        let question = crate::Question { about: about.clone(), since: None, until: None };
        let mut index = crate::Index::open(&bench.path(), &mut |_, _| {}).unwrap();
        assert_eq!(index.entries(), crate::tests::check_ledger(&bench.path()).len() as u64);
        index.answer(&question).unwrap().len()
    };
    let about = |subject| crate::About::Subject(Subject::new(subject));
    for _ in 0..20 {
        bench.record(draft("ben", &[("19", strong())], &[])).unwrap();
    }
    assert_eq!((ask(&about("17")), ask(&about("18"))), (2, 1));
    let (sender, receiver) = std::sync::mpsc::channel();
    let done = Box::new(move |result| sender.send(result).unwrap());
    let ledger = bench.ledger.as_ref().unwrap();
    ledger.erase(Subject::new("17"), Actor::new("root"), "by letter".into(), done);
    assert_eq!(receiver.recv().unwrap().unwrap(), 23);
    assert_eq!((ask(&about("17")), ask(&about("18"))), (0, 1));
    bench.record(draft("ana", &[("17", strong())], &[])).unwrap();
    assert_eq!((ask(&about("17")), ask(&about("18"))), (1, 1));
    assert_eq!(ask(&crate::About::Actor(Actor::new("ana"))), 4);
    assert_eq!(crate::tests::check_ledger(&bench.path()).last().unwrap().time, Timestamp(0));
}

#[test]
fn an_erasure_that_is_recorded_is_told_of_though_it_is_not_done() {
    let mut bench = Bench::new();
    bench.record(draft("ana", &[("17", strong())], &[])).unwrap();
    // What can't be removed stands where the new dictionary would be written.
    let unfinished = bench.path().join(UNFINISHED);
    std::fs::create_dir(&unfinished).unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    let done = Box::new(move |result| sender.send(result).unwrap());
    let ledger = bench.ledger.as_ref().unwrap();
    ledger.erase(Subject::new("17"), Actor::new("root"), "by letter".into(), done);
    assert!(matches!(receiver.recv().unwrap(), Err(EraseError::Later { .. })));
    assert_eq!(bench.heard.entries().len(), 2);
    std::fs::remove_dir(&unfinished).unwrap();
    bench.close();
    bench.open();
    assert_eq!(crate::tests::check_ledger(&bench.path()).len(), 2);
}
