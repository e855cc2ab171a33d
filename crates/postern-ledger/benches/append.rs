//! What recording costs: durable appends a second, beside what the same disk does for as many
//! writers that share its syncs, and CPU time of an entry.
//! `cargo bench -p postern-ledger --bench append -- [SECONDS] [DIR]`; the folder says which disk.

#![expect(clippy::print_stdout, reason = "it prints what it measures")]
#![expect(clippy::unwrap_used, reason = "a bench that fails may stop")]

use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::Path,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use postern_ledger::{Draft, Ledger, Options};
use postern_model::{Clock, Timestamp};

#[path = "shared/cpu.rs"]
mod cpu;
#[path = "shared/made.rs"]
#[expect(dead_code, reason = "others have a whole ledger made")]
mod made;

use cpu::cpu_seconds;

/// Bytes of an entry of one record, frame included.
const ENTRY: usize = 66;

/// As many customers are asked for; all of them are known when the measurement begins.
const KNOWN: u64 = 20_000;

/// Entries whose CPU time is measured.
const ENTRIES: u64 = 400_000;

#[derive(Debug)]
struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp(0)
    }
}

/// Appends to one file, preallocated and written once, by writers that share its syncs: whoever
/// comes first writes what is there and syncs, the others wait.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    synced: Condvar,
}

#[derive(Default)]
struct State {
    pending: Vec<u8>,
    /// The batch that is being gathered; all before it are durable but the one under way.
    batch: u64,
    durable: u64,
    busy: bool,
    offset: u64,
}

impl Shared {
    fn append(&self, file: &File, room: u64, entry: &[u8]) {
        let mut state = self.state.lock().unwrap();
        state.pending.extend_from_slice(entry);
        let own = state.batch + 1;
        loop {
            if state.durable >= own {
                return;
            }
            if state.busy {
                state = self.synced.wait(state).unwrap();
                continue;
            }
            state.busy = true;
            let bytes = std::mem::take(&mut state.pending);
            state.batch += 1;
            let (batch, offset) = (state.batch, state.offset % room);
            state.offset += bytes.len() as u64;
            drop(state);
            file.write_all_at(&bytes, offset).unwrap();
            file.sync_data().unwrap();
            state = self.state.lock().unwrap();
            (state.busy, state.durable) = (false, batch);
            self.synced.notify_all();
        }
    }
}

/// Runs a writer in so many threads for that time; how often it ran in a second.
fn rate(writers: u64, time: Duration, write: impl Fn(u64) + Sync) -> f64 {
    let (done, start) = (AtomicU64::new(0), Instant::now());
    thread::scope(|scope| {
        for writer in 0..writers {
            let (done, write) = (&done, &write);
            scope.spawn(move || {
                for number in (0..).take_while(|_| start.elapsed() < time) {
                    write(number * writers + writer);
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    done.into_inner() as f64 / start.elapsed().as_secs_f64()
}

/// The disk alone, with entries of the ledger's size.
fn disk(folder: &Path, writers: u64, time: Duration) -> f64 {
    const ROOM: u64 = 64 << 20;
    let file = File::create(folder.join("disk")).unwrap();
    // Written once, so that a sync has nothing to say about the file's blocks.
    for at in (0..ROOM + (1 << 20)).step_by(1 << 20) {
        file.write_all_at(&vec![0; 1 << 20], at).unwrap();
    }
    file.sync_all().unwrap();
    let shared = Shared::default();
    rate(writers, time, |_| shared.append(&file, ROOM, &[0x5a; ENTRY]))
}

fn draft(number: u64) -> Draft {
    made::draft(number, made::subjects(number % KNOWN, 1), 0)
}

fn open(folder: &Path) -> Ledger {
    let options = Options::new("bench.example/ledger", Arc::new(Still));
    if !folder.exists() {
        Ledger::create(folder, &options).unwrap();
    }
    Ledger::open(folder, options, Arc::new(|_| {})).unwrap()
}

/// Records drafts, never more at once than the queue takes; all of them are durable then.
fn record_all(ledger: &Ledger, drafts: Vec<Draft>) {
    const AT_ONCE: u64 = 2_000;
    let (sender, receiver) = mpsc::channel();
    let told = Arc::new(AtomicU64::new(0));
    let mut given = 0;
    for draft in drafts {
        let (sender, told) = (sender.clone(), told.clone());
        given += 1;
        // The last of so many says so.
        let last = given % AT_ONCE == 0;
        let done = move |receipt: Result<_, _>| {
            receipt.map(drop).unwrap();
            told.fetch_add(1, Ordering::Relaxed);
            if last {
                sender.send(()).unwrap();
            }
        };
        ledger.record(draft, Box::new(done));
        // Those before the last so many are durable.
        if last && given > AT_ONCE {
            receiver.recv().unwrap();
        }
    }
    receiver.recv().unwrap();
    assert_eq!(told.load(Ordering::Relaxed), given);
}

/// The ledger with all its customers known; who is alone writes on its own thread, as a gateway's
/// core does.
fn ledger(folder: &Path, writers: u64, time: Duration) -> f64 {
    let ledger = open(folder);
    let each = rate(writers, time, |number| {
        let (sender, receiver) = mpsc::sync_channel(1);
        let done = move |receipt: Result<_, _>| sender.send(receipt.map(drop)).unwrap();
        if writers == 1 {
            let alone = move |receipt| {
                done(receipt);
                None
            };
            ledger.record_here(draft(number), Box::new(alone));
        } else {
            ledger.record(draft(number), Box::new(done));
        }
        receiver.recv().unwrap().unwrap();
    });
    ledger.close().unwrap();
    each
}

/// Microseconds of CPU time of an entry of one record, with everything but what made its draft.
fn cpu_of_entry(folder: &Path) -> f64 {
    let ledger = open(folder);
    let drafts: Vec<Draft> = (0..ENTRIES).map(draft).collect();
    let before = cpu_seconds();
    record_all(&ledger, drafts);
    let used = cpu_seconds() - before;
    ledger.close().unwrap();
    used * 1e6 / ENTRIES as f64
}

fn main() {
    let arguments = || std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let seconds: u64 = arguments().find_map(|argument| argument.parse().ok()).unwrap_or(3);
    let folder = arguments().find(|argument| argument.parse::<u64>().is_err());
    let temporary = folder.map_or_else(tempfile::tempdir, tempfile::tempdir_in).unwrap();
    let (path, time) = (temporary.path().join("ledger"), Duration::from_secs(seconds));
    let known = open(&path);
    record_all(&known, (0..KNOWN).map(draft).collect());
    known.close().unwrap();
    // In turns, so that a change of the machine's mood falls on both.
    for round in 1..=3 {
        println!("round {round}");
        for writers in [1, 8, 64] {
            let own = ledger(&path, writers, time);
            let disk = disk(temporary.path(), writers, time);
            let ratio = own / disk;
            println!(
                "{writers:>3} writers: {own:>8.0} entries a second, the disk alone {disk:>8.0}: {ratio:.2}"
            );
        }
        println!("CPU time of an entry: {:.2} us", cpu_of_entry(&path));
    }
}
