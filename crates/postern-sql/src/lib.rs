//! What a statement reads, and the leaf rewriting that masks it.
