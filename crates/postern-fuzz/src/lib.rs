//! What the fuzz targets in `fuzz/` run: bytes in, a panic where a promise is broken.
//!
//! The targets themselves need cargo-fuzz and a nightly compiler; everything else is here, so that
//! the stable compiler builds it and the tests replay the committed corpora, and some thousand
//! mutations of them, with every `cargo nextest run`. Start with [`session`]; [`frontend`],
//! [`backend`] and [`first`] are the wire codec's, [`ledger`] and [`proof`] the record's.

mod ledger;
mod mutate;
mod session;
#[cfg(test)]
mod tests;
mod wire;

pub use self::{
    ledger::{ledger, proof},
    mutate::Mutator,
    session::{Seen, session},
    wire::{backend, first, frontend},
};
