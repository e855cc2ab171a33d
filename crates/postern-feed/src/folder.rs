//! A folder of feeds as one stream, in the order in which its events were seen.
//!
//! Files are ordered by `ts`, and no event is seen before it happened. So the next unread line of
//! each file bounds from below when anything that is still unread can be seen, and only events that
//! are seen later than that have to be held: the late ones. Memory is bounded by their number.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicU64},
};

use postern_model::{ApprovalEvent, Event, PersonEvent, TicketEvent, Timestamp};
use thiserror::Error;

use crate::{
    Bad, Problems, Source,
    line::{self, LineError},
    source::{self, Line, Lines},
};

#[cfg(test)]
mod tests;

/// Waiting events for which there always is room.
const ROOM: usize = 4_096;

/// Limits of reading.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How many late events may be held until their time comes.
    pub held_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { held_max: 1_000_000 }
    }
}

/// Why a folder can't be read on.
#[derive(Debug, Error)]
pub enum FolderError {
    #[error("cannot read `{path}`")]
    Read { path: PathBuf, source: io::Error },
    #[error("`{path}` holds none of a feed's files")]
    Empty { path: PathBuf },
    #[error("more than {max} events were seen later than they happened and had to be held")]
    TooManyHeld { max: usize },
}

/// An event, when it was seen, and where it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrival {
    /// When it reached us; deliveries are in this order.
    pub seen: Timestamp,
    pub source: Source,
    /// The line in the source's file, counted from 1.
    pub line: u64,
    pub event: Event,
}

/// The place of an event in the stream: seen, happened, file, kind, and what is written in its
/// line. It does not hang on where a line stands, so that lines of the same moment may be written
/// in any order.
type Place = (Timestamp, Timestamp, Source, u8, u64);

struct Held<T = Arrival> {
    place: Place,
    arrival: T,
}

/// One that waits for its time. Of a million customers who are told of at the same moment all do,
/// so what is moved while they are sorted is small.
type Waiting = Held<Box<Arrival>>;

impl<T> PartialEq for Held<T> {
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place
    }
}

impl<T> Eq for Held<T> {}

impl<T> PartialOrd for Held<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Held<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place.cmp(&other.place)
    }
}

struct Input {
    source: Source,
    path: PathBuf,
    lines: Lines,
    /// The newest `ts` that the file has reached: no unread event of it is seen before that.
    reached: Timestamp,
    next: Option<Held>,
}

/// The feeds of a folder, read as one stream of [`Arrival`]s. A missing file means that this
/// source is not connected. After an error the stream ends.
pub struct Folder {
    options: Options,
    inputs: Vec<Input>,
    held: BinaryHeap<Reverse<Waiting>>,
    problems: Problems,
    failed: bool,
    read: Arc<AtomicU64>,
    bytes: u64,
}

impl std::fmt::Debug for Folder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Folder").field("problems", &self.problems).finish_non_exhaustive()
    }
}

impl Folder {
    /// Opens the files that are there.
    ///
    /// # Errors
    /// If none is there, or one can't be read.
    pub fn open(path: &Path, options: Options) -> Result<Self, FolderError> {
        let mut problems = Problems::default();
        let mut inputs = Vec::new();
        let (read, mut bytes) = (Arc::new(AtomicU64::new(0)), 0);
        for source in Source::ALL {
            let at = |error| FolderError::Read { path: path.join(source.as_str()), source: error };
            let Some(path) = source::find(path, source.as_str()).map_err(at)? else { continue };
            let lines = Lines::open(&path, Arc::clone(&read))
                .map_err(|error| FolderError::Read { path: path.clone(), source: error })?;
            bytes += path.metadata().map_or(0, |metadata| metadata.len());
            let reached = Timestamp(i64::MIN);
            let mut input = Input { source, path, lines, reached, next: None };
            input.advance(&mut problems)?;
            inputs.push(input);
        }
        if inputs.is_empty() {
            return Err(FolderError::Empty { path: path.to_owned() });
        }
        let held = BinaryHeap::new();
        Ok(Self { options, inputs, held, problems, failed: false, read, bytes })
    }

    /// The sources that are connected.
    pub fn sources(&self) -> impl Iterator<Item = Source> {
        self.inputs.iter().map(|input| input.source)
    }

    /// How many bytes the files have, and a counter of those that are read.
    pub fn progress(&self) -> (u64, Arc<AtomicU64>) {
        (self.bytes, Arc::clone(&self.read))
    }

    /// What was wrong with the lines read so far.
    pub fn problems(&self) -> &Problems {
        &self.problems
    }

    fn step(&mut self) -> Result<Option<Arrival>, FolderError> {
        loop {
            let first = self
                .inputs
                .iter_mut()
                .filter(|input| input.next.is_some())
                .min_by_key(|input| (input.reached, input.source));
            let Some(input) = first else {
                return Ok(self.release());
            };
            if self.held.peek().is_some_and(|Reverse(held)| held.arrival.seen < input.reached) {
                return Ok(self.release());
            }
            if let Some(next) = input.next.take() {
                input.advance(&mut self.problems)?;
                if self.is_first(&next) {
                    return Ok(Some(next.arrival));
                }
                let arrival = Box::new(next.arrival);
                self.held.push(Reverse(Waiting { place: next.place, arrival }));
            }
            if self.held.len() > self.options.held_max {
                return Err(FolderError::TooManyHeld { max: self.options.held_max });
            }
        }
    }
}

impl Folder {
    /// Takes the first of those that wait. Room for many is given back when none is left.
    fn release(&mut self) -> Option<Arrival> {
        let Reverse(first) = self.held.pop()?;
        if self.held.is_empty() {
            self.held.shrink_to(ROOM);
        }
        Some(*first.arrival)
    }

    /// Whether nothing that is held or unread can come before it, as for most events.
    fn is_first(&self, next: &Held) -> bool {
        let unread = self.inputs.iter().filter(|input| input.next.is_some());
        self.held.peek().is_none_or(|Reverse(held)| next.place < held.place)
            && unread.map(|input| input.reached).all(|reached| next.arrival.seen < reached)
    }
}

impl Iterator for Folder {
    type Item = Result<Arrival, FolderError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let step = self.step();
        self.failed = step.is_err();
        step.transpose()
    }
}

impl Input {
    /// Reads up to the next line that gives an event.
    fn advance(&mut self, problems: &mut Problems) -> Result<(), FolderError> {
        loop {
            let next = self.lines.next();
            let next =
                next.map_err(|source| FolderError::Read { path: self.path.clone(), source })?;
            let Some((number, text)) = next else {
                self.next = None;
                return Ok(());
            };
            problems.lines += 1;
            let why = match text {
                Line::Text(text) => match line::parse(self.source, text) {
                    Ok(parsed) => {
                        let mark = mark(text);
                        self.take((number, mark), parsed, problems);
                        return Ok(());
                    }
                    Err(LineError::UnknownEvent(event)) => {
                        problems.unknown_event(self.source, event);
                        continue;
                    }
                    Err(error) => error.told(),
                },
                Line::TooLong => format!("longer than {} bytes", Lines::MAX),
                Line::NotUtf8 => "not UTF-8".to_owned(),
            };
            problems.bad(Bad { file: self.path.clone(), line: number, why });
        }
    }

    fn take(&mut self, (line, mark): (u64, u64), parsed: line::Parsed, problems: &mut Problems) {
        let ts = parsed.event.ts();
        if ts < self.reached {
            problems.out_of_order += 1;
        }
        self.reached = self.reached.max(ts);
        // A line that is older than the one before it became known no earlier than that one.
        let seen = parsed.seen.max(self.reached);
        let source = self.source;
        // Lines of the same moment are ordered by what is written in them.
        let place = (seen, ts, source, rank(&parsed.event), mark);
        self.next =
            Some(Held { place, arrival: Arrival { seen, source, line, event: parsed.event } });
    }
}

/// What happens first among changes of the same moment: a ticket is opened before it is closed.
fn rank(event: &Event) -> u8 {
    match event {
        Event::Ticket(ticket) => match ticket.event {
            TicketEvent::Opened => 0,
            TicketEvent::Linked => 1,
            TicketEvent::Assigned => 2,
            TicketEvent::Escalated => 3,
            TicketEvent::Note | TicketEvent::Reply => 4,
            TicketEvent::Closed => 5,
            TicketEvent::Reopened => 6,
        },
        Event::Approval(approval) => match approval.event {
            ApprovalEvent::Asked => 0,
            ApprovalEvent::Granted => 1,
            ApprovalEvent::Refused | ApprovalEvent::Expired => 2,
        },
        Event::Person(person) => match person.event {
            PersonEvent::Hired | PersonEvent::Returned => 0,
            PersonEvent::Role | PersonEvent::Absent => 1,
            PersonEvent::Notice | PersonEvent::Left => 2,
        },
        Event::Subject(_) | Event::Call(_) | Event::Access(_) | Event::Complaint(_) => 0,
    }
}

/// A text as a number (FNV-1a, eight bytes at a time).
fn mark(text: &str) -> u64 {
    let (words, rest) = text.as_bytes().as_chunks::<8>();
    let mut last = [0; 8];
    last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    let last = (!rest.is_empty()).then_some(last);
    words.iter().copied().chain(last).fold(0xcbf2_9ce4_8422_2325, |mark, word| {
        (mark ^ u64::from_le_bytes(word)).wrapping_mul(0x0100_0000_01b3).rotate_left(29)
    })
}
