"""Opens single connections to Postgres."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from amd_service.database.driver_errors import as_unavailable, failed_connection, one_line, refused_connection
from amd_service.database.url import DATABASE_URL, read_url, unreadable_file, unreadable_url
from amd_service.errors import DatabaseMisconfigured, DatabaseUnavailable

CONNECT_TIMEOUT_S = 3.0


async def connect(
    url: str,
    *,
    statement_timeout_s: float | None,
    connect_timeout_s: float = CONNECT_TIMEOUT_S,
    setting: str = DATABASE_URL,
) -> Any:
    """Open a driver connection. A `connect_timeout` in the URL replaces `connect_timeout_s`.

    `setting`: the setting that contains the URL; error messages name it. Raises DatabaseUnavailable, its subclass
    DatabaseMisconfigured if only a change of the configuration helps, and ConfigurationError for an unusable URL.

    The driver caches no prepared statement, because a pooler such as PgBouncer runs each transaction of this connection
    on another connection to Postgres, which does not have the statement.
    """
    arguments = read_url(url, setting)
    if unreadable := unreadable_file(arguments):
        message = f"{setting}: {unreadable} is missing or cannot be read"
        raise DatabaseMisconfigured(message, reason="a certificate or key for Postgres is missing")
    try:
        return await asyncpg.connect(
            arguments.dsn,
            ssl=arguments.tls(),
            timeout=arguments.connect_timeout_s or connect_timeout_s,
            command_timeout=statement_timeout_s,
            statement_cache_size=0,
        )
    except TimeoutError as error:
        cure = f"check the network, and host and port in {setting}"
        raise DatabaseUnavailable(f"Postgres cannot be reached: no response in time; {cure}") from error
    except OSError as error:
        raise failed_connection(error, setting) from error
    except asyncpg.PostgresError as error:
        raise refused_connection(error, setting) from error
    except asyncpg.exceptions.TargetServerAttributeNotMatched as error:
        raise DatabaseUnavailable(f"no server has the target_session_attrs of {setting}: {one_line(error)}") from error
    except asyncpg.InterfaceError as error:
        message = f"{setting} cannot be used: {one_line(error)}"
        raise DatabaseMisconfigured(message, reason="the database URL cannot be used") from error
    except (ValueError, OverflowError):
        raise unreadable_url(setting) from None


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


async def is_pooled(connection: Any) -> bool:
    """Return whether a pooler answers a driver connection, so that LISTEN may not work.

    At the start of a session, Postgres sends the id of its process, and a pooler invents one:
    https://www.postgresql.org/docs/current/protocol-message-formats.html (BackendKeyData)
    """
    process_id: int = await connection.fetchval("select pg_backend_pid()")
    server_pid: int = connection.get_server_pid()
    return process_id != server_pid


async def leads_to_pooler(url: str, setting: str) -> bool:
    """Connect to the URL in `setting`, and return whether a pooler answers. Raises like `connect`."""
    connection = await connect(url, statement_timeout_s=CONNECT_TIMEOUT_S, setting=setting)
    try:
        return await is_pooled(connection)
    finally:
        connection.terminate()


@asynccontextmanager
async def open_admin_engine(url: str, setting: str = DATABASE_URL) -> AsyncIterator[AsyncEngine]:
    """Open a SQLAlchemy engine for administration. Its statements have no timeout. `setting`: as for `connect`.

    Raises DatabaseUnavailable if Postgres is down, refuses the connection or refuses a statement in the context.
    """
    engine = create_engine(lambda: connect(url, statement_timeout_s=None, setting=setting))
    try:
        yield engine
    except Exception as error:
        unavailable = as_unavailable(error)
        if unavailable is None:
            raise
        raise unavailable from error
    finally:
        await engine.dispose()
