//! The ledger for those who don't have it: proofs of single entries, and tiles.

use std::{fs, path::Path};

use anyhow::Context as _;
use postern_ledger::{
    Basis, DamageKind, ProveError, Proved, ProvedRange, PublishError, Quorum, RangeError,
    RangeQuestion, VerifyingKey, check_proof, check_range, check_witnessed_proof,
    check_witnessed_range, cosigned, is_range_proof, prove, prove_range, publish as tiles,
};
use postern_model::Timestamp;
use serde::Serialize;

use super::{line::Line, quorum};
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
    (sequence, basis): (u64, Basis),
    out: Option<&Path>,
    record: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<Outcome> {
    let mut bar = Progress::new("entries");
    let made = prove(folder, sequence, basis, &mut |done, all| bar.at(done, all));
    bar.end();
    if made.is_ok() {
        record()?;
    }
    give(folder, made, out)
}

/// The proof that some entries are all of an account.
pub(super) fn make_range(
    folder: &Path,
    question: &RangeQuestion,
    basis: Basis,
    out: Option<&Path>,
) -> anyhow::Result<Outcome> {
    let mut bar = Progress::new("entries, which are read twice");
    let made = prove_range(folder, question, basis, &mut |done, all| bar.at(done, all));
    bar.end();
    give(folder, made, out)
}

fn give(
    folder: &Path,
    made: Result<String, ProveError>,
    out: Option<&Path>,
) -> anyhow::Result<Outcome> {
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
    say_if_unwitnessed(folder, &proof)?;
    match out {
        Some(path) => {
            fs::write(path, proof).with_context(|| format!("can't write `{}`", path.display()))?;
        }
        None => ui::result(proof.trim_end())?,
    }
    Ok(Outcome::Yes)
}

/// Says of a proof that no witness vouches for it, where others might.
fn say_if_unwitnessed(folder: &Path, proof: &str) -> anyhow::Result<()> {
    let signatures = proof.lines().filter(|line| line.starts_with("\u{2014} ")).count();
    if signatures == 1 && cosigned(folder)?.is_some() {
        ui::hint(
            "witnesses have not seen all that is asked for, so the proof has no cosignatures; \
             --witnessed asks for what they have seen",
        );
    }
    Ok(())
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
    /// When enough of the witnesses who were named had seen them; not there if none were.
    #[serde(skip_serializing_if = "Option::is_none")]
    witnessed: Option<String>,
    why: Option<String>,
}

pub(super) fn check(args: CheckProofArgs) -> anyhow::Result<Outcome> {
    let (key, text) = (key(&args.key)?, read(&args.proof)?);
    let quorum = quorum(args.witness, args.enough)?;
    if is_range_proof(&text) {
        return check_all(&text, &key, quorum.as_ref(), args.json);
    }
    let checked = match &quorum {
        Some(quorum) => check_witnessed_proof(&text, &key, quorum),
        None => check_proof(&text, &key),
    };
    match checked {
        Ok(proved) if args.json => ui::json(&verdict(Ok(proved)))?,
        Ok(Proved { sequence, time, kind, origin, signed, witnessed }) => ui::result(format!(
            "entry {sequence} of `{origin}`, {kind} at {time}, is one of the first {signed}, which \
             its key signed{}",
            seen(witnessed)
        ))?,
        Err(error) => {
            if args.json {
                ui::json(&verdict(Err(chain(&error))))?;
            }
            ui::failure(&error.into());
            return Ok(Outcome::No);
        }
    }
    Ok(Outcome::Yes)
}

/// That witnesses have seen it, as words to add.
fn seen(witnessed: Option<u64>) -> String {
    let words = |time| format!(" and enough witnesses had seen by {time}");
    witnessed.map(at).map(words).unwrap_or_default()
}

/// The time of a cosignature.
fn at(seconds: u64) -> Timestamp {
    Timestamp(i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000))
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let cause = error.source().map(|cause| format!(": {}", chain(cause)));
    format!("{error}{}", cause.unwrap_or_default())
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
    /// When enough of the witnesses who were named had seen them; not there if none were.
    #[serde(skip_serializing_if = "Option::is_none")]
    witnessed: Option<String>,
    why: Option<String>,
}

fn check_all(
    text: &str,
    key: &VerifyingKey,
    quorum: Option<&Quorum>,
    json: bool,
) -> anyhow::Result<Outcome> {
    let checked = match quorum {
        Some(quorum) => check_witnessed_range(text, key, quorum),
        None => check_range(text, key),
    };
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
            "these {} are all entries of {} in `{}` from {} to {}, among {} of all accounts{}",
            range.entries.len(),
            range.actor,
            range.origin,
            bound(range.since, "the beginning"),
            bound(range.until, &format!("entry {}", range.signed)),
            range.end - range.first,
            range.witnessed.map_or_else(String::new, |seconds| format!(
                "; enough witnesses had seen the first {} entries by {}",
                range.signed,
                at(seconds)
            ))
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
        witnessed: range.and_then(|range| range.witnessed).map(|time| at(time).to_string()),
        why: checked.as_ref().err().map(|error| chain(error)),
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
        witnessed: proved.as_ref().and_then(|it| it.witnessed).map(|time| at(time).to_string()),
        why,
    }
}

pub(super) fn publish(folder: &Path, to: &Path, basis: Basis) -> anyhow::Result<Outcome> {
    let mut bar = Progress::new("entries");
    let published = tiles(folder, to, basis, &mut |done, all| bar.at(done, all));
    bar.end();
    match published {
        Ok(published) => {
            ui::result(format!(
                "`{}` has {} entries; {} files were written",
                to.display(),
                published.entries,
                published.files
            ))?;
            if published.unwitnessed > 0 && cosigned(folder)?.is_some() {
                ui::hint(format!(
                    "the ledger has {} entries that witnesses have not seen; --newest publishes \
                     them, too",
                    published.unwitnessed
                ));
            }
            Ok(Outcome::Yes)
        }
        Err(error @ PublishError::Io { .. }) => Err(error.into()),
        Err(error) => {
            ui::failure(&error.into());
            Ok(Outcome::No)
        }
    }
}
