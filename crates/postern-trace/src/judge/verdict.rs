//! The conditions for naming an account.

use std::collections::BTreeSet;

use super::{Case, Hypothesis, Weighed, Who, kinds};
use crate::{Condition, Verdict, background::at, fit::Fit, innocent};

/// The bars of the design.
pub(super) const POSTERIOR: f64 = 0.999;
pub(super) const RATIO: f64 = 1_000.0;
pub(super) const MATCHES: usize = 5;
const KINDS: usize = 2;
const P_VALUE: f64 = 0.001;
/// "Narrowed" is said of at most so many accounts that hold at least this much together.
const NARROWED: (usize, f64) = (5, 0.95);
/// Hypotheses without the account against which it is weighed again without a tenth of the rows.
const RIVALS: usize = 6;
/// Conditions that need no fit or simulation of their own: the first so many.
const QUICK: usize = 8;

impl Weighed {
    /// The posterior that the source at this position gave any of the rows, by both priors.
    pub(super) fn both(&self, position: usize) -> (f64, f64) {
        let with = self.hypotheses.iter().filter(|h| h.members.contains(&position));
        let sum = with.fold((0.0, 0.0), |sum, h| (sum.0 + h.posterior.0, sum.1 + h.posterior.1));
        (f64::min(sum.0, 1.0), f64::min(sum.1, 1.0))
    }

    fn best(&self, chosen: impl Fn(&Hypothesis) -> bool) -> Option<&Hypothesis> {
        let worth = |h: &Hypothesis| h.flat + h.log_ratio;
        let chosen = self.hypotheses.iter().filter(|h| chosen(h));
        chosen.max_by(|a, b| worth(a).total_cmp(&worth(b)).then(b.members.cmp(&a.members)))
    }

    /// The best hypothesis with a source, and the best one without it.
    pub(super) fn with_and_without(
        &self,
        position: usize,
    ) -> (Option<&Hypothesis>, Option<&Hypothesis>) {
        let is_in = |h: &Hypothesis| h.members.contains(&position);
        (self.best(is_in), self.best(|h| !is_in(h)))
    }
}

impl Case<'_> {
    /// The logarithm of the likelihood ratio of an account against the best rival of any kind; a
    /// framing limits every ratio.
    pub(super) fn log_likelihood_ratio(&self, weighed: &Weighed, position: usize) -> f64 {
        self.ratio_unframed(weighed, position).min(-self.framed(weighed, position).ln())
    }

    /// The same against every rival but a framing. One that needs several sources counts with its
    /// rarity.
    fn ratio_unframed(&self, weighed: &Weighed, position: usize) -> f64 {
        let (Some(with), Some(without)) = weighed.with_and_without(position) else {
            return f64::NEG_INFINITY;
        };
        let priors = self.priors(&[position]).0 - self.priors(&[]).0;
        with.flat + with.log_ratio - without.flat - without.log_ratio - priors
    }

    /// The verdict, and the positions of the accounts that are named or among which it is.
    pub(super) fn verdict(&self, weighed: &Weighed) -> (Verdict, Vec<usize>) {
        if let Some(best) = weighed.best(|_| true)
            && !weighed.crowded
        {
            let accounts = best.members.iter().copied().filter(|m| self.is_account(*m));
            let named: Vec<usize> =
                accounts.filter(|position| self.is_named(weighed, best, *position)).collect();
            match named.len() {
                0 => {}
                1 => return (Verdict::Attributed, named),
                _ => return (Verdict::Coalition, named),
            }
        }
        let unlogged = |h: &&Hypothesis| {
            h.members.iter().all(|member| {
                self.sources.get(*member).is_some_and(|source| source.who == Who::Unlogged)
            })
        };
        let none = weighed.hypotheses.iter().filter(unlogged);
        let none = none.fold((0.0, 0.0), |s, h| (s.0 + h.posterior.0, s.1 + h.posterior.1));
        if f64::min(none.0, none.1) >= POSTERIOR {
            return (Verdict::Outside, Vec::new());
        }
        match self.narrowed(weighed) {
            few if few.is_empty() => (Verdict::CannotTell, few),
            few => (Verdict::Narrowed, few),
        }
    }

    fn is_named(&self, weighed: &Weighed, best: &Hypothesis, position: usize) -> bool {
        Condition::ALL.into_iter().all(|c| self.holds(c, weighed, best, position))
    }

    /// The conditions for naming an account that are not met. Of one that is improbable only those
    /// that are quick to check are told.
    pub(super) fn unmet(&self, weighed: &Weighed, position: usize) -> Vec<Condition> {
        let Some(best) = weighed.best(|_| true) else { return Vec::new() };
        let many = if weighed.both(position).0 >= 0.5 { Condition::ALL.len() } else { QUICK };
        let unmet = Condition::ALL.into_iter().take(many);
        unmet.filter(|c| !self.holds(*c, weighed, best, position)).collect()
    }

    fn holds(
        &self,
        condition: Condition,
        weighed: &Weighed,
        best: &Hypothesis,
        position: usize,
    ) -> bool {
        let Some(source) = self.sources.get(position) else { return false };
        let (open, sceptical) = weighed.both(position);
        match condition {
            // A taste that explains one account's rows may be behind another's as well.
            Condition::Best => best.members.contains(&position) && !best.is_tasteful(position),
            Condition::Few => !weighed.crowded,
            Condition::OpenPosterior => open >= POSTERIOR,
            Condition::ScepticalPosterior => sceptical >= POSTERIOR,
            Condition::Framing => {
                let framed = self.framed(weighed, position);
                f64::min(open, sceptical) * (1.0 - framed) >= POSTERIOR
                    && self.log_likelihood_ratio(weighed, position) >= RATIO.ln()
            }
            Condition::Ratio => self.ratio_unframed(weighed, position) >= RATIO.ln(),
            Condition::Matches => kinds::matches(&source.tracks.best) >= MATCHES,
            Condition::Kinds => {
                let expected = self.account(position).and_then(|a| self.expected.get(at(a)));
                kinds::kinds(&self.model, source, expected.copied().unwrap_or(1.0)) >= KINDS
            }
            Condition::Chance => self.p_value(weighed, position) <= P_VALUE,
            Condition::Tenths => self.survives(weighed, best, position),
        }
    }

    /// How probable it is that in an innocent leak some account looks as suspicious. A likelihood
    /// ratio is at least `x` with a probability of at most `1 / x` (Markov), times the accounts;
    /// where that does not suffice, innocent leaks are simulated.
    fn p_value(&self, weighed: &Weighed, position: usize) -> f64 {
        let (Some(with), Some(without)) = weighed.with_and_without(position) else { return 1.0 };
        let bound = self.counts.0 * (without.log_ratio - with.log_ratio).exp();
        let Some(account) = self.account(position).filter(|_| bound > P_VALUE) else {
            return bound;
        };
        let (background, readers) = (self.model.background, &self.index.readers);
        let config = &self.tracer.config;
        let (list, expected) = (self.model.list, &self.expected);
        innocent::p_value(background, readers, list, expected, (account, config))
    }

    /// Whether the account would be named without any tenth of the rows. Rows are ordered by
    /// customer, so that the order of the list has no effect.
    fn survives(&self, weighed: &Weighed, best: &Hypothesis, position: usize) -> bool {
        let rivals = weighed.hypotheses.iter().filter(|h| !h.members.contains(&position));
        let rivals: Vec<&Hypothesis> = rivals.take(RIVALS).collect();
        (0..10).all(|tenth| {
            let fit = Fit::new(&self.model, Some(tenth));
            let worth = |h: &Hypothesis| {
                if !h.tastes.is_empty() {
                    let h = self.taste(&h.members, &h.tastes, &fit);
                    return h.flat + h.log_ratio;
                }
                let members = h.members.iter().filter_map(|m| self.sources.get(*m));
                let columns: Vec<_> =
                    members.map(|source| fit.column(&source.tracks.best)).collect();
                let fitted = fit.with(&columns.iter().collect::<Vec<_>>());
                let h = self.hypothesis(&h.members, &fitted);
                h.flat + h.log_ratio
            };
            let own = worth(best);
            let priors = (self.priors(&[position]).0 - self.priors(&[]).0).min(0.0);
            rivals.iter().all(|rival| own - worth(rival) - priors >= RATIO.ln())
        })
    }

    /// The fewest accounts, most probable first, that hold nearly all of the posterior together;
    /// none if there are too many of them.
    fn narrowed(&self, weighed: &Weighed) -> Vec<usize> {
        let mut chosen: BTreeSet<usize> = BTreeSet::new();
        let mut order = Vec::new();
        for hypothesis in &weighed.hypotheses {
            let members = &hypothesis.members;
            if members.is_empty() || !members.iter().all(|member| self.is_account(*member)) {
                continue;
            }
            for member in members {
                if chosen.insert(*member) {
                    order.push(*member);
                }
            }
            if order.len() > NARROWED.0 {
                break;
            }
            let inside = |h: &&Hypothesis| {
                !h.members.is_empty() && h.members.iter().all(|member| chosen.contains(member))
            };
            let held = weighed.hypotheses.iter().filter(inside);
            let held = held.fold((0.0, 0.0), |s, h| (s.0 + h.posterior.0, s.1 + h.posterior.1));
            if f64::min(held.0, held.1) >= NARROWED.1 {
                return order;
            }
        }
        Vec::new()
    }
}
