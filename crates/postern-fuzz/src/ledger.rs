//! What reads a ledger, its follower's messages and proofs: no panic, memory bounded by the input,
//! and what is read in two ways is read alike.

use postern_ledger::{VerifyingKey, fuzzing};

/// A part of a ledger; the first byte says which.
pub fn ledger(bytes: &[u8]) {
    let Some((which, rest)) = bytes.split_first() else { return };
    match which {
        b'e' => fuzzing::entry(rest),
        b'n' => fuzzing::numbers(rest),
        b'f' => fuzzing::frames(rest),
        b'm' => fuzzing::message(rest),
        // Any of them is harmless for another.
        _ => {
            fuzzing::entry(rest);
            fuzzing::numbers(rest);
            fuzzing::frames(rest);
            fuzzing::message(rest);
        }
    }
}

/// A proof, behind the key that it is to be checked by, in a line of its own.
pub fn proof(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Some((key, proof)) = text.split_once('\n') else { return };
    if let Ok(key) = VerifyingKey::parse(key) {
        fuzzing::proof(proof, &key);
    }
}
