//! What may be said: the posterior over all hypotheses, and the conditions for naming an account.

use std::{borrow::Cow, collections::BTreeMap};

use postern_model::{Subject, Text};

use crate::{
    Trace,
    background::at,
    copied,
    fit::{Column, Fit, Fitted},
    index::Index,
    innocent::{self, Readers},
    mixture::{Mixture, log_sum},
    reasons,
    resolve::Resolved,
    source::SourceSet,
    tracer::Tracer,
    tracks::{Candidate, Model, Tracks},
};

mod details;
mod framing;
mod kinds;
mod rest;
mod taste;
mod teams;
mod told;
mod verdict;
mod words;

/// Accounts of which all tracks are weighed; the others are screened in closed form.
const WEIGHED: usize = 200;
/// Accounts and other sources that are fitted, and of these, those that are fitted in pairs.
const FITTED: (usize, usize) = (14, 7);
const PAIRED: usize = 5;
/// Sources that are tried as one more.
const TRIED: usize = 5;
/// Sources of one list at most; what would need more is understood by nobody.
const TOGETHER: usize = 3;
/// One more than that must add this share of what all of them explain to count.
const CROWDED: f64 = 0.05;

/// Who may have given records.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Account(u32),
    Pool(Text),
    Unlogged,
}

/// A source, weighed.
struct Source<'a> {
    who: Who,
    candidate: Candidate<'a>,
    tracks: Tracks,
}

/// Sources, by position, that gave a list together; none of them: it came from outside.
struct Hypothesis {
    members: Vec<usize>,
    /// Logarithms: likelihood ratio to "outside", and prior weights.
    log_ratio: f64,
    flat: f64,
    sceptical: f64,
    /// The part of the rows that each gave.
    parts: Vec<f64>,
    /// The accounts whose customers the world outside prefers for reasons of its own, and the
    /// spread of the logarithm of the factor by which it may.
    tastes: Vec<(usize, f64)>,
    /// Posteriors under both priors.
    posterior: (f64, f64),
}

/// The case as it stands.
struct Case<'a> {
    tracer: &'a Tracer,
    index: &'a Index,
    model: Model<'a>,
    /// Accounts by their ratio, best first; then the others likewise.
    sources: Vec<Source<'a>>,
    /// How many accounts there are, and how many other sources.
    counts: (f64, f64),
    /// By account, the share of the list that it would have by chance.
    expected: Vec<f64>,
    /// By account, how probable it is before the list is seen that it is the one, if one is.
    shares: Vec<f64>,
}

/// The hypotheses, most probable first.
struct Weighed {
    hypotheses: Vec<Hypothesis>,
    /// Whether even more sources than [`TOGETHER`] would explain the list clearly better.
    crowded: bool,
    /// By position of an account that was fitted: how probable it is that it was framed.
    framed: BTreeMap<usize, f64>,
}

/// Judges a list. See [`Trace`].
pub(crate) fn judge(tracer: &Tracer, index: &Index, list: &Resolved) -> Trace {
    weighed(tracer, index, list, |case, weighed| {
        let (verdict, named) = case.verdict(weighed);
        case.told(weighed, verdict, &named)
    })
    .unwrap_or_else(|| words::nothing_known(list))
}

/// The customers who may be called next. See [`Tracer::next_called`].
pub(crate) fn next_called(tracer: &Tracer, index: &Index, list: &Resolved) -> Vec<(Subject, f64)> {
    weighed(tracer, index, list, |case, weighed| case.next_called(weighed)).unwrap_or_default()
}

/// Weighs a list, and has something said of it; `None` if nothing can be said.
fn weighed<T>(
    tracer: &Tracer,
    index: &Index,
    list: &Resolved,
    say: impl FnOnce(&Case<'_>, &Weighed) -> T,
) -> Option<T> {
    if list.rows.len() + list.strangers == 0 || !tracer.has_accesses() {
        return None;
    }
    let mixture = Mixture::new();
    let copied = copied::ratios(&index.background, list);
    let model = Model {
        background: &index.background,
        mixture: &mixture,
        list,
        copied: &copied,
        reasons: reasons::are_known(tracer),
    };
    let everything = index.everything_of(tracer, list);
    let case = Case::new(tracer, index, model, &everything);
    let fit = Fit::new(&model, None);
    let mut weighed = case.with_tastes(case.weigh(&fit), &fit);
    weighed.framed = case.framings(&weighed, &fit);
    Some(say(&case, &weighed))
}

impl<'a> Case<'a> {
    fn new(
        tracer: &'a Tracer,
        index: &'a Index,
        model: Model<'a>,
        everything: &'a SourceSet,
    ) -> Self {
        let Index { background, readers, .. } = index;
        let list = model.list;
        let sets: Vec<&SourceSet> = tracer.seen.iter().collect();
        let expected = innocent::expected(&index.accounts.masses, background, list);
        let (numbers, all) = screened(tracer, readers, list, &expected);
        let accounts = numbers.into_iter().filter_map(|number| {
            let set = *sets.get(at(number))?;
            let candidate = Candidate::account(set, index.sizes(number, set), list);
            Some((Who::Account(number), candidate))
        });
        let all_sizes = Cow::Borrowed(&index.everything.sizes);
        let unlogged = Candidate::pool(everything, all_sizes, list);
        let unlogged = (Who::Unlogged, unlogged.excluding(&index.everything.one_account));
        let pools =
            tracer.pools().into_iter().zip(&index.pools).map(|((name, set), (_, sizes))| {
                (Who::Pool(name), Candidate::pool(set, Cow::Borrowed(sizes), list))
            });
        let others: Vec<_> = std::iter::once(unlogged).chain(pools).collect();
        let counts = (all.max(1) as f64, others.len() as f64);
        let weighed = |(who, candidate): (Who, Candidate<'a>)| {
            let tracks = candidate.weigh(&model);
            Source { who, candidate, tracks }
        };
        let by_ratio = |a: &Source<'_>, b: &Source<'_>| {
            b.tracks.log_ratio.total_cmp(&a.tracks.log_ratio).then_with(|| a.who.cmp(&b.who))
        };
        let mut sources: Vec<Source<'a>> = accounts.map(weighed).collect();
        // Names, not numbers, tell equals apart: numbers depend on the order of events.
        sources.sort_by(|a, b| {
            let ratio = b.tracks.log_ratio.total_cmp(&a.tracks.log_ratio);
            ratio.then_with(|| name(tracer, &a.who).cmp(&name(tracer, &b.who)))
        });
        let mut others: Vec<Source<'a>> = others.into_iter().map(weighed).collect();
        let shares = index.shares(tracer, model.reasons);
        let mut case = Self { tracer, index, model, sources, counts, expected, shares };
        others.extend(case.teams());
        others.sort_by(by_ratio);
        case.sources.extend(others);
        case
    }

    fn share(&self, account: u32) -> f64 {
        self.shares.get(at(account)).copied().unwrap_or(0.0).max(1e-12)
    }

    fn is_account(&self, position: usize) -> bool {
        self.sources.get(position).is_some_and(|source| matches!(source.who, Who::Account(_)))
    }

    fn account(&self, position: usize) -> Option<u32> {
        match self.sources.get(position)?.who {
            Who::Account(number) => Some(number),
            Who::Pool(_) | Who::Unlogged => None,
        }
    }

    /// The logarithms of both priors of these sources together. The flat one takes it to be open
    /// whether somebody inside did it, the sceptical one does not expect that.
    fn priors(&self, members: &[usize]) -> (f64, f64) {
        let (_, others) = self.counts;
        let pools = members.iter().filter(|member| !self.is_account(**member)).count();
        let shares = members.iter().filter_map(|member| self.account(*member));
        let shares: f64 = shares.map(|account| self.share(account)).product();
        // So many orders of the accounts are one set.
        let orders = [1.0, 1.0, 2.0, 6.0].get(members.len() - pools).copied().unwrap_or(6.0);
        let others = others.powi(i32::try_from(pools).unwrap_or(1));
        let share = orders * shares / others;
        let (flat, sceptical) = match (members.len() - pools, pools) {
            (0, 0) => (0.25, 0.5),
            (0, 1) => (0.2, 0.3),
            (0, _) => (0.02, 0.05),
            (1, 0) => (0.4, 0.1),
            (1, _) => (0.04, 0.01),
            (2, 0) => (0.06, 0.015),
            (2, _) => (0.006, 0.002),
            _ => (0.02, 0.005),
        };
        (f64::ln(flat * share), f64::ln(sceptical * share))
    }

    fn hypothesis(&self, members: &[usize], fitted: &Fitted) -> Hypothesis {
        let choices = members.iter().filter_map(|m| self.sources.get(*m));
        let choices: f64 = choices.map(|source| source.tracks.log_choice()).sum();
        let (flat, sceptical) = self.priors(members);
        Hypothesis {
            members: members.to_vec(),
            log_ratio: fitted.log_ratio + choices,
            flat,
            sceptical,
            parts: fitted.parts.clone(),
            tastes: Vec::new(),
            posterior: (0.0, 0.0),
        }
    }

    fn columns(&self, fit: &Fit) -> Vec<Column> {
        self.sources.iter().map(|source| fit.column(&source.tracks.best)).collect()
    }

    /// Fits the sources that may have given the list: alone, in pairs, and then whoever explains
    /// most of what is left.
    fn weigh(&self, fit: &Fit) -> Weighed {
        let columns = self.columns(fit);
        let mut search = Search { case: self, fit, columns: &columns, found: BTreeMap::new() };
        let nobody = search.add(&[]);
        let nothing = search.log_posterior(&[]);
        let accounts = self.sources.iter().take_while(|s| matches!(s.who, Who::Account(_))).count();
        let gains = |positions: std::ops::Range<usize>, fitted: &Fitted, many: usize| {
            let mut gains: Vec<(f64, usize)> = positions
                .filter_map(|position| {
                    let source = self.sources.get(position)?;
                    let gain = fitted.gain(columns.get(position)?) + source.tracks.log_choice();
                    Some((gain.max(source.tracks.log_ratio), position))
                })
                .collect();
            gains.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            gains.truncate(many);
            gains.into_iter().map(|(_, position)| position).collect::<Vec<_>>()
        };
        let mut singles = gains(0..accounts, &nobody, FITTED.0);
        singles.extend(gains(accounts..self.sources.len(), &nobody, FITTED.1));
        singles.iter().for_each(|single| drop(search.add(&[*single])));
        let paired = search.best_singles(PAIRED);
        for (place, a) in paired.iter().enumerate() {
            paired.iter().take(place).for_each(|b| drop(search.add(&[*b, *a])));
        }
        let mut crowded = false;
        for size in 1..=TOGETHER {
            let Some(members) = search.best_of(size) else { break };
            let fitted = search.fitted(&members);
            let before = search.log_posterior(&members);
            let mut tried = 0;
            for more in search.by_gain(&fitted) {
                if members.contains(&more) || tried == TRIED {
                    continue;
                }
                tried += 1;
                let mut members = members.clone();
                members.push(more);
                if size < TOGETHER {
                    search.add(&members);
                } else if self.is_account(more) {
                    let clearly = verdict::RATIO.ln().max(CROWDED * (before - nothing));
                    crowded |= search.worth(&members) > before + clearly;
                }
            }
        }
        let hypotheses = self.posteriors(search.found.into_values().collect());
        Weighed { hypotheses, crowded, framed: BTreeMap::new() }
    }

    fn posteriors(&self, mut hypotheses: Vec<Hypothesis>) -> Vec<Hypothesis> {
        // Accounts that were not fitted count as the last of those that were.
        let last = self.sources.iter().filter(|source| matches!(source.who, Who::Account(_)));
        let single = |h: &Hypothesis| match (h.members.as_slice(), h.tastes.as_slice()) {
            ([one], []) => self.account(*one),
            _ => None,
        };
        let fitted = hypotheses.iter().filter_map(single).map(|account| self.share(account));
        let out = (1.0 - fitted.sum::<f64>()).max(0.0);
        let least = last.map(|s| s.tracks.log_ratio).take(FITTED.0 + 1).last();
        let least = least.unwrap_or(f64::NEG_INFINITY).min(0.0);
        let rest = if out > 0.0 { out.ln() + least } else { f64::NEG_INFINITY };
        let (one_flat, one_sceptical) = (0.4_f64, 0.1_f64);
        let flat = hypotheses.iter().map(|h| h.flat + h.log_ratio);
        let flat = log_sum(flat.chain([rest + one_flat.ln()]).collect::<Vec<_>>().into_iter());
        let sceptical = hypotheses.iter().map(|h| h.sceptical + h.log_ratio);
        let sceptical = sceptical.chain([rest + one_sceptical.ln()]).collect::<Vec<_>>();
        let sceptical = log_sum(sceptical.into_iter());
        for h in &mut hypotheses {
            h.posterior = (
                (h.flat + h.log_ratio - flat).exp(),
                (h.sceptical + h.log_ratio - sceptical).exp(),
            );
        }
        hypotheses.sort_by(|a, b| {
            b.posterior.0.total_cmp(&a.posterior.0).then_with(|| a.members.cmp(&b.members))
        });
        hypotheses
    }
}

fn name<'t>(tracer: &'t Tracer, who: &Who) -> Option<&'t postern_model::Actor> {
    match who {
        Who::Account(number) => tracer.accounts.name(*number),
        Who::Pool(_) | Who::Unlogged => None,
    }
}

/// Sets of sources that were fitted, by their members in ascending order.
struct Search<'s, 'a> {
    case: &'s Case<'a>,
    fit: &'s Fit,
    columns: &'s [Column],
    found: BTreeMap<Vec<usize>, Hypothesis>,
}

impl Search<'_, '_> {
    fn fitted(&self, members: &[usize]) -> Fitted {
        let columns: Vec<&Column> = members.iter().filter_map(|m| self.columns.get(*m)).collect();
        self.fit.with(&columns)
    }

    /// Fits a set, and every part of it: what one source explains must not be laid to another that
    /// was only ever tried beside it.
    fn add(&mut self, members: &[usize]) -> Fitted {
        let mut members = members.to_vec();
        members.sort_unstable();
        let fitted = self.fitted(&members);
        let hypothesis = self.case.hypothesis(&members, &fitted);
        for place in 0..members.len() {
            let mut part = members.clone();
            part.remove(place);
            if !self.found.contains_key(&part) {
                self.add(&part);
            }
        }
        self.found.insert(members, hypothesis);
        fitted
    }

    /// The logarithm of likelihood ratio and flat prior of a set that was not fitted yet.
    fn worth(&self, members: &[usize]) -> f64 {
        let hypothesis = self.case.hypothesis(members, &self.fitted(members));
        hypothesis.flat + hypothesis.log_ratio
    }

    fn log_posterior(&self, members: &[usize]) -> f64 {
        self.found.get(members).map_or(f64::NEG_INFINITY, |h| h.flat + h.log_ratio)
    }

    fn sorted(&self, size: usize) -> Vec<&Hypothesis> {
        let mut found: Vec<_> = self.found.values().filter(|h| h.members.len() == size).collect();
        found.sort_by(|a, b| (b.flat + b.log_ratio).total_cmp(&(a.flat + a.log_ratio)));
        found
    }

    fn best_singles(&self, many: usize) -> Vec<usize> {
        let singles = self.sorted(1).into_iter().take(many);
        singles.filter_map(|single| single.members.first().copied()).collect()
    }

    fn best_of(&self, size: usize) -> Option<Vec<usize>> {
        self.sorted(size).first().map(|best| best.members.clone())
    }

    /// Sources, those first that explain most of what this fit does not.
    fn by_gain(&self, fitted: &Fitted) -> Vec<usize> {
        let mut gains: Vec<(f64, usize)> = (self.columns.iter().enumerate())
            .zip(&self.case.sources)
            .map(|((position, column), source)| {
                (fitted.gain(column) + source.tracks.log_choice(), position)
            })
            .collect();
        gains.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        gains.into_iter().map(|(_, position)| position).collect()
    }
}

/// The accounts to weigh, and how many there are.
fn screened(
    tracer: &Tracer,
    readers: &Readers,
    list: &Resolved,
    expected: &[f64],
) -> (Vec<u32>, usize) {
    let mut hits = vec![0_u32; expected.len()];
    for row in &list.rows {
        for reader in readers.of(row.subject).iter() {
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
    let all = scored.len();
    (scored.into_iter().take(WEIGHED).map(|(_, _, _, number)| number).collect(), all)
}
