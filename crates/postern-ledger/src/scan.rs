//! One pass over a ledger: segments and dictionary side by side, every frame, row and binding
//! checked. Reading, verifying and opening all use it, so that they can't disagree.

use std::{io, ops::Range, sync::Arc};

use postern_merkle::{Edge, Hash, leaf_hash};
use postern_model::Timestamp;

use crate::{
    Damage, DamageKind,
    bytes::Cursor,
    dictionary::{self, Rows, StoredRow, binding},
    disk::{Disk, DiskFile, read_from},
    frame::{
        self, DICTIONARY_NAME, FRAME_BYTES, Found, HEADER_BYTES, LedgerId, SegmentHeader,
        segment_name,
    },
    identity::{damage_at, unreadable},
    payload::{self, Decoded, Head},
};

/// Where the pass stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    /// The segment's ordinal.
    pub(crate) segment: u64,
    /// The byte in it.
    pub(crate) offset: u64,
    /// The byte in the dictionary.
    pub(crate) dictionary: u64,
}

pub(crate) struct Scan {
    disk: Arc<dyn Disk>,
    id: LedgerId,
    segments: u64,
    ordinal: u64,
    file: Box<dyn DiskFile>,
    bytes: Vec<u8>,
    offset: usize,
    rows_file: RowsFile,
    rows: Rows,
    edge: Edge,
    time: Timestamp,
    torn: bool,
}

impl Scan {
    /// Starts a pass over the ledger with that id.
    pub(crate) fn open(disk: Arc<dyn Disk>, id: LedgerId) -> Result<Self, Damage> {
        let segments = count_segments(&*disk)?;
        let rows_file = RowsFile::open(&*disk, id)?;
        let (file, bytes) = open_segment(&*disk, id, 0, 0)?;
        Ok(Self {
            disk,
            id,
            segments,
            ordinal: 0,
            file,
            bytes,
            offset: HEADER_BYTES,
            rows_file,
            rows: Rows::default(),
            edge: Edge::default(),
            time: Timestamp(i64::MIN),
            torn: false,
        })
    }

    /// The tree over the entries so far.
    pub(crate) fn edge(&self) -> &Edge {
        &self.edge
    }

    /// The time of the last entry.
    pub(crate) fn time(&self) -> Timestamp {
        self.time
    }

    /// What was read is followed by something that is no frame.
    pub(crate) fn is_torn(&self) -> bool {
        self.torn
    }

    pub(crate) fn position(&self) -> Position {
        let (segment, dictionary) = (self.ordinal, self.rows_file.offset);
        Position { segment, offset: self.offset as u64, dictionary }
    }

    pub(crate) fn into_parts(self) -> (Edge, Rows) {
        (self.edge, self.rows)
    }

    /// Damage at the present place in the segment.
    pub(crate) fn damage(&self, kind: DamageKind) -> Damage {
        Damage {
            kind,
            file: self.disk.path(&segment_name(self.ordinal)),
            offset: self.offset as u64,
            entry: Some(self.edge.size()),
        }
    }

    /// Whether the dictionary holds something behind the rows that were read.
    pub(crate) fn unused_rows(&mut self) -> Result<Option<Damage>, Damage> {
        let unused = self
            .rows_file
            .has_more()
            .map_err(|error| unreadable(&*self.disk, DICTIONARY_NAME, error))?;
        Ok(unused.then(|| self.dictionary_damage(DamageKind::UnusedRows)))
    }

    fn dictionary_damage(&self, kind: DamageKind) -> Damage {
        Damage {
            kind,
            file: self.disk.path(DICTIONARY_NAME),
            offset: self.rows_file.offset,
            entry: Some(self.edge.size()),
        }
    }

    /// The next entry. At the end of what is good, [`Self::is_torn`] tells whether more follows.
    pub(crate) fn next(&mut self) -> Result<Option<(Decoded, Hash)>, Damage> {
        let Some(range) = self.next_frame()? else {
            return Ok(None);
        };
        let payload = self.bytes.get(range.clone()).unwrap_or_default();
        let leaf = leaf_hash(payload);
        let mut cursor = Cursor::new(payload);
        let entry_damage = |error| self.damage(DamageKind::Entry(error));
        let head = Head::decode(&mut cursor).map_err(entry_damage)?;
        self.check_order(&head)?;
        let body = payload.len() - cursor.len()..payload.len();
        self.take_rows(&head)?;
        let payload = self.bytes.get(range.clone()).unwrap_or_default();
        let cursor = Cursor::new(payload.get(body).unwrap_or_default());
        let decoded = payload::decode(&head, cursor, &self.rows)
            .map_err(|error| self.damage(DamageKind::Entry(error)))?;
        self.edge.append(leaf);
        self.time = head.time;
        self.offset = range.end;
        Ok(Some((decoded, leaf)))
    }

    /// The next good frame's payload, in this segment or the next.
    fn next_frame(&mut self) -> Result<Option<Range<usize>>, Damage> {
        loop {
            match frame::look(self.bytes.get(self.offset..).unwrap_or_default()) {
                Found::Frame { payload, .. } => {
                    let start = self.offset + FRAME_BYTES;
                    return Ok(Some(start..start + payload.len()));
                }
                Found::End if self.ordinal + 1 == self.segments => return Ok(None),
                Found::End => self.next_segment()?,
                Found::Bad => {
                    if !self.reread()? {
                        return self.bad_frame();
                    }
                }
            }
        }
    }

    /// Tells a write that was cut short from damage.
    fn bad_frame(&mut self) -> Result<Option<Range<usize>>, Damage> {
        let rest = self.bytes.get(self.offset..).unwrap_or_default();
        let is_last = self.ordinal + 1 == self.segments;
        if !is_last || frame::later_batch_in(rest, self.edge.size()).is_some() {
            return Err(self.damage(DamageKind::Frame));
        }
        self.torn = true;
        Ok(None)
    }

    /// Reads the rest of the segment again: a writer may be at work, and its bytes may have been
    /// read while they were written. True if they are others now.
    fn reread(&mut self) -> Result<bool, Damage> {
        let rest = read_from(&*self.file, self.offset as u64)
            .map_err(|error| unreadable(&*self.disk, &segment_name(self.ordinal), error))?;
        let changed = self.bytes.get(self.offset..) != Some(&rest);
        self.bytes.truncate(self.offset);
        self.bytes.extend_from_slice(&rest);
        Ok(changed)
    }

    fn next_segment(&mut self) -> Result<(), Damage> {
        let next = self.ordinal + 1;
        let (file, bytes) = open_segment(&*self.disk, self.id, next, self.edge.size())?;
        (self.file, self.bytes, self.ordinal, self.offset) = (file, bytes, next, HEADER_BYTES);
        Ok(())
    }

    fn check_order(&self, head: &Head) -> Result<(), Damage> {
        let (expected, found) = (self.edge.size(), head.sequence);
        if found != expected {
            return Err(self.damage(DamageKind::Sequence { expected, found }));
        }
        if head.time < self.time {
            let (before, found) = (self.time, head.time);
            return Err(self.damage(DamageKind::Time { before, found }));
        }
        Ok(())
    }

    /// Reads the rows that an entry brings and checks that they are what it commits to.
    fn take_rows(&mut self, head: &Head) -> Result<(), Damage> {
        let Some(expected) = head.binding else {
            return Ok(());
        };
        let mut commitments = Vec::new();
        for _ in 0..head.rows {
            let row = self.rows_file.next();
            let row = row.map_err(|error| unreadable(&*self.disk, DICTIONARY_NAME, error))?;
            let Some((row, _)) = row else {
                return Err(self.dictionary_damage(DamageKind::Row));
            };
            commitments.push(row.commitment);
            if !self.rows.push(row) {
                return Err(self.dictionary_damage(DamageKind::Row));
            }
        }
        if binding(&commitments) == expected {
            Ok(())
        } else {
            Err(self.dictionary_damage(DamageKind::Binding))
        }
    }
}

/// How many segments there are; any other file in their folder is damage.
fn count_segments(disk: &dyn Disk) -> Result<u64, Damage> {
    const FOLDER: &str = "segments";
    let names = disk.list(FOLDER).map_err(|error| unreadable(disk, FOLDER, error))?;
    let names = names.iter().filter(|name| !name.ends_with(".tmp"));
    let mut count = 0;
    for name in names {
        let (expected, found) = (segment_name(count), format!("{FOLDER}/{name}"));
        if found != expected {
            let is_segment = found.len() == expected.len() && found.ends_with(".seg");
            return Err(if is_segment {
                damage_at(disk, &expected, DamageKind::Missing)
            } else {
                damage_at(disk, &found, DamageKind::Stray)
            });
        }
        count += 1;
    }
    if count == 0 {
        return Err(damage_at(disk, &segment_name(0), DamageKind::Missing));
    }
    Ok(count)
}

/// A segment's file and all its bytes, once its header holds.
fn open_segment(
    disk: &dyn Disk,
    id: LedgerId,
    ordinal: u64,
    first: u64,
) -> Result<(Box<dyn DiskFile>, Vec<u8>), Damage> {
    let name = segment_name(ordinal);
    let read = || {
        let file = disk.open_read(&name)?;
        let bytes = read_from(&*file, 0)?;
        Ok((file, bytes))
    };
    let (file, bytes) = read().map_err(|error| unreadable(disk, &name, error))?;
    let bad =
        |why| Damage { entry: Some(first), ..damage_at(disk, &name, DamageKind::Header(why)) };
    let header = SegmentHeader::decode(&bytes, id).map_err(bad)?;
    if header.ordinal != ordinal {
        return Err(bad("is another segment's"));
    }
    if header.first != first {
        return Err(bad("begins with another entry than the one that follows"));
    }
    if header.length != bytes.len() as u64 {
        return Err(bad("the file's length is not the one it was made with"));
    }
    Ok((file, bytes))
}

/// The dictionary's file, read row by row.
struct RowsFile {
    file: Box<dyn DiskFile>,
    /// The byte of the file that the next row starts at.
    offset: u64,
    /// What was read ahead, and how much of it is used up.
    ahead: Vec<u8>,
    used: usize,
}

const READ_AHEAD_BYTES: usize = 64 << 10;

impl RowsFile {
    fn open(disk: &dyn Disk, id: LedgerId) -> Result<Self, Damage> {
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
        Ok(Self { file, offset: HEADER_BYTES as u64, ahead: Vec::new(), used: 0 })
    }

    /// The next row; `None` if what follows is no row.
    fn next(&mut self) -> io::Result<Option<(StoredRow, usize)>> {
        let ahead = self.ahead.get(self.used..).unwrap_or_default();
        let mut row = dictionary::decode_frame(ahead);
        if row.is_none() {
            // It may be cut by the end of what was read, or written since.
            self.read_ahead()?;
            row = dictionary::decode_frame(&self.ahead);
        }
        if let Some((_, length)) = &row {
            self.used += length;
            self.offset += *length as u64;
        }
        Ok(row)
    }

    fn read_ahead(&mut self) -> io::Result<()> {
        self.ahead.resize(READ_AHEAD_BYTES, 0);
        self.used = 0;
        let read = self.file.read_at(&mut self.ahead, self.offset)?;
        self.ahead.truncate(read);
        Ok(())
    }

    /// Whether anything but zeros follows.
    fn has_more(&mut self) -> io::Result<bool> {
        let mut rest = read_from(&*self.file, self.offset)?;
        rest.retain(|&byte| byte != 0);
        Ok(!rest.is_empty())
    }
}
