//! What may be said: the posterior over all hypotheses, and the conditions for naming an account.

use std::{borrow::Cow, collections::BTreeSet, sync::Arc};

use crate::{
    Leak, Other, OtherSource, Rows, Suspect, Trace, Verdict,
    hypotheses::{Candidate, Likelihood, Model},
    index::{self, Index},
    innocent::{self, Readers},
    mixture::{Mixture, log_sum},
    resolve::{self, Resolved},
    source::SourceSet,
    tracer::Tracer,
};

mod kinds;
mod words;

/// Accounts that are weighed through all windows; the others are screened in closed form.
const WEIGHED: usize = 1_000;
/// Accounts that are weighed again without each tenth of the rows; no other can have become the
/// best by that, and together they count as the least of these.
const WEIGHED_AGAIN: usize = 50;
/// Accounts of which pairs, and as framed ones, are weighed.
const PAIRED: usize = 8;
/// How much rarer than an account a framing of it is, and a pair that it belongs to.
const FRAMING: f64 = 1e-3;
const PAIR: f64 = 0.05;
/// Rows that each member of a pair must bring.
const CONTRIBUTED: usize = 3;
/// A framer is at least this good at imitating: the likelihood of a framing, relative to the truth.
const FRAMER: f64 = 0.2;
/// The bars of the design.
const POSTERIOR: f64 = 0.999;
const RATIO: f64 = 1_000.0;
const MATCHES: usize = 5;
const KINDS: usize = 2;
const P_VALUE: f64 = 0.001;
/// "Narrowed" is said of at most so many accounts that hold at least this much together.
const NARROWED: (usize, f64) = (5, 0.95);
/// How many suspects and other hypotheses are told.
const TOLD: usize = 10;

/// A hypothesis about the source; accounts, by number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    Outside,
    Unlogged,
    Pool(Arc<str>),
    Account(u32),
    Pair(u32, u32),
    /// The framed account, and who could have framed it best.
    Framing(u32, Option<u32>),
}

/// A hypothesis with its logarithms: likelihood ratio to "outside", and prior weights.
#[derive(Debug, Clone)]
struct Hypothesis {
    source: Source,
    log_ratio: f64,
    flat: f64,
    sceptical: f64,
}

/// The case as it stands: everything that does not depend on which rows are in use.
struct Case<'a> {
    tracer: &'a Tracer,
    model: Model<'a>,
    /// Number, candidate; the most suspicious by the closed form first.
    accounts: Vec<(u32, Candidate<'a>)>,
    /// How many accounts there are besides the weighed ones.
    screened_out: usize,
    pools: Vec<(Arc<str>, Candidate<'a>)>,
    unlogged: Candidate<'a>,
}

/// The hypotheses weighed by the rows in use.
struct Weighed {
    hypotheses: Vec<Hypothesis>,
    /// Likelihoods of `Case::accounts`.
    likelihoods: Vec<Likelihood>,
    /// By hypothesis: posteriors under both priors.
    posteriors: Vec<(f64, f64)>,
}

/// Judges a list. See [`Trace`].
pub(crate) fn judge(tracer: &Tracer, index: &Index, leak: &Leak) -> Trace {
    let list = resolve::resolve(tracer, leak);
    if list.rows.len() + list.strangers == 0 || tracer.accesses.is_empty() {
        return words::nothing_known(&list);
    }
    let Index { background, readers, .. } = index;
    let sets: Vec<&SourceSet> = tracer.seen.iter().collect();
    let expected = innocent::expected(&sets, background, &list);
    let (numbers, screened_out) = screened(tracer, readers, &list, &expected);
    let mixture = Mixture::new();
    let candidate = |set, sizes| Candidate::new(set, sizes, &list);
    let accounts = numbers.into_iter().filter_map(|number| {
        let set = *sets.get(at(number))?;
        Some((number, candidate(set, index.sizes(number, set))))
    });
    let pools = tracer
        .pools()
        .into_iter()
        .map(|(name, set)| (name, candidate(set, Cow::Owned(index::sizes(set, background)))));
    let everything = candidate(&index.everything, Cow::Borrowed(&index.everything_sizes));
    let case = Case {
        tracer,
        accounts: accounts.collect(),
        screened_out,
        pools: pools.collect(),
        unlogged: everything.excluding(&index.one_account),
        model: Model { background, mixture: &mixture, list: &list },
    };
    let used = vec![true; list.rows.len()];
    let weighed = case.weigh(&used);
    let Some(best) = weighed.best() else { return words::nothing_known(&list) };
    let p_value =
        |number| innocent::p_value(background, readers, &list, &expected, (number, &tracer.config));
    let verdict = case.verdict(&weighed, best, p_value);
    case.told(&weighed, best, verdict)
}

fn at(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Whether the account brings rows into a pair that the other does not have. Who brings one or two
/// has them by chance, and a list always has a few that fit somebody.
fn contributes(account: &Likelihood, other: &Likelihood) -> bool {
    let rows = account.rows.keys().filter(|row| !other.rows.contains_key(row));
    rows.count() >= CONTRIBUTED
}

/// The accounts to weigh, and how many are not.
fn screened(
    tracer: &Tracer,
    readers: &Readers,
    list: &Resolved,
    expected: &[f64],
) -> (Vec<u32>, usize) {
    let mut hits = vec![0_u32; expected.len()];
    for row in &list.rows {
        for reader in readers.of(row.subject) {
            if let Some(count) = hits.get_mut(at(*reader)) {
                *count += 1;
            }
        }
    }
    let rows = (list.rows.len() + list.strangers) as f64;
    let mut scored: Vec<_> = (0_u32..)
        .zip(tracer.accounts.names.iter().zip(hits.iter().zip(expected)))
        .filter(|(_, (actor, _))| !tracer.is_shared(actor))
        .map(|(number, (actor, (count, expected)))| {
            let score = innocent::screen(f64::from(*count), rows, *expected);
            (score, *count, actor, number)
        })
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)).then(a.2.cmp(b.2)));
    let out = scored.len().saturating_sub(WEIGHED);
    (scored.into_iter().take(WEIGHED).map(|(_, _, _, number)| number).collect(), out)
}

impl<'a> Case<'a> {
    fn weigh(&self, used: &[bool]) -> Weighed {
        let likelihoods: Vec<Likelihood> =
            self.accounts.iter().map(|(_, candidate)| candidate.weigh(&self.model, used)).collect();
        let count = (self.accounts.len() + self.screened_out).max(1) as f64;
        let account = (0.15 / count).ln();
        let pool = (0.1 / self.pools.len().max(1) as f64).ln();
        let plain =
            |source, log_ratio, sceptical| Hypothesis { source, log_ratio, flat: 0.0, sceptical };
        let mut hypotheses = vec![
            plain(Source::Outside, 0.0, 0.5_f64.ln()),
            plain(
                Source::Unlogged,
                self.unlogged.weigh(&self.model, used).log_ratio,
                0.25_f64.ln(),
            ),
        ];
        for (name, candidate) in &self.pools {
            let ratio = candidate.weigh(&self.model, used).log_ratio;
            hypotheses.push(plain(Source::Pool(Arc::clone(name)), ratio, pool));
        }
        for ((number, _), likelihood) in self.accounts.iter().zip(&likelihoods) {
            hypotheses.push(plain(Source::Account(*number), likelihood.log_ratio, account));
        }
        self.compound(&likelihoods, used, (count, account), &mut hypotheses);
        let posteriors = self.posteriors(&hypotheses, &likelihoods, account);
        Weighed { hypotheses, likelihoods, posteriors }
    }

    /// Pairs and framings of the accounts with the best likelihoods.
    fn compound(
        &self,
        likelihoods: &[Likelihood],
        used: &[bool],
        (count, account): (f64, f64),
        hypotheses: &mut Vec<Hypothesis>,
    ) {
        let mut order: Vec<_> = self.accounts.iter().zip(likelihoods).collect();
        order.sort_by(|a, b| b.1.log_ratio.total_cmp(&a.1.log_ratio));
        order.truncate(PAIRED);
        for (position, ((a, framed), likelihood)) in order.iter().enumerate() {
            for ((b, _), other) in order.iter().take(position) {
                if !contributes(likelihood, other) || !contributes(other, likelihood) {
                    continue;
                }
                let rarer = (PAIR / count).ln();
                hypotheses.push(Hypothesis {
                    source: Source::Pair(*a.min(b), *a.max(b)),
                    log_ratio: self.model.pair(likelihood, other, used),
                    flat: rarer,
                    sceptical: account + rarer,
                });
            }
            let (framer, log_ratio) = self.framing(*a, framed, used, count);
            hypotheses.push(Hypothesis {
                source: Source::Framing(*a, framer),
                log_ratio: log_ratio.max(likelihood.log_ratio + FRAMER.ln()),
                flat: FRAMING.ln(),
                sceptical: account + FRAMING.ln(),
            });
        }
    }

    /// Who could have framed the account best, and how probable the list is if anybody has.
    fn framing(
        &self,
        framed: u32,
        candidate: &Candidate<'_>,
        used: &[bool],
        count: f64,
    ) -> (Option<u32>, f64) {
        let rows = |candidate: &Candidate<'_>| -> BTreeSet<usize> {
            candidate.points.iter().map(|point| point.row).collect()
        };
        let own = rows(candidate);
        // An account with fewer matches is not named in any case.
        if own.len() < MATCHES {
            return (None, f64::NEG_INFINITY);
        }
        let mut best = (None, f64::NEG_INFINITY);
        let mut ratios = Vec::new();
        for (number, other) in &self.accounts {
            if *number == framed || rows(other).intersection(&own).count() * 2 < own.len() {
                continue;
            }
            let ratio = self.model.framed(candidate, other.set, used);
            ratios.push(ratio);
            if ratio > best.1 {
                best = (Some(*number), ratio);
            }
        }
        let others = (count - 1.0).max(1.0);
        (best.0, log_sum(ratios.iter().copied()) - others.ln())
    }

    fn posteriors(
        &self,
        hypotheses: &[Hypothesis],
        likelihoods: &[Likelihood],
        account: f64,
    ) -> Vec<(f64, f64)> {
        // Accounts that were screened out are no more probable than the last that was not.
        let last = likelihoods.iter().map(|l| l.log_ratio).fold(f64::INFINITY, f64::min);
        let out = if self.screened_out == 0 {
            f64::NEG_INFINITY
        } else {
            last + (self.screened_out as f64).ln()
        };
        let flat = log_sum(hypotheses.iter().map(|h| h.flat + h.log_ratio).chain([out]));
        let sceptical = hypotheses.iter().map(|h| h.sceptical + h.log_ratio);
        let sceptical = log_sum(sceptical.chain([out + account]));
        hypotheses
            .iter()
            .map(|h| {
                let flat = (h.flat + h.log_ratio - flat).exp();
                (flat, (h.sceptical + h.log_ratio - sceptical).exp())
            })
            .collect()
    }

    fn verdict(
        &self,
        weighed: &Weighed,
        best: usize,
        p_value: impl Fn(u32) -> f64,
    ) -> (Verdict, Vec<u32>) {
        let no_account = |h: &Hypothesis| matches!(h.source, Source::Outside | Source::Unlogged);
        if weighed.mass(no_account) >= POSTERIOR {
            return (Verdict::Outside, Vec::new());
        }
        if let Some((number, candidate)) = self.accounts.get(best)
            && weighed.passes(*number)
            && kinds::matches(candidate, weighed.likelihoods.get(best)) >= MATCHES
            && kinds::kinds(&self.model, candidate, weighed.likelihoods.get(best)) >= KINDS
            && p_value(*number) <= P_VALUE
            && self.survives(weighed, *number)
        {
            return (Verdict::Attributed, vec![*number]);
        }
        let narrowed = weighed.narrowed();
        if narrowed.is_empty() {
            (Verdict::CannotTell, narrowed)
        } else {
            (Verdict::Narrowed, narrowed)
        }
    }

    /// Whether the account passes without any tenth of the rows. They are ordered by customer, so
    /// that the order of the list has no effect.
    fn survives(&self, weighed: &Weighed, account: u32) -> bool {
        let mut order: Vec<_> = self.accounts.iter().zip(&weighed.likelihoods).collect();
        order.sort_by(|a, b| b.1.log_ratio.total_cmp(&a.1.log_ratio));
        let best = order.iter().take(WEIGHED_AGAIN).map(|(account, _)| (*account).clone());
        let case = Case {
            tracer: self.tracer,
            model: self.model,
            accounts: best.collect(),
            screened_out: self.screened_out + order.len().saturating_sub(WEIGHED_AGAIN),
            pools: self.pools.clone(),
            unlogged: self.unlogged.clone(),
        };
        (0..10).all(|tenth| {
            let used: Vec<bool> =
                (0..self.model.list.rows.len()).map(|row| row % 10 != tenth).collect();
            case.weigh(&used).passes(account)
        })
    }

    fn told(&self, weighed: &Weighed, best: usize, verdict: (Verdict, Vec<u32>)) -> Trace {
        let (verdict, numbers) = verdict;
        let list = self.model.list;
        let mut suspects: Vec<Suspect> = Vec::new();
        for (position, (number, candidate)) in self.accounts.iter().enumerate() {
            let Some(actor) = self.tracer.accounts.name(*number) else { continue };
            let rows: BTreeSet<usize> = candidate.points.iter().map(|point| point.row).collect();
            let likelihood = weighed.likelihoods.get(position);
            suspects.push(Suspect {
                actor: actor.clone(),
                probability: weighed.probability(*number),
                log_likelihood_ratio: likelihood
                    .map_or(f64::NEG_INFINITY, |l| l.log_ratio - weighed.rival(*number)),
                matched: rows.len(),
            });
        }
        let first = suspects.get(best).cloned();
        suspects.sort_by(|a, b| {
            let by_ratio = b.log_likelihood_ratio.total_cmp(&a.log_likelihood_ratio);
            by_ratio.then(b.matched.cmp(&a.matched)).then_with(|| a.actor.cmp(&b.actor))
        });
        suspects.truncate(TOLD);
        let others = self.others(weighed);
        let matched = first.as_ref().map_or(0, |suspect| suspect.matched);
        let rows = Rows { list: list.list, resolved: list.rows.len(), matched };
        let name = |number: &u32| self.tracer.accounts.name(*number).cloned();
        let (window, evidence) = self.readings(weighed, best);
        let narrowed: Vec<_> = numbers.iter().filter_map(name).collect();
        let why = words::why(verdict, first.as_ref(), &narrowed, &others, rows);
        let actors = if verdict == Verdict::Attributed { narrowed } else { Vec::new() };
        Trace { verdict, actors, suspects, others, rows, window, evidence, why }
    }

    fn others(&self, weighed: &Weighed) -> Vec<Other> {
        let name = |number: &u32| self.tracer.accounts.name(*number).cloned();
        let mut others: Vec<Other> = Vec::new();
        for (hypothesis, posterior) in weighed.hypotheses.iter().zip(&weighed.posteriors) {
            let source = match &hypothesis.source {
                Source::Outside => OtherSource::Outside,
                Source::Unlogged => OtherSource::Unlogged,
                Source::Pool(name) => OtherSource::Pool(Arc::clone(name)),
                Source::Pair(a, b) => {
                    let mut actors: Vec<_> = [a, b].into_iter().filter_map(name).collect();
                    actors.sort();
                    OtherSource::Coalition(actors)
                }
                Source::Framing(framed, _) => match name(framed) {
                    Some(actor) => OtherSource::Framing(actor),
                    None => continue,
                },
                Source::Account(_) => continue,
            };
            others.push(Other { source, probability: posterior.0.max(posterior.1) });
        }
        others.sort_by(|a, b| {
            b.probability.total_cmp(&a.probability).then_with(|| a.source.cmp(&b.source))
        });
        others.truncate(TOLD);
        others
    }

    /// When the first suspect's matches were probably taken, and in which accesses.
    fn readings(
        &self,
        weighed: &Weighed,
        best: usize,
    ) -> (Option<(postern_model::Timestamp, postern_model::Timestamp)>, Vec<String>) {
        let candidate = self.accounts.get(best).map(|(_, candidate)| candidate);
        let likelihood = weighed.likelihoods.get(best);
        let points = kinds::in_window(&self.model, candidate, likelihood);
        let window = kinds::likely_time(&points);
        let accesses: BTreeSet<(i64, u32)> =
            points.iter().map(|point| (point.seen.time, point.seen.access)).collect();
        let id = |access: u32| self.tracer.accesses.get(at(access)).cloned();
        (window, accesses.into_iter().filter_map(|(_, access)| id(access)).collect())
    }
}

impl Weighed {
    /// The position of the account with the highest likelihood, the first of equals.
    fn best(&self) -> Option<usize> {
        let ratios = self.likelihoods.iter().map(|likelihood| likelihood.log_ratio).enumerate();
        ratios.max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0))).map(|(position, _)| position)
    }

    /// The posterior of the hypotheses chosen, the smaller of the two.
    fn mass(&self, chosen: impl Fn(&Hypothesis) -> bool) -> f64 {
        let both = self.hypotheses.iter().zip(&self.posteriors).filter(|(h, _)| chosen(h));
        let sum = both.fold((0.0, 0.0), |sum, (_, p)| (sum.0 + p.0, sum.1 + p.1));
        f64::min(sum.0, sum.1)
    }

    fn probability(&self, account: u32) -> f64 {
        self.mass(|h| h.source == Source::Account(account))
    }

    /// The logarithm of the likelihood ratio of the best rival of an account. A pair and a framing
    /// count with their rarity, because they are made of the account's own likelihood.
    fn rival(&self, account: u32) -> f64 {
        let rivals = self.hypotheses.iter().filter(|h| h.source != Source::Account(account));
        rivals.map(|h| h.log_ratio + h.flat).fold(f64::NEG_INFINITY, f64::max)
    }

    /// Whether posterior and likelihood ratio are beyond their bars.
    fn passes(&self, account: u32) -> bool {
        let own = self.hypotheses.iter().find(|h| h.source == Source::Account(account));
        own.is_some_and(|own| own.log_ratio - self.rival(account) >= RATIO.ln())
            && self.probability(account) >= POSTERIOR
    }

    /// The fewest accounts, most probable first, that hold nearly all of the posterior together;
    /// none if there are too many of them.
    fn narrowed(&self) -> Vec<u32> {
        let actors = |source: &Source| -> Vec<u32> {
            match source {
                Source::Outside | Source::Unlogged | Source::Pool(_) => Vec::new(),
                Source::Account(a) => vec![*a],
                Source::Pair(a, b) => vec![*a, *b],
                Source::Framing(a, b) => [*a].into_iter().chain(*b).collect(),
            }
        };
        let mut chosen: BTreeSet<u32> = BTreeSet::new();
        let mut order = Vec::new();
        while order.len() < NARROWED.0 {
            let next = self
                .hypotheses
                .iter()
                .zip(&self.posteriors)
                .map(|(h, p)| (actors(&h.source), p.0.min(p.1)))
                .filter(|(actors, _)| actors.iter().any(|actor| !chosen.contains(actor)))
                .max_by(|a, b| a.1.total_cmp(&b.1));
            let Some((next, _)) = next else { break };
            for actor in next {
                if chosen.insert(actor) {
                    order.push(actor);
                }
            }
            let held = self.mass(|h| {
                let actors = actors(&h.source);
                !actors.is_empty() && actors.iter().all(|actor| chosen.contains(actor))
            });
            if held >= NARROWED.1 {
                return order;
            }
        }
        Vec::new()
    }
}
