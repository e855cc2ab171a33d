use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, mpsc},
    thread,
};

use super::*;
use crate::{
    Ledger, Options, Receipt,
    coming::Coming,
    disk::{Disk, Folder},
    recover::open_on,
    tests::{Bench, HandClock, check_ledger, draft, options, record},
};

/// Who was told of a receipt, on which thread, in order.
type Heard = Arc<Mutex<Vec<(u64, thread::ThreadId)>>>;

fn request(hold: u64, heard: &Heard) -> Message {
    let heard = heard.clone();
    let done = move |receipt: Result<Receipt, RecordError>| {
        receipt.unwrap();
        heard.lock().unwrap().push((hold, thread::current().id()));
        None
    };
    let draft = crate::Draft { hold, ..draft("ana", &[], &[]) };
    let room = Room::needed_by_draft(&draft);
    Message::Request(Request { work: Work::Draft(draft), room, done: Done::Wakes(Box::new(done)) })
}

/// A desk whose thread has not begun.
fn desk(folder: &tempfile::TempDir) -> Desk {
    let path = folder.path().join("ledger");
    let options = Options { queue_len_max: 2, ..options(Arc::<HandClock>::default()) };
    Ledger::create(&path, &options).unwrap();
    let disk: Arc<dyn Disk> = Arc::new(Folder::new(&path));
    let gathering = Gathering::new(Coming::default(), options.commit_delay);
    let sequencer = open_on(disk, options, Box::new(|| [0; 16])).unwrap();
    Desk::new(sequencer, gathering, (Arc::new(|_| {}), None, None))
}

#[test]
fn what_waits_is_written_before_what_who_takes_a_turn_brings() {
    let folder = tempfile::tempdir().unwrap();
    let (desk, heard, here) = (desk(&folder), Heard::default(), thread::current().id());
    desk.put(request(1, &heard));
    desk.take_turn(request(2, &heard));
    assert_eq!(*heard.lock().unwrap(), [(1, here), (2, here)]);
    // The thread has something to sign.
    assert!(desk.queue().sign_by.is_some());
    desk.close();
    desk.work().unwrap();
    assert_eq!(check_ledger(&folder.path().join("ledger")).len(), 2);
}

#[test]
fn a_slow_disk_is_the_threads_to_wait_for() {
    let folder = tempfile::tempdir().unwrap();
    let (desk, heard) = (desk(&folder), Heard::default());
    desk.writer.lock().unwrap().as_mut().unwrap().pace = QUICK * 2;
    desk.take_turn(request(1, &heard));
    assert!(heard.lock().unwrap().is_empty());
    desk.close();
    desk.work().unwrap();
    assert_eq!(heard.lock().unwrap().len(), 1);
}

#[test]
fn who_finds_another_at_it_does_not_wait() {
    let folder = tempfile::tempdir().unwrap();
    let (desk, heard) = (desk(&folder), Heard::default());
    let turn = desk.writer.lock().unwrap();
    desk.take_turn(request(1, &heard));
    desk.take_turn(request(2, &heard));
    drop(turn);
    assert!(heard.lock().unwrap().is_empty());
    desk.take_turn(request(3, &heard));
    let order: Vec<_> = heard.lock().unwrap().iter().map(|(hold, _)| *hold).collect();
    assert_eq!(order, [1, 2, 3]);
}

#[test]
fn nothing_is_taken_once_it_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let desk = desk(&folder);
    desk.close();
    let (sender, results) = mpsc::channel();
    for take in [Desk::put, Desk::take_turn] {
        let sender = sender.clone();
        let done = move |result: Result<Receipt, RecordError>| sender.send(result).unwrap();
        let Message::Request(request) = request(1, &Heard::default()) else { panic!() };
        take(&desk, Message::Request(Request { done: Done::Record(Box::new(done)), ..request }));
    }
    let refused = |result: &Result<_, _>| matches!(result, Err(RecordError::Closed));
    drop(sender);
    assert_eq!(results.iter().filter(|result| refused(result)).count(), 2);
    assert_eq!(check_ledger(&folder.path().join("ledger")).len(), 0);
}

#[test]
fn after_a_turn_that_did_not_end_nothing_is_recorded() {
    let bench = Bench::new();
    let ledger = bench.ledger.as_ref().unwrap();
    let here = thread::current().id();
    let panics = move |_| -> Option<Waker> {
        assert_ne!(thread::current().id(), here, "as it is to be");
        None
    };
    let turn = || ledger.record_here(draft("ana", &[], &[]), Box::new(panics));
    assert!(catch_unwind(AssertUnwindSafe(turn)).is_err());
    for _ in 0..2 {
        let after = record(ledger, draft("ana", &[], &[]));
        assert!(matches!(after, Err(RecordError::Closed)), "{after:?}");
    }
}

#[test]
fn who_is_about_to_record_is_not_kept_waiting_by_another() {
    let bench = Bench::new();
    let ledger = bench.ledger.as_ref().unwrap();
    let recorded_by = || {
        let (sender, receiver) = mpsc::channel();
        let done = move |receipt: Result<Receipt, RecordError>| {
            receipt.unwrap();
            sender.send(thread::current().id()).unwrap();
            None
        };
        ledger.record_here(draft("ana", &[], &[]), Box::new(done));
        receiver.recv().unwrap()
    };
    // The first time nothing is known of the disk.
    assert_eq!(recorded_by(), thread::current().id());
    let _awaited = ledger.coming().awaited();
    assert_ne!(recorded_by(), thread::current().id());
}
