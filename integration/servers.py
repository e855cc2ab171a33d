"""The servers of a run: one PostgreSQL, and a gateway before it for each kind of role.

All of them live in one throw-away folder and go when the run does, however it ends. The gateway's
role in the database and the person have one name and one password, so that nothing but the port
differs between a client that is connected directly and one that comes through the gateway.
"""

import contextlib
import glob
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
NAME = DATABASE = "postgres"
PASSWORD = "integration1"
START_SECONDS = 60

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    "max_prepared_transactions": "10",
    "fsync": "off",
}

# The policy that comes with Postern lets this role connect, whatever kind it is.
CONFIGURATION = """\
[gateway]
listen = "127.0.0.1:{port}"

[gateway.limits]
drain = "200ms"
message_bytes_max = "256MiB"

[upstream]
host = "127.0.0.1"
port = {upstream}
database = "{database}"
user = "{name}"
password_file = "upstream.password"

[data]
folder = "postern-data"
min_free = "16MiB"

[roles.administrator]
kind = "{kind}"
"""

# Of a gateway `KIND+protected`: there is something to protect, and no test touches it.
TABLE = """
CREATE SCHEMA IF NOT EXISTS beside;
CREATE TABLE IF NOT EXISTS beside.members (id int PRIMARY KEY, name text, mail text);
"""
PROTECTED = """
[[tables]]
name = "beside.members"
subject = "id"
[tables.columns.name]
class = "name"
[tables.columns.mail]
class = "email"
"""


class Failed(Exception):
    """Something that had to work did not; the text says what."""


def command(arguments, **options):
    """Runs a program, returns what it printed, raises Failed with what it complained about."""
    arguments = [str(argument) for argument in arguments]
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, **options)
    except OSError as error:
        raise Failed(f"cannot run `{arguments[0]}`: {error.strerror}") from error
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-3:]
        raise Failed(f"`{' '.join(arguments[:4])} …` failed: {' / '.join(said)}")
    return done.stdout


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def server_programs():
    """Where postgres and initdb are: what was chosen, or the newest that Debian has."""
    chosen = os.environ.get("POSTERN_PG_BIN")
    places = (
        [chosen]
        if chosen
        else sorted(
            glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: float(path.split("/")[4])
        )
    )
    if not places:
        raise Failed("no PostgreSQL server; run: scripts/setup test")
    return pathlib.Path(places[-1])


def unprivileged():
    """What goes before a program that root must not run; and who owns its files then."""
    if os.geteuid() != 0:
        return [], None
    names = {entry.pw_name for entry in pwd.getpwall()}
    account = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    words = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
    return words, account


class Running:
    """A program that was started here, and ends with this process at the latest."""

    def __init__(self, arguments, folder, log):
        self.log = log
        prefix, _ = unprivileged()
        with open(log, "wb") as output:
            self.process = subprocess.Popen(
                [*prefix, "setpriv", "--pdeathsig", "KILL", *map(str, arguments)],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def wait_for(self, ready):
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"does not start: {self.last_words()}")
            time.sleep(0.02)

    def last_words(self):
        return " / ".join(self.log.read_text(errors="replace").splitlines()[-3:])

    def stop(self, how):
        """Ends it; whether it lived until now."""
        if self.process.poll() is not None:
            return False
        self.process.send_signal(how)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        return True


class Servers(contextlib.ExitStack):
    """PostgreSQL and the gateways; `targets` has the port to connect to for each."""

    def __init__(self, binary, kinds):
        super().__init__()
        self.binary, self.kinds = binary, kinds
        self.targets, self.troubles = {}, []

    def __enter__(self):
        super().__enter__()
        if not self.binary.exists():
            raise Failed("no release build; run: cargo build --release -p postern")
        self.own = pathlib.Path(tempfile.mkdtemp(prefix="postern-integration-"))
        self.callback(shutil.rmtree, self.own, ignore_errors=True)
        self.prefix, account = unprivileged()
        if account:
            os.chown(self.own, account.pw_uid, account.pw_gid)
        self.own.chmod(0o755)
        try:
            self.targets["direct"] = self.start_server()
            for kind in self.kinds:
                self.targets[kind] = self.start_gateway(kind)
        except BaseException:
            self.close()
            raise
        return self

    def start_server(self):
        programs, data, port = server_programs(), self.own / "data", free_port()
        words = self.own / "password"
        words.write_text(PASSWORD)
        command(
            [
                *self.prefix,
                programs / "initdb",
                "-D",
                data,
                "-U",
                NAME,
                "--pwfile",
                words,
                "-N",
                "-A",
                "scram-sha-256",
                "-E",
                "UTF8",
                "--locale=C.UTF-8",
            ]
        )
        settings = SETTINGS | {"port": port, "unix_socket_directories": self.own}
        arguments = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        server = Running(
            [programs / "postgres", "-D", data, *arguments], self.own, self.own / "server.log"
        )
        self.callback(server.stop, signal.SIGINT)
        probe = [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
        server.wait_for(lambda: subprocess.run(probe).returncode == 0)
        return port

    def start_gateway(self, target):
        kind, _, protected = target.partition("+")
        folder, port = self.own / kind, free_port()
        upstream = self.targets["direct"]
        if protected:
            command(["psql", "-X", "-q", "-c", TABLE], env=self.environment("direct"))
        url = f"postgres://{NAME}@127.0.0.1:{upstream}/{DATABASE}"
        command(
            [*self.prefix, self.binary, "init", "--upstream", url, "--dir", folder],
            cwd=self.own,
            env=os.environ | {"PGPASSWORD": PASSWORD},
        )
        (folder / "postern.toml").write_text(
            self.configuration(kind, port, upstream) + (PROTECTED if protected else "")
        )
        command(
            [
                *self.prefix,
                self.binary,
                "person",
                "add",
                NAME,
                "--role",
                "administrator",
                "--password-stdin",
            ],
            cwd=folder,
            input=PASSWORD + "\n",
        )
        gateway = Running([self.binary, "serve"], folder, self.own / f"{kind}.log")
        self.callback(self.stop_gateway, gateway, kind)
        gateway.wait_for(lambda: "ready for log-ins" in gateway.log.read_text(errors="replace"))
        return port

    def configuration(self, kind, port, upstream):
        return CONFIGURATION.format(
            port=port, upstream=upstream, database=DATABASE, name=NAME, kind=kind
        )

    def stop_gateway(self, gateway, kind):
        if not gateway.stop(signal.SIGTERM):
            self.troubles.append(f"the gateway ({kind}) ended by itself: {gateway.last_words()}")
        if "panicked" in gateway.log.read_text(errors="replace"):
            self.troubles.append(f"the gateway ({kind}) panicked")

    def environment(self, target):
        """What every libpq-like client reads: where it is to connect and as whom."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        return kept | {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.targets[target]),
            "PGUSER": NAME,
            "PGPASSWORD": PASSWORD,
            "PGDATABASE": DATABASE,
            "PGSSLMODE": "disable",
            "DIRECT_PORT": str(self.targets["direct"]),
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
        }
