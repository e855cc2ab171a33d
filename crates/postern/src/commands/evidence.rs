//! Evidence for people who have no ledger: one file with what a trace rests on, which a second
//! verifier checks without Postern. The form is `docs/design/evidence.md`.
//!
//! In order: the questions are recorded in the ledger, the list is traced over what the checkpoint
//! covers, and of every account that is concerned all entries of that time are proved to be all.
//! Customers who are not in the list are numbers.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use postern_feed::{read_leak, read_values, write_trace};
use postern_ledger::{
    Basis, Naming, RangeQuestion, Reader, cosigned, named_in_range, prove_range, public_key, signed,
};
use postern_model::{Actor, Timestamp};
use postern_trace::{Leak, Likelihood, Trace, TraceConfig, Tracer};

use self::bundle::{Bundle, PREDICATE, sha256};
use super::{ledger::recorded, replay};
use crate::{
    cli::{EvidenceCommand, ExportArgs},
    config,
    control::{Asked, os_user},
    events,
    ui::{self, Outcome, Progress},
};

mod analysis;
pub(super) mod bundle;
mod case;
mod certification;
mod document;
mod page;
mod redact;
mod time;

pub(crate) fn run(config: &Path, command: &EvidenceCommand) -> anyhow::Result<Outcome> {
    match command {
        EvidenceCommand::Export(args) => export(config, args),
        EvidenceCommand::Redact(args) => redact::run(args),
    }
}

/// What is read and weighed before anything is written.
struct Case {
    ledger: PathBuf,
    /// How many entries the checkpoint covered.
    entries: u64,
    since: Option<Timestamp>,
    /// Behind the last entry that was looked at.
    until: Timestamp,
    /// The accounts concerned, with the numbers of the entries that say that it was asked for them.
    accounts: Vec<(Actor, u64, Option<Likelihood>)>,
    leak: Leak,
    trace: Trace,
    config: TraceConfig,
}

fn export(config: &Path, args: &ExportArgs) -> anyhow::Result<Outcome> {
    if args.out.exists() {
        bail!("`{}` exists; evidence is not overwritten", args.out.display());
    }
    let settings = config::load(config)?.settings;
    let ledger = settings.data.ledger();
    let mut case = weigh(&ledger, args)?;
    if case.accounts.is_empty() {
        ui::failure(&anyhow::anyhow!("the trace names no account; say which with `--account`"));
        return Ok(Outcome::No);
    }
    for (account, entry, _) in &mut case.accounts {
        let asked = Asked::about(Some(account.as_str()), None);
        let (since, until) = (case.since.map(|time| time.0), Some(case.until.0));
        let asked = Asked { since, until, ..asked };
        let recorded = recorded::record(config, &ledger, false, asked)?;
        *entry = recorded.context("the question was not recorded")?;
    }
    let bundle = filled(&case, args)?;
    let stamped = bundle.write(&case.ledger, PREDICATE, settings.tsa.as_deref(), &args.out)?;
    if let Some(time) = stamped {
        ui::hint(format!("a time-stamping authority says that it was there at {time}"));
    }
    ui::result(format!(
        "`{}` holds what speaks for {}: check it with `python3 verifier --evidence {} --key KEY`, \
         where KEY is the ledger's key as you had it before",
        args.out.display(),
        case.accounts.iter().map(|(a, ..)| a.to_string()).collect::<Vec<_>>().join(", "),
        args.out.display(),
    ))?;
    Ok(Outcome::Yes)
}

/// Traces the list over all entries that the checkpoint covers.
fn weigh(ledger: &Path, args: &ExportArgs) -> anyhow::Result<Case> {
    let (since, customers) = (args.since, args.customers);
    let config = TraceConfig { since, until: args.until, customers, ..TraceConfig::default() };
    let mut tracer = Tracer::new(config.clone());
    let entries = signed(ledger)?;
    let mut last = Timestamp(0);
    for entry in Reader::open(ledger)? {
        let entry = entry?;
        if entry.sequence >= entries {
            break;
        }
        last = entry.time;
        events::of_entry(&entry).iter().for_each(|event| tracer.observe(event));
    }
    if let Some(path) = &args.values {
        let (values, problems) = read_values(path)?;
        values.iter().for_each(|value| tracer.value(value));
        replay::report(&problems)?;
    }
    let leak = read_leak(&args.leak)?;
    let trace = tracer.trace(&leak);
    let named = trace.actors.iter().cloned();
    let accounts: BTreeSet<Actor> =
        args.account.iter().map(|account| Actor::new(account.as_str())).chain(named).collect();
    let accounts = accounts.into_iter().map(|account| {
        let likelihood = tracer.likelihood(&leak, &account);
        (account, 0, likelihood)
    });
    Ok(Case {
        ledger: ledger.to_owned(),
        entries,
        since,
        until: args.until.unwrap_or(Timestamp(last.0.saturating_add(1))),
        accounts: accounts.collect(),
        leak,
        trace,
        config,
    })
}

fn filled(case: &Case, args: &ExportArgs) -> anyhow::Result<Bundle> {
    let mut bundle = Bundle::default();
    let by = os_user();
    let mut custody = analysis::Custody::of(&by);
    let list = read(&args.leak)?;
    custody.read(&args.leak, &list);
    bundle.put("leak.csv", list);
    let values = args.values.as_deref().map(read).transpose()?;
    if let (Some(path), Some(values)) = (&args.values, &values) {
        custody.read(path, values);
    }
    let key = public_key(&case.ledger)?;
    bundle.put("ledger.pub", format!("{}\n", key.as_str()).into_bytes());
    if let Some(checkpoint) = cosigned(&case.ledger)? {
        bundle.put("cosigned", checkpoint.into_bytes());
    }
    let mut numbers = BTreeMap::new();
    for (number, (account, asked, _)) in case.accounts.iter().enumerate() {
        custody.asked(account, *asked);
        let proof = proof(case, account)?;
        numbers.extend(named_in_range(&proof)?.into_iter().map(|(number, name)| (name, number)));
        bundle.put(&format!("proofs/{number}"), proof.into_bytes());
    }
    let values = values.as_deref().map(sha256);
    let analysis = analysis::of(case, args, values, &analysis::Numbers::of(case, &numbers))?;
    bundle.put("analysis.json", analysis);
    let mut trace = Vec::new();
    write_trace(&without_others(&case.trace), &mut trace)?;
    bundle.put("trace.json", trace);
    let page = page::document(case, key.name());
    bundle.put("index.html", page.html().into_bytes());
    bundle.put("page.pdf", page.pdf());
    bundle.put("certification.txt", certification::form(case, key.name()).into_bytes());
    custody.exported(&args.out);
    bundle.put("custody.jsonl", custody.lines()?);
    let graph = case::graph(case, (&bundle, &custody), &page)?;
    bundle.put("case.jsonld", graph);
    Ok(bundle)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("can't read `{}`", path.display()))
}

/// Without the names of customers who are not in the list.
fn without_others(trace: &Trace) -> Trace {
    let mut trace = trace.clone();
    if let Some(details) = &mut trace.details {
        details.at_risk.clear();
    }
    trace
}

/// That these are all entries of the account in that time; of customers those in the list are
/// named.
fn proof(case: &Case, account: &Actor) -> anyhow::Result<String> {
    let likelihood = case.accounts.iter().find(|(of, ..)| of == account);
    let rows = likelihood.and_then(|(.., likelihood)| likelihood.as_ref());
    let subjects = rows.iter().flat_map(|likelihood| &likelihood.rows);
    let listed = case.leak.rows.iter().filter_map(|row| row.subject.clone());
    let subjects = subjects.map(|row| row.subject.clone()).chain(listed).collect();
    let question = RangeQuestion {
        actor: account.clone(),
        since: case.since,
        until: Some(case.until),
        subjects: Naming::Only(subjects),
    };
    let mut bar = Progress::new("entries, which are read twice");
    let made =
        prove_range(&case.ledger, &question, Basis::Covering, &mut |done, all| bar.at(done, all));
    bar.end();
    made.with_context(|| format!("nothing can be proved of `{account}`"))
}
