//! The versions of the ledger.

use std::time::Duration;

use postern_merkle::Hash;

use super::*;
use crate::{Retention, bytes::Cursor, payload::Head, witness::WITNESSED};

/// The ledger that all is done to: three batches of two entries, in two segments.
struct Base {
    files: Files,
    /// Where each entry's frame is.
    frames: Vec<(String, Range<usize>)>,
    /// Where each row is, and which entry brings it.
    rows: Vec<(Range<usize>, usize)>,
}

const BATCHES: usize = 3;

fn base() -> Base {
    let files = ledger(1, BATCHES, "c");
    let frames = frames(&files);
    let segments: BTreeSet<&String> = frames.iter().map(|(name, _)| name).collect();
    assert_eq!((frames.len(), segments.len()), (2 * BATCHES, 2));
    let (mut rows, mut at) = (Vec::new(), HEADER_BYTES);
    for (entry, (name, frame)) in frames.iter().enumerate() {
        let payload = &files[name][frame.clone()][FRAME_BYTES..];
        for _ in 0..Head::decode(&mut Cursor::new(payload)).unwrap().rows {
            let (_, length) =
                dictionary::decode_frame(&files[DICTIONARY_NAME][at..], &Keys::default()).unwrap();
            rows.push((at..at + length, entry));
            at += length;
        }
    }
    Base { files, frames, rows }
}

impl Base {
    fn family(self, name: &'static str, cases: Vec<Case>) -> Family {
        Family { name, whole: self.files, cases }
    }

    fn with(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> Files {
        let mut files = self.files.clone();
        change(files.get_mut(name).unwrap());
        files
    }

    /// The entries' frames in that order, each in its segment's place.
    fn reordered(&self, order: &[usize]) -> Option<Files> {
        let mut files = self.files.clone();
        for name in [segment_name(0), segment_name(1)] {
            let of_segment = |&&entry: &&usize| self.segment_of(entry) == name;
            let frames = order.iter().filter(of_segment).flat_map(|&entry| self.frame(entry));
            files = with_frames(&files, &name, &frames.collect::<Vec<u8>>());
        }
        (files.values().map(Vec::len).eq(self.files.values().map(Vec::len))).then_some(files)
    }

    fn segment_of(&self, entry: usize) -> String {
        self.frames[entry].0.clone()
    }

    fn frame(&self, entry: usize) -> Vec<u8> {
        let (name, frame) = &self.frames[entry];
        self.files[name][frame.clone()].to_vec()
    }

    fn entries(&self) -> usize {
        self.frames.len()
    }

    /// The entries of the first segment.
    fn first_segment(&self) -> usize {
        self.frames.iter().filter(|(name, _)| *name == segment_name(0)).count()
    }

    /// Damage at an entry's frame.
    fn at_frame(&self, kind: &str, entry: usize) -> Expected {
        let (name, frame) = &self.frames[entry];
        at(kind, name, frame.start, Some(entry))
    }

    fn first_of(&self, segment: &str) -> usize {
        self.frames.iter().position(|(name, _)| name == segment).unwrap()
    }

    fn expected_of_flip(&self, name: &str, byte: usize) -> Expected {
        let here = |(_, (of, frame)): &(usize, &(String, Range<usize>))| {
            of == name && frame.contains(&byte)
        };
        match name {
            KEY | KEY_PUB => at("Key", name, 0, None),
            CHECKPOINT => at("Checkpoint", name, 0, None),
            DICTIONARY_NAME if byte < HEADER_BYTES => at("Header", name, 0, None),
            DICTIONARY_NAME => match self.rows.iter().find(|(row, _)| row.contains(&byte)) {
                Some((row, entry)) => at("Row", name, row.start, Some(*entry)),
                None => {
                    let end = self.rows.last().unwrap().0.end;
                    at("UnusedRows", name, end, Some(self.entries()))
                }
            },
            _ if byte < HEADER_BYTES => at("Header", name, 0, Some(self.first_of(name))),
            _ => match self.frames.iter().enumerate().find(here) {
                Some((entry, _)) => self.at_frame("Frame", entry),
                None => self.behind_the_last(name),
            },
        }
    }

    /// Something where a segment has to be zero.
    fn behind_the_last(&self, name: &str) -> Expected {
        let last = self.frames.iter().rposition(|(of, _)| of == name).unwrap();
        let kind = if last + 1 == self.entries() { "TornTail" } else { "Frame" };
        at(kind, name, self.frames[last].1.end, Some(last + 1))
    }

    fn flips(&self, name: &str) -> Vec<Case> {
        let bits = (0..self.files[name].len()).flat_map(|byte| (0..8).map(move |bit| (byte, bit)));
        bits.map(|(byte, bit)| Case {
            files: self.with(name, |bytes| bytes[byte] ^= 1 << bit),
            expected: self.expected_of_flip(name, byte),
        })
        .collect()
    }
}

pub(super) fn all() -> Vec<Family> {
    vec![
        flips_of_segments(),
        flips_of_the_dictionary(),
        flips_of_small_files(),
        dropped(),
        swapped(),
        doubled(),
        zeroed_entries(),
        zeroed_tails(),
        cut_files(),
        forged_entries(),
        forged_values(),
        forged_rows(),
        moved_rows(),
        forged_checkpoints(),
        old_copies(),
        forks(),
        split_accounts(),
        witnessed(),
        missing_files(),
        foreign_files(),
    ]
}

fn flips_of_segments() -> Family {
    let base = base();
    let cases = [segment_name(0), segment_name(1)].into_iter().flat_map(|name| base.flips(&name));
    let cases = cases.collect();
    base.family("each bit of the segments flipped", cases)
}

fn flips_of_the_dictionary() -> Family {
    let base = base();
    let cases = base.flips(DICTIONARY_NAME);
    base.family("each bit of the dictionary flipped", cases)
}

fn flips_of_small_files() -> Family {
    let base = base();
    let cases = [KEY, KEY_PUB, CHECKPOINT].iter().flat_map(|name| base.flips(name)).collect();
    base.family("each bit of keys and checkpoint flipped", cases)
}

/// What follows moves up, in its segment.
fn dropped() -> Family {
    let base = base();
    let case = |dropped: usize| {
        let order: Vec<_> = (0..base.entries()).filter(|&entry| entry != dropped).collect();
        let (name, frame) = &base.frames[dropped];
        let expected = if dropped + 1 == base.entries() {
            at("Behind", name, frame.start, Some(dropped))
        } else if dropped + 1 == base.first_segment() {
            at("Header", &segment_name(1), 0, Some(dropped))
        } else {
            base.at_frame("Sequence", dropped)
        };
        Case { files: base.reordered(&order).unwrap(), expected }
    };
    let cases = (0..base.entries()).map(case).collect();
    base.family("an entry dropped, the next ones moved up", cases)
}

/// Any two, in one segment or not; checksums cover nothing but the frame itself.
fn swapped() -> Family {
    let base = base();
    let mut cases = Vec::new();
    for one in 0..base.entries() {
        for other in one + 1..base.entries() {
            let mut frames: Vec<_> = (0..base.entries()).map(|entry| base.frame(entry)).collect();
            frames.swap(one, other);
            let mut files = base.files.clone();
            for name in [segment_name(0), segment_name(1)] {
                let here = (0..base.entries()).filter(|&entry| base.segment_of(entry) == name);
                let bytes: Vec<u8> = here.flat_map(|entry| frames[entry].clone()).collect();
                files = with_frames(&files, &name, &bytes);
            }
            cases.push(Case { files, expected: base.at_frame("Sequence", one) });
        }
    }
    base.family("two entries swapped", cases)
}

fn doubled() -> Family {
    let base = base();
    let mut cases = Vec::new();
    for entry in 0..base.entries() {
        let mut order: Vec<_> = (0..base.entries()).collect();
        order.insert(entry, entry);
        let (name, frame) = &base.frames[entry];
        let expected = at("Sequence", name, frame.end, Some(entry + 1));
        let used = order.iter().filter(|&&of| base.segment_of(of) == *name);
        let used: usize = used.map(|&of| base.frame(of).len()).sum();
        if HEADER_BYTES + used <= base.files[name].len() {
            cases.push(Case { files: base.reordered(&order).unwrap(), expected });
        }
    }
    base.family("an entry doubled, where there is room", cases)
}

/// A hole of zeros.
fn zeroed_entries() -> Family {
    let base = base();
    let case = |entry: usize| {
        let (name, frame) = &base.frames[entry];
        let files = base.with(name, |bytes| bytes[frame.clone()].fill(0));
        let last_here = base.frames.get(entry + 1).is_none_or(|(next, _)| next != name);
        let expected = if entry + 1 == base.entries() {
            base.at_frame("Behind", entry)
        } else if last_here {
            at("Header", &segment_name(1), 0, Some(entry))
        } else {
            base.at_frame("Frame", entry)
        };
        Case { files, expected }
    };
    let cases = (0..base.entries()).map(case).collect();
    base.family("an entry set to zero", cases)
}

/// The last segment's end set to zero from each of its bytes on.
fn zeroed_tails() -> Family {
    let base = base();
    let name = segment_name(1);
    let (first, end) = (base.first_segment(), base.frames.last().unwrap().1.end);
    let case = |from: usize| {
        let files = base.with(&name, |bytes| bytes[from..].fill(0));
        // What an entry ends with may be zeros already.
        let changed = |&entry: &usize| {
            let frame = base.frames[entry].1.clone();
            files[&name][frame.clone()] != base.files[&name][frame]
        };
        let expected = match (first..base.entries()).find(changed) {
            None => Expected::Exactly("holds".to_owned()),
            Some(entry) => {
                let rest = &files[&name][base.frames[entry].1.clone()];
                let nothing = rest.iter().all(|&byte| byte == 0);
                base.at_frame(if nothing { "Behind" } else { "Frame" }, entry)
            }
        };
        Case { files, expected }
    };
    let cases = (base.frames[first].1.start..end).map(case).collect();
    base.family("the end set to zero, from each byte on", cases)
}

fn cut_files() -> Family {
    let base = base();
    let used = base.rows.last().unwrap().0.end;
    let mut cases = Vec::new();
    for (name, bytes) in &base.files {
        // Of the dictionary's zeros any number may be there: they are room for what is to come.
        let lengths = if name == DICTIONARY_NAME { 0..used } else { 0..bytes.len() };
        for length in lengths {
            let files = base.with(name, |bytes| bytes.truncate(length));
            let expected = match name.as_str() {
                KEY | KEY_PUB => at("Key", name, 0, None),
                CHECKPOINT => at("Checkpoint", name, 0, None),
                DICTIONARY_NAME => base.expected_of_flip(name, length),
                _ => at("Header", name, 0, Some(base.first_of(name))),
            };
            cases.push(Case { files, expected });
        }
    }
    base.family("each file cut to each length", cases)
}

/// With the checksum mended, so that only what is said and the tree tell.
fn forged_entries() -> Family {
    const KINDS: &[&str] = &["Entry", "Sequence", "Time", "Row", "Binding", "Root"];
    let base = base();
    let mut cases = Vec::new();
    for (entry, (name, bytes)) in base.frames.iter().enumerate() {
        let payload = base.frame(entry)[FRAME_BYTES..].to_vec();
        for bit in 0..8 * payload.len() {
            let mut forged = payload.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            let mut frame = Vec::new();
            frame::encode(&mut frame, (entry % 2) as u16, &forged);
            let files = base.with(name, |all| all[bytes.clone()].copy_from_slice(&frame));
            cases.push(Case { files, expected: Expected::Kinds(KINDS, entry as u64) });
        }
    }
    base.family("each bit of the entries flipped, checksum mended", cases)
}

/// The same of entries that have hashes of values, in an epoch and before.
fn forged_values() -> Family {
    const KINDS: &[&str] = &["Entry", "Sequence", "Time", "Row", "Binding", "Root"];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/2-values");
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let names = [KEY, KEY_PUB, CHECKPOINT, "dictionary.log", "epoch-00001"];
    let segments = ["segments/0000000000.seg", "segments/0000000001.seg"];
    let there = segments.into_iter().filter(|name| folder.join(name).exists());
    let whole: Files =
        names.into_iter().chain(there).map(|name| (name.to_owned(), read(name))).collect();
    let mut cases = Vec::new();
    for (entry, (name, bytes)) in frames(&whole).into_iter().enumerate() {
        let frame = whole[&name][bytes.clone()].to_vec();
        let (place, payload) = (frame[8], &frame[FRAME_BYTES..]);
        for bit in (0..8 * payload.len()).filter(|_| matches!(payload[1], 22 | 23)) {
            let mut forged = payload.to_vec();
            forged[bit / 8] ^= 1 << (bit % 8);
            let mut frame = Vec::new();
            frame::encode(&mut frame, place.into(), &forged);
            let mut files = whole.clone();
            files.get_mut(&name).unwrap()[bytes.clone()].copy_from_slice(&frame);
            cases.push(Case { files, expected: Expected::Kinds(KINDS, entry as u64) });
        }
    }
    assert!(cases.len() > 1000);
    Family { name: "each bit of entries with values flipped, checksum mended", whole, cases }
}

fn forged_rows() -> Family {
    const KINDS: &[&str] = &["Row", "Binding"];
    let base = base();
    let mut cases = Vec::new();
    for (row, entry) in &base.rows {
        let payload = base.files[DICTIONARY_NAME][row.clone()][8..].to_vec();
        for bit in 0..8 * payload.len() {
            let mut forged = payload.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            let mut frame = Vec::new();
            dictionary::encode_frame(&mut frame, &forged);
            let files = base.with(DICTIONARY_NAME, |all| all[row.clone()].copy_from_slice(&frame));
            cases.push(Case { files, expected: Expected::Kinds(KINDS, *entry as u64) });
        }
    }
    base.family("each bit of the rows flipped, checksum mended", cases)
}

/// Each row dropped, and each two swapped.
fn moved_rows() -> Family {
    const KINDS: &[&str] = &["Row", "Binding"];
    let base = base();
    let rows: Vec<Vec<u8>> = base
        .rows
        .iter()
        .map(|(row, _)| base.files[DICTIONARY_NAME][row.clone()].to_vec())
        .collect();
    let mut cases = Vec::new();
    let mut case = |rows: Vec<Vec<u8>>, entry: usize| {
        let bytes = rows.concat();
        let files = base.with(DICTIONARY_NAME, |all| {
            all[HEADER_BYTES..].fill(0);
            all[HEADER_BYTES..][..bytes.len()].copy_from_slice(&bytes);
        });
        cases.push(Case { files, expected: Expected::Kinds(KINDS, entry as u64) });
    };
    for one in 0..rows.len() {
        let mut without = rows.clone();
        without.remove(one);
        case(without, base.rows[one].1);
        for other in one + 1..rows.len() {
            let mut swapped = rows.clone();
            swapped.swap(one, other);
            case(swapped, base.rows[one].1);
        }
    }
    base.family("rows dropped and swapped", cases)
}

/// What another key signed, what a signature is not of, and what the right key should not have.
fn forged_checkpoints() -> Family {
    let base = base();
    let key = |seed| SigningKey::new("test.example/ledger", &[seed; 32]).unwrap();
    let (own, other) = (key(1), key(2));
    let genuine = Checkpoint::verify(&base.files[CHECKPOINT], &own.verifying_key()).unwrap();
    let mut cases = Vec::new();
    let mut case = |text: String, expected| {
        let files = base.with(CHECKPOINT, |bytes| *bytes = text.into_bytes());
        cases.push(Case { files, expected });
    };
    let untrusted = || at("Checkpoint", CHECKPOINT, 0, None);
    let (last, end) = base.frames.last().unwrap();
    let (end, entries) = (end.end, base.entries());
    let sizes = 0..=2 * genuine.size;
    for checkpoint in sizes.map(|size| Checkpoint { size, ..genuine.clone() }) {
        let signed = checkpoint.sign(&own).unwrap();
        case(checkpoint.sign(&other).unwrap(), untrusted());
        if checkpoint == genuine {
            continue;
        }
        // The genuine signature under another text.
        let (text, _) = signed.rsplit_once("\n\n").unwrap();
        let text_of_genuine = checkpoint_of(&base.files);
        let (_, signature) = text_of_genuine.rsplit_once("\n\n").unwrap();
        case(format!("{text}\n\n{signature}"), untrusted());
        // Signed with the ledger's key, which somebody stole.
        let kind = if checkpoint.size > genuine.size { "Behind" } else { "Root" };
        case(signed, at(kind, last, end, Some(entries)));
    }
    let lie = Checkpoint { root: Hash([7; 32]), ..genuine };
    case(lie.sign(&own).unwrap(), at("Root", last, end, Some(entries)));
    base.family("forged checkpoints", cases)
}

/// An older genuine state in place of the present one, before somebody who kept a checkpoint.
fn old_copies() -> Family {
    let base = base();
    let kept = base.files[CHECKPOINT].clone();
    let case = |batches: usize| {
        let mut files = ledger(1, batches, "c");
        let found = frames(&files);
        let (name, end) = found
            .last()
            .map_or((segment_name(0), HEADER_BYTES), |(name, frame)| (name.clone(), frame.end));
        files.insert(KEPT.into(), kept.clone());
        Case { files, expected: at("Behind", &name, end, Some(found.len())) }
    };
    let cases = (0..BATCHES).map(case).collect();
    base.family("an older copy put in place, against a kept checkpoint", cases)
}

/// Histories that part at some batch, each signed; each reader kept the other's checkpoint.
fn forks() -> Family {
    let base = base();
    let mut cases = Vec::new();
    for common in 0..BATCHES {
        let disk = SimDisk::holding(&ledger(1, common, "c"));
        grow(&disk, common..BATCHES, "d");
        let fork = disk.contents();
        for (mut files, kept) in [(base.files.clone(), &fork), (fork.clone(), &base.files)] {
            let (name, end) = frames(&files).last().cloned().unwrap();
            files.insert(KEPT.into(), kept[CHECKPOINT].clone());
            cases.push(Case { files, expected: at("Root", &name, end.end, Some(base.entries())) });
        }
    }
    base.family("a forked history, each half against the other's checkpoint", cases)
}

/// Who writes the ledger, and has its key, records acts of an account under another number than its
/// first, so that a proof of what it did could leave them out.
fn split_accounts() -> Family {
    let base = base();
    let mut cases = Vec::new();
    let mut case = |honest: usize, kind: &'static [&'static str], act: fn(&mut Sequencer)| {
        let disk = SimDisk::holding(&ledger(1, honest, "c"));
        grow_after(&disk, honest..BATCHES, "c", act);
        let expected = Expected::Kinds(kind, 2 * honest as u64);
        cases.push(Case { files: disk.contents(), expected });
    };
    for honest in 1..BATCHES {
        case(honest, &["Twice"], |sequencer| sequencer.dictionary.forget_names());
    }
    for honest in 0..BATCHES {
        case(honest, &["Entry"], |sequencer| {
            let retention =
                Retention { epoch: Duration::from_secs(1), keep: sequencer.options.horizon };
            sequencer.options.retention = Some(retention);
            sequencer.retain(&Actor::new("root"), &mut Vec::new()).unwrap();
            sequencer.dictionary.seal_name("ana");
        });
    }
    base.family("an account given two numbers, or a sealed one, by who has the key", cases)
}

/// What was witnessed is changed, or tells that all else was put back or forked.
fn witnessed() -> Family {
    let base = base();
    let genuine = &base.files[CHECKPOINT];
    let mut cases = Vec::new();
    for bit in 0..8 * genuine.len() {
        let mut changed = genuine.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let mut files = base.files.clone();
        files.insert(WITNESSED.into(), changed);
        cases.push(Case { files, expected: at("Checkpoint", WITNESSED, 0, None) });
    }
    for batches in 0..BATCHES {
        let mut files = ledger(1, batches, "c");
        let end = frames(&files).last().cloned().unwrap_or((segment_name(0), 0..HEADER_BYTES));
        let found = frames(&files).len();
        files.insert(WITNESSED.into(), genuine.clone());
        cases.push(Case { files, expected: at("Behind", &end.0, end.1.end, Some(found)) });
        let disk = SimDisk::holding(&ledger(1, batches, "c"));
        grow(&disk, batches..BATCHES, "d");
        let mut files = disk.contents();
        let (name, end) = frames(&files).last().cloned().unwrap();
        files.insert(WITNESSED.into(), genuine.clone());
        cases.push(Case { files, expected: at("Root", &name, end.end, Some(base.entries())) });
    }
    base.family("what was witnessed changed, or everything else put back or forked", cases)
}

fn missing_files() -> Family {
    let base = base();
    let mut cases = Vec::new();
    for name in base.files.keys().filter(|&name| name != KEY) {
        let mut files = base.files.clone();
        files.remove(name);
        let expected = if *name == segment_name(1) {
            let entry = base.first_segment();
            let end = base.frames[entry - 1].1.end;
            at("Behind", &segment_name(0), end, Some(entry))
        } else {
            at("Missing", name, 0, None)
        };
        cases.push(Case { files, expected });
    }
    for stray in ["segments/notes.txt", "segments/0000000002.seg.old"] {
        let mut files = base.files.clone();
        files.insert(stray.into(), vec![]);
        cases.push(Case { files, expected: at("Stray", stray, 0, None) });
    }
    base.family("a file missing, or one too many", cases)
}

/// Files of a ledger that differs in nothing but the key, and segments in each other's place.
fn foreign_files() -> Family {
    let base = base();
    let mut cases = Vec::new();
    for (name, bytes) in ledger(2, BATCHES, "c") {
        let mut files = base.files.clone();
        files.insert(name.clone(), bytes);
        let expected = match name.as_str() {
            // Nobody can tell which of the two keys is the ledger's.
            KEY | KEY_PUB => at("Key", KEY, 0, None),
            CHECKPOINT => at("Checkpoint", CHECKPOINT, 0, None),
            DICTIONARY_NAME => at("Header", &name, 0, None),
            _ => at("Header", &name, 0, Some(base.first_of(&name))),
        };
        cases.push(Case { files, expected });
    }
    let [first, second] = [segment_name(0), segment_name(1)];
    let mut files = base.files.clone();
    files.insert(first.clone(), base.files[&second].clone());
    files.insert(second, base.files[&first].clone());
    cases.push(Case { files, expected: at("Header", &first, 0, Some(0)) });
    base.family("files of another ledger or place", cases)
}
