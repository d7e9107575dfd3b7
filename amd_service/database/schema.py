"""The schema: its migrations, and how the database compares with them."""

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
from amd_service.errors import ConfigurationError, DatabaseUnavailable

# Any number will do as long as every process uses the same one.
_MIGRATION_LOCK = 7_312_840

_UNDEFINED_TABLE = "42P01"
_LOCK_NOT_AVAILABLE = "55P03"


class SchemaState(StrEnum):
    """How the schema in the database compares with the one that this version knows."""

    CURRENT = "current"
    BEHIND = "behind"
    NEWER = "newer"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Revisions:
    """The migrations that this version knows, and the last of them."""

    known: frozenset[str]
    head: str | None

    def compare(self, revision: str | None) -> SchemaState:
        """How a schema at `revision` compares with them."""
        if revision is None:
            return SchemaState.MISSING
        if revision == self.head:
            return SchemaState.CURRENT
        return SchemaState.BEHIND if revision in self.known else SchemaState.NEWER


def migrations_dir(package: Path | None = None) -> Path:
    """The folder of migrations: inside the package in a wheel, beside the package in a checkout."""
    package = package or Path(str(files("amd_service")))
    for candidate in (package / "_migrations", package.parent / "migrations"):
        if (candidate / "env.py").is_file():
            return candidate
    raise ConfigurationError(f"no migrations beside {package}: reinstall amd-service")


def alembic_config(connection: Connection | None = None) -> Config:
    """Alembic's configuration for a connection that is already open; needs no alembic.ini."""
    config = Config()
    config.set_main_option("script_location", str(migrations_dir()).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def read_revisions() -> Revisions:
    """The migrations that this version knows. Blocking: it imports their files, so keep it off the event loop."""
    scripts = ScriptDirectory.from_config(alembic_config())
    return Revisions(frozenset(script.revision for script in scripts.walk_revisions()), scripts.get_current_head())


class SchemaWatch:
    """The schema's state, looked up by one caller at a time; every waiting caller gets its result or its error.

    `max_age_s`: how long a result is reused, so that a flood of health probes takes one connection and not all.
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
        if isinstance(result, DatabaseUnavailable):
            raise DatabaseUnavailable(str(result)) from result
        return result

    async def _look_up(self) -> SchemaState | DatabaseUnavailable:
        # Before a connection is taken: a connection must not wait for files.
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
    """Bring the schema up to `revision`, all or nothing. Several processes may migrate at once.

    Raises DatabaseUnavailable, and ConfigurationError if the schema is newer than this version.
    """
    async with open_admin_engine(url) as engine, engine.begin() as connection:
        await connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        # Every later query on a table queues behind a migration that waits for it. Without a limit, one long query of
        # a dashboard would stop all callbacks.
        await connection.execute(text(f"set local lock_timeout = '{lock_timeout_s}s'"))
        try:
            await connection.run_sync(lambda sync: command.upgrade(alembic_config(sync), revision))
        except CommandError as error:
            raise ConfigurationError(f"the schema is newer than this version of amd-service: {error}") from error
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
                raise
            raise DatabaseUnavailable(
                f"a table was in use for more than {lock_timeout_s:g} s, by a long query or a backup: "
                "nothing was changed, try again when it is over"
            ) from error
