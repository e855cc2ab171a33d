//! Where leaked records came from: the ledger, or a feed, against the list.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Context as _, bail};
use comfy_table::{Table as Grid, presets};
use postern_feed::{Folder, Options, open_index, read_leak, read_values, write_index, write_trace};
use postern_ledger::Reader;
use postern_model::{Complaint, Subject};
use postern_trace::{Details, Leak, Prepared, Scale, Step, Trace, TraceConfig, Tracer, Verdict};

use super::{ledger::recorded, replay};
use crate::{
    cli::TraceArgs,
    config,
    events::{self, Complaints},
    ui::{self, Outcome},
};

mod plot;
mod report;

/// How many suspects a person is shown.
const SHOWN: usize = 5;

/// What traces: from all that is known, or from a prepared index.
enum Traced {
    Known(Box<Tracer>),
    Prepared(Box<Prepared>),
}

impl Traced {
    fn trace(&mut self, leak: &Leak) -> anyhow::Result<Trace> {
        match self {
            Self::Known(tracer) => Ok(tracer.trace(leak)),
            Self::Prepared(prepared) => Ok(prepared.trace(leak)?),
        }
    }

    fn after_each(&mut self, list: &Leak, complaints: &Leak) -> anyhow::Result<Vec<Step>> {
        match self {
            Self::Known(tracer) => Ok(tracer.after_each(list, complaints)),
            Self::Prepared(prepared) => Ok(prepared.after_each(list, complaints)?),
        }
    }

    fn next_called(&mut self, leak: &Leak) -> anyhow::Result<Vec<(Subject, f64)>> {
        match self {
            Self::Known(tracer) => Ok(tracer.next_called(leak)),
            Self::Prepared(prepared) => Ok(prepared.next_called(leak)?),
        }
    }
}

pub(crate) fn run(config: &Path, args: &TraceArgs) -> anyhow::Result<Outcome> {
    if let Some(path) = &args.prepare {
        let (mut tracer, _) = known(config, args)?;
        write_index(&mut tracer, path).with_context(|| {
            format!("can't write `{}`, which must not be there yet", path.display())
        })?;
        return Ok(Outcome::Yes);
    }
    let (mut traced, recorded) = match &args.index {
        Some(path) => (opened(path)?, Vec::new()),
        None => {
            let (tracer, recorded) = known(config, args)?;
            (Traced::Known(Box::new(tracer)), recorded)
        }
    };
    let mut leak = match &args.leak {
        Some(path) => read_leak(path)?,
        None => Leak::default(),
    };
    let mut steps = Vec::new();
    // Without a list it is what customers have told that is traced.
    let recorded = recorded.iter().filter(|_| args.recorded || args.leak.is_none());
    let mut told = Leak::from_complaints(recorded);
    if let Some(path) = &args.complaints {
        told = told.and(complaints(path)?);
    }
    if args.leak.is_none() && told.rows.is_empty() {
        bail!(
            "there is nothing to trace: give a list (`--leak`), or add what customers tell \
             (`postern complaint add`)"
        );
    }
    if !told.rows.is_empty() {
        let complaints = told;
        steps = traced.after_each(&leak, &complaints)?;
        leak = leak.and(complaints);
    }
    let trace = traced.trace(&leak)?;
    say(args, &mut traced, &leak, (&trace, &steps))
}

/// Says and writes what came out, as far as it was asked for.
fn say(
    args: &TraceArgs,
    traced: &mut Traced,
    leak: &Leak,
    (trace, steps): (&Trace, &[Step]),
) -> anyhow::Result<Outcome> {
    let mut object = Vec::new();
    write_trace(trace, &mut object)?;
    let mut told = text(trace);
    told.push_str(&after_each(steps));
    if let Some(folder) = &args.report {
        report::write(folder, trace, &told, &object)?;
    }
    if let Some(path) = &args.warn {
        warn(path, &traced.next_called(leak)?)?;
    }
    if args.json {
        ui::result(String::from_utf8_lossy(&object).trim_end())?;
    } else {
        ui::result(told)?;
    }
    Ok(Outcome::Yes)
}

/// What is known, from a feed or the ledger, and what customers have told.
fn known(config: &Path, args: &TraceArgs) -> anyhow::Result<(Tracer, Vec<Complaint>)> {
    let TraceArgs { since, until, customers, .. } = *args;
    let config_of = TraceConfig { since, until, customers, ..TraceConfig::default() };
    let mut tracer = Tracer::new(config_of);
    let recorded = match &args.feed {
        Some(feed) => observe_feed(&mut tracer, feed).map(|()| Vec::new())?,
        None => observe_ledger(&mut tracer, config)?,
    };
    if let Some(path) = &args.values {
        let (values, problems) = read_values(path)?;
        values.iter().for_each(|value| tracer.value(value));
        replay::report(&problems)?;
    }
    Ok((tracer, recorded))
}

/// A prepared index.
fn opened(path: &Path) -> anyhow::Result<Traced> {
    let prepared = open_index(path, TraceConfig::default())
        .with_context(|| format!("can't trace from `{}`", path.display()))?;
    if let Some(until) = prepared.until() {
        ui::hint(format!("`{}` knows of nothing after {until}", path.display()));
    }
    Ok(Traced::Prepared(Box::new(prepared)))
}

/// Writes who may be called next: customers that are to be warned, and no account.
fn warn(path: &Path, next: &[(Subject, f64)]) -> anyhow::Result<()> {
    let mut lines = "subject,probability\n".to_owned();
    for (subject, probability) in next {
        let _ = writeln!(lines, "\"{}\",{probability:.4}", subject.as_str().replace('"', "\"\""));
    }
    crate::files::create_private(path, &lines).with_context(|| {
        format!("can't write `{}`, which must not be there yet", path.display())
    })?;
    ui::hint(format!("{} customers may be called next: `{}`", next.len(), path.display()));
    Ok(())
}

/// How the case stood after each complaint.
fn after_each(steps: &[Step]) -> String {
    let mut text = String::new();
    for step in steps {
        let first = step.first.as_ref().map_or_else(String::new, |(actor, probability)| {
            format!(", most probable account {actor} with {probability:.4}")
        });
        text.push_str(&format!(
            "\nafter {} complaints: {}{first}",
            step.complaints,
            step.verdict.as_str()
        ));
    }
    text
}

/// Takes all disclosures; says what customers have told.
fn observe_ledger(tracer: &mut Tracer, config: &Path) -> anyhow::Result<Vec<Complaint>> {
    let settings = config::load(config)?.settings;
    recorded::look(config, &settings, "all entries, to trace a leak")?;
    let mut told = Complaints::default();
    for entry in Reader::open(&settings.data.ledger())? {
        let entry = entry?;
        told.take(&entry);
        events::of_entry(&entry).iter().for_each(|event| tracer.observe(event));
    }
    Ok(told.in_order())
}

fn observe_feed(tracer: &mut Tracer, feed: &Path) -> anyhow::Result<()> {
    let mut folder = Folder::open(feed, Options::default())?;
    for arrival in &mut folder {
        tracer.observe(&arrival?.event);
    }
    replay::report(folder.problems()).map(|_| ())
}

/// Complaints from a file of their own, in the form that a feed has them.
fn complaints(path: &Path) -> anyhow::Result<Leak> {
    // The reader of feeds takes a folder, and knows its files by their names.
    let folder = tempfile::tempdir()?;
    fs::copy(path, folder.path().join("complaints.jsonl"))
        .with_context(|| format!("can't read `{}`", path.display()))?;
    let mut complaining = Tracer::new(TraceConfig::default());
    observe_feed(&mut complaining, folder.path())?;
    Ok(complaining.complaints())
}

fn text(trace: &Trace) -> String {
    let accounts: Vec<&str> = trace.actors.iter().map(postern_model::Actor::as_str).collect();
    let verdict = match trace.verdict {
        Verdict::Attributed => format!("attributed to the account {}", accounts.join(", ")),
        Verdict::Coalition => {
            format!("attributed to the accounts {} together", accounts.join(", "))
        }
        Verdict::Narrowed => "narrowed to a few accounts".to_owned(),
        Verdict::Outside => "from outside".to_owned(),
        Verdict::CannotTell => "cannot tell".to_owned(),
    };
    let rows = trace.rows;
    let mut text = format!(
        "{verdict}\n{}\n\n{} rows in the list, {} customers among them, {} of these seen by the \
         first suspect",
        trace.why, rows.list, rows.resolved, rows.matched
    );
    if let Some((from, to)) = trace.window {
        text.push_str(&format!("\nprobably taken between {from} and {to}"));
    }
    if let Some(details) = &trace.details {
        text.push_str(&spoken(details));
    }
    for what in &trace.decide {
        text.push_str(&format!("\nwould help to decide: {what}"));
    }
    format!("{text}\n\n{}", grid(trace).trim_fmt())
}

/// What speaks for and against the first suspect.
fn spoken(details: &Details) -> String {
    let mut text = String::new();
    for (kind, log) in &details.contributions {
        text.push_str(&format!("\n{kind}: a factor of 10^{:.1}", log / f64::ln(10.0)));
    }
    text.push_str(&format!(
        "\n{} customers speak for the first suspect, {} were never shown to it; {} of the readings \
         have no reason; {} more were taken in the same way",
        details.speak_for.len(),
        details.speak_against.len(),
        details.unexplained,
        details.at_risk.len()
    ));
    for (field, agree, differ) in &details.fields {
        text.push_str(&format!("\n{field}: shown as leaked in {agree} rows, not so in {differ}"));
    }
    for (ticket, count) in details.claims.iter().take(SHOWN) {
        text.push_str(&format!("\nclaimed ticket {ticket}, {count} times"));
    }
    text
}

fn grid(trace: &Trace) -> Grid {
    let mut grid = Grid::new();
    grid.load_style(presets::NOTHING).set_header([
        "source",
        "probability",
        "matched",
        "against the best rival",
    ]);
    for suspect in trace.suspects.iter().take(SHOWN) {
        let probability = format!("{:.4}", suspect.probability);
        let ratio = suspect.log_likelihood_ratio / f64::ln(10.0);
        let scale = format!("10^{ratio:.1}, {}", Scale::of(suspect.log_likelihood_ratio).as_str());
        grid.add_row([suspect.actor.to_string(), probability, suspect.matched.to_string(), scale]);
    }
    for other in trace.others.iter().take(SHOWN) {
        let probability = format!("{:.4}", other.probability);
        grid.add_row([other.source.to_string(), probability, String::new(), String::new()]);
    }
    grid.column_iter_mut().for_each(|column| {
        column.set_padding((0, 3));
    });
    grid
}
