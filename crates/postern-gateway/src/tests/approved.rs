//! Access that another person approves, and access that is taken at once.

use std::{sync::Arc, time::Duration};

use postern_ledger::Note;
use postern_model::{Actor, Grade, Subject};
use postern_people::{Act, ApprovalRules, NotDone};

use super::{rows, world::World};
use crate::{ApprovalError, approval_reasons};

const NAME: &str = "SELECT name FROM customers WHERE id = 50";

const RULES: ApprovalRules = ApprovalRules {
    longest: Duration::from_secs(3_600),
    break_glass: Duration::from_secs(3_600),
    review_within: Duration::from_secs(60),
};

fn world() -> World {
    World::start_as(&[], |settings| {
        settings.reasons.extend(approval_reasons());
        settings.approvals = Some(RULES);
    })
}

fn ben() -> (Actor, Subject) {
    (Actor::new("ben"), Subject::new("50"))
}

fn by(name: &str) -> (Actor, Arc<str>) {
    (Actor::new(name), "a call".into())
}

/// Waits until Ben sees this.
async fn ben_sees(world: &World, expected: &str) {
    let client = world.client("ben").await;
    let until = tokio::time::Instant::now() + Duration::from_secs(10);
    let mut looks = tokio::time::interval(Duration::from_millis(5));
    loop {
        // What is decided anew while a statement runs is refused once.
        if let Ok(seen) = client.simple_query(NAME).await
            && rows(&seen) == [[expected]]
        {
            return;
        }
        assert!(looks.tick().await < until, "ben does not see {expected}");
    }
}

/// By another spelling of a key its rows would be clear and recorded as masked.
#[tokio::test]
async fn a_customer_is_approved_by_the_key_as_the_server_writes_it() {
    let world = world();
    let handle = world.handle();
    let lasts = Duration::from_secs(600);
    let spelt = (Actor::new("ben"), Subject::new(" 050"));
    let asked = handle.ask_access(spelt, by("lea"), lasts).unwrap();
    assert_eq!(asked.subject.as_str(), "50");
    handle.decide_access(Act::Approved, asked.number, by("max")).unwrap();
    ben_sees(&world, "Name 50").await;
    let told = world.disclosures().pop().unwrap();
    assert!(told.reason.is_some() && told.clear.iter().any(|column| &**column == "name"));
    let none = handle.break_glass((Actor::new("ben"), Subject::new("abc")), by("lea"));
    assert!(matches!(none, Err(ApprovalError::NoKey { .. })), "{none:?}");
}

#[tokio::test]
async fn what_is_approved_is_clear_until_it_is_revoked() {
    let world = world();
    let handle = world.handle();
    let lasts = Duration::from_secs(600);
    let asked = handle.ask_access(ben(), by("lea"), lasts).unwrap();
    ben_sees(&world, "***").await;
    let own = handle.decide_access(Act::Approved, asked.number, by("lea"));
    assert!(matches!(own, Err(ApprovalError::NotDone(NotDone::Own))));
    handle.decide_access(Act::Approved, asked.number, by("max")).unwrap();
    ben_sees(&world, "Name 50").await;
    let reasons = world.disclosures().into_iter().filter_map(|d| d.reason);
    let reason = reasons.last().unwrap();
    assert_eq!((&*reason.name, reason.grade), ("approval", Grade::Strong));
    let mut ana = world.raw("ana").await;
    assert_eq!(ana.query(NAME).await.rows, [["***"]], "it is for nobody else");
    handle.decide_access(Act::Revoked, asked.number, by("kim")).unwrap();
    ben_sees(&world, "***").await;
    let mut acts = Vec::new();
    for note in world.notes() {
        if let Note::Approval { act, by, .. } = note {
            acts.push(format!("{act} by {by}"));
        }
    }
    assert_eq!(acts, ["asked by lea", "approved by max", "revoked by kim"]);
}

#[tokio::test]
async fn broken_glass_is_open_at_once_and_a_finding() {
    let world = world();
    let handle = world.handle();
    let broken = handle.break_glass(ben(), by("ben")).unwrap();
    ben_sees(&world, "Name 50").await;
    let reason = world.disclosures().into_iter().filter_map(|d| d.reason).last().unwrap();
    assert_eq!((&*reason.name, reason.grade), ("break_glass", Grade::Weak));
    let found = |note: &Note| matches!(note, Note::Found(found) if &*found.kind == "break_glass");
    world.wait_until("the finding", |world| world.notes().iter().any(found)).await;
    let own = handle.decide_access(Act::Reviewed, broken.number, by("ben"));
    assert!(matches!(own, Err(ApprovalError::NotDone(NotDone::Own))));
    assert!(handle.approvals().iter().all(|(one, overdue)| one.needs_review() && !overdue));
    handle.decide_access(Act::Reviewed, broken.number, by("max")).unwrap();
    assert!(!handle.approvals().iter().any(|(one, _)| one.needs_review()));
}

#[tokio::test]
async fn one_hand_that_washes_the_other_is_a_finding() {
    let world = world();
    let handle = world.handle();
    let lasts = Duration::from_secs(600);
    for (asks, approves) in [("lea", "max"), ("max", "lea")] {
        let asked = handle.ask_access(ben(), by(asks), lasts).unwrap();
        handle.decide_access(Act::Approved, asked.number, by(approves)).unwrap();
    }
    let mutual =
        |note: &Note| matches!(note, Note::Found(found) if &*found.kind == "mutual_approval");
    world.wait_until("the finding", |world| world.notes().iter().any(mutual)).await;
    let nobody = (Actor::new("nobody"), Subject::new("50"));
    let refused = handle.ask_access(nobody, by("lea"), lasts);
    assert!(matches!(refused, Err(ApprovalError::Nobody { .. })));
}

#[tokio::test]
async fn without_the_section_nobody_is_let_in() {
    let world = World::start(&[]);
    let refused = world.handle().break_glass(ben(), by("ben"));
    assert!(matches!(refused, Err(ApprovalError::Off)));
    ben_sees(&world, "***").await;
}
