//! How long "who saw this customer" takes, and what the index costs.
//! `cargo bench -p postern-ledger --bench index -- DISCLOSURES [EACH] [--keep DIR]`: so many
//! disclosures in statements of EACH customers, 10 if it is not said.

#![expect(clippy::print_stdout, reason = "it prints what it measures")]
#![expect(clippy::unwrap_used, reason = "a bench that fails may stop")]

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use postern_ledger::{About, Index, Question};
use postern_model::{Actor, Subject, Timestamp};
use rustix::fs::{Advice, fadvise};

#[path = "shared/made.rs"]
mod made;

const QUESTIONS: u64 = 2_000;

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

fn size_mb(folder: &Path) -> u64 {
    files(folder).iter().map(|path| fs::metadata(path).unwrap().len()).sum::<u64>() / 1_000_000
}

/// Has the system forget what it keeps of the ledger's files in memory.
fn evict(folder: &Path) {
    for path in files(folder) {
        let file = File::open(path).unwrap();
        file.sync_all().unwrap();
        fadvise(&file, 0, None, Advice::DontNeed).unwrap();
    }
}

/// Prints the median, the 99th percentile and the longest of some times.
fn print(what: &str, mut times: Vec<Duration>, hits: usize) {
    times.sort();
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    let (median, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    println!(
        "{what}: {} questions, {:.1} hits each; p50 {:.2} ms, p99 {:.2} ms, longest {:.2} ms",
        times.len(),
        hits as f64 / times.len() as f64,
        millis(median),
        millis(p99),
        millis(times[times.len() - 1])
    );
}

fn subject(number: u64, entries: u64, each: u64) -> Question {
    let entry = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % entries;
    let subject = made::subjects(entry, each).next().unwrap().to_string();
    Question { about: About::Subject(Subject::new(subject)), since: None, until: None }
}

/// What an account saw in some ten minutes of the ledger.
fn actor(number: u64, entries: u64) -> Question {
    let start = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % (entries / 4_000 + 1);
    let since = 1_764_028_800_000_000 + i64::try_from(start).unwrap() * 500_000;
    let about = About::Actor(Actor::new(format!("agent{}", number % 200)));
    let until = Some(Timestamp(since + 3_000_000));
    Question { about, since: Some(Timestamp(since)), until }
}

fn ask(index: &mut Index, questions: impl Iterator<Item = Question>) -> (Vec<Duration>, usize) {
    let (mut times, mut hits) = (Vec::new(), 0);
    for question in questions {
        let start = Instant::now();
        hits += index.answer(&question).unwrap().len();
        times.push(start.elapsed());
    }
    (times, hits)
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut numbers = arguments.iter().filter_map(|argument| argument.parse::<u64>().ok());
    let (disclosures, each) = (numbers.next().unwrap_or(1_000_000), numbers.next().unwrap_or(10));
    let entries = disclosures / each;
    let keep = arguments.iter().skip_while(|argument| *argument != "--keep").nth(1);
    let temporary = tempfile::tempdir().unwrap();
    let ledger = keep.map_or_else(|| temporary.path().join("ledger"), PathBuf::from);
    if !ledger.exists() {
        made::make(&ledger, entries, each, 0).unwrap();
    }
    let before = size_mb(&ledger);
    let start = Instant::now();
    let mut index = Index::open(&ledger, &mut |_, _| {}).unwrap();
    println!(
        "{disclosures} disclosures in {entries} entries: indexed in {:.1} s; ledger {before} MB, \
         index {} MB in {} files",
        start.elapsed().as_secs_f64(),
        size_mb(&ledger.join("index")),
        files(&ledger.join("index")).len() - 1
    );
    let of_subjects = |from: u64| (from..from + QUESTIONS).map(|n| subject(n, entries, each));
    evict(&ledger);
    let (times, hits) = ask(&mut index, of_subjects(0));
    print("who-saw, files evicted from memory before", times, hits);
    let (times, hits) = ask(&mut index, of_subjects(QUESTIONS));
    print("who-saw", times, hits);
    let (times, hits) = ask(&mut index, (0..QUESTIONS).map(|number| actor(number, entries)));
    print("seen-by, of 3 seconds", times, hits);
    let opened = (0..100).map(|number| {
        let start = Instant::now();
        let mut index = Index::open(&ledger, &mut |_, _| {}).unwrap();
        index.answer(&subject(number, entries, each)).unwrap();
        start.elapsed()
    });
    print("who-saw, the index opened for each", opened.collect(), 0);
}
