"""The suites: what each needs, how it is run against one port, and what came of each test."""

from .base import cause, same
from .drivers import NodePostgres, Pgjdbc, Psycopg, TokioPostgres
from .postgres import Dump, Isolation, Libpq, Psql, Regress, RegressBeside
from .python import Asyncpg, Django, SqlAlchemy, SqlAlchemyAsyncpg, SqlAlchemyDialect

ALL = {
    suite.NAME: suite
    for suite in [
        Psycopg,
        Asyncpg,
        SqlAlchemy,
        SqlAlchemyAsyncpg,
        SqlAlchemyDialect,
        Django,
        NodePostgres,
        Pgjdbc,
        TokioPostgres,
        Psql,
        Dump,
        Libpq,
        Regress,
        RegressBeside,
        Isolation,
    ]
}

__all__ = ["ALL", "cause", "same"]
