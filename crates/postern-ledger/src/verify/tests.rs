//! Whatever is changed in a ledger is noticed, and named.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use postern_merkle::SigningKey;
use postern_model::{Actor, Grade};

use super::*;
use crate::{
    Note, OpenError, Options, dictionary,
    disk::sim::SimDisk,
    epoch::Keys,
    frame::{self, DICTIONARY_NAME, FRAME_BYTES, Found, HEADER_BYTES, segment_name},
    identity::{CHECKPOINT, KEY, KEY_PUB},
    recover::{create_on, open_on},
    sequencer::{Sequencer, Work},
    tests::{HandClock, commit, draft, options, python, reason, strong},
};

mod tamper;
mod threads;

pub(crate) type Files = BTreeMap<String, Vec<u8>>;

fn small() -> Options {
    let clock = Arc::new(HandClock::default());
    Options { segment_bytes: 900, dictionary_step_bytes: 128, ..options(clock) }
}

/// Records `batches` on a disk and signs; what customers are called depends on `prefix`.
fn grow(disk: &SimDisk, batches: Range<usize>, prefix: &str) {
    grow_after(disk, batches, prefix, |_| {});
}

/// The same by a writer to whom something was done before.
fn grow_after(
    disk: &SimDisk,
    batches: Range<usize>,
    prefix: &str,
    act: impl FnOnce(&mut Sequencer),
) {
    let salts = Box::new(|| [9; 16]);
    let mut sequencer = open_on(Arc::new(disk.clone()), small(), salts).unwrap();
    act(&mut sequencer);
    for step in batches {
        let subject = format!("{prefix}{step}");
        let rows = [(subject.as_str(), strong()), ("x", reason("weak", Grade::Weak))];
        let note = Note::LoggedOut { actor: Actor::new("ana"), connection: step as u64 };
        let batch = [Work::Draft(draft("ana", &rows, &[])), Work::Note(note)];
        commit(&mut sequencer, &batch).unwrap();
    }
    sequencer.sign().unwrap();
}

pub(crate) fn ledger(seed: u8, batches: usize, prefix: &str) -> Files {
    let disk = SimDisk::new(0);
    create_on(&disk, &small(), &[seed; 32]).unwrap();
    grow(&disk, 0..batches, prefix);
    disk.contents()
}

fn checkpoint_of(files: &Files) -> String {
    String::from_utf8(files[CHECKPOINT].clone()).unwrap()
}

fn verify_files(files: &Files, against: Option<String>) -> Result<Summary, Damage> {
    let options = VerifyOptions { against, tail: Tail::MustBeClean, ..VerifyOptions::default() };
    verify_on(Arc::new(SimDisk::holding(files)), &options, &mut |_| {})
}

/// Where each entry's frame is: segment, bytes.
fn frames(files: &Files) -> Vec<(String, Range<usize>)> {
    let mut frames = Vec::new();
    for (name, bytes) in files.range("segments/".to_owned().."segments0".to_owned()) {
        let mut at = HEADER_BYTES;
        while let Found::Frame { payload, .. } = frame::look(&bytes[at..]) {
            let end = at + FRAME_BYTES + payload.len();
            frames.push((name.clone(), at..end));
            at = end;
        }
    }
    frames
}

/// The same ledger with the frames of one segment replaced.
fn with_frames(files: &Files, name: &str, new: &[u8]) -> Files {
    let mut files = files.clone();
    let bytes = files.get_mut(name).unwrap();
    bytes[HEADER_BYTES..].fill(0);
    bytes[HEADER_BYTES..][..new.len()].copy_from_slice(new);
    files
}

fn kind_of(result: Result<Summary, Damage>) -> String {
    match result {
        Ok(_) => "holds".to_owned(),
        Err(Damage { kind, file, entry, .. }) => {
            let kind = format!("{kind:?}");
            let kind = kind.split([' ', '(']).next().unwrap_or_default();
            let entry = entry.map(|entry| format!(" at {entry}")).unwrap_or_default();
            format!("{kind} in {}{entry}", file.display())
        }
    }
}

#[test]
fn a_whole_ledger_holds() {
    let files = ledger(1, 4, "customer");
    let summary = verify_files(&files, Some(checkpoint_of(&files))).unwrap();
    assert_eq!((summary.entries, summary.signed, summary.kept), (8, 8, Some(8)));
    // Against every earlier state, too.
    for batches in 0..4 {
        let earlier = checkpoint_of(&ledger(1, batches, "customer"));
        assert_eq!(verify_files(&files, Some(earlier)).unwrap().kept, Some(2 * batches as u64));
    }
}

#[test]
fn in_a_longer_ledger_which_a_thread_reads_ahead_damage_is_named_too() {
    let files = ledger(1, 40, "c");
    let all = frames(&files);
    for (entry, (name, bytes)) in all.iter().enumerate() {
        let mut changed = files.clone();
        changed.get_mut(name).unwrap()[bytes.end - 1] ^= 0x10;
        let found = kind_of(verify_files(&changed, None));
        assert_eq!(found, format!("Frame in {name} at {entry}"));
    }
    let (middle, _) = &all[all.len() / 2];
    let mut changed = files.clone();
    changed.get_mut(middle).unwrap()[9] ^= 1;
    let first = all.iter().position(|(name, _)| name == middle).unwrap();
    let found = kind_of(verify_files(&changed, None));
    assert_eq!(found, format!("Header in {middle} at {first}"));
    changed.remove(middle);
    assert_eq!(kind_of(verify_files(&changed, None)), format!("Missing in {middle}"));
}

#[test]
fn a_cut_tail_is_noticed() {
    let files = ledger(1, 3, "c");
    let all = frames(&files);
    let (name, bytes) = all.last().unwrap();
    let mut cut = files.clone();
    cut.get_mut(name).unwrap()[bytes.clone()].fill(0);
    let entries = all.len() - 1;
    assert_eq!(kind_of(verify_files(&cut, None)), format!("Behind in {name} at {entries}"));
    let salts = Box::new(|| [9; 16]);
    let opened = open_on(Arc::new(SimDisk::holding(&cut)), small(), salts);
    assert!(matches!(
        opened.map(drop).unwrap_err(),
        OpenError::Damaged(Damage { kind: DamageKind::Behind { .. }, .. })
    ));
    let mut shorter = files.clone();
    shorter.get_mut(name).unwrap().truncate(bytes.end);
    assert_eq!(kind_of(verify_files(&shorter, None)), format!("Header in {name} at 4"));
    let mut without = files.clone();
    without.remove(name);
    assert_eq!(kind_of(verify_files(&without, None)), format!("Behind in {} at 4", all[0].0));
}

#[test]
fn a_missing_file_is_named() {
    let files = ledger(1, 5, "c");
    assert!(files.contains_key(&segment_name(2)));
    for name in [KEY_PUB, CHECKPOINT, DICTIONARY_NAME, &segment_name(0), &segment_name(1)] {
        let mut without = files.clone();
        without.remove(name);
        assert_eq!(kind_of(verify_files(&without, None)), format!("Missing in {name}"));
    }
    // Auditors don't have the key.
    let mut without = files.clone();
    without.remove(KEY);
    verify_files(&without, None).unwrap();
    let mut stray = files;
    stray.insert("segments/notes.txt".into(), vec![]);
    assert_eq!(kind_of(verify_files(&stray, None)), "Stray in segments/notes.txt");
}

#[test]
fn a_changed_text_is_noticed_though_its_row_is_whole() {
    let (files, other) = (ledger(1, 3, "c"), ledger(1, 3, "d"));
    let mut mixed = files.clone();
    mixed.insert(DICTIONARY_NAME.into(), other[DICTIONARY_NAME].clone());
    assert_eq!(kind_of(verify_files(&mixed, None)), format!("Binding in {DICTIONARY_NAME} at 0"));
}

#[test]
fn a_history_rewritten_with_the_key_is_noticed_by_who_kept_a_checkpoint() {
    let (files, rewritten) = (ledger(1, 3, "c"), ledger(1, 4, "d"));
    verify_files(&rewritten, None).unwrap();
    let found = verify_files(&rewritten, Some(checkpoint_of(&files))).unwrap_err();
    let root = DamageKind::Root { checkpoint: Which::Kept, size: 6 };
    assert_eq!(format!("{:?}", found.kind), format!("{root:?}"));
    // An older genuine copy put in its place.
    let old = ledger(1, 2, "c");
    let found = verify_files(&old, Some(checkpoint_of(&files))).unwrap_err();
    let behind = DamageKind::Behind { checkpoint: Which::Kept, expected: 6, found: 4 };
    assert_eq!(format!("{:?}", found.kind), format!("{behind:?}"));
    // A checkpoint of another key says nothing about this ledger.
    let foreign = checkpoint_of(&ledger(2, 3, "c"));
    assert_eq!(kind_of(verify_files(&files, Some(foreign))), format!("Kept in {CHECKPOINT}"));
}

#[test]
fn a_whole_other_ledger_is_noticed_by_who_trusts_a_key() {
    let files = ledger(2, 3, "c");
    let trusted = SigningKey::new("test.example/ledger", &[1; 32]).unwrap().verifying_key();
    let options = VerifyOptions { key: Some(trusted), ..VerifyOptions::default() };
    let found = verify_on(Arc::new(SimDisk::holding(&files)), &options, &mut |_| {});
    assert_eq!(kind_of(found), format!("Key in {KEY_PUB}"));
}

/// The same dictionary with the row of one text erased.
fn erase(dictionary: &[u8], erased: &str) -> Vec<u8> {
    let (header, mut rest) = dictionary.split_at(HEADER_BYTES);
    let mut new = header.to_vec();
    while let Some((row, length)) = dictionary::decode_frame(rest, &Keys::default()) {
        let (frame, behind) = rest.split_at(length);
        rest = behind;
        if row.text.as_deref() == Some(erased) {
            dictionary::encode_erased(&mut new, &row);
        } else {
            new.extend_from_slice(frame);
        }
    }
    new
}

#[test]
fn with_a_row_erased_every_proof_holds_and_the_text_is_gone() {
    let mut files = ledger(1, 3, "c");
    let root = verify_files(&files, None).unwrap().root;
    let erased = erase(&files[DICTIONARY_NAME], "c1");
    assert!(!erased.windows(2).any(|bytes| bytes == b"c1"));
    files.insert(DICTIONARY_NAME.into(), erased);
    assert_eq!(verify_files(&files, Some(checkpoint_of(&files))).unwrap().root, root);
    // The ledger goes on, and the same customer, should they come back, is a new one.
    let disk = SimDisk::holding(&files);
    grow(&disk, 1..2, "c");
    verify_files(&disk.contents(), None).unwrap();
    let entries = crate::Reader::open_on(Arc::new(disk)).unwrap().map(Result::unwrap);
    let subjects: Vec<_> = entries
        .flat_map(|entry| entry.disclosures().collect::<Vec<_>>())
        .filter(|disclosure| disclosure.reason == strong())
        .flat_map(|disclosure| disclosure.subjects)
        .map(|subject| subject.to_string())
        .collect();
    assert_eq!(subjects, ["c0", "erased 2", "c2", "c1"]);
}

#[test]
fn behind_the_checkpoint_only_the_last_batch_can_pass_for_an_unfinished_write() {
    let signed = ledger(1, 0, "c");
    let mut files = ledger(1, 3, "c");
    files.insert(CHECKPOINT.into(), signed[CHECKPOINT].clone());
    let all = frames(&files);
    assert_eq!(all.len(), 6);
    // Entries 2 and 3 are the last batch of the first segment, 4 and 5 that of the ledger.
    for (entry, (name, bytes)) in all.iter().enumerate() {
        let mut changed = files.clone();
        changed.get_mut(name).unwrap()[bytes.start + 20] ^= 4;
        let kind = if entry < 4 { "Frame" } else { "TornTail" };
        let expected = format!("{kind} in {name} at {entry}");
        assert_eq!(kind_of(verify_files(&changed, None)), expected);
        let disk = Arc::new(SimDisk::holding(&changed));
        let opened = open_on(disk, small(), Box::new(|| [9; 16]));
        assert_eq!(opened.is_ok(), entry >= 4, "entry {entry}");
    }
    // Of two batches in one segment, the later one tells too.
    let one = Options { segment_bytes: 4096, ..small() };
    let disk = SimDisk::new(0);
    create_on(&disk, &one, &[1; 32]).unwrap();
    grow(&disk, 0..3, "c");
    let mut files = disk.contents();
    files.insert(CHECKPOINT.into(), signed[CHECKPOINT].clone());
    for (entry, (name, bytes)) in frames(&files).iter().enumerate() {
        let mut changed = files.clone();
        changed.get_mut(name).unwrap()[bytes.start + 5] ^= 0x20;
        let kind = if entry < 4 { "Frame" } else { "TornTail" };
        let expected = format!("{kind} in {name} at {entry}");
        assert_eq!(kind_of(verify_files(&changed, None)), expected);
    }
}

#[test]
fn damage_stops_the_opening_and_a_torn_tail_does_not() {
    let files = ledger(1, 3, "c");
    let all = frames(&files);
    let open = |files: &Files| {
        let disk = SimDisk::holding(files);
        let opened = open_on(Arc::new(disk.clone()), small(), Box::new(|| [9; 16]));
        opened.map(|_| disk.contents())
    };
    let (name, bytes) = &all[1];
    let mut damaged = files.clone();
    damaged.get_mut(name).unwrap()[bytes.start + 20] ^= 4;
    let Err(OpenError::Damaged(damage)) = open(&damaged) else { panic!("it was opened") };
    assert_eq!((damage.offset, damage.entry), (bytes.start as u64, Some(1)));
    assert!(matches!(damage.kind, DamageKind::Frame));

    let (name, bytes) = all.last().unwrap();
    let mut torn = files.clone();
    torn.get_mut(name).unwrap()[bytes.end + 3..bytes.end + 40].fill(0xa5);
    assert_eq!(kind_of(verify_files(&torn, None)), format!("TornTail in {name} at 6"));
    assert_eq!(open(&torn).unwrap()[name], files[name]);
}
