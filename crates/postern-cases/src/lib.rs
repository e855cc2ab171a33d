//! Findings under investigation.
//!
//! [`Cases`] takes the findings and what people did, in the order of the ledger, and has the cases:
//! findings of the same accounts, gathered. The same entries give the same cases. What a person may
//! do next is asked of [`Cases::decide`], which answers with a [`Deed`] for the caller to record.
//! [`compare`] says how an account stands among its peers.
//!
//! A detector says that something is *unexplained*, which is neutral. *Suspicious* is said by
//! people only, and is a deed of its own.
//!
//! This crate is pure: it reads no ledger, file or clock, and shows nobody's name to anybody.

#![deny(clippy::indexing_slicing, clippy::panic, clippy::cast_possible_truncation)]
#![cfg_attr(test, allow(clippy::indexing_slicing, clippy::panic, reason = "tests may panic"))]

mod compare;
mod deed;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use postern_model::{Actor, Severity, Timestamp};

pub use self::{
    compare::{Comparison, Load, compare},
    deed::{Act, Deed, NotDone, Outcome},
};

/// A finding as a case has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Raised {
    /// The entry that it is.
    pub entry: u64,
    pub time: Timestamp,
    pub actors: Vec<Actor>,
    pub kind: Arc<str>,
    pub severity: Severity,
    pub alert: bool,
    pub score: f64,
    pub subjects_at_risk: u64,
    /// The ids of the accesses that it rests on.
    pub evidence: Vec<Arc<str>>,
    pub why: Arc<str>,
}

/// How far an investigation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Nobody has looked at it.
    Open,
    UnderReview,
    Closed(Outcome),
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::UnderReview => "under review",
            Self::Closed(Outcome::Benign) => "closed, benign",
            Self::Closed(Outcome::Misuse) => "closed, misuse",
            Self::Closed(Outcome::Unclear) => "closed, unclear",
        }
    }
}

/// Something that was done with a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    pub time: Timestamp,
    pub act: Act,
    pub by: Actor,
    pub why: Arc<str>,
}

/// Findings of the same accounts.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// The entry of its first finding.
    pub number: u64,
    pub actors: BTreeSet<Actor>,
    pub findings: Vec<Raised>,
    pub status: Status,
    pub history: Vec<Done>,
    /// Who asked that the accounts be named, until somebody else agrees.
    pub reveal_asked: Option<Actor>,
    /// The two who decided that the accounts are named.
    pub revealed: Option<(Actor, Actor)>,
    /// Who judged it suspicious, if somebody did since it was opened.
    pub suspicious: Option<Actor>,
}

/// What one kind of finding adds to a case.
#[derive(Debug, Clone, PartialEq)]
pub struct Cause {
    pub kind: Arc<str>,
    pub findings: usize,
    pub severity: Severity,
    /// The highest score of one of them.
    pub score: f64,
    /// Its part of the logarithms of all causes' highest scores, between 0 and 1.
    pub part: f64,
}

impl Case {
    /// How much the gravest of its findings matters.
    pub fn severity(&self) -> Severity {
        self.findings.iter().map(|one| one.severity).max().unwrap_or(Severity::Info)
    }

    /// Whether a finding reached the bar: those of low severity are told so that thresholds can be
    /// chosen, and make no case that people have to look at.
    pub fn is_shown(&self) -> bool {
        self.severity() > Severity::Low || !self.history.is_empty()
    }

    /// When the first and the last finding were raised.
    pub fn times(&self) -> Option<(Timestamp, Timestamp)> {
        let times = || self.findings.iter().map(|one| one.time);
        times().min().zip(times().max())
    }

    /// The accesses that it rests on, each once, in the order in which they were told.
    pub fn evidence(&self) -> Vec<&Arc<str>> {
        let mut seen = BTreeSet::new();
        let all = self.findings.iter().flat_map(|one| &one.evidence);
        all.filter(|id| seen.insert(*id)).collect()
    }

    /// What each kind of finding adds, the most first.
    pub fn causes(&self) -> Vec<Cause> {
        let mut causes: BTreeMap<&Arc<str>, Cause> = BTreeMap::new();
        for one in &self.findings {
            let cause = causes.entry(&one.kind).or_insert_with(|| Cause {
                kind: one.kind.clone(),
                findings: 0,
                severity: Severity::Info,
                score: 0.0,
                part: 0.0,
            });
            cause.findings += 1;
            cause.severity = cause.severity.max(one.severity);
            cause.score = cause.score.max(one.score);
        }
        let mut causes: Vec<Cause> = causes.into_values().collect();
        let weight = |cause: &Cause| (1.0 + cause.score.max(0.0)).log10();
        let all: f64 = causes.iter().map(weight).sum();
        for cause in &mut causes {
            cause.part = if all > 0.0 { weight(cause) / all } else { 0.0 };
        }
        causes
            .sort_by(|one, other| other.part.total_cmp(&one.part).then(one.kind.cmp(&other.kind)));
        causes
    }

    /// The kinds of finding that reached the bar: what a judgement about the case is about.
    fn judged(&self) -> Vec<Arc<str>> {
        let reached = self.findings.iter().filter(|one| one.severity > Severity::Low);
        let kinds: BTreeSet<&Arc<str>> = reached.map(|one| &one.kind).collect();
        kinds.into_iter().cloned().collect()
    }
}

/// All cases.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cases {
    all: BTreeMap<u64, Case>,
    /// The case of each account that is not closed.
    open: BTreeMap<Actor, u64>,
    roles: BTreeMap<Actor, Arc<str>>,
}

impl Cases {
    /// The cases, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Case> {
        self.all.values()
    }

    pub fn case(&self, number: u64) -> Option<&Case> {
        self.all.get(&number)
    }

    /// What is known of an account's role.
    pub fn role(&self, actor: &Actor) -> Option<&Arc<str>> {
        self.roles.get(actor)
    }

    /// The role of an account changed; `None` if there is no such account any more.
    pub fn person(&mut self, actor: &Actor, role: Option<Arc<str>>) {
        // Whoever is gone had a role, by which findings of them are judged.
        if let Some(role) = role {
            self.roles.insert(actor.clone(), role);
        }
    }

    /// A finding was raised. It is added to the case that is not closed and has one of its
    /// accounts, the oldest if there are several; else it begins one. One of no account begins its
    /// own.
    pub fn raise(&mut self, raised: Raised) {
        let open = raised.actors.iter().filter_map(|actor| self.open.get(actor)).min().copied();
        let number = open.unwrap_or(raised.entry);
        let case = self.all.entry(number).or_insert_with(|| Case {
            number,
            actors: BTreeSet::new(),
            findings: Vec::new(),
            status: Status::Open,
            history: Vec::new(),
            reveal_asked: None,
            revealed: None,
            suspicious: None,
        });
        for actor in &raised.actors {
            case.actors.insert(actor.clone());
            self.open.entry(actor.clone()).or_insert(number);
        }
        case.findings.push(raised);
    }
}
