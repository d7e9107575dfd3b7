"""Runs a model on threads that let other threads go first."""

import os
import sys
import threading

from amd_service.detection.classifier.model import ModelFiles, open_model
from amd_service.detection.classifier.scorer import OpenFiles
from amd_service.settings import Settings

# Niceness, as for nice(1). Behind requests: while the model computes on every core, callbacks and health checks get
# nine tenths of a core if they need it. Background: for results that nobody waits for.
BEHIND_REQUESTS = 10
BACKGROUND = 19


def open_model_with(niceness: int) -> OpenFiles:
    """Return a function that gives its thread this niceness, and then opens the model.

    Call the function on the inference thread: the threads that the engine starts later inherit the niceness. Only Linux
    has a niceness of threads: setpriority(2), section "C library/kernel differences".
    """

    def open_files(settings: Settings) -> ModelFiles:
        if sys.platform == "linux":
            thread = threading.get_native_id()
            # Only root may lower the niceness of a process that was started with a higher one.
            os.setpriority(os.PRIO_PROCESS, thread, max(niceness, os.getpriority(os.PRIO_PROCESS, thread)))
        return open_model(settings)

    return open_files
