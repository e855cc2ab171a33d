use super::*;
use crate::{
    Damage, DamageKind, OpenError, Options, VerifyOptions,
    disk::sim::{Fault, SimDisk},
    recover::{create_on, open_on},
    sequencer::Work,
    tests::{HandClock, commit, draft, options, strong},
    verify::verify_on,
};

mod other_verifier;

pub(crate) const NOW: u64 = 1_764_028_800;

fn key() -> VerifyingKey {
    postern_merkle::SigningKey::new("test.example/ledger", &[1; 32]).unwrap().verifying_key()
}

pub(crate) fn ledger() -> SimDisk {
    let disk = SimDisk::new(0);
    create_on(&disk, &options(Arc::new(HandClock::default())), &[1; 32]).unwrap();
    disk
}

/// Adds entries and signs; what customers are called depends on `prefix`.
pub(crate) fn grow(disk: &SimDisk, entries: usize, prefix: &str) {
    let options = options(Arc::new(HandClock::default()));
    let salts = Box::new(|| [9; 16]);
    let mut sequencer = open_on(Arc::new(disk.clone()), options, salts).unwrap();
    for number in 0..entries {
        let subject = format!("{prefix}{number}");
        commit(&mut sequencer, &[Work::Draft(draft("ana", &[(&subject, strong())], &[]))]).unwrap();
    }
    sequencer.sign().unwrap();
}

fn witness_on(disk: &SimDisk, number: u8) -> Result<Witness, WitnessError> {
    let name = format!("witness.example/w{number}");
    Witness::open_on(Arc::new(disk.clone()), &name, vec![key()], &[100 + number; 32])
}

pub(crate) fn witness(number: u8) -> Witness {
    witness_on(&SimDisk::new(0), number).unwrap()
}

pub(crate) fn quorum(witnesses: &[&Witness], enough: usize) -> Quorum {
    let witnesses = witnesses.iter().map(|witness| witness.key().clone()).collect();
    Quorum::new(witnesses, enough).unwrap()
}

fn cosigning(ledger: &SimDisk, quorum: Quorum) -> Cosigning {
    Cosigning::open_on(Arc::new(ledger.clone()), quorum).unwrap()
}

/// Has the newest checkpoint cosigned by all of those, and kept.
pub(crate) fn cosign(ledger: &SimDisk, witnesses: &[&Witness]) {
    let mut asking = cosigning(ledger, quorum(witnesses, witnesses.len()));
    assert!(asking.begin().unwrap());
    for (number, witness) in witnesses.iter().enumerate() {
        ask(&mut asking, number, witness).unwrap();
    }
}

/// Asks one witness until it has cosigned or refused.
fn ask(cosigning: &mut Cosigning, number: usize, witness: &Witness) -> Result<(), CosigningError> {
    for _ in 0..3 {
        let request = cosigning.request(number)?;
        let reply = witness.add_checkpoint(&request, NOW);
        if cosigning.answer(number, reply.status, &reply.body)? {
            return Ok(());
        }
    }
    panic!("no end of asking");
}

#[test]
fn a_ledger_that_grows_is_cosigned_step_by_step() {
    let (ledger, one, two) = (ledger(), witness(1), witness(2));
    let both = quorum(&[&one, &two], 2);
    let mut asking = cosigning(&ledger, both.clone());
    assert!(!asking.begin().unwrap(), "nothing to be cosigned");
    for (more, size) in [(1, 1), (2, 3), (1, 4), (9, 13)] {
        grow(&ledger, more, "c");
        assert!(asking.begin().unwrap());
        ask(&mut asking, 0, &one).unwrap();
        assert_ne!(asking.done().entries, size, "one of two is not enough");
        ask(&mut asking, 1, &two).unwrap();
        assert_eq!(asking.done(), Cosigned { entries: size, seconds: Some(NOW) });
        assert!(!asking.begin().unwrap());
    }
    // Who begins anew knows what was done, and finds out what the witnesses know.
    assert_eq!(cosigning(&ledger, both.clone()).done().entries, 13);
    grow(&ledger, 1, "c");
    let mut again = cosigning(&ledger, both.clone());
    again.begin().unwrap();
    ask(&mut again, 1, &two).unwrap();
    ask(&mut again, 0, &one).unwrap();
    assert_eq!(again.done().entries, 14);
    // The note is the ledger's checkpoint with both lines, and nothing counts that is not in it.
    let note = String::from_utf8(ledger.contents()[WITNESSED].clone()).unwrap();
    assert_eq!(note.lines().filter(|line| line.starts_with('\u{2014}')).count(), 3);
    assert_eq!(both.is_met_by(&note), Some(NOW));
    let without_one = note.lines().filter(|line| !line.contains("/w2 ")).collect::<Vec<_>>();
    assert_eq!(both.is_met_by(&(without_one.join("\n") + "\n")), None);
    assert_eq!(quorum(&[&one, &two], 1).is_met_by(&(without_one.join("\n") + "\n")), Some(NOW));
    assert_eq!(quorum(&[&witness(3)], 1).is_met_by(&note), None);
    // No bit of what they signed with can be another.
    let lines = note.match_indices("\n\u{2014} witness").map(|(at, _)| at + 1);
    for start in lines.collect::<Vec<_>>() {
        let end = start + note[start..].find('\n').unwrap();
        for (at, bit) in (start..end).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let mut bytes = note.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            if let Ok(changed) = String::from_utf8(bytes) {
                assert_eq!(both.is_met_by(&changed), None, "bit {bit} of byte {at}: {changed}");
            }
        }
    }
}

#[test]
fn a_key_counts_once_by_whatever_names_and_as_many_as_there_are_can_be_enough() {
    let key = |name: &str, seed| WitnessKey::new(name, &[seed; 32]).unwrap().cosigner_key().clone();
    let [a, renamed, b] = [key("w.example/a", 1), key("w.example/b", 1), key("w.example/a", 2)];
    assert!(Quorum::new(vec![a.clone(), b.clone()], 2).is_ok());
    let twice = |keys: Vec<CosignerKey>| Quorum::new(keys, 1).unwrap_err().to_string();
    assert_eq!(
        twice(vec![a.clone(), b.clone(), renamed]),
        "`w.example/a` and `w.example/b` are one key, and count once"
    );
    assert!(twice(vec![a.clone(), a.clone()]).contains("one key"));
    for (enough, of) in
        [(0, vec![a.clone()]), (2, vec![a.clone()]), (1, Vec::new()), (3, vec![a, b])]
    {
        let witnesses = of.len();
        assert_eq!(Quorum::new(of, enough), Err(QuorumError::Enough { enough, witnesses }));
    }
}

#[test]
fn what_goes_on_behind_an_erasure_is_cosigned() {
    let (ledger, one) = (ledger(), witness(1));
    let mut asking = cosigning(&ledger, quorum(&[&one], 1));
    grow(&ledger, 3, "a customer with a long name ");
    asking.begin().unwrap();
    ask(&mut asking, 0, &one).unwrap();
    let options = options(Arc::new(HandClock::default()));
    let salts = Box::new(|| [9; 16]);
    let mut sequencer = open_on(Arc::new(ledger.clone()), options, salts).unwrap();
    let erased = postern_model::Subject::new("a customer with a long name 0");
    let by = (&postern_model::Actor::new("root"), &"by letter".into());
    sequencer.erase(&erased, by, &mut Vec::new()).unwrap();
    drop(sequencer);
    // All rows stand elsewhere now.
    grow(&ledger, 2, "another customer ");
    asking.begin().unwrap();
    ask(&mut asking, 0, &one).unwrap();
    assert_eq!(asking.done().entries, 6);
}

#[test]
fn a_forked_history_is_cosigned_by_the_witness_that_saw_it_and_by_no_other() {
    let (base, one, two) = (ledger(), witness(1), witness(2));
    grow(&base, 3, "c");
    let fork = SimDisk::holding(&base.contents());
    // Both have seen the common beginning; then each is shown another history.
    let everybody = quorum(&[&one, &two], 2);
    let mut honest = cosigning(&base, everybody.clone());
    honest.begin().unwrap();
    ask(&mut honest, 0, &one).unwrap();
    ask(&mut honest, 1, &two).unwrap();
    grow(&base, 2, "d");
    grow(&fork, 2, "e");
    let mut forked = cosigning(&fork, everybody);
    honest.begin().unwrap();
    forked.begin().unwrap();
    ask(&mut honest, 0, &one).unwrap();
    ask(&mut forked, 1, &two).unwrap();
    // Of neither a quorum can be had any more, at this size or a larger one.
    let split = |result| matches!(result, Err(CosigningError::Split { .. }));
    assert!(split(ask(&mut honest, 1, &two)));
    assert!(split(ask(&mut forked, 0, &one)));
    grow(&base, 3, "d");
    grow(&fork, 1, "e");
    honest.begin().unwrap();
    forked.begin().unwrap();
    assert!(split(ask(&mut honest, 1, &two)));
    assert!(split(ask(&mut forked, 0, &one)));
    assert_eq!((honest.done().entries, forked.done().entries), (3, 0));
}

#[test]
fn a_ledger_that_was_put_back_is_told_so_and_is_not_opened() {
    let (ledger, one) = (ledger(), witness(1));
    grow(&ledger, 3, "c");
    let before = ledger.contents();
    grow(&ledger, 2, "c");
    let mut asking = cosigning(&ledger, quorum(&[&one], 1));
    asking.begin().unwrap();
    ask(&mut asking, 0, &one).unwrap();
    // All of it put back: the witness knows.
    let old = SimDisk::holding(&before);
    let mut asking = cosigning(&old, quorum(&[&one], 1));
    asking.begin().unwrap();
    let error = ask(&mut asking, 0, &one).unwrap_err();
    assert!(matches!(error, CosigningError::Rollback { seen: 5, entries: 3, .. }), "{error}");
    grow(&old, 2, "x");
    asking.begin().unwrap();
    assert!(matches!(ask(&mut asking, 0, &one), Err(CosigningError::Split { .. })));
    // Put back but for what was witnessed: it is neither opened nor verified.
    let mut mixed = before;
    mixed.insert(WITNESSED.to_owned(), ledger.contents()[WITNESSED].clone());
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::holding(&mixed));
    let is_behind = |damage: &Damage| {
        let checkpoint = crate::Which::Witnessed;
        format!("{:?}", damage.kind)
            == format!("{:?}", DamageKind::Behind { checkpoint, expected: 5, found: 3 })
    };
    let options = options(Arc::new(HandClock::default()));
    let Err(OpenError::Damaged(damage)) = open_on(disk.clone(), options, Box::new(|| [9; 16]))
    else {
        panic!("it was opened")
    };
    assert!(is_behind(&damage), "{damage:?}");
    let verified = verify_on(disk, &VerifyOptions::default(), &mut |_| {}).unwrap_err();
    assert!(is_behind(&verified), "{verified:?}");
}

#[test]
fn a_witness_answers_as_the_standard_says() {
    let (ledger, one) = (ledger(), witness(1));
    grow(&ledger, 3, "c");
    let first = String::from_utf8(ledger.contents()["checkpoint"].clone()).unwrap();
    let check = |body: &str, status: u16| {
        let reply = one.add_checkpoint(body, NOW);
        assert_eq!(reply.status, status, "{body}: {reply:?}");
        reply
    };
    for malformed in ["", "old 0", "old 00\n\nx\n", "old -1\n\nx\n", "old 0\nnot base64\n\nx\n"] {
        check(malformed, 400);
    }
    check("old 0\n\nx\n", 404);
    check(&format!("old 4\n\n{first}"), 400);
    check(&format!("old 0\n{}\n\n{first}", BASE64_STANDARD.encode([0; 32])), 422);
    check(&format!("old 0\n\n{}", first.replace("test.example/ledger", "other")), 404);
    let other = postern_merkle::SigningKey::new("test.example/ledger", &[2; 32]).unwrap();
    let own = Checkpoint::verify(first.as_bytes(), &key()).unwrap();
    check(&format!("old 0\n\n{}", own.sign(&other).unwrap()), 403);
    let reply = check(&format!("old 0\n\n{first}"), 200);
    let (text, _) = first.split_once("\n\n").unwrap();
    let found = one.key().find(&format!("{text}\n"), &reply.body);
    assert_eq!(found, Some((reply.body.as_str(), NOW)));
    let reply = check(&format!("old 2\n\n{first}"), 409);
    assert_eq!((reply.content_type, reply.body.as_str()), ("text/x.tlog.size", "3\n"));
    // The same once more, and another of the same size.
    check(&format!("old 3\n\n{first}"), 200);
    let signing = postern_merkle::SigningKey::new("test.example/ledger", &[1; 32]).unwrap();
    let lie = Checkpoint { root: Hash([7; 32]), ..own };
    check(&format!("old 3\n\n{}", lie.sign(&signing).unwrap()), 409);
    let lie = Checkpoint { size: 5, ..lie };
    check(&format!("old 3\n\n{}", lie.sign(&signing).unwrap()), 422);
    let too_many = format!("{}\n", BASE64_STANDARD.encode([0; 32])).repeat(64);
    check(&format!("old 3\n{too_many}\n{first}"), 400);
}

/// Whatever fails while a checkpoint is taken: what was answered is remembered, so that a fork of
/// it is refused by the witness that comes back.
#[test]
fn killed_between_keeping_and_answering_a_witness_contradicts_nothing_that_it_said() {
    let ledger = ledger();
    grow(&ledger, 3, "c");
    let first = SimDisk::holding(&ledger.contents());
    grow(&ledger, 2, "c");
    let fork = SimDisk::holding(&first.contents());
    grow(&fork, 2, "x");
    let [first, longer, fork] = [first, ledger, fork].map(|disk| disk.contents());
    let (mut answered, mut silent) = (0, 0);
    for fault in [Fault::Killed, Fault::Broken, Fault::Full] {
        for (operation, seed) in (0..12).flat_map(|at| (0..4).map(move |seed| (at, seed))) {
            let [first, ledger, fork] = [&first, &longer, &fork].map(SimDisk::holding);
            let disk = SimDisk::new(seed);
            let one = witness_on(&disk, 1).unwrap();
            let all = quorum(&[&one], 1);
            let mut asking = cosigning(&first, all.clone());
            asking.begin().unwrap();
            ask(&mut asking, 0, &one).unwrap();
            disk.fail_at(operation, fault);
            let mut asking = cosigning(&ledger, all.clone());
            asking.begin().unwrap();
            let said = ask(&mut asking, 0, &one);
            match &said {
                Ok(()) => answered += 1,
                Err(CosigningError::Refused { status: 500, .. }) => {
                    silent += 1;
                    // It goes on refusing until it is opened again.
                    assert!(fault == Fault::Killed || ask(&mut asking, 0, &one).is_err());
                }
                Err(error) => panic!("{error}"),
            }
            drop(one);
            let disk = if seed < 2 { disk.restart() } else { disk.lose_power(seed) };
            let one = witness_on(&disk, 1).unwrap();
            let mut forked = cosigning(&fork, all.clone());
            forked.begin().unwrap();
            if said.is_ok() {
                let error = ask(&mut forked, 0, &one).unwrap_err();
                assert!(matches!(error, CosigningError::Split { .. }), "{error}");
            }
            // Else the ledger asks again, and gets its cosignature, whatever the witness kept.
            if said.is_err() {
                let mut asking = cosigning(&ledger, all);
                assert!(asking.begin().unwrap());
                ask(&mut asking, 0, &one).unwrap();
            }
            assert!(ask(&mut forked, 0, &one).is_err());
        }
    }
    assert!(answered > 20 && silent > 20, "{answered} answered, {silent} did not");
}

/// A ledger of five entries that was put back with the first two of them, which says so, and the
/// proof of that.
fn put_back() -> (SimDisk, String) {
    let (whole, disk) = (ledger(), ledger());
    grow(&whole, 5, "c");
    grow(&disk, 2, "c");
    let seen = Checkpoint::verify(&whole.contents()["checkpoint"], &key()).unwrap();
    let salts = Box::new(|| [9; 16]);
    let options = options(Arc::new(HandClock::default()));
    let mut sequencer = open_on(Arc::new(disk.clone()), options, salts).unwrap();
    let lost = crate::Note::Lost {
        by: postern_model::Actor::new("eve"),
        entries: 2,
        seen: 5,
        root: seen.root.0,
        why: "the disk broke".into(),
    };
    commit(&mut sequencer, &[Work::Note(lost)]).unwrap();
    sequencer.sign().unwrap();
    let proof = crate::prove::prove_on(Arc::new(disk), 2, crate::Basis::Newest, &mut |_, _| {});
    (whole, proof.unwrap())
}

#[test]
fn a_loss_is_not_accepted_by_a_witness_that_cannot_say_what_it_has_kept() {
    let (whole, proof) = put_back();
    let files = whole.contents();
    // The ledger, and a witness that has seen all of it and meets an error at that operation.
    let failing = |operation| {
        let (whole, disk) = (SimDisk::holding(&files), SimDisk::new(0));
        let one = witness_on(&disk, 1).unwrap();
        cosign(&whole, &[&one]);
        grow(&whole, 1, "c");
        disk.fail_at(operation, Fault::Broken);
        (whole, one)
    };
    let asked = |(whole, one): &(SimDisk, Witness)| {
        let mut asking = cosigning(whole, quorum(&[one], 1));
        asking.begin().unwrap();
        ask(&mut asking, 0, one)
    };
    assert_eq!(failing(99).1.accept_loss(&proof).unwrap().entries, 2);
    let mut failed = [0, 0];
    for operation in 0..12 {
        // It could not keep a newer checkpoint, of which nobody knows whether it is there.
        let both = failing(operation);
        if asked(&both).is_err() {
            failed[0] += 1;
            let refused = both.1.accept_loss(&proof).unwrap_err();
            assert!(matches!(refused, AcceptError::Failed), "{operation}: {refused:?}");
        }
        // Nor does it cosign anything after a loss that it could not take note of.
        let both = failing(operation);
        if let Err(error) = both.1.accept_loss(&proof) {
            failed[1] += 1;
            assert!(matches!(error, AcceptError::Io(_)), "{error:?}");
            let error = asked(&both).unwrap_err();
            assert!(matches!(error, CosigningError::Refused { status: 500, .. }), "{error}");
            assert!(matches!(both.1.accept_loss(&proof), Err(AcceptError::Failed)));
        }
    }
    assert!(failed.iter().all(|&failed| failed > 2), "{failed:?}");
}

#[test]
fn a_witness_that_lost_its_file_or_key_is_not_taken_for_the_same() {
    let (ledger, disk) = (ledger(), SimDisk::new(0));
    grow(&ledger, 3, "c");
    let one = witness_on(&disk, 1).unwrap();
    let mut asking = cosigning(&ledger, quorum(&[&one], 1));
    asking.begin().unwrap();
    ask(&mut asking, 0, &one).unwrap();
    drop(one);
    let mut files = disk.contents();
    let state = state_name("test.example/ledger");
    files.get_mut(&state).unwrap()[3] ^= 1;
    let opened = witness_on(&SimDisk::holding(&files), 1);
    assert!(matches!(opened, Err(WitnessError::Damaged { .. })));
    files.insert(KEY.to_owned(), vec![1; 31]);
    assert!(matches!(witness_on(&SimDisk::holding(&files), 1), Err(WitnessError::Damaged { .. })));
    // Another key's cosignature is none.
    let other = witness(2);
    grow(&ledger, 1, "c");
    asking.begin().unwrap();
    let mark = asking.request(0).unwrap().replace("old 3", "old 0");
    let reply = other.add_checkpoint(&mark, NOW);
    assert_eq!(reply.status, 422, "{reply:?}");
    let line = other.add_checkpoint(
        &format!(
            "old 0\n\n{}",
            String::from_utf8(ledger.contents()["checkpoint"].clone()).unwrap()
        ),
        NOW,
    );
    let error = asking.answer(0, line.status, &line.body).unwrap_err();
    assert!(matches!(error, CosigningError::Refused { status: 200, .. }), "{error}");
}
