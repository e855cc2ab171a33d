use postern_merkle::SigningKey;

use super::*;
use crate::{
    DamageKind,
    disk::sim::SimDisk,
    verify::tests::{Files, ledger},
};

fn proof(files: &Files, sequence: u64) -> Result<String, ProveError> {
    prove_on(Arc::new(SimDisk::holding(files)), sequence, &mut |_, _| {})
}

fn key(seed: u8) -> VerifyingKey {
    SigningKey::new("test.example/ledger", &[seed; 32]).unwrap().verifying_key()
}

#[test]
fn each_entry_can_be_proved_with_the_key_alone() {
    let files = ledger(1, 7, "c");
    for sequence in 0..14 {
        let text = proof(&files, sequence).unwrap();
        let proved = check_proof(&text, &key(1)).unwrap();
        let kind = ["disclosed", "logged_out"][sequence as usize % 2];
        assert_eq!((proved.sequence, proved.kind, proved.signed), (sequence, kind, 14));
        assert_eq!(proved.origin, "test.example/ledger");
        assert!(matches!(check_proof(&text, &key(2)), Err(CheckError::Proof(_))));
    }
    let error = proof(&files, 14).unwrap_err();
    assert!(matches!(error, ProveError::NotCovered { sequence: 14, signed: 14 }));
}

#[test]
fn an_entry_in_another_place_is_no_proof_of_that_place() {
    let files = ledger(1, 2, "c");
    let mut parsed = Proof::parse(&proof(&files, 1).unwrap()).unwrap();
    // A tree with the entry in place 0, signed by a thief of the key.
    let root = leaf_hash(&parsed.extra);
    let checkpoint =
        postern_merkle::Checkpoint { origin: "test.example/ledger".to_owned(), size: 1, root };
    let thief = SigningKey::new("test.example/ledger", &[1; 32]).unwrap();
    parsed.checkpoint = checkpoint.sign(&thief).unwrap();
    parsed.path = postern_merkle::Path { index: 0, hashes: Vec::new() };
    let error = check_proof(&parsed.encode(), &key(1)).unwrap_err();
    assert!(matches!(error, CheckError::Sequence { expected: 0, found: 1 }));
    let signed = |extra: &[u8]| {
        let checkpoint =
            postern_merkle::Checkpoint { root: leaf_hash(extra), ..checkpoint.clone() };
        let checkpoint = checkpoint.sign(&thief).unwrap();
        Proof { extra: extra.to_vec(), checkpoint, ..parsed.clone() }.encode()
    };
    let error = check_proof(&signed(b"no entry"), &key(1)).unwrap_err();
    assert!(matches!(error, CheckError::Entry(_)));
}

#[test]
fn a_damaged_ledger_proves_nothing() {
    let mut files = ledger(1, 3, "c");
    files.get_mut("segments/0000000000.seg").unwrap()[100] ^= 1;
    let Err(ProveError::Damaged(damage)) = proof(&files, 5) else { panic!("it was proved") };
    assert!(matches!(damage.kind, DamageKind::Frame));
    // What is behind the checkpoint is not asked for.
    let mut files = ledger(1, 3, "c");
    files.insert("checkpoint".into(), ledger(1, 1, "c")["checkpoint"].clone());
    assert!(proof(&files, 1).is_ok());
    assert!(matches!(proof(&files, 2), Err(ProveError::NotCovered { signed: 2, .. })));
}
