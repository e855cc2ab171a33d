//! That a tree is the beginning of a larger one: the consistency proof of RFC 6962.

use std::ops::Range;

use crate::{Edge, Hash, tree::largest_power_below};

/// Collects the proof while the leaves behind the smaller tree go by in order.
#[derive(Debug)]
pub struct ConsistencyBuilder {
    old: Edge,
    size: u64,
    /// What is needed, in the order of the proof: from where to where, and what of it went by.
    subtrees: Vec<(Range<u64>, Edge)>,
    next: u64,
}

impl ConsistencyBuilder {
    /// From the tree whose edge that is to the one of the first `size` leaves; `None` if that is
    /// smaller.
    pub fn new(old: Edge, size: u64) -> Option<Self> {
        if size < old.size() {
            return None;
        }
        let mut ranges = Vec::new();
        // An empty tree is the beginning of any, without a proof.
        if old.size() > 0 {
            needed(0..size, old.size(), &mut ranges);
        }
        let next = old.size();
        let subtrees = ranges.into_iter().map(|range| (range, Edge::default())).collect();
        Some(Self { old, size, subtrees, next })
    }

    /// Takes the next leaf; those behind the larger tree's end are not looked at.
    pub fn observe(&mut self, leaf: Hash) {
        let at = self.next;
        self.next += 1;
        let mut subtrees = self.subtrees.iter_mut();
        if let Some((_, edge)) = subtrees.find(|(range, _)| range.contains(&at)) {
            edge.append(leaf);
        }
    }

    /// The proof; `None` if not all leaves went by.
    pub fn finish(self) -> Option<Vec<Hash>> {
        if self.next < self.size {
            return None;
        }
        let size = self.old.size();
        let hash = |(range, edge): (Range<u64>, Edge)| {
            if range.start >= size { Some(edge.root()) } else { self.old.peak_at(range.start) }
        };
        self.subtrees.into_iter().map(hash).collect()
    }
}

/// The subtrees of the proof that the first `old` leaves begin those of `tree`; `old` is not at
/// its start.
fn needed(tree: Range<u64>, old: u64, ranges: &mut Vec<Range<u64>>) {
    if old == tree.end {
        // The smaller tree itself is known to who checks.
        if tree.start > 0 {
            ranges.push(tree);
        }
        return;
    }
    let middle = tree.start + largest_power_below(tree.end - tree.start);
    if old <= middle {
        needed(tree.start..middle, old, ranges);
        ranges.push(middle..tree.end);
    } else {
        needed(middle..tree.end, old, ranges);
        ranges.push(tree.start..middle);
    }
}

/// Whether a proof shows that the tree of `old.0` leaves with the root `old.1` is the beginning of
/// the tree of `new.0` leaves with the root `new.1`.
pub fn is_consistent(proof: &[Hash], old: (u64, Hash), new: (u64, Hash)) -> bool {
    if old.0 == 0 {
        return proof.is_empty();
    }
    if old.0 > new.0 {
        return false;
    }
    let hashes = proof.iter().map(|hash| tlog_tiles::Hash(hash.0)).collect();
    let hash = |hash: Hash| tlog_tiles::Hash(hash.0);
    tlog_tiles::check_tree(&hashes, new.0, hash(new.1), old.0, hash(old.1)).is_ok()
}

#[cfg(test)]
mod tests {
    use ct_merkle::{ConsistencyProof, RootHash};
    use sha2::Sha256;

    use super::*;
    use crate::leaf_hash;

    /// Whether `ct-merkle` finds so, too, of a smaller tree that has leaves.
    fn is_theirs(proof: &[Hash], old: (u64, Hash), new: (u64, Hash)) -> bool {
        let root = |(size, root): (u64, Hash)| RootHash::<Sha256>::new(root.0.into(), size);
        let bytes = proof.iter().flat_map(|hash| hash.0).collect();
        let proof = ConsistencyProof::try_from_bytes(bytes).unwrap();
        root(new).verify_consistency(&root(old), &proof).is_ok()
    }

    fn edge(leaves: Range<u64>, mut edge: Edge) -> Edge {
        leaves.for_each(|place| edge.append(leaf_hash(&place.to_le_bytes())));
        edge
    }

    #[test]
    fn each_tree_is_shown_to_begin_each_larger_one_and_no_other() {
        for size in 0..40u64 {
            let new = edge(0..size, Edge::default());
            for before in 0..=size {
                let old = edge(0..before, Edge::default());
                let mut builder = ConsistencyBuilder::new(old.clone(), size).unwrap();
                for place in before..size {
                    builder.observe(leaf_hash(&place.to_le_bytes()));
                }
                let proof = builder.finish().unwrap();
                let (one, other) = ((before, old.root()), (size, new.root()));
                assert!(is_consistent(&proof, one, other), "{before} of {size}");
                if before == 0 {
                    continue;
                }
                assert!(is_theirs(&proof, one, other), "{before} of {size}");
                for at in 0..proof.len() {
                    let mut changed = proof.clone();
                    changed[at].0[0] ^= 1;
                    assert!(!is_consistent(&changed, one, other));
                    assert!(!is_theirs(&changed, one, other));
                    changed.remove(at);
                    assert!(!is_consistent(&changed, one, other));
                }
                // A tree that differs in its last leaf, or in its first.
                let forked = edge(size..size + 1, edge(0..before - 1, Edge::default()));
                assert!(!is_consistent(&proof, (before, forked.root()), other));
                assert!(!is_consistent(&proof, one, (size, forked.root())));
            }
            assert!(
                ConsistencyBuilder::new(new.clone(), size.saturating_sub(1)).is_none() || size == 0
            );
            let waiting = ConsistencyBuilder::new(new, size + 1).unwrap();
            assert_eq!(waiting.finish(), None);
        }
    }
}
