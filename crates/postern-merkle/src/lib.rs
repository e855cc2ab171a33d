//! Tree maths, proofs and checkpoints of the ledger.
