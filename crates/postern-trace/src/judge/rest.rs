//! What the rest of a list shows of a taste.
//!
//! If somebody outside prefers customers of a kind that nothing here tells of (a topic, a product,
//! a queue that no feed names), all of their list is of that kind, not only the part that an
//! account was shown by chance. Who works with customers tells kinds apart: those of one kind are
//! worked with by the same colleagues. So of every account that worked with others of the
//! account's customers it is counted by which factor more of its customers are among them than
//! expected, and it is compared how large that factor is of the account's own customers (each left
//! out of its own count) and of the rows that the account was never shown. If the rest of the list
//! is no more of the kind than any customers are, no such taste is seen; if it is as much of it as
//! the account's own customers are, all of the list is.
//!
//! A kind may also be a time: who wrote in some days, and what was then open in a queue. If the
//! account's customers are those of a window of time, it is counted how many more of the rest of
//! the list others worked with in that window than of customers whom as many work with.
//!
//! Few rows whose workers tell anything show neither that there is a taste nor that there is none.
//! So of a few rows more it is taken that none is of the kind, where queues and languages are told,
//! because what most people wish for is told then; and that half of them are, where they are not.
//!
//! All is counted within strata (of times, among the equally popular), and readings, not customers,
//! are counted, so that neither what is told of customers nor how popular they are makes a kind.

use std::collections::BTreeSet;

use super::Case;
use crate::{
    background::at,
    resolve::Row,
    source::{Seen, Window},
    tracks::Track,
};

/// Added to what was counted and to what was expected, so that few readings make no factor.
const SMOOTHED: f64 = 1.0;
/// Excesses of factors below this are no kind.
const CLEAR: f64 = 0.15;
/// So many rows of the rest are added, and what of them is taken to be of the kind where nothing
/// tells of queues and languages.
const BEFOREHAND: f64 = 3.0;
const UNTOLD: f64 = 0.5;
/// Customers of an account that are looked at; of more, every so many-th is.
const LOOKED_AT: usize = 20_000;

/// Customers with more workers than this are alike.
const WORKERS: usize = 8;

/// The rows that neither the account nor those of other accounts were shown.
struct Rest<'c> {
    account: u32,
    /// The account's customers.
    customers: BTreeSet<u32>,
    rows: Vec<&'c Row>,
}

/// Who works with an account's customers.
struct Colleagues<'c, 'a> {
    case: &'c Case<'a>,
    /// The account itself.
    account: u32,
    /// By account, by which factor more of its customers than expected are the account's: counted
    /// and expected.
    counted: Vec<(f64, f64)>,
}

impl Case<'_> {
    /// By how much the rows that neither this account nor those of the others were shown are of the
    /// kind, or of the time, that this account's customers are: 0 not at all, 1 wholly.
    pub(super) fn kinship(&self, position: usize, others: &[usize]) -> f64 {
        let (Some(source), Some(account)) = (self.sources.get(position), self.account(position))
        else {
            return 0.0;
        };
        let track = &source.tracks.best;
        let customers = source.candidate.subjects_within(&self.model, track).collect();
        let accounts = others.iter().filter(|member| self.is_account(**member));
        let given: Vec<&Track> =
            accounts.filter_map(|m| self.sources.get(*m)).map(|s| &s.tracks.best).collect();
        let is_given = |number: usize| given.iter().any(|track| track.gives(number));
        let mut rest = Rest { account, customers, rows: Vec::new() };
        let rows = self.model.list.rows.iter().enumerate();
        let of_rest =
            rows.filter(|(n, row)| !rest.customers.contains(&row.subject) && !is_given(*n));
        rest.rows = of_rest.map(|(_, row)| row).collect();
        f64::max(self.of_the_kind(&rest), self.of_the_time(&rest, track.window))
    }

    fn of_the_kind(&self, rest: &Rest<'_>) -> f64 {
        let colleagues = Colleagues::of(self, rest.account, &rest.customers);
        let every = rest.customers.len().div_ceil(LOOKED_AT).max(1);
        let own = rest.customers.iter().step_by(every);
        let (own, _) = mean(own.filter_map(|customer| colleagues.factor(*customer, 1.0)));
        let rows = rest.rows.iter().filter_map(|row| colleagues.factor(row.subject, 0.0));
        let (others, many) = mean(rows);
        let untold = if self.model.background.is_sorted() { 0.0 } else { UNTOLD };
        let (own, others) = (own - 1.0, others - 1.0);
        let taken = untold * own.max(0.0) * BEFOREHAND;
        let others = (others * many + taken) / (many + BEFOREHAND);
        (others * own / (own * own + CLEAR * CLEAR)).clamp(0.0, 1.0)
    }

    fn of_the_time(&self, rest: &Rest<'_>, (level, moved, window): Window) -> f64 {
        if level == 0 {
            return 0.0;
        }
        let windows = self.model.background.windows;
        let is_then = |seen: &Seen| windows.at((level, moved), seen.time) == window;
        // How many work with a customer, and whether somebody did then.
        let looked = |customer: u32| {
            let (mut many, mut then) = (0_usize, false);
            let work = self.work(customer, rest.account);
            for of in work.chunk_by(|a, b| a.0 == b.0) {
                many += 1;
                then |= of.iter().any(|(_, seen)| is_then(seen));
            }
            (many.min(WORKERS), f64::from(u8::from(then)))
        };
        let mut usual = [(0.0, 0.0); WORKERS + 1];
        let known = self.model.background.stratum_of.len();
        let every = known.div_ceil(LOOKED_AT).max(1);
        let all = (0_u32..).take(known).step_by(every);
        for (many, then) in all.filter(|c| !rest.customers.contains(c)).map(looked) {
            if let Some((sum, count)) = usual.get_mut(many) {
                *sum += then;
                *count += 1.0;
            }
        }
        let share = |many: usize| usual.get(many).map_or(0.0, |(sum, n)| sum / f64::max(*n, 1.0));
        let looked = rest.rows.iter().map(|row| looked(row.subject));
        let (then, usually) = looked.fold((0.0, 0.0), |(then, usually), (many, is_then)| {
            (then + is_then, usually + share(many))
        });
        let rows = rest.rows.len() as f64;
        ((then - usually) / (rows - usually + BEFOREHAND)).clamp(0.0, 1.0)
    }

    /// The accounts other than this one that worked with a customer.
    fn workers(&self, customer: u32, account: u32) -> Vec<u32> {
        let work = self.work(customer, account).into_iter();
        let mut workers: Vec<u32> = work.map(|(worker, _)| worker).collect();
        workers.dedup();
        workers
    }

    /// What accounts other than this one were shown of a customer for their work, by account.
    fn work(&self, customer: u32, account: u32) -> Vec<(u32, Seen)> {
        let mut work = self.index.readers.postings(&self.tracer.seen, customer);
        work.retain(|(worker, seen)| *worker != account && !seen.weak);
        work
    }
}

impl<'c, 'a> Colleagues<'c, 'a> {
    fn of(case: &'c Case<'a>, account: u32, customers: &BTreeSet<u32>) -> Self {
        let background = case.model.background;
        let worked = &case.index.accounts.worked;
        let mut counted = vec![(0.0, 0.0); worked.len()];
        let mut among = vec![0.0; background.strata];
        for customer in customers {
            let stratum = usize::from(background.stratum(*customer));
            for worker in case.workers(*customer, account) {
                if let Some((counted, _)) = counted.get_mut(at(worker)) {
                    *counted += 1.0;
                }
                if let Some(among) = among.get_mut(stratum) {
                    *among += 1.0;
                }
            }
        }
        let mut all = vec![0.0; background.strata];
        for (_, of_strata) in (0_u32..).zip(worked).filter(|(worker, _)| *worker != account) {
            all.iter_mut().zip(of_strata).for_each(|(all, of)| *all += f64::from(*of));
        }
        let shares: Vec<f64> =
            among.iter().zip(&all).map(|(among, all)| among / f64::max(*all, 1.0)).collect();
        for ((_, expected), of_strata) in counted.iter_mut().zip(worked) {
            let both = of_strata.iter().zip(&shares);
            *expected = both.map(|(of, share)| f64::from(*of) * share).sum();
        }
        Self { case, account, counted }
    }

    /// The mean factor of those who worked with a customer, of which so many of the counted are not
    /// to be counted; `None` if nobody did.
    fn factor(&self, customer: u32, uncounted: f64) -> Option<f64> {
        let factor = |worker: u32| {
            let (counted, expected) = self.counted.get(at(worker)).copied().unwrap_or((0.0, 0.0));
            (f64::max(counted - uncounted, 0.0) + SMOOTHED) / (expected + SMOOTHED)
        };
        let (mean, many) = mean(self.case.workers(customer, self.account).into_iter().map(factor));
        (many > 0.0).then_some(mean)
    }
}

/// The mean, 1 of nothing, and of how many.
fn mean(of: impl Iterator<Item = f64>) -> (f64, f64) {
    let (sum, many) = of.fold((0.0, 0.0), |(sum, many), one| (sum + one, many + 1.0));
    if many > 0.0 { (sum / many, many) } else { (1.0, 0.0) }
}
