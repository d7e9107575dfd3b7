"""The service finds out before the first callback whether it can work with a database."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from sqlalchemy import text

from amd_service.calls.tables import Base
from amd_service.database.condition import FOR_CALLBACKS, FOR_WORKERS_AND_PAGES, SchemaState
from amd_service.database.connection import connect
from amd_service.database.opening import open_database
from amd_service.database.pool import Database
from amd_service.database.schema import migrate
from amd_service.errors import ConfigurationError, DatabaseMisconfigured, DatabaseUnavailable
from amd_service.operations.health import database_fault
from amd_service.settings import Settings
from tests.support.deliveries import deliver, recording
from tests.support.inbox import fold_all, put
from tests.support.postgres import as_role, with_database

pytestmark = pytest.mark.anyio

ROLE = "amd_test_limited"


@asynccontextmanager
async def make_database(server_url: str, test_run: str, template: str) -> AsyncIterator[Database]:
    """A database, and the role ROLE without any privilege in it."""
    name = f"amd_test_{test_run}_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}_condition"
    connection = await connect(server_url, statement_timeout_s=None)
    if not await connection.fetchval("select true from pg_roles where rolname = $1", ROLE):
        await connection.execute(f"create role {ROLE} login password 'limited'")
    await connection.execute(f'create database "{name}" {template}')
    database = Database(with_database(server_url, name))
    yield database
    await database.dispose()
    await connection.execute(f'drop database "{name}" with (force)')
    await connection.execute(f"drop role {ROLE}")
    await connection.close()


@pytest.fixture
async def owner(server_url: str, database_url: str, test_run: str) -> AsyncIterator[Database]:
    """A migrated database."""
    async with make_database(server_url, test_run, f'template "amd_test_{test_run}_template"') as database:
        yield database


@pytest.fixture
async def bare(server_url: str, test_run: str) -> AsyncIterator[Database]:
    """A database without tables."""
    async with make_database(server_url, test_run, "") as database:
        yield database


def limited_url(database: Database) -> str:
    return as_role(database.url, ROLE, "limited")


async def run(database: Database, *statements: str) -> None:
    async with database.transaction() as session:
        for statement in statements:
            await session.execute(text(statement))


async def start_error(url: str) -> str:
    with pytest.raises((ConfigurationError, DatabaseMisconfigured)) as caught:
        async with open_database(Settings(_env_file=None, database_url=url)):
            pass
    assert "\n" not in str(caught.value)
    return str(caught.value)


async def migration_error(url: str) -> str:
    with pytest.raises((ConfigurationError, DatabaseMisconfigured)) as caught:
        await migrate(url)
    assert "\n" not in str(caught.value)
    return str(caught.value)


async def readiness(url: str) -> str | None:
    database = Database(url)
    try:
        return await database_fault(database)
    finally:
        await database.dispose()


def test_every_table_has_its_privileges_listed() -> None:
    assert FOR_CALLBACKS.keys() | FOR_WORKERS_AND_PAGES.keys() == Base.metadata.tables.keys()


async def test_the_listed_privileges_suffice_without_any_on_sequences(owner: Database) -> None:
    for needed in (FOR_CALLBACKS, FOR_WORKERS_AND_PAGES):
        for table, privileges in needed.items():
            await run(owner, f"grant {', '.join(privileges)} on {table} to {ROLE}")
    await run(owner, f"grant select on alembic_version to {ROLE}")
    async with open_database(Settings(_env_file=None, database_url=limited_url(owner))) as database:
        assert (await database.condition()).lacking == ()
        await deliver(database, recording("completed"))
    assert await readiness(limited_url(owner)) is None


async def test_a_role_that_may_only_read_is_not_ready_and_does_not_start(owner: Database) -> None:
    await run(owner, f"grant select on all tables in schema public to {ROLE}")
    assert str(await readiness(limited_url(owner))).startswith("the role lacks the privilege INSERT on callback")
    error = await start_error(limited_url(owner))
    assert f"grant select, insert, update, delete on all tables in schema public to {ROLE}" in error


async def test_a_privilege_that_only_workers_need_does_not_end_readiness(owner: Database) -> None:
    await run(owner, f"grant select, insert, update, delete on all tables in schema public to {ROLE}")
    await run(owner, f"revoke update on sweep from {ROLE}")
    assert await readiness(limited_url(owner)) is None
    assert "UPDATE on sweep" in await start_error(limited_url(owner))


async def test_a_process_without_a_worker_starts_without_privileges_that_callbacks_do_not_need(
    owner: Database, capfd: pytest.CaptureFixture[str]
) -> None:
    await run(owner, f"grant select, insert, update on all tables in schema public to {ROLE}")
    await run(owner, f"grant delete on inbox to {ROLE}")
    settings = Settings(_env_file=None, database_url=limited_url(owner))
    async with open_database(settings, with_worker=False) as database:
        await put(database, recording("completed"))
        assert await fold_all(database) == 1
    assert "DELETE on callback" in "".join(capfd.readouterr())
    await run(owner, f"revoke insert on callback from {ROLE}")
    with pytest.raises(ConfigurationError, match="INSERT on callback"):
        async with open_database(settings, with_worker=False):
            pass


async def test_a_role_that_cannot_read_the_history_of_migrations_gets_the_statement_for_it(owner: Database) -> None:
    await run(owner, f"grant select, insert, update, delete on all tables in schema public to {ROLE}")
    await run(owner, f"revoke select on alembic_version from {ROLE}")
    grant = f"grant select on public.alembic_version to {ROLE}"
    assert f"`{grant}`" in await start_error(limited_url(owner))
    await run(owner, grant)
    assert await readiness(limited_url(owner)) is None


async def test_a_statement_without_its_privilege_is_a_mistake_in_the_configuration(owner: Database) -> None:
    limited = Database(limited_url(owner))
    with pytest.raises(DatabaseMisconfigured, match="permission denied for table callback") as caught:
        await deliver(limited, recording("completed"))
    assert caught.value.reason == "the role lacks a privilege"
    await limited.dispose()


async def test_a_role_that_may_not_create_tables_cannot_migrate(bare: Database) -> None:
    await run(bare, "revoke create on schema public from public")
    assert f"grant create on schema public to {ROLE}" in await migration_error(limited_url(bare))
    await run(bare, "revoke all on schema public from public")
    assert "the role can use no schema" in await migration_error(limited_url(bare))


async def test_a_role_that_does_not_own_the_tables_cannot_migrate(bare: Database) -> None:
    await migrate(bare.url, "0001")
    await run(bare, f"grant create on schema public to {ROLE}")
    await run(bare, f"grant select, insert, update, delete on all tables in schema public to {ROLE}")
    error = await migration_error(limited_url(bare))
    assert "must be owner" in error
    assert "with the role that owns the tables" in error


@pytest.mark.parametrize("statement", ["drop table alembic_version", "delete from alembic_version"])
async def test_a_backup_without_its_history_is_named(owner: Database, statement: str) -> None:
    await run(owner, statement)
    for error in (await migration_error(owner.url), await start_error(owner.url), await readiness(owner.url)):
        assert "restore alembic_version from the same backup" in str(error)


async def test_a_table_of_another_application_is_not_changed(bare: Database) -> None:
    await run(bare, "create table recording (title text)")
    assert "some of the service's tables" in await migration_error(bare.url)


async def test_the_history_of_another_application_is_no_newer_version(bare: Database) -> None:
    await run(bare, "create table alembic_version (version_num text)", "insert into alembic_version values ('abc')")
    assert (await bare.condition()).state is SchemaState.FOREIGN
    for error in (await migration_error(bare.url), await start_error(bare.url)):
        assert "belongs to another application" in error
    await run(bare, "create schema amd")
    separator = "&" if "?" in bare.url else "?"
    elsewhere = f"{bare.url}{separator}schema=amd"
    await migrate(elsewhere)
    async with open_database(Settings(_env_file=None, database_url=elsewhere)) as database:
        await deliver(database, recording("completed"))
    async with bare.transaction() as session:
        assert await session.scalar(text("select count(*) from amd.recording")) == 1


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
async def test_an_encoding_that_loses_characters_is_refused(server_url: str, test_run: str, encoding: str) -> None:
    async with make_database(server_url, test_run, f"encoding '{encoding}' locale 'C' template template0") as database:
        url = database.url
        for error in (await migration_error(url), await start_error(url), await readiness(url)):
            assert f"the encoding {encoding}" in str(error)
            assert "encoding 'UTF8'" in str(error)


async def test_read_only_transactions_are_not_ready(owner: Database) -> None:
    name = urlsplit(owner.url).path[1:]
    await run(owner, f'alter database "{name}" set default_transaction_read_only = on')
    for error in (await migration_error(owner.url), await start_error(owner.url), await readiness(owner.url)):
        assert "default_transaction_read_only" in str(error)
    writable = Database(f"{owner.url}{'&' if '?' in owner.url else '?'}options=-c default_transaction_read_only=off")
    assert await database_fault(writable) is None
    await writable.dispose()


async def test_a_listen_url_with_a_mistake_ends_the_start_and_an_outage_does_not(
    server_url: str, owner: Database
) -> None:
    def settings(listen_url: str) -> Settings:
        return Settings(_env_file=None, database_url=owner.url, database_listen_url=listen_url)

    for listen_url in (server_url, with_database(server_url, "not_there")):
        with pytest.raises((ConfigurationError, DatabaseMisconfigured), match="AMD_DATABASE_LISTEN_URL"):
            async with open_database(settings(listen_url)):
                pass
    async with open_database(settings("postgresql://u@127.0.0.1:1/n")) as database:
        assert await database_fault(database) is None


async def test_a_full_disk_is_an_outage(bare: Database) -> None:
    with pytest.raises(DatabaseUnavailable, match="No space left") as caught:
        await run(bare, "do $$ begin raise 'No space left on device' using errcode = 'disk_full'; end $$")
    assert not isinstance(caught.value, DatabaseMisconfigured)


async def test_a_standby_is_not_ready_but_the_service_starts_and_waits(database: Database) -> None:
    standby = replace(await database.condition(), standby=True, read_only=True)
    assert "read-only standby" in str(standby.callback_fault())
    assert "read-only standby" in str(standby.migration_fault())
    assert standby.start_fault() is None
