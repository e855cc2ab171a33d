use postern_model::AccessDecision;

use super::*;

const HOUR: i64 = 3_600_000_000;

fn ticket(hour: i64, event: TicketEvent, by: Option<&str>, assignee: Option<&str>) -> Ticket {
    Ticket {
        ts: Timestamp(hour * HOUR),
        seen: Timestamp(hour * HOUR),
        ticket: "t".into(),
        event,
        subject: (event == TicketEvent::Opened).then(|| Subject::new("c")),
        channel: None,
        opened_by: by.map(Into::into),
        inbound_ref: None,
        origin: None,
        assignee: assignee.map(Actor::new),
        queue: None,
        language: None,
    }
}

fn access(hour: i64, actor: &str) -> Access {
    Access {
        ts: Timestamp(hour * HOUR),
        id: "1".to_owned(),
        actor: Actor::new(actor),
        session: "s".into(),
        client_addr: None,
        device: None,
        app: None,
        statement: "f".into(),
        kind: None,
        ticket: None,
        reason: None,
        grade: None,
        subjects: vec![Subject::new("c")],
        clear: vec!["name".into()],
        masked: Vec::new(),
        rows: 1,
        decision: AccessDecision::Allow,
        search: None,
    }
}

fn reasons() -> Reasons {
    Reasons::new(Duration::from_secs(24 * 3_600))
}

#[track_caller]
fn check(reasons: &Reasons, hour: i64, actor: &str, expected: Explanation) {
    assert_eq!(reasons.explain(&access(hour, actor), &Subject::new("c")), expected);
}

#[test]
fn a_customers_ticket_explains_its_assignee_until_a_day_after_it_closed() {
    let mut reasons = reasons();
    assert!(!reasons.connected());
    reasons.ticket(&ticket(0, TicketEvent::Opened, Some("customer"), None));
    assert!(reasons.connected());
    check(&reasons, 1, "a", Explanation::Missing);
    reasons.ticket(&ticket(2, TicketEvent::Assigned, None, Some("a")));
    check(&reasons, 3, "a", Explanation::Strong);
    check(&reasons, 3, "b", Explanation::Missing);
    reasons.ticket(&ticket(4, TicketEvent::Assigned, None, Some("b")));
    check(&reasons, 28, "a", Explanation::Strong);
    check(&reasons, 29, "a", Explanation::Missing);
    reasons.ticket(&ticket(30, TicketEvent::Closed, None, None));
    check(&reasons, 54, "b", Explanation::Strong);
    check(&reasons, 55, "b", Explanation::Missing);
    reasons.ticket(&ticket(100, TicketEvent::Reopened, None, None));
    check(&reasons, 101, "b", Explanation::Strong);
    reasons.ticket(&ticket(102, TicketEvent::Closed, None, None));
    let later = Ticket { ticket: "u".into(), ..ticket(2_000, TicketEvent::Note, None, None) };
    reasons.ticket(&later);
    assert_eq!(reasons.tickets.len(), 1, "old tickets are forgotten");
    assert!(reasons.tickets_of.is_empty());
}

#[test]
fn a_ticket_of_ones_own_is_weak_until_the_customer_writes() {
    let mut reasons = reasons();
    reasons.ticket(&ticket(0, TicketEvent::Opened, Some("a"), Some("a")));
    check(&reasons, 1, "a", Explanation::Weak);
    let reply = ticket(2, TicketEvent::Reply, Some("customer"), None);
    reasons.ticket(&reply);
    check(&reasons, 3, "a", Explanation::Weak);
    reasons.ticket(&Ticket { inbound_ref: Some("m1".into()), ..reply });
    check(&reasons, 3, "a", Explanation::Strong);
}

#[test]
fn calls_explain_while_they_are_fresh() {
    let mut reasons = reasons();
    let call = |direction, booking: Option<&str>| Call {
        ts: Timestamp(0),
        call: "k".into(),
        actor: Actor::new("a"),
        subject: Some(Subject::new("c")),
        direction,
        seconds: 3_600.0,
        booking: booking.map(Into::into),
    };
    reasons.call(&call(Direction::Out, None));
    check(&reasons, 1, "a", Explanation::Weak);
    reasons.call(&call(Direction::Out, Some("b")));
    check(&reasons, 25, "a", Explanation::Strong);
    check(&reasons, 26, "a", Explanation::Missing);
    check(&reasons, 1, "b", Explanation::Missing);
}

#[test]
fn approvals_explain_if_another_person_gave_them() {
    let mut reasons = reasons();
    let approval = |event, by: &str| Approval {
        ts: Timestamp(0),
        request: "r".into(),
        event,
        actor: Actor::new("a"),
        by: Some(Actor::new(by)),
        scope: Some("c0, c".to_owned()),
    };
    reasons.approval(&approval(ApprovalEvent::Granted, "a"));
    check(&reasons, 1, "a", Explanation::Missing);
    reasons.approval(&approval(ApprovalEvent::Granted, "b"));
    check(&reasons, 1, "a", Explanation::Strong);
    reasons.approval(&approval(ApprovalEvent::Expired, "b"));
    check(&reasons, 1, "a", Explanation::Missing);
}

#[test]
fn a_grade_that_the_source_states_is_believed() {
    let mut reasons = reasons();
    reasons.ticket(&ticket(0, TicketEvent::Opened, Some("customer"), Some("a")));
    let weak = Access { grade: Some(Grade::Weak), ..access(1, "a") };
    assert_eq!(reasons.explain(&weak, &Subject::new("c")), Explanation::Weak);
    let strong = Access { grade: Some(Grade::Strong), ..access(1, "b") };
    assert_eq!(reasons.explain(&strong, &Subject::new("c")), Explanation::Strong);
}
