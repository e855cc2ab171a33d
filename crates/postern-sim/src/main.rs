//! The acceptance run of the tracer: makes worlds, traces their lists, writes the tables.

use std::{
    collections::BTreeMap,
    fs,
    io::{Write as _, stderr, stdout},
    path::PathBuf,
};

use anyhow::Context as _;
use clap::Parser;
use postern_sim::{
    Sample, Scores, Style, World,
    baselines::{self, Method, Overlaps, Said},
    leaks, plot, scale,
    score::Outcome,
    tables,
};
use postern_trace::{TraceConfig, Tracer, Verdict};

/// Traces lists of known origin in worlds made from seeds, and says how well that went.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many worlds.
    #[arg(long, default_value_t = 40)]
    worlds: u64,
    /// The seed of the first world; the others follow it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Lists from elsewhere in each world.
    #[arg(long, default_value_t = 80)]
    innocent: usize,
    /// How the company works and what its systems tell; `all` prints one line for each.
    #[arg(long, default_value = "usual")]
    style: String,
    /// Print every list of which something wrong was said.
    #[arg(long)]
    verbose: bool,
    /// Instead, measure traces after so many disclosures each, with a list of a hundredth of the
    /// customers, at most 100,000.
    #[arg(long, value_delimiter = ',')]
    scale: Vec<usize>,
    /// With one number in `--scale`: prepares an index in this file, and the lists beside it.
    #[arg(long, requires = "scale")]
    prepare: Option<PathBuf>,
    /// Instead, traces the lists beside this prepared index.
    #[arg(long)]
    index: Option<PathBuf>,
    /// Where the reliability diagram goes.
    #[arg(long)]
    plot: Option<PathBuf>,
}

const METHODS: [(&str, Option<Method>); 5] = [
    ("Postern", None),
    ("overlap", Some(Method::Overlap)),
    ("Jaccard", Some(Method::Jaccard)),
    ("guilt", Some(Method::Guilt)),
    ("uniform Bayes", Some(Method::Bayes)),
];

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if let Some(index) = &arguments.index {
        let traced = scale::traced(index)?;
        stdout().write_all(tables::from_index(&traced).as_bytes())?;
        return Ok(());
    }
    if !arguments.scale.is_empty() {
        stdout().write_all(scaled(&arguments)?.as_bytes())?;
        return Ok(());
    }
    if arguments.style == "all" {
        let mut styles = Vec::new();
        for style in Style::ALL {
            let [own, ..] = measured(&arguments, style)?;
            styles.push((style.as_str(), own.1));
        }
        stdout().write_all(tables::styles(&styles).as_bytes())?;
        return Ok(());
    }
    let style = Style::ALL.into_iter().find(|style| style.as_str() == arguments.style);
    let style = style.with_context(|| format!("there is no style `{}`", arguments.style))?;
    let methods = measured(&arguments, style)?;
    if let Some(path) = &arguments.plot {
        let at = || format!("cannot write `{}`", path.display());
        fs::write(path, plot::reliability(&methods[0].1)).with_context(at)?;
    }
    let mut text = tables::markdown(&methods);
    text.push_str(&tables::styles(&[(style.as_str(), methods[0].1.clone())]));
    stdout().write_all(text.as_bytes())?;
    Ok(())
}

/// Traces after so many disclosures, or prepares an index.
fn scaled(arguments: &Arguments) -> anyhow::Result<String> {
    let rows = |disclosures: usize| (disclosures / 1_000).min(100_000);
    let mut measured = Vec::new();
    for disclosures in &arguments.scale {
        if let Some(index) = &arguments.prepare {
            let prepared = scale::prepare(index, *disclosures, rows(*disclosures), arguments.seed)?;
            return Ok(tables::prepared(*disclosures, prepared));
        }
        measured.push(scale::measure(*disclosures, rows(*disclosures), arguments.seed)?);
    }
    Ok(tables::scale(measured.into_iter()))
}

/// Every method on every list of worlds of a style.
fn measured(
    arguments: &Arguments,
    style: Style,
) -> anyhow::Result<[(&'static str, Scores); METHODS.len()]> {
    let mut methods = METHODS.map(|(name, _)| (name, Scores::default()));
    for seed in arguments.seed..arguments.seed + arguments.worlds {
        let mut world = World::new(seed, style);
        let samples = leaks(&mut world, arguments.innocent);
        let mut tracer = world.tracer(TraceConfig::default());
        let overlaps = Overlaps::of(&world.accesses, world.customers.len());
        let by_value = by_value(&world);
        for (number, sample) in samples.iter().enumerate() {
            let own = own(&mut tracer, sample);
            if arguments.verbose {
                told((style, seed, number), sample, &own, &mut tracer)?;
            }
            methods[0].1.0.push(own);
            let customers = baselines::customers(&sample.leak, &by_value);
            for ((_, scores), (_, method)) in methods.iter_mut().zip(METHODS) {
                let Some(method) = method else { continue };
                scores.0.push(simple(sample, overlaps.judge(method, &customers)));
            }
        }
    }
    Ok(methods)
}

/// E-mail addresses, numbers and tickets that only one customer ever had.
fn by_value(world: &World) -> BTreeMap<String, String> {
    let mut found: BTreeMap<String, Option<String>> = BTreeMap::new();
    for value in world.values().iter().filter(|value| &*value.field != "name") {
        let subject = value.subject.to_string();
        let slot = found.entry(value.value.expose().clone()).or_insert(Some(subject.clone()));
        if slot.as_ref().is_some_and(|other| *other != subject) {
            *slot = None;
        }
    }
    found.into_iter().filter_map(|(value, subject)| Some((value, subject?))).collect()
}

fn own(tracer: &mut Tracer, sample: &Sample) -> Outcome {
    let trace = tracer.trace(&sample.leak);
    let first = trace.suspects.first();
    Outcome {
        first: first.map(|suspect| suspect.actor.to_string()),
        probability: first.map_or(0.0, |suspect| suspect.probability),
        log_ratio: first.map_or(0.0, |suspect| suspect.log_likelihood_ratio),
        named: trace.actors.iter().map(ToString::to_string).collect(),
        outside: trace.verdict == Verdict::Outside,
        narrowed: trace.verdict == Verdict::Narrowed,
        unmet: trace.details.map_or_else(Vec::new, |details| details.unmet),
        ..Outcome::of(sample)
    }
}

fn simple(sample: &Sample, said: Said) -> Outcome {
    let Said { first, probability, named } = said;
    let odds = probability.clamp(1e-12, 1.0 - 1e-12);
    let log_ratio = (odds / (1.0 - odds)).ln();
    Outcome { first, probability, log_ratio, named, ..Outcome::of(sample) }
}

fn told(
    (style, seed, number): (Style, u64, usize),
    sample: &Sample,
    outcome: &Outcome,
    tracer: &mut Tracer,
) -> anyhow::Result<()> {
    let right = outcome.named == sample.sources && !outcome.named.is_empty();
    let innocent = sample.sources.is_empty() && outcome.probability < 0.2;
    if right || innocent {
        return Ok(());
    }
    let others = tracer.trace(&sample.leak).others;
    let others = others.iter().take(3).map(|o| format!("{} {:.3}", o.source, o.probability));
    writeln!(
        stderr(),
        "{style} world {seed} list {number} ({}, {} rows): sources {:?}, named {:?}, first {:?} \
         with {:.4}, log ratio {:.1}, others: {}; unmet: {:?}",
        sample.kind,
        sample.length,
        sample.sources,
        outcome.named,
        outcome.first,
        outcome.probability,
        outcome.log_ratio,
        others.collect::<Vec<_>>().join(", "),
        outcome.unmet,
    )?;
    Ok(())
}
