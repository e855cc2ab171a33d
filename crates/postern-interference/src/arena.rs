//! Two servers with the same tables, and a gateway in front of each.
//!
//! The servers are made in the same way and see the same statements in the same order, so that the
//! numbers of their objects are the same too.

use std::{
    collections::BTreeMap,
    num::NonZeroU32,
    path::Path,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, bail};
use postern_gateway::{Gateway, Limits, Parts, Pooling, Role, Settings, Upstream, UpstreamHost};
use postern_ledger::{Entry, Ledger, Options, Plan};
use postern_model::{Actor, Clock, Timestamp};
use postern_people::{Account, People, Verifier};
use postern_policy::Policy;
use postern_session::{
    ColumnSettings, Enforcement, HoldLimits, InsertRule, Kind, ReasonGrade, ReasonSettings,
    TableSettings,
};
use postern_testkit::PostgresServer;
use tempfile::TempDir;

use crate::{
    accounts::Told,
    client::{Client, Transcript},
    schema::{ACTOR, Accounts, Guard, Table, World},
    script::Script,
};

const DATABASE: &str = "world";
const PASSWORD: &str = "pw";
const PATIENCE: Duration = Duration::from_secs(30);
/// A folder in memory: the ledger syncs for every statement.
const MEMORY: &str = "/dev/shm";

/// Settings that keep both servers from doing anything of their own.
const SERVER: [(&str, &str); 6] = [
    ("autovacuum", "off"),
    ("max_connections", "30"),
    ("max_parallel_workers_per_gather", "0"),
    ("jit", "off"),
    ("timezone", "UTC"),
    ("lc_messages", "C"),
];

/// Writes every table of a world anew, in the order of its keys: rows of different lengths stand
/// in the same order on both sides then, though not on the same pages.
const IN_ORDER: &str = "DO $$
DECLARE
    item record;
BEGIN
    FOR item IN
        SELECT indrelid::regclass AS place, relname
        FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
        WHERE indisprimary AND relkind = 'i' AND relnamespace = 'public'::regnamespace
    LOOP
        EXECUTE format('CLUSTER %s USING %I', item.place, item.relname);
        EXECUTE format('ALTER TABLE %s SET WITHOUT CLUSTER', item.place);
    END LOOP;
END $$";

#[derive(Debug)]
struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "these gateways run in real time")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(since.as_micros().try_into().unwrap_or_default())
    }
}

/// Two servers, for one world after the other.
#[derive(Debug)]
pub struct Arena {
    pub(crate) servers: [PostgresServer; 2],
}

/// One of a world's two databases, behind its gateway.
#[derive(Debug)]
struct Side {
    gateway: Option<Gateway>,
    client: Option<Client>,
    ledger: Arc<Ledger>,
    /// Entries since it was last asked.
    entries: Arc<Mutex<Vec<Entry>>>,
    _folder: TempDir,
}

/// A world at work.
#[derive(Debug)]
pub struct Stage {
    sides: [Side; 2],
    /// Rows stand in the same places on both sides, see [`World::level`].
    pub(crate) level: bool,
    pub(crate) accounts: Option<Accounts>,
}

impl Arena {
    /// Starts the servers.
    pub fn start() -> anyhow::Result<Self> {
        let start = || {
            let settings = SERVER.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
            let options = postern_testkit::Options {
                settings: settings.collect(),
                ..postern_testkit::Options::default()
            };
            PostgresServer::start(options)
        };
        Ok(Self { servers: both(|_| start().context("cannot start a server"))? })
    }

    /// Makes both databases of a world anew.
    pub fn stage(&self, world: &World) -> anyhow::Result<Stage> {
        self.stage_after(world, "")
    }

    /// Makes them anew with the rows of each table in the order of its keys.
    pub(crate) fn stage_in_order(&self, world: &World) -> anyhow::Result<Stage> {
        self.stage_after(world, IN_ORDER)
    }

    fn stage_after(&self, world: &World, last: &str) -> anyhow::Result<Stage> {
        self.number_alike()?;
        let databases = both(|side| {
            let server = &self.servers[side];
            server.psql(&format!(
                "DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE);\nCREATE DATABASE {DATABASE}"
            ))?;
            let text = format!("BEGIN;\n{}\n{}\n{last};\nCOMMIT;", world.setup, world.rows[side]);
            server.psql_in(DATABASE, &text)?;
            Ok(server.psql_in(DATABASE, "SELECT oid, relname FROM pg_class ORDER BY oid")?)
        })?;
        if databases[0] != databases[1] {
            bail!("the two databases number their tables differently");
        }
        let sides = both(|side| Side::start(&self.servers[side], world))?;
        Ok(Stage { sides, level: world.level, accounts: world.accounts.clone() })
    }

    /// Has both servers give the next object the same number: what an earlier world made, or was
    /// stopped in making, may have taken more of them on one side.
    fn number_alike(&self) -> anyhow::Result<()> {
        let next = both(|side| {
            let text = self.servers[side].psql("SELECT lo_create(0)")?;
            text.trim().parse::<u32>().context("a server gives no number")
        })?;
        let last = next[0].max(next[1]);
        both(|side| {
            let passes = format!("WHILE lo_create(0) < {last} LOOP END LOOP;");
            let passes = if next[side] < last { passes.as_str() } else { "" };
            let text = format!(
                "DO $$ BEGIN {passes} PERFORM lo_unlink(oid) FROM pg_largeobject_metadata; END $$"
            );
            Ok(self.servers[side].psql(&text)?)
        })?;
        Ok(())
    }
}

impl Stage {
    /// What a client is sent on both sides for the same bytes.
    pub fn play(&mut self, script: &Script) -> anyhow::Result<[Transcript; 2]> {
        let (bytes, readies) = script.encode()?;
        for side in &mut self.sides {
            side.client()?.send(&bytes)?;
        }
        let [one, two] = &mut self.sides;
        Ok([one.read(readies)?, two.read(readies)?])
    }

    /// What the entries since the last call tell, on both sides.
    pub(crate) fn told(&mut self) -> anyhow::Result<[Told; 2]> {
        let [one, two] = &self.sides;
        Ok([Told::of(&one.entries()?), Told::of(&two.entries()?)])
    }

    /// Both clients log in anew before the next script.
    pub fn reconnect(&mut self) {
        self.sides.iter_mut().for_each(|side| side.client = None);
    }
}

impl Side {
    fn start(server: &PostgresServer, world: &World) -> anyhow::Result<Self> {
        let memory = Path::new(MEMORY);
        let folder = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
        let folder = folder.context("cannot make a folder for the ledger")?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let options = Options::new("interference", clock.clone());
        let path = folder.path().join("ledger");
        Ledger::create(&path, &options)?;
        let entries = Arc::new(Mutex::new(Vec::new()));
        let kept = entries.clone();
        let keep = move |new: Vec<Entry>| {
            kept.lock().unwrap_or_else(PoisonError::into_inner).extend(new);
        };
        let ledger = Arc::new(Ledger::open(&path, options, Arc::new(keep))?);
        let parts = Parts {
            approvals: postern_people::Approvals::default(),
            ledger: ledger.clone(),
            policy: Arc::new(Policy::parse(&world.policy)?),
            people: Arc::new(people()?),
            suspended: BTreeMap::new(),
            clock,
            mock_secret: [1; 32],
            search_key: [2; 32],
        };
        let gateway = Gateway::build(settings(server, world), parts)?;
        let handle = gateway.handle();
        postern_testkit::wait_until(PATIENCE, "the catalogue to be read", || handle.is_ready())?;
        Ok(Self { gateway: Some(gateway), client: None, ledger, entries, _folder: folder })
    }

    /// Entries since the last call. A question comes behind all that was recorded before it.
    fn entries(&self) -> anyhow::Result<Vec<Entry>> {
        let (sender, answered) = mpsc::sync_channel(1);
        let done = Box::new(move |_| {
            // Who has asked may have given up.
            let _ = sender.try_send(());
        });
        self.ledger.ask(Actor::new(ACTOR), Arc::new([]), Plan::default(), done);
        answered.recv_timeout(PATIENCE).context("the ledger does not answer")?;
        Ok(std::mem::take(&mut *self.entries.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    fn client(&mut self) -> anyhow::Result<&mut Client> {
        let Some(gateway) = &self.gateway else { bail!("the gateway has stopped") };
        if self.client.is_none() {
            let address = gateway.handle().address();
            self.client = Some(Client::connect(address, ACTOR, PASSWORD, DATABASE)?);
        }
        self.client.as_mut().context("no client")
    }

    fn read(&mut self, readies: usize) -> anyhow::Result<Transcript> {
        let transcript = self.client()?.read(readies).context("no answer from a gateway")?;
        if transcript.closed {
            self.client = None;
        }
        Ok(transcript)
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        self.client = None;
        if let Some(gateway) = self.gateway.take() {
            gateway.handle().stop();
            gateway.wait();
        }
    }
}

/// Does the same for both sides at the same time.
fn both<T: Send>(
    work: impl Fn(usize) -> anyhow::Result<T> + Send + Sync,
) -> anyhow::Result<[T; 2]> {
    thread::scope(|scope| {
        let one = scope.spawn(|| work(0));
        let two = work(1)?;
        match one.join() {
            Ok(one) => Ok([one?, two]),
            Err(_) => bail!("a thread has panicked"),
        }
    })
}

fn people() -> anyhow::Result<People> {
    let mut people = People::default();
    let iterations = NonZeroU32::new(16).context("no iterations")?;
    let account = Account {
        role: "agent".into(),
        employer: "own".into(),
        verifier: Some(Verifier::derive(PASSWORD, b"0123456789abcdef", iterations)),
        ends: None,
        active: true,
    };
    people.insert(Actor::new(ACTOR), account)?;
    Ok(people)
}

fn settings(server: &PostgresServer, world: &World) -> Settings {
    let accounted = world.accounts.as_ref().is_some_and(|accounts| accounts.accounted);
    let kind = if accounted { Kind::Accounted } else { Kind::Restricted };
    let role = Role {
        kind,
        enforcement: Enforcement::Enforce,
        pooling: Pooling::Session,
        budgets: Vec::new().into(),
        more: Arc::default(),
        speaks_for: false,
    };
    Settings {
        listen: ([127, 0, 0, 1], 0).into(),
        workers: 1,
        administrators: Vec::new(),
        tls: None,
        upstream: Upstream {
            host: UpstreamHost::Unix {
                folder: server.socket_dir().to_owned(),
                port: server.port(),
            },
            database: DATABASE.to_owned(),
            user: server.superuser().to_owned(),
            password: None,
            tls: None,
            search_path: vec!["public".to_owned()],
            unprotected: None,
            functions: Vec::new(),
            relations: Vec::new(),
        },
        limits: Limits {
            connections_max: 20,
            message_bytes_max: 1 << 26,
            login_timeout: PATIENCE,
            drain: Duration::from_millis(50),
            statement_timeout: Duration::from_secs(5),
            idle_in_transaction_timeout: Duration::from_secs(60),
            spare_max: 0,
            spare_time: Duration::ZERO,
            server_max: 1,
            queue_time: PATIENCE,
            server_lifetime: PATIENCE,
            prepared_max: 200,
            hold: HoldLimits { rows_max: 10, ..HoldLimits::default() },
        },
        roles: BTreeMap::from([("agent".into(), role)]),
        tables: world.tables.iter().filter(|table| table.protected).map(table_settings).collect(),
        reasons: vec![ReasonSettings {
            name: "ticket".into(),
            schema: "public".to_owned(),
            table: "tickets".to_owned(),
            subject: "customer".to_owned(),
            actor: "assignee".to_owned(),
            ticket: None,
            condition: world.condition.clone(),
            grade: ReasonGrade::StrongWhen("opened_by = 'customer'".to_owned()),
            take: None,
        }],
        approvals: None,
        tokens: None,
        sign_in: None,
        certificates: None,
    }
}

fn table_settings(table: &Table) -> TableSettings {
    let named = |guard: fn(&Guard) -> bool| {
        let columns = table.columns.iter().filter(move |column| guard(&column.guard));
        columns.map(|column| column.name.clone())
    };
    let columns = table.columns.iter().filter_map(|column| match column.guard {
        Guard::Protected { class, lookup } => {
            Some(ColumnSettings { name: column.name.clone(), class, lookup, mask: None })
        }
        Guard::Free | Guard::Subject | Guard::Unlisted => None,
    });
    TableSettings {
        schema: "public".to_owned(),
        table: table.name.clone(),
        subject: named(|guard| *guard == Guard::Subject).next().unwrap_or_default(),
        clear: named(|guard| *guard == Guard::Free).collect(),
        columns: columns.collect(),
        insert: if table.insert { InsertRule::Allow } else { InsertRule::Refuse },
        update: named(|guard| *guard != Guard::Subject && *guard != Guard::Unlisted).collect(),
        update_own: table
            .columns
            .iter()
            .map(|c| c.name.clone())
            .filter(|n| n == "status")
            .collect(),
        delete: true,
    }
}
