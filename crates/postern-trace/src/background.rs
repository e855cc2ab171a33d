//! Where rows come from if from no source that is known.
//!
//! A row from elsewhere is any customer of its stratum, or one in proportion to how many accounts
//! have read them for their work, because what is popular leaks from many places:
//! `q0 = [1/2 · 1/N_s + 1/2 · w_r/W_s] · b`. That is only where likelihoods are counted from: how
//! much the list leans to the popular, or to the very popular, is fitted to the list itself (see
//! `fit`). All is conditional on the row's stratum, so that a buyer's wish for one kind of customer
//! speaks against nobody.

use std::collections::BTreeMap;

use crate::{
    TraceConfig,
    resolve::Row,
    source::Windows,
    tracer::{Segment, Tracer},
};

/// A stratum smaller than this is no stratum, and there are no more than so many.
const STRATUM_MIN: usize = 200;
const STRATA_MAX: usize = 32;

/// What is known of customers apart from who took them.
#[derive(Debug)]
pub(crate) struct Background {
    pub(crate) strata: usize,
    /// By customer: the stratum, and how many accounts have worked with them.
    pub(crate) stratum_of: Vec<u16>,
    pub(crate) readers: Vec<u32>,
    /// By stratum: customers, readings.
    pub(crate) sizes: Vec<f64>,
    pub(crate) readings: Vec<f64>,
    /// By stratum: the sum of the squares of the readings of each customer.
    pub(crate) squares: Vec<f64>,
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
        if !crate::reasons::are_known(tracer) {
            // Nothing tells work from wants here, and what one account alone has read may be just
            // what it took: popular is what at least two have read.
            readers.iter_mut().for_each(|readers| *readers = readers.saturating_sub(1));
        }
        let (mut sizes, mut readings) = (vec![0.0; strata], vec![0.0; strata]);
        let mut squares = vec![0.0; strata];
        for (stratum, readers) in stratum_of.iter().zip(&readers) {
            add(&mut sizes, *stratum, 1.0);
            add(&mut readings, *stratum, f64::from(*readers));
            add(&mut squares, *stratum, f64::from(*readers).powi(2));
        }
        let untold = tracer.config.customers.unwrap_or(0).saturating_sub(known);
        add(&mut sizes, 0, untold as f64);
        let windows =
            if span.0 > span.1 { Windows::over(0, 0) } else { Windows::over(span.0, span.1) };
        let sums = [sizes, readings, squares];
        Self::known(windows, (strata, stratum_of), readers, sums, &tracer.config)
    }

    /// What is counted already: how many strata there are and which is whose, by customer how many
    /// accounts have worked with them, and by stratum the three sums.
    pub(crate) fn known(
        windows: Windows,
        (strata, stratum_of): (usize, Vec<u16>),
        readers: Vec<u32>,
        [sizes, readings, squares]: [Vec<f64>; 3],
        config: &TraceConfig,
    ) -> Self {
        let error = config.field_error.clamp(1e-6, 0.5);
        let chance = config.field_chance.clamp(1e-9, 0.5);
        Self { strata, stratum_of, readers, sizes, readings, squares, windows, error, chance }
    }

    /// Whether customers are told apart by queue or language, so that a wish for one kind of them
    /// is allowed for.
    pub(crate) fn is_sorted(&self) -> bool {
        // One stratum is everybody else, and one more tells nobody apart.
        self.strata > 2
    }

    /// How fields err: share, and chance of being right all the same.
    pub(crate) fn errors(&self) -> (f64, f64) {
        (self.error, self.chance)
    }

    pub(crate) fn stratum(&self, subject: u32) -> u16 {
        self.stratum_of.get(at(subject)).copied().unwrap_or(0)
    }

    /// The probability of a customer among those of the same stratum.
    pub(crate) fn share(&self, subject: u32) -> f64 {
        let [even, popular, _] = self.leanings(subject);
        0.5 * even + 0.5 * popular
    }

    /// The probability of a customer among those of the same stratum if all are alike, if it goes
    /// with the number of accounts that have read them, and if with the square of that.
    pub(crate) fn leanings(&self, subject: u32) -> [f64; 3] {
        let stratum = usize::from(self.stratum(subject));
        let of = |sums: &[f64]| sums.get(stratum).copied().unwrap_or(0.0);
        let even = 1.0 / of(&self.sizes).max(1.0);
        let readers = self.readers.get(at(subject)).copied().map_or(0.0, f64::from);
        let part = |sum: f64, weight: f64| if sum > 0.0 { weight / sum } else { even };
        let popular = part(of(&self.readings), readers);
        [even, popular, part(of(&self.squares), readers * readers)]
    }

    /// By stratum: how much more of it than of all strata together somebody has who has so many
    /// of its customers. Next to nothing of a stratum is nothing certain: half a customer is added.
    pub(crate) fn leaning_strata(&self, have: &[f64]) -> Vec<f64> {
        let all: f64 = self.sizes.iter().sum();
        let had: f64 = have.iter().map(|have| have + 0.5).sum();
        let both = have.iter().zip(&self.sizes);
        both.map(|(have, size)| (have + 0.5) / had * all / size.max(1.0)).collect()
    }

    /// `ln q0` of a row.
    pub(crate) fn log_elsewhere(&self, row: &Row) -> f64 {
        let wording = |versions: f64| (1.0 - self.error) / versions + self.error * self.chance;
        let fields: f64 = row.fields.iter().map(|field| wording(field.versions).ln()).sum();
        self.share(row.subject).ln() + fields
    }

    /// What the wordings and the fields that were shown contribute to the ratio of a row.
    pub(crate) fn log_wording(&self, row: &Row, explained: u8) -> f64 {
        self.log_match(row, explained) - self.log_elsewhere(row) + self.share(row.subject).ln()
    }

    /// `ln m` of a row of which these fields are explained.
    pub(crate) fn log_match(&self, row: &Row, explained: u8) -> f64 {
        let chance = self.error * self.chance;
        let of = |bit: u8| if explained & bit == 0 { chance } else { 1.0 - self.error + chance };
        row.fields.iter().map(|field| of(field.bit).ln()).sum()
    }
}

pub(crate) fn at(number: u32) -> usize {
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
    let told = |segment: &&Segment| segment.0.is_some() || segment.1.is_some();
    for segment in tracer.segments.values().filter(told) {
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
