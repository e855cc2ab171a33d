//! How probable a list is if it was given by these sources together, and by the world outside.
//!
//! Every row is from one of the sources or from elsewhere, and elsewhere is all customers alike,
//! the popular, and the very popular, in proportions that nobody knows:
//! `p(L) = ∫ Π [(1-π) Σ w_j b_j + π Σ v_k q_k] dπ`.
//!
//! The proportions within both are those that fit best (expectation maximisation; Dempster, Laird,
//! Rubin, 1977), so that no account profits from a world outside that is not as the model thinks;
//! the part `π` is integrated over. Each proportion among several sources that was fitted costs
//! half a logarithm of the number of rows (Schwarz, 1978).

use crate::{
    mixture::log_sum,
    tracks::{Model, Track},
};

/// Rows that are fitted at most; of longer lists every so many-th is.
const ROWS_MAX: usize = 4_000;
const ROUNDS: usize = 15;
/// Rows that each leaning of the world outside is taken to have beforehand.
const BEFOREHAND: f64 = 0.5;
/// All alike, the popular, the very popular; with wordings of any age, and as in a copy of one
/// moment.
const LEANINGS: usize = 6;
/// What is taken of them at first.
const FIRST: [f64; LEANINGS] = [0.3, 0.3, 0.15, 0.1, 0.1, 0.05];
/// Nodes of the integral, to each side, and their distance in standard deviations.
const NODES: i32 = 10;
const STEP: f64 = 0.5;

/// The rows of a list as they are fitted.
#[derive(Debug)]
pub(crate) struct Fit {
    /// Numbers of the rows that are fitted.
    rows: Vec<usize>,
    /// Every so many-th row is fitted.
    every: usize,
    /// By row, customers of elsewhere: the likelihood ratios to `q0`.
    elsewhere: Vec<[f64; LEANINGS]>,
    /// Rows that belong to no customer.
    strangers: f64,
}

/// What one source makes of each fitted row: the likelihood ratio to `q0`, 0 where it had none.
pub(crate) type Column = Vec<f64>;

/// How probable the list is with the sources chosen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fitted {
    /// Logarithm of the likelihood ratio to `q0` for all rows.
    pub(crate) log_ratio: f64,
    /// The part of the rows that each source gave.
    pub(crate) parts: Vec<f64>,
    /// By fitted row, its likelihood ratio to `q0` at the best proportions.
    rows: Vec<f64>,
}

impl Fitted {
    /// By how much the list would at least be more probable if this source had given three of ten
    /// rows besides.
    pub(crate) fn gain(&self, column: &Column) -> f64 {
        let both = self.rows.iter().zip(column);
        both.map(|(row, given)| (0.7 + 0.3 * given / row.max(1e-300)).ln()).sum()
    }
}

impl Fit {
    /// Prepares the rows; `leaving` may leave out every tenth row, from that one on.
    pub(crate) fn new(model: &Model<'_>, leaving: Option<usize>) -> Self {
        let every = model.list.rows.len().div_ceil(ROWS_MAX).max(1);
        let all = (0..model.list.rows.len()).step_by(every);
        let rows: Vec<usize> = match leaving {
            None => all.collect(),
            Some(tenth) => {
                let kept = all.enumerate().filter(|(place, _)| place % 10 != tenth);
                kept.map(|(_, row)| row).collect()
            }
        };
        let both = |row: &usize| Some((model.list.rows.get(*row)?, model.copied.get(*row)?));
        let elsewhere = rows.iter().filter_map(both).map(|(row, copied)| {
            let base = model.background.share(row.subject).max(1e-300);
            let [a, b, c] = model.background.leanings(row.subject).map(|leaning| leaning / base);
            [a, b, c, a * copied, b * copied, c * copied]
        });
        let strangers = model.list.strangers as f64 / every as f64;
        let strangers = if leaving.is_some() { strangers * 0.9 } else { strangers };
        Self { elsewhere: elsewhere.collect(), rows, every, strangers }
    }

    /// The column of a track.
    pub(crate) fn column(&self, track: &Track) -> Column {
        let ratio = |row: &usize| {
            let found = track.rows.binary_search_by_key(row, |(number, _)| *number).ok();
            let found = found.and_then(|place| track.rows.get(place));
            found.map_or(0.0, |(_, ratio)| ratio.min(200.0).exp())
        };
        self.rows.iter().map(ratio).collect()
    }

    /// Fits the list to these sources.
    pub(crate) fn with(&self, sources: &[&Column]) -> Fitted {
        let (leanings, shares, part) = self.proportions(sources);
        let total = self.rows.len() as f64 + self.strangers;
        let pairs = self.rows_of(sources, &leanings, &shares);
        let scale = self.every as f64;
        if sources.is_empty() {
            let rows: Vec<f64> = pairs.iter().map(|(outside, _)| *outside).collect();
            let log_ratio: f64 = rows.iter().map(|row| row.max(1e-300).ln()).sum();
            return Fitted { log_ratio: log_ratio * scale, parts: Vec::new(), rows };
        }
        let part = part.clamp(0.3 / (total + 1.0), 1.0 - 0.3 / (total + 1.0));
        let mut information = self.strangers * part * (1.0 - part);
        for (outside, source) in &pairs {
            let both = (1.0 - part) * outside + part * source;
            information += (part * (1.0 - part) * (source - outside) / both.max(1e-300)).powi(2);
        }
        let deviation = 1.0 / information.max(0.25).sqrt();
        let centre = (part / (1.0 - part)).ln();
        let nodes = (-NODES..=NODES).map(|node| {
            let odds = centre + f64::from(node) * STEP * deviation;
            let part = 1.0 / (1.0 + (-odds).exp());
            // Beta(2, 1) has the density 2 π; dπ is π (1 - π) d(log-odds).
            let weight = (2.0 * part * part * (1.0 - part) * STEP * deviation).max(1e-300).ln();
            let rows: f64 = pairs
                .iter()
                .map(|(outside, source)| ((1.0 - part) * outside + part * source).max(1e-300).ln())
                .sum();
            weight + scale * (rows + self.strangers * (1.0 - part).max(1e-300).ln())
        });
        let fitted = 0.5 * (sources.len() - 1) as f64 * (1.0 + total).ln();
        let log_ratio = log_sum(nodes.collect::<Vec<_>>().into_iter()) - fitted;
        let rows = pairs.iter().map(|(outside, source)| (1.0 - part) * outside + part * source);
        Fitted {
            log_ratio,
            parts: shares.iter().map(|share| share * part).collect(),
            rows: rows.collect(),
        }
    }

    /// Per row: how probable it is from elsewhere, and from the sources.
    fn rows_of(
        &self,
        sources: &[&Column],
        leanings: &[f64; LEANINGS],
        shares: &[f64],
    ) -> Vec<(f64, f64)> {
        let of = |(row, elsewhere): (usize, &[f64; LEANINGS])| {
            let outside: f64 = elsewhere.iter().zip(leanings).map(|(r, w)| r * w).sum();
            let source = sources.iter().zip(shares);
            let source = source.map(|(column, w)| w * column.get(row).copied().unwrap_or(0.0));
            (outside, source.sum::<f64>())
        };
        self.elsewhere.iter().enumerate().map(of).collect()
    }

    /// The proportions that fit best: of the leanings, of the sources among each other, and of all
    /// sources together.
    fn proportions(&self, sources: &[&Column]) -> ([f64; LEANINGS], Vec<f64>, f64) {
        let mut leanings = FIRST;
        let mut shares = vec![1.0 / sources.len().max(1) as f64; sources.len()];
        let mut part = if sources.is_empty() { 0.0 } else { 0.6 };
        let total = self.rows.len() as f64 + self.strangers;
        for _ in 0..ROUNDS {
            let mut from_leanings = [BEFOREHAND; LEANINGS];
            let mut from_sources = vec![1e-9; sources.len()];
            for (row, elsewhere) in self.elsewhere.iter().enumerate() {
                let mut sum = 0.0;
                let mut outside = [0.0; LEANINGS];
                for ((slot, ratio), leaning) in outside.iter_mut().zip(elsewhere).zip(leanings) {
                    *slot = (1.0 - part) * leaning * ratio;
                    sum += *slot;
                }
                let given = |(column, share): (&&Column, &f64)| {
                    part * share * column.get(row).copied().unwrap_or(0.0)
                };
                sum += sources.iter().zip(&shares).map(given).sum::<f64>();
                let sum = sum.max(1e-300);
                for (slot, outside) in from_leanings.iter_mut().zip(outside) {
                    *slot += outside / sum;
                }
                let both = sources.iter().zip(&shares).map(given);
                for (slot, given) in from_sources.iter_mut().zip(both) {
                    *slot += given / sum;
                }
            }
            let outside: f64 = from_leanings.iter().sum();
            leanings = from_leanings.map(|count| count / outside);
            let given: f64 = from_sources.iter().sum();
            shares = from_sources.iter().map(|count| count / given.max(1e-300)).collect();
            part = if sources.is_empty() { 0.0 } else { given / total.max(1.0) };
        }
        (leanings, shares, part)
    }
}
