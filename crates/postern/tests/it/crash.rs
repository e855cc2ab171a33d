//! Record, then reveal: the gateway is killed while people read, and every customer whom anybody
//! got to see must be in the ledger.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::mpsc::{Sender, channel},
    thread,
};

use postern_ledger::{Reader, VerifyOptions, verify};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::{
    raw::{End, Raw},
    served::Served,
    support::{AGENTS, CUSTOMERS, MIA, MIAS, MIAS_BUDGET, Support, is_entitled},
};

/// How often the gateway is killed; `POSTERN_CRASH_ROUNDS` says otherwise.
const ROUNDS: u64 = 8;
/// The most rows that are received before it is killed.
const ROWS_MAX: u64 = 1_500;
/// What a masked value is in the tests' configuration.
const MASK: &str = "***";

/// A row in a client's hands.
#[derive(Debug)]
struct Row {
    actor: &'static str,
    customer: i64,
    clear: bool,
}

/// How often a person saw a customer, by the bytes received or by the ledger.
#[derive(Debug, Default, Clone, Copy)]
struct Count {
    all: usize,
    clear: usize,
}

type Counts = BTreeMap<(String, i64), Count>;

#[test]
fn a_killed_gateway_has_recorded_every_customer_that_anybody_received() {
    let seed = from_environment("POSTERN_CRASH_SEED").unwrap_or_else(rand::random);
    let rounds = from_environment("POSTERN_CRASH_ROUNDS").unwrap_or(ROUNDS);
    println!("again with POSTERN_CRASH_SEED={seed} POSTERN_CRASH_ROUNDS={rounds}");
    let mut rng = StdRng::seed_from_u64(seed);
    let support = Support::new();
    let mut received = Counts::new();
    let mut served = open(&support);
    spend_some(&served, &mut received);
    for round in 0..rounds {
        let kill_after = rng.random_range(1..=ROWS_MAX);
        println!("round {round}: killed after {kill_after} rows");
        under_load(&mut served, &mut rng, kill_after, &mut received);

        // As the crash has left it, and as the next start has mended it.
        check_ledger(&support, &received);
        verify(&support.ledger(), &VerifyOptions::default(), &mut |_| {}).unwrap();
        served = open(&support);
        check_ledger(&support, &received);
        let said = support.bench.run("ledger verify").yes();
        assert!(said.contains("holds"), "{said}");
    }
    check_budget(&served, &support, &mut received);
    // For the table of `scripts/ledger-faults`.
    let rows: usize = received.values().map(|count| count.all).sum();
    println!("{rounds} kills, {rows} rows received");
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

fn open(support: &Support) -> Served {
    let served = Served::start(&support.bench);
    served.wait_until_open(MIA);
    served
}

/// Reads with everybody until that many rows have arrived, kills the gateway, and counts what had
/// arrived by then and what was on its way.
fn under_load(served: &mut Served, rng: &mut StdRng, kill_after: u64, received: &mut Counts) {
    let (sender, rows) = channel();
    let people = AGENTS.into_iter().chain(AGENTS).chain([MIA]);
    let clients: Vec<_> = people
        .map(|actor| {
            let (address, sender) = (served.address, sender.clone());
            let rng = StdRng::seed_from_u64(rng.random());
            thread::spawn(move || read_on(address, actor, rng, &sender))
        })
        .collect();
    drop(sender);
    for _ in 0..kill_after {
        count(
            &rows.recv().expect("all clients have ended before the gateway was killed"),
            received,
        );
    }
    served.kill();
    rows.iter().for_each(|row| count(&row, received));
    clients.into_iter().for_each(|client| client.join().unwrap());
}

fn count(row: &Row, received: &mut Counts) {
    assert!(!row.clear || is_entitled(row.actor, row.customer), "{row:?} without a reason");
    let count = received.entry((row.actor.to_owned(), row.customer)).or_default();
    count.all += 1;
    count.clear += usize::from(row.clear);
}

/// Reads in all ways until the connection ends.
fn read_on(address: SocketAddr, actor: &'static str, mut rng: StdRng, rows: &Sender<Row>) {
    let mut raw = match Raw::connect(address, actor) {
        Ok(raw) => raw,
        Err(End::Gone) => return,
        Err(End::Refused(report)) => panic!("{actor} is not let in: {report:?}"),
    };
    let tell = |row: &[String]| {
        let customer = row[0].parse().unwrap();
        rows.send(Row { actor, customer, clear: row[1] != MASK }).unwrap();
    };
    loop {
        let sent = if actor == MIA {
            raw.send_query(&select(rng.random_range(1..=MIAS), 1))
        } else {
            ask(&mut raw, &mut rng)
        };
        let answer = sent.ok().and_then(|()| raw.answer(tell));
        let Some(answer) = answer else { break };
        let expected = if actor == MIA { ["", "53400"].as_slice() } else { &[""] };
        assert!(expected.contains(&answer.sqlstate()), "{actor}: {answer:?}");
    }
    // A row whose end did not arrive gives its key away all the same.
    if let Some(customer) = key_of_partial_row(raw.rest()) {
        rows.send(Row { actor, customer, clear: false }).unwrap();
    }
}

fn ask(raw: &mut Raw, rng: &mut StdRng) -> Result<(), End> {
    let rows = rng.random_range(1..=60);
    let first = rng.random_range(1..=CUSTOMERS - rows);
    match rng.random_range(0..4) {
        0 => raw.send_query(&select(first, rows)),
        1 => raw.send_query(&format!("{}; {}", select(first, rows), select(first, 1))),
        way => {
            let sql = "SELECT id, email, name FROM customers WHERE id BETWEEN $1 AND $2";
            let parameters = [first.to_string(), (first + rows - 1).to_string()];
            let portions = if way == 2 { (1, 0) } else { (3, 7) };
            raw.send_extended(sql, &parameters, portions)
        }
    }
}

fn select(first: i64, rows: i64) -> String {
    let last = first + rows - 1;
    format!("SELECT id, email, name FROM customers WHERE id BETWEEN {first} AND {last}")
}

/// The first cell of a DataRow message of which not everything is there.
fn key_of_partial_row(bytes: &[u8]) -> Option<i64> {
    let cells = bytes.strip_prefix(b"D")?.get(6..)?;
    let (length, cell) = cells.split_first_chunk()?;
    let cell = cell.get(..usize::try_from(i32::from_be_bytes(*length)).ok()?)?;
    std::str::from_utf8(cell).ok()?.parse().ok()
}

/// Everything that was received has an entry: each time that a person received a customer there
/// is one more entry of that person that names the customer, and in clear if it was.
fn check_ledger(support: &Support, received: &Counts) {
    let recorded = recorded(support);
    for ((actor, customer), received) in received {
        let key = (actor.clone(), *customer);
        let recorded = recorded.get(&key).copied().unwrap_or_default();
        assert!(
            received.all <= recorded.all && received.clear <= recorded.clear,
            "{actor} received customer {customer} {received:?}, recorded is {recorded:?}"
        );
    }
}

fn recorded(support: &Support) -> Counts {
    let mut counts = Counts::new();
    for entry in Reader::open(&support.ledger()).unwrap() {
        for disclosure in entry.unwrap().disclosures() {
            assert_eq!(&*disclosure.relation, "public.customers");
            let clear = disclosure.clear.iter().any(|column| &**column == "email");
            for subject in &disclosure.subjects {
                let customer = subject.as_str().parse().unwrap();
                let key = (disclosure.actor.to_string(), customer);
                let count = counts.entry(key).or_default();
                count.all += 1;
                count.clear += usize::from(clear);
            }
        }
    }
    counts
}

/// A part of the small budget is spent before the first crash.
fn spend_some(served: &Served, received: &mut Counts) {
    let mut mia = Raw::connect(served.address, MIA).unwrap();
    for customer in 1..=5 {
        let answer = mia.query(&select(customer, 1)).unwrap();
        assert_eq!((answer.sqlstate(), answer.rows.len()), ("", 1));
        count(&Row { actor: MIA, customer, clear: true }, received);
    }
}

/// What was spent before the crashes is still spent: all of them together let through as many
/// customers as the budget has, and those who were paid for stay free.
fn check_budget(served: &Served, support: &Support, received: &mut Counts) {
    let mut mia = Raw::connect(served.address, MIA).unwrap();
    let is_mias = |((actor, _), count): &(&(String, i64), &Count)| actor == MIA && count.clear > 0;
    let before = recorded(support);
    let paid: Vec<i64> =
        before.iter().filter(is_mias).map(|((_, customer), _)| *customer).collect();
    assert!((5..=MIAS_BUDGET).contains(&paid.len()), "{paid:?}");
    let mut left = MIAS_BUDGET - paid.len();
    for customer in 1..=MIAS {
        let is_paid = paid.contains(&customer);
        let answer = mia.query(&select(customer, 1)).unwrap();
        let expected = if is_paid || left > 0 { ("", 1) } else { ("53400", 0) };
        assert_eq!((answer.sqlstate(), answer.rows.len()), expected, "customer {customer}");
        if answer.rows.len() == 1 {
            count(&Row { actor: MIA, customer, clear: true }, received);
            left -= usize::from(!is_paid);
        }
    }
    check_ledger(support, received);
    assert_eq!(recorded(support).iter().filter(is_mias).count(), MIAS_BUDGET);
}
