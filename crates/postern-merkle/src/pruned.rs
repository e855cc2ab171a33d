//! A tree of which some leaves are known and the rest only by its hashes: the proof that any number
//! of leaves stand where they do, and that between them there are no others.

use crate::tree::{Hash, largest_power_below, node_hash};

/// Collects, while all leaves of a tree go by in order, the hashes that are needed besides the
/// leaves that are shown.
#[derive(Debug, Default)]
pub struct PrunedBuilder {
    size: u64,
    /// The complete subtrees so far, the largest first.
    peaks: Vec<Node>,
}

#[derive(Debug)]
enum Node {
    /// Nothing in it is shown.
    Hidden(Hash),
    /// Something is; the hashes of the largest subtrees in it of which nothing is, in order.
    Shown(Vec<Hash>),
}

impl Node {
    fn join(self, right: Self) -> Self {
        match (self, right) {
            (Self::Hidden(left), Self::Hidden(right)) => Self::Hidden(node_hash(&left, &right)),
            (left, right) => {
                let mut hashes = left.into_hashes();
                hashes.append(&mut right.into_hashes());
                Self::Shown(hashes)
            }
        }
    }

    fn into_hashes(self) -> Vec<Hash> {
        match self {
            Self::Hidden(hash) => vec![hash],
            Self::Shown(hashes) => hashes,
        }
    }
}

impl PrunedBuilder {
    /// Takes the next leaf, which is not shown.
    pub fn hide(&mut self, leaf: Hash) {
        self.push(Node::Hidden(leaf));
    }

    /// Takes the next leaf, which is shown.
    pub fn show(&mut self) {
        self.push(Node::Shown(Vec::new()));
    }

    fn push(&mut self, mut node: Node) {
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                node = left.join(node);
            }
        }
        self.peaks.push(node);
        self.size += 1;
    }

    /// The hashes, in the order of the tree.
    pub fn finish(mut self) -> Vec<Hash> {
        let Some(mut node) = self.peaks.pop() else { return Vec::new() };
        while let Some(left) = self.peaks.pop() {
            node = left.join(node);
        }
        node.into_hashes()
    }
}

/// The root of the tree of that size, of leaves that are shown, by place and ascending, and the
/// hashes of what is not. `None` if they don't make up a tree.
pub fn pruned_root(size: u64, shown: &[(u64, Hash)], hashes: &[Hash]) -> Option<Hash> {
    let ascending = shown.is_sorted_by(|(one, _), (other, _)| one < other);
    let inside = shown.last().is_none_or(|&(last, _)| last < size);
    if size == 0 || !ascending || !inside {
        return None;
    }
    let mut hashes = hashes.iter();
    let root = root_of(0, size, shown, &mut hashes)?;
    hashes.next().is_none().then_some(root)
}

/// The root of the leaves from `start` on, downwards as the tree is defined; at most 64 levels.
fn root_of<'a>(
    start: u64,
    size: u64,
    shown: &[(u64, Hash)],
    hashes: &mut impl Iterator<Item = &'a Hash>,
) -> Option<Hash> {
    let Some(&(_, first)) = shown.first() else { return hashes.next().copied() };
    if size == 1 {
        return Some(first);
    }
    let left = largest_power_below(size);
    let middle = start + left;
    let (in_left, in_right) = shown.split_at(shown.partition_point(|&(place, _)| place < middle));
    let one = root_of(start, left, in_left, hashes)?;
    let other = root_of(middle, size - left, in_right, hashes)?;
    Some(node_hash(&one, &other))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Edge, leaf_hash};

    fn leaf(place: u64) -> Hash {
        leaf_hash(&place.to_le_bytes())
    }

    fn pruned(size: u64, is_shown: impl Fn(u64) -> bool) -> (Vec<(u64, Hash)>, Vec<Hash>) {
        let mut builder = PrunedBuilder::default();
        let mut shown = Vec::new();
        for place in 0..size {
            if is_shown(place) {
                builder.show();
                shown.push((place, leaf(place)));
            } else {
                builder.hide(leaf(place));
            }
        }
        (shown, builder.finish())
    }

    fn root(size: u64) -> Hash {
        let mut edge = Edge::default();
        (0..size).for_each(|place| edge.append(leaf(place)));
        edge.root()
    }

    #[test]
    fn what_is_shown_of_small_trees_leads_to_their_root_and_to_no_other() {
        for size in 1..9 {
            for set in 0..1u64 << size {
                let (shown, hashes) = pruned(size, |place| set >> place & 1 == 1);
                assert_eq!(pruned_root(size, &shown, &hashes), Some(root(size)));
                // Neither under another size, nor with a leaf or a hash left out or moved.
                assert_ne!(pruned_root(size + 1, &shown, &hashes), Some(root(size + 1)));
                for gone in 0..shown.len() {
                    let mut fewer = shown.clone();
                    fewer.remove(gone);
                    assert_ne!(pruned_root(size, &fewer, &hashes), Some(root(size)));
                    let mut moved = shown.clone();
                    moved[gone].0 += 1;
                    assert_ne!(pruned_root(size, &moved, &hashes), Some(root(size)));
                }
                for gone in 0..hashes.len() {
                    let mut fewer = hashes.clone();
                    fewer.remove(gone);
                    assert_eq!(pruned_root(size, &shown, &fewer), None);
                }
            }
        }
        assert_eq!(pruned_root(0, &[], &[]), None);
    }

    proptest! {
        #[test]
        fn a_range_needs_few_hashes(size in 1..2000u64, start: u64, length in 1..300u64) {
            let start = start % size;
            let end = (start + length).min(size);
            let (shown, hashes) = pruned(size, |place| (start..end).contains(&place));
            prop_assert_eq!(pruned_root(size, &shown, &hashes), Some(root(size)));
            prop_assert!(hashes.len() <= 22);
        }
    }
}
