//! Who could read what is protected with an account of their own at the server.

use postern_sql::quote::identifier;
use tokio_postgres::{Client, Error};

use super::{
    Finding, Level,
    look::{Guarded, REACHED, full},
};

/// Attributes and memberships that pass every guard: what they are, what they allow, and whether
/// they are open by themselves.
const POWERS: [(&str, &str, Level); 10] = [
    ("SUPERUSER", "is a superuser", Level::Open),
    ("REPLICATION", "can copy the whole server", Level::Open),
    ("BYPASSRLS", "is not bound by row security", Level::Leaks),
    ("CREATEROLE", "can give itself other roles' rights", Level::Leaks),
    ("pg_read_all_data", "can read every table", Level::Open),
    ("pg_read_server_files", "can read the server's files", Level::Open),
    ("pg_execute_server_program", "can run programs on the server", Level::Open),
    ("pg_write_server_files", "can write the server's files", Level::Open),
    ("pg_read_all_stats", "sees the gateway's statements with their literals", Level::Leaks),
    ("", "can become the gateway's account", Level::Open),
];

const ROLES: &str = "\
SELECT r.rolname::text, r.rolname = $1,
       pg_catalog.array_remove(ARRAY[
           CASE WHEN r.rolsuper THEN 'SUPERUSER' END,
           CASE WHEN r.rolreplication AND NOT r.rolsuper THEN 'REPLICATION' END,
           CASE WHEN r.rolbypassrls AND NOT r.rolsuper THEN 'BYPASSRLS' END,
           CASE WHEN r.rolcreaterole AND NOT r.rolsuper THEN 'CREATEROLE' END
       ], NULL)
       || CASE WHEN r.rolsuper THEN ARRAY[]::text[] ELSE ARRAY(
           SELECT g.rolname::text FROM pg_catalog.pg_roles g
           WHERE g.rolname IN ('pg_read_all_data', 'pg_read_server_files', 'pg_read_all_stats',
                               'pg_execute_server_program', 'pg_write_server_files', $1)
             AND g.oid <> r.oid AND pg_catalog.pg_has_role(r.oid, g.oid, 'MEMBER')
           ORDER BY 1)
       END
FROM pg_catalog.pg_roles r
WHERE r.rolcanlogin
  AND (r.rolsuper OR pg_catalog.has_database_privilege(r.oid, $2::text, 'CONNECT'))
ORDER BY 1";

pub(super) async fn roles(client: &Client, guarded: &Guarded) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    for row in client.query(ROLES, &[&guarded.gate, &guarded.database]).await? {
        let (role, is_gate): (String, bool) = (row.try_get(0)?, row.try_get(1)?);
        let powers: Vec<String> = row.try_get(2)?;
        findings.extend(powers.iter().map(|power| powerful(&role, is_gate, power)));
    }
    Ok(findings)
}

fn powerful(role: &str, is_gate: bool, power: &str) -> Finding {
    let known = POWERS.iter().find(|(name, ..)| *name == power);
    // What is no attribute and no role of the server's own is the gateway's.
    let (name, what, level) = known.copied().unwrap_or(POWERS[POWERS.len() - 1]);
    let quoted = identifier(role);
    let is_attribute = name.chars().all(|c| c.is_ascii_uppercase()) && !name.is_empty();
    let mut mend = if is_attribute {
        vec![format!("ALTER ROLE {quoted} NO{name};")]
    } else {
        vec![format!("REVOKE {} FROM {quoted};", identifier(power))]
    };
    if is_gate {
        let what = format!("the gateway's account `{role}` {what}, which it need not");
        return Finding::new(Level::Leaks, "role", what, mend);
    }
    if name == "SUPERUSER" {
        mend = vec![format!("ALTER ROLE {quoted} NOSUPERUSER;  -- or, for the last one, NOLOGIN")];
    }
    Finding::new(level, "role", format!("role `{role}` {what}"), mend)
}

/// Each protected table, and each view over one, that somebody else may read.
pub(super) async fn relations(client: &Client, guarded: &Guarded) -> Result<Vec<Finding>, Error> {
    let sql = format!(
        "{REACHED}, granted (oid, grantee) AS (
             SELECT c.oid, a.grantee FROM reached x JOIN pg_catalog.pg_class c USING (oid),
                 pg_catalog.aclexplode(coalesce(c.relacl,
                     pg_catalog.acldefault('r', c.relowner))) a
             WHERE a.privilege_type = 'SELECT'
             UNION
             SELECT t.attrelid, a.grantee FROM reached x
             JOIN pg_catalog.pg_attribute t ON t.attrelid = x.oid,
                 pg_catalog.aclexplode(t.attacl) a
             WHERE a.privilege_type = 'SELECT'
         )
         SELECT n.nspname::text, c.relname::text, c.oid IN (SELECT oid FROM protected),
                r.rolname::text, c.relowner = r.oid,
                EXISTS (SELECT FROM granted g WHERE g.oid = c.oid AND g.grantee = 0),
                ARRAY(SELECT DISTINCT m.rolname::text FROM granted g
                      JOIN pg_catalog.pg_roles m ON m.oid = g.grantee
                      WHERE g.oid = c.oid AND pg_catalog.pg_has_role(r.oid, m.oid, 'MEMBER')
                      ORDER BY 1)
         FROM reached x
         JOIN pg_catalog.pg_class c ON c.oid = x.oid
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         CROSS JOIN pg_catalog.pg_roles r
         WHERE r.rolcanlogin AND NOT r.rolsuper AND r.rolname <> $3
           AND pg_catalog.has_schema_privilege(r.oid, n.oid, 'USAGE')
           AND pg_catalog.has_database_privilege(r.oid, $4::text, 'CONNECT')
           AND EXISTS (SELECT FROM granted g WHERE g.oid = c.oid AND (g.grantee = 0
                       OR pg_catalog.pg_has_role(r.oid, g.grantee, 'MEMBER')))
         ORDER BY 1, 2, 4"
    );
    let (schemas, names) = (&guarded.schemas, &guarded.names);
    let rows = client.query(&sql, &[schemas, names, &guarded.gate, &guarded.database]).await?;
    let mut findings = Vec::new();
    for row in rows {
        let relation = full(row.try_get(0)?, row.try_get(1)?);
        let is_protected = row.try_get(2)?;
        let (owns, public): (bool, bool) = (row.try_get(4)?, row.try_get(5)?);
        let (role, via): (String, Vec<String>) = (row.try_get(3)?, row.try_get(6)?);
        if public {
            let mend = vec![format!("REVOKE ALL ON {relation} FROM PUBLIC;")];
            let everybody = readable("every role", &relation, is_protected, mend);
            if !findings.contains(&everybody) {
                findings.push(everybody);
            }
        }
        let (reader, gate) = (identifier(&role), identifier(&guarded.gate));
        let mend: Vec<String> = via
            .iter()
            .map(|granted| match (*granted == role, owns) {
                (true, true) => format!("ALTER TABLE {relation} OWNER TO {gate};"),
                (true, false) => format!("REVOKE ALL ON {relation} FROM {reader};"),
                (false, _) => format!("REVOKE {} FROM {reader};", identifier(granted)),
            })
            .collect();
        if !mend.is_empty() {
            let who = format!("role `{role}`");
            findings.push(readable(&who, &relation, is_protected, mend));
        }
    }
    Ok(findings)
}

fn readable(who: &str, relation: &str, is_protected: bool, mend: Vec<String>) -> Finding {
    let what = match is_protected {
        true => format!("{who} can read {relation} around the gateway"),
        false => format!("{who} can read the view {relation} over protected tables"),
    };
    Finding::new(Level::Open, "relation", what, mend)
}
