//! What the index points to, read in the ledger itself and compared.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    sync::Arc,
};

use postern_model::Subject;

use super::{Broken, Index, IndexError, Seen, run::payload_hash, table::Record};
use crate::{
    Body, DecodeError, Group,
    bytes::Cursor,
    dictionary::{self, Kind, StoredRow},
    disk::{Disk, DiskFile},
    epoch::Keys,
    frame::{self, DICTIONARY_NAME, FRAME_BYTES, segment_name},
    payload::{self, Charges, Decoded, Head, Texts},
};

/// How many segments are kept open.
const SEGMENTS_OPEN_MAX: usize = 64;
/// What is read at once: nearly every frame, and nearly every row, fits.
const READ_BYTES: usize = 512;

/// The ledger's files, read at places.
pub(super) struct Log {
    disk: Arc<dyn Disk>,
    segments: RefCell<HashMap<u64, Box<dyn DiskFile>>>,
    dictionary: RefCell<Option<(Box<dyn DiskFile>, Keys)>>,
}

impl Log {
    pub(super) fn new(disk: Arc<dyn Disk>) -> Self {
        Self { disk, segments: RefCell::default(), dictionary: RefCell::default() }
    }

    /// The payload of an entry, which must be the one that was indexed.
    pub(super) fn payload(&self, sequence: u64, entry: Record) -> Result<Vec<u8>, IndexError> {
        let (place, hash) = entry.split_at(8);
        let place = u64::from_le_bytes(*place.first_chunk().ok_or(Broken)?);
        let (segment, offset) = (place >> 32, place & 0xffff_ffff);
        let whole = |length| length + FRAME_BYTES;
        let frame = self.with_segment(segment, |file| read(file, offset, whole))?;
        let (_, payload) = frame::frame(&frame).ok_or(Broken)?;
        if payload_hash(payload) != *hash || head(payload)?.sequence != sequence {
            return Err(Broken.into());
        }
        Ok(payload.to_vec())
    }

    /// Says that the payload of an entry is read soon.
    pub(super) fn will_read_payload(&self, entry: &Record) -> Result<(), Broken> {
        let place = u64::from_le_bytes(*entry.first_chunk().ok_or(Broken)?);
        self.with_segment(place >> 32, |file| {
            file.will_read(place & 0xffff_ffff, READ_BYTES as u64);
            Ok(())
        })
    }

    /// The same for a row.
    pub(super) fn will_read_row(&self, row: &Record) -> Result<(), Broken> {
        let offset = u64::from_le_bytes(*row.first_chunk().ok_or(Broken)?);
        self.with_dictionary(|file, _| {
            file.will_read(offset, READ_BYTES as u64);
            Ok(())
        })
    }

    fn with_segment<T>(
        &self,
        segment: u64,
        read: impl FnOnce(&dyn DiskFile) -> Result<T, Broken>,
    ) -> Result<T, Broken> {
        let mut segments = self.segments.borrow_mut();
        if segments.len() >= SEGMENTS_OPEN_MAX && !segments.contains_key(&segment) {
            segments.clear();
        }
        let file = match segments.entry(segment) {
            std::collections::hash_map::Entry::Occupied(file) => file.into_mut(),
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(self.disk.open_read(&segment_name(segment)).map_err(|_| Broken)?)
            }
        };
        read(&**file)
    }

    fn with_dictionary<T>(
        &self,
        read: impl FnOnce(&dyn DiskFile, &Keys) -> Result<T, Broken>,
    ) -> Result<T, Broken> {
        let mut file = self.dictionary.borrow_mut();
        let (file, keys) = match &mut *file {
            Some(open) => open,
            None => {
                let keys = Keys::load(&*self.disk).map_err(|_| Broken)?;
                file.insert((self.disk.open_read(DICTIONARY_NAME).map_err(|_| Broken)?, keys))
            }
        };
        read(&**file, keys)
    }

    /// A row, which must be the one that was indexed.
    pub(super) fn row(
        &self,
        kind: Kind,
        number: u32,
        row: Record,
    ) -> Result<StoredRow, IndexError> {
        let (place, commitment) = row.split_at(8);
        let offset = u64::from_le_bytes(*place.first_chunk().ok_or(Broken)?);
        let row = self.with_dictionary(|file, keys| {
            let frame = read(file, offset, |length| length + dictionary::ROW_FRAME_BYTES)?;
            dictionary::decode_frame(&frame, keys).ok_or(Broken)
        });
        let (row, _) = row?;
        let same = (row.kind, row.number) == (kind, number) && row.trouble.is_none();
        if !same || !row.commitment.starts_with(commitment) {
            return Err(Broken.into());
        }
        Ok(row)
    }
}

/// A frame at a place. Both kinds have their length behind the checksum.
fn read(
    file: &dyn DiskFile,
    offset: u64,
    whole: impl Fn(usize) -> usize,
) -> Result<Vec<u8>, Broken> {
    let mut bytes = vec![0; READ_BYTES];
    let found = file.read_at(&mut bytes, offset).map_err(|_| Broken)?;
    bytes.truncate(found);
    let length = bytes.get(4..).and_then(<[u8]>::first_chunk).ok_or(Broken)?;
    let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| Broken)?;
    if length > frame::PAYLOAD_BYTES_MAX {
        return Err(Broken);
    }
    if whole(length) > bytes.len() {
        bytes.resize(whole(length), 0);
        let found = file.read_at(&mut bytes, offset).map_err(|_| Broken)?;
        bytes.truncate(found);
    }
    Ok(bytes)
}

pub(super) fn head(payload: &[u8]) -> Result<Head, Broken> {
    Head::decode(&mut Cursor::new(payload)).map_err(|_| Broken)
}

/// The texts that an answer needs, out of the index and the dictionary.
struct Names<'a> {
    index: &'a Index,
    /// All subjects are wanted, or only those with a number of these.
    only: Option<&'a [u32]>,
    blank: Arc<str>,
    /// Why a text could not be had.
    failed: Cell<Option<IndexError>>,
}

impl Texts for Names<'_> {
    fn text(&self, kind: Kind, number: u32) -> Result<Arc<str>, DecodeError> {
        let unwanted = |only: &[u32]| kind == Kind::Subject && !only.contains(&number);
        if self.only.is_some_and(unwanted) {
            return Ok(self.blank.clone());
        }
        match self.index.row(kind, number) {
            Ok(Some(text)) => Ok(text),
            Ok(None) => Ok(format!("erased {number}").into()),
            Err(error) => {
                self.failed.set(Some(error));
                Err(DecodeError::Row)
            }
        }
    }
}

/// No texts.
struct Blank;

impl Texts for Blank {
    fn text(&self, _kind: Kind, _number: u32) -> Result<Arc<str>, DecodeError> {
        Ok("".into())
    }
}

/// The numbers of the customers in an entry.
pub(super) fn subjects_in(payload: &[u8]) -> Result<Vec<u32>, Broken> {
    let mut cursor = Cursor::new(payload);
    let decoded = Head::decode(&mut cursor).and_then(|head| payload::decode(&head, cursor, &Blank));
    let charges = decoded.map_err(|_| Broken)?.charges.ok_or(Broken)?;
    Ok(charges.subjects.into_iter().flat_map(|(_, numbers)| numbers).collect())
}

/// A whole entry, in which only those customers have names if they are given.
pub(super) fn decoded(
    index: &Index,
    payload: &[u8],
    only: Option<&[u32]>,
) -> Result<Decoded, IndexError> {
    let names = Names { index, only, blank: "".into(), failed: Cell::default() };
    let mut cursor = Cursor::new(payload);
    let decoded = Head::decode(&mut cursor).and_then(|head| payload::decode(&head, cursor, &names));
    let failed = names.failed.take();
    decoded.map_err(|_| failed.unwrap_or(IndexError::Broken(Broken)))
}

/// What an entry has of a subject or an actor, by its numbers.
pub(super) fn seen_in(
    index: &Index,
    payload: &[u8],
    (kind, numbers): (Kind, &[u32]),
) -> Result<Vec<Seen>, IndexError> {
    let only = (kind == Kind::Subject).then_some(numbers);
    let decoded = decoded(index, payload, only)?;
    let Decoded { entry, charges: Some(Charges { actor, subjects, .. }), .. } = decoded else {
        return Err(Broken.into());
    };
    let Body::Disclosed(disclosed) = entry.body else { return Err(Broken.into()) };
    if kind == Kind::Name && !numbers.contains(&actor) {
        return Err(Broken.into());
    }
    let mut seen = Vec::new();
    for (group, (_, recorded)) in disclosed.groups.into_iter().zip(subjects) {
        let subjects = match only {
            None => group.subjects,
            Some(numbers) => kept(&group, &recorded, numbers),
        };
        if only.is_some() && subjects.is_empty() {
            continue;
        }
        seen.push(Seen {
            sequence: entry.sequence,
            time: entry.time,
            actor: disclosed.actor.clone(),
            statement: disclosed.statement.clone(),
            claimed: disclosed.claimed.clone(),
            group: Group { subjects, ..group },
        });
    }
    Ok(seen)
}

fn kept(group: &Group, recorded: &[u32], numbers: &[u32]) -> Vec<Subject> {
    let wanted = |(_, number): &(&Subject, &u32)| numbers.contains(number);
    let subjects = group.subjects.iter().zip(recorded).filter(wanted);
    subjects.map(|(subject, _)| subject.clone()).collect()
}
