//! What is published is read with another implementation of the standard, Cloudflare's.

use std::collections::BTreeMap;

use postern_merkle::leaf_hash;
use tlog_tiles::{Error, HashReader, Tile, TileHashReader, TileReader};

use super::*;
use crate::{
    DamageKind, Note, Options,
    disk::sim::SimDisk,
    recover::{create_on, open_on},
    sequencer::Work,
    tests::{HandClock, commit, draft, options, strong},
    witness::tests::{cosign, quorum, witness},
};

/// A ledger that grows.
struct Growing {
    disk: SimDisk,
    options: Options,
}

impl Growing {
    fn new(seed: u8) -> Self {
        let options = options(Arc::new(HandClock::default()));
        let disk = SimDisk::new(0);
        create_on(&disk, &options, &[seed; 32]).unwrap();
        Self { disk, options }
    }

    fn grow(&self, work: &[Work]) {
        let disk = Arc::new(self.disk.clone());
        let mut sequencer = open_on(disk, self.options.clone(), Box::new(|| [9; 16])).unwrap();
        for batch in work.chunks(1000) {
            commit(&mut sequencer, batch).unwrap();
        }
        sequencer.sign().unwrap();
    }

    fn grow_by(&self, entries: usize) {
        let note = |_| Work::Note(Note::Stopped);
        self.grow(&(0..entries).map(note).collect::<Vec<_>>());
    }

    fn publish(&self, to: &Path) -> Result<super::Published, PublishError> {
        self.publish_by(to, Basis::Covering)
    }

    fn publish_by(&self, to: &Path, basis: Basis) -> Result<super::Published, PublishError> {
        publish_on(Arc::new(self.disk.clone()), to, basis, &mut |_, _| {})
    }

    fn payloads(&self) -> Vec<Vec<u8>> {
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let key = identity::verifying_key(&*disk).unwrap();
        let mut scan = Scan::open(disk, LedgerId::new(&key), Rows::default()).unwrap();
        let mut payloads = Vec::new();
        while scan.next().unwrap().is_some() {
            payloads.push(scan.content());
        }
        payloads
    }
}

struct Tiled<'a>(&'a Path);

impl TileReader for Tiled<'_> {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, Error> {
        let read = |tile: &Tile| {
            // The crate writes the tile's height in front, which the standard has fixed.
            let path = tile.path().replace("tile/8/", "tile/");
            fs::read(self.0.join(path)).unwrap()
        };
        Ok(tiles.iter().map(read).collect())
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}

/// All entries of the bundles in a folder, with lengths of so many bytes.
fn entries_of(folder: &Path, width: usize, size: usize) -> BTreeMap<usize, Vec<u8>> {
    let mut entries = BTreeMap::new();
    for bundle in 0..size.div_ceil(256) {
        let mut name = index_path(bundle as u64);
        if bundle == size / 256 {
            name += &format!(".p/{}", size % 256);
        }
        let Ok(bytes) = fs::read(folder.join(name)) else { continue };
        let mut rest = bytes.as_slice();
        let mut index = 256 * bundle;
        while !rest.is_empty() {
            let (length, behind) = rest.split_at(width);
            let length = length.iter().fold(0, |length, &byte| length << 8 | usize::from(byte));
            entries.insert(index, behind[..length].to_vec());
            rest = &behind[length..];
            index += 1;
        }
    }
    entries
}

/// Another implementation finds the checkpoint's tree in the tiles, and proofs of all entries.
fn check_published(ledger: &Growing, to: &Path) {
    let note = fs::read(to.join("checkpoint")).unwrap();
    let text = signed_note::Note::from_bytes(&note).unwrap();
    let checkpoint = tlog_tiles::Checkpoint::from_bytes(text.text()).unwrap();
    let (size, root) = (checkpoint.size(), *checkpoint.hash());
    let mut payloads = ledger.payloads();
    payloads.truncate(usize::try_from(size).unwrap());
    assert_eq!(size, payloads.len() as u64);
    let published = Tiled(to);
    let reader = TileHashReader::new(size, root, &published);
    assert_eq!(tlog_tiles::tree_hash(size, &reader).unwrap(), root);
    for index in [0, 1, 255, 256, 300, size / 2, size - 1].into_iter().filter(|&at| at < size) {
        let proof = tlog_tiles::prove_record(size, index, &reader).unwrap();
        let leaf = tlog_tiles::record_hash(&payloads[index as usize]);
        tlog_tiles::check_record(&proof, size, root, index, leaf).unwrap();
    }
    let of_leaf = tlog_tiles::stored_hash_index(0, size - 1);
    let last = reader.read_hashes(&[of_leaf]).unwrap()[0];
    assert_eq!(last.0, leaf_hash(&payloads[size as usize - 1]).0);
    let mut entries = entries_of(&to.join("tile/entries"), 2, payloads.len());
    entries.extend(entries_of(&to.join("tile/long-entries"), 4, payloads.len()));
    assert!(entries.into_values().eq(payloads));
}

#[test]
fn another_implementation_accepts_what_is_published_at_any_size() {
    let ledger = Growing::new(1);
    let folder = tempfile::tempdir().unwrap();
    for (more, expected) in
        [(1, 3), (254, 3), (1, 4), (1, 3), (300, 6), (0, 0), (20_000, 2 + 2 * 78 + 1 + 1)]
    {
        ledger.grow_by(more);
        let published = ledger.publish(folder.path()).unwrap();
        check_published(&ledger, folder.path());
        assert_eq!(published.files, expected, "after {more} more");
    }
}

#[test]
fn what_an_entry_says_is_not_published() {
    let ledger = Growing::new(1);
    let mut long = draft("ana", &[("1", strong())], &[]);
    long.lookups = (0..7_000).map(lookup).collect();
    ledger.grow(&[Work::Draft(long)]);
    let folder = tempfile::tempdir().unwrap();
    ledger.publish(folder.path()).unwrap();
    check_published(&ledger, folder.path());
    let bundle = fs::read(folder.path().join("tile/entries/000.p/1")).unwrap();
    assert!(bundle.len() < 100, "{} bytes", bundle.len());
}

fn lookup(number: u64) -> crate::DraftLookup {
    let (relation, column) = ("public.customer".into(), "email".into());
    crate::DraftLookup { relation, column, hit: true, search: number.to_be_bytes() }
}

/// Only entries of the first version are so long.
#[test]
fn a_content_too_long_for_the_standard_goes_beside() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = Files { to: folder.path(), published: 0, size: 0, written: 0 };
    let mut bundle = Bundle::default();
    let contents: Vec<Vec<u8>> =
        (0..300).map(|number| vec![7; if number == 290 { 70_000 } else { number }]).collect();
    contents.iter().for_each(|content| bundle.push(content, &mut files).unwrap());
    bundle.finish(&mut files).unwrap();
    assert!(folder.path().join("tile/entries/000").exists());
    assert!(!folder.path().join("tile/entries/001.p/44").exists());
    let mut entries = entries_of(&folder.path().join("tile/entries"), 2, 300);
    entries.extend(entries_of(&folder.path().join("tile/long-entries"), 4, 300));
    assert!(entries.into_values().eq(contents));
}

#[test]
fn what_was_published_is_never_contradicted() {
    let (ledger, other) = (Growing::new(1), Growing::new(1));
    ledger.grow_by(300);
    let folder = tempfile::tempdir().unwrap();
    ledger.publish(folder.path()).unwrap();
    let before = fs::read(folder.path().join("checkpoint")).unwrap();
    let kind = |error: PublishError| {
        let PublishError::Damaged(damage) = error else { panic!("{error:?}") };
        damage.kind
    };
    // An older state.
    other.grow_by(299);
    let error = other.publish(folder.path()).unwrap_err();
    assert!(matches!(kind(error), DamageKind::Behind { checkpoint: Which::Kept, .. }));
    // Another history, longer than what was published.
    let logged_out = Note::LoggedOut { actor: postern_model::Actor::new("ana"), connection: 1 };
    other.grow(&[Work::Note(logged_out)]);
    other.grow_by(300);
    assert!(other.publish(folder.path()).is_err());
    // Another ledger.
    let third = Growing::new(2);
    third.grow_by(400);
    assert!(matches!(third.publish(folder.path()), Err(PublishError::Other { .. })));
    assert_eq!(fs::read(folder.path().join("checkpoint")).unwrap(), before);
    // Somebody changed what was published.
    let tile = folder.path().join("tile/0/000");
    let mut bytes = fs::read(&tile).unwrap();
    bytes[7] ^= 1;
    fs::write(&tile, &bytes).unwrap();
    let error = ledger.publish(folder.path()).unwrap_err();
    assert!(matches!(error, PublishError::Other { path } if path == tile));
    // What no checkpoint promised yet may be left from a run that was cut short.
    bytes[7] ^= 1;
    fs::write(&tile, &bytes).unwrap();
    ledger.grow_by(300);
    fs::write(folder.path().join("tile/0/001"), b"half").unwrap();
    ledger.publish(folder.path()).unwrap();
    check_published(&ledger, folder.path());
}

#[test]
fn what_is_published_is_what_witnesses_have_cosigned() {
    let ledger = Growing::new(1);
    let (one, two) = (witness(1), witness(2));
    let both = quorum(&[&one, &two], 2);
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path();
    // How many entries the published checkpoint has, and whether both have cosigned it.
    let there = |size: u64| {
        check_published(&ledger, to);
        let text = fs::read_to_string(to.join("checkpoint")).unwrap();
        assert_eq!(text.lines().nth(1), Some(size.to_string().as_str()));
        both.is_met_by(&text).is_some()
    };
    let numbers = |published: super::Published| (published.entries, published.unwitnessed);
    ledger.grow_by(5);
    let error = ledger.publish_by(to, Basis::Witnessed).unwrap_err();
    assert!(matches!(error, PublishError::NotWitnessed { seen: 0, published: 0 }), "{error:?}");
    assert_eq!(numbers(ledger.publish(to).unwrap()), (5, 5));
    assert!(!there(5));
    // Nothing is new but who has seen it.
    cosign(&ledger.disk, &[&one, &two]);
    assert_eq!(numbers(ledger.publish_by(to, Basis::Newest).unwrap()), (5, 0));
    assert!(there(5));
    ledger.grow_by(300);
    assert_eq!(numbers(ledger.publish(to).unwrap()), (5, 300));
    assert!(there(5));
    cosign(&ledger.disk, &[&one, &two]);
    ledger.grow_by(7);
    assert_eq!(numbers(ledger.publish(to).unwrap()), (305, 7));
    assert!(there(305));
    // Who went on without them does not go back.
    assert_eq!(numbers(ledger.publish_by(to, Basis::Newest).unwrap()), (312, 7));
    assert!(!there(312));
    assert_eq!(numbers(ledger.publish(to).unwrap()), (312, 7));
    assert!(!there(312));
    let error = ledger.publish_by(to, Basis::Witnessed).unwrap_err();
    assert!(matches!(error, PublishError::NotWitnessed { seen: 305, published: 312 }));
}

#[test]
fn paths_are_those_of_the_standard() {
    assert_eq!(index_path(0), "000");
    assert_eq!(index_path(999), "999");
    assert_eq!(index_path(1_234_067), "x001/x234/067");
    for index in [0, 5, 1_000, 999_999, 1_000_000, u64::from(u32::MAX)] {
        let path = Tile::new(8, 3, index, 256, false).path();
        assert_eq!(format!("tile/8/3/{}", index_path(index)), path);
    }
}
