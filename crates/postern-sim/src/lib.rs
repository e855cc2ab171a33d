//! Support centres that never were, with thefts and leaks of which the truth is known, and scorers
//! that say how well detectors and the tracer do on them.
//!
//! [`centre`] is a support centre at work, whose feeds the detectors read. The other modules are
//! for the tracer. Worlds are made from a seed and nothing else: who works there, what they read
//! for their work, what is taken, and which lists turn up, in the mess that lists turn up in. They
//! are made to be unlike what the tracer assumes: what outsiders sell is chosen by how active, how
//! new or how important a customer is, and never the way in which the tracer's background thinks.
//!
//! [`external`] reads data that others made and labelled.
//!
//! Nothing here is part of the product. Start with [`World`], [`leaks`] and [`Scores`] for the
//! tracer, with [`centre::World`] for the detectors.

pub mod baselines;
pub mod centre;
pub mod chance;
pub mod external;
pub mod leaks;
pub mod lists;
pub mod plot;
pub mod scale;
pub mod score;
pub mod tables;
pub mod thefts;
pub mod world;

pub use self::{
    leaks::{Kind, Sample, leaks},
    score::Scores,
    world::{Setting, Style, World},
};
