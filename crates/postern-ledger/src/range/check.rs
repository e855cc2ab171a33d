//! Checking a range proof with nothing but the ledger's key.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use postern_merkle::{Checkpoint, VerifyingKey, leaf_hash, pruned_root};
use postern_model::{Actor, Timestamp};

use super::{ProvedRange, RangeError, RangeLeaf, RangeProof};
use crate::{
    DecodeError, Entry, Quorum,
    bytes::Cursor,
    dictionary::{self, Kind},
    epoch::Keys,
    leaf,
    payload::{self, Account, Head, Open, Texts},
};

/// Checks a range proof.
///
/// # Errors
/// It proves nothing.
pub fn check_range(text: &str, key: &VerifyingKey) -> Result<ProvedRange, RangeError> {
    checked(RangeProof::parse(text)?, key)
}

/// The same, and that enough witnesses have seen the tree that the entries are in.
///
/// # Errors
/// It proves nothing, or too few have.
pub fn check_witnessed_range(
    text: &str,
    key: &VerifyingKey,
    quorum: &Quorum,
) -> Result<ProvedRange, RangeError> {
    let proof = RangeProof::parse(text)?;
    let note = proof.checkpoint.clone();
    // First what the ledger itself vouches for: of another ledger's checkpoint nobody asks.
    let range = checked(proof, key)?;
    Ok(ProvedRange { witnessed: Some(quorum.demand(&note)?), ..range })
}

fn checked(proof: RangeProof, key: &VerifyingKey) -> Result<ProvedRange, RangeError> {
    let checkpoint = Checkpoint::verify(proof.checkpoint.as_bytes(), key)?;
    let leaves = placed(&proof)?;
    let shown: Vec<_> =
        leaves.iter().map(|(open, leaf)| (open.sequence, leaf_hash(&leaf.content))).collect();
    if pruned_root(checkpoint.size, &shown, &proof.hashes) != Some(checkpoint.root) {
        return Err(RangeError::NotIncluded);
    }
    check_complete(&proof, &leaves, checkpoint.size)?;
    let rows = Rows::of(&leaves)?;
    let accounts = rows.numbers_of(&proof.actor);
    if accounts.is_empty() {
        return Err(RangeError::Account);
    }
    let mut entries = Vec::new();
    for (open, leaf) in &leaves {
        let is_wanted = (proof.first..proof.end).contains(&open.sequence)
            && match open.account {
                Account::Shown(number) => number.is_some_and(|number| accounts.contains(&number)),
                // Whose it is can't be seen before it is decoded; such a stretch has no proof.
                Account::InBody => return Err(RangeError::Opening(open.sequence)),
            };
        match &leaf.opened {
            Some(opened) if is_wanted => entries.push(entry(open, leaf, opened, &rows)?),
            None if !is_wanted => {}
            Some(_) | None => return Err(RangeError::Opening(open.sequence)),
        }
    }
    Ok(ProvedRange {
        actor: Actor::new(proof.actor),
        since: proof.since.map(Timestamp),
        until: proof.until.map(Timestamp),
        first: proof.first,
        end: proof.end,
        entries,
        origin: checkpoint.origin,
        signed: checkpoint.size,
        witnessed: None,
    })
}

type Placed<'a> = Vec<(Open, &'a RangeLeaf)>;

/// The leaves with what they say of themselves; a place that is a lie leads to another root.
fn placed(proof: &RangeProof) -> Result<Placed<'_>, RangeError> {
    let mut placed = Vec::with_capacity(proof.leaves.len());
    for leaf in &proof.leaves {
        let open = Open::decode(&mut Cursor::new(&leaf.content));
        placed.push((open.map_err(|_| RangeError::Malformed("leaf"))?, leaf));
    }
    Ok(placed)
}

/// That all entries of the time are shown, whoever's they are.
fn check_complete(proof: &RangeProof, leaves: &Placed<'_>, size: u64) -> Result<(), RangeError> {
    let (start, end) = (proof.first, proof.end);
    if start > end || end > size {
        return Err(RangeError::Malformed("range"));
    }
    let times: BTreeMap<u64, i64> =
        leaves.iter().map(|(open, _)| (open.sequence, open.time.0)).collect();
    let mut before = i64::MIN;
    for sequence in start..end {
        let &time = times.get(&sequence).ok_or(RangeError::LeftOut(sequence))?;
        let in_time = proof.since.is_none_or(|since| time >= since)
            && proof.until.is_none_or(|until| time < until);
        if !in_time || time < before {
            return Err(RangeError::Time(sequence));
        }
        before = time;
    }
    // Times never decrease, so the neighbours tell of all others.
    let starts = match start.checked_sub(1) {
        None => true,
        Some(neighbour) => {
            let time = times.get(&neighbour).zip(proof.since);
            time.is_some_and(|(time, since)| *time < since)
        }
    };
    let behind = times.get(&end).zip(proof.until);
    let ends = end == size || behind.is_some_and(|(time, until)| *time >= until);
    if starts && ends { Ok(()) } else { Err(RangeError::Ends) }
}

/// The texts that are shown, by kind and number.
struct Rows(BTreeMap<(u8, u32), Arc<str>>);

impl Rows {
    fn of(leaves: &Placed<'_>) -> Result<Self, RangeError> {
        let mut texts = BTreeMap::new();
        for (open, leaf) in leaves.iter().filter(|(_, leaf)| !leaf.rows.is_empty()) {
            let other = || RangeError::Other(open.sequence);
            let binding = binding_in(open, &leaf.content).ok_or_else(other)?;
            if dictionary::binding(&leaf.commitments).0 != *binding {
                return Err(other());
            }
            for bytes in &leaf.rows {
                let row = dictionary::decode_row(bytes, &Keys::default()).ok_or_else(other)?;
                let text = row.text.filter(|_| leaf.commitments.contains(&row.commitment));
                texts.insert((row.kind as u8, row.number), text.ok_or_else(other)?);
            }
        }
        Ok(Self(texts))
    }

    fn numbers_of(&self, name: &str) -> BTreeSet<u32> {
        let is_name = |(kind, text): (u8, &Arc<str>)| kind == Kind::Name as u8 && **text == *name;
        let rows = self.0.iter().filter(|((kind, _), text)| is_name((*kind, text)));
        rows.map(|((_, number), _)| *number).collect()
    }
}

impl Texts for Rows {
    /// What is not named is a number.
    fn text(&self, kind: Kind, number: u32) -> Result<Arc<str>, DecodeError> {
        let unnamed = match kind {
            Kind::Subject => "subject",
            Kind::Name => "name",
            Kind::Text => "text",
        };
        let text = self.0.get(&(kind as u8, number)).cloned();
        Ok(text.unwrap_or_else(|| format!("{unnamed} {number}").into()))
    }
}

/// The binding of the rows that an entry brought, in its content.
fn binding_in<'a>(open: &Open, content: &'a [u8]) -> Option<&'a [u8; 32]> {
    match open.account {
        Account::Shown(_) => {
            let hidden = content.get(leaf::open_length(content)?..)?;
            let (_closed, binding) = hidden.split_first_chunk::<32>()?;
            binding.try_into().ok()
        }
        Account::InBody => {
            let mut cursor = Cursor::new(content);
            Head::decode(&mut cursor).ok()?.binding?;
            content.get(..content.len() - cursor.len())?.last_chunk()
        }
    }
}

/// The entry that is opened, once that is what its content hides.
fn entry(open: &Open, leaf: &RangeLeaf, opened: &[u8], rows: &Rows) -> Result<Entry, RangeError> {
    let sequence = open.sequence;
    let other = || RangeError::Other(sequence);
    let (salt, rest) = opened.split_first_chunk().ok_or_else(other)?;
    let length = leaf::open_length(&leaf.content).ok_or_else(other)?;
    let (shown, hidden) = leaf.content.split_at_checked(length).ok_or_else(other)?;
    if hidden.first_chunk() != Some(&leaf::closed_hash(salt, rest)) {
        return Err(other());
    }
    let payload = [shown, rest].concat();
    let mut cursor = Cursor::new(&payload);
    let decoded = Head::decode(&mut cursor).and_then(|head| payload::decode(&head, cursor, rows));
    decoded.map(|decoded| decoded.entry).map_err(|error| RangeError::Entry(sequence, error))
}
