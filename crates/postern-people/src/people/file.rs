//! The file's own types: what is written there and nothing else, converted at once.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use jiff::civil::Date;
use postern_model::Actor;
use serde::{Deserialize, Serialize};
use toml::{Spanned, value::Datetime};

use super::{Account, PeopleError};
use crate::verifier::Verifier;

/// The employer of those who are not contractors.
pub(super) const OWN: &str = "own";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileIn {
    #[serde(default)]
    actors: BTreeMap<Spanned<String>, AccountIn>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountIn {
    role: Spanned<String>,
    employer: Option<Spanned<String>>,
    scram: Option<Spanned<String>>,
    ends: Option<Spanned<Datetime>>,
    #[serde(default = "is_active")]
    active: bool,
}

fn is_active() -> bool {
    true
}

#[derive(Serialize)]
struct FileOut<'a> {
    actors: BTreeMap<&'a str, AccountOut<'a>>,
}

#[derive(Serialize)]
struct AccountOut<'a> {
    role: &'a str,
    employer: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    scram: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ends: Option<Datetime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    active: Option<bool>,
}

pub(super) fn parse(text: &str) -> Result<BTreeMap<Actor, Account>, PeopleError> {
    let line = |span: Range<usize>| {
        let before = text.as_bytes().get(..span.start).unwrap_or_default();
        before.iter().filter(|byte| **byte == b'\n').count() + 1
    };
    let file: FileIn = toml::from_str(text).map_err(|error| PeopleError::Syntax {
        line: error.span().map_or(1, line),
        message: error.message().to_owned(),
    })?;
    let mut accounts = BTreeMap::new();
    for (name, account) in file.actors {
        check_name(line(name.span()), name.get_ref())?;
        let actor = Actor::new(name.into_inner());
        let account = convert(&actor, account, &line)?;
        accounts.insert(actor, account);
    }
    Ok(accounts)
}

fn convert(
    actor: &Actor,
    account: AccountIn,
    line: &impl Fn(Range<usize>) -> usize,
) -> Result<Account, PeopleError> {
    let filled = |field, text: Spanned<String>| -> Result<Arc<str>, PeopleError> {
        check_filled(line(text.span()), actor, field, text.get_ref())?;
        Ok(text.into_inner().into())
    };
    let verifier = account.scram.map(|text| {
        Verifier::parse(text.get_ref()).map_err(|source| PeopleError::Verifier {
            line: line(text.span()),
            actor: actor.to_string(),
            source,
        })
    });
    let ends = account.ends.map(|moment| {
        date(moment.get_ref()).ok_or_else(|| PeopleError::Ends {
            line: line(moment.span()),
            actor: actor.to_string(),
        })
    });
    Ok(Account {
        role: filled("role", account.role)?,
        employer: match account.employer {
            Some(employer) => filled("employer", employer)?,
            None => OWN.into(),
        },
        verifier: verifier.transpose()?,
        ends: ends.transpose()?,
        active: account.active,
    })
}

fn date(moment: &Datetime) -> Option<Date> {
    let Datetime { date: Some(date), time: None, offset: None } = moment else { return None };
    let year = i16::try_from(date.year).ok()?;
    Date::new(year, i8::try_from(date.month).ok()?, i8::try_from(date.day).ok()?).ok()
}

/// A name must be one that a start-up message can carry and a line of a log can show.
pub(super) fn check_name(line: usize, name: &str) -> Result<(), PeopleError> {
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(PeopleError::Name { line, name: name.escape_debug().to_string() });
    }
    Ok(())
}

pub(super) fn check_filled(
    line: usize,
    actor: &Actor,
    field: &'static str,
    text: &str,
) -> Result<(), PeopleError> {
    if text.is_empty() {
        return Err(PeopleError::Empty { line, actor: actor.to_string(), field });
    }
    Ok(())
}

pub(super) fn print(accounts: &BTreeMap<Actor, Account>) -> String {
    let actors = accounts.iter().map(|(actor, account)| (actor.as_str(), out(account)));
    let file = FileOut { actors: actors.collect() };
    #[expect(clippy::expect_used, reason = "these types are tables of strings and dates")]
    toml::to_string(&file).expect("people can be printed")
}

fn out(account: &Account) -> AccountOut<'_> {
    AccountOut {
        role: &account.role,
        employer: &account.employer,
        scram: account.verifier.as_ref().map(Verifier::to_string),
        ends: account.ends.map(|date| Datetime {
            date: Some(toml::value::Date {
                year: date.year().unsigned_abs(),
                month: date.month().unsigned_abs(),
                day: date.day().unsigned_abs(),
            }),
            time: None,
            offset: None,
        }),
        active: (!account.active).then_some(false),
    }
}
