"""Migrations and models give the same schema, and upgrades and downgrades work."""

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from asyncpg import UniqueViolationError
from sqlalchemy import Connection, text

from amd_service.calls.tables import Base
from amd_service.database.condition import ConditionWatch, SchemaState
from amd_service.database.connection import connect, open_admin_engine
from amd_service.database.pool import Database
from amd_service.database.revisions import alembic_config, migrations_dir
from amd_service.database.schema import migrate
from amd_service.errors import ConfigurationError, DatabaseUnavailable
from tests.support.waiting import until
from tools.call_log_page import document

pytestmark = pytest.mark.anyio

# Reads the description of all tables: columns, comments, constraints and indexes.
CATALOGUE = """
    select 'column', table_name || '.' || column_name, concat_ws(' ', data_type, is_nullable, column_default,
           is_identity, col_description(table_name::regclass, ordinal_position))
      from information_schema.columns where table_schema = 'public'
    union all select 'table', relname, obj_description(oid) from pg_class
     where relkind in ('r', 'v') and relnamespace = 'public'::regnamespace
    union all select 'constraint', conname, pg_get_constraintdef(oid) from pg_constraint
     where connamespace = 'public'::regnamespace
    union all select 'index', indexname, indexdef from pg_indexes where schemaname = 'public'
"""


DOCS = Path(__file__).parents[2] / "docs"


async def catalogue(url: str) -> set[tuple[str, str, str]]:
    async with open_admin_engine(url) as engine, engine.begin() as connection:
        rows = await connection.execute(text(CATALOGUE))
        return {
            (kind, name, definition) for kind, name, definition in rows if not str(name).startswith("alembic_version")
        }


async def downgrade(url: str) -> None:
    async with open_admin_engine(url) as engine, engine.begin() as connection:
        await connection.run_sync(lambda sync: command.downgrade(alembic_config(sync), "base"))


def differences(connection: Connection) -> list[object]:
    options = {"compare_type": True, "compare_server_default": True}
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata))


async def test_alembic_finds_nothing_to_generate(database: Database) -> None:
    async with database.transaction() as session:
        assert await (await session.connection()).run_sync(differences) == []


async def test_migrations_and_models_build_the_same_schema(bare_url: str, database_url: str) -> None:
    async with open_admin_engine(bare_url) as engine, engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    assert await catalogue(bare_url) == await catalogue(database_url)


async def test_upgrade_downgrade_and_upgrade_again(bare_url: str) -> None:
    await migrate(bare_url)
    upgraded = await catalogue(bare_url)
    await downgrade(bare_url)
    assert await catalogue(bare_url) == set()
    connection = await connect(bare_url, statement_timeout_s=5)
    functions = await connection.fetchval("select count(*) from pg_proc where pronamespace = 'public'::regnamespace")
    await connection.close()
    assert functions == 0
    await migrate(bare_url)
    assert await catalogue(bare_url) == upgraded


POPULATED = """
    insert into call_log (call_sid, account_sid, analysis_state, label, confidence, reason, verdict_at, verdict_source)
    values ('CA1', 'AC1', 'judged', 'human', 0.9, 'confident', now(), 'stream'),
           ('CA2', 'AC1', 'waiting', null, null, null, null, null);
    insert into recording (recording_sid, call_sid, account_sid, state, source)
    values ('MZ1', 'CA1', 'AC1', 'done', 'MediaStream'), ('RE1', 'CA2', 'AC1', 'queued', 'OutboundAPI');
    insert into verdict (recording_sid, attempt, run_number, decided, label, reason, channels_mixed, policy,
                         policy_version, audio_sha256, source)
    values ('MZ1', 1, 0, true, 'undecided', 'no_speech', false, '{}', '', '', 'stream');
    insert into callback (sha256, route, call_sid, account_sid, parameters, facts)
    values ('1', 'status', 'CA1', 'AC1', null, '{}'), ('2', 'amd', 'CA1', 'AC1', '[]', '{}'),
           ('3', 'recording', null, 'AC1', '[]', '{}'), ('4', 'rest', 'CA2', 'AC1', '[]', '{}');
"""


@pytest.mark.slow
async def test_a_downgrade_keeps_the_rows_that_the_older_version_can_read(bare_url: str) -> None:
    await migrate(bare_url)
    connection = await connect(bare_url, statement_timeout_s=5)
    await connection.execute(POPULATED)
    async with open_admin_engine(bare_url) as engine, engine.begin() as migrating:
        await migrating.run_sync(lambda sync: command.downgrade(alembic_config(sync), "0001"))
    assert await connection.fetch("select route, parameters from callback order by id") == [
        ("status", "[]"),
        ("rest", "[]"),
    ]
    assert [row[0] for row in await connection.fetch("select recording_sid from recording")] == ["RE1"]
    await migrate(bare_url)
    assert await connection.fetch("select call_sid, verdict_source from call_log order by call_sid") == [
        ("CA1", None),
        ("CA2", None),
    ]
    # The account's first sweep is dated back, so that callbacks that were lost during the migration are reconciled.
    assert await connection.fetchval(
        "select created_at < now() - interval '50 min' from sweep where account_sid = 'AC1'"
    )
    await connection.close()


@pytest.mark.slow
async def test_a_process_of_the_older_version_can_write_verdicts_after_the_migration(bare_url: str) -> None:
    await migrate(bare_url)
    connection = await connect(bare_url, statement_timeout_s=5)
    await connection.execute(POPULATED)
    await connection.execute(
        "update call_log set analysis_state = 'judged', label = 'human', confidence = 0.9, reason = 'confident',"
        " verdict_at = now() where call_sid = 'CA2'"
    )
    await connection.close()


JUDGED = """
    insert into call_log (call_sid, account_sid, analysis_state, label, confidence, reason, verdict_at)
    values ('CA1', 'AC1', 'judged', 'undecided', null, 'no_speech', '2026-11-01 10:00:00.123456Z'),
           ('CA2', 'AC1', 'judged', 'undecided', null, 'no_speech', '2026-11-01 11:00:00Z'),
           ('CA3', 'AC1', 'waiting', null, null, null, null);
    insert into recording (recording_sid, call_sid, account_sid, state, source)
    values ('RE1', 'CA1', 'AC1', 'done', 'OutboundAPI'), ('MZ1', 'CA1', 'AC1', 'done', 'MediaStream'),
           ('RE2', 'CA2', 'AC1', 'done', 'OutboundAPI'), ('RE3', 'CA3', 'AC1', 'queued', 'OutboundAPI');
    insert into verdict (recording_sid, attempt, run_number, decided, label, reason, channels_mixed, policy,
                         policy_version, audio_sha256, created_at)
    select sid, 1, 0, true, 'undecided', 'no_speech', false, '{}', '', '', at::timestamptz
      from (values ('RE1', '2026-11-01 10:00:09Z'), ('MZ1', '2026-11-01 10:00:00.123456Z'),
                   ('RE2', '2026-11-02 11:00:00Z')) judged (sid, at);
"""


async def test_a_migration_fills_in_the_recording_of_each_verdict_that_is_still_stored(bare_url: str) -> None:
    await migrate(bare_url, "0003")
    connection = await connect(bare_url, statement_timeout_s=5)
    await connection.execute(JUDGED)
    await migrate(bare_url)
    rows = await connection.fetch("select call_sid, recording_sid from call_log order by call_sid")
    await connection.close()
    assert [tuple(row) for row in rows] == [("CA1", "MZ1"), ("CA2", None), ("CA3", None)]


def statements(preparation: str) -> list[str]:
    return (DOCS / preparation).read_text(encoding="utf-8").split("\n\n")[1:]


INDEXES = """
    select indexrelid from pg_index where indrelid = any (array['call_log', 'recording']::regclass[])
"""


@pytest.mark.slow
async def test_the_script_for_migration_0004_leaves_nothing_to_do_for_the_migration(bare_url: str) -> None:
    await migrate(bare_url, "0003")
    connection = await connect(bare_url, statement_timeout_s=5)
    await connection.execute(JUDGED)
    for statement in statements("prepare-0004.sql"):
        await connection.execute(statement)
    filled = await connection.fetch("select call_sid from call_log where recording_sid is not null")
    assert [row[0] for row in filled] == ["CA1"]
    prepared = {row[0] for row in await connection.fetch(INDEXES)}
    await migrate(bare_url, "0004")
    assert {row[0] for row in await connection.fetch(INDEXES)} < prepared
    await connection.close()


@pytest.mark.slow
async def test_the_script_for_migration_0005_leaves_nothing_to_do_for_the_migration(
    bare_url: str, database_url: str
) -> None:
    await migrate(bare_url, "0004")
    connection = await connect(bare_url, statement_timeout_s=5)
    for statement in statements("prepare-0005.sql"):
        await connection.execute(statement)
    prepared = {row[0] for row in await connection.fetch(INDEXES)}
    await migrate(bare_url)
    assert {row[0] for row in await connection.fetch(INDEXES)} == prepared
    await connection.close()
    assert await catalogue(bare_url) == await catalogue(database_url)


async def test_a_migration_fails_if_a_table_is_in_use_instead_of_blocking_all_later_queries(bare_url: str) -> None:
    await migrate(bare_url, "0001")
    connection = await connect(bare_url, statement_timeout_s=5)
    async with connection.transaction():
        await connection.execute("select from call_log")
        with pytest.raises(DatabaseUnavailable, match="nothing was changed"):
            await migrate(bare_url, lock_timeout_s=0.05)
    await migrate(bare_url)
    await connection.close()


@pytest.mark.slow
async def test_an_invalid_index_of_an_interrupted_preparation_is_replaced(bare_url: str) -> None:
    await migrate(bare_url, "0003")
    connection = await connect(bare_url, statement_timeout_s=5)
    await connection.execute(f"{JUDGED}; update call_log set answered_at = now()")
    with pytest.raises(UniqueViolationError):
        await connection.execute("create unique index concurrently ix_call_log_answered_at on call_log (answered_at)")
    await migrate(bare_url)
    assert await connection.fetchval("select count(*) from pg_index where not indisvalid") == 0
    await connection.close()
    assert ("index", "ix_call_log_answered_at") in {(kind, name) for kind, name, _ in await catalogue(bare_url)}


async def test_a_time_limit_of_the_database_does_not_end_a_migration(bare_url: str) -> None:
    holder = await connect(bare_url, statement_timeout_s=5)
    await holder.execute(f"alter database \"{urlsplit(bare_url).path[1:]}\" set statement_timeout = '100ms'")
    waited = (
        "select clock_timestamp() - query_start > interval '0.3 s' from pg_stat_activity"
        " where wait_event = 'advisory' and datname = current_database()"
    )
    await holder.execute("select pg_advisory_lock(7312840)")
    migrating = asyncio.create_task(migrate(bare_url))

    async def has_waited_or_ended() -> bool:
        return migrating.done() or bool(await holder.fetchval(waited))

    await until(has_waited_or_ended)
    await holder.execute("select pg_advisory_unlock_all()")
    await migrating
    await holder.close()


async def test_several_processes_can_migrate_at_the_same_time(bare_url: str) -> None:
    await asyncio.gather(*(migrate(bare_url) for _ in range(3)))
    database = Database(bare_url)
    assert (await database.condition()).state is SchemaState.CURRENT
    await database.dispose()


async def test_every_constraint_and_index_has_a_name_by_our_convention(database_url: str) -> None:
    names = {name for kind, name, _ in await catalogue(database_url) if kind in ("constraint", "index")}
    assert names
    assert {name for name in names if name.split("_")[0] not in ("ck", "fk", "ix", "pk", "uq")} == set()


async def test_the_schema_state_follows_the_migrations(bare_url: str) -> None:
    database = Database(bare_url)
    watch = ConditionWatch(database.transaction, max_age_s=0.0)
    assert (await watch.condition()).state is SchemaState.MISSING
    await migrate(bare_url)
    assert (await watch.condition()).state is SchemaState.CURRENT
    async with database.transaction() as session:
        await session.execute(text("update alembic_version set version_num = 'from_the_future'"))
    assert (await watch.condition()).state is SchemaState.NEWER
    with pytest.raises(ConfigurationError, match="newer"):
        await migrate(bare_url)
    await database.dispose()


async def test_a_schema_of_an_earlier_migration_is_behind(bare_url: str) -> None:
    database = Database(bare_url)
    await migrate(bare_url, "0001")
    assert (await database.condition()).state is SchemaState.BEHIND
    await database.dispose()


def test_the_migrations_are_found_in_a_checkout_and_in_a_wheel(tmp_path: Path) -> None:
    assert (migrations_dir() / "versions").is_dir()
    inside = tmp_path / "amd_service" / "_migrations"
    inside.mkdir(parents=True)
    (inside / "env.py").touch()
    assert migrations_dir(tmp_path / "amd_service") == inside


def test_every_table_and_column_has_a_comment() -> None:
    for table in Base.metadata.tables.values():
        assert table.comment
        assert [column.name for column in table.columns if not column.comment] == []


def test_the_page_about_the_tables_is_current() -> None:
    written = (Path(__file__).parents[2] / "docs" / "call_log.md").read_text(encoding="utf-8")
    assert written == document(), "run `python -m tools.call_log_page > docs/call_log.md`"
