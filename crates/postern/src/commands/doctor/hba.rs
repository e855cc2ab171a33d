//! Who may connect to the server past the gateway: the lines of `pg_hba.conf`.

use postern_sql::quote::identifier;
use tokio_postgres::{Client, Error, Row};

use super::{
    Finding, Level,
    look::{Guarded, is_denied},
};

/// One line that lets somebody in, or keeps them out.
#[derive(Debug, Default)]
struct Rule {
    place: String,
    kind: String,
    databases: Vec<String>,
    roles: Vec<String>,
    address: String,
    method: String,
}

/// The file's name is there since PostgreSQL 16.
const RULES: &str = "\
SELECT coalesce(pg_catalog.to_jsonb(h) ->> 'file_name', 'pg_hba.conf'),
       h.line_number, h.type, h.database, h.user_name,
       pg_catalog.concat_ws(' ', h.address, h.netmask), h.auth_method, h.error
FROM pg_catalog.pg_hba_file_rules h ORDER BY 1, 2";

pub(super) async fn rules(client: &Client, guarded: &Guarded) -> Result<Vec<Finding>, Error> {
    let rows = match client.query(RULES, &[]).await {
        Ok(rows) => rows,
        Err(error) if is_denied(&error) => return Ok(vec![unreadable(&guarded.gate)]),
        Err(error) => return Err(error),
    };
    let mut findings = Vec::new();
    for row in &rows {
        findings.extend(rule(row)?.and_then(|rule| judged(&rule, guarded)));
    }
    Ok(findings)
}

fn unreadable(gate: &str) -> Finding {
    let gate = identifier(gate);
    Finding::new(
        Level::Unknown,
        "pg_hba",
        "who may connect to the server is not shown to this account".to_owned(),
        vec![
            format!("GRANT SELECT ON pg_catalog.pg_hba_file_rules TO {gate};"),
            format!("GRANT EXECUTE ON FUNCTION pg_catalog.pg_hba_file_rules() TO {gate};"),
            "postern doctor --admin URL  -- or look with an account that sees it".to_owned(),
        ],
    )
}

/// A line that is in force; one with an error is not.
fn rule(row: &Row) -> Result<Option<Rule>, Error> {
    if row.try_get::<_, Option<String>>(7)?.is_some() {
        return Ok(None);
    }
    let file: String = row.try_get(0)?;
    let line: i32 = row.try_get(1)?;
    Ok(Some(Rule {
        place: format!("line {line} of {file}"),
        kind: row.try_get::<_, Option<String>>(2)?.unwrap_or_default(),
        databases: row.try_get::<_, Option<Vec<String>>>(3)?.unwrap_or_default(),
        roles: row.try_get::<_, Option<Vec<String>>>(4)?.unwrap_or_default(),
        address: row.try_get::<_, Option<String>>(5)?.unwrap_or_default(),
        method: row.try_get::<_, Option<String>>(6)?.unwrap_or_default(),
    }))
}

/// What is wrong with a line. What it stands for by a pattern or a group is taken for everything.
fn judged(rule: &Rule, guarded: &Guarded) -> Option<Finding> {
    let (database, gate) = (&guarded.database, &guarded.gate);
    let applies = rule.databases.iter().any(|name| {
        name == database
            || matches!(name.as_str(), "all" | "sameuser" | "samerole" | "samegroup")
            || name.starts_with(['+', '/'])
    });
    // Replication is a matter of the roles that may.
    if !applies || rule.method == "reject" {
        return None;
    }
    let from = match (rule.kind.as_str(), rule.address.as_str()) {
        ("local", _) => "over the Unix socket".to_owned(),
        (_, "") | (_, "all") => "from anywhere".to_owned(),
        (_, address) => format!("from {address}"),
    };
    let place = &rule.place;
    let safe = format!("{} {database} {gate} {} scram-sha-256", rule.kind, rule.address);
    if rule.method == "trust" {
        let what = format!("{place} lets anybody in as {} {from}, unasked", rule.roles.join(", "));
        let mend = vec![format!("{safe}  # in place of {place}")];
        return Some(Finding::new(Level::Open, "pg_hba", what, mend));
    }
    if rule.roles.iter().all(|role| role == gate) {
        return None;
    }
    let who = rule.roles.join(", ");
    let who = if who == "all" { "every role".to_owned() } else { who };
    let what = format!("{place} lets {who} connect around the gateway {from} ({})", rule.method);
    let reject = format!("{} {database} all {} reject", rule.kind, rule.address);
    let mend = vec![format!("{safe}  # in place of {place}"), reject];
    Some(Finding::new(Level::Leaks, "pg_hba", what, mend))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, level: Option<Level>) {
        let words: Vec<&str> = line.split(' ').collect();
        let [kind, databases, roles, address, method] = words[..] else { panic!("{line}") };
        let list = |text: &str| text.split(',').map(ToOwned::to_owned).collect();
        let rule = Rule {
            place: "line 1 of pg_hba.conf".to_owned(),
            kind: kind.to_owned(),
            databases: list(databases),
            roles: list(roles),
            address: address.trim_matches('-').to_owned(),
            method: method.to_owned(),
        };
        let guarded = Guarded {
            schemas: Vec::new(),
            names: Vec::new(),
            database: "support".to_owned(),
            gate: "gate".to_owned(),
            reasons: Vec::new(),
        };
        let finding = judged(&rule, &guarded);
        assert_eq!(finding.as_ref().map(|finding| finding.level), level, "{line}: {finding:?}");
        assert!(finding.is_none_or(|finding| !finding.mend.is_empty()), "{line}");
    }

    #[test]
    fn only_the_gateway_is_to_be_let_in() {
        check("host support gate 10.0.0.1 scram-sha-256", None);
        check("host support all all reject", None);
        check("host other all all md5", None);
        check("host replication all all md5", None);
        check("host support gate 10.0.0.1 trust", Some(Level::Open));
        check("local all all - trust", Some(Level::Open));
        check("host all all 0.0.0.0/0 scram-sha-256", Some(Level::Leaks));
        check("hostssl support,x gate,eva 10.0.0.0 cert", Some(Level::Leaks));
        check("local +staff postgres - peer", Some(Level::Leaks));
    }
}
