//! Two copies, and whatever may befall either. The oracle: what a receipt was given for is in both,
//! whichever is asked alone; and the follower has nothing that the ledger has not.
//!
//! In the histories nothing runs at the same time: the link's own steps are taken by hand, over a
//! connection that hands each message to the follower's store. With threads and sockets it is
//! tried below, and with processes in `crates/postern`.

use std::{
    collections::VecDeque,
    io::{Read, Write},
    sync::mpsc,
    time::Duration,
};

use postern_model::{Actor, Clock as _, Subject};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::{
    link::{Link, LinkError, Shipment, Telling},
    source::Source,
    *,
};
use crate::{
    DamageKind, Entry, EraseError, Note, Options, Reader, RecordError, RetainError, Retention,
    Tail, VerifyOptions,
    disk::sim::{Fault, SimDisk},
    epoch::{EpochKey, key_name},
    recover::{create_on, open_on},
    sequencer::{Sequencer, Work},
    tests::{HandClock, commit, draft, options, strong},
    verify::verify_on,
};

mod sockets;

fn key() -> VerifyingKey {
    postern_merkle::SigningKey::new("test.example/ledger", &[5; 32]).unwrap().verifying_key()
}

fn entries(disk: &SimDisk) -> Vec<Entry> {
    Reader::open_on(Arc::new(disk.clone())).unwrap().map(Result::unwrap).collect()
}

/// A connection to a store in the same thread.
struct Direct<'a> {
    store: &'a mut Store,
    conversation: Conversation<'a>,
    sent: Vec<u8>,
    answers: VecDeque<u8>,
}

impl<'a> Direct<'a> {
    fn new(store: &'a mut Store, key: &'a VerifyingKey) -> Self {
        let conversation = Conversation { key, stage: Stage::Hello };
        Self { store, conversation, sent: Vec::new(), answers: VecDeque::new() }
    }
}

impl Write for Direct<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.sent.extend_from_slice(bytes);
        while let Some((length, rest)) = self.sent.split_first_chunk() {
            let length = u32::from_le_bytes(*length) as usize;
            let Some(message) = rest.get(..length) else { break };
            let message = Message::decode(message).unwrap();
            self.sent.drain(..4 + length);
            self.answers.extend(self.conversation.reply(self.store, &message).0.encode());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Direct<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.answers.read(buffer)
    }
}

fn peer(connect: Connect, when_lost: WhenLost) -> PeerOptions {
    PeerOptions { connect, when_lost, retry: Duration::from_millis(10) }
}

fn nobody() -> Connect {
    Arc::new(|| Err(io::ErrorKind::ConnectionRefused.into()))
}

/// A ledger and its copy.
struct Pair {
    ledger: SimDisk,
    copy: SimDisk,
    options: Options,
    clock: Arc<HandClock>,
    rng: StdRng,
    /// Sequences of the entries whose receipts were given.
    receipts: Vec<u64>,
    tally: Tally,
}

#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    receipts: usize,
    refused: usize,
    ledger_failed: usize,
    copy_failed: usize,
    caught_up: usize,
    erased: usize,
    forgot: usize,
}

impl Pair {
    fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let clock = Arc::new(HandClock::default());
        let days = |days: u64| Duration::from_secs(86_400 * days);
        let retention = Retention { epoch: days(30), keep: days(40) };
        let options = Options {
            segment_bytes: rng.random_range(700..3_000),
            dictionary_step_bytes: rng.random_range(200..900),
            retention: rng.random::<bool>().then_some(retention),
            ..options(clock.clone())
        };
        let (ledger, copy) = (SimDisk::new(seed), SimDisk::new(seed + 1_000_000));
        create_on(&ledger, &options, &[5; 32]).unwrap();
        let (receipts, tally) = (Vec::new(), Tally::default());
        Self { ledger, copy, options, clock, rng, receipts, tally }
    }

    fn open_ledger(&mut self) -> Result<Sequencer, OpenError> {
        let mut salt = self.rng.random::<u8>();
        let salts = Box::new(move || {
            salt = salt.wrapping_add(1);
            [salt; 16]
        });
        let disk = Arc::new(self.ledger.clone());
        let mut sequencer = open_on(disk, self.options.clone(), salts)?;
        sequencer.shipping = Some(Vec::new());
        Ok(sequencer)
    }

    fn open_copy(&self) -> Result<Store, OpenError> {
        Ok(Store::open_on(Arc::new(self.copy.clone()), &key())?.with_rows_step(200))
    }

    fn batch(&mut self) -> Vec<Work> {
        let number = self.rng.random_range(1..4);
        let mut one = || {
            let subject = self.rng.random_range(0..30).to_string();
            let what = "x".repeat(self.rng.random_range(0..200usize)).into();
            match self.rng.random_range(0..3) {
                0 => Work::Note(Note::Read { by: Actor::new("eve"), what }),
                _ => Work::Draft(draft("ana", &[(&subject, strong())], &[])),
            }
        };
        (0..number).map(|_| one()).collect()
    }

    /// One life of both: until something fails, or for some steps.
    fn live(&mut self, steps: usize) {
        let Ok(mut sequencer) = self.open_ledger() else {
            self.tally.ledger_failed += 1;
            return;
        };
        let Ok(mut store) = self.open_copy() else {
            self.tally.copy_failed += 1;
            return;
        };
        let (sender, told) = mpsc::channel();
        let clock = self.options.clock.clone();
        let link = Link::new(peer(nobody(), WhenLost::Stop), clock, sequencer.edge.size());
        let link = Arc::new(link);
        let source = Source::new(sequencer.disk.clone(), sequencer.segment.id);
        let mut telling = Telling::new(link.clone(), source, sequencer.key.clone());
        let key = key();
        let mut channel = Direct::new(&mut store, &key);
        // Some were recorded before the follower was there, and epochs went by.
        if self.rng.random() {
            for _ in 0..self.rng.random_range(1..4) {
                if commit(&mut sequencer, &self.batch()).and(self.retain(&mut sequencer)).is_err() {
                    break;
                }
            }
            link.ship(sequencer.shipping.replace(Vec::new()).unwrap(), Vec::new());
        }
        if telling.begin(&mut channel).is_err() {
            self.tally.copy_failed += 1;
            return;
        }
        self.tally.caught_up += 1;
        let mut under_way = VecDeque::new();
        for _ in 0..steps {
            if !self.step(&mut sequencer, &link, &sender) {
                self.tally.ledger_failed += 1;
                break;
            }
            if let Err(error) = self.turn(&mut telling, &mut channel, &mut under_way) {
                link.lost(&error, under_way);
                self.tally.copy_failed += 1;
                break;
            }
        }
        drop((link, telling, sender));
        for result in told {
            match result {
                Ok(sequence) => self.receipts.push(sequence),
                Err(_) => self.tally.refused += 1,
            }
        }
    }

    fn turn(
        &mut self,
        telling: &mut Telling,
        channel: &mut dyn Channel,
        under_way: &mut VecDeque<Shipment>,
    ) -> Result<(), LinkError> {
        // Sometimes more than one batch waits.
        if self.rng.random_range(0..3) > 0 {
            telling.turn(channel, under_way)?;
        }
        Ok(())
    }

    /// Records a batch, erases somebody, or signs; false if that failed for good.
    fn step(
        &mut self,
        sequencer: &mut Sequencer,
        link: &Link,
        told: &mpsc::Sender<Result<u64, RecordError>>,
    ) -> bool {
        let mut waiting: Vec<link::Waiting> = Vec::new();
        let done = match self.rng.random_range(0..9) {
            0 => sequencer.sign(),
            2 => self.retain(sequencer),
            1 => {
                let subject = Subject::new(self.rng.random_range(0..30).to_string());
                let by = (&Actor::new("root"), &"by letter".into());
                let erased = sequencer.erase(&subject, by, &mut Vec::new());
                self.tally.erased += usize::from(erased.is_ok());
                match erased {
                    Err(crate::EraseError::Record(error)) => Err(error),
                    Ok(_) | Err(_) => Ok(()),
                }
            }
            _ => commit(sequencer, &self.batch()).map(|recorded| {
                waiting.extend(recorded.into_iter().filter_map(|one| {
                    let (told, sequence) = (told.clone(), one.entry.sequence);
                    let done: crate::RecordDone =
                        Box::new(move |done| told.send(done.map(|_| sequence)).unwrap());
                    Some((done, one.receipt?))
                }));
            }),
        };
        link.ship(sequencer.shipping.replace(Vec::new()).unwrap(), waiting);
        matches!(done, Ok(()) | Err(RecordError::Full { .. }))
    }

    /// Begins an epoch and forgets, where either is due.
    fn retain(&mut self, sequencer: &mut Sequencer) -> Result<(), RecordError> {
        self.clock.set(self.clock.now().0 + 20 * 86_400_000_000);
        match sequencer.retain(&Actor::new("root"), &mut Vec::new()) {
            Ok(retained) => {
                self.tally.forgot += usize::from(retained.forgot);
                Ok(())
            }
            Err(RetainError::Record(error) | RetainError::Forget(EraseError::Record(error))) => {
                Err(error)
            }
            Err(_) => Ok(()),
        }
    }

    fn crash(&mut self) {
        for disk in [&mut self.ledger, &mut self.copy] {
            *disk = match self.rng.random() {
                true => disk.restart(),
                false => disk.lose_power(self.rng.random()),
            };
        }
    }

    /// Opened without faults, each has what receipts were given for, by itself.
    fn check(&mut self) {
        drop(self.open_ledger().unwrap());
        let ledger = entries(&self.ledger);
        let holds = |sequence: &u64, entries: &[Entry]| {
            entries.get(*sequence as usize).is_some_and(|entry| entry.sequence == *sequence)
        };
        assert!(self.receipts.iter().all(|sequence| holds(sequence, &ledger)), "not in the ledger");
        let store = self.open_copy().unwrap();
        let size = store.standing().0;
        drop(store);
        if size > 0 {
            // Who was erased here may have a name there still: the histories are one all the same.
            let copy = entries(&self.copy);
            let root = |disk: &SimDisk| {
                let mut reader = Reader::open_on(Arc::new(disk.clone())).unwrap();
                assert_eq!(reader.by_ref().take(copy.len()).count(), copy.len());
                reader.root()
            };
            assert_eq!(root(&self.ledger), root(&self.copy), "the copy has another history");
            self.receipts.iter().for_each(|sequence| {
                assert!(holds(sequence, &copy), "entry {sequence} is not in the copy");
            });
        } else {
            assert!(self.receipts.is_empty());
        }
    }

    /// In the end both are the same, to the byte, but for what is only the ledger's.
    fn check_end(&mut self) {
        self.check();
        let mut sequencer = self.open_ledger().unwrap();
        let mut store = self.open_copy().unwrap();
        commit(&mut sequencer, &self.batch()).unwrap();
        sequencer.sign().unwrap();
        let clock = self.options.clock.clone();
        let link = Link::new(peer(nobody(), WhenLost::Stop), clock, sequencer.edge.size());
        let source = Source::new(sequencer.disk.clone(), sequencer.segment.id);
        let mut telling = Telling::new(Arc::new(link), source, sequencer.key.clone());
        let key = key();
        assert!(telling.begin(&mut Direct::new(&mut store, &key)).unwrap());
        let (mut ledger, copy) = (self.ledger.contents(), self.copy.contents());
        ledger.retain(|name, _| name != "key" && name != "dictionary.log");
        let same = ledger.iter().all(|(name, bytes)| copy.get(name) == Some(bytes));
        assert!(same, "{:?}, {:?}", ledger.keys(), copy.keys());
        let options = VerifyOptions { tail: Tail::MustBeClean, ..VerifyOptions::default() };
        let summary = verify_on(Arc::new(self.copy.clone()), &options, &mut |_| {}).unwrap();
        assert_eq!((summary.entries, summary.signed), (sequencer.edge.size(), summary.entries));
        assert_eq!(entries(&self.ledger), entries(&self.copy));
    }
}

fn history(seed: u64) -> Tally {
    let mut pair = Pair::new(seed);
    for _ in 0..pair.rng.random_range(1..5) {
        let faults = [Fault::Killed, Fault::Killed, Fault::Broken, Fault::Full];
        for disk in [&pair.ledger, &pair.copy] {
            let fault = faults[pair.rng.random_range(0..faults.len())];
            disk.fail_at(pair.rng.random_range(0..90), fault);
        }
        let steps = pair.rng.random_range(0..14);
        pair.live(steps);
        pair.crash();
        pair.check();
    }
    pair.check_end();
    pair.tally.receipts = pair.receipts.len();
    pair.tally
}

#[test]
fn whatever_befalls_either_what_receipts_were_given_for_is_in_both() {
    // `POSTERN_PAIRS` says otherwise.
    let wanted = std::env::var("POSTERN_PAIRS").map_or(150, |wanted| wanted.parse().unwrap());
    let mut all = Tally::default();
    for seed in 0..wanted {
        let run = std::panic::AssertUnwindSafe(|| history(seed));
        let tally = std::panic::catch_unwind(run).unwrap_or_else(|_| panic!("history {seed}"));
        all.receipts += tally.receipts;
        all.refused += tally.refused;
        all.ledger_failed += tally.ledger_failed;
        all.copy_failed += tally.copy_failed;
        all.caught_up += tally.caught_up;
        all.erased += tally.erased;
        all.forgot += tally.forgot;
    }
    println!("{wanted} histories: {all:?}");
    // Everything that was meant to happen did.
    assert!(all.receipts as u64 > wanted && all.refused > 0);
    assert!(all.erased > 0 && all.forgot > 0);
    assert!(all.ledger_failed > 0 && all.copy_failed > 0 && all.caught_up > 0);
}

/// A ledger that has begun three epochs and forgotten two, with an entry in each.
fn past_retention() -> (Pair, Sequencer) {
    let mut pair = Pair::new(3);
    let days = |days: u64| Duration::from_secs(86_400 * days);
    pair.options.retention = Some(Retention { epoch: days(10), keep: days(15) });
    pair.options.horizon = days(15);
    let mut sequencer = pair.open_ledger().unwrap();
    for subject in ["1", "2", "3", "4"] {
        commit(&mut sequencer, &[Work::Draft(draft("ana", &[(subject, strong())], &[]))]).unwrap();
        pair.retain(&mut sequencer).unwrap();
    }
    commit(&mut sequencer, &[Work::Draft(draft("ana", &[("5", strong())], &[]))]).unwrap();
    sequencer.sign().unwrap();
    assert_eq!((pair.tally.forgot, sequencer.stage.current), (3, 4));
    (pair, sequencer)
}

/// The keys of what was forgotten are nowhere any more.
#[test]
fn a_copy_is_begun_of_a_ledger_that_has_forgotten_its_first_epochs() {
    let (mut pair, sequencer) = past_retention();
    drop(sequencer);
    pair.check_end();
    assert!(!pair.copy.contents().contains_key(&key_name(1)));
}

/// A copy that is opened in between, as after a crash.
#[test]
fn an_epochs_key_is_kept_though_it_comes_behind_its_entry() {
    let mut pair = Pair::new(3);
    pair.options.segment_bytes = 4_000;
    pair.options.retention =
        Some(Retention { epoch: pair.options.horizon, keep: pair.options.horizon });
    let mut sequencer = pair.open_ledger().unwrap();
    pair.retain(&mut sequencer).unwrap();
    commit(&mut sequencer, &[Work::Draft(draft("ana", &[("1", strong())], &[]))]).unwrap();
    let mut shipped = sequencer.shipping.replace(Vec::new()).unwrap().into_iter();
    let Some(Shipped::Key { epoch: 1, key: own, .. }) = shipped.next() else { panic!("no key") };
    let mut batch = || {
        let Some(Shipped::Batch { mut piece, .. }) = shipped.next() else { panic!("no batch") };
        piece.header = piece.header.filter(|_| piece.first == 0);
        piece
    };
    let open = || Store::open_on(Arc::new(pair.copy.clone()), &key()).unwrap();
    open().take(batch()).unwrap();
    let sealed = batch();
    assert_eq!(open().take(sealed.clone()).unwrap_err(), "an epoch's key is not here");
    open().take_key(1, EpochKey::new([7; 32])).unwrap_err();
    open().take_key(1, own).unwrap();
    open().take(sealed).unwrap();
    assert_eq!(open().standing(), (sequencer.edge.size(), sequencer.edge.root()));
    let options = VerifyOptions { tail: Tail::MustBeClean, ..VerifyOptions::default() };
    let no_checkpoint = verify_on(Arc::new(pair.copy.clone()), &options, &mut |_| {}).unwrap_err();
    assert!(no_checkpoint.file.ends_with("checkpoint"), "{no_checkpoint:?}");
}

/// A ledger's first entries, by the piece, and the copy that has the first of them.
fn some_pieces() -> (SimDisk, Vec<Piece>) {
    let mut pair = Pair::new(3);
    pair.options.segment_bytes = 4_000;
    let mut sequencer = pair.open_ledger().unwrap();
    let mut pieces = Vec::new();
    for subject in ["1", "2"] {
        let both =
            [Work::Draft(draft("ana", &[(subject, strong())], &[])), Work::Note(Note::Stopped)];
        commit(&mut sequencer, &both).unwrap();
        for shipped in sequencer.shipping.replace(Vec::new()).unwrap() {
            let Shipped::Batch { mut piece, .. } = shipped else { panic!("{shipped:?}") };
            piece.header = piece.header.filter(|_| piece.first == 0);
            pieces.push(piece);
        }
    }
    (pair.copy, pieces)
}

#[test]
fn nothing_is_written_that_is_not_what_the_ledger_has() {
    let (disk, pieces) = some_pieces();
    for (place, good) in pieces.iter().enumerate() {
        let mut store = Store::open_on(Arc::new(disk.clone()), &key()).unwrap();
        let before = disk.contents();
        let bytes = Message::Append(good.clone()).encode();
        for bit in 0..8 * (bytes.len() - 4) {
            let mut bytes = bytes[4..].to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            // What is no message ends the connection.
            let Ok(message) = Message::decode(&bytes) else { continue };
            let reply = store.handle(&message);
            let Message::Refused { .. } = reply else { panic!("{place}, bit {bit}: {message:?}") };
            let unfinished = |files: &mut std::collections::BTreeMap<String, Vec<u8>>| {
                files.retain(|name, _| !name.ends_with(".tmp") && name != "dictionary.log");
            };
            let (mut now, mut before) = (disk.contents(), before.clone());
            unfinished(&mut now);
            unfinished(&mut before);
            assert_eq!(now, before, "{place}, bit {bit}");
        }
        assert!(matches!(store.handle(&Message::Append(good.clone())), Message::Durable { .. }));
    }
}

#[test]
fn a_copy_that_was_put_back_or_is_of_another_ledger_is_not_opened() {
    let (disk, pieces) = some_pieces();
    let mut store = Store::open_on(Arc::new(disk.clone()), &key()).unwrap();
    store.take(pieces[0].clone()).unwrap();
    let old = disk.contents();
    let again = Store::open_on(Arc::new(disk.clone()), &key());
    assert!(matches!(again, Err(OpenError::Locked { .. })));
    store.take(pieces[1].clone()).unwrap();
    let checkpoint = postern_merkle::Checkpoint {
        origin: "test.example/ledger".to_owned(),
        size: store.standing().0,
        root: store.standing().1,
    };
    let signer = |seed| postern_merkle::SigningKey::new("test.example/ledger", &[seed; 32]);
    let forged = checkpoint.sign(&signer(6).unwrap()).unwrap();
    store.take_checkpoint(forged).unwrap_err();
    let text = checkpoint.sign(&signer(5).unwrap()).unwrap();
    store.take_checkpoint(text).unwrap();
    drop(store);
    // Everything but the newest checkpoint is as it was.
    let mut files = old;
    files.insert("checkpoint".to_owned(), disk.contents()["checkpoint"].clone());
    files.remove("lock");
    let open = |files: &std::collections::BTreeMap<String, Vec<u8>>, key: &VerifyingKey| {
        Store::open_on(Arc::new(SimDisk::holding(files)), key).map(drop)
    };
    let error = open(&files, &key()).unwrap_err();
    let OpenError::Damaged(damage) = &error else { panic!("{error:?}") };
    assert!(matches!(damage.kind, DamageKind::Behind { .. }), "{damage:?}");
    let stranger = signer(6).unwrap().verifying_key();
    let error = open(&disk.contents(), &stranger).unwrap_err();
    let OpenError::Damaged(damage) = &error else { panic!("{error:?}") };
    assert!(matches!(damage.kind, DamageKind::Key), "{damage:?}");
    let mut files = disk.contents();
    files.insert("key".to_owned(), vec![5; 32]);
    assert!(matches!(open(&files, &key()), Err(OpenError::Original { .. })));
}
