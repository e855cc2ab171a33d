//! Space on disk ahead of its use, so that the writer never finds half way that there is none.

use std::{collections::BTreeSet, io, iter::Sum, sync::Arc};

use postern_model::Actor;

use crate::{
    CaseAct, Complained, DecoyHit, Draft, Note,
    dictionary::ROW_BYTES,
    disk::{Disk, DiskFile, is_full, remove_if_there, zero},
    frame::{HEADER_BYTES, LedgerId, SegmentHeader, segment_name},
    leaf::{SegmentSalt, SegmentSecret},
    sequencer::Work,
};

/// How much a request takes at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Room {
    pub(crate) frames_bytes: u64,
    pub(crate) rows_bytes: u64,
}

/// The longest form of a dictionary number or count in an entry.
const NUMBER_BYTES: u64 = 5;
/// Everything in an entry that is not a list: frame, head, and the longest fixed part of a body.
const ENTRY_BYTES: u64 = 256;
/// Relation, two counts, grade, reason, the set's tag and count.
const GROUP_BYTES: u64 = 32;
const LOOKUP_BYTES: u64 = 2 * NUMBER_BYTES + 9;
/// How many values, and whether it is known whose.
const OBSERVED_BYTES: u64 = 11;
/// Step, columns and hash, should each value have its own.
const VALUE_BYTES: u64 = 21;

impl Room {
    pub(crate) fn needed_by_draft(draft: &Draft) -> Self {
        let mut room = Self { frames_bytes: ENTRY_BYTES, rows_bytes: 0 };
        room.text(draft.actor.as_str());
        room.text(&draft.statement);
        draft.claimed.iter().for_each(|ticket| room.text(ticket));
        if let Some(observed) = &draft.observed {
            room.frames_bytes += OBSERVED_BYTES;
            observed.rule.iter().for_each(|rule| room.text(rule));
        }
        let columns = |leaf: &crate::DraftLeaf| (leaf.clear.len() + leaf.masked.len()) as u64;
        for leaf in &draft.leaves {
            room.text(&leaf.relation);
            leaf.clear.iter().chain(&leaf.masked).for_each(|column| room.text(column));
        }
        let mut groups = BTreeSet::new();
        for touch in draft.rows.iter().flat_map(|row| &row.touches) {
            room.text(touch.subject.as_str());
            groups.insert((touch.leaf, touch.reason.as_ref()));
        }
        for (leaf, reason) in groups {
            reason.iter().for_each(|reason| room.text(&reason.name));
            let columns = draft.leaves.get(usize::from(leaf)).map_or(0, columns);
            room.frames_bytes += GROUP_BYTES + columns * NUMBER_BYTES;
        }
        for lookup in &draft.lookups {
            room.text(&lookup.relation);
            room.text(&lookup.column);
            room.frames_bytes += LOOKUP_BYTES;
        }
        room.frames_bytes += draft.values.len() as u64 * VALUE_BYTES;
        room
    }

    pub(crate) fn needed_by(work: &Work) -> Self {
        match work {
            Work::Draft(draft) => Self::needed_by_draft(draft),
            Work::Note(note) | Work::Erasure { note, .. } => Self::needed_by_note(note),
        }
    }

    pub(crate) fn needed_by_note(note: &Note) -> Self {
        let mut room = Self { frames_bytes: ENTRY_BYTES, rows_bytes: 0 };
        room.note(note);
        room
    }

    /// One text: a number in the entry, and a row should it be new.
    fn text(&mut self, text: &str) {
        self.frames_bytes += NUMBER_BYTES;
        self.rows_bytes += (ROW_BYTES + text.len()) as u64;
    }

    fn texts<const N: usize>(&mut self, texts: [&str; N]) {
        texts.into_iter().for_each(|text| self.text(text));
    }

    fn note(&mut self, note: &Note) {
        match note {
            Note::LoggedIn { actor, client, .. } => self.texts([actor.as_str(), client]),
            Note::LoginRefused { actor, client, why } => {
                self.texts([actor.as_str(), client, why]);
            }
            Note::LoggedOut { actor, .. } => self.text(actor.as_str()),
            Note::Refused { actor, statement, rule, .. } => {
                self.texts([actor.as_str(), statement, rule]);
            }
            Note::Suspended { actor, by, why } | Note::Resumed { actor, by, why } => {
                self.texts([actor.as_str(), by.as_str(), why]);
            }
            Note::Found(found) => {
                let texts: [&[Arc<str>]; 2] =
                    [&found.evidence, &[found.kind.clone(), found.why.clone()]];
                texts.into_iter().flatten().for_each(|text| self.text(text));
                found.actors.iter().map(Actor::as_str).for_each(|actor| self.text(actor));
            }
            Note::Configured { by, .. } => self.text(by.as_str()),
            Note::Started { version } => self.text(version),
            Note::Stopped => {}
            Note::Read { by, what } => self.texts([by.as_str(), what]),
            Note::Asked { by, actor, subject, .. } => {
                self.text(by.as_str());
                actor.iter().for_each(|actor| self.text(actor.as_str()));
                subject.iter().for_each(|subject| self.text(subject.as_str()));
            }
            Note::Person { actor, by, was, now } => {
                self.texts([actor.as_str(), by.as_str(), was, now]);
            }
            Note::Approval { actor, by, act, subject, why, .. } => {
                self.texts([actor.as_str(), by.as_str(), act, subject.as_str(), why]);
            }
            Note::Erased { by, subject, why } => {
                self.texts([by.as_str(), subject.as_str(), why]);
            }
            Note::Lost { by, why, .. } => self.texts([by.as_str(), why]),
            Note::Epoch { .. } => {}
            Note::Forgotten { by, .. } => self.text(by.as_str()),
            Note::Opened { actor, relation, subject, statement, .. } => {
                self.texts([actor.as_str(), relation, statement]);
                subject.iter().for_each(|subject| self.text(subject.as_str()));
            }
            Note::Case(CaseAct { by, act, kinds, roles, why, .. }) => {
                self.texts([by.as_str(), act, why]);
                kinds.iter().chain(roles).for_each(|name| self.text(name));
            }
            Note::Complained(Complained { by, subject, kind, fields, caller, .. }) => {
                self.texts([by.as_str(), subject.as_str(), kind, caller]);
                fields.iter().for_each(|field| self.text(field));
            }
            Note::Planted(planted) => self.text(planted.by.as_str()),
            Note::DecoyHit(DecoyHit { by, subject, how, why }) => {
                self.texts([by.as_str(), subject.as_str(), how, why]);
            }
        }
    }
}

impl Sum for Room {
    fn sum<I: Iterator<Item = Self>>(rooms: I) -> Self {
        rooms.fold(Self::default(), |sum, room| Self {
            frames_bytes: sum.frames_bytes + room.frames_bytes,
            rows_bytes: sum.rows_bytes + room.rows_bytes,
        })
    }
}

/// The segment that is written to.
pub(crate) struct Segment {
    pub(crate) file: Box<dyn DiskFile>,
    pub(crate) id: LedgerId,
    pub(crate) ordinal: u64,
    /// The sequence of its first entry.
    pub(crate) first: u64,
    /// `None`: of the first version. It takes no more entries.
    pub(crate) salt: Option<SegmentSalt>,
    /// Where the next frame goes. INVARIANT: everything from here on is zero.
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

/// A segment that is whole and durable, and has no name yet.
pub(crate) struct Unnamed {
    segment: Segment,
    unfinished: String,
}

impl Unnamed {
    /// Writes a segment's file, with those frames and zeros behind them to its full length.
    pub(crate) fn write(
        disk: &dyn Disk,
        id: LedgerId,
        header: SegmentHeader,
        frames: &[u8],
    ) -> io::Result<Self> {
        let SegmentHeader { ordinal, first, length, salt } = header;
        let unfinished = format!("{}.tmp", segment_name(ordinal));
        let offset = (HEADER_BYTES + frames.len()) as u64;
        remove_if_there(disk, &unfinished)?;
        let write = || {
            let mut file = disk.create(&unfinished)?;
            // Claiming first finds a full disk without filling it.
            file.reserve(length)?;
            zero(&mut *file, offset, length)?;
            file.write_at(&[&header.encode(id), frames].concat(), 0)?;
            file.sync()?;
            Ok(file)
        };
        match write() {
            Ok(file) => {
                let segment = Segment { file, id, ordinal, first, salt, offset, length };
                Ok(Self { segment, unfinished })
            }
            Err(error) => {
                remove_unfinished(disk, &unfinished);
                Err(error)
            }
        }
    }

    /// Gives it its name, in the place of what has it.
    pub(crate) fn put_in_place(self, disk: &dyn Disk) -> io::Result<Segment> {
        if let Err(error) = disk.rename(&self.unfinished, &segment_name(self.segment.ordinal)) {
            remove_unfinished(disk, &self.unfinished);
            return Err(error);
        }
        // From here on the segment is there, and says which entry it begins with. Whatever
        // goes wrong, "no space" included, must not let the old one grow past that.
        disk.sync_folder("segments").map_err(io::Error::other)?;
        Ok(self.segment)
    }
}

/// Gives the space back. Should that fail too, opening does it.
fn remove_unfinished(disk: &dyn Disk, name: &str) {
    let removed = remove_if_there(disk, name);
    tracing::debug!(?removed, "removed an unfinished segment");
}

impl Segment {
    /// Makes a segment's file, zeroed to its full length, and gives it its name when it is
    /// complete.
    pub(crate) fn make(
        disk: &dyn Disk,
        (id, secret): (LedgerId, &SegmentSecret),
        ordinal: u64,
        first: u64,
        length: u64,
    ) -> io::Result<Self> {
        let header = SegmentHeader { ordinal, first, length, salt: Some(secret.salt(ordinal)) };
        Unnamed::write(disk, id, header, &[])?.put_in_place(disk)
    }

    /// What its header says.
    pub(crate) fn header(&self) -> SegmentHeader {
        let Self { ordinal, first, length, salt, .. } = *self;
        SegmentHeader { ordinal, first, length, salt }
    }

    /// How much space making room takes.
    pub(crate) fn claim(&self, needed: u64, length: u64) -> u64 {
        if self.salt.is_some() && self.offset + needed <= self.length {
            return 0;
        }
        length.max(needed + HEADER_BYTES as u64)
    }

    /// Goes on to a new segment if `needed` bytes may not fit into this one.
    pub(crate) fn make_room(
        &mut self,
        disk: &dyn Disk,
        secret: &SegmentSecret,
        needed: u64,
        first: u64,
        length: u64,
    ) -> io::Result<()> {
        let claim = self.claim(needed, length);
        if claim > 0 {
            let ledger = (self.id, secret);
            *self = Self::make(disk, ledger, self.ordinal + 1, first, claim)?;
        }
        Ok(())
    }

    /// Writes frames and makes them durable.
    pub(crate) fn append(&mut self, frames: &[u8]) -> io::Result<()> {
        let end = self.offset + frames.len() as u64;
        if end > self.length {
            return Err(io::Error::other("a batch is longer than the room made for it"));
        }
        self.file.write_at(frames, self.offset)?;
        self.file.sync()?;
        self.offset = end;
        Ok(())
    }
}

/// The dictionary's file.
pub(crate) struct RowsLog {
    pub(crate) file: Box<dyn DiskFile>,
    /// Where the next row goes. INVARIANT: everything from here on is zero.
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

impl RowsLog {
    /// How much space making room takes.
    pub(crate) fn claim(&self, needed: u64, step: u64) -> u64 {
        let end = self.offset + needed;
        if end <= self.length { 0 } else { step.max(end - self.length) }
    }

    /// Lengthens the file by zeros if `needed` bytes may not fit.
    pub(crate) fn make_room(&mut self, needed: u64, step: u64) -> io::Result<()> {
        let claim = self.claim(needed, step);
        if claim == 0 {
            return Ok(());
        }
        let lengthened = self.lengthen(self.length + claim);
        if lengthened.as_ref().is_err_and(is_full) {
            // Nothing stands there yet, so the space can be given back and asked for again.
            self.file.set_len(self.length)?;
        }
        lengthened
    }

    fn lengthen(&mut self, length: u64) -> io::Result<()> {
        self.file.reserve(length)?;
        zero(&mut *self.file, self.length, length)?;
        self.file.sync()?;
        self.length = length;
        Ok(())
    }

    /// Writes rows and makes them durable.
    pub(crate) fn append(&mut self, rows: &[u8]) -> io::Result<()> {
        let end = self.offset + rows.len() as u64;
        if end > self.length {
            return Err(io::Error::other("rows are longer than the room made for them"));
        }
        self.file.write_at(rows, self.offset)?;
        self.file.sync()?;
        self.offset = end;
        Ok(())
    }
}
