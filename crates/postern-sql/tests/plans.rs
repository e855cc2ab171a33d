//! What a server makes of the rewriting: that indexes stay in use, that the keys are never
//! searched from front to back for many rows, and that all forms of the leaf show the same.
//!
//! `POSTERN_PG_BIN` chooses another server than the newest that is installed.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

use postern_model::FieldClass;
use postern_sql::{
    Catalogue, ColumnRule, Context, Guarded, Hole, InsertRule, KeySet, Mode, Reach, Rules,
    SNAPSHOT_SQL, Show, TableRule, Verdict, analyse,
};
use postern_testkit::{Options, PostgresServer};

const SCHEMA: &str = "
    CREATE TABLE customers (id bigint PRIMARY KEY, name varchar(60), email text UNIQUE, phone text);
    INSERT INTO customers SELECT n, 'name ' || n, 'mail' || n || '@example.org', '+49 ' || n
        FROM generate_series(1, 20000) n;
    CREATE TABLE tickets (id bigint PRIMARY KEY, customer_id bigint REFERENCES customers);
    INSERT INTO tickets SELECT n, n * 7 % 20000 + 1 FROM generate_series(1, 20000) n;
    CREATE INDEX ON tickets (customer_id);
    CREATE TABLE one (n int);
    INSERT INTO one VALUES (1);
    ANALYZE;";

/// Every hundredth customer is the actor's; one stands there twice.
fn keys() -> String {
    let keys: Vec<String> = (1..=75).chain([7]).map(|n| (n * 100).to_string()).collect();
    format!("{{{}}}", keys.join(","))
}

struct Shop {
    server: PostgresServer,
    catalogue: Catalogue,
}

impl Shop {
    fn open() -> Self {
        let server = PostgresServer::start(Options::default()).unwrap();
        server.psql("CREATE DATABASE shop").unwrap();
        server.psql_in("shop", SCHEMA).unwrap();
        let snapshot = server.psql_in("shop", SNAPSHOT_SQL).unwrap();
        Self { server, catalogue: Catalogue::from_json(&snapshot).unwrap() }
    }

    fn guarded(&self, sql: &str) -> Guarded {
        let path = ["public".to_owned()];
        let context = Context::new(&path, "pk_");
        let mut statements = analyse(sql, &self.catalogue, &rules(), context).unwrap();
        let verdict = statements.pop().unwrap().verdict;
        let Verdict::Guarded(guarded) = verdict else { panic!("{sql}: {verdict:?}") };
        guarded
    }

    fn plan(&self, sql: &str) -> String {
        let text = self.guarded(sql).sql.render_literal(|_| keys());
        self.server.psql_in("shop", &format!("EXPLAIN (COSTS OFF) {text}")).unwrap()
    }

    fn rows(&self, sql: &str) -> String {
        let text = self.guarded(sql).sql.render_literal(|_| keys());
        self.server.psql_in("shop", &text).unwrap()
    }
}

fn rules() -> Rules {
    let column = |name: &str, class, lookup| ColumnRule {
        name: name.to_owned(),
        class,
        show: Show::Keyed(KeySet(0)),
        lookup,
        mask: None,
    };
    let customers = TableRule {
        schema: "public".to_owned(),
        table: "customers".to_owned(),
        subject: "id".to_owned(),
        clear: Vec::new(),
        columns: vec![
            column("name", FieldClass::Name, false),
            column("email", FieldClass::Email, true),
            column("phone", FieldClass::Phone, false),
        ],
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

#[test]
fn indexes_stay_in_use() {
    let shop = Shop::open();
    for (sql, index) in [
        ("SELECT name FROM customers WHERE id = 5", "customers_pkey"),
        ("SELECT * FROM customers WHERE id = 5", "customers_pkey"),
        ("SELECT * FROM customers WHERE id IN (5, 700, 9)", "customers_pkey"),
        ("SELECT * FROM customers WHERE email = 'mail5@example.org'", "customers_email_key"),
        ("SELECT * FROM customers ORDER BY id LIMIT 10", "customers_pkey"),
        ("SELECT * FROM customers WHERE id BETWEEN 5 AND 9", "customers_pkey"),
        (
            "SELECT t.id, c.name, c.email FROM tickets t JOIN customers c ON c.id = t.customer_id \
             WHERE t.id = 5",
            "customers_pkey",
        ),
        (
            "SELECT c.* FROM customers c LEFT JOIN tickets t ON c.id = t.customer_id \
             WHERE c.id = 5",
            "customers_pkey",
        ),
    ] {
        let plan = shop.plan(sql);
        assert!(plan.contains(&format!(" using {index} on customers b")), "{sql}:\n{plan}");
        assert!(!plan.contains("Seq Scan on customers"), "{sql}:\n{plan}");
    }
    let count = shop.plan("SELECT count(*) FROM customers");
    assert!(!count.contains("Join"), "{count}");
}

#[test]
fn all_forms_of_the_leaf_show_the_same() {
    let shop = Shop::open();
    let line = |n: usize| match n {
        700 => format!("{n}|name {n}|mail{n}@example.org|{n}"),
        _ => format!("{n}|***|***@***|{n}"),
    };
    let expected: String = (696..=705).map(|n| line(n) + "\n").collect();
    let list = (696..=705).map(|n| n.to_string()).collect::<Vec<_>>().join(", ");
    let crowd = (0..8).map(|n| format!(", one o{n}")).collect::<String>();
    let select = "SELECT c.id, c.name, c.email FROM customers c";
    for (sql, form) in [
        (format!("{select} WHERE c.id BETWEEN 696 AND 705 ORDER BY c.id"), "unnest"),
        (format!("{select} WHERE c.id IN ({list}) ORDER BY c.id"), "LATERAL"),
        (format!("{select}{crowd} WHERE c.id BETWEEN 696 AND 705 ORDER BY c.id"), "CASE WHEN b.id"),
    ] {
        let text = shop.guarded(&sql).sql.render_literal(|_| keys());
        assert!(text.contains(form), "{text}");
        assert_eq!(shop.rows(&sql).trim_end(), expected.trim_end(), "{sql}");
    }
}

#[test]
fn a_generic_plan_joins_the_keys_for_many_rows() {
    let shop = Shop::open();
    let guarded = shop.guarded("SELECT id, name, email FROM customers WHERE id > $1");
    let (text, sets) = guarded.sql.render_parameters(guarded.client_parameters);
    assert_eq!(sets, [Hole::Keys(KeySet(0))]);
    let keys = keys();
    let run = format!(
        "SET plan_cache_mode = force_generic_plan; PREPARE p AS {text}; \
         EXPLAIN (COSTS OFF) EXECUTE p (0, '{keys}'); \
         SELECT 'then'; EXECUTE p (7399, '{keys}');"
    );
    let said = shop.server.psql_in("shop", &run).unwrap();
    let (plan, rows) = said.split_once("then").unwrap();
    assert!(plan.contains(" Join") && plan.contains("Function Scan on unnest"), "{plan}");
    assert!(!plan.contains("ANY"), "{plan}");
    assert_eq!(rows.lines().filter(|line| line.contains("|name ")).count(), 2, "{rows}");
    assert_eq!(rows.lines().filter(|line| line.contains("|***|")).count(), 20_000 - 7_399 - 2);
}
