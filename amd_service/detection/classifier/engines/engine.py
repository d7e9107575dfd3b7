"""The interface of every engine, and opening the configured one."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from amd_service.detection.classifier.cores import usable_cores
from amd_service.detection.classifier.engine_check import EngineCheck
from amd_service.detection.classifier.engines import onnx, openvino, torch
from amd_service.detection.classifier.engines.selection import choose, detect_hardware
from amd_service.detection.classifier.model import ModelFiles
from amd_service.errors import ModelUnusable
from amd_service.settings import Settings
from amd_service.telemetry import get_logger

log = get_logger(__name__)


class Engine(Protocol):
    """A loaded model. Called only from the thread that loaded it.

    `max_batch`: largest number of clips per call; above 1 only where batching pays. The clips of one call have equal
    length, so no padding and no frame mask is needed; an engine whose graph takes a mask passes ones, computed outside
    the graph (n = (n - kernel) // stride + 1 for each convolution of the front).
    """

    @property
    def name(self) -> str: ...
    @property
    def precision(self) -> str: ...
    @property
    def max_batch(self) -> int: ...

    def logits(self, clips: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Raw outputs, shape (clips, 2), by the model's own label index. Clips: float32 (n,), 16 kHz, not normalised.

        Can contain NaN when the weights are damaged: the caller checks.
        """
        ...


@dataclass(frozen=True, slots=True)
class ChosenEngine:
    """The engine in use, the reason for the choice, and its engine check; None for the reference."""

    engine: Engine
    reason: str
    check: EngineCheck | None = None


def load_engine(files: ModelFiles, settings: Settings) -> ChosenEngine:
    """The engine that the settings select, with the model loaded. Raises ModelUnusable with the cure.

    With AMD_ENGINE=auto an exported engine that cannot be opened is skipped and the next one is tried.
    """
    hardware, unopened = detect_hardware(), dict[tuple[str, str], str]()
    while True:
        choice = choose(files, settings, hardware, unopened)
        log.info("engine chosen", engine=choice.engine, precision=choice.precision, reason=choice.reason)
        graph = choice.exported.graph if choice.exported else None
        try:
            engine = open_engine(choice.engine, choice.precision, files, settings.threads or usable_cores(), graph)
        except ModelUnusable as error:
            if settings.engine != "auto" or choice.exported is None:
                raise
            log.warning("exported engine cannot be opened, trying the next one", reason=str(error))
            unopened[choice.engine, choice.precision] = str(error)
        else:
            return ChosenEngine(engine, choice.reason, choice.check)


def open_engine(engine: str, precision: str, files: ModelFiles, threads: int, graph: Path | None) -> Engine:
    """Open one engine without looking at its engine check. `graph`: the exported file, None for torch."""
    match engine, graph:
        case "onnx", Path():
            return onnx.load(files, threads, graph=graph, precision=precision)
        case "openvino", Path():
            return openvino.load(files, threads, graph=graph, precision=precision)
        case "torch", None:
            return torch.load(files, threads, precision)
    raise ModelUnusable(f"there is no engine {engine} with {graph or 'no graph'}: correct AMD_ENGINE")
