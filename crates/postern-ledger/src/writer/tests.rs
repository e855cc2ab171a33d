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
    tests::{HandClock, check_ledger, commit, draft, options, record, strong},
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

/// A new ledger, which has no room for rows yet.
fn empty(folder: &tempfile::TempDir) -> Sequencer {
    let path = folder.path().join("ledger");
    let options = Options { queue_len_max: 2, ..options(Arc::<HandClock>::default()) };
    Ledger::create(&path, &options).unwrap();
    let disk: Arc<dyn Disk> = Arc::new(Folder::new(&path));
    open_on(disk, options, Box::new(|| [0; 16])).unwrap()
}

/// One of one entry, with room for more.
fn begun(folder: &tempfile::TempDir) -> Sequencer {
    let mut sequencer = empty(folder);
    commit(&mut sequencer, &[Work::Draft(draft("ana", &[("17", strong())], &[]))]).unwrap();
    sequencer
}

/// A desk whose thread has not begun.
fn desk_of(sequencer: Sequencer) -> Desk {
    let gathering = Gathering::new(Coming::default(), Duration::ZERO);
    Desk::new(sequencer, gathering, (Arc::new(|_| {}), None, None))
}

fn desk(folder: &tempfile::TempDir) -> Desk {
    desk_of(begun(folder))
}

fn holds(heard: &Heard) -> Vec<u64> {
    heard.lock().unwrap().iter().map(|(hold, _)| *hold).collect()
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
    assert_eq!(check_ledger(&folder.path().join("ledger")).len(), 3);
}

/// That a request is left to the thread, which does it.
fn check_is_left(desk: &Desk) {
    let heard = Heard::default();
    desk.take_turn(request(1, &heard));
    assert!(holds(&heard).is_empty());
    desk.close();
    desk.work().unwrap();
    assert_eq!(holds(&heard), [1]);
}

#[test]
fn what_is_written_anew_is_the_threads() {
    let folder = tempfile::tempdir().unwrap();
    let desk = desk(&folder);
    let (sender, erased) = mpsc::channel();
    let done = Box::new(move |result| sender.send(result).unwrap());
    let (subject, by) = (Subject::new("17"), Actor::new("root"));
    desk.put(Message::Erasure(Erasure { subject, by, why: "by letter".into(), done }));
    check_is_left(&desk);
    assert_eq!(erased.recv().unwrap().unwrap(), 2);
}

#[test]
fn who_needs_more_room_waits_for_the_thread_to_make_it() {
    let folder = tempfile::tempdir().unwrap();
    check_is_left(&desk_of(empty(&folder)));
}

#[test]
fn who_comes_again_and_again_does_not_keep_a_checkpoint_from_being_signed() {
    let folder = tempfile::tempdir().unwrap();
    let (desk, heard) = (desk(&folder), Heard::default());
    desk.take_turn(request(7, &heard));
    assert_eq!(holds(&heard), [7]);
    let mut turn = desk.writer.lock().unwrap();
    let writer = turn.as_mut().unwrap();
    (writer.pace, writer.sequencer.options.checkpoint_interval) = (Duration::ZERO, Duration::ZERO);
    drop(turn);
    check_is_left(&desk);
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
    assert_eq!(holds(&heard), [1, 2, 3]);
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
    assert_eq!(check_ledger(&folder.path().join("ledger")).len(), 1);
}

#[test]
fn after_a_turn_that_did_not_end_nothing_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = &Ledger::start(begun(&folder), Arc::new(|_| {})).unwrap();
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
    let folder = tempfile::tempdir().unwrap();
    let ledger = &Ledger::start(begun(&folder), Arc::new(|_| {})).unwrap();
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

/// What came of one thing that was handed in: whose, the how many-th, whether it is recorded.
type Told = (u64, u64, Result<(), RecordError>);

/// Hands in things in turns, each in another way, some without waiting for the one before; a
/// receipt carries the number.
fn hand_in(ledger: &Ledger, whose: u64, count: u64, told: &mpsc::Sender<Told>) {
    let (waits, came) = mpsc::channel();
    for number in 0..count {
        let (told, waits) = (told.clone(), waits.clone());
        let tell = move |recorded: Result<(), RecordError>| {
            told.send((whose, number, recorded)).unwrap();
            // Nobody waits for the last ones.
            let _ = waits.send(());
        };
        let draft = || crate::Draft { connection: whose, hold: number, ..draft("ana", &[], &[]) };
        match (whose + number) % 6 {
            0 => {
                let (actor, connection) = (Actor::new("ana"), whose);
                let done = Box::new(move |noted: Result<u64, _>| tell(noted.map(drop)));
                ledger.note(crate::Note::LoggedOut { actor, connection }, done);
            }
            1 => ledger.record(draft(), Box::new(move |receipt| tell(receipt.map(drop)))),
            2 => {
                let plan = Plan { searches: 1, writes: false };
                let done = Box::new(move |answer: Result<_, _>| tell(answer.map(drop)));
                ledger.ask(Actor::new("ana"), Arc::new([]), plan, done);
            }
            _ => {
                let done = move |receipt: Result<Receipt, _>| {
                    tell(receipt.map(drop));
                    None
                };
                ledger.record_here(draft(), Box::new(done));
            }
        }
        if whose.is_multiple_of(2) || number.is_multiple_of(8) {
            came.recv().unwrap();
        }
    }
}

#[test]
fn whoever_has_the_turn_all_are_told_once_and_in_order() {
    const EACH: u64 = 150;
    for closes in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let mut sequencer = begun(&folder);
        sequencer.options.queue_len_max = 4096;
        sequencer.options.checkpoint_interval = Duration::from_millis(1);
        let heard: Arc<Mutex<Vec<crate::Entry>>> = Arc::default();
        let hears = heard.clone();
        let hook: Hook = Arc::new(move |entries| hears.lock().unwrap().extend(entries));
        let ledger = &Ledger::start(sequencer, hook).unwrap();
        let (sender, told) = mpsc::channel();
        thread::scope(|scope| {
            for whose in 0..4 {
                let sender = sender.clone();
                scope.spawn(move || hand_in(ledger, whose, EACH, &sender));
            }
            if closes {
                // Somewhere in the midst.
                while heard.lock().unwrap().len() < 100 {
                    thread::yield_now();
                }
                ledger.close().unwrap();
            }
        });
        ledger.close().unwrap();
        drop(sender);
        let told: Vec<Told> = told.iter().collect();
        let who: std::collections::BTreeSet<_> = told.iter().map(|one| (one.0, one.1)).collect();
        assert_eq!((told.len(), who.len()), (4 * EACH as usize, 4 * EACH as usize));
        let expected = |result: &Result<_, _>| match result {
            Ok(()) => true,
            Err(error) => closes && matches!(error, RecordError::Closed),
        };
        assert!(told.iter().all(|(_, _, result)| expected(result)));
        let entries = check_ledger(&folder.path().join("ledger"));
        assert_eq!(*heard.lock().unwrap(), entries[1..]);
        let recorded = entries[1..].iter().filter_map(|entry| match &entry.body {
            crate::Body::Disclosed(disclosed) => Some((disclosed.connection, disclosed.hold)),
            crate::Body::Noted(_) => None,
        });
        let recorded: Vec<(u64, u64)> = recorded.collect();
        for whose in 0..4 {
            let own: Vec<u64> =
                recorded.iter().filter(|(one, _)| *one == whose).map(|(_, hold)| *hold).collect();
            assert!(own.is_sorted_by(|one, other| one < other));
            let is_draft = |number: u64| !matches!((whose + number) % 6, 0 | 2);
            let receipts = told.iter().filter(|(one, number, result)| {
                *one == whose && is_draft(*number) && result.is_ok()
            });
            let mut receipts: Vec<u64> = receipts.map(|(_, number, _)| *number).collect();
            receipts.sort_unstable();
            assert_eq!(receipts, own);
        }
    }
}
