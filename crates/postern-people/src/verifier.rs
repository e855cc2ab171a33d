//! What the gateway keeps of a password.

use std::{fmt, num::NonZeroU32};

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use thiserror::Error;
use zeroize::Zeroizing;

#[cfg(test)]
mod tests;

/// How often a new password is hashed; PostgreSQL's own default and the least that RFC 7677 allows.
pub const DEFAULT_ITERATIONS: NonZeroU32 = NonZeroU32::new(4_096).unwrap();

/// Bytes of the salt that PostgreSQL gives a password.
pub(crate) const SALT_BYTES: usize = 16;

const MECHANISM: &str = "SCRAM-SHA-256";

pub(crate) type Key = [u8; 32];

/// Why a text is not a verifier.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum VerifierError {
    #[error("verifier does not have the form `SCRAM-SHA-256$<iterations>:<salt>$<key>:<key>`")]
    Form,
    #[error("verifier's {field} is not valid")]
    Field { field: &'static str },
}

/// What is needed to check a password, and not enough to log in with. Whoever steals it can try
/// passwords against it, and can pretend to be this server.
///
/// `Display` gives PostgreSQL's form; `Debug` shows no key.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier {
    iterations: NonZeroU32,
    salt: Vec<u8>,
    stored_key: Zeroizing<Key>,
    server_key: Zeroizing<Key>,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Genuine,
    /// Belongs to nobody; no proof fits.
    Mock,
}

impl Verifier {
    /// Reads PostgreSQL's form, `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`.
    ///
    /// # Errors
    /// [`VerifierError`]; it never quotes the text, which is a secret.
    pub fn parse(text: &str) -> Result<Self, VerifierError> {
        let parts: Vec<&str> = text.split('$').collect();
        let [MECHANISM, cost, keys] = *parts else { return Err(VerifierError::Form) };
        let (iterations, salt) = cost.split_once(':').ok_or(VerifierError::Form)?;
        let (stored_key, server_key) = keys.split_once(':').ok_or(VerifierError::Form)?;
        let field = |field| VerifierError::Field { field };
        // PostgreSQL's limit: the number is an `int` there.
        let iterations = Some(iterations)
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok())
            .filter(|n: &NonZeroU32| i32::try_from(n.get()).is_ok())
            .ok_or(field("number of iterations"))?;
        let salt = BASE64_STANDARD.decode(salt).ok().filter(|salt| !salt.is_empty());
        Ok(Self {
            iterations,
            salt: salt.ok_or(field("salt"))?,
            stored_key: key(stored_key).ok_or(field("stored key"))?,
            server_key: key(server_key).ok_or(field("server key"))?,
            kind: Kind::Genuine,
        })
    }

    /// Makes the verifier of a password. The salt must be random; PostgreSQL's has 16 bytes.
    pub fn derive(password: &str, salt: &[u8], iterations: NonZeroU32) -> Self {
        let mut salted = Zeroizing::new([0; 32]);
        // As in PostgreSQL, a password that SASLprep refuses is taken as it stands.
        let prepared = stringprep::saslprep(password).map(|text| Zeroizing::new(text.into_owned()));
        let bytes = prepared.as_ref().map_or(password, |text| text.as_str()).as_bytes();
        pbkdf2::pbkdf2_hmac::<Sha256>(bytes, salt, iterations.get(), salted.as_mut());
        let client_key = Zeroizing::new(mac(&*salted, &[b"Client Key"]));
        Self {
            iterations,
            salt: salt.to_vec(),
            stored_key: Zeroizing::new(hash(&*client_key)),
            server_key: Zeroizing::new(mac(&*salted, &[b"Server Key"])),
            kind: Kind::Genuine,
        }
    }

    /// A verifier for somebody who has none: always the same for the same secret and name, in
    /// shape like a real one, and no password fits it. So a log-in doesn't tell who exists.
    ///
    /// The secret is the gateway's own and must stay the same over restarts.
    pub fn mock(secret: &[u8], actor: &str) -> Self {
        Self::mock_shaped(secret, actor, (DEFAULT_ITERATIONS, SALT_BYTES))
    }

    /// As [`Verifier::mock`], with that number of iterations and bytes of salt (at most 32).
    pub(crate) fn mock_shaped(secret: &[u8], actor: &str, shape: (NonZeroU32, usize)) -> Self {
        let derived = |what: &[u8]| mac(secret, &[b"postern mock ", what, b"\0", actor.as_bytes()]);
        Self {
            iterations: shape.0,
            salt: derived(b"salt").into_iter().take(shape.1).collect(),
            stored_key: Zeroizing::new(derived(b"stored key")),
            server_key: Zeroizing::new(derived(b"server key")),
            kind: Kind::Mock,
        }
    }

    /// How often the password was hashed.
    pub fn iterations(&self) -> NonZeroU32 {
        self.iterations
    }

    pub(crate) fn salt(&self) -> &[u8] {
        &self.salt
    }

    pub(crate) fn shape(&self) -> (NonZeroU32, usize) {
        (self.iterations, self.salt.len())
    }

    /// The same keys, belonging to nobody.
    #[cfg(test)]
    pub(crate) fn into_mock(self) -> Self {
        Self { kind: Kind::Mock, ..self }
    }

    /// Whether the proof is one for this message, in time that doesn't depend on the answer.
    pub(crate) fn accepts(&self, proof: &Key, auth_message: &[&[u8]]) -> bool {
        let mut client_key = Zeroizing::new(mac(&*self.stored_key, auth_message));
        for (byte, of_proof) in client_key.iter_mut().zip(proof) {
            *byte ^= of_proof;
        }
        let fits = hash(&*client_key).ct_eq(&*self.stored_key);
        let genuine = Choice::from(u8::from(self.kind == Kind::Genuine));
        (fits & genuine).into()
    }

    /// What proves to the client that the server knows this verifier.
    pub(crate) fn server_signature(&self, auth_message: &[&[u8]]) -> Key {
        mac(&*self.server_key, auth_message)
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &[u8]| BASE64_STANDARD.encode(bytes);
        let (salt, iterations) = (text(&self.salt), self.iterations);
        let (stored, server) = (text(&*self.stored_key), text(&*self.server_key));
        write!(f, "{MECHANISM}${iterations}:{salt}${stored}:{server}")
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verifier({MECHANISM}${}:…)", self.iterations)
    }
}

fn key(text: &str) -> Option<Zeroizing<Key>> {
    let bytes = Zeroizing::new(BASE64_STANDARD.decode(text).ok()?);
    bytes.as_slice().try_into().ok().map(Zeroizing::new)
}

fn hash(bytes: &[u8]) -> Key {
    Sha256::digest(bytes).into()
}

fn mac(key: &[u8], parts: &[&[u8]]) -> Key {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("hmac takes any key");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}
