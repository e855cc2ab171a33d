//! How probable a list is under each possible source.
//!
//! A row from elsewhere is any customer of its stratum, or one in proportion to how many accounts
//! have read them for their work, because what is popular leaks from many places:
//! `q0 = [1/2 · 1/N_s + 1/2 · w_r/W_s] · b`. A row from a source is any of the customers of the
//! stratum that the source saw within a window, `q_aW = m / |S_aW ∩ s|`, if the leaked fields were
//! shown in the leaked version: `m = Π [(1-e) · [same] + e·u]`. Both are conditional on the row's
//! stratum, so that a buyer's wish for one kind of customer speaks against nobody.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use crate::{
    mixture::{Mixture, log_sum},
    resolve::{Resolved, Row},
    source::{Seen, Sizes, SourceSet, Window, Windows},
    tracer::Tracer,
};

/// A stratum smaller than this is no stratum, and there are no more than so many.
const STRATUM_MIN: usize = 200;
const STRATA_MAX: usize = 32;

/// Where rows come from if from no source that is known.
#[derive(Debug)]
pub(crate) struct Background {
    pub(crate) strata: usize,
    /// By customer: the stratum, and how many accounts have worked with them.
    pub(crate) stratum_of: Vec<u16>,
    pub(crate) readers: Vec<u32>,
    /// By stratum: customers, readings.
    pub(crate) sizes: Vec<f64>,
    pub(crate) readings: Vec<f64>,
    pub(crate) windows: Windows,
    /// How fields err: share, and chance of being right all the same.
    error: f64,
    chance: f64,
}

impl Background {
    pub(crate) fn of(tracer: &Tracer) -> Self {
        let known = tracer.subjects.names.len();
        let (strata, stratum_of) = strata(tracer, known);
        let mut readers = vec![0_u32; known];
        let mut span = (i64::MAX, i64::MIN);
        for set in &tracer.seen {
            for subject in set.worked_with() {
                if let Some(readers) = readers.get_mut(at(subject)) {
                    *readers += 1;
                }
            }
            for seen in set.all() {
                span = (span.0.min(seen.time), span.1.max(seen.time));
            }
        }
        if !tracer.graded {
            // Nothing tells work from wants here, and what one account alone has read may be just
            // what it took: popular is what at least two have read.
            readers.iter_mut().for_each(|readers| *readers = readers.saturating_sub(1));
        }
        let (mut sizes, mut readings) = (vec![0.0; strata], vec![0.0; strata]);
        for (stratum, readers) in stratum_of.iter().zip(&readers) {
            add(&mut sizes, *stratum, 1.0);
            add(&mut readings, *stratum, f64::from(*readers));
        }
        let untold = tracer.config.customers.unwrap_or(0).saturating_sub(known);
        add(&mut sizes, 0, untold as f64);
        let windows =
            if span.0 > span.1 { Windows::over(0, 0) } else { Windows::over(span.0, span.1) };
        let (error, chance) = (tracer.config.field_error, tracer.config.field_chance);
        let (error, chance) = (error.clamp(1e-6, 0.5), chance.clamp(1e-9, 0.5));
        Self { strata, stratum_of, readers, sizes, readings, windows, error, chance }
    }

    pub(crate) fn stratum(&self, subject: u32) -> u16 {
        self.stratum_of.get(at(subject)).copied().unwrap_or(0)
    }

    /// The probability of a customer among those of the same stratum.
    pub(crate) fn share(&self, subject: u32) -> f64 {
        let stratum = usize::from(self.stratum(subject));
        let size = self.sizes.get(stratum).copied().unwrap_or(1.0).max(1.0);
        let readings = self.readings.get(stratum).copied().unwrap_or(0.0);
        let readers = self.readers.get(at(subject)).copied().map_or(0.0, f64::from);
        let popular = if readings > 0.0 { readers / readings } else { 1.0 / size };
        0.5 / size + 0.5 * popular
    }

    /// `ln q0` of a row.
    fn log_elsewhere(&self, row: &Row) -> f64 {
        let wording = |versions: f64| (1.0 - self.error) / versions + self.error * self.chance;
        let fields: f64 = row.fields.iter().map(|field| wording(field.versions).ln()).sum();
        self.share(row.subject).ln() + fields
    }

    /// `ln m` of a row of which these fields are explained.
    fn log_match(&self, row: &Row, explained: u8) -> f64 {
        let chance = self.error * self.chance;
        let of = |bit: u8| if explained & bit == 0 { chance } else { 1.0 - self.error + chance };
        row.fields.iter().map(|field| of(field.bit).ln()).sum()
    }
}

fn at(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn add(to: &mut [f64], stratum: u16, value: f64) {
    if let Some(slot) = to.get_mut(usize::from(stratum)) {
        *slot += value;
    }
}

/// The strata by queue and language; number 0 is everybody else.
fn strata(tracer: &Tracer, known: usize) -> (usize, Vec<u16>) {
    let mut sizes: BTreeMap<_, usize> = BTreeMap::new();
    for segment in tracer.segments.values() {
        *sizes.entry(segment).or_default() += 1;
    }
    let mut large: Vec<_> = sizes.into_iter().filter(|(_, size)| *size >= STRATUM_MIN).collect();
    large.sort_by_key(|(segment, size)| (std::cmp::Reverse(*size), *segment));
    large.truncate(STRATA_MAX - 1);
    let numbers: BTreeMap<_, u16> = large.into_iter().map(|(s, _)| s).zip(1..).collect();
    let mut stratum_of = vec![0; known];
    for (subject, segment) in &tracer.segments {
        if let Some(slot) = stratum_of.get_mut(at(*subject)) {
            *slot = numbers.get(segment).copied().unwrap_or(0);
        }
    }
    (numbers.len() + 1, stratum_of)
}

/// A reading that may have given a row: row, the reading, the fields that it explains.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Point {
    pub(crate) row: usize,
    pub(crate) seen: Seen,
    explained: u8,
}

/// A source with all that its likelihood needs.
#[derive(Debug, Clone)]
pub(crate) struct Candidate<'a> {
    pub(crate) set: &'a SourceSet,
    sizes: Cow<'a, Sizes>,
    pub(crate) points: Vec<Point>,
    /// Windows that are no hypothesis for this source.
    excluded: Option<&'a Excluded>,
}

/// Windows, by position of their kind and number.
pub(crate) type Excluded = BTreeSet<(usize, usize)>;

/// What a candidate comes to.
#[derive(Debug, Clone)]
pub(crate) struct Likelihood {
    /// Logarithm of the ratio to "elsewhere", over all windows.
    pub(crate) log_ratio: f64,
    /// The same without windows.
    pub(crate) all_time: f64,
    /// The window that gives most of it.
    pub(crate) best: Option<Window>,
    pub(crate) log_prior: f64,
    /// `ln (q / q0)` of the rows that lie in it.
    pub(crate) rows: BTreeMap<usize, f64>,
}

impl<'a> Candidate<'a> {
    pub(crate) fn new(set: &'a SourceSet, sizes: Cow<'a, Sizes>, list: &Resolved) -> Self {
        let mut points = Vec::new();
        for (number, row) in list.rows.iter().enumerate() {
            for seen in set.of(row.subject).iter().filter(|seen| seen.time < row.before) {
                let explained = row.explained(seen.time, seen.shown);
                points.push(Point { row: number, seen: *seen, explained });
            }
        }
        Self { set, sizes, points, excluded: None }
    }

    /// The same without some windows.
    pub(crate) fn excluding(self, excluded: &'a Excluded) -> Self {
        Self { excluded: Some(excluded), ..self }
    }

    /// Weighs the source by the rows that are in use.
    pub(crate) fn weigh(&self, model: &Model<'_>, used: &[bool]) -> Likelihood {
        let windows = model.background.windows;
        let nothing = model.mixture.log_ratio(model.rows(used), &[]);
        let mut best = Likelihood {
            log_ratio: f64::NEG_INFINITY,
            all_time: nothing,
            best: None,
            log_prior: 0.0,
            rows: BTreeMap::new(),
        };
        let (mut terms, mut rest, mut highest) = (Vec::new(), 0.0, f64::NEG_INFINITY);
        let mut allowed = 0.0;
        for (position, kind) in windows.kinds().enumerate() {
            let mut matched = self.by_window(windows, kind, used);
            matched.retain(|window, _| !self.excludes(position, *window));
            let log_prior = windows.log_prior(kind);
            let count = windows.count(kind) - self.excluded_of(position);
            allowed += log_prior.exp() * count as f64;
            rest += log_prior.exp() * count.saturating_sub(matched.len()) as f64;
            for (window, rows) in matched {
                let rows = self.ratios(model, (position, window), &rows);
                let ratio = model.mixture.log_ratio(model.rows(used), &grouped(rows.values()));
                if kind == (0, false) {
                    best.all_time = ratio;
                }
                terms.push(log_prior + ratio);
                if log_prior + ratio > highest {
                    highest = log_prior + ratio;
                    best.best = Some((kind.0, kind.1, window));
                    (best.log_prior, best.rows) = (log_prior, rows);
                }
            }
        }
        if rest > 0.0 {
            terms.push(rest.ln() + nothing);
        }
        best.log_ratio = log_sum(terms.iter().copied()) - allowed.ln();
        best
    }

    fn excludes(&self, position: usize, window: usize) -> bool {
        self.excluded.is_some_and(|excluded| excluded.contains(&(position, window)))
    }

    fn excluded_of(&self, position: usize) -> usize {
        self.excluded.map_or(0, |excluded| excluded.range((position, 0)..(position + 1, 0)).count())
    }

    /// The rows and what of them is explained, by window of that kind.
    fn by_window(
        &self,
        windows: Windows,
        kind: (u32, bool),
        used: &[bool],
    ) -> BTreeMap<usize, BTreeMap<usize, u8>> {
        let mut by_window: BTreeMap<usize, BTreeMap<usize, u8>> = BTreeMap::new();
        for point in &self.points {
            if used.get(point.row) == Some(&true) {
                let rows = by_window.entry(windows.at(kind, point.seen.time)).or_default();
                *rows.entry(point.row).or_default() |= point.explained;
            }
        }
        by_window
    }

    fn ratios(
        &self,
        model: &Model<'_>,
        (position, window): (usize, usize),
        rows: &BTreeMap<usize, u8>,
    ) -> BTreeMap<usize, f64> {
        let size = |row: &Row| {
            self.sizes.get(position, window, model.background.stratum(row.subject)).max(1.0)
        };
        rows.iter()
            .filter_map(|(number, explained)| {
                let row = model.list.rows.get(*number)?;
                Some((*number, model.log_row(row, *explained, size(row))))
            })
            .collect()
    }
}

/// What all likelihoods share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Model<'a> {
    pub(crate) background: &'a Background,
    pub(crate) mixture: &'a Mixture,
    pub(crate) list: &'a Resolved,
}

impl Model<'_> {
    /// How many rows are in use, those that belong to no customer included.
    pub(crate) fn rows(&self, used: &[bool]) -> f64 {
        (used.iter().filter(|used| **used).count() + self.list.strangers) as f64
    }

    /// `ln (q / q0)` of a row that is one of `size` customers of its stratum.
    fn log_row(&self, row: &Row, explained: u8, size: f64) -> f64 {
        self.background.log_match(row, explained) - size.ln() - self.background.log_elsewhere(row)
    }

    /// Two accounts together, each in its best window, in several proportions.
    pub(crate) fn pair(&self, a: &Likelihood, b: &Likelihood, used: &[bool]) -> f64 {
        let proportions = [0.25_f64, 0.5, 0.75];
        let of = |proportion: f64| {
            let mut rows: BTreeMap<usize, f64> = BTreeMap::new();
            for (part, likelihood) in [(proportion, a), (1.0 - proportion, b)] {
                for (row, ratio) in &likelihood.rows {
                    let log = part.ln() + ratio;
                    rows.entry(*row)
                        .and_modify(|sum| *sum = crate::mixture::log_add(*sum, log))
                        .or_insert(log);
                }
            }
            self.mixture.log_ratio(self.rows(used), &grouped(rows.values()))
        };
        let mean = log_sum(proportions.map(of).into_iter()) - (proportions.len() as f64).ln();
        mean + a.log_prior + b.log_prior
    }

    /// Somebody with `other`'s records planted those that the framed account had read as well.
    pub(crate) fn framed(&self, framed: &Candidate<'_>, other: &SourceSet, used: &[bool]) -> f64 {
        let common = common(framed.set, other, self.background);
        let mut rows: BTreeMap<usize, u8> = BTreeMap::new();
        for point in framed.points.iter().filter(|point| used.get(point.row) == Some(&true)) {
            if !other.of(point.seen.subject).is_empty() {
                *rows.entry(point.row).or_default() |= point.explained;
            }
        }
        let ratios = rows.iter().filter_map(|(number, explained)| {
            let row = self.list.rows.get(*number)?;
            let stratum = usize::from(self.background.stratum(row.subject));
            let size = common.get(stratum).copied().unwrap_or(1.0).max(1.0);
            Some(self.log_row(row, *explained, size))
        });
        let ratios: Vec<f64> = ratios.collect();
        self.mixture.log_ratio(self.rows(used), &grouped(ratios.iter()))
    }
}

/// How many customers of each stratum both sets have.
fn common(a: &SourceSet, b: &SourceSet, background: &Background) -> Vec<f64> {
    let mut sizes = vec![0.0; background.strata];
    let (mut left, mut right) = (a.subjects().peekable(), b.subjects().peekable());
    while let (Some(x), Some(y)) = (left.peek().copied(), right.peek().copied()) {
        if x == y {
            add(&mut sizes, background.stratum(x), 1.0);
        }
        if x <= y {
            left.next();
        }
        if y <= x {
            right.next();
        }
    }
    sizes
}

/// Equal ratios together; there are few different ones.
fn grouped<'a>(ratios: impl Iterator<Item = &'a f64>) -> Vec<(f64, f64)> {
    let mut sorted: Vec<f64> = ratios.copied().collect();
    sorted.sort_by(f64::total_cmp);
    let mut groups: Vec<(f64, f64)> = Vec::new();
    for ratio in sorted {
        match groups.last_mut() {
            Some((last, count)) if ratio - *last < 1e-9 => *count += 1.0,
            _ => groups.push((ratio, 1.0)),
        }
    }
    groups
}
