//! That a mask, in whatever form the server shows it, is not stored back.
//!
//! `POSTERN_PG_BIN` chooses another server than the newest that is installed.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

use postern_model::FieldClass;
use postern_sql::{
    Catalogue, ColumnRule, Context, InsertRule, KeySet, Mode, Reach, Rules, SNAPSHOT_SQL, Show,
    TableRule, UpdateRule, Verdict, analyse,
};
use postern_testkit::{Options, PostgresServer};

/// Types and a value of each that is not the mask.
const TYPES: [(&str, &str); 35] = [
    ("text", "a"),
    ("varchar(60)", "a"),
    ("varchar(2)", "a"),
    ("char(12)", "a"),
    ("bpchar", "a"),
    ("\"char\"", "a"),
    ("name", "a"),
    ("int2", "7"),
    ("int4", "7"),
    ("int8", "7"),
    ("oid", "7"),
    ("float4", "7.5"),
    ("float8", "7.5"),
    ("numeric", "7.50"),
    ("numeric(12,2)", "7.50"),
    ("money", "$7.50"),
    ("bool", "true"),
    ("date", "2020-02-02"),
    ("timestamp", "2020-02-02 02:02"),
    ("timestamptz(0)", "2020-02-02 02:02+00"),
    ("time", "02:02"),
    ("timetz", "02:02+00"),
    ("interval", "7 days"),
    ("uuid", "6f9619ff-8b86-d011-b42d-00cf4fc964ff"),
    ("json", "{\"a\": 1}"),
    ("jsonb", "{\"a\": 1}"),
    ("bytea", "\\x07"),
    ("inet", "10.0.0.7"),
    ("macaddr", "08:00:2b:01:02:03"),
    ("bit(3)", "101"),
    ("varbit(9)", "101"),
    ("point", "(7,7)"),
    ("int4range", "[7,8)"),
    ("int4[]", "{7}"),
    ("tsvector", "'a'"),
];

fn rules(show: Show) -> Rules {
    let columns = (0..TYPES.len()).map(|n| ColumnRule {
        name: format!("c{n}"),
        class: FieldClass::FreeText,
        show,
        lookup: false,
        mask: None,
    });
    let columns: Vec<ColumnRule> = columns.collect();
    let update = columns
        .iter()
        .map(|column| UpdateRule { column: column.name.clone(), reach: Reach::Keyed(KeySet(0)) });
    let table = TableRule {
        schema: "public".to_owned(),
        table: "records".to_owned(),
        subject: "id".to_owned(),
        clear: Vec::new(),
        insert: InsertRule::Refuse,
        update: update.collect(),
        delete: Reach::Refuse,
        reasons: Vec::new(),
        columns,
    };
    Rules {
        mode: Mode::Restricted,
        tables: vec![table],
        functions: Vec::new(),
        relations: Vec::new(),
        unprotected: None,
        reason_names: Vec::new(),
    }
}

struct Desk {
    server: PostgresServer,
    catalogue: Catalogue,
    rules: Rules,
}

impl Desk {
    fn open(show: Show) -> Self {
        let server = PostgresServer::start(Options::default()).unwrap();
        let define = |(n, (kind, _)): (usize, &(&str, &str))| format!(", c{n} {kind}");
        let columns: String = TYPES.iter().enumerate().map(define).collect();
        let values: String =
            TYPES.iter().map(|(_, value)| format!(", {}", quoted(value))).collect();
        let schema = format!(
            "CREATE TABLE records (id bigint PRIMARY KEY{columns}); \
             INSERT INTO records VALUES (1{values}), (2{values});"
        );
        server.psql("CREATE DATABASE desk").unwrap();
        server.psql_in("desk", &schema).unwrap();
        let snapshot = server.psql_in("desk", SNAPSHOT_SQL).unwrap();
        let catalogue = Catalogue::from_json(&snapshot).unwrap();
        Self { server, catalogue, rules: rules(show) }
    }

    /// What the server says of a statement of somebody whose record is the first.
    fn run(&self, sql: &str) -> Result<String, String> {
        let path = ["public".to_owned()];
        let context = Context::new(&path, "pk_");
        let statements = analyse(sql, &self.catalogue, &self.rules, context).unwrap();
        let Verdict::Guarded(guarded) = &statements[0].verdict else { panic!("{statements:?}") };
        if let Err(refusal) = guarded.checks.run("ana", &[]) {
            return Err(refusal.rule.to_owned());
        }
        let text = guarded.sql.render_literal(|_| "{1}");
        self.server.psql_in("desk", &text).map_err(|error| {
            let said = error.to_string();
            let mut checks = guarded.mask_checks.iter();
            match checks.find(|check| said.contains(&format!("\"{}\"", check.name))) {
                Some(check) => check.refusal.rule.to_owned(),
                None => said,
            }
        })
    }

    /// As the first field of the row, in the form in which the server writes it.
    fn shown(&self, column: &str) -> String {
        let row = self.run(&format!("SELECT {column} FROM records WHERE id = 1")).unwrap();
        row.trim_end_matches('\n').rsplit_once('|').unwrap().0.to_owned()
    }

    fn stored(&self, column: &str) -> String {
        let sql = format!("SELECT DISTINCT {column}::text FROM records");
        self.server.psql_in("desk", &sql).unwrap()
    }
}

fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

#[test]
fn what_is_shown_for_a_masked_value_is_not_stored_in_any_type() {
    let desk = Desk::open(Show::Masked);
    for (n, (kind, value)) in TYPES.iter().enumerate() {
        let column = format!("c{n}");
        let (shown, before) = (desk.shown(&column), desk.stored(&column));
        let store = |value: &str| {
            desk.run(&format!("UPDATE records SET {column} = {} WHERE id = 1", quoted(value)))
        };
        assert_eq!(store(&shown), Err("masked_write".to_owned()), "{kind}: {shown}");
        assert_eq!(desk.stored(&column), before, "{kind}");
        store(value).unwrap();
        assert_eq!(desk.stored(&column), before, "{kind}");
    }
    // What has no text of its own is compared all the same.
    let computed = "UPDATE records SET c7 = 3 - 3 WHERE id = 1";
    assert_eq!(desk.run(computed), Err("masked_write".to_owned()));
    desk.run("UPDATE records SET c7 = NULL, c16 = DEFAULT WHERE id = 1").unwrap();
}

#[test]
fn who_sees_a_value_may_store_the_one_that_others_are_shown() {
    let desk = Desk::open(Show::Keyed(KeySet(0)));
    desk.run("UPDATE records SET c16 = false, c7 = 0, c33 = '{}' WHERE id = 1").unwrap();
    assert_eq!(desk.stored("(c16, c7, c33)"), "(f,0,{})\n(t,7,{7})");
    for strange in ["c0 = '***'", "c3 = '***'", "c17 = '1970-01-01'", "c20 = '00:00:00'"] {
        let sql = format!("UPDATE records SET {strange} WHERE id = 1");
        assert_eq!(desk.run(&sql), Err("masked_write".to_owned()), "{strange}");
    }
}
