//! Sorted tables of short records, in memory and in files whose blocks are sealed.
//!
//! A run is a file: a header, [`TABLES`] tables and their fences, in blocks of 4 KiB that end in a
//! keyed hash of their content, place and file. A block without a good seal is not used. The fences
//! of a table are the first records of its blocks, so that a search reads few blocks. Where to
//! start: [`Tables`], which both forms are read through.

use std::{
    cell::RefCell,
    cmp::Ordering,
    collections::HashMap,
    fs::File,
    io::{self, BufWriter, Write as _},
    ops::Range,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::Path,
    rc::Rc,
};

use super::Broken;
use crate::disk::DiskFile;

const BLOCK_BYTES: usize = 4096;
const SEAL_BYTES: usize = 16;
/// What a block holds; a multiple of each table's width.
const ROOM: usize = BLOCK_BYTES - SEAL_BYTES;
/// How many blocks a run that is read keeps in memory.
const BLOCKS_KEPT_MAX: usize = 4096;
const NONCE_BYTES: usize = 16;

/// A table's place in a run, which says what its records are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    /// One for each entry: segment and byte, hash of the payload.
    Entries = 0,
    /// Subject, entry.
    Subjects = 1,
    /// Actor, entry.
    Actors = 2,
    /// One for each subject's row: byte in the dictionary, commitment.
    SubjectRows = 3,
    /// The same for names.
    NameRows = 4,
    /// Hash of a subject's text, number.
    SubjectTexts = 5,
    /// The same for names.
    NameTexts = 6,
    /// Time, entry, of some entries: between two of them a moment is looked for.
    Times = 7,
}

pub(super) const ALL: [Table; TABLES] = [
    Table::Entries,
    Table::Subjects,
    Table::Actors,
    Table::SubjectRows,
    Table::NameRows,
    Table::SubjectTexts,
    Table::NameTexts,
    Table::Times,
];
pub(super) const TABLES: usize = 8;

/// A record with zeros behind it.
pub(super) type Record = [u8; RECORD_BYTES_MAX];
pub(super) const RECORD_BYTES_MAX: usize = 24;

impl Table {
    pub(super) fn width(self) -> usize {
        match self {
            Self::Entries | Self::SubjectRows | Self::NameRows => 24,
            Self::Subjects | Self::Actors => 8,
            Self::SubjectTexts | Self::NameTexts | Self::Times => 12,
        }
    }

    fn records_in_block(self) -> u64 {
        (ROOM / self.width()) as u64
    }

    fn blocks(self, count: u64) -> u64 {
        count.div_ceil(self.records_in_block())
    }

    /// Whether it is searched, so that it has fences.
    fn is_sorted(self) -> bool {
        match self {
            Self::Subjects | Self::Actors | Self::SubjectTexts | Self::NameTexts | Self::Times => {
                true
            }
            Self::Entries | Self::SubjectRows | Self::NameRows => false,
        }
    }
}

/// Tables whose records can be had by their place.
pub(super) trait Tables {
    fn count(&self, table: Table) -> u64;
    fn record(&self, table: Table, index: u64) -> Result<Record, Broken>;
    /// Says that a record is read soon.
    fn will_read(&self, _table: Table, _index: u64) {}

    /// The place of the first record that does not come before `key`.
    fn lower_bound(&self, table: Table, key: &[u8]) -> Result<u64, Broken> {
        first_not_before(0..self.count(table), key, |index| self.record(table, index))
    }

    /// What stands behind `key` in the records that begin with it, in order, as a number.
    fn under(&self, table: Table, key: &[u8]) -> Result<Vec<u32>, Broken> {
        let mut found = Vec::new();
        for index in self.lower_bound(table, key)?..self.count(table) {
            let record = self.record(table, index)?;
            let Some(rest) = record.strip_prefix(key) else { break };
            let number = rest.first_chunk().ok_or(Broken)?;
            found.push(u32::from_be_bytes(*number));
        }
        Ok(found)
    }
}

/// The first place whose record does not come before `key`, of records in order.
fn first_not_before(
    Range { start: mut low, end: mut high }: Range<u64>,
    key: &[u8],
    record: impl Fn(u64) -> Result<Record, Broken>,
) -> Result<u64, Broken> {
    while low < high {
        let middle = low + (high - low) / 2;
        match record(middle)?.get(..key.len()).map(|start| start.cmp(key)) {
            Some(Ordering::Less) => low = middle + 1,
            _ => high = middle,
        }
    }
    Ok(low)
}

fn seal(key: &[u8; 32], nonce: &[u8], block: u64, data: &[u8]) -> [u8; SEAL_BYTES] {
    let mut hash = blake3::Hasher::new_keyed(key);
    hash.update(nonce).update(&block.to_le_bytes()).update(data);
    let mut seal = [0; SEAL_BYTES];
    seal.copy_from_slice(hash.finalize().as_bytes().split_at(SEAL_BYTES).0);
    seal
}

/// Writes a run: tables in order, then the header.
pub(super) struct RunWriter<'a> {
    file: BufWriter<File>,
    key: &'a [u8; 32],
    nonce: [u8; NONCE_BYTES],
    block: Vec<u8>,
    number: u64,
    count: u64,
    counts: Vec<u64>,
    /// Of the table that is written, then of those before it.
    fence: Vec<Record>,
    fences: Vec<Vec<Record>>,
}

impl<'a> RunWriter<'a> {
    pub(super) fn create(
        path: &Path,
        key: &'a [u8; 32],
        nonce: [u8; NONCE_BYTES],
    ) -> io::Result<Self> {
        let mut options = File::options();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
        let mut file = BufWriter::with_capacity(1 << 20, file);
        // The header's place.
        file.write_all(&[0; BLOCK_BYTES])?;
        Ok(Self {
            file,
            key,
            nonce,
            block: Vec::with_capacity(BLOCK_BYTES),
            number: 1,
            count: 0,
            counts: Vec::new(),
            fence: Vec::new(),
            fences: Vec::new(),
        })
    }

    pub(super) fn push(&mut self, record: &[u8]) -> io::Result<()> {
        if self.block.len() + record.len() > ROOM {
            self.end_block()?;
        }
        if self.block.is_empty() {
            self.fence.push(padded(record));
        }
        self.block.extend_from_slice(record);
        self.count += 1;
        Ok(())
    }

    fn end_block(&mut self) -> io::Result<()> {
        self.block.resize(ROOM, 0);
        let seal = seal(self.key, &self.nonce, self.number, &self.block);
        self.file.write_all(&self.block)?;
        self.file.write_all(&seal)?;
        self.block.clear();
        self.number += 1;
        Ok(())
    }

    /// Ends a table; the next record is the first of the next one.
    pub(super) fn end_table(&mut self) -> io::Result<()> {
        if !self.block.is_empty() {
            self.end_block()?;
        }
        self.counts.push(std::mem::take(&mut self.count));
        self.fences.push(std::mem::take(&mut self.fence));
        Ok(())
    }

    fn write_fences(&mut self) -> io::Result<()> {
        let fences = std::mem::take(&mut self.fences);
        for (table, fences) in ALL.into_iter().zip(fences).filter(|(table, _)| table.is_sorted()) {
            for record in fences {
                self.push(record.get(..table.width()).unwrap_or_default())?;
            }
            if !self.block.is_empty() {
                self.end_block()?;
            }
        }
        Ok(())
    }

    /// Writes fences, then the header, in front of `head` the counts, and makes all of it durable.
    pub(super) fn finish(mut self, head: &[u8]) -> io::Result<()> {
        self.write_fences()?;
        let mut data = self.nonce.to_vec();
        self.counts.iter().for_each(|count| data.extend_from_slice(&count.to_le_bytes()));
        data.extend_from_slice(head);
        data.resize(ROOM, 0);
        let seal = seal(self.key, &self.nonce, 0, &data);
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.write_all_at(&data, 0)?;
        file.write_all_at(&seal, ROOM as u64)?;
        file.sync_data()
    }
}

/// A run that is read.
pub(super) struct RunFile {
    file: File,
    key: [u8; 32],
    nonce: [u8; NONCE_BYTES],
    /// The first block of each table.
    firsts: [u64; TABLES],
    /// The first block of each table's fences.
    fences: [u64; TABLES],
    counts: [u64; TABLES],
    blocks: RefCell<HashMap<u64, Rc<Vec<u8>>>>,
}

impl RunFile {
    /// Opens a run; returns what its header says, too.
    pub(super) fn open(path: &Path, key: &[u8; 32]) -> Result<(Self, Vec<u8>), Broken> {
        let file = File::open(path).map_err(|_| Broken)?;
        let blocks = RefCell::default();
        let (firsts, fences, counts) = ([0; TABLES], [0; TABLES], [0; TABLES]);
        let mut run =
            Self { file, key: *key, nonce: [0; NONCE_BYTES], firsts, fences, counts, blocks };
        let mut nonce = [0; NONCE_BYTES];
        run.file.read_exact_at(&mut nonce, 0).map_err(|_| Broken)?;
        run.nonce = nonce;
        let header = run.read(0)?;
        let rest = header.get(NONCE_BYTES..).ok_or(Broken)?;
        let (counts, head) = rest.split_at_checked(8 * TABLES).ok_or(Broken)?;
        let mut next = 1;
        for ((count, first), (bytes, table)) in
            run.counts.iter_mut().zip(&mut run.firsts).zip(counts.chunks_exact(8).zip(ALL))
        {
            *count = u64::from_le_bytes(*bytes.first_chunk().ok_or(Broken)?);
            *first = next;
            next += table.blocks(*count);
        }
        let sorted = ALL.into_iter().zip(run.fences.iter_mut().zip(run.counts));
        for (table, (first, count)) in sorted.filter(|(table, _)| table.is_sorted()) {
            *first = next;
            next += table.blocks(table.blocks(count));
        }
        Ok((run, head.to_vec()))
    }

    /// A block that is not kept.
    fn read(&self, block: u64) -> Result<Vec<u8>, Broken> {
        let mut bytes = vec![0; BLOCK_BYTES];
        let at = block * BLOCK_BYTES as u64;
        self.file.read_exact_at(&mut bytes, at).map_err(|_| Broken)?;
        let (data, found) = bytes.split_at(ROOM);
        if seal(&self.key, &self.nonce, block, data) != *found {
            return Err(Broken);
        }
        bytes.truncate(ROOM);
        Ok(bytes)
    }

    fn block(&self, number: u64) -> Result<Rc<Vec<u8>>, Broken> {
        if let Some(block) = self.blocks.borrow().get(&number) {
            return Ok(block.clone());
        }
        let block = Rc::new(self.read(number)?);
        let mut blocks = self.blocks.borrow_mut();
        if blocks.len() >= BLOCKS_KEPT_MAX {
            blocks.clear();
        }
        blocks.insert(number, block.clone());
        Ok(block)
    }

    fn will_read_block(&self, number: u64) {
        if !self.blocks.borrow().contains_key(&number) {
            let bytes = BLOCK_BYTES as u64;
            DiskFile::will_read(&self.file, number * bytes, bytes);
        }
    }

    /// A record of what begins with that block.
    fn record_at(&self, first: u64, table: Table, index: u64) -> Result<Record, Broken> {
        let in_block = table.records_in_block();
        let block = self.block(first + index / in_block)?;
        let at = usize::try_from(index % in_block).unwrap_or(0) * table.width();
        Ok(padded(block.get(at..at + table.width()).ok_or(Broken)?))
    }

    fn place(&self, table: Table) -> (u64, u64) {
        let first = self.firsts.get(table as usize).copied().unwrap_or(0);
        (first, self.counts.get(table as usize).copied().unwrap_or(0))
    }

    /// All records of a table in order; blocks are not kept.
    pub(super) fn records(&self, table: Table) -> Records<'_> {
        let (block, left) = self.place(table);
        Records { run: self, width: table.width(), block, left, bytes: Vec::new(), at: 0 }
    }
}

impl Tables for RunFile {
    fn count(&self, table: Table) -> u64 {
        self.place(table).1
    }

    fn record(&self, table: Table, index: u64) -> Result<Record, Broken> {
        let (first, count) = self.place(table);
        if index >= count {
            return Err(Broken);
        }
        self.record_at(first, table, index)
    }

    fn will_read(&self, table: Table, index: u64) {
        let (first, _) = self.place(table);
        self.will_read_block(first + index / table.records_in_block());
    }

    fn lower_bound(&self, table: Table, key: &[u8]) -> Result<u64, Broken> {
        let count = self.count(table);
        let Some(&fences) = self.fences.get(table as usize).filter(|_| table.is_sorted()) else {
            return first_not_before(0..count, key, |index| self.record(table, index));
        };
        let fence = |block| self.record_at(fences, table, block);
        // It stands in the block before the first that begins at or behind it, or begins that.
        let block = first_not_before(0..table.blocks(count), key, fence)?.saturating_sub(1);
        let start = block * table.records_in_block();
        let end = count.min(start + table.records_in_block());
        first_not_before(start..end, key, |index| self.record(table, index))
    }
}

pub(super) fn padded(bytes: &[u8]) -> Record {
    let mut record = [0; RECORD_BYTES_MAX];
    record.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    record
}

/// The records of one table of a run, one after the other.
pub(super) struct Records<'a> {
    run: &'a RunFile,
    width: usize,
    block: u64,
    left: u64,
    bytes: Vec<u8>,
    at: usize,
}

impl Records<'_> {
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, Broken> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        if self.at + self.width > self.bytes.len() {
            self.bytes = self.run.read(self.block)?;
            self.block += 1;
            self.at = 0;
        }
        let record = self.bytes.get(self.at..self.at + self.width).ok_or(Broken)?;
        self.at += self.width;
        Ok(Some(record))
    }
}
