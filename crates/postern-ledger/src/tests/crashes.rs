//! Many crashes, by chance and all there are in short histories: `make ledger-crashes`.
//!
//! A history makes a ledger, records, signs and opens it again and again, on a disk that fails
//! somewhere each time: the process is killed, the power goes, an operation fails, or there is no
//! space. At the end it is opened once more. Then all entries that a receipt was given for have to
//! be there, in order, with at most the batch that was under way behind them; all of it verifies,
//! against the last checkpoint that left the machine too; and recording goes on.
//!
//! Where the medium itself lies, since a bit changes or a write lands where something else belongs, a
//! receipt's entry may be lost. Then opening has to refuse with the reason, unless what is lost was
//! behind the checkpoint, where it looks as an unfinished write; and what it lets through stays.

use std::ops::AddAssign;

use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::*;
use crate::{
    disk::sim::{Fault, SimDisk},
    identity::CHECKPOINT,
    recover::{create_on, open_on},
    verify::verify_on,
};

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Tally {
    histories: u64,
    kills: u64,
    power_losses: u64,
    errors: u64,
    full: u64,
    /// Crashes while a ledger was made or opened.
    while_opening: u64,
    rotten: u64,
    /// Writes that landed elsewhere.
    misdirected: u64,
    refused: u64,
    /// Openings that went well.
    opened: u64,
    receipts: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.histories += other.histories;
        self.kills += other.kills;
        self.power_losses += other.power_losses;
        self.errors += other.errors;
        self.full += other.full;
        self.while_opening += other.while_opening;
        self.rotten += other.rotten;
        self.misdirected += other.misdirected;
        self.refused += other.refused;
        self.opened += other.opened;
        self.receipts += other.receipts;
    }
}

/// A history under way.
struct History {
    disk: SimDisk,
    options: Options,
    clock: Arc<HandClock>,
    rng: StdRng,
    /// Entries whose receipts were given.
    acknowledged: Vec<Entry>,
    /// Entries that may be there besides: those of the batch that no receipt was given for.
    in_flight: usize,
    /// The last checkpoint that was seen to be written.
    kept: Option<String>,
    tally: Tally,
}

/// How a process ends that met its fault, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Kill,
    PowerLoss,
}

impl History {
    fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let clock = Arc::new(HandClock::default());
        let small = options(clock.clone());
        let days = |days: u64| Duration::from_secs(86_400 * days);
        let retention = Retention { epoch: days(30), keep: days(36_500) };
        let options = Options {
            retention: rng.random::<bool>().then_some(retention),
            segment_bytes: rng.random_range(700..3_000),
            dictionary_step_bytes: rng.random_range(200..900),
            ..small
        };
        Self {
            disk: SimDisk::new(seed),
            options,
            clock,
            rng,
            acknowledged: Vec::new(),
            in_flight: 0,
            kept: None,
            tally: Tally { histories: 1, ..Tally::default() },
        }
    }

    fn open(&mut self) -> Result<Sequencer, OpenError> {
        let mut salt = self.rng.random::<u8>();
        let salts = Box::new(move || {
            salt = salt.wrapping_add(1);
            [salt; 16]
        });
        open_on(Arc::new(self.disk.clone()), self.options.clone(), salts)
    }

    fn batch(&mut self) -> Vec<Work> {
        let mut batch = Vec::new();
        for _ in 0..self.rng.random_range(1..4) {
            let actor = ["ana", "ben"][self.rng.random_range(0..2usize)];
            let subjects = ["1", "22", "333", "4444"];
            let subject = subjects[self.rng.random_range(0..subjects.len())];
            let length = self.rng.random_range(0..200usize);
            let what = "x".repeat(length).into();
            batch.push(match self.rng.random_range(0..3) {
                0 => Work::Draft(draft(actor, &[(subject, strong())], &[])),
                1 => Work::Note(Note::Read { by: Actor::new(actor), what }),
                _ => Work::Note(Note::Stopped),
            });
        }
        batch
    }

    /// One process: opens and records for some steps, or until something fails.
    fn run(&mut self, steps: usize) {
        let Ok(mut sequencer) = self.open() else {
            self.tally.while_opening += 1;
            return;
        };
        self.tally.opened += 1;
        let found = entries(&self.disk);
        self.check_found(&found);
        // What was found is durable from now on, receipt or not.
        self.acknowledged = found;
        self.in_flight = 0;
        if !self.begin_epoch(&mut sequencer) {
            return;
        }
        for _ in 0..steps {
            let batch = self.batch();
            match commit(&mut sequencer, &batch) {
                Ok(recorded) => {
                    let receipts = recorded.iter().filter(|one| one.receipt.is_some()).count();
                    self.tally.receipts += receipts as u64;
                    self.acknowledged.extend(recorded.into_iter().map(|one| one.entry));
                }
                Err(RecordError::Full { .. }) => {}
                Err(_) => {
                    self.in_flight = batch.len();
                    return;
                }
            }
            if self.rng.random_range(0..4) == 0 && sequencer.sign().is_ok() {
                self.keep_checkpoint();
            }
        }
    }

    /// Begins an epoch if one is due; false if that failed for good.
    fn begin_epoch(&mut self, sequencer: &mut Sequencer) -> bool {
        let later = self.clock.now().0 + self.rng.random_range(0..40) * 86_400_000_000;
        self.clock.set(later);
        let mut recorded = Vec::new();
        let begun = sequencer.retain(&Actor::new("root"), &mut recorded);
        self.acknowledged.extend(recorded.into_iter().map(|one| one.entry));
        match begun {
            Ok(_) | Err(RetainError::Record(RecordError::Full { .. })) => true,
            Err(_) => {
                self.in_flight = 1;
                false
            }
        }
    }

    fn keep_checkpoint(&mut self) {
        let contents = self.disk.contents();
        self.kept = Some(String::from_utf8(contents[CHECKPOINT].clone()).unwrap());
    }

    fn crash(&mut self, end: End) {
        self.disk = match end {
            End::Kill => {
                self.tally.kills += 1;
                self.disk.restart()
            }
            End::PowerLoss => {
                self.tally.power_losses += 1;
                self.disk.lose_power(self.rng.random())
            }
        };
    }

    fn check_found(&self, found: &[Entry]) {
        assert!(found.starts_with(&self.acknowledged), "entries of receipts are missing");
        let most = self.acknowledged.len() + self.in_flight;
        assert!(found.len() <= most, "{} entries, at most {most} were written", found.len());
    }

    /// Makes the ledger; false if that failed. Nobody has a receipt then.
    fn make(&mut self) -> bool {
        let made = create_on(&self.disk, &self.options, &[5; 32]).is_ok();
        if !made {
            self.tally.while_opening += 1;
        }
        made
    }

    /// Opens a last time, on a disk without faults.
    fn check_end(&mut self, made: bool) {
        let mut sequencer = match self.open() {
            Ok(sequencer) => sequencer,
            // It was never finished, so it is no ledger, and says so.
            Err(OpenError::NotThere { .. } | OpenError::Damaged(_)) if !made => {
                self.tally.refused += 1;
                return;
            }
            Err(error) => panic!("{error:?}"),
        };
        self.tally.opened += 1;
        let found = entries(&self.disk);
        self.check_found(&found);
        self.check_verifies(found.len());
        let more = commit(&mut sequencer, &self.batch()).unwrap();
        sequencer.sign().unwrap();
        let after = entries(&self.disk);
        assert!(after.starts_with(&found));
        assert_eq!(after.len(), found.len() + more.len());
        self.check_verifies(after.len());
        // What was only in the cache when it was opened is durable by now, too.
        drop(sequencer);
        self.crash(End::PowerLoss);
        drop(self.open().unwrap());
        self.tally.opened += 1;
        assert_eq!(entries(&self.disk), after, "what was found once is gone");
    }

    fn check_verifies(&self, expected: usize) {
        let tail = Tail::MustBeClean;
        let options = VerifyOptions { tail, against: self.kept.clone(), key: None };
        let disk = Arc::new(self.disk.clone());
        let summary = verify_on(disk, &options, &mut |_| {}).unwrap();
        assert_eq!(summary.entries, expected as u64);
    }

    /// The medium changes a bit by itself; then it is opened as after a crash.
    fn check_rot(&mut self) {
        let mut files = self.disk.contents();
        files.remove("lock");
        let at = self.rng.random_range(0..files.len());
        let (name, bytes) = files.iter_mut().nth(at).unwrap();
        if bytes.is_empty() {
            return;
        }
        let bit = self.rng.random_range(0..8 * bytes.len());
        bytes[bit / 8] ^= 1 << (bit % 8);
        let what = format!("bit {bit} of {name}");
        self.tally.rotten += 1;
        self.disk = SimDisk::holding(&files);
        self.check_lie(&what);
    }

    /// Opens what the medium has made something else of.
    fn check_lie(&mut self, what: &str) {
        let mut sequencer = match self.open() {
            Ok(sequencer) => sequencer,
            Err(error) => {
                assert!(matches!(error, OpenError::Damaged(_)), "{what}: {error:?}");
                self.tally.refused += 1;
                return;
            }
        };
        self.tally.opened += 1;
        // What a checkpoint covers is there; a batch behind it may look as if it had never been.
        let found = entries(&self.disk);
        let common = found.len().min(self.acknowledged.len());
        assert_eq!(found[..common], self.acknowledged[..common], "{what}");
        self.check_verifies(found.len());
        // Nothing of it comes back later.
        let more = commit(&mut sequencer, &self.batch()).unwrap();
        sequencer.sign().unwrap();
        drop(sequencer);
        self.crash(End::PowerLoss);
        drop(self.open().unwrap_or_else(|error| panic!("{what}, then {error:?}")));
        self.tally.opened += 1;
        let after = entries(&self.disk);
        assert!(after.starts_with(&found), "{what}: what was found once is gone");
        assert_eq!(after.len(), found.len() + more.len(), "{what}");
        self.check_verifies(after.len());
    }
}

fn entries(disk: &SimDisk) -> Vec<Entry> {
    Reader::open_on(Arc::new(disk.clone())).unwrap().map(Result::unwrap).collect()
}

/// A history by chance.
fn by_chance(seed: u64) -> Tally {
    let mut history = History::new(seed);
    let mut made = false;
    for life in 0..history.rng.random_range(1..5) {
        let fault = [Fault::Killed, Fault::Killed, Fault::Broken, Fault::Full]
            [history.rng.random_range(0..4usize)];
        let operation = history.rng.random_range(0..70);
        history.disk.fail_at(operation, fault);
        if life == 0 {
            made = history.make();
        }
        if made {
            let steps = history.rng.random_range(0..8);
            history.run(steps);
        }
        match fault {
            Fault::Broken => history.tally.errors += 1,
            Fault::Full => history.tally.full += 1,
            Fault::Killed => {}
        }
        let end = if history.rng.random() { End::Kill } else { End::PowerLoss };
        history.crash(end);
    }
    if made && history.rng.random_range(0..4) == 0 {
        history.check_rot();
    } else {
        history.check_end(made);
    }
    history.tally
}

/// A history on a disk that puts one write where something else belongs and says nothing. What is
/// read is what is cached, until the power goes.
fn misdirected(seed: u64) -> Tally {
    let mut history = History::new(seed);
    let syncs = history.rng.random_range(0..30);
    history.disk.misdirect_after(syncs);
    assert!(history.make());
    for _ in 0..history.rng.random_range(1..4) {
        let steps = history.rng.random_range(1..8);
        history.run(steps);
        history.crash(End::Kill);
    }
    let what = history.disk.misdirected();
    history.crash(End::PowerLoss);
    match what {
        Some(what) => {
            history.tally.misdirected += 1;
            history.check_lie(&what);
        }
        None => history.check_end(true),
    }
    history.tally
}

/// Every operation of a short history, and for each every operation of the opening after it.
fn every_pair(seed: u64, ends: [End; 2]) -> Tally {
    let mut all = Tally::default();
    let steps = 2;
    for first in 0.. {
        let mut history = History::new(seed);
        history.disk.fail_at(first, Fault::Killed);
        let made = history.make();
        if made {
            history.run(steps);
        }
        if history.disk.operations() <= first {
            // It came through without meeting its end.
            return all;
        }
        history.crash(ends[0]);
        let disk = history.disk.clone();
        all += history.tally;
        history.tally = Tally::default();
        for second in 0.. {
            history.disk = disk.fork();
            history.rng = StdRng::seed_from_u64(1_000 * seed + second);
            history.disk.fail_at(second, Fault::Killed);
            let met = history.open().is_err();
            history.crash(ends[1]);
            history.check_end(made);
            if !met || !made {
                break;
            }
        }
        history.tally.histories = 1;
        all += history.tally;
    }
    all
}

/// How many histories by chance; a million take minutes in a release build.
fn wanted() -> u64 {
    std::env::var("POSTERN_CRASHES").map_or(300, |wanted| wanted.parse().unwrap())
}

/// Runs all seeds on all cores.
fn run_all(seeds: std::ops::Range<u64>, one: impl Fn(u64) -> Tally + Sync) -> Tally {
    let next = std::sync::atomic::AtomicU64::new(seeds.start);
    let work = || {
        let mut sum = Tally::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return sum;
            }
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| one(seed)));
            sum += result.unwrap_or_else(|_| panic!("history {seed}"));
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        let mut sum = Tally::default();
        workers.into_iter().for_each(|worker| sum += worker.join().unwrap());
        sum
    })
}

#[test]
fn whatever_happens_what_receipts_were_given_for_is_there() {
    let chance = run_all(0..wanted(), by_chance);
    // Everything that was meant to happen did.
    assert!(chance.kills > 0 && chance.power_losses > 0 && chance.errors > 0 && chance.full > 0);
    assert!(chance.while_opening > 0 && chance.rotten > 0 && chance.refused > 0);
    assert!(chance.receipts > 0 && chance.opened > chance.histories / 2);
    let is_long = std::env::var_os("POSTERN_CRASHES").is_some();
    let lies = run_all(0..if is_long { wanted() } else { 150 }, misdirected);
    assert!(lies.misdirected > 50 && lies.refused > 20 && lies.opened > lies.histories);
    let seeds = if is_long { 40 } else { 2 };
    let pairs = run_all(0..seeds, |seed| {
        let mut sum = Tally::default();
        for first in [End::Kill, End::PowerLoss] {
            for second in [End::Kill, End::PowerLoss] {
                sum += every_pair(seed, [first, second]);
            }
        }
        sum
    });
    assert!(pairs.kills > 100 && pairs.power_losses > 100);
    if is_long {
        write_table(&[
            ("by chance", chance),
            ("by chance, a write misdirected", lies),
            ("each pair of operations of short ones", pairs),
        ]);
    }
}

fn write_table(rows: &[(&str, Tally)]) {
    const MARKS: [&str; 2] = ["<!-- crashes -->\n", "<!-- end of crashes -->\n"];
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/ledger-tests.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(MARKS[0]).unwrap();
    let (_, after) = rest.split_once(MARKS[1]).unwrap();
    let mut table: String = "| histories | number | killed | power lost | error | full | while \
                             opening | bit rot | misdirected | refused | opened | receipts |\n"
        .to_owned();
    table += "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n";
    for (name, t) in rows {
        table += &format!(
            "| {name} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
            t.histories,
            t.kills,
            t.power_losses,
            t.errors,
            t.full,
            t.while_opening,
            t.rotten,
            t.misdirected,
            t.refused,
            t.opened,
            t.receipts
        );
    }
    let [start, end] = MARKS;
    std::fs::write(&path, format!("{before}{start}{table}{end}{after}")).unwrap();
}
