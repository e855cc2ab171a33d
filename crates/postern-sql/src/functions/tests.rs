use std::collections::BTreeMap;

use postern_testkit::{Options, PostgresServer};

use super::{Arity, BuiltIn, Class, Functions, Kind, class_of, kind_of, lines, refused_because};

const LIST: &str = include_str!("../functions.txt");

fn found(name: &str, arguments: usize) -> Option<BuiltIn> {
    Functions::of_version(15).find(name, Arity::Exactly(arguments))
}

#[test]
fn each_line_has_a_kind_versions_and_a_class_that_is_explained() {
    let mut before = String::new();
    let mut classes = BTreeMap::new();
    for line in lines(LIST) {
        let words: Vec<&str> = line.split(' ').collect();
        let [signature, kind, versions, class] = words[..] else { panic!("{line}") };
        assert!(kind_of(kind).is_some() || refused_because(class).is_some(), "{line}");
        assert!((13..19).any(|major| super::holds(versions, major)), "{line}");
        let refused = matches!(class_of(class), Class::Refused(_));
        assert_eq!(refused, refused_because(class).is_some(), "{line}");
        classes.insert(class, ());
        let sorted = signature.replace('(', " ").replace("...", "").replace('=', "");
        assert!(sorted > before, "`{sorted}` after `{before}`");
        before = sorted;
    }
    for class in classes.keys() {
        assert!(LIST.contains(&format!("\n#   {class} ")), "{class} is not explained");
    }
}

#[test]
fn nothing_that_acts_or_runs_sql_is_allowed() {
    let functions = Functions::of_version(18);
    for name in [
        "setval",
        "set_config",
        "lo_get",
        "loread",
        "pg_read_file",
        "pg_ls_dir",
        "query_to_xml",
        "table_to_xml",
        "database_to_xml",
        "ts_stat",
        "current_query",
        "pg_notify",
        "pg_advisory_lock",
        "txid_current_if_assigned",
        "txid_current_snapshot",
        "pg_terminate_backend",
        "pg_stat_get_activity",
        "pg_mcv_list_items",
        "cursor_to_xml",
        "pg_get_functiondef",
        "pg_logical_emit_message",
        "json_populate_record",
        "setseed",
        "pg_reload_conf",
        "pg_input_error_info",
        "pg_restore_relation_stats",
    ] {
        let found = functions.find(name, Arity::Unknown);
        assert!(matches!(found, Some(BuiltIn::Refused(_))), "{name}: {found:?}");
    }
    assert_eq!(functions.find("dblink", Arity::Unknown), None);
}

#[test]
fn a_name_is_what_all_functions_that_fit_are() {
    assert_eq!(found("count", 0), Some(BuiltIn::Allowed(Kind::Aggregate, Class::Free)));
    assert_eq!(found("array_agg", 1), Some(BuiltIn::Allowed(Kind::Collecting, Class::Free)));
    assert_eq!(found("unnest", 1), Some(BuiltIn::Allowed(Kind::Record, Class::Free)));
    assert_eq!(found("unnest", 2), Some(BuiltIn::Allowed(Kind::Record, Class::Free)));
    assert_eq!(found("lag", 3), Some(BuiltIn::Allowed(Kind::Window, Class::Free)));
    assert_eq!(found("rank", 0), Some(BuiltIn::Allowed(Kind::WindowOrAggregate, Class::Free)));
    assert_eq!(found("format", 9), Some(BuiltIn::Allowed(Kind::Scalar, Class::Free)));
    assert_eq!(found("jsonb_set", 3), Some(BuiltIn::Allowed(Kind::Scalar, Class::Free)));
    // One of the two runs SQL.
    assert_eq!(found("ts_rewrite", 3), Some(BuiltIn::Allowed(Kind::Scalar, Class::Free)));
    assert!(matches!(found("ts_rewrite", 2), Some(BuiltIn::Refused(_))));
    // The call of no function is the call of any.
    assert!(matches!(found("ts_rewrite", 7), Some(BuiltIn::Refused(_))));
}

#[test]
fn a_function_is_known_to_the_versions_that_have_it() {
    let any_value = |major| Functions::of_version(major).find("any_value", Arity::Exactly(1));
    assert_eq!(any_value(15), None);
    assert!(any_value(16).is_some());
}

/// What the server calls through operators and casts, no name is asked for.
const BEHIND_OPERATORS_AND_CASTS: &str = "
    SELECT DISTINCT p.proname FROM pg_proc p
    WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.oid < 16384
      AND (EXISTS (SELECT 1 FROM pg_operator o WHERE o.oprcode = p.oid)
        OR EXISTS (SELECT 1 FROM pg_cast c WHERE c.castfunc = p.oid)) ORDER BY 1";

/// Each function as its line in the list begins.
const ALL: &str = "
    SELECT p.proname || '(' || coalesce((
        SELECT string_agg(t.typname || CASE
            WHEN p.provariadic <> 0 AND u.place = p.pronargs THEN '...'
            WHEN u.place > p.pronargs - p.pronargdefaults THEN '=' ELSE '' END, ','
            ORDER BY u.place)
        FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY u(type, place)
        JOIN pg_type t ON t.oid = u.type), '') || ')'
    FROM pg_proc p WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.oid < 16384
    ORDER BY 1";

#[test]
fn every_function_of_the_server_has_a_decision() {
    let server = PostgresServer::start(Options::default()).unwrap();
    let major = server.psql("SHOW server_version_num").unwrap().trim().parse::<i64>().unwrap();
    let major = major / 10_000;
    let of_version = lines(LIST).filter(|line| {
        line.split(' ').nth(2).is_some_and(|versions| super::holds(versions, major))
    });
    // A default that one version has and another has not makes no difference here.
    let plain = |signature: &str| signature.replace('=', "");
    let mut decided: Vec<String> =
        of_version.filter_map(|line| line.split(' ').next()).map(plain).collect();
    decided.sort_unstable();
    let rows = server.psql(ALL).unwrap();
    let mut there: Vec<String> = rows.lines().map(plain).collect();
    there.sort_unstable();
    let missing: Vec<&String> = there.iter().filter(|one| !decided.contains(one)).collect();
    assert!(missing.is_empty(), "PostgreSQL {major} has functions without a decision: {missing:?}");
    let gone: Vec<&String> = decided.iter().filter(|one| !there.contains(one)).collect();
    assert!(gone.is_empty(), "PostgreSQL {major} has no such functions: {gone:?}");

    let functions = Functions::of_version(major);
    for name in server.psql(BEHIND_OPERATORS_AND_CASTS).unwrap().lines() {
        let found = functions.find(name, Arity::Unknown);
        let allowed = matches!(found, Some(BuiltIn::Allowed(_, Class::Free)));
        assert!(allowed, "{name} is behind an operator or a cast");
    }
}
