//! The demo's machinery: a throw-away PostgreSQL, a configuration, and the gateway as a process of
//! its own, which is this same binary.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail};
use postern_model::Actor;
use postern_people::{Account, DEFAULT_ITERATIONS, People, Verifier};
use postern_testkit::{Options, PostgresServer, wait_until};
use tempfile::TempDir;

use super::{auditor::Auditor, observer::Observer, person::password, world::World};
use crate::{
    control::{Client, LedgerStatus, Reply, Request},
    files, ledger_options,
};

/// How long the gateway may take to start.
const START: Duration = Duration::from_secs(20);

/// Everything that runs for the demo. Fields are dropped in order: the gateway before the database.
#[derive(Debug)]
pub(super) struct Setting {
    gateway: Option<Child>,
    /// The witness, once the ledger is there.
    observer: Option<Observer>,
    pub(super) address: SocketAddr,
    pub(super) postgres: PostgresServer,
    folder: TempDir,
}

impl Setting {
    /// Starts PostgreSQL and loads the world.
    pub(super) fn new(world: &World) -> anyhow::Result<Self> {
        let postgres = PostgresServer::start(Options::default())?;
        postgres.psql("CREATE DATABASE support")?;
        postgres.psql_in("support", &world.sql()).context("can't load the support database")?;
        let folder = TempDir::with_prefix("postern-demo-")?;
        // Free at this moment; the gateway takes it in the next second.
        let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        Ok(Self { gateway: None, observer: None, address, postgres, folder })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The same for a command's argument.
    pub(super) fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    pub(super) fn configuration(&self) -> PathBuf {
        self.path("postern.toml")
    }

    pub(super) fn ledger(&self) -> PathBuf {
        self.path("postern-data/ledger")
    }

    /// The witness's URL and key.
    pub(super) fn witness(&self) -> &str {
        self.observer.as_ref().map_or("", |observer| &observer.witness)
    }

    /// The key that the ledger is signed by.
    pub(super) fn ledger_key(&self) -> anyhow::Result<String> {
        let path = self.ledger().join("key.pub");
        let key = fs::read_to_string(&path);
        Ok(key.with_context(|| format!("can't read `{}`", path.display()))?.trim().to_owned())
    }

    /// The verifier that shares no code with Postern, where it can run.
    pub(super) fn auditor(&self) -> anyhow::Result<Option<Auditor>> {
        Ok(Auditor::new(self.path("verifier"))?)
    }

    /// Makes an empty ledger, has a witness look after it, and writes configuration and people.
    pub(super) fn configure(&mut self, world: &World) -> anyhow::Result<()> {
        let data = self.path("postern-data");
        files::private_folder(&data)?;
        files::create_private(&data.join("people.toml"), &people(world)?.to_toml())?;
        postern_ledger::Ledger::create(&self.ledger(), &ledger_options())?;
        let mut command = self.command(&["witness", "--name", "witness.example/demo"]);
        command.args(["--listen", "127.0.0.1:0", "--dir"]).arg(self.path("witness"));
        self.observer =
            Some(Observer::start(command.arg("--log").arg(self.ledger().join("key.pub")))?);
        let decoys: Vec<String> = world.decoys.iter().map(|id| format!("\"{id}\"")).collect();
        let text = CONFIGURATION
            .replace("@LISTEN@", &self.address.to_string())
            .replace("@PORT@", &self.postgres.port().to_string())
            .replace("@USER@", self.postgres.superuser())
            .replace("@WITNESS@", self.witness())
            .replace("@DECOYS@", &decoys.join(", "));
        files::create_private(&self.configuration(), &text)?;
        Ok(())
    }

    /// Starts `postern serve` and waits until it lets people in.
    pub(super) fn serve(&mut self) -> anyhow::Result<()> {
        let log = File::create(self.path("gateway.log"))?;
        let mut child = self
            .command(&["serve"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("can't start the gateway")?;
        let socket = self.path("postern-data/control.sock");
        let ready = wait_until(START, "the gateway is ready", || {
            matches!(child.try_wait(), Ok(Some(_)) | Err(_)) || is_ready(&socket)
        });
        let ended = child.try_wait()?;
        self.gateway = Some(child);
        if let Some(status) = ended {
            bail!("the gateway ended ({status}); it said:\n{}", self.log());
        }
        ready.with_context(|| format!("the gateway said:\n{}", self.log()))
    }

    /// What the gateway says of the ledger, once witnesses have confirmed all of it, or after a
    /// while.
    pub(super) fn witnessed(&self) -> anyhow::Result<LedgerStatus> {
        let socket = self.path("postern-data/control.sock");
        let asked = || -> anyhow::Result<LedgerStatus> {
            let reply = Client::connect(&socket)?.ask(&Request::Status {})?;
            let Reply::Status(status) = reply else {
                bail!("the gateway does not say how the ledger is doing");
            };
            Ok(status.ledger)
        };
        // What it says in the end is what counts.
        let _ = wait_until(START, "all is witnessed", || {
            asked().is_ok_and(|ledger| ledger.witnessed == Some(ledger.entries))
        });
        asked()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("gateway.log")).unwrap_or_default()
    }

    /// Runs a command of this binary on the demo's configuration, as an administrator would.
    pub(super) fn postern(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        let output = self.command(arguments).stdin(Stdio::null()).output();
        output.with_context(|| format!("can't run `postern {}`", arguments.join(" ")))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        // This very binary, also when another one was put in its place meanwhile.
        let mut command = Command::new("/proc/self/exe");
        command.arg("-c").arg(self.configuration()).args(arguments);
        command
    }

    /// Asks the gateway to stop, and waits.
    pub(super) fn stop(&mut self) -> anyhow::Result<()> {
        let Some(mut child) = self.gateway.take() else { return Ok(()) };
        terminate(&child);
        let status = child.wait()?;
        if !status.success() {
            bail!("the gateway did not stop in good order ({status}):\n{}", self.log());
        }
        Ok(())
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        if let Some(mut child) = self.gateway.take() {
            terminate(&child);
            // Nothing is left to be done about a child that can't be waited for.
            let _ = child.wait();
        }
    }
}

fn terminate(child: &Child) {
    let process = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(process) = process {
        // It may have ended already.
        let _ = rustix::process::kill_process(process, rustix::process::Signal::TERM);
    }
}

fn is_ready(socket: &Path) -> bool {
    let asked = Client::connect(socket).and_then(|mut client| client.ask(&Request::Status {}));
    matches!(asked, Ok(Reply::Status(status)) if status.withheld.is_none())
}

fn people(world: &World) -> anyhow::Result<People> {
    let mut people = People::default();
    let roles = world.agents.iter().map(|agent| (agent.as_str(), "agent"));
    for (actor, role) in roles.chain([("admin", "administrator")]) {
        let salt: [u8; 16] = rand::random();
        let account = Account {
            role: role.into(),
            employer: "own".into(),
            verifier: Some(Verifier::derive(password(actor).expose(), &salt, DEFAULT_ITERATIONS)),
            ends: None,
            active: true,
        };
        people.insert(Actor::new(actor), account)?;
    }
    Ok(people)
}

const CONFIGURATION: &str = r#"# The configuration of the demo.
[gateway]
listen = "@LISTEN@"
workers = 2

[upstream]
host = "127.0.0.1"
port = @PORT@
database = "support"
user = "@USER@"
tls = "disable"

[data]
folder = "postern-data"
min_free = "16MiB"

[roles.agent]
kind = "restricted"
budgets = [
    { count = "masked_subjects", window = "1h", max = 500 },
    { count = "clear_subjects", window = "1h", max = 200 },
    { count = "weak_subjects", window = "1d", max = 150 },
    { count = "lookups", window = "1h", max = 60 },
    { count = "lookup_misses", window = "1h", max = 20 },
]

[roles.administrator]
kind = "accounted"

[[tables]]
name = "public.customers"
subject = "id"
clear = ["id", "plan", "country", "created_at"]
[tables.columns.name]
class = "name"
[tables.columns.email]
class = "email"
lookup = true
[tables.columns.phone]
class = "phone"
lookup = true
[tables.columns.address]
class = "address"
[tables.columns.notes]
class = "free_text"

[[tables]]
name = "public.tickets"
subject = "customer_id"
clear = [
    "id", "customer_id", "status", "assignee", "channel", "opened_by", "inbound_ref",
    "created_at", "closed_at",
]
insert = "allow"
update_own = ["status"]
[tables.columns.number]
class = "case_number"
[tables.columns.subject]
class = "free_text"
[tables.columns.body]
class = "free_text"

[[reasons]]
name = "assigned_ticket"
table = "public.tickets"
subject = "customer_id"
actor = "assignee"
where = "status IN ('open', 'pending')"
strong_when = "opened_by = 'customer'"
[reasons.take]
order = ["created_at"]

[witness]
witnesses = ["@WITNESS@"]
every = "1s"

[watch]
learning_days = 0
suspend_on = ["no_trace", "unexplained_share", "self_opened", "decoy_read"]
decoys = [@DECOYS@]
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demos_configuration_can_be_used() {
        let folder = TempDir::new().unwrap();
        let witness = postern_ledger::Witness::open(folder.path(), "witness.example/w", Vec::new());
        let witness = format!("http://127.0.0.1:1 {}", witness.unwrap().key().to_text());
        let text = CONFIGURATION
            .replace("@LISTEN@", "127.0.0.1:1")
            .replace("@PORT@", "5432")
            .replace("@USER@", "postgres")
            .replace("@WITNESS@", &witness)
            .replace("@DECOYS@", "\"7\"");
        let loaded = crate::config::parse(Path::new("postern.toml"), &text).unwrap();
        assert_eq!(loaded.settings.tables.len(), 2);
    }
}
