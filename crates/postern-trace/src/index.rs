//! What does not depend on the list, and is made once for all lists.

use std::{borrow::Cow, convert::Infallible};

use postern_model::Text;

use crate::{
    background::Background,
    field::Field,
    innocent::{self, Readers},
    resolve::Resolved,
    source::{Seen, Sizes, SourceSet},
    stored::StoredSizes,
    tracer::Tracer,
    tracks::{Excluded, are_kept, kept, sizes},
};

/// Readings that are looked at together, about.
const TOGETHER: usize = 1 << 20;

#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) background: Background,
    pub(crate) readers: Readers,
    pub(crate) accounts: Accounts,
    sizes: KeptSizes,
    /// Of the pools, in their order.
    pub(crate) pools: Vec<(Text, [Sizes; 2])>,
    pub(crate) everything: Everything,
}

/// What is counted of each account, by its number.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    /// What [`innocent::expected`] needs.
    pub(crate) masses: Vec<Vec<f64>>,
    /// The customers whom it was shown without a reason.
    pub(crate) unexplained: Vec<f64>,
    /// The share of what they are shown without a reason that half of the accounts do not exceed.
    pub(crate) usually_unexplained: f64,
    /// The customers whom it was shown.
    pub(crate) shown: Vec<f64>,
    /// By stratum, the customers whom it worked with.
    pub(crate) worked: Vec<Vec<u32>>,
}

/// The sizes of accounts' windows.
#[derive(Debug)]
pub(crate) enum KeptSizes {
    /// None where there are too many.
    Held(Vec<[Sizes; 2]>),
    Stored(StoredSizes),
}

/// What somebody could have taken who needs no log-in: all that anybody has worked with (not what
/// was opened for weak reasons, which shows what one account wanted), whole.
#[derive(Debug, Default)]
pub(crate) struct Everything {
    pub(crate) sizes: [Sizes; 2],
    /// Windows in which more than a third of that is one account's. A way that is not logged can't
    /// know what one account reads; to say that it took just that is no hypothesis of its own.
    pub(crate) one_account: Excluded,
}

/// Counts accounts, one after the other.
pub(crate) struct Counting<'b> {
    background: &'b Background,
    accounts: Accounts,
    shares: Vec<f64>,
    /// By kind of window and window, the most that one account had.
    largest: Vec<Vec<u32>>,
}

impl<'b> Counting<'b> {
    pub(crate) fn new(background: &'b Background) -> Self {
        let largest = vec![Vec::new(); background.windows.kinds().count()];
        Self { background, accounts: Accounts::default(), shares: Vec::new(), largest }
    }

    /// Takes the next account; says the sizes of its windows.
    pub(crate) fn add(&mut self, set: &SourceSet) -> [Sizes; 2] {
        let accounts = &mut self.accounts;
        accounts.unexplained.push(set.unexplained() as f64);
        self.shares.extend(set.unexplained_share());
        accounts.shown.push(set.subjects().count() as f64);
        accounts.worked.push(worked(set, self.background));
        accounts.masses.push(innocent::mass(set, self.background));
        let sizes = sizes(set, self.background);
        for (kind, largest) in self.largest.iter_mut().enumerate() {
            for (window, size) in sizes[0].totals(kind).enumerate() {
                if largest.len() <= window {
                    largest.resize(window + 1, 0);
                }
                if let Some(largest) = largest.get_mut(window) {
                    *largest = size.max(*largest);
                }
            }
        }
        sizes
    }

    /// All accounts, and with the sizes of all windows what is everybody's.
    pub(crate) fn done(self, sizes: [Sizes; 2]) -> (Accounts, Everything) {
        let Self { mut accounts, shares, largest, .. } = self;
        accounts.usually_unexplained = median(shares);
        let mut one_account = Excluded::new();
        // All of the time is always a hypothesis.
        for (kind, largest) in largest.iter().enumerate().skip(1) {
            let both = largest.iter().zip(sizes[0].totals(kind)).enumerate();
            let dominated = both.filter(|(_, (one, all))| **one * 3 > *all);
            one_account.extend(dominated.map(|(window, _)| (kind, window)));
        }
        (accounts, Everything { sizes, one_account })
    }
}

/// Goes over the readings of all these sets by customer: some customers at a time, ordered by
/// customer, set and time, and the number behind the last of them.
pub(crate) fn by_subject<E>(
    sets: &[&SourceSet],
    subjects: usize,
    mut take: impl FnMut(&[(u32, Seen)], u32) -> Result<(), E>,
) -> Result<(), E> {
    let all: usize = sets.iter().map(|set| set.all().len()).sum();
    let width = (subjects * TOGETHER / all.max(1)).clamp(1, TOGETHER);
    let mut rests: Vec<&[Seen]> = sets.iter().map(|set| set.all()).collect();
    let mut together: Vec<(u32, Seen)> = Vec::new();
    let ends = (0..subjects).step_by(width).map(|from| (from + width).min(subjects));
    for until in ends.filter_map(|until| u32::try_from(until).ok()) {
        together.clear();
        for (number, rest) in (0_u32..).zip(&mut rests) {
            let many = rest.partition_point(|seen| seen.subject < until);
            let (these, behind) = rest.split_at_checked(many).unwrap_or_default();
            together.extend(these.iter().map(|seen| (number, *seen)));
            *rest = behind;
        }
        together.sort_by_key(|(_, seen)| seen.subject);
        take(&together, until)?;
    }
    Ok(())
}

impl Everything {
    /// Of these readings, what is everybody's.
    pub(crate) fn of(postings: impl IntoIterator<Item = (u32, Seen)>) -> SourceSet {
        let mut everything = SourceSet::default();
        for (_, seen) in postings.into_iter().filter(|(_, seen)| !seen.weak) {
            everything.push(Seen { shown: Field::ALL_BITS, ..seen });
        }
        everything.sort();
        everything
    }
}

impl Index {
    pub(crate) fn of(tracer: &Tracer) -> Self {
        let background = Background::of(tracer);
        let sets: Vec<&SourceSet> = tracer.seen.iter().collect();
        let mut readers = Readers::new();
        let mut everything = <[Sizes; 2]>::default();
        let known = background.stratum_of.len();
        let Ok(()) = by_subject(&sets, known, |postings, until| -> Result<(), Infallible> {
            readers.add(postings, until);
            add_everything(&mut everything, postings, &background);
            Ok(())
        });
        let keep = are_kept(sets.len(), &background);
        let mut of_accounts = Vec::new();
        let mut counting = Counting::new(&background);
        for set in sets {
            let sizes = counting.add(set);
            if keep {
                of_accounts.push(sizes);
            }
        }
        let (accounts, everything) = counting.done(everything);
        let pools = tracer.pools().into_iter();
        let pools = pools.map(|(name, set)| (name, sizes(set, &background))).collect();
        let sizes = KeptSizes::Held(of_accounts);
        Self { background, readers, accounts, sizes, pools, everything }
    }

    /// An index that was prepared.
    pub(crate) fn stored(
        background: Background,
        readers: Readers,
        (accounts, everything): (Accounts, Everything),
        sizes: StoredSizes,
        pools: Vec<(Text, [Sizes; 2])>,
    ) -> Self {
        let sizes = KeptSizes::Stored(sizes);
        Self { background, readers, accounts, sizes, pools, everything }
    }

    /// What is everybody's of those whom the list names.
    pub(crate) fn everything_of(&self, tracer: &Tracer, list: &Resolved) -> SourceSet {
        let rows = list.rows.iter();
        Everything::of(rows.flat_map(|row| self.readers.postings(&tracer.seen, row.subject)))
    }

    /// By account: how probable it is that it is the one, if one is, before any list is seen. In
    /// halves, every account is as probable as every other, and every record that somebody was
    /// shown without a reason is as likely to be the one that leaked as every other.
    pub(crate) fn shares(&self, tracer: &Tracer, reasons: bool) -> Vec<f64> {
        let suspects = tracer.accounts.names.iter().zip(&self.accounts.unexplained);
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
        match &self.sizes {
            KeptSizes::Held(held) => kept(held, account)
                .map_or_else(|| Cow::Owned(sizes(set, &self.background)), Cow::Borrowed),
            KeptSizes::Stored(stored) => Cow::Owned(stored.of(account, &self.background)),
        }
    }
}

/// Adds the sizes of what is everybody's of these readings, which are all of their customers'.
pub(crate) fn add_everything(
    to: &mut [Sizes; 2],
    postings: &[(u32, Seen)],
    background: &Background,
) {
    let more = sizes(&Everything::of(postings.iter().copied()), background);
    to.iter_mut().zip(&more).for_each(|(to, more)| to.add(more));
}

/// The middle one, 1 of nothing.
fn median(mut all: Vec<f64>) -> f64 {
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
