//! How well a method did, against the truth.

use postern_trace::Condition;

use crate::leaks::{Kind, LENGTHS, Sample};

/// What a method said of one list, and what is true.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub kind: Kind,
    pub length: usize,
    pub sources: Vec<String>,
    pub first: Option<String>,
    /// How probable the method takes it to be that the first suspect is a source.
    pub probability: f64,
    /// Natural logarithm of the likelihood ratio of the first suspect against the best rival.
    pub log_ratio: f64,
    pub named: Vec<String>,
    /// Whether it says that no logged access is the source.
    pub outside: bool,
    /// Whether it names a few, of whom one may be the source.
    pub narrowed: bool,
    /// The conditions for naming the first suspect that are not met.
    pub unmet: Vec<Condition>,
}

impl Outcome {
    /// An outcome of a list, with nothing said yet.
    pub fn of(sample: &Sample) -> Self {
        Self {
            kind: sample.kind,
            length: sample.length,
            sources: sample.sources.clone(),
            first: None,
            probability: 0.0,
            log_ratio: 0.0,
            named: Vec::new(),
            outside: false,
            narrowed: false,
            unmet: Vec::new(),
        }
    }

    fn is_first_right(&self) -> bool {
        self.first.as_ref().is_some_and(|first| self.sources.contains(first))
    }

    fn is_accusing(&self) -> bool {
        self.named.iter().any(|named| !self.sources.contains(named))
    }

    /// Whether the account that alone was the source was named, and nobody else.
    fn is_named_rightly(&self) -> bool {
        !self.named.is_empty() && self.named == self.sources
    }
}

/// A share, and of how many.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Share {
    pub hits: f64,
    pub of: usize,
}

impl Share {
    fn over<'a>(outcomes: impl Iterator<Item = &'a Outcome>, of: impl Fn(&Outcome) -> f64) -> Self {
        outcomes.fold(Self::default(), |share, outcome| Self {
            hits: share.hits + of(outcome),
            of: share.of + 1,
        })
    }

    /// The share itself.
    pub fn value(self) -> f64 {
        self.hits / self.of.max(1) as f64
    }
}

/// The outcomes of one method.
#[derive(Debug, Clone, Default)]
pub struct Scores(pub Vec<Outcome>);

fn yes(condition: bool) -> f64 {
    f64::from(u8::from(condition))
}

impl Scores {
    fn chosen<'a>(
        &'a self,
        kinds: impl Fn(Kind) -> bool + 'a,
        length: Option<usize>,
    ) -> impl Iterator<Item = &'a Outcome> + 'a {
        let outcomes = self.0.iter().filter(move |outcome| kinds(outcome.kind));
        outcomes.filter(move |outcome| length.is_none_or(|length| outcome.length == length))
    }

    /// How often the first suspect was a source, among lists that have one.
    pub fn first_right(&self, kind: Option<Kind>, length: Option<usize>) -> Share {
        let guilty = move |k: Kind| kind.map_or(k.is_guilty(), |kind| k == kind);
        Share::over(self.chosen(guilty, length), |o| yes(o.is_first_right()))
    }

    /// How often the source was named, among lists that have one alone.
    pub fn named_rightly(&self, kind: Option<Kind>, length: Option<usize>) -> Share {
        let single = move |k: Kind| kind.map_or(k.is_guilty() && k != Kind::Ring, |kind| k == kind);
        Share::over(self.chosen(single, length), |o| yes(o.is_named_rightly()))
    }

    /// How often somebody was named who was not a source.
    pub fn accused(&self, kind: Option<Kind>, length: Option<usize>) -> Share {
        let all = move |k: Kind| kind.is_none_or(|kind| k == kind);
        Share::over(self.chosen(all, length), |o| yes(o.is_accusing()))
    }

    /// The same among lists with no account behind them.
    pub fn accused_innocent(&self) -> Share {
        Share::over(self.chosen(|k| !k.is_guilty(), None), |o| yes(o.is_accusing()))
    }

    /// How often the first suspect would rightly be named, among lists that have one source, and
    /// somebody else's name be said, among all lists, if a probability of at least `bar` sufficed.
    pub fn at_bar(&self, bar: f64, length: Option<usize>) -> (Share, Share) {
        let above = |o: &Outcome| o.probability >= bar;
        let single = |k: Kind| k.is_guilty() && k != Kind::Ring;
        let right =
            Share::over(self.chosen(single, length), |o| yes(above(o) && o.is_first_right()));
        let all = self.chosen(|_| true, length);
        (right, Share::over(all, |o| yes(above(o) && !o.is_first_right())))
    }

    /// The share of the members of rings who were named.
    pub fn members_named(&self, length: Option<usize>) -> Share {
        let rings = self.chosen(|k| k == Kind::Ring, length);
        rings.fold(Share::default(), |share, outcome| {
            let named = outcome.sources.iter().filter(|source| outcome.named.contains(source));
            Share { hits: share.hits + named.count() as f64, of: share.of + outcome.sources.len() }
        })
    }

    /// Among lists of one source that is the first suspect and was not named: how many there are,
    /// and how many of them did not meet the condition, or no other than this one.
    pub fn held_back(&self, condition: Condition, length: usize) -> (usize, usize, usize) {
        let single = |k: Kind| k.is_guilty() && k != Kind::Ring;
        let lists = self.chosen(single, Some(length));
        let lists = lists.filter(|o| o.is_first_right() && o.named.is_empty());
        lists.fold((0, 0, 0), |(all, by, only), o| {
            let held = o.unmet.contains(&condition);
            (all + 1, by + usize::from(held), only + usize::from(held && o.unmet.len() == 1))
        })
    }

    /// How often something was said that helps: a name, a few names, "outside".
    pub fn coverage(&self, kind: Option<Kind>) -> Share {
        let all = move |k: Kind| kind.is_none_or(|kind| k == kind);
        let said = |o: &Outcome| yes(!o.named.is_empty() || o.narrowed || o.outside);
        Share::over(self.chosen(all, None), said)
    }

    /// The mean square of what the probability of the first suspect is off.
    pub fn brier(&self) -> f64 {
        let off = |o: &Outcome| (o.probability - yes(o.is_first_right())).powi(2);
        Share::over(self.0.iter(), off).value()
    }

    /// The cost of the likelihood ratios of the first suspects in bits: 1 for saying nothing.
    /// Source: Brümmer, du Preez, "Application-independent evaluation of speaker detection",
    /// Computer Speech and Language 20 (2006).
    pub fn cllr(&self) -> f64 {
        let bits = |log: f64| if log > 500.0 { log } else { log.exp().ln_1p() } / 2.0_f64.ln();
        let of = |right: bool, sign: f64| {
            let outcomes = self.0.iter().filter(move |o| o.is_first_right() == right);
            Share::over(outcomes, |o| bits(sign * o.log_ratio.clamp(-60.0, 60.0))).value()
        };
        0.5 * (of(true, -1.0) + of(false, 1.0))
    }

    /// Ten bins of the probability of the first suspect: mean probability, share right, how many.
    pub fn reliability(&self) -> Vec<(f64, f64, usize)> {
        let mut bins = vec![(0.0, 0.0, 0_usize); 10];
        for outcome in &self.0 {
            let bin = ((outcome.probability * 10.0) as usize).min(9);
            bins[bin].0 += outcome.probability;
            bins[bin].1 += yes(outcome.is_first_right());
            bins[bin].2 += 1;
        }
        let mean = |(sum, right, of): &(f64, f64, usize)| {
            let of_f = (*of).max(1) as f64;
            (sum / of_f, right / of_f, *of)
        };
        bins.iter().map(mean).collect()
    }

    /// The expected calibration error over those bins.
    pub fn calibration_error(&self) -> f64 {
        let total = self.0.len().max(1) as f64;
        self.reliability().iter().map(|(p, right, of)| (p - right).abs() * *of as f64).sum::<f64>()
            / total
    }

    /// The fewest rows with which at least this share of the single sources is named.
    pub fn rows_needed(&self, kind: Kind, share: f64) -> Option<usize> {
        let enough =
            |length: &&usize| self.named_rightly(Some(kind), Some(**length)).value() >= share;
        LENGTHS.iter().find(enough).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lower_bar_names_more_and_accuses_more() {
        let outcome = |sources: &[&str], first: &str, probability: f64| Outcome {
            kind: if sources.is_empty() { Kind::Outsider } else { Kind::Bulk },
            length: 10,
            sources: sources.iter().map(|source| (*source).to_owned()).collect(),
            first: Some(first.to_owned()),
            probability,
            log_ratio: 0.0,
            named: Vec::new(),
            outside: false,
            narrowed: false,
            unmet: Vec::new(),
        };
        let scores = Scores(vec![
            outcome(&["a"], "a", 0.95),
            outcome(&["a"], "b", 0.6),
            outcome(&[], "c", 0.7),
        ]);
        let hits = |bar: f64| {
            let (right, wrong) = scores.at_bar(bar, Some(10));
            ((right.hits, right.of), (wrong.hits, wrong.of))
        };
        assert_eq!(hits(0.9), ((1.0, 2), (0.0, 3)));
        assert_eq!(hits(0.5), ((1.0, 2), (2.0, 3)));
        assert_eq!(scores.at_bar(0.9, Some(30)).0.of, 0);
    }
}
