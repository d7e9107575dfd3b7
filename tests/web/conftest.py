"""The service over a real Postgres, its model not started: what these tests are about is the doors."""

from collections.abc import AsyncIterator

import pytest

from amd_service.database.pool import Database
from amd_service.detection.detector import Detector
from amd_service.telemetry import Metrics
from tests.support.app import App, make_settings, open_app


@pytest.fixture
async def doors(database: Database) -> AsyncIterator[App]:
    opened = open_app(database)
    yield opened
    await opened.client.aclose()


@pytest.fixture(scope="module")
async def demo() -> AsyncIterator[Detector]:
    """The model that ships, ready to judge."""
    # One thread: torch's own wait for each other, busily, on a machine that has other things to do.
    async with Detector.from_settings(make_settings(threads=1), Metrics()) as detector:
        await detector.wait_ready_or_raise()
        yield detector


@pytest.fixture
async def judging(demo: Detector, closed_database: Database) -> AsyncIterator[App]:
    """The doors with a ready model; no database, which verdicts on uploads do not need."""
    opened = open_app(closed_database, demo)
    yield opened
    await opened.client.aclose()


@pytest.fixture
async def closed_database() -> AsyncIterator[Database]:
    """A database that nobody serves."""
    database = Database("postgresql://nobody@127.0.0.1:1/nowhere")
    yield database
    await database.dispose()
