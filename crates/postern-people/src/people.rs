//! The people file: who may log in.

use std::{collections::BTreeMap, num::NonZeroU32, sync::Arc};

use jiff::{Unit, civil::Date};
use postern_model::{Actor, Timestamp};
use thiserror::Error;

use crate::verifier::{DEFAULT_ITERATIONS, SALT_BYTES, Verifier, VerifierError};

mod changes;
mod file;
#[cfg(test)]
mod tests;

pub use self::changes::{Change, States, changes};

/// Why a text is not a people file. Lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PeopleError {
    #[error("line {line}: {message}")]
    Syntax { line: usize, message: String },
    #[error("line {line}: `{name}` can't be the name of an actor")]
    Name { line: usize, name: String },
    #[error("line {line}: {field} of `{actor}` is empty")]
    Empty { line: usize, actor: String, field: &'static str },
    #[error("line {line}: verifier of `{actor}` can't be read")]
    Verifier {
        line: usize,
        actor: String,
        #[source]
        source: VerifierError,
    },
    #[error("line {line}: `ends` of `{actor}` must be a date without a time, as in 2026-12-31")]
    Ends { line: usize, actor: String },
}

/// What is known of an actor that may log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The role that policy speaks of, e.g. `agent`.
    pub role: Arc<str>,
    /// `own`, or the contractor's name.
    pub employer: Arc<str>,
    /// What the password is checked with; `None` for who has no password.
    pub verifier: Option<Verifier>,
    /// The last day, in UTC, on which the account works; `None` for no end.
    pub ends: Option<Date>,
    /// Whether it works at all: a directory takes that away from who has left and gives it back.
    pub active: bool,
}

impl Account {
    /// Whether another company employs them.
    pub fn is_contractor(&self) -> bool {
        *self.employer != *file::OWN
    }

    /// Whether the account is active and has not ended at that moment.
    pub fn works_at(&self, now: Timestamp) -> bool {
        self.active && self.ends.is_none_or(|last| now.day() <= day_number(last))
    }
}

/// Days since 1970-01-01, as [`Timestamp::day`] counts them.
fn day_number(date: Date) -> i64 {
    let epoch = Date::constant(1970, 1, 1);
    // Days between two civil dates always have a number; the fallback has the account ended.
    epoch.until((Unit::Day, date)).map_or(i64::MIN, |span| i64::from(span.get_days()))
}

/// Everybody who may log in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct People {
    accounts: BTreeMap<Actor, Account>,
}

impl People {
    /// Reads `people.toml`.
    ///
    /// # Errors
    /// [`PeopleError`] with the line, for unknown keys too.
    pub fn parse(text: &str) -> Result<Self, PeopleError> {
        file::parse(text).map(|accounts| Self { accounts })
    }

    /// Prints `people.toml`, actors in order of their names. Comments are not kept.
    pub fn to_toml(&self) -> String {
        file::print(&self.accounts)
    }

    /// What is known of that actor.
    pub fn account(&self, actor: &str) -> Option<&Account> {
        self.accounts.get(actor)
    }

    /// Everybody, in order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&Actor, &Account)> {
        self.accounts.iter()
    }

    /// Adds an account, or replaces the one of that name.
    ///
    /// # Errors
    /// [`PeopleError::Name`] and [`PeopleError::Empty`] for what the file could not hold, with
    /// line 0.
    pub fn insert(&mut self, actor: Actor, account: Account) -> Result<(), PeopleError> {
        file::check_name(0, actor.as_str())?;
        file::check_filled(0, &actor, "role", &account.role)?;
        file::check_filled(0, &actor, "employer", &account.employer)?;
        self.accounts.insert(actor, account);
        Ok(())
    }

    /// Takes an account away; whether there was one.
    pub fn remove(&mut self, actor: &str) -> bool {
        self.accounts.remove(actor).is_some()
    }

    /// The verifier for a log-in under that name: the actor's own, or for an unknown name and for
    /// who has no password one that no password fits, in the shape that most others have.
    pub fn verifier_or_mock(&self, actor: &str, secret: &[u8]) -> Verifier {
        // Made in both cases, so that the time doesn't tell which it is.
        let mock = Verifier::mock_shaped(secret, actor, self.usual_shape());
        self.account(actor).and_then(|account| account.verifier.clone()).unwrap_or(mock)
    }

    fn usual_shape(&self) -> (NonZeroU32, usize) {
        let mut shapes = BTreeMap::new();
        for verifier in self.accounts.values().filter_map(|account| account.verifier.as_ref()) {
            *shapes.entry(verifier.shape()).or_insert(0) += 1;
        }
        let usual = shapes.into_iter().max_by_key(|(_, count)| *count);
        usual.map_or((DEFAULT_ITERATIONS, SALT_BYTES), |(shape, _)| shape)
    }
}
