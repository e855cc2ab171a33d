//! Worlds that never were, with misuse of which the truth is known, to measure Postern on. Nothing
//! here is part of the product.
//!
//! [`centre`] is a support centre at work, for the detectors.

pub mod centre;
