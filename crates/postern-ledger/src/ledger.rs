//! The ledger as its callers see it: a queue in front of what writes.
//!
//! [`Ledger::record`] and [`Ledger::note`] never wait. They check what can be checked without the
//! disk, and refuse at once what is too large, looks back too far, or finds the queue full. While
//! the disk is nearly full disclosures are refused, so that notes still find room.
//!
//! Who writes, and how one sync serves many, is in `writer`; what a batch does to the disk, step by
//! step, in `sequencer`.

use std::{
    fmt,
    path::Path,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    thread::{JoinHandle, ThreadId},
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
    follow::{Copied, link::Link},
    recover::{create_on, open_on},
    room::Room,
    sequencer::{Answer, Sequencer, Work},
    told::{Done, NoteDone, RecordDone, RecordWakes},
    writer::{Desk, Erasure, Message, Question, Request, Retaining, link},
};

/// The largest entry.
const ENTRY_BYTES_MAX: u64 = 16 << 20;

/// Is told of entries once they are durable, in order, on the thread that wrote them.
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
    desk: Arc<Desk>,
    writer: Mutex<Option<JoinHandle<Result<(), RecordError>>>>,
    writer_id: ThreadId,
    coming: Coming,
    horizon: std::time::Duration,
    /// Why nothing may be disclosed any more. Never unset.
    put_back: OnceLock<Arc<str>>,
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").field("writer", &self.writer_id).finish_non_exhaustive()
    }
}

impl Ledger {
    /// Makes an empty ledger with a new key in a folder that has none. Nothing else ever does.
    ///
    /// # Errors
    /// There is a ledger in the folder, or the rest of one ([`CreateError::Exists`]); the name in
    /// the options can't be a ledger's; or a file can't be made durable. What was made until then
    /// is no ledger: opening says that there is none, or that it is damaged.
    pub fn create(folder: &Path, options: &Options) -> Result<(), CreateError> {
        let disk = Folder::make(folder).map_err(|error| CreateError::new(error, folder))?;
        let seed = Zeroizing::new(rand::rng().random::<[u8; 32]>());
        create_on(&disk, options, &seed)
    }

    /// Opens a ledger for writing. All of it is checked first; what a crash left unfinished is
    /// removed, everything else that is not as it should be is refused.
    ///
    /// # Errors
    /// There is none ([`OpenError::NotThere`]), or one of another name; another process writes to
    /// it ([`OpenError::Locked`]); it does not hold, is behind what witnesses saw, or can't be read
    /// ([`OpenError::Damaged`], which says where); or it can't be written to, or no thread be had
    /// ([`OpenError::Io`]). Nothing that a receipt was given for is changed then.
    pub fn open(folder: &Path, options: Options, hook: Hook) -> Result<Self, OpenError> {
        let salts = Box::new(|| rand::rng().random::<[u8; 16]>());
        let disk: Arc<dyn Disk> = Arc::new(Folder::new(folder));
        Self::start(open_on(disk, options, salts)?, hook)
    }

    pub(crate) fn start(mut sequencer: Sequencer, hook: Hook) -> Result<Self, OpenError> {
        let unseen = std::mem::take(&mut sequencer.unseen);
        let bulk =
            sequencer.options.bulk.map(|options| Bulk::start(options, unseen)).transpose()?;
        let (waits, own_bulk) = (bulk.clone(), bulk.clone());
        let horizon = sequencer.budgets.horizon();
        let coming = Coming::default();
        let gathering = Gathering::new(coming.clone(), sequencer.options.commit_delay);
        let (sequencer, linked) = link(sequencer)?;
        let link = linked.as_ref().map(|(link, _)| link.clone());
        let desk = Arc::new(Desk::new(sequencer, gathering, (hook, link.clone(), bulk)));
        let own = desk.clone();
        let writer = std::thread::Builder::new().name("ledger".into()).spawn(move || {
            let written = own.work();
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
        let (writer_id, put_back) = (writer.thread().id(), OnceLock::new());
        let (writer, bulk) = (Mutex::new(Some(writer)), own_bulk);
        Ok(Self { link, bulk, desk, writer, writer_id, coming, horizon, put_back })
    }

    /// How the second copy is doing; `None` if the ledger has none.
    pub fn copied(&self) -> Option<Copied> {
        self.link.as_ref().map(|link| link.copied())
    }

    /// How many requests wait to be written.
    pub fn queued(&self) -> usize {
        self.desk.queued()
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

    /// The same for who has nothing else to do until then, nor has anybody on its thread. Where
    /// nobody else is about to record something, and the disk is quick, the caller writes it and
    /// waits for the sync.
    pub fn record_here(&self, draft: Draft, done: RecordWakes) {
        match self.request(draft, Done::Wakes(done)) {
            Some(request) if self.coming.is_any() => self.desk.put(request),
            Some(request) => self.desk.take_turn(request),
            None => {}
        }
    }

    fn record_and_tell(&self, draft: Draft, done: Done) {
        if let Some(request) = self.request(draft, done) {
            self.desk.put(request);
        }
    }

    /// What is to be written, if it may be; else it is refused.
    fn request(&self, draft: Draft, done: Done) -> Option<Message> {
        match self.check(&draft) {
            Ok(room) => Some(Message::Request(Request { work: Work::Draft(draft), room, done })),
            Err(error) => {
                done.refuse(error);
                None
            }
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
        self.desk.put(Message::Request(Request { work, room, done: Done::Note(done) }));
    }

    /// Takes a customer's name away, so that the ledger names nobody where it named them; every
    /// proof holds. `done` is told when that, and the entry that says so, are on stable storage.
    pub fn erase(&self, subject: Subject, by: Actor, why: Arc<str>, done: EraseDone) {
        self.desk.put(Message::Erasure(Erasure { subject, by, why, done }));
    }

    /// Sees to retention as the options have it: begins an epoch if one is due, and makes the names
    /// of those past retention unreadable; every proof holds. `done` is told when that, and the
    /// entries that say so, are on stable storage.
    pub fn retain(&self, by: Actor, done: RetainDone) {
        self.desk.put(Message::Retaining(Retaining { by, done }));
    }

    /// Whether the limits leave an actor room for a statement like this, should each of its
    /// searches find nobody. Nothing is recorded or charged; all that was handed in before is
    /// counted.
    pub fn ask(&self, actor: Actor, limits: Arc<[Limit]>, plan: Plan, done: AskDone) {
        if let Some(why) = self.forbidden() {
            return done(Err(RecordError::PutBack { why }));
        }
        self.desk.put(Message::Question(Question { actor, limits, plan, done }));
    }

    /// Finishes what waits, signs a last checkpoint and ends the writer. Later requests are
    /// refused.
    ///
    /// # Errors
    /// The last entries are not covered by a checkpoint: writing has failed, now or before
    /// ([`RecordError::Poisoned`]), there is no space for it ([`RecordError::Full`]), or the writer
    /// has panicked ([`RecordError::Closed`]). Every entry that a receipt was given for is durable
    /// all the same.
    pub fn close(&self) -> Result<(), RecordError> {
        self.desk.close();
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
}

impl Drop for Ledger {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::error!(%error, "the ledger was not closed in good order");
        }
    }
}
