//! Examples that a rule must match, and such that it must not: the tests of rules.
//!
//! An example is a few events in the form of the feeds, given to the rules alone and in order. What
//! a line has to have and the example does not name is filled in, so that it shows what matters.

use std::collections::BTreeSet;

use postern_feed::{Source, event_line, parse_event};
use postern_model::{Event, Timestamp};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::{Rules, RulesError, Text};

/// The moment of an example's first event, unless it says another: a Tuesday, at noon.
const BEGIN: i64 = 1_767_700_800;

/// A file of examples.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    example: Vec<Example>,
}

/// Events, and what a rule is to say of them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// What it shows, in a sentence.
    pub what: String,
    /// The rule's id.
    pub rule: String,
    /// Whether the rule has to match at one of the events, or must not at any.
    pub matches: bool,
    /// Objects of the feeds, each with its file's name as `source`.
    pub events: Vec<Map<String, Value>>,
}

/// Why a file of examples can't be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ExamplesError {
    #[error("{file}: {why}")]
    Form { file: String, why: String },
    #[error("{file}: example \"{what}\": there is no rule `{rule}`")]
    Rule { file: String, what: String, rule: String },
    #[error("{file}: example \"{what}\", event {number}: {why}")]
    Event { file: String, what: String, number: usize, why: String },
    #[error(transparent)]
    Rules(#[from] RulesError),
}

/// An example in which a rule says something else than it has to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub file: String,
    pub what: String,
    pub rule: String,
    /// What was wanted of it.
    pub matches: bool,
}

/// What came of the examples.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Examples {
    pub passed: usize,
    pub failures: Vec<Failure>,
    /// Rules that no example has to match.
    pub unmatched: Vec<String>,
    /// Rules for which no example shows what they must not match.
    pub unbounded: Vec<String>,
}

impl Examples {
    /// Gives each example to rules that have seen nothing yet.
    ///
    /// # Errors
    /// If rules or examples can't be read. An example for a rule that is not there is one.
    pub fn check(rules: &[Text], files: &[Text]) -> Result<Self, ExamplesError> {
        let known = Rules::parse(rules, &BTreeSet::new())?;
        let mut checked = Self::default();
        let (mut matched, mut bounded) = (BTreeSet::new(), BTreeSet::new());
        for file in files {
            let name = || file.name.clone();
            let read: File = toml::from_str(&file.text).map_err(|error| ExamplesError::Form {
                file: name(),
                why: error.to_string().trim_end().to_owned(),
            })?;
            for example in read.example {
                let Example { what, rule, matches, .. } = example.clone();
                if !known.ids().any(|(id, _)| id == rule) {
                    return Err(ExamplesError::Rule { file: name(), what, rule });
                }
                let of = if matches { &mut matched } else { &mut bounded };
                of.insert(rule.clone());
                if try_one(rules, &example, &file.name)? == matches {
                    checked.passed += 1;
                } else {
                    checked.failures.push(Failure { file: name(), what, rule, matches });
                }
            }
        }
        let without = |of: &BTreeSet<String>| {
            let ids = known.ids().map(|(id, _)| id.to_owned());
            ids.filter(|id| !of.contains(id)).collect()
        };
        (checked.unmatched, checked.unbounded) = (without(&matched), without(&bounded));
        Ok(checked)
    }
}

/// Whether the example's rule matches at one of its events.
fn try_one(rules: &[Text], example: &Example, file: &str) -> Result<bool, ExamplesError> {
    let mut rules = Rules::parse(rules, &BTreeSet::new())?;
    let mut matched = false;
    for (number, fields) in example.events.iter().enumerate() {
        let number = number + 1;
        let bad = |why: String| ExamplesError::Event {
            file: file.to_owned(),
            what: example.what.clone(),
            number,
            why,
        };
        let (source, line) = line(fields.clone(), number).map_err(bad)?;
        let (seen, event) = parse_event(source, &line).map_err(bad)?;
        understood(fields, &event, seen).map_err(bad)?;
        matched |= rules.matches(seen, &event).contains_key(&example.rule);
    }
    Ok(matched)
}

/// Whether all that the example says is in the event: feeds pass over what they don't know, and an
/// example with a slip of the pen would show nothing.
fn understood(said: &Map<String, Value>, event: &Event, seen: Timestamp) -> Result<(), String> {
    let (_, line) = event_line(event, seen).map_err(|error| error.to_string())?;
    let read: Map<String, Value> =
        serde_json::from_str(&line).map_err(|error| error.to_string())?;
    // Times are written in another form than they may be read in, numbers too.
    let free = ["source", "ts", "seen", "seconds"];
    let lost = said.iter().find(|(key, value)| {
        !free.contains(&key.as_str()) && read.get(*key) != Some(*value) && !is_nothing(value)
    });
    lost.map_or(Ok(()), |(key, value)| Err(format!("`{key}` can't be {value}")))
}

fn is_nothing(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
}

/// A line of the feed, with what it has to have.
fn line(mut fields: Map<String, Value>, number: usize) -> Result<(Source, String), String> {
    let source = fields.remove("source");
    let name = source.as_ref().and_then(Value::as_str).unwrap_or("access");
    let source = Source::ALL.into_iter().find(|source| source.as_str() == name);
    let source = source.ok_or_else(|| format!("there is no feed `{name}`"))?;
    let seconds = i64::try_from(number).map_or(BEGIN, |number| BEGIN + number);
    let ts = Timestamp(seconds * 1_000_000).to_string();
    let filled = match source {
        Source::Access => json!({
            "ts": ts, "id": number.to_string(), "actor": "example", "session": "1",
            "statement": "0", "subjects": ["c1"], "rows": 1, "decision": "allow",
        }),
        Source::People => json!({"ts": ts, "actor": "example", "event": "role"}),
        Source::Subjects => json!({"ts": ts, "subject": "c1"}),
        Source::Tickets => json!({"ts": ts, "ticket": "t1", "event": "note"}),
        Source::Calls => json!({
            "ts": ts, "call": "1", "actor": "example", "direction": "in", "seconds": 60.0,
        }),
        Source::Approvals => {
            json!({"ts": ts, "request": "1", "event": "asked", "actor": "example"})
        }
        Source::Complaints => json!({"ts": ts, "subject": "c1", "kind": "scam_call"}),
    };
    if let Value::Object(filled) = filled {
        for (key, value) in filled {
            fields.entry(key).or_insert(value);
        }
    }
    Ok((source, Value::Object(fields).to_string()))
}
