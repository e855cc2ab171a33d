//! Views over protected tables, through the gateway.

use std::collections::BTreeSet;

use postern_ledger::Body;

use super::{code, rows, world::World};

#[tokio::test]
async fn a_view_shows_what_its_tables_would_and_is_recorded() {
    let world = World::start(&[]);
    let ana = world.client("ana").await;
    let sql = "SELECT * FROM directory WHERE number IN (1, 2) ORDER BY number";
    let simple = rows(&ana.simple_query(sql).await.unwrap());
    assert_eq!(simple, [["1", "one@example.org"], ["2", "***"]]);
    let statement = ana.prepare("SELECT number, mail FROM directory WHERE number = $1").await;
    let statement = statement.unwrap();
    let view = "SELECT 'directory'::regclass::oid";
    let view: u32 = ana.query_one(view, &[]).await.unwrap().get(0);
    let told: Vec<_> = statement.columns().iter().map(|column| column.table_oid()).collect();
    assert_eq!(told, [Some(view), Some(view)], "the description names the view");
    let row = ana.query_one(&statement, &[&4_i64]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, &str>(1)), (4, "***"));
    let told: BTreeSet<String> = world
        .disclosures()
        .iter()
        .flat_map(|disclosure| &disclosure.subjects)
        .map(ToString::to_string)
        .collect();
    assert_eq!(told, BTreeSet::from(["1", "2", "4"].map(str::to_owned)));
}

#[tokio::test]
async fn a_view_in_a_view_joins_and_is_searched_like_a_table() {
    let world = World::start(&[]);
    let ana = world.client("ana").await;
    let cases = "SELECT mail, status, opened_by FROM open_cases ORDER BY number";
    let seen = rows(&ana.simple_query(cases).await.unwrap());
    assert_eq!(
        seen,
        [["one@example.org", "open", "CUSTOMER"], ["mail3@example.org", "open", "CUSTOMER"]]
    );
    let search = "SELECT number, mail FROM directory WHERE mail = 'two@example.org'";
    assert_eq!(rows(&ana.simple_query(search).await.unwrap()), [["2", "***"]]);
    let lookups = world.entries().into_iter().filter_map(|entry| match entry.body {
        Body::Disclosed(disclosed) => Some(disclosed.lookups.len()),
        Body::Noted(_) => None,
    });
    assert_eq!(lookups.sum::<usize>(), 1);
    for guess in ["'mail2'", "'two@example.org' OR mail = 'mail4@example.org'"] {
        let sql = format!("SELECT count(*) FROM directory WHERE mail LIKE {guess}");
        assert_eq!(rows(&ana.simple_query(&sql).await.unwrap()), [["0"]], "{sql}");
    }
    let write = ana.simple_query("UPDATE directory SET mail = 'x' WHERE number = 1").await;
    assert_eq!(code(&write.unwrap_err()), "42501");
}

#[tokio::test]
async fn a_replaced_view_is_judged_anew() {
    let world = World::start(&[]);
    let ana = world.client("ana").await;
    let sql = "SELECT mail FROM directory WHERE number = 2";
    assert_eq!(rows(&ana.simple_query(sql).await.unwrap()), [["***"]]);
    let replace = "DROP VIEW open_cases; DROP VIEW directory; \
                   CREATE VIEW directory AS SELECT id AS number, reverse(email) AS mail \
                   FROM customers";
    world.postgres.psql_in("support", replace).unwrap();
    let own = "SELECT mail FROM directory WHERE number = 1";
    let changed = tokio::time::Instant::now();
    // As it was, refused while it is not known, or as it is: never a value.
    loop {
        match ana.simple_query(sql).await {
            Ok(seen) => assert_eq!(rows(&seen), [["***"]]),
            Err(error) => {
                assert!(matches!(code(&error), "40001" | "42P01" | "42703"), "{error}");
            }
        }
        let seen = ana.simple_query(own).await.map(|seen| rows(&seen));
        if seen.is_ok_and(|seen| seen == [["gro.elpmaxe@eno"]]) {
            break;
        }
        assert!(changed.elapsed() < std::time::Duration::from_secs(5), "it is not seen");
    }
}
