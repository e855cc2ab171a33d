//! What must hold of the values that a statement stores.
//!
//! A plan is the same for whoever asks, and parameters come later: so what depends on the actor's
//! name or on a value is looked at each time the statement is sent. Whatever can't be told is a
//! no. Where to start: [`Checks::run`].

use std::{collections::BTreeSet, fmt};

use crate::{Refusal, check::condition::Condition};

pub(crate) mod condition;

/// What must hold of a statement's values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checks {
    checks: Vec<Check>,
}

/// A parameter's value, as the client sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameter<'a> {
    /// `None` is NULL.
    pub value: Option<&'a [u8]>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Check {
    pub(crate) rule: Rule,
    /// What the client is told where it does not hold.
    pub(crate) refusal: Refusal,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rule {
    /// The value is not the column's mask.
    NotMask { value: Given, mask: String },
    /// The value is the name of the actor.
    Actor(Given),
    /// The value is one of these.
    OneOf(Given, Vec<String>),
    /// The condition does not hold.
    Not(Condition),
}

/// A value that is given for a column of a text type.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Given {
    Null,
    Text(String),
    /// The client's parameter of that number, counted from 1.
    Parameter(usize),
    /// The session's user, which is the actor.
    Actor,
    /// The same for a column of so many characters: of what is longer the blanks at the end are
    /// cut off before it is stored (`varchar`, src/backend/utils/adt/varchar.c).
    Cut(Box<Self>, usize),
    Unknown,
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("Null"),
            Self::Text(_) => f.write_str("Text(…)"),
            Self::Parameter(number) => write!(f, "Parameter({number})"),
            Self::Actor => f.write_str("Actor"),
            Self::Cut(given, length) => write!(f, "Cut({given:?}, {length})"),
            Self::Unknown => f.write_str("Unknown"),
        }
    }
}

/// What a given value is when all parameters are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known<'a> {
    Null,
    Text(&'a [u8]),
    Unknown,
}

impl Given {
    pub(crate) fn known<'a>(&'a self, parameters: &[Parameter<'a>]) -> Known<'a> {
        match self {
            Self::Null => Known::Null,
            Self::Text(text) => Known::Text(text.as_bytes()),
            Self::Cut(given, length) => match given.known(parameters) {
                Known::Text(text) if !has_at_most(text, *length) => Known::Unknown,
                known => known,
            },
            Self::Actor | Self::Unknown => Known::Unknown,
            Self::Parameter(number) => {
                let index = number.checked_sub(1);
                match index.and_then(|index| parameters.get(index)) {
                    None => Known::Unknown,
                    Some(Parameter { value: None }) => Known::Null,
                    Some(Parameter { value: Some(value) }) => Known::Text(value),
                }
            }
        }
    }
}

/// Whether it is a text of no more characters.
fn has_at_most(text: &[u8], length: usize) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| text.chars().count() <= length)
}

/// How long a value of type `name` may be, with the byte behind it (NAMEDATALEN).
const NAME_BYTES: usize = 64;

impl Checks {
    /// Whether all hold for this actor and these parameters.
    ///
    /// # Errors
    /// What the client is to be told instead.
    pub fn run(&self, actor: &str, parameters: &[Parameter<'_>]) -> Result<(), Refusal> {
        match self.checks.iter().find(|check| !check.rule.holds(actor, parameters)) {
            None => Ok(()),
            Some(check) => Err(check.refusal.clone()),
        }
    }

    /// Whether nothing must hold.
    pub fn is_empty(&self) -> bool {
        self.checks.is_empty()
    }

    /// Parameters that must come as text: declared as `text` or `varchar`, or not declared. In
    /// another type the same bytes could mean another value than the one that is looked at.
    pub fn text_parameters(&self) -> BTreeSet<usize> {
        let mut numbers = BTreeSet::new();
        for check in &self.checks {
            match &check.rule {
                Rule::NotMask { .. } => {}
                Rule::Actor(given) | Rule::OneOf(given, _) => given.number(&mut numbers),
                Rule::Not(condition) => condition.numbers(&mut numbers),
            }
        }
        numbers
    }

    pub(crate) fn push(&mut self, rule: Rule, refusal: Refusal) {
        self.checks.push(Check { rule, refusal });
    }
}

impl Given {
    pub(crate) fn number(&self, numbers: &mut BTreeSet<usize>) {
        match self {
            Self::Parameter(number) => {
                numbers.insert(*number);
            }
            Self::Cut(given, _) => given.number(numbers),
            Self::Null | Self::Text(_) | Self::Actor | Self::Unknown => {}
        }
    }
}

impl Rule {
    fn holds(&self, actor: &str, parameters: &[Parameter<'_>]) -> bool {
        match self {
            Self::NotMask { value, mask } => {
                value.known(parameters) != Known::Text(mask.as_bytes())
            }
            // As a name it is cut off where it is longer.
            Self::Actor(Given::Actor) => actor.len() < NAME_BYTES,
            Self::Actor(given) => given.known(parameters) == Known::Text(actor.as_bytes()),
            Self::OneOf(given, values) => {
                let known = given.known(parameters);
                values.iter().any(|value| known == Known::Text(value.as_bytes()))
            }
            Self::Not(condition) => condition.fails(parameters),
        }
    }
}
