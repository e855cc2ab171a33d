//! Segments that are read, and their entries hashed, by a thread that goes ahead of the pass.

use std::{
    io,
    ops::Range,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    vec,
};

use crate::{
    disk::{Disk, DiskFile, read_from},
    frame::{self, FRAME_BYTES, HEADER_BYTES, segment_name},
    leaf::{Leaf, SegmentSalt},
    payload::{Named, skim},
};

/// A good frame.
pub(super) struct Framed {
    /// Where its payload is.
    pub(super) payload: Range<usize>,
    pub(super) leaf: Leaf,
    /// The rows that its entry needs, where it is known that it decodes if they are there.
    pub(super) named: Option<Named>,
}

/// What a pass does with entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// It finds out what they say.
    Decode,
    /// It finds out whether they hold.
    Check,
}

/// A segment's file and its bytes; nothing of them is checked.
pub(super) struct Loaded {
    pub(super) file: Box<dyn DiskFile>,
    pub(super) bytes: Arc<Vec<u8>>,
    /// How long the file is.
    pub(super) length: u64,
}

enum Message {
    Segment(io::Result<Loaded>),
    /// The next good frames of the segment sent last.
    Frames(Vec<Framed>),
}

/// The receiving end.
pub(super) struct Ahead {
    messages: Receiver<Message>,
    frames: vec::IntoIter<Framed>,
    /// The next segment, once all frames of the present one are used up.
    next: Option<io::Result<Loaded>>,
}

/// Frames that are handed over together.
const FRAMES_AT_ONCE: usize = 1024;
/// How many times that the thread is ahead at most.
const MESSAGES_AHEAD: usize = 32;
/// Below this a thread costs more than it saves. Tests have both kinds of ledgers.
const BYTES_WORTH_A_THREAD: u64 = if cfg!(test) { 8 << 10 } else { 1 << 20 };

/// How much of a segment is read at once where not all of it is.
const PART_BYTES: usize = 256 << 10;

/// Reads a segment: all of it, or, if a pass goes on in the midst of it, the header and what
/// stands from there on until nothing but zeros comes. Of what went by there are zeros.
pub(super) fn load(disk: &dyn Disk, ordinal: u64, from: usize) -> io::Result<Loaded> {
    let file = disk.open_read(&segment_name(ordinal))?;
    let length = file.len()?;
    if from <= HEADER_BYTES || from as u64 > length {
        let bytes = Arc::new(read_from(&*file, 0)?);
        return Ok(Loaded { file, bytes, length });
    }
    let mut bytes = vec![0; from];
    file.read_at(bytes.get_mut(..HEADER_BYTES).unwrap_or_default(), 0)?;
    let mut part = vec![0; PART_BYTES];
    loop {
        let read = file.read_at(&mut part, bytes.len() as u64)?;
        let part = part.get(..read).unwrap_or_default();
        if part.iter().all(|&byte| byte == 0) {
            let bytes = Arc::new(bytes);
            return Ok(Loaded { file, bytes, length });
        }
        bytes.extend_from_slice(part);
    }
}

impl Ahead {
    /// Starts the thread if what is to be read is worth one; without it the pass does all itself.
    /// The first segment is read from that byte on.
    pub(super) fn start(
        disk: &Arc<dyn Disk>,
        segments: Range<u64>,
        from: usize,
        depth: Depth,
    ) -> Option<Self> {
        let length = disk.open_read(&segment_name(0)).and_then(|file| file.len()).ok()?;
        let count = segments.end.saturating_sub(segments.start);
        let started = count == 1 && from > HEADER_BYTES;
        if started || length.saturating_mul(count) < BYTES_WORTH_A_THREAD {
            return None;
        }
        let (sender, messages) = sync_channel(MESSAGES_AHEAD);
        let disk = disk.clone();
        let thread = std::thread::Builder::new().name("ledger ahead".into());
        let started = thread.spawn(move || go_ahead(&*disk, segments, (from, depth), &sender));
        started.ok()?;
        Some(Self { messages, frames: Vec::new().into_iter(), next: None })
    }

    /// The next good frame of the present segment. After `None` the pass has to look for itself
    /// what follows.
    pub(super) fn next_frame(&mut self) -> Option<Framed> {
        loop {
            if let Some(framed) = self.frames.next() {
                return Some(framed);
            }
            if self.next.is_some() {
                return None;
            }
            match self.messages.recv().ok()? {
                Message::Segment(segment) => self.next = Some(segment),
                Message::Frames(frames) => self.frames = frames.into_iter(),
            }
        }
    }

    /// The next segment, when the frames of the present one are used up.
    pub(super) fn next_segment(&mut self) -> Option<io::Result<Loaded>> {
        if let Some(next) = self.next.take() {
            return Some(next);
        }
        match self.messages.recv().ok()? {
            Message::Segment(segment) => Some(segment),
            Message::Frames(_) => None,
        }
    }
}

/// The thread: ends when all is sent, when a file can't be read, or when nobody listens any more.
fn go_ahead(
    disk: &dyn Disk,
    segments: Range<u64>,
    (from, depth): (usize, Depth),
    sender: &SyncSender<Message>,
) {
    let mut from = Some(from);
    for ordinal in segments {
        let from = from.take().unwrap_or(HEADER_BYTES);
        let loaded = load(disk, ordinal, from);
        let bytes = loaded.as_ref().ok().map(|loaded| loaded.bytes.clone());
        if sender.send(Message::Segment(loaded)).is_err() {
            return;
        }
        let Some(bytes) = bytes else { return };
        let mut frames =
            Frames { bytes: &bytes, salt: frame::salt_in(&bytes), offset: from, depth };
        loop {
            let mut some = Vec::with_capacity(FRAMES_AT_ONCE);
            some.extend(frames.by_ref().take(FRAMES_AT_ONCE));
            if some.is_empty() {
                break;
            }
            if sender.send(Message::Frames(some)).is_err() {
                return;
            }
        }
    }
}

/// The good frames of a segment up to the first thing that is none.
struct Frames<'a> {
    bytes: &'a [u8],
    salt: SegmentSalt,
    offset: usize,
    depth: Depth,
}

impl Iterator for Frames<'_> {
    type Item = Framed;

    fn next(&mut self) -> Option<Framed> {
        let (_, payload) = frame::frame(self.bytes.get(self.offset..)?)?;
        let start = self.offset + FRAME_BYTES;
        self.offset = start + payload.len();
        let named = match self.depth {
            Depth::Decode => None,
            Depth::Check => skim(payload),
        };
        Some(Framed { payload: start..self.offset, leaf: Leaf::new(payload, &self.salt), named })
    }
}
