//! The order of rows that compare as equal.

use super::*;

/// Tickets have an index of their state and their protected body.
fn told(sql: &str, mode: Mode) -> String {
    let json = include_str!("../fixture.json");
    let body = json.find("\"name\": \"body\"").unwrap();
    let (before, after) = json.split_at(body);
    let after = after.replacen("\"orders\": false", "\"orders\": true", 1);
    let catalogue = Catalogue::from_json(&format!("{before}{after}")).unwrap();
    let path = names(&["public"]);
    let statements = analyse(sql, &catalogue, &rules(mode), Context::new(&path, PREFIX)).unwrap();
    match &statements[0].verdict {
        Verdict::Guarded(guarded) => written(guarded),
        Verdict::Refused(refusal) => refusal.rule.to_owned(),
        verdict => panic!("{verdict:?}"),
    }
}

#[test]
fn rows_that_compare_as_equal_come_in_the_order_of_their_keys() {
    for (sql, order) in [
        ("SELECT id, body FROM tickets", "ORDER BY tickets.customer_id, tickets.id"),
        (
            "SELECT t.status FROM tickets t ORDER BY t.status LIMIT 5",
            "ORDER BY t.status, t.customer_id, t.id LIMIT 5",
        ),
        (
            "SELECT DISTINCT ON (status) status, customer_id FROM tickets",
            "ORDER BY status, tickets.customer_id, tickets.id",
        ),
        (
            "SELECT c.id, t.id FROM customers c JOIN tickets t ON t.customer_id = c.id",
            "ORDER BY t.customer_id, t.id",
        ),
        (
            "SELECT s.id FROM (SELECT t.id, t.customer_id FROM tickets t) s ORDER BY 1",
            "ORDER BY 1, s.",
        ),
        (
            "SELECT c.id, (SELECT t.status FROM tickets t WHERE t.customer_id = c.id LIMIT 1) FROM customers c",
            "ORDER BY t.customer_id, t.id LIMIT 1)",
        ),
        (
            "SELECT c.id, (SELECT json_agg(t.status) FROM tickets t WHERE t.customer_id = c.id) FROM customers c",
            "json_agg(t.status ORDER BY t.customer_id, t.id)",
        ),
        (
            "SELECT t.id, row_number() OVER (PARTITION BY t.customer_id ORDER BY t.status) FROM tickets t",
            "ORDER BY t.status, t.customer_id, t.id)",
        ),
        (
            "SELECT 1 AS one, 'all' AS status UNION ALL SELECT t.customer_id, t.status FROM tickets t ORDER BY 2 LIMIT 3",
            "ORDER BY 2, pk_k",
        ),
    ] {
        let told = told(sql, Mode::Restricted);
        assert!(told.contains(order), "{sql}: {told}");
    }
    // Where no order shows nothing is sorted, nor where nothing tells by it.
    for sql in [
        "SELECT status, count(*) FROM tickets GROUP BY status",
        "SELECT id FROM customers WHERE EXISTS (SELECT FROM tickets t WHERE t.customer_id = customers.id)",
        "SELECT t.id, rank() OVER (PARTITION BY t.customer_id ORDER BY t.status) FROM tickets t ORDER BY t.id",
    ] {
        let told = told(sql, Mode::Restricted);
        assert!(!told.contains("customer_id, "), "{sql}: {told}");
    }
    assert!(!judged("SELECT id, body FROM tickets", Mode::Restricted).contains("ORDER BY"));
    // Who sees all in clear learns nothing by the order of what comes, but by what is left out.
    assert!(!told("SELECT id, body FROM tickets", Mode::Accounted).contains("ORDER BY"));
    let first = told("SELECT id FROM tickets ORDER BY status LIMIT 1", Mode::Accounted);
    assert!(first.contains("ORDER BY tickets.status, tickets.customer_id, tickets.id"), "{first}");
    for sql in [
        "SELECT id FROM tickets ORDER BY status FETCH FIRST 3 ROWS WITH TIES",
        "SELECT id, row_number() OVER w FROM tickets WINDOW w AS (PARTITION BY customer_id ORDER BY status)",
        "SELECT id, last_value(status) OVER (PARTITION BY customer_id ORDER BY status) FROM tickets",
    ] {
        assert_eq!(told(sql, Mode::Restricted), "order", "{sql}");
    }
}
