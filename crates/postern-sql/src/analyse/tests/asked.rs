//! Whom a statement asks about by the key is recorded, rows or not: so it may be counted.

use super::*;

#[test]
fn a_comparison_with_a_key_says_of_whom_it_asks() {
    for (sql, asked) in [
        ("SELECT name FROM customers WHERE id = 5", "0: 5"),
        ("SELECT name FROM customers WHERE 5 = id AND country = 'DE'", "0: 5"),
        ("SELECT name FROM customers WHERE id = '5'::bigint OR id = 7", "0: 5, 0: 7"),
        ("SELECT name FROM customers WHERE id IN (5, $1, '7')", "0: 5, 0: $1, 0: 7"),
        ("SELECT name FROM customers WHERE id IN (5, NULL) OR id = NULL", "0: 5"),
        ("SELECT name FROM customers WHERE id = ANY ($1)", "0: $1[]"),
        ("SELECT name FROM customers WHERE id = ANY ($1::bigint[])", "0: $1[]"),
        ("SELECT name FROM customers WHERE id = ANY ('{5,7}')", "0: 5, 0: 7"),
        ("SELECT name FROM customers WHERE id = ANY (ARRAY[5, 7])", "0: 5, 0: 7"),
        ("SELECT id FROM tickets WHERE customer_id <> 5", "0: 5"),
        ("SELECT id FROM tickets WHERE customer_id <> ALL (ARRAY[5])", "0: 5"),
        ("SELECT id FROM tickets WHERE id = 5", ""),
        ("SELECT id FROM customers WHERE id > 5", ""),
        (
            "SELECT t.id FROM tickets t JOIN customers c ON c.id = t.customer_id AND c.id = 5",
            "1: 5",
        ),
        ("SELECT id, id = 5 FROM customers", "0: 5"),
        ("SELECT name FROM directory WHERE id = 5", "0: 5"),
        ("UPDATE customers SET name = 'x' WHERE id = $1", "0: $1"),
    ] {
        assert_eq!(asks(sql), asked, "{sql}");
    }
}

/// Whether no other keys of the actor's matter than those that are asked about.
#[test]
fn only_those_who_are_asked_about_can_come() {
    let bounded = |sql: &str| {
        let path = names(&["public"]);
        let context = Context::new(&path, PREFIX);
        let statements = analyse(sql, &catalogue(), &rules(Mode::Restricted), context).unwrap();
        match &statements.first().unwrap().verdict {
            Verdict::Guarded(guarded) => guarded.bounded,
            verdict => panic!("{sql}: {verdict:?}"),
        }
    };
    for sql in [
        "SELECT email FROM customers WHERE id = $1",
        "SELECT email FROM customers WHERE country = 'DE' AND id IN (5, 7)",
        "SELECT t.body FROM customers c LEFT JOIN tickets t ON t.customer_id = c.id WHERE c.id = 5",
        "WITH w AS (SELECT email FROM customers WHERE id = 5) SELECT a.email FROM w a, w b",
    ] {
        assert!(bounded(sql), "{sql}");
    }
    for sql in [
        "SELECT email FROM customers",
        "SELECT email FROM customers WHERE id <> 5",
        "SELECT email FROM customers WHERE id = 5 OR country = 'DE'",
        "SELECT email FROM customers WHERE id > 5",
        "SELECT d.email FROM customers c, customers d WHERE c.id = 5",
        "SELECT d.email FROM customers c JOIN customers d ON d.country = c.country WHERE c.id = 5",
        "WITH w AS (SELECT id, email FROM customers) SELECT b.email FROM w a, w b WHERE a.id = 5",
        "SELECT d.email FROM customers c, LATERAL (SELECT * FROM customers d WHERE c.id = 5) d",
        "SELECT email FROM customers UNION ALL SELECT email FROM customers WHERE id = 5",
    ] {
        assert!(!bounded(sql), "{sql}");
    }
}

/// Where what comes tells of somebody in another way than by the key in a row.
#[test]
fn who_is_counted_is_told_first() {
    for (sql, asked) in [
        ("SELECT count(*) FROM customers WHERE id = 5 AND country = 'DE'", "0: 5"),
        ("SELECT country, count(*) FROM customers WHERE id <> 5 GROUP BY 1", "0: 5"),
        ("SELECT count(*) FILTER (WHERE id = 5) FROM customers", "0: 5"),
        ("SELECT max(country) FROM customers WHERE id = $1", "0: $1"),
        (
            "SELECT count(*) FROM tickets WHERE ($1 IS NULL OR customer_id = $1) AND status = $2",
            "0: $1",
        ),
        ("SELECT count(*) FROM tickets WHERE $1::int8 IS NULL OR customer_id = $1::int8", "0: $1"),
        (
            "SELECT status, count(*) FROM tickets WHERE customer_id IN (5, 7) GROUP BY 1",
            "0: 5, 0: 7",
        ),
        ("SELECT 1 WHERE EXISTS (SELECT 1 FROM customers WHERE id = 5 AND country = 'DE')", "0: 5"),
        (
            "SELECT id FROM tickets WHERE customer_id IN (5, 7) ORDER BY id LIMIT 10 OFFSET 10",
            "0: 5, 0: 7",
        ),
        (
            "SELECT count(*) OVER (), id FROM tickets WHERE customer_id IN (5, 7) LIMIT 1",
            "0: 5, 0: 7",
        ),
        (
            "SELECT p.id FROM products p LEFT JOIN customers c ON c.id = 5 AND c.country = 'DE' WHERE c.id IS NULL",
            "0: 5",
        ),
        (
            "SELECT country, count(x) FROM (SELECT country, CASE WHEN id = 5 THEN 1 END AS x FROM customers) s GROUP BY 1",
            "0: 5",
        ),
        (
            "SELECT id FROM customers WHERE country = 'DE' ORDER BY id = 5 DESC, id OFFSET 1 LIMIT 1",
            "0: 5",
        ),
    ] {
        assert_eq!(asks(sql), format!("first, {asked}"), "{sql}");
    }
}

/// What does not say of whom it asks tells records apart like any other predicate.
#[test]
fn a_comparison_that_does_not_say_of_whom_is_refused_where_it_is_counted() {
    refused(
        "folded_lookup",
        &[
            "SELECT count(*) FROM customers WHERE id = 5 + 0 HAVING true",
            "SELECT count(*) FROM customers WHERE id = 5.0 HAVING true",
            "SELECT count(*) FROM customers WHERE id = '5'::text::bigint HAVING true",
            "SELECT count(*) FROM customers WHERE id = '0x5' HAVING true",
            "SELECT count(*) FROM customers WHERE id IN (5, 7 + 0) HAVING true",
            "SELECT count(*) FROM customers WHERE id BETWEEN 5 AND 5 HAVING true",
            "SELECT count(*) FROM customers WHERE id >= 5 AND id <= 5 HAVING true",
            "SELECT count(*) FROM customers WHERE (id, country) = (5, 'DE') HAVING true",
            "SELECT count(*) FROM customers WHERE id = ANY (string_to_array('5', ',')::bigint[]) HAVING true",
            "SELECT count(*) FROM customers WHERE CASE id WHEN 5 THEN true END HAVING true",
            "SELECT count(*) FROM customers WHERE id IS NOT DISTINCT FROM 5 HAVING true",
            "SELECT count(*) FROM customers WHERE id = (SELECT 5) HAVING true",
            "SELECT count(*) FROM customers c JOIN products p ON p.id = c.id WHERE p.id = 5 HAVING true",
            "SELECT count(*) FROM tickets WHERE id = 5 HAVING true",
            "SELECT count(*) FROM (SELECT id, country FROM customers ORDER BY id LIMIT 3) s WHERE id = 5 HAVING true",
            // The parameter may be of any type: the other use decides.
            "SELECT count(*), $1::float8 FROM customers WHERE id = $1 HAVING true",
            "SELECT count(*) FROM customers WHERE $1::text IS NULL OR id = $1::int8 HAVING true",
            "SELECT count(*) FROM customers WHERE id = $1 AND length(country) = $1 HAVING true",
        ],
    );
    let many: Vec<String> = (0..10_001).map(|id| format!("id = {id}")).collect();
    let many = format!("SELECT count(*) FROM customers WHERE {}", many.join(" OR "));
    assert_eq!(judged(&many, Mode::Restricted), "54000 asked_key");
    let long = format!(
        "SELECT count(*) FROM customers WHERE id IN (1{}) HAVING true",
        ", 2".repeat(1_000)
    );
    refused("folded_lookup", &[&long]);
}
