//! Whether a value that leaked is what somebody was shown, by the hashes in the ledger.
//!
//! The value comes on the standard input, so that it stands in no list of processes and in no
//! shell's history; it is compared and forgotten. The question is an entry before it is answered.

use std::{fmt, io::Read as _, path::Path};

use anyhow::{Context as _, bail};
use postern_ledger::{DamageKind, IndexError, SawError, Told, ValueQuestion, saw_value as saw};
use postern_model::{Actor, Secret, Subject, Timestamp};
use serde::Serialize;

use super::{folder, recorded::record};
use crate::{
    cli::{AskArgs, SawValueArgs},
    control::Asked,
    ui::{self, Outcome, Progress},
};

/// The longest value that is read.
const VALUE_BYTES_MAX: u64 = 16 << 20;

pub(super) fn saw_value(config: &Path, args: SawValueArgs) -> anyhow::Result<Outcome> {
    let SawValueArgs { subject, actor, asked } = args;
    let AskArgs { since, until, ledger, scan, json } = asked;
    let given = ledger.is_some();
    let ledger = folder(config, ledger)?;
    let forms = forms(&value()?);
    let asked = Asked::about(actor.as_deref(), Some(&subject));
    let micros = |time: Timestamp| time.0;
    let asked = Asked { since: since.map(micros), until: until.map(micros), ..asked };
    // Nor can an index be made where the question can't be recorded.
    let scan = record(config, &ledger, given, asked)?.is_none() || scan;
    let (subject, actor) = (Subject::new(subject), actor.map(Actor::new));
    let question = ValueQuestion { subject, actor, since, until, forms };
    let mut bar = Progress::new("entries");
    let answer = saw(&ledger, &question, scan, &mut |done, all| bar.at(done, all));
    bar.end();
    let (told, past_retention) = match answer {
        Err(SawError::Index(IndexError::Damaged(damage)))
            if !matches!(damage.kind, DamageKind::Unreadable(_)) =>
        {
            ui::failure(&anyhow::Error::from(damage).context("the ledger does not hold"));
            return Ok(Outcome::No);
        }
        other => other?,
    };
    for told in &told {
        let line = Line::of(told);
        if json { ui::json(&line)? } else { ui::result(line)? }
    }
    if told.is_empty() {
        ui::hint("nothing of this customer was shown in clear");
    } else if told.iter().any(|told| !told.unknown.is_empty()) {
        ui::hint("where it is not known what was shown it may have been this value, too");
    }
    if let Some(until) = past_retention.filter(|until| since.is_none_or(|since| since < *until)) {
        ui::warning(format!(
            "before {until} the ledger is past retention: what was shown then can't be said any \
             more"
        ));
    }
    let found = told.iter().any(|told| !told.same.is_empty());
    Ok(if found { Outcome::Yes } else { Outcome::No })
}

/// The value on the standard input, without the line end that a shell puts behind it.
fn value() -> anyhow::Result<Secret<Vec<u8>>> {
    let mut value = Vec::new();
    let mut input = std::io::stdin().lock().take(VALUE_BYTES_MAX + 1);
    input.read_to_end(&mut value).context("the value can't be read from the standard input")?;
    if value.len() as u64 > VALUE_BYTES_MAX {
        bail!("the value on the standard input is longer than 16 MiB");
    }
    if value.ends_with(b"\n") {
        value.pop();
    }
    Ok(Secret::new(value))
}

/// The value as text, and as clients may have had it sent in the binary format where that can be
/// told from the text alone.
fn forms(value: &Secret<Vec<u8>>) -> Vec<Secret<Vec<u8>>> {
    let mut forms = vec![value.expose().clone()];
    if let Ok(text) = std::str::from_utf8(value.expose()) {
        // int2, int4, int8 and bool.
        forms.extend(text.parse().map(|number: i16| number.to_be_bytes().to_vec()));
        forms.extend(text.parse().map(|number: i32| number.to_be_bytes().to_vec()));
        forms.extend(text.parse().map(|number: i64| number.to_be_bytes().to_vec()));
        forms.extend(matches!(text, "t" | "f").then(|| vec![u8::from(text == "t")]));
        forms.extend(uuid(text));
        forms.extend(date(text));
        // jsonb: its version, then the text.
        forms.push([&[1], value.expose().as_slice()].concat());
    }
    forms.into_iter().map(Secret::new).collect()
}

fn uuid(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'-').collect();
    let digits = std::str::from_utf8(&digits).ok().filter(|digits| digits.len() == 32)?;
    Some(u128::from_str_radix(digits, 16).ok()?.to_be_bytes().to_vec())
}

/// A date is sent as days from 2000 on.
fn date(text: &str) -> Option<Vec<u8>> {
    const DAY: i64 = 86_400_000_000;
    let days = |text: &str| {
        let time = postern_feed::parse_time(&format!("{text}T00:00:00Z")).ok()?;
        Some(time.0.div_euclid(DAY))
    };
    let days = days(text)? - days("2000-01-01")?;
    Some(i32::try_from(days).ok()?.to_be_bytes().to_vec())
}

/// What an entry says, as it is printed; version 1 of the JSON form.
#[derive(Debug, Serialize)]
struct Line {
    version: u32,
    /// The entry that says so.
    sequence: u64,
    time: String,
    actor: String,
    relation: String,
    /// Columns in which the value stood.
    same: Vec<String>,
    /// Columns in which another stood.
    other: Vec<String>,
    /// Columns of which that is not known.
    unknown: Vec<String>,
}

impl Line {
    fn of(told: &Told) -> Self {
        let Told { sequence, time, actor, relation, same, other, unknown } = told;
        let texts = |texts: &[std::sync::Arc<str>]| texts.iter().map(ToString::to_string).collect();
        Self {
            version: 1,
            sequence: *sequence,
            time: time.to_string(),
            actor: actor.to_string(),
            relation: relation.to_string(),
            same: texts(same),
            other: texts(other),
            unknown: texts(unknown),
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sequence, time, actor, relation, same, other, unknown, .. } = self;
        write!(f, "{sequence:>8}  {time}  {actor:<12}  {relation}:")?;
        let parts = [("it was", same), ("another was", other), ("not known of", unknown)];
        let parts = parts.into_iter().filter(|(_, columns)| !columns.is_empty());
        for (number, (what, columns)) in parts.enumerate() {
            let comma = if number == 0 { "" } else { "," };
            let columns = columns.join(" ");
            write!(f, "{comma} {what} {columns}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_looked_for_as_the_server_may_have_sent_it() {
        let of = |text: &str| {
            let forms = forms(&Secret::new(text.into()));
            forms.iter().map(|form| form.expose().clone()).collect::<Vec<_>>()
        };
        assert_eq!(of("Ana"), [b"Ana".to_vec(), b"\x01Ana".to_vec()]);
        assert!(of("-2").contains(&vec![0xff, 0xfe]));
        assert!(of("70000").contains(&vec![0, 1, 17, 112]) && of("70000").len() == 4);
        // SELECT date_send('1985-03-04'), uuid_send('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11')
        assert!(of("1985-03-04").contains(&vec![0xff, 0xff, 0xea, 0xd8]));
        let uuid = of("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11");
        assert!(uuid.iter().any(|form| form.starts_with(&[0xa0, 0xee, 0xbc, 0x99, 0x9c])));
    }
}
