//! Cutting a stream of bytes into messages.

use std::fmt;

use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;

use crate::cursor::MessageError;

#[cfg(test)]
pub(crate) mod tests;

/// Bytes of the type and the length in front of each message.
const HEADER_BYTES: usize = 5;

/// Why a stream of bytes can't be cut into messages; after it, nothing in the stream has a meaning
/// any more and the connection must end.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FrameError {
    #[error("message of type `{}` says that its length is {length}", .tag.escape_ascii())]
    Length { tag: u8, length: i32 },
    #[error(
        "message of type `{}` is {length} bytes long, {limit_bytes} are allowed",
        .tag.escape_ascii()
    )]
    TooLong { tag: u8, length: i32, limit_bytes: usize },
    #[error("first message says that its length is {length}")]
    FirstLength { length: i32 },
    #[error("protocol {major}.{minor} is not spoken here")]
    Protocol { major: u16, minor: u16 },
    #[error("first message is malformed")]
    First(#[source] MessageError),
}

/// One typed message in the bytes that it came in.
// INVARIANT: `raw` is at least a header long and its length field is the number of bytes after the
// type; `from_raw` and `FrameReader` are the only ways to make one.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    raw: Bytes,
}

impl Frame {
    /// Takes a complete message, header included.
    ///
    /// # Errors
    /// [`FrameError::Length`] if the header's length is not that of `raw`.
    pub fn from_raw(raw: Bytes) -> Result<Self, FrameError> {
        let (tag, length) = header(&raw).ok_or(FrameError::Length { tag: 0, length: 0 })?;
        if usize::try_from(length).ok().and_then(|l| l.checked_add(1)) != Some(raw.len()) {
            return Err(FrameError::Length { tag, length });
        }
        Ok(Self { raw })
    }

    /// The message's type.
    pub fn tag(&self) -> u8 {
        self.raw.first().copied().unwrap_or_default()
    }

    /// The whole message, header included, as it came.
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// The whole message, header included, as it came.
    pub fn into_raw(self) -> Bytes {
        self.raw
    }

    /// What follows the header.
    pub fn body(&self) -> &[u8] {
        self.raw.get(HEADER_BYTES..).unwrap_or_default()
    }
}

/// What is inside is customers' data or a secret, and not shown.
impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame(`{}`, {} bytes)", self.tag().escape_ascii(), self.raw.len())
    }
}

/// Cuts typed messages off the front of a buffer. It holds nothing but its limit, so that a
/// connection can go on with another one when its peer has authenticated.
#[derive(Debug, Clone, Copy)]
pub struct FrameReader {
    limit_bytes: usize,
}

impl FrameReader {
    /// Lets messages of at most `limit_bytes` pass, counted as the length field does (without the
    /// type byte).
    pub fn new(limit_bytes: usize) -> Self {
        Self { limit_bytes }
    }

    /// Takes the next message if all of it is in `buf`. It never allocates, copies or grows `buf`;
    /// a length that is not allowed is refused as soon as the header is there.
    ///
    /// # Errors
    /// [`FrameError::Length`] for a negative or too short length, [`FrameError::TooLong`] for one
    /// above the limit. `buf` is left as it was.
    pub fn next(&self, buf: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        let Some((tag, length)) = header(buf) else { return Ok(None) };
        let body_bytes = match usize::try_from(length) {
            Ok(bytes) if bytes >= 4 => bytes,
            _ => return Err(FrameError::Length { tag, length }),
        };
        if body_bytes > self.limit_bytes {
            let limit_bytes = self.limit_bytes;
            return Err(FrameError::TooLong { tag, length, limit_bytes });
        }
        match body_bytes.checked_add(1) {
            Some(frame_bytes) if frame_bytes <= buf.len() => {
                Ok(Some(Frame { raw: buf.split_to(frame_bytes).freeze() }))
            }
            _ => Ok(None),
        }
    }
}

fn header(mut bytes: &[u8]) -> Option<(u8, i32)> {
    let tag = bytes.try_get_u8().ok()?;
    let length = bytes.try_get_i32().ok()?;
    Some((tag, length))
}
