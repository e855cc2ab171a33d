//! Statements taken apart and put together again: none stops the analysis, and whatever would be
//! sent is a statement.

use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

use super::*;

const STATEMENTS: [&str; 24] = [
    "SELECT * FROM customers c WHERE c.email = 'x' AND country = $1 ORDER BY id LIMIT 5",
    "SELECT t.number, c.name FROM tickets t JOIN customers c ON c.id = t.customer_id",
    "SELECT a.*, b.id FROM customers a LEFT JOIN LATERAL (SELECT id FROM products) b ON true",
    "WITH RECURSIVE r(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM r) SELECT * FROM r",
    "WITH c AS (SELECT id, name FROM customers) SELECT DISTINCT ON (id) c.* FROM c",
    "SELECT country, count(*) FROM customers GROUP BY ROLLUP (country) HAVING count(*) > 5",
    "SELECT id, name FROM customers UNION ALL SELECT id, name FROM products",
    "SELECT id FROM products EXCEPT SELECT id FROM customers",
    "SELECT rank() OVER (PARTITION BY country ORDER BY id ROWS 2 PRECEDING) FROM customers",
    "SELECT CASE WHEN name IS NULL THEN 'a' ELSE upper(name) END FROM customers",
    "SELECT (SELECT max(t.id) FROM tickets t WHERE t.customer_id = c.id) FROM customers c",
    "SELECT id FROM customers WHERE id IN (1, 2) OR EXISTS (SELECT 1 FROM tickets)",
    "SELECT x.a, x.b FROM (VALUES (1, 'a'), (2, 'b')) AS x(a, b)",
    "SELECT meta->'a'->>'b', tags[1:2], (ROW(1, name)).f1 FROM customers",
    "SELECT c, c.*::text, row_to_json(c) FROM customers AS c(a, b)",
    "SELECT * FROM customers NATURAL JOIN tickets",
    "SELECT * FROM tickets TABLESAMPLE bernoulli (10) REPEATABLE (1)",
    "SELECT * FROM generate_series(1, 10) WITH ORDINALITY AS g(n, o)",
    "INSERT INTO tickets (id, customer_id, number, status) VALUES (1, 2, 'x', 'open')",
    "INSERT INTO products (id, name, price) SELECT 1, 'a', 2 ON CONFLICT DO NOTHING RETURNING *",
    "UPDATE products SET name = 'x', price = price + 1 WHERE id = $1 RETURNING id",
    "DELETE FROM products USING customers c WHERE c.id = products.id",
    "SET search_path = public; BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1; COMMIT",
    "SELECT U&'d\\0061t' || $$a$$ || E'\\n' COLLATE \"C\", interval '1' day, 1e5, B'1'",
];

/// A step that changes a list of words: at which place, how, and with which word.
type Step = (Index, u8, Index);

fn words() -> Vec<String> {
    let split = |sql: &&str| {
        let tokens = pg_query::scan_tokens(sql).unwrap();
        let word = |token: &pg_query::protobuf::ScanToken| {
            sql[usize::try_from(token.start).unwrap()..usize::try_from(token.end).unwrap()]
                .to_owned()
        };
        tokens.iter().map(word).collect::<Vec<_>>()
    };
    STATEMENTS.iter().flat_map(split).collect()
}

fn changed(sql: &str, other: &str, steps: &[Step], words: &[String]) -> String {
    let mut text: Vec<&str> = sql.split(' ').collect();
    let second: Vec<&str> = other.split(' ').collect();
    for (place, kind, word) in steps {
        if text.is_empty() {
            break;
        }
        let at = place.index(text.len());
        match kind % 6 {
            0 => drop(text.remove(at)),
            1 => {
                let word = text[at];
                text.insert(at, word);
            }
            2 => text.insert(at, &words[word.index(words.len())]),
            3 => text[at] = &words[word.index(words.len())],
            4 => {
                let with = word.index(text.len());
                text.swap(at, with);
            }
            _ => {
                let from = word.index(second.len());
                text.splice(at.., second[from..].iter().copied());
            }
        }
    }
    text.join(" ")
}

#[test]
fn no_mutation_of_a_statement_stops_the_analysis() {
    let config = Config { cases: 3_000, failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let (catalogue, words, path) = (catalogue(), words(), names(&["public"]));
    let context = Context::new(&path, PREFIX);
    let (restricted, accounted) = (rules(Mode::Restricted), rules(Mode::Accounted));
    let step = (any::<Index>(), any::<u8>(), any::<Index>());
    let input = (select(&STATEMENTS[..]), select(&STATEMENTS[..]), vec(step, 1..6));
    let run = |(sql, other, steps): (&str, &str, Vec<Step>)| {
        let text = changed(sql, other, &steps, &words);
        for rules in [&restricted, &accounted] {
            let Ok(statements) = analyse(&text, &catalogue, rules, context) else { continue };
            for statement in statements {
                let sent = match statement.verdict {
                    Verdict::Plain(plain) => plain.sql,
                    Verdict::Guarded(guarded) => guarded.sql.render_literal(|_| "{}"),
                    Verdict::Copy(copy) => copy.query.sql.render_literal(|_| "{}"),
                    Verdict::Refused(refusal) => {
                        prop_assert!(!refusal.rule.is_empty() && !refusal.message.is_empty());
                        continue;
                    }
                    Verdict::Local(_) | Verdict::Named(_) => continue,
                };
                let parsed = pg_query::parse(&sent, 0);
                prop_assert!(parsed.is_ok_and(|p| p.protobuf.stmts.len() == 1), "{sent}");
            }
        }
        Ok(())
    };
    runner.run(&input, run).unwrap();
}
