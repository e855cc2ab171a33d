//! What the rewriting costs in the server: each statement as the client wrote it, with the masked
//! leaf and with the leaf that shows the actor's own records, in interleaved rounds.
//!
//! Needs a PostgreSQL server's programs; see `POSTERN_PG_BIN`. Takes some minutes.

#![expect(clippy::print_stdout, reason = "it prints what it measures")]

use postern_model::FieldClass;
use postern_sql::{
    Catalogue, ColumnRule, Context, InsertRule, KeySet, Mode, Reach, Rules, SNAPSHOT_SQL, Show,
    TableRule, Verdict, analyse,
};
use postern_testkit::{Options, PostgresServer};

const ROUNDS: usize = 9;
const KEYS: [usize; 2] = [75, 1_000];

const SCHEMA: &str = "
    CREATE TABLE customers (
        id bigint PRIMARY KEY, name varchar(60) NOT NULL, email text NOT NULL UNIQUE, phone text,
        address text, born date, iban varchar(34), country text NOT NULL,
        created_at timestamptz NOT NULL);
    INSERT INTO customers SELECT n, 'Customer Number ' || n, 'customer' || n || '@example.com',
        '+49 30 ' || 1000000 + n, 'Street ' || n || ', 10115 Berlin',
        date '1950-01-01' + n % 20000, 'DE' || 10000000000000000000 + n, 'DE', now()
        FROM generate_series(1, 1000000) n;
    CREATE TABLE tickets (id bigint PRIMARY KEY, customer_id bigint NOT NULL, assignee text);
    INSERT INTO tickets SELECT n, n * 7919::bigint % 1000000 + 1, 'agent' || n % 5000
        FROM generate_series(1, 1500000) n;
    CREATE INDEX ON tickets (assignee);
    VACUUM ANALYZE;";

const COLUMNS: &str = "id, name, email, phone, address, born, iban";

fn statements() -> Vec<(&'static str, String)> {
    let from = "FROM customers WHERE id BETWEEN 200000 AND 299999";
    vec![
        ("scan of 100,000, *", format!("SELECT * {from}")),
        ("scan of 100,000, 7 columns", format!("SELECT {COLUMNS} {from}")),
        ("by key", format!("SELECT {COLUMNS} FROM customers WHERE id = 4711")),
        (
            "by e-mail",
            format!("SELECT {COLUMNS} FROM customers WHERE email = 'customer5@example.com'"),
        ),
        (
            "join of 300",
            "SELECT t.id, c.name, c.email FROM tickets t JOIN customers c ON c.id = t.customer_id \
             WHERE t.assignee = 'agent7'"
                .to_owned(),
        ),
        ("ORDER BY id LIMIT 50", "SELECT * FROM customers ORDER BY id LIMIT 50".to_owned()),
        ("count of 1,000,000", "SELECT count(*) FROM customers".to_owned()),
    ]
}

fn rules(show: Show) -> Rules {
    let columns = ["name", "email", "phone", "address", "born", "iban"].map(|name| ColumnRule {
        name: name.to_owned(),
        class: FieldClass::Name,
        show,
        lookup: name == "email",
        mask: None,
    });
    let customers = TableRule {
        schema: "public".to_owned(),
        table: "customers".to_owned(),
        subject: "id".to_owned(),
        clear: vec!["country".to_owned(), "created_at".to_owned()],
        columns: columns.into(),
        insert: InsertRule::Refuse,
        update: Vec::new(),
        delete: Reach::Refuse,
        reasons: Vec::new(),
    };
    Rules {
        mode: Mode::Restricted,
        tables: vec![customers],
        functions: Vec::new(),
        relations: Vec::new(),
        unprotected: None,
        reason_names: Vec::new(),
    }
}

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn rewritten(sql: &str, catalogue: &Catalogue, show: Show, keys: &str) -> Outcome<String> {
    let path = ["public".to_owned()];
    let context = Context::new(&path, "pk_");
    let statements = analyse(sql, catalogue, &rules(show), context)?;
    match statements.first().map(|statement| &statement.verdict) {
        Some(Verdict::Guarded(guarded)) => Ok(guarded.sql.render_literal(|_| keys)),
        verdict => Err(format!("{sql}: {verdict:?}").into()),
    }
}

/// What one text cost in one round, in milliseconds.
#[derive(Debug, Clone, Copy)]
struct Cost {
    planning: f64,
    execution: f64,
    /// All of it, with the rows written as text: what a client that reads them makes the server do.
    written: f64,
}

/// Each text's costs, one round after the other.
fn measured(server: &PostgresServer, texts: &[String]) -> Outcome<Vec<Vec<Cost>>> {
    let both = |text: &String| {
        let written = format!("\\timing on\nCOPY ({text}) TO '/dev/null';\n\\timing off\n");
        format!("EXPLAIN (ANALYZE, TIMING OFF) {text};\n{written}")
    };
    let round: String = texts.iter().map(both).collect();
    let script = format!(
        "SET jit = off; SET max_parallel_workers_per_gather = 0;\n{}",
        round.repeat(ROUNDS + 1)
    );
    let said = server.psql_in("shop", &script)?;
    let after = |what: &str| -> Vec<f64> {
        let lines = said.lines().filter_map(|line| line.trim().strip_prefix(what));
        let figures = lines.filter_map(|line| line.split_whitespace().next()?.parse().ok());
        figures.collect()
    };
    let (planning, execution) = (after("Planning Time:"), after("Execution Time:"));
    let times = planning.into_iter().zip(execution).zip(after("Time:"));
    let costs: Vec<Cost> = times
        .map(|((planning, execution), written)| Cost { planning, execution, written })
        .collect();
    // The first round fills the caches.
    Ok(costs.chunks(texts.len()).skip(1).map(<[_]>::to_vec).collect())
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn main() -> Outcome<()> {
    let server = PostgresServer::start(Options::default())?;
    server.psql("CREATE DATABASE shop")?;
    server.psql_in("shop", SCHEMA)?;
    let catalogue = Catalogue::from_json(&server.psql_in("shop", SNAPSHOT_SQL)?)?;
    println!("{}", server.psql_in("shop", "SELECT version()")?.trim());
    println!(
        "| statement | keys | leaf | planning ms | execution ms | ratio | written ms | ratio |"
    );
    println!("|---|--:|---|--:|--:|--:|--:|--:|");
    for count in KEYS {
        let keys = (0..count).map(|n| (n * 997 + 200_003).to_string()).collect::<Vec<_>>();
        let keys = format!("{{{}}}", keys.join(","));
        for (name, sql) in statements() {
            let masked = rewritten(&sql, &catalogue, Show::Masked, &keys)?;
            let own = rewritten(&sql, &catalogue, Show::Keyed(KeySet(0)), &keys)?;
            let rounds = measured(&server, &[sql, masked, own])?;
            for (index, leaf) in ["none", "masked", "own clear"].into_iter().enumerate() {
                let of = |place: usize| rounds.iter().filter_map(move |round| round.get(place));
                let middle = |figure: fn(&Cost) -> f64| {
                    let ratio = of(index).zip(of(0)).map(|(one, raw)| figure(one) / figure(raw));
                    (median(of(index).map(figure)), median(ratio))
                };
                let (planning, _) = middle(|cost| cost.planning);
                let (execution, ratio) = middle(|cost| cost.execution);
                let (written, written_ratio) = middle(|cost| cost.written);
                println!(
                    "| {name} | {count} | {leaf} | {planning:.3} | {execution:.3} | {ratio:.2} | \
                     {written:.3} | {written_ratio:.2} |"
                );
            }
        }
    }
    Ok(())
}
