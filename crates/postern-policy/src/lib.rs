//! Decides what an actor may see, and why: the only crate that says yes or no.
//!
//! Rules are written in Cedar against the schema that is part of this crate
//! ([`Policy::schema_text`]); [`Policy::default_text`] is the policy that a new installation begins
//! with. What no rule permits is denied, and so is everything for which a rule can't be evaluated.
//!
//! It doesn't know what a statement reads, which reasons hold now or what a budget has left: those
//! come in a [`Request`] or are settled elsewhere. Start with [`Policy::parse`] and
//! [`Policy::decide`].

#![deny(clippy::indexing_slicing, clippy::panic, clippy::cast_possible_truncation)]

mod policy;
mod request;

pub use self::{
    policy::{Decision, Policy, PolicyError},
    request::{Action, Request},
};
