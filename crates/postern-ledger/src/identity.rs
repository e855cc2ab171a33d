//! The small files of a ledger: key, verifier key, checkpoint.

use std::{io, path::Path};

use postern_merkle::{Checkpoint, CheckpointError, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

use crate::{
    Damage, DamageKind,
    disk::{Disk, Folder, read_from},
    witness::{WITNESSED, read_witnessed},
};

pub(crate) const KEY: &str = "key";
pub(crate) const KEY_PUB: &str = "key.pub";
pub(crate) const CHECKPOINT: &str = "checkpoint";

/// Damage at the start of a small file.
pub(crate) fn damage_at(disk: &dyn Disk, name: &str, kind: DamageKind) -> Damage {
    Damage { kind, file: disk.path(name), offset: 0, entry: None }
}

pub(crate) fn unreadable(disk: &dyn Disk, name: &str, error: io::Error) -> Damage {
    let kind = if error.kind() == io::ErrorKind::NotFound {
        DamageKind::Missing
    } else {
        DamageKind::Unreadable(error)
    };
    damage_at(disk, name, kind)
}

fn read(disk: &dyn Disk, name: &str) -> Result<Vec<u8>, Damage> {
    let read = || read_from(&*disk.open_read(name)?, 0);
    read().map_err(|error| unreadable(disk, name, error))
}

/// The verifier key in the folder.
pub(crate) fn verifying_key(disk: &dyn Disk) -> Result<VerifyingKey, Damage> {
    let bad = || damage_at(disk, KEY_PUB, DamageKind::Key);
    let bytes = read(disk, KEY_PUB)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| bad())?;
    let line = text.strip_suffix('\n').ok_or_else(bad)?;
    VerifyingKey::parse(line).map_err(|_| bad())
}

/// The name of the ledger in a folder.
pub fn origin(folder: &Path) -> Result<String, Damage> {
    Ok(verifying_key(&Folder::new(folder))?.name().to_owned())
}

/// The verifier key of the ledger in a folder.
pub fn public_key(folder: &Path) -> Result<VerifyingKey, Damage> {
    verifying_key(&Folder::new(folder))
}

/// The newest checkpoint of the ledger in a folder that witnesses cosigned, as it stands there.
pub fn cosigned(folder: &Path) -> Result<Option<String>, Damage> {
    let disk = Folder::new(folder);
    Ok(witnessed(&disk, &verifying_key(&disk)?)?.map(|(text, _)| text))
}

/// Why a statement was not signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The key is not there, or damaged.
    #[error("the ledger's key is not there")]
    Key(#[from] Damage),
    /// The key does not sign.
    #[error("the ledger's key does not sign")]
    Signing(#[from] CheckpointError),
}

/// Signs a payload of that media type, in the form of DSSE 1.0, with the key of the ledger in a
/// folder. A copy of a ledger has no key.
pub fn sign_dsse(folder: &Path, media_type: &str, payload: &[u8]) -> Result<[u8; 64], SignError> {
    let disk = Folder::new(folder);
    let key = signing_key(&disk, &verifying_key(&disk)?)?;
    Ok(key.sign_dsse(media_type, payload)?)
}

/// How many entries the newest checkpoint of the ledger in a folder covers.
pub fn signed(folder: &Path) -> Result<u64, Damage> {
    let disk = Folder::new(folder);
    Ok(checkpoint(&disk, &verifying_key(&disk)?)?.size)
}

/// The signing key in the folder, which must be the one that `key.pub` belongs to.
pub(crate) fn signing_key(disk: &dyn Disk, verifying: &VerifyingKey) -> Result<SigningKey, Damage> {
    Ok(key_and_seed(disk, verifying)?.0)
}

/// The same with the bytes that it is made of.
pub(crate) fn key_and_seed(
    disk: &dyn Disk,
    verifying: &VerifyingKey,
) -> Result<(SigningKey, Zeroizing<[u8; 32]>), Damage> {
    let bad = || damage_at(disk, KEY, DamageKind::Key);
    let bytes = Zeroizing::new(read(disk, KEY)?);
    let seed = Zeroizing::new(<[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| bad())?);
    let key = SigningKey::new(verifying.name(), &seed).map_err(|_| bad())?;
    if key.verifying_key() == *verifying { Ok((key, seed)) } else { Err(bad()) }
}

/// The newest checkpoint that was witnessed, if there is one, with its text.
pub(crate) fn witnessed(
    disk: &dyn Disk,
    key: &VerifyingKey,
) -> Result<Option<(String, Checkpoint)>, Damage> {
    let bytes = read_witnessed(disk).map_err(|error| unreadable(disk, WITNESSED, error))?;
    let Some(bytes) = bytes else { return Ok(None) };
    let bad = |error| damage_at(disk, WITNESSED, DamageKind::Checkpoint(error));
    let checkpoint = Checkpoint::verify(&bytes, key).map_err(bad)?;
    let text = String::from_utf8(bytes).map_err(|_| bad(CheckpointError::Malformed))?;
    Ok(Some((text, checkpoint)))
}

/// The checkpoint in the folder, checked against the key.
pub(crate) fn checkpoint(disk: &dyn Disk, key: &VerifyingKey) -> Result<Checkpoint, Damage> {
    Ok(checkpoint_text(disk, key)?.1)
}

/// The same with its text.
pub(crate) fn checkpoint_text(
    disk: &dyn Disk,
    key: &VerifyingKey,
) -> Result<(String, Checkpoint), Damage> {
    let bytes = read(disk, CHECKPOINT)?;
    let bad = |error| damage_at(disk, CHECKPOINT, DamageKind::Checkpoint(error));
    let checkpoint = Checkpoint::verify(&bytes, key).map_err(bad)?;
    let text = String::from_utf8(bytes).map_err(|_| bad(CheckpointError::Malformed))?;
    Ok((text, checkpoint))
}
