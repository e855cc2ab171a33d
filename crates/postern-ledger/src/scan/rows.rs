//! The dictionary's file, read row by row beside the entries.

use std::{io, sync::Arc};

use crate::{
    Damage, DamageKind,
    dictionary::{self, StoredRow},
    disk::{Disk, DiskFile},
    epoch::Keys,
    frame::{self, DICTIONARY_NAME, HEADER_BYTES, LedgerId},
    identity::{damage_at, unreadable},
    scan::rows::coming::Coming,
};

mod coming;

/// The dictionary's file, read row by row.
pub(crate) struct RowsFile {
    file: Arc<dyn DiskFile>,
    /// The byte of the file that the next row starts at.
    pub(crate) offset: u64,
    /// How many rows stand before that byte.
    taken: u64,
    /// The byte at which the last of them begins, and its commitment, if it is known.
    last: Option<LastRow>,
    /// What rows of epochs are opened with.
    pub(crate) keys: Keys,
    /// What was read ahead, and how much of it is used up.
    ahead: Vec<u8>,
    used: usize,
    /// Rows that a thread opens ahead of who asks for them.
    coming: Option<Coming>,
}

/// Where a row begins, and what it commits to.
pub(crate) type LastRow = (u64, [u8; 32]);

/// More than the longest row, which has to fit.
const READ_AHEAD_BYTES: usize = 256 << 10;

impl RowsFile {
    /// Opens the file to be read from that byte on, before which so many rows stand.
    pub(crate) fn open(
        disk: &dyn Disk,
        id: LedgerId,
        offset: u64,
        taken: u64,
    ) -> Result<Self, Damage> {
        Self::resume(disk, id, (offset, taken), None)
    }

    /// The same behind a row that was read earlier. Should it no longer stand there, since a row
    /// was erased meanwhile, then the place is looked for.
    pub(crate) fn resume(
        disk: &dyn Disk,
        id: LedgerId,
        (offset, taken): (u64, u64),
        last: Option<LastRow>,
    ) -> Result<Self, Damage> {
        let mut header = [0; HEADER_BYTES];
        let open = || {
            let file = disk.open_read(DICTIONARY_NAME)?;
            file.read_at(&mut header, 0)?;
            Ok(file)
        };
        let mut open = open;
        let file: Box<dyn DiskFile> =
            open().map_err(|error| unreadable(disk, DICTIONARY_NAME, error))?;
        frame::decode_dictionary_header(&header, id)
            .map_err(|why| damage_at(disk, DICTIONARY_NAME, DamageKind::Header(why)))?;
        let keys = Keys::load(disk).map_err(|error| unreadable(disk, "", error))?;
        let (file, ahead) = (file.into(), Vec::new());
        let mut rows = Self { file, offset, taken, last, keys, ahead, used: 0, coming: None };
        let found = rows.is_behind_last().and_then(|is| if is { Ok(true) } else { rows.recount() });
        match found {
            Ok(true) => Ok(rows),
            Ok(false) => {
                Err(Damage { offset, ..damage_at(disk, DICTIONARY_NAME, DamageKind::Row) })
            }
            Err(error) => Err(unreadable(disk, DICTIONARY_NAME, error)),
        }
    }

    /// The row that was taken last, if it is known.
    pub(crate) fn last(&self) -> Option<LastRow> {
        self.last
    }

    /// The frame of the row that was taken last.
    pub(crate) fn last_frame(&self) -> &[u8] {
        let length = self.last.map_or(0, |(start, _)| self.offset - start);
        let start = usize::try_from(length).ok().and_then(|length| self.used.checked_sub(length));
        start.and_then(|start| self.ahead.get(start..self.used)).unwrap_or_default()
    }

    /// Whether the row that was read last still ends where this one begins to read.
    fn is_behind_last(&self) -> io::Result<bool> {
        let Some((start, commitment)) = self.last else { return Ok(true) };
        let length = usize::try_from(self.offset.saturating_sub(start)).unwrap_or(usize::MAX);
        let mut frame = vec![0; length.min(READ_AHEAD_BYTES)];
        let read = self.file.read_at(&mut frame, start)?;
        let row = dictionary::decode_frame(frame.get(..read).unwrap_or_default(), &self.keys);
        Ok(row.is_some_and(|(row, end)| row.commitment == commitment && end == length))
    }

    /// Has the rows opened by a thread of their own, without their texts.
    pub(super) fn go_ahead(&mut self) {
        self.coming = Coming::start(self.file.clone(), self.offset, self.keys.clone());
    }

    /// The next row that the thread opened, if it is not to be looked at again here.
    fn next_coming(&mut self) -> Option<StoredRow> {
        let next = self.coming.as_mut()?.next();
        // The thread does not know which keys entries committed to.
        let trusted =
            next.filter(|(row, _)| row.epoch.is_none_or(|epoch| self.keys.key(epoch).is_ok()));
        let Some((row, length)) = trusted else {
            self.coming = None;
            return None;
        };
        Some(self.take(row, length))
    }

    /// The next row; `None` if what follows is no row.
    pub(crate) fn next(&mut self, disk: &dyn Disk) -> io::Result<Option<StoredRow>> {
        if let Some(row) = self.next_coming() {
            return Ok(Some(row));
        }
        let mut row = self.decode(self.used);
        if row.is_none() {
            // It may be cut by the end of what was read, or written since.
            self.read_ahead()?;
            row = self.decode(0);
        }
        // Its key may be gone since what is read here was written anew without it.
        let is_locked = row.as_ref().is_some_and(|(row, _)| row.trouble.is_some());
        if (row.is_none() || is_locked) && self.find_again(disk)? {
            row = self.decode(0);
        }
        Ok(row.map(|(row, length)| self.take(row, length)))
    }

    /// The row at a place of what was read ahead.
    fn decode(&self, at: usize) -> Option<(StoredRow, usize)> {
        dictionary::decode_frame(self.ahead.get(at..).unwrap_or_default(), &self.keys)
    }

    fn take(&mut self, row: StoredRow, length: usize) -> StoredRow {
        self.last = Some((self.offset, row.commitment));
        self.used += length;
        self.offset += length as u64;
        self.taken += 1;
        row
    }

    /// Looks for the place in the file that has the name now: a writer may have erased a row since
    /// this one was opened, and writes to another file from then on. False if it is not another.
    fn find_again(&mut self, disk: &dyn Disk) -> io::Result<bool> {
        let file = disk.open_read(DICTIONARY_NAME)?;
        if file.is_same(&*self.file) {
            return Ok(false);
        }
        self.file = file.into();
        self.keys = Keys::load(disk)?;
        self.recount()
    }

    /// Goes to the place in the file behind as many rows as were taken. False if there are fewer.
    fn recount(&mut self) -> io::Result<bool> {
        let taken = self.taken;
        (self.offset, self.taken, self.last) = (HEADER_BYTES as u64, 0, None);
        self.read_ahead()?;
        while self.taken < taken {
            let mut row = self.decode(self.used);
            if row.is_none() {
                self.read_ahead()?;
                row = self.decode(0);
            }
            let Some((row, length)) = row else { return Ok(false) };
            self.take(row, length);
        }
        self.read_ahead()?;
        Ok(true)
    }

    fn read_ahead(&mut self) -> io::Result<()> {
        self.ahead.resize(READ_AHEAD_BYTES, 0);
        self.used = 0;
        let read = self.file.read_at(&mut self.ahead, self.offset)?;
        self.ahead.truncate(read);
        Ok(())
    }

    /// Whether anything but zeros follows.
    pub(crate) fn has_more(&mut self) -> io::Result<bool> {
        let mut offset = self.offset;
        let mut bytes = vec![0; READ_AHEAD_BYTES];
        loop {
            let read = self.file.read_at(&mut bytes, offset)?;
            let read = bytes.get(..read).unwrap_or_default();
            if read.is_empty() {
                return Ok(false);
            }
            if read.iter().any(|&byte| byte != 0) {
                return Ok(true);
            }
            offset += read.len() as u64;
        }
    }
}
