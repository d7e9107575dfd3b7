"""What every engine offers, and how the one that serves is opened."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from amd_service.detection.classifier.cores import usable_cores
from amd_service.detection.classifier.engine_check import Gate
from amd_service.detection.classifier.engines import onnx, openvino, torch
from amd_service.detection.classifier.engines.selection import choose, survey
from amd_service.detection.classifier.model import ModelFiles
from amd_service.errors import ModelUnusable
from amd_service.settings import Settings
from amd_service.telemetry import get_logger

log = get_logger(__name__)


class Engine(Protocol):
    """A loaded model. Called from the one thread that loaded it.

    `max_batch`: most clips a call takes; above 1 only where batching pays. Clips of one call have equal length, so
    no padding and no frame mask is needed; an engine whose graph takes a mask passes ones, computed outside the
    graph (n = (n - kernel) // stride + 1 for each convolution of the front).
    """

    @property
    def name(self) -> str: ...
    @property
    def precision(self) -> str: ...
    @property
    def max_batch(self) -> int: ...

    def logits(self, clips: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Raw outputs, shape (clips, 2), by the model's own label index. Clips: float32 (n,), 16 kHz, not normalised.

        May hold NaN when the weights are damaged: the caller checks.
        """
        ...


@dataclass(frozen=True, slots=True)
class ChosenEngine:
    """The engine that serves, why it was taken, and what its gate said; the reference has none to pass."""

    engine: Engine
    reason: str
    gate: Gate | None = None


def load_engine(files: ModelFiles, settings: Settings) -> ChosenEngine:
    """The engine that the settings choose, with the model loaded. Raises ModelUnusable with the cure.

    Where the choice is ours (`auto`) an exported engine that cannot be opened is passed over for the next best.
    """
    machine, unopened = survey(), dict[tuple[str, str], str]()
    while True:
        choice = choose(files, settings, machine, unopened)
        log.info("engine chosen", engine=choice.engine, precision=choice.precision, reason=choice.reason)
        graph = choice.exported.graph if choice.exported else None
        try:
            engine = open_engine(choice.engine, choice.precision, files, settings.threads or usable_cores(), graph)
        except ModelUnusable as error:
            if settings.engine != "auto" or choice.exported is None:
                raise
            log.warning("an exported engine cannot be opened, trying the next best", reason=str(error))
            unopened[choice.engine, choice.precision] = str(error)
        else:
            return ChosenEngine(engine, choice.reason, choice.gate)


def open_engine(engine: str, precision: str, files: ModelFiles, threads: int, graph: Path | None) -> Engine:
    """One engine, whatever its gate says: `graph` is the exported file, for engines that run one."""
    match engine, graph:
        case "onnx", Path():
            return onnx.load(files, threads, graph=graph, precision=precision)
        case "openvino", Path():
            return openvino.load(files, threads, graph=graph, precision=precision)
        case "torch", None:
            return torch.load(files, threads, precision)
    raise ModelUnusable(f"{engine} with {graph or 'no graph'} is no engine")
