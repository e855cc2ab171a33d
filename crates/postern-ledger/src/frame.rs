//! Headers of files and frames of entries: see "Segments" in `docs/design/ledger.md`.

use std::ops::RangeInclusive;

use postern_merkle::VerifyingKey;

use crate::{bytes::Cursor, leaf::SegmentSalt};

pub(crate) const HEADER_BYTES: usize = 64;
/// Checksum, length, place.
pub(crate) const FRAME_BYTES: usize = 10;
/// An entry is at least a version, kind, sequence, time and number of rows and one byte more.
const PAYLOAD_BYTES_MIN: usize = 19;
pub(crate) const PAYLOAD_BYTES_MAX: usize = 64 << 20;

const FORMAT: u8 = 1;
/// Of segments that have a salt, whose entries are of version 2.
const SALTED: u8 = 2;
const SEGMENT: &[u8; 7] = b"PSTNSEG";
const DICTIONARY: &[u8; 7] = b"PSTNDIC";

pub(crate) const DICTIONARY_NAME: &str = "dictionary.log";

pub(crate) fn segment_name(ordinal: u64) -> String {
    format!("segments/{ordinal:010}.seg")
}

/// Which ledger a file belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LedgerId([u8; 16]);

impl LedgerId {
    pub(crate) fn new(key: &VerifyingKey) -> Self {
        let mut text = format!("postern ledger 1\n{}\n", key.name()).into_bytes();
        text.extend_from_slice(key.public());
        let hash = crate::dictionary::sha256(&[&text]);
        let mut id = [0; 16];
        id.copy_from_slice(hash.split_at(16).0);
        Self(id)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// What a segment's header says besides the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) ordinal: u64,
    pub(crate) first: u64,
    pub(crate) length: u64,
    /// `None`: of the first version.
    pub(crate) salt: Option<SegmentSalt>,
}

impl SegmentHeader {
    pub(crate) fn encode(self, id: LedgerId) -> Vec<u8> {
        let format = if self.salt.is_some() { SALTED } else { FORMAT };
        let numbers = [self.ordinal, self.first, self.length];
        encode_header((SEGMENT, format), id, numbers, self.salt.unwrap_or_default())
    }

    pub(crate) fn decode(bytes: &[u8], id: LedgerId) -> Result<Self, &'static str> {
        let (format, [ordinal, first, length], salt) =
            decode_header(bytes, SEGMENT, id, FORMAT..=SALTED)?;
        Ok(Self { ordinal, first, length, salt: (format == SALTED).then_some(salt) })
    }
}

/// The salt in a header that may be good or not.
pub(crate) fn salt_in(header: &[u8]) -> SegmentSalt {
    header.get(48..).and_then(<[u8]>::first_chunk).copied().unwrap_or_default()
}

pub(crate) fn encode_dictionary_header(id: LedgerId) -> Vec<u8> {
    encode_header((DICTIONARY, FORMAT), id, [0; 3], [0; 12])
}

pub(crate) fn decode_dictionary_header(bytes: &[u8], id: LedgerId) -> Result<(), &'static str> {
    match decode_header(bytes, DICTIONARY, id, FORMAT..=FORMAT)? {
        (_, [0, 0, 0], _) => Ok(()),
        _ => Err("fields that must be zero are not"),
    }
}

fn encode_header(
    (magic, format): (&[u8; 7], u8),
    id: LedgerId,
    numbers: [u64; 3],
    salt: SegmentSalt,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES);
    out.extend_from_slice(magic);
    out.push(format);
    out.extend_from_slice(&id.0);
    numbers.iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
    out.extend_from_slice(&salt);
    out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
    out
}

/// The format, the numbers and the salt, which only some formats have.
fn decode_header(
    bytes: &[u8],
    magic: &[u8; 7],
    id: LedgerId,
    formats: RangeInclusive<u8>,
) -> Result<(u8, [u64; 3], SegmentSalt), &'static str> {
    const SHORT: &str = "cut short";
    let header = bytes.get(..HEADER_BYTES).ok_or(SHORT)?;
    let mut cursor = Cursor::new(header);
    let found_magic: [u8; 7] = cursor.array().map_err(|_| SHORT)?;
    let format = cursor.u8().map_err(|_| SHORT)?;
    let found_id: [u8; 16] = cursor.array().map_err(|_| SHORT)?;
    let mut numbers = [0; 3];
    for number in &mut numbers {
        *number = cursor.u64().map_err(|_| SHORT)?;
    }
    let salt: SegmentSalt = cursor.array().map_err(|_| SHORT)?;
    let checksum = cursor.u32().map_err(|_| SHORT)?;
    if &found_magic != magic {
        return Err("not a file of this kind");
    }
    if !formats.contains(&format) {
        return Err("unknown format version");
    }
    if crc32c::crc32c(header.split_at(HEADER_BYTES - 4).0) != checksum {
        return Err("checksum does not hold");
    }
    if found_id != id.0 {
        return Err("belongs to another ledger");
    }
    if format == FORMAT && salt != [0; 12] {
        return Err("fields that must be zero are not");
    }
    Ok((format, numbers, salt))
}

/// Appends a frame around the payload that `fill` writes.
pub(crate) fn encode(out: &mut Vec<u8>, place: u16, payload: &[u8]) {
    let mut head = [0; 6];
    // A payload is bounded far below 4 GiB before it gets here.
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let (length_field, place_field) = head.split_at_mut(4);
    length_field.copy_from_slice(&length.to_le_bytes());
    place_field.copy_from_slice(&place.to_le_bytes());
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&head), payload);
    out.extend_from_slice(&checksum.to_le_bytes());
    out.extend_from_slice(&head);
    out.extend_from_slice(payload);
}

/// What stands at a place of a segment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    Frame {
        place: u16,
        payload: &'a [u8],
    },
    /// Nothing but zeros from here on.
    End,
    /// Something that is no frame.
    Bad,
}

/// Looks at the start of `bytes`, which is the rest of a segment.
pub(crate) fn look(bytes: &[u8]) -> Found<'_> {
    if let Some((place, payload)) = frame(bytes) {
        return Found::Frame { place, payload };
    }
    if bytes.iter().all(|&byte| byte == 0) { Found::End } else { Found::Bad }
}

/// The frame at the start of `bytes`, if a good one is there: place and payload.
pub(crate) fn frame(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let mut cursor = Cursor::new(bytes);
    let checksum = cursor.u32().ok()?;
    let covered = cursor.clone().rest();
    let length = usize::try_from(cursor.u32().ok()?).ok()?;
    let place = u16::from_le_bytes(cursor.array().ok()?);
    if !(PAYLOAD_BYTES_MIN..=PAYLOAD_BYTES_MAX).contains(&length) {
        return None;
    }
    let payload = cursor.take(length).ok()?;
    let covered = covered.get(..length + FRAME_BYTES - 4)?;
    (crc32c::crc32c(covered) == checksum).then_some((place, payload))
}

/// Looks behind a bad frame for a good one that proves that the bad one was durable once: one of a
/// later batch than that of entry `expected`. Returns its offset in `bytes`.
pub(crate) fn later_batch_in(bytes: &[u8], expected: u64) -> Option<usize> {
    /// More entries than this can't follow in one segment.
    const ENTRIES_MAX: u64 = PAYLOAD_BYTES_MAX as u64;
    (1..bytes.len().saturating_sub(FRAME_BYTES)).find(|&offset| {
        let rest = bytes.get(offset..).unwrap_or_default();
        // The sequence is looked at first: a checksum at each byte would take too long.
        let Some(sequence) = rest.get(FRAME_BYTES + 2..).and_then(<[u8]>::first_chunk) else {
            return false;
        };
        let sequence = u64::from_le_bytes(*sequence);
        if sequence <= expected || sequence - expected > ENTRIES_MAX {
            return false;
        }
        frame(rest).is_some_and(|(place, _)| sequence.saturating_sub(u64::from(place)) > expected)
    })
}
