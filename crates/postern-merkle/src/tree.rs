//! The tree's hashes, and its right edge, which is all that appending needs. Nothing here is kept
//! anywhere, and whole trees are never in memory. Where to start: [`Edge`].

use std::fmt;

use sha2::{Digest, Sha256};

/// A SHA-256 hash of a leaf, of an inner node or of a tree.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What is at most this long is put together before it is hashed, which takes less time than to
/// hash its parts.
const TOGETHER_BYTES: usize = 192;

/// The hash of a leaf that holds `entry`. Source: RFC 6962, section 2.1.
pub fn leaf_hash(entry: &[u8]) -> Hash {
    let mut together = [0; TOGETHER_BYTES];
    let end = 1 + entry.len();
    if let Some((_, place)) = together.get_mut(..end).and_then(<[u8]>::split_first_mut) {
        place.copy_from_slice(entry);
        return Hash(Sha256::digest(together.split_at(end).0).into());
    }
    let mut hash = Sha256::new();
    hash.update([0]);
    hash.update(entry);
    Hash(hash.finalize().into())
}

/// The hash of an inner node. Source: RFC 6962, section 2.1.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut together = [1; 1 + 2 * 32];
    let (_, hashes) = together.split_at_mut(1);
    let (first, second) = hashes.split_at_mut(32);
    first.copy_from_slice(&left.0);
    second.copy_from_slice(&right.0);
    Hash(Sha256::digest(together).into())
}

/// Where a tree of `size` leaves is split: the largest power of two that is smaller. `size` is at
/// least 2.
pub(crate) fn largest_power_below(size: u64) -> u64 {
    1 << (63 - size.saturating_sub(1).max(1).leading_zeros())
}

/// The right edge of a tree: the roots of its complete subtrees, largest first. That is enough to
/// append and to know the root, and stays at 64 hashes at most however long the ledger gets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edge {
    size: u64,
    /// INVARIANT: one hash for each bit that is set in `size`, the highest bit first.
    peaks: Vec<Hash>,
}

impl Edge {
    /// How many leaves the tree has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The roots of its complete subtrees, largest first: with the size all that there is to keep.
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// The root of the complete subtree that begins with that leaf, if one of the peaks does.
    pub(crate) fn peak_at(&self, start: u64) -> Option<Hash> {
        let (mut at, mut peaks) = (0, self.peaks.iter());
        for bit in (0..64).rev().filter(|bit| self.size >> bit & 1 == 1) {
            let peak = peaks.next()?;
            if at == start {
                return Some(*peak);
            }
            at += 1 << bit;
        }
        None
    }

    /// What [`Self::size`] and [`Self::peaks`] were taken of; `None` if they don't fit together.
    pub fn from_peaks(size: u64, peaks: Vec<Hash>) -> Option<Self> {
        (peaks.len() as u64 == u64::from(size.count_ones())).then_some(Self { size, peaks })
    }

    /// Appends a leaf by its hash.
    pub fn append(&mut self, leaf: Hash) {
        let mut node = leaf;
        // Each complete subtree of equal size to the left is joined, as a binary counter carries.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                node = node_hash(&left, &node);
            }
        }
        self.peaks.push(node);
        self.size += 1;
    }

    /// The root; that of the empty tree is the hash of nothing.
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        let Some(last) = peaks.next() else {
            return Hash(Sha256::digest([]).into());
        };
        peaks.fold(*last, |right, left| node_hash(left, &right))
    }
}

#[cfg(test)]
mod tests {
    use ct_merkle::mem_backed_tree::MemoryBackedTree;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hashes_are_those_of_the_standard() {
        let check = |hash: Hash, expected: &str| assert_eq!(hash.to_string(), expected);
        // The root of nothing, then of one empty leaf: the test vectors that certificate
        // transparency logs share.
        let mut edge = Edge::default();
        check(edge.root(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        edge.append(leaf_hash(b""));
        check(edge.root(), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
        edge.append(leaf_hash(b"\x00"));
        check(edge.root(), "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125");
        edge.append(leaf_hash(b"\x10"));
        check(edge.root(), "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77");
    }

    proptest! {
        #[test]
        fn every_root_is_that_of_another_implementation(
            leaves in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 1..150)
        ) {
            let mut edge = Edge::default();
            let mut oracle = MemoryBackedTree::<Sha256, Vec<u8>>::new();
            for leaf in leaves {
                edge.append(leaf_hash(&leaf));
                oracle.push(leaf);
                prop_assert_eq!(edge.size(), oracle.len());
                let expected = oracle.root();
                prop_assert_eq!(&edge.root().0[..], &expected.as_bytes()[..]);
                let kept = Edge::from_peaks(edge.size(), edge.peaks().to_vec());
                prop_assert_eq!(kept.as_ref(), Some(&edge));
                prop_assert_eq!(Edge::from_peaks(edge.size() * 2 + 1, edge.peaks().to_vec()), None);
            }
        }
    }
}
