//! The ledger for those who don't have it: proofs of single entries, and tiles.

use std::{fs, path::Path};

use anyhow::Context as _;
use postern_ledger::{
    DamageKind, ProveError, Proved, PublishError, VerifyingKey, check_proof, prove,
    publish as tiles,
};
use serde::Serialize;

use crate::{
    cli::CheckProofArgs,
    ui::{self, Outcome, Progress},
};

/// A verifier key from a file.
pub(super) fn key(path: &Path) -> anyhow::Result<VerifyingKey> {
    let text = read(path)?;
    VerifyingKey::parse(text.trim_end())
        .with_context(|| format!("`{}` holds no key", path.display()))
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("can't read `{}`", path.display()))
}

pub(super) fn make(folder: &Path, sequence: u64, out: Option<&Path>) -> anyhow::Result<Outcome> {
    let mut bar = Progress::new("entries");
    let made = prove(folder, sequence, &mut |done, all| bar.at(done, all));
    bar.end();
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
