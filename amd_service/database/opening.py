"""Opens the configured database, or an embedded Postgres."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from amd_service.database.condition import SchemaState
from amd_service.database.dashboard_role import create_dashboard_role
from amd_service.database.embedded import embedded_postgres, psql_command
from amd_service.database.pool import Database
from amd_service.database.schema import migrate
from amd_service.database.supervision import restarting
from amd_service.errors import ConfigurationError, DatabaseMisconfigured, DatabaseUnavailable
from amd_service.settings import Settings
from amd_service.telemetry import Metrics, get_logger

log = get_logger(__name__)


@asynccontextmanager
async def open_database(
    settings: Settings, metrics: Metrics | None = None, *, with_worker: bool = True
) -> AsyncIterator[Database]:
    """Open the configured database, or an embedded database whose schema is migrated first.

    Without a worker, the role may lack privileges that storing a callback does not need. They are logged.

    Raises ConfigurationError if the database lacks something, e.g. a migration or a privilege, and
    DatabaseMisconfigured if Postgres refuses the service. An unavailable database is no error: webhooks then get a
    503, which Twilio retries, and the worker waits.
    """
    async with _database_url(settings, metrics) as url:
        if settings.database_url is None:
            await migrate(url)
            psql = await asyncio.to_thread(psql_command, settings.data_dir)
            log.info("embedded Postgres running", data_dir=str(settings.data_dir), psql=psql)
        database = build_pool(settings, url, metrics)
        try:
            await _raise_if_unusable(database, with_worker=with_worker)
            yield database
        finally:
            await database.dispose()


def build_pool(settings: Settings, url: str, metrics: Metrics | None = None) -> Database:
    """Build the pool of a process for `url`. Opens no connection."""
    listen_url = settings.database_listen_url
    return Database(
        url,
        listen_url=None if listen_url is None else listen_url.get_secret_value(),
        pool_size=settings.database_pool_size,
        metrics=metrics,
        delivery_urls=settings.delivery_url,
    )


async def migrate_database(settings: Settings, dashboard_role: str | None) -> None:
    """Migrate the configured database to the latest schema. `dashboard_role`: create this role for dashboards too."""
    async with _database_url(settings) as url:
        before, after = await migrate(url)
        if before == after:
            log.info("schema is up to date, nothing changed", revision=after)
        else:
            log.info("schema migrated", from_revision=before, revision=after)
        if dashboard_role is not None:
            refused = await create_dashboard_role(url, dashboard_role)
            if refused:
                sql = "; ".join(refused)
                log.warning("time limits of the dashboard role not set, run as an administrator", sql=sql)
            log.info("dashboard role has access, set its password in psql", psql=f"\\password {dashboard_role}")


@asynccontextmanager
async def throwaway_database() -> AsyncIterator[str]:
    """Start a Postgres with the latest schema; yields its URL. The Postgres is deleted when the context ends."""
    async with embedded_postgres(None) as url:
        await migrate(url)
        yield url


@asynccontextmanager
async def _database_url(settings: Settings, metrics: Metrics | None = None) -> AsyncIterator[str]:
    """Yield the URL of the configured Postgres or of an embedded Postgres, which is restarted if it dies."""
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    async with embedded_postgres(settings.data_dir) as url, restarting(settings.data_dir, metrics):
        yield url


async def _raise_if_unusable(database: Database, *, with_worker: bool) -> None:
    """Raise ConfigurationError or DatabaseMisconfigured if waiting does not help. Log an outage."""
    try:
        condition = await database.condition()
        if fault := condition.start_fault(with_worker=with_worker):
            raise ConfigurationError(f"{fault}, then start again")
        if lacking := condition.privilege_fault(condition.lacking):
            log.error("privilege missing", cure=lacking)
        if condition.standby:
            log.error("Postgres is a read-only standby, waiting until it is the primary")
        if condition.state is SchemaState.NEWER:
            log.warning("database schema newer than this version, upgrade amd-service")
        await database.check_listen_url()
    except DatabaseMisconfigured:
        raise
    except DatabaseUnavailable as error:
        log.error("database unavailable at the start", error=str(error))
