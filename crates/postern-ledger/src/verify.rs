//! Verification: whether a folder holds the ledger that its checkpoints promise, all of it.
//!
//! It reads and never mends. The checks of frames, order and dictionary are those of `scan`, which
//! the writer too goes through when it opens a ledger; here the checkpoints come on top, the
//! ledger's own and one that somebody else kept. Only the latter, or a trusted key, shows more than
//! that the folder agrees with itself. The first damage ends it. Where to start: [`verify`].

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use postern_merkle::{Checkpoint, Edge, Hash, VerifyingKey};
use postern_model::Timestamp;

use crate::{
    Damage, DamageKind, Which,
    disk::{Disk, Folder},
    epoch::key_name,
    erase,
    frame::{DICTIONARY_NAME, LedgerId},
    identity::{self, damage_at},
    scan::Scan,
};

/// What to verify besides the ledger's own consistency.
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// A checkpoint of this ledger that somebody else kept, as text.
    pub against: Option<String>,
    /// The key that the verifier trusts; without it the one in the folder is taken, which only
    /// shows that the ledger agrees with itself.
    pub key: Option<VerifyingKey>,
    /// Whether something unfinished may stand at the end.
    pub tail: Tail,
}

/// Whether something unfinished may stand at the end of a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tail {
    /// A writer may be at work, or was cut short and the ledger not opened since.
    #[default]
    MayBeTorn,
    /// The ledger was closed, or opened again.
    MustBeClean,
}

/// A ledger that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// How many entries there are.
    pub entries: u64,
    /// The time of the last.
    pub last: Option<Timestamp>,
    /// The root of the tree over all of them.
    pub root: Hash,
    /// How many of them the ledger's own checkpoint covers.
    pub signed: u64,
    /// How many of them the checkpoint that was kept elsewhere covers.
    pub kept: Option<u64>,
    /// Whether something unfinished stands at the end.
    pub torn: bool,
    /// File and byte where something stands of which an entry says that it is gone: the name of
    /// who was erased or is past retention, or a key of then. So it is while that is under way,
    /// and where it was cut short or undone. The next opening ends it.
    pub left_over: Option<(PathBuf, u64)>,
}

/// How far a verification is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Entries checked.
    pub entries: u64,
    /// Entries that the checkpoint promises.
    pub signed: u64,
}

/// How many entries lie between two calls of the progress function.
pub(crate) const PROGRESS_STEP: u64 = 10_000;

/// Checks all of a ledger: every frame, the order of entries and their times, every dictionary row
/// and its binding, the tree, the checkpoint's signature, size and root, and, if given, that the
/// entries are those of a checkpoint that somebody else kept.
///
/// # Errors
/// The first damage there is, in the order of "Verifying" in `docs/design/ledger.md`. What can't be
/// read is [`DamageKind::Unreadable`], which says nothing against the ledger.
pub fn verify(
    folder: &Path,
    options: &VerifyOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Summary, Damage> {
    verify_on(Arc::new(Folder::new(folder)), options, progress)
}

pub(crate) fn verify_on(
    disk: Arc<dyn Disk>,
    options: &VerifyOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Summary, Damage> {
    verify_by(Scan::check, disk, options, progress)
}

fn verify_by(
    start: fn(Arc<dyn Disk>, LedgerId) -> Result<Scan, Damage>,
    disk: Arc<dyn Disk>,
    options: &VerifyOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Summary, Damage> {
    let key = trusted_key(&*disk, options)?;
    // Before the entries: a writer at work may sign a newer one meanwhile.
    let own = identity::checkpoint(&*disk, &key)?;
    let mut checks = own_checks(&*disk, &key, own.clone())?;
    let kept = options.against.as_deref().map(|text| Checkpoint::verify(text.as_bytes(), &key));
    let kept = kept
        .transpose()
        .map_err(|error| damage_at(&*disk, identity::CHECKPOINT, DamageKind::Kept(error)))?;
    checks.extend(kept.clone().map(|kept| Check::new(Which::Kept, kept)));

    let mut scan = start(disk.clone(), LedgerId::new(&key))?;
    checks.iter_mut().for_each(|check| check.look(scan.edge()));
    while scan.check_next()? {
        let entries = scan.edge().size();
        checks.iter_mut().for_each(|check| check.look(scan.edge()));
        if entries.is_multiple_of(PROGRESS_STEP) {
            progress(Progress { entries, signed: own.size });
        }
    }
    progress(Progress { entries: scan.edge().size(), signed: own.size });
    for check in &checks {
        check.finish(&scan)?;
    }
    if options.tail == Tail::MustBeClean {
        no_old_keys(&*disk, &scan)?;
    }
    let left_over = left_over(&*disk, &key, &scan)?;
    let torn = torn(&mut scan)?;
    if let (Some(damage), Tail::MustBeClean) = (&torn, options.tail) {
        let kind = if scan.is_torn() { DamageKind::TornTail } else { DamageKind::UnusedRows };
        return Err(Damage { kind, file: damage.file.clone(), ..*damage });
    }
    Ok(Summary {
        entries: scan.edge().size(),
        last: (scan.edge().size() > 0).then(|| scan.time()),
        root: scan.edge().root(),
        signed: own.size,
        kept: kept.map(|kept| kept.size),
        torn: torn.is_some(),
        left_over,
    })
}

/// A ledger against its own checkpoint, and against the newest that was witnessed.
pub(crate) fn own_checks(
    disk: &dyn Disk,
    key: &VerifyingKey,
    own: Checkpoint,
) -> Result<Vec<Check>, Damage> {
    let mut checks = vec![Check::new(Which::Own, own)];
    let witnessed = identity::witnessed(disk, key)?;
    checks.extend(witnessed.map(|(_, witnessed)| Check::new(Which::Witnessed, witnessed)));
    Ok(checks)
}

/// What is past retention has no key any more, once the ledger was opened since.
fn no_old_keys(disk: &dyn Disk, scan: &Scan) -> Result<(), Damage> {
    match old_key(scan) {
        Some(epoch) => Err(damage_at(disk, &key_name(epoch), DamageKind::Stray)),
        None => Ok(()),
    }
}

fn old_key(scan: &Scan) -> Option<u16> {
    scan.keys().epochs().find(|&epoch| epoch < scan.stage().kept)
}

/// Where something stands of which entries say that it is gone.
fn left_over(
    disk: &dyn Disk,
    key: &VerifyingKey,
    scan: &Scan,
) -> Result<Option<(PathBuf, u64)>, Damage> {
    if let Some(epoch) = old_key(scan) {
        return Ok(Some((disk.path(&key_name(epoch)), 0)));
    }
    let rows = scan.rows().counts().iter().map(|&count| u64::from(count)).sum();
    let gone = (scan.erased(), scan.stage());
    let left = erase::left_over(disk, LedgerId::new(key), gone, rows)?;
    Ok(left.map(|offset| (disk.path(DICTIONARY_NAME), offset)))
}

fn torn(scan: &mut Scan) -> Result<Option<Damage>, Damage> {
    if scan.is_torn() {
        return Ok(Some(scan.damage(DamageKind::TornTail)));
    }
    scan.unused_rows()
}

fn trusted_key(disk: &dyn Disk, options: &VerifyOptions) -> Result<VerifyingKey, Damage> {
    let found = identity::verifying_key(disk)?;
    if options.key.as_ref().is_some_and(|trusted| *trusted != found) {
        return Err(damage_at(disk, identity::KEY_PUB, DamageKind::Key));
    }
    // An auditor has no signing key; where there is one, it must be the right one.
    match identity::signing_key(disk, &found) {
        Err(Damage { kind: DamageKind::Missing | DamageKind::Unreadable(_), .. }) | Ok(_) => {
            Ok(found)
        }
        Err(damage) => Err(damage),
    }
}

/// Compares the tree with a checkpoint when it has the checkpoint's size.
pub(crate) struct Check {
    which: Which,
    checkpoint: Checkpoint,
    root: Option<Hash>,
}

impl Check {
    pub(crate) fn new(which: Which, checkpoint: Checkpoint) -> Self {
        Self { which, checkpoint, root: None }
    }

    pub(crate) fn look(&mut self, edge: &Edge) {
        if edge.size() == self.checkpoint.size {
            self.root = Some(edge.root());
        }
    }

    /// To be called when all entries were looked at.
    pub(crate) fn finish(&self, scan: &Scan) -> Result<(), Damage> {
        let (checkpoint, size) = (self.which, self.checkpoint.size);
        let Some(found) = self.root else {
            // What a checkpoint covers was durable, so it is not an unfinished write.
            if scan.is_torn() {
                return Err(scan.damage(DamageKind::Frame));
            }
            let (expected, found) = (size, scan.edge().size());
            return Err(scan.damage(DamageKind::Behind { checkpoint, expected, found }));
        };
        if found == self.checkpoint.root {
            return Ok(());
        }
        Err(scan.damage(DamageKind::Root { checkpoint, size }))
    }
}

/// The same in one thread, whatever the length, with every entry decoded.
#[cfg(test)]
pub(crate) fn verify_alone(
    disk: Arc<dyn Disk>,
    options: &VerifyOptions,
) -> Result<Summary, Damage> {
    verify_by(Scan::check_alone, disk, options, &mut |_| {})
}

#[cfg(test)]
pub(crate) mod tests;
