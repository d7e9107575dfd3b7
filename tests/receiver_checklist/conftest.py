"""Fixtures: a running service for each test of the checklist."""

from collections.abc import AsyncIterator

import pytest

from amd_service.database.pool import Database
from amd_service.detection.detector import Detector
from tests.support.detectors import ready
from tests.support.models import StubEngine
from tests.support.receiver import Receiver, receiving


@pytest.fixture(scope="module")
async def detector() -> AsyncIterator[Detector]:
    """A ready detector whose engine classifies every voice as human."""
    async with ready(StubEngine()) as detector:
        yield detector


@pytest.fixture
async def receiver(database: Database, detector: Detector) -> AsyncIterator[Receiver]:
    async with receiving(database, detector) as running:
        yield running
