//! What people have found out about earlier findings, and what that changes.
//!
//! A case that people close says of its causes (the kinds of its findings) and of the roles of its
//! accounts whether it was benign. Each case closed as benign halves what the evidence of these
//! causes counts for accounts of these roles, each closed as misuse doubles it again; never more
//! than it counted at first, and never less than an eighth. So an e-value stays one, and nobody can
//! make the detectors blind by closing cases. Rules that need no statistics do not change.

use std::collections::BTreeMap;

use crate::{
    at_will,
    names::{Map, Names},
    signals::ALL,
    verdict::{AT_WILL, SIZE, STREAMS, VOLUME},
};

/// How often evidence may be halved.
const HALVED_MAX: i32 = 3;

/// What a closed case says of its causes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feedback {
    /// Kinds of finding. Those that are none of a statistic say nothing here.
    pub kinds: Vec<String>,
    /// The roles of the accounts that the case was about.
    pub roles: Vec<String>,
    /// Whether it was misuse; else it was benign.
    pub misuse: bool,
}

/// What the evidence of each stream counts, by role.
#[derive(Debug, Default)]
pub(crate) struct Priors {
    /// Of each case that is closed, what it says: streams, roles, misuse.
    cases: BTreeMap<u64, (Vec<usize>, Vec<u32>, bool)>,
    factors: Map<u32, [f64; STREAMS]>,
}

impl Priors {
    /// Takes what a case says, or, where it was opened again, that it says nothing.
    pub(crate) fn take(&mut self, case: u64, feedback: Option<&Feedback>, words: &mut Names) {
        self.cases.remove(&case);
        if let Some(feedback) = feedback {
            let streams = feedback.kinds.iter().flat_map(|kind| streams(kind)).collect();
            let roles = feedback.roles.iter().map(|role| words.number(role)).collect();
            self.cases.insert(case, (streams, roles, feedback.misuse));
        }
        let mut halved: BTreeMap<(u32, usize), i32> = BTreeMap::new();
        for (streams, roles, misuse) in self.cases.values() {
            let pairs = roles.iter().flat_map(|role| streams.iter().map(|stream| (*role, *stream)));
            for pair in pairs {
                *halved.entry(pair).or_default() += if *misuse { -1 } else { 1 };
            }
        }
        self.factors.clear();
        for ((role, stream), times) in halved {
            let factors = self.factors.entry(role).or_insert([1.0; STREAMS]);
            if let Some(factor) = factors.get_mut(stream) {
                *factor = 0.5_f64.powi(times.clamp(0, HALVED_MAX));
            }
        }
    }

    /// What the evidence of the streams counts for an account of the role; `None`: all of it.
    pub(crate) fn of(&self, role: u32) -> Option<&[f64; STREAMS]> {
        self.factors.get(&role)
    }
}

/// The places of the streams whose findings have that kind.
fn streams(kind: &str) -> Vec<usize> {
    match kind {
        "volume" => vec![VOLUME],
        "list_size" => vec![SIZE],
        at_will::NAME => (AT_WILL..STREAMS).collect(),
        kind => ALL.iter().position(|signal| signal.name == kind).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feedback(kind: &str, role: &str, misuse: bool) -> Feedback {
        Feedback { kinds: vec![kind.to_owned()], roles: vec![role.to_owned()], misuse }
    }

    #[test]
    fn evidence_is_halved_at_most_three_times_and_never_counts_more_than_at_first() {
        let (mut priors, mut words) = (Priors::default(), Names::default());
        let (lead, agent) = (words.number("lead"), words.number("agent"));
        let mut seen = Vec::new();
        for case in 0..5 {
            priors.take(case, Some(&feedback("volume", "lead", false)), &mut words);
            seen.push(priors.of(lead).unwrap()[VOLUME]);
        }
        assert_eq!(seen, [0.5, 0.25, 0.125, 0.125, 0.125]);
        assert!(priors.of(agent).is_none());
        assert!(priors.of(lead).unwrap()[..VOLUME].iter().all(|factor| *factor == 1.0));
        for case in 5..15 {
            priors.take(case, Some(&feedback("volume", "lead", true)), &mut words);
        }
        assert_eq!(priors.of(lead).unwrap()[VOLUME], 1.0);
    }

    #[test]
    fn a_case_that_is_opened_again_says_nothing() {
        let (mut priors, mut words) = (Priors::default(), Names::default());
        let agent = words.number("agent");
        priors.take(7, Some(&feedback("no_trace", "agent", false)), &mut words);
        assert_eq!(priors.of(agent).unwrap()[0], 0.5);
        priors.take(7, None, &mut words);
        assert!(priors.of(agent).is_none());
        priors.take(8, Some(&feedback("decoy_read", "agent", false)), &mut words);
        assert!(priors.of(agent).is_none(), "rules that need no statistics do not change");
    }
}
