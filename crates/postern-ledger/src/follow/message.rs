//! What ledger and follower say to each other: see "The second copy" in `docs/design/ledger.md`.

use std::io::{self, Read as _};

use postern_merkle::Hash;

use super::Channel;
use crate::{
    bytes::{Cursor, DecodeError},
    epoch::EpochKey,
    frame::HEADER_BYTES,
};

/// The version of the protocol.
const VERSION: u8 = 1;
/// Longer messages are refused. More than the longest segment and the rows of its entries.
const MESSAGE_BYTES_MAX: u32 = 256 << 20;

const HELLO: u8 = 1;
const STANDING: u8 = 2;
const PROOF: u8 = 3;
const APPEND: u8 = 4;
const CHECKPOINT: u8 = 5;
const ASK: u8 = 6;
const DURABLE: u8 = 7;
const REFUSED: u8 = 8;
const KEY: u8 = 9;

/// Entries of one segment, one batch or several, as the ledger has them on stable storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    /// The segment's header; `None`: it is the segment that the follower has begun.
    pub(crate) header: Option<Vec<u8>>,
    /// The sequence of the first entry.
    pub(crate) first: u64,
    /// How many entries there are with these.
    pub(crate) size: u64,
    /// The root of the tree over all of them.
    pub(crate) root: Hash,
    /// Frames of the rows that they bring.
    pub(crate) rows: Vec<u8>,
    pub(crate) frames: Vec<u8>,
}

/// What a ledger that is written to has for its second copy.
#[derive(Debug, Clone)]
pub(crate) enum Shipped {
    /// A batch, and the segment that it stands in; its header is there in any case.
    Batch { ordinal: u64, piece: Piece },
    /// A checkpoint over all that was shipped before.
    Checkpoint { size: u64, text: String },
    /// The key of an epoch that is about to begin, while there are so many entries.
    Key { size: u64, epoch: u16, key: EpochKey },
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// The ledger that wants to be followed, by its verifier key.
    Hello {
        key: String,
    },
    /// What the follower has, and what the ledger's key has to answer.
    Standing {
        challenge: [u8; 32],
        size: u64,
        root: Hash,
        segments: u64,
    },
    Proof {
        answer: [u8; 64],
    },
    Append(Piece),
    Checkpoint {
        text: String,
    },
    /// The key of an epoch.
    Key {
        epoch: u16,
        key: EpochKey,
    },
    /// Are you there?
    Ask,
    /// So many entries are on stable storage.
    Durable {
        size: u64,
    },
    /// Nothing of the last message was taken.
    Refused {
        why: String,
    },
}

impl Message {
    pub(super) fn encode(&self) -> Vec<u8> {
        // The length is filled in at the end.
        let mut out = vec![0; 4];
        match self {
            Self::Hello { key } => {
                out.extend_from_slice(&[HELLO, VERSION]);
                out.extend_from_slice(key.as_bytes());
            }
            Self::Standing { challenge, size, root, segments } => {
                out.push(STANDING);
                out.extend_from_slice(challenge);
                out.extend_from_slice(&size.to_le_bytes());
                out.extend_from_slice(&root.0);
                out.extend_from_slice(&segments.to_le_bytes());
            }
            Self::Proof { answer } => {
                out.push(PROOF);
                out.extend_from_slice(answer);
            }
            Self::Append(piece) => piece.encode(&mut out),
            Self::Checkpoint { text } => {
                out.push(CHECKPOINT);
                out.extend_from_slice(text.as_bytes());
            }
            Self::Key { epoch, key } => {
                out.push(KEY);
                out.extend_from_slice(&epoch.to_le_bytes());
                out.extend_from_slice(key.as_bytes());
            }
            Self::Ask => out.push(ASK),
            Self::Durable { size } => {
                out.push(DURABLE);
                out.extend_from_slice(&size.to_le_bytes());
            }
            Self::Refused { why } => {
                out.push(REFUSED);
                out.extend_from_slice(why.as_bytes());
            }
        }
        // What does not fit is refused by who reads it.
        let length = u32::try_from(out.len() - 4).unwrap_or(u32::MAX);
        out.iter_mut().zip(length.to_le_bytes()).for_each(|(to, from)| *to = from);
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut cursor = Cursor::new(bytes);
        let text = |bytes: &[u8]| {
            std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| DecodeError::Text)
        };
        let message = match cursor.u8()? {
            HELLO if cursor.u8()? == VERSION => Self::Hello { key: text(cursor.rest())? },
            STANDING => {
                let (challenge, size) = (cursor.array()?, cursor.u64()?);
                let (root, segments) = (Hash(cursor.array()?), cursor.u64()?);
                Self::Standing { challenge, size, root, segments }
            }
            PROOF => Self::Proof { answer: cursor.array()? },
            APPEND => Self::Append(Piece::decode(&mut cursor)?),
            CHECKPOINT => Self::Checkpoint { text: text(cursor.rest())? },
            KEY => {
                let epoch = u16::from_le_bytes(cursor.array()?);
                Self::Key { epoch, key: EpochKey::new(cursor.array()?) }
            }
            ASK => Self::Ask,
            DURABLE => Self::Durable { size: cursor.u64()? },
            REFUSED => Self::Refused { why: text(cursor.rest())? },
            _ => return Err(DecodeError::Unknown),
        };
        cursor.end()?;
        Ok(message)
    }
}

/// A message as it is written once it was read, without its length; `None` if it is none.
pub(crate) fn written_again(bytes: &[u8]) -> Option<Vec<u8>> {
    let written = Message::decode(bytes).ok()?.encode();
    Some(written.get(4..).unwrap_or_default().to_vec())
}

impl Piece {
    fn encode(&self, out: &mut Vec<u8>) {
        out.reserve(self.rows.len() + self.frames.len() + 2 * HEADER_BYTES);
        out.extend_from_slice(&[APPEND, u8::from(self.header.is_some())]);
        out.extend_from_slice(self.header.as_deref().unwrap_or_default());
        out.extend_from_slice(&self.first.to_le_bytes());
        out.extend_from_slice(&self.size.to_le_bytes());
        out.extend_from_slice(&self.root.0);
        let rows = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&rows.to_le_bytes());
        out.extend_from_slice(&self.rows);
        out.extend_from_slice(&self.frames);
    }

    fn decode(cursor: &mut Cursor<'_>) -> Result<Self, DecodeError> {
        let header = cursor.bool()?.then(|| cursor.take(HEADER_BYTES)).transpose()?;
        let (first, size) = (cursor.u64()?, cursor.u64()?);
        let root = Hash(cursor.array()?);
        let rows = usize::try_from(cursor.u32()?).map_err(|_| DecodeError::Number)?;
        let rows = cursor.take(rows)?.to_vec();
        let frames = cursor.rest().to_vec();
        Ok(Self { header: header.map(<[u8]>::to_vec), first, size, root, rows, frames })
    }
}

pub(super) fn write(channel: &mut dyn Channel, message: &Message) -> io::Result<()> {
    write_later(channel, message)?;
    channel.flush()
}

/// The same where more follows at once.
pub(super) fn write_later(channel: &mut dyn Channel, message: &Message) -> io::Result<()> {
    channel.write_all(&message.encode())
}

/// The next message. Memory grows as it comes, whatever length it claims.
pub(super) fn read(channel: &mut dyn Channel) -> io::Result<Message> {
    let mut length = [0; 4];
    channel.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length);
    let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    if length > MESSAGE_BYTES_MAX {
        return Err(invalid(format!("a message of {length} bytes is too long")));
    }
    let mut bytes = Vec::new();
    channel.take(u64::from(length)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != u64::from(length) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Message::decode(&bytes).map_err(|error| invalid(format!("a message that is none: {error}")))
}
