//! The ledger's side of a second copy: a thread that brings the follower up to date, sends it each
//! batch that is durable here, and releases disclosures when it is durable there.
//!
//! The writer never waits for it. It makes a batch durable, hands it over, and goes on; what waits
//! for the copy is told by this thread. While the follower is away nothing is handed over: the
//! follower finds it on the disk when it is back. What becomes of disclosures meanwhile is
//! [`WhenLost`].
//!
//! All that writer and thread share is [`State`]. INVARIANT: `durable` and `mode` change under one
//! lock, so that a batch is either on the disk before the link is in step, or handed over.

use std::{
    collections::{BTreeSet, VecDeque},
    fmt,
    io::{self, Read, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use postern_merkle::SigningKey;
use postern_model::{Clock, Timestamp};

use super::{
    message::{Message, Piece, Shipped, read, write, write_later},
    source::Source,
};
use crate::{Damage, Receipt, RecordError, epoch::Keys, identity, scan::Mark, told::RecordDone};

/// A connection that nobody else can read or change. It breaks off when the other side says
/// nothing for as long as the follower may take.
pub trait Channel: Read + Write + Send {}

impl<T: Read + Write + Send> Channel for T {}

/// Makes a connection to the follower.
pub type Connect = Arc<dyn Fn() -> io::Result<Box<dyn Channel>> + Send + Sync>;

/// What becomes of disclosures while there is no second copy in step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenLost {
    /// They are refused.
    #[default]
    Stop,
    /// They are released once they are durable here.
    GoOn,
}

/// Where the second copy is.
#[derive(Clone)]
pub struct PeerOptions {
    pub connect: Connect,
    pub when_lost: WhenLost,
    /// How long to wait before another try to reach the follower, and between two looks whether
    /// it is still there.
    pub retry: Duration,
}

impl fmt::Debug for PeerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerOptions").field("when_lost", &self.when_lost).finish_non_exhaustive()
    }
}

/// How a second copy is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copying {
    /// Nobody answers, or not as a follower of this ledger does.
    Away,
    /// It is told what it does not have.
    CatchingUp,
    /// It has all, but for what is under way.
    InStep,
}

/// How a second copy is doing, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    pub copying: Copying,
    /// Since when it is so.
    pub since: Timestamp,
    /// How many entries it is known to have; `None` until it has said so.
    pub entries: Option<u64>,
    /// How many there are here that it is not known to have.
    pub behind: u64,
    /// What ended the last connection.
    pub trouble: Option<String>,
    /// Nothing is disclosed for as long as it is so.
    pub withholds: bool,
}

/// Why the follower can't be told.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkError {
    #[error("the follower has {there} entries and this ledger has {here}: it was put back")]
    Ahead { there: u64, here: u64 },
    #[error("the follower has another history of this ledger")]
    Fork,
    #[error("the follower refused: {0}")]
    Refused(String),
    #[error("the follower answers something else than was asked")]
    Protocol,
    #[error("the follower is too slow: more waits for it than may")]
    Slow,
    #[error("the ledger can't be read for the follower")]
    Damaged(#[from] Damage),
    #[error("the follower can't be reached")]
    Io(#[from] io::Error),
}

/// A disclosure that is durable here.
pub(crate) type Waiting = (RecordDone, Receipt);

/// Something for the follower, and who waits until it has it.
pub(super) struct Shipment {
    shipped: Shipped,
    waiting: Vec<Waiting>,
    bytes: usize,
}

struct State {
    copying: Copying,
    since: Timestamp,
    /// How many entries are durable here.
    durable: u64,
    /// How many the follower said to have last.
    acked: Option<u64>,
    trouble: Option<String>,
    /// The follower has more than there is here, or another history: nothing is disclosed.
    contradiction: Option<Arc<str>>,
    /// Only while in step.
    queue: VecDeque<Shipment>,
    queued_bytes: usize,
    /// No more comes.
    closing: bool,
}

/// What the writer, the thread and those who ask share.
pub(crate) struct Link {
    options: PeerOptions,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    changed: Condvar,
}

/// More than this does not wait for a follower.
const QUEUED_BYTES_MAX: usize = 64 << 20;
/// How many messages are sent before their answers are read.
const SHIPMENTS_AT_ONCE: usize = 64;
/// How far the place to go on from is brought at once while nothing else is to be done.
const IDLE_STEP: u64 = 100_000;

/// What the writer hands things to, and the thread, which is joined when the ledger closes.
pub(crate) type Linked = (Arc<Link>, JoinHandle<()>);

impl Link {
    /// Starts bringing the second copy up to date.
    pub(crate) fn start(
        options: PeerOptions,
        clock: Arc<dyn Clock>,
        (source, key): (Source, SigningKey),
        durable: u64,
    ) -> io::Result<Linked> {
        let link = Arc::new(Self::new(options, clock, durable));
        let telling = Telling::new(link.clone(), source, key);
        let thread = thread::Builder::new().name("ledger-peer".into());
        Ok((link, thread.spawn(move || telling.run())?))
    }

    pub(super) fn new(options: PeerOptions, clock: Arc<dyn Clock>, durable: u64) -> Self {
        let state = State {
            copying: Copying::Away,
            since: clock.now(),
            durable,
            acked: None,
            trouble: None,
            contradiction: None,
            queue: VecDeque::new(),
            queued_bytes: 0,
            closing: false,
        };
        Self { options, clock, state: Mutex::new(state), changed: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the second copy is doing.
    pub(crate) fn copied(&self) -> Copied {
        let state = self.state();
        Copied {
            copying: state.copying,
            since: state.since,
            entries: state.acked,
            behind: state.durable.saturating_sub(state.acked.unwrap_or(0)),
            trouble: state.trouble.clone(),
            withholds: state.contradiction.is_some()
                || state.copying != Copying::InStep && self.options.when_lost == WhenLost::Stop,
        }
    }

    /// What the follower has that this ledger can't have lost, until it is in step.
    pub(crate) fn contradiction(&self) -> Option<Arc<str>> {
        self.state().contradiction.clone()
    }

    /// Whether a disclosure may be recorded now: where none is released without the second copy,
    /// not while it is away.
    pub(crate) fn check(&self) -> Result<(), RecordError> {
        match self.options.when_lost {
            WhenLost::GoOn => Ok(()),
            WhenLost::Stop if self.state().copying == Copying::InStep => Ok(()),
            WhenLost::Stop => Err(RecordError::NoCopy),
        }
    }

    /// Takes what was made durable here, and who waits for it: told when the follower has it, or
    /// now if it is away.
    pub(crate) fn ship(&self, shipped: Vec<Shipped>, mut waiting: Vec<Waiting>) {
        let mut state = self.state();
        let last = shipped.len().saturating_sub(1);
        for (place, shipped) in shipped.into_iter().enumerate() {
            let mut bytes = 0;
            if let Shipped::Batch { piece, .. } = &shipped {
                state.durable = piece.size;
                bytes = piece.rows.len() + piece.frames.len();
            }
            if state.copying == Copying::InStep {
                state.queued_bytes += bytes;
                // Who waits does so for all of it.
                let is_last = place == last;
                let waiting = if is_last { std::mem::take(&mut waiting) } else { Vec::new() };
                state.queue.push_back(Shipment { shipped, waiting, bytes });
            }
        }
        let slow = state.queued_bytes > QUEUED_BYTES_MAX;
        drop(state);
        self.changed.notify_all();
        if slow {
            self.lost(&LinkError::Slow, VecDeque::new());
        }
        self.tell(waiting);
    }

    /// No more comes: what waits is sent, then the thread ends.
    pub(crate) fn close(&self) {
        self.state().closing = true;
        self.changed.notify_all();
    }

    /// Tells those who wait without a second copy.
    fn tell(&self, waiting: Vec<Waiting>) {
        for (done, receipt) in waiting {
            done(match self.options.when_lost {
                WhenLost::GoOn => Ok(receipt),
                WhenLost::Stop => Err(RecordError::NoCopy),
            });
        }
    }

    /// The follower is gone, with what was under way.
    pub(super) fn lost(&self, error: &LinkError, under_way: VecDeque<Shipment>) {
        let trouble = chain(error);
        let mut state = self.state();
        if matches!(error, LinkError::Ahead { .. } | LinkError::Fork) {
            state.contradiction = Some(trouble.as_str().into());
        }
        if state.copying != Copying::Away {
            state.copying = Copying::Away;
            state.since = self.clock.now();
            tracing::error!("the second copy is away: {trouble}");
        } else if state.trouble.as_ref() != Some(&trouble) {
            tracing::error!("the second copy is away: {trouble}");
        }
        state.trouble = Some(trouble);
        state.queued_bytes = 0;
        let queue = std::mem::take(&mut state.queue);
        drop(state);
        let all = under_way.into_iter().chain(queue);
        self.tell(all.flat_map(|shipment| shipment.waiting).collect());
    }

    fn set(&self, copying: Copying) {
        let mut state = self.state();
        (state.copying, state.since) = (copying, self.clock.now());
    }

    fn acked(&self, size: u64) {
        self.state().acked = Some(size);
    }

    /// Is in step from now on, if nothing has become durable since.
    fn fall_in(&self, durable: u64) -> bool {
        let mut state = self.state();
        let is = state.durable == durable;
        if is {
            (state.copying, state.since) = (Copying::InStep, self.clock.now());
            state.trouble = None;
            state.contradiction = None;
            tracing::info!(entries = durable, "the second copy is in step");
        }
        is
    }

    /// Waits a while; true if the ledger closes.
    fn rest(&self) -> bool {
        let state = self.state();
        let wait = |state: &mut State| !state.closing;
        let rested = self.changed.wait_timeout_while(state, self.options.retry, wait);
        rested.unwrap_or_else(PoisonError::into_inner).0.closing
    }

    /// What waits for the follower, or nothing if a while has passed; `None` if the ledger is
    /// closed and nothing waits. An error: the link was lost meanwhile.
    fn next(&self) -> Result<Option<Vec<Shipment>>, LinkError> {
        let state = self.state();
        let wait = |state: &mut State| {
            state.queue.is_empty() && !state.closing && state.copying == Copying::InStep
        };
        let waited = self.changed.wait_timeout_while(state, self.options.retry, wait);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if state.copying != Copying::InStep {
            return Err(LinkError::Slow);
        }
        if state.queue.is_empty() {
            return Ok((!state.closing).then(Vec::new));
        }
        let count = state.queue.len().min(SHIPMENTS_AT_ONCE);
        let taken: Vec<_> = state.queue.drain(..count).collect();
        state.queued_bytes -= taken.iter().map(|shipment| shipment.bytes).sum::<usize>();
        Ok(Some(taken))
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// The thread's own.
pub(super) struct Telling {
    link: Arc<Link>,
    source: Source,
    key: SigningKey,
    /// A place that the follower is known to have been at, so that not all has to be read again.
    mark: Mark,
    /// How many segments the follower has.
    segments: u64,
    /// The epochs whose keys it was told on this connection.
    told: BTreeSet<u16>,
}

impl Telling {
    pub(super) fn new(link: Arc<Link>, source: Source, key: SigningKey) -> Self {
        Self { link, source, key, mark: Mark::start(), segments: 0, told: BTreeSet::new() }
    }

    fn run(mut self) {
        loop {
            let mut under_way = VecDeque::new();
            match self.follow(&mut under_way) {
                Ok(()) => return,
                Err(error) => self.link.lost(&error, under_way),
            }
            if self.link.rest() {
                return;
            }
        }
    }

    /// One connection, until the ledger closes.
    fn follow(&mut self, under_way: &mut VecDeque<Shipment>) -> Result<(), LinkError> {
        let mut channel = (self.link.options.connect)()?;
        if !self.begin(&mut *channel)? {
            return Ok(());
        }
        while self.turn(&mut *channel, under_way)? {}
        Ok(())
    }

    /// Brings the follower up to date; false if the ledger closed before.
    pub(super) fn begin(&mut self, channel: &mut dyn Channel) -> Result<bool, LinkError> {
        self.greet(channel)?;
        self.link.set(Copying::CatchingUp);
        self.catch_up(channel)
    }

    /// Sends what waits and reads the answers, or asks whether the follower is there; false if the
    /// ledger is closed. What was not answered is left under way.
    pub(super) fn turn(
        &mut self,
        channel: &mut dyn Channel,
        under_way: &mut VecDeque<Shipment>,
    ) -> Result<bool, LinkError> {
        let Some(shipments) = self.link.next()? else { return Ok(false) };
        if shipments.is_empty() {
            ask(channel, &Message::Ask)?;
            self.go_on()?;
            return Ok(true);
        }
        *under_way = shipments.into();
        for shipment in under_way.iter_mut() {
            write_later(channel, &message(&mut shipment.shipped, &mut self.segments))?;
        }
        channel.flush()?;
        while let Some(shipment) = under_way.front_mut() {
            let size = durable(channel)?;
            if size != size_of(&shipment.shipped) {
                return Err(LinkError::Protocol);
            }
            self.link.acked(size);
            let waiting = std::mem::take(&mut shipment.waiting);
            waiting.into_iter().for_each(|(done, receipt)| done(Ok(receipt)));
            under_way.pop_front();
        }
        Ok(true)
    }

    /// Finds out where the follower is, and shows that this is the ledger that it follows.
    fn greet(&mut self, channel: &mut dyn Channel) -> Result<(), LinkError> {
        let key = self.key.verifying_key().as_str().to_owned();
        write(channel, &Message::Hello { key })?;
        let reply = reply(channel)?;
        let Message::Standing { challenge, size, root, segments } = reply else {
            return Err(LinkError::Protocol);
        };
        self.segments = segments;
        let State { durable: here, acked, .. } = *self.link.state();
        if size > here {
            return Err(LinkError::Ahead { there: size, here });
        }
        if acked.is_some_and(|acked| acked > size) {
            tracing::error!(had = acked, has = size, "the follower has lost entries");
        }
        let from = if self.mark.edge.size() <= size { self.mark.clone() } else { Mark::start() };
        let mark = self.source.find(from, size)?;
        if (mark.edge.size(), mark.edge.root()) != (size, root) {
            return Err(LinkError::Fork);
        }
        self.mark = mark;
        let answer = self.key.answer(&challenge).map_err(io::Error::other)?;
        ask(channel, &Message::Proof { answer })?;
        self.link.acked(size);
        self.told.clear();
        Ok(())
    }

    /// Tells the keys of epochs that the follower was not told.
    fn tell_keys(&mut self, channel: &mut dyn Channel) -> Result<(), LinkError> {
        let keys = Keys::load(self.source.disk())?;
        for epoch in keys.epochs().filter(|epoch| !self.told.contains(epoch)).collect::<Vec<_>>() {
            if let Ok(key) = keys.key(epoch) {
                ask(channel, &Message::Key { epoch, key: key.clone() })?;
                self.told.insert(epoch);
            }
        }
        Ok(())
    }

    /// Sends what the follower does not have, until the link is in step; false if the ledger closed
    /// before.
    fn catch_up(&mut self, channel: &mut dyn Channel) -> Result<bool, LinkError> {
        let key = self.key.verifying_key();
        let mut in_step = false;
        loop {
            let durable = self.link.state().durable;
            // A checkpoint is taken with exactly what it covers.
            let (text, checkpoint) = identity::checkpoint_text(self.source.disk(), &key)?;
            let here = self.mark.edge.size();
            let ahead = (here..=durable).contains(&checkpoint.size);
            if ahead && here == checkpoint.size {
                ask(channel, &Message::Checkpoint { text })?;
            }
            if in_step || self.link.state().closing {
                return Ok(in_step);
            }
            let until = if ahead && here < checkpoint.size { checkpoint.size } else { durable };
            let mut pieces = self.source.pieces(&self.mark, self.segments, until)?;
            let mut end = here;
            while let Some((piece, mark)) = pieces.next()? {
                end = piece.size;
                // Before the last piece is sent: else a busy writer would always be ahead.
                in_step = in_step || (end == durable && self.link.fall_in(durable));
                self.tell_keys(channel)?;
                if ask(channel, &Message::Append(piece))? != end {
                    return Err(LinkError::Protocol);
                }
                self.link.acked(end);
                self.mark = mark;
            }
            self.segments = self.segments.max(pieces.segments());
            if end < until {
                // What is durable can be read.
                return Err(LinkError::Io(io::ErrorKind::UnexpectedEof.into()));
            }
            in_step = in_step || (end == durable && self.link.fall_in(durable));
        }
    }

    /// Brings the place to go on from nearer to where the follower is.
    fn go_on(&mut self) -> Result<(), LinkError> {
        let acked = self.link.state().acked.unwrap_or(0);
        let from = self.mark.edge.size();
        if acked > from {
            self.mark = self.source.find(self.mark.clone(), acked.min(from + IDLE_STEP))?;
        }
        Ok(())
    }
}

/// How many entries the follower has once it has taken that.
fn size_of(shipped: &Shipped) -> u64 {
    match shipped {
        Shipped::Batch { piece: Piece { size, .. }, .. }
        | Shipped::Checkpoint { size, .. }
        | Shipped::Key { size, .. } => *size,
    }
}

/// What is said to a follower that has so many segments.
fn message(shipped: &mut Shipped, segments: &mut u64) -> Message {
    match shipped {
        Shipped::Batch { ordinal, piece } => {
            // Their size and who waits is all that is needed from here on.
            let (rows, frames) =
                (std::mem::take(&mut piece.rows), std::mem::take(&mut piece.frames));
            let header = piece.header.take().filter(|_| *ordinal >= *segments);
            if header.is_none() && frames.is_empty() {
                // A segment without entries that it was told of while it caught up.
                return Message::Ask;
            }
            *segments = (*segments).max(*ordinal + 1);
            let Piece { first, size, root, .. } = *piece;
            Message::Append(Piece { header, first, size, root, rows, frames })
        }
        Shipped::Checkpoint { text, .. } => Message::Checkpoint { text: std::mem::take(text) },
        Shipped::Key { epoch, key, .. } => Message::Key { epoch: *epoch, key: key.clone() },
    }
}

/// Says something; how many entries the follower has then.
fn ask(channel: &mut dyn Channel, message: &Message) -> Result<u64, LinkError> {
    write(channel, message)?;
    durable(channel)
}

fn durable(channel: &mut dyn Channel) -> Result<u64, LinkError> {
    let Message::Durable { size } = reply(channel)? else { return Err(LinkError::Protocol) };
    Ok(size)
}

/// What the follower answers, unless it refuses.
fn reply(channel: &mut dyn Channel) -> Result<Message, LinkError> {
    let reply = read(channel)?;
    if let Message::Refused { why } = reply {
        return Err(LinkError::Refused(why));
    }
    Ok(reply)
}
