//! A ledger as a gateway writes it, as long as one likes: the writer itself makes it.

use std::{
    error::Error,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
        mpsc,
    },
};

use postern_ledger::{Draft, DraftLeaf, DraftRow, DraftValue, Ledger, Options, RecordError, Touch};
use postern_model::{
    Actor, Clock, Grade, Reason, StatementFingerprint, Subject, Timestamp, value_digest,
};

const SUBJECTS: u64 = 12_000_000;
const ACTORS: u64 = 200;
const STATEMENTS: u64 = 40;

/// Half a second between two batches, from a fixed moment on.
#[derive(Debug)]
struct Steps(AtomicI64);

impl Clock for Steps {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.fetch_add(500_000, Ordering::Relaxed))
    }
}

/// A number without visible order, the same in each run.
fn scattered(number: u64) -> u64 {
    // SplitMix64.
    let z = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// What the clear columns of a customer hold: of so many of them the ledger is told.
fn shown_values(subjects: &[u64], values: usize) -> Vec<DraftValue> {
    let of = |(row, subject): (usize, &u64)| {
        let columns = ["name", "email"].into_iter().enumerate().take(values);
        let text = format!("somebody{subject}@example.org");
        columns.map(move |(column, name)| {
            let digest = value_digest("public.customers", name, text.as_bytes());
            DraftValue { row, touch: 0, column, digest }
        })
    };
    subjects.iter().enumerate().flat_map(of).collect()
}

/// A statement that showed those customers to somebody.
pub(crate) fn draft(number: u64, subjects: impl Iterator<Item = u64>, values: usize) -> Draft {
    let subjects: Vec<u64> = subjects.collect();
    let chance = scattered(number);
    let statement = chance / ACTORS % STATEMENTS;
    let reason = Some(Reason { name: "assigned_ticket".into(), grade: Grade::Strong });
    let row = |subject: u64| DraftRow {
        touches: vec![Touch {
            leaf: 0,
            subject: Subject::new(subject.to_string()),
            reason: reason.clone(),
        }],
    };
    Draft {
        actor: Actor::new(format!("agent{}", chance % ACTORS)),
        connection: number / 50,
        hold: number % 50,
        fingerprint: StatementFingerprint(scattered(statement)),
        statement: format!("SELECT name, email FROM customers WHERE c{statement} = $1").into(),
        leaves: vec![DraftLeaf {
            relation: "public.customers".into(),
            clear: vec!["name".into(), "email".into()],
            shown: Vec::new(),
            masked: vec!["phone".into(), "birth_date".into()],
        }],
        values: shown_values(&subjects, values),
        rows: subjects.into_iter().map(row).collect(),
        lookups: Vec::new(),
        claimed: (!number.is_multiple_of(3)).then(|| format!("T-{}", number / 100).into()),
        observed: None,
        limits: Arc::new([]),
        refused: None,
        done: false,
    }
}

/// Whom the statement showed: so many customers, scattered over all.
pub(crate) fn subjects(number: u64, each: u64) -> impl Iterator<Item = u64> {
    (0..each).map(move |place| scattered((number * each + place) ^ 0x5555) % SUBJECTS)
}

/// Makes a ledger of so many statements that each showed some customers of twelve million, with
/// hashes of so many values of each.
pub(crate) fn make(
    folder: &Path,
    entries: u64,
    each: u64,
    values: usize,
) -> Result<(), Box<dyn Error>> {
    let clock = Arc::new(Steps(AtomicI64::new(1_764_028_800_000_000)));
    let options = Options::new("bench.example/ledger", clock);
    let options = Options { value_hashes: values > 0, ..options };
    Ledger::create(folder, &options)?;
    let ledger = Ledger::open(folder, options, Arc::new(|_| {}))?;
    let (sender, receiver) = mpsc::channel();
    // Never more at once than the queue takes.
    const AT_ONCE: u64 = 4_000;
    for start in (0..entries).step_by(AT_ONCE as usize) {
        let numbers = start..(start + AT_ONCE).min(entries);
        for number in numbers.clone() {
            let sender = sender.clone();
            let told = move |done: Result<_, RecordError>| {
                // Nobody listens any more once another was refused.
                let _ = sender.send(done.map(drop));
            };
            ledger.record(draft(number, subjects(number, each), values), Box::new(told));
        }
        for done in receiver.iter().take((numbers.end - numbers.start) as usize) {
            done?;
        }
    }
    Ok(ledger.close()?)
}
