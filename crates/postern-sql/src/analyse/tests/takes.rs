//! Taking from the queue.

use super::{check, refused};

#[test]
fn a_take_gets_the_next_row_of_the_queue() {
    check(
        "UPDATE tickets SET assignee = 'ana', status = 'pending' \
         WHERE id = (SELECT min(id) FROM tickets WHERE assignee IS NULL) AND assignee IS NULL",
        r#"UPDATE public.tickets SET assignee = 'ana', status = 'pending' WHERE tickets.id OPERATOR(pg_catalog.=) (SELECT q.id FROM public.tickets q WHERE q.assignee IS NULL AND q.status::pg_catalog.text COLLATE pg_catalog."C" OPERATOR(pg_catalog.=) ANY('{"open"}'::pg_catalog.text[]) ORDER BY q.number, q.id LIMIT 1 FOR UPDATE) AND tickets.assignee IS NULL RETURNING tickets.customer_id AS pk_k1
  0 columns, keys [0], silent
  public.tickets"#,
    );
    check(
        "UPDATE tickets t SET assignee = $1 WHERE t.id IN (SELECT id FROM public.tickets \
         WHERE assignee IS NULL AND status = 'open' ORDER BY number, id ASC LIMIT 1 \
         FOR UPDATE SKIP LOCKED) AND t.assignee IS NULL RETURNING *",
        r#"UPDATE public.tickets t SET assignee = $1 WHERE t.id OPERATOR(pg_catalog.=) (SELECT q.id FROM public.tickets q WHERE q.assignee IS NULL AND q.status::pg_catalog.text COLLATE pg_catalog."C" OPERATOR(pg_catalog.=) ANY('{"open"}'::pg_catalog.text[]) ORDER BY q.number, q.id LIMIT 1 FOR UPDATE) AND t.assignee IS NULL RETURNING t.id AS id, t.customer_id AS customer_id, '***'::pg_catalog.text AS number, '***'::pg_catalog.text AS body, t.status AS status, t.assignee AS assignee, t.opened_by AS opened_by, t.customer_id AS pk_k1
  7 columns, keys [0]
  public.tickets masked number body"#,
    );
}

/// Who is next would be chosen by whoever may write what says so.
#[test]
fn what_the_queue_is_ordered_by_is_not_changed_in_rows_that_wait() {
    let judged = |sql: &str| super::judged(sql, crate::Mode::Restricted);
    let waits_for_nobody = "tickets.assignee IS NOT NULL";
    assert!(judged("UPDATE tickets SET number = '1' WHERE id = 7").contains(waits_for_nobody));
    assert!(judged("UPDATE tickets SET (number, body) = ('1', 'x')").contains(waits_for_nobody));
    assert!(!judged("UPDATE tickets SET body = 'x' WHERE id = 7").contains("NULL"));
    // It is the actor's own.
    assert!(!judged("UPDATE tickets SET status = 'open' WHERE id = 7").contains("NULL"));
    let chosen = "UPDATE tickets t SET number = '1' WHERE id = (SELECT id FROM tickets LIMIT 1)";
    assert!(judged(chosen).contains("b.assignee IS NOT NULL"));
}

/// Queues of jobs are written so.
#[test]
fn a_take_may_pick_its_row_beside_it() {
    let pick = "SELECT id FROM tickets WHERE assignee IS NULL ORDER BY number LIMIT 1 \
                FOR UPDATE SKIP LOCKED";
    let within = super::judged(
        &format!("UPDATE tickets t SET assignee = 'ana' WHERE t.id = ({pick}) RETURNING t.id"),
        crate::Mode::Restricted,
    );
    assert!(within.starts_with("UPDATE public.tickets t SET assignee = 'ana' WHERE t.id"));
    for beside in [
        format!(
            "WITH n AS ({pick}) UPDATE tickets t SET assignee = 'ana' FROM n WHERE t.id = n.id"
        ),
        format!("UPDATE tickets t SET assignee = 'ana' FROM ({pick}) n WHERE n.id = t.id"),
        format!(
            "WITH q AS ({pick}) UPDATE tickets t SET assignee = 'ana' FROM q AS n \
             WHERE t.assignee IS NULL AND t.id = n.id"
        ),
    ] {
        check(&format!("{beside} RETURNING t.id"), &within);
    }
    let take = "UPDATE tickets t SET assignee = 'ana'";
    refused(
        "take",
        &[
            &format!("WITH n AS ({pick}) {take} FROM n WHERE t.id = n.id AND t.id = n.id"),
            &format!("WITH n AS ({pick}) {take} FROM n WHERE t.id = n.id OR t.id = 7"),
            &format!("WITH n AS ({pick}), m AS (SELECT 7) {take} FROM n WHERE t.id = n.id"),
            &format!("WITH n AS ({pick}) {take} FROM n, products p WHERE t.id = n.id"),
            &format!("WITH n AS (SELECT 7 AS id) {take} FROM n WHERE t.id = n.id"),
            &format!("WITH n(no) AS ({pick}) {take} FROM n WHERE t.id = n.no"),
            &format!("WITH n AS ({pick}) {take} FROM tickets n WHERE t.id = n.id"),
            &format!("{take} FROM ({pick}) n WHERE t.customer_id = n.id"),
        ],
    );
}

#[test]
fn a_take_does_not_choose() {
    let pick = "id = (SELECT id FROM tickets WHERE assignee IS NULL ORDER BY number LIMIT 1)";
    let of = |condition: &str| format!("UPDATE tickets SET assignee = 'ana' WHERE {condition}");
    for condition in [
        "id = 7".to_owned(),
        "id = 7 AND assignee IS NULL".to_owned(),
        "assignee IS NULL".to_owned(),
        "id = (SELECT min(id) FROM tickets)".to_owned(),
        "id = (SELECT max(id) FROM tickets WHERE assignee IS NULL)".to_owned(),
        "id = (SELECT min(id) FROM tickets WHERE assignee IS NULL AND customer_id = 5)".to_owned(),
        "id = (SELECT min(id) FROM tickets WHERE assignee IS NULL OR true)".to_owned(),
        "id = (SELECT min(id) FROM tickets WHERE assignee IS NULL AND status = 'closed')"
            .to_owned(),
        "id = (SELECT min(customer_id) FROM tickets WHERE assignee IS NULL)".to_owned(),
        "customer_id = (SELECT min(id) FROM tickets WHERE assignee IS NULL)".to_owned(),
        "id = (SELECT min(id) FROM products WHERE assignee IS NULL)".to_owned(),
        "id IN (SELECT id FROM tickets WHERE assignee IS NULL ORDER BY number LIMIT 2)".to_owned(),
        "id IN (SELECT id FROM tickets WHERE assignee IS NULL ORDER BY number LIMIT $1)".to_owned(),
        "id IN (SELECT id FROM tickets WHERE assignee IS NULL ORDER BY number DESC LIMIT 1)"
            .to_owned(),
        "id = (SELECT id FROM tickets WHERE assignee IS NULL ORDER BY body LIMIT 1)".to_owned(),
        "id = (SELECT id FROM tickets WHERE assignee IS NULL LIMIT 1)".to_owned(),
        "id = (SELECT id FROM tickets WHERE assignee IS NULL ORDER BY number LIMIT 1 OFFSET 3)"
            .to_owned(),
        format!("{pick} AND customer_id = 5"),
        format!("{pick} AND body LIKE 'a%'"),
        format!("{pick} OR id = 7"),
        format!("NOT {pick}"),
    ] {
        refused("take", &[&of(&condition)]);
    }
    refused(
        "take",
        &[
            "UPDATE tickets SET assignee = 'ana'",
            &format!("UPDATE tickets SET assignee = 'ana', body = 'x' WHERE {pick}"),
            &format!("UPDATE tickets SET assignee = 'ana', customer_id = 5 WHERE {pick}"),
            &format!("UPDATE ONLY tickets SET assignee = 'ana' WHERE {pick}"),
            &format!("UPDATE tickets SET assignee = 'ana' FROM products p WHERE {pick}"),
            &format!("WITH x AS (SELECT 1) UPDATE tickets SET assignee = 'ana' WHERE {pick}"),
        ],
    );
}

#[test]
fn a_take_is_for_oneself_and_sets_what_is_listed() {
    let take = |sets: &str| {
        format!(
            "UPDATE tickets SET {sets} WHERE id = \
             (SELECT min(id) FROM tickets WHERE assignee IS NULL)"
        )
    };
    for (sets, parameters, refused) in [
        ("assignee = 'ana'", &[][..], None),
        ("assignee = $1", &[Some("ana")], None),
        ("assignee = $1, status = $2", &[Some("ana"), Some("pending")], None),
        ("assignee = 'ben'", &[], Some("take")),
        ("assignee = $1", &[Some("ben")], Some("take")),
        ("assignee = $1", &[None], Some("take")),
        ("assignee = DEFAULT", &[], Some("take")),
        ("assignee = current_user", &[], None),
        ("assignee = session_user::text", &[], None),
        ("assignee = current_schema", &[], Some("take")),
        ("assignee = 'ana', status = current_user", &[], Some("take")),
        ("assignee = 'an' || 'a'", &[], Some("take")),
        ("assignee = 'ana', status = 'closed'", &[], Some("take")),
        ("assignee = $1, status = $2", &[Some("ana"), Some("closed")], Some("take")),
    ] {
        super::writes::runs(&take(sets), parameters, refused);
    }
}

/// A row that is picked beside the statement is looked for, whatever is set along with its actor.
#[test]
fn what_picks_its_row_beside_it_is_a_take() {
    for status in ["", ", status = 'pending'"] {
        let told = super::judged(
            &format!(
                "WITH next AS (SELECT id FROM tickets WHERE assignee IS NULL ORDER BY number \
                 LIMIT 1 FOR UPDATE SKIP LOCKED) UPDATE tickets t SET assignee = 'ana'{status} \
                 FROM next WHERE t.id = next.id RETURNING t.id"
            ),
            super::Mode::Restricted,
        );
        assert!(told.contains("FROM public.tickets q WHERE q.assignee IS NULL"), "{told}");
    }
}

/// Nobody gets a reason by it, and whoever gives it up has one.
#[test]
fn an_own_row_is_given_back_to_its_queue() {
    let judged = |sql: &str| super::judged(sql, crate::Mode::Restricted);
    let own = "tickets.customer_id OPERATOR(pg_catalog.=) ANY('{set1}'::bigint[]) AND \
               tickets.assignee::pg_catalog.text COLLATE pg_catalog.\"C\" \
               OPERATOR(pg_catalog.=) '{actor}'::pg_catalog.text AND tickets.status IN ('open', \
               'pending')";
    for sql in [
        "UPDATE tickets SET assignee = NULL WHERE id = 7",
        "UPDATE tickets SET assignee = NULL, body = 'x' WHERE id = 7 AND assignee = 'ana'",
        "UPDATE tickets SET assignee = NULL WHERE id IN (SELECT id FROM tickets LIMIT 5)",
    ] {
        let told = judged(sql);
        assert!(told.contains("assignee = NULL") && told.contains(own), "{sql}: {told}");
    }
    // Who opened it and whose it is may be given what they are, as before.
    for sql in [
        "UPDATE tickets SET assignee = NULL, opened_by = 'customer' WHERE id = 7",
        "UPDATE tickets SET assignee = NULL, customer_id = 8 WHERE id = 7",
    ] {
        let told = judged(sql);
        assert!(told.starts_with("42501") || told.contains("pk_same"), "{sql}: {told}");
    }
    for (sql, rule) in [
        ("UPDATE tickets SET assignee = 'ben' WHERE id = 7", "take"),
        (
            "UPDATE tickets SET assignee = NULL WHERE id = (SELECT min(id) FROM tickets WHERE \
             assignee IS NULL)",
            "unaccounted",
        ),
        ("UPDATE tickets SET customer_id = NULL WHERE id = 7", "entitlement"),
        ("UPDATE tickets SET assignee = nullif('a', 'a') WHERE id = 7", "take"),
        ("UPDATE tickets SET assignee = $1 WHERE id = 7", "take"),
    ] {
        assert_eq!(judged(sql), format!("42501 {rule}"), "{sql}");
    }
}
