//! What a source could have given of a list, and through which part of what it had.
//!
//! A source gives any of the customers of the row's stratum that it saw within a window, for any
//! reason or only those without one: `q = m / (|S ∩ s| + 2)`, if the leaked fields were shown in
//! the leaked version: `m = Π [(1-e) · [same] + e·u]`. Each window and each choice of reasons is a
//! *track*, and a source is as probable as its tracks are together. The two that are added keep a
//! stratum in which a source has next to nothing from deciding a case alone.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use crate::{
    background::{Background, at},
    field::Field,
    mixture::{Mixture, log_sum},
    resolve::{Resolved, Row},
    source::{Seen, Sizes, SourceSet, Window},
};

/// Tracks of a source that are weighed exactly: the best by the closed form.
const WEIGHED: usize = 12;
/// How probable it is that what was stolen was read without a reason, where reasons are known.
const UNEXPLAINED: f64 = 0.7;
/// See the module.
const SMOOTHED: f64 = 2.0;

/// Windows, by position of their kind and number.
pub(crate) type Excluded = BTreeSet<(usize, usize)>;

/// A reading that may have given a row: row, the reading, the fields that it explains.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Point {
    pub(crate) row: usize,
    pub(crate) seen: Seen,
    pub(crate) explained: u8,
}

/// What all likelihoods share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Model<'a> {
    pub(crate) background: &'a Background,
    pub(crate) mixture: &'a Mixture,
    pub(crate) list: &'a Resolved,
    /// See [`crate::copied`].
    pub(crate) copied: &'a [f64],
    /// Whether anything tells readings with a reason from others.
    pub(crate) reasons: bool,
}

impl Model<'_> {
    /// How many rows there are, those that belong to no customer included.
    pub(crate) fn rows(&self) -> f64 {
        (self.list.rows.len() + self.list.strangers) as f64
    }

    /// `ln (q / q0)` of a row that is one of `size` customers of its stratum.
    fn log_row(&self, row: &Row, explained: u8, size: f64) -> f64 {
        let size = (size + SMOOTHED).ln();
        self.background.log_match(row, explained) - size - self.background.log_elsewhere(row)
    }
}

/// One track, with the rows that it could have given.
#[derive(Debug, Clone, Default)]
pub(crate) struct Track {
    pub(crate) window: Window,
    /// Only what was read without a reason.
    pub(crate) unexplained: bool,
    log_prior: f64,
    /// The ratio of the likelihoods to "elsewhere", alone and against the plain background.
    pub(crate) log_ratio: f64,
    /// By number, `ln (q / q0)`.
    pub(crate) rows: Vec<(usize, f64)>,
    /// By stratum: how much more of it than of all strata together the source has.
    pub(crate) leanings: Vec<f64>,
}

impl Track {
    /// Whether it could have given the row of that number.
    pub(crate) fn gives(&self, row: usize) -> bool {
        self.rows.binary_search_by_key(&row, |(number, _)| *number).is_ok()
    }
}

/// A source with all its tracks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tracks {
    /// The logarithm of the likelihood ratio to "elsewhere" over all tracks.
    pub(crate) log_ratio: f64,
    pub(crate) best: Track,
    /// All of the time and any reason.
    pub(crate) ordinary: Track,
}

impl Tracks {
    /// One track: the customers whom some had, by how many had them, in any wording.
    pub(crate) fn shared(model: &Model<'_>, had: &[f64], window: Window, log_prior: f64) -> Self {
        let background = model.background;
        let (mut sizes, mut sums) = (vec![0.0; background.strata], vec![0.0; background.strata]);
        let both = background.stratum_of.iter().zip(had).filter(|(_, had)| **had > 0.0);
        for (stratum, had) in both {
            let slots = (sizes.get_mut(usize::from(*stratum)), sums.get_mut(usize::from(*stratum)));
            if let (Some(size), Some(sum)) = slots {
                *size += 1.0;
                *sum += had;
            }
        }
        let ratio = |(number, row): (usize, &Row)| {
            let had = had.get(at(row.subject)).copied().filter(|had| *had > 0.0)?;
            let stratum = usize::from(background.stratum(row.subject));
            let of = |sums: &[f64]| sums.get(stratum).copied().unwrap_or(0.0) + SMOOTHED;
            let size = 1.0 / (0.5 / of(&sizes) + 0.5 * had / of(&sums));
            Some((number, model.log_row(row, Field::ALL_BITS, size - SMOOTHED)))
        };
        let rows: Vec<_> = model.list.rows.iter().enumerate().filter_map(ratio).collect();
        let log_ratio =
            model.mixture.log_ratio(model.rows(), &grouped(rows.iter().map(|(_, ratio)| ratio)));
        let leanings = background.leaning_strata(&sizes);
        let best = Track { window, unexplained: false, log_prior, log_ratio, rows, leanings };
        Self { log_ratio: log_prior + log_ratio, ordinary: best.clone(), best }
    }

    /// What the choice of the best track costs: its prior, and that of others as good as it.
    pub(crate) fn log_choice(&self) -> f64 {
        (self.log_ratio - self.best.log_ratio).min(0.0)
    }
}

/// A source of which tracks can be weighed.
#[derive(Debug, Clone)]
pub(crate) struct Candidate<'a> {
    pub(crate) set: &'a SourceSet,
    /// Of all readings, and of those without a reason.
    sizes: Cow<'a, [Sizes; 2]>,
    /// In the order of time.
    pub(crate) points: Vec<Point>,
    excluded: Option<&'a Excluded>,
}

/// A window with how much of the list lies in it, before it is weighed.
struct Sketch {
    score: f64,
    position: usize,
    kind: (u32, bool),
    window: usize,
    unexplained: bool,
    /// Of the points that are meant.
    points: std::ops::Range<usize>,
}

impl<'a> Candidate<'a> {
    /// What an account read: the versions that it was shown.
    pub(crate) fn account(set: &'a SourceSet, sizes: Cow<'a, [Sizes; 2]>, list: &Resolved) -> Self {
        Self::new(set, sizes, list, |row, seen| row.explained(seen.time, seen.shown))
    }

    /// A source of which the tracks are known already.
    pub(crate) fn nothing(set: &'a SourceSet) -> Self {
        Self { set, sizes: Cow::Owned(Default::default()), points: Vec::new(), excluded: None }
    }

    /// A source of which nobody knows when it was read.
    pub(crate) fn pool(set: &'a SourceSet, sizes: Cow<'a, [Sizes; 2]>, list: &Resolved) -> Self {
        Self::new(set, sizes, list, |_, _| Field::ALL_BITS)
    }

    fn new(
        set: &'a SourceSet,
        sizes: Cow<'a, [Sizes; 2]>,
        list: &Resolved,
        explained: impl Fn(&Row, &Seen) -> u8,
    ) -> Self {
        let mut points = Vec::new();
        for (number, row) in list.rows.iter().enumerate() {
            for seen in set.of(row.subject).iter().filter(|seen| seen.time < row.before) {
                let explained = explained(row, seen);
                points.push(Point { row: number, seen: *seen, explained });
            }
        }
        points.sort_by_key(|point| (point.seen.time, point.row));
        Self { set, sizes, points, excluded: None }
    }

    /// The same without some windows.
    pub(crate) fn excluding(self, excluded: &'a Excluded) -> Self {
        Self { excluded: Some(excluded), ..self }
    }

    /// How many different rows it could have given.
    pub(crate) fn matched(&self) -> usize {
        self.points.iter().map(|point| point.row).collect::<BTreeSet<_>>().len()
    }

    /// Weighs the tracks.
    pub(crate) fn weigh(&self, model: &Model<'_>) -> Tracks {
        let rows = model.rows();
        let nothing = model.mixture.log_ratio(rows, &[]);
        let weak: Vec<Point> = self.points.iter().filter(|p| p.seen.weak).copied().collect();
        let mut sketches = Vec::new();
        self.sketch(model, &self.points, false, &mut sketches);
        if model.reasons {
            self.sketch(model, &weak, true, &mut sketches);
        }
        sketches.sort_by(|a, b| b.score.total_cmp(&a.score));
        let all_time = |sketch: &Sketch| sketch.kind == (0, false);
        let mut weighed: Vec<Track> = Vec::new();
        for (number, sketch) in sketches.iter().enumerate() {
            if number < WEIGHED || all_time(sketch) {
                let points = if sketch.unexplained { &weak } else { &self.points };
                let points = points.get(sketch.points.clone()).unwrap_or_default();
                weighed.push(self.track(model, sketch, points));
            }
        }
        let terms = weighed.iter().map(|track| track.log_prior + track.log_ratio);
        let spent: f64 = weighed.iter().map(|track| track.log_prior.exp()).sum();
        let rest = (1.0 - spent).max(1e-12).ln() + nothing;
        let log_ratio = log_sum(terms.chain([rest]));
        let ordinary = weighed.iter().find(|t| !t.unexplained && t.window == (0, false, 0));
        let ordinary =
            ordinary.cloned().unwrap_or_else(|| Track { log_ratio: nothing, ..Track::default() });
        let by_weight = |a: &&Track, b: &&Track| {
            (a.log_prior + a.log_ratio).total_cmp(&(b.log_prior + b.log_ratio))
        };
        let best = weighed.iter().max_by(by_weight).cloned().unwrap_or_else(|| ordinary.clone());
        Tracks { log_ratio, best, ordinary }
    }

    /// Every window in which a row lies, with a score in closed form.
    fn sketch(
        &self,
        model: &Model<'_>,
        points: &[Point],
        unexplained: bool,
        sketches: &mut Vec<Sketch>,
    ) {
        let windows = model.background.windows;
        let customers: f64 = model.background.sizes.iter().sum();
        let mut stamps = vec![usize::MAX; model.list.rows.len()];
        let mut stamp = 0;
        for (position, kind) in windows.kinds().enumerate() {
            let mut from = 0;
            for chunk in points
                .chunk_by(|a, b| windows.at(kind, a.seen.time) == windows.at(kind, b.seen.time))
            {
                let range = from..from + chunk.len();
                from = range.end;
                let Some(first) = chunk.first() else { continue };
                let window = windows.at(kind, first.seen.time);
                if self.excluded.is_some_and(|excluded| excluded.contains(&(position, window))) {
                    continue;
                }
                stamp += 1;
                let mut rows = 0.0;
                for point in chunk {
                    if let Some(last) = stamps.get_mut(point.row).filter(|last| **last != stamp) {
                        *last = stamp;
                        rows += 1.0;
                    }
                }
                let size = self.of(unexplained).total(position, window);
                let score = crate::innocent::screen(rows, model.rows(), size / customers.max(1.0))
                    + windows.log_prior(kind);
                sketches.push(Sketch { score, position, kind, window, unexplained, points: range });
            }
        }
    }

    fn of(&self, unexplained: bool) -> &Sizes {
        let [all, weak] = &*self.sizes;
        if unexplained { weak } else { all }
    }

    fn track(&self, model: &Model<'_>, sketch: &Sketch, points: &[Point]) -> Track {
        let mut by_row: Vec<(usize, u8)> = points.iter().map(|p| (p.row, p.explained)).collect();
        by_row.sort_unstable();
        by_row.dedup_by(|next, first| {
            let same = next.0 == first.0;
            if same {
                first.1 |= next.1;
            }
            same
        });
        let sizes = self.of(sketch.unexplained);
        let ratio = |(number, explained): (usize, u8)| {
            let row = model.list.rows.get(number)?;
            let stratum = model.background.stratum(row.subject);
            let size = sizes.get(sketch.position, sketch.window, stratum);
            Some((number, model.log_row(row, explained, size)))
        };
        let rows: Vec<(usize, f64)> = by_row.into_iter().filter_map(ratio).collect();
        let log_ratio =
            model.mixture.log_ratio(model.rows(), &grouped(rows.iter().map(|(_, ratio)| ratio)));
        let strata = (0..).take(model.background.strata);
        let of_strata = strata.map(|stratum| sizes.get(sketch.position, sketch.window, stratum));
        let choices = match (model.reasons, sketch.unexplained) {
            (false, _) => 0.0,
            (true, true) => UNEXPLAINED.ln(),
            (true, false) => (1.0 - UNEXPLAINED).ln(),
        };
        Track {
            window: (sketch.kind.0, sketch.kind.1, sketch.window),
            unexplained: sketch.unexplained,
            log_prior: model.background.windows.log_prior(sketch.kind) + choices,
            log_ratio,
            rows,
            leanings: model.background.leaning_strata(&of_strata.collect::<Vec<_>>()),
        }
    }

    /// What a colleague can know of: the customers that the account worked with one by one, for a
    /// reason.
    pub(crate) fn work(&self, model: &Model<'_>) -> Track {
        let plain = |seen: &Seen| !seen.weak && !seen.listed;
        let background = model.background;
        let mut sizes = vec![0.0; background.strata];
        for of_subject in self.set.all().chunk_by(|a, b| a.subject == b.subject) {
            let first = of_subject.iter().find(|seen| plain(seen));
            let stratum = first.map(|seen| usize::from(background.stratum(seen.subject)));
            if let Some(size) = stratum.and_then(|stratum| sizes.get_mut(stratum)) {
                *size += 1.0;
            }
        }
        let points = self.points.iter().filter(|point| plain(&point.seen));
        let mut by_row: BTreeMap<usize, u8> = BTreeMap::new();
        points.for_each(|point| *by_row.entry(point.row).or_default() |= point.explained);
        let ratio = |(number, explained): (usize, u8)| {
            let row = model.list.rows.get(number)?;
            let stratum = usize::from(background.stratum(row.subject));
            let size = sizes.get(stratum).copied().unwrap_or(0.0);
            Some((number, model.log_row(row, explained, size)))
        };
        let rows = by_row.into_iter().filter_map(ratio).collect();
        Track { rows, leanings: background.leaning_strata(&sizes), ..Track::default() }
    }

    /// By stratum: the share of its rows from elsewhere that would be of customers in this track,
    /// if each has this probability among those of the stratum.
    pub(crate) fn masses(
        &self,
        model: &Model<'_>,
        track: &Track,
        share: impl Fn(u32) -> f64,
    ) -> Vec<f64> {
        let background = model.background;
        let mut masses = vec![0.0; background.strata];
        for subject in self.subjects_within(model, track) {
            if let Some(mass) = masses.get_mut(usize::from(background.stratum(subject))) {
                *mass += share(subject);
            }
        }
        masses
    }

    /// The customers who lie in a track, ascending.
    pub(crate) fn subjects_within<'c>(
        &'c self,
        model: &Model<'_>,
        track: &Track,
    ) -> impl Iterator<Item = u32> + 'c {
        let (level, moved, window) = track.window;
        let (windows, unexplained) = (model.background.windows, track.unexplained);
        let is_in = move |seen: &Seen| {
            (!unexplained || seen.weak) && windows.at((level, moved), seen.time) == window
        };
        let of = self.set.all().chunk_by(|a, b| a.subject == b.subject);
        of.filter_map(move |of| of.iter().find(|seen| is_in(seen))).map(|seen| seen.subject)
    }

    /// The points that lie in a track.
    pub(crate) fn within<'c>(
        &'c self,
        model: &Model<'_>,
        track: &Track,
    ) -> impl Iterator<Item = &'c Point> {
        let (level, moved, window) = track.window;
        let (windows, unexplained) = (model.background.windows, track.unexplained);
        self.points.iter().filter(move |point| {
            (!unexplained || point.seen.weak)
                && windows.at((level, moved), point.seen.time) == window
        })
    }

    /// The share of what it had that nothing explains.
    pub(crate) fn unexplained_share(&self) -> f64 {
        let all = self.set.all();
        let weak = all.iter().filter(|seen| seen.weak).count() as f64;
        (weak + 0.5) / (all.len() as f64 + 1.0)
    }
}

/// Equal ratios together; there are few different ones.
pub(crate) fn grouped<'a>(ratios: impl Iterator<Item = &'a f64>) -> Vec<(f64, f64)> {
    let mut sorted: Vec<f64> = ratios.copied().collect();
    sorted.sort_by(f64::total_cmp);
    let mut groups: Vec<(f64, f64)> = Vec::new();
    for ratio in sorted {
        match groups.last_mut() {
            Some((last, count)) if ratio - *last < 1e-3 => *count += 1.0,
            _ => groups.push((ratio, 1.0)),
        }
    }
    groups
}

/// The sizes of a source's windows, with any reason and with none.
pub(crate) fn sizes(set: &SourceSet, background: &Background) -> [Sizes; 2] {
    let Background { windows, stratum_of, strata, .. } = background;
    Sizes::both(set, *windows, (stratum_of, *strata))
}

/// How many accounts' sizes of windows are kept, by accounts times strata.
pub(crate) fn are_kept(accounts: usize, background: &Background) -> bool {
    accounts * background.strata <= 4_096
}

/// The account of that number.
pub(crate) fn kept(sizes: &[[Sizes; 2]], account: u32) -> Option<&[Sizes; 2]> {
    sizes.get(at(account))
}
