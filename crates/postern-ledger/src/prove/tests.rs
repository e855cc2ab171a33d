use postern_merkle::SigningKey;

use super::*;
use crate::{
    DamageKind,
    disk::sim::SimDisk,
    tests::python,
    verify::tests::{Files, ledger},
    witness::tests::{self as witnessing, cosign, quorum, witness},
};

fn proof(files: &Files, sequence: u64) -> Result<String, ProveError> {
    prove_on(Arc::new(SimDisk::holding(files)), sequence, Basis::Covering, &mut |_, _| {})
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

/// What both verifiers say of proofs: number and kind of the entry, or nothing.
fn both(proofs: &[String], quorum: Option<&Quorum>) -> Vec<Option<String>> {
    let check = |text: &String| match quorum {
        Some(quorum) => check_witnessed_proof(text, &key(1), quorum),
        None => check_proof(text, &key(1)),
    };
    let said = |text: &String| check(text).ok().map(|it| format!("{} {}", it.sequence, it.kind));
    let answers: Vec<_> = proofs.iter().map(said).collect();
    let Some(lines) = python::said_of("proof.py", &python::trust(&key(1), quorum), proofs) else {
        return answers;
    };
    let others = lines.into_iter().map(|line| Some(line).filter(|it| !it.starts_with("refused")));
    let others: Vec<_> = others.collect();
    let differs = (0..proofs.len()).find(|&at| others.get(at) != answers.get(at));
    assert_eq!(differs, None, "{}", differs.map_or("", |at| &proofs[at]));
    answers
}

#[test]
fn another_verifier_says_the_same_of_proofs_in_trees_of_all_sizes() {
    let mut proofs = Vec::new();
    for batches in 1..6 {
        let files = ledger(1, batches, "c");
        proofs.extend((0..2 * batches as u64).map(|sequence| proof(&files, sequence).unwrap()));
    }
    let said = both(&proofs, None);
    assert_eq!(said.len(), 30);
    assert!(said.iter().all(Option::is_some));
    // No bit of one can be another.
    let whole = proofs.pop().unwrap();
    let mut changed = Vec::new();
    for (at, bit) in (0..whole.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
        let mut bytes = whole.clone().into_bytes();
        bytes[at] ^= 1 << bit;
        changed.extend(String::from_utf8(bytes));
    }
    changed.push(whole.replacen("index 9", "index 09", 1));
    changed.push(whole.replacen("\n\n", "\n\n\n", 1));
    let held = both(&changed, None).into_iter().flatten().collect::<Vec<_>>();
    assert_eq!(held, Vec::<String>::new());
}

#[test]
fn a_proof_of_what_witnesses_have_seen_has_their_cosignatures() {
    let disk = witnessing::ledger();
    let (one, two, stranger) = (witness(1), witness(2), witness(3));
    witnessing::grow(&disk, 3, "c");
    cosign(&disk, &[&one, &two]);
    witnessing::grow(&disk, 2, "d");
    let proof = |sequence, basis| prove_on(Arc::new(disk.clone()), sequence, basis, &mut |_, _| {});
    let (seen, unseen) = (proof(2, Basis::Covering).unwrap(), proof(3, Basis::Covering).unwrap());
    let plain = proof(2, Basis::Newest).unwrap();
    assert_eq!(proof(2, Basis::Witnessed).unwrap(), seen);
    let error = proof(3, Basis::Witnessed).unwrap_err();
    assert!(matches!(error, ProveError::NotWitnessed { sequence: 3, seen: 3 }), "{error:?}");
    let error = proof(5, Basis::Witnessed).unwrap_err();
    assert!(matches!(error, ProveError::NotCovered { sequence: 5, signed: 5 }), "{error:?}");

    let all = quorum(&[&one, &two], 2);
    let proved = check_witnessed_proof(&seen, &key(1), &all).unwrap();
    assert_eq!((proved.signed, proved.witnessed), (3, Some(witnessing::NOW)));
    let error = check_witnessed_proof(&unseen, &key(1), &all).unwrap_err();
    let few = TooFew { found: 0, witnesses: 2, enough: 2 };
    assert!(matches!(error, CheckError::Witnesses(found) if found == few));

    // What was cosigned is not what another checkpoint says, and one line is one witness.
    let (_, lines) = seen.split_once("\n\u{2014} witness").unwrap();
    let moved = format!("{unseen}\u{2014} witness{lines}");
    let twice = lines.split_once('\n').unwrap().0;
    let twice = format!("{}{}", &seen[..seen.find("\u{2014} witness").unwrap()], {
        let line = format!("\u{2014} witness{twice}\n");
        line.repeat(2)
    });
    let texts = [seen.clone(), unseen, plain, moved, twice];
    let held = |quorum: Option<&Quorum>| {
        both(&texts, quorum).iter().map(Option::is_some).collect::<Vec<_>>()
    };
    assert_eq!(held(None), [true; 5], "who asks for none");
    assert_eq!(held(Some(&all)), [true, false, false, false, false]);
    let any = quorum(&[&one, &two, &stranger], 1);
    assert_eq!(held(Some(&any)), [true, false, false, false, true]);
    assert_eq!(held(Some(&quorum(&[&stranger], 1))), [false; 5]);
    assert_eq!(held(Some(&quorum(&[&one, &two, &stranger], 3))), [false; 5]);

    // No bit of what the witnesses signed with can be another.
    let start = seen.find("\u{2014} witness").unwrap();
    let mut changed = Vec::new();
    for (at, bit) in (start..seen.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
        let mut bytes = seen.clone().into_bytes();
        bytes[at] ^= 1 << bit;
        changed.extend(String::from_utf8(bytes));
    }
    assert!(changed.len() > 1500, "{}", changed.len());
    let held = both(&changed, Some(&all)).into_iter().flatten().collect::<Vec<_>>();
    assert_eq!(held, Vec::<String>::new());
}

#[test]
fn a_ledger_behind_what_was_witnessed_proves_nothing() {
    let disk = witnessing::ledger();
    witnessing::grow(&disk, 3, "c");
    let before = disk.contents();
    witnessing::grow(&disk, 2, "c");
    cosign(&disk, &[&witness(1)]);
    let mut files = disk.contents();
    files.insert("checkpoint".into(), before["checkpoint"].clone());
    // All entries are there, and only the newest checkpoint is an older one.
    assert!(proof(&files, 2).is_ok());
    let witnessed = files["witnessed"].clone();
    files = before;
    files.insert("witnessed".into(), witnessed);
    let Err(ProveError::Damaged(damage)) = proof(&files, 2) else { panic!("it was proved") };
    assert!(matches!(damage.kind, DamageKind::Behind { .. }), "{damage:?}");
}
