//! Budgets against a naive count, many threads at once, and the ledger's manners.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::{
    Answer,
    disk::sim::SimDisk,
    recover::{create_on, open_on},
};

/// Counts everything anew at each question.
#[derive(Default)]
struct Naive {
    seen: Vec<(i64, Actor, Counter, String)>,
}

impl Naive {
    fn in_window(&self, now: i64, actor: &Actor, limit: &Limit) -> BTreeSet<&str> {
        let since = now - limit.window.as_micros() as i64;
        self.seen
            .iter()
            .filter(|(time, who, what, _)| *time > since && who == actor && *what == limit.counter)
            .map(|(_, _, _, subject)| subject.as_str())
            .collect()
    }

    fn counters(touch: &Touch) -> Vec<Counter> {
        match touch.reason.as_ref().map(|reason| reason.grade) {
            None => vec![Counter::MaskedSubjects],
            Some(Grade::Strong) => vec![Counter::ClearSubjects],
            Some(Grade::Weak) => vec![Counter::ClearSubjects, Counter::WeakSubjects],
        }
    }

    fn stop_lookups(&self, now: i64, draft: &Draft) -> Option<Limit> {
        draft.limits.iter().copied().find(|limit| {
            let mut count = self.in_window(now, &draft.actor, limit).len() as u64;
            draft.lookups.iter().any(|lookup| {
                let counted = match limit.counter {
                    Counter::Lookups => true,
                    Counter::LookupMisses => !lookup.hit,
                    Counter::ClearSubjects
                    | Counter::WeakSubjects
                    | Counter::MaskedSubjects
                    | Counter::Stops => return false,
                };
                let no_room = count + 1 > limit.max;
                count += u64::from(counted);
                no_room
            })
        })
    }

    fn stop_row(&self, now: i64, draft: &Draft, row: &DraftRow) -> Option<Limit> {
        draft.limits.iter().copied().find(|limit| {
            let before = self.in_window(now, &draft.actor, limit);
            let counted = row.touches.iter().filter(|t| Self::counters(t).contains(&limit.counter));
            let mut after = before.clone();
            after.extend(counted.map(|touch| touch.subject.as_str()));
            after.len() > before.len() && after.len() as u64 > limit.max
        })
    }

    /// What must be allowed, and why no more.
    fn charge(&mut self, now: i64, draft: &Draft) -> (u64, Option<Limit>) {
        if let Some(limit) = self.stop_lookups(now, draft) {
            return (0, Some(limit));
        }
        for lookup in &draft.lookups {
            let id = self.seen.len().to_string();
            self.seen.push((now, draft.actor.clone(), Counter::Lookups, id.clone()));
            if !lookup.hit {
                self.seen.push((now, draft.actor.clone(), Counter::LookupMisses, id));
            }
        }
        for (allowed, row) in (0..).zip(&draft.rows) {
            if let Some(limit) = self.stop_row(now, draft, row) {
                return (allowed, Some(limit));
            }
            for touch in &row.touches {
                for counter in Self::counters(touch) {
                    let subject = touch.subject.to_string();
                    self.seen.push((now, draft.actor.clone(), counter, subject));
                }
            }
        }
        (draft.rows.len() as u64, None)
    }
}

prop_compose! {
    fn any_limit()(counter in 0..5usize, window in 1..60u64, max in 0..7u64) -> Limit {
        let counter = [
            Counter::ClearSubjects,
            Counter::WeakSubjects,
            Counter::MaskedSubjects,
            Counter::Lookups,
            Counter::LookupMisses,
        ][counter];
        // Few lengths, so that they come again.
        Limit { counter, window: Duration::from_micros(window - window % 20 + 1), max }
    }
}

prop_compose! {
    fn any_touch()(subject in 0..10u8, reason in 0..3u8) -> Touch {
        let reason = match reason {
            0 => None,
            1 => reason_of(Grade::Weak),
            _ => reason_of(Grade::Strong),
        };
        Touch { leaf: 0, subject: Subject::new(subject.to_string()), reason }
    }
}

fn reason_of(grade: Grade) -> Option<Reason> {
    reason("ticket", grade)
}

prop_compose! {
    fn any_draft()(
        actor in 0..2usize,
        rows in prop::collection::vec(prop::collection::vec(any_touch(), 0..4), 0..5),
        lookups in prop::collection::vec(any::<bool>(), 0..3),
        limits in prop::collection::vec(any_limit(), 0..4),
    ) -> Draft {
        let mut draft = draft(["ana", "ben"][actor], &[], &limits);
        draft.rows = rows.into_iter().map(|touches| DraftRow { touches }).collect();
        let lookup = |hit| DraftLookup {
            relation: "public.customer".into(),
            column: "email".into(),
            hit,
            search: [4; 8],
        };
        draft.lookups = lookups.into_iter().map(lookup).collect();
        draft
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn budgets_allow_what_a_naive_count_allows(
        steps in prop::collection::vec((0..15i64, any_draft(), 0..12u8), 1..40),
    ) {
        let clock = Arc::new(HandClock::default());
        let options = Options { horizon: Duration::from_micros(60), ..options(clock.clone()) };
        let disk = SimDisk::new(0);
        create_on(&disk, &options, &[1; 32]).unwrap();
        let open = || open_on(Arc::new(disk.clone()), options.clone(), Box::new(|| [0; 16]));
        let mut sequencer = open().unwrap();
        let (mut naive, mut now) = (Naive::default(), 0);
        for (pause, draft, restart) in steps {
            if restart == 0 {
                drop(sequencer);
                sequencer = open().unwrap();
            }
            now += pause;
            clock.set(now);
            let expected = naive.charge(now, &draft);
            let recorded = commit(&mut sequencer, &[Work::Draft(draft)]).unwrap();
            let receipt = recorded[0].receipt.as_ref().unwrap();
            prop_assert_eq!((receipt.allowed(), receipt.stopped()), expected);
        }
    }
}

#[test]
fn many_threads_share_one_exact_budget() {
    let bench = Bench::new();
    let window = Duration::from_secs(3600);
    let limits = [Limit { counter: Counter::ClearSubjects, window, max: 25 }];
    let ledger = bench.ledger.as_ref().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8usize {
            scope.spawn(move || {
                for step in 0..12usize {
                    // Overlapping subjects, so that some cost nothing.
                    let subject = |row: usize| ((thread * 5 + step * 3 + row) % 60).to_string();
                    let subjects: Vec<String> = (0..4).map(subject).collect();
                    let rows: Vec<_> =
                        subjects.iter().map(|subject| (subject.as_str(), strong())).collect();
                    record(ledger, draft("ana", &rows, &limits)).unwrap();
                }
            });
        }
    });
    let entries = bench.check_ledger();
    assert_eq!(entries.len(), 96);
    let subjects = entries.iter().flat_map(Entry::disclosures).flat_map(|one| one.subjects);
    assert_eq!(subjects.collect::<BTreeSet<_>>().len(), 25);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Sessions of some people at once, to each of which the budget of the role applies or also
    /// the person's own: all that they see is charged to the person, also after a restart.
    #[test]
    fn many_threads_under_different_limits_share_exact_budgets(
        (role, person) in (1..30u64, 1..30u64),
        threads in prop::collection::vec((0..3usize, any::<bool>(), 0..20usize), 1..7),
    ) {
        const NAMES: [&str; 3] = ["ana", "ben", "cai"];
        let mut bench = Bench::new();
        let limit = |hours: u64, max: u64| {
            let window = Duration::from_secs(hours * 3_600);
            Limit { counter: Counter::ClearSubjects, window, max }
        };
        let (wide, narrow) = (vec![limit(1, role)], vec![limit(1, role), limit(2, person)]);
        let ledger = bench.ledger.as_ref().unwrap();
        std::thread::scope(|scope| {
            for &(who, is_narrow, from) in &threads {
                let limits = if is_narrow { &narrow } else { &wide };
                scope.spawn(move || {
                    for step in 0..8 {
                        let subject = |row: usize| ((from + step * 2 + row) % 40).to_string();
                        let subjects: Vec<String> = (0..3).map(subject).collect();
                        let rows: Vec<_> =
                            subjects.iter().map(|subject| (subject.as_str(), strong())).collect();
                        record(ledger, draft(NAMES[who], &rows, limits)).unwrap();
                    }
                });
            }
        });
        bench.close();
        bench.open();
        let entries = bench.check_ledger();
        for (who, name) in NAMES.into_iter().enumerate() {
            let theirs = entries.iter().flat_map(Entry::disclosures);
            let theirs = theirs.filter(|one| one.actor.as_str() == name);
            let seen: BTreeSet<_> = theirs.flat_map(|one| one.subjects).collect();
            let seen = seen.len() as u64;
            let is_narrow = threads.iter().filter(|one| one.0 == who).all(|one| one.1);
            let smallest = role.min(person);
            prop_assert!(seen <= if is_narrow { smallest } else { role }, "{name}: {seen}");
            // What is left under both is what the smaller one has left.
            let new: Vec<String> = (0..31).map(|number| format!("new {number}")).collect();
            let rows: Vec<_> = new.iter().map(|one| (one.as_str(), strong())).collect();
            let receipt = bench.record(draft(name, &rows, &narrow)).unwrap();
            prop_assert_eq!(receipt.allowed(), smallest.saturating_sub(seen));
        }
    }
}

#[test]
fn what_is_not_allowed_is_neither_recorded_nor_charged() {
    let bench = Bench::new();
    let limit =
        |max| [Limit { counter: Counter::ClearSubjects, window: Duration::from_secs(9), max }];
    let rows = [("a", strong()), ("b", strong()), ("a", strong()), ("c", strong())];
    let receipt = bench.record(draft("ana", &rows, &limit(2))).unwrap();
    assert_eq!((receipt.rows(), receipt.allowed()), (4, 3));
    assert_eq!(receipt.stopped(), Some(limit(2)[0]));
    let receipt = bench.record(draft("ana", &[("c", strong())], &limit(3))).unwrap();
    assert_eq!((receipt.allowed(), receipt.stopped()), (1, None));
    let entries = bench.check_ledger();
    let Body::Disclosed(disclosed) = &entries[0].body else { panic!("not a disclosure") };
    assert_eq!(disclosed.groups[0].subjects, [Subject::new("a"), Subject::new("b")]);
    assert_eq!((disclosed.rows, disclosed.allowed), (4, 3));
}

#[test]
fn with_the_misses_spent_a_hit_is_refused_as_a_miss_is() {
    let bench = Bench::new();
    let misses = [Limit { counter: Counter::LookupMisses, window: Duration::from_secs(9), max: 1 }];
    let look_up = |hit| {
        let mut draft = draft("ana", &[], &misses);
        let (relation, column) = ("public.customer".into(), "email".into());
        draft.lookups.push(DraftLookup { relation, column, hit, search: [0; 8] });
        bench.record(draft).unwrap().stopped()
    };
    assert_eq!([look_up(true), look_up(false)], [None, None]);
    assert_eq!([look_up(true), look_up(false)], [Some(misses[0]); 2]);
}

#[test]
fn statements_that_were_stopped_while_they_ran_are_counted_across_a_restart() {
    let mut bench = Bench::new();
    let window = Duration::from_secs(9);
    let limit = |counter, max| Limit { counter, window, max };
    let limits = [
        limit(Counter::MaskedSubjects, 1),
        limit(Counter::LookupMisses, 1),
        limit(Counter::Stops, 3),
    ];
    let lookup = |column: &str| {
        let (relation, column) = ("public.customer".into(), column.into());
        DraftLookup { relation, column, hit: false, search: [0; 8] }
    };
    let record = |bench: &Bench, subjects: &[&'static str], lookups: &[&str]| {
        let rows: Vec<_> = subjects.iter().map(|subject| (*subject, None)).collect();
        let mut draft = draft("ana", &rows, &limits);
        draft.lookups.extend(lookups.iter().map(|column| lookup(column)));
        bench.record(draft).unwrap().stopped().map(|limit| limit.counter)
    };
    let ask = |bench: &Bench| {
        let (sender, answers) = std::sync::mpsc::channel();
        let done = Box::new(move |answer: Result<Answer, _>| sender.send(answer).unwrap());
        bench.ledger.as_ref().unwrap().ask(
            Actor::new("ana"),
            Arc::from(limits),
            Plan::default(),
            done,
        );
        let answer = answers.recv().unwrap().unwrap();
        (answer.stopped.map(|limit| limit.counter), answer.was_stopped)
    };
    assert_eq!(ask(&bench), (None, false));
    assert_eq!(record(&bench, &["1"], &["email"]), None);
    // One that was not sent for want of room tells nothing, so it does not count.
    assert_eq!(record(&bench, &[], &["email"]), Some(Counter::LookupMisses));
    assert_eq!(ask(&bench), (None, false));
    assert_eq!(record(&bench, &["2"], &[]), Some(Counter::MaskedSubjects));
    assert_eq!(record(&bench, &[], &["failed 22012"]), Some(Counter::LookupMisses));
    assert_eq!(ask(&bench), (None, true));
    bench.close();
    bench.open();
    assert_eq!(record(&bench, &["3"], &[]), Some(Counter::MaskedSubjects));
    assert_eq!(ask(&bench), (Some(Counter::Stops), true));
    assert_eq!(record(&bench, &[], &[]), Some(Counter::Stops), "what was refused is told");
    bench.clock.set(window.as_micros() as i64);
    assert_eq!(ask(&bench), (None, true), "too long ago to count");
}

#[test]
fn a_second_writer_is_kept_out() {
    let mut bench = Bench::new();
    let open = |bench: &Bench| {
        Ledger::open(&bench.path(), options(bench.clock.clone()), Arc::new(|_| {})).map(drop)
    };
    assert!(matches!(open(&bench), Err(OpenError::Locked { .. })));
    bench.close();
    open(&bench).unwrap();
}

#[test]
fn a_ledger_is_made_once_and_only_by_create() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger");
    let options = options(Arc::new(HandClock::default()));
    let open = |options: &Options| Ledger::open(&path, options.clone(), Arc::new(|_| {})).map(drop);
    assert!(matches!(open(&options), Err(OpenError::NotThere { .. })));
    assert!(!path.exists());
    Ledger::create(&path, &options).unwrap();
    assert!(matches!(Ledger::create(&path, &options), Err(CreateError::Exists { .. })));
    let other = Options { origin: "test.example/other".into(), ..options.clone() };
    assert!(matches!(open(&other), Err(OpenError::Origin { .. })));
    open(&options).unwrap();
    for name in ["key", "checkpoint", "dictionary.log", "segments/0000000000.seg"] {
        use std::os::unix::fs::PermissionsExt;
        let mode = path.join(name).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn requests_that_cannot_be_recorded_are_refused() {
    let mut bench = Bench::new();
    let mut astray = draft("ana", &[("a", None)], &[]);
    astray.rows[0].touches[0].leaf = 1;
    assert!(matches!(bench.record(astray), Err(RecordError::Leaf)));
    let window = Duration::from_secs(32 * 86_400);
    let long = Limit { counter: Counter::Lookups, window, max: 1 };
    assert!(matches!(bench.record(draft("ana", &[], &[long])), Err(RecordError::Horizon { .. })));
    let endless = "x".repeat(70_000);
    let rows = [(endless.as_str(), None)];
    assert!(matches!(bench.record(draft("ana", &rows, &[])), Err(RecordError::TooLarge)));
    assert_eq!(bench.check_ledger(), []);
    bench.ledger.as_ref().unwrap().close().unwrap();
    assert!(matches!(bench.record(draft("ana", &[], &[])), Err(RecordError::Closed)));
    assert!(matches!(bench.note(Note::Stopped), Err(RecordError::Closed)));
    bench.ledger = None;
}

#[test]
fn the_longest_texts_can_be_read_again() {
    let mut bench = Bench::new();
    let long = |character: &str| Note::Read {
        by: Actor::new("eve"),
        what: character.repeat(70_000).into(),
    };
    bench.note(long("a")).unwrap();
    bench.note(long("\u{e9}")).unwrap();
    bench.close();
    bench.open();
    let length = |entry: &Entry| {
        let Body::Noted(Note::Read { what, .. }) = &entry.body else { panic!("{entry:?}") };
        what.len()
    };
    let lengths: Vec<_> = check_ledger(&bench.path()).iter().map(length).collect();
    assert_eq!(lengths, [64 << 10; 2]);
}

#[test]
fn more_than_may_wait_is_refused_and_what_waits_is_finished_on_closing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger");
    let options = Options { queue_len_max: 2, ..options(Arc::new(HandClock::default())) };
    Ledger::create(&path, &options).unwrap();
    let ledger = Ledger::open(&path, options, Arc::new(|_| {})).unwrap();
    let (sender, results) = mpsc::channel();
    let note = |after: Box<dyn FnOnce() + Send>| {
        let sender = sender.clone();
        let done = Box::new(move |result: Result<u64, RecordError>| {
            sender.send(result.map_err(|error| error.to_string())).unwrap();
            after();
        });
        ledger.note(Note::Stopped, done);
    };
    // The writer is held up in the first callback until all others were sent.
    let (release, held) = mpsc::channel::<()>();
    let (entered, inside) = mpsc::channel();
    note(Box::new(move || {
        entered.send(()).unwrap();
        held.recv().unwrap();
    }));
    inside.recv().unwrap();
    (0..3).for_each(|_| note(Box::new(|| {})));
    release.send(()).unwrap();
    ledger.close().unwrap();
    let results: Vec<_> = results.try_iter().collect();
    let busy = Err(RecordError::Busy.to_string());
    assert_eq!(results, [Ok(0), busy, Ok(1), Ok(2)]);
    assert_eq!(check_ledger(&path).len(), 3);
}

#[test]
fn a_checkpoint_is_signed_while_entries_come() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger");
    let options =
        Options { checkpoint_interval: Duration::ZERO, ..options(Arc::new(HandClock::default())) };
    Ledger::create(&path, &options).unwrap();
    let ledger = Ledger::open(&path, options, Arc::new(|_| {})).unwrap();
    record(&ledger, draft("ana", &[], &[])).unwrap();
    record(&ledger, draft("ana", &[], &[])).unwrap();
    // The second was taken after the checkpoint over the first was written.
    let summary = verify(&path, &VerifyOptions::default(), &mut |_| {}).unwrap();
    assert!(summary.signed >= 1, "{summary:?}");
}

#[test]
fn a_single_record_takes_at_most_120_bytes() {
    let mut bench = Bench::new();
    // The first brings the names; those that follow are what counts, new customer or not.
    for (connection, subject) in [(1, "100001"), (4_000_000, "100002"), (4_000_000, "100002")] {
        let mut draft = draft("ana", &[(subject, strong())], &[]);
        draft.connection = connection;
        draft.hold = 70_000;
        bench.record(draft).unwrap();
    }
    bench.close();
    let used = |name: &str| {
        let bytes = std::fs::read(bench.path().join(name)).unwrap();
        bytes.iter().rposition(|&byte| byte != 0).unwrap() + 1
    };
    let bytes = std::fs::read(bench.path().join("segments/0000000000.seg")).unwrap();
    let mut at = crate::frame::HEADER_BYTES;
    let mut lengths = Vec::new();
    while let crate::frame::Found::Frame { payload, .. } = crate::frame::look(&bytes[at..]) {
        lengths.push(crate::frame::FRAME_BYTES + payload.len());
        at += crate::frame::FRAME_BYTES + payload.len();
    }
    assert!(used("segments/0000000000.seg") <= at);
    let row = crate::dictionary::ROW_BYTES + "100002".len();
    assert!(lengths[1] + row <= 120, "a new customer: {} and {row}", lengths[1]);
    assert!(lengths[2] <= 64, "a known customer: {}", lengths[2]);
}

#[test]
fn a_reader_beside_a_busy_writer_sees_a_whole_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger");
    let options = Options {
        segment_bytes: 8 << 10,
        dictionary_step_bytes: 1 << 10,
        checkpoint_interval: Duration::from_millis(1),
        ..options(Arc::new(HandClock::default()))
    };
    Ledger::create(&path, &options).unwrap();
    let ledger = Ledger::open(&path, options, Arc::new(|_| {})).unwrap();
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|thread| {
                let ledger = &ledger;
                scope.spawn(move || {
                    for step in 0..60 {
                        let subject = format!("{thread} {step}");
                        record(ledger, draft("ana", &[(&subject, strong())], &[])).unwrap();
                    }
                })
            })
            .collect();
        let mut before = 0;
        while writers.iter().any(|writer| !writer.is_finished()) {
            let summary = verify(&path, &VerifyOptions::default(), &mut |_| {}).unwrap();
            assert!(summary.entries >= before && summary.entries >= summary.signed);
            before = summary.entries;
        }
    });
    ledger.close().unwrap();
    assert_eq!(check_ledger(&path).len(), 240);
}

#[test]
fn what_is_done_is_told_and_charged_whatever_may_leave() {
    let mut bench = Bench::new();
    let window = std::time::Duration::from_secs(60);
    let limits = [Limit { counter: Counter::ClearSubjects, window, max: 2 }];
    let rows = [("1", strong()), ("2", strong()), ("3", strong()), ("4", strong())];
    let ask = |bench: &Bench, writes| {
        let (sender, answers) = std::sync::mpsc::channel();
        let done = Box::new(move |answer: Result<Answer, _>| sender.send(answer).unwrap());
        let plan = Plan { searches: 0, writes };
        let ledger = bench.ledger.as_ref().unwrap();
        ledger.ask(Actor::new("ana"), Arc::from(limits), plan, done);
        answers.recv().unwrap().unwrap().stopped.map(|limit| limit.counter)
    };
    assert_eq!(ask(&bench, true), None);
    let receipt = bench.record(Draft { done: true, ..draft("ana", &rows, &limits) }).unwrap();
    assert_eq!((receipt.rows(), receipt.allowed()), (4, 2));
    assert_eq!(receipt.stopped(), Some(limits[0]));
    bench.close();
    let entries = bench.check_ledger();
    let Body::Disclosed(disclosed) = &entries[0].body else { panic!("{entries:?}") };
    assert_eq!((disclosed.rows, disclosed.allowed), (4, 2));
    assert_eq!(disclosed.groups[0].subjects.len(), 4);
    bench.open();
    assert_eq!(ask(&bench, true), Some(Counter::ClearSubjects));
    assert_eq!(ask(&bench, false), None, "what reads is cut where it shows too much");
}
