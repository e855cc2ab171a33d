//! Tastes of the world outside that nothing here knows of.
//!
//! Whom somebody outside has, and whom an account was shown, can go together without one being the
//! source of the other: both may prefer customers who are active, of one age, of one place. What is
//! known of customers (queue, language, how often they are worked with) is allowed for already. To
//! what is not, the question of Cornfield is put (Cornfield and others, "Smoking and lung cancer",
//! Journal of the National Cancer Institute 22, 1959; Rosenbaum, "Observational Studies", 2002): by
//! which factor would customers of the account have to be likelier in the list than others like
//! them, for the list to be from outside? A factor of `f` or more has the probability
//! `exp(-(ln f)² / 2 τ²)`; and a list with that factor is a hypothesis like every other. So a tenth
//! of a list never names an account that was shown a third of all customers, however long the list.
//!
//! A taste for a kind of customers that nothing tells of shows in the rows that the account was
//! never shown too: they are of that kind as well (see [`rest`](super::rest)). The more they are,
//! the larger a factor is to be expected. And one taste explains several accounts at once, so that
//! is weighed as well.

use std::collections::BTreeSet;

use super::{Case, Hypothesis, Weighed};
use crate::{
    fit::{Column, Fit},
    mixture::log_sum,
};

/// `τ`: the spread of the logarithm of such a factor. One of two is rare, one of four is not met.
const TASTE: f64 = 0.35;
/// The same where nothing tells of queues and languages, so that a taste for them is not allowed
/// for: one of four is rare, one of ten is not met.
const UNSORTED_TASTE: f64 = 0.55;
/// What is added to it, in squares, where the rest of the list is wholly of the kind that the
/// account's customers are: one of ten is usual, one of fifty is rare.
const SEEN_TASTE: f64 = 1.5;
/// A taste for another account's customers that explains less than this share of what the account
/// explains says nothing of it.
const SMALL: f64 = 0.25;
/// Accounts that are less probable need no such rival.
const PROBABLE: f64 = 1e-4;

/// What is preferred, and in which wording. All are weighed, and are as probable as each other.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Shape {
    /// The account's customers all alike, or the popular ones more.
    even: bool,
    /// The part of them in the wordings of a copy of one moment; the rest are of any age.
    copied: f64,
}

/// See [`Shape`].
const SHAPES: [Shape; 4] = [
    Shape { even: true, copied: 0.05 },
    Shape { even: true, copied: 0.95 },
    Shape { even: false, copied: 0.05 },
    Shape { even: false, copied: 0.95 },
];

impl Hypothesis {
    /// Whether tastes explain so much of the list that they may be behind the rows of this member
    /// as well.
    pub(super) fn is_tasteful(&self, member: usize) -> bool {
        let part = |place: usize| self.parts.get(place).copied().unwrap_or(1.0);
        let place = self.members.iter().position(|of| *of == member);
        let own = place.map_or(0.0, part);
        let tastes = (self.members.len()..).take(self.tastes.len()).map(part);
        !self.tastes.is_empty() && tastes.sum::<f64>() > SMALL * own
    }
}

impl Case<'_> {
    /// Adds to the hypotheses, of every account that is probable, the taste that would explain its
    /// best hypothesis without it.
    pub(super) fn with_tastes(&self, weighed: Weighed, fit: &Fit) -> Weighed {
        let Weighed { mut hypotheses, crowded, framed } = weighed;
        let is_account = |position: &usize| self.is_account(*position);
        let mut tastes: Vec<Hypothesis> = Vec::new();
        let mut add = |hypotheses: &[Hypothesis], taste: Hypothesis| {
            // One that explains nothing is the other members once more.
            let is_plain =
                |h: &Hypothesis| h.members == taste.members && h.log_ratio >= taste.log_ratio;
            let same = |h: &Hypothesis| h.members == taste.members && h.tastes == taste.tastes;
            if !hypotheses.iter().any(is_plain) && !tastes.iter().any(same) {
                tastes.push(taste);
            }
        };
        for position in (0..self.sources.len()).filter(is_account) {
            let with = |h: &&Hypothesis| h.members.contains(&position);
            let Some(best) = hypotheses.iter().find(with) else { continue };
            if hypotheses.iter().filter(with).map(|h| h.posterior.0).sum::<f64>() < PROBABLE {
                continue;
            }
            add(&hypotheses, self.tastes(&best.members, &[position], fit));
            let all: Vec<usize> = best.members.iter().copied().filter(is_account).collect();
            if all.len() > 1 {
                add(&hypotheses, self.tastes(&best.members, &all, fit));
            }
        }
        let beside = self.tastes_beside(&tastes, fit);
        hypotheses.extend(tastes);
        hypotheses.extend(beside);
        Weighed { hypotheses: self.posteriors(hypotheses), crowded, framed }
    }

    /// Of each hypothesis of accounts and a taste, the same with a taste for the customers of one
    /// of these accounts in its place: what explains one account's rows may be behind another's.
    fn tastes_beside(&self, tastes: &[Hypothesis], fit: &Fit) -> Vec<Hypothesis> {
        let preferred = |h: &Hypothesis| -> BTreeSet<usize> {
            h.tastes.iter().map(|(position, _)| *position).collect()
        };
        let mut beside: Vec<Hypothesis> = Vec::new();
        for taste in tastes {
            for account in taste.members.iter().filter(|member| self.is_account(**member)) {
                let mut all = preferred(taste);
                all.insert(*account);
                let all: Vec<usize> = all.into_iter().collect();
                let both = self.tastes(&taste.members, &all, fit);
                let is_same =
                    |h: &&Hypothesis| h.members == both.members && preferred(h) == preferred(&both);
                if !tastes.iter().chain(&beside).any(|h| is_same(&h)) {
                    beside.push(both);
                }
            }
        }
        beside
    }

    /// The other members, and a taste for the customers of these accounts.
    fn tastes(&self, members: &[usize], accounts: &[usize], fit: &Fit) -> Hypothesis {
        let others = members.iter().copied().filter(|member| !accounts.contains(member));
        let others: Vec<usize> = others.collect();
        let spread = |position: &usize| (*position, self.spread(*position, &others));
        self.taste(&others, &accounts.iter().map(spread).collect::<Vec<_>>(), fit)
    }

    /// These sources, and tastes of these spreads for the customers of these accounts.
    pub(super) fn taste(&self, others: &[usize], tastes: &[(usize, f64)], fit: &Fit) -> Hypothesis {
        let columns: Vec<Column> = others
            .iter()
            .filter_map(|member| self.sources.get(*member))
            .map(|source| fit.column(&source.tracks.best))
            .collect();
        let shaped = SHAPES.map(|shape| {
            let preferred =
                tastes.iter().map(|(position, _)| self.preferred(*position, fit, shape));
            let preferred: Vec<(Column, Vec<f64>)> = preferred.collect();
            let columns: Vec<&Column> =
                columns.iter().chain(preferred.iter().map(|(column, _)| column)).collect();
            let fitted = fit.with(&columns);
            let mut taste = self.hypothesis(others, &fitted);
            let parts = fitted.parts.iter().skip(others.len());
            for ((part, (_, shares)), (_, spread)) in parts.zip(&preferred).zip(tastes) {
                // Stratum by stratum, as Mantel and Haenszel pool them (Journal of the National
                // Cancer Institute 22, 1959): what the list holds of other strata says nothing of
                // a preference.
                let factor = 1.0 + part / fitted.by_chance(shares, fit.total()).max(1e-9);
                taste.log_ratio -= 0.5 * (factor.ln() / spread).powi(2);
            }
            taste
        });
        let log_ratio = log_sum(shaped.iter().map(|taste| taste.log_ratio));
        let log_ratio = log_ratio - (SHAPES.len() as f64).ln();
        let best = shaped.into_iter().max_by(|a, b| a.log_ratio.total_cmp(&b.log_ratio));
        let best = best.unwrap_or_else(|| self.hypothesis(others, &fit.with(&[])));
        Hypothesis { log_ratio, tastes: tastes.to_vec(), ..best }
    }

    /// The spread of the logarithm of the factor of a taste for the customers of this account.
    fn spread(&self, position: usize, others: &[usize]) -> f64 {
        let spread = if self.model.background.is_sorted() { TASTE } else { UNSORTED_TASTE };
        spread.hypot(SEEN_TASTE * self.kinship(position, others))
    }

    /// What a source makes of the list that has customers of the account alone, and by fitted row
    /// the share of the rows of its stratum that would be of them in any case.
    fn preferred(&self, position: usize, fit: &Fit, shape: Shape) -> (Column, Vec<f64>) {
        let Some(source) = self.sources.get(position) else {
            return (Column::default(), Vec::new());
        };
        let (model, mut track) = (&self.model, source.tracks.best.clone());
        let background = model.background;
        let weight = |subject: u32| {
            let [even, ..] = background.leanings(subject);
            if shape.even { even } else { background.share(subject) }
        };
        let masses = source.candidate.masses(model, &track, weight);
        let subject = |row: usize| model.list.rows.get(row).map_or(0, |row| row.subject);
        let mass = |row: usize| {
            let stratum = usize::from(background.stratum(subject(row)));
            masses.get(stratum).copied().unwrap_or(0.0).clamp(1e-6, 1.0)
        };
        for (row, ratio) in &mut track.rows {
            let copied = model.copied.get(*row).copied().unwrap_or(1.0);
            let base = background.share(subject(*row)).max(1e-300);
            let leaning = (weight(subject(*row)) / base).ln();
            *ratio = (1.0 - shape.copied + shape.copied * copied).ln() + leaning - mass(*row).ln();
        }
        let shares = fit.numbers().iter().map(|row| mass(*row)).collect();
        (fit.column(&track), shares)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_taste_for_others_customers_says_nothing_of_an_account() {
        let check = |parts: [f64; 2], tastes: &[(usize, f64)], expected: bool| {
            let h = Hypothesis {
                members: vec![3],
                log_ratio: 0.0,
                flat: 0.0,
                sceptical: 0.0,
                parts: parts.to_vec(),
                tastes: tastes.to_vec(),
                posterior: (0.0, 0.0),
            };
            assert_eq!(h.is_tasteful(3), expected, "{parts:?} {tastes:?}");
        };
        check([0.5, 0.1], &[(7, TASTE)], false);
        check([0.5, 0.2], &[(7, TASTE)], true);
        check([0.0, 0.1], &[(7, TASTE)], true);
        check([0.5, 0.0], &[], false);
    }
}
