//! Runs the proof: `cargo run --release -p postern-interference -- --queries 1000000 --seed 1`.

use std::{
    fs,
    io::{Write as _, stderr, stdout},
    path::PathBuf,
    process::ExitCode,
};

use clap::Parser;
use postern_interference::{
    arena::Arena,
    campaign::{self, Plan},
    corpus,
};

/// Plays random queries over two databases that differ only in what the actor may not see, and
/// compares all that comes back.
#[derive(Debug, Parser)]
struct Arguments {
    /// Seed of the first world; a world is a thousand queries, and the next one's seed is one more.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many queries.
    #[arg(long, default_value_t = 10_000)]
    queries: u64,
    /// How many threads, each with two servers.
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Plays only this query of the seed's world and shows it.
    #[arg(long)]
    query: Option<u64>,
    /// Plays a file of the corpus and shows what comes on both sides.
    #[arg(long)]
    script: Option<PathBuf>,
    /// Prints the queries of the seed's world, and what became of each.
    #[arg(long)]
    list: bool,
}

/// Exits with 0 if no query told the two apart, 1 if one did, dropped the connection or too many
/// gave other answers the next time, 2 if it could not be tried.
fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(stderr(), "error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let Arguments { seed, queries, workers, query, list, script } = arguments;
    let (seed, queries, workers) = (*seed, *queries, *workers);
    if let Some(path) = script {
        let text = fs::read_to_string(path)?;
        writeln!(stdout(), "{}", corpus::show(&Arena::start()?, &text)?)?;
        return Ok(true);
    }
    if let Some(number) = *query {
        writeln!(stdout(), "{}", campaign::replay(seed, number)?)?;
        return Ok(true);
    }
    if *list {
        for line in campaign::survey(seed, queries)? {
            writeln!(stdout(), "{line}")?;
        }
        return Ok(true);
    }
    let tell = |line: &str| {
        let _ = writeln!(stderr(), "{line}");
    };
    let totals = campaign::run(Plan { seed, scripts: queries, workers }, &tell)?;
    for finding in &totals.findings {
        writeln!(stdout(), "FINDING {finding}\n")?;
    }
    for line in &totals.moved {
        writeln!(stdout(), "moved: {line}\n")?;
    }
    for line in &totals.placed {
        writeln!(stdout(), "placed: {line}\n")?;
    }
    for line in &totals.unsteady {
        writeln!(stdout(), "unsteady: {line}\n")?;
    }
    writeln!(stdout(), "seed {seed}: {totals}")?;
    Ok(totals.is_well())
}
