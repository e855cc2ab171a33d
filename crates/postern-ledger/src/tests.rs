//! Tests of the whole: what is recorded can be read, and everything holds after each step.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicI64, Ordering},
        mpsc,
    },
    time::Duration,
};

use postern_model::{Actor, Clock, Grade, Reason, StatementFingerprint, Subject, Timestamp};

use crate::{
    room::Room,
    sequencer::{Recorded, Sequencer, Work},
    *,
};

mod crashes;
mod durability;
mod golden;
pub(crate) mod python;
mod whole;

/// A clock that moves only when it is told to.
#[derive(Debug, Default)]
pub(crate) struct HandClock(AtomicI64);

impl HandClock {
    pub(crate) fn set(&self, micros: i64) {
        self.0.store(micros, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

pub(crate) fn options(clock: Arc<HandClock>) -> Options {
    Options {
        checkpoint_interval: Duration::from_secs(3600),
        ..Options::new("test.example/ledger", clock).small()
    }
}

pub(crate) fn reason(name: &str, grade: Grade) -> Option<Reason> {
    Some(Reason { name: name.into(), grade })
}

pub(crate) fn strong() -> Option<Reason> {
    reason("assigned_ticket", Grade::Strong)
}

/// A draft of one leaf; each row shows one subject.
pub(crate) fn draft(actor: &str, rows: &[(&str, Option<Reason>)], limits: &[Limit]) -> Draft {
    let row = |(subject, reason): &(&str, Option<Reason>)| DraftRow {
        touches: vec![Touch { leaf: 0, subject: Subject::new(*subject), reason: reason.clone() }],
    };
    Draft {
        actor: Actor::new(actor),
        connection: 7,
        hold: 1,
        fingerprint: StatementFingerprint(0x1234_5678_9abc_def0),
        statement: "SELECT name, email FROM customer WHERE id = $1".into(),
        leaves: vec![DraftLeaf {
            relation: "public.customer".into(),
            clear: vec!["name".into(), "email".into()],
            shown: Vec::new(),
            masked: vec!["phone".into()],
        }],
        rows: rows.iter().map(row).collect(),
        lookups: Vec::new(),
        values: Vec::new(),
        claimed: None,
        observed: None,
        refused: None,
        done: false,
        limits: limits.into(),
    }
}

/// What a hook was told.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    entries: Mutex<Vec<Entry>>,
    more: Condvar,
}

impl Heard {
    /// What it was told so far.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.entries.lock().unwrap().clone()
    }
}

/// A ledger in a folder of its own, and all that its hook was told.
pub(crate) struct Bench {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) clock: Arc<HandClock>,
    pub(crate) ledger: Option<Ledger>,
    pub(crate) heard: Arc<Heard>,
    retention: Option<Retention>,
    bulk: Option<BulkOptions>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::made(None, None)
    }

    pub(crate) fn with_bulk(bulk: BulkOptions) -> Self {
        Self::made(None, Some(bulk))
    }

    pub(crate) fn with_retention(retention: Retention) -> Self {
        Self::made(Some(retention), None)
    }

    fn made(retention: Option<Retention>, bulk: Option<BulkOptions>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(HandClock::default());
        Ledger::create(&folder.path().join("ledger"), &options(clock.clone())).unwrap();
        let (ledger, heard) = (None, Arc::default());
        let mut bench = Self { folder, clock, ledger, heard, retention, bulk };
        bench.open();
        bench
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("ledger")
    }

    pub(crate) fn open(&mut self) {
        let heard = self.heard.clone();
        let hook: Hook = Arc::new(move |entries| {
            heard.entries.lock().unwrap().extend(entries);
            heard.more.notify_all();
        });
        let (retention, bulk) = (self.retention, self.bulk);
        let options = Options { retention, bulk, ..options(self.clock.clone()) };
        self.ledger = Some(Ledger::open(&self.path(), options, hook).unwrap());
    }

    pub(crate) fn close(&mut self) {
        self.ledger.take().unwrap().close().unwrap();
    }

    /// So many microseconds later than the clock says.
    pub(crate) fn later_by(&self, later: i64) -> i64 {
        self.clock.now().0 + later
    }

    pub(crate) fn record(&self, draft: Draft) -> Result<Receipt, RecordError> {
        record(self.ledger.as_ref().unwrap(), draft)
    }

    pub(crate) fn note(&self, note: Note) -> Result<u64, RecordError> {
        let (sender, receiver) = mpsc::channel();
        let done = Box::new(move |result| sender.send(result).unwrap());
        self.ledger.as_ref().unwrap().note(note, done);
        receiver.recv().unwrap()
    }

    /// Re-verifies everything: all entries can be read, are those that the hook was told of, and
    /// verification agrees on their number and root.
    pub(crate) fn check_ledger(&self) -> Vec<Entry> {
        let entries = check_ledger(&self.path());
        let heard = self.heard.entries.lock().unwrap();
        // A receipt may be here before the hook was told.
        let too_few = |heard: &mut Vec<Entry>| heard.len() < entries.len();
        assert_eq!(*self.heard.more.wait_while(heard, too_few).unwrap(), entries);
        entries
    }
}

/// Records a batch as the writer's thread does.
pub(crate) fn commit(
    sequencer: &mut Sequencer,
    batch: &[Work],
) -> Result<Vec<Recorded>, RecordError> {
    sequencer.commit(batch.iter(), batch.iter().map(Room::needed_by).sum())
}

pub(crate) fn record(ledger: &Ledger, draft: Draft) -> Result<Receipt, RecordError> {
    let (sender, receiver) = mpsc::channel();
    ledger.record(draft, Box::new(move |result| sender.send(result).unwrap()));
    receiver.recv().unwrap()
}

pub(crate) fn check_ledger(folder: &Path) -> Vec<Entry> {
    let mut reader = Reader::open(folder).unwrap();
    let entries: Vec<Entry> = reader.by_ref().map(Result::unwrap).collect();
    let options = VerifyOptions { tail: Tail::MustBeClean, ..VerifyOptions::default() };
    let summary = verify(folder, &options, &mut |_| {}).unwrap();
    assert_eq!(summary.entries, entries.len() as u64);
    assert_eq!(summary.root, reader.root());
    assert!(!summary.torn);
    assert!(entries.iter().zip(0..).all(|(entry, sequence)| entry.sequence == sequence));
    assert!(entries.is_sorted_by_key(|entry| entry.time));
    entries
}

#[test]
fn what_is_recorded_can_be_read() {
    let mut bench = Bench::new();
    bench.check_ledger();
    bench.clock.set(1_000);
    let rows = [("17", strong()), ("4", None), ("17", strong()), ("9", strong())];
    let receipt = bench.record(draft("ana", &rows, &[])).unwrap();
    assert_eq!((receipt.connection(), receipt.hold()), (7, 1));
    assert_eq!((receipt.rows(), receipt.allowed(), receipt.stopped()), (4, 4, None));
    let entries = bench.check_ledger();
    let disclosures: Vec<_> = entries.iter().flat_map(Entry::disclosures).collect();
    let seen = |disclosure: &postern_model::Disclosure| {
        let subjects = disclosure.subjects.iter().map(|subject| subject.to_string());
        (disclosure.clear.len(), disclosure.masked.len(), subjects.collect::<Vec<_>>().join(" "))
    };
    let seen: Vec<_> = disclosures.iter().map(seen).collect();
    assert_eq!(seen, [(0, 3, "4".into()), (2, 1, "17 9".into())]);
    assert_eq!(entries[0].time, Timestamp(1_000));

    // Time never goes back, and closing and opening changes nothing.
    bench.clock.set(500);
    assert_eq!(bench.note(Note::Started { version: "1".into() }).unwrap(), 1);
    assert_eq!(bench.check_ledger()[1].time, Timestamp(1_000));
    bench.close();
    bench.check_ledger();
    bench.open();
    bench.record(draft("ben", &rows, &[])).unwrap();
    assert_eq!(bench.check_ledger().len(), 3);
}
