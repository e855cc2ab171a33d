//! The checkpoint that a proof or a publication rests on: see "Which checkpoint" in
//! `docs/design/ledger.md`.

use postern_merkle::{Checkpoint, VerifyingKey};

use crate::{Damage, Which, disk::Disk, identity, verify::Check};

/// Which of a ledger's checkpoints what is made for others rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Basis {
    /// The newest that witnesses cosigned, if that covers what is asked for; else the newest.
    #[default]
    Covering,
    /// The newest that witnesses cosigned, or none.
    Witnessed,
    /// The newest, whoever has seen it.
    Newest,
}

/// A checkpoint as it stands in its file, signature lines and all.
#[derive(Debug, Clone)]
pub(crate) struct Noted {
    pub(crate) text: String,
    pub(crate) checkpoint: Checkpoint,
}

impl Noted {
    pub(crate) fn size(&self) -> u64 {
        self.checkpoint.size
    }
}

/// The checkpoints in a ledger's folder.
#[derive(Debug)]
pub(crate) struct Grounds {
    pub(crate) newest: Noted,
    pub(crate) witnessed: Option<Noted>,
}

impl Grounds {
    /// Reads both.
    ///
    /// # Errors
    /// What is in the folder is not the key's, or can't be read.
    pub(crate) fn read(disk: &dyn Disk, key: &VerifyingKey) -> Result<Self, Damage> {
        // In this order: a gateway at work has the newest one cosigned, never an older one.
        let witnessed = identity::witnessed(disk, key)?;
        let witnessed = witnessed.map(|(text, checkpoint)| Noted { text, checkpoint });
        let (text, checkpoint) = identity::checkpoint_text(disk, key)?;
        Ok(Self { newest: Noted { text, checkpoint }, witnessed })
    }

    /// Both, to be compared with the entries.
    pub(crate) fn checks(&self) -> Vec<Check> {
        let witnessed = self.witnessed.iter().map(|noted| (Which::Witnessed, noted));
        let both = std::iter::once((Which::Own, &self.newest)).chain(witnessed);
        both.map(|(which, noted)| Check::new(which, noted.checkpoint.clone())).collect()
    }

    /// The one to rest on where so many entries have to be covered. `None`: no witness has seen so
    /// many, and that was asked for.
    pub(crate) fn choose(&self, basis: Basis, covered: u64) -> Option<&Noted> {
        let witnessed = self.witnessed.as_ref();
        let covering = witnessed.filter(|noted| noted.size() >= covered);
        let same = witnessed.filter(|noted| noted.size() == self.newest.size());
        match basis {
            Basis::Covering => Some(covering.or(same).unwrap_or(&self.newest)),
            Basis::Witnessed => covering,
            Basis::Newest => Some(same.unwrap_or(&self.newest)),
        }
    }

    /// How many entries have to be there.
    pub(crate) fn end(&self) -> u64 {
        self.newest.size().max(self.seen())
    }

    /// How many entries witnesses have seen.
    pub(crate) fn seen(&self) -> u64 {
        self.witnessed.as_ref().map_or(0, Noted::size)
    }
}
