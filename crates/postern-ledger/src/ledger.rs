//! The ledger as its callers see it: a queue in front of the one thread that writes.
//!
//! [`Ledger::record`] and [`Ledger::note`] never wait. They check what can be checked without the
//! disk, and refuse at once what is too large, looks back too far, or finds the queue full. The
//! writer takes all that waits as one batch, so that one sync serves many connections, and calls
//! back when the batch is durable. While the disk is nearly full it refuses disclosures, so that
//! notes still find room.
//!
//! What a batch does to the disk, step by step, is in `sequencer`. Where to start: `write`.

use std::{
    fmt, io,
    path::Path,
    sync::{
        Arc, Mutex, OnceLock, PoisonError, RwLock,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    task::Waker,
    thread::{JoinHandle, ThreadId},
    time::Instant,
};

use postern_model::{Actor, Subject};
use rand::RngExt;
use zeroize::Zeroizing;

use crate::{
    Coming, CreateError, Draft, Entry, EraseError, Limit, Note, OpenError, Options, Plan,
    RecordError, RetainError, Retained,
    bulk::Bulk,
    coming::Gathering,
    dictionary::TEXT_BYTES_MAX,
    disk::{Disk, Folder},
    follow::{
        Copied,
        link::{Link, Linked, Waiting},
        source::Source,
    },
    recover::{create_on, open_on},
    room::Room,
    sequencer::{Answer, Recorded, Sequencer, Work},
    told::{Done, NoteDone, RecordDone, RecordWakes},
};

/// Is told of entries once they are durable, in order, on the writer's thread.
pub type Hook = Arc<dyn Fn(Vec<Entry>) + Send + Sync>;
/// Is told the answer to a question; gets the limit that leaves no room, if there is one.
pub type AskDone = Box<dyn FnOnce(Result<Answer, RecordError>) + Send>;

/// The same for an erasure; gets the sequence of its last entry.
pub type EraseDone = Box<dyn FnOnce(Result<u64, EraseError>) + Send>;
/// The same for retention.
pub type RetainDone = Box<dyn FnOnce(Result<Retained, RetainError>) + Send>;

/// A ledger that is open for writing. Shared between threads behind an `Arc`.
pub struct Ledger {
    /// The second copy, if there is one.
    link: Option<Arc<Link>>,
    /// What waits for witnesses, if anything does.
    bulk: Option<Arc<Bulk>>,
    /// `None` once closed: with the sender gone, the writer finishes what waits and ends.
    requests: RwLock<Option<SyncSender<Message>>>,
    writer: Mutex<Option<JoinHandle<Result<(), RecordError>>>>,
    writer_id: ThreadId,
    coming: Coming,
    horizon: std::time::Duration,
    /// Why nothing may be disclosed any more. Never unset.
    put_back: OnceLock<Arc<str>>,
}

struct Request {
    work: Work,
    room: Room,
    done: Done,
}

/// Whether an actor may do what a statement would.
struct Question {
    actor: Actor,
    limits: Arc<[Limit]>,
    plan: Plan,
    done: AskDone,
}

/// Whose name is to be taken away.
struct Erasure {
    subject: Subject,
    by: Actor,
    why: Arc<str>,
    done: EraseDone,
}

/// Who has what is past retention forgotten.
struct Retaining {
    by: Actor,
    done: RetainDone,
}

enum Message {
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

/// How many requests one sync makes durable at most; fits a frame's `place`.
const BATCH_LEN_MAX: usize = 1024;
/// How much they may take together, roughly.
const BATCH_BYTES_MAX: u64 = 8 << 20;
/// The largest entry.
const ENTRY_BYTES_MAX: u64 = 16 << 20;

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").field("writer", &self.writer_id).finish_non_exhaustive()
    }
}

impl Ledger {
    /// Makes an empty ledger with a new key in a folder that has none. Nothing else ever does.
    pub fn create(folder: &Path, options: &Options) -> Result<(), CreateError> {
        let disk = Folder::make(folder).map_err(|error| CreateError::new(error, folder))?;
        let seed = Zeroizing::new(rand::rng().random::<[u8; 32]>());
        create_on(&disk, options, &seed)
    }

    /// Opens a ledger for writing. All of it is checked first; what a crash left unfinished is
    /// removed, everything else that is not as it should be is refused.
    pub fn open(folder: &Path, options: Options, hook: Hook) -> Result<Self, OpenError> {
        let salts = Box::new(|| rand::rng().random::<[u8; 16]>());
        let disk: Arc<dyn Disk> = Arc::new(Folder::new(folder));
        Self::start(open_on(disk, options, salts)?, hook)
    }

    pub(crate) fn start(mut sequencer: Sequencer, hook: Hook) -> Result<Self, OpenError> {
        let unseen = std::mem::take(&mut sequencer.unseen);
        let bulk =
            sequencer.options.bulk.map(|options| Bulk::start(options, unseen)).transpose()?;
        let waits = bulk.clone();
        let horizon = sequencer.budgets.horizon();
        let (sender, receiver) = sync_channel(sequencer.options.queue_len_max);
        let coming = Coming::default();
        let gathering = Gathering::new(coming.clone(), sequencer.options.commit_delay);
        let (sequencer, linked) = link(sequencer)?;
        let link = linked.as_ref().map(|(link, _)| link.clone());
        let writer = std::thread::Builder::new().name("ledger".into()).spawn(move || {
            let link = linked.as_ref().map(|(link, _)| &**link);
            let written = write(sequencer, &receiver, gathering, (&hook, link, waits.as_ref()));
            // What was written last goes to the second copy, too.
            if let Some((link, thread)) = linked {
                link.close();
                if thread.join().is_err() {
                    tracing::error!("the second copy's thread has panicked");
                }
            }
            waits.iter().for_each(|bulk| bulk.close());
            written
        })?;
        let writer_id = writer.thread().id();
        Ok(Self {
            link,
            bulk,
            requests: RwLock::new(Some(sender)),
            writer: Mutex::new(Some(writer)),
            writer_id,
            coming,
            horizon,
            put_back: OnceLock::new(),
        })
    }

    /// How the second copy is doing; `None` if the ledger has none.
    pub fn copied(&self) -> Option<Copied> {
        self.link.as_ref().map(|link| link.copied())
    }

    /// Enough witnesses have seen so many entries, by a checkpoint that they cosigned: what waits
    /// for that is released.
    pub fn witnessed(&self, entries: u64) {
        self.bulk.iter().for_each(|bulk| bulk.seen(entries));
    }

    /// How many results wait for witnesses; `None` if none ever do.
    pub fn waiting_for_witness(&self) -> Option<usize> {
        self.bulk.as_ref().map(|bulk| bulk.waiting())
    }

    /// Waits until a result begins to wait for witnesses, at most that long. Its entry is covered
    /// by a checkpoint then. Says whether any waits; none does where none ever do.
    pub fn wait_for_bulk(&self, timeout: std::time::Duration) -> bool {
        self.bulk.as_ref().is_some_and(|bulk| bulk.wait(timeout))
    }

    /// Others have seen more of this ledger than there is, or another history of it: from now on
    /// nothing is disclosed, until it is opened again. Notes are recorded.
    pub fn forbid(&self, why: &str) {
        if self.put_back.set(why.into()).is_ok() {
            tracing::error!("nothing more is disclosed: {why}");
        }
    }

    /// Why nothing may be disclosed, if so.
    pub fn forbidden(&self) -> Option<Arc<str>> {
        let by_copy = || self.link.as_ref().and_then(|link| link.contradiction());
        self.put_back.get().cloned().or_else(by_copy)
    }

    /// Who will record something soon; a sync may wait for them.
    pub fn coming(&self) -> &Coming {
        &self.coming
    }

    /// Records what is about to be disclosed. `done` gets the receipt when the entry is on stable
    /// storage; without a receipt nothing may leave.
    pub fn record(&self, draft: Draft, done: RecordDone) {
        self.record_and_tell(draft, Done::Record(done));
    }

    /// The same for who is woken when all that became durable with it is told, too.
    pub fn record_waking(&self, draft: Draft, done: RecordWakes) {
        self.record_and_tell(draft, Done::Wakes(done));
    }

    fn record_and_tell(&self, draft: Draft, done: Done) {
        match self.check(&draft) {
            Ok(room) => {
                let work = Work::Draft(draft);
                self.send(Message::Request(Request { work, room, done }));
            }
            Err(error) => done.refuse(error),
        }
    }

    /// Records something that is no disclosure. `done` gets the entry's sequence when it is on
    /// stable storage.
    pub fn note(&self, note: Note, done: NoteDone) {
        let room = Room::needed_by_note(&note);
        if room.frames_bytes > ENTRY_BYTES_MAX {
            return done(Err(RecordError::TooLarge));
        }
        let work = Work::Note(note);
        self.send(Message::Request(Request { work, room, done: Done::Note(done) }));
    }

    /// Takes a customer's name away, so that the ledger names nobody where it named them; every
    /// proof holds. `done` is told when that, and the entry that says so, are on stable storage.
    pub fn erase(&self, subject: Subject, by: Actor, why: Arc<str>, done: EraseDone) {
        self.send(Message::Erasure(Erasure { subject, by, why, done }));
    }

    /// Sees to retention as the options have it: begins an epoch if one is due, and makes the names
    /// of those past retention unreadable; every proof holds. `done` is told when that, and the
    /// entries that say so, are on stable storage.
    pub fn retain(&self, by: Actor, done: RetainDone) {
        self.send(Message::Retaining(Retaining { by, done }));
    }

    /// Whether the limits leave an actor room for a statement like this, should each of its
    /// searches find nobody. Nothing is recorded or charged; all that was handed in before is
    /// counted.
    pub fn ask(&self, actor: Actor, limits: Arc<[Limit]>, plan: Plan, done: AskDone) {
        if let Some(why) = self.forbidden() {
            return done(Err(RecordError::PutBack { why }));
        }
        self.send(Message::Question(Question { actor, limits, plan, done }));
    }

    /// Finishes what waits, signs a last checkpoint and ends the writer. Later requests are
    /// refused. An error says that the last entries are not covered by a checkpoint.
    pub fn close(&self) -> Result<(), RecordError> {
        drop(self.requests.write().unwrap_or_else(PoisonError::into_inner).take());
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        match writer {
            // A callback that drops the last reference must not wait for its own thread.
            Some(writer) if std::thread::current().id() != self.writer_id => {
                writer.join().unwrap_or(Err(RecordError::Closed))
            }
            _ => Ok(()),
        }
    }

    fn check(&self, draft: &Draft) -> Result<Room, RecordError> {
        if let Some(why) = self.forbidden() {
            return Err(RecordError::PutBack { why });
        }
        let too_far = |limit: &&Limit| limit.window > self.horizon;
        if let Some(&limit) = draft.limits.iter().find(too_far) {
            return Err(RecordError::Horizon { limit });
        }
        for touch in draft.rows.iter().flat_map(|row| &row.touches) {
            if usize::from(touch.leaf) >= draft.leaves.len() {
                return Err(RecordError::Leaf);
            }
            // A subject's text is never cut: two subjects would become one.
            if touch.subject.as_str().len() > TEXT_BYTES_MAX {
                return Err(RecordError::TooLarge);
            }
        }
        let room = Room::needed_by_draft(draft);
        if room.frames_bytes > ENTRY_BYTES_MAX { Err(RecordError::TooLarge) } else { Ok(room) }
    }

    fn send(&self, message: Message) {
        let sender = self.requests.read().unwrap_or_else(PoisonError::into_inner);
        let Some(sender) = sender.as_ref() else {
            return message.refuse(RecordError::Closed);
        };
        match sender.try_send(message) {
            Ok(()) => {}
            Err(TrySendError::Full(message)) => message.refuse(RecordError::Busy),
            Err(TrySendError::Disconnected(message)) => message.refuse(RecordError::Closed),
        }
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::error!(%error, "the ledger was not closed in good order");
        }
    }
}

impl Message {
    fn refuse(self, error: RecordError) {
        match self {
            Self::Request(request) => request.done.refuse(error),
            Self::Question(question) => (question.done)(Err(error)),
            Self::Erasure(erasure) => (erasure.done)(Err(error.into())),
            Self::Retaining(retaining) => (retaining.done)(Err(error.into())),
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

    fn take(&mut self, requests: &Receiver<Message>) {
        while !self.is_full() {
            let Ok(message) = requests.try_recv() else { break };
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

/// Signs at once what witnesses are to see.
fn sign_for_witnesses(sequencer: &mut Sequencer, link: Option<&Link>) {
    // Should there be no space it is signed with the next interval.
    let signed = sequencer.sign();
    tracing::trace!(?signed, "signed for who waits for witnesses");
    ship(sequencer, link, Vec::new());
}

/// Starts the thread that keeps the second copy, if there is to be one.
fn link(mut sequencer: Sequencer) -> io::Result<(Sequencer, Option<Linked>)> {
    let Some(peer) = sequencer.options.peer.clone() else { return Ok((sequencer, None)) };
    sequencer.shipping = Some(Vec::new());
    let source = Source::new(sequencer.disk.clone(), sequencer.segment.id);
    let (key, clock) = (sequencer.key.clone(), sequencer.options.clock.clone());
    let linked = Link::start(peer, clock, (source, key), sequencer.edge.size())?;
    Ok((sequencer, Some(linked)))
}

/// The writer's thread: batches until there are no more senders.
fn write(
    mut sequencer: Sequencer,
    requests: &Receiver<Message>,
    mut gathering: Gathering,
    told: Told<'_>,
) -> Result<(), RecordError> {
    let (_, link, _) = told;
    let interval = sequencer.options.checkpoint_interval;
    // Since when there are entries that no checkpoint covers.
    let unsigned = sequencer.signed < sequencer.edge.size();
    let mut unsigned_since = unsigned.then(Instant::now);
    loop {
        let first = match unsigned_since {
            None => requests.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(since) => requests.recv_timeout(interval.saturating_sub(since.elapsed())),
        };
        match first {
            Ok(first) => {
                let batch = gather(first, requests, &mut gathering);
                if batch.records() {
                    unsigned_since.get_or_insert_with(Instant::now);
                }
                handle(&mut sequencer, batch, told);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                let signed = sequencer.sign();
                ship(&mut sequencer, link, Vec::new());
                return signed;
            }
        }
        if unsigned_since.is_some_and(|since| since.elapsed() >= interval) {
            // An error was logged, and poisons if it must; an unsigned entry is durable all the
            // same.
            unsigned_since = match sequencer.sign() {
                Err(RecordError::Full { .. }) => Some(Instant::now()),
                Ok(()) | Err(_) => None,
            };
            ship(&mut sequencer, link, Vec::new());
        }
    }
}

/// Who is told of what was recorded: the hook, the second copy, what waits for witnesses.
type Told<'a> = (&'a Hook, Option<&'a Link>, Option<&'a Arc<Bulk>>);

fn handle(sequencer: &mut Sequencer, batch: Batch, told: Told<'_>) {
    let (hook, link, _) = told;
    let Batch { requests, questions, erasures, retaining, .. } = batch;
    if !requests.is_empty() {
        commit(sequencer, requests, told);
    }
    for erasure in erasures {
        erase(sequencer, erasure, hook, link);
    }
    for Retaining { by, done } in retaining {
        let mut recorded = Vec::new();
        let retained = sequencer.retain(&by, &mut recorded);
        ship(sequencer, link, Vec::new());
        hook_all(hook, recorded);
        done(retained);
    }
    for Question { actor, limits, plan, done } in questions {
        // What is found could not be recorded else.
        let copied = link.map_or(Ok(()), Link::check);
        done(copied.and_then(|()| sequencer.answer(&actor, &limits, plan)));
    }
}

/// Hands what was made durable to the second copy, if there is one.
fn ship(sequencer: &mut Sequencer, link: Option<&Link>, waiting: Vec<Waiting>) {
    let shipped = sequencer.shipping.as_mut().map(std::mem::take);
    if let (Some(link), Some(shipped)) = (link, shipped) {
        link.ship(shipped, waiting);
    }
}

fn erase(sequencer: &mut Sequencer, erasure: Erasure, hook: &Hook, link: Option<&Link>) {
    let Erasure { subject, by, why, done } = erasure;
    let erased = sequencer.erase(&subject, &by, &why);
    ship(sequencer, link, Vec::new());
    match erased {
        Ok(recorded) => {
            let last = recorded.last().map_or(0, |recorded| recorded.entry.sequence);
            done(Ok(last));
            hook_all(hook, recorded);
        }
        Err(error) => done(Err(error)),
    }
}

fn hook_all(hook: &Hook, recorded: Vec<Recorded>) {
    if !recorded.is_empty() {
        hook(recorded.into_iter().map(|recorded| recorded.entry).collect());
    }
}

/// All that waits, or comes in a moment, within bounds.
fn gather(first: Message, requests: &Receiver<Message>, gathering: &mut Gathering) -> Batch {
    let mut batch = Batch::default();
    batch.push(first);
    batch.take(requests);
    let before = batch.requests.len();
    // Questions alone are followed by no sync.
    if before > 0 && !batch.is_full() && gathering.wait() {
        batch.take(requests);
        gathering.learn(batch.requests.len() - before);
    }
    batch
}

/// Refuses the disclosures of a batch if they would use up what must stay free, or the second copy
/// is away; what else happens can still be recorded then.
fn keep_reserve(
    sequencer: &Sequencer,
    link: Option<&Link>,
    mut batch: Vec<Request>,
) -> Vec<Request> {
    let is_draft = |request: &Request| matches!(request.work, Work::Draft(_));
    if batch.iter().any(is_draft) {
        let room = batch.iter().map(|request| request.room).sum();
        let copied = link.map_or(Ok(()), Link::check);
        if let Err(error) = copied.and_then(|()| sequencer.check_reserve(room)) {
            let drafts = batch.extract_if(.., |request| is_draft(request));
            drafts.for_each(|draft| draft.done.refuse(error.clone()));
        }
    }
    batch
}

fn commit(sequencer: &mut Sequencer, batch: Vec<Request>, (hook, link, bulk): Told<'_>) {
    let batch = keep_reserve(sequencer, link, batch);
    if batch.is_empty() {
        return;
    }
    let room = batch.iter().map(|request| request.room).sum();
    match sequencer.commit(batch.iter().map(|request| &request.work), room) {
        Ok(recorded) => {
            let (mut entries, mut waiting) = (Vec::with_capacity(recorded.len()), Vec::new());
            let (mut held, mut signs, mut wakers) = (Vec::new(), false, Vec::new());
            for (request, Recorded { entry, receipt }) in batch.into_iter().zip(recorded) {
                let waits = bulk.filter(|bulk| !bulk.admits(&entry));
                let done = request.done.after(waits, entry.sequence);
                signs |= waits.is_some();
                // A checkpoint comes first, for who waits for witnesses alone.
                let copied =
                    if link.is_some() { done.waiting(receipt) } else { Err((done, receipt)) };
                match copied {
                    Ok(one) => waiting.push(one),
                    Err((done, receipt)) if waits.is_some() && link.is_none() => {
                        held.push((done, receipt, entry.sequence));
                    }
                    Err((done, receipt)) => wakers.extend(done.tell(receipt, entry.sequence)),
                }
                entries.push(entry);
            }
            wakers.into_iter().for_each(Waker::wake);
            ship(sequencer, link, waiting);
            hook(entries);
            if signs {
                sign_for_witnesses(sequencer, link);
            }
            for (done, receipt, sequence) in held {
                done.tell(receipt, sequence).into_iter().for_each(Waker::wake);
            }
        }
        Err(error) => {
            batch.into_iter().for_each(|request| request.done.refuse(error.clone()));
        }
    }
}
