use ct_merkle::{InclusionProof, RootHash, mem_backed_tree::MemoryBackedTree};
use proptest::prelude::*;
use sha2::Sha256;

use super::*;
use crate::{SigningKey, leaf_hash};

fn leaf(number: u64) -> Vec<u8> {
    number.to_le_bytes().to_vec()
}

fn path(index: u64, size: u64) -> Path {
    let mut builder = PathBuilder::new(index, size).unwrap();
    // Those behind the end do no harm.
    (0..size + 3).for_each(|number| builder.observe(leaf_hash(&leaf(number))));
    builder.finish().unwrap()
}

fn edge(size: u64) -> Edge {
    let mut edge = Edge::default();
    (0..size).for_each(|number| edge.append(leaf_hash(&leaf(number))));
    edge
}

#[test]
fn every_proof_is_that_of_two_other_implementations() {
    let mut tree = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    for size in 1..70u64 {
        tree.push(leaf(size - 1));
        let root = edge(size).root();
        for index in 0..size {
            let path = path(index, size);
            let bytes: Vec<u8> = path.hashes.iter().flat_map(|hash| hash.0).collect();
            let place = usize::try_from(index).unwrap();
            assert_eq!(tree.prove_inclusion(place).as_bytes(), bytes);
            let proof = InclusionProof::<Sha256>::from_bytes(bytes);
            let theirs = RootHash::<Sha256>::new(root.0.into(), size);
            theirs.verify_inclusion(&leaf(index), index, &proof).unwrap();
            let hashes = path.hashes.iter().map(|hash| tlog_tiles::Hash(hash.0)).collect();
            let (root, of_leaf) = (tlog_tiles::Hash(root.0), tlog_tiles::record_hash(&leaf(index)));
            tlog_tiles::check_record(&hashes, size, root, index, of_leaf).unwrap();
        }
    }
}

#[test]
fn a_proof_holds_for_its_leaf_place_and_tree_only() {
    for size in 1..40 {
        let root = edge(size).root();
        for index in 0..size {
            let path = path(index, size);
            let own = leaf_hash(&leaf(index));
            assert_eq!(path.root(own, size), Some(root));
            assert_ne!(path.root(leaf_hash(&leaf(index + 1)), size), Some(root));
            for other in (0..size + 2).filter(|&other| other != index) {
                let moved = Path { index: other, ..path.clone() };
                assert_ne!(moved.root(own, size), Some(root), "{index} as {other} of {size}");
            }
            for position in 0..path.hashes.len() {
                let mut changed = path.clone();
                changed.hashes[position].0[5] ^= 1;
                assert_ne!(changed.root(own, size), Some(root));
                changed.hashes.remove(position);
                assert_ne!(changed.root(own, size), Some(root));
            }
            let mut longer = path.clone();
            longer.hashes.push(own);
            assert_eq!(longer.root(own, size), None);
        }
    }
    assert!(PathBuilder::new(3, 3).is_none());
    let mut unfinished = PathBuilder::new(0, 3).unwrap();
    unfinished.observe(leaf_hash(b"one"));
    assert!(unfinished.finish().is_none());
}

fn proof() -> (Proof, SigningKey) {
    let key = SigningKey::new("example.org/ledger", &[1; 32]).unwrap();
    let edge = edge(20);
    let (size, root) = (edge.size(), edge.root());
    let checkpoint = Checkpoint { origin: "example.org/ledger".to_owned(), size, root };
    let checkpoint = checkpoint.sign(&key).unwrap();
    (Proof { extra: leaf(7), path: path(7, 20), checkpoint }, key)
}

#[test]
fn the_text_is_that_of_the_standard() {
    let (proof, key) = proof();
    let text = proof.encode();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..3], ["c2sp.org/tlog-proof@v1", "extra BwAAAAAAAAA=", "index 7"]);
    assert_eq!(lines[3..9].iter().filter(|line| line.len() == 44).count(), 5);
    assert_eq!((lines[8], lines[9], lines[10]), ("", "example.org/ledger", "20"));
    let read = Proof::parse(&text).unwrap();
    assert_eq!(read, proof);
    let leaf = leaf_hash(&read.extra);
    assert_eq!(read.verify(leaf, &key.verifying_key()).unwrap().size, 20);
    let without = Proof { extra: Vec::new(), ..proof };
    assert_eq!(Proof::parse(&without.encode()).unwrap(), without);
}

#[test]
fn whatever_is_changed_in_the_text_proves_nothing() {
    let (proof, key) = proof();
    let text = proof.encode().into_bytes();
    let key = key.verifying_key();
    for bit in 0..text.len() * 8 {
        let mut changed = text.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let Ok(changed) = String::from_utf8(changed) else { continue };
        let holds = Proof::parse(&changed)
            .is_ok_and(|proof| proof.verify(leaf_hash(&proof.extra), &key).is_ok());
        assert!(!holds, "bit {bit}: {changed}");
    }
    let other = SigningKey::new("example.org/ledger", &[2; 32]).unwrap().verifying_key();
    let refused = proof.verify(leaf_hash(&proof.extra), &other);
    assert!(matches!(refused, Err(ProofError::Checkpoint(_))));
}

fn a_line() -> impl Strategy<Value = String> {
    let hash = any::<[u8; 32]>().prop_map(|hash| BASE64_STANDARD.encode(hash));
    prop_oneof![8 => hash, 1 => ".{0,60}"]
}

proptest! {
    #[test]
    fn a_proof_has_one_form(
        extra in prop_oneof![
            Just(String::new()),
            prop::collection::vec(any::<u8>(), 0..9)
                .prop_map(|bytes| format!("extra {}\n", BASE64_STANDARD.encode(bytes))),
        ],
        index in prop_oneof![any::<u64>().prop_map(|index| index.to_string()), "[0-9+]{0,4}"],
        lines in prop::collection::vec(a_line(), 0..4),
    ) {
        let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let text = format!("{FIRST_LINE}\n{extra}index {index}\n{lines}\ncheckpoint");
        if let Ok(proof) = Proof::parse(&text) {
            prop_assert_eq!(proof.encode(), text);
        }
    }
}
