//! The dictionary's file, read row by row beside the entries.

use std::io;

use crate::{
    Damage, DamageKind,
    dictionary::{self, StoredRow},
    disk::{Disk, DiskFile},
    frame::{self, DICTIONARY_NAME, HEADER_BYTES, LedgerId},
    identity::{damage_at, unreadable},
};

/// The dictionary's file, read row by row.
pub(super) struct RowsFile {
    file: Box<dyn DiskFile>,
    /// The byte of the file that the next row starts at.
    pub(super) offset: u64,
    /// What was read ahead, and how much of it is used up.
    ahead: Vec<u8>,
    used: usize,
}

/// More than the longest row, which has to fit.
const READ_AHEAD_BYTES: usize = 256 << 10;

impl RowsFile {
    /// Opens the file to be read from that byte on, where a row begins.
    pub(super) fn open(disk: &dyn Disk, id: LedgerId, offset: u64) -> Result<Self, Damage> {
        let mut header = [0; HEADER_BYTES];
        let open = || {
            let file = disk.open_read(DICTIONARY_NAME)?;
            file.read_at(&mut header, 0)?;
            Ok(file)
        };
        let mut open = open;
        let file = open().map_err(|error| unreadable(disk, DICTIONARY_NAME, error))?;
        frame::decode_dictionary_header(&header, id)
            .map_err(|why| damage_at(disk, DICTIONARY_NAME, DamageKind::Header(why)))?;
        Ok(Self { file, offset, ahead: Vec::new(), used: 0 })
    }

    /// The next row; `None` if what follows is no row.
    pub(super) fn next(&mut self) -> io::Result<Option<StoredRow>> {
        let ahead = self.ahead.get(self.used..).unwrap_or_default();
        let mut row = dictionary::decode_frame(ahead);
        if row.is_none() {
            // It may be cut by the end of what was read, or written since.
            self.read_ahead()?;
            row = dictionary::decode_frame(&self.ahead);
        }
        Ok(row.map(|(row, length)| {
            self.used += length;
            self.offset += length as u64;
            row
        }))
    }

    fn read_ahead(&mut self) -> io::Result<()> {
        self.ahead.resize(READ_AHEAD_BYTES, 0);
        self.used = 0;
        let read = self.file.read_at(&mut self.ahead, self.offset)?;
        self.ahead.truncate(read);
        Ok(())
    }

    /// Whether anything but zeros follows.
    pub(super) fn has_more(&mut self) -> io::Result<bool> {
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
