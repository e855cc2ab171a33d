//! Keyed hashes of what was shown: see "Values" in `docs/design/ledger.md`.
//!
//! The ledger gets a digest of each value and keys it twice: with a key of the epoch, and with the
//! salt of the customer's row in the dictionary. So nobody can test a value any more once the epoch
//! is forgotten, or the customer erased. Where to start: [`ValueKey`], [`gathered`].

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use postern_model::Reason;
use sha2::Sha256;

use crate::{Draft, Values, dictionary::Dictionary, payload::COLUMNS_MAX};

/// The start of the keyed hash of a value.
pub type ValueHash = [u8; 6];

/// What values are hashed with in an epoch.
#[derive(Clone)]
pub(crate) struct ValueKey(Hmac<Sha256>);

impl fmt::Debug for ValueKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ValueKey(..)")
    }
}

impl ValueKey {
    /// The key that is made of an epoch's, or of the ledger's own where none has begun.
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        let mut made = keyed(key);
        made.update(b"postern value key 1\n");
        let made: [u8; 32] = made.finalize().into_bytes().into();
        Self(keyed(&made))
    }

    pub(crate) fn hash(&self, salt: &[u8; 16], digest: &[u8; 16]) -> ValueHash {
        let mut hash = self.0.clone();
        hash.update(salt);
        hash.update(digest);
        let mut short = ValueHash::default();
        short.iter_mut().zip(hash.finalize().into_bytes()).for_each(|(to, from)| *to = from);
        short
    }
}

fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    // A key of a block: shorter ones are filled with zeros, so that this is the same one.
    let mut block = [0; 64];
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    Hmac::new(&block.into())
}

/// Which of the groups a customer of a draft is in.
pub(crate) type GroupKey<'a> = (u16, Option<&'a Reason>);

/// The hashes of a draft's values, of the rows that leave: the first `allowed`. `groups` and
/// `numbers` are what its rows came to.
pub(crate) fn gathered(
    draft: &Draft,
    allowed: u64,
    (groups, numbers): (&[GroupKey<'_>], &[Vec<u32>]),
    (dictionary, key): (&Dictionary, &ValueKey),
) -> Vec<Values> {
    let leave = |row: usize| u64::try_from(row).is_ok_and(|row| row < allowed);
    let mut found = Vec::new();
    for value in draft.values.iter().filter(|value| leave(value.row)) {
        let place = || {
            let touch = draft.rows.get(value.row)?.touches.get(value.touch)?;
            let leaf = draft.leaves.get(usize::from(touch.leaf))?;
            let group = (touch.leaf, touch.reason.as_ref());
            let group = groups.iter().position(|one| *one == group)?;
            // Without a reason the columns that hang on one are masked.
            let before = if touch.reason.is_some() { 0 } else { leaf.clear.len() };
            let column = value.column.checked_sub(before)?;
            let number = dictionary.counted_now(touch.subject.as_str())?;
            let subject = numbers.get(group)?.binary_search(&number).ok()?;
            let salt = dictionary.subject_salt(number)?;
            let hash = key.hash(salt, value.digest.expose());
            let column = u8::try_from(column).ok().filter(|_| column < COLUMNS_MAX)?;
            Some((group, subject, column, hash))
        };
        found.extend(place());
    }
    found.sort_unstable();
    found.dedup();
    listed(&found)
}

/// One list for each customer, and more where a column held several values.
fn listed(found: &[(usize, usize, u8, ValueHash)]) -> Vec<Values> {
    let mut values: Vec<Values> = Vec::new();
    for &(group, subject, column, hash) in found {
        let takes = |one: &&mut Values| {
            let before = one.hashes.last().is_none_or(|(last, _)| *last < column);
            (one.group, one.subject) == (group, subject) && before
        };
        match values.iter_mut().find(takes) {
            Some(one) => one.hashes.push((column, hash)),
            None => values.push(Values { group, subject, hashes: vec![(column, hash)] }),
        }
    }
    values
}

#[cfg(test)]
mod tests;
