use std::{collections::BTreeSet, sync::Arc};

use postern_merkle::{SigningKey, VerifyingKey};
use postern_model::{Actor, Subject, Timestamp};

use super::*;
use crate::{
    Basis, Body, Note, ProveError, Quorum,
    disk::{Disk, sim::SimDisk},
    recover::{create_on, open_on},
    sequencer::Work,
    tests::{HandClock, commit, draft, options, python, strong},
    witness::tests::{self as witnessing, cosign, quorum, witness},
};

fn key() -> VerifyingKey {
    SigningKey::new("test.example/ledger", &[1; 32]).unwrap().verifying_key()
}

/// A ledger of such batches: what Ana saw, what somebody else did, that Ben left.
fn timed(batches: std::ops::Range<i64>) -> SimDisk {
    let disk = SimDisk::new(0);
    create_on(&disk, &options(Arc::new(HandClock::default())), &[1; 32]).unwrap();
    extend(&disk, batches);
    disk
}

/// Three entries each a thousand microseconds.
fn extend(disk: &SimDisk, batches: std::ops::Range<i64>) {
    let clock = Arc::new(HandClock::default());
    let salts = Box::new(|| [9; 16]);
    let options = options(clock.clone());
    let mut sequencer = open_on(Arc::new(disk.clone()), options, salts).unwrap();
    for batch in batches {
        clock.set(batch * 1000);
        let (subject, other) = (format!("c{batch}"), format!("late{batch}"));
        let work = [
            Work::Draft(draft("ana", &[(&subject, strong())], &[])),
            Work::Note(Note::LoggedOut { actor: Actor::new(other), connection: 5 }),
            Work::Note(Note::LoggedOut { actor: Actor::new("ben"), connection: 5 }),
        ];
        commit(&mut sequencer, &work).unwrap();
    }
    sequencer.sign().unwrap();
}

/// Twelve batches a thousand microseconds apart: what Ana saw, that Ben left, what Ben saw.
fn ledger() -> Arc<dyn Disk> {
    let clock = Arc::new(HandClock::default());
    let disk = SimDisk::new(0);
    let options = crate::Options { segment_bytes: 2048, ..options(clock.clone()) };
    create_on(&disk, &options, &[1; 32]).unwrap();
    let salts = Box::new(|| [9; 16]);
    let mut sequencer = open_on(Arc::new(disk.clone()), options, salts).unwrap();
    for batch in 0..12 {
        clock.set(batch * 1000);
        let (one, other) = (format!("c{batch}"), format!("d{batch}"));
        let work = [
            Work::Draft(draft("ana", &[(&one, strong()), ("x", None)], &[])),
            Work::Note(Note::LoggedOut { actor: Actor::new("ben"), connection: 5 }),
            Work::Draft(draft("ben", &[(&other, strong())], &[])),
        ];
        commit(&mut sequencer, &work[..if batch == 6 { 2 } else { 3 }]).unwrap();
    }
    sequencer.sign().unwrap();
    Arc::new(disk)
}

fn question(actor: &str, since: Option<i64>, until: Option<i64>) -> RangeQuestion {
    let (since, until) = (since.map(Timestamp), until.map(Timestamp));
    RangeQuestion { actor: Actor::new(actor), since, until, subjects: Naming::Numbers }
}

fn proof(question: &RangeQuestion) -> String {
    prove_range_on(&ledger(), question, Basis::Covering, &mut |_, _| {}).unwrap()
}

/// What both verifiers say of proofs: how many entries, or nothing.
fn both(proofs: &[String]) -> Vec<Option<usize>> {
    both_asked(proofs, &key(), None)
}

/// The same with witnesses who count.
fn both_asked(
    proofs: &[String],
    key: &VerifyingKey,
    quorum: Option<&Quorum>,
) -> Vec<Option<usize>> {
    let check = |text: &String| match quorum {
        Some(quorum) => check_witnessed_range(text, key, quorum),
        None => check_range(text, key),
    };
    let answers: Vec<_> =
        proofs.iter().map(|text| check(text).ok().map(|range| range.entries.len())).collect();
    let Some(lines) = python::said_of("ranges.py", &python::trust(key, quorum), proofs) else {
        return answers;
    };
    let others: Vec<Option<usize>> = lines.iter().map(|line| line.parse().ok()).collect();
    let differs = (0..proofs.len()).find(|&at| others.get(at) != answers.get(at));
    assert_eq!(differs, None, "{}", differs.map_or("", |at| &proofs[at]));
    answers
}

#[test]
fn only_customers_who_are_asked_for_are_named() {
    let named = BTreeSet::from(["c3", "d4", "nobody"].map(Subject::new));
    let subjects = Naming::Only(named);
    let text = proof(&RangeQuestion { subjects, ..question("ana", None, None) });
    let range = check_range(&text, &key()).unwrap();
    let mut subjects: Vec<String> = Vec::new();
    for entry in &range.entries {
        if let Body::Disclosed(disclosed) = &entry.body {
            let of = disclosed.groups.iter().flat_map(|group| &group.subjects);
            subjects.extend(of.map(ToString::to_string));
        }
    }
    let names: Vec<&String> = subjects.iter().filter(|s| !s.starts_with("subject ")).collect();
    assert_eq!(names, ["c3"]);
    assert!(subjects.len() > 12);
    assert_eq!(both(&[text]), [Some(range.entries.len())]);
}

#[test]
fn all_entries_of_an_account_in_a_stretch_are_proved_to_be_all() {
    let bounds = [None, Some(-5), Some(0), Some(2500), Some(6000), Some(11_000), Some(99_000)];
    let mut proofs = Vec::new();
    let mut expected = Vec::new();
    let entries: Vec<Entry> =
        crate::Reader::open_on(ledger()).unwrap().map(Result::unwrap).collect();
    for actor in ["ana", "ben"] {
        for (since, until) in bounds.iter().flat_map(|s| bounds.map(|u| (*s, u))) {
            let in_time = |entry: &&Entry| {
                since.is_none_or(|since| entry.time.0 >= since)
                    && until.is_none_or(|until| entry.time.0 < until)
            };
            let acts = |entry: &&Entry| match &entry.body {
                Body::Disclosed(disclosed) => disclosed.actor.as_str() == actor,
                Body::Noted(_) => actor == "ben",
            };
            let sequences: Vec<u64> =
                entries.iter().filter(in_time).filter(acts).map(|entry| entry.sequence).collect();
            let text = proof(&question(actor, since, until));
            let range = check_range(&text, &key()).unwrap();
            let found: Vec<u64> = range.entries.iter().map(|entry| entry.sequence).collect();
            assert_eq!(found, sequences, "{actor} {since:?} {until:?}");
            expected.push(Some(sequences.len()));
            proofs.push(text);
        }
    }
    assert_eq!(both(&proofs), expected);
    assert!(expected.iter().flatten().collect::<BTreeSet<_>>().len() > 8);
}

#[test]
fn a_proof_shows_what_the_account_did_and_nothing_of_what_others_did() {
    let mut asked = question("ana", Some(3000), Some(5000));
    let text = proof(&asked);
    let range = check_range(&text, &key()).unwrap();
    assert_eq!((range.first, range.end, range.signed), (9, 15, 35));
    let [Entry { body: Body::Disclosed(disclosed), .. }, _] = range.entries.as_slice() else {
        panic!("{range:?}")
    };
    assert_eq!(&*disclosed.statement, "SELECT name, email FROM customer WHERE id = $1");
    let subjects = |disclosed: &crate::Disclosed| {
        let subjects = disclosed.groups.iter().flat_map(|group| &group.subjects);
        subjects.map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(subjects(disclosed), ["subject 1", "subject 7"]);
    // Of six entries two are opened; the names stand with the entries that brought them.
    let count = |word: &str| text.lines().filter(|line| line.starts_with(word)).count();
    assert_eq!(count("open "), 2);
    let parsed = RangeProof::parse(&text).unwrap();
    let shown: usize = parsed.leaves.iter().map(|leaf| leaf.rows.len()).sum();
    let rows = parsed.leaves.iter().flat_map(|leaf| &leaf.rows);
    assert!(rows.clone().all(|row| row[1] == 1), "only names");
    assert!(rows.clone().all(|row| !row.ends_with(b"ben")), "not others'");
    assert!(shown >= 5, "{shown}");

    asked.subjects = Naming::Texts;
    let range = check_range(&proof(&asked), &key()).unwrap();
    let Body::Disclosed(disclosed) = &range.entries[0].body else { panic!("{range:?}") };
    assert_eq!(subjects(disclosed), ["x", "c3"]);
}

#[test]
fn whatever_is_left_out_added_or_changed_proves_nothing() {
    let text = proof(&question("ana", Some(3000), Some(5000)));
    let whole = RangeProof::parse(&text).unwrap();
    assert_eq!(RangeProof::parse(&whole.encode()).unwrap(), whole);
    let mut cases = Vec::new();
    let mut case = |change: &dyn Fn(&mut RangeProof)| {
        let mut changed = whole.clone();
        change(&mut changed);
        assert_ne!(changed, whole);
        cases.push(changed.encode());
    };
    for at in 0..whole.leaves.len() {
        case(&|proof| drop(proof.leaves.remove(at)));
        case(&|proof| proof.leaves.insert(at, proof.leaves[at].clone()));
        let leaf = &whole.leaves[at];
        for bit in 0..8 * leaf.content.len() {
            case(&|proof| proof.leaves[at].content[bit / 8] ^= 1 << (bit % 8));
        }
        match &leaf.opened {
            // What the account did is hidden, or is another thing.
            Some(opened) => {
                case(&|proof| proof.leaves[at].opened = None);
                for byte in 0..opened.len() {
                    case(&|proof| proof.leaves[at].opened.as_mut().unwrap()[byte] ^= 1);
                }
            }
            None => case(&|proof| proof.leaves[at].opened = Some(vec![0; 40])),
        }
        for row in 0..leaf.rows.len() {
            for byte in 0..leaf.rows[row].len() {
                case(&|proof| proof.leaves[at].rows[row][byte] ^= 1);
            }
        }
    }
    for at in 0..whole.hashes.len() {
        case(&|proof| {
            proof.hashes.remove(at);
        });
        case(&|proof| proof.hashes[at].0[3] ^= 1);
    }
    // The stretch is said to be another, or to be of another time or account.
    for (first, end) in [(8, 15), (10, 15), (9, 14), (9, 16), (12, 15), (9, 9)] {
        case(&|proof| (proof.first, proof.end) = (first, end));
    }
    for since in [None, Some(2000), Some(3001)] {
        case(&|proof| proof.since = since);
    }
    for until in [None, Some(4000), Some(5001)] {
        case(&|proof| proof.until = until);
    }
    case(&|proof| proof.actor = "ben".to_owned());
    case(&|proof| proof.checkpoint = proof.checkpoint.replace("35", "36"));
    cases.push(text.replace("range 9 15", "range 09 15"));
    cases.push(text.replacen("leaf ", "leaf  ", 1));
    cases.push(text.replacen("\n\n", "\nmore\n\n", 1));
    assert!(cases.len() > 3000, "{}", cases.len());
    let proved: Vec<_> =
        both(&cases).into_iter().enumerate().filter(|(_, said)| said.is_some()).collect();
    assert_eq!(proved, [], "{}", proved.first().map_or("", |(at, _)| &cases[*at]));
    assert_eq!(both(&[text]), [Some(2)]);
}

#[test]
fn the_time_that_is_asked_for_may_have_no_entry_at_all() {
    for (since, until) in [(20_000, 30_000), (2100, 2200), (-9, -5), (5000, 5000)] {
        let text = proof(&question("ben", Some(since), Some(until)));
        let range = check_range(&text, &key()).unwrap();
        assert_eq!((range.entries.len(), range.end - range.first), (0, 0));
        assert_eq!(both(&[text]), [Some(0)]);
    }
    let error =
        prove_range_on(&ledger(), &question("cleo", None, None), Basis::Covering, &mut |_, _| {});
    assert!(matches!(error, Err(ProveError::NoAccount { .. })));
}

#[test]
fn a_proof_from_which_names_were_taken_proves_the_same() {
    let named = RangeQuestion { subjects: Naming::Texts, ..question("ana", None, None) };
    let text = proof(&named);
    let names = named_in_range(&text).unwrap();
    assert_eq!(names.len(), 13);
    let (number, first) = &names[0];
    let keep = BTreeSet::from([first.clone()]);
    let redacted = redact_range(&text, &keep).unwrap();
    assert_eq!(named_in_range(&redacted).unwrap(), [(*number, first.clone())]);
    let nobody = redact_range(&text, &BTreeSet::new()).unwrap();
    assert_eq!(named_in_range(&nobody).unwrap(), []);
    assert_eq!(nobody, proof(&question("ana", None, None)), "as if nobody had been named");
    assert_eq!(both(&[text.clone(), redacted, nobody]), [Some(12); 3]);
    assert_eq!(
        redact_range(&text, &names.into_iter().map(|(_, name)| name).collect()).unwrap(),
        text
    );
    assert!(redact_range("postern ledger range 1\n", &keep).is_err());
}

#[test]
fn a_time_that_witnesses_have_seen_all_of_is_proved_by_what_they_cosigned() {
    let ledger = timed(0..4);
    let (one, two) = (witness(1), witness(2));
    cosign(&ledger, &[&one, &two]);
    extend(&ledger, 4..8);
    let disk: Arc<dyn Disk> = Arc::new(ledger);
    let prove =
        |question: &RangeQuestion, basis| prove_range_on(&disk, question, basis, &mut |_, _| {});
    let signed_and_seen = |text: &str| {
        let seen = check_witnessed_range(text, &key(), &quorum(&[&one, &two], 2));
        let few = seen.map(|range| assert_eq!(range.witnessed, Some(witnessing::NOW)));
        let few = few.map_err(|error| matches!(error, RangeError::Witnesses(_)));
        (check_range(text, &key()).unwrap().signed, few)
    };
    // Entry 9 is the first of the time 3000: what is before it is over, and has been seen.
    let past = question("ana", Some(1000), Some(3000));
    for (basis, expected) in [
        (Basis::Covering, (12, Ok(()))),
        (Basis::Witnessed, (12, Ok(()))),
        (Basis::Newest, (24, Err(true))),
    ] {
        assert_eq!(signed_and_seen(&prove(&past, basis).unwrap()), expected, "{basis:?}");
    }
    // What is behind a time that ends at 4000 was not seen.
    for until in [Some(4000), Some(99_000)] {
        let asked = question("ana", None, until);
        let refused = prove(&asked, Basis::Witnessed).unwrap_err();
        assert!(matches!(refused, ProveError::NotWitnessed { seen: 12, .. }), "{refused:?}");
        let text = prove(&asked, Basis::Covering).unwrap();
        assert_eq!(signed_and_seen(&text), (24, Err(true)));
    }
    // Without an end it goes up to the newest, or as far as witnesses have come.
    let open = question("ana", Some(1000), None);
    let text = prove(&open, Basis::Covering).unwrap();
    assert_eq!(signed_and_seen(&text), (24, Err(true)));
    let text = prove(&open, Basis::Witnessed).unwrap();
    assert_eq!(signed_and_seen(&text), (12, Ok(())));
    let range = check_range(&text, &key()).unwrap();
    assert_eq!((range.first, range.end, range.entries.len()), (3, 12, 3));
    // Whoever came later is not known there.
    let late = question("late4", None, Some(1000));
    let text = prove(&late, Basis::Covering).unwrap();
    assert_eq!(signed_and_seen(&text), (24, Err(true)));
    assert!(matches!(prove(&late, Basis::Witnessed), Err(ProveError::NoAccount { .. })));
}

#[test]
fn both_verifiers_count_the_witnesses_of_a_range() {
    let ledger = timed(0..4);
    let (one, two, stranger) = (witness(1), witness(2), witness(3));
    cosign(&ledger, &[&one, &two]);
    let disk: Arc<dyn Disk> = Arc::new(ledger);
    let asked = question("ana", None, None);
    let text = prove_range_on(&disk, &asked, Basis::Covering, &mut |_, _| {}).unwrap();
    let without = text.replace("\u{2014} witness.example/w1 ", "\u{2014} other.example/w1 ");
    let texts = [text, without];
    for (witnesses, enough, expected) in [
        (vec![&one, &two], 2, [Some(4), None]),
        (vec![&one, &two, &stranger], 2, [Some(4), None]),
        (vec![&two, &stranger], 1, [Some(4), Some(4)]),
        (vec![&two, &stranger], 2, [None, None]),
        (vec![&stranger], 1, [None, None]),
    ] {
        let quorum = quorum(&witnesses, enough);
        assert_eq!(both_asked(&texts, &key(), Some(&quorum)), expected, "{enough}");
    }
    assert_eq!(both(&texts), [Some(4), Some(4)], "who asks for none");
}
