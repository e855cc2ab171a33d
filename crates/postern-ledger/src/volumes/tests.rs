use std::{fs, sync::Arc, time::UNIX_EPOCH};

use postern_model::Actor;
use tempfile::TempDir;

use super::*;
use crate::{
    Basis, Entry, Ledger, Note, Options, Reader, Tail, VerifyOptions, prove, publish,
    recover::open_on,
    sequencer::Work,
    tests::{HandClock, commit, options},
    verify,
};

/// A ledger of several segments, and a folder for some of them.
struct Volumes {
    folder: TempDir,
}

impl Volumes {
    fn new() -> Self {
        let volumes = Self { folder: tempfile::tempdir().unwrap() };
        Ledger::create(&volumes.ledger(), &volumes.options()).unwrap();
        fs::create_dir(volumes.other()).unwrap();
        volumes.grow(40);
        volumes
    }

    fn options(&self) -> Options {
        Options { segment_bytes: 500, ..options(Arc::new(HandClock::default())) }
    }

    fn ledger(&self) -> PathBuf {
        self.folder.path().join("ledger")
    }

    fn other(&self) -> PathBuf {
        self.folder.path().join("other")
    }

    fn segment(&self, ordinal: u64) -> PathBuf {
        self.ledger().join(segment_name(ordinal))
    }

    fn grow(&self, entries: u64) {
        let ledger = Ledger::open(&self.ledger(), self.options(), Arc::new(|_| {})).unwrap();
        for connection in 0..entries {
            let (sent, done) = std::sync::mpsc::channel();
            let note = Note::LoggedOut { actor: Actor::new("ana"), connection };
            ledger.note(note, Box::new(move |told| sent.send(told.is_ok()).unwrap()));
            assert!(done.recv().unwrap());
        }
        ledger.close().unwrap();
    }

    fn check(&self, entries: u64) {
        let options = VerifyOptions { tail: Tail::MustBeClean, ..VerifyOptions::default() };
        let summary = verify(&self.ledger(), &options, &mut |_| {}).unwrap();
        assert_eq!((summary.entries, summary.signed), (entries, entries));
        let read = Reader::open(&self.ledger()).unwrap();
        let read: Vec<Entry> = read.map(Result::unwrap).collect();
        assert_eq!(read.len() as u64, entries);
    }

    fn are_links(&self) -> Vec<bool> {
        let is_link = |ordinal| {
            let found = self.segment(ordinal).symlink_metadata().ok()?;
            Some(found.is_symlink())
        };
        (0..).map_while(is_link).collect()
    }
}

#[test]
fn what_is_never_written_again_is_moved_and_all_holds() {
    let volumes = Volumes::new();
    let all = volumes.are_links().len();
    assert!(all > 4);
    let moved = move_segments(&volumes.ledger(), &volumes.other(), 2).unwrap();
    assert_eq!((moved.segments, moved.bytes), (all as u64 - 3, 500 * (all as u64 - 3)));
    let links = volumes.are_links();
    assert_eq!(links.iter().filter(|link| **link).count(), all - 3);
    assert!(links.is_sorted_by(|one, other| one >= other), "the oldest first: {links:?}");
    volumes.check(40);
    // Recording goes on, and what was moved stays.
    volumes.grow(30);
    volumes.check(70);
    assert!(move_segments(&volumes.ledger(), &volumes.other(), 0).unwrap().segments > 2);
    let more = volumes.folder.path().join("third");
    fs::create_dir(&more).unwrap();
    volumes.grow(20);
    assert!(move_segments(&volumes.ledger(), &more, 0).unwrap().segments > 0);
    assert_eq!(move_segments(&volumes.ledger(), &more, 0).unwrap(), Moved::default());
    // The last one takes entries.
    assert_eq!(volumes.are_links().last(), Some(&false));
    volumes.check(90);
    let tiles = volumes.folder.path().join("tiles");
    publish(&volumes.ledger(), &tiles, Basis::Newest, &mut |_, _| {}).map(drop).unwrap();
    prove(&volumes.ledger(), 3, Basis::Newest, &mut |_, _| {}).map(drop).unwrap();
}

#[test]
fn what_was_moved_is_not_written_though_the_checkpoint_ends_there() {
    let volumes = Volumes::new();
    let disk: Arc<dyn Disk> = Arc::new(Folder::new(&volumes.ledger()));
    let mut sequencer = open_on(disk, volumes.options(), Box::new(|| [9; 16])).unwrap();
    let last = sequencer.segment.ordinal;
    while sequencer.segment.ordinal == last {
        sequencer.sign().unwrap();
        let note = Note::LoggedOut { actor: Actor::new("ana"), connection: 1 };
        commit(&mut sequencer, &[Work::Note(note)]).unwrap();
    }
    drop(sequencer);
    move_segments(&volumes.ledger(), &volumes.other(), 0).unwrap();
    // It might be where nothing can be written.
    let moved = fs::File::open(volumes.other().join(file_name(last))).unwrap();
    moved.set_modified(UNIX_EPOCH).unwrap();
    volumes.grow(1);
    assert_eq!(moved.metadata().unwrap().modified().unwrap(), UNIX_EPOCH);
}

#[test]
fn what_a_crash_leaves_is_gone_over_again() {
    let volumes = Volumes::new();
    let ledger = volumes.ledger();
    // One was copied and has no link; one was being copied; of one the link has no name yet.
    fs::copy(volumes.segment(0), volumes.other().join(file_name(0))).unwrap();
    fs::write(volumes.other().join(file_name(1) + ".tmp"), "cut").unwrap();
    let unfinished = ledger.join(segment_name(2) + ".tmp");
    symlink("/nowhere", unfinished).unwrap();
    volumes.check(40);
    assert!(move_segments(&ledger, &volumes.other(), 0).unwrap().segments > 3);
    volumes.check(40);
    let rest = fs::read_dir(volumes.other()).unwrap().map(|file| file.unwrap().file_name());
    assert!(rest.into_iter().all(|name| !name.to_string_lossy().ends_with(".tmp")));
    // Opening takes away what is left of a link.
    let unfinished = ledger.join("segments/0000000099.seg.tmp");
    symlink("/nowhere", &unfinished).unwrap();
    volumes.grow(1);
    assert!(unfinished.symlink_metadata().is_err());
    volumes.check(41);
}

#[test]
fn another_file_is_not_touched_and_a_folder_is_not_made() {
    let volumes = Volumes::new();
    let missing = volumes.folder.path().join("missing");
    let refused = move_segments(&volumes.ledger(), &missing, 0).unwrap_err();
    assert!(matches!(refused, MoveError::Folder { .. }), "{refused:?}");
    assert!(!missing.exists());
    let there = volumes.other().join(file_name(1));
    let mut bytes = fs::read(volumes.segment(1)).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&there, &bytes).unwrap();
    let refused = move_segments(&volumes.ledger(), &volumes.other(), 0).unwrap_err();
    assert!(matches!(&refused, MoveError::Occupied { file } if *file == there), "{refused:?}");
    assert_eq!(fs::read(&there).unwrap(), bytes);
    assert!(volumes.are_links().starts_with(&[true, false]));
    volumes.check(40);
    let _lock = Folder::new(&volumes.other()).lock().unwrap();
    let refused = move_segments(&volumes.ledger(), &volumes.other(), 0).unwrap_err();
    assert!(matches!(refused, MoveError::Busy { .. }), "{refused:?}");
}

#[test]
fn a_volume_that_is_not_there_is_told_from_damage() {
    let volumes = Volumes::new();
    move_segments(&volumes.ledger(), &volumes.other(), 0).unwrap();
    let away = volumes.folder.path().join("away");
    fs::rename(volumes.other(), &away).unwrap();
    let told = verify(&volumes.ledger(), &VerifyOptions::default(), &mut |_| {}).unwrap_err();
    let DamageKind::Unreadable(why) = &told.kind else { panic!("{told:?}") };
    assert!(why.to_string().ends_with("which is not there: is that volume mounted?"), "{why}");
    assert!(Ledger::open(&volumes.ledger(), volumes.options(), Arc::new(|_| {})).is_err());
    fs::rename(&away, volumes.other()).unwrap();
    volumes.check(40);
    // What is changed there is damage as anywhere.
    let moved = volumes.other().join(file_name(1));
    let mut bytes = fs::read(&moved).unwrap();
    bytes[HEADER_BYTES + 20] ^= 1;
    fs::write(&moved, bytes).unwrap();
    let damage = verify(&volumes.ledger(), &VerifyOptions::default(), &mut |_| {}).unwrap_err();
    assert!(matches!(damage.kind, DamageKind::Frame), "{damage:?}");
    assert_eq!(damage.file, volumes.segment(1));
}
