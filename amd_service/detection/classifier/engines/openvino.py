"""Runs exported graphs with OpenVINO on the CPU, in fp32, bf16 or int8.

For bf16, OpenVINO gets a precision hint. In int8, weights and activations are quantised ahead of time. The graph takes
windows of any length. For the lengths that the service scores, copies with a fixed shape are faster.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amd_service.detection.classifier.exported_engine import has_bf16
from amd_service.detection.classifier.features import normalise
from amd_service.detection.classifier.frames import ConvolutionalFront
from amd_service.detection.classifier.model import RATE_HZ, ModelFiles
from amd_service.errors import ModelUnusable

_BLOBS = "blobs"
# Graphs with a fixed shape are compiled as long as their weights, as stored in the file, fit into these bytes.
# OpenVINO shares no weights between compiled graphs. For XLS-R 300M, a second graph needs 0.4 GB more in int8 and
# 1.3 GB more in fp32. In fp32 it saves only a few percent of the time, so the limit excludes it.
FIXED_SHAPES_BYTES = 500_000_000


class OpenVinoEngine:
    """A compiled graph for windows of any length, and compiled graphs for single windows of a fixed length.

    `fixed`: compiled graphs by the number of samples.
    """

    name = "openvino"
    max_batch = 1  # a batch takes as long as a separate call for each clip

    def __init__(self, compiled: Any, fixed: Mapping[int, Any], files: ModelFiles, precision: str) -> None:
        self.precision = precision
        self._request = compiled.create_infer_request()
        self._fixed = {(1, samples): graph.create_infer_request() for samples, graph in fixed.items()}
        self._normalise = files.normalise
        self._front = ConvolutionalFront.of_model(files.folder)

    def logits(self, clips: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        batch = np.stack([normalise(clip) if self._normalise else clip for clip in clips])
        mask = self._front.mask([len(clip) for clip in clips])
        request = self._fixed.get(batch.shape, self._request)
        # Copy the output, because the next call overwrites the request's memory.
        return np.array(request.infer({"samples": batch, "frame_mask": mask})[0], dtype=np.float32)


def load(
    files: ModelFiles, threads: int, *, graph: Path, precision: str, lengths_ms: Sequence[int] = ()
) -> OpenVinoEngine:
    """Compile an exported graph. Raises ModelUnusable if OpenVINO is missing or cannot compile the graph.

    OpenVINO caches compiled graphs in a folder beside the graph, so that the next start is much faster.
    `lengths_ms`: lengths of windows, most frequent first. For each length, a graph with a fixed shape is compiled too,
    within the limit of FIXED_SHAPES_BYTES.
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
    front = ConvolutionalFront.of_model(files.folder)
    try:
        core = openvino.Core()
        compiled = core.compile_model(str(graph), "CPU", configuration)
        fixed = {}
        affordable = FIXED_SHAPES_BYTES // max(1, graph.with_suffix(".bin").stat().st_size)
        for samples in [RATE_HZ * length_ms // 1000 for length_ms in lengths_ms[:affordable]]:
            model = core.read_model(str(graph))
            model.reshape({"samples": [1, samples], "frame_mask": [1, front.frames(samples)]})
            fixed[samples] = core.compile_model(model, "CPU", configuration)
    except RuntimeError as error:
        raise ModelUnusable(
            f"{graph} cannot be opened: {' '.join(str(error).split())[:300]}. Export it again: "
            f"`amd-service model export --engine openvino --precision {precision} --again`"
        ) from error
    return OpenVinoEngine(compiled, fixed, files, precision)


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
