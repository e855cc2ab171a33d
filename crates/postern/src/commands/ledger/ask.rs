//! Questions to the ledger: who saw a customer, what an account saw. Each is an entry of the
//! ledger itself before it is answered.

use std::{fmt, path::Path};

use anyhow::Context as _;
use postern_ledger::{About, DamageKind, Index, IndexError, Question, Seen, answer_from_log};
use postern_model::{Actor, Subject, Timestamp};
use serde::Serialize;

use super::{folder, recorded::record};
use crate::{
    cli::{AskArgs, SeenByArgs, WhoSawArgs},
    control::Asked,
    ui::{self, Outcome, Progress},
};

pub(super) fn who_saw(config: &Path, args: WhoSawArgs) -> anyhow::Result<Outcome> {
    ask(config, About::Subject(Subject::new(args.subject)), args.asked)
}

pub(super) fn seen_by(config: &Path, args: SeenByArgs) -> anyhow::Result<Outcome> {
    ask(config, About::Actor(Actor::new(args.actor)), args.asked)
}

fn ask(config: &Path, about: About, args: AskArgs) -> anyhow::Result<Outcome> {
    let AskArgs { since, until, ledger, scan, json } = args;
    let given = ledger.is_some();
    let ledger = folder(config, ledger)?;
    let asked = match &about {
        About::Actor(actor) => Asked::about(Some(actor.as_str()), None),
        About::Subject(subject) => Asked::about(None, Some(subject.as_str())),
    };
    let micros = |time: Timestamp| time.0;
    let asked = Asked { since: since.map(micros), until: until.map(micros), ..asked };
    // Nor can an index be made where the question can't be recorded.
    let scan = record(config, &ledger, given, asked)?.is_none() || scan;
    let question = Question { about, since, until };
    let (seen, past_retention) = match answer(&ledger, &question, scan) {
        Err(IndexError::Damaged(damage)) if !matches!(damage.kind, DamageKind::Unreadable(_)) => {
            ui::failure(&anyhow::Error::from(damage).context("the ledger does not hold"));
            return Ok(Outcome::No);
        }
        other => other?,
    };
    for seen in &seen {
        let line = Line::of(seen);
        if json { ui::json(&line)? } else { ui::result(line)? }
    }
    if seen.is_empty() {
        ui::hint("there is no such entry");
    }
    if let Some(until) = past_retention.filter(|until| since.is_none_or(|since| since < *until)) {
        ui::warning(format!(
            "before {until} the ledger is past retention: who was seen then can't be said any more"
        ));
    }
    Ok(Outcome::Yes)
}

/// What was seen, and before which moment customers are not named any more.
type Answer = (Vec<Seen>, Option<Timestamp>);

fn answer(ledger: &Path, question: &Question, scan: bool) -> Result<Answer, IndexError> {
    if scan {
        return Ok(answer_from_log(ledger, question)?);
    }
    let mut bar = Progress::new("entries");
    let opened = Index::open(ledger, &mut |done, all| bar.at(done, all));
    bar.end();
    match opened {
        Ok(mut index) => {
            let seen = index.answer(question)?;
            if index.was_remade() {
                ui::warning("the index did not fit the ledger; it was made anew");
            }
            Ok((seen, index.past_retention()))
        }
        // An auditor's copy: there is nothing to seal an index with.
        Err(IndexError::NoKey) => Ok(answer_from_log(ledger, question)?),
        Err(error) => Err(error),
    }
}

/// An answer as it is printed; version 1 of the JSON form.
#[derive(Debug, Serialize)]
struct Line {
    version: u32,
    /// The entry that says so.
    sequence: u64,
    time: String,
    actor: String,
    relation: String,
    clear: Vec<String>,
    masked: Vec<String>,
    reason: Option<String>,
    grade: Option<&'static str>,
    /// The ticket that the actor named.
    ticket: Option<String>,
    subjects: Vec<String>,
    statement: String,
}

impl Line {
    fn of(seen: &Seen) -> Self {
        let Seen { sequence, time, actor, statement, claimed, group } = seen;
        let texts = |texts: &[std::sync::Arc<str>]| texts.iter().map(ToString::to_string).collect();
        Self {
            version: 1,
            sequence: *sequence,
            time: time.to_string(),
            actor: actor.to_string(),
            relation: group.relation.to_string(),
            clear: texts(&group.clear),
            masked: texts(&group.masked),
            reason: group.reason.as_ref().map(|reason| reason.name.to_string()),
            grade: group.grade().map(postern_model::Grade::as_str),
            ticket: claimed.as_ref().map(ToString::to_string),
            subjects: group.subjects.iter().map(ToString::to_string).collect(),
            statement: statement.to_string(),
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sequence, time, actor, relation, clear, masked, .. } = self;
        let whose = match self.subjects.as_slice() {
            [one] => format!("customer {one}"),
            several => format!("customers {}", several.join(" ")),
        };
        write!(f, "{sequence:>8}  {time}  {actor:<12}  {relation}: {whose}")?;
        if !clear.is_empty() {
            write!(f, ", clear {}", clear.join(" "))?;
        }
        if !masked.is_empty() {
            write!(f, ", masked {}", masked.join(" "))?;
        }
        match (&self.reason, self.grade) {
            (Some(reason), Some(grade)) => write!(f, ", for {reason} ({grade})")?,
            _ => write!(f, ", without a reason")?,
        }
        match &self.ticket {
            Some(ticket) => write!(f, ", ticket {ticket} named"),
            None => Ok(()),
        }
    }
}

/// Says before an answer that it can't be recorded, to whom has a mere copy.
pub(super) fn copy_is_not_recorded(ledger: &Path) -> anyhow::Result<bool> {
    let has_key = ledger.join("key").try_exists();
    let has_key = has_key.with_context(|| format!("can't look into `{}`", ledger.display()))?;
    if !has_key {
        ui::warning("this copy has no key, so the question can't be recorded in it");
    }
    Ok(!has_key)
}
