//! The ledger for those who don't have it: proofs of single entries, and tiles.

use std::{fs, path::Path};

use anyhow::Context as _;
use postern_ledger::{
    DamageKind, ProveError, Proved, ProvedRange, PublishError, RangeError, RangeQuestion,
    VerifyingKey, check_proof, check_range, is_range_proof, prove, prove_range, publish as tiles,
};
use postern_model::Timestamp;
use serde::Serialize;

use super::line::Line;
use crate::{
    cli::CheckProofArgs,
    ui::{self, Outcome, Progress},
};

/// A verifier key from a file.
pub(in crate::commands) fn key(path: &Path) -> anyhow::Result<VerifyingKey> {
    let text = read(path)?;
    VerifyingKey::parse(text.trim_end())
        .with_context(|| format!("`{}` holds no key", path.display()))
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("can't read `{}`", path.display()))
}

/// Proves an entry; that somebody has the proof is recorded by `record` before it is given.
pub(super) fn make(
    folder: &Path,
    sequence: u64,
    out: Option<&Path>,
    record: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<Outcome> {
    let mut bar = Progress::new("entries");
    let made = prove(folder, sequence, &mut |done, all| bar.at(done, all));
    bar.end();
    if made.is_ok() {
        record()?;
    }
    give(made, out)
}

/// The proof that some entries are all of an account.
pub(super) fn make_range(
    folder: &Path,
    question: &RangeQuestion,
    out: Option<&Path>,
) -> anyhow::Result<Outcome> {
    let mut bar = Progress::new("entries, which are read twice");
    let made = prove_range(folder, question, &mut |done, all| bar.at(done, all));
    bar.end();
    give(made, out)
}

fn give(made: Result<String, ProveError>, out: Option<&Path>) -> anyhow::Result<Outcome> {
    let proof = match made {
        Ok(proof) => proof,
        Err(ProveError::Damaged(damage)) if matches!(damage.kind, DamageKind::Unreadable(_)) => {
            return Err(damage.into());
        }
        Err(error) => {
            ui::failure(&error.into());
            return Ok(Outcome::No);
        }
    };
    match out {
        Some(path) => {
            fs::write(path, proof).with_context(|| format!("can't write `{}`", path.display()))?;
        }
        None => ui::result(proof.trim_end())?,
    }
    Ok(Outcome::Yes)
}

/// What `ledger check-proof --json` prints; version 1.
#[derive(Debug, Serialize)]
struct Verdict {
    version: u32,
    holds: bool,
    ledger: Option<String>,
    entry: Option<u64>,
    time: Option<String>,
    kind: Option<&'static str>,
    /// How many entries the checkpoint covers.
    signed: Option<u64>,
    why: Option<String>,
}

pub(super) fn check(args: &CheckProofArgs) -> anyhow::Result<Outcome> {
    let (key, text) = (key(&args.key)?, read(&args.proof)?);
    if is_range_proof(&text) {
        return check_all(&text, &key, args.json);
    }
    match check_proof(&text, &key) {
        Ok(proved) if args.json => ui::json(&verdict(Ok(proved)))?,
        Ok(Proved { sequence, time, kind, origin, signed }) => ui::result(format!(
            "entry {sequence} of `{origin}`, {kind} at {time}, is one of the first {signed}, which \
             its key signed"
        ))?,
        Err(error) => {
            if args.json {
                ui::json(&verdict(Err(error.to_string())))?;
            }
            ui::failure(&error.into());
            return Ok(Outcome::No);
        }
    }
    Ok(Outcome::Yes)
}

/// What `ledger check-proof --json` prints of a range; version 1.
#[derive(Debug, Serialize)]
struct RangeVerdict {
    version: u32,
    holds: bool,
    ledger: Option<String>,
    account: Option<String>,
    since: Option<String>,
    until: Option<String>,
    /// How many entries the ledger has of that time, whoever's.
    among: Option<u64>,
    entries: Vec<Line>,
    signed: Option<u64>,
    why: Option<String>,
}

fn check_all(text: &str, key: &VerifyingKey, json: bool) -> anyhow::Result<Outcome> {
    let checked = check_range(text, key);
    if json {
        ui::json(&range_verdict(&checked))?;
    }
    let range = match checked {
        Ok(range) => range,
        Err(error) => {
            ui::failure(&anyhow::Error::from(error).context("the proof does not hold"));
            return Ok(Outcome::No);
        }
    };
    if !json {
        range.entries.iter().try_for_each(|entry| ui::result(Line::of(entry)))?;
        let bound = |time: Option<Timestamp>, none: &str| {
            time.map_or_else(|| none.to_owned(), |time| time.to_string())
        };
        ui::result(format!(
            "these {} are all entries of {} in `{}` from {} to {}, among {} of all accounts",
            range.entries.len(),
            range.actor,
            range.origin,
            bound(range.since, "the beginning"),
            bound(range.until, &format!("entry {}", range.signed)),
            range.end - range.first
        ))?;
    }
    Ok(Outcome::Yes)
}

fn range_verdict(checked: &Result<ProvedRange, RangeError>) -> RangeVerdict {
    let range = checked.as_ref().ok();
    RangeVerdict {
        version: 1,
        holds: range.is_some(),
        ledger: range.map(|range| range.origin.clone()),
        account: range.map(|range| range.actor.to_string()),
        since: range.and_then(|range| range.since).map(|time| time.to_string()),
        until: range.and_then(|range| range.until).map(|time| time.to_string()),
        among: range.map(|range| range.end - range.first),
        entries: range.iter().flat_map(|range| &range.entries).map(Line::of).collect(),
        signed: range.map(|range| range.signed),
        why: checked.as_ref().err().map(ToString::to_string),
    }
}

fn verdict(result: Result<Proved, String>) -> Verdict {
    let (proved, why) = match result {
        Ok(proved) => (Some(proved), None),
        Err(why) => (None, Some(why)),
    };
    Verdict {
        version: 1,
        holds: proved.is_some(),
        ledger: proved.as_ref().map(|proved| proved.origin.clone()),
        entry: proved.as_ref().map(|proved| proved.sequence),
        time: proved.as_ref().map(|proved| proved.time.to_string()),
        kind: proved.as_ref().map(|proved| proved.kind),
        signed: proved.as_ref().map(|proved| proved.signed),
        why,
    }
}

pub(super) fn publish(folder: &Path, to: &Path) -> anyhow::Result<Outcome> {
    let mut bar = Progress::new("entries");
    let published = tiles(folder, to, &mut |done, all| bar.at(done, all));
    bar.end();
    match published {
        Ok(published) => {
            ui::result(format!(
                "`{}` has {} entries; {} files were written",
                to.display(),
                published.entries,
                published.files
            ))?;
            Ok(Outcome::Yes)
        }
        Err(error @ PublishError::Io { .. }) => Err(error.into()),
        Err(error) => {
            ui::failure(&error.into());
            Ok(Outcome::No)
        }
    }
}
