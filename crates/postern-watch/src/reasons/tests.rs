use postern_model::{AccessDecision, Actor, Event, Subject};

use super::*;
use crate::{naming::Namer, world};

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
        id: "1".to_owned().into(),
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

/// A world that is told of by names.
struct World {
    namer: Namer,
    world: world::World,
}

impl World {
    fn observe(&mut self, event: &Event) {
        let named = self.namer.name(event);
        self.world.observe(event, &named);
    }

    fn actor(&mut self, name: &str) -> u32 {
        self.world.actor(self.namer.actor(name), name)
    }

    fn subject(&mut self, name: &str) -> u32 {
        self.world.subject(self.namer.subject(name))
    }
}

impl std::ops::Deref for World {
    type Target = world::World;

    fn deref(&self) -> &world::World {
        &self.world
    }
}

fn world() -> World {
    let world = world::World::new(Duration::from_secs(24 * 3_600));
    let mut world = World { namer: Namer::default(), world };
    world.subject("c");
    world
}

fn explained(world: &mut World, access: &Access) -> Class {
    let (actor, subject) = (world.actor(access.actor.as_str()), world.subject("c"));
    world.reasons.explain(access, actor, subject).class
}

#[track_caller]
fn check(world: &mut World, hour: i64, actor: &str, expected: Class) {
    assert_eq!(explained(world, &access(hour, actor)), expected);
}

#[test]
fn a_customers_ticket_explains_its_assignee_until_a_day_after_it_closed() {
    let mut world = world();
    assert!(!world.reasons.connected());
    world.observe(&Event::Ticket(Box::new(ticket(0, TicketEvent::Opened, Some("customer"), None))));
    assert!(world.reasons.connected());
    check(&mut world, 1, "a", Class::Colleague);
    world.observe(&Event::Ticket(Box::new(ticket(2, TicketEvent::Assigned, None, Some("a")))));
    check(&mut world, 3, "a", Class::Strong);
    check(&mut world, 3, "b", Class::Colleague);
    world.observe(&Event::Ticket(Box::new(ticket(4, TicketEvent::Assigned, None, Some("b")))));
    check(&mut world, 28, "a", Class::Strong);
    check(&mut world, 29, "a", Class::Colleague);
    world.observe(&Event::Ticket(Box::new(ticket(30, TicketEvent::Closed, None, None))));
    check(&mut world, 54, "b", Class::Strong);
    check(&mut world, 55, "b", Class::Past);
    check(&mut world, 55, "c", Class::Archive);
    world.observe(&Event::Ticket(Box::new(ticket(100, TicketEvent::Reopened, None, None))));
    check(&mut world, 101, "b", Class::Strong);
    world.observe(&Event::Ticket(Box::new(ticket(102, TicketEvent::Closed, None, None))));
    let later = Ticket { ticket: "u".into(), ..ticket(2_000, TicketEvent::Note, None, None) };
    world.observe(&Event::Ticket(Box::new(later)));
    assert_eq!(world.reasons.tickets.count().0, 1, "old tickets are forgotten");
    check(&mut world, 2_001, "b", Class::Bare);
}

#[test]
fn a_ticket_of_ones_own_is_weak_until_the_customer_writes() {
    let mut world = world();
    world.observe(&Event::Ticket(Box::new(ticket(0, TicketEvent::Opened, Some("a"), Some("a")))));
    check(&mut world, 1, "a", Class::Weak);
    let reply = ticket(2, TicketEvent::Reply, Some("customer"), None);
    world.observe(&Event::Ticket(Box::new(reply.clone())));
    check(&mut world, 3, "a", Class::Weak);
    world.observe(&Event::Ticket(Box::new(Ticket { inbound_ref: Some("m1".into()), ..reply })));
    check(&mut world, 3, "a", Class::Strong);
}

#[test]
fn calls_explain_while_they_are_fresh() {
    let mut world = world();
    let call = |direction, booking: Option<&str>| Call {
        ts: Timestamp(0),
        call: "k".into(),
        actor: Actor::new("a"),
        subject: Some(Subject::new("c")),
        direction,
        seconds: 3_600.0,
        booking: booking.map(Into::into),
    };
    world.observe(&Event::Call(call(Direction::Out, None)));
    check(&mut world, 1, "a", Class::Weak);
    world.observe(&Event::Call(call(Direction::Out, Some("b"))));
    check(&mut world, 25, "a", Class::Strong);
    check(&mut world, 26, "a", Class::Bare);
    check(&mut world, 1, "b", Class::Bare);
}

#[test]
fn approvals_explain_if_another_person_gave_them() {
    let mut world = world();
    let approval = |event, by: &str| Approval {
        ts: Timestamp(0),
        request: "r".into(),
        event,
        actor: Actor::new("a"),
        by: Some(Actor::new(by)),
        scope: Some("c0, c".to_owned()),
    };
    world.observe(&Event::Approval(approval(ApprovalEvent::Granted, "a")));
    check(&mut world, 1, "a", Class::Bare);
    world.observe(&Event::Approval(approval(ApprovalEvent::Granted, "b")));
    check(&mut world, 1, "a", Class::Approved);
    world.observe(&Event::Approval(approval(ApprovalEvent::Expired, "b")));
    check(&mut world, 1, "a", Class::Bare);
}

#[test]
fn a_grade_that_the_source_states_is_believed() {
    let mut world = world();
    world.observe(&Event::Ticket(Box::new(ticket(
        0,
        TicketEvent::Opened,
        Some("customer"),
        Some("a"),
    ))));
    let weak = Access { grade: Some(Grade::Weak), ..access(1, "a") };
    assert_eq!(explained(&mut world, &weak), Class::Weak);
    let strong = Access { grade: Some(Grade::Strong), ..access(1, "b") };
    assert_eq!(explained(&mut world, &strong), Class::Strong);
}

#[test]
fn a_claimed_ticket_is_judged_by_whose_it_is() {
    let mut world = world();
    // Without this, nothing tells who opens tickets here.
    let other =
        Ticket { ticket: "o".into(), ..ticket(0, TicketEvent::Opened, Some("customer"), None) };
    world.observe(&Event::Ticket(Box::new(Ticket { subject: None, ..other })));
    let unlinked = Ticket { subject: None, ..ticket(0, TicketEvent::Opened, None, Some("a")) };
    world.observe(&Event::Ticket(Box::new(unlinked)));
    let claimed = Access { ticket: Some("t".into()), ..access(1, "a") };
    assert_eq!(explained(&mut world, &claimed), Class::Dangling);
    let other = ticket(2, TicketEvent::Linked, None, None);
    let other = Ticket { subject: Some(Subject::new("d")), ..other };
    world.observe(&Event::Ticket(Box::new(other.clone())));
    assert_eq!(explained(&mut world, &claimed), Class::Misclaimed);
    world.observe(&Event::Ticket(Box::new(Ticket { subject: Some(Subject::new("c")), ..other })));
    assert_eq!(explained(&mut world, &claimed), Class::Weak);
}

#[test]
fn a_sender_who_writes_for_many_to_one_account_is_a_cluster() {
    let clustered = |accounts: usize| {
        let mut world = world();
        for number in 0..6 {
            let subject = Subject::new(if number == 5 { "c".into() } else { format!("d{number}") });
            world.observe(&Event::Ticket(Box::new(Ticket {
                ticket: format!("t{number}").into(),
                subject: Some(subject),
                origin: Some("o".into()),
                assignee: Some(Actor::new(format!("a{}", (number + 1) % accounts))),
                ..ticket(0, TicketEvent::Opened, Some("customer"), None)
            })));
        }
        let access = access(1, "a0");
        let (actor, subject) = (world.actor(access.actor.as_str()), world.subject("c"));
        world.reasons.explain(&access, actor, subject).clustered
    };
    assert!(clustered(1));
    assert!(!clustered(3));
}

#[test]
fn what_came_after_an_access_explains_it_neither_then_nor_later() {
    let mut world = world();
    let (actor, subject) = (world.actor("a"), world.subject("c"));
    let call = |hour: i64, subject: Option<&str>| Call {
        ts: Timestamp(hour * HOUR),
        call: "k".into(),
        actor: Actor::new("a"),
        subject: subject.map(Subject::new),
        direction: Direction::In,
        seconds: 60.0,
        booking: None,
    };
    world.observe(&Event::Call(call(5, None)));
    world.observe(&Event::Call(call(6, Some("c"))));
    let looked = |hour: i64| world.reasons.derive((actor, subject), Timestamp(hour * HOUR), None);
    assert_eq!(looked(1).class, Class::Bare);
    assert_eq!(looked(5).class, Class::Colleague);
    assert_eq!(looked(7).class, Class::Strong);
}

#[test]
fn tickets_that_never_tell_who_opened_them_are_not_held_to_be_their_owners() {
    let mut world = world();
    world.observe(&Event::Ticket(Box::new(ticket(0, TicketEvent::Opened, None, Some("a")))));
    check(&mut world, 1, "a", Class::Strong);
    let other = ticket(1, TicketEvent::Opened, Some("customer"), Some("b"));
    world.observe(&Event::Ticket(Box::new(Ticket { ticket: "o".into(), subject: None, ..other })));
    check(&mut world, 1, "a", Class::Weak);
}

/// An event of a ticket of the customer, by name.
fn tell(world: &mut World, name: &str, hour: i64, event: TicketEvent, assignee: Option<&str>) {
    let told = ticket(hour, event, Some("customer"), assignee);
    world.observe(&Event::Ticket(Box::new(Ticket { ticket: name.into(), ..told })));
}

#[test]
fn an_old_ticket_tells_whose_it_was_and_all_again_when_it_is_told_of_or_asked_for_its_time() {
    let mut world = world();
    tell(&mut world, "t1", 0, TicketEvent::Opened, Some("a"));
    tell(&mut world, "t2", 1, TicketEvent::Opened, Some("b"));
    tell(&mut world, "t3", 2, TicketEvent::Opened, Some("a"));
    for name in ["t1", "t2", "t3"] {
        tell(&mut world, name, 3, TicketEvent::Closed, None);
    }
    tell(&mut world, "t3", 4, TicketEvent::Assigned, Some("c"));
    assert_eq!(world.reasons.tickets.count(), (3, 0));
    let before: Vec<_> = ["a", "b", "c", "d"]
        .into_iter()
        .flat_map(|actor| [1, 5, 27, 28, 100, 200].map(|hour| (actor, hour)))
        .map(|(actor, hour)| (actor, hour, explained(&mut world, &access(hour, actor))))
        .collect();
    assert!(before.iter().any(|(.., class)| *class == Class::Strong));
    // The day's first event puts away what has ended.
    world.observe(&Event::Ticket(Box::new(Ticket {
        ticket: "other".into(),
        subject: None,
        ..ticket(240, TicketEvent::Opened, Some("customer"), None)
    })));
    assert_eq!(world.reasons.tickets.count(), (4, 3));
    for (actor, hour, class) in &before {
        check(&mut world, *hour, actor, *class);
    }
    check(&mut world, 241, "a", Class::Past);
    check(&mut world, 241, "d", Class::Archive);
    tell(&mut world, "t1", 242, TicketEvent::Reopened, None);
    assert_eq!(world.reasons.tickets.count(), (4, 2));
    check(&mut world, 243, "a", Class::Strong);
    check(&mut world, 243, "b", Class::Colleague);
    // Old ones are forgotten as any.
    tell(&mut world, "other", 900, TicketEvent::Note, None);
    assert_eq!(world.reasons.tickets.count(), (2, 0));
    check(&mut world, 901, "b", Class::Colleague);
}

#[test]
fn tickets_that_come_back_stand_where_they_were() {
    let mut world = world();
    for (hour, name) in ["t1", "t2", "t3", "t4"].into_iter().enumerate() {
        tell(&mut world, name, hour as i64, TicketEvent::Opened, Some("a"));
        tell(&mut world, name, hour as i64, TicketEvent::Closed, None);
    }
    let order = |world: &World| {
        let mut order = Vec::new();
        world.reasons.tickets.of(0, Timestamp(200 * HOUR), |number, _| order.push(number));
        order
    };
    let all = order(&world);
    assert_eq!(all.len(), 4);
    tell(&mut world, "t2", 200, TicketEvent::Note, None);
    assert_eq!(order(&world), [all[2]]);
    for name in ["t4", "t1", "t3"] {
        tell(&mut world, name, 201, TicketEvent::Note, None);
    }
    assert_eq!(order(&world), all);
}
