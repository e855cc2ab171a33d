//! Making a ledger and opening one: see "Opening" in `docs/design/ledger.md`.

use std::{
    any::Any,
    cell::Cell,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use postern_merkle::{Edge, KeyError, SigningKey};
use postern_model::Timestamp;

use crate::{
    Body, Damage, DamageKind, Options,
    budget::Budgets,
    bulk::{UnseenBefore, records},
    dictionary::{Dictionary, Keep, Rows, Salts},
    disk::{Disk, DiskFile, read_from, remove_if_there, zero},
    epoch::{self, EpochKey, Keys, Stage, Turn, key_name},
    erase::{Gone, UNFINISHED, write_without},
    frame::{DICTIONARY_NAME, HEADER_BYTES, LedgerId, encode_dictionary_header, segment_name},
    identity::{self, CHECKPOINT, KEY, KEY_PUB, damage_at},
    leaf::SegmentSecret,
    payload::Decoded,
    room::{RowsLog, Segment},
    scan::{Position, Scan},
    sequencer::{Sequencer, write_checkpoint},
    values::ValueKey,
    verify::{Check, own_checks},
    witness::WITNESSED,
};

/// Why a ledger could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// There is something already.
    #[error("`{}` has a ledger or the rest of one", folder.display())]
    Exists {
        /// Where.
        folder: PathBuf,
    },
    /// The name can't be one.
    #[error("the ledger's name cannot be used")]
    Name(#[source] KeyError),
    /// A file could not be written.
    #[error("the ledger cannot be written")]
    Io(#[source] io::Error),
}

/// Why a ledger could not be opened. Nothing may be disclosed then.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is none; opening never makes one.
    #[error("there is no ledger at `{}`", folder.display())]
    NotThere {
        /// Where.
        folder: PathBuf,
    },
    /// Another writer has it open.
    #[error("the ledger at `{}` is in use by another process", folder.display())]
    Locked {
        /// Where.
        folder: PathBuf,
    },
    /// It is the ledger itself, and not a copy of it.
    #[error("`{}` has a ledger's own key: it is no second copy", folder.display())]
    Original {
        /// Where.
        folder: PathBuf,
    },
    /// It is a ledger of another name.
    #[error("the ledger is called `{found}`, not `{expected}`")]
    Origin {
        /// Its name.
        found: String,
        /// The name in the options.
        expected: String,
    },
    /// It was altered or lost something.
    #[error("the ledger is damaged")]
    Damaged(#[from] Damage),
    /// It could not be brought into order.
    #[error("the ledger cannot be written")]
    Io(#[from] io::Error),
}

/// Makes an empty ledger on a disk whose folders exist.
pub(crate) fn create_on(
    disk: &dyn Disk,
    options: &Options,
    seed: &[u8; 32],
) -> Result<(), CreateError> {
    let key = SigningKey::new(&options.origin, seed).map_err(CreateError::Name)?;
    let write = || {
        let id = LedgerId::new(&key.verifying_key());
        write_new(disk, KEY, seed)?;
        write_new(disk, KEY_PUB, format!("{}\n", key.verifying_key().as_str()).as_bytes())?;
        write_new(disk, DICTIONARY_NAME, &encode_dictionary_header(id))?;
        let length = options.segment_bytes.max(2 * HEADER_BYTES as u64);
        Segment::make(disk, (id, &SegmentSecret::new(seed)), 0, 0, length)?;
        // The checkpoint comes last: a folder without one is not a ledger yet.
        write_checkpoint(disk, &options.origin, &key, &Edge::default()).map(drop)
    };
    write().map_err(|error| CreateError::new(error, &disk.path("")))
}

impl CreateError {
    pub(crate) fn new(error: io::Error, folder: &Path) -> Self {
        if error.kind() == io::ErrorKind::AlreadyExists {
            Self::Exists { folder: folder.to_owned() }
        } else {
            Self::Io(error)
        }
    }
}

fn write_new(disk: &dyn Disk, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut file = disk.create(name)?;
    file.write_at(bytes, 0)?;
    file.sync()
}

/// Opens a ledger for writing: checks all of it and repairs what a crash leaves behind.
pub(crate) fn open_on(
    disk: Arc<dyn Disk>,
    options: Options,
    salts: Salts,
) -> Result<Sequencer, OpenError> {
    let lock = lock(&*disk)?;
    let verifying = identity::verifying_key(&*disk)?;
    if verifying.name() != options.origin {
        let (found, expected) = (verifying.name().to_owned(), options.origin);
        return Err(OpenError::Origin { found, expected });
    }
    let (key, seed) = identity::key_and_seed(&*disk, &verifying)?;
    let checkpoint = identity::checkpoint(&*disk, &verifying)?;
    remove_unfinished(&*disk)?;

    let id = LedgerId::new(&verifying);
    let signed = checkpoint.size;
    let checks = own_checks(&*disk, &verifying, checkpoint)?;
    let mut budgets = Budgets::new(options.horizon);
    let (mut begun, mut unseen) = (Vec::new(), UnseenBefore::new());
    let seen = identity::witnessed(&*disk, &verifying)?.map_or(0, |(_, witnessed)| witnessed.size);
    let rows = Rows::keeping(Keep::Earlier);
    let rows = if options.value_hashes { rows.with_salts() } else { rows };
    let settled = settle_all(&disk, id, (checks, signed), rows, &mut |decoded, rows| {
        if let Some(charges) = &decoded.charges {
            budgets.replay(charges, decoded.entry.time, rows);
        }
        if let Body::Disclosed(disclosed) = &decoded.entry.body
            && decoded.entry.sequence >= seen
        {
            let (last, count) = unseen.entry(disclosed.actor.clone()).or_insert((0, 0));
            *last = decoded.entry.sequence;
            *count += records(&decoded.entry);
        }
        if let Some(Turn::Begun { .. }) = decoded.turn {
            begun.push(decoded.entry.time);
        }
    })?;
    let Settled { segment, rows, edge, last, texts, stage, keys } = settled;
    let epoch = present_epoch(&*disk, stage, &keys)?;
    let value_key = epoch.as_ref().map_or(&*seed, |(_, key)| key.as_bytes());
    let value_key = ValueKey::new(value_key);
    Ok(Sequencer {
        disk,
        _lock: lock,
        options,
        key,
        secret: SegmentSecret::new(&seed),
        segment,
        rows,
        dictionary: Dictionary::new(texts, epoch, salts),
        value_key,
        budgets,
        stage,
        begun,
        unseen,
        edge,
        last,
        signed,
        had_room: Cell::new(None),
        poison: None,
        shipping: None,
    })
}

/// The epoch that is written in, with its key: without it nothing of customers can be recorded.
fn present_epoch(
    disk: &dyn Disk,
    stage: Stage,
    keys: &Keys,
) -> Result<Option<(u16, EpochKey)>, Damage> {
    if stage.current == 0 {
        return Ok(None);
    }
    match keys.key(stage.current) {
        Ok(key) => Ok(Some((stage.current, key.clone()))),
        Err(trouble) => Err(damage_at(disk, &key_name(stage.current), trouble.into())),
    }
}

impl From<epoch::KeyTrouble> for DamageKind {
    fn from(trouble: epoch::KeyTrouble) -> Self {
        match trouble {
            epoch::KeyTrouble::Missing => Self::Missing,
            epoch::KeyTrouble::Other => Self::Key,
        }
    }
}

/// A ledger whose end is in order and durable.
pub(crate) struct Settled {
    pub(crate) segment: Segment,
    pub(crate) rows: RowsLog,
    pub(crate) edge: Edge,
    /// The time of the last entry.
    pub(crate) last: Timestamp,
    pub(crate) texts: Rows,
    pub(crate) stage: Stage,
    pub(crate) keys: Keys,
}

/// Checks all of a ledger, tells of each entry, and brings its end into order. What the checkpoint
/// covers, which is so many entries, is durable already.
pub(crate) fn settle_all(
    disk: &Arc<dyn Disk>,
    id: LedgerId,
    (mut checks, signed): (Vec<Check>, u64),
    rows: Rows,
    each: &mut dyn FnMut(&Decoded, &Rows),
) -> Result<Settled, OpenError> {
    let mut scan = Scan::open(disk.clone(), id, rows)?;
    let mut settled = scan.position();
    checks.iter_mut().for_each(|check| check.look(scan.edge()));
    while let Some((decoded, _)) = scan.next()? {
        checks.iter_mut().for_each(|check| check.look(scan.edge()));
        each(&decoded, scan.rows());
        let (size, (segment, _)) = (scan.edge().size(), scan.frame_at());
        // A segment that the checkpoint covers wholly takes no more entries, and may stand where
        // nothing can be written.
        if size == signed + 1 {
            settled = settled.in_segment(segment);
        }
        if size == signed {
            settled = scan.position();
        }
    }
    checks.iter().try_for_each(|check| check.finish(&scan))?;
    // Everything up to here only read. What follows writes the same bytes or zeros, so that a
    // crash in between changes nothing about what the next opening finds.
    let end = scan.position();
    if scan.edge().size() == signed {
        settled = settled.in_segment(end.segment);
    }
    let (file, length) = settle_segments(&**disk, settled, end)?;
    let (ordinal, first, offset) = (end.segment, scan.mark().first, end.offset);
    let salt = scan.segment_salt();
    let segment = Segment { file, id, ordinal, first, salt, offset, length };
    let mut rows = settle_dictionary(&**disk, settled, end)?;
    let (last, stage, mut keys) = (scan.time(), scan.stage(), scan.keys().clone());
    let mut erased = scan.erased().clone();
    let (edge, mut texts) = scan.into_parts();
    // What was recorded as erased and is there still: the crash came between.
    erased.retain(|&subject| texts.has_name_of(subject));
    if !erased.is_empty() {
        rows = write_without(&**disk, id, Gone::Subjects(&erased))?.put_in_place(&**disk)?;
        texts.erase(&erased);
    }
    // The same of what is past retention.
    let unsealed = texts.has_name_before(stage.unsealed);
    if stage.kept > 0 && (unsealed || epoch::has_keys(&**disk, stage.kept)?) {
        rows = write_without(&**disk, id, Gone::Before(stage))?.put_in_place(&**disk)?;
        epoch::destroy_keys(&**disk, stage.kept)?;
        texts.forget(stage.unsealed, stage.kept);
        keys.forget(stage.kept);
    }
    epoch::remove_unused(&**disk, stage.current)?;
    Ok(Settled { segment, rows, edge, last, texts, stage, keys })
}

/// Takes the writer's lock of a ledger that is there.
fn lock(disk: &dyn Disk) -> Result<Box<dyn Any + Send>, OpenError> {
    let folder = disk.path("");
    let found = disk.open_read(KEY_PUB);
    if found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Err(OpenError::NotThere { folder });
    }
    disk.lock().map_err(|error| {
        if error.kind() == io::ErrorKind::WouldBlock {
            OpenError::Locked { folder }
        } else {
            OpenError::Io(error)
        }
    })
}

pub(crate) fn remove_unfinished(disk: &dyn Disk) -> io::Result<()> {
    remove_if_there(disk, &format!("{CHECKPOINT}.tmp"))?;
    remove_if_there(disk, UNFINISHED)?;
    let of_witnessed = |name: &String| name.starts_with(WITNESSED) && name.ends_with(".tmp");
    let is_unfinished = |name: &&String| of_witnessed(name) || epoch::is_unfinished(name);
    for name in disk.list("")?.iter().filter(is_unfinished) {
        remove_if_there(disk, name)?;
    }
    for name in disk.list("segments")?.iter().filter(|name| name.ends_with(".tmp")) {
        disk.remove(&format!("segments/{name}"))?;
    }
    Ok(())
}

/// Makes sure of everything behind the checkpoint, and zeroes what follows the last entry. Returns
/// the last segment and its length.
fn settle_segments(
    disk: &dyn Disk,
    settled: Position,
    end: Position,
) -> Result<(Box<dyn DiskFile>, u64), OpenError> {
    for ordinal in settled.segment..end.segment {
        let mut file = disk.open(&segment_name(ordinal))?;
        let from = if ordinal == settled.segment { settled.offset } else { HEADER_BYTES as u64 };
        let to = file.len()?;
        settle(&mut *file, from, to)?;
    }
    let mut file = disk.open(&segment_name(end.segment))?;
    let from = if end.segment == settled.segment { settled.offset } else { HEADER_BYTES as u64 };
    settle(&mut *file, from, end.offset)?;
    let length = file.len()?;
    // Names may not be durable yet, of a new segment or of a checkpoint.
    disk.sync_folder("segments")?;
    disk.sync_folder("")?;
    Ok((file, length))
}

fn settle_dictionary(
    disk: &dyn Disk,
    settled: Position,
    end: Position,
) -> Result<RowsLog, OpenError> {
    let mut file = disk.open(DICTIONARY_NAME)?;
    settle(&mut *file, settled.dictionary, end.dictionary)?;
    let length = file.len()?;
    Ok(RowsLog { file, offset: end.dictionary, length })
}

/// Writes `from..to` once more, zeroes what follows, and syncs. What was read may be in the page
/// cache only, and clean there after a failed sync: written again it is dirty, so that the sync
/// covers it. The same goes for zeros, so they are written whether they are read as zeros or not.
fn settle(file: &mut dyn DiskFile, from: u64, to: u64) -> io::Result<()> {
    let mut bytes = read_from(file, from)?;
    let kept = usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX).min(bytes.len());
    let rest = bytes.split_off(kept);
    if !bytes.is_empty() {
        file.write_at(&bytes, from)?;
    }
    if let Some(last) = rest.iter().rposition(|&byte| byte != 0) {
        tracing::warn!(bytes = last + 1, "an unfinished write at the ledger's end is removed");
    }
    zero(file, to, to + rest.len() as u64)?;
    file.sync()
}
