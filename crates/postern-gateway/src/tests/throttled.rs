//! Guessing passwords ends in vain.

use postern_ledger::Note;

use super::{raw::Raw, world::World};

fn refusals(world: &World) -> usize {
    world.notes().iter().filter(|note| matches!(note, Note::LoginRefused { .. })).count()
}

#[tokio::test]
async fn who_guesses_is_refused_with_the_right_password_too() {
    let world = World::start(&[]);
    let address = world.handle().address();
    let wrong = Raw::refusal(address, "ana", "pw-wrong").await;
    for _ in 1..10 {
        assert_eq!(Raw::refusal(address, "ana", "pw-wrong").await, wrong);
    }
    assert_eq!(Raw::refusal(address, "ana", "pw-ana").await, wrong);
    // Another one comes in, and is not kept out by whoever guesses at the name afterwards: here,
    // who logs in from there is counted alone, up to as many.
    world.raw("ben").await;
    for _ in 0..9 {
        assert_eq!(Raw::refusal(address, "ben", "pw-wrong").await, wrong);
    }
    world.raw("ben").await;
    // What fails is recorded until it is too much, which is recorded once.
    world.wait_until("the entries", |world| refusals(world) == 10 + 1 + 9).await;
}

#[tokio::test]
async fn names_that_do_not_exist_are_no_way_around() {
    let world = World::start(&[]);
    let address = world.handle().address();
    for number in 0..30 {
        Raw::refusal(address, &format!("agent{number}"), "x").await;
    }
    let refused = Raw::refusal(address, "ana", "pw-ana").await;
    assert_eq!(refused, Raw::refusal(address, "nobody", "pw-ana").await);
    world.wait_until("the entries", |world| refusals(world) == 30 + 1).await;
    let many = |note: &Note| matches!(note, Note::LoginRefused { why, .. } if why.contains("many"));
    assert_eq!(world.notes().iter().filter(|note| many(note)).count(), 1);
}

/// A refusal costs nothing to make, and an entry is for good.
#[tokio::test]
async fn refused_statements_are_recorded_one_by_one_up_to_a_number() {
    let world = World::start(&[]);
    let mut ana = world.raw("ana").await;
    const SENT: usize = 500;
    for number in 0..SENT {
        ana.send_query(&format!("SELECT pg_read_file('{number}') AS a{number}")).await;
    }
    for _ in 0..SENT {
        assert_eq!(ana.answer().await.error.as_deref(), Some("42501"));
    }
    drop(ana);
    let refused = |world: &World| -> Vec<(String, String)> {
        let told = |note| {
            let Note::Refused { rule, statement, .. } = note else { return None };
            Some((rule.to_string(), statement.to_string()))
        };
        world.notes().into_iter().filter_map(told).collect()
    };
    let told = |world: &World| refused(world).iter().any(|(rule, _)| rule == "more_refused");
    world.wait_until("what is left out is told", told).await;
    let (more, each): (Vec<_>, Vec<_>) =
        refused(&world).into_iter().partition(|(rule, _)| rule == "more_refused");
    assert_eq!((each.len(), more.len()), (60, 1));
    assert!(more[0].1.starts_with("440 more"), "{more:?}");
}
