//! Planted customers: made up, planted, and what became of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use anyhow::{Context as _, bail, ensure};
use postern_ledger::{Body, Entry, Note, Planted, Reader};
use postern_model::{Actor, Event, Subject};
use rand::{RngExt as _, seq::SliceRandom as _};
use serde::Serialize;

use super::ledger::recorded;
use crate::{
    cli::{DecoyCommand, DecoyHitArgs, DecoyPlanArgs, JsonArgs},
    config::{self, Settings},
    control::{Request, os_user},
    decoys::{
        self, Decoy, Plan,
        locale::{LOCALES, Locale},
    },
    events, files, serve,
    ui::{self, Outcome},
};

mod plant;

/// The most that one plan has.
const DECOYS_MAX: usize = 10_000;
/// The score of what needs no statistics.
pub(crate) const CERTAIN: f64 = 1e9;

pub(crate) fn run(config: &Path, command: DecoyCommand) -> anyhow::Result<Outcome> {
    let settings = config::load(config)?.settings;
    match command {
        DecoyCommand::Plan(args) => plan(config, &settings, &args),
        DecoyCommand::Plant(args) => plant::run(config, &settings, &args),
        DecoyCommand::Hit(args) => hit(config, &settings, args),
        DecoyCommand::Status(args) => status(config, &settings, &args),
    }
}

/// Makes decoys up. The ledger has their hash before anybody can see them.
fn plan(config: &Path, settings: &Settings, args: &DecoyPlanArgs) -> anyhow::Result<Outcome> {
    ensure!(!args.out.exists(), "`{}` exists; a plan is not overwritten", args.out.display());
    let plan = Plan::of(made_up(args)?);
    let entry = committed(config, settings, &plan)?;
    files::create_private(&args.out, &plan.text()?)
        .with_context(|| format!("can't write `{}`", args.out.display()))?;
    ui::result(format!(
        "{} decoys are in `{}`; the ledger has their hash since entry {entry}",
        plan.decoys.len(),
        args.out.display()
    ))?;
    ui::hint(
        "keep the plan where those who are watched can't read it; `postern decoy plant` plants",
    );
    Ok(Outcome::Yes)
}

/// Records the plan's hash: when it is made, and when it is planted.
fn committed(config: &Path, settings: &Settings, plan: &Plan) -> anyhow::Result<u64> {
    let (digest, count) = (plan.digest(), plan.decoys.len() as u64);
    let hex = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let note = Note::Planted(Planted { by: Actor::new(os_user()), digest, count });
    recorded::put(config, settings, &Request::Planted { digest: hex, count }, note)
}

fn made_up(args: &DecoyPlanArgs) -> anyhow::Result<Vec<Decoy>> {
    let DecoyPlanArgs { count, locale, list, mail, phones, .. } = args;
    let known = || LOCALES.iter().map(|locale| locale.name).collect::<Vec<_>>().join(", ");
    let locale = Locale::find(locale)
        .with_context(|| format!("no names are known of `{locale}`; there are {}", known()))?;
    ensure!(
        mail.contains('.') && !mail.contains(['@', ' ']),
        "`{mail}` is no domain; give one of your own, whose mail you can read"
    );
    let lists: BTreeSet<&str> = list.iter().map(String::as_str).collect();
    ensure!(lists.len() == list.len(), "a list is named twice");
    let lists = if lists.is_empty() { BTreeSet::from(["all"]) } else { lists };
    let all = count * lists.len();
    ensure!((1..=DECOYS_MAX).contains(&all), "a plan has from one to {DECOYS_MAX} decoys");
    let mut chance = rand::rng();
    let mut numbers: Vec<String> = match phones {
        Some(path) => own_numbers(path)?,
        None => (0..locale.numbers()).map(|place| locale.phone(place)).collect(),
    };
    ensure!(
        all <= numbers.len(),
        "there are {} numbers for {all} decoys; give more of your own with `--phones`",
        numbers.len()
    );
    numbers.shuffle(&mut chance);
    let mut mailboxes = BTreeSet::new();
    let mut decoys = Vec::new();
    for list in lists {
        for _ in 0..*count {
            let (given, family) = locale.person(&mut chance);
            // The number at the end makes it nobody's, also where the domain has real people.
            let mailbox = loop {
                let number: u32 = chance.random_range(1_000..1_000_000);
                let mailbox = format!("{}.{}{number}", given, family).to_lowercase();
                if mailboxes.insert(mailbox.clone()) {
                    break mailbox;
                }
            };
            let salt: [u8; 16] = chance.random();
            decoys.push(Decoy {
                salt: salt.iter().map(|byte| format!("{byte:02x}")).collect(),
                list: list.to_owned(),
                name: format!("{given} {family}"),
                email: format!("{mailbox}@{mail}"),
                phone: numbers.pop().unwrap_or_default(),
                key: None,
            });
        }
    }
    Ok(decoys)
}

/// The company's own numbers, one a line.
fn own_numbers(path: &Path) -> anyhow::Result<Vec<String>> {
    let text = fs::read_to_string(path)
        .with_context(|| format!("can't read the numbers in `{}`", path.display()))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let numbers: BTreeSet<&str> = lines.collect();
    Ok(numbers.into_iter().map(ToOwned::to_owned).collect())
}

/// Somebody has used what only a decoy's record tells.
fn hit(config: &Path, settings: &Settings, args: DecoyHitArgs) -> anyhow::Result<Outcome> {
    let DecoyHitArgs { subject, how, why } = args;
    let subject = Subject::new(subject);
    if !all_keys(settings)?.contains(&subject) {
        ui::failure(&anyhow::anyhow!("customer {subject} is not a planted one"));
        return Ok(Outcome::No);
    }
    let mut shown = Seen::default();
    each_entry(settings, |entry| shown.take(entry, &BTreeSet::from([subject.clone()])))?;
    let how = how.as_str().to_owned();
    let hit = serve::decoys::hit(&os_user(), subject.as_str().to_owned(), &how, &why);
    let seen = shown.by_decoy.remove(&subject).unwrap_or_default();
    let found = format!(
        "planted customer `{subject}` was contacted ({how}), whose address and number stand \
         nowhere else; {} accounts were shown them in clear",
        seen.clear.len()
    );
    let subject = subject.as_str().to_owned();
    recorded::put(config, settings, &Request::DecoyHit { subject, how, why }, hit)?;
    let evidence = seen.accesses;
    let note = serve::decoys::found(&found, evidence.clone());
    let request = Request::DecoyFound { why: found, evidence };
    let entry = recorded::put(config, settings, &request, note)?;
    ui::result(format!("recorded; it is the finding of entry {entry}"))?;
    ui::hint("`postern trace` weighs it with what customers have told");
    Ok(Outcome::Yes)
}

/// Those of the configuration and those that were planted.
fn all_keys(settings: &Settings) -> anyhow::Result<BTreeSet<Subject>> {
    let planted = decoys::keys(&settings.data.folder)?;
    Ok(settings.watch.decoys.iter().cloned().chain(planted).collect())
}

fn each_entry(settings: &Settings, mut take: impl FnMut(&Entry)) -> anyhow::Result<()> {
    for entry in Reader::open(&settings.data.ledger())? {
        take(&entry?);
    }
    Ok(())
}

/// Who was shown a decoy.
#[derive(Debug, Default)]
struct Shown {
    clear: BTreeSet<Actor>,
    masked: BTreeSet<Actor>,
    accesses: Vec<String>,
    contacted: usize,
}

#[derive(Debug, Default)]
struct Seen {
    by_decoy: BTreeMap<Subject, Shown>,
    plans: usize,
}

impl Seen {
    fn take(&mut self, entry: &Entry, decoys: &BTreeSet<Subject>) {
        match &entry.body {
            Body::Noted(Note::Planted(_)) => self.plans += 1,
            Body::Noted(Note::DecoyHit(hit)) => {
                self.by_decoy.entry(hit.subject.clone()).or_default().contacted += 1;
            }
            Body::Noted(_) | Body::Disclosed(_) => {}
        }
        for event in events::of_entry(entry) {
            let Event::Access(access) = event else { continue };
            for subject in access.subjects.iter().filter(|subject| decoys.contains(*subject)) {
                let shown = self.by_decoy.entry(subject.clone()).or_default();
                let by = if access.clear.is_empty() { &mut shown.masked } else { &mut shown.clear };
                by.insert(access.actor.clone());
                shown.accesses.push(access.id.clone().to_string());
            }
        }
    }
}

/// `decoy status --json`; version 1. No account is named, and no decoy that was not touched.
#[derive(Debug, Serialize)]
struct Status {
    version: u32,
    decoys: usize,
    shown_in_clear: usize,
    touched: Vec<Touched>,
}

#[derive(Debug, Serialize)]
struct Touched {
    customer: String,
    accounts_in_clear: usize,
    accounts_masked: usize,
    contacted: usize,
}

fn status(config: &Path, settings: &Settings, args: &JsonArgs) -> anyhow::Result<Outcome> {
    recorded::look(config, settings, "decoys")?;
    let decoys = all_keys(settings)?;
    let mut seen = Seen::default();
    each_entry(settings, |entry| seen.take(entry, &decoys))?;
    let touched = seen.by_decoy.iter().map(|(subject, shown)| Touched {
        customer: subject.to_string(),
        accounts_in_clear: shown.clear.len(),
        accounts_masked: shown.masked.len(),
        contacted: shown.contacted,
    });
    let touched: Vec<Touched> = touched.collect();
    let shown_in_clear = touched.iter().filter(|one| one.accounts_in_clear > 0).count();
    let status = Status { version: 1, decoys: decoys.len(), shown_in_clear, touched };
    if args.json {
        ui::json(&status)?;
        return Ok(Outcome::Yes);
    }
    ui::result(format!(
        "{} planted customers, {} of them were shown in clear",
        status.decoys, status.shown_in_clear
    ))?;
    for one in &status.touched {
        let Touched { customer, accounts_in_clear, accounts_masked, contacted } = one;
        ui::result(format!(
            "{customer}: in clear to {accounts_in_clear} accounts, masked to {accounts_masked}, \
             contacted {contacted} times"
        ))?;
    }
    Ok(Outcome::Yes)
}

/// The plan's hash must be in the ledger before anything is planted.
fn is_committed(settings: &Settings, plan: &Plan) -> anyhow::Result<()> {
    let (digest, mut known) = (plan.digest(), false);
    each_entry(settings, |entry| {
        if let Body::Noted(Note::Planted(planted)) = &entry.body {
            known |= planted.digest == digest;
        }
    })?;
    if !known {
        bail!("the ledger has no hash of this plan: it was changed, or belongs to another ledger");
    }
    Ok(())
}
