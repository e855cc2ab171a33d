//! Folded rows tell nothing of single records, whatever was computed of keys below.

use super::*;

#[test]
fn a_count_of_what_is_computed_of_keys_is_refused() {
    refused(
        "folded_lookup",
        &[
            "SELECT country, count(x) FROM (SELECT country, CASE WHEN id = 13577 THEN 1 END AS x FROM customers) s GROUP BY country",
            "SELECT country, count(s.x) FROM (SELECT country, nullif(id, 13577) AS x FROM customers) s GROUP BY country",
            "SELECT country, count(DISTINCT x) FROM (SELECT country, id / 13577 AS x FROM customers) s GROUP BY country",
            "WITH s AS (SELECT country, CASE WHEN id = 13577 THEN 1 END AS x FROM customers) SELECT country, count(x) FROM s GROUP BY country",
            "SELECT count(x) FROM (SELECT CASE WHEN id = 13577 THEN country END AS x FROM customers) s",
            "SELECT count(DISTINCT s) FROM (SELECT CASE WHEN id = 13577 THEN country ELSE 'DE' END AS x FROM customers) s",
            "SELECT count(*) FROM (SELECT DISTINCT CASE WHEN id = 13577 THEN country ELSE 'DE' END AS x FROM customers) s",
            "SELECT country, count(x) FROM (SELECT country, CASE WHEN id = 13577 THEN 1 END AS x FROM customers UNION ALL SELECT name, NULL FROM products) s GROUP BY country",
            "SELECT country, count(x) FROM (SELECT country, CASE WHEN id = 13577 THEN 1 END AS x FROM customers) s JOIN (SELECT 1 AS x) o USING (x) GROUP BY country",
            "SELECT country, count(x) FROM (SELECT country, CASE WHEN id = 13577 THEN 1 END AS x FROM customers UNION ALL SELECT status, id FROM tickets) s GROUP BY country",
            "SELECT country, count(x) FROM (SELECT country, CASE WHEN id = 13577 THEN 1 END AS x FROM customers) s, LATERAL (VALUES (1), (x)) v (y) GROUP BY country",
            "SELECT c.country, count(v.y) FROM customers c, LATERAL (VALUES (1), (nullif(c.id, 13577))) v (y) GROUP BY c.country",
            "SELECT count(x) OVER (PARTITION BY country), id FROM (SELECT id, country, CASE WHEN id = 13577 THEN 1 END AS x FROM customers) s",
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
        &format!("SELECT pg_catalog.count(c.*) FROM <public.customers b> c{of_customers}"),
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
