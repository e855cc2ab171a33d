//! How long a trace takes, and how much memory, by the number of disclosures.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::Context as _;
use postern_feed::{open_index, read_leak, write_index};
use postern_model::{Access, AccessDecision, Actor, Subject, Text, Timestamp};
use postern_trace::{Leak, LeakRow, TraceConfig, Tracer};

use crate::{chance::Chance, world::MINUTE};

/// Customers whom a statement shows, and accounts.
const SHOWN: usize = 25;
const ACCOUNTS: usize = 1_000;

/// What was measured.
#[derive(Debug, Clone)]
pub struct Measured {
    pub disclosures: usize,
    pub customers: usize,
    pub rows: usize,
    /// Seconds: taking the events, the first trace, another one of the same length.
    pub seconds: [f64; 3],
    /// Most memory of the process so far, in bytes, where the system tells it.
    pub memory: Option<u64>,
    /// The first suspect; nobody can be named for want of a second kind of evidence.
    pub first: Option<String>,
}

/// What happened, and two lists of which a fifth each is one account's.
struct Made {
    tracer: Tracer,
    customers: usize,
    lists: [Vec<String>; 2],
    seconds: f64,
}

/// Makes so many disclosures; tells each, by account and customer.
fn make(
    (disclosures, rows): (usize, usize),
    seed: u64,
    mut told: impl FnMut(usize, usize) -> io::Result<()>,
) -> io::Result<Made> {
    let customers = (disclosures / 10).max(10_000);
    let mut chance = Chance::new(seed);
    let subjects: Vec<Subject> =
        (0..customers).map(|number| Subject::new(format!("c{number}"))).collect();
    let actors: Vec<Actor> =
        (0..ACCOUNTS).map(|number| Actor::new(format!("agent{number}"))).collect();
    let mut tracer = Tracer::new(TraceConfig::default());
    let (mut taken, mut seconds) = (Vec::new(), 0.0);
    for number in 0..disclosures / SHOWN {
        let shown: Vec<usize> = (0..SHOWN).map(|_| chance.below(customers)).collect();
        let account = number % ACCOUNTS;
        if account == 7 {
            taken.extend(&shown);
        }
        shown.iter().try_for_each(|customer| told(account, *customer))?;
        let time = i64::try_from(number).unwrap_or(0) * MINUTE / 50;
        let shown = shown.iter().filter_map(|customer| subjects.get(*customer)).cloned();
        let access = access(number, time, &actors[account], shown.collect());
        let start = Instant::now();
        tracer.observe(&postern_model::Event::Access(Box::new(access)));
        seconds += start.elapsed().as_secs_f64();
    }
    let mut list = || {
        let mut records = chance.some(&taken, rows / 5);
        records.extend((records.len()..rows).map(|_| chance.below(customers)));
        records.iter().map(|customer| format!("c{customer}")).collect()
    };
    let lists = [list(), list()];
    Ok(Made { tracer, customers, lists, seconds })
}

/// Traces a list of so many rows, of which a fifth is one account's, after so many disclosures.
///
/// # Errors
///
/// None that is met here: nothing is written.
pub fn measure(disclosures: usize, rows: usize, seed: u64) -> io::Result<Measured> {
    let made = make((disclosures, rows), seed, |_, _| Ok(()))?;
    let Made { mut tracer, customers, lists, seconds: filling } = made;
    let row = |subject: &String| LeakRow {
        subject: Some(Subject::new(subject.as_str())),
        ..LeakRow::default()
    };
    let lists = lists.map(|list| Leak { rows: list.iter().map(row).collect() });
    let (mut seconds, mut first) = ([filling, 0.0, 0.0], None);
    for (list, seconds) in lists.iter().zip(seconds.iter_mut().skip(1)) {
        let start = Instant::now();
        let trace = tracer.trace(list);
        *seconds = start.elapsed().as_secs_f64();
        first = trace.suspects.first().map(|suspect| suspect.actor.to_string());
    }
    Ok(Measured { disclosures, customers, rows, seconds, memory: memory(), first })
}

/// Prepares an index after so many disclosures, and writes beside it the lists and all
/// disclosures, as CSV of the numbers of account and customer. Says how long the index took, in
/// seconds.
///
/// # Errors
///
/// If a file can't be written.
pub fn prepare(
    index: &Path,
    disclosures: usize,
    rows: usize,
    seed: u64,
) -> anyhow::Result<(f64, Option<u64>)> {
    let mut pairs = BufWriter::new(File::create(beside(index, "pairs.csv"))?);
    writeln!(pairs, "account,customer")?;
    let mut made = make((disclosures, rows), seed, |account, customer| {
        writeln!(pairs, "{account},{customer}")
    })?;
    pairs.flush()?;
    for (number, list) in made.lists.iter().enumerate() {
        fs::write(
            beside(index, &format!("{number}.csv")),
            format!("subject\n{}", list.join("\n")),
        )?;
    }
    let start = Instant::now();
    write_index(&mut made.tracer, index)?;
    Ok((start.elapsed().as_secs_f64(), memory()))
}

/// Opens such an index and traces its lists: seconds of each step, the first suspect, and the most
/// memory.
///
/// # Errors
///
/// If a file can't be read.
pub fn traced(index: &Path) -> anyhow::Result<([f64; 3], String, Option<u64>)> {
    let mut seconds = [0.0; 3];
    let start = Instant::now();
    let mut prepared = open_index(index, TraceConfig::default())?;
    seconds[0] = start.elapsed().as_secs_f64();
    let mut first = None;
    for (number, seconds) in seconds.iter_mut().skip(1).enumerate() {
        let list = read_leak(&beside(index, &format!("{number}.csv")))?;
        let start = Instant::now();
        let trace = prepared.trace(&list)?;
        *seconds = start.elapsed().as_secs_f64();
        first = trace.suspects.first().map(|suspect| suspect.actor.to_string());
    }
    Ok((seconds, first.context("nobody was suspected")?, memory()))
}

fn beside(index: &Path, what: &str) -> PathBuf {
    index.with_added_extension(what)
}

fn access(number: usize, time: i64, actor: &Actor, subjects: Vec<Subject>) -> Access {
    Access {
        ts: Timestamp(time),
        id: format!("a{number}").into(),
        actor: actor.clone(),
        session: Text::from("s"),
        client_addr: None,
        device: None,
        app: None,
        statement: Text::from("list"),
        kind: None,
        ticket: None,
        reason: None,
        grade: None,
        rows: subjects.len() as u64,
        subjects,
        clear: Vec::new(),
        masked: Vec::new(),
        decision: AccessDecision::Allow,
        search: None,
    }
}

/// Linux tells the most memory that a process had.
fn memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kilobytes = line.split_whitespace().nth(1)?.parse::<u64>().ok()?;
    Some(kilobytes * 1024)
}
