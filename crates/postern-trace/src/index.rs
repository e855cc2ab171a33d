//! What does not depend on the list, and is made once for all lists.

use std::borrow::Cow;

use crate::{
    field::Field,
    hypotheses::{Background, Excluded},
    innocent::Readers,
    source::{Seen, Sizes, SourceSet},
    tracer::Tracer,
};

/// Accounts times strata up to which the sizes of all accounts' windows are kept.
const KEPT: usize = 4_096;

#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) background: Background,
    pub(crate) readers: Readers,
    /// By account; empty where there are too many.
    sizes: Vec<Sizes>,
    /// What somebody could have taken who needs no log-in: all that anybody has worked with (not
    /// what was opened for weak reasons, which shows what one account wanted), whole.
    pub(crate) everything: SourceSet,
    pub(crate) everything_sizes: Sizes,
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
        let kinds = background.windows.kinds().count();
        let mut largest: Vec<Vec<u32>> = vec![Vec::new(); kinds];
        let keep = sets.len() * background.strata <= KEPT;
        let mut kept = Vec::new();
        for set in sets {
            let of_account = sizes(set, &background);
            for (kind, largest) in largest.iter_mut().enumerate() {
                for (window, size) in of_account.totals(kind).enumerate() {
                    if largest.len() <= window {
                        largest.resize(window + 1, 0);
                    }
                    if let Some(largest) = largest.get_mut(window) {
                        *largest = size.max(*largest);
                    }
                }
            }
            if keep {
                kept.push(of_account);
            }
        }
        let mut one_account = Excluded::new();
        // All of the time is always a hypothesis.
        for (kind, largest) in largest.iter().enumerate().skip(1) {
            let both = largest.iter().zip(everything_sizes.totals(kind)).enumerate();
            let dominated = both.filter(|(_, (one, all))| **one * 3 > *all);
            one_account.extend(dominated.map(|(window, _)| (kind, window)));
        }
        Self { background, readers, sizes: kept, everything, everything_sizes, one_account }
    }

    /// The sizes of an account's windows.
    pub(crate) fn sizes(&self, account: u32, set: &SourceSet) -> Cow<'_, Sizes> {
        let kept = usize::try_from(account).ok().and_then(|account| self.sizes.get(account));
        kept.map_or_else(|| Cow::Owned(sizes(set, &self.background)), Cow::Borrowed)
    }
}

/// The sizes of a source's windows.
pub(crate) fn sizes(set: &SourceSet, background: &Background) -> Sizes {
    Sizes::of(set, background.windows, &background.stratum_of, background.strata)
}
