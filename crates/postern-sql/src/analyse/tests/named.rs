//! Prepared statements and cursors in SQL, COPY and EXPLAIN.

use super::*;

#[test]
fn what_is_prepared_is_judged_as_any_statement() {
    check(
        "PREPARE p AS SELECT name FROM products",
        "p: prepare () as plain SELECT products.name FROM public.products",
    );
    check(
        "PREPARE p (bigint, tier, text[]) AS SELECT email FROM customers WHERE id = $1",
        "p: prepare (bigint, public.tier, pg_catalog.text[]) as SELECT customers.email, customers.id AS pk_k1 FROM <public.customers b> customers WHERE customers.id = $1
  1 columns, keys [0]
  public.customers set 0 clear email",
    );
    check("PREPARE p (varchar(3), \", 'x'::\") AS SELECT 1", "42501 type");
    check("EXECUTE p", "p: execute () []");
    check(
        "EXECUTE \"P\"(1, 'a''b', NULL, 1 + 2, 'x'::text)",
        "P: execute (1, 'a''b', NULL, 1 + 2, 'x'::pg_catalog.text) [Some(\"1\"), Some(\"a'b\"), Some(\"\"), None, Some(\"x\")]",
    );
    check("DEALLOCATE p", "p: deallocate");
    check("DEALLOCATE PREPARE p", "p: deallocate");
}

#[test]
fn nothing_protected_hides_in_what_is_prepared_or_passed() {
    refused("unaccounted", &["EXECUTE p((SELECT email FROM customers LIMIT 1))"]);
    refused("not_understood", &["EXECUTE p($1)", "CREATE TABLE x AS EXECUTE p"]);
    refused("function", &["EXECUTE p(peek('x'))", "EXECUTE p(pg_read_file('x'))"]);
    refused("type", &["PREPARE p (customers) AS SELECT 1", "PREPARE p (nowhere.t) AS SELECT 1"]);
    refused("reserved_name", &["PREPARE p AS SELECT 1 AS pk_k1", "EXECUTE p('pk_h0')"]);
    refused("protected_write", &["PREPARE p AS UPDATE customers SET name = 'x'"]);
}

#[test]
fn types_and_arguments_are_judged_as_one_list() {
    let list = |count: usize, item: &str| vec![item; count].join(", ");
    let prepare = |count: usize| format!("PREPARE p ({}) AS SELECT 1", list(count, "uuid"));
    let execute = |count: usize| format!("EXECUTE p({})", list(count, "7"));
    for sql in [prepare(10_001), execute(65_536)] {
        assert_eq!(judged(&sql, Mode::Restricted), "54023 too_many");
    }
    let types = list(2_000, "pg_catalog.uuid");
    check(&prepare(2_000), &format!("p: prepare ({types}) as plain SELECT 1"));
    let judged = judged(&execute(65_535), Mode::Restricted);
    assert!(judged.starts_with(&format!("p: execute ({}) [Some(", list(65_535, "7"))));
}

#[test]
fn a_cursor_is_judged_as_its_query() {
    check(
        "DECLARE c NO SCROLL CURSOR FOR SELECT email FROM customers",
        "c: declare NO SCROLL as SELECT customers.email, customers.id AS pk_k1 FROM <public.customers b> customers
  1 columns, keys [0]
  public.customers set 0 clear email",
    );
    check(
        "DECLARE \"C c\" INSENSITIVE SCROLL CURSOR WITHOUT HOLD FOR SELECT 1",
        "C c: declare INSENSITIVE SCROLL as plain SELECT 1",
    );
    check(
        "DECLARE c NO SCROLL CURSOR WITH HOLD FOR SELECT name FROM products",
        "c: declare NO SCROLL holding as plain SELECT products.name FROM public.products",
    );
    check("FETCH c", "c: fetch FORWARD 1 moves false");
    check("FETCH FORWARD 100 FROM \"C c\"", "C c: fetch FORWARD 100 moves false");
    check("FETCH ALL IN c", "c: fetch FORWARD ALL moves false");
    check("FETCH BACKWARD ALL c", "c: fetch BACKWARD ALL moves false");
    check("FETCH LAST c", "c: fetch ABSOLUTE -1 moves false jumps");
    check("MOVE RELATIVE -3 c", "c: fetch RELATIVE -3 moves true jumps");
    check("CLOSE c", "c: close");
}

#[test]
fn a_cursor_that_outlives_its_reasons_or_hides_its_keys_is_refused() {
    refused(
        "cursor",
        &[
            "DECLARE c CURSOR WITH HOLD FOR SELECT name FROM customers",
            "DECLARE c CURSOR WITH HOLD FOR SELECT count(*) FROM customers",
            "DECLARE c CURSOR WITH HOLD FOR SELECT name FROM directory",
            "DECLARE c CURSOR WITH HOLD FOR SELECT current_user",
            "DECLARE c CURSOR WITH HOLD FOR SELECT vouched('x')",
            "DECLARE c BINARY CURSOR FOR SELECT name FROM customers",
        ],
    );
    refused(
        "row_lock",
        &["DECLARE c CURSOR FOR SELECT id FROM (SELECT id FROM customers) s FOR UPDATE"],
    );
    refused("not_understood", &["UPDATE products SET price = 1 WHERE CURRENT OF c"]);
}

#[test]
fn a_protected_table_is_copied_as_a_select_of_its_columns() {
    check(
        "COPY (SELECT email FROM customers) TO STDOUT",
        "copy Text { delimiter: 9, null: \"\\\\N\", header: false } of SELECT customers.email, customers.id AS pk_k1 FROM <public.customers b> customers
  1 columns, keys [0]
  public.customers set 0 clear email",
    );
    check(
        "COPY public.customers (phone, id) TO STDOUT WITH (FORMAT csv, HEADER, FORCE_QUOTE *)",
        "copy (FORMAT csv, HEADER true, FORCE_QUOTE *) Csv { delimiter: 44, quote: 34, escape: 34, null: \"\", header: true } of SELECT customers.phone AS phone, customers.id AS id, customers.id AS pk_k1 FROM <ONLY public.customers b> customers
  2 columns, keys [0]
  public.customers masked phone",
    );
    check_accounted(
        "COPY BINARY customers (name) TO STDOUT",
        "copy (FORMAT binary) Binary of SELECT customers.name AS name, customers.id AS pk_k1 FROM <ONLY public.customers b> customers
  1 columns, keys [0]
  public.customers clear name",
    );
}

#[test]
fn what_is_not_protected_is_copied_both_ways() {
    check(
        "COPY products (id, name) TO STDOUT DELIMITER '|' NULL '-'",
        "plain COPY \"public\".\"products\" (\"id\", \"name\") TO STDOUT (DELIMITER '|', NULL '-')",
    );
    check(
        "COPY (SELECT 1) TO STDOUT (FORMAT csv, FORCE_QUOTE (\"a b\"))",
        "plain COPY (SELECT 1) TO STDOUT (FORMAT csv, FORCE_QUOTE (\"a b\"))",
    );
    check(
        "COPY products FROM STDIN CSV HEADER",
        "plain COPY \"public\".\"products\" FROM STDIN (FORMAT csv, HEADER true)",
    );
}

#[test]
fn no_copy_reads_or_writes_what_the_client_may_not() {
    refused(
        "copy",
        &[
            "COPY customers TO PROGRAM 'cat'",
            "COPY products FROM '/etc/passwd'",
            "COPY pg_class TO STDOUT",
            "COPY accounts TO STDOUT",
            "COPY directory TO STDOUT",
        ],
    );
    refused("protected_write", &["COPY customers FROM STDIN", "COPY tickets FROM STDIN"]);
    refused("write", &["COPY logged FROM STDIN", "COPY orders (id, customer_id) FROM STDIN"]);
    refused(
        "not_understood",
        &[
            "COPY products FROM STDIN WHERE id = 1",
            "COPY products FROM STDIN (FREEZE)",
            "COPY products FROM STDIN (ON_ERROR ignore)",
            "COPY products (nowhere) TO STDOUT",
            "COPY (DELETE FROM products RETURNING *) TO STDOUT",
            "COPY customers TO STDOUT (FORMAT text, FORMAT csv)",
            "COPY customers TO STDOUT (ENCODING 'latin1')",
        ],
    );
}

/// Otherwise the client could choose options under which a key looks like something else.
#[test]
fn a_copy_whose_keys_cannot_be_told_for_sure_is_refused() {
    refused(
        "not_understood",
        &[
            r"COPY customers TO STDOUT (NULL 'a\')",
            "COPY customers TO STDOUT (DELIMITER '7')",
            r"COPY customers TO STDOUT (DELIMITER '\')",
            "COPY customers TO STDOUT (FORMAT csv, QUOTE ',')",
            "COPY customers TO STDOUT (FORMAT csv, ESCAPE ',')",
            "COPY customers TO STDOUT (FORMAT csv, NULL 'a\"')",
            "COPY customers TO STDOUT (FORMAT csv, DELIMITER '||')",
            "COPY customers (id) TO STDOUT (FORMAT csv, FORCE_QUOTE (pk_k1))",
        ],
    );
}

#[test]
fn plans_of_what_is_not_protected_may_be_seen() {
    check("EXPLAIN SELECT 1", "plain EXPLAIN SELECT 1");
    check(
        "EXPLAIN (ANALYZE, COSTS OFF, FORMAT JSON) SELECT name FROM products",
        "plain EXPLAIN (analyze true, costs off, format json) SELECT products.name FROM public.products",
    );
    check(
        "EXPLAIN ANALYZE VERBOSE SELECT 1",
        "plain EXPLAIN (analyze true, verbose true) SELECT 1",
    );
    refused(
        "explain",
        &[
            "EXPLAIN SELECT count(*) FROM customers",
            "EXPLAIN ANALYZE SELECT 1 FROM products WHERE EXISTS (SELECT 1 FROM customers)",
            "EXPLAIN ANALYZE CREATE TABLE x AS SELECT 1",
            "EXPLAIN EXECUTE p",
            "EXPLAIN DECLARE c CURSOR FOR SELECT 1",
        ],
    );
    refused("function", &["EXPLAIN SELECT * FROM products WHERE name = peek('x')"]);
    // The plan of a view is its definition's, wherever it is named.
    refused(
        "explain",
        &[
            "EXPLAIN SELECT name FROM cheap",
            "EXPLAIN VALUES ((SELECT max(id) FROM cheap))",
            "EXPLAIN SELECT id FROM products LIMIT (SELECT max(id) FROM cheap)",
            "EXPLAIN SELECT count(*) FILTER (WHERE (SELECT true FROM cheap)) FROM products",
            "EXPLAIN SELECT ARRAY[(SELECT max(id) FROM cheap)]",
            "EXPLAIN SELECT id, row_number() OVER (PARTITION BY (SELECT max(id) FROM cheap)) \
             FROM products",
            "EXPLAIN UPDATE products SET name = (SELECT max(name) FROM cheap)",
        ],
    );
    refused("not_understood", &["EXPLAIN (SETTINGS) SELECT 1", "EXPLAIN (FORMAT html) SELECT 1"]);
}
