//! What the binary says would happen to somebody's SQL.

use crate::support::{MIA, Support};

#[test]
fn the_judgement_of_each_statement_is_told_with_its_reasons() {
    let support = Support::new();
    let explain = |arguments: &str, sql: &str| {
        support.bench.run_with(&format!("explain-policy --as {arguments} -"), sql)
    };

    let guarded = explain(&format!("{MIA} --sql"), "SELECT name, email FROM customers").yes();
    assert!(guarded.starts_with("as mia, role metered\n"), "{guarded}");
    for line in [
        "  public.customers: each row is recorded with its customer\n",
        "    name clear: for whom a reason holds now: assigned_ticket (strong), \
         assigned_ticket (weak)\n",
        "  counts in budget clear_subjects: 30 in 86400 s\n",
        "  sends   SELECT customers.name, customers.email, customers.id AS postern_k1 FROM (SELECT b.id AS id, ",
    ] {
        assert!(guarded.contains(line), "{line}{guarded}");
    }

    let spoiled = explain("ana", "SELECT id, name FROM customers WHERE name > 'b'").yes();
    assert!(spoiled.contains("    name masked: it is used where no row accounts"), "{spoiled}");
    let plain = explain("ana", "SELECT title FROM products").yes();
    assert!(plain.contains("statement 1: allowed; nothing protected takes part\n"), "{plain}");

    let refused = explain("ana", "SELECT 1; SELECT lo_get(1)");
    assert_eq!(refused.code, Some(1), "{refused:#?}");
    for line in [
        "statement 2: refused\n  rule    function (42501)\n",
        "  why     function `lo_get` is not allowed for this role: it is about large objects\n",
        "None of them runs",
    ] {
        assert!(refused.stdout.contains(line), "{line}{refused:#?}");
    }

    let json = explain("ana --json", "SELECT email FROM customers").yes();
    assert!(json.starts_with(r#"{"version":1,"actor":"ana","role":"agent","allowed":true,"#));
    assert!(json.contains(r#""verdict":"guarded""#), "{json}");
    assert_eq!(explain("ana", "SELEC 1").code, Some(1));
    assert_eq!(explain("nobody", "SELECT 1").code, Some(2));
    assert_eq!(support.bench.run("explain-policy -").code, Some(64));
    assert!(support.bench.run("ledger verify").code == Some(0));
}

const WRITING: &str = r#"
permit (principal, action == Action::"connect", resource);
permit (principal, action == Action::"see_clear", resource) when { context has reason };
permit (principal, action == Action::"update", resource) when { context has reason };
permit (principal, action == Action::"take", resource);
permit (principal, action == Action::"open_ticket", resource)
unless { context has reason && context.reason.grade == Grade::"strong" };
"#;

#[test]
fn what_may_be_written_is_told_of_a_write_that_runs_and_of_one_that_does_not() {
    let support = Support::new();
    std::fs::write(support.bench.path("policy.cedar"), WRITING).unwrap();
    let configuration = support.configuration("").replace(
        "[tables.columns.name]",
        "update = [\"name\"]\ndelete = \"allow\"\n[tables.columns.name]",
    );
    let tickets = "clear = [\"id\", \"customer_id\", \"assignee\", \"opened_by\", \"status\"]\n";
    let configuration = configuration.replace(
        tickets,
        &format!("{tickets}update_own = [\"status\"]\ninsert = \"allow\"\ninsert_columns = [\"customer_id\", \"assignee\"]\n"),
    );
    let take = "[reasons.take]\norder = [\"id\"]\npool = { status = [\"open\"] }\n";
    support.configure(&format!("{configuration}{take}"));
    let explain = |sql: &str| support.bench.run_with("explain-policy --as ana -", sql);

    insta::assert_snapshot!(explain("UPDATE customers SET name = 'A' WHERE id = 5").yes(), @r#"
    as ana, role agent

    statement 1: allowed; rewritten so that protected columns are masked where it reads
      to update public.customers, for this account:
        column name may be changed in rows of customers for whom one of these holds: assigned_ticket (strong), assigned_ticket (weak)
        no other column may be changed: none is listed under `update` or `update_own`
      public.customers: each row is recorded with its customer
    "#);
    insta::assert_snapshot!(explain("UPDATE customers SET email = 'a@b.c'").ended(1), @r#"
    as ana, role agent

    statement 1: refused
      rule    protected_write (42501)
      why     column `email` of `public.customers` can't be changed by this role
      instead leave the column out, or ask the administrator to list it under `update`
      to update public.customers, for this account:
        column name may be changed in rows of customers for whom one of these holds: assigned_ticket (strong), assigned_ticket (weak)
        no other column may be changed: none is listed under `update` or `update_own`
    "#);
    insta::assert_snapshot!(explain("DELETE FROM customers").ended(1), @r#"
    as ana, role agent

    statement 1: refused
      rule    protected_write (42501)
      why     `public.customers` is protected and can't be written this way
      instead change listed columns of your own customers' rows in a plain statement, take the next one of the queue, or use the workflow that the administrator set up
      to delete public.customers, for this account:
        no rows may be deleted: policy does not permit it to this account
    "#);
    insta::assert_snapshot!(explain("UPDATE tickets SET customer_id = 5").ended(1), @r#"
    as ana, role agent

    statement 1: refused
      rule    entitlement (42501)
      why     column `customer_id` of `public.tickets` decides who may see whom and can't be changed this way
      instead take the next one of the queue, or have the administrator's workflow do it
      to update public.tickets, for this account:
        column status may be changed in rows that are yours by every reason that reads it, of customers for whom one of these holds: assigned_ticket (strong), assigned_ticket (weak)
        no other column may be changed: none is listed under `update` or `update_own`
        the next row of a queue may be taken, by setting assignee to yourself: where status is open, in the order of id
    "#);
    insta::assert_snapshot!(explain("INSERT INTO tickets (customer_id) VALUES (5)").yes(), @r#"
    as ana, role agent

    statement 1: allowed; rewritten so that protected columns are masked where it reads
      to insert public.tickets, for this account:
        rows may be added by VALUES, with values for customer_id, assignee
        the reason that a new row makes, for yourself only: a weak one at most
      public.tickets: each row is recorded with its customer
    "#);
    insta::assert_snapshot!(explain("INSERT INTO customers (id) VALUES (5)").ended(1), @r#"
    as ana, role agent

    statement 1: refused
      rule    protected_write (42501)
      why     `public.customers` is protected and can't be written this way
      instead change listed columns of your own customers' rows in a plain statement, take the next one of the queue, or use the workflow that the administrator set up
      to insert public.customers, for this account:
        no rows may be added: the configuration does not allow it, see `insert`
    "#);
}
