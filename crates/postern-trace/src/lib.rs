//! From leaked records to the account they came from, or "outside", or "cannot tell".
//!
//! A [`Tracer`] is given what happened (accesses, tickets, people, customers) and the values that
//! fields had; then [`Tracer::trace`] weighs every possible source of a list against every other:
//! somebody outside, a way that is not logged, sources that several people share, each account,
//! two or three accounts together, and somebody who frames an account. It names an account only if
//! every condition of [`verdict`](Trace::verdict) holds, and never a person: a credential can be
//! borrowed.
//!
//! It knows no clock and no chance: simulated innocent leaks come from a seed in the settings, and
//! neither the order of the list's rows nor that of hash tables has any effect.
//!
//! Start with `background`, `tracks` and `fit` for the model and `judge` for what may be said.
//!
//! Sources: Papadimitriou, Garcia-Molina, "Data leakage detection", IEEE TKDE 23 (2011), for leaked
//! sets and guilty agents; Evett, Weir, "Interpreting DNA Evidence" (1998), for likelihood ratios
//! over mixtures and for priors that are not the analyst's to set.

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

mod background;
mod copied;
mod field;
mod fit;
mod index;
mod innocent;
mod judge;
mod leak;
mod likelihood;
mod mixture;
mod outcome;
mod reasons;
mod resolve;
mod source;
mod stored;
mod tracer;
mod tracks;

pub use self::{
    leak::{Leak, LeakRow, Listed, ValueVersion},
    likelihood::{Likelihood, LikelihoodField, LikelihoodRow, LikelihoodTrack},
    outcome::{Condition, Details, Other, OtherSource, Rows, Scale, Step, Suspect, Trace, Verdict},
    stored::{Bytes, Prepared, PreparedError},
    tracer::{TraceConfig, Tracer, trace},
};
