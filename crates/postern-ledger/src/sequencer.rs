//! The critical sequence: order, charge, number, write, sync, receipts. Whose turn it is owns it.

use std::{any::Any, cell::Cell, collections::BTreeMap, io, sync::Arc, time::Instant};

use postern_merkle::{Checkpoint, Edge, SigningKey};
use postern_model::{Actor, Grade, Subject, Timestamp};

use crate::{
    Body, Disclosed, Draft, DraftLookup, DraftRow, Entry, Group, Limit, LookedUp, Note, Options,
    Plan, Receipt, RecordError, Touch,
    budget::{ActorBudget, Budgets, RowTouch},
    bulk::UnseenBefore,
    dictionary::Dictionary,
    disk::{Disk, is_full, replace},
    entry::charged,
    epoch::Stage,
    follow::{Piece, Shipped},
    frame::{self, SegmentHeader},
    identity::CHECKPOINT,
    leaf::{Leaf, SegmentSecret},
    payload::{Encoded, Encoder, lookups_are_charged},
    room::{Room, RowsLog, Segment},
    values::{self, GroupKey, ValueKey},
};

/// What is to be recorded.
#[derive(Debug)]
pub(crate) enum Work {
    Draft(Draft),
    Note(Note),
    /// A note that a customer's name was taken away, of which this is the number.
    Erasure {
        note: Note,
        number: u32,
    },
}

/// Whether there is room for a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The first limit that keeps it from being run.
    pub stopped: Option<Limit>,
    /// Whether a statement of the actor was stopped while it ran, as far back as budgets go: if
    /// not, and until one is, a statement without searches needs no question.
    pub was_stopped: bool,
}

/// What was recorded: the entry, and the receipt if it was a draft.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub(crate) entry: Entry,
    pub(crate) receipt: Option<Receipt>,
}

/// The writer's state. All of it belongs to whose turn it is; nothing else touches it.
pub(crate) struct Sequencer {
    pub(crate) disk: Arc<dyn Disk>,
    /// Keeps other writers out for as long as this one lives.
    pub(crate) _lock: Box<dyn Any + Send>,
    pub(crate) options: Options,
    pub(crate) key: SigningKey,
    /// What the salts of new segments are made of.
    pub(crate) secret: SegmentSecret,
    pub(crate) segment: Segment,
    pub(crate) rows: RowsLog,
    pub(crate) dictionary: Dictionary,
    /// What values are hashed with now.
    pub(crate) value_key: ValueKey,
    pub(crate) budgets: Budgets,
    /// The tree over all entries; those in memory only while a batch is being written.
    pub(crate) edge: Edge,
    /// Which epoch is written in, and which are past retention.
    pub(crate) stage: Stage,
    /// When each epoch began, from the first on.
    pub(crate) begun: Vec<Timestamp>,
    /// The time of the last entry or question.
    pub(crate) last: Timestamp,
    /// How many entries the newest checkpoint on disk covers.
    pub(crate) signed: u64,
    /// What was shown of which no witness is known to have seen the entry, when it was opened.
    pub(crate) unseen: UnseenBefore,
    /// When the disk was looked at last and had room.
    pub(crate) had_room: Cell<Option<Instant>>,
    /// Set by the first error that leaves it open what is on disk. Never unset.
    pub(crate) poison: Option<Arc<io::Error>>,
    /// What was made durable since it was last taken, for a second copy. `None`: there is none.
    pub(crate) shipping: Option<Vec<Shipped>>,
}

impl Sequencer {
    /// Records a batch that takes at most `room`: all of it or nothing. When this returns, what it
    /// returns is on stable storage.
    pub(crate) fn commit<'a>(
        &mut self,
        batch: impl Iterator<Item = &'a Work>,
        room: Room,
    ) -> Result<Vec<Recorded>, RecordError> {
        self.check_poison()?;
        // Room first, while nothing has changed. A crash here leaves at most a `.tmp` file, a
        // segment without entries, or zeros at the dictionary's end; opening removes the first and
        // goes on with the others.
        let before = self.segment.header();
        self.make_room(room)?;
        self.ship_skipped(before);

        // Memory only: order, charges, numbers, tree. A crash here loses requests that nobody was
        // told of. From here on there is no way back but to finish or to be poisoned, since
        // numbers and charges were given out.
        let now = self.options.now().max(self.last);
        self.last = now;
        let first = self.edge.size();
        let mut frames = Vec::new();
        let mut recorded = Vec::new();
        for (place, work) in (0..).zip(batch) {
            let (Encoded { payload, binding }, one) = self.sequence(work, now);
            frame::encode(&mut frames, place, &payload);
            // There is a salt, since there is room.
            let leaf = Leaf::new(&payload, &self.segment.salt.unwrap_or_default());
            self.edge.append(leaf.finish(&payload, binding.as_ref()));
            recorded.push(one);
        }

        // Dictionary before entries: an entry on disk can always be read. A crash before or in
        // this step leaves rows that no entry uses, whole or torn; opening zeroes them.
        let rows = std::mem::take(&mut self.dictionary.unwritten);
        if !rows.is_empty() {
            let written = self.rows.append(&rows);
            written.map_err(|error| self.poisoned(error))?;
        }

        // The entries, in one write and one sync. A crash in this step leaves any part of them,
        // in any order of sectors; no receipt was given for any, so opening may keep a prefix
        // (the data did not leave, the entry says that it was about to) and zeroes the rest.
        let written = self.segment.append(&frames);
        written.map_err(|error| self.poisoned(error))?;
        self.ship(first, rows, frames);

        // Durable. A crash from here on loses receipts, not entries.
        Ok(recorded)
    }

    /// Puts a batch that is durable where the second copy's link takes it.
    fn ship(&mut self, first: u64, rows: Vec<u8>, frames: Vec<u8>) {
        let Some(shipping) = &mut self.shipping else { return };
        let (size, root) = (self.edge.size(), self.edge.root());
        let header = self.segment.header().encode(self.segment.id);
        shipping.push(Shipped::Batch {
            ordinal: self.segment.ordinal,
            piece: Piece { header: Some(header), first, size, root, rows, frames },
        });
    }

    /// The same for a segment that was left without entries, since a batch did not fit.
    fn ship_skipped(&mut self, before: SegmentHeader) {
        let Some(shipping) = &mut self.shipping else { return };
        if before.ordinal == self.segment.ordinal || before.first != self.segment.first {
            return;
        }
        let (size, root) = (self.edge.size(), self.edge.root());
        let header = Some(before.encode(self.segment.id));
        let (rows, frames) = (Vec::new(), Vec::new());
        let piece = Piece { header, first: size, size, root, rows, frames };
        shipping.push(Shipped::Batch { ordinal: before.ordinal, piece });
    }

    /// Whether a disclosure that takes at most `needed` leaves as much free on the disk as must
    /// stay free. Preallocated room counts as used, so that this holds for all that is to come.
    pub(crate) fn check_reserve(&self, needed: Room) -> Result<(), RecordError> {
        self.check_poison()?;
        let reserve = self.options.min_free_bytes;
        if reserve == 0 {
            return Ok(());
        }
        let claim = self.claim(needed);
        let holds = |at: Instant| at.elapsed() < self.options.room_holds;
        if claim == 0 && self.had_room.get().is_some_and(holds) {
            return Ok(());
        }
        let free = self.disk.free_bytes().map_err(full)?;
        if free >= reserve.saturating_add(claim) {
            self.had_room.set(Some(Instant::now()));
            return Ok(());
        }
        self.had_room.set(None);
        let text = format!("{free} bytes are free, {claim} are needed and {reserve} must stay");
        Err(full(io::Error::new(io::ErrorKind::StorageFull, text)))
    }

    /// How much of the disk has to be claimed for what takes so much.
    pub(crate) fn claim(&self, needed: Room) -> u64 {
        let rows_bytes = self.dictionary.rows_bytes(needed.rows_bytes);
        self.segment.claim(needed.frames_bytes, self.options.segment_bytes)
            + self.rows.claim(rows_bytes, self.options.dictionary_step_bytes)
    }

    pub(crate) fn check_poison(&self) -> Result<(), RecordError> {
        match &self.poison {
            Some(source) => Err(RecordError::Poisoned { source: source.clone() }),
            None => Ok(()),
        }
    }

    /// After an error that leaves it open what is on disk, nothing is written again: a second
    /// sync may succeed although the kernel has dropped the data of the first.
    pub(crate) fn poisoned(&mut self, error: io::Error) -> RecordError {
        let source = Arc::new(error);
        tracing::error!(error = %source, "writing the ledger failed, nothing more is disclosed");
        self.poison = Some(source.clone());
        RecordError::Poisoned { source }
    }

    fn make_room(&mut self, needed: Room) -> Result<(), RecordError> {
        if !self.dictionary.has_room_for(needed.rows_bytes) {
            return Err(RecordError::TooLarge);
        }
        let first = self.edge.size();
        let rows_bytes = self.dictionary.rows_bytes(needed.rows_bytes);
        let made =
            self.rows.make_room(rows_bytes, self.options.dictionary_step_bytes).and_then(|()| {
                let length = self.options.segment_bytes;
                let (disk, secret) = (&*self.disk, &self.secret);
                self.segment.make_room(disk, secret, needed.frames_bytes, first, length)
            });
        match made {
            Ok(()) => Ok(()),
            Err(error) if is_full(&error) => Err(full(error)),
            Err(error) => Err(self.poisoned(error)),
        }
    }

    fn sequence(&mut self, work: &Work, now: Timestamp) -> (Encoded, Recorded) {
        let sequence = self.edge.size();
        match work {
            Work::Note(note) | Work::Erasure { note, .. } => {
                let mut encoder = Encoder::new(&mut self.dictionary);
                match (work, note) {
                    (Work::Erasure { number, .. }, Note::Erased { by, why, .. }) => {
                        encoder.erasure(by, *number, why);
                    }
                    (_, note) => encoder.note(note),
                }
                let body = Body::Noted(note.clone());
                let entry = Entry { sequence, time: now, body };
                (encoder.finish(sequence, now), Recorded { entry, receipt: None })
            }
            Work::Draft(draft) => {
                let (disclosed, numbers) = self.charge(draft, now);
                let actor = self.dictionary.name(draft.actor.as_str());
                let nearing = self.budgets.actor(actor, now).nearing(&draft.limits);
                let receipt = Receipt {
                    connection: draft.connection,
                    hold: draft.hold,
                    rows: disclosed.rows,
                    allowed: disclosed.allowed,
                    stopped: disclosed.stopped,
                    nearing,
                    sequence,
                };
                let mut encoder = Encoder::new(&mut self.dictionary);
                encoder.disclosed(&disclosed, &numbers);
                let entry = Entry { sequence, time: now, body: Body::Disclosed(disclosed) };
                (encoder.finish(sequence, now), Recorded { entry, receipt: Some(receipt) })
            }
        }
    }

    /// Charges the budgets row by row, and says what is disclosed: the rows before the first that
    /// does not fit.
    fn charge(&mut self, draft: &Draft, now: Timestamp) -> (Disclosed, Vec<Vec<u32>>) {
        let actor = self.dictionary.name(draft.actor.as_str());
        let budget = self.budgets.actor(actor, now);
        let hits: Vec<bool> = draft.lookups.iter().map(|lookup| lookup.hit).collect();
        let unsent = draft.rows.is_empty() && draft.lookups.is_empty();
        let mut stopped = match draft.refused {
            Some(limit) => Some(limit),
            None if unsent => budget.stop_statement(&draft.limits),
            None => budget.stop_lookups(&draft.limits, &hits),
        };
        if draft.refused.is_none() && lookups_are_charged(stopped) {
            hits.iter().for_each(|&hit| budget.look_up(hit));
        }
        let mut groups = Groups::default();
        let mut allowed = 0;
        let recorded = stopped.is_none() || draft.done;
        let rows = if recorded { draft.rows.as_slice() } else { &[] };
        for row in rows {
            let touches = touches(draft, row, &self.dictionary);
            stopped = stopped.or_else(|| budget.stop_row(&draft.limits, &touches));
            if stopped.is_some() && !draft.done {
                break;
            }
            for touch in &row.touches {
                let number = self.dictionary.subject(touch.subject.as_str());
                let counted = self.dictionary.counted_as(touch.subject.as_str());
                budget.touch(counted.unwrap_or(number), charged_for(draft, touch));
                let group = groups.entry((touch.leaf, touch.reason.as_ref())).or_default();
                group.push((number, &touch.subject));
            }
            allowed += u64::from(stopped.is_none());
        }
        let Finished { groups, keys, numbers } = finish_groups(draft, groups);
        let values = if self.options.value_hashes && !draft.values.is_empty() {
            let keyed = (&self.dictionary, &self.value_key);
            values::gathered(draft, allowed, (&keys, &numbers), keyed)
        } else {
            Vec::new()
        };
        let disclosed = Disclosed {
            actor: draft.actor.clone(),
            connection: draft.connection,
            hold: draft.hold,
            fingerprint: draft.fingerprint,
            statement: draft.statement.clone(),
            claimed: draft.claimed.clone(),
            rows: draft.rows.len() as u64,
            allowed,
            stopped,
            groups,
            lookups: draft.lookups.iter().map(|lookup| self.looked_up(lookup)).collect(),
            observed: draft.observed.as_deref().cloned(),
            values,
        };
        if disclosed.stopped_running() {
            self.budgets.actor(actor, now).stop();
        }
        (disclosed, numbers)
    }

    fn looked_up(&self, lookup: &DraftLookup) -> LookedUp {
        let key = self.dictionary.epoch_key();
        LookedUp {
            relation: lookup.relation.clone(),
            column: lookup.column.clone(),
            hit: lookup.hit,
            search: key.map_or(lookup.search, |key| key.search(lookup.search)),
        }
    }

    /// Whether an actor has room for a statement whose searches find nobody.
    pub(crate) fn answer(
        &mut self,
        actor: &Actor,
        limits: &[Limit],
        plan: Plan,
    ) -> Result<Answer, RecordError> {
        // What is found could not be recorded else.
        self.check_reserve(Room::default())?;
        let now = self.options.now().max(self.last);
        self.last = now;
        let misses = vec![false; plan.searches];
        let mut fresh = ActorBudget::default();
        let budget = match self.dictionary.known_name(actor.as_str()) {
            Some(actor) => self.budgets.actor(actor, now),
            None => &mut fresh,
        };
        let stopped = budget.stop_statement(limits);
        let stopped = stopped.or_else(|| budget.stop_write(limits).filter(|_| plan.writes));
        Ok(Answer {
            stopped: stopped.or_else(|| budget.stop_lookups(limits, &misses)),
            was_stopped: budget.was_stopped(),
        })
    }

    /// Signs the tree over what is durable, unless the newest checkpoint covers it already.
    pub(crate) fn sign(&mut self) -> Result<(), RecordError> {
        self.check_poison()?;
        let size = self.edge.size();
        if size == self.signed {
            return Ok(());
        }
        match write_checkpoint(&*self.disk, &self.options.origin, &self.key, &self.edge) {
            Ok(text) => {
                self.signed = size;
                self.shipping.iter_mut().for_each(|shipping| {
                    shipping.push(Shipped::Checkpoint { size, text: text.clone() });
                });
                Ok(())
            }
            // The old checkpoint still stands. The next interval tries again.
            Err(error) if is_full(&error) => {
                tracing::warn!(%error, "no space for a checkpoint");
                Err(RecordError::Full { source: Arc::new(error) })
            }
            Err(error) => Err(self.poisoned(error)),
        }
    }
}

fn full(error: io::Error) -> RecordError {
    tracing::warn!(%error, "no space for the ledger");
    RecordError::Full { source: Arc::new(error) }
}

/// Signs a tree and puts the checkpoint in its place; its text.
pub(crate) fn write_checkpoint(
    disk: &dyn Disk,
    origin: &str,
    key: &SigningKey,
    edge: &Edge,
) -> io::Result<String> {
    let checkpoint = Checkpoint { origin: origin.to_owned(), size: edge.size(), root: edge.root() };
    let text = checkpoint.sign(key).map_err(io::Error::other)?;
    replace(disk, CHECKPOINT, text.as_bytes())?;
    Ok(text)
}

/// Subjects by the leaf and the reason under which they were seen.
type Groups<'a> = BTreeMap<GroupKey<'a>, Vec<(u32, &'a Subject)>>;

/// Groups, what each is told from the others by, and the numbers of its subjects.
struct Finished<'a> {
    groups: Vec<Group>,
    keys: Vec<GroupKey<'a>>,
    numbers: Vec<Vec<u32>>,
}

fn touches<'a>(draft: &Draft, row: &'a DraftRow, dictionary: &Dictionary) -> Vec<RowTouch<'a>> {
    let one = |touch: &'a Touch| {
        let number = dictionary.counted_as(touch.subject.as_str());
        (number, &touch.subject, charged_for(draft, touch))
    };
    row.touches.iter().map(one).collect()
}

fn charged_for(draft: &Draft, touch: &Touch) -> Option<Grade> {
    let leaf = draft.leaves.get(usize::from(touch.leaf));
    charged(touch.reason.as_ref(), leaf.is_some_and(|leaf| !leaf.shown.is_empty()))
}

fn finish_groups<'a>(draft: &Draft, groups: Groups<'a>) -> Finished<'a> {
    let mut finished = Vec::with_capacity(groups.len());
    let (mut keys, mut all_numbers) = (Vec::new(), Vec::with_capacity(groups.len()));
    for ((leaf, reason), mut subjects) in groups {
        let key = (leaf, reason);
        // Every leaf was checked to exist before the draft was taken.
        let Some(leaf) = draft.leaves.get(usize::from(leaf)) else {
            continue;
        };
        subjects.sort_unstable_by_key(|&(number, _)| number);
        subjects.dedup_by_key(|&mut (number, _)| number);
        let (clear, masked) = match reason {
            Some(_) => {
                (leaf.clear.iter().chain(&leaf.shown).cloned().collect(), leaf.masked.clone())
            }
            None => {
                let masked = leaf.clear.iter().chain(&leaf.masked).cloned().collect();
                (leaf.shown.clone(), masked)
            }
        };
        finished.push(Group {
            relation: leaf.relation.clone(),
            clear,
            masked,
            reason: reason.cloned(),
            subjects: subjects.iter().map(|&(_, subject)| subject.clone()).collect(),
        });
        keys.push(key);
        all_numbers.push(subjects.iter().map(|&(number, _)| number).collect());
    }
    Finished { groups: finished, keys, numbers: all_numbers }
}
