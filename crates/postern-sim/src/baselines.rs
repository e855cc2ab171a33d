//! What simple methods say of a list: how many customers a list and an account have in common,
//! the same as a share of both, guilt as Papadimitriou and Garcia-Molina define it, and a Bayesian
//! with one likelihood, one prior and no doubts.

use std::collections::{BTreeMap, BTreeSet};

use postern_model::Access;
use postern_trace::Leak;

/// A method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    Overlap,
    Jaccard,
    Guilt,
    Bayes,
}

/// What a method says.
#[derive(Debug, Clone, Default)]
pub struct Said {
    pub first: Option<String>,
    pub probability: f64,
    pub named: Vec<String>,
}

/// Who read whom.
#[derive(Debug)]
pub struct Overlaps {
    names: Vec<String>,
    read: Vec<BTreeSet<String>>,
    readers: BTreeMap<String, usize>,
    customers: usize,
}

impl Overlaps {
    /// From what happened; a program's account is nobody's.
    pub fn of(accesses: &[Access], customers: usize) -> Self {
        let mut by_actor: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for access in accesses.iter().filter(|a| !a.actor.as_str().starts_with("service")) {
            let read = by_actor.entry(access.actor.to_string()).or_default();
            read.extend(access.subjects.iter().map(ToString::to_string));
        }
        let mut readers: BTreeMap<String, usize> = BTreeMap::new();
        for subject in by_actor.values().flatten() {
            *readers.entry(subject.clone()).or_default() += 1;
        }
        let (names, read) = by_actor.into_iter().unzip();
        Self { names, read, readers, customers }
    }

    /// What the method says of the customers of a list.
    pub fn judge(&self, method: Method, list: &BTreeSet<String>) -> Said {
        let mut scored: Vec<(f64, f64, &String)> = self
            .names
            .iter()
            .zip(&self.read)
            .map(|(name, read)| {
                let common: Vec<&String> = read.intersection(list).collect();
                (self.score(method, &common, read, list), common.len() as f64, name)
            })
            .collect();
        scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.2.cmp(b.2)));
        let Some(first) = scored.first() else { return Said::default() };
        let second = scored.get(1).map_or(0.0, |second| second.0);
        let named = match method {
            Method::Overlap | Method::Jaccard => first.1 >= 5.0 && first.0 >= 2.0 * second,
            Method::Guilt => first.0 >= 0.999 && second < 0.9,
            Method::Bayes => false,
        };
        let mut probability = match method {
            Method::Overlap => first.0 / list.len().max(1) as f64,
            Method::Jaccard | Method::Guilt | Method::Bayes => first.0,
        };
        let mut named = named;
        if method == Method::Bayes {
            // The source may also be none of them, at a ratio of one.
            let most = first.0.max(0.0);
            let sum: f64 = scored.iter().map(|s| (s.0 - most).exp()).sum::<f64>() + (-most).exp();
            probability = (first.0 - most).exp() / sum;
            named = probability >= 0.999;
        }
        let named = if named { vec![first.2.clone()] } else { Vec::new() };
        Said { first: Some(first.2.clone()), probability, named }
    }

    fn score(
        &self,
        method: Method,
        common: &[&String],
        read: &BTreeSet<String>,
        list: &BTreeSet<String>,
    ) -> f64 {
        let count = common.len() as f64;
        match method {
            Method::Overlap => count,
            Method::Jaccard => count / (read.len() + list.len() - common.len()).max(1) as f64,
            // Half of all records can be guessed, as in the paper's experiments.
            Method::Guilt => {
                let innocent = common.iter().map(|subject| {
                    let readers = self.readers.get(*subject).copied().unwrap_or(1);
                    1.0 - 0.5 / readers as f64
                });
                1.0 - innocent.product::<f64>()
            }
            Method::Bayes => {
                let ratio = self.customers as f64 / read.len().max(1) as f64;
                let rest = list.len() as f64 - count;
                count * (0.5 + 0.5 * ratio).ln() + rest * 0.5_f64.ln()
            }
        }
    }
}

/// The customers of a list, found by the exact wording of one value or by key: what comes without
/// saying if one does not resolve.
pub fn customers(leak: &Leak, by_value: &BTreeMap<String, String>) -> BTreeSet<String> {
    let mut customers = BTreeSet::new();
    for row in &leak.rows {
        if let Some(subject) = &row.subject {
            customers.insert(subject.to_string());
            continue;
        }
        let mut found = row.fields.iter().filter_map(|(_, value)| by_value.get(value.expose()));
        customers.extend(found.next().cloned());
    }
    customers
}
