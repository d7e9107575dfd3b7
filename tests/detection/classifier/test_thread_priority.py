"""A model runs on threads that let other threads go first."""

import os
import sys
import threading

import pytest

from amd_service.detection.classifier.thread_priority import BACKGROUND, BEHIND_REQUESTS, open_model_with
from amd_service.settings import Settings

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has priorities of threads")

SETTINGS = Settings(_env_file=None, model="demo")


@pytest.mark.parametrize("niceness", [BEHIND_REQUESTS, BACKGROUND])
def test_only_the_threads_of_the_model_get_its_niceness(niceness: int) -> None:
    before, found = os.getpriority(os.PRIO_PROCESS, 0), []

    def load() -> None:
        open_model_with(niceness)(SETTINGS)
        inherited = threading.Thread(target=lambda: found.append(os.getpriority(os.PRIO_PROCESS, 0)))
        inherited.start()
        inherited.join()
        found.append(os.getpriority(os.PRIO_PROCESS, 0))

    thread = threading.Thread(target=load)
    thread.start()
    thread.join()
    assert found == [max(niceness, before)] * 2
    assert os.getpriority(os.PRIO_PROCESS, 0) == before


def test_a_model_is_opened_although_its_priority_cannot_be_set(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A system call filter may refuse the call."""

    def refuse(*_: int) -> None:
        raise PermissionError("Operation not permitted")

    monkeypatch.setattr(os, "setpriority", refuse)
    assert open_model_with(BEHIND_REQUESTS)(SETTINGS).folder.is_dir()
    assert "niceness of the model's threads not set" in capfd.readouterr().out


def test_a_thread_that_is_nicer_already_stays_so() -> None:
    found = []

    def load() -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), BACKGROUND)
        open_model_with(BEHIND_REQUESTS)(SETTINGS)
        found.append(os.getpriority(os.PRIO_PROCESS, 0))

    thread = threading.Thread(target=load)
    thread.start()
    thread.join()
    assert found == [BACKGROUND]
