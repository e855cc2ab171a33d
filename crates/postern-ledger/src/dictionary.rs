//! Texts and their numbers: see "Dictionary" in `docs/design/ledger.md`.

use std::{
    collections::{BTreeSet, HashMap},
    io,
    sync::Arc,
};

use postern_merkle::Hash;

use crate::{
    bytes::{Cursor, DecodeError},
    disk::DiskFile,
    payload::Texts,
};

/// Checksum and length.
pub(crate) const ROW_FRAME_BYTES: usize = 8;
/// What a row takes besides its text.
pub(crate) const ROW_BYTES: usize = ROW_FRAME_BYTES + 1 + 1 + 4 + 16;
/// The longest text that is kept whole; longer ones are cut at a character.
pub(crate) const TEXT_BYTES_MAX: usize = 64 << 10;
const ROW_PAYLOAD_MAX: usize = TEXT_BYTES_MAX + 22;

const ROW: u8 = 1;
const ERASED: u8 = 2;

/// What a row's number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Customers, interned.
    Subject = 0,
    /// Actors, relations, columns, statements and other things that repeat, interned.
    Name = 1,
    /// Sentences, each used once.
    Text = 2,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Subject, Self::Name, Self::Text].into_iter().find(|&kind| kind as u8 == byte)
    }
}

pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    use sha2::Digest;
    let mut hash = sha2::Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize().into()
}

fn commitment(kind: Kind, number: u32, salt: &[u8; 16], text: &[u8]) -> [u8; 32] {
    sha256(&[b"postern dictionary row 1\n", &[kind as u8], &number.to_le_bytes(), salt, text])
}

/// What an entry commits to: the hash of the commitments of the rows that it brings.
pub(crate) fn binding(commitments: &[[u8; 32]]) -> Hash {
    Hash(sha256(&[commitments.as_flattened()]))
}

/// The start of a text that a row has room for.
pub(crate) fn fitting(text: &str) -> &str {
    text.get(..text.floor_char_boundary(TEXT_BYTES_MAX)).unwrap_or(text)
}

/// Where salts come from; the system's generator except in tests of exact bytes.
pub(crate) type Salts = Box<dyn FnMut() -> [u8; 16] + Send>;

/// The writer's half: numbers for texts, and the rows that are not on disk yet.
pub(crate) struct Dictionary {
    subjects: HashMap<Arc<str>, u32>,
    names: HashMap<Arc<str>, u32>,
    // The next numbers; more than the maps hold once rows were erased.
    subjects_len: u32,
    names_len: u32,
    texts_len: u32,
    salts: Salts,
    /// Frames of new rows, to be written with the batch.
    pub(crate) unwritten: Vec<u8>,
    /// Commitments of the rows that the present entry brings.
    fresh: Vec<[u8; 32]>,
}

impl Dictionary {
    pub(crate) fn new(rows: Rows, salts: Salts) -> Self {
        let numbered = |column: Column| {
            let numbers = (0..).zip(column.texts);
            numbers.filter_map(|(number, text)| Some((text?, number))).collect()
        };
        Self {
            subjects_len: rows.subjects.len,
            names_len: rows.names.len,
            texts_len: rows.texts.len,
            subjects: numbered(rows.subjects),
            names: numbered(rows.names),
            salts,
            unwritten: Vec::new(),
            fresh: Vec::new(),
        }
    }

    /// Whether there are numbers left for rows of so many bytes.
    pub(crate) fn has_room_for(&self, rows_bytes: u64) -> bool {
        let most = [self.subjects_len, self.names_len, self.texts_len].into_iter().max();
        u64::from(most.unwrap_or(0)) + rows_bytes / (ROW_BYTES as u64) < u64::from(u32::MAX)
    }

    /// The number of a subject that is in the dictionary already.
    pub(crate) fn known_subject(&self, subject: &str) -> Option<u32> {
        self.subjects.get(subject).copied()
    }

    pub(crate) fn subject(&mut self, text: &str) -> u32 {
        if let Some(&number) = self.subjects.get(text) {
            return number;
        }
        let number = self.subjects_len;
        self.subjects_len += 1;
        self.subjects.insert(text.into(), number);
        self.add(Kind::Subject, number, text);
        number
    }

    pub(crate) fn name(&mut self, text: &str) -> u32 {
        let text = fitting(text);
        if let Some(&number) = self.names.get(text) {
            return number;
        }
        let number = self.names_len;
        self.names_len += 1;
        self.names.insert(text.into(), number);
        self.add(Kind::Name, number, text);
        number
    }

    /// A subject's name was erased: should it come again it gets another number.
    pub(crate) fn forget(&mut self, subject: &str) {
        self.subjects.remove(subject);
    }

    /// The number of a name that is in the dictionary already.
    pub(crate) fn known_name(&self, name: &str) -> Option<u32> {
        self.names.get(fitting(name)).copied()
    }

    pub(crate) fn text(&mut self, text: &str) -> u32 {
        let number = self.texts_len;
        self.texts_len += 1;
        self.add(Kind::Text, number, fitting(text));
        number
    }

    fn add(&mut self, kind: Kind, number: u32, text: &str) {
        let salt = (self.salts)();
        self.fresh.push(commitment(kind, number, &salt, text.as_bytes()));
        let mut payload = vec![ROW, kind as u8];
        payload.extend_from_slice(&number.to_le_bytes());
        payload.extend_from_slice(&salt);
        payload.extend_from_slice(text.as_bytes());
        encode_frame(&mut self.unwritten, &payload);
    }

    /// The commitments of the rows that were added since the last call.
    pub(crate) fn take_fresh(&mut self) -> Vec<[u8; 32]> {
        std::mem::take(&mut self.fresh)
    }
}

pub(crate) fn encode_frame(out: &mut Vec<u8>, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes();
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&length), payload);
    out.extend_from_slice(&checksum.to_le_bytes());
    out.extend_from_slice(&length);
    out.extend_from_slice(payload);
}

/// Appends the frame of a row of which only the commitment is kept.
pub(crate) fn encode_erased(out: &mut Vec<u8>, row: &StoredRow) {
    let mut payload = vec![ERASED, row.kind as u8];
    payload.extend_from_slice(&row.number.to_le_bytes());
    payload.extend_from_slice(&row.commitment);
    encode_frame(out, &payload);
}

/// One row as it is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredRow {
    pub(crate) kind: Kind,
    pub(crate) number: u32,
    /// `None`: erased.
    pub(crate) text: Option<Arc<str>>,
    pub(crate) commitment: [u8; 32],
}

/// Reads the frame at the start of `bytes`; `None` if there is no good one. Returns its length too.
pub(crate) fn decode_frame(bytes: &[u8]) -> Option<(StoredRow, usize)> {
    let mut cursor = Cursor::new(bytes);
    let checksum = cursor.u32().ok()?;
    let covered = cursor.clone().rest();
    let length = usize::try_from(cursor.u32().ok()?).ok()?;
    if length > ROW_PAYLOAD_MAX {
        return None;
    }
    let payload = cursor.take(length).ok()?;
    let good = crc32c::crc32c(covered.get(..length + 4)?) == checksum;
    good.then(|| decode_row(payload)).flatten().map(|row| (row, ROW_FRAME_BYTES + length))
}

/// The payload of the row whose frame begins at that byte; it was read before and found good.
pub(crate) fn read_payload(file: &dyn DiskFile, offset: u64) -> io::Result<Vec<u8>> {
    let mut head = [0; ROW_FRAME_BYTES];
    file.read_at(&mut head, offset)?;
    let length = head.last_chunk().copied().unwrap_or_default();
    let length = usize::try_from(u32::from_le_bytes(length)).map_err(io::Error::other)?;
    let mut payload = vec![0; length.min(ROW_PAYLOAD_MAX)];
    file.read_at(&mut payload, offset + ROW_FRAME_BYTES as u64)?;
    Ok(payload)
}

pub(crate) fn decode_row(payload: &[u8]) -> Option<StoredRow> {
    let mut cursor = Cursor::new(payload);
    let form = cursor.u8().ok()?;
    let kind = Kind::from_byte(cursor.u8().ok()?)?;
    let number = cursor.u32().ok()?;
    let (text, commitment) = match form {
        ROW => {
            let salt = cursor.array().ok()?;
            let text = std::str::from_utf8(cursor.rest()).ok()?;
            (Some(text.into()), commitment(kind, number, &salt, text.as_bytes()))
        }
        ERASED => (None, cursor.array().ok()?),
        _ => return None,
    };
    cursor.end().ok()?;
    Some(StoredRow { kind, number, text, commitment })
}

/// What a reader keeps of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Keep {
    /// All texts.
    #[default]
    Texts,
    /// How many there are, which is enough to verify, whatever the dictionary's length.
    Counts,
}

/// The reader's half: texts by number.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    subjects: Column,
    names: Column,
    texts: Column,
    keep: Keep,
    /// What stands for each text that is not kept.
    blank: Arc<str>,
}

#[derive(Debug, Default)]
struct Column {
    len: u32,
    /// `None`: erased. Empty if texts are not kept.
    texts: Vec<Option<Arc<str>>>,
}

impl Rows {
    /// No rows yet.
    pub(crate) fn keeping(keep: Keep) -> Self {
        Self { keep, ..Self::default() }
    }

    fn column(&self, kind: Kind) -> &Column {
        match kind {
            Kind::Subject => &self.subjects,
            Kind::Name => &self.names,
            Kind::Text => &self.texts,
        }
    }

    /// As if so many of each kind had been taken, of which no text is known.
    pub(crate) fn counted([subjects, names, texts]: [u32; 3]) -> Self {
        let column = |len| Column { len, texts: Vec::new() };
        Self {
            subjects: column(subjects),
            names: column(names),
            texts: column(texts),
            ..Self::keeping(Keep::Counts)
        }
    }

    /// Forgets the names of subjects.
    pub(crate) fn erase(&mut self, subjects: &BTreeSet<u32>) {
        for (number, text) in (0..).zip(&mut self.subjects.texts) {
            if subjects.contains(&number) {
                *text = None;
            }
        }
    }

    /// Whether a subject's name is there.
    pub(crate) fn has_name_of(&self, subject: u32) -> bool {
        let index = usize::try_from(subject).ok();
        index.and_then(|index| self.subjects.texts.get(index)).is_some_and(Option::is_some)
    }

    /// How many there are of each kind: subjects, names, texts.
    pub(crate) fn counts(&self) -> [u32; 3] {
        [self.subjects.len, self.names.len, self.texts.len]
    }

    /// Takes the next row; false if it is not the next of its kind.
    pub(crate) fn push(&mut self, row: StoredRow) -> bool {
        let column = match row.kind {
            Kind::Subject => &mut self.subjects,
            Kind::Name => &mut self.names,
            Kind::Text => &mut self.texts,
        };
        let next = column.len == row.number;
        column.len = column.len.saturating_add(1);
        if self.keep == Keep::Texts {
            column.texts.push(row.text);
        }
        next
    }
}

impl Texts for Rows {
    /// What a number stands for; of an erased row no more than that it was erased.
    fn text(&self, kind: Kind, number: u32) -> Result<Arc<str>, DecodeError> {
        let column = self.column(kind);
        if number >= column.len {
            return Err(DecodeError::Row);
        }
        if self.keep == Keep::Counts {
            return Ok(self.blank.clone());
        }
        let text = usize::try_from(number).ok().and_then(|index| column.texts.get(index));
        let text = text.ok_or(DecodeError::Row)?;
        Ok(text.clone().unwrap_or_else(|| format!("erased {number}").into()))
    }
}
