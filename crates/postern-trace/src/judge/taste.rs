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

use super::{Case, Hypothesis, Weighed};
use crate::fit::{Column, Fit};

/// `τ`: the spread of the logarithm of such a factor. One of two is rare, one of four is not met.
const TASTE: f64 = 0.35;
/// The same where nothing tells of queues and languages, so that a taste for them is not allowed
/// for: one of four is rare, one of ten is not met.
const UNSORTED_TASTE: f64 = 0.55;
/// Accounts that are less probable need no such rival.
const PROBABLE: f64 = 1e-4;

impl Case<'_> {
    /// Adds to the hypotheses, of every account that is probable, the taste that would explain its
    /// best hypothesis without it.
    pub(super) fn with_tastes(&self, weighed: Weighed, fit: &Fit) -> Weighed {
        let Weighed { mut hypotheses, crowded, framed } = weighed;
        let tastes: Vec<Hypothesis> = (0..self.sources.len())
            .filter(|position| self.is_account(*position))
            .filter_map(|position| {
                let with = |h: &&Hypothesis| h.members.contains(&position);
                let best = hypotheses.iter().find(with)?;
                let all: f64 = hypotheses.iter().filter(with).map(|h| h.posterior.0).sum();
                let taste = (all >= PROBABLE).then(|| self.taste(&best.members, position, fit))?;
                // One that explains nothing is the other members once more.
                let is_plain =
                    |h: &Hypothesis| h.members == taste.members && h.log_ratio >= taste.log_ratio;
                (!hypotheses.iter().any(is_plain)).then_some(taste)
            })
            .collect();
        hypotheses.extend(tastes);
        Weighed { hypotheses: self.posteriors(hypotheses), crowded, framed }
    }

    /// The other members, and a taste for the customers of this one.
    pub(super) fn taste(&self, members: &[usize], position: usize, fit: &Fit) -> Hypothesis {
        let others = members.iter().copied().filter(|member| *member != position);
        let others: Vec<usize> = others.collect();
        let (column, shares) = self.preferred(position, fit);
        let columns: Vec<Column> = others
            .iter()
            .filter_map(|member| self.sources.get(*member))
            .map(|source| fit.column(&source.tracks.best))
            .chain([column])
            .collect();
        let fitted = fit.with(&columns.iter().collect::<Vec<_>>());
        let mut taste = self.hypothesis(&others, &fitted);
        let part = fitted.parts.last().copied().unwrap_or(0.0);
        // Stratum by stratum, as Mantel and Haenszel pool them (Journal of the National Cancer
        // Institute 22, 1959): what the list holds of other strata says nothing of a preference.
        let factor = 1.0 + part / fitted.by_chance(&shares, fit.total()).max(1e-9);
        let spread = if self.model.background.is_sorted() { TASTE } else { UNSORTED_TASTE };
        taste.log_ratio -= 0.5 * (factor.ln() / spread).powi(2);
        taste.taste = Some(position);
        taste
    }

    /// What a source makes of the list that has customers of the account alone, and by fitted row
    /// the share of the rows of its stratum that would be of them in any case.
    fn preferred(&self, position: usize, fit: &Fit) -> (Column, Vec<f64>) {
        let Some(source) = self.sources.get(position) else {
            return (Column::default(), Vec::new());
        };
        let (model, mut track) = (&self.model, source.tracks.best.clone());
        let masses = source.candidate.masses(model, &track);
        let mass = |row: usize| {
            let subject = model.list.rows.get(row).map_or(0, |row| row.subject);
            let stratum = usize::from(model.background.stratum(subject));
            masses.get(stratum).copied().unwrap_or(0.0).clamp(1e-6, 1.0)
        };
        for (row, ratio) in &mut track.rows {
            let copied = model.copied.get(*row).copied().unwrap_or(1.0);
            *ratio = (0.5 + 0.5 * copied).ln() - mass(*row).ln();
        }
        let shares = fit.numbers().iter().map(|row| mass(*row)).collect();
        (fit.column(&track), shares)
    }
}
