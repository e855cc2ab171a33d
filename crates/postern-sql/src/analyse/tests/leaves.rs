use super::*;
use crate::{KeyType, LeafTexts};

/// The first leaf of a statement, as it is sent, and what comes behind it.
fn leaf(sql: &str, mode: Mode) -> String {
    let text = whole(sql, mode);
    text[text.find("(SELECT b.").unwrap()..].to_owned()
}

/// A statement, as it is sent.
fn whole(sql: &str, mode: Mode) -> String {
    let path = names(&["public"]);
    let context = Context::new(&path, PREFIX);
    let statements = analyse(sql, &catalogue(), &rules(mode), context).unwrap();
    let Verdict::Guarded(guarded) = &statements[0].verdict else {
        panic!("not guarded: {statements:?}");
    };
    guarded.sql.render_literal(|_| "{5,7}".to_owned())
}

#[test]
fn a_text_key_is_compared_byte_by_byte() {
    let mut by_number = rules(Mode::Restricted);
    by_number.tables.retain(|table| table.table == "tickets");
    by_number.tables[0].subject = "number".to_owned();
    let path = names(&["public"]);
    let context = Context::new(&path, PREFIX);
    let statements =
        analyse("SELECT body FROM tickets", &catalogue(), &by_number, context).unwrap();
    let Verdict::Guarded(guarded) = &statements[0].verdict else { panic!("{statements:?}") };
    let text = guarded.sql.render_literal(|_| "{A}".to_owned());
    let condition = "CASE WHEN b.number COLLATE pg_catalog.\"C\" OPERATOR(pg_catalog.=) ANY \
                     (SELECT k.k AS k FROM pg_catalog.unnest('{A}'::pg_catalog.text[]) k) THEN b.body";
    assert!(text.contains(condition), "{text}");
    let one = "SELECT body FROM tickets WHERE number = 'A'";
    let statements = analyse(one, &catalogue(), &by_number, context).unwrap();
    let Verdict::Guarded(guarded) = &statements[0].verdict else { panic!("{statements:?}") };
    let text = guarded.sql.render_literal(|_| "{A}".to_owned());
    let condition = "CASE WHEN b.number COLLATE pg_catalog.\"C\" OPERATOR(pg_catalog.=) \
                     ANY('{A}'::pg_catalog.text[]) THEN b.body";
    assert!(text.contains(condition), "{text}");
}

#[test]
fn an_own_clear_leaf_has_masks_of_each_columns_type() {
    let own = |column: &str, mask: &str| {
        format!(
            "CASE WHEN b.id OPERATOR(pg_catalog.=) ANY (SELECT k.k AS k FROM \
             pg_catalog.unnest('{{5,7}}'::bigint[]) k) THEN b.{column} ELSE '{mask} END AS {column}"
        )
    };
    let expected = [
        "(SELECT b.id AS id",
        &own("name", "***'::varchar(60)"),
        &own("email", "***@***'::pg_catalog.text"),
        "'***'::pg_catalog.text AS phone",
        "'1970-01-01'::pg_catalog.date AS born",
        "'0'::numeric(10",
        "2) AS balance",
        "'{}'::pg_catalog.text[] AS tags",
        "'bronze'::public.tier AS level",
        "b.nick AS nick",
        "'{}'::pg_catalog.jsonb AS meta",
        "b.country AS country",
        "b.created_at AS created_at FROM public.customers b) customers",
    ];
    assert_eq!(leaf("SELECT * FROM customers", Mode::Restricted), expected.join(", "));
}

#[test]
fn a_column_that_does_not_reach_the_result_is_masked() {
    let text = leaf("SELECT name FROM customers", Mode::Restricted);
    assert!(text.contains("THEN b.name ELSE"), "{text}");
    assert!(text.contains(", '***@***'::pg_catalog.text AS email,"), "{text}");
    // Without any such column there are no keys to send.
    let text = leaf("SELECT count(*) FROM customers", Mode::Restricted);
    assert!(text.ends_with(" FROM public.customers b) customers"), "{text}");
    assert!(!text.contains("b.name"), "{text}");
}

#[test]
fn few_records_are_told_by_an_array_and_many_by_a_hash() {
    const INLINE: &str = "CASE WHEN b.id OPERATOR(pg_catalog.=) ANY('{5,7}'::bigint[]) THEN";
    const ONCE: &str = "FROM public.customers b CROSS JOIN LATERAL (SELECT b.id \
                        OPERATOR(pg_catalog.=) ANY('{5,7}'::bigint[]) AS k OFFSET 0) k";
    const HASHED: &str = "CASE WHEN b.id OPERATOR(pg_catalog.=) ANY (SELECT k.k AS k FROM \
                          pg_catalog.unnest('{5,7}'::bigint[]) k) THEN";
    let form = |sql: &str| {
        let text = leaf(sql, Mode::Restricted);
        let found: Vec<&str> =
            [INLINE, ONCE, HASHED].into_iter().filter(|form| text.contains(form)).collect();
        assert_eq!(found.len(), 1, "{text}");
        found[0]
    };
    for few in ["id = 5", "id = $1", "5 = id AND country = 'DE'", "id IN (5, 6)", "email = 'x'"] {
        let from = format!("FROM customers WHERE {few}");
        assert_eq!(form(&format!("SELECT id, name {from}")), INLINE, "{few}");
        assert_eq!(form(&format!("SELECT id, name, email {from}")), ONCE, "{few}");
        // What can be held above the leaf is made where it is read.
        let derived = format!("SELECT name, email FROM (SELECT * FROM customers) c WHERE {few}");
        assert_eq!(form(&derived), INLINE, "{few}");
    }
    for many in ["id > 5", "id = 5 OR id > 7", "country = 'DE'", "NOT id = 5"] {
        assert_eq!(form(&format!("SELECT name FROM customers WHERE {many}")), HASHED, "{many}");
    }
    let list = vec!["5"; 21].join(", ");
    assert_eq!(form(&format!("SELECT name FROM customers WHERE id IN ({list})")), HASHED);
    assert_eq!(form("SELECT c.name FROM customers c JOIN products p ON p.id = c.id"), HASHED);
}

#[test]
fn what_can_be_held_is_made_where_it_is_read() {
    const MADE: &str = "b.tableoid AS tableoid FROM public.customers b) l ON true WHERE \
                        l.tableoid IS NOT NULL)";
    for held in [
        "SELECT c.name FROM customers c, products p",
        "SELECT c.name FROM customers c JOIN products p ON p.id = c.id",
        "SELECT name FROM customers ORDER BY country",
        "SELECT name FROM customers WHERE id IN (VALUES (1), (2))",
        "SELECT name FROM (SELECT * FROM customers) c",
        "WITH c AS (SELECT * FROM customers) SELECT name FROM c",
        "SELECT id, name FROM customers UNION ALL SELECT id, name FROM customers",
        "SELECT (SELECT c.name FROM customers c WHERE c.id = 5)",
        "SELECT id, name, row_number() OVER (PARTITION BY id) FROM customers",
        "SELECT id, name FROM customers GROUP BY id, name",
        "SELECT DISTINCT id, name FROM customers",
    ] {
        let told = whole(held, Mode::Restricted);
        assert!(told.contains(MADE), "{held}: {told}");
    }
    for alone in [
        "SELECT name FROM customers",
        "SELECT name FROM customers WHERE id = 5",
        "SELECT name FROM customers LIMIT 3",
        // Nothing is shown of anybody.
        "SELECT count(*) FROM customers c, products p",
    ] {
        let told = whole(alone, Mode::Restricted);
        assert!(!told.contains("tableoid"), "{alone}: {told}");
    }
    assert!(!whole("SELECT c.name FROM customers c, products p", Mode::Accounted).contains(MADE));
}

#[test]
fn a_spoiled_column_is_masked_for_all_keys() {
    let text = leaf("SELECT body, number FROM tickets WHERE body > 'a'", Mode::Restricted);
    assert!(text.contains(", '***'::pg_catalog.text AS body,"), "{text}");
    assert!(text.contains("THEN b.number ELSE"), "{text}");
}

#[test]
fn an_accounted_leaf_is_clear() {
    assert_eq!(
        leaf("SELECT body FROM tickets", Mode::Accounted),
        "(SELECT b.id AS id, b.customer_id AS customer_id, b.number AS number, b.body AS body, \
         b.status AS status, b.assignee AS assignee, b.opened_by AS opened_by FROM public.tickets b) tickets"
    );
}

#[test]
fn a_sample_moves_into_the_leaf() {
    let text = leaf("SELECT id FROM tickets TABLESAMPLE SYSTEM (1)", Mode::Accounted);
    assert!(text.ends_with(" FROM public.tickets b TABLESAMPLE system(1)) tickets"), "{text}");
}

#[test]
fn key_sets_are_literals_or_one_parameter_each() {
    let path = names(&["public"]);
    let context = Context::new(&path, PREFIX);
    let sql = "SELECT body, number FROM tickets WHERE id = $2";
    let statements = analyse(sql, &catalogue(), &rules(Mode::Restricted), context).unwrap();
    let Verdict::Guarded(guarded) = &statements[0].verdict else {
        panic!("not guarded: {statements:?}");
    };
    assert_eq!(guarded.client_parameters, 2);
    let (text, holes) = guarded.sql.render_parameters(guarded.client_parameters);
    assert_eq!(holes, [Hole::Keys(KeySet(0), KeyType::Int)]);
    assert_eq!(text.matches("ANY($3::bigint[])").count(), 1);
    assert!(!text.contains("pk_h"));
    let text = guarded.sql.render_literal(|_| "{'}".to_owned());
    assert_eq!(text.matches("ANY('{''}'::bigint[])").count(), 1);
}

#[test]
fn hidden_parameters_come_after_all_that_a_client_can_give() {
    let path = names(&["public"]);
    let context = Context::new(&path, PREFIX);
    for sql in [
        "SELECT email FROM customers WHERE EXISTS (SELECT 1 LIMIT $2::text::int8)",
        "SELECT email FROM customers WHERE id = 5 AND EXISTS (SELECT 1 FROM products LIMIT $2)",
    ] {
        let statements = analyse(sql, &catalogue(), &rules(Mode::Restricted), context).unwrap();
        let Verdict::Guarded(guarded) = &statements[0].verdict else { panic!("{statements:?}") };
        assert_eq!(guarded.client_parameters, 2, "{sql}");
    }
}

#[test]
fn what_is_remembered_of_leaves_changes_no_text() {
    let texts = LeafTexts::default();
    let (path, catalogue) = (names(&["public"]), catalogue());
    let fresh = Context::new(&path, PREFIX);
    let remembering = Context { leaf_texts: Some(&texts), ..fresh };
    // Leaves of one table that differ in their columns, key sets' places, looked-up values and
    // tables' forms, more than are remembered, each twice and in both orders.
    let mut statements: Vec<String> = ["id", "name", "email", "phone", "born", "balance", "tags"]
        .iter()
        .map(|column| format!("SELECT {column} FROM customers WHERE country = 'DE'"))
        .collect();
    for one in [
        "SELECT * FROM customers",
        "SELECT * FROM ONLY customers",
        "SELECT c.name, d.name FROM customers c JOIN customers d ON d.id = c.id",
        "SELECT t.body, c.name FROM tickets t JOIN customers c ON c.id = t.customer_id",
        "SELECT c.name, t.body FROM customers c JOIN tickets t ON c.id = t.customer_id",
        "SELECT name FROM customers c (a, b, name) WHERE email = 'one@example.com'",
        "SELECT name FROM customers WHERE email = 'one@example.com'",
        "SELECT name FROM customers WHERE email = 'two@example.com'",
        "SELECT name FROM customers WHERE email = $1",
    ] {
        statements.push(one.to_owned());
    }
    let again: Vec<String> = statements.iter().rev().cloned().collect();
    statements.extend(again);
    for mode in [Mode::Restricted, Mode::Accounted] {
        for sql in &statements {
            let rules = rules(mode);
            let remembered = analyse(sql, &catalogue, &rules, remembering).unwrap();
            assert_eq!(remembered, analyse(sql, &catalogue, &rules, fresh).unwrap(), "{sql}");
        }
    }
}
