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

    let refused = explain("ana", "SELECT 1; SELECT pg_sleep(1)");
    assert_eq!(refused.code, Some(1), "{refused:#?}");
    for line in [
        "statement 2: refused\n  rule    function (42501)\n",
        "  why     function `pg_sleep` is not allowed for this role: it waits\n",
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
