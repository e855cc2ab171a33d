//! What writes a ledger: a queue, and whose turn it is.
//!
//! The writer takes all that waits as one batch, so that one sync serves many, and calls back when
//! the batch is durable. Its turns are a thread's of its own, or a caller's who has nothing else to
//! do until then: that one is not woken for it, nor is the thread. What waits comes before what the
//! caller brings, so that what somebody hands in is recorded in that order.
//!
//! Where to start: [`Desk::work`], the thread, and [`Desk::take_turn`].

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError},
    task::Waker,
    time::{Duration, Instant},
};

use postern_model::{Actor, Subject};

use crate::{
    Limit, Plan, RecordError,
    bulk::Bulk,
    coming::Gathering,
    follow::{
        link::{Link, Linked, Waiting},
        source::Source,
    },
    ledger::{AskDone, EraseDone, Hook, RetainDone},
    room::Room,
    sequencer::{Recorded, Sequencer, Work},
    told::Done,
};

/// How many requests one sync makes durable at most; fits a frame's `place`.
const BATCH_LEN_MAX: usize = 1024;
/// How much they may take together, roughly.
const BATCH_BYTES_MAX: u64 = 8 << 20;
/// A caller's thread does not wait for a disk that takes longer, as it has of late.
const QUICK: Duration = Duration::from_micros(500);

pub(crate) struct Request {
    pub(crate) work: Work,
    pub(crate) room: Room,
    pub(crate) done: Done,
}

/// Whether an actor may do what a statement would.
pub(crate) struct Question {
    pub(crate) actor: Actor,
    pub(crate) limits: Arc<[Limit]>,
    pub(crate) plan: Plan,
    pub(crate) done: AskDone,
}

/// Whose name is to be taken away.
pub(crate) struct Erasure {
    pub(crate) subject: Subject,
    pub(crate) by: Actor,
    pub(crate) why: Arc<str>,
    pub(crate) done: EraseDone,
}

/// Who has what is past retention forgotten.
pub(crate) struct Retaining {
    pub(crate) by: Actor,
    pub(crate) done: RetainDone,
}

pub(crate) enum Message {
    Request(Request),
    Question(Question),
    Erasure(Erasure),
    Retaining(Retaining),
}

#[derive(Default)]
struct Batch {
    requests: Vec<Request>,
    questions: Vec<Question>,
    erasures: Vec<Erasure>,
    retaining: Vec<Retaining>,
    bytes: u64,
}

/// The queue, and the writer behind it.
pub(crate) struct Desk {
    queue: Mutex<Queue>,
    /// Something came, or there is something to sign, or all is over.
    came: Condvar,
    /// Locked by whose turn it is; the queue is never locked while this is waited for. The thread
    /// takes it away when it ends, and what it holds on the disk goes with it.
    writer: Mutex<Option<Writer>>,
    len_max: usize,
}

#[derive(Default)]
struct Queue {
    messages: VecDeque<Message>,
    /// Nothing more is taken.
    closed: bool,
    /// The thread waits to be told.
    asleep: bool,
    /// When what is written has to be signed.
    sign_by: Option<Instant>,
}

struct Writer {
    sequencer: Sequencer,
    gathering: Gathering,
    /// Since when there are entries that no checkpoint covers.
    unsigned_since: Option<Instant>,
    /// How long recording has taken of late.
    pace: Duration,
    hook: Hook,
    link: Option<Arc<Link>>,
    bulk: Option<Arc<Bulk>>,
}

impl Message {
    pub(crate) fn refuse(self, error: RecordError) {
        match self {
            Self::Request(request) => request.done.refuse(error),
            Self::Question(question) => (question.done)(Err(error)),
            Self::Erasure(erasure) => (erasure.done)(Err(error.into())),
            Self::Retaining(retaining) => (retaining.done)(Err(error.into())),
        }
    }

    /// The room that is all it takes; `None` if it may have the dictionary written anew.
    fn room(&self) -> Option<Room> {
        match self {
            Self::Request(request) => Some(request.room),
            Self::Question(_) => Some(Room::default()),
            Self::Erasure(_) | Self::Retaining(_) => None,
        }
    }
}

impl Batch {
    fn push(&mut self, message: Message) {
        match message {
            Message::Request(request) => {
                self.bytes += request.room.frames_bytes + request.room.rows_bytes;
                self.requests.push(request);
            }
            Message::Question(question) => self.questions.push(question),
            Message::Erasure(erasure) => self.erasures.push(erasure),
            Message::Retaining(retaining) => self.retaining.push(retaining),
        }
    }

    fn take(&mut self, messages: &mut VecDeque<Message>) {
        while !self.is_full() {
            let Some(message) = messages.pop_front() else { break };
            self.push(message);
        }
    }

    fn len(&self) -> usize {
        self.requests.len() + self.questions.len() + self.erasures.len() + self.retaining.len()
    }

    /// Whether entries come of it.
    fn records(&self) -> bool {
        self.len() > self.questions.len()
    }

    fn is_full(&self) -> bool {
        self.len() >= BATCH_LEN_MAX || self.bytes >= BATCH_BYTES_MAX
    }
}

/// Starts the thread that keeps the second copy, if there is to be one.
pub(crate) fn link(mut sequencer: Sequencer) -> io::Result<(Sequencer, Option<Linked>)> {
    let Some(peer) = sequencer.options.peer.clone() else { return Ok((sequencer, None)) };
    sequencer.shipping = Some(Vec::new());
    let source = Source::new(sequencer.disk.clone(), sequencer.segment.id);
    let (key, clock) = (sequencer.key.clone(), sequencer.options.clock.clone());
    let linked = Link::start(peer, clock, (source, key), sequencer.edge.size())?;
    Ok((sequencer, Some(linked)))
}

impl Desk {
    /// In front of a writer that tells these of what it records.
    pub(crate) fn new(
        sequencer: Sequencer,
        gathering: Gathering,
        (hook, link, bulk): (Hook, Option<Arc<Link>>, Option<Arc<Bulk>>),
    ) -> Self {
        let len_max = sequencer.options.queue_len_max;
        let unsigned = sequencer.signed < sequencer.edge.size();
        let unsigned_since = unsigned.then(Instant::now);
        let pace = Duration::ZERO;
        let writer = Writer { sequencer, gathering, unsigned_since, pace, hook, link, bulk };
        let queue = Queue { sign_by: writer.sign_by(), ..Queue::default() };
        Self { queue: queue.into(), came: Condvar::new(), writer: Some(writer).into(), len_max }
    }

    /// How much waits to be done.
    pub(crate) fn queued(&self) -> usize {
        self.queue().messages.len()
    }

    /// Puts something where the thread finds it.
    pub(crate) fn put(&self, message: Message) {
        let mut queue = self.queue();
        if queue.closed {
            drop(queue);
            return message.refuse(RecordError::Closed);
        }
        if queue.messages.len() >= self.len_max {
            drop(queue);
            return message.refuse(RecordError::Busy);
        }
        queue.messages.push_back(message);
        self.tell(&queue);
    }

    /// Does all that waits, and this, on the caller's thread, if nobody else is at it and it takes
    /// no longer than a quick disk takes; else it is put in the queue. What is to be signed by now
    /// is the thread's: who comes again and again would keep it from its turn.
    pub(crate) fn take_turn(&self, message: Message) {
        let mut turn = match self.writer.try_lock() {
            Ok(turn) => turn,
            Err(TryLockError::WouldBlock) => return self.put(message),
            // Whoever had the last turn did not end it.
            Err(TryLockError::Poisoned(_)) => return message.refuse(RecordError::Closed),
        };
        let is_free = |writer: &&mut Writer| writer.pace <= QUICK && !writer.is_to_sign();
        let Some(writer) = turn.as_mut().filter(is_free) else {
            drop(turn);
            return self.put(message);
        };
        let mut queue = self.queue();
        if queue.closed {
            drop((queue, turn));
            return message.refuse(RecordError::Closed);
        }
        if !writer.is_quick(queue.messages.iter().chain([&message])) {
            drop((queue, turn));
            return self.put(message);
        }
        let mut batch = Batch::default();
        batch.take(&mut queue.messages);
        if queue.messages.is_empty() && !batch.is_full() {
            batch.push(message);
        } else {
            queue.messages.push_back(message);
        }
        drop(queue);
        writer.handle(batch);
        self.note_unsigned(writer);
    }

    /// Nothing more is taken; the thread finishes what waits and ends.
    pub(crate) fn close(&self) {
        let mut queue = self.queue();
        queue.closed = true;
        self.tell(&queue);
    }

    /// The thread: turns until it is closed. An error says that the last entries are not covered
    /// by a checkpoint.
    pub(crate) fn work(&self) -> Result<(), RecordError> {
        let _ends = Ends(self);
        loop {
            let goes_on = self.wait();
            let Ok(mut turn) = self.writer.lock() else { return Err(RecordError::Closed) };
            if !goes_on {
                let mut writer = turn.take().ok_or(RecordError::Closed)?;
                let signed = writer.sequencer.sign();
                writer.ship(Vec::new());
                return signed;
            }
            let writer = turn.as_mut().ok_or(RecordError::Closed)?;
            let batch = self.gather(&mut writer.gathering);
            writer.handle(batch);
            writer.sign_in_time();
            self.note_unsigned(writer);
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the thread, if it sleeps.
    fn tell(&self, queue: &Queue) {
        if queue.asleep {
            self.came.notify_one();
        }
    }

    /// The thread is to sign in time what was written.
    fn note_unsigned(&self, writer: &Writer) {
        let sign_by = writer.sign_by();
        let mut queue = self.queue();
        let sooner = queue.sign_by.is_none() && sign_by.is_some();
        queue.sign_by = sign_by;
        if sooner {
            self.tell(&queue);
        }
    }

    /// Until there is something to do; `false` if nothing will come any more.
    fn wait(&self) -> bool {
        let mut queue = self.queue();
        loop {
            if !queue.messages.is_empty() {
                return true;
            }
            if queue.closed {
                return false;
            }
            queue.asleep = true;
            queue = match queue.sign_by {
                None => self.came.wait(queue).unwrap_or_else(PoisonError::into_inner),
                Some(at) => {
                    let left = at.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        queue.asleep = false;
                        return true;
                    }
                    let waited = self.came.wait_timeout(queue, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
            queue.asleep = false;
        }
    }

    /// All that waits, or comes in a moment, within bounds.
    fn gather(&self, gathering: &mut Gathering) -> Batch {
        let mut batch = Batch::default();
        batch.take(&mut self.queue().messages);
        let before = batch.requests.len();
        // Questions alone are followed by no sync.
        if before > 0 && !batch.is_full() && gathering.wait() {
            batch.take(&mut self.queue().messages);
            gathering.learn(batch.requests.len() - before);
        }
        batch
    }
}

/// The thread ends, in whatever way: what it leaves is refused.
struct Ends<'a>(&'a Desk);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        let mut queue = self.0.queue();
        queue.closed = true;
        let left = std::mem::take(&mut queue.messages);
        drop(queue);
        left.into_iter().for_each(|message| message.refuse(RecordError::Closed));
    }
}

impl Writer {
    fn sign_by(&self) -> Option<Instant> {
        self.unsigned_since.map(|since| since + self.sequencer.options.checkpoint_interval)
    }

    fn is_to_sign(&self) -> bool {
        self.sign_by().is_some_and(|at| at <= Instant::now())
    }

    /// Whether messages take no more than to be written and synced: neither is room to be made for
    /// them, which is a whole segment, nor is the dictionary to be written anew.
    fn is_quick<'a>(&self, messages: impl Iterator<Item = &'a Message>) -> bool {
        let room = messages.map(Message::room).sum::<Option<Room>>();
        room.is_some_and(|room| self.sequencer.claim(room) == 0)
    }

    fn sign_in_time(&mut self) {
        if self.is_to_sign() {
            // An error was logged, and poisons if it must; an unsigned entry is durable all the
            // same.
            self.unsigned_since = match self.sequencer.sign() {
                Err(RecordError::Full { .. }) => Some(Instant::now()),
                Ok(()) | Err(_) => None,
            };
            self.ship(Vec::new());
        }
    }

    fn handle(&mut self, batch: Batch) {
        let records = batch.records();
        let start = Instant::now();
        if records {
            self.unsigned_since.get_or_insert(start);
        }
        let Batch { requests, questions, erasures, retaining, .. } = batch;
        if !requests.is_empty() {
            self.commit(requests);
        }
        for erasure in erasures {
            self.erase(erasure);
        }
        for Retaining { by, done } in retaining {
            let mut recorded = Vec::new();
            let retained = self.sequencer.retain(&by, &mut recorded);
            self.ship(Vec::new());
            self.hook_all(recorded);
            done(retained);
        }
        for Question { actor, limits, plan, done } in questions {
            // What is found could not be recorded else.
            let copied = self.link.as_deref().map_or(Ok(()), Link::check);
            done(copied.and_then(|()| self.sequencer.answer(&actor, &limits, plan)));
        }
        if records {
            self.pace = (7 * self.pace + start.elapsed()) / 8;
        }
    }

    /// Hands what was made durable to the second copy, if there is one.
    fn ship(&mut self, waiting: Vec<Waiting>) {
        let shipped = self.sequencer.shipping.as_mut().map(std::mem::take);
        if let (Some(link), Some(shipped)) = (&self.link, shipped) {
            link.ship(shipped, waiting);
        }
    }

    /// Signs at once what witnesses are to see.
    fn sign_for_witnesses(&mut self) {
        // Should there be no space it is signed with the next interval.
        let signed = self.sequencer.sign();
        tracing::trace!(?signed, "signed for who waits for witnesses");
        self.ship(Vec::new());
    }

    fn erase(&mut self, erasure: Erasure) {
        let Erasure { subject, by, why, done } = erasure;
        let mut recorded = Vec::new();
        let erased = self.sequencer.erase(&subject, (&by, &why), &mut recorded);
        self.ship(Vec::new());
        let last = recorded.last().map_or(0, |recorded| recorded.entry.sequence);
        self.hook_all(recorded);
        done(erased.map(|()| last));
    }

    fn hook_all(&self, recorded: Vec<Recorded>) {
        if !recorded.is_empty() {
            (self.hook)(recorded.into_iter().map(|recorded| recorded.entry).collect());
        }
    }

    /// Refuses the disclosures of a batch if they would use up what must stay free, or the second
    /// copy is away; what else happens can still be recorded then.
    fn keep_reserve(&self, mut batch: Vec<Request>) -> Vec<Request> {
        let is_draft = |request: &Request| matches!(request.work, Work::Draft(_));
        if batch.iter().any(is_draft) {
            let room = batch.iter().map(|request| request.room).sum();
            let copied = self.link.as_deref().map_or(Ok(()), Link::check);
            if let Err(error) = copied.and_then(|()| self.sequencer.check_reserve(room)) {
                let drafts = batch.extract_if(.., |request| is_draft(request));
                drafts.for_each(|draft| draft.done.refuse(error.clone()));
            }
        }
        batch
    }

    fn commit(&mut self, batch: Vec<Request>) {
        let batch = self.keep_reserve(batch);
        if batch.is_empty() {
            return;
        }
        let room = batch.iter().map(|request| request.room).sum();
        match self.sequencer.commit(batch.iter().map(|request| &request.work), room) {
            Ok(recorded) => self.tell(batch, recorded),
            Err(error) => {
                batch.into_iter().for_each(|request| request.done.refuse(error.clone()));
            }
        }
    }

    /// What was recorded is durable.
    fn tell(&mut self, batch: Vec<Request>, recorded: Vec<Recorded>) {
        let (mut entries, mut waiting) = (Vec::with_capacity(recorded.len()), Vec::new());
        let (mut held, mut signs, mut wakers) = (Vec::new(), false, Vec::new());
        for (request, Recorded { entry, receipt }) in batch.into_iter().zip(recorded) {
            let waits = self.bulk.as_ref().filter(|bulk| !bulk.admits(&entry));
            let done = request.done.after(waits, entry.sequence);
            signs |= waits.is_some();
            // A checkpoint comes first, for who waits for witnesses alone.
            let copied =
                if self.link.is_some() { done.waiting(receipt) } else { Err((done, receipt)) };
            match copied {
                Ok(one) => waiting.push(one),
                Err((done, receipt)) if waits.is_some() && self.link.is_none() => {
                    held.push((done, receipt, entry.sequence));
                }
                Err((done, receipt)) => wakers.extend(done.tell(receipt, entry.sequence)),
            }
            entries.push(entry);
        }
        wakers.into_iter().for_each(Waker::wake);
        self.ship(waiting);
        (self.hook)(entries);
        if signs {
            self.sign_for_witnesses();
        }
        for (done, receipt, sequence) in held {
            done.tell(receipt, sequence).into_iter().for_each(Waker::wake);
        }
    }
}

#[cfg(test)]
mod tests;
