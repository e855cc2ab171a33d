use std::{fmt, path::Path, sync::Arc};

use postern_merkle::Hash;
use postern_model::Timestamp;

use crate::{
    Damage, Entry,
    dictionary::Rows,
    disk::{Disk, Folder},
    frame::LedgerId,
    identity,
    scan::Scan,
};

/// Reads a ledger's entries in order, also while a writer is at work: it ends where the writer
/// was when it looked. Every frame, row and binding is checked on the way; the tree and the
/// checkpoint are not (see [`verify`](crate::verify())).
pub struct Reader {
    scan: Scan,
    failed: bool,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("next", &self.scan.edge().size()).finish_non_exhaustive()
    }
}

impl Reader {
    /// Opens the ledger in a folder for reading.
    pub fn open(folder: &Path) -> Result<Self, Damage> {
        Self::open_on(Arc::new(Folder::new(folder)))
    }

    pub(crate) fn open_on(disk: Arc<dyn Disk>) -> Result<Self, Damage> {
        let key = identity::verifying_key(&*disk)?;
        Ok(Self { scan: Scan::open(disk, LedgerId::new(&key), Rows::default())?, failed: false })
    }

    /// Before which moment the ledger names no customer any more, as far as was read.
    pub fn past_retention(&self) -> Option<Timestamp> {
        self.scan.stage().past_retention()
    }

    /// The root of the tree over the entries that were read so far.
    pub fn root(&self) -> Hash {
        self.scan.edge().root()
    }
}

impl Iterator for Reader {
    type Item = Result<Entry, Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        match self.scan.next() {
            Ok(next) => next.map(|(decoded, _)| Ok(decoded.entry)),
            Err(damage) => {
                self.failed = true;
                Some(Err(damage))
            }
        }
    }
}
