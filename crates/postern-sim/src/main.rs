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
    Sample, Scores, World,
    baselines::{self, Method, Overlaps, Said},
    leaks, plot,
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
    /// Print every list of which something wrong was said.
    #[arg(long)]
    verbose: bool,
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
    let mut methods = METHODS.map(|(name, _)| (name, Scores::default()));
    for seed in arguments.seed..arguments.seed + arguments.worlds {
        let mut world = World::new(seed);
        let samples = leaks(&mut world, arguments.innocent);
        let config =
            TraceConfig { customers: Some(world.customers.len()), ..TraceConfig::default() };
        let mut tracer = world.tracer(config);
        let overlaps = Overlaps::of(&world.accesses, world.customers.len());
        let by_value = by_value(&world);
        for (number, sample) in samples.iter().enumerate() {
            let own = own(&mut tracer, sample);
            if arguments.verbose {
                told(seed, number, sample, &own)?;
            }
            if arguments.verbose && sample.kind.is_guilty() && own.named.is_empty() {
                let others = tracer.trace(&sample.leak).others;
                let others =
                    others.iter().take(3).map(|o| format!("{} {:.3}", o.source, o.probability));
                writeln!(stderr(), "  others: {}", others.collect::<Vec<_>>().join(", "))?;
                writeln!(stderr(), "  unmet: {:?}", own.unmet)?;
            }
            methods[0].1.0.push(own);
            let customers = baselines::customers(&sample.leak, &by_value);
            for ((_, scores), (_, method)) in methods.iter_mut().zip(METHODS) {
                let Some(method) = method else { continue };
                scores.0.push(simple(sample, overlaps.judge(method, &customers)));
            }
        }
    }
    if let Some(path) = &arguments.plot {
        let at = || format!("cannot write `{}`", path.display());
        fs::write(path, plot::reliability(&methods[0].1)).with_context(at)?;
    }
    stdout().write_all(tables::markdown(&methods).as_bytes())?;
    Ok(())
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

fn told(seed: u64, number: usize, sample: &Sample, outcome: &Outcome) -> anyhow::Result<()> {
    let right = outcome.named == sample.sources && !outcome.named.is_empty();
    let innocent = sample.sources.is_empty() && outcome.probability < 0.2;
    if !right && !innocent {
        writeln!(
            stderr(),
            "world {seed} list {number} ({}, {} rows): sources {:?}, named {:?}, first {:?} with \
             {:.4}, log ratio {:.1}",
            sample.kind,
            sample.length,
            sample.sources,
            outcome.named,
            outcome.first,
            outcome.probability,
            outcome.log_ratio
        )?;
    }
    Ok(())
}
