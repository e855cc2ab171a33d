use sha2::{Digest as _, Sha256};

use crate::Secret;

/// What the ledger is told of a value that a client is shown: enough to key a hash with, never the
/// value. It hides nothing that can be guessed, and is neither kept nor printed.
pub type ValueDigest = Secret<[u8; 16]>;

/// The digest of what stands in a column, as it is sent. `relation` is `schema.table`; the form is
/// in `docs/design/ledger.md`, "Values".
pub fn value_digest(relation: &str, column: &str, value: &[u8]) -> ValueDigest {
    // No name has a byte of zero in it.
    let parts = [relation.as_bytes(), &[0], column.as_bytes(), &[0], value];
    let mut hash = Sha256::new();
    parts.into_iter().for_each(|part| hash.update(part));
    let mut digest = [0; 16];
    digest.iter_mut().zip(hash.finalize()).for_each(|(to, from)| *to = from);
    Secret::new(digest)
}
