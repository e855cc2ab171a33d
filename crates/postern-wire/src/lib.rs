//! PostgreSQL protocol messages, bytes to types and back.
//!
//! The gateway's first line of defence: every length is checked before it is believed, every
//! string must end inside its message, and a message with anything left over is refused. Nothing
//! here knows sockets, sessions or SQL.
//!
//! Messages keep the bytes that they came in ([`Frame`]), so that what need not change is forwarded
//! without a copy. Start with [`FrameReader`] and [`first_message`], then [`Frontend::parse`] and
//! [`Backend::parse`]; [`encode`] makes messages and [`rewrite`] changes those that hide columns
//! and parameters from the client. Source of all layouts: PostgreSQL documentation, 53.7 "Message
//! Formats". `Debug` shows no value, secret or text that can quote one.

#![deny(clippy::indexing_slicing, clippy::panic, clippy::cast_possible_truncation)]
#![cfg_attr(test, allow(clippy::cast_possible_truncation, reason = "tests may panic"))]

mod backend;
pub mod copy;
mod cursor;
pub mod encode;
mod frame;
mod frontend;
pub mod rewrite;
mod sqlstate;
mod startup;

pub use self::{
    backend::{
        Authentication, Backend, Cells, Column, CopyFormats, DataRow, ReportFields,
        TransactionStatus,
    },
    cursor::MessageError,
    encode::EncodeError,
    frame::{Frame, FrameError, FrameReader},
    frontend::{Bind, Execute, Frontend, Parse, SaslInitial, Target, password_text},
    rewrite::RewriteError,
    sqlstate::SqlState,
    startup::{FirstMessage, first_message},
};
