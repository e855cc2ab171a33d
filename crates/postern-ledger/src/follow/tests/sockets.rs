//! The same with threads, sockets and files.

use std::{
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Instant,
};

use super::*;
use crate::{
    Copied, Copying, Ledger, Limit, Plan, WhenLost,
    tests::{check_ledger, record},
    verify,
};

/// A follower that can be taken away and brought back.
struct Following {
    folder: PathBuf,
    socket: PathBuf,
    /// Connections of the present life.
    open: Arc<Mutex<Vec<UnixStream>>>,
    stop: Arc<AtomicBool>,
    accepting: Option<thread::JoinHandle<()>>,
}

impl Following {
    fn new(folder: &Path) -> Self {
        Self {
            folder: folder.join("copy"),
            socket: folder.join("socket"),
            open: Arc::default(),
            stop: Arc::default(),
            accepting: None,
        }
    }

    fn start(&mut self, key: VerifyingKey) {
        let follower = Arc::new(Follower::open(&self.folder, key).unwrap());
        let listener = UnixListener::bind(&self.socket).unwrap();
        let (open, stop) = (self.open.clone(), self.stop.clone());
        stop.store(false, Ordering::SeqCst);
        self.accepting = Some(thread::spawn(move || {
            let mut serving = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                open.lock().unwrap().push(stream.try_clone().unwrap());
                // Who stops it ends all connections that are known by then.
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                let follower = follower.clone();
                serving.push(thread::spawn(move || drop(follower.serve(&mut stream))));
            }
            serving.into_iter().for_each(|serving| serving.join().unwrap());
        }));
    }

    fn stop(&mut self) {
        let Some(accepting) = self.accepting.take() else { return };
        self.stop.store(true, Ordering::SeqCst);
        drop(UnixStream::connect(&self.socket).unwrap());
        for stream in self.open.lock().unwrap().drain(..) {
            // Gone already is as good.
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
        accepting.join().unwrap();
        std::fs::remove_file(&self.socket).unwrap();
    }

    fn connect(&self) -> Connect {
        let socket = self.socket.clone();
        Arc::new(move || {
            let stream = UnixStream::connect(&socket)?;
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            Ok(Box::new(stream))
        })
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.stop();
    }
}

struct World {
    /// Ended before its folder goes.
    following: Following,
    folder: tempfile::TempDir,
    when_lost: WhenLost,
}

impl World {
    fn new(when_lost: WhenLost) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let following = Following::new(folder.path());
        let world = Self { folder, following, when_lost };
        Ledger::create(&world.ledger(), &world.options()).unwrap();
        world
    }

    fn ledger(&self) -> PathBuf {
        self.folder.path().join("ledger")
    }

    fn options(&self) -> Options {
        let peer = peer(self.following.connect(), self.when_lost);
        Options { peer: Some(peer), ..options(Arc::new(HandClock::default())) }
    }

    fn open(&self) -> Ledger {
        Ledger::open(&self.ledger(), self.options(), Arc::new(|_| {})).unwrap()
    }

    fn follow(&mut self) {
        let text = std::fs::read_to_string(self.ledger().join("key.pub")).unwrap();
        self.following.start(VerifyingKey::parse(text.trim_end()).unwrap());
    }

    /// Both hold, and are the same.
    fn check_both(&self, expected: usize) {
        let ledger = check_ledger(&self.ledger());
        assert_eq!((ledger.len(), &ledger), (expected, &check_ledger(&self.following.folder)));
    }
}

#[track_caller]
fn wait_for(ledger: &Ledger, is: impl Fn(&Copied) -> bool) -> Copied {
    let start = Instant::now();
    loop {
        let copied = ledger.copied().unwrap();
        if is(&copied) {
            return copied;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{copied:?}");
        thread::yield_now();
    }
}

#[track_caller]
fn wait_until(ledger: &Ledger, copying: Copying) -> Copied {
    wait_for(ledger, |copied| copied.copying == copying)
}

fn show(ledger: &Ledger, subject: &str) -> Result<u64, RecordError> {
    record(ledger, draft("ana", &[(subject, strong())], &[])).map(|receipt| receipt.sequence())
}

fn note(ledger: &Ledger) -> u64 {
    let (sender, receiver) = mpsc::channel();
    ledger.note(Note::Stopped, Box::new(move |done| sender.send(done.unwrap()).unwrap()));
    receiver.recv().unwrap()
}

fn ask(ledger: &Ledger) -> Result<Option<Limit>, RecordError> {
    let (sender, receiver) = mpsc::channel();
    let done = Box::new(move |answer| sender.send(answer).unwrap());
    ledger.ask(Actor::new("ana"), Arc::new([]), Plan::default(), done);
    receiver.recv().unwrap().map(|answer: crate::Answer| answer.stopped)
}

#[test]
fn without_the_second_copy_nothing_is_disclosed_and_the_rest_goes_on() {
    let mut world = World::new(WhenLost::Stop);
    let ledger = world.open();
    assert!(matches!(show(&ledger, "1"), Err(RecordError::NoCopy)));
    assert!(matches!(ask(&ledger), Err(RecordError::NoCopy)));
    // A suspension, say, is recorded all the same.
    assert_eq!(note(&ledger), 0);
    let copied = wait_for(&ledger, |copied| copied.trouble.is_some() && copied.behind == 1);
    assert_eq!((copied.copying, copied.entries), (Copying::Away, None));

    world.follow();
    wait_until(&ledger, Copying::InStep);
    assert_eq!(show(&ledger, "1").unwrap(), 1);
    assert!(ask(&ledger).unwrap().is_none());
    let copied = ledger.copied().unwrap();
    assert_eq!((copied.entries, copied.behind, copied.trouble), (Some(2), 0, None));

    world.following.stop();
    wait_until(&ledger, Copying::Away);
    assert!(matches!(show(&ledger, "2"), Err(RecordError::NoCopy)));
    assert_eq!(note(&ledger), 2, "what was refused is not recorded");
    // By the ledger's first checkpoint, since none was signed since.
    assert_eq!(check_ledger(&world.following.folder).len(), 2);

    world.follow();
    wait_until(&ledger, Copying::InStep);
    assert_eq!(show(&ledger, "2").unwrap(), 3);
    ledger.close().unwrap();
    world.check_both(4);
}

#[test]
fn where_it_may_go_on_alone_it_does_and_the_copy_catches_up() {
    let mut world = World::new(WhenLost::GoOn);
    let ledger = world.open();
    for subject in 0..300 {
        show(&ledger, &subject.to_string()).unwrap();
    }
    assert_eq!(ledger.copied().unwrap().behind, 300);
    world.follow();
    // It gets in step while more comes.
    let mut more = 0;
    while ledger.copied().unwrap().copying != Copying::InStep {
        show(&ledger, "1").unwrap();
        more += 1;
        assert!(more < 100_000, "{:?}", ledger.copied());
    }
    show(&ledger, "1").unwrap();
    assert_eq!(ledger.copied().unwrap().behind, 0);
    ledger.close().unwrap();
    world.check_both(301 + more);
}

#[test]
fn many_at_once_are_in_both_whenever_the_follower_goes_and_comes() {
    let mut world = World::new(WhenLost::Stop);
    world.follow();
    let ledger = world.open();
    wait_until(&ledger, Copying::InStep);
    let shown = Mutex::new(Vec::new());
    thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|worker| {
                let (ledger, shown) = (&ledger, &shown);
                scope.spawn(move || {
                    let mut number = 0;
                    while number < 150 {
                        match show(ledger, &format!("{worker}/{number}")) {
                            Ok(sequence) => shown.lock().unwrap().push(sequence),
                            Err(RecordError::NoCopy) => {
                                thread::yield_now();
                                continue;
                            }
                            Err(error) => panic!("{error:?}"),
                        }
                        number += 1;
                    }
                })
            })
            .collect();
        for round in 1..=5 {
            while shown.lock().unwrap().len() < 50 * round {
                thread::yield_now();
            }
            world.following.stop();
            let copy = Reader::open(&world.following.folder).map_or(0, Iterator::count) as u64;
            let told = shown.lock().unwrap().iter().max().copied();
            assert!(told.is_none_or(|told| told < copy), "{told:?} of {copy}");
            world.follow();
        }
        workers.into_iter().for_each(|worker| worker.join().unwrap());
    });
    wait_until(&ledger, Copying::InStep);
    ledger.close().unwrap();
    assert!(!shown.lock().unwrap().is_empty());
    world.check_both(check_ledger(&world.ledger()).len());
}

#[test]
fn an_erased_name_is_gone_from_the_copy_too() {
    let mut world = World::new(WhenLost::Stop);
    world.follow();
    let ledger = world.open();
    wait_until(&ledger, Copying::InStep);
    show(&ledger, "a customer who writes").unwrap();
    let (sender, receiver) = mpsc::channel();
    let subject = Subject::new("a customer who writes");
    let done = Box::new(move |done: Result<u64, _>| sender.send(done.unwrap()).unwrap());
    ledger.erase(subject, Actor::new("root"), "by letter".into(), done);
    assert_eq!(receiver.recv().unwrap(), 1);
    show(&ledger, "another").unwrap();
    // Where it goes on from is behind what was erased.
    world.following.stop();
    wait_until(&ledger, Copying::Away);
    world.follow();
    wait_until(&ledger, Copying::InStep);
    show(&ledger, "one more").unwrap();
    ledger.close().unwrap();
    world.check_both(4);
    let dictionary = std::fs::read(world.following.folder.join("dictionary.log")).unwrap();
    let name = b"a customer who writes";
    assert!(!dictionary.windows(name.len()).any(|part| part == name));
}

fn copy_folder(from: &Path, to: &Path) {
    let copied = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(copied.unwrap().success());
}

#[test]
fn a_ledger_that_was_put_back_or_forked_gets_no_second_copy_and_discloses_nothing() {
    // Also where it may go on alone.
    [WhenLost::Stop, WhenLost::GoOn].into_iter().for_each(put_back_or_forked);
}

fn put_back_or_forked(when_lost: WhenLost) {
    let mut world = World::new(when_lost);
    world.follow();
    let ledger = world.open();
    wait_until(&ledger, Copying::InStep);
    show(&ledger, "1").unwrap();
    ledger.close().unwrap();
    let old = world.folder.path().join("old");
    copy_folder(&world.ledger(), &old);
    let ledger = world.open();
    wait_until(&ledger, Copying::InStep);
    show(&ledger, "2").unwrap();
    ledger.close().unwrap();
    std::fs::remove_dir_all(world.ledger()).unwrap();
    copy_folder(&old, &world.ledger());
    let ledger = world.open();
    let trouble =
        |ledger: &Ledger| wait_for(ledger, |copied| copied.trouble.is_some()).trouble.unwrap();
    let expected = "the follower has 2 entries and this ledger has 1: it was put back";
    assert_eq!(trouble(&ledger), expected);
    assert!(matches!(show(&ledger, "3"), Err(RecordError::PutBack { .. })));
    // It goes on without being asked, as an attacker may have it.
    note(&ledger);
    note(&ledger);
    let forked = "the follower has another history of this ledger";
    wait_for(&ledger, |copied| copied.trouble.as_deref() == Some(forked));
    assert!(matches!(show(&ledger, "3"), Err(RecordError::PutBack { .. })));
    ledger.close().unwrap();
    assert_eq!(check_ledger(&world.following.folder).len(), 2);
}

#[test]
fn a_follower_that_says_nothing_is_given_up() {
    let world = World::new(WhenLost::Stop);
    let listener = UnixListener::bind(&world.following.socket).unwrap();
    let socket = world.following.socket.clone();
    let connect: Connect = Arc::new(move || {
        let stream = UnixStream::connect(&socket)?;
        stream.set_read_timeout(Some(Duration::from_millis(20)))?;
        Ok(Box::new(stream))
    });
    let options = Options { peer: Some(peer(connect, WhenLost::Stop)), ..world.options() };
    let ledger = Ledger::open(&world.ledger(), options, Arc::new(|_| {})).unwrap();
    let (_stream, _) = listener.accept().unwrap();
    let copied = wait_for(&ledger, |copied| copied.trouble.is_some());
    assert!(copied.trouble.unwrap().starts_with("the follower can't be reached"));
    assert!(matches!(show(&ledger, "1"), Err(RecordError::NoCopy)));
    ledger.close().unwrap();
}

#[test]
fn only_the_ledger_with_its_key_is_followed() {
    let mut world = World::new(WhenLost::Stop);
    world.follow();
    let text = std::fs::read_to_string(world.ledger().join("key.pub")).unwrap();
    let own = text.trim_end().to_owned();
    let say = |messages: &[Message]| {
        let mut stream = UnixStream::connect(&world.following.socket).unwrap();
        let mut last = None;
        for message in messages {
            message::write(&mut stream, message).unwrap();
            last = message::read(&mut stream).ok();
        }
        last
    };
    let stranger = Message::Hello { key: key().as_str().to_owned() };
    let refused = |message| matches!(message, Some(Message::Refused { .. }));
    assert!(refused(say(&[stranger])));
    let hello = || Message::Hello { key: own.clone() };
    assert!(matches!(say(&[hello()]), Some(Message::Standing { size: 0, .. })));
    assert!(refused(say(&[hello(), Message::Proof { answer: [7; 64] }])));
    assert!(refused(say(&[hello(), Message::Ask])));
    assert!(refused(say(&[Message::Ask])));
    world.following.stop();
    let nothing = verify(&world.following.folder, &VerifyOptions::default(), &mut |_| {});
    assert!(nothing.is_err(), "nothing was taken");
}
