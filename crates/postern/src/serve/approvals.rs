//! What people ask and decide about access, for the control socket.

use std::time::Duration;

use postern_gateway::{ApprovalError, Handle};
use postern_model::{Actor, Clock as _, Subject, Timestamp};
use postern_people::{Act, Approval as Standing, Deed};

use super::control::chain;
use crate::{
    clock::SystemClock,
    control::{Approval, Reply},
};

pub(super) fn ask(handle: &Handle, of: (String, String), by: (&str, &str), seconds: u64) -> Reply {
    done(handle.ask_access(subject(of), person(by), Duration::from_secs(seconds)))
}

pub(super) fn break_glass(handle: &Handle, of: (String, String), by: (&str, &str)) -> Reply {
    done(handle.break_glass(subject(of), person(by)))
}

pub(super) fn decide(handle: &Handle, act: &str, number: u64, by: (&str, &str)) -> Reply {
    match Act::parse(act) {
        Some(act) => done(handle.decide_access(act, number, person(by))),
        None => Reply::Refused { why: format!("nobody can do `{act}`") },
    }
}

pub(super) fn all(handle: &Handle) -> Reply {
    let now = SystemClock.now();
    let listed = handle.approvals().into_iter().map(|(one, overdue)| listed(&one, overdue, now));
    Reply::Approvals { all: listed.collect() }
}

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

fn listed(one: &Standing, overdue: bool, now: Timestamp) -> Approval {
    let state = match () {
        () if one.revoked => "revoked",
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
    }
}
