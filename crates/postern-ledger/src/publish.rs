//! The ledger in the form in which others read logs: C2SP tlog-tiles.
//!
//! Tiles and entry bundles are derived: they hold nothing that the segments don't, and can be made
//! anew at any time. The ledger is read and checked for it up to its checkpoint, which is written
//! last. What was published once is compared and never changed. Where to start: [`publish`].

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use postern_merkle::{Checkpoint, Hash, VerifyingKey, node_hash};

use crate::{
    Basis, Damage, Which,
    basis::Grounds,
    dictionary::{Keep, Rows},
    disk::{Disk, Folder},
    frame::LedgerId,
    identity,
    scan::Scan,
    verify::{Check, PROGRESS_STEP},
};

/// Why the ledger was not published, or not all of it; the old checkpoint still stands.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The ledger does not hold.
    #[error("the ledger does not hold")]
    Damaged(#[from] Damage),
    /// Something else was published under this name before: the ledger is not the one of then.
    #[error("`{}` was published before with another content", path.display())]
    Other {
        /// The file.
        path: PathBuf,
    },
    /// No witness has seen as much as was published, and nothing else is to be.
    #[error("witnesses have seen {seen} entries, and {published} were published before")]
    NotWitnessed {
        /// How many they have seen.
        seen: u64,
        /// How many were published.
        published: u64,
    },
    /// A file could not be written.
    #[error("`{}` cannot be written", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        #[source]
        error: io::Error,
    },
}

/// What was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// How many entries there are now.
    pub entries: u64,
    /// How many more the ledger has signed, which no witness has seen.
    pub unwitnessed: u64,
    /// How many files were written; those that were there already are not counted.
    pub files: u64,
}

/// Source: C2SP tlog-tiles.
const TILE_WIDTH: usize = 256;

/// Writes tiles, entry bundles and the checkpoint of that basis to `to`, which is made if need be.
/// All that the newest checkpoint covers is read and checked for it.
///
/// # Errors
/// The ledger does not hold, or another was published before, or the files can't be written.
pub fn publish(
    folder: &Path,
    to: &Path,
    basis: Basis,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Published, PublishError> {
    publish_on(Arc::new(Folder::new(folder)), to, basis, progress)
}

pub(crate) fn publish_on(
    disk: Arc<dyn Disk>,
    to: &Path,
    basis: Basis,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Published, PublishError> {
    let key = identity::verifying_key(&*disk)?;
    let grounds = Grounds::read(&*disk, &key)?;
    let mut checks = grounds.checks();
    // What was published before must be continued.
    let before = published_before(to, &key)?;
    let published = before.as_ref().map_or(0, |before| before.size);
    let seen = grounds.seen();
    let not_witnessed = PublishError::NotWitnessed { seen, published };
    let chosen = grounds.choose(basis, published).ok_or(not_witnessed)?;
    let entries = chosen.size();
    checks.extend(before.map(|before| Check::new(Which::Kept, before)));
    let rows = Rows::keeping(Keep::Counts);
    let mut scan = Scan::open(disk, LedgerId::new(&key), rows)?;
    let files = Files { to, published, size: 0, written: 0 };
    let mut tiles = Tiles { files, levels: Vec::new() };
    let mut bundle = Bundle::default();
    checks.iter_mut().for_each(|check| check.look(scan.edge()));
    while scan.edge().size() < grounds.end() {
        let Some((_, leaf)) = scan.next()? else { break };
        let size = scan.edge().size();
        if size <= entries {
            tiles.files.size = size;
            tiles.push(0, leaf)?;
            bundle.push(&scan.content(), &mut tiles.files)?;
        }
        checks.iter_mut().for_each(|check| check.look(scan.edge()));
        if size.is_multiple_of(PROGRESS_STEP) {
            progress(size, grounds.end());
        }
    }
    for check in &checks {
        check.finish(&scan)?;
    }
    bundle.finish(&mut tiles.files)?;
    let mut files = tiles.finish()?;
    // The checkpoint promises all the others, so they are durable before it is there.
    files.sync()?;
    let text = chosen.text.as_bytes();
    if fs::read(to.join(identity::CHECKPOINT)).ok().as_deref() != Some(text) {
        files.replace(identity::CHECKPOINT, text)?;
        files.sync()?;
    }
    let unwitnessed = grounds.newest.size().saturating_sub(seen);
    Ok(Published { entries, unwitnessed, files: files.written })
}

/// The right edge of the tiles: at each level what is not a full tile yet.
struct Tiles<'a> {
    files: Files<'a>,
    levels: Vec<Level>,
}

#[derive(Default)]
struct Level {
    hashes: Vec<Hash>,
    /// Full tiles so far.
    full: u64,
}

impl<'a> Tiles<'a> {
    fn push(&mut self, level: usize, hash: Hash) -> Result<(), PublishError> {
        if self.levels.len() == level {
            self.levels.push(Level::default());
        }
        let Some(Level { hashes, full }) = self.levels.get_mut(level) else { return Ok(()) };
        hashes.push(hash);
        if hashes.len() < TILE_WIDTH {
            return Ok(());
        }
        let path = format!("tile/{level}/{}", index_path(*full));
        self.files.add(&path, &tile_bytes(hashes))?;
        *full += 1;
        let root = subtree_root(std::mem::take(hashes));
        self.push(level + 1, root)
    }

    /// Writes what is not full, under its width.
    fn finish(mut self) -> Result<Files<'a>, PublishError> {
        for (level, Level { hashes, full }) in self.levels.iter().enumerate() {
            if !hashes.is_empty() {
                let path = format!("tile/{level}/{}.p/{}", index_path(*full), hashes.len());
                self.files.add(&path, &tile_bytes(hashes))?;
            }
        }
        Ok(self.files)
    }
}

fn tile_bytes(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

/// The root over a full tile.
fn subtree_root(mut hashes: Vec<Hash>) -> Hash {
    while hashes.len() > 1 {
        let pairs = hashes.chunks_exact(2);
        hashes = pairs.filter_map(|pair| Some(node_hash(pair.first()?, pair.last()?))).collect();
    }
    hashes.pop().unwrap_or(Hash([0; 32]))
}

/// A number in elements of three digits, all but the last marked. Source: C2SP tlog-tiles.
fn index_path(index: u64) -> String {
    let mut path = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        path = format!("x{:03}/{path}", rest % 1000);
        rest /= 1000;
    }
    path
}

/// Entries until a bundle is full.
#[derive(Default)]
struct Bundle {
    contents: Vec<Vec<u8>>,
    full: u64,
}

impl Bundle {
    fn push(&mut self, content: &[u8], files: &mut Files<'_>) -> Result<(), PublishError> {
        self.contents.push(content.to_vec());
        if self.contents.len() == TILE_WIDTH {
            self.write(&index_path(self.full), files)?;
            self.full += 1;
            self.contents.clear();
        }
        Ok(())
    }

    fn finish(self, files: &mut Files<'_>) -> Result<(), PublishError> {
        if self.contents.is_empty() {
            return Ok(());
        }
        let name = format!("{}.p/{}", index_path(self.full), self.contents.len());
        self.write(&name, files)
    }

    /// The standard's bundles have lengths of 16 bits. One with a longer entry goes to a folder of
    /// its own, with lengths of 32.
    fn write(&self, name: &str, files: &mut Files<'_>) -> Result<(), PublishError> {
        let short: Option<Vec<u16>> =
            self.contents.iter().map(|content| u16::try_from(content.len()).ok()).collect();
        let mut bytes = Vec::new();
        match &short {
            Some(lengths) => {
                for (length, content) in lengths.iter().zip(&self.contents) {
                    bytes.extend_from_slice(&length.to_be_bytes());
                    bytes.extend_from_slice(content);
                }
                files.add(&format!("tile/entries/{name}"), &bytes)
            }
            None => {
                for content in &self.contents {
                    // A content is bounded far below 4 GiB.
                    let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
                    bytes.extend_from_slice(&length.to_be_bytes());
                    bytes.extend_from_slice(content);
                }
                files.add(&format!("tile/long-entries/{name}"), &bytes)
            }
        }
    }
}

/// The checkpoint that was published last.
fn published_before(to: &Path, key: &VerifyingKey) -> Result<Option<Checkpoint>, PublishError> {
    let path = to.join(identity::CHECKPOINT);
    match fs::read(&path) {
        Ok(bytes) => match Checkpoint::verify(&bytes, key) {
            Ok(checkpoint) => Ok(Some(checkpoint)),
            Err(_) => Err(PublishError::Other { path }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(PublishError::Io { path, error }),
    }
}

/// The folder that is written to.
struct Files<'a> {
    to: &'a Path,
    /// How many entries were published before. Their files never change; later ones may be there
    /// from a run that was cut short.
    published: u64,
    /// How many entries went by.
    size: u64,
    written: u64,
}

impl Files<'_> {
    /// Adds a file over entries that all went by.
    fn add(&mut self, name: &str, bytes: &[u8]) -> Result<(), PublishError> {
        let path = self.to.join(name);
        match fs::read(&path) {
            Ok(found) if found == bytes => return Ok(()),
            Ok(_) if self.size <= self.published => return Err(PublishError::Other { path }),
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(PublishError::Io { path, error });
            }
            Ok(_) | Err(_) => {}
        }
        self.replace(name, bytes)
    }

    /// Writes a file beside its place, and moves it there when it is whole.
    fn replace(&mut self, name: &str, bytes: &[u8]) -> Result<(), PublishError> {
        let path = self.to.join(name);
        let unfinished = self.to.join(format!("{name}.tmp"));
        let write = || {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::write(&unfinished, bytes)?;
            fs::rename(&unfinished, &path)
        };
        write().map_err(|error| PublishError::Io { path: path.clone(), error })?;
        self.written += 1;
        Ok(())
    }

    /// Makes all that was written durable, at once: there may be thousands of files.
    fn sync(&self) -> Result<(), PublishError> {
        let sync = || Ok(rustix::fs::syncfs(fs::File::open(self.to)?)?);
        sync().map_err(|error| PublishError::Io { path: self.to.to_owned(), error })
    }
}

#[cfg(test)]
mod tests;
