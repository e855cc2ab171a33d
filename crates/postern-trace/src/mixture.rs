//! The likelihood of a list of which an unknown part comes from a source and the rest from
//! elsewhere, relative to all of it coming from elsewhere.

/// The quadrature over the part `π` that the source gave: nodes evenly spaced in its log-odds, with
/// the weights of a Beta(3, 1) distribution. Who calls a list one's own means that a fair part of
/// it is, but lists are merged from several breaches.
#[derive(Debug)]
pub(crate) struct Mixture {
    /// `ln π`, `ln (1 - π)`, `ln weight`.
    nodes: Vec<(f64, f64, f64)>,
}

impl Mixture {
    const NODES: i32 = 80;

    pub(crate) fn new() -> Self {
        let step = 20.0 / f64::from(Self::NODES);
        let node = |number: i32| {
            let odds = -12.0 + step * (f64::from(number) + 0.5);
            let part = 1.0 / (1.0 + (-odds).exp());
            let (log_part, log_rest) = (part.ln(), -(1.0 + odds.exp()).ln());
            // Beta(3, 1) has the density 3 π²; dπ is π (1 - π) d(log-odds).
            (log_part, log_rest, 3.0_f64.ln() + 3.0 * log_part + log_rest + step.ln())
        };
        let mut nodes: Vec<_> = (0..Self::NODES).map(node).collect();
        let total = log_sum(nodes.iter().map(|(_, _, weight)| *weight));
        nodes.iter_mut().for_each(|(_, _, weight)| *weight -= total);
        Self { nodes }
    }

    /// Logarithm of the likelihood ratio for a list of `rows` rows, of which those that the source
    /// had are given as `(ln (q_source / q_elsewhere), how many)`.
    pub(crate) fn log_ratio(&self, rows: f64, matched: &[(f64, f64)]) -> f64 {
        let count: f64 = matched.iter().map(|(_, count)| count).sum();
        let unmatched = (rows - count).max(0.0);
        log_sum(self.nodes.iter().map(|(part, rest, weight)| {
            let fits = |(ratio, count): &(f64, f64)| count * log_add(*rest, part + ratio);
            weight + unmatched * rest + matched.iter().map(fits).sum::<f64>()
        }))
    }
}

/// `ln (e^a + e^b)`.
pub(crate) fn log_add(a: f64, b: f64) -> f64 {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    if low == f64::NEG_INFINITY { high } else { high + (low - high).exp().ln_1p() }
}

/// `ln Σ e^x`.
pub(crate) fn log_sum(terms: impl Iterator<Item = f64> + Clone) -> f64 {
    let high = terms.clone().fold(f64::NEG_INFINITY, f64::max);
    if high == f64::NEG_INFINITY {
        return high;
    }
    high + terms.map(|term| (term - high).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quadrature_agrees_with_closed_forms() {
        let mixture = Mixture::new();
        let check = |rows: f64, matched: &[(f64, f64)], expected: f64| {
            let ratio = mixture.log_ratio(rows, matched);
            assert!((ratio - expected).abs() < 0.01, "{ratio} instead of {expected}");
        };
        check(0.0, &[], 0.0);
        // A ratio of one says nothing.
        check(50.0, &[(0.0, 50.0)], 0.0);
        // Nothing matched: 3 B(3, n + 1) = 6 / ((n + 1) (n + 2) (n + 3)).
        check(20.0, &[], f64::ln(6.0 / (21.0 * 22.0 * 23.0)));
        // All matched at a huge ratio: E[π^n] = 3 / (n + 3).
        check(10.0, &[(200.0, 10.0)], f64::ln(3.0 / 13.0) + 2_000.0);
    }
}
