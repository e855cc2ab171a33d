//! A support database with everything that a gateway needs in front of it, made by the binary.

use postern_testkit::{Options, PostgresServer};

use crate::{
    bench::Bench,
    raw::{DATABASE, password},
};

/// How many customers there are, numbered from 1.
pub(crate) const CUSTOMERS: i64 = 400;

/// The restricted people; each has open tickets of every fourth customer.
pub(crate) const AGENTS: [&str; 4] = ["ana", "ben", "cleo", "dan"];

/// One more, whose tickets are those of the first [`MIAS`] customers and whose budget is small.
pub(crate) const MIA: &str = "mia";
pub(crate) const MIAS: i64 = 60;
pub(crate) const MIAS_BUDGET: usize = 30;

/// Whether an agent has a reason to see a customer.
pub(crate) fn is_entitled(actor: &str, customer: i64) -> bool {
    if actor == MIA {
        return customer <= MIAS;
    }
    let place = AGENTS.iter().position(|agent| *agent == actor).unwrap();
    customer.rem_euclid(4) == i64::try_from(place).unwrap()
}

/// Both roles may do the same; they differ in their budgets.
const POLICY: &str = r#"
permit (principal, action == Action::"connect", resource);
permit (principal, action == Action::"see_clear", resource) when { context has reason };
"#;

/// A database and a folder with configuration, ledger and people.
#[derive(Debug)]
pub(crate) struct Support {
    pub(crate) postgres: PostgresServer,
    pub(crate) bench: Bench,
}

impl Support {
    pub(crate) fn new() -> Self {
        Self::with(Options::default(), "")
    }

    /// With these options of the server and these lines in the configuration's `[data]`.
    pub(crate) fn with(options: Options, data: &str) -> Self {
        let postgres = PostgresServer::start(options).unwrap();
        postgres.psql(&format!("CREATE DATABASE {DATABASE}")).unwrap();
        postgres.psql_in(DATABASE, &schema()).unwrap();
        let bench = Bench::new().file("policy.cedar", POLICY);
        bench.run(&format!("init --upstream {}", postgres.url_of(DATABASE))).yes();
        let support = Self { postgres, bench };
        support.configure(&support.configuration(data));
        for actor in AGENTS {
            support.add(actor, "agent");
        }
        support.add(MIA, "metered");
        support
    }

    /// Puts another configuration in place of the one that there is.
    pub(crate) fn configure(&self, text: &str) {
        // At once: a gateway may be reading it.
        let (new, path) = (self.bench.path("postern.toml.new"), self.bench.path("postern.toml"));
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, path).unwrap();
    }

    fn add(&self, actor: &str, role: &str) {
        let add = format!("person add {actor} --role {role} --password-stdin");
        self.bench.run_with(&add, &password(actor)).yes();
    }

    pub(crate) fn ledger(&self) -> std::path::PathBuf {
        self.bench.path("postern-data/ledger")
    }

    pub(crate) fn configuration(&self, data: &str) -> String {
        let port = self.postgres.port();
        let user = self.postgres.superuser();
        format!(
            r#"
[gateway]
listen = "127.0.0.1:0"
workers = 2
[gateway.limits]
hold_rows_max = 9

[upstream]
host = "127.0.0.1"
port = {port}
database = "{DATABASE}"
user = "{user}"

[data]
{data}

[policy]
file = "policy.cedar"

[roles.agent]
kind = "restricted"

[roles.metered]
kind = "restricted"
budgets = [
    {{ count = "clear_subjects", window = "1d", max = {MIAS_BUDGET} }},
    # All that she is refused is looked at.
    {{ count = "stops", window = "1d", max = 1000 }},
]

[[tables]]
name = "public.customers"
subject = "id"
clear = ["id", "plan"]
[tables.columns.name]
class = "name"
mask = "***"
[tables.columns.email]
class = "email"
mask = "***"

[[tables]]
name = "public.tickets"
subject = "customer_id"
clear = ["id", "customer_id", "assignee", "opened_by", "status"]

[[reasons]]
name = "assigned_ticket"
table = "public.tickets"
subject = "customer_id"
actor = "assignee"
where = "status = 'open'"
strong_when = "opened_by = 'customer'"
"#
        )
    }
}

fn schema() -> String {
    let mut sql = format!(
        "CREATE TABLE customers (id bigint PRIMARY KEY, name text, email text, plan text);
         INSERT INTO customers SELECT n, 'Name ' || n, 'mail' || n || '@example.org', 'basic'
             FROM generate_series(1, {CUSTOMERS}) n;
         CREATE TABLE tickets (id bigserial PRIMARY KEY, customer_id bigint REFERENCES customers,
             assignee text, opened_by text, status text);
         CREATE TABLE products (id bigint PRIMARY KEY, title text);
         INSERT INTO products VALUES (1, 'Lamp'), (2, 'Chair');\n"
    );
    for actor in AGENTS.into_iter().chain([MIA]) {
        for customer in (1..=CUSTOMERS).filter(|customer| is_entitled(actor, *customer)) {
            sql += &format!(
                "INSERT INTO tickets (customer_id, assignee, opened_by, status)
                 VALUES ({customer}, '{actor}', 'customer', 'open');\n"
            );
        }
    }
    sql + "ANALYZE;"
}
