//! The case as it is told.

use std::collections::BTreeSet;

use postern_model::{Actor, Timestamp};

use super::{Case, Weighed, Who, kinds, words};
use crate::{Other, OtherSource, Rows, Suspect, Trace, Verdict};

/// How many suspects and other hypotheses are told.
const TOLD: usize = 10;

impl Case<'_> {
    fn actor(&self, position: usize) -> Option<&Actor> {
        self.tracer.accounts.name(self.account(position)?)
    }

    pub(super) fn told(&self, weighed: &Weighed, verdict: Verdict, chosen: &[usize]) -> Trace {
        let list = self.model.list;
        let mut suspects = self.suspects(weighed);
        let first = suspects.first().map(|(_, position)| *position);
        let others = self.others(weighed, &suspects);
        suspects.truncate(TOLD);
        let matched = suspects.first().map_or(0, |(suspect, _)| suspect.matched);
        let rows = Rows { list: list.list, resolved: list.rows.len(), matched };
        let (window, evidence) = first.map_or((None, Vec::new()), |first| self.readings(first));
        let mut names: Vec<Actor> =
            chosen.iter().filter_map(|position| self.actor(*position)).cloned().collect();
        let named = matches!(verdict, Verdict::Attributed | Verdict::Coalition);
        if named {
            names.sort();
        }
        let suspects: Vec<Suspect> = suspects.into_iter().map(|(suspect, _)| suspect).collect();
        let why = words::why(verdict, suspects.first(), &names, &others, rows);
        let details = first.and_then(|first| self.details(weighed, first));
        let decide = if named || verdict == Verdict::Outside {
            Vec::new()
        } else {
            self.decide(weighed, first, &names)
        };
        let actors = if named { names } else { Vec::new() };
        Trace { verdict, actors, suspects, others, rows, window, evidence, why, details, decide }
    }

    /// Every account that was fitted, most probable first, then the others by how well they fit.
    fn suspects(&self, weighed: &Weighed) -> Vec<(Suspect, usize)> {
        let mut suspects: Vec<(Suspect, usize)> = Vec::new();
        for (position, source) in self.sources.iter().enumerate() {
            let Some(actor) = self.actor(position) else { continue };
            let fitted = weighed.with_and_without(position).0.is_some();
            let (probability, log_likelihood_ratio) = if fitted {
                let framed = self.framed(weighed, position);
                let ratio = self.log_likelihood_ratio(weighed, position);
                (weighed.both(position).0 * (1.0 - framed), ratio)
            } else {
                (0.0, source.tracks.log_ratio.min(0.0))
            };
            let matched = source.candidate.matched();
            let actor = actor.clone();
            suspects
                .push((Suspect { actor, probability, log_likelihood_ratio, matched }, position));
        }
        // Below one in a hundred, how well an account fits alone says more.
        let told =
            |suspect: &Suspect| if suspect.probability < 0.01 { 0.0 } else { suspect.probability };
        let alone = |position: usize| {
            self.sources.get(position).map_or(f64::NEG_INFINITY, |s| s.tracks.log_ratio)
        };
        suspects.sort_by(|(a, x), (b, y)| {
            let by_probability = told(b).total_cmp(&told(a));
            by_probability.then(alone(*y).total_cmp(&alone(*x))).then(x.cmp(y))
        });
        suspects
    }

    fn others(&self, weighed: &Weighed, suspects: &[(Suspect, usize)]) -> Vec<Other> {
        let mut others: Vec<Other> = Vec::new();
        for hypothesis in &weighed.hypotheses {
            let members = || hypothesis.members.iter().filter_map(|m| self.sources.get(*m));
            let mut actors: Vec<Actor> =
                hypothesis.members.iter().filter_map(|m| self.actor(*m)).cloned().collect();
            actors.sort();
            let pool = members().find_map(|source| match &source.who {
                Who::Pool(name) => Some(OtherSource::Pool(name.clone())),
                Who::Unlogged => Some(OtherSource::Unlogged),
                Who::Account(_) => None,
            });
            let source = match (actors.len(), pool) {
                (0, None) => OtherSource::Outside,
                (0, Some(pool)) => pool,
                (1, _) => continue,
                _ => OtherSource::Coalition(actors),
            };
            let probability = hypothesis.posterior.0.max(hypothesis.posterior.1);
            match others.iter_mut().find(|other| other.source == source) {
                Some(other) => other.probability = (other.probability + probability).min(1.0),
                None => others.push(Other { source, probability }),
            }
        }
        for (suspect, position) in suspects.iter().filter(|(suspect, _)| suspect.matched > 0) {
            let (flat, sceptical) = weighed.both(*position);
            let probability = flat.max(sceptical) * self.framed_of(weighed, *position);
            if probability > 0.0 {
                others.push(Other {
                    source: OtherSource::Framing(suspect.actor.clone()),
                    probability,
                });
            }
        }
        others.sort_by(|a, b| {
            b.probability.total_cmp(&a.probability).then_with(|| a.source.cmp(&b.source))
        });
        others.truncate(TOLD);
        others
    }

    fn framed_of(&self, weighed: &Weighed, position: usize) -> f64 {
        let fitted = weighed.with_and_without(position).0.is_some();
        if fitted { self.framed(weighed, position) } else { 0.0 }
    }

    /// When the first suspect's matches were probably taken, and in which accesses.
    fn readings(&self, first: usize) -> (Option<(Timestamp, Timestamp)>, Vec<String>) {
        let Some(source) = self.sources.get(first) else { return (None, Vec::new()) };
        let points = kinds::speaking(&self.model, source);
        let window = kinds::likely_time(&points);
        let accesses: BTreeSet<(i64, u32)> =
            points.iter().map(|point| (point.seen.time, point.seen.access)).collect();
        let id = |access: u32| self.tracer.access_id(access).map(|id| id.to_string());
        (window, accesses.into_iter().filter_map(|(_, access)| id(access)).collect())
    }
}
