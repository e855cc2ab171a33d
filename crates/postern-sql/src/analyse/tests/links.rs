//! What is joined by the subject's key to a customer is carried by that customer's key.

use super::*;

#[test]
fn what_is_collected_for_a_customer_is_carried_by_its_key() {
    check(
        "SELECT c.id, string_agg(t.status, ', ' ORDER BY t.id), min(t.id), array_agg(t.number) FROM customers c LEFT JOIN tickets t ON t.customer_id = c.id WHERE c.country = 'DE' GROUP BY c.id",
        "SELECT c.id, pg_catalog.string_agg(t.status, ', ' ORDER BY t.id), pg_catalog.min(t.id), pg_catalog.array_agg(t.number), c.id AS pk_k1, c.id AS pk_k2 FROM <public.customers b> c LEFT JOIN <public.tickets b> t ON t.customer_id = c.id WHERE c.country = 'DE' GROUP BY c.id
  4 columns, keys [0 1]
  public.customers
  public.tickets masked number",
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
            "SELECT c.id, string_agg(e.country, ',') FROM customers c CROSS JOIN customers e LEFT JOIN (tickets t JOIN customers d ON d.id = t.customer_id) ON t.customer_id = c.id AND d.id = e.id WHERE c.id = 329 GROUP BY c.id",
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
