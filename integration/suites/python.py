"""Suites that are in the source distributions of Python packages."""

import json
import pathlib
import re
import shutil
import subprocess
import tempfile

from servers import Failed, command

from .base import HERE, SECONDS_MAX, Suite, result


class Asyncpg(Suite):
    """Its own tests, with the wheel of the same release."""

    NAME, RELEASE = "asyncpg", "0.32.0"

    # Those start servers of their own, which root can't.
    unsound_max = 5

    def prepare(self):
        self.python = self.virtual_environment(
            f"asyncpg=={self.RELEASE}", "pytest", "pytest-timeout", "distro"
        )
        if not (self.place / "tests").exists():
            # Without the package beside them: what is tested is what is installed.
            source = self.source(self.python, "asyncpg", self.RELEASE)
            shutil.copytree(source / "tests", self.place / "tests")

    def version(self):
        return self.RELEASE

    # Those two are about the package's own files and version.
    LEFT_OUT = ["tests/test__sourcecode.py", "tests/test__environment.py"]

    def run(self, servers, target, only):
        # The other forms of a traceback break on how deep these are.
        words = ["--tb=native", "tests", *(f"--ignore={path}" for path in self.LEFT_OUT)]
        words += ["-k", only] if only else []
        return self.pytest(self.python, words, servers, target, self.place)


class SqlAlchemy(Suite):
    """The suite that every dialect of SQLAlchemy has to pass, with psycopg."""

    NAME, RELEASE = "sqlalchemy", "2.1.9"
    DRIVER = "psycopg"
    TESTS = "test/dialect/test_suite.py"
    # Which of them, in pytest's words.
    PART = ""

    wants_new_servers = True

    # What the tests expect to be there, as SQLAlchemy's README.unittests says.
    SETTING = """
        CREATE SCHEMA test_schema;
        CREATE SCHEMA test_schema_2;
        CREATE EXTENSION hstore;
        CREATE EXTENSION citext;
    """

    def __init__(self, place):
        super().__init__(place)
        self.place = place / "sqlalchemy"
        self.place.mkdir(exist_ok=True)

    def prepare(self):
        self.python = self.virtual_environment(
            f"sqlalchemy[asyncio]=={self.RELEASE}",
            "psycopg[binary]==3.3.9",
            "asyncpg==0.32.0",
            "pytest",
            "pytest-timeout",
        )
        self.tests = self.source(self.python, "sqlalchemy", self.RELEASE)
        # It makes extensions before the first test, which judged roles can't: ours are there.
        (file,) = (self.place / "venv").rglob("sqlalchemy/dialects/postgresql/provision.py")
        extensions = re.compile(r"^_extensions = \[.*?^\]", re.M | re.S)
        file.write_text(extensions.sub("_extensions = []", file.read_text()))

    def version(self):
        return self.RELEASE

    def run(self, servers, target, only):
        command(
            ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", self.SETTING],
            env=servers.environment("direct"),
        )
        place = servers.environment(target)
        address = (
            f"postgresql+{self.DRIVER}://{place['PGUSER']}:{place['PGPASSWORD']}"
            f"@{place['PGHOST']}:{place['PGPORT']}/{place['PGDATABASE']}"
        )
        part = " and ".join(f"({words})" for words in [self.PART, only] if words)
        words = ["--tb=short", "--dburi", address, self.TESTS, *(["-k", part] if part else [])]
        return self.pytest(self.python, words, servers, target, self.tests)


class SqlAlchemyAsyncpg(SqlAlchemy):
    """The same with asyncpg."""

    NAME = "sqlalchemy-asyncpg"
    DRIVER = "asyncpg"


class SqlAlchemyDialect(SqlAlchemy):
    """SQLAlchemy's tests of what it does with PostgreSQL only, with psycopg."""

    NAME = "sqlalchemy-dialect"
    TESTS = "test/dialect/postgresql"
    # Thousands of comparisons of ranges, one as the other, and texts that no server sees.
    PART = "not range and not compile"


class Django(Suite):
    """Django's own tests of what goes to the database, on PostgreSQL by psycopg 3."""

    NAME, RELEASE = "django", "5.2.19"

    # They want a database that is empty, or another one.
    unsound_max = 2

    wants_new_servers = True

    APPS = """
        aggregation annotations backends basic bulk_create composite_pk constraints delete
        distinct_on_fields expressions expressions_window get_or_create indexes inspectdb
        introspection lookup migrations ordering queries raw_query schema select_for_update
        timezones transaction_hooks transactions update
    """.split()

    def prepare(self):
        self.python = self.virtual_environment(
            f"django=={self.RELEASE}", "psycopg[binary,pool]==3.3.9", "jinja2", "PyYAML", "tblib"
        )
        self.tests = self.source(self.python, "django", self.RELEASE) / "tests"
        for file in (HERE / "django").glob("*.py"):
            shutil.copy(file, self.tests)

    def version(self):
        return self.RELEASE

    def run(self, servers, target, only):
        results = self.part(servers, target, only, self.APPS)
        # Their tables need extensions, so they are made directly.
        self.part(servers, "direct", "test_equal", ["postgres_tests"])
        return results | self.part(servers, target, only, ["postgres_tests"])

    def part(self, servers, target, only, apps):
        with tempfile.TemporaryDirectory() as own:
            lines = pathlib.Path(own) / "results"
            lines.touch()
            words = [self.python, "-s", "runtests.py", "--settings=postern_settings"]
            words += ["--keepdb", "--noinput", "--parallel=1", "--verbosity=0", *apps]
            words += ["-k", only] if only else []
            done = subprocess.run(
                list(map(str, words)),
                env=servers.environment(target) | {"RESULTS": str(lines)},
                cwd=self.tests,
                capture_output=True,
                text=True,
                timeout=SECONDS_MAX,
            )
            told = [json.loads(line) for line in lines.read_text().splitlines()]
            if not told and not only:
                raise Failed(f"Django's tests do not run: {done.stderr.strip()[-500:]}")
            return {one["test"]: result(one["outcome"], one["detail"]) for one in told}
