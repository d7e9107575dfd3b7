"""Migrates the schema, and compares the schema in the database with this version."""

import asyncio
import math
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncSession

from amd_service.database.connection import open_admin_engine
from amd_service.errors import ConfigurationError, DatabaseMisconfigured, DatabaseUnavailable

# Key of a Postgres advisory lock. The number is arbitrary, but every process must use the same number.
_MIGRATION_LOCK = 7_312_840

_UNDEFINED_TABLE = "42P01"
_LOCK_NOT_AVAILABLE = "55P03"


class SchemaState(StrEnum):
    """How the schema in the database compares with the schema of this version."""

    CURRENT = "current"
    BEHIND = "behind"
    NEWER = "newer"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Revisions:
    """The migrations of this version. `head`: the last migration."""

    known: frozenset[str]
    head: str | None

    def compare(self, revision: str | None) -> SchemaState:
        """Return how a schema at `revision` compares with these migrations."""
        if revision is None:
            return SchemaState.MISSING
        if revision == self.head:
            return SchemaState.CURRENT
        return SchemaState.BEHIND if revision in self.known else SchemaState.NEWER


def migrations_dir(package: Path | None = None) -> Path:
    """Return the folder of migrations. A wheel has it inside the package, and a checkout has it beside the package."""
    package = package or Path(str(files("amd_service")))
    for candidate in (package / "_migrations", package.parent / "migrations"):
        if (candidate / "env.py").is_file():
            return candidate
    raise ConfigurationError(f"no migrations beside {package}: reinstall amd-service")


def alembic_config(connection: Connection | None = None) -> Config:
    """Return Alembic's configuration for an open connection. The file alembic.ini is not read."""
    config = Config()
    config.set_main_option("script_location", str(migrations_dir()).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def read_revisions() -> Revisions:
    """Read the migrations of this version. Blocking, because it imports their files: run it in a thread."""
    scripts = ScriptDirectory.from_config(alembic_config())
    return Revisions(frozenset(script.revision for script in scripts.walk_revisions()), scripts.get_current_head())


class SchemaWatch:
    """Looks up the state of the schema for one caller at a time. Waiting callers get the same result or error.

    `max_age_s`: seconds for which a result is reused. Many simultaneous health probes then use only one connection.
    """

    def __init__(
        self,
        transaction: Callable[[], AbstractAsyncContextManager[AsyncSession]],
        *,
        max_age_s: float = 1.0,
        read_revisions: Callable[[], Revisions] = read_revisions,
    ) -> None:
        self._transaction = transaction
        self._max_age_s = max_age_s
        self._read_revisions = read_revisions
        self._lookup = asyncio.Lock()
        self._revisions: Revisions | None = None
        self._result: SchemaState | DatabaseUnavailable = SchemaState.MISSING
        self._result_at = -math.inf

    async def state(self) -> SchemaState:
        """How the schema compares with this version. Raises DatabaseUnavailable."""
        async with self._lookup:
            if time.monotonic() - self._result_at >= self._max_age_s:
                self._result = await self._look_up()
                self._result_at = time.monotonic()
            result = self._result
        if isinstance(result, DatabaseMisconfigured):
            raise DatabaseMisconfigured(str(result), reason=result.reason) from result
        if isinstance(result, DatabaseUnavailable):
            raise DatabaseUnavailable(str(result)) from result
        return result

    async def _look_up(self) -> SchemaState | DatabaseUnavailable:
        # Read the files first, so that no connection is held while files are read.
        if self._revisions is None:
            self._revisions = await asyncio.to_thread(self._read_revisions)
        try:
            async with self._transaction() as session:
                return self._revisions.compare(await session.scalar(text("select version_num from alembic_version")))
        except DatabaseUnavailable as error:
            return error
        except ProgrammingError as error:
            if getattr(error.orig, "sqlstate", None) != _UNDEFINED_TABLE:
                raise
            return SchemaState.MISSING


async def migrate(url: str, revision: str = "head", *, lock_timeout_s: float = 5.0) -> None:
    """Migrate the schema to `revision` in one transaction. Several processes may migrate at the same time.

    Raises DatabaseUnavailable, or ConfigurationError if the schema is newer than this version.
    """
    async with open_admin_engine(url) as engine, engine.begin() as connection:
        await connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        # While a migration waits for a lock on a table, all later queries on this table wait behind the migration.
        # Without a lock timeout, one long query of a dashboard would stop all callbacks.
        await connection.execute(text(f"set local lock_timeout = '{lock_timeout_s}s'"))
        try:
            await connection.run_sync(lambda sync: command.upgrade(alembic_config(sync), revision))
        except CommandError as error:
            raise ConfigurationError(f"the schema is newer than this version of amd-service: {error}") from error
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
                raise
            raise DatabaseUnavailable(
                f"a long query or a backup used a table for more than {lock_timeout_s:g} s: "
                "nothing was changed, try again after it has ended"
            ) from error
