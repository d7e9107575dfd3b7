"""Runs exported graphs with OpenVINO on the CPU, in fp32, bf16 or int8.

For bf16, OpenVINO gets a precision hint. In int8, weights and activations are quantised ahead of time.
"""

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
    max_batch = 1  # a batch takes as long as a separate call for each clip

    def __init__(self, compiled: Any, files: ModelFiles, precision: str) -> None:
        self.precision = precision
        self._request = compiled.create_infer_request()
        self._normalise = files.normalise
        self._front = ConvolutionalFront.of_model(files.folder)

    def logits(self, clips: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        batch = np.stack([normalise(clip) if self._normalise else clip for clip in clips])
        mask = self._front.mask([len(clip) for clip in clips])
        # Copy the output, because the next call overwrites the request's memory.
        return np.array(self._request.infer({"samples": batch, "frame_mask": mask})[0], dtype=np.float32)


def load(files: ModelFiles, threads: int, *, graph: Path, precision: str) -> OpenVinoEngine:
    """Compile an exported graph. Raises ModelUnusable if OpenVINO is missing or cannot compile the graph.

    OpenVINO caches the compiled graph in a folder beside the graph, so that the next start is much faster.
    """
    openvino = import_openvino()
    # In an int8 graph, the parts that are not quantised run in bf16 if the CPU supports bf16.
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
    """Import OpenVINO without its telemetry.

    `import openvino` sends data to Intel's analytics server unless a file in the home directory disables telemetry. If
    the package `openvino_telemetry` cannot be imported, OpenVINO uses an empty replacement, which sends nothing. The
    entry None in `sys.modules` makes the import of `openvino_telemetry` fail.
    """
    if "openvino_telemetry" not in sys.modules:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    try:
        import openvino
    except ImportError as error:
        raise ModelUnusable(
            f"openvino is not installed ({error}): run pip install 'amd-service[openvino]', or set AMD_ENGINE=torch"
        ) from error
    return openvino
