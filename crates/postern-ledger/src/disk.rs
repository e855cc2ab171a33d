//! Files, through a trait, so that tests can let every write and sync fail.

use std::{
    any::Any,
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, FileExt, MetadataExt as _, OpenOptionsExt},
    path::{Path, PathBuf},
};

#[cfg(test)]
pub(crate) mod sim;

/// A ledger's folder. Names are relative to it; the only sub-folder is `segments`.
pub(crate) trait Disk: Send + Sync {
    /// Where a name is, for messages.
    fn path(&self, name: &str) -> PathBuf;
    /// A new file, open for reading and writing; an error if there is one.
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;
    /// An existing file, for reading and writing.
    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;
    /// An existing file, for reading.
    fn open_read(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    fn remove(&self, name: &str) -> io::Result<()>;
    /// The names in a folder ("" is the ledger's own), sorted.
    fn list(&self, folder: &str) -> io::Result<Vec<String>>;
    /// Makes creations, renames and removals in a folder durable.
    fn sync_folder(&self, folder: &str) -> io::Result<()>;
    /// Removes what was derived from the dictionary's texts.
    fn remove_index(&self) -> io::Result<()>;
    /// How much more can be written, by an account without privileges.
    fn free_bytes(&self) -> io::Result<u64>;
    /// Takes the writer's lock; `WouldBlock` if another has it. It lasts as long as the value.
    fn lock(&self) -> io::Result<Box<dyn Any + Send>>;
}

/// An open file.
pub(crate) trait DiskFile: Send + Sync {
    fn len(&self) -> io::Result<u64>;
    /// What tells one file from another while both are open.
    fn identity(&self) -> io::Result<(u64, u64)>;
    /// Whether another is the same file. What can't be told is not.
    fn is_same(&self, other: &dyn DiskFile) -> bool {
        matches!((self.identity(), other.identity()), (Ok(one), Ok(other)) if one == other)
    }
    /// Says that so many bytes are read soon, so that several reads can be under way at once.
    fn will_read(&self, _offset: u64, _length: u64) {}
    /// Reads until the buffer is full or the file ends.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Claims space up to `length` without a change of content, where the file system can.
    fn reserve(&mut self, length: u64) -> io::Result<()>;
    fn set_len(&mut self, length: u64) -> io::Result<()>;
    /// `fdatasync`.
    fn sync(&mut self) -> io::Result<()>;
}

/// Whether an error means that there is no room, rather than that something broke.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

/// All of a file, or what is there after `offset`.
pub(crate) fn read_from(file: &dyn DiskFile, offset: u64) -> io::Result<Vec<u8>> {
    let length = file.len()?.saturating_sub(offset);
    let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    let read = file.read_at(&mut bytes, offset)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Writes zeros from `from` to `to`.
pub(crate) fn zero(file: &mut dyn DiskFile, from: u64, to: u64) -> io::Result<()> {
    static ZEROS: [u8; 256 << 10] = [0; 256 << 10];
    let mut at = from;
    while at < to {
        let count = usize::try_from(to - at).map_or(ZEROS.len(), |left| left.min(ZEROS.len()));
        file.write_at(ZEROS.get(..count).unwrap_or(&ZEROS), at)?;
        at += count as u64;
    }
    Ok(())
}

/// Puts `bytes` under `name` so that after a crash either the old or the new content is there.
pub(crate) fn replace(disk: &dyn Disk, name: &str, bytes: &[u8]) -> io::Result<()> {
    replace_by(disk, name, &format!("{name}.tmp"), bytes)
}

/// The same where another process may do so at the same time, under another name until it is whole.
pub(crate) fn replace_by(
    disk: &dyn Disk,
    name: &str,
    unfinished: &str,
    bytes: &[u8],
) -> io::Result<()> {
    remove_if_there(disk, unfinished)?;
    let mut file = disk.create(unfinished)?;
    // A crash up to here leaves a `.tmp` file, which opening removes.
    file.write_at(bytes, 0)?;
    file.sync()?;
    // Only what is on stable storage gets the name.
    disk.rename(unfinished, name)?;
    disk.sync_folder("")
}

pub(crate) fn remove_if_there(disk: &dyn Disk, name: &str) -> io::Result<()> {
    match disk.remove(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The file system.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Makes the folder and its sub-folder, readable for the owner only.
    pub(crate) fn make(path: &Path) -> io::Result<Self> {
        std::fs::DirBuilder::new().mode(0o700).recursive(true).create(path)?;
        std::fs::DirBuilder::new().mode(0o700).create(path.join("segments"))?;
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            File::open(parent)?.sync_all()?;
        }
        Ok(Self::new(path))
    }
}

/// A link to a volume that is not mounted is another thing than a file that is not there.
fn error_of_link(path: &Path, error: io::Error) -> io::Error {
    match std::fs::read_link(path) {
        Ok(to) if error.kind() == io::ErrorKind::NotFound => io::Error::other(format!(
            "it is a link to `{}`, which is not there: is that volume mounted?",
            to.display()
        )),
        _ => error,
    }
}

impl Disk for Folder {
    fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        Ok(Box::new(options.open(self.path(name))?))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let path = self.path(name);
        let file = OpenOptions::new().read(true).write(true).open(&path);
        Ok(Box::new(file.map_err(|error| error_of_link(&path, error))?))
    }

    fn open_read(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let path = self.path(name);
        Ok(Box::new(File::open(&path).map_err(|error| error_of_link(&path, error))?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path(name))
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(self.path(folder))? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    fn sync_folder(&self, folder: &str) -> io::Result<()> {
        File::open(self.path(folder))?.sync_all()
    }

    fn remove_index(&self) -> io::Result<()> {
        match std::fs::remove_dir_all(self.path(crate::index::FOLDER)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(&self.path)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn lock(&self) -> io::Result<Box<dyn Any + Send>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(self.path("lock"))?;
        file.try_lock()?;
        Ok(Box::new(file))
    }
}

impl DiskFile for File {
    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn identity(&self) -> io::Result<(u64, u64)> {
        let metadata = self.metadata()?;
        Ok((metadata.dev(), metadata.ino()))
    }

    fn will_read(&self, offset: u64, length: u64) {
        // Where it can't be said nothing is lost.
        let advice = rustix::fs::Advice::WillNeed;
        let _said = rustix::fs::fadvise(self, offset, std::num::NonZeroU64::new(length), advice);
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut read = 0;
        while let Some(rest) = buffer.get_mut(read..).filter(|rest| !rest.is_empty()) {
            match FileExt::read_at(self, rest, offset + read as u64) {
                Ok(0) => break,
                Ok(count) => read += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn reserve(&mut self, length: u64) -> io::Result<()> {
        use rustix::{fs::FallocateFlags, io::Errno};
        match rustix::fs::fallocate(&*self, FallocateFlags::empty(), 0, length) {
            // Not every file system can; writing zeros then finds out, only later.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            result => Ok(result?),
        }
    }

    fn set_len(&mut self, length: u64) -> io::Result<()> {
        File::set_len(self, length)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}
