//! Reading inside one message: the only place where lengths are turned into slices.

use std::{ffi::CStr, str::Utf8Error};

use thiserror::Error;

/// Why the inside of a message is not what its type says.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MessageError {
    #[error("message of unknown type `{}`", .tag.escape_ascii())]
    UnknownType { tag: u8 },
    #[error("message ends inside its {field}")]
    Truncated { field: &'static str },
    #[error("{field} has no terminating zero byte")]
    Unterminated { field: &'static str },
    #[error("{field} is not valid utf-8")]
    Utf8 {
        field: &'static str,
        #[source]
        source: Utf8Error,
    },
    #[error("`{value}` is not a valid {field}")]
    Invalid { field: &'static str, value: i64 },
    #[error("message has {formats} parameter formats but {parameters} parameters")]
    ParameterFormats { formats: usize, parameters: usize },
    #[error("start-up parameter `{name}` is given twice")]
    Duplicate { name: String },
    #[error("message has {bytes} bytes after its end")]
    Trailing { bytes: usize },
}

/// The part of a message that is not read yet. A read that fails leaves it where it was.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn remaining(&self) -> usize {
        self.0.len()
    }

    /// Takes all that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// Ends the reading: a message that has more to say is refused.
    pub(crate) fn finish(self) -> Result<(), MessageError> {
        match self.0.len() {
            0 => Ok(()),
            bytes => Err(MessageError::Trailing { bytes }),
        }
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], MessageError> {
        let (head, rest) =
            self.0.split_first_chunk::<N>().ok_or(MessageError::Truncated { field })?;
        self.0 = rest;
        Ok(*head)
    }

    pub(crate) fn u8(&mut self, field: &'static str) -> Result<u8, MessageError> {
        self.array(field).map(u8::from_be_bytes)
    }

    pub(crate) fn i16(&mut self, field: &'static str) -> Result<i16, MessageError> {
        self.array(field).map(i16::from_be_bytes)
    }

    pub(crate) fn i32(&mut self, field: &'static str) -> Result<i32, MessageError> {
        self.array(field).map(i32::from_be_bytes)
    }

    pub(crate) fn u32(&mut self, field: &'static str) -> Result<u32, MessageError> {
        self.array(field).map(u32::from_be_bytes)
    }

    pub(crate) fn four(&mut self, field: &'static str) -> Result<[u8; 4], MessageError> {
        self.array(field)
    }

    /// How many items follow, each of at least `item_bytes` bytes, so that a made-up number never
    /// becomes an allocation. The documentation says Int16; the server reads it without sign.
    pub(crate) fn count(
        &mut self,
        item_bytes: usize,
        field: &'static str,
    ) -> Result<usize, MessageError> {
        let count = usize::from(u16::from_be_bytes(self.array(field)?));
        if count.saturating_mul(item_bytes) > self.remaining() {
            return Err(MessageError::Truncated { field });
        }
        Ok(count)
    }

    pub(crate) fn bytes(
        &mut self,
        length: usize,
        field: &'static str,
    ) -> Result<&'a [u8], MessageError> {
        let (head, rest) =
            self.0.split_at_checked(length).ok_or(MessageError::Truncated { field })?;
        self.0 = rest;
        Ok(head)
    }

    /// A string that ends with a zero byte inside the message.
    pub(crate) fn string(&mut self, field: &'static str) -> Result<&'a str, MessageError> {
        let bytes = CStr::from_bytes_until_nul(self.0)
            .map_err(|_| MessageError::Unterminated { field })?
            .to_bytes();
        let text = str::from_utf8(bytes).map_err(|source| MessageError::Utf8 { field, source })?;
        self.0 = self.0.get(bytes.len() + 1..).unwrap_or_default();
        Ok(text)
    }

    /// A value with its length in front; a length of -1 is NULL, any other negative one an error.
    pub(crate) fn value(&mut self, field: &'static str) -> Result<Option<&'a [u8]>, MessageError> {
        let length = self.i32(field)?;
        match usize::try_from(length) {
            Ok(length) => self.bytes(length, field).map(Some),
            Err(_) if length == -1 => Ok(None),
            Err(_) => Err(MessageError::Invalid { field, value: length.into() }),
        }
    }

    /// A format code: 0 is text, 1 is binary.
    pub(crate) fn format(&mut self) -> Result<i16, MessageError> {
        match self.i16("format code")? {
            code @ (0 | 1) => Ok(code),
            other => Err(MessageError::Invalid { field: "format code", value: other.into() }),
        }
    }

    /// A counted list of format codes.
    pub(crate) fn formats(&mut self) -> Result<Vec<i16>, MessageError> {
        let count = self.count(2, "format codes")?;
        (0..count).map(|_| self.format()).collect()
    }

    /// A counted list of type OIDs.
    pub(crate) fn types(&mut self) -> Result<Vec<u32>, MessageError> {
        let count = self.count(4, "parameter types")?;
        (0..count).map(|_| self.u32("parameter types")).collect()
    }
}
