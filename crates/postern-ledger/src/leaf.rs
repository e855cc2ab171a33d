//! What the tree commits to: see "Leaves" in `docs/design/ledger.md`.
//!
//! Of an entry of version 1 the leaf is the hash of the payload, so that nothing of it can be shown
//! without the rest. Since version 2 it is the hash of the entry's *content*: its place, time, kind
//! and account in the open, and a salted hash of what it says.

use postern_merkle::{Hash, leaf_hash};
use zeroize::Zeroizing;

use crate::dictionary::sha256;

/// What the salts of a segment's entries are made of. It stands in the segment's header.
pub(crate) type SegmentSalt = [u8; 12];
/// Hides what an entry says from who has its content.
pub(crate) type EntrySalt = [u8; 16];

/// The first version whose leaf is made of a content.
const WITH_CONTENT: u8 = 2;
/// Version, kind, sequence, time.
const FIXED_BYTES: usize = 18;
const VARINT_BYTES_MAX: usize = 10;
const HASH_BYTES: usize = 32;

/// What a ledger's segments get their salts from, so that they are secret, and the same if a
/// segment is made a second time.
#[derive(Clone)]
pub(crate) struct SegmentSecret(Zeroizing<[u8; 32]>);

impl SegmentSecret {
    pub(crate) fn new(seed: &[u8; 32]) -> Self {
        Self(Zeroizing::new(sha256(&[b"postern segment salts 2\n", seed])))
    }

    pub(crate) fn salt(&self, ordinal: u64) -> SegmentSalt {
        let hash = sha256(&[self.0.as_slice(), &ordinal.to_le_bytes()]);
        let mut salt = SegmentSalt::default();
        salt.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
        salt
    }
}

pub(crate) fn entry_salt(segment: &SegmentSalt, sequence: u64) -> EntrySalt {
    let hash = sha256(&[segment, &sequence.to_le_bytes()]);
    let mut salt = EntrySalt::default();
    salt.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
    salt
}

/// The salted hash of what an entry says.
pub(crate) fn closed_hash(salt: &EntrySalt, rest: &[u8]) -> [u8; HASH_BYTES] {
    sha256(&[salt, rest])
}

/// How long the open part of a payload is, if it is of a version that has one.
pub(crate) fn open_length(payload: &[u8]) -> Option<usize> {
    if payload.first() != Some(&WITH_CONTENT) {
        return None;
    }
    let account = payload.get(FIXED_BYTES..)?.iter().take(VARINT_BYTES_MAX);
    let length = account.clone().take_while(|&&byte| byte >= 0x80).count() + 1;
    (length <= account.len()).then_some(FIXED_BYTES + length)
}

/// What the leaf is the hash of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Content {
    bytes: [u8; FIXED_BYTES + VARINT_BYTES_MAX + 2 * HASH_BYTES],
    length: usize,
}

impl Content {
    fn new(open: &[u8], closed: &[u8; HASH_BYTES], binding: Option<&Hash>) -> Self {
        let mut content =
            Self { bytes: [0; FIXED_BYTES + VARINT_BYTES_MAX + 2 * HASH_BYTES], length: 0 };
        content.push(open);
        content.push(closed);
        if let Some(binding) = binding {
            content.push(&binding.0);
        }
        content
    }

    fn push(&mut self, part: &[u8]) {
        let end = self.length + part.len();
        if let Some(place) = self.bytes.get_mut(self.length..end) {
            place.copy_from_slice(part);
            self.length = end;
        }
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// The content of an entry; `None` if its leaf is made of the whole payload.
pub(crate) fn content(payload: &[u8], salt: &EntrySalt, binding: Option<&Hash>) -> Option<Content> {
    let (open, rest) = payload.split_at_checked(open_length(payload)?)?;
    Some(Content::new(open, &closed_hash(salt, rest), binding))
}

/// A leaf, as far as it is known without the dictionary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaf {
    Whole(Hash),
    /// The entry brings rows, and their binding belongs to it.
    WithoutRows([u8; HASH_BYTES]),
}

impl Leaf {
    pub(crate) fn new(payload: &[u8], segment: &SegmentSalt) -> Self {
        let split = open_length(payload).and_then(|length| payload.split_at_checked(length));
        let Some((open, rest)) = split else { return Self::Whole(leaf_hash(payload)) };
        let sequence = open.get(2..).and_then(<[u8]>::first_chunk).copied().unwrap_or_default();
        let salt = entry_salt(segment, u64::from_le_bytes(sequence));
        let closed = closed_hash(&salt, rest);
        // The rest begins with the number of rows.
        if rest.first() == Some(&0) {
            Self::Whole(leaf_hash(Content::new(open, &closed, None).as_slice()))
        } else {
            Self::WithoutRows(closed)
        }
    }

    /// The leaf of that payload, whose rows have that binding.
    pub(crate) fn finish(self, payload: &[u8], binding: Option<&Hash>) -> Hash {
        match self {
            Self::Whole(hash) => hash,
            Self::WithoutRows(closed) => {
                let open = open_length(payload).and_then(|length| payload.get(..length));
                let content = Content::new(open.unwrap_or_default(), &closed, binding);
                leaf_hash(content.as_slice())
            }
        }
    }
}
