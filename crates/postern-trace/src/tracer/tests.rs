use postern_model::{Person, PersonEvent, Secret, SubjectChange};

use super::*;
use crate::{LeakRow, OtherSource, Verdict};

mod rings;
mod tastes;

const MINUTE: i64 = 60_000_000;
const DAY: i64 = 24 * 60 * MINUTE;

struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((u128::from(z ^ (z >> 31)) * bound as u128) >> 64) as usize
    }

    /// Different ones of those given.
    fn sample(&mut self, from: &[usize], count: usize) -> Vec<usize> {
        let mut pool = from.to_vec();
        (0..count.min(pool.len())).map(|_| pool.swap_remove(self.below(pool.len()))).collect()
    }
}

/// A support centre: 20 accounts, 30 days, 20 customers a day, half of them from those who write
/// often.
struct World {
    customers: usize,
    accesses: Vec<Access>,
    extra: Vec<Event>,
    values: Vec<ValueVersion>,
    seen: BTreeMap<String, Vec<usize>>,
    chance: Chance,
}

impl World {
    fn new(seed: u64, customers: usize) -> Self {
        let mut world = Self {
            customers,
            accesses: Vec::new(),
            extra: Vec::new(),
            values: Vec::new(),
            seen: BTreeMap::new(),
            chance: Chance(seed),
        };
        for day in 0..30 {
            for account in 0..20 {
                for work in 0..20 {
                    if customers == 0 {
                        continue;
                    }
                    let often = world.chance.below(2) == 0;
                    let bound = if often { customers / 20 } else { customers };
                    let customer = world.chance.below(bound);
                    let time = day * DAY + (480 + work * 20) * MINUTE;
                    world.read(&format!("a{account}"), time, &[customer], Grade::Strong);
                }
            }
        }
        world
    }

    fn read(&mut self, actor: &str, time: i64, customers: &[usize], grade: Grade) {
        self.seen.entry(actor.to_owned()).or_default().extend(customers);
        self.accesses.push(Access {
            ts: Timestamp(time),
            id: format!("e{}", self.accesses.len()).into(),
            actor: Actor::new(actor),
            session: "s".into(),
            client_addr: None,
            device: None,
            app: None,
            statement: "f".into(),
            kind: None,
            ticket: None,
            reason: None,
            grade: Some(grade),
            subjects: customers.iter().map(|customer| subject(*customer)).collect(),
            clear: vec!["full_name".into(), "email".into(), "phone".into()],
            masked: Vec::new(),
            rows: customers.len() as u64,
            decision: AccessDecision::Allow,
            search: None,
        });
    }

    /// `count` customers in one night, in statements of 50.
    fn bulk(&mut self, actor: &str, count: usize) -> Vec<usize> {
        let all: Vec<usize> = (0..self.customers).collect();
        let taken = self.chance.sample(&all, count);
        for (number, part) in taken.chunks(50).enumerate() {
            self.read(actor, 20 * DAY + number as i64 * MINUTE, part, Grade::Weak);
        }
        taken
    }

    /// `count` customers, one at a time, spread over all days.
    fn drip(&mut self, actor: &str, count: usize) -> Vec<usize> {
        let all: Vec<usize> = (0..self.customers).collect();
        let taken = self.chance.sample(&all, count);
        for (number, customer) in taken.iter().enumerate() {
            let time = number as i64 * (30 * DAY / count as i64) + 7 * MINUTE;
            self.read(actor, time, &[*customer], Grade::Weak);
        }
        taken
    }

    fn anybody(&mut self, count: usize) -> Vec<usize> {
        let all: Vec<usize> = (0..self.customers).collect();
        self.chance.sample(&all, count)
    }

    fn tracer(&self) -> Tracer {
        let config = TraceConfig { customers: Some(self.customers), ..TraceConfig::default() };
        let mut tracer = Tracer::new(config);
        self.values.iter().for_each(|value| tracer.value(value));
        self.extra.iter().for_each(|event| tracer.observe(event));
        self.accesses.iter().for_each(|a| tracer.observe(&Event::Access(Box::new(a.clone()))));
        tracer
    }
}

fn subject(customer: usize) -> Subject {
    Subject::new(format!("c{customer}"))
}

fn row(customer: usize) -> LeakRow {
    let fields = vec![("email".into(), Secret::new(format!("c{customer}@x.y")))];
    LeakRow { subject: Some(subject(customer)), fields, before: None }
}

fn leak(customers: &[usize]) -> Leak {
    Leak { rows: customers.iter().map(|customer| row(*customer)).collect() }
}

fn named(trace: &Trace) -> Vec<&str> {
    trace.actors.iter().map(Actor::as_str).collect()
}

#[test]
fn a_bulk_thief_is_named_with_twenty_rows_of_which_half_are_genuine() {
    for seed in 0..10 {
        let mut world = World::new(seed, 100_000);
        let taken = world.bulk("a3", 2_000);
        let mut rows = world.chance.sample(&taken, 10);
        rows.extend(world.anybody(10));
        let trace = world.tracer().trace(&leak(&rows));
        assert_eq!(
            (trace.verdict, named(&trace)),
            (Verdict::Attributed, vec!["a3"]),
            "{:?} {:?}",
            trace.suspects[0],
            trace.others
        );
        let (from, until) = trace.window.unwrap();
        assert!(from.0 >= 20 * DAY && until.0 < 21 * DAY, "{from} {until}");
        assert!(trace.evidence.len() >= 5);
        assert!(trace.why.contains("the account `a3` had been shown"), "{}", trace.why);
        assert_eq!((trace.rows.list, trace.rows.matched >= 10), (20, true));
    }
}

#[test]
fn a_thief_is_named_also_if_no_access_says_how_it_was_reasoned() {
    let mut world = World::new(1, 100_000);
    let taken = world.bulk("a3", 2_000);
    world.accesses.iter_mut().for_each(|access| access.grade = None);
    let mut rows = world.chance.sample(&taken, 20);
    rows.extend(world.anybody(20));
    let trace = world.tracer().trace(&leak(&rows));
    assert_eq!((trace.verdict, named(&trace)), (Verdict::Attributed, vec!["a3"]));
}

#[test]
fn a_drip_thief_is_named_with_thirty_rows() {
    for seed in 0..5 {
        let mut world = World::new(seed, 20_000);
        let taken = world.drip("a7", 500);
        let trace = world.tracer().trace(&leak(&world.chance.sample(&taken, 30)));
        assert_eq!((trace.verdict, named(&trace)), (Verdict::Attributed, vec!["a7"]), "{trace:?}");
        assert!(trace.suspects[0].probability >= 0.999);
    }
}

#[test]
fn a_list_from_elsewhere_is_outside_or_nobody_can_tell() {
    let mut world = World::new(1, 20_000);
    let mut tracer = world.tracer();
    let mut outside = 0;
    for rows in [5, 20, 100, 500] {
        for _ in 0..5 {
            let trace = tracer.trace(&leak(&world.anybody(rows)));
            assert!(
                matches!(trace.verdict, Verdict::Outside | Verdict::CannotTell),
                "{rows} rows: {trace:?}"
            );
            assert_eq!(trace.actors, []);
            outside += usize::from(trace.verdict == Verdict::Outside);
        }
    }
    assert!(outside >= 8, "only {outside} of 20 were recognised as outside");
}

/// Whether somebody is named in so many innocent leaks of a world in which there was a theft.
fn innocent(seed: u64, leaks: usize, graded: bool) {
    let mut world = World::new(seed, 20_000);
    world.bulk("a3", 1_000);
    for access in world.accesses.iter_mut().filter(|_| !graded) {
        access.grade = None;
    }
    let mut tracer = world.tracer();
    let often: Vec<usize> = (0..1_000).collect();
    for number in 0..leaks {
        let size = [8, 20, 60, 120][number % 4];
        // The background is not quite what the model thinks it is.
        let mut rows = world.chance.sample(&often, size * (number % 7) / 10);
        rows.extend(world.anybody(size - rows.len()));
        let trace = tracer.trace(&leak(&rows));
        assert_eq!(trace.actors, [], "leak {number}: {trace:?}");
    }
}

#[test]
fn nobody_is_named_for_an_innocent_leak() {
    innocent(2, 150, true);
}

#[test]
fn nobody_is_named_for_an_innocent_leak_if_no_access_is_graded() {
    innocent(3, 150, false);
}

#[test]
fn a_framed_account_is_not_named() {
    for seed in 0..5 {
        let mut world = World::new(seed, 20_000);
        world.bulk("a3", 1_000);
        let theirs = world.seen["a3"].clone();
        let common = world.chance.sample(&theirs, 40);
        for (number, customer) in common.iter().enumerate() {
            world.read("a9", number as i64 * 17 * 60 * MINUTE, &[*customer], Grade::Strong);
        }
        // `a9` sells what it has, but only those whom `a3` had read too.
        let trace = world.tracer().trace(&leak(&world.chance.sample(&common, 25)));
        assert!(!named(&trace).contains(&"a3"), "{trace:?}");
        let top: Vec<&str> = trace.suspects.iter().take(2).map(|s| s.actor.as_str()).collect();
        assert_eq!(top, ["a9", "a3"]);
    }
}

/// `a5` sells what it read for its work, in a list of which half is from elsewhere; nothing tells
/// readings with a reason from others. Another account may have been shown some of it too.
fn own_work_sold(shown_too: impl Fn(usize) -> bool) -> Trace {
    let mut world = World::new(5, 20_000);
    let work = world.seen["a5"].clone();
    for customer in work.iter().filter(|customer| shown_too(**customer)) {
        world.read("lead", 25 * DAY, &[*customer], Grade::Strong);
    }
    world.accesses.iter_mut().for_each(|access| access.grade = None);
    let mut rows = world.chance.sample(&work, 60);
    rows.extend(world.anybody(60));
    world.tracer().trace(&leak(&rows))
}

#[test]
fn who_sells_their_work_is_named_unless_a_colleague_was_shown_all_of_it() {
    let alone = own_work_sold(|_| false);
    assert_eq!(
        (alone.verdict, named(&alone)),
        (Verdict::Attributed, vec!["a5"]),
        "{:?}",
        alone.others
    );
    let half = own_work_sold(|customer| customer % 2 == 0);
    assert_eq!(named(&half), ["a5"], "{:?}", half.others);
    let all = own_work_sold(|_| true);
    assert_eq!(all.actors, [], "{:?}", all.others);
}

#[test]
fn a_list_of_a_topic_that_no_feed_tells_of_names_nobody() {
    let mut world = World::new(6, 20_000);
    world.accesses.clear();
    let topic = |customer: usize| customer * 7 % 5;
    for account in 0..20 {
        for work in 0..400 {
            let drawn = world.chance.below(4_000) * world.chance.below(4_000) / 4_000;
            let customer = (0..5).map(|k| drawn * 5 + k).find(|c| topic(*c) == account % 5);
            let time = work * 90 * MINUTE + account as i64;
            world.read(&format!("a{account}"), time, &[customer.unwrap()], Grade::Strong);
        }
    }
    let mut tracer = world.tracer();
    for number in 0..5 {
        // The buyer wants one topic, and the active more than others.
        let drawn = |world: &mut World| {
            let drawn = world.chance.below(4_000) * world.chance.below(4_000) / 4_000;
            (0..5).map(|k| drawn * 5 + k).find(|c| topic(*c) == number % 5).unwrap()
        };
        let rows: Vec<usize> = (0..400).map(|_| drawn(&mut world)).collect();
        let trace = tracer.trace(&leak(&rows));
        assert_eq!(trace.actors, [], "{trace:?}");
    }
}

#[test]
fn two_accounts_that_read_the_same_are_told_together() {
    let mut world = World::new(1, 20_000);
    let taken = world.bulk("a3", 300);
    for (number, part) in taken.chunks(50).enumerate() {
        world.read("a9", 20 * DAY + number as i64 * MINUTE, part, Grade::Weak);
    }
    let trace = world.tracer().trace(&leak(&world.chance.sample(&taken, 40)));
    assert_eq!((trace.verdict, named(&trace)), (Verdict::Narrowed, vec![]));
    assert!(trace.why.contains("`a3`") && trace.why.contains("`a9`"), "{}", trace.why);
}

#[test]
fn no_posterior_exceeds_what_framing_leaves() {
    let mut world = World::new(3, 100_000);
    let taken = world.bulk("a3", 2_000);
    let trace = world.tracer().trace(&leak(&world.chance.sample(&taken, 500)));
    assert_eq!(trace.verdict, Verdict::Attributed);
    assert!(trace.suspects[0].probability <= 0.999_801);
    assert!(trace.others.iter().any(|o| o.source == OtherSource::Framing(Actor::new("a3"))));
}

#[test]
fn neither_the_order_of_rows_nor_that_of_events_matters() {
    let mut world = World::new(4, 20_000);
    let taken = world.drip("a7", 300);
    let mut rows = world.chance.sample(&taken, 15);
    rows.extend(world.anybody(10));
    let mut list = leak(&rows);
    list.rows.push(LeakRow { fields: Vec::new(), ..row(rows[0]) });
    let first = world.tracer().trace(&list);
    list.rows.reverse();
    assert_eq!(world.tracer().trace(&list), first);
    let again = list.clone().and(list);
    let doubled = world.tracer().trace(&again);
    assert_eq!(doubled.suspects, first.suspects);
    world.accesses.reverse();
    assert_eq!(world.tracer().trace(&again).suspects, first.suspects);
}

#[test]
fn a_shared_source_is_told_and_nobody_named() {
    let mut world = World::new(5, 20_000);
    let taken = world.bulk("etl", 800);
    world.extra.push(Event::Person(Box::new(Person {
        ts: Timestamp(0),
        seen: Timestamp(0),
        actor: Actor::new("etl"),
        event: PersonEvent::Hired,
        role: Some("service".into()),
        team: None,
        manager: None,
        employer: None,
        queues: Vec::new(),
        languages: Vec::new(),
        shift: None,
    })));
    let trace = world.tracer().trace(&leak(&world.chance.sample(&taken, 40)));
    assert_eq!((trace.verdict, named(&trace)), (Verdict::CannotTell, vec![]));
    assert_eq!(trace.others[0].source, OtherSource::Pool("etl".into()));
    assert!(trace.why.contains("pool:etl"), "{}", trace.why);
}

#[test]
fn a_buyers_filter_speaks_against_nobody() {
    let mut world = World::new(6, 20_000);
    let french: Vec<usize> = (0..20_000).filter(|customer| customer % 20 == 3).collect();
    for customer in 0..20_000 {
        world.extra.push(Event::Subject(SubjectChange {
            ts: Timestamp(0),
            subject: subject(customer),
            queue: None,
            language: Some(if customer % 20 == 3 { "fr" } else { "en" }.into()),
            tags: Vec::new(),
        }));
    }
    // The only account that speaks French has read half of them.
    let half = world.chance.sample(&french, 500);
    for (number, customer) in half.iter().enumerate() {
        let time = number as i64 * 80 * MINUTE;
        world.read("a5", time, &[*customer], Grade::Strong);
    }
    let mut tracer = world.tracer();
    for _ in 0..10 {
        let trace = tracer.trace(&leak(&world.chance.sample(&french, 40)));
        assert_eq!(trace.actors, [], "{trace:?}");
    }
}

#[test]
fn a_thief_of_one_language_is_named_also_within_a_list_of_all_languages() {
    for seed in 0..3 {
        let mut world = World::new(seed, 20_000);
        for customer in 0..20_000 {
            world.extra.push(Event::Subject(SubjectChange {
                ts: Timestamp(0),
                subject: subject(customer),
                queue: None,
                language: Some(["en", "fr", "de", "it", "pl"][customer % 5].into()),
                tags: Vec::new(),
            }));
        }
        let french: Vec<usize> = (0..20_000).filter(|customer| customer % 5 == 1).collect();
        let taken = world.chance.sample(&french, 1_000);
        for (number, customer) in taken.iter().enumerate() {
            world.read("a3", number as i64 * 40 * MINUTE, &[*customer], Grade::Weak);
        }
        let mut rows = world.chance.sample(&taken, 25);
        rows.extend(world.anybody(40));
        let innocent = world.anybody(60);
        let mut tracer = world.tracer();
        let trace = tracer.trace(&leak(&rows));
        assert_eq!(named(&trace), ["a3"], "{:?} {:?}", trace.suspects[0], trace.others);
        assert_eq!(named(&tracer.trace(&leak(&innocent))), [""; 0]);
    }
}

#[test]
fn a_copy_of_one_moment_names_nobody_who_read_then() {
    let mut world = World::new(8, 20_000);
    for customer in 0..20_000_usize {
        let change = (customer * 7 % 30) as i64 * DAY;
        for (ts, version) in [(-DAY, "old"), (change, "new")] {
            world.values.push(ValueVersion {
                ts: Timestamp(ts),
                subject: subject(customer),
                field: "email".into(),
                value: Secret::new(format!("{version}.c{customer}@x.y")),
            });
        }
    }
    world.bulk("a3", 4_000);
    let copied = |customer: &usize| {
        let version = if customer * 7 % 30 <= 20 { "new" } else { "old" };
        let email = Secret::new(format!("{version}.c{customer}@x.y"));
        LeakRow { fields: vec![("email".into(), email)], ..LeakRow::default() }
    };
    let rows = world.anybody(600).iter().map(copied).collect();
    let trace = world.tracer().trace(&Leak { rows });
    assert_eq!(trace.actors, [], "{trace:?}");
    assert!(trace.suspects.iter().all(|suspect| suspect.probability < 0.5), "{trace:?}");
}

#[test]
fn rows_are_resolved_by_values_and_versions_tell_accounts_apart() {
    let mut world = World::new(7, 20_000);
    let customers: Vec<usize> = (1_000..1_030).collect();
    for customer in &customers {
        for (day, version) in [(0, "old"), (15, "new")] {
            world.values.push(ValueVersion {
                ts: Timestamp(day * DAY),
                subject: subject(*customer),
                field: "email".into(),
                value: Secret::new(format!("{version}{customer}@Example.com")),
            });
        }
        world.read("a1", 10 * DAY, &[*customer], Grade::Weak);
        world.read("a2", 20 * DAY, &[*customer], Grade::Weak);
    }
    let list = |version: &str| Leak {
        rows: customers
            .iter()
            .map(|customer| LeakRow {
                fields: vec![(
                    "E-Mail".into(),
                    Secret::new(format!(" {}{customer}@example.COM", version.to_uppercase())),
                )],
                ..LeakRow::default()
            })
            .collect(),
    };
    let (old, new) = (world.tracer().trace(&list("old")), world.tracer().trace(&list("new")));
    assert_eq!(old.rows.resolved, 30);
    assert_eq!(old.suspects[0].actor.as_str(), "a1");
    assert_eq!(new.suspects[0].actor.as_str(), "a2");
    assert!(old.suspects[0].probability > 0.9 && new.suspects[0].probability > 0.9);
}

#[test]
fn complaints_are_a_list_that_knows_its_latest_moment() {
    let mut world = World::new(8, 20_000);
    let taken = world.drip("a7", 200);
    let complain = |customer: &usize, day: i64| {
        Event::Complaint(Complaint {
            ts: Timestamp(day * DAY),
            subject: subject(*customer),
            kind: "scam_call".into(),
            fields: vec!["phone".into(), "name".into()],
        })
    };
    let called = world.chance.sample(&taken, 12);
    world.extra = called.iter().map(|customer| complain(customer, 40)).collect();
    let mut tracer = world.tracer();
    let complaints = tracer.complaints();
    let late = tracer.trace(&complaints);
    assert_eq!(late.suspects[0].actor.as_str(), "a7");
    assert!(late.suspects[0].matched >= 12);
    // Calls before the readings can't have come from them.
    world.extra = called.iter().map(|customer| complain(customer, -1)).collect();
    let mut tracer = world.tracer();
    let early = tracer.complaints();
    assert_eq!(tracer.trace(&early).suspects[0].matched, 0);
}

#[test]
fn what_was_masked_can_not_have_been_taken() {
    let mut world = World::new(9, 20_000);
    let taken = world.bulk("a3", 500);
    for access in &mut world.accesses {
        if access.grade == Some(Grade::Weak) {
            access.masked = std::mem::take(&mut access.clear);
        }
    }
    let trace = world.tracer().trace(&leak(&world.chance.sample(&taken, 40)));
    assert_ne!(trace.verdict, Verdict::Attributed);
}

#[test]
fn what_can_not_be_compared_can_not_be_told() {
    let world = World::new(1, 20_000);
    let empty = world.tracer().trace(&Leak::default());
    assert_eq!(empty.verdict, Verdict::CannotTell);
    let strangers = Leak {
        rows: vec![LeakRow { subject: Some(Subject::new("nobody")), ..LeakRow::default() }],
    };
    assert_eq!(world.tracer().trace(&strangers).rows.resolved, 0);
    let fields = vec![("email".into(), Secret::new("who@x.y".to_owned()))];
    let no_values = Leak { rows: vec![LeakRow { fields, ..LeakRow::default() }; 500] };
    assert_eq!(world.tracer().trace(&no_values).verdict, Verdict::CannotTell);
    let unknown = Tracer::new(TraceConfig::default()).trace(&leak(&[1]));
    assert_eq!(unknown.verdict, Verdict::CannotTell);
}

#[test]
fn twenty_pretexts_within_an_hour_are_enough_for_a_name() {
    let mut world = World::new(1, 0);
    (world.customers, world.accesses) = (20_000, Vec::new());
    for account in 0..40 {
        for work in 0..12 {
            let customer = world.chance.below(20_000);
            let time = (work * 40 + account) * 1_000_000;
            world.read(&format!("a{account}"), time, &[customer], Grade::Strong);
        }
    }
    let taken = world.anybody(20);
    for (number, customer) in taken.iter().enumerate() {
        world.read("a6", (1_000 + number as i64) * 1_000_000, &[*customer], Grade::Weak);
    }
    let mut tracer = world.tracer();
    let mut rows = world.chance.sample(&taken, 15);
    rows.extend(world.anybody(5));
    let trace = tracer.trace(&leak(&rows));
    assert_eq!((trace.verdict, named(&trace)), (Verdict::Attributed, vec!["a6"]));
    let elsewhere = tracer.trace(&leak(&world.anybody(100)));
    assert_eq!(elsewhere.verdict, Verdict::Outside);
}

#[test]
fn a_long_list_with_few_genuine_rows_still_names_a_thief() {
    let mut world = World::new(2, 20_000);
    let taken = world.bulk("a3", 400);
    let mut rows = world.chance.sample(&taken, 200);
    rows.extend(world.anybody(1_000));
    let trace = world.tracer().trace(&leak(&rows));
    assert_eq!((trace.verdict, named(&trace)), (Verdict::Attributed, vec!["a3"]));
}

#[test]
fn one_call_traces_accesses_alone() {
    let mut world = World::new(1, 100_000);
    let taken = world.bulk("a3", 1_000);
    let config = TraceConfig { customers: Some(100_000), ..TraceConfig::default() };
    let list = leak(&world.chance.sample(&taken, 20));
    let trace = trace(&list, &world.accesses, config);
    assert_eq!(named(&trace), ["a3"]);
}
