//! Making messages: each function appends one to a buffer, or fails and leaves the buffer as it
//! was.
//!
//! A zero byte inside a string would end it early and let what follows pass for something else,
//! so it is an error; in errors and notices, which must always go out, it is replaced.

use bytes::{BufMut, BytesMut};
use thiserror::Error;

mod backend;
mod frontend;
#[cfg(test)]
mod tests;

pub use self::{
    backend::{
        Report, Severity, authentication, backend_key_data, bind_complete, close_complete,
        command_complete, copy_both_response, copy_in_response, copy_out_response, data_row,
        empty_query_response, error_response, function_call_response, negotiate_protocol_version,
        no_data, notice_response, notification_response, parameter_description, parameter_status,
        parse_complete, portal_suspended, ready_for_query, report_fields, row_description,
    },
    frontend::{
        bind, cancel_request, close, copy_data, copy_done, copy_fail, describe, execute, flush,
        gssenc_request, parse, password, query, sasl_initial_response, sasl_response, ssl_request,
        startup, sync, terminate,
    },
};

/// Why a message can't be made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EncodeError {
    #[error("{field} contains a zero byte")]
    ZeroByte { field: &'static str },
    #[error("{field} is empty")]
    Empty { field: &'static str },
    #[error("{count} {field} are more than a message can hold")]
    TooMany { field: &'static str, count: usize },
    #[error("message of {bytes} bytes is longer than the protocol allows")]
    TooLong { bytes: usize },
}

/// The inside of a message that is being made.
struct Body<'a>(&'a mut BytesMut);

/// Room is made for so much at once: most messages are shorter.
const SHORT_BYTES: usize = 64;

/// Appends a message with a type.
fn typed(
    buf: &mut BytesMut,
    tag: u8,
    fill: impl FnOnce(&mut Body<'_>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let start = buf.len();
    buf.reserve(SHORT_BYTES);
    buf.put_u8(tag);
    untyped(buf, fill).inspect_err(|_| buf.truncate(start))
}

/// Appends a message that has a length only.
fn untyped(
    buf: &mut BytesMut,
    fill: impl FnOnce(&mut Body<'_>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let start = buf.len();
    buf.put_i32(0);
    let done = fill(&mut Body(buf)).and_then(|()| set_length(buf, start));
    done.inspect_err(|_| buf.truncate(start))
}

fn set_length(buf: &mut BytesMut, start: usize) -> Result<(), EncodeError> {
    let bytes = buf.len() - start;
    let length = i32::try_from(bytes).map_err(|_| EncodeError::TooLong { bytes })?;
    if let Some(field) = buf.get_mut(start..).and_then(|tail| tail.first_chunk_mut::<4>()) {
        *field = length.to_be_bytes();
    }
    Ok(())
}

/// Appends a message without a body.
fn bare(buf: &mut BytesMut, tag: u8) {
    buf.put_u8(tag);
    buf.put_i32(4);
}

impl Body<'_> {
    fn string(&mut self, text: &str, field: &'static str) -> Result<(), EncodeError> {
        if text.as_bytes().contains(&0) {
            return Err(EncodeError::ZeroByte { field });
        }
        self.0.put_slice(text.as_bytes());
        self.0.put_u8(0);
        Ok(())
    }

    /// A string in a list that an empty string ends.
    fn item(&mut self, text: &str, field: &'static str) -> Result<(), EncodeError> {
        if text.is_empty() {
            return Err(EncodeError::Empty { field });
        }
        self.string(text, field)
    }

    fn count(&mut self, count: usize, field: &'static str) -> Result<(), EncodeError> {
        let number = u16::try_from(count).map_err(|_| EncodeError::TooMany { field, count })?;
        self.0.put_u16(number);
        Ok(())
    }

    fn value(&mut self, value: Option<&[u8]>) -> Result<(), EncodeError> {
        let Some(bytes) = value else {
            self.0.put_i32(-1);
            return Ok(());
        };
        let length =
            i32::try_from(bytes.len()).map_err(|_| EncodeError::TooLong { bytes: bytes.len() })?;
        self.0.put_i32(length);
        self.0.put_slice(bytes);
        Ok(())
    }

    fn formats(&mut self, formats: &[i16]) -> Result<(), EncodeError> {
        self.count(formats.len(), "format codes")?;
        for format in formats {
            self.0.put_i16(*format);
        }
        Ok(())
    }

    fn types(&mut self, types: &[u32]) -> Result<(), EncodeError> {
        self.count(types.len(), "parameter types")?;
        for oid in types {
            self.0.put_u32(*oid);
        }
        Ok(())
    }
}
