"""A real worker whose model, once loaded and proven, does something fatal in the middle of an inference.

`python -m tests.end_to_end.fatal_worker hang|die`; makes the file AMD_MARKER when it is in there.
"""

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import NoReturn

from amd_service.classifier.engines.torch import TorchEngine
from amd_service.runtime import open_runtime
from amd_service.settings import load_settings


def hang(*_: object) -> NoReturn:
    Path(os.environ["AMD_MARKER"]).touch()
    time.sleep(3600)
    raise AssertionError


def die(*_: object) -> NoReturn:
    Path(os.environ["AMD_MARKER"]).touch()
    os._exit(9)


async def main(way: str) -> None:
    async with open_runtime(load_settings(), with_worker=True) as runtime:
        runtime.stop_claiming()  # this worker is replaced by one that starts when the model is spoilt
        await runtime.detector.wait_ready()
        TorchEngine.logits = {"hang": hang, "die": die}[way]  # type: ignore[method-assign, assignment]
        worker = runtime.worker
        assert worker is not None
        worker._stopping = False
        await worker.run(grace_s=1)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
