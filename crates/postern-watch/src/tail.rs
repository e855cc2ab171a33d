//! How far a signal's evidence goes among those who merely work.
//!
//! An e-value bounds false alarms if what is usual is modelled well enough. Where it is not, for a
//! signal that some company's way of working upsets, the peaks that accounts reach on their days
//! have a heavier tail than promised. So the tail is measured on all accounts, those under an
//! alert apart, and evidence counts for no more than the measured tail says: beyond what was seen
//! it is continued as an exponential, as the theory of peaks over a threshold says.
//!
//! The evidence of all streams together is measured the same way ([`Totals`]), from a tail on that
//! is believed before anything is known: that says in how many account-days one rise goes so far.
//!
//! Source: Pickands, "Statistical inference using extreme order statistics", Annals of Statistics 3
//! (1975).

/// Logarithms of evidence are counted in steps of a half.
const STEPS: usize = 80;
const STEP: f64 = 0.5;
/// Account-days from which on the tail is measured rather than promised.
const ENOUGH: f64 = 300.0;
/// Account-days from which on a few peers' tail is believed where it is longer than the others'.
const LEAST: f64 = 40.0;
/// Peaks above the level from which the tail is continued.
const ABOVE: f64 = 12.0;

/// How far an account's evidence has risen since it was last at rest. A rise counts when it is
/// over: otherwise a thief whom nobody has found yet would make high evidence look usual.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rise {
    highest: f64,
}

impl Rise {
    /// Ends a day that reached `peak` and ends at `now`; gives what is to be learned of it. Below
    /// `resting` the rise is over.
    pub(crate) fn day(&mut self, peak: f64, now: f64, resting: f64) -> f64 {
        self.highest = self.highest.max(peak);
        if now >= resting {
            return 0.0;
        }
        std::mem::take(&mut self.highest)
    }
}

#[derive(Debug)]
pub(crate) struct Tail {
    counts: [f64; STEPS],
    total: f64,
}

impl Default for Tail {
    fn default() -> Self {
        Self { counts: [0.0; STEPS], total: 0.0 }
    }
}

impl Tail {
    /// Learns the highest evidence of an account's day.
    pub(crate) fn learn(&mut self, peak: f64) {
        let place = (peak.max(1.0).ln() / STEP).floor().min(STEPS as f64 - 1.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range")]
        if let Some(count) = self.counts.get_mut(place as usize) {
            *count += 1.0;
            self.total += 1.0;
        }
    }

    /// Whether enough is known to measure.
    pub(crate) fn is_known(&self) -> bool {
        self.total >= 2.0 * ENOUGH
    }

    /// What the evidence counts for: at most itself.
    pub(crate) fn measured(&self, evidence: f64) -> f64 {
        if self.total < LEAST || evidence <= 1.0 {
            return evidence;
        }
        let log = evidence.ln();
        let (mut above, mut excess, mut level) = (0.0, 0.0, 0.0);
        for (place, count) in self.counts.iter().enumerate().rev() {
            let at = place as f64 * STEP;
            excess += above * STEP;
            above += count;
            level = at;
            if above >= ABOVE && at <= log {
                break;
            }
        }
        let mean = ((excess + 0.5 * STEP * above + STEP * 2.0) / (above + 2.0)).max(STEP);
        let share = (above + 1.0) / (self.total + 1.0);
        let measured = (log - level).max(0.0) / mean - share.ln();
        measured.min(log).exp()
    }
}

/// All evidence together is counted from this logarithm on, in steps of a tenth: averaged over
/// streams of which most are silent, it is mostly below one.
const FROM: f64 = -1.0;
const FINE: f64 = 0.1;
const FINE_STEPS: usize = 220;
/// What is believed of it before it is measured: for how many account-days, and of which logarithm
/// how many of these go beyond.
const BELIEVED: f64 = 400.0;
const BELIEVED_BEYOND: [(f64, f64); 4] = [(FROM, 1.0), (1.0, 0.02), (2.5, 0.0045), (14.0, 2.4e-5)];
const BELIEVED_MEAN: f64 = 2.0;
/// Rises above the level from which on the tail is continued, and how many believed ones count in
/// how far it goes.
const TOP: f64 = 10.0;
const TOP_BELIEVED: f64 = 3.0;

/// How far all evidence together goes: what an amount of it is worth in account-days, and the
/// other way round.
#[derive(Debug)]
pub(crate) struct Totals {
    counts: Vec<f64>,
    total: f64,
}

impl Default for Totals {
    fn default() -> Self {
        let beyond = |place: usize| BELIEVED * believed(FROM + place as f64 * FINE);
        let counts = (0..FINE_STEPS).map(|place| {
            let next = if place + 1 < FINE_STEPS { beyond(place + 1) } else { 0.0 };
            beyond(place) - next
        });
        Self { counts: counts.collect(), total: BELIEVED }
    }
}

/// The share of account-days that is believed to go beyond this logarithm.
fn believed(log: f64) -> f64 {
    let mut parts = BELIEVED_BEYOND.iter().zip(BELIEVED_BEYOND.iter().skip(1));
    let found = parts.clone().find(|(_, (to, _))| log <= *to).or_else(|| parts.next_back());
    found.map_or(0.0, |((from, high), (to, low))| {
        high * ((log - from) / (to - from) * (low / high).ln()).exp()
    })
}

impl Totals {
    /// Counts a rise that went so far, or takes it back.
    pub(crate) fn learn(&mut self, evidence: f64, sign: f64) {
        let place = ((evidence.max(1e-9).ln() - FROM) / FINE).clamp(0.0, FINE_STEPS as f64 - 1.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range")]
        if let Some(count) = self.counts.get_mut(place as usize) {
            *count += sign;
            self.total += sign;
        }
    }

    /// Where the tail begins that is continued: the logarithm, how many rises go beyond, and how
    /// far in the mean.
    fn top(&self) -> (f64, f64, f64) {
        let (mut above, mut excess) = (0.0, 0.0);
        let mut at = FROM;
        for (place, count) in self.counts.iter().enumerate().rev() {
            excess += above * FINE;
            above += count;
            at = FROM + place as f64 * FINE;
            if above >= TOP {
                break;
            }
        }
        let mean = (excess + TOP_BELIEVED * BELIEVED_MEAN) / (above + TOP_BELIEVED);
        (at, above, mean.max(FINE))
    }

    /// In how many account-days one rise goes so far.
    pub(crate) fn rarity(&self, evidence: f64) -> f64 {
        let log = evidence.max(1e-9).ln();
        let (at, above, mean) = self.top();
        if log >= at {
            return self.total / above.max(1e-9) * ((log - at) / mean).exp();
        }
        let mut beyond = 0.0;
        for (place, count) in self.counts.iter().enumerate().rev() {
            let low = FROM + place as f64 * FINE;
            if low <= log {
                beyond += count * (1.0 - (log - low) / FINE).clamp(0.0, 1.0);
                break;
            }
            beyond += count;
        }
        self.total / beyond.max(1e-9)
    }

    /// The evidence that one rise in so many account-days goes beyond.
    pub(crate) fn level(&self, days: f64) -> f64 {
        let (at, above, mean) = self.top();
        let wanted = self.total / days;
        if wanted <= above {
            return (at + mean * (above / wanted).ln()).exp();
        }
        let mut beyond = 0.0;
        for (place, count) in self.counts.iter().enumerate().rev() {
            if beyond + count >= wanted {
                let part = (beyond + count - wanted) / count.max(1e-9);
                return (FROM + (place as f64 + part) * FINE).exp();
            }
            beyond += count;
        }
        FROM.exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_evidence_is_worth_is_measured() {
        let believed = Totals::default();
        assert!((believed.rarity(believed.level(1_000.0)) - 1_000.0).abs() < 1.0);
        let before = believed.level(1_000.0);
        let mut totals = believed;
        for rank in 1..20_000 {
            totals.learn(20_000.0 / f64::from(rank), 1.0);
        }
        for days in [30.0, 300.0, 3_000.0] {
            let level = totals.level(days);
            assert!((0.6..1.6).contains(&(level / days)), "{days}: {level}");
            assert!((totals.rarity(level) / days - 1.0).abs() < 0.05);
        }
        let mut quiet = Totals::default();
        (0..20_000).for_each(|_| quiet.learn(0.5, 1.0));
        assert!(quiet.level(1_000.0) < before / 2.0);
        quiet.learn(1e6, 1.0);
        let with = quiet.level(1_000.0);
        quiet.learn(1e6, -1.0);
        assert!(quiet.level(1_000.0) < with);
    }

    #[test]
    fn evidence_counts_for_no_more_than_the_measured_tail_says() {
        let mut tail = Tail::default();
        assert_eq!(tail.measured(1e6), 1e6, "nothing is measured yet");
        // Peaks as promised: one in e^x account-days goes beyond x.
        for rank in 1..20_000 {
            tail.learn(20_000.0 / f64::from(rank));
        }
        let promised = tail.measured(1e6);
        assert!((1e5..=1e6).contains(&promised), "{promised}");
        // A tail that is twice as long in the logarithm.
        let mut heavy = Tail::default();
        for rank in 1..20_000 {
            heavy.learn((20_000.0 / f64::from(rank)).powi(2));
        }
        let measured = heavy.measured(1e6);
        assert!((3e2..=3e3).contains(&measured), "{measured}");
        assert!(heavy.measured(10.0) < 10.0);
    }
}
