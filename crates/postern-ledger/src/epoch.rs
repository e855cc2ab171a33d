//! Epochs: stretches of the ledger whose names can be made unreadable together.
//!
//! Each epoch has a key. Customers, tickets, addresses and sentences that its entries bring stand
//! in the dictionary under that key. Past retention the rows are reduced to their commitments and
//! the key is destroyed, so that older copies of the file say nothing either. See "Epochs" in
//! `docs/design/ledger.md`. Where to start: [`EpochKey`], [`Stage`].

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    time::Duration,
};

use chacha20::{
    ChaCha20,
    cipher::{KeyIvInit as _, StreamCipher as _},
};
use postern_model::Timestamp;
use zeroize::Zeroizing;

use crate::{
    DecodeError,
    dictionary::{Kind, sha256},
    disk::{Disk, read_from, remove_if_there, replace},
};

const PREFIX: &str = "epoch-";
const KEY_BYTES: usize = 32;
/// What makes the keystream of a row its own besides its number.
pub(crate) type RowNonce = [u8; 7];

/// How long epochs are, and for how long what they say of customers is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// The length of an epoch: what is past retention goes by the epoch.
    pub epoch: Duration,
    /// For how long names are kept behind the end of their epoch.
    pub keep: Duration,
}

/// The file of an epoch's key.
pub(crate) fn key_name(epoch: u16) -> String {
    format!("{PREFIX}{epoch:05}")
}

/// Which epoch's key a file is.
fn epoch_of(name: &str) -> Option<u16> {
    let epoch = name.strip_prefix(PREFIX)?.parse().ok()?;
    (key_name(epoch) == name).then_some(epoch)
}

/// Whether a file is an epoch's key that was never finished.
pub(crate) fn is_unfinished(name: &str) -> bool {
    name.strip_suffix(".tmp").is_some_and(|name| epoch_of(name).is_some())
}

/// The key of one epoch.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct EpochKey(Zeroizing<[u8; KEY_BYTES]>);

impl fmt::Debug for EpochKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EpochKey(..)")
    }
}

impl EpochKey {
    pub(crate) fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// What the entry that begins the epoch commits to.
    pub(crate) fn commitment(&self, epoch: u16) -> [u8; 32] {
        sha256(&[b"postern epoch key 1\n", &epoch.to_le_bytes(), self.0.as_slice()])
    }

    /// Seals salt and text of a row, or opens them.
    pub(crate) fn apply(&self, kind: Kind, number: u32, nonce: &RowNonce, bytes: &mut [u8]) {
        let mut whole = [0; 12];
        let (head, tail) = whole.split_at_mut(5);
        head.copy_from_slice(&[&[kind as u8], number.to_le_bytes().as_slice()].concat());
        tail.copy_from_slice(nonce);
        ChaCha20::new((&*self.0).into(), &whole.into()).apply_keystream(bytes);
    }

    /// What is kept of the keyed hash of a value that was searched for.
    pub(crate) fn search(&self, hash: [u8; 8]) -> [u8; 8] {
        let hash = sha256(&[b"postern epoch search 1\n", self.0.as_slice(), &hash]);
        let mut short = [0; 8];
        short.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
        short
    }
}

/// The keys that are there.
#[derive(Debug, Clone, Default)]
pub(crate) struct Keys {
    keys: BTreeMap<u16, EpochKey>,
    /// What the entries that begin epochs commit to, as far as they were read.
    committed: BTreeMap<u16, [u8; 32]>,
    /// Epochs whose keys are others than they began with.
    /// INVARIANT: what `keys` and `committed` say, which would take a hash for each row.
    others: BTreeSet<u16>,
}

/// Why a row that is sealed can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyTrouble {
    Missing,
    /// It is not the one that the epoch began with.
    Other,
}

impl Keys {
    /// The keys in a ledger's folder.
    pub(crate) fn load(disk: &dyn Disk) -> io::Result<Self> {
        let mut keys = Self::default();
        for epoch in disk.list("")?.iter().filter_map(|name| epoch_of(name)) {
            keys.look(disk, epoch)?;
        }
        Ok(keys)
    }

    fn look(&mut self, disk: &dyn Disk, epoch: u16) -> io::Result<()> {
        let bytes = match disk.open_read(&key_name(epoch)) {
            Ok(file) => Zeroizing::new(read_from(&*file, 0)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        // What is no key has to be told from what is not there.
        let key = <[u8; KEY_BYTES]>::try_from(bytes.as_slice()).unwrap_or_default();
        self.insert(epoch, EpochKey::new(key));
        Ok(())
    }

    /// The epochs whose keys are there.
    pub(crate) fn epochs(&self) -> impl Iterator<Item = u16> {
        self.keys.keys().copied()
    }

    pub(crate) fn insert(&mut self, epoch: u16, key: EpochKey) {
        self.keys.insert(epoch, key);
        self.compare(epoch);
    }

    fn compare(&mut self, epoch: u16) {
        let (key, committed) = (self.keys.get(&epoch), self.committed.get(&epoch));
        match (key, committed) {
            (Some(key), Some(committed)) if key.commitment(epoch) != *committed => {
                self.others.insert(epoch);
            }
            // One pass goes on where another stood, and does not see what was before.
            _ => {
                self.others.remove(&epoch);
            }
        }
    }

    /// Takes what an entry says of the key of the epoch that it begins.
    pub(crate) fn commit(&mut self, epoch: u16, commitment: [u8; 32]) {
        self.committed.insert(epoch, commitment);
        self.compare(epoch);
    }

    /// The same where a writer may have made the key since the others were read.
    pub(crate) fn commit_on(
        &mut self,
        disk: &dyn Disk,
        epoch: u16,
        commitment: [u8; 32],
    ) -> io::Result<()> {
        self.commit(epoch, commitment);
        if self.keys.contains_key(&epoch) { Ok(()) } else { self.look(disk, epoch) }
    }

    /// The key of an epoch, if it is the one that it began with.
    pub(crate) fn key(&self, epoch: u16) -> Result<&EpochKey, KeyTrouble> {
        let key = self.keys.get(&epoch).ok_or(KeyTrouble::Missing)?;
        if self.others.contains(&epoch) { Err(KeyTrouble::Other) } else { Ok(key) }
    }

    /// Forgets the keys of epochs before that one.
    pub(crate) fn forget(&mut self, before: u16) {
        self.keys.retain(|&epoch, _| epoch >= before);
        self.committed.retain(|&epoch, _| epoch >= before);
        self.others.retain(|&epoch| epoch >= before);
    }
}

/// What an entry says of epochs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    Begun {
        epoch: u16,
        commitment: [u8; 32],
    },
    /// All epochs before that one, which began at that time.
    Forgotten {
        before: u16,
        until: Timestamp,
    },
}

/// Which epoch entries belong to at a place of the ledger, and which are past retention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Stage {
    /// 0: none has begun yet.
    pub(crate) current: u16,
    /// Epochs before this one are past retention.
    pub(crate) kept: u16,
    /// When that one began.
    pub(crate) until: Timestamp,
    /// How many customers there were when the first epoch began.
    pub(crate) unsealed: u32,
}

impl Stage {
    /// Takes an entry behind which there are so many customers.
    pub(crate) fn take(&mut self, turn: Turn, subjects: u32) -> Result<(), DecodeError> {
        match turn {
            Turn::Begun { epoch, .. } if Some(epoch) == self.current.checked_add(1) => {
                if epoch == 1 {
                    self.unsealed = subjects;
                }
                self.current = epoch;
            }
            Turn::Forgotten { before, until } if self.kept < before && before <= self.current => {
                (self.kept, self.until) = (before, until);
            }
            Turn::Begun { .. } | Turn::Forgotten { .. } => return Err(DecodeError::Unknown),
        }
        Ok(())
    }

    /// Up to when the ledger is past retention, if any of it is.
    pub(crate) fn past_retention(&self) -> Option<Timestamp> {
        (self.kept > 0).then_some(self.until)
    }
}

/// Makes the key of an epoch durable, before the entry that begins it.
pub(crate) fn write_key(disk: &dyn Disk, epoch: u16, key: &EpochKey) -> io::Result<()> {
    replace(disk, &key_name(epoch), key.as_bytes())
}

/// Overwrites the keys of epochs before that one, and removes them, durably. What a crash leaves of
/// it is ended by the next opening.
pub(crate) fn destroy_keys(disk: &dyn Disk, before: u16) -> io::Result<()> {
    let names = disk.list("")?;
    let gone = names.iter().filter(|name| epoch_of(name).is_some_and(|epoch| epoch < before));
    let mut destroyed = false;
    for name in gone {
        let mut file = disk.open(name)?;
        let length = usize::try_from(file.len()?).unwrap_or(KEY_BYTES).max(KEY_BYTES);
        file.write_at(&vec![0; length.min(4096)], 0)?;
        // On stable storage as zeros before the name goes: what is left of the file is no key.
        file.sync()?;
        remove_if_there(disk, name)?;
        destroyed = true;
    }
    if destroyed { disk.sync_folder("") } else { Ok(()) }
}

/// Removes keys of epochs that a crash kept from beginning: nothing is sealed under them.
pub(crate) fn remove_unused(disk: &dyn Disk, current: u16) -> io::Result<()> {
    let names = disk.list("")?;
    let unused = names.iter().filter(|name| epoch_of(name).is_some_and(|epoch| epoch > current));
    let mut removed = false;
    for name in unused {
        remove_if_there(disk, name)?;
        removed = true;
    }
    if removed { disk.sync_folder("") } else { Ok(()) }
}

/// Whether the key of an epoch before that one is there.
pub(crate) fn has_keys(disk: &dyn Disk, before: u16) -> io::Result<bool> {
    let is_gone = |name: &String| epoch_of(name).is_some_and(|epoch| epoch < before);
    Ok(disk.list("")?.iter().any(is_gone))
}
