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
    dictionary::{self, Kind, StoredRow},
    disk::{Disk, DiskFile, remove_if_there},
    epoch::Stage,
    frame::{DICTIONARY_NAME, HEADER_BYTES, LedgerId},
    identity::unreadable,
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
    /// The dictionary can't be read; nothing was recorded.
    #[error("the dictionary can't be read")]
    Unreadable {
        /// Why.
        #[source]
        source: Arc<io::Error>,
    },
    /// It is recorded, and is done when the ledger is opened the next time.
    #[error("the erasure is recorded, and will be done when the ledger is opened again")]
    Later {
        /// What kept it from being done now.
        #[source]
        source: Arc<io::Error>,
    },
}

impl Sequencer {
    /// Records an erasure and does it: one entry for each epoch that has the customer. When this
    /// returns, all of it is on stable storage. Entries that were recorded are added to `recorded`,
    /// whatever comes of the rest.
    pub(crate) fn erase(
        &mut self,
        subject: &Subject,
        (by, why): (&Actor, &Arc<str>),
        recorded: &mut Vec<Recorded>,
    ) -> Result<(), EraseError> {
        let numbers = self.numbers_of(subject)?;
        if numbers.is_empty() {
            return Err(EraseError::NotThere { subject: subject.clone() });
        }
        let erasure = |&number: &u32| {
            let (by, subject, why) = (by.clone(), subject.clone(), why.clone());
            Work::Erasure { note: Note::Erased { by, subject, why }, number }
        };
        let works: Vec<Work> = numbers.iter().map(erasure).collect();
        recorded.extend(self.commit(works.iter(), works.iter().map(Room::needed_by).sum())?);
        // From here on the customer is as good as erased: what comes is done by the next opening,
        // should it not be done now. Nobody gets the number again.
        self.dictionary.forget(subject.as_str());
        self.rewrite(Gone::Subjects(&numbers))
    }

    /// Writes the dictionary anew without certain rows, which an entry says are gone.
    pub(crate) fn rewrite(&mut self, gone: Gone<'_>) -> Result<(), EraseError> {
        let without = write_without(&*self.disk, self.segment.id, gone);
        let without = without.map_err(|error| EraseError::Later { source: Arc::new(error) })?;
        match without.put_in_place(&*self.disk) {
            Ok(rows) => self.rows = rows,
            // Which of the two is there is not known.
            Err(error) => return Err(EraseError::Record(self.poisoned(error))),
        }
        Ok(())
    }

    /// The numbers of a customer: one for each epoch that has it.
    fn numbers_of(&self, subject: &Subject) -> Result<BTreeSet<u32>, EraseError> {
        if !self.dictionary.has_subject(subject.as_str()) {
            return Ok(BTreeSet::new());
        }
        if let Some(number) = self.dictionary.only_number_of(subject.as_str()) {
            return Ok(BTreeSet::from([number]));
        }
        let unreadable = |error: io::Error| EraseError::Unreadable { source: Arc::new(error) };
        let damaged = |damage: Damage| unreadable(io::Error::other(damage.to_string()));
        let disk = &*self.disk;
        let rows = RowsFile::open(disk, self.segment.id, HEADER_BYTES as u64, 0);
        let mut rows = rows.map_err(damaged)?;
        let mut numbers = BTreeSet::new();
        while let Some(row) = rows.next(disk).map_err(unreadable)? {
            if row.kind == Kind::Subject && row.text.as_deref() == Some(subject.as_str()) {
                numbers.insert(row.number);
            }
        }
        Ok(numbers)
    }
}

/// Which rows are reduced to their commitments.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Gone<'a> {
    /// Those of the customers with these numbers.
    Subjects(&'a BTreeSet<u32>),
    /// All that is past retention.
    Before(Stage),
}

impl Gone<'_> {
    fn has(self, row: &StoredRow) -> bool {
        let is_subject = row.kind == Kind::Subject;
        match self {
            Self::Subjects(numbers) => is_subject && numbers.contains(&row.number),
            Self::Before(Stage { kept, unsealed, .. }) => match row.epoch {
                Some(epoch) => epoch < kept,
                None => is_subject && row.number < unsealed && row.text.is_some(),
            },
        }
    }
}

/// The byte of the first row that can be read though entries say that it is gone: that was cut
/// short, or it was put back. Of the dictionary so many rows are looked at.
pub(crate) fn left_over(
    disk: &dyn Disk,
    id: LedgerId,
    (erased, stage): (&BTreeSet<u32>, Stage),
    rows_len: u64,
) -> Result<Option<u64>, Damage> {
    if erased.is_empty() && (stage.kept == 0 || stage.unsealed == 0) {
        return Ok(None);
    }
    let unreadable = |error| unreadable(disk, DICTIONARY_NAME, error);
    let mut rows = RowsFile::open(disk, id, HEADER_BYTES as u64, 0)?;
    for _ in 0..rows_len {
        let Some(row) = rows.next(disk).map_err(unreadable)? else { break };
        let is_gone =
            Gone::Subjects(erased).has(&row) || stage.kept > 0 && Gone::Before(stage).has(&row);
        if is_gone && row.text.is_some() {
            return Ok(rows.last().map(|(start, _)| start));
        }
    }
    Ok(None)
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

/// Writes the dictionary anew, with certain rows reduced to their commitments.
pub(crate) fn write_without(disk: &dyn Disk, id: LedgerId, gone: Gone<'_>) -> io::Result<Erased> {
    remove_if_there(disk, UNFINISHED)?;
    let written = write(disk, id, gone);
    if written.is_err() {
        // Gives the space back. Should that fail too, opening does it.
        let removed = remove_if_there(disk, UNFINISHED);
        tracing::debug!(?removed, "removed an unfinished dictionary");
    }
    written
}

fn write(disk: &dyn Disk, id: LedgerId, gone: Gone<'_>) -> io::Result<Erased> {
    let old = disk.open_read(DICTIONARY_NAME)?;
    let unreadable = |damage: Damage| io::Error::other(damage.to_string());
    let mut rows = RowsFile::open(disk, id, HEADER_BYTES as u64, 0).map_err(unreadable)?;
    let mut new = Copy { old: &*old, from: 0, file: disk.create(UNFINISHED)?, to: 0 };
    let mut left = match gone {
        Gone::Subjects(numbers) => numbers.len(),
        Gone::Before(_) => 0,
    };
    loop {
        let start = rows.offset;
        let Some(row) = rows.next(disk)? else { break };
        if !gone.has(&row) {
            continue;
        }
        if row.trouble.is_some() {
            return Err(io::Error::other("a row that is to go can't be opened"));
        }
        left = left.saturating_sub(1);
        new.copy_up_to(start)?;
        let mut frame = Vec::new();
        dictionary::encode_erased(&mut frame, &row);
        new.put(&frame)?;
        new.from = rows.offset;
    }
    if left > 0 {
        return Err(io::Error::other("a row that is to be erased is not there"));
    }
    let length = old.len()?;
    new.copy_up_to(rows.offset)?;
    let offset = new.to;
    new.copy_up_to(length)?;
    let (mut file, length) = (new.file, new.to);
    file.sync()?;
    Ok(Erased { rows: RowsLog { file, offset, length } })
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
