//! Records in records, and pages of records, as ORMs and API servers write them.

use super::{Mode, check, judged, refused};

/// PostgREST embeds a ticket's customer so. Where the join left none there is no row of NULLs
/// either.
#[test]
fn a_whole_row_that_an_outer_join_may_leave_out_is_shown_without_what_is_hidden() {
    check(
        "SELECT t.id, row_to_json(s.*)::jsonb AS c FROM tickets t LEFT JOIN LATERAL (SELECT c.id, \
         c.name FROM customers c WHERE c.id = t.customer_id) s ON true",
        "SELECT t.id, pg_catalog.row_to_json(CASE WHEN s IS DISTINCT FROM NULL THEN (SELECT pk_r2 FROM (SELECT s.id AS id, s.name AS name) pk_r2) ELSE NULL END)::pg_catalog.jsonb AS c, t.customer_id AS pk_k3, s.pk_k1 AS pk_k4 FROM <public.tickets b> t LEFT JOIN LATERAL (SELECT c.id AS id, c.name AS name, c.id AS pk_k1 FROM <public.customers b> c WHERE c.id = t.customer_id) s ON true
  2 columns, keys [0 1]
  public.tickets
  public.customers set 0 clear name",
    );
    let told = judged("SELECT to_json(s.*) FROM (SELECT id FROM customers) s", Mode::Restricted);
    assert!(told.contains("to_json((SELECT pk_r2 FROM (SELECT s.id AS id) pk_r2))"), "{told}");
}

/// That a record is not there is as much as a column of it says.
#[test]
fn the_absence_of_a_whole_row_decides_no_less_than_that_of_a_column() {
    let one = "products p LEFT JOIN (SELECT id, country FROM customers WHERE id = 5 + 0 AND \
               country = 'DE') s ON true";
    let told = |form: &str, test: &str| {
        judged(&form.replace("{one}", one).replace("{test}", test), Mode::Restricted)
    };
    for form in [
        "SELECT p.id FROM {one} WHERE {test} IS NULL",
        "SELECT {test} IS NULL FROM {one} LIMIT 1",
        "SELECT p.id FROM {one} ORDER BY {test} IS NULL",
        "SELECT count({test}) FROM {one}",
        "SELECT {test} IS NULL, count(*) FROM {one} GROUP BY 1",
        "SELECT DISTINCT {test} IS NULL FROM {one}",
    ] {
        let column = told(form, "s.country");
        assert!(column.starts_with("42501 "), "{form}: {column}");
        for row in ["to_json(s)::text", "to_json(s.*)::text", "s"] {
            let row = told(form, row);
            assert!(row.starts_with("42501 "), "{form}: {row}");
        }
    }
}

/// What is counted is that there is a row.
#[test]
fn a_count_of_whole_rows_looks_at_none() {
    for sql in [
        "SELECT count(x), json_agg(x) FROM (SELECT id, name FROM customers WHERE id = 5) x",
        "WITH s AS (SELECT c.id, c.name FROM customers c WHERE c.id = 5) \
         SELECT pg_catalog.count(x.*), json_agg(x) FROM (SELECT * FROM s) x",
    ] {
        let told = judged(sql, Mode::Restricted);
        assert!(told.contains("SELECT pg_catalog.count(*), "), "{told}");
        assert!(told.ends_with("public.customers set 0 clear name"), "{told}");
    }
    for sql in [
        "SELECT count(DISTINCT c) FROM customers c",
        "SELECT count(c) FROM products p LEFT JOIN (SELECT id FROM customers) c ON c.id = p.id",
        "SELECT (SELECT count(c) FROM products) FROM customers c",
    ] {
        let told = judged(sql, Mode::Restricted);
        assert!(!told.contains("count(*)"), "{sql}: {told}");
    }
}

/// MikroORM looks for the keys of a page first, and so does who writes by hand.
#[test]
fn a_page_of_keys_that_records_are_among_is_joined() {
    let page = "SELECT t.id FROM tickets t WHERE t.assignee = 'me' ORDER BY t.status LIMIT 5";
    let groups = "SELECT t.id FROM tickets t LEFT JOIN customers c ON t.customer_id = c.id \
                  WHERE t.assignee = 'me' GROUP BY t.id ORDER BY min(t.status) DESC LIMIT 5";
    let keyed = "SELECT t.id FROM tickets t GROUP BY t.id ORDER BY min(t.id) LIMIT 5";
    for keys in [
        page.to_owned(),
        groups.to_owned(),
        keyed.to_owned(),
        format!("SELECT q.id FROM ({groups}) AS q"),
        format!("SELECT id FROM ({page}) AS q"),
    ] {
        let sql = format!("SELECT a.* FROM tickets a WHERE a.id IN ({keys}) ORDER BY a.id");
        let told = judged(&sql, Mode::Restricted);
        assert!(told.contains(" JOIN LATERAL (SELECT "), "{sql}: {told}");
        assert!(!told.contains("min(t.id)"), "{told}");
    }
    // Of which one might come twice, or which name something else.
    for keys in [
        "SELECT t.customer_id FROM tickets t ORDER BY t.id LIMIT 5",
        "SELECT t.id FROM tickets t GROUP BY t.id, t.status LIMIT 5",
        "SELECT q.id FROM (SELECT t.id + 1 AS id FROM tickets t ORDER BY t.id LIMIT 5) q",
        "SELECT a.id FROM (SELECT t.id FROM tickets t ORDER BY t.id LIMIT 5) q",
    ] {
        let sql = format!("SELECT a.id FROM tickets a WHERE a.id IN ({keys})");
        let told = judged(&sql, Mode::Restricted);
        assert!(!told.contains("LATERAL"), "{sql}: {told}");
    }
}

#[test]
fn a_union_in_from_of_one_tables_rows_is_one_select() {
    let told = judged(
        "SELECT u.* FROM (SELECT * FROM tickets WHERE status = 'open' AND assignee = 'me' UNION \
         SELECT * FROM tickets t WHERE t.status = 'pending') u ORDER BY u.id",
        Mode::Restricted,
    );
    let condition = "WHERE (tickets.status = 'open' AND tickets.assignee = 'me') OR \
                     tickets.status = 'pending') u";
    assert!(told.contains(condition) && !told.contains("UNION"), "{told}");
    refused(
        "unaccounted",
        &["SELECT u.* FROM (SELECT id FROM tickets WHERE status = 'open' UNION SELECT id FROM \
           customers WHERE country = 'DE') u"],
    );
}

/// Hasura joins what belongs to a page's records to them, and collects all of it in one value.
#[test]
fn what_is_joined_to_a_page_is_collected_with_all_keys() {
    let page = "(SELECT * FROM tickets WHERE assignee = 'me' ORDER BY id LIMIT 5) b";
    let customer = "LEFT JOIN LATERAL (SELECT row_to_json((SELECT e FROM (SELECT q.id AS id, q.name \
                    AS name) AS e)) AS c FROM (SELECT * FROM customers c WHERE b.customer_id = c.id \
                    LIMIT 1) q) o ON true";
    let told = judged(
        &format!(
            "SELECT coalesce(json_agg(r), '[]') FROM (SELECT row_to_json((SELECT e FROM (SELECT \
             b.id AS id, o.c AS c) AS e)) AS r FROM {page} {customer} ORDER BY b.id) x"
        ),
        Mode::Restricted,
    );
    assert!(told.contains("\n  1 columns, keys [0 1]\n"), "{told}");
    assert_eq!(told.matches("pg_catalog.string_agg(x.pk_k").count(), 2, "{told}");
    assert!(told.ends_with("public.customers set 0 clear name"), "{told}");
    // A page that is joined to all customers says nothing of how many these are.
    refused(
        "unaccounted",
        &[&format!(
            "SELECT json_agg(r) FROM (SELECT json_build_object('c', c.name) AS r FROM {page} RIGHT \
             JOIN customers c ON c.id = b.customer_id) x"
        )],
    );
}
