//! Set operations that leave equal rows out, and DISTINCT over what a sub-select gives.

use super::{check, check_accounted, refused};

#[test]
fn rows_that_show_a_key_carry_it_through_a_union() {
    check(
        "SELECT id, status FROM tickets WHERE assignee = 'ana' \
         UNION SELECT id, status FROM tickets WHERE status = 'open' ORDER BY 1 LIMIT 5",
        "SELECT tickets.id, tickets.status, tickets.customer_id AS pk_k3, tickets.customer_id AS pk_k4 FROM <public.tickets b> tickets WHERE tickets.assignee = 'ana' UNION SELECT tickets.id, tickets.status, tickets.customer_id AS pk_k3, tickets.customer_id AS pk_k4 FROM <public.tickets b> tickets WHERE tickets.status = 'open' ORDER BY 1 LIMIT 5
  2 columns, keys [0 1]
  public.tickets
  public.tickets",
    );
    check(
        "SELECT id FROM customers WHERE country = 'DE' UNION SELECT customer_id FROM tickets",
        "SELECT customers.id, customers.id AS pk_k3, customers.id AS pk_k4 FROM <public.customers b> customers WHERE customers.country = 'DE' UNION SELECT tickets.customer_id, tickets.customer_id AS pk_k3, tickets.customer_id AS pk_k4 FROM <public.tickets b> tickets
  1 columns, keys [0 1]
  public.customers
  public.tickets",
    );
    // What is joined is of the same customer; a third arm is as the first two.
    check(
        "SELECT t.id FROM tickets t LEFT JOIN customers c ON c.id = t.customer_id \
         UNION SELECT id FROM tickets UNION SELECT id FROM tickets",
        "(SELECT t.id, t.customer_id AS pk_k8, t.customer_id AS pk_k9, t.customer_id AS pk_k10, t.customer_id AS pk_k11 FROM <public.tickets b> t LEFT JOIN <public.customers b> c ON c.id = t.customer_id UNION SELECT tickets.id, tickets.customer_id AS pk_k8, tickets.customer_id AS pk_k9, tickets.customer_id AS pk_k10, tickets.customer_id AS pk_k11 FROM <public.tickets b> tickets) UNION SELECT tickets.id, tickets.customer_id AS pk_k8, tickets.customer_id AS pk_k9, tickets.customer_id AS pk_k10, tickets.customer_id AS pk_k11 FROM <public.tickets b> tickets
  1 columns, keys [0 1 2 3]
  public.tickets
  public.customers
  public.tickets
  public.tickets",
    );
}

/// Which rows are equal tells of what is compared: it is masked, or, where nothing is, looked up.
#[test]
fn what_a_union_compares_is_masked() {
    check(
        "SELECT id, email FROM customers UNION SELECT id, name FROM customers",
        "SELECT customers.id, customers.email, customers.id AS pk_k3, customers.id AS pk_k4 FROM <public.customers b> customers UNION SELECT customers.id, customers.name, customers.id AS pk_k3, customers.id AS pk_k4 FROM <public.customers b> customers
  2 columns, keys [0 1]
  public.customers masked email
  public.customers masked name",
    );
    check_accounted(
        "SELECT id, email FROM customers UNION SELECT id, name FROM customers",
        "SELECT customers.id, customers.email, customers.id AS pk_k3, customers.id AS pk_k4 FROM <public.customers b> customers UNION SELECT customers.id, customers.name, customers.id AS pk_k3, customers.id AS pk_k4 FROM <public.customers b> customers ORDER BY 1, 2
  2 columns, keys [0 1]
  public.customers clear email
  public.customers clear name
  decided by public.customers.email
  decided by public.customers.name",
    );
}

#[test]
fn without_a_key_in_all_arms_rows_are_not_told() {
    refused(
        "unaccounted",
        &[
            "SELECT c.country, c.id FROM customers c UNION SELECT t.status, t.id FROM tickets t",
            "SELECT id FROM customers UNION SELECT id FROM tickets",
            "SELECT id, status FROM tickets UNION SELECT 1, 'x'",
            "SELECT id, status FROM tickets UNION VALUES (1, 'x')",
            "SELECT t.id FROM products p LEFT JOIN tickets t ON t.id = p.id \
             UNION SELECT id FROM tickets",
            "SELECT t.id FROM tickets t JOIN tickets o ON o.status = t.status \
             UNION SELECT id FROM tickets",
            "SELECT id + 0 FROM tickets UNION SELECT id FROM tickets",
            "SELECT DISTINCT id FROM tickets UNION SELECT id FROM tickets",
            "SELECT max(id) FROM tickets GROUP BY status UNION SELECT id FROM tickets",
            "WITH t AS (SELECT * FROM tickets) SELECT a.id FROM t a, t b UNION SELECT id FROM t",
            "SELECT id, status FROM tickets INTERSECT SELECT id, status FROM tickets",
            "SELECT id FROM tickets INTERSECT ALL SELECT id FROM tickets",
            "SELECT u.id FROM (SELECT id FROM tickets UNION SELECT id FROM tickets) u",
        ],
    );
    refused(
        "lookup",
        &["SELECT id FROM customers WHERE email = 'a@b.c' UNION SELECT id FROM customers"],
    );
}

/// As `IN` and `NOT IN` do.
#[test]
fn the_second_arm_of_except_is_seen_by_nobody() {
    check(
        "SELECT id FROM customers EXCEPT SELECT customer_id FROM tickets WHERE status = 'open'",
        "SELECT customers.id, customers.id AS pk_k3 FROM <public.customers b> customers EXCEPT SELECT tickets.customer_id, tickets.customer_id AS pk_k3 FROM <public.tickets b> tickets WHERE tickets.status = 'open'
  1 columns, keys [0]
  public.customers
  public.tickets",
    );
    refused(
        "folded_lookup",
        &[
            "SELECT id FROM customers EXCEPT SELECT customer_id FROM tickets WHERE id = 7",
            "SELECT id FROM customers INTERSECT SELECT customer_id FROM tickets WHERE id < 7",
        ],
    );
}

/// As TypeORM asks for a page of records with what is joined to them.
#[test]
fn different_rows_of_a_sub_select_are_told_by_its_primary_key() {
    check(
        "SELECT DISTINCT d.t_id, d.status FROM (SELECT t.id AS t_id, t.status, c.name \
         FROM tickets t LEFT JOIN customers c ON c.id = t.customer_id WHERE t.id = 7) d \
         ORDER BY d.status DESC, t_id LIMIT 10",
        "SELECT DISTINCT d.t_id, d.status, d.pk_k1 AS pk_k3, d.pk_k1 AS pk_k4 FROM (SELECT t.id AS t_id, t.status AS status, c.name AS name, t.customer_id AS pk_k1, c.id AS pk_k2 FROM <public.tickets b> t LEFT JOIN <public.customers b> c ON c.id = t.customer_id WHERE t.id = 7) d ORDER BY d.status DESC, t_id LIMIT 10
  2 columns, keys [0 1]
  public.tickets
  public.customers",
    );
    // A row may be without the record, or with several of another's.
    refused(
        "unaccounted",
        &["SELECT DISTINCT d.t_id FROM (SELECT c.id, t.id AS t_id FROM customers c \
             LEFT JOIN tickets t ON t.customer_id = c.id GROUP BY c.id, t.id) d"],
    );
    refused(
        "folded_lookup",
        &["SELECT DISTINCT d.t_id FROM (SELECT t.id AS t_id, o.status FROM tickets t \
           JOIN tickets o ON o.status = t.status WHERE o.id = 7) d"],
    );
}
