use std::{path::PathBuf, time::Duration};

use super::*;
use crate::{
    Entry, Ledger, Note, Reader, Retained, Retention,
    tests::{Bench, check_ledger, draft, options, strong},
};

fn show(bench: &Bench, subjects: std::ops::Range<u32>) {
    for subject in subjects {
        bench.record(draft("ana", &[(&format!("c{subject}"), strong())], &[])).unwrap();
    }
}

/// A ledger of so many entries and the place for its backup.
fn bench(entries: u32) -> (Bench, PathBuf) {
    let mut bench = Bench::new();
    show(&bench, 0..entries);
    reopen(&mut bench);
    let backup = bench.folder.path().join("backup");
    (bench, backup)
}

/// Closing signs what is there.
fn reopen(bench: &mut Bench) {
    bench.close();
    bench.open();
}

fn back_up(bench: &Bench, to: &Path) -> Result<(u64, u64), BackupError> {
    backup(&bench.path(), to, &mut |_| {}).map(|done| (done.entries, done.added))
}

fn seed(bench: &Bench) -> Option<Zeroizing<[u8; 32]>> {
    Some(Zeroizing::new(fs::read(bench.path().join("key")).unwrap().try_into().unwrap()))
}

fn put_back(
    bench: &Bench,
    from: &Path,
    options: &RestoreOptions,
) -> Result<Restored, RestoreError> {
    restore(from, &bench.folder.path().join("restored"), options, &mut |_| {})
}

#[test]
fn a_backup_is_made_while_the_ledger_is_written_to_and_grows_with_it() {
    let (mut bench, to) = bench(40);
    show(&bench, 40..50);
    assert_eq!(back_up(&bench, &to).unwrap(), (40, 40), "up to the checkpoint");
    assert_eq!(back_up(&bench, &to).unwrap(), (40, 0));
    reopen(&mut bench);
    show(&bench, 50..60);
    assert_eq!(back_up(&bench, &to).unwrap(), (50, 10));
    let entries = bench.check_ledger();
    assert_eq!(check_ledger(&to), entries[..50]);
    assert!(!fs::exists(to.join("key")).unwrap());

    let options = RestoreOptions { seed: seed(&bench), ..RestoreOptions::default() };
    let restored = put_back(&bench, &to, &options).unwrap();
    assert_eq!((restored.entries, restored.lost), (50, None));
    assert_eq!(restored.last, entries.get(49).map(|entry| entry.time));
    // It goes on from there.
    let folder = bench.folder.path().join("restored");
    let opened = Ledger::open(&folder, self::options(bench.clock.clone()), Arc::new(|_| {}));
    let opened = opened.unwrap();
    crate::tests::record(&opened, draft("ben", &[("c1", strong())], &[])).unwrap();
    opened.close().unwrap();
    let after: Vec<Entry> = check_ledger(&folder);
    assert_eq!((after.len(), &after[..50]), (51, &entries[..50]));
    // Nothing is overwritten.
    let again = put_back(&bench, &to, &options);
    assert!(matches!(again, Err(RestoreError::Exists { .. })));
    // The one that went on from there is another history for the backup that has more.
    reopen(&mut bench);
    assert_eq!(back_up(&bench, &to).unwrap(), (60, 10));
    let ahead = backup(&folder, &to, &mut |_| {});
    assert!(matches!(ahead, Err(BackupError::Ahead { there: 60, here: 51 })), "{ahead:?}");
    let opened = Ledger::open(&folder, self::options(bench.clock.clone()), Arc::new(|_| {}));
    let opened = opened.unwrap();
    for _ in 0..20 {
        crate::tests::record(&opened, draft("ben", &[("c1", strong())], &[])).unwrap();
    }
    opened.close().unwrap();
    assert!(matches!(backup(&folder, &to, &mut |_| {}), Err(BackupError::Fork)));
    assert_eq!(check_ledger(&to).len(), 60);
}

#[test]
fn who_is_erased_is_gone_from_the_backup_once_it_is_brought_up_to_date() {
    let (mut bench, to) = bench(3);
    back_up(&bench, &to).unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    let done = Box::new(move |done: Result<u64, _>| sender.send(done.unwrap()).unwrap());
    let (subject, by) = (postern_model::Subject::new("c1"), postern_model::Actor::new("root"));
    bench.ledger.as_ref().unwrap().erase(subject, by, "by letter".into(), done);
    receiver.recv().unwrap();
    bench.note(Note::Stopped).unwrap();
    reopen(&mut bench);
    let has = || fs::read(to.join("dictionary.log")).unwrap().windows(2).any(|part| part == b"c1");
    assert!(has());
    assert_eq!(back_up(&bench, &to).unwrap(), (5, 2));
    assert!(!has());
    assert_eq!(Reader::open(&to).unwrap().count(), 5);
}

#[test]
fn a_backup_is_begun_of_a_ledger_that_has_forgotten_its_first_epochs() {
    let keep = Duration::from_secs(40 * 86_400);
    let mut bench = Bench::with_retention(Retention { epoch: keep / 2, keep });
    let mut forgot = 0;
    for subject in 0..6 {
        show(&bench, subject..subject + 1);
        bench.clock.set(bench.later_by(30 * 86_400_000_000));
        let (sender, receiver) = std::sync::mpsc::channel();
        let done = Box::new(move |done: Result<Retained, _>| sender.send(done.unwrap()).unwrap());
        bench.ledger.as_ref().unwrap().retain(Actor::new("root"), done);
        forgot += usize::from(receiver.recv().unwrap().forgot);
    }
    assert!(forgot > 1);
    reopen(&mut bench);
    let to = bench.folder.path().join("backup");
    let entries = check_ledger(&bench.path());
    assert_eq!(back_up(&bench, &to).unwrap().0, entries.len() as u64);
    assert_eq!(check_ledger(&to), entries);
    let options = RestoreOptions { seed: seed(&bench), ..RestoreOptions::default() };
    let restored = put_back(&bench, &to, &options).unwrap();
    assert_eq!((restored.entries, restored.lost), (entries.len() as u64, None));
}

#[test]
fn a_backup_that_does_not_hold_or_lacks_something_is_not_restored() {
    let (mut bench, to) = bench(10);
    back_up(&bench, &to).unwrap();
    show(&bench, 10..14);
    reopen(&mut bench);
    let newest = fs::read_to_string(bench.path().join("checkpoint")).unwrap();
    let mut options = RestoreOptions { against: Some(newest), ..RestoreOptions::default() };
    let loss = put_back(&bench, &to, &options).unwrap_err();
    assert!(matches!(loss, RestoreError::Loss { there: 10, newest: 14 }));
    assert_eq!(loss.to_string(), "the backup has 10 of 14 entries: 4 are lost with it");
    options.seed = Some(Zeroizing::new([1; 32]));
    assert!(matches!(put_back(&bench, &to, &options), Err(RestoreError::Key)));

    // Any byte of what is used.
    options = RestoreOptions::default();
    for (name, at) in
        [("segments/0000000000.seg", 200), ("dictionary.log", 150), ("checkpoint", 30)]
    {
        let path = to.join(name);
        let good = fs::read(&path).unwrap();
        let mut bad = good.clone();
        bad[at] ^= 4;
        fs::write(&path, bad).unwrap();
        let result = put_back(&bench, &to, &options);
        assert!(matches!(result, Err(RestoreError::Damaged(_))), "{name}: {result:?}");
        assert!(back_up(&bench, &to).is_err(), "{name}");
        fs::write(&path, good).unwrap();
    }
    assert!(!fs::exists(bench.folder.path().join("restored")).unwrap());
    options.against = Some(fs::read_to_string(bench.path().join("checkpoint")).unwrap());
    let (by, clock) = (Actor::new("root"), bench.clock.clone());
    options.with_loss = Some(KnownLoss { by, why: "the disk broke".into(), clock });
    // It takes the key to say what is lost.
    let refused = put_back(&bench, &to, &options).unwrap_err();
    assert!(matches!(refused, RestoreError::Unsigned), "{refused:?}");
    options.seed = seed(&bench);
    let restored = put_back(&bench, &to, &options).unwrap();
    assert_eq!((restored.entries, restored.lost), (10, Some(4)));
    let folder = bench.folder.path().join("restored");
    let entries = check_ledger(&folder);
    assert_eq!(entries.len(), 11);
    let crate::Body::Noted(Note::Lost { entries: 10, seen: 14, root, .. }) = &entries[10].body
    else {
        panic!("{:?}", entries[10])
    };
    let key = public_key(&bench);
    let newest = options.against.as_deref().unwrap().as_bytes();
    assert_eq!(*root, Checkpoint::verify(newest, &key).unwrap().root.0);
    Ledger::open(&folder, self::options(bench.clock.clone()), Arc::new(|_| {})).unwrap();

    // Where nothing is lost nothing is said; without the key it can be read, and nothing else.
    fs::remove_dir_all(&folder).unwrap();
    options.against = Some(fs::read_to_string(to.join("checkpoint")).unwrap());
    options.seed = None;
    put_back(&bench, &to, &options).unwrap();
    assert_eq!(check_ledger(&folder).len(), 10);
    let opened = Ledger::open(&folder, self::options(bench.clock.clone()), Arc::new(|_| {}));
    assert!(opened.is_err());
}

fn public_key(bench: &Bench) -> VerifyingKey {
    crate::public_key(&bench.path()).unwrap()
}
