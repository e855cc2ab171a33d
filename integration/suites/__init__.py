"""The suites: what each needs, how it is run against one port, and what came of each test."""

from .base import cause, same
from .drivers import NodePostgres, Pgjdbc, Psycopg, TokioPostgres
from .postgres import Psql, Regress
from .python import Asyncpg, Django, SqlAlchemy

ALL = {
    suite.NAME: suite
    for suite in [
        Psycopg,
        Asyncpg,
        SqlAlchemy,
        Django,
        NodePostgres,
        Pgjdbc,
        TokioPostgres,
        Psql,
        Regress,
    ]
}

__all__ = ["ALL", "cause", "same"]
