use std::collections::{BTreeMap, BTreeSet};

use postern_testkit::{Options, PostgresServer};

use super::{Cover, of_version};
use crate::{
    Catalogue, Context, Mode, Rules, SNAPSHOT_SQL, Verdict, analyse,
    functions::{Arity, BuiltIn, Functions, lines},
    may_remain,
};

const LIST: &str = include_str!("../relations.txt");

/// Each relation with its columns, as the list has them.
const ALL: &str = "
    SELECT n.nspname || '.' || c.relname, string_agg(a.attname, ' ' ORDER BY a.attnum)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE n.nspname IN ('pg_catalog', 'information_schema') AND c.relkind IN ('r', 'v', 'm', 'f')
    GROUP BY 1";

#[test]
fn every_relation_of_the_server_has_a_decision_and_its_columns_in_order() {
    let server = PostgresServer::start(Options::default()).unwrap();
    let version = server.psql("SHOW server_version_num").unwrap();
    let major = version.trim().parse::<i64>().unwrap() / 10_000;
    let listed: BTreeMap<String, _> = of_version(major)
        .into_iter()
        .map(|relation| (format!("{}.{}", relation.schema, relation.name), relation.columns))
        .collect();
    let rows = server.psql(ALL).unwrap();
    let mut there = BTreeSet::new();
    for row in rows.lines() {
        let (relation, columns) = row.split_once('|').unwrap();
        let decided = listed.get(relation);
        assert!(decided.is_some(), "PostgreSQL {major} has {relation}, which is undecided");
        if let Some(Some(decided)) = decided {
            let decided: Vec<&str> = decided.iter().map(|column| column.name).collect();
            assert_eq!(decided.join(" "), columns, "{relation} of PostgreSQL {major}");
        }
        there.insert(relation);
    }
    let gone: Vec<_> = listed.keys().filter(|name| !there.contains(name.as_str())).collect();
    assert!(gone.is_empty(), "PostgreSQL {major} has no such relations: {gone:?}");
}

/// What is sent for `*` of each relation that may be read, is something that the server can run.
#[test]
fn every_readable_relation_can_be_read_whole() {
    let server = PostgresServer::start(Options::default()).unwrap();
    let version = server.psql("SHOW server_version_num").unwrap();
    let major = version.trim().parse::<i64>().unwrap() / 10_000;
    let catalogue = Catalogue::from_json(&server.psql(SNAPSHOT_SQL).unwrap()).unwrap();
    let rules = Rules {
        mode: Mode::Restricted,
        tables: Vec::new(),
        functions: Vec::new(),
        relations: Vec::new(),
        unprotected: None,
        reason_names: Vec::new(),
    };
    let context = Context::new(&[], "pk_");
    let mut read = Vec::new();
    for relation in of_version(major).iter().filter(|relation| relation.columns.is_some()) {
        let sql = format!("SELECT * FROM {}.{} LIMIT 1", relation.schema, relation.name);
        let judged = analyse(&sql, &catalogue, &rules, context).unwrap();
        let Verdict::Plain(plain) = &judged[0].verdict else { panic!("{sql}: {judged:?}") };
        read.push(plain.sql.clone());
    }
    assert!(read.len() > 100, "{read:?}");
    server.psql(&read.join(";\n")).unwrap();
}

/// A domain's check is called with what a statement casts to it.
#[test]
fn a_domain_whose_check_calls_what_may_not_be_called_is_refused() {
    let server = PostgresServer::start(Options::default()).unwrap();
    let schema = "CREATE FUNCTION known(text) RETURNS bool LANGUAGE sql AS 'SELECT true';
        CREATE DOMAIN plain AS text CHECK (VALUE ~ '^a' AND lower(VALUE) <> 'x');
        CREATE DOMAIN asks AS text CHECK (known(VALUE));
        CREATE DOMAIN asks_too AS asks CHECK (VALUE <> '');
        CREATE DOMAIN runs AS text CHECK (query_to_xml(VALUE, true, true, '') IS NULL);
        CREATE TYPE pair AS (a int, b asks); CREATE DOMAIN paired AS pair;
        CREATE DOMAIN casts AS text CHECK (VALUE::asks IS NOT NULL);
        CREATE DOMAIN pairs_up AS text CHECK (ROW(1, VALUE)::pair IS NOT NULL);
        CREATE TYPE span AS RANGE (SUBTYPE = asks);
        CREATE TABLE plains (a plain, b plain[]); CREATE TABLE lists (a asks[]);
        CREATE TABLE pairs (a pair); CREATE TABLE spans (a span); CREATE VIEW listed AS SELECT a FROM lists;";
    server.psql(schema).unwrap();
    let catalogue = Catalogue::from_json(&server.psql(SNAPSHOT_SQL).unwrap()).unwrap();
    let path = ["public".to_owned()];
    let context = Context::new(&path, "pk_");
    let mut rules = Rules {
        mode: Mode::Restricted,
        tables: Vec::new(),
        functions: Vec::new(),
        relations: Vec::new(),
        unprotected: None,
        reason_names: Vec::new(),
    };
    let refused = |rules: &Rules, sql: &str| {
        let judged = analyse(sql, &catalogue, rules, context).unwrap();
        matches!(&judged[0].verdict, Verdict::Refused(refusal) if refusal.rule == "type")
    };
    assert!(!refused(&rules, "SELECT 'a'::plain"));
    for name in [
        "asks",
        "asks_too",
        "runs",
        "asks[]",
        "_asks_too",
        "paired",
        "span",
        "paired[]",
        "casts",
        "pairs_up[]",
    ] {
        assert!(refused(&rules, &format!("SELECT CAST(NULL AS {name})")), "{name}");
    }
    // A literal takes the type of what stands beside it.
    assert!(!refused(&rules, "SELECT coalesce(b, '{a}') FROM plains"));
    for table in ["lists", "pairs", "spans", "listed"] {
        assert!(refused(&rules, &format!("SELECT coalesce(a, '(a)') FROM {table}")), "{table}");
    }
    rules.functions.push("public.known".to_owned());
    assert!(!refused(&rules, "SELECT 'a'::asks_too"));
    assert!(!refused(&rules, "SELECT coalesce(a, '{a}') FROM lists"));
    assert!(refused(&rules, "SELECT 'a'::runs"));
}

/// Functions run that a text does not name: by types and tables.
#[test]
fn what_is_named_may_run_somebodys_own_code() {
    let server = PostgresServer::start(Options::default()).unwrap();
    let schema = "CREATE FUNCTION known(text) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS
            'BEGIN RETURN length($1) > 1; END';
        CREATE DOMAIN asks AS text CHECK (known(VALUE));
        CREATE TYPE pair AS (a asks, b int); CREATE TYPE plain AS (a text, b int);
        CREATE TABLE holds (a pair[]); CREATE TABLE simple (a text CHECK (a <> ''), b plain);
        CREATE TABLE hidden (a text); ALTER TABLE hidden ENABLE ROW LEVEL SECURITY;
        CREATE TABLE parent (a text); CREATE TABLE child (CHECK (known(a))) INHERITS (parent);
        CREATE TABLE indexed (a text); CREATE INDEX ON indexed ((known(a)));
        CREATE TABLE partial (a text); CREATE INDEX ON partial (a) WHERE known(a);
        CREATE TABLE parted (a text) PARTITION BY LIST ((known(a)));
        CREATE INDEX ON simple (lower(a)) WHERE length(a) > 1;";
    server.psql(schema).unwrap();
    let catalogue = Catalogue::from_json(&server.psql(SNAPSHOT_SQL).unwrap()).unwrap();
    for name in ["holds", "hidden", "parent", "child", "indexed", "partial", "parted"] {
        assert!(may_remain(&format!("SELECT 1 FROM {name}"), &catalogue), "{name}");
    }
    for name in ["pair", "pair[]", "_pair", "holds", "asks"] {
        assert!(may_remain(&format!("SELECT NULL::{name}"), &catalogue), "{name}");
    }
    for sql in ["SELECT a FROM simple", "SELECT NULL::plain", "SELECT '{}'::_plain"] {
        assert!(!may_remain(sql, &catalogue), "{sql}");
    }
}

/// What a row holds where none is given decides whether it makes a reason.
#[test]
fn a_column_has_the_default_of_its_domain() {
    let server = PostgresServer::start(Options::default()).unwrap();
    let schema = "CREATE DOMAIN channel AS text DEFAULT 'mail'; CREATE DOMAIN first AS channel;
        CREATE DOMAIN plain AS text;
        CREATE TABLE tickets (a channel, b first, c plain, d text, e text DEFAULT 'mail');";
    server.psql(schema).unwrap();
    let catalogue = Catalogue::from_json(&server.psql(SNAPSHOT_SQL).unwrap()).unwrap();
    let tickets = catalogue.relation_named("public", "tickets").unwrap();
    let defaults: Vec<bool> = tickets.columns.iter().map(|column| column.default).collect();
    assert_eq!(defaults, [true, true, false, false, true]);
}

#[test]
fn each_decision_is_explained_and_no_literal_is_shown_in_another_form() {
    for line in lines(LIST).filter(|line| !line.starts_with(' ')) {
        let decision = line.split(' ').nth(2).unwrap();
        let explained = LIST.contains(&format!("\n#   {decision} "));
        assert!(decision == "read" || explained, "{line}");
    }
    assert!(!LIST.contains(" ?"), "something is undecided");
    for relation in of_version(18) {
        for column in relation.columns.into_iter().flatten() {
            let tree = ["bin", "qual", "expr", "exprs", "options", "prosrc", "definition"];
            let values = ["config", "initval"];
            let suspect = tree.iter().chain(&values).any(|end| column.name.ends_with(end));
            let others = ["reloptions", "attoptions", "spcoptions", "probin", "extconfig"];
            let covered = column.cover.is_some() || others.contains(&column.name);
            assert!(!suspect || covered, "{}.{}", relation.name, column.name);
        }
    }
}

/// `x.column` of something whose columns aren't known may be the call `column(x)`.
#[test]
fn no_column_has_the_name_of_a_function_that_is_refused() {
    for major in 13..19 {
        let functions = Functions::of_version(major);
        for relation in of_version(major) {
            for column in relation.columns.into_iter().flatten() {
                let called = functions.find(column.name, Arity::Exactly(1));
                assert!(!matches!(called, Some(BuiltIn::Refused(_))), "{}", column.name);
            }
        }
    }
}

#[test]
fn what_is_undecided_is_not_shown() {
    let column = super::column("?new@18", 18, "text").unwrap();
    assert_eq!((column.name, column.cover), ("new", Some(Cover::Null("text"))));
    assert_eq!(super::column("name@14-18", 13, "text"), None);
}

/// What no two rows may both have, and which rows a role sees, can hang on several columns.
#[test]
fn what_rows_are_told_apart_and_found_by_is_read() {
    let server = PostgresServer::start(Options::default()).unwrap();
    let schema = "CREATE TABLE people (id bigint PRIMARY KEY, plan text, phone text, email text,
            active boolean, note text);
        CREATE UNIQUE INDEX ON people (phone) INCLUDE (note) WHERE active;
        CREATE UNIQUE INDEX ON people (lower(email), plan);
        ALTER TABLE people ADD UNIQUE (plan, id), ADD EXCLUDE (plan WITH =, note WITH =);
        CREATE TABLE lists (mail text);
        CREATE FUNCTION mine(text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
        CREATE ROLE reader; CREATE ROLE other;
        ALTER TABLE people ENABLE ROW LEVEL SECURITY;
        ALTER TABLE lists ENABLE ROW LEVEL SECURITY;
        CREATE POLICY a ON people TO reader USING (phone = current_setting('app.phone'));
        CREATE POLICY b ON people USING (mine(email)) WITH CHECK (note IS NOT NULL);
        CREATE POLICY c ON people TO other USING (plan = current_setting('app.plan'));
        CREATE POLICY d ON lists USING (EXISTS (SELECT FROM people p WHERE p.email = mail));
        CREATE POLICY e ON lists USING (mail = CURRENT_SCHEMA OR mail = current_schemas(false)::text);
        CREATE POLICY f ON lists USING (mail = CURRENT_USER);";
    server.psql(schema).unwrap();
    let read = |role: &str| {
        let text = server.psql(&format!("SET ROLE {role}; {SNAPSHOT_SQL}")).unwrap();
        Catalogue::from_json(&text[text.find('{').unwrap()..]).unwrap()
    };
    let catalogue = read("reader");
    let people = catalogue.relation_named("public", "people").unwrap();
    let distinct = people.distinct.iter().map(|d| (d.columns.join(" "), d.keys.join(" ")));
    let mut distinct: Vec<_> = distinct.collect();
    distinct.sort();
    let expected = [
        ("id plan", "id plan"),
        ("phone active note", "phone"),
        ("plan email", "plan"),
        ("plan note", ""),
    ];
    assert_eq!(distinct, expected.map(|(one, two)| (one.to_owned(), two.to_owned())));
    let policies = |name: &str| {
        let relation = catalogue.relation_named("public", name).unwrap();
        let column = |read: &String| read.split_once('.').unwrap().1.to_owned();
        let policies = relation.policies.iter().map(|policy| {
            let reads: Vec<String> = policy.reads.iter().map(column).collect();
            (reads.join(" "), policy.asks, policy.calls.join(" "))
        });
        policies.collect::<Vec<_>>()
    };
    assert_eq!(
        policies("people"),
        [
            ("phone".to_owned(), false, "pg_catalog.current_setting".to_owned()),
            ("email note".to_owned(), false, "public.mine".to_owned()),
        ]
    );
    let schemas = "pg_catalog.current_schemas".to_owned();
    assert_eq!(
        policies("lists"),
        [
            ("email mail".to_owned(), true, String::new()),
            ("mail".to_owned(), true, schemas),
            ("mail".to_owned(), false, String::new()),
        ]
    );
    // A superuser sees all rows.
    let all = read("postgres");
    assert!(all.relation_named("public", "people").unwrap().policies.is_empty());
}
