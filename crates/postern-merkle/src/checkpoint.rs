//! Checkpoints: a tree's size and root under a name, signed, as text that anybody can keep.
//!
//! The text is a C2SP tlog-checkpoint in a C2SP signed-note. A [`Checkpoint`] that came from
//! [`Checkpoint::verify`] was signed by the given key and speaks of the ledger that this key names;
//! other signatures, such as those of witnesses, are neither needed nor looked at. That one
//! checkpoint continues another is not said here but by the trees of both.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use signed_note::{Note, Signer, StandardSigner, StandardVerifier, Verifier, VerifierList};

use crate::Hash;

/// What an Ed25519 key is preceded by in a signed note's keys. Source: C2SP signed-note.
const ED25519: u8 = 1;

/// A tree head: "the ledger called `origin` has `size` entries and this root".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The ledger's name, the same as that of its key.
    pub origin: String,
    /// Number of entries.
    pub size: u64,
    /// Root of the tree over them.
    pub root: Hash,
}

/// Why a text is not a checkpoint of the ledger whose key was given.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// It is no signed note, or its text is no checkpoint.
    #[error("not a signed checkpoint")]
    Malformed,
    /// The key did not sign it.
    #[error("not signed by the key `{key}`")]
    Signature {
        /// The key's name.
        key: String,
    },
    /// The checkpoint speaks of another ledger than the key's.
    #[error("of the ledger `{found}`, not `{expected}`")]
    Origin {
        /// What the checkpoint says.
        found: String,
        /// The key's name.
        expected: String,
    },
    /// It could not be signed.
    #[error("cannot be signed")]
    Signing,
}

/// A key's text or the name for it is not usable.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Empty, or with white space or a plus sign.
    #[error("`{name}` cannot be a ledger's name: it must have no white space and no plus sign")]
    Name {
        /// The name.
        name: String,
    },
    /// Not in the form `name+id+base64`.
    #[error("not a verifier key")]
    Malformed,
}

/// The ledger's own key; `Debug` shows the name only.
#[derive(Clone)]
pub struct SigningKey {
    signer: StandardSigner,
    public: [u8; 32],
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("name", &self.signer.name()).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// The key with that Ed25519 seed, under the name of the ledger.
    pub fn new(origin: &str, seed: &[u8; 32]) -> Result<Self, KeyError> {
        let name_error = || KeyError::Name { name: origin.to_owned() };
        if !signed_note::is_key_name_valid(origin) || origin.chars().any(char::is_control) {
            return Err(name_error());
        }
        let public = ed25519_dalek::SigningKey::from_bytes(seed).verifying_key().to_bytes();
        let id = signed_note::key_id(origin, &tagged(&public));
        let secret = BASE64_STANDARD.encode(tagged(seed));
        let signer = StandardSigner::new(&format!("PRIVATE+KEY+{origin}+{id:08x}+{secret}"))
            .map_err(|_| name_error())?;
        Ok(Self { signer, public })
    }

    /// The half that may be given to everybody.
    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey::new(self.signer.name(), self.signer.key_id(), self.public)
    }

    /// Says to whom made up the challenge that the key is here. What is signed can't be read as a
    /// checkpoint, whatever the challenge.
    pub fn answer(&self, challenge: &[u8; 32]) -> Result<[u8; 64], CheckpointError> {
        let signature = self.signer.sign(&answered(challenge));
        let signature = signature.map_err(|_| CheckpointError::Signing)?;
        signature.try_into().map_err(|_| CheckpointError::Signing)
    }

    /// Signs a payload of that media type in the form of DSSE 1.0. It begins with `DSSEv1` and a
    /// space, and its first line has no end before the payload's, so that it can't be read as a
    /// checkpoint unless a ledger has such a name, which has no space.
    pub fn sign_dsse(&self, media_type: &str, payload: &[u8]) -> Result<[u8; 64], CheckpointError> {
        let signature = self.signer.sign(&pre_authenticated(media_type, payload));
        let signature = signature.map_err(|_| CheckpointError::Signing)?;
        signature.try_into().map_err(|_| CheckpointError::Signing)
    }
}

/// What DSSE signs. Source: secure-systems-lab/dsse, protocol.md, "Signature Definition".
fn pre_authenticated(media_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut text =
        format!("DSSEv1 {} {media_type} {} ", media_type.len(), payload.len()).into_bytes();
    text.extend_from_slice(payload);
    text
}

/// What is signed to show that a key is there. A zero byte is in no checkpoint.
fn answered(challenge: &[u8; 32]) -> Vec<u8> {
    let mut text = b"postern ledger key 1\0".to_vec();
    text.extend_from_slice(challenge);
    text
}

fn tagged(key: &[u8; 32]) -> Vec<u8> {
    let mut bytes = vec![ED25519];
    bytes.extend_from_slice(key);
    bytes
}

/// What a ledger's checkpoints are checked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyingKey {
    text: String,
    name: String,
    public: [u8; 32],
}

impl VerifyingKey {
    fn new(name: &str, id: u32, public: [u8; 32]) -> Self {
        let text = format!("{name}+{id:08x}+{}", BASE64_STANDARD.encode(tagged(&public)));
        Self { text, name: name.to_owned(), public }
    }

    /// Reads the form of C2SP signed-note, `name+id+base64`, as it is usually written: the hex
    /// digits in lower case.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let verifier = StandardVerifier::new(text).map_err(|_| KeyError::Malformed)?;
        let encoded = text.splitn(3, '+').nth(2).ok_or(KeyError::Malformed)?;
        let bytes = BASE64_STANDARD.decode(encoded).map_err(|_| KeyError::Malformed)?;
        let public = bytes
            .split_first()
            .and_then(|(_, key)| <[u8; 32]>::try_from(key).ok())
            .ok_or(KeyError::Malformed)?;
        let key = Self::new(verifier.name(), verifier.key_id(), public);
        if key.text == text { Ok(key) } else { Err(KeyError::Malformed) }
    }

    /// The key's name, which is the ledger's origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The Ed25519 public key.
    pub fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// The form of C2SP signed-note.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the holder of the key's other half answered that challenge.
    pub fn is_answer(&self, challenge: &[u8; 32], answer: &[u8; 64]) -> bool {
        let Ok(key) = ed25519_dalek::VerifyingKey::from_bytes(&self.public) else { return false };
        let signature = ed25519_dalek::Signature::from_bytes(answer);
        key.verify_strict(&answered(challenge), &signature).is_ok()
    }
}

impl Checkpoint {
    /// The checkpoint as a signed note.
    pub fn sign(&self, key: &SigningKey) -> Result<String, CheckpointError> {
        let body =
            tlog_tiles::Checkpoint::new(&self.origin, self.size, tlog_tiles::Hash(self.root.0), "")
                .map_err(|_| CheckpointError::Signing)?;
        let mut note = Note::new(&body.to_bytes(), &[]).map_err(|_| CheckpointError::Signing)?;
        note.add_sigs(&[&key.signer]).map_err(|_| CheckpointError::Signing)?;
        String::from_utf8(note.to_bytes()).map_err(|_| CheckpointError::Signing)
    }

    /// Reads a signed note and checks that `key` signed it, for its own ledger. Signatures by
    /// others, such as witnesses, are not looked at.
    pub fn verify(text: &[u8], key: &VerifyingKey) -> Result<Self, CheckpointError> {
        let note = Note::from_bytes(text).map_err(|_| CheckpointError::Malformed)?;
        let verifier = StandardVerifier::new(&key.text).map_err(|_| CheckpointError::Malformed)?;
        note.verify(&VerifierList::new(vec![Box::new(verifier)]))
            .map_err(|_| CheckpointError::Signature { key: key.name.clone() })?;
        let body = tlog_tiles::Checkpoint::from_bytes(note.text())
            .map_err(|_| CheckpointError::Malformed)?;
        if body.origin() != key.name {
            let (found, expected) = (body.origin().to_owned(), key.name.clone());
            return Err(CheckpointError::Origin { found, expected });
        }
        Ok(Self { origin: body.origin().to_owned(), size: body.size(), root: Hash(body.hash().0) })
    }
}

#[cfg(test)]
mod tests;
