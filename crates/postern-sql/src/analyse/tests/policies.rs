//! Tables of which the server's own row-level security decides the rows.

use super::*;

/// A policy sees clear values: what a session can choose must not be compared with them.
#[test]
fn rows_that_a_policy_finds_by_a_guess_are_not_read() {
    let read = |sql: &str, table: &str, policy: serde_json::Value| {
        let mut fixture: serde_json::Value =
            serde_json::from_str(include_str!("../fixture.json")).unwrap();
        let relations = fixture["relations"].as_array_mut().unwrap();
        let named = |relation: &&mut serde_json::Value| {
            relation["schema"] == "public" && relation["name"] == table
        };
        relations.iter_mut().find(named).unwrap()["policies"] = serde_json::json!([policy]);
        let catalogue = Catalogue::from_json(&fixture.to_string()).unwrap();
        let path = names(&["public"]);
        let context = Context::new(&path, PREFIX);
        match &analyse(sql, &catalogue, &rules(Mode::Restricted), context).unwrap()[0].verdict {
            Verdict::Refused(refusal) => refusal.rule,
            _ => "allowed",
        }
    };
    let policy = |reads: &str, asks: bool, call: &str| serde_json::json!({"reads": [reads], "asks": asks, "calls": [call]});
    let phone = "16397.phone";
    let setting = "pg_catalog.current_setting";
    for sql in [
        "SELECT id FROM customers",
        "SELECT count(*) FROM directory",
        "UPDATE customers SET name = 'x' WHERE id = 1",
    ] {
        assert_eq!(read(sql, "customers", policy(phone, false, setting)), "row_security", "{sql}");
    }
    let sql = "SELECT id FROM customers";
    assert_eq!(read(sql, "customers", policy(phone, true, "public.vouched")), "row_security");
    assert_eq!(read(sql, "customers", policy(phone, false, "public.peek")), "row_security");
    // What it compares is known to nobody.
    assert_eq!(
        read(sql, "customers", policy("16397.country", false, "public.peek")),
        "row_security"
    );
    assert_eq!(
        read("SELECT name FROM products", "products", policy("16420.id", false, "public.peek")),
        "row_security"
    );
    // Of what may run, the administrator knows what it tells.
    assert_eq!(read(sql, "customers", policy(phone, false, "public.vouched")), "allowed");
    assert_eq!(read(sql, "customers", policy("16397.country", true, setting)), "allowed");
    assert_eq!(read(sql, "customers", policy("16397.id", false, setting)), "allowed");
    // What is written to an unprotected table, it compares as well.
    for sql in ["SELECT name FROM products", "INSERT INTO products (id, name) VALUES (1, 'x')"] {
        assert_eq!(read(sql, "products", policy(phone, true, "public.vouched")), "row_security");
    }
}
