use super::{PREFIX, analyse, catalogue, check, judged, names, refused, rules};
use crate::{Catalogue, Context, Effect, Mode, Rules, Verdict};

#[test]
fn what_touches_nothing_protected_is_written_anew() {
    check(
        "WITH customers AS (SELECT 1 AS id) SELECT id FROM customers",
        "plain WITH customers AS (SELECT 1 AS id) SELECT customers.id FROM customers",
    );
    check("SELECT name FROM cheap", "plain SELECT cheap.name FROM public.cheap");
    check(
        "SELECT 't'::bool, bool 'f', 'true'::bool, 'ab '::bpchar, 'ab'::char, 'ab'::char(3)",
        "plain SELECT true::boolean, false::boolean, 'true'::boolean, \
         char 'ab ', 'ab'::char(1), 'ab'::char(3)",
    );
    check(
        "SELECT name FROM products WHERE id = 1 FOR UPDATE",
        "plain SELECT products.name FROM public.products WHERE products.id = 1 FOR UPDATE",
    );
    check(
        "SELECT 'x'::tier, 'y'::short_text",
        "plain SELECT 'x'::public.tier, 'y'::public.short_text",
    );
    check("SELECT 1 OPERATOR(pg_catalog.+) 1", "plain SELECT 1 OPERATOR(pg_catalog.+) 1");
    check(
        "SELECT a FROM generate_series(1, 3) a",
        "plain SELECT a FROM pg_catalog.generate_series(1, 3) a",
    );
    check(
        "INSERT INTO products (id, name, price) VALUES (1, 'a', 2) ON CONFLICT (id) DO UPDATE SET name = excluded.name RETURNING *",
        "plain INSERT INTO public.products (id, name, price) VALUES (1, 'a', 2) ON CONFLICT (id) DO UPDATE SET name = excluded.name RETURNING *",
    );
    check(
        "UPDATE products SET price = price + 1 WHERE id = $1",
        "plain UPDATE public.products SET price = products.price + 1 WHERE products.id = $1",
    );
    check(
        "DELETE FROM products USING agents WHERE name = login",
        "plain DELETE FROM public.products USING public.agents WHERE products.name = agents.login",
    );
    check(
        "SELECT relname FROM pg_class WHERE oid = 'customers'::regclass",
        "plain SELECT pg_class.relname FROM pg_catalog.pg_class WHERE pg_class.oid = 'customers'::pg_catalog.regclass",
    );
    check(
        "SELECT table_name FROM information_schema.tables",
        "plain SELECT tables.table_name FROM information_schema.tables",
    );
    check("SELECT 1 === 1", "42501 operator");
}

#[test]
fn fields_of_rows_stay_fields() {
    check(
        "SELECT c.relname, x.key, (x).value FROM pg_class c, json_each('{}') x",
        "plain SELECT c.relname, x.key, (x).value FROM pg_catalog.pg_class c, pg_catalog.json_each('{}') x",
    );
    check(
        "SELECT * FROM unnest(ARRAY[1, 2], ARRAY['a', 'b']) AS u(a, b)",
        "plain SELECT * FROM ROWS FROM (pg_catalog.unnest(ARRAY[1, 2]) , pg_catalog.unnest(ARRAY['a', 'b']) ) u(a, b)",
    );
    check(
        "SELECT x.a, y.i FROM json_to_recordset('[]') x(a int), unnest(ARRAY[1]) WITH ORDINALITY y(v, i)",
        "plain SELECT x.a, y.i FROM pg_catalog.json_to_recordset('[]') x (a int), pg_catalog.unnest(ARRAY[1]) WITH ORDINALITY y(v, i)",
    );
    check(
        "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT r.n + 1 FROM r WHERE r.n < 9) SELECT r.n FROM r",
        "plain WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT r.n + 1 AS \"?column?\" FROM r WHERE r.n < 9) SELECT r.n FROM r",
    );
    check("SELECT (p).name FROM products p", "plain SELECT (p).name FROM public.products p");
}

#[test]
fn the_literals_of_definitions_are_blanked() {
    check(
        "SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef",
        &[
            "plain SELECT pg_catalog.regexp_replace(\
             pg_catalog.pg_get_expr(pg_attrdef.adbin, pg_attrdef.adrelid)::pg_catalog.text, ",
            r"E'(''(?:[-a-z_ %.,:()\\[\\]{}*?]|%@%|'''')*'')|''(?:[^'']|'''')*''|\\m\\d{6,}\\M', ",
            r"E'\\1', 'g') AS pg_get_expr FROM pg_catalog.pg_attrdef",
        ]
        .concat(),
    );
    for prints in [
        "SELECT pg_get_statisticsobjdef_columns(oid) FROM pg_statistic_ext",
        "SELECT pg_get_partition_constraintdef(oid) FROM pg_class",
        "SELECT pg_get_function_arg_default(oid, 1) FROM pg_proc",
    ] {
        assert!(judged(prints, Mode::Restricted).contains("regexp_replace"), "{prints}");
    }
}

#[test]
fn something_else_stands_for_a_covered_column_wherever_it_is_named() {
    check(
        "SELECT proname, p.prosrc FROM pg_proc p WHERE prosrc LIKE 'a%' ORDER BY p.prosrc",
        "plain SELECT p.proname, NULL::pg_catalog.text AS prosrc FROM pg_catalog.pg_proc p \
         WHERE NULL::pg_catalog.text LIKE 'a%' ORDER BY NULL::pg_catalog.text",
    );
    check(
        "SELECT x.* FROM (SELECT * FROM pg_attrdef) x",
        "plain SELECT x.* FROM (SELECT pg_attrdef.oid AS oid, pg_attrdef.adrelid AS adrelid, \
         pg_attrdef.adnum AS adnum, NULL::pg_catalog.pg_node_tree AS adbin \
         FROM pg_catalog.pg_attrdef) x",
    );
    let detour = "SELECT pg_get_expr(CASE WHEN true THEN adbin END, adrelid) FROM pg_attrdef";
    let detour = judged(detour, Mode::Restricted);
    assert!(detour.contains("CASE WHEN true THEN NULL::pg_catalog.pg_node_tree END"), "{detour}");
    check(
        "SELECT (SELECT prosrc) FROM pg_catalog.pg_proc GROUP BY pg_catalog.pg_proc.prosrc",
        "plain SELECT (SELECT NULL::pg_catalog.text AS prosrc) FROM pg_catalog.pg_proc \
         GROUP BY NULL::pg_catalog.text",
    );
    for literal in [
        "SELECT column_default FROM information_schema.columns",
        "SELECT v.* FROM information_schema.views v",
        "SELECT indexdef FROM pg_indexes",
    ] {
        assert!(judged(literal, Mode::Restricted).contains("regexp_replace("), "{literal}");
    }
}

#[test]
fn a_star_over_a_catalogue_beside_a_function_is_written_item_by_item() {
    // Django looks for indexes so.
    check(
        "SELECT idx.*, idx.key, option FROM (SELECT * FROM pg_attrdef i, \
         unnest(ARRAY[i.oid], '{1}'::int[]) WITH ORDINALITY koi(key, option, arridx)) idx",
        "plain SELECT idx.*, idx.key, option FROM (SELECT i.oid AS oid, i.adrelid AS adrelid, \
         i.adnum AS adnum, NULL::pg_catalog.pg_node_tree AS adbin, koi.* \
         FROM pg_catalog.pg_attrdef i, ROWS FROM (pg_catalog.unnest(ARRAY[i.oid]) , pg_catalog.unnest('{1}'::int[]) ) \
         WITH ORDINALITY koi(key, option, arridx)) idx",
    );
    check(
        "SELECT * FROM json_each('{}') x, pg_attrdef d",
        "plain SELECT x.*, d.oid AS oid, d.adrelid AS adrelid, d.adnum AS adnum, \
         NULL::pg_catalog.pg_node_tree AS adbin \
         FROM pg_catalog.json_each('{}') x, pg_catalog.pg_attrdef d",
    );
    // Which columns stand first is not known, or whose a row is.
    refused(
        "star",
        &[
            "SELECT * FROM pg_attrdef d, json_each('{}') x NATURAL JOIN json_each('{}') y",
            "SELECT * FROM pg_attrdef d, json_each('{}') x JOIN json_each('{}') y USING (key)",
            "SELECT * FROM pg_attrdef d, json_each('{}') x, customers c",
            "SELECT * FROM (SELECT * FROM pg_attrdef d, json_each('{}') x) z, customers c",
        ],
    );
    // Nothing is called by what looks like a field.
    refused(
        "function",
        &["SELECT z.peek FROM (SELECT * FROM pg_attrdef d, json_each('{}') peek) z"],
    );
}

/// Tools look at what the server does, and go on where there is nothing to see.
#[test]
fn of_what_the_server_does_the_session_is_shown_its_own() {
    check(
        "SELECT a.pid, principal, a.* FROM pg_stat_gssapi a",
        "plain SELECT a.pid, a.principal, a.* FROM (SELECT a.pid AS pid, \
         a.gss_authenticated AS gss_authenticated, NULL::pg_catalog.text AS principal, \
         a.encrypted AS encrypted FROM pg_catalog.pg_stat_gssapi a \
         WHERE a.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()) a",
    );
    let activity = judged("SELECT count(*) FROM pg_stat_activity", Mode::Restricted);
    for text in ["NULL::pg_catalog.text AS query", "pid OPERATOR(pg_catalog.=) pg_catalog.pg_back"]
    {
        assert!(activity.contains(text), "{activity}");
    }
    let locks = judged("SELECT l FROM pg_catalog.pg_locks l (a, b)", Mode::Restricted);
    assert!(locks.starts_with("plain SELECT l FROM (SELECT NULL::pg_catalog.text AS locktype,"));
    assert!(locks.ends_with(" WHERE false) l(a, b)"), "{locks}");
    // A view of the administrator's is sent by its name.
    refused("not_understood", &["SELECT * FROM pg_locks TABLESAMPLE system (1)"]);
    refused(
        "catalogue",
        &["SELECT * FROM pg_stats", "TABLE pg_prepared_statements", "TABLE pg_cursors"],
    );
    let all = judged("SHOW ALL", Mode::Restricted);
    assert!(all.contains("pg_catalog.lower(s.name) OPERATOR(pg_catalog.=) ANY ('{"), "{all}");
    check("SELECT txid_current()", "plain SELECT pg_catalog.txid_current()");
    refused("sequence", &["SELECT txid_current() FROM customers"]);
    check(
        "SELECT pg_stat_get_numscans(1)",
        "plain SELECT CASE WHEN false THEN pg_catalog.pg_stat_get_numscans(1) END \
         AS pg_stat_get_numscans",
    );
}

#[test]
fn sizes_are_answered_by_null_and_never_looked_at() {
    check(
        "SELECT pg_size_pretty(pg_table_size(c.oid)) AS size FROM pg_class c WHERE c.oid = $1",
        "plain SELECT pg_catalog.pg_size_pretty(CASE WHEN false THEN \
         pg_catalog.pg_table_size(c.oid) END) AS size FROM pg_catalog.pg_class c WHERE c.oid = $1",
    );
    check(
        "SELECT pg_total_relation_size($1)",
        "plain SELECT CASE WHEN false THEN pg_catalog.pg_total_relation_size($1) END \
         AS pg_total_relation_size",
    );
}

#[test]
fn a_function_of_the_name_of_a_built_in_one_is_not_called() {
    let json = include_str!("../fixture.json");
    let added = r#""functions": [{"oid": 20000, "schema": "pg_catalog", "name": "lower",
        "kind": "f", "set": false, "extension": null}, "#;
    let json = json.replacen("\"functions\": [", added, 1);
    let catalogue = Catalogue::from_json(&json).unwrap();
    let path = [];
    let context = Context::new(&path, "pk_");
    let rules = Rules {
        mode: Mode::Restricted,
        tables: Vec::new(),
        functions: Vec::new(),
        relations: Vec::new(),
        unprotected: None,
        reason_names: Vec::new(),
    };
    for (sql, allowed) in [("SELECT lower('X')", false), ("SELECT upper('x')", true)] {
        let judged = analyse(sql, &catalogue, &rules, context).unwrap();
        assert_eq!(matches!(judged[0].verdict, Verdict::Plain(_)), allowed, "{sql}");
    }
}

/// A statement that can't change anything may be sent again, and a cursor may read it.
#[test]
fn what_drivers_ask_for_keys_with_changes_nothing() {
    let sql = "SELECT (information_schema._pg_expandarray(ARRAY[1, 2])).n";
    let json = include_str!("../fixture.json");
    let added = r#""functions": [{"oid": 20000, "schema": "information_schema",
        "name": "_pg_expandarray", "kind": "f", "set": true, "extension": null}, "#;
    let added = json.replacen("\"functions\": [", added, 1);
    let path = [];
    let context = Context::new(&path, "pk_");
    let judged = |json: &str| {
        let catalogue = Catalogue::from_json(json).unwrap();
        let rules = rules(Mode::Restricted);
        analyse(sql, &catalogue, &rules, context).unwrap().remove(0).verdict
    };
    match judged(json) {
        Verdict::Plain(plain) => assert_eq!(plain.effect, Effect::Query),
        verdict => panic!("{verdict:?}"),
    }
    match judged(&added) {
        Verdict::Refused(refusal) => assert_eq!(refusal.rule, "function"),
        verdict => panic!("{verdict:?}"),
    }
}

/// They are told by the extension that they belong to: anybody may name a function so.
#[test]
fn what_an_extension_computes_is_allowed() {
    check(
        "SELECT similarity(name, 'x'), public.similarity('a', 'b') FROM products ORDER BY 1",
        "plain SELECT public.similarity(products.name, 'x'), public.similarity('a', 'b') FROM public.products ORDER BY 1",
    );
    check(
        "SELECT id, similarity(name, 'x') FROM customers WHERE similarity(name, 'x') > 0.3",
        "SELECT customers.id, public.similarity(customers.name, 'x'), customers.id AS pk_k1 FROM <public.customers b> customers WHERE public.similarity(customers.name, 'x') > 0.3
  2 columns, keys [0]
  public.customers masked name",
    );
    refused(
        "function",
        &[
            "SELECT set_limit(0.5)",
            "SELECT soundex('a')",
            "SELECT public.metaphone('a', 4)",
            "SELECT other.similarity('a', 'b')",
            "SELECT pg_catalog.similarity('a', 'b')",
        ],
    );
}

#[test]
fn transactions_and_settings_are_forwarded_or_answered() {
    check(
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        "plain BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY",
    );
    check("SAVEPOINT a", "plain SAVEPOINT a");
    check("ROLLBACK TO SAVEPOINT a", "plain ROLLBACK TO SAVEPOINT a");
    check("SET extra_float_digits = 3", "plain SET extra_float_digits TO 3");
    check("SET client_encoding TO 'UTF8'", r#"Tag("SET")"#);
    check("SET standard_conforming_strings = on", r#"Tag("SET")"#);
    check("SET search_path = public", r#"Tag("SET")"#);
    check("SET TIME ZONE 'UTC'", r#"plain SET TIME ZONE "UTC""#);
    check("SHOW server_version", "plain SHOW server_version");
    check("SHOW TRANSACTION ISOLATION LEVEL", "plain SHOW TRANSACTION ISOLATION LEVEL");
    check("SET statement_timeout = 5000", "plain SET statement_timeout TO 5000");
    check("SET statement_timeout = '30s'", r#"plain SET statement_timeout TO "30s""#);
    check("SET statement_timeout = '60 min'", r#"plain SET statement_timeout TO "60 min""#);
    check("SET statement_timeout TO DEFAULT", "plain SET statement_timeout TO DEFAULT");
    check("DISCARD ALL", "plain DISCARD ALL");
    check("DEALLOCATE ALL", "plain DEALLOCATE ALL");
    check("CLOSE ALL", "plain CLOSE ALL");
    check("RESET ALL", "plain RESET ALL");
}

#[test]
fn what_drivers_and_pools_ask_on_their_own_goes_through() {
    check(
        "SELECT current_setting('jit') AS cur, set_config('jit', 'off', false) AS new",
        "plain SELECT pg_catalog.current_setting('jit') AS cur, \
         pg_catalog.set_config('jit', 'off', false) AS new",
    );
    check(
        "SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL",
        "plain SELECT pg_catalog.pg_advisory_unlock_all()\n\
         plain CLOSE ALL\nplain UNLISTEN *\nplain RESET ALL",
    );
    check(
        "SELECT set_config('jit', $1, false)",
        "plain SELECT pg_catalog.set_config('jit', $1, false)",
    );
    check(
        "SELECT set_config('TimeZone', 'UTC', true), set_config('statement_timeout', '5s', false)",
        "plain SELECT pg_catalog.set_config('TimeZone', 'UTC', true), \
         pg_catalog.set_config('statement_timeout', '5s', false)",
    );
    refused(
        "function",
        &[
            "SELECT set_config('role', name, false) FROM products",
            "SELECT set_config('statement_timeout', '0', false)",
            "SELECT set_config('statement_timeout', $1, false)",
            "SELECT set_config('DateStyle', (SELECT 'ISO'), false)",
            "SELECT set_config('jit', name, false) FROM customers",
            "SELECT set_config(name, 'off', false) FROM customers",
            "SELECT public.set_config('jit', 'off', false)",
            "SELECT set_config('jit', 'off')",
            "SELECT set_config('jit', 'off', false) OVER ()",
        ],
    );
}

#[test]
fn common_tables_may_write_what_is_unprotected() {
    check(
        "WITH gone AS (DELETE FROM products WHERE price = 0 RETURNING *) INSERT INTO products (id, name) SELECT id, name FROM gone",
        "plain WITH gone AS (DELETE FROM public.products WHERE products.price = 0 RETURNING *) INSERT INTO public.products (id, name) SELECT gone.id AS id, gone.name AS name FROM gone",
    );
    check(
        "WITH x AS (UPDATE products SET price = 0 FROM agents a WHERE a.login = products.name RETURNING *) SELECT id, login FROM x",
        "plain WITH x AS (UPDATE public.products SET price = 0 FROM public.agents a WHERE a.login = products.name RETURNING *) SELECT x.id, x.login FROM x",
    );
    check(
        "WITH x (number) AS (INSERT INTO products (id, name, price) VALUES (1, 'a', 2) RETURNING id, upper(name)) SELECT number, upper FROM x",
        "plain WITH x(number) AS (INSERT INTO public.products (id, name, price) VALUES (1, 'a', 2) RETURNING products.id, pg_catalog.upper(products.name)) SELECT x.number, x.upper FROM x",
    );
    check(
        "WITH x AS (WITH y AS (SELECT 1 AS id) DELETE FROM products USING y WHERE y.id = products.id RETURNING y.id) SELECT id FROM x",
        "plain WITH x AS (WITH y AS (SELECT 1 AS id) DELETE FROM public.products USING y WHERE y.id = products.id RETURNING y.id) SELECT x.id FROM x",
    );
    check(
        "WITH x AS (WITH y AS (SELECT 1 AS id) DELETE FROM products USING y WHERE y.id = products.id RETURNING y.id) SELECT id FROM y",
        "42P01 unknown_relation",
    );
}

#[test]
fn unprotected_tables_can_be_merged_into() {
    check(
        "MERGE INTO products AS p USING (VALUES (1, 'a', 2)) AS v(id, name, price) ON v.id = p.id WHEN MATCHED AND v.price > p.price THEN UPDATE SET price = v.price, name = upper(v.name) WHEN MATCHED THEN DO NOTHING WHEN NOT MATCHED THEN INSERT (id, name, price) VALUES (v.id, v.name, v.price)",
        "plain MERGE INTO public.products p USING (VALUES (1, 'a', 2)) v(id, name, price) ON v.id = p.id WHEN MATCHED AND v.price > p.price THEN UPDATE SET price = v.price, name = pg_catalog.upper(v.name) WHEN MATCHED THEN DO NOTHING WHEN NOT MATCHED THEN INSERT (id, name, price) VALUES (v.id, v.name, v.price)",
    );
    check(
        "WITH s AS (SELECT login FROM agents) MERGE INTO products USING s ON s.login = products.name WHEN MATCHED THEN DELETE",
        "plain WITH s AS (SELECT agents.login AS login FROM public.agents) MERGE INTO public.products USING s ON s.login = products.name WHEN MATCHED THEN DELETE",
    );
}

#[test]
fn no_transaction_is_serializable() {
    refused(
        "isolation",
        &[
            "BEGIN ISOLATION LEVEL SERIALIZABLE",
            "START TRANSACTION READ ONLY, ISOLATION LEVEL SERIALIZABLE",
            "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
            "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE",
            "SET default_transaction_isolation = 'Serializable'",
            "SET LOCAL default_transaction_isolation TO serializable",
        ],
    );
    refused("setting", &["SET transaction_isolation = 'serializable'"]);
    check(
        "SET default_transaction_isolation = 'repeatable read'",
        "plain SET default_transaction_isolation TO \"repeatable read\"",
    );
}

#[test]
fn random_numbers_tell_nothing_of_the_rows() {
    let drawn = "(pg_catalog.hashtextextended(pg_catalog.gen_random_uuid()::pg_catalog.text \
                 COLLATE pg_catalog.\"C\", 0) OPERATOR(pg_catalog.&) 9007199254740991)\
                 ::double precision OPERATOR(pg_catalog./) (9007199254740992)::double precision";
    check(
        "SELECT random(), id FROM customers ORDER BY random() LIMIT 5",
        &format!(
            "SELECT {drawn} AS random, customers.id, customers.id AS pk_k1 FROM <public.customers b> \
             customers ORDER BY {drawn} LIMIT 5
  2 columns, keys [0]
  public.customers"
        ),
    );
    check(
        "SELECT random(), name FROM products",
        "plain SELECT pg_catalog.random(), products.name FROM public.products",
    );
    let random =
        include_str!("../fixture.json").replace("(products.price < 100)", "(random() < 0.5)");
    let random = Catalogue::from_json(&random).unwrap();
    let path = names(&["public"]);
    let verdict = |sql: &str| {
        let context = Context::new(&path, PREFIX);
        match &analyse(sql, &random, &rules(Mode::Restricted), context).unwrap()[0].verdict {
            Verdict::Refused(refusal) => refusal.rule.to_owned(),
            Verdict::Plain(_) => "plain".to_owned(),
            other => format!("{other:?}"),
        }
    };
    // What a view draws is drawn where it is.
    assert_eq!(verdict("SELECT name FROM cheap"), "plain");
    for sql in [
        "SELECT c.id FROM customers c, cheap",
        "SELECT c.id FROM customers c, LATERAL (SELECT name FROM of_cheap WHERE id = c.id) x",
    ] {
        assert_eq!(verdict(sql), "random", "{sql}");
    }
}

/// Where PostgreSQL would point to.
#[test]
fn what_does_not_exist_is_pointed_at() {
    for marked in [
        "SELECT |nothing FROM products",
        "SELECT 'größer', |c.nothing FROM customers c",
        "SELECT 1 FROM |nothing",
        "SELECT 1; SELECT name FROM products WHERE |x.name = 'a'",
        "UPDATE products SET name = |nothing",
        "SELECT nothing FROM (SELECT 1 AS nothing) t, products p WHERE |p.nothing = 1",
    ] {
        let (before, after) = marked.split_once('|').unwrap();
        let path = names(&["public"]);
        let context = Context::new(&path, PREFIX);
        let sql = format!("{before}{after}");
        let statements = analyse(&sql, &catalogue(), &rules(Mode::Restricted), context).unwrap();
        let Verdict::Refused(refusal) = &statements.last().unwrap().verdict else {
            panic!("{sql}")
        };
        assert_eq!(refusal.position, Some(before.chars().count() + 1), "{marked} {refusal:?}");
    }
}

#[test]
fn an_end_user_is_named_by_a_statement_that_the_server_gets_without_the_token() {
    let named = |sql: &str| {
        let path = names(&["public"]);
        let context = Context::new(&path, PREFIX);
        let judged = analyse(sql, &catalogue(), &rules(Mode::Restricted), context).unwrap();
        let [crate::Statement { verdict: Verdict::Plain(plain), .. }] = judged.as_slice() else {
            panic!("{sql}: {judged:?}")
        };
        let plain = plain.clone();
        let naming = plain.end_user.unwrap();
        assert!(!format!("{naming:?}").contains("secret"), "{naming:?}");
        (plain.sql, naming.local, naming.token.is_some())
    };
    let nothing = || crate::NOTHING_DONE.to_owned();
    assert_eq!(named("SET postern.actor = 'secret'"), (nothing(), false, true));
    assert_eq!(named("SET LOCAL Postern.Actor TO 'secret'"), (nothing(), true, true));
    assert_eq!(named("RESET postern.actor"), (nothing(), false, false));
    assert_eq!(named("SET postern.actor TO DEFAULT"), (nothing(), false, false));
    assert_eq!(named("SET LOCAL postern.actor = ''"), (nothing(), true, false));
    let shows = |shown: &str, name: &str| format!("SELECT {shown}::pg_catalog.text AS {name}");
    let call = "SELECT set_config('postern.actor', 'secret', true)";
    assert_eq!(named(call), (shows("''", "\"set_config\""), true, true));
    let call = "SELECT pg_catalog.set_config('postern.actor', $1::varchar, false) AS \"who is\"";
    assert_eq!(named(call), (shows("$1", "\"who is\""), false, true));
    refused(
        "end_user",
        &[
            "SELECT set_config('postern.actor', 'secret', true) FROM customers",
            "SELECT set_config('postern.actor', 'secret', true) WHERE false",
            "SELECT set_config('postern.actor', $1 || 'x', true)",
            "SELECT set_config('postern.actor', $2, true)",
            "SELECT set_config('postern.actor', 'secret', $1)",
            "SELECT set_config('postern.actor', 'secret', true) LIMIT 1",
            "SET postern.actor = 'a', 'b'",
            "SET postern.actor = 1",
            "SET postern.actor FROM CURRENT",
        ],
    );
    refused(
        "function",
        &[
            "SELECT set_config('postern.actor', 'secret', true), 1",
            "SELECT * FROM set_config('postern.actor', 'secret', true)",
            "SELECT (SELECT set_config('postern.actor', 'secret', true))",
            "PREPARE p AS SELECT set_config('postern.actor', 'secret', true)",
        ],
    );
}
