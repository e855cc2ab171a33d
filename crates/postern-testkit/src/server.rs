//! One throw-away server, from `initdb` to the removal of its folder.

use std::{
    fmt::Write as _,
    fs,
    io::{self, Write as _},
    net::TcpListener,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    thread,
    time::Duration,
};

use tempfile::TempDir;

use crate::{
    account::{self, Account, AccountError},
    binaries::{Binaries, BinariesError},
    supervised::Supervised,
    wait::wait_until,
};

/// The longest wait for a server to accept connections.
const START: Duration = Duration::from_secs(60);

/// How often another port is tried when somebody else took the one that was free.
const PORTS: usize = 5;

/// How much of the server's log an error quotes.
const LOG_LINES: usize = 12;

/// What a server says when its port is taken; it speaks English because of `LC_ALL`.
const PORT_TAKEN: &str = "could not create any TCP/IP sockets";

/// Settings of every server: small, and fast rather than durable.
const SETTINGS: [(&str, &str); 10] = [
    ("listen_addresses", "127.0.0.1"),
    ("fsync", "off"),
    // Tests read there what was sent.
    ("track_activity_query_size", "16384"),
    ("synchronous_commit", "off"),
    ("full_page_writes", "off"),
    ("wal_level", "minimal"),
    ("max_wal_senders", "0"),
    ("shared_buffers", "32MB"),
    ("logging_collector", "off"),
    ("log_destination", "stderr"),
];

/// How a server is to be made.
#[derive(Debug, Clone)]
pub struct Options {
    /// Name of the superuser that the cluster begins with.
    pub superuser: String,
    /// The superuser's password. With one, TCP asks for SCRAM-SHA-256; without, it trusts. The
    /// socket always trusts: nobody else can enter its folder.
    pub password: Option<String>,
    /// Lines of `postgresql.conf` (name, value as one would give to `SET`); they override ours.
    pub settings: Vec<(String, String)>,
}

impl Default for Options {
    fn default() -> Self {
        Self { superuser: "postgres".to_owned(), password: None, settings: Vec::new() }
    }
}

/// A server could not be started. The text of each says what to do where that is known.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("no postgresql server on this machine")]
    Binaries(#[from] BinariesError),
    #[error("no account to run postgresql under")]
    Account(#[from] AccountError),
    #[error("cannot prepare the temporary folder `{folder}`")]
    Folder {
        folder: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "cannot run `{program}` in `{folder}`; the account `postgres` must be able to enter that \
         folder, which `TMPDIR` chooses"
    )]
    Run {
        program: PathBuf,
        folder: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("`initdb` made no cluster ({status}); it said:\n{log}")]
    Cluster { status: ExitStatus, log: String },
    #[error("no free port on 127.0.0.1")]
    Port(#[source] io::Error),
    #[error("the postgresql server ended while it started ({status}); its log says:\n{log}")]
    Ended { status: ExitStatus, log: String },
    #[error("the postgresql server accepts no connection after {} s; its log says:\n{log}",
        START.as_secs())]
    Silent { log: String },
}

/// A server could not be shut down in the orderly way.
#[derive(Debug, thiserror::Error)]
#[error("the postgresql server did not shut down; its log says:\n{log}")]
pub struct StopError {
    log: String,
    #[source]
    source: io::Error,
}

/// SQL could not be run by `psql`.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    #[error("cannot run `{program}`; install postgresql's client programs")]
    Run {
        program: PathBuf,
        #[source]
        source: io::Error,
    },
    /// What psql wrote to standard error, with the line of the text that failed.
    #[error("{0}")]
    Failed(String),
}

/// A running PostgreSQL server that nobody else uses.
#[derive(Debug)]
pub struct PostgresServer {
    // INVARIANT: dropped before `folder`, so that the server is gone when its files go.
    process: Option<Supervised>,
    folder: TempDir,
    account: Option<Account>,
    binaries: Binaries,
    options: Options,
    port: u16,
}

impl PostgresServer {
    /// Makes a cluster and waits until it accepts connections: about a second.
    pub fn start(options: Options) -> Result<Self, StartError> {
        let binaries = Binaries::find()?;
        let account = account::unprivileged()?;
        let folder = make_folder(account)?;
        let port = free_port().map_err(StartError::Port)?;
        let mut server = Self { process: None, folder, account, binaries, options, port };
        server.make_cluster()?;
        server.configure().map_err(|source| StartError::Folder {
            folder: server.folder.path().to_owned(),
            source,
        })?;
        for _ in 1..PORTS {
            match server.start_again() {
                Err(StartError::Ended { log, .. }) if log.contains(PORT_TAKEN) => {
                    server.port = free_port().map_err(StartError::Port)?;
                }
                Err(error) => return Err(error),
                Ok(()) => return Ok(server),
            }
        }
        server.start_again()?;
        Ok(server)
    }

    /// Shuts the server down, cutting its connections, and removes its folder.
    pub fn stop(mut self) -> Result<(), StopError> {
        self.shut_down()
    }

    /// Shuts the server down, cutting its connections; keeps its data for [`Self::start_again`].
    ///
    /// A server that takes longer than a few seconds is killed; it recovers when it starts again.
    pub fn shut_down(&mut self) -> Result<(), StopError> {
        let Some(process) = self.process.take() else { return Ok(()) };
        process.finish().map_err(|source| StopError { log: self.log_tail(), source })
    }

    /// Starts the server on the same port as before; nothing happens if it runs.
    pub fn start_again(&mut self) -> Result<(), StartError> {
        if self.process.is_some() {
            return Ok(());
        }
        let data = self.data();
        let port = self.port.to_string();
        let mut process = self.run("postgres", &["-D", &data, "-p", &port])?;
        let mut ended = None;
        let ready = wait_until(START, "the server is ready", || {
            ended = process.ended().ok().flatten();
            ended.is_some() || self.is_ready()
        });
        if let Some(status) = ended {
            return Err(StartError::Ended { status, log: self.log_tail() });
        }
        ready.map_err(|_| StartError::Silent { log: self.log_tail() })?;
        self.process = Some(process);
        Ok(())
    }

    /// `postgres://…` of the superuser on TCP, for the database `postgres`.
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// `postgres://…` of the superuser on TCP, for `database`.
    pub fn url_of(&self, database: &str) -> String {
        let password = self.options.password.as_deref();
        let password = password.map(|p| format!(":{}", percent(p))).unwrap_or_default();
        let superuser = percent(&self.options.superuser);
        format!("postgres://{superuser}{password}@127.0.0.1:{}/{}", self.port, percent(database))
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder of the Unix socket, which is also the one that holds everything else.
    pub fn socket_dir(&self) -> &Path {
        self.folder.path()
    }

    /// The superuser's name.
    pub fn superuser(&self) -> &str {
        &self.options.superuser
    }

    /// Where a program of this PostgreSQL version is, `pgbench` for instance.
    pub fn program(&self, name: &str) -> PathBuf {
        self.binaries.program(name)
    }

    /// Runs SQL as the superuser in the database `postgres`; see [`Self::psql_in`].
    pub fn psql(&self, sql: &str) -> Result<String, QueryError> {
        self.psql_in("postgres", sql)
    }

    /// Runs SQL as the superuser in `database` and stops at the first error.
    ///
    /// The result is psql's unaligned output: a line per row, `|` between columns.
    pub fn psql_in(&self, database: &str, sql: &str) -> Result<String, QueryError> {
        let program = self.binaries.program("psql");
        let mut command = Command::new(&program);
        command.args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-f", "-"]);
        command.arg("-h").arg(self.folder.path()).args(["-p", &self.port.to_string()]);
        command.args(["-U", &self.options.superuser, "-d", database]);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        let output = feed(&mut command, sql)
            .map_err(|source| QueryError::Run { program: program.clone(), source })?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
            return Err(QueryError::Failed(said));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned())
    }

    fn make_cluster(&self) -> Result<(), StartError> {
        let data = self.data();
        let password_file = self.folder.path().join("password");
        let password_argument = format!("--pwfile={}", password_file.display());
        let mut arguments = vec!["-D", &data, "-U", &self.options.superuser, "--no-sync"];
        arguments.extend(["-E", "UTF8", "--locale=C.UTF-8", "--auth-local=trust"]);
        if let Some(password) = &self.options.password {
            self.write(&password_file, password).map_err(|source| StartError::Folder {
                folder: self.folder.path().to_owned(),
                source,
            })?;
            arguments.extend(["--auth-host=scram-sha-256", &password_argument]);
        } else {
            arguments.push("--auth-host=trust");
        }
        let status = self.run("initdb", &arguments)?.wait().map_err(|source| StartError::Run {
            program: self.binaries.program("initdb"),
            folder: self.folder.path().to_owned(),
            source,
        })?;
        if !status.success() {
            return Err(StartError::Cluster { status, log: self.log_tail() });
        }
        Ok(())
    }

    fn configure(&self) -> io::Result<()> {
        let mut text = String::new();
        let socket_dir = self.folder.path().display().to_string();
        let ours = SETTINGS.into_iter().chain([("unix_socket_directories", socket_dir.as_str())]);
        let theirs = self.options.settings.iter().map(|(n, v)| (n.as_str(), v.as_str()));
        for (name, value) in ours.chain(theirs) {
            let _ = writeln!(text, "{name} = '{}'", value.replace('\'', "''"));
        }
        let path = self.folder.path().join("data/postgresql.conf");
        fs::File::options().append(true).open(path)?.write_all(text.as_bytes())
    }

    /// A new file that the server's account may read.
    fn write(&self, path: &Path, text: &str) -> io::Result<()> {
        fs::write(path, text)?;
        self.account.map_or(Ok(()), |a| chown(path, Some(a.uid), Some(a.gid)))
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<Supervised, StartError> {
        let folder = self.folder.path();
        let program = self.binaries.program(program);
        // An error quotes the log of the attempt that failed.
        let prepared = self.write(&self.log(), "");
        prepared
            .and_then(|()| {
                Supervised::spawn(folder, self.account, &self.log(), &program, arguments)
            })
            .map_err(|source| StartError::Run { program, folder: folder.to_owned(), source })
    }

    /// The server writes `ready` to its pid file when it accepts connections; pg_ctl waits for this
    /// too.
    fn is_ready(&self) -> bool {
        fs::read_to_string(self.folder.path().join("data/postmaster.pid"))
            .is_ok_and(|text| text.lines().nth(7).is_some_and(|line| line.trim() == "ready"))
    }

    fn data(&self) -> String {
        self.folder.path().join("data").display().to_string()
    }

    /// The file that the server writes its log to.
    pub fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn log_tail(&self) -> String {
        let text = fs::read(self.log()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines.get(lines.len().saturating_sub(LOG_LINES)..).unwrap_or_default();
        if tail.is_empty() { "(nothing)".to_owned() } else { tail.join("\n") }
    }
}

fn make_folder(account: Option<Account>) -> Result<TempDir, StartError> {
    let error = |source| StartError::Folder { folder: std::env::temp_dir(), source };
    let folder = tempfile::Builder::new().prefix("postern-pg-").tempdir().map_err(error)?;
    if let Some(Account { uid, gid }) = account {
        chown(folder.path(), Some(uid), Some(gid)).map_err(error)?;
    }
    Ok(folder)
}

/// A port that is free now. Somebody else may take it before the server does: see [`PORTS`].
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// Runs `command` with `input` on its standard input.
fn feed(command: &mut Command, input: &str) -> io::Result<std::process::Output> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let pipe = child.stdin.take();
    thread::scope(|scope| {
        // The child may write before it has read everything, so both at once. It may also end
        // early, on an error that its output tells better than a broken pipe does.
        scope.spawn(move || pipe.map(|mut pipe| pipe.write_all(input.as_bytes())));
        child.wait_with_output()
    })
}

/// Percent-encodes everything but letters and digits.
fn percent(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'_' {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests;
