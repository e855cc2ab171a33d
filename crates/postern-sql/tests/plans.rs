//! What a server makes of the rewriting: that indexes stay in use, that the keys are never
//! searched from front to back for many rows, that all forms of the leaf show the same, and that a
//! name that was qualified means what the client's meant.
//!
//! `POSTERN_PG_BIN` chooses another server than the newest that is installed.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

use postern_model::FieldClass;
use postern_sql::{
    Catalogue, ColumnRule, Context, Guarded, Hole, InsertRule, KeySet, KeyType, Mode, Reach, Rules,
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
    CREATE TABLE counts (id int PRIMARY KEY, n int);
    INSERT INTO counts VALUES (1, 10);
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

    fn verdict(&self, sql: &str) -> Verdict {
        let path = ["public".to_owned()];
        let context = Context::new(&path, "pk_");
        let mut statements = analyse(sql, &self.catalogue, &rules(), context).unwrap();
        statements.pop().unwrap().verdict
    }

    fn guarded(&self, sql: &str) -> Guarded {
        let verdict = self.verdict(sql);
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
        (format!("{select} WHERE c.id IN ({list})"), "LATERAL"),
        (format!("{select}{crowd} WHERE c.id BETWEEN 696 AND 705 ORDER BY c.id"), "CASE WHEN b.id"),
    ] {
        let text = shop.guarded(&sql).sql.render_literal(|_| keys());
        assert!(text.contains(form), "{text}");
        assert_eq!(shop.rows(&sql).trim_end(), expected.trim_end(), "{sql}");
    }
}

#[test]
fn a_generic_plan_hashes_the_keys_for_many_rows() {
    let shop = Shop::open();
    let guarded = shop.guarded("SELECT id, name, email FROM customers WHERE id > $1");
    let (text, sets) = guarded.sql.render_parameters(guarded.client_parameters);
    assert_eq!(sets, [Hole::Keys(KeySet(0), KeyType::Int)]);
    let keys = keys();
    let run = format!(
        "SET plan_cache_mode = force_generic_plan; PREPARE p AS {text}; \
         EXPLAIN (COSTS OFF) EXECUTE p (0, '{keys}'); \
         SELECT 'then'; EXECUTE p (7399, '{keys}');"
    );
    let said = shop.server.psql_in("shop", &run).unwrap();
    let (plan, rows) = said.split_once("then").unwrap();
    assert!(plan.contains("SubPlan") && plan.contains("Function Scan on unnest"), "{plan}");
    assert!(!plan.contains(" Join") && !plan.contains("= ANY"), "{plan}");
    assert_eq!(rows.lines().filter(|line| line.contains("|name ")).count(), 2, "{rows}");
    assert_eq!(rows.lines().filter(|line| line.contains("|***|")).count(), 20_000 - 7_399 - 2);
}

/// Statements on what is not protected, in which a name could come to mean something else.
const NAMES: [&str; 32] = [
    "SELECT id, customer_id FROM tickets WHERE id < 4 ORDER BY id",
    "SELECT id AS customer_id, -customer_id AS x FROM tickets WHERE id < 9 ORDER BY customer_id",
    "SELECT -id AS id FROM tickets WHERE id < 9 ORDER BY id",
    "SELECT -id AS id FROM tickets WHERE id < 9 ORDER BY id + 0",
    "SELECT id % 3 AS id, count(*) FROM tickets WHERE id < 9 GROUP BY id ORDER BY 1, 2",
    "SELECT id % 3 AS third, count(*) FROM tickets WHERE id < 9 GROUP BY third ORDER BY third",
    "SELECT id % 3 AS m, count(*) FROM tickets WHERE id < 9 GROUP BY ROLLUP (m) ORDER BY m, 2",
    "SELECT customer_id, id, grouping(id) FROM tickets WHERE id < 4 \
     GROUP BY GROUPING SETS ((customer_id, id), (id), ()) ORDER BY id, 3, customer_id",
    "SELECT DISTINCT ON (id % 2) id FROM tickets WHERE id < 9 ORDER BY id % 2, id DESC",
    "SELECT DISTINCT id FROM tickets WHERE id < 9 ORDER BY id DESC",
    "SELECT id, customer_id FROM tickets JOIN (SELECT n AS id FROM one) o USING (id)",
    "SELECT id, a, b FROM (VALUES (1, 2)) x (id, a) FULL JOIN (VALUES (2, 3)) y (id, b) USING (id) \
     ORDER BY id",
    "SELECT id, a FROM (VALUES (3, 2)) x (b, a) RIGHT JOIN (VALUES (2)) y (id) ON b = id",
    "SELECT n, m FROM one NATURAL LEFT JOIN (SELECT n, n + 1 AS m FROM one) x",
    "SELECT id FROM tickets t WHERE id < 4 AND EXISTS (SELECT 1 FROM one t WHERE n < id)",
    "SELECT id, (SELECT n + customer_id FROM one) FROM tickets WHERE id < 4 ORDER BY id",
    "SELECT id, (SELECT max(n * id) FROM one WHERE n < customer_id) FROM tickets WHERE id < 4 \
     ORDER BY id",
    "SELECT g FROM one, generate_series(n, 3) g ORDER BY g DESC",
    "SELECT x, o FROM unnest(ARRAY[7, 8]) WITH ORDINALITY AS u (x, o) ORDER BY o",
    "SELECT n, value FROM one, json_each_text('{\"a\": \"b\"}')",
    "SELECT list[1], (list)[2], list[2:] FROM (SELECT ARRAY[n, 2, 3] AS list FROM one) q",
    "SELECT (json_each_text(json_build_object('k', 10 - id))).*, id FROM \
     (SELECT id, id::text AS value FROM tickets WHERE id < 5) s ORDER BY value",
    "SELECT one, \"order\".n FROM one, one \"order\"",
    "SELECT \"N n\" FROM (SELECT n AS \"N n\" FROM one) \"a.b \"\" c\" WHERE \"N n\" = 1",
    "SELECT n, row_number() OVER w FROM one WINDOW w AS (PARTITION BY n ORDER BY n DESC)",
    "WITH RECURSIVE w AS (SELECT n, 1 AS depth FROM one UNION ALL \
     SELECT n + 1, depth + 1 FROM w WHERE depth < 4) SELECT n, depth FROM w ORDER BY depth DESC",
    "SELECT id FROM tickets WHERE id < 3 UNION SELECT n + 8 FROM one ORDER BY id DESC",
    "SELECT x.id, s FROM tickets x, LATERAL (SELECT customer_id + n AS s FROM one) y WHERE id = 3",
    "INSERT INTO one (n) SELECT id FROM tickets WHERE id < 3 RETURNING n, n + 1",
    "INSERT INTO counts VALUES (1, 5), (2, 6) ON CONFLICT (id) WHERE n > 0 DO UPDATE SET \
     n = counts.n + excluded.n WHERE counts.id < 9 RETURNING id, n",
    "UPDATE one SET n = n + customer_id FROM tickets WHERE id = n + 1 RETURNING n, id",
    "MERGE INTO one USING (SELECT id AS m FROM tickets WHERE id < 3) s ON n = m \
     WHEN MATCHED THEN UPDATE SET n = m + 5 WHEN NOT MATCHED THEN INSERT (n) VALUES (m)",
];

#[test]
fn a_qualified_name_means_what_the_bare_one_meant() {
    let shop = Shop::open();
    for sql in NAMES {
        let run = |sql: &str| {
            let text = format!(
                "BEGIN;\n\\pset tuples_only off\n{sql};\n\\pset tuples_only on\nTABLE one;"
            );
            shop.server.psql_in("shop", &text).unwrap()
        };
        let verdict = shop.verdict(sql);
        let Verdict::Plain(plain) = verdict else { panic!("{sql}: {verdict:?}") };
        assert_eq!(run(&plain.sql), run(sql), "{sql}\n{}", plain.sql);
    }
}
