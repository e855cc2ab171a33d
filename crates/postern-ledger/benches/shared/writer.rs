//! A program that records without end and says what it has a receipt for, to be killed by
//! `scripts/ledger-faults`: `writer LEDGER [STATEMENTS [LOOKS]] [--segment BYTES] [--peer SOCKET]`, or
//! `writer LEDGER --read`, which says what is recorded. What it says of each statement is its id,
//! on a line. With LOOKS a new epoch begins after so many looks at the clock, one or two for each
//! statement, and the ones before are forgotten. With a SOCKET there is a receipt only for what the
//! follower has that listens there, and it ends when that is away for [`PATIENCE`].

#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]
#![expect(clippy::print_stderr, reason = "and why it does not record")]

use std::{
    error::Error,
    io::Write as _,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use postern_ledger::{
    Body, Copying, Draft, DraftLeaf, DraftRow, Entry, Ledger, Options, PeerOptions, Reader,
    RecordDone, RecordError, Retention, Touch, WhenLost,
};
use postern_model::{Actor, Clock, Grade, Reason, StatementFingerprint, Subject, Timestamp};

const ORIGIN: &str = "faults.example/ledger";
/// How many record at once.
const THREADS: u64 = 8;
/// Of a segment: small, so that new ones, and longer dictionaries, come often.
const SEGMENT_BYTES: u64 = 16 << 10;
/// How long the follower may be away.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often it is looked for.
const RETRY: Duration = Duration::from_millis(10);

/// A microsecond passes with every look: what is tested has nothing to do with the time of day.
#[derive(Debug, Default)]
struct Ticks(AtomicU64);

impl Clock for Ticks {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.fetch_add(1, Ordering::Relaxed).cast_signed())
    }
}

/// How the ledger is written.
#[derive(Debug, Clone, Copy)]
struct How {
    /// In looks at the clock, each a microsecond.
    epoch: Option<u64>,
    segment_bytes: u64,
}

fn options(How { epoch, segment_bytes }: How, last: Timestamp) -> Options {
    let clock = Arc::new(Ticks(AtomicU64::new(last.0.cast_unsigned())));
    let all = Options::new(ORIGIN, clock).small();
    let retention = epoch.map(|looks| Retention {
        epoch: Duration::from_micros(looks),
        keep: Duration::from_micros(looks + 1),
    });
    Options {
        retention,
        // Budgets may not look back further than names are kept.
        horizon: retention.map_or(all.horizon, |retention| retention.keep),
        checkpoint_interval: Duration::from_millis(3),
        segment_bytes,
        dictionary_step_bytes: 4 << 10,
        ..all
    }
}

/// A statement whose id is its connection's number; each shows somebody new.
fn draft(id: u64) -> Draft {
    let reason = Some(Reason { name: "assigned_ticket".into(), grade: Grade::Strong });
    let subject = Subject::new(format!("customer {id}"));
    Draft {
        actor: Actor::new(format!("agent{}", id % 5)),
        connection: id,
        hold: 1,
        fingerprint: StatementFingerprint(id),
        statement: "SELECT name FROM customers WHERE id = $1".into(),
        leaves: vec![DraftLeaf {
            relation: "public.customers".into(),
            clear: vec!["name".into()],
            shown: Vec::new(),
            masked: Vec::new(),
        }],
        rows: vec![DraftRow { touches: vec![Touch { leaf: 0, subject, reason }] }],
        lookups: Vec::new(),
        values: Vec::new(),
        claimed: None,
        observed: None,
        limits: Arc::new([]),
        refused: None,
        done: false,
    }
}

fn record(ledger: &Ledger, id: u64) -> Result<(), RecordError> {
    let (sender, receiver) = mpsc::channel();
    let done = Box::new(move |receipt: Result<_, RecordError>| {
        // Nobody listens any more once this program ends.
        let _ = sender.send(receipt.map(drop));
    });
    // As one that has nothing else to do, or as one that has.
    if id.is_multiple_of(2) {
        let done: RecordDone = done;
        let wakes = move |receipt| {
            done(receipt);
            None
        };
        ledger.record_here(draft(id), Box::new(wakes));
    } else {
        ledger.record(draft(id), done);
    }
    receiver.recv().unwrap_or(Err(RecordError::Closed))
}

fn retain(ledger: &Ledger) -> bool {
    let (sender, receiver) = mpsc::channel();
    let done = Box::new(move |done: Result<_, _>| {
        // As above.
        let _ = sender.send(done.is_ok());
    });
    ledger.retain(Actor::new("root"), done);
    receiver.recv().unwrap_or(false)
}

/// The ids of what is recorded, and the time of the last entry.
fn recorded(folder: &Path) -> Result<(Vec<u64>, Timestamp), Box<dyn Error>> {
    let (mut ids, mut last) = (Vec::new(), Timestamp(0));
    for entry in Reader::open(folder)? {
        let Entry { time, body, .. } = entry?;
        last = time;
        if let Body::Disclosed(disclosed) = body {
            ids.push(disclosed.connection);
        }
    }
    Ok((ids, last))
}

/// The follower that listens there.
fn peer(socket: PathBuf) -> PeerOptions {
    let connect = Arc::new(move || {
        let stream = UnixStream::connect(&socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Box::new(stream) as _)
    });
    PeerOptions { connect, when_lost: WhenLost::Stop, retry: RETRY }
}

/// Waits until the follower is in step; false if that takes too long.
fn is_in_step(ledger: &Ledger) -> bool {
    let start = Instant::now();
    let away = || ledger.copied().filter(|copied| copied.copying != Copying::InStep);
    while let Some(copied) = away() {
        if start.elapsed() > PATIENCE {
            eprintln!("without a second copy: {copied:?}");
            return false;
        }
        thread::yield_now();
    }
    true
}

/// Records ids from the first that is free on; the first error of a thread ends it, unless it is
/// that the follower is away and it comes back.
fn write(
    folder: &Path,
    statements: u64,
    how: How,
    peer: Option<PeerOptions>,
) -> Result<(), Box<dyn Error>> {
    if !folder.exists() {
        Ledger::create(folder, &options(how, Timestamp(0)))?;
    }
    let (ids, last) = recorded(folder)?;
    let free = ids.into_iter().max().map_or(0, |last| last + 1);
    let options = Options { peer, ..options(how, last) };
    let ledger = Ledger::open(folder, options, Arc::new(|_| {}))?;
    println!("open");
    is_in_step(&ledger);
    let next = AtomicU64::new(free);
    let end = free.saturating_add(statements);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let id = next.fetch_add(1, Ordering::Relaxed);
                    if id >= end {
                        return;
                    }
                    match record(&ledger, id) {
                        Ok(()) => {}
                        Err(RecordError::NoCopy) if is_in_step(&ledger) => continue,
                        Err(error) => {
                            eprintln!("{id} is not recorded: {error}");
                            return;
                        }
                    }
                    // One write, behind the receipt, as a row goes to a client.
                    println!("{id}");
                    if how.epoch.is_some() && !retain(&ledger) {
                        return;
                    }
                }
            });
        }
    });
    Ok(ledger.close()?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let (mut arguments, mut socket) = (std::env::args().skip(1).collect::<Vec<_>>(), None);
    if let Some(at) = arguments.iter().position(|argument| argument == "--peer") {
        socket = arguments.drain(at..).nth(1).map(PathBuf::from);
    }
    let mut segment_bytes = SEGMENT_BYTES;
    if let Some(at) = arguments.iter().position(|argument| argument == "--segment") {
        segment_bytes = arguments.drain(at..).nth(1).ok_or("how many bytes?")?.parse()?;
    }
    let mut arguments = arguments.into_iter();
    let folder = arguments.next().ok_or("the ledger's folder is missing")?;
    match arguments.next().as_deref() {
        Some("--read") => {
            let mut out = std::io::stdout().lock();
            let (ids, _) = recorded(Path::new(&folder))?;
            Ok(ids.into_iter().try_for_each(|id| writeln!(out, "{id}"))?)
        }
        statements => {
            let statements = statements.map_or(Ok(u64::MAX), str::parse)?;
            let epoch = arguments.next().map(|looks| looks.parse()).transpose()?;
            let how = How { epoch, segment_bytes };
            write(Path::new(&folder), statements, how, socket.map(peer))
        }
    }
}
