//! What `check-config --database` says of a database.

use crate::{raw::DATABASE, support::Support};

#[test]
fn what_is_masked_or_refused_against_expectation_is_told_with_its_remedy() {
    let support = Support::new();
    let objects = "
        ALTER TABLE customers ADD initial text GENERATED ALWAYS AS (upper(\"left\"(name, 1))) STORED,
            ADD tariff text GENERATED ALWAYS AS (upper(plan)) STORED,
            ADD domain text GENERATED ALWAYS AS (split_part(email, '@', 2)) STORED;
        CREATE VIEW directory AS SELECT id, plan FROM customers;
        CREATE VIEW mails AS SELECT count(DISTINCT email) FROM customers;
        CREATE MATERIALIZED VIEW copies AS SELECT id, email FROM customers;
        CREATE MATERIALIZED VIEW titles AS SELECT title FROM products;";
    support.postgres.psql_in(DATABASE, objects).unwrap();
    let listed = ["products", "copies", "directory", "customers", "gone"];
    let listed = listed.map(|name| format!("\"public.{name}\"")).join(", ");
    let configuration = support.configuration("");
    let configuration = configuration
        .replace("[upstream]", &format!("[upstream]\nunprotected = [{listed}]"))
        .replace("\"plan\"]", "\"plan\", \"domain\"]");
    support.configure(&configuration);

    let said = support.bench.run("check-config --database");
    assert_eq!(said.code, Some(0), "{said:#?}");
    insta::assert_snapshot!(said.stderr, @r#"
    warning: role `agent` has no budgets: nothing limits how much it reads
      ╭─[postern.toml:21:8]
     20 │ 
     21 │ [roles.agent]
      ·        ──┬──
      ·          ╰── here
     22 │ kind = "restricted"
      ╰────
    hint: add `budgets = [{ count = "clear_subjects", window = "1h", max = 100 }]`
    warning: column `initial` of `public.customers` is masked, and the configuration does not name it: it is computed from name
    hint: say what it holds, as `[tables.columns.initial]` with a `class`, so that a reason can show it
    warning: column `domain` of `public.customers` is masked, although it is listed as clear: it is computed from email
    hint: say what it holds, as `[tables.columns.domain]` with a `class`, so that a reason can show it
    warning: `unprotected` lists `public.copies`, which has no effect: it holds or has customers' records
    hint: remove the entry; a materialized view over customers' data is declared as a table
    warning: `unprotected` lists `public.directory`, which has no effect: it is a view over a protected table, whose definition is judged
    hint: remove the entry; a materialized view over customers' data is declared as a table
    warning: `unprotected` lists `public.customers`, which has no effect: it is protected, which goes first
    hint: remove the entry; a materialized view over customers' data is declared as a table
    warning: `unprotected` lists `public.gone`, and there is no such table
    hint: correct the name, or remove the entry
    warning: materialized view `public.copies` is refused to restricted roles, rule relation: relation `public.copies` can't be used by this role: it holds copies of a protected table's records
    hint: declare it under `[[tables]]`, with the column that holds the customer's key
    warning: materialized view `public.titles` is refused to restricted roles, rule relation: relation `public.titles` can't be used by this role: it is not listed as unprotected
    hint: select from the tables that it reads
    "#);
    let json = support.bench.run("check-config --database --json").yes();
    assert!(json.contains(r#""database":[{"message":"column `initial`"#), "{json}");
    let offline = support.bench.run("check-config --json").yes();
    assert!(!offline.contains("database\":"), "{offline}");
}
