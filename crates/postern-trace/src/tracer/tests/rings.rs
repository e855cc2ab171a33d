//! What others may have added to a list: a thief beside the account, a colleague who was shown the
//! same.

use super::*;

/// Takes so many of what an account worked with, and so many of what it took.
fn given(world: &mut World, actor: &str, taken: &[usize], (work, many): (usize, usize)) -> Leak {
    let worked = world.seen[actor].clone();
    let worked: Vec<usize> = worked.into_iter().filter(|c| !taken.contains(c)).collect();
    let mut list = world.chance.sample(&worked, work);
    list.extend(world.chance.sample(taken, many));
    leak(&list)
}

#[test]
fn two_thieves_most_of_whose_readings_nothing_explains_are_both_named() {
    for seed in 0..4 {
        let mut world = World::new(seed, 12_000);
        let (first, second) = (world.drip("a3", 1_500), world.drip("a7", 1_500));
        // Some of what each worked with is in the list, so that all that they were shown fits best.
        let list = given(&mut world, "a3", &first, (12, 40));
        let list = list.and(given(&mut world, "a7", &second, (12, 40)));
        let trace = world.tracer().trace(&list);
        assert_eq!(named(&trace), ["a3", "a7"], "{seed} {trace:?}");
    }
}

#[test]
fn an_account_whose_work_was_added_by_a_thief_is_not_named() {
    for seed in 0..4 {
        let mut world = World::new(seed, 12_000);
        let taken = world.drip("a3", 1_500);
        let list = given(&mut world, "a3", &taken, (0, 50));
        let list = list.and(given(&mut world, "a7", &[], (50, 0)));
        let trace = world.tracer().trace(&list);
        assert!(!named(&trace).contains(&"a7"), "{seed} {trace:?}");
    }
}

#[test]
fn who_was_shown_everybody_may_have_framed_a_bulk_thief_no_more_than_others() {
    for seed in 0..4 {
        let mut world = World::new(seed, 6_000);
        for customer in 0..6_000 {
            world.read("all", customer as i64 * 7 * MINUTE, &[customer], Grade::Strong);
        }
        // With a reason, so that only the hour tells the theft from the work.
        let everybody: Vec<usize> = (0..6_000).collect();
        let taken = world.chance.sample(&everybody, 400);
        for (number, part) in taken.chunks(50).enumerate() {
            world.read("a3", 20 * DAY + number as i64 * MINUTE, part, Grade::Strong);
        }
        let list = world.chance.sample(&taken, 100);
        let trace = world.tracer().trace(&leak(&list));
        assert_eq!(named(&trace), ["a3"], "{seed} {trace:?}");
    }
}
