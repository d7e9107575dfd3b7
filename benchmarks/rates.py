"""Measures the machine's rates: products of matrices by number format, and memory.

The shapes are a large square, and the feed-forward block for one window of 2 s and for eight. The products of the block
use other weights in each repetition, so that the weights come from memory, as in an engine.
"""

from collections.abc import Callable, Iterator
from itertools import cycle
from time import perf_counter

import numpy as np
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch.nn import functional

from amd_service.detection.classifier.exported_engine import OPSET, describe_cpu, has_bf16
from benchmarks.compute_cost import Rates

_GIGA = 1e9
# Rows, inner, columns.
_SHAPES = ((2048, 2048, 2048), (99, 1024, 4096), (792, 1024, 4096))
# Number of different weights. Together they are larger than the caches.
_WEIGHTS = 16
_READ_VALUES, _COPY_VALUES = 1 << 26, 99 * 1024

Run = Callable[[], object]


def measure_rates(threads: int, repeats: int = 12) -> Rates:
    """Measure the best rates on `threads` threads, over kernels, shapes and repeats. Takes seconds."""
    torch.set_num_threads(threads)
    values, activations = torch.ones(_READ_VALUES), torch.ones(_COPY_VALUES)
    target = torch.empty_like(activations)
    return Rates(
        fp32=_best(repeats, _linear(torch.float32), _convolution(torch.float32)),
        bf16=_best(repeats, _linear(torch.bfloat16), _convolution(torch.bfloat16)) if has_bf16() else None,
        # Without VNNI, PyTorch runs its product in plain loops, which take minutes.
        int8=_best(repeats, _int8_onnx(threads), *([_int8] if "vnni" in describe_cpu() else [])),
        read_gb_s=4 * _READ_VALUES / _shortest_s(values.sum, repeats) / _GIGA,
        copy_gb_s=8 * _COPY_VALUES / _shortest_s(lambda: target.copy_(activations), 100 * repeats) / _GIGA,
    )


Make = Callable[[int, int, int], Run]


def _best(repeats: int, *kernels: Make) -> float:
    """Return the best rate of several kernels, because none is the fastest on every processor."""
    found = []
    for rows, inner, columns in _SHAPES:
        operations = 2 * rows * inner * columns
        found += [operations / _shortest_s(make(rows, inner, columns), repeats) / _GIGA for make in kernels]
    return max(found)


def _shortest_s(run: Run, repeats: int) -> float:
    run()
    shortest_s = float("inf")
    for _ in range(repeats):
        started = perf_counter()
        run()
        shortest_s = min(shortest_s, perf_counter() - started)
    return shortest_s


def _streamed(columns: int, inner: int, dtype: torch.dtype) -> Iterator[torch.Tensor]:
    """Return different weights in turn."""
    return cycle([torch.randn(columns, inner).to(dtype) for _ in range(_WEIGHTS)])


def _linear(dtype: torch.dtype) -> Make:
    def make(rows: int, inner: int, columns: int) -> Run:
        left, weights = torch.randn(rows, inner).to(dtype), _streamed(columns, inner, dtype)
        return lambda: functional.linear(left, next(weights))

    return make


def _convolution(dtype: torch.dtype) -> Make:
    """The same product as a convolution, which PyTorch runs with oneDNN: faster than MKL on some processors."""

    def make(rows: int, inner: int, columns: int) -> Run:
        left, weights = torch.randn(1, inner, rows).to(dtype), _streamed(columns, inner, dtype)
        return lambda: functional.conv1d(left, next(weights)[:, :, None])

    return make


def _int8(rows: int, inner: int, columns: int) -> Run:
    left = torch.randint(-127, 127, (rows, inner), dtype=torch.int8)
    weights = cycle([torch.randint(-127, 127, (inner, columns), dtype=torch.int8) for _ in range(_WEIGHTS)])
    return lambda: torch._int_mm(left, next(weights))


def _int8_onnx(threads: int) -> Make:
    """The product in ONNX Runtime, which is faster than PyTorch's on some processors. The weights are packed."""

    def make(rows: int, inner: int, columns: int) -> Run:
        weights = np.random.default_rng(0).integers(-127, 127, (inner, columns), dtype=np.int8)
        left = {"left": np.random.default_rng(1).integers(0, 255, (rows, inner), dtype=np.uint8)}
        graph = helper.make_graph(
            [helper.make_node("MatMulInteger", ["left", "weights"], ["product"])],
            "product",
            [helper.make_tensor_value_info("left", TensorProto.UINT8, [None, inner])],
            [helper.make_tensor_value_info("product", TensorProto.INT32, [None, columns])],
            [numpy_helper.from_array(weights, "weights")],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return lambda: session.run(None, left)

    return make
