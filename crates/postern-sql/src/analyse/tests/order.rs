//! The order in which a leaf gives its rows.

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

const SORTED: &str = "<public.tickets b ORDER BY b.id>";

#[test]
fn rows_that_an_index_could_put_in_order_come_by_their_keys() {
    for sql in [
        "SELECT id, body FROM tickets",
        "SELECT status AS id, id AS x FROM tickets ORDER BY id LIMIT 250",
        "SELECT id FROM (SELECT id, status, customer_id FROM tickets) t WHERE customer_id = 5",
        "SELECT DISTINCT status, id FROM tickets",
        "SELECT c.id, t.id FROM customers c JOIN tickets t ON t.customer_id = c.id",
        "SELECT c.id, (SELECT json_agg(t.status) FROM tickets t WHERE t.customer_id = c.id) FROM customers c",
        "SELECT id, row_number() OVER (PARTITION BY customer_id) FROM tickets",
        "SELECT max(CASE WHEN status = 'a' THEN 1.0 ELSE 1.00 END) FROM tickets",
        "SELECT status, count(*) FROM tickets GROUP BY status",
        "SELECT id FROM tickets ORDER BY status FETCH FIRST 3 ROWS WITH TIES",
    ] {
        let told = told(sql, Mode::Restricted);
        assert!(told.contains(SORTED), "{sql}: {told}");
    }
    // As it is read, and then it is sorted.
    let sorted = told("SELECT t.body FROM tickets t, products", Mode::Restricted);
    assert!(!sorted.contains("tableoid") && sorted.contains(SORTED), "{sorted}");
    assert!(!judged("SELECT id, body FROM tickets", Mode::Restricted).contains("ORDER BY"));
    // A client need not take all that comes, nor does LIMIT.
    for sql in [
        "SELECT id, body FROM tickets",
        "SELECT id FROM tickets ORDER BY status LIMIT 1",
        "SELECT status, count(*) FROM tickets GROUP BY status",
        "SELECT t.id FROM tickets t JOIN products p ON p.id = t.id",
    ] {
        let told = told(sql, Mode::Accounted);
        assert!(told.contains(SORTED), "{sql}: {told}");
    }
}

#[test]
fn what_is_hashed_of_clear_values_comes_in_their_order() {
    for (sql, order) in [
        ("SELECT DISTINCT id, email FROM customers LIMIT 2", " ORDER BY 1, 2 LIMIT 2"),
        ("SELECT id, email FROM customers UNION SELECT id, name FROM customers", " ORDER BY 1, 2"),
        ("SELECT id, email FROM customers GROUP BY 1, email", " ORDER BY 1, customers.email"),
        // With what hangs on the key.
        ("SELECT id, email FROM customers GROUP BY id", " ORDER BY customers.id, customers.email"),
    ] {
        let told = judged(sql, Mode::Accounted);
        assert!(told.lines().next().unwrap().ends_with(order), "{sql}: {told}");
        let masked = judged(sql, Mode::Restricted);
        assert!(!masked.contains("ORDER BY"), "{sql}: {masked}");
    }
    for sql in [
        "SELECT DISTINCT id, country FROM customers",
        "SELECT id, max(email) FROM customers GROUP BY id",
        "SELECT id, email FROM customers UNION ALL SELECT id, name FROM customers",
    ] {
        assert!(!judged(sql, Mode::Accounted).contains("ORDER BY"), "{sql}");
    }
}

/// Rows that no clear key tells apart are sorted by all that can be shown of them.
#[test]
fn rows_without_a_key_come_by_all_that_shows() {
    let mut fixture: serde_json::Value =
        serde_json::from_str(include_str!("../fixture.json")).unwrap();
    for relation in fixture["relations"].as_array_mut().unwrap() {
        if relation["name"] != "tickets" {
            continue;
        }
        for column in relation["columns"].as_array_mut().unwrap() {
            for key in ["primary", "unique", "alone"] {
                column[key] = false.into();
            }
            column["orders"] = (column["name"] == "body").into();
        }
    }
    let catalogue = Catalogue::from_json(&fixture.to_string()).unwrap();
    let path = names(&["public"]);
    let context = Context::new(&path, PREFIX);
    let sql = "SELECT status FROM tickets";
    let statements = analyse(sql, &catalogue, &rules(Mode::Restricted), context).unwrap();
    let Verdict::Guarded(guarded) = &statements[0].verdict else { panic!("{statements:?}") };
    let told = written(guarded);
    let order = "ORDER BY b.customer_id, b.id, b.status::pg_catalog.text COLLATE pg_catalog.\"C\", \
                 b.assignee::pg_catalog.text COLLATE pg_catalog.\"C\", \
                 b.opened_by::pg_catalog.text COLLATE pg_catalog.\"C\", b.ctid>";
    assert!(told.contains(order), "{told}");
}

/// What is compared with a page's rows, and not on it, is told too: by its first row.
#[test]
fn a_page_that_own_values_sort_names_all_that_it_compares() {
    let listed = "string_agg(c.id::pg_catalog.text, ',') FILTER (WHERE c.id \
                  OPERATOR(pg_catalog.=) ANY('{set0}'::bigint[])) OVER ()";
    let own = "c WHERE country = 'DE' ORDER BY";
    for (page, order, passed) in [
        ("name, id LIMIT 20", "c.name, c.id", "0"),
        (
            "2 DESC NULLS LAST LIMIT 20 OFFSET 40",
            "c.name DESC NULLS LAST",
            "COALESCE(40::bigint, 0)",
        ),
        ("c.name FETCH FIRST 3 ROWS ONLY", "c.name", "0"),
        (
            "CASE country WHEN 'DE' THEN 1 END, name OFFSET $1",
            "CASE c.country WHEN 'DE' THEN 1 END, c.name",
            "COALESCE($1::bigint, 0)",
        ),
    ] {
        let told =
            judged(&format!("SELECT id, name FROM customers {own} {page}"), Mode::Restricted);
        let first = format!(
            "CASE WHEN pg_catalog.rank() OVER (ORDER BY {order}) OPERATOR(pg_catalog.<=) \
             ({passed} OPERATOR(pg_catalog.+) 1) THEN pg_catalog.{listed} ELSE NULL END AS pk_k2"
        );
        assert!(told.contains(&first), "{page}: {told}");
        assert!(told.contains("keys [0 0]") && told.contains("set 0 clear name"), "{page}: {told}");
    }
    let joined = "SELECT t.id, c.name FROM tickets t JOIN customers c ON c.id = t.customer_id \
                  WHERE t.status = 'open' ORDER BY c.name LIMIT 20";
    let told = judged(joined, Mode::Restricted);
    assert!(told.contains(listed) && told.contains("keys [0 1 1]"), "{told}");
    // A page that is not sorted by them compares nothing of them.
    let plain = "SELECT id, name FROM customers c WHERE country = 'DE' ORDER BY id LIMIT 20";
    assert!(!judged(plain, Mode::Restricted).contains("string_agg"));
}

#[test]
fn a_page_that_can_t_name_all_that_it_compares_is_sorted_by_masks() {
    for sql in [
        // Of a whole table.
        "SELECT id, name FROM customers ORDER BY name LIMIT 20",
        // By what does not come, or by what is computed.
        "SELECT id, nick, name FROM customers WHERE country = 'DE' ORDER BY lower(name) LIMIT 20",
        "SELECT id, name || '' AS n FROM customers WHERE country = 'DE' ORDER BY n LIMIT 20",
        "SELECT id, name FROM customers WHERE country = 'DE' ORDER BY random(), name LIMIT 20",
        // Of more rows than it counts.
        "SELECT id, name FROM customers WHERE country = 'DE' ORDER BY name \
         FETCH FIRST 3 ROWS WITH TIES",
        "SELECT id, name, generate_series(1, 2) FROM customers WHERE country = 'DE' \
         ORDER BY name LIMIT 20",
        // Passed over by what may be another number when it is asked again.
        "SELECT id, name FROM customers WHERE country = 'DE' ORDER BY name \
         OFFSET (SELECT count(*) FROM products)",
        // Below something else.
        "SELECT * FROM (SELECT id, name FROM customers WHERE country = 'DE' ORDER BY name LIMIT 20) c",
        "SELECT DISTINCT ON (name) id, name FROM customers WHERE country = 'DE' ORDER BY name LIMIT 2",
    ] {
        let told = judged(sql, Mode::Restricted);
        assert!(!told.contains("clear"), "{sql}: {told}");
    }
}
