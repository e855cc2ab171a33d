//! How probable it is that an account was framed.
//!
//! Whoever frames an account adds customers to a list whom it was shown, so they must know whom.
//! Three ways are weighed against the account's own guilt, each with what it needs to be true:
//!
//! - *a thief beside it*: another account that gave a fair part of the list added what it saw of
//!   this one's ordinary work. That is a third as probable as that both gave their part; less
//!   where the other gave less than this one (nobody frames with a list that is not theirs: it goes
//!   with the square of the other's share), and less as the rows fit the account's ordinary work
//!   worse than what else it did;
//! - *a colleague who was shown the same*, and has the rest of the list from elsewhere: then all
//!   that speaks for the account must be among what that colleague was shown too. Of each of the
//!   accounts that is weighed by its likelihood, so that where nobody else was shown those
//!   customers no colleague can have framed anybody. Whoever adds what the account was shown in
//!   some hours chooses those hours, as the account itself would, and pays as much for the choice;
//! - *somebody who left no trace*, over the account's shoulder (as far as the rows are ordinary
//!   work) or with its credential.

use std::collections::BTreeMap;

use super::{Case, Hypothesis, Source, Weighed, kinds};
use crate::{
    background::at,
    fit::{Column, Fit},
    tracks::Track,
};

/// The odds of a framing by a thief beside the account to that both are thieves.
const BESIDE: f64 = 1.0 / 3.0;
/// The thief's share of what both gave, from which on it is a thief's list.
const FAIR: f64 = 0.5;
/// The odds of a framing by a colleague, if all were shown what the account was shown.
const COLLEAGUE: f64 = 5e-3;
/// The odds of a framing by somebody who knows of the account's ordinary work and left no trace.
const SHOULDER: f64 = 3e-4;
/// The odds that somebody used the account's credential.
const CREDENTIAL: f64 = 2e-4;
/// What is taken of accounts that were not fitted.
const UNFITTED: f64 = 0.25;
/// Colleagues that are weighed: those who were shown most of the rows that speak for the account.
const COLLEAGUES: usize = 12;
/// Accounts usually have no reason for at most this share of what they are shown, if reasons are
/// told well, and the odds of one that has none are so many times theirs.
const EXPLAINED: f64 = 0.2;
const UNUSUAL: f64 = 10.0;
/// Hypotheses of less weight are not looked at.
const SLIGHT: f64 = 1e-5;

impl Case<'_> {
    /// Of each account that was fitted, how probable it is that, if it fits, it was framed.
    pub(super) fn framings(&self, weighed: &Weighed, fit: &Fit) -> BTreeMap<usize, f64> {
        let positions = (0..self.sources.len()).filter(|position| self.is_account(*position));
        let framed = positions.filter_map(|position| {
            weighed.with_and_without(position).0?;
            Some((position, self.framing(weighed, position, fit)))
        });
        framed.collect()
    }

    /// How probable it is that this account, if it fits, was framed.
    pub(super) fn framed(&self, weighed: &Weighed, position: usize) -> f64 {
        weighed.framed.get(&position).copied().unwrap_or(UNFITTED)
    }

    /// Over all hypotheses with the account, each with its weight.
    fn framing(&self, weighed: &Weighed, position: usize, fit: &Fit) -> f64 {
        let with: Vec<&Hypothesis> =
            weighed.hypotheses.iter().filter(|h| h.members.contains(&position)).collect();
        let all: f64 = with.iter().map(|h| h.posterior.0).sum();
        let mut alone = None;
        let (mut framed, mut seen) = (0.0, 0.0);
        for (number, h) in with.iter().enumerate() {
            if number > 0 && (h.posterior.0 < SLIGHT * all || all <= 0.0) {
                continue;
            }
            let beside = h.members.iter().any(|m| *m != position && self.is_account(*m));
            let odds = if beside {
                self.beside(h, position, fit)
            } else {
                *alone.get_or_insert_with(|| self.alone(h, position, fit))
            };
            let weight = h.posterior.0.max(f64::MIN_POSITIVE);
            framed += weight * (odds + CREDENTIAL) / (1.0 + odds + CREDENTIAL);
            seen += weight;
        }
        if seen > 0.0 { framed / seen } else { UNFITTED }
    }

    /// The odds that a thief of this hypothesis framed the account.
    fn beside(&self, h: &Hypothesis, position: usize, fit: &Fit) -> f64 {
        let parts = || h.members.iter().zip(&h.parts);
        let others = parts().filter(|(m, _)| **m != position && self.is_account(**m));
        let part = others.map(|(_, part)| *part).fold(0.0, f64::max);
        let own: f64 = parts().filter(|(m, _)| **m == position).map(|(_, part)| *part).sum();
        let share = part / (part + own).max(1e-9);
        let source = self.sources.get(position);
        // Rows that another may have added must be a choice to be more than ordinary work.
        let is_choice = source
            .is_some_and(|s| kinds::is_choice(&self.model, s) || self.is_mostly_unexplained(s));
        let known = if is_choice { self.known(h, position, fit) } else { 1.0 };
        BESIDE * (share / FAIR).min(1.0).powi(2) * known
    }

    /// Whether nothing explains most of what the account was shown, while nearly all that accounts
    /// usually are shown is explained. Its rows are then a choice whichever of its readings fit
    /// best.
    fn is_mostly_unexplained(&self, source: &Source<'_>) -> bool {
        let share = source.candidate.unexplained_share();
        let odds = |share: f64| share / (1.0 - share).max(1e-9);
        let usual = self.index.accounts.usually_unexplained;
        self.model.reasons
            && share >= 0.5
            && usual <= EXPLAINED
            && odds(share) >= UNUSUAL * odds(usual)
    }

    /// The odds that somebody framed the account who is not in the hypothesis.
    fn alone(&self, h: &Hypothesis, position: usize, fit: &Fit) -> f64 {
        SHOULDER * self.known(h, position, fit) + COLLEAGUE * self.colleagues(h, position, fit)
    }

    /// How much less probable the rows are as what colleagues can know of the account's work than
    /// as the best that it did; 1 if half of them are such work.
    fn known(&self, h: &Hypothesis, position: usize, fit: &Fit) -> f64 {
        let Some(source) = self.sources.get(position) else { return 1.0 };
        if !kinds::is_beyond_knowing(&self.model, source) {
            return 1.0;
        }
        let work = fit.column(&source.candidate.work(&self.model));
        self.against(h, position, fit, &work).min(1.0)
    }

    /// The mean over all accounts of how much more probable the list is if they added what they
    /// were shown of what speaks for this one.
    fn colleagues(&self, h: &Hypothesis, position: usize, fit: &Fit) -> f64 {
        let Some(source) = self.sources.get(position) else { return 0.0 };
        let track = &source.tracks.best;
        let mut shown: BTreeMap<u32, usize> = BTreeMap::new();
        let rows = track.rows.iter().filter_map(|(row, _)| self.model.list.rows.get(*row));
        for row in rows {
            for reader in self.index.readers.of(row.subject).iter() {
                *shown.entry(*reader).or_default() += 1;
            }
        }
        let own = self.account(position);
        let mut shown: Vec<(usize, u32)> = shown
            .into_iter()
            .filter(|(account, _)| Some(*account) != own)
            .map(|(account, rows)| (rows, account))
            .collect();
        shown.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        shown.truncate(COLLEAGUES);
        let choice = source.tracks.log_choice().exp();
        let sum: f64 = shown
            .into_iter()
            // Whoever was shown less than half of it would have had to guess the rest.
            .filter(|(rows, _)| rows * 2 >= track.rows.len())
            .map(|(_, account)| {
                let column = fit.column(&self.shown_to_both(source, account));
                self.against(h, position, fit, &column).min(1e6) * choice
            })
            .sum();
        sum / self.counts.0
    }

    /// The part of a source's best track that another account was shown as well.
    fn shown_to_both(&self, source: &Source<'_>, account: u32) -> Track {
        let other = self.tracer.seen.get(at(account));
        let is_shown = |subject: u32| other.is_some_and(|set| set.has(subject));
        let mut track = source.tracks.best.clone();
        let (mut all, mut both) = (0.0, 0.0);
        for subject in source.candidate.subjects_within(&self.model, &track) {
            all += 1.0;
            both += f64::from(u8::from(is_shown(subject)));
        }
        let narrower = f64::ln((all + 1.0) / (both + 1.0));
        let rows = &self.model.list.rows;
        track.rows.retain(|(row, _)| rows.get(*row).is_some_and(|row| is_shown(row.subject)));
        track.rows.iter_mut().for_each(|(_, ratio)| *ratio += narrower);
        track
    }

    /// How much more probable the list is if another column is put in the place of the account's.
    fn against(&self, h: &Hypothesis, position: usize, fit: &Fit, column: &Column) -> f64 {
        let others = || {
            let others = h.members.iter().filter(|member| **member != position);
            others.filter_map(|member| self.sources.get(*member))
        };
        let columns: Vec<Column> = others().map(|s| fit.column(&s.tracks.best)).collect();
        let columns: Vec<&Column> = columns.iter().chain([column]).collect();
        let choices: f64 = others().map(|source| source.tracks.log_choice()).sum();
        (fit.with(&columns).log_ratio + choices - h.log_ratio).min(50.0).exp()
    }
}
