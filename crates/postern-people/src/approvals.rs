//! Access that one person asks for and another allows, and access that somebody takes at once and
//! answers for afterwards.
//!
//! A [`Deed`] is what somebody has done; it is made here, recorded by the caller, and then applied.
//! The same deeds, applied again, give the same state. Who did them is a person as the system knows
//! them, which need not be the account that is let in: neither approves what is their own.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use postern_model::{Actor, Grade, Reason, Subject, Timestamp};
use thiserror::Error;

#[cfg(test)]
mod tests;

/// The reason's name under an approval, and after breaking the glass.
pub const APPROVAL: &str = "approval";
pub const BREAK_GLASS: &str = "break_glass";

/// How many may stand at once, ended ones that are remembered included; breaking the glass is not
/// refused for them.
const STANDING_MAX: usize = 10_000;

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
}

impl Act {
    const ALL: [Self; 5] =
        [Self::Asked, Self::Approved, Self::BrokeGlass, Self::Reviewed, Self::Revoked];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Approved => "approved",
            Self::BrokeGlass => "broke_glass",
            Self::Reviewed => "reviewed",
            Self::Revoked => "revoked",
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
    /// Who is let in to the subject's data.
    pub actor: Actor,
    pub subject: Subject,
    pub by: Actor,
    pub until: Timestamp,
    pub why: Arc<str>,
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
}

impl Standing {
    /// Whether it lets the actor in now.
    pub fn holds(&self, now: Timestamp) -> bool {
        (self.glass || self.second.is_some()) && !self.revoked && now < self.until
    }

    fn is_own(&self, by: &Actor) -> bool {
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
        Ok(Deed { act, number: self.next.saturating_add(1), actor, subject, by, until, why })
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
        (by, why): (Actor, Arc<str>),
        now: Timestamp,
    ) -> Result<Deed, NotDone> {
        let unknown = || NotDone::Unknown { number, act: act.as_str() };
        let standing = self.standing.get(&number).ok_or_else(unknown)?;
        let possible = match act {
            Act::Approved => !standing.glass && standing.second.is_none() && now < standing.until,
            // Also what is over is reviewed.
            Act::Reviewed => standing.glass && standing.second.is_none(),
            Act::Revoked => now < standing.until,
            Act::Asked | Act::BrokeGlass => false,
        };
        if !possible || standing.revoked && act != Act::Reviewed {
            return Err(unknown());
        }
        if act != Act::Revoked && standing.is_own(&by) {
            return Err(NotDone::Own);
        }
        let Standing { actor, subject, until, .. } = standing.clone();
        Ok(Deed { act, number, actor, subject, by, until, why })
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
            let was = standing.glass || standing.second.is_some();
            let kept = if was { oldest } else { now };
            standing.until > kept || standing.needs_review()
        });
        let Deed { act, number, actor, subject, by, until, why } = deed.clone();
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
            };
            self.standing.insert(number, begun);
            return;
        }
        let Some(standing) = self.standing.get_mut(&number) else { return };
        if act == Act::Revoked {
            standing.revoked = true;
        } else {
            standing.second = Some(by);
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
