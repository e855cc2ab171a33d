//! Folded rows tell nothing of single records, whatever was computed of keys below.

use super::*;

#[test]
fn a_count_of_what_is_computed_of_keys_is_refused() {
    refused(
        "folded_lookup",
        &[
            "SELECT country, count(x) FROM (SELECT country, CASE WHEN id = 13577 + 0 THEN 1 END AS x FROM customers) s GROUP BY country",
            "SELECT country, count(s.x) FROM (SELECT country, nullif(id, 13577) AS x FROM customers) s GROUP BY country",
            "SELECT country, count(DISTINCT x) FROM (SELECT country, id / 13577 AS x FROM customers) s GROUP BY country",
            "WITH s AS (SELECT country, CASE WHEN id = 13577 + 0 THEN 1 END AS x FROM customers) SELECT country, count(x) FROM s GROUP BY country HAVING true",
            "SELECT count(x) FROM (SELECT CASE WHEN id = 13577 + 0 THEN country END AS x FROM customers) s",
            "SELECT count(DISTINCT s) FROM (SELECT CASE WHEN id = 13577 + 0 THEN country ELSE 'DE' END AS x FROM customers) s",
            "SELECT count(*) FROM (SELECT DISTINCT CASE WHEN id = 13577 + 0 THEN country ELSE 'DE' END AS x FROM customers) s",
            "SELECT country, count(x) FROM (SELECT country, CASE WHEN id = 13577 + 0 THEN 1 END AS x FROM customers UNION ALL SELECT name, NULL FROM products) s GROUP BY country",
            "SELECT country, count(x) FROM (SELECT country, CASE WHEN id = 13577 + 0 THEN 1 END AS x FROM customers) s JOIN (SELECT 1 AS x) o USING (x) GROUP BY country",
            "SELECT country, count(x) FROM (SELECT country, CASE WHEN id = 13577 + 0 THEN 1 END AS x FROM customers UNION ALL SELECT status, id FROM tickets) s GROUP BY country",
            "SELECT country, count(x) FROM (SELECT country, CASE WHEN id = 13577 + 0 THEN 1 END AS x FROM customers) s, LATERAL (VALUES (1), (x)) v (y) GROUP BY country",
            "SELECT c.country, count(v.y) FROM customers c, LATERAL (VALUES (1), (nullif(c.id, 13577))) v (y) GROUP BY c.country",
            "SELECT count(x) OVER (PARTITION BY country), id FROM (SELECT id, country, CASE WHEN id = 13577 + 0 THEN 1 END AS x FROM customers) s",
            "SELECT id, count(*) OVER (PARTITION BY x) FROM (SELECT id, id / 1000 AS x FROM customers) s",
        ],
    );
}

#[test]
fn a_count_of_copies_and_rows_is_free() {
    let of_customers = "\n  1 columns, keys []\n  public.customers";
    check(
        "SELECT count(x) FROM (SELECT id AS x FROM customers) s",
        &format!(
            "SELECT pg_catalog.count(s.x) FROM (SELECT customers.id AS x FROM <public.customers b> customers) s{of_customers}"
        ),
    );
    check(
        "SELECT count(c.*) FROM customers c",
        &format!("SELECT pg_catalog.count(*) FROM <public.customers b> c{of_customers}"),
    );
    check(
        "SELECT count(*) FROM (SELECT DISTINCT id, upper(country) FROM customers) s",
        &format!(
            "SELECT pg_catalog.count(*) FROM (SELECT DISTINCT customers.id AS id, pg_catalog.upper(customers.country) AS upper FROM <public.customers b> customers) s{of_customers}"
        ),
    );
    check(
        "SELECT count(id), count(DISTINCT id) FROM customers c JOIN (SELECT customer_id AS id FROM tickets) t USING (id)",
        "SELECT pg_catalog.count(id), pg_catalog.count(DISTINCT id) FROM <public.customers b> c JOIN (SELECT tickets.customer_id AS id, tickets.customer_id AS pk_k1 FROM <public.tickets b> tickets) t USING (id)
  2 columns, keys []
  public.customers
  public.tickets",
    );
    check(
        "SELECT count(x) FROM (SELECT id AS x FROM customers UNION ALL SELECT customer_id FROM tickets) s",
        "SELECT pg_catalog.count(s.x) FROM (SELECT customers.id AS x, customers.id AS pk_k1, NULL::bigint AS pk_k3 FROM <public.customers b> customers UNION ALL SELECT tickets.customer_id AS customer_id, NULL::bigint, tickets.customer_id AS pk_k2 FROM <public.tickets b> tickets) s
  1 columns, keys []
  public.customers
  public.tickets",
    );
    check(
        "SELECT country, count(x) FROM (SELECT country, CASE WHEN country = 'DE' THEN 1 END AS x FROM customers) s GROUP BY country",
        "SELECT s.country, pg_catalog.count(s.x) FROM (SELECT customers.country AS country, CASE WHEN customers.country = 'DE' THEN 1 END AS x, customers.id AS pk_k1 FROM <public.customers b> customers) s GROUP BY s.country
  2 columns, keys []
  public.customers",
    );
}

/// Where rows come without a record that a predicate asks for, and nothing else tells of it.
#[test]
fn the_absence_of_a_record_decides_nothing() {
    refused(
        "folded_lookup",
        &[
            "SELECT g FROM generate_series(1, 20000) g LEFT JOIN customers c ON c.id = g AND c.country = 'DE' WHERE c.id IS NULL",
            "SELECT g FROM generate_series(1, 20000) g LEFT JOIN tickets t ON t.number = 'T-1' AND t.customer_id = g WHERE t.id IS NULL",
            "SELECT p.id FROM products p LEFT JOIN customers c ON c.id = 13577 + 0 AND c.country = 'DE' WHERE p.id = 1 + 0 AND c.id IS NULL",
            "SELECT p.id FROM customers c RIGHT JOIN products p ON c.id = p.id WHERE c.id IS NULL",
            "SELECT p.id FROM products p FULL JOIN customers c ON c.id = p.id WHERE c.country IS NULL",
            "SELECT p.id FROM products p LEFT JOIN LATERAL (SELECT 1 AS one FROM customers c WHERE c.id = p.id) x ON true WHERE x.one IS NULL",
            "SELECT p.id FROM products p LEFT JOIN customers c ON c.id = p.id ORDER BY c.id NULLS FIRST LIMIT 1",
            "SELECT p.id FROM products p LEFT JOIN customers c ON c.id = p.id ORDER BY c.country",
            "SELECT s.i FROM (SELECT p.id AS i, c.country AS x FROM products p LEFT JOIN customers c ON c.id = p.id) s WHERE coalesce(s.x, 'none') = 'none'",
            "SELECT s.i FROM (SELECT p.id AS i, c.id IS NULL AS x FROM products p LEFT JOIN customers c ON c.id = p.id) s WHERE s.x",
            "SELECT p.id FROM products p LEFT JOIN (customers c JOIN tickets t ON t.customer_id = c.id AND t.status = 'open') ON c.id = p.id WHERE t.id IS NULL",
            "SELECT p.id FROM products p LEFT JOIN customers c ON c.id = p.id LEFT JOIN products q ON q.id = 1 + 0 AND c.country = 'DE' WHERE q.id IS NULL",
            "SELECT DISTINCT ON (c.country) p.id FROM products p LEFT JOIN customers c ON c.id = p.id",
            "SELECT p.id FROM products p LEFT JOIN tickets t ON t.id = p.id LEFT JOIN customers c ON c.id = t.customer_id WHERE c.id IS NULL",
            "SELECT c.id FROM customers c LEFT JOIN tickets t ON t.id = 5 + 0 AND t.status = 'open' WHERE t.id IS NULL",
            "SELECT c.id FROM customers c LEFT JOIN tickets t ON t.customer_id = c.id WHERE (t.id IS NULL OR t.id = 5 + 0)",
            "WITH x AS (SELECT id FROM customers WHERE id = 5 + 0 AND country = 'DE') SELECT p.id FROM products p LEFT JOIN x ON true WHERE x.id IS NULL",
            "SELECT o.id, c.name FROM orders o LEFT JOIN customers c ON c.id = o.customer_id AND c.country = 'DE'",
            "SELECT s.g FROM (SELECT g, c.id IS NULL AS x FROM generate_series(1, 9) g LEFT JOIN customers c ON c.id = g AND c.country = 'DE') s WHERE s.x = true",
            "SELECT s.g FROM (SELECT g, coalesce(c.id, 0) AS x FROM generate_series(1, 9) g LEFT JOIN customers c ON c.id = g) s WHERE s.x = 0",
            "SELECT s.i FROM (SELECT p.id AS i, coalesce(c.country, 'none') AS x FROM products p LEFT JOIN customers c ON c.id = p.id) s WHERE s.x = 'none'",
            "SELECT p.id FROM products p LEFT JOIN customers c ON c.id = 5 + 0 AND c.country = 'DE' LEFT JOIN tickets t ON t.customer_id = c.id WHERE p.id = 1 + 0 AND t.id IS NULL",
            "WITH s AS (SELECT p.id AS p, c.id AS c FROM products p LEFT JOIN customers c ON c.id = p.id AND c.country = 'DE') SELECT a.p FROM s a, s b WHERE a.c > 0 AND b.c IS NULL",
            "WITH s AS (SELECT p.id AS p, c.id AS c FROM products p LEFT JOIN customers c ON c.id = p.id) SELECT a.p FROM s a, s b WHERE a.c > 0 AND b.c IS NULL",
            "SELECT g FROM generate_series(1, 9) g LEFT JOIN customers c ON c.id = g AND c.country = 'DE' WHERE NOT EXISTS (SELECT 1 WHERE c.id = c.id)",
            "SELECT g FROM generate_series(1, 9) g LEFT JOIN customers c ON c.id = g AND c.country = 'DE' WHERE NOT EXISTS (SELECT 1 FROM tickets t WHERE t.customer_id = c.id)",
            "SELECT g FROM generate_series(1, 9) g LEFT JOIN customers c ON c.id = g AND c.country = 'DE' LEFT JOIN customers d ON d.id = c.id WHERE d.country IS NULL",
            "SELECT p.id FROM products p LEFT JOIN (SELECT id FROM customers WHERE id = 5 + 0 AND country = 'DE') c ON c.id = p.id LEFT JOIN tickets t ON t.customer_id = c.id WHERE p.id = 1 AND t.id IS NULL",
            "SELECT p.id FROM products p LEFT JOIN (SELECT c.id, country FROM customers c, (VALUES (5)) v (x) WHERE c.id = v.x) c ON c.id = p.id LEFT JOIN tickets t ON t.customer_id = c.id WHERE t.id IS NULL",
        ],
    );
    for kept in [
        "SELECT t.id, c.name FROM tickets t LEFT JOIN customers c ON c.id = t.customer_id WHERE t.id = 5",
        "SELECT t.id, c.name FROM tickets t LEFT JOIN customers c ON c.id = t.customer_id WHERE t.assignee = 'me' AND c.country = 'DE' ORDER BY c.country, t.id LIMIT 10",
        "SELECT t.id, c.name FROM tickets t LEFT JOIN customers c ON t.customer_id = c.id WHERE c.id = 5 OR t.id = 7",
        "SELECT t.id, c.name FROM tickets t LEFT JOIN customers c ON t.customer_id = c.id WHERE c.id IN (5, 7) ORDER BY c.country",
        "SELECT o.id, c.name FROM orders o LEFT JOIN customers c ON c.id = o.customer_id WHERE o.id > 5 ORDER BY o.id LIMIT 10",
        "SELECT o.id, c.name FROM orders o LEFT JOIN customers c ON c.id = o.customer_id LEFT JOIN tickets t ON t.customer_id = c.id",
        "SELECT o.id, c.name FROM orders o LEFT JOIN customers c ON c.id = o.customer_id WHERE c.country = 'DE' ORDER BY c.id",
        "SELECT c.id FROM customers c LEFT JOIN tickets t ON t.customer_id = c.id AND t.status = 'open' WHERE t.id IS NULL",
        "SELECT c.id, count(t.id) FROM customers c LEFT JOIN tickets t ON t.customer_id = c.id GROUP BY c.id HAVING count(t.id) = 0",
        "SELECT p.id FROM products p LEFT JOIN customers c ON c.country = p.name WHERE c.id IS NULL",
    ] {
        let told = judged(kept, Mode::Restricted);
        assert!(told.contains(" columns, keys "), "{kept}: {told}");
    }
}

#[test]
fn rows_that_are_passed_over_tell_nothing() {
    refused(
        "folded_lookup",
        &[
            "SELECT x FROM (SELECT id AS x FROM customers WHERE id = 13577 + 0 AND country = 'DE' UNION ALL SELECT 1 ORDER BY x DESC LIMIT 1) s WHERE x = 1",
            "SELECT id FROM (SELECT id FROM customers WHERE id = 329 + 0 OR (id = 13577 + 0 AND country = 'DE') ORDER BY id DESC LIMIT 1) s WHERE id = 329 + 0",
            "SELECT s.id FROM (SELECT id FROM customers WHERE country = 'DE' ORDER BY id = 13577 + 0 DESC, id = 329 + 0 DESC LIMIT 1) s WHERE s.id = 329 + 0",
            "(SELECT id FROM customers WHERE id = 329 + 0 OR (id = 13577 + 0 AND country = 'DE') ORDER BY id DESC LIMIT 1) UNION ALL (VALUES (500)) ORDER BY 1 LIMIT 1",
            "SELECT s.id FROM (SELECT DISTINCT ON (id IN (13577, 329 + 0)) id FROM customers WHERE country = 'DE' ORDER BY id IN (13577, 329 + 0), id DESC) s",
            "SELECT id FROM (SELECT id FROM customers WHERE id IN (5, 7 + 0) ORDER BY id LIMIT 1) s",
        ],
    );
    for kept in [
        "SELECT name FROM customers WHERE id = 5 LIMIT 1",
        "SELECT t.id FROM tickets t WHERE t.customer_id = 5 ORDER BY t.id LIMIT 10 OFFSET 20",
        "SELECT t.id, c.name FROM tickets t JOIN customers c ON c.id = t.customer_id WHERE c.id = $1 AND t.status = 'open' ORDER BY t.id LIMIT $2 OFFSET $3",
        "SELECT s.id FROM (SELECT * FROM tickets WHERE customer_id = 5) s ORDER BY s.id LIMIT 10 OFFSET 20",
        "SELECT s.id FROM (SELECT * FROM tickets WHERE id = 5 LIMIT 1) s WHERE s.status = 'open'",
        "SELECT id FROM customers ORDER BY created_at LIMIT 50 OFFSET 100",
        "SELECT id FROM tickets WHERE assignee = 'me' ORDER BY CASE status WHEN 'open' THEN 0 ELSE 1 END, id LIMIT $1 OFFSET $2",
        "SELECT id FROM customers WHERE id IN (1, 2) LIMIT 10 OFFSET 0",
        "SELECT id FROM customers WHERE id > $1 ORDER BY id LIMIT 10",
        "SELECT DISTINCT ON (t.customer_id) t.id FROM tickets t WHERE t.customer_id IN (5, 7) ORDER BY t.customer_id, t.id DESC LIMIT 5",
        "SELECT c.id, l.status FROM customers c LEFT JOIN LATERAL (SELECT t.status FROM tickets t WHERE t.customer_id = c.id ORDER BY t.id DESC LIMIT 1) l ON true WHERE c.id IN (5, 7) AND l.status = 'open'",
        "SELECT * FROM (SELECT id FROM customers ORDER BY created_at LIMIT 100) s LIMIT 10 OFFSET 10",
        "SELECT s.id FROM (SELECT id, country FROM customers ORDER BY created_at LIMIT 100) s WHERE s.country = 'DE'",
    ] {
        let told = judged(kept, Mode::Restricted);
        assert!(told.contains(" columns, keys [0"), "{kept}: {told}");
    }
}

/// The rows of single records that an OFFSET skips come too, and the gateway takes them away.
#[test]
fn what_an_offset_skips_of_single_records_is_passed_over_by_the_gateway() {
    let passed = |sql: &str| {
        let path = names(&["public"]);
        let context = Context::new(&path, PREFIX);
        let statements = analyse(sql, &catalogue(), &rules(Mode::Restricted), context).unwrap();
        match &statements.first().unwrap().verdict {
            Verdict::Guarded(guarded) => guarded.passed,
            verdict => panic!("{sql}: {verdict:?}"),
        }
    };
    for (sql, rows) in [
        ("SELECT id FROM tickets WHERE id BETWEEN 100 AND 200 ORDER BY id LIMIT 10 OFFSET 10", 10),
        (
            "SELECT id FROM tickets WHERE id > 5 AND status = 'open' ORDER BY id LIMIT 10 OFFSET 20",
            20,
        ),
        ("SELECT id FROM tickets ORDER BY id % 10, id LIMIT 10 OFFSET 10", 10),
        ("SELECT id FROM tickets WHERE id IN (5, 7) ORDER BY id OFFSET 1", 1),
        (
            "(SELECT id FROM tickets WHERE id = 5) UNION ALL (VALUES (1::bigint)) OFFSET 1 LIMIT 1",
            1,
        ),
        (
            "SELECT id FROM (SELECT id, status FROM tickets ORDER BY id LIMIT 9) s WHERE status = 'open' OFFSET 3",
            3,
        ),
        (
            "SELECT p.id, t.id FROM products p JOIN tickets t ON t.id = p.id ORDER BY t.id LIMIT 5 OFFSET 5",
            5,
        ),
    ] {
        assert_eq!(passed(sql), Some(Passed::Constant(rows)), "{sql}");
    }
    for sql in [
        "SELECT id FROM tickets WHERE assignee = 'me' ORDER BY id LIMIT 10 OFFSET 10",
        "SELECT id FROM tickets WHERE customer_id IN (5, 7) ORDER BY id LIMIT 10 OFFSET 10",
        "SELECT id FROM tickets WHERE id IN (5, 7) LIMIT 10 OFFSET 0",
    ] {
        assert_eq!(passed(sql), None, "{sql}");
    }
    let far = refusal_of("SELECT id FROM customers WHERE id > 5 OFFSET 10001");
    assert!(far.message.contains("from 0 to 10000"), "{far:?}");
    let counted = refusal_of("SELECT count(*) FROM customers WHERE id = '0x5' HAVING true");
    assert!(counted.hint.starts_with("name customers by their own keys"), "{counted:?}");
    let by_parameter = "SELECT id FROM customers WHERE id > $1 LIMIT $2 OFFSET $3";
    assert_eq!(passed(by_parameter), Some(Passed::Parameter(3)));
    check(
        by_parameter,
        "SELECT customers.id, customers.id AS pk_k1 FROM <public.customers b> customers WHERE customers.id > $1 LIMIT LEAST($2::bigint, '9223372036854765807'::bigint) OPERATOR(pg_catalog.+) COALESCE($3::bigint, 0::bigint) OFFSET $3::bigint OPERATOR(pg_catalog.*) 0
  1 columns, keys [0]
  public.customers",
    );
    check(
        "SELECT id FROM customers WHERE id > 5 ORDER BY id OFFSET 2 FETCH FIRST 3 ROWS WITH TIES",
        "SELECT customers.id, customers.id AS pk_k1 FROM <public.customers b> customers WHERE customers.id > 5 ORDER BY id FETCH FIRST (LEAST(3::bigint, '9223372036854765807'::bigint) OPERATOR(pg_catalog.+) COALESCE('2'::bigint, 0::bigint)) ROWS WITH TIES
  1 columns, keys [0]
  public.customers",
    );
    check(
        "SELECT id FROM customers WHERE id > 5 ORDER BY id LIMIT ALL OFFSET 2",
        "SELECT customers.id, customers.id AS pk_k1 FROM <public.customers b> customers WHERE customers.id > 5 ORDER BY id LIMIT ALL
  1 columns, keys [0]
  public.customers",
    );
    refused(
        "folded_lookup",
        &[
            "DECLARE c CURSOR FOR SELECT id FROM customers WHERE id > 5 OFFSET 3",
            "COPY (SELECT id FROM customers WHERE id > 5 OFFSET 3) TO STDOUT",
            "SELECT id FROM customers WHERE id > 5 OFFSET 10001",
            "SELECT id FROM customers WHERE id > 5 OFFSET $1 + 1",
            "SELECT id FROM customers WHERE id > 5 OFFSET (SELECT 1)",
        ],
    );
}

/// A cursor whose rows are those of single records can't jump.
#[test]
fn a_cursor_on_single_records_goes_from_row_to_row() {
    let sequential = |sql: &str| {
        let path = names(&["public"]);
        let context = Context::new(&path, PREFIX);
        let statements = analyse(sql, &catalogue(), &rules(Mode::Restricted), context).unwrap();
        match &statements.first().unwrap().verdict {
            Verdict::Guarded(guarded) => guarded.sequential,
            verdict => panic!("{sql}: {verdict:?}"),
        }
    };
    for sql in [
        "SELECT id FROM customers WHERE id = 13577 + 0 AND country = 'DE' UNION ALL SELECT 0",
        "SELECT id FROM customers WHERE id IN (1, 2 + 0)",
        "SELECT id FROM customers WHERE country = 'DE' ORDER BY id = 13577 + 0 DESC",
        "SELECT x.id FROM (SELECT id FROM customers WHERE id > 5) x LIMIT 10",
        // Where the row of the other arm stands would tell of those before it.
        "SELECT id FROM customers WHERE country = 'DE' UNION ALL SELECT 0",
    ] {
        assert!(sequential(sql), "{sql}");
    }
    for sql in
        ["SELECT id FROM customers ORDER BY id", "SELECT id FROM tickets WHERE customer_id = 5"]
    {
        assert!(!sequential(sql), "{sql}");
    }
    for (what, jumps) in [
        ("NEXT", false),
        ("PRIOR", false),
        ("FIRST", false),
        ("ALL", false),
        ("BACKWARD 3", false),
        ("FORWARD ALL", false),
        ("RELATIVE -1", false),
        ("LAST", true),
        ("ABSOLUTE 2", true),
        ("ABSOLUTE -1", true),
        ("RELATIVE 2", true),
    ] {
        for verb in ["FETCH", "MOVE"] {
            let told = judged(&format!("{verb} {what} FROM c"), Mode::Restricted);
            assert_eq!(told.ends_with(" jumps"), jumps, "{verb} {what}: {told}");
        }
    }
}

/// Whether there is a record of that key comes with whose it is.
#[test]
fn who_is_asked_for_by_a_records_key_is_told() {
    for sql in [
        "SELECT EXISTS (SELECT 1 FROM tickets WHERE id = 7)",
        "SELECT EXISTS (SELECT 1 FROM tickets t WHERE t.id = $1 AND t.assignee = 'ana') AS mine",
    ] {
        let told = judged(sql, Mode::Restricted);
        assert!(
            told.contains("SELECT pg_catalog.count(*) > 0") && told.contains("keys [0]"),
            "{told}"
        );
    }
    refused(
        "folded_lookup",
        &[
            "SELECT EXISTS (SELECT 1 FROM tickets WHERE id > 7)",
            "SELECT p.id, EXISTS (SELECT 1 FROM tickets t WHERE t.id = 7) FROM products p",
            "SELECT EXISTS (SELECT 1 FROM tickets WHERE id = 7), \
             EXISTS (SELECT 1 FROM tickets WHERE id = 8)",
        ],
    );
}
