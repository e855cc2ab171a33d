//! Where names without a schema are looked up: `search_path`.

use super::*;
use crate::OwnNames;

fn told(sql: &str) -> String {
    judged(sql, Mode::Restricted)
}

/// What the last statement of a text is judged as.
fn last(sql: &str) -> String {
    told(sql).lines().last().unwrap().to_owned()
}

#[test]
fn a_path_is_the_servers_and_its_names_are_written_whole() {
    assert_eq!(
        told("SET search_path TO archive, public; SELECT name FROM products"),
        "plain SET search_path TO archive, public\nplain SELECT products.name FROM public.products"
    );
    assert_eq!(
        told("SET LOCAL search_path = 'Odd, one', pg_catalog, \"$user\""),
        "plain SET LOCAL search_path TO \"Odd, one\""
    );
    assert_eq!(told("SET search_path TO ''"), "plain SET search_path TO ''");
    assert_eq!(
        told("SELECT pg_catalog.set_config('search_path', '', false)"),
        "plain SELECT pg_catalog.set_config('search_path', '', false) AS \"set_config\""
    );
    assert_eq!(
        told("SELECT set_config('search_path', 'Public,archive'::text, true) AS \"P\""),
        "plain SELECT pg_catalog.set_config('search_path', 'public, archive', true) AS \"P\""
    );
}

#[test]
fn what_a_name_means_hangs_on_the_path() {
    let of_customers = "SELECT email FROM customers";
    assert!(last(of_customers).starts_with("  "), "{}", last(of_customers));
    for (path, expected) in [
        // The other table has a protected one's name.
        ("archive", "42501 relation"),
        ("archive, public", "42501 relation"),
        ("nowhere", "42P01 unknown_relation"),
        ("''", "42P01 unknown_relation"),
    ] {
        let sql = format!("SET search_path TO {path}; {of_customers}");
        assert_eq!(last(&sql), expected, "{sql}");
    }
    for path in ["public, archive", "nowhere, public", "pg_temp, public", "pg_catalog, public"] {
        let sql = format!("SET search_path TO {path}; {of_customers}");
        let told = told(&sql);
        assert!(told.contains("<public.customers"), "{sql}: {told}");
    }
    assert_eq!(
        last("SET search_path TO archive; CREATE TABLE n (id int)"),
        "42501 not_understood",
        "a restricted role makes nothing"
    );
    let makes = "SET search_path TO shop, public; CREATE TABLE n (id int); SELECT id FROM n";
    let told = judged(makes, Mode::Accounted);
    assert!(told.ends_with("\nplain SELECT n.id FROM shop.n"), "{told}");
}

#[test]
fn a_path_ends_as_the_server_ends_it() {
    let there = "42P01 unknown_relation";
    let home = "plain SELECT products.name FROM public.products";
    for (sql, expected) in [
        ("SET search_path TO x; RESET search_path", home),
        ("SET search_path TO x; SET search_path TO DEFAULT", home),
        ("SET search_path TO x; RESET ALL", home),
        ("SET search_path TO x; SET search_path TO public", home),
        ("BEGIN; SET search_path TO x; ROLLBACK", home),
        ("BEGIN; SET search_path TO x; SAVEPOINT s; RESET search_path; ROLLBACK TO s", there),
        ("BEGIN; SAVEPOINT s; SET search_path TO x; ROLLBACK TO s", home),
        ("BEGIN; SAVEPOINT s; SET search_path TO x; RELEASE s", there),
        ("SET search_path TO x; SET LOCAL search_path TO public", home),
    ] {
        assert_eq!(last(&format!("{sql}; SELECT name FROM products")), expected, "{sql}");
    }
    let path = |path: &[&str]| -> std::sync::Arc<[String]> { names(path).into() };
    let change = |schemas, local| crate::OwnChange::Path { schemas, local };
    let mut own = OwnNames::beginning(path(&["start"]));
    assert_eq!(own.path().unwrap(), ["start"]);
    own.apply(&change(Some(path(&["a"])), false));
    own.apply(&change(Some(path(&["b"])), true));
    assert_eq!(own.path().unwrap(), ["b"]);
    own.end_transaction();
    assert_eq!(own.path().unwrap(), ["a"], "LOCAL ends with the transaction");
    own.apply(&change(None, false));
    own.roll_back();
    assert_eq!(own.path().unwrap(), ["a"]);
    own.discard();
    assert_eq!((own.path().unwrap(), own.is_empty()), (&names(&["start"])[..], false));
    own = OwnNames::default();
    own.apply(&change(Some(path(&["a"])), true));
    own.end_transaction();
    assert!(!own.is_empty(), "it is not known that it has ended");
    own.settle(false);
    assert!(own.is_empty());
    // What was committed is where a chained transaction comes back to, unless it was not.
    own.apply(&change(Some(path(&["a"])), false));
    own.apply(&crate::OwnChange::Commit);
    own.apply(&change(None, false));
    own.apply(&crate::OwnChange::Back);
    assert_eq!(own.path().unwrap(), ["a"]);
    own.apply(&change(None, false));
    own.settle(true);
    assert!(!own.is_empty(), "the first may have been undone");
}

#[test]
fn under_another_path_nothing_of_the_databases_own_runs() {
    for sql in ["SELECT vouched(1)", "SELECT public.vouched(1)", "SELECT * FROM peeking"] {
        let astray = last(&format!("SET search_path TO archive, public; {sql}"));
        assert!(astray.starts_with("42501 "), "{sql}: {astray}");
    }
    assert!(told("SELECT vouched(1)").starts_with("plain "));
    // A name means there what it means here, or nothing.
    assert!(last("SET search_path TO ''; SELECT public.vouched(1)").starts_with("plain "));
    let path = names(&["public"]);
    let text = "SET search_path TO archive; SELECT public.vouched(1)";
    let context = Context::new(&path, PREFIX);
    let judged = analyse(text, &catalogue(), &rules(Mode::Restricted), context).unwrap();
    let Verdict::Refused(refusal) = &judged[1].verdict else { panic!("{judged:?}") };
    assert!(refusal.hint.contains("SET search_path TO DEFAULT"), "{}", refusal.hint);
}

#[test]
fn paths_that_cant_be_followed_are_refused() {
    refused(
        "setting",
        &[
            "SET search_path TO public, pg_temp",
            "SET search_path TO pg_temp_3",
            "SET search_path TO pg_toast",
            "SELECT set_config('search_path', 'public, pg_temp', false)",
        ],
    );
    assert_eq!(told("SELECT set_config('search_path', 'a,', false)"), "22023 setting");
    for sql in [
        "PREPARE p AS SELECT set_config('search_path', $1, false), set_config('app.a', 'b', true)",
        "SELECT set_config('search_path', 'x', false), 1",
        "SELECT set_config('search_path', 'x', false) FROM products",
        "SELECT set_config('search_path', 'x', name = 'a') FROM products",
        "SELECT set_config('search_path', NULL, false)",
        "SELECT (SELECT set_config('search_path', 'x', false))",
        "COPY (SELECT set_config('search_path', 'x', false)) TO STDOUT",
        "EXPLAIN ANALYZE SELECT set_config('search_path', 'x', false)",
        "PREPARE p AS SELECT set_config('search_path', 'x', false)",
        "DECLARE c CURSOR FOR SELECT set_config('search_path', 'x', false)",
        "WITH x AS (SELECT set_config('search_path', 'x', false)) SELECT 1",
        "SELECT set_config('SEARCH_PATH', 'x', false) WHERE false",
        "SELECT set_config('search_path', 'x', false) LIMIT 0",
    ] {
        let told = told(sql);
        assert!(told.starts_with("42501 ") || told.starts_with("0A000 "), "{sql}: {told}");
    }
}
