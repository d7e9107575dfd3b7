"""The model of a service disturbs callbacks and health checks as little as possible."""

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from amd_service.detection.classifier.thread_priority import BACKGROUND, BEHIND_REQUESTS
from amd_service.detection.detector import Detector
from amd_service.settings import Settings
from amd_service.telemetry import Metrics

pytestmark = pytest.mark.anyio

SETTINGS = Settings(_env_file=None, model="demo")


@pytest.fixture
def unfrozen() -> Iterator[None]:
    """Undo what earlier tests have excluded from the garbage collector, and afterwards what this test has."""
    gc.unfreeze()
    yield
    gc.unfreeze()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has priorities of threads")
@pytest.mark.parametrize(
    ("options", "added"),
    [({}, BEHIND_REQUESTS), ({"background": True, "is_service": False}, BACKGROUND), ({"is_service": False}, None)],
)
async def test_only_the_threads_of_the_model_let_others_go_first(options: dict[str, bool], added: int | None) -> None:
    own = os.getpriority(os.PRIO_PROCESS, 0)
    before = threads()
    async with Detector.from_settings(SETTINGS, Metrics(), **options) as detector:
        await detector.wait_ready_or_raise()
        new = {niceness for thread, niceness in threads().items() if thread not in before}
    assert os.getpriority(os.PRIO_PROCESS, 0) == own
    assert (max(own, added) in new) if added is not None else (new <= {own})


def threads() -> dict[str, int]:
    """Niceness of the threads of this process, by id."""
    found = {}
    for thread in Path("/proc/self/task").iterdir():
        try:
            found[thread.name] = os.getpriority(os.PRIO_PROCESS, int(thread.name))
        except ProcessLookupError:  # it has just ended
            continue
    return found


@pytest.mark.usefixtures("unfrozen")
async def test_the_garbage_collector_does_not_visit_a_loaded_model() -> None:
    async with Detector.from_settings(SETTINGS, Metrics()) as detector:
        await detector.wait_ready_or_raise()
        visited = {type(each).__name__ for each in gc.get_objects()}
    assert "Wav2Vec2Encoder" not in visited
    assert gc.isenabled()
