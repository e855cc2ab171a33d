//! Sigsum's own verifier judges what ours makes.
//!
//! A log of Sigsum is a tree of RFC 6962 whose heads are checkpoints under a name that is made of
//! the log's key, cosigned by witnesses of C2SP; only what a leaf is the hash of is its own. So a
//! ledger of such a name is one as far as heads, cosignatures and quorums go, and a tree that has
//! Sigsum's leaves is one altogether. It has no proofs of consistency, and lays out what it reads
//! in lines of hex, into which [`judge`] brings notes and paths.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use ed25519_dalek::Signer as _;
use postern_merkle::{ConsistencyBuilder, Edge, Path, PathBuilder, SigningKey, leaf_hash};
use sigsum::{Hash, Policy, PolicyBuilder, PublicKey, SigsumSignature, verify};

use super::*;

const SEED: [u8; 32] = [1; 32];
/// The head is good and has cosignatures enough: this is looked at last.
const BAD_INCLUSION: &str = "verify error: bad inclusion proof";

fn log() -> SigningKey {
    let public = *SigningKey::new("unnamed", &SEED).unwrap().verifying_key().public();
    SigningKey::new(&format!("sigsum.org/v1/tree/{:x}", Hash::new(public)), &SEED).unwrap()
}

/// Who submits leaves.
fn submitter() -> ed25519_dalek::SigningKey {
    ed25519_dalek::SigningKey::from_bytes(&[50; 32])
}

/// What is submitted as a leaf.
fn message(number: u64) -> Hash {
    Hash::new(number.to_le_bytes())
}

fn leaf_signature(number: u64) -> [u8; 64] {
    let text = [b"sigsum.org/v1/tree-leaf\0", Hash::new(message(number)).as_ref()].concat();
    submitter().sign(&text).to_bytes()
}

/// What a leaf of Sigsum is the hash of.
fn leaf(number: u64) -> Vec<u8> {
    let (checksum, key) = (Hash::new(message(number)), Hash::new(submitter().verifying_key()));
    [checksum.as_ref(), &leaf_signature(number), key.as_ref()].concat()
}

fn edge(size: u64) -> Edge {
    let mut edge = Edge::default();
    (0..size).for_each(|number| edge.append(leaf_hash(&leaf(number))));
    edge
}

fn path(index: u64, size: u64) -> Path {
    let mut builder = PathBuilder::new(index, size).unwrap();
    (0..size).for_each(|number| builder.observe(leaf_hash(&leaf(number))));
    builder.finish().unwrap()
}

fn witnesses() -> Vec<Witness> {
    let witness = |number: u8| {
        let name = format!("witness.example/w{number}");
        let (disk, logs) = (Arc::new(SimDisk::new(0)), vec![log().verifying_key()]);
        Witness::open_on(disk, &name, logs, &[100 + number; 32]).unwrap()
    };
    (1..=3).map(witness).collect()
}

fn public_of(witness: &CosignerKey) -> [u8; 32] {
    let text = witness.to_text();
    let bytes = BASE64_STANDARD.decode(text.splitn(3, '+').nth(2).unwrap()).unwrap();
    bytes[1..].try_into().unwrap()
}

/// Trust in the ledger's key, and in so many of the witnesses.
fn policy(witnesses: &[Witness], enough: usize) -> Policy {
    let mut policy = PolicyBuilder::new();
    policy.add_log((*log().verifying_key().public()).into(), None).unwrap();
    let names: Vec<_> = witnesses.iter().map(|witness| witness.key().name().to_owned()).collect();
    for witness in witnesses {
        let (name, key) = (witness.key().name().to_owned(), public_of(witness.key()));
        policy.add_witness(name, key.into(), None).unwrap();
    }
    policy.add_group("enough".to_owned(), enough, names).unwrap();
    policy.set_quorum("enough".to_owned()).unwrap();
    policy.build()
}

/// The tree of the first `size` leaves, signed by the ledger's key, cosigned by witnesses who had
/// seen `old` of them.
fn cosigned(old: u64, size: u64, witnesses: &[Witness]) -> String {
    let (origin, root) = (log().verifying_key().name().to_owned(), edge(size).root());
    let mut note = Checkpoint { origin, size, root }.sign(&log()).unwrap();
    let mut proof = ConsistencyBuilder::new(edge(old), size).unwrap();
    (old..size).for_each(|number| proof.observe(leaf_hash(&leaf(number))));
    let line = |hash: &postern_merkle::Hash| BASE64_STANDARD.encode(hash.0) + "\n";
    let lines: String = proof.finish().unwrap().iter().map(line).collect();
    let request = format!("old {old}\n{lines}\n{note}");
    for witness in witnesses {
        let reply = witness.add_checkpoint(&request, NOW);
        assert_eq!(reply.status, 200, "{reply:?}");
        note += &reply.body;
    }
    note
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A leaf, a note and a path in the lines of Sigsum.
fn in_lines(number: u64, note: &str, path: &Path, witnesses: &[Witness]) -> String {
    let (text, signatures) = note.split_once("\n\n").unwrap();
    let mut head = text.lines();
    let (origin, size, root) = (head.next().unwrap(), head.next().unwrap(), head.next().unwrap());
    let key = Hash::new(log().verifying_key().public());
    let signer = Hash::new(submitter().verifying_key());
    let mut lines = format!("version=2\nlog={key:x}\n");
    lines += &format!("leaf={signer:x} {}\n\nsize={size}\n", hex(&leaf_signature(number)));
    lines += &format!("root_hash={}\n", hex(&BASE64_STANDARD.decode(root).unwrap()));
    for line in signatures.lines() {
        let (name, signature) = line.strip_prefix("\u{2014} ").unwrap().split_once(' ').unwrap();
        let signature = BASE64_STANDARD.decode(signature).unwrap();
        // The key's id is in front of it.
        let signature = &signature[4..];
        if name == origin {
            lines += &format!("signature={}\n", hex(signature));
            continue;
        }
        let witness = witnesses.iter().find(|witness| witness.key().name() == name).unwrap();
        let (key, (seconds, signature)) =
            (Hash::new(public_of(witness.key())), signature.split_first_chunk().unwrap());
        let seconds = u64::from_be_bytes(*seconds);
        lines += &format!("cosignature={key:x} {seconds} {}\n", hex(signature));
    }
    lines += &format!("\nleaf_index={}\n", path.index);
    for hash in &path.hashes {
        lines += &format!("node_hash={hash}\n");
    }
    lines
}

fn judge(number: u64, lines: &str, policy: &Policy) -> Result<(), String> {
    let signature = SigsumSignature::from_ascii(lines).map_err(|error| error.to_string())?;
    let signers = [PublicKey::from(submitter().verifying_key().to_bytes())];
    verify(&message(number), &signature, &signers, policy).map_err(|error| error.to_string())
}

#[test]
fn sigsum_finds_every_leaf_in_every_tree_that_witnesses_followed() {
    let witnesses = witnesses();
    let all = policy(&witnesses, 3);
    let mut old = 0;
    for size in (1..=17).chain([31, 32, 33, 70]) {
        let note = cosigned(old, size, &witnesses);
        old = size;
        for index in 0..size {
            let lines = in_lines(index, &note, &path(index, size), &witnesses);
            assert_eq!(judge(index, &lines, &all), Ok(()), "{index} of {size}");
            // Another leaf's place is none of its own.
            let other = in_lines(index, &note, &path((index + 1) % size, size), &witnesses);
            let expected = if size == 1 { Ok(()) } else { Err(BAD_INCLUSION.to_owned()) };
            assert_eq!(judge(index, &other, &all), expected, "{index} of {size}");
        }
    }
}

#[test]
fn sigsum_refuses_whatever_of_it_is_changed() {
    let witnesses = witnesses();
    let (all, two) = (policy(&witnesses, 3), policy(&witnesses, 2));
    let note = cosigned(0, 13, &witnesses);
    let lines = in_lines(6, &note, &path(6, 13), &witnesses);
    assert_eq!(judge(6, &lines, &all), Ok(()));
    for at in 0..lines.len() {
        let mut changed = lines.clone().into_bytes();
        changed[at] ^= 1;
        let changed = String::from_utf8(changed).unwrap();
        assert!(judge(6, &changed, &all).is_err(), "byte {at}: {changed}");
    }
    // One witness less is enough for who wants two, and no longer for who wants three.
    let one_less: String =
        note.split_inclusive('\n').filter(|line| !line.contains("/w2 ")).collect();
    let lines = in_lines(6, &one_less, &path(6, 13), &witnesses);
    let refused = Err("verify error: not enough valid cosignatures".to_owned());
    assert_eq!((judge(6, &lines, &two), judge(6, &lines, &all)), (Ok(()), refused));
    // A cosignature of this checkpoint is none of the next, which is signed all the same.
    let next = cosigned(13, 14, &[]);
    let (_, stale) = note.split_once(&format!("\u{2014} {}", witnesses[0].key().name())).unwrap();
    let stale = format!("{next}\u{2014} {}{stale}", witnesses[0].key().name());
    let lines = in_lines(6, &stale, &path(6, 14), &witnesses);
    let refused = judge(6, &lines, &all).unwrap_err();
    assert!(refused.starts_with("verify error: bad witness cosignature"), "{refused}");
}

/// Its entries are no leaves of Sigsum, so that only head and cosignatures can be judged.
#[test]
fn sigsum_accepts_what_a_ledger_signed_and_a_quorum_cosigned() {
    let ledger = SimDisk::new(0);
    let options =
        || Options { origin: log().verifying_key().name().to_owned(), ..options(Arc::default()) };
    create_on(&ledger, &options(), &SEED).unwrap();
    let mut sequencer = open_on(Arc::new(ledger.clone()), options(), Box::new(|| [9; 16])).unwrap();
    for subject in ["1", "2", "3"] {
        commit(&mut sequencer, &[Work::Draft(draft("ana", &[(subject, strong())], &[]))]).unwrap();
    }
    sequencer.sign().unwrap();
    let witnesses = witnesses();
    let mut asking = cosigning(&ledger, quorum(&[&witnesses[0], &witnesses[1], &witnesses[2]], 2));
    asking.begin().unwrap();
    for number in [0, 2] {
        ask(&mut asking, number, &witnesses[number]).unwrap();
    }
    let note = String::from_utf8(ledger.contents()[WITNESSED].clone()).unwrap();
    let none = Path { index: 0, hashes: Vec::new() };
    let lines = in_lines(0, &note, &none, &witnesses);
    assert_eq!(judge(0, &lines, &policy(&witnesses, 2)).unwrap_err(), BAD_INCLUSION);
    let few = "verify error: not enough valid cosignatures";
    assert_eq!(judge(0, &lines, &policy(&witnesses, 3)).unwrap_err(), few);
    let begin = lines.find("root_hash=").unwrap() + "root_hash=".len();
    let mut changed = lines.into_bytes();
    changed[begin] = if changed[begin] == b'0' { b'1' } else { b'0' };
    let changed = String::from_utf8(changed).unwrap();
    let bad = "verify error: bad log signature";
    assert_eq!(judge(0, &changed, &policy(&witnesses, 2)).unwrap_err(), bad);
}
