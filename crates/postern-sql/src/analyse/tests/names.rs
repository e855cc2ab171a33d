//! What a name means: the same to the analysis as to PostgreSQL.

use super::*;

#[test]
fn a_join_condition_names_its_two_sides_and_what_is_around() {
    refused(
        "folded_lookup",
        &[
            "SELECT country, count(*) FROM customers c WHERE EXISTS (SELECT 1 FROM products x, ((VALUES (1)) v(q) JOIN (VALUES (2)) u(r) ON id = 13577 + 0)) GROUP BY 1 HAVING true",
            "SELECT country, count(*) FROM customers c WHERE EXISTS (SELECT 1 FROM products c, ((VALUES (1)) v(q) JOIN (VALUES (2)) u(r) ON c.id = 13577 + 0)) GROUP BY 1 HAVING true",
            "SELECT country, count(*) FROM customers c WHERE EXISTS (SELECT 1 FROM products x, (products p JOIN ((VALUES (1)) v(q) LEFT JOIN (VALUES (2)) u(r) ON id = 13577 + 0) ON p.id = v.q AND r = 2)) GROUP BY 1 HAVING true",
            "SELECT country, count(*) FROM customers c WHERE EXISTS (SELECT 1 FROM products x, ((VALUES (1)) v(q) JOIN (VALUES (2)) u(r) ON EXISTS (SELECT 1 FROM (VALUES (3)) w(s) WHERE id = 13577 + 0))) GROUP BY 1 HAVING true",
        ],
    );
    refused(
        "not_understood",
        &[
            "SELECT country, count(*) FROM customers c WHERE EXISTS (SELECT 1 FROM products x, agents TABLESAMPLE bernoulli (id)) GROUP BY 1",
        ],
    );
    check(
        "SELECT x.name FROM products x JOIN ((VALUES (1)) v(q) JOIN (VALUES (2)) u(r) ON q < r) ON x.id = q",
        "plain SELECT x.name FROM public.products x JOIN ((VALUES (1)) v(q) JOIN (VALUES (2)) u(r) ON v.q < u.r) ON x.id = v.q",
    );
    check(
        "SELECT c.name FROM customers c WHERE EXISTS (SELECT 1 FROM orders o JOIN products p ON o.customer_id = c.id AND p.id = o.id)",
        r#"SELECT c.name, c.id AS pk_k1 FROM <public.customers b> c WHERE EXISTS (SELECT 1 AS "?column?" FROM public.orders o JOIN public.products p ON o.customer_id = c.id AND p.id = o.id)
  1 columns, keys [0]
  public.customers set 0 clear name"#,
    );
    check(
        "SELECT c.country, t.status FROM products p, customers c JOIN LATERAL (SELECT status FROM tickets WHERE customer_id = c.id AND id = p.id) t ON c.country = t.status",
        "SELECT c.country, t.status, c.id AS pk_k2, t.pk_k1 AS pk_k3 FROM public.products p, <public.customers b> c JOIN LATERAL (SELECT tickets.status AS status, tickets.customer_id AS pk_k1 FROM <public.tickets b> tickets WHERE tickets.customer_id = c.id AND tickets.id = p.id) t ON c.country = t.status
  2 columns, keys [0 1]
  public.customers
  public.tickets",
    );
}

#[test]
fn a_join_condition_names_no_table_before_the_join() {
    for sql in [
        "SELECT 1 FROM products x, agents a JOIN staff s ON x.id = s.id",
        "SELECT 1 FROM products x, agents a JOIN orders o ON price = o.id",
    ] {
        let judged = judged(sql, Mode::Restricted);
        assert!(judged.starts_with("42P01 ") || judged.starts_with("42703 "), "{sql}: {judged}");
    }
}

#[test]
fn group_by_prefers_the_columns_that_a_join_merged() {
    refused(
        "unaccounted",
        &[
            "SELECT max(c.country) AS id, max(c.created_at) FROM customers c JOIN (SELECT customer_id AS id FROM tickets) t USING (id) GROUP BY id",
            "SELECT max(c.country) AS id FROM customers c NATURAL JOIN (SELECT customer_id AS id FROM tickets) t GROUP BY id",
            "SELECT max(c.country) AS id FROM customers c FULL JOIN (SELECT id FROM products) p USING (id) GROUP BY GROUPING SETS ((id))",
            "SELECT max(c.country) AS id, max(c.created_at) FROM customers c JOIN (SELECT customer_id AS id FROM tickets) t USING (id) GROUP BY id ORDER BY c.id OFFSET 13000 LIMIT 3",
            // Which of the two is meant is not known.
            "SELECT max(c.country) AS k FROM customers c, json_to_recordset(to_json(ARRAY[c.id])) AS j(k int) GROUP BY k",
        ],
    );
    check(
        "SELECT country AS status, count(*) FROM customers c JOIN (SELECT customer_id AS id FROM tickets) t USING (id) GROUP BY country ORDER BY status",
        "SELECT c.country AS status, pg_catalog.count(*) FROM <public.customers b> c JOIN (SELECT tickets.customer_id AS id, tickets.customer_id AS pk_k1 FROM <public.tickets b> tickets) t USING (id) GROUP BY c.country ORDER BY status
  2 columns, keys []
  public.customers
  public.tickets",
    );
    check(
        "SELECT date_trunc('day', created_at) AS day, count(*) AS n FROM customers GROUP BY day ORDER BY n DESC, day",
        "SELECT pg_catalog.date_trunc('day', customers.created_at) AS day, pg_catalog.count(*) AS n FROM <public.customers b> customers GROUP BY day ORDER BY n DESC, day
  2 columns, keys []
  public.customers",
    );
    check(
        "SELECT j.value AS tag, count(*) AS n FROM products, json_each_text(to_json(products)) j GROUP BY tag ORDER BY n",
        "plain SELECT j.value AS tag, pg_catalog.count(*) AS n FROM public.products, pg_catalog.json_each_text(pg_catalog.to_json(products)) j GROUP BY tag ORDER BY n",
    );
    check(
        "SELECT country AS k, count(*) AS n FROM customers, json_each('{}') j GROUP BY k ORDER BY n",
        "SELECT country AS k, pg_catalog.count(*) AS n FROM <public.customers b> customers, pg_catalog.json_each('{}') j GROUP BY k ORDER BY n
  2 columns, keys []
  public.customers",
    );
}

#[test]
fn what_is_computed_of_a_key_is_not_the_same_record() {
    refused(
        "folded_lookup",
        &[
            "SELECT a.plan, count(*) FROM people a JOIN people b ON a.bucket = b.bucket GROUP BY a.plan",
            "SELECT a.plan, count(*) FROM people a JOIN people b USING (bucket) GROUP BY a.plan",
        ],
    );
    refused(
        "unaccounted",
        &[
            "SELECT a.plan, count(*) FROM people a WHERE a.bucket IN (SELECT b.bucket FROM people b) GROUP BY a.plan",
        ],
    );
    check(
        "SELECT a.plan, count(*) FROM people a JOIN people b ON a.id = b.id GROUP BY a.plan",
        "SELECT a.plan, pg_catalog.count(*) FROM <public.people b> a JOIN <public.people b> b ON a.id = b.id GROUP BY a.plan
  2 columns, keys []
  public.people
  public.people",
    );
}

#[test]
fn a_join_by_names_that_are_not_known_compares_no_covered_column() {
    let given = r#"json_to_recordset('[{"relname": "customers", "reltuples": 20000}]')"#;
    for from in [
        format!("pg_class NATURAL JOIN {given} AS x(relname name, reltuples float8)"),
        format!("{given} AS x(relname name, reltuples float8) NATURAL LEFT JOIN pg_class"),
        format!("products NATURAL JOIN pg_class NATURAL JOIN {given} AS x(reltuples float8)"),
        format!("pg_class JOIN {given} AS x(relname name, reltuples float8) USING (reltuples)"),
        format!("pg_class JOIN {given} AS x(relname name) USING (relname, reltuples)"),
    ] {
        refused("not_understood", &[&format!("SELECT count(*) FROM {from}")]);
    }
    refused(
        "folded_lookup",
        &[
            r#"SELECT count(*) FROM customers NATURAL JOIN json_to_recordset('[{"id": 5}]') AS x(id bigint)"#,
            "SELECT country, count(*) FROM customers c CROSS JOIN LATERAL (SELECT 1 FROM (SELECT 1 AS n) s NATURAL JOIN json_to_record(to_json(c)) AS x(n int)) t GROUP BY country",
        ],
    );
    check(
        "SELECT c.relname, n.nspname FROM pg_class c NATURAL JOIN pg_namespace n",
        "plain SELECT c.relname, n.nspname FROM pg_catalog.pg_class c NATURAL JOIN pg_catalog.pg_namespace n",
    );
    check(
        r#"SELECT name, n FROM products NATURAL JOIN json_to_recordset('[{"id": 5}]') AS x(id int, n int)"#,
        r#"plain SELECT name, n FROM public.products NATURAL JOIN pg_catalog.json_to_recordset('[{"id": 5}]') x (id int, n int)"#,
    );
}

#[test]
fn what_goes_wrong_in_a_group_leaves_no_common_table_behind() {
    refused(
        "function",
        &[
            "SELECT count(*) FROM products GROUP BY coalesce((WITH customers AS (SELECT 1 AS id) SELECT id FROM customers WHERE lo_get(1) IS NULL), 1)",
            "SELECT count(*) AS n FROM json_each('{}') j GROUP BY coalesce((WITH customers AS (SELECT 1 AS id) SELECT lo_get(1) FROM customers), n)",
        ],
    );
}

#[test]
fn a_name_is_qualified_where_it_can_mean_one_column_only() {
    for (sql, expected) in [
        // One column of this level or further out.
        ("SELECT price FROM products", "SELECT products.price FROM public.products"),
        (
            "SELECT price FROM products p WHERE EXISTS (SELECT 1 FROM agents WHERE login = name)",
            "SELECT p.price FROM public.products p WHERE EXISTS (SELECT 1 AS \"?column?\" FROM public.agents WHERE agents.login = p.name)",
        ),
        // The alias is another table's further in.
        (
            "SELECT 1 FROM products p WHERE EXISTS (SELECT 1 FROM agents p WHERE name = login)",
            "SELECT 1 FROM public.products p WHERE EXISTS (SELECT 1 AS \"?column?\" FROM public.agents p WHERE name = p.login)",
        ),
        // A column that a join merged, in the result and in what it is ordered by.
        (
            "SELECT id, price FROM products JOIN orders USING (id) ORDER BY id",
            "SELECT id, products.price FROM public.products JOIN public.orders USING (id) ORDER BY id",
        ),
        // What a function gives.
        (
            "SELECT price, g FROM products, generate_series(1, price) g",
            "SELECT products.price, g FROM public.products, pg_catalog.generate_series(1, products.price) g",
        ),
        (
            "SELECT name, key FROM products, json_each_text(to_json(products))",
            "SELECT name, key FROM public.products, pg_catalog.json_each_text(pg_catalog.to_json(products))",
        ),
        // A result column's name, but in an expression.
        (
            "SELECT price AS name FROM products ORDER BY name",
            "SELECT products.price AS name FROM public.products ORDER BY name",
        ),
        (
            "SELECT price AS name FROM products ORDER BY upper(name)",
            "SELECT products.price AS name FROM public.products ORDER BY pg_catalog.upper(products.name)",
        ),
        // It may be a result column that is not known.
        (
            "SELECT (json_each_text(to_json(p))).*, id FROM products p ORDER BY name",
            "SELECT (pg_catalog.json_each_text(pg_catalog.to_json(p))).*, p.id FROM public.products p ORDER BY name",
        ),
        // A whole row, a system column.
        ("SELECT p, ctid FROM products p", "SELECT p, p.ctid FROM public.products p"),
        // Where a conflict is looked for, tables have no names.
        (
            "INSERT INTO products VALUES (1, 'a', 2) ON CONFLICT (id) WHERE price > 0 DO NOTHING RETURNING id",
            "INSERT INTO public.products VALUES (1, 'a', 2) ON CONFLICT (id) WHERE price > 0 DO NOTHING RETURNING products.id",
        ),
    ] {
        check(sql, &format!("plain {expected}"));
    }
}

/// A reference is written without its schema: where a nearer table has the alias, it would mean
/// that one.
#[test]
fn a_name_with_its_schema_beside_a_nearer_alias_is_refused() {
    refused(
        "not_understood",
        &[
            "SELECT s.x FROM products, LATERAL (SELECT public.products.id AS x FROM customers AS products(i, n, id)) s",
            "SELECT s.x FROM products, LATERAL (SELECT public.products.name AS x FROM customers AS products(id, n, name)) s",
            "SELECT (SELECT max(public.products.name) FROM tickets AS products(a, name)) FROM products",
            "SELECT s.x FROM products, LATERAL (SELECT 1 AS x FROM customers AS products(id) WHERE public.products.id = 5) s",
        ],
    );
    check(
        "SELECT s.x FROM products, LATERAL (SELECT public.products.id AS x FROM cheap) s",
        "plain SELECT s.x FROM public.products, LATERAL (SELECT products.id AS x FROM public.cheap) s",
    );
}

/// Hidden columns stand behind those that the client may see.
#[test]
fn no_number_reaches_a_hidden_column() {
    for sql in [
        "SELECT country FROM customers ORDER BY 2 DESC LIMIT 1",
        "SELECT DISTINCT ON (2) country FROM customers",
        "SELECT country FROM customers ORDER BY 0",
    ] {
        assert_eq!(judged(sql, Mode::Restricted), "42P10 position", "{sql}");
    }
    check(
        "SELECT name FROM products ORDER BY 1",
        "plain SELECT products.name FROM public.products ORDER BY 1",
    );
}

/// What has no such column is looked through by the server, and the name means something further
/// out: it is written with its table's name, or refused.
#[test]
fn a_system_column_is_taken_of_one_table_by_itself() {
    check("SELECT ctid FROM products", "plain SELECT products.ctid FROM public.products");
    check(
        "DELETE FROM products WHERE ctid = '(0,1)'",
        "plain DELETE FROM public.products WHERE products.ctid = '(0,1)'",
    );
    let hidden = "(SELECT id, email AS ctid FROM customers) k";
    let taken = judged(
        &format!(
            "SELECT v.e FROM {hidden}, LATERAL (SELECT ctid AS e FROM pg_catalog.pg_tables) v"
        ),
        Mode::Accounted,
    );
    assert!(taken.contains("pg_tables.ctid AS e"), "{taken}");
    for refused in [
        format!(
            "SELECT v.e FROM {hidden}, LATERAL (SELECT ctid AS e FROM products p JOIN agents a ON true) v"
        ),
        "SELECT xmin FROM products, agents".to_owned(),
        "SELECT xmin FROM products, (SELECT 1 AS xmin) k".to_owned(),
    ] {
        for mode in [Mode::Restricted, Mode::Accounted] {
            assert_eq!(judged(&refused, mode), "42501 system_column", "{refused}");
        }
    }
    // Of what is no table it is a column like others.
    let derived = judged(
        "SELECT v.e FROM (SELECT 1 AS xmin) k, LATERAL (SELECT xmin AS e) v",
        Mode::Restricted,
    );
    assert!(derived.contains("k.xmin AS e"), "{derived}");
}

/// Each makes the tree deeper than the text was.
#[test]
fn only_so_many_sub_selects_are_joined_for_their_values() {
    let one = "(SELECT name FROM customers k WHERE k.id = c.customer_id)";
    let many = |count: usize, of: &str| {
        format!("SELECT {}, c.customer_id FROM {of} c", vec![one; count].join(", "))
    };
    let few = judged(&many(20, "tickets"), Mode::Restricted);
    assert_eq!(few.matches("LEFT JOIN").count(), 20, "{few}");
    let mut nested = "tickets".to_owned();
    for _ in 0..5 {
        nested = format!("({})", many(90, &nested));
    }
    let nested = format!("SELECT c.customer_id FROM {nested} c");
    let compared = vec!["id = (SELECT customer_id FROM tickets WHERE id = 1)"; 600].join(" AND ");
    let compared = format!("SELECT id FROM customers WHERE {compared}");
    for sql in [many(600, "tickets"), nested, compared] {
        let refused = judged(&sql, Mode::Restricted);
        assert!(refused.starts_with("54001") || refused.starts_with("42501"), "{refused:.200}");
    }
}

/// What a rewriting writes out costs as what a client writes.
#[test]
fn a_row_that_is_written_out_is_charged() {
    let columns: Vec<String> = (0..1_500).map(|n| format!("1 AS a{n}")).collect();
    let rows = vec!["k"; 100].join(", ");
    let sql = format!("SELECT {rows} FROM (SELECT id, {} FROM customers) k", columns.join(", "));
    assert_eq!(judged(&sql, Mode::Restricted), "54001 too_complex");
}
