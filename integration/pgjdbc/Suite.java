// What pgjdbc does with a server, each piece as a test that tells what it saw.
//
// The same idea as ../psycopg/suite.py: a new connection for each test, a line of JSON for each.

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.StringReader;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.sql.Array;
import java.sql.BatchUpdateException;
import java.sql.CallableStatement;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ParameterMetaData;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.SQLWarning;
import java.sql.Savepoint;
import java.sql.Statement;
import java.sql.Types;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import javax.sql.XAConnection;
import javax.transaction.xa.XAResource;
import javax.transaction.xa.Xid;
import org.postgresql.PGConnection;
import org.postgresql.PGNotification;
import org.postgresql.copy.CopyIn;
import org.postgresql.copy.CopyManager;
import org.postgresql.largeobject.LargeObject;
import org.postgresql.largeobject.LargeObjectManager;
import org.postgresql.util.PSQLException;
import org.postgresql.util.ServerErrorMessage;
import org.postgresql.xa.PGXADataSource;

public final class Suite {
    interface Act { Object run(Connection c) throws Exception; }

    static final Map<String, Act> TESTS = new LinkedHashMap<>();
    /** Options of the connection, by the name of the test. */
    static final Map<String, String[]> OPTIONS = new LinkedHashMap<>();
    static final int SECONDS_MAX = 30;
    static final String LONG =
        "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b";

    // What must be there already is made over a direct connection.
    static final String SETTING =
        "CREATE TABLE IF NOT EXISTS wares (id int PRIMARY KEY, name text NOT NULL DEFAULT 'new',"
        + " price numeric(10, 2), at timestamptz, UNIQUE (name));"
        + "CREATE TABLE IF NOT EXISTS sales (id serial PRIMARY KEY, ware int REFERENCES wares,"
        + " note text);"
        + "CREATE INDEX IF NOT EXISTS sales_by_ware ON sales (ware DESC);"
        + "CREATE OR REPLACE VIEW dear AS SELECT id, name FROM wares WHERE price > 1000;"
        + "CREATE OR REPLACE FUNCTION triple(a int) RETURNS int LANGUAGE sql IMMUTABLE"
        + " AS 'SELECT $1 * 3';"
        + "CREATE OR REPLACE PROCEDURE idle_about() LANGUAGE plpgsql AS 'BEGIN END';"
        + "TRUNCATE wares, sales RESTART IDENTITY;"
        + "INSERT INTO wares SELECT n, 'ware ' || n, n * 1.5,"
        + " timestamptz '2026-01-01 00:00Z' + n * interval '1h' FROM generate_series(1, 1000) n;";

    static void test(String name, Act act, String... options) {
        TESTS.put(name, act);
        OPTIONS.put(name, options);
    }

    static Connection connect(String port, String... options) throws SQLException {
        Properties words = new Properties();
        words.put("user", System.getenv("PGUSER"));
        words.put("password", System.getenv("PGPASSWORD"));
        words.put("sslmode", "disable");
        for (String option : options) {
            String[] parts = option.split("=", 2);
            words.put(parts[0], parts[1]);
        }
        return DriverManager.getConnection("jdbc:postgresql://" + System.getenv("PGHOST") + ":"
            + port + "/" + System.getenv("PGDATABASE"), words);
    }

    static Connection another() throws SQLException {
        return connect(System.getenv("PGPORT"));
    }

    /** What a program can see of an error. */
    static Object failure(Throwable error) {
        List<Object> seen = new ArrayList<>();
        seen.add(error.getClass().getSimpleName());
        if (error instanceof BatchUpdateException batch) {
            seen.add(Arrays.toString(batch.getUpdateCounts()));
            seen.add(failure(batch.getNextException()));
        }
        if (error instanceof SQLException sql) {
            seen.add(sql.getSQLState());
        }
        ServerErrorMessage told =
            error instanceof PSQLException known ? known.getServerErrorMessage() : null;
        if (told == null) {
            seen.add(error.getMessage());
            return seen;
        }
        seen.addAll(Arrays.asList(told.getSeverity(), told.getMessage(), told.getDetail(),
            told.getHint(), told.getPosition(), told.getWhere(), told.getTable(),
            told.getConstraint()));
        return seen;
    }

    interface Try { Object run() throws Exception; }

    static Object attempt(Try act) {
        try {
            return act.run();
        } catch (Exception error) {
            return failure(error);
        }
    }

    static List<Object> described(ResultSetMetaData columns) throws SQLException {
        List<Object> seen = new ArrayList<>();
        for (int at = 1; at <= columns.getColumnCount(); at++) {
            seen.add(Arrays.asList(columns.getColumnLabel(at), columns.getColumnName(at),
                columns.getColumnTypeName(at), columns.getColumnType(at), columns.getPrecision(at),
                columns.getScale(at), columns.isNullable(at), columns.isAutoIncrement(at),
                columns.getTableName(at), columns.getColumnClassName(at)));
        }
        return seen;
    }

    static Object value(ResultSet rows, int at) throws SQLException {
        Object found = rows.getObject(at);
        if (found instanceof byte[] bytes) {
            return Arrays.toString(bytes);
        }
        if (found instanceof Array array) {
            return array.getBaseTypeName() + array;
        }
        return found == null ? "null" : found.getClass().getSimpleName() + " " + rows.getString(at);
    }

    static List<Object> rows(ResultSet found) throws SQLException {
        List<Object> seen = new ArrayList<>();
        int columns = found.getMetaData().getColumnCount();
        while (found.next()) {
            List<Object> row = new ArrayList<>();
            for (int at = 1; at <= columns; at++) {
                row.add(value(found, at));
            }
            seen.add(row);
        }
        return seen;
    }

    /** Columns and rows of all results, or how many rows were touched. */
    static Object all(Statement statement, boolean hasRows) throws SQLException {
        List<Object> seen = new ArrayList<>();
        while (hasRows || statement.getUpdateCount() != -1) {
            if (hasRows) {
                seen.add(described(statement.getResultSet().getMetaData()));
                seen.add(rows(statement.getResultSet()));
            } else {
                seen.add(statement.getUpdateCount());
            }
            hasRows = statement.getMoreResults();
        }
        for (SQLWarning told = statement.getWarnings(); told != null;
                told = told.getNextWarning()) {
            seen.add(told.getSQLState() + " " + told.getMessage());
        }
        return seen;
    }

    static Object ask(Connection c, String text, Object... values) throws SQLException {
        if (values.length == 0) {
            try (Statement statement = c.createStatement()) {
                return all(statement, statement.execute(text));
            }
        }
        try (PreparedStatement statement = c.prepareStatement(text)) {
            for (int at = 0; at < values.length; at++) {
                statement.setObject(at + 1, values[at]);
            }
            return all(statement, statement.execute());
        }
    }

    static final String[] LITERALS = {"1::int2", "1", "1::int8", "1.5::float4", "1.5::float8",
        "1.50::numeric", "'NaN'::numeric", "'a'::char(3)", "'b'::varchar(5)", "'c'::text", "true",
        "'\\x00ff'::bytea", "date '2026-01-02'", "time '01:02'", "timetz '01:02+03'",
        "timestamp '2026-01-02 03:04:05.6'", "timestamptz '2026-01-02 03:04Z'",
        "interval '1 mon 2 days'", "'{\"a\":1}'::json", "'[1]'::jsonb", "array[1,2,NULL]",
        "array['a','q\"']", "array[[1,2],[3,4]]", "point(1,2)", "box '((1,2),(3,4))'",
        "int4range(1,5)", "inet '::1'", "12.5::money", "ROW(1,'a')", "NULL",
        "uuid '00000000-0000-0000-0000-000000000001'", "1::oid", "'infinity'::date", "B'101'",
        "'pg_class'::regclass", "'x'::name", "date '0001-01-01 BC'", "repeat('x', 100000)"};
    static final String[] ERRORS = {"SELEC 1", "SELECT * FROM nowhere", "SELECT x FROM wares",
        "SELECT 1/0", "INSERT INTO wares (id) VALUES (1)", "INSERT INTO wares (id) VALUES (NULL)",
        "INSERT INTO sales (ware) VALUES (-1)", "SELECT 'x'::int", "SELECT 'a",
        "SELECT 1/(500 - n) FROM generate_series(1, 1000) n"};
    static final String[] STATEMENTS = {"INSERT INTO wares (id, name) VALUES (5000, 'a') RETURNING *",
        "UPDATE wares SET name = name WHERE id < 5", "DELETE FROM wares WHERE id > 9000",
        "SELECT 1 AS a; SELECT 'b' AS b; UPDATE wares SET id = id WHERE id = 1", "",
        "-- nothing", "SELECT FROM wares LIMIT 2", "SELECT 1 AS a, 2 AS a",
        "SET timezone = 'Asia/Tokyo'", "SHOW timezone", "VALUES (1), (2)",
        "CREATE TABLE made (id int)", "CREATE TEMP TABLE made (id int)",
        "DO $$ BEGIN RAISE NOTICE 'x'; END $$", "EXPLAIN (COSTS off) SELECT * FROM wares",
        "SELECT version()", "SELECT id FROM wares WHERE id = 1 FOR UPDATE",
        "INSERT INTO wares (id) VALUES (1) ON CONFLICT DO NOTHING", "SELECT * FROM dear LIMIT 2",
        "WITH a AS (SELECT 1 AS n) SELECT * FROM a", "TABLE wares LIMIT 1"};
    static final String[][] WAYS = {{"simple", "preferQueryMode=simple"},
        {"extended", "preferQueryMode=extended"}, {"prepared", "prepareThreshold=1"},
        {"binary", "prepareThreshold=-1"}, {"cached", "preferQueryMode=extendedCacheEverything"}};

    static void values() {
        for (String[] way : WAYS) {
            for (String literal : LITERALS) {
                test("literal_" + way[0] + " " + literal, c -> {
                    Object seen = null;
                    try (PreparedStatement p = c.prepareStatement("SELECT " + literal + " AS v")) {
                        // Twice: the form of what comes may be another one from then on.
                        for (int turn = 0; turn < 2; turn++) {
                            seen = all(p, p.execute());
                        }
                    }
                    String text = seen.toString();
                    return text.substring(0, Math.min(300, text.length()));
                }, way[1]);
            }
            for (String text : ERRORS) {
                test("error_" + way[0] + " " + text, c -> Arrays.asList(
                    attempt(() -> ask(c, text)), ask(c, "SELECT 1"), attempt(() -> {
                        c.setAutoCommit(false);
                        ask(c, "SELECT 2");
                        Object seen = attempt(() -> ask(c, text));
                        Object after = attempt(() -> ask(c, "SELECT 3"));
                        c.rollback();
                        return Arrays.asList(seen, after, ask(c, "SELECT 4"));
                    })), way[1]);
            }
            for (String text : STATEMENTS) {
                test("statement_" + way[0] + " " + text, c -> {
                    c.setAutoCommit(false);
                    Object seen = attempt(() -> ask(c, text));
                    c.rollback();
                    return Arrays.asList(seen, ask(c, "SELECT 1"));
                }, way[1]);
            }
        }
        Object[] given = {1, 2L, (short) 3, 1.5f, 2.5, new java.math.BigDecimal("1.50"), true,
            "naïve 'quoted' \\ ☃", "", new byte[] {0, 1, -1}, java.sql.Date.valueOf("2026-01-02"),
            java.time.LocalDate.of(2026, 1, 2), java.time.LocalDateTime.of(2026, 1, 2, 3, 4),
            java.time.OffsetDateTime.parse("2026-01-02T03:04:05Z"),
            java.util.UUID.fromString("00000000-0000-0000-0000-000000000001"),
            java.sql.Timestamp.valueOf("2026-01-02 03:04:05.6")};
        for (String[] way : WAYS) {
            for (int at = 0; at < given.length; at++) {
                Object one = given[at];
                test("parameter_" + way[0] + "_" + at + "_" + one.getClass().getSimpleName(),
                    c -> attempt(() -> ask(c, "SELECT ? AS v, ? IS NULL", one, one)), way[1]);
            }
        }
    }

    static void reading() {
        for (int size : new int[] {0, 1, 7, 1000, 5000}) {
            for (boolean committing : new boolean[] {false, true}) {
                test("fetch_size_" + size + (committing ? "_autocommit" : ""), c -> {
                    c.setAutoCommit(committing);
                    try (Statement s = c.createStatement()) {
                        s.setFetchSize(size);
                        try (ResultSet r = s.executeQuery("SELECT id, name FROM wares ORDER BY id")) {
                            return rows(r).hashCode();
                        }
                    }
                });
            }
        }
        test("fetch_part_then_another", c -> {
            c.setAutoCommit(false);
            Statement s = c.createStatement();
            s.setFetchSize(10);
            ResultSet r = s.executeQuery("SELECT id FROM wares ORDER BY id");
            for (int n = 0; n < 25; n++) {
                r.next();
            }
            Object other = ask(c, "SELECT count(*) FROM wares");
            r.next();
            int next = r.getInt(1);
            s.close();
            c.commit();
            return Arrays.asList(other, next);
        });
        test("error_in_the_middle_of_fetching", c -> {
            c.setAutoCommit(false);
            Statement s = c.createStatement();
            s.setFetchSize(100);
            return attempt(() -> rows(
                s.executeQuery("SELECT 1/(500 - n) FROM generate_series(1, 1000) n")));
        });
        test("max_rows", c -> {
            Statement s = c.createStatement();
            s.setMaxRows(3);
            return rows(s.executeQuery("SELECT id FROM wares ORDER BY id"));
        });
        test("scrollable", c -> {
            Statement s = c.createStatement(
                ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_READ_ONLY);
            ResultSet r = s.executeQuery("SELECT id FROM wares ORDER BY id");
            r.absolute(500);
            int middle = r.getInt(1);
            r.last();
            return Arrays.asList(middle, r.getInt(1), r.getRow());
        });
        test("updatable", c -> attempt(() -> {
            c.setAutoCommit(false);
            Statement s = c.createStatement(
                ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_UPDATABLE);
            ResultSet r = s.executeQuery("SELECT id, name FROM wares WHERE id < 3 ORDER BY id");
            r.next();
            r.updateString(2, "changed");
            r.updateRow();
            r.moveToInsertRow();
            r.updateInt(1, 7000);
            r.updateString(2, "inserted");
            r.insertRow();
            Object seen = ask(c, "SELECT id, name FROM wares WHERE id IN (1, 7000) ORDER BY id");
            c.rollback();
            return seen;
        }));
        test("holdable", c -> attempt(() -> {
            c.setAutoCommit(false);
            Statement s = c.createStatement(ResultSet.TYPE_FORWARD_ONLY,
                ResultSet.CONCUR_READ_ONLY, ResultSet.HOLD_CURSORS_OVER_COMMIT);
            s.setFetchSize(5);
            ResultSet r = s.executeQuery("SELECT id FROM wares ORDER BY id");
            r.next();
            c.commit();
            return rows(r).size();
        }));
        test("sql_cursor", c -> {
            c.setAutoCommit(false);
            ask(c, "DECLARE few CURSOR FOR SELECT id FROM wares ORDER BY id");
            Object seen = Arrays.asList(ask(c, "FETCH 2 FROM few"), ask(c, "MOVE 3 IN few"),
                ask(c, "FETCH NEXT FROM few"), ask(c, "CLOSE few"),
                attempt(() -> ask(c, "FETCH 1 FROM few")));
            c.rollback();
            return seen;
        });
        test("ref_cursor", c -> attempt(() -> {
            c.setAutoCommit(false);
            ask(c, "DECLARE named CURSOR FOR SELECT 1");
            return ask(c, "SELECT 'named'::refcursor");
        }));
    }

    static void writing() {
        for (String rewriting : new String[] {"false", "true"}) {
            for (int count : new int[] {1, 3, 200}) {
                test("batch_" + count + "_rewritten_" + rewriting, c -> {
                    c.setAutoCommit(false);
                    PreparedStatement p = c.prepareStatement("INSERT INTO sales (ware) VALUES (?)");
                    for (int n = 1; n <= count; n++) {
                        p.setInt(1, n);
                        p.addBatch();
                    }
                    Object seen = Arrays.toString(p.executeBatch());
                    Object there = ask(c, "SELECT count(*), sum(ware) FROM sales");
                    c.rollback();
                    return Arrays.asList(seen, there);
                }, "reWriteBatchedInserts=" + rewriting);
            }
        }
        test("batch_with_an_error", c -> {
            PreparedStatement p = c.prepareStatement("INSERT INTO sales (ware) VALUES (?)");
            for (int n : new int[] {1, 2, -1, 3}) {
                p.setInt(1, n);
                p.addBatch();
            }
            return Arrays.asList(attempt(p::executeBatch), ask(c, "SELECT count(*) FROM sales"));
        });
        test("batch_of_statements", c -> {
            c.setAutoCommit(false);
            Statement s = c.createStatement();
            s.addBatch("UPDATE wares SET name = name WHERE id < 10");
            s.addBatch("DELETE FROM wares WHERE id = -1");
            Object seen = Arrays.toString(s.executeBatch());
            c.rollback();
            return seen;
        });
        for (String[] way : WAYS) {
            test("generated_keys_" + way[0], c -> {
                c.setAutoCommit(false);
                PreparedStatement p = c.prepareStatement(
                    "INSERT INTO sales (ware, note) VALUES (1, 'x')", new String[] {"note", "ware"});
                p.executeUpdate();
                Object seen = rows(p.getGeneratedKeys());
                c.rollback();
                return seen;
            }, way[1]);
        }
        test("generated_keys_all", c -> {
            c.setAutoCommit(false);
            Statement s = c.createStatement();
            s.executeUpdate("INSERT INTO wares (id) VALUES (8000)", Statement.RETURN_GENERATED_KEYS);
            Object seen = rows(s.getGeneratedKeys());
            c.rollback();
            return seen;
        });
        test("copy_out", c -> {
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            long count = new CopyManager(c.unwrap(org.postgresql.core.BaseConnection.class))
                .copyOut("COPY (SELECT id, name FROM wares ORDER BY id) TO STDOUT CSV HEADER", out);
            return Arrays.asList(count, out.toString(StandardCharsets.UTF_8).hashCode());
        });
        test("copy_out_binary", c -> {
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            ((PGConnection) c).getCopyAPI()
                .copyOut("COPY (SELECT 1, 'a'::text) TO STDOUT (FORMAT binary)", out);
            return Arrays.toString(out.toByteArray());
        });
        test("copy_in", c -> {
            c.setAutoCommit(false);
            long count = ((PGConnection) c).getCopyAPI().copyIn(
                "COPY sales (ware, note) FROM STDIN CSV", new StringReader("1,a\n2,\"b,c\"\n"));
            Object there = ask(c, "SELECT ware, note FROM sales ORDER BY ware");
            c.rollback();
            return Arrays.asList(count, there);
        });
        test("copy_in_bad_row", c -> Arrays.asList(attempt(() -> ((PGConnection) c).getCopyAPI()
            .copyIn("COPY sales (ware) FROM STDIN", new StringReader("1\nx\n3\n"))),
            ask(c, "SELECT 1")));
        test("copy_in_given_up", c -> {
            CopyIn copy = ((PGConnection) c).getCopyAPI().copyIn("COPY sales (ware) FROM STDIN");
            byte[] bytes = "1\n".getBytes(StandardCharsets.UTF_8);
            copy.writeToCopy(bytes, 0, bytes.length);
            Object seen = attempt(() -> { copy.cancelCopy(); return "cancelled"; });
            return Arrays.asList(seen, ask(c, "SELECT count(*) FROM sales WHERE ware = 1"));
        });
        test("large_object", c -> attempt(() -> {
            c.setAutoCommit(false);
            LargeObjectManager objects = ((PGConnection) c).getLargeObjectAPI();
            long oid = objects.createLO();
            LargeObject object = objects.open(oid, LargeObjectManager.READWRITE);
            object.write("some words".getBytes(StandardCharsets.UTF_8));
            object.seek(5);
            Object seen = new String(object.read(100), StandardCharsets.UTF_8);
            objects.delete(oid);
            c.rollback();
            return seen;
        }));
    }

    static void transactions() {
        int[] levels = {Connection.TRANSACTION_READ_UNCOMMITTED,
            Connection.TRANSACTION_READ_COMMITTED, Connection.TRANSACTION_REPEATABLE_READ,
            Connection.TRANSACTION_SERIALIZABLE};
        for (int level : levels) {
            test("isolation_" + level, c -> attempt(() -> {
                c.setTransactionIsolation(level);
                c.setAutoCommit(false);
                return Arrays.asList(c.getTransactionIsolation(),
                    ask(c, "SELECT current_setting('transaction_isolation')"));
            }));
        }
        test("read_only", c -> {
            c.setReadOnly(true);
            c.setAutoCommit(false);
            Object seen = attempt(() -> ask(c, "UPDATE wares SET id = id WHERE id = 1"));
            c.rollback();
            return seen;
        });
        test("savepoints", c -> {
            c.setAutoCommit(false);
            ask(c, "INSERT INTO sales (ware) VALUES (1)");
            Savepoint here = c.setSavepoint("here");
            Object seen = attempt(() -> ask(c, "INSERT INTO sales (ware) VALUES (-1)"));
            c.rollback(here);
            Savepoint there = c.setSavepoint();
            c.releaseSavepoint(there);
            Object count = ask(c, "SELECT count(*) FROM sales");
            c.rollback();
            return Arrays.asList(seen, count);
        });
        for (String saving : new String[] {"always", "conservative", "never"}) {
            test("autosave_" + saving, c -> {
                c.setAutoCommit(false);
                ask(c, "SELECT 1");
                Object first = attempt(() -> ask(c, "SELECT * FROM nowhere"));
                Object second = attempt(() -> ask(c, "SELECT 2"));
                c.rollback();
                return Arrays.asList(first, second);
            }, "autosave=" + saving);
        }
        test("table_changes_under_a_statement", c -> {
            c.setAutoCommit(true);
            ask(c, "CREATE TEMP TABLE moving (a int)");
            PreparedStatement p = c.prepareStatement("SELECT * FROM moving");
            Object before = all(p, p.execute());
            ask(c, "ALTER TABLE moving ADD b text");
            return Arrays.asList(before, attempt(() -> all(p, p.execute())));
        }, "prepareThreshold=1");
        test("xa", c -> attempt(() -> {
            PGXADataSource source = new PGXADataSource();
            source.setServerNames(new String[] {System.getenv("PGHOST")});
            source.setPortNumbers(new int[] {Integer.parseInt(System.getenv("PGPORT"))});
            source.setDatabaseName(System.getenv("PGDATABASE"));
            source.setUser(System.getenv("PGUSER"));
            source.setPassword(System.getenv("PGPASSWORD"));
            source.setSslMode("disable");
            XAConnection connection = source.getXAConnection();
            XAResource resource = connection.getXAResource();
            Xid id = new Named();
            resource.start(id, XAResource.TMNOFLAGS);
            ask(connection.getConnection(), "INSERT INTO sales (ware) VALUES (3)");
            resource.end(id, XAResource.TMSUCCESS);
            Object vote = resource.prepare(id);
            Object found = resource.recover(XAResource.TMSTARTRSCAN).length;
            resource.rollback(id);
            connection.close();
            return Arrays.asList(vote, found);
        }));
    }

    record Named() implements Xid {
        public int getFormatId() { return 1; }
        public byte[] getGlobalTransactionId() { return new byte[] {1, 2}; }
        public byte[] getBranchQualifier() { return new byte[] {3}; }
    }

    static void sessions() {
        test("parameter_status", c -> {
            Map<String, String> told = new java.util.TreeMap<>(
                ((PGConnection) c).getParameterStatuses());
            return told;
        });
        test("schema", c -> attempt(() -> {
            c.setSchema("public");
            return Arrays.asList(c.getSchema(), c.getCatalog());
        }));
        test("client_info", c -> attempt(() -> {
            c.setClientInfo("ApplicationName", "a test");
            return Arrays.asList(c.getClientInfo("ApplicationName"), ask(c, "SHOW application_name"));
        }));
        test("application_name", c -> ask(c, "SHOW application_name"), "ApplicationName=mine");
        test("current_schema", c -> ask(c, "SHOW search_path"), "currentSchema=public");
        test("read_only_option", c -> attempt(() -> {
            c.setAutoCommit(false);
            return ask(c, "DELETE FROM sales");
        }), "readOnly=true");
        test("options", c -> ask(c, "SHOW statement_timeout"), "options=-c statement_timeout=12345");
        test("is_valid", c -> c.isValid(5));
        test("network_timeout", c -> {
            c.setNetworkTimeout(Runnable::run, 20000);
            return ask(c, "SELECT 1");
        });
        test("query_timeout", c -> {
            Statement s = c.createStatement();
            s.setQueryTimeout(1);
            return Arrays.asList(attempt(() -> s.execute(LONG)), ask(c, "SELECT 1"));
        });
        test("cancel", c -> {
            Statement s = c.createStatement();
            ExecutorService other = Executors.newSingleThreadExecutor();
            Future<Object> seen = other.submit(() -> attempt(() -> s.execute(LONG)));
            Thread.sleep(500);
            s.cancel();
            other.shutdown();
            return Arrays.asList(seen.get(), ask(c, "SELECT 1"));
        });
        test("notify", c -> attempt(() -> {
            ask(c, "LISTEN news");
            try (Connection other = another()) {
                ask(other, "NOTIFY news, 'words'");
            }
            PGNotification[] told = ((PGConnection) c).getNotifications(5000);
            return Arrays.asList(told.length, told[0].getName(), told[0].getParameter());
        }));
        test("pid_is_own", c -> attempt(() -> {
            int told = ((PGConnection) c).getBackendPID();
            try (ResultSet r = c.createStatement().executeQuery("SELECT pg_backend_pid()")) {
                r.next();
                return told == r.getInt(1);
            }
        }));
        test("call_function", c -> attempt(() -> {
            CallableStatement call = c.prepareCall("{ ? = call triple(?) }");
            call.registerOutParameter(1, Types.INTEGER);
            call.setInt(2, 14);
            call.execute();
            return call.getInt(1);
        }));
        test("call_builtin", c -> attempt(() -> {
            CallableStatement call = c.prepareCall("{ ? = call upper(?) }");
            call.registerOutParameter(1, Types.VARCHAR);
            call.setString(2, "loud");
            call.execute();
            return call.getString(1);
        }));
        test("call_procedure", c -> attempt(() -> ask(c, "CALL idle_about()")));
        test("escapes", c -> ask(c, "SELECT {fn ucase('a')}, {d '2026-01-02'}, {fn length('abc')}"));
        test("wrong_password", c -> attempt(() -> connect(System.getenv("PGPORT"), "password=x")));
        test("no_database", c -> attempt(() -> DriverManager.getConnection("jdbc:postgresql://"
            + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/nowhere",
            System.getenv("PGUSER"), System.getenv("PGPASSWORD"))));
        test("arrays", c -> attempt(() -> ask(c, "SELECT ?::int[] || 4, ?::text[]",
            c.createArrayOf("int4", new Integer[] {1, null, 3}),
            c.createArrayOf("text", new String[] {"a", "b,c"}))));
        test("statement_pool", c -> {
            List<Object> seen = new ArrayList<>();
            for (int n = 0; n < 600; n++) {
                PreparedStatement p = c.prepareStatement("SELECT " + n % 300 + " + ?");
                p.setInt(1, n);
                ResultSet r = p.executeQuery();
                r.next();
                seen.add(r.getInt(1));
                p.close();
            }
            return seen.hashCode();
        }, "prepareThreshold=1", "preparedStatementCacheQueries=50");
        test("deallocate_all", c -> {
            PreparedStatement p = c.prepareStatement("SELECT 1 + ?");
            p.setInt(1, 1);
            Object first = rows(p.executeQuery());
            ask(c, "DEALLOCATE ALL");
            return Arrays.asList(first, attempt(() -> rows(p.executeQuery())));
        }, "prepareThreshold=1");
    }

    static void catalogues() {
        String[] kinds = {"TABLE", "VIEW", "SEQUENCE", "INDEX"};
        test("meta_product", c -> Arrays.asList(c.getMetaData().getDatabaseProductVersion(),
            c.getMetaData().getUserName(), c.getMetaData().getMaxColumnNameLength(),
            c.getMetaData().getSQLKeywords()));
        test("meta_tables", c -> attempt(() ->
            rows(c.getMetaData().getTables(null, "public", "%", kinds))));
        test("meta_columns", c -> attempt(() ->
            rows(c.getMetaData().getColumns(null, "public", "%", "%"))));
        test("meta_primary_keys", c -> attempt(() ->
            rows(c.getMetaData().getPrimaryKeys(null, "public", "wares"))));
        test("meta_imported_keys", c -> attempt(() ->
            rows(c.getMetaData().getImportedKeys(null, "public", "sales"))));
        test("meta_exported_keys", c -> attempt(() ->
            rows(c.getMetaData().getExportedKeys(null, "public", "wares"))));
        test("meta_cross_reference", c -> attempt(() -> rows(c.getMetaData()
            .getCrossReference(null, "public", "wares", null, "public", "sales"))));
        test("meta_indexes", c -> attempt(() ->
            rows(c.getMetaData().getIndexInfo(null, "public", "wares", false, true))));
        test("meta_best_row", c -> attempt(() ->
            rows(c.getMetaData().getBestRowIdentifier(null, "public", "wares", 0, true))));
        test("meta_version_columns", c -> attempt(() ->
            rows(c.getMetaData().getVersionColumns(null, "public", "wares"))));
        test("meta_schemas", c -> attempt(() -> rows(c.getMetaData().getSchemas())));
        test("meta_catalogs", c -> attempt(() -> rows(c.getMetaData().getCatalogs())));
        test("meta_types", c -> attempt(() -> rows(c.getMetaData().getTypeInfo()).hashCode()));
        test("meta_table_types", c -> attempt(() -> rows(c.getMetaData().getTableTypes())));
        test("meta_functions", c -> attempt(() ->
            rows(c.getMetaData().getFunctions(null, "public", "%"))));
        test("meta_function_columns", c -> attempt(() ->
            rows(c.getMetaData().getFunctionColumns(null, "public", "triple", "%"))));
        test("meta_procedures", c -> attempt(() ->
            rows(c.getMetaData().getProcedures(null, "public", "%"))));
        test("meta_privileges", c -> attempt(() ->
            rows(c.getMetaData().getTablePrivileges(null, "public", "wares"))));
        test("meta_column_privileges", c -> attempt(() ->
            rows(c.getMetaData().getColumnPrivileges(null, "public", "wares", "%"))));
        test("meta_own_types", c -> attempt(() ->
            rows(c.getMetaData().getUDTs(null, "public", "%", null))));
        test("meta_client_info", c -> attempt(() ->
            rows(c.getMetaData().getClientInfoProperties())));
        test("meta_max_connections", c -> attempt(() ->
            Arrays.asList(c.getMetaData().getMaxConnections(), c.getMetaData().getMaxIndexLength())));
        test("parameters_of_a_statement", c -> attempt(() -> {
            ParameterMetaData told = c.prepareStatement(
                "INSERT INTO wares (id, name, price, at) VALUES (?, ?, ?, ?)").getParameterMetaData();
            List<Object> seen = new ArrayList<>();
            for (int at = 1; at <= told.getParameterCount(); at++) {
                seen.add(told.getParameterTypeName(at));
            }
            return seen;
        }));
        test("columns_of_a_statement", c -> attempt(() -> described(
            c.prepareStatement("SELECT w.*, 1 AS one FROM wares w").getMetaData())));
    }

    static String quoted(String text) {
        StringWriter out = new StringWriter();
        for (char one : text.toCharArray()) {
            if (one == '"' || one == '\\') {
                out.append('\\').append(one);
            } else if (one < ' ') {
                out.append(String.format("\\u%04x", (int) one));
            } else {
                out.append(one);
            }
        }
        return "\"" + out + "\"";
    }

    static Object run(String name, Act act) throws Exception {
        try (Connection c = connect(System.getenv("PGPORT"), OPTIONS.get(name))) {
            return act.run(c);
        }
    }

    public static void main(String[] arguments) throws Exception {
        values();
        reading();
        writing();
        transactions();
        sessions();
        catalogues();
        String only = System.getenv("ONLY");
        ExecutorService runner = Executors.newCachedThreadPool();
        for (Map.Entry<String, Act> one : TESTS.entrySet()) {
            if (!one.getKey().contains(only)) {
                continue;
            }
            // What one test leaves behind is not there for the next.
            try (Connection direct = connect(System.getenv("DIRECT_PORT"))) {
                if (needsSetting) {
                    direct.createStatement().execute(SETTING);
                    needsSetting = false;
                }
                direct.createStatement().execute("TRUNCATE sales RESTART IDENTITY");
            }
            Future<Object> seen = runner.submit(() -> run(one.getKey(), one.getValue()));
            String outcome = "passed";
            Object detail;
            try {
                detail = seen.get(SECONDS_MAX, TimeUnit.SECONDS);
            } catch (Exception error) {
                outcome = "failed";
                Throwable cause = error.getCause() == null ? error : error.getCause();
                detail = failure(cause);
            }
            System.out.println("{\"test\": " + quoted(one.getKey()) + ", \"outcome\": \"" + outcome
                + "\", \"detail\": " + quoted(String.valueOf(detail)) + "}");
        }
        System.exit(0);
    }

    static boolean needsSetting = true;
}
