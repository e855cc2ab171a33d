//! The Merkle tree of the ledger and its checkpoints: all that an auditor needs besides the files.
//!
//! The tree is that of RFC 6962 (SHA-256); a checkpoint is a C2SP tlog-checkpoint in a C2SP signed
//! note, and a proof that one leaf is in a tree a C2SP tlog-proof. The crate knows nothing of what
//! an entry says, reads no file and makes no random number. Witnesses say with cosignatures (C2SP
//! tlog-cosignature) that one checkpoint continues another. Start with [`Edge`], which grows a tree
//! leaf by leaf, and [`Checkpoint`].

#![deny(clippy::indexing_slicing, clippy::panic, clippy::cast_possible_truncation)]
#![cfg_attr(test, allow(clippy::indexing_slicing, clippy::panic, reason = "tests may panic"))]

mod checkpoint;
mod consistency;
mod cosignature;
mod proof;
mod pruned;
mod tree;

pub use self::{
    checkpoint::{Checkpoint, CheckpointError, KeyError, SigningKey, VerifyingKey},
    consistency::{ConsistencyBuilder, is_consistent},
    cosignature::{CosignerKey, WitnessKey},
    proof::{Path, PathBuilder, Proof, ProofError},
    pruned::{PrunedBuilder, pruned_root},
    tree::{Edge, Hash, leaf_hash, node_hash},
};
