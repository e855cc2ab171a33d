//! Tokens that somebody has come in by: another cannot with the same.

use std::collections::BTreeMap;

use postern_model::Timestamp;
use sha2::{Digest as _, Sha256};

/// As many are remembered at once; more log-ins than that are refused.
const REMEMBERED_MAX: usize = 100_000;

/// Why a token that holds lets nobody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Replayed {
    #[error("it has let somebody in from another address")]
    Elsewhere,
    #[error("too many tokens are in use")]
    Full,
}

/// From where each token was used that has not expired; by a hash of what is signed in it. One
/// text can have many signatures that hold: whoever sees one by ECDSA can compute another.
///
/// A token is a password that whoever sees it can use. A client connects more than once with the
/// same one, and from one place; whoever has stolen it comes from another.
#[derive(Debug, Default)]
pub struct Replays(BTreeMap<[u8; 32], (Vec<u8>, Timestamp)>);

impl Replays {
    /// Somebody comes in by a token that holds until then.
    ///
    /// # Errors
    /// [`Replayed`] if they may not.
    pub fn admit(
        &mut self,
        token: &str,
        place: &[u8],
        (now, until): (Timestamp, Timestamp),
    ) -> Result<(), Replayed> {
        let signed = token.rsplit_once('.').map_or(token, |(signed, _signature)| signed);
        let hash: [u8; 32] = Sha256::digest(signed.as_bytes()).into();
        if let Some((first, _)) = self.0.get(&hash) {
            return if first == place { Ok(()) } else { Err(Replayed::Elsewhere) };
        }
        if self.0.len() >= REMEMBERED_MAX {
            self.0.retain(|_, (_, until)| *until > now);
        }
        if self.0.len() >= REMEMBERED_MAX {
            return Err(Replayed::Full);
        }
        self.0.insert(hash, (place.to_vec(), until));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_used_from_one_place() {
        let mut replays = Replays::default();
        let times = (Timestamp(0), Timestamp(60));
        assert_eq!(replays.admit("t", b"one", times), Ok(()));
        assert_eq!(replays.admit("t", b"one", times), Ok(()));
        assert_eq!(replays.admit("t", b"two", times), Err(Replayed::Elsewhere));
        assert_eq!(replays.admit("u", b"two", times), Ok(()));
    }

    #[test]
    fn another_signature_makes_no_other_token() {
        let mut replays = Replays::default();
        let times = (Timestamp(0), Timestamp(60));
        assert_eq!(replays.admit("head.claims.r+s", b"one", times), Ok(()));
        let other = replays.admit("head.claims.r-s", b"two", times);
        assert_eq!(other, Err(Replayed::Elsewhere));
        assert_eq!(replays.admit("head.others.r+s", b"two", times), Ok(()));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_what_has_expired_is_forgotten() {
        let mut replays = Replays::default();
        for number in 0..REMEMBERED_MAX {
            let until = Timestamp(if number == 0 { 1 } else { 100 });
            replays.admit(&number.to_string(), b"a", (Timestamp(0), until)).unwrap();
        }
        let times = (Timestamp(0), Timestamp(100));
        assert_eq!(replays.admit("more", b"a", times), Err(Replayed::Full));
        assert_eq!(replays.admit("more", b"a", (Timestamp(1), Timestamp(100))), Ok(()));
        assert_eq!(replays.admit("yet more", b"a", times), Err(Replayed::Full));
    }
}
