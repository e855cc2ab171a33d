//! The ledger's side: requests to witnesses, and what they answered.

use std::{io, path::Path, sync::Arc};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use postern_merkle::{Checkpoint, ConsistencyBuilder, CosignerKey, VerifyingKey};

use super::read_if_there;
use crate::{
    Damage, Which,
    disk::{Disk, Folder, replace_by},
    frame::LedgerId,
    identity,
    scan::{Mark, Scan},
    verify::Check,
};

/// The newest checkpoint that enough witnesses cosigned, with their lines.
pub const WITNESSED: &str = "witnessed";

/// Who has to cosign: at least one, each another, and how many of them are enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quorum {
    witnesses: Vec<CosignerKey>,
    enough: usize,
}

/// Why that can't be asked of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuorumError {
    /// One key is given twice, perhaps by two names.
    #[error("`{one}` and `{other}` are one key, and count once")]
    Twice {
        /// Its name.
        one: String,
        /// Its other name, or the same.
        other: String,
    },
    /// None is enough, or more than there are.
    #[error("{enough} of {witnesses} witnesses can't be enough")]
    Enough {
        /// How many were to be.
        enough: usize,
        /// How many there are.
        witnesses: usize,
    },
}

/// Fewer witnesses than are needed have cosigned a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cosigned by {found} of the {witnesses} witnesses who count, and {enough} are needed")]
pub struct TooFew {
    /// How many have.
    pub found: usize,
    /// How many count.
    pub witnesses: usize,
    /// How many are needed.
    pub enough: usize,
}

impl Quorum {
    /// So many of these, each of which has a key of its own.
    pub fn new(witnesses: Vec<CosignerKey>, enough: usize) -> Result<Self, QuorumError> {
        for (at, key) in witnesses.iter().enumerate() {
            if let Some(other) = witnesses.iter().take(at).find(|other| other.is_of_same(key)) {
                let [one, other] = [other, key].map(|key| key.name().to_owned());
                return Err(QuorumError::Twice { one, other });
            }
        }
        if !(1..=witnesses.len()).contains(&enough) {
            return Err(QuorumError::Enough { enough, witnesses: witnesses.len() });
        }
        Ok(Self { witnesses, enough })
    }

    /// Who has to cosign.
    pub fn witnesses(&self) -> &[CosignerKey] {
        &self.witnesses
    }

    /// How many of them are enough.
    pub fn enough(&self) -> usize {
        self.enough
    }

    /// Whether enough witnesses cosigned a note, and until when: the time of the last that was
    /// needed, in seconds.
    pub fn is_met_by(&self, note: &str) -> Option<u64> {
        self.demand(note).ok()
    }

    /// The same, of who refuses a note that too few cosigned. That the ledger's key signed it is
    /// another question.
    ///
    /// # Errors
    /// Too few did.
    pub fn demand(&self, note: &str) -> Result<u64, TooFew> {
        // As a signed note is read: the text may have an empty line, the signatures have none.
        let (text, lines) = note.rsplit_once("\n\n").unwrap_or_default();
        let text = format!("{text}\n");
        let times = self.witnesses.iter().filter_map(|key| key.find(&text, lines));
        let mut times: Vec<u64> = times.map(|(_, seconds)| seconds).collect();
        times.sort_unstable_by(|one, other| other.cmp(one));
        let (found, witnesses, enough) = (times.len(), self.witnesses.len(), self.enough);
        times.get(enough - 1).copied().ok_or(TooFew { found, witnesses, enough })
    }
}

/// How far the witnesses have come with a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cosigned {
    /// How many entries enough of them have seen.
    pub entries: u64,
    /// When the last of those who were needed said so, in seconds since 1970.
    pub seconds: Option<u64>,
}

/// Why a witness did not cosign, or the ledger can't ask.
#[derive(Debug, thiserror::Error)]
pub enum CosigningError {
    /// The ledger does not hold.
    #[error("the ledger does not hold")]
    Damaged(#[from] Damage),
    /// The witness has seen more than there is.
    #[error(
        "the witness `{witness}` has seen {seen} entries and this ledger has {entries}: it was \
         put back"
    )]
    Rollback {
        /// Its name.
        witness: String,
        /// The size that it knows.
        seen: u64,
        /// How many entries the checkpoint covers.
        entries: u64,
    },
    /// The witness has seen another history.
    #[error("the witness `{witness}` has seen another history of this ledger")]
    Split {
        /// Its name.
        witness: String,
    },
    /// The witness refused for another reason.
    #[error("the witness `{witness}` answered {status}: {body}")]
    Refused {
        /// Its name.
        witness: String,
        /// HTTP's number.
        status: u16,
        /// What it said.
        body: String,
    },
    /// The file of what was witnessed could not be written.
    #[error("what was witnessed cannot be kept")]
    Io(#[from] io::Error),
}

/// Has checkpoints cosigned, one after the other.
pub struct Cosigning {
    disk: Arc<dyn Disk>,
    key: VerifyingKey,
    quorum: Quorum,
    /// Up to where each witness has seen the ledger, as far as is known.
    marks: Vec<Mark>,
    /// The checkpoint that is being cosigned.
    text: String,
    checkpoint: Option<Checkpoint>,
    end: Mark,
    lines: Vec<Option<String>>,
    done: Cosigned,
}

impl CosigningError {
    /// Whether a witness has seen more of the ledger than there is, or another history.
    pub fn contradicts(&self) -> bool {
        matches!(self, Self::Rollback { .. } | Self::Split { .. })
    }
}

impl std::fmt::Debug for Cosigning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cosigning").field("done", &self.done).finish_non_exhaustive()
    }
}

impl Cosigning {
    /// For the ledger in a folder.
    pub fn open(folder: &Path, quorum: Quorum) -> Result<Self, CosigningError> {
        Self::open_on(Arc::new(Folder::new(folder)), quorum)
    }

    pub(crate) fn open_on(disk: Arc<dyn Disk>, quorum: Quorum) -> Result<Self, CosigningError> {
        let key = identity::verifying_key(&*disk)?;
        let done =
            identity::witnessed(&*disk, &key)?.map_or_else(Cosigned::default, |(text, c)| {
                // Of witnesses that are no longer asked it counts for nothing.
                let seconds = quorum.is_met_by(&text);
                Cosigned { entries: seconds.map_or(0, |_| c.size), seconds }
            });
        let marks = vec![Mark::start(); quorum.witnesses.len()];
        let (text, end, lines) = (String::new(), Mark::start(), Vec::new());
        Ok(Self { disk, key, quorum, marks, text, checkpoint: None, end, lines, done })
    }

    /// How far the witnesses have come.
    pub fn done(&self) -> Cosigned {
        self.done
    }

    /// Takes the ledger's newest checkpoint to be cosigned. False if that was done already.
    pub fn begin(&mut self) -> Result<bool, CosigningError> {
        let size = identity::checkpoint(&*self.disk, &self.key)?.size;
        let is_done = self.done.seconds.is_some() && size <= self.done.entries;
        if is_done { Ok(false) } else { self.begin_again() }
    }

    /// The same though it was done, to learn whether witnesses have seen more since. False if there
    /// are no entries.
    pub fn begin_again(&mut self) -> Result<bool, CosigningError> {
        let (text, checkpoint) = identity::checkpoint_text(&*self.disk, &self.key)?;
        if checkpoint.size == 0 {
            return Ok(false);
        }
        (self.text, self.checkpoint) = (text, Some(checkpoint));
        self.lines = vec![None; self.quorum.witnesses.len()];
        self.end = Mark::start();
        Ok(true)
    }

    /// The body of the request to a witness.
    pub fn request(&mut self, witness: usize) -> Result<String, CosigningError> {
        let mark = self.marks.get(witness).cloned().unwrap_or_else(Mark::start);
        let (old, proof) = (mark.edge.size(), self.prove_from(mark)?);
        let lines: String =
            proof.iter().map(|hash| BASE64_STANDARD.encode(hash.0) + "\n").collect();
        Ok(format!("old {old}\n{lines}\n{}", self.text))
    }

    /// Reads the ledger from there up to the checkpoint, checked.
    fn prove_from(&mut self, mark: Mark) -> Result<Vec<postern_merkle::Hash>, CosigningError> {
        let Some(checkpoint) = self.checkpoint.clone() else { return Ok(Vec::new()) };
        let size = checkpoint.size;
        let Some(mut proof) = ConsistencyBuilder::new(mark.edge.clone(), size) else {
            return Ok(Vec::new());
        };
        let mut check = Check::new(Which::Own, checkpoint);
        let mut scan = Scan::resume(self.disk.clone(), LedgerId::new(&self.key), mark)?;
        while scan.edge().size() < size && scan.next()?.is_some() {
            proof.observe(scan.leaf());
        }
        check.look(scan.edge());
        check.finish(&scan)?;
        self.end = scan.mark();
        Ok(proof.finish().unwrap_or_default())
    }

    /// Takes a witness's answer. False if it has to be asked again, since it knows another size
    /// than was thought.
    pub fn answer(
        &mut self,
        witness: usize,
        status: u16,
        body: &str,
    ) -> Result<bool, CosigningError> {
        let Some(key) = self.quorum.witnesses.get(witness).cloned() else { return Ok(true) };
        let name = key.name().to_owned();
        let (text, _) = self.text.split_once("\n\n").unwrap_or_default();
        match status {
            200 => {
                let Some((line, _)) = key.find(&format!("{text}\n"), body) else {
                    let body = "a cosignature that is not its own".to_owned();
                    return Err(CosigningError::Refused { witness: name, status, body });
                };
                if let (Some(kept), Some(mark)) =
                    (self.lines.get_mut(witness), self.marks.get_mut(witness))
                {
                    *kept = Some(line.to_owned());
                    *mark = self.end.clone();
                }
                self.keep()?;
                Ok(true)
            }
            409 => self.other_size(witness, name, body),
            422 => Err(CosigningError::Split { witness: name }),
            _ => {
                let body = body.chars().filter(|c| !c.is_control()).take(200).collect();
                Err(CosigningError::Refused { witness: name, status, body })
            }
        }
    }

    fn other_size(
        &mut self,
        witness: usize,
        name: String,
        body: &str,
    ) -> Result<bool, CosigningError> {
        let entries = self.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.size);
        let known = self.marks.get(witness).map_or(0, |mark| mark.edge.size());
        let Some(seen) = body.strip_suffix('\n').and_then(|size| size.parse::<u64>().ok()) else {
            let body = "a size that is none".to_owned();
            return Err(CosigningError::Refused { witness: name, status: 409, body });
        };
        // Another may have had a newer checkpoint cosigned meanwhile.
        if seen > entries && identity::checkpoint(&*self.disk, &self.key)?.size >= seen {
            self.begin()?;
            return Ok(false);
        }
        if seen > entries {
            return Err(CosigningError::Rollback { witness: name, seen, entries });
        }
        if seen == known {
            return Err(CosigningError::Split { witness: name });
        }
        let mut scan = Scan::resume(self.disk.clone(), LedgerId::new(&self.key), Mark::start())?;
        while scan.edge().size() < seen && scan.next()?.is_some() {}
        if let Some(mark) = self.marks.get_mut(witness) {
            *mark = scan.mark();
        }
        Ok(false)
    }

    /// Keeps the checkpoint once enough have cosigned it.
    fn keep(&mut self) -> Result<(), CosigningError> {
        let lines = self.lines.iter().flatten();
        let note = lines.fold(self.text.clone(), |note, line| note + line);
        let Some(seconds) = self.quorum.is_met_by(&note) else { return Ok(()) };
        // A gateway and somebody by hand may have it cosigned at the same time.
        let unfinished = format!("{WITNESSED}.{}.tmp", std::process::id());
        replace_by(&*self.disk, WITNESSED, &unfinished, note.as_bytes())?;
        let entries = self.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.size);
        self.done = Cosigned { entries, seconds: Some(seconds) };
        Ok(())
    }
}

/// What was witnessed last, as text, if anything was.
pub(crate) fn read_witnessed(disk: &dyn Disk) -> io::Result<Option<Vec<u8>>> {
    read_if_there(disk, WITNESSED)
}
