"""The two servers of a run: PostgreSQL with the corpus's fixture, and Postern before it.

Both live in throw-away folders and go when the run does, however it ends.
"""

import glob
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

CORPUS = pathlib.Path(__file__).resolve().parent.parent
ROOT = CORPUS.parent.parent
sys.path.insert(0, str(CORPUS))

import pgwire  # noqa: E402  the corpus's own client

DATABASE = "support"
AGENTS = [f"agent{number:02d}" for number in range(1, 41)]
START_SECONDS = 60

# The role that Postern connects as: what agents may do in the database, and nothing more.
GATE = "postern_gate"
GATE_PASSWORD = "the gate's own"

# The corpus's cluster.sh has the same. Its attacks need logical decoding, of commits that are whole
# when they are answered, and statistics that only change when they say so.
SETTINGS = {
    "synchronous_commit": "on",
    "shared_buffers": "96MB",
    "max_connections": "120",
    "wal_level": "logical",
    "max_replication_slots": "20",
    "max_wal_senders": "10",
    "max_prepared_transactions": "20",
    "autovacuum": "off",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    "password_encryption": "scram-sha-256",
    "log_min_messages": "fatal",
}

# People log in with their passwords; only the administrator that seeds and checks does not.
HBA = """\
local all         postgres              trust
local replication postgres              trust
local all         all                   scram-sha-256
host  all         postgres 127.0.0.1/32 trust
host  replication postgres 127.0.0.1/32 trust
host  all         all      127.0.0.1/32 scram-sha-256
host  replication all      127.0.0.1/32 scram-sha-256
"""


class Failed(Exception):
    """Something that had to work did not; the text says what."""


def say(text):
    print(f"redteam: {text}", file=sys.stderr, flush=True)


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


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def folder(prefix):
    """A new folder that every account of the machine may enter."""
    made = pathlib.Path(tempfile.mkdtemp(prefix=prefix))
    made.chmod(0o755)
    return made


def client_programs():
    """Where psql and its like are: with the server, or the newest that Debian has."""
    chosen = os.environ.get("POSTERN_PG_BIN", "")
    debian = glob.glob("/usr/lib/postgresql/*/bin/psql")
    debian.sort(key=lambda path: float(path.split("/")[4]))
    for psql in [os.path.join(chosen, "psql"), *reversed(debian)]:
        if os.path.exists(psql):
            return os.path.dirname(psql)
    return ""


def has_library(name):
    """Whether the server that will be started has that module."""
    chosen = os.environ.get("POSTERN_PG_BIN")
    if chosen:
        base = pathlib.Path(chosen).parent / "lib"
        return any((place / f"{name}.so").exists() for place in [base, base / "postgresql"])
    return bool(glob.glob(f"/usr/lib/postgresql/*/lib/{name}.so"))


class Postgres:
    """A throw-away server with the fixture; the project's own test kit runs it."""

    def __init__(self, own):
        self.own = own
        (own / "pg_hba.conf").write_text(HBA)
        settings = SETTINGS | {"hba_file": str(own / "pg_hba.conf")}
        if has_library("pg_stat_statements"):
            settings["shared_preload_libraries"] = "pg_stat_statements"
            settings["pg_stat_statements.track"] = "all"
        cargo = ["cargo", "run", "--quiet", "--locked", "--package", "postern-testkit", "--"]
        arguments = [f"{name}={value}" for name, value in settings.items()]
        # Its standard input is a pipe: the server goes when this process does, however it goes.
        self.process = subprocess.Popen(cargo + arguments, cwd=ROOT, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        url, self.folder = (self.process.stdout.readline().strip() for _ in range(2))
        if not self.folder:
            raise Failed("no PostgreSQL server; the reason stands above")
        self.port = int(url.rsplit(":", 1)[1].split("/")[0])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()

    def dsn(self, user=None, database=DATABASE):
        who = f" user={user}" if user else ""
        return f"host=127.0.0.1 port={self.port}{who} dbname={database}"

    def rows(self, sql, database=DATABASE):
        connection = pgwire.Conn(pgwire.parse_dsn(self.dsn("postgres", database)), timeout=60)
        try:
            return connection.rows(sql)
        finally:
            connection.close()

    def version(self):
        return self.rows("SHOW server_version", "postgres")[0][0].split()[0]

    def seed(self):
        """Loads the fixture, without the extensions that this server does not have; returns them.

        The corpus's script reads the schema that lies beside it, so it runs on a copy."""
        available = {row[0] for row in self.rows(
            "SELECT name FROM pg_available_extensions", "postgres")}
        wanted = re.compile(r"^CREATE EXTENSION IF NOT EXISTS (\w+);\n", re.M)
        schema = (CORPUS / "schema.sql").read_text()
        missing = [name for name in wanted.findall(schema) if name not in available]
        copy = self.own / "fixture"
        copy.mkdir()
        for name in ["seed.py", "pgwire.py"]:
            shutil.copy(CORPUS / name, copy)
        (copy / "schema.sql").write_text(wanted.sub(
            lambda line: "" if line[1] in missing else line[0], schema))
        command([sys.executable, copy / "seed.py", "--dsn", self.dsn("postgres"), "--reset"])
        self.rows(f"CREATE ROLE {GATE} LOGIN PASSWORD '{quoted(GATE_PASSWORD)}' "
                  "IN ROLE support_agent", "postgres")
        return missing


def quoted(text):
    return text.replace("'", "''")


class Postern:
    """The gateway. A `restart` begins with a new ledger, and so with untouched budgets."""

    def __init__(self, own, postgres, budgets=True):
        self.postgres, self.budgets = postgres, budgets
        self.port = free_port()
        self.template, self.folder = own / "template", own / "gateway"
        target = os.environ.get("CARGO_TARGET_DIR", ROOT / "target")
        self.binary = pathlib.Path(ROOT, target, "release/postern").resolve()
        self.process = None
        self.log = own / "gateway.log"
        self.troubles = []

    def __enter__(self):
        if not self.binary.exists():
            raise Failed("no release build; run: cargo build --release -p postern")
        url = f"postgres://{GATE}@127.0.0.1:{self.postgres.port}/{DATABASE}"
        # `init` makes the ledger, and a configuration that is then replaced by ours.
        command([self.binary, "init", "--upstream", url, "--dir", self.template],
                env=os.environ | {"PGPASSWORD": GATE_PASSWORD})
        for name in glob.glob(str(CORPUS / "*.cedar")):
            shutil.copy(name, self.template)
        (self.template / "postern.toml").write_text(self.configuration())
        for agent in AGENTS:
            command([self.binary, "person", "add", agent, "--role", "agent", "--password-stdin"],
                    cwd=self.template, input=f"pw-{agent}\n")
        self.restart()
        return self

    def __exit__(self, *_):
        self.stop()

    def configuration(self):
        text = (CORPUS / "postern.toml").read_text()
        text = text.replace("127.0.0.1:6432", f"127.0.0.1:{self.port}", 1)
        text = text.replace("port = 5432", f"port = {self.postgres.port}", 1)
        if not self.budgets:
            text = re.sub(r"max = \d+", "max = 1000000000", text)
        return text

    def dsn(self):
        return f"host=127.0.0.1 port={self.port} dbname={DATABASE}"

    def restart(self):
        """Ends the gateway, checks the ledger that it leaves, and starts it with an empty one."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self.template, self.folder)
        with open(self.log, "ab") as log:
            begin = log.tell()
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", self.binary, "serve"], cwd=self.folder,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while True:
            # Before it says so it turns everybody away.
            if b"ready for log-ins" in self.log.read_bytes()[begin:]:
                return
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"postern does not start: {self.last_words()}")
            time.sleep(0.01)

    def lives(self):
        return self.process is not None and self.process.poll() is None

    def last_words(self):
        return " / ".join(self.log.read_text(errors="replace").splitlines()[-3:])

    def stop(self):
        process, self.process = self.process, None
        if process is None:
            return
        if process.poll() is not None:
            self.troubles.append(f"the gateway ended by itself: {self.last_words()}")
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            self.troubles.append("the gateway did not stop in 10 s")
            process.kill()
            process.wait()
        try:
            command([self.binary, "ledger", "verify"], cwd=self.folder)
        except Failed as error:
            self.troubles.append(f"the ledger does not verify: {error}")
