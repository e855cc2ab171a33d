"""What is measured: PostgreSQL, pgbouncer and Postern, each started for the run and gone after it.

A target has `port`, `user`, `password`, `pids()` of the processes whose CPU counts as the proxy's,
`version()`, and `check()`, which raises Failed unless it answers a query as it should.
"""

import glob
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

DATABASE = "postgres"

# Large enough that no client waits for memory or a connection; durability plays no part in reads.
SETTINGS = ["shared_buffers=1GB", "max_connections=200", "autovacuum=off", "jit=off",
            "max_parallel_workers_per_gather=0"]

# Accounts that differ from all others, so that a mask can be told from a value.
CLEAR, MASKED = 1, 2

# How many accounts the actor has a reason to see in clear; all others are masked.
REASONS = 1000

START_SECONDS = 120


class Failed(Exception):
    """Something that had to work did not; the text says what."""


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def command(arguments, **options):
    """Runs a program, returns what it printed, raises Failed with what it complained about."""
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, **options)
    except OSError as error:
        raise Failed(f"cannot run `{arguments[0]}`: {error.strerror}") from error
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-3:]
        raise Failed(f"`{' '.join(map(str, arguments[:3]))} …` failed: {' / '.join(said)}")
    return done.stdout


def program(name):
    """A program of PostgreSQL: POSTERN_PG_BIN, the newest version that Debian has, or PATH."""
    chosen = os.environ.get("POSTERN_PG_BIN")
    found = glob.glob(f"/usr/lib/postgresql/*/bin/{name}")
    found.sort(key=lambda path: float(path.split("/")[4]))
    return os.path.join(chosen, name) if chosen else (found or [name])[-1]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def descendants(pid):
    """The process and all that came from it and still live."""
    children = {}
    for folder in glob.glob("/proc/[0-9]*"):
        try:
            text = pathlib.Path(folder, "stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        parent = int(text[text.rindex(")") + 2:].split()[1])
        children.setdefault(parent, []).append(int(folder.rsplit("/", 1)[1]))
    found, open_ = [], [pid]
    while open_:
        found.append(open_.pop())
        open_.extend(children.get(found[-1], []))
    return found


class Target:
    """A server that speaks PostgreSQL's protocol on a port of 127.0.0.1."""

    user = "postgres"
    password = ""

    def environment(self):
        clean = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        return clean | {"PGPASSWORD": self.password, "PGCONNECT_TIMEOUT": "5"}

    def connection(self):
        return ["-h", "127.0.0.1", "-p", str(self.port), "-U", self.user]

    def query(self, sql):
        arguments = [program("psql"), "-XqAt", *self.connection(), "-d", DATABASE, "-c", sql]
        return command(arguments, env=self.environment()).strip()

    def balance(self, account):
        return self.query(f"SELECT abalance FROM pgbench_accounts WHERE aid = {account};")

    def check(self):
        for account in [CLEAR, MASKED]:
            self.expect(self.balance(account) == str(account), f"account {account} is wrong")

    def expect(self, condition, otherwise):
        if not condition:
            raise Failed(f"{type(self).__name__}: {otherwise}")


class Postgres(Target):
    """A throw-away server with pgbench's tables; the project's own test kit runs it."""

    def __init__(self, root, scale, more=()):
        cargo = ["cargo", "run", "--quiet", "--locked", "--package", "postern-testkit", "--"]
        self.scale = scale
        # Its standard input is a pipe: the server goes when this process does, however it goes.
        self.process = subprocess.Popen(cargo + SETTINGS + list(more), cwd=root, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        url, self.folder = (self.process.stdout.readline().strip() for _ in range(2))
        if not self.folder:
            raise Failed("no PostgreSQL server; the reason stands above")
        self.port = int(url.rsplit(":", 1)[1].split("/")[0])

    def __enter__(self):
        arguments = [program("pgbench"), "-i", "-q", "-s", str(self.scale), *self.connection(),
                     DATABASE]
        command(arguments, env=self.environment())
        # What gives the actor a reason, for Postern: a few accounts are assigned to it.
        self.query("CREATE TABLE assignments (actor text NOT NULL, aid integer NOT NULL);")
        self.query(f"INSERT INTO assignments SELECT 'agent', aid FROM pgbench_accounts "
                   f"WHERE aid % ({self.scale} * 100000 / {REASONS}) = {CLEAR};")
        # Two for each account: what reasons are read from is larger than what is guarded.
        self.query("INSERT INTO assignments SELECT 'agent ' || n * aid % 997, aid "
                   "FROM pgbench_accounts, generate_series(2, 3) n;")
        self.query(f"UPDATE pgbench_accounts SET abalance = aid WHERE aid IN ({CLEAR}, {MASKED});")
        self.query("CREATE INDEX ON assignments (actor);")
        self.query("VACUUM ANALYZE;")
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()

    def pids(self):
        return []

    def server_pids(self):
        pid_file = pathlib.Path(self.folder, "data/postmaster.pid")
        return descendants(int(pid_file.read_text().split()[0]))

    def version(self):
        return "PostgreSQL " + self.query("SHOW server_version;").split()[0]

    def log_bytes(self):
        return pathlib.Path(self.folder, "log").stat().st_size


class Proxy(Target):
    """A program between the client and PostgreSQL, run in a folder of its own."""

    def __init__(self, postgres):
        self.postgres = postgres
        self.port = free_port()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="postern-bench-"))
        self.folder.chmod(0o755)

    def start(self, arguments):
        self.log = open(self.folder / "log", "wb")
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", *arguments], cwd=self.folder,
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + START_SECONDS
        while True:
            with client_socket() as client:
                if client.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            if self.process.poll() is not None or time.monotonic() > deadline:
                said = (self.folder / "log").read_text(errors="replace").splitlines()[-5:]
                raise Failed(f"{type(self).__name__} does not start: {' / '.join(said)}")
            time.sleep(0.05)

    def __enter__(self):
        try:
            self.launch()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        process = getattr(self, "process", None)
        if process and process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def pids(self):
        return descendants(self.process.pid)


def client_socket():
    client = socket.socket()
    client.settimeout(1)
    return client


class Relay(Proxy):
    """What records as little as can be, durably: see relay.c."""

    def __init__(self, root, postgres):
        super().__init__(postgres)
        self.source = pathlib.Path(root, "bench/relay.c")

    def launch(self):
        binary = self.folder / "relay"
        command(["cc", "-O2", "-o", binary, self.source])
        self.start([binary, str(self.port), str(self.postgres.port), str(self.folder / "records")])


class PgBouncer(Proxy):
    """pgbouncer in session mode, which keeps prepared statements working as Postern does."""

    password = "a client's password"
    pool = "pool_mode = session\nmax_client_conn = 200\ndefault_pool_size = 64"

    def launch(self):
        (self.folder / "users.txt").write_text(f'"{self.user}" "{self.password}"\n')
        (self.folder / "pgbouncer.ini").write_text(
            "[databases]\n"
            f"{DATABASE} = host=127.0.0.1 port={self.postgres.port}\n"
            "[pgbouncer]\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\n"
            f"auth_type = scram-sha-256\nauth_file = {self.folder}/users.txt\n"
            f"{self.pool}\n"
            "log_connections = 0\nlog_disconnections = 0\n")
        self.start([*self.unprivileged(), self.binary(), str(self.folder / "pgbouncer.ini")])

    def unprivileged(self):
        """pgbouncer refuses to run as root."""
        if os.geteuid() != 0:
            return []
        for name in ["postgres", "nobody"]:
            try:
                account = pwd.getpwnam(name)
            except KeyError:
                continue
            ids = [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
            # The signal for a parent's end is forgotten when the account changes: ask after it.
            return [*ids, "--", "setpriv", "--pdeathsig", "TERM"]
        raise Failed("pgbouncer refuses root, and there is no account `postgres` or `nobody`")

    @staticmethod
    def binary():
        return shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"

    def version(self):
        return "pgbouncer " + command([self.binary(), "-V"]).split()[1]


class SharedPgBouncer(PgBouncer):
    """pgbouncer in transaction mode, with a few connections to the server for all clients."""

    def __init__(self, postgres, servers):
        super().__init__(postgres)
        self.pool = ("pool_mode = transaction\nmax_client_conn = 5000\n"
                     f"default_pool_size = {servers}")


class Postern(Proxy):
    """Postern guarding pgbench_accounts, whose customers the ledger knows all."""

    user = "agent"
    password = "agent's password"
    pool = ""

    def __init__(self, root, postgres):
        super().__init__(postgres)
        self.root = root
        target = os.environ.get("CARGO_TARGET_DIR", root / "target")
        profile = os.environ.get("POSTERN_BENCH_PROFILE", "release")
        self.binary = pathlib.Path(root, target, profile, "postern").resolve()

    def launch(self):
        if not self.binary.exists():
            raise Failed("no release build; run: cargo build --release -p postern")
        # `init` makes the ledger, and a configuration that is then replaced by ours.
        url = f"postgres://{self.postgres.user}@127.0.0.1:{self.postgres.port}/{DATABASE}"
        self.run("init", "--upstream", url, "--dir", ".")
        (self.folder / "postern.toml").write_text(self.postern_config())
        self.run("person", "add", self.user, "--role", "agent", "--password-stdin",
                 input=self.password + "\n")
        self.start([str(self.binary), "serve"])

    def run(self, *arguments, **options):
        return command([str(self.binary), *arguments], cwd=self.folder, **options)

    def check(self):
        self.await_ready()
        self.expect(self.balance(CLEAR) == str(CLEAR), "a clear value is not shown")
        self.expect(self.balance(MASKED) != str(MASKED), "a protected value is shown")
        # Each name is written to the ledger once, when it is first recorded.
        warm = "\\copy (SELECT aid FROM pgbench_accounts) TO '/dev/null'"
        self.query(warm)

    def await_ready(self):
        """A connection is accepted before the database's definitions have been read."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                return self.query("SELECT 1;")
            except Failed:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def postern_config(self):
        return self.common_config() + self.protected_config()

    def common_config(self):
        return f"""
[gateway]
listen = "127.0.0.1:{self.port}"
{self.pool}

[upstream]
host = "127.0.0.1"
port = {self.postgres.port}
database = "{DATABASE}"
user = "{self.postgres.user}"
tls = "disable"
"""

    def protected_config(self):
        """pgbench_accounts is protected, two of its four columns are masked, its subject is `aid`,
        and a row of `assignments` is a reason for its actor to see that account. The budgets are
        counted and never spent."""
        return """
[roles.agent]
kind = "restricted"
budgets = [
    { count = "clear_subjects", window = "1d", max = 1000000000 },
    { count = "masked_subjects", window = "1h", max = 1000000000 },
]

[[tables]]
name = "public.pgbench_accounts"
subject = "aid"
clear = ["aid", "bid"]
[tables.columns.abalance]
class = "identifier"
[tables.columns.filler]
class = "identifier"

[[tables]]
name = "public.assignments"
subject = "aid"
clear = ["aid", "actor"]

[[reasons]]
name = "assigned"
table = "public.assignments"
subject = "aid"
actor = "actor"
grade = "strong"
"""

    def version(self):
        return command([str(self.binary), "--version"]).strip()


class Cold(Postern):
    """The same with a ledger that knows nobody yet."""

    def check(self):
        self.await_ready()


class Unprotected(Postern):
    """Postern with nothing protected, for a role whose statements are judged."""

    def check(self):
        self.await_ready()
        Target.check(self)

    def protected_config(self):
        return """
[roles.agent]
kind = "restricted"
"""


def shares(servers, clients=1000):
    """Settings by which so many clients share a few connections to the server."""
    return f"""pool = "transaction"

[gateway.limits]
server_max = {servers}
connections_max = {clients}
"""


class Shared(Postern):
    """Postern in transaction mode, with a few connections to the server for all clients."""

    def __init__(self, root, postgres, servers, clients=1000):
        super().__init__(root, postgres)
        self.pool = shares(servers, clients)


class SharedUnprotected(Unprotected):
    """The same with nothing protected."""

    def __init__(self, root, postgres, servers, clients=1000):
        super().__init__(root, postgres)
        self.pool = shares(servers, clients)
