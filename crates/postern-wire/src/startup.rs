//! The first message of a connection, which has a length but no type.

use std::fmt;

use bytes::{Bytes, BytesMut};

use crate::{
    cursor::{Cursor, MessageError},
    frame::FrameError,
};

#[cfg(test)]
mod tests;

/// The longest first message, as in the server (`MAX_STARTUP_PACKET_LENGTH`).
const FIRST_BYTES_MAX: usize = 10_000;

/// What a fresh connection can ask for.
#[derive(Clone, PartialEq, Eq)]
pub enum FirstMessage {
    /// Begin a session in protocol 3.`minor`. Whoever asks for more than is spoken gets a
    /// NegotiateProtocolVersion.
    Startup { minor: u16, parameters: Vec<(String, String)> },
    /// Change to TLS. Bytes that follow in the same buffer must be refused: they came in the
    /// clear and would be taken for what TLS protects.
    Ssl,
    /// Change to GSSAPI encryption.
    Gssenc,
    /// Cancel the statement that runs on another connection.
    Cancel { process_id: i32, secret: Bytes },
}

/// The secret of a cancel request is not shown.
impl fmt::Debug for FirstMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Startup { minor, parameters } => f
                .debug_struct("Startup")
                .field("minor", minor)
                .field("parameters", parameters)
                .finish(),
            Self::Ssl => f.write_str("Ssl"),
            Self::Gssenc => f.write_str("Gssenc"),
            Self::Cancel { process_id, .. } => {
                f.debug_struct("Cancel").field("process_id", process_id).finish_non_exhaustive()
            }
        }
    }
}

/// Takes the first message if all of it is in `buf`.
///
/// # Errors
/// [`FrameError::FirstLength`] for a length that no first message has, [`FrameError::Protocol`] for
/// a major version other than 3, [`FrameError::First`] for a malformed message.
pub fn first_message(buf: &mut BytesMut) -> Result<Option<FirstMessage>, FrameError> {
    let Some(length) = buf.first_chunk::<4>().copied().map(i32::from_be_bytes) else {
        return Ok(None);
    };
    let bytes = match usize::try_from(length) {
        Ok(bytes) if (8..=FIRST_BYTES_MAX).contains(&bytes) => bytes,
        _ => return Err(FrameError::FirstLength { length }),
    };
    if buf.len() < bytes {
        return Ok(None);
    }
    let raw = buf.split_to(bytes).freeze();
    parse(&raw).map(Some)
}

fn parse(raw: &[u8]) -> Result<FirstMessage, FrameError> {
    let mut cursor = Cursor::new(raw);
    cursor.i32("length").map_err(FrameError::First)?;
    let code = cursor.u32("protocol version").map_err(FrameError::First)?;
    let halves = code.to_be_bytes();
    let (major, minor) = match halves {
        [a, b, c, d] => (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])),
    };
    let message = match (major, minor) {
        (3, _) => startup(minor, cursor),
        (1234, 5678) => cancel(cursor),
        (1234, 5679) => cursor.finish().map(|()| FirstMessage::Ssl),
        (1234, 5680) => cursor.finish().map(|()| FirstMessage::Gssenc),
        _ => return Err(FrameError::Protocol { major, minor }),
    };
    message.map_err(FrameError::First)
}

fn startup(minor: u16, mut cursor: Cursor<'_>) -> Result<FirstMessage, MessageError> {
    let mut parameters: Vec<(String, String)> = Vec::new();
    loop {
        let name = cursor.string("start-up parameter name")?;
        if name.is_empty() {
            break;
        }
        // The server takes the last of two; a proxy that took the first would judge one actor and
        // let another in, so neither is taken.
        if parameters.iter().any(|(known, _)| known == name) {
            return Err(MessageError::Duplicate { name: name.to_owned() });
        }
        let value = cursor.string("start-up parameter value")?;
        parameters.push((name.to_owned(), value.to_owned()));
    }
    cursor.finish()?;
    Ok(FirstMessage::Startup { minor, parameters })
}

/// The secret is 4 bytes in protocol 3.0 and up to 256 from 3.2 on.
fn cancel(mut cursor: Cursor<'_>) -> Result<FirstMessage, MessageError> {
    let process_id = cursor.i32("process id")?;
    let secret = cursor.rest();
    match secret.len() {
        4..=256 => Ok(FirstMessage::Cancel { process_id, secret: Bytes::copy_from_slice(secret) }),
        0..4 => Err(MessageError::Truncated { field: "secret key" }),
        bytes => Err(MessageError::Trailing { bytes: bytes.saturating_sub(256) }),
    }
}
