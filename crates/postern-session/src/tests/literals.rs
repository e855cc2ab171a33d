//! Texts that differ in their literals are judged once, and are what they are by themselves.

use postern_sql::without_literals;

use super::*;

/// Statements on plain and protected tables, of what a client writes its values into.
const TEXTS: [&str; 12] = [
    "SELECT id, email FROM customers WHERE id = 3",
    "SELECT id, name FROM customers WHERE id = 3 AND name = 'x' ORDER BY 1 LIMIT 5",
    "SELECT id FROM customers WHERE email = 'one@example.org'",
    "SELECT count(*) FROM tickets WHERE customer_id = 7",
    "SELECT c.id, c.email FROM customers c JOIN tickets t ON t.customer_id = c.id WHERE t.id = 5",
    "SELECT name FROM products WHERE id = 12 AND name = 'it''s $1'",
    "UPDATE products SET name = 'a ''b''' WHERE id = 4 RETURNING id",
    "UPDATE customers SET name = 'New' WHERE id = 1",
    "DELETE FROM products WHERE id=9;",
    "SELECT * FROM (SELECT id, email FROM customers WHERE id = 1) s WHERE s.id = 1",
    "WITH t AS (SELECT id FROM tickets WHERE customer_id = 3) SELECT count(*) FROM t",
    "SELECT id FROM tickets WHERE assignee = 'ana' ORDER BY id LIMIT 3",
];

fn words(told: &[String]) -> Vec<String> {
    let plain = |line: &String| line.split_whitespace().collect::<String>();
    told.iter().map(plain).collect()
}

/// What leaves when the statement comes, and when its answer does.
fn run(table: &mut Table, sql: &str) -> Vec<String> {
    table.query(sql);
    let mut told = table.told();
    table.completed("SELECT 0").ready(TransactionStatus::Idle);
    told.extend(table.told());
    told
}

#[test]
fn a_text_of_a_shape_is_sent_and_told_as_it_is_by_itself() {
    for (text, kind) in
        TEXTS.iter().flat_map(|text| [(text, Kind::Restricted), (text, Kind::Accounted)])
    {
        // A comment has no shape: it is judged by itself.
        let commented = format!("/* as it is */ {text}");
        assert!(without_literals(text).is_some() && without_literals(&commented).is_none());
        let mut alone = Table::of_kind(kind, false);
        let expected = words(&run(&mut alone, &commented));
        let mut table = Table::of_kind(kind, false);
        assert_eq!(words(&run(&mut table, text)), expected, "{text}");
        // What is refused is judged by itself, too.
        let analyses = if expected[0].starts_with("server<") { 1 } else { 2 };
        assert_eq!(table.judge.analyses(), analyses, "{text}");
        // Once more, from memory.
        let mut again = Table::of_kind(kind, false);
        again.judge = table.judge;
        assert_eq!(words(&run(&mut again, text)), expected, "{text}");
        assert_eq!(again.judge.analyses(), analyses, "{text}");
    }
}

#[test]
fn one_analysis_serves_all_literals() {
    let mut table = Table::new();
    for (hold, (id, how)) in (1..).zip([(1, "clear"), (2, "masked"), (3, "clear"), (99, "masked")])
    {
        let told = run(&mut table, &format!("SELECT email FROM customers WHERE id = {id}"));
        assert!(words(&told)[0].ends_with(&format!("customers.id={id}")), "{told:?}");
        assert_eq!(told[1], format!("hold {hold} [{id}:{how}]"));
        table.recorded(hold, 1).told();
    }
    assert_eq!(table.judge.analyses(), 1);
}

#[test]
fn what_is_told_of_a_shape_is_told_of_the_text() {
    let shown = |sql: &str| {
        let mut table = Table::new();
        table.query(sql).completed("SELECT 0");
        let effects = std::mem::take(&mut table.effects);
        let hold = effects
            .into_iter()
            .find_map(|effect| if let Effect::Hold(hold) = effect { Some(hold) } else { None });
        let hold = hold.unwrap();
        (hold.shown.fingerprint, hold.shown.statement.clone())
    };
    let text = "SELECT email FROM customers WHERE id = 7";
    assert_eq!(shown(text), shown(&format!("/* as it is */ {text}")));
    assert_eq!(&*shown(text).1, "SELECT email FROM customers WHERE id = ?");
}

/// What is wrong with a literal is said of the text that it stands in.
#[test]
fn a_literal_that_is_refused_is_refused_as_by_itself() {
    for sql in [
        "SELECT email FROM customers WHERE id = 'seven'",
        "UPDATE customers SET name = '***' WHERE id = 1",
        "INSERT INTO tickets (id, customer_id, assignee) SELECT 1, 2, 'ana' WHERE 'a' = 'b'",
    ] {
        let mut alone = Table::new();
        alone.query(&format!("/* as it is */ {sql}"));
        let mut table = Table::new();
        table.query(sql);
        assert_eq!(words(&table.told()), words(&alone.told()), "{sql}");
    }
}
