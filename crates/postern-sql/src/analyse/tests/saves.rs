//! Records that are written back whole, as an ORM's `save()` does.

use super::{Mode, analyse, catalogue, check, names, refused, rules, writes::runs};
use crate::{Context, Reach, Verdict};

#[test]
fn what_can_not_be_changed_may_be_given_the_value_that_it_has() {
    check(
        "UPDATE tickets SET customer_id = $1, status = $2 WHERE id = $3",
        r#"UPDATE public.tickets SET customer_id = CASE WHEN tickets.customer_id::pg_catalog.text COLLATE pg_catalog."C" IS NOT DISTINCT FROM $1::bigint::pg_catalog.text COLLATE pg_catalog."C" THEN tickets.customer_id ELSE pg_catalog.current_setting('pk_same2')::bigint END, status = $2 WHERE tickets.id = $3 AND tickets.customer_id OPERATOR(pg_catalog.=) ANY('{set1}'::bigint[]) AND tickets.assignee::pg_catalog.text COLLATE pg_catalog."C" OPERATOR(pg_catalog.=) '{actor}'::pg_catalog.text AND tickets.status IN ('open', 'pending') RETURNING tickets.customer_id AS pk_k1
  0 columns, keys [0], silent
  public.tickets"#,
    );
    // Alone, by what is computed, or by a name of the queue's, it is refused as before.
    refused(
        "entitlement",
        &[
            "UPDATE tickets SET customer_id = 5",
            "UPDATE tickets SET customer_id = id, status = 'open'",
            "UPDATE tickets SET customer_id = DEFAULT, status = 'open'",
            "UPDATE tickets SET customer_id = 2 + 3, status = 'open'",
            "UPDATE tickets SET opened_by = now()::text, status = 'open'",
        ],
    );
}

#[test]
fn what_takes_and_what_writes_back_are_told_apart() {
    for sets in [
        "assignee = 'ana', status = 'open', customer_id = 5",
        "assignee = 'ana', status = 'closed'",
        "assignee = $1, status = $2, opened_by = $3",
        "assignee = 'ben', status = 'open', opened_by = 'ana'",
        "assignee = 'ana', status = 'pending'",
        "assignee = $1, status = $2",
    ] {
        runs(&format!("UPDATE tickets SET {sets} WHERE id = 7"), &[], None);
    }
    let pick = "id = (SELECT id FROM tickets WHERE assignee IS NULL ORDER BY number LIMIT 1)";
    refused(
        "take",
        &[
            "UPDATE tickets SET assignee = 'ana' WHERE id = 7",
            "UPDATE tickets SET assignee = 'ana', status = 'pending' WHERE assignee IS NULL",
            "UPDATE tickets SET assignee = 'ana', status = 'closed', customer_id = 5",
            "UPDATE tickets SET assignee = 'ana', status = 'closed', customer_id = 5 \
             WHERE id = 7 AND assignee IS NULL",
            &format!(
                "UPDATE tickets SET assignee = 'ana', customer_id = 5, status = 'closed' \
                      WHERE {pick}"
            ),
        ],
    );
}

/// A column that is protected and can't be changed is compared only in rows of which the actor sees
/// it, and then an entry says so.
#[test]
fn a_protected_value_is_compared_in_own_rows_only() {
    let path = names(&["public"]);
    let judged = |set: u8| {
        let mut rules = rules(Mode::Restricted);
        for table in &mut rules.tables {
            table.update.retain(|rule| rule.column != "number");
            let own = |reach| match reach {
                Reach::Keyed(_) => Reach::Keyed(crate::KeySet(set)),
                other => other,
            };
            table.update.iter_mut().for_each(|rule| rule.reach = own(rule.reach));
        }
        let sql = "UPDATE tickets SET number = 'TCK-7', body = 'x' WHERE id = 7";
        let context = Context::new(&path, super::PREFIX);
        let mut statements = analyse(sql, &catalogue(), &rules, context).unwrap();
        statements.remove(0).verdict
    };
    let Verdict::Guarded(guarded) = judged(0) else { panic!("it is refused") };
    assert_eq!(guarded.leaves[0].clear, [std::sync::Arc::from("number")]);
    assert_eq!(guarded.worked.len(), 1, "a failure names the column");
    let other = judged(1);
    assert!(
        matches!(&other, Verdict::Refused(refusal) if refusal.rule == "protected_write"),
        "{other:?}"
    );
}
