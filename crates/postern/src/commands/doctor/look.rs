//! What is asked of the database, and what is made of the answers.

use postern_session::ReasonSettings;
use postern_sql::quote::identifier;
use tokio_postgres::{Client, Error, error::SqlState};

use super::{Finding, Level, changes, hba, roles};
use crate::{config::Settings, serve};

/// What is guarded, for whom it is open, and where.
#[derive(Debug, Clone)]
pub(super) struct Guarded {
    pub(super) schemas: Vec<String>,
    pub(super) names: Vec<String>,
    pub(super) database: String,
    /// The gateway's own account.
    pub(super) gate: String,
    pub(super) reasons: Vec<ReasonSettings>,
}

impl Guarded {
    pub(super) fn of(settings: &Settings) -> Self {
        Self {
            schemas: settings.tables.iter().map(|table| table.schema.clone()).collect(),
            names: settings.tables.iter().map(|table| table.table.clone()).collect(),
            database: settings.upstream.database.clone(),
            gate: settings.upstream.user.clone(),
            reasons: serve::reasons(settings),
        }
    }
}

/// The protected tables with their partitions and children (`protected`), and with all views over
/// them that don't read as whoever asks (`reached`). `$1` and `$2` are schemas and names.
pub(super) const REACHED: &str = "\
WITH RECURSIVE protected (oid) AS (
    SELECT c.oid
    FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) AS t (s, n)
    JOIN pg_catalog.pg_namespace ns ON ns.nspname = t.s
    JOIN pg_catalog.pg_class c ON c.relnamespace = ns.oid AND c.relname = t.n
    UNION
    SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN protected p ON p.oid = i.inhparent
), reached (oid) AS (
    SELECT oid FROM protected
    UNION
    SELECT w.ev_class FROM pg_catalog.pg_depend d
    JOIN pg_catalog.pg_rewrite w ON w.oid = d.objid
    JOIN pg_catalog.pg_class v ON v.oid = w.ev_class AND v.relkind IN ('v', 'm')
    JOIN reached x ON x.oid = d.refobjid
    WHERE d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
      AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
      AND NOT coalesce(v.reloptions @> '{security_invoker=true}', false)
)
";

/// Everything but the settings.
pub(super) async fn all(client: &Client, guarded: &Guarded) -> Result<Vec<Finding>, Error> {
    let mut findings = roles::roles(client, guarded).await?;
    findings.extend(roles::relations(client, guarded).await?);
    findings.extend(functions(client, guarded).await?);
    findings.extend(publications(client, guarded).await?);
    findings.extend(slots(client, guarded).await?);
    findings.extend(libraries(client).await?);
    findings.extend(hba::rules(client, guarded).await?);
    findings.extend(changes::look(client, guarded).await?);
    Ok(findings)
}

/// Functions that run with the rights of somebody who can read what is protected.
async fn functions(client: &Client, guarded: &Guarded) -> Result<Vec<Finding>, Error> {
    let sql = format!(
        "{REACHED}
         SELECT p.oid::pg_catalog.regprocedure::text, o.rolname::text,
                EXISTS (SELECT FROM reached x JOIN pg_catalog.pg_class c USING (oid)
                        WHERE pg_catalog.strpos(pg_catalog.lower(p.prosrc),
                                                pg_catalog.lower(c.relname)) > 0)
                OR EXISTS (SELECT FROM pg_catalog.pg_depend d JOIN reached x ON x.oid = d.refobjid
                           WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
                             AND d.objid = p.oid)
         FROM pg_catalog.pg_proc p
         JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
         JOIN pg_catalog.pg_roles o ON o.oid = p.proowner
         WHERE p.prosecdef AND n.nspname NOT IN ('pg_catalog', 'information_schema')
           AND EXISTS (SELECT FROM protected t WHERE pg_catalog.has_table_privilege(
                           o.oid, t.oid, 'SELECT'))
           AND EXISTS (SELECT FROM pg_catalog.pg_roles r
                       WHERE r.rolcanlogin AND NOT r.rolsuper AND r.rolname <> $3
                         AND r.oid <> p.proowner
                         AND pg_catalog.has_function_privilege(r.oid, p.oid, 'EXECUTE')
                         AND pg_catalog.has_schema_privilege(r.oid, n.oid, 'USAGE'))
         ORDER BY 1"
    );
    let rows = client.query(&sql, &[&guarded.schemas, &guarded.names, &guarded.gate]).await?;
    let mut findings = Vec::new();
    for row in rows {
        let (name, owner): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let named: bool = row.try_get(2)?;
        let (level, how) = match named {
            true => (Level::Open, "names a protected table"),
            false => (Level::Leaks, "can read protected tables"),
        };
        let what = format!("function {name} runs with the rights of `{owner}` and {how}");
        let mend = vec![
            format!("REVOKE EXECUTE ON ROUTINE {name} FROM PUBLIC;"),
            format!("ALTER ROUTINE {name} SECURITY INVOKER;  -- or this"),
        ];
        findings.push(Finding::new(level, "function", what, mend));
    }
    Ok(findings)
}

async fn publications(client: &Client, guarded: &Guarded) -> Result<Vec<Finding>, Error> {
    let sql = format!(
        "{REACHED}
         SELECT p.pubname::text, b.puballtables, p.schemaname::text, p.tablename::text
         FROM pg_catalog.pg_publication_tables p
         JOIN pg_catalog.pg_publication b ON b.pubname = p.pubname
         JOIN pg_catalog.pg_namespace n ON n.nspname = p.schemaname
         JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename
         JOIN protected t ON t.oid = c.oid
         ORDER BY 1, 3, 4"
    );
    let mut findings = Vec::new();
    for row in client.query(&sql, &[&guarded.schemas, &guarded.names]).await? {
        let (publication, all): (String, bool) = (row.try_get(0)?, row.try_get(1)?);
        let table = full(row.try_get(2)?, row.try_get(3)?);
        let what = format!("publication `{publication}` sends {table} to whoever subscribes");
        let publication = identifier(&publication);
        let mend = match all {
            true => format!("DROP PUBLICATION {publication};"),
            false => format!("ALTER PUBLICATION {publication} DROP TABLE {table};"),
        };
        findings.push(Finding::new(Level::Leaks, "publication", what, vec![mend]));
    }
    Ok(findings)
}

async fn slots(client: &Client, guarded: &Guarded) -> Result<Vec<Finding>, Error> {
    let sql = "SELECT slot_name::text, slot_type FROM pg_catalog.pg_replication_slots \
               WHERE database IS NULL OR database = $1 ORDER BY 1";
    let mut findings = Vec::new();
    for row in client.query(sql, &[&guarded.database]).await? {
        let (slot, kind): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let what = format!("{kind} replication slot `{slot}` has all changes, protected ones too");
        let quoted = slot.replace('\'', "''");
        let mend = format!("SELECT pg_catalog.pg_drop_replication_slot('{quoted}');");
        let unless = "-- unless it is a standby's, which needs the same guard".to_owned();
        findings.push(Finding::new(Level::Leaks, "slot", what, vec![mend, unless]));
    }
    Ok(findings)
}

/// Libraries that keep statements as they are written.
async fn libraries(client: &Client) -> Result<Vec<Finding>, Error> {
    let sql = "SELECT name, setting FROM pg_catalog.pg_settings \
               WHERE name IN ('shared_preload_libraries', 'session_preload_libraries')";
    let rows = client.query(sql, &[]).await?;
    if rows.len() < 2 {
        let what = "which libraries the server loads is not shown to this account".to_owned();
        let mend = vec!["GRANT pg_read_all_settings TO CURRENT_USER;".to_owned()];
        return Ok(vec![Finding::new(Level::Unknown, "setting", what, mend)]);
    }
    let mut findings = Vec::new();
    for row in rows {
        let (name, setting): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        for library in setting.split(',').map(|library| library.trim().trim_matches('"')) {
            let (what, mend) = match library {
                "auto_explain" => (
                    "auto_explain writes plans with literals to the server's log",
                    "ALTER SYSTEM SET auto_explain.log_min_duration = -1;",
                ),
                "pg_stat_statements" => (
                    "pg_stat_statements keeps the texts of utility statements with their literals",
                    "ALTER SYSTEM SET pg_stat_statements.track_utility = off;",
                ),
                _ => continue,
            };
            let what = format!("{what} ({name})");
            findings.push(Finding::new(Level::Leaks, "setting", what, vec![mend.to_owned()]));
        }
    }
    Ok(findings)
}

/// Settings by which literals of the gateway's statements come into the server's log: those with
/// customers' keys, and those that were looked up by.
pub(super) async fn settings(client: &Client, guarded: &Guarded) -> Result<Vec<Finding>, Error> {
    let sql = "SELECT name, setting FROM pg_catalog.pg_settings ORDER BY name";
    let mut findings = Vec::new();
    for row in client.query(sql, &[]).await? {
        let (name, setting): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let Some(good) = logs_nothing(&name, &setting) else { continue };
        let what = format!("`{name} = {setting}` writes statements with literals to the log");
        let gate = identifier(&guarded.gate);
        let mend = format!("ALTER ROLE {gate} SET {name} = {good};");
        findings.push(Finding::new(Level::Leaks, "setting", what, vec![mend]));
    }
    Ok(findings)
}

/// The value to set where statements are logged by this one.
fn logs_nothing(name: &str, setting: &str) -> Option<&'static str> {
    let (is_quiet, quiet) = match name {
        "log_statement" => (matches!(setting, "none" | "ddl"), "'none'"),
        "log_min_duration_statement" | "log_min_duration_sample" => (setting == "-1", "-1"),
        "log_transaction_sample_rate" => (setting.parse() == Ok(0.0), "0"),
        "log_min_error_statement" => (matches!(setting, "panic" | "fatal" | "log"), "'panic'"),
        "log_parameter_max_length_on_error" => (setting == "0", "0"),
        "debug_print_parse" | "debug_print_rewritten" | "debug_print_plan" => {
            (setting == "off", "off")
        }
        _ => return None,
    };
    (!is_quiet).then_some(quiet)
}

/// A name with its schema, as SQL.
pub(super) fn full(schema: &str, name: &str) -> String {
    format!("{}.{}", identifier(schema), identifier(name))
}

/// Whether the server says that this account may not look.
pub(super) fn is_denied(error: &Error) -> bool {
    error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_logs_statements_is_told_from_what_does_not() {
        for (name, quiet, loud) in [
            ("log_statement", "none", "all"),
            ("log_statement", "ddl", "mod"),
            ("log_min_duration_statement", "-1", "0"),
            ("log_transaction_sample_rate", "0", "0.5"),
            ("log_min_error_statement", "panic", "error"),
            ("log_parameter_max_length_on_error", "0", "-1"),
            ("debug_print_rewritten", "off", "on"),
        ] {
            assert_eq!(logs_nothing(name, quiet), None, "{name}");
            assert!(logs_nothing(name, loud).is_some(), "{name}");
        }
        assert_eq!(logs_nothing("work_mem", "4096"), None);
    }
}
