//! Erasing a customer's name, so that the ledger speaks of nobody any more where it spoke of them.
//!
//! The row of the dictionary is replaced by its commitment; no entry changes, and every proof
//! holds. First there is the entry that says so, then the dictionary is written anew without the
//! row and takes the old one's place. A crash in between leaves the entry, and opening does the
//! rest. Where to start: [`Sequencer::erase`].

use std::{collections::BTreeSet, io, sync::Arc};

use postern_model::{Actor, Subject};

use crate::{
    Damage, Note, RecordError,
    dictionary::{self, Kind},
    disk::{Disk, DiskFile, remove_if_there},
    frame::{DICTIONARY_NAME, HEADER_BYTES, LedgerId},
    room::{Room, RowsLog},
    scan::RowsFile,
    sequencer::{Recorded, Sequencer, Work},
};

/// The new dictionary, until it is whole.
pub(crate) const UNFINISHED: &str = "dictionary.log.tmp";

/// What is read and written at once.
const COPY_BYTES: usize = 256 << 10;

/// Why a customer was not erased.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EraseError {
    /// The ledger has nobody of that name.
    #[error("the ledger has no customer `{subject}`")]
    NotThere {
        /// The name.
        subject: Subject,
    },
    /// It could not be recorded, and was not done.
    #[error("the erasure could not be recorded")]
    Record(#[from] RecordError),
    /// It is recorded, and is done when the ledger is opened the next time.
    #[error("the erasure is recorded, and will be done when the ledger is opened again")]
    Later {
        /// What kept it from being done now.
        #[source]
        source: Arc<io::Error>,
    },
}

impl Sequencer {
    /// Records an erasure and does it. When this returns, both are on stable storage.
    pub(crate) fn erase(
        &mut self,
        subject: &Subject,
        by: &Actor,
        why: &Arc<str>,
    ) -> Result<Recorded, EraseError> {
        let not_there = || EraseError::NotThere { subject: subject.clone() };
        let number = self.dictionary.known_subject(subject.as_str()).ok_or_else(not_there)?;
        let (by, subject, why) = (by.clone(), subject.clone(), why.clone());
        let note = Note::Erased { by, subject: subject.clone(), why };
        let room = Room::needed_by_note(&note);
        let recorded = self.commit(std::iter::once(&Work::Note(note)), room)?;
        // From here on the customer is as good as erased: what comes is done by the next opening,
        // should it not be done now. Nobody gets the number again.
        self.dictionary.forget(subject.as_str());
        let erased = write_without(&*self.disk, self.segment.id, &BTreeSet::from([number]));
        let erased = erased.map_err(|error| EraseError::Later { source: Arc::new(error) })?;
        match erased.put_in_place(&*self.disk) {
            Ok(rows) => self.rows = rows,
            // Which of the two is there is not known.
            Err(error) => return Err(EraseError::Record(self.poisoned(error))),
        }
        recorded.into_iter().next().ok_or(EraseError::Record(RecordError::Closed))
    }
}

/// A dictionary that is whole and durable, under another name.
pub(crate) struct Erased {
    rows: RowsLog,
}

impl Erased {
    /// Gives it its name.
    pub(crate) fn put_in_place(self, disk: &dyn Disk) -> io::Result<RowsLog> {
        // Hashes of texts are in the index; it is made anew from what is there now.
        disk.remove_index()?;
        disk.rename(UNFINISHED, DICTIONARY_NAME)?;
        disk.sync_folder("")?;
        Ok(self.rows)
    }
}

/// Writes the dictionary anew, with the rows of those subjects erased.
pub(crate) fn write_without(
    disk: &dyn Disk,
    id: LedgerId,
    numbers: &BTreeSet<u32>,
) -> io::Result<Erased> {
    remove_if_there(disk, UNFINISHED)?;
    let written = write(disk, id, numbers);
    if written.is_err() {
        // Gives the space back. Should that fail too, opening does it.
        let removed = remove_if_there(disk, UNFINISHED);
        tracing::debug!(?removed, "removed an unfinished dictionary");
    }
    written
}

fn write(disk: &dyn Disk, id: LedgerId, numbers: &BTreeSet<u32>) -> io::Result<Erased> {
    let old = disk.open_read(DICTIONARY_NAME)?;
    let unreadable = |damage: Damage| io::Error::other(damage.to_string());
    let mut rows = RowsFile::open(disk, id, HEADER_BYTES as u64, 0).map_err(unreadable)?;
    let mut new = Copy { old: &*old, from: 0, file: disk.create(UNFINISHED)?, to: 0 };
    let mut left = numbers.len();
    while left > 0 {
        let start = rows.offset;
        let Some(row) = rows.next(disk)? else {
            return Err(io::Error::other("a row that is to be erased is not there"));
        };
        if row.kind != Kind::Subject || !numbers.contains(&row.number) {
            continue;
        }
        left -= 1;
        new.copy_up_to(start)?;
        let mut frame = Vec::new();
        dictionary::encode_erased(&mut frame, &row);
        new.put(&frame)?;
        new.from = rows.offset;
    }
    let end = end_of_rows(&mut rows, disk)?;
    let length = old.len()?;
    new.copy_up_to(end)?;
    let offset = new.to;
    new.copy_up_to(length)?;
    let (mut file, length) = (new.file, new.to);
    file.sync()?;
    Ok(Erased { rows: RowsLog { file, offset, length } })
}

/// Where the next row would go.
fn end_of_rows(rows: &mut RowsFile, disk: &dyn Disk) -> io::Result<u64> {
    while rows.next(disk)?.is_some() {}
    Ok(rows.offset)
}

/// A file that becomes another's copy, but for what is put between.
struct Copy<'a> {
    old: &'a dyn DiskFile,
    from: u64,
    file: Box<dyn DiskFile>,
    to: u64,
}

impl Copy<'_> {
    fn copy_up_to(&mut self, end: u64) -> io::Result<()> {
        let mut bytes = vec![0; COPY_BYTES];
        while self.from < end {
            let wanted = usize::try_from(end - self.from).unwrap_or(COPY_BYTES).min(COPY_BYTES);
            let read = self.old.read_at(bytes.get_mut(..wanted).unwrap_or_default(), self.from)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.put(bytes.get(..read).unwrap_or_default())?;
            self.from += read as u64;
        }
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(bytes, self.to)?;
        self.to += bytes.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
