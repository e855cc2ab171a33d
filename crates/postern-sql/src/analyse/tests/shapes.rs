//! Shapes that applications, ORMs and reports send, and relatives of them that would show too much.

use super::*;

/// What the client gets: columns, keys carried, and of each leaf what is clear, shown and masked.
#[track_caller]
fn gives(sql: &str, expected: &str) {
    let judged = judged(sql, Mode::Restricted);
    let told = judged.split_once('\n').map_or(judged.as_str(), |(_, told)| told);
    let told: Vec<&str> = told.lines().map(str::trim).collect();
    assert_eq!(told.join("; "), expected, "{sql}");
}

#[test]
fn what_applications_send_is_answered() {
    gives(
        "SELECT DISTINCT c.country FROM customers c ORDER BY 1",
        "1 columns, keys []; public.customers",
    );
    gives("SELECT count(DISTINCT t.status) FROM tickets t", "1 columns, keys []; public.tickets");
    gives(
        "SELECT date_trunc('day', created_at), count(*) FROM customers GROUP BY date_trunc('day', created_at) ORDER BY 1",
        "2 columns, keys []; public.customers",
    );
    gives(
        "SELECT c.id, c.name FROM customers c WHERE EXISTS (SELECT 1 FROM tickets t WHERE t.customer_id = c.id AND t.assignee = 'me')",
        "2 columns, keys [0]; public.customers set 0 clear name; public.tickets",
    );
    gives(
        "SELECT c.id FROM customers c WHERE NOT EXISTS (SELECT 1 FROM tickets t WHERE t.customer_id = c.id)",
        "1 columns, keys [0]; public.customers; public.tickets",
    );
    gives(
        "SELECT id, name FROM customers WHERE id IN (SELECT customer_id FROM tickets WHERE status = 'open')",
        "2 columns, keys [0]; public.customers set 0 clear name; public.tickets",
    );
    gives(
        "SELECT id, name FROM customers WHERE id NOT IN (SELECT customer_id FROM tickets WHERE status = 'open')",
        "2 columns, keys [0]; public.customers set 0 clear name; public.tickets",
    );
    gives(
        "SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY country ORDER BY created_at DESC) AS rn FROM customers) x WHERE rn <= 3",
        "1 columns, keys [0]; public.customers",
    );
    gives(
        "SELECT count(*) FROM (SELECT id FROM customers WHERE country = 'DE' LIMIT 1000) x",
        "1 columns, keys []; public.customers",
    );
    gives(
        "SELECT COUNT(*) FROM (SELECT DISTINCT t.id AS col1, t.status AS col2 FROM tickets t WHERE t.status = 'open') subquery",
        "1 columns, keys []; public.tickets",
    );
    gives(
        "SELECT COUNT(count_column) FROM (SELECT 1 AS count_column FROM tickets LIMIT 10 OFFSET 0) subquery_for_count",
        "1 columns, keys []; public.tickets",
    );
    gives(
        "SELECT COUNT(*) FROM (SELECT 1 AS one FROM tickets WHERE status = 'open' LIMIT 1000) subquery_for_count",
        "1 columns, keys []; public.tickets",
    );
    gives(
        "SELECT COUNT(DISTINCT tickets.id) FROM tickets LEFT OUTER JOIN customers ON customers.id = tickets.customer_id WHERE customers.country = 'DE'",
        "1 columns, keys []; public.tickets; public.customers",
    );
    gives(
        "SELECT COUNT(DISTINCT customers.id) FROM customers INNER JOIN tickets ON tickets.customer_id = customers.id",
        "1 columns, keys []; public.customers; public.tickets",
    );
    gives(
        "WITH own AS (SELECT id, customer_id FROM tickets WHERE assignee = 'me') SELECT o.id, c.name FROM own o JOIN customers c ON c.id = o.customer_id",
        "2 columns, keys [0 1]; public.tickets; public.customers set 0 clear name",
    );
    gives(
        "SELECT c.id, c.name, l.status FROM customers c LEFT JOIN LATERAL (SELECT t.status, t.number FROM tickets t WHERE t.customer_id = c.id ORDER BY t.id DESC LIMIT 1) l ON true",
        "3 columns, keys [0 1]; public.customers set 0 clear name; public.tickets",
    );
    gives(
        "SELECT c.id, l.number FROM customers c CROSS JOIN LATERAL (SELECT number FROM tickets WHERE customer_id = c.id ORDER BY id DESC FETCH FIRST 1 ROW ONLY) l",
        "2 columns, keys [0 1]; public.customers; public.tickets set 0 clear number",
    );
    gives(
        "SELECT DISTINCT ON (t.customer_id) t.customer_id, t.number, t.status FROM tickets t ORDER BY t.customer_id, t.id DESC",
        "3 columns, keys [0]; public.tickets set 0 clear number",
    );
    gives(
        "SELECT id, name FROM customers WHERE (created_at, id) < ($1, $2) ORDER BY created_at DESC, id DESC LIMIT 50",
        "2 columns, keys [0]; public.customers set 0 clear name",
    );
    gives(
        "SELECT id FROM customers WHERE (country, level) = ('DE', 'silver')",
        "1 columns, keys [0]; public.customers",
    );
    gives(
        "SELECT country, count(*) FROM customers GROUP BY ROLLUP (country)",
        "2 columns, keys []; public.customers",
    );
    gives(
        "SELECT country, created_at::date, count(*) FROM customers GROUP BY CUBE (country, created_at::date)",
        "3 columns, keys []; public.customers",
    );
    gives(
        "SELECT country, grouping(country), count(*) FROM customers GROUP BY GROUPING SETS ((country), ())",
        "3 columns, keys []; public.customers",
    );
    gives(
        "SELECT country, count(*) FROM customers GROUP BY country HAVING count(*) > 5 ORDER BY count(*) DESC",
        "2 columns, keys []; public.customers",
    );
    gives(
        "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY length(status)) FROM tickets",
        "1 columns, keys []; public.tickets",
    );
    gives(
        "SELECT avg(extract(epoch FROM now() - created_at)) FROM customers",
        "1 columns, keys []; public.customers",
    );
    gives(
        "SELECT c.id, c.name, count(t.id) AS n FROM customers c LEFT JOIN tickets t ON t.customer_id = c.id GROUP BY c.id, c.name ORDER BY n DESC LIMIT 20",
        "3 columns, keys [0 1]; public.customers set 0 clear name; public.tickets",
    );
    gives(
        "SELECT t.id, t.status, c.name FROM tickets t JOIN customers c USING (id)",
        "3 columns, keys [0 1]; public.tickets; public.customers set 0 clear name",
    );
    gives(
        "SELECT id, status FROM tickets NATURAL JOIN (SELECT 1::bigint AS id) x",
        "2 columns, keys [0]; public.tickets",
    );
    gives(
        "SELECT t.* FROM tickets t WHERE t.customer_id IN (1, 2, 3) AND t.status IN ('open', 'pending')",
        "7 columns, keys [0]; public.tickets set 0 clear number body",
    );
    gives(
        "SELECT t.* FROM tickets t WHERE t.customer_id = ANY ($1::bigint[])",
        "7 columns, keys [0]; public.tickets set 0 clear number body",
    );
    gives(
        "SELECT (SELECT count(*) FROM tickets t WHERE t.customer_id = c.id AND t.status = 'open') AS open, c.id FROM customers c ORDER BY open DESC",
        "2 columns, keys [0]; public.customers; public.tickets",
    );
    gives(
        "SELECT c.id, c.name FROM customers c JOIN (SELECT customer_id, count(*) AS n FROM tickets GROUP BY customer_id HAVING count(*) > 5) t ON t.customer_id = c.id",
        "2 columns, keys [0 1]; public.customers set 0 clear name; public.tickets",
    );
    gives(
        "SELECT c.country, count(*) FROM tickets t JOIN customers c ON c.id = t.customer_id GROUP BY c.country",
        "2 columns, keys []; public.tickets; public.customers",
    );
    gives(
        "SELECT t.status, count(DISTINCT t.customer_id) FROM tickets t GROUP BY t.status",
        "2 columns, keys []; public.tickets",
    );
    gives(
        "SELECT status, array_agg(DISTINCT assignee) FROM tickets GROUP BY status",
        "2 columns, keys []; public.tickets",
    );
    gives(
        "SELECT string_agg(DISTINCT status, ', ' ORDER BY status) FROM tickets",
        "1 columns, keys []; public.tickets",
    );
    gives(
        "SELECT count(*) FILTER (WHERE status = 'open'), count(*) FILTER (WHERE created_at > now() - interval '1 day') FROM tickets t JOIN customers c ON c.id = t.customer_id",
        "2 columns, keys []; public.tickets; public.customers",
    );
    gives(
        "SELECT max(created_at) FROM customers WHERE country = 'DE'",
        "1 columns, keys []; public.customers",
    );
    gives(
        "SELECT sum(CASE WHEN status = 'open' THEN 1 ELSE 0 END) FROM tickets",
        "1 columns, keys []; public.tickets",
    );
    gives(
        "SELECT coalesce(name, '-') || ' <' || email || '>' FROM customers WHERE id = 5",
        "1 columns, keys [0]; public.customers set 0 clear name email",
    );
    gives(
        "SELECT to_char(created_at, 'YYYY-MM'), count(*) FROM customers GROUP BY 1 ORDER BY 1",
        "2 columns, keys []; public.customers",
    );
    gives(
        "SELECT id, CASE WHEN created_at > now() - interval '1 day' THEN 'new' ELSE 'old' END FROM customers",
        "2 columns, keys [0]; public.customers",
    );
    gives(
        "SELECT row_to_json(t) FROM (SELECT id, status FROM tickets WHERE customer_id = 5) t",
        "1 columns, keys [0]; public.tickets",
    );
    gives(
        "SELECT json_build_object('id', id, 'name', name) FROM customers WHERE id = 5",
        "1 columns, keys [0]; public.customers set 0 clear name",
    );
    gives(
        "SELECT 1 AS one FROM tickets WHERE tickets.number = 'T-1' LIMIT 1",
        r#"1 columns, keys [0]; public.tickets; lookup public.tickets.number = "T-1""#,
    );
    gives(
        "SELECT 1 AS one FROM customers WHERE customers.email = 'a@b.c' LIMIT 1",
        r#"1 columns, keys [0]; public.customers; lookup public.customers.email = "a@b.c""#,
    );
    for joined in [
        "SELECT c.id, t.status FROM customers c JOIN tickets t ON t.customer_id = c.id WHERE c.email = 'a@b.c' ORDER BY t.id LIMIT 5",
        "SELECT c.id, t.status FROM customers c LEFT JOIN tickets t ON t.customer_id = c.id WHERE c.email = 'a@b.c'",
        "SELECT x.id, t.status FROM (SELECT id, name FROM customers WHERE email = 'a@b.c' LIMIT 5) x LEFT JOIN tickets t ON t.customer_id = x.id",
        "SELECT c.id, t.status FROM tickets t RIGHT JOIN customers c ON t.customer_id = c.id WHERE c.email = 'a@b.c' OFFSET 1",
        "WITH c AS (SELECT id FROM customers WHERE email = 'a@b.c') SELECT c.id, t.status FROM c LEFT JOIN tickets t ON t.customer_id = c.id",
        "SELECT c.id, count(t.id) FROM customers c LEFT JOIN tickets t ON t.customer_id = c.id WHERE c.email = 'a@b.c' GROUP BY c.id",
        "WITH c AS (SELECT id FROM customers WHERE email = 'a@b.c') SELECT id, 'a' FROM c UNION ALL SELECT t.id, 'b' FROM tickets t JOIN c ON t.customer_id = c.id",
    ] {
        let told = judged(joined, Mode::Restricted);
        assert!(told.contains(r#"lookup public.customers.email = "a@b.c""#), "{joined}: {told}");
    }
    gives(
        "SELECT (1) AS a FROM customers WHERE id = 5 LIMIT 1",
        "1 columns, keys [0]; public.customers",
    );
    gives(
        "SELECT count(*) FROM tickets WHERE assignee = 'me' AND status = 'open'",
        "1 columns, keys []; public.tickets",
    );
    gives(
        "SELECT id FROM tickets ORDER BY random() LIMIT 5",
        "1 columns, keys [0]; public.tickets",
    );
    gives(
        "SELECT country FROM customers UNION SELECT status FROM tickets",
        "1 columns, keys []; public.customers; public.tickets",
    );
    gives(
        "SELECT country FROM customers INTERSECT SELECT status FROM tickets",
        "1 columns, keys []; public.customers; public.tickets",
    );
    gives(
        "SELECT id FROM customers UNION ALL SELECT customer_id FROM tickets ORDER BY 1 LIMIT 10",
        "1 columns, keys [0 1]; public.customers; public.tickets",
    );
    gives(
        "(SELECT id FROM customers ORDER BY id LIMIT 5) UNION ALL (SELECT id FROM customers ORDER BY id DESC LIMIT 5)",
        "1 columns, keys [0 1]; public.customers; public.customers",
    );
    gives(
        "SELECT generate_series(1, 3), id FROM customers",
        "2 columns, keys [0]; public.customers",
    );
    gives(
        "SELECT c.email::varchar(10), c.balance::int FROM customers c",
        "2 columns, keys [0]; public.customers set 0 clear email masked balance",
    );
    gives(
        "SELECT c::text FROM customers c",
        "1 columns, keys [0]; public.customers set 0 clear name email shown nick masked phone born balance tags level meta",
    );
    gives(
        "SELECT row_to_json(c) FROM customers c",
        "1 columns, keys [0]; public.customers set 0 clear name email shown nick masked phone born balance tags level meta",
    );
    gives(
        "SELECT ROW(c.id, c.email) FROM customers c",
        "1 columns, keys [0]; public.customers set 0 clear email",
    );
    gives(
        "SELECT (c).email, (c).id FROM customers c",
        "2 columns, keys [0]; public.customers set 0 clear name email shown nick masked phone born balance tags level meta",
    );
    gives(
        r#"SELECT "customers"."id", U&"\006eame" FROM "customers""#,
        "2 columns, keys [0]; public.customers set 0 clear name",
    );
    gives(
        "SELECT ID, NAME FROM CUSTOMERS WHERE ID = 5",
        "2 columns, keys [0]; public.customers set 0 clear name",
    );
    gives(
        "SELECT a.id FROM customers a JOIN customers b ON a.email = b.email",
        "1 columns, keys [0 1]; public.customers; public.customers",
    );
    gives(
        "SELECT id, email FROM customers ORDER BY 2",
        "2 columns, keys [0]; public.customers set 0 clear email",
    );
    gives(
        "SELECT t.status, c.country, count(*) FROM tickets t JOIN customers c ON t.customer_id = c.id WHERE c.created_at >= '2024-01-01' GROUP BY GROUPING SETS ((t.status), (c.country), ()) ORDER BY 1, 2",
        "3 columns, keys []; public.tickets; public.customers",
    );
    gives(
        "SELECT id, count(*) OVER (PARTITION BY country), rank() OVER (ORDER BY created_at) FROM customers",
        "3 columns, keys [0]; public.customers",
    );
    gives(
        "SELECT * FROM (SELECT * FROM customers ORDER BY created_at DESC LIMIT 10) x ORDER BY id",
        "12 columns, keys [0]; public.customers set 0 clear name email shown nick masked phone born balance tags level meta",
    );
    gives(
        "SELECT t.number, c.name FROM tickets t INNER JOIN customers c ON (t.customer_id = c.id) WHERE (t.assignee = 'me' AND NOT (t.status = 'closed')) ORDER BY t.id DESC LIMIT 21",
        "2 columns, keys [0 1]; public.tickets set 0 clear number; public.customers set 0 clear name",
    );
    gives(
        "SELECT t0.id, t1.id, t1.name FROM tickets t0 LEFT OUTER JOIN customers t1 ON t1.id = t0.customer_id WHERE t0.id IN ($1, $2, $3)",
        "3 columns, keys [0 1]; public.tickets; public.customers set 0 clear name",
    );
    gives(
        "SELECT a.id AS a_id, b.number AS b_number FROM customers a LEFT JOIN tickets b ON a.id = b.customer_id AND b.status = 'open' WHERE a.id = 5",
        "2 columns, keys [0 1]; public.customers; public.tickets set 0 clear number",
    );
    gives(
        "SELECT id FROM customers WHERE country IS NOT DISTINCT FROM 'DE' AND created_at BETWEEN now() - interval '1 month' AND now()",
        "1 columns, keys [0]; public.customers",
    );
    gives(
        "SELECT id FROM customers WHERE tags @> ARRAY['vip']",
        "1 columns, keys [0]; public.customers",
    );
    gives(
        "SELECT id, meta->>'device' FROM customers WHERE meta->>'segment' = 'x'",
        "2 columns, keys [0]; public.customers masked meta",
    );
    gives(
        "SELECT width_bucket(length(status), 0, 10, 5) AS b, count(*) FROM tickets GROUP BY b ORDER BY b",
        "2 columns, keys []; public.tickets",
    );
    gives(
        "SELECT to_char(date_trunc('week', c.created_at), 'IYYY-IW') AS wk, c.country, count(DISTINCT c.id) FROM customers c GROUP BY 1, 2",
        "3 columns, keys []; public.customers",
    );
    gives(
        "SELECT c.country, t.status, count(*)::float / sum(count(*)) OVER (PARTITION BY c.country) FROM tickets t JOIN customers c ON c.id = t.customer_id GROUP BY 1, 2",
        "3 columns, keys []; public.tickets; public.customers",
    );
    gives(
        "SELECT country, count(*) AS n, round(100.0 * count(*) / sum(count(*)) OVER (), 2) AS pct FROM customers GROUP BY country",
        "3 columns, keys []; public.customers",
    );
    gives(
        "SELECT d::date, count(c.id) FROM generate_series('2024-01-01'::timestamptz, '2024-01-31', interval '1 day') d LEFT JOIN customers c ON c.created_at >= d AND c.created_at < d + interval '1 day' GROUP BY d ORDER BY d",
        "2 columns, keys []; public.customers",
    );
    gives(
        "SELECT t.assignee, count(*) FROM tickets t WHERE t.assignee IS NOT NULL GROUP BY t.assignee ORDER BY 2 DESC LIMIT 5",
        "2 columns, keys []; public.tickets",
    );
    gives(
        "SELECT c.name FROM customers c, tickets t WHERE t.customer_id = c.id AND t.number = 'T-1'",
        r#"1 columns, keys [0 1]; public.customers set 0 clear name; public.tickets; lookup public.tickets.number = "T-1""#,
    );
    gives(
        "SELECT t.id, lead(t.status) OVER (PARTITION BY t.customer_id ORDER BY t.id) FROM tickets t",
        "2 columns, keys [0]; public.tickets",
    );
    gives(
        "SELECT ntile(4) OVER (ORDER BY created_at), id FROM customers",
        "2 columns, keys [0]; public.customers",
    );
    gives(
        "SELECT id FROM customers ORDER BY created_at FETCH FIRST 5 ROWS WITH TIES",
        "1 columns, keys [0]; public.customers",
    );
    gives(
        "SELECT c.id FROM customers c FULL JOIN tickets t ON t.customer_id = c.id",
        "1 columns, keys [0 1]; public.customers; public.tickets",
    );
    gives(
        "SELECT s.a FROM (SELECT id FROM customers) AS s(a)",
        "1 columns, keys [0]; public.customers",
    );
    gives(
        "TABLE customers",
        "12 columns, keys [0]; public.customers set 0 clear name email shown nick masked phone born balance tags level meta",
    );
    gives("SELECT ALL id FROM customers", "1 columns, keys [0]; public.customers");
    gives("SELECT FROM customers", "0 columns, keys [0]; public.customers");
    gives(
        "SELECT count(*) FROM customers c CROSS JOIN products p",
        "1 columns, keys []; public.customers",
    );
    gives(
        "SELECT NULLIF(country, ''), coalesce(country, '?') FROM customers",
        "2 columns, keys [0]; public.customers",
    );
    gives(
        "SELECT greatest(created_at, now()), id FROM customers",
        "2 columns, keys [0]; public.customers",
    );
    gives(
        "SELECT id FROM customers WHERE country LIKE 'D%' ESCAPE '!'",
        "1 columns, keys [0]; public.customers",
    );
    gives(
        "SELECT id FROM customers WHERE country SIMILAR TO 'D_'",
        "1 columns, keys [0]; public.customers",
    );
    gives(
        "SELECT created_at AT TIME ZONE 'UTC' FROM customers",
        "1 columns, keys [0]; public.customers",
    );
    gives(
        "SELECT overlay(name placing 'x' from 1), position('a' in name), substring(name from 1 for 2), trim(both from name) FROM customers",
        "4 columns, keys [0]; public.customers set 0 clear name",
    );
    gives(
        "SELECT c.id, max(c.name) FROM customers c GROUP BY c.id",
        "2 columns, keys [0]; public.customers set 0 clear name",
    );
    gives(
        "SELECT t.customer_id, max(t.number), min(t.id), count(*) FROM tickets t GROUP BY t.customer_id",
        "4 columns, keys [0]; public.tickets set 0 clear number",
    );
    gives(
        "SELECT t.customer_id, array_agg(t.status ORDER BY t.id) FROM tickets t GROUP BY t.customer_id",
        "2 columns, keys [0]; public.tickets",
    );
    gives(
        "SELECT count(*) FROM (SELECT * FROM customers ORDER BY id LIMIT 10) x",
        "1 columns, keys []; public.customers",
    );
    gives(
        "SELECT count(*) FROM (SELECT DISTINCT email FROM customers) x",
        "1 columns, keys []; public.customers",
    );
    gives(
        "SELECT count(*) FROM (SELECT country, count(*) FROM customers GROUP BY country ORDER BY 1 LIMIT 1) x",
        "1 columns, keys []; public.customers",
    );
    gives(
        "SELECT count(*) FROM (SELECT generate_series(1, 3) FROM customers LIMIT 10) x",
        "1 columns, keys []; public.customers",
    );
    gives(
        "SELECT (SELECT count(*) FROM (SELECT 1 FROM tickets t WHERE t.customer_id = c.id AND t.status = 'open' LIMIT 5) x), c.id FROM customers c",
        "2 columns, keys [0]; public.customers; public.tickets",
    );
    gives(
        "SELECT count(*) FROM (SELECT DISTINCT ON (country) id FROM customers ORDER BY country, id) x",
        "1 columns, keys []; public.customers",
    );
    gives(
        "SELECT row_to_json(t) FROM (SELECT id, status, body FROM tickets WHERE customer_id = 5) t",
        "1 columns, keys [0]; public.tickets set 0 clear body",
    );
    gives(
        "SELECT t FROM (SELECT id, status FROM tickets) t ORDER BY t",
        "1 columns, keys [0]; public.tickets",
    );
    gives(
        "SELECT to_jsonb(d) FROM directory d",
        "1 columns, keys [0]; public.customers set 0 clear name",
    );
    gives(
        "SELECT count(t) FROM (SELECT id, status FROM tickets) t",
        "1 columns, keys []; public.tickets",
    );
    gives(
        "SELECT t IS NULL, t = t, md5(t::text) FROM (SELECT id, body FROM tickets) t",
        "3 columns, keys [0]; public.tickets set 0 clear body",
    );
    gives(
        "WITH a AS (SELECT id, email FROM customers) SELECT row_to_json(a) FROM a",
        "1 columns, keys [0]; public.customers set 0 clear email",
    );
}

#[test]
fn what_picks_a_record_or_shows_many_is_refused() {
    refused(
        "folded_lookup",
        &[
            "SELECT EXISTS (SELECT 1 FROM tickets WHERE customer_id = 5 + 0 AND status = 'open')",
            "SELECT EXISTS (SELECT 1 FROM tickets WHERE customer_id = 5 + 0)",
            "SELECT count(*) FROM tickets WHERE customer_id = 5 + 0 HAVING true",
            "SELECT count(x.c) FROM (SELECT country AS c FROM customers ORDER BY id LIMIT 1) x",
            "SELECT count(*) FROM (SELECT country AS c FROM customers ORDER BY id LIMIT 1) x WHERE c = 'DE' HAVING true",
            "SELECT count(*) FROM (SELECT country AS c FROM customers ORDER BY id LIMIT 1) x HAVING max(c) = 'DE'",
            "SELECT count(*), max(c) FROM (SELECT country AS c FROM customers ORDER BY id LIMIT 1) x HAVING true",
            "SELECT count(DISTINCT c) FROM (SELECT country AS c FROM customers ORDER BY id LIMIT 2) x HAVING true",
            "SELECT count(*) FROM (SELECT country AS c FROM customers ORDER BY id LIMIT 1) x JOIN products p ON p.name = c",
            "SELECT count(*) FROM (SELECT a.c FROM (SELECT country AS c FROM customers ORDER BY id LIMIT 1) a WHERE c = 'DE' LIMIT 4) x",
            "SELECT count(*) FROM (SELECT id FROM customers WHERE id = 5 + 0 AND country = 'DE' LIMIT 1) x",
            "SELECT count(*) FROM (SELECT DISTINCT id FROM customers WHERE id = 5 + 0) x",
            "SELECT count(*) FROM (SELECT DISTINCT country FROM (SELECT country FROM customers ORDER BY id LIMIT 2) y) x",
            "SELECT count(*) FROM (SELECT t.status FROM tickets t ORDER BY id LIMIT 1) x, customers c HAVING true",
            "SELECT (SELECT count(*) FROM (SELECT 1 FROM tickets t WHERE t.id = c.id AND t.status = 'open' LIMIT 5) x), c.id FROM customers c",
        ],
    );
    refused(
        "lookup",
        &["SELECT count(*) FROM (SELECT id FROM customers WHERE email = 'a@b.c' LIMIT 1) x"],
    );
    refused(
        "not_understood",
        &[
            "SELECT c.*::text FROM customers c",
            "SELECT (c.*)::text FROM customers c",
            "SELECT * FROM JSON_TABLE('[1]', '$[*]' COLUMNS (a int PATH '$')) j",
            "SELECT xmlforest(email) FROM customers",
            "SELECT x.* FROM XMLTABLE('/a' PASSING xml '<a/>' COLUMNS b text PATH 'b') x",
            "SELECT email IS JSON FROM customers",
            r#"SELECT JSON_VALUE('{"a":1}', '$.a')"#,
            "SELECT id FROM customers ORDER BY email USING >",
            "SELECT j.* FROM (customers c JOIN tickets t ON t.customer_id = c.id) j",
            "SELECT (t).id FROM (SELECT id, status FROM tickets) t",
            "SELECT (t).to_jsonb FROM (SELECT id, status FROM tickets) t",
            "SELECT row_to_json(t) FROM (SELECT id, id FROM tickets) t",
            "SELECT p.id, (SELECT row_to_json(t) FROM (SELECT 1) x) FROM (SELECT id FROM tickets) t, products p",
        ],
    );
    refused("type", &["SELECT c::customers FROM customers c"]);
    refused(
        "unaccounted",
        &[
            "SELECT jsonb_agg(jsonb_build_object('status', status)) FROM tickets",
            "SELECT min(id), max(id), avg(id) FROM tickets",
            "SELECT * FROM customers c WHERE c.id = (SELECT t.customer_id FROM tickets t WHERE t.id < 5)",
            "SELECT name FROM customers WHERE id = (SELECT max(customer_id) FROM tickets)",
            "SELECT array(SELECT status FROM tickets WHERE status = c.country) FROM customers c",
            "SELECT status, max(id) FROM tickets GROUP BY status",
            "SELECT json_agg(t) FROM (SELECT id, status FROM tickets) t",
        ],
    );
}
