"""The service over a real Postgres. Its model is not started."""

from collections.abc import AsyncIterator

import pytest

from amd_service.database.pool import Database
from amd_service.detection.detector import Detector
from amd_service.telemetry import Metrics
from tests.support.app import App, make_settings, open_app


@pytest.fixture
async def service(database: Database) -> AsyncIterator[App]:
    opened = open_app(database)
    yield opened
    await opened.client.aclose()


@pytest.fixture(scope="module")
async def demo() -> AsyncIterator[Detector]:
    """A detector with the bundled model, ready."""
    # One thread: torch's threads busy-wait for each other, which is slow on a busy machine.
    async with Detector.from_settings(make_settings(threads=1), Metrics()) as detector:
        await detector.wait_ready_or_raise()
        yield detector


@pytest.fixture
async def judging(demo: Detector, closed_database: Database) -> AsyncIterator[App]:
    """The service with a ready model and without a database, which verdicts on uploads do not need."""
    opened = open_app(closed_database, demo)
    yield opened
    await opened.client.aclose()


@pytest.fixture
async def closed_database() -> AsyncIterator[Database]:
    """A database that cannot be reached."""
    database = Database("postgresql://nobody@127.0.0.1:1/nowhere")
    yield database
    await database.dispose()
