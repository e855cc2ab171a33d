use std::sync::mpsc::{self, TryRecvError};

use super::*;
use crate::{
    Draft, Ledger, Observed,
    tests::{Bench, draft, strong},
};

type Told = mpsc::Receiver<Result<Receipt, RecordError>>;

fn bench(patience: Duration, waiting_max: usize) -> Bench {
    Bench::with_bulk(BulkOptions { records_max: 2, patience, waiting_max })
}

fn long() -> Duration {
    Duration::from_secs(600)
}

fn show(ledger: &Ledger, actor: &str, subjects: &[&str]) -> Told {
    let rows: Vec<_> = subjects.iter().map(|subject| (*subject, strong())).collect();
    let (sender, told) = mpsc::channel();
    ledger.record(draft(actor, &rows, &[]), Box::new(move |done| sender.send(done).unwrap()));
    told
}

/// It was recorded, and waits.
fn waits(ledger: &Ledger, told: &Told, waiting: usize) {
    assert!(ledger.wait_for_bulk(long()));
    assert_eq!(ledger.waiting_for_witness(), Some(waiting));
    assert!(matches!(told.try_recv(), Err(TryRecvError::Empty)));
}

#[test]
fn more_than_a_few_records_wait_until_a_witness_has_seen_them() {
    let bench = bench(long(), 8);
    let ledger = bench.ledger.as_ref().unwrap();
    // As many as may leave, in one result or several; others' don't count.
    show(ledger, "ana", &["1"]).recv().unwrap().unwrap();
    show(ledger, "ben", &["1", "2"]).recv().unwrap().unwrap();
    show(ledger, "ana", &["2"]).recv().unwrap().unwrap();
    let large = show(ledger, "ana", &["3"]);
    waits(ledger, &large, 1);
    // A checkpoint covers it already, for the witness to sign.
    assert_eq!(crate::signed(&bench.path()).unwrap(), 4);
    // One that covers less is not enough, nor one that was seen before.
    ledger.witnessed(3);
    ledger.witnessed(2);
    assert!(matches!(large.try_recv(), Err(TryRecvError::Empty)));
    ledger.witnessed(4);
    assert_eq!(large.recv().unwrap().unwrap().allowed(), 1);
    // What was seen does not count any more.
    show(ledger, "ana", &["3", "4"]).recv().unwrap().unwrap();
    waits(ledger, &show(ledger, "ana", &["5"]), 1);
}

#[test]
fn what_is_not_known_waits_always() {
    let bench = bench(long(), 8);
    let ledger = bench.ledger.as_ref().unwrap();
    let observed = |unknown| Observed { rule: None, masked: 0, unknown };
    let tell = |unknown| {
        let (sender, told) = mpsc::channel();
        let draft = Draft { observed: Some(observed(unknown).into()), ..draft("ana", &[], &[]) };
        ledger.record(draft, Box::new(move |done| sender.send(done).unwrap()));
        told
    };
    tell(false).recv().unwrap().unwrap();
    let unknown = tell(true);
    waits(ledger, &unknown, 1);
    ledger.witnessed(2);
    unknown.recv().unwrap().unwrap();
}

#[test]
fn what_waits_too_long_is_refused_and_so_is_what_is_too_much() {
    let bench = bench(Duration::from_millis(20), 1);
    let ledger = bench.ledger.as_ref().unwrap();
    let refused = show(ledger, "ana", &["1", "2", "3"]).recv().unwrap().unwrap_err();
    assert!(matches!(refused, RecordError::Unwitnessed), "{refused:?}");
    assert_eq!(ledger.waiting_for_witness(), Some(0));
    // It is recorded, and released nothing: there is room for what may leave.
    show(ledger, "ana", &["1", "2"]).recv().unwrap().unwrap();
    assert_eq!(bench.check_ledger().len(), 2);
}

#[test]
fn only_so_many_results_wait_and_none_after_the_end() {
    let mut bench = bench(long(), 1);
    let ledger = bench.ledger.as_ref().unwrap();
    let one = show(ledger, "ana", &["1", "2", "3"]);
    waits(ledger, &one, 1);
    let other = show(ledger, "ben", &["1", "2", "3"]).recv().unwrap().unwrap_err();
    assert!(matches!(other, RecordError::Unwitnessed), "{other:?}");
    bench.close();
    assert!(matches!(one.recv().unwrap(), Err(RecordError::Unwitnessed)));
}

#[test]
fn what_left_before_a_restart_counts_until_a_witness_has_seen_it() {
    let mut bench = bench(long(), 8);
    show(bench.ledger.as_ref().unwrap(), "ana", &["1", "2"]).recv().unwrap().unwrap();
    bench.close();
    bench.open();
    let ledger = bench.ledger.as_ref().unwrap();
    let one = show(ledger, "ana", &["3"]);
    waits(ledger, &one, 1);
    ledger.witnessed(1);
    assert!(matches!(one.try_recv(), Err(TryRecvError::Empty)));
    ledger.witnessed(2);
    one.recv().unwrap().unwrap();
    show(ledger, "ana", &["3", "4"]).recv().unwrap().unwrap();
}
