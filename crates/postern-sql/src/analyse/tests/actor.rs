//! Who the session's user is.

use super::{Mode, analyse, catalogue, check, check_accounted, names, rules, writes::runs};
use crate::{Context, Hole, Verdict};

#[test]
fn the_sessions_user_is_the_actor() {
    let told = "SELECT '{actor}'::pg_catalog.name AS \"current_user\", '{actor}'::pg_catalog.name AS \"session_user\", '{actor}'::pg_catalog.name AS me
  3 columns, keys []";
    let sql = "SELECT current_user, session_user, user AS me";
    check(sql, told);
    check_accounted(sql, told);
    check(
        "SELECT id FROM tickets WHERE assignee = current_role",
        "SELECT tickets.id, tickets.customer_id AS pk_k1 FROM <public.tickets b> tickets WHERE tickets.assignee = '{actor}'::pg_catalog.name
  1 columns, keys [0]
  public.tickets",
    );
    check(
        "INSERT INTO products (id, name, price) VALUES (1, current_user, 2)",
        "INSERT INTO public.products (id, name, price) VALUES (1, '{actor}'::pg_catalog.name, 2)
  0 columns, keys []",
    );
}

/// The server knows one role, the gateway's: what is asked of that, it answers.
#[test]
fn what_the_server_is_asked_of_its_role_it_answers() {
    for sql in [
        "SELECT pg_catalog.has_table_privilege(CURRENT_USER, 'products', 'SELECT')",
        "SELECT rolname FROM pg_catalog.pg_roles WHERE rolname = CURRENT_USER",
        "SELECT CURRENT_USER, (SELECT count(*) FROM pg_catalog.pg_class)",
        "SELECT CURRENT_SCHEMA, CURRENT_CATALOG",
    ] {
        let path = names(&["public"]);
        let context = Context::new(&path, super::PREFIX);
        let statements = analyse(sql, &catalogue(), &rules(Mode::Restricted), context).unwrap();
        let Verdict::Plain(plain) = &statements[0].verdict else { panic!("{statements:?}") };
        assert!(plain.sql.to_uppercase().contains("CURRENT_"), "{}", plain.sql);
    }
}

/// Nothing is drawn anew, and no clock stands still, where nothing protected takes part.
#[test]
fn beside_the_actors_name_alone_nothing_is_changed() {
    check(
        "SELECT clock_timestamp(), current_user FROM products",
        "SELECT pg_catalog.clock_timestamp(), '{actor}'::pg_catalog.name AS \"current_user\" FROM public.products
  2 columns, keys []",
    );
    check(
        "SELECT random(), user",
        "SELECT pg_catalog.random(), '{actor}'::pg_catalog.name AS \"user\"
  2 columns, keys []",
    );
}

#[test]
fn a_new_row_is_given_to_whom_the_session_is() {
    let into = "INSERT INTO tickets (customer_id, assignee, opened_by)";
    runs(&format!("{into} VALUES (5, current_user, 'ana')"), &[], None);
    // Where it must be unique it is a search, as any other value.
    let path = names(&["public"]);
    let context = Context::new(&path, super::PREFIX);
    let sql = "UPDATE customers SET email = current_user WHERE id = 5";
    let statements = analyse(sql, &catalogue(), &rules(Mode::Restricted), context).unwrap();
    let Verdict::Guarded(guarded) = &statements[0].verdict else { panic!("{statements:?}") };
    assert_eq!(guarded.lookups.len(), 1);
    assert_eq!(guarded.sql.render_parameters(0).1.first(), Some(&Hole::Actor));
}
