//! Cosignatures: what a witness says of a checkpoint, as a C2SP tlog-cosignature (Ed25519).
//!
//! One says that at that time the tree was the largest that the witness had seen of that ledger,
//! and continued all that it had seen before. Whom to believe is for who checks to say.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use ed25519_dalek::{
    Signature, Signer as _, SigningKey as Ed25519Key, VerifyingKey as Ed25519Public,
};

use crate::KeyError;

/// What a cosigner's Ed25519 key is preceded by. Source: C2SP signed-note, tlog-cosignature.
const COSIGNATURE: u8 = 4;

/// A witness's own key; `Debug` shows the name only.
pub struct WitnessKey {
    key: Ed25519Key,
    public: CosignerKey,
}

impl fmt::Debug for WitnessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WitnessKey").field("name", &self.public.name).finish_non_exhaustive()
    }
}

/// What a witness's cosignatures are checked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CosignerKey {
    name: String,
    public: [u8; 32],
}

impl WitnessKey {
    /// The key with that Ed25519 seed, under the name of the witness.
    pub fn new(name: &str, seed: &[u8; 32]) -> Result<Self, KeyError> {
        if !signed_note::is_key_name_valid(name) || name.chars().any(char::is_control) {
            return Err(KeyError::Name { name: name.to_owned() });
        }
        let key = Ed25519Key::from_bytes(seed);
        let public = CosignerKey { name: name.to_owned(), public: key.verifying_key().to_bytes() };
        Ok(Self { key, public })
    }

    /// The half that may be given to everybody.
    pub fn cosigner_key(&self) -> &CosignerKey {
        &self.public
    }

    /// The signature line for a checkpoint's text, at that time, in seconds since 1970.
    pub fn cosign(&self, checkpoint: &str, seconds: u64) -> String {
        let signature = self.key.sign(message(checkpoint, seconds).as_bytes());
        let mut bytes = self.public.id().to_vec();
        bytes.extend_from_slice(&seconds.to_be_bytes());
        bytes.extend_from_slice(&signature.to_bytes());
        format!("\u{2014} {} {}\n", self.public.name, BASE64_STANDARD.encode(bytes))
    }
}

/// What is signed; `checkpoint` is its text without the signatures.
fn message(checkpoint: &str, seconds: u64) -> String {
    format!("cosignature/v1\ntime {seconds}\n{checkpoint}")
}

impl CosignerKey {
    /// Reads the form of C2SP signed-note, `name+id+base64`, the hex digits in lower case.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let read = || {
            let (name, rest) = text.split_once('+')?;
            let (_, encoded) = rest.split_once('+')?;
            let bytes = BASE64_STANDARD.decode(encoded).ok()?;
            let public = *bytes.strip_prefix(&[COSIGNATURE])?.first_chunk()?;
            Ed25519Public::from_bytes(&public).ok()?;
            let key = Self { name: name.to_owned(), public };
            (signed_note::is_key_name_valid(name) && key.to_text() == text).then_some(key)
        };
        read().ok_or(KeyError::Malformed)
    }

    /// The form of C2SP signed-note.
    pub fn to_text(&self) -> String {
        let id: String = self.id().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{}+{id}+{}", self.name, BASE64_STANDARD.encode(self.tagged()))
    }

    /// The witness's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether both are one key, whatever they are called.
    pub fn is_of_same(&self, other: &Self) -> bool {
        self.public == other.public
    }

    fn tagged(&self) -> Vec<u8> {
        [&[COSIGNATURE], self.public.as_slice()].concat()
    }

    fn id(&self) -> [u8; 4] {
        signed_note::key_id(&self.name, &self.tagged()).to_be_bytes()
    }

    /// The line of this witness among signature lines, and its time in seconds, if it has one that
    /// holds for the checkpoint's text.
    pub fn find<'a>(&self, checkpoint: &str, lines: &'a str) -> Option<(&'a str, u64)> {
        lines.split_inclusive('\n').find_map(|line| Some((line, self.verify(checkpoint, line)?)))
    }

    /// The time of a line that is this witness's and holds.
    fn verify(&self, checkpoint: &str, line: &str) -> Option<u64> {
        let rest = line.strip_prefix("\u{2014} ")?.strip_suffix('\n')?;
        let encoded = rest.strip_prefix(&self.name)?.strip_prefix(' ')?;
        let bytes = BASE64_STANDARD.decode(encoded).ok()?;
        let (seconds, signature) = bytes.strip_prefix(&self.id())?.split_first_chunk()?;
        let seconds = u64::from_be_bytes(*seconds);
        let signature = Signature::from_slice(signature).ok()?;
        let key = Ed25519Public::from_bytes(&self.public).ok()?;
        let signed = message(checkpoint, seconds);
        (i64::try_from(seconds).is_ok() && key.verify_strict(signed.as_bytes(), &signature).is_ok())
            .then_some(seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";

    #[test]
    fn a_cosignature_holds_for_its_text_its_time_and_its_witness_only() {
        let key = WitnessKey::new("witness.example/w1", &[1; 32]).unwrap();
        let other = WitnessKey::new("witness.example/w1", &[2; 32]).unwrap();
        let line = key.cosign(TEXT, 1_679_315_147);
        let lines = other.cosign(TEXT, 5) + "\u{2014} somebody AAAA\n" + &line;
        let found = key.cosigner_key().find(TEXT, &lines);
        assert_eq!(found, Some((line.as_str(), 1_679_315_147)));
        assert_eq!(key.cosigner_key().find(&TEXT.replace('3', "4"), &lines), None);
        let encoded = line.trim_end().rsplit(' ').next().unwrap();
        let bytes = BASE64_STANDARD.decode(encoded).unwrap();
        assert_eq!(bytes.len(), 4 + 8 + 64);
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let changed = line.replace(encoded, &BASE64_STANDARD.encode(changed));
            assert_eq!(key.cosigner_key().find(TEXT, &changed), None, "byte {at}");
        }
    }

    #[test]
    fn a_cosigners_key_is_read_back_and_is_of_its_own_kind() {
        let key = WitnessKey::new("witness.example/w1", &[1; 32]).unwrap();
        let text = key.cosigner_key().to_text();
        assert_eq!(CosignerKey::parse(&text).unwrap(), *key.cosigner_key());
        let ledger = crate::SigningKey::new("witness.example/w1", &[1; 32]).unwrap();
        assert!(CosignerKey::parse(ledger.verifying_key().as_str()).is_err());
        assert!(CosignerKey::parse(&text.replace("w1", "w2")).is_err());
        assert!(WitnessKey::new("two words", &[1; 32]).is_err());
    }
}
