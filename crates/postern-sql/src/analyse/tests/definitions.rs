//! What roles may make, change and drop.

use super::*;
use crate::OwnNames;

/// The verdicts on a text, with what it defines known to its later statements.
fn told(sql: &str) -> String {
    judged(sql, Mode::Accounted)
}

#[test]
fn what_holds_nothing_protected_is_made() {
    for (sql, sent) in [
        (
            "CREATE TABLE notes (id serial PRIMARY KEY, body text NOT NULL DEFAULT lower('X'), product int REFERENCES products (id), CHECK (length(body) < 100))",
            "CREATE TABLE public.notes (id serial PRIMARY KEY, body pg_catalog.text NOT NULL DEFAULT pg_catalog.lower('X'), product int REFERENCES public.products (id), CHECK (pg_catalog.length(notes.body) < 100))",
        ),
        (
            "CREATE TEMP TABLE t (a int, b text)",
            "CREATE TEMPORARY TABLE t (a int, b pg_catalog.text)",
        ),
        (
            "CREATE TABLE cheap_ones AS SELECT p.* FROM products p WHERE price < 5",
            "CREATE TABLE public.cheap_ones AS SELECT p.* FROM public.products p WHERE p.price < 5",
        ),
        (
            "CREATE INDEX ON products (lower(name)) WHERE price > 1",
            "CREATE INDEX ON public.products USING btree (pg_catalog.lower(products.name)) WHERE products.price > 1",
        ),
        (
            "CREATE VIEW v AS SELECT name FROM products",
            "CREATE VIEW public.v AS SELECT products.name FROM public.products",
        ),
        (
            "ALTER TABLE products ADD COLUMN weight int DEFAULT 1, DROP COLUMN price",
            "ALTER TABLE public.products ADD COLUMN weight int DEFAULT 1, DROP price",
        ),
        ("ALTER TABLE products RENAME TO goods", "ALTER TABLE public.products RENAME TO goods"),
        ("TRUNCATE products", "TRUNCATE public.products"),
        ("DROP TABLE products", "DROP TABLE public.products"),
        ("DROP TABLE IF EXISTS nothing", "DROP TABLE IF EXISTS public.nothing"),
        ("CREATE SEQUENCE s START 5", "CREATE SEQUENCE public.s START 5"),
        ("CREATE SCHEMA shop", "CREATE SCHEMA shop"),
        ("CREATE TYPE mood AS ENUM ('ok')", "CREATE TYPE public.mood AS ENUM ('ok')"),
        (
            "COMMENT ON COLUMN products.price IS 'in cents'",
            "COMMENT ON COLUMN public.products.price IS 'in cents'",
        ),
    ] {
        assert_eq!(told(sql), format!("plain {sent}"), "{sql}");
        let own = sql.contains(" TEMP ") || sql == "DROP TABLE IF EXISTS nothing";
        assert_eq!(judged(sql, Mode::Restricted).starts_with("42501 "), !own, "{sql}");
    }
}

/// Of what restricted roles make nobody else meets anything.
#[test]
fn a_restricted_role_makes_temporary_tables_by_themselves() {
    let told = |sql: &str| judged(sql, Mode::Restricted);
    let last = |sql: &str| told(sql).lines().last().unwrap_or_default().to_owned();
    for (sql, sent) in [
        (
            "CREATE TEMP TABLE t (id int PRIMARY KEY, note text) ON COMMIT DROP",
            "CREATE TEMPORARY TABLE t (id int PRIMARY KEY, note pg_catalog.text) ON COMMIT DROP",
        ),
        (
            "CREATE TEMP TABLE t AS SELECT p.name FROM products p",
            "CREATE TEMPORARY TABLE t AS SELECT p.name FROM public.products p",
        ),
        (
            "SELECT p.name INTO TEMP t FROM products p",
            "CREATE TEMPORARY TABLE t AS SELECT p.name FROM public.products p",
        ),
        ("CREATE TEMP TABLE t (LIKE products)", "CREATE TEMPORARY TABLE t (LIKE public.products)"),
        ("DROP TABLE IF EXISTS t", "DROP TABLE IF EXISTS pg_temp.t"),
    ] {
        assert_eq!(told(sql), format!("plain {sent}"), "{sql}");
    }
    let made = "CREATE TEMP TABLE t (id int, note text); ";
    for (sql, sent) in [
        (
            "CREATE INDEX ON t (lower(note))",
            "CREATE INDEX ON pg_temp.t USING btree (pg_catalog.lower(t.note))",
        ),
        ("ANALYZE t", "ANALYZE pg_temp.t"),
        ("TRUNCATE t", "TRUNCATE pg_temp.t"),
        (
            "INSERT INTO t SELECT id, name FROM products",
            "INSERT INTO pg_temp.t SELECT products.id AS id, products.name AS name FROM public.products",
        ),
        ("DROP TABLE t", "DROP TABLE pg_temp.t"),
    ] {
        assert_eq!(last(&format!("{made}{sql}")), format!("plain {sent}"), "{sql}");
    }
    for sql in [
        "CREATE TABLE t (id int)",
        "CREATE TABLE t AS SELECT 1 AS id",
        "SELECT 1 AS id INTO t",
        "CREATE TEMP VIEW v AS SELECT 1 AS id",
        "CREATE TEMP SEQUENCE s",
        "CREATE TEMP TABLE customers (id int)",
        "CREATE TEMP TABLE t AS SELECT id FROM customers",
        "SELECT id INTO TEMP t FROM customers",
        "CREATE TEMP TABLE t AS SELECT name FROM directory",
        "CREATE TEMP TABLE t (LIKE customers)",
        "CREATE TEMP TABLE t () INHERITS (products)",
        "CREATE TEMP TABLE t (id int) PARTITION BY RANGE (id)",
        "CREATE TEMP TABLE t PARTITION OF products DEFAULT",
        "CREATE TEMP TABLE t (id bigint REFERENCES customers (id))",
        "CREATE TEMP TABLE t (a text CHECK (peek(a) = 'x'))",
        "CREATE INDEX ON products (name)",
        "CREATE INDEX ON customers (email)",
        "TRUNCATE products",
        "ANALYZE",
        "ANALYZE products",
        "ANALYZE customers",
        "VACUUM",
        "DROP TABLE products",
        "DROP TABLE IF EXISTS products",
        "DROP TABLE IF EXISTS public.t",
        "DROP TABLE customers",
        "DROP VIEW directory",
        "DROP INDEX IF EXISTS i",
        "CREATE TEMP TABLE t (id int); TRUNCATE t, products",
        "CREATE TEMP TABLE t (id int); DROP TABLE t, products",
        "CREATE TEMP TABLE t (id int); ANALYZE t, customers",
        "CREATE TEMP TABLE t (id int); ALTER TABLE t INHERIT products",
        "CREATE TEMP TABLE t (id int); ALTER TABLE t RENAME TO customers",
        "CREATE TEMP TABLE t (id int); INSERT INTO t SELECT id FROM customers",
        "CREATE TEMP TABLE t (id int); INSERT INTO t SELECT 1 WHERE EXISTS (SELECT FROM customers)",
        "CREATE TEMP TABLE t (id int); DELETE FROM t USING customers c WHERE c.id = t.id",
        "CREATE TEMP TABLE t (id int); UPDATE t SET id = 1 WHERE id IN (SELECT id FROM customers)",
        "CREATE TEMP TABLE t (id int); WITH w AS (DELETE FROM t RETURNING id) SELECT c.id FROM customers c JOIN w ON w.id = c.id",
    ] {
        assert!(last(sql).starts_with("42501 "), "{sql}: {}", last(sql));
    }
}

/// Code that nobody lists runs, too: a policy's, which looks in `pg_temp` first.
#[test]
fn a_temporary_table_has_no_name_that_another_table_has() {
    let mut rules = rules(Mode::Restricted);
    (rules.functions, rules.relations) = (Vec::new(), Vec::new());
    let path = names(&["public"]);
    let context = Context::new(&path, PREFIX);
    for (sql, made) in [
        ("CREATE TEMP TABLE products (id int)", false),
        ("CREATE TEMP TABLE product (id int)", true),
    ] {
        let verdict = analyse(sql, &catalogue(), &rules, context).unwrap().pop().unwrap().verdict;
        assert_eq!(matches!(verdict, Verdict::Plain(_)), made, "{sql}");
    }
}

/// What is read to say who may see whom is looked for by its name.
#[test]
fn a_table_that_reasons_read_is_not_made_anew_by_a_restricted_role() {
    let mut rules = rules(Mode::Restricted);
    rules.reason_names = names(&["shifts"]);
    let path = names(&["public"]);
    let context = Context::new(&path, PREFIX);
    for (sql, made) in
        [("CREATE TEMP TABLE shifts (id int)", false), ("CREATE TEMP TABLE shift (id int)", true)]
    {
        let verdict = analyse(sql, &catalogue(), &rules, context).unwrap().pop().unwrap().verdict;
        assert_eq!(matches!(verdict, Verdict::Plain(_)), made, "{sql}");
    }
}

/// Temporary tables are looked for first, and a path has several schemas.
#[test]
fn what_is_made_takes_no_others_place_for_what_is_vouched_for() {
    let mut rules = rules(Mode::Accounted);
    let path = names(&["public"]);
    let judged = |sql: &str, rules: &Rules| {
        let context = Context::new(&path, PREFIX);
        let verdict = analyse(sql, &catalogue(), rules, context).unwrap().pop().unwrap().verdict;
        matches!(verdict, Verdict::Refused(refusal) if refusal.rule == "definition")
    };
    let made = [
        "CREATE TEMP TABLE products (id int)",
        "CREATE TABLE pg_temp.products AS SELECT 1 AS id",
        "CREATE TEMP VIEW products AS SELECT 1 AS id",
        "CREATE TEMP TABLE tier (id int)",
        "CREATE TABLE other.products (id int)",
        "CREATE TEMP TABLE t (id int); ALTER TABLE t RENAME TO products",
    ];
    for sql in made {
        assert!(judged(sql, &rules), "{sql}");
    }
    assert!(!judged("CREATE TEMP TABLE goods (id int)", &rules));
    rules.functions.clear();
    for sql in made {
        assert!(!judged(sql, &rules), "{sql}");
    }
}

#[test]
fn what_is_protected_is_not_built_upon_or_changed() {
    for sql in [
        "CREATE TABLE copy AS SELECT * FROM customers",
        "CREATE TABLE copy AS SELECT * FROM directory",
        "CREATE TABLE copy (a bigint REFERENCES customers (id))",
        "CREATE TABLE copy () INHERITS (customers)",
        "CREATE TABLE copy (LIKE customers INCLUDING ALL)",
        "CREATE TABLE copy PARTITION OF accounts DEFAULT",
        "CREATE TABLE copy (a int DEFAULT (SELECT count(*) FROM customers))",
        "CREATE TABLE copy (a text CHECK (peek(a) = 'x'))",
        "CREATE TABLE copy (a text DEFAULT current_query())",
        "CREATE TABLE customers (id int)",
        "CREATE TABLE IF NOT EXISTS customers (id int)",
        "CREATE TEMP TABLE customers (id int)",
        "CREATE TABLE archive.tickets (id int)",
        "CREATE TABLE pg_catalog.x (id int)",
        "CREATE VIEW v AS SELECT * FROM customers",
        "CREATE OR REPLACE VIEW directory AS SELECT 1 AS id",
        "CREATE MATERIALIZED VIEW v AS SELECT * FROM products",
        "CREATE INDEX ON customers (email)",
        "CREATE INDEX ON products (peek(name))",
        "ALTER TABLE customers ADD COLUMN a int",
        "ALTER TABLE customers RENAME TO c",
        "ALTER TABLE products RENAME TO customers",
        "ALTER TABLE products ADD FOREIGN KEY (id) REFERENCES customers (id)",
        "ALTER TABLE products INHERIT customers",
        "ALTER TABLE products OWNER TO me",
        "ALTER TABLE products ALTER name TYPE text USING peek(name)",
        "ALTER TABLE products ENABLE ROW LEVEL SECURITY",
        "TRUNCATE customers",
        "TRUNCATE products CASCADE",
        "DROP TABLE customers",
        "DROP VIEW directory",
        "DROP SCHEMA public CASCADE",
        "COMMENT ON TABLE customers IS 'x'",
        "SELECT * INTO copy FROM customers",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TRIGGER t BEFORE INSERT ON products FOR EACH ROW EXECUTE FUNCTION log_it()",
        "CREATE TABLE pk_x (a int)",
    ] {
        assert!(told(sql).starts_with("42501 "), "{sql}: {}", told(sql));
    }
}

#[test]
fn what_was_defined_is_known_to_what_comes_after() {
    let lines = told(
        "CREATE TEMP TABLE t (a int, b text); INSERT INTO t VALUES (1, 'x'); SELECT b FROM t; \
         ALTER TABLE t ADD c int; SELECT c FROM t; DROP TABLE t",
    );
    let sent: Vec<&str> = lines.lines().collect();
    assert_eq!(sent[1], "plain INSERT INTO pg_temp.t VALUES (1, 'x')");
    assert_eq!(sent[2], "plain SELECT t.b FROM pg_temp.t");
    assert_eq!(sent[4], "plain SELECT t.c FROM pg_temp.t");
    assert_eq!(sent[5], "plain DROP TABLE pg_temp.t");
    let lines =
        told("DROP TABLE products; CREATE TABLE products (other int); SELECT other FROM products");
    assert!(lines.ends_with("plain SELECT products.other FROM public.products"), "{lines}");
    assert!(told("CREATE TABLE a (x int); SELECT y FROM a").ends_with("42703 unknown_column"));
    assert!(told("CREATE TABLE a (x int); DROP TABLE a; SELECT x FROM a").contains("42P01"));
    // It is not made where it is there already.
    assert!(
        told("CREATE TABLE IF NOT EXISTS products (y int); SELECT y FROM products")
            .contains("42703")
    );
}

/// The snapshot has the word where it shows another relation than the one that was replaced.
#[test]
fn a_sessions_own_word_hides_nothing_that_others_make() {
    let path = names(&["public"]);
    let accounted = rules(Mode::Accounted);
    let context = Context::new(&path, PREFIX);
    let own = |sql: &str| {
        let mut own = OwnNames::default();
        for statement in analyse(sql, &catalogue(), &accounted, context).unwrap() {
            let Verdict::Plain(plain) = statement.verdict else { panic!("{sql}") };
            assert!(plain.changes.iter().all(|change| own.apply(change)));
        }
        own
    };
    let under = |own: &OwnNames, change: (&str, &str), sql: &str| {
        let json = include_str!("../fixture.json");
        assert!(json.contains(change.0), "{}", change.0);
        let catalogue = Catalogue::from_json(&json.replacen(change.0, change.1, 1)).unwrap();
        let context = Context { own: Some(own), ..context };
        let statements = analyse(sql, &catalogue, &accounted, context).unwrap();
        matches!(statements[0].verdict, Verdict::Guarded(_))
    };
    // A view of another's that reads customers comes under the name of the session's own table.
    let made = own("CREATE TABLE listing (id int, name text)");
    let same = ("\"name\": \"directory\"", "\"name\": \"directory\"");
    let named = ("\"name\": \"directory\"", "\"name\": \"listing\"");
    assert!(!under(&made, same, "SELECT name FROM listing"));
    assert!(under(&made, named, "SELECT name FROM listing"));
    let mut ended = made.clone();
    ended.end_transaction();
    assert!(ended.is_empty());
}

/// The server may know other columns of a session's own table than the session has said: it is told
/// which ones are meant, so that no place, no common name and no bare one can mean anything else.
#[test]
fn a_sessions_own_table_has_the_columns_that_it_was_judged_by() {
    let told = |sql: &str| told(&format!("CREATE TEMP TABLE x (a int, email text); {sql}"));
    let own = "(SELECT x.a AS a, x.email AS email FROM pg_temp.x x) x";
    for (sql, as_written) in [
        (
            "SELECT x.*, c.id FROM x, customers c",
            format!("SELECT x.*, c.id, c.id AS pk_k1 FROM {own},"),
        ),
        ("SELECT c.id FROM customers c NATURAL JOIN x", format!("NATURAL JOIN {own}")),
        (
            "SELECT x.a, c.id FROM x TABLESAMPLE system (10), customers c",
            "FROM (SELECT x.a AS a, x.email AS email FROM pg_temp.x x TABLESAMPLE system(10)) x"
                .to_owned(),
        ),
        (
            "SELECT s.p, c.id FROM x s (p), customers c",
            "FROM (SELECT s.a AS a, s.email AS email FROM pg_temp.x s) s(p)".to_owned(),
        ),
    ] {
        let told = told(sql);
        assert!(told.contains(&as_written), "{sql}: {told}");
    }
    assert!(told("SELECT * FROM x").ends_with("plain SELECT * FROM pg_temp.x"));
    assert!(told("UPDATE x SET a = 1").ends_with("plain UPDATE pg_temp.x SET a = 1"));
    let told = told("DELETE FROM x USING customers c WHERE c.id = x.a");
    assert!(told.contains("42501"), "{told}");
}

#[test]
fn what_is_rolled_back_is_not_believed() {
    for (sql, known) in [
        // BEGIN goes on with the transaction that the text has begun.
        ("BEGIN; ALTER TABLE t ADD b int; ROLLBACK; SELECT b FROM t", false),
        ("BEGIN; SAVEPOINT s; ALTER TABLE t ADD b int; ROLLBACK TO s; SELECT b FROM t", false),
        ("BEGIN; ALTER TABLE t ADD b int; SAVEPOINT s; ROLLBACK TO s; SELECT b FROM t", true),
        (
            "BEGIN; SAVEPOINT s; ALTER TABLE t ADD b int; RELEASE s; SAVEPOINT s; ROLLBACK TO s; SELECT b FROM t",
            true,
        ),
        (
            "BEGIN; SAVEPOINT s; ALTER TABLE t ADD b int; SAVEPOINT s; RELEASE s; ROLLBACK TO s; SELECT b FROM t",
            false,
        ),
        ("CREATE TEMP TABLE IF NOT EXISTS t (b int); SELECT b FROM t", false),
        ("BEGIN; ALTER TABLE t ADD b int; COMMIT; SELECT b FROM t", true),
    ] {
        let lines = told(&format!("CREATE TEMP TABLE t (a int); {sql}"));
        let last = lines.lines().last().unwrap_or_default();
        assert_eq!(last == "plain SELECT t.b FROM pg_temp.t", known, "{sql}: {last}");
        assert!(known || last.starts_with("42703") || last.starts_with("42P01"), "{sql}: {last}");
    }
}

#[test]
fn a_view_does_nothing_that_may_not_be_done_beside_protected_tables() {
    for sql in [
        "CREATE TEMP VIEW v AS SELECT nextval('s') AS n",
        "CREATE TEMP VIEW v AS SELECT set_config('jit', 'on', false) AS n",
        "CREATE VIEW v AS SELECT clock_timestamp() AS n",
        "CREATE VIEW v AS SELECT random() AS n",
    ] {
        let told = told(sql);
        assert!(told.starts_with("42501 "), "{sql}: {told}");
    }
    assert!(told("CREATE TEMP VIEW v AS SELECT now() AS n").starts_with("plain "));
}

#[test]
fn a_long_definition_is_too_complex() {
    let columns: Vec<String> = (0..1_500).map(|n| format!("c{n} int")).collect();
    let table = format!("CREATE TEMP TABLE big ({})", columns.join(", "));
    let parents = vec!["big"; 4_000].join(", ");
    let checks = vec!["CHECK (true)"; 5_000].join(", ");
    let more: Vec<String> = (0..1_601).map(|n| format!("c{n} int")).collect();
    for (sql, code) in [
        (format!("{table}; CREATE TEMP TABLE t () INHERITS ({parents})"), "54001"),
        (
            format!("{table}; ALTER TABLE big ADD {}", vec!["CHECK (true)"; 5_000].join(", ADD ")),
            "54001",
        ),
        (format!("CREATE TEMP TABLE t ({}, {checks})", columns.join(", ")), "54001"),
        (format!("CREATE TEMP TABLE t ({})", more.join(", ")), "54011"),
    ] {
        let lines = told(&sql);
        let last = lines.lines().last().unwrap_or_default();
        assert!(last.starts_with(code), "{}: {last}", &sql[..60]);
    }
}
