"""Defines the interface of every engine, and opens the configured engine."""

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
from amd_service.detection.classifier.model_windows import WindowLengths
from amd_service.detection.classifier.temporary_errors import temporary_cause
from amd_service.errors import ModelUnusable
from amd_service.settings import Settings
from amd_service.telemetry import get_logger

log = get_logger(__name__)


class Engine(Protocol):
    """A loaded model. Only the thread that loaded the model may call the engine.

    `max_batch`: maximum number of clips per call; above 1 only if batching saves time.

    The clips of one call have equal length, so they need no padding and no frame mask. Some graphs have a mask as
    input. Engines with such a graph pass a mask of ones. The engine computes the length of the mask outside the graph:
    n = (n - kernel) // stride + 1 for each convolution of the front.
    """

    @property
    def name(self) -> str: ...
    @property
    def precision(self) -> str: ...
    @property
    def max_batch(self) -> int: ...

    def logits(self, clips: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Return the model's raw outputs, shape (clips, 2), ordered by the model's label index.

        Clips: float32, shape (n,), 16 kHz, not normalised. The outputs are NaN if the weights are damaged, so the
        caller must check the outputs for NaN.
        """
        ...


@dataclass(frozen=True, slots=True)
class ChosenEngine:
    """The engine in use, the reason why this engine was chosen, and the engine check.

    `check` is None for the reference.
    """

    engine: Engine
    reason: str
    check: EngineCheck | None = None


def load_engine(files: ModelFiles, settings: Settings) -> ChosenEngine:
    """Open the engine that the settings select, and load the model.

    With AMD_ENGINE=auto, an exported engine that cannot be opened is skipped, and the next engine is tried. Raises
    ModelUnusable; the message names the cure.
    """
    hardware, unopened = detect_hardware(), dict[tuple[str, str], str]()
    lengths = WindowLengths.from_settings(settings, files.windows)
    while True:
        choice = choose(files, settings, hardware, unopened)
        log.info("engine chosen", engine=choice.engine, precision=choice.precision, reason=choice.reason)
        graph = choice.exported.graph if choice.exported else None
        threads = settings.threads or usable_cores()
        try:
            engine = open_engine(choice.engine, choice.precision, files, threads, graph, lengths.distinct_ms)
        except ModelUnusable as error:
            # After a temporary error, the same engine is opened again later. Another engine may be slower.
            if settings.engine != "auto" or choice.exported is None or temporary_cause(error):
                raise
            log.warning("exported engine cannot be opened, trying the next one", reason=str(error))
            unopened[choice.engine, choice.precision] = str(error)
        else:
            return ChosenEngine(engine, choice.reason, choice.check)


def open_engine(
    engine: str,
    precision: str,
    files: ModelFiles,
    threads: int,
    graph: Path | None,
    lengths_ms: Sequence[int] = (),
) -> Engine:
    """Open one engine without reading its engine check.

    `graph`: the exported file; None for torch. `lengths_ms`: lengths of the windows, most frequent first. The engine
    may prepare for these lengths, but scores windows of any length.
    """
    match engine, graph:
        case "onnx", Path():
            return onnx.load(files, threads, graph=graph, precision=precision)
        case "openvino", Path():
            return openvino.load(files, threads, graph=graph, precision=precision, lengths_ms=lengths_ms)
        case "torch", None:
            return torch.load(files, threads, precision, lengths_ms=lengths_ms)
    raise ModelUnusable(f"there is no engine {engine} with {graph or 'no graph'}: correct AMD_ENGINE")
