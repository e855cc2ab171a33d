use super::*;

fn catalogue() -> Catalogue {
    Catalogue::from_json(include_str!("../analyse/fixture.json")).unwrap()
}

#[test]
fn what_reads_leaves_nothing_behind() {
    let catalogue = catalogue();
    for sql in [
        "SELECT string_agg(email, ',') FROM customers WHERE lower(name) LIKE 'a%'",
        "SELECT pg_sleep(0), id FROM customers -- a comment; with set_config('a', 'b', false)",
        "SELECT 'set_config(''a'', ''b'', false)'; SELECT \"name\" FROM customers",
        "BEGIN; SELECT array_agg(email) FROM customers; COMMIT",
        "WITH c AS (SELECT id FROM customers) SELECT count(DISTINCT id) OVER () FROM c",
        "EXPLAIN (ANALYZE) SELECT email FROM customers",
        "COPY (SELECT email FROM customers) TO STDOUT",
        "DECLARE c CURSOR WITH HOLD FOR SELECT email FROM customers",
        "FETCH ALL FROM c",
        "LOCK TABLE customers",
    ] {
        assert!(!may_remain(sql, &catalogue), "{sql}");
    }
}

#[test]
fn what_may_act_may_leave_something_behind() {
    let catalogue = catalogue();
    for sql in [
        "SELECT set_config('standard_conforming_strings', 'off', false)",
        "SELECT \"set_config\"('search_path', 'x', false), string_agg(email, ',') FROM customers",
        "SELECT pg_catalog.set_config ('search_path', 'x', false)",
        "SELECT query_to_xml('SELECT set_config(1)', true, false, '')",
        "SELECT peek(email) FROM customers",
        "SELECT (c).peek FROM customers c",
        "SELECT p1 === p2 FROM products p1, products p2",
        "SELECT p1 OPERATOR(public.===) p2 FROM products p1, products p2",
        "SELECT 'xa'::checked_text",
        "SELECT checked_text 'xa'",
        "SELECT * FROM peeking",
        "SELECT * FROM audited",
        "SELECT '(a,1)'::\"Made_of_checked\"",
        "SELECT a234567890123456789012345678901234567890123456789012345678901234 FROM customers",
        "SELECT * FROM \"directory\"",
        "SELECT U&\"p\\0065ek\"('a')",
        "SELECT email INTO TEMP t FROM customers",
        "WITH gone AS (DELETE FROM orders RETURNING 1) SELECT 1",
        "SELECT 1; DO $$ BEGIN END $$",
        "CREATE TEMP VIEW v AS SELECT 1",
        "SET search_path = x",
        "SET ROLE x",
        "PREPARE p AS SELECT 1",
        "EXECUTE p",
        "FETCH ALL FROM postern_p_1",
        "LISTEN news",
        "LOAD 'auto_explain'",
        "COPY customers FROM STDIN",
        "EXPLAIN ANALYZE EXECUTE p",
        "CALL p()",
        "nonsense",
        "",
    ] {
        assert!(may_remain(sql, &catalogue), "{sql}");
    }
    assert!(is_own_type(16_384) && !is_own_type(25));
}

#[test]
fn a_cast_that_somebody_made_may_act_wherever_it_stands() {
    let json = include_str!("../analyse/fixture.json");
    let mut json: serde_json::Value = serde_json::from_str(json).unwrap();
    json["casts"] = serde_json::json!([[25, 16_999]]);
    let catalogue = Catalogue::from_json(&json.to_string()).unwrap();
    assert!(may_remain("SELECT 1", &catalogue));
}

#[test]
fn words_that_are_operators_may_be_somebodys_own() {
    let with = |operator: &str| {
        let json = include_str!("../analyse/fixture.json");
        let own = format!(r#""name": "{operator}", "extension": false"#);
        Catalogue::from_json(&json.replace(r#""name": "===", "extension": false"#, &own)).unwrap()
    };
    for (operator, condition) in [
        ("~~", "id LIKE 2"),
        ("!~~", "id NOT LIKE 2"),
        ("~~*", "id ILIKE 2"),
        ("!~~*", "id NOT ILIKE 2"),
        ("~", "id SIMILAR TO 2"),
        ("=", "id IN (2)"),
        (">=", "id BETWEEN 1 AND 2"),
        ("=", "NULLIF(id, 2) IS NULL"),
        ("=", "CASE id WHEN 2 THEN true END"),
        ("=", "id IS DISTINCT FROM 2"),
    ] {
        let sql = format!("SELECT email FROM customers WHERE {condition}");
        assert!(may_remain(&sql, &with(operator)), "{sql}");
        assert!(!may_remain(&sql, &with("====")), "{sql}");
    }
}
