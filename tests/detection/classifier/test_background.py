"""A model in the background runs on threads with the lowest priority."""

import os
import sys
import threading

import pytest

from amd_service.detection.classifier.background import open_model_in_background
from amd_service.settings import Settings

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has priorities of threads")


def test_only_the_thread_of_the_model_gets_the_lowest_priority() -> None:
    before, found = os.getpriority(os.PRIO_PROCESS, 0), []

    def load() -> None:
        open_model_in_background(Settings(_env_file=None, model="demo"))
        inherited = threading.Thread(target=lambda: found.append(os.getpriority(os.PRIO_PROCESS, 0)))
        inherited.start()
        inherited.join()
        found.append(os.getpriority(os.PRIO_PROCESS, 0))

    thread = threading.Thread(target=load)
    thread.start()
    thread.join()
    assert found == [19, 19]
    assert os.getpriority(os.PRIO_PROCESS, 0) == before
