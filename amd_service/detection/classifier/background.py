"""Runs a model in the background: other threads of the process always go first."""

import os
import sys
import threading

from amd_service.detection.classifier.model import ModelFiles, open_model
from amd_service.settings import Settings


def open_model_in_background(settings: Settings) -> ModelFiles:
    """Give this thread the lowest priority, then open the model. Call this function on the inference thread.

    The threads that the engine starts later inherit the priority. Only Linux has priorities of threads: setpriority(2),
    section "C library/kernel differences".
    """
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
    return open_model(settings)
