//! Planted customers: made up, committed to before anybody can see them, and kept as files.
//!
//! A *plan* has the decoys with all that was made up of them; it is secret, and whoever makes it
//! keeps it. The ledger has a hash of it. The *keys* of those that were planted are in the data
//! folder, for the detectors. The forms are `docs/decoys.md`.

use std::{collections::BTreeSet, fs, io, path::Path};

use anyhow::{Context as _, ensure};
use postern_model::Subject;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::files;

pub(crate) mod locale;

/// The keys of planted customers, in the data folder.
const KEYS: &str = "decoys.json";

/// A file of decoys; version 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Plan {
    version: u32,
    pub(crate) decoys: Vec<Decoy>,
}

/// A customer who does not exist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Decoy {
    /// Hides what the commitment is to; in hex.
    pub(crate) salt: String,
    /// The list or account that it is meant for; no other gets it.
    pub(crate) list: String,
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) phone: String,
    /// The customer's key, once it is planted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
}

impl Decoy {
    /// What is committed to of it; one decoy can be shown to others with the hashes of the rest.
    fn hash(&self) -> [u8; 32] {
        let Self { salt, list, name, email, phone, key: _ } = self;
        let mut hash = Sha256::new();
        hash.update(b"postern decoy 1\n");
        for text in [salt, list, name, email, phone] {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        }
        hash.finalize().into()
    }
}

impl Plan {
    pub(crate) fn of(decoys: Vec<Decoy>) -> Self {
        Self { version: 1, decoys }
    }

    /// What the ledger has of the plan.
    pub(crate) fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        self.decoys.iter().for_each(|decoy| hash.update(decoy.hash()));
        hash.finalize().into()
    }

    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("can't read the plan `{}`", path.display()))?;
        let plan: Self = serde_json::from_str(&text)
            .with_context(|| format!("`{}` is no plan of decoys", path.display()))?;
        ensure!(plan.version == 1, "`{}` is a plan of another version", path.display());
        Ok(plan)
    }

    pub(crate) fn text(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}

/// The keys of those that were planted; version 1.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    version: u32,
    keys: BTreeSet<String>,
}

/// The keys of planted customers that the data folder has; none if nothing was planted.
pub(crate) fn keys(data: &Path) -> anyhow::Result<Vec<Subject>> {
    let path = data.join(KEYS);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(error).with_context(|| format!("can't read `{}`", path.display()));
        }
    };
    let keys: Keys = serde_json::from_str(&text)
        .with_context(|| format!("`{}` has no keys of decoys", path.display()))?;
    Ok(keys.keys.into_iter().map(Subject::new).collect())
}

/// Adds keys to those that are known.
pub(crate) fn add_keys(data: &Path, new: impl Iterator<Item = String>) -> anyhow::Result<()> {
    let known = keys(data)?.into_iter().map(|key| key.as_str().to_owned());
    let keys = Keys { version: 1, keys: known.chain(new).collect() };
    let path = data.join(KEYS);
    files::replace_private(&path, &(serde_json::to_string(&keys)? + "\n"))
        .with_context(|| format!("can't write `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        let decoy = |name: &str| Decoy {
            salt: "00".into(),
            list: "all".into(),
            name: name.into(),
            email: "a@example.org".into(),
            phone: "1".into(),
            key: None,
        };
        Plan::of(vec![decoy("Ada Ek"), decoy("Bo Ek")])
    }

    #[test]
    fn the_digest_is_of_all_that_was_made_up_and_not_of_where_it_was_planted() {
        let digest = plan().digest();
        let mut planted = plan();
        planted.decoys[0].key = Some("7".into());
        assert_eq!(planted.digest(), digest);
        planted.decoys[0].phone = "2".into();
        assert_ne!(planted.digest(), digest);
        let mut swapped = plan();
        swapped.decoys.swap(0, 1);
        assert_ne!(swapped.digest(), digest);
        let mut shifted = plan();
        shifted.decoys[0].list = "al".into();
        shifted.decoys[0].name = "lAda Ek".into();
        assert_ne!(shifted.digest(), digest, "fields have their lengths");
    }

    #[test]
    fn keys_are_added_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(keys(folder.path()).unwrap(), []);
        add_keys(folder.path(), ["7".to_owned()].into_iter()).unwrap();
        add_keys(folder.path(), ["11".to_owned()].into_iter()).unwrap();
        assert_eq!(keys(folder.path()).unwrap(), [Subject::new("11"), Subject::new("7")]);
        fs::write(folder.path().join("decoys.json"), "{").unwrap();
        assert!(keys(folder.path()).is_err(), "what can't be read is not nothing");
    }
}
