//! What the likelihood of an account rests on, so that somebody else can compute it anew.
//!
//! Everything that goes into the likelihood ratio of one account to "elsewhere" and that its own
//! accesses do not tell: how many customers there are, how popular the leaked ones are, which
//! versions of their values were valid when. `docs/design/evidence.md` says how the ratio follows.
//! It is no verdict: that weighs all accounts and sources against each other.

use postern_model::{Actor, Subject};

use crate::{
    Leak, Tracer,
    background::at,
    copied,
    field::Field,
    mixture::Mixture,
    reasons,
    resolve::resolve,
    tracks::{Candidate, Model, Track},
};

/// Everything but the account's accesses.
#[derive(Debug, Clone, PartialEq)]
pub struct Likelihood {
    /// Customers that there are.
    pub customers: f64,
    /// The sum over all customers of how many accounts have worked with each.
    pub readings: f64,
    /// The share of fields that were changed on the way into the list.
    pub field_error: f64,
    /// The probability that such a field is by chance what another source would show.
    pub field_chance: f64,
    /// Whether accesses say how well they were reasoned.
    pub graded: bool,
    /// The first moment of the windows, their length and how many levels there are; microseconds.
    pub windows: (i64, i64, u32),
    /// Rows that belong to no customer.
    pub strangers: usize,
    pub rows: Vec<LikelihoodRow>,
    /// All that the account was shown, and the part of it that fits best.
    pub tracks: [LikelihoodTrack; 2],
}

/// A leaked row that belongs to a customer.
#[derive(Debug, Clone, PartialEq)]
pub struct LikelihoodRow {
    pub subject: Subject,
    /// How many accounts have worked with the customer.
    pub readers: u32,
    /// Taken before this moment, in microseconds, if that is known.
    pub before: Option<i64>,
    pub fields: Vec<LikelihoodField>,
}

/// A leaked field whose value is one that the customer had, or unknown altogether.
#[derive(Debug, Clone, PartialEq)]
pub struct LikelihoodField {
    pub name: &'static str,
    /// How many versions the field had.
    pub versions: f64,
    /// When the leaked version was valid, in microseconds, end excluded; `None` if nobody knows.
    pub valid: Option<Vec<(i64, i64)>>,
}

/// A part of what an account was shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LikelihoodTrack {
    /// Level, whether moved by half its width, and number of the window.
    pub window: (u32, bool, usize),
    /// Only what was read without a reason.
    pub unexplained: bool,
    /// Leaked customers that it could have given.
    pub matched: usize,
    /// Natural logarithm of the likelihood ratio to "elsewhere".
    pub log_ratio: f64,
}

impl Tracer {
    /// What the likelihood of this account rests on; `None` if the account was shown nothing, or
    /// if feeds tell customers apart by queue or language: a ledger does not, and what is computed
    /// anew is what a ledger tells.
    pub fn likelihood(&mut self, leak: &Leak, actor: &Actor) -> Option<Likelihood> {
        let account = self.accounts.find(actor)?;
        let index = self.indexed();
        let likelihood = self.likelihood_of(leak, account, &index);
        self.keep(index);
        likelihood
    }

    fn likelihood_of(
        &self,
        leak: &Leak,
        account: u32,
        index: &crate::index::Index,
    ) -> Option<Likelihood> {
        let set = self.seen.get(at(account)).filter(|set| set.subjects().next().is_some())?;
        let background = &index.background;
        if background.strata > 1 {
            return None;
        }
        let list = resolve(self, leak);
        let (mixture, copied) = (Mixture::new(), copied::ratios(background, &list));
        let reasons = reasons::are_known(self);
        let model = Model { background, mixture: &mixture, list: &list, copied: &copied, reasons };
        let candidate = Candidate::account(set, index.sizes(account, set), &list);
        let tracks = candidate.weigh(&model);
        let rows = list.rows.iter().filter_map(|row| {
            Some(LikelihoodRow {
                subject: self.subject_name(row.subject)?,
                readers: background.readers.get(at(row.subject)).copied().unwrap_or(0),
                before: Some(row.before).filter(|before| *before < i64::MAX),
                fields: row.fields.iter().filter_map(field).collect(),
            })
        });
        Some(Likelihood {
            customers: background.sizes.iter().sum(),
            readings: background.readings.iter().sum(),
            field_error: background.errors().0,
            field_chance: background.errors().1,
            graded: self.graded,
            windows: background.windows.parts(),
            strangers: list.strangers,
            rows: rows.collect(),
            tracks: [track(&tracks.ordinary), track(&tracks.best)],
        })
    }
}

fn field(field: &crate::resolve::RowField) -> Option<LikelihoodField> {
    let (_, name) = Field::ALL.into_iter().find(|(of, _)| of.bit() == field.bit)?;
    Some(LikelihoodField { name, versions: field.versions, valid: field.valid.clone() })
}

fn track(track: &Track) -> LikelihoodTrack {
    LikelihoodTrack {
        window: track.window,
        unexplained: track.unexplained,
        matched: track.rows.len(),
        log_ratio: track.log_ratio,
    }
}
