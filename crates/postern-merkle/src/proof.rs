//! That a leaf is in a tree: the inclusion proof of RFC 6962 and its text form, C2SP tlog-proof.

use base64::{Engine as _, prelude::BASE64_STANDARD};

use crate::{
    Checkpoint, CheckpointError, Edge, Hash, VerifyingKey,
    tree::{largest_power_below, node_hash},
};

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";

/// Collects the proof of one leaf while all leaves of a tree go by in order, whatever their number.
#[derive(Debug)]
pub struct PathBuilder {
    index: u64,
    size: u64,
    /// The subtrees beside the way to the leaf: from where to where, and what of them went by.
    subtrees: Vec<(u64, u64, Edge)>,
    next: u64,
}

impl PathBuilder {
    /// For the leaf at `index` in the tree of the first `size` leaves; `None` if it is not in it.
    pub fn new(index: u64, size: u64) -> Option<Self> {
        if index >= size {
            return None;
        }
        let (mut start, mut end) = (0, size);
        let mut subtrees = Vec::new();
        while end - start > 1 {
            let middle = start + largest_power_below(end - start);
            if index < middle {
                subtrees.push((middle, end, Edge::default()));
                end = middle;
            } else {
                subtrees.push((start, middle, Edge::default()));
                start = middle;
            }
        }
        Some(Self { index, size, subtrees, next: 0 })
    }

    /// Takes the next leaf; those behind the tree's end are not looked at.
    pub fn observe(&mut self, leaf: Hash) {
        let at = self.next;
        self.next += 1;
        let mut subtrees = self.subtrees.iter_mut();
        if let Some((_, _, edge)) = subtrees.find(|(start, end, _)| (*start..*end).contains(&at)) {
            edge.append(leaf);
        }
    }

    /// The hashes beside the way from the leaf to the root; `None` if not all leaves went by.
    pub fn finish(self) -> Option<Path> {
        if self.next < self.size {
            return None;
        }
        let hashes = self.subtrees.iter().rev().map(|(_, _, edge)| edge.root()).collect();
        Some(Path { index: self.index, hashes })
    }
}

/// An inclusion proof: the hashes beside the way from a leaf to the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// The leaf's place.
    pub index: u64,
    /// From the leaf's neighbour upwards.
    pub hashes: Vec<Hash>,
}

impl Path {
    /// The root of the tree of `size` leaves that has `leaf` at its place, if the proof is one for
    /// a tree of that size.
    pub fn root(&self, leaf: Hash, size: u64) -> Option<Hash> {
        if self.index >= size {
            return None;
        }
        let mut hashes = self.hashes.iter();
        let root = root_of(self.index, size, leaf, &mut hashes)?;
        hashes.next().is_none().then_some(root)
    }
}

/// Downwards as the tree is defined, hashing on the way back; at most 64 levels.
fn root_of<'a>(
    index: u64,
    size: u64,
    leaf: Hash,
    hashes: &mut impl Iterator<Item = &'a Hash>,
) -> Option<Hash> {
    if size <= 1 {
        return Some(leaf);
    }
    let middle = largest_power_below(size);
    if index < middle {
        let left = root_of(index, middle, leaf, hashes)?;
        Some(node_hash(&left, hashes.next()?))
    } else {
        let right = root_of(index - middle, size - middle, leaf, hashes)?;
        Some(node_hash(hashes.next()?, &right))
    }
}

/// A proof that anybody can check with the ledger's key alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// What the leaf is the hash of. Nothing vouches for it but that hash.
    pub extra: Vec<u8>,
    pub path: Path,
    /// The checkpoint as its ledger gave it, with all signatures.
    pub checkpoint: String,
}

/// Why a text proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// It is not in the form of C2SP tlog-proof.
    #[error("not a proof")]
    Malformed,
    /// The checkpoint in it is not one of this ledger.
    #[error("its checkpoint cannot be trusted")]
    Checkpoint(#[from] CheckpointError),
    /// The hashes don't lead to the checkpoint's root.
    #[error("the entry is not in the tree that was signed")]
    NotIncluded,
}

impl Proof {
    /// The text, by convention in a file that ends in `.tlog-proof`.
    pub fn encode(&self) -> String {
        let mut text = format!("{FIRST_LINE}\n");
        if !self.extra.is_empty() {
            text += &format!("extra {}\n", BASE64_STANDARD.encode(&self.extra));
        }
        text += &format!("index {}\n", self.path.index);
        for hash in &self.path.hashes {
            text += &format!("{}\n", BASE64_STANDARD.encode(hash.0));
        }
        text + "\n" + &self.checkpoint
    }

    /// Reads the text; nothing is proved by that.
    pub fn parse(text: &str) -> Result<Self, ProofError> {
        Self::read(text).ok_or(ProofError::Malformed)
    }

    fn read(text: &str) -> Option<Self> {
        let (head, checkpoint) = text.split_once("\n\n")?;
        let mut lines = head.split('\n').peekable();
        if lines.next()? != FIRST_LINE {
            return None;
        }
        let extra = match lines.peek()?.strip_prefix("extra ") {
            Some(extra) => {
                lines.next();
                // Without extra data there is no such line.
                BASE64_STANDARD.decode(extra).ok().filter(|extra| !extra.is_empty())?
            }
            None => Vec::new(),
        };
        let number = lines.next()?.strip_prefix("index ")?;
        let index: u64 = number.parse().ok()?;
        // One number has one form.
        if index.to_string() != number {
            return None;
        }
        let hashes = lines
            .map(|line| Some(Hash(BASE64_STANDARD.decode(line).ok()?.try_into().ok()?)))
            .collect::<Option<_>>()?;
        let (path, checkpoint) = (Path { index, hashes }, checkpoint.to_owned());
        Some(Self { extra, path, checkpoint })
    }

    /// Checks that `leaf` is in the ledger of that key, at the index that the proof says. Returns
    /// the checkpoint that covers it.
    pub fn verify(&self, leaf: Hash, key: &VerifyingKey) -> Result<Checkpoint, ProofError> {
        let checkpoint = Checkpoint::verify(self.checkpoint.as_bytes(), key)?;
        if self.path.root(leaf, checkpoint.size) == Some(checkpoint.root) {
            Ok(checkpoint)
        } else {
            Err(ProofError::NotIncluded)
        }
    }
}

#[cfg(test)]
mod tests;
