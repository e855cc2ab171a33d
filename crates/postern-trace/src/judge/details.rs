//! What speaks for and against the first suspect, and what would decide an open case.

use std::collections::{BTreeMap, BTreeSet};

use postern_model::{Actor, Subject, Timestamp};

use super::{Case, Source, Weighed, Who, kinds, verdict};
use crate::{
    Condition, Details,
    field::Field,
    tracks::{Point, grouped},
};

/// Customers at risk that are listed.
const LISTED: usize = 100_000;
/// Sources less probable than this are no reason to warn anybody.
const WARNED: f64 = 0.01;

impl Case<'_> {
    pub(super) fn details(&self, weighed: &Weighed, position: usize) -> Option<Details> {
        let source = self.sources.get(position)?;
        let points = kinds::speaking(&self.model, source);
        let by_row = by_row(points.iter().copied());
        let list = self.model.list;
        let subject = |row: &usize| {
            let row = list.rows.get(*row)?;
            self.tracer.subject_name(row.subject)
        };
        let seen: BTreeSet<usize> = source.candidate.points.iter().map(|p| p.row).collect();
        let against = (0..list.rows.len()).filter(|row| !seen.contains(row));
        let mut claims: BTreeMap<String, usize> = BTreeMap::new();
        let accesses: BTreeSet<u32> = points.iter().map(|point| point.seen.access).collect();
        for access in accesses {
            if let Some(ticket) = self.tracer.claim(access) {
                *claims.entry(ticket.to_string()).or_default() += 1;
            }
        }
        Some(Details {
            contributions: self.contributions(source),
            speak_for: by_row.keys().filter_map(subject).collect(),
            speak_against: against.filter_map(|row| subject(&row)).collect(),
            fields: self.fields(source),
            claims: claims.into_iter().collect(),
            readings: points.iter().map(|point| Timestamp(point.seen.time)).collect(),
            unexplained: points.iter().filter(|point| point.seen.weak).count(),
            at_risk: self.at_risk(source),
            unmet: self.unmet(weighed, position),
        })
    }

    /// The ratio that the choice of customers alone comes to; what is added by wordings and shown
    /// fields; and what by looking at the part of the readings that fits best.
    fn contributions(&self, source: &Source<'_>) -> Vec<(&'static str, f64)> {
        let tracks = &source.tracks;
        let all = source.candidate.within(&self.model, &tracks.ordinary);
        let explained = by_row(all);
        let plain: Vec<f64> = tracks
            .ordinary
            .rows
            .iter()
            .filter_map(|(number, ratio)| {
                let row = self.model.list.rows.get(*number)?;
                let explained = explained.get(number).copied().unwrap_or(0);
                Some(ratio - self.model.background.log_wording(row, explained))
            })
            .collect();
        let customers = self.model.mixture.log_ratio(self.model.rows(), &grouped(plain.iter()));
        vec![
            ("which customers", customers),
            ("which fields and versions", tracks.ordinary.log_ratio - customers),
            ("when and without a reason", tracks.log_ratio - tracks.ordinary.log_ratio),
        ]
    }

    fn fields(&self, source: &Source<'_>) -> Vec<(&'static str, usize, usize)> {
        let explained = by_row(source.candidate.points.iter());
        let mut fields = Vec::new();
        for (field, name) in Field::ALL {
            let (mut agreeing, mut not) = (0, 0);
            for (number, explained) in &explained {
                let row = self.model.list.rows.get(*number);
                let has = row.is_some_and(|row| row.fields.iter().any(|f| f.bit == field.bit()));
                agreeing += usize::from(has && explained & field.bit() != 0);
                not += usize::from(has && explained & field.bit() == 0);
            }
            if agreeing + not > 0 {
                fields.push((name, agreeing, not));
            }
        }
        fields
    }

    /// Whoever was taken on the track of a source that may have given the list, with how probable
    /// it is that one of these did, the most probable first.
    pub(super) fn next_called(&self, weighed: &Weighed) -> Vec<(Subject, f64)> {
        let mut missed: BTreeMap<u32, f64> = BTreeMap::new();
        for (position, source) in self.sources.iter().enumerate() {
            let had = weighed.hypotheses.iter().filter(|h| h.members.contains(&position));
            let probability = had.map(|h| h.posterior.0).sum::<f64>().clamp(0.0, 1.0);
            // A copy of all that there is tells of nobody in particular.
            if probability < WARNED || source.who == Who::Unlogged {
                continue;
            }
            for subject in self.taken(source) {
                *missed.entry(subject).or_insert(1.0) *= 1.0 - probability;
            }
        }
        let name = |subject| self.tracer.subject_name(subject);
        let named =
            missed.into_iter().filter_map(|(subject, missed)| Some((name(subject)?, 1.0 - missed)));
        let mut next: Vec<(Subject, f64)> = named.collect();
        next.sort_by(|(a, x), (b, y)| y.total_cmp(x).then_with(|| a.cmp(b)));
        next.truncate(LISTED);
        next
    }

    /// Those who were taken on the same track and are not in the list, by name.
    fn at_risk(&self, source: &Source<'_>) -> Vec<Subject> {
        let numbers = self.taken(source).into_iter();
        let mut subjects: Vec<Subject> =
            numbers.filter_map(|subject| self.tracer.subject_name(subject)).collect();
        subjects.sort();
        subjects.truncate(LISTED);
        subjects
    }

    /// Those who were taken on the same track and are not in the list.
    fn taken(&self, source: &Source<'_>) -> BTreeSet<u32> {
        let (level, moved, window) = source.tracks.best.window;
        let windows = self.model.background.windows;
        let inside = source.candidate.set.all().iter().filter(|seen| {
            (seen.weak || !source.tracks.best.unexplained)
                && windows.at((level, moved), seen.time) == window
        });
        let listed: BTreeSet<u32> = self.model.list.rows.iter().map(|row| row.subject).collect();
        inside.map(|seen| seen.subject).filter(|subject| !listed.contains(subject)).collect()
    }

    /// What would decide the case.
    pub(super) fn decide(
        &self,
        weighed: &Weighed,
        first: Option<usize>,
        among: &[Actor],
    ) -> Vec<String> {
        let mut decide = Vec::new();
        let Some((position, source)) = first.and_then(|f| Some((f, self.sources.get(f)?))) else {
            return vec!["more rows".to_owned()];
        };
        let matched = kinds::matches(&source.tracks.best);
        let ratio = self.log_likelihood_ratio(weighed, position);
        let missing = verdict::RATIO.ln() + self.counts.0.ln() - ratio;
        if matched > 0 && ratio > 0.0 && missing > 0.0 {
            let each = (ratio / matched as f64).max(0.05);
            let more = (missing / each).ceil().max(verdict::MATCHES.saturating_sub(matched) as f64);
            decide.push(format!("about {more:.0} more rows as telling as those that match"));
        } else if ratio <= 0.0 {
            decide.push("more rows: those there are fit another source as well".to_owned());
        }
        if !self.tracer.has_versions() {
            decide.push("the values that fields had over time".to_owned());
        }
        if !self.model.reasons {
            decide.push("the tickets, or the reasons at each access".to_owned());
        }
        if let [a, b, ..] = among {
            decide.push(format!("rows of customers whom only one of {a} and {b} was shown"));
        }
        let unmet = self.unmet(weighed, position);
        let also = unmet.into_iter().filter_map(|condition| match condition {
            Condition::Few => {
                Some("the lists of which this one was merged, each alone: it needs more than three")
            }
            Condition::Kinds => Some(
                "a second kind of evidence: values of changed fields, the fields that each access \
                 showed, or its reason",
            ),
            Condition::Tenths => Some("rows that do not all depend on a few of them"),
            Condition::Framing if self.framed(weighed, position) * verdict::RATIO > 1.0 => Some(
                "what excludes framing: the rows that fit are what others may know that the \
                 account was shown",
            ),
            Condition::Best
            | Condition::OpenPosterior
            | Condition::ScepticalPosterior
            | Condition::Framing
            | Condition::Ratio
            | Condition::Matches
            | Condition::Chance => None,
        });
        decide.extend(also.map(str::to_owned));
        decide
    }
}

fn by_row<'p>(points: impl Iterator<Item = &'p Point>) -> BTreeMap<usize, u8> {
    let mut by_row: BTreeMap<usize, u8> = BTreeMap::new();
    for point in points {
        *by_row.entry(point.row).or_default() |= point.explained;
    }
    by_row
}
