use postern_model::{Person, PersonEvent, SubjectChange};

use super::*;
use crate::Watch;

const MINUTE: i64 = 60_000_000;

fn access(minute: i64, decision: AccessDecision, subject: &str) -> Access {
    Access {
        ts: Timestamp(minute * MINUTE),
        id: format!("e{minute}").into(),
        actor: Actor::new("a"),
        session: "s".into(),
        client_addr: None,
        device: None,
        app: None,
        statement: "f".into(),
        kind: None,
        ticket: None,
        reason: None,
        grade: Some(postern_model::Grade::Strong),
        subjects: vec![Subject::new(subject)],
        clear: Vec::new(),
        masked: vec!["name".into()],
        rows: 1,
        decision,
        search: None,
    }
}

fn person(minute: i64, event: PersonEvent) -> Event {
    Event::Person(Box::new(Person {
        ts: Timestamp(minute * MINUTE),
        seen: Timestamp(minute * MINUTE),
        actor: Actor::new("a"),
        event,
        role: None,
        team: None,
        manager: None,
        employer: None,
        queues: Vec::new(),
        languages: Vec::new(),
        shift: None,
    }))
}

const DAY: i64 = 24 * 60;

/// Each finding as `kind alert evidence`.
fn check(events: &[Event], expected: &[&str]) {
    let mut watch = Watch::new(&WatchConfig::default());
    let findings: Vec<String> = events
        .iter()
        .flat_map(|event| watch.observe(event.seen(), event))
        .map(|f| format!("{} {} {}", f.kind, f.alert, f.evidence.join(",")))
        .collect();
    assert_eq!(findings, expected);
}

#[test]
fn a_decoy_is_told_once_when_it_is_opened() {
    let decoy = Event::Subject(SubjectChange {
        ts: Timestamp(0),
        subject: Subject::new("d"),
        queue: None,
        language: None,
        tags: vec!["canary".into()],
    });
    let clear = |minute| Access {
        clear: vec!["name".into()],
        ..access(minute, AccessDecision::Allow, "d")
    };
    let before = Event::Access(Box::new(clear(1)));
    let listed = Event::Access(Box::new(access(2, AccessDecision::Mask, "d")));
    let denied = Event::Access(Box::new(access(3, AccessDecision::Deny, "d")));
    let found = Access { kind: Some(AccessKind::Lookup), ..access(4, AccessDecision::Mask, "d") };
    check(
        &[
            before,
            decoy.clone(),
            listed,
            denied,
            Event::Access(Box::new(found)),
            Event::Access(Box::new(clear(5))),
        ],
        &["decoy_read true e4"],
    );
    check(
        &[decoy, Event::Access(Box::new(clear(5))), Event::Access(Box::new(clear(6)))],
        &["decoy_read true e5"],
    );
}

#[test]
fn a_leavers_session_is_told_once_each_and_the_last_day_is_no_alert() {
    let used = |minute, session: &str| {
        let access = access(minute, AccessDecision::Mask, "c");
        Event::Access(Box::new(Access { session: session.into(), ..access }))
    };
    check(
        &[
            used(1, "s1"),
            person(2, PersonEvent::Left),
            used(3, "s1"),
            used(4, "s1"),
            used(DAY + 5, "s2"),
            used(DAY + 6, "s2"),
            used(DAY + 7, "s3"),
            person(DAY + 8, PersonEvent::Hired),
            used(DAY + 9, "s4"),
        ],
        &["leaver_session false e3", "leaver_session true e1445", "leaver_session false e1447"],
    );
}

#[test]
fn refusals_count_when_they_come_close_together() {
    let refused = |minute| Event::Access(Box::new(access(minute, AccessDecision::Deny, "c")));
    let slowly: Vec<Event> = (0..20).map(|i| refused(i * 3)).collect();
    check(&slowly, &[]);
    let quickly: Vec<Event> = (0..10).map(refused).collect();
    check(
        &quickly,
        &["refused_attempts true e0,e1,e2,e3,e4", "refused_attempts false e5,e6,e7,e8,e9"],
    );
}

#[test]
fn a_spent_budget_is_an_alert_once_in_a_while() {
    let stop = |minute| Event::Access(Box::new(access(minute, AccessDecision::Stop, "c")));
    check(
        &[stop(1), stop(2), stop(7 * 24 * 60 + 2)],
        &["budget_stop true e1", "budget_stop false e2", "budget_stop true e10082"],
    );
}

#[test]
fn decoys_that_everybody_opens_by_mistake_are_an_alert_from_the_second_one_on() {
    let decoy = |name: String| {
        Event::Subject(SubjectChange {
            ts: Timestamp(0),
            subject: Subject::new(name),
            queue: None,
            language: None,
            tags: vec!["canary".into()],
        })
    };
    let opened = |minute: i64, actor: String, decoy: i64| {
        Event::Access(Box::new(Access {
            actor: Actor::new(actor),
            clear: vec!["name".into()],
            ..access(minute, AccessDecision::Allow, &format!("d{decoy}"))
        }))
    };
    let mut watch = Watch::new(&WatchConfig::default());
    (0..21).for_each(|number| drop(watch.observe(Timestamp(0), &decoy(format!("d{number}")))));
    let mut alerts = Vec::new();
    for number in 0..20 {
        let event = opened(number + 1, format!("a{number}"), number);
        alerts.extend(watch.observe(event.seen(), &event).into_iter().map(|f| f.alert));
    }
    assert_eq!(alerts.len(), 20);
    assert!(alerts[0] && alerts[1] && alerts[2], "the first ones are alerts");
    assert!(!alerts[5..].contains(&true), "it is how people work");
    let again = opened(100, "a19".to_owned(), 20);
    assert!(watch.observe(again.seen(), &again).iter().any(|finding| finding.alert));
}
