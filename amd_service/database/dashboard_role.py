"""Creates the role for dashboards, which can read only `call_log` and its view."""

import re

from sqlalchemy import Connection, text

from amd_service.database.connection import open_admin_engine
from amd_service.errors import ConfigurationError


async def create_dashboard_role(url: str, name: str) -> None:
    """Create the role `name` unless it exists, and grant it read access to `call_log` and its view only.

    The role can log in but has no password. Set a password with psql's `\\password`, or use certificate or peer
    authentication. Raises ConfigurationError for a name that needs quoting, and for a role that can write `call_log`.
    """
    if re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", name) is None or name.startswith("pg_"):
        raise ConfigurationError(
            f"{name!r} cannot be a role: use lower-case letters, digits and underscores, and no prefix `pg_`"
        )
    async with open_admin_engine(url) as engine, engine.begin() as connection:
        await connection.run_sync(_create_and_grant, name)


def _create_and_grant(connection: Connection, name: str) -> None:
    if not connection.scalar(text("select true from pg_roles where rolname = :name"), {"name": name}):
        connection.execute(text(f"create role {name} login"))
    can_write = "select has_table_privilege(:name, 'call_log', 'INSERT, UPDATE, DELETE, TRUNCATE')"
    if connection.scalar(text(can_write), {"name": name}):
        raise ConfigurationError(f"role {name} can already write call_log: choose another name for dashboards")
    database, schema = connection.execute(text("select quote_ident(current_database()), current_schema()")).one()
    for statement in (
        f"alter role {name} set default_transaction_read_only = on",
        f"grant connect on database {database} to {name}",
        f"grant usage on schema {schema} to {name}",
        f"grant select on call_log, call_log_agreement to {name}",
    ):
        connection.execute(text(statement))
