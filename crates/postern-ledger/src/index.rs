//! Who saw a customer, and what an account saw, without reading the whole ledger.
//!
//! The index is a folder of runs beside the segments: sorted tables that say in which entries a
//! subject or an actor stands. It is derived. Asking brings it up to date with a pass over the
//! entries that it has not seen, checked as `verify` checks them; its blocks are sealed under a key
//! that is made of the ledger's own; and each entry and row that it points to is read in the
//! ledger and compared. What does not fit is thrown away and made anew. It refuses to work without
//! the ledger's key: who has none asks the ledger itself, with [`answer_from_log`].
//!
//! Where to start: [`Index::open`], [`Index::answer`]. `table` has the files, `run` what is in
//! them, `ask` the reading of hits.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use postern_merkle::VerifyingKey;
use postern_model::{Actor, Subject, Timestamp};
use rand::RngExt as _;

use self::{
    ask::{Log, seen_in},
    run::{Gathered, Part, Run, can_join, join},
    table::Table,
};
use crate::{
    Body, Damage, DamageKind, Disclosed, Entry, Group, Which,
    dictionary::{Kind, StoredRow},
    disk::{Disk, Folder},
    frame::LedgerId,
    identity,
    payload::Decoded,
    scan::{Mark, Scan},
    verify::{Check, PROGRESS_STEP},
};

mod ask;
mod run;
mod table;
#[cfg(test)]
mod tests;

/// Of so many entries the disk is asked for at once, and of so many customers in them.
const ENTRIES_AT_ONCE: usize = 64;
const ROWS_AT_ONCE: usize = 4096;

/// Where the index is in a ledger's folder.
pub(crate) const FOLDER: &str = "index";

/// Whose disclosures are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    /// Who saw this customer.
    Subject(Subject),
    /// What this account saw.
    Actor(Actor),
}

/// A question to the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub about: About,
    /// From this moment on.
    pub since: Option<Timestamp>,
    /// Before this moment.
    pub until: Option<Timestamp>,
}

/// One answer: a group of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The entry.
    pub sequence: u64,
    pub time: Timestamp,
    pub actor: Actor,
    /// The statement without its literals.
    pub statement: Arc<str>,
    /// The ticket that the actor named.
    pub claimed: Option<Arc<str>>,
    /// What was shown and why. Asked about a customer, it names this one only.
    pub group: Group,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The ledger does not hold.
    #[error("the ledger does not hold")]
    Damaged(#[from] Damage),
    /// The ledger's own key is not there, so that the index can't be sealed.
    #[error("there is no key to seal an index with")]
    NoKey,
    /// A file of the index could not be written.
    #[error("`{}` cannot be used", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        #[source]
        error: io::Error,
    },
    /// The index does not fit the ledger, not even a new one.
    #[error("the index does not fit the ledger")]
    Broken(#[from] Broken),
}

/// Something of the index is not as it was written, or not so in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not as it was written")]
pub struct Broken;

impl IndexError {
    fn io(path: &Path, error: io::Error) -> Self {
        Self::Io { path: path.to_owned(), error }
    }
}

/// An index that is up to date.
pub struct Index {
    ledger: PathBuf,
    disk: Arc<dyn Disk>,
    key: [u8; 32],
    id: LedgerId,
    runs: Vec<Run>,
    gathered: Gathered,
    log: Log,
    remade: bool,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index").field("entries", &self.entries()).finish_non_exhaustive()
    }
}

impl Index {
    /// Brings the index of a ledger up to date, and makes it if there is none. `progress` is told
    /// how many entries it has, and how many the checkpoint covers.
    pub fn open(folder: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<Self, IndexError> {
        let mut index = Self::begin(folder)?;
        let _lock = index.lock()?;
        index.load()?;
        match index.catch_up(progress) {
            Err(IndexError::Broken(_)) => index.remake(progress)?,
            // Where the index says that it stood something else may stand now, after an erasure.
            Err(IndexError::Damaged(_)) if !index.runs.is_empty() => index.remake(progress)?,
            other => other?,
        }
        Ok(index)
    }

    /// How many entries it knows.
    pub fn entries(&self) -> u64 {
        self.gathered.span().end.edge.size()
    }

    /// Before which moment the ledger names no customer any more, if there is such a moment.
    pub fn past_retention(&self) -> Option<Timestamp> {
        self.gathered.span().end.stage.past_retention()
    }

    /// Whether there was an index that did not fit the ledger, and was made anew.
    pub fn was_remade(&self) -> bool {
        self.remade
    }

    /// All that is asked for, in the order of the ledger.
    pub fn answer(&mut self, question: &Question) -> Result<Vec<Seen>, IndexError> {
        match self.look(question) {
            Err(IndexError::Broken(_)) => {
                let _lock = self.lock()?;
                self.remake(&mut |_, _| {})?;
                self.look(question)
            }
            other => other,
        }
    }

    fn begin(folder: &Path) -> Result<Self, IndexError> {
        let disk: Arc<dyn Disk> = Arc::new(Folder::new(folder));
        let verifying = identity::verifying_key(&*disk)?;
        let key = sealing_key(&*disk, &verifying)?;
        let id = LedgerId::new(&verifying);
        let gathered = Gathered::after(&Mark::start(), &key);
        let (log, ledger) = (Log::new(disk.clone()), folder.to_owned());
        Ok(Self { ledger, disk, key, id, runs: Vec::new(), gathered, log, remade: false })
    }

    fn folder(&self) -> PathBuf {
        self.ledger.join(FOLDER)
    }

    /// One process at a time changes the index.
    fn lock(&self) -> Result<File, IndexError> {
        use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
        let (folder, path) = (self.folder(), self.folder().join("lock"));
        let lock = || {
            fs::DirBuilder::new().mode(0o700).recursive(true).create(&folder)?;
            let mut options = File::options();
            let options = options.write(true).create(true).truncate(false).mode(0o600);
            let file = options.open(&path)?;
            file.lock()?;
            Ok(file)
        };
        lock().map_err(|error| IndexError::io(&path, error))
    }

    /// Opens the runs that follow one another from the first entry on.
    fn load(&mut self) -> Result<(), IndexError> {
        let mut found = run_names(&self.folder())?;
        // Where two begin with the same entry, the longer one was made of the shorter.
        found.sort_by_key(|&(first, end, _)| (first, std::cmp::Reverse(end)));
        let mut next = 0;
        for (first, end, path) in found {
            let run = (first == next).then(|| Run::open(&path, &self.key, self.id));
            let covers = |run: &Run| (run.span().first, run.span().end.edge.size());
            match run {
                // The name may be another's.
                Some(Ok(run)) if covers(&run) == (first, end) => {
                    self.runs.push(run);
                    next = end;
                }
                // What a crash or somebody else left is of no use; what is missed is read anew.
                Some(Ok(_) | Err(Broken)) | None => {
                    self.remade |= run.is_some();
                    fs::remove_file(&path).map_err(|error| IndexError::io(&path, error))?;
                }
            }
        }
        Ok(())
    }

    /// Takes what came since.
    fn catch_up(&mut self, progress: &mut dyn FnMut(u64, u64)) -> Result<(), IndexError> {
        let verifying = identity::verifying_key(&*self.disk)?;
        let checkpoint = identity::checkpoint(&*self.disk, &verifying)?;
        let signed = checkpoint.size;
        let mark = self.runs.last().map_or_else(Mark::start, |run| run.span().end.clone());
        self.check_end(&mark)?;
        let mut check = Check::new(Which::Own, checkpoint);
        let mut scan = Scan::resume(self.disk.clone(), self.id, mark.clone())?;
        self.gathered = Gathered::after(&mark, &self.key);
        check.look(scan.edge());
        while let Some((decoded, _)) = scan.next()? {
            check.look(scan.edge());
            self.gathered.take(&scan, &decoded);
            if self.gathered.is_full() {
                self.add_run(scan.mark())?;
            }
            if scan.edge().size().is_multiple_of(PROGRESS_STEP) {
                progress(scan.edge().size(), signed);
            }
        }
        // What was checked against a checkpoint of then is not checked again.
        if signed >= mark.edge.size() {
            check.finish(&scan)?;
        }
        if self.gathered.is_worth_a_run() {
            return self.add_run(scan.mark());
        }
        self.gathered.finish(scan.mark());
        Ok(())
    }

    /// The last entry of the last run has to be there.
    fn check_end(&self, mark: &Mark) -> Result<(), IndexError> {
        let Some(last) = mark.edge.size().checked_sub(1) else { return Ok(()) };
        self.log.payload(last, self.entry(last)?).map(drop)
    }

    fn add_run(&mut self, end: Mark) -> Result<(), IndexError> {
        self.gathered.finish(end.clone());
        let (first, size) = (self.gathered.span().first, end.edge.size());
        let nonce = rand::rng().random();
        self.place(first, size, |path| self.gathered.write(path, self.id, nonce))?;
        self.open_run(first, size)?;
        self.gathered = Gathered::after(&end, &self.key);
        self.join_runs()
    }

    fn open_run(&mut self, first: u64, end: u64) -> Result<(), IndexError> {
        self.runs.push(Run::open(&self.run_path(first, end), &self.key, self.id)?);
        Ok(())
    }

    fn run_path(&self, first: u64, end: u64) -> PathBuf {
        self.folder().join(format!("{first:016x}-{end:016x}.run"))
    }

    /// Joins the last two for as long as the one before is not far larger, so that there are few.
    fn join_runs(&mut self) -> Result<(), IndexError> {
        while let [.., one, other] = self.runs.as_slice()
            && one.weight() < 2 * other.weight()
            && can_join(one, other)
        {
            let (first, middle) = (one.span().first, other.span().first);
            let end = other.span().end.edge.size();
            let nonce = rand::rng().random();
            let sealing = (&self.key, self.id);
            self.place(first, end, |path| join((one, other), path, sealing, nonce))?;
            self.runs.truncate(self.runs.len() - 2);
            for (first, end) in [(first, middle), (middle, end)] {
                let path = self.run_path(first, end);
                fs::remove_file(&path).map_err(|error| IndexError::io(&path, error))?;
            }
            self.open_run(first, end)?;
        }
        Ok(())
    }

    /// Writes a file beside its place, and moves it there when it is whole.
    fn place(
        &self,
        first: u64,
        end: u64,
        write: impl FnOnce(&Path) -> Result<(), IndexError>,
    ) -> Result<(), IndexError> {
        let path = self.run_path(first, end);
        let unfinished = path.with_extension("tmp");
        write(&unfinished)?;
        fs::rename(&unfinished, &path).map_err(|error| IndexError::io(&path, error))
    }

    fn remake(&mut self, progress: &mut dyn FnMut(u64, u64)) -> Result<(), IndexError> {
        self.runs.clear();
        remove_runs(&self.folder())?;
        self.log = Log::new(self.disk.clone());
        self.remade = true;
        self.catch_up(progress)
    }

    fn parts(&self) -> impl Iterator<Item = &dyn Part> {
        let runs = self.runs.iter().map(|run| run as &dyn Part);
        runs.chain(std::iter::once(&self.gathered as &dyn Part))
    }

    /// The part that has an entry, and the entry's place there.
    fn part_of(&self, sequence: u64) -> Result<(&dyn Part, u64), Broken> {
        let part = self.parts().find(|part| part.has_entry(sequence)).ok_or(Broken)?;
        Ok((part, sequence - part.span().first))
    }

    fn entry(&self, sequence: u64) -> Result<table::Record, Broken> {
        let (part, index) = self.part_of(sequence)?;
        part.record(Table::Entries, index)
    }

    fn row(&self, kind: Kind, number: u32) -> Result<Option<Arc<str>>, IndexError> {
        Ok(self.stored_row(kind, number)?.text)
    }

    fn stored_row(&self, kind: Kind, number: u32) -> Result<StoredRow, IndexError> {
        let row = self.parts().find_map(|part| part.row(kind, number)).ok_or(Broken)??;
        self.log.row(kind, number, row)
    }

    /// The numbers that a text has; after an erasure there may be more than one.
    fn numbers(&self, kind: Kind, text: &str) -> Result<Vec<u32>, IndexError> {
        let table = if kind == Kind::Subject { Table::SubjectTexts } else { Table::NameTexts };
        let key = run::text_key(&self.key, kind, text);
        let mut numbers = Vec::new();
        for part in self.parts() {
            for number in part.under(table, &key)? {
                if self.row(kind, number)?.as_deref() == Some(text) {
                    numbers.push(number);
                }
            }
        }
        Ok(numbers)
    }

    /// The entries in which a customer stands, and the customer's rows.
    pub(crate) fn entries_with(
        &mut self,
        question: &Question,
    ) -> Result<(Vec<Decoded>, Vec<StoredRow>), IndexError> {
        match self.look_for_entries(question) {
            Err(IndexError::Broken(_)) => {
                let _lock = self.lock()?;
                self.remake(&mut |_, _| {})?;
                self.look_for_entries(question)
            }
            other => other,
        }
    }

    fn look_for_entries(
        &self,
        question: &Question,
    ) -> Result<(Vec<Decoded>, Vec<StoredRow>), IndexError> {
        let (kind, numbers, entries) = self.found(question)?;
        let mut found = Vec::new();
        for entries in entries.chunks(ENTRIES_AT_ONCE) {
            for payload in self.payloads(entries, kind)? {
                found.push(ask::decoded(self, &payload, Some(&numbers))?);
            }
        }
        let rows = numbers.iter().map(|&number| self.stored_row(kind, number));
        Ok((found, rows.collect::<Result<_, _>>()?))
    }

    fn look(&self, question: &Question) -> Result<Vec<Seen>, IndexError> {
        let (kind, numbers, entries) = self.found(question)?;
        let mut seen = Vec::new();
        for entries in entries.chunks(ENTRIES_AT_ONCE) {
            for payload in self.payloads(entries, kind)? {
                let found = seen_in(self, &payload, (kind, &numbers))?;
                // The index says that it is there.
                if found.is_empty() && kind == Kind::Subject {
                    return Err(Broken.into());
                }
                seen.extend(found);
            }
        }
        Ok(seen)
    }

    /// The numbers of whom is asked about, and the entries that have them, by their places.
    fn found(&self, question: &Question) -> Result<(Kind, Vec<u32>, Vec<u64>), IndexError> {
        let (kind, table, text) = match &question.about {
            About::Subject(subject) => (Kind::Subject, Table::Subjects, subject.as_str()),
            About::Actor(actor) => (Kind::Name, Table::Actors, actor.as_str()),
        };
        let first = question.since.map_or(Ok(0), |since| self.first_at(since))?;
        let end = question.until.map_or(Ok(self.entries()), |until| self.first_at(until))?;
        let mut entries = BTreeSet::new();
        let numbers = self.numbers(kind, text)?;
        for part in self.parts() {
            for &number in &numbers {
                let found = part.entries_of(table, number)?;
                entries.extend(found.into_iter().filter(|entry| (first..end).contains(entry)));
            }
        }
        Ok((kind, numbers, Vec::from_iter(entries)))
    }

    /// Reads entries, and has the system begin to read what their texts take: the disk is asked for
    /// many places at once, where one after the other would take as long as all of them.
    fn payloads(&self, entries: &[u64], kind: Kind) -> Result<Vec<Vec<u8>>, IndexError> {
        for &sequence in entries {
            let (part, index) = self.part_of(sequence)?;
            part.will_read(Table::Entries, index);
        }
        let records = entries.iter().map(|&sequence| self.entry(sequence));
        let records = records.collect::<Result<Vec<_>, Broken>>()?;
        records.iter().try_for_each(|record| self.log.will_read_payload(record))?;
        let mut payloads = Vec::new();
        for (&sequence, record) in entries.iter().zip(records) {
            payloads.push(self.log.payload(sequence, record)?);
        }
        if kind == Kind::Name {
            self.will_read_subjects(&payloads)?;
        }
        Ok(payloads)
    }

    fn will_read_subjects(&self, payloads: &[Vec<u8>]) -> Result<(), IndexError> {
        let mut numbers = BTreeSet::new();
        for payload in payloads {
            numbers.extend(ask::subjects_in(payload)?);
        }
        for &number in numbers.iter().take(ROWS_AT_ONCE) {
            let place = |part: &dyn Part| part.row_place(Kind::Subject, number);
            if let Some((part, (table, index))) =
                self.parts().find_map(|part| Some((part, place(part)?)))
            {
                part.will_read(table, index);
            }
        }
        for &number in numbers.iter().take(ROWS_AT_ONCE) {
            let row = self.parts().find_map(|part| part.row(Kind::Subject, number));
            self.log.will_read_row(&row.ok_or(Broken)??)?;
        }
        Ok(())
    }

    /// The first entry of that moment or later.
    fn first_at(&self, time: Timestamp) -> Result<u64, IndexError> {
        let (mut low, mut high) = (0, self.entries());
        for part in self.parts() {
            let [before, behind] = part.around(time)?;
            low = before.unwrap_or(low);
            if let Some(behind) = behind {
                high = behind;
                break;
            }
        }
        while low < high {
            let middle = low + (high - low) / 2;
            let payload = self.log.payload(middle, self.entry(middle)?)?;
            if ask::head(&payload)?.time < time {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }
}

/// The key under which blocks are sealed and texts are hashed.
fn sealing_key(disk: &dyn Disk, verifying: &VerifyingKey) -> Result<[u8; 32], IndexError> {
    match identity::key_and_seed(disk, verifying) {
        Ok((_, seed)) => Ok(blake3::derive_key("postern ledger index 1", seed.as_slice())),
        Err(Damage { kind: DamageKind::Missing | DamageKind::Unreadable(_), .. }) => {
            Err(IndexError::NoKey)
        }
        Err(damage) => Err(damage.into()),
    }
}

/// The runs in a folder: first entry, end, path. Anything unfinished is removed.
fn run_names(folder: &Path) -> Result<Vec<(u64, u64, PathBuf)>, IndexError> {
    let io = |error| IndexError::io(folder, error);
    let mut found = Vec::new();
    for file in fs::read_dir(folder).map_err(io)? {
        let path = file.map_err(io)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let hex = |text: &str| u64::from_str_radix(text, 16).ok();
        let range = name.strip_suffix(".run").and_then(|stem| stem.split_once('-'));
        let range = range.and_then(|(first, end)| hex(first).zip(hex(end)));
        match range {
            Some((first, end)) => found.push((first, end, path)),
            None if name.ends_with(".tmp") => fs::remove_file(&path).map_err(io)?,
            None => {}
        }
    }
    Ok(found)
}

fn remove_runs(folder: &Path) -> Result<(), IndexError> {
    for (_, _, path) in run_names(folder)? {
        fs::remove_file(&path).map_err(|error| IndexError::io(&path, error))?;
    }
    Ok(())
}

/// The same answer out of the whole ledger, without an index, and before which moment it names no
/// customer any more. All that is read is checked, as by [`Reader`](crate::Reader).
pub fn answer_from_log(
    folder: &Path,
    question: &Question,
) -> Result<(Vec<Seen>, Option<Timestamp>), Damage> {
    let mut seen = Vec::new();
    let mut reader = crate::Reader::open(folder)?;
    for entry in reader.by_ref() {
        seen.extend(seen_of(entry?, question));
    }
    Ok((seen, reader.past_retention()))
}

/// What an entry has of what is asked for.
fn seen_of(entry: Entry, question: &Question) -> Vec<Seen> {
    let Entry { sequence, time, body: Body::Disclosed(disclosed) } = entry else {
        return Vec::new();
    };
    let in_time = question.since.is_none_or(|since| time >= since)
        && question.until.is_none_or(|until| time < until);
    let Disclosed { actor, statement, claimed, groups, .. } = disclosed;
    let groups = match &question.about {
        _ if !in_time => Vec::new(),
        About::Actor(wanted) if *wanted != actor => Vec::new(),
        About::Actor(_) => groups,
        About::Subject(wanted) => {
            let has = |group: &Group| group.subjects.contains(wanted);
            let only = |group| Group { subjects: vec![wanted.clone()], ..group };
            groups.into_iter().filter(has).map(only).collect()
        }
    };
    let seen = |group| Seen {
        sequence,
        time,
        actor: actor.clone(),
        statement: statement.clone(),
        claimed: claimed.clone(),
        group,
    };
    groups.into_iter().map(seen).collect()
}
