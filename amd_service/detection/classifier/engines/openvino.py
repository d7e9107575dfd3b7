"""OpenVINO on the CPU: fp32, bf16 by hint, or int8 with weights and activations quantised ahead of time."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amd_service.detection.classifier.exported_engine import has_bf16
from amd_service.detection.classifier.features import normalise
from amd_service.detection.classifier.frames import ConvolutionalFront
from amd_service.detection.classifier.model import ModelFiles
from amd_service.errors import ModelUnusable

_BLOBS = "blobs"


class OpenVinoEngine:
    """A compiled graph with one inference request."""

    name = "openvino"
    max_batch = 1  # a batch takes as long as its clips one by one

    def __init__(self, compiled: Any, files: ModelFiles, precision: str) -> None:
        self.precision = precision
        self._request = compiled.create_infer_request()
        self._normalise = files.normalise
        self._front = ConvolutionalFront.of_model(files.folder)

    def logits(self, clips: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        batch = np.stack([normalise(clip) if self._normalise else clip for clip in clips])
        mask = self._front.mask([len(clip) for clip in clips])
        # Copied: the next call overwrites the request's memory.
        return np.array(self._request.infer({"samples": batch, "frame_mask": mask})[0], dtype=np.float32)


def load(files: ModelFiles, threads: int, *, graph: Path, precision: str) -> OpenVinoEngine:
    """Compile an exported graph. Raises ModelUnusable if OpenVINO is missing or cannot read it.

    The compiled form is cached beside the graph, so that the next start takes a fraction of the time.
    """
    openvino = import_openvino()
    # The parts of an int8 graph that are not quantised run in bf16 if the CPU has it.
    in_bf16 = precision == "bf16" or (precision == "int8" and has_bf16())
    configuration = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": "1",
        "INFERENCE_NUM_THREADS": str(threads),
        "INFERENCE_PRECISION_HINT": "bf16" if in_bf16 else "f32",
        # With pinning, several processes on one machine would all use the same first cores.
        "ENABLE_CPU_PINNING": "NO",
        "CACHE_DIR": str(graph.parent / _BLOBS),
    }
    try:
        compiled = openvino.Core().compile_model(str(graph), "CPU", configuration)
    except RuntimeError as error:
        raise ModelUnusable(
            f"{graph} cannot be opened: {' '.join(str(error).split())[:300]}. Export it again: "
            f"`amd-service model export --engine openvino --precision {precision} --again`"
        ) from error
    return OpenVinoEngine(compiled, files, precision)


def import_openvino() -> Any:
    """OpenVINO, without its telemetry.

    `import openvino` reports to Intel's analytics server unless a file in the home directory forbids it. If the package
    `openvino_telemetry` cannot be imported, OpenVINO uses an empty replacement of its own. None in `sys.modules` makes
    the import fail.
    """
    if "openvino_telemetry" not in sys.modules:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    try:
        import openvino
    except ImportError as error:
        raise ModelUnusable(
            f"openvino is not installed ({error}): pip install -e '.[openvino]' in the checkout, or AMD_ENGINE=torch"
        ) from error
    return openvino
