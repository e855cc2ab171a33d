//! How much: the day's customers without a strong reason against the account's own past and the
//! peers' day, and the largest amount shown at once.
//!
//! More work is no theft, so customers who caused the reason are not counted. Volume sees hoarding
//! and the boiling frog; it is fooled by work whose tickets no system knows. Size sees the careless
//! export and bulk; it is fooled by exports as large as usual.

use std::collections::VecDeque;

/// The usual spread of a day's logarithm, and for how many days this guess counts.
const SPREAD: f64 = 0.65;
const SPREAD_DAYS: f64 = 8.0;
/// Counts are small, so that their logarithms are spread widely whatever was seen so far.
const LEAST_SPREAD: f64 = 0.5;
/// Rises that are tested for, in standard deviations.
const RISES: [f64; 3] = [1.0, 2.0, 3.0];
/// Explained customers until their rise counts by half, and how many times as many count at most.
const FEW: f64 = 5.0;
const MOST_WORK: f64 = 4.0;
/// Days for which a high amount is not learned from.
const FROZEN_DAYS: u32 = 10;
/// Doublings that are told apart.
const SIZES: usize = 24;
/// Doublings of the smallest amount that is a list.
const SMALL: usize = 4;
/// Days with lists from which on an account is used to them.
const USED_TO: f32 = 3.0;
/// How fast the chance of a size falls beyond those seen, as the exponent of a power law.
const POWER: f64 = 1.3;

/// An account's days.
#[derive(Debug, Clone, Default)]
pub(crate) struct Volume {
    days: f64,
    mean: f64,
    /// Customers a day whom a strong reason explains.
    explained: f64,
    variance: f64,
    sums: [f64; RISES.len()],
    waiting: VecDeque<f64>,
    frozen_days: u32,
}

impl Volume {
    /// What is usual, as a number of customers.
    pub(crate) fn usual(&self) -> Option<f64> {
        (self.days >= 5.0).then(|| self.mean.exp())
    }

    /// A day has ended with `count` unexplained customers, when the peers had `load` times what is
    /// usual.
    pub(crate) fn day(&mut self, (count, explained): (f64, f64), load: f64, frozen: f64) {
        // More of what customers asked for brings more of the rest.
        let work = ((explained + FEW) / (self.explained + FEW)).clamp(1.0, MOST_WORK);
        let work = if self.days >= 5.0 { work } else { 1.0 };
        let log = (count + 1.0).ln() - load.max(work).ln();
        if self.days >= 5.0 {
            let pooled = (self.variance * self.days + SPREAD * SPREAD * SPREAD_DAYS)
                / (self.days + SPREAD_DAYS);
            let spread = pooled.sqrt().max(LEAST_SPREAD) * (1.0 + 1.0 / self.days).sqrt();
            let z = ((log - self.mean) / spread).clamp(-4.0, 4.0);
            for (sum, rise) in self.sums.iter_mut().zip(RISES) {
                *sum = ((*sum + 1.0) * student(z, rise, self.days + SPREAD_DAYS)).min(1e30);
            }
        }
        if self.evidence() >= frozen {
            self.waiting.clear();
            self.frozen_days += 1;
            if self.frozen_days < FROZEN_DAYS {
                return;
            }
            // What has lasted so long without an alert is how it is now.
            self.reset();
        }
        self.frozen_days = 0;
        self.waiting.push_back(log);
        if self.waiting.len() <= 4 && self.days >= 10.0 {
            return;
        }
        if let Some(log) = self.waiting.pop_front() {
            self.days = (self.days + 1.0).min(40.0);
            self.explained += (explained - self.explained) / self.days;
            let off = log - self.mean;
            self.mean += off / self.days;
            self.variance += (off * off * (1.0 - 1.0 / self.days) - self.variance) / self.days;
        }
    }

    pub(crate) fn evidence(&self) -> f64 {
        self.sums.iter().sum::<f64>() / 3.0
    }

    pub(crate) fn reset(&mut self) {
        self.sums = Default::default();
    }
}

/// The likelihood ratio of a rise by `rise` when the spread is known from `days` days: of two
/// Student distributions.
fn student(z: f64, rise: f64, days: f64) -> f64 {
    let density = |z: f64| (-(days + 1.0) / 2.0) * (1.0 + z * z / days).ln();
    (density(z - rise) - density(z)).exp()
}

/// How much rarer than once in all the days seen a size can be said to be.
const RARER: f64 = 5.0;

/// How often which amount was shown in lists on a day, in doublings.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sizes {
    counts: [f32; SIZES],
    days: f32,
}

impl Sizes {
    pub(crate) fn learn(&mut self, amount: usize) {
        if let Some(count) = self.counts.get_mut(doublings(amount)) {
            *count += 1.0;
            self.days += 1.0;
        }
    }

    /// The chance of a day with so much: how often the highest amount was reached that was reached
    /// a few times, or that of a small list, and how much more this is.
    pub(crate) fn chance(&self, amount: usize) -> f64 {
        let log = (amount.max(1) as f64).log2();
        let (mut above, mut level) = (0.0, 0);
        for (place, count) in self.counts.iter().enumerate().rev() {
            above += f64::from(*count);
            level = place;
            if place <= doublings(amount) && (above >= 3.0 || place <= SMALL) {
                break;
            }
        }
        let share = (above + 1.0) / (f64::from(self.days) + 2.0);
        let beyond = share * (-POWER * (log - level as f64).max(0.0)).exp2();
        beyond.max(1.0 / (RARER * (f64::from(self.days) + 2.0)))
    }

    /// The chance by the account's own days, if it is used to lists.
    pub(crate) fn own_chance(&self, amount: usize) -> f64 {
        let lists: f32 = self.counts.iter().skip(SMALL).sum();
        if lists >= USED_TO { self.chance(amount) } else { 0.0 }
    }

    /// The share of days with half as much or more.
    pub(crate) fn share(&self, amount: usize) -> f64 {
        let from = doublings(amount).saturating_sub(1);
        let above: f32 = self.counts.iter().skip(from).sum();
        f64::from(above / self.days.max(1.0))
    }
}

/// The amount's number of doublings; nothing and one are the same.
fn doublings(amount: usize) -> usize {
    (amount.max(1).ilog2() as usize).min(SIZES - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_ever_counts_and_a_busy_day_for_everybody_does_not() {
        let evidence = |count: f64, load: f64| {
            let mut volume = Volume::default();
            for day in 0..30 {
                volume.day((20.0 + f64::from(day % 5), 20.0), 1.0, 10.0);
            }
            for _ in 0..4 {
                volume.day((count, 20.0), load, 10.0);
            }
            volume.evidence()
        };
        assert!(evidence(22.0, 1.0) < 10.0);
        assert!(evidence(120.0, 1.0) > 1e4);
        assert!(evidence(120.0, 5.5) < 10.0);
    }

    #[test]
    fn a_size_beyond_those_seen_is_rare() {
        let mut sizes = Sizes::default();
        for day in 0..400 {
            sizes.learn(if day % 10 == 0 { 30 } else { 0 });
        }
        assert!(sizes.chance(25) > 0.05);
        assert!(sizes.chance(600) < 1e-2);
        assert!(sizes.chance(100_000) < sizes.chance(600));
        assert_eq!(Sizes::default().chance(0), 0.5);
        assert!((sizes.share(40) - 0.1).abs() < 1e-6);
        assert_eq!(sizes.share(100), 0.0);
    }

    #[test]
    fn who_is_used_to_lists_is_measured_by_its_own_and_nobody_beyond_what_was_seen() {
        let mut own = Sizes::default();
        assert_eq!(own.own_chance(2_000), 0.0);
        (0..9).for_each(|day| own.learn(if day % 3 == 0 { 400 } else { 0 }));
        assert!(own.own_chance(2_000) > 0.01, "{}", own.own_chance(2_000));
        assert!(own.own_chance(2_000_000) < 0.03);
        let mut few = Sizes::default();
        (0..18).for_each(|_| few.learn(0));
        assert_eq!(few.chance(1_000_000), 0.01);
    }

    #[test]
    fn more_of_what_customers_asked_for_brings_more_of_the_rest() {
        let evidence = |explained: f64| {
            let mut volume = Volume::default();
            (0..30).for_each(|day| volume.day((8.0 + f64::from(day % 3), 20.0), 1.0, 10.0));
            (0..4).for_each(|_| volume.day((27.0, explained), 1.0, 10.0));
            volume.evidence()
        };
        assert!(evidence(20.0) > 100.0, "{}", evidence(20.0));
        assert!(evidence(60.0) < 10.0, "{}", evidence(60.0));
    }
}
