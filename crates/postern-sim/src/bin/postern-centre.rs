//! Makes worlds and measures the detectors on them; `docs/detection.md` says what with.

use std::{
    collections::BTreeMap,
    fs,
    io::{Write, stdout},
    path::PathBuf,
};

use clap::{Args, Parser, Subcommand};
use postern_model::Finding;
use postern_sim::{
    centre::{
        Kind, Plan, Style, Trouble, World, account_days, plain_findings,
        score::{self, Outcome, Score},
        stream,
    },
    plot,
};
use postern_watch::{Watch, WatchConfig};

/// What the seeds of styles differ by, so that each has other attacks.
const APART: u64 = 1_000;
/// Attacks in a world where all are of one kind.
const ALIKE: usize = 4;

#[derive(Debug, Parser)]
#[command(about = "A support centre with ground truth")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Writes a world as a folder of feeds with `truth.jsonl`.
    Make(MakeArgs),
    /// Writes a world of any size as a folder of feeds, a day at a time and without its truth.
    Stream(StreamArgs),
    /// Runs the detectors over worlds and prints the tables.
    Bench(BenchArgs),
}

#[derive(Debug, Args)]
struct MakeArgs {
    /// The folder; it is made if need be.
    #[arg(long)]
    out: PathBuf,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// calm, peaks, outages, migration, cohorts, sloppy or mixed.
    #[arg(long, default_value = "mixed")]
    trouble: String,
    #[arg(long)]
    agents: Option<usize>,
    /// usual, bare, pool, late, ...: how the company works and what its systems tell.
    #[arg(long, default_value = "usual")]
    style: String,
    #[arg(long)]
    customers: Option<usize>,
    #[arg(long)]
    days: Option<i64>,
}

#[derive(Debug, Args)]
struct StreamArgs {
    /// The folder; it is made if need be.
    #[arg(long)]
    out: PathBuf,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[arg(long, default_value_t = 10_000)]
    agents: usize,
    #[arg(long, default_value_t = 1_000_000)]
    customers: usize,
    /// Whole days are written until there are so many events.
    #[arg(long, default_value_t = 30_000_000)]
    events: u64,
    /// And at most so many days.
    #[arg(long, default_value_t = 60)]
    days: i64,
}

#[derive(Debug, Args)]
struct BenchArgs {
    /// The first seed; a world of each trouble is made for each seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[arg(long, default_value_t = 4)]
    seeds: u64,
    /// The configured alert budget.
    #[arg(long, default_value_t = 0.1)]
    budget: f64,
    /// Only these troubles, with commas.
    #[arg(long)]
    trouble: Option<String>,
    /// Only attacks of this kind, four in each world.
    #[arg(long)]
    kind: Option<String>,
    /// In these styles, with commas, or in `all` of them, one after the other.
    #[arg(long, default_value = "usual")]
    style: String,
    /// Compares with plain methods, and writes plots into this folder.
    #[arg(long)]
    compare: Option<PathBuf>,
    /// Compares with other methods, too: with what `scripts/baselines` made of the account-days
    /// that an earlier run with `compare` has written.
    #[arg(long)]
    scores: Option<PathBuf>,
    /// How much the attackers take, as a factor; by the seed otherwise.
    #[arg(long)]
    strength: Option<f64>,
    /// Prints every false alert and every attack that was missed.
    #[arg(long)]
    list: bool,
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Make(args) => make(&args),
        Command::Stream(args) => write_stream(&args),
        Command::Bench(args) => bench(&args),
    }
}

fn trouble(name: &str) -> anyhow::Result<Trouble> {
    let found = Trouble::ALL.into_iter().find(|trouble| trouble.as_str() == name);
    found.ok_or_else(|| anyhow::anyhow!("`{name}` is no trouble of the worlds"))
}

fn kind(name: &str) -> anyhow::Result<Kind> {
    let found = Kind::ALL.into_iter().find(|kind| kind.as_str() == name);
    found.ok_or_else(|| anyhow::anyhow!("`{name}` is no kind of attack"))
}

fn styles(names: &str) -> anyhow::Result<Vec<Style>> {
    if names == "all" {
        return Ok(Style::ALL.to_vec());
    }
    let style = |name: &str| Style::ALL.into_iter().find(|style| style.as_str() == name);
    let style =
        |name| style(name).ok_or_else(|| anyhow::anyhow!("`{name}` is no style of the worlds"));
    names.split(',').map(style).collect()
}

fn make(args: &MakeArgs) -> anyhow::Result<()> {
    let mut plan = Plan::usual(args.seed, trouble(&args.trouble)?);
    for style in styles(&args.style)? {
        plan = plan.styled(style);
    }
    plan.agents = args.agents.unwrap_or(plan.agents);
    plan.customers = args.customers.unwrap_or(plan.customers);
    plan.days = args.days.unwrap_or(plan.days);
    let world = World::make(&plan);
    fs::create_dir_all(&args.out)?;
    world.write(&args.out)?;
    fs::File::create(args.out.join("truth.jsonl"))?.write_all(world.truth().as_bytes())?;
    writeln!(stdout(), "{} events, {} attacks", world.events.len(), world.attacks.len())?;
    Ok(())
}

fn write_stream(args: &StreamArgs) -> anyhow::Result<()> {
    let mut plan = Plan::usual(args.seed, Trouble::Calm);
    (plan.agents, plan.customers, plan.days) = (args.agents, args.customers, args.days);
    fs::create_dir_all(&args.out)?;
    let stream::Streamed { events, accesses, days } =
        stream::stream(&plan, args.events, &args.out)?;
    writeln!(stdout(), "{events} events, {accesses} of them accesses, {days} days")?;
    Ok(())
}

fn bench(args: &BenchArgs) -> anyhow::Result<()> {
    let troubles = match &args.trouble {
        Some(names) => names.split(',').map(trouble).collect::<Result<_, _>>()?,
        None => Trouble::ALL.to_vec(),
    };
    let kind = args.kind.as_deref().map(kind).transpose()?;
    let styles = styles(&args.style)?;
    let mut all = Vec::new();
    let mut plain: Plains = BTreeMap::new();
    for style in &styles {
        let mut runs = Vec::new();
        for seed in args.seed..args.seed + args.seeds {
            for trouble in &troubles {
                let seed = seed + APART * *style as u64;
                let mut plan = Plan::usual(seed, *trouble).styled(*style);
                if let Some(kind) = kind {
                    plan.attacks = vec![kind; ALIKE.min(plan.attacks.len())];
                }
                plan.strength = args.strength.unwrap_or(plan.strength);
                runs.push(run(&plan, args, &mut plain)?);
            }
        }
        if styles.len() > 1 {
            line(&mut stdout().lock(), style.as_str(), &runs)?;
        }
        all.append(&mut runs);
    }
    if let Some(scores) = &args.scores {
        read_scores(scores, &all, &mut plain)?;
    }
    if let Some(folder) = &args.compare {
        compare(folder, &all, &plain)?;
    }
    let mut out = stdout().lock();
    let configured: Vec<Score> =
        all.iter().map(|(world, f)| Score::of(world, f, |f| f.alert)).collect();
    writeln!(out, "{} worlds, budget {} configured", all.len(), args.budget)?;
    by_trouble(&mut out, &all, &configured)?;
    wrongs(&mut out, &configured)?;
    table(&mut out, "as configured", &configured)?;
    for budget in [1.0, 0.1] {
        let bar = score::threshold(&all, budget);
        let scores: Vec<Score> =
            all.iter().map(|(world, f)| Score::of(world, f, |f| f.score >= bar)).collect();
        table(&mut out, &format!("threshold {bar:.3e} for {budget}"), &scores)?;
    }
    Ok(())
}

/// What plain methods found in each world.
type Plains = BTreeMap<String, Vec<(World, Vec<Finding>)>>;

/// Takes what other methods found in these worlds.
fn read_scores(
    path: &std::path::Path,
    worlds: &[(World, Vec<Finding>)],
    plain: &mut Plains,
) -> anyhow::Result<()> {
    let text = fs::read_to_string(path)?;
    let scores = account_days::scores(&text)
        .map_err(|line| anyhow::anyhow!("`{}` has a line `{line}`", path.display()))?;
    for (method, world, finding) in scores {
        let empty = || worlds.iter().map(|(world, _)| (world.clone(), Vec::new())).collect();
        let runs = plain.entry(method).or_insert_with(empty);
        let run = runs.get_mut(world);
        let run = run.ok_or_else(|| anyhow::anyhow!("there is no world {world} in this run"))?;
        run.1.push(finding);
    }
    Ok(())
}

/// Budgets at which methods are compared.
const BUDGETS: [f64; 7] = [0.03, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0];
const COLOURS: [&str; 8] =
    ["#1f4e9c", "#c0392b", "#27853b", "#8e44ad", "#b9770e", "#5d6d7e", "#0e8a8a", "#d35490"];

/// Compares the detectors with plain methods, each with thresholds that are chosen afterwards.
fn compare(
    folder: &std::path::Path,
    ours: &[(World, Vec<Finding>)],
    plain: &Plains,
) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    let methods = std::iter::once(("Postern", ours));
    let methods = methods.chain(plain.iter().map(|(name, runs)| (name.as_str(), runs.as_slice())));
    let (mut recalls, mut losses) = (Vec::new(), Vec::new());
    for ((name, runs), colour) in methods.zip(COLOURS) {
        let (mut recall, mut lost) = (Vec::new(), Vec::new());
        for budget in BUDGETS {
            let bar = score::threshold(runs, budget);
            let scores: Vec<Score> =
                runs.iter().map(|(world, f)| Score::of(world, f, |f| f.score >= bar)).collect();
            let in_time =
                score::share(&scores, |o| detectable(o).map(|found| found && o.in_time)).0;
            let outcomes = scores.iter().flat_map(|score| &score.outcomes);
            let told: Vec<&Outcome> = outcomes.filter(|o| detectable(o).is_some()).collect();
            let median = score::quantile(told.iter().map(|o| o.lost).collect(), 0.5);
            let found = score::share(&scores, detectable).0;
            writeln!(
                out,
                "{name:<18} at {budget:<4}: {found:.2} / {in_time:.2}, median lost {median}"
            )?;
            recall.push((budget, in_time));
            lost.push((budget, median as f64));
        }
        recalls.push((name.to_owned(), colour, recall));
        losses.push((name.to_owned(), colour, lost));
    }
    fs::create_dir_all(folder)?;
    let budget = "false alerts per 100 people and day";
    for (file, up, lines) in [
        ("detection-recall.svg", "share of attacks found in time", recalls),
        ("detection-lost.svg", "records lost, median", losses),
    ] {
        fs::write(folder.join(file), plot::lines(budget, up, &lines))?;
    }
    Ok(())
}

/// Writes a world's account-days for methods that are elsewhere.
fn account_day_lines(folder: &std::path::Path, number: usize, world: &World) -> anyhow::Result<()> {
    fs::create_dir_all(folder)?;
    let path = folder.join("account-days.csv");
    if number == 0 {
        fs::write(&path, format!("{}\n", account_days::HEADER))?;
    }
    let lines = account_days::lines(number, &world.events);
    fs::OpenOptions::new().append(true).open(&path)?.write_all(lines.as_bytes())?;
    Ok(())
}

/// Makes a world and runs the detectors over it.
fn run(plan: &Plan, args: &BenchArgs, plain: &mut Plains) -> anyhow::Result<(World, Vec<Finding>)> {
    let config =
        WatchConfig { alerts_per_100_agents_per_day: args.budget, ..WatchConfig::default() };
    let mut world = World::make(plan);
    if let Some(folder) = &args.compare {
        let number = plain.values().next().map_or(0, Vec::len);
        account_day_lines(folder, number, &world)?;
        let found = plain_findings(&world.events);
        let bare = World { events: Vec::new(), ..world.clone() };
        for (method, findings) in found {
            plain.entry(method.as_str().to_owned()).or_default().push((bare.clone(), findings));
        }
    }
    let mut watch = Watch::new(&config);
    let mut findings: Vec<Finding> = Vec::new();
    for seen in std::mem::take(&mut world.events) {
        findings.extend(watch.observe(seen.seen, &seen.event));
    }
    if args.list {
        list(&world, &findings)?;
    }
    Ok((world, findings))
}

/// One style in a line: as configured, and with thresholds chosen afterwards.
fn line(out: &mut impl Write, name: &str, runs: &[(World, Vec<Finding>)]) -> anyhow::Result<()> {
    write!(out, "{name:<14}")?;
    let bars = [None, Some(0.1), Some(1.0)];
    for bar in bars.map(|budget| budget.map(|budget| score::threshold(runs, budget))) {
        let keep = |f: &Finding| bar.map_or(f.alert, |bar| f.score >= bar);
        let scores: Vec<Score> = runs.iter().map(|(world, f)| Score::of(world, f, keep)).collect();
        let told = |o: &&Outcome| o.kind != Kind::Photographs;
        let outcomes: Vec<&Outcome> =
            scores.iter().flat_map(|score| &score.outcomes).filter(told).collect();
        let share = |of: fn(&Outcome) -> bool| {
            outcomes.iter().filter(|outcome| of(outcome)).count() as f64
                / outcomes.len().max(1) as f64
        };
        write!(
            out,
            " | {:>6.3} {:.2} {:.2} {:>4}",
            score::rate(&scores),
            share(|outcome| outcome.found),
            share(|outcome| outcome.in_time),
            score::quantile(outcomes.iter().map(|outcome| outcome.lost).collect(), 0.5),
        )?;
    }
    writeln!(out)?;
    out.flush()?;
    Ok(())
}

fn by_trouble(
    out: &mut impl Write,
    runs: &[(World, Vec<Finding>)],
    scores: &[Score],
) -> anyhow::Result<()> {
    let mut groups: BTreeMap<Trouble, Vec<Score>> = BTreeMap::new();
    for ((world, _), score) in runs.iter().zip(scores) {
        groups.entry(world.plan.trouble).or_default().push(score.clone());
    }
    for (trouble, scores) in groups {
        let recall = score::share(&scores, detectable);
        writeln!(
            out,
            "  {:<10} false {:.3} per 100 and day, recall {:.2}",
            trouble.as_str(),
            score::rate(&scores),
            recall.0
        )?;
    }
    Ok(())
}

fn wrongs(out: &mut impl Write, scores: &[Score]) -> anyhow::Result<()> {
    let mut all: BTreeMap<_, usize> = BTreeMap::new();
    for score in scores {
        for (key, count) in &score.wrong {
            *all.entry(key.clone()).or_default() += count;
        }
    }
    writeln!(out, "  false: {all:?}")?;
    Ok(())
}

fn detectable(outcome: &Outcome) -> Option<bool> {
    (outcome.kind != Kind::Photographs).then_some(outcome.found)
}

fn table(out: &mut impl Write, title: &str, scores: &[Score]) -> anyhow::Result<()> {
    writeln!(out, "\n{title}: {:.3} false alerts per 100 and day", score::rate(scores))?;
    writeln!(
        out,
        "kind                 n  recall (90 %)       in time  lost p50  p90  days p50  by"
    )?;
    for kind in Kind::ALL {
        row(out, kind.as_str(), scores, |outcome| outcome.kind == kind)?;
    }
    row(out, "all detectable", scores, |outcome| outcome.kind != Kind::Photographs)
}

fn row(
    out: &mut impl Write,
    name: &str,
    scores: &[Score],
    of: impl Fn(&Outcome) -> bool,
) -> anyhow::Result<()> {
    let mine: Vec<&Outcome> =
        scores.iter().flat_map(|score| &score.outcomes).filter(|o| of(o)).collect();
    if mine.is_empty() {
        return Ok(());
    }
    let recall = score::share(scores, |outcome| of(outcome).then_some(outcome.found));
    let in_time = score::share(scores, |outcome| of(outcome).then_some(outcome.in_time));
    let lost: Vec<usize> = mine.iter().map(|outcome| outcome.lost).collect();
    let days = mine.iter().filter_map(|o| o.days).map(|days| (days * 10.0) as usize).collect();
    let mut by: BTreeMap<&str, usize> = BTreeMap::new();
    for outcome in mine.iter().filter(|outcome| outcome.found) {
        *by.entry(&outcome.by).or_default() += 1;
    }
    let by: Vec<String> = by.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    writeln!(
        out,
        "{name:<18} {:>4}  {:.2} ({:.2}-{:.2})    {:.2}     {:>5} {:>5}  {:>6.1}  {}",
        mine.len(),
        recall.0,
        recall.1,
        recall.2,
        in_time.0,
        score::quantile(lost.clone(), 0.5),
        score::quantile(lost, 0.9),
        score::quantile(days, 0.5) as f64 / 10.0,
        by.join(", ")
    )?;
    Ok(())
}

fn list(world: &World, findings: &[Finding]) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    let plan = &world.plan;
    let name = format!("{} {} {}", plan.style.as_str(), plan.trouble.as_str(), plan.seed);
    for finding in findings.iter().filter(|finding| finding.alert) {
        let attack = world.attacks.iter().find(|attack| {
            finding.actors.iter().any(|actor| attack.actors.contains(actor))
                && finding.time >= attack.start
        });
        let Some(actor) = finding.actors.first() else { continue };
        let role = world.roles.get(actor).copied().unwrap_or("nobody");
        let what = attack.map_or("FALSE", |attack| attack.kind.as_str());
        let (time, kind, why) = (finding.time, &finding.kind, &finding.why);
        writeln!(out, "{name} {what} {time} {actor} {role} {kind} {:.1}: {why}", finding.score)?;
    }
    let score = Score::of(world, findings, |finding| finding.alert);
    for (attack, outcome) in world.attacks.iter().zip(&score.outcomes) {
        if !outcome.found {
            writeln!(
                out,
                "{name} MISSED {} {:?} {} records from {}, at most {:?}",
                attack.kind.as_str(),
                attack.actors,
                attack.taken.len(),
                attack.start,
                findings
                    .iter()
                    .filter(|f| attack.actors.iter().any(|actor| f.actors.contains(actor)))
                    .map(|f| (f.score as u64, &f.kind))
                    .max()
            )?;
        }
    }
    Ok(())
}
