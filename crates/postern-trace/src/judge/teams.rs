//! Divisions of work that nothing tells of.
//!
//! Customers have topics, products, regions; accounts specialise in them, and feeds need not say
//! so. A list from elsewhere that is of one such kind then fits every account that works on it far
//! better than chance, and fits best the one that works most. So, of every account that fits well,
//! the colleagues are found who share more customers with it than accounts usually do, and whom
//! they worked with is one more source that is nobody's: whole, and within the time that fits the
//! account best; one half all of them alike, one half the more, the more of them did.

use super::{Case, Source, Who};
use crate::{
    background::at,
    source::{Seen, SourceSet, Window},
    tracks::{Candidate, Tracks},
};

/// Accounts of which the colleagues are looked for.
const LOOKED_AT: usize = 4;
/// How much more than usual colleagues share, and how many customers at least.
const CLOSER: f64 = 1.5;
const SHARED: f64 = 3.0;
/// What several worked with is not above all what one of them did: at most a third of it.
const LARGEST: f64 = 3.0;

impl<'a> Case<'a> {
    /// What the colleagues of the accounts that fit best worked with.
    pub(super) fn teams(&self) -> Vec<Source<'a>> {
        let mut teams: Vec<(Vec<bool>, Window)> = Vec::new();
        let mut sources = Vec::new();
        for source in self.sources.iter().take(LOOKED_AT) {
            let Who::Account(account) = source.who else { continue };
            let Some(team) = self.team_of(account, source.candidate.set) else { continue };
            for window in [(0, false, 0), source.tracks.best.window] {
                let wanted = (team.clone(), window);
                if teams.contains(&wanted) {
                    continue;
                }
                teams.push(wanted);
                let Some(had) = self.had_by(&team, window) else { continue };
                let log_prior = self.model.background.windows.log_prior((window.0, window.1));
                let tracks = Tracks::shared(&self.model, &had, window, log_prior);
                let name = self.tracer.accounts.name(account).map_or("", |name| name.as_str());
                let who = Who::Pool(format!("colleagues of {name}").into());
                let candidate = Candidate::nothing(source.candidate.set);
                sources.push(Source { who, candidate, tracks });
            }
        }
        sources
    }

    /// By account, whether it shares more customers with this one than usual, or is it; `None` if
    /// that says nothing, because hardly any account does or nearly all do.
    fn team_of(&self, account: u32, set: &SourceSet) -> Option<Vec<bool>> {
        let shown = &self.index.accounts.shown;
        let mut shared = vec![0.0; shown.len()];
        for subject in set.subjects() {
            for reader in self.index.readers.of(subject).iter() {
                if let Some(count) = shared.get_mut(at(*reader)) {
                    *count += 1.0;
                }
            }
        }
        let others = || {
            let both = (0_u32..).zip(shared.iter().zip(shown));
            both.filter(|(other, (_, shown))| *other != account && **shown > 0.0)
        };
        let mut shares: Vec<f64> = others().map(|(_, (shared, shown))| shared / shown).collect();
        shares.sort_by(f64::total_cmp);
        let usual = shares.get(shares.len() / 4).copied()?;
        let mut team = vec![false; shown.len()];
        for (other, (shared, shown)) in others() {
            if let Some(slot) = team.get_mut(at(other)) {
                *slot = *shared >= SHARED && shared / shown >= CLOSER * usual;
            }
        }
        let colleagues = team.iter().filter(|is_one| **is_one).count();
        if let Some(slot) = team.get_mut(at(account)) {
            *slot = true;
        }
        (colleagues > 0 && colleagues * 4 <= shares.len() * 3).then_some(team)
    }

    /// By customer, how many of these worked with them in the window; `None` if that is above all
    /// what one of them did.
    fn had_by(&self, team: &[bool], (level, moved, window): Window) -> Option<Vec<f64>> {
        let background = self.model.background;
        let mut had = vec![0.0; background.stratum_of.len()];
        let sets = self.tracer.seen.iter().zip(team).filter(|(_, is_one)| **is_one);
        let worked_with = |of: &&[Seen]| {
            let is_in = |s: &Seen| background.windows.at((level, moved), s.time) == window;
            of.iter().any(|seen| !seen.weak && is_in(seen))
        };
        let (mut sum, mut most) = (0.0, 0.0_f64);
        for (set, _) in sets {
            let mut of_one = 0.0;
            let all = set.once();
            let of_subjects = all.chunk_by(|a, b| a.subject == b.subject);
            for seen in of_subjects.filter(worked_with).filter_map(|of| of.first()) {
                if let Some(slot) = had.get_mut(at(seen.subject)) {
                    *slot += 1.0;
                    of_one += 1.0;
                }
            }
            sum += of_one;
            most = most.max(of_one);
        }
        (most * LARGEST <= sum).then_some(had)
    }
}
