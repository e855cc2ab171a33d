//! A server connection is used again by the same account, and nothing of a session crosses.

use tokio_postgres::Client;

use super::{rows, world::World};

async fn pid(client: &Client) -> String {
    let answer = client.simple_query("SELECT pg_backend_pid()").await.unwrap();
    rows(&answer)[0][0].clone()
}

fn world() -> World {
    // Each core keeps its own.
    World::start_as(&[], |settings| settings.workers = 1)
}

/// Ends a session; so many server connections are kept then.
async fn leave(world: &World, client: Client, spares: usize) {
    drop(client);
    world.wait_until("the session has ended", |world| world.handle().sessions().is_empty()).await;
    world.wait_until("it is kept or ended", |world| world.handle().spares() == spares).await;
}

#[tokio::test]
async fn what_a_session_has_set_and_kept_is_gone_for_the_next() {
    let world = world();
    let ana = world.client("ana").await;
    let first = pid(&ana).await;
    for sql in [
        "SET statement_timeout = '7s'",
        "SET TimeZone = 'Asia/Tokyo'",
        "PREPARE p AS SELECT id FROM tickets",
        "BEGIN; DECLARE c CURSOR FOR SELECT 1; COMMIT",
    ] {
        ana.batch_execute(sql).await.unwrap();
    }
    let zone = rows(&ana.simple_query("SHOW TimeZone").await.unwrap());
    assert_eq!(zone, [["Asia/Tokyo"]]);
    leave(&world, ana, 1).await;
    let again = world.client("ana").await;
    assert_eq!(pid(&again).await, first, "the server's process is used again");
    let zone = rows(&again.simple_query("SHOW TimeZone").await.unwrap());
    assert_ne!(zone, [["Asia/Tokyo"]]);
    let timeout = rows(&again.simple_query("SHOW statement_timeout").await.unwrap());
    assert_ne!(timeout, [["7s"]]);
    let error = again.simple_query("EXECUTE p").await.unwrap_err();
    assert_eq!(super::code(&error), "26000");
    // Masked and recorded as in any session.
    let answer = again.simple_query("SELECT id, email FROM customers WHERE id = 2").await.unwrap();
    assert_eq!(rows(&answer), [["2", "***"]]);
}

#[tokio::test]
async fn no_other_account_gets_it_nor_one_that_asks_for_other_settings() {
    let world = world();
    let ana = world.client("ana").await;
    let first = pid(&ana).await;
    leave(&world, ana, 1).await;
    let ben = world.client("ben").await;
    assert_ne!(pid(&ben).await, first);
    let zone = world.config("ana", "pw-ana").options("-c TimeZone=UTC").to_owned();
    let (other, connection) = zone.connect(tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    assert_ne!(pid(&other).await, first);
    let ana = world.client("ana").await;
    assert_eq!(pid(&ana).await, first);
}

#[tokio::test]
async fn what_is_not_at_rest_is_not_used_again() {
    let world = world();
    for leaves in ["BEGIN", "BEGIN; SELECT 1 / 0"] {
        let ana = world.client("ana").await;
        // The second fails, as it must.
        let _ = ana.simple_query(leaves).await;
        leave(&world, ana, 0).await;
    }
    let ben = world.client("ben").await;
    leave(&world, ben, 1).await;
}

/// The request can come late.
#[tokio::test]
async fn one_that_was_told_to_cancel_is_not_used_again() {
    let world = world();
    let ana = world.client("ana").await;
    ana.cancel_token().cancel_query(tokio_postgres::NoTls).await.unwrap();
    let ben = world.client("ben").await;
    drop(ana);
    leave(&world, ben, 1).await;
}

#[tokio::test]
async fn one_that_the_server_has_closed_is_not_given_out() {
    let mut world = world();
    let ana = world.client("ana").await;
    leave(&world, ana, 1).await;
    world.postgres.shut_down().unwrap();
    world.postgres.start_again().unwrap();
    world.wait_for_login("ana").await;
    let again = world.client("ana").await;
    assert_eq!(rows(&again.simple_query("SELECT 1").await.unwrap()), [["1"]]);
}

/// What is kept for one account does not keep another out.
#[tokio::test]
async fn they_make_room_where_the_server_has_none() {
    let world = world();
    let ana = world.client("ana").await;
    leave(&world, ana, 1).await;
    let config: tokio_postgres::Config = world.postgres.url_of("support").parse().unwrap();
    let mut fillers = Vec::new();
    while let Ok((filler, connection)) = config.connect(tokio_postgres::NoTls).await {
        tokio::spawn(connection);
        fillers.push(filler);
    }
    let ben = world.client("ben").await;
    assert_eq!(rows(&ben.simple_query("SELECT 1").await.unwrap()), [["1"]]);
    assert_eq!(world.handle().spares(), 0);
}
