//! Sub-selects that stand for one value, and what is folded of one subject.

use super::*;

#[test]
fn a_value_of_another_table_is_joined_and_carries_its_key() {
    check(
        "SELECT t.id, (SELECT c.name FROM customers c WHERE c.id = t.customer_id) FROM tickets t",
        "SELECT t.id, COALESCE(pk_v1.pk_v1_) AS name, t.customer_id AS pk_k3, pk_v1.pk_k2 AS pk_k4 FROM <public.tickets b> t LEFT JOIN LATERAL (SELECT c.name AS name, c.id AS pk_k2 FROM <public.customers b> c WHERE c.id = t.customer_id) pk_v1(pk_v1_) ON true
  2 columns, keys [0 1]
  public.tickets
  public.customers set 0 clear name",
    );
    for kept in [
        "SELECT c.id, (SELECT t.number FROM tickets t WHERE t.customer_id = c.id ORDER BY t.id DESC LIMIT 1) AS last FROM customers c",
        "SELECT c.id, coalesce((SELECT t.number FROM tickets t WHERE t.customer_id = c.id LIMIT 1), '-') FROM customers c",
        "SELECT c.id, CASE WHEN c.country = 'DE' THEN (SELECT t.status FROM tickets t WHERE t.customer_id = c.id LIMIT 1) END FROM customers c",
        "SELECT c.id, (SELECT json_agg(t.status ORDER BY t.id) FROM tickets t WHERE t.customer_id = c.id) FROM customers c",
        "SELECT c.id, (SELECT json_agg(x) FROM (SELECT t.id, t.number FROM tickets t WHERE t.customer_id = c.id ORDER BY t.id LIMIT 3) x) FROM customers c",
        "SELECT c.id, a.j FROM customers c LEFT JOIN LATERAL (SELECT coalesce(jsonb_agg(x.o), '[]') AS j FROM (SELECT jsonb_build_object('id', t.id) AS o FROM (SELECT * FROM tickets u WHERE c.id = u.customer_id) t) x) a ON true",
        "SELECT p.id, (SELECT t.number FROM tickets t ORDER BY t.id LIMIT 1) FROM products p",
        "SELECT d.id, (SELECT t.number FROM tickets t WHERE t.customer_id = d.id LIMIT 1) FROM (SELECT id FROM customers) d",
        "SELECT t.id, (SELECT c.name FROM directory c WHERE c.id = t.customer_id LIMIT 1) FROM tickets t ORDER BY 2 LIMIT 3",
    ] {
        let told = judged(kept, Mode::Restricted);
        let keys = told.contains(" columns, keys [0 1]") || kept.contains("products p");
        assert!(keys && !told.starts_with("42501"), "{kept}: {told}");
    }
}

/// A `*` around a value that was joined stands for what it stood for.
#[test]
fn what_is_joined_for_a_value_is_no_column_of_its_own() {
    let told = judged(
        "SELECT *, (SELECT c.name FROM customers c WHERE c.id = t.customer_id) FROM tickets t",
        Mode::Restricted,
    );
    assert!(told.contains("\n  8 columns, keys [0 1]\n"), "{told}");
    let told = judged(
        "SELECT *, (SELECT c.country FROM customers c WHERE c.id = 7 LIMIT 1) FROM products p",
        Mode::Restricted,
    );
    assert!(told.contains("SELECT p.id AS id, p.name AS name, p.price AS price, COALE"), "{told}");
}

#[test]
fn a_value_that_may_be_of_several_rows_or_tells_of_guesses_is_refused() {
    refused(
        "unaccounted",
        &[
            "SELECT c.id, (SELECT t.number FROM tickets t WHERE t.customer_id = c.id) FROM customers c",
            "SELECT c.id, (SELECT t.number FROM tickets t WHERE t.customer_id = c.id LIMIT 2) FROM customers c",
            "SELECT c.id, (SELECT t.number FROM tickets t WHERE t.customer_id = c.id LIMIT $1) FROM customers c",
            "SELECT c.id, (SELECT t.number FROM tickets t WHERE t.customer_id = c.id ORDER BY t.status FETCH FIRST 1 ROW WITH TIES) FROM customers c",
            "SELECT t.id, (SELECT c.name FROM customers c WHERE c.id = c.id) FROM tickets t",
            "SELECT t.id, (SELECT c.name FROM customers c WHERE c.id = t.customer_id OR true) FROM tickets t",
            "SELECT count((SELECT c.name FROM customers c WHERE c.id = t.customer_id)) FROM tickets t",
            "SELECT DISTINCT (SELECT c.name FROM customers c WHERE c.id = t.customer_id) FROM tickets t",
            "SELECT t.id FROM tickets t WHERE (SELECT c.name FROM customers c WHERE c.id = t.customer_id) = 'x' OR t.id = 5",
            "SELECT t.id FROM tickets t WHERE NOT (t.customer_id = (SELECT u.customer_id FROM tickets u WHERE u.id = 5))",
            "SELECT t.id FROM tickets t WHERE t.customer_id IS NOT DISTINCT FROM (SELECT u.customer_id FROM tickets u WHERE u.id = 5)",
            "SELECT t.id FROM tickets t WHERE t.customer_id = (SELECT u.customer_id FROM tickets u WHERE u.status = 'open')",
            "SELECT t.id FROM tickets t WHERE t.customer_id = (SELECT u.customer_id FROM tickets u WHERE u.number > 'T-5')",
            "SELECT t.id FROM tickets t WHERE t.customer_id = (SELECT u.customer_id FROM tickets u WHERE u.number = u.status)",
            "SELECT t.id FROM tickets t ORDER BY (SELECT c.name FROM customers c WHERE c.id = t.customer_id)",
            "SELECT t.status, (SELECT json_agg(c.name) FROM customers c) FROM tickets t",
            "SELECT c.id, (SELECT json_agg(t.number) FROM tickets t WHERE t.customer_id >= c.id) FROM customers c",
            "SELECT c.id, (SELECT json_agg(x) FROM customers d, LATERAL (SELECT t.number FROM tickets t WHERE t.customer_id = d.id LIMIT 3) x) FROM customers c",
            "SELECT p.id, (SELECT json_agg(c.country) FROM customers c WHERE c.id = p.id) FROM products p",
            "SELECT EXISTS (SELECT (SELECT c.name FROM customers c WHERE c.id = t.customer_id) FROM tickets t)",
        ],
    );
    refused(
        "folded_lookup",
        &[
            "SELECT p.id, (SELECT c.country FROM customers c WHERE c.id = p.id AND c.country = 'DE') FROM products p",
        ],
    );
}

/// At the top of WHERE a comparison leaves out the rows for which the sub-select gives none, as a
/// join does.
#[test]
fn a_value_that_is_compared_is_joined_and_carries_its_key() {
    check(
        "SELECT t.number FROM tickets t WHERE t.customer_id = (SELECT u.customer_id FROM tickets u WHERE u.id = 5) AND t.status = 'open'",
        "SELECT t.number, t.customer_id AS pk_k3, pk_v1.pk_k2 AS pk_k4 FROM <public.tickets b> t JOIN LATERAL (SELECT u.customer_id AS customer_id, u.customer_id AS pk_k2 FROM <public.tickets b> u WHERE u.id = 5) pk_v1(pk_v1_) ON true WHERE t.customer_id = pk_v1.pk_v1_ AND t.status = 'open'
  1 columns, keys [0 1]
  public.tickets set 0 clear number
  public.tickets",
    );
    for kept in [
        "SELECT * FROM tickets WHERE customer_id = (SELECT customer_id FROM tickets WHERE number = 'T-5' LIMIT 1)",
        "SELECT * FROM tickets WHERE customer_id = (SELECT customer_id FROM tickets WHERE number = 'T-5')",
        "SELECT name FROM customers WHERE id = (SELECT c.id FROM customers c WHERE c.email = 'x@example.org' AND c.country = 'DE')",
        "SELECT name FROM customers c WHERE (SELECT t.customer_id FROM tickets t ORDER BY t.id DESC LIMIT 1) = c.id",
        "SELECT t.id FROM tickets t WHERE (SELECT c.name FROM customers c WHERE c.id = t.customer_id) = 'x'",
        "SELECT t.number FROM tickets t WHERE t.id = (SELECT u.id FROM tickets u WHERE u.customer_id = t.customer_id ORDER BY u.id DESC LIMIT 1)",
    ] {
        let told = judged(kept, Mode::Restricted);
        assert!(told.contains(" columns, keys [0 1]\n"), "{kept}: {told}");
    }
}

#[test]
fn what_is_folded_of_one_subject_carries_its_key() {
    check(
        "SELECT string_agg(status, ', ') FROM tickets WHERE customer_id = 5",
        "SELECT pg_catalog.string_agg(tickets.status, ', '), (pg_catalog.array_agg(tickets.customer_id) FILTER (WHERE tickets.customer_id IS NOT NULL))[1] AS pk_k1 FROM <public.tickets b> tickets WHERE tickets.customer_id = 5
  1 columns, keys [0]
  public.tickets",
    );
    for kept in [
        "SELECT min(id), max(id) FROM tickets WHERE customer_id = 5",
        "SELECT json_agg(t) FROM (SELECT id, status FROM tickets WHERE customer_id = 5) t",
        "SELECT status, array_agg(id) FROM tickets WHERE customer_id = $1 GROUP BY status",
        "SELECT status, array_agg(number) FROM tickets WHERE customer_id = 5 GROUP BY ROLLUP (status)",
    ] {
        let told = judged(kept, Mode::Restricted);
        assert!(told.contains(" columns, keys [0]\n"), "{kept}: {told}");
    }
    refused(
        "unaccounted",
        &[
            "SELECT DISTINCT string_agg(number, ', ') FROM tickets WHERE customer_id = 5",
            "SELECT t.status, string_agg(u.number, ', ') FROM tickets t, tickets u WHERE t.customer_id = 5 GROUP BY 1",
        ],
    );
}

/// At the end of the statement, where a few are asked for.
#[test]
fn what_is_folded_of_many_carries_all_their_keys() {
    check(
        "SELECT string_agg(number, ', ') FROM tickets WHERE assignee = 'me'",
        "SELECT pg_catalog.string_agg(tickets.number, ', '), pg_catalog.string_agg(tickets.customer_id::pg_catalog.text, ',') AS pk_k1 FROM <public.tickets b> tickets WHERE tickets.assignee = 'me'
  1 columns, keys [0]
  public.tickets set 0 clear number",
    );
    for kept in [
        "SELECT max(id) FROM tickets WHERE assignee = 'me'",
        "SELECT json_agg(x) FROM (SELECT id, number FROM tickets ORDER BY id LIMIT 3) x",
        "SELECT string_agg(number, ', ') FROM tickets WHERE customer_id = 5 OR status = 'open'",
        "SELECT string_agg(number, ', ') FROM tickets WHERE customer_id IN (5, 6)",
        "SELECT array_agg(c.country) FROM tickets t JOIN customers c ON c.id = t.customer_id WHERE t.status = 'open'",
        "WITH t AS (SELECT * FROM tickets) SELECT string_agg(u.number, ', ') FROM t, t u WHERE t.customer_id = 5",
    ] {
        let told = judged(kept, Mode::Restricted);
        assert!(
            told.contains("::pg_catalog.text, ',') AS pk_k") && !told.contains("keys []"),
            "{kept}: {told}"
        );
    }
    refused(
        "unaccounted",
        &[
            "SELECT string_agg(number, ', ') FROM tickets",
            "SELECT status, string_agg(number, ', ') FROM tickets WHERE assignee = 'me' GROUP BY status",
            "SELECT string_agg(number, ', ') FROM tickets WHERE assignee = 'me' HAVING max(id) > 7",
            "SELECT string_agg(number, ', ') FROM tickets WHERE assignee = 'me' OFFSET 1",
            "SELECT max(id), generate_series(1, 9) FROM tickets WHERE assignee = 'me'",
            "SELECT coalesce(max(id), 1) + unnest(ARRAY[1, 2]) FROM tickets WHERE assignee = 'me'",
            "SELECT x.n FROM (SELECT string_agg(number, ', ') AS n FROM tickets WHERE assignee = 'me') x",
            "SELECT string_agg(number, ', ') FROM tickets WHERE assignee = 'me' UNION ALL SELECT ''",
            "SELECT string_agg(iban, ', ') FROM accounts WHERE iban IS NOT NULL HAVING true",
            "COPY (SELECT string_agg(number, ', ') FROM tickets WHERE assignee = 'me') TO STDOUT",
        ],
    );
}

#[test]
fn a_value_that_stands_alone_is_joined_to_one_row() {
    check(
        "SELECT coalesce((SELECT name FROM customers WHERE id = 7), 'nobody')",
        "SELECT COALESCE(COALESCE(pk_v1.pk_v1_), 'nobody') AS \"coalesce\", pk_v1.pk_k3 AS pk_k4 FROM (SELECT true AS \"?column?\") pk_v2(pk_v2_) LEFT JOIN LATERAL (SELECT customers.name AS name, customers.id AS pk_k3 FROM <public.customers b> customers WHERE customers.id = 7) pk_v1(pk_v1_) ON true
  1 columns, keys [0]
  public.customers set 0 clear name",
    );
    refused("unaccounted", &["SELECT *, (SELECT name FROM customers WHERE id = 7)"]);
}

#[test]
fn who_has_many_records_is_joined_as_a_group() {
    for groups in [
        "SELECT customer_id FROM tickets WHERE status = 'open' GROUP BY customer_id HAVING count(*) > 3",
        "SELECT t.customer_id FROM tickets t GROUP BY 1 HAVING max(t.status) > 'o' AND count(*) < 9",
    ] {
        let sql = format!("SELECT c.id, c.name FROM customers c WHERE c.id IN ({groups})");
        let told = judged(&sql, Mode::Restricted);
        assert!(told.contains("\n  2 columns, keys [0 1]\n"), "{told}");
        assert!(told.contains("\n  public.customers set 0 clear name\n"), "{told}");
    }
    for other in [
        "SELECT customer_id FROM tickets GROUP BY customer_id, status HAVING count(*) > 3",
        "SELECT customer_id FROM tickets GROUP BY customer_id HAVING count(*) > 3 LIMIT 5",
        "SELECT id FROM tickets GROUP BY id HAVING count(*) > 3",
    ] {
        refused("unaccounted", &[&format!("SELECT c.id FROM customers c WHERE c.id IN ({other})")]);
    }
}

#[test]
fn what_is_sorted_by_itself_tells_of_no_record() {
    for free in [
        "SELECT status, mode() WITHIN GROUP (ORDER BY status) FROM tickets GROUP BY status",
        "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY status DESC) FROM tickets",
        "SELECT percentile_disc(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY status) FROM tickets",
        "SELECT array_agg(status ORDER BY status) FROM tickets",
        "SELECT string_agg(t.status, ', ' ORDER BY t.status) FROM tickets t",
    ] {
        let told = judged(free, Mode::Restricted);
        assert!(told.contains(" columns, keys []"), "{free}: {told}");
    }
    refused(
        "unaccounted",
        &[
            "SELECT array_agg(status) FROM tickets",
            "SELECT array_agg(status ORDER BY customer_id) FROM tickets",
            "SELECT array_agg(status ORDER BY status, id) FROM tickets",
            "SELECT array_agg(status ORDER BY status COLLATE \"C\") FROM tickets",
            "SELECT array_agg(id ORDER BY id) FROM tickets",
            "SELECT mode() WITHIN GROUP (ORDER BY id) FROM tickets",
            "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY length(status)::numeric) FROM tickets",
        ],
    );
}
