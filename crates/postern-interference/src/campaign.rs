//! Many scripts over many worlds.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::bail;

use crate::{
    arena::{Arena, Stage},
    client::Outcome,
    compare::{Verdict, judge},
    dice::Dice,
    generate,
    grammar::Grammar,
    make,
    schema::World,
    script::Script,
    shrink::shrink,
};

/// Scripts that are played over one world before the next is made.
pub const SCRIPTS_PER_WORLD: u64 = 1_000;

/// A world with so many findings is left: making each short takes long.
const FINDINGS_MAX: usize = 3;

/// How many of a hundred thousand scripts may differ once, or end on one side only for lack of
/// time. What comes from data comes again; a busy machine makes one or two.
const UNSTEADY_MAX: u64 = 50;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// The first world's seed; the next one's is one more.
    pub seed: u64,
    pub scripts: u64,
    /// Threads, each with two servers of its own.
    pub workers: usize,
}

/// A script that tells the two sides apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub seed: u64,
    pub number: u64,
    /// As short as it could be made.
    pub script: Script,
    pub why: String,
}

/// What was done.
#[derive(Debug, Clone, Default)]
pub struct Totals {
    pub worlds: u64,
    pub scripts: u64,
    pub outcomes: BTreeMap<Outcome, u64>,
    pub rows: u64,
    /// Differences that did not show again.
    pub unsteady: Vec<String>,
    /// Differences that do not show in new databases: they come of what earlier scripts changed,
    /// by which rows stand in other places.
    pub moved: Vec<String>,
    /// Differences that do not show where both databases have their rows in the order of the keys:
    /// they come of where rows stand, which hangs on the lengths of the rows before them.
    pub placed: Vec<String>,
    pub findings: Vec<Finding>,
    pub took: Duration,
}

/// Writes the scripts of one world.
#[derive(Debug)]
pub(crate) struct Maker<'m> {
    pub(crate) world: &'m World,
    pub(crate) grammar: &'m Grammar,
}

impl Maker<'_> {
    fn script(&self, seed: u64, number: u64) -> (Script, Vec<u32>) {
        generate::script(self.world, self.grammar, Dice::of_pair(seed, number))
    }

    /// The script that these numbers make, and those of them that it needs.
    pub(crate) fn replay(&self, drawn: Vec<u32>) -> (Script, Vec<u32>) {
        generate::script(self.world, self.grammar, Dice::again(drawn))
    }
}

/// Plays all scripts of a plan; `tell` is told of each world that is done.
pub fn run(plan: Plan, tell: &(dyn Fn(&str) + Sync)) -> anyhow::Result<Totals> {
    let begun = Instant::now();
    let worlds = plan.scripts.div_ceil(SCRIPTS_PER_WORLD);
    let next = AtomicU64::new(0);
    let totals = Mutex::new(Totals::default());
    let work = || -> anyhow::Result<()> {
        let arena = Arena::start()?;
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= worlds {
                return Ok(());
            }
            let left = plan.scripts - index * SCRIPTS_PER_WORLD;
            let seed = plan.seed + index;
            let world = make::world(seed);
            let done = play_world(&arena, &world, seed, left.min(SCRIPTS_PER_WORLD))?;
            tell(&format!("world {seed}: {done}"));
            if let Ok(mut totals) = totals.lock() {
                totals.add(done);
            }
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..plan.workers.max(1)).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            match thread.join() {
                Ok(done) => done?,
                Err(_) => bail!("a thread has panicked"),
            }
        }
        Ok(())
    })?;
    let Ok(mut totals) = totals.into_inner() else { bail!("a thread has panicked") };
    totals.took = begun.elapsed();
    Ok(totals)
}

/// Plays the first scripts of a world.
pub(crate) fn play_world(
    arena: &Arena,
    world: &World,
    seed: u64,
    scripts: u64,
) -> anyhow::Result<Totals> {
    let begun = Instant::now();
    let grammar = Grammar::load()?;
    let maker = Maker { world, grammar: &grammar };
    let mut stage = arena.stage(world)?;
    let mut totals = Totals { worlds: 1, scripts, ..Totals::default() };
    for number in 0..scripts {
        if let Some(finding) = play((arena, &mut stage), &maker, (seed, number), &mut totals)? {
            totals.findings.push(finding);
            if totals.findings.len() >= FINDINGS_MAX {
                totals.scripts = number + 1;
                break;
            }
        }
    }
    totals.took = begun.elapsed();
    Ok(totals)
}

fn play(
    (arena, stage): (&Arena, &mut Stage),
    maker: &Maker,
    (seed, number): (u64, u64),
    totals: &mut Totals,
) -> anyhow::Result<Option<Finding>> {
    let (script, drawn) = maker.script(seed, number);
    match judge(stage, &script)? {
        Verdict::Same { outcome, rows } => {
            *totals.outcomes.entry(outcome).or_default() += 1;
            totals.rows += u64::try_from(rows)?;
            Ok(None)
        }
        Verdict::Unsteady(why) => {
            totals.unsteady.push(format!("seed {seed}, query {number}: {why}"));
            Ok(None)
        }
        Verdict::Leak(why) => {
            *stage = arena.stage(maker.world)?;
            if !matches!(judge(stage, &script)?, Verdict::Leak(_)) {
                totals.moved.push(format!("seed {seed}, query {number}: {why}"));
                return Ok(None);
            }
            if is_placed(arena, maker.world, &script)? {
                totals.placed.push(format!("seed {seed}, query {number}: {why}"));
                return Ok(None);
            }
            let (script, why) = shrink(stage, maker, drawn)?;
            Ok(Some(Finding { seed, number, script, why }))
        }
    }
}

/// Whether a difference goes away when rows stand in the order of their keys on both sides. Where
/// nothing that differs has another length, they did so before.
pub(crate) fn is_placed(arena: &Arena, world: &World, script: &Script) -> anyhow::Result<bool> {
    if world.level {
        return Ok(false);
    }
    let mut stage = arena.stage_in_order(world)?;
    Ok(!matches!(judge(&mut stage, script)?, Verdict::Leak(_)))
}

/// One script of one world: its text, what came on the first side, and what is to be said of it.
pub fn replay(seed: u64, number: u64) -> anyhow::Result<String> {
    let world = make::world(seed);
    let grammar = Grammar::load()?;
    let maker = Maker { world: &world, grammar: &grammar };
    let arena = Arena::start()?;
    let mut stage = arena.stage(&world)?;
    let (script, _) = maker.script(seed, number);
    let [one, _] = stage.play(&script)?;
    let said = one.errors();
    let mut totals = Totals::default();
    let finding = play((&arena, &mut stage), &maker, (seed, number), &mut totals)?;
    let found = match (finding, totals.placed.is_empty()) {
        (Some(finding), _) => finding.to_string(),
        (None, false) => format!("placed: {}", totals.placed.join("\n")),
        (None, true) => "both sides say the same".to_owned(),
    };
    Ok(format!(
        "{}\n{}\n{}\nerrors: {said:?}, rows: {}\n{found}",
        world.setup,
        script.text(),
        world.policy,
        one.rows()
    ))
}

/// The texts of some scripts of a world, and what became of each.
pub fn survey(seed: u64, scripts: u64) -> anyhow::Result<Vec<String>> {
    let world = make::world(seed);
    let grammar = Grammar::load()?;
    let maker = Maker { world: &world, grammar: &grammar };
    let arena = Arena::start()?;
    let mut stage = arena.stage(&world)?;
    let mut lines = Vec::new();
    for number in 0..scripts {
        let (script, _) = maker.script(seed, number);
        let [one, _] = stage.play(&script)?;
        let errors: Vec<String> =
            one.errors().iter().map(|(code, text)| format!("{code} {text}")).collect();
        let outcome = one.outcome();
        lines.push(format!("{number}\t{outcome:?}\t{}\t{}", errors.join(" | "), script.text()));
    }
    Ok(lines)
}

impl Totals {
    /// How many of a hundred scripts ran without an error.
    pub fn allowed_percent(&self) -> u64 {
        self.percent(Outcome::Allowed)
    }

    /// Whether nothing was found, and enough was seen to say so.
    pub fn is_well(&self) -> bool {
        self.findings.is_empty() && self.count(Outcome::Closed) == 0 && self.is_steady()
    }

    fn is_steady(&self) -> bool {
        let max = UNSTEADY_MAX * self.scripts.div_ceil(100_000).max(1);
        u64::try_from(self.unsteady.len()).is_ok_and(|count| count <= max)
    }

    fn count(&self, outcome: Outcome) -> u64 {
        self.outcomes.get(&outcome).copied().unwrap_or(0)
    }

    fn percent(&self, outcome: Outcome) -> u64 {
        self.count(outcome) * 100 / self.scripts.max(1)
    }

    fn add(&mut self, other: Self) {
        self.worlds += other.worlds;
        self.scripts += other.scripts;
        self.rows += other.rows;
        for (outcome, count) in other.outcomes {
            *self.outcomes.entry(outcome).or_default() += count;
        }
        self.unsteady.extend(other.unsteady);
        self.moved.extend(other.moved);
        self.placed.extend(other.placed);
        self.findings.extend(other.findings);
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.took.as_secs_f64().max(0.001);
        write!(
            f,
            "{} queries over {} worlds in {seconds:.1} s: {} % without error, {} % refused, {} % \
             failed, {} timed out, {} closed, {} rows; {} unsteady, {} moved, {} placed, \
             {} findings",
            self.scripts,
            self.worlds,
            self.percent(Outcome::Allowed),
            self.percent(Outcome::Refused),
            self.percent(Outcome::Failed),
            self.count(Outcome::TimedOut),
            self.count(Outcome::Closed),
            self.rows,
            self.unsteady.len(),
            self.moved.len(),
            self.placed.len(),
            self.findings.len()
        )
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}, query {}: {}\n{}", self.seed, self.number, self.why, self.script.text())
    }
}
