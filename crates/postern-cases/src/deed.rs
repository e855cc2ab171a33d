//! What people do with cases, and what they may do.

use std::sync::Arc;

use postern_model::{Actor, Timestamp};
use thiserror::Error;

use crate::{Cases, Done, Status};

/// What somebody has done with a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Began to look at it.
    Reviewed,
    /// Judged it suspicious, which only people do.
    Suspicious,
    Closed(Outcome),
    Reopened,
    /// Asked that its accounts be named.
    RevealAsked,
    /// Agreed to that, as the second person.
    Revealed,
}

/// What an investigation came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// There was a good reason.
    Benign,
    /// There was none.
    Misuse,
    /// It could not be found out.
    Unclear,
}

impl Act {
    const ALL: [Self; 8] = [
        Self::Reviewed,
        Self::Suspicious,
        Self::Closed(Outcome::Benign),
        Self::Closed(Outcome::Misuse),
        Self::Closed(Outcome::Unclear),
        Self::Reopened,
        Self::RevealAsked,
        Self::Revealed,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reviewed => "reviewed",
            Self::Suspicious => "suspicious",
            Self::Closed(Outcome::Benign) => "benign",
            Self::Closed(Outcome::Misuse) => "misuse",
            Self::Closed(Outcome::Unclear) => "unclear",
            Self::Reopened => "reopened",
            Self::RevealAsked => "reveal_asked",
            Self::Revealed => "revealed",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|act| act.as_str() == text)
    }
}

/// One act, as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    pub number: u64,
    pub by: Actor,
    pub act: Act,
    /// The kinds of finding that the act judges, and the roles of their accounts; of an act that
    /// judges nothing there are none.
    pub kinds: Vec<Arc<str>>,
    pub roles: Vec<Arc<str>>,
    pub why: Arc<str>,
}

/// Why something is not done.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotDone {
    #[error("there is no case {number}; `postern cases list --all` shows them")]
    Unknown { number: u64 },
    #[error("case {number} is closed; `postern cases reopen {number}` opens it")]
    Closed { number: u64 },
    #[error("case {number} is not closed")]
    NotClosed { number: u64 },
    #[error("say why: it is recorded")]
    NoWhy,
    #[error("nobody decides about a case of their own account")]
    Own,
    #[error("the accounts of case {number} are named already")]
    Revealed { number: u64 },
    #[error("`{by}` has asked for it; somebody else has to agree")]
    SamePerson { by: Actor },
}

impl Cases {
    /// Whether somebody may do that with a case, and what is to be recorded then. Who asks that
    /// accounts be named agrees to it if somebody else has asked before.
    ///
    /// # Errors
    /// What speaks against it.
    pub fn decide(
        &self,
        act: Act,
        number: u64,
        (by, why): (Actor, Arc<str>),
    ) -> Result<Deed, NotDone> {
        let case = self.all.get(&number).ok_or(NotDone::Unknown { number })?;
        let closed = matches!(case.status, Status::Closed(_));
        if case.actors.contains(&by) {
            return Err(NotDone::Own);
        }
        match act {
            Act::Reopened if !closed => return Err(NotDone::NotClosed { number }),
            Act::Reviewed | Act::Suspicious | Act::Closed(_) | Act::RevealAsked | Act::Revealed
                if closed =>
            {
                return Err(NotDone::Closed { number });
            }
            Act::Reopened
            | Act::Reviewed
            | Act::Suspicious
            | Act::Closed(_)
            | Act::RevealAsked
            | Act::Revealed => {}
        }
        let act = match (act, &case.reveal_asked) {
            (Act::RevealAsked | Act::Revealed, _) if case.revealed.is_some() => {
                return Err(NotDone::Revealed { number });
            }
            (Act::RevealAsked | Act::Revealed, Some(first)) if *first == by => {
                return Err(NotDone::SamePerson { by });
            }
            (Act::RevealAsked | Act::Revealed, Some(_)) => Act::Revealed,
            (Act::RevealAsked | Act::Revealed, None) => Act::RevealAsked,
            (act, _) => act,
        };
        if why.trim().is_empty() && act != Act::Reviewed {
            return Err(NotDone::NoWhy);
        }
        let judges = matches!(act, Act::Closed(Outcome::Benign | Outcome::Misuse));
        let (kinds, roles) = if judges {
            let roles = case.actors.iter().filter_map(|actor| self.roles.get(actor));
            let roles: std::collections::BTreeSet<&Arc<str>> = roles.collect();
            (case.judged(), roles.into_iter().cloned().collect())
        } else {
            (Vec::new(), Vec::new())
        };
        Ok(Deed { number, by, act, kinds, roles, why })
    }

    /// Puts in force what is recorded. What could not be is passed over: the ledger has it, and
    /// later versions may know more.
    pub fn apply(&mut self, deed: &Deed, time: Timestamp) {
        let Some(case) = self.all.get_mut(&deed.number) else { return };
        let Deed { act, by, why, .. } = deed.clone();
        match act {
            Act::Reviewed => case.status = Status::UnderReview,
            Act::Suspicious => {
                case.status = Status::UnderReview;
                case.suspicious = Some(by.clone());
            }
            Act::Closed(outcome) => {
                case.status = Status::Closed(outcome);
                // Who is looked at again is asked about again.
                (case.reveal_asked, case.revealed) = (None, None);
                self.open.retain(|_, open| *open != deed.number);
            }
            Act::Reopened => {
                (case.status, case.suspicious) = (Status::UnderReview, None);
                for actor in &case.actors {
                    self.open.entry(actor.clone()).or_insert(deed.number);
                }
            }
            Act::RevealAsked => case.reveal_asked = Some(by.clone()),
            Act::Revealed => {
                // INVARIANT: two persons. A ledger in which one person is both says nothing.
                if let Some(first) = case.reveal_asked.take().filter(|first| *first != by) {
                    case.revealed = Some((first, by.clone()));
                }
            }
        }
        case.history.push(Done { time, act, by, why });
    }
}
