//! Segments on other volumes: see "Several volumes" in `docs/design/ledger.md`.
//!
//! Only what is never written again is moved, and a symbolic link stands in its place, so that
//! nothing that reads a ledger has to know of it. It works beside a running gateway. Where to
//! start: [`move_segments`].

use std::{
    io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use crate::{
    Damage, DamageKind,
    disk::{Disk, DiskFile, Folder, remove_if_there},
    frame::{HEADER_BYTES, LedgerId, SegmentHeader, segment_name},
    identity::{self, damage_at, unreadable},
};

/// What was moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moved {
    /// How many segments.
    pub segments: u64,
    /// Their length together.
    pub bytes: u64,
}

/// Why segments were not moved, or not all.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// The ledger can't be read, or does not hold.
    #[error("the ledger does not hold")]
    Damaged(#[from] Damage),
    /// The folder for them can't be used. It is never made.
    #[error("`{}` has to be a folder that is there and takes writing", folder.display())]
    Folder {
        /// Which.
        folder: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another process moves segments there just now.
    #[error("another process moves segments to `{}`", folder.display())]
    Busy {
        /// Where.
        folder: PathBuf,
    },
    /// Something else stands where a segment is to be.
    #[error("`{}` is there already, and is not the segment that is to be there", file.display())]
    Occupied {
        /// Which file.
        file: PathBuf,
    },
    /// A segment could not be copied, or no link to it be made. It is where it was.
    #[error("`{}` cannot be moved", file.display())]
    Io {
        /// Which file.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Moves the segments of a ledger that are never written again to a folder on another volume, the
/// oldest first, but for the newest `keep` of them. What was moved before stays where it is.
pub fn move_segments(ledger: &Path, to: &Path, keep: u64) -> Result<Moved, MoveError> {
    let disk = Folder::new(ledger);
    let unusable = |source| MoveError::Folder { folder: to.to_owned(), source };
    // A link has to lead there from wherever it is followed.
    let volume = Folder::new(&to.canonicalize().map_err(unusable)?);
    let _lock = volume.lock().map_err(|source| {
        let busy = source.kind() == io::ErrorKind::WouldBlock;
        if busy { MoveError::Busy { folder: to.to_owned() } } else { unusable(source) }
    })?;
    let closed = closed_segments(&disk)?;
    let mut moved = Moved::default();
    for ordinal in 0..closed.saturating_sub(keep) {
        let name = segment_name(ordinal);
        let here = disk.path(&name);
        let failed = |source| MoveError::Io { file: here.clone(), source };
        if here.symlink_metadata().map_err(failed)?.is_symlink() {
            continue;
        }
        let file = disk.open_read(&name).map_err(failed)?;
        let there = file_name(ordinal);
        if !copy(&*file, &volume, &there).map_err(failed)? {
            return Err(MoveError::Occupied { file: volume.path(&there) });
        }
        link(&disk, &name, &volume.path(&there)).map_err(failed)?;
        moved.segments += 1;
        moved.bytes += file.len().map_err(failed)?;
    }
    Ok(moved)
}

/// What a segment is called where it is moved to.
fn file_name(ordinal: u64) -> String {
    segment_name(ordinal).trim_start_matches("segments/").to_owned()
}

/// How many segments, from the first on, are followed by another one and wholly covered by the
/// checkpoint: neither recording nor what opening mends touches them any more.
fn closed_segments(disk: &Folder) -> Result<u64, Damage> {
    let key = identity::verifying_key(disk)?;
    let signed = identity::checkpoint(disk, &key)?.size;
    let id = LedgerId::new(&key);
    let mut closed = 0;
    loop {
        let next = segment_name(closed + 1);
        let header = disk.open_read(&next).and_then(|file| {
            let mut header = [0; HEADER_BYTES];
            file.read_at(&mut header, 0)?;
            Ok(header)
        });
        let header = match header {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(closed),
            header => header.map_err(|error| unreadable(disk, &next, error))?,
        };
        let header = SegmentHeader::decode(&header, id)
            .map_err(|why| damage_at(disk, &next, DamageKind::Header(why)))?;
        if header.first > signed {
            return Ok(closed);
        }
        closed += 1;
    }
}

/// Copies a segment, durably. False if there is another file of that name; one that is the same
/// already was copied before a crash.
fn copy(file: &dyn DiskFile, volume: &Folder, name: &str) -> io::Result<bool> {
    match volume.open_read(name) {
        Ok(there) => return is_same(file, &*there),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let unfinished = format!("{name}.tmp");
    remove_if_there(volume, &unfinished)?;
    let write = || {
        let mut copy = volume.create(&unfinished)?;
        copy.reserve(file.len()?)?;
        let mut offset = 0;
        pieces(file, |piece| {
            copy.write_at(piece, offset)?;
            offset += piece.len() as u64;
            Ok(())
        })?;
        copy.sync()?;
        if !is_same(file, &*copy)? {
            return Err(io::Error::other("the copy is not what was copied"));
        }
        volume.rename(&unfinished, name)?;
        volume.sync_folder("")
    };
    let written = write();
    if written.is_err() {
        // The volume may be full: what is of no use gives its space back, if it can.
        let _removed = remove_if_there(volume, &unfinished);
    }
    written.map(|()| true)
}

/// How much is read at once.
const PIECE_BYTES: usize = 256 << 10;

/// Goes through all of a file.
fn pieces(file: &dyn DiskFile, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut buffer = vec![0; PIECE_BYTES];
    let mut offset = 0;
    loop {
        let read = file.read_at(&mut buffer, offset)?;
        match buffer.get(..read) {
            None | Some([]) => return Ok(()),
            Some(piece) => each(piece)?,
        }
        offset += read as u64;
    }
}

fn is_same(one: &dyn DiskFile, other: &dyn DiskFile) -> io::Result<bool> {
    let mut same = one.len()? == other.len()?;
    let (mut offset, mut buffer) = (0, vec![0; PIECE_BYTES]);
    pieces(one, |piece| {
        let read = other.read_at(&mut buffer, offset)?;
        same &= buffer.get(..read).is_some_and(|found| found.starts_with(piece));
        offset += piece.len() as u64;
        Ok(())
    })?;
    Ok(same)
}

/// Puts a link in the place of a segment. Until it has the name, the segment is there.
fn link(disk: &Folder, name: &str, target: &Path) -> io::Result<()> {
    let unfinished = format!("{name}.tmp");
    remove_if_there(disk, &unfinished)?;
    symlink(target, disk.path(&unfinished))?;
    disk.rename(&unfinished, name)?;
    disk.sync_folder("segments")
}

#[cfg(test)]
mod tests;
