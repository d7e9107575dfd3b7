"""Runs exported graphs with ONNX Runtime on the CPU, in fp32 or int8.

In int8, weights are quantised per channel, and activations are quantised at run time.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amd_service.detection.classifier.features import normalise
from amd_service.detection.classifier.frames import ConvolutionalFront
from amd_service.detection.classifier.model import ModelFiles
from amd_service.errors import ModelUnusable


class OnnxEngine:
    """An exported graph in an ONNX Runtime session."""

    name = "onnx"
    max_batch = 1  # a batch takes as long as a separate call for each clip

    def __init__(self, session: Any, files: ModelFiles, precision: str) -> None:
        self.precision = precision
        self._session = session
        self._normalise = files.normalise
        self._front = ConvolutionalFront.of_model(files.folder)

    def logits(self, clips: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        batch = np.stack([normalise(clip) if self._normalise else clip for clip in clips])
        mask = self._front.mask([len(clip) for clip in clips])
        [output] = self._session.run(["logits"], {"samples": batch, "frame_mask": mask})
        return np.asarray(output, dtype=np.float32)


def load(files: ModelFiles, threads: int, *, graph: Path, precision: str) -> OnnxEngine:
    """Open an exported graph. Raises ModelUnusable if ONNX Runtime is missing or cannot open the graph."""
    try:
        import onnxruntime
    except ImportError as error:
        raise ModelUnusable(
            f"onnx needs onnxruntime ({error}): run pip install 'amd-service[onnx]', or set AMD_ENGINE=torch"
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions have no common base class
        raise ModelUnusable(
            f"{graph} cannot be opened: {' '.join(str(error).split())[:300]}. Export it again: "
            f"`amd-service model export --engine onnx --precision {precision} --again`"
        ) from error
    return OnnxEngine(session, files, precision)
