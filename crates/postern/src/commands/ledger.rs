//! Checking and reading the ledger. Both work while a gateway writes to it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use postern_ledger::{
    Basis, CosignerKey, Damage, DamageKind, Naming, Quorum, RangeQuestion, Reader, Summary, Tail,
    VerifyOptions, WITNESSED, verify,
};
use postern_model::Actor;
use serde::Serialize;

use self::{cosign::cosign, line::Line};
use crate::{
    cli::{LedgerCommand, ProveArgs, PublishArgs, ShowArgs, VerifyArgs},
    config,
    control::Asked,
    ui::{self, Outcome, Progress},
};

mod ask;
mod backup;
mod cosign;
mod erase;
mod line;
mod migrate;
mod move_segments;
mod proof;
pub(super) mod recorded;
mod retain;
mod saw;

pub(crate) use self::erase::run as erase_by;
pub(super) use self::{erase::erase, proof::key};

pub(crate) fn run(config: &Path, command: LedgerCommand) -> anyhow::Result<Outcome> {
    match command {
        LedgerCommand::Verify(args) => check(config, args),
        LedgerCommand::Show(args) => show(config, args),
        LedgerCommand::WhoSaw(args) => ask::who_saw(config, args),
        LedgerCommand::SeenBy(args) => ask::seen_by(config, args),
        LedgerCommand::SawValue(args) => saw::saw_value(config, args),
        LedgerCommand::Prove(args) => prove(config, args),
        LedgerCommand::Cosign(args) => cosign(config, args),
        LedgerCommand::CheckProof(args) => proof::check(args),
        LedgerCommand::Migrate(args) => migrate::migrate(config, args),
        LedgerCommand::Retain => retain::retain(config),
        LedgerCommand::MoveSegments(args) => move_segments::run(config, args),
        LedgerCommand::Backup(args) => backup::backup(config, args),
        LedgerCommand::Restore(args) => backup::restore(config, args),
        LedgerCommand::Publish(args) => publish(config, args),
    }
}

fn prove(config: &Path, args: ProveArgs) -> anyhow::Result<Outcome> {
    let ProveArgs { sequence, range, since, until, subjects, witnessed, ledger, out } = args;
    let basis = if witnessed { Basis::Witnessed } else { Basis::Covering };
    let given = ledger.is_some();
    let ledger = folder(config, ledger)?;
    let Some(actor) = range else {
        // The command line has one of both.
        let sequence = sequence.unwrap_or_default();
        let what = format!("proof of entry {sequence}");
        let record = || recorded::taken(config, &ledger, given, &what).map(drop);
        return proof::make(&ledger, (sequence, basis), out.as_deref(), record);
    };
    let micros = |time: postern_model::Timestamp| time.0;
    let asked = Asked::about(Some(&actor), None);
    let asked = Asked { since: since.map(micros), until: until.map(micros), ..asked };
    recorded::record(config, &ledger, given, asked)?;
    let subjects = if subjects { Naming::Texts } else { Naming::Numbers };
    let question = RangeQuestion { actor: Actor::new(actor), since, until, subjects };
    proof::make_range(&ledger, &question, basis, out.as_deref())
}

fn publish(config: &Path, args: PublishArgs) -> anyhow::Result<Outcome> {
    let PublishArgs { to, newest, ledger } = args;
    let given = ledger.is_some();
    let ledger = folder(config, ledger)?;
    // Once it is there others may have it.
    recorded::taken(config, &ledger, given, "what is published of all entries")?;
    let basis = if newest { Basis::Newest } else { Basis::Covering };
    proof::publish(&ledger, &to, basis)
}

/// Whose cosignatures have to be there, if anybody's.
fn quorum(witnesses: Vec<CosignerKey>, enough: usize) -> anyhow::Result<Option<Quorum>> {
    let quorum = (!witnesses.is_empty()).then(|| Quorum::new(witnesses, enough));
    Ok(quorum.transpose()?)
}

fn folder(config: &Path, given: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    match given {
        Some(folder) => Ok(folder),
        None => Ok(config::load(config)?.settings.data.ledger()),
    }
}

/// What `ledger verify --json` prints; version 1.
#[derive(Debug, Serialize)]
struct Verdict {
    version: u32,
    holds: bool,
    entries: Option<u64>,
    /// Entries that the ledger's own checkpoint covers.
    signed: Option<u64>,
    /// Entries that the checkpoint kept elsewhere covers.
    kept: Option<u64>,
    last: Option<String>,
    root: Option<String>,
    damage: Option<Damaged>,
    /// Entries that enough of the witnesses who were named have seen; null if none were.
    witnessed: Option<u64>,
    /// Whether something unfinished stands at the end.
    torn: Option<bool>,
    /// What an entry says is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_over: Option<LeftOver>,
}

#[derive(Debug, Serialize)]
struct LeftOver {
    file: String,
    offset: u64,
}

#[derive(Debug, Serialize)]
struct Damaged {
    what: String,
    file: String,
    offset: u64,
    entry: Option<u64>,
}

fn check(config: &Path, args: VerifyArgs) -> anyhow::Result<Outcome> {
    let folder = folder(config, args.ledger)?;
    let read = |path: PathBuf| {
        fs::read_to_string(&path).with_context(|| format!("can't read `{}`", path.display()))
    };
    let against = args.against.map(read).transpose()?;
    let key = args.key.as_deref().map(proof::key).transpose()?;
    let quorum = quorum(args.witness, args.enough)?;
    let tail = if args.closed { Tail::MustBeClean } else { Tail::MayBeTorn };
    let options = VerifyOptions { against, key, tail };
    let mut bar = Progress::new("entries");
    let result = verify(&folder, &options, &mut |progress| {
        bar.at(progress.entries, progress.signed.max(progress.entries));
    });
    bar.end();
    match result {
        Ok(summary) => {
            let witnessed = |quorum| witnessed(&folder, quorum, summary.entries);
            let witnessed = match quorum.as_ref().map(witnessed).transpose() {
                Ok(witnessed) => witnessed,
                Err(error) => {
                    if args.json {
                        ui::json(&Verdict { holds: false, ..holds(&summary) })?;
                    }
                    ui::failure(&error);
                    return Ok(Outcome::No);
                }
            };
            if args.json {
                ui::json(&Verdict { witnessed, ..holds(&summary) })?;
            } else {
                ui::result(text(&folder, &summary, witnessed))?;
            }
        }
        Err(damage) if matches!(damage.kind, DamageKind::Unreadable(_)) => {
            return Err(damage.into());
        }
        Err(damage) => {
            if args.json {
                ui::json(&broken(&damage))?;
            }
            ui::failure(&anyhow::Error::from(damage).context("the ledger does not hold"));
            return Ok(Outcome::No);
        }
    }
    Ok(Outcome::Yes)
}

/// How many entries enough of the witnesses have seen, by the checkpoint in the folder that they
/// cosigned. An error if too few have.
fn witnessed(folder: &Path, quorum: &Quorum, entries: u64) -> anyhow::Result<u64> {
    let path = folder.join(WITNESSED);
    let note = fs::read_to_string(&path).with_context(|| {
        format!("no checkpoint that witnesses cosigned can be read from `{}`", path.display())
    })?;
    quorum.demand(&note).with_context(|| {
        format!("`{}` is not cosigned by enough of the witnesses", path.display())
    })?;
    let size = note.lines().nth(1).and_then(|size| size.parse().ok());
    size.filter(|size| *size <= entries).context("what was cosigned is not here")
}

fn text(folder: &Path, summary: &Summary, witnessed: Option<u64>) -> String {
    let mut text = format!("`{}` holds: {} entries", folder.display(), summary.entries);
    if let Some(last) = summary.last {
        text.push_str(&format!(", the last of {last}"));
    }
    text.push_str(&format!("\nits checkpoint signs the first {} of them", summary.signed));
    if let Some(kept) = summary.kept {
        text.push_str(&format!(
            "\nthe checkpoint kept elsewhere covers the first {kept} and agrees"
        ));
    }
    if let Some(witnessed) = witnessed {
        text.push_str(&format!("\nenough witnesses have seen the first {witnessed}"));
    }
    text.push_str(&format!("\nroot {}", summary.root));
    if summary.torn {
        text.push_str(
            "\nan unfinished write stands at the end, as after a crash or under a writer",
        );
    }
    if let Some((file, offset)) = &summary.left_over {
        text.push_str(&format!(
            "\n`{}`, byte {offset}, has what an entry says was erased or is past retention: that \
             is under way, was cut short or undone; the next opening ends it",
            file.display()
        ));
    }
    text
}

fn holds(summary: &Summary) -> Verdict {
    Verdict {
        version: 1,
        holds: true,
        entries: Some(summary.entries),
        signed: Some(summary.signed),
        kept: summary.kept,
        last: summary.last.map(|time| time.to_string()),
        root: Some(summary.root.to_string()),
        damage: None,
        witnessed: None,
        torn: Some(summary.torn),
        left_over: summary
            .left_over
            .as_ref()
            .map(|(file, offset)| LeftOver { file: file.display().to_string(), offset: *offset }),
    }
}

fn broken(damage: &Damage) -> Verdict {
    Verdict {
        version: 1,
        holds: false,
        entries: None,
        signed: None,
        kept: None,
        last: None,
        root: None,
        witnessed: None,
        torn: None,
        damage: Some(Damaged {
            what: damage.kind.to_string(),
            file: damage.file.display().to_string(),
            offset: damage.offset,
            entry: damage.entry,
        }),
        left_over: None,
    }
}

fn show(config: &Path, args: ShowArgs) -> anyhow::Result<Outcome> {
    let given = args.ledger.is_some();
    let folder = folder(config, args.ledger)?;
    let asked = Asked::about(args.actor.as_deref(), args.subject.as_deref());
    let asked = recorded::record(config, &folder, given, asked)?;
    let mut kept = std::collections::VecDeque::new();
    for entry in Reader::open(&folder)? {
        let entry = entry?;
        // Up to the question.
        if asked.is_some_and(|asked| entry.sequence >= asked) {
            break;
        }
        let line = Line::of(&entry);
        let wanted = args.actor.as_deref().is_none_or(|actor| line.concerns_actor(actor))
            && args.subject.as_deref().is_none_or(|subject| line.concerns_subject(subject));
        if !wanted {
            continue;
        }
        match args.last {
            Some(last) => {
                kept.push_back(line);
                if kept.len() > last {
                    kept.pop_front();
                }
            }
            None => print(&line, args.json)?,
        }
    }
    kept.iter().try_for_each(|line| print(line, args.json))?;
    Ok(Outcome::Yes)
}

fn print(line: &Line, json: bool) -> anyhow::Result<()> {
    if json { ui::json(line) } else { Ok(ui::result(line)?) }
}
