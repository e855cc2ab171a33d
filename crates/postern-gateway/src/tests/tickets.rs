//! A ticket that is stated for a statement is checked, and narrows what it shows.

use postern_ledger::{Body, Note};

use super::{raw::run, rows, world::World};

/// The tickets that the entries of disclosures name.
fn claimed(world: &World) -> Vec<Option<String>> {
    let entries = world.entries().into_iter().filter_map(|entry| match entry.body {
        Body::Disclosed(disclosed) => Some(disclosed.claimed.map(|ticket| ticket.to_string())),
        Body::Noted(_) => None,
    });
    entries.collect()
}

const NAMES: &str = "SELECT name FROM customers WHERE id IN (1, 2, 3) ORDER BY id";

#[tokio::test]
async fn a_ticket_shows_its_own_customer_and_is_in_the_entry() {
    let world = World::start(&[]);
    let ana = world.client("ana").await;
    let seen = rows(&ana.simple_query(NAMES).await.unwrap());
    assert_eq!(seen, [["Name 1"], ["***"], ["Name 3"]]);
    let stated = format!("{NAMES} /*action='x',postern.ticket='2'*/");
    assert_eq!(rows(&ana.simple_query(&stated).await.unwrap()), [["***"], ["***"], ["Name 3"]]);
    let extended = ana.query(&stated, &[]).await.unwrap();
    assert_eq!(extended[0].get::<_, &str>(0), "***");
    assert_eq!(extended[2].get::<_, &str>(0), "Name 3");
    // What is stated counts for its own statement.
    assert_eq!(rows(&ana.simple_query(NAMES).await.unwrap())[0], ["Name 1"]);
    let two = Some("2".to_owned());
    assert_eq!(claimed(&world), [None, two.clone(), two.clone(), None]);
    // For all that follows; a comment of their own counts more.
    for (set, expected) in [
        ("SET postern.ticket = '1'", ["Name 1", "***", "***"]),
        ("SET postern.ticket TO '2'", ["***", "***", "Name 3"]),
        ("RESET postern.ticket", ["Name 1", "***", "Name 3"]),
    ] {
        ana.simple_query(set).await.unwrap();
        assert_eq!(rows(&ana.simple_query(NAMES).await.unwrap()).concat(), expected, "{set}");
        let extended = ana.query(NAMES, &[]).await.unwrap();
        let names: Vec<&str> = extended.iter().map(|row| row.get(0)).collect();
        assert_eq!(names, expected, "{set}");
        assert_eq!(rows(&ana.simple_query(&stated).await.unwrap())[2], ["Name 3"]);
    }
    ana.simple_query("SET postern.ticket = '77'").await.unwrap();
    assert_eq!(super::code(&ana.simple_query(NAMES).await.unwrap_err()), "42501");
    ana.simple_query("DISCARD ALL").await.unwrap();
    assert_eq!(rows(&ana.simple_query(NAMES).await.unwrap())[0], ["Name 1"]);
    // A cursor keeps what was stated when it was declared.
    for sql in ["BEGIN", &format!("DECLARE c CURSOR FOR {NAMES} /*postern.ticket='1'*/")] {
        ana.simple_query(sql).await.unwrap();
    }
    let seen = rows(&ana.simple_query("FETCH ALL FROM c").await.unwrap());
    assert_eq!(seen, [["Name 1"], ["***"], ["***"]]);
    assert_eq!(claimed(&world).last().unwrap().as_deref(), Some("1"));
}

/// Drivers prepare whatever they send.
#[tokio::test]
async fn a_ticket_is_set_and_shown_by_both_protocols() {
    let world = World::start(&[]);
    let ana = world.client("ana").await;
    let names = async || {
        let seen = ana.query(NAMES, &[]).await.unwrap();
        seen.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>().join(" ")
    };
    let shown = async || {
        let prepared = ana.query_one("SHOW postern.ticket", &[]).await.unwrap();
        let simple = rows(&ana.simple_query("SHOW postern.ticket").await.unwrap());
        let prepared = prepared.get::<_, String>(0);
        assert_eq!(simple, [[prepared.clone()]]);
        prepared
    };
    assert_eq!(shown().await, "");
    let both = "Name 1 *** Name 3";
    let one = "Name 1 *** ***";
    for (set, ticket, expected) in [
        ("SET SESSION postern.ticket = '1'", "1", one),
        ("SET postern.ticket TO DEFAULT", "", both),
        ("SET Postern.Ticket = 1", "1", one),
        ("RESET postern.ticket", "", both),
        ("SET postern.ticket = \"1\"", "1", one),
        ("RESET ALL", "", both),
        ("SELECT set_config('postern.ticket', '1', false)", "1", one),
        ("SELECT set_config('postern.ticket', '', false)", "", both),
        // For the transaction, of one statement.
        ("SET LOCAL postern.ticket = '1'", "", both),
    ] {
        let tag = ana.prepare(set).await.unwrap();
        ana.query(&tag, &[]).await.unwrap();
        assert_eq!((shown().await.as_str(), names().await.as_str()), (ticket, expected), "{set}");
        ana.simple_query("RESET postern.ticket").await.unwrap();
        ana.simple_query(set).await.unwrap();
        assert_eq!((shown().await.as_str(), names().await.as_str()), (ticket, expected), "{set}");
    }
    let set = "SELECT set_config('postern.ticket', $1, false)";
    let row = ana.query_one(set, &[&"2"]).await.unwrap();
    assert_eq!(row.get::<_, &str>(0), "2");
    assert_eq!(names().await, "*** *** Name 3");
    ana.query_one(set, &[&None::<&str>]).await.unwrap();
    assert_eq!(names().await, both);
    for sql in [
        "SET postern.ticket = '1', '2'",
        "SELECT set_config('postern.ticket', name, false) FROM products",
        "SELECT set_config('postern.ticket', '1', false), 1",
        "SELECT current_setting('postern.ticket')",
        "SET postern.tickets = '1'",
        &format!("SET postern.ticket = '1'; {NAMES}"),
    ] {
        assert_eq!(super::code(&ana.simple_query(sql).await.unwrap_err()), "42501", "{sql}");
    }
    assert_eq!(names().await, both);
}

#[tokio::test]
async fn a_ticket_goes_with_the_transaction_that_set_it() {
    let world = World::start(&[]);
    let ana = world.client("ana").await;
    let ticket = async || rows(&ana.simple_query("SHOW postern.ticket").await.unwrap()).concat();
    for (sql, expected) in [
        ("SET postern.ticket = '1'", "1"),
        ("BEGIN; SET postern.ticket = '2'", "2"),
        ("SAVEPOINT s; SET postern.ticket = '3'", "3"),
        ("ROLLBACK TO s", "2"),
        ("ROLLBACK", "1"),
        ("BEGIN; SET LOCAL postern.ticket = '2'", "2"),
        ("SELECT set_config('postern.ticket', '3', true)", "3"),
        ("COMMIT", "1"),
        ("BEGIN; RESET ALL", ""),
        ("ROLLBACK", "1"),
        ("BEGIN; RESET postern.ticket", ""),
        ("COMMIT", ""),
        ("BEGIN; SET postern.ticket = '2'", "2"),
    ] {
        ana.simple_query(sql).await.unwrap();
        assert_eq!(ticket().await, [expected], "{sql}");
    }
    // What fails takes it back, too.
    ana.simple_query("SELECT 1 / 0").await.unwrap_err();
    let failed = ana.simple_query("SET postern.ticket = '1'").await.unwrap_err();
    assert_eq!(super::code(&failed), "25P02");
    ana.simple_query("COMMIT").await.unwrap();
    assert_eq!(ticket().await, [""]);
    ana.simple_query("SET postern.ticket = '1'").await.unwrap();
    ana.simple_query("DISCARD ALL").await.unwrap();
    assert_eq!(ticket().await, [""]);
}

#[tokio::test]
async fn a_ticket_that_is_no_reason_is_refused_and_recorded() {
    let world = World::start(&[]);
    let dba = world.dba().await;
    let mut ana = world.raw("ana").await;
    let mut ben = world.raw("ben").await;
    let refused = |said: &str| said.contains("is no reason of yours now");
    let sql = |ticket: &str| format!("{NAMES} /*postern.ticket='{ticket}'*/");
    for (client, ticket) in [(&mut ana, "77"), (&mut ben, "1")] {
        let answer = client.query(&sql(ticket)).await;
        assert_eq!(answer.error.as_deref(), Some("42501"));
        assert!(refused(&answer.said) && answer.rows.is_empty(), "{}", answer.said);
    }
    let answer = ana.query(&sql("%ZZ")).await;
    assert!(answer.said.contains("can't be read"), "{}", answer.said);
    // Nothing protected takes part: nothing hangs on it.
    assert_eq!(ana.query("SELECT 5 /*postern.ticket='77'*/").await.rows, [["5"]]);
    // One that was closed is none any more, by a statement that is prepared, too.
    let mut out = bytes::BytesMut::new();
    run(&mut out, &sql("2"), None);
    postern_wire::encode::sync(&mut out);
    ana.send(&out).await;
    assert_eq!(ana.answer().await.rows.len(), 3);
    dba.batch_execute("UPDATE tickets SET status = 'closed' WHERE id = 2").await.unwrap();
    let until = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        ana.send(&out).await;
        let answer = ana.answer().await;
        match answer.error.as_deref() {
            Some("42501") => {
                assert!(refused(&answer.said), "{}", answer.said);
                break;
            }
            // It ended while the rows waited.
            Some("40001") | None => {}
            Some(other) => panic!("{other}: {}", answer.said),
        }
        assert!(tokio::time::Instant::now() < until, "it counts still");
    }
    let rule = |note: &Note| matches!(note, Note::Refused { rule, .. } if &**rule == "ticket");
    world
        .wait_until("the entries", |world| world.notes().iter().filter(|n| rule(n)).count() >= 4)
        .await;
}
