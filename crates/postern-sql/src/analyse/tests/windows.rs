//! Window functions: what they may take from other rows.

use super::*;

#[test]
fn a_row_shows_no_other_record() {
    refused(
        "unaccounted",
        &[
            "SELECT s.* FROM (SELECT id, lag(country) OVER (ORDER BY id) FROM customers) s",
            "SELECT s.* FROM (SELECT id, lag(email) OVER (ORDER BY id) FROM customers) s",
            "SELECT s.* FROM (SELECT id, lead(created_at, 2) OVER (PARTITION BY country ORDER BY id) FROM customers) s",
            "SELECT s.* FROM (SELECT id, first_value(country) OVER (ORDER BY id) FROM customers) s",
            "SELECT s.* FROM (SELECT id, nth_value(country, 7) OVER () FROM customers) s",
            "SELECT id, max(country) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND 1 PRECEDING) FROM customers",
            "SELECT id, max(country) OVER (ORDER BY id ROWS 2 PRECEDING EXCLUDE CURRENT ROW) FROM customers",
            "SELECT id, max(country) OVER (ORDER BY id ROWS UNBOUNDED PRECEDING EXCLUDE TIES) FROM customers",
            "SELECT id, count(*) FILTER (WHERE country = 'DE') OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND 1 PRECEDING) FROM customers",
            "SELECT id, count(country) OVER (ORDER BY id ROWS BETWEEN 1 FOLLOWING AND 1 FOLLOWING) FROM customers",
            "SELECT id, max(country) OVER w FROM customers WINDOW w AS (ORDER BY id ROWS 1 PRECEDING)",
            "SELECT id, max(country) OVER (v) FROM customers WINDOW w AS (PARTITION BY nick), v AS (w ORDER BY id ROWS 1 PRECEDING)",
            "SELECT s.* FROM (SELECT id, lag(c) OVER (ORDER BY id) FROM customers c) s",
            "SELECT id, max(id) OVER () FROM customers",
            "SELECT id, max(nick) OVER () FROM customers",
            "SELECT s.* FROM (SELECT t.id, lag(c.country) OVER (PARTITION BY t.customer_id ORDER BY t.id) FROM tickets t JOIN customers c ON c.id = t.customer_id) s",
            "SELECT s.* FROM (SELECT id, lag(status) OVER (PARTITION BY id ORDER BY id) FROM tickets) s",
            "WITH a AS (SELECT id, country FROM customers) SELECT s.* FROM (SELECT x.id, lag(y.country) OVER (PARTITION BY x.id ORDER BY y.id) FROM a x, a y) s",
            "SELECT s.v FROM (SELECT id, lag(country) OVER (ORDER BY id) AS v FROM customers) s WHERE s.id < 9",
            "SELECT id, lag(country) OVER (ORDER BY id), count(*) FROM customers GROUP BY id, country",
            "SELECT lag(min(id)) OVER (ORDER BY country) FROM customers GROUP BY country",
            "SELECT DISTINCT lag(country) OVER (ORDER BY id) FROM customers",
            "SELECT DISTINCT ON (id) id, lag(country) OVER (ORDER BY id) FROM customers",
            "SELECT id, lag(country, id::int) OVER (ORDER BY id) FROM customers",
            "SELECT id, lag(country, $1) OVER (ORDER BY id) FROM customers",
            "SELECT id, lag(country) OVER (ORDER BY id) FROM customers UNION ALL SELECT 1, 'DE'",
        ],
    );
    refused(
        "folded_lookup",
        &[
            "SELECT id, sum(length(country)) OVER (ORDER BY created_at) FROM customers WHERE id IN (5, 7 + 0)",
            "SELECT id, max(country) OVER (PARTITION BY id IN (5, 7 + 0)) FROM customers ORDER BY id = 5 + 0 DESC LIMIT 1",
            "SELECT id, count(*) OVER (PARTITION BY id IN (5, 7 + 0), country) FROM customers WHERE id = 5 + 0",
            "SELECT id, rank() OVER w FROM customers WINDOW w AS (ORDER BY CASE WHEN id IN (5, 7 + 0) THEN country END)",
            "SELECT id, sum(length(country)) OVER (ORDER BY id = 7 + 0 DESC, id = 5 + 0 DESC) FROM customers LIMIT 1",
            "SELECT count(*) OVER (), id FROM customers WHERE id = 329 + 0 OR (id = 13577 + 0 AND country = 'DE') ORDER BY id LIMIT 1",
            "SELECT row_number() OVER (), id FROM customers WHERE id IN (329, 13577 + 0) AND country = 'DE' ORDER BY id DESC LIMIT 1",
            "SELECT s.n FROM (SELECT id, ntile(2) OVER (ORDER BY id) AS n FROM customers WHERE id = 329 + 0 OR (id = 13577 + 0 AND country = 'DE')) s WHERE s.id = 329 + 0",
            "SELECT sum(1) OVER (), id FROM customers WHERE id < 3 AND country = 'DE' LIMIT 1",
            "SELECT lead(1) OVER (ORDER BY id), id FROM customers WHERE id = ANY (ARRAY[329, 13577 + 0]) AND country = 'DE' LIMIT 1",
            "SELECT count(*) OVER w, id FROM customers WHERE id IN (329, 13577 + 0) AND country = 'DE' WINDOW w AS (PARTITION BY country) LIMIT 1",
            "SELECT count(*) OVER (), a.id FROM customers a, customers b WHERE a.id = 329 + 0 AND b.id IN (329, 13577 + 0) AND b.country = 'DE' LIMIT 1",
            "SELECT count(*) OVER (), p.id FROM products p LEFT JOIN customers c ON c.id = 13577 + 0 AND c.country = 'DE' LIMIT 1",
            "SELECT id, count(*), count(*) OVER () FROM customers WHERE id IN (329, 13577 + 0) AND country = 'DE' GROUP BY id LIMIT 1",
            "SELECT s.n FROM (SELECT id, count(*) OVER (ORDER BY id RANGE BETWEEN 1 FOLLOWING AND 1 FOLLOWING) AS n FROM customers WHERE country = 'DE') s WHERE s.id = 329 + 0",
            "SELECT id, count(*) OVER w FROM customers WHERE country = 'DE' WINDOW w AS (ORDER BY id RANGE 1 PRECEDING)",
            "SELECT count(*) OVER (PARTITION BY country), id FROM (SELECT id, country FROM customers ORDER BY id LIMIT 2 OFFSET 13575) s LIMIT 1",
        ],
    );
}

/// The row whose value it is is told by its key, which the same function gives.
#[test]
fn what_is_another_rows_comes_with_its_key() {
    check(
        "SELECT t.id, lag(c.country, 2, 'none') OVER w FROM tickets t JOIN customers c ON c.id = t.customer_id WINDOW w AS (ORDER BY t.id) LIMIT 3",
        "SELECT t.id, pg_catalog.lag(c.country, 2, 'none') OVER w, t.customer_id AS pk_k1, c.id AS pk_k2, pg_catalog.lag(t.customer_id, 2) OVER w AS pk_k3, pg_catalog.lag(c.id, 2) OVER w AS pk_k4 FROM <public.tickets b> t JOIN <public.customers b> c ON c.id = t.customer_id WINDOW w AS (ORDER BY t.id) LIMIT 3
  2 columns, keys [0 1 0 1]
  public.tickets
  public.customers",
    );
    check(
        "SELECT id, lead(email) OVER (ORDER BY created_at) FROM customers",
        "SELECT customers.id, pg_catalog.lead(customers.email) OVER (ORDER BY customers.created_at), customers.id AS pk_k1, pg_catalog.lead(customers.id) OVER (ORDER BY customers.created_at) AS pk_k2 FROM <public.customers b> customers
  2 columns, keys [0 0]
  public.customers masked email",
    );
}

/// The ranks of two records, picked from among others, tell how many lie between them.
#[test]
fn a_rank_beside_single_records_is_refused() {
    refused(
        "folded_lookup",
        &[
            "SELECT id, n FROM (SELECT id, row_number() OVER (ORDER BY id) n FROM customers WHERE country = 'DE') s WHERE id IN (13576, 13578)",
            "SELECT id, n FROM (SELECT id, row_number() OVER (ORDER BY id) n FROM customers WHERE country = 'DE') s WHERE id IN (13576, 13578 + 0)",
            "SELECT id, rank() OVER (ORDER BY id) FROM customers WHERE country = 'DE' OR id IN (13576, 13578) ORDER BY id IN (13576, 13578) DESC LIMIT 2",
            "SELECT id, rank() OVER (ORDER BY id) FROM customers WHERE country = 'DE' ORDER BY abs(id - 13577) LIMIT 2",
            "SELECT s.id, s.n FROM (SELECT id, count(*) OVER (ORDER BY id) n FROM customers WHERE country = 'DE') s JOIN (VALUES (13576), (13578)) v (x) ON s.id = v.x",
            "SELECT s.id, s.n FROM (SELECT id, dense_rank() OVER (ORDER BY id) n FROM customers WHERE country = 'DE') s WHERE s.n * 0 + s.id = 13576",
            "SELECT s.id, s.n FROM (SELECT id, cume_dist() OVER (ORDER BY created_at) n FROM customers WHERE country = 'DE') s JOIN customers c USING (id) WHERE c.id = 5",
            "SELECT s.id, s.n FROM (SELECT id, created_at, row_number() OVER (ORDER BY id) n FROM customers WHERE country = 'DE') s WHERE EXISTS (SELECT FROM customers b WHERE b.id IN (13576, 13578) AND b.created_at = s.created_at)",
            "SELECT s.id, s.n FROM (SELECT id, created_at, row_number() OVER (ORDER BY id) n FROM customers WHERE country = 'DE') s JOIN customers b ON b.created_at = s.created_at",
            "SELECT s.id, s.n FROM (SELECT id, created_at, row_number() OVER (ORDER BY id) n FROM customers WHERE country = 'DE') s JOIN customers b ON b.id = s.id WHERE b.created_at IN ($1, $2)",
            "SELECT s.id, s.n FROM (SELECT id, created_at, row_number() OVER (ORDER BY id) n FROM customers WHERE country = 'DE') s WHERE created_at IN ($1, $2)",
            "SELECT s.id, s.n FROM (SELECT id, created_at, row_number() OVER () n FROM customers WHERE country = 'DE') s ORDER BY created_at NOT IN ($1, $2) LIMIT 2",
            "SELECT id, row_number() OVER (ORDER BY id) n FROM customers WHERE country = 'DE' ORDER BY created_at NOT IN ($1, $2) LIMIT 2",
            "SELECT id, row_number() OVER (ORDER BY id) n, created_at NOT IN ($1, $2) AS k FROM customers WHERE country = 'DE' ORDER BY k LIMIT 2",
            "SELECT id, n FROM (SELECT id, row_number() OVER (ORDER BY id) n, created_at NOT IN ($1, $2) AS k FROM customers WHERE country = 'DE') s ORDER BY k LIMIT 2",
            "SELECT s.id, s.n FROM (SELECT id, created_at, sum((country = 'DE')::int) OVER (ORDER BY id) n FROM customers) s WHERE created_at IN ($1, $2)",
            "SELECT s.id, s.n FROM (SELECT id, created_at, count(*) FILTER (WHERE country = 'DE') OVER (ORDER BY id) n FROM customers) s WHERE n * 0 + extract(epoch FROM created_at) = 7",
            "SELECT s.n FROM (SELECT id, created_at, rank() OVER (ORDER BY id) n FROM customers WHERE country = 'DE') s JOIN (VALUES ($1::timestamptz)) v (created_at) USING (created_at)",
            "WITH s AS (SELECT id, percent_rank() OVER (ORDER BY id) n FROM customers WHERE country = 'DE') SELECT id, n FROM s WHERE id BETWEEN 13576 AND 13578",
        ],
    );
    for kept in [
        "SELECT s.id FROM (SELECT id, row_number() OVER (ORDER BY id) AS r FROM tickets WHERE assignee = 'me') s WHERE s.r BETWEEN 11 AND 20 ORDER BY s.r",
        "SELECT s.id FROM (SELECT id, row_number() OVER (PARTITION BY status ORDER BY id) AS r FROM tickets WHERE assignee = 'me') s WHERE s.r <= 3",
        "SELECT s.id, c.name FROM (SELECT id, customer_id, row_number() OVER (PARTITION BY customer_id ORDER BY id DESC) AS r FROM tickets) s JOIN customers c ON c.id = s.customer_id WHERE s.r = 1 AND c.id IN (5, 7)",
        "SELECT s.id, c.name FROM (SELECT id, customer_id, rank() OVER (PARTITION BY status ORDER BY id) AS r FROM tickets) s JOIN customers c ON c.id = s.customer_id WHERE s.r <= 2 ORDER BY s.id",
        "SELECT t.id, c.name, row_number() OVER (ORDER BY t.id) FROM tickets t JOIN customers c ON c.id = t.customer_id WHERE c.country = 'DE' AND t.status = 'open' LIMIT 20",
        "SELECT s.* FROM (SELECT id, status, count(*) OVER (PARTITION BY status) AS n FROM tickets) s WHERE s.status = 'open' AND s.n > 3",
        "SELECT id, count(*) OVER () FROM tickets WHERE assignee = 'me' ORDER BY CASE status WHEN 'open' THEN 0 ELSE 1 END, id LIMIT 20",
        "SELECT id, status, count(*) OVER () FROM tickets WHERE customer_id IN (5, 7) ORDER BY id LIMIT 20",
        "SELECT t.id, c.name, count(*) OVER () FROM tickets t LEFT JOIN customers c ON c.id = t.customer_id WHERE c.id IN (5, 7) LIMIT 20",
    ] {
        let told = judged(kept, Mode::Restricted);
        assert!(told.contains(" columns, keys [0"), "{kept}: {told}");
    }
}

#[test]
fn ranks_and_folds_and_a_subjects_own_rows_are_free() {
    check(
        "SELECT id, row_number() OVER (PARTITION BY country ORDER BY created_at DESC) FROM customers",
        "SELECT customers.id, pg_catalog.row_number() OVER (PARTITION BY customers.country ORDER BY customers.created_at DESC), customers.id AS pk_k1 FROM <public.customers b> customers
  2 columns, keys [0]
  public.customers",
    );
    check(
        "SELECT id, count(*) OVER () FROM tickets WHERE customer_id = 5 ORDER BY id LIMIT 20",
        "SELECT tickets.id, pg_catalog.count(*) OVER (), tickets.customer_id AS pk_k1 FROM <public.tickets b> tickets WHERE tickets.customer_id = 5 ORDER BY id LIMIT 20
  2 columns, keys [0]
  public.tickets",
    );
    check(
        "SELECT id, created_at - lag(created_at) OVER (PARTITION BY id ORDER BY created_at) FROM customers",
        "SELECT customers.id, customers.created_at - pg_catalog.lag(customers.created_at) OVER (PARTITION BY customers.id ORDER BY customers.created_at), customers.id AS pk_k1 FROM <public.customers b> customers
  2 columns, keys [0]
  public.customers",
    );
    check(
        "SELECT t.id, first_value(t.status) OVER w FROM tickets t WINDOW w AS (PARTITION BY t.customer_id ORDER BY t.id)",
        "SELECT t.id, pg_catalog.first_value(t.status) OVER w, t.customer_id AS pk_k1 FROM <public.tickets b> t WINDOW w AS (PARTITION BY t.customer_id ORDER BY t.id)
  2 columns, keys [0]
  public.tickets",
    );
    check(
        "SELECT id, max(length(status)) OVER (PARTITION BY status) FROM tickets",
        "SELECT tickets.id, pg_catalog.max(pg_catalog.length(tickets.status)) OVER (PARTITION BY tickets.status), tickets.customer_id AS pk_k1 FROM <public.tickets b> tickets
  2 columns, keys [0]
  public.tickets",
    );
    check(
        "SELECT status, count(*), rank() OVER (ORDER BY count(*) DESC) FROM tickets GROUP BY status",
        "SELECT tickets.status, pg_catalog.count(*), pg_catalog.rank() OVER (ORDER BY pg_catalog.count(*) DESC) FROM <public.tickets b> tickets GROUP BY tickets.status
  3 columns, keys []
  public.tickets",
    );
    check(
        "SELECT date_trunc('day', created_at) d, count(*), sum(count(*)) OVER (ORDER BY date_trunc('day', created_at)), count(*) - lag(count(*)) OVER (ORDER BY date_trunc('day', created_at)) FROM customers GROUP BY 1",
        "SELECT pg_catalog.date_trunc('day', customers.created_at) AS d, pg_catalog.count(*), pg_catalog.sum(pg_catalog.count(*)) OVER (ORDER BY pg_catalog.date_trunc('day', customers.created_at)), pg_catalog.count(*) - pg_catalog.lag(pg_catalog.count(*)) OVER (ORDER BY pg_catalog.date_trunc('day', customers.created_at)) FROM <public.customers b> customers GROUP BY 1
  4 columns, keys []
  public.customers",
    );
    check(
        "SELECT d, avg(n) OVER (ORDER BY d ROWS BETWEEN 6 PRECEDING AND CURRENT ROW) FROM (SELECT created_at::date AS d, count(id) AS n FROM customers GROUP BY 1) s",
        "SELECT s.d, pg_catalog.avg(s.n) OVER (ORDER BY s.d ROWS BETWEEN 6 PRECEDING AND CURRENT ROW) FROM (SELECT customers.created_at::pg_catalog.date AS d, pg_catalog.count(customers.id) AS n FROM <public.customers b> customers GROUP BY 1) s
  2 columns, keys []
  public.customers",
    );
    check(
        "SELECT * FROM (SELECT c.id, c.name, row_number() OVER (ORDER BY c.id) AS r FROM customers c) s WHERE r BETWEEN 11 AND 20",
        "SELECT s.id AS id, s.name AS name, s.r AS r, s.pk_k1 AS pk_k2 FROM (SELECT c.id AS id, c.name AS name, pg_catalog.row_number() OVER (ORDER BY c.id) AS r, c.id AS pk_k1 FROM <public.customers b> c) s WHERE s.r BETWEEN 11 AND 20
  3 columns, keys [0]
  public.customers set 0 clear name",
    );
    check(
        "SELECT name, lag(price) OVER (ORDER BY id) FROM products",
        "plain SELECT products.name, pg_catalog.lag(products.price) OVER (ORDER BY products.id) FROM public.products",
    );
}

/// Whether they may be single records is asked before they are analysed in their places.
#[test]
fn what_is_grouped_by_is_analysed_once() {
    check(
        "SELECT count(*) FROM products GROUP BY coalesce((SELECT count(*) FROM customers), 0)",
        "SELECT pg_catalog.count(*) FROM public.products GROUP BY COALESCE((SELECT pg_catalog.count(*) AS count FROM <public.customers b> customers), 0)
  1 columns, keys []
  public.customers",
    );
    check(
        "SELECT count(*), rank() OVER (ORDER BY count(*)) FROM customers GROUP BY CASE WHEN country = $1 THEN 1 ELSE 2 END, upper(country) || 'x'",
        "SELECT pg_catalog.count(*), pg_catalog.rank() OVER (ORDER BY pg_catalog.count(*)) FROM <public.customers b> customers GROUP BY CASE WHEN customers.country = $1 THEN 1 ELSE 2 END, pg_catalog.upper(customers.country) || 'x'
  2 columns, keys []
  public.customers",
    );
    refused(
        "unaccounted",
        &[
            "SELECT lag(max(country)) OVER (ORDER BY count(*)) FROM customers GROUP BY id",
            "SELECT id, lag(country) OVER (ORDER BY country) FROM customers GROUP BY id, country",
        ],
    );
    // What the number means stands behind a star.
    refused(
        "folded_lookup",
        &[
            "SELECT count(*) FROM (SELECT s.*, rank() OVER () AS r FROM (SELECT id AS g FROM customers) s GROUP BY 1) q WHERE r < 2 HAVING true",
            "SELECT count(*) FROM (SELECT s.*, rank() OVER () AS r FROM (SELECT id AS g FROM customers) s GROUP BY g) q WHERE r < 2 HAVING true",
            "SELECT count(*) FROM (SELECT rank() OVER () AS r FROM customers GROUP BY id, (SELECT 1)) q WHERE r < 2 HAVING true",
            "SELECT count(*) FROM (SELECT rank() OVER () AS r, id FROM customers GROUP BY id, coalesce((SELECT 1), 2)) q WHERE r < 2 HAVING true",
        ],
    );
}

#[test]
fn windows_over_pages_and_over_one_subject_are_free() {
    for kept in [
        "SELECT id, count(*) OVER () FROM customers ORDER BY created_at LIMIT 50 OFFSET 50",
        "SELECT id, row_number() OVER (ORDER BY created_at) FROM customers WHERE country = 'DE'",
        "SELECT id, rank() OVER (ORDER BY created_at) AS r FROM customers ORDER BY r LIMIT 5",
        "SELECT t.id, t.status, count(*) OVER () FROM tickets t WHERE t.customer_id = 5 LIMIT 10",
        "SELECT t.id, count(*) OVER (PARTITION BY t.status), lag(t.status) OVER (ORDER BY t.id) FROM tickets t WHERE t.customer_id = $1",
        "SELECT t.id, count(*) OVER (PARTITION BY t.customer_id) FROM tickets t WHERE t.customer_id IN (5, 7)",
        "SELECT t.id, c.name, row_number() OVER (ORDER BY t.id) FROM tickets t JOIN customers c ON c.id = t.customer_id WHERE c.id = 5",
        "SELECT s.id FROM (SELECT id, row_number() OVER (PARTITION BY status ORDER BY id DESC) AS r FROM tickets WHERE assignee = 'me') s WHERE s.r = 1 ORDER BY s.id LIMIT 5",
        "SELECT id, count(*) OVER (ORDER BY created_at RANGE interval '7 days' PRECEDING) FROM customers",
        "SELECT s.*, count(*) OVER () FROM (SELECT id FROM customers ORDER BY created_at LIMIT 10) s",
    ] {
        let told = judged(kept, Mode::Restricted);
        assert!(told.contains(" columns, keys [0"), "{kept}: {told}");
    }
}

/// A table that inherits from another has keys of its own.
#[test]
fn a_key_of_a_table_with_heirs_is_not_one_records() {
    let sql = "SELECT id, string_agg(status, ',') OVER () FROM tickets WHERE id = 1 LIMIT 1";
    assert!(judged(sql, Mode::Restricted).starts_with("SELECT "));
    let json = include_str!("../fixture.json");
    let (staff, tickets) = ("[16438, 16435]", "[16438, 16406]");
    assert!(json.contains(staff));
    let catalogue = Catalogue::from_json(&json.replace(staff, tickets)).unwrap();
    let path = names(&["public"]);
    let context = Context::new(&path, PREFIX);
    let judged = analyse(sql, &catalogue, &rules(Mode::Restricted), context).unwrap();
    assert!(matches!(judged.first().unwrap().verdict, Verdict::Refused(_)));
}

/// A child has no indexes of its parent's, but values of the same kind.
#[test]
fn what_tells_a_parents_records_apart_tells_its_childrens() {
    let mut fixture: serde_json::Value =
        serde_json::from_str(include_str!("../fixture.json")).unwrap();
    let (staff, tickets) = (16438, 16406);
    let relations = fixture["relations"].as_array_mut().unwrap();
    let child = relations.iter_mut().find(|relation| relation["oid"] == staff).unwrap();
    child["columns"][1]["name"] = "customer_id".into();
    for pair in fixture["inherits"].as_array_mut().unwrap() {
        if pair[0] == staff {
            pair[1] = tickets.into();
        }
    }
    let catalogue = Catalogue::from_json(&fixture.to_string()).unwrap();
    let path = names(&["public"]);
    for (sql, rule) in [
        ("SELECT max(id + 0) FROM tickets", Some("unaccounted")),
        ("SELECT max(id + 0) FROM staff", Some("unaccounted")),
        ("SELECT count(*) FROM staff", None),
    ] {
        let context = Context::new(&path, PREFIX);
        let judged = analyse(sql, &catalogue, &rules(Mode::Restricted), context).unwrap();
        let refused = match &judged.first().unwrap().verdict {
            Verdict::Refused(refusal) => Some(refusal.rule),
            _ => None,
        };
        assert_eq!(refused, rule, "{sql}");
    }
}

/// Of whom a statement asks about, and who does not come, no column is recorded.
#[test]
fn a_window_gives_out_nothing_of_those_who_are_only_asked_about() {
    for sql in [
        "SELECT id, string_agg(email, '|') OVER () FROM customers WHERE id IN (5, 6) ORDER BY 1 LIMIT 1",
        "SELECT id, lead(email) OVER (ORDER BY id) FROM customers WHERE id = ANY ($1) LIMIT 1",
        "SELECT id, string_agg(s.m, '|') OVER () FROM (SELECT id, email m FROM customers WHERE id IN (5, 6)) s LIMIT 1",
        "SELECT t.id, max(t.body) OVER () FROM tickets t WHERE t.customer_id IN (5, 6) LIMIT 1",
    ] {
        check_accounted(sql, "42501 unaccounted");
    }
    for sql in [
        "SELECT id, count(*) OVER (), row_number() OVER (ORDER BY id) FROM customers WHERE id IN (5, 6)",
        "SELECT t.id, lag(t.body) OVER (PARTITION BY t.customer_id ORDER BY t.id) FROM tickets t WHERE t.customer_id IN (5, 6)",
        "SELECT t.id, lag(t.body) OVER (ORDER BY t.id) FROM tickets t WHERE t.customer_id = 5",
    ] {
        let told = judged(sql, Mode::Accounted);
        assert!(!told.starts_with("42501"), "{sql}: {told}");
    }
    refused(
        "unaccounted",
        &["SELECT id, string_agg(nick, '|') OVER () FROM customers WHERE id IN (5, 6) LIMIT 1"],
    );
}

/// A rank of groups below tells of no record, as one beside GROUP BY doesn't.
#[test]
fn groups_are_ranked_by_what_they_count() {
    let counts = "SELECT status, count(*) AS n FROM tickets GROUP BY status";
    for sql in [
        format!("SELECT status, n FROM (SELECT s.*, rank() OVER (ORDER BY n) AS r FROM ({counts}) s) x WHERE r < 4"),
        format!("WITH s AS ({counts}), r AS (SELECT status, n, sum(n) OVER (ORDER BY n DESC) / sum(n) OVER () AS c FROM s) SELECT status FROM r WHERE c < 0.8 ORDER BY c"),
        "WITH d AS (SELECT DISTINCT created_at::date AS day FROM customers), g AS (SELECT day, day - (row_number() OVER (ORDER BY day))::int AS grp FROM d) SELECT min(day), count(*) FROM g GROUP BY grp ORDER BY 1".to_owned(),
    ] {
        let told = super::judged(&sql, super::Mode::Restricted);
        assert!(told.contains("keys []"), "{sql}: {told}");
    }
    // These groups are records, and these rows are.
    for inner in [
        "SELECT id AS status, count(*) AS n FROM tickets GROUP BY id",
        "SELECT customer_id AS status, count(*) AS n FROM tickets GROUP BY customer_id",
        "SELECT id % 7 AS status, count(*) AS n FROM tickets GROUP BY 1",
        "SELECT status, 1 AS n FROM tickets",
    ] {
        let sql = format!(
            "SELECT count(*) FROM (SELECT s.*, rank() OVER (ORDER BY n) AS r FROM ({inner}) s) x WHERE r < 4 AND status IS NULL"
        );
        let told = super::judged(&sql, super::Mode::Restricted);
        assert!(told.starts_with("42501"), "{sql}: {told}");
    }
}

/// Doctrine's pages.
#[test]
fn groups_of_one_record_are_a_page_with_its_keys() {
    let page = "SELECT DISTINCT id_0, min(sclr_1) AS n FROM (SELECT t.id AS id_0, row_number() OVER \
                (ORDER BY t.status DESC, t.id) AS sclr_1 FROM tickets t WHERE t.assignee = 'ana') r \
                GROUP BY id_0 ORDER BY n ASC LIMIT 10";
    let judged = |sql: &str| super::judged(sql, super::Mode::Restricted);
    let told = judged(page);
    assert!(told.contains("keys [0]") && !told.contains("DISTINCT"), "{told}");
    assert!(told.contains("array_agg(r.pk_k1)"), "{told}");
    for other in [
        // What is grouped by is no record's key, or not of this record alone.
        page.replace("t.id AS id_0", "t.id % 7 AS id_0"),
        page.replace(
            "FROM tickets t WHERE",
            "FROM tickets t JOIN tickets o ON o.status = t.status WHERE",
        ),
        page.replace("SELECT DISTINCT id_0, min", "SELECT DISTINCT min"),
    ] {
        assert!(judged(&other).starts_with("42501"), "{other}: {}", judged(&other));
    }
}

/// What all rows show says who is absent.
#[test]
fn a_side_that_may_be_absent_sorts_by_what_is_shown_of_it() {
    let first = "SELECT c.id, t.id, t.customer_id FROM customers c LEFT JOIN (SELECT x.id, \
                 x.customer_id FROM (SELECT id, customer_id, row_number() OVER (PARTITION BY \
                 customer_id ORDER BY status) AS n FROM tickets) x WHERE x.n <= 2) t ON c.id = \
                 t.customer_id WHERE c.id IN (1, 2) ORDER BY c.id, t.customer_id, t.id";
    let judged = |sql: &str| super::judged(sql, super::Mode::Restricted);
    assert!(judged(first).contains("keys [0 1]"), "{}", judged(first));
    for other in [
        first.replace("t.id, t.customer_id FROM customers", "t.id FROM customers"),
        format!("{first} LIMIT 1"),
        format!("{first} OFFSET 1"),
        format!("SELECT * FROM ({first}) s"),
    ] {
        assert!(judged(&other).starts_with("42501"), "{other}: {}", judged(&other));
    }
}
