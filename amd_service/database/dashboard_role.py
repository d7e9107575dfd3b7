"""Creates the role for dashboards, which can read only `call_log` and its view."""

import re
from collections.abc import Iterator, Mapping

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from amd_service.database.connection import open_admin_engine
from amd_service.database.driver_errors import INSUFFICIENT_PRIVILEGE, one_line
from amd_service.errors import ConfigurationError

# A forgotten query or transaction of a dashboard would keep old rows alive and make migrations wait. An administrator
# can change the values: they are set only once.
SETTINGS: Mapping[str, str] = {
    "default_transaction_read_only": "on",
    "statement_timeout": "'30s'",
    "idle_in_transaction_session_timeout": "'30s'",
}

_PRESENT = text("""
    select split_part(setting, '=', 1) from pg_db_role_setting, unnest(setconfig) as setting
     where setrole = (select oid from pg_roles where rolname = :name)
       and setdatabase in (0, (select oid from pg_database where datname = current_database()))
""")

# Table and views that the role may read.
READABLE = ("call_log", "call_log_agreement", "call_log_reviewed")


async def create_dashboard_role(url: str, name: str) -> list[str]:
    """Create the role `name` unless it exists, and grant it read access to `call_log` and its view only.

    The role can log in but has no password. Set a password with psql's `\\password`, or use certificate or peer
    authentication. Returns the statements that this role may not run, and that an administrator must run: only
    superusers and, with limits, roles with CREATEROLE may change the settings of another role.

    Raises ConfigurationError for a name that needs quoting, for a role that can write `call_log`, and if this role may
    not create roles or grant access.
    """
    if re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", name) is None or name.startswith("pg_"):
        raise ConfigurationError(
            f"{name!r} cannot be a role: use lower-case letters, digits and underscores, and no prefix `pg_`"
        )
    async with open_admin_engine(url) as engine, engine.begin() as connection:
        return await connection.run_sync(_create_and_grant, name)


def _create_and_grant(connection: Connection, name: str) -> list[str]:
    database, schema = connection.execute(
        text("select quote_ident(current_database()), quote_ident(current_schema())")
    ).one()
    if not connection.scalar(text("select true from pg_roles where rolname = :name"), {"name": name}):
        create = f"create role {name} login"
        if _refusal(connection, create) is not None:
            for_administrator = "; ".join((create, *_settings(name, database)))
            raise ConfigurationError(
                "this role may not create roles: run as an administrator, and then run this command again: "
                f"{for_administrator}"
            )
    can_write = "select has_table_privilege(:name, 'call_log', 'INSERT, UPDATE, DELETE, TRUNCATE')"
    if connection.scalar(text(can_write), {"name": name}):
        raise ConfigurationError(f"role {name} can already write call_log: choose another name for dashboards")
    for grant, is_granted in (
        (f"connect on database {database}", "has_database_privilege(:name, current_database(), 'CONNECT')"),
        (f"usage on schema {schema}", "has_schema_privilege(:name, current_schema(), 'USAGE')"),
        *((f"select on {table}", f"has_table_privilege(:name, '{table}', 'SELECT')") for table in READABLE),
    ):
        # Postgres only warns if this role has the privilege itself but may not grant it, so ask for the result.
        refusal = _refusal(connection, f"grant {grant} to {name}")
        if refusal or not connection.scalar(text(f"select {is_granted}"), {"name": name}):
            reason = refusal or f"this role may not grant {grant}"
            raise ConfigurationError(f"{reason}: run as an administrator: grant {grant} to {name}")
    present = set(connection.scalars(_PRESENT, {"name": name}))
    wanted = _settings(name, database, present)
    return [statement for statement in wanted if _refusal(connection, statement) is not None]


def _settings(name: str, database: str, present: set[str] | frozenset[str] = frozenset()) -> Iterator[str]:
    return (
        f"alter role {name} in database {database} set {setting} = {value}"
        for setting, value in SETTINGS.items()
        if setting not in present
    )


def _refusal(connection: Connection, statement: str) -> str | None:
    """Run the statement. Returns the message of Postgres if the role lacks a privilege, otherwise None."""
    try:
        with connection.begin_nested():
            connection.execute(text(statement))
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != INSUFFICIENT_PRIVILEGE:
            raise
        return one_line(error)
    return None
