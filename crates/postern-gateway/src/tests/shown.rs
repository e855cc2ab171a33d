//! `SHOW` over psql, in the gateway's own database.

use postern_ledger::Note;
use postern_model::Actor;
use tokio_postgres::{Client, NoTls};

use super::{code, rows, world::World};

async fn asking(world: &World, actor: &str) -> Result<Client, tokio_postgres::Error> {
    let mut config = world.config(actor, &format!("pw-{actor}"));
    let (client, connection) = config.dbname("postern").connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

#[tokio::test]
async fn an_administrator_is_shown_who_is_there_and_what_was_done() {
    let world = World::start(&[]);
    let ana = world.client("ana").await;
    assert_eq!(
        rows(&ana.simple_query("SELECT email FROM customers WHERE id < 4").await.unwrap()).len(),
        3
    );
    let refused = ana.simple_query("SELECT pg_read_file('x')").await.unwrap_err();
    assert_eq!(code(&refused), "42501");
    let dba = asking(&world, "dba").await.unwrap();
    let clients = rows(&dba.simple_query("SHOW CLIENTS").await.unwrap());
    let names: Vec<&str> = clients.iter().map(|row| row[1].as_str()).collect();
    assert_eq!(names, ["ana", "dba"]);
    assert_eq!((clients[0][3].as_str(), clients[0][4].as_str()), ("agent", "127.0.0.1"));
    let stats = rows(&dba.simple_query(" show  stats; ").await.unwrap());
    let sum = |column: usize| -> u64 {
        stats.iter().map(|row| row[column].parse::<u64>().unwrap()).sum()
    };
    assert_eq!(stats.len(), 2, "one for each core");
    assert_eq!([1, 2, 5, 6, 7].map(sum), [1, 2, 1, 3, 1]);
    assert!(sum(3) > 60 && sum(4) > 60, "{stats:?}");
    let pools = rows(&dba.simple_query("SHOW POOLS").await.unwrap());
    assert_eq!(pools.len(), 2);
    for other in ["SHOW customers", "SELECT email FROM customers", "SHOW STATS; SHOW POOLS"] {
        assert_eq!(code(&dba.simple_query(other).await.unwrap_err()), "42601", "{other}");
    }
    assert_eq!(code(&dba.query("SHOW STATS", &[]).await.unwrap_err()), "0A000");
    assert_eq!(rows(&dba.simple_query("SHOW VERSION").await.unwrap()).len(), 1);
}

#[tokio::test]
async fn for_all_others_there_is_no_such_database() {
    let world = World::start(&[]);
    for (actor, expected) in [("ana", "3D000"), ("ben", "3D000"), ("nobody", "28P01")] {
        let error = asking(&world, actor).await.err().unwrap();
        assert_eq!(code(&error), expected, "{actor}");
    }
    let mut wrong = world.config("dba", "guessed");
    let error = wrong.dbname("postern").connect(NoTls).await.err().unwrap();
    assert_eq!(code(&error), "28P01");
}

#[tokio::test]
async fn an_administrator_who_is_put_out_is_shown_nothing_more() {
    let world = World::start(&[]);
    let dba = asking(&world, "dba").await.unwrap();
    dba.simple_query("SHOW STATS").await.unwrap();
    let (actor, by) = (Actor::new("dba"), Actor::new("boss"));
    assert_eq!(world.handle().suspend(&actor, &by, "a test").unwrap(), 1);
    assert!(dba.simple_query("SHOW STATS").await.is_err());
    assert_eq!(code(&asking(&world, "dba").await.err().unwrap()), "28P01");
    let is_in =
        |note: &Note| matches!(note, Note::LoggedIn { actor, .. } if actor.as_str() == "dba");
    assert_eq!(world.notes().iter().filter(|note| is_in(note)).count(), 1);
    world.wait_until("the log-out", |world| {
        let is_out = |note: &Note| matches!(note, Note::LoggedOut { actor, .. } if actor.as_str() == "dba");
        world.notes().iter().any(is_out)
    })
    .await;
}
