"""Migrates the schema."""

import asyncio

from alembic import command
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from amd_service.database.condition import read_condition
from amd_service.database.connection import open_admin_engine
from amd_service.database.driver_errors import INSUFFICIENT_PRIVILEGE, one_line
from amd_service.database.revisions import Revisions, alembic_config, read_revisions
from amd_service.errors import ConfigurationError, DatabaseUnavailable

# Key of a Postgres advisory lock. The number is arbitrary, but every process must use the same number.
_MIGRATION_LOCK = 7_312_840

_LOCK_NOT_AVAILABLE = "55P03"

# Constraints of the tables that the role may change.
_NOT_VALID = text("""
    select conrelid::regclass, quote_ident(conname) from pg_constraint join pg_class on pg_class.oid = conrelid
     where connamespace = current_schema()::regnamespace and contype = 'c' and not convalidated
       and pg_has_role(relowner, 'USAGE')
     order by conname
""")


async def migrate(url: str, revision: str = "head", *, lock_timeout_s: float = 5.0) -> tuple[str | None, str | None]:
    """Migrate the schema to `revision` in one transaction. Several processes may migrate at the same time.

    Afterwards, another transaction checks the old rows against new constraints.

    Returns the revision before and the revision after the migration; None for a database without a schema.

    Raises DatabaseUnavailable, or ConfigurationError if the schema is newer than this version or the role lacks a
    privilege.
    """
    revisions = await asyncio.to_thread(read_revisions)
    async with open_admin_engine(url) as engine:
        async with engine.begin() as connection:
            found = await _upgrade(connection, revisions, revision, lock_timeout_s)
        await _validate_constraints(engine)
    return found


async def _upgrade(
    connection: AsyncConnection, revisions: Revisions, revision: str, lock_timeout_s: float
) -> tuple[str | None, str | None]:
    # Hosts set a statement timeout for roles and databases. In a large database, an index takes longer.
    await connection.execute(text("set local statement_timeout = 0"))
    await connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
    if fault := (await read_condition(connection, revisions)).migration_fault():
        raise ConfigurationError(fault)
    # While a migration waits for a lock on a table, all later queries on this table wait behind the migration.
    # Without a lock timeout, one long query of a dashboard would stop all callbacks.
    await connection.execute(text(f"set local lock_timeout = '{lock_timeout_s}s'"))
    # If this process is stopped in the migration, Postgres releases the locks on the tables.
    await connection.execute(text("set local idle_in_transaction_session_timeout = '60s'"))
    before = await connection.run_sync(_revision)
    try:
        await connection.run_sync(lambda sync: command.upgrade(alembic_config(sync), revision))
    except CommandError as error:
        raise ConfigurationError(f"the schema is newer than this version of amd-service: {error}") from error
    except DBAPIError as error:
        state = getattr(error.orig, "sqlstate", None)
        if state == INSUFFICIENT_PRIVILEGE:
            cure = "run `amd-service migrate` with the role that owns the tables"
            raise ConfigurationError(f"the schema cannot be migrated: {one_line(error)}; {cure}") from error
        if state != _LOCK_NOT_AVAILABLE:
            raise
        raise DatabaseUnavailable(
            f"a long query or a backup used a table for more than {lock_timeout_s:g} s: "
            "nothing was changed, try again after it has ended"
        ) from error
    return before, await connection.run_sync(_revision)


async def _validate_constraints(engine: AsyncEngine) -> None:
    """Check old rows against constraints that were added as `not valid`. Callbacks do not wait for this."""
    async with engine.begin() as connection:
        await connection.execute(text("set local statement_timeout = 0"))
        for table, name in (await connection.execute(_NOT_VALID)).all():
            await connection.execute(text(f"alter table {table} validate constraint {name}"))


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()
