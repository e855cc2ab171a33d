//! Proofs that one entry is in the ledger, for people who have no ledger.
//!
//! A proof holds the entry's payload, the hashes beside its way to the root and the checkpoint. The
//! names that the entry's numbers stand for are not in it; see `docs/design/ledger.md`. Where to
//! start: [`prove`], then [`check_proof`].

use std::{path::Path, sync::Arc};

use postern_merkle::{Checkpoint, Hash, PathBuilder, Proof, ProofError, VerifyingKey, leaf_hash};
use postern_model::{Actor, Timestamp};

use crate::{
    Basis, Damage, DecodeError, Quorum, TooFew,
    basis::Grounds,
    bytes::Cursor,
    dictionary::{Keep, Rows},
    disk::{Disk, Folder},
    frame::LedgerId,
    identity, leaf,
    payload::{LOST, Open, kind_name},
    scan::Scan,
};

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// The ledger does not hold; nothing can be proved with it.
    #[error("the ledger does not hold")]
    Damaged(#[from] Damage),
    /// There is no such entry, or none that the checkpoint covers.
    #[error(
        "the checkpoint covers {signed} entries, from 0 on; there is no entry {sequence} in it"
    )]
    NotCovered {
        /// The entry that was asked for.
        sequence: u64,
        /// How many there are.
        signed: u64,
    },
    /// No witness has seen all that is asked for, and that was asked for, too.
    #[error(
        "witnesses have seen {seen} entries, from 0 on, and entry {sequence} is not one of them"
    )]
    NotWitnessed {
        /// The first entry that would have to be, or the last.
        sequence: u64,
        /// How many they have seen.
        seen: u64,
    },
    /// No entry is of that account.
    #[error("the ledger has no account `{actor}`")]
    NoAccount {
        /// The account.
        actor: Actor,
    },
    /// The stretch begins in entries that can't be shown without what others did.
    #[error(
        "entry {sequence} is of the ledger's first format, in which it can't be shown whose it is \
         without showing all of it"
    )]
    FirstVersion {
        /// The first of them in the stretch.
        sequence: u64,
    },
    /// An entry does not decode.
    #[error("an entry does not decode")]
    Entry(#[source] DecodeError),
}

/// What a proof proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proved {
    /// The entry's place in the ledger.
    pub sequence: u64,
    /// When it was recorded.
    pub time: Timestamp,
    /// What kind of entry it is.
    pub kind: &'static str,
    /// The ledger's name.
    pub origin: String,
    /// How many entries the checkpoint covers.
    pub signed: u64,
    /// When the last of the witnesses who were needed cosigned it, in seconds since 1970, if any
    /// were asked for.
    pub witnessed: Option<u64>,
}

/// Why a proof proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The proof itself does not hold.
    #[error("the proof does not hold")]
    Proof(#[from] ProofError),
    /// Too few witnesses have seen the checkpoint in it.
    #[error("its checkpoint is not cosigned by enough of the witnesses")]
    Witnesses(#[from] TooFew),
    /// It holds for something that is no entry.
    #[error("what is proved is no entry")]
    Entry(#[source] DecodeError),
    /// What it shows of the entry is not what the ledger has.
    #[error("what is shown of the entry is not what was recorded")]
    Opening,
    /// It holds for an entry that says that it is another.
    #[error("entry {found} stands in the place of entry {expected}")]
    Sequence {
        /// Its place.
        expected: u64,
        /// What it says.
        found: u64,
    },
}

/// Makes a proof of one entry, in the form of C2SP tlog-proof, on that basis. All that the newest
/// checkpoint covers is read and checked for it. `progress` is told how many entries went by.
///
/// # Errors
/// The ledger does not hold ([`ProveError::Damaged`]; what it is of cannot be read is that, too),
/// or there is no such entry, or no witness has seen it and the basis is [`Basis::Witnessed`].
pub fn prove(
    folder: &Path,
    sequence: u64,
    basis: Basis,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<String, ProveError> {
    prove_on(Arc::new(Folder::new(folder)), sequence, basis, progress)
}

pub(crate) fn prove_on(
    disk: Arc<dyn Disk>,
    sequence: u64,
    basis: Basis,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<String, ProveError> {
    let key = identity::verifying_key(&*disk)?;
    let grounds = Grounds::read(&*disk, &key)?;
    let signed = grounds.newest.size();
    let not_covered = ProveError::NotCovered { sequence, signed };
    if sequence >= signed {
        return Err(not_covered);
    }
    let not_witnessed = ProveError::NotWitnessed { sequence, seen: grounds.seen() };
    let chosen = grounds.choose(basis, sequence + 1).ok_or(not_witnessed)?;
    let mut path = PathBuilder::new(sequence, chosen.size()).ok_or(not_covered)?;
    let mut checks = grounds.checks();
    let rows = Rows::keeping(Keep::Counts);
    let mut scan = Scan::open(disk, LedgerId::new(&key), rows)?;
    let mut extra = Vec::new();
    while scan.edge().size() < grounds.end() {
        let Some((_, leaf)) = scan.next()? else { break };
        let size = scan.edge().size();
        path.observe(leaf);
        checks.iter_mut().for_each(|check| check.look(scan.edge()));
        if size == sequence + 1 {
            extra = opened(&scan);
        }
        if size.is_multiple_of(crate::verify::PROGRESS_STEP) {
            progress(size, signed);
        }
    }
    for check in &checks {
        check.finish(&scan)?;
    }
    let not_covered = ProveError::NotCovered { sequence, signed };
    let path = path.finish().ok_or(not_covered)?;
    Ok(Proof { extra, path, checkpoint: chosen.text.clone() }.encode())
}

/// The last entry's content with what opens it; of one of the first version all of it.
fn opened(scan: &Scan) -> Vec<u8> {
    let payload = scan.payload();
    let Some((_, rest)) = leaf::open_length(payload).and_then(|n| payload.split_at_checked(n))
    else {
        return payload.to_vec();
    };
    let content = scan.content();
    let mut extra = vec![u8::try_from(content.len()).unwrap_or(u8::MAX)];
    extra.extend_from_slice(&content);
    extra.extend_from_slice(&scan.entry_salt());
    extra.extend_from_slice(rest);
    extra
}

/// The content in a proof's extra data, once what is with it is what it hides.
fn content_of(extra: &[u8]) -> Result<&[u8], CheckError> {
    // No content is as short as a version is.
    if extra.first() == Some(&1) {
        return Ok(extra);
    }
    let opened = || {
        let mut cursor = Cursor::new(extra);
        let length = usize::from(cursor.u8()?);
        let content = cursor.take(length)?;
        let salt = cursor.array()?;
        Ok((content, leaf::closed_hash(&salt, cursor.rest())))
    };
    let (content, closed) = opened().map_err(CheckError::Entry)?;
    let hidden = leaf::open_length(content).and_then(|open| content.get(open..open + 32));
    if hidden == Some(&closed) { Ok(content) } else { Err(CheckError::Opening) }
}

/// Checks a proof with nothing but the ledger's key.
///
/// # Errors
/// It proves nothing.
pub fn check_proof(text: &str, key: &VerifyingKey) -> Result<Proved, CheckError> {
    Ok(checked(text, key)?.0)
}

/// The same, and that enough witnesses have seen the tree that the entry is in.
///
/// # Errors
/// It proves nothing, or too few have.
pub fn check_witnessed_proof(
    text: &str,
    key: &VerifyingKey,
    quorum: &Quorum,
) -> Result<Proved, CheckError> {
    let (proved, proof) = checked(text, key)?;
    let witnessed = Some(quorum.demand(&proof.checkpoint)?);
    Ok(Proved { witnessed, ..proved })
}

fn checked(text: &str, key: &VerifyingKey) -> Result<(Proved, Proof), CheckError> {
    let proof = Proof::parse(text)?;
    let content = content_of(&proof.extra)?;
    let checkpoint = proof.verify(leaf_hash(content), key)?;
    let head = Open::decode(&mut Cursor::new(content)).map_err(CheckError::Entry)?;
    let (expected, found) = (proof.path.index, head.sequence);
    if expected != found {
        return Err(CheckError::Sequence { expected, found });
    }
    let proved = Proved {
        sequence: found,
        time: head.time,
        kind: kind_name(head.kind).map_err(CheckError::Entry)?,
        origin: checkpoint.origin,
        signed: checkpoint.size,
        witnessed: None,
    };
    Ok((proved, proof))
}

/// What an entry says that is lost.
pub(crate) struct Lost {
    /// Its place: how many entries were left.
    pub(crate) entries: u64,
    /// How many had been seen, and their root.
    pub(crate) seen: (u64, Hash),
    /// What covers the entry.
    pub(crate) checkpoint: Checkpoint,
    pub(crate) text: String,
}

/// What a proof of an entry says that is lost, if it is one of such an entry.
pub(crate) fn proved_loss(text: &str, key: &VerifyingKey) -> Result<Option<Lost>, CheckError> {
    let (proved, proof) = checked(text, key)?;
    let decoded = || {
        let mut cursor = Cursor::new(&proof.extra);
        let length = usize::from(cursor.u8()?);
        let head = Open::decode(&mut Cursor::new(cursor.take(length)?))?;
        if head.kind != LOST {
            return Ok(None);
        }
        let _salt: leaf::EntrySalt = cursor.array()?;
        if cursor.varint()? > 0 {
            let _binding: [u8; 4] = cursor.array()?;
        }
        let (entries, seen) = (cursor.varint()?, (cursor.varint()?, Hash(cursor.array()?)));
        Ok((entries == proved.sequence).then_some((entries, seen)))
    };
    // An entry of the first version says nothing of the kind.
    if proof.extra.first() == Some(&1) {
        return Ok(None);
    }
    let Some((entries, seen)) = decoded().map_err(CheckError::Entry)? else { return Ok(None) };
    let text = proof.checkpoint;
    let checkpoint = Checkpoint::verify(text.as_bytes(), key).map_err(ProofError::Checkpoint)?;
    Ok(Some(Lost { entries, seen, checkpoint, text }))
}

#[cfg(test)]
mod tests;
