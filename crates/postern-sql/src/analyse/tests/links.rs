//! What is joined by the subject's key to a customer is carried by that customer's key.

use super::*;

#[test]
fn what_is_collected_for_a_customer_is_carried_by_its_key() {
    check(
        "SELECT c.id, string_agg(t.status, ', ' ORDER BY t.id), min(t.id), array_agg(t.number) FROM customers c LEFT JOIN tickets t ON t.customer_id = c.id WHERE c.country = 'DE' GROUP BY c.id",
        "SELECT c.id, pg_catalog.string_agg(t.status, ', ' ORDER BY t.id), pg_catalog.min(t.id), pg_catalog.array_agg(t.number), c.id AS pk_k1, c.id AS pk_k2 FROM <public.customers b> c LEFT JOIN <public.tickets b> t ON t.customer_id = c.id WHERE c.country = 'DE' GROUP BY c.id
  4 columns, keys [0 1]
  public.customers
  public.tickets set 0 clear number",
    );
    for kept in [
        "SELECT c.id, json_agg(t.status) FROM customers c, tickets t WHERE t.customer_id = c.id GROUP BY c.id",
        "SELECT t.customer_id, max(c.created_at), array_agg(c.country) FROM tickets t JOIN customers c ON c.id = t.customer_id GROUP BY t.customer_id",
        "SELECT c.id, array_agg(u.status) FROM customers c LEFT JOIN (tickets t JOIN tickets u ON u.customer_id = t.customer_id) ON t.customer_id = c.id GROUP BY c.id",
        "SELECT c.id, array_agg(u.status) FROM customers c JOIN tickets t ON t.customer_id = c.id LEFT JOIN tickets u ON u.customer_id = t.customer_id GROUP BY c.id",
    ] {
        let told = judged(kept, Mode::Restricted);
        assert!(told.contains(" columns, keys [0 1"), "{kept}: {told}");
    }
}

/// Where the two may be about different subjects, or no key comes.
#[test]
fn what_may_be_anothers_is_not_carried() {
    refused(
        "unaccounted",
        &[
            "SELECT c.country, string_agg(t.status, ', ') FROM customers c JOIN tickets t ON t.customer_id = c.id GROUP BY c.country",
            "SELECT c.id, array_agg(t.status) FROM tickets t LEFT JOIN customers c ON c.id = t.customer_id GROUP BY c.id",
            "SELECT c.id, array_agg(t.status) FROM customers c JOIN tickets t ON t.customer_id >= c.id GROUP BY c.id",
            "SELECT c.id, array_agg(t.status) FROM customers c JOIN tickets t ON t.customer_id = c.id OR t.status = 'open' GROUP BY c.id",
            "SELECT c.id, array_agg(t.status) FROM customers c CROSS JOIN tickets t LEFT JOIN products p ON t.customer_id = c.id GROUP BY c.id",
            "SELECT c.id, array_agg(t.status) FROM customers c CROSS JOIN tickets t LEFT JOIN customers d ON d.id = c.id AND d.id = t.customer_id GROUP BY c.id",
            "SELECT c.id, string_agg(e.country, ',') FROM customers c CROSS JOIN customers e LEFT JOIN (tickets t JOIN customers d ON d.id = t.customer_id) ON t.customer_id = c.id AND d.id = e.id WHERE c.id = 329 GROUP BY c.id HAVING true",
            "SELECT c.id, string_agg(e.country, ',') FROM customers c CROSS JOIN customers e LEFT JOIN (tickets t LEFT JOIN customers d ON d.id = t.customer_id) ON t.customer_id = c.id AND d.id = e.id GROUP BY c.id",
            "SELECT c.id, string_agg(e.country, ',') FROM (customers c CROSS JOIN customers e) LEFT JOIN (customers f JOIN (tickets t JOIN customers d ON d.id = t.customer_id) ON f.id = d.id) ON t.customer_id = c.id AND f.id = e.id GROUP BY c.id",
            "SELECT c.id, string_agg(e.country, ',') FROM customers c CROSS JOIN customers e LEFT JOIN customers d ON d.id = c.id LEFT JOIN customers f ON f.id = d.id AND f.id = e.id GROUP BY c.id",
            "SELECT c.id, array_agg(t.status) FROM customers c RIGHT JOIN tickets t ON t.customer_id = c.id GROUP BY c.id",
            "SELECT c.id, array_agg(t.status) FROM customers c FULL JOIN tickets t ON t.customer_id = c.id GROUP BY c.id",
            "SELECT c.id, array_agg(t.status) FROM customers c JOIN tickets t ON t.customer_id = c.id GROUP BY ROLLUP (c.id)",
            // In ON the name is that of the select around: the relation behind the comma is none of
            // the join's.
            "SELECT s.* FROM generate_series(1, 50) c(id), LATERAL (SELECT c.id, string_agg(d.country, ',') FROM (SELECT 1) e JOIN customers d ON d.id = c.id, customers c WHERE c.id = 329 GROUP BY c.id) s",
            "SELECT s.* FROM generate_series(1, 50) c(id), LATERAL (SELECT c.id, array_agg(t.status) FROM products p LEFT JOIN tickets t ON t.customer_id = c.id, customers c WHERE c.id = 329 GROUP BY c.id) s",
        ],
    );
    refused(
        "unaccounted",
        &[
            "SELECT 1, string_agg(e.country, ',') OVER () FROM customers c CROSS JOIN customers e LEFT JOIN customers d ON d.id = c.id AND d.id = e.id WHERE c.id = 329 ORDER BY e.id LIMIT 1",
            "SELECT e.id, string_agg(e.country, ',') OVER () FROM customers c CROSS JOIN customers e LEFT JOIN (tickets t JOIN customers d ON d.id = t.customer_id) ON t.customer_id = c.id AND d.id = e.id WHERE c.id = 329 ORDER BY e.id LIMIT 1",
        ],
    );
    refused(
        "folded_lookup",
        &[
            // Both rows of the window are there where the customer in between is not.
            "SELECT t.id, row_number() OVER (ORDER BY t.id) FROM customers c CROSS JOIN tickets t LEFT JOIN customers d ON d.id = c.id AND d.id = t.customer_id WHERE c.id = 5",
        ],
    );
}

/// Names inside an aliased join are hidden; a copy of a key that another item makes may be absent
/// where the record is there.
#[test]
fn a_copy_of_a_key_is_no_key() {
    for sql in [
        "SELECT c.id, string_agg(p.country, ',') FROM ((SELECT 1 AS id) c JOIN (SELECT 1 AS id) p ON c.id = p.id) AS j, customers c, customers p WHERE c.id = 2 GROUP BY c.id OFFSET 0",
        "SELECT c.id, string_agg(e.country, ',') FROM customers c CROSS JOIN customers e LEFT JOIN (customers d CROSS JOIN ((SELECT 1) e CROSS JOIN (SELECT 1) q) AS j) ON d.id = c.id AND e.id = d.id WHERE c.id = 2 GROUP BY c.id OFFSET 0",
        "SELECT c.id, string_agg(e.country, ',') FROM customers c CROSS JOIN customers e LEFT JOIN LATERAL (SELECT c.id AS id) z ON z.id = e.id WHERE c.id = 2 GROUP BY c.id OFFSET 0",
        "SELECT string_agg(s.x, ',') FROM (SELECT c.country x, z.id zid FROM customers c LEFT JOIN LATERAL (SELECT c.id AS id) z ON false) s GROUP BY s.zid OFFSET 0",
        "SELECT DISTINCT s.zid, s.email FROM (SELECT c.email, z.id zid FROM customers c LEFT JOIN LATERAL (SELECT c.id AS id) z ON false) s",
        "SELECT string_agg(s.x, ',') OVER (PARTITION BY s.zid) FROM (SELECT c.country x, z.id zid FROM customers c LEFT JOIN LATERAL (SELECT c.id AS id) z ON false) s LIMIT 1",
        "SELECT string_agg(s.x, ',') FROM (SELECT c.country x, z.id zid FROM customers c LEFT JOIN LATERAL (SELECT c.id AS id) z ON false WHERE c.id BETWEEN 7 AND 7) s GROUP BY s.zid OFFSET 0",
    ] {
        for mode in [Mode::Restricted, Mode::Accounted] {
            let told = judged(sql, mode);
            let masked = mode == Mode::Restricted && sql.contains("s.email");
            // All that is folded is told by the keys of the records themselves.
            let listed = told.contains("string_agg(s.pk_k1::pg_catalog.text");
            let safe =
                told.starts_with("42501 ") || listed || masked && told.contains(" masked email");
            assert!(safe, "{sql}: {told}");
        }
    }
}

/// A common table that is named twice has its records in both places: a column of the one is no key
/// of the other's rows.
#[test]
fn a_column_of_the_row_around_carries_nothing() {
    let common = "WITH w AS (SELECT id, country FROM customers) ";
    for sql in [
        "SELECT q.* FROM w o, LATERAL (SELECT s.oid, string_agg(s.x, ',') y FROM LATERAL (SELECT o.id AS oid, i.country AS x FROM w i) s GROUP BY s.oid) q WHERE o.id = 2",
        "SELECT q.* FROM w o, LATERAL (SELECT DISTINCT s.oid, s.x FROM LATERAL (SELECT o.id AS oid, i.country AS x FROM w i) s) q WHERE o.id = 2",
        "SELECT s.y FROM w o, LATERAL (SELECT string_agg(i.country, ',') OVER (PARTITION BY z.oid) y FROM w i CROSS JOIN LATERAL (SELECT o.id AS oid) z LIMIT 1) s WHERE o.id = 2",
        "SELECT s.y FROM w o, LATERAL (SELECT string_agg(i.country, ',') OVER () y FROM w i CROSS JOIN LATERAL (SELECT o.id AS oid) z WHERE z.oid = 2 LIMIT 1) s WHERE o.id = 2",
        "SELECT s.y FROM w o, LATERAL (SELECT string_agg(i.country, ',') OVER () y FROM w i WHERE o.id = 2 LIMIT 1) s",
        "SELECT q.y FROM w o, LATERAL (SELECT i.id, array_agg(t.status) y FROM w i CROSS JOIN LATERAL (SELECT o.id AS oid) z JOIN tickets t ON t.customer_id = z.oid WHERE i.id = 329 GROUP BY i.id) q WHERE o.id = 2",
        "SELECT a.id, string_agg(b.country, ',') FROM w a, w b GROUP BY a.id OFFSET 0",
        "SELECT a.id, string_agg(b.country, ',') FROM w a, w b WHERE a.id = 5 AND b.id BETWEEN 6 AND 6 GROUP BY a.id OFFSET 0",
        "SELECT a.id, b.country FROM w a, w b WHERE a.id = 5 GROUP BY a.id, b.country OFFSET 0",
        "SELECT u.id, string_agg(u.country, ',') OVER () FROM (SELECT * FROM w WHERE id = 1 UNION ALL SELECT * FROM w WHERE id = 7) u LIMIT 1",
        "SELECT g.x, string_agg(s2.country, ',') OVER () FROM (SELECT * FROM w WHERE id = 1) s1 CROSS JOIN (VALUES (0), (7)) g(x) LEFT JOIN (SELECT * FROM w WHERE id = 7) s2 ON s2.id = g.x ORDER BY g.x LIMIT 1",
    ] {
        let told = judged(&format!("{common}{sql}"), Mode::Restricted);
        assert!(told.starts_with("42501 "), "{sql}: {told}");
    }
}

#[test]
fn hidden_columns_take_no_part_in_a_natural_join() {
    let common = "WITH w AS (SELECT country FROM customers) SELECT count(*) FROM";
    let told = judged(&format!("{common} w a NATURAL JOIN w b"), Mode::Restricted);
    assert!(told.contains("w a JOIN w b USING (country)"), "{told}");
    let told = judged(&format!("{common} w a NATURAL JOIN w b (c)"), Mode::Restricted);
    assert!(told.contains("w a JOIN w b(c) ON true"), "{told}");
    let told = judged("SELECT country FROM products NATURAL JOIN customers", Mode::Restricted);
    assert!(told.contains("NATURAL JOIN"), "{told}");
}

/// The same by the key of a record that is not the subject's: nobody is asked about.
#[test]
fn two_single_records_are_not_one() {
    let common = "WITH w AS (SELECT id, customer_id, status FROM tickets) ";
    for sql in [
        "SELECT u.id, string_agg(u.status, ',') OVER () FROM (SELECT * FROM w WHERE id = 1 UNION ALL SELECT * FROM w WHERE id = 7) u LIMIT 1",
        "SELECT u.id, lead(u.status) OVER (ORDER BY u.id) FROM (SELECT * FROM w WHERE id = 1 UNION ALL SELECT * FROM w WHERE id = 7) u LIMIT 1",
        "SELECT g.x, string_agg(s2.status, ',') OVER () FROM (SELECT * FROM w WHERE id = 1) s1 CROSS JOIN (VALUES (0), (7)) g(x) LEFT JOIN (SELECT * FROM w WHERE id = 7) s2 ON s2.id = g.x ORDER BY g.x LIMIT 1",
    ] {
        let told = judged(&format!("{common}{sql}"), Mode::Restricted);
        assert!(told.starts_with("42501 "), "{sql}: {told}");
    }
    // One reference, or two that nothing hangs on, are as before.
    for sql in [
        "SELECT a.status, b.status FROM w a JOIN w b ON b.id = a.id WHERE a.customer_id = 5",
        "SELECT customer_id, max(status) FROM w GROUP BY customer_id",
        "SELECT count(*), (SELECT count(*) FROM w) FROM w",
    ] {
        let told = judged(&format!("{common}{sql}"), Mode::Restricted);
        assert!(told.starts_with("WITH "), "{sql}: {told}");
    }
}

#[test]
fn what_another_type_takes_for_equal_is_not_one_subject() {
    // In `float8` neighbouring keys of 64 bits are equal.
    let window = "SELECT id, string_agg(country, ',') OVER () FROM customers WHERE";
    let ticket = "SELECT id, string_agg(status, ',') OVER () FROM tickets WHERE";
    for sql in [
        format!("{window} id = '9007199254740992'::float8 LIMIT 1"),
        format!("{window} id = $1::float8 LIMIT 1"),
        format!("{window} 9007199254740992::float8 = id LIMIT 1"),
        format!("{ticket} id = '9007199254740992'::float8 LIMIT 1"),
        format!("{ticket} id = 9007199254740992::float4 LIMIT 1"),
        // Of which type it is declared isn't known.
        format!("{ticket} id = $1 LIMIT 1"),
    ] {
        let told = judged(&sql, Mode::Restricted);
        assert!(told.starts_with("42501 "), "{sql}: {told}");
    }
    for sql in [
        format!("{window} id = '7'::int8 LIMIT 1"),
        format!("{window} id = 7::int4 LIMIT 1"),
        format!("{window} id = $1 LIMIT 1"),
        format!("{ticket} id = 7 LIMIT 1"),
        format!("{ticket} id = '7' LIMIT 1"),
        format!("{ticket} id = $1::int8 LIMIT 1"),
        format!("{ticket} id = '7'::pg_catalog.int4 LIMIT 1"),
    ] {
        let told = judged(&sql, Mode::Restricted);
        assert!(told.starts_with("SELECT "), "{sql}: {told}");
    }
}

#[test]
fn a_key_that_a_join_casts_is_none() {
    // A merged column has the type that both sides can be cast to.
    let merged = "FROM customers c LEFT JOIN (VALUES (0::float4)) v(id) USING (id)";
    for sql in [
        format!("SELECT s.id, string_agg(s.country, ',') FROM (SELECT * {merged}) s GROUP BY s.id"),
        format!(
            "SELECT s.id, string_agg(s.country, ',') OVER (PARTITION BY s.id) FROM (SELECT * {merged}) s"
        ),
        "SELECT DISTINCT id, country FROM customers NATURAL LEFT JOIN (VALUES (0::float4)) v(id)"
            .to_owned(),
    ] {
        let told = judged(&sql, Mode::Restricted);
        assert!(told.starts_with("42501 "), "{sql}: {told}");
    }
    let told = judged(
        "SELECT s.id, string_agg(s.country, ',') FROM (SELECT * FROM customers a JOIN tickets t USING (id)) s GROUP BY s.id, s.customer_id",
        Mode::Restricted,
    );
    assert!(told.starts_with("SELECT "), "{told}");
}
