//! What the largest and deepest texts cost: each in a process of its own, its time and the most
//! memory that it had resident.

#![expect(clippy::print_stdout, reason = "it prints what it measures")]

use std::{env, fs, process::Command, time::Instant};

use postern_sql::{Catalogue, Context, Verdict, analyse};

#[path = "../../postern-sql/benches/shared/rules.rs"]
mod rules;

/// A name and the text.
fn texts() -> Vec<(&'static str, String)> {
    let repeat = |count: usize, text: &str| text.repeat(count);
    let list = |count: usize, item: &str| vec![item; count].join(", ");
    let numbered = |count: usize, item: &str, between: &str| {
        (0..count).map(|n| format!("{item}{n}")).collect::<Vec<_>>().join(between)
    };
    let nested = |count: usize, open: &str, inner: &str, close: &str| {
        format!("SELECT {}{inner}{}", repeat(count, open), repeat(count, close))
    };
    let commons = |count: usize| {
        let tables = (0..count).map(|n| format!("c{n} AS (SELECT * FROM customers)"));
        format!("WITH {} SELECT 1", tables.collect::<Vec<_>>().join(", "))
    };
    let chained = |count: usize| {
        let tables = (1..count).map(|n| format!("c{n} AS (SELECT * FROM c{})", n - 1));
        let tables = tables.collect::<Vec<_>>().join(", ");
        format!("WITH c0 AS (SELECT * FROM customers), {tables} SELECT * FROM c{}", count - 1)
    };
    let windows = |count: usize| {
        let chain = (1..count).map(|n| format!(", w{n} AS (w{})", n - 1)).collect::<String>();
        let calls = list(9_000, &format!("rank() OVER w{}", count - 1));
        format!("SELECT coalesce({calls}) FROM products WINDOW w0 AS (ORDER BY id){chain}")
    };
    vec![
        ("nothing", "SELECT 1".to_owned()),
        ("1 MB of text", format!("SELECT '{}'", repeat(1 << 20, "x"))),
        (
            "1 MB of numbers",
            format!("SELECT id FROM products WHERE id IN ({})", list(190_000, "123")),
        ),
        ("2 MB of comments", format!("SELECT 1 {}", repeat(99_000, "/* a comment here */"))),
        ("100,000 in IN", format!("SELECT id FROM customers WHERE id IN ({})", list(99_000, "1"))),
        ("100,000 ANDs", format!("SELECT 1 WHERE {}", vec!["true"; 99_000].join(" AND "))),
        (
            "50,000 comparisons",
            format!("SELECT 1 FROM products WHERE {}", vec!["id = 1"; 49_000].join(" OR ")),
        ),
        ("deep parentheses", nested(10_000, "(", "1", ")")),
        ("deep parentheses, 900", nested(900, "(", "1", ")")),
        ("deep calls", nested(10_000, "abs(", "1", ")")),
        ("deep sub-selects", nested(10_000, "(SELECT ", "1", ")")),
        ("deep sub-selects, 90", nested(90, "(SELECT ", "1", ")")),
        ("deep FROM", nested(10_000, "* FROM (SELECT ", "1", ") a")),
        ("deep CASE", nested(10_000, "CASE WHEN true THEN ", "1", " END")),
        ("deep arrays", nested(10_000, "ARRAY[", "1", "]")),
        ("long sum", format!("SELECT 1{}", repeat(50_000, " + 1"))),
        ("long concatenation", format!("SELECT ''{}", repeat(50_000, " || 'x'"))),
        ("long casts", format!("SELECT 1{}", repeat(20_000, "::int"))),
        ("long subscripts", format!("SELECT tags{} FROM customers", repeat(50_000, "[1]"))),
        ("long JSON path", format!("SELECT meta{} FROM customers", repeat(50_000, "->'a'"))),
        ("long NOT", format!("SELECT {}true", repeat(50_000, "NOT "))),
        ("long minus", format!("SELECT {}1", repeat(50_000, "- "))),
        ("UNION chain", vec!["SELECT 1"; 50_000].join(" UNION ALL ")),
        ("UNION chain, 300", vec!["SELECT id FROM customers"; 90].join(" UNION ALL ")),
        (
            "JOIN chain",
            format!(
                "SELECT 1 FROM products p{}",
                numbered(10_000, " JOIN products q", " ON true") + " ON true"
            ),
        ),
        ("200 tables", format!("SELECT 1 FROM {}", numbered(200, "products p", ", "))),
        ("100 leaves", format!("SELECT * FROM {}", numbered(100, "customers c", ", "))),
        ("1,664 columns", format!("SELECT {} FROM customers", list(1_664, "email"))),
        ("100,000 columns", format!("SELECT {} FROM customers", list(99_000, "email"))),
        (
            "1,600 columns ordered",
            format!("SELECT {0} FROM customers ORDER BY {0}", list(1_600, "name")),
        ),
        (
            "65,535 parameters",
            format!("SELECT id FROM customers WHERE id IN ({})", numbered(65_535, "$1", ", ")),
        ),
        ("5,000 common tables", commons(5_000)),
        ("90 common tables", commons(90)),
        ("chain of 5,000 common tables", chained(5_000)),
        ("chain of 90 common tables", chained(90)),
        ("1,000 statements", repeat(1_000, "SELECT name FROM customers;")),
        ("a long name", format!("SELECT {} FROM customers", repeat(1 << 20, "x"))),
        ("many stars", format!("SELECT {} FROM customers c", list(1_600, "c.*"))),
        (
            "stars of many tables",
            format!("SELECT {} FROM {}", list(1_600, "*"), numbered(100, "products p", ", ")),
        ),
        (
            "1,000 sub-selects of 1,600 columns",
            format!(
                "SELECT 1 WHERE true {}",
                repeat(
                    1_000,
                    &format!("AND EXISTS (SELECT * FROM {}) ", numbered(100, "customers c", ", "))
                )
            ),
        ),
        ("doubling", {
            let tables =
                (1..60).map(|n| format!("c{n} AS (SELECT a.*, b.* FROM c{0} a, c{0} b)", n - 1));
            let tables = tables.collect::<Vec<_>>().join(", ");
            format!("WITH c0 AS (SELECT * FROM products), {tables} SELECT 1 FROM c59")
        }),
        ("65,535 arguments", format!("EXECUTE p({})", list(65_535, "1"))),
        ("10,000 types", format!("PREPARE p ({}) AS SELECT 1", list(10_000, "uuid"))),
        ("VALUES", format!("VALUES {}", list(49_000, "(1)"))),
        (
            "an INSERT of many rows",
            format!("INSERT INTO products VALUES {}", list(24_000, "(1, 'a', 2)")),
        ),
        (
            "grouping sets",
            format!("SELECT 1 FROM products GROUP BY CUBE ({})", numbered(1_000, "id + ", ", ")),
        ),
        (
            "many windows",
            format!("SELECT {} FROM products", list(1_600, "rank() OVER (ORDER BY id)")),
        ),
        ("calls of a chain of 1,000 windows", windows(1_000)),
        ("calls of a chain of 100 windows", windows(100)),
    ]
}

fn judge(sql: &str) -> String {
    let snapshot = include_str!("../../postern-sql/src/analyse/fixture.json");
    let Ok(catalogue) = Catalogue::from_json(snapshot) else { return "no catalogue".to_owned() };
    let (rules, path) = (rules::rules(), ["public".to_owned()]);
    let begun = Instant::now();
    let judged = analyse(sql, &catalogue, &rules, Context::new(&path, "pk_"));
    let said = match &judged {
        Err(error) => format!("{} {error}", error.sqlstate),
        Ok(statements) => match statements.first().map(|statement| &statement.verdict) {
            Some(Verdict::Refused(refusal)) => format!("{} {}", refusal.sqlstate, refusal.rule),
            Some(Verdict::Plain(plain)) => format!("plain, {} bytes", plain.sql.len()),
            Some(Verdict::Guarded(guarded)) => {
                format!("guarded, {} bytes", guarded.sql.render_literal(|_| "{}").len())
            }
            Some(Verdict::Local(_) | Verdict::Named(_) | Verdict::Copy(_)) | None => {
                "of another kind".to_owned()
            }
        },
    };
    let elapsed = begun.elapsed().as_secs_f64() * 1e3;
    drop(judged);
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mib = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        let kib = line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok());
        kib.unwrap_or_default() / 1024.0
    };
    format!("{elapsed:9.1} {:8.0} {:8.0}  {said}", mib("VmHWM"), mib("VmRSS"))
}

fn main() {
    let texts = texts();
    if let Ok(chosen) = env::var("HOSTILE") {
        let chosen = texts.iter().find(|(name, _)| *name == chosen);
        return println!("{}", chosen.map_or_else(String::new, |(_, sql)| judge(sql)));
    }
    println!("{:30} {:>9} {:>9} {:>8} {:>8}", "text", "bytes", "ms", "MiB max", "after");
    for (name, sql) in &texts {
        let Ok(program) = env::current_exe() else { return };
        let said = match Command::new(program).env("HOSTILE", name).output() {
            Ok(output) if output.status.success() => {
                String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
            }
            Ok(output) => format!("died: {}", output.status),
            Err(error) => error.to_string(),
        };
        println!("{name:30} {:9} {said}", sql.len());
    }
}
