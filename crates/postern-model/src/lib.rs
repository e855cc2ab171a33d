//! The vocabulary of Postern: the words of the design, as types that every other crate shares.
//!
//! This crate is pure. It knows no file, socket, clock or random number, and no format: whatever is
//! written to disk or sent on the wire is converted at the edge, in the crate that owns the format.
//! Start with [`Actor`], [`Subject`] and [`Disclosure`].

#![deny(clippy::indexing_slicing, clippy::panic, clippy::cast_possible_truncation)]

mod disclosure;
mod event;
mod finding;
mod names;
mod secret;
mod time;
mod value;

pub use self::{
    disclosure::{Disclosure, FAILED, Grade, NOT_ENFORCED, Reason, StatementFingerprint},
    event::{
        Access, AccessDecision, AccessKind, Approval, ApprovalEvent, Call, Complaint, Direction,
        Event, Person, PersonEvent, Shift, SubjectChange, Ticket, TicketEvent,
    },
    finding::{Finding, Severity},
    names::{Actor, FieldClass, Subject, Text},
    secret::Secret,
    time::{Clock, Timestamp},
    value::{ValueDigest, value_digest},
};
