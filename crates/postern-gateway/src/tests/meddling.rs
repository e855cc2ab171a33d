//! A man in the middle between the gateway and the server, who alters what the server says to
//! clients' sessions. The keeper's connections are let through as they are.

use std::{
    io::{Read, Write},
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use bytes::BytesMut;
use postern_wire::FrameReader;

use crate::UpstreamHost;

/// What only the keeper says when it connects.
const KEEPER: &[u8] = b"application_name\0postern\0";
const MESSAGE_BYTES_MAX: usize = 1 << 24;

/// What becomes of one message of the server.
pub(super) struct Alter {
    /// Its type.
    pub(super) tag: u8,
    /// How many of that type come before it.
    pub(super) skip: usize,
    /// What stands in its place; `None` is the message itself.
    pub(super) with: Vec<Option<Vec<u8>>>,
    pub(super) then: Then,
}

/// What comes after an alteration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    GoesOn,
    /// What follows up to the next ReadyForQuery is left out, as after an error.
    SkipsToReady,
    /// The connection is closed.
    Closes,
    /// The server says nothing more until the gateway closes.
    IsSilent,
    /// What the server says ends, but it goes on to listen.
    HalfCloses,
}

impl Alter {
    /// These bytes instead of the next message of that type.
    pub(super) fn next(tag: u8, with: &[u8]) -> Self {
        Self { tag, skip: 0, with: vec![Some(with.to_vec())], then: Then::GoesOn }
    }

    /// These bytes in front of it.
    pub(super) fn before(tag: u8, bytes: &[u8]) -> Self {
        Self { tag, skip: 0, with: vec![Some(bytes.to_vec()), None], then: Then::GoesOn }
    }

    pub(super) fn after(self, skip: usize) -> Self {
        Self { skip, ..self }
    }

    pub(super) fn then(self, then: Then) -> Self {
        Self { then, ..self }
    }
}

#[derive(Default)]
struct State {
    alter: Mutex<Option<Alter>>,
    /// Bytes of the server that the gateway has taken after an alteration.
    taken: AtomicUsize,
    altered: AtomicBool,
    /// The server hears nothing more of whoever says this.
    deaf_to: Mutex<Option<Vec<u8>>>,
    hears: Condvar,
}

pub(super) struct Meddler {
    folder: tempfile::TempDir,
    state: Arc<State>,
}

impl Meddler {
    pub(super) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), state: Arc::default() }
    }

    /// Takes the place of a server's socket.
    pub(super) fn stand_before(&self, host: &mut UpstreamHost) {
        let UpstreamHost::Unix { folder, port } = host else { panic!("{host:?}") };
        let name = format!(".s.PGSQL.{port}");
        let server = std::mem::replace(folder, self.folder.path().to_owned()).join(&name);
        let listener = UnixListener::bind(self.folder.path().join(&name)).unwrap();
        let state = self.state.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                meddle(client.unwrap(), &server, &state);
            }
        });
    }

    /// From now on the server says something else.
    pub(super) fn alter(&self, alter: Alter) {
        self.state.altered.store(false, Ordering::SeqCst);
        self.state.taken.store(0, Ordering::SeqCst);
        *self.state.alter.lock().unwrap() = Some(alter);
    }

    /// Whether it was said.
    pub(super) fn has_altered(&self) -> bool {
        self.state.altered.load(Ordering::SeqCst)
    }

    /// From now on the server reads nothing more of a session that says this.
    pub(super) fn turn_deaf(&self, word: &[u8]) {
        *self.state.deaf_to.lock().unwrap() = Some(word.to_vec());
    }

    pub(super) fn hear_again(&self) {
        *self.state.deaf_to.lock().unwrap() = None;
        self.state.hears.notify_all();
    }

    /// How many bytes the gateway, or the machine for it, has taken since.
    pub(super) fn taken(&self) -> usize {
        self.state.taken.load(Ordering::SeqCst)
    }
}

fn meddle(client: UnixStream, server: &Path, state: &Arc<State>) {
    let server: PathBuf = server.to_owned();
    let Ok(server) = UnixStream::connect(server) else { return };
    let is_keeper = Arc::new(AtomicBool::new(false));
    let (from, to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    let (says, hears, keeper) = (state.clone(), state.clone(), is_keeper.clone());
    thread::spawn(move || tell(from, to, &says, &keeper));
    thread::spawn(move || {
        let (mut from, mut to, mut chunk) = (client, server, [0; 64 * 1024]);
        while let Ok(count @ 1..) = from.read(&mut chunk) {
            let bytes = &chunk[..count];
            if bytes.windows(KEEPER.len()).any(|window| window == KEEPER) {
                is_keeper.store(true, Ordering::SeqCst);
            }
            if to.write_all(bytes).is_err() {
                break;
            }
            let is_said = |word: &mut Option<Vec<u8>>| {
                word.as_ref().is_some_and(|word| bytes.windows(word.len()).any(|w| w == word))
            };
            let deaf = hears.deaf_to.lock().unwrap();
            drop(hears.hears.wait_while(deaf, is_said).unwrap());
        }
        let _ = to.shutdown(Shutdown::Both);
    });
}

/// What the server says, to the gateway.
fn tell(mut from: UnixStream, mut to: UnixStream, state: &State, is_keeper: &AtomicBool) {
    let (mut buffer, mut chunk) = (BytesMut::new(), [0; 64 * 1024]);
    let reader = FrameReader::new(MESSAGE_BYTES_MAX);
    let mut skips = false;
    'all: while let Ok(count @ 1..) = from.read(&mut chunk) {
        buffer.extend_from_slice(&chunk[..count]);
        while let Ok(Some(frame)) = reader.next(&mut buffer) {
            if std::mem::take(&mut skips) && frame.tag() != b'Z' {
                skips = true;
                continue;
            }
            let due = if is_keeper.load(Ordering::SeqCst) { None } else { due(state, frame.tag()) };
            let Some(alter) = due else {
                if to.write_all(frame.raw()).is_err() {
                    break 'all;
                }
                continue;
            };
            state.altered.store(true, Ordering::SeqCst);
            for part in &alter.with {
                if !write(&mut to, part.as_deref().unwrap_or(frame.raw()), state) {
                    break 'all;
                }
            }
            match alter.then {
                Then::GoesOn => {}
                Then::SkipsToReady => skips = true,
                Then::Closes => break 'all,
                Then::HalfCloses => {
                    let _ = to.shutdown(Shutdown::Write);
                    while let Ok(1..) = from.read(&mut chunk) {}
                    return;
                }
                Then::IsSilent => while let Ok(1..) = from.read(&mut chunk) {},
            }
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

/// In pieces, so that it is known how many were taken.
fn write(to: &mut UnixStream, bytes: &[u8], state: &State) -> bool {
    bytes.chunks(16 * 1024).all(|piece| {
        let written = to.write_all(piece).is_ok();
        state.taken.fetch_add(piece.len(), Ordering::SeqCst);
        written
    })
}

fn due(state: &State, tag: u8) -> Option<Alter> {
    let mut alter = state.alter.lock().unwrap();
    let waits = alter.as_mut().filter(|alter| alter.tag == tag)?;
    match waits.skip.checked_sub(1) {
        Some(left) => {
            waits.skip = left;
            None
        }
        None => alter.take(),
    }
}
