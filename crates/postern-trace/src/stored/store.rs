//! Bytes that lie elsewhere, and tables in them.

use std::{
    collections::BTreeMap,
    fmt,
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
};

use super::code::{READING, number, readings};
use crate::source::Seen;

/// Bytes that lie elsewhere, of which parts are read: a file.
pub trait Bytes: fmt::Debug + Send + Sync {
    /// How many there are.
    ///
    /// # Errors
    ///
    /// If that can't be told.
    fn length(&self) -> io::Result<u64>;

    /// Fills the buffer with the bytes from there on.
    ///
    /// # Errors
    ///
    /// If they can't be read, or are not all there.
    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<()>;
}

impl Bytes for Vec<u8> {
    fn length(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        let from = usize::try_from(at).ok();
        let part = from.and_then(|from| self.get(from..from.checked_add(into.len())?));
        into.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// Bytes from which is read; the first failure is kept, and what was to be read is then empty.
#[derive(Debug)]
pub(crate) struct Store {
    bytes: Box<dyn Bytes>,
    length: u64,
    failed: Mutex<Option<io::Error>>,
}

impl Store {
    pub(super) fn new(bytes: Box<dyn Bytes>) -> io::Result<Self> {
        let length = bytes.length()?;
        Ok(Self { bytes, length, failed: Mutex::new(None) })
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    pub(crate) fn read(&self, at: u64, many: u64) -> Vec<u8> {
        let read = || {
            // A length that is damaged must not take all of the memory.
            let is_there = at.checked_add(many).is_some_and(|end| end <= self.length);
            let many = usize::try_from(many).ok().filter(|_| is_there);
            let mut into = vec![0; many.ok_or(io::ErrorKind::UnexpectedEof)?];
            self.bytes.read_at(at, &mut into)?;
            Ok(into)
        };
        read().unwrap_or_else(|error| {
            let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            failed.get_or_insert(error);
            Vec::new()
        })
    }

    /// What failed first since this was last asked.
    pub(super) fn failed(&self) -> Option<io::Error> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Two neighbouring offsets of a table of them.
    fn span(&self, offsets: u64, place: u64) -> (u64, u64) {
        let both = self.read(offsets.saturating_add(place.saturating_mul(8)), 16);
        let (from, until) = both.split_at_checked(8).unwrap_or_default();
        (number(from), number(until))
    }

    fn between(&self, offsets: u64, place: u64) -> Vec<u8> {
        let (from, until) = self.span(offsets, place);
        self.read(from, until.saturating_sub(from))
    }
}

/// Where is written, and how far it has come.
pub(super) struct Sink<'w> {
    to: &'w mut dyn Write,
    pub(super) at: u64,
}

impl<'w> Sink<'w> {
    pub(super) fn new(to: &'w mut dyn Write) -> Self {
        Self { to, at: 0 }
    }

    pub(super) fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.to.write_all(bytes)?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// Writes a table of offsets; says where.
    pub(super) fn offsets(&mut self, offsets: &[u64]) -> io::Result<u64> {
        let at = self.at;
        for offset in offsets {
            self.put(&offset.to_le_bytes())?;
        }
        Ok(at)
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Bytes by number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbered {
    pub(super) offsets: u64,
    pub(super) count: u64,
}

impl Numbered {
    pub(super) fn write<B: AsRef<[u8]>>(
        sink: &mut Sink<'_>,
        all: impl Iterator<Item = B>,
    ) -> io::Result<Self> {
        let mut offsets = vec![sink.at];
        for one in all {
            sink.put(one.as_ref())?;
            offsets.push(sink.at);
        }
        Ok(Self { offsets: sink.offsets(&offsets)?, count: offsets.len() as u64 - 1 })
    }

    pub(super) fn of(&self, store: &Store, place: u32) -> Option<Vec<u8>> {
        let place = u64::from(place);
        (place < self.count).then(|| store.between(self.offsets, place))
    }
}

/// Bytes by key: in buckets by a hash of the key, each with its entries one behind the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keyed(pub(super) Numbered);

/// Entries in a bucket, on average.
const BUCKET: usize = 8;

impl Keyed {
    /// Writes what `entry` says of the numbers below `count`: key and value.
    pub(super) fn write(
        sink: &mut Sink<'_>,
        count: usize,
        entry: impl Fn(usize) -> (Vec<u8>, Vec<u8>),
    ) -> io::Result<Self> {
        let buckets = (count / BUCKET).max(1) as u64;
        let mut order: Vec<(u64, usize)> =
            (0..count).map(|place| (hash(&entry(place).0) % buckets, place)).collect();
        order.sort_unstable();
        let mut rest = order.as_slice();
        let bucket = |number: u64| {
            let many = rest.partition_point(|(bucket, _)| *bucket <= number);
            let (of, behind) = rest.split_at_checked(many).unwrap_or_default();
            rest = behind;
            let mut bytes = super::code::Encoder::default();
            for (_, place) in of {
                let (key, value) = entry(*place);
                bytes.bytes(&key);
                bytes.bytes(&value);
            }
            bytes.0
        };
        Ok(Self(Numbered::write(sink, (0..buckets).map(bucket))?))
    }

    pub(super) fn find(&self, store: &Store, key: &[u8]) -> Option<Vec<u8>> {
        let bucket = hash(key) % self.0.count.max(1);
        let bytes = store.between(self.0.offsets, bucket);
        let mut entries = super::code::Decoder(&bytes);
        while let (Some(of), Some(value)) = (entries.bytes(), entries.bytes()) {
            if of == key {
                return Some(value.to_vec());
            }
        }
        None
    }
}

/// FNV-1a of 64 bits: it is the same on every machine. Source: Fowler, Noll, Vo,
/// draft-eastlake-fnv.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Readings of one customer, each with its source.
type Postings = Arc<[(u32, Seen)]>;

/// By customer: who had it, ordered by source and time.
#[derive(Debug)]
pub(crate) struct BySubject {
    pub(super) store: Arc<Store>,
    pub(super) table: Numbered,
    /// Sources below this number are accounts.
    pub(super) accounts: u32,
    /// Those that the list in hand names, which are asked for again and again.
    listed: Mutex<BTreeMap<u32, Postings>>,
}

impl BySubject {
    pub(super) fn new(store: Arc<Store>, table: Numbered, accounts: u32) -> Self {
        Self { store, table, accounts, listed: Mutex::default() }
    }

    /// Everything about one customer.
    fn all(&self, subject: u32) -> Postings {
        let listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = listed.get(&subject) {
            return Arc::clone(known);
        }
        drop(listed);
        let bytes = self.table.of(&self.store, subject).unwrap_or_default();
        readings(&bytes).map(|(source, seen)| (source, Seen { subject, ..seen })).collect()
    }

    /// What accounts were shown of one customer.
    pub(crate) fn of(&self, subject: u32) -> Vec<(u32, Seen)> {
        let all = self.all(subject);
        all.iter().take_while(|(source, _)| *source < self.accounts).copied().collect()
    }

    /// Keeps what there is on these customers, and says it by source.
    pub(super) fn keep(&self, subjects: impl Iterator<Item = u32>) -> BTreeMap<u32, Vec<Seen>> {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let kept: BTreeMap<u32, Postings> = subjects.map(|s| (s, self.all(s))).collect();
        let mut by_source: BTreeMap<u32, Vec<Seen>> = BTreeMap::new();
        for (source, seen) in kept.values().flat_map(|all| all.iter()) {
            by_source.entry(*source).or_default().push(*seen);
        }
        *self.listed.lock().unwrap_or_else(PoisonError::into_inner) = kept;
        by_source
    }
}

/// Where all that a source had lies.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(super) store: Arc<Store>,
    pub(super) at: u64,
    pub(super) count: u64,
}

impl Place {
    pub(crate) fn read(&self) -> Vec<Seen> {
        let bytes = self.store.read(self.at, self.count.saturating_mul(READING as u64));
        readings(&bytes).map(|(subject, seen)| Seen { subject, ..seen }).collect()
    }
}
