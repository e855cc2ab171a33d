//! What is recorded of decoys, for the control socket.

use postern_ledger::{DecoyHit, Found, Note, Planted};
use postern_model::{Actor, Clock as _, Severity, Subject};

use crate::{clock::SystemClock, commands::CERTAIN};

/// The hash of a plan; `None` if it is none.
pub(super) fn planted(by: &str, digest: &str, count: u64) -> Option<Note> {
    let byte = |place: usize| {
        let pair = digest.get(2 * place..2 * place + 2)?;
        u8::from_str_radix(pair, 16).ok()
    };
    let bytes: Option<Vec<u8>> = (0..32).map(byte).collect();
    let digest = bytes?.try_into().ok().filter(|_| digest.len() == 64)?;
    Some(Note::Planted(Planted { by: Actor::new(by), digest, count }))
}

pub(crate) fn hit(by: &str, subject: String, how: &str, why: &str) -> Note {
    let (how, why) = (how.into(), why.into());
    Note::DecoyHit(DecoyHit { by: Actor::new(by), subject: Subject::new(subject), how, why })
}

/// The finding that a contact is: of no account, because it tells of none.
pub(crate) fn found(why: &str, evidence: Vec<String>) -> Note {
    Note::Found(Found {
        time: SystemClock.now(),
        actors: Vec::new(),
        kind: "decoy_hit".into(),
        severity: Severity::Critical,
        alert: true,
        score: CERTAIN,
        subjects_at_risk: 1,
        evidence: evidence.into_iter().map(Into::into).collect(),
        why: why.into(),
    })
}
