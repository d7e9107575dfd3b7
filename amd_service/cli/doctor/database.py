"""Checks the database connection and schema, and counts the recordings that retention will delete."""

import asyncio
from collections.abc import AsyncIterator

from amd_service.calls import erasure
from amd_service.cli.doctor.check_result import CheckResult, Health
from amd_service.database.condition import Condition, SchemaState
from amd_service.database.connection import leads_to_pooler
from amd_service.database.embedded import check_embedded, psql_command
from amd_service.database.pool import Database
from amd_service.database.url import DATABASE_URL, LISTEN_URL, read_url
from amd_service.errors import AmdError, ConfigurationError, DatabaseMisconfigured, DatabaseUnavailable
from amd_service.settings import Settings


async def check_database(settings: Settings) -> AsyncIterator[CheckResult]:
    """Check the database and its schema. With AMD_DELETE_RECORDINGS, also count the recordings to delete."""
    if settings.database_url is None:
        yield await _check_embedded_database(settings)
        return
    try:
        condition, copies = await _read_state(settings.database_url.get_secret_value(), settings)
    except (ConfigurationError, DatabaseMisconfigured) as error:
        yield CheckResult("database", Health.FAIL, str(error))
        return
    except DatabaseUnavailable as error:
        yield CheckResult("database", Health.FAIL, f"{error}; check AMD_DATABASE_URL and that Postgres runs")
        return
    yield CheckResult("database", Health.OK, _reachable(settings.database_url.get_secret_value()))
    yield _schema(condition)
    listen_url = settings.database_listen_url
    yield await _check_notifications(
        settings.database_url.get_secret_value(), None if listen_url is None else listen_url.get_secret_value()
    )
    if copies is not None:
        yield CheckResult(
            "deleting", Health.OK, f"up to {copies} recordings at Twilio have a verdict and will be deleted"
        )


async def _read_state(url: str, settings: Settings) -> tuple[Condition, int | None]:
    """Return the condition of the database and the number of recordings to delete at Twilio.

    The number is None if AMD_DELETE_RECORDINGS is off or the schema is not current.
    """
    database = Database(url, pool_size=settings.database_pool_size)
    try:
        condition = await database.condition()
        countable = settings.delete_recordings and condition.state is SchemaState.CURRENT
        if not countable:
            return condition, None
        async with database.transaction() as session:
            return condition, await erasure.count_erasable(session)
    finally:
        await database.dispose()


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


async def _check_notifications(url: str, listen_url: str | None) -> CheckResult:
    setting = DATABASE_URL if listen_url is None else LISTEN_URL
    try:
        is_pooled = await leads_to_pooler(url if listen_url is None else listen_url, setting)
    except AmdError as error:
        return CheckResult("notifications", Health.FAIL, str(error))
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
