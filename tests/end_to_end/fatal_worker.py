"""A worker whose model fails during its first recording: the model hangs, or it ends the process.

To run it: `python -m tests.end_to_end.fatal_worker hang|die`. The model is loaded and checked before it fails. When it
fails, it creates the file AMD_MARKER.
"""

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

from amd_service.detection.classifier.engines.torch import TorchEngine
from amd_service.detection.detector import Detector
from amd_service.domain import Verdict
from amd_service.settings import load_settings
from amd_service.web import server


def hang(*_: object) -> NoReturn:
    Path(os.environ["AMD_MARKER"]).touch()
    time.sleep(3600)
    raise AssertionError


def die(*_: object) -> NoReturn:
    Path(os.environ["AMD_MARKER"]).touch()
    os._exit(9)


original_judge = Detector.judge


async def judge_and_fail(detector: Detector, *arguments: Any, **named: Any) -> Verdict:
    TorchEngine.logits = {"hang": hang, "die": die}[sys.argv[1]]  # type: ignore[method-assign, assignment]
    return await original_judge(detector, *arguments, **named)


if __name__ == "__main__":
    Detector.judge = judge_and_fail  # type: ignore[method-assign, assignment]
    asyncio.run(server.work(load_settings()))
