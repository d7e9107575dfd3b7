"""Fixtures: the service with and without a database and a model."""

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
    """A ready detector with the bundled model."""
    # Only one thread, because torch's threads busy-wait for each other. Several threads are slow on a busy machine.
    async with Detector.from_settings(make_settings(threads=1), Metrics()) as detector:
        await detector.wait_ready_or_raise()
        yield detector


@pytest.fixture
async def judging(demo: Detector, closed_database: Database) -> AsyncIterator[App]:
    """The service with a ready model and without a database. Verdicts on uploads need no database."""
    opened = open_app(closed_database, demo)
    yield opened
    await opened.client.aclose()


@pytest.fixture
async def closed_database() -> AsyncIterator[Database]:
    """A database that is unavailable."""
    database = Database("postgresql://nobody@127.0.0.1:1/nowhere")
    yield database
    await database.dispose()
