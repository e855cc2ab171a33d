//! What `doctor` finds, and that what it says mends it.

use crate::{raw::DATABASE, support::Support};

/// Ways around the gateway, each in its own manner.
const HOLES: &str = "
    CREATE ROLE gate LOGIN SUPERUSER;
    CREATE ROLE boss LOGIN SUPERUSER;
    CREATE ROLE report LOGIN;
    CREATE ROLE readers;
    CREATE ROLE member LOGIN IN ROLE readers;
    CREATE ROLE owner LOGIN;
    CREATE ROLE walker LOGIN BYPASSRLS CREATEROLE;
    CREATE ROLE copier LOGIN REPLICATION;
    CREATE ROLE filer LOGIN IN ROLE pg_read_server_files;
    CREATE ROLE outsider LOGIN;
    GRANT SELECT (email) ON customers TO report;
    GRANT SELECT ON customers TO readers;
    ALTER TABLE tickets OWNER TO owner;
    CREATE VIEW \"Mails\" AS SELECT email FROM customers;
    CREATE VIEW mails_of_mails AS SELECT * FROM \"Mails\";
    GRANT SELECT ON mails_of_mails TO PUBLIC;
    CREATE VIEW titles AS SELECT title FROM products;
    GRANT SELECT ON titles TO PUBLIC;
    CREATE FUNCTION mail(bigint) RETURNS text LANGUAGE sql SECURITY DEFINER
        AS 'SELECT email FROM public.customers WHERE id = $1';
    CREATE FUNCTION any_sql(text) RETURNS text LANGUAGE plpgsql SECURITY DEFINER
        AS 'DECLARE r text; BEGIN EXECUTE $1 INTO r; RETURN r; END';
    CREATE FUNCTION harmless(bigint) RETURNS text LANGUAGE sql
        AS 'SELECT email FROM public.customers WHERE id = $1';
    CREATE PUBLICATION feed FOR TABLE customers, products;
    ALTER ROLE gate SET log_statement = 'all';
    ALTER ROLE gate SET log_min_error_statement = 'error';";

#[test]
fn ways_around_the_gateway_are_told_and_what_is_said_closes_them() {
    let support = Support::new();
    support.postgres.psql_in(DATABASE, HOLES).unwrap();
    let user = format!("user = \"{}\"", support.postgres.superuser());
    support.configure(&support.configuration("").replace(&user, "user = \"gate\""));

    let found = support.bench.run("doctor");
    assert_eq!(found.code, Some(1), "{found:#?}");
    for expected in [
        "open     role `boss` is a superuser\n         ALTER ROLE \"boss\" NOSUPERUSER;",
        "leaks    the gateway's account `gate` is a superuser, which it need not",
        "open     role `report` can read \"public\".\"customers\" around the gateway\n         \
         REVOKE ALL ON \"public\".\"customers\" FROM \"report\";",
        "open     role `member` can read \"public\".\"customers\" around the gateway\n         \
         REVOKE \"readers\" FROM \"member\";",
        "open     role `owner` can read \"public\".\"tickets\" around the gateway\n         \
         ALTER TABLE \"public\".\"tickets\" OWNER TO \"gate\";",
        "open     every role can read the view \"public\".\"mails_of_mails\" over protected tables\n",
        "leaks    role `walker` is not bound by row security",
        "leaks    role `walker` can give itself other roles' rights",
        "open     role `copier` can copy the whole server",
        "open     role `filer` can read the server's files",
        "open     function public.mail(bigint) runs with the rights of `postgres` and names a protected",
        "leaks    function public.any_sql(text) runs with the rights of `postgres` and can read",
        "leaks    publication `feed` sends \"public\".\"customers\" to whoever subscribes",
        "leaks    `log_statement = all` writes statements with literals to the log",
        "unasked",
    ] {
        assert!(found.stdout.contains(expected), "{expected}\n---\n{}", found.stdout);
    }
    for not in ["harmless", "products", "titles", "`outsider`"] {
        assert!(!found.stdout.contains(not), "{not}\n---\n{}", found.stdout);
    }

    // All SQL that is said is run; what is left is the server's own administrator and how this
    // throw-away server lets people in.
    let sql: String = found
        .stdout
        .lines()
        .map(str::trim)
        .filter(|line| ["ALTER ", "REVOKE ", "DROP "].iter().any(|verb| line.starts_with(verb)))
        .filter(|line| !line.contains("\"postgres\"") && !line.contains("\"gate\" NOSUPERUSER"))
        .filter(|line| !line.contains("-- or this"))
        .map(|line| format!("{line}\n"))
        .collect();
    support.postgres.psql_in(DATABASE, &sql).unwrap();
    let left = support.bench.run("doctor --json").ended(1);
    let report: serde_json::Value = serde_json::from_str(&left).unwrap();
    let left: Vec<&str> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|finding| {
            let what = finding["what"].as_str().unwrap();
            (finding["check"] != "pg_hba" && !what.contains("`postgres` is a superuser"))
                .then_some(what)
        })
        .collect();
    assert_eq!(left, ["the gateway's account `gate` is a superuser, which it need not"]);
}

#[test]
fn what_the_gateways_account_may_not_see_is_said_to_be_unknown() {
    let support = Support::new();
    let setup = "CREATE ROLE gate LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO gate;";
    support.postgres.psql_in(DATABASE, setup).unwrap();
    let user = format!("user = \"{}\"", support.postgres.superuser());
    support.configure(&support.configuration("").replace(&user, "user = \"gate\""));
    let found = support.bench.run("doctor").ended(1);
    let unknown = "unknown  who may connect to the server is not shown to this account";
    assert!(found.contains(unknown), "{found}");
    let url = support.postgres.url_of(DATABASE);
    let seen = support.bench.run(&format!("doctor --admin {url}")).ended(1);
    assert!(!seen.contains("unknown "), "{seen}");
    assert!(seen.contains("of pg_hba.conf") || seen.contains("/pg_hba.conf"), "{seen}");
}

#[test]
fn what_tells_of_changed_reasons_is_looked_at_where_it_is() {
    let support = Support::new();
    let about = || {
        let found = support.bench.run("doctor --json").ended(1);
        let report: serde_json::Value = serde_json::from_str(&found).unwrap();
        let findings = report["findings"].as_array().unwrap().clone();
        let about = findings.into_iter().filter(|finding| finding["check"] == "reasons");
        about.map(|finding| finding["what"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert!(about().is_empty(), "it is not there, and need not be");
    let sql = support.bench.run("reasons").ended(0);
    for _ in 0..2 {
        support.postgres.psql_in(DATABASE, &sql).unwrap();
        assert!(about().is_empty(), "{:?}", about());
    }
    let meddle = "ALTER TABLE tickets ENABLE TRIGGER postern_tells_changes;
        DROP FUNCTION postern.forget_reason_changes();
        GRANT INSERT ON postern.reason_changes TO PUBLIC;
        CREATE FUNCTION postern.tell_all() RETURNS trigger LANGUAGE plpgsql
            AS 'BEGIN RETURN NULL; END'";
    support.postgres.psql_in(DATABASE, meddle).unwrap();
    assert_eq!(
        about(),
        [
            "function postern.tell_all() is in the schema of Postern's own, whose triggers writes \
             may set off",
            "table postern.reason_changes is not what `postern reasons` makes",
            "function postern.forget_reason_changes() is not there, so that reasons are read whole",
            "trigger postern_tells_changes on public.tickets is not what `postern reasons` makes",
        ]
    );
}
