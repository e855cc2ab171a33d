//! A sequential test of "the share of ones is at most what is usual" against "it has risen", for
//! one account and one signal.
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

use crate::usual::{Count, Load, MOST, Peers, Usual};

/// How much of the room above the usual share the alternatives take. Several, averaged: the average
/// of e-processes is one, and a drip and a flood each have an alternative that fits.
const RAISED: [f64; 4] = [0.03, 0.1, 0.3, 0.7];
const COUNT: f64 = 4.0;
/// Where this share of ones is usual, a rise tells nothing.
const NOTHING: f64 = 0.5;
/// Evidence is never counted above this.
const CEILING: f64 = 1e30;
/// Days that pass before a day is learned from, so that a slow theft is noticed before it is usual.
const LAG: usize = 14;
/// Days for which high evidence is not learned from: what has lasted for longer without an alert is
/// how it is now.
const HELD: u32 = 25;
/// The part of what was learned before that counts on the next day of the beginning.
const FADED: f64 = 0.9;
/// Trials of its own until which an account learns without that delay.
const YOUNG: f64 = 100.0;

/// One account's test for one signal.
#[derive(Debug, Clone, Default)]
pub(crate) struct Track {
    sums: [f64; RAISED.len()],
    runs: [f64; RAISED.len()],
    today: Count,
    usual: Count,
    /// Days that are not learned from yet, oldest first.
    pending: [Count; LAG],
    waiting: usize,
    expected: Usual,
    /// The most evidence there was today.
    peak: f64,
    /// The days since an alert, until they are learned from.
    under: Count,
    /// For how many days it has been too high to be learned from.
    held: u32,
}

/// How a day is learned from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Learning {
    /// What is known of tickets is still growing, and with it what is usual.
    Beginning,
    Usual,
    /// The account was alerted on.
    Suspected,
}

/// What a trial is judged by, beside the account's own history.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    /// What the role and the team show today, the account apart.
    pub(crate) role: Load,
    pub(crate) team: Load,
    /// A usual share below this is not believed.
    pub(crate) least: f64,
    /// The weight of this moment as a beginning.
    pub(crate) weight: f64,
}

impl Track {
    /// One trial. Unexplained things come in clumps for innocent causes (a backlog, a late
    /// connector), so what is usual rises with what the account did today, as far as the peers'
    /// days vary too, and with what the peers show today.
    pub(crate) fn step(&mut self, one: bool, setting: Setting) {
        let expected = &self.expected;
        let usual = expected
            .on(setting.role, setting.team)
            .max(expected.after(self.today))
            .clamp(setting.least, MOST);
        let told = expected.share < NOTHING;
        for ((sum, run), rise) in
            self.sums.iter_mut().zip(&mut self.runs).zip(RAISED).filter(|_| told)
        {
            let raised = usual + (1.0 - usual) * rise;
            let ratio = if one { raised / usual } else { (1.0 - raised) / (1.0 - usual) };
            *sum = ((*sum + setting.weight) * ratio).min(CEILING);
            *run = (run.max(1.0) * ratio).min(CEILING);
        }
        let trial = Count { ones: f64::from(u8::from(one)), trials: 1.0 };
        self.today.add(trial);
        if one {
            self.peak = self.peak.max(self.evidence());
        }
    }

    pub(crate) fn today(&self) -> Load {
        Load { count: self.today, expected: self.today.trials * self.expected.mean }
    }

    /// The mean of what is usual.
    pub(crate) fn mean(&self) -> f64 {
        self.expected.mean
    }

    /// What is usual, as a share.
    pub(crate) fn usual(&self) -> f64 {
        self.expected.share
    }

    /// The most evidence there was today.
    pub(crate) fn peak(&self) -> f64 {
        self.peak
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
        (self.sums, self.runs) = Default::default();
    }

    /// Ends the account's day: learns from it unless it is under suspicion, and states what is
    /// usual. The peers' sums change with the account's own history.
    pub(crate) fn new_day(&mut self, old: &mut Peers, learning: Learning, frozen: f64) {
        old.leave(self.usual);
        let suspected = learning == Learning::Suspected;
        if !suspected {
            old.learn_day(self.today, self.expected.mean);
        }
        let high = self.runs.iter().sum::<f64>() / COUNT >= frozen;
        self.held = if high { self.held + 1 } else { 0 };
        if suspected {
            self.waiting = 0;
            self.under.add(self.today);
        } else if self.under.trials > 0.0 {
            // People have looked at it: how it has been since is how it is now.
            self.usual = std::mem::take(&mut self.under).capped();
            self.reset();
        } else if learning == Learning::Beginning {
            self.usual = self.usual.faded(FADED);
            self.usual.add(self.today);
        } else if high && self.held < HELD {
            self.waiting = 0;
        } else if self.today.trials > 0.0 {
            self.wait();
        }
        while self.waiting > 0 && (self.waiting >= LAG || self.usual.trials < YOUNG) {
            let [first, ..] = self.pending;
            self.usual.add(first);
            self.usual = self.usual.capped();
            self.pending.rotate_left(1);
            self.waiting -= 1;
        }
    }

    fn wait(&mut self) {
        if let Some(place) = self.pending.get_mut(self.waiting) {
            *place = self.today;
            self.waiting += 1;
        }
    }

    /// Begins a day among these peers.
    pub(crate) fn begin(&mut self, peers: &mut Peers) {
        self.expected = peers.usual_of(self.usual);
        peers.join(self.usual);
        self.today = Count::default();
        self.peak = self.evidence();
    }
}

/// The weight of a day's trial as a beginning. Half a day's weight lies evenly on as many trials as
/// a usual day has, the other half on whatever comes after; the sum is at most one.
pub(crate) fn weight(earlier_today: f64, pace: f64) -> f64 {
    let pace = pace.max(1.0).ceil();
    let trial = earlier_today + 1.0;
    if trial <= pace { 0.5 / pace } else { 0.5 * pace / (trial * (trial - 1.0)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weights_of_a_day_add_up_to_at_most_one() {
        for pace in [0.3, 1.0, 7.5, 32.0, 400.0] {
            let sum: f64 = (0..100_000).map(|earlier| weight(f64::from(earlier), pace)).sum();
            assert!(sum <= 1.0 && sum > 0.99, "{pace}: {sum}");
        }
    }
}
