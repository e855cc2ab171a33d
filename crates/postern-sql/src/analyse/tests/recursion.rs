//! Recursive common tables.

use super::*;

#[test]
fn a_recursion_carries_where_it_began_and_where_it_is() {
    check(
        "WITH RECURSIVE w (id, body, depth) AS (SELECT id, body, 0 FROM tickets WHERE id = 5 UNION ALL SELECT t.id, t.body, w.depth + 1 FROM tickets t JOIN w ON t.opened_by = w.id WHERE w.depth < 9) SELECT id, body FROM w ORDER BY depth",
        r#"WITH RECURSIVE w(id, body, depth) AS (SELECT tickets.id AS id, tickets.body AS body, 0 AS "?column?", tickets.customer_id AS pk_k1, NULL::bigint AS pk_k4 FROM <public.tickets b> tickets WHERE tickets.id = 5 UNION ALL SELECT t.id AS id, t.body AS body, w.depth + 1 AS "?column?", w.pk_k1 AS pk_k3, t.customer_id AS pk_k2 FROM <public.tickets b> t JOIN w ON t.opened_by = w.id WHERE w.depth < 9) SELECT w.id, w.body, w.pk_k1 AS pk_k5, w.pk_k4 AS pk_k6 FROM w ORDER BY w.depth
  2 columns, keys [0 1]
  public.tickets set 0 clear body
  public.tickets set 0 clear body"#,
    );
    check(
        "WITH RECURSIVE w AS (SELECT id, 0 AS n FROM customers UNION ALL SELECT NULL, n + 1 FROM w WHERE n < 3) SELECT n FROM w",
        r#"WITH RECURSIVE w AS (SELECT customers.id AS id, 0 AS n, customers.id AS pk_k1 FROM <public.customers b> customers UNION ALL SELECT NULL AS "?column?", w.n + 1 AS "?column?", w.pk_k1 AS pk_k2 FROM w WHERE w.n < 3) SELECT w.n, w.pk_k1 AS pk_k3 FROM w
  1 columns, keys [0]
  public.customers"#,
    );
    check(
        "WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT n, c.name FROM t JOIN customers c ON c.id = t.n",
        r#"WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT t.n + 1 AS "?column?" FROM t WHERE t.n < 5) SELECT t.n, c.name, c.id AS pk_k1 FROM t JOIN <public.customers b> c ON c.id = t.n
  2 columns, keys [0]
  public.customers set 0 clear name"#,
    );
    check(
        "WITH RECURSIVE p AS (SELECT id, name FROM products WHERE id = 1 UNION SELECT q.id, q.name FROM products q JOIN p ON q.price = p.id) SELECT * FROM p",
        "plain WITH RECURSIVE p AS (SELECT products.id AS id, products.name AS name FROM public.products WHERE products.id = 1 UNION SELECT q.id AS id, q.name AS name FROM public.products q JOIN p ON q.price = p.id) SELECT * FROM p",
    );
    check(
        "WITH RECURSIVE p AS (SELECT id, name FROM products UNION ALL SELECT * FROM p WHERE false) SELECT * FROM p",
        "plain WITH RECURSIVE p AS (SELECT products.id AS id, products.name AS name FROM public.products UNION ALL SELECT p.id AS id, p.name AS name FROM p WHERE false) SELECT * FROM p",
    );
}

#[test]
fn a_recursion_passes_no_values_on() {
    refused(
        "unaccounted",
        &[
            // Spells a name out.
            "WITH RECURSIVE w AS (SELECT id, name FROM customers UNION ALL SELECT id, substr(name, 2) FROM w WHERE name <> '') SELECT * FROM w",
            "WITH RECURSIVE w AS (SELECT id, country FROM customers UNION ALL SELECT NULL, country FROM w) SELECT country FROM w",
            // What is passed on may come from the second arm only.
            "WITH RECURSIVE w (id, path, own) AS (SELECT 1::bigint, ''::text, ''::text UNION ALL SELECT t.id, w.own, t.status FROM tickets t JOIN w ON t.customer_id = w.id) SELECT * FROM w",
            "WITH RECURSIVE w AS (SELECT id, id::text AS path FROM tickets UNION ALL SELECT t.id, w.path || t.id FROM tickets t JOIN w ON t.customer_id = w.id) SELECT * FROM w",
            // A record on the way decides, and is not told.
            "WITH RECURSIVE w AS (SELECT id, 0 AS depth FROM customers WHERE id = 5 UNION ALL SELECT t.id, depth + 1 FROM tickets t JOIN w ON t.customer_id = w.id WHERE t.status = 'open') SELECT * FROM w WHERE depth = 2",
            "WITH RECURSIVE w AS (SELECT id, 0 AS depth FROM customers WHERE id = 5 UNION ALL SELECT t.id, depth + 1 FROM (SELECT * FROM tickets WHERE status = 'open') t JOIN w ON t.customer_id = w.id) SELECT * FROM w WHERE depth = 2",
            "WITH RECURSIVE w AS (SELECT id, status FROM tickets WHERE id = 5 UNION ALL SELECT t.id, t.status FROM tickets t JOIN w ON t.customer_id = w.id AND t.status = w.status) SELECT * FROM w",
            "WITH RECURSIVE w (id, v) AS (SELECT 5::bigint, ''::text UNION ALL SELECT DISTINCT NULL::bigint, c.country FROM customers c JOIN w ON c.id = w.id) SELECT v FROM w",
            "WITH RECURSIVE w AS (SELECT id FROM tickets UNION ALL SELECT t.id FROM tickets t JOIN w USING (id)) SELECT * FROM w",
            "WITH RECURSIVE w AS (SELECT id, country FROM customers UNION ALL SELECT c.id, c.country FROM customers c, w WHERE w.country = 'DE') SELECT * FROM w",
            "WITH RECURSIVE w AS (SELECT id, country FROM customers UNION ALL SELECT c.id, c.country FROM customers c JOIN w ON c.id = w.id OR w.country = 'DE') SELECT * FROM w",
            "WITH RECURSIVE w AS (SELECT id, 1 AS n FROM customers UNION ALL SELECT NULL, n + 1 FROM w WHERE w.id = 5) SELECT n FROM w",
            "WITH RECURSIVE w AS (SELECT id, country FROM customers UNION ALL SELECT c.id, c.country FROM customers c, w, generate_series(1, length(w.country))) SELECT * FROM w",
            "WITH RECURSIVE w AS (SELECT customer_id, status FROM tickets UNION SELECT c.id, c.country FROM customers c JOIN w ON c.id = w.customer_id) SELECT * FROM w",
        ],
    );
    refused(
        "folded_lookup",
        &[
            "WITH RECURSIVE w AS (SELECT id FROM tickets WHERE id = 5 UNION ALL SELECT t.id FROM tickets t JOIN w ON t.customer_id = w.id) SELECT count(*) FROM w",
        ],
    );
    refused(
        "not_understood",
        &[
            "WITH RECURSIVE w (id, last) AS (SELECT 1::bigint, ''::text UNION ALL SELECT t.id, t.status FROM tickets t JOIN w ON t.customer_id = w.id UNION ALL SELECT id, last FROM w) SELECT * FROM w",
            "WITH RECURSIVE w AS (SELECT id FROM w UNION ALL SELECT id FROM customers) SELECT id FROM w",
            "WITH RECURSIVE w AS (SELECT id FROM customers UNION ALL SELECT id FROM x), x AS (SELECT id FROM w) SELECT id FROM x",
            "WITH RECURSIVE w AS (SELECT id FROM customers UNION ALL SELECT c.id FROM customers c JOIN w ON c.id = w.id) SEARCH DEPTH FIRST BY id SET o SELECT id FROM w",
        ],
    );
}

#[test]
fn a_protected_column_links_by_its_mask() {
    check(
        "WITH RECURSIVE w AS (SELECT id, email FROM customers UNION ALL SELECT c.id, c.email FROM customers c JOIN w ON c.email = w.email) SELECT id, email FROM w",
        "WITH RECURSIVE w AS (SELECT customers.id AS id, customers.email AS email, customers.id AS pk_k1, NULL::bigint AS pk_k4 FROM <public.customers b> customers UNION ALL SELECT c.id AS id, c.email AS email, w.pk_k1 AS pk_k3, c.id AS pk_k2 FROM <public.customers b> c JOIN w ON c.email = w.email) SELECT w.id, w.email, w.pk_k1 AS pk_k5, w.pk_k4 AS pk_k6 FROM w
  2 columns, keys [0 1]
  public.customers masked email
  public.customers masked email",
    );
}

#[test]
fn a_link_to_anything_but_keys_narrows_down() {
    let arm = "c.country, w.d + 1 FROM w JOIN customers c ON c.id = w.id WHERE w.d < 1";
    let rest = "SELECT country, count(*) FROM w GROUP BY country";
    for (first, second) in [
        ("SELECT 13577::bigint AS id, ''::text AS country, 0 AS d", "0::bigint"),
        ("SELECT 13577::bigint AS id, ''::text AS country, 0 AS d", "c.id"),
        ("SELECT p.price::bigint AS id, ''::text AS country, 0 AS d FROM products p", "c.id"),
        ("SELECT p.price AS id, ''::text AS country, 0 AS d FROM products p", "c.id"),
        ("SELECT t.id / 1 AS id, ''::text AS country, 0 AS d FROM tickets t", "c.id"),
        ("SELECT t.id, ''::text AS country, 0 AS d FROM tickets t", "13577::bigint"),
        ("SELECT t.id, ''::text AS country, 0 AS d FROM tickets t", "c.id / 2"),
        ("SELECT q.* FROM (VALUES (13577::bigint, ''::text, 0)) q", "c.id"),
    ] {
        let with = format!("WITH RECURSIVE w (id, country, d) AS ({first} UNION ALL");
        refused("folded_lookup", &[&format!("{with} SELECT {second}, {arm}) {rest}")]);
    }
    refused(
        "folded_lookup",
        &[
            "WITH RECURSIVE w AS (SELECT 1::bigint AS id UNION ALL SELECT c.id FROM w JOIN customers c ON c.id = w.id) SELECT id FROM w",
        ],
    );
    refused(
        "unaccounted",
        &[
            "WITH RECURSIVE w (id, country) AS (SELECT id, country FROM customers UNION ALL SELECT c.id, c.country FROM w JOIN (SELECT country, nullif(id, 5) AS id FROM customers) c ON c.id = w.id) SELECT id FROM w",
        ],
    );
    check(
        "WITH RECURSIVE w AS (SELECT t.customer_id AS id, 0 AS d FROM tickets t UNION ALL SELECT c.id, w.d + 1 FROM w JOIN customers c ON c.id = w.id WHERE w.d < 1) SELECT d, count(*) FROM w GROUP BY d",
        r#"WITH RECURSIVE w AS (SELECT t.customer_id AS id, 0 AS d, t.customer_id AS pk_k1, NULL::bigint AS pk_k4 FROM <public.tickets b> t UNION ALL SELECT c.id AS id, w.d + 1 AS "?column?", w.pk_k1 AS pk_k2, c.id AS pk_k3 FROM w JOIN <public.customers b> c ON c.id = w.id WHERE w.d < 1) SELECT w.d, pg_catalog.count(*) FROM w GROUP BY w.d
  2 columns, keys []
  public.tickets
  public.customers"#,
    );
}
