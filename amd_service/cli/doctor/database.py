"""Checks the database connection and schema, and counts the recordings that retention will delete."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

from amd_service.calls import erasure, inbox
from amd_service.cli.doctor.check_result import CheckResult, Health
from amd_service.database.condition import Condition, SchemaState
from amd_service.database.connection import leads_to_pooler
from amd_service.database.embedded import check_embedded, psql_command
from amd_service.database.opening import build_pool
from amd_service.database.pool import Database
from amd_service.database.url import DATABASE_URL, LISTEN_URL, read_url
from amd_service.errors import AmdError, ConfigurationError, DatabaseMisconfigured, DatabaseUnavailable
from amd_service.settings import Settings

# A callback that waits for longer is a sign of trouble. It usually waits for some milliseconds.
_INBOX_S = 60


async def check_database(settings: Settings) -> AsyncIterator[CheckResult]:
    """Check the database and its schema. With AMD_DELETE_RECORDINGS, also count the recordings to delete."""
    if settings.database_url is None:
        yield await _check_embedded_database(settings)
        return
    url, check = settings.database_url.get_secret_value(), "database"
    async with AsyncExitStack() as stack:
        try:
            database = build_pool(settings, url)
            stack.push_async_callback(database.dispose)
            condition = await database.condition()
            yield CheckResult(check, Health.OK, _reachable(url))
            check = "schema"
            yield _schema(condition)
            if condition.state is SchemaState.CURRENT:
                check = "inbox"
                yield await _check_inbox(database)
            check = "notifications"
            await database.check_listen_url()
            listen_url = settings.database_listen_url
            yield await _check_notifications(url, None if listen_url is None else listen_url.get_secret_value())
            if settings.delete_recordings and condition.state is SchemaState.CURRENT:
                check = "deleting"
                async with database.transaction() as session:
                    copies = await erasure.count_erasable(session)
                text = f"up to {copies} recordings at Twilio have a verdict and will be deleted"
                yield CheckResult(check, Health.OK, text)
        except (ConfigurationError, DatabaseMisconfigured) as error:
            yield CheckResult(check, Health.FAIL, str(error))
        except DatabaseUnavailable as error:
            yield CheckResult(check, Health.FAIL, f"{error}; check the URL and that Postgres runs")


def _reachable(url: str) -> str:
    ignored = read_url(url).ignored
    return (
        f"reachable; these parameters of AMD_DATABASE_URL have no effect: {', '.join(ignored)}"
        if ignored
        else "reachable"
    )


def _schema(condition: Condition) -> CheckResult:
    # If the schema is missing, `migrate` is the next command, so report first what would stop `migrate`.
    if fault := condition.migration_fault() or condition.start_fault():
        return CheckResult("schema", Health.FAIL, fault)
    if condition.state is SchemaState.NEWER:
        return CheckResult("schema", Health.WARN, "newer than this version of amd-service; upgrade amd-service")
    return CheckResult("schema", Health.OK, "current, and the role has all privileges")


async def _check_inbox(database: Database) -> CheckResult:
    async with database.transaction() as session:
        depth = await inbox.depth(session)
    if depth.oldest_s <= _INBOX_S and not depth.by_state["failed"]:
        return CheckResult("inbox", Health.OK, "no callback waits for its call to be updated")
    text = (
        f"{sum(depth.by_state.values())} callbacks wait, the oldest for {depth.oldest_s:.0f} s, "
        f"{depth.by_state['failed']} after an error: check that `serve` or `worker` runs, and read the column error of "
        "the table inbox"
    )
    return CheckResult("inbox", Health.WARN, text)


async def _check_notifications(url: str, listen_url: str | None) -> CheckResult:
    setting = DATABASE_URL if listen_url is None else LISTEN_URL
    is_pooled = await leads_to_pooler(url if listen_url is None else listen_url, setting)
    if not is_pooled:
        return CheckResult("notifications", Health.OK, f"{setting} leads to Postgres itself")
    cure = (
        "workers find new recordings by polling (AMD_POLL_S); set AMD_DATABASE_LISTEN_URL to a direct connection"
        if listen_url is None
        else "notifications arrive only if the pooler has session pooling (pool_mode=session)"
    )
    return CheckResult("notifications", Health.WARN, f"{setting} leads to a connection pooler: {cure}")


async def _check_embedded_database(settings: Settings) -> CheckResult:
    try:
        binaries = await asyncio.to_thread(check_embedded, settings.data_dir)
        psql = await asyncio.to_thread(psql_command, settings.data_dir)
    except AmdError as error:
        return CheckResult("database", Health.FAIL, str(error))
    text = f"embedded Postgres in {settings.data_dir}, binaries in {binaries}; for production set AMD_DATABASE_URL"
    hint = f"while the service runs, open it with: {psql}" if psql else "the log of `serve` contains the psql command"
    return CheckResult("database", Health.OK, f"{text}; {hint}")
