//! The kinds of evidence that speak for an account.

use std::collections::{BTreeMap, BTreeSet};

use postern_model::Timestamp;

use super::MATCHES;
use crate::{
    field::Field,
    hypotheses::{Candidate, Likelihood, Model, Point},
    innocent::screen,
};

/// "Most" is four fifths.
const MOST: (usize, usize) = (4, 5);

/// The readings of matched rows within the best window.
pub(super) fn in_window<'c>(
    model: &Model<'_>,
    candidate: Option<&'c Candidate<'_>>,
    likelihood: Option<&Likelihood>,
) -> Vec<&'c Point> {
    let Some((candidate, likelihood)) = candidate.zip(likelihood) else { return Vec::new() };
    let Some((level, moved, window)) = likelihood.best else { return Vec::new() };
    let windows = model.background.windows;
    let points = candidate.points.iter();
    let inside = |point: &&Point| windows.at((level, moved), point.seen.time) == window;
    points.filter(inside).filter(|p| speaks_for(likelihood, p.row)).collect()
}

/// The shortest time in which most of the matched rows were first read. Most, because a few match
/// by chance.
pub(super) fn likely_time(points: &[&Point]) -> Option<(Timestamp, Timestamp)> {
    let mut first: BTreeMap<usize, i64> = BTreeMap::new();
    for point in points {
        let time = first.entry(point.row).or_insert(point.seen.time);
        *time = point.seen.time.min(*time);
    }
    let mut times: Vec<i64> = first.into_values().collect();
    times.sort_unstable();
    let most = (times.len() * MOST.0).div_ceil(MOST.1).max(1);
    let spans = times.windows(most).filter_map(|span| Some((*span.first()?, *span.last()?)));
    let shortest = spans.min_by_key(|(from, until)| until - from)?;
    Some((Timestamp(shortest.0), Timestamp(shortest.1)))
}

fn speaks_for(likelihood: &Likelihood, row: usize) -> bool {
    likelihood.rows.get(&row).is_some_and(|ratio| *ratio > 0.0)
}

/// How many different customers speak for the account: leaked, and read by it in the leaked
/// fields and versions within the window.
pub(super) fn matches(candidate: &Candidate<'_>, likelihood: Option<&Likelihood>) -> usize {
    let Some(likelihood) = likelihood else { return 0 };
    let rows: BTreeSet<usize> = candidate.points.iter().map(|point| point.row).collect();
    rows.into_iter().filter(|row| speaks_for(likelihood, *row)).count()
}

/// How many kinds of evidence speak for the account: which customers, which wordings, which
/// fields, when, and that no reason was behind it.
pub(super) fn kinds(
    model: &Model<'_>,
    candidate: &Candidate<'_>,
    likelihood: Option<&Likelihood>,
) -> usize {
    let Some(likelihood) = likelihood else { return 0 };
    let points = in_window(model, Some(candidate), Some(likelihood));
    let clearly = f64::ln(10.0);
    let customers = likelihood.rows.values().filter(|ratio| **ratio > clearly).count() >= MATCHES
        || likelihood.all_time >= clearly;
    let (mut worded, mut shown) = (BTreeSet::new(), BTreeSet::new());
    for point in &points {
        let Some(row) = model.list.rows.get(point.row) else { continue };
        let explained = row.explained(point.seen.time, point.seen.shown);
        let all = row.fields.iter().fold(0, |set, field| set | field.bit);
        if row.fields.iter().any(|f| f.valid.is_some() && explained & f.bit != 0) {
            worded.insert(point.row);
        }
        if all != 0 && explained == all && point.seen.shown != Field::ALL_BITS {
            shown.insert(point.row);
        }
    }
    let when = likelihood.log_ratio - likelihood.all_time >= f64::ln(3.0);
    [
        customers,
        worded.len() >= MATCHES,
        shown.len() >= MATCHES,
        when,
        without_reason(candidate, &points) >= clearly,
    ]
    .into_iter()
    .filter(|speaks| *speaks)
    .count()
}

/// How much the matched customers stand out among all that the account read by having no strong
/// reason behind them.
fn without_reason(candidate: &Candidate<'_>, points: &[&Point]) -> f64 {
    let all = candidate.set.all();
    let weak = all.iter().filter(|seen| seen.weak).count() as f64;
    let usual = (weak + 0.5) / (all.len() as f64 + 1.0);
    let mut by_row: BTreeMap<usize, bool> = BTreeMap::new();
    for point in points {
        let weak = by_row.entry(point.row).or_insert(true);
        *weak &= point.seen.weak;
    }
    let weak = by_row.values().filter(|weak| **weak).count() as f64;
    screen(weak, by_row.len() as f64, usual)
}
