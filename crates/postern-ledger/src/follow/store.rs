//! What a follower writes, and what a crash leaves of it. The order is the writer's own: room,
//! rows, entries; so that what is found after a crash is settled as in any ledger.

use std::{any::Any, collections::BTreeSet, io, sync::Arc};

use postern_merkle::{Checkpoint, Hash, VerifyingKey};

use super::{
    chain::{Chain, Continued},
    message::{Message, Piece},
};
use crate::{
    Damage, DamageKind, OpenError, Which,
    dictionary::{Keep, Rows},
    disk::{Disk, is_full, read_from, remove_if_there, replace},
    epoch::{EpochKey, Keys, Stage, Turn, destroy_keys, write_key},
    erase::{Gone, write_without},
    frame::{
        DICTIONARY_NAME, HEADER_BYTES, LedgerId, SegmentHeader, encode_dictionary_header,
        segment_name,
    },
    identity::{self, CHECKPOINT, KEY, KEY_PUB, damage_at},
    recover::{Settled, remove_unfinished, settle_all},
    room::{RowsLog, Segment, Unnamed},
    verify::Check,
};

/// More batches at once than this are written with their whole segment, which takes one sync.
const BATCHES_ONE_BY_ONE: usize = 8;
/// By how much the dictionary's file is lengthened.
const ROWS_STEP_BYTES: u64 = 1 << 20;
/// The longest segment that is taken.
const SEGMENT_BYTES_MAX: u64 = 4 << 30;

/// A copy that is open.
pub(crate) struct Store {
    disk: Arc<dyn Disk>,
    _lock: Box<dyn Any + Send>,
    key: VerifyingKey,
    id: LedgerId,
    /// `None`: nothing has come yet.
    segment: Option<Segment>,
    rows: RowsLog,
    chain: Chain,
    /// Those of epochs, also of some that are about to begin.
    keys: Keys,
    rows_step: u64,
    /// Set by the first error that leaves it open what is on disk. Never unset.
    poison: Option<Arc<io::Error>>,
}

/// Why a piece was not taken.
enum Not {
    /// It does not continue what is here, or is not whole.
    Good(String),
    /// There is no room; nothing was changed.
    Room(io::Error),
    /// What is on disk is not known.
    Sure(io::Error),
}

impl Store {
    /// Opens the copy of the ledger with that key on a disk whose folders exist; makes an empty
    /// one if there is none.
    pub(crate) fn open_on(disk: Arc<dyn Disk>, key: &VerifyingKey) -> Result<Self, OpenError> {
        let lock = disk.lock().map_err(|error| {
            if error.kind() == io::ErrorKind::WouldBlock {
                OpenError::Locked { folder: disk.path("") }
            } else {
                OpenError::Io(error)
            }
        })?;
        own_key(&*disk, key)?;
        remove_unfinished(&*disk)?;
        let id = LedgerId::new(key);
        let checkpoint = match identity::checkpoint(&*disk, key) {
            // It comes with the first that covers all that is here.
            Err(Damage { kind: DamageKind::Missing, .. }) => None,
            checkpoint => Some(checkpoint?),
        };
        let signed = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.size);
        if signed == 0 && disk.open_read(&segment_name(0)).is_err_and(is_missing) {
            return Self::empty(disk, lock, key, id);
        }
        let checks = checkpoint.map(|own| Check::new(Which::Own, own)).into_iter().collect();
        let rows = Rows::keeping(Keep::Earlier);
        let settled = settle_all(&disk, id, (checks, signed), rows, &mut |_, _| {})?;
        let Settled { segment, rows, edge, last, texts, stage, keys } = settled;
        let chain = Chain { edge, time: last, rows: texts.counts(), stage };
        let opened = Self::with(disk, lock, (key, id), rows, chain);
        Ok(Self { segment: Some(segment), keys, ..opened })
    }

    fn empty(
        disk: Arc<dyn Disk>,
        lock: Box<dyn Any + Send>,
        key: &VerifyingKey,
        id: LedgerId,
    ) -> Result<Self, OpenError> {
        remove_if_there(&*disk, DICTIONARY_NAME)?;
        replace(&*disk, DICTIONARY_NAME, &encode_dictionary_header(id))?;
        let (offset, length) = (HEADER_BYTES as u64, HEADER_BYTES as u64);
        let rows = RowsLog { file: disk.open(DICTIONARY_NAME)?, offset, length };
        let time = postern_model::Timestamp(i64::MIN);
        let stage = Stage::default();
        let chain = Chain { edge: Default::default(), time, rows: [0; 3], stage };
        Ok(Self::with(disk, lock, (key, id), rows, chain))
    }

    fn with(
        disk: Arc<dyn Disk>,
        lock: Box<dyn Any + Send>,
        (key, id): (&VerifyingKey, LedgerId),
        rows: RowsLog,
        chain: Chain,
    ) -> Self {
        Self {
            disk,
            _lock: lock,
            key: key.clone(),
            id,
            segment: None,
            rows,
            chain,
            keys: Keys::default(),
            rows_step: ROWS_STEP_BYTES,
            poison: None,
        }
    }

    /// How many entries there are, and the root of the tree over them.
    pub(crate) fn standing(&self) -> (u64, Hash) {
        (self.chain.edge.size(), self.chain.edge.root())
    }

    /// The time of the last entry.
    pub(crate) fn time(&self) -> postern_model::Timestamp {
        self.chain.time
    }

    /// How many segments there are.
    pub(crate) fn segments(&self) -> u64 {
        self.segment.as_ref().map_or(0, |segment| segment.ordinal + 1)
    }

    /// The error after which nothing is written any more.
    pub(super) fn poison(&self) -> Option<Arc<io::Error>> {
        self.poison.clone()
    }

    #[cfg(test)]
    pub(super) fn with_rows_step(self, rows_step: u64) -> Self {
        Self { rows_step, ..self }
    }

    /// Does what the ledger says. What the reply says to be durable is on stable storage.
    pub(super) fn handle(&mut self, message: &Message) -> Message {
        let refused = |why: String| Message::Refused { why };
        if let Some(error) = &self.poison {
            return refused(format!("the copy is out of use since writing to it failed: {error}"));
        }
        let done = match message {
            Message::Append(piece) => self.append(piece),
            Message::Checkpoint { text } => self.keep(text),
            Message::Key { epoch, key } => self.keep_key(*epoch, key),
            Message::Ask => Ok(()),
            Message::Hello { .. }
            | Message::Standing { .. }
            | Message::Proof { .. }
            | Message::Durable { .. }
            | Message::Refused { .. } => Err(Not::Good("that comes from a follower".to_owned())),
        };
        match done {
            Ok(()) => Message::Durable { size: self.chain.edge.size() },
            Err(Not::Good(why)) => refused(why),
            Err(Not::Room(error)) => refused(format!("no space for the copy: {error}")),
            Err(Not::Sure(error)) => {
                tracing::error!(%error, "writing the copy failed, nothing more is taken");
                let why = format!("writing the copy failed: {error}");
                self.poison = Some(Arc::new(error));
                refused(why)
            }
        }
    }

    /// The same for a piece, by who has it at hand; the error says why it was not taken.
    pub(crate) fn take(&mut self, piece: Piece) -> Result<(), String> {
        self.do_all(&Message::Append(piece))
    }

    /// The same for the key of an epoch.
    pub(crate) fn take_key(&mut self, epoch: u16, key: EpochKey) -> Result<(), String> {
        self.do_all(&Message::Key { epoch, key })
    }

    /// The same for a checkpoint.
    pub(crate) fn take_checkpoint(&mut self, text: String) -> Result<(), String> {
        self.do_all(&Message::Checkpoint { text })
    }

    fn do_all(&mut self, message: &Message) -> Result<(), String> {
        if let Message::Refused { why } = self.handle(message) { Err(why) } else { Ok(()) }
    }

    /// Takes entries that continue those that are here: all of them or none.
    fn append(&mut self, piece: &Piece) -> Result<(), Not> {
        // Memory only: whether it is what it should be.
        let size = self.chain.edge.size();
        if piece.first != size {
            return Err(Not::Good(format!("entry {size} comes next, not {}", piece.first)));
        }
        let header = piece.header.as_deref().map(|header| self.header(header)).transpose()?;
        let salt = match (&header, &self.segment) {
            (Some(header), _) => header.salt,
            (None, Some(segment)) => segment.salt,
            (None, None) => return Err(Not::Good("the segment's header is missing".to_owned())),
        };
        let mut keys = self.keys.clone();
        let both = (piece.frames.as_slice(), piece.rows.as_slice());
        let continued = self.chain.continued_by(salt, both, &mut keys);
        let continued = continued.map_err(|why| Not::Good(why.to_owned()))?;
        let edge = &continued.chain.edge;
        if (edge.size(), edge.root()) != (piece.size, piece.root) {
            return Err(Not::Good("it continues another history than the one here".to_owned()));
        }

        // Keys of epochs before what is sealed under them; one that nothing uses does no harm.
        for turn in &continued.turns {
            if let Turn::Begun { epoch, .. } = *turn
                && let Ok(key) = keys.key(epoch)
            {
                write_key(&*self.disk, epoch, key).map_err(room)?;
            }
        }

        // Room first. A crash here leaves a `.tmp` file or zeros at the dictionary's end.
        self.rows.make_room(piece.rows.len() as u64, self.rows_step).map_err(room)?;
        let unnamed = self.unnamed(header, piece, &continued).map_err(room)?;

        // Rows before entries: a crash here leaves rows that no entry uses; opening zeroes them.
        if !piece.rows.is_empty() {
            self.rows.append(&piece.rows).map_err(Not::Sure)?;
        }

        // Entries. Where there are several batches and a bad one may be followed by a good one they
        // come with their segment, under its name all at once; else one after the other, as the
        // ledger wrote them, so that what a crash leaves is what it would have left there.
        match (unnamed, &mut self.segment) {
            (Some(unnamed), segment) => {
                *segment = Some(unnamed.put_in_place(&*self.disk).map_err(Not::Sure)?);
            }
            (None, Some(segment)) => {
                let ends = continued.batches.iter().skip(1).copied().chain([piece.frames.len()]);
                for (&start, end) in continued.batches.iter().zip(ends) {
                    let batch = piece.frames.get(start..end).unwrap_or_default();
                    segment.append(batch).map_err(Not::Sure)?;
                }
            }
            (None, None) => {}
        }
        let forgets = continued.chain.stage.kept > self.chain.stage.kept;
        (self.chain, self.keys) = (continued.chain, keys);
        // A crash before this is made up for by the opening.
        self.erase(&continued.erased.into_iter().collect()).map_err(Not::Sure)?;
        if forgets { self.forget().map_err(Not::Sure) } else { Ok(()) }
    }

    /// Takes the key of an epoch, whose rows may come from now on. It is kept on the disk once the
    /// entry is there that begins the epoch.
    fn keep_key(&mut self, epoch: u16, key: &EpochKey) -> Result<(), Not> {
        let Stage { current, kept, .. } = self.chain.stage;
        let has_begun = epoch <= current;
        if epoch < kept || has_begun && self.keys.key(epoch).is_ok() {
            return Ok(());
        }
        if has_begun {
            let mut keys = self.keys.clone();
            keys.insert(epoch, key.clone());
            if keys.key(epoch).is_err() {
                return Err(Not::Good("an epoch's key is another than it began with".to_owned()));
            }
            write_key(&*self.disk, epoch, key).map_err(room)?;
        }
        self.keys.insert(epoch, key.clone());
        Ok(())
    }

    /// Reads the header of a segment that is to be begun.
    fn header(&self, header: &[u8]) -> Result<SegmentHeader, Not> {
        let bad = |why: &str| Not::Good(format!("the segment's header: {why}"));
        let header = SegmentHeader::decode(header, self.id).map_err(bad)?;
        if header.ordinal != self.segments() || header.first != self.chain.edge.size() {
            return Err(bad("it is another segment's"));
        }
        if header.length > SEGMENT_BYTES_MAX {
            return Err(bad("it is too long"));
        }
        Ok(header)
    }

    /// The segment with the piece in it, if it is to be written as a whole.
    fn unnamed(
        &self,
        header: Option<SegmentHeader>,
        piece: &Piece,
        continued: &Continued,
    ) -> io::Result<Option<Unnamed>> {
        let too_long = || io::Error::other("entries are longer than their segment");
        let fits = |offset: u64, length: u64| offset + piece.frames.len() as u64 <= length;
        if let Some(header) = header {
            if !fits(HEADER_BYTES as u64, header.length) {
                return Err(too_long());
            }
            return Unnamed::write(&*self.disk, self.id, header, &piece.frames).map(Some);
        }
        let Some(segment) = &self.segment else { return Ok(None) };
        if !fits(segment.offset, segment.length) {
            return Err(too_long());
        }
        if continued.batches.len() <= BATCHES_ONE_BY_ONE {
            return Ok(None);
        }
        let mut frames = read_from(&*segment.file, HEADER_BYTES as u64)?;
        frames.truncate(usize::try_from(segment.offset).unwrap_or(usize::MAX) - HEADER_BYTES);
        frames.extend_from_slice(&piece.frames);
        Unnamed::write(&*self.disk, self.id, segment.header(), &frames).map(Some)
    }

    fn erase(&mut self, subjects: &BTreeSet<u32>) -> io::Result<()> {
        if !subjects.is_empty() {
            let without = write_without(&*self.disk, self.id, Gone::Subjects(subjects))?;
            self.rows = without.put_in_place(&*self.disk)?;
        }
        Ok(())
    }

    /// Makes what is past retention unreadable.
    fn forget(&mut self) -> io::Result<()> {
        let stage = self.chain.stage;
        let without = write_without(&*self.disk, self.id, Gone::Before(stage))?;
        self.rows = without.put_in_place(&*self.disk)?;
        destroy_keys(&*self.disk, stage.kept)?;
        self.keys.forget(stage.kept);
        Ok(())
    }

    /// Keeps a checkpoint over all that is here.
    fn keep(&mut self, text: &str) -> Result<(), Not> {
        let checkpoint = Checkpoint::verify(text.as_bytes(), &self.key);
        let checkpoint = checkpoint.map_err(|error| Not::Good(error.to_string()))?;
        if (checkpoint.size, checkpoint.root) != self.standing() {
            return Err(Not::Good("the checkpoint is not one of what is here".to_owned()));
        }
        match replace(&*self.disk, CHECKPOINT, text.as_bytes()) {
            Err(error) if is_full(&error) => Err(Not::Room(error)),
            kept => kept.map_err(Not::Sure),
        }
    }
}

/// What came of making room: without it nothing was changed.
fn room(error: io::Error) -> Not {
    if is_full(&error) { Not::Room(error) } else { Not::Sure(error) }
}

fn is_missing(error: io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

/// Sees to it that the folder is the copy of that ledger, and nothing else.
fn own_key(disk: &dyn Disk, key: &VerifyingKey) -> Result<(), OpenError> {
    if disk.open_read(KEY).is_ok() {
        // Who writes a ledger and who follows it must not be the same folder.
        return Err(OpenError::Original { folder: disk.path("") });
    }
    match identity::verifying_key(disk) {
        Ok(found) if found == *key => Ok(()),
        Ok(_) => Err(damage_at(disk, KEY_PUB, DamageKind::Key).into()),
        Err(Damage { kind: DamageKind::Missing, .. })
            if disk.open_read(&segment_name(0)).is_err_and(is_missing) =>
        {
            Ok(replace(disk, KEY_PUB, format!("{}\n", key.as_str()).as_bytes())?)
        }
        Err(damage) => Err(damage.into()),
    }
}
