//! The ledger's entries as cases, and people's names under a key.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use postern_cases::{Act, Cases, Deed, Outcome, Raised};
use postern_ledger::{Body, CaseAct, Entry, Note};
use postern_model::Actor;
use postern_watch::Feedback;

/// The cases of a running gateway. Held for one look or change, never across I/O.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shared(Arc<Mutex<Cases>>);

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Cases> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes what an entry says of cases, and of the roles of accounts.
pub(crate) fn take(cases: &mut Cases, entry: &Entry) {
    match &entry.body {
        Body::Noted(Note::Found(found)) => cases.raise(Raised {
            entry: entry.sequence,
            time: found.time,
            actors: found.actors.clone(),
            kind: found.kind.clone(),
            severity: found.severity,
            alert: found.alert,
            score: found.score,
            subjects_at_risk: found.subjects_at_risk,
            evidence: found.evidence.clone(),
            why: found.why.clone(),
        }),
        Body::Noted(Note::Person { actor, now, .. }) => {
            cases.person(actor, role(now).map(Into::into));
        }
        Body::Noted(Note::Case(act)) => {
            if let Some(deed) = deed(act) {
                cases.apply(&deed, entry.time);
            }
        }
        Body::Noted(_) | Body::Disclosed(_) => {}
    }
}

/// The role in what the ledger has of an account; `None` if there is no such account any more.
pub(crate) fn role(now: &str) -> Option<String> {
    let quoted = now.strip_prefix("role ")?;
    let mut role = String::new();
    let mut characters = quoted.strip_prefix('"')?.chars();
    loop {
        match characters.next()? {
            '"' => return Some(role),
            '\\' => role.push(characters.next()?),
            other => role.push(other),
        }
    }
}

/// What an entry says that was done; nothing if a later version has another word for it.
fn deed(act: &CaseAct) -> Option<Deed> {
    let CaseAct { by, number, act, kinds, roles, why } = act.clone();
    Some(Deed { number, by, act: Act::parse(&act)?, kinds, roles, why })
}

impl From<Deed> for NoteOf {
    fn from(deed: Deed) -> Self {
        let Deed { number, by, act, kinds, roles, why } = deed;
        Self(Note::Case(CaseAct { by, number, act: act.as_str().into(), kinds, roles, why }))
    }
}

/// A note that a deed becomes.
pub(crate) struct NoteOf(pub(crate) Note);

/// What an act on a case tells the detectors: the case, and what they are to take of it, which is
/// nothing where it was opened again. `None` if it tells them nothing.
pub(crate) fn feedback(act: &CaseAct) -> Option<(u64, Option<Feedback>)> {
    let misuse = match Act::parse(&act.act)? {
        Act::Closed(Outcome::Benign) => false,
        Act::Closed(Outcome::Misuse) => true,
        Act::Reopened => return Some((act.number, None)),
        Act::Closed(Outcome::Unclear)
        | Act::Reviewed
        | Act::Suspicious
        | Act::RevealAsked
        | Act::Revealed => return None,
    };
    let owned = |names: &[Arc<str>]| names.iter().map(ToString::to_string).collect();
    let (kinds, roles) = (owned(&act.kinds), owned(&act.roles));
    Some((act.number, Some(Feedback { kinds, roles, misuse })))
}

/// Names accounts by a keyed hash, the same for as long as the key is.
#[derive(Debug)]
pub(crate) struct Pseudonyms([u8; 32]);

impl Pseudonyms {
    pub(crate) fn under(key: [u8; 32]) -> Self {
        Self(key)
    }

    pub(crate) fn of(&self, actor: &Actor) -> String {
        let hash = blake3::keyed_hash(&self.0, actor.as_str().as_bytes()).to_hex();
        format!("account-{}", hash.get(..10).unwrap_or_default())
    }

    /// A finding's sentence, which has names in backticks, with pseudonyms for those.
    pub(crate) fn within<'a>(
        &self,
        sentence: &str,
        actors: impl IntoIterator<Item = &'a Actor>,
    ) -> String {
        actors.into_iter().fold(sentence.to_owned(), |text, actor| {
            text.replace(&format!("`{actor}`"), &format!("`{}`", self.of(actor)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_role_is_read_from_what_the_ledger_has_of_an_account() {
        assert_eq!(role(r#"role "agent", employer "own", no password"#).unwrap(), "agent");
        assert_eq!(role(r#"role "a \"b\", c", employer "own""#).unwrap(), r#"a "b", c"#);
        assert_eq!(role(""), None);
        assert_eq!(role("role agent"), None);
    }

    #[test]
    fn a_pseudonym_is_the_same_under_the_same_key_and_no_name_is_left() {
        let (ana, ben) = (Actor::new("ana"), Actor::new("ben"));
        let names = Pseudonyms::under([1; 32]);
        assert_eq!(names.of(&ana), Pseudonyms::under([1; 32]).of(&ana));
        assert_ne!(names.of(&ana), names.of(&ben));
        assert_ne!(names.of(&ana), Pseudonyms::under([2; 32]).of(&ana));
        let said = names.within("`ana` and `ben`, who bans bananas", [&ana, &ben]);
        assert!(!said.contains("`ana`") && !said.contains("`ben`") && said.contains("bananas"));
    }
}
