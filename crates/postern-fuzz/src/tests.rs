//! The committed corpora, and some thousand mutations of them, on the stable compiler.

use std::{env, fs, path::PathBuf, thread};

use super::*;

/// As good as any; a finding names the mutation beside it. `POSTERN_FUZZ_SEED` is another one.
const SEED: u64 = 4;

/// How much a run does: `POSTERN_FUZZ_TIMES` as much as usual.
fn times(usual: usize) -> usize {
    let times = env::var("POSTERN_FUZZ_TIMES").map_or(1, |times| times.parse().unwrap());
    usual * times
}

fn seed() -> u64 {
    env::var("POSTERN_FUZZ_SEED").map_or(SEED, |seed| seed.parse().unwrap())
}

/// An input, told where it fails.
struct Tried<'a> {
    name: String,
    input: &'a [u8],
}

impl Drop for Tried<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            println!("{}: {}", self.name, self.input.escape_ascii());
        }
    }
}

fn try_out<T>(name: String, input: &[u8], run: impl FnOnce(&[u8]) -> T) -> T {
    let _tried = Tried { name, input };
    run(input)
}

/// The inputs of a target, in an order that is always the same.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut inputs: Vec<(String, Vec<u8>)> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.display().to_string(), fs::read(&path).unwrap()))
        .collect();
    inputs.sort();
    assert!(inputs.len() >= 3, "{} holds next to nothing", folder.display());
    inputs
}

/// Runs each input, then so many mutations.
fn replay(target: &str, mutations: usize, mut run: impl FnMut(&[u8])) {
    let inputs = corpus(target);
    for (name, input) in &inputs {
        try_out(name.clone(), input, &mut run);
    }
    let (seed, mut mutator) = (seed(), Mutator::new(seed()));
    for number in 0..times(mutations) {
        let (_, input) = &inputs[mutator.below(inputs.len())];
        let (_, other) = &inputs[mutator.below(inputs.len())];
        let changed = mutator.change(input, other);
        try_out(format!("seed {seed}, mutation {number}"), &changed, &mut run);
    }
}

#[test]
fn what_clients_send_is_read_and_written_alike() {
    replay("frontend", 20_000, frontend);
}

#[test]
fn what_servers_send_is_read_and_written_alike() {
    replay("backend", 20_000, backend);
}

#[test]
fn what_clients_send_first_is_read_and_written_alike() {
    replay("first", 20_000, first);
}

#[test]
fn parts_of_a_ledger_are_read_alike_in_each_way() {
    replay("ledger", 40_000, ledger);
}

#[test]
fn proofs_are_read_whatever_they_say() {
    replay("proof", 4_000, proof);
}

#[test]
fn no_script_shows_what_is_not_released() {
    let (mut all, mut scripts) = (Seen::default(), 0);
    replay("session", 2_000, |script| {
        let seen = session(script);
        scripts += 1;
        all.client += seen.client;
        all.server += seen.server;
        all.holds += seen.holds;
        all.released += seen.released;
        all.errors += seen.errors;
    });
    println!("{scripts} scripts: {all:?}");
    // They come to where it matters.
    assert!(all.client > scripts && all.server > scripts, "{all:?}");
    assert!(all.holds > scripts / 10 && all.released > scripts / 10, "{all:?}");
    assert!(all.errors > scripts / 10, "{all:?}");
}

/// Scripts of no corpus at all.
#[test]
fn no_arbitrary_script_shows_what_is_not_released() {
    let (seed, mut mutator) = (seed(), Mutator::new(seed()));
    for number in 0..times(1_000) {
        let length = 20 + mutator.below(300);
        let script = mutator.bytes(length);
        try_out(format!("seed {seed}, script {number}"), &script, session);
    }
}
