//! What does not depend on the list, and is made once for all lists.

use std::borrow::Cow;

use postern_model::Text;

use crate::{
    background::Background,
    field::Field,
    innocent::{self, Readers},
    source::{Seen, Sizes, SourceSet},
    tracer::Tracer,
    tracks::{Excluded, are_kept, kept, sizes},
};

#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) background: Background,
    pub(crate) readers: Readers,
    /// By account; empty where there are too many.
    sizes: Vec<[Sizes; 2]>,
    /// By account, what [`innocent::expected`] needs.
    pub(crate) masses: Vec<Vec<f64>>,
    /// By account, the customers whom it was shown without a reason.
    unexplained: Vec<f64>,
    /// The share of what they are shown without a reason that half of the accounts do not exceed.
    pub(crate) usually_unexplained: f64,
    /// By account, the customers whom it was shown.
    pub(crate) shown: Vec<f64>,
    /// By account and stratum, the customers whom it worked with.
    pub(crate) worked: Vec<Vec<u32>>,
    /// Of the pools, in their order.
    pub(crate) pools: Vec<(Text, [Sizes; 2])>,
    /// What somebody could have taken who needs no log-in: all that anybody has worked with (not
    /// what was opened for weak reasons, which shows what one account wanted), whole.
    pub(crate) everything: SourceSet,
    pub(crate) everything_sizes: [Sizes; 2],
    /// Windows in which more than a third of that is one account's. A way that is not logged can't
    /// know what one account reads; to say that it took just that is no hypothesis of its own.
    pub(crate) one_account: Excluded,
}

impl Index {
    pub(crate) fn of(tracer: &Tracer) -> Self {
        let background = Background::of(tracer);
        let sets: Vec<&SourceSet> = tracer.seen.iter().collect();
        let readers = Readers::new(&sets, &background);
        let mut everything = SourceSet::default();
        for seen in sets.iter().flat_map(|set| set.all()).filter(|seen| !seen.weak) {
            everything.push(Seen { shown: Field::ALL_BITS, ..*seen });
        }
        everything.sort();
        let everything_sizes = sizes(&everything, &background);
        let unexplained = sets.iter().map(|set| set.unexplained() as f64).collect();
        let usually_unexplained = median(sets.iter().filter_map(|set| set.unexplained_share()));
        let shown = sets.iter().map(|set| set.subjects().count() as f64).collect();
        let worked = sets.iter().map(|set| worked(set, &background)).collect();
        let masses = sets.iter().map(|set| innocent::mass(set, &background)).collect();
        let kinds = background.windows.kinds().count();
        let mut largest: Vec<Vec<u32>> = vec![Vec::new(); kinds];
        let keep = are_kept(sets.len(), &background);
        let mut of_accounts = Vec::new();
        for set in sets {
            let of_account = sizes(set, &background);
            for (kind, largest) in largest.iter_mut().enumerate() {
                for (window, size) in of_account[0].totals(kind).enumerate() {
                    if largest.len() <= window {
                        largest.resize(window + 1, 0);
                    }
                    if let Some(largest) = largest.get_mut(window) {
                        *largest = size.max(*largest);
                    }
                }
            }
            if keep {
                of_accounts.push(of_account);
            }
        }
        let mut one_account = Excluded::new();
        // All of the time is always a hypothesis.
        for (kind, largest) in largest.iter().enumerate().skip(1) {
            let both = largest.iter().zip(everything_sizes[0].totals(kind)).enumerate();
            let dominated = both.filter(|(_, (one, all))| **one * 3 > *all);
            one_account.extend(dominated.map(|(window, _)| (kind, window)));
        }
        let pools = tracer.pools().into_iter();
        let pools = pools.map(|(name, set)| (name, sizes(set, &background))).collect();
        Self {
            background,
            readers,
            sizes: of_accounts,
            masses,
            unexplained,
            usually_unexplained,
            shown,
            worked,
            pools,
            everything,
            everything_sizes,
            one_account,
        }
    }

    /// By account: how probable it is that it is the one, if one is, before any list is seen. In
    /// halves, every account is as probable as every other, and every record that somebody was
    /// shown without a reason is as likely to be the one that leaked as every other.
    pub(crate) fn shares(&self, tracer: &Tracer, reasons: bool) -> Vec<f64> {
        let suspects = tracer.accounts.names.iter().zip(&self.unexplained);
        let suspects = suspects.map(|(actor, weak)| (!tracer.is_shared(actor), *weak));
        let count = suspects.clone().filter(|(is_one, _)| *is_one).count().max(1) as f64;
        let all: f64 = suspects.clone().filter(|(is_one, _)| *is_one).map(|(_, weak)| weak).sum();
        let share = |(is_one, weak): (bool, f64)| match (is_one, reasons && all > 0.0) {
            (false, _) => 0.0,
            (true, false) => 1.0 / count,
            (true, true) => 0.5 / count + 0.5 * weak / all,
        };
        suspects.map(share).collect()
    }

    /// The sizes of an account's windows.
    pub(crate) fn sizes(&self, account: u32, set: &SourceSet) -> Cow<'_, [Sizes; 2]> {
        let known = kept(&self.sizes, account);
        known.map_or_else(|| Cow::Owned(sizes(set, &self.background)), Cow::Borrowed)
    }
}

/// The middle one, 1 of nothing.
fn median(of: impl Iterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = of.collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(1.0)
}

/// By stratum, the customers that were worked with.
fn worked(set: &SourceSet, background: &Background) -> Vec<u32> {
    let mut worked = vec![0; background.strata];
    for subject in set.worked_with() {
        if let Some(count) = worked.get_mut(usize::from(background.stratum(subject))) {
            *count += 1;
        }
    }
    worked
}
