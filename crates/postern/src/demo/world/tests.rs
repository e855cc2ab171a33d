use std::collections::BTreeSet;

use super::*;

const NOW: Timestamp = Timestamp(1_700_000_000_000_000);

#[test]
fn the_world_is_the_same_every_time() {
    let (one, other) = (World::new(NOW).sql(), World::new(NOW).sql());
    assert!(one == other);
}

#[test]
fn every_protected_value_is_one_customers_and_long_enough_to_be_found() {
    let world = World::new(NOW);
    for field in 0..5 {
        let values: BTreeSet<&str> =
            world.customers.iter().map(|customer| customer.protected()[field].1).collect();
        assert_eq!(values.len(), CUSTOMERS, "{}", world.customers[0].protected()[field].0);
        assert!(values.iter().all(|value| value.len() >= 8));
    }
    let numbers: BTreeSet<&str> = world.tickets.iter().map(|t| t.number.as_str()).collect();
    assert_eq!(numbers.len(), TICKETS);
}

#[test]
fn every_agent_has_customers_of_their_own_and_nobody_has_a_decoy() {
    let world = World::new(NOW);
    let mut seen = BTreeSet::new();
    for agent in &world.agents {
        let own = world.own_customers(agent);
        assert_eq!(own.len(), OPEN_TICKETS, "{agent}");
        assert!(own.into_iter().all(|customer| seen.insert(customer)), "{agent}");
    }
    assert_eq!(world.decoys.len(), DECOYS);
    assert!(world.tickets.iter().all(|ticket| !world.decoys.contains(&ticket.customer)));
}

#[test]
fn a_list_from_elsewhere_meets_customers_by_chance_only() {
    let world = World::new(NOW);
    let list = world.foreign();
    let emails: BTreeSet<&str> = world.customers.iter().map(|c| c.email.as_str()).collect();
    let met = list.lines().filter(|line| emails.contains(line.split(',').nth(1).unwrap())).count();
    assert_eq!(met, leaks::FOREIGN_CUSTOMERS);
    assert_eq!(list.lines().count(), leaks::FOREIGN_ROWS + 1);
}

#[test]
fn a_leaked_list_is_most_of_what_was_taken_and_a_little_noise() {
    let world = World::new(NOW);
    let taken: Vec<usize> = (1..=100).collect();
    let list = world.leaked(&taken);
    assert_eq!(list.lines().count(), 1 + 90 + 5);
    assert!(world.complaining(&taken).iter().all(|id| taken.contains(id)));
}

#[test]
fn postgresql_takes_the_world() {
    let server = postern_testkit::PostgresServer::start(Default::default()).unwrap();
    server.psql(&World::new(NOW).sql()).unwrap();
    let count = server.psql("SELECT count(*), count(closed_at) FROM tickets").unwrap();
    assert_eq!(count, format!("{TICKETS}|{}", TICKETS - AGENTS * OPEN_TICKETS));
}
