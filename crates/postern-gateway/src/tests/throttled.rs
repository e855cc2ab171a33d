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
