//! Who was let in to a customer by another person: asked for, recorded, and then a reason like
//! those that are read from the database.

use std::sync::Arc;

use postern_ledger::{Found, Note, RecordError};
use postern_model::{Actor, Grade, Reason, Severity, StatementFingerprint, Subject, Timestamp};
use postern_people::{
    APPROVAL, Act, Approval, ApprovalRules, Approvals, BREAK_GLASS, Deed, NotDone, SavedQuery,
};
use postern_policy::{Action, Request};
use postern_session::{ReasonGrade, ReasonSettings};
use thiserror::Error;

use crate::{Handle, regime::Regime, shared::Shared};

/// Two who approve for each other.
const MUTUAL: &str = "mutual_approval";

/// Why nobody was let in.
#[derive(Debug, Error)]
pub enum ApprovalError {
    #[error("the configuration has no `[approvals]`")]
    Off,
    #[error("there is no account `{actor}`")]
    Nobody { actor: Actor },
    #[error("`{subject}` is no key of a customer in {table}")]
    NoKey { subject: Subject, table: String },
    #[error("the database can't be read, so that nobody knows what a customer's key looks like")]
    Unread,
    #[error("`{field}` is no protected column; write them as `schema.table.column`")]
    NoField { field: Arc<str> },
    #[error("policy does not show `{field}` to `{actor}`, approved or not")]
    NotShown { field: Arc<str>, actor: Actor },
    #[error("it is not done")]
    NotDone(#[source] NotDone),
    #[error("it could not be recorded")]
    Unrecorded(#[source] RecordError),
}

impl ApprovalError {
    /// With its cause.
    pub(crate) fn in_full(&self) -> String {
        match std::error::Error::source(self) {
            Some(cause) => format!("{self}: {cause}"),
            None => self.to_string(),
        }
    }
}

/// The reasons under which policy is asked about approvals. They belong to no table, so that no row
/// makes them.
pub fn approval_reasons() -> [ReasonSettings; 2] {
    let reason = |name: &str, grade| ReasonSettings {
        name: name.into(),
        schema: String::new(),
        table: String::new(),
        subject: String::new(),
        actor: String::new(),
        ticket: None,
        condition: "false".to_owned(),
        grade: ReasonGrade::Always(grade),
        take: None,
    };
    [
        reason(APPROVAL, postern_model::Grade::Strong),
        reason(BREAK_GLASS, postern_model::Grade::Weak),
    ]
}

impl Handle {
    /// Asks that an actor be let in to a customer, for so long.
    ///
    /// # Errors
    /// [`ApprovalError`].
    pub fn ask_access(
        &self,
        of: (Actor, Subject),
        by: (Actor, Arc<str>),
        lasts: std::time::Duration,
    ) -> Result<Deed, ApprovalError> {
        self.known(&of.0)?;
        let of = (of.0, self.key(of.1)?);
        self.act(|approvals, rules, now| approvals.ask(of, by, lasts, rules, now))
    }

    /// Asks that the result of a statement may leave once, to an actor, up to so long.
    ///
    /// # Errors
    /// [`ApprovalError`].
    pub fn ask_query(
        &self,
        (actor, query): (Actor, SavedQuery),
        by: (Actor, Arc<str>),
        lasts: std::time::Duration,
    ) -> Result<Deed, ApprovalError> {
        let people = self.shared.people();
        let account = people.account(actor.as_str());
        let nobody = || ApprovalError::Nobody { actor: actor.clone() };
        let role = account.ok_or_else(nobody)?.role.clone();
        permits(&self.shared.regime(), (&actor, &role), &query)?;
        let query = Arc::new(query);
        self.act(|approvals, rules, now| approvals.ask_query((actor, query), by, lasts, rules, now))
    }

    /// Lets an actor in to a customer at once. It is a finding.
    ///
    /// # Errors
    /// [`ApprovalError`].
    pub fn break_glass(
        &self,
        of: (Actor, Subject),
        by: (Actor, Arc<str>),
    ) -> Result<Deed, ApprovalError> {
        self.known(&of.0)?;
        let of = (of.0, self.key(of.1)?);
        self.act(|approvals, rules, now| approvals.break_glass(of, by, rules, now))
    }

    /// Approves, reviews or revokes.
    ///
    /// # Errors
    /// [`ApprovalError`].
    pub fn decide_access(
        &self,
        act: Act,
        number: u64,
        by: (Actor, Arc<str>),
    ) -> Result<Deed, ApprovalError> {
        self.decide_having_seen((act, None), number, by)
    }

    /// The same of somebody who has seen a result whose hash begins like this.
    ///
    /// # Errors
    /// [`ApprovalError`].
    pub fn decide_having_seen(
        &self,
        (act, seen): (Act, Option<&str>),
        number: u64,
        by: (Actor, Arc<str>),
    ) -> Result<Deed, ApprovalError> {
        let who = by.0.clone();
        let done = self
            .act(|approvals, _, now| approvals.decide_having_seen((act, seen), number, by, now));
        if let Err(ApprovalError::NotDone(_)) = &done {
            // Who tries what they may not is told, and it is known.
            self.shared.refused(&who, 0, || Note::Refused {
                actor: who.clone(),
                connection: 0,
                fingerprint: StatementFingerprint::default(),
                statement: format!("number {number}: {}", act.as_str()).into(),
                rule: APPROVAL.into(),
            });
        }
        done
    }

    /// All that was asked for, approved or taken and is remembered; whether a review is overdue.
    pub fn approvals(&self) -> Vec<(Approval, bool)> {
        let now = self.shared.clock.now();
        let Some(rules) = self.shared.regime().settings.approvals else { return Vec::new() };
        let with = |one: &Approval| {
            let overdue = one.needs_review() && now > one.asked_at.after(rules.review_within);
            (one.clone(), overdue)
        };
        self.shared.approvals().iter().map(with).collect()
    }

    fn known(&self, actor: &Actor) -> Result<(), ApprovalError> {
        match self.shared.people().account(actor.as_str()) {
            Some(_) => Ok(()),
            None => Err(ApprovalError::Nobody { actor: actor.clone() }),
        }
    }

    /// A customer's key as the server writes it: by that text its rows are known again.
    fn key(&self, subject: Subject) -> Result<Subject, ApprovalError> {
        let regime = self.shared.regime();
        let present = regime.catalogue.borrow().clone().ok_or(ApprovalError::Unread)?;
        let mut read = subject.to_string();
        if SavedQuery::hash_of(&subject).is_some() {
            let table = "any table".to_owned();
            return Err(ApprovalError::NoKey { subject, table });
        }
        for table in &regime.settings.tables {
            let name = (&*table.schema, &*table.table);
            let Some(kind) = present.catalogue.key_type(name, &table.subject) else { continue };
            let no_key = || ApprovalError::NoKey {
                subject: subject.clone(),
                table: format!("`{}.{}`", table.schema, table.table),
            };
            read = kind.read(&read).ok_or_else(no_key)?;
        }
        Ok(Subject::new(read))
    }

    fn act(
        &self,
        make: impl FnOnce(&Approvals, &ApprovalRules, Timestamp) -> Result<Deed, NotDone>,
    ) -> Result<Deed, ApprovalError> {
        act(&self.shared, make)
    }
}

/// Records a deed, waits until it is durable, and puts it in force. A crash between the two is made
/// up for at the next start, from the entry.
pub(crate) fn act(
    shared: &Shared,
    make: impl FnOnce(&Approvals, &ApprovalRules, Timestamp) -> Result<Deed, NotDone>,
) -> Result<Deed, ApprovalError> {
    let _one_at_a_time = shared.deeds();
    let now = shared.clock.now();
    let (deed, mutual) = {
        let rules = shared.regime().settings.approvals.ok_or(ApprovalError::Off)?;
        let approvals = shared.approvals();
        let deed = make(&approvals, &rules, now).map_err(ApprovalError::NotDone)?;
        let mutual = approvals.is_mutual(&deed);
        (deed, mutual)
    };
    shared.note_durably(noted(&deed)).map_err(ApprovalError::Unrecorded)?;
    shared.approvals().apply(&deed, now);
    if let Some(found) = finding(&deed, mutual, now) {
        tracing::warn!(kind = &*found.kind, "{}", found.why);
        shared.note(Note::Found(found));
    }
    Ok(deed)
}

/// Whether policy shows all that a statement names to an actor, if it is approved.
pub(crate) fn permits(
    regime: &Regime,
    (actor, role): (&Actor, &str),
    query: &SavedQuery,
) -> Result<(), ApprovalError> {
    let reason = Reason { name: APPROVAL.into(), grade: Grade::Strong };
    for field in query.fields() {
        let found = regime.settings.tables.iter().find_map(|table| {
            let name = format!("{}.{}", table.schema, table.table);
            let column = field.strip_prefix(&*name)?.strip_prefix('.')?;
            let column = table.columns.iter().find(|known| known.name == column)?;
            Some((name, column))
        });
        let no_field = || ApprovalError::NoField { field: field.clone() };
        let (table, column) = found.ok_or_else(no_field)?;
        let request = Request {
            actor,
            role,
            action: Action::SeeClear,
            table: &table,
            column: Some(&column.name),
            class: Some(column.class),
            reason: Some(&reason),
        };
        if !regime.policy.decide(&request).permitted {
            return Err(ApprovalError::NotShown { field: field.clone(), actor: actor.clone() });
        }
    }
    Ok(())
}

fn noted(deed: &Deed) -> Note {
    let Deed { act, number, actor, subject, by, until, why, query: _ } = deed.clone();
    let act = act.as_str().into();
    Note::Approval { actor, by, act, number, subject, until, why }
}

/// What a deed looks like to whoever watches.
fn finding(deed: &Deed, mutual: bool, now: Timestamp) -> Option<Found> {
    let Deed { act, number, actor, subject, by, why, .. } = deed;
    let (kind, severity, why) = match act {
        Act::BrokeGlass => (
            BREAK_GLASS,
            Severity::High,
            format!("{by} let {actor} in to customer {subject} at once (number {number}): {why}"),
        ),
        Act::Approved if mutual => (
            MUTUAL,
            Severity::Medium,
            format!("{by} approved number {number} for somebody who has approved for them"),
        ),
        Act::Asked
        | Act::Approved
        | Act::Reviewed
        | Act::Revoked
        | Act::Tried
        | Act::Released
        | Act::Withheld => return None,
    };
    let mut actors = vec![actor.clone(), by.clone()];
    actors.dedup();
    Some(Found {
        time: now,
        actors,
        kind: kind.into(),
        severity,
        alert: true,
        score: 1.0,
        subjects_at_risk: 1,
        evidence: Vec::new(),
        why: why.into(),
    })
}
