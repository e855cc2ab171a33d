//! One entry as `ledger show` prints it: a line for a person, an object for a machine. Never a
//! value of a customer; the ledger has none.

use std::fmt;

use postern_ledger::{Body, CaseAct, Complained, Disclosed, Entry, Group, Note, Observed, Planted};
use postern_model::FAILED;
use serde::Serialize;

/// An entry as `ledger show` prints it; version 1 of the JSON form.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    version: u32,
    sequence: u64,
    time: String,
    /// `disclosed`, `logged_in`, `suspended`, ...
    kind: &'static str,
    /// Whose act it was, or whom it concerns.
    actors: Vec<String>,
    /// What it says, in a sentence.
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    statement: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    disclosed: Vec<Shown>,
}

/// Records that were shown in the same way for the same reason.
#[derive(Debug, Serialize)]
struct Shown {
    relation: String,
    clear: Vec<String>,
    masked: Vec<String>,
    reason: Option<String>,
    grade: Option<&'static str>,
    subjects: Vec<String>,
}

impl Line {
    pub(super) fn of(entry: &Entry) -> Self {
        let (kind, actors, what) = match &entry.body {
            Body::Disclosed(disclosed) => {
                let kind = if disclosed.observed.is_some() { "observed" } else { "disclosed" };
                (kind, vec![disclosed.actor.to_string()], sentence(disclosed))
            }
            Body::Noted(note) => noted(note),
        };
        let (statement, disclosed) = match &entry.body {
            Body::Disclosed(d) => (Some(&d.statement), d.groups.iter().map(shown).collect()),
            Body::Noted(Note::Refused { statement, .. } | Note::Opened { statement, .. }) => {
                (Some(statement), Vec::new())
            }
            Body::Noted(_) => (None, Vec::new()),
        };
        Self {
            version: 1,
            sequence: entry.sequence,
            time: entry.time.to_string(),
            kind,
            actors,
            what,
            statement: statement.map(ToString::to_string),
            disclosed,
        }
    }

    pub(super) fn concerns_actor(&self, actor: &str) -> bool {
        self.actors.iter().any(|name| name == actor)
    }

    pub(super) fn concerns_subject(&self, subject: &str) -> bool {
        self.disclosed.iter().flat_map(|shown| &shown.subjects).any(|name| name == subject)
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sequence, time, what, .. } = self;
        let actors = if self.actors.is_empty() { "-".to_owned() } else { self.actors.join("+") };
        write!(f, "{sequence:>8}  {time}  {actors:<12}  {what}")
    }
}

fn sentence(disclosed: &Disclosed) -> String {
    let mut parts: Vec<String> = disclosed.groups.iter().map(group_sentence).collect();
    for lookup in &disclosed.lookups {
        let found = if lookup.hit { "found" } else { "found nobody" };
        // With the columns in parentheses, by which it may have met somebody and failed on them.
        let failed = lookup.column.strip_prefix(FAILED);
        parts.push(match failed.and_then(|failed| failed.split_once(" (")) {
            Some((code, columns)) => format!(
                "look-up by {}.{}: failed with {code}, whether it found somebody is not known",
                lookup.relation,
                columns.trim_end_matches(')')
            ),
            None => format!("look-up by {}.{}: {found}", lookup.relation, lookup.column),
        });
    }
    if let Some(limit) = &disclosed.stopped {
        let (counter, max) = (limit.counter.as_str(), limit.max);
        parts.push(format!("stopped: {max} {counter} in {} s", limit.window.as_secs()));
    }
    parts.extend(disclosed.observed.iter().flat_map(|observed| would(observed, disclosed)));
    if parts.is_empty() { "nothing".to_owned() } else { parts.join("; ") }
}

/// What enforcement would have done, and what is not known because there was none.
fn would(observed: &Observed, disclosed: &Disclosed) -> Vec<String> {
    let mut parts = Vec::new();
    if observed.unknown {
        parts.push(format!("not enforced, what left is not known: {}", disclosed.statement));
    }
    if let Some(rule) = &observed.rule {
        parts.push(format!("enforced, it would have been refused by {rule}"));
    }
    if observed.masked > 0 {
        parts.push(format!("enforced, {} values would have been masked", observed.masked));
    }
    parts
}

fn group_sentence(group: &Group) -> String {
    let customers = match group.subjects.as_slice() {
        [one] => format!("customer {one}"),
        several => format!("{} customers", several.len()),
    };
    match &group.reason {
        Some(reason) => format!(
            "{}: {customers}, clear {} for {} ({})",
            group.relation,
            group.clear.join(" "),
            reason.name,
            reason.grade.as_str()
        ),
        None => format!("{}: {customers}, masked", group.relation),
    }
}

fn shown(group: &Group) -> Shown {
    Shown {
        relation: group.relation.to_string(),
        clear: group.clear.iter().map(ToString::to_string).collect(),
        masked: group.masked.iter().map(ToString::to_string).collect(),
        reason: group.reason.as_ref().map(|reason| reason.name.to_string()),
        grade: group.grade().map(postern_model::Grade::as_str),
        subjects: group.subjects.iter().map(ToString::to_string).collect(),
    }
}

type Said = (&'static str, Vec<String>, String);

fn case(act: &CaseAct) -> Said {
    let what = format!("case {} {}: {}", act.number, act.act, act.why);
    ("case", vec![act.by.to_string()], what)
}

fn complained(told: &Complained) -> Said {
    let Complained { by, subject, at, kind, caller, .. } = told;
    let what = format!("customer {subject} complained of {kind}, at {at}: {caller}");
    ("complained", vec![by.to_string()], what)
}

fn committed(planted: &Planted) -> Said {
    let digest: String = planted.digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let what = format!("committed to {} planted customers, {digest}…", planted.count);
    ("planted", vec![planted.by.to_string()], what)
}

fn changed((was, now): (&str, &str), who: &postern_model::Actor) -> String {
    match (was, now) {
        (was, "") => format!("removed by {who}; was {was}"),
        ("", now) => format!("added by {who}: {now}"),
        (was, now) => format!("changed by {who}: {now}; was {was}"),
    }
}

fn noted(note: &Note) -> Said {
    let by = |actor: &postern_model::Actor| vec![actor.to_string()];
    match note {
        Note::LoggedIn { actor, client, .. } => {
            ("logged_in", by(actor), format!("logged in from {client}"))
        }
        Note::LoginRefused { actor, client, why } => {
            ("login_refused", by(actor), format!("log-in from {client} refused: {why}"))
        }
        Note::LoggedOut { actor, .. } => ("logged_out", by(actor), "logged out".to_owned()),
        Note::Refused { actor, rule, .. } => {
            ("refused", by(actor), format!("statement refused by {rule}"))
        }
        Note::Suspended { actor, by: who, why } => {
            ("suspended", by(actor), format!("suspended by {who}: {why}"))
        }
        Note::Resumed { actor, by: who, why } => {
            ("resumed", by(actor), format!("resumed by {who}: {why}"))
        }
        Note::Found(found) => {
            let actors = found.actors.iter().map(ToString::to_string).collect();
            ("found", actors, format!("{} ({}): {}", found.kind, found.severity, found.why))
        }
        Note::Configured { hash, by: who } => {
            let hash: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            ("configured", by(who), format!("configuration {hash}… in force"))
        }
        Note::Started { version } => ("started", Vec::new(), format!("postern {version} started")),
        Note::Stopped => ("stopped", Vec::new(), "stopped in good order".to_owned()),
        Note::Read { by: who, what } => ("read", by(who), format!("read {what}")),
        Note::Asked { by: who, actor, subject, .. } => {
            let about = match (actor, subject) {
                (Some(actor), Some(subject)) => format!("what {actor} saw of customer {subject}"),
                (Some(actor), None) => format!("what {actor} saw"),
                (None, Some(subject)) => format!("who saw customer {subject}"),
                (None, None) => "for all entries".to_owned(),
            };
            ("asked", by(who), format!("asked the ledger {about}"))
        }
        Note::Person { actor, by: who, was, now } => {
            ("person", by(actor), changed((was, now), who))
        }
        Note::Approval { actor, by: who, act, number, subject, until, why } => {
            let what = format!("{act} by {who}: customer {subject} until {until}, {why}");
            ("approval", by(actor), format!("number {number}, {what}"))
        }
        Note::Erased { by: who, subject, why } => {
            ("erased", by(who), format!("erased customer {subject}: {why}"))
        }
        Note::Lost { by: who, entries, seen, why, .. } => {
            let what = format!("put back: entries from {entries} up to {seen} are lost: {why}");
            ("lost", by(who), what)
        }
        Note::Epoch { number, .. } => ("epoch", Vec::new(), format!("epoch {number} began")),
        Note::Forgotten { by: who, until, .. } => {
            ("forgotten", by(who), format!("past retention: customers seen before {until}"))
        }
        Note::Case(act) => case(act),
        Note::Complained(told) => complained(told),
        Note::Planted(planted) => committed(planted),
        Note::DecoyHit(hit) => {
            let what = format!("planted customer {} was contacted", hit.subject);
            ("decoy_hit", by(&hit.by), format!("{what} by {}: {}", hit.how, hit.why))
        }
        Note::Opened { actor, relation, subject, .. } => {
            let whom = subject.as_ref().map(|s| format!(" for customer {s}")).unwrap_or_default();
            ("opened", by(actor), format!("made a row of {relation}{whom}"))
        }
    }
}
