//! What is usual for an account: a beta distribution of its share, with the peers' share as prior
//! and its own days, capped so that it can change, as data. It is never far above the peers' share,
//! so that it can't be poisoned slowly. How much accounts differ from each other, and days from
//! each other, is estimated from the peers by the method of moments.
//!
//! Source for both moments: Kleinman, "Proportions with extraneous variance: single and independent
//! samples", Journal of the American Statistical Association 68 (1973).

/// Trials of its own after which an account's older ones fade.
const OWN_CAP: f64 = 400.0;
/// The prior of the peers' share, as ones and trials.
const PRIOR: Count = Count { ones: 0.5, trials: 25.0 };
/// How many times the peers' odds an account's usual odds may be.
const ANCHOR: f64 = 8.0;
/// Peers' trials from which on they are an anchor.
const ANCHOR_TRIALS: f64 = 200.0;
/// A usual share below this is not believed.
const LEAST: f64 = 0.002;
/// A usual share above this leaves nothing to detect.
pub(crate) const MOST: f64 = 0.98;
/// Correlation between trials of different days of an account, before the peers tell: they are
/// worth 30 trials as its prior. And how many accounts' worth of evidence this guess is.
const BETWEEN_ACCOUNTS: f64 = 1.0 / 31.0;
const BETWEEN_ACCOUNTS_WEIGHT: f64 = 5.0;
/// Correlation between trials of the same day beyond that, and the weight of this guess in days of
/// 30 trials at a share of 2 %.
const BETWEEN_DAYS: f64 = 0.03;
const BETWEEN_DAYS_WEIGHT: f64 = 10.0 * 30.0 * 29.0 * 0.02 * 0.98;
/// Trials of a day are not held to hang together more than this: the measured tails take care of
/// what goes beyond.
const CORRELATION: f64 = 0.15;
/// An account counts as one that tells how much accounts differ from these many trials on.
const TELLING: f64 = 50.0;

/// Unexplained ones among trials.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Count {
    pub(crate) ones: f64,
    pub(crate) trials: f64,
}

impl Count {
    pub(crate) fn add(&mut self, other: Self) {
        self.ones += other.ones;
        self.trials += other.trials;
    }

    pub(crate) fn without(self, other: Self) -> Self {
        let trials = (self.trials - other.trials).max(0.0);
        Self { ones: (self.ones - other.ones).clamp(0.0, trials), trials }
    }

    pub(crate) fn faded(self, factor: f64) -> Self {
        Self { ones: self.ones * factor, trials: self.trials * factor }
    }

    /// The same share on at most as many trials as an account remembers.
    pub(crate) fn capped(self) -> Self {
        if self.trials > OWN_CAP { self.faded(OWN_CAP / self.trials) } else { self }
    }
}

/// What is usual for one account on one day.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usual {
    /// The expected share.
    pub(crate) mean: f64,
    /// Its upper edge: one standard deviation above.
    pub(crate) share: f64,
    /// How many trials that expectation is worth against what the day itself shows.
    worth: f64,
}

impl Default for Usual {
    fn default() -> Self {
        Peers::default().usual_of(Count::default())
    }
}

impl Usual {
    /// The beta-binomial predictive after these trials.
    pub(crate) fn after(&self, seen: Count) -> f64 {
        (self.worth * self.share + seen.ones) / (self.worth + seen.trials)
    }
}

/// The accounts of one role.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    usual: Count,
    /// Accounts with enough trials, the sum of their shares and of the squares of these, and the
    /// sum of the inverses of their trials.
    accounts: f64,
    shares: f64,
    squares: f64,
    inverses: f64,
    /// Days: squared deviations beyond the binomial ones, and what they are to be divided by.
    excess: f64,
    scale: f64,
    day: i64,
    today: Count,
}

impl Peers {
    /// What the role has shown today.
    pub(crate) fn today(&mut self, day: i64) -> &mut Count {
        if day > self.day {
            (self.day, self.today) = (day, Count::default());
        }
        &mut self.today
    }

    pub(crate) fn join(&mut self, own: Count) {
        self.count(own, 1.0);
    }

    pub(crate) fn leave(&mut self, own: Count) {
        self.count(own, -1.0);
    }

    fn count(&mut self, own: Count, sign: f64) {
        self.usual.ones = (self.usual.ones + sign * own.ones).max(0.0);
        self.usual.trials = (self.usual.trials + sign * own.trials).max(0.0);
        if own.trials >= TELLING {
            let share = own.ones / own.trials;
            self.accounts += sign;
            self.shares += sign * share;
            self.squares += sign * share * share;
            self.inverses += sign / own.trials;
        }
    }

    /// Learns from a day of an account of which `mean` was expected how much days vary.
    pub(crate) fn learn_day(&mut self, day: Count, mean: f64) {
        if day.trials < 2.0 {
            return;
        }
        let binomial = day.trials * mean * (1.0 - mean);
        let deviation = day.ones - day.trials * mean;
        // One strange day must not set the measure for everybody.
        let deviation = (deviation * deviation).min(25.0 * binomial.max(1.0));
        self.excess = 0.999 * self.excess + deviation - binomial;
        self.scale = 0.999 * self.scale + (day.trials - 1.0) * binomial;
    }

    /// What is usual for an account with this history that is not counted among these peers.
    pub(crate) fn usual_of(&self, own: Count) -> Usual {
        let peers = (PRIOR.ones + self.usual.ones) / (PRIOR.trials + self.usual.trials);
        let between = self.between_accounts(peers);
        let trials = 1.0 / between - 1.0 + own.trials;
        let mean = ((1.0 / between - 1.0) * peers + own.ones) / trials;
        let edge = mean + (mean * (1.0 - mean) / (trials + 1.0)).sqrt();
        let odds = ANCHOR * peers.max(LEAST) / (1.0 - peers).max(0.01);
        let anchored = self.usual.trials >= ANCHOR_TRIALS;
        let anchor = if anchored { odds / (1.0 + odds) } else { MOST };
        let day =
            (self.excess + BETWEEN_DAYS * BETWEEN_DAYS_WEIGHT) / (self.scale + BETWEEN_DAYS_WEIGHT);
        let correlation = (day.max(0.01) + 1.0 / (trials + 1.0)).min(CORRELATION);
        Usual {
            mean: mean.clamp(LEAST, MOST),
            share: edge.min(anchor).clamp(LEAST, MOST),
            worth: 1.0 / correlation - 1.0,
        }
    }

    /// The share of the variance of a trial that is due to accounts being different.
    fn between_accounts(&self, peers: f64) -> f64 {
        let binomial = peers * (1.0 - peers);
        let mut variance = 0.0;
        if self.accounts >= 2.0 {
            let mean = self.shares / self.accounts;
            let spread = (self.squares - mean * self.shares) / (self.accounts - 1.0);
            variance = (spread - binomial * self.inverses / self.accounts).max(0.0);
        }
        let weighted = BETWEEN_ACCOUNTS * BETWEEN_ACCOUNTS_WEIGHT
            + self.accounts.max(0.0) * (variance / binomial.max(1e-9));
        (weighted / (BETWEEN_ACCOUNTS_WEIGHT + self.accounts.max(0.0))).clamp(0.01, 0.3)
    }
}
