"""The way to Postgres: engine, transactions, schema."""

import asyncio
import math
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import DBAPIError, DisconnectionError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from amd_service.errors import ConfigurationError, DatabaseUnavailable

# Together they keep a webhook's answer well inside the 15 seconds Twilio waits, whatever Postgres does.
CONNECT_TIMEOUT_S = 3.0
STATEMENT_TIMEOUT_S = 3.0
TRANSACTION_TIMEOUT_S = 5.0

# For how long one look at the schema answers everybody who asks: a flood of probes takes one connection, not all.
SCHEMA_STATE_AGE_S = 1.0

# SQLSTATE classes and codes after which the same transaction may succeed: connection exceptions (08), refused
# login (28), missing database (3D), read-only standby (25006), rollbacks on conflict (40), out of resources (53),
# lock not available (55P03), statement timeout, shutdown and start-up (57).
_RETRYABLE_STATES = re.compile(r"08...|28...|3D...|25006|40...|53...|55P03|57014|57P..")

# Any number will do as long as every process uses the same one.
_MIGRATION_LOCK = 7_312_840

_UNDEFINED_TABLE = "42P01"
_LOCK_NOT_AVAILABLE = "55P03"
MIGRATION_LOCK_TIMEOUT_S = 5

# Never the driver's own words for a URL it cannot read, nor its traceback: they repeat pieces of the password.
_UNREADABLE_URL = (
    "AMD_DATABASE_URL cannot be read: write postgresql://user:password@host/name and percent-encode special characters "
    "of user and password (e.g. / as %2F, # as %23, [ as %5B)"
)


class SchemaState(StrEnum):
    """How the schema in the database compares with the one this version knows."""

    CURRENT = "current"
    BEHIND = "behind"
    NEWER = "newer"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Revisions:
    """The migrations this version knows, and the last of them."""

    known: frozenset[str]
    head: str | None

    def compare(self, revision: str | None) -> SchemaState:
        """How a schema at `revision` compares with them."""
        if revision is None:
            return SchemaState.MISSING
        if revision == self.head:
            return SchemaState.CURRENT
        return SchemaState.BEHIND if revision in self.known else SchemaState.NEWER


def driver_url(url: str) -> str:
    """The URL as libpq and asyncpg write it. Raises ConfigurationError for anything that is not Postgres."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ConfigurationError(_UNREADABLE_URL) from None
    if parts.scheme not in ("postgresql", "postgres", "postgresql+asyncpg"):
        raise ConfigurationError(
            f"AMD_DATABASE_URL begins with {parts.scheme or 'no scheme'!r}: "
            "it must be postgresql://user:password@host/name"
        )
    return "postgresql" + url[len(parts.scheme) :]


def translated(error: BaseException) -> DatabaseUnavailable | None:
    """The error as DatabaseUnavailable where Postgres is away or busy; None for anything else."""
    if isinstance(error, PoolTimeoutError | TimeoutError):
        return DatabaseUnavailable(f"Postgres did not answer in time ({type(error).__name__})")
    if isinstance(error, ConnectionError):
        return DatabaseUnavailable(f"the connection to Postgres is lost: {error}")
    cause = error.orig if isinstance(error, DBAPIError) else error
    state = getattr(cause, "sqlstate", None)
    if isinstance(state, str) and _RETRYABLE_STATES.fullmatch(state):
        return DatabaseUnavailable(f"Postgres says: {cause}")
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return DatabaseUnavailable(f"the connection to Postgres is lost: {cause}")
    return None


async def connect(url: str, *, statement_timeout_s: float | None) -> Any:
    """A driver connection of one's own. Raises DatabaseUnavailable, and ConfigurationError for an unusable URL."""
    try:
        return await asyncpg.connect(driver_url(url), timeout=CONNECT_TIMEOUT_S, command_timeout=statement_timeout_s)
    except (OSError, TimeoutError) as error:
        raise DatabaseUnavailable(f"Postgres cannot be reached: {error or type(error).__name__}") from error
    except asyncpg.PostgresError as error:
        unavailable = translated(error)
        if unavailable is None:
            raise
        raise unavailable from error
    except asyncpg.InterfaceError as error:
        raise ConfigurationError(f"AMD_DATABASE_URL cannot be used: {error}") from error
    except ValueError:
        raise ConfigurationError(_UNREADABLE_URL) from None


def _refuse_closed(connection: Any, _record: object, _proxy: object) -> None:
    # A restarted server has closed its sockets: asyncpg knows, and the pool opens a fresh connection instead.
    # This costs no round trip, unlike a ping, and a ping would hang where the network does.
    if connection.driver_connection.is_closed():
        raise DisconnectionError


class Database:
    """A pool of connections to one Postgres. Open it once a process, `dispose()` it at the end."""

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        self.url = driver_url(url)
        self._engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=lambda: connect(self.url, statement_timeout_s=STATEMENT_TIMEOUT_S),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=CONNECT_TIMEOUT_S,
            hide_parameters=True,
        )
        event.listen(self._engine.sync_engine, "checkout", _refuse_closed)
        self._sessions = async_sessionmaker(self._engine, expire_on_commit=False)
        self._schema = _SchemaWatch(self)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """A session in one transaction: committed at the end, rolled back on any error.

        Raises DatabaseUnavailable where Postgres is away, busy or silent, within a few seconds.
        """
        try:
            async with asyncio.timeout(TRANSACTION_TIMEOUT_S), self._sessions.begin() as session:
                yield session
        except Exception as error:
            unavailable = translated(error)
            if unavailable is None:
                raise
            raise unavailable from error

    async def schema_state(self) -> SchemaState:
        """Whether this version can work with the schema that is there; what was seen a second ago at the most.

        Raises DatabaseUnavailable.
        """
        return await self._schema.state()

    async def dispose(self) -> None:
        """Close every pooled connection."""
        await self._engine.dispose()


def migrations_dir() -> Path:
    """Where the migrations are: in the wheel beside the code, in a checkout beside the package."""
    package = Path(str(files("amd_service")))
    for candidate in (package / "_migrations", package.parent / "migrations"):
        if (candidate / "env.py").is_file():
            return candidate
    raise ConfigurationError(f"no migrations beside {package}: reinstall amd-service")


def alembic_config(connection: Connection | None = None) -> Config:
    """Alembic's configuration without a file, on a connection that is already open."""
    config = Config()
    config.set_main_option("script_location", str(migrations_dir()).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def read_revisions() -> Revisions:
    """The migrations this version knows. Runs their files, which takes its time: not for the event loop."""
    scripts = ScriptDirectory.from_config(alembic_config())
    return Revisions(frozenset(script.revision for script in scripts.walk_revisions()), scripts.get_current_head())


class _SchemaWatch:
    """The state of the schema, looked up by one at a time; the answer, an error too, goes to all who asked."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._looking = asyncio.Lock()
        self._revisions: Revisions | None = None
        self._seen: SchemaState | DatabaseUnavailable = SchemaState.MISSING
        self._seen_at = -math.inf

    async def state(self) -> SchemaState:
        async with self._looking:
            if time.monotonic() - self._seen_at >= SCHEMA_STATE_AGE_S:
                self._seen = await self._look()
                self._seen_at = time.monotonic()
            seen = self._seen
        if isinstance(seen, DatabaseUnavailable):
            raise DatabaseUnavailable(str(seen)) from seen
        return seen

    async def _look(self) -> SchemaState | DatabaseUnavailable:
        # Before a connection is taken, which must not wait for files.
        if self._revisions is None:
            self._revisions = await asyncio.to_thread(read_revisions)
        try:
            async with self._database.transaction() as session:
                return self._revisions.compare(await session.scalar(text("select version_num from alembic_version")))
        except DatabaseUnavailable as error:
            return error
        except ProgrammingError as error:
            if getattr(error.orig, "sqlstate", None) != _UNDEFINED_TABLE:
                raise
            return SchemaState.MISSING


@asynccontextmanager
async def open_engine(url: str) -> AsyncIterator[AsyncEngine]:
    """An engine for administration: statements may take as long as they need."""
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: connect(url, statement_timeout_s=None), hide_parameters=True
    )
    try:
        yield engine
    finally:
        await engine.dispose()


async def migrate(url: str, revision: str = "head") -> None:
    """Bring the schema up to `revision`, all or nothing. Any number of processes may do so at once.

    Raises DatabaseUnavailable, and ConfigurationError where the schema is newer than this version.
    """
    async with open_engine(url) as engine, engine.begin() as connection:
        await connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        # Who waits for a table makes everybody wait behind it: a long query of a dashboard must not close the door.
        await connection.execute(text(f"set local lock_timeout = '{MIGRATION_LOCK_TIMEOUT_S}s'"))
        try:
            await connection.run_sync(lambda sync: command.upgrade(alembic_config(sync), revision))
        except CommandError as error:
            raise ConfigurationError(f"the schema is newer than this version of amd-service: {error}") from error
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
                raise
            raise DatabaseUnavailable(
                f"a table was in use for more than {MIGRATION_LOCK_TIMEOUT_S} s, by a long query or a backup: "
                "nothing was changed, try again when it is over"
            ) from error


async def dashboard_role(url: str, name: str) -> None:
    """Create role `name`, or take the one that is there, and let it read `call_log`, its view, and nothing else.

    It can log in but gets no password: set one with `\\password`, or use certificate or peer authentication.
    Raises ConfigurationError for a name that needs quoting or a role that can already write.
    """
    if re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", name) is None or name.startswith("pg_"):
        raise ConfigurationError(f"{name!r} cannot be a role: use lower-case letters, digits and underscores")
    async with open_engine(url) as engine, engine.begin() as connection:
        await connection.run_sync(_grant_reading, name)


def _grant_reading(connection: Connection, name: str) -> None:
    known = connection.scalar(text("select true from pg_roles where rolname = :name"), {"name": name})
    if not known:
        connection.execute(text(f"create role {name} login"))
    writes = "select has_table_privilege(:name, 'call_log', 'INSERT, UPDATE, DELETE, TRUNCATE')"
    if connection.scalar(text(writes), {"name": name}):
        raise ConfigurationError(f"role {name} can write call_log already: choose another name for dashboards")
    database, schema = connection.execute(text("select quote_ident(current_database()), current_schema()")).one()
    for statement in (
        f"alter role {name} set default_transaction_read_only = on",
        f"grant connect on database {database} to {name}",
        f"grant usage on schema {schema} to {name}",
        f"grant select on call_log, call_log_agreement to {name}",
    ):
        connection.execute(text(statement))
