//! What a source could have taken, and how that looks through windows of time.

use std::{borrow::Cow, sync::OnceLock};

use crate::stored::{Place, push_short, shorts};

/// One record that a source had before its eyes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seen {
    pub(crate) subject: u32,
    /// Microseconds.
    pub(crate) time: i64,
    /// The access, by number; `u32::MAX` where there is none.
    pub(crate) access: u32,
    /// The fields that were in clear.
    pub(crate) shown: u8,
    /// Whether nothing, or only a weak reason, was behind it.
    pub(crate) weak: bool,
    /// Whether it was one of many that were shown together.
    pub(crate) listed: bool,
}

/// All that a source had, ordered by customer and time once sorted.
#[derive(Debug, Clone, Default)]
pub(crate) struct SourceSet {
    /// All of it; where it lies in a prepared index, what it had of those whom the list names.
    seen: Vec<Seen>,
    sorted: bool,
    stored: Option<(Place, OnceLock<Vec<Seen>>)>,
}

impl SourceSet {
    /// What lies in a prepared index.
    pub(crate) fn stored(place: Place) -> Self {
        Self { seen: Vec::new(), sorted: true, stored: Some((place, OnceLock::new())) }
    }

    /// Of what lies in a prepared index, what it had of those whom the list names, in order.
    pub(crate) fn look_at(&mut self, listed: Vec<Seen>) {
        self.seen = listed;
    }

    pub(crate) fn push(&mut self, seen: Seen) {
        self.seen.push(seen);
        self.sorted = false;
    }

    pub(crate) fn sort(&mut self) {
        if !self.sorted {
            self.seen.sort_unstable();
            self.sorted = true;
        }
    }

    pub(crate) fn all(&self) -> &[Seen] {
        match &self.stored {
            Some((place, read)) => read.get_or_init(|| place.read()),
            None => &self.seen,
        }
    }

    /// The same, and not kept in memory if it lies in a prepared index.
    pub(crate) fn once(&self) -> Cow<'_, [Seen]> {
        match &self.stored {
            Some((place, read)) if read.get().is_none() => Cow::Owned(place.read()),
            Some(_) | None => Cow::Borrowed(self.all()),
        }
    }

    /// Whether it had this customer.
    pub(crate) fn has(&self, subject: u32) -> bool {
        self.all().binary_search_by_key(&subject, |seen| seen.subject).is_ok()
    }

    /// Says anew of every reading whether nothing explains it.
    pub(crate) fn explain(&mut self, unexplained: impl Fn(&Seen) -> bool) {
        self.seen.iter_mut().for_each(|seen| seen.weak = unexplained(seen));
        self.sorted = false;
    }

    /// What there is on one customer, in the order of time; if it lies in a prepared index, the
    /// list must name the customer.
    pub(crate) fn of(&self, subject: u32) -> &[Seen] {
        let from = self.seen.partition_point(|seen| seen.subject < subject);
        let rest = self.seen.get(from..).unwrap_or_default();
        let many = rest.partition_point(|seen| seen.subject == subject);
        rest.get(..many).unwrap_or_default()
    }

    /// The distinct customers that it had for other than weak reasons, ascending.
    pub(crate) fn worked_with(&self) -> impl Iterator<Item = u32> {
        let of = self.all().chunk_by(|a, b| a.subject == b.subject);
        of.filter(|of| of.iter().any(|seen| !seen.weak)).filter_map(|of| Some(of.first()?.subject))
    }

    /// How many distinct customers it had for weak reasons.
    pub(crate) fn unexplained(&self) -> usize {
        let of = self.all().chunk_by(|a, b| a.subject == b.subject);
        of.filter(|of| of.iter().any(|seen| seen.weak)).count()
    }

    /// The share of its readings that nothing explains; `None` if there are none.
    pub(crate) fn unexplained_share(&self) -> Option<f64> {
        let weak = self.all().iter().filter(|seen| seen.weak).count() as f64;
        (!self.all().is_empty()).then(|| weak / self.all().len() as f64)
    }

    /// What there is on each customer.
    pub(crate) fn by_subject(&self) -> impl Iterator<Item = &[Seen]> {
        self.all().chunk_by(|a, b| a.subject == b.subject)
    }

    /// The distinct customers, ascending.
    pub(crate) fn subjects(&self) -> impl Iterator<Item = u32> {
        self.all()
            .chunk_by(|a, b| a.subject == b.subject)
            .filter_map(|of| Some(of.first()?.subject))
    }
}

/// The windows of time in which a theft may lie: all of the time, and halves, quarters and so on of
/// it, each also moved by half its width.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Windows {
    from: i64,
    length: i64,
    levels: u32,
}

/// A window by its level, whether it is moved, and its number there.
pub(crate) type Window = (u32, bool, usize);

impl Windows {
    /// Narrowest window, in microseconds: below an hour, time says nothing about intent.
    const NARROWEST: i64 = 3_600_000_000;
    const LEVELS_MAX: u32 = 9;

    pub(crate) fn over(from: i64, until: i64) -> Self {
        let length = (until.saturating_sub(from)).saturating_add(1).max(1);
        let mut levels = 1;
        while levels < Self::LEVELS_MAX && length >> levels >= Self::NARROWEST {
            levels += 1;
        }
        Self { from, length, levels }
    }

    /// The windows of these parts.
    pub(crate) fn of_parts((from, length, levels): (i64, i64, u32)) -> Self {
        Self { from, length: length.max(1), levels: levels.clamp(1, Self::LEVELS_MAX) }
    }

    /// First moment, length and levels.
    pub(crate) fn parts(self) -> (i64, i64, u32) {
        (self.from, self.length, self.levels)
    }

    /// Every kind of window: level and whether moved.
    pub(crate) fn kinds(self) -> impl Iterator<Item = (u32, bool)> {
        let moved = (1..self.levels).map(|level| (level, true));
        (0..self.levels).map(|level| (level, false)).chain(moved)
    }

    /// How many windows of this kind there are.
    pub(crate) fn count(self, (level, moved): (u32, bool)) -> usize {
        (1_usize << level) + usize::from(moved)
    }

    /// The prior probability of a window: half for all of the time, because most thefts are
    /// patient or are all that an account ever read of that kind; each narrower level is as
    /// probable as any other, the windows of a level share it.
    pub(crate) fn log_prior(self, (level, moved): (u32, bool)) -> f64 {
        if self.levels == 1 {
            return 0.0;
        }
        if level == 0 {
            return 0.5_f64.ln();
        }
        let levels = f64::from(self.levels - 1);
        -(4.0 * levels * self.count((level, moved)) as f64).ln()
    }

    /// The windows of one kind.
    pub(crate) fn of(self, (level, moved): (u32, bool)) -> WindowsOfKind {
        let width = (self.length >> level).max(1);
        let from = if moved { self.from.saturating_sub(width / 2) } else { self.from };
        WindowsOfKind { from, width, last: self.count((level, moved)) - 1 }
    }

    /// The window of this kind that the moment lies in.
    pub(crate) fn at(self, kind: (u32, bool), time: i64) -> usize {
        self.of(kind).at(time)
    }
}

/// The windows of one kind, to look up many moments.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WindowsOfKind {
    from: i64,
    width: i64,
    last: usize,
}

impl WindowsOfKind {
    /// The window that the moment lies in.
    pub(crate) fn at(self, time: i64) -> usize {
        usize::try_from(time.saturating_sub(self.from) / self.width).unwrap_or(0).min(self.last)
    }
}

/// How many distinct customers of each stratum a source had in each window.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sizes {
    strata: usize,
    /// Per kind of window, in the order of [`Windows::kinds`]: windows times strata.
    counts: Vec<Vec<u32>>,
}

impl Sizes {
    /// Counts a set, and what nothing explains of it.
    pub(crate) fn both(
        set: &SourceSet,
        windows: Windows,
        (stratum_of, strata): (&[u16], usize),
    ) -> [Self; 2] {
        let (mut all, mut unexplained) = (Vec::new(), Vec::new());
        for kind in windows.kinds() {
            let mut counts = [(); 2].map(|()| vec![0_u32; windows.count(kind) * strata]);
            let windows = windows.of(kind);
            for of_subject in set.by_subject() {
                let subject = of_subject.first().and_then(|s| usize::try_from(s.subject).ok());
                let stratum = subject.and_then(|subject| stratum_of.get(subject)).copied();
                let stratum = usize::from(stratum.unwrap_or(0));
                // Readings are in the order of time, so those of a window are beside each other.
                let mut last = [usize::MAX; 2];
                for seen in of_subject {
                    let window = windows.at(seen.time);
                    let meant = counts.iter_mut().zip(&mut last).take(1 + usize::from(seen.weak));
                    for (counts, last) in meant.filter(|(_, last)| **last != window) {
                        *last = window;
                        if let Some(count) = counts.get_mut(window * strata + stratum) {
                            *count += 1;
                        }
                    }
                }
            }
            let [of_all, of_unexplained] = counts;
            all.push(of_all);
            unexplained.push(of_unexplained);
        }
        [Self { strata, counts: all }, Self { strata, counts: unexplained }]
    }

    /// Adds what was counted of other customers.
    pub(crate) fn add(&mut self, others: &Self) {
        if self.counts.is_empty() {
            *self = others.clone();
            return;
        }
        for (counts, others) in self.counts.iter_mut().zip(&others.counts) {
            counts.iter_mut().zip(others).for_each(|(count, other)| *count += other);
        }
    }

    /// The counts, one behind the other.
    pub(crate) fn encode(&self, to: &mut Vec<u8>) {
        self.counts.iter().flatten().for_each(|count| push_short(to, *count));
    }

    /// Two that were encoded one behind the other; what is missing counts nothing.
    pub(crate) fn decode(bytes: &[u8], windows: Windows, strata: usize) -> [Self; 2] {
        let mut all = shorts(bytes);
        [(); 2].map(|()| {
            let counts = windows.kinds().map(|kind| {
                let many = windows.count(kind) * strata;
                let mut counts: Vec<u32> = all.by_ref().take(many).collect();
                counts.resize(many, 0);
                counts
            });
            Self { strata, counts: counts.collect() }
        })
    }

    /// The size in one window, over all strata.
    pub(crate) fn total(&self, kind: usize, window: usize) -> f64 {
        let counts = self.counts.get(kind).map(Vec::as_slice).unwrap_or_default();
        let from = window * self.strata;
        let strata = counts.get(from..from + self.strata).unwrap_or_default();
        strata.iter().map(|count| f64::from(*count)).sum()
    }

    /// The size in each window of the kind with that position, over all strata.
    pub(crate) fn totals(&self, kind: usize) -> impl Iterator<Item = u32> {
        let counts = self.counts.get(kind).map(Vec::as_slice).unwrap_or_default();
        counts.chunks(self.strata.max(1)).map(|strata| strata.iter().sum())
    }

    /// The size in the window of the kind with that position.
    pub(crate) fn get(&self, kind: usize, window: usize, stratum: u16) -> f64 {
        let counts = self.counts.get(kind);
        let count = counts.and_then(|c| c.get(window * self.strata + usize::from(stratum)));
        count.copied().map_or(0.0, f64::from)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn sizes_are_the_distinct_customers_of_each_window_and_stratum() {
        let hour = 3_600_000_000;
        let mut set = SourceSet::default();
        for number in 0..200_u32 {
            // Of every customer four readings, in no order of time.
            let time = i64::from(number * 37 % 101) * hour + 7;
            set.push(Seen {
                subject: number % 50,
                time,
                access: number,
                shown: 0,
                weak: number % 3 == 0,
                listed: false,
            });
        }
        set.sort();
        let windows = Windows::over(7, 100 * hour + 7);
        let strata: Vec<u16> = (0..50).map(|subject| subject % 3).collect();
        let [all, unexplained] = Sizes::both(&set, windows, (&strata, 3));
        for (sizes, weak) in [(all, false), (unexplained, true)] {
            for (position, kind) in windows.kinds().enumerate() {
                for window in 0..windows.count(kind) {
                    for stratum in 0..3 {
                        let is_in = |seen: &&Seen| {
                            (seen.weak || !weak)
                                && windows.at(kind, seen.time) == window
                                && strata[seen.subject as usize] == stratum
                        };
                        let customers = set.all().iter().filter(is_in).map(|seen| seen.subject);
                        let expected = customers.collect::<BTreeSet<_>>().len() as f64;
                        assert_eq!(sizes.get(position, window, stratum), expected);
                    }
                }
            }
        }
    }

    #[test]
    fn windows_of_a_kind_that_is_moved_begin_half_a_window_earlier() {
        let hour = 3_600_000_000;
        let windows = Windows::over(0, 16 * hour - 1);
        let check = |kind, hours: i64, expected| {
            assert_eq!(windows.at(kind, hours * hour), expected, "{kind:?} {hours}");
        };
        for (hours, expected) in [(-1, 0), (0, 0), (3, 0), (4, 1), (15, 3), (40, 3)] {
            check((2, false), hours, expected);
        }
        for (hours, expected) in [(-9, 0), (1, 0), (2, 1), (5, 1), (6, 2), (15, 4), (40, 4)] {
            check((2, true), hours, expected);
        }
    }
}
