//! Texts and their numbers: see "Dictionary" in `docs/design/ledger.md`.

use std::{collections::HashMap, sync::Arc};

use postern_merkle::Hash;

use crate::{
    bytes::Cursor,
    epoch::{EpochKey, KeyTrouble, Keys, RowNonce},
};

mod hash;
mod rows;

use self::rows::{Column, Earlier, to_earlier};
pub(crate) use self::{
    hash::sha256,
    rows::{Keep, NotNext, Rows},
};

/// Checksum and length.
pub(crate) const ROW_FRAME_BYTES: usize = 8;
/// What a row takes besides its text.
pub(crate) const ROW_BYTES: usize = ROW_FRAME_BYTES + 1 + 1 + 4 + SALT_BYTES;
/// Epoch and nonce, which a row has besides if it is sealed.
const SEAL_BYTES: usize = 2 + 7;
const SALT_BYTES: usize = 16;
/// The longest text that is kept whole; longer ones are cut at a character.
pub(crate) const TEXT_BYTES_MAX: usize = 64 << 10;
const ROW_PAYLOAD_MAX: usize = TEXT_BYTES_MAX + ROW_BYTES + SEAL_BYTES - ROW_FRAME_BYTES;

const ROW: u8 = 1;
const ERASED: u8 = 2;
const SEALED: u8 = 3;

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

/// Where salts and keys come from; the system's generator except in tests of exact bytes.
pub(crate) type Salts = Box<dyn FnMut() -> [u8; 16] + Send>;

/// The writer's half: numbers for texts, and the rows that are not on disk yet.
pub(crate) struct Dictionary {
    /// Those of the present epoch, as all below, but for `names`.
    subjects: HashMap<Arc<str>, u32>,
    /// Names that are kept for ever.
    names: HashMap<Arc<str>, u32>,
    /// Tickets and addresses, which are not.
    passing: HashMap<Arc<str>, u32>,
    earlier: HashMap<Arc<str>, Earlier>,
    /// The present epoch and its key; `None`: none has begun.
    epoch: Option<(u16, EpochKey)>,
    /// Salts of the present epoch's customers, from the number `salted_from` on, if they are kept.
    subject_salts: Option<Vec<[u8; SALT_BYTES]>>,
    salted_from: u32,
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
    /// Goes on behind those rows, in that epoch.
    pub(crate) fn new(rows: Rows, epoch: Option<(u16, EpochKey)>, salts: Salts) -> Self {
        let [subjects_len, names_len, texts_len] = rows.counts();
        let [first_subject, first_name] = rows.epoch_start;
        // The same text may have a number of either kind.
        let sealed = |number: &u32| rows.passing.contains(number);
        let names = numbered(&rows.names, 0, |number| !sealed(number));
        let passing = numbered(&rows.names, first_name, sealed);
        Self {
            subjects_len,
            names_len,
            texts_len,
            subjects: numbered(&rows.subjects, first_subject, |_| true),
            names,
            passing,
            earlier: rows.earlier,
            epoch,
            subject_salts: rows.subject_salts,
            salted_from: first_subject,
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

    /// What rows take that would take so much unsealed.
    pub(crate) fn rows_bytes(&self, unsealed: u64) -> u64 {
        let seals = unsealed / ROW_BYTES as u64 * SEAL_BYTES as u64;
        if self.epoch.is_some() { unsealed + seals } else { unsealed }
    }

    /// Has what comes from now on sealed under that key.
    pub(crate) fn begin_epoch(&mut self, epoch: u16, key: EpochKey) {
        let before = self.epoch.as_ref().map_or(0, |&(epoch, _)| epoch);
        to_earlier(&mut self.earlier, self.subjects.drain(), before);
        self.passing.clear();
        self.subject_salts.iter_mut().for_each(Vec::clear);
        self.salted_from = self.subjects_len;
        self.epoch = Some((epoch, key));
    }

    /// Forgets customers who were last seen in an epoch before that one.
    pub(crate) fn forget_epochs(&mut self, before: u16) {
        self.earlier.retain(|_, earlier| earlier.last >= before);
    }

    /// A key for an epoch.
    pub(crate) fn new_key(&mut self) -> EpochKey {
        let halves = [(self.salts)(), (self.salts)()];
        let mut key = [0; 32];
        key.iter_mut().zip(halves.as_flattened()).for_each(|(to, from)| *to = *from);
        EpochKey::new(key)
    }

    /// How many customers there are.
    pub(crate) fn subjects_len(&self) -> u32 {
        self.subjects_len
    }

    /// The key of the present epoch, if one has begun.
    pub(crate) fn epoch_key(&self) -> Option<&EpochKey> {
        self.epoch.as_ref().map(|(_, key)| key)
    }

    /// Whether a customer of that name is there.
    pub(crate) fn has_subject(&self, subject: &str) -> bool {
        self.counted_as(subject).is_some()
    }

    /// The number that budgets count a customer by, if it is there.
    pub(crate) fn counted_as(&self, subject: &str) -> Option<u32> {
        let earlier = self.earlier.get(subject).map(|earlier| earlier.first);
        earlier.or_else(|| self.subjects.get(subject).copied())
    }

    /// The number of a customer in the present epoch.
    pub(crate) fn counted_now(&self, subject: &str) -> Option<u32> {
        self.subjects.get(subject).copied()
    }

    /// The salt of a customer of the present epoch, where salts are kept.
    pub(crate) fn subject_salt(&self, number: u32) -> Option<&[u8; SALT_BYTES]> {
        let index = usize::try_from(number.checked_sub(self.salted_from)?).ok()?;
        self.subject_salts.as_ref()?.get(index)
    }

    /// The only number of a customer, where no epoch has begun.
    pub(crate) fn only_number_of(&self, subject: &str) -> Option<u32> {
        if self.epoch.is_none() { self.subjects.get(subject).copied() } else { None }
    }

    pub(crate) fn subject(&mut self, text: &str) -> u32 {
        if let Some(&number) = self.subjects.get(text) {
            return number;
        }
        let number = self.subjects_len;
        self.subjects_len += 1;
        self.subjects.insert(text.into(), number);
        self.add(Kind::Subject, number, text, Lasting::Epoch);
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
        self.add(Kind::Name, number, text, Lasting::Ever);
        number
    }

    /// A name that stands for a customer or a place, and is not kept for longer than they are.
    pub(crate) fn passing_name(&mut self, text: &str) -> u32 {
        if self.epoch.is_none() {
            return self.name(text);
        }
        let text = fitting(text);
        if let Some(&number) = self.passing.get(text) {
            return number;
        }
        let number = self.names_len;
        self.names_len += 1;
        self.passing.insert(text.into(), number);
        self.add(Kind::Name, number, text, Lasting::Epoch);
        number
    }

    /// A subject's name was erased: should it come again it gets another number.
    pub(crate) fn forget(&mut self, subject: &str) {
        let number = self.subjects.remove(subject);
        let index = number.and_then(|number| number.checked_sub(self.salted_from));
        let index = index.and_then(|index| usize::try_from(index).ok());
        if let (Some(salts), Some(index)) = (&mut self.subject_salts, index)
            && let Some(salt) = salts.get_mut(index)
        {
            *salt = [0; SALT_BYTES];
        }
        self.earlier.remove(subject);
    }

    /// The number of a name that is in the dictionary already.
    pub(crate) fn known_name(&self, name: &str) -> Option<u32> {
        self.names.get(fitting(name)).copied()
    }

    pub(crate) fn text(&mut self, text: &str) -> u32 {
        self.add_text(text, Lasting::Epoch)
    }

    /// A text that what comes later is compared with.
    pub(crate) fn lasting_text(&mut self, text: &str) -> u32 {
        self.add_text(text, Lasting::Ever)
    }

    fn add_text(&mut self, text: &str, lasting: Lasting) -> u32 {
        let number = self.texts_len;
        self.texts_len += 1;
        self.add(Kind::Text, number, fitting(text), lasting);
        number
    }

    fn add(&mut self, kind: Kind, number: u32, text: &str, lasting: Lasting) {
        let salt = (self.salts)();
        if let (Kind::Subject, Some(salts)) = (kind, &mut self.subject_salts) {
            salts.push(salt);
        }
        self.fresh.push(commitment(kind, number, &salt, text.as_bytes()));
        let payload = match &self.epoch {
            Some((epoch, key)) if lasting == Lasting::Epoch => {
                let mut nonce = RowNonce::default();
                nonce.iter_mut().zip((self.salts)()).for_each(|(to, from)| *to = from);
                sealed_payload((kind, number), (*epoch, key), &nonce, &[&salt, text.as_bytes()])
            }
            _ => open_payload(kind, number, &salt, text),
        };
        encode_frame(&mut self.unwritten, &payload);
    }

    /// Has names that are there already get another number, as one who lies would.
    #[cfg(test)]
    pub(crate) fn forget_names(&mut self) {
        self.names.clear();
    }

    /// Has a name sealed that has to be kept for ever.
    #[cfg(test)]
    pub(crate) fn seal_name(&mut self, name: &str) {
        self.names.remove(name);
        let number = self.passing_name(name);
        self.names.insert(name.into(), number);
    }

    /// The commitments of the rows that were added since the last call.
    pub(crate) fn take_fresh(&mut self) -> Vec<[u8; 32]> {
        std::mem::take(&mut self.fresh)
    }
}

/// For how long a text is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lasting {
    /// For as long as its epoch.
    Epoch,
    Ever,
}

/// The numbers of texts from one on.
fn numbered(column: &Column, first: u32, wanted: impl Fn(&u32) -> bool) -> HashMap<Arc<str>, u32> {
    let numbers = (0..).zip(&column.texts).filter(|(number, _)| *number >= first && wanted(number));
    numbers.filter_map(|(number, text)| Some((text.clone()?, number))).collect()
}

fn row_head(form: u8, kind: Kind, number: u32) -> Vec<u8> {
    let mut payload = vec![form, kind as u8];
    payload.extend_from_slice(&number.to_le_bytes());
    payload
}

fn open_payload(kind: Kind, number: u32, salt: &[u8; SALT_BYTES], text: &str) -> Vec<u8> {
    let mut payload = row_head(ROW, kind, number);
    payload.extend_from_slice(salt);
    payload.extend_from_slice(text.as_bytes());
    payload
}

fn sealed_payload(
    (kind, number): (Kind, u32),
    (epoch, key): (u16, &EpochKey),
    nonce: &RowNonce,
    salt_and_text: &[&[u8]],
) -> Vec<u8> {
    let mut payload = row_head(SEALED, kind, number);
    payload.extend_from_slice(&epoch.to_le_bytes());
    payload.extend_from_slice(nonce);
    let mut sealed = salt_and_text.concat();
    key.apply(kind, number, nonce, &mut sealed);
    payload.extend_from_slice(&sealed);
    payload
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
    let mut payload = row_head(ERASED, row.kind, row.number);
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
    /// Under the key of which epoch it is sealed, if it is.
    pub(crate) epoch: Option<u16>,
    /// Why it can't be read. Its text and commitment stand for nothing then.
    pub(crate) trouble: Option<KeyTrouble>,
    pub(crate) salt: [u8; SALT_BYTES],
    /// Of a name that is kept for ever what tells it from others, whoever made them up.
    pub(crate) name: Option<NameDigest>,
}

/// The start of a name's SHA-256.
pub(crate) type NameDigest = [u8; 16];

impl StoredRow {
    /// The row as one that is not sealed, for who has no key of an epoch; `None`: it was erased.
    pub(crate) fn opened(&self) -> Option<Vec<u8>> {
        let text = self.text.as_ref()?;
        Some(open_payload(self.kind, self.number, &self.salt, text))
    }
}

/// Reads the frame at the start of `bytes`; `None` if there is no good one. Returns its length too.
pub(crate) fn decode_frame(bytes: &[u8], keys: &Keys) -> Option<(StoredRow, usize)> {
    decode_frame_with(bytes, keys, |text| Some(text.into()))
}

/// The same without the text: the row looks as if it were erased.
pub(crate) fn check_frame(bytes: &[u8], keys: &Keys) -> Option<(StoredRow, usize)> {
    decode_frame_with(bytes, keys, |_| None)
}

fn decode_frame_with(
    bytes: &[u8],
    keys: &Keys,
    keep: impl Fn(&str) -> Option<Arc<str>>,
) -> Option<(StoredRow, usize)> {
    let mut cursor = Cursor::new(bytes);
    let checksum = cursor.u32().ok()?;
    let covered = cursor.clone().rest();
    let length = usize::try_from(cursor.u32().ok()?).ok()?;
    if length > ROW_PAYLOAD_MAX {
        return None;
    }
    let payload = cursor.take(length).ok()?;
    let good = crc32c::crc32c(covered.get(..length + 4)?) == checksum;
    let row = good.then(|| decode_row_with(payload, keys, keep)).flatten();
    row.map(|row| (row, ROW_FRAME_BYTES + length))
}

/// Reads the payload of a row; `None` if it is none. One that is sealed may be in trouble.
pub(crate) fn decode_row(payload: &[u8], keys: &Keys) -> Option<StoredRow> {
    decode_row_with(payload, keys, |text| Some(text.into()))
}

fn decode_row_with(
    payload: &[u8],
    keys: &Keys,
    keep: impl Fn(&str) -> Option<Arc<str>>,
) -> Option<StoredRow> {
    let mut cursor = Cursor::new(payload);
    let form = cursor.u8().ok()?;
    let kind = Kind::from_byte(cursor.u8().ok()?)?;
    let number = cursor.u32().ok()?;
    let mut row = StoredRow {
        kind,
        number,
        text: None,
        commitment: [0; 32],
        epoch: None,
        trouble: None,
        salt: [0; SALT_BYTES],
        name: None,
    };
    match form {
        ROW => row.take_open(cursor.rest(), keep)?,
        ERASED => {
            row.commitment = cursor.array().ok()?;
            cursor.end().ok()?;
        }
        SEALED => {
            let epoch = u16::from_le_bytes(cursor.array().ok()?);
            let nonce = cursor.array().ok()?;
            row.epoch = Some(epoch);
            match keys.key(epoch) {
                Ok(key) => {
                    let mut opened = cursor.rest().to_vec();
                    key.apply(kind, number, &nonce, &mut opened);
                    row.take_open(&opened, keep)?;
                }
                Err(trouble) => row.trouble = Some(trouble),
            }
        }
        _ => return None,
    }
    Some(row)
}

impl StoredRow {
    /// Takes salt and text.
    fn take_open(&mut self, bytes: &[u8], keep: impl Fn(&str) -> Option<Arc<str>>) -> Option<()> {
        let (salt, text) = bytes.split_first_chunk()?;
        let text = std::str::from_utf8(text).ok()?;
        self.salt = *salt;
        self.commitment = commitment(self.kind, self.number, salt, text.as_bytes());
        self.text = keep(text);
        if self.kind == Kind::Name && self.epoch.is_none() {
            self.name = sha256(&[text.as_bytes()]).first_chunk().copied();
        }
        Some(())
    }
}
