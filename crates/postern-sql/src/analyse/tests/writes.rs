//! UPDATE, DELETE and INSERT of protected tables.

use super::{
    Mode, analyse, catalogue, check, check_accounted, judged, names, refusal_of, refused, rules,
};
use crate::{Catalogue, Context, Parameter, Verdict};

#[test]
fn rows_of_ones_own_customers_are_changed_where_they_stand() {
    check(
        "UPDATE customers SET phone = $1 WHERE id = $2",
        "UPDATE public.customers SET phone = $1 WHERE customers.id = $2 AND customers.id OPERATOR(pg_catalog.=) ANY('{set1}'::bigint[]) RETURNING customers.id AS pk_k1
  0 columns, keys [0], silent
  public.customers",
    );
    check(
        "UPDATE customers c SET country = upper(country), name = 'A' FROM products p \
         WHERE c.id = p.id AND p.name = 'x' AND c.name LIKE 'A%' RETURNING c.*, p.price",
        "UPDATE public.customers c SET country = pg_catalog.upper(c.country), name = 'A' FROM public.products p WHERE c.id = p.id AND p.name = 'x' AND '***'::varchar(60) LIKE 'A%' AND c.id OPERATOR(pg_catalog.=) ANY('{set1}'::bigint[]) RETURNING c.id AS id, '***'::varchar(60) AS name, '***@***'::pg_catalog.text AS email, '***'::pg_catalog.text AS phone, '1970-01-01'::pg_catalog.date AS born, '0'::numeric(10, 2) AS balance, '{}'::pg_catalog.text[] AS tags, 'bronze'::public.tier AS level, c.nick AS nick, '{}'::pg_catalog.jsonb AS meta, c.country AS country, c.created_at AS created_at, p.price, c.id AS pk_k1
  13 columns, keys [0]
  public.customers shown nick masked name email phone born balance tags level meta",
    );
    check(
        "UPDATE customers SET country = DEFAULT RETURNING *",
        "UPDATE public.customers SET country = DEFAULT WHERE customers.id OPERATOR(pg_catalog.=) ANY('{set1}'::bigint[]) RETURNING customers.id AS id, '***'::varchar(60) AS name, '***@***'::pg_catalog.text AS email, '***'::pg_catalog.text AS phone, '1970-01-01'::pg_catalog.date AS born, '0'::numeric(10, 2) AS balance, '{}'::pg_catalog.text[] AS tags, 'bronze'::public.tier AS level, customers.nick AS nick, '{}'::pg_catalog.jsonb AS meta, customers.country AS country, customers.created_at AS created_at, customers.id AS pk_k1
  12 columns, keys [0]
  public.customers shown nick masked name email phone born balance tags level meta",
    );
    check(
        "DELETE FROM tickets WHERE id = 7 RETURNING number, id",
        "DELETE FROM public.tickets WHERE tickets.id = 7 AND tickets.customer_id OPERATOR(pg_catalog.=) ANY('{set1}'::bigint[]) AND tickets.assignee IS NOT NULL RETURNING '***'::pg_catalog.text AS number, tickets.id, tickets.customer_id AS pk_k1
  2 columns, keys [0]
  public.tickets masked number",
    );
}

#[test]
fn a_column_is_written_once() {
    for sql in [
        "UPDATE customers SET name = 'a', country = 'b', name = 'c' WHERE id = 1",
        "INSERT INTO tickets (customer_id, status, customer_id) VALUES (1, 'open', 2)",
    ] {
        check(sql, "42701 duplicate_column");
    }
}

#[test]
fn what_a_condition_of_a_reason_reads_is_changed_in_ones_own_rows_only() {
    check(
        "UPDATE tickets SET status = 'pending' WHERE id = 7 AND assignee = 'ana'",
        r#"UPDATE public.tickets SET status = 'pending' WHERE tickets.id = 7 AND tickets.assignee = 'ana' AND tickets.customer_id OPERATOR(pg_catalog.=) ANY('{set1}'::bigint[]) AND tickets.assignee::pg_catalog.text COLLATE pg_catalog."C" OPERATOR(pg_catalog.=) '{actor}'::pg_catalog.text AND tickets.status IN ('open', 'pending') RETURNING tickets.customer_id AS pk_k1
  0 columns, keys [0], silent
  public.tickets"#,
    );
    check(
        "UPDATE tickets t SET status = $1, body = 'x' WHERE t.id = $2 RETURNING t.id, status AS s",
        r#"UPDATE public.tickets t SET status = $1, body = 'x' WHERE t.id = $2 AND t.customer_id OPERATOR(pg_catalog.=) ANY('{set1}'::bigint[]) AND t.assignee::pg_catalog.text COLLATE pg_catalog."C" OPERATOR(pg_catalog.=) '{actor}'::pg_catalog.text AND t.status IN ('open', 'pending') RETURNING t.id, t.status AS s, t.customer_id AS pk_k1
  2 columns, keys [0]
  public.tickets"#,
    );
}

/// A transaction that began while a reason held does not prolong it.
#[test]
fn a_condition_is_asked_as_of_the_present_moment() {
    let conditions = [
        (
            "status <> 'x' AND now() > statement_timestamp()",
            "pg_catalog.clock_timestamp() > pg_catalog.clock_timestamp()",
        ),
        (
            "status <> 'x' AND current_date < current_timestamp::date",
            "pg_catalog.clock_timestamp()::pg_catalog.date < pg_catalog.clock_timestamp()::pg_catalog.date",
        ),
    ];
    for (condition, asked) in conditions {
        let mut rules = rules(Mode::Restricted);
        let of_tickets = rules.tables.iter_mut().flat_map(|table| &mut table.reasons);
        of_tickets.for_each(|reason| reason.condition = condition.to_owned());
        let path = names(&["public"]);
        let context = Context::new(&path, super::PREFIX);
        let sql = "UPDATE tickets SET status = 'pending' WHERE id = 7 AND now() > $1";
        let statements = analyse(sql, &catalogue(), &rules, context).unwrap();
        let Verdict::Guarded(guarded) = &statements[0].verdict else { panic!("{statements:?}") };
        let sql = guarded.sql.render_literal(|_| "x");
        assert!(sql.contains(asked), "{sql}");
        assert!(sql.contains("pg_catalog.now() > $1"), "the client's own is left alone: {sql}");
    }
}

/// What comes of `sql` under a catalogue that differs in one place.
fn judged_under(change: (&str, &str), sql: &str) -> &'static str {
    let json = include_str!("../fixture.json");
    assert!(json.contains(change.0), "{}", change.0);
    let catalogue = Catalogue::from_json(&json.replacen(change.0, change.1, 1)).unwrap();
    let path = names(&["public"]);
    let context = Context::new(&path, super::PREFIX);
    let statements = analyse(sql, &catalogue, &rules(Mode::Restricted), context).unwrap();
    match &statements[0].verdict {
        Verdict::Refused(refusal) => refusal.rule,
        Verdict::Guarded(guarded) if guarded.lookups.is_empty() => "runs",
        Verdict::Guarded(_) => "looks up",
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_shows_in_a_column_is_kept_as_that_column_is() {
    // Whether a reason is strong hangs on who opened the ticket.
    let own = r#""number": 7, "name": "opened_by""#;
    let generated = r#""number": 7, "reads": ["body"], "name": "opened_by""#;
    let sql = "UPDATE tickets SET body = 'x' WHERE id = 7";
    assert_eq!(judged_under((own, own), sql), "runs");
    assert_eq!(judged_under((own, generated), sql), "entitlement");
}

#[test]
fn a_value_is_unique_if_what_is_generated_of_it_must_be() {
    let email = r#""number": 3, "name": "email""#;
    let generated = r#""number": 3, "reads": ["phone"], "name": "email""#;
    let sql = "UPDATE customers SET phone = '1' WHERE id = 5";
    assert_eq!(judged_under((email, email), sql), "runs");
    assert_eq!(judged_under((email, generated), sql), "looks up");
}

#[test]
fn a_protected_value_is_searched_for_once_by_comparing_or_storing() {
    check(
        "UPDATE customers SET name = 'x' WHERE email = 'a@b.c' AND id = 5",
        r#"UPDATE public.customers SET name = 'x' WHERE customers.id = 5 AND customers.email OPERATOR(pg_catalog.=) 'a@b.c'::pg_catalog.text AND customers.id OPERATOR(pg_catalog.=) ANY('{set1}'::bigint[]) RETURNING customers.id AS pk_k1
  0 columns, keys [0], silent
  public.customers
  lookup public.customers.email = "a@b.c""#,
    );
    check(
        "UPDATE customers SET email = 'a@b.c' WHERE id = 5",
        r#"UPDATE public.customers SET email = 'a@b.c' WHERE customers.id = 5 AND customers.id OPERATOR(pg_catalog.=) ANY('{set1}'::bigint[]) RETURNING customers.id AS pk_k1
  0 columns, keys [0], silent
  public.customers
  stored public.customers.email = "a@b.c""#,
    );
    refused(
        "lookup",
        &[
            "UPDATE customers SET email = 'a@b.c' WHERE phone = '1'",
            "UPDATE customers SET email = lower('A@b.c') WHERE id = 5",
            "UPDATE customers SET email = CASE id WHEN 1 THEN 'a@b' ELSE 'c@d' END",
            "UPDATE tickets SET number = (SELECT max(name) FROM products)",
            "INSERT INTO tickets (customer_id, number) VALUES (5, 'a'), (5, 'b')",
        ],
    );
}

#[test]
fn an_accounted_role_writes_what_it_sees() {
    check_accounted(
        "UPDATE customers SET phone = replace(phone, ' ', '') WHERE email LIKE 'a%'",
        "UPDATE public.customers SET phone = pg_catalog.replace(customers.phone, ' ', '') WHERE customers.email LIKE 'a%' RETURNING customers.id AS pk_k1
  0 columns, keys [0], silent
  public.customers clear phone
  decided by public.customers.email",
    );
    check_accounted(
        "DELETE FROM customers WHERE id = 5 RETURNING email",
        "DELETE FROM public.customers WHERE customers.id = 5 RETURNING customers.email, customers.id AS pk_k1
  1 columns, keys [0]
  public.customers clear email",
    );
    check_accounted(
        "UPDATE tickets SET assignee = 'ben', status = 'open' WHERE id = 7",
        "UPDATE public.tickets SET assignee = 'ben', status = 'open' WHERE tickets.id = 7 RETURNING tickets.customer_id AS pk_k1
  0 columns, keys [0], silent
  public.tickets",
    );
    check_accounted(
        "INSERT INTO tickets (customer_id, assignee, opened_by) VALUES (5, 'ben', 'customer')",
        "INSERT INTO public.tickets (customer_id, assignee, opened_by) VALUES (5, 'ben', 'customer') RETURNING tickets.customer_id AS pk_k1
  0 columns, keys [0], silent
  public.tickets",
    );
    check_accounted("UPDATE customers SET country = email", "42501 masked_write");
    check_accounted("UPDATE customers SET phone = email", "42501 masked_write");
}

#[test]
fn what_makes_somebody_entitled_is_not_changed() {
    refused(
        "entitlement",
        &[
            "UPDATE customers SET id = CASE id WHEN 329 THEN 900001 ELSE 329 END WHERE id IN (1, 2)",
            "UPDATE tickets SET customer_id = 13577 WHERE id = 7",
            "UPDATE tickets SET opened_by = 'customer' WHERE id = 7",
        ],
    );
}

/// Who may write what a reason's condition reads makes reasons.
#[test]
fn what_a_reasons_condition_reads_is_not_written_under_another_name() {
    let orders_are_products = "\"inherits\": [[16481, 16420],";
    let fixture = include_str!("../fixture.json");
    let inherits = fixture.replacen("\"inherits\": [", orders_are_products, 1);
    let catalogue = Catalogue::from_json(&inherits).unwrap();
    let mut rules = rules(Mode::Restricted);
    let path = names(&["public"]);
    let context = Context::new(&path, super::PREFIX);
    let mut is_written = |read: &[&str], table: &str| {
        rules.reason_names = names(read);
        let sql = format!("DELETE FROM {table}");
        let statements = analyse(&sql, &catalogue, &rules, context).unwrap();
        match &statements[0].verdict {
            Verdict::Refused(refusal) if refusal.rule == "write" => false,
            Verdict::Plain(_) => true,
            other => panic!("{other:?}"),
        }
    };
    for (read, table, expected) in [
        (&[][..], "products", true),
        (&["status", "agents"], "products", true),
        (&["products"], "products", false),
        (&["of_cheap"], "products", false),
        (&["products"], "orders", false),
        (&["cheap"], "orders", false),
        (&["orders"], "products", false),
    ] {
        assert_eq!(is_written(read, table), expected, "{table}, where {read:?} are read");
    }
}

#[test]
fn a_protected_table_is_written_in_plain_forms_only() {
    refused(
        "protected_write",
        &[
            "UPDATE customers SET created_at = now()",
            "UPDATE tickets SET id = 5",
            "DELETE FROM customers WHERE id = 5",
            "UPDATE accounts SET iban = 'x'",
            "UPDATE accounts_0 SET iban = 'x'",
            "INSERT INTO customers (id) VALUES (1)",
            "INSERT INTO tickets VALUES (1, 2, 'n', 'b', 's', 'a')",
            "INSERT INTO tickets DEFAULT VALUES",
            "INSERT INTO tickets (customer_id, body) SELECT id, email FROM customers",
            "INSERT INTO tickets (customer_id, body) VALUES (5, (SELECT max(name) FROM products))",
            "INSERT INTO tickets (customer_id, number) VALUES (5, 'a') ON CONFLICT (number) DO NOTHING",
            "INSERT INTO tickets (customer_id, number) VALUES (5, 'a') ON CONFLICT (number) DO UPDATE SET assignee = 'ana'",
            "WITH x AS (SELECT 1) INSERT INTO tickets (customer_id) VALUES (5)",
        ],
    );
    refused(
        "not_understood",
        &[
            "UPDATE tickets SET (number, body) = (SELECT name, name FROM products LIMIT 1)",
            "UPDATE tickets SET body[1] = 'x'",
            "UPDATE tickets SET nothing = 'x'",
            "UPDATE customers SET name = 'x' WHERE CURRENT OF c",
            "CREATE RULE r AS ON UPDATE TO products DO INSTEAD DELETE FROM tickets",
            "CREATE TRIGGER t AFTER INSERT ON tickets EXECUTE FUNCTION vouched()",
            "UPDATE tickets t SET body = 'x' WHERE t IS NOT NULL",
            "UPDATE tickets SET body = 'x' RETURNING tickets",
            "UPDATE tickets SET body = 'x' RETURNING (tickets).body",
            "UPDATE tickets SET body = 'x' RETURNING to_json(tickets)",
            "UPDATE tickets SET body = 'x' RETURNING count(tickets.*)",
        ],
    );
    refused("relation", &["DELETE FROM copies"]);
}

#[test]
fn a_write_reads_no_other_protected_rows() {
    refused(
        "write",
        &[
            "UPDATE tickets t SET body = c.country FROM customers c WHERE c.id = 5",
            "UPDATE products SET name = 'x' WHERE EXISTS (SELECT 1 FROM customers)",
            "DELETE FROM tickets USING customers c WHERE c.id = customer_id",
            "WITH x AS (SELECT id FROM customers) UPDATE tickets SET body = 'x'",
            "UPDATE tickets SET body = 'x' RETURNING (SELECT count(*) FROM customers)",
        ],
    );
}

/// As in a SELECT: of what is masked a condition meets the mask, and no record is singled out.
#[test]
fn what_is_changed_may_be_found_by_other_protected_rows() {
    let own = "AND tickets.customer_id OPERATOR(pg_catalog.=) ANY('{set1}'::bigint[])";
    for found in [
        "customer_id IN (SELECT id FROM customers WHERE country = 'DE')",
        "NOT EXISTS (SELECT 1 FROM customers c WHERE c.id = customer_id AND c.name = body)",
        "id IN (SELECT t.id FROM tickets t JOIN customers c ON c.id = t.customer_id)",
    ] {
        for what in ["UPDATE tickets SET body = 'x'", "DELETE FROM tickets"] {
            let told = judged(&format!("{what} WHERE {found}"), Mode::Restricted);
            assert!(told.contains(own) && told.contains("public.customers b>"), "{told}");
            assert!(!told.contains("body)"), "{told}");
        }
    }
    refused(
        "folded_lookup",
        &[
            "UPDATE tickets SET body = 'x' WHERE id IN (SELECT id FROM tickets WHERE id = 5)",
            "DELETE FROM tickets WHERE id IN (SELECT t.id FROM tickets t, products ORDER BY 1 LIMIT 1)",
        ],
    );
    for sql in [
        "DELETE FROM tickets WHERE customer_id IN (SELECT id FROM customers WHERE email = 'x')",
        "DELETE FROM tickets WHERE customer_id IN (SELECT id FROM customers WHERE name > 'x')",
        "DELETE FROM tickets WHERE EXISTS (SELECT 1 FROM customers c WHERE c.name = body)",
    ] {
        assert_eq!(judged(sql, Mode::Accounted), "42501 folded_lookup", "{sql}");
    }
}

#[test]
fn masked_values_are_not_stored() {
    refused(
        "masked_write",
        &[
            "UPDATE customers SET country = email WHERE id = 5",
            "UPDATE customers SET name = name || ' x' WHERE id = 5",
            "UPDATE tickets SET body = tickets.number",
            "UPDATE customers SET country = coalesce(country, phone)",
            "UPDATE customers SET country = (SELECT p.name || phone FROM products p)",
        ],
    );
    runs("UPDATE customers SET name = '***' WHERE id = 5", &[], Some("masked_write"));
    runs("UPDATE customers SET email = '***@***'::text WHERE id = 5", &[], Some("masked_write"));
    runs("UPDATE customers SET name = $1 WHERE id = 5", &[Some("***")], Some("masked_write"));
    runs("UPDATE customers SET name = $1 WHERE id = 5", &[Some("Ann")], None);
    runs("UPDATE customers SET name = NULL WHERE id = 5", &[], None);
    runs("INSERT INTO tickets (customer_id, body) VALUES (5, '***')", &[], Some("masked_write"));
}

#[test]
fn a_new_row_gives_a_weak_reason_to_its_maker_only() {
    let into = "INSERT INTO tickets (customer_id, assignee, opened_by)";
    for (values, parameters, refused) in [
        ("(5, 'ana', 'ana')", &[][..], None),
        ("(5, 'ben', 'ana')", &[], Some("entitlement")),
        ("(5, 'ana', 'customer')", &[], Some("entitlement")),
        ("(5, NULL, 'customer')", &[], Some("entitlement")),
        ("(5, NULL, NULL)", &[], None),
        ("(5, DEFAULT, DEFAULT)", &[], None),
        ("(5, 'ana', 'ana'), (6, 'ben', 'ana')", &[], Some("entitlement")),
        ("(5, $1, $2)", &[Some("ana"), Some("ana")], None),
        ("(5, $1, $2)", &[Some("ben"), Some("ana")], Some("entitlement")),
        ("(5, $1, $2)", &[Some("ana"), Some("customer")], Some("entitlement")),
        ("(5, $1, $2)", &[None, None], Some("entitlement")),
        ("(5, 'ana', $1)", &[None], None),
        ("(5, 'ana'::varchar, 'ana'::text)", &[], None),
        ("(5, 'ana'::bpchar, 'ana')", &[], Some("entitlement")),
        ("(5, 'ana', 'customer  '::bpchar)", &[], Some("entitlement")),
        ("(5, $1::text, 'ana')", &[Some("ana")], Some("entitlement")),
    ] {
        runs(&format!("{into} VALUES {values}"), parameters, refused);
    }
    refused("write", &["INSERT INTO tickets (customer_id, assignee, number) VALUES (5, $1, $1)"]);
}

/// What is too long for a column by its last blanks only is stored without them.
#[test]
fn what_the_server_cuts_off_makes_no_strong_reason_and_no_mask() {
    let text = "\"opened_by\", \"type\": 25, \"modifier\": -1";
    let eight = "\"opened_by\", \"type\": 1043, \"modifier\": 12";
    let fixture = include_str!("../fixture.json");
    let cut = Catalogue::from_json(&fixture.replace(text, eight)).unwrap();
    let into = "INSERT INTO tickets (customer_id, assignee, opened_by) VALUES (5, 'ana',";
    runs_over(&cut, &format!("{into} 'customer  ')"), &[], Some("entitlement"));
    runs_over(&cut, &format!("{into} $1)"), &[Some("customer ")], Some("entitlement"));
    runs_over(&cut, &format!("{into} $1)"), &[Some("an agent")], None);
    runs(&format!("{into} 'customer  ')"), &[], None);
    let name = "\"name\", \"type\": 1043, \"modifier\": 64";
    let three = "\"name\", \"type\": 1043, \"modifier\": 7";
    let cut = Catalogue::from_json(&fixture.replacen(name, three, 1)).unwrap();
    let asks_the_server = |catalogue: &Catalogue| {
        let (path, rules) = (names(&["public"]), rules(Mode::Restricted));
        let sql = "UPDATE customers SET name = '***  ' WHERE id = 5";
        let context = Context::new(&path, super::PREFIX);
        let statements = analyse(sql, catalogue, &rules, context).unwrap();
        let Verdict::Guarded(guarded) = &statements[0].verdict else { panic!("{statements:?}") };
        guarded.sql.render_literal(|_| "x").contains("pk_mask")
    };
    assert!(asks_the_server(&cut) && !asks_the_server(&catalogue()));
}

/// Whether an agent called ana may send the statement with these parameters.
#[track_caller]
pub(super) fn runs(sql: &str, parameters: &[Option<&str>], refused: Option<&str>) {
    runs_over(&catalogue(), sql, parameters, refused);
}

#[track_caller]
fn runs_over(catalogue: &Catalogue, sql: &str, parameters: &[Option<&str>], refused: Option<&str>) {
    let path = names(&["public"]);
    let context = Context::new(&path, super::PREFIX);
    let statements = analyse(sql, catalogue, &rules(Mode::Restricted), context).unwrap();
    let Verdict::Guarded(guarded) = &statements[0].verdict else { panic!("{statements:?}") };
    let parameters: Vec<Parameter<'_>> =
        parameters.iter().map(|value| Parameter { value: value.map(str::as_bytes) }).collect();
    let told = guarded.checks.run("ana", &parameters).err().map(|refusal| refusal.rule);
    assert_eq!(told, refused, "{sql}");
}

#[test]
fn a_refused_write_says_what_to_do_instead() {
    let hint = |sql| refusal_of(sql).hint;
    assert_eq!(
        hint("UPDATE customers SET country = email"),
        "they are masked here: write out the new value"
    );
    assert_eq!(
        hint("UPDATE tickets SET customer_id = 5"),
        "take the next one of the queue, or have the administrator's workflow do it"
    );
}

/// Where who may change a record may see it: no row that is touched is another's.
#[test]
fn a_value_of_the_actors_own_records_may_be_set_from_itself() {
    let mut rules = rules(Mode::Restricted);
    for table in &mut rules.tables {
        table.update.iter_mut().for_each(|rule| {
            if rule.reach == crate::Reach::Keyed(crate::KeySet(1)) {
                rule.reach = crate::Reach::Keyed(crate::KeySet(0));
            }
        });
    }
    let path = names(&["public"]);
    let told = |sql: &str| {
        let context = Context::new(&path, super::PREFIX);
        let statements = analyse(sql, &catalogue(), &rules, context).unwrap();
        match &statements[0].verdict {
            Verdict::Refused(refusal) => refusal.rule.to_owned(),
            Verdict::Guarded(guarded) => guarded.sql.render_literal(|_| "x"),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        told("UPDATE tickets SET body = body || ' noted' WHERE id = 7"),
        "UPDATE public.tickets SET body = tickets.body || ' noted' WHERE tickets.id = 7 \
         AND tickets.customer_id OPERATOR(pg_catalog.=) ANY('x'::bigint[]) \
         RETURNING tickets.customer_id AS pk_k1"
    );
    let context = Context::new(&path, super::PREFIX);
    let sql = "UPDATE tickets SET body = upper(body) WHERE id = 7";
    let statements = analyse(sql, &catalogue(), &rules, context).unwrap();
    let Verdict::Guarded(guarded) = &statements[0].verdict else { panic!("{statements:?}") };
    // It is recorded as shown: what it does tells of it.
    assert_eq!(guarded.leaves[0].clear, [std::sync::Arc::from("body")]);
    assert!(guarded.leaves[0].key_set.is_some());
    // What is asked of all rows, or shown, is masked still.
    let both = told("UPDATE tickets SET body = upper(body) WHERE body LIKE 'a%' RETURNING body");
    assert!(both.contains("WHERE '***' LIKE 'a%'") || both.contains("LIKE 'a%'"), "{both}");
    assert!(!both.contains("tickets.body LIKE"), "{both}");
    assert!(!both.contains("RETURNING tickets.body"), "{both}");
    for sql in [
        "UPDATE tickets SET body = number",
        "UPDATE tickets SET number = number || 'x'",
        "UPDATE customers SET country = name",
        "UPDATE customers SET name = email",
        "UPDATE customers SET phone = phone || '1'",
    ] {
        let rule = told(sql);
        assert!(rule == "masked_write" || rule == "lookup", "{sql}: {rule}");
    }
    check("UPDATE tickets SET body = body || ' noted' WHERE id = 7", "42501 masked_write");
}

/// Whether a row can be deleted, or its key be set, tells whether a protected value refers to it.
#[test]
fn a_key_that_protected_values_refer_to_is_no_oracle() {
    let json = include_str!("../fixture.json");
    let keys = "\"foreign_keys\": [";
    let referring = |column: i16| {
        let key = format!(
            "{keys} {{\"from\": 16406, \"to\": 16420, \"validated\": true, \"on_update\": \"a\", \
             \"on_delete\": \"a\", \"columns\": [{column}], \"targets\": [1]}},"
        );
        Catalogue::from_json(&json.replacen(keys, &key, 1)).unwrap()
    };
    let path = names(&["public"]);
    let told = |sql: &str, catalogue: &Catalogue, mode: Mode| {
        let context = Context::new(&path, super::PREFIX);
        let statements = analyse(sql, catalogue, &rules(mode), context).unwrap();
        !matches!(statements[0].verdict, Verdict::Refused(_))
    };
    // Tickets' bodies are protected, their states are not.
    let (body, status) = (referring(4), referring(5));
    for sql in [
        "DELETE FROM products WHERE id = 3",
        "UPDATE products SET id = 4 WHERE id = 3",
        "INSERT INTO products (id) VALUES (3) ON CONFLICT (id) DO UPDATE SET id = 4",
        "MERGE INTO products p USING (SELECT 3 AS id) s ON p.id = s.id WHEN MATCHED THEN DELETE",
        "SELECT id, xmax FROM products",
    ] {
        for mode in [Mode::Restricted, Mode::Accounted] {
            assert!(!told(sql, &body, mode), "{sql}");
            assert!(told(sql, &status, mode), "{sql}");
        }
    }
    assert!(told("UPDATE products SET price = 4 WHERE id = 3", &body, Mode::Restricted));
    for sql in [
        "ALTER TABLE products ALTER COLUMN id TYPE bigint",
        "DROP TABLE products",
        "ALTER TABLE products RENAME TO goods",
    ] {
        assert!(!told(sql, &body, Mode::Accounted), "{sql}");
        assert!(told(sql, &status, Mode::Accounted), "{sql}");
    }
    // What it is called in the meantime makes no difference, nor that it was altered.
    let text = "ALTER TABLE products ADD COLUMN z int; DELETE FROM products WHERE id = 3";
    let context = Context::new(&path, super::PREFIX);
    let cascades = json.replacen(
        "\"on_delete\": \"n\", \"columns\": [6], \"targets\": [1]",
        "\"on_delete\": \"n\", \"columns\": [6], \"targets\": [1]}, {\"from\": 16406, \"to\": 16420, \
         \"validated\": true, \"on_update\": \"a\", \"on_delete\": \"c\", \"columns\": [5], \"targets\": [1]",
        1,
    );
    assert_ne!(cascades, json);
    let catalogue = Catalogue::from_json(&cascades).unwrap();
    let statements = analyse(text, &catalogue, &rules(Mode::Accounted), context).unwrap();
    assert!(!matches!(statements[0].verdict, Verdict::Refused(_)));
    assert!(matches!(statements[1].verdict, Verdict::Refused(_)));
}

#[test]
fn what_is_joined_to_the_rows_that_are_changed_is_a_condition_on_them() {
    check(
        "UPDATE tickets t SET body = 'x' FROM customers c \
         WHERE c.id = t.customer_id AND c.country = 'DE' AND t.id = 7",
        "UPDATE public.tickets t SET body = 'x' WHERE t.id = 7 AND EXISTS (SELECT 1 AS \"?column?\" FROM <public.customers b> c WHERE c.id = t.customer_id AND c.country = 'DE') AND t.customer_id OPERATOR(pg_catalog.=) ANY('{set1}'::bigint[]) RETURNING t.customer_id AS pk_k1
  0 columns, keys [0], silent
  public.tickets
  public.customers",
    );
    check(
        "UPDATE tickets SET body = upper(assignee) FROM customers c CROSS JOIN products p \
         WHERE customer_id = c.id AND p.name = 'x' AND assignee = 'ana' RETURNING number",
        r#"UPDATE public.tickets SET body = pg_catalog.upper(tickets.assignee) WHERE tickets.assignee = 'ana' AND EXISTS (SELECT 1 AS "?column?" FROM <public.customers b> c CROSS JOIN public.products p WHERE tickets.customer_id = c.id AND p.name = 'x') AND tickets.customer_id OPERATOR(pg_catalog.=) ANY('{set1}'::bigint[]) AND CASE WHEN pg_catalog.upper(tickets.assignee)::pg_catalog.text::pg_catalog.text COLLATE pg_catalog."C" OPERATOR(pg_catalog.=) '***'::pg_catalog.text::pg_catalog.text COLLATE pg_catalog."C" THEN pg_catalog.current_setting('pk_mask4')::boolean ELSE 'true'::boolean END RETURNING '***'::pg_catalog.text AS number, tickets.customer_id AS pk_k1
  1 columns, keys [0]
  public.tickets masked number
  public.customers"#,
    );
}

#[test]
fn what_is_joined_stays_there_where_a_condition_would_not_be_the_same() {
    for (sql, rule) in [
        (
            "UPDATE tickets t SET body = c.country FROM customers c WHERE c.id = t.customer_id",
            "write",
        ),
        (
            "UPDATE tickets t SET body = 'x' FROM customers c WHERE c.id = t.customer_id \
             RETURNING c.country",
            "write",
        ),
        (
            "UPDATE tickets t SET body = 'x' FROM customers c WHERE c.id = t.customer_id RETURNING *",
            "write",
        ),
        // Both have an `id`.
        (
            "UPDATE tickets SET body = 'x' FROM customers c WHERE c.id = customer_id AND id = 7",
            "write",
        ),
        (
            "UPDATE tickets t SET body = (SELECT c.country) FROM customers c \
             WHERE c.id = t.customer_id",
            "write",
        ),
    ] {
        assert_eq!(refusal_of(sql).rule, rule, "{sql}");
    }
}

/// Whether a row may be there can hang on what it has in several columns, of which one is
/// protected: then each of them is searched by.
#[test]
fn what_is_stored_beside_a_protected_value_is_a_search() {
    let told_of = |collation: u32, sql: &str, columns: &[&str], keys: &[&str]| {
        let mut fixture: serde_json::Value =
            serde_json::from_str(include_str!("../fixture.json")).unwrap();
        let customers = &mut fixture["relations"][0];
        assert_eq!(customers["name"], "customers");
        customers["distinct"] = serde_json::json!([{"columns": columns, "keys": keys}]);
        customers["columns"][0]["collation"] = collation.into();
        let catalogue = Catalogue::from_json(&fixture.to_string()).unwrap();
        let path = names(&["public"]);
        let context = Context::new(&path, super::PREFIX);
        let statements = analyse(sql, &catalogue, &rules(Mode::Restricted), context).unwrap();
        let Verdict::Guarded(guarded) = &statements[0].verdict else { panic!("{statements:?}") };
        let lines = super::written(guarded);
        lines
            .lines()
            .filter_map(|line| line.strip_prefix("  stored "))
            .collect::<Vec<_>>()
            .join("\n")
    };
    let told = |sql: &str, columns: &[&str], keys: &[&str]| told_of(0, sql, columns, keys);
    let both = ["phone", "country"];
    let plain = "UPDATE customers SET country = 'DE' WHERE id = 1";
    assert_eq!(told(plain, &both, &both), "public.customers.country = \"DE\"");
    // In a condition of the index, or in an expression.
    assert_eq!(told(plain, &both, &["phone"]), "public.customers.country = \"DE\"");
    let computed = "UPDATE customers SET country = upper(country) WHERE id = 1";
    assert_eq!(told(computed, &both, &[]), "public.customers.country = \"\"");
    let bound = "UPDATE customers SET name = 'x', country = $1 WHERE id = 1";
    assert_eq!(told(bound, &both, &both), "public.customers.country = $1");
    let email = "UPDATE customers SET country = 'DE', email = 'x' WHERE id = 1";
    assert_eq!(told(email, &both, &both), "public.customers.email = \"x\"");
    let empty = "UPDATE customers SET phone = NULL WHERE id = 1";
    assert_eq!(told(empty, &both, &both), "public.customers.phone = \"\"");
    // Nothing protected is looked at, or the same customer's only.
    assert_eq!(told(plain, &["country", "created_at"], &[]), "");
    let own = ["id", "phone", "country"];
    assert_eq!(told(plain, &own, &own), "");
    assert_eq!(told_of(16999, plain, &own, &own), "public.customers.country = \"DE\"");
    assert_eq!(told("UPDATE customers SET name = 'x' WHERE id = 1", &both, &both), "");
}

/// The same of a protected table's own columns, and of what setting them sets off.
#[test]
fn what_protected_values_refer_to_is_set_in_no_table() {
    let json = include_str!("../fixture.json");
    let keys = "\"foreign_keys\": [";
    let path = names(&["public"]);
    let allowed = |keys_of: &[(u32, u32, &str, i16, i16)], sql: &str, mode: Mode| {
        let added = keys_of.iter().map(|(from, to, action, column, target)| {
            format!(
                "{{\"from\": {from}, \"to\": {to}, \"validated\": true, \"on_update\": \"{action}\", \
                 \"on_delete\": \"a\", \"columns\": [{column}], \"targets\": [{target}]}},"
            )
        });
        let added = format!("{keys} {}", added.collect::<String>());
        let catalogue = Catalogue::from_json(&json.replacen(keys, &added, 1)).unwrap();
        let context = Context::new(&path, super::PREFIX);
        let statements = analyse(sql, &catalogue, &rules(mode), context).unwrap();
        !matches!(statements[0].verdict, Verdict::Refused(_))
    };
    const CUSTOMERS: u32 = 16397;
    const TICKETS: u32 = 16406;
    const PRODUCTS: u32 = 16420;
    const COUNTRY: i16 = 11;
    let sql = "UPDATE customers SET country = 'DE', name = 'x' WHERE id = 1";
    for mode in [Mode::Restricted, Mode::Accounted] {
        // Tickets' bodies are protected, their states are not.
        assert!(!allowed(&[(TICKETS, CUSTOMERS, "a", 4, COUNTRY)], sql, mode));
        assert!(allowed(&[(TICKETS, CUSTOMERS, "a", 5, COUNTRY)], sql, mode));
        assert!(allowed(
            &[(TICKETS, CUSTOMERS, "a", 4, COUNTRY)],
            "UPDATE customers SET name = 'x' WHERE id = 1",
            mode
        ));
        // By way of a table that is not protected.
        let step = (PRODUCTS, CUSTOMERS, "c", 2, COUNTRY);
        assert!(allowed(&[step], sql, mode));
        assert!(!allowed(&[step, (TICKETS, PRODUCTS, "c", 5, 2)], sql, mode));
    }
}
