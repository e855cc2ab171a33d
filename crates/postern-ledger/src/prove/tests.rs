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

/// A proof of some content as the only entry of a tree, signed by a thief of the key.
fn forged(content: &[u8], extra: &[u8]) -> String {
    let (origin, root) = ("test.example/ledger".to_owned(), leaf_hash(content));
    let thief = SigningKey::new(&origin, &[1; 32]).unwrap();
    let checkpoint = postern_merkle::Checkpoint { origin, size: 1, root }.sign(&thief).unwrap();
    let path = postern_merkle::Path { index: 0, hashes: Vec::new() };
    Proof { extra: extra.to_vec(), path, checkpoint }.encode()
}

#[test]
fn an_entry_in_another_place_is_no_proof_of_that_place() {
    let files = ledger(1, 2, "c");
    let extra = Proof::parse(&proof(&files, 1).unwrap()).unwrap().extra;
    let content = content_of(&extra).unwrap();
    let error = check_proof(&forged(content, &extra), &key(1)).unwrap_err();
    assert!(matches!(error, CheckError::Sequence { expected: 0, found: 1 }));
    let error = check_proof(&forged(b"\x01no entry", b"\x01no entry"), &key(1)).unwrap_err();
    assert!(matches!(error, CheckError::Entry(_)));
}

#[test]
fn what_is_shown_of_an_entry_has_to_be_what_was_recorded() {
    let files = ledger(1, 2, "c");
    let parsed = Proof::parse(&proof(&files, 0).unwrap()).unwrap();
    let content = content_of(&parsed.extra).unwrap().len();
    for at in 1 + content..parsed.extra.len() {
        let mut extra = parsed.extra.clone();
        extra[at] ^= 1;
        let error = check_proof(&Proof { extra, ..parsed.clone() }.encode(), &key(1)).unwrap_err();
        assert!(matches!(error, CheckError::Opening), "byte {at}");
    }
    for at in 0..1 + content {
        let mut extra = parsed.extra.clone();
        extra[at] ^= 1;
        assert!(check_proof(&Proof { extra, ..parsed.clone() }.encode(), &key(1)).is_err());
    }
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
