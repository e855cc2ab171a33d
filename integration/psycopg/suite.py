"""What psycopg 3 does with a server, each piece as a test that tells what it saw.

Each test gets a new connection and returns what a program could see: values, types, states,
messages. A line of JSON for each is printed; whoever runs this compares what was seen in two
places. What must be there already is made over a direct connection, since a judged role can't make
tables.
"""

import asyncio
import datetime
import decimal
import ipaddress
import json
import os
import threading
import uuid

import psycopg
from psycopg import sql
from psycopg.rows import class_row, dict_row, namedtuple_row, scalar_row
from psycopg.types.json import Json, Jsonb
from psycopg.types.range import Range

TESTS = []

# The tables stay from one run to the next, so that their numbers do too.
SETTING = """
CREATE TABLE IF NOT EXISTS items
  (id int PRIMARY KEY, name text, amount numeric(10, 2), at timestamptz);
TRUNCATE items;
INSERT INTO items
  SELECT n, 'item ' || n, n * 1.5, timestamptz '2026-01-01 00:00Z' + n * interval '1h'
  FROM generate_series(1, 1000) n;
CREATE TABLE IF NOT EXISTS typed (id serial PRIMARY KEY, b bool, i2 int2, i4 int4, i8 int8,
  f4 float4, f8 float8,
  n numeric, t text, v varchar(20), c char(5), ba bytea, d date, ti time, tz timetz, ts timestamp,
  tsz timestamptz, iv interval, u uuid, j json, jb jsonb, ia int[], ta text[], r int4range,
  mr int4multirange, ip inet, ci cidr, bi bit(4), pt point, x xml, ma macaddr, mo money);
TRUNCATE typed RESTART IDENTITY;
"""

# Runs for minutes, and waits for nothing: functions that wait are refused to judged roles.
LONG = "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b"


def long_then(c):
    return attempt(lambda: repr(c.execute(LONG).fetchone()))


def test(function):
    TESTS.append(function)
    return function


def connect(**options):
    return psycopg.connect(**options)


def failure(error):
    """What a program can see of an error; a function of the server's source is not part of that."""
    diag = error.diag
    return [
        type(error).__name__,
        error.sqlstate,
        diag.severity,
        diag.message_primary,
        diag.message_detail,
        diag.message_hint,
        diag.statement_position,
        diag.context,
        diag.table_name,
        diag.constraint_name,
    ]


def attempt(act):
    """What comes of it, be it an error."""
    try:
        return act()
    except psycopg.Error as error:
        return failure(error)


def described(cursor):
    return [
        (
            column.name,
            column.type_code,
            column.display_size,
            column.internal_size,
            column.precision,
            column.scale,
        )
        for column in cursor.description or []
    ]


def state(connection):
    return connection.info.transaction_status.name


@test
def parameter_status(c):
    names = [
        "server_version",
        "server_encoding",
        "client_encoding",
        "DateStyle",
        "TimeZone",
        "integer_datetimes",
        "standard_conforming_strings",
        "IntervalStyle",
        "is_superuser",
        "session_authorization",
        "application_name",
        "in_hot_standby",
        "default_transaction_read_only",
    ]
    return [(name, c.info.parameter_status(name)) for name in names]


@test
def connection_info(c):
    info = c.info
    return [
        info.server_version,
        info.encoding,
        info.dbname,
        info.user,
        str(info.timezone),
        info.status.name,
        info.pipeline_status.name,
        info.error_message,
        c.pgconn.protocol_version,
        c.pgconn.needs_password,
        c.pgconn.used_password,
        c.pgconn.ssl_in_use,
    ]


@test
def who_and_where(c):
    return c.execute(
        "SELECT current_user, session_user, current_database(), current_schema(), "
        "current_schemas(true)"
    ).fetchone()


@test
def server_sees_parameters(c):
    with connect(application_name="suite", options="") as other:
        return [
            other.info.parameter_status("application_name"),
            other.execute("SHOW application_name").fetchone(),
        ]


@test
def start_up_options(c):
    with connect(options="-c statement_timeout=5000 -c search_path=pg_catalog") as other:
        return [
            other.execute("SHOW statement_timeout").fetchone(),
            other.execute("SHOW search_path").fetchone(),
        ]


@test
def start_up_encoding_latin1(c):
    with connect(client_encoding="latin1") as other:
        return [other.info.encoding, other.execute("SELECT 'é'").fetchone()]


@test
def wrong_password(c):
    return attempt(lambda: str(connect(password="wrong")).count(""))


@test
def wrong_database(c):
    try:
        connect(dbname="nowhere")
    except psycopg.OperationalError as error:
        return str(error).split("FATAL")[-1]


VALUES = {
    "none": None,
    "true": True,
    "small": 1,
    "int": 70000,
    "big": 2**40,
    "huge": 2**70,
    "negative": -5,
    "float": 1.5,
    "nan": float("inf"),
    "decimal": decimal.Decimal("12.340"),
    "text": "naïve 'quoted' \\ text ☃",
    "empty": "",
    "long": "x" * 100_000,
    "bytes": bytes(range(256)),
    "date": datetime.date(2026, 2, 28),
    "time": datetime.time(1, 2, 3, 4),
    "stamp": datetime.datetime(2026, 1, 2, 3, 4, 5, 6),
    "stamp_zone": datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc),
    "delta": datetime.timedelta(days=3, seconds=5),
    "uuid": uuid.UUID(int=12345),
    "ints": [1, 2, None],
    "texts": ["a", None, 'q"'],
    "nested": [[1, 2], [3, 4]],
    "json": Json({"a": 1}),
    "jsonb": Jsonb([1, {"b": None}]),
    "range": Range(1, 5),
    "address": ipaddress.ip_address("::1"),
    "network": ipaddress.ip_network("10.0.0.0/8"),
}


def round_trip(value, placeholder, binary):
    def act(c):
        cursor = c.cursor(binary=binary)
        cursor.execute(f"SELECT {placeholder} AS value", (value,))
        return [repr(cursor.fetchone())[:200], described(cursor), cursor.statusmessage]

    return act


for name, value in VALUES.items():
    for placeholder, binary in [("%s", False), ("%b", True), ("%t", True)]:
        act = round_trip(value, placeholder, binary)
        act.__name__ = f"value_{name}_{placeholder[1]}_{'binary' if binary else 'text'}"
        test(act)

LITERALS = [
    "NULL",
    "true",
    "1::int2",
    "2",
    "3::int8",
    "1.5::float4",
    "'NaN'::float8",
    "1.50",
    "'NaN'::numeric",
    "'a'",
    "'a'::varchar(3)",
    "'a'::char(4)",
    "'\\x00ff'::bytea",
    "date '2026-01-02'",
    "date 'infinity'",
    "time '01:02'",
    "timetz '01:02+03'",
    "timestamp '2026-01-02 03:04'",
    "timestamptz '2026-01-02Z'",
    "interval '1 mon 2 days 3.5 s'",
    "uuid '00000000-0000-0000-0000-000000000001'",
    "'{\"a\":1}'::json",
    "'[1]'::jsonb",
    "array[1, 2]",
    "array['a', NULL]",
    "'[2:3]={1,2}'::int[]",
    "int4range(1, 5)",
    "'{[1,3)}'::int4multirange",
    "inet '::1'",
    "cidr '10.0.0.0/8'",
    "B'101'",
    "point(1, 2)",
    "box '(1,1),(0,0)'",
    "'<a/>'::xml",
    "macaddr '08:00:2b:01:02:03'",
    "12.5::money",
    "1::oid",
    "'pg_class'::regclass",
    "'now'::name IS NULL",
    "ROW(1, 'a')",
    "to_tsvector('simple', 'a b')",
    "'a & b'::tsquery",
    "'$.a'::jsonpath",
    "'0/1'::pg_lsn",
    "ARRAY[ROW(1, 2)]",
    "'a'::\"char\"",
    "txid_current_if_assigned() IS NULL",
    "(SELECT NULL::text)",
    "array[]::text[]",
]


def literal(expression, binary):
    def act(c):
        cursor = c.cursor(binary=binary)
        cursor.execute(f"SELECT {expression} AS value")
        # Python has no such dates as PostgreSQL has; the driver says so in reading.
        return [attempt(lambda: repr(cursor.fetchone())), described(cursor)]

    return act


for number, expression in enumerate(LITERALS):
    for binary in [False, True]:
        act = literal(expression, binary)
        act.__name__ = f"literal_{number:02}_{'binary' if binary else 'text'} {expression}"
        test(act)


@test
def insert_all_types(c):
    c.execute(
        "INSERT INTO typed (b, i2, i4, i8, f4, f8, n, t, v, c, ba, d, ti, ts, tsz, iv, u, j, jb, "
        "ia, ta, r, ip, ci) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, "
        "%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        [
            VALUES[name]
            for name in (
                "true small int big float float decimal text text empty "
                "bytes date time stamp stamp_zone delta uuid json jsonb ints texts range address "
                "network"
            ).split()
            if name != "text"
        ][:0]
        or [
            True,
            1,
            2,
            3,
            1.5,
            2.5,
            decimal.Decimal("1.20"),
            "t",
            "v",
            "c",
            b"\0\1",
            VALUES["date"],
            VALUES["time"],
            VALUES["stamp"],
            VALUES["stamp_zone"],
            VALUES["delta"],
            VALUES["uuid"],
            VALUES["json"],
            VALUES["jsonb"],
            [1, 2],
            ["a"],
            VALUES["range"],
            VALUES["address"],
            VALUES["network"],
        ],
    )
    cursor = c.execute("SELECT * FROM typed")
    row = repr(cursor.fetchone()[1:])
    c.rollback()
    return [row, [part[1:] for part in described(cursor)]]


@test
def table_columns_described(c):
    # The table and the column of each field: what drivers' "updatable results" rest on.
    cursor = c.execute("SELECT id, name AS other, amount + 1, at FROM items LIMIT 1")
    pgresult = cursor.pgresult
    first = pgresult.ftable(0)
    return [
        (
            pgresult.fname(i).decode(),
            pgresult.ftable(i) == first,
            pgresult.ftablecol(i),
            pgresult.ftype(i),
            pgresult.fmod(i),
            pgresult.fsize(i),
            pgresult.fformat(i),
        )
        for i in range(pgresult.nfields)
    ]


@test
def row_factories(c):
    query = "SELECT id, name FROM items ORDER BY id LIMIT 2"
    return [
        repr(c.cursor(row_factory=factory).execute(query).fetchall())
        for factory in (dict_row, namedtuple_row, scalar_row)
    ]


@test
def command_tags(c):
    tags = []
    for statement in [
        "SELECT 1",
        "INSERT INTO items VALUES (5000), (5001)",
        "UPDATE items SET name = 'x' WHERE id >= 5000",
        "DELETE FROM items WHERE id >= 5000",
        "SET timezone = 'UTC'",
        "SHOW timezone",
        "VALUES (1), (2)",
        "TABLE items",
        "SELECT 1 WHERE false",
        "WITH a AS (SELECT 1) SELECT * FROM a",
    ]:
        cursor = attempt(lambda: c.execute(statement))
        tags.append(
            cursor
            if isinstance(cursor, list)
            else [cursor.statusmessage, cursor.rowcount, state(c)]
        )
    c.rollback()
    return tags


@test
def insert_returning(c):
    cursor = c.execute("INSERT INTO items (id, name) VALUES (6000, 'r') RETURNING id, name, at")
    row = cursor.fetchall()
    c.rollback()
    return [row, cursor.statusmessage, described(cursor)]


@test
def upsert(c):
    cursor = c.execute(
        "INSERT INTO items (id, name) VALUES (1, 'r') ON CONFLICT (id) DO UPDATE "
        "SET name = excluded.name RETURNING name"
    )
    row = cursor.fetchall()
    c.rollback()
    return [row, cursor.statusmessage]


@test
def execute_many(c):
    cursor = c.cursor()
    cursor.executemany(
        "INSERT INTO items (id, name) VALUES (%s, %s)", [(7000 + n, f"m{n}") for n in range(50)]
    )
    count = cursor.rowcount
    seen = c.execute("SELECT count(*), max(name) FROM items WHERE id >= 7000").fetchone()
    c.rollback()
    return [count, seen, state(c)]


@test
def execute_many_returning(c):
    cursor = c.cursor()
    cursor.executemany("SELECT %s::int * 2", [(n,) for n in range(5)], returning=True)
    rows = []
    while True:
        rows.append(cursor.fetchone())
        if not cursor.nextset():
            return rows


ERRORS = {
    "syntax": "SELEC 1",
    "no_table": "SELECT * FROM nowhere",
    "no_column": "SELECT nothing FROM items",
    "division": "SELECT 1/0",
    "duplicate": "INSERT INTO items (id) VALUES (1)",
    "not_null": "INSERT INTO items (id) VALUES (NULL)",
    "bad_cast": "SELECT 'x'::int",
    "overflow": "SELECT 2147483647 + 1",
    "no_function": "SELECT nothing(1)",
    "no_type": "SELECT 1::nix",
    "position": "SELECT id, nam FROM items",
    "unterminated": "SELECT 'a",
    "empty_in": "SELECT 1 IN ()",
    "ambiguous": "SELECT id FROM items a, items b",
    "group": "SELECT name, count(*) FROM items",
    "many_rows": "SELECT (SELECT id FROM items)",
    "long": "INSERT INTO typed (v) VALUES (repeat('x', 30))",
    "raise": "DO $$ BEGIN RAISE EXCEPTION 'own' USING ERRCODE = 'UE001', HINT = 'h', DETAIL = 'd'; "
    "END $$",
    "encoding": "SELECT convert_from('\\xff', 'utf8')",
    "no_role": "SET ROLE nobody_x",
    "no_setting": "SHOW nothing",
    "sleep": "SELECT pg_sleep(0)",
    "no_prepared": "EXECUTE nothing",
    "no_cursor": "FETCH nothing",
    "no_savepoint": "RELEASE nothing",
}


def error_of(statement, arguments):
    def act(c):
        seen = [attempt(lambda: repr(c.execute(statement, arguments).statusmessage)), state(c)]
        seen.append(attempt(lambda: repr(c.execute("SELECT 1").fetchone())))
        c.rollback()
        return [*seen, state(c), c.execute("SELECT 1").fetchone()]

    return act


for name, statement in ERRORS.items():
    # A tuple of arguments, even an empty one, takes the extended protocol.
    for way, arguments in [("simple", None), ("extended", ())]:
        if way == "extended" and ";" in statement:
            continue
        act = error_of(statement, arguments)
        act.__name__ = f"error_{name}_{way}"
        test(act)


@test
def several_statements(c):
    cursor = c.execute("SELECT 1 AS a; SELECT 'x' AS b, 2; UPDATE items SET id = id WHERE id = 1")
    seen = []
    while True:
        seen.append(
            [
                described(cursor),
                cursor.fetchall() if cursor.description else None,
                cursor.statusmessage,
            ]
        )
        if not cursor.nextset():
            return seen


@test
def several_statements_error_in_the_middle(c):
    c.autocommit = True
    seen = [
        attempt(lambda: c.execute("INSERT INTO items (id) VALUES (8000); SELECT 1/0; SELECT 2"))
    ]
    return [*seen, c.execute("SELECT count(*) FROM items WHERE id = 8000").fetchone(), state(c)]


@test
def several_statements_with_transaction(c):
    c.autocommit = True
    cursor = c.execute("BEGIN; SELECT 1; COMMIT; SELECT 2")
    seen = [cursor.statusmessage]
    while cursor.nextset():
        seen.append(cursor.statusmessage)
    return [seen, state(c)]


@test
def empty_query(c):
    return [
        c.execute("").statusmessage,
        c.execute("", ()).statusmessage,
        c.execute(" -- nothing").statusmessage,
        c.execute(";;").statusmessage,
    ]


@test
def no_columns(c):
    cursor = c.execute("SELECT FROM items LIMIT 3")
    return [cursor.statusmessage, cursor.rowcount, repr(cursor.description)]


@test
def many_columns(c):
    cursor = c.execute("SELECT " + ", ".join(f"{n} AS c{n}" for n in range(1600)))
    return [sum(cursor.fetchone()), len(cursor.description)]


@test
def large_result(c):
    cursor = c.execute("SELECT n, repeat('y', 100) FROM generate_series(1, 50000) n")
    return [sum(row[0] for row in cursor), cursor.rowcount]


@test
def large_value(c):
    return len(c.execute("SELECT repeat('z', 20000000)").fetchone()[0])


@test
def large_parameter(c):
    return c.execute("SELECT length(%s::text)", ("w" * 12_000_000,)).fetchone()


@test
def many_parameters(c):
    places = ", ".join(["%s::int"] * 5000)
    return c.execute(f"SELECT cardinality(ARRAY[{places}])", list(range(5000))).fetchone()


@test
def transactions(c):
    seen = []
    with c.transaction():
        seen.append(state(c))
        try:
            with c.transaction():
                c.execute("INSERT INTO items (id) VALUES (9000)")
                raise psycopg.Rollback
        except psycopg.Rollback:
            seen.append("out")
        seen.append(c.execute("SELECT count(*) FROM items WHERE id = 9000").fetchone())
    return [seen, state(c)]


@test
def savepoints_after_error(c):
    seen = []
    with c.transaction():
        seen.append(attempt(lambda: c.transaction().__enter__() and None))
        seen.append(attempt(lambda: c.execute("SELECT 1/0")))
        seen.append(state(c))
        raise_away = psycopg.Rollback()
        raise raise_away
    return [seen, state(c)]


def isolation(level):
    def act(c):
        c.isolation_level = level
        return attempt(lambda: [c.execute("SHOW transaction_isolation").fetchone(), state(c)])

    return act


for level in psycopg.IsolationLevel:
    act = isolation(level)
    act.__name__ = f"isolation_{level.name}"
    test(act)


@test
def read_only(c):
    c.read_only = True
    return [attempt(lambda: c.execute("INSERT INTO items (id) VALUES (9001)")), state(c)]


@test
def deferrable(c):
    c.deferrable = True
    return attempt(lambda: c.execute("SHOW transaction_deferrable").fetchone())


@test
def autocommit(c):
    c.autocommit = True
    seen = [state(c), c.execute("SELECT 1").fetchone(), state(c)]
    c.execute("BEGIN")
    return [*seen, state(c), c.execute("COMMIT").statusmessage, state(c)]


@test
def warnings_of_transactions(c):
    c.autocommit = True
    notices = []
    c.add_notice_handler(
        lambda diag: notices.append([diag.severity, diag.sqlstate, diag.message_primary])
    )
    for statement in ["BEGIN", "BEGIN", "COMMIT", "COMMIT", "ROLLBACK"]:
        c.execute(statement)
    return notices


@test
def two_phase(c):
    xid = c.xid(1, "global", "branch")
    c.tpc_begin(xid)
    c.execute("UPDATE items SET name = name WHERE id = 2")
    seen = attempt(lambda: c.tpc_prepare())
    if seen is None:
        c.tpc_rollback()
    return [seen, state(c)]


@test
def prepared_by_count(c):
    c.prepare_threshold = 2
    seen = [
        c.execute("SELECT %s + id FROM items WHERE id = %s", (n, n)).fetchone() for n in range(1, 8)
    ]
    # What the driver has prepared is in the server under the driver's names, or is it?
    return [seen, c.execute("SELECT count(*) FROM pg_prepared_statements").fetchone()]


@test
def prepared_names(c):
    c.execute("SELECT 1", prepare=True)
    return c.execute("SELECT name, statement, from_sql FROM pg_prepared_statements").fetchall()


@test
def prepared_many_and_dropped(c):
    c.prepare_threshold, c.prepared_max = 0, 5
    return [c.execute(f"SELECT {n} + %s", (n,)).fetchone() for n in range(30)]


@test
def prepared_in_sql(c):
    c.execute("PREPARE p (int) AS SELECT name FROM items WHERE id = $1")
    seen = [c.execute("EXECUTE p (3)").fetchall(), c.execute("EXECUTE p (4)").statusmessage]
    return [
        *seen,
        c.execute("DEALLOCATE p").statusmessage,
        attempt(lambda: c.execute("EXECUTE p (3)")),
    ]


@test
def deallocate_all(c):
    c.execute("SELECT %s", (1,), prepare=True)
    return [c.execute("DEALLOCATE ALL").statusmessage, c.execute("SELECT %s", (2,)).fetchone()]


@test
def describe_prepared(c):
    pgconn = c.pgconn
    pgconn.prepare(b"named", b"SELECT id, name FROM items WHERE id = $1 AND name = $2")
    told = pgconn.describe_prepared(b"named")
    return [
        told.status,
        told.nparams,
        [told.param_type(i) for i in range(told.nparams)],
        [(told.fname(i).decode(), told.ftype(i)) for i in range(told.nfields)],
    ]


@test
def describe_nothing(c):
    told = c.pgconn.describe_prepared(b"nothing")
    other = c.pgconn.describe_portal(b"nothing")
    return [told.status, told.error_message.decode(), other.status, other.error_message.decode()]


@test
def prepare_twice(c):
    pgconn = c.pgconn
    first = pgconn.prepare(b"twice", b"SELECT 1").status
    second = pgconn.prepare(b"twice", b"SELECT 2")
    return [first, second.status, second.error_message.decode()]


@test
def close_prepared(c):
    pgconn = c.pgconn
    pgconn.prepare(b"once", b"SELECT 1")
    closed = attempt(lambda: pgconn.close_prepared(b"once").status)
    again = pgconn.exec_prepared(b"once", [])
    return [closed, again.status, again.error_message.decode()]


@test
def wrong_number_of_parameters(c):
    told = c.pgconn.exec_params(b"SELECT $1::int, $2::int", [b"1"])
    return [told.status, told.error_message.decode()]


@test
def wrong_binary_parameter(c):
    told = c.pgconn.exec_params(b"SELECT $1::int", [b"\0\0"], param_formats=[1])
    return [told.status, told.error_message.decode()]


@test
def undetermined_parameter(c):
    told = c.pgconn.exec_params(b"SELECT $1 IS NULL", [b"1"])
    return [told.status, told.error_message.decode()]


@test
def two_statements_extended(c):
    return attempt(lambda: c.execute("SELECT 1; SELECT %s", (2,)))


def pipeline(act):
    def run(c):
        c.autocommit = True
        return act(c)

    run.__name__ = "pipeline_" + act.__name__
    return test(run)


@pipeline
def results(c):
    with c.pipeline():
        cursors = [c.execute("SELECT %s", (n,)) for n in range(20)]
    return [[cursor.fetchone() for cursor in cursors], state(c)]


@pipeline
def error(c):
    seen, one, three, four = [], c.cursor(), c.cursor(), c.cursor()
    try:
        with c.pipeline() as p:
            one = c.execute("SELECT 1")
            c.execute("SELECT 1/%s", (0,))
            three = c.execute("SELECT 3")
            p.sync()
            four = c.execute("SELECT 4")
    except psycopg.Error as problem:
        seen.append(failure(problem))
    for cursor in (one, three, four):
        seen.append(attempt(lambda: repr(cursor.fetchone())) if cursor.pgresult else None)
    return [seen, state(c), c.execute("SELECT 5").fetchone()]


@pipeline
def transaction(c):
    with c.pipeline(), c.transaction():
        c.execute("INSERT INTO items (id) VALUES (%s)", (9100,))
        cursor = c.execute("DELETE FROM items WHERE id = %s", (9100,))
    return [cursor.statusmessage, state(c)]


@pipeline
def many(c):
    with c.pipeline():
        cursor = c.cursor()
        cursor.executemany("SELECT %s::int", [(n,) for n in range(3000)], returning=True)
    return sum(1 for _ in iter(cursor.nextset, None))


@pipeline
def large_both_ways(c):
    with c.pipeline():
        cursors = [c.execute("SELECT %s::text", ("x" * 300_000,)) for _ in range(30)]
    return [len(cursor.fetchone()[0]) for cursor in cursors]


@pipeline
def raw_messages(c):
    pgconn = c.pgconn
    pgconn.enter_pipeline_mode()
    pgconn.send_query_params(b"SELECT 1", [])
    pgconn.send_flush_request()
    pgconn.send_prepare(b"a", b"SELECT $1::int")
    pgconn.send_describe_prepared(b"a")
    pgconn.send_query_prepared(b"a", [b"7"])
    pgconn.pipeline_sync()
    seen, nothing = [], 0
    while nothing < 2:
        told = pgconn.get_result()
        nothing = 0 if told else nothing + 1
        seen.append([told.status, told.nfields, told.ntuples] if told else None)
        if told and told.status == psycopg.pq.ExecStatus.PIPELINE_SYNC:
            break
    pgconn.exit_pipeline_mode()
    return seen


@test
def single_row_mode(c):
    return [sum(row[0] for row in c.cursor().stream("SELECT id FROM items")), state(c)]


@test
def chunked_rows(c):
    return attempt(lambda: sum(row[0] for row in c.cursor().stream("SELECT id FROM items", size=7)))


@test
def stream_left_early(c):
    for row in c.cursor().stream("SELECT n FROM generate_series(1, 5000000) n"):
        break
    seen = [row, state(c)]
    c.rollback()
    return [*seen, c.execute("SELECT 1").fetchone()]


@test
def server_cursor(c):
    with c.cursor("named") as cursor:
        cursor.itersize = 10
        cursor.execute("SELECT id, name FROM items ORDER BY id")
        return [
            cursor.fetchone(),
            cursor.fetchmany(3),
            len(cursor.fetchall()),
            described(cursor),
            cursor.statusmessage,
            cursor.rowcount,
        ]


@test
def server_cursor_parameters(c):
    with c.cursor("named") as cursor:
        return list(cursor.execute("SELECT id FROM items WHERE id < %s ORDER BY 1", (5,)))


@test
def server_cursor_binary(c):
    with c.cursor("named", binary=True) as cursor:
        return attempt(
            lambda: repr(cursor.execute("SELECT 1, amount FROM items ORDER BY id").fetchone())
        )


@test
def server_cursor_scroll(c):
    with c.cursor("named", scrollable=True) as cursor:
        cursor.execute("SELECT id FROM items ORDER BY id")
        cursor.scroll(10)
        seen = [cursor.fetchone()]
        cursor.scroll(-5)
        seen.append(cursor.fetchone())
        cursor.scroll(3, mode="absolute")
        return [*seen, cursor.fetchone()]


@test
def server_cursor_hold(c):
    def act():
        with c.cursor("named", withhold=True) as cursor:
            cursor.execute("SELECT id FROM items ORDER BY id")
            c.commit()
            return cursor.fetchone()

    return attempt(act)


@test
def server_cursors_two(c):
    with c.cursor("one") as one, c.cursor('tw"o') as two:
        one.execute("SELECT 1 FROM generate_series(1, 5)")
        two.execute("SELECT 2 FROM generate_series(1, 5)")
        return [one.fetchmany(2), two.fetchmany(2), one.fetchall(), two.fetchall()]


@test
def cursors_listed(c):
    with c.cursor("listed") as cursor:
        cursor.execute("SELECT 1")
        return c.execute(
            "SELECT name, is_holdable, is_scrollable FROM pg_cursors " "WHERE name <> ''"
        ).fetchall()


@test
def cursor_in_sql(c):
    c.execute("DECLARE d SCROLL CURSOR FOR SELECT id FROM items ORDER BY id")
    seen = []
    for statement in [
        "FETCH 2 FROM d",
        "MOVE 3 FROM d",
        "FETCH PRIOR FROM d",
        "FETCH LAST FROM d",
        "FETCH ABSOLUTE 2 FROM d",
        "FETCH BACKWARD ALL FROM d",
        "FETCH 0 FROM d",
    ]:
        cursor = c.execute(statement)
        seen.append([cursor.statusmessage, cursor.fetchall() if cursor.description else None])
    return [seen, c.execute("CLOSE d").statusmessage, attempt(lambda: c.execute("FETCH d"))]


COPY_OUT = {
    "table": "COPY items TO STDOUT",
    "query": "COPY (SELECT id, name FROM items ORDER BY id) TO STDOUT",
    "binary": "COPY (SELECT id, name FROM items ORDER BY id) TO STDOUT (FORMAT binary)",
    "csv": "COPY (SELECT id, name FROM items ORDER BY id) TO STDOUT "
    "(FORMAT csv, HEADER, FORCE_QUOTE *)",
    "options": "COPY (SELECT NULL, 'a|b') TO STDOUT (DELIMITER '|', NULL 'none')",
    "large": "COPY (SELECT repeat('x', 1000) FROM generate_series(1, 20000)) TO STDOUT",
    "empty": "COPY (SELECT 1 WHERE false) TO STDOUT",
    "error": "COPY (SELECT 1/0) TO STDOUT",
    "late_error": "COPY (SELECT 1/(500 - n) FROM generate_series(1, 1000) n) TO STDOUT",
}


def copy_out(statement):
    def act(c):
        def read():
            with c.cursor().copy(statement) as copy:
                data = b"".join(copy)
            return [len(data), repr(data[:200])]

        return [attempt(read), state(c)]

    return act


for name, statement in COPY_OUT.items():
    act = copy_out(statement)
    act.__name__ = f"copy_out_{name}"
    test(act)


@test
def copy_out_rows(c):
    with c.cursor().copy(
        "COPY (SELECT id, name, amount FROM items ORDER BY id LIMIT 3) TO STDOUT " "(FORMAT binary)"
    ) as copy:
        copy.set_types(["int4", "text", "numeric"])
        return [repr(row) for row in copy.rows()]


@test
def copy_out_left_early(c):
    def act():
        with c.cursor().copy("COPY (SELECT n FROM generate_series(1, 300000) n) TO STDOUT") as copy:
            return repr(bytes(copy.read()))

    return [attempt(act), state(c)]


def copy_in(name, statement, write):
    def act(c):
        def send():
            cursor = c.cursor()
            with cursor.copy(statement) as copy:
                write(copy)
            return [cursor.statusmessage, cursor.rowcount]

        seen = [attempt(send), state(c)]
        if state(c) == "INTRANS":
            seen.append(
                c.execute("SELECT count(*), min(name) FROM items WHERE id > 10000").fetchone()
            )
        c.rollback()
        return [*seen, c.execute("SELECT 1").fetchone()]

    act.__name__ = f"copy_in_{name}"
    test(act)


def write_binary(copy):
    copy.set_types(["int4", "text"])
    for n in range(100):
        copy.write_row((10001 + n, None if n % 2 else f"b{n}"))


def write_and_fail(copy):
    copy.write_row((10001, "a"))
    raise psycopg.DataError("given up")


COLUMNS = "COPY items (id, name) FROM STDIN"
copy_in("rows", COLUMNS, lambda copy: [copy.write_row((10001 + n, f"r\t{n}")) for n in range(100)])
copy_in("text", COLUMNS, lambda copy: copy.write("10001\ta\n10002\t\\N\n"))
copy_in("pieces", COLUMNS, lambda copy: [copy.write(byte) for byte in "10001\tab\n10002\tcd\n"])
copy_in("csv", f"{COLUMNS} (FORMAT csv)", lambda copy: copy.write('10001,"a, b"\n'))
copy_in("binary", f"{COLUMNS} (FORMAT binary)", write_binary)
copy_in("nothing", COLUMNS, lambda copy: None)
copy_in("bad_row", COLUMNS, lambda copy: copy.write("10001\ta\nx\tb\n"))
copy_in("duplicate", COLUMNS, lambda copy: copy.write("1\ta\n"))
copy_in("given_up", COLUMNS, write_and_fail)
copy_in("no_table", "COPY nowhere FROM STDIN", lambda copy: copy.write("1\n"))
copy_in(
    "large", COLUMNS, lambda copy: [copy.write_row((10001 + n, "x" * 1000)) for n in range(20000)]
)
copy_in(
    "large_bad_early",
    COLUMNS,
    lambda copy: [
        copy.write(f"{'x' if n == 3 else 10001 + n}\t{'x' * 1000}\n") for n in range(20000)
    ],
)


@test
def copy_without_copy(c):
    return [attempt(lambda: c.execute("COPY items TO STDOUT")), state(c)]


def cancelled(c, how):
    timer = threading.Timer(0.3, how)
    timer.start()
    seen = [long_then(c), state(c)]
    timer.join()
    c.rollback()
    return [*seen, c.execute("SELECT 1").fetchone()]


@test
def cancel(c):
    return cancelled(c, c.cancel)


@test
def cancel_safe(c):
    return cancelled(c, lambda: c.cancel_safe(timeout=5))


@test
def cancel_idle(c):
    c.cancel()
    c.rollback()
    return c.execute("SELECT 1").fetchone()


@test
def cancel_does_not_hit_another(c):
    with connect() as other:
        threading.Timer(0.2, other.cancel).start()
        return c.execute("SELECT count(*) FROM generate_series(1, 4000000)").fetchone()


@test
def timeout_of_statement(c):
    c.execute("SET statement_timeout = 100")
    return [long_then(c), state(c)]


@test
def terminated(c):
    with psycopg.connect(port=os.environ["DIRECT_PORT"], autocommit=True) as admin:
        pid = c.execute("SELECT pg_backend_pid()").fetchone()[0]
        admin.execute("SELECT pg_terminate_backend(%s)", (pid,))
    return [attempt(lambda: c.execute("SELECT 1")), c.closed, c.broken]


@test
def backend_pid(c):
    return c.execute("SELECT pg_backend_pid()").fetchone()[0] == c.info.backend_pid


@test
def notify(c):
    c.autocommit = True
    with connect(autocommit=True) as other:
        c.execute("LISTEN news")
        other.execute("NOTIFY news, 'one'")
        other.execute("SELECT pg_notify('news', 'two')")
        return [
            (n.channel, n.payload, n.pid == other.info.backend_pid)
            for n in c.notifies(timeout=5, stop_after=2)
        ]


@test
def notice(c):
    notices = []
    c.add_notice_handler(
        lambda diag: notices.append(
            [diag.severity, diag.sqlstate, diag.message_primary, diag.message_hint]
        )
    )
    c.execute("DO $$ BEGIN RAISE NOTICE 'told %', 1 USING HINT = 'h'; RAISE WARNING 'w'; END $$")
    return notices


@test
def notice_without_statement(c):
    notices = []
    c.add_notice_handler(lambda diag: notices.append([diag.severity, diag.message_primary]))
    c.execute("DROP TABLE IF EXISTS nowhere")
    return notices


@test
def settings_reported(c):
    seen = []
    for name, value in [
        ("TimeZone", "Asia/Tokyo"),
        ("DateStyle", "German"),
        ("application_name", "é"),
        ("IntervalStyle", "iso_8601"),
        ("client_encoding", "latin1"),
        ("standard_conforming_strings", "off"),
    ]:
        seen.append(
            [
                name,
                attempt(
                    lambda: c.execute(
                        sql.SQL("SET {} = {}").format(sql.Identifier(name.lower()), value)
                    ).statusmessage
                ),
                state(c),
                c.info.parameter_status(name),
            ]
        )
        c.commit() if state(c) == "INTRANS" else c.rollback()
    return seen


def setting(statement, shown):
    def act(c):
        seen = attempt(lambda: c.execute(statement).statusmessage or repr(c.statusmessage))
        if state(c) == "INERROR":
            c.rollback()
        return [seen, attempt(lambda: c.execute(shown).fetchone())]

    return act


SETTINGS = {
    "search_path": ("SET search_path = public, pg_catalog", "SHOW search_path"),
    "statement_timeout": ("SET statement_timeout = '5s'", "SHOW statement_timeout"),
    "lock_timeout": ("SET lock_timeout = '5s'", "SHOW lock_timeout"),
    "work_mem": ("SET work_mem = '8MB'", "SHOW work_mem"),
    "local": ("SET LOCAL timezone = 'Asia/Tokyo'", "SHOW timezone"),
    "set_config": ("SELECT set_config('application_name', 'x', false)", "SHOW application_name"),
    "current_setting": ("SELECT current_setting('server_version_num')", "SHOW server_version_num"),
    "custom": ("SET my.setting = 'x'", "SHOW my.setting"),
    "reset": ("RESET ALL", "SHOW timezone"),
    "discard": ("DISCARD ALL", "SHOW timezone"),
    "role": ("SET ROLE postgres", "SELECT current_user"),
    "session": ("SET SESSION AUTHORIZATION postgres", "SELECT session_user"),
    "names": ("SET NAMES 'UTF8'", "SHOW client_encoding"),
    "zone": ("SET TIME ZONE 'UTC'", "SHOW timezone"),
    "characteristics": (
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
        "SHOW default_transaction_read_only",
    ),
    "isolation": ("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "SHOW transaction_isolation"),
    "show_all": ("SELECT 1", "SHOW server_version"),
    "jit": ("SET jit = off", "SHOW jit"),
    "extra_float_digits": ("SET extra_float_digits = 3", "SHOW extra_float_digits"),
    "idle": (
        "SET idle_in_transaction_session_timeout = '9s'",
        "SHOW idle_in_transaction_session_timeout",
    ),
}

for name, (statement, shown) in SETTINGS.items():
    act = setting(statement, shown)
    act.__name__ = f"setting_{name}"
    test(act)

STATEMENTS = {
    "create_table": "CREATE TABLE made (id int)",
    "temp_table": "CREATE TEMP TABLE made (id int)",
    "temp_as": "CREATE TEMP TABLE made AS SELECT 1 AS a",
    "view": "CREATE VIEW made AS SELECT 1 AS a",
    "index": "CREATE INDEX ON items (name)",
    "truncate": "TRUNCATE typed",
    "lock": "LOCK items",
    "do": "DO $$ BEGIN END $$",
    "explain": "EXPLAIN SELECT 1",
    "explain_analyze": "EXPLAIN (ANALYZE, TIMING off, SUMMARY off) SELECT 1",
    "analyze": "ANALYZE items",
    "comment": "COMMENT ON TABLE items IS 'x'",
    "grant": "GRANT SELECT ON items TO public",
    "for_update": "SELECT id FROM items WHERE id = 1 FOR UPDATE",
    "for_share": "SELECT id FROM items WHERE id = 1 FOR SHARE SKIP LOCKED",
    "merge": "MERGE INTO items i USING (VALUES (1)) v(id) ON i.id = v.id "
    "WHEN MATCHED THEN DO NOTHING",
    "advisory": "SELECT pg_advisory_xact_lock(1)",
    "recursive": "WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 9) "
    "SELECT sum(n) FROM t",
    "window": "SELECT id, row_number() OVER (ORDER BY id DESC) FROM items ORDER BY id LIMIT 2",
    "lateral": "SELECT a.id, b.n FROM items a, LATERAL (SELECT a.id * 2 AS n) b ORDER BY 1 LIMIT 2",
    "sample": "SELECT count(*) >= 0 FROM items TABLESAMPLE SYSTEM (10)",
    "catalogue": "SELECT relname FROM pg_class WHERE relname = 'items'",
    "information_schema": "SELECT column_name, data_type FROM information_schema.columns "
    "WHERE table_name = 'items' ORDER BY ordinal_position",
    "regclass": "SELECT 'items'::regclass::text, to_regclass('nix')",
    "large_object": "SELECT lo_from_bytea(471147, 'x')",
    "sequence": "SELECT nextval('typed_id_seq') > 0",
    "lastval": "SELECT nextval('typed_id_seq') = lastval()",
    "snapshot": "SELECT pg_export_snapshot() IS NOT NULL",
    "version": "SELECT version()",
    "settings": "SELECT count(*) > 100 FROM pg_settings",
    "types": "SELECT count(*) > 100 FROM pg_type",
    "activity": "SELECT count(*) > 0 FROM pg_stat_activity WHERE pid = pg_backend_pid()",
    "client": "SELECT inet_client_addr() IS NOT NULL",
    "locks": "SELECT count(*) > 0 FROM pg_locks",
    "system_columns": "SELECT ctid, tableoid::regclass::text, cmin FROM items WHERE id = 1",
    "whole_row": "SELECT i FROM items i WHERE id = 1",
    "row_json": "SELECT row_to_json(i) FROM items i " "WHERE id = 1",
    "aggregates": "SELECT count(*), sum(amount), string_agg(name, ',') FROM items " "WHERE id < 4",
    "grouping": "SELECT id % 2, count(*) FROM items GROUP BY ROLLUP (1) ORDER BY 1",
    "xml": "SELECT xmlelement(name a, 'b')",
    "json_table": "SELECT * FROM jsonb_each('{\"a\":1}')",
    "unicode": "SELECT U&'\\00e9', 'naïve' AS \"ünïcode\"",
    "dollar": "SELECT $a$ it's $$ in $a$",
    "escape": "SELECT E'a\\nb', e'\\x41'",
    "comments": "/* a /* b */ */ SELECT -- c\n 1",
    "ordinality": "SELECT * FROM unnest(ARRAY['a', 'b']) WITH ORDINALITY",
    "values_limit": "VALUES (1), (2) ORDER BY 1 DESC LIMIT 1",
    "set_operations": "SELECT 1 UNION SELECT 2 EXCEPT SELECT 2",
    "distinct_on": "SELECT DISTINCT ON (id % 3) id FROM items ORDER BY id % 3, id",
    "select_into": "SELECT 1 AS a INTO TEMP made",
    "vacuum_settings": "SHOW autovacuum",
    "checkpoint": "CHECKPOINT",
    "fetch_first": "SELECT id FROM items ORDER BY id FETCH FIRST 2 ROWS WITH TIES",
}


def statement_of(statement, arguments):
    def act(c):
        def run():
            cursor = c.execute(statement, arguments)
            rows = repr(cursor.fetchall()) if cursor.description else None
            return [cursor.statusmessage, described(cursor), rows]

        seen = [attempt(run), state(c)]
        c.rollback()
        return seen

    return act


for name, statement in STATEMENTS.items():
    for way, arguments in [("simple", None), ("extended", ())]:
        act = statement_of(
            statement.replace("%", "%%") if arguments is not None else statement, arguments
        )
        act.__name__ = f"statement_{name}_{way}"
        test(act)


@test
def function_call_message(c):
    # Large objects of libpq use the protocol's own message for calls.
    return len(c.execute("SELECT 1").pgresult.error_message)


@test
def composite_type(c):
    from psycopg.types.composite import CompositeInfo

    info = CompositeInfo.fetch(c, "items")
    return [info.field_names, list(info.field_types)]


@test
def enum_type_missing(c):
    from psycopg.types.enum import EnumInfo

    return repr(EnumInfo.fetch(c, "nothing"))


@test
def adaptation_by_oid(c):
    from psycopg.types import TypeInfo

    info = TypeInfo.fetch(c, "numeric")
    return [info.name, info.oid, info.array_oid, info.delimiter]


@test
def asynchronous(c):
    async def run():
        async with await psycopg.AsyncConnection.connect() as other:
            cursor = await other.execute("SELECT %s, name FROM items WHERE id = %s", (1, 2))
            seen = [await cursor.fetchone()]
            task = asyncio.ensure_future(other.execute(LONG))
            await asyncio.sleep(0.3)
            task.cancel()
            try:
                await task
            except (asyncio.CancelledError, psycopg.Error) as error:
                seen.append(type(error).__name__)
            await other.rollback()
            return [*seen, await (await other.execute("SELECT 1")).fetchone()]

    return asyncio.run(run())


@test
def concurrent(c):
    async def one(n):
        async with await psycopg.AsyncConnection.connect() as other:
            return await (await other.execute("SELECT %s::int", (n,))).fetchone()

    async def run():
        return await asyncio.gather(*(one(n) for n in range(30)))

    return asyncio.run(run())


@test
def class_rows(c):
    class Item:
        def __init__(self, id, name):
            self.shown = f"{id}: {name}"

    return (
        c.cursor(row_factory=class_row(Item))
        .execute("SELECT id, name FROM items WHERE id = 5")
        .fetchone()
        .shown
    )


@test
def client_cursor(c):
    cursor = psycopg.ClientCursor(c)
    query = "SELECT %s, %s, %s::date, %s"
    arguments = (1, "it's", datetime.date(2026, 1, 1), b"\0")
    return [cursor.mogrify(query, arguments), repr(cursor.execute(query, arguments).fetchone())]


@test
def raw_cursor(c):
    return psycopg.RawCursor(c).execute("SELECT $2::int, $1::text", ("a", 2)).fetchone()


@test
def closed(c):
    c.close()
    return [c.closed, attempt(lambda: c.execute("SELECT 1"))]


def main():
    with psycopg.connect(port=os.environ["DIRECT_PORT"], autocommit=True) as admin:
        admin.execute(SETTING)
    only = os.environ.get("ONLY", "")
    for act in TESTS:
        if only not in act.__name__:
            continue
        outcome = "passed"
        connection = None
        try:
            connection = connect()
            detail = json.dumps(act(connection), default=repr)
        except Exception as error:
            outcome, detail = "failed", f"{type(error).__name__}: {error}"
        finally:
            if connection is not None:
                connection.close()
        print(json.dumps({"test": act.__name__, "outcome": outcome, "detail": detail}), flush=True)


if __name__ == "__main__":
    main()
