"""Runs a model on threads that let other threads go first."""

import os
import sys
import threading

from amd_service.detection.classifier.model import ModelFiles, open_model
from amd_service.detection.classifier.scorer import OpenFiles
from amd_service.settings import Settings
from amd_service.telemetry import get_logger

log = get_logger(__name__)

# Niceness, as for nice(1). Behind requests: while the model computes on every core, callbacks and health checks get
# three quarters of a core if they need it. Background: for results that nobody waits for.
BEHIND_REQUESTS = 5
BACKGROUND = 19


def open_model_with(niceness: int) -> OpenFiles:
    """Return a function that gives its thread this niceness, and then opens the model.

    Call the function on the inference thread: the threads that the engine starts later inherit the niceness. Only Linux
    has a niceness of threads: setpriority(2), section "C library/kernel differences".
    """

    def open_files(settings: Settings) -> ModelFiles:
        if sys.platform == "linux":
            _raise_niceness(threading.get_native_id(), niceness)
        return open_model(settings)

    return open_files


def _raise_niceness(thread: int, niceness: int) -> None:
    """Give a thread at least this niceness. Without privileges, a process can only raise it."""
    try:
        os.setpriority(os.PRIO_PROCESS, thread, max(niceness, os.getpriority(os.PRIO_PROCESS, thread)))
    except OSError as error:  # for example the system call filter of a container
        log.warning("niceness of the model's threads not set", error=str(error))
