use std::time::Duration;

use postern_model::Subject;

use super::*;
use crate::{
    Damage, DamageKind, Entry, Options, Reader, Tail, VerifyOptions,
    disk::sim::{Fault, SimDisk},
    epoch::key_name,
    recover::{create_on, open_on},
    tests::{Bench, HandClock, commit, draft, options, python, strong},
    verify::verify_on,
};

const DAY: i64 = 86_400_000_000;

fn days(count: u64) -> Duration {
    Duration::from_secs(86_400 * count)
}

/// A ledger on a simulated disk, and its clock.
struct Kept {
    disk: SimDisk,
    clock: Arc<HandClock>,
}

impl Kept {
    fn new() -> Self {
        let kept = Self { disk: SimDisk::new(0), clock: Arc::new(HandClock::default()) };
        create_on(&kept.disk, &kept.options(), &[1; 32]).unwrap();
        kept
    }

    fn options(&self) -> Options {
        Options {
            segment_bytes: 2048,
            dictionary_step_bytes: 256,
            retention: Some(Retention { epoch: days(30), keep: days(60) }),
            ..options(self.clock.clone())
        }
    }

    fn open(&self) -> Sequencer {
        open_on(Arc::new(self.disk.clone()), self.options(), Box::new(rand::random)).unwrap()
    }

    fn on_day(&self, day: i64) {
        self.clock.set(day * DAY);
    }

    fn subjects(&self) -> Vec<String> {
        let reader = Reader::open_on(Arc::new(self.disk.clone())).unwrap();
        let entries: Vec<Entry> = reader.map(Result::unwrap).collect();
        let disclosures = entries.iter().flat_map(Entry::disclosures);
        let subjects = disclosures.flat_map(|disclosure| disclosure.subjects);
        subjects.map(|subject| subject.to_string()).collect()
    }

    /// Whether any file has that text.
    fn has(&self, text: &str) -> bool {
        let has = |bytes: &Vec<u8>| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        self.disk.contents().values().any(has)
    }

    /// Both verifiers find it whole.
    fn check(&self) {
        verify_clean(&self.disk).unwrap();
        let files = self.disk.contents();
        let answers = python::answers(&files, [&files].into_iter());
        assert!(answers.is_none_or(|said| said == ["holds"]));
    }
}

fn verify_clean(disk: &SimDisk) -> Result<(), Damage> {
    let options = VerifyOptions { tail: Tail::MustBeClean, ..VerifyOptions::default() };
    verify_on(Arc::new(disk.clone()), &options, &mut |_| {}).map(drop)
}

fn retain(sequencer: &mut Sequencer) -> Retained {
    sequencer.retain(&Actor::new("root"), &mut Vec::new()).unwrap()
}

fn show(sequencer: &mut Sequencer, subjects: &[&str]) {
    let rows: Vec<_> = subjects.iter().map(|subject| (*subject, strong())).collect();
    let note = Note::Suspended {
        actor: Actor::new("ana"),
        by: Actor::new("root"),
        why: format!("saw {}", subjects.join(" and ")).into(),
    };
    commit(sequencer, &[Work::Draft(draft("ana", &rows, &[])), Work::Note(note)]).unwrap();
    sequencer.sign().unwrap();
}

#[test]
fn what_is_past_retention_names_nobody_and_every_proof_holds() {
    let kept = Kept::new();
    let mut sequencer = kept.open();
    assert_eq!(retain(&mut sequencer).epoch, 1);
    show(&mut sequencer, &["first customer", "the other"]);
    // In an epoch no customer's name stands in clear.
    assert!(!kept.has("first customer"));
    let before = verify_on(Arc::new(kept.disk.clone()), &VerifyOptions::default(), &mut |_| {});
    let before = before.unwrap();
    kept.on_day(31);
    assert_eq!(retain(&mut sequencer), Retained { epoch: 2, forgot: false, past_retention: None });
    show(&mut sequencer, &["the other"]);
    let all = ["first customer", "the other", "the other"];
    assert_eq!(kept.subjects(), all);
    kept.check();

    // The first epoch ended on day 31: nothing of it is kept from day 91 on.
    kept.on_day(90);
    assert!(!retain(&mut sequencer).forgot);
    assert_eq!(kept.subjects(), all);
    kept.on_day(91);
    let until = Some(Timestamp(31 * DAY));
    let retained = retain(&mut sequencer);
    assert_eq!((retained.forgot, retained.past_retention), (true, until));
    assert_eq!(kept.subjects(), ["erased 0", "erased 1", "the other"]);
    assert!(!kept.disk.contents().contains_key(&key_name(1)));
    assert!(kept.disk.contents().contains_key(&key_name(2)));
    sequencer.sign().unwrap();
    kept.check();
    // The checkpoint of then is continued.
    drop(sequencer);
    let key = crate::identity::verifying_key(&kept.disk).unwrap();
    let (disk, id) = (Arc::new(kept.disk.clone()), crate::frame::LedgerId::new(&key));
    let mut scan = crate::scan::Scan::open(disk, id, Default::default()).unwrap();
    while scan.edge().size() < before.entries {
        scan.next().unwrap().unwrap();
    }
    assert_eq!(scan.edge().root(), before.root);

    // Nothing more is due, and it goes on after an opening.
    let mut sequencer = kept.open();
    assert!(!retain(&mut sequencer).forgot);
    show(&mut sequencer, &["first customer"]);
    assert_eq!(kept.subjects().last().unwrap(), "first customer");
    kept.check();
}

#[test]
fn what_was_recorded_before_the_first_epoch_is_forgotten_too() {
    let kept = Kept::new();
    let plain = Options { retention: None, ..kept.options() };
    let disk = Arc::new(kept.disk.clone());
    let mut sequencer = open_on(disk, plain, Box::new(rand::random)).unwrap();
    assert_eq!(retain(&mut sequencer).epoch, 0);
    show(&mut sequencer, &["first customer"]);
    drop(sequencer);
    kept.on_day(10);
    let mut sequencer = kept.open();
    retain(&mut sequencer);
    show(&mut sequencer, &["first customer"]);
    kept.on_day(69);
    assert!(!retain(&mut sequencer).forgot);
    kept.on_day(70);
    let retained = retain(&mut sequencer);
    assert_eq!(retained.past_retention, Some(Timestamp(10 * DAY)));
    assert_eq!(kept.subjects(), ["erased 0", "first customer"]);
    sequencer.sign().unwrap();
    kept.check();
}

#[test]
fn an_old_copy_of_the_dictionary_is_unreadable_without_the_key() {
    let kept = Kept::new();
    let mut sequencer = kept.open();
    retain(&mut sequencer);
    show(&mut sequencer, &["first customer"]);
    let old = kept.disk.contents();
    kept.on_day(31);
    retain(&mut sequencer);
    kept.on_day(100);
    assert!(retain(&mut sequencer).forgot);
    sequencer.sign().unwrap();
    let mut files = kept.disk.contents();
    files.insert("dictionary.log".to_owned(), old["dictionary.log"].clone());
    let damage = verify_clean(&SimDisk::holding(&files)).unwrap_err();
    assert!(matches!(damage.kind, DamageKind::Missing), "{damage:?}");
    assert!(damage.file.ends_with(key_name(1)), "{damage:?}");
    // With another key it is told from what is missing.
    files.insert(key_name(1), vec![7; 32]);
    let damage = verify_clean(&SimDisk::holding(&files)).unwrap_err();
    assert!(matches!(damage.kind, DamageKind::Key), "{damage:?}");
    let answers = python::answers(&files, [&files].into_iter());
    assert!(answers.is_none_or(|said| said == [format!("Key {} 0 1", key_name(1))]));
}

#[test]
fn budgets_count_a_customer_once_though_a_new_epoch_gives_it_another_number() {
    let kept = Kept::new();
    let mut sequencer = kept.open();
    retain(&mut sequencer);
    let limit = crate::Limit { counter: crate::Counter::ClearSubjects, window: days(20), max: 2 };
    let allowed = |sequencer: &mut Sequencer, subject: &str| {
        let draft = draft("ana", &[(subject, strong())], &[limit]);
        let recorded = commit(sequencer, &[Work::Draft(draft)]).unwrap();
        recorded[0].receipt.as_ref().unwrap().allowed()
    };
    kept.on_day(25);
    assert_eq!([allowed(&mut sequencer, "1"), allowed(&mut sequencer, "2")], [1, 1]);
    kept.on_day(31);
    assert_eq!(retain(&mut sequencer).epoch, 2);
    // Known ones, in the new epoch; a third has no room, before an opening and after it.
    for _ in 0..2 {
        assert_eq!([allowed(&mut sequencer, "1"), allowed(&mut sequencer, "3")], [1, 0]);
        drop(sequencer);
        sequencer = kept.open();
    }
    assert_eq!([allowed(&mut sequencer, "2"), allowed(&mut sequencer, "3")], [1, 0]);
    sequencer.sign().unwrap();
    kept.check();
}

#[test]
fn a_clock_that_was_ahead_and_is_right_again_has_nothing_forgotten() {
    let kept = Kept::new();
    let mut sequencer = kept.open();
    for day in [0, 31] {
        kept.on_day(day);
        retain(&mut sequencer);
        show(&mut sequencer, &["1"]);
    }
    kept.on_day(500);
    show(&mut sequencer, &["2"]);
    kept.on_day(32);
    for _ in 0..2 {
        assert!(!retain(&mut sequencer).forgot);
        sequencer.sign().unwrap();
        drop(sequencer);
        sequencer = kept.open();
    }
    assert_eq!(kept.subjects(), ["1", "1", "2"]);
    kept.on_day(91);
    assert!(retain(&mut sequencer).forgot);
}

#[test]
fn who_is_past_retention_and_is_named_all_the_same_is_found() {
    let kept = Kept::new();
    let mut whole = kept.open();
    whole.options.retention = None;
    show(&mut whole, &["from before"]);
    drop(whole);
    let mut sequencer = kept.open();
    retain(&mut sequencer);
    drop(sequencer);
    kept.on_day(61);
    // What follows the entry fails, the first time that it can.
    let not_done = (0..).find_map(|operation| {
        let disk = SimDisk::holding(&kept.disk.contents());
        let one = Kept { disk, clock: kept.clock.clone() };
        let mut sequencer = one.open();
        one.disk.fail_at(operation, Fault::Full);
        let retained = sequencer.retain(&Actor::new("root"), &mut Vec::new());
        let Err(RetainError::Forget(EraseError::Later { .. })) = retained else { return None };
        sequencer.sign().unwrap();
        Some(one)
    });
    let one = not_done.unwrap();
    let left_over = || {
        let disk = Arc::new(one.disk.clone());
        verify_on(disk, &VerifyOptions::default(), &mut |_| {}).unwrap().left_over
    };
    let (file, row) = left_over().unwrap();
    assert!(file.ends_with("dictionary.log"), "{}", file.display());
    let files = one.disk.contents();
    let told = python::answers(&files, [&files].into_iter());
    let expected = format!("holds, and not gone is dictionary.log {row}");
    assert!(told.is_none_or(|told| told == [expected]));
    drop(one.open());
    one.check();
    assert_eq!(left_over(), None);
}

#[test]
fn who_is_erased_is_erased_from_every_epoch() {
    let kept = Kept::new();
    let mut sequencer = kept.open();
    for day in [0, 31] {
        kept.on_day(day);
        retain(&mut sequencer);
        show(&mut sequencer, &["1", "2"]);
    }
    let (subject, by) = (Subject::new("1"), Actor::new("root"));
    let mut recorded = Vec::new();
    sequencer.erase(&subject, (&by, &"by letter".into()), &mut recorded).unwrap();
    assert_eq!(recorded.len(), 2);
    assert_eq!(kept.subjects(), ["erased 0", "2", "erased 2", "2"]);
    sequencer.sign().unwrap();
    kept.check();
    let gone = sequencer.erase(&subject, (&by, &"by letter".into()), &mut recorded).unwrap_err();
    assert!(matches!(gone, EraseError::NotThere { .. }));
}

#[test]
fn a_ledger_whose_epoch_has_no_key_is_not_opened() {
    let kept = Kept::new();
    let mut sequencer = kept.open();
    retain(&mut sequencer);
    show(&mut sequencer, &["1"]);
    drop(sequencer);
    let whole = kept.disk.contents();
    let mut without = whole.clone();
    without.remove(&key_name(1));
    let mut changed = whole.clone();
    changed.get_mut(&key_name(1)).unwrap()[3] ^= 1;
    for (files, expected) in [(&without, "Missing"), (&changed, "Key")] {
        let disk = Arc::new(SimDisk::holding(files));
        let opened = open_on(disk, kept.options(), Box::new(rand::random)).err().unwrap();
        let crate::OpenError::Damaged(damage) = opened else { panic!("{opened:?}") };
        assert_eq!(format!("{:?}", damage.kind), expected);
        let answers = python::answers(&whole, [files].into_iter());
        let said = format!("{expected} {} 0 1", key_name(1));
        assert!(answers.is_none_or(|answers| answers == [said]));
    }
}

#[test]
fn an_epoch_that_may_have_begun_keeps_its_key() {
    let mut begun = 0;
    for fault in [Fault::Broken, Fault::Full] {
        for (operation, seed) in (0..20).flat_map(|at| (0..4).map(move |seed| (at, seed))) {
            let mut kept = Kept::new();
            let mut sequencer = kept.open();
            retain(&mut sequencer);
            show(&mut sequencer, &["1"]);
            kept.on_day(31);
            kept.disk.fail_at(operation, fault);
            // A gateway tries again once a minute, whatever went wrong.
            for _ in 0..2 {
                let _ = sequencer.retain(&Actor::new("root"), &mut Vec::new());
            }
            drop(sequencer);
            kept.disk = if seed < 2 { kept.disk.restart() } else { kept.disk.lose_power(seed) };
            let mut sequencer = kept.open();
            begun += usize::from(kept.disk.contents().contains_key(&key_name(2)));
            retain(&mut sequencer);
            show(&mut sequencer, &["2"]);
            drop(sequencer);
            verify_clean(&kept.disk).unwrap();
            assert_eq!(kept.subjects(), ["1", "2"], "{fault:?} {operation} {seed}");
        }
    }
    assert!(begun > 20, "{begun}");
}

#[test]
fn whatever_ends_forgetting_half_way_the_next_opening_ends_it_well() {
    let (mut gone, mut there) = (0, 0);
    for fault in [Fault::Killed, Fault::Broken, Fault::Full] {
        for (operation, seed) in (0..40).flat_map(|at| (0..4).map(move |seed| (at, seed))) {
            let mut kept = Kept::new();
            let mut sequencer = kept.open();
            retain(&mut sequencer);
            show(&mut sequencer, &["the one who writes"]);
            kept.on_day(31);
            retain(&mut sequencer);
            show(&mut sequencer, &["2"]);
            kept.on_day(95);
            kept.disk.fail_at(operation, fault);
            let done = sequencer.retain(&Actor::new("root"), &mut Vec::new()).is_ok();
            drop(sequencer);
            kept.disk = if seed < 2 { kept.disk.restart() } else { kept.disk.lose_power(seed) };
            let mut sequencer = kept.open();
            let is_gone = kept.subjects()[0] == "erased 0";
            assert!(is_gone || !done, "{fault:?} {operation}");
            // The key is there as long as the names are, and no longer.
            let has_key = kept.disk.contents().contains_key(&key_name(1));
            assert_eq!(has_key, !is_gone, "{fault:?} {operation} {seed}");
            if is_gone {
                gone += 1
            } else {
                there += 1
            }
            let retained = retain(&mut sequencer);
            assert!(retained.past_retention.is_some());
            show(&mut sequencer, &["the one who writes"]);
            drop(sequencer);
            kept.check_here();
        }
    }
    assert!(gone > 100 && there > 20, "{gone} {there}");
}

impl Kept {
    fn check_here(&self) {
        verify_clean(&self.disk).unwrap();
        assert_eq!(self.subjects()[0], "erased 0");
    }
}

#[test]
fn the_index_forgets_and_says_up_to_when() {
    let mut bench = Bench::with_retention(Retention { epoch: days(30), keep: days(60) });
    let retain = |bench: &Bench| {
        let (sender, receiver) = std::sync::mpsc::channel();
        let done = Box::new(move |result| sender.send(result).unwrap());
        bench.ledger.as_ref().unwrap().retain(Actor::new("root"), done);
        receiver.recv().unwrap().unwrap()
    };
    let ask = |bench: &Bench, about: crate::About| {
        let question = crate::Question { about, since: None, until: None };
        let mut index = crate::Index::open(&bench.path(), &mut |_, _| {}).unwrap();
        let seen = index.answer(&question).unwrap();
        let from_log = crate::answer_from_log(&bench.path(), &question).unwrap();
        assert_eq!(from_log, (seen.clone(), index.past_retention()));
        (seen.len(), index.past_retention())
    };
    let about = |subject| crate::About::Subject(Subject::new(subject));
    for day in [0, 31] {
        bench.clock.set(day * DAY);
        retain(&bench);
        for subject in ["17", "18", "17"] {
            bench.record(draft("ana", &[(subject, strong())], &[])).unwrap();
        }
        for _ in 0..20 {
            bench.record(draft("ben", &[("19", strong())], &[])).unwrap();
        }
        bench.check_ledger();
    }
    assert_eq!(ask(&bench, about("17")), (4, None));
    bench.clock.set(91 * DAY);
    assert!(retain(&bench).forgot);
    let until = Some(Timestamp(31 * DAY));
    assert_eq!(ask(&bench, about("17")), (2, until));
    assert_eq!(ask(&bench, crate::About::Actor(Actor::new("ana"))), (6, until));
    bench.close();
    bench.open();
    assert_eq!(ask(&bench, about("18")), (1, until));
}

#[test]
fn budgets_may_not_look_back_further_than_retention() {
    let kept = Kept::new();
    let retention = Some(Retention { epoch: days(1), keep: days(1) });
    let disk = Arc::new(kept.disk.clone());
    let options = Options { retention, ..kept.options() };
    let mut sequencer = open_on(disk, options, Box::new(rand::random)).unwrap();
    let refused = sequencer.retain(&Actor::new("root"), &mut Vec::new()).unwrap_err();
    assert!(matches!(refused, RetainError::Short), "{refused:?}");
}

#[test]
fn every_bit_of_an_epoch_that_is_changed_is_named_by_both_verifiers() {
    let kept = Kept::new();
    let mut sequencer = kept.open();
    for day in [0, 31, 91] {
        kept.on_day(day);
        retain(&mut sequencer);
        show(&mut sequencer, &["1"]);
    }
    drop(sequencer);
    let mut whole = kept.disk.contents();
    whole.remove("lock");
    assert!(whole.contains_key(&key_name(3)) && !whole.contains_key(&key_name(1)));
    let mut versions = Vec::new();
    let is_sealed = |name: &str| name.starts_with("epoch-") || name.starts_with("dictionary");
    for (name, bytes) in whole.iter().filter(|(name, _)| is_sealed(name)) {
        // Zeros behind the end of the dictionary are looked at in another test.
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        for bit in 0..8 * end {
            let mut files = whole.clone();
            files.get_mut(name).unwrap()[bit / 8] ^= 1 << (bit % 8);
            versions.push(files);
        }
    }
    let old_key = (key_name(1), vec![0; 32]);
    versions.push(whole.clone().into_iter().chain([old_key]).collect());
    let answers = python::answers(&whole, versions.iter());
    for (place, files) in versions.iter().enumerate() {
        let damage = verify_clean(&SimDisk::holding(files)).unwrap_err();
        let kind = format!("{:?}", damage.kind);
        let kind = kind.split([' ', '(']).next().unwrap();
        let entry = damage.entry.map_or("-".to_owned(), |entry| entry.to_string());
        let said = format!("{kind} {} {} {entry}", damage.file.display(), damage.offset);
        if let Some(answers) = &answers {
            assert_eq!(answers[place], said);
        }
    }
}
