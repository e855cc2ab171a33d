//! Wishes of the world outside for customers of a kind that nothing tells of.

use super::*;

const CUSTOMERS: usize = 6_000;
const KINDS: usize = 5;

fn of_kind(kind: usize) -> Vec<usize> {
    (0..CUSTOMERS).filter(|customer| customer % KINDS == kind).collect()
}

#[test]
fn a_wish_for_a_kind_that_hardly_anybody_works_with_speaks_against_nobody() {
    const RARE: usize = 15;
    let of_rare = |kind: usize| -> Vec<usize> {
        (0..CUSTOMERS).filter(|customer| customer % RARE == kind).collect()
    };
    for seed in 0..20 {
        let mut world = World::new(seed, 0);
        world.customers = CUSTOMERS;
        for customer in 0..CUSTOMERS {
            world.extra.push(Event::Subject(SubjectChange {
                ts: Timestamp(0),
                subject: subject(customer),
                queue: None,
                language: None,
                tags: Vec::new(),
            }));
        }
        for account in 0..20 {
            let kind = of_rare(account % RARE);
            for work in 0..30 {
                let customer = kind[world.chance.below(kind.len())];
                let time = work * DAY + (480 + work) * MINUTE;
                world.read(&format!("a{account}"), time, &[customer], Grade::Strong);
            }
        }
        let taken = world.chance.sample(&of_rare(1), 140);
        for (number, customer) in taken.iter().enumerate() {
            world.read("a0", number as i64 * 100 * MINUTE, &[*customer], Grade::Weak);
        }
        let list = world.chance.sample(&of_rare(1), 30);
        let trace = world.tracer().trace(&leak(&list));
        assert_eq!(named(&trace), Vec::<&str>::new(), "{seed} {trace:?}");
    }
}

/// Twenty accounts, each of which works with customers of one kind of five; no feed tells of kinds.
/// `a0`, which works with the first, takes 400 of the second.
fn world(seed: u64) -> (World, Vec<usize>) {
    let mut world = World::new(seed, 0);
    world.customers = CUSTOMERS;
    for account in 0..20 {
        let kind = of_kind(account % KINDS);
        for work in 0..400 {
            let customer = kind[world.chance.below(kind.len())];
            let time = (work % 30) * DAY + (480 + work) * MINUTE;
            world.read(&format!("a{account}"), time, &[customer], Grade::Strong);
        }
    }
    let taken = world.chance.sample(&of_kind(1), 400);
    for (number, customer) in taken.iter().enumerate() {
        world.read("a0", number as i64 * 100 * MINUTE, &[*customer], Grade::Weak);
    }
    (world, taken)
}

#[test]
fn a_wish_for_a_kind_of_customers_speaks_against_nobody_who_took_some_of_them() {
    for seed in 0..4 {
        let (mut world, taken) = world(seed);
        let list = world.chance.sample(&of_kind(1), 400);
        let matched = list.iter().filter(|customer| taken.contains(customer)).count();
        assert!(matched > 100, "{matched}");
        let trace = world.tracer().trace(&leak(&list));
        assert_eq!(named(&trace), Vec::<&str>::new(), "{trace:?}");
    }
}

#[test]
fn who_took_some_of_a_kind_is_named_if_the_rest_of_the_list_is_not_of_it() {
    for seed in 0..4 {
        let (mut world, taken) = world(seed);
        let mut list = world.chance.sample(&taken, 200);
        let all: Vec<usize> = (0..CUSTOMERS).collect();
        list.extend(world.chance.sample(&all, 200));
        let trace = world.tracer().trace(&leak(&list));
        assert_eq!(named(&trace), ["a0"], "{trace:?}");
    }
}
