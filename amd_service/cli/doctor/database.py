"""The database: whether it answers, its schema, and what is about to be deleted."""

import asyncio
from collections.abc import AsyncIterator

from amd_service.calls import erasure
from amd_service.cli.doctor.finding import Finding, Health
from amd_service.database.embedded import check_embedded
from amd_service.database.pool import Database
from amd_service.database.schema import SchemaState
from amd_service.errors import AmdError, ConfigurationError, DatabaseUnavailable
from amd_service.settings import Settings


async def check_database(settings: Settings) -> AsyncIterator[Finding]:
    """Whether the database serves, and how many copies at Twilio will be deleted."""
    if settings.database_url is None:
        yield await _embedded(settings)
        return
    try:
        state, copies = await _look(settings.database_url.get_secret_value(), settings)
    except DatabaseUnavailable as error:
        yield Finding("database", Health.FAIL, f"{error}; check AMD_DATABASE_URL and that Postgres runs")
        return
    except ConfigurationError as error:
        yield Finding("database", Health.FAIL, str(error))
        return
    yield Finding("database", Health.OK, "reachable")
    yield _schema(state)
    if copies is not None:
        yield Finding("deleting", Health.OK, f"copies at Twilio of up to {copies} recordings, which have their verdict")


async def _look(url: str, settings: Settings) -> tuple[SchemaState, int | None]:
    """The schema's state and, where copies are to be deleted and can be counted, how many."""
    database = Database(url, pool_size=settings.database_pool_size)
    try:
        state = await database.schema_state()
        countable = settings.delete_recordings and state is SchemaState.CURRENT
        return state, await _copies(database) if countable else None
    finally:
        await database.dispose()


async def _copies(database: Database) -> int:
    async with database.transaction() as session:
        return await erasure.count_erasable(session)


def _schema(state: SchemaState) -> Finding:
    match state:
        case SchemaState.CURRENT:
            return Finding("schema", Health.OK, "current")
        case SchemaState.NEWER:
            return Finding("schema", Health.WARN, "newer than this version knows; upgrade amd-service")
        case _:
            return Finding("schema", Health.FAIL, f"{state}: run `amd-service migrate`")


async def _embedded(settings: Settings) -> Finding:
    try:
        binaries = await asyncio.to_thread(check_embedded, settings.data_dir)
    except AmdError as error:
        return Finding("database", Health.FAIL, str(error))
    text = f"embedded, in {settings.data_dir}, with the binaries in {binaries}; for production set AMD_DATABASE_URL"
    return Finding("database", Health.OK, text)
