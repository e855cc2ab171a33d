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
pub(crate) const NOTHING: f64 = 0.5;
/// Evidence is never counted above this.
const CEILING: f64 = 1e30;
/// Days that pass before a day is learned from, so that a slow theft is noticed before it is usual.
const LAG: usize = 14;
/// Days for which high evidence is not learned from: what has lasted for longer without an alert is
/// how it is now.
const HELD: u32 = 25;
/// Days of its own that show an account's habits.
const BEGUN_DAYS: u8 = 8;
/// The part of what was learned before that counts on the next day of the beginning.
const FADED: f64 = 0.9;
/// Trials of its own until which an account learns without that delay.
const YOUNG: f64 = 100.0;

/// The evidence that a share has risen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Test {
    sums: [f64; RAISED.len()],
    runs: [f64; RAISED.len()],
    /// The most evidence there was today.
    peak: f64,
}

impl Test {
    /// One trial: `ratio` is its likelihood ratio for each rise.
    pub(crate) fn step(&mut self, weight: f64, ratio: impl Fn(f64) -> f64) {
        for ((sum, run), rise) in self.sums.iter_mut().zip(&mut self.runs).zip(RAISED) {
            let ratio = ratio(rise);
            *sum = ((*sum + weight) * ratio).min(CEILING);
            *run = (run.max(1.0) * ratio).min(CEILING);
        }
    }

    /// Notes how high the evidence is.
    pub(crate) fn note(&mut self) {
        self.peak = self.peak.max(self.evidence());
    }

    /// The most evidence there was today.
    pub(crate) fn peak(&self) -> f64 {
        self.peak
    }

    /// `M`: the evidence that the share has risen at some time.
    pub(crate) fn evidence(&self) -> f64 {
        self.sums.iter().sum::<f64>() / COUNT
    }

    /// Whether the evidence that it has risen lately is so high.
    pub(crate) fn is_high(&self, frozen: f64) -> bool {
        self.runs.iter().sum::<f64>() / COUNT >= frozen
    }

    /// Whether nothing speaks for a rise any more, so that what was collected may be forgotten.
    pub(crate) fn at_rest(&self) -> bool {
        self.runs.iter().all(|run| *run <= 1.0)
    }

    /// Begins anew.
    pub(crate) fn reset(&mut self) {
        (self.sums, self.runs) = Default::default();
    }

    /// Begins a day.
    pub(crate) fn begin(&mut self) {
        self.peak = self.evidence();
    }
}

/// What an account shows of one thing, and what is usual for it. What each trial needs stands
/// together, and what only days need elsewhere: an account has forty of these, and what has to be
/// fetched from memory for a trial is most of what it costs.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    today: Count,
    expected: Usual,
    learned: Box<Learned>,
}

/// What an account's days have told.
#[derive(Debug, Clone, Default)]
struct Learned {
    usual: Count,
    /// Days that are not learned from yet, oldest first.
    pending: [Few; LAG],
    waiting: u8,
    /// The days since an alert, until they are learned from.
    under: Count,
    /// For how many days it has been too high to be learned from, and what these days showed.
    held: u32,
    aside: Count,
    /// Whether people have looked at it.
    vouched: bool,
    /// Its first days, and how many they were.
    begun: Few,
    begun_days: u8,
}

/// The ones and trials of a day.
#[derive(Debug, Clone, Copy, Default)]
struct Few {
    ones: u16,
    trials: u16,
}

impl Few {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range")]
    fn of(count: Count) -> Self {
        let part = (f64::from(u16::MAX) / count.trials.max(1.0)).min(1.0);
        Self { ones: (count.ones * part) as u16, trials: (count.trials * part) as u16 }
    }

    fn count(self) -> Count {
        Count { ones: f64::from(self.ones), trials: f64::from(self.trials) }
    }
}

/// One account's test for one signal.
#[derive(Debug, Clone, Default)]
pub(crate) struct Track {
    pub(crate) test: Test,
    pub(crate) history: History,
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

impl History {
    /// What is usual for a trial now. Unexplained things come in clumps for innocent causes (a
    /// backlog, a late connector), so what is usual rises with what the account did today, as far
    /// as the peers' days vary too, and with what the peers show today.
    pub(crate) fn now(&self, setting: Setting) -> f64 {
        let expected = &self.expected;
        let usual = expected.on(setting.role, setting.team).max(expected.after(self.today));
        usual.clamp(setting.least, MOST)
    }

    pub(crate) fn add(&mut self, one: bool) {
        self.today.add(Count { ones: f64::from(u8::from(one)), trials: 1.0 });
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

    /// Ends the account's day: learns from it unless it is under suspicion or has risen `high`. The
    /// peers' sums change with the account's own history. Says whether the test begins anew.
    pub(crate) fn new_day(&mut self, old: &mut Peers, learning: Learning, high: bool) -> bool {
        old.leave(self.learned.usual);
        if learning != Learning::Suspected {
            old.learn_day(self.today, self.expected.mean);
        }
        self.learned.day(&mut self.today, learning, high)
    }

    /// Begins a day among these peers.
    pub(crate) fn begin(&mut self, peers: &mut Peers) {
        let Learned { usual, begun, vouched, .. } = &*self.learned;
        self.expected = peers.usual_of(*usual, begun.count(), *vouched);
        peers.join(*usual);
        self.today = Count::default();
    }
}

impl Learned {
    /// A day has ended that showed `today`, to which days are added that were left aside.
    fn day(&mut self, today: &mut Count, learning: Learning, high: bool) -> bool {
        let suspected = learning == Learning::Suspected;
        if self.begun_days < BEGUN_DAYS && today.trials > 0.0 && !suspected {
            let mut begun = self.begun.count();
            begun.add(*today);
            (self.begun, self.begun_days) = (Few::of(begun), self.begun_days + 1);
        }
        self.held = if high { self.held + 1 } else { 0 };
        let mut anew = false;
        if suspected {
            self.waiting = 0;
            self.aside = Count::default();
            self.under.add(*today);
        } else if self.under.trials > 0.0 {
            // People have looked at it: how it has been since is how it is now.
            self.usual = std::mem::take(&mut self.under).capped();
            self.aside = Count::default();
            self.vouched = true;
            anew = true;
        } else if learning == Learning::Beginning {
            self.usual = self.usual.faded(FADED);
            self.usual.add(*today);
        } else if high && self.held < HELD && self.usual.trials >= YOUNG {
            self.aside.add(*today);
            return false;
        } else if today.trials > 0.0 {
            // What was chance after all belongs to what is usual: leaving out the days that look
            // bad would make the usual share too small.
            today.add(std::mem::take(&mut self.aside));
            self.wait(*today);
        }
        while self.waiting > 0 && (usize::from(self.waiting) >= LAG || self.usual.trials < YOUNG) {
            let [first, ..] = self.pending;
            self.usual.add(first.count());
            self.usual = self.usual.capped();
            self.pending.rotate_left(1);
            self.waiting -= 1;
        }
        anew
    }

    fn wait(&mut self, today: Count) {
        if let Some(place) = self.pending.get_mut(usize::from(self.waiting)) {
            *place = Few::of(today);
            self.waiting += 1;
        }
    }
}

impl Track {
    /// One trial.
    pub(crate) fn step(&mut self, one: bool, setting: Setting) {
        let usual = self.history.now(setting);
        if self.history.usual() < NOTHING {
            self.test.step(setting.weight, |rise| {
                let raised = usual + (1.0 - usual) * rise;
                if one { raised / usual } else { (1.0 - raised) / (1.0 - usual) }
            });
        }
        self.history.add(one);
        if one {
            self.test.note();
        }
    }

    pub(crate) fn today(&self) -> Load {
        self.history.today()
    }

    /// What is usual, as a share.
    pub(crate) fn usual(&self) -> f64 {
        self.history.usual()
    }

    /// The most evidence there was today.
    pub(crate) fn peak(&self) -> f64 {
        self.test.peak()
    }

    /// `M`: the evidence that the share has risen at some time.
    pub(crate) fn evidence(&self) -> f64 {
        self.test.evidence()
    }

    pub(crate) fn at_rest(&self) -> bool {
        self.test.at_rest()
    }

    /// Begins anew.
    pub(crate) fn reset(&mut self) {
        self.test.reset();
    }

    /// Ends the account's day, learns from it and states what is usual.
    pub(crate) fn new_day(&mut self, old: &mut Peers, learning: Learning, frozen: f64) {
        let high = self.test.is_high(frozen);
        if self.history.new_day(old, learning, high) {
            self.test.reset();
        }
    }

    /// Begins a day among these peers.
    pub(crate) fn begin(&mut self, peers: &mut Peers) {
        self.history.begin(peers);
        self.test.begin();
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

    #[test]
    fn days_that_looked_bad_by_chance_are_learned_from_in_the_end() {
        let learned = |high: bool| {
            let (mut history, mut peers) = (History::default(), Peers::default());
            for day in 0..60 {
                history.begin(&mut peers);
                (0..10).for_each(|trial| history.add(day % 10 == 0 && trial < 5));
                history.new_day(&mut peers, Learning::Usual, high && day % 10 < 2);
            }
            history.learned.usual
        };
        let (calm, upset) = (learned(false), learned(true));
        let share = |count: Count| count.ones / count.trials;
        assert!(share(calm) > 0.04, "{calm:?}");
        assert!((share(upset) / share(calm) - 1.0).abs() < 0.3, "{upset:?} {calm:?}");
    }

    #[test]
    fn who_is_young_is_learned_from_however_it_looks() {
        let learned = |earlier: usize| {
            let (mut history, mut peers) = (History::default(), Peers::default());
            for day in 0..earlier + 10 {
                history.begin(&mut peers);
                (0..10).for_each(|trial| history.add(day >= earlier && trial < 2));
                history.new_day(&mut peers, Learning::Usual, day >= earlier);
            }
            history.learned.usual.ones
        };
        assert!(learned(0) >= 20.0, "{}", learned(0));
        assert_eq!(learned(40), 0.0, "who is not waits until it is no longer high");
    }

    #[test]
    fn a_long_day_keeps_its_share() {
        let few = Few::of(Count { ones: 50_000.0, trials: 200_000.0 }).count();
        assert!((few.ones / few.trials - 0.25).abs() < 1e-3);
        let exact = Few::of(Count { ones: 3.0, trials: 40.0 }).count();
        assert_eq!((exact.ones, exact.trials), (3.0, 40.0));
    }
}
