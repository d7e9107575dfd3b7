"""A role that dashboards can use, created by an administrator or by the ordinary owner of a database."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from amd_service.database.connection import connect
from amd_service.database.dashboard_role import create_dashboard_role
from amd_service.database.schema import migrate
from amd_service.errors import ConfigurationError
from tests.support.embedded import execute
from tests.support.postgres import as_role, with_database
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

READER = "amd_test_dashboard_reader"
OWNER = "amd_test_ordinary_owner"
TIME_LIMITS = ("statement_timeout", "idle_in_transaction_session_timeout")


@pytest.fixture(scope="module")
def url(server_url: str, test_run: str) -> Iterator[str]:
    """A migrated database that belongs to OWNER."""
    name = f"amd_test_{test_run}_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}_dashboard"
    url = with_database(server_url, name)

    async def create() -> None:
        await execute(server_url, f"create role {OWNER} login password 'owner'")
        await execute(server_url, f'create database "{name}" owner {OWNER}')
        await execute(url, f"grant create on schema public to {OWNER}")
        await migrate(as_role(url, OWNER, "owner"))

    asyncio.run(create())
    yield url
    asyncio.run(execute(server_url, f'drop database "{name}" with (force)'))
    asyncio.run(execute(server_url, f"drop role {OWNER}"))


@pytest.fixture
async def administrator(url: str, anyio_backend: str) -> AsyncIterator[Any]:
    """A connection of an administrator. READER does not exist."""
    connection = await connect(url, statement_timeout_s=10)
    yield connection
    await connection.execute(f"reset role; drop owned by {READER}; drop role {READER}")
    await connection.close()


async def settings(connection: Any) -> list[str]:
    found = await connection.fetchval(
        "select setconfig from pg_db_role_setting join pg_roles on pg_roles.oid = setrole where rolname = $1", READER
    )
    return list(found or ())


async def test_the_role_reads_the_call_log_and_nothing_else(url: str, administrator: Any) -> None:
    assert [await create_dashboard_role(url, READER) for _ in range(2)] == [[], []]
    grants = await administrator.fetch(
        "select table_name, privilege_type from information_schema.table_privileges"
        f" where grantee = '{READER}' order by table_name"
    )
    role = await administrator.fetchrow(f"select * from pg_authid where rolname = '{READER}'")
    await administrator.execute(f"set role {READER}")
    assert await administrator.fetch("select * from call_log") == []
    assert await administrator.fetch("select * from call_log_agreement") == []
    assert await administrator.fetch("select * from call_log_reviewed") == []
    for statement in ("select * from callback", "delete from call_log"):
        with pytest.raises(Exception, match="permission denied"):
            await administrator.execute(statement)
    views = ["call_log_agreement", "call_log_reviewed"]
    assert [tuple(grant) for grant in grants] == [(name, "SELECT") for name in ("call_log", *views)]
    assert (role["rolcanlogin"], role["rolpassword"], role["rolsuper"]) == (True, None, False)


async def test_queries_and_transactions_of_the_role_end_after_a_time_limit(url: str, administrator: Any) -> None:
    await create_dashboard_role(url, READER)
    assert await settings(administrator) == [
        "default_transaction_read_only=on",
        "statement_timeout=30s",
        "idle_in_transaction_session_timeout=30s",
    ]


async def test_postgres_ends_a_slow_query_and_a_forgotten_transaction_of_the_role(url: str, administrator: Any) -> None:
    await create_dashboard_role(url, READER)
    await administrator.execute(f"alter role {READER} password 'reader'")
    reader = await connect(as_role(url, READER, "reader"), statement_timeout_s=20)
    shown = [await reader.fetchval(f"show {name}") for name in TIME_LIMITS]
    await reader.close()
    assert shown == ["30s", "30s"]

    # The same settings with shorter times, so that the test need not wait for 30 s.
    database = await administrator.fetchval("select quote_ident(current_database())")
    for name in TIME_LIMITS:
        await administrator.execute(f"alter role {READER} in database {database} set {name} = '300ms'")
    reader = await connect(as_role(url, READER, "reader"), statement_timeout_s=20)
    with pytest.raises(Exception, match="canceling statement due to statement timeout"):
        await reader.fetch("select count(*) from call_log right join generate_series(1, 1000000000) on true")
    await reader.execute("begin")

    async def is_ended() -> bool:
        return not await administrator.fetchval(f"select count(*) from pg_stat_activity where usename = '{READER}'")

    await until(is_ended)
    reader.terminate()


async def test_settings_of_an_administrator_stay(url: str, administrator: Any) -> None:
    await administrator.execute(f"create role {READER} login; alter role {READER} set statement_timeout = '5min'")
    assert await create_dashboard_role(url, READER) == []
    async with administrator.transaction():
        found = await administrator.fetch("select unnest(setconfig) from pg_db_role_setting")
    assert [row[0] for row in found if "statement_timeout" in row[0]] == ["statement_timeout=5min"]


async def test_an_ordinary_owner_gets_the_statements_for_an_administrator(url: str, administrator: Any) -> None:
    owner_url = as_role(url, OWNER, "owner")
    with pytest.raises(ConfigurationError, match="may not create roles: run as an administrator") as caught:
        await create_dashboard_role(owner_url, READER)
    assert "\n" not in str(caught.value)
    await administrator.execute(str(caught.value).partition("run this command again: ")[2])
    assert await create_dashboard_role(owner_url, READER) == []
    assert "statement_timeout=30s" in await settings(administrator)


async def test_an_ordinary_owner_grants_access_to_a_role_that_exists(url: str, administrator: Any) -> None:
    await administrator.execute(f"create role {READER} login password 'reader'")
    for_administrator = await create_dashboard_role(as_role(url, OWNER, "owner"), READER)
    assert [statement.partition(" set ")[2] for statement in for_administrator] == [
        "default_transaction_read_only = on",
        "statement_timeout = '30s'",
        "idle_in_transaction_session_timeout = '30s'",
    ]
    reader = await connect(as_role(url, READER, "reader"), statement_timeout_s=10)
    assert await reader.fetch("select * from call_log") == []
    await reader.close()
    await administrator.execute(";".join(for_administrator))
    assert await create_dashboard_role(as_role(url, OWNER, "owner"), READER) == []


async def test_a_role_without_the_right_to_grant_gets_one_line(url: str, administrator: Any) -> None:
    await administrator.execute(f"create role {READER} login password 'reader'")
    await administrator.execute(f"alter table call_log owner to current_user; grant select on call_log to {OWNER}")
    with pytest.raises(ConfigurationError, match="run as an administrator: grant select on call_log"):
        await create_dashboard_role(as_role(url, OWNER, "owner"), READER)
    await administrator.execute(f"alter table call_log owner to {OWNER}")


@pytest.mark.parametrize("name", ['x"; drop table call_log; --', "Upper", "", "pg_monitor", "a" * 64])
async def test_a_name_that_needs_quoting_is_refused(database_url: str, name: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be a role"):
        await create_dashboard_role(database_url, name)


async def test_a_role_that_can_write_is_refused(database_url: str) -> None:
    with pytest.raises(ConfigurationError, match="can already write call_log"):
        await create_dashboard_role(database_url, "postgres")
