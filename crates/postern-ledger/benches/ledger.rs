//! What verifying costs, and what is stored: entries a second, bytes an entry, bytes a record.
//! `cargo bench -p postern-ledger --bench ledger -- [ENTRIES] [--values N] [--keep DIR]`; a ledger
//! that is kept is not made again. With `--values` entries have hashes of one or two values.

#![expect(clippy::print_stdout, reason = "it prints what it measures")]
#![expect(clippy::unwrap_used, reason = "a bench that fails may stop")]

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use postern_ledger::{VerifyOptions, verify};

#[path = "shared/cpu.rs"]
mod cpu;
#[path = "shared/made.rs"]
mod made;

use cpu::cpu_seconds;

fn entries() -> u64 {
    std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(1_000_000)
}

/// How many values of each customer are told of.
fn values() -> usize {
    let mut behind = std::env::args().skip_while(|argument| argument != "--values").skip(1);
    behind.next().map_or(0, |values| values.parse().unwrap())
}

/// The most memory that this process had resident, in MiB.
fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

fn measure(folder: &Path) {
    for round in 1..=3 {
        let (start, cpu) = (Instant::now(), cpu_seconds());
        let summary = verify(folder, &VerifyOptions::default(), &mut |_| {}).unwrap();
        let (seconds, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu);
        let entries = summary.entries;
        let (rate, each) = (entries as f64 / seconds / 1e6, cpu * 1e6 / entries as f64);
        println!(
            "verify, round {round}: {entries} entries in {seconds:.3} s, {rate:.2} million a \
             second; {each:.2} us of CPU time each; at most {} MiB resident",
            resident_mib()
        );
    }
}

fn main() {
    let keep = std::env::args().skip_while(|argument| argument != "--keep").nth(1);
    let temporary = tempfile::tempdir().unwrap();
    let ledger = keep.map_or_else(|| temporary.path().join("ledger"), PathBuf::from);
    if !ledger.exists() {
        let (start, entries) = (Instant::now(), entries());
        let (values, cpu) = (values(), cpu_seconds());
        made::make(&ledger, entries, 1, values).unwrap();
        let (seconds, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu);
        let each = cpu * 1e6 / entries as f64;
        println!("made {entries} entries in {seconds:.1} s; {each:.2} us of CPU time each");
    }
    measure(&ledger);
}
