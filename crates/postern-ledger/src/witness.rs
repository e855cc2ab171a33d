//! Witnessing, both sides of it: C2SP tlog-witness.
//!
//! A [`Witness`] keeps the newest checkpoint of each ledger that it was told to look after, and
//! cosigns only what continues it. It answers what is on stable storage; when writing fails it
//! cosigns nothing more until it is opened again. A [`Cosigning`] is the ledger's side: it makes
//! the requests, reads the answers, and keeps the newest checkpoint that enough witnesses cosigned
//! in the file `witnessed`, behind which no ledger is opened.
//!
//! Neither speaks HTTP; that is for who drives them. Where to start: [`Witness::add_checkpoint`],
//! [`Cosigning::begin`].

use std::{
    any::Any,
    collections::BTreeMap,
    fs, io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use postern_merkle::{
    Checkpoint, CheckpointError, CosignerKey, Hash, KeyError, VerifyingKey, WitnessKey,
    is_consistent,
};
use rand::RngExt as _;
use zeroize::Zeroizing;

use crate::{
    CheckError,
    dictionary::sha256,
    disk::{Disk, Folder, read_from, replace},
    identity::{KEY, KEY_PUB},
    prove::proved_loss,
};

mod cosigning;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use self::cosigning::read_witnessed;
pub use self::cosigning::{
    Cosigned, Cosigning, CosigningError, Quorum, QuorumError, TooFew, WITNESSED,
};

/// More lines than this no proof has. Source: C2SP tlog-witness.
const PROOF_LINES_MAX: usize = 63;

/// Why a witness could not be made or opened.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// The name can't be one.
    #[error("the witness's name cannot be used")]
    Name(#[source] KeyError),
    /// A file is not what it was written as.
    #[error("`{}` is not what it was written as", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// Another process has it open.
    #[error("the witness in `{}` is in use by another process", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// A file could not be read or written.
    #[error("the witness's folder `{}` cannot be used", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        #[source]
        error: io::Error,
    },
}

/// An answer as HTTP has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessReply {
    pub status: u16,
    pub content_type: &'static str,
    pub body: String,
}

impl WitnessReply {
    fn text(status: u16, body: impl Into<String>) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", body: body.into() }
    }

    /// That another size is the newest.
    fn size(size: u64) -> Self {
        Self { status: 409, content_type: "text/x.tlog.size", body: format!("{size}\n") }
    }
}

/// A witness at work. Shared between threads by reference.
pub struct Witness {
    disk: Arc<dyn Disk>,
    _lock: Box<dyn Any + Send + Sync>,
    key: WitnessKey,
    logs: BTreeMap<String, VerifyingKey>,
    /// INVARIANT: held from the look at the newest checkpoint until the new one is durable.
    state: Mutex<State>,
}

struct State {
    /// The newest checkpoint of each ledger that has one.
    newest: BTreeMap<String, Checkpoint>,
    /// Writing failed at some time: what is on disk is not known.
    failed: bool,
}

impl std::fmt::Debug for Witness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Witness").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Witness {
    /// Opens the witness in a folder; makes folder and key if there are none. It looks after the
    /// ledgers whose keys those are.
    pub fn open(folder: &Path, name: &str, logs: Vec<VerifyingKey>) -> Result<Self, WitnessError> {
        let io = |error| WitnessError::Io { path: folder.to_owned(), error };
        fs::DirBuilder::new().mode(0o700).recursive(true).create(folder).map_err(io)?;
        let disk: Arc<dyn Disk> = Arc::new(Folder::new(folder));
        Self::open_on(disk, name, logs, &rand::rng().random())
    }

    /// The same on any disk; `seed` is that of a new key.
    pub(crate) fn open_on(
        disk: Arc<dyn Disk>,
        name: &str,
        logs: Vec<VerifyingKey>,
        seed: &[u8; 32],
    ) -> Result<Self, WitnessError> {
        let path = disk.path("");
        let io = |error| WitnessError::Io { path: path.clone(), error };
        let lock = disk.lock().map_err(|error| {
            let locked = error.kind() == io::ErrorKind::WouldBlock;
            if locked { WitnessError::Locked { path: path.clone() } } else { io(error) }
        })?;
        let key = own_key(&*disk, name, seed)?;
        let mut newest = BTreeMap::new();
        for log in &logs {
            let name = state_name(log.name());
            if let Some(bytes) = read_if_there(&*disk, &name).map_err(io)? {
                let damaged = |_| WitnessError::Damaged { path: disk.path(&name) };
                newest.insert(
                    log.name().to_owned(),
                    Checkpoint::verify(&bytes, log).map_err(damaged)?,
                );
            }
        }
        let logs = logs.into_iter().map(|log| (log.name().to_owned(), log)).collect();
        let state = Mutex::new(State { newest, failed: false });
        Ok(Self { disk, _lock: Box::new(Mutex::new(lock)), key, logs, state })
    }

    /// What its cosignatures are checked with.
    pub fn key(&self) -> &CosignerKey {
        self.key.cosigner_key()
    }

    /// Cosigns a checkpoint that continues the newest one of its ledger; `seconds` is the time.
    pub fn add_checkpoint(&self, body: &str, seconds: u64) -> WitnessReply {
        match self.add(body, seconds) {
            Ok(reply) | Err(reply) => reply,
        }
    }

    /// Takes it that a ledger was put back with less than was seen here, if an entry of it says so
    /// of exactly what was seen: `proof` is that of the entry. What was seen is kept beside, and
    /// cosigned are from now on checkpoints that continue the proof's.
    pub fn accept_loss(&self, proof: &str) -> Result<Accepted, AcceptError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.failed {
            return Err(AcceptError::Failed);
        }
        for (origin, log) in &self.logs {
            let lost = match proved_loss(proof, log) {
                Err(CheckError::Proof(_)) => continue,
                lost => lost?.ok_or(AcceptError::Other)?,
            };
            let newest = state.newest.get(origin).ok_or(AcceptError::Other)?;
            if (newest.size, newest.root) != lost.seen || lost.checkpoint.size <= lost.entries {
                return Err(AcceptError::NotSeen { size: newest.size });
            }
            let (seen, entries) = (newest.size, lost.entries);
            let keep = || {
                let old = read_if_there(&*self.disk, &state_name(origin))?;
                let beside = format!("lost-{}-{seen}", state_name(origin));
                replace(&*self.disk, &beside, &old.unwrap_or_default())?;
                replace(&*self.disk, &state_name(origin), lost.text.as_bytes())
            };
            if let Err(error) = keep() {
                tracing::error!(%error, "writing failed, nothing more is cosigned");
                state.failed = true;
                return Err(AcceptError::Io(error));
            }
            let accepted = Accepted { origin: origin.clone(), entries, seen };
            state.newest.insert(origin.clone(), lost.checkpoint);
            return Ok(accepted);
        }
        Err(AcceptError::Stranger)
    }

    fn add(&self, body: &str, seconds: u64) -> Result<WitnessReply, WitnessReply> {
        let malformed = || WitnessReply::text(400, "not a request of tlog-witness\n");
        let request = Request::parse(body).ok_or_else(malformed)?;
        let origin = request.checkpoint.lines().next().unwrap_or_default();
        let unknown = || WitnessReply::text(404, "no such ledger here\n");
        let log = self.logs.get(origin).ok_or_else(unknown)?;
        let checkpoint = Checkpoint::verify(request.checkpoint.as_bytes(), log);
        let checkpoint = checkpoint.map_err(|error| match error {
            CheckpointError::Signature { .. } => {
                WitnessReply::text(403, "not signed by the ledger's key\n")
            }
            CheckpointError::Malformed
            | CheckpointError::Origin { .. }
            | CheckpointError::Signing => malformed(),
        })?;
        if request.old > checkpoint.size {
            return Err(malformed());
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        check_next(&state, &request, &checkpoint)?;
        let lost = || WitnessReply::text(500, "the witness cannot keep what it cosigns\n");
        if state.failed {
            return Err(lost());
        }
        // Before the answer: a crash in between leaves a witness that has seen the checkpoint and
        // not said so, which the ledger finds out by asking again.
        if state.newest.get(origin) != Some(&checkpoint) {
            let kept = replace(&*self.disk, &state_name(origin), request.checkpoint.as_bytes());
            if let Err(error) = kept {
                tracing::error!(%error, "writing failed, nothing more is cosigned");
                state.failed = true;
                return Err(lost());
            }
            state.newest.insert(origin.to_owned(), checkpoint);
        }
        let (text, _) = request.checkpoint.split_once("\n\n").ok_or_else(malformed)?;
        Ok(WitnessReply::text(200, self.key.cosign(&format!("{text}\n"), seconds)))
    }
}

/// A loss that a witness has taken note of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Which ledger.
    pub origin: String,
    /// How many entries were left.
    pub entries: u64,
    /// How many had been seen.
    pub seen: u64,
}

/// Why a witness does not take note of a loss.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// Writing failed before: what is on disk is not known until it is opened again.
    #[error("the witness could not keep what it cosigned, and has to be started again")]
    Failed,
    /// The proof is none, or not of a ledger that is looked after here.
    #[error("that proves nothing of a ledger that this witness looks after")]
    Stranger,
    /// The proof does not hold.
    #[error("the proof does not hold")]
    Proof(#[from] CheckError),
    /// It is of another entry.
    #[error("what is proved is no entry that says what was lost")]
    Other,
    /// Something else is said to be lost than what was seen here.
    #[error("what is said to be lost is not what this witness saw, which is {size} entries")]
    NotSeen {
        /// How many entries were seen.
        size: u64,
    },
    /// It could not be kept.
    #[error("what is cosigned from now on cannot be kept")]
    Io(#[source] io::Error),
}

/// Whether a checkpoint continues the newest one.
fn check_next(
    state: &State,
    request: &Request<'_>,
    checkpoint: &Checkpoint,
) -> Result<(), WitnessReply> {
    let newest = state.newest.get(&checkpoint.origin);
    let size = newest.map_or(0, |newest| newest.size);
    if request.old != size {
        return Err(WitnessReply::size(size));
    }
    let Some(newest) = newest else {
        return if request.proof.is_empty() { Ok(()) } else { Err(inconsistent()) };
    };
    if newest.size == checkpoint.size && newest.root != checkpoint.root {
        tracing::error!(origin = checkpoint.origin, size, "a second history of this size");
        return Err(WitnessReply::size(size));
    }
    let (old, new) = ((newest.size, newest.root), (checkpoint.size, checkpoint.root));
    if is_consistent(&request.proof, old, new) {
        return Ok(());
    }
    tracing::error!(origin = checkpoint.origin, size, "a history that is not continued");
    Err(inconsistent())
}

fn inconsistent() -> WitnessReply {
    WitnessReply::text(422, "not shown to continue the newest checkpoint\n")
}

/// The parts of a request.
struct Request<'a> {
    old: u64,
    proof: Vec<Hash>,
    checkpoint: &'a str,
}

impl<'a> Request<'a> {
    fn parse(body: &'a str) -> Option<Self> {
        let (head, checkpoint) = body.split_once("\n\n")?;
        let mut lines = head.split('\n');
        let number = lines.next()?.strip_prefix("old ")?;
        let old: u64 = number.parse().ok()?;
        let hash = |line| Some(Hash(BASE64_STANDARD.decode(line).ok()?.try_into().ok()?));
        let proof: Vec<Hash> = lines.map(hash).collect::<Option<_>>()?;
        // One number has one form.
        (old.to_string() == number && proof.len() <= PROOF_LINES_MAX).then_some(Self {
            old,
            proof,
            checkpoint,
        })
    }
}

/// The file of a ledger's newest checkpoint.
fn state_name(origin: &str) -> String {
    let hash: String = sha256(&[origin.as_bytes()]).iter().take(16).map(hex).collect();
    format!("newest-{hash}")
}

fn hex(byte: &u8) -> String {
    format!("{byte:02x}")
}

fn read_if_there(disk: &dyn Disk, name: &str) -> io::Result<Option<Vec<u8>>> {
    match disk.open_read(name) {
        Ok(file) => read_from(&*file, 0).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The witness's key; a new one if there is none.
fn own_key(disk: &dyn Disk, name: &str, seed: &[u8; 32]) -> Result<WitnessKey, WitnessError> {
    let io = |error| WitnessError::Io { path: disk.path(""), error };
    let found = read_if_there(disk, KEY).map_err(io)?.map(Zeroizing::new);
    let key = match &found {
        Some(bytes) => {
            let damaged = |_| WitnessError::Damaged { path: disk.path(KEY) };
            let seed = Zeroizing::new(<[u8; 32]>::try_from(bytes.as_slice()).map_err(damaged)?);
            WitnessKey::new(name, &seed)
        }
        None => WitnessKey::new(name, seed),
    }
    .map_err(WitnessError::Name)?;
    if found.is_none() {
        replace(disk, KEY, seed).map_err(io)?;
    }
    let text = format!("{}\n", key.cosigner_key().to_text());
    if read_if_there(disk, KEY_PUB).map_err(io)?.as_deref() != Some(text.as_bytes()) {
        replace(disk, KEY_PUB, text.as_bytes()).map_err(io)?;
    }
    Ok(key)
}
