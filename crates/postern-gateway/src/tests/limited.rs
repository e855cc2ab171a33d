//! Budgets of single people and of contractors, beside those of their role.

use std::{sync::Arc, time::Duration};

use postern_ledger::{Counter, Limit};
use postern_model::Actor;

use super::{code, world::World};
use crate::MoreBudgets;

fn masked(hours: u64, max: u64) -> Limit {
    let window = Duration::from_secs(hours * 3_600);
    Limit { counter: Counter::MaskedSubjects, window, max }
}

/// Agents may see 9 masked customers an hour; Ana 5, contractors 4.
fn world() -> World {
    World::start_as(&[masked(1, 9)], |settings| {
        let ana = (Actor::new("ana"), vec![masked(1, 5), masked(2, 50)]);
        let contractors = vec![masked(1, 4)];
        let more = Arc::new(MoreBudgets { contractors, people: [ana].into() });
        for role in settings.roles.values_mut() {
            role.more = more.clone();
        }
    })
}

/// How many masked customers somebody gets to see until a budget is spent.
async fn seen(world: &World, actor: &str) -> usize {
    seen_from(world, actor, 50).await
}

async fn seen_from(world: &World, actor: &str, from: usize) -> usize {
    let client = world.client(actor).await;
    for id in from..from + 20 {
        let sql = format!("SELECT name FROM customers WHERE id = {id}");
        if let Err(error) = client.simple_query(&sql).await {
            assert_eq!(code(&error), "53400");
            return id - from;
        }
    }
    panic!("no budget");
}

#[tokio::test]
async fn the_smallest_budget_that_applies_to_somebody_holds() {
    let world = world();
    assert_eq!((seen(&world, "ana").await, seen(&world, "ben").await), (5, 9));
    world.change_people(|account| account.employer = "Temps Ltd".into());
    assert_eq!((seen(&world, "ana").await, seen(&world, "ben").await), (5, 9), "paid for");
    assert_eq!((seen_from(&world, "ana", 80).await, seen_from(&world, "ben", 80).await), (0, 0));
    let world = self::world();
    world.change_people(|account| account.employer = "Temps Ltd".into());
    assert_eq!((seen(&world, "ana").await, seen(&world, "ben").await), (4, 4));
}

#[tokio::test]
async fn whoever_becomes_a_contractor_is_cut_and_limited_as_one() {
    let world = world();
    let (mut ben, mut ana) = (world.raw("ben").await, world.raw("ana").await);
    world.change_people(|account| account.ends = Some("2099-12-31".parse().unwrap()));
    assert_eq!(ben.query("SELECT 1").await.rows, [["1"]], "no other budget applies");
    world.change_people(|account| account.employer = "Temps Ltd".into());
    assert_eq!((ben.answer().await.status, ana.answer().await.status), (0, 0));
    assert_eq!(seen(&world, "ben").await, 4);
}

#[tokio::test]
async fn a_person_is_limited_otherwise_by_another_configuration() {
    let mut world = world();
    assert_eq!(seen(&world, "ana").await, 5);
    let mut settings = world.settings.clone();
    for role in settings.roles.values_mut() {
        role.more = Arc::default();
    }
    world.reconfigure_beside(settings, world.policy.clone()).await.unwrap();
    assert_eq!(seen(&world, "ana").await, 9, "what was seen before counts no second time");
}
