//! What becomes of a hit: a finding, and not a flood of them.
//!
//! A rule that matches every access of an account would fill the ledger. The first hit on an
//! account is told at once; those within an hour are counted and told with the next one after it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use postern_model::{Actor, Event, Finding, Severity, Subject, Timestamp};

use crate::About;

/// How long hits of the same rule on the same account are gathered.
const GATHER: Duration = Duration::from_secs(60 * 60);
/// Pairs of rule and account that are remembered; beyond it those of long ago are forgotten.
const REMEMBERED_MAX: usize = 100_000;
/// Ids of accesses that are kept until the next finding.
const KEPT_MAX: usize = 100;

/// When a rule was last told of an account, and what has come since.
#[derive(Debug, Default)]
struct Since {
    told: Timestamp,
    more: u64,
    evidence: Vec<String>,
    subjects: BTreeSet<Subject>,
}

#[derive(Debug, Default)]
pub(crate) struct Hits(BTreeMap<(String, Option<Actor>), Since>);

impl Hits {
    /// A rule matched; `evidence` are the accesses that it rests on.
    pub(crate) fn hit(
        &mut self,
        (kind, about): (String, &About),
        evidence: Vec<String>,
        seen: Timestamp,
        event: &Event,
    ) -> Option<Finding> {
        let (actor, subjects) = concerned(event);
        if self.0.len() >= REMEMBERED_MAX {
            self.0.retain(|_, since| seen.since(since.told) <= GATHER || since.more > 0);
        }
        let key = (kind.clone(), actor.cloned());
        let first = !self.0.contains_key(&key);
        let since = self.0.entry(key).or_default();
        since.subjects.extend(subjects.iter().take(KEPT_MAX).cloned());
        let room = KEPT_MAX.saturating_sub(since.evidence.len());
        since.evidence.extend(evidence.into_iter().take(room));
        if !first && seen.since(since.told) <= GATHER {
            since.more += 1;
            return None;
        }
        let gathered = std::mem::replace(since, Since { told: seen, ..Since::default() });
        let who = actor.map_or_else(|| "no account".to_owned(), |actor| format!("`{actor}`"));
        let more = match gathered.more {
            0 => String::new(),
            more => format!(", as {more} times since it was last told"),
        };
        let innocent = match about.innocent.as_slice() {
            [] => String::new(),
            some => format!("; innocent if there is {}", some.join(", or ")),
        };
        Some(Finding {
            time: seen,
            actors: actor.into_iter().cloned().collect(),
            kind: kind.into(),
            severity: about.severity,
            alert: about.severity >= Severity::High,
            score: 1.0,
            subjects_at_risk: gathered.subjects.len(),
            evidence: gathered.evidence,
            why: format!("{who} matches your rule \"{}\"{more}{innocent}", about.title),
        })
    }
}

/// The account that an event is of, and the customers that it shows.
fn concerned(event: &Event) -> (Option<&Actor>, &[Subject]) {
    match event {
        Event::Access(access) => (Some(&access.actor), &access.subjects),
        Event::Person(person) => (Some(&person.actor), &[]),
        Event::Call(call) => (Some(&call.actor), &[]),
        Event::Approval(approval) => (Some(&approval.actor), &[]),
        Event::Ticket(ticket) => (ticket.assignee.as_ref(), &[]),
        Event::Subject(_) | Event::Complaint(_) => (None, &[]),
    }
}
