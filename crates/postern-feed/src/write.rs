//! Events, findings and traces as files.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use postern_model::{Event, Finding, Subject, Timestamp};
use postern_trace::{Details, Scale, Trace};
use serde::Serialize;
use thiserror::Error;

use crate::{Source, line};

#[cfg(test)]
mod tests;

/// Why something could not be written.
#[derive(Debug, Error)]
pub enum WriteError {
    #[error("cannot write `{path}`")]
    File { path: PathBuf, source: io::Error },
    #[error("cannot write")]
    Io(#[from] io::Error),
    #[error("has no JSON form")]
    Json(#[from] serde_json::Error),
    #[error("an event of {ts} came after one of {reached} in `{file}`, which is ordered by time")]
    OutOfOrder { file: &'static str, ts: Timestamp, reached: Timestamp },
}

/// Writes events into a folder of feeds: one plain `.jsonl` file per source, made with the first
/// event of that source.
#[derive(Debug)]
pub struct EventWriter {
    folder: PathBuf,
    files: BTreeMap<Source, (BufWriter<File>, Timestamp)>,
}

impl EventWriter {
    /// Writes into this folder, which must be there; files of the same names are replaced.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), files: BTreeMap::new() }
    }

    /// Appends an event that was seen when the event itself says.
    ///
    /// # Errors
    /// If it is older than the one before it in its file, or the file can't be written.
    pub fn write(&mut self, event: &Event) -> Result<(), WriteError> {
        self.write_late(event, event.seen())
    }

    /// Appends an event that was seen at `seen`.
    ///
    /// # Errors
    /// As [`EventWriter::write`].
    pub fn write_late(&mut self, event: &Event, seen: Timestamp) -> Result<(), WriteError> {
        let ts = event.ts();
        let (source, mut text) = line::print(event, seen)?;
        text.push('\n');
        let path = self.folder.join(format!("{}.jsonl", source.as_str()));
        let at = |error| WriteError::File { path: path.clone(), source: error };
        let (file, reached) = match self.files.entry(source) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert((BufWriter::new(File::create(&path).map_err(at)?), ts))
            }
        };
        if ts < *reached {
            return Err(WriteError::OutOfOrder { file: source.as_str(), ts, reached: *reached });
        }
        *reached = ts;
        file.write_all(text.as_bytes()).map_err(at)
    }

    /// Writes out what is still buffered.
    ///
    /// # Errors
    /// If a file can't be written.
    pub fn finish(self) -> Result<(), WriteError> {
        for (source, (mut file, _)) in self.files {
            let path = self.folder.join(format!("{}.jsonl", source.as_str()));
            file.flush().map_err(|error| WriteError::File { path, source: error })?;
        }
        Ok(())
    }
}

#[derive(Serialize)]
struct FindingLine<'a> {
    ts: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actors: Option<Vec<&'a str>>,
    kind: &'a str,
    severity: &'a str,
    alert: bool,
    score: f64,
    subjects_at_risk: usize,
    evidence: &'a [String],
    why: &'a str,
}

/// Writes findings, one a line, in the form of `findings.jsonl`.
///
/// # Errors
/// If the output can't be written.
pub fn write_findings<'a>(
    findings: impl IntoIterator<Item = &'a Finding>,
    mut out: impl Write,
) -> Result<(), WriteError> {
    for finding in findings {
        let names: Vec<&str> = finding.actors.iter().map(postern_model::Actor::as_str).collect();
        let (actor, actors) = match names.as_slice() {
            [one] => (Some(*one), None),
            _ => (None, Some(names)),
        };
        let line = FindingLine {
            ts: finding.time.to_string(),
            actor,
            actors,
            kind: &finding.kind,
            severity: finding.severity.as_str(),
            alert: finding.alert,
            score: finite(finding.score),
            subjects_at_risk: finding.subjects_at_risk,
            evidence: &finding.evidence,
            why: &finding.why,
        };
        serde_json::to_writer(&mut out, &line)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// JSON knows no infinity, and not every reader of it the whole range of a double.
fn finite(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value.clamp(-1e300, 1e300) }
}

#[derive(Serialize)]
struct TraceObject<'a> {
    verdict: &'a str,
    actors: Vec<&'a str>,
    suspects: Vec<SuspectObject<'a>>,
    others: Vec<OtherObject>,
    rows: RowsObject,
    window: Option<[String; 2]>,
    evidence: &'a [String],
    why: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<DetailsObject<'a>>,
    unmet: Vec<&'static str>,
    would_decide: &'a [String],
}

#[derive(Serialize)]
struct SuspectObject<'a> {
    actor: &'a str,
    probability: f64,
    likelihood_ratio: f64,
    scale: &'static str,
    matched: usize,
}

#[derive(Serialize)]
struct DetailsObject<'a> {
    contributions: BTreeMap<&'static str, f64>,
    speak_for: Vec<&'a str>,
    speak_against: Vec<&'a str>,
    fields: BTreeMap<&'static str, FieldObject>,
    claims: BTreeMap<&'a str, usize>,
    unexplained: usize,
    at_risk: Vec<&'a str>,
}

#[derive(Serialize)]
struct FieldObject {
    agree: usize,
    differ: usize,
}

#[derive(Serialize)]
struct OtherObject {
    source: String,
    probability: f64,
}

#[derive(Serialize)]
struct RowsObject {
    list: usize,
    resolved: usize,
    matched: usize,
}

/// Writes the object that `postern trace --json` prints, and the end of the line.
///
/// # Errors
/// If the output can't be written.
pub fn write_trace(trace: &Trace, mut out: impl Write) -> Result<(), WriteError> {
    let suspects = trace.suspects.iter().map(|suspect| SuspectObject {
        actor: suspect.actor.as_str(),
        probability: suspect.probability,
        likelihood_ratio: finite(suspect.log_likelihood_ratio.exp()),
        scale: Scale::of(suspect.log_likelihood_ratio).as_str(),
        matched: suspect.matched,
    });
    let others = trace.others.iter().map(|other| OtherObject {
        source: other.source.to_string(),
        probability: other.probability,
    });
    let object = TraceObject {
        verdict: trace.verdict.as_str(),
        actors: trace.actors.iter().map(postern_model::Actor::as_str).collect(),
        suspects: suspects.collect(),
        others: others.collect(),
        rows: RowsObject {
            list: trace.rows.list,
            resolved: trace.rows.resolved,
            matched: trace.rows.matched,
        },
        window: trace.window.map(|(from, to)| [from.to_string(), to.to_string()]),
        evidence: &trace.evidence,
        why: &trace.why,
        details: trace.details.as_ref().map(details),
        unmet: trace.details.as_ref().map_or_else(Vec::new, conditions),
        would_decide: &trace.decide,
    };
    serde_json::to_writer(&mut out, &object)?;
    out.write_all(b"\n")?;
    Ok(())
}

fn conditions(details: &Details) -> Vec<&'static str> {
    details.unmet.iter().map(|condition| condition.as_str()).collect()
}

fn details(details: &Details) -> DetailsObject<'_> {
    let field = |(name, agree, differ): &(&'static str, usize, usize)| {
        (*name, FieldObject { agree: *agree, differ: *differ })
    };
    let finite = |(kind, log): &(&'static str, f64)| (*kind, finite(*log));
    DetailsObject {
        contributions: details.contributions.iter().map(finite).collect(),
        speak_for: details.speak_for.iter().map(Subject::as_str).collect(),
        speak_against: details.speak_against.iter().map(Subject::as_str).collect(),
        fields: details.fields.iter().map(field).collect(),
        claims: details.claims.iter().map(|(ticket, count)| (ticket.as_str(), *count)).collect(),
        unexplained: details.unexplained,
        at_risk: details.at_risk.iter().map(Subject::as_str).collect(),
    }
}
