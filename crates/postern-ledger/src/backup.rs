//! Copies of a ledger for bad days: made while a gateway writes, and put in its place again.
//!
//! A backup is a folder such as a follower keeps: the ledger up to a signed checkpoint, without its
//! key. Nothing is put there that does not continue what is there, so that a second backup to the
//! same folder takes what is new, and one of another history is refused. Restoring checks all of
//! it first, writes it where nothing is, and gives it its name when it is whole.
//!
//! Where to start: [`backup`], [`restore`].

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use postern_merkle::{Checkpoint, Hash, SigningKey, VerifyingKey};
use postern_model::{Actor, Clock, Timestamp};
use rand::RngExt as _;
use zeroize::Zeroizing;

use crate::{
    Damage, DamageKind, Note, OpenError, Options, Progress, RecordError, VerifyOptions, Which,
    disk::{Disk, Folder, replace},
    epoch::Keys,
    follow::{source::Source, store::Store},
    frame::LedgerId,
    identity::{self, KEY},
    recover::open_on,
    room::Room,
    scan::Mark,
    sequencer::Work,
    verify,
    witness::{WITNESSED, read_witnessed},
};

/// Why a backup was not made.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The ledger does not hold, or can't be read.
    #[error("the ledger does not hold")]
    Damaged(#[from] Damage),
    /// What is in the folder is no copy of this ledger, or is damaged.
    #[error("the backup's folder cannot be used")]
    Open(#[from] OpenError),
    /// The backup has more than the ledger.
    #[error("the backup has {there} entries and the ledger's checkpoint {here}: it was put back")]
    Ahead {
        /// How many the backup has.
        there: u64,
        /// How many the ledger's checkpoint covers.
        here: u64,
    },
    /// The backup has another history.
    #[error("the backup has another history of this ledger")]
    Fork,
    /// The copy can't be written.
    #[error("the copy cannot be written: {0}")]
    Refused(String),
    /// The system says no.
    #[error("the copy cannot be written")]
    Io(#[from] io::Error),
}

/// Why a backup was not restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The backup does not hold.
    #[error("the backup does not hold")]
    Damaged(#[source] Damage),
    /// There is something where it is to go.
    #[error("`{}` is there already; nothing is overwritten", folder.display())]
    Exists {
        /// Where.
        folder: PathBuf,
    },
    /// The checkpoint that was kept elsewhere covers more.
    #[error("the backup has {there} of {newest} entries: {} are lost with it", newest - there)]
    Loss {
        /// How many the backup has.
        there: u64,
        /// How many there were.
        newest: u64,
    },
    /// What is lost has to be recorded, which takes the signing key.
    #[error("without the signing key what is lost can't be recorded")]
    Unsigned,
    /// What is lost could not be recorded.
    #[error("what is lost can't be recorded")]
    Record(#[from] RecordError),
    /// The signing key is another ledger's.
    #[error("the signing key is not this ledger's")]
    Key,
    /// The copy can't be made.
    #[error("the ledger cannot be written")]
    Copy(#[from] BackupError),
}

/// A backup that is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackedUp {
    /// How many entries it has; its checkpoint covers all of them.
    pub entries: u64,
    /// How many of them are new.
    pub added: u64,
}

/// How to restore.
#[derive(Debug, Default)]
pub struct RestoreOptions {
    /// Restores also what has less than `against` covers, and says so in an entry, for which it
    /// needs `seed`.
    pub with_loss: Option<KnownLoss>,
    /// The key that is trusted; without it the one in the backup is taken.
    pub key: Option<VerifyingKey>,
    /// The ledger's `key`, which no backup has. Without it nothing can be recorded in what is
    /// restored.
    pub seed: Option<Zeroizing<[u8; 32]>>,
    /// A checkpoint that somebody else kept.
    pub against: Option<String>,
}

/// Who puts a ledger back though entries are lost, and why.
pub struct KnownLoss {
    pub by: Actor,
    pub why: Arc<str>,
    pub clock: Arc<dyn Clock>,
}

impl fmt::Debug for KnownLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KnownLoss").field("by", &self.by).finish_non_exhaustive()
    }
}

/// A ledger that is where it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    pub entries: u64,
    /// The time of the last entry: what came later is not there.
    pub last: Option<Timestamp>,
    pub root: Hash,
    /// How many entries the checkpoint that somebody else kept covers and this does not have.
    pub lost: Option<u64>,
}

/// Brings the backup in a folder up to the ledger's newest checkpoint; makes it if there is none.
/// The ledger may be written to meanwhile. What the folder has already is checked, all of it.
pub fn backup(
    ledger: &Path,
    to: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<BackedUp, BackupError> {
    let ledger: Arc<dyn Disk> = Arc::new(Folder::new(ledger));
    let key = identity::verifying_key(&*ledger)?;
    make_folder(to)?;
    let mut store = Store::open_on(Arc::new(Folder::new(to)), &key)?;
    let there = store.standing().0;
    let entries = copy(&ledger, &key, &mut store, progress)?;
    // What witnesses said goes with it; whose it is was looked at when it was read.
    if let Some((text, witnessed)) = identity::witnessed(&*ledger, &key)?
        && witnessed.size <= entries
    {
        replace(&Folder::new(to), WITNESSED, text.as_bytes())?;
    }
    Ok(BackedUp { entries, added: entries - there })
}

/// Puts a backup, or a follower's copy, where no ledger is.
pub fn restore(
    from: &Path,
    to: &Path,
    options: &RestoreOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Restored, RestoreError> {
    if fs::symlink_metadata(to).is_ok() {
        return Err(RestoreError::Exists { folder: to.to_owned() });
    }
    let backup: Arc<dyn Disk> = Arc::new(Folder::new(from));
    let key = identity::verifying_key(&*backup).map_err(RestoreError::Damaged)?;
    let seed = options.seed.as_deref();
    let signing = seed.map(|seed| SigningKey::new(key.name(), seed)).transpose();
    let is_own = |signing: SigningKey| signing.verifying_key() == key;
    if !signing.is_ok_and(|signing| signing.is_none_or(is_own)) {
        return Err(RestoreError::Key);
    }
    let lost = check(from, &key, options, progress)?;
    if lost.is_some_and(|lost| lost > 0) && options.seed.is_none() {
        return Err(RestoreError::Unsigned);
    }

    // Under another name until it is whole: a crash leaves nothing that looks like a ledger.
    let unfinished = with_ending(to, ".restoring");
    if fs::symlink_metadata(&unfinished).is_ok() {
        fs::remove_dir_all(&unfinished).map_err(BackupError::Io)?;
    }
    make_folder(&unfinished).map_err(BackupError::Io)?;
    let disk = Arc::new(Folder::new(&unfinished));
    let mut store = Store::open_on(disk.clone(), &key).map_err(BackupError::Open)?;
    copy(&backup, &key, &mut store, progress)?;
    let (entries, root) = store.standing();
    let last = (entries > 0).then(|| store.time());
    drop(store);
    let finish = || {
        if let Some(text) = read_witnessed(&*backup)? {
            replace(&*disk, WITNESSED, &text)?;
        }
        if let Some(seed) = seed {
            replace(&*disk, KEY, seed)?;
        }
        Ok(())
    };
    finish().map_err(BackupError::Io)?;
    record_loss(disk, &key, options, entries)?;
    let finish = || {
        fs::rename(&unfinished, to)?;
        match to.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            Some(parent) => fs::File::open(parent)?.sync_all(),
            None => fs::File::open(".")?.sync_all(),
        }
    };
    finish().map_err(BackupError::Io)?;
    Ok(Restored { entries, last, root, lost })
}

/// Has the first entry behind what is left say what is lost, before anything else can be recorded.
fn record_loss(
    disk: Arc<dyn Disk>,
    key: &VerifyingKey,
    options: &RestoreOptions,
    entries: u64,
) -> Result<(), RestoreError> {
    let (Some(loss), Some(against)) = (&options.with_loss, &options.against) else {
        return Ok(());
    };
    let seen = Checkpoint::verify(against.as_bytes(), key);
    let Some(seen) = seen.ok().filter(|seen| seen.size > entries) else { return Ok(()) };
    let (by, why) = (loss.by.clone(), loss.why.clone());
    let note = Note::Lost { by, entries, seen: seen.size, root: seen.root.0, why };
    let opening = Options::new(key.name(), loss.clock.clone());
    let salts = Box::new(|| rand::rng().random::<[u8; 16]>());
    let mut sequencer = open_on(disk, opening, salts).map_err(BackupError::Open)?;
    let room = Room::needed_by_note(&note);
    sequencer.commit(std::iter::once(&Work::Note(note)), room)?;
    sequencer.sign()?;
    Ok(())
}

/// Verifies a backup; says how much the checkpoint that was kept has more, if there is one.
fn check(
    from: &Path,
    key: &VerifyingKey,
    options: &RestoreOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Option<u64>, RestoreError> {
    let verifying = VerifyOptions {
        against: options.against.clone(),
        key: options.key.clone(),
        ..VerifyOptions::default()
    };
    let damage = match verify(from, &verifying, progress) {
        Ok(_) => return Ok(options.against.as_ref().map(|_| 0)),
        Err(damage) => damage,
    };
    let DamageKind::Behind { checkpoint: Which::Kept, expected, found } = damage.kind else {
        return Err(RestoreError::Damaged(damage));
    };
    if options.with_loss.is_none() {
        return Err(RestoreError::Loss { there: found, newest: expected });
    }
    // All that is there has to hold all the same.
    let verifying = VerifyOptions { against: None, ..verifying };
    verify(from, &verifying, progress).map_err(RestoreError::Damaged)?;
    tracing::warn!(key = key.name(), lost = expected - found, "entries are lost");
    Ok(Some(expected - found))
}

/// Copies what a ledger has up to its checkpoint, and the checkpoint.
fn copy(
    from: &Arc<dyn Disk>,
    key: &VerifyingKey,
    store: &mut Store,
    progress: &mut dyn FnMut(Progress),
) -> Result<u64, BackupError> {
    let (text, Checkpoint { size, .. }) = identity::checkpoint_text(&**from, key)?;
    let (there, root) = store.standing();
    if there > size {
        return Err(BackupError::Ahead { there, here: size });
    }
    let source = Source::new(from.clone(), LedgerId::new(key));
    let mark = source.find(Mark::start(), there)?;
    if (mark.edge.size(), mark.edge.root()) != (there, root) {
        return Err(BackupError::Fork);
    }
    let mut pieces = source.pieces(&mark, store.segments(), size)?;
    let keys = Keys::load(&**from)?;
    for epoch in keys.epochs() {
        if let Ok(key) = keys.key(epoch) {
            store.take_key(epoch, key.clone()).map_err(BackupError::Refused)?;
        }
    }
    while let Some((piece, _)) = pieces.next()? {
        let entries = piece.size;
        store.take(piece).map_err(BackupError::Refused)?;
        progress(Progress { entries, signed: size });
    }
    store.take_checkpoint(text).map_err(BackupError::Refused)?;
    Ok(size)
}

fn make_folder(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().mode(0o700).recursive(true).create(folder.join("segments"))
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

#[cfg(test)]
mod tests;
