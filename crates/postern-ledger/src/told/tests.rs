use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::Wake,
    time::Duration,
};

use super::*;
use crate::{
    BulkOptions,
    tests::{Bench, draft, strong},
};

/// Counts how often it is woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Records for somebody who is woken; the receipts that are there by then.
fn record(bench: &Bench, woken: &Arc<Woken>, subjects: &[&str]) -> Arc<Mutex<Vec<bool>>> {
    let rows: Vec<_> = subjects.iter().map(|subject| (*subject, strong())).collect();
    let told = Arc::new(Mutex::new(Vec::new()));
    let (tells, waker) = (told.clone(), Waker::from(woken.clone()));
    let done = Box::new(move |result: Result<Receipt, RecordError>| {
        tells.lock().unwrap().push(result.is_ok());
        Some(waker)
    });
    bench.ledger.as_ref().unwrap().record_waking(draft("ana", &rows, &[]), done);
    told
}

#[test]
fn whoever_is_to_be_woken_is_told_and_woken_once() {
    let mut bench = Bench::new();
    let woken = Arc::<Woken>::default();
    let told: Vec<_> = (0..3).map(|_| record(&bench, &woken, &["17"])).collect();
    bench.close();
    let told: Vec<bool> = told.iter().flat_map(|told| told.lock().unwrap().clone()).collect();
    assert_eq!((told, woken.0.load(Ordering::Relaxed)), (vec![true; 3], 3));
}

#[test]
fn so_is_who_is_refused_and_who_has_waited_for_a_witness() {
    let bulk = BulkOptions { records_max: 1, patience: Duration::from_secs(600), waiting_max: 1 };
    let mut bench = Bench::with_bulk(bulk);
    let woken = Arc::<Woken>::default();
    let told = record(&bench, &woken, &["1", "2"]);
    assert!(bench.ledger.as_ref().unwrap().wait_for_bulk(Duration::from_secs(600)));
    assert_eq!((told.lock().unwrap().len(), woken.0.load(Ordering::Relaxed)), (0, 0));
    bench.ledger.as_ref().unwrap().witnessed(1);
    assert_eq!((&*told.lock().unwrap(), woken.0.load(Ordering::Relaxed)), (&vec![true], 1));
    bench.ledger.as_ref().unwrap().forbid("a test");
    let refused = record(&bench, &woken, &["3"]);
    assert_eq!((&*refused.lock().unwrap(), woken.0.load(Ordering::Relaxed)), (&vec![false], 2));
    bench.close();
}
