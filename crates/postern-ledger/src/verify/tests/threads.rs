//! Threads that go ahead find what one finds, whatever was changed.

use std::time::Duration;

use super::*;
use crate::{Retention, verify::verify_alone};

/// Every how many bytes one is changed, in places that differ from frame to frame.
const STEP: usize = 23;

/// A ledger that is long enough for threads, with two epochs if it has any.
fn long(retention: Option<Retention>) -> Files {
    const DAY: i64 = 86_400_000_000;
    let clock = Arc::new(HandClock::default());
    let options = Options {
        segment_bytes: 3000,
        dictionary_step_bytes: 128,
        retention,
        ..options(clock.clone())
    };
    let disk = SimDisk::new(0);
    create_on(&disk, &options, &[1; 32]).unwrap();
    let open = || open_on(Arc::new(disk.clone()), options.clone(), Box::new(rand::random));
    let mut sequencer = open().unwrap();
    for step in 0..50i64 {
        clock.set(step / 25 * 40 * DAY + step);
        if retention.is_some() {
            sequencer.retain(&Actor::new("root"), &mut Vec::new()).unwrap();
        }
        let subject = format!("customer {step}");
        let rows = [(subject.as_str(), strong()), ("x", reason("weak", Grade::Weak))];
        let note = Note::LoggedOut { actor: Actor::new("ana"), connection: 1 };
        let batch = [Work::Draft(draft("ana", &rows, &[])), Work::Note(note)];
        commit(&mut sequencer, &batch).unwrap();
    }
    sequencer.sign().unwrap();
    disk.contents()
}

/// What both say of a ledger; it is the same.
fn check(files: &Files, what: &str) -> Result<Summary, Damage> {
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::holding(files));
    let options = VerifyOptions { tail: Tail::MustBeClean, ..VerifyOptions::default() };
    let found = verify_on(disk.clone(), &options, &mut |_| {});
    assert_eq!(format!("{found:?}"), format!("{:?}", verify_alone(disk, &options)), "{what}");
    found
}

/// The ledger with another byte at each place of each file that a pass reads, and cut off at some.
fn check_bytes(whole: &Files) {
    let is_read = |name: &str| {
        let starts = ["segments/", "epoch-", DICTIONARY_NAME];
        starts.iter().any(|start| name.starts_with(start))
    };
    for (name, bytes) in whole.iter().filter(|(name, _)| is_read(name)) {
        for at in (0..bytes.len()).step_by(STEP) {
            let mut files = whole.clone();
            files.get_mut(name).unwrap()[at] ^= 1 << (at / STEP % 8);
            check(&files, &format!("{name}, byte {at}")).unwrap_err();
            if at % 5 == 0 {
                files.get_mut(name).unwrap()[at..].fill(0);
                // Zeros may stand there already.
                let _ = check(&files, &format!("{name}, zeros from {at}"));
            }
        }
    }
}

/// The ledger with another byte at each place of each entry, and the checksum mended.
fn check_entries(whole: &Files) {
    for (entry, (name, range)) in frames(whole).into_iter().enumerate() {
        for at in (range.start + FRAME_BYTES..range.end).step_by(STEP) {
            let mut files = whole.clone();
            let bytes = files.get_mut(&name).unwrap();
            bytes[at] ^= 1 << (at / STEP % 8);
            let checksum = crc32c::crc32c(&bytes[range.start + 4..range.end]);
            bytes[range.start..][..4].copy_from_slice(&checksum.to_le_bytes());
            check(&files, &format!("entry {entry}, byte {at}")).unwrap_err();
        }
    }
}

fn check_all(whole: &Files) {
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::holding(whole));
    let key = identity::verifying_key(&*disk).unwrap();
    assert!(Scan::check(disk, LedgerId::new(&key)).unwrap().has_threads());
    check(whole, "nothing").unwrap();
    check_bytes(whole);
    check_entries(whole);
}

#[test]
fn threads_find_what_one_finds() {
    check_all(&long(None));
}

#[test]
fn threads_find_what_one_finds_in_epochs() {
    let (epoch, keep) = (Duration::from_secs(30 * 86_400), Duration::from_secs(60 * 86_400));
    let files = long(Some(Retention { epoch, keep }));
    assert!(files.contains_key(&key_name(2)));
    check_all(&files);
}
