//! One client connection as a pure state machine, from the end of the log-in to the last byte.
//!
//! [`Session::handle`] takes one input (a message of the client, a message of the server, the word
//! that held rows are recorded) and appends the effects that follow to a list; whoever drives it
//! does the reading, writing and recording. It knows no socket, no clock and not the ledger: rows
//! of a protected statement leave it only inside an [`Effect::Hold`], and the driver can put them
//! on the wire only with the ledger's receipt.
//!
//! Start with [`Session`], then [`Judge`], which turns a statement's text into a plan.

#![deny(clippy::indexing_slicing, clippy::panic, clippy::cast_possible_truncation)]
#![cfg_attr(
    test,
    allow(clippy::indexing_slicing, clippy::panic, reason = "a test that panics has failed")
)]

mod asked;
mod astray;
mod charge;
mod client;
mod copy;
mod described;
mod end_user;
mod entitled;
mod error;
mod expect;
mod failed;
mod hold;
mod input;
mod judge;
mod literal;
mod moment;
mod named;
mod outbox;
mod own;
mod passing;
mod portal;
mod profile;
mod proof;
mod query;
mod scrub;
mod server;
mod session;
mod sharing;
mod steps;
#[cfg(test)]
mod tests;
mod through;
mod ticket;
mod touched;
mod values;
mod weight;
mod would;

pub use self::{
    end_user::{EndUser, Naming},
    entitled::{Entitled, Held, Horizon, ReasonSet, Ticket},
    error::{ClientFacing, ErrorKind, Failure},
    hold::{HeldRow, Hold, LookupTouch, Observed, Shown, ShownLeaf, ShownValue, Touch},
    input::{Effect, Input, Stopped, Unrecorded, View},
    judge::{Judge, Judged, Planned, PlannedCopy, PlannedGuarded, PlannedNamed, Refused},
    moment::MOMENT_SQL,
    profile::{
        ColumnSettings, Enforcement, HoldLimits, Kind, Profile, ReasonGrade, ReasonSettings,
        TableSettings, observing_rules, plan_rules,
    },
    session::Session,
    sharing::{Names, Remembered, Traces},
};
pub use postern_sql::{ConditionReads, InsertRule, TakeRule, Values, condition_reads};
