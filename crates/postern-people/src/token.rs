//! Whom an application speaks for: a signed token (JWT, RFC 7519, signed as RFC 7515 says) by a key
//! of a JWKS (RFC 7517).
//!
//! Only signatures that nobody can make who can check them are taken: no HMAC, and no `none`. Which
//! key and algorithm count is the key set's to say, never the token's own (RFC 8725, 3.1).

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, DecodingKey, Validation, decode, decode_header,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyOperations, PublicKeyUse},
};
use postern_model::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

mod fetched;
mod replays;
#[cfg(test)]
mod tests;

pub use self::{
    fetched::{FetchedKeys, KeySource},
    replays::{Replayed, Replays},
};

/// A longer token is none.
const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// 2,048 bits.
const RSA_BYTES_MIN: usize = 256;

/// The signatures that are taken.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// What a token must say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRules {
    /// Its `iss`.
    pub issuer: String,
    /// Its `aud`, or one of them.
    pub audience: String,
    /// The claim that holds the account's name, such as `sub`; none of those that are looked at
    /// besides.
    pub account: String,
    /// The longest from its `iat` to its `exp`.
    pub longest: Duration,
    /// How far the issuer's clock may be off.
    pub leeway: Duration,
}

/// Why a text is no set of keys that tokens can be checked with.
#[derive(Debug, Error)]
pub enum KeySetError {
    #[error("it is no JSON Web Key Set (RFC 7517)")]
    Syntax(#[source] serde_json::Error),
    #[error("key {place} can't be read")]
    Key { place: usize, source: jsonwebtoken::errors::Error },
    #[error("two of its keys are called `{kid}`")]
    Twice { kid: String },
    #[error("none of its keys is one for signatures by RSA, ECDSA or Ed25519")]
    NoKey,
}

/// Why a token names nobody. Says nothing of what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TokenError {
    #[error("it is no signed token of a kind that is taken")]
    Malformed,
    #[error("its signature is by no key that is known")]
    UnknownKey,
    #[error("its signature is wrong")]
    Signature,
    #[error("it is by another issuer")]
    Issuer,
    #[error("it is for another audience")]
    Audience,
    #[error("it names no account")]
    NoAccount,
    #[error("the issuer's keys could not be fetched yet, so that no token can be checked")]
    NoKeys,
    #[error("the issuer's keys could not be fetched for too long, so that no token can be checked")]
    OldKeys,
    #[error("it does not say from when to when it counts (`iat`, `exp`)")]
    Times,
    #[error("it counts for longer than tokens may")]
    TooLong,
    #[error("it does not count yet")]
    NotYet,
    #[error("it has expired")]
    Expired,
}

/// What a token says that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndUser {
    /// The account's name; whether there is such an account is not for the token to say.
    pub account: String,
    /// From when on it does not count any more.
    pub until: Timestamp,
}

/// Checks tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    rules: TokenRules,
    source: Source,
}

/// Where the keys come from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    /// They are those of a file.
    Fixed(Keys),
    /// They are fetched now and then.
    Fetched(Arc<FetchedKeys>),
}

/// The keys by their names, and those without one.
#[derive(Debug, Clone, Default)]
struct Keys {
    named: BTreeMap<String, Key>,
    unnamed: Vec<Key>,
    /// What they were read from.
    text: String,
}

/// Whether both check alike.
impl PartialEq for Keys {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Keys {}

#[derive(Debug, Clone)]
struct Key {
    key: DecodingKey,
    /// The one that it is for, if it says so.
    algorithm: Option<Algorithm>,
}

#[derive(Deserialize)]
struct Claims {
    iss: Option<String>,
    aud: Option<Audiences>,
    iat: Option<f64>,
    nbf: Option<f64>,
    exp: Option<f64>,
    #[serde(flatten)]
    others: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audiences {
    One(String),
    Many(Vec<String>),
}

impl Keys {
    fn parse(key_set: &str) -> Result<Self, KeySetError> {
        let set: JwkSet = serde_json::from_str(key_set).map_err(KeySetError::Syntax)?;
        let mut keys = Self { text: key_set.to_owned(), ..Self::default() };
        for (place, jwk) in (1..).zip(&set.keys) {
            let Some(key) = key(jwk).map_err(|source| KeySetError::Key { place, source })? else {
                continue;
            };
            match &jwk.common.key_id {
                None => keys.unnamed.push(key),
                Some(kid) => {
                    if keys.named.insert(kid.clone(), key).is_some() {
                        return Err(KeySetError::Twice { kid: kid.clone() });
                    }
                }
            }
        }
        if keys.named.is_empty() && keys.unnamed.is_empty() {
            return Err(KeySetError::NoKey);
        }
        Ok(keys)
    }
}

impl Tokens {
    /// With the keys of a JWKS. Keys that are for something else are passed over.
    ///
    /// # Errors
    /// [`KeySetError`] if the text is no key set, or no key in it is of use.
    pub fn new(rules: TokenRules, key_set: &str) -> Result<Self, KeySetError> {
        Ok(Self { rules, source: Source::Fixed(Keys::parse(key_set)?) })
    }

    /// With keys that somebody fetches.
    pub fn fetched(rules: TokenRules, keys: Arc<FetchedKeys>) -> Self {
        Self { rules, source: Source::Fetched(keys) }
    }

    /// The same with these keys, which somebody fetches already, if they come from the same place.
    #[must_use]
    pub fn adopting(&self, running: &Arc<FetchedKeys>) -> Self {
        match &self.source {
            Source::Fetched(own) if own == running => {
                Self { source: Source::Fetched(running.clone()), ..self.clone() }
            }
            Source::Fetched(_) | Source::Fixed(_) => self.clone(),
        }
    }

    /// The keys, if they have to be fetched.
    pub fn to_fetch(&self) -> Option<&Arc<FetchedKeys>> {
        match &self.source {
            Source::Fetched(keys) => Some(keys),
            Source::Fixed(_) => None,
        }
    }

    /// Whom a token names at that moment. Where no key has its name, and keys are fetched, they
    /// are wanted anew.
    ///
    /// # Errors
    /// [`TokenError`] if it names nobody.
    pub fn check(&self, token: &str, now: Timestamp) -> Result<EndUser, TokenError> {
        match &self.source {
            Source::Fixed(keys) => self.check_by(keys, token, now),
            Source::Fetched(fetched) => {
                let checked = self.check_by(&*fetched.keys(now)?, token, now);
                if checked == Err(TokenError::UnknownKey) {
                    fetched.want();
                }
                checked
            }
        }
    }

    fn check_by(&self, keys: &Keys, token: &str, now: Timestamp) -> Result<EndUser, TokenError> {
        if token.len() > TOKEN_BYTES_MAX || asks_for_more(token) {
            return Err(TokenError::Malformed);
        }
        let header = decode_header(token).map_err(|_| TokenError::Malformed)?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err(TokenError::Malformed);
        }
        let candidates = keys.of(header.kid.as_deref(), header.alg);
        let mut signed = Err(TokenError::UnknownKey);
        for key in candidates {
            signed = claims(token, key, header.alg).ok_or(TokenError::Signature);
            if signed.is_ok() {
                break;
            }
        }
        self.holds(signed?, now)
    }

    fn holds(&self, mut claims: Claims, now: Timestamp) -> Result<EndUser, TokenError> {
        let TokenRules { issuer, audience, account, longest, leeway } = &self.rules;
        if claims.iss.as_deref() != Some(issuer.as_str()) {
            return Err(TokenError::Issuer);
        }
        let is_ours = match &claims.aud {
            None => false,
            Some(Audiences::One(one)) => one == audience,
            Some(Audiences::Many(many)) => many.contains(audience),
        };
        if !is_ours {
            return Err(TokenError::Audience);
        }
        let (Some(issued), Some(until)) = (moment(claims.iat), moment(claims.exp)) else {
            return Err(TokenError::Times);
        };
        if until > issued.after(*longest) {
            return Err(TokenError::TooLong);
        }
        let from = match claims.nbf {
            None => issued,
            Some(_) => moment(claims.nbf).ok_or(TokenError::Times)?.max(issued),
        };
        if now.after(*leeway) < from {
            return Err(TokenError::NotYet);
        }
        let until = until.after(*leeway);
        if until <= now {
            return Err(TokenError::Expired);
        }
        let named = claims.others.remove(account.as_str());
        match named {
            Some(Value::String(account)) if !account.is_empty() => Ok(EndUser { account, until }),
            Some(_) | None => Err(TokenError::NoAccount),
        }
    }
}

impl Keys {
    /// The keys that a signature may be by: the one of that name, or those without a name.
    fn of<'k>(&'k self, kid: Option<&str>, algorithm: Algorithm) -> Vec<&'k DecodingKey> {
        let all: Vec<&Key> = match kid {
            Some(kid) => self.named.get(kid).or_else(|| self.only()).into_iter().collect(),
            // Without a name it can be any of those that are there.
            None => self.unnamed.iter().chain(self.named.values()).collect(),
        };
        let fits = |key: &&Key| {
            key.key.family() == algorithm.family()
                && key.algorithm.is_none_or(|its| its == algorithm)
        };
        all.into_iter().filter(fits).map(|key| &key.key).collect()
    }

    /// A key without a name that is the only one is whatever a token calls it.
    fn only(&self) -> Option<&Key> {
        match self.unnamed.as_slice() {
            [key] if self.named.is_empty() => Some(key),
            _ => None,
        }
    }
}

/// `None` for a key that is for something else.
fn key(jwk: &Jwk) -> Result<Option<Key>, jsonwebtoken::errors::Error> {
    let signs = jwk.common.public_key_use.as_ref().is_none_or(|is| *is == PublicKeyUse::Signature);
    let verifies = jwk
        .common
        .key_operations
        .as_ref()
        .is_none_or(|operations| operations.contains(&KeyOperations::Verify));
    let says = jwk.common.key_algorithm.map(|algorithm| algorithm.to_string().parse().ok());
    let algorithm = match says {
        None => None,
        Some(Some(algorithm)) if ALGORITHMS.contains(&algorithm) => Some(algorithm),
        Some(_) => return Ok(None),
    };
    if !signs || !verifies {
        return Ok(None);
    }
    let Some(is_whole) = is_whole(&jwk.algorithm) else { return Ok(None) };
    let key = DecodingKey::from_jwk(jwk)?;
    if !is_whole {
        return Err(jsonwebtoken::errors::ErrorKind::InvalidKeyFormat.into());
    }
    Ok(Some(Key { key, algorithm }))
}

/// Whether the parts of a public key are as long as they have to be (RFC 7518, 3.3 and 6.2.1; RFC
/// 8037, 2); `None` for one of a kind or curve that is not taken, such as a secret that both sides
/// have.
fn is_whole(parts: &AlgorithmParameters) -> Option<bool> {
    let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).map_or(0, |bytes| bytes.len());
    if let AlgorithmParameters::RSA(key) = parts {
        return Some(bytes(&key.n) >= RSA_BYTES_MIN);
    }
    if let AlgorithmParameters::OctetKeyPair(key) = parts {
        return (key.curve == EllipticCurve::Ed25519).then(|| bytes(&key.x) == 32);
    }
    let AlgorithmParameters::EllipticCurve(key) = parts else { return None };
    let curves = [(EllipticCurve::P256, 32), (EllipticCurve::P384, 48)];
    let (_, long) = curves.into_iter().find(|(curve, _)| *curve == key.curve)?;
    Some(bytes(&key.x) == long && bytes(&key.y) == long)
}

/// Whether the header names an extension that has to be understood (`crit`, RFC 7515, 4.1.11): none
/// is. One that can't be read asks for anything.
fn asks_for_more(token: &str) -> bool {
    let header = token.split('.').next().unwrap_or_default();
    let header = URL_SAFE_NO_PAD.decode(header).ok();
    let header = header.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    header.is_none_or(|header| header.get("crit").is_some() || header.get("b64").is_some())
}

/// What it says, if this key has signed it.
fn claims(token: &str, key: &DecodingKey, algorithm: Algorithm) -> Option<Claims> {
    let mut validation = Validation::new(algorithm);
    // Looked at afterwards, by the clock that everything else goes by.
    validation.required_spec_claims.clear();
    (validation.validate_exp, validation.validate_nbf) = (false, false);
    validation.validate_aud = false;
    decode::<Claims>(token, key, &validation).ok().map(|token| token.claims)
}

/// A NumericDate (RFC 7519, 2): seconds since 1970, perhaps with a fraction.
fn moment(seconds: Option<f64>) -> Option<Timestamp> {
    const LAST: f64 = 253_402_300_800.0;
    let seconds = seconds.filter(|seconds| (0.0..LAST).contains(seconds))?;
    #[expect(clippy::cast_possible_truncation, reason = "it is below 2.6e17")]
    let micros = (seconds * 1e6) as i64;
    Some(Timestamp(micros))
}
