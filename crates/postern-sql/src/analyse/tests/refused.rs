use super::*;

#[test]
fn functions_are_refused_unless_listed() {
    refused(
        "function",
        &[
            "SELECT c.name() FROM customers c",
            "SELECT peek(name) FROM customers",
            "SELECT public.peek('x')",
            "SELECT current_query()",
            "SELECT set_config('plpgsql.b', 'c', false)",
            "SELECT setval('s', 7)",
            "SELECT query_to_xml('select 1', true, true, '')",
            "SELECT lo_get(1)",
            "SELECT pg_read_file('x')",
        ],
    );
}

/// How far it has come would count them.
#[test]
fn no_number_of_a_sequence_is_taken_beside_a_protected_table() {
    refused(
        "sequence",
        &[
            "SELECT nextval('s') FROM customers WHERE country = 'DE'",
            "SELECT id, CASE WHEN country = 'DE' THEN nextval('s') END FROM customers",
            "WITH n AS (SELECT nextval('s') AS n) SELECT n FROM n, customers",
            "SELECT (SELECT count(*) FROM customers), currval('s')",
            "UPDATE customers SET name = 'x' WHERE id = nextval('s')",
            "SELECT id FROM customers WHERE id = lastval()",
        ],
    );
    for sql in ["SELECT nextval('s')", "SELECT currval('s'), lastval() FROM products"] {
        let told = judged(sql, Mode::Restricted);
        assert!(told.starts_with("plain "), "{sql}: {told}");
    }
}

/// How long it waits would time the rows that it meets.
#[test]
fn nothing_waits_beside_a_protected_table() {
    refused(
        "sleep",
        &[
            "SELECT pg_sleep(1) FROM customers WHERE country = 'DE'",
            "SELECT id, (SELECT pg_sleep(length(country))) FROM customers",
            "SELECT CASE WHEN EXISTS (SELECT FROM customers WHERE country = 'DE') THEN pg_sleep(1) END",
            "WITH s AS (SELECT pg_sleep_for('1 s')) SELECT id FROM customers",
            "UPDATE customers SET name = 'x' WHERE id = 7 AND pg_sleep(1) IS NOT NULL",
            "SELECT * FROM customers, pg_sleep_until(created_at)",
        ],
    );
    for sql in ["SELECT pg_sleep(1)", "SELECT pg_sleep_for('1 s') FROM products"] {
        let told = judged(sql, Mode::Restricted);
        assert!(told.starts_with("plain "), "{sql}: {told}");
    }
}

/// The time at which it comes to each row tells how long others took that do not come.
#[test]
fn nothing_tells_the_time_beside_a_protected_table() {
    refused(
        "clock",
        &[
            "SELECT id, timeofday() FROM customers",
            "SELECT 1 FROM customers WHERE timeofday() > '2'",
        ],
    );
    let told = judged("SELECT id, clock_timestamp() FROM customers", Mode::Restricted);
    assert!(told.contains("pg_catalog.statement_timestamp()"), "{told}");
    assert!(!told.contains("clock_timestamp() "), "{told}");
    for mode in [Mode::Restricted, Mode::Accounted] {
        let told = judged("SELECT clock_timestamp(), timeofday() FROM products", mode);
        assert!(told.contains("pg_catalog.clock_timestamp()"), "{told}");
    }
}

#[test]
fn a_field_that_is_none_is_no_call() {
    let sql = "'select to_tsvector(email) from public.customers'";
    for statement in [
        format!("SELECT ({sql}::text).ts_stat"),
        format!("SELECT (({sql}::text).ts_stat).word"),
        format!("SELECT x.ts_stat FROM unnest(ARRAY[{sql}]) x"),
        format!("SELECT (f).ts_stat FROM lower({sql}) f(ts_stat)"),
        format!("SELECT (s).ts_stat FROM (SELECT {sql} AS s, 1 AS ts_stat) s"),
        format!("SELECT (SELECT (s).ts_stat FROM products s) FROM (SELECT {sql} AS s) t"),
        "SELECT (5::int4).lo_get".to_owned(),
        "SELECT s.to_jsonb FROM (SELECT c.id, c.email, j.* FROM customers c, json_each('{}') j) s"
            .to_owned(),
        "SELECT (c).to_jsonb FROM customers c".to_owned(),
    ] {
        refused("function", &[&statement]);
    }
}

#[test]
fn an_alias_names_no_hidden_column() {
    refused("alias", &["SELECT s.b FROM (SELECT id FROM customers) s(a, b)"]);
}

#[test]
fn what_is_not_understood_is_refused() {
    refused(
        "not_understood",
        &[
            "SELECT to_json(s) FROM (SELECT id, id FROM customers) s",
            "SELECT (s).id FROM (SELECT id FROM customers) s",
            "SELECT (s).to_json FROM (SELECT id FROM customers) s",
            "SELECT (SELECT to_json(s) FROM products) FROM (SELECT id FROM customers) s",
            "SELECT c.*::text FROM customers c",
            "SELECT id FROM customers ORDER BY email USING >",
            "SELECT email IS JSON FROM customers",
            "SELECT xmlforest(email) FROM customers",
            "SELECT x.* FROM XMLTABLE('/a' PASSING xml '<a/>' COLUMNS b text PATH 'b') x",
            "SELECT j.* FROM (customers c JOIN tickets t ON t.customer_id = c.id) j",
            "SELECT ROW(c.*) FROM customers c",
            "SELECT (SELECT max(c.email)) FROM customers c",
            "VALUES (1, 'a') UNION ALL SELECT id, name FROM customers",
            "SELECT id INTO x FROM customers",
            "SELECT c.x FROM pg_constraint c(a, b, x)",
            "SELECT XMLELEMENT(NAME a, email) FROM customers",
            "SELECT JSON_OBJECT('a': email) FROM customers",
            "SELECT * FROM JSON_TABLE('[1]', '$[*]' COLUMNS (a int PATH '$')) j",
            "SELECT 0xfffffffffffffffff",
            "LISTEN x",
            "NOTIFY x, 'y'",
            "DO $$ BEGIN END $$",
            "CALL p()",
            "CREATE TABLE x (a int)",
            "CREATE VIEW v AS SELECT 1",
            "GRANT SELECT ON products TO public",
            "PREPARE TRANSACTION 'x'",
            "WITH x AS (MERGE INTO products p USING agents a ON true WHEN MATCHED THEN DELETE RETURNING p.id) SELECT * FROM x",
            "MERGE INTO products p USING agents a ON true WHEN MATCHED THEN UPDATE SET price = 0 RETURNING WITH (old AS o) o.price",
        ],
    );
}

#[test]
fn a_star_shows_no_hidden_or_unknown_column() {
    refused(
        "star",
        &["SELECT (c).* FROM customers c", "SELECT * FROM customers, unnest(ARRAY[1])"],
    );
}

#[test]
fn what_would_hide_records_is_refused() {
    refused(
        "unaccounted",
        &[
            "SELECT id, count(*) FROM customers GROUP BY ROLLUP (id)",
            "SELECT count(*) FROM customers HAVING max(created_at) > now() AND count(id) > 1 AND min(id) = 5",
            "SELECT (SELECT country FROM customers WHERE created_at < now())",
            "SELECT ARRAY(SELECT id FROM customers)",
            "SELECT p.id FROM products p WHERE p.id IN (SELECT id FROM customers)",
            "SELECT string_agg(email, ',') FROM customers",
            "SELECT array_agg(country) FROM customers",
            "SELECT min(id + 0) FROM customers",
            "SELECT count(*) FROM customers GROUP BY name",
            "SELECT nick, count(*) FROM customers GROUP BY nick",
            "SELECT id FROM customers UNION SELECT id FROM products",
            "SELECT id FROM products EXCEPT SELECT id FROM customers",
            "SELECT DISTINCT name FROM customers",
            "SELECT s.* FROM (SELECT id, lag(id) OVER (ORDER BY id) FROM customers) s",
            "SELECT id, array_agg(country) OVER () FROM customers",
            "UPDATE products SET name = (SELECT country FROM customers LIMIT 1)",
        ],
    );
}

#[test]
fn a_fold_over_one_record_is_refused() {
    refused(
        "folded_lookup",
        &[
            "SELECT count(*) FROM customers WHERE id = 5 + 0 HAVING true",
            "SELECT count(*) FILTER (WHERE id = 5 + 0) FROM customers",
            "SELECT count(NULLIF(id, 5)) FROM customers",
            "SELECT count(CASE WHEN id = 5 + 0 AND country = 'DE' THEN 1 END) FROM customers",
            "SELECT count(*) FROM customers c, generate_series(1, CASE WHEN c.id = 5 + 0 THEN 9 END)",
            "SELECT count(*) FROM (SELECT generate_series(1, CASE id WHEN 5 THEN 9 END) FROM customers) s",
            "SELECT count(*) FROM (SELECT * FROM customers WHERE id = 5 + 0) s",
            "SELECT max(country) FROM (SELECT country FROM customers ORDER BY id LIMIT 1) s HAVING true",
            "SELECT max(country) FILTER (WHERE r = 7) FROM (SELECT country, row_number() OVER (ORDER BY id) r FROM customers) s",
            "WITH a AS (SELECT * FROM customers) SELECT (SELECT count(*) FROM a), id FROM a WHERE id = 5 + 0",
            "SELECT count(*) FROM customers c JOIN (VALUES (5)) v(i) ON v.i = c.id",
            "SELECT EXISTS (SELECT 1 FROM customers WHERE id = 5 + 0 AND country = 'DE')",
            "SELECT p.id FROM products p WHERE EXISTS (SELECT 1 FROM customers c WHERE c.id = p.id)",
            "SELECT c.id FROM customers c WHERE EXISTS (SELECT 1 FROM tickets t WHERE t.id = c.id)",
        ],
    );
}

#[test]
fn a_lookup_returns_its_record_and_comes_alone() {
    refused(
        "lookup",
        &[
            "SELECT count(*) FROM customers WHERE email = 'a' HAVING true",
            "SELECT EXISTS (SELECT 1 FROM customers WHERE email = 'a') LIMIT 1",
            "SELECT id FROM customers WHERE email = 'a' AND phone = 'b'",
            "SELECT id FROM customers WHERE email = 'a' AND email = 'b'",
            "SELECT a.id FROM customers a, customers b WHERE a.email = 'a' AND b.email = 'b'",
            "INSERT INTO tickets (customer_id, number) VALUES (5, 'a'), (5, 'b')",
        ],
    );
}

#[test]
fn no_row_comes_without_the_record_that_is_searched_for() {
    refused(
        "lookup",
        &[
            "SELECT p.id FROM products p LEFT JOIN (SELECT id FROM customers WHERE email = 'a') c \
             ON true WHERE p.id = 1 AND c.id IS NULL",
            "SELECT p.id FROM (SELECT id FROM customers WHERE email = 'a') c RIGHT JOIN products p \
             ON true WHERE c.id IS NULL",
            "SELECT p.id FROM products p FULL JOIN (SELECT id FROM customers WHERE email = 'a') c \
             ON p.id = c.id",
            "SELECT p.id FROM products p LEFT JOIN (tickets t JOIN (SELECT id FROM customers WHERE \
             email = 'a') c ON true) ON true",
            "SELECT x.i FROM (SELECT p.id AS i FROM products p LEFT JOIN (SELECT id FROM customers \
             WHERE email = 'a') c ON true) x",
            "WITH c AS (SELECT id FROM customers WHERE email = 'a') \
             SELECT p.id FROM products p LEFT JOIN c ON true",
            "SELECT p.id FROM products p LEFT JOIN LATERAL (SELECT id FROM customers WHERE \
             email = 'a') c ON true",
            "(SELECT id FROM customers WHERE email = 'a') UNION ALL (VALUES (1), (2)) \
             OFFSET 1 LIMIT 1",
            "(SELECT id FROM customers WHERE email = 'a') UNION ALL SELECT 0 LIMIT 1",
            "SELECT 0 UNION ALL (SELECT id FROM customers WHERE email = 'a') OFFSET 1",
            "SELECT x.id FROM ((SELECT id FROM customers WHERE email = 'a') UNION ALL SELECT 0) x",
        ],
    );
    refused(
        "setting",
        &[
            "SELECT id FROM customers WHERE email = 'a' AND set_config('jit', 'on', false) = 'off'",
            "SELECT set_config('jit', 'on', false) FROM customers WHERE id = 5",
            "UPDATE customers SET name = set_config('jit', 'on', false) WHERE id = 5",
            "SELECT c.id FROM customers c, (SELECT set_config('jit', 'on', false) AS s) s",
            "INSERT INTO products (id) SELECT 1 WHERE set_config('jit', 'on', false) = 'on'",
        ],
    );
}

#[test]
fn protected_rows_are_not_locked() {
    refused(
        "row_lock",
        &[
            "SELECT id FROM customers WHERE email = 'x' FOR UPDATE",
            "SELECT id FROM customers WHERE id = 7 AND email = 'x' FOR UPDATE",
            "SELECT id FROM tickets t FOR UPDATE OF c",
            "SELECT t.id FROM tickets t JOIN products p ON p.id = t.id FOR UPDATE OF p",
            "SELECT t.id FROM tickets t JOIN (SELECT id FROM customers) c ON c.id = t.customer_id FOR UPDATE OF t",
            "SELECT t.id FROM tickets t WHERE EXISTS (SELECT FROM customers c WHERE c.id = t.customer_id) FOR UPDATE",
            "SELECT id FROM customers c WHERE id = 7 AND EXISTS (SELECT FROM tickets t WHERE t.customer_id = c.id) FOR UPDATE",
            "SELECT id FROM (SELECT id FROM customers WHERE id = 7 FOR UPDATE) s",
            "SELECT id FROM (SELECT id FROM customers WHERE id = 7) s FOR UPDATE",
            "WITH c AS (SELECT id FROM customers WHERE id = 7) SELECT id FROM c FOR UPDATE",
            "SELECT id FROM directory WHERE id = 7 FOR UPDATE",
        ],
    );
    for sql in [
        "SELECT * FROM customers FOR UPDATE",
        "SELECT id FROM customers WHERE country = 'DE' FOR UPDATE",
        "SELECT id FROM customers WHERE id > 7 FOR UPDATE",
        "SELECT id FROM customers WHERE id = 7 FOR UPDATE SKIP LOCKED",
        "SELECT id FROM customers WHERE id = 7 FOR SHARE NOWAIT",
        "SELECT t.id FROM tickets t JOIN customers c ON c.id = t.customer_id FOR UPDATE OF t",
    ] {
        assert_eq!(judged(sql, Mode::Accounted), "42501 row_lock", "{sql}");
    }
}

/// As with row-level security, of which the policies for UPDATE decide what FOR UPDATE finds.
#[test]
fn only_own_rows_are_locked() {
    check(
        "SELECT id, name FROM customers WHERE id = 7 FOR UPDATE",
        "SELECT customers.id, customers.name, customers.id AS pk_k1 FROM <public.customers b WHERE b.id OPERATOR(pg_catalog.=) ANY('{set1}'::bigint[])> customers WHERE customers.id = 7 FOR UPDATE
  2 columns, keys [0]
  public.customers set 0 clear name",
    );
    let own = "b WHERE b.customer_id OPERATOR(pg_catalog.=) ANY('{set";
    for lock in ["FOR NO KEY UPDATE", "FOR SHARE NOWAIT", "FOR KEY SHARE OF t", "FOR UPDATE OF t"] {
        for found in [
            "t.id = 47",
            "t.customer_id = $1",
            "t.status = 'open' AND 47 = t.id",
            "t.status = 'open' ORDER BY t.id LIMIT 1",
        ] {
            let sql = format!("SELECT * FROM tickets t WHERE {found} {lock}");
            let told = judged(&sql, Mode::Restricted);
            assert!(told.contains(&format!(" {lock}\n")) && told.contains(own), "{told}");
        }
    }
    let joined = "SELECT t.id, c.name FROM tickets t LEFT JOIN customers c ON c.id = t.customer_id \
                  ORDER BY t.id LIMIT 1 FOR UPDATE OF t SKIP LOCKED";
    let told = judged(joined, Mode::Restricted);
    assert!(told.contains(" FOR UPDATE OF t SKIP LOCKED\n"), "{told}");
    assert!(told.contains(own) && told.contains("<public.customers b> c"), "{told}");
}

#[test]
fn user_defined_operators_are_refused() {
    refused("operator", &["SELECT name IN ('a') FROM products WHERE id OPERATOR(public.===) 1"]);
}

#[test]
fn settings_that_change_what_is_read_are_refused() {
    refused(
        "setting",
        &[
            "SELECT current_setting('postern.a', true)",
            "SET ROLE postgres",
            "SET SESSION AUTHORIZATION postgres",
            "SET standard_conforming_strings = off",
            "SET client_encoding = 'SJIS'",
            "SET client_min_messages = debug5",
            "SET plan_cache_mode = force_generic_plan",
            "SHOW pg_catalog.b",
            "SET pg_trgm.similarity_threshold = 0.1",
            "SET PLPGSQL.extra_errors = 'all'",
            "SET pg_new.thing = 1",
            "SET array_nulls = off",
            "SET transform_null_equals = on",
            "SET quote_all_identifiers = on",
            "SET session_replication_role = replica",
            "SET work_mem = '2GB'",
            "SET work_mem = '1TB'",
            "SET jit_provider = 'x'",
            "SET log_statement = 'none'",
            "SET statement_timeout = '0.1s'",
            "SET statement_timeout = '-1s'",
            "SET statement_timeout = '18446744073709551615min'",
            "SHOW data_directory",
            "SHOW listen_addresses",
        ],
    );
}

/// Programs say these as a matter of course.
#[test]
fn what_is_asked_for_as_it_is_is_answered() {
    for sql in [
        "SET statement_timeout = 0",
        "SET statement_timeout = '1d'",
        "SET statement_timeout = '61min'",
        "SET LOCAL statement_timeout = '2h'",
        "SET idle_in_transaction_session_timeout = 3600001",
    ] {
        let told = judged(sql, Mode::Restricted);
        assert!(told.starts_with("plain SET ") && told.ends_with(" TO DEFAULT"), "{sql}: {told}");
    }
    for sql in [
        "SET SESSION AUTHORIZATION DEFAULT",
        "RESET SESSION AUTHORIZATION",
        "SET ROLE NONE",
        "RESET ROLE",
        "RESET search_path",
        "SET search_path = public, \"$user\"",
        "SET LOCAL search_path TO public, pg_catalog",
        "SET plan_cache_mode = auto",
        "SET default_tablespace = ''",
        "RESET array_nulls",
        "SET escape_string_warning = on",
    ] {
        let told = judged(sql, Mode::Restricted);
        assert!(told.starts_with("Tag("), "{sql}: {told}");
    }
    assert_eq!(judged("SET search_path = pg_catalog, public", Mode::Restricted), r#"Tag("SET")"#);
    // How a statement is run, and what nobody but the database's own code reads.
    for sql in [
        "SET enable_seqscan TO OFF",
        "SET LOCAL work_mem TO \"64MB\"",
        "SET work_mem TO 4096",
        "SET row_security TO OFF",
    ] {
        assert_eq!(judged(sql, Mode::Restricted), format!("plain {sql}"));
    }
    for sql in [
        "SELECT set_config('app.user_id', '17', true)",
        "SELECT set_config('App.tenant', $1::text, false), set_config('jit', 'off', true)",
    ] {
        let told = judged(sql, Mode::Restricted);
        assert!(told.contains("SELECT pg_catalog.set_config("), "{sql}: {told}");
    }
    let beside = "SELECT set_config('app.found', 'x', false) FROM customers WHERE id = 7";
    refused(
        "setting",
        &[
            beside,
            "PREPARE p AS SELECT set_config('timezone', 'UTC', false)",
            "DECLARE c CURSOR FOR SELECT set_config('app.a', 'b', false)",
            "EXECUTE p (set_config('jit', 'off', false))",
        ],
    );
    refused(
        "function",
        &[
            "SELECT set_config('app.user_id', name, false) FROM products",
            "SELECT set_config('postern.other', 'x', false)",
            "SELECT set_config('plpgsql.extra_errors', $1, false)",
        ],
    );
}

#[test]
fn catalogue_relations_are_refused_unless_listed() {
    refused(
        "catalogue",
        &[
            "SELECT * FROM pg_stats",
            "SELECT query FROM pg_stat_progress_copy",
            "SELECT rolpassword FROM pg_authid",
            "SELECT 1 FROM pg_statistic_ext_data",
            "SELECT 1 FROM information_schema.user_mapping_options",
            "SELECT (SELECT prosrc FROM unnest(ARRAY[1]) x LIMIT 1) FROM pg_proc p",
        ],
    );
    for sql in ["SELECT a.to_jsonb FROM pg_attrdef a", "SELECT a.xml FROM pg_attrdef a"] {
        assert_eq!(refusal_of(sql).rule, "unknown_column", "{sql}");
    }
}

#[test]
fn a_covered_column_is_reached_by_no_detour() {
    refused(
        "not_understood",
        &[
            "SELECT c FROM pg_constraint c",
            "SELECT to_jsonb(c) FROM pg_constraint c",
            "SELECT count(DISTINCT c.*) FROM pg_constraint c",
            "SELECT (SELECT p FROM unnest(ARRAY[1]) x LIMIT 1) FROM pg_proc p",
            "SELECT 1 FROM pg_proc NATURAL JOIN pg_proc q",
            "SELECT 1 FROM pg_proc p JOIN pg_proc q USING (prosrc)",
            "SELECT j.prosrc FROM (pg_proc p JOIN pg_language l ON true) j",
            "SELECT p.x FROM pg_proc p(x)",
            "SELECT (SELECT d FROM unnest(ARRAY[1]) x LIMIT 1) FROM (SELECT id, name FROM \
             customers) d",
        ],
    );
}

#[test]
fn row_types_are_refused() {
    refused("type", &["SELECT NULL::customers"]);
}

#[test]
fn protected_data_names_no_object() {
    refused("object_name", &["SELECT email::regclass FROM customers"]);
}

#[test]
fn what_derives_from_a_protected_table_is_refused() {
    refused(
        "relation",
        &[
            "SELECT * FROM archive.customers",
            "SELECT * FROM copies",
            "SELECT * FROM of_a_copy",
            "SELECT * FROM everybody",
            "SELECT * FROM peeking",
        ],
    );
}

#[test]
fn other_databases_are_refused() {
    refused("database", &["SELECT * FROM elsewhere.public.customers"]);
}

#[test]
fn the_gateways_names_are_refused() {
    refused(
        "reserved_name",
        &[
            "SELECT pk_k1 FROM customers",
            "SELECT 'pk_h0' FROM customers",
            r#"SELECT U&"p\006b_k1" FROM customers"#,
            "SAVEPOINT pk_1",
        ],
    );
}

#[test]
fn writes_read_nothing_protected() {
    refused(
        "write",
        &[
            "UPDATE products SET name = c.email FROM customers c",
            "DELETE FROM products USING customers c WHERE c.id = products.id",
            "INSERT INTO products (id, name) SELECT id, name FROM customers",
            "INSERT INTO products (id, name) VALUES (1, 'a') ON CONFLICT (id) DO UPDATE SET name = (SELECT max(country) FROM customers)",
            "INSERT INTO logged (id) VALUES (1)",
            "INSERT INTO orders (id, customer_id) VALUES (1, 5)",
            "DELETE FROM agents",
            "MERGE INTO products p USING customers c ON c.id = p.id WHEN MATCHED THEN UPDATE SET name = c.email",
            "MERGE INTO products p USING directory d ON d.id = p.id WHEN NOT MATCHED THEN INSERT (id, name) VALUES (d.id, d.name)",
            "MERGE INTO products p USING agents a ON a.login = p.name WHEN MATCHED AND EXISTS (SELECT 1 FROM customers WHERE country = 'DE') THEN DELETE",
            "MERGE INTO agents a USING products p ON a.login = p.name WHEN MATCHED THEN DELETE",
            "MERGE INTO agents a USING products p ON a.login = p.name WHEN NOT MATCHED THEN DO NOTHING WHEN MATCHED THEN DELETE",
            "MERGE INTO logged l USING products p ON l.id = p.id WHEN NOT MATCHED THEN INSERT (id) VALUES (p.id)",
            "MERGE INTO orders o USING products p ON o.id = p.id WHEN MATCHED THEN UPDATE SET customer_id = 5",
            "WITH x AS (INSERT INTO products (id, name) SELECT id, name FROM customers RETURNING id) SELECT id FROM x",
            "WITH x AS (DELETE FROM products RETURNING id) SELECT c.id FROM customers c JOIN x ON x.id = c.id",
            "WITH x AS (SELECT id, name FROM customers) UPDATE products SET name = x.name FROM x",
            "WITH x AS (UPDATE products SET price = 0 WHERE EXISTS (SELECT 1 FROM customers WHERE country = 'DE') RETURNING id) SELECT id FROM x",
        ],
    );
}

#[test]
fn a_write_within_a_query_or_a_merge_writes_nothing_protected() {
    refused(
        "protected_write",
        &[
            "MERGE INTO tickets t USING products p ON t.id = p.id WHEN MATCHED THEN UPDATE SET assignee = 'me'",
            "MERGE INTO customers c USING products p ON c.id = p.id WHEN MATCHED THEN DELETE",
            "MERGE INTO directory d USING products p ON d.id = p.id WHEN MATCHED THEN UPDATE SET name = 'x'",
            "WITH x AS (DELETE FROM customers RETURNING *) SELECT * FROM x",
            "WITH x AS (UPDATE tickets SET assignee = 'me' RETURNING id) SELECT id FROM x LIMIT 1",
            "WITH x AS (UPDATE customers SET country = 'x' RETURNING *) SELECT * FROM x LIMIT 1",
            "WITH x AS (INSERT INTO tickets (customer_id, status) VALUES (5, 'open') RETURNING id) SELECT id FROM x",
            "UPDATE directory SET name = 'x'",
        ],
    );
}

#[test]
fn a_column_without_a_mask_refuses_its_table() {
    refused("no_mask", &["SELECT iban FROM accounts_0", "SELECT holder FROM accounts"]);
}

#[test]
fn names_that_do_not_exist_have_postgresqls_own_codes() {
    check("SELECT c.row_to_json FROM customers c", "42703 unknown_column");
    check("SELECT ctid FROM customers", "42703 unknown_column");
    check("SELECT c.xmin, c.tableoid FROM customers c", "42703 unknown_column");
    check("SELECT x.id FROM customers c", "42P01 unknown_relation");
    check("SELECT 1 FROM nowhere", "42P01 unknown_relation");
    check("SELECT 1 <<>> 2", "42883 unknown_operator");
    check("SELECT 1 OPERATOR(pg_catalog.<<>>) 2", "42501 operator");
}

#[test]
fn a_refusal_names_the_kind_of_statement() {
    let check = |sql: &str, message: &str| {
        let refusal = refusal_of(sql);
        assert_eq!(refusal.message, format!("{message} is not allowed for this role"), "{sql}");
    };
    check("NOTIFY x", "LISTEN or NOTIFY");
    check("CREATE TABLE t AS SELECT 1", "creating a table");
    check("REINDEX TABLE t", "this kind of statement");
}

#[test]
fn an_upsert_cascades_no_less_than_an_update() {
    let json = include_str!("../fixture.json");
    let from = r#""on_update": "a", "on_delete": "n""#;
    assert!(json.contains(from));
    let json = json.replace(from, r#""on_update": "c", "on_delete": "n""#);
    let catalogue = Catalogue::from_json(&json).unwrap();
    let path = names(&["public"]);
    let context = Context::new(&path, PREFIX);
    for (sql, refused) in [
        ("INSERT INTO agents (login) VALUES ('a')", false),
        (
            "INSERT INTO agents (login) VALUES ('a') ON CONFLICT (login) DO UPDATE SET login = 'b'",
            true,
        ),
        ("UPDATE agents SET login = 'b'", true),
        (
            "MERGE INTO agents a USING products p ON a.login = p.name WHEN MATCHED THEN UPDATE SET login = 'b'",
            true,
        ),
    ] {
        let statements = analyse(sql, &catalogue, &rules(Mode::Restricted), context).unwrap();
        let verdict = &statements[0].verdict;
        assert_eq!(matches!(verdict, Verdict::Refused(_)), refused, "{sql}: {verdict:?}");
    }
}

#[test]
fn a_sample_would_tell_how_long_values_are() {
    refused(
        "sample",
        &[
            "SELECT id FROM customers TABLESAMPLE SYSTEM (50) REPEATABLE (1)",
            "SELECT count(*) FROM customers TABLESAMPLE BERNOULLI (1) REPEATABLE (7)",
        ],
    );
}

#[test]
fn a_table_that_nobody_listed_may_be_a_copy() {
    let path = names(&["public"]);
    let context = Context::new(&path, PREFIX);
    let listed = |list: &[&str], sql: &str| {
        let rules = Rules { unprotected: Some(names(list)), ..rules(Mode::Restricted) };
        match &analyse(sql, &catalogue(), &rules, context).unwrap()[0].verdict {
            Verdict::Refused(refusal) => refusal.rule,
            _ => "allowed",
        }
    };
    for list in [["public.products"], ["public.*"]] {
        for sql in ["SELECT * FROM products", "SELECT * FROM cheap", "DELETE FROM products"] {
            assert_eq!(listed(&list, sql), "allowed", "{sql} {list:?}");
        }
    }
    for sql in ["SELECT * FROM products", "TABLE cheap", "INSERT INTO products (id) VALUES (1)"] {
        assert_eq!(listed(&["archive.*", "public.agents"], sql), "relation", "{sql}");
    }
    for sql in ["SELECT email FROM customers", "SELECT name FROM directory"] {
        assert_eq!(listed(&[], sql), "allowed", "{sql}");
    }
}

#[test]
fn an_extensions_equality_is_not_postgresqls() {
    let json = include_str!("../fixture.json");
    let added = r#""operators": [{"schema": "ext", "name": "=", "extension": true}, "#;
    let json = json.replacen("\"operators\": [", added, 1);
    let catalogue = Catalogue::from_json(&json).unwrap();
    let path = names(&["public"]);
    let context = Context::new(&path, PREFIX);
    for (equal, expected) in
        [("=", None), ("OPERATOR(pg_catalog.=)", None), ("OPERATOR(ext.=)", Some("folded_lookup"))]
    {
        let from = format!("customers c JOIN tickets t ON c.id {equal} t.customer_id");
        let sql = format!("SELECT count(*) FROM {from}");
        let statements = analyse(&sql, &catalogue, &rules(Mode::Restricted), context).unwrap();
        let refused_by = match &statements[0].verdict {
            Verdict::Refused(refusal) => Some(refusal.rule),
            _ => None,
        };
        assert_eq!(refused_by, expected, "{sql}");
    }
}

#[test]
fn what_is_wrong_with_an_aliass_columns_is_said() {
    let told = |sql: &str| {
        let refusal = refusal_of(sql);
        (refusal.rule, refusal.message)
    };
    let too_long = "SELECT s.b FROM (SELECT id FROM customers) s (a, b)";
    let message = "the alias has more columns than the table".to_owned();
    assert_eq!(told(too_long), ("alias", message));
    let unknown = "SELECT s.a FROM (SELECT c.id, x.* FROM customers c, jsonb_each('{}') x) s (a)";
    let message = "an alias can't rename columns that are not known beside a protected table";
    assert_eq!(told(unknown), ("alias", message.to_owned()));
}
