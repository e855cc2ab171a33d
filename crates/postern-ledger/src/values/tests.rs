use std::{path::Path, sync::Arc, time::Duration};

use postern_model::{Actor, Grade, Secret, Subject, value_digest};

use super::*;
use crate::{
    Body, Disclosed, DraftLeaf, DraftRow, DraftValue, Entry, Note, Options, Retention, SawError,
    Told, Touch, ValueQuestion,
    disk::sim::SimDisk,
    recover::{create_on, open_on},
    saw_value,
    sequencer::{Sequencer, Work},
    tests::{HandClock, check_ledger, commit, draft, options, python, reason, strong},
};

/// A value of `public.customer`.
fn value(row: usize, column: usize, value: &str) -> DraftValue {
    let name = ["name", "email"][column];
    let digest = value_digest("public.customer", name, value.as_bytes());
    DraftValue { row, touch: 0, column, digest }
}

/// A ledger on a simulated disk.
struct Kept {
    disk: SimDisk,
    clock: Arc<HandClock>,
    retention: Option<Retention>,
}

impl Kept {
    fn new(retention: Option<Retention>) -> Self {
        let kept = Self { disk: SimDisk::new(0), clock: Arc::default(), retention };
        create_on(&kept.disk, &kept.options(), &[7; 32]).unwrap();
        kept
    }

    fn options(&self) -> Options {
        let options = options(self.clock.clone());
        Options { value_hashes: true, retention: self.retention, ..options }
    }

    fn open(&self) -> Sequencer {
        open_on(Arc::new(self.disk.clone()), self.options(), Box::new(rand::random)).unwrap()
    }

    /// The files in a folder of the disk that others see.
    fn folder(&self) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("segments")).unwrap();
        for (name, bytes) in self.disk.contents() {
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
        folder
    }
}

/// Shows customers and these of their values.
fn show(sequencer: &mut Sequencer, rows: &[(&str, Option<Reason>)], values: Vec<DraftValue>) {
    let draft = draft("ana", rows, &[]);
    commit(sequencer, &[Work::Draft(Draft { values, ..draft })]).unwrap();
}

fn disclosed(entry: &Entry) -> Option<&Disclosed> {
    match &entry.body {
        Body::Disclosed(disclosed) => Some(disclosed),
        Body::Noted(_) => None,
    }
}

/// Where each entry has values: group, subject, columns.
fn places(entries: &[Entry]) -> Vec<Vec<(usize, usize, Vec<u8>)>> {
    let columns = |values: &Values| values.hashes.iter().map(|(column, _)| *column).collect();
    let of = |values: &Values| (values.group, values.subject, columns(values));
    entries.iter().filter_map(disclosed).map(|one| one.values.iter().map(of).collect()).collect()
}

/// What both ways of asking say, which has to be the same: same, other, unknown.
fn ask(folder: &Path, subject: &str, value: &str) -> Result<Vec<[String; 3]>, SawError> {
    let question = ValueQuestion {
        subject: Subject::new(subject),
        actor: Some(Actor::new("ana")),
        since: None,
        until: None,
        forms: vec![Secret::new(b"nothing".into()), Secret::new(value.into())],
    };
    let ask = |scan| saw_value(folder, &question, scan, &mut |_, _| {});
    let by_log = ask(true)?;
    assert_eq!(ask(false)?, by_log);
    let words =
        |told: &Told| [&told.same, &told.other, &told.unknown].map(|columns| columns.join(" "));
    Ok(by_log.0.iter().map(words).collect())
}

fn columns(told: [&str; 3]) -> [String; 3] {
    told.map(str::to_owned)
}

#[test]
fn a_hash_is_what_the_format_says() {
    // By `hmac` and `hashlib` of Python's library.
    let key = ValueKey::new(&[7; 32]);
    let digest = value_digest("public.customer", "email", b"ana@example.org");
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(hex(digest.expose()), "abe5fc44459b2c6bb5175d980d7d1d05");
    assert_eq!(hex(&key.hash(&[9; 16], digest.expose())), "3852a002bbb8");
}

#[test]
fn a_value_that_was_shown_is_found_and_no_other() {
    let kept = Kept::new(None);
    let mut sequencer = kept.open();
    let rows = [("17", strong()), ("4", strong()), ("4", strong())];
    let values =
        vec![value(0, 0, "Ana"), value(0, 1, "a@b.c"), value(1, 0, "Bo"), value(2, 0, "Bob")];
    show(&mut sequencer, &rows, values);
    // Whoever comes after a start is hashed as before.
    sequencer.sign().unwrap();
    drop(sequencer);
    let mut sequencer = kept.open();
    show(&mut sequencer, &[("17", strong())], vec![value(0, 1, "new@b.c")]);
    show(&mut sequencer, &[("17", strong())], vec![]);
    sequencer.sign().unwrap();

    let folder = kept.folder();
    let entries = check_ledger(folder.path());
    let several = vec![(0, 0, vec![0, 1]), (0, 1, vec![0]), (0, 1, vec![0])];
    assert_eq!(places(&entries), [several, vec![(0, 0, vec![1])], vec![]]);
    let whole = columns(["", "", "name email"]);
    let saw = |subject, value| ask(folder.path(), subject, value).unwrap();
    assert_eq!(
        saw("17", "a@b.c"),
        [columns(["email", "name", ""]), columns(["", "email", "name"]), whole.clone()]
    );
    assert_eq!(
        saw("17", "new@b.c"),
        [columns(["", "name email", ""]), columns(["email", "", "name"]), whole]
    );
    assert_eq!(saw("4", "Bob"), [columns(["name", "", "email"])]);
    assert_eq!(saw("4", "Bo"), [columns(["name", "", "email"])]);
    // The same value of somebody else is another hash.
    assert_eq!(saw("4", "Ana"), [columns(["", "name", "email"])]);
    assert_eq!(saw("5", "Ana"), Vec::<[String; 3]>::new());

    // Nor is there anything of them in the files.
    let has = |text: &str| {
        let has = |bytes: &Vec<u8>| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        kept.disk.contents().values().any(has)
    };
    assert!(!has("a@b.c") && !has("new@b.c") && has("public.customer"));

    // Who has no key learns nothing.
    std::fs::remove_file(folder.path().join("key")).unwrap();
    let asked = ask(folder.path(), "17", "a@b.c");
    assert!(matches!(asked, Err(SawError::NoKey { file }) if file == "key"));
}

#[test]
fn what_is_masked_or_stays_here_has_no_hash() {
    let kept = Kept::new(None);
    let mut sequencer = kept.open();
    let limit = crate::Limit {
        counter: crate::Counter::ClearSubjects,
        window: Duration::from_secs(60),
        max: 1,
    };
    let rows = [("17", strong()), ("4", None), ("9", strong())];
    let values = vec![value(0, 0, "Ana"), value(1, 0, "Bo"), value(2, 0, "Cy")];
    let limited = Draft { values, ..draft("ana", &rows, &[limit]) };
    commit(&mut sequencer, &[Work::Draft(limited)]).unwrap();
    // Columns that policy shows of every record stand behind the others.
    let mut shown = draft("ana", &rows[1..2], &[]);
    let leaf = DraftLeaf {
        relation: "public.customer".into(),
        clear: vec!["name".into()],
        shown: vec!["email".into()],
        masked: vec![],
    };
    shown.leaves = vec![leaf];
    shown.values = vec![value(0, 0, "Bo"), value(0, 1, "b@b.c")];
    commit(&mut sequencer, &[Work::Draft(shown)]).unwrap();
    sequencer.sign().unwrap();
    let folder = kept.folder();
    let entries = check_ledger(folder.path());
    assert_eq!(places(&entries), [vec![(1, 0, vec![0])], vec![(0, 0, vec![0])]]);
    let saw = |subject, value| ask(folder.path(), subject, value).unwrap();
    assert_eq!(saw("4", "b@b.c"), [columns(["email", "", ""])]);
    assert_eq!(saw("17", "Ana"), [columns(["name", "", "email"])]);
}

#[test]
fn where_it_is_off_there_are_none() {
    let kept = Kept::new(None);
    let options = Options { value_hashes: false, ..kept.options() };
    let opened = open_on(Arc::new(kept.disk.clone()), options, Box::new(rand::random));
    let mut sequencer = opened.unwrap();
    show(&mut sequencer, &[("17", strong())], vec![value(0, 0, "Ana")]);
    // Customers who came then are hashed when it is on.
    sequencer.sign().unwrap();
    drop(sequencer);
    let mut sequencer = kept.open();
    show(&mut sequencer, &[("17", strong())], vec![value(0, 0, "Ana")]);
    sequencer.sign().unwrap();
    let folder = kept.folder();
    check_ledger(folder.path());
    let told = ask(folder.path(), "17", "Ana").unwrap();
    assert_eq!(told, [columns(["", "", "name email"]), columns(["name", "", "email"])]);
}

#[test]
fn an_erased_customer_has_no_salt_any_more() {
    let kept = Kept::new(None);
    let mut sequencer = kept.open();
    show(&mut sequencer, &[("17", strong())], vec![value(0, 0, "Ana")]);
    let salt = *sequencer.dictionary.subject_salt(0).unwrap();
    let before = check_ledger_of(&mut sequencer, &kept);
    let by = (&Actor::new("root"), &"by letter".into());
    sequencer.erase(&Subject::new("17"), by, &mut Vec::new()).unwrap();
    assert_eq!(sequencer.dictionary.subject_salt(0), Some(&[0; 16]));
    show(&mut sequencer, &[("17", strong())], vec![value(0, 0, "Ana")]);
    let after = check_ledger_of(&mut sequencer, &kept);
    // The hash stays, and what it was made with is nowhere.
    let hashes = |entries: &[Entry], at: usize| disclosed(&entries[at]).unwrap().values.clone();
    assert_eq!(hashes(&after, 0), hashes(&before, 0));
    assert_ne!(hashes(&after, 0), hashes(&after, 2));
    let files = kept.disk.contents();
    assert!(!files.values().any(|bytes| bytes.windows(16).any(|part| part == salt)));
    // Only what was shown since can be asked for.
    assert_eq!(ask(kept.folder().path(), "17", "Ana").unwrap().len(), 1);
}

/// Both verifiers find it whole.
fn check_ledger_of(sequencer: &mut Sequencer, kept: &Kept) -> Vec<Entry> {
    sequencer.sign().unwrap();
    let files = kept.disk.contents();
    let answers = python::answers(&files, [&files].into_iter());
    assert!(answers.is_none_or(|said| said == ["holds"]));
    check_ledger(kept.folder().path())
}

#[test]
fn each_epoch_has_a_key_of_its_own_and_takes_it_along() {
    const DAY: i64 = 86_400_000_000;
    let days = |count: u64| Duration::from_secs(86_400 * count);
    let kept = Kept::new(Some(Retention { epoch: days(30), keep: days(60) }));
    let mut sequencer = kept.open();
    let ana = || vec![value(0, 0, "Ana")];
    for month in 0..3 {
        kept.clock.set(month * 30 * DAY);
        sequencer.retain(&Actor::new("root"), &mut Vec::new()).unwrap();
        show(&mut sequencer, &[("17", strong())], ana());
        // Begun here or found when it was opened, an epoch's key is the same.
        sequencer.sign().unwrap();
        drop(sequencer);
        sequencer = kept.open();
        show(&mut sequencer, &[("9", strong()), ("17", strong())], vec![value(1, 0, "Ana")]);
    }
    let entries = check_ledger_of(&mut sequencer, &kept);
    let hashes = entries.iter().filter_map(disclosed).map(|one| one.values[0].hashes[0].1);
    let hashes: Vec<_> = hashes.collect();
    assert_eq!(hashes.len(), 6);
    assert!(hashes.chunks(2).all(|of_epoch| of_epoch[0] == of_epoch[1]));
    assert!(hashes[0] != hashes[2] && hashes[2] != hashes[4]);
    assert_eq!(ask(kept.folder().path(), "17", "Ana").unwrap().len(), 6);

    // An auditor's copy has the keys of epochs.
    let folder = kept.folder();
    std::fs::remove_file(folder.path().join("key")).unwrap();
    let told = ask(folder.path(), "17", "Ana").unwrap();
    assert!(told.iter().all(|told| *told == columns(["name", "", "email"])));

    // Past retention key and salt are gone, and the hashes stand for nothing.
    kept.clock.set(92 * DAY);
    sequencer.retain(&Actor::new("root"), &mut Vec::new()).unwrap();
    check_ledger_of(&mut sequencer, &kept);
    assert_eq!(ask(kept.folder().path(), "17", "Ana").unwrap().len(), 4);
}

#[test]
fn several_customers_of_a_row_have_their_own() {
    let kept = Kept::new(None);
    let mut sequencer = kept.open();
    let leaf = |relation: &str| DraftLeaf {
        relation: relation.into(),
        clear: vec!["name".into()],
        shown: Vec::new(),
        masked: Vec::new(),
    };
    let mut joined = draft("ana", &[], &[]);
    joined.leaves = vec![leaf("public.customer"), leaf("public.partner")];
    let touch = |leaf, subject, grade| Touch {
        leaf,
        subject: Subject::new(subject),
        reason: reason("ticket", grade),
    };
    let touches = vec![touch(1, "2", Grade::Weak), touch(0, "1", Grade::Strong)];
    joined.rows = vec![DraftRow { touches }];
    let of = |touch, relation, text: &[u8]| {
        let digest = value_digest(relation, "name", text);
        DraftValue { row: 0, touch, column: 0, digest }
    };
    joined.values = vec![of(0, "public.partner", b"Bo"), of(1, "public.customer", b"Ana")];
    commit(&mut sequencer, &[Work::Draft(joined), Work::Note(Note::Stopped)]).unwrap();
    sequencer.sign().unwrap();
    let folder = kept.folder();
    let entries = check_ledger(folder.path());
    assert_eq!(places(&entries), [vec![(0, 0, vec![0]), (1, 0, vec![0])]]);
    assert_eq!(ask(folder.path(), "1", "Ana").unwrap(), [columns(["name", "", ""])]);
    assert_eq!(ask(folder.path(), "2", "Ana").unwrap(), [columns(["", "name", ""])]);
    assert_eq!(ask(folder.path(), "2", "Bo").unwrap(), [columns(["name", "", ""])]);
}
