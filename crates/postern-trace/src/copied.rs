//! The moment at which a list from elsewhere may have been copied.
//!
//! Whoever has a copy of the records has every value as it was at that moment. An account that read
//! its customers about then was shown the same wordings, but so was everybody: that values fit one
//! moment is explained by a copy as well as by any account, and speaks for none against the world
//! outside. What speaks for an account is that each value fits the moment of its own reading.

use crate::{background::Background, field::Field, resolve::Resolved};

/// Moments that are tried at most; between two of them few values change.
const TRIED: usize = 64;

/// By row: how much more probable its wordings are in a copy of the moment that fits the list best
/// than if they are of any age.
pub(crate) fn ratios(background: &Background, list: &Resolved) -> Vec<f64> {
    let of = |moment: i64| -> Vec<f64> {
        let ratio = |row| background.log_wording(row, row.explained(moment, Field::ALL_BITS)).exp();
        list.rows.iter().map(ratio).collect()
    };
    let fits = |ratios: &[f64]| ratios.iter().map(|ratio| ratio.ln_1p()).sum::<f64>();
    let tried = moments(list).into_iter().map(of);
    let best = tried.max_by(|a, b| fits(a).total_cmp(&fits(b)));
    best.unwrap_or_else(|| vec![1.0; list.rows.len()])
}

/// The moments from which on another version was valid, and one before all of them.
fn moments(list: &Resolved) -> Vec<i64> {
    let fields = list.rows.iter().flat_map(|row| &row.fields).filter(|f| f.versions > 1.0);
    let spans = fields.filter_map(|field| field.valid.as_ref()).flatten();
    let mut all: Vec<i64> = spans
        .flat_map(|(from, until)| [*from, *until])
        .filter(|moment| !matches!(*moment, i64::MIN | i64::MAX))
        .collect();
    all.sort_unstable();
    all.dedup();
    let before = all.first().map(|first| first - 1);
    let every = all.len().div_ceil(TRIED).max(1);
    before.into_iter().chain(all.into_iter().step_by(every)).collect()
}
