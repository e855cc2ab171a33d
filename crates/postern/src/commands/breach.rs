//! The breach workbench: who was affected, who has to be told until when, and with what.
//!
//! `open` reads the ledger once, and writes a folder; nothing is sent to anybody. Every account
//! that it is asked for is an entry of the ledger first. What the ledger can't know is said in the
//! draft and counted as unknown, never as nobody.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, bail, ensure};
use postern_model::{Clock as _, Timestamp};

use self::{
    affected::{Affected, Certainty},
    deadlines::{Deadlines, Rules},
    letters::Customers,
    progress::{DUTIES, Due},
};
use super::{evidence::bundle::Bundle, ledger::recorded};
use crate::{
    cli::{BreachCommand, BreachOpenArgs, BreachSnapshotArgs, Told},
    clock::SystemClock,
    config,
    control::Asked,
    files,
    ui::{self, Outcome},
};

mod affected;
mod deadlines;
mod letters;
mod progress;

/// What in-toto calls the kind of a snapshot.
const SNAPSHOT: &str = "urn:postern:breach:1";

/// All that the folder is made from.
struct Case {
    accounts: Vec<String>,
    aware: Timestamp,
    affected: Affected,
    customers: Customers,
    deadlines: Deadlines,
}

pub(crate) fn run(config: &Path, command: &BreachCommand) -> anyhow::Result<Outcome> {
    match command {
        BreachCommand::Open(args) => open(config, args),
        BreachCommand::Done(args) => progress::done(args),
        BreachCommand::Status(args) => progress::status(args),
        BreachCommand::Snapshot(args) => snapshot(config, args),
    }
}

fn open(config: &Path, args: &BreachOpenArgs) -> anyhow::Result<Outcome> {
    ensure!(!args.out.exists(), "`{}` exists; a breach is not overwritten", args.out.display());
    let now = SystemClock.now();
    let aware = args.aware.unwrap_or(now);
    ensure!(aware <= now, "nobody can have become aware at {aware}, which is to come");
    let deadlines = Deadlines::read(args.deadlines.as_deref())?;
    let customers = args.customers.as_deref().map(Customers::read).transpose()?;
    let settings = config::load(config)?.settings;
    let ledger = settings.data.ledger();
    // What is not recorded is not looked at.
    let everybody = args.account.is_empty().then_some(None);
    for account in args.account.iter().map(|account| Some(account.as_str())).chain(everybody) {
        let asked = Asked::about(account, None);
        let (since, until) = (args.since.map(|time| time.0), args.until.map(|time| time.0));
        recorded::record(config, &ledger, false, Asked { since, until, ..asked })?;
    }
    let mut affected = affected::find(&settings, args)?;
    let customers = customers.unwrap_or_default();
    for subject in customers.subjects() {
        affected.persons.entry(subject.clone()).or_default();
    }
    let case = Case { accounts: args.account.clone(), aware, affected, customers, deadlines };
    case.write(&args.out)?;
    let [seen, possible, unknown] = Certainty::ALL.map(|certainty| case.affected.count(certainty));
    ui::result(format!(
        "{seen} persons whose data was seen, {possible} whose data may have been taken, {unknown} \
         of whom nothing tells; drafts and lists are in `{}`",
        args.out.display()
    ))?;
    for (place, count) in case.sorted().1 {
        let place = if place.is_empty() { "no place".to_owned() } else { format!("`{place}`") };
        ui::warning(format!("{count} persons have {place}, for which no rules are known here"));
    }
    ui::hint("check what is due, and the drafts, with counsel");
    Ok(Outcome::Yes)
}

impl Case {
    fn write(&self, folder: &Path) -> anyhow::Result<()> {
        let at = |path: &Path| format!("can't write `{}`", path.display());
        files::private_folder(folder).with_context(|| at(folder))?;
        let mut parts: Vec<(String, Vec<u8>)> = vec![
            ("affected.csv".to_owned(), letters::affected(self)?),
            ("letters.csv".to_owned(), letters::merge(self)?),
            ("authority.md".to_owned(), letters::authority(self).into_bytes()),
            (DUTIES.to_owned(), serde_json::to_vec_pretty(&self.duties())?),
        ];
        parts.extend(letters::texts().map(|(name, text)| (name, text.as_bytes().to_vec())));
        for (name, bytes) in parts {
            let path = folder.join(name);
            let text = String::from_utf8(bytes)?;
            files::create_private(&path, &text).with_context(|| at(&path))?;
        }
        Ok(())
    }

    /// By kind of data, of how many persons it was seen, and of how many it may have been taken.
    fn kinds(&self) -> BTreeMap<&str, [usize; 2]> {
        let mut kinds: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
        for person in self.affected.persons.values() {
            for kind in person.data.keys() {
                let [seen, possible] = kinds.entry(kind).or_default();
                // Of who is in the list, only what is in it was seen.
                let is_seen = person.certainty_of(kind) == Certainty::Seen;
                *(if is_seen { seen } else { possible }) += 1;
            }
        }
        kinds
    }

    /// By place, the persons whose data was seen, and those whose data was seen or may have been
    /// taken.
    fn places(&self) -> BTreeMap<String, [usize; 2]> {
        let mut places: BTreeMap<String, [usize; 2]> = BTreeMap::new();
        for (subject, person) in &self.affected.persons {
            let certainty = person.certainty();
            if certainty == Certainty::Unknown {
                continue;
            }
            let [seen, all] = places.entry(self.customers.of(subject).jurisdiction).or_default();
            *seen += usize::from(certainty == Certainty::Seen);
            *all += 1;
        }
        places
    }

    fn sorted(&self) -> (BTreeMap<&str, usize>, BTreeMap<String, usize>) {
        let places = self.places();
        self.deadlines.sorted(places.iter().map(|(place, [_, all])| (place.as_str(), *all)))
    }

    /// The rules by which anybody has to be told.
    fn rules(&self) -> Vec<&Rules> {
        let (found, _) = self.sorted();
        self.deadlines
            .rules
            .iter()
            .filter(|rules| found.contains_key(rules.name.as_str()))
            .collect()
    }

    fn duties(&self) -> Vec<Due> {
        let (found, _) = self.sorted();
        let both = self.rules().into_iter().flat_map(|rules| {
            [Told::Authority, Told::Persons].into_iter().map(move |told| (rules, told))
        });
        let due = |(rules, told): (&Rules, Told)| {
            let duty = rules.duty(told);
            let due = duty.due(self.aware);
            Due {
                rules: rules.name.clone(),
                told,
                who: duty.who.clone(),
                persons: found.get(rules.name.as_str()).copied().unwrap_or(0) as u64,
                due: due.map(|due| due.to_string()),
                says: duty.says.clone(),
                source: rules.source.clone(),
                written: self.deadlines.written.clone(),
                due_us: due.map(|due| due.0),
            }
        };
        both.map(due).collect()
    }
}

fn snapshot(config: &Path, args: &BreachSnapshotArgs) -> anyhow::Result<Outcome> {
    let at = || format!("can't read `{}`", args.folder.display());
    if !args.folder.join(DUTIES).exists() {
        bail!("`{}` is no folder of `postern breach open`", args.folder.display());
    }
    let settings = config::load(config)?.settings;
    let mut bundle = Bundle::default();
    for file in fs::read_dir(&args.folder).with_context(at)? {
        let file = file.with_context(at)?;
        // What somebody has made of the drafts is part of it; folders are not.
        if file.file_type().with_context(at)?.is_file() {
            let name = file.file_name().into_string();
            let name = name.ok().context("a file's name is not UTF-8").with_context(at)?;
            bundle.put(&name, fs::read(file.path()).with_context(at)?);
        }
    }
    let stamped =
        bundle.write(&settings.data.ledger(), SNAPSHOT, settings.tsa.as_deref(), &args.out)?;
    if let Some(time) = stamped {
        ui::hint(format!("a time-stamping authority says that it was there at {time}"));
    }
    ui::result(format!("`{}` holds the folder as it stands, signed", args.out.display()))?;
    Ok(Outcome::Yes)
}
