//! Simulated innocent leaks: lists of the same size and strata as the one that is judged, drawn
//! from elsewhere, and how suspicious the most suspicious account looks under each.

use std::{borrow::Cow, sync::OnceLock};

use crate::{
    background::{Background, at},
    resolve::Resolved,
    source::{Seen, SourceSet},
    stored::BySubject,
};

/// Rows of a simulated list at most. For a longer one the closed bound is used: by Chernoff, the
/// screening statistic of one account exceeds `t` with a probability of at most `e^-t`.
const ROWS_MAX: usize = 500;

/// A seeded generator, SplitMix64. Source: Steele, Lea, Flood, "Fast splittable pseudorandom number
/// generators", OOPSLA 2014.
#[derive(Debug)]
struct Generator(u64);

impl Generator {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is at least 1; the bias is below 2^-32 for any list here.
    fn below(&mut self, bound: usize) -> usize {
        let wide = u128::from(self.next()) * bound as u128;
        usize::try_from(wide >> 64).unwrap_or(0)
    }
}

/// Who read which customer, from both sides.
#[derive(Debug)]
pub(crate) struct Readers {
    lists: Lists,
    drawn: OnceLock<Vec<Drawn>>,
}

/// By customer, the accounts that read them.
#[derive(Debug)]
enum Lists {
    /// At `of[from[c]..from[c + 1]]`.
    Held {
        from: Vec<usize>,
        of: Vec<u32>,
    },
    Stored(BySubject),
}

/// The customers of a stratum, as innocent leaks have them.
#[derive(Debug, Default)]
struct Drawn {
    customers: Vec<u32>,
    /// How many readings there are of these and of all before them.
    readings: Vec<u32>,
}

impl Readers {
    /// Nobody has read anybody yet.
    pub(crate) fn new() -> Self {
        Self { lists: Lists::Held { from: vec![0], of: Vec::new() }, drawn: OnceLock::new() }
    }

    /// They lie in a prepared index.
    pub(crate) fn stored(by_subject: BySubject) -> Self {
        Self { lists: Lists::Stored(by_subject), drawn: OnceLock::new() }
    }

    /// Takes the readings of the next customers: of all before `until`.
    pub(crate) fn add(&mut self, postings: &[(u32, Seen)], until: u32) {
        let Lists::Held { from, of } = &mut self.lists else { return };
        let mut rest = postings;
        while from.len() <= at(until) {
            let subject = u32::try_from(from.len()).unwrap_or(u32::MAX) - 1;
            let many = rest.partition_point(|(_, seen)| seen.subject <= subject);
            let (of_subject, behind) = rest.split_at_checked(many).unwrap_or_default();
            let readers = of_subject.chunk_by(|a, b| a.0 == b.0);
            of.extend(readers.filter_map(|of| Some(of.first()?.0)));
            from.push(of.len());
            rest = behind;
        }
    }

    /// The accounts that read a customer.
    pub(crate) fn of(&self, subject: u32) -> Cow<'_, [u32]> {
        match &self.lists {
            Lists::Held { from, of } => {
                let (Some(from), Some(until)) = (from.get(at(subject)), from.get(at(subject) + 1))
                else {
                    return Cow::Borrowed(&[]);
                };
                Cow::Borrowed(of.get(*from..*until).unwrap_or_default())
            }
            Lists::Stored(by_subject) => {
                let mut of: Vec<u32> = by_subject.of(subject).iter().map(|(of, _)| *of).collect();
                of.dedup();
                Cow::Owned(of)
            }
        }
    }

    /// What accounts were shown of a customer, in the order of accounts and of time.
    pub(crate) fn postings(&self, sets: &[SourceSet], subject: u32) -> Vec<(u32, Seen)> {
        if let Lists::Stored(by_subject) = &self.lists {
            return by_subject.of(subject);
        }
        let mut postings = Vec::new();
        for reader in self.of(subject).iter() {
            let of = sets.get(at(*reader)).map(|set| set.of(subject)).unwrap_or_default();
            postings.extend(of.iter().map(|seen| (*reader, *seen)));
        }
        postings
    }

    /// The stored readings, if they are.
    pub(crate) fn by_subject(&self) -> Option<&BySubject> {
        match &self.lists {
            Lists::Held { .. } => None,
            Lists::Stored(by_subject) => Some(by_subject),
        }
    }

    fn drawn(&self, background: &Background, stratum: usize) -> Option<&Drawn> {
        let drawn = self.drawn.get_or_init(|| {
            let mut drawn: Vec<Drawn> = Vec::new();
            drawn.resize_with(background.strata, Drawn::default);
            let both = background.stratum_of.iter().zip(&background.readers);
            for (subject, (stratum, readers)) in (0_u32..).zip(both) {
                let Some(drawn) = drawn.get_mut(usize::from(*stratum)) else { continue };
                let before = drawn.readings.last().copied().unwrap_or(0);
                drawn.customers.push(subject);
                drawn.readings.push(before.saturating_add(*readers));
            }
            drawn
        });
        drawn.get(stratum)
    }
}

/// The closed form by which accounts are screened: `n · KL(h/n ‖ ρ)` for `h` of `n` rows matched
/// where a share `ρ` is expected, and 0 if there are not more than expected.
pub(crate) fn screen(matched: f64, rows: f64, expected: f64) -> f64 {
    let share = if rows > 0.0 { matched / rows } else { 0.0 };
    let expected = expected.clamp(1e-9, 1.0 - 1e-9);
    if share <= expected {
        return 0.0;
    }
    let rest = 1.0 - share;
    let rest = if rest > 0.0 { rest * (rest / (1.0 - expected)).ln() } else { 0.0 };
    rows * (share * (share / expected).ln() + rest)
}

/// By stratum: the share of its rows that an account would have by chance.
pub(crate) fn mass(set: &SourceSet, background: &Background) -> Vec<f64> {
    let mut mass = vec![0.0; background.strata];
    for subject in set.subjects() {
        if let Some(sum) = mass.get_mut(usize::from(background.stratum(subject))) {
            *sum += background.share(subject);
        }
    }
    mass
}

/// By account: the share of rows like these that it would have by chance.
pub(crate) fn expected(masses: &[Vec<f64>], background: &Background, list: &Resolved) -> Vec<f64> {
    let mix = strata_mix(background, list);
    let of = |mass: &Vec<f64>| mass.iter().zip(&mix).map(|(mass, part)| mass * part).sum();
    masses.iter().map(of).collect()
}

/// The share of each stratum among the rows; a stranger is of the stratum of everybody else.
fn strata_mix(background: &Background, list: &Resolved) -> Vec<f64> {
    let mut mix = vec![0.0; background.strata];
    let total = list.rows.len().max(1) as f64;
    for row in &list.rows {
        if let Some(part) = mix.get_mut(usize::from(background.stratum(row.subject))) {
            *part += 1.0 / total;
        }
    }
    mix
}

/// The probability that among the accounts of an innocent leak the most suspicious one looks at
/// least as suspicious as the one that matched the rows given.
pub(crate) fn p_value(
    background: &Background,
    readers: &Readers,
    list: &Resolved,
    expected: &[f64],
    (account, config): (u32, &crate::TraceConfig),
) -> f64 {
    let rows: Vec<u32> = list.rows.iter().map(|row| row.subject).collect();
    let matched = rows.iter().filter(|row| readers.of(**row).contains(&account)).count();
    let expectation = |account: u32| {
        expected.get(usize::try_from(account).unwrap_or(usize::MAX)).copied().unwrap_or(1.0)
    };
    let observed = screen(matched as f64, rows.len() as f64, expectation(account));
    if rows.len() > ROWS_MAX {
        return (expected.len() as f64 * (-observed).exp()).min(1.0);
    }
    let mut generator = Generator(config.seed);
    let mut as_bad = 0_u32;
    let mut hits = vec![0_u32; expected.len()];
    for _ in 0..config.innocent_leaks {
        let mut touched = Vec::new();
        for row in &rows {
            let stratum = usize::from(background.stratum(*row));
            let Some(subject) = draw(&mut generator, background, readers, stratum) else {
                continue;
            };
            for reader in readers.of(subject).iter() {
                let index = usize::try_from(*reader).unwrap_or(usize::MAX);
                if let Some(count) = hits.get_mut(index) {
                    if *count == 0 {
                        touched.push(*reader);
                    }
                    *count += 1;
                }
            }
        }
        let mut worst = 0.0_f64;
        for reader in touched {
            let index = usize::try_from(reader).unwrap_or(usize::MAX);
            let count = hits.get_mut(index).map(std::mem::take).unwrap_or(0);
            worst = worst.max(screen(f64::from(count), rows.len() as f64, expectation(reader)));
        }
        as_bad += u32::from(worst >= observed);
    }
    (1.0 + f64::from(as_bad)) / (1.0 + config.innocent_leaks as f64)
}

/// A customer of the stratum as the background has them; `None` for one whom no feed tells of.
fn draw(
    generator: &mut Generator,
    background: &Background,
    readers: &Readers,
    stratum: usize,
) -> Option<u32> {
    let Drawn { customers, readings } = readers.drawn(background, stratum)?;
    let all = readings.last().copied().map_or(0, at);
    if generator.next() >> 63 == 1 && all > 0 {
        let one = generator.below(all);
        return customers.get(readings.partition_point(|until| at(*until) <= one)).copied();
    }
    let size = background.sizes.get(stratum).copied().unwrap_or(0.0).max(1.0);
    // The share of the customers whom no feed tells of is drawn first.
    let known = customers.len() as f64 / size;
    let chance = (generator.next() >> 11) as f64 / (1_u64 << 53) as f64;
    if chance >= known || customers.is_empty() {
        return None;
    }
    customers.get(generator.below(customers.len())).copied()
}
