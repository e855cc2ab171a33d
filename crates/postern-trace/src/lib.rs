//! From leaked records to the account they came from, or "outside", or "cannot tell".

#![deny(clippy::indexing_slicing, clippy::panic, clippy::cast_possible_truncation)]
#![cfg_attr(
    test,
    allow(
        clippy::indexing_slicing,
        clippy::panic,
        clippy::cast_possible_truncation,
        reason = "tests may panic"
    )
)]

mod leak;
mod outcome;

pub use self::{
    leak::{Leak, LeakRow, ValueVersion},
    outcome::{Other, OtherSource, Rows, Scale, Suspect, Trace, Verdict},
};
