//! What a reader of the ledger gets: entries with names in place of the dictionary's numbers.
//!
//! An [`Entry`] is either a disclosure or a [`Note`] of something else. It holds the names of
//! columns, never what stood in them, and a lookup's value as a keyed hash only. The bytes of an
//! entry are the business of `payload` and `frame`; nothing here knows the format.

use std::sync::Arc;

use postern_model::{
    Actor, Disclosure, FAILED, Finding, Grade, NOT_ENFORCED, Reason, Severity,
    StatementFingerprint, Subject, Timestamp,
};

mod investigation;

pub use self::investigation::{CaseAct, Complained, DecoyHit, Planted};
use crate::{Limit, ValueHash};

/// One entry of the ledger, with the names that its numbers stand for.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its place, from 0, without gaps.
    pub sequence: u64,
    /// When it was recorded; never earlier than the entry before.
    pub time: Timestamp,
    /// What it says.
    pub body: Body,
}

/// What an entry says.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// Records of customers left, or were about to when a budget was spent.
    Disclosed(Disclosed),
    /// Everything else.
    Noted(Note),
}

/// What one hold of rows disclosed.
#[derive(Debug, Clone, PartialEq)]
pub struct Disclosed {
    pub actor: Actor,
    /// The connection's number, unique while the gateway runs.
    pub connection: u64,
    /// The hold's number in its connection.
    pub hold: u64,
    /// The statement's shape.
    pub fingerprint: StatementFingerprint,
    /// The statement without its literals.
    pub statement: Arc<str>,
    /// The ticket that the actor named.
    pub claimed: Option<Arc<str>>,
    /// How many rows were held.
    pub rows: u64,
    /// How many of them, from the first, were allowed out.
    pub allowed: u64,
    /// The limit that stopped the rest; the decision is "stop" if there is one.
    pub stopped: Option<Limit>,
    /// Whose data, by relation, columns and reason: of the rows that were allowed, or, where they
    /// say what a write has done, of all.
    pub groups: Vec<Group>,
    /// Searches by a protected value. They are charged unless a limit on lookups stopped them.
    pub lookups: Vec<LookedUp>,
    /// What enforcement would have done; `None` where it was in force.
    pub observed: Option<Observed>,
    /// Keyed hashes of what stood in clear columns, if they are kept.
    pub values: Vec<Values>,
}

/// What would have been done if policy were enforced for the actor's role.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// The rule that would have refused the statement.
    pub rule: Option<Arc<str>>,
    /// How many values would have been masked, of those that left.
    pub masked: u64,
    /// The statement went to the server as the client wrote it, because it could not be accounted:
    /// whose data left by it, if any, is not known.
    pub unknown: bool,
}

impl Disclosed {
    /// Whether the statement ran until a limit stopped it: by a row, or by what it failed with.
    /// A search for which there was no room was not sent.
    pub(crate) fn stopped_running(&self) -> bool {
        let failed = |lookup: &LookedUp| lookup.column.starts_with(FAILED);
        self.stopped.is_some() && (self.rows > 0 || self.lookups.iter().any(failed))
    }
}

/// Records that were shown in the same way for the same reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// As `schema.table`.
    pub relation: Arc<str>,
    /// Columns shown in clear; without a reason those that policy shows for every record.
    pub clear: Vec<Arc<str>>,
    /// Protected columns shown masked.
    pub masked: Vec<Arc<str>>,
    /// Why the clear columns were clear.
    pub reason: Option<Reason>,
    /// Whose records, each once, in the order of their numbers.
    pub subjects: Vec<Subject>,
}

/// Keyed hashes of what was shown of one customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Values {
    /// The group, by its place in the entry.
    pub group: usize,
    /// The customer, by the place in the group's subjects.
    pub subject: usize,
    /// Columns, by their places among the group's clear ones, ascending, and the hash of what stood
    /// there.
    pub hashes: Vec<(u8, ValueHash)>,
}

/// A search by a protected value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookedUp {
    pub relation: Arc<str>,
    pub column: Arc<str>,
    /// Whether it found anything.
    pub hit: bool,
    /// Keyed hash of the value.
    pub search: [u8; 8],
}

/// What is recorded besides disclosures.
#[derive(Debug, Clone, PartialEq)]
pub enum Note {
    /// Somebody proved who they are; `client` is the address.
    LoggedIn { actor: Actor, connection: u64, client: Arc<str> },
    /// Somebody did not, or may not.
    LoginRefused { actor: Actor, client: Arc<str>, why: Arc<str> },
    /// A connection ended.
    LoggedOut { actor: Actor, connection: u64 },
    /// A statement was refused by a rule.
    Refused {
        actor: Actor,
        connection: u64,
        fingerprint: StatementFingerprint,
        /// Without its literals.
        statement: Arc<str>,
        rule: Arc<str>,
    },
    /// An actor's sessions were cut and no new ones are let in.
    Suspended { actor: Actor, by: Actor, why: Arc<str> },
    /// That was ended.
    Resumed { actor: Actor, by: Actor, why: Arc<str> },
    /// A detector raised a finding.
    Found(Found),
    /// The configuration in force changed to the one with that hash.
    Configured { hash: [u8; 32], by: Actor },
    /// The gateway started; `version` is its own.
    Started { version: Arc<str> },
    /// The gateway stopped in good order.
    Stopped,
    /// A person read the ledger.
    Read { by: Actor, what: Arc<str> },
    /// A person asked the ledger about an account, a customer, or everybody.
    Asked {
        by: Actor,
        actor: Option<Actor>,
        subject: Option<Subject>,
        /// From this moment on.
        since: Option<Timestamp>,
        /// Before this moment.
        until: Option<Timestamp>,
    },
    /// What is known of an account that may log in was changed; empty where there was, or is, none.
    Person { actor: Actor, by: Actor, was: Arc<str>, now: Arc<str> },
    /// Somebody asked for access, approved it, took it at once, reviewed or revoked it.
    Approval {
        /// Who is let in.
        actor: Actor,
        by: Actor,
        /// What was done, in a word.
        act: Arc<str>,
        /// All acts about the same have the same.
        number: u64,
        subject: Subject,
        until: Timestamp,
        why: Arc<str>,
    },
    /// The customer's name in the ledger was taken away, so that it stands for nobody any more.
    Erased { by: Actor, subject: Subject, why: Arc<str> },
    /// An epoch began, the first of which is 1; what its key has to hash to.
    Epoch { number: u16, commitment: [u8; 32] },
    /// Names from all epochs before that one, which began at that time, were made unreadable:
    /// they are past retention.
    Forgotten { by: Actor, before: u16, until: Timestamp },
    /// The ledger was put back with less than others had seen of it: entries from `entries` on, up
    /// to `seen`, are lost. `root` is that of the checkpoint over those that had been seen.
    Lost { by: Actor, entries: u64, seen: u64, root: [u8; 32], why: Arc<str> },
    /// A reason was made, such as a ticket opened by an actor.
    Opened {
        actor: Actor,
        connection: u64,
        relation: Arc<str>,
        /// For whom, where that is known.
        subject: Option<Subject>,
        fingerprint: StatementFingerprint,
        /// Without its literals.
        statement: Arc<str>,
    },
    /// Somebody did something with a case.
    Case(CaseAct),
    /// A customer told of a contact that is suspicious to them.
    Complained(Complained),
    /// Planted customers were committed to.
    Planted(Planted),
    /// Somebody used what only the record of a planted customer tells.
    DecoyHit(DecoyHit),
}

/// A finding as the ledger keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    pub time: Timestamp,
    pub actors: Vec<Actor>,
    pub kind: Arc<str>,
    pub severity: Severity,
    pub alert: bool,
    pub score: f64,
    pub subjects_at_risk: u64,
    pub evidence: Vec<Arc<str>>,
    pub why: Arc<str>,
}

impl From<&Finding> for Found {
    fn from(finding: &Finding) -> Self {
        Self {
            time: finding.time,
            actors: finding.actors.clone(),
            kind: (&*finding.kind).into(),
            severity: finding.severity,
            alert: finding.alert,
            score: finding.score,
            subjects_at_risk: finding.subjects_at_risk as u64,
            evidence: finding.evidence.iter().map(|id| id.as_str().into()).collect(),
            why: finding.why.as_str().into(),
        }
    }
}

impl Entry {
    /// The disclosures that this entry stands for: one for each relation and reason, none for a
    /// note.
    pub fn disclosures(&self) -> impl Iterator<Item = Disclosure> {
        let disclosed = match &self.body {
            Body::Disclosed(disclosed) => Some(disclosed),
            Body::Noted(_) => None,
        };
        disclosed.into_iter().flat_map(|disclosed| {
            disclosed.groups.iter().map(|group| Disclosure {
                time: self.time,
                actor: disclosed.actor.clone(),
                relation: group.relation.clone(),
                clear: group.clear.clone(),
                masked: group.masked.clone(),
                reason: group.reason.clone(),
                subjects: group.subjects.clone(),
                fingerprint: disclosed.fingerprint,
            })
        })
    }
}

impl Group {
    /// The grade of the reason, if there was one.
    pub fn grade(&self) -> Option<Grade> {
        self.reason.as_ref().map(|reason| reason.grade)
    }

    /// As what the budgets count it: what policy shows for every record counts as clear.
    pub(crate) fn charged(&self) -> Option<Grade> {
        charged(self.reason.as_ref(), !self.clear.is_empty())
    }
}

/// The grade under which a record is charged; `None` is masked, as what is not enforced would be.
pub(crate) fn charged(reason: Option<&Reason>, anything_clear: bool) -> Option<Grade> {
    match reason {
        Some(reason) if &*reason.name == NOT_ENFORCED => None,
        Some(reason) => Some(reason.grade),
        None => anything_clear.then_some(Grade::Strong),
    }
}
