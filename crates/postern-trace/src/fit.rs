//! How probable a list is if it was given by these sources together, and by the world outside.
//!
//! Every row is from one of the sources or from elsewhere, and elsewhere is all customers alike,
//! the popular, and the very popular, in proportions that nobody knows:
//! `p(L) = ∫ Π [(1-π) Σ w_j b_j + π Σ v_k q_k] dπ`.
//!
//! All is conditional on the row's stratum, and no source gives as large a part of every stratum:
//! whoever took the customers of one language gave none of the others, which a buyer merges with
//! theirs. So the odds that a row is from a source are the same in every stratum, or go with how
//! much the source has of the stratum; both are weighed, and are half as probable each. Neither
//! makes the stratum of a row evidence of its own: given the stratum, what is summed over its
//! customers is the same from everywhere.
//!
//! The proportions within both are those that fit best (expectation maximisation; Dempster, Laird,
//! Rubin, 1977), so that no account profits from a world outside that is not as the model thinks;
//! the part `π` is integrated over. Each proportion among several sources that was fitted costs
//! half a logarithm of the number of rows (Schwarz, 1978).

use crate::{
    background::at,
    mixture::{log_add, log_sum},
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
    /// By row, its stratum.
    strata: Vec<u16>,
    /// Rows that belong to no customer.
    strangers: f64,
}

/// What one source makes of the list.
#[derive(Debug, Clone, Default)]
pub(crate) struct Column {
    /// Of each fitted row the likelihood ratio to `q0`, 0 where the source had none.
    ratios: Vec<f64>,
    /// By stratum: how much more of it than of all strata together the source has.
    leanings: Vec<f64>,
}

impl Column {
    fn ratio(&self, row: usize) -> f64 {
        self.ratios.get(row).copied().unwrap_or(0.0)
    }

    /// The weight of the source in a stratum.
    fn weight(&self, stratum: u16, spread: Spread) -> f64 {
        match spread {
            Spread::Even => 1.0,
            Spread::Leaning => self.leanings.get(at(stratum.into())).copied().unwrap_or(1.0),
        }
    }
}

/// How the rows that sources gave are spread over strata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spread {
    /// As the list is.
    Even,
    /// As the customers are whom the source has.
    Leaning,
}

/// Proportions that were fitted.
struct Proportions {
    elsewhere: [f64; LEANINGS],
    /// By source, the odds that a row is from it rather than from elsewhere, times its weight in
    /// the stratum.
    odds: Vec<f64>,
    /// By source, the part of all rows.
    parts: Vec<f64>,
}

/// How probable the list is with the sources chosen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fitted {
    /// Logarithm of the likelihood ratio to `q0` for all rows.
    pub(crate) log_ratio: f64,
    /// The part of the rows that each source gave.
    pub(crate) parts: Vec<f64>,
    /// By fitted row, its likelihood ratio to `q0` at the best proportions.
    rows: Vec<f64>,
    /// By fitted row, how probable it is from elsewhere at the best proportions.
    outside: Vec<f64>,
}

impl Fitted {
    /// The part of all rows that are from elsewhere and, by chance, of customers whom somebody has
    /// who has this share of the customers of each fitted row's stratum.
    pub(crate) fn by_chance(&self, shares: &[f64], total: f64) -> f64 {
        let both = self.outside.iter().zip(shares);
        both.map(|(outside, share)| outside * share).sum::<f64>() / total.max(1.0)
    }

    /// By how much the list would at least be more probable if this source had given three of ten
    /// rows besides.
    pub(crate) fn gain(&self, column: &Column) -> f64 {
        let both = self.rows.iter().zip(&column.ratios);
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
        let subjects = rows.iter().filter_map(|row| model.list.rows.get(*row));
        let strata = subjects.map(|row| model.background.stratum(row.subject)).collect();
        Self { elsewhere: elsewhere.collect(), rows, every, strata, strangers }
    }

    /// The numbers of the rows that are fitted.
    pub(crate) fn numbers(&self) -> &[usize] {
        &self.rows
    }

    /// How many rows are fitted, those that belong to no customer included.
    pub(crate) fn total(&self) -> f64 {
        self.rows.len() as f64 + self.strangers
    }

    /// The column of a track.
    pub(crate) fn column(&self, track: &Track) -> Column {
        let ratio = |row: &usize| {
            let found = track.rows.binary_search_by_key(row, |(number, _)| *number).ok();
            let found = found.and_then(|place| track.rows.get(place));
            found.map_or(0.0, |(_, ratio)| ratio.min(200.0).exp())
        };
        let ratios = self.rows.iter().map(ratio).collect();
        Column { ratios, leanings: track.leanings.clone() }
    }

    /// Fits the list to these sources.
    pub(crate) fn with(&self, sources: &[&Column]) -> Fitted {
        let even = self.spread(sources, Spread::Even);
        if sources.is_empty() {
            return even;
        }
        let leaning = self.spread(sources, Spread::Leaning);
        let log_ratio = log_add(even.log_ratio, leaning.log_ratio) - 2.0_f64.ln();
        let better = if leaning.log_ratio > even.log_ratio { leaning } else { even };
        Fitted { log_ratio, ..better }
    }

    fn spread(&self, sources: &[&Column], spread: Spread) -> Fitted {
        let Proportions { elsewhere, odds, parts } = self.proportions(sources, spread);
        let total = self.total();
        let rows = self.rows_of(sources, (&elsewhere, &odds), spread);
        let scale = self.every as f64;
        if sources.is_empty() {
            let rows: Vec<f64> = rows.iter().map(|row| row.outside).collect();
            let log_ratio: f64 = rows.iter().map(|row| row.max(1e-300).ln()).sum();
            let outside = vec![1.0; rows.len()];
            return Fitted { log_ratio: log_ratio * scale, parts, rows, outside };
        }
        let odds: f64 = odds.iter().sum();
        let part = (odds / (1.0 + odds)).clamp(0.3 / (total + 1.0), 1.0 - 0.3 / (total + 1.0));
        let centre = (part / (1.0 - part)).ln();
        let mut information = self.strangers * part * (1.0 - part);
        for row in &rows {
            let part = row.part(centre);
            let slope = part * (1.0 - part) * (row.source - row.outside);
            information += (slope / row.at(centre)).powi(2);
        }
        let deviation = 1.0 / information.max(0.25).sqrt();
        let nodes = (-NODES..=NODES).map(|node| {
            let odds = centre + f64::from(node) * STEP * deviation;
            let part = 1.0 / (1.0 + (-odds).exp());
            // Beta(2, 1) has the density 2 π; dπ is π (1 - π) d(log-odds).
            let weight = (2.0 * part * part * (1.0 - part) * STEP * deviation).max(1e-300).ln();
            let rows: f64 = rows.iter().map(|row| row.at(odds).ln()).sum();
            weight + scale * (rows + self.strangers * (1.0 - part).max(1e-300).ln())
        });
        let fitted = 0.5 * (sources.len() - 1) as f64 * (1.0 + total).ln();
        let log_ratio = log_sum(nodes.collect::<Vec<_>>().into_iter()) - fitted;
        let outside = |row: &Mixed| (1.0 - row.part(centre)) * row.outside / row.at(centre);
        Fitted {
            log_ratio,
            parts,
            outside: rows.iter().map(outside).collect(),
            rows: rows.iter().map(|row| row.at(centre)).collect(),
        }
    }

    /// Per row: how probable it is from elsewhere, and from the sources.
    fn rows_of(
        &self,
        sources: &[&Column],
        (elsewhere, odds): (&[f64; LEANINGS], &[f64]),
        spread: Spread,
    ) -> Vec<Mixed> {
        let total: f64 = odds.iter().sum();
        let of = |((row, ratios), stratum): ((usize, &[f64; LEANINGS]), &u16)| {
            let outside = ratios.iter().zip(elsewhere).map(|(r, w)| r * w).sum();
            let (mut source, mut weight) = (0.0, 0.0);
            for (column, odds) in sources.iter().zip(odds) {
                let own = odds / total.max(1e-300) * column.weight(*stratum, spread);
                source += own * column.ratio(row);
                weight += own;
            }
            Mixed { outside, source: source / weight.max(1e-300), lean: weight.max(1e-300).ln() }
        };
        self.elsewhere.iter().enumerate().zip(&self.strata).map(of).collect()
    }

    /// The proportions that fit best: of the leanings, and of the sources.
    fn proportions(&self, sources: &[&Column], spread: Spread) -> Proportions {
        let mut leanings = FIRST;
        let mut odds = vec![1.5 / sources.len().max(1) as f64; sources.len()];
        let mut parts = vec![0.0; sources.len()];
        let total = self.total();
        for _ in 0..ROUNDS {
            let mut from_leanings = [BEFOREHAND; LEANINGS];
            let mut from_sources = vec![1e-9; sources.len()];
            // What each source would have given at odds of one, as the other odds are.
            let all: f64 = odds.iter().sum();
            let mut offered = vec![self.strangers / (1.0 + all); sources.len()];
            let rows = self.elsewhere.iter().zip(&self.strata).enumerate();
            for (row, (elsewhere, stratum)) in rows {
                let weights = sources.iter().map(|column| column.weight(*stratum, spread));
                let weights: Vec<f64> = weights.collect();
                let given: f64 = weights.iter().zip(&odds).map(|(w, o)| w * o).sum();
                let mut sum = 0.0;
                let mut outside = [0.0; LEANINGS];
                for ((slot, ratio), leaning) in outside.iter_mut().zip(elsewhere).zip(leanings) {
                    *slot = leaning * ratio;
                    sum += *slot;
                }
                let of = |((column, weight), odds): ((&&Column, &f64), &f64)| {
                    odds * weight * column.ratio(row)
                };
                sum += sources.iter().zip(&weights).zip(&odds).map(of).sum::<f64>();
                let sum = sum.max(1e-300);
                for (slot, outside) in from_leanings.iter_mut().zip(outside) {
                    *slot += outside / sum;
                }
                let both = sources.iter().zip(&weights).zip(&odds).map(of);
                for (slot, from) in from_sources.iter_mut().zip(both) {
                    *slot += from / sum;
                }
                for (slot, weight) in offered.iter_mut().zip(&weights) {
                    *slot += weight / (1.0 + given);
                }
            }
            let outside: f64 = from_leanings.iter().sum();
            leanings = from_leanings.map(|count| count / outside);
            let both = from_sources.iter().zip(&offered);
            odds = both.map(|(from, offered)| from / offered.max(1e-300)).collect();
            parts = from_sources.iter().map(|from| from / total.max(1.0)).collect();
        }
        Proportions { elsewhere: leanings, odds, parts }
    }
}

/// How probable a row is from elsewhere and from the sources, and the logarithm of their weight
/// in its stratum.
struct Mixed {
    outside: f64,
    source: f64,
    lean: f64,
}

impl Mixed {
    /// The part of the sources in the row's stratum at these log-odds.
    fn part(&self, odds: f64) -> f64 {
        1.0 / (1.0 + (-(odds + self.lean)).exp())
    }

    fn at(&self, odds: f64) -> f64 {
        let part = self.part(odds);
        ((1.0 - part) * self.outside + part * self.source).max(1e-300)
    }
}
