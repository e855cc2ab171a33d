//! The kinds of evidence that speak for an account.

use std::collections::{BTreeMap, BTreeSet};

use postern_model::Timestamp;

use super::{Source, verdict::MATCHES};
use crate::{
    field::Field,
    innocent::screen,
    tracks::{Model, Point, Track},
};

/// "Most" is four fifths.
const MOST: (usize, usize) = (4, 5);

/// The readings within the best track of rows that speak for the source.
pub(super) fn speaking<'c>(model: &Model<'_>, source: &'c Source<'_>) -> Vec<&'c Point> {
    let track = &source.tracks.best;
    let speaks = |row: usize| {
        let found = track.rows.binary_search_by_key(&row, |(number, _)| *number).ok();
        found.and_then(|place| track.rows.get(place)).is_some_and(|(_, ratio)| *ratio > 0.0)
    };
    source.candidate.within(model, track).filter(|point| speaks(point.row)).collect()
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

/// How many different customers speak for the account: leaked, and read by it in the leaked
/// fields and versions within the track.
pub(super) fn matches(track: &Track) -> usize {
    track.rows.iter().filter(|(_, ratio)| *ratio > 0.0).count()
}

/// How many kinds of evidence speak for the account: which customers (a share `by_chance` of the
/// rows would be its own), which wordings, which fields, when, and that no reason was behind it.
pub(super) fn kinds(model: &Model<'_>, source: &Source<'_>, by_chance: f64) -> usize {
    let points = speaking(model, source);
    let clearly = f64::ln(10.0);
    let tracks = &source.tracks;
    // One of several who gave a list together need not fit it better than nobody.
    let customers = tracks.best.rows.iter().filter(|(_, ratio)| *ratio > clearly).count()
        >= MATCHES
        || tracks.ordinary.log_ratio >= clearly
        || screen(source.candidate.matched() as f64, model.rows(), by_chance) >= clearly;
    let (mut worded, mut shown) = (BTreeSet::new(), BTreeSet::new());
    for point in &points {
        let Some(row) = model.list.rows.get(point.row) else { continue };
        let all = row.fields.iter().fold(0, |set, field| set | field.bit);
        if row.fields.iter().any(|f| f.valid.is_some() && point.explained & f.bit != 0) {
            worded.insert(point.row);
        }
        if all != 0 && point.explained == all && point.seen.shown != Field::ALL_BITS {
            shown.insert(point.row);
        }
    }
    let when = tracks.best.log_ratio - tracks.ordinary.log_ratio >= f64::ln(100.0)
        && tracks.best.window.0 > 0;
    [
        customers,
        worded.len() >= MATCHES,
        shown.len() >= MATCHES,
        when,
        without_reason(source, &points) >= clearly,
    ]
    .into_iter()
    .filter(|speaks| *speaks)
    .count()
}

/// Whether what an account gave is a choice of what it read: without a reason, or within some time.
/// All that it read is at hand for whoever looks over its shoulder.
pub(super) fn is_choice(model: &Model<'_>, source: &Source<'_>) -> bool {
    let best = &source.tracks.best;
    let points = speaking(model, source);
    best.unexplained || best.window.0 > 0 || without_reason(source, &points) >= f64::ln(100.0)
}

/// Whether half of the rows that fit are not what colleagues can know of. Somebody's work has a few
/// readings without a reason in any case.
pub(super) fn is_beyond_knowing(model: &Model<'_>, source: &Source<'_>) -> bool {
    let known: BTreeSet<usize> =
        source.candidate.work(model).rows.iter().map(|(row, _)| *row).collect();
    let rows: BTreeSet<usize> = source.candidate.points.iter().map(|point| point.row).collect();
    let (unknown, all) = (rows.difference(&known).count(), rows.len());
    unknown * 2 >= all && all > 0
}

/// How much the matched customers stand out among all that the account read by having no strong
/// reason behind them.
fn without_reason(source: &Source<'_>, points: &[&Point]) -> f64 {
    let mut by_row: BTreeMap<usize, bool> = BTreeMap::new();
    for point in points {
        let weak = by_row.entry(point.row).or_insert(true);
        *weak &= point.seen.weak;
    }
    let weak = by_row.values().filter(|weak| **weak).count() as f64;
    screen(weak, by_row.len() as f64, source.candidate.unexplained_share())
}
