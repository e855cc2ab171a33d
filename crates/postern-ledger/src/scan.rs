//! One pass over a ledger: segments and dictionary side by side, every frame, row and binding
//! checked. Reading, verifying and opening all use it, so that they can't disagree.

use std::{collections::BTreeSet, io, ops::Range, sync::Arc};

use postern_merkle::{Edge, Hash};
use postern_model::Timestamp;

use crate::{
    Damage, DamageKind, DecodeError,
    bytes::Cursor,
    dictionary::{Keep, NotNext, Rows, StoredRow, binding},
    disk::{Disk, DiskFile, read_from},
    epoch::{KeyTrouble, Keys, Stage, Turn, key_name},
    frame::{
        self, DICTIONARY_NAME, FRAME_BYTES, Found, HEADER_BYTES, LedgerId, SegmentHeader,
        segment_name,
    },
    identity::{damage_at, unreadable},
    leaf::{self, EntrySalt, Leaf, SegmentSalt},
    payload::{self, Account, Decoded, Head},
    scan::ahead::{Ahead, Depth, Framed, Loaded, load},
};

mod ahead;
mod rows;

pub(crate) use self::rows::{LastRow, RowsFile};

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

impl Position {
    /// The same, or the start of a later segment, before which there are no more entries.
    pub(crate) fn in_segment(self, segment: u64) -> Self {
        let offset = if segment > self.segment { HEADER_BYTES as u64 } else { self.offset };
        Self { segment: segment.max(self.segment), offset, ..self }
    }
}

/// All that a pass has to know to begin behind entries that went by earlier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) position: Position,
    /// The sequence of the segment's first entry.
    pub(crate) first: u64,
    pub(crate) edge: Edge,
    pub(crate) time: Timestamp,
    /// How many rows there were of each kind.
    pub(crate) rows: [u32; 3],
    /// The last of them, if it is known: rows move when one is erased.
    pub(crate) last_row: Option<LastRow>,
    pub(crate) stage: Stage,
}

impl Mark {
    /// Before the first entry.
    pub(crate) fn start() -> Self {
        let (segment, offset, dictionary) = (0, HEADER_BYTES as u64, HEADER_BYTES as u64);
        Self {
            position: Position { segment, offset, dictionary },
            first: 0,
            edge: Edge::default(),
            time: Timestamp(i64::MIN),
            rows: [0; 3],
            last_row: None,
            stage: Stage::default(),
        }
    }
}

/// A row of the dictionary that the last entry brought, and the byte at which it stands.
pub(crate) type Brought = (StoredRow, u64);

pub(crate) struct Scan {
    disk: Arc<dyn Disk>,
    id: LedgerId,
    segments: u64,
    ordinal: u64,
    /// The sequence of the segment's first entry.
    first: u64,
    file: Box<dyn DiskFile>,
    bytes: Arc<Vec<u8>>,
    offset: usize,
    /// The segment's salt, if it has one.
    salt: Option<SegmentSalt>,
    /// Where the payload of the last entry is.
    payload: Range<usize>,
    /// What the rows that it brought hash to.
    binding: Option<Hash>,
    leaf: Hash,
    ahead: Option<Ahead>,
    rows_file: RowsFile,
    rows: Rows,
    /// What the last entry brought, if that is asked for.
    brought: Option<Vec<Brought>>,
    brought_frames: Vec<u8>,
    /// Those of the rows that the last entry brought.
    commitments: Vec<[u8; 32]>,
    edge: Edge,
    time: Timestamp,
    stage: Stage,
    /// The customers whom entries say were erased.
    erased: BTreeSet<u32>,
    torn: bool,
}

impl Scan {
    /// Starts a pass over the ledger with that id. `rows` is empty; it says what is kept of the
    /// dictionary.
    pub(crate) fn open(disk: Arc<dyn Disk>, id: LedgerId, rows: Rows) -> Result<Self, Damage> {
        Self::begin(disk, id, (rows, Depth::Decode), Mark::start())
    }

    /// Starts a pass that asks of each entry only whether it holds, with [`Self::check_next`].
    pub(crate) fn check(disk: Arc<dyn Disk>, id: LedgerId) -> Result<Self, Damage> {
        let rows = Rows::keeping(Keep::Counts);
        let mut scan = Self::begin(disk, id, (rows, Depth::Check), Mark::start())?;
        if scan.ahead.is_some() {
            scan.rows_file.go_ahead();
        }
        Ok(scan)
    }

    /// The same without threads.
    #[cfg(test)]
    pub(crate) fn check_alone(disk: Arc<dyn Disk>, id: LedgerId) -> Result<Self, Damage> {
        let rows = Rows::keeping(Keep::Counts);
        let scan = Self::begin(disk, id, (rows, Depth::Decode), Mark::start())?;
        Ok(Self { ahead: None, ..scan })
    }

    /// Whether others read and hash ahead of the pass.
    #[cfg(test)]
    pub(crate) fn has_threads(&self) -> bool {
        self.ahead.is_some()
    }

    /// Starts a pass that goes on where another one stood. Texts are not kept, and what every
    /// entry brings can be had from [`Self::brought`].
    pub(crate) fn resume(disk: Arc<dyn Disk>, id: LedgerId, mark: Mark) -> Result<Self, Damage> {
        let rows = Rows::counted(mark.rows);
        Ok(Self {
            brought: Some(Vec::new()),
            ..Self::begin(disk, id, (rows, Depth::Decode), mark)?
        })
    }

    fn begin(
        disk: Arc<dyn Disk>,
        id: LedgerId,
        (rows, depth): (Rows, Depth),
        mark: Mark,
    ) -> Result<Self, Damage> {
        let Mark { position: Position { segment, offset, dictionary }, .. } = mark;
        let segments = count_segments(&*disk)?;
        let taken = mark.rows.iter().map(|&count| u64::from(count)).sum();
        let rows_file = RowsFile::resume(&*disk, id, (dictionary, taken), mark.last_row)?;
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let mut ahead = Ahead::start(&disk, segment..segments, offset, depth);
        let loaded = || load(&*disk, segment, offset);
        let loaded = ahead.as_mut().and_then(Ahead::next_segment).unwrap_or_else(loaded);
        let (Loaded { file, bytes, .. }, salt) = checked(&*disk, loaded, id, segment, mark.first)?;
        Ok(Self {
            disk,
            id,
            segments,
            ordinal: segment,
            first: mark.first,
            file,
            bytes,
            offset,
            salt,
            payload: 0..0,
            binding: None,
            leaf: Hash([0; 32]),
            ahead,
            rows_file,
            rows,
            brought: None,
            brought_frames: Vec::new(),
            commitments: Vec::new(),
            edge: mark.edge,
            time: mark.time,
            stage: mark.stage,
            erased: BTreeSet::new(),
            torn: false,
        })
    }

    /// Where a later pass can go on.
    pub(crate) fn mark(&self) -> Mark {
        let (position, edge, rows) = (self.position(), self.edge.clone(), self.rows.counts());
        let (last_row, stage) = (self.rows_file.last(), self.stage);
        Mark { position, first: self.first, edge, time: self.time, rows, last_row, stage }
    }

    /// The rows that the last entry brought.
    pub(crate) fn brought(&self) -> &[Brought] {
        self.brought.as_deref().unwrap_or_default()
    }

    /// The segment and the byte in it where the last entry's frame begins.
    pub(crate) fn frame_at(&self) -> (u64, u64) {
        (self.ordinal, self.payload.start.saturating_sub(FRAME_BYTES) as u64)
    }

    /// The tree over the entries so far.
    pub(crate) fn edge(&self) -> &Edge {
        &self.edge
    }

    /// The time of the last entry.
    pub(crate) fn time(&self) -> Timestamp {
        self.time
    }

    /// Which epoch the last entry belongs to, and what is past retention.
    pub(crate) fn stage(&self) -> Stage {
        self.stage
    }

    /// The customers whom the entries so far say were erased.
    pub(crate) fn erased(&self) -> &BTreeSet<u32> {
        &self.erased
    }

    /// The keys of epochs, as far as they are there.
    pub(crate) fn keys(&self) -> &Keys {
        &self.rows_file.keys
    }

    /// The rows so far.
    pub(crate) fn rows(&self) -> &Rows {
        &self.rows
    }

    /// The header of the segment that the pass stands in.
    pub(crate) fn header(&self) -> &[u8] {
        self.bytes.get(..HEADER_BYTES).unwrap_or_default()
    }

    /// The frame of the last entry.
    pub(crate) fn frame(&self) -> &[u8] {
        let start = self.payload.start.saturating_sub(FRAME_BYTES);
        self.bytes.get(start..self.payload.end).unwrap_or_default()
    }

    /// The frames of the rows that the last entry brought.
    pub(crate) fn brought_frames(&self) -> &[u8] {
        &self.brought_frames
    }

    /// The payload of the last entry.
    pub(crate) fn payload(&self) -> &[u8] {
        self.bytes.get(self.payload.clone()).unwrap_or_default()
    }

    /// What the last entry's leaf is the hash of.
    pub(crate) fn content(&self) -> Vec<u8> {
        let payload = self.payload();
        let content = leaf::content(payload, &self.entry_salt(), self.binding.as_ref());
        content.map_or_else(|| payload.to_vec(), |content| content.as_slice().to_vec())
    }

    /// The last entry's leaf.
    pub(crate) fn leaf(&self) -> Hash {
        self.leaf
    }

    /// What hides the last entry's body.
    pub(crate) fn entry_salt(&self) -> EntrySalt {
        let sequence = self.edge.size().saturating_sub(1);
        leaf::entry_salt(&self.salt.unwrap_or_default(), sequence)
    }

    /// The salt of the segment that the pass stands in.
    pub(crate) fn segment_salt(&self) -> Option<SegmentSalt> {
        self.salt
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
        let offset = self.rows_file.offset;
        Ok(unused.then(|| self.dictionary_damage(DamageKind::UnusedRows, offset)))
    }

    fn dictionary_damage(&self, kind: DamageKind, offset: u64) -> Damage {
        Damage {
            kind,
            file: self.disk.path(DICTIONARY_NAME),
            offset,
            entry: Some(self.edge.size()),
        }
    }

    /// A row of the present epoch can't be opened.
    fn key_damage(&self, trouble: KeyTrouble) -> Damage {
        let name = key_name(self.stage.current);
        let damage = damage_at(&*self.disk, &name, trouble.into());
        Damage { entry: Some(self.edge.size()), ..damage }
    }

    /// The next entry. At the end of what is good, [`Self::is_torn`] tells whether more follows.
    pub(crate) fn next(&mut self) -> Result<Option<(Decoded, Hash)>, Damage> {
        let Some(framed) = self.next_frame()? else {
            return Ok(None);
        };
        let (head, body) = self.begin_entry(&framed.payload)?;
        let decoded = self.decode(&head, body)?;
        self.end_entry(framed, head.time);
        Ok(Some((decoded, self.leaf)))
    }

    /// Whether there is a next entry, which holds.
    pub(crate) fn check_next(&mut self) -> Result<bool, Damage> {
        let Some(framed) = self.next_frame()? else {
            return Ok(false);
        };
        let (head, body) = self.begin_entry(&framed.payload)?;
        let decodes = framed.named.is_some_and(|named| named.are_in(self.rows.counts()));
        if !decodes {
            self.decode(&head, body)?;
        }
        self.end_entry(framed, head.time);
        Ok(true)
    }

    /// Checks the head of an entry and the rows that it brings. Returns where its body is.
    fn begin_entry(&mut self, payload: &Range<usize>) -> Result<(Head, Range<usize>), Damage> {
        let mut cursor = Cursor::new(self.bytes.get(payload.clone()).unwrap_or_default());
        let entry_damage = |error| self.damage(DamageKind::Entry(error));
        let head = Head::decode(&mut cursor).map_err(entry_damage)?;
        // Each segment has the entries of its own version.
        if (head.open.account == Account::InBody) != self.salt.is_none() {
            return Err(entry_damage(DecodeError::Unknown));
        }
        let body = payload.end - cursor.len()..payload.end;
        self.check_order(&head)?;
        self.binding = self.take_rows(&head)?;
        if !self.rows.has_account_of(&head) {
            return Err(self.damage(DamageKind::Entry(DecodeError::Account)));
        }
        Ok((head, body))
    }

    fn decode(&mut self, head: &Head, body: Range<usize>) -> Result<Decoded, Damage> {
        let cursor = Cursor::new(self.bytes.get(body).unwrap_or_default());
        let decoded = payload::decode(head, cursor, &self.rows)
            .map_err(|error| self.damage(DamageKind::Entry(error)))?;
        if let Some(turn) = decoded.turn {
            self.turn(turn)?;
        }
        self.erased.extend(decoded.erased);
        Ok(decoded)
    }

    fn end_entry(&mut self, framed: Framed, time: Timestamp) {
        let payload = self.bytes.get(framed.payload.clone()).unwrap_or_default();
        self.leaf = framed.leaf.finish(payload, self.binding.as_ref());
        self.edge.append(self.leaf);
        self.time = time;
        self.offset = framed.payload.end;
        self.payload = framed.payload;
    }

    /// Takes what an entry says of epochs.
    fn turn(&mut self, turn: Turn) -> Result<(), Damage> {
        let [subjects, ..] = self.rows.counts();
        let before = self.stage.current;
        let taken = self.stage.take(turn, subjects);
        taken.map_err(|error| self.damage(DamageKind::Entry(error)))?;
        if let Turn::Begun { epoch, commitment } = turn {
            let found = self.rows_file.keys.commit_on(&*self.disk, epoch, commitment);
            found.map_err(|error| unreadable(&*self.disk, &key_name(epoch), error))?;
            self.rows.end_epoch(before);
        }
        Ok(())
    }

    /// The next good frame, in this segment or the next.
    fn next_frame(&mut self) -> Result<Option<Framed>, Damage> {
        loop {
            if let Some(framed) = self.ahead.as_mut().and_then(Ahead::next_frame) {
                return Ok(Some(framed));
            }
            match frame::look(self.bytes.get(self.offset..).unwrap_or_default()) {
                Found::Frame { payload, .. } => {
                    let start = self.offset + FRAME_BYTES;
                    let leaf = Leaf::new(payload, &self.salt.unwrap_or_default());
                    let payload = start..start + payload.len();
                    return Ok(Some(Framed { payload, leaf, named: None }));
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
    fn bad_frame(&mut self) -> Result<Option<Framed>, Damage> {
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
        let bytes = Arc::make_mut(&mut self.bytes);
        bytes.truncate(self.offset);
        bytes.extend_from_slice(&rest);
        Ok(changed)
    }

    fn next_segment(&mut self) -> Result<(), Damage> {
        let next = self.ordinal + 1;
        let first = self.edge.size();
        let loaded = || load(&*self.disk, next, HEADER_BYTES);
        let loaded = self.ahead.as_mut().and_then(Ahead::next_segment).unwrap_or_else(loaded);
        let (Loaded { file, bytes, .. }, salt) =
            checked(&*self.disk, loaded, self.id, next, first)?;
        (self.file, self.bytes, self.ordinal, self.offset) = (file, bytes, next, HEADER_BYTES);
        (self.first, self.salt) = (first, salt);
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

    /// Reads the rows that an entry brings and checks that they are what it commits to. Returns
    /// what they hash to.
    fn take_rows(&mut self, head: &Head) -> Result<Option<Hash>, Damage> {
        self.brought.iter_mut().for_each(Vec::clear);
        self.brought_frames.clear();
        let Some(expected) = head.binding else {
            return Ok(None);
        };
        let first = self.rows_file.offset;
        self.commitments.clear();
        for _ in 0..head.rows {
            let offset = self.rows_file.offset;
            let row = self.rows_file.next(&*self.disk);
            let row = row.map_err(|error| unreadable(&*self.disk, DICTIONARY_NAME, error))?;
            let epoch = row.as_ref().and_then(|row| row.epoch);
            // Each epoch has rows of its own only.
            if epoch.is_some_and(|epoch| epoch != self.stage.current) {
                return Err(self.dictionary_damage(DamageKind::Row, offset));
            }
            if let Some(trouble) = row.as_ref().and_then(|row| row.trouble) {
                return Err(self.key_damage(trouble));
            }
            if let (Some(brought), Some(row)) = (&mut self.brought, &row) {
                brought.push((row.clone(), offset));
                self.brought_frames.extend_from_slice(self.rows_file.last_frame());
            }
            let row = row.ok_or_else(|| self.dictionary_damage(DamageKind::Row, offset))?;
            let commitment = row.commitment;
            self.rows.push(row).map_err(|not_next| {
                let kind = match not_next {
                    NotNext::Number => DamageKind::Row,
                    NotNext::Twice => DamageKind::Twice,
                };
                self.dictionary_damage(kind, offset)
            })?;
            self.commitments.push(commitment);
        }
        let found = binding(&self.commitments);
        if expected.fits(&found) {
            Ok(Some(found))
        } else {
            Err(self.dictionary_damage(DamageKind::Binding, first))
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

/// A segment that was read, once its header holds.
fn checked(
    disk: &dyn Disk,
    loaded: io::Result<Loaded>,
    id: LedgerId,
    ordinal: u64,
    first: u64,
) -> Result<(Loaded, Option<SegmentSalt>), Damage> {
    let name = segment_name(ordinal);
    let loaded = loaded.map_err(|error| unreadable(disk, &name, error))?;
    let bad =
        |why| Damage { entry: Some(first), ..damage_at(disk, &name, DamageKind::Header(why)) };
    let header = SegmentHeader::decode(&loaded.bytes, id).map_err(bad)?;
    if header.ordinal != ordinal {
        return Err(bad("is another segment's"));
    }
    if header.first != first {
        return Err(bad("begins with another entry than the one that follows"));
    }
    if header.length != loaded.length {
        return Err(bad("the file's length is not the one it was made with"));
    }
    Ok((loaded, header.salt))
}
