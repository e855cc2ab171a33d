//! Proofs that certain entries are all that an account has in some stretch of time.
//!
//! A range proof shows of every entry of the stretch whose act it is, and opens those of the
//! account; all of them stand in the tree that the checkpoint signs, side by side, so that neither
//! side can leave one out. What others did stays hidden. The form is "Range proofs" in
//! `docs/design/ledger.md`. Where to start: [`prove_range`], then [`check_range`].

use std::collections::BTreeSet;

use postern_merkle::{CheckpointError, Hash};
use postern_model::{Actor, Subject, Timestamp};

use crate::{DecodeError, Entry, TooFew};

mod check;
mod make;
#[cfg(test)]
mod tests;
mod text;

#[cfg(test)]
pub(crate) use self::make::prove_range_on;
pub use self::{
    check::{check_range, check_witnessed_range},
    make::prove_range,
    text::{is_range_proof, named_in_range, redact_range},
};

/// Which entries are to be proved to be all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeQuestion {
    /// Whose acts.
    pub actor: Actor,
    /// From this moment on.
    pub since: Option<Timestamp>,
    /// Before this moment.
    pub until: Option<Timestamp>,
    /// Whether customers are named; else they are numbers.
    pub subjects: Naming,
}

/// Whether customers are named in a proof.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Naming {
    /// They are `subject NUMBER`.
    #[default]
    Numbers,
    /// They are what the ledger calls them.
    Texts,
    /// These are what the ledger calls them, all others numbers.
    Only(BTreeSet<Subject>),
}

/// What a range proof proves.
#[derive(Debug, Clone, PartialEq)]
pub struct ProvedRange {
    /// Whose entries.
    pub actor: Actor,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
    /// The places of all entries of that time, whoever's.
    pub first: u64,
    pub end: u64,
    /// Those of the account. What is not named in the proof is a number.
    pub entries: Vec<Entry>,
    /// The ledger's name.
    pub origin: String,
    /// How many entries the checkpoint covers.
    pub signed: u64,
    /// When the last of the witnesses who were needed cosigned it, in seconds since 1970, if any
    /// were asked for.
    pub witnessed: Option<u64>,
}

/// Why a range proof proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum RangeError {
    /// It has not the form of one.
    #[error("not a range proof: {0}")]
    Malformed(&'static str),
    /// The checkpoint in it is not one of this ledger.
    #[error("its checkpoint cannot be trusted")]
    Checkpoint(#[from] CheckpointError),
    /// Too few witnesses have seen the checkpoint in it.
    #[error("its checkpoint is not cosigned by enough of the witnesses")]
    Witnesses(#[from] TooFew),
    /// The entries don't lead to the checkpoint's root.
    #[error("the entries are not those of the tree that was signed")]
    NotIncluded,
    /// An entry of the stretch is not shown.
    #[error("entry {0} is not shown")]
    LeftOut(u64),
    /// There may be more entries in the time that is asked for.
    #[error("entries before or behind those that are shown may be of that time")]
    Ends,
    /// An entry is not of the time that the proof is for, or out of order.
    #[error("entry {0} is not of that time")]
    Time(u64),
    /// An entry of the account is not opened, or another's is.
    #[error("entry {0} should be opened, or should not be")]
    Opening(u64),
    /// What is opened is not what was recorded.
    #[error("what is shown of entry {0} is not what was recorded")]
    Other(u64),
    /// What is opened is no entry.
    #[error("entry {0} does not decode")]
    Entry(u64, #[source] DecodeError),
    /// Nothing shows which number the account has.
    #[error("nothing shows the account's number")]
    Account,
}

/// The parts of a proof, before anything of it is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RangeProof {
    pub(crate) actor: String,
    pub(crate) since: Option<i64>,
    pub(crate) until: Option<i64>,
    pub(crate) first: u64,
    pub(crate) end: u64,
    pub(crate) leaves: Vec<RangeLeaf>,
    pub(crate) hashes: Vec<Hash>,
    pub(crate) checkpoint: String,
}

/// An entry of which at least the content is shown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct RangeLeaf {
    pub(crate) content: Vec<u8>,
    /// Salt and rest of the payload.
    pub(crate) opened: Option<Vec<u8>>,
    /// Commitments of all rows that the entry brought, if one of them is shown.
    pub(crate) commitments: Vec<[u8; 32]>,
    /// Rows as they stand in the dictionary.
    pub(crate) rows: Vec<Vec<u8>>,
}
