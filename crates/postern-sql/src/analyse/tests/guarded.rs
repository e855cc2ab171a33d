use super::{check, check_accounted};

#[test]
fn every_row_carries_the_keys_of_its_leaves() {
    check(
        "SELECT id, name, email FROM customers WHERE id = 5",
        "SELECT customers.id, customers.name, customers.email, customers.id AS pk_k1 FROM <public.customers b> customers WHERE customers.id = 5
  3 columns, keys [0]
  public.customers set 0 clear name email",
    );
    check(
        "SELECT * FROM customers c",
        "SELECT *, c.id AS pk_k1 FROM <public.customers b> c
  12 columns, keys [0]
  public.customers set 0 clear name email shown nick masked phone born balance tags level meta",
    );
    check(
        "TABLE customers ORDER BY id LIMIT 3",
        "SELECT *, customers.id AS pk_k1 FROM <public.customers b> customers ORDER BY id LIMIT 3
  12 columns, keys [0]
  public.customers set 0 clear name email shown nick masked phone born balance tags level meta",
    );
    check(
        "SELECT email FROM ONLY customers",
        "SELECT customers.email, customers.id AS pk_k1 FROM <ONLY public.customers b> customers
  1 columns, keys [0]
  public.customers set 0 clear email",
    );
    check(
        "SELECT x.mail FROM customers AS x(a, b, mail)",
        "SELECT x.mail, x.a AS pk_k1 FROM <public.customers b> x(a, b, mail)
  1 columns, keys [0]
  public.customers set 0 clear email",
    );
    check(
        "SELECT c FROM customers c",
        "SELECT c, c.id AS pk_k1 FROM <public.customers b> c
  1 columns, keys [0]
  public.customers set 0 clear name email shown nick masked phone born balance tags level meta",
    );
    check(
        "SELECT to_jsonb(c)->>'email' FROM customers c",
        "SELECT pg_catalog.to_jsonb(c) ->> 'email', c.id AS pk_k1 FROM <public.customers b> c
  1 columns, keys [0]
  public.customers set 0 clear name email shown nick masked phone born balance tags level meta",
    );
    check(
        "SELECT (c).email FROM customers c",
        "SELECT (c).email, c.id AS pk_k1 FROM <public.customers b> c
  1 columns, keys [0]
  public.customers set 0 clear name email shown nick masked phone born balance tags level meta",
    );
    check(
        "SELECT upper(name), md5(email) FROM customers",
        "SELECT pg_catalog.upper(customers.name), pg_catalog.md5(customers.email), customers.id AS pk_k1 FROM <public.customers b> customers
  2 columns, keys [0]
  public.customers set 0 clear name email",
    );
    check(
        "SELECT nick FROM customers WHERE nick = 'x'",
        "SELECT customers.nick, customers.id AS pk_k1 FROM <public.customers b> customers WHERE customers.nick = 'x'
  1 columns, keys [0]
  public.customers shown nick",
    );
    check(
        "SELECT t.id, c.name FROM tickets t JOIN customers c ON c.id = t.customer_id WHERE t.assignee = $1",
        "SELECT t.id, c.name, t.customer_id AS pk_k1, c.id AS pk_k2 FROM <public.tickets b> t JOIN <public.customers b> c ON c.id = t.customer_id WHERE t.assignee = $1
  2 columns, keys [0 1]
  public.tickets
  public.customers set 0 clear name",
    );
    check(
        "SELECT * FROM (SELECT * FROM customers) s",
        "SELECT s.id AS id, s.name AS name, s.email AS email, s.phone AS phone, s.born AS born, s.balance AS balance, s.tags AS tags, s.level AS level, s.nick AS nick, s.meta AS meta, s.country AS country, s.created_at AS created_at, s.pk_k1 AS pk_k2 FROM (SELECT *, customers.id AS pk_k1 FROM <public.customers b> customers) s
  12 columns, keys [0]
  public.customers set 0 clear name email shown nick masked phone born balance tags level meta",
    );
    check(
        "SELECT s.*, 1 FROM (SELECT id, name FROM customers) s",
        "SELECT s.id AS id, s.name AS name, 1, s.pk_k1 AS pk_k2 FROM (SELECT customers.id AS id, customers.name AS name, customers.id AS pk_k1 FROM <public.customers b> customers) s
  3 columns, keys [0]
  public.customers set 0 clear name",
    );
    check(
        "WITH a AS (SELECT id, name FROM customers) SELECT x.name FROM a x JOIN a y ON x.id = y.id",
        "WITH a AS (SELECT customers.id AS id, customers.name AS name, customers.id AS pk_k1 FROM <public.customers b> customers) SELECT x.name, x.pk_k1 AS pk_k2, y.pk_k1 AS pk_k3 FROM a x JOIN a y ON x.id = y.id
  1 columns, keys [0 0]
  public.customers set 0 clear name",
    );
    check(
        "SELECT l.e FROM customers c, LATERAL (SELECT c.email AS e) l",
        "SELECT l.e, c.id AS pk_k1 FROM <public.customers b> c, LATERAL (SELECT c.email AS e) l
  1 columns, keys [0]
  public.customers set 0 clear email",
    );
    check(
        "SELECT public.customers.name FROM public.customers",
        "SELECT customers.name, customers.id AS pk_k1 FROM <public.customers b> customers
  1 columns, keys [0]
  public.customers set 0 clear name",
    );
    check(
        "SELECT shop.public.customers.name FROM shop.public.customers",
        "SELECT customers.name, customers.id AS pk_k1 FROM <public.customers b> customers
  1 columns, keys [0]
  public.customers set 0 clear name",
    );
    check(
        "SELECT vouched(name) FROM customers",
        "SELECT public.vouched(customers.name), customers.id AS pk_k1 FROM <public.customers b> customers
  1 columns, keys [0]
  public.customers set 0 clear name",
    );
}

#[test]
fn a_column_used_beside_the_result_is_masked() {
    check(
        "SELECT name FROM customers WHERE email LIKE 'a%'",
        "SELECT customers.name, customers.id AS pk_k1 FROM <public.customers b> customers WHERE customers.email LIKE 'a%'
  1 columns, keys [0]
  public.customers set 0 clear name",
    );
    check(
        "SELECT id FROM customers ORDER BY name",
        "SELECT customers.id, customers.id AS pk_k1 FROM <public.customers b> customers ORDER BY customers.name
  1 columns, keys [0]
  public.customers",
    );
    check(
        "SELECT name AS country FROM customers ORDER BY country",
        "SELECT customers.name AS country, customers.id AS pk_k1 FROM <public.customers b> customers ORDER BY country
  1 columns, keys [0]
  public.customers set 0 clear name",
    );
    check(
        "SELECT id, name FROM customers ORDER BY 2",
        "SELECT customers.id, customers.name, customers.id AS pk_k1 FROM <public.customers b> customers ORDER BY 2
  2 columns, keys [0]
  public.customers set 0 clear name",
    );
    check(
        "SELECT l.e FROM customers c, LATERAL (SELECT c.email AS e WHERE c.email > 'm') l",
        "SELECT l.e, c.id AS pk_k1 FROM <public.customers b> c, LATERAL (SELECT c.email AS e WHERE c.email > 'm') l
  1 columns, keys [0]
  public.customers masked email",
    );
    check(
        "SELECT u FROM customers c, unnest(string_to_array(c.email, '')) u",
        "SELECT u, c.id AS pk_k1 FROM <public.customers b> c, pg_catalog.unnest(pg_catalog.string_to_array(c.email, '')) u
  1 columns, keys [0]
  public.customers masked email",
    );
}

#[test]
fn folded_rows_carry_keys_or_tell_no_record() {
    check(
        "SELECT id, name FROM customers UNION ALL SELECT customer_id, body FROM tickets",
        "SELECT customers.id, customers.name, customers.id AS pk_k1, NULL::bigint AS pk_k3 FROM <public.customers b> customers UNION ALL SELECT tickets.customer_id, tickets.body, NULL::bigint, tickets.customer_id AS pk_k2 FROM <public.tickets b> tickets
  2 columns, keys [0 1]
  public.customers set 0 clear name
  public.tickets set 0 clear body",
    );
    check(
        "SELECT c.id, c.name, count(t.id) FROM customers c LEFT JOIN tickets t ON t.customer_id = c.id GROUP BY c.id",
        "SELECT c.id, c.name, pg_catalog.count(t.id), c.id AS pk_k1, c.id AS pk_k2 FROM <public.customers b> c LEFT JOIN <public.tickets b> t ON t.customer_id = c.id GROUP BY c.id, c.name
  3 columns, keys [0 1]
  public.customers set 0 clear name
  public.tickets",
    );
    check(
        "SELECT country, count(*) FROM customers GROUP BY country",
        "SELECT customers.country, pg_catalog.count(*) FROM <public.customers b> customers GROUP BY customers.country
  2 columns, keys []
  public.customers",
    );
    check(
        "SELECT DISTINCT id, name FROM customers",
        "SELECT DISTINCT customers.id, customers.name, customers.id AS pk_k1 FROM <public.customers b> customers
  2 columns, keys [0]
  public.customers set 0 clear name",
    );
    check(
        "SELECT DISTINCT country FROM customers",
        "SELECT DISTINCT customers.country FROM <public.customers b> customers
  1 columns, keys []
  public.customers",
    );
    check(
        "SELECT DISTINCT ON (country) country, name FROM customers",
        "SELECT DISTINCT ON (country) customers.country, customers.name, customers.id AS pk_k1 FROM <public.customers b> customers
  2 columns, keys [0]
  public.customers set 0 clear name",
    );
    check(
        "SELECT id FROM customers WHERE id IN (SELECT customer_id FROM tickets WHERE assignee = 'me')",
        "SELECT customers.id, customers.id AS pk_k1 FROM <public.customers b> customers WHERE customers.id IN (SELECT tickets.customer_id AS customer_id FROM <public.tickets b> tickets WHERE tickets.assignee = 'me')
  1 columns, keys [0]
  public.customers
  public.tickets",
    );
    check(
        "SELECT EXISTS (SELECT 1 FROM tickets WHERE status = 'open' LIMIT 1)",
        r#"SELECT EXISTS (SELECT 1 AS "?column?" FROM <public.tickets b> tickets WHERE tickets.status = 'open' LIMIT 1)
  1 columns, keys []
  public.tickets"#,
    );
    check(
        "SELECT id, (SELECT count(*) FROM tickets t WHERE t.customer_id = c.id) FROM customers c",
        "SELECT c.id, (SELECT pg_catalog.count(*) AS count FROM <public.tickets b> t WHERE t.customer_id = c.id), c.id AS pk_k1 FROM <public.customers b> c
  2 columns, keys [0]
  public.customers
  public.tickets",
    );
    check(
        "SELECT country FROM customers UNION SELECT name FROM products",
        "SELECT customers.country FROM <public.customers b> customers UNION SELECT products.name FROM public.products
  1 columns, keys []
  public.customers",
    );
}

#[test]
fn a_lookup_moves_into_the_leaf() {
    check(
        "SELECT name FROM customers WHERE email = 'a@b.c'",
        r#"SELECT customers.name, customers.id AS pk_k1 FROM <public.customers b WHERE b.email OPERATOR(pg_catalog.=) 'a@b.c'::pg_catalog.text> customers
  1 columns, keys [0]
  public.customers set 0 clear name
  lookup public.customers.email = "a@b.c""#,
    );
    check(
        "SELECT name FROM customers WHERE 'a@b.c' = email AND id > 5",
        r#"SELECT customers.name, customers.id AS pk_k1 FROM <public.customers b WHERE b.email OPERATOR(pg_catalog.=) 'a@b.c'::pg_catalog.text> customers WHERE customers.id > 5
  1 columns, keys [0]
  public.customers set 0 clear name
  lookup public.customers.email = "a@b.c""#,
    );
    check(
        "SELECT name FROM customers WHERE email IN ('a@b.c')",
        r#"SELECT customers.name, customers.id AS pk_k1 FROM <public.customers b WHERE b.email OPERATOR(pg_catalog.=) 'a@b.c'::pg_catalog.text> customers
  1 columns, keys [0]
  public.customers set 0 clear name
  lookup public.customers.email = "a@b.c""#,
    );
    for list in ["IN ('a@b.c', 'd@e.f')", "NOT IN ('a@b.c')", "IN ((SELECT 'a@b.c'))"] {
        let told = super::judged(
            &format!("SELECT name FROM customers WHERE email {list}"),
            crate::Mode::Restricted,
        );
        assert!(!told.contains("lookup "), "{list}: {told}");
    }
    check(
        "SELECT name FROM customers WHERE phone = $1::varchar AND country = $2",
        "SELECT customers.name, customers.id AS pk_k1 FROM <public.customers b WHERE b.phone OPERATOR(pg_catalog.=) $1::varchar::pg_catalog.text> customers WHERE customers.country = $2
  1 columns, keys [0]
  public.customers set 0 clear name
  lookup public.customers.phone = $1",
    );
}

#[test]
fn what_is_no_lookup_compares_with_the_mask() {
    check(
        "SELECT name FROM customers WHERE email = 'a' OR email = 'b'",
        "SELECT customers.name, customers.id AS pk_k1 FROM <public.customers b> customers WHERE customers.email = 'a' OR customers.email = 'b'
  1 columns, keys [0]
  public.customers set 0 clear name",
    );
    check(
        "SELECT name FROM customers WHERE email IN ('a', 'b')",
        "SELECT customers.name, customers.id AS pk_k1 FROM <public.customers b> customers WHERE customers.email IN ('a', 'b')
  1 columns, keys [0]
  public.customers set 0 clear name",
    );
    check(
        "SELECT name FROM customers WHERE email = ANY ('{a,b}')",
        "SELECT customers.name, customers.id AS pk_k1 FROM <public.customers b> customers WHERE customers.email = ANY('{a,b}')
  1 columns, keys [0]
  public.customers set 0 clear name",
    );
    check(
        r#"SELECT name FROM customers WHERE email = 'a' COLLATE "C""#,
        r#"SELECT customers.name, customers.id AS pk_k1 FROM <public.customers b> customers WHERE customers.email = 'a' COLLATE "C"
  1 columns, keys [0]
  public.customers set 0 clear name"#,
    );
    check(
        "SELECT name FROM customers WHERE name = 'a'",
        "SELECT customers.name, customers.id AS pk_k1 FROM <public.customers b> customers WHERE customers.name = 'a'
  1 columns, keys [0]
  public.customers masked name",
    );
    check(
        "SELECT c.name FROM products p LEFT JOIN customers c ON c.id = p.id WHERE c.email = 'a'",
        "SELECT c.name, c.id AS pk_k1 FROM public.products p LEFT JOIN <public.customers b> c ON c.id = p.id WHERE c.email = 'a'
  1 columns, keys [0]
  public.customers set 0 clear name",
    );
}

#[test]
fn children_have_their_parents_rule() {
    check(
        "SELECT born FROM staff",
        "SELECT staff.born, staff.id AS pk_k1 FROM <public.staff b> staff
  1 columns, keys [0]
  public.staff masked born",
    );
}

#[test]
fn an_allowed_insert_counts_unique_values_as_lookups() {
    check(
        "INSERT INTO tickets (customer_id, number, status) VALUES (5, 'T-1', 'open') RETURNING id",
        r#"INSERT INTO public.tickets (customer_id, number, status) VALUES (5, 'T-1', 'open') RETURNING tickets.id, tickets.customer_id AS pk_k1
  1 columns, keys [0]
  public.tickets
  stored public.tickets.number = "T-1""#,
    );
    check(
        "INSERT INTO tickets (customer_id, status) VALUES ($1, $2)",
        "INSERT INTO public.tickets (customer_id, status) VALUES ($1, $2) RETURNING tickets.customer_id AS pk_k1
  0 columns, keys [0], silent
  public.tickets",
    );
}

#[test]
fn an_accounted_role_sees_clear_and_folds_nothing_clear() {
    check_accounted(
        "SELECT name FROM customers WHERE email LIKE 'a%'",
        "SELECT customers.name, customers.id AS pk_k1 FROM <public.customers b> customers WHERE customers.email LIKE 'a%'
  1 columns, keys [0]
  public.customers clear name
  decided by public.customers.email",
    );
    check_accounted(
        "SELECT p.name, c.id FROM products p LEFT JOIN customers c ON c.email = p.name",
        "SELECT p.name, c.id, c.id AS pk_k1 FROM public.products p LEFT JOIN <public.customers b> c ON c.email = p.name
  2 columns, keys [0]
  public.customers
  decided by public.customers.email",
    );
    check_accounted(
        "SELECT count(*) FROM customers",
        "SELECT pg_catalog.count(*) FROM <public.customers b> customers
  1 columns, keys []
  public.customers",
    );
    check_accounted(
        "SELECT count(*) FROM customers WHERE email LIKE 'a%'",
        "SELECT pg_catalog.count(*), pg_catalog.string_agg(customers.id::pg_catalog.text, ',') AS pk_k1 FROM <public.customers b> customers WHERE customers.email LIKE 'a%'
  1 columns, keys [0]
  public.customers
  decided by public.customers.email",
    );
    check_accounted(
        "SELECT count(*) FROM customers WHERE email LIKE 'a%' OFFSET 0",
        "42501 folded_lookup",
    );
    check_accounted("SELECT string_agg(email, ',') FROM customers", "42501 unaccounted");
    check_accounted(
        "SELECT c.id, max(t.body) FROM customers c JOIN tickets t ON t.customer_id = c.id GROUP BY c.id",
        "SELECT c.id, pg_catalog.max(t.body), c.id AS pk_k1, c.id AS pk_k2 FROM <public.customers b> c JOIN <public.tickets b> t ON t.customer_id = c.id GROUP BY c.id
  2 columns, keys [0 1]
  public.customers
  public.tickets clear body",
    );
    check_accounted(
        "SELECT c.country, max(t.body) FROM customers c JOIN tickets t ON t.customer_id = c.id GROUP BY ROLLUP (1)",
        "42501 unaccounted",
    );
    check_accounted(
        "SELECT id, row_number() OVER (PARTITION BY id ORDER BY email) FROM customers",
        "SELECT customers.id, pg_catalog.row_number() OVER (PARTITION BY customers.id ORDER BY customers.email), customers.id AS pk_k1 FROM <public.customers b> customers
  2 columns, keys [0]
  public.customers
  decided by public.customers.email",
    );
}
