"""Builds graphs: OpenVINO directly from PyTorch, ONNX with PyTorch's exporter, int8 from a float32 graph."""

import contextlib
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from amd_service.detection.classifier.engines.openvino import import_openvino
from amd_service.detection.classifier.exported_engine import OPSET
from amd_service.detection.classifier.features import normalise
from amd_service.detection.classifier.frames import ConvolutionalFront
from amd_service.detection.classifier.model import RATE_HZ, ModelFiles
from amd_service.errors import ModelUnusable
from amd_service.lab.export.graph import trace_inputs, trace_ready

Samples = NDArray[np.float32]
Inputs = dict[str, NDArray[np.float32]]


def build_openvino(files: ModelFiles, graph: Path) -> None:
    """Write the graph in float32. The bf16 engine runs the same graph with a precision hint."""
    openvino = import_openvino()
    openvino.save_model(_convert(files), str(graph), compress_to_fp16=False)


def build_openvino_int8(files: ModelFiles, graph: Path, calibration: Sequence[Samples]) -> None:
    """Write the graph with int8 weights and activations. The scales come from the calibration windows."""
    openvino = import_openvino()
    nncf = _import_nncf()
    assert calibration, "int8 needs calibration windows"
    front = ConvolutionalFront.of_model(files.folder)
    clips = [normalise(samples) if files.normalise else samples for samples in calibration]
    inputs: list[Inputs] = [{"samples": clip[None], "frame_mask": front.mask([len(clip)])} for clip in clips]
    quantised = nncf.quantize(
        _convert(files),
        nncf.Dataset(inputs),
        # This preset is for transformers: symmetric weights, SmoothQuant before the matrix products.
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(inputs),
        # Quantise only the linear layers. With the convolutions in int8 too, max |Δp| on the XLS-R shape was 0.069
        # instead of 0.024. The positional convolution has few channels per group: in int8 it took 8.6 ms per window
        # instead of 1.4 ms (with AMX).
        ignored_scope=nncf.IgnoredScope(types=["GroupConvolution", "Convolution"], validate=False),
    )
    openvino.save_model(quantised, str(graph), compress_to_fp16=False)


def build_onnx(files: ModelFiles, graph: Path) -> None:
    """Write the graph in float32, with the weights in a separate file, because a protobuf is limited to 2 GB."""
    _require_package("onnxscript", "onnx")
    network = trace_ready(files)
    front = ConvolutionalFront.of_model(files.folder)
    free = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    with torch.no_grad():
        program = torch.onnx.export(
            network,
            trace_inputs(front.frames(2 * RATE_HZ), 2 * RATE_HZ),
            dynamo=True,
            opset_version=OPSET,
            input_names=["samples", "frame_mask"],
            output_names=["logits"],
            dynamic_shapes={"samples": free, "frame_mask": free},
            verbose=False,
        )
    assert program is not None  # the exporter returns None only if it got a path
    program.save(graph, external_data=True)


def build_onnx_int8(files: ModelFiles, graph: Path) -> None:
    """Write the graph with matrix products in int8, from a temporary float32 graph."""
    with tempfile.TemporaryDirectory(dir=graph.parent, prefix="fp32-") as folder:
        whole = Path(folder) / graph.name
        build_onnx(files, whole)
        quantise_onnx(whole, graph)


def quantise_onnx(whole: Path, graph: Path) -> None:
    """Quantise the matrix products of `whole` to int8: weights per channel now, activations at run time."""
    _require_package("onnx", "onnx")
    import onnx  # noqa: PLC0415 - optional package
    from onnxruntime.quantization import QuantType, quantize_dynamic  # noqa: PLC0415

    model = onnx.load(str(whole))
    # The quantiser fails if these shape annotations of the exporter contradict the inferred shapes.
    del model.graph.value_info[:]
    quantize_dynamic(
        model,
        graph,
        per_channel=True,
        weight_type=QuantType.QInt8,
        # Convolutions stay in float: ConvInteger is slower.
        op_types_to_quantize=["MatMul", "Gemm"],
        extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
    )


# Engine and precision of the builders that need calibration windows.
CALIBRATED = frozenset({("openvino", "int8")})


def build(engine: str, precision: str, files: ModelFiles, graph: Path, calibration: Sequence[Samples]) -> None:
    """Write the graph of an engine at a precision to `graph`. `calibration`: windows for `CALIBRATED` builders.

    Raises ModelUnusable for torch, which has no graph.
    """
    match engine, precision:
        case "openvino", "int8":
            build_openvino_int8(files, graph, calibration)
        case "openvino", _:
            build_openvino(files, graph)
        case "onnx", "int8":
            build_onnx_int8(files, graph)
        case "onnx", _:
            build_onnx(files, graph)
        case _:
            raise ModelUnusable(f"{engine} runs the model directly, so there is no graph to export")


@contextlib.contextmanager
def quiet_builders() -> Iterator[None]:
    """Silence the exporters' warnings and logs, and send their output to stderr."""
    exporters = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "nncf", "transformers")]
    levels = [logger.level for logger in exporters]
    for logger in exporters:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(exporters, levels, strict=True):
            logger.setLevel(level)


def _convert(files: ModelFiles) -> Any:
    openvino = import_openvino()
    front = ConvolutionalFront.of_model(files.folder)
    free = openvino.PartialShape([-1, -1])
    with torch.no_grad():
        model = openvino.convert_model(
            trace_ready(files), example_input=trace_inputs(front.frames(2 * RATE_HZ), 2 * RATE_HZ), input=[free, free]
        )
    for port, name in zip(model.inputs, ("samples", "frame_mask"), strict=True):
        port.set_names({name})
    return model


def _import_nncf() -> Any:
    # NNCF reports every call to Intel's analytics server unless this variable is set before the import.
    os.environ.setdefault("NNCF_CI", "1")
    _require_package("nncf", "openvino")
    import nncf  # noqa: PLC0415 - optional and slow to import

    nncf.set_log_level(logging.ERROR)
    return nncf


def _require_package(package: str, extra: str) -> None:
    try:
        __import__(package)
    except ImportError as error:
        raise ModelUnusable(f"exporting needs {package} ({error}): pip install 'amd-service[{extra}]'") from error
