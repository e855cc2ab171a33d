use std::os::unix::fs::PermissionsExt as _;

use postern_testkit::{Options, PostgresServer};

use crate::bench::Bench;

const SUPPORT: &str = "
CREATE TABLE clients (id int PRIMARY KEY, full_name text, email varchar(80) UNIQUE, tel text,
                      city text, \"Plan B\" text, pwd_hash text);
INSERT INTO clients SELECT i, 'Ada Lovelace', 'ada' || i || '@example.com', '+1 201 555 01' || i,
       'Leeds', 'pro', md5(i::text) FROM generate_series(10, 29) i;
CREATE TYPE state AS ENUM ('open', 'done');
CREATE TABLE cases (no text PRIMARY KEY, client_id int REFERENCES clients, title text, status state,
                    assigned_to text, created_by text);
INSERT INTO cases VALUES ('C-1', 10, 'Refund', 'open', 'bob', 'customer'),
                         ('C-2', 11, 'Login', 'done', 'bob', 'bob');
CREATE TABLE orders (id int PRIMARY KEY, client_id int REFERENCES clients, amount numeric);
CREATE TABLE newsletter (address text);
INSERT INTO newsletter VALUES ('eve@example.net');
ANALYZE;
";

const PGBENCH: &str = "
CREATE TABLE pgbench_accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84));
INSERT INTO pgbench_accounts SELECT i, 1, 0, '' FROM generate_series(1, 100) i;
ANALYZE;
";

fn server(sql: &str) -> PostgresServer {
    let password = Some("s3cret".to_owned());
    let server = PostgresServer::start(Options { password, ..Options::default() }).unwrap();
    server.psql(sql).unwrap();
    server
}

#[test]
fn init_finds_customers_their_tickets_and_what_is_personal() {
    let server = server(SUPPORT);
    let bench = Bench::new();
    let found = bench.run(&format!("init --upstream {}", server.url()));
    insta::assert_snapshot!(found.yes(), @r#"
    looked at 4 tables

    protect public.clients, about 20 rows; the customer is id (its primary key)
      full_name        name         certain   its name, and 100 % of 20 values look like names of people
      email            email        certain   its name, and 100 % of 20 values look like e-mail addresses, look-up
      tel              phone        certain   its name, and 100 % of 20 values look like telephone numbers
      city             address      possible  its name
      pwd_hash         secret       certain   its name

    protect public.cases, about 2 rows; the customer is client_id (a foreign key to public.clients)
      no               case_number  likely    its name, look-up
      title            free_text    likely    its name

    not protected: public.newsletter, no column of it holds the customer's key
      address          email        likely    100 % of 1 values look like e-mail addresses

    reason assigned_ticket: public.cases with assigned_to as the person; strong when created_by = 'customer', else weak
      where status IN ('open')
    "#);

    let port = server.port().to_string();
    let written = bench.read("postern.toml").replace(&port, "PORT");
    insta::assert_snapshot!(written, @r#"
    # The configuration of Postern, proposed by `postern init` from what it found in the database.
    # Read it before you rely on it: what is not listed here is not protected.
    # `postern check-config` says what it means, docs/config.md what else can be said.

    [gateway]
    listen = "127.0.0.1:6432"

    [upstream]
    host = "127.0.0.1"
    port = PORT
    database = "postgres"
    user = "postgres"
    password_file = "upstream.password"
    # Tables without anything of customers. One that is neither here nor under [[tables]] is
    # refused: it could be a copy. Leave the key out to let everything else be read.
    unprotected = [
        "public.orders",
    ]

    [data]
    folder = "postern-data"

    # What people may do, by the role that `postern person add NAME --role ROLE` gives them.
    # Support staff: clear for the customers whom they have a reason for, masked otherwise.
    [roles.agent]
    kind = "restricted"
    budgets = [
        { count = "clear_subjects", window = "1h", max = 60 },
        { count = "clear_subjects", window = "1d", max = 250 },
        { count = "weak_subjects", window = "1d", max = 20 },
        { count = "masked_subjects", window = "1h", max = 500 },
        { count = "lookups", window = "1h", max = 60 },
        { count = "lookup_misses", window = "1h", max = 20 },
    ]

    # Those who must see everything, e.g. for an approved export: every record is counted and recorded.
    [roles.administrator]
    kind = "accounted"
    budgets = [{ count = "clear_subjects", window = "1d", max = 100000 }]

    [[tables]]
    name = "public.clients"
    subject = "id"    # its primary key
    clear = ["id", "Plan B"]
    [tables.columns.full_name]
    class = "name"    # certain: its name, and 100 % of 20 values look like names of people
    [tables.columns.email]
    class = "email"    # certain: its name, and 100 % of 20 values look like e-mail addresses
    lookup = true
    [tables.columns.tel]
    class = "phone"    # certain: its name, and 100 % of 20 values look like telephone numbers
    [tables.columns.city]
    class = "address"    # possible: its name
    [tables.columns.pwd_hash]
    class = "secret"    # certain: its name

    [[tables]]
    name = "public.cases"
    subject = "client_id"    # a foreign key to public.clients
    clear = ["client_id", "status", "assigned_to", "created_by"]
    [tables.columns.no]
    class = "case_number"    # likely: its name
    lookup = true
    [tables.columns.title]
    class = "free_text"    # likely: its name

    # NOT protected, though it looks personal: no column of it holds the customer's key.
    # To protect it, give the column that holds the customer's key:
    # [[tables]]
    # name = "public.newsletter"
    # subject = "?"
    # [tables.columns.address]
    # class = "email"    # likely: 100 % of 1 values look like e-mail addresses

    [[reasons]]
    name = "assigned_ticket"
    table = "public.cases"
    subject = "client_id"
    actor = "assigned_to"
    where = "status IN ('open')"
    strong_when = "created_by = 'customer'"
    # To let people take what waits with assigned_to empty, say what waits longest:
    # [reasons.take]
    # order = ["…"]

    [watch]
    # How many false alarms are acceptable: alerts in a day for every hundred people.
    alerts_per_100_agents_per_day = 0.1
    # Add "unexplained_share" once you trust it: a finding of that kind then suspends at once.
    suspend_on = ["decoy_read", "leaver_session"]
    "#);
    let mode = |name| bench.path(name).metadata().unwrap().permissions().mode() & 0o777;
    let modes = ["postern-data", "upstream.password", "postern-data/people.toml"].map(mode);
    assert_eq!(modes, [0o700, 0o600, 0o600]);
    assert_eq!(bench.read("upstream.password"), "s3cret\n");
    assert_eq!(bench.run("check-config").code, Some(0));
    let verified = bench.run("ledger verify").yes();
    assert!(verified.contains("holds: 0 entries"), "{verified}");

    insta::assert_snapshot!(bench.run(&format!("init --upstream {}", server.url())).ended(2), @"error: `./postern.toml` is there already, and nothing is overwritten");
}

#[test]
fn init_says_so_where_nothing_looks_personal_and_protects_what_it_is_told_to() {
    let server = server(PGBENCH);
    let bench = Bench::new();
    let found = bench.run(&format!("init --upstream {} --dir plain", server.url()));
    insta::assert_snapshot!(found.ended(0), @r#"
    looked at 1 table

    no personal data found, so no table is protected yet
    warning: `postgres` is a superuser; make a role for the gateway that can only use the tables
    hint: read and correct `plain/postern.toml`
    hint: protect a table with `--protect SCHEMA.TABLE --subject COLUMN`, or in the file
    hint: then `postern person add NAME --role agent -c plain/postern.toml`
    hint: then `postern serve -c plain/postern.toml`
    "#);
    assert_eq!(bench.run("-c plain/postern.toml check-config").code, Some(0));

    let wish = "--protect public.pgbench_accounts --subject aid --dir wished";
    let found = bench.run(&format!("init --upstream {} {wish}", server.url()));
    insta::assert_snapshot!(found.yes(), @r#"
    looked at 1 table

    protect public.pgbench_accounts, about 100 rows; the customer is aid (named with --subject)
      masked: bid, abalance, filler
    "#);
    let explained = bench.run("-c wished/postern.toml check-config").yes();
    assert!(explained.contains("public.pgbench_accounts   aid"), "{explained}");

    let wish = "--protect public.pgbench_accounts --subject id --dir mistaken";
    let found = bench.run(&format!("init --upstream {} {wish}", server.url()));
    insta::assert_snapshot!(found.ended(2), @"error: table `public.pgbench_accounts` has no column `id`");
    assert!(!bench.path("mistaken").exists(), "a mistake leaves nothing behind");
}

#[test]
fn init_says_why_it_can_not_look() {
    let server = server("");
    let bench = Bench::new();
    let url = server.url().replace("s3cret", "guess");
    insta::assert_snapshot!(bench.run(&format!("init --upstream {url}")).ended(2), @r#"
    error: can't connect to the upstream database: db error: FATAL: password authentication failed for user "postgres"
    "#);
    insta::assert_snapshot!(bench.run("init --upstream nonsense").ended(2), @"error: the upstream URL can't be read; it is postgres://USER@HOST/DATABASE: invalid connection string: unexpected EOF");
    insta::assert_snapshot!(
        bench.run("init --upstream postgres://a@127.0.0.1:1/x").ended(2), @"error: can't connect to the upstream database: error connecting to server: Connection refused (os error 111)");
    assert!(!bench.path("postern.toml").exists());
}
