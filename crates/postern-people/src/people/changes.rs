//! What a people file says of each account, in a line that can be recorded and compared: no
//! password, and nothing that one could be guessed with.

use std::{collections::BTreeMap, sync::Arc};

use hmac::{Hmac, KeyInit, Mac};
use postern_model::Actor;
use sha2::Sha256;

use super::{Account, People};

/// What is known of each account, in a line.
pub type States = BTreeMap<Actor, Arc<str>>;

/// One account that was added, changed or removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub actor: Actor,
    /// Before; empty if there was no such account.
    pub was: Arc<str>,
    /// From now on; empty if there is none any more.
    pub now: Arc<str>,
}

impl People {
    /// A line for each account. That somebody has another password shows in a number, which is the
    /// same for the same verifier and key; it tells nothing to whoever lacks the key.
    pub fn states(&self, key: &[u8]) -> States {
        self.iter().map(|(actor, account)| (actor.clone(), state(account, key))).collect()
    }
}

/// What has changed from one to the other, in order of the names.
pub fn changes(before: &States, after: &States) -> Vec<Change> {
    let nothing = || Arc::from("");
    let gone = before.keys().filter(|actor| !after.contains_key(*actor));
    let names: std::collections::BTreeSet<&Actor> = after.keys().chain(gone).collect();
    let all = names.into_iter().map(|actor| Change {
        actor: actor.clone(),
        was: before.get(actor).cloned().unwrap_or_else(nothing),
        now: after.get(actor).cloned().unwrap_or_else(nothing),
    });
    all.filter(|change| change.was != change.now).collect()
}

fn state(account: &Account, key: &[u8]) -> Arc<str> {
    let Account { role, employer, verifier, ends, active } = account;
    let mut text = format!("role {role:?}, employer {employer:?}");
    if let Some(ends) = ends {
        text += &format!(", last day {ends}");
    }
    if !active {
        text += ", not active";
    }
    match verifier {
        None => text += ", no password",
        Some(verifier) => {
            #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
            let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("hmac takes any key");
            mac.update(b"postern password number\0");
            mac.update(verifier.to_string().as_bytes());
            let hash = mac.finalize().into_bytes();
            text += ", password ";
            hash.iter().take(4).for_each(|byte| text += &format!("{byte:02x}"));
        }
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::{Date, Verifier};

    fn people(accounts: &[(&str, &str, Option<&str>)]) -> People {
        let mut people = People::default();
        for (name, role, password) in accounts {
            let iterations = NonZeroU32::MIN;
            let account = Account {
                role: (*role).into(),
                employer: "own".into(),
                verifier: password.map(|text| Verifier::derive(text, b"salt", iterations)),
                ends: (*role == "guest").then(|| Date::constant(2026, 12, 31)),
                active: *role != "left",
            };
            people.insert(Actor::new(*name), account).unwrap();
        }
        people
    }

    #[test]
    fn each_change_is_told_once_and_no_password() {
        let before = people(&[("ana", "agent", Some("a")), ("ben", "agent", None)]);
        let after = people(&[("ana", "lead", Some("b")), ("eva", "guest", None)]);
        let (before, after) = (before.states(b"key"), after.states(b"key"));
        let told: Vec<String> = changes(&before, &after)
            .iter()
            .map(|change| format!("{}: {} -> {}", change.actor, change.was, change.now))
            .collect();
        let [ana, ben, eva] = &told[..] else { panic!("{told:?}") };
        let masked: String =
            ana.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert!(masked.starts_with("ana: role \"agent\", employer \"own\", password "), "{ana}");
        assert!(ana.contains(" -> role \"lead\""), "{ana}");
        assert_eq!(ben, "ben: role \"agent\", employer \"own\", no password -> ");
        assert_eq!(
            eva,
            "eva:  -> role \"guest\", employer \"own\", last day 2026-12-31, no password"
        );
        let left = people(&[("eva", "left", None)]).states(b"key");
        let [eva] = &changes(&States::new(), &left)[..] else { panic!("{left:?}") };
        assert_eq!(&*eva.now, "role \"left\", employer \"own\", not active, no password");
        assert_eq!(changes(&after, &after), []);
        let numbers: Vec<_> = ana.split("password ").skip(1).map(|rest| &rest[..8]).collect();
        assert_ne!(numbers[0], numbers[1], "another password is a change");
        let verifier = people(&[("ana", "agent", Some("a"))]);
        let verifier = verifier.account("ana").unwrap().verifier.clone().unwrap().to_string();
        assert!(!verifier.contains(numbers[0]));
        assert_ne!(
            people(&[("ana", "agent", Some("a"))]).states(b"other"),
            people(&[("ana", "agent", Some("a"))]).states(b"key"),
            "without the key nobody can try passwords"
        );
    }
}
