//! The bearer token that the directory shows (RFC 6750), kept as a hash.

use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

/// The hash of a token. Tokens are random and long, so a plain SHA-256 is enough: there is nothing
/// to guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash of a token.
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }

    /// Reads 64 hex digits.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// The same as 64 hex digits.
    pub fn to_hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Whether the token is one of those; how long that takes tells nothing of where they differ.
pub(crate) fn is_known(token: &str, known: &[TokenHash]) -> bool {
    let shown = TokenHash::of(token);
    let equal = known.iter().fold(Choice::from(0), |any, one| any | one.0.ct_eq(&shown.0));
    equal.into()
}

/// The token of an `Authorization` field, if it has one.
pub(crate) fn bearer(field: &str) -> Option<&str> {
    let (scheme, token) = field.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_token_is_known() {
        let known = [TokenHash::of("other"), TokenHash::of("secret")];
        assert!(is_known("secret", &known));
        for wrong in ["", "secre", "secret ", "Secret", &known[1].to_hex()] {
            assert!(!is_known(wrong, &known), "{wrong}");
        }
        assert!(!is_known("secret", &[]));
        assert_eq!(TokenHash::parse(&known[1].to_hex()), Some(known[1]));
        for wrong in ["", "00", &"+".repeat(64), &"é".repeat(32)] {
            assert_eq!(TokenHash::parse(wrong), None, "{wrong}");
        }
        assert_eq!(bearer("bearer  secret"), Some("secret"));
        assert_eq!(bearer("Basic secret"), None);
        assert_eq!(bearer("secret"), None);
    }
}
