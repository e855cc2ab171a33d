//! Simulated innocent leaks: lists of the same size and strata as the one that is judged, drawn
//! from elsewhere, and how suspicious the most suspicious account looks under each.

use crate::{background::Background, resolve::Resolved, source::SourceSet};

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
    /// By customer: the accounts, at `of[from[c]..from[c + 1]]`.
    from: Vec<usize>,
    of: Vec<u32>,
    /// By stratum: its customers, and its customers as often as accounts have worked with them.
    customers: Vec<Vec<u32>>,
    readings: Vec<Vec<u32>>,
}

impl Readers {
    pub(crate) fn new(sets: &[&SourceSet], background: &Background) -> Self {
        let known = background.stratum_of.len();
        let mut pairs: Vec<(u32, u32)> = Vec::new();
        for (account, set) in (0_u32..).zip(sets) {
            pairs.extend(set.subjects().map(|subject| (subject, account)));
        }
        pairs.sort_unstable();
        let mut from = vec![0; known + 1];
        let mut customers = vec![Vec::new(); background.strata];
        let mut readings = vec![Vec::new(); background.strata];
        let mut at = 0;
        for (number, (subject, slot)) in (0_u32..).zip(from.iter_mut()).enumerate() {
            *slot = at;
            let stratum = usize::from(background.stratum(subject));
            if let Some(customers) = customers.get_mut(stratum).filter(|_| number < known) {
                customers.push(subject);
            }
            while pairs.get(at).is_some_and(|(of, _)| *of == subject) {
                at += 1;
            }
            let popular = background.readers.get(number).copied().unwrap_or(0);
            if let Some(readings) = readings.get_mut(stratum) {
                readings.extend((0..popular).map(|_| subject));
            }
        }
        let of = pairs.into_iter().map(|(_, account)| account).collect();
        Self { from, of, customers, readings }
    }

    /// The accounts that read a customer.
    pub(crate) fn of(&self, subject: u32) -> &[u32] {
        let at = usize::try_from(subject).unwrap_or(usize::MAX - 1);
        let (Some(from), Some(until)) = (self.from.get(at), self.from.get(at + 1)) else {
            return &[];
        };
        self.of.get(*from..*until).unwrap_or_default()
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
            for reader in readers.of(subject) {
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
    let readings = readers.readings.get(stratum)?;
    if generator.next() >> 63 == 1 && !readings.is_empty() {
        return readings.get(generator.below(readings.len())).copied();
    }
    let customers = readers.customers.get(stratum)?;
    let size = background.sizes.get(stratum).copied().unwrap_or(0.0).max(1.0);
    // The share of the customers whom no feed tells of is drawn first.
    let known = customers.len() as f64 / size;
    let chance = (generator.next() >> 11) as f64 / (1_u64 << 53) as f64;
    if chance >= known || customers.is_empty() {
        return None;
    }
    customers.get(generator.below(customers.len())).copied()
}
