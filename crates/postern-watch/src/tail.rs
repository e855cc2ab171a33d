//! How far a signal's evidence goes among those who merely work.
//!
//! An e-value bounds false alarms if what is usual is modelled well enough. Where it is not, for a
//! signal that some company's way of working upsets, the peaks that accounts reach on their days
//! have a heavier tail than promised. So the tail is measured on all accounts, those under an
//! alert apart, and evidence counts for no more than the measured tail says: beyond what was seen
//! it is continued as an exponential, as the theory of peaks over a threshold says.
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
/// The part of account-days from which on the tail of all evidence together is continued.
const PART: f64 = 0.0125;
/// Peaks above the level from which the tail is continued.
const ABOVE: f64 = 12.0;

/// Evidence below which an account's rise is over.
const RESTING: f64 = 3.0;

/// How far an account's evidence has risen since it was last at rest. A rise counts when it is
/// over: otherwise a thief whom nobody has found yet would make high evidence look usual.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rise {
    highest: f64,
}

impl Rise {
    /// Ends a day that reached `peak` and ends at `now`; gives what is to be learned of it.
    pub(crate) fn day(&mut self, peak: f64, now: f64) -> f64 {
        self.highest = self.highest.max(peak);
        if now >= RESTING {
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

    /// The evidence that only this share of account-days goes beyond: as much as [`PART`] of them
    /// reach, continued from there as [`Tail::measured`] does, with no shorter tail than evidence
    /// promises. The few days of thieves that nobody has found yet are beyond and don't count.
    pub(crate) fn level(&self, share: f64) -> Option<f64> {
        if self.total < 4.0 * ENOUGH {
            return None;
        }
        let reached = |part: f64| {
            let mut above = 0.0;
            let bins = self.counts.iter().enumerate().rev();
            let found = bins.map(|(place, count)| (place, *count)).find(|(_, count)| {
                above += count;
                above > part * self.total
            });
            found.map_or(0.0, |(place, _)| (place + 1) as f64 * STEP)
        };
        let (high, low) = (reached(PART), reached(8.0 * PART));
        let mean = ((high - low) / 8.0_f64.ln()).max(1.0);
        Some((high + mean * (PART / share).ln().max(0.0)).exp())
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

#[cfg(test)]
mod tests {
    use super::*;

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
