//! Every operation on the disk fails in every way, in turn. Whatever happens: what a receipt was
//! given for is in the ledger that is found afterwards.

use postern_model::Timestamp;

use super::{HandClock, commit, draft, options, record, strong};
use crate::{
    Body, DamageKind, Entry, Ledger, Note, OpenError, Options, Reader, RecordError, Tail,
    VerifyOptions,
    disk::sim::{Fault, SimDisk},
    recover::{create_on, open_on},
    sequencer::{Sequencer, Work},
    verify::verify_on,
};
use std::sync::Arc;

fn tiny(clock: &Arc<HandClock>) -> Options {
    Options { segment_bytes: 1024, dictionary_step_bytes: 512, ..options(clock.clone()) }
}

fn open(disk: &SimDisk) -> Result<Sequencer, OpenError> {
    let clock = Arc::new(HandClock::default());
    let mut salt = 0u8;
    let salts = Box::new(move || {
        salt = salt.wrapping_add(1);
        [salt; 16]
    });
    open_on(Arc::new(disk.clone()), tiny(&clock), salts)
}

/// What is recorded in one go at that step: texts old and new, one entry or several.
fn batch(step: usize) -> Vec<Work> {
    let subject = format!("customer {}", step / 2);
    let row = [(subject.as_str(), strong()), ("always the same", None)];
    let one = Work::Draft(draft(["ana", "ben"][step % 2], &row, &[]));
    let what = "x".repeat(100 * (step % 4));
    let two = Work::Note(Note::Read { by: postern_model::Actor::new("eve"), what: what.into() });
    match step % 3 {
        0 => vec![one],
        1 => vec![two, one],
        // Longer than a sector, so that a part of it can be lost in the middle.
        _ if step + 1 == STEPS => {
            std::iter::repeat_with(|| Work::Note(Note::Stopped)).take(30).collect()
        }
        _ => vec![one, Work::Note(Note::Stopped), two],
    }
}

/// All that must be so of a ledger that lies still.
fn check_ledger(disk: &SimDisk) -> Vec<Entry> {
    let disk: Arc<dyn crate::disk::Disk> = Arc::new(disk.clone());
    let mut reader = Reader::open_on(disk.clone()).unwrap();
    let entries: Vec<_> = reader.by_ref().map(Result::unwrap).collect();
    let options = VerifyOptions { tail: Tail::MustBeClean, ..VerifyOptions::default() };
    let summary = verify_on(disk, &options, &mut |_| {}).unwrap();
    assert_eq!((summary.entries, summary.root), (entries.len() as u64, reader.root()));
    entries
}

/// What a run of the writer led to.
#[derive(Debug, Default)]
struct Run {
    /// Entries whose receipts were given.
    acknowledged: Vec<Entry>,
    /// How often there was no space.
    full: usize,
    /// It ended early.
    failed: bool,
}

/// Makes a ledger and records until something fails.
fn run(disk: &SimDisk, steps: usize) -> Run {
    let mut run = Run { failed: true, ..Run::default() };
    let clock = Arc::new(HandClock::default());
    if create_on(disk, &tiny(&clock), &[5; 32]).is_err() {
        return run;
    }
    let Ok(mut sequencer) = open(disk) else { return run };
    for step in 0..steps {
        match commit(&mut sequencer, &batch(step)) {
            Ok(recorded) => run.acknowledged.extend(recorded.into_iter().map(|one| one.entry)),
            Err(RecordError::Full { .. }) => run.full += 1,
            Err(_) => return stays_poisoned(sequencer, run),
        }
        let signed = if step % 4 == 3 { sequencer.sign() } else { Ok(()) };
        if matches!(signed, Err(RecordError::Poisoned { .. })) {
            return stays_poisoned(sequencer, run);
        }
    }
    run.failed = sequencer.sign().is_err();
    run
}

fn stays_poisoned(mut sequencer: Sequencer, run: Run) -> Run {
    let before = sequencer.disk.list("segments").unwrap();
    let again = commit(&mut sequencer, &batch(0));
    assert!(matches!(again, Err(RecordError::Poisoned { .. })));
    assert!(matches!(sequencer.sign(), Err(RecordError::Poisoned { .. })));
    assert_eq!(sequencer.disk.list("segments").unwrap(), before);
    run
}

/// Opens what is left, and checks that nothing is missing, nothing invented, and that it goes on.
fn check_recovery(disk: &SimDisk, run: &Run) {
    let mut sequencer = match open(disk) {
        Ok(sequencer) => sequencer,
        // The power went before the ledger was made.
        Err(OpenError::NotThere { .. }) if run.acknowledged.is_empty() => return,
        Err(OpenError::Damaged(damage))
            if run.acknowledged.is_empty()
                && matches!(damage.kind, DamageKind::Missing | DamageKind::Key) =>
        {
            return;
        }
        Err(error) => panic!("{error:?}"),
    };
    let entries = check_ledger(disk);
    assert!(entries.starts_with(&run.acknowledged), "entries of receipts are missing");
    // At most the batch that was being written is there besides.
    assert!(entries.len() <= run.acknowledged.len() + 30);
    let more = commit(&mut sequencer, &batch(1)).unwrap();
    sequencer.sign().unwrap();
    let after = check_ledger(disk);
    assert_eq!(after.len(), entries.len() + more.len());
    assert_eq!(after.last(), more.last().map(|one| &one.entry));
    drop(sequencer);
    open(disk).map(drop).unwrap();
    assert_eq!(check_ledger(disk), after);
}

const STEPS: usize = 9;

fn operations_of_a_whole_run() -> u64 {
    let disk = SimDisk::new(0);
    let run = run(&disk, STEPS);
    assert!(!run.failed);
    assert_eq!(check_ledger(&disk), run.acknowledged);
    assert!(disk.list_segments() > 3, "the run is to need several segments");
    disk.operations()
}

impl SimDisk {
    fn list_segments(&self) -> usize {
        crate::disk::Disk::list(self, "segments").unwrap().len()
    }
}

/// How many times more often than usual each fault is tried; for long runs.
fn patience() -> u64 {
    let patience = std::env::var("POSTERN_PATIENCE");
    patience.map_or(1, |patience| patience.parse().unwrap())
}

fn check_every_operation(fault: Fault, seeds: u64, then: impl Fn(&SimDisk, u64) -> SimDisk) {
    for operation in 0..operations_of_a_whole_run() {
        for seed in 0..seeds * patience() {
            let disk = SimDisk::new(seed);
            disk.fail_at(operation, fault);
            let run = run(&disk, STEPS);
            assert!(run.failed || run.full > 0 || fault == Fault::Full, "{operation}: no fault");
            check_recovery(&then(&disk, seed), &run);
        }
    }
}

#[test]
fn killed_anywhere_nothing_acknowledged_is_lost() {
    check_every_operation(Fault::Killed, 1, |disk, _| disk.restart());
}

#[test]
fn power_lost_anywhere_nothing_acknowledged_is_lost() {
    check_every_operation(Fault::Killed, 8, |disk, seed| disk.lose_power(seed));
}

#[test]
fn an_error_anywhere_poisons_and_loses_nothing() {
    check_every_operation(Fault::Broken, 2, |disk, _| disk.restart());
    check_every_operation(Fault::Broken, 4, |disk, seed| disk.lose_power(seed));
}

#[test]
fn what_a_failed_sync_dropped_is_written_again_when_opening() {
    // The process starts again and finds its data in the cache, clean but not on the disk; then
    // the power goes.
    check_every_operation(Fault::Broken, 4, |disk, seed| {
        let again = disk.restart();
        if open(&again).is_err() {
            return again;
        }
        let found = check_ledger(&again).len();
        let later = again.lose_power(seed);
        let kept = open(&later).map(|sequencer| sequencer.edge.size()).unwrap();
        assert_eq!(kept, found as u64, "what was found in the cache is gone");
        later
    });
}

#[test]
fn zeros_that_only_the_cache_has_are_written_again_when_opening() {
    let disk = SimDisk::new(1);
    let clock = Arc::new(HandClock::default());
    create_on(&disk, &tiny(&clock), &[5; 32]).unwrap();
    commit(&mut open(&disk).unwrap(), &batch(0)).unwrap();
    let segment = crate::frame::segment_name(0);
    disk.change_below_the_cache(&segment, 1000, &[1; 10]);
    disk.change_below_the_cache(crate::frame::DICTIONARY_NAME, 500, &[1; 10]);
    drop(open(&disk).unwrap());
    let entries = check_ledger(&disk);
    assert_eq!(check_ledger(&disk.lose_power(1)), entries);
}

#[test]
fn a_crash_while_recovering_loses_nothing() {
    for operation in 0..operations_of_a_whole_run() {
        for second in 0..5 * patience() {
            let disk = SimDisk::new(second);
            disk.fail_at(operation, Fault::Killed);
            let run = run(&disk, STEPS);
            let disk = disk.lose_power(operation);
            disk.fail_at(second, Fault::Killed);
            drop(open(&disk));
            check_recovery(&disk.lose_power(second), &run);
        }
    }
}

#[test]
fn an_error_while_recovering_loses_nothing() {
    for operation in 0..operations_of_a_whole_run() {
        for second in 0..4 * patience() {
            let disk = SimDisk::new(second);
            disk.fail_at(operation, Fault::Killed);
            let mut run = run(&disk, STEPS);
            // The first opening fails, the second finds what the first left in the cache.
            let disk = disk.lose_power(operation + 1000 * second);
            disk.fail_at(second % 5, Fault::Broken);
            drop(open(&disk));
            let disk = disk.restart();
            let Ok(mut sequencer) = open(&disk) else { continue };
            run.acknowledged = check_ledger(&disk);
            let recorded = commit(&mut sequencer, &batch(0)).unwrap();
            run.acknowledged.extend(recorded.into_iter().map(|one| one.entry));
            drop(sequencer);
            check_recovery(&disk.lose_power(second), &run);
        }
    }
}

#[test]
fn no_space_at_any_operation_loses_nothing() {
    check_every_operation(Fault::Full, 1, |disk, _| disk.restart());
    check_every_operation(Fault::Full, 2, |disk, seed| disk.lose_power(seed));
}

#[test]
fn a_segment_that_was_made_without_space_is_not_written_past() {
    let clock = Arc::new(HandClock::default());
    let large = || batch(STEPS - 1);
    let small = || [Work::Note(Note::Stopped)];
    let mut met = 0;
    for operation in 0..20 {
        let disk = SimDisk::new(operation);
        create_on(&disk, &tiny(&clock), &[5; 32]).unwrap();
        let mut sequencer = open(&disk).unwrap();
        commit(&mut sequencer, &batch(0)).unwrap();
        disk.fail_at(operation, Fault::Full);
        // It needs another segment. What comes next would still fit into the first.
        let refused = commit(&mut sequencer, &large()).is_err();
        let recorded = commit(&mut sequencer, &small());
        drop(sequencer);
        met += usize::from(refused);
        let disk = disk.restart();
        drop(open(&disk).unwrap());
        let last = check_ledger(&disk).last().cloned();
        if let Ok(recorded) = recorded {
            assert_eq!(last.as_ref(), Some(&recorded[0].entry), "operation {operation}");
        }
    }
    assert!(met > 5, "{met}");
}

#[test]
fn a_full_disk_refuses_and_resumes_by_itself() {
    let disk = SimDisk::new(1);
    let clock = Arc::new(HandClock::default());
    create_on(&disk, &tiny(&clock), &[5; 32]).unwrap();
    let mut sequencer = open(&disk).unwrap();
    let mut acknowledged = Vec::new();
    let mut refused = 0;
    disk.limit_capacity(disk.used() + 3000);
    for step in 0..40 {
        if refused == 5 {
            disk.limit_capacity(u64::MAX);
        }
        match commit(&mut sequencer, &batch(step)) {
            Ok(recorded) => acknowledged.extend(recorded.into_iter().map(|one| one.entry)),
            Err(RecordError::Full { .. }) => refused += 1,
            Err(error) => panic!("{error:?}"),
        }
        assert_eq!(check_while_open(&disk), acknowledged, "a refused batch left something");
    }
    assert_eq!(refused, 5);
    sequencer.sign().unwrap();
    assert_eq!(check_ledger(&disk), acknowledged);
}

#[test]
fn room_that_was_found_holds_for_a_while_for_what_needs_no_more() {
    let reserve = 5_000;
    let disk = SimDisk::new(1);
    let hour = std::time::Duration::from_secs(3600);
    let clock = Arc::new(HandClock::default());
    let options = Options { min_free_bytes: reserve, room_holds: hour, ..options(clock) };
    create_on(&disk, &options, &[5; 32]).unwrap();
    let opened = open_on(Arc::new(disk.clone()), options, Box::new(|| [1; 16])).unwrap();
    let ledger = Ledger::start(opened, Arc::new(|_| {})).unwrap();
    let show = |subjects: &[(&str, _)]| record(&ledger, draft("ana", subjects, &[]));
    show(&[("1", strong())]).unwrap();
    disk.limit_capacity(disk.used() + reserve - 1);
    show(&[("2", strong())]).unwrap();
    let many: Vec<String> = (100..1_000).map(|n| n.to_string()).collect();
    let many: Vec<_> = many.iter().map(|subject| (subject.as_str(), strong())).collect();
    assert!(matches!(show(&many), Err(RecordError::Full { .. })));
    // It was looked at, and there was none.
    assert!(matches!(show(&[("3", strong())]), Err(RecordError::Full { .. })));
    disk.limit_capacity(u64::MAX);
    show(&[("3", strong())]).unwrap();
    ledger.close().unwrap();
}

#[test]
fn below_the_reserve_disclosures_are_refused_and_notes_are_not() {
    let reserve = 5_000;
    let disk = SimDisk::new(1);
    let clock = Arc::new(HandClock::default());
    let options = Options { min_free_bytes: reserve, ..options(clock) };
    create_on(&disk, &options, &[5; 32]).unwrap();
    let opened = open_on(Arc::new(disk.clone()), options, Box::new(|| [1; 16])).unwrap();
    let ledger = Ledger::start(opened, Arc::new(|_| {})).unwrap();
    let show = |subject| record(&ledger, draft("ana", &[(subject, strong())], &[]));
    let note = || {
        let (sender, receiver) = std::sync::mpsc::channel();
        ledger.note(Note::Stopped, Box::new(move |done| sender.send(done.is_ok()).unwrap()));
        receiver.recv().unwrap()
    };
    show("1").unwrap();

    disk.limit_capacity(disk.used() + reserve - 1);
    assert!(matches!(show("2"), Err(RecordError::Full { .. })));
    assert!(note());

    // Exactly the reserve is enough for what has room already, not for what needs more.
    disk.limit_capacity(disk.used() + reserve);
    show("3").unwrap();
    let many: Vec<String> = (100..1_000).map(|n| n.to_string()).collect();
    let many: Vec<_> = many.iter().map(|subject| (subject.as_str(), strong())).collect();
    assert!(matches!(record(&ledger, draft("ana", &many, &[])), Err(RecordError::Full { .. })));
    assert!(note());

    disk.limit_capacity(u64::MAX);
    show("2").unwrap();
    ledger.close().unwrap();
    let shown: Vec<_> = check_ledger(&disk)
        .iter()
        .flat_map(Entry::disclosures)
        .flat_map(|disclosure| disclosure.subjects)
        .map(|subject| subject.to_string())
        .collect();
    assert_eq!(shown, ["1", "3", "2"]);
}

/// The same as for a ledger at rest: nothing unfinished may stand in it between two batches.
fn check_while_open(disk: &SimDisk) -> Vec<Entry> {
    check_ledger(disk)
}

#[test]
fn what_a_crash_left_unsigned_is_signed_after_opening() {
    let disk = SimDisk::new(1);
    let clock = Arc::new(HandClock::default());
    create_on(&disk, &tiny(&clock), &[5; 32]).unwrap();
    let mut sequencer = open(&disk).unwrap();
    commit(&mut sequencer, &batch(0)).unwrap();
    drop(sequencer);
    let signed = |disk: &SimDisk| {
        let disk = Arc::new(disk.clone());
        verify_on(disk, &VerifyOptions::default(), &mut |_| {}).unwrap().signed
    };
    assert_eq!(signed(&disk), 0);
    let mut sequencer = open(&disk).unwrap();
    sequencer.options.checkpoint_interval = std::time::Duration::ZERO;
    let ledger = crate::Ledger::start(sequencer, Arc::new(|_| {})).unwrap();
    // The writer's thread does it by itself.
    let start = std::time::Instant::now();
    while signed(&disk) < 1 {
        assert!(start.elapsed() < std::time::Duration::from_secs(20), "nothing was signed");
        std::thread::yield_now();
    }
    ledger.close().unwrap();
}

#[test]
fn budgets_survive_a_restart() {
    use crate::{Counter, Limit};
    let window = std::time::Duration::from_secs(60);
    let limits = [Limit { counter: Counter::ClearSubjects, window, max: 3 }];
    let disk = SimDisk::new(1);
    let clock = Arc::new(HandClock::default());
    create_on(&disk, &tiny(&clock), &[5; 32]).unwrap();
    let mut allowed = Vec::new();
    for subject in ["a", "b", "a", "c", "d", "b"] {
        let mut sequencer = open(&disk).unwrap();
        let work = Work::Draft(draft("ana", &[(subject, strong())], &limits));
        let recorded = commit(&mut sequencer, &[work]).unwrap();
        allowed.push(recorded[0].receipt.as_ref().unwrap().allowed());
    }
    assert_eq!(allowed, [1, 1, 1, 1, 0, 1]);
    let entries = check_ledger(&disk);
    let stopped: Vec<_> = entries.iter().map(|entry| (entry.time, stop_of(entry))).collect();
    assert_eq!(stopped[4], (Timestamp(0), Some((limits[0], 0))));
    assert!(stopped[5].1.is_none());
}

fn stop_of(entry: &Entry) -> Option<(crate::Limit, usize)> {
    match &entry.body {
        Body::Disclosed(disclosed) => Some((disclosed.stopped?, disclosed.groups.len())),
        Body::Noted(_) => None,
    }
}
