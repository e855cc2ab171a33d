use super::*;

#[test]
fn deep_nesting_is_an_error_and_no_crash() {
    for depth in [300, 10_000, 100_000] {
        for (open, close) in
            [("(", ")"), ("SELECT * FROM (", ") a"), ("CASE WHEN true THEN ", " END")]
        {
            let inner = if open.starts_with("SELECT") { "SELECT 1" } else { "1" };
            let text = format!("{}{inner}{}", open.repeat(depth), close.repeat(depth));
            let sql = if open.starts_with("SELECT") { text } else { format!("SELECT {text}") };
            let judged = judged(&sql, Mode::Restricted);
            // Parentheses alone leave nothing in the tree.
            assert!(judged.starts_with("error 5400") || judged == "plain SELECT 1", "{judged}");
        }
    }
    for chain in ["- ", "NOT ", "1 + ", "x || ", "x::", "ARRAY[1] || "] {
        let sql = format!("SELECT {}1", chain.repeat(20_000));
        let judged = judged(&sql, Mode::Restricted);
        assert!(judged.starts_with("error "), "{chain}: {}", &judged[..judged.len().min(200)]);
    }
}

#[test]
fn a_long_statement_is_an_error() {
    let sql = format!("SELECT '{}'", "x".repeat(3 << 20));
    check(&sql, "error 54000: the statement is longer than 2097152 bytes");
}

#[test]
fn a_long_list_is_no_deep_nesting() {
    let sql = format!("SELECT id FROM products WHERE id IN (1{})", ", -7".repeat(20_000));
    assert!(judged(&sql, Mode::Restricted).starts_with("plain "));
}

#[test]
fn an_empty_text_is_answered_as_empty() {
    for sql in ["", " ", ";", "-- nothing", "/* */ ;;"] {
        check(sql, "Empty");
    }
}

#[test]
fn a_syntax_error_has_postgresqls_own_words() {
    check("SELEC 1", r#"error 42601: syntax error at or near "SELEC""#);
    check("SELECT 'a", r#"error 42601: unterminated quoted string at or near "'a""#);
}

#[test]
fn each_statement_of_a_text_is_judged() {
    check(
        "SELECT 1; SELECT name FROM customers; DROP TABLE customers",
        "plain SELECT 1\n\
         SELECT customers.name, customers.id AS pk_k1 FROM <public.customers b> customers\n  1 columns, keys [0]\n  \
         public.customers set 0 clear name\n42501 definition",
    );
}

#[test]
fn the_normalized_text_has_no_literal_and_no_comment() {
    let path = names(&["public"]);
    let context = Context::new(&path, PREFIX);
    let sql =
        "SELECT /* 5 */ id,name FROM products WHERE id = 5 AND name = E'x' -- y\n;  SELECT $1";
    let statements = analyse(sql, &catalogue(), &rules(Mode::Restricted), context).unwrap();
    let texts: Vec<&str> = statements.iter().map(|s| s.normalized.as_str()).collect();
    assert_eq!(texts, ["SELECT id, name FROM products WHERE id = ? AND name = ?", "SELECT $1"]);
    let again = sql.replace('5', "6").replace('x', "z");
    let again = analyse(&again, &catalogue(), &rules(Mode::Restricted), context).unwrap();
    assert_eq!(statements[0].fingerprint, again[0].fingerprint);
    assert_ne!(statements[0].fingerprint, statements[1].fingerprint);
}

#[test]
fn a_snapshot_says_its_version_and_bad_ones_are_refused() {
    let json = include_str!("../fixture.json");
    assert_eq!(catalogue().version(), catalogue().version());
    let other = Catalogue::from_json(&json.replace("150020", "160001")).unwrap();
    assert_ne!(other.version(), catalogue().version());
    assert!(Catalogue::from_json(&json.replace("150020", "120001")).is_err());
    assert!(Catalogue::from_json("{}").is_err());
}

#[test]
fn what_takes_too_long_to_judge_is_an_error() {
    let many = |count: usize, item: &str| vec![item; count].join(",");
    let numbered = |count: usize, item: &str| {
        (0..count).map(|n| format!("{item}{n}")).collect::<Vec<_>>().join(",")
    };
    let error = |sql: &str| judged(sql, Mode::Restricted).chars().take(11).collect::<String>();
    assert_eq!(error(&format!("SELECT {}", many(200_000, "1"))), "error 54000");
    assert_eq!(error(&"SELECT 1;".repeat(2_000)), "error 54000");
    assert_eq!(error(&format!("SELECT {}", many(1_700, "1"))), "54011 too_m");
    assert_eq!(error(&format!("SELECT 1 FROM {}", numbered(201, "products p"))), "54001 too_m");
    assert_eq!(error(&format!("SELECT 1 FROM {}", numbered(101, "customers c"))), "54001 too_m");
}

#[test]
fn what_is_short_and_means_a_lot_is_an_error() {
    let error = |sql: &str| judged(sql, Mode::Restricted).chars().take(17).collect::<String>();
    let commons = |count: usize, first: &str, next: &dyn Fn(usize) -> String| {
        let tables = (1..count).map(|n| format!("c{n} AS ({})", next(n - 1)));
        let tables = tables.collect::<Vec<_>>().join(", ");
        format!("WITH c0 AS ({first}), {tables} SELECT 1 FROM c{}", count - 1)
    };
    // Each common table has all columns of the one before it twice.
    let doubled = |n: usize| format!("SELECT a.*, b.* FROM c{n} a, c{n} b");
    assert_eq!(error(&commons(60, "SELECT * FROM products", &doubled)), "54011 too_many");
    // The same beneath the limit on columns, and often.
    let wide = commons(9, "SELECT * FROM products", &doubled);
    let wide = wide.strip_suffix("SELECT 1 FROM c8").unwrap();
    let read = |count: usize| {
        let tests = vec!["EXISTS (SELECT 1 FROM c8)"; count].join(" OR ");
        format!("{wide}SELECT 1 WHERE {tests}")
    };
    assert_eq!(error(&read(200)), "54001 too_complex");
    assert_eq!(error(&read(2)), "plain WITH c0 AS ");
    assert_eq!(error(&commons(501, "SELECT 1", &|n| format!("TABLE c{n}"))), "54001 too_many");
    let tables = (0..200).map(|n| format!("products p{n}")).collect::<Vec<_>>().join(", ");
    let items = vec!["*"; 900].join(", ");
    assert_eq!(error(&format!("SELECT {items} FROM {tables}")), "54011 too_many");
    let comparisons = vec!["id = 1"; 20_001].join(" OR ");
    assert_eq!(error(&format!("SELECT 1 FROM products WHERE {comparisons}")), "error 54000: the ");
}

/// Common tables of which each has twice the columns of the one before it, up to `c{last}`.
fn doubled(last: usize) -> String {
    let tables =
        (1..=last).map(|n| format!(", c{n} AS (SELECT a.*, b.* FROM c{0} a, c{0} b)", n - 1));
    format!("WITH c0 AS (SELECT * FROM products){}", tables.collect::<String>())
}

#[test]
fn a_long_from_clause_is_read_no_further_than_it_may_be() {
    let tables = (0..201).map(|n| format!("products p{n}")).collect::<Vec<_>>().join(", ");
    let sql = format!("SELECT 1 FROM {tables}, nowhere");
    assert_eq!(judged(&sql, Mode::Restricted), "54001 too_many");
    let names = |count: usize| vec!["id"; count].join(", ");
    let joined =
        |count: usize| format!("SELECT 1 FROM products a JOIN products b USING ({})", names(count));
    assert_eq!(judged(&joined(1_665), Mode::Restricted), "54011 too_many");
    assert!(judged(&joined(1_664), Mode::Restricted).starts_with("plain "));
    // Each join has all columns of the joins in it.
    let joins = |using: &str| {
        let joins = (0..35).map(|n| format!(" JOIN c9 t{n} {using}")).collect::<String>();
        let more = (0..20).map(|n| format!(", c9 u{n}")).collect::<String>();
        judged(&format!("{} SELECT 1 FROM c9{joins}{more}", doubled(9)), Mode::Restricted)
    };
    assert_eq!(joins("USING (id)"), "54001 too_complex");
    assert!(joins("ON true").starts_with("plain "));
}

#[test]
fn conditions_of_reasons_are_parsed_once() {
    let rows = |count: usize| {
        let rows = vec!["(1, 'a', 'customer')"; count].join(", ");
        let sql = format!("INSERT INTO tickets (customer_id, status, opened_by) VALUES {rows}");
        judged(&sql, Mode::Restricted)
    };
    // A condition that were parsed for each row would be charged for each.
    let judged = rows(5_000);
    assert!(judged.starts_with("INSERT INTO public.tickets"), "{}", &judged[..30]);
}

#[test]
fn what_is_written_for_random_numbers_is_counted() {
    let draws = |count: usize| {
        let numbers = vec!["random()"; count].join(", ");
        judged(&format!("SELECT id, coalesce({numbers}) FROM customers"), Mode::Restricted)
    };
    assert!(draws(20).starts_with("SELECT customers.id, "));
    assert_eq!(draws(1_000), "54001 too_complex");
}

#[test]
fn looking_for_lookups_is_counted() {
    let tables = (0..30).map(|n| format!("c9 t{n}")).collect::<Vec<_>>().join(", ");
    let search = |count: usize| {
        let conjuncts = " AND id = 1".repeat(count);
        let with = doubled(9);
        judged(&format!("{with} SELECT 1 FROM {tables} WHERE no = 1{conjuncts}"), Mode::Restricted)
    };
    // Lookups are looked for before the condition is judged.
    assert_eq!(search(10), "42703 unknown_column");
    assert_eq!(search(1_000), "54001 too_complex");
}

#[test]
fn windows_are_looked_at_once_each() {
    let windows = |count: usize| {
        let chain = (1..count).map(|n| format!(", w{n} AS (w{})", n - 1)).collect::<String>();
        let calls = vec![format!("rank() OVER w{}", count - 1); 1_000].join(", ");
        format!("SELECT coalesce({calls}) FROM products WINDOW w0 AS (ORDER BY id){chain}")
    };
    assert_eq!(judged(&windows(101), Mode::Restricted), "54001 too_many");
    assert!(judged(&windows(100), Mode::Restricted).starts_with("plain "));
    // PostgreSQL refuses these too.
    refused(
        "not_understood",
        &[
            "SELECT 1 FROM products WINDOW w AS (v), v AS ()",
            "SELECT 1 FROM products WINDOW w AS (w)",
            "SELECT 1 FROM products WINDOW w AS (), w AS ()",
            "SELECT rank() OVER v FROM products WINDOW w AS ()",
        ],
    );
    // Each call looks at all columns of the FROM clause.
    let tables = (0..60).map(|n| format!("c5 t{n}")).collect::<Vec<_>>().join(", ");
    let calls = vec!["rank() OVER ()"; 2_000].join(", ");
    let sql = format!("{} SELECT coalesce({calls}) FROM {tables}", doubled(5));
    assert_eq!(judged(&sql, Mode::Restricted), "54001 too_complex");
}

#[test]
fn as_many_parameters_as_the_protocol_allows_are_no_error() {
    let list = (1..=65_535).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ");
    let text = judged(&format!("SELECT id FROM products WHERE id IN ({list})"), Mode::Restricted);
    let start = "plain SELECT products.id FROM public.products WHERE products.id IN ($1, $2,";
    assert!(text.starts_with(start));
}

#[test]
fn a_zero_byte_is_an_error() {
    for sql in ["SELECT 1\0", "SELECT '\0'", "\0"] {
        assert!(judged(sql, Mode::Restricted).starts_with("error 42601"), "{sql:?}");
    }
}
