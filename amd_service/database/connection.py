"""Opens single connections to Postgres, and translates the driver's errors."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from amd_service.database.url import UNREADABLE_URL, driver_url
from amd_service.errors import ConfigurationError, DatabaseUnavailable

CONNECT_TIMEOUT_S = 3.0

# SQLSTATE classes and codes of errors after which the same transaction may succeed later: connection exceptions (08),
# refused login (28), missing database (3D), read-only standby (25006), rollbacks on conflict (40), out of resources
# (53), lock not available (55P03), statement timeout (57014), shutdown and start-up (57P).
_RETRYABLE_STATES = re.compile(r"08...|28...|3D...|25006|40...|53...|55P03|57014|57P..")


async def connect(url: str, *, statement_timeout_s: float | None, connect_timeout_s: float = CONNECT_TIMEOUT_S) -> Any:
    """Open a driver connection. Raises DatabaseUnavailable, or ConfigurationError for an unusable URL.

    The driver caches no prepared statement, because a pooler such as PgBouncer runs each transaction of this connection
    on another connection to Postgres, which does not have the statement.
    """
    try:
        return await asyncpg.connect(
            driver_url(url), timeout=connect_timeout_s, command_timeout=statement_timeout_s, statement_cache_size=0
        )
    except (OSError, TimeoutError) as error:
        raise DatabaseUnavailable(f"Postgres cannot be reached: {error or type(error).__name__}") from error
    except asyncpg.PostgresError as error:
        unavailable = as_unavailable(error)
        if unavailable is None:
            raise
        raise unavailable from error
    except asyncpg.InterfaceError as error:
        raise ConfigurationError(f"AMD_DATABASE_URL cannot be used: {error}") from error
    except ValueError:
        raise ConfigurationError(UNREADABLE_URL) from None


def create_engine(connect: Callable[[], Awaitable[Any]], **options: Any) -> AsyncEngine:
    """Create a SQLAlchemy engine whose statements also work through a pooler.

    SQLAlchemy prepares every statement. With its default names, two connections that share a pooler's connection to
    Postgres use the same name for different statements. The empty name is the unnamed statement, which lasts until the
    next one: https://docs.sqlalchemy.org/en/21/dialects/postgresql.html#prepared-statement-name-with-pgbouncer
    """
    return create_async_engine(
        "postgresql+asyncpg://",
        connect_args={
            "async_creator_fn": connect,
            "prepared_statement_cache_size": 0,
            "prepared_statement_name_func": str,
        },
        hide_parameters=True,
        **options,
    )


@asynccontextmanager
async def open_admin_engine(url: str) -> AsyncIterator[AsyncEngine]:
    """Open a SQLAlchemy engine for administration. Its statements have no timeout."""
    engine = create_engine(lambda: connect(url, statement_timeout_s=None))
    try:
        yield engine
    finally:
        await engine.dispose()


def as_unavailable(error: BaseException) -> DatabaseUnavailable | None:
    """Convert the error to DatabaseUnavailable if Postgres is down or busy. Returns None for all other errors."""
    if isinstance(error, PoolTimeoutError | TimeoutError):
        return DatabaseUnavailable(f"Postgres did not respond in time ({type(error).__name__})")
    if isinstance(error, ConnectionError):
        return DatabaseUnavailable(f"the connection to Postgres is lost: {error}")
    cause = error.orig if isinstance(error, DBAPIError) else error
    state = getattr(cause, "sqlstate", None)
    if isinstance(state, str) and _RETRYABLE_STATES.fullmatch(state):
        return DatabaseUnavailable(f"Postgres reported an error: {cause}")
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return DatabaseUnavailable(f"the connection to Postgres is lost: {cause}")
    return None
