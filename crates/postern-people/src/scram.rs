//! The server's side of SCRAM-SHA-256, without channel binding.

use base64::{Engine, prelude::BASE64_STANDARD};
use thiserror::Error;

use crate::verifier::Verifier;

#[cfg(test)]
mod tests;

/// Bytes of random in a nonce, as in PostgreSQL.
const NONCE_BYTES: usize = 18;

/// Why a log-in failed. All but [`ScramError::Proof`] are mistakes in the protocol; none tells
/// whether the account exists.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ScramError {
    #[error("scram message is malformed: {what}")]
    Malformed { what: &'static str },
    #[error("client requires channel binding, which is not offered")]
    ChannelBinding,
    #[error("client wants to act for another account, which is not supported")]
    AuthorizationIdentity,
    #[error("client requires an extension of scram that is not supported")]
    Extension,
    #[error("channel binding differs from the one that the client began with")]
    BindingMismatch,
    #[error("nonce differs from the one that was sent")]
    NonceMismatch,
    #[error("server's nonce is not usable")]
    ServerNonce,
    #[error("password is wrong")]
    Proof,
}

/// A log-in that waits for the client's final message.
#[derive(Debug, Clone)]
pub struct ScramServer {
    verifier: Verifier,
    /// What the client's `c=` must be: the header that it began with.
    binding: &'static str,
    nonce: String,
    /// The first messages of both, as the proof covers them.
    exchanged: String,
}

impl ScramServer {
    /// The text of a nonce from random bytes, which must be fresh for each log-in.
    pub fn nonce(random: [u8; NONCE_BYTES]) -> String {
        BASE64_STANDARD.encode(random)
    }

    /// Reads the client's first message and answers it. The name in it is ignored, as PostgreSQL
    /// does: the account is the one of the start-up message, whose verifier is given.
    ///
    /// # Errors
    /// [`ScramError`], [`ScramError::ServerNonce`] if `server_nonce` is empty or has characters
    /// that a nonce can't have.
    pub fn start(
        client_first: &[u8],
        verifier: Verifier,
        server_nonce: &str,
    ) -> Result<(String, Self), ScramError> {
        if !is_nonce(server_nonce) {
            return Err(ScramError::ServerNonce);
        }
        let client_first = text(client_first)?;
        let mut header = client_first.splitn(3, ',');
        let (flag, identity, bare) = (header.next(), header.next(), header.next());
        let binding = match flag {
            Some("n") => "biws",
            // The client could bind but thinks that the server can't, which is so: this server
            // never offers SCRAM-SHA-256-PLUS, and nobody can have taken the offer away.
            Some("y") => "eSws",
            Some(flag) if flag.starts_with("p=") => return Err(ScramError::ChannelBinding),
            _ => return Err(ScramError::Malformed { what: "no channel binding flag" }),
        };
        match identity {
            Some("") => {}
            Some(identity) if identity.starts_with("a=") => {
                return Err(ScramError::AuthorizationIdentity);
            }
            _ => return Err(ScramError::Malformed { what: "no end of the header" }),
        }
        let bare = bare.ok_or(ScramError::Malformed { what: "nothing after the header" })?;
        let nonce = format!("{}{server_nonce}", client_nonce(bare)?);
        let salt = BASE64_STANDARD.encode(verifier.salt());
        let server_first = format!("r={nonce},s={salt},i={}", verifier.iterations());
        let exchanged = format!("{bare},{server_first}");
        Ok((server_first, Self { verifier, binding, nonce, exchanged }))
    }

    /// Reads the client's final message; if its proof is right, gives the server's.
    ///
    /// # Errors
    /// [`ScramError::Proof`] for a wrong password and for an account that has none, others for
    /// messages that are not what the protocol wants.
    pub fn finish(self, client_final: &[u8]) -> Result<String, ScramError> {
        let client_final = text(client_final)?;
        let (unproven, proof) =
            client_final.rsplit_once(",p=").ok_or(ScramError::Malformed { what: "no proof" })?;
        let mut attributes = unproven.split(',');
        let binding = attributes.next().and_then(|attribute| attribute.strip_prefix("c="));
        let nonce = attributes.next().and_then(|attribute| attribute.strip_prefix("r="));
        match (binding, nonce) {
            (None, _) => return Err(ScramError::Malformed { what: "no channel binding" }),
            (_, None) => return Err(ScramError::Malformed { what: "no nonce" }),
            (Some(binding), _) if binding != self.binding => {
                return Err(ScramError::BindingMismatch);
            }
            (_, Some(nonce)) if nonce != self.nonce => return Err(ScramError::NonceMismatch),
            _ => {}
        }
        if !attributes.all(is_extension) {
            return Err(ScramError::Malformed { what: "extension" });
        }
        let proof = BASE64_STANDARD
            .decode(proof)
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(ScramError::Malformed { what: "proof" })?;
        let auth_message = [self.exchanged.as_bytes(), b",", unproven.as_bytes()];
        if !self.verifier.accepts(&proof, &auth_message) {
            return Err(ScramError::Proof);
        }
        let signature = self.verifier.server_signature(&auth_message);
        Ok(format!("v={}", BASE64_STANDARD.encode(signature)))
    }
}

fn text(message: &[u8]) -> Result<&str, ScramError> {
    match str::from_utf8(message) {
        Ok(text) if !text.contains('\0') => Ok(text),
        _ => Err(ScramError::Malformed { what: "not a text" }),
    }
}

/// The nonce of a client-first-message-bare: `n=<name>,r=<nonce>`, extensions behind.
fn client_nonce(bare: &str) -> Result<&str, ScramError> {
    let mut attributes = bare.split(',');
    match attributes.next() {
        Some(name) if name.starts_with("n=") => {}
        Some(extension) if extension.starts_with("m=") => return Err(ScramError::Extension),
        _ => return Err(ScramError::Malformed { what: "no name" }),
    }
    let nonce = attributes
        .next()
        .and_then(|attribute| attribute.strip_prefix("r="))
        .filter(|nonce| is_nonce(nonce))
        .ok_or(ScramError::Malformed { what: "no nonce" })?;
    if !attributes.all(is_extension) {
        return Err(ScramError::Malformed { what: "extension" });
    }
    Ok(nonce)
}

/// Printable ASCII without comma (RFC 5802, `printable`).
fn is_nonce(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',')
}

/// An extension that may be ignored: a letter without a meaning of its own, and a value.
fn is_extension(attribute: &str) -> bool {
    let known = b"anmrcspiev";
    match attribute.as_bytes() {
        [letter, b'=', _, ..] => letter.is_ascii_alphabetic() && !known.contains(letter),
        _ => false,
    }
}
