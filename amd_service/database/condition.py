"""Finds out whether the service can work with a database: schema, history of migrations, encoding and privileges."""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from amd_service.database.revisions import Revisions, read_revisions
from amd_service.errors import DatabaseMisconfigured, DatabaseUnavailable

# The privileges that the statements of the service need. Identity columns need no privilege on their sequence.
FOR_CALLBACKS = {
    "callback": ("SELECT", "INSERT"),
    "inbox": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "call_log": ("SELECT", "INSERT", "UPDATE"),
    "recording": ("SELECT", "INSERT", "UPDATE"),
}
FOR_WORKERS_AND_PAGES = {
    "callback": ("UPDATE", "DELETE"),
    "verdict": ("SELECT", "INSERT"),
    "call_request": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "sweep": ("SELECT", "INSERT", "UPDATE"),
    "person": ("SELECT", "INSERT", "UPDATE"),
    "person_session": ("SELECT", "INSERT", "DELETE"),
    "api_key": ("SELECT", "INSERT", "UPDATE"),
    "review": ("SELECT", "INSERT"),
    "recheck": ("SELECT", "INSERT"),
    "delivery": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "annotation": ("SELECT", "INSERT", "UPDATE"),
    "saved_view": ("SELECT", "INSERT", "UPDATE", "DELETE"),
}
_NEEDED = [
    (t, p) for needed in (FOR_CALLBACKS, FOR_WORKERS_AND_PAGES) for t, privileges in needed.items() for p in privileges
]

# A name is looked up only in schemas in which the role has the privilege USAGE.
_SURVEY = text("""
    select current_user as role, current_schema() as schema,
           current_setting('server_encoding') as encoding, pg_is_in_recovery() as standby,
           current_setting('transaction_read_only') = 'on' as read_only,
           coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) as can_create,
           to_regclass('alembic_version') is not null as has_history,
           has_table_privilege(to_regclass('alembic_version'), 'SELECT') as can_read_history,
           (select array_agg(distinct name) from unnest(cast(:tables as text[])) as name
             where to_regclass(name) is not null) as tables,
           (select array_agg(privilege || ' on ' || name) from
             unnest(cast(:tables as text[]), cast(:privileges as text[])) as needed (name, privilege)
             where not has_table_privilege(to_regclass(name), privilege)) as lacking
""").bindparams(tables=[table for table, _ in _NEEDED], privileges=[privilege for _, privilege in _NEEDED])


class SchemaState(StrEnum):
    """How the schema in the database compares with the schema of this version.

    `unversioned`: some of the tables are present, but the history of migrations is missing or empty. `foreign`: the
    history is that of another application.
    """

    CURRENT = "current"
    BEHIND = "behind"
    NEWER = "newer"
    MISSING = "missing"
    UNVERSIONED = "unversioned"
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class Condition:
    """The condition of a database for one role.

    `schema`: name of the schema that holds the tables, None if the role can use none. `standby`: the server is a
    read-only standby. `read_only`: transactions are read-only, also on a standby. `lacking`: missing privileges on
    tables that exist, e.g. `INSERT on callback`.
    """

    state: SchemaState
    role: str
    schema: str | None
    encoding: str
    standby: bool
    read_only: bool
    can_create: bool
    lacking: tuple[str, ...]

    def callback_fault(self) -> str | None:
        """Return why a callback cannot be stored, without names of roles and databases. None if it can be stored."""
        return (
            self._read_only_fault()
            or self._unusable_fault()
            or self._schema_fault()
            or _privilege_fault(self._lacking_for_callbacks())
        )

    def start_fault(self, *, with_worker: bool = True) -> str | None:
        """Return why the service must not start, with the cure. A standby is no fault: it may become the primary.

        `with_worker`: the process needs all privileges. A process without a worker needs those for callbacks.
        """
        read_only = None if self.standby else self._read_only_fault()
        fault = read_only or self._unusable_fault() or self._schema_fault()
        return fault or self.privilege_fault(self.lacking if with_worker else self._lacking_for_callbacks())

    def privilege_fault(self, lacking: Sequence[str]) -> str | None:
        """Return a message about these missing privileges, with the cure. None if no privilege is missing."""
        grant = f"grant select, insert, update, delete on all tables in schema {self.schema} to {self.role}"
        return f"{_privilege_fault(lacking)}: run `{grant}`" if lacking else None

    def _lacking_for_callbacks(self) -> list[str]:
        needed = [f"{p} on {t}" for t, privileges in FOR_CALLBACKS.items() for p in privileges]
        return [privilege for privilege in self.lacking if privilege in needed]

    def migration_fault(self) -> str | None:
        """Return why the schema cannot be migrated, with the cure."""
        fault = self._read_only_fault() or self._unusable_fault()
        if fault is None and self.state in (SchemaState.UNVERSIONED, SchemaState.FOREIGN):
            fault = self._schema_fault()
        if fault is None and self.state is SchemaState.MISSING and not self.can_create:
            fault = (
                f"the role {self.role} may not create tables in schema {self.schema}: run "
                f"`grant create on schema {self.schema} to {self.role}` as an administrator"
            )
        return fault

    def _read_only_fault(self) -> str | None:
        if self.standby:
            return "Postgres is a read-only standby: the primary must be in AMD_DATABASE_URL"
        if self.read_only:
            return "every transaction is read-only: switch default_transaction_read_only off for the role and database"
        return None

    def _unusable_fault(self) -> str | None:
        if self.encoding != "UTF8":
            return (
                f"the database has the encoding {self.encoding}: create a database with "
                "`create database NAME encoding 'UTF8' template template0` and change AMD_DATABASE_URL"
            )
        if self.schema is None:
            return "the role can use no schema: create the schema, or run `grant usage, create on schema NAME to ROLE`"
        return None

    def _schema_fault(self) -> str | None:
        match self.state:
            case SchemaState.MISSING | SchemaState.BEHIND:
                return f"the database schema is {self.state}: run `amd-service migrate`"
            case SchemaState.UNVERSIONED:
                return (
                    "the database has some of the service's tables, but no row in alembic_version: restore "
                    "alembic_version from the same backup, or use an empty database"
                )
            case SchemaState.FOREIGN:
                return (
                    "the table alembic_version belongs to another application: use another database, or create a "
                    "schema and add the parameter schema=NAME to AMD_DATABASE_URL"
                )
        return None


def _privilege_fault(lacking: Sequence[str]) -> str | None:
    return f"the role lacks the privilege {', '.join(lacking)}" if lacking else None


async def read_condition(session: AsyncSession | AsyncConnection, revisions: Revisions) -> Condition:
    """Read the condition of the database of an open session.

    Raises DatabaseMisconfigured if the role cannot read the history of migrations.
    """
    found = (await session.execute(_SURVEY)).one()
    tables = frozenset(found.tables or ())
    revision = None
    if found.has_history:
        if not found.can_read_history:
            raise DatabaseMisconfigured(
                "the role lacks the privilege SELECT on alembic_version: run "
                f"`grant select on {found.schema}.alembic_version to {found.role}`",
                reason="the role lacks a privilege",
            )
        revision = (await session.execute(text("select version_num from alembic_version limit 1"))).scalar()
    return Condition(
        state=_compare(revision, revisions, tables),
        role=found.role,
        schema=found.schema,
        encoding=found.encoding,
        standby=found.standby,
        read_only=found.read_only,
        can_create=found.can_create,
        lacking=tuple(found.lacking or ()),
    )


def _compare(revision: str | None, revisions: Revisions, tables: frozenset[str]) -> SchemaState:
    """`tables`: the service's tables that are present."""
    if revision is None:
        return SchemaState.UNVERSIONED if tables else SchemaState.MISSING
    if revision == revisions.head:
        return SchemaState.CURRENT
    if revision in revisions.known:
        return SchemaState.BEHIND
    return SchemaState.NEWER if tables >= FOR_CALLBACKS.keys() else SchemaState.FOREIGN


class ConditionWatch:
    """Reads the condition of a database for one caller at a time. Waiting callers get the same result or error.

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
        self._result: Condition | DatabaseUnavailable = DatabaseUnavailable("not read yet")
        self._result_at = -math.inf

    async def condition(self) -> Condition:
        """Return the condition of the database. Raises DatabaseUnavailable."""
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

    async def _look_up(self) -> Condition | DatabaseUnavailable:
        # Read the files first, so that no connection is held while files are read.
        if self._revisions is None:
            self._revisions = await asyncio.to_thread(self._read_revisions)
        try:
            async with self._transaction() as session:
                return await read_condition(session, self._revisions)
        except DatabaseUnavailable as error:
            return error
