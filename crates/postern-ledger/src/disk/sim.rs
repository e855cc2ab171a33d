//! A disk in memory that fails on request and forgets what was not synced when the power goes.

use std::{
    any::Any,
    collections::{BTreeMap, BTreeSet},
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard},
};

use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::{Disk, DiskFile};

const SECTOR: usize = 512;

/// What happens at an operation that changes something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It fails, having done a part. A failed sync drops what it did not write, as Linux does.
    Broken,
    /// There is no space; only a part of a write was done.
    Full,
    /// The process is killed just before it.
    Killed,
}

#[derive(Clone)]
pub(crate) struct SimDisk(Arc<Mutex<State>>);

struct State {
    files: Vec<SimFile>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// What was done to names since their folder was synced, in order.
    name_changes: Vec<NameChange>,
    rng: StdRng,
    /// Operations that change something so far.
    operations: u64,
    fault: Option<(u64, Fault)>,
    killed: bool,
    lock: Arc<()>,
    /// How many bytes all files may take together.
    capacity: u64,
    /// How many syncs that write something come before one that writes to a wrong place.
    misdirect: Option<u64>,
    /// What was written to a wrong place, and where it is.
    misdirected: Option<String>,
}

#[derive(Clone)]
struct NameChange {
    name: String,
    file: Option<usize>,
}

#[derive(Default, Clone)]
struct SimFile {
    /// What reads see.
    cached: Vec<u8>,
    /// What survives the loss of power.
    durable: Vec<u8>,
    /// Sectors that the next sync writes.
    dirty: BTreeSet<usize>,
}

impl SimFile {
    fn flush(&mut self, sector: usize) {
        let start = sector * SECTOR;
        let end = (start + SECTOR).min(self.cached.len());
        if start >= end {
            return;
        }
        if self.durable.len() < end {
            self.durable.resize(end, 0);
        }
        self.durable[start..end].copy_from_slice(&self.cached[start..end]);
    }

    /// Some of what is dirty reaches the disk, the rest is forgotten.
    fn flush_some(&mut self, rng: &mut StdRng) {
        if rng.random() {
            self.durable.resize(self.cached.len(), 0);
        }
        for sector in std::mem::take(&mut self.dirty) {
            if rng.random() && sector * SECTOR < self.durable.len() {
                let length = self.durable.len();
                self.flush(sector);
                self.durable.truncate(length);
            }
        }
    }
}

impl SimDisk {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            files: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            name_changes: Vec::new(),
            rng: StdRng::seed_from_u64(seed),
            operations: 0,
            fault: None,
            killed: false,
            lock: Arc::new(()),
            capacity: u64::MAX,
            misdirect: None,
            misdirected: None,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub(crate) fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Lets the operation of that number (from now on counted from 0) fail.
    pub(crate) fn fail_at(&self, operation: u64, fault: Fault) {
        let mut state = self.state();
        state.operations = 0;
        state.fault = Some((operation, fault));
    }

    pub(crate) fn limit_capacity(&self, bytes: u64) {
        self.state().capacity = bytes;
    }

    pub(crate) fn used(&self) -> u64 {
        let state = self.state();
        state.names.values().map(|&file| state.files[file].cached.len() as u64).sum()
    }

    /// All files by name, as reads see them.
    pub(crate) fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        let state = self.state();
        let content =
            |(name, &file): (&String, &usize)| (name.clone(), state.files[file].cached.clone());
        state.names.iter().map(content).collect()
    }

    /// A disk with these files.
    pub(crate) fn holding(contents: &BTreeMap<String, Vec<u8>>) -> Self {
        let disk = Self::new(0);
        let mut state = disk.state();
        for (name, bytes) in contents {
            let file = state.files.len();
            let (cached, durable) = (bytes.clone(), bytes.clone());
            state.files.push(SimFile { cached, durable, dirty: BTreeSet::new() });
            state.names.insert(name.clone(), file);
        }
        state.durable_names = state.names.clone();
        drop(state);
        disk
    }

    /// The same disk once more, caches and all, with nobody at work on it.
    pub(crate) fn fork(&self) -> Self {
        let mut old = self.state();
        let disk = Self::new(old.rng.random());
        let mut state = disk.state();
        state.files = old.files.clone();
        state.names = old.names.clone();
        state.durable_names = old.durable_names.clone();
        state.name_changes = old.name_changes.clone();
        state.capacity = old.capacity;
        (state.misdirect, state.misdirected) = (old.misdirect, old.misdirected.clone());
        drop(state);
        disk
    }

    /// Changes what is on the disk and not what is read, as after a sync that failed.
    pub(crate) fn change_below_the_cache(&self, name: &str, offset: usize, bytes: &[u8]) {
        let mut state = self.state();
        let file = state.names[name];
        state.files[file].durable[offset..offset + bytes.len()].copy_from_slice(bytes);
    }

    /// Lets the disk put what a sync writes, after so many others, where something else belongs, as
    /// a head that is off its track does. The sync says nothing of it, nor do reads before the
    /// power goes.
    pub(crate) fn misdirect_after(&self, syncs: u64) {
        self.state().misdirect = Some(syncs);
    }

    /// What was written to a wrong place, if that has come to pass.
    pub(crate) fn misdirected(&self) -> Option<String> {
        self.state().misdirected.clone()
    }

    /// The process is started again on the same machine: caches are kept.
    pub(crate) fn restart(&self) -> Self {
        let mut state = self.state();
        state.killed = false;
        state.fault = None;
        state.lock = Arc::new(());
        self.clone()
    }

    /// The power went: of what was not synced, any part is there.
    pub(crate) fn lose_power(&self, seed: u64) -> Self {
        let old = self.state();
        let mut rng = StdRng::seed_from_u64(seed);
        let mut files = old.files.clone();
        for file in &mut files {
            file.flush_some(&mut rng);
            file.cached = file.durable.clone();
        }
        let mut names = old.durable_names.clone();
        let kept = rng.random_range(0..=old.name_changes.len());
        old.name_changes[..kept].iter().for_each(|change| apply(&mut names, change));
        let disk = Self::new(seed);
        let mut state = disk.state();
        (state.files, state.durable_names, state.names) = (files, names.clone(), names);
        drop(state);
        disk
    }
}

fn apply(names: &mut BTreeMap<String, usize>, change: &NameChange) {
    match change.file {
        Some(file) => names.insert(change.name.clone(), file),
        None => names.remove(&change.name),
    };
}

fn folder_of(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(folder, _)| folder)
}

impl State {
    /// Counts an operation that changes something; tells of the fault that it meets.
    fn step(&mut self) -> io::Result<Option<Fault>> {
        let now = self.operations;
        self.operations += 1;
        if self.fault.is_some_and(|(at, fault)| at == now && fault == Fault::Killed) {
            self.killed = true;
        }
        if self.killed {
            return Err(io::Error::other("killed"));
        }
        Ok(self.fault.filter(|(at, _)| *at == now).map(|(_, fault)| fault))
    }

    /// An operation that is done whole or not at all.
    fn atomic_step(&mut self) -> io::Result<()> {
        match self.step()? {
            Some(fault) => Err(error(fault)),
            None => Ok(()),
        }
    }

    /// Whether the sync that comes writes to a wrong place.
    fn is_misdirected(&mut self, file: usize) -> bool {
        if self.files[file].dirty.is_empty() {
            return false;
        }
        let left = self.misdirect;
        self.misdirect = left.and_then(|left| left.checked_sub(1));
        left == Some(0)
    }

    /// Writes a run of a file's dirty sectors over others: of the same file, or of another.
    fn misdirect(&mut self, file: usize, rng: &mut StdRng) {
        let dirty: Vec<usize> = self.files[file].dirty.iter().copied().collect();
        let first = rng.random_range(0..dirty.len());
        let run = (0..dirty.len() - first).take_while(|at| dirty[first + at] == dirty[first] + at);
        let count = rng.random_range(1..=run.count());
        let start = dirty[first] * SECTOR;
        let written = &self.files[file].cached;
        let mut bytes = written[start..(start + count * SECTOR).min(written.len())].to_vec();
        bytes.resize(count * SECTOR, 0);
        let places: Vec<(&String, usize, usize)> = self
            .names
            .iter()
            .flat_map(|(name, &at)| {
                let sectors = self.files[at].durable.len().div_ceil(SECTOR);
                (0..sectors).map(move |sector| (name, at, sector * SECTOR))
            })
            .filter(|&(_, at, to)| (at, to) != (file, start))
            .collect();
        if places.is_empty() {
            // There is nothing yet that it could be written over: the next one is.
            self.misdirect = Some(0);
            return;
        }
        let (name, at, to) = places[rng.random_range(0..places.len())];
        let what = format!("{count} sectors of file {file} from byte {start} in {name} at {to}");
        let over = &mut self.files[at].durable[to..];
        let length = over.len().min(bytes.len());
        over[..length].copy_from_slice(&bytes[..length]);
        for sector in &dirty[first..first + count] {
            self.files[file].dirty.remove(sector);
        }
        self.misdirected = Some(what);
    }

    fn change_name(&mut self, name: &str, file: Option<usize>) {
        let change = NameChange { name: name.to_owned(), file };
        apply(&mut self.names, &change);
        self.name_changes.push(change);
    }

    fn find(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn error(fault: Fault) -> io::Error {
    match fault {
        Fault::Full => io::ErrorKind::StorageFull.into(),
        Fault::Broken | Fault::Killed => io::Error::other("input/output error"),
    }
}

impl Disk for SimDisk {
    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(name)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        state.atomic_step()?;
        if state.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = state.files.len();
        state.files.push(SimFile::default());
        state.change_name(name, Some(file));
        Ok(Box::new(OpenFile { disk: self.clone(), file }))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        self.open_read(name)
    }

    fn open_read(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let file = self.state().find(name)?;
        Ok(Box::new(OpenFile { disk: self.clone(), file }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        state.atomic_step()?;
        let file = state.find(from)?;
        state.change_name(to, Some(file));
        state.change_name(from, None);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.find(name)?;
        state.atomic_step()?;
        state.change_name(name, None);
        Ok(())
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let state = self.state();
        let names = state.names.keys().filter(|name| folder_of(name) == folder);
        Ok(names.map(|name| name.rsplit('/').next().unwrap_or(name).to_owned()).collect())
    }

    fn remove_index(&self) -> io::Result<()> {
        Ok(())
    }

    fn sync_folder(&self, folder: &str) -> io::Result<()> {
        let mut state = self.state();
        state.atomic_step()?;
        let changes = std::mem::take(&mut state.name_changes);
        for change in changes {
            if folder_of(&change.name) == folder {
                apply(&mut state.durable_names, &change);
            } else {
                state.name_changes.push(change);
            }
        }
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let used = self.used();
        Ok(self.state().capacity.saturating_sub(used))
    }

    fn lock(&self) -> io::Result<Box<dyn Any + Send>> {
        let state = self.state();
        if Arc::strong_count(&state.lock) > 1 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(state.lock.clone()))
    }
}

struct OpenFile {
    disk: SimDisk,
    file: usize,
}

impl DiskFile for OpenFile {
    fn identity(&self) -> io::Result<(u64, u64)> {
        Ok((0, self.file as u64))
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.state().files[self.file].cached.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.disk.state();
        let bytes = &state.files[self.file].cached;
        let start = (offset as usize).min(bytes.len());
        let count = buffer.len().min(bytes.len() - start);
        buffer[..count].copy_from_slice(&bytes[start..start + count]);
        Ok(count)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let used = self.disk.used();
        let mut state = self.disk.state();
        let mut fault = state.step()?;
        let start = offset as usize;
        let grows = (start + bytes.len()).saturating_sub(state.files[self.file].cached.len());
        if used + grows as u64 > state.capacity {
            fault = Some(Fault::Full);
        }
        let count = match fault {
            None => bytes.len(),
            Some(_) => state.rng.random_range(0..=bytes.len()),
        };
        let file = &mut state.files[self.file];
        if file.cached.len() < start + count {
            file.cached.resize(start + count, 0);
        }
        file.cached[start..start + count].copy_from_slice(&bytes[..count]);
        file.dirty.extend(start / SECTOR..(start + count).div_ceil(SECTOR));
        fault.map_or(Ok(()), |fault| Err(error(fault)))
    }

    fn reserve(&mut self, length: u64) -> io::Result<()> {
        let used = self.disk.used();
        let mut state = self.disk.state();
        state.atomic_step()?;
        let grows = length.saturating_sub(state.files[self.file].cached.len() as u64);
        if used + grows > state.capacity {
            return Err(error(Fault::Full));
        }
        Ok(())
    }

    fn set_len(&mut self, length: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.atomic_step()?;
        let file = &mut state.files[self.file];
        file.cached.resize(length as usize, 0);
        file.dirty.retain(|sector| sector * SECTOR < length as usize);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.state();
        let fault = state.step()?;
        let mut rng = StdRng::seed_from_u64(state.rng.random());
        if fault.is_none() && state.is_misdirected(self.file) {
            state.misdirect(self.file, &mut rng);
        }
        let file = &mut state.files[self.file];
        if let Some(fault) = fault {
            file.flush_some(&mut rng);
            return Err(error(fault));
        }
        file.durable.resize(file.cached.len(), 0);
        std::mem::take(&mut file.dirty).into_iter().for_each(|sector| file.flush(sector));
        Ok(())
    }
}
