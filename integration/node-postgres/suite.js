"use strict";
// What node-postgres does with a server, each piece as a test that tells what it saw.
//
// The same idea as ../psycopg/suite.py: a new connection for each test, a line of JSON for each.

const { Client, Pool, types } = require("pg");
const Cursor = require("pg-cursor");
const QueryStream = require("pg-query-stream");
const copy = require("pg-copy-streams");
const { pipeline } = require("node:stream/promises");
const { Readable, Writable } = require("node:stream");

const LONG = "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b";
const SECONDS_MAX = 30;

const SETTING = `
CREATE TABLE IF NOT EXISTS things (id int PRIMARY KEY, name text, price numeric, at timestamptz);
TRUNCATE things;
INSERT INTO things SELECT n, 'thing ' || n, n * 1.5, timestamptz '2026-01-01 00:00Z' + n * interval '1h'
  FROM generate_series(1, 1000) n;`;

const tests = [];
const test = (name, act) => tests.push([name, act]);

/** What a program can see of an error. */
const failure = (error) => [error.name, error.code, error.severity, error.message, error.detail,
  error.hint, error.position, error.where, error.table, error.constraint];

/** What comes of it, be it an error. */
const attempt = async (promise) => {
  try {
    return await promise;
  } catch (error) {
    return failure(error);
  }
};

const shown = (result) => Array.isArray(result) ? result.map(shown) : [result.command,
  result.rowCount, result.rows,
  result.fields.map((f) => [f.name, f.dataTypeID, f.dataTypeSize, f.dataTypeModifier, f.format,
    f.columnID])];

const connect = async (options) => {
  const client = new Client(options);
  // Without a listener the end of a connection would end the program.
  client.on("error", () => {});
  await client.connect();
  return client;
};

const VALUES = [null, true, 1, 2 ** 40, 1.5, -7, "text", "naïve 'quoted' \\ ☃", "",
  new Date(Date.UTC(2026, 0, 2, 3, 4, 5)), Buffer.from([0, 1, 255]), [1, 2, null], ["a", 'q"', null],
  { a: [1, { b: null }] }, "x".repeat(200000)];
for (const [number, value] of VALUES.entries()) {
  for (const binary of [false, true]) {
    test(`value_${number}_${binary ? "binary" : "text"}`, async (c) =>
      // The server would take bytes for a text.
      JSON.stringify(shown(await c.query({ values: [value], binary,
        text: `SELECT $1${Buffer.isBuffer(value) ? "::bytea" : ""} AS v` }))).slice(0, 300));
  }
}

const LITERALS = ["1::int2", "1::int8", "1.5::float4", "1.50::numeric", "'a'::bpchar", "'\\x00'::bytea",
  "date '2026-01-02'", "time '01:02'", "timestamp '2026-01-02 03:04'", "timestamptz '2026-01-02Z'",
  "interval '1 mon 2 days'", "'{\"a\":1}'::json", "'[1]'::jsonb", "array[1,2]", "array['a',NULL]",
  "point(1,2)", "circle '((1,2),3)'", "int4range(1,5)", "inet '::1'", "true", "12.5::money",
  "ROW(1,'a')", "NULL", "uuid '00000000-0000-0000-0000-000000000001'", "1::oid", "'infinity'::date",
  "B'101'", "'<a/>'::xml"];
for (const literal of LITERALS) {
  for (const binary of [false, true]) {
    test(`literal_${binary ? "binary" : "text"} ${literal}`, (c) =>
      attempt(c.query({ text: `SELECT ${literal} AS v`, values: [], binary }).then(shown)));
  }
}

const ERRORS = { syntax: "SELEC 1", no_table: "SELECT * FROM nowhere", no_column: "SELECT x FROM things",
  division: "SELECT 1/0", duplicate: "INSERT INTO things (id) VALUES (1)",
  not_null: "INSERT INTO things (id) VALUES (NULL)", cast: "SELECT 'x'::int",
  late: "SELECT 1/(500 - n) FROM generate_series(1, 1000) n", unterminated: "SELECT 'a" };
for (const [name, text] of Object.entries(ERRORS)) {
  test(`error_simple_${name}`, async (c) =>
    [await attempt(c.query(text)), (await c.query("SELECT 1")).rows]);
  test(`error_extended_${name}`, async (c) =>
    [await attempt(c.query({ text, values: [], queryMode: "extended" })),
      (await c.query("SELECT 1")).rows]);
  test(`error_named_${name}`, async (c) =>
    [await attempt(c.query({ name: "n", text, values: [] })),
      await attempt(c.query({ name: "n", text, values: [] })), (await c.query("SELECT 1")).rows]);
}

const STATEMENTS = { insert: "INSERT INTO things (id, name) VALUES (5000, 'a') RETURNING *",
  update: "UPDATE things SET name = name WHERE id < 5", delete: "DELETE FROM things WHERE id > 9000",
  several: "SELECT 1 AS a; SELECT 'b' AS b; UPDATE things SET id = id WHERE id = 1",
  empty: "", comment: "-- nothing", none: "SELECT FROM things LIMIT 2", same_names: "SELECT 1 AS a, 2 AS a",
  set: "SET timezone = 'Asia/Tokyo'", show: "SHOW timezone", values: "VALUES (1), (2)",
  create: "CREATE TABLE made (id int)", temporary: "CREATE TEMP TABLE made (id int)",
  do: "DO $$ BEGIN RAISE NOTICE 'x'; END $$", explain: "EXPLAIN (COSTS off) SELECT * FROM things",
  truncate: "TRUNCATE things", listen: "LISTEN news", search_path: "SET search_path = public",
  version: "SELECT version()", pid: "SELECT pg_backend_pid() > 0", now: "SELECT now() IS NOT NULL",
  sleep: "SELECT pg_sleep(0)", for_update: "SELECT id FROM things WHERE id = 1 FOR UPDATE",
  upsert: "INSERT INTO things (id) VALUES (1) ON CONFLICT DO NOTHING",
  columns: "SELECT column_name FROM information_schema.columns WHERE table_name = 'things' ORDER BY 1" };
for (const [name, text] of Object.entries(STATEMENTS)) {
  for (const [way, more] of Object.entries({ simple: {}, extended: { queryMode: "extended" } })) {
    test(`statement_${name}_${way}`, async (c) => {
      await c.query("BEGIN");
      const seen = await attempt(c.query({ text, ...more }).then(shown));
      await c.query("ROLLBACK");
      return [seen, (await c.query("SELECT 1")).rows];
    });
  }
}

test("array_rows", (c) =>
  c.query({ text: "SELECT id, name FROM things ORDER BY id LIMIT 3", rowMode: "array" }).then(shown));
test("named_again", async (c) => {
  const seen = [];
  for (const id of [1, 2, 3]) {
    seen.push(shown(await c.query({ name: "by", text: "SELECT * FROM things WHERE id = $1",
      values: [id] })));
  }
  return seen;
});
test("named_other_text", async (c) => {
  await c.query({ name: "by", text: "SELECT 1", values: [] });
  return attempt(c.query({ name: "by", text: "SELECT 2", values: [] }));
});
test("named_many", async (c) => {
  const seen = await Promise.all([...Array(200).keys()].map((n) =>
    c.query({ name: `n${n}`, text: `SELECT ${n} AS n`, values: [] })));
  return seen.map((result) => result.rows[0].n);
});
test("named_error_then_again", async (c) => {
  const query = { name: "d", text: "SELECT 1 / $1::int AS q" };
  return [await attempt(c.query({ ...query, values: [0] })), (await c.query({ ...query, values: [1] })).rows];
});
test("queued", async (c) => {
  const all = [c.query("SELECT 1 AS a"), attempt(c.query("SELECT 1/0")), c.query("SELECT $1::int AS b", [2])];
  const [one, two, three] = await Promise.all(all);
  return [one.rows, two, three.rows];
});
test("rows_limited", (c) =>
  c.query({ text: "SELECT id FROM things ORDER BY id", values: [], rows: 10 }).then((r) => r.rows.length));
test("large_rows", (c) => c.query("SELECT repeat('y', 1000) AS y FROM generate_series(1, 20000)")
  .then((r) => r.rows.length));
test("large_value", (c) => c.query("SELECT repeat('y', 10000000) AS y").then((r) => r.rows[0].y.length));
test("large_parameter", (c) => c.query("SELECT length($1::text) AS l", ["x".repeat(8000000)])
  .then((r) => r.rows));
test("many_parameters", (c) => {
  const values = [...Array(10000).keys()];
  return c.query(`SELECT cardinality(ARRAY[${values.map((n) => `$${n + 1}::int`)}]) AS n`, values)
    .then((r) => r.rows);
});
test("transaction", async (c) => {
  const seen = [];
  for (const text of ["BEGIN", "INSERT INTO things (id) VALUES (6000)", "SAVEPOINT s", "SELECT 1/0",
    "SELECT 1", "ROLLBACK TO s", "SELECT count(*) FROM things WHERE id = 6000", "ROLLBACK", "ROLLBACK"]) {
    seen.push(await attempt(c.query(text).then(shown)));
  }
  return seen;
});
for (const level of ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE", "READ COMMITTED READ ONLY"]) {
  test(`begin_${level}`, async (c) => {
    const seen = [await attempt(c.query(`BEGIN ISOLATION LEVEL ${level}`).then(shown)),
      await attempt(c.query("UPDATE things SET id = id WHERE id = 1").then(shown))];
    await c.query("ROLLBACK");
    return seen;
  });
}

test("cursor", async (c) => {
  const cursor = c.query(new Cursor("SELECT id FROM things WHERE id > $1 ORDER BY id", [10]));
  const seen = [await cursor.read(3), await cursor.read(5), (await cursor.read(5000)).length,
    await cursor.read(1)];
  await cursor.close();
  return [...seen, (await c.query("SELECT 1")).rows];
});
test("cursor_closed_early", async (c) => {
  const cursor = c.query(new Cursor("SELECT n FROM generate_series(1, 1000000) n"));
  const seen = [await cursor.read(2)];
  await cursor.close();
  return [...seen, (await c.query("SELECT 1")).rows];
});
test("cursor_error", async (c) => {
  const cursor = c.query(new Cursor("SELECT 1/(5 - n) FROM generate_series(1, 100) n"));
  return [await attempt(cursor.read(3)), await attempt(cursor.read(3)), (await c.query("SELECT 1")).rows];
});
test("cursor_no_rows", async (c) => {
  const cursor = c.query(new Cursor("UPDATE things SET id = id WHERE id = 1"));
  const seen = await cursor.read(10);
  await cursor.close();
  return seen;
});
for (const batchSize of [1, 7, 100, 5000]) {
  test(`stream_${batchSize}`, async (c) => {
    let sum = 0;
    for await (const row of c.query(new QueryStream("SELECT id FROM things", [], { batchSize }))) {
      sum += row.id;
    }
    return sum;
  });
}
test("stream_left_early", async (c) => {
  let first;
  for await (const row of c.query(new QueryStream("SELECT n FROM generate_series(1, 100000) n"))) {
    first = row;
    break;
  }
  return [first, (await c.query("SELECT 1")).rows];
});

const collect = async (stream) => {
  const pieces = [];
  await pipeline(stream, new Writable({ write(chunk, _, done) { pieces.push(chunk); done(); } }));
  const all = Buffer.concat(pieces);
  return [all.length, all.subarray(0, 100).toString("latin1")];
};
const COPY_OUT = { table: "COPY things TO STDOUT", csv: "COPY things TO STDOUT (FORMAT csv, HEADER)",
  binary: "COPY things TO STDOUT (FORMAT binary)", error: "COPY (SELECT 1/0) TO STDOUT",
  query: "COPY (SELECT id FROM things ORDER BY id) TO STDOUT",
  late_error: "COPY (SELECT 1/(900 - n) FROM generate_series(1, 1000) n) TO STDOUT",
  large: "COPY (SELECT repeat('x', 1000) FROM generate_series(1, 50000)) TO STDOUT" };
for (const [name, text] of Object.entries(COPY_OUT)) {
  test(`copy_out_${name}`, async (c) =>
    [await attempt(collect(c.query(copy.to(text)))), (await c.query("SELECT 1")).rows]);
}
const COPY_IN = { rows: ["", () => [...Array(1000).keys()].map((n) => `${10000 + n}\tr${n}\n`)],
  csv: ["(FORMAT csv)", () => ['10000,"a, b"\n']], nothing: ["", () => []],
  bad: ["", () => ["10000\ta\n", "x\tb\n"]], duplicate: ["", () => ["1\ta\n"]],
  large: ["", () => [...Array(20000).keys()].map((n) => `${10000 + n}\t${"x".repeat(500)}\n`)] };
for (const [name, [options, lines]] of Object.entries(COPY_IN)) {
  test(`copy_in_${name}`, async (c) => {
    await c.query("BEGIN");
    const into = c.query(copy.from(`COPY things (id, name) FROM STDIN ${options}`));
    const seen = [await attempt(pipeline(Readable.from(lines()), into).then(() => into.rowCount))];
    seen.push(await attempt(c.query("SELECT count(*), min(name) FROM things WHERE id >= 10000").then(shown)));
    await c.query("ROLLBACK");
    return [...seen, (await c.query("SELECT 1")).rows];
  });
}
test("copy_in_given_up", async (c) => {
  const into = c.query(copy.from("COPY things (id, name) FROM STDIN"));
  const source = Readable.from((function* () {
    yield "10000\ta\n";
    throw new Error("given up");
  })());
  return [await attempt(pipeline(source, into)), (await c.query("SELECT 1")).rows];
});

test("cancelled", async (c) => {
  const running = attempt(c.query(LONG));
  setTimeout(() => new Client().cancel(c, c.activeQuery || c._activeQuery || c.getActiveQuery?.()), 300);
  const timer = setTimeout(() => c.connection.stream.destroy(), 8000);
  const seen = await running;
  clearTimeout(timer);
  return seen;
});
test("statement_timeout", async () => {
  const c = await attempt(connect({ statement_timeout: 200 }));
  if (Array.isArray(c)) return c;
  const seen = [await attempt(c.query(LONG)), (await c.query("SELECT 1")).rows];
  await c.end();
  return seen;
});
test("query_timeout", async () => {
  const c = await connect({ query_timeout: 200 });
  const seen = await attempt(c.query(LONG));
  c.connection.stream.destroy();
  return seen;
});
test("start_up_options", () => attempt(connect({ options: "-c geqo=off" }).then(async (c) => {
  const seen = (await c.query("SHOW geqo")).rows;
  await c.end();
  return seen;
})));
test("application_name", async () => {
  const c = await connect({ application_name: "näme" });
  const seen = (await c.query("SHOW application_name")).rows;
  await c.end();
  return seen;
});
test("lock_and_idle_timeouts", () => attempt(connect({ lock_timeout: 100,
  idle_in_transaction_session_timeout: 1000 }).then((c) => c.end())));
test("wrong_password", () => attempt(connect({ password: "wrong" })));
test("wrong_user", () => attempt(connect({ user: "nobody_here" })));
test("wrong_database", () => attempt(connect({ database: "nowhere" })));
test("tls_wanted", () => attempt(connect({ ssl: { rejectUnauthorized: false } })));

test("notices", async (c) => {
  const seen = [];
  c.on("notice", (notice) => seen.push([notice.severity, notice.code, notice.message]));
  await c.query("BEGIN");
  await c.query("BEGIN");
  await c.query("COMMIT");
  await c.query("COMMIT");
  return seen;
});
test("notify", async (c) => {
  const told = new Promise((resolve) => c.on("notification", (n) =>
    resolve([n.channel, n.payload, n.processId === c.processID])));
  await c.query("LISTEN news");
  await c.query("NOTIFY news, 'one'");
  return told;
});
test("process_number", async (c) =>
  (await c.query("SELECT pg_backend_pid() AS pid")).rows[0].pid === c.processID);
test("terminated", async (c) => {
  const pid = (await c.query("SELECT pg_backend_pid() AS pid")).rows[0].pid;
  const admin = await connect({ port: Number(process.env.DIRECT_PORT) });
  const running = attempt(c.query(LONG));
  await admin.query("SELECT pg_terminate_backend($1)", [pid]);
  await admin.end();
  return running;
});
test("pool", async () => {
  const pool = new Pool({ max: 5 });
  // Nobody having listened, an error on an idle connection would end the program.
  const idle = [];
  pool.on("error", (error) => idle.push(failure(error)));
  const seen = await Promise.all([...Array(100).keys()].map((n) =>
    pool.query("SELECT $1::int AS n", [n]).then((r) => r.rows[0].n)));
  const client = await pool.connect();
  seen.push(await attempt(client.query("SELECT 1/0")));
  client.release();
  seen.push((await pool.query("SELECT 1")).rows);
  await pool.end();
  return [seen, idle];
});
test("pool_ended_again_and_again", async () => {
  // Whether anything comes after the goodbye is a matter of time, so it is said often.
  const late = new Set();
  for (let round = 0; round < 40; round += 1) {
    const pool = new Pool({ max: 4 });
    pool.on("error", (error) => late.add(error.message));
    await Promise.all([1, 2, 3, 4].map((n) => pool.query("SELECT $1::int", [n])));
    await pool.end();
  }
  return [...late];
});
test("own_type_parser", async (c) => (await c.query({ text: "SELECT 5::int8 AS n",
  types: { getTypeParser: (oid, format) => oid === 20 ? Number : types.getTypeParser(oid, format) } })).rows);

const within = (promise) => {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("took too long")), SECONDS_MAX * 1000);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
};

const run = async (act) => {
  let client;
  try {
    client = await connect();
    const seen = await within(act(client));
    return ["passed", JSON.stringify(seen) ?? "nothing"];
  } catch (error) {
    return ["failed", `${error.name}: ${error.message}`];
  } finally {
    // A connection that can't say goodbye is cut.
    if (client) await within(client.end()).catch(() => client.connection.stream.destroy());
  }
};

const main = async () => {
  const admin = await connect({ port: Number(process.env.DIRECT_PORT) });
  await admin.query(SETTING);
  await admin.end();
  for (const [name, act] of tests) {
    if (!name.includes(process.env.ONLY ?? "")) continue;
    const [outcome, detail] = await run(act);
    process.stdout.write(JSON.stringify({ test: name, outcome, detail }) + "\n");
  }
  process.exit(0);
};

main();
