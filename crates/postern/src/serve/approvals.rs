//! What people ask and decide about access, for the control socket.

use std::{io, path::Path, sync::Arc, time::Duration};

use postern_gateway::{ApprovalError, Handle};
use postern_model::{Actor, Clock as _, Subject, Timestamp};
use postern_people::{Act, Approval as Standing, Deed, SavedQuery};

use super::control::chain;
use crate::{
    clock::SystemClock,
    control::{Approval, AskedQuery, Query, Reply},
    files,
};

pub(super) fn ask(handle: &Handle, of: (String, String), by: (&str, &str), seconds: u64) -> Reply {
    done(handle.ask_access(subject(of), person(by), Duration::from_secs(seconds)))
}

/// Keeps the statement's text and asks for its result. A crash in between leaves a text that nobody
/// asks for.
pub(super) fn ask_query(handle: &Handle, folder: &Path, asked: AskedQuery, by: &str) -> Reply {
    let AskedQuery { actor, sql, fields, rows, seconds, why } = asked;
    let refused = |why: String| Reply::Refused { why };
    let query = match SavedQuery::new(&sql, fields, rows) {
        Ok(query) => query,
        Err(error) => return refused(error.to_string()),
    };
    if let Err(error) = keep(folder, &query) {
        return refused(format!("the statement can't be kept: {error}"));
    }
    let asks = (Actor::new(actor), query);
    done(handle.ask_query(asks, person((by, &why)), Duration::from_secs(seconds)))
}

fn keep(folder: &Path, query: &SavedQuery) -> io::Result<()> {
    let name = query.name();
    let Some(hash) = SavedQuery::hash_of(&name) else { return Ok(()) };
    files::private_folder(folder)?;
    files::replace_private(&folder.join(hash), &query.text())
}

/// The statement that an entry is about, in place of a customer. An attacker who can change the
/// file can have it count no more: it is known by its hash, which is in the ledger.
pub(super) fn kept(folder: &Path, subject: &Subject) -> Option<Arc<SavedQuery>> {
    let hash = SavedQuery::hash_of(subject)?;
    let path = folder.join(hash);
    let read = std::fs::read_to_string(&path).map_err(|error| error.to_string());
    let kept =
        read.and_then(|text| SavedQuery::kept(&text, subject).map_err(|error| error.to_string()));
    match kept {
        Ok(query) => Some(Arc::new(query)),
        Err(error) => {
            tracing::warn!(path = %path.display(), error, "a statement's text is not there");
            None
        }
    }
}

pub(super) fn break_glass(handle: &Handle, of: (String, String), by: (&str, &str)) -> Reply {
    done(handle.break_glass(subject(of), person(by)))
}

pub(super) fn decide(
    handle: &Handle,
    (act, seen): (&str, Option<&str>),
    number: u64,
    by: (&str, &str),
) -> Reply {
    match Act::parse(act) {
        Some(act) => done(handle.decide_having_seen((act, seen), number, person(by))),
        None => Reply::Refused { why: format!("nobody can do `{act}`") },
    }
}

/// What is remembered, as far as it is for `by`.
pub(super) fn all(handle: &Handle, by: &str) -> Reply {
    let (now, by) = (SystemClock.now(), Actor::new(by));
    let listed = handle.approvals().into_iter().map(|(one, overdue)| {
        let own = one.is_own(&by);
        listed(&one, (overdue, own), now)
    });
    Reply::Approvals { all: listed.collect() }
}

/// How much a statement gives answers questions: it is told to those who may approve it.
const NOT_FOR_WHO_ASKS: &str = "it was tried; what it gave is for those who may approve it";

fn subject((actor, subject): (String, String)) -> (Actor, Subject) {
    (Actor::new(actor), Subject::new(subject))
}

fn person((by, why): (&str, &str)) -> (Actor, std::sync::Arc<str>) {
    (Actor::new(by), why.into())
}

fn done(done: Result<Deed, ApprovalError>) -> Reply {
    match done {
        Ok(deed) => Reply::Done { number: deed.number, until: deed.until.to_string() },
        Err(error) => Reply::Refused { why: chain(&error) },
    }
}

fn listed(one: &Standing, (overdue, own): (bool, bool), now: Timestamp) -> Approval {
    let state = match () {
        () if one.revoked => "revoked",
        () if one.used => "released",
        () if now >= one.until => "over",
        () if one.glass => "taken",
        () if one.second.is_some() => "approved",
        () => "asked",
    };
    Approval {
        number: one.number,
        actor: one.actor.to_string(),
        subject: one.subject.to_string(),
        asked_by: one.asked_by.to_string(),
        asked_at: one.asked_at.to_string(),
        until: one.until.to_string(),
        why: one.why.to_string(),
        second: one.second.as_ref().map(ToString::to_string),
        state: state.to_owned(),
        overdue,
        needs_review: one.needs_review(),
        query: one.query.as_ref().map(|query| Query {
            sql: query.sql().to_owned(),
            fields: query.fields().iter().map(ToString::to_string).collect(),
            rows_max: query.rows_max(),
            tried: one.tried.as_ref().map(|tried| match own {
                true => NOT_FOR_WHO_ASKS.to_owned(),
                false => tried.to_string(),
            }),
        }),
    }
}
