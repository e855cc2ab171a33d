//! What is usual for an account: a beta distribution of its share, with the peers' share as prior
//! and its own days, capped so that it can change, as data. It is never far above the peers' share,
//! so that it can't be poisoned slowly. How much accounts differ from each other, and days from
//! each other, is estimated from the peers by the method of moments.
//!
//! Source for both moments: Kleinman, "Proportions with extraneous variance: single and independent
//! samples", Journal of the American Statistical Association 68 (1973).

/// Trials of its own after which an account's older ones fade.
const OWN_CAP: f64 = 800.0;
/// The prior of the peers' share, as ones and trials.
const PRIOR: Count = Count { ones: 0.2, trials: 8.0 };
/// How many times the peers' odds an account's usual odds may be.
const ANCHOR: f64 = 8.0;
/// How many times the odds of its own first days they may be: an old habit is no change. And what
/// the peers' share counts for in these.
const HABIT: f64 = 2.0;
const HABIT_PRIOR: f64 = 30.0;
/// And how many times that, once people have looked at the account.
const VOUCHED: f64 = 4.0;
/// Peers' trials from which on they are an anchor.
const ANCHOR_TRIALS: f64 = 200.0;
/// Correlation between trials of an account where there are no peers to speak of, and from how many
/// of its own on: what is usual for the only one of its kind is known from it alone.
const ALONE: f64 = 0.3;
const ALONE_TRIALS: f64 = 10.0;
/// Standard deviations of what is known of an account's share that it may well be higher: one that
/// looks small by chance would make a rise of each return to what is usual.
const UNSURE: f64 = 1.0;
/// A usual share below this is not believed.
const LEAST: f64 = 0.002;
/// A usual share above this leaves nothing to detect.
pub(crate) const MOST: f64 = 0.98;
/// Correlation between trials of different days of an account, before the peers tell: they are
/// worth 30 trials as its prior. And how many accounts' worth of evidence this guess is.
const BETWEEN_ACCOUNTS: f64 = 1.0 / 31.0;
const BETWEEN_ACCOUNTS_WEIGHT: f64 = 5.0;
/// How much a day's share varies beyond that, as the square of its relative spread: at first, and
/// at least. The correlation between trials of a day is that times the share. And the weight of
/// the guess in days of 30 trials at a share of 2 %.
const BETWEEN_DAYS: f64 = 1.0;
const BETWEEN_DAYS_LEAST: f64 = 0.25;
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

/// What others show today: how many ones there were, and how many were to be expected.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Load {
    pub(crate) count: Count,
    pub(crate) expected: f64,
}

/// Ones that are to be expected until a day's load counts by half.
const LOAD: f64 = 10.0;
/// How many times the expected ones make a day an unusual one.
const UNUSUAL: f64 = 1.5;
/// And how many times as many have a cause of their own.
const HIGH: f64 = 3.0;
/// The part of a day that still counts on the next.
const FADED: f64 = 0.3;
/// A day of others never makes less or more than this many times the usual share usual.
const LEAST_LOAD: f64 = 0.6;
const MOST_LOAD: f64 = 6.0;
/// Standard deviations by which the others' share counts only once it is beyond.
const BEYOND: f64 = 1.0;
/// Trials of others that are needed before their share counts by half.
const FEW: f64 = 8.0;

impl Load {
    pub(crate) fn add(&mut self, trial: Count, mean: f64) {
        self.count.add(trial);
        self.expected += trial.trials * mean;
    }

    pub(crate) fn without(self, own: Self) -> Self {
        let expected = (self.expected - own.expected).max(0.0);
        Self { count: self.count.without(own.count), expected }
    }

    /// What is left of it on the next day: what goes on for days is known in the morning, and a
    /// usual day tells nothing.
    pub(crate) fn faded(self) -> Self {
        if self.count.ones < UNUSUAL * self.expected + LOAD {
            return Self::default();
        }
        Self { count: self.count.faded(FADED), expected: self.expected * FADED }
    }

    /// Whether it is so much more than usual that it has a cause.
    pub(crate) fn is_high(self) -> bool {
        self.count.ones >= HIGH * self.expected + LOAD
    }

    /// By what the day multiplies what is usual, which `factor` was multiplied by already.
    fn factor(self, factor: f64) -> f64 {
        (self.count.ones + LOAD) / (self.expected * factor + LOAD)
    }

    /// The share that others show at least, whatever is usual for them: chance apart.
    fn share(self) -> f64 {
        let Count { ones, trials } = self.count;
        if ones <= BEYOND * 1.5 {
            // The root is larger; most signals have so few.
            return 0.0;
        }
        (ones - BEYOND * (ones + 1.0).sqrt()).max(0.0) / (trials + FEW)
    }
}

/// What is usual for one account on one day.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usual {
    /// The expected share.
    pub(crate) mean: f64,
    /// What a trial is judged by: the upper edge of what the share may well be, not far above the
    /// peers'.
    pub(crate) share: f64,
    /// How many trials that expectation is worth against what the day itself shows.
    worth: f64,
}

impl Default for Usual {
    fn default() -> Self {
        Peers::default().usual_of(Count::default(), Count::default(), false)
    }
}

impl Usual {
    /// What is usual on a day on which the role and the team show this.
    pub(crate) fn on(&self, role: Load, team: Load) -> f64 {
        let all = role.factor(1.0).clamp(LEAST_LOAD, MOST_LOAD);
        let factor = all * team.factor(all).clamp(1.0, MOST_LOAD);
        (self.share * factor.min(MOST_LOAD)).max(role.share()).max(team.share())
    }

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
    today: Load,
}

impl Peers {
    /// What the role has shown today.
    pub(crate) fn today(&mut self, day: i64) -> &mut Load {
        if day > self.day {
            (self.day, self.today) = (day, self.today.faded());
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
    pub(crate) fn usual_of(&self, own: Count, begun: Count, vouched: bool) -> Usual {
        let peers = (PRIOR.ones + self.usual.ones) / (PRIOR.trials + self.usual.trials);
        let anchored = self.usual.trials >= ANCHOR_TRIALS;
        let alone = !anchored && own.trials >= ALONE_TRIALS;
        let between = if alone { ALONE } else { self.between_accounts(peers) };
        let trials = 1.0 / between - 1.0 + own.trials;
        let mean = ((1.0 / between - 1.0) * peers + own.ones) / trials;
        let anchor = if vouched { ANCHOR * VOUCHED } else { ANCHOR };
        let odds = |share: f64| share.max(LEAST) / (1.0 - share).max(0.01);
        let habit = (HABIT_PRIOR * peers + begun.ones) / (HABIT_PRIOR + begun.trials);
        let odds = (anchor * odds(peers)).max(HABIT * odds(habit));
        let anchor = if anchored { odds / (1.0 + odds) } else { MOST };
        let spread = (mean * (1.0 - mean) / (trials + 1.0)).sqrt();
        let guess = BETWEEN_DAYS * peers.max(LEAST);
        let day = (self.excess + guess * BETWEEN_DAYS_WEIGHT) / (self.scale + BETWEEN_DAYS_WEIGHT);
        let day = day.max(BETWEEN_DAYS_LEAST * peers.max(LEAST));
        let correlation = (day + 1.0 / (trials + 1.0)).min(CORRELATION);
        Usual {
            mean: mean.clamp(LEAST, MOST),
            share: (mean + UNSURE * spread).min(anchor).clamp(LEAST, MOST),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_whom_little_is_known_more_may_be_usual() {
        let mut peers = Peers::default();
        (0..30).for_each(|_| peers.join(Count { ones: 12.0, trials: 400.0 }));
        let of = |own: Count| peers.usual_of(own, Count::default(), false);
        let (little, much) =
            (of(Count { ones: 1.0, trials: 100.0 }), of(Count { ones: 8.0, trials: 800.0 }));
        assert!(little.share > 1.4 * little.mean, "{little:?}");
        assert!(much.share > much.mean && much.share < 1.4 * much.mean, "{much:?}");
        assert!(little.share - little.mean > 1.5 * (much.share - much.mean));
    }

    #[test]
    fn an_old_habit_is_usual_and_a_new_one_far_above_the_peers_is_not() {
        let mut peers = Peers::default();
        (0..30).for_each(|_| peers.join(Count { ones: 8.0, trials: 400.0 }));
        let own = Count { ones: 160.0, trials: 800.0 };
        let share = |begun: Count| peers.usual_of(own, begun, false).share;
        let habit = share(Count { ones: 32.0, trials: 160.0 });
        let new = share(Count { ones: 3.0, trials: 160.0 });
        assert!(habit > 0.17, "{habit}");
        assert!(new < 0.15, "{new}");
        // Few days tell of no habit.
        assert!(share(Count { ones: 2.0, trials: 10.0 }) < habit);
    }
}
