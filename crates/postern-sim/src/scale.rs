//! How long a trace takes, and how much memory, by the number of disclosures.

use std::{fs, time::Instant};

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

/// Traces a list of so many rows, of which a fifth is one account's, after so many disclosures.
pub fn measure(disclosures: usize, rows: usize, seed: u64) -> Measured {
    let customers = (disclosures / 10).max(10_000);
    let mut chance = Chance::new(seed);
    let subjects: Vec<Subject> =
        (0..customers).map(|number| Subject::new(format!("c{number}"))).collect();
    let actors: Vec<Actor> =
        (0..ACCOUNTS).map(|number| Actor::new(format!("agent{number}"))).collect();
    let mut tracer = Tracer::new(TraceConfig::default());
    let (mut taken, mut filling) = (Vec::new(), 0.0);
    for number in 0..disclosures / SHOWN {
        let shown: Vec<usize> = (0..SHOWN).map(|_| chance.below(customers)).collect();
        if number % ACCOUNTS == 7 {
            taken.extend(&shown);
        }
        let time = i64::try_from(number).unwrap_or(0) * MINUTE / 50;
        let shown = shown.iter().filter_map(|customer| subjects.get(*customer)).cloned();
        let access = access(number, time, &actors[number % ACCOUNTS], shown.collect());
        let start = Instant::now();
        tracer.observe(&postern_model::Event::Access(Box::new(access)));
        filling += start.elapsed().as_secs_f64();
    }
    let mut list = || {
        let mut records = chance.some(&taken, rows / 5);
        records.extend((records.len()..rows).map(|_| chance.below(customers)));
        let row = |customer: &usize| LeakRow {
            subject: subjects.get(*customer).cloned(),
            ..LeakRow::default()
        };
        Leak { rows: records.iter().map(row).collect() }
    };
    let lists = [list(), list()];
    let (mut seconds, mut first) = ([filling, 0.0, 0.0], None);
    for (list, seconds) in lists.iter().zip(seconds.iter_mut().skip(1)) {
        let start = Instant::now();
        let trace = tracer.trace(list);
        *seconds = start.elapsed().as_secs_f64();
        first = trace.suspects.first().map(|suspect| suspect.actor.to_string());
    }
    Measured { disclosures, customers, rows, seconds, memory: memory(), first }
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
