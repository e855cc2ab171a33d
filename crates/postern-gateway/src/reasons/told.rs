//! What the guarded database tells of what has changed in the tables that reasons are read from:
//! the objects that an administrator makes there, and whether they are what they should be.
//!
//! A trigger on each of those tables writes down whom and what a change is about, with the number
//! of its transaction. It never fires less than always, and nothing but its function writes.
//! Nothing of a row is written but its actor and its subject. Whether to make these objects is the
//! administrator's choice; without them all that is needed is read whole.

use std::{collections::BTreeMap, fmt::Write as _};

use postern_session::{ReasonGrade, ReasonSettings};
use postern_sql::{
    OWN_TABLES, OWN_TRIGGERS,
    quote::{identifier, literal},
};
use tokio_postgres::Client;

/// The trigger's name, on each table; the one for TRUNCATE has `_all` behind it.
const TRIGGER: &str = "postern_tells_changes";

/// How long a change stays at least that everybody has seen who looks.
const KEPT: &str = "10 seconds";

/// A table that reasons are read from, with the pairs of columns that hold actor and subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) schema: String,
    pub(super) table: String,
    pairs: Vec<(String, String)>,
}

/// The tables that reasons are read from.
pub(super) fn sources(reasons: &[ReasonSettings]) -> Vec<Source> {
    let mut found: BTreeMap<(&str, &str), Vec<(String, String)>> = BTreeMap::new();
    // A reason of no table is an approval's.
    for reason in reasons.iter().filter(|reason| !reason.table.is_empty()) {
        let pairs = found.entry((&reason.schema, &reason.table)).or_default();
        let pair = (reason.actor.clone(), reason.subject.clone());
        if !pairs.contains(&pair) {
            pairs.push(pair);
        }
    }
    let source = |((schema, table), mut pairs): ((&str, &str), Vec<_>)| {
        pairs.sort();
        Source { schema: schema.to_owned(), table: table.to_owned(), pairs }
    };
    found.into_iter().map(source).collect()
}

impl Source {
    /// What [`objects_sql`] calls the table.
    pub(super) fn object(&self) -> String {
        format!("table {}.{}", self.schema, self.table)
    }

    /// The table, quoted.
    fn quoted(&self) -> String {
        format!("{}.{}", identifier(&self.schema), identifier(&self.table))
    }

    /// Whether a reason is read from it.
    pub(super) fn is_of(&self, reason: &ReasonSettings) -> bool {
        (&self.schema, &self.table) == (&reason.schema, &reason.table)
    }

    /// The name of the trigger's function, which no other table's has.
    fn function(&self) -> String {
        let name = format!("{}.{}", self.schema, self.table);
        let digest = blake3::hash(name.as_bytes()).to_hex();
        format!("{OWN_TRIGGERS}{}", &digest[..16])
    }

    /// What the trigger's function does.
    fn body(&self) -> String {
        let mut body = String::from(
            "
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        INSERT INTO postern.reason_changes (xact, relation)
            VALUES (pg_catalog.pg_current_xact_id(), TG_RELID);
        RETURN NULL;
    END IF;
",
        );
        for (actor, subject) in &self.pairs {
            let (actor, subject) = (identifier(actor), identifier(subject));
            let tell = |row: &str| {
                format!(
                    "INSERT INTO postern.reason_changes (xact, relation, actor, subject)
            SELECT pg_catalog.pg_current_xact_id(), TG_RELID, {row}.{actor}::pg_catalog.text,
                {row}.{subject}::pg_catalog.text
            WHERE {row}.{actor} IS NOT NULL AND {row}.{subject} IS NOT NULL;"
                )
            };
            let _ = write!(
                body,
                "    IF TG_OP <> 'INSERT' THEN
        {}
    END IF;
    IF TG_OP <> 'DELETE' THEN
        {}
    END IF;
",
                tell("OLD"),
                tell("NEW"),
            );
        }
        body += "    RETURN NULL;\nEND ";
        body
    }
}

/// What forgets changes that all have seen. Whoever runs it does no harm: what has gone is told by
/// the snapshot that showed all of it, and a reader who has not seen as much begins anew.
fn forget_body() -> String {
    format!(
        "
DECLARE
    known pg_catalog.pg_snapshot;
BEGIN
    SELECT m.mark INTO known FROM postern.reason_marks m
        WHERE m.marked < pg_catalog.clock_timestamp() - interval '{KEPT}'
        FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    DELETE FROM postern.reason_changes c WHERE c.xact < pg_catalog.pg_snapshot_xmax(known)
        AND pg_catalog.pg_visible_in_snapshot(c.xact, known);
    UPDATE postern.reason_marks SET forgotten = known, mark = pg_catalog.pg_current_snapshot(),
        marked = pg_catalog.clock_timestamp();
END "
    )
}

/// The SQL by which the guarded database tells what has changed in the tables that reasons are read
/// from, for the account that the gateway has there. Running it again puts all in order.
pub fn changes_sql(reasons: &[ReasonSettings], gateway: &str) -> String {
    let gateway = identifier(gateway);
    let mut sql = format!(
        "-- Tells Postern which reasons have changed, so that it need not read all. Run it as
-- the owner of the tables or a superuser, not as the gateway's own account. To undo it:
-- DROP SCHEMA postern CASCADE;
BEGIN;
CREATE SCHEMA IF NOT EXISTS postern;
REVOKE ALL ON SCHEMA postern FROM PUBLIC;
GRANT USAGE ON SCHEMA postern TO {gateway};

CREATE UNLOGGED TABLE IF NOT EXISTS postern.reason_changes (
    xact pg_catalog.xid8 NOT NULL,
    relation pg_catalog.oid NOT NULL,
    actor pg_catalog.text,
    subject pg_catalog.text
);
CREATE INDEX IF NOT EXISTS reason_changes_xact ON postern.reason_changes (xact);
CREATE TABLE IF NOT EXISTS postern.reason_marks (
    one pg_catalog.bool PRIMARY KEY CHECK (one),
    forgotten pg_catalog.pg_snapshot NOT NULL,
    mark pg_catalog.pg_snapshot NOT NULL,
    marked pg_catalog.timestamptz NOT NULL
);
INSERT INTO postern.reason_marks
    SELECT true, s, s, pg_catalog.clock_timestamp() FROM pg_catalog.pg_current_snapshot() s
    ON CONFLICT DO NOTHING;
REVOKE ALL ON postern.reason_changes, postern.reason_marks FROM PUBLIC;
GRANT SELECT ON postern.reason_changes, postern.reason_marks TO {gateway};

CREATE OR REPLACE FUNCTION postern.forget_reason_changes() RETURNS pg_catalog.void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $postern${}$postern$;
REVOKE ALL ON FUNCTION postern.forget_reason_changes() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION postern.forget_reason_changes() TO {gateway};
",
        forget_body()
    );
    for source in sources(reasons) {
        let (function, table, body) = (source.function(), source.quoted(), source.body());
        let _ = write!(
            sql,
            "
CREATE OR REPLACE FUNCTION postern.{function}() RETURNS pg_catalog.trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $postern${body}$postern$;
REVOKE ALL ON FUNCTION postern.{function}() FROM PUBLIC;
DROP TRIGGER IF EXISTS {TRIGGER} ON {table};
CREATE TRIGGER {TRIGGER} AFTER INSERT OR UPDATE OR DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION postern.{function}();
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {TRIGGER};
DROP TRIGGER IF EXISTS {TRIGGER}_all ON {table};
CREATE TRIGGER {TRIGGER}_all AFTER TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION postern.{function}();
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {TRIGGER}_all;
"
        );
    }
    sql += "COMMIT;\n";
    sql
}

/// One of the objects by which the guarded database tells what has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangesObject {
    /// What it is, and its name.
    pub name: String,
    pub is_there: bool,
    /// It is what [`changes_sql`] makes, or a table of which all changes can be told.
    pub is_fine: bool,
    /// It is a table that reasons are read from.
    pub is_source: bool,
}

/// Looks at the objects by which the guarded database tells what has changed.
///
/// # Errors
/// Where the database can't be asked.
pub async fn changes_objects(
    client: &Client,
    reasons: &[ReasonSettings],
) -> Result<Vec<ChangesObject>, tokio_postgres::Error> {
    let rows = client.query(&objects_sql(reasons), &[]).await?;
    let object = |row: &tokio_postgres::Row| {
        let version: Option<&str> = row.try_get(1)?;
        let source: Option<u32> = row.try_get(3)?;
        Ok(ChangesObject {
            name: row.try_get(0)?,
            is_there: version.is_some(),
            is_fine: row.try_get(2)?,
            is_source: source.is_some(),
        })
    };
    rows.iter().map(object).collect()
}

/// A query with a row for each object of these: what it is, which version, whether it is as
/// it should be, and the OID of the table for one that reasons are read from. An object that is not
/// there has no version. Two readings with equal versions have had the same objects all the time
/// between: each change of one makes a new row of the system's catalogue.
pub(super) fn objects_sql(reasons: &[ReasonSettings]) -> String {
    let mut rows = Vec::new();
    // What a rule or trigger has once set in `pg_class` stays until VACUUM, so that none comes and
    // goes between two looks.
    let own = |table: &str| {
        format!(
            "SELECT {name} AS object, x.version, coalesce(x.fine, false) AS fine,
             NULL::pg_catalog.oid AS source
             FROM (VALUES (true)) v LEFT JOIN (
                SELECT pg_catalog.concat_ws('.', c.oid, c.xmin, c.relfilenode) AS version,
                    c.relkind = 'r' AND NOT c.relrowsecurity AND NOT c.relispartition
                    AND NOT c.relhasrules AND NOT c.relhastriggers
                    AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE c.oid IN
                        (i.inhparent, i.inhrelid))
                    AND NOT EXISTS (SELECT FROM pg_catalog.aclexplode(c.relacl) a
                        WHERE a.grantee <> c.relowner AND a.privilege_type <> 'SELECT') AS fine
                FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                WHERE n.nspname = 'postern' AND c.relname = {table}) x ON true",
            name = literal(&format!("table postern.{table}")),
            table = literal(table),
        )
    };
    rows.extend(OWN_TABLES.map(own));
    rows.push(function_sql("forget_reason_changes", &forget_body()));
    for source in sources(reasons) {
        rows.push(function_sql(&source.function(), &source.body()));
        rows.push(source_sql(&source));
        rows.push(trigger_sql(&source, TRIGGER, ROW_TRIGGER));
        rows.push(trigger_sql(&source, &format!("{TRIGGER}_all"), TRUNCATE_TRIGGER));
    }
    rows.join("\nUNION ALL\n")
}

/// `tgtype` of a trigger after INSERT, UPDATE or DELETE for each row, and after TRUNCATE.
const ROW_TRIGGER: u8 = 1 + 4 + 8 + 16;
const TRUNCATE_TRIGGER: u8 = 32;

fn function_sql(name: &str, body: &str) -> String {
    format!(
        "SELECT {object}, x.version, coalesce(x.fine, false), NULL
         FROM (VALUES (true)) v LEFT JOIN (
            SELECT pg_catalog.concat_ws('.', p.oid, p.xmin) AS version,
                p.prosecdef AND l.lanname = 'plpgsql' AND p.prosrc = {body} AND p.pronargs = 0
                AND p.proconfig = ARRAY['search_path=pg_catalog, pg_temp'] AS fine
            FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
            JOIN pg_catalog.pg_language l ON l.oid = p.prolang
            WHERE n.nspname = 'postern' AND p.proname = {name}) x ON true",
        object = literal(&format!("function postern.{name}()")),
        name = literal(name),
        body = literal(body),
    )
}

/// The table itself: only an ordinary one of which all rows are its own, and all are seen, and in
/// which the columns are of types whose text does not hang on a session's settings. A column that
/// is renamed, or computed in another way, leaves the table's own row as it is.
fn source_sql(source: &Source) -> String {
    let columns: Vec<String> =
        source.pairs.iter().flat_map(|(a, s)| [literal(a), literal(s)]).collect();
    format!(
        "SELECT {object}, x.version, coalesce(x.fine, false), x.oid
         FROM (VALUES (true)) v LEFT JOIN (
            SELECT c.oid, pg_catalog.concat_ws('.', c.oid, c.xmin, c.relfilenode, (
                    SELECT pg_catalog.string_agg(pg_catalog.concat_ws(' ', a.attnum, a.xmin), ','
                        ORDER BY a.attnum)
                    FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid), (
                    SELECT pg_catalog.string_agg(pg_catalog.concat_ws(' ', d.oid, d.xmin), ','
                        ORDER BY d.oid)
                    FROM pg_catalog.pg_attrdef d WHERE d.adrelid = c.oid)) AS version,
                c.relkind = 'r' AND NOT c.relrowsecurity AND NOT c.relispartition
                AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE c.oid IN
                    (i.inhparent, i.inhrelid))
                AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid
                    AND a.attname IN ({columns}) AND (a.attgenerated = 'v' OR a.atttypid <> ALL
                    (ARRAY['int2', 'int4', 'int8', 'text', 'varchar', 'name', 'uuid']
                        ::pg_catalog.regtype[]))) AS fine
            FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = {schema} AND c.relname = {table}) x ON true",
        object = literal(&source.object()),
        columns = columns.join(", "),
        schema = literal(&source.schema),
        table = literal(&source.table),
    )
}

fn trigger_sql(source: &Source, trigger: &str, kind: u8) -> String {
    format!(
        "SELECT {object}, x.version, coalesce(x.fine, false), NULL
         FROM (VALUES (true)) v LEFT JOIN (
            SELECT pg_catalog.concat_ws('.', t.oid, t.xmin) AS version,
                t.tgenabled = 'A' AND t.tgtype = {kind} AND t.tgqual IS NULL AND t.tgnargs = 0
                AND t.tgattr::pg_catalog.text = '' AND NOT t.tgdeferrable
                AND f.proname = {function} AND fn.nspname = 'postern' AS fine
            FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            JOIN pg_catalog.pg_proc f ON f.oid = t.tgfoid
            JOIN pg_catalog.pg_namespace fn ON fn.oid = f.pronamespace
            WHERE n.nspname = {schema} AND c.relname = {table} AND t.tgname = {trigger}) x ON true",
        object = literal(&format!("trigger {trigger} on {}.{}", source.schema, source.table)),
        trigger = literal(trigger),
        function = literal(&source.function()),
        schema = literal(&source.schema),
        table = literal(&source.table),
    )
}

/// What of a table is made, in a transaction that is rolled back, to ask the server whether a
/// reason hangs on nothing but its row: an index may only be on what is so. What it then hangs on
/// beside built-in functions is told by [`HANGS_ON_SQL`].
pub(super) fn trial_sql(reason: &ReasonSettings) -> [String; 2] {
    let table = identifier(&reason.table);
    let text = |column: &str| format!("({}::pg_catalog.text) IS NOT NULL", identifier(column));
    let mut conditions = vec![format!("({})", reason.condition)];
    if let ReasonGrade::StrongWhen(strong) = &reason.grade {
        conditions.push(format!("({strong})"));
    }
    let columns = [Some(&reason.actor), Some(&reason.subject), reason.ticket.as_ref()];
    conditions.extend(columns.into_iter().flatten().map(|column| text(column)));
    [
        format!("CREATE TEMPORARY TABLE {table} (LIKE {}.{table})", identifier(&reason.schema)),
        format!(
            "CREATE INDEX postern_trial ON pg_temp.{table} ((1)) WHERE {}",
            conditions.join(" AND ")
        ),
    ]
}

/// Whether the index of [`trial_sql`] hangs on a function, an operator or a domain that is not
/// PostgreSQL's own.
pub(super) const HANGS_ON_SQL: &str = "SELECT EXISTS (
    SELECT FROM pg_catalog.pg_depend d
    LEFT JOIN pg_catalog.pg_type t ON t.oid = d.refobjid
        AND d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass
    WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
        AND d.objid = 'pg_temp.postern_trial'::pg_catalog.regclass
        AND (t.typtype IN ('d', 'b', 'r', 'm', 'c') OR d.refclassid IN (
            'pg_catalog.pg_proc'::pg_catalog.regclass,
            'pg_catalog.pg_operator'::pg_catalog.regclass)))";
