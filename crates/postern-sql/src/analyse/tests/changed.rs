//! What a role that sees in clear what it may change sees of that, and how it chooses it.

use super::{Mode, analyse, catalogue, check, names, refused, rules};
use crate::{Context, Verdict};

/// Rules of a role that sees in clear of whatever record it may change.
fn rules_where_who_changes_sees() -> crate::Rules {
    let mut rules = rules(Mode::Restricted);
    for table in &mut rules.tables {
        table.update.iter_mut().for_each(|rule| {
            rule.reach = match rule.reach {
                crate::Reach::Keyed(_) => crate::Reach::Keyed(crate::KeySet(0)),
                crate::Reach::Own(_) => crate::Reach::Own(crate::KeySet(0)),
                other => other,
            };
        });
        if let crate::Reach::Keyed(_) = table.delete {
            table.delete = crate::Reach::Keyed(crate::KeySet(0));
        }
    }
    rules
}

/// What such a role's statement becomes, or the rule that refuses it.
fn told_who_sees(sql: &str) -> String {
    let path = names(&["public"]);
    let context = Context::new(&path, super::PREFIX);
    let rules = rules_where_who_changes_sees();
    let statements = analyse(sql, &catalogue(), &rules, context).unwrap();
    match &statements[0].verdict {
        Verdict::Refused(refusal) => refusal.rule.to_owned(),
        Verdict::Guarded(guarded) => super::written(guarded),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_comes_back_of_ones_own_records_is_shown() {
    assert_eq!(
        told_who_sees("UPDATE tickets SET body = 'x' WHERE id = 7 RETURNING id, body, upper(number) AS n"),
        "UPDATE public.tickets SET body = 'x' WHERE tickets.id = 7 AND tickets.customer_id OPERATOR(pg_catalog.=) ANY('{set0}'::bigint[]) RETURNING tickets.id, tickets.body, pg_catalog.upper(tickets.number) AS n, tickets.customer_id AS pk_k1
  3 columns, keys [0]
  public.tickets set 0 clear number body"
    );
    assert_eq!(
        told_who_sees("DELETE FROM tickets t USING products p WHERE t.id = p.id RETURNING t.body"),
        "DELETE FROM public.tickets t USING public.products p WHERE t.id = p.id AND t.customer_id OPERATOR(pg_catalog.=) ANY('{set0}'::bigint[]) AND t.assignee IS NOT NULL RETURNING t.body, t.customer_id AS pk_k1
  1 columns, keys [0]
  public.tickets set 0 clear body"
    );
    // What policy shows to nobody stays masked, and so does what decides which rows are touched.
    let masked =
        told_who_sees("UPDATE customers SET name = 'x' WHERE id = 7 RETURNING name, phone");
    assert!(masked.contains("customers.name, '***'::pg_catalog.text AS phone"), "{masked}");
    for sql in [
        "UPDATE tickets SET body = 'x' WHERE body LIKE 'a%' RETURNING body",
        "UPDATE tickets SET body = 'x' FROM products p WHERE p.name = body RETURNING body",
        "DELETE FROM tickets WHERE id = 7 AND length(body) > 3 RETURNING body",
        "UPDATE tickets SET status = 'open' WHERE id = 7 \
         RETURNING body, EXISTS (SELECT 1 FROM products p WHERE p.name = body)",
    ] {
        let told = told_who_sees(sql);
        assert!(told.contains("'***'::pg_catalog.text AS body"), "{told}");
        assert!(!told.contains("clear"), "{told}");
    }
    // A row that was taken is not the actor's own yet.
    let taken = told_who_sees(
        "UPDATE tickets SET assignee = 'ana' WHERE id = (SELECT id FROM tickets WHERE assignee \
         IS NULL ORDER BY number LIMIT 1) RETURNING body",
    );
    assert!(taken.contains("'***'::pg_catalog.text AS body"), "{taken}");
    // Who may change a record without seeing it sees no more of it.
    check(
        "UPDATE tickets SET body = 'x' WHERE id = 7 RETURNING body",
        "UPDATE public.tickets SET body = 'x' WHERE tickets.id = 7 AND tickets.customer_id OPERATOR(pg_catalog.=) ANY('{set1}'::bigint[]) RETURNING '***'::pg_catalog.text AS body, tickets.customer_id AS pk_k1
  1 columns, keys [0]
  public.tickets masked body",
    );
}

#[test]
fn several_columns_are_set_at_once() {
    let set = "UPDATE public.tickets SET status = 'pending', body = $1 WHERE tickets.id = 7";
    for sql in [
        "UPDATE tickets SET (status, body) = ('pending', $1) WHERE id = 7",
        "UPDATE tickets SET (status, body) = ROW ('pending', $1) WHERE id = 7",
    ] {
        let told = super::judged(sql, Mode::Restricted);
        assert!(told.starts_with(set), "{told}");
    }
    refused("masked_write", &["UPDATE tickets SET (status, body) = ('open', body || 'x')"]);
    refused("entitlement", &["UPDATE tickets SET (status, customer_id) = ('open', id)"]);
    refused(
        "not_understood",
        &[
            "UPDATE tickets SET (status, body) = (SELECT 'open', name FROM customers LIMIT 1)",
            "UPDATE tickets SET (status, body) = ROW (p.*) FROM products p",
            "UPDATE tickets SET (status, body) = ROW ('open')",
        ],
    );
}

#[test]
fn rows_to_change_are_chosen_among_ones_own() {
    check(
        "UPDATE tickets SET body = 'x' WHERE id IN (SELECT id FROM tickets WHERE status = 'open' \
         ORDER BY id LIMIT 5 FOR UPDATE SKIP LOCKED)",
        "UPDATE public.tickets SET body = 'x' WHERE tickets.customer_id OPERATOR(pg_catalog.=) ANY('{set1}'::bigint[]) AND tickets.id IN (SELECT tickets.id AS id FROM <public.tickets b WHERE b.customer_id OPERATOR(pg_catalog.=) ANY('{set1}'::bigint[])> tickets WHERE tickets.status = 'open' ORDER BY id LIMIT 5 FOR UPDATE SKIP LOCKED) RETURNING tickets.customer_id AS pk_k1
  0 columns, keys [0], silent
  public.tickets
  public.tickets",
    );
    // What makes a row one's own by a reason is asked of those that are chosen from, too.
    let own = super::judged(
        "UPDATE tickets t SET status = 'open' WHERE t.id = (SELECT id FROM tickets WHERE body = \
         'x' ORDER BY body, id LIMIT 1) RETURNING id",
        Mode::Restricted,
    );
    assert!(
        own.contains(
            "b.assignee::pg_catalog.text COLLATE pg_catalog.\"C\" OPERATOR(pg_catalog.=) \
             '{actor}'::pg_catalog.text AND b.status IN ('open', 'pending')"
        ),
        "{own}"
    );
    for sql in [
        "DELETE FROM tickets WHERE id IN (SELECT id FROM tickets ORDER BY id LIMIT $1)",
        "DELETE FROM tickets t WHERE (SELECT max.id FROM tickets max ORDER BY id LIMIT 1) = t.id",
        "UPDATE tickets SET body = 'x' WHERE id = 7 AND customer_id IN (SELECT customer_id FROM \
         tickets WHERE status = 'open' ORDER BY id OFFSET 1)",
    ] {
        let told = super::judged(sql, Mode::Restricted);
        assert!(told.matches("b.customer_id OPERATOR(pg_catalog.=) ANY").count() > 0, "{told}");
    }
    for from in [
        "WITH c AS (SELECT id FROM tickets WHERE status = 'open' ORDER BY id LIMIT 5) \
         UPDATE tickets SET body = 'x' FROM c WHERE c.id = tickets.id RETURNING tickets.id",
        "UPDATE tickets SET body = 'x' FROM (SELECT id FROM tickets LIMIT 5) AS c \
         WHERE tickets.id = c.id",
        "WITH c AS (SELECT id FROM tickets WHERE status = 'open') \
         UPDATE tickets SET body = 'x' FROM c WHERE tickets.id = c.id",
    ] {
        let told = super::judged(from, Mode::Restricted);
        assert!(told.contains("tickets.id IN (SELECT tickets.id AS id FROM <"), "{told}");
        assert!(!told.contains(" FROM c ") && !told.contains("FROM (SELECT id"), "{told}");
    }
    for from in [
        "WITH c AS (SELECT id FROM tickets LIMIT 5) UPDATE tickets SET body = 'x' FROM c WHERE \
         c.id = tickets.id RETURNING *",
        "WITH c AS (SELECT id FROM tickets LIMIT 5) UPDATE tickets SET body = 'x' FROM c WHERE \
         c.id = tickets.id AND c.id > 5",
        "WITH c AS (SELECT id FROM tickets LIMIT 5) UPDATE tickets SET body = 'x' FROM c WHERE \
         c.id = tickets.id RETURNING c.id",
        "WITH c AS (SELECT id FROM customers LIMIT 5) UPDATE tickets SET body = 'x' FROM c WHERE \
         c.id = tickets.customer_id",
    ] {
        let told = super::judged(from, Mode::Restricted);
        assert!(told.starts_with("42"), "{from}: {told}");
    }
    // It reads no other table, and nothing of the row around it; and another key is none.
    let others = [
        "SELECT id FROM tickets WHERE customer_id IN (SELECT id FROM customers) LIMIT 1",
        "SELECT x.id FROM tickets x, customers c WHERE c.id = x.customer_id LIMIT 1",
        "SELECT customer_id FROM tickets LIMIT 1",
        "SELECT id FROM customers LIMIT 1",
        "SELECT x.id FROM tickets x WHERE x.status = tickets.status LIMIT 1",
        "SELECT max(id) FROM tickets",
        "SELECT id FROM tickets WHERE number = 'TCK-7' LIMIT 1",
    ];
    for other in others {
        let sql = format!("UPDATE tickets SET body = 'x' WHERE id IN ({other})");
        let told = super::judged(&sql, Mode::Restricted);
        assert!(told.starts_with("42"), "{sql}: {told}");
    }
}

#[test]
fn what_was_changed_may_be_shown_by_a_select() {
    assert_eq!(
        told_who_sees(
            "WITH u AS (UPDATE tickets SET status = 'open' WHERE id = 7 RETURNING id, body) \
             SELECT x.id, upper(body) FROM u x ORDER BY x.id"
        ),
        "WITH u AS (UPDATE public.tickets SET status = 'open' WHERE tickets.id = 7 AND tickets.customer_id OPERATOR(pg_catalog.=) ANY('{set0}'::bigint[]) AND tickets.assignee::pg_catalog.text COLLATE pg_catalog.\"C\" OPERATOR(pg_catalog.=) '{actor}'::pg_catalog.text AND tickets.status IN ('open', 'pending') RETURNING tickets.id, tickets.body, tickets.customer_id AS pk_k1) SELECT x.id, pg_catalog.upper(x.body), x.pk_k1 AS pk_k2 FROM u x ORDER BY x.id
  2 columns, keys [0]
  public.tickets set 0 clear body"
    );
    // Folded, all of them are told.
    let counted =
        told_who_sees("WITH u AS (DELETE FROM tickets RETURNING 1) SELECT count(*) FROM u");
    assert!(counted.contains("string_agg(u.pk_k1::") && counted.contains("keys [0]"), "{counted}");
    let grouped = told_who_sees(
        "WITH u AS (DELETE FROM tickets RETURNING status) SELECT status, count(*) FROM u GROUP BY 1 \
         ORDER BY 2",
    );
    assert!(grouped.contains("string_agg(u.pk_k1::") && grouped.contains("keys [0]"), "{grouped}");
    let masked = told_who_sees(
        "WITH u AS (UPDATE tickets SET body = 'x' WHERE id = 7 RETURNING *) SELECT body, EXISTS \
         (SELECT 1 FROM products WHERE name = u.body) FROM u",
    );
    assert!(masked.contains("'***'::pg_catalog.text AS body"), "{masked}");
    assert!(masked.contains("masked body") && !masked.contains("clear"), "{masked}");
    // Whatever leaves one out, or gives none of them.
    let write = "WITH u AS (UPDATE tickets SET body = 'x' WHERE id = 7 RETURNING id, body)";
    for rest in [
        "SELECT 1",
        "SELECT id FROM u LIMIT 1",
        "SELECT id FROM u OFFSET 1",
        "SELECT id FROM u WHERE body LIKE 'a%'",
        "SELECT DISTINCT body FROM u",
        "SELECT count(*) FROM u HAVING count(*) > 1",
        "SELECT id, count(*) FROM u GROUP BY id HAVING count(*) > 1",
        "SELECT id, count(*) FROM u GROUP BY id LIMIT 1",
        "SELECT generate_series(1, 0) FROM u",
        "SELECT u.id FROM u JOIN products p ON p.id = u.id",
        "SELECT u.id, c.name FROM u JOIN customers c ON c.id = u.id",
        "SELECT id FROM (SELECT id FROM u LIMIT 1) s",
        "SELECT id FROM u UNION ALL SELECT id FROM products",
        "SELECT id FROM products WHERE id IN (SELECT id FROM u)",
        "SELECT id FROM u FOR UPDATE",
        "UPDATE products SET name = 'x' FROM u WHERE u.id = products.id",
        "INSERT INTO products (id, name) SELECT id, body FROM u",
    ] {
        let told = told_who_sees(&format!("{write} {rest}"));
        assert!(told == "protected_write" || told == "row_lock", "{rest}: {told}");
    }
    for sql in [
        "WITH u AS (UPDATE tickets SET body = 'x' RETURNING id), v AS (SELECT 1) SELECT id FROM u",
        "WITH u AS (UPDATE tickets SET body = 'x' RETURNING id), v AS (DELETE FROM tickets \
         RETURNING id) SELECT id FROM u",
        "WITH RECURSIVE u AS (UPDATE tickets SET body = 'x' RETURNING id) SELECT id FROM u",
        "WITH u AS (INSERT INTO tickets (customer_id) VALUES (5) RETURNING id) SELECT id FROM u",
    ] {
        assert_eq!(told_who_sees(sql), "protected_write", "{sql}");
    }
    let copied = "COPY (WITH u AS (UPDATE tickets SET body = 'x' RETURNING id) SELECT id FROM u) \
                  TO STDOUT";
    assert_eq!(told_who_sees(copied), "not_understood");
    let other = "WITH u AS (UPDATE tickets SET body = 'x' RETURNING id) \
                 SELECT id, (SELECT count(*) FROM customers) FROM u";
    assert_eq!(told_who_sees(other), "write");
}
