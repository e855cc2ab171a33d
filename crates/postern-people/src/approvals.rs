//! Access that one person asks for and another allows, and access that somebody takes at once and
//! answers for afterwards.
//!
//! A [`Deed`] is what somebody has done; it is made here, recorded by the caller, and then applied.
//! The same deeds, applied again, give the same state. Who did them is a person as the system knows
//! them, which need not be the account that is let in: neither approves what is their own.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use postern_model::{Actor, Grade, Reason, Subject, Timestamp};
use thiserror::Error;

mod query;
#[cfg(test)]
mod tests;

pub use self::query::{Digesting, QueryError, QueryResult, SavedQuery};

/// The reason's name under an approval, and after breaking the glass.
pub const APPROVAL: &str = "approval";
pub const BREAK_GLASS: &str = "break_glass";

/// How many may stand at once, ended ones that are remembered included; breaking the glass is not
/// refused for them.
const STANDING_MAX: usize = 10_000;

/// So many digits of a hash at least say which result is meant.
const HASH_DIGITS_MIN: usize = 12;

/// As many of them one person may have asked for or taken.
const PERSON_MAX: usize = 200;

/// How long an approval that has ended is remembered, for those that follow the other way round.
const REMEMBERED: Duration = Duration::from_secs(30 * 86_400);

/// How long access may last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApprovalRules {
    pub longest: Duration,
    /// After breaking the glass.
    pub break_glass: Duration,
    /// Until when somebody else has to have looked at that.
    pub review_within: Duration,
}

/// What somebody has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    Asked,
    Approved,
    BrokeGlass,
    Reviewed,
    Revoked,
    /// A statement was run to see what it gives; nothing left.
    Tried,
    /// The approved result of a statement left.
    Released,
    /// The result was another one than was approved; nothing left.
    Withheld,
}

impl Act {
    const ALL: [Self; 8] = [
        Self::Asked,
        Self::Approved,
        Self::BrokeGlass,
        Self::Reviewed,
        Self::Revoked,
        Self::Tried,
        Self::Released,
        Self::Withheld,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Approved => "approved",
            Self::BrokeGlass => "broke_glass",
            Self::Reviewed => "reviewed",
            Self::Revoked => "revoked",
            Self::Tried => "tried",
            Self::Released => "released",
            Self::Withheld => "withheld",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|act| act.as_str() == text)
    }
}

/// One act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    pub act: Act,
    /// Of what was asked for or taken; all acts about it have the same.
    pub number: u64,
    /// Who is let in to the subject's data, or runs the statement.
    pub actor: Actor,
    /// A customer, or the name of a statement.
    pub subject: Subject,
    pub by: Actor,
    pub until: Timestamp,
    /// Of a statement that was run, what it gave.
    pub why: Arc<str>,
    /// The statement, where one is asked for.
    pub query: Option<Arc<SavedQuery>>,
}

/// Why something is not done.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotDone {
    #[error("there is no request or access of the number {number} that could be {act}")]
    Unknown { number: u64, act: &'static str },
    #[error("nobody approves or reviews what they asked for, took, or get")]
    Own,
    #[error("access lasts {longest_s} s at most, and at least one")]
    Length { longest_s: u64 },
    #[error("there are too many requests and approvals at the moment")]
    TooMany,
    #[error(
        "nobody knows yet what number {number} gives: `{actor}` has to run it, which shows nothing"
    )]
    NotTried { number: u64, actor: Actor },
    #[error("number {number} is approved by the hash of the result that you have seen")]
    Unseen { number: u64 },
    #[error("what number {number} gave last is not the result that you have seen; look again")]
    OtherResult { number: u64 },
    #[error("who asks for number {number} has approved something for you, so somebody else has to")]
    Circular { number: u64 },
    #[error("what number {number} stands for has left already; it is good for one time")]
    Used { number: u64 },
    #[error("number {number} has ended, at {until}")]
    Ended { number: u64, until: Timestamp },
    #[error("the text of number {number} is not there any more; ask again")]
    TextGone { number: u64 },
    #[error("`{by}` has {PERSON_MAX} requests and approvals that are remembered; that is the most")]
    TooManyOfOne { by: Actor },
}

/// Something that was asked for or taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub number: u64,
    pub actor: Actor,
    pub subject: Subject,
    pub asked_by: Actor,
    pub asked_at: Timestamp,
    pub until: Timestamp,
    pub why: Arc<str>,
    /// Who approved it, or, where the glass was broken, who has reviewed that.
    pub second: Option<Actor>,
    pub glass: bool,
    pub revoked: bool,
    /// The statement that it is about, if its text is still there.
    pub query: Option<Arc<SavedQuery>>,
    /// What came of it when it was tried last, in words.
    pub tried: Option<Arc<str>>,
    /// What it gave then, if it did not fail.
    pub result: Option<QueryResult>,
    /// That has left.
    pub used: bool,
}

impl Standing {
    /// Whether it is about a statement and not about a customer.
    pub fn is_query(&self) -> bool {
        SavedQuery::hash_of(&self.subject).is_some()
    }

    /// Whether it lets the actor in to the customer now.
    pub fn holds(&self, now: Timestamp) -> bool {
        let is_let_in = self.glass || self.second.is_some();
        is_let_in && !self.is_query() && !self.revoked && now < self.until
    }

    /// Whether somebody asked for it or gets it.
    pub fn is_own(&self, by: &Actor) -> bool {
        self.asked_by == *by || self.actor == *by
    }
}

/// All that was asked for or taken and is remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Approvals {
    standing: BTreeMap<u64, Standing>,
    next: u64,
}

impl Approvals {
    /// Somebody asks that an actor be let in.
    ///
    /// # Errors
    /// [`NotDone::Length`], [`NotDone::TooMany`], [`NotDone::TooManyOfOne`].
    pub fn ask(
        &self,
        (actor, subject): (Actor, Subject),
        (by, why): (Actor, Arc<str>),
        lasts: Duration,
        rules: &ApprovalRules,
        now: Timestamp,
    ) -> Result<Deed, NotDone> {
        if lasts > rules.longest || lasts < Duration::from_secs(1) {
            return Err(NotDone::Length { longest_s: rules.longest.as_secs() });
        }
        self.begin(Act::Asked, (actor, subject), (by, why), now.after(lasts))
    }

    /// Somebody asks that the result of a statement may leave, once.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub fn ask_query(
        &self,
        (actor, query): (Actor, Arc<SavedQuery>),
        by: (Actor, Arc<str>),
        lasts: Duration,
        rules: &ApprovalRules,
        now: Timestamp,
    ) -> Result<Deed, NotDone> {
        let deed = self.ask((actor, query.name()), by, lasts, rules, now)?;
        Ok(Deed { query: Some(query), ..deed })
    }

    /// What an actor may run under that number, and the result that may leave; without one it is
    /// run to be seen what it gives.
    ///
    /// # Errors
    /// [`NotDone`]: there is nothing of that number for them, or not any more.
    pub fn runs(
        &self,
        number: u64,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<(Arc<SavedQuery>, Option<QueryResult>), NotDone> {
        let theirs = |one: &&Standing| one.is_query() && one.actor == *actor && !one.revoked;
        let unknown = NotDone::Unknown { number, act: "run" };
        let standing = self.standing.get(&number).filter(theirs).ok_or(unknown)?;
        if standing.used {
            return Err(NotDone::Used { number });
        }
        if now >= standing.until {
            return Err(NotDone::Ended { number, until: standing.until });
        }
        let query = standing.query.clone().ok_or(NotDone::TextGone { number })?;
        let result = standing.result.clone().filter(|_| standing.second.is_some());
        Ok((query, result))
    }

    /// The actor has run it: it was tried, its result is to leave, or is withheld. `what` it gave.
    ///
    /// # Errors
    /// As [`Self::runs`]; what was approved meanwhile is not tried any more.
    pub fn ran(
        &self,
        act: Act,
        number: u64,
        (actor, what): (&Actor, Arc<str>),
        now: Timestamp,
    ) -> Result<Deed, NotDone> {
        let (query, approved) = self.runs(number, actor, now)?;
        let standing = self.standing.get(&number);
        let fits = match act {
            Act::Tried => approved.is_none(),
            Act::Released => approved.is_some_and(|approved| *what == *approved.to_string()),
            Act::Withheld => approved.is_some(),
            Act::Asked | Act::Approved | Act::BrokeGlass | Act::Reviewed | Act::Revoked => false,
        };
        let unknown = NotDone::Unknown { number, act: act.as_str() };
        let standing = standing.filter(|_| fits).ok_or(unknown)?;
        let (by, until) = (actor.clone(), standing.until);
        let (actor, subject) = (actor.clone(), standing.subject.clone());
        Ok(Deed { act, number, actor, subject, by, until, why: what, query: Some(query) })
    }

    /// Somebody lets an actor in at once.
    ///
    /// # Errors
    /// [`NotDone::TooManyOfOne`].
    pub fn break_glass(
        &self,
        of: (Actor, Subject),
        by: (Actor, Arc<str>),
        rules: &ApprovalRules,
        now: Timestamp,
    ) -> Result<Deed, NotDone> {
        self.begin(Act::BrokeGlass, of, by, now.after(rules.break_glass))
    }

    fn begin(
        &self,
        act: Act,
        (actor, subject): (Actor, Subject),
        (by, why): (Actor, Arc<str>),
        until: Timestamp,
    ) -> Result<Deed, NotDone> {
        if act == Act::Asked && self.standing.len() >= STANDING_MAX {
            return Err(NotDone::TooMany);
        }
        if self.standing.values().filter(|one| one.asked_by == by).count() >= PERSON_MAX {
            return Err(NotDone::TooManyOfOne { by });
        }
        let (number, query) = (self.next.saturating_add(1), None);
        Ok(Deed { act, number, actor, subject, by, until, why, query })
    }

    /// Somebody approves, reviews or revokes what has that number.
    ///
    /// # Errors
    /// [`NotDone::Own`] where they may not, [`NotDone::Unknown`] where there is nothing to be done:
    /// it has ended, or it was done before.
    pub fn decide(
        &self,
        act: Act,
        number: u64,
        by: (Actor, Arc<str>),
        now: Timestamp,
    ) -> Result<Deed, NotDone> {
        self.decide_having_seen((act, None), number, by, now)
    }

    /// The same of somebody who has seen a result whose hash begins like this. It may have been
    /// tried again since: nothing else is approved.
    ///
    /// # Errors
    /// As [`Self::decide`]; [`NotDone::Unseen`] and [`NotDone::OtherResult`].
    pub fn decide_having_seen(
        &self,
        (act, seen): (Act, Option<&str>),
        number: u64,
        (by, why): (Actor, Arc<str>),
        now: Timestamp,
    ) -> Result<Deed, NotDone> {
        let unknown = || NotDone::Unknown { number, act: act.as_str() };
        let standing = self.standing.get(&number).ok_or_else(unknown)?;
        let possible = match act {
            Act::Approved => !standing.glass && standing.second.is_none() && now < standing.until,
            // Also what is over is reviewed.
            Act::Reviewed => standing.glass && standing.second.is_none(),
            Act::Revoked => now < standing.until && !standing.used,
            Act::Asked | Act::BrokeGlass | Act::Tried | Act::Released | Act::Withheld => false,
        };
        if !possible || standing.revoked && act != Act::Reviewed {
            return Err(unknown());
        }
        if act != Act::Revoked && standing.is_own(&by) {
            return Err(NotDone::Own);
        }
        let Standing { actor, subject, until, query, .. } = standing.clone();
        let deed = Deed { act, number, actor, subject, by, until, why, query };
        if act == Act::Approved && standing.is_query() {
            let Some(result) = &standing.result else {
                return Err(NotDone::NotTried { number, actor: deed.actor });
            };
            match seen.filter(|seen| seen.len() >= HASH_DIGITS_MIN) {
                None => return Err(NotDone::Unseen { number }),
                Some(seen) if !result.digest.starts_with(seen) => {
                    return Err(NotDone::OtherResult { number });
                }
                Some(_) => {}
            }
            // For one customer it is a finding. What leaves as a list is not to be got back.
            if self.is_mutual(&deed) {
                return Err(NotDone::Circular { number });
            }
        }
        Ok(deed)
    }

    /// Whether somebody approves here for whom the one who asks has approved of late: the one hand
    /// washes the other.
    pub fn is_mutual(&self, deed: &Deed) -> bool {
        let Some(asked) = self.standing.get(&deed.number) else { return false };
        let returns = |other: &Standing| {
            let second = other.second.as_ref();
            let by_whom_is_let_in = |who: &Actor| second == Some(who) && !other.glass;
            other.is_own(&deed.by)
                && (by_whom_is_let_in(&asked.asked_by) || by_whom_is_let_in(&asked.actor))
        };
        deed.act == Act::Approved && self.standing.values().any(returns)
    }

    /// Puts a deed in force that is recorded, at the time of its entry.
    pub fn apply(&mut self, deed: &Deed, now: Timestamp) {
        let oldest = now.before(REMEMBERED);
        self.standing.retain(|_, standing| {
            let was = standing.glass || standing.second.is_some() || standing.is_query();
            let kept = if was { oldest } else { now };
            standing.until > kept || standing.needs_review()
        });
        let Deed { act, number, actor, subject, by, until, why, query } = deed.clone();
        self.next = self.next.max(number);
        let glass = act == Act::BrokeGlass;
        if matches!(act, Act::Asked | Act::BrokeGlass) {
            let (second, revoked) = (None, false);
            let (asked_by, asked_at) = (by, now);
            let begun = Standing {
                number,
                actor,
                subject,
                asked_by,
                asked_at,
                until,
                why,
                second,
                glass,
                revoked,
                query,
                tried: None,
                result: None,
                used: false,
            };
            self.standing.insert(number, begun);
            return;
        }
        let Some(standing) = self.standing.get_mut(&number) else { return };
        match act {
            Act::Revoked => standing.revoked = true,
            Act::Tried => {
                standing.result = QueryResult::parse(&why);
                standing.tried = Some(why);
            }
            Act::Released => standing.used = true,
            Act::Approved | Act::Reviewed => standing.second = Some(by),
            Act::Withheld | Act::Asked | Act::BrokeGlass => {}
        }
    }

    /// Whom an actor is let in to now, and why. What was not asked for beforehand is weak.
    pub fn held(&self, actor: &Actor, now: Timestamp) -> impl Iterator<Item = (Subject, Reason)> {
        let theirs =
            self.standing.values().filter(move |one| one.actor == *actor && one.holds(now));
        theirs.map(|one| {
            let (name, grade) = match one.glass {
                true => (BREAK_GLASS, Grade::Weak),
                false => (APPROVAL, Grade::Strong),
            };
            (one.subject.clone(), Reason { name: name.into(), grade })
        })
    }

    /// All that is remembered, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Standing> {
        self.standing.values()
    }
}

impl Standing {
    /// Whether the glass was broken and nobody else has looked at it.
    pub fn needs_review(&self) -> bool {
        self.glass && self.second.is_none()
    }
}
