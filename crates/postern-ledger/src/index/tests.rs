use std::collections::BTreeMap;

use postern_model::Grade;
use rand::{SeedableRng as _, rngs::StdRng};

use super::*;
use crate::{
    Note,
    tests::{Bench, draft, reason, strong},
};

const ACTORS: [&str; 3] = ["ana", "ben", "cleo"];
const SUBJECTS: u32 = 40;

fn about_subject(subject: impl std::fmt::Display) -> Question {
    let about = About::Subject(Subject::new(subject.to_string()));
    Question { about, since: None, until: None }
}

fn about_actor(actor: &str) -> Question {
    Question { about: About::Actor(Actor::new(actor)), since: None, until: None }
}

/// Records some disclosures and other things, a microsecond and more apart.
fn grow(bench: &Bench, rng: &mut StdRng, entries: usize) {
    for _ in 0..entries {
        let now = bench.later_by(rng.random_range(0..3));
        bench.clock.set(now);
        let actor = ACTORS[rng.random_range(0..3)];
        if rng.random_ratio(1, 4) {
            let (actor, connection) = (Actor::new(actor), 1);
            bench.note(Note::LoggedOut { actor, connection }).unwrap();
            continue;
        }
        let some = rng.random_range(1..6);
        let subjects: Vec<String> =
            (0..some).map(|_| rng.random_range(0..SUBJECTS).to_string()).collect();
        let reasons = [strong(), None, reason("own_ticket", Grade::Weak)];
        let rows: Vec<_> = subjects
            .iter()
            .map(|s| (s.as_str(), reasons[rng.random_range(0..3)].clone()))
            .collect();
        bench.record(draft(actor, &rows, &[])).unwrap();
    }
}

fn open(bench: &Bench) -> Index {
    Index::open(&bench.path(), &mut |_, _| {}).unwrap()
}

/// Every question has the answer that the log gives. Returns how many hits there were.
fn check(bench: &Bench, index: &mut Index) -> usize {
    let subjects = (0..SUBJECTS + 1).map(about_subject);
    let questions = subjects.chain(ACTORS.into_iter().chain(["nobody"]).map(about_actor));
    let now = bench.later_by(0);
    let entries = crate::Reader::open(&bench.path()).unwrap();
    let entries: Vec<Entry> = entries.map(Result::unwrap).collect();
    let mut hits = 0;
    for question in questions {
        for (since, until) in [(None, None), (Some(now / 3), Some(now / 2)), (Some(now), None)] {
            let (since, until) = (since.map(Timestamp), until.map(Timestamp));
            let question = Question { since, until, ..question.clone() };
            let expected = entries.iter().flat_map(|entry| seen_of(entry.clone(), &question));
            let expected: Vec<Seen> = expected.collect();
            assert_eq!(index.answer(&question).unwrap(), expected, "{question:?}");
            hits += expected.len();
        }
    }
    hits
}

fn runs(bench: &Bench) -> Vec<PathBuf> {
    let mut found = run_names(&bench.path().join(FOLDER)).unwrap();
    found.sort();
    found.into_iter().map(|(_, _, path)| path).collect()
}

#[test]
fn the_index_answers_as_the_log_does_while_it_grows() {
    let mut bench = Bench::new();
    let mut rng = StdRng::seed_from_u64(1);
    let mut most = 0;
    for step in 0..12 {
        grow(&bench, &mut rng, (100 + step * 5) % 107 % 33);
        let mut index = open(&bench);
        assert!(!index.was_remade());
        assert_eq!(index.entries(), bench.check_ledger().len() as u64);
        check(&bench, &mut index);
        most = most.max(runs(&bench).len());
        if step % 5 == 4 {
            bench.close();
            bench.open();
        }
    }
    let mut index = open(&bench);
    assert!(check(&bench, &mut index) > 300);
    assert!((2..5).contains(&most), "{most} runs");
}

#[test]
fn what_is_asked_for_is_told_with_fields_reason_time_and_account() {
    let bench = Bench::new();
    bench.clock.set(5_000);
    let rows = [("17", strong()), ("4", None)];
    let mut shown = draft("ana", &rows, &[]);
    shown.claimed = Some("T-1".into());
    bench.record(shown).unwrap();
    let seen = open(&bench).answer(&about_subject(17)).unwrap();
    let [Seen { sequence: 0, time: Timestamp(5_000), actor, statement, claimed, group }] =
        seen.as_slice()
    else {
        panic!("{seen:?}")
    };
    assert_eq!((actor.as_str(), claimed.as_deref()), ("ana", Some("T-1")));
    assert!(statement.starts_with("SELECT name, email"));
    assert_eq!((group.clear.len(), group.masked.len()), (2, 1));
    assert_eq!(group.reason, strong());
    assert_eq!(group.subjects, [Subject::new("17")]);
    let seen = open(&bench).answer(&about_actor("ana")).unwrap();
    assert_eq!(seen.iter().flat_map(|seen| &seen.group.subjects).count(), 2);
}

/// The index after some change of its files; the change returns whether there was one.
fn changed(bench: &Bench, change: impl FnOnce()) -> Index {
    change();
    open(bench)
}

#[test]
fn an_index_that_was_tampered_with_never_changes_an_answer() {
    let bench = Bench::new();
    let mut rng = StdRng::seed_from_u64(2);
    grow(&bench, &mut rng, 90);
    check(&bench, &mut open(&bench));
    grow(&bench, &mut rng, 20);
    check(&bench, &mut open(&bench));
    let genuine: BTreeMap<PathBuf, Vec<u8>> =
        runs(&bench).into_iter().map(|path| (path.clone(), fs::read(&path).unwrap())).collect();
    assert!(genuine.len() > 1);
    let put_back = || {
        remove_runs(&bench.path().join(FOLDER)).unwrap();
        genuine.iter().for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
    };
    let mut remade = 0;
    for (path, bytes) in &genuine {
        // A bit of each block and of each table's first records.
        for at in (0..bytes.len()).step_by(2711) {
            put_back();
            let mut bytes = bytes.clone();
            bytes[at] ^= 1 << (at % 8);
            let mut index = changed(&bench, || fs::write(path, bytes).unwrap());
            check(&bench, &mut index);
            remade += usize::from(index.was_remade());
        }
        for cut in [0, 100, 4096, bytes.len() - 1] {
            put_back();
            let mut index = changed(&bench, || fs::write(path, &bytes[..cut]).unwrap());
            check(&bench, &mut index);
        }
        put_back();
        check(&bench, &mut changed(&bench, || fs::remove_file(path).unwrap()));
    }
    assert!(remade > 5, "{remade}");
    // Two blocks of one file in each other's place, and one run under the other's name.
    put_back();
    let (path, bytes) = genuine.iter().next().unwrap();
    let mut swapped = bytes.clone();
    swapped[4096..3 * 4096].rotate_left(4096);
    check(&bench, &mut changed(&bench, || fs::write(path, swapped).unwrap()));
    put_back();
    let other = genuine.values().next_back().unwrap();
    check(&bench, &mut changed(&bench, || fs::write(path, other).unwrap()));
}

#[test]
fn a_run_that_a_crash_left_beside_the_one_made_of_it_is_removed() {
    let bench = Bench::new();
    let mut rng = StdRng::seed_from_u64(3);
    grow(&bench, &mut rng, 30);
    open(&bench);
    let [before] = &runs(&bench)[..] else { panic!("not one run") };
    let bytes = fs::read(before).unwrap();
    grow(&bench, &mut rng, 30);
    open(&bench);
    let [joined] = &runs(&bench)[..] else { panic!("not joined") };
    assert_ne!(joined, before);
    fs::write(before, bytes).unwrap();
    fs::write(before.with_extension("tmp"), "half").unwrap();
    let mut index = open(&bench);
    assert_eq!((runs(&bench).len(), index.was_remade()), (1, false));
    check(&bench, &mut index);
}

#[test]
fn a_ledger_that_was_changed_behind_the_index_gives_no_answer() {
    let mut bench = Bench::new();
    let mut rng = StdRng::seed_from_u64(4);
    grow(&bench, &mut rng, 40);
    bench.close();
    let mut index = open(&bench);
    let hit = index.answer(&about_subject(7)).unwrap().first().unwrap().sequence;
    let entry = index.entry(hit).unwrap();
    let place = u64::from_le_bytes(*entry.first_chunk().unwrap()) as usize;
    let path = bench.path().join("segments/0000000000.seg");
    let good = fs::read(&path).unwrap();
    // With the checksum mended, as somebody would who wants to hide it.
    let (_, payload) = crate::frame::frame(&good[place..]).unwrap();
    let mut payload = payload.to_vec();
    *payload.last_mut().unwrap() ^= 1;
    let mut frame = Vec::new();
    crate::frame::encode(&mut frame, 0, &payload);
    let mut bad = good.clone();
    bad[place..place + frame.len()].copy_from_slice(&frame);
    fs::write(&path, bad).unwrap();
    let answer = index.answer(&about_subject(7));
    assert!(matches!(answer, Err(IndexError::Damaged(_))), "{answer:?}");
    fs::write(&path, good).unwrap();
    check(&bench, &mut open(&bench));
}

#[test]
fn an_index_of_another_history_is_made_anew() {
    let mut bench = Bench::new();
    let mut rng = StdRng::seed_from_u64(5);
    grow(&bench, &mut rng, 20);
    bench.close();
    let saved = tempfile::tempdir().unwrap();
    let files = ["checkpoint", "dictionary.log", "segments/0000000000.seg"];
    let copy = |from: &Path, to: &Path| {
        for file in files {
            fs::copy(from.join(file), to.join(file.replace('/', "-"))).unwrap();
        }
    };
    copy(&bench.path(), saved.path());
    bench.open();
    grow(&bench, &mut rng, 40);
    bench.close();
    open(&bench);
    for file in files {
        fs::copy(saved.path().join(file.replace('/', "-")), bench.path().join(file)).unwrap();
    }
    let mut index = open(&bench);
    assert!(index.was_remade());
    assert_eq!(index.entries(), 20);
    check(&bench, &mut index);
}

#[test]
fn without_the_key_there_is_no_index_but_the_log_answers() {
    let mut bench = Bench::new();
    bench.record(draft("ana", &[("17", strong())], &[])).unwrap();
    bench.close();
    fs::remove_file(bench.path().join("key")).unwrap();
    let opened = Index::open(&bench.path(), &mut |_, _| {});
    assert!(matches!(opened, Err(IndexError::NoKey)));
    assert_eq!(answer_from_log(&bench.path(), &about_subject(17)).unwrap().0.len(), 1);
}
