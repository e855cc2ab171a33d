//! A sequential test of "the share of ones is at most what is usual" against "it has risen".
//!
//! Every trial multiplies an e-value, the likelihood ratio of a raised share to the usual one,
//! whose expectation is at most one while the true share is at most the usual one. The
//! Shiryaev–Roberts form `M = (M + w) · L` sums over all moments at which the rise could have
//! begun; with weights that add up to at most one a day, the expected number of days until
//! `M ≥ A` is at least `A`, whatever the dependence between trials and between days. The CUSUM form
//! `C = max(1, C) · L` tells since when.
//!
//! Sources: Shin, Ramdas, Rinaldo, "E-detectors: a nonparametric framework for sequential change
//! detection" (2022); Moustakides, Polunchenko, Tartakovsky, "A numerical approach to performance
//! analysis of quickest change-point detection procedures" (2011).

/// How much of the room above the usual share the alternatives take. Several, averaged: the average
/// of e-processes is one, and a drip and a flood each have an alternative that fits.
const RAISED: [f64; 3] = [0.08, 0.3, 0.7];
const COUNT: f64 = 3.0;

/// The test for one account.
#[derive(Debug, Clone, Default)]
pub(crate) struct EProcess {
    sums: [f64; RAISED.len()],
    runs: [f64; RAISED.len()],
}

impl EProcess {
    /// One trial: whether it was a one, the most that a one is usually probable, and the weight of
    /// this moment as a beginning.
    pub(crate) fn step(&mut self, one: bool, usual: f64, weight: f64) {
        for ((sum, run), rise) in self.sums.iter_mut().zip(&mut self.runs).zip(RAISED) {
            let raised = usual + (1.0 - usual) * rise;
            let ratio = if one { raised / usual } else { (1.0 - raised) / (1.0 - usual) };
            *sum = (*sum + weight) * ratio;
            *run = run.max(1.0) * ratio;
        }
    }

    /// `M`: the evidence that the share has risen at some time.
    pub(crate) fn evidence(&self) -> f64 {
        self.sums.iter().sum::<f64>() / COUNT
    }

    /// Whether nothing speaks for a rise any more, so that what was collected may be forgotten.
    pub(crate) fn at_rest(&self) -> bool {
        self.runs.iter().all(|run| *run <= 1.0)
    }

    /// Begins anew.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }
}
