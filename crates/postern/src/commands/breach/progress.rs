//! What has been done about a breach: lines that are only ever added to.

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use anyhow::{Context as _, bail};
use postern_model::{Clock as _, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    cli::{BreachDoneArgs, BreachStatusArgs, Told},
    clock::SystemClock,
    control::os_user,
    ui::{self, Outcome},
};

pub(super) const DUTIES: &str = "deadlines.json";
const PROGRESS: &str = "progress.jsonl";

/// Somebody who has to be told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Due {
    pub(super) rules: String,
    pub(super) told: Told,
    pub(super) who: String,
    /// Persons under these rules at most: seen and possible.
    pub(super) persons: u64,
    /// `None` where the law names no time.
    pub(super) due: Option<String>,
    pub(super) says: String,
    pub(super) source: String,
    pub(super) written: String,
    /// In microseconds since 1970.
    pub(super) due_us: Option<i64>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Step {
    at: String,
    by: String,
    told: Told,
    rules: String,
    /// `None`: all of them.
    persons: Option<u64>,
    note: String,
}

/// How it stands with one who has to be told.
#[derive(Debug, Serialize)]
struct Standing {
    #[serde(rename = "rules")]
    rules: String,
    told: Told,
    persons: u64,
    done: u64,
    state: &'static str,
    due: Option<String>,
}

pub(super) fn done(args: &BreachDoneArgs) -> anyhow::Result<Outcome> {
    let duties = duties(&args.folder)?;
    if !duties.iter().any(|duty| duty.rules == args.rules && duty.told == args.told) {
        let known: Vec<&str> = duties.iter().map(|duty| duty.rules.as_str()).collect();
        bail!("nobody is told by the rules `{}`; there are: {}", args.rules, known.join(", "));
    }
    let step = Step {
        at: SystemClock.now().to_string(),
        by: os_user(),
        told: args.told,
        rules: args.rules.clone(),
        persons: args.persons,
        note: args.note.clone(),
    };
    let path = args.folder.join(PROGRESS);
    let at = || format!("can't write `{}`", path.display());
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o600);
    let mut file = options.open(&path).with_context(at)?;
    let line = serde_json::to_string(&step)? + "\n";
    file.write_all(line.as_bytes()).with_context(at)?;
    file.sync_all().with_context(at)?;
    ui::result("noted")?;
    Ok(Outcome::Yes)
}

pub(super) fn status(args: &BreachStatusArgs) -> anyhow::Result<Outcome> {
    let steps = steps(&args.folder)?;
    let now = SystemClock.now();
    let standings: Vec<Standing> =
        duties(&args.folder)?.iter().map(|duty| standing(duty, &steps, now)).collect();
    if args.json {
        ui::result(serde_json::to_string(&standings)?)?;
    } else {
        let lines = standings.iter().map(|of| {
            let whom = match of.told {
                Told::Authority => "authority".to_owned(),
                Told::Persons => format!("persons, {} of {}", of.done, of.persons),
            };
            let due = of.due.as_deref().unwrap_or("no fixed time");
            format!("{} {whom}: {}, {due}", of.rules, of.state)
        });
        ui::result(lines.collect::<Vec<_>>().join("\n"))?;
    }
    let late = standings.iter().any(|of| of.state == "late");
    Ok(if late { Outcome::No } else { Outcome::Yes })
}

fn standing(duty: &Due, steps: &[Step], now: Timestamp) -> Standing {
    let own: Vec<&Step> =
        steps.iter().filter(|s| s.told == duty.told && s.rules == duty.rules).collect();
    let all = own.iter().any(|step| step.persons.is_none());
    let some: u64 = own.iter().filter_map(|step| step.persons).sum();
    let done = if all { duty.persons } else { some.min(duty.persons) };
    let is_done = all || (duty.told == Told::Persons && some >= duty.persons);
    let state = match (is_done, duty.due_us) {
        (true, _) => "done",
        (false, Some(due)) if due < now.0 => "late",
        (false, _) => "open",
    };
    let (rules, due) = (duty.rules.clone(), duty.due.clone());
    Standing { rules, told: duty.told, persons: duty.persons, done, state, due }
}

fn duties(folder: &Path) -> anyhow::Result<Vec<Due>> {
    let path = folder.join(DUTIES);
    let at = || format!("`{}` is no folder of `postern breach open`", folder.display());
    let text = fs::read_to_string(&path).with_context(at)?;
    serde_json::from_str(&text).with_context(at)
}

fn steps(folder: &Path) -> anyhow::Result<Vec<Step>> {
    let path = folder.join(PROGRESS);
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        text => text.with_context(|| format!("can't read `{}`", path.display()))?,
    };
    let step = |(number, line): (usize, &str)| {
        serde_json::from_str(line)
            .with_context(|| format!("`{}`, line {}", path.display(), number + 1))
    };
    text.lines().enumerate().map(step).collect()
}
