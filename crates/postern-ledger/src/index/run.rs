//! Runs: what the entries of one stretch of the ledger say, gathered in memory, written sealed,
//! joined two and two.

use std::{cmp::Ordering, path::Path};

use postern_merkle::{Edge, Hash};
use postern_model::Timestamp;

use super::{
    Broken, IndexError,
    table::{self, ALL, Record, Records, RunFile, RunWriter, Table, Tables, padded},
};
use crate::{
    bytes::Cursor,
    dictionary::{Kind, StoredRow},
    epoch::Stage,
    frame::LedgerId,
    payload::Decoded,
    scan::{Mark, Position, Scan},
};

/// What is gathered before it is written.
const ENTRIES_MAX: usize = 4 << 20;
const POSTINGS_MAX: usize = 8 << 20;
/// From here on it is worth a run; less is gathered anew by the next question.
const ENTRIES_WORTH_A_RUN: usize = if cfg!(test) { 16 } else { 4096 };
const POSTINGS_WORTH_A_RUN: usize = 64 << 10;

const VERSION: u8 = 3;
/// How many entries lie between two whose times are kept.
const TIMES_STEP: u64 = if cfg!(test) { 4 } else { 256 };

/// From which entry and which rows to which moment of a pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) first: u64,
    pub(super) first_rows: [u32; 3],
    pub(super) end: Mark,
}

impl Span {
    pub(super) fn after(mark: &Mark) -> Self {
        Self { first: mark.edge.size(), first_rows: mark.rows, end: mark.clone() }
    }

    pub(super) fn entries(&self) -> u64 {
        self.end.edge.size().saturating_sub(self.first)
    }

    fn encode(&self, id: LedgerId) -> Vec<u8> {
        let Mark { position, first, edge, time, rows, stage, .. } = &self.end;
        let mut out = vec![VERSION];
        out.extend_from_slice(id.as_bytes());
        let numbers = [
            self.first,
            edge.size(),
            *first,
            position.segment,
            position.offset,
            position.dictionary,
            time.0.cast_unsigned(),
        ];
        numbers.iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
        let rows = self.first_rows.iter().chain(rows);
        rows.for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
        let Stage { current, kept, until, unsealed } = stage;
        out.extend_from_slice(&current.to_le_bytes());
        out.extend_from_slice(&kept.to_le_bytes());
        out.extend_from_slice(&until.0.to_le_bytes());
        out.extend_from_slice(&unsealed.to_le_bytes());
        edge.peaks().iter().for_each(|peak| out.extend_from_slice(&peak.0));
        out
    }

    fn decode(bytes: &[u8], id: LedgerId) -> Result<Self, Broken> {
        let mut cursor = Cursor::new(bytes);
        let known = cursor.u8().map_err(|_| Broken)? == VERSION;
        if !known || cursor.array::<16>().map_err(|_| Broken)? != *id.as_bytes() {
            return Err(Broken);
        }
        let mut number = || cursor.u64().map_err(|_| Broken);
        let (first, size, segment_first) = (number()?, number()?, number()?);
        let position = Position { segment: number()?, offset: number()?, dictionary: number()? };
        let time = Timestamp(number()?.cast_signed());
        let mut rows = || cursor.u32().map_err(|_| Broken);
        let first_rows = [rows()?, rows()?, rows()?];
        let rows = [rows()?, rows()?, rows()?];
        let mut epoch = || cursor.array().map(u16::from_le_bytes).map_err(|_| Broken);
        let (current, kept) = (epoch()?, epoch()?);
        let until = Timestamp(cursor.i64().map_err(|_| Broken)?);
        let unsealed = cursor.u32().map_err(|_| Broken)?;
        let stage = Stage { current, kept, until, unsealed };
        let mut peaks = Vec::new();
        for _ in 0..size.count_ones() {
            peaks.push(Hash(cursor.array().map_err(|_| Broken)?));
        }
        let edge = Edge::from_peaks(size, peaks).ok_or(Broken)?;
        // No row has moved: an erasure removes the index.
        let (first_entry, last_row) = (segment_first, None);
        let end = Mark { position, first: first_entry, edge, time, rows, last_row, stage };
        Ok(Self { first, first_rows, end })
    }
}

/// A stretch that can be asked.
pub(super) trait Part: Tables {
    fn span(&self) -> &Span;

    /// The entries of this part, as sequences, under a number.
    fn entries_of(&self, table: Table, number: u32) -> Result<Vec<u64>, Broken> {
        let found = self.under(table, &number.to_be_bytes())?;
        Ok(found.into_iter().map(|offset| self.span().first + u64::from(offset)).collect())
    }

    fn has_entry(&self, sequence: u64) -> bool {
        (self.span().first..self.span().end.edge.size()).contains(&sequence)
    }

    /// An entry before that moment, and one of it or later, as near as the table knows.
    fn around(&self, time: Timestamp) -> Result<[Option<u64>; 2], Broken> {
        let index = self.lower_bound(Table::Times, &time_key(time))?;
        let place = |index| {
            let record = self.record(Table::Times, index)?;
            let place = record.get(8..).and_then(<[u8]>::first_chunk).ok_or(Broken)?;
            Ok(self.span().first + u64::from(u32::from_be_bytes(*place)))
        };
        let before = index.checked_sub(1).map(place).transpose()?;
        let behind = (index < self.count(Table::Times)).then(|| place(index)).transpose()?;
        Ok([before, behind])
    }

    /// Where the record of a row is, if this part has it.
    fn row_place(&self, kind: Kind, number: u32) -> Option<(Table, u64)> {
        let (table, place) = rows_table(kind)?;
        let (first, end) = (self.span().first_rows.get(place)?, self.span().end.rows.get(place)?);
        let wanted = (*first..*end).contains(&number);
        wanted.then(|| (table, u64::from(number - first)))
    }

    /// The record of a row, if this part has it.
    fn row(&self, kind: Kind, number: u32) -> Option<Result<Record, Broken>> {
        let (table, index) = self.row_place(kind, number)?;
        Some(self.record(table, index))
    }
}

fn rows_table(kind: Kind) -> Option<(Table, usize)> {
    match kind {
        Kind::Subject => Some((Table::SubjectRows, 0)),
        Kind::Name => Some((Table::NameRows, 1)),
        Kind::Text => None,
    }
}

/// The hash under which a text is found.
pub(super) fn text_key(key: &[u8; 32], kind: Kind, text: &str) -> [u8; 8] {
    let mut hash = blake3::Hasher::new_keyed(key);
    hash.update(b"text").update(&[kind as u8]).update(text.as_bytes());
    let mut short = [0; 8];
    short.copy_from_slice(hash.finalize().as_bytes().split_at(8).0);
    short
}

/// A time in the order of bytes.
fn time_key(time: Timestamp) -> [u8; 8] {
    (time.0.cast_unsigned() ^ 1 << 63).to_be_bytes()
}

/// What tells one payload from any other.
pub(super) fn payload_hash(payload: &[u8]) -> [u8; 16] {
    let mut short = [0; 16];
    short.copy_from_slice(blake3::hash(payload).as_bytes().split_at(16).0);
    short
}

/// What was gathered of the entries that no run has yet.
#[derive(Debug)]
pub(super) struct Gathered {
    key: [u8; 32],
    span: Span,
    entries: Vec<[u8; 24]>,
    /// Number and entry.
    postings: [Vec<u64>; 2],
    rows: [Vec<[u8; 24]>; 2],
    texts: [Vec<[u8; 12]>; 2],
    times: Vec<[u8; 12]>,
}

impl Gathered {
    pub(super) fn after(mark: &Mark, key: &[u8; 32]) -> Self {
        Self {
            key: *key,
            span: Span::after(mark),
            entries: Vec::new(),
            postings: Default::default(),
            rows: Default::default(),
            texts: Default::default(),
            times: Vec::new(),
        }
    }

    /// Takes the entry that the pass has just read.
    pub(super) fn take(&mut self, scan: &Scan, decoded: &Decoded) {
        let (segment, offset) = scan.frame_at();
        let mut entry = [0; 24];
        let (place, hash) = entry.split_at_mut(8);
        place.copy_from_slice(&(segment << 32 | offset).to_le_bytes());
        hash.copy_from_slice(&payload_hash(scan.payload()));
        let number = self.entries.len() as u64;
        self.entries.push(entry);
        if number.is_multiple_of(TIMES_STEP) {
            let mut record = [0; 12];
            let (time, place) = record.split_at_mut(8);
            time.copy_from_slice(&time_key(scan.time()));
            place.copy_from_slice(&u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes());
            self.times.push(record);
        }
        for (row, offset) in scan.brought() {
            self.take_row(row, *offset);
        }
        let Some(charges) = &decoded.charges else { return };
        let [subjects, actors] = &mut self.postings;
        actors.push(u64::from(charges.actor) << 32 | number);
        for subject in charges.subjects.iter().flat_map(|(_, subjects)| subjects) {
            subjects.push(u64::from(*subject) << 32 | number);
        }
    }

    fn take_row(&mut self, row: &StoredRow, offset: u64) {
        let Some((_, place)) = rows_table(row.kind) else { return };
        let mut record = [0; 24];
        let (at, commitment) = record.split_at_mut(8);
        at.copy_from_slice(&offset.to_le_bytes());
        commitment.copy_from_slice(row.commitment.split_at(16).0);
        if let (Some(rows), Some(texts)) = (self.rows.get_mut(place), self.texts.get_mut(place)) {
            rows.push(record);
            if let Some(text) = &row.text {
                let mut record = [0; 12];
                let (hash, number) = record.split_at_mut(8);
                hash.copy_from_slice(&text_key(&self.key, row.kind, text));
                number.copy_from_slice(&row.number.to_be_bytes());
                texts.push(record);
            }
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.entries.len() >= ENTRIES_MAX || self.postings.iter().any(|p| p.len() >= POSTINGS_MAX)
    }

    pub(super) fn is_worth_a_run(&self) -> bool {
        self.entries.len() >= ENTRIES_WORTH_A_RUN
            || self.postings.iter().any(|p| p.len() >= POSTINGS_WORTH_A_RUN)
    }

    /// Brings everything into order; nothing is to be taken behind that.
    pub(super) fn finish(&mut self, end: Mark) {
        self.span.end = end;
        for postings in &mut self.postings {
            postings.sort_unstable();
            postings.dedup();
        }
        self.texts.iter_mut().for_each(|texts| texts.sort_unstable());
    }

    pub(super) fn write(
        &self,
        path: &Path,
        id: LedgerId,
        nonce: [u8; 16],
    ) -> Result<(), IndexError> {
        let write = || {
            let mut writer = RunWriter::create(path, &self.key, nonce)?;
            for table in ALL {
                for index in 0..self.count(table) {
                    let record = self.at(table, index).unwrap_or_default();
                    writer.push(record.get(..table.width()).unwrap_or_default())?;
                }
                writer.end_table()?;
            }
            writer.finish(&self.span.encode(id))
        };
        write().map_err(|error| IndexError::io(path, error))
    }

    fn at(&self, table: Table, index: u64) -> Option<Record> {
        let index = usize::try_from(index).ok()?;
        let [subjects, actors] = &self.postings;
        let [subject_rows, name_rows] = &self.rows;
        let [subject_texts, name_texts] = &self.texts;
        let posting = |postings: &[u64]| Some(padded(&postings.get(index)?.to_be_bytes()));
        match table {
            Table::Entries => self.entries.get(index).copied(),
            Table::Subjects => posting(subjects),
            Table::Actors => posting(actors),
            Table::SubjectRows => subject_rows.get(index).copied(),
            Table::NameRows => name_rows.get(index).copied(),
            Table::SubjectTexts => Some(padded(subject_texts.get(index)?)),
            Table::NameTexts => Some(padded(name_texts.get(index)?)),
            Table::Times => Some(padded(self.times.get(index)?)),
        }
    }
}

impl Tables for Gathered {
    fn count(&self, table: Table) -> u64 {
        let [subjects, actors] = &self.postings;
        let [subject_rows, name_rows] = &self.rows;
        let [subject_texts, name_texts] = &self.texts;
        let count = match table {
            Table::Entries => self.entries.len(),
            Table::Subjects => subjects.len(),
            Table::Actors => actors.len(),
            Table::SubjectRows => subject_rows.len(),
            Table::NameRows => name_rows.len(),
            Table::SubjectTexts => subject_texts.len(),
            Table::NameTexts => name_texts.len(),
            Table::Times => self.times.len(),
        };
        count as u64
    }

    fn record(&self, table: Table, index: u64) -> Result<Record, Broken> {
        self.at(table, index).ok_or(Broken)
    }
}

impl Part for Gathered {
    fn span(&self) -> &Span {
        &self.span
    }
}

/// A run that was written.
pub(super) struct Run {
    file: RunFile,
    span: Span,
}

impl Run {
    pub(super) fn open(path: &Path, key: &[u8; 32], id: LedgerId) -> Result<Self, Broken> {
        let (file, head) = RunFile::open(path, key)?;
        let span = Span::decode(&head, id)?;
        if file.count(Table::Entries) != span.entries() {
            return Err(Broken);
        }
        Ok(Self { file, span })
    }

    /// How much it is to read, roughly.
    pub(super) fn weight(&self) -> u64 {
        ALL.into_iter().map(|table| self.file.count(table)).sum()
    }
}

impl Tables for Run {
    fn count(&self, table: Table) -> u64 {
        self.file.count(table)
    }

    fn record(&self, table: Table, index: u64) -> Result<Record, Broken> {
        self.file.record(table, index)
    }

    fn will_read(&self, table: Table, index: u64) {
        self.file.will_read(table, index);
    }

    fn lower_bound(&self, table: Table, key: &[u8]) -> Result<u64, Broken> {
        self.file.lower_bound(table, key)
    }
}

impl Part for Run {
    fn span(&self) -> &Span {
        &self.span
    }
}

/// Whether two runs, one behind the other, can be one: the entries of a run are counted in 32 bits.
pub(super) fn can_join(one: &Run, other: &Run) -> bool {
    one.span.entries() + other.span.entries() <= u64::from(u32::MAX)
}

/// Writes two runs, one behind the other, as one. What is broken in them is found here, too.
pub(super) fn join(
    (one, other): (&Run, &Run),
    path: &Path,
    (key, id): (&[u8; 32], LedgerId),
    nonce: [u8; 16],
) -> Result<(), IndexError> {
    let io = |error| IndexError::io(path, error);
    let shift = u32::try_from(one.span.entries()).map_err(|_| Broken)?;
    let mut writer = RunWriter::create(path, key, nonce).map_err(io)?;
    for table in ALL {
        let (ones, others) = (one.file.records(table), other.file.records(table));
        match table {
            Table::Entries | Table::SubjectRows | Table::NameRows => {
                append(&mut writer, ones, path)?;
                append(&mut writer, others, path)?;
            }
            Table::Subjects | Table::Actors | Table::Times => {
                merge(&mut writer, ones, (others, shift), path)?;
            }
            Table::SubjectTexts | Table::NameTexts => {
                merge(&mut writer, ones, (others, 0), path)?;
            }
        }
        writer.end_table().map_err(io)?;
    }
    let span = Span { end: other.span.end.clone(), ..one.span.clone() };
    writer.finish(&span.encode(id)).map_err(io)
}

fn append(
    writer: &mut RunWriter<'_>,
    mut records: Records<'_>,
    path: &Path,
) -> Result<(), IndexError> {
    while let Some(record) = records.next()? {
        writer.push(record).map_err(|error| IndexError::io(path, error))?;
    }
    Ok(())
}

/// Writes the records of both in order; the last 32 bits of the second's grow by the shift.
fn merge(
    writer: &mut RunWriter<'_>,
    mut ones: Records<'_>,
    (mut others, shift): (Records<'_>, u32),
    path: &Path,
) -> Result<(), IndexError> {
    let mut one = next(&mut ones, 0)?;
    let mut other = next(&mut others, shift)?;
    loop {
        let first = match (&one, &other) {
            (None, None) => return Ok(()),
            (Some(one), Some(other)) => one.0.cmp(&other.0),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
        };
        let taken = if first == Ordering::Greater {
            std::mem::replace(&mut other, next(&mut others, shift)?)
        } else {
            std::mem::replace(&mut one, next(&mut ones, 0)?)
        };
        if let Some((record, width)) = taken {
            let record = record.get(..width).unwrap_or_default();
            writer.push(record).map_err(|error| IndexError::io(path, error))?;
        }
    }
}

fn next(records: &mut Records<'_>, shift: u32) -> Result<Option<(Record, usize)>, Broken> {
    let Some(record) = records.next()? else { return Ok(None) };
    let (width, mut record) = (record.len(), table::padded(record));
    if shift > 0 {
        let number = record.get_mut(width.saturating_sub(4)..width).ok_or(Broken)?;
        let shifted = u32::from_be_bytes(*number.first_chunk().ok_or(Broken)?);
        let shifted = shifted.checked_add(shift).ok_or(Broken)?;
        number.copy_from_slice(&shifted.to_be_bytes());
    }
    Ok(Some((record, width)))
}
