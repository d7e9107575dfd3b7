"""A real worker whose model, loaded and proven, does something fatal in the middle of its first recording.

`python -m tests.end_to_end.fatal_worker hang|die`; makes the file AMD_MARKER when it is in there.
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


judge = Detector.judge


async def judge_fatally(detector: Detector, *arguments: Any, **named: Any) -> Verdict:
    TorchEngine.logits = {"hang": hang, "die": die}[sys.argv[1]]  # type: ignore[method-assign, assignment]
    return await judge(detector, *arguments, **named)


if __name__ == "__main__":
    Detector.judge = judge_fatally  # type: ignore[method-assign, assignment]
    asyncio.run(server.work(load_settings()))
