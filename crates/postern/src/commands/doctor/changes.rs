//! Whether what tells of changed reasons (`postern reasons`) is as it was made.

use postern_gateway::changes_objects;
use tokio_postgres::{Client, Error};

use super::{Finding, Level, look::Guarded};

/// Nothing, where nothing of it is there: reasons are read whole then, which is no less safe.
pub(super) async fn look(client: &Client, guarded: &Guarded) -> Result<Vec<Finding>, Error> {
    let objects = changes_objects(client, &guarded.reasons).await?;
    if !objects.iter().any(|object| object.is_there && !object.is_source) {
        return Ok(Vec::new());
    }
    let names: Vec<&str> = objects.iter().map(|object| object.name.as_str()).collect();
    let sql = "SELECT pg_catalog.concat('function postern.', p.proname, '()'),
                   p.oid::pg_catalog.regprocedure::text
               FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
               WHERE n.nspname = 'postern' AND (p.pronargs > 0 OR NOT
                   pg_catalog.concat('function postern.', p.proname, '()') = ANY ($1)) ORDER BY 2";
    let mut findings = Vec::new();
    for row in client.query(sql, &[&names]).await? {
        let function: String = row.try_get(1)?;
        let what = format!(
            "function {function} is in the schema of Postern's own, whose triggers writes may set \
             off"
        );
        findings.push(Finding::new(
            Level::Leaks,
            "reasons",
            what,
            vec![format!("DROP FUNCTION {function} CASCADE;")],
        ));
    }
    let wrong = objects.into_iter().filter(|object| !object.is_fine).map(|object| {
        let (how, mend) = match (object.is_there, object.is_source) {
            (true, true) => (
                "has changes that can't all be told (row security, partitions, inheritance, or a \
                 type of key), so that reasons are read whole",
                "DROP SCHEMA postern CASCADE;",
            ),
            (true, false) => ("is not what `postern reasons` makes", RUN),
            (false, _) => ("is not there, so that reasons are read whole", RUN),
        };
        let what = format!("{} {how}", object.name);
        Finding::new(Level::Leaks, "reasons", what, vec![mend.to_owned()])
    });
    findings.extend(wrong);
    Ok(findings)
}

const RUN: &str = "-- run what `postern reasons` prints";
