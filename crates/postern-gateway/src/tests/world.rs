//! A small support database behind a gateway.

use std::{
    collections::BTreeMap,
    num::NonZeroU32,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use postern_ledger::{Body, Entry, Ledger, Limit, Note, Options, Reader};
use postern_model::{Actor, Clock, Disclosure, FieldClass, Timestamp};
use postern_people::{Account, Approvals, People, Verifier};
use postern_policy::Policy;
use postern_session::{
    ColumnSettings, Enforcement, HoldLimits, InsertRule, Kind, ReasonGrade, ReasonSettings,
    TableSettings, TakeRule, Values,
};
use postern_testkit::PostgresServer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_postgres::Client;

use super::raw::Raw;
use crate::{
    Gateway, Handle, Limits, Parts, Pooling, ReconfigureError, Reconfigured, Role, Settings,
    Upstream, UpstreamHost,
};

const SCHEMA: &str = "
    CREATE TABLE customers (id bigint PRIMARY KEY, name text NOT NULL, email text UNIQUE);
    INSERT INTO customers SELECT n, 'Name ' || n, 'mail' || n || '@example.org'
        FROM generate_series(1, 100) n;
    UPDATE customers SET email = 'one@example.org' WHERE id = 1;
    UPDATE customers SET email = 'two@example.org' WHERE id = 2;
    CREATE TABLE tickets (id bigserial PRIMARY KEY, customer_id bigint REFERENCES customers,
        assignee text, opened_by text, status text);
    INSERT INTO tickets (customer_id, assignee, opened_by, status)
        VALUES (1, 'ana', 'customer', 'open'), (3, 'ana', 'customer', 'open');
    CREATE VIEW directory (number, mail) AS SELECT id, email FROM customers;
    CREATE VIEW open_cases AS SELECT d.number, d.mail, t.status, upper(t.opened_by) AS opened_by
        FROM directory d JOIN tickets t ON t.customer_id = d.number WHERE t.status <> 'closed';
    CREATE FUNCTION initials(text) RETURNS text LANGUAGE sql AS $$ SELECT left($1, 1) $$;
    CREATE FUNCTION asks(sql text) RETURNS text LANGUAGE plpgsql AS $$
        DECLARE told text; BEGIN EXECUTE sql INTO told; RETURN told; END $$;
    CREATE FUNCTION does(sql text) RETURNS text LANGUAGE plpgsql AS $$
        BEGIN EXECUTE sql; RETURN 'done'; END $$;
    CREATE FUNCTION loud(text) RETURNS text LANGUAGE sql AS $$ SELECT upper($1) $$;
    ANALYZE;";
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(5);

#[derive(Debug)]
pub(super) struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the tests' gateway runs in real time")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Timestamp(since.as_micros().try_into().unwrap())
    }
}

pub(super) struct World {
    pub(super) postgres: PostgresServer,
    pub(super) ledger: Arc<Ledger>,
    folder: tempfile::TempDir,
    gateway: Gateway,
    /// What is in force.
    pub(super) settings: Settings,
    pub(super) policy: Arc<Policy>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.gateway.handle().stop();
    }
}

impl World {
    /// Ana and Ben are agents, the DBA sees everything and is accounted; all with these budgets.
    pub(super) fn start(budgets: &[Limit]) -> Self {
        Self::start_with(budgets, None)
    }

    /// The same, with TLS for clients.
    pub(super) fn start_with(budgets: &[Limit], tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        Self::start_as(budgets, |settings| settings.tls = tls)
    }

    /// With settings that a test changes.
    pub(super) fn start_as(budgets: &[Limit], change: impl FnOnce(&mut Settings)) -> Self {
        let postgres = PostgresServer::start(postern_testkit::Options::default()).unwrap();
        postgres.psql("CREATE DATABASE support").unwrap();
        postgres.psql_in("support", SCHEMA).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let options = Options::new("test", Arc::new(SystemClock)).small();
        let options = Options { value_hashes: true, ..options };
        let path = folder.path().join("ledger");
        Ledger::create(&path, &options).unwrap();
        let ledger = Arc::new(Ledger::open(&path, options, Arc::new(|_| {})).unwrap());
        let policy = Arc::new(Policy::parse(Policy::default_text()).unwrap());
        let parts = Parts {
            ledger: ledger.clone(),
            policy: policy.clone(),
            people: Arc::new(people()),
            approvals: Approvals::default(),
            suspended: BTreeMap::new(),
            clock: Arc::new(SystemClock),
            mock_secret: [1; 32],
            search_key: [2; 32],
        };
        let mut settings = settings(&postgres, budgets);
        change(&mut settings);
        let gateway = Gateway::build(settings.clone(), parts).unwrap();
        let handle = gateway.handle();
        postern_testkit::wait_until(PATIENCE, "the catalogue to be read", || handle.is_ready())
            .unwrap();
        Self { postgres, ledger, folder, gateway, settings, policy }
    }

    pub(super) fn handle(&self) -> Handle {
        self.gateway.handle()
    }

    /// Puts other settings in force.
    pub(super) fn change(
        &mut self,
        change: impl FnOnce(&mut Settings),
    ) -> Result<Reconfigured, ReconfigureError> {
        let mut settings = self.settings.clone();
        change(&mut settings);
        self.reconfigure(settings, self.policy.clone())
    }

    /// The same, while clients of this test work.
    pub(super) async fn reconfigure_beside(
        &mut self,
        settings: Settings,
        policy: Arc<Policy>,
    ) -> Result<Reconfigured, ReconfigureError> {
        (self.settings, self.policy) = (settings.clone(), policy.clone());
        let (handle, by) = (self.handle(), Actor::new("admin"));
        let note = Note::Configured { hash: [7; 32], by };
        let done = tokio::task::spawn_blocking(move || handle.reconfigure(settings, policy, note));
        done.await.unwrap()
    }

    pub(super) fn reconfigure(
        &mut self,
        settings: Settings,
        policy: Arc<Policy>,
    ) -> Result<Reconfigured, ReconfigureError> {
        let note = Note::Configured { hash: [7; 32], by: Actor::new("admin") };
        let done = self.handle().reconfigure(settings.clone(), policy.clone(), note);
        if done.is_ok() {
            (self.settings, self.policy) = (settings, policy);
        }
        done
    }

    /// Everybody as at the start but for this.
    pub(super) fn change_people(&self, change: impl Fn(&mut Account)) {
        let mut changed = People::default();
        for (actor, account) in people().iter() {
            let mut account = account.clone();
            change(&mut account);
            changed.insert(actor.clone(), account).unwrap();
        }
        self.handle().replace_people(Arc::new(changed));
    }

    pub(super) async fn client(&self, actor: &str) -> Client {
        let config = self.config(actor, &format!("pw-{actor}"));
        let (client, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    pub(super) async fn raw(&self, actor: &str) -> Raw {
        Raw::connect(self.handle().address(), actor, &format!("pw-{actor}"), "support").await
    }

    pub(super) async fn login_error(&self, actor: &str, password: &str) -> String {
        match self.config(actor, password).connect(tokio_postgres::NoTls).await {
            Ok(_) => panic!("{actor} was let in"),
            Err(error) => super::code(&error).to_owned(),
        }
    }

    /// All that a failed log-in is told.
    pub(super) async fn login_answer(&self, actor: &str, password: &str) -> String {
        match self.config(actor, password).connect(tokio_postgres::NoTls).await {
            Ok(_) => panic!("{actor} was let in"),
            Err(error) => format!("{:?}", error.as_db_error()),
        }
    }

    pub(super) async fn wait_for_login(&self, actor: &str) {
        let config = self.config(actor, &format!("pw-{actor}"));
        let until = tokio::time::Instant::now() + PATIENCE;
        let mut looks = tokio::time::interval(LOOK_EVERY);
        while config.connect(tokio_postgres::NoTls).await.is_err() {
            assert!(looks.tick().await < until, "no log-in");
        }
    }

    /// The gateway reads the catalogue now and then; this waits until it has seen a new table.
    pub(super) async fn wait_for_relation(&self, actor: &str, name: &str) {
        let client = self.client(actor).await;
        let until = tokio::time::Instant::now() + PATIENCE;
        let mut looks = tokio::time::interval(LOOK_EVERY);
        while client.simple_query(&format!("SELECT 1 FROM {name}")).await.is_err() {
            assert!(looks.tick().await < until, "the gateway does not see {name}");
        }
    }

    /// Sends bytes as a first message; whether the connection is closed for it.
    pub(super) async fn sends_and_is_closed(&self, bytes: &[u8]) -> bool {
        let mut stream = tokio::net::TcpStream::connect(self.handle().address()).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut rest = Vec::new();
        tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await.is_ok()
    }

    /// Statements of clients that the server is running.
    pub(super) fn running_statements(&self) -> usize {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' \
                   AND query LIKE '%generate_series%' AND pid <> pg_backend_pid()";
        self.postgres.psql_in("support", sql).unwrap().trim().parse().unwrap()
    }

    /// Statements that wait for somebody's lock.
    pub(super) fn waiting_statements(&self) -> usize {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
        self.postgres.psql_in("support", sql).unwrap().trim().parse().unwrap()
    }

    /// A connection around the gateway.
    pub(super) async fn dba(&self) -> Client {
        let mut config = tokio_postgres::Config::new();
        config
            .host_path(self.postgres.socket_dir())
            .port(self.postgres.port())
            .user(self.postgres.superuser())
            .dbname("support");
        let (client, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    pub(super) async fn wait_for_statements(&self, count: usize) {
        self.wait_until("statements", |world| world.running_statements() == count).await;
    }

    pub(super) async fn wait_until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let until = tokio::time::Instant::now() + PATIENCE;
        let mut looks = tokio::time::interval(LOOK_EVERY);
        while !is_so(self) {
            assert!(looks.tick().await < until, "waited in vain for: {what}");
        }
    }

    pub(super) fn ledger_path(&self) -> PathBuf {
        self.folder.path().join("ledger")
    }

    pub(super) fn entries(&self) -> Vec<Entry> {
        let reader = Reader::open(&self.ledger_path()).unwrap();
        reader.map(Result::unwrap).collect()
    }

    pub(super) fn disclosures(&self) -> Vec<Disclosure> {
        self.entries().iter().flat_map(Entry::disclosures).collect()
    }

    pub(super) fn notes(&self) -> Vec<Note> {
        let notes = self.entries().into_iter().filter_map(|entry| match entry.body {
            Body::Noted(note) => Some(note),
            Body::Disclosed(_) => None,
        });
        notes.collect()
    }

    pub(super) fn config(&self, actor: &str, password: &str) -> tokio_postgres::Config {
        let address = self.handle().address();
        let mut config = tokio_postgres::Config::new();
        config
            .host(address.ip().to_string())
            .port(address.port())
            .user(actor)
            .password(password)
            .dbname("support");
        config
    }
}

fn people() -> People {
    let mut people = People::default();
    let all =
        [("ana", "agent"), ("ben", "agent"), ("dba", "administrator"), ("web", "application")];
    for (name, role) in all {
        let iterations = NonZeroU32::new(16).unwrap();
        let verifier = Verifier::derive(&format!("pw-{name}"), b"0123456789abcdef", iterations);
        let account = Account {
            role: role.into(),
            employer: "own".into(),
            verifier: Some(verifier),
            ends: None,
            active: true,
        };
        people.insert(Actor::new(name), account).unwrap();
    }
    people
}

fn role(kind: Kind, budgets: &[Limit]) -> Role {
    Role {
        kind,
        enforcement: Enforcement::Enforce,
        pooling: Pooling::Session,
        budgets: budgets.into(),
        more: Arc::default(),
        speaks_for: false,
    }
}

fn settings(postgres: &PostgresServer, budgets: &[Limit]) -> Settings {
    let column = |name: &str, class, lookup| ColumnSettings {
        name: name.to_owned(),
        class,
        lookup,
        mask: Some("***".to_owned()),
    };
    let table = |table: &str, subject: &str, clear: &[&str], columns| TableSettings {
        schema: "public".to_owned(),
        table: table.to_owned(),
        subject: subject.to_owned(),
        clear: clear.iter().map(ToString::to_string).collect(),
        columns,
        insert: if table == "tickets" { InsertRule::Allow } else { InsertRule::Refuse },
        update: match table {
            "customers" => vec!["name".to_owned(), "email".to_owned()],
            _ => Vec::new(),
        },
        update_own: if table == "tickets" { vec!["status".to_owned()] } else { Vec::new() },
        delete: false,
    };
    let customers =
        vec![column("name", FieldClass::Name, false), column("email", FieldClass::Email, true)];
    let all = ["id", "customer_id", "assignee", "opened_by", "status"];
    Settings {
        listen: ([127, 0, 0, 1], 0).into(),
        workers: 2,
        tls: None,
        upstream: Upstream {
            host: UpstreamHost::Unix {
                folder: postgres.socket_dir().to_owned(),
                port: postgres.port(),
            },
            database: "support".to_owned(),
            user: postgres.superuser().to_owned(),
            password: None,
            tls: None,
            search_path: vec!["public".to_owned()],
            unprotected: None,
            functions: vec!["public.initials".to_owned()],
            relations: Vec::new(),
        },
        limits: Limits {
            connections_max: 100,
            message_bytes_max: 1 << 20,
            login_timeout: PATIENCE,
            drain: Duration::from_millis(100),
            statement_timeout: Duration::from_secs(60),
            idle_in_transaction_timeout: Duration::from_secs(60),
            spare_max: 4,
            spare_time: Duration::from_secs(60),
            server_max: 4,
            queue_time: PATIENCE,
            server_lifetime: Duration::from_secs(3_600),
            prepared_max: 8,
            hold: HoldLimits { rows_max: 10, value_rows_max: 64, ..HoldLimits::default() },
        },
        roles: BTreeMap::from([
            ("agent".into(), role(Kind::Restricted, budgets)),
            ("administrator".into(), role(Kind::Accounted, budgets)),
        ]),
        tables: vec![
            table("customers", "id", &["id"], customers),
            table("tickets", "customer_id", &all, Vec::new()),
        ],
        reasons: vec![ReasonSettings {
            name: "ticket".into(),
            schema: "public".to_owned(),
            table: "tickets".to_owned(),
            subject: "customer_id".to_owned(),
            actor: "assignee".to_owned(),
            ticket: Some("id".to_owned()),
            condition: "status = 'open'".to_owned(),
            grade: ReasonGrade::StrongWhen("opened_by = 'customer'".to_owned()),
            take: Some(TakeRule {
                pool: Vec::new(),
                order: vec!["id".to_owned()],
                sets: vec![Values { column: "status".to_owned(), values: vec!["open".to_owned()] }],
            }),
        }],
        approvals: None,
        tokens: None,
        administrators: vec![Actor::new("dba")],
        sign_in: None,
        certificates: None,
    }
}
