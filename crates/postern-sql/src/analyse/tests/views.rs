//! Views over protected tables, and columns that are computed from protected ones.

use super::*;

#[test]
fn a_view_is_judged_as_what_it_stands_for() {
    check(
        "SELECT name FROM directory WHERE id = 5",
        "SELECT directory.name, directory.pk_k1 AS pk_k2 FROM (SELECT customers.id AS id, customers.name AS name, customers.id AS pk_k1 FROM <public.customers b> customers) directory(id, name) WHERE directory.id = 5
  1 columns, keys [0]
  public.customers set 0 clear name",
    );
    check(
        "SELECT * FROM public.directory_of_directory",
        "SELECT directory_of_directory.id AS id, directory_of_directory.name AS name, directory_of_directory.pk_k2 AS pk_k3 FROM (SELECT directory.id AS id, directory.name AS name, directory.pk_k1 AS pk_k2 FROM (SELECT customers.id AS id, customers.name AS name, customers.id AS pk_k1 FROM <public.customers b> customers) directory(id, name)) directory_of_directory(id, name)
  2 columns, keys [0]
  public.customers set 0 clear name",
    );
    check(
        "SELECT d.* FROM own_directory d(number, who) ORDER BY d.number",
        "SELECT d.number AS number, d.who AS who, d.email AS email, d.status AS status, d.pk_k2 AS pk_k5, d.pk_k3 AS pk_k6, d.pk_k4 AS pk_k7 FROM (SELECT d.id AS id, d.name AS name, c.email AS email, t.status AS status, d.pk_k1 AS pk_k2, c.id AS pk_k3, t.customer_id AS pk_k4 FROM (SELECT customers.id AS id, customers.name AS name, customers.id AS pk_k1 FROM <public.customers b> customers) d(id, name) JOIN <public.customers b> c ON c.id = d.id LEFT JOIN <public.tickets b> t ON t.customer_id = c.id) d(number, who, email, status) ORDER BY d.number
  4 columns, keys [0 1 2]
  public.customers set 0 clear name
  public.customers set 0 clear email
  public.tickets",
    );
    check(
        "SELECT public.directory.name FROM public.directory",
        "SELECT directory.name, directory.pk_k1 AS pk_k2 FROM (SELECT customers.id AS id, customers.name AS name, customers.id AS pk_k1 FROM <public.customers b> customers) directory(id, name)
  1 columns, keys [0]
  public.customers set 0 clear name",
    );
    check(
        "SELECT customers FROM by_country WHERE country = 'DE'",
        "SELECT by_country.customers FROM (SELECT customers.country AS country, pg_catalog.count(*) AS customers FROM <public.customers b> customers GROUP BY customers.country) by_country(country, customers) WHERE by_country.country = 'DE'
  1 columns, keys []
  public.customers",
    );
    check(
        "SELECT email FROM newest",
        "SELECT newest.email, newest.pk_k1 AS pk_k2 FROM (SELECT customers.id AS id, customers.email AS email, customers.id AS pk_k1 FROM <public.customers b> customers ORDER BY customers.created_at DESC LIMIT 10) newest(id, email)
  1 columns, keys [0]
  public.customers set 0 clear email",
    );
    check(
        "SELECT id, email FROM shared",
        "SELECT shared.id, shared.email, shared.pk_k1 AS pk_k4, shared.pk_k3 AS pk_k5 FROM (SELECT customers.id AS id, customers.email AS email, customers.id AS pk_k1, NULL::bigint AS pk_k3 FROM <public.customers b> customers WHERE customers.country = 'DE'::pg_catalog.text UNION ALL SELECT tickets.customer_id AS id, tickets.number AS email, NULL::bigint, tickets.customer_id AS pk_k2 FROM <public.tickets b> tickets) shared(id, email)
  2 columns, keys [0 1]
  public.customers set 0 clear email
  public.tickets set 0 clear number",
    );
    check(
        "SELECT name, mail FROM overview",
        "SELECT overview.name, overview.mail, overview.pk_k2 AS pk_k4, overview.pk_k3 AS pk_k5 FROM (WITH open AS (SELECT tickets.customer_id AS customer_id, tickets.customer_id AS pk_k1 FROM <public.tickets b> tickets WHERE tickets.status = 'open'::pg_catalog.text) SELECT c.id AS id, c.name AS name, c.email AS email, c.phone AS phone, c.born AS born, c.balance AS balance, c.tags AS tags, c.level AS level, c.nick AS nick, c.meta AS meta, c.country AS country, c.created_at AS created_at, pg_catalog.lower(c.email) AS mail, c.id AS pk_k2, open.pk_k1 AS pk_k3 FROM <public.customers b> c JOIN open ON open.customer_id = c.id) overview(id, name, email, phone, born, balance, tags, level, nick, meta, country, created_at, mail)
  2 columns, keys [1 0]
  public.tickets
  public.customers set 0 clear name email",
    );
    check("SELECT name FROM cheap", "plain SELECT cheap.name FROM public.cheap");
    check(
        "WITH customers AS (SELECT 1) SELECT name FROM directory, customers",
        r#"WITH customers AS (SELECT 1 AS "?column?") SELECT directory.name, directory.pk_k1 AS pk_k2 FROM (SELECT customers.id AS id, customers.name AS name, customers.id AS pk_k1 FROM <public.customers b> customers) directory(id, name), customers
  1 columns, keys [0]
  public.customers set 0 clear name"#,
    );
    check(
        "SELECT count(*) FROM directory",
        "SELECT pg_catalog.count(*) FROM (SELECT customers.id AS id, customers.name AS name, customers.id AS pk_k1 FROM <public.customers b> customers) directory(id, name)
  1 columns, keys []
  public.customers",
    );
    check(
        "SELECT p.id FROM products p WHERE EXISTS (SELECT 1 FROM own_directory WHERE status = 'open')",
        r#"SELECT p.id FROM public.products p WHERE EXISTS (SELECT 1 AS "?column?" FROM (SELECT d.id AS id, d.name AS name, c.email AS email, t.status AS status FROM (SELECT customers.id AS id, customers.name AS name FROM <public.customers b> customers) d(id, name) JOIN <public.customers b> c ON c.id = d.id LEFT JOIN <public.tickets b> t ON t.customer_id = c.id) own_directory(id, name, email, status) WHERE own_directory.status = 'open')
  1 columns, keys []
  public.customers
  public.customers
  public.tickets"#,
    );
}

#[test]
fn a_lookup_goes_through_what_only_selects_and_joins() {
    check(
        "SELECT name FROM own_directory WHERE email = 'a@b.c' AND status = 'open'",
        r#"SELECT own_directory.name, own_directory.pk_k2 AS pk_k5, own_directory.pk_k3 AS pk_k6, own_directory.pk_k4 AS pk_k7 FROM (SELECT d.id AS id, d.name AS name, c.email AS email, t.status AS status, d.pk_k1 AS pk_k2, c.id AS pk_k3, t.customer_id AS pk_k4 FROM (SELECT customers.id AS id, customers.name AS name, customers.id AS pk_k1 FROM <public.customers b> customers) d(id, name) JOIN <public.customers b WHERE b.email OPERATOR(pg_catalog.=) 'a@b.c'::pg_catalog.text> c ON c.id = d.id LEFT JOIN <public.tickets b> t ON t.customer_id = c.id) own_directory(id, name, email, status) WHERE own_directory.status = 'open'
  1 columns, keys [0 1 2]
  public.customers set 0 clear name
  public.customers
  public.tickets
  lookup public.customers.email = "a@b.c""#,
    );
    check(
        "SELECT s.id FROM (SELECT c.id, c.email AS mail FROM customers c WHERE country = 'DE') s WHERE s.mail = $1",
        "SELECT s.id, s.pk_k1 AS pk_k2 FROM (SELECT c.id AS id, c.email AS mail, c.id AS pk_k1 FROM <public.customers b WHERE b.email OPERATOR(pg_catalog.=) $1::pg_catalog.text> c WHERE c.country = 'DE') s
  1 columns, keys [0]
  public.customers
  lookup public.customers.email = $1",
    );
    // Otherwise the mask is compared: the tenth, the union, the other side of an outer join.
    check(
        "SELECT id FROM newest WHERE email = 'a@b.c'",
        "SELECT newest.id, newest.pk_k1 AS pk_k2 FROM (SELECT customers.id AS id, customers.email AS email, customers.id AS pk_k1 FROM <public.customers b> customers ORDER BY customers.created_at DESC LIMIT 10) newest(id, email) WHERE newest.email = 'a@b.c'
  1 columns, keys [0]
  public.customers",
    );
    check(
        "SELECT id FROM shared WHERE email = 'a@b.c'",
        "SELECT shared.id, shared.pk_k1 AS pk_k4, shared.pk_k3 AS pk_k5 FROM (SELECT customers.id AS id, customers.email AS email, customers.id AS pk_k1, NULL::bigint AS pk_k3 FROM <public.customers b> customers WHERE customers.country = 'DE'::pg_catalog.text UNION ALL SELECT tickets.customer_id AS id, tickets.number AS email, NULL::bigint, tickets.customer_id AS pk_k2 FROM <public.tickets b> tickets) shared(id, email) WHERE shared.email = 'a@b.c'
  1 columns, keys [0 1]
  public.customers
  public.tickets",
    );
    check(
        "SELECT p.id FROM products p LEFT JOIN own_directory d ON d.id = p.id WHERE d.email = 'a@b.c'",
        "SELECT p.id, d.pk_k2 AS pk_k5, d.pk_k3 AS pk_k6, d.pk_k4 AS pk_k7 FROM public.products p LEFT JOIN (SELECT d.id AS id, d.name AS name, c.email AS email, t.status AS status, d.pk_k1 AS pk_k2, c.id AS pk_k3, t.customer_id AS pk_k4 FROM (SELECT customers.id AS id, customers.name AS name, customers.id AS pk_k1 FROM <public.customers b> customers) d(id, name) JOIN <public.customers b> c ON c.id = d.id LEFT JOIN <public.tickets b> t ON t.customer_id = c.id) d(id, name, email, status) ON d.id = p.id WHERE d.email = 'a@b.c'
  1 columns, keys [0 1 2]
  public.customers
  public.customers
  public.tickets",
    );
    check(
        "WITH a AS (SELECT id, email FROM customers) SELECT x.id, y.id FROM a x, a y WHERE x.email = 'a@b.c'",
        "WITH a AS (SELECT customers.id AS id, customers.email AS email, customers.id AS pk_k1 FROM <public.customers b> customers) SELECT x.id, y.id, x.pk_k1 AS pk_k2, y.pk_k1 AS pk_k3 FROM a x, a y WHERE x.email = 'a@b.c'
  2 columns, keys [0 0]
  public.customers",
    );
    check(
        "SELECT id FROM (SELECT id, email, row_number() OVER (ORDER BY id) AS r FROM customers) s WHERE email = 'a@b.c'",
        "SELECT s.id, s.pk_k1 AS pk_k2 FROM (SELECT customers.id AS id, customers.email AS email, pg_catalog.row_number() OVER (ORDER BY customers.id) AS r, customers.id AS pk_k1 FROM <public.customers b> customers) s WHERE s.email = 'a@b.c'
  1 columns, keys [0]
  public.customers",
    );
    refused(
        "lookup",
        &[
            "SELECT count(*) FROM own_directory WHERE email = 'a@b.c' HAVING true",
            "SELECT 1 WHERE EXISTS (SELECT 1 FROM own_directory WHERE email = 'a@b.c')",
            "SELECT a.id FROM own_directory a, own_directory b WHERE a.email = 'a' AND b.email = 'b'",
        ],
    );
}

#[test]
fn what_a_view_can_not_be_is_refused_by_name() {
    refused(
        "unaccounted",
        &["SELECT * FROM names_only", "SELECT string_agg(name, ',') FROM directory"],
    );
    refused("function", &["SELECT * FROM peeking_at_customers"]);
    refused(
        "not_understood",
        &[
            "SELECT * FROM whole",
            "SELECT (d).name FROM directory d",
            "SELECT * FROM directory TABLESAMPLE SYSTEM (10)",
            "SELECT * FROM ONLY directory",
        ],
    );
    refused("protected_write", &["UPDATE directory SET name = 'x'", "DELETE FROM directory"]);
    refused("write", &["INSERT INTO products (id, name) SELECT id, name FROM directory"]);
    check("SELECT ctid FROM directory", "42703 unknown_column");
    check("SELECT directory.name FROM directory d", "42P01 unknown_relation");
    let refusal = refusal_of("SELECT * FROM names_only");
    assert!(refusal.message.starts_with("view `public.names_only` can't be used: "), "{refusal:?}");
    let refusal = refusal_of("SELECT * FROM of_a_copy");
    assert!(refusal.message.starts_with("view `public.of_a_copy` can't be used: "), "{refusal:?}");
}

#[test]
fn a_view_tells_its_own_columns_in_the_description() {
    let described = |sql: &str| {
        let path = names(&["public"]);
        let context = Context::new(&path, PREFIX);
        let statements = analyse(sql, &catalogue(), &rules(Mode::Restricted), context).unwrap();
        let Verdict::Guarded(guarded) = &statements[0].verdict else { panic!("{statements:?}") };
        let catalogue = catalogue();
        let name = |oid: u32| catalogue.relation(oid).unwrap().name.clone();
        let origins = guarded.origins.iter().map(|origin| {
            origin.map(|origin| format!("{}.{}", name(origin.table_oid), origin.attribute))
        });
        origins.map(|origin| origin.unwrap_or_default()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        described("SELECT s.email, status || '' FROM (SELECT * FROM own_directory) s"),
        "own_directory.3 "
    );
    assert_eq!(described("SELECT customers FROM by_country"), "by_country.2");
    assert_eq!(described("SELECT name FROM directory_of_directory"), "directory_of_directory.2");
    assert_eq!(described("SELECT s.email FROM (SELECT * FROM customers) s"), "customers.3");
}

#[test]
fn views_are_expanded_within_limits() {
    let json = include_str!("../fixture.json");
    let own = r#"" SELECT customers.id,\n    customers.name\n   FROM public.customers;""#;
    let with = |definition: &str| {
        assert!(json.contains(own));
        Catalogue::from_json(&json.replacen(own, definition, 1)).unwrap()
    };
    let verdict = |sql: &str, catalogue: &Catalogue| {
        let path = names(&["public"]);
        let context = Context::new(&path, PREFIX);
        match &analyse(sql, catalogue, &rules(Mode::Restricted), context).unwrap()[0].verdict {
            Verdict::Refused(refusal) => format!("{} {}", refusal.sqlstate, refusal.rule),
            Verdict::Guarded(_) => "guarded".to_owned(),
            other => format!("{other:?}"),
        }
    };
    // A view that reads itself can't be made, but nothing may hang on that.
    let itself = with(r#"" SELECT d.id, d.name FROM public.directory_of_directory d;""#);
    assert_eq!(verdict("SELECT * FROM directory", &itself), "54001 too_many");
    let deep = format!(
        r#"" SELECT customers.id, {}customers.name{} AS name FROM public.customers;""#,
        "lower(".repeat(20),
        ")".repeat(20)
    );
    assert_eq!(verdict("SELECT * FROM directory", &with(&deep)), "guarded");
    assert_eq!(verdict(r#"SELECT * FROM U&"d\0069rectory""#, &with(&deep)), "guarded");
    let none = with("null");
    assert_eq!(verdict("SELECT * FROM directory", &none), "42501 relation");
    let many: Vec<String> = (0..60).map(|n| format!("directory_of_directory d{n}")).collect();
    let many = format!("SELECT d0.id FROM {}", many.join(", "));
    assert_eq!(verdict(&many, &catalogue()), "54001 too_many");
    let reserved = with(r#"" SELECT customers.id, 'pk_h0' AS name FROM public.customers;""#);
    assert_eq!(verdict("SELECT * FROM directory", &reserved), "42501 reserved_name");
}

#[test]
fn a_copy_that_is_declared_is_a_table_of_its_own() {
    let mut declared = rules(Mode::Restricted);
    declared.tables.push(table("copies", "id", &[], Vec::new()));
    let path = names(&["public"]);
    let context = Context::new(&path, PREFIX);
    for sql in ["SELECT id, email FROM copies", "SELECT email FROM of_a_copy"] {
        let statements = analyse(sql, &catalogue(), &declared, context).unwrap();
        let Verdict::Guarded(guarded) = &statements[0].verdict else { panic!("{statements:?}") };
        assert_eq!(&*guarded.leaves[0].relation, "public.copies", "{sql}");
        assert_eq!(guarded.leaves[0].masked, ["email".into()], "{sql}");
        assert_eq!(guarded.keys.len(), 1, "{sql}");
    }
    let json = include_str!("../fixture.json");
    let foreign =
        json.replace(r#""name": "copies", "kind": "m""#, r#""name": "copies", "kind": "f""#);
    let foreign = Catalogue::from_json(&foreign).unwrap();
    let statements = analyse("SELECT email FROM copies", &foreign, &declared, context).unwrap();
    assert!(matches!(statements[0].verdict, Verdict::Guarded(_)), "{statements:?}");
}

#[test]
fn what_is_computed_of_a_protected_column_is_protected() {
    check(
        "SELECT plan, initial, label FROM people",
        "SELECT people.plan, people.initial, people.label, people.id AS pk_k1 FROM <public.people b> people
  3 columns, keys [0]
  public.people masked initial",
    );
    check(
        "SELECT count(*) FROM people WHERE initial = 'a'",
        "SELECT pg_catalog.count(*) FROM <public.people b> people WHERE people.initial = 'a'
  1 columns, keys []
  public.people",
    );
    refused("unaccounted", &["SELECT initial, count(*) FROM people GROUP BY initial"]);
}

#[test]
fn a_column_that_a_child_computes_is_protected_in_its_parent() {
    let json = include_str!("../fixture.json");
    let child = json.replace(r#"  "inherits": ["#, "  \"inherits\": [\n    [16540, 16427],");
    let oid = |name: &str| catalogue().relation_named("public", name).unwrap().oid;
    let child = child
        .replace("16540", &oid("people").to_string())
        .replace("16427", &oid("accounts").to_string())
        .replace(r#""name": "secret""#, r#""name": "initial""#);
    let catalogue = Catalogue::from_json(&child).unwrap();
    let mut rules = rules(Mode::Restricted);
    rules.tables.retain(|table| table.table != "people");
    let accounts = rules.tables.iter_mut().find(|table| table.table == "accounts").unwrap();
    accounts.clear = names(&["initial"]);
    let path = names(&["public"]);
    let context = Context::new(&path, PREFIX);
    let statements = analyse("SELECT initial FROM accounts", &catalogue, &rules, context).unwrap();
    // It would be masked, and has no mask, its type being a domain with a constraint.
    let Verdict::Refused(refusal) = &statements[0].verdict else { panic!("{statements:?}") };
    assert_eq!(refusal.rule, "no_mask");
}

#[test]
fn a_view_of_nothing_protected_is_judged_too() {
    check("SELECT name FROM of_cheap", "plain SELECT of_cheap.name FROM public.of_cheap");
    refused("function", &["SELECT * FROM exported", "TABLE exported_once"]);
    refused("not_understood", &["SELECT * FROM defaults"]);
}

/// As one that calls `random()` itself does.
#[test]
fn a_view_that_draws_is_known_to_have_drawn() {
    let json = include_str!("../fixture.json");
    let changed = json.replacen(
        "products.name\\n   FROM public.products\\n  WHERE (products.price < 100)",
        "random() AS name\\n   FROM public.products\\n  WHERE (products.price < 100)",
        1,
    );
    assert_ne!(json, changed, "the fixture has the view `cheap`");
    let draws = |json: &str, sql: &str| {
        let catalogue = Catalogue::from_json(json).unwrap();
        let path = names(&["public"]);
        let context = Context::new(&path, PREFIX);
        let judged = analyse(sql, &catalogue, &rules(Mode::Restricted), context).unwrap();
        match &judged[0].verdict {
            Verdict::Plain(plain) => plain.draws,
            verdict => panic!("{verdict:?}"),
        }
    };
    for sql in ["SELECT name FROM cheap", "COPY (SELECT name FROM cheap) TO STDOUT"] {
        assert!(draws(&changed, sql), "{sql}");
        assert!(!draws(json, sql), "{sql}");
    }
}
