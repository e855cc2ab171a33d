//! How an account stands among its peers.

use std::collections::BTreeSet;

use postern_model::{Actor, Subject};

/// What an account was shown in some days.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Load {
    /// Customers of whom a protected field was shown in clear.
    pub clear: BTreeSet<Subject>,
    /// Those among them for whom no strong reason was known: neutral, see the words of the crate.
    pub unexplained: BTreeSet<Subject>,
}

/// A number of the case's accounts beside the same of the others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// Of the case's accounts, the highest.
    pub own: usize,
    pub peers: usize,
    /// Of the peers: the middle one, and what nine of ten do not exceed.
    pub median: usize,
    pub nine_of_ten: usize,
}

/// Compares one number of the case's accounts with that of the peers; `None` if there are none.
pub fn compare<'a>(
    own: impl Iterator<Item = usize>,
    peers: impl Iterator<Item = (&'a Actor, usize)>,
) -> Option<Comparison> {
    let mut counts: Vec<usize> = peers.map(|(_, count)| count).collect();
    counts.sort_unstable();
    let at = |part: usize, of: usize| {
        let place = (counts.len() * part).div_ceil(of).max(1) - 1;
        counts.get(place).copied()
    };
    Some(Comparison {
        own: own.max().unwrap_or(0),
        peers: counts.len(),
        median: at(1, 2)?,
        nine_of_ten: at(9, 10)?,
    })
}
