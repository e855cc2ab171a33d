use sha2::{Digest as _, Sha256};

/// What is at most this long is put together before it is hashed, which takes less time than to
/// hash its parts.
const TOGETHER_BYTES: usize = 192;

/// The hash of those parts one after the other.
pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut together = [0; TOGETHER_BYTES];
    let mut end = 0;
    for part in parts {
        let start = end;
        end += part.len();
        match together.get_mut(start..end) {
            Some(place) => place.copy_from_slice(part),
            None => return sha256_of_parts(parts),
        }
    }
    Sha256::digest(together.split_at(end).0).into()
}

fn sha256_of_parts(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize().into()
}
