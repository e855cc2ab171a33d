use postern_model::{
    Access, AccessDecision, AccessKind, Actor, Event, Person, PersonEvent, Secret, Subject,
    SubjectChange, Ticket, TicketEvent, Timestamp,
};

use super::*;
use crate::{LeakRow, ValueVersion};

fn subject(number: usize) -> Subject {
    Subject::new(format!("c{number}"))
}

/// Twelve accounts, of which one is a program and `a3` took forty customers in an hour; queues,
/// tags, reports, tickets and values. Nothing is graded.
fn known() -> Tracer {
    let hour = 3_600_000_000;
    let mut tracer = Tracer::new(TraceConfig { innocent_leaks: 50, ..TraceConfig::default() });
    let mut access = |account: usize, time: i64, subjects: &[usize], kind| {
        let access = Access {
            ts: Timestamp(time),
            id: format!("e{account}.{time}").into(),
            actor: Actor::new(format!("a{account}")),
            session: "s".into(),
            client_addr: None,
            device: None,
            app: None,
            statement: "f".into(),
            kind,
            ticket: (time % 3 == 0).then(|| format!("t{}", subjects[0]).into()),
            reason: None,
            grade: None,
            subjects: subjects.iter().map(|number| subject(*number)).collect(),
            clear: vec!["name".into(), "email".into()],
            masked: Vec::new(),
            rows: 1,
            decision: AccessDecision::Allow,
            search: None,
        };
        tracer.observe(&Event::Access(Box::new(access)));
    };
    for number in 0..1_800_usize {
        let (account, time) = (number % 12, number as i64 * hour / 3);
        access(account, time, &[number * 7919 % 701], None);
    }
    let report: Vec<usize> = (100..160).collect();
    access(1, 50 * hour, &report, Some(AccessKind::Report));
    access(2, 51 * hour, &report, Some(AccessKind::Report));
    (0..4).for_each(|part| {
        let taken: Vec<usize> = (0..10).map(|n| 300 + part * 100 + n * 3).collect();
        access(3, 400 * hour + part as i64, &taken, None);
    });
    tracer.observe(&Event::Person(Box::new(program())));
    for number in 0..600 {
        tracer.observe(&Event::Subject(SubjectChange {
            ts: Timestamp(0),
            subject: subject(number),
            queue: Some(if number % 2 == 0 { "returns" } else { "orders" }.into()),
            language: None,
            tags: if number % 50 == 0 { vec!["vip".into()] } else { Vec::new() },
        }));
        tracer.observe(&Event::Ticket(Box::new(ticket(number))));
        for (ts, domain) in [(0, "old.example"), (300 * hour, "new.example")] {
            tracer.value(&ValueVersion {
                ts: Timestamp(ts),
                subject: subject(number),
                field: "email".into(),
                value: Secret::new(format!("customer.{number:04}@{domain}")),
            });
        }
    }
    tracer
}

fn program() -> Person {
    Person {
        ts: Timestamp(0),
        seen: Timestamp(0),
        actor: Actor::new("a11"),
        event: PersonEvent::Hired,
        role: Some("service".into()),
        team: None,
        manager: None,
        employer: None,
        queues: Vec::new(),
        languages: Vec::new(),
        shift: None,
    }
}

fn ticket(number: usize) -> Ticket {
    Ticket {
        ts: Timestamp(1),
        seen: Timestamp(1),
        ticket: format!("t{number}").into(),
        event: TicketEvent::Opened,
        subject: Some(subject(number)),
        channel: None,
        opened_by: Some("customer".into()),
        inbound_ref: None,
        origin: None,
        assignee: number.is_multiple_of(3).then(|| Actor::new(format!("a{}", number % 12))),
        queue: Some("returns".into()),
        language: None,
    }
}

/// By key, by ticket, by a mistyped and by an old value, and a stranger.
fn lists() -> Vec<Leak> {
    let row = |key: Option<usize>, fields: &[(&str, String)]| LeakRow {
        subject: key.map(subject),
        fields: fields.iter().map(|(n, v)| ((*n).into(), Secret::new(v.clone()))).collect(),
        before: None,
    };
    let taken = (0..10).flat_map(|n| (0..3).map(move |part| 300 + part * 100 + n * 3));
    let by_key = taken.clone().map(|n| row(Some(n), &[]));
    let by_value = taken.map(|n| {
        let mistyped = if n % 2 == 0 { "costumer" } else { "customer" };
        row(None, &[("email", format!("{mistyped}.{n:04}@new.example"))])
    });
    let others = (0..60).map(|n| match n % 3 {
        0 => row(None, &[("ticket", format!("T{n}"))]),
        1 => row(None, &[("email", format!("customer.{n:04}@old.example"))]),
        _ => row(None, &[("email", format!("nobody.{n}@else.example"))]),
    });
    let [by_key, by_value, others] =
        [by_key.collect(), by_value.collect(), others.collect()].map(|rows: Vec<_>| Leak { rows });
    vec![by_key.clone(), by_value.clone().and(others.clone()), by_key.and(by_value), others]
}

fn written(tracer: &mut Tracer) -> Vec<u8> {
    let mut bytes = Vec::new();
    tracer.prepare(&mut bytes).unwrap();
    bytes
}

#[test]
fn what_is_traced_from_an_index_is_what_the_tracer_says() {
    let mut tracer = known();
    let lists = lists();
    let expected: Vec<Trace> = lists.iter().map(|list| tracer.trace(list)).collect();
    assert!(expected.iter().any(|trace| !trace.evidence.is_empty()), "{expected:?}");
    let config = TraceConfig { innocent_leaks: 50, ..TraceConfig::default() };
    let mut prepared = Prepared::open(Box::new(written(&mut tracer)), config).unwrap();
    // Twice, and in another order: nothing of one list is left for the next.
    for (list, expected) in lists.iter().zip(&expected).chain(lists.iter().zip(&expected).rev()) {
        assert_eq!(prepared.trace(list).unwrap(), *expected);
    }
    let complaints = lists[0].clone();
    let steps = tracer.after_each(&Leak::default(), &complaints);
    assert_eq!(prepared.after_each(&Leak::default(), &complaints).unwrap(), steps);
    let next = tracer.next_called(&lists[2]);
    assert!(!next.is_empty());
    assert_eq!(prepared.next_called(&lists[2]).unwrap(), next);
}

#[test]
fn an_index_of_a_tracer_that_knows_nothing_tells_nothing() {
    let bytes = written(&mut Tracer::new(TraceConfig::default()));
    let mut prepared = Prepared::open(Box::new(bytes), TraceConfig::default()).unwrap();
    assert_eq!(prepared.until(), None);
    let list = &lists()[0];
    let expected = Tracer::new(TraceConfig::default()).trace(list);
    assert_eq!(prepared.trace(list).unwrap(), expected);
}

#[test]
fn what_is_not_whole_is_refused() {
    let bytes = written(&mut known());
    let refused = |bytes: Vec<u8>| {
        let opened = Prepared::open(Box::new(bytes), TraceConfig::default());
        assert!(matches!(opened, Err(PreparedError::Damaged)), "{opened:?}");
    };
    for length in [0, 3, 16, 40, bytes.len() / 2, bytes.len() - 1] {
        refused(bytes[..length].to_vec());
    }
    // Each byte of the head and of what is behind it counts.
    let footer = bytes.len() - usize::try_from(FOOTER).unwrap();
    for place in (0..16).chain((footer - 200..bytes.len()).step_by(7)) {
        let mut changed = bytes.clone();
        changed[place] ^= 1;
        refused(changed);
    }
}

#[test]
fn other_damage_never_panics() {
    let bytes = written(&mut known());
    for place in (16..bytes.len() - 2_000).step_by(bytes.len() / 12) {
        let mut changed = bytes.clone();
        changed[place..place + 8].fill(0xff);
        if let Ok(mut prepared) = Prepared::open(Box::new(changed), TraceConfig::default()) {
            let _ = prepared.trace(&lists()[1]);
        }
    }
}

/// Bytes that can be read a while.
#[derive(Debug)]
struct Failing(Vec<u8>, std::sync::atomic::AtomicUsize);

impl Bytes for Failing {
    fn length(&self) -> io::Result<u64> {
        self.0.length()
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        let left = self.1.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
        if left == 0 {
            return Err(io::Error::other("the disk is gone"));
        }
        self.0.read_at(at, into)
    }
}

#[test]
fn where_reading_fails_nothing_is_said() {
    let bytes = written(&mut known());
    let reads = |many: usize| {
        let failing = Failing(bytes.clone(), std::sync::atomic::AtomicUsize::new(many));
        Prepared::open(Box::new(failing), TraceConfig::default())
            .and_then(|mut prepared| prepared.trace(&lists()[1]))
    };
    for many in (0..300).step_by(23) {
        let said = reads(many);
        assert!(matches!(said, Err(PreparedError::Io(_))), "{many}: {said:?}");
    }
}
