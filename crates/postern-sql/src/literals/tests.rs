use super::*;

fn shape(sql: &str) -> Option<String> {
    let found = without_literals(sql)?;
    let values: Vec<String> = found.values.iter().map(|v| format!("{}", v.value)).collect();
    Some(format!("{} <- {}", found.text, values.join("|")))
}

#[test]
fn what_columns_are_compared_with_is_taken_out() {
    for (sql, taken) in [
        ("SELECT a FROM t WHERE id = 7", "SELECT a FROM t WHERE id = $1 <- 7"),
        (
            "UPDATE t SET a = 5, \"b\"='it''s' WHERE t.id=12 AND(c = 'ü')OR d = 3;",
            "UPDATE t SET a = $1, \"b\"=$2 WHERE t.id=$3 AND(c = $4)OR d = $5; <- 5|it's|12|ü|3",
        ),
        (
            "SELECT 1.5, -2 FROM t WHERE id = 7 LIMIT 3",
            "SELECT 1.5, -2 FROM t WHERE id = $1 LIMIT 3 <- 7",
        ),
        (
            "SELECT a FROM t WHERE id = 7 FOR UPDATE",
            "SELECT a FROM t WHERE id = $1 FOR UPDATE <- 7",
        ),
    ] {
        assert_eq!(shape(sql).as_deref(), Some(taken), "{sql}");
    }
}

#[test]
fn what_is_not_read_at_a_glance_has_no_shape() {
    for sql in [
        "SELECT a FROM t",
        "SELECT a FROM t WHERE 7 = id",
        "SELECT a FROM t WHERE id = 7::int2",
        "SELECT a FROM t WHERE id = 7 + 1",
        "SELECT a FROM t WHERE id = -7",
        "SELECT a FROM t WHERE id >= 7",
        "SELECT a FROM t WHERE id = 7e0",
        "SELECT a FROM t WHERE id = 7.",
        "SELECT a FROM t WHERE id = .7",
        "SELECT a FROM t WHERE id = 0x7",
        "SELECT a FROM t WHERE id = 7_0",
        "SELECT a FROM t WHERE id = 1234567890",
        "SELECT a FROM t WHERE id = '7'[1]",
        "SELECT a FROM t WHERE id = 'a' COLLATE \"C\"",
        "SELECT a FROM t WHERE id = 'a'\n'b'",
        "SELECT a FROM t WHERE b = 'x' AND id = 'a'\n'b'",
        "SELECT a FROM t WHERE id = E'a'",
        "SELECT a FROM t WHERE id = U&'a'",
        "SELECT a FROM t WHERE id = N'a' AND b = 1",
        "SELECT a FROM t WHERE id = $1 AND b = 7",
        "SELECT a FROM t WHERE a$b = 7",
        "SELECT a FROM t WHERE id = $$a$$ AND b = 7",
        "SELECT a FROM t WHERE id = 7 -- and more",
        "SELECT a FROM t WHERE id = 7 /* and more */",
        "SELECT a FROM t WHERE id = 7 AND b =-- and more\n 8",
        "SELECT a FROM t WHERE id = 'a",
        "SELECT a FROM t WHERE \"id = 7",
        "SELECT a FROM t WHERE id = 7 AND b = \\",
        "SELECT f(a => 7)",
        "SELECT a FROM t WHERE (a, b) = 7 AND c",
        "SELECT 1 = 1",
    ] {
        assert_eq!(shape(sql), None, "{sql}");
    }
}

/// The words are PostgreSQL's: read again, the text with its literals back is the text.
#[test]
fn literals_put_back_give_the_text() {
    for sql in [
        "SELECT a FROM t WHERE id = 7 AND \"x\"\"y\" = 'it''s' AND c = 'a--b' OR d='/*' ORDER BY 1",
        "UPDATE t SET a='$1', b = '$2' WHERE id=3 RETURNING id",
    ] {
        let found = without_literals(sql).unwrap();
        let tokens = |sql: &str| {
            let scanned = pg_query::scan(sql).unwrap();
            let text = |token: &pg_query::protobuf::ScanToken| {
                sql[token.start as usize..token.end as usize].to_owned()
            };
            scanned.tokens.iter().map(text).collect::<Vec<_>>()
        };
        let mut values = found.values.iter();
        let put_back = tokens(&found.text).into_iter().map(|token| match token.strip_prefix('$') {
            Some(_) => values.next().unwrap().token.to_owned(),
            None => token,
        });
        assert_eq!(put_back.collect::<Vec<_>>(), tokens(sql), "{sql}");
    }
}
