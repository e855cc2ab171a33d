//! What a select names of the selects around it flows into all that it gives.

use super::*;

/// 1 where the first, which is a column or computed of one, is the second.
const SORTED: &str = "SELECT a FROM generate_series(1, 9) a ORDER BY (a = c.id) DESC, a LIMIT 1";
const GROUPED: &str =
    "SELECT max(a) AS a FROM generate_series(1, 9) a GROUP BY (a = c.id) HAVING count(*) = 1";

fn are_refused(mode: Mode, statements: &[String]) {
    for sql in statements {
        let told = judged(sql, mode);
        // Or all whom it folds are told, and by which column it asks.
        let folds = told.contains("::pg_catalog.text, ',') AS pk_k");
        let listed = mode == Mode::Accounted && folds && told.contains("decided by public.");
        assert!(listed || told.starts_with("42501 "), "{sql}: {told}");
    }
}

#[test]
fn what_decides_in_a_sub_select_is_told_by_what_it_gives() {
    let mut all = Vec::new();
    let unions = "(SELECT a FROM generate_series(1, 9) a UNION SELECT c.id::int4) ORDER BY 1";
    let nested = format!("SELECT d.a FROM ({GROUPED}) d");
    let distinct = "SELECT DISTINCT ON (a = c.id) a FROM generate_series(1, 9) a";
    let offset = "SELECT a FROM generate_series(1, 9) a OFFSET c.id % 2 LIMIT 1";
    let common = format!("WITH w AS ({SORTED}) SELECT a FROM w");
    for inner in [SORTED, GROUPED, &nested, distinct, offset, &common, unions] {
        let from = format!("FROM customers c CROSS JOIN LATERAL ({inner}) x");
        all.push(format!("SELECT DISTINCT x.a, c.country {from}"));
        all.push(format!("SELECT x.a, c.country, count(*) {from} GROUP BY 1, 2"));
        all.push(format!("SELECT EXISTS (SELECT {from} WHERE x.a = 7 AND c.country = 'DE')"));
        let one = format!(
            "SELECT max(s.country), count(*) FROM (SELECT c.country, ({inner} LIMIT 1) k FROM customers c) s WHERE s.k = 7"
        ).replace(" LIMIT 1 LIMIT 1", " LIMIT 1");
        // All whom it folds are told.
        let told = judged(&one, Mode::Restricted);
        let refused = told.starts_with("42501 ");
        assert!(refused || told.contains("string_agg(s.pk_k"), "{one}: {told}");
        all.push(format!("SELECT country, n FROM ({one}) x (country, n)"));
    }
    are_refused(Mode::Restricted, &all);
    // A sub-select that is joined by the customer's key is no such thing.
    for sql in [
        "SELECT c.id, (SELECT count(*) FROM tickets t WHERE t.customer_id = c.id) FROM customers c ORDER BY 2 DESC LIMIT 5",
        "SELECT c.country, count(*) FROM customers c WHERE (SELECT count(*) FROM tickets t WHERE t.customer_id = c.id) > 3 GROUP BY 1",
        "SELECT c.id, x.a FROM customers c CROSS JOIN LATERAL (SELECT upper(c.country) AS a) x",
    ] {
        let told = judged(sql, Mode::Restricted);
        assert!(told.starts_with("SELECT "), "{sql}: {told}");
    }
}

#[test]
fn a_protected_value_is_told_by_no_detour() {
    let letter = "(SELECT max(a) FROM generate_series(32, 126) a GROUP BY (a = ascii(substr(c.email, 1, 1))) HAVING count(*) = 1)";
    let sorted = "(SELECT a FROM generate_series(32, 126) a ORDER BY (a = ascii(substr(c.email, 1, 1))) DESC LIMIT 1)";
    let mut all = Vec::new();
    for letter in [letter, sorted] {
        all.push(format!("SELECT string_agg(chr({letter}), ',') FROM customers c"));
        all.push(format!(
            "SELECT c.id, string_agg(chr({letter}), ',') OVER () FROM customers c LIMIT 1"
        ));
        all.push(format!(
            "SELECT c.id, lead({letter}) OVER (ORDER BY c.id) FROM customers c LIMIT 1"
        ));
        all.push(format!("SELECT x.a, c.country, count(*) FROM customers c CROSS JOIN LATERAL {letter} x(a) GROUP BY 1, 2"));
    }
    let like = "SELECT count(*) FROM customers c WHERE 1 = (SELECT count(*) FROM (SELECT FROM generate_series(1, 2) a GROUP BY (c.email LIKE 'a%') AND a = 1) q)";
    all.push(like.to_owned());
    are_refused(Mode::Accounted, &all);
    // Where a row comes with its key, it is a look-up by that column; a restricted role has masks.
    let row = format!("SELECT c.id, {letter} FROM customers c");
    assert!(judged(&row, Mode::Accounted).contains("public.customers.email"), "{row}");
    let told = judged(&row, Mode::Restricted);
    assert!(told.contains("masked email"), "{told}");
}

#[test]
fn what_is_put_together_row_by_row_tells_of_the_rows() {
    are_refused(
        Mode::Restricted,
        &[
            "SELECT c.id, string_agg((count(*) FILTER (WHERE c.country = 'DE'))::text, '') OVER () FROM customers c GROUP BY c.id LIMIT 1",
            "SELECT customer_id, lead(count(*)) OVER (ORDER BY customer_id) FROM tickets GROUP BY customer_id LIMIT 1",
            "SELECT string_agg(s.n::text, '') FROM (SELECT count(*) FILTER (WHERE c.country = 'DE') n FROM customers c GROUP BY c.id ORDER BY c.id) s",
            "SELECT string_agg((SELECT count(*) FROM tickets t WHERE t.customer_id = c.id AND t.status = 'open')::text, '') FROM customers c",
            "SELECT string_agg(v.x, ',') FROM (SELECT id, country FROM customers ORDER BY id) c JOIN (VALUES ('DE'), ('FR')) v(x) ON v.x = c.country",
            "SELECT s.* FROM (SELECT c.id, lead(v.x) OVER (ORDER BY c.id) FROM customers c JOIN (VALUES ('DE'), ('FR')) v(x) ON v.x = c.country LIMIT 1) s",
            // What is equal and looks different comes in the order of the rows.
            "SELECT percentile_disc(ARRAY[0.1, 0.2]) WITHIN GROUP (ORDER BY v.x) FROM (SELECT id, country FROM customers ORDER BY id) c JOIN (VALUES ('DE', 1.0), ('FR', 1.00)) v(c, x) ON v.c = c.country",
            "SELECT string_agg(x.w, ',') FROM tickets t CROSS JOIN LATERAL (SELECT string_agg(chr(a), '' ORDER BY g) w FROM generate_series(1, 40) g, generate_series(32, 126) a WHERE substr(t.status, g, 1) = chr(a)) x",
        ].map(str::to_owned),
    );
    // What was folded before may be put together, and what says nothing.
    for sql in [
        "SELECT json_agg(s) FROM (SELECT country, count(*) AS n FROM customers GROUP BY country) s",
        "SELECT country, sum(count(*)) OVER (ORDER BY country) FROM customers GROUP BY country",
        "SELECT string_agg(DISTINCT v.x, ',') FROM customers c JOIN (VALUES ('DE'), ('FR')) v(x) ON v.x = c.country",
        "SELECT id, country, count(*) OVER (), row_number() OVER (ORDER BY id) FROM customers ORDER BY id LIMIT 5",
        "SELECT t.customer_id, array_agg(p.name) FROM tickets t JOIN products p ON p.id = t.id GROUP BY t.customer_id",
    ] {
        let told = judged(sql, Mode::Restricted);
        assert!(told.starts_with("SELECT "), "{sql}: {told}");
    }
}

#[test]
fn how_many_are_left_by_what_is_compared_is_told() {
    are_refused(
        Mode::Restricted,
        &[
            "SELECT count(*) FROM (SELECT DISTINCT ON (c.id BETWEEN 7 AND 7) 1 FROM customers c WHERE c.country = 'DE') s",
            "SELECT count(*) FROM (SELECT c.id FROM customers c WHERE c.country = 'DE' ORDER BY (c.id BETWEEN 7 AND 7) DESC FETCH FIRST 1 ROWS WITH TIES) s",
        ].map(str::to_owned),
    );
    for sql in [
        "SELECT count(*) FROM (SELECT c.id FROM customers c WHERE c.country = 'DE' ORDER BY c.id LIMIT 100) s",
        "SELECT count(*) FROM (SELECT DISTINCT ON (c.country) c.country FROM customers c) s",
    ] {
        let told = judged(sql, Mode::Restricted);
        assert!(told.starts_with("SELECT "), "{sql}: {told}");
    }
}

#[test]
fn a_rank_by_what_is_computed_of_protected_columns_tells_of_others() {
    are_refused(
        Mode::Accounted,
        &[
            "SELECT id, rank() OVER (ORDER BY (created_at = now() AND email LIKE 'a%') DESC) FROM customers ORDER BY id LIMIT 1",
            "SELECT id, count(*) OVER (PARTITION BY email LIKE 'a%') FROM customers ORDER BY id LIMIT 1",
            // Whoever can write a value ranks it.
            "SELECT id, rank() OVER (ORDER BY name) FROM customers c WHERE created_at < now() ORDER BY id LIMIT 1",
            "SELECT b.id FROM (SELECT id FROM customers WHERE created_at < now() ORDER BY name LIMIT 1) b WHERE b.id = 1",
            // The same by a sub-select: computed there, sorted there, or cut off there.
            "SELECT id, rank() OVER (ORDER BY s.one DESC) FROM (SELECT id, created_at = now() AND email LIKE 'a%' AS one FROM customers) s ORDER BY id LIMIT 1",
            "SELECT id, row_number() OVER () FROM (SELECT id FROM customers ORDER BY (created_at = now() AND email LIKE 'a%') DESC, id) c ORDER BY id LIMIT 1",
            "SELECT q.id FROM (SELECT c.id FROM customers c ORDER BY (c.created_at = now() AND email LIKE 'a%') DESC, id LIMIT 1) q WHERE q.id = 1",
            "SELECT q.g FROM (SELECT DISTINCT ON (g) g, c.id FROM customers c, generate_series(32, 126) g ORDER BY g, (ascii(email) = g) DESC) q WHERE q.id = 1",
            "SELECT s.id, row_number() OVER () FROM (SELECT id FROM customers WHERE created_at < now() ORDER BY email) s ORDER BY s.id LIMIT 1",
            "SELECT s.id, count(*) OVER (ROWS UNBOUNDED PRECEDING) FROM (SELECT id FROM customers ORDER BY email DESC) s LIMIT 1",
            "WITH s AS MATERIALIZED (SELECT id FROM customers ORDER BY email) SELECT s.id, count(*) OVER (PARTITION BY B'0' ROWS 1 PRECEDING) FROM s ORDER BY s.id LIMIT 1",
        ].map(str::to_owned),
    );
    are_refused(
        Mode::Restricted,
        &["SELECT s.id, s.n FROM (SELECT q.id, count(*) FILTER (WHERE q.country = 'DE') OVER (ROWS UNBOUNDED PRECEDING) n FROM (SELECT id, country FROM customers ORDER BY id BETWEEN 7 AND 7 DESC, id) q) s ORDER BY s.id LIMIT 1".to_owned()],
    );
    // Whoever can write a value knows by whose row is passed over what lies before it: those are
    // recorded.
    for sql in [
        "SELECT id FROM customers WHERE created_at < now() ORDER BY email OFFSET 1 LIMIT 1",
        "SELECT DISTINCT email, id FROM customers WHERE created_at < now() OFFSET 1 LIMIT 1",
        "SELECT email, id FROM customers WHERE created_at < now() GROUP BY email, id OFFSET 1 LIMIT 1",
    ] {
        let told = judged(sql, Mode::Accounted);
        assert!(told.contains("COALESCE('"), "{sql}: {told}");
        assert!(told.contains("decided by public.customers.email"), "{sql}: {told}");
        let told = judged(&format!("COPY ({sql}) TO STDOUT"), Mode::Accounted);
        assert!(told.starts_with("42501 "), "{sql}: {told}");
    }
    let first = "SELECT DISTINCT email, id FROM customers WHERE created_at < now() LIMIT 1";
    assert!(judged(first, Mode::Accounted).contains("decided by public.customers.email"));
    for sql in [
        "SELECT id, email, row_number() OVER (PARTITION BY id ORDER BY email) FROM customers",
        "SELECT id, email FROM customers ORDER BY email LIMIT 20 OFFSET 20",
        "SELECT id, email FROM customers ORDER BY lower(email) LIMIT 20",
    ] {
        let told = judged(sql, Mode::Accounted);
        assert!(told.starts_with("SELECT "), "{sql}: {told}");
    }
}

#[test]
fn what_is_computed_of_a_key_is_no_link_of_a_recursion() {
    are_refused(
        Mode::Restricted,
        &[
            "WITH RECURSIVE w(id, country) AS (SELECT c.id, c.country FROM customers c WHERE c.id = 2 UNION ALL SELECT d.id, d.country FROM (SELECT w.id + 13575 AS k FROM w) q JOIN customers d ON d.id = q.k) SELECT DISTINCT w.country FROM w",
            "WITH RECURSIVE w(id, status, n) AS (SELECT c.id, ''::text, 0 FROM customers c WHERE c.id = 2 UNION ALL SELECT d.id, d.status, q.n + 1 FROM w q JOIN tickets d ON d.id = q.id WHERE q.n < 1) SELECT w.status, count(*) FROM w GROUP BY 1",
        ].map(str::to_owned),
    );
}

#[test]
fn whose_a_record_is_can_not_be_changed() {
    for mode in [Mode::Restricted, Mode::Accounted] {
        let sql = "UPDATE tickets SET customer_id = 3 RETURNING id, body";
        are_refused(mode, &[sql.to_owned()]);
    }
}

#[test]
fn rows_of_one_arm_of_a_union_tell_of_no_other() {
    let guesses = "(SELECT 0 t, id, country FROM customers UNION ALL SELECT 1, v.* FROM (VALUES (7::int8, 'DE'), (7, 'FR')) v) q";
    let own = "(SELECT 0 t, id, country FROM customers UNION ALL SELECT 1, 7, 'DE' FROM customers c WHERE c.id = 2) q";
    let mut all = Vec::new();
    for from in [guesses, own] {
        for window in [
            "count(*) OVER (PARTITION BY q.id, q.country)",
            "rank() OVER (ORDER BY q.id, q.country)",
            "rank() OVER w",
            "rank() OVER (w ORDER BY q.id)",
            "count(q.country) OVER ()",
        ] {
            let named = "WINDOW w AS (PARTITION BY q.country)";
            all.push(format!(
                "SELECT s.* FROM (SELECT q.t, q.id, {window} n FROM {from} {named}) s WHERE s.t = 1"
            ));
        }
    }
    all.extend(
        [
            // Keys of two kinds, and a subject that may be absent.
            "SELECT s.* FROM (SELECT q.t, max(q.country) OVER (PARTITION BY q.w, q.x) n FROM (SELECT 0 t, c.id w, d.id x, d.country FROM customers c, customers d WHERE c.id = 2 UNION ALL SELECT 1, t.customer_id, t.id, NULL FROM tickets t WHERE t.customer_id = 2) q) s WHERE s.t = 1",
            "SELECT count(DISTINCT q.id) FROM (SELECT id FROM customers WHERE country = 'DE' UNION ALL SELECT id FROM tickets) q",
            "SELECT s.* FROM (SELECT q.t, max(q.country) OVER (PARTITION BY q.w) n FROM (SELECT 0 t, c.id w, d.country FROM customers d LEFT JOIN customers c ON c.id = d.id AND c.country = 'none' UNION ALL SELECT 1, c.id, NULL FROM tickets t LEFT JOIN customers c ON c.id = t.customer_id AND c.country = 'none') q) s WHERE s.t = 1",
        ]
        .map(str::to_owned),
    );
    let number =
        guesses.replace("SELECT 0 t, id", "SELECT id").replace("SELECT 1, v.*", "SELECT v.*");
    all.push(format!("SELECT count(DISTINCT q) FROM {number}"));
    all.push(format!("SELECT count(*) FROM (SELECT DISTINCT q.id, q.country FROM {number}) x"));
    for from in [guesses, own] {
        let inner = format!("SELECT * FROM {from} ORDER BY id, country LIMIT 70");
        all.push(format!("SELECT s.country FROM ({inner}) s WHERE s.t = 1"));
        let arms = from.trim_start_matches('(').trim_end_matches(") q");
        all.push(format!("SELECT s.t FROM ({arms} ORDER BY id, country LIMIT 70) s WHERE s.t = 1"));
    }
    are_refused(Mode::Restricted, &all);
    for sql in [
        "SELECT x.id, row_number() OVER (PARTITION BY x.id ORDER BY x.at) FROM (SELECT c.id, c.created_at AS at FROM customers c UNION ALL SELECT t.customer_id, now() FROM tickets t) x",
        "SELECT x.id, count(*) OVER () FROM (SELECT c.id FROM customers c UNION ALL SELECT t.customer_id FROM tickets t) x",
    ] {
        let told = judged(sql, Mode::Restricted);
        assert!(told.starts_with("SELECT "), "{sql}: {told}");
    }
}

#[test]
fn the_order_of_a_sub_select_tells_by_sums_and_by_pages() {
    are_refused(
        Mode::Restricted,
        &[
            // In `float8` a sum hangs on the order of what is added.
            "SELECT sum(CASE c.country WHEN 'DE' THEN 1e16 ELSE 0.9 END) FROM (SELECT country FROM customers ORDER BY (id BETWEEN 7 AND 7) DESC) c",
            // To find groups the server sorts, too.
            "SELECT sum(1e16) FROM (SELECT country FROM customers GROUP BY (id BETWEEN 7 AND 7), id, country) c",
            "SELECT b.id FROM (SELECT * FROM (SELECT DISTINCT id BETWEEN 7 AND 7, id FROM customers) a LIMIT 1) b WHERE b.id = 1",
            "SELECT b.id FROM (SELECT * FROM (SELECT id, country FROM customers ORDER BY (id BETWEEN 7 AND 7 AND country = 'DE') DESC, id) a LIMIT 1) b WHERE b.id = 1",
        ].map(str::to_owned),
    );
    are_refused(
        Mode::Accounted,
        &["SELECT s.p, max(s.n) FROM (SELECT p, round(1.0, p) n FROM customers c, generate_series(1, 26) p GROUP BY (ascii(substr(c.email, p, 1)) = 97), c.id, p) s GROUP BY s.p".to_owned()],
    );
    // What an OFFSET passes over is recorded then.
    let told = judged(
        "SELECT s.id FROM (SELECT id FROM customers ORDER BY (id BETWEEN 7 AND 7) DESC, id) s OFFSET 1 LIMIT 1",
        Mode::Restricted,
    );
    assert!(told.contains("LEAST("), "{told}");
    for sql in [
        "SELECT count(*) FROM (SELECT id FROM customers ORDER BY id % 7) s",
        "SELECT sum(s.n) FROM (SELECT 1 AS n FROM customers ORDER BY country, id) s",
        "SELECT s.id FROM (SELECT id, country FROM customers ORDER BY lower(country), id) s LIMIT 10",
    ] {
        let told = judged(sql, Mode::Restricted);
        assert!(told.starts_with("SELECT "), "{sql}: {told}");
    }
}

#[test]
fn an_absence_among_guesses_tells_of_each() {
    let guesses = "(VALUES (7::int8), (8)) v(k)";
    are_refused(
        Mode::Restricted,
        &[
            format!("SELECT v.k, t.k FROM {guesses} LEFT JOIN (SELECT id AS k FROM customers WHERE country = 'DE') t ON t.k = v.k"),
            "SELECT p.id, t.k FROM products p LEFT JOIN (SELECT id AS k FROM customers WHERE country = 'DE') t ON p.id = t.k".to_owned(),
            format!("SELECT v.k, t.k FROM (SELECT id AS k FROM customers WHERE country = 'DE') t RIGHT JOIN {guesses} ON t.k = v.k"),
        ],
    );
    are_refused(
        Mode::Accounted,
        &[format!(
            "SELECT v.k, t.k FROM {guesses} LEFT JOIN (SELECT id AS k FROM customers WHERE email LIKE 'a%') t ON t.k = v.k"
        )],
    );
    for sql in [
        format!("SELECT v.k, t.id FROM {guesses} LEFT JOIN customers t ON t.id = v.k"),
        "SELECT p.id, t.id FROM products p LEFT JOIN (SELECT * FROM tickets WHERE status = 'open') t ON t.assignee = p.name".to_owned(),
        "SELECT c.id, t.id FROM customers c LEFT JOIN (SELECT * FROM tickets WHERE status = 'open') t ON t.customer_id = c.id".to_owned(),
    ] {
        let told = judged(&sql, Mode::Restricted);
        assert!(told.starts_with("SELECT "), "{sql}: {told}");
    }
}

#[test]
fn how_many_groups_a_key_has_tells_what_they_are_computed_of() {
    let letters = "customers c, generate_series(1, 8) p, generate_series(1, 126) g";
    let letter = "CASE WHEN g < ascii(substr(c.email, p, 1)) THEN g END";
    are_refused(
        Mode::Accounted,
        &[
            format!(
                "SELECT s.p, count(*) FROM (SELECT p, c.id FROM {letters} GROUP BY c.id, p, {letter}) s GROUP BY 1"
            ),
            format!(
                "SELECT s.p, count(*) FROM (SELECT DISTINCT p, c.id, {letter} FROM {letters}) s GROUP BY 1"
            ),
            format!(
                "SELECT s.id, count(*) OVER () FROM (SELECT c.id FROM {letters} GROUP BY c.id, p, {letter}) s LIMIT 1"
            ),
            format!("SELECT c.id, count(*) OVER () FROM {letters} GROUP BY c.id, p, {letter} LIMIT 1"),
            "SELECT s.id, row_number() OVER () FROM (SELECT DISTINCT c.id, c.email FROM customers c) s LIMIT 1".to_owned(),
            "SELECT c.id, row_number() OVER () FROM customers c GROUP BY c.id, c.email LIMIT 1".to_owned(),
        ],
    );
    are_refused(
        Mode::Restricted,
        &[
            "SELECT count(*) + 0 FROM (SELECT DISTINCT c.id, id BETWEEN 7 AND 7 AND country = 'DE' AND g = 1 FROM customers c, generate_series(1, 2) g) s",
            "SELECT count(*) + 0 FROM (SELECT c.id FROM customers c, generate_series(1, 99) g GROUP BY c.id, CASE WHEN id BETWEEN 7 AND 7 AND g < ascii(country) THEN g END) s",
        ].map(str::to_owned),
    );
    // At the top each row says whose it is; what a group computes of protected columns is masked,
    // or a look-up.
    let sql = "SELECT c.id, lower(c.email) FROM customers c GROUP BY c.id, lower(c.email)";
    assert!(judged(sql, Mode::Restricted).contains("masked email"));
    assert!(judged(sql, Mode::Accounted).contains("decided by public.customers.email"));
    let plain = "SELECT DISTINCT c.id, c.email FROM customers c ORDER BY c.id LIMIT 10";
    assert!(!judged(plain, Mode::Accounted).contains("decided"));
    let distinct = "SELECT DISTINCT c.id, lower(c.email) FROM customers c";
    assert!(judged(distinct, Mode::Restricted).contains("masked email"));
    assert!(judged(distinct, Mode::Accounted).contains("decided by public.customers.email"));
    for sql in [
        "SELECT s.country, count(*) FROM (SELECT DISTINCT c.id, c.country FROM customers c) s GROUP BY 1",
        "SELECT c.id, c.email, count(*) FROM customers c JOIN tickets t ON t.customer_id = c.id GROUP BY c.id, c.email",
    ] {
        let told = judged(sql, Mode::Restricted);
        assert!(told.starts_with("SELECT "), "{sql}: {told}");
    }
}

/// Sorted to find them, the groups of an own customer's clear values stand in their order.
#[test]
fn groups_in_a_sub_select_are_found_by_masks() {
    for sql in [
        "SELECT s.id, left(s.b, 0), row_number() OVER () n FROM (SELECT customer_id, body b, id FROM tickets GROUP BY body, length(status)::bit(8), customer_id, id) s ORDER BY s.id, n LIMIT 5",
        "SELECT s.id, left(s.b, 0), row_number() OVER () n FROM (SELECT DISTINCT body b, customer_id, id, B'0' FROM tickets) s ORDER BY s.id, n LIMIT 5",
        "SELECT customer_id, body, count(*) OVER () FROM tickets GROUP BY body, customer_id LIMIT 1",
        "SELECT s.id, s.body FROM (SELECT id, body FROM tickets GROUP BY body, id OFFSET 1) s ORDER BY s.id LIMIT 1",
        "SELECT DISTINCT body, customer_id, id FROM tickets OFFSET 1 LIMIT 1",
        "SELECT body, customer_id, id FROM tickets GROUP BY body, customer_id, id ORDER BY customer_id OFFSET 1 LIMIT 1",
    ] {
        let told = judged(sql, Mode::Restricted);
        assert!(told.starts_with("42501 ") || told.contains(" masked body"), "{sql}: {told}");
    }
    for sql in [
        "SELECT body, customer_id, id FROM tickets GROUP BY body, customer_id, id",
        "SELECT DISTINCT body, customer_id, id FROM tickets ORDER BY id LIMIT 20 OFFSET 20",
        "SELECT c.id, c.email, count(t.id) FROM customers c LEFT JOIN tickets t ON t.customer_id = c.id GROUP BY c.id, c.email LIMIT 20",
    ] {
        let told = judged(sql, Mode::Restricted);
        assert!(told.starts_with("SELECT ") && !told.contains(" masked "), "{sql}: {told}");
    }
}

/// What is computed to group by it puts ranks beside chosen records as an order does.
#[test]
fn computed_groups_beside_ranks_are_refused() {
    let ranks =
        "(SELECT id, row_number() OVER (ORDER BY id) n FROM customers WHERE country = 'DE') s";
    are_refused(
        Mode::Restricted,
        &[
            format!(
                "SELECT s.id, s.n FROM {ranks} GROUP BY (s.id NOT BETWEEN 13570 AND 13590), length(s.n::text)::bit(8), s.id, s.n LIMIT 3"
            ),
            format!(
                "SELECT DISTINCT (s.id NOT BETWEEN 13570 AND 13590), length(s.n::text)::bit(8), s.id, s.n FROM {ranks} LIMIT 3"
            ),
        ],
    );
}

#[test]
fn columns_that_something_is_computed_of_are_known() {
    let worked = |sql: &str, mode: Mode| {
        let path = names(&["public"]);
        let statements =
            analyse(sql, &catalogue(), &rules(mode), Context::new(&path, PREFIX)).unwrap();
        match &statements.first().unwrap().verdict {
            Verdict::Guarded(guarded) => {
                let columns = guarded.worked.iter().map(|worked| worked.column.to_string());
                columns.collect::<Vec<_>>().join(" ")
            }
            verdict => panic!("{sql}: {verdict:?}"),
        }
    };
    for mode in [Mode::Restricted, Mode::Accounted] {
        assert_eq!(worked("SELECT id, email, name FROM customers WHERE id = 7", mode), "");
        let computed = "SELECT CASE ascii(email) WHEN 1 THEN 1 / (ascii(name) - 7) END FROM (SELECT email, name FROM customers WHERE id = 7) s";
        assert_eq!(worked(computed, mode), "email name");
    }
    let compared = "SELECT id FROM customers WHERE email LIKE 'a%'";
    assert_eq!(worked(compared, Mode::Accounted), "email");
    // There it is compared with masks.
    assert_eq!(worked(compared, Mode::Restricted), "");
}

/// As mappers count the pages of what they have grouped.
/// Which records share a value, and in which order values come, is asked of the column though it
/// does not come itself.
#[test]
fn groups_by_what_does_not_come_are_looked_up() {
    for (sql, decides) in [
        ("SELECT id FROM customers GROUP BY name, id", true),
        ("SELECT json_agg(id) FROM customers GROUP BY name", true),
        ("SELECT count(*) FROM customers GROUP BY name", true),
        ("SELECT email, count(*) FROM customers GROUP BY email, name", true),
        ("SELECT name, count(*) FROM customers GROUP BY name", false),
        ("SELECT name, count(*) FROM customers GROUP BY 1", false),
        ("SELECT upper(name), email FROM customers GROUP BY id", false),
    ] {
        let told = judged(sql, Mode::Accounted);
        assert_eq!(told.contains("decided by public.customers.name"), decides, "{told}");
    }
}

/// They are groups, which carry lists of keys.
#[test]
fn different_rows_are_told_by_the_keys_of_all_that_they_fold() {
    let list = "pg_catalog.string_agg(c.id::pg_catalog.text, ',') AS pk_k1 FROM";
    let of = "FROM customers c JOIN tickets t ON t.customer_id = c.id";
    for (sql, expected) in [
        (
            format!("SELECT DISTINCT c.name, c.email {of} WHERE t.status = 'open' ORDER BY c.name, 2"),
            format!("SELECT c.name, c.email, {list} <public.customers b> c JOIN <public.tickets b> t ON t.customer_id = c.id WHERE t.status = 'open' GROUP BY 1, 2 ORDER BY c.name, 2
  2 columns, keys [0]
  public.customers set 0 clear name email
  public.tickets"),
        ),
        (
            "SELECT DISTINCT 'x', upper(c.email) FROM customers c WHERE c.country = 'DE'".to_owned(),
            format!("SELECT 'x', pg_catalog.upper(c.email), {list} <public.customers b> c WHERE c.country = 'DE' GROUP BY 1, 2
  2 columns, keys [0]
  public.customers masked email"),
        ),
        (
            "SELECT DISTINCT country FROM customers c".to_owned(),
            "SELECT DISTINCT c.country FROM <public.customers b> c
  1 columns, keys []
  public.customers".to_owned(),
        ),
    ] {
        check(&sql, &expected);
    }
    refused(
        "unaccounted",
        &[
            "SELECT DISTINCT c.name FROM customers c",
            "SELECT DISTINCT c.name FROM customers c WHERE c.country = 'DE' LIMIT 3",
            "SELECT DISTINCT c.name, t.id FROM customers c JOIN tickets t ON t.customer_id = c.id WHERE t.status = 'x'",
            "SELECT DISTINCT c.name, row_number() OVER () FROM customers c WHERE c.country = 'DE'",
        ],
    );
}

/// As PostgreSQL allows it of a table: a leaf has no primary key.
#[test]
fn what_hangs_on_a_primary_key_that_is_grouped_by_may_be_used() {
    let sql = "SELECT c.id, length(c.name), max(c.born) FROM customers c GROUP BY c.id \
               HAVING upper(c.country) = 'X' ORDER BY lower(c.nick)";
    for (mode, sorted) in [
        (Mode::Restricted, "c.nick)"),
        (Mode::Accounted, "c.nick), c.id, c.country, c.name, c.nick"),
    ] {
        let told = judged(sql, mode);
        let expected = format!(
            "SELECT c.id, pg_catalog.length(c.name), pg_catalog.max(c.born), c.id AS pk_k1 \
             FROM <public.customers b> c GROUP BY c.id, c.country, c.name, c.nick \
             HAVING pg_catalog.upper(c.country) = 'X' ORDER BY pg_catalog.lower({sorted}\n"
        );
        assert!(told.starts_with(&expected), "{told}");
    }
}

#[test]
fn groups_by_keys_are_counted_as_different_keys_are() {
    for sql in [
        "SELECT count(*) FROM (SELECT c.id, count(t.id) n FROM customers c LEFT JOIN tickets t ON t.customer_id = c.id GROUP BY 1) q",
        "SELECT count(*) FROM (SELECT customer_id, count(*) FROM tickets WHERE status = 'open' GROUP BY 1) q",
        "SELECT count(*) FROM (SELECT customer_id, status, max(opened_by) FROM tickets GROUP BY customer_id, status HAVING count(*) > 2) q",
    ] {
        for mode in [Mode::Restricted, Mode::Accounted] {
            let told = judged(sql, mode);
            assert!(told.starts_with("SELECT "), "{sql}: {told}");
        }
    }
    are_refused(
        Mode::Restricted,
        &[
            "SELECT count(*) FROM (SELECT customer_id, count(*) FROM tickets GROUP BY 1 HAVING max(id) = 13577) q",
            "SELECT count(*) FROM (SELECT customer_id FROM tickets WHERE id = 13577 + 0 AND status = 'open' GROUP BY 1) q",
            "SELECT count(*) FROM (SELECT id BETWEEN 7 AND 7 AND country = 'DE' FROM customers GROUP BY 1) q",
            "SELECT count(n) FROM (SELECT max(CASE WHEN id = 7 + 0 AND country = 'DE' THEN 1 END) n FROM customers GROUP BY created_at) q",
            "SELECT count(n) FROM (SELECT country, nullif(country = 'DE' AND bool_or(id = 7 + 0), false) n FROM customers GROUP BY 1) q",
            "SELECT count(*) FROM (SELECT c.id FROM customers c, generate_series(1, 99) g GROUP BY c.id, CASE WHEN id = 7 + 0 AND g < ascii(country) THEN g END) q",
        ].map(str::to_owned),
    );
    let by_mask = "SELECT count(*) FROM (SELECT email, id FROM customers GROUP BY email, id) q";
    assert!(!judged(by_mask, Mode::Restricted).contains(" set "), "masked for all");
    are_refused(Mode::Accounted, &[by_mask.to_owned()]);
}
