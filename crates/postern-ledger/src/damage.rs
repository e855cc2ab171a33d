use std::{io, path::PathBuf};

use postern_merkle::CheckpointError;
use postern_model::Timestamp;

use crate::DecodeError;

/// What is wrong with a ledger, and where. Found by [`verify`](crate::verify()), by reading and by
/// opening.
#[derive(Debug, thiserror::Error)]
#[error("{}, byte {offset}{}", file.display(), entry_text(*entry))]
pub struct Damage {
    /// What is wrong.
    #[source]
    pub kind: DamageKind,
    /// In which file.
    pub file: PathBuf,
    /// At which byte of it.
    pub offset: u64,
    /// The sequence of the entry concerned: the first that can't be read or trusted.
    pub entry: Option<u64>,
}

fn entry_text(entry: Option<u64>) -> String {
    entry.map(|entry| format!(", entry {entry}")).unwrap_or_default()
}

/// The kinds of damage.
#[derive(Debug, thiserror::Error)]
pub enum DamageKind {
    /// A file is not there.
    #[error("file is missing")]
    Missing,
    /// A file can't be read.
    #[error("file cannot be read")]
    Unreadable(#[source] io::Error),
    /// A file's header is not one, or belongs to another ledger or place.
    #[error("header is wrong: {0}")]
    Header(&'static str),
    /// A frame's length or checksum does not hold, though later frames are good.
    #[error("frame is damaged")]
    Frame,
    /// There is something behind the last good frame. Normal after a crash, before the ledger is
    /// opened again.
    #[error("unfinished write at the end")]
    TornTail,
    /// A good frame's payload does not decode.
    #[error("entry does not decode")]
    Entry(#[source] DecodeError),
    /// An entry is not the one that belongs here: some were dropped, inserted or swapped.
    #[error("entry {found} stands in the place of entry {expected}")]
    Sequence {
        /// The sequence that belongs here.
        expected: u64,
        /// The one that is here.
        found: u64,
    },
    /// Time goes back.
    #[error("time goes back from {before} to {found}")]
    Time {
        /// The time of the entry before.
        before: Timestamp,
        /// The time of this one.
        found: Timestamp,
    },
    /// A dictionary row is missing, damaged or out of order.
    #[error("dictionary row is missing or damaged")]
    Row,
    /// A name has a second row, so that what an account did can be shown in part.
    #[error("dictionary row is of a name that has one already")]
    Twice,
    /// Dictionary rows are not those that the entry was written with.
    #[error("dictionary rows were changed since the entry was written")]
    Binding,
    /// The dictionary holds rows that no entry uses. Normal after a crash, before the ledger is
    /// opened again.
    #[error("dictionary rows that no entry uses")]
    UnusedRows,
    /// The key's files don't hold a key, or not the same one.
    #[error("not this ledger's key")]
    Key,
    /// The checkpoint is not one of this ledger.
    #[error("checkpoint cannot be trusted")]
    Checkpoint(#[source] CheckpointError),
    /// The checkpoint that somebody else kept is not one of this ledger.
    #[error("checkpoint kept elsewhere is not one of this ledger")]
    Kept(#[source] CheckpointError),
    /// There are fewer entries than a checkpoint says: the end was cut off.
    #[error("{found} entries, but the {checkpoint} says {expected}")]
    Behind {
        /// Which checkpoint.
        checkpoint: Which,
        /// Its size.
        expected: u64,
        /// How many entries there are.
        found: u64,
    },
    /// The entries are not those that a checkpoint was signed for.
    #[error("the first {size} entries are not those of the {checkpoint}")]
    Root {
        /// Which checkpoint.
        checkpoint: Which,
        /// Its size.
        size: u64,
    },
    /// A file or folder that does not belong here.
    #[error("does not belong here")]
    Stray,
}

/// Which checkpoint is spoken of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The one in the ledger's folder.
    Own,
    /// The newest one in the ledger's folder that witnesses cosigned.
    Witnessed,
    /// The one that somebody else kept.
    Kept,
}

impl std::fmt::Display for Which {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Own => "checkpoint",
            Self::Witnessed => "witnessed checkpoint",
            Self::Kept => "checkpoint kept elsewhere",
        })
    }
}
